"""What a source tells about a detector before the first event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from detcore.area.detector import Detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

MICROMETRES: Final = 1e6  # in a metre


def detector_of(name: str, source: Any) -> Detector | None:
    """Return the detector of a source; None if it is absent.

    Parameters
    ----------
    name
        Looked up if the source is a mapping.
    source
        See `DetObject`.

    Raises
    ------
    TypeError
        It is no source.
    """
    if isinstance(source, xr.Dataset):
        return _from_chunk(source)
    if isinstance(source, Mapping):
        return detector_of(name, source[name]) if name in source else None
    if source is None or isinstance(source, Detector):
        return source
    if callable(getattr(source, "detector", None)):
        try:
            found = source.detector()
        except LookupError:
            return None
        return found if isinstance(found, Detector) else None
    if isinstance(source, Sequence) and source and not isinstance(source, str):
        return detector_of(name, source[0])
    msg = f"{name}: expected opened files, a Detector, chunks or a mapping of them, found {type(source).__name__}"
    raise TypeError(msg)


def _from_chunk(chunk: xr.Dataset) -> Detector:
    facts: dict[str, Any] = {}
    for key in ("pixel_size", "saturation", "underload", "orientation"):
        if chunk.attrs.get(key) is not None:
            facts[key] = chunk.attrs[key]
    if "pixel_size" in facts:
        facts["pixel_size"] = tuple(float(size) for size in np.broadcast_to(facts["pixel_size"], 2))
    return Detector(
        name=str(chunk.attrs.get("detector", "detector")),
        type=str(chunk.attrs.get("detector_type", "unknown")),
        shape=chunk["data"].shape[1:],
        **facts,
    )


def positions(detector: Detector) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
    """Return x, y, z in um: of the geometry, else from the pixel size of a detector of one sensor."""
    if detector.x is not None and detector.y is not None:
        return detector.x, detector.y, detector.z
    if not np.isfinite(detector.pixel_size).all():
        return None, None, None
    rows, columns = detector.image_positions
    height, width = (size * MICROMETRES for size in detector.pixel_size)
    return columns * width, rows * height, None
