"""One validated model of parameters serves the command line, the form, the YAML file, the URL and the provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic.fields import FieldInfo

MAX_NESTING = 100  # lists in lists; nobody writes that many by hand


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _span(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    first, colon, last = value.partition(":")
    try:
        return (int(first or 0), int(last) if last else 2**62) if colon else (int(first), int(first))
    except ValueError:
        msg = f"{value!r} is not a range; write FIRST:LAST with whole numbers, for instance 10:20"
        raise ValueError(msg) from None


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names; as text they are separated by commas."""

Span = Annotated[tuple[int, int] | None, BeforeValidator(_span)]
"""First and last whole number, both included; as text ``first:last``, either may be left out."""


class InvalidParameters(ValueError):
    """A parameter is unknown or has an impossible value."""


class Parameters(BaseModel):
    """A frozen set of validated values with a text form for every place that holds one.

    Examples
    --------
    >>> class Cut(Parameters):
    ...     low: int = 0
    ...     names: Names = ()
    >>> cut = Cut(low=3, names="a,b")
    >>> cut.to_query(), cut.to_arguments()
    ({'low': '3', 'names': 'a,b'}, ['--low', '3', '--names', 'a,b'])
    >>> Cut.from_query(cut.to_query()) == cut
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }

    def to_query(self) -> dict[str, str]:
        """Return the changed fields as text, for a link."""
        return {name: _text(value, _is_span(type(self).model_fields[name])) for name, value in self.changed().items()}

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Self:
        """Build from text values.

        Raises
        ------
        InvalidParameters
            Names each field, what was found and what is expected.
        """
        return cls.checked(query)

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Validate, with one message that names every wrong field.

        Raises
        ------
        InvalidParameters
            As for `from_query`.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            lines = [
                f"unknown key {'.'.join(map(str, item['loc']))!r} (known: {known})"
                if item["type"] == "extra_forbidden"
                else f"{'.'.join(map(str, item['loc'])) or cls.__name__}: {item['msg']}, found {item['input']!r:.80}"
                for item in error.errors()
            ]
            raise InvalidParameters("; ".join(lines)) from None

    def to_yaml(self) -> str:
        """Return the changed fields as YAML."""
        return text_of(_plain(self.changed()))

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Build from the YAML that `to_yaml` gives.

        Raises
        ------
        InvalidParameters
            The text is not YAML, not a mapping, or a field is wrong.
        """
        return cls.checked(mapping_from_yaml(text))

    def to_arguments(self) -> list[str]:
        """Return the changed fields as command-line arguments."""
        arguments: list[str] = []
        for name, value in self.changed().items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                arguments.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                arguments += [f"--{flag}", _text(value, _is_span(type(self).model_fields[name]))]
        return arguments


def text_of(values: Mapping[str, Any]) -> str:
    """Write ``name: value`` lines, in this order, that `mapping_from_yaml` reads back as they were."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    # The library writes this line break as it is, but reads it as a space.
    return yaml.safe_dump(values, sort_keys=False) if "\x85" in text else text


def mapping_from_yaml(text: str) -> dict[str, Any]:
    """Read ``name: value`` lines, from a file that somebody else may have written.

    Raises
    ------
    InvalidParameters
        The text is not YAML or not a mapping, or it would take endless time or memory: references (``*name``) can
        multiply without end, and deep nesting is slow.
    """
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > MAX_NESTING:
                msg = "the YAML may neither use references (*name) nor be nested too deeply"
                raise InvalidParameters(msg)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"not readable as YAML: {error}"
        raise InvalidParameters(msg) from None
    if values is not None and not isinstance(values, dict):
        msg = f"expected 'name: value' lines, found {type(values).__name__}"
        raise InvalidParameters(msg)
    return {} if values is None else values


def options(
    model: type[Parameters],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a click command with one option for each field of `model`.

    The command gets the validated model as its keyword `parameters`; wrong values end the command with click's
    usual message.
    """
    import functools  # noqa: PLC0415 - the command line alone pays for click

    import click  # noqa: PLC0415

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            mine = {name: values.pop(name) for name in model.model_fields}
            try:
                parameters = model.checked({name: value for name, value in mine.items() if value is not None})
            except InvalidParameters as error:
                raise click.BadParameter(str(error)) from None
            return function(*args, parameters=parameters, **values)

        for name, field in reversed(model.model_fields.items()):
            command = click.option(*_declaration(name, field), **_settings(field))(command)
        return command

    return decorate


def _declaration(name: str, field: FieldInfo) -> tuple[str, ...]:
    flag = name.replace("_", "-")
    return (f"--{flag}/--no-{flag}" if field.annotation is bool else f"--{flag}", name)


def _settings(field: FieldInfo) -> dict[str, Any]:
    import click  # noqa: PLC0415

    settings: dict[str, Any] = {"default": None, "help": field.description}
    if get_origin(field.annotation) is Literal:
        settings["type"] = click.Choice([str(value) for value in get_args(field.annotation)])
    elif field.annotation is not bool:
        settings["metavar"] = (
            (
                "FIRST:LAST"
                if field.metadata and field.metadata[0].func is _span
                else "A,B,…"
                if field.metadata and getattr(field.metadata[0], "func", None) is _split
                else "VALUE"
            )
            if field.metadata and isinstance(field.metadata[0], BeforeValidator)
            else "VALUE"
        )
    return settings


def _is_span(field: FieldInfo) -> bool:
    return any(isinstance(one, BeforeValidator) and one.func is _span for one in field.metadata)


def _text(value: Any, span: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        if span:
            return f"{value[0] or ''}:{'' if value[1] >= 2**62 else value[1]}"
        return ",".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
