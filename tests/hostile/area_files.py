"""Files that a reader of frames must survive: damage, impossible sizes, links astray, foreign and hostile names.

`write_all(folder)` writes one of each.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N, SHAPE = 6, (37, 50)
HUGE = 1 << 40


@dataclass(frozen=True)
class Broken:
    """One hostile input; `frames` is how many a reader may give: a number, or None if 0 to N is fair."""

    path: Path
    frames: int | None = 0
    sound: bool = False


def sound_frames():
    """What every file here was made from, (frame, y, x)."""
    return np.random.default_rng(5).poisson(0.8, (N, *SHAPE)).astype(np.uint16)


def head(shape, dtype="<u2", extra="", fortran=False):
    """The first bytes of a NumPy file that says it has this shape."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, {extra}}}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def tiff(tags, body=b"", following=0):
    """A little-endian TIFF with one page of these tags: number -> (type, values)."""
    codes = {3: "H", 4: "I"}
    lines = b""
    for tag, (kind, values) in sorted(tags.items()):
        lines += struct.pack("<HHI", tag, kind, len(values))
        lines += struct.pack(f"<{len(values)}{codes[kind]}", *values)[:4].ljust(4, b"\0")
    at = 8 + len(body)
    return b"II*\0" + struct.pack("<I", at) + body + struct.pack("<H", len(tags)) + lines + struct.pack("<I", following)


def page(height=4, width=5, bits=16, packing=1, offset=8, length=40, **more):
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits]), 259: (3, [packing]), 262: (3, [1]), 273: (4, [offset]),
            278: (4, [height]), 279: (4, [length])}  # fmt: skip
    return tags | {int(key[1:]): value for key, value in more.items()}


