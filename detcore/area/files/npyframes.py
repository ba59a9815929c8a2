"""Frames in NumPy's files: mapped into memory, never unpickled; constants of the detector beside them in ``.npz``.

In an ``.npz`` the names are those of the detector (`pedestal`, `noise`, `gain`, `status`, `pixel_mask`, `x`, `y`, `z`,
and `row`, `column` of each pixel in the image); `ix`, `iy` are psana's, where `ix` is the row.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.lib import format as npy

from detcore.area.files.formats import MAX_FRAMES, Contents, Options, Stack, checked_frame, native, native_type, split
from detcore.core.source import Match, TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from numpy.typing import NDArray

MAGIC: Final = b"\x93NUMPY"
ZIP: Final = b"PK\x03\x04"
# NumPy reads the header as Python source, and lets through what that raises.
BAD_HEADER = (ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError, RecursionError, MemoryError)
MAX_MEMBERS: Final = 1000
_CONSTANTS = {"ped": "pedestal", "rms": "noise", "row": "iy", "column": "ix", "ix": "iy", "iy": "ix"} | {
    name: name for name in ("pedestal", "noise", "gain", "status", "pixel_mask", "x", "y", "z")
}
_FRAMES = ("data", "frames", "raw", "images", "image", "arr_0")
_WHOLE = re.compile(r"^[^\\/]+\.npy$")


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of an array says."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int


def header_of(stream: IO[bytes], what: str) -> Header:
    """Read the head of an array.

    Raises
    ------
    UnknownFormat
        It is not NumPy's, damaged, or of Python objects.
    """
    try:
        version = npy.read_magic(stream)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0  # 3: another encoding
        shape, fortran, dtype = reader(stream)
    except BAD_HEADER as error:
        msg = f"{what}: not a readable NumPy array: {' '.join(str(error).split())[:200]}"
        raise UnknownFormat(msg) from None
    if dtype.hasobject:
        msg = f"{what}: holds Python objects, which are not loaded; save plain numbers"
        raise UnknownFormat(msg)
    if any(size < 0 for size in shape) or len(shape) > 32:
        msg = f"{what}: an impossible shape {shape}"
        raise UnknownFormat(msg)
    return Header(tuple(int(size) for size in shape), bool(fortran), dtype, stream.tell())


class NpyFrames:
    """See `Format`."""

    name: ClassVar[str] = "NumPy"
    suffixes: ClassVar[tuple[str, ...]] = (".npy", ".npz")

    def claims(self, start: bytes) -> bool:
        """Return whether the file begins as an array or as an archive."""
        return start.startswith((MAGIC, ZIP))

    def judge(self, path: str) -> Match:
        """Return generic for numbers with two to four axes."""
        try:
            contents = self.look(path, Options())
        except (OSError, ValueError) as error:
            return Match("no", " ".join(str(error).split())[:300])
        one = contents.stacks[0]
        return Match("generic", f"an array of {one.n} frames {one.shape}")

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:  # noqa: ARG002 - of one file
        """Return the frames and, of an archive, the constants."""
        with open(path, "rb") as stream:  # noqa: PTH123 - called for every file of a folder
            if stream.read(len(MAGIC)) == MAGIC:
                stream.seek(0)
                head = header_of(stream, path)
                size = int(np.prod(head.shape, dtype=object)) * head.dtype.itemsize
                there = stream.seek(0, 2) - head.offset
                stack = _stack(path, head, options, path, "")
                if there < size:
                    msg = f"{path}: cut off: {size} bytes of numbers expected, {there} are there; copy it again"
                    raise TruncatedFile(msg)
                return Contents((stack,))
        return _archive(path, options)

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape)."""
        name = str(stack.where)
        if name:
            with zipfile.ZipFile(stack.path) as archive:
                return native(_member(archive, name, stack.path).reshape(-1, *stack.shape)[rows])
        values = np.load(stack.path, mmap_mode="r", allow_pickle=False)
        return native(np.asarray(values.reshape(-1, *stack.shape)[rows]))


