"""YAML of people: keys that are there twice, and what a wrong key was probably meant to be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel

from detcore.core.parameters import MAX_NESTING, InvalidParameters, mapping_from_yaml

if TYPE_CHECKING:
    from pydantic import ValidationError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML has it: several times faster
MAX_LINES = 5
BASIC = {"int", "float", "str", "bool"}  # how pydantic calls them in the path of an error


def values_from_text(text: str) -> dict[str, Any]:
    """Read a mapping, and refuse one with a key twice: YAML keeps the last one silently, and the other's work is lost.

    Raises
    ------
    InvalidParameters
        With the line of the second one; or as for `mapping_from_yaml`.
    """
    again, plain = _scanned(text)
    if again:
        msg = f"line {again[1]}: the key {again[0]!r:.80} is there a second time; keep one of them"
        raise InvalidParameters(msg)
    if plain:
        loader = LOADER(text)
        try:
            values = loader.get_single_data()
        except (yaml.YAMLError, ValueError):  # ValueError: what looks like a date, but is none
            values = None
        finally:
            loader.dispose()
        if isinstance(values, dict):
            return values
    try:
        return mapping_from_yaml(text)  # slower; says what is wrong
    except InvalidParameters:
        raise
    except ValueError as error:
        msg = f"not readable as YAML: {error}"
        raise InvalidParameters(msg) from None


def _scanned(text: str) -> tuple[tuple[str, int] | None, bool]:
    """Return the first key that its mapping has already, with its line; and whether the text may be read as it is.

    It may not if it cannot be parsed, uses references or is nested too deeply.
    """
    open_nodes: list[tuple[set[str] | None, list[bool]]] = []  # the keys of a mapping, and whether a key comes next
    try:
        for event in yaml.parse(text, LOADER):
            keys, is_key = open_nodes[-1] if open_nodes else (None, [False])
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
                continue
            if isinstance(event, yaml.AliasEvent) or len(open_nodes) > MAX_NESTING:
                return None, False
            if isinstance(event, yaml.NodeEvent):
                if keys is not None and is_key[0] and isinstance(event, yaml.ScalarEvent):
                    if event.value in keys:
                        mark = event.start_mark
                        return (event.value, mark.line + 1 if mark else 0), False
                    keys.add(event.value)
                is_key[0] = not is_key[0]
            if isinstance(event, yaml.MappingStartEvent):
                open_nodes.append((set(), [True]))
            elif isinstance(event, yaml.SequenceStartEvent):
                open_nodes.append((None, [False]))
    except (yaml.YAMLError, ValueError):
        return None, False
    return None, True


def explained(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line for each wrong key: where it is, what was expected and found, what it was probably meant to be."""
    found = error.errors(include_url=False)
    # Where several types are possible there is an error for each. A wrong type is no news when another went further.
    found = [
        one
        for one in found
        if not (
            one["loc"]
            and one["loc"][-1] in BASIC
            and any(other is not one and other["loc"][: len(one["loc"]) - 1] == one["loc"][:-1] for other in found)
        )
    ] or found[:1]
    lines = []
    for item in found[:MAX_LINES]:
        where = ".".join(str(step) for step in item["loc"] if "[" not in str(step)) or "the setup"
        if item["type"] == "extra_forbidden":
            known = sorted(_known(model, item["loc"]))
            near = difflib.get_close_matches(str(item["loc"][-1]), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            lines.append(f"unknown key {where!r:.120}: {hint}")
        else:
            lines.append(
                f"{where:.120}: {item['msg'][:300].replace('valid tuple', 'list')}, found {item['input']!r:.80}"
            )
    more = f"; and {len(found) - MAX_LINES} more" if len(found) > MAX_LINES else ""
    return "; ".join(lines) + more


def _known(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """Return the names of the fields where an unknown one was found.

    The path of an error has names of fields, places in lists, and the `kind` by which a member of a union was chosen.
    """
    models = {model}
    for step in loc[:-1]:
        fields = [one.model_fields[step] for one in models if step in one.model_fields]
        if fields:
            models = set().union(*(_models(field.annotation) | _models(field.metadata) for field in fields))
        else:
            models = {one for one in models if _is_kind(one, step)} or models
    return {name for one in models for name in one.model_fields}


def _is_kind(model: type[BaseModel], step: int | str) -> bool:
    kind = model.model_fields.get("kind")
    return step == model.__name__ or (kind is not None and kind.default == step)


def _models(annotation: Any) -> set[type[BaseModel]]:
    """Return the models inside an annotation, not those inside of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    return set().union(*map(_models, parts)) if parts else set()
