"""Samples of the Eiger reduction: frames of every encoding, in one or several files."""

from __future__ import annotations

import struct

import h5py
import hdf5plugin
import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.core.schema import SAMPLE_DIMENSION
from detcore.eiger.reductions import Intensity, NamedRegion
from detcore.image import Annulus, Rectangle

REGIONS = (
    NamedRegion(name="corner", region=Rectangle(x0=-1, y0=-1, x1=4, y1=2)),
    NamedRegion(name="ring", region=Annulus(x=5, y=4, inner=2, outer=6)),
    NamedRegion(name="frame", region=Rectangle(x0=-1, y0=-1, x1=1000, y1=1000)),
)


def encoded(frames, encoding, block=0):
    """Compress frames (frame, y, x) one by one, as HDF5 does."""
    if encoding == "raw":
        return [one.tobytes() for one in frames]
    compression = hdf5plugin.Bitshuffle(nelems=block) if encoding == "bslz4" else hdf5plugin.LZ4(nbytes=block)
    with h5py.File.in_memory() as file:
        item = file.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), **compression)
        return [item.id.read_direct_chunk((place, 0, 0))[1] for place in range(len(frames))]


def chunk_of(
    frames, encoding, *, first=1, block=0, file="series_data_000001.h5", pixel_mask=None, payloads=None, **meta
):
    """A chunk as the source gives it."""
    stored = (encoded(frames, encoding, block) if len(frames) else []) if payloads is None else payloads
    return xr.Dataset(
        {
            "frame_number": ("frame", np.arange(first, first + len(stored))),
            "payload": ("payload", np.frombuffer(b"".join(stored), np.uint8)),
            "payload_size": ("frame", np.array([len(one) for one in stored], np.int64), {SAMPLE_DIMENSION: "payload"}),
            "entry": ("frame", np.arange(len(stored))),
        },
        attrs={
            "encoding": encoding,
            "dtype": str(frames.dtype),
            "shape": frames.shape[1:],
            "file": file,
            "pixel_mask": pixel_mask,
            "metadata": meta,
        },
    )


def blocks_of(payload):
    """Where the lengths of the blocks of a bitshuffle-LZ4 payload are, for frames without raw pixels at the end."""
    at, places = 12, []
    while at < len(payload):
        places.append(at)
        at += 4 + struct.unpack_from(">I", payload, at)[0]
    return places


@st.composite
def samples(draw):
    """Up to three files of one series, each with its own encoding."""
    shape = draw(st.sampled_from([(9, 11), (8, 24), (1, 5)]))
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "uint32"])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixel_mask = (rng.random(shape) < 0.1).astype(np.uint32) if draw(st.booleans()) else None
    files, first, timed = [], 1, draw(st.booleans())
    for number in range(draw(st.integers(1, 3))):
        n = draw(st.integers(0, 5))
        frames = rng.poisson(rng.choice([0.4, 30.0]), (n, *shape))
        frames = np.where(rng.random(frames.shape) < 0.05, np.iinfo(dtype).max, frames).astype(dtype)
        encoding = draw(st.sampled_from(["bslz4", "lz4", "raw"]))
        one = chunk_of(
            frames,
            encoding,
            first=first,
            block=draw(st.sampled_from([0, 24])),
            file=f"series_data_{number:06d}.h5",
            pixel_mask=pixel_mask,
            saturation_value=draw(st.sampled_from([None, 40])),
        )
        files.append(one.assign(start_time=("frame", 0.5 * one["frame_number"].values)) if timed else one)
        first += n
    schema = files[0].isel(frame=slice(0, 0), payload=slice(0, 0))
    reduction = Intensity(
        low=draw(st.sampled_from([0, 1, 3])),
        high=draw(st.sampled_from([20, 4500])),
        pixel_mask=draw(st.booleans()),
        regions=draw(st.sampled_from([(), REGIONS])),
        mean_image=draw(st.booleans()),
        centre=draw(st.booleans()),
        histogram=draw(st.booleans()),
        last=draw(st.sampled_from([None, 1, 4])),
    )
    files = [one.assign_attrs(metadata=schema.attrs["metadata"]) for one in files]
    return {"reduction": reduction, "schema": schema, "files": files, "row": "frame"}


STRATEGIES = {"detcore.eiger.reductions.Intensity": samples()}