def _stack(path: str, head: Header, options: Options, what: str, where: str) -> Stack:
    n, shape = split(head.shape, options, what)
    shape = checked_frame(shape, head.dtype, what)
    if not 0 < n <= MAX_FRAMES:
        msg = f"{what}: has {n} frames; expected 1 to {MAX_FRAMES}"
        raise ValueError(msg)
    return Stack(path, n, shape, native_type(head.dtype), where)


def _archive(path: str, options: Options) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one.filename for one in archive.infolist() if _WHOLE.match(one.filename)]
            if not names or len(names) > MAX_MEMBERS:
                msg = f"{path}: an archive with {len(names)} NumPy arrays; expected 1 to {MAX_MEMBERS}"
                raise UnknownFormat(msg)
            heads = {}
            for name in names:
                with archive.open(name) as stream:
                    heads[name.removesuffix(".npy")] = header_of(stream, f"{path}:{name}")
            chosen = _chosen(path, heads, options)
            stack = _stack(path, heads[chosen], options, f"{path}:{chosen}", chosen)
            facts, notes = _constants(archive, path, heads, stack.shape, chosen)
            columns = _columns(archive, path, heads, stack.n)
    except (zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path}: a damaged archive: {error}; copy it again"
        raise TruncatedFile(msg) from None
    except (NotImplementedError, RuntimeError, EOFError) as error:  # encrypted, or compressed in another way
        msg = f"{path}: an archive that NumPy did not write: {error}"
        raise UnknownFormat(msg) from None
    return Contents((stack,), columns=columns, facts=facts, notes=tuple(notes))


def _chosen(path: str, heads: dict[str, Header], options: Options) -> str:
    if options.dataset:
        if options.dataset not in heads:
            msg = f"{path}: no array {options.dataset!r:.60}; there are {', '.join(list(heads)[:20])}"
            raise ValueError(msg)
        return options.dataset
    fitting = [name for name, head in heads.items() if head.dtype.kind in "biuf" and 2 <= len(head.shape) <= 4]
    others = [name for name in fitting if name not in _CONSTANTS] or fitting
    usual = [name for name in _FRAMES if name in others]
    deepest = max((len(heads[name].shape) for name in others), default=0)
    best = usual or [name for name in others if len(heads[name].shape) == deepest]
    if len(best) != 1 and not usual:
        shown = ", ".join(f"{name} {heads[name].shape}" for name in list(heads)[:10])
        msg = f"{path}: which array holds the frames? {shown}; name one with dataset="
        raise ValueError(msg)
    return best[0]


def _member(archive: zipfile.ZipFile, name: str, path: str) -> NDArray[Any]:
    """Read an array of an archive; its size is in its head, so that an archive cannot fill the memory unasked."""
    try:
        with archive.open(f"{name}.npy") as stream:
            return np.asarray(npy.read_array(stream, allow_pickle=False))
    except (*BAD_HEADER, zipfile.BadZipFile, zlib.error, OSError, KeyError) as error:
        msg = f"{path}:{name}: damaged: {' '.join(str(error).split())[:200]}; copy it again"
        raise TruncatedFile(msg) from None


def _constants(
    archive: zipfile.ZipFile, path: str, heads: dict[str, Header], shape: tuple[int, ...], chosen: str
) -> tuple[dict[str, Any], list[str]]:
    facts: dict[str, Any] = {}
    notes: list[str] = []
    for name, ours in _CONSTANTS.items():
        if name not in heads or name == chosen or heads[name].dtype.kind not in "biuf":
            continue
        if heads[name].shape[-len(shape) :] != shape or len(heads[name].shape) > len(shape) + 1:
            notes.append(f"{name} has shape {heads[name].shape}, a frame has {shape}: it is not used")
            continue
        facts.setdefault(ours, _member(archive, name, path))
    if "ix" in heads and "ix" in facts:
        notes.append("ix and iy are psana's: ix is the row")
    return facts, notes


def _columns(archive: zipfile.ZipFile, path: str, heads: dict[str, Header], n: int) -> dict[str, NDArray[Any]]:
    fitting = [name for name, head in heads.items() if head.shape == (n,) and head.dtype.kind in "biuf" and n > 1]
    return {name: native(_member(archive, name, path)) for name in fitting if name.isidentifier() and name != "data"}
