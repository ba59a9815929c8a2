"""What every format of frames answers: does it know the file, which frames are in it, what does it say of the detector."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np

from detcore.area.detector.catalogue import UNKNOWN, type_of
from detcore.area.detector.model import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from detcore.core.source import Match, Problem

MAX_FRAMES: Final = 50_000_000  # of a file
MOST_PANELS: Final = 8  # of a Jungfrau


@dataclass(frozen=True, slots=True)
class Options:
    """How a person wants the files to be read.

    Parameters
    ----------
    detector
        Which one, where a file has several; its name in results.
    dataset
        Name of the frames inside a file.
    type
        Kind of detector, key of the catalogue.
    """

    detector: str | None = None
    dataset: str | None = None
    type: str | None = None

    @property
    def modules(self) -> tuple[int | None, ...] | None:
        """The shape of a frame if the type has panels, else None."""
        shape = type_of(self.type or UNKNOWN).shape
        return shape if shape is not None and len(shape) == 3 else None


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames that follow one another in one place.

    Parameters
    ----------
    path
        The file with the pixels.
    n
        Frames.
    shape
        Of a frame, (y, x) or (module, y, x), as it is read.
    dtype
        Name of the type of a chunk's pixels, native.
    where
        What the format needs to find them.
    """

    path: str
    n: int
    shape: tuple[int, ...]
    dtype: str
    where: Hashable = None

    @property
    def frame_bytes(self) -> int:
        """Of one frame in memory."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Contents:
    """What is in a file, and in those that it links to.

    Parameters
    ----------
    stacks
        In the order of the run.
    problems
        What is missing; `pending` is the number of stacks before the first missing one, None if none is.
    columns
        Numbers of each frame, (frame of all stacks,): time s, i0, delay, laser, xray, scan, …
    facts
        Keywords of `Detector`, as far as the file has them, in the orientation of the file.
    notes
        What was assumed, in words.
    """

    stacks: tuple[Stack, ...] = ()
    problems: tuple[Problem, ...] = ()
    pending: int | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Format(Protocol):
    """A kind of file. Stateless; remembers nothing but through the lease of open files."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def claims(self, start: bytes) -> bool:
        """Return whether a file with these first bytes is of this kind."""

    def judge(self, path: str) -> Match:
        """Return whether there are frames in it; only asked for files that it claims."""

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:
        """Return what is in it; `peers` are all files of the run, of which one frame may need several."""

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape) in native byte order."""


def modified(path: str) -> float:
    """Return when a file was written, Unix seconds; nan if it is gone."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - called for every chunk
    except OSError:
        return math.nan


def fingerprint(path: str) -> str:
    """Return what changes when a file is replaced, or gets longer; empty if it is gone."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - called for every chunk
    except OSError:
        return ""
    return f"{facts.st_ino}:{facts.st_size}"


def checked_frame(shape: Sequence[int], dtype: np.dtype[Any], what: str) -> tuple[int, ...]:
    """Return the shape of a frame if it is one, and not larger than any detector.

    Raises
    ------
    ValueError
        It is not.
    """
    sizes = tuple(int(size) for size in shape)
    pixels = 1
    for size in sizes:
        pixels *= size
    if len(sizes) not in {2, 3} or not 0 < pixels <= MAX_PIXELS:
        msg = f"{what}: expected frames (y, x) or (module, y, x) with 1 to {MAX_PIXELS} pixels, found {sizes}"
        raise ValueError(msg)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        msg = f"{what}: expected whole or real numbers, found {dtype}"
        raise ValueError(msg)
    return sizes


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the machine's byte order and in a type that kernels know (no halves, no booleans)."""
    return np.ascontiguousarray(array, np.dtype(native_type(array.dtype)))


def native_type(dtype: np.dtype[Any]) -> str:
    """Return the name of the type in which numbers of a type are given."""
    if dtype.kind == "b":
        return "uint8"
    if dtype.kind == "f" and dtype.itemsize < 4:
        return "float32"
    return dtype.newbyteorder("=").name


def split(shape: Sequence[int], options: Options, what: str) -> tuple[int, tuple[int, ...]]:
    """Return how many frames an array holds, and the shape of one.

    (y, x) is one frame, (frame, y, x) several, (frame, module, y, x) several of panels. If the type of the detector has
    panels, (module, y, x) is one of its frames, and panels stacked from top to bottom are taken apart; where the type has
    any number of panels, up to `MOST_PANELS` on the first of three axes are one frame.

    Raises
    ------
    ValueError
        There are too few or too many axes, or the shape is not one of the type.
    """
    sizes = tuple(int(size) for size in shape)
    panels = options.modules
    if panels is None:
        if len(sizes) in {3, 4}:
            return sizes[0], sizes[1:]
        if len(sizes) == 2:
            return 1, sizes
        msg = f"{what}: expected (frame, y, x) or (frame, module, y, x), found {sizes}"
        raise ValueError(msg)
    rows, columns = panels[1] or 1, panels[2]
    wanted = panels[0]
    if sizes[-1:] == (columns,):
        if len(sizes) == 4 and sizes[2] == rows and wanted in {None, sizes[1]}:
            return sizes[0], sizes[1:]
        if (
            len(sizes) == 3
            and sizes[1] == rows
            and (wanted == sizes[0] or (wanted is None and sizes[0] <= MOST_PANELS))
        ):
            return 1, sizes
        stacked = sizes[-2] // rows if len(sizes) in {2, 3} and sizes[-2] % rows == 0 else 0
        if stacked and wanted in {None, stacked}:
            return (sizes[0] if len(sizes) == 3 else 1), (stacked, rows, sizes[-1])
    msg = f"{what}: frames of {options.type} are {panels}, found {sizes}; name another type or dataset"
    raise ValueError(msg)


def guess_type(*texts: str | None) -> str:
    """Return the key of the type that a description names, or "unknown".

    Examples
    --------
    >>> guess_type("PILATUS 1M-F"), guess_type(None, "Dectris EIGER2 Si 16M")
    ('pilatus', 'eiger')
    """
    for text in texts:
        if not text:
            continue
        try:
            return type_of(text.strip()).key
        except ValueError:
            words = text.lower()
        for word in ("pilatus", "eiger", "lambda", "agipd", "rayonix", "jungfrau", "cspad"):
            if word in words:
                return word
    return UNKNOWN


def valid_limits(kind: str, dtype: np.dtype[Any], notes: list[str]) -> dict[str, float]:
    """Return the limits of valid values that photon counters imply: gaps are negative, or the largest numbers."""
    if dtype.kind == "i" and kind in {"pilatus", "eiger"}:
        notes.append("negative values are gaps and bad pixels: valid from 0 on")
        return {"underload": 0.0}
    if dtype.kind == "u" and kind in {"pilatus", "eiger"}:
        top = int(np.iinfo(dtype).max)
        notes.append(f"{top} and {top - 1} are gaps and bad pixels: valid up to {top - 2}")
        return {"saturation": float(top - 2)}
    return {}


def sentinels(frame: NDArray[Any], notes: list[str]) -> dict[str, float]:
    """Return the limit that a frame of whole numbers shows whose only negative values are -1 and -2.

    That is how photon counters mark gaps and bad pixels; a frame with a pedestal subtracted has others too.
    """
    if frame.dtype.kind != "i" or frame.size < 64 or int(frame.min()) not in {-1, -2}:
        return {}
    notes.append("the only negative values are -1 and -2: taken as gaps and bad pixels, valid from 0 on")
    return {"underload": 0.0}
