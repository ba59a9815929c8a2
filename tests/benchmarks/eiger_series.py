"""Eiger series of any size for benchmarks; `python tests/benchmarks/eiger_series.py A FOLDER` writes one of the sets."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIGH = 4500
DIFFERENT = 6  # frames that are drawn; a long series repeats them, with drops and a spike among them
SHAPES = {"500K": (514, 1030), "4M": (2167, 2070), "16M": (4371, 4150)}  # Eiger 1, (rows, columns)
MODULE, GAP = (514, 1030), (37, 10)


@dataclass(frozen=True)
class Kind:
    """What a series is made of."""

    model: str
    dtype: str
    frames: int
    real: bool = False


KINDS = {
    "A": Kind("4M", "uint16", 120),
    "B": Kind("4M", "uint32", 120),
    "C": Kind("4M", "uint32", 40, real=True),
    "D": Kind("16M", "uint32", 16),
    "small": Kind("500K", "uint16", 480),
}


@dataclass(frozen=True)
class Written:
    """A series and what is in it."""

    master: Path
    data: tuple[Path, ...]
    sums: NDArray[np.int64]
    """(frame,) over the unmasked pixels up to HIGH."""
    pixel_mask: NDArray[np.uint32]
    dtype: str


def gaps(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (y, x), true between the modules."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y % (MODULE[0] + GAP[0]) >= MODULE[0]) | (x % (MODULE[1] + GAP[1]) >= MODULE[1])


def expectation(kind: Kind) -> NDArray[np.float64]:
    """Return the mean counts of each pixel: 0.36 of diffuse scatter, or those of the real frame."""
    shape = SHAPES[kind.model]
    if kind.real:
        path = Path(os.environ.get("DETCORE_SHARED", Path(__file__).parents[3] / "shared"))
        path = path / "data" / "eiger" / "real_eiger4m_u32_bslz4_1frame.h5"
        if path.is_file():
            with h5py.File(path) as file:
                return file["entry/data/data"][0].astype(np.float64)
    y, x = np.ogrid[: shape[0], : shape[1]]
    radius = np.hypot(y / shape[0] - 0.5, x / shape[1] - 0.5)
    return np.exp(-4 * radius) / np.exp(-4 * radius).mean() * (40 if kind.real else 0.36)


def write(kind: Kind, folder: Path, frames: int | None = None, per_file: int = 40, seed: int = 1) -> Written:
    """Write master and data files, bitshuffle-LZ4; the real frame's pixels beyond HIGH stay as they are."""
    rng, dtype = np.random.default_rng(seed), np.dtype(kind.dtype)
    ones, mean, frames = np.iinfo(dtype).max, expectation(kind), frames or kind.frames
    pixel_mask = (gaps(mean.shape) | (mean >= ones)).astype(np.uint32)
    drawn = np.where(mean > HIGH, 0, mean)
    pictures = []
    for scale in (1.0,) * (DIFFERENT - 2) + (0.05, 2.0):
        picture = rng.poisson(drawn * scale).astype(dtype)
        picture[mean > HIGH] = mean[mean > HIGH].astype(dtype)
        picture[pixel_mask > 0] = ones
        pictures.append(picture)
    sums = np.array([one[(pixel_mask == 0) & (one <= HIGH)].sum(dtype=np.int64) for one in pictures])
    which = np.arange(frames) % (DIFFERENT - 2)
    if frames > 8:
        which[[frames // 3, frames // 2]] = DIFFERENT - 2  # two drops
        which[frames // 4] = DIFFERENT - 1  # a spike
    stored = _stored(pictures)
    data = []
    for number, start in enumerate(range(0, frames, per_file), start=1):
        data.append(folder / f"bench_data_{number:06d}.h5")
        stop = min(frames, start + per_file)
        with h5py.File(data[-1], "w") as file:
            item = _dataset(file, "entry/data/data", pictures[0], stop - start)
            item.attrs["image_nr_low"], item.attrs["image_nr_high"] = start + 1, stop
            for place in range(start, stop):
                item.id.write_direct_chunk((place - start, 0, 0), stored[which[place]])
    master = folder / "bench_master.h5"
    with h5py.File(master, "w") as file:
        for number, path in enumerate(data, start=1):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(path.name, "/entry/data/data")
        detector = file.create_group("entry/instrument/detector")
        detector["bit_depth_image"] = 8 * dtype.itemsize
        detector["frame_time"] = detector["count_time"] = 1 / 133
        detector["pixel_mask_applied"] = 1
        specific = detector.create_group("detectorSpecific")
        specific["nimages"], specific["ntrigger"] = frames, 1
        specific.create_dataset("pixel_mask", data=pixel_mask, **hdf5plugin.Bitshuffle())
    return Written(master, tuple(data), sums[which], pixel_mask, kind.dtype)


def _dataset(file: h5py.File, name: str, picture: NDArray[Any], frames: int) -> h5py.Dataset:
    shape = (frames, *picture.shape)
    return file.create_dataset(name, shape, picture.dtype, chunks=(1, *picture.shape), **hdf5plugin.Bitshuffle())


def _stored(pictures: list[NDArray[Any]]) -> list[bytes]:
    """Compress each frame once."""
    with h5py.File.in_memory() as file:
        item = _dataset(file, "data", pictures[0], len(pictures))
        for place, picture in enumerate(pictures):
            item[place] = picture
        return [item.id.read_direct_chunk((place, 0, 0))[1] for place in range(len(pictures))]


if __name__ == "__main__":
    write(KINDS[sys.argv[1]], Path(sys.argv[2]))
