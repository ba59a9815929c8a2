"""Files of calibration constants: pedestal, noise, gain and status, as psana text, NumPy or HDF5.

A text file holds one array: ``#`` lines with ``NDIM`` and ``DIM:1``, ``DIM:2``, … and rows of numbers, as psana writes
them; without such lines the rows are those of the panels, one below the other. A .npy file holds one array as well; .npz
and HDF5 files hold several under our names, or those of psana and smalldata_tools.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.files.hdf5 import members
from detcore.core.hdf5 import opened
from detcore.core.outputs import write_content
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detcore.area.detector import Detector

NAMES: Final = {
    "pedestal": ("pedestal", "pedestals", "ped", "offset", "mean"),
    "noise": ("noise", "pixel_rms", "rms", "std"),
    "gain": ("gain", "pixel_gain"),
    "status": ("status", "pixel_status", "pixel_mask", "mask"),
}
"""Our name of each constant, and the names under which others store it."""
FOLDERS: Final = {"pedestal": "pedestals", "noise": "pixel_rms", "gain": "pixel_gain", "status": "pixel_status"}
"""Folders of psana's calibration store."""
FORMATS: Final = {"pedestal": "%.3f", "noise": "%.4f", "gain": "%.6g", "status": "%d"}
MAX_VALUES: Final = 1 << 29  # seven gains of the largest detector
TEXTS: Final = {".data", ".txt", ".dat"}
_HDF5 = {".h5", ".hdf5", ".nc", ".nxs"}


def read_calibration(path: str | os.PathLike[str], detector: Detector, name: str) -> NDArray[Any]:
    """Read one array of constants for a detector.

    Parameters
    ----------
    path
        psana text, .npy, .npz or HDF5.
    detector
        Whose; the array must have the shape of its frames, if need be behind a gain axis. Panels that are stacked into
        rows are taken apart.
    name
        "pedestal", "noise", "gain" or "status".

    Returns
    -------
    ndarray
        The shape of a raw frame, or (gain, …) of it; float32, status uint32.

    Raises
    ------
    OSError, ValueError
        The file is missing, damaged or of another detector, or has no such array.
    """
    if name not in NAMES:
        msg = f"no constants are called {name!r:.40}; there are {', '.join(NAMES)}"
        raise ValueError(msg)
    place = Path(path)
    found = _read(place, name)
    if found.dtype.kind not in "biuf":
        msg = f"{place}: expected numbers for the {name}, found {found.dtype}"
        raise ValueError(msg)
    shape = tuple(detector.shape)
    size = math.prod(shape)
    flat = found.shape[-1] == shape[-1] and found.size % size == 0
    if found.shape[-len(shape) :] != shape and not flat:
        msg = f"{place}: the {name} of {detector.name} has the shape {shape}, found {found.shape}; is it of another detector?"
        raise ValueError(msg)
    gains = found.size // size
    found = found.reshape(shape if gains == 1 else (gains, *shape))
    if name != "status":
        return np.ascontiguousarray(found, np.float32)
    if found.dtype.kind == "f" and not (np.isfinite(found).all() and np.all(found % 1 == 0) and found.min() >= 0):
        msg = f"{place}: a status is whole bits, 0 for a good pixel; found other numbers"
        raise ValueError(msg)
    return np.ascontiguousarray(found, np.uint32)


def _read(place: Path, name: str) -> NDArray[Any]:
    try:
        return _stored(place, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, TokenError, MemoryError, TypeError) as error:
        msg = f"{place}: damaged: {' '.join(str(error).split())[:200]}; copy it again"
        raise ValueError(msg) from None


def _stored(place: Path, name: str) -> NDArray[Any]:
    suffix = place.suffix.lower()
    if suffix == ".npy":
        return _checked(np.load(place, mmap_mode="r", allow_pickle=False), place)
    if suffix == ".npz":
        with np.load(place, allow_pickle=False) as archive:
            for known in NAMES[name]:
                if known in archive.files:
                    return _checked(archive[known], place)
            msg = f"{place}: no {' or '.join(NAMES[name])}; it has {', '.join(archive.files[:20]) or 'nothing'}"
            raise ValueError(msg)
    if suffix in _HDF5:
        return _read_hdf5(place, name)
    return read_text(place)


def _checked(found: NDArray[Any], place: Path) -> NDArray[Any]:
    if found.size > MAX_VALUES or found.ndim < 2:
        msg = f"{place}: expected constants (y, x), (module, y, x) or (gain, …), found {found.shape}"
        raise ValueError(msg)
    return np.asarray(found)


def _read_hdf5(place: Path, name: str) -> NDArray[Any]:
    """Look for the array at the top, then one and two groups down (as in UserDataCfg/<detector>)."""
    with opened(str(place)) as file:
        groups, seen = [file], []
        for _ in range(3):
            below = []
            for group in groups:
                items = dict(members(group))
                for known in NAMES[name]:
                    item = items.get(known)
                    if isinstance(item, h5py.Dataset):
                        if item.size > MAX_VALUES:
                            msg = f"{place}: {item.name} has {item.size} values, more than any detector"
                            raise ValueError(msg)
                        return _checked(np.asarray(item[()]), place)
                seen += [str(key) for key in items]
                below += [item for item in items.values() if isinstance(item, h5py.Group)]
            groups = below[:50]
    msg = f"{place}: no {' or '.join(NAMES[name])}; it has {', '.join(seen[:20]) or 'nothing'}"
    raise ValueError(msg)


