"""Configuration files of the original's ``write_data.py``: YAML with the settings of writer, event source and dumper."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from detcore.dl1.writer.basedumper import DL1DataDumper
from detcore.dl1.writer.datawriter import DL1DataWriter
from detcore.dl1.writer.dumper import CTAMLDataDumper
from detcore.dl1.writer.simtel import SimtelEvents

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

SECTIONS: Final = {"Data Writer": ("Settings",), "Event Source": ("Settings",), "Data Dumper": ("Type", "Settings")}
MAX_BYTES: Final = 1 << 20


def writer_of_config(path: str | os.PathLike[str], **more: Any) -> DL1DataWriter:
    """Return the writer that a configuration file describes.

    Parameters
    ----------
    path
        YAML with the sections ``Data Writer``, ``Event Source`` and ``Data Dumper``, each with ``Settings``, and the
        last with the ``Type`` of the dumper, the name of a class derived from `DL1DataDumper`. What is left out has its
        default.
    **more
        Further arguments of the writer.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It has other sections, settings that do not exist, or a dumper that does not.

    Examples
    --------
    >>> writer = writer_of_config("example_config.yml")  # doctest: +SKIP
    """
    found = _sections(Path(path))
    settings = dict(found["Data Writer"].get("Settings") or {})
    name = str(found["Data Dumper"].get("Type") or CTAMLDataDumper.__name__)
    dumper = {one.__name__: one for one in _subclasses(DL1DataDumper)}.get(name)  # type: ignore[type-abstract]
    if dumper is None:
        msg = f"{path}: No subclass of DL1DataDumper: {name}"
        raise ValueError(msg)
    dumper_settings = dict(found["Data Dumper"].get("Settings") or {})
    source_settings = dict(found["Event Source"].get("Settings") or {})
    _check(f"{path}: Data Writer", DL1DataWriter, settings | more)
    _check(f"{path}: Data Dumper", dumper, dumper_settings)
    _check(f"{path}: Event Source", SimtelEvents, source_settings)
    arguments = {
        "event_source_settings": source_settings,
        "data_dumper_class": dumper,
        "data_dumper_settings": dumper_settings,
    }
    try:
        return DL1DataWriter(**{**arguments, **settings, **more})
    except (TypeError, ValueError) as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    expected = ", ".join(f"{name}: {' and '.join(parts)}" for name, parts in SECTIONS.items())
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path}: {path.stat().st_size} bytes; a configuration has at most {MAX_BYTES}"
        raise ValueError(msg)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{path}: expected YAML with {expected}: {' '.join(str(error).split())[:300]}"
        raise ValueError(msg) from error
    if not isinstance(found, dict):
        msg = f"{path}: expected {expected}; found {'nothing' if found is None else type(found).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong argument
    made: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for name, section in found.items():
        inner = {} if section is None else section
        if name not in SECTIONS or not isinstance(inner, dict) or not set(inner) <= set(SECTIONS[name]):
            msg = f"{path}: expected {expected}; found {name}: {str(section)[:100]}"
            raise ValueError(msg)
        if not isinstance(inner.get("Settings") or {}, dict):
            msg = f"{path}: {name}: expected names and values as Settings, found {str(inner['Settings'])[:100]}"
            raise ValueError(msg)  # noqa: TRY004
        made[name] = inner
    return made


def _check(where: str, call: Callable[..., Any], settings: dict[Any, Any]) -> None:
    """Check that there are such arguments before anything is opened."""
    parameters = inspect.signature(call).parameters
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    known = None if open_ended else set(parameters)
    unknown = sorted(str(name) for name in settings if not isinstance(name, str) or (known and name not in known))
    if unknown:
        msg = f"{where}: no setting {', '.join(unknown)[:200]}; there are {', '.join(sorted(known or ()))}"
        raise ValueError(msg)


def _subclasses(kind: type[DL1DataDumper]) -> Iterator[type[DL1DataDumper]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)
