"""The detector of a run: what the file says, turned as declared, with geometry and calibration from files of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.detector import UNKNOWN, Detector, type_of
from detcore.area.files.calibfiles import read_calibration
from detcore.area.files.geomfile import read_geom
from detcore.area.images.assembly import oriented

if TYPE_CHECKING:
    from collections.abc import Mapping

ARRAYS = ("pedestal", "noise", "gain", "status", "pixel_mask", "x", "y", "z", "ix", "iy")


def described(
    facts: Mapping[str, Any],
    stored: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    name: str | None = None,
    kind: str | None = None,
    orientation: int = 1,
    geometry: str | None = None,
    calibration: Mapping[str, str] | None = None,
    path: str | None = None,
) -> Detector:
    """Put a detector together.

    Parameters
    ----------
    facts
        Of the file, in its orientation.
    stored, shape
        Of a frame in the file, and in a chunk.
    name, kind
        Instead of those of the file.
    orientation
        How frames are turned.
    geometry, calibration
        Paths; these arrays are in the shape of a chunk's frame already.
    path
        The file with the frames.

    Raises
    ------
    OSError, ValueError
        A file cannot be read, or does not fit.
    """
    known = {key: _turned(key, value, stored, shape, orientation) for key, value in facts.items()}
    if kind is not None:
        known["type"] = kind
    known["name"] = name or known.get("name") or (known.get("type", UNKNOWN).replace(UNKNOWN, "") or "detector")
    chip = type_of(known.get("type", UNKNOWN)).asic
    if chip is not None and orientation >= 5:
        known.setdefault("asic", chip[::-1])
    detector = Detector(shape=shape, orientation=orientation, **known)
    if geometry is not None:
        detector = read_geom(geometry).applied(detector, stored, path)
    if calibration:
        detector = detector.with_(**{key: read_calibration(path, detector, key) for key, path in calibration.items()})
    return detector


def _turned(key: str, value: Any, stored: tuple[int, ...], shape: tuple[int, ...], orientation: int) -> Any:
    if key in ARRAYS:
        turned = oriented(np.asarray(value), orientation) if len(stored) == 2 else np.asarray(value)
        return turned.reshape(*turned.shape[: turned.ndim - len(stored)], *shape)
    if orientation == 1 or len(stored) != 2:
        return value
    if key in {"pixel_size", "asic"} and orientation >= 5:
        return value[1], value[0]
    if key == "centre":
        return turned_point(value, (stored[0], stored[1]), orientation)
    return value


def turned_point(point: tuple[float, float], shape: tuple[int, int], orientation: int) -> tuple[float, float]:
    """Return where a point (x, y) of a stored frame (y, x) is after `oriented`.

    Examples
    --------
    >>> turned_point((0.0, 2.0), (10, 20), 4)
    (0.0, 7.0)
    """
    x, y = point
    height, width = shape
    if orientation >= 5:
        x, y, width, height = y, x, height, width
    if orientation in {3, 4, 7, 8}:
        y = height - 1 - y
    if orientation in {2, 3, 6, 7}:
        x = width - 1 - x
    return (x, y) if math.isfinite(x + y) else (math.nan, math.nan)
