"""The pages of a TIFF file: where each is, and how it is packed. Written from the TIFF 6.0 specification (1992).

Read are grey pages of 8 to 64 bits in strips or tiles; plain, deflate or PackBits; classic and BigTIFF. ImageJ's stacks,
one page followed by the others without heads of their own, count as pages.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, Final

import numpy as np

from detcore.area.detector.model import MAX_PIXELS
from detcore.core.source import TruncatedFile, UnknownFormat

MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PLAIN, DEFLATE, PACKBITS = 1, (8, 32946), 32773
PACKINGS: Final = {
    2: "CCITT",
    3: "CCITT G3",
    4: "CCITT G4",
    5: "LZW",
    6: "JPEG",
    7: "JPEG",
    34925: "LZMA",
    50000: "zstd",
}
MAX_PAGES: Final = 1_000_000
MAX_VALUES: Final = 4_000_000  # of a tag
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_NAMES = {
    254: "kind", 256: "width", 257: "height", 258: "bits", 259: "packing", 262: "meaning", 270: "description", 272: "model",
    273: "strips", 277: "samples", 278: "rows", 279: "lengths", 317: "predictor", 322: "tile_width", 323: "tile_height",
    324: "tiles", 325: "tile_lengths", 339: "form",
}  # fmt: skip


class Unsupported(UnknownFormat):
    """A sound file whose way of storing pixels is not read here."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Parameters
    ----------
    shape
        (y, x).
    dtype
        As in the file, with its byte order.
    packing, predictor
        Numbers of the specification.
    block
        (rows, columns) of a strip or a tile.
    offsets, lengths
        Of the strips or tiles, bytes.
    description, model
        Texts.
    """

    shape: tuple[int, int]
    dtype: str
    packing: int
    predictor: int
    block: tuple[int, int]
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    description: str = ""
    model: str = ""


def pages_of(path: str) -> tuple[Page, ...]:
    """Return the pages of a file; remembered until it changes.

    Raises
    ------
    UnknownFormat
        It is damaged, or no TIFF.
    TruncatedFile
        It ends before its pages do.
    Unsupported
        Its pages are stored in another way.
    """
    facts = os.stat(path)  # noqa: PTH116 - called often
    return _pages(path, facts.st_size, facts.st_ino, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _pages(path: str, size: int, *state: int) -> tuple[Page, ...]:
    del state
    with open(path, "rb") as stream:  # noqa: PTH123 - called for every file of a folder
        try:
            return tuple(_Reader(stream, path, size).pages())
        except (struct.error, IndexError, OverflowError, ZeroDivisionError) as error:
            msg = f"{path}: a damaged TIFF file: {error}; copy it again"
            raise UnknownFormat(msg) from None


class _Reader:
    def __init__(self, stream: IO[bytes], path: str, size: int) -> None:
        self.stream, self.path, self.size = stream, path, size
        start = self.take(0, 16, partial=True)
        if start[:4] not in MAGIC:
            msg = f"{path}: no TIFF file; it begins with {start[:4]!r}"
            raise UnknownFormat(msg)
        self.order = "<" if start[:2] == b"II" else ">"
        self.big = b"+" in start[2:4]
        self.first = struct.unpack_from(f"{self.order}{'Q' if self.big else 'I'}", start, 8 if self.big else 4)[0]

    def take(self, offset: int, n: int, *, partial: bool = False) -> bytes:
        self.stream.seek(offset)
        found = self.stream.read(n)
        if len(found) < n and not partial:
            msg = f"{self.path}: cut off: {self.size} bytes are there, some are missing at {offset}; copy it again"
            raise TruncatedFile(msg)
        return found

    def pages(self) -> list[Page]:
        found: list[Page] = []
        seen: set[int] = set()
        at, odd = self.first, ""
        while at:
            if at in seen or at >= self.size or len(seen) >= MAX_PAGES:
                if found and at not in seen and len(seen) < MAX_PAGES:
                    break  # still being written: the pages so far are whole
                msg = f"{self.path}: damaged: the list of its pages leads in a circle or out of the file ({at})"
                raise UnknownFormat(msg)
            seen.add(at)
            tags, at = self.tags(at)
            if tags.get("kind", (0,))[0] & 1:  # a small copy of another page
                continue
            try:
                page = self.page(tags)
            except Unsupported as error:
                odd = odd or str(error)
                continue
            except TruncatedFile:
                if not found:
                    raise
                break
            found.append(page)
        if not found:
            msg = odd or f"{self.path}: no page"
            raise Unsupported(msg)
        return self.stack(found)

    def tags(self, at: int) -> tuple[dict[str, Any], int]:
        order, width = self.order, 20 if self.big else 12
        head = 8 if self.big else 2
        n = struct.unpack(f"{order}{'Q' if self.big else 'H'}", self.take(at, head))[0]
        if n > 65535:
            msg = f"{self.path}: damaged: a page with {n} tags"
            raise UnknownFormat(msg)
        raw = self.take(at + head, n * width)
        tags: dict[str, Any] = {}
        for i in range(n):
            line = raw[i * width : (i + 1) * width]
            number, kind = struct.unpack_from(f"{order}HH", line)
            count = struct.unpack_from(f"{order}{'Q' if self.big else 'I'}", line, 4)[0]
            name, size = _NAMES.get(number), _SIZES.get(kind, 0)
            if name is None or not size or count > MAX_VALUES:
                continue
            inside = 8 if self.big else 4
            where = line[-inside:]
            if size * count > inside:
                where = self.take(struct.unpack(f"{order}{'Q' if self.big else 'I'}", where)[0], size * count)
            if kind == 2:
                tags[name] = where[:count].split(b"\0")[0].decode("latin-1")
            elif kind in _CODES:
                tags[name] = struct.unpack_from(f"{order}{count}{_CODES[kind]}", where)
        following = self.take(at + head + n * width, 8 if self.big else 4, partial=True)
        whole = len(following) == (8 if self.big else 4)
        return tags, struct.unpack(f"{order}{'Q' if self.big else 'I'}", following)[0] if whole else 0

    def page(self, tags: dict[str, Any]) -> Page:
        def one(name: str, default: int = 0) -> int:
            values = tags.get(name)
            return int(values[0]) if values and not isinstance(values, str) else default

        height, width = one("height"), one("width")
        bits, form, packing, predictor = one("bits", 1), one("form", 1), one("packing", 1), one("predictor", 1)
        if not 0 < height * width <= MAX_PIXELS:
            msg = f"{self.path}: a page of {height} x {width} pixels; expected 1 to {MAX_PIXELS}"
            raise UnknownFormat(msg)
        kind = {1: "u", 2: "i", 3: "f"}.get(form)
        odd = {
            f"{one('samples', 1)} colours": one("samples", 1) != 1 or one("meaning", 1) not in {0, 1},
            f"{bits} bits of kind {form}": kind is None or bits not in {8, 16, 32, 64} or (kind == "f" and bits == 8),
            f"compression {PACKINGS.get(packing, packing)}": packing not in {PLAIN, PACKBITS, *DEFLATE},
            f"predictor {predictor}": predictor not in {1, 2} or (predictor == 2 and kind == "f"),
        }
        if any(odd.values()):
            why = ", ".join(name for name, found in odd.items() if found)
            msg = f"{self.path}: TIFF with {why}, which is not read: save it as plain grey, or install fabio"
            raise Unsupported(msg)
        tiled = "tiles" in tags
        block = (
            (one("tile_height"), one("tile_width")) if tiled else (min(one("rows", height) or height, height), width)
        )
        offsets, lengths = (
            tags.get("tiles" if tiled else "strips", ()),
            tags.get("tile_lengths" if tiled else "lengths", ()),
        )
        n = -(-height // block[0]) * -(-width // block[1])
        if len(offsets) == 1 and len(lengths) != 1 and packing == PLAIN:
            lengths = (height * width * bits // 8,)  # some writers leave it out
        if len(offsets) < n or len(lengths) < n:
            msg = f"{self.path}: damaged: {n} strips expected, {len(offsets)} are listed"
            raise UnknownFormat(msg)
        end = max(start + length for start, length in zip(offsets[:n], lengths[:n], strict=True))
        if end > self.size:
            msg = f"{self.path}: cut off: {self.size} of {end} bytes are there; copy it again"
            raise TruncatedFile(msg)
        return Page(
            (height, width), f"{self.order}{kind}{bits // 8}", packing, predictor, block, tuple(offsets[:n]),
            tuple(lengths[:n]), tags.get("description", "") or "", tags.get("model", "") or "",
        )  # fmt: skip

    def stack(self, found: list[Page]) -> list[Page]:
        """Return the pages of an ImageJ stack, which has one head for all."""
        page = found[0]
        words = re.search(r"^images=(\d{1,7})$", page.description, re.MULTILINE)
        if len(found) > 1 or not page.description.startswith("ImageJ=") or words is None or page.packing != PLAIN:
            return found
        size = page.shape[0] * page.shape[1] * np.dtype(page.dtype).itemsize
        n = min(int(words[1]), (self.size - page.offsets[0]) // size)
        return [
            Page(page.shape, page.dtype, PLAIN, 1, page.shape, (page.offsets[0] + i * size,), (size,), page.description)
            for i in range(n)
        ] or found
