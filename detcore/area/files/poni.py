"""pyFAI's geometry files (.poni): version 1 and 2 with the pixel size, 2.1 with the orientation of the detector.

A file is lines ``Key: value``; `Detector_config` is JSON. Later lines win, because pyFAI appends to its files.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detcore.area.images.geometry import Geometry
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

MAX_BYTES: Final = 1_000_000
REQUIRED: Final = {"distance": "dist", "poni1": "poni1", "poni2": "poni2"}
TURNS: Final = ("rot1", "rot2", "rot3")
# Pixel sizes (m) of detectors that files name without telling them.
NAMED: Final = {"pilatus": 172e-6, "eiger": 75e-6, "jungfrau": 75e-6, "rayonix": None, "perkin": 200e-6}


def poni_geometry(text: str, shape: Sequence[int] | None = None, name: str = "the text") -> Geometry:
    """Return the geometry that the text of a .poni file describes.

    Parameters
    ----------
    text
        As pyFAI writes it.
    shape
        (rows, columns) of the image; needed for an orientation other than 3, if the file does not tell it.
    name
        Of the file, for messages.

    Raises
    ------
    ValueError
        Something is missing or impossible.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.lstrip().startswith("#"):
            found[key.strip().lower()] = value.strip()
    missing = [key for key in REQUIRED if key not in found]
    if missing:
        msg = f"{name}: expected the lines {', '.join(key.capitalize() for key in missing)} of a .poni file"
        raise ValueError(msg)
    values: dict[str, Any] = {ours: _number(found[key], key, name) for key, ours in REQUIRED.items()}
    values |= {key: _number(found.get(key, "0"), key, name) for key in TURNS}
    wavelength = found.get("wavelength", "None")
    values["wavelength"] = None if wavelength in {"None", ""} else _number(wavelength, "wavelength", name)
    config = _config(found.get("detector_config", "{}"), name)
    for number in "12":
        size = found.get(f"pixelsize{number}", config.get(f"pixel{number}"))
        values[f"pixel{number}"] = _number(size, f"pixel{number}", name) if size is not None else _named(found, name)
    values["orientation"] = int(_number(config.get("orientation") or 3, "orientation", name))
    told = config.get("max_shape") or config.get("shape")
    if shape is None and isinstance(told, list) and len(told) == 2:
        shape = (int(told[0]), int(told[1]))
    try:
        return Geometry.from_poni(values, shape)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from None


def poni_text(geometry: Geometry, shape: Sequence[int] | None = None) -> str:
    """Return the text of a .poni file (version 2.1).

    Parameters
    ----------
    geometry
        With distance and pixel size.
    shape
        (rows, columns) of the image; needed for an orientation other than 3, and written if given.

    Raises
    ------
    ValueError
        The geometry lacks something.
    """
    values = geometry.to_poni(shape)
    config: dict[str, Any] = {name: values[name] for name in ("pixel1", "pixel2", "orientation")}
    if shape is not None:
        config["max_shape"] = [int(size) for size in shape]
    lines = [
        "# Nota: C-Order, 1 refers to the Y axis, 2 to the X axis",
        "poni_version: 2.1",
        "Detector: Detector",
        f"Detector_config: {json.dumps(config)}",
        f"Distance: {values['dist']!r}",
        *(f"{key.capitalize()}: {values[key]!r}" for key in ("poni1", "poni2", *TURNS)),
    ]
    if values["wavelength"] is not None:
        lines.append(f"Wavelength: {values['wavelength']!r}")
    return "\n".join(lines) + "\n"


def read_poni(path: str | os.PathLike[str], shape: Sequence[int] | None = None) -> Geometry:
    """Read a .poni file; see `poni_geometry`.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no .poni file.
    """
    place = Path(path)
    with place.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        msg = f"{place}: expected a .poni file of at most {MAX_BYTES:,} bytes, found more"
        raise ValueError(msg)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = f"{place}: expected the text of a .poni file, found bytes that are not text"
        raise ValueError(msg) from None
    return poni_geometry(text, shape, str(place))


def write_poni(
    geometry: Geometry, path: str | os.PathLike[str], shape: Sequence[int] | None = None, head: str = ""
) -> None:
    """Write a .poni file; see `poni_text`. `head` is written above: lines of comments."""
    text = head + poni_text(geometry, shape)
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _number(value: Any, key: str, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        msg = f"{name}: {key} is {value!r:.60}; expected a finite number"
        raise ValueError(msg)
    return number


def _config(text: str, name: str) -> dict[str, Any]:
    try:
        config = json.loads(text.replace("None", "null") or "{}")
    except (ValueError, RecursionError):
        config = None
    if config is None or config == []:
        config = {} if text.strip() in {"None", "[]", "null", ""} else None
    if not isinstance(config, dict):
        msg = f"{name}: Detector_config is {text!r:.60}; expected a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - of a file, not of an argument
    return config


def _named(found: dict[str, str], name: str) -> float:
    detector = found.get("detector", "").lower()
    size = next((size for key, size in NAMED.items() if detector.startswith(key)), None)
    if size is None:
        msg = f"{name}: the pixel size is missing, and it is not known for the detector {detector[:60]!r}"
        raise ValueError(msg)
    return size