def archive(members, path, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _view(source, inside, shape=(N, *SHAPE)):
    def make(file):
        layout = h5py.VirtualLayout(shape, "u2")
        layout[...] = h5py.VirtualSource(source, inside, shape)
        file.create_virtual_dataset("/entry/data/data", layout)

    return make


def _link(target, inside="/entry/data/data", name="data"):
    def make(file):
        file[f"/entry/data/{name}"] = h5py.ExternalLink(target, inside)

    return make


def _empty(shape, dtype="u2", name="/entry/data/data", **options):
    def make(file):
        file.create_dataset(name, shape, dtype, **options)

    return make


def _circle(file):
    file["/entry/data/data"] = h5py.SoftLink("/entry/data/again")
    file["/entry/data/again"] = h5py.SoftLink("/entry/data/data")


def _ring(file):
    here = file.create_group("a")
    here["b"] = here
    file["c"] = file["/"]


def _many(file):
    for number in range(6000):
        file.create_group(f"g{number}")


def _outside(file):
    file.create_dataset("/entry/data/data", (2, 4, 5), "u2", external=[("/etc/passwd", 0, 80)])


def _huge_mask(file):
    home = file.create_group("entry/instrument/detector")
    home.attrs["NX_class"] = "NXdetector"
    home["data"] = sound_frames()
    home.create_dataset("pixel_mask", (1 << 20, 1 << 20), "u4", chunks=(64, 64))
    home.create_dataset("saturation_value", (1 << 40,), "u4", chunks=(1024,))
    home["x_pixel_size"] = np.array([b"wide"])
    home["beam_center_x"] = np.nan


def _odd_modules(file):
    for number, shape in ((0, (4, 8, 9)), (1, (4, 9, 9))):
        file[f"INSTRUMENT/D/DET/{number}CH0:xtdf/image/data"] = np.zeros(shape)


def _huge_modules(file):
    group = file.create_group("INSTRUMENT/D/DET/0CH0:xtdf/image")
    group.create_dataset("data", (HUGE, 8, 9), "u2", chunks=(1, 8, 9))


def _small_nonsense(file):
    file["det/ROI_0_area"] = np.zeros((3, 8, 9))
    home = file.create_group("UserDataCfg/det")
    home["ped"], home["ix"], home["pixelsize"] = "text", np.zeros((3, 3)), np.array([np.nan])
    home["ROI_0__ROI_0_bound"] = np.array([[np.nan, 1e300], [-5, 3]])


def write_all(folder: Path) -> dict[str, Broken]:
    """Write every hostile input and return them by name."""
    folder.mkdir(parents=True, exist_ok=True)
    frames, found = sound_frames(), {}

    def add(name, content=None, frames=0, sound=False):
        if content is not None:
            (folder / name).write_bytes(content)
        found[name] = Broken(folder / name, frames, sound)

    os.mkfifo(folder / "pipe.npy")
    (folder / "folder.npy").mkdir()
    (folder / "folder.npy" / "inside.npy").write_bytes(b"")
    (folder / "dangling.tif").symlink_to(folder / "nowhere")
    (folder / "loop.h5").symlink_to(folder / "loop.h5")
    for name in ("pipe.npy", "folder.npy", "dangling.tif", "loop.h5"):
        add(name)
    add("nothing.npy", b"")
    add("noise.tif", np.random.default_rng(0).bytes(5000))
    add("text.npy", b"frame,x,y\n1,2,3\n")
    _numpy(add, frames, folder)
    _tiffs(add)
    for name, start in {"short.cbf": b"###CBF: VERSION 1.5", "short.edf": b"{\nDim_1 = 99999999 ;\n}\n", "zeros.edf": b"{" + bytes(4000)}.items():  # fmt: skip
        add(name, start)
    _hdf5(add, folder)
    np.save(folder / "<img src=x onerror=alert(1)>.npy", frames)
    add("<img src=x onerror=alert(1)>.npy", frames=N, sound=True)
    return found


def _numpy(add, frames, folder):
    whole = saved(frames)
    for percent in (1, 50, 97):
        add(f"cut{percent}.npy", whole[: len(whole) * percent // 100])
    for name, content in {
        "huge": head((HUGE, HUGE, HUGE)), "wide": head((1, 1 << 14, 1 << 14)) + bytes(100), "many": head((1 << 50, 1, 1)),
        "negative": head((-1, 5, 5)), "objects": head((3, 4, 4), "|O") + b"cos\nsystem\n", "void": head((3, 4, 4), "|V8") + bytes(999),
        "text": head((3, 4, 4), "<U9") + bytes(9999), "code": head((3, 4, 4), extra="'x': __import__('os').getpid()"),
        "deep": head("(" * 3000 + ")" * 3000), "empty": head((0, 4, 4)), "flat": head((3,)) + bytes(6), "many_axes": head((1,) * 40),
        "version": b"\x93NUMPY\x09\x09" + bytes(200), "nothing_more": b"\x93NUMPY",
    }.items():  # fmt: skip
        add(f"{name}.npy", content)
    archive({"data.npy": whole[:500]}, folder / "cut_inside.npz")
    archive({"data.npy": head((HUGE, 4, 4))}, folder / "huge_inside.npz")
    archive({"../data.npy": whole, "/etc/x.npy": whole}, folder / "paths.npz")
    archive({"readme.txt": b"x"}, folder / "no_arrays.npz")
    archive({f"a{i}.npy": b"" for i in range(2000)}, folder / "two_thousand.npz")
    archive({"data.npy": whole, "pedestal.npy": whole[:80]}, folder / "bad_constant.npz")
    bomb = head((1, 5000, 5000), "|u1") + bytes(25_000_000)
    archive({"data.npy": bomb}, folder / "bomb.npz", zipfile.ZIP_DEFLATED)
    for name in ("cut_inside", "huge_inside", "paths", "no_arrays", "two_thousand", "bad_constant"):
        add(f"{name}.npz", frames=0)
    add("bomb.npz", frames=1, sound=True)
    stored = (folder / "bomb.npz").read_bytes()
    add("cut.npz", stored[: len(stored) // 2])


def _tiffs(add):
    plain = np.arange(20, dtype="<u2").tobytes()
    squeezed = zlib.compress(bytes(40))
    for name, content, n in (
        ("sound", tiff(page(), plain), 1),
        ("huge", tiff(page(1 << 31, 1 << 31), plain), 0),
        ("no_pixels", tiff(page(0, 0), plain), 0),
        ("far", tiff(page(offset=1 << 30), plain), 0),
        ("long", tiff(page(length=1 << 31), plain), 0),
        ("short", tiff(page(length=10), plain), 0),
        ("circle", tiff(page(), plain, 8 + 40), 0),
        ("beyond", tiff(page(), plain, 1 << 30), 1),
        ("no_strips", tiff({k: v for k, v in page().items() if k not in {273, 279}}, plain), 0),
        ("no_tags", tiff({}), 0),
        ("deflate_nonsense", tiff(page(packing=8), plain), 0),
        (
            "deflate_bomb",
            tiff(page(packing=8, length=len(zlib.compress(bytes(10**7)))), zlib.compress(bytes(10**7))),
            1,
        ),
        ("deflate_short", tiff(page(height=40, packing=8, length=len(squeezed)), squeezed), 0),
        ("packbits_short", tiff(page(packing=32773, length=2), b"\xff\x07"), 0),
        ("tiles_of_nothing", tiff(page(t322=(4, [0]), t323=(4, [0]), t324=(4, [8]), t325=(4, [40])), plain), 0),
        ("zero_rows", tiff(page(t278=(4, [0])), plain), 1),
        ("cut_head", b"II*\0\x08", 0),
        ("big_nonsense", b"II+\0" + b"\xff" * 40, 0),
        (
            "counts",
            tiff(page(), plain).replace(struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 1 << 31)),
            0,
        ),
    ):
        add(f"{name}.tif", content, n, sound=n > 0)


def _hdf5(add, folder):
    made: dict[str, Callable[[h5py.File], None]] = {
        "to_device": _link("/dev/zero"), "to_folder": _link(str(folder)), "to_pipe": _link(str(folder / "pipe.npy")),
        "to_text": _link("/etc/passwd"), "to_itself": _link("to_itself.h5"), "numbered": _link("numbered.h5", "/none", "data_000001"),
        "view_of_device": _view("/dev/zero", "/x"), "view_of_itself": _view(".", "/entry/data/data"),
        "view_by_name": _view("view_by_name.h5", "/entry/data/data"), "view_of_nothing": _view("other.h5", "/x"),
        "circle": _circle, "ring": _ring, "many": _many, "outside": _outside, "odd_modules": _odd_modules,
        "huge_modules": _huge_modules, "huge_frame": _empty((1, HUGE, HUGE), chunks=(1, 64, 64)),
        "huge_number": _empty((HUGE, 37, 50), chunks=(1, 37, 50)), "huge_view": _view("other.h5", "/x", (HUGE, 37, 50)),
        "no_pixels": _empty((3, 0, 50)), "no_frames": _empty((0, 37, 50)), "five_axes": _empty((2, 2, 2, 3, 4)),
        "text": _empty((3, 37, 50), "S9"), "complex": _empty((3, 37, 50), "c16"), "table": _empty((3, 37, 50), [("a", "u2")]),
        "unwritten": _empty((3, 37, 50), chunks=(1, 37, 50)),
    }  # fmt: skip
    for name, make in made.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            make(file)
        add(f"{name}.h5")
    for name, make, n in (("huge_mask", _huge_mask, N), ("small_nonsense", _small_nonsense, 3)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            make(file)
        add(f"{name}.h5", frames=n, sound=True)
    with h5py.File(folder / "sound.h5", "w") as file:
        file.create_dataset("/entry/data/data", data=sound_frames(), chunks=(1, *SHAPE), compression="gzip")
        place = [file["/entry/data/data"].id.get_chunk_info_by_coord((row, 0, 0)).byte_offset for row in range(N)]
    whole = (folder / "sound.h5").read_bytes()
    for percent in (1, 50, 97):
        add(f"cut{percent}.h5", whole[: len(whole) * percent // 100])
    damaged = bytearray(whole)
    damaged[place[2] : place[2] + 8] = b"\xff" * 8
    add("damaged_chunk.h5", bytes(damaged), None)
    add("signature.h5", b"\x89HDF\r\n\x1a\n" + bytes(5000))
    add("sound.h5", frames=N, sound=True)
