"""Files that a reader of series must survive: links that lead astray, impossible shapes, damage, cut files.

`write_all(folder)` writes one of each.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

from detcore.eiger.writer import write_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

N, SHAPE = 6, (37, 50)
PLACE = "/entry/data/data"


@dataclass(frozen=True)
class Broken:
    """One hostile input.

    `frames` is how many frames a reader may give: a number, or None if anything from 0 to N is fair.
    `sound` says that there is nothing to complain about, only something to get right.
    """

    path: Path
    wrong: str
    frames: int | None = 0
    sound: bool = False


def sound_frames() -> NDArray[np.uint16]:
    """Return what every file here was made from, (frame, y, x)."""
    return np.random.default_rng(5).poisson(0.8, (N, *SHAPE)).astype(np.uint16)


def sound_file(folder: Path, name: str) -> Path:
    """Write a data file."""
    return write_series(folder, name, sound_frames(), layout="bare")


def _chunk(path: Path, row: int) -> tuple[int, int]:
    with h5py.File(path) as file:
        info = file[PLACE].id.get_chunk_info_by_coord((row, 0, 0))
        return info.byte_offset, info.size


def corrupt_lengths(folder: Path, name: str, row: int = 2) -> Broken:
    """Give a compressed block an impossible length."""
    path = sound_file(folder, name)
    offset, _ = _chunk(path, row)
    with path.open("r+b") as file:
        file.seek(offset + 12)  # behind the header of the chunk: length of its first block
        file.write(b"\x7f\xff\xff\xff")
    return Broken(path, f"a block of frame {row + 1} says that it has 2147483647 bytes", None)


def lost_block(folder: Path, name: str, row: int = 3) -> Broken:
    """Overwrite one frame with zeros, as a disk that lost a block does."""
    path = sound_file(folder, name)
    offset, size = _chunk(path, row)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))
    return Broken(path, f"frame {row + 1} is zeros", None)


def _link(target: str, inside: str = PLACE, name: str = "data_000001") -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file[f"/entry/data/{name}"] = h5py.ExternalLink(target, inside)

    return make


def _view(source: str, inside: str = PLACE, shape: tuple[int, ...] = (N, *SHAPE)) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape, "u2")
        layout[...] = h5py.VirtualSource(source, inside, shape)
        file.create_virtual_dataset(PLACE, layout)

    return make


def _empty(shape: tuple[int, ...], dtype: str = "u2", **options: object) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file.create_dataset(PLACE, shape, dtype, **options)

    return make


def _circle(file: h5py.File) -> None:
    file["/entry/data/data"] = h5py.SoftLink("/entry/data/again")
    file["/entry/data/again"] = h5py.SoftLink("/entry/data/data")


def _outside(file: h5py.File) -> None:
    file.create_dataset(PLACE, (2, 4, 5), "u2", external=[("/etc/passwd", 0, 80)])


def _ring(file: h5py.File) -> None:
    here = file.create_group("a")
    here["b"] = here
    file["c"] = file["/"]


def _many(file: h5py.File) -> None:
    for number in range(3000):
        file.create_group(f"g{number}")


def write_all(folder: Path) -> dict[str, Broken]:
    """Write every hostile input and return them by the stem of their name."""
    folder.mkdir(parents=True, exist_ok=True)
    pipe = folder / "pipe.h5"
    os.mkfifo(pipe)
    (folder / "folder.h5").mkdir()
    (folder / "dangling.h5").symlink_to(folder / "nowhere")
    (folder / "loop.h5").symlink_to(folder / "loop.h5")
    for name, content in {
        "bytes": np.random.default_rng(0).bytes(5000),
        "nothing": b"",
        "signature": b"\x89HDF\r\n\x1a\n" + bytes(5000),
    }.items():
        (folder / f"{name}.h5").write_bytes(content)
    plain = ["pipe", "folder", "dangling", "loop", "bytes", "nothing", "signature"]
    found = [Broken(folder / f"{name}.h5", f"not an HDF5 file: {name}") for name in plain]
    for percent in (1, 50, 97):
        path = sound_file(folder, f"cut{percent}")
        os.truncate(path, path.stat().st_size * percent // 100)
        found.append(Broken(path, f"an HDF5 file cut after {percent} % of its bytes"))
    found += [corrupt_lengths(folder, "lengths"), lost_block(folder, "lost")]
    huge = 1 << 40
    made: dict[str, Callable[[h5py.File], None]] = {
        "to_device": _link("/dev/zero"),
        "to_pipe": _link(str(pipe)),
        "to_folder": _link(str(folder)),
        "to_text": _link("/etc/passwd"),
        "to_itself": _link("to_itself.h5", "/entry/data/data_000001"),
        "view_of_device": _view("/dev/zero"),
        "view_of_itself": _view("."),
        "view_of_itself_by_name": _view("view_of_itself_by_name.h5"),
        "circle": _circle,
        "bytes_outside": _outside,
        "ring": _ring,
        "many": _many,
        "huge_frame": _empty((1, huge, huge), chunks=(1, 64, 64)),
        "huge_number": _empty((huge, 37, 50), chunks=(1, 37, 50)),
        "huge_view": _view("other.h5", shape=(huge, 37, 50)),
        "no_pixels": _empty((3, 0, 50)),
        "flat": _empty((37, 50)),
        "real_numbers": _empty((3, 37, 50), "f4"),
        "five_dimensions": _empty((2, 2, 2, 3, 4)),
    }
    for name, make in made.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            make(file)
        found.append(Broken(folder / f"{name}.h5", name.replace("_", " ")))
    name = "<img src=x onerror=alert(1)>"
    path = sound_file(folder, "hostile").replace(folder / f"{name}.h5")
    odd = {broken.path.stem.removesuffix("_data_000001"): broken for broken in found}
    return odd | {"hostile_name": Broken(path, "a sound file whose name is a script", N, sound=True)}
