"""What is accumulated over frames. Counts and sums are exact integers.

A chunk has, along `frame`: `frame_number` (int64, from 1), `payload_size` (int64, bytes) and, if the file has them,
`start_time` (float64, s); and `payload` (uint8), the stored bytes of the frames one after the other. Its attributes
are `encoding` (bslz4, lz4 or raw), `dtype` of the source, `shape` (rows, columns) and `file`; those of the schema also
`pixel_mask` (uint32 raster or None) and `metadata` (dict).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from detcore.core.parameters import Parameters
from detcore.core.reduction import Reduction
from detcore.core.schema import FRAME
from detcore.core.source import natural
from detcore.eiger import kernels, lz4
from detcore.eiger.bitplanes import FAULTS, reduce_frames
from detcore.eiger.selection import Pixels, pixels_of
from detcore.eiger.words import HIGH, LOW, MOMENT_X, MOMENT_Y, SATURATED, SUM, VALID, Result
from detcore.eiger.words import Limits as Thresholds
from detcore.image import AnyRegion

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

MAX_REGIONS = 32
PIECES = 64  # so many are joined to one
COUNTS = {"sum": SUM, "n_valid": VALID, "n_low": LOW, "n_high": HIGH}
UNITS = {"sum": "counts", "n_valid": "pixels", "n_low": "pixels", "n_high": "pixels"}
MEANING = {
    "sum": "sum of the kept pixels",
    "n_valid": "kept pixels",
    "n_low": "pixels below the lower limit",
    "n_high": "pixels above the upper limit, overflowed ones among them",
}


class Limits(Parameters):
    """Which pixels are summed: what the command line and the tab share."""

    low: int = Field(0, ge=0, description="Smallest value that counts (inclusive)")
    high: int = Field(4500, ge=0, description="Largest value that counts (inclusive)")
    pixel_mask: bool = Field(True, description="Leave out masked and overflowed pixels; without: the limits alone")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            msg = f"low is {self.low} and high {self.high}; expected low <= high"
            raise ValueError(msg)
        return self


class NamedRegion(Parameters):
    """A region with the name that it has in results."""

    name: str = Field(description="For people; each only once", min_length=1, max_length=200)
    region: AnyRegion


@dataclass(eq=False)
class Frames:
    """State: a few numbers of each frame, and images if they are wanted.

    Parameters
    ----------
    pixels
        Which count.
    facts
        Attributes of the result.
    dtype
        Of the source.
    pieces
        One for each chunk, later joined: (frame,) columns by name.
    """

    pixels: Pixels
    facts: dict[str, Any]
    dtype: str
    pieces: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    timed: bool = False
    images: int = 0
    image: NDArray[np.uint64] | None = None
    missing: NDArray[np.uint64] | None = None
    lengths: NDArray[np.int64] | None = None

    def make_room(self, frames: int, largest: int) -> None:
        """Give the bit-sliced images the planes that so many frames of values up to `largest` need."""
        words = len(self.pixels.packed.keep)
        for name, bits in (("image", max(1, (frames * largest).bit_length())), ("missing", frames.bit_length())):
            image = getattr(self, name)
            if len(image) < bits:
                setattr(self, name, np.concatenate([image, np.zeros((bits - len(image), words), np.uint64)]))


class Intensity(Limits, Reduction):
    """Sum of each frame, and of regions in it, over the pixels within limits.

    Kept are pixels with low <= value <= high that the detector's pixel mask does not reject and that are not all ones
    (overflowed). With ``pixel_mask=False`` the limits alone count; gaps then vanish only if their value is above
    `high`, which it is not for 8-bit data.

    Gives `sum`, `n_valid`, `n_low`, `n_high` (frame) or (frame, region), `n_saturated` (frame), `start_time` (frame)
    if known; with `centre` `center_x`, `center_y` (frame); with `mean_image` that (y, x), over the frames in which the
    pixel was kept, and `image_frames`; with `histogram` `value_counts` (value_bin), unmasked values by their bit
    length, and `n_overflow`. It grows by some fifty bytes for each frame and thirty for each region in it.
    """

    regions: tuple[NamedRegion, ...] = Field((), description="Regions instead of the frame", max_length=MAX_REGIONS)
    mean_image: bool = Field(False, description="Also the mean image")
    centre: bool = Field(False, description="Also the centre of mass of each frame")
    histogram: bool = Field(False, description="Also the pixels by the bit length of their value")
    last: int | None = Field(None, description="Keep only so many frames, the last ones", gt=0)

    @field_validator("regions")
    @classmethod
    def _told_apart(cls, regions: tuple[NamedRegion, ...]) -> tuple[NamedRegion, ...]:
        names = [one.name for one in regions]
        again = sorted({name for name in names if names.count(name) > 1})
        if again:
            msg = f"two regions are called {again[0]!r}; rename one of them"
            raise ValueError(msg)
        return regions

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset(
            {"frame_number", "payload", "payload_size"} | ({"start_time"} & set(map(str, schema.data_vars)))
        )

    @override
    def empty(self, schema: xr.Dataset) -> Frames:
        shape = (int(schema.attrs["shape"][0]), int(schema.attrs["shape"][1]))
        pixel_mask = schema.attrs.get("pixel_mask") if self.pixel_mask else None
        pixels = pixels_of(shape, pixel_mask, tuple(one.region for one in self.regions))
        facts = dict(schema.attrs.get("metadata") or {}) | {
            "low": self.low,
            "high": self.high,
            "pixel_mask": "pixel_mask" if self.pixel_mask else "original",
            "mask_hash": pixels.digest,
            "n_masked": pixels.n_masked,
            "dtype": schema.attrs["dtype"],
            "shape": shape,
        }
        state = Frames(pixels, facts, schema.attrs["dtype"], timed="start_time" in schema)
        words = len(pixels.packed.keep)
        if self.mean_image:
            state.image, state.missing = np.zeros((0, words), np.uint64), np.zeros((0, words), np.uint64)
        if self.histogram:
            state.lengths = np.zeros(66, np.int64)
        return state

    @override
    def update(self, state: Frames, chunk: xr.Dataset) -> None:
        n, shape = chunk.sizes[FRAME], (int(chunk.attrs["shape"][0]), int(chunk.attrs["shape"][1]))
        if shape != state.pixels.shape:
            msg = f"{chunk.attrs['file']}: its frames are {shape}, those of the series {state.pixels.shape}"
            raise ValueError(msg)
        if n == 0:
            return
        payload, sizes, dtype = _stored(chunk)
        thresholds, state_counts = self._thresholds(state, dtype), 1 + _packed(state)
        counts, extra = np.zeros((n, state_counts, 4), np.uint64), np.zeros((n, 3), np.uint64)
        if state.image is not None:
            state.images += n
            state.make_room(state.images, min(self.high, 2**32 - 1))
        lengths = np.zeros(66 if self.histogram else 0, np.int64)
        none = np.zeros((0, 0), np.uint64)
        result = Result(
            counts,
            extra,
            none if state.image is None else state.image,
            none if state.missing is None else state.missing,
            lengths,
            shape[1] if self.centre else 0,
        )
        encoding, fault = chunk.attrs["encoding"], np.zeros(5, np.int64)
        pixels = shape[0] * shape[1]
        if encoding == "bslz4":
            packed = state.pixels.packed
            reduce_frames(payload, sizes, lz4.decoder(), dtype.itemsize, pixels, thresholds, packed, result, fault)
        else:
            _reduce_plain(payload, sizes, encoding, dtype, thresholds, state.pixels, result, fault)
        if fault[0]:
            raise ValueError(_words(chunk, fault))
        if state.lengths is not None:
            kept = int(state.pixels.packed.total[0])
            lengths[0] = n * kept - lengths[1:65].sum()
            lengths[8 * dtype.itemsize] -= lengths[65]
            state.lengths += lengths
        state.timed |= "start_time" in chunk
        columns = list(state.pixels.columns) or [0]
        state.pieces.append(
            {
                "frame": chunk.variables["frame_number"].values.astype(np.int64),
                "file": np.full(n, _number(state.files, chunk.attrs["file"]), np.int32),
                "time": chunk.variables["start_time"].values.astype(np.float64)
                if "start_time" in chunk
                else np.full(n, np.nan),
                "counts": counts[:, columns].astype(np.int64),
                "extra": np.column_stack([extra, counts[:, 0, SUM]]),
            }
        )
        if len(state.pieces) > PIECES:
            state.pieces = [self._joined(state)]

    def _thresholds(self, state: Frames, dtype: np.dtype[Any]) -> Thresholds:
        """Clamp the limits to what the type can hold; only then they can be compared bit by bit."""
        ones = 2 ** (8 * dtype.itemsize) - 1
        largest = ones - 1 if self.pixel_mask else ones
        known = state.facts.get("saturation_value")
        saturated = min(int(known), ones) if known and known > 0 else ones
        return Thresholds(np.uint64(min(self.low, ones + 1)), np.uint64(min(self.high, largest)), np.uint64(saturated))

    @override
    def merge(self, state: Frames, other: Frames) -> None:
        places = np.array([_number(state.files, file) for file in other.files], np.int32)
        state.pieces += [piece | {"file": places[piece["file"]]} for piece in other.pieces]
        state.timed |= other.timed
        if state.image is not None and other.image is not None and state.missing is not None:
            state.images += other.images
            state.make_room(state.images, min(self.high, 2**32 - 1))
            kernels.add_images(state.image, other.image)
            kernels.add_images(state.missing, other.missing)
        if state.lengths is not None and other.lengths is not None:
            state.lengths += other.lengths
        if self.last or len(state.pieces) > PIECES:
            state.pieces = [self._joined(state)]

    def _joined(self, state: Frames) -> dict[str, NDArray[Any]]:
        """Put the frames in order, each once; of two of the same number that of the first file stays."""
        empty = {
            "frame": np.zeros(0, np.int64),
            "file": np.zeros(0, np.int32),
            "time": np.zeros(0, np.float64),
            "counts": np.zeros((0, len(state.pixels.columns) or 1, 4), np.int64),
            "extra": np.zeros((0, 4), np.uint64),
        }
        whole = {name: np.concatenate([none, *(piece[name] for piece in state.pieces)]) for name, none in empty.items()}
        rank = np.empty(len(state.files), np.int64)
        rank[sorted(range(len(state.files)), key=lambda number: natural(state.files[number]))] = np.arange(len(rank))
        order = np.lexsort([rank[whole["file"]], whole["frame"]])
        frames = whole["frame"][order]
        order = order[np.concatenate([[True], frames[1:] != frames[:-1]])] if len(order) else order
        order = order[-self.last :] if self.last else order
        return {name: column[order] for name, column in whole.items()}

    @override
    def finalize(self, state: Frames) -> xr.Dataset:
        whole = self._joined(state)
        dims: tuple[str, ...] = (FRAME, "region") if self.regions else (FRAME,)
        coords: dict[str, Any] = {FRAME: whole["frame"]}
        if self.regions:
            coords["region"] = np.array([one.name for one in self.regions], dtype=object)
        counts, extra = whole["counts"] if self.regions else whole["counts"][:, 0], whole["extra"]
        data: dict[str, Any] = {
            name: (dims, counts[..., column].copy(), {"units": UNITS[name], "long_name": MEANING[name]})
            for name, column in COUNTS.items()
        }
        what = {"units": "pixels", "long_name": "unmasked pixels at or above saturation"}
        data["n_saturated"] = (FRAME, extra[:, SATURATED].astype(np.int64), what)
        if self.centre:
            total = np.where(extra[:, 3] > 0, extra[:, 3].astype(np.float64), np.nan)
            for name, column in (("center_x", MOMENT_X), ("center_y", MOMENT_Y)):
                data[name] = (FRAME, extra[:, column] / total, {"units": "pixel"})
        if state.timed:
            data["start_time"] = (FRAME, whole["time"], {"units": "s"})
        if state.image is not None:
            mean = np.empty(state.pixels.shape, np.float32)
            kernels.mean_of(state.image, state.missing, state.images, mean.reshape(-1))
            mean.reshape(-1)[~state.pixels.good] = np.nan
            data["mean_image"] = (("y", "x"), mean, {"units": "counts"})
            data["image_frames"] = ((), state.images)
        if state.lengths is not None:
            bins = 8 * np.dtype(state.dtype).itemsize + 1
            bins = max(bins, int(np.max(np.flatnonzero(state.lengths[:65]), initial=0)) + 1)
            data["value_counts"] = ("value_bin", state.lengths[:bins].copy(), {"units": "pixels"})
            data["n_overflow"] = ((), int(state.lengths[65]), {"units": "pixels"})
            coords["value_bin"] = np.arange(bins)
        return xr.Dataset(data, coords, attrs=dict(state.facts))


def _packed(state: Frames) -> int:
    """Return the number of regions that the kernels know."""
    return len(state.pixels.packed.runs) - 1


def _number(files: list[str], file: str) -> int:
    if file not in files:
        files.append(file)
    return files.index(file)


def _stored(chunk: xr.Dataset) -> tuple[NDArray[np.uint8], NDArray[np.int64], np.dtype[Any]]:
    """Return payload, sizes and type of the pixels; integers of 64 bits become 32.

    Raises
    ------
    ValueError
        The type is not one of whole numbers, the encoding unknown, or the sizes are not those of the payload.
    """
    file, encoding, dtype = chunk.attrs["file"], chunk.attrs["encoding"], np.dtype(chunk.attrs["dtype"])
    payload = np.ascontiguousarray(chunk.variables["payload"].values)
    sizes = chunk.variables["payload_size"].values.astype(np.int64)
    if dtype.kind not in "ui" or (dtype.itemsize == 8 and encoding != "raw"):
        msg = f"{file}: {dtype} pixels, {encoding}; expected whole numbers of 8, 16 or 32 bits"
        raise ValueError(msg)
    if encoding not in {"bslz4", "lz4", "raw"}:
        msg = f"{file}: encoding {encoding!r}; expected bslz4, lz4 or raw"
        raise ValueError(msg)
    if payload.dtype != np.uint8 or (sizes < 0).any() or sizes.sum() != len(payload):
        msg = f"{file}: its frames take {sizes.sum()} bytes, found {len(payload)} of {payload.dtype}"
        raise ValueError(msg)
    if dtype.itemsize == 8 and len(payload) % 8 == 0:
        # what does not fit is a marker: all ones, as -1 is
        payload = np.minimum(payload.view("<u8"), 2**32 - 1).astype("<u4").view(np.uint8)
        return payload, sizes // 2, np.dtype(np.uint32)
    return payload, sizes, np.dtype(f"uint{8 * dtype.itemsize}")


def _reduce_plain(
    payload: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    encoding: str,
    dtype: np.dtype[Any],
    thresholds: Thresholds,
    pixels: Pixels,
    result: Result,
    fault: NDArray[np.int64],
) -> None:
    """Reduce frames without bit planes: compare and add if that is all, else split them into planes."""
    size, simple = pixels.shape[0] * pixels.shape[1], not (len(pixels.packed.runs) > 1 or result.columns)
    simple = simple and not (len(result.image) or len(result.lengths))
    buffer, end = np.empty(size * dtype.itemsize, np.uint8), 0
    for number, stored in enumerate(sizes.tolist()):
        start, end = end, end + stored
        frame = payload[start:end]
        if encoding == "lz4":
            kernels.unpack(frame, lz4.decoder(), buffer, fault)
            frame = buffer
        if not fault[0] and simple and len(frame) == len(buffer):
            values = np.require(frame, requirements="A").view(dtype) if start % dtype.itemsize == 0 else None
            values = frame.copy().view(dtype) if values is None else values
            total = pixels.packed.total[0]
            kernels.sum_values(values, pixels.good, total, thresholds, result.counts[number, 0], result.extra[number])
        elif not fault[0]:
            one = result._replace(counts=result.counts[number : number + 1], extra=result.extra[number : number + 1])
            length = np.array([len(frame)], np.int64)
            reduce_frames(frame, length, 0, dtype.itemsize, size, thresholds, pixels.packed, one, fault)
        if fault[0]:
            fault[4] = number
            return


def _words(chunk: xr.Dataset, fault: NDArray[np.int64]) -> str:
    """Say what is wrong with a frame."""
    which, block, found, expected, frame = fault.tolist()
    reason = FAULTS[which].format(at=block, found=found, expected=expected)
    number = int(chunk.variables["frame_number"].values[frame])
    return f"{chunk.attrs['file']}: frame {number} is corrupt: {reason}"
