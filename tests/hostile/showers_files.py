"""Hostile shower files: each is broken in one way."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N, WIDTH = 12, 40
REFERENCE = struct.Struct("<IQI")


@dataclass(frozen=True)
class Broken:
    """A file, and what its error says."""

    path: Path
    words: str


def sound(path: Path, *, long: bool = False) -> Path:
    """Write a small file in which several showers share a collection; or large rows with one collection each."""
    rng = np.random.default_rng(0)
    counts = rng.integers(20, WIDTH, N) * (40 if long else 1)
    points = rng.random((int(counts.sum()), 5), np.float32) + np.float32(0.1)
    showers.write_ragged(path, showers.Ragged.build(points, counts, np.ones(N), pdg=np.full(N, 22)), overwrite=True)
    return path


def references(path: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """Return where the references begin, and (values, address, number) of each."""
    with h5py.File(path) as file:
        offset = file["showers"].id.get_offset()
    content = path.read_bytes()
    return offset, [REFERENCE.unpack_from(content, offset + 16 * row) for row in range(N)]


def _patch(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def _reference(row: int, **change: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        offset, known = references(path)
        old = dict(zip(("values", "address", "number"), known[row], strict=True)) | change
        _patch(path, offset + 16 * row, REFERENCE.pack(old["values"], old["address"], old["number"]))

    return make


def _heap(at: int, value: bytes) -> Callable[[Path], None]:
    """Change bytes of the collection that holds the first shower."""
    return lambda path: _patch(path, references(path)[1][0][1] + at, value)


def _overlap(path: Path) -> None:
    """A collection inside a collection."""
    offset, known = references(path)
    _, address, _ = known[3]
    _patch(path, address + 256, b"GCOL\1\0\0\0" + struct.pack("<Q", 1024) + struct.pack("<HHIQ", 1, 1, 0, 20))
    _patch(path, offset + 16 * 4, REFERENCE.pack(5, address + 256, 1))


def _link(target: str, key: str = "showers") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[key]
            file[key] = h5py.ExternalLink(target, key)

    return make


def _outside(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["energies"]
        file.create_dataset("energies", (N, 1), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((N, 3), "f4")
    layout[:] = h5py.VirtualSource("/dev/zero", "directions", (N, 3))
    with h5py.File(path, "r+") as file:
        del file["directions"]
        file.create_virtual_dataset("directions", layout)


def _huge(key: str, shape: tuple[int, ...], kind: str = "f4") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[key]
            dtype = h5py.vlen_dtype(np.dtype("f4")) if kind == "rows" else kind
            file.create_dataset(key, shape, dtype, chunks=(64,) + (1,) * (len(shape) - 1))

    return make


def _text(key: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[key]
            file[key] = np.array([b"<script>"] * N)

    return make


BREAKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no collection there": (_reference(2, address=512), "no collection"),
    "collection behind the file": (_reference(2, address=1 << 40), "behind the file|cut off"),
    "collection at an impossible place": (_reference(2, address=(1 << 64) - 8), "impossible places"),
    "collection at the last byte": (_reference(2, address=60_000), "behind the file|no collection|cut off"),
    "no such object": (_reference(2, number=999), "no object 999"),
    "object zero": (_reference(2, number=0), "no object 0"),
    "object of no heap": (_reference(2, number=1 << 20), "no object"),
    "longer than its object": (_reference(2, values=300), "fewer than its row"),
    "longer than the file": (_reference(2, values=(1 << 32) - 1), "more bytes than the file"),
    "not whole points": (_reference(2, values=7), "cannot reshape array of size 7"),
    "wrong signature": (_heap(0, b"GCOX"), "no collection"),
    "wrong version": (_heap(4, b"\2"), "no collection"),
    "collection without end": (_heap(8, struct.pack("<Q", 1 << 62)), "behind the file"),
    "collection of negative size": (_heap(8, b"\xff" * 8), "behind the file"),
    "collection of no size": (_heap(8, bytes(8)), "behind the file"),
    "object without end": (_heap(24, struct.pack("<Q", 1 << 62)), "impossible size"),
    "object of negative size": (_heap(24, b"\xff" * 8), "impossible size"),
    "free space of no size": (_heap(16, bytes(16)), "impossible size"),
    "overlapping collections": (_overlap, "overlaps|impossible size"),
    "link to a device": (_link("/dev/zero"), "not followed"),
    "link to a text": (_link("/etc/passwd", "pdg"), "not followed"),
    "values elsewhere": (_outside, "other files"),
    "values of another file": (_virtual, "other files"),
    "endless rows": (_huge("showers", (1 << 40,), "rows"), "expected a row"),
    "many rows": (_huge("showers", (1 << 30,), "rows"), "expected a row"),
    "endless energies": (_huge("energies", (1 << 40, 1)), "more than the file"),
    "endless shape": (_huge("shape", (1 << 40,), "i8"), "more than the file"),
    "endless points": (_huge("showers", (1 << 30, 1 << 20, 5)), "expected a row"),
    "text for energies": (_text("energies"), "expected numbers"),
    "text for points": (_text("showers"), "expected rows"),
    "impossible width": (lambda path: _width(path, 1 << 60), ""),
}


def _width(path: Path, width: int) -> None:
    with h5py.File(path, "r+") as file:
        file["shape"][1] = width


def write_all(folder: Path) -> dict[str, Broken]:
    """Write one file for each way to be broken."""
    found = {}
    for name, (make, words) in BREAKS.items():
        path = sound(folder / f"{name.replace(' ', '_')}.h5")
        make(path)
        found[name] = Broken(path, words)
    for percent in (1, 30, 60, 90, 99):
        path = sound(folder / f"cut{percent}.h5")
        os.truncate(path, path.stat().st_size * percent // 100)
        found[f"cut {percent}"] = Broken(path, "")
    for name, content in {
        "nothing": b"",
        "text": b"hello " * 900,
        "signature": b"\x89HDF\r\n\x1a\n" + bytes(4000),
    }.items():
        (folder / f"{name}.h5").write_bytes(content)
        found[name] = Broken(folder / f"{name}.h5", "")
    (folder / "folder.h5").mkdir()
    os.mkfifo(folder / "pipe.h5")
    return found | {name: Broken(folder / f"{name}.h5", "") for name in ("folder", "pipe")}
