"""Small series of every layout, and a plain way to read frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from detcore.core.source import ChunkRef
from detcore.eiger.writer import write_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from detcore.eiger.source import FrameFiles


def _frames(n: int = 10, dtype: Any = np.uint16, shape: tuple[int, ...] = (37, 50), seed: int = 0) -> NDArray[Any]:
    """Counts (frame, y, x) of which no two frames are alike, with all-ones pixels and 37 * 50 % 8 = 2 left over."""
    counts = np.random.default_rng(seed).poisson(0.7, (n, *shape)).astype(dtype)
    counts[:, ..., 3, :] = np.iinfo(dtype).max
    counts[..., 0, 0] = np.arange(n).reshape(n, *(1,) * (len(shape) - 2)) % 200
    return counts


def _unpack(chunk: Any, path: str) -> NDArray[Any]:
    """Decode the frames of a chunk with HDF5 and nothing of ours: its bytes become the chunks of another file."""
    (ny, nx), dtype = chunk.attrs["shape"], np.dtype(chunk.attrs["dtype"])
    sizes = chunk.payload_size.values
    assert sizes.sum() == len(chunk.payload)
    assert (chunk.payload.dtype, chunk.frame_number.dtype, sizes.dtype) == (np.uint8, np.int64, np.int64)
    filters = {"bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")), "lz4": dict(hdf5plugin.LZ4()), "raw": {}}
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "d", (len(sizes), ny, nx), dtype, chunks=(1, ny, nx), **filters[chunk.attrs["encoding"]]
        )
        for row, (end, size) in enumerate(zip(np.cumsum(sizes), sizes, strict=True)):
            data.id.write_direct_chunk((row, 0, 0), chunk.payload.values[end - size : end].tobytes())
        file.flush()
        return np.asarray(data[()])


@pytest.fixture(scope="session")
def counts() -> Callable[..., NDArray[Any]]:
    """Make frames."""
    return _frames


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., tuple[NDArray[Any], Path]]:
    """Write a series of four frames a file; gives its frames and its master."""

    def make(n: int = 10, dtype: Any = np.uint16, **options: Any) -> tuple[NDArray[Any], Path]:
        channels = options.get("layout") == "channels"
        frames = _frames(n, dtype, (3, 37, 50) if channels else (37, 50))
        folder = options.pop("folder", tmp_path / "series")
        return frames, write_series(folder, "a", frames, **{"per_file": 4, **options})

    return make


@pytest.fixture
def read_all(tmp_path: Path) -> Callable[..., tuple[dict[int, NDArray[Any]], list[Any]]]:
    """Read a source to the end as a reduction does; gives number -> frame, and the problems."""

    def read(source: FrameFiles, target: int | None = None) -> tuple[dict[int, NDArray[Any]], list[Any]]:
        found: dict[int, NDArray[Any]] = {}
        problems = []
        for item in source.plan(target):
            if not isinstance(item, ChunkRef):
                problems.append(item)
                continue
            chunk = source.read(item, frozenset({"payload"}))
            assert item.stop - item.start >= chunk.sizes["frame"]
            for number, frame in zip(
                chunk.frame_number.values, _unpack(chunk, str(tmp_path / "unpacked.h5")), strict=True
            ):
                assert number not in found
                found[int(number)] = frame
        return found, problems

    return read
