"""Files of basis waveforms: npz, or HDF5 as smalldata_tools writes it."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.core.heaps import check_heaps
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

MAX_VALUES: Final = 1 << 26


@dataclass(frozen=True, eq=False)
class Basis:
    """Basis waveforms and how data are prepared for them.

    Parameters
    ----------
    components
        (component, sample).
    roi
        Samples (first, end) of a waveform; None: all.
    background_index
        So many samples at the start are background.
    channel
        Row of the data.
    """

    components: NDArray[np.float64]
    roi: tuple[int, int] | None = None
    background_index: int | None = None
    channel: int | None = None


def read_basis(path: str | os.PathLike[str]) -> Basis:
    """Read a file with `components` and, optionally, `roi`, `background_index` and `channel`.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It holds no basis.
    """
    place = Path(path)
    try:
        if h5py.is_hdf5(place):
            check_heaps(place)
            with h5py.File(place, "r") as file:
                found = {key: _small(file[key], place) for key in _KEYS if isinstance(file.get(key), h5py.Dataset)}
        else:
            with place.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
                found = {key: archive[key] for key in _KEYS if key in archive}
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        msg = f"{place}: expected an npz or HDF5 file with the waveforms 'components': {error}"
        raise ValueError(msg) from None
    components = found.get("components")
    if components is None or components.ndim != 2 or components.dtype.kind not in "iuf" or not components.size:
        shape = "none" if components is None else f"{components.dtype} {components.shape}"
        msg = f"{place}: expected numbers 'components' (component, sample), found {shape}"
        raise ValueError(msg)
    roi = found.get("roi")
    return Basis(
        np.asarray(components, np.float64),
        None if roi is None or roi.shape != (2,) else (int(roi[0]), int(roi[1])),
        _whole(found.get("background_index")),
        _whole(found.get("channel")),
    )


_KEYS: Final = ("components", "roi", "background_index", "channel")


def write_basis(basis: Basis, path: str | os.PathLike[str]) -> None:
    """Write an npz file."""
    values: dict[str, Any] = {key: getattr(basis, key) for key in _KEYS if getattr(basis, key) is not None}
    with atomic(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **values)


def _small(dataset: h5py.Dataset, place: Path) -> NDArray[Any]:
    if dataset.size is None or dataset.size > MAX_VALUES:
        msg = f"{place}: {dataset.name} is empty or has more than {MAX_VALUES} values"
        raise ValueError(msg)
    return np.asarray(dataset[()])


def _whole(value: NDArray[Any] | None) -> int | None:
    return int(value) if value is not None and value.ndim == 0 and value.dtype.kind in "iu" else None
