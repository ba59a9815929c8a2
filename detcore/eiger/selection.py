"""Which pixels count, as bits that the kernels take: packed once for a source, shared by all its states."""

from __future__ import annotations

import hashlib
import threading
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.eiger.words import Selection
from detcore.image import good_pixels

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from detcore.image import AnyRegion

KEPT = 8  # selections that are remembered: those of the tabs and series that are open at a time


@dataclass(frozen=True, eq=False)
class Pixels:
    """Good pixels of a frame, and of regions in it.

    Parameters
    ----------
    shape
        (rows, columns).
    packed
        For the kernels. A region that is the whole frame is not in it.
    columns
        Where each region is in what the kernels give: 0 the frame, then the packed regions.
    digest
        Of the pixel mask; "none" without.
    n_masked
        Pixels that it rejects.
    """

    shape: tuple[int, int]
    packed: Selection
    columns: tuple[int, ...]
    digest: str
    n_masked: int

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """(pixel,) the good ones, a byte each."""
        size = self.shape[0] * self.shape[1]
        return np.unpackbits(self.packed.keep.view(np.uint8), count=size, bitorder="little").view(np.bool_)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # never changed, and large

    @classmethod
    def of(cls, shape: tuple[int, int], pixel_mask: NDArray[np.uint32] | None, regions: tuple[AnyRegion, ...]) -> Self:
        """Pack.

        Raises
        ------
        ValueError
            The pixel mask has another shape than the frames.
        """
        good = np.ones(shape, np.bool_)
        digest = "none"
        if pixel_mask is not None:
            if pixel_mask.shape != shape:
                msg = f"the pixel mask is {pixel_mask.shape}, the frames are {shape}; is it of another detector?"
                raise ValueError(msg)
            good = good_pixels(pixel_mask)
            digest = hashlib.blake2b(np.ascontiguousarray(pixel_mask).data, digest_size=8).hexdigest()
        keep = _bits(good)
        columns, totals, parts = [], [int(good.sum())], []
        for region in regions:
            bits = _bits(region.to_mask(shape)) & keep
            if np.array_equal(bits, keep):
                columns.append(0)
                continue
            parts.append(bits)
            totals.append(int(np.bitwise_count(bits).sum()))
            columns.append(len(parts))
        first, place, runs, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [0], [np.zeros(0, np.uint64)]
        for bits in parts:
            there = np.diff(np.concatenate([[False], bits != 0, [False]]).astype(np.int8))
            starts, stops = np.flatnonzero(there > 0), np.flatnonzero(there < 0)
            first.append(starts.astype(np.uint64))
            place.append(stops - starts)
            runs.append(runs[-1] + len(starts))
            words.append(bits[bits != 0])
        packed = Selection(
            keep,
            np.array(totals, np.int64),
            np.concatenate(first),
            np.concatenate([[0], np.cumsum(np.concatenate(place))]).astype(np.uint64),
            np.array(runs, np.uint64),
            np.concatenate(words),
        )
        return cls(shape, packed, tuple(columns), digest, int(good.size - good.sum()))


def _bits(good: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack (y, x) into (word,), the first pixel in the lowest bit."""
    packed = np.packbits(good.ravel(), bitorder="little")
    return np.pad(packed, (0, -len(packed) % 8)).view("<u8").astype(np.uint64, copy=False)


_known: list[tuple[Any, Any, Pixels]] = []
_guard = threading.Lock()


def pixels_of(shape: tuple[int, int], pixel_mask: NDArray[np.uint32] | None, regions: tuple[AnyRegion, ...]) -> Pixels:
    """Return `Pixels.of`, remembered: a worker asks for it each time that it begins a state.

    Masks are told apart by identity, which is instant; an equal one that was read again is packed again.
    """
    with _guard:
        for place, (mine, key, pixels) in enumerate(_known):
            same = mine is None if pixel_mask is None else mine is not None and mine() is pixel_mask
            if same and key == (shape, regions):
                _known.append(_known.pop(place))
                return pixels
        pixels = Pixels.of(shape, pixel_mask, regions)
        _known.append((weakref.ref(pixel_mask) if pixel_mask is not None else None, (shape, regions), pixels))
        del _known[:-KEPT]
        return pixels