def read_text(place: Path) -> NDArray[Any]:
    """Read one array from text, in the shape that its comments say, else in rows.

    Raises
    ------
    OSError, ValueError
        It is no such text.
    """
    if place.stat().st_size > 24 * MAX_VALUES:
        msg = f"{place}: {place.stat().st_size} bytes of text are more than the constants of any detector"
        raise ValueError(msg)
    sizes: dict[str, str] = {}
    with place.open("rb") as stream:
        for line in stream:
            words = line[1:200].split()
            if not line.lstrip().startswith(b"#"):
                break
            if len(words) == 2 and words[0][:3] in {b"NDI", b"DIM"}:
                sizes[words[0].decode("ascii", "replace")] = words[1].decode("ascii", "replace")
    try:
        rows = np.loadtxt(place, np.float64, comments="#", ndmin=2, encoding="latin-1")
    except (ValueError, UserWarning) as error:
        msg = f"{place}: not a text of numbers in rows of equal length: {error}"
        raise ValueError(msg) from None
    if "NDIM" in sizes:
        try:
            shape = tuple(int(sizes[f"DIM:{axis + 1}"]) for axis in range(min(int(sizes["NDIM"]), 5)))
        except (KeyError, ValueError):
            msg = f"{place}: its comments say no shape; expected NDIM and DIM:1, DIM:2, … with whole numbers"
            raise ValueError(msg) from None
        if math.prod(shape) != rows.size or min(shape, default=0) < 1:
            msg = f"{place}: its comments say {shape}, but there are {rows.size} numbers"
            raise ValueError(msg)
        rows = rows.reshape(shape)
    return _checked(rows, place)


def write_text(target: Path, values: NDArray[Any], name: str, notes: Mapping[str, object]) -> None:
    """Write one array as psana reads it: comments with its shape, then its rows."""
    head = {**notes, "DTYPE": "int" if name == "status" else "float", "NDIM": values.ndim}
    head |= {f"DIM:{axis}": size for axis, size in enumerate(values.shape, 1)}
    lines = "".join(f"# {key:<20} {str(value).splitlines()[0] if str(value) else ''}\n" for key, value in head.items())
    with atomic(target) as aside, aside.open("wb") as stream:
        stream.write(lines.encode("ascii", "replace"))
        np.savetxt(stream, values.reshape(-1, values.shape[-1]), fmt=FORMATS[name])


def write_calibration(
    target: str | os.PathLike[str],
    constants: Mapping[str, NDArray[Any]],
    *,
    notes: Mapping[str, object] | None = None,
    run: int | None = None,
) -> list[Path]:
    """Write constants in the form that the name of the target says.

    Parameters
    ----------
    target
        A name in .h5 or .npz: one file with all arrays. One in .npy: a file for each, `<name>_<constant>.npy`, and the notes. A
        folder (no suffix): psana's store, `pedestals/<run>-end.data` and so on, as text.
    constants
        By our names.
    notes
        Written beside: comments of a text, attributes of an HDF5 file.
    run
        First run for which psana takes them.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        The suffix is none of these, or a name is unknown.
    """
    place, notes = Path(target), dict(notes or {})
    unknown = sorted(set(constants) - set(NAMES))
    if unknown or not constants:
        msg = f"constants are {', '.join(NAMES)}; found {', '.join(unknown) or 'none'}"
        raise ValueError(msg)
    suffix = place.suffix.lower()
    if suffix in _HDF5:
        with atomic(place) as aside, h5py.File(aside, "w") as file:
            for key, value in notes.items():
                file.attrs[key] = value if isinstance(value, (int, float)) else str(value).replace("\0", " ")
            for name, values in constants.items():
                file.create_dataset(name, data=values, compression="gzip", compression_opts=1, shuffle=True)
        return [place]
    if suffix == ".npz":
        with atomic(place) as aside:
            known: dict[str, Any] = {name: np.asarray(values) for name, values in constants.items()}
            np.savez_compressed(aside, **known, notes=np.array(json.dumps(notes, default=str)))
        return [place]
    written = []
    if suffix == ".npy":
        for name, values in constants.items():
            written.append(place.with_name(f"{place.stem}_{name}.npy"))
            with atomic(written[-1]) as aside:
                np.save(aside, np.asarray(values), allow_pickle=False)
        if notes:
            written.append(place.with_name(f"{place.stem}_notes.json"))
            write_content(written[-1], json.dumps(notes, default=str, indent=1))
        return written
    if suffix in TEXTS or suffix == "":
        for name, values in constants.items():
            folder = place / FOLDERS[name] / f"{run or 0}-end.data"
            written.append(folder if suffix == "" else place.with_name(f"{place.stem}_{name}{suffix}"))
            write_text(written[-1], np.asarray(values), name, notes)
        return written
    msg = f"{place}: constants are written as .h5, .npz, .npy or .data, or into a folder; found {suffix!r}"
    raise ValueError(msg)
