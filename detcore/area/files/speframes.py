"""Frames in SPE files of Princeton Instruments' cameras (WinView 2.x, LightField 3.0): a head of 4100 bytes, then pixels.

Offsets are those of the maker's description of the format. Frames with numbers of their own between the pixels, and several
regions of the sensor, are refused rather than read wrongly.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from detcore.area.files.formats import MAX_FRAMES, Contents, Options, Stack, checked_frame, native, native_type, split
from detcore.core.source import Match, TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HEAD: Final = 4100
_TYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "<u1", 8: "<u4"}
_WIDTH, _TYPE, _HEIGHT, _END, _FRAMES, _VERSION, _MARK = 42, 108, 656, 678, 1446, 1992, 4098


class SpeFrames:
    """See `Format`."""

    name: ClassVar[str] = "SPE"
    suffixes: ClassVar[tuple[str, ...]] = (".spe",)

    def claims(self, start: bytes) -> bool:
        """Return whether sizes, type and either the mark at the end of the head or a version are where they belong."""
        if len(start) < HEAD:
            return False
        version = float(np.frombuffer(start, "<f4", 1, _VERSION)[0])
        sizes = _number(start, "<u2", _WIDTH) and _number(start, "<u2", _HEIGHT)
        known = _number(start, "<i2", _TYPE) in _TYPES
        return bool(sizes and known and (_number(start, "<u2", _MARK) == 0x5555 or 1.0 <= version < 4.0))

    def judge(self, path: str) -> Match:
        """Return generic for sound files."""
        try:
            one = self.look(path, Options()).stacks[0]
        except (OSError, ValueError) as error:
            return Match("no", " ".join(str(error).split())[:300])
        return Match("generic", f"{one.n} frames {one.shape} of a camera")

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:  # noqa: ARG002 - of one file
        """Return the frames."""
        with open(path, "rb") as stream:  # noqa: PTH123 - called for every file of a folder
            head = stream.read(HEAD)
            size = os.fstat(stream.fileno()).st_size
        dtype = np.dtype(_TYPES[_number(head, "<i2", _TYPE)])
        stored = _number(head, "<u2", _HEIGHT), _number(head, "<u2", _WIDTH)
        _, shape = split(checked_frame(stored, dtype, path), options, path)
        n, end = _number(head, "<i4", _FRAMES), _number(head, "<i8", _END)
        frame = stored[0] * stored[1] * dtype.itemsize
        if not 0 < n <= MAX_FRAMES:
            msg = f"{path}: says that it has {n} frames; expected 1 to {MAX_FRAMES}"
            raise UnknownFormat(msg)
        if HEAD + n * frame > size:
            msg = f"{path}: cut off: {HEAD + n * frame} bytes expected, {size} are there; copy it again"
            raise TruncatedFile(msg)
        if end and end != HEAD + n * frame:
            msg = (
                f"{path}: SPE 3 with several regions, or numbers between the frames, which is not read; export as TIFF"
            )
            raise UnknownFormat(msg)
        return Contents((Stack(path, n, shape, native_type(dtype), dtype.str),))

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape)."""
        values = np.memmap(stack.path, str(stack.where), "r", HEAD, (stack.n, *stack.shape))
        return native(np.asarray(values[rows]))


def _number(head: bytes, dtype: str, offset: int) -> int:
    return int(np.frombuffer(head, dtype, 1, offset)[0])
