"""Frames in TIFF files, one or many to a file, one or many files to a run."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from detcore.area.files.countertext import facts_of_text
from detcore.area.files.fabioframes import FabioFrames
from detcore.area.files.formats import (
    Contents,
    Options,
    Stack,
    guess_type,
    native,
    native_type,
    sentinels,
    split,
    valid_limits,
)
from detcore.area.files.tiffindex import DEFLATE, MAGIC, PACKBITS, PLAIN, Page, Unsupported, pages_of
from detcore.core.source import Match, Problem, TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OTHERS = "fabio"  # in place of our own pages


class TiffFrames:
    """See `Format`."""

    name: ClassVar[str] = "TIFF"
    suffixes: ClassVar[tuple[str, ...]] = (".tif", ".tiff")

    def claims(self, start: bytes) -> bool:
        """Return whether the file begins as a classic or big TIFF."""
        return start.startswith(MAGIC)

    def judge(self, path: str) -> Match:
        """Return generic for grey pages."""
        try:
            one = self.look(path, Options()).stacks[0]
        except (OSError, ValueError) as error:
            return Match("no", " ".join(str(error).split())[:300])
        return Match("generic", f"{one.n} grey pages {one.shape}")

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:
        """Return the pages that look like the first; what TIFF cannot tell is read by fabio, if it is there."""
        try:
            pages = pages_of(path)
        except Unsupported:
            if FabioFrames.there():
                return FabioFrames().look(path, options, peers)
            raise
        model = pages[0]
        alike = [i for i, one in enumerate(pages) if (one.shape, one.dtype) == (model.shape, model.dtype)]
        problems: tuple[Problem, ...] = ()
        if len(alike) < len(pages):
            reason = f"{len(pages) - len(alike)} of {len(pages)} pages are not {model.dtype} {model.shape}: left out"
            problems = (Problem(path, reason, 0),)
        _, shape = split(model.shape, options, path)
        dtype = np.dtype(model.dtype)
        notes: list[str] = []
        facts = facts_of_text(model.description)
        facts["type"] = guess_type(model.model, model.description)
        facts |= valid_limits(facts["type"], dtype, notes) or sentinels(_page(path, pages[0]), notes)
        stack = Stack(path, len(alike), shape, native_type(dtype), tuple(alike) if problems else None)
        return Contents((stack,), problems, facts=facts, notes=tuple(notes))

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape)."""
        chosen: Any = stack.where
        if chosen == OTHERS:
            return FabioFrames().read(stack, rows)
        pages = pages_of(stack.path)
        wanted = range(stack.n) if chosen is None else chosen
        if len(pages) < len(wanted):
            msg = f"{stack.path}: has fewer pages than before; open it again"
            raise TruncatedFile(msg)
        return np.stack([_page(stack.path, pages[i]) for i in wanted[rows]]).reshape(-1, *stack.shape)


def _page(path: str, page: Page) -> NDArray[Any]:
    """Return one page (y, x) in native byte order."""
    dtype, (height, width) = np.dtype(page.dtype), page.shape
    image = np.empty(page.shape, dtype.newbyteorder("="))
    across = -(-width // page.block[1])
    with open(path, "rb") as stream:  # noqa: PTH123 - called for every frame
        for i, (offset, length) in enumerate(zip(page.offsets, page.lengths, strict=True)):
            top, left = i // across * page.block[0], i % across * page.block[1]
            high = min(page.block[0], height - top) if across == 1 and page.block[1] == width else page.block[0]
            block = _block(stream, path, page, offset, length, (high, page.block[1]))
            image[top : top + page.block[0], left : left + page.block[1]] = block[: height - top, : width - left]
    return image


def _block(stream: IO[bytes], path: str, page: Page, offset: int, length: int, shape: tuple[int, int]) -> NDArray[Any]:
    dtype = np.dtype(page.dtype)
    size = shape[0] * shape[1] * dtype.itemsize
    stream.seek(offset)
    raw = stream.read(min(length, size) if page.packing == PLAIN else length)
    if page.packing in DEFLATE:
        try:
            raw = zlib.decompressobj().decompress(raw, size)
        except zlib.error as error:
            msg = f"{path}: damaged: {error}; copy it again"
            raise UnknownFormat(msg) from None
    elif page.packing == PACKBITS:
        raw = unpacked(raw, size)
    if len(raw) < size:
        msg = f"{path}: {len(raw)} of {size} bytes of a strip are there; copy it again"
        raise TruncatedFile(msg)
    block = np.frombuffer(raw, dtype, shape[0] * shape[1]).reshape(shape)
    if page.predictor == 2:
        return np.cumsum(block, axis=1, dtype=dtype.newbyteorder("="))
    return native(block)


def unpacked(raw: bytes, size: int) -> bytes:
    r"""Undo PackBits: a byte n up to 127 is followed by n + 1 bytes as they are, one above 128 by one that is repeated.

    Examples
    --------
    >>> unpacked(bytes([1, 5, 6, 254, 9]), 5)
    b'\x05\x06\t\t\t'
    """
    result, at = bytearray(), 0
    while at < len(raw) and len(result) < size:
        n = raw[at]
        if n < 128:
            result += raw[at + 1 : at + 2 + n]
            at += n + 2
        elif n > 128:
            result += raw[at + 1 : at + 2] * (257 - n)
            at += 2
        else:
            at += 1
    return bytes(result[:size])
