"""TIFF: pages as Pillow and fabio write them, and pages made by hand."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from detcore.area.files.tiffframes import unpacked
from detcore.area.source import open_files, probe
from detcore.core.source import ChunkRef, Problem, UnknownFormat

TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "Q": 16}


def packed(raw):
    """PackBits of bytes, runs included."""
    result, at = b"", 0
    while at < len(raw):
        run = 1
        while run < 128 and raw[at : at + 1] == raw[at + run : at + run + 1] != b"":
            run += 1
        if run > 1:
            result += bytes([257 - run]) + raw[at : at + 1]
        else:
            result += b"\0" + raw[at : at + 1]
        at += run
    return result


def write(path, pages, *, order="<", packing=1, rows=None, big=False, predictor=1, tile=None, texts=None, extra=None):
    """Write pages (y, x), each in strips of `rows`, or in tiles."""
    head = 16 if big else 8
    body, blocks = b"", []
    for page in pages:
        stored = page.astype(page.dtype.newbyteorder(order))
        if predictor == 2:
            stored = np.diff(stored, axis=1, prepend=np.zeros((len(page), 1), page.dtype)).astype(stored.dtype)
        height, width = page.shape
        if tile:
            grid = np.zeros((-(-height // tile[0]) * tile[0], -(-width // tile[1]) * tile[1]), stored.dtype)
            grid[:height, :width] = stored
            pieces = [
                grid[y : y + tile[0], x : x + tile[1]]
                for y in range(0, grid.shape[0], tile[0])
                for x in range(0, grid.shape[1], tile[1])
            ]
        else:
            step = rows or height
            pieces = [stored[y : y + step] for y in range(0, height, step)]
        raw = [{1: bytes, 8: zlib.compress, 32773: packed}[packing](piece.tobytes()) for piece in pieces]
        offsets = []
        for one in raw:
            offsets.append(head + len(body))
            body += one + b"\0" * (len(one) % 2)
        blocks.append((offsets, [len(one) for one in raw]))
    result = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    result += struct.pack(f"{order}HHQ", 8, 0, head + len(body)) if big else struct.pack(f"{order}I", head + len(body))
    result += body
    count, value, width = ("Q", "Q", 8) if big else ("H", "I", 4)
    for number, (page, (offsets, lengths)) in enumerate(zip(pages, blocks, strict=True)):
        form = {"u": 1, "i": 2, "f": 3, "b": 1}[page.dtype.kind]
        tags = {256: ("I", [page.shape[1]]), 257: ("I", [page.shape[0]]), 258: ("H", [page.dtype.itemsize * 8]),
                259: ("H", [packing]), 262: ("H", [1]), 277: ("H", [1]), 317: ("H", [predictor]), 339: ("H", [form])}  # fmt: skip
        tags |= {324: ("I", offsets), 325: ("I", lengths)} if tile else {273: ("I", offsets), 279: ("I", lengths)}
        tags |= {322: ("I", [tile[1]]), 323: ("I", [tile[0]])} if tile else {278: ("I", [rows or page.shape[0]])}
        tags |= {tag: ("s", text.encode() + b"\0") for tag, text in (texts or {}).items()}
        tags |= extra or {}
        start = len(result)
        behind = start + struct.calcsize(f"<{count}") + len(tags) * (4 + 2 * width) + width
        lines, outside = b"", b""
        for tag, (code, values) in sorted(tags.items()):
            content = values if code == "s" else struct.pack(f"{order}{len(values)}{code}", *values)
            n = len(values)
            if len(content) > width:
                place = struct.pack(f"{order}{value}", behind + len(outside))
                outside += content + b"\0" * (len(content) % 2)
            else:
                place = content.ljust(width, b"\0")
            lines += struct.pack(f"{order}HH{value}", tag, TYPES[code], n) + place
        following = behind + len(outside) if number + 1 < len(pages) else 0
        result += (
            struct.pack(f"{order}{count}", len(tags)) + lines + struct.pack(f"{order}{value}", following) + outside
        )
    path.write_bytes(result)
    return path


def read(path, **options):
    source = open_files(path, **options)
    refs = [item for item in source.plan() if isinstance(item, ChunkRef)]
    return np.concatenate([source.read(ref, frozenset({"data"}))["data"].values for ref in refs])


@pytest.fixture
def frames():
    return np.random.default_rng(3).poisson(2.0, (3, 13, 21))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packing", [1, 8, 32773])
def test_types_and_packings(tmp_path, frames, dtype, packing):
    pages = list(frames.astype(dtype))
    path = write(tmp_path / "a.tif", pages, packing=packing, rows=5)
    assert np.array_equal(read(path), pages)
    assert probe(str(path)).degree == "generic"


@pytest.mark.parametrize("options", [
    {"order": ">"}, {"big": True}, {"order": ">", "big": True}, {"tile": (8, 16)}, {"tile": (8, 16), "packing": 8},
    {"predictor": 2, "packing": 8}, {"rows": 1}, {"order": ">", "predictor": 2, "packing": 8, "rows": 4},
])  # fmt: skip
def test_ways_to_store(tmp_path, frames, options):
    pages = list(frames.astype(np.uint16))
    assert np.array_equal(read(write(tmp_path / "a.tif", pages, **options)), pages)


def test_files_of_other_programs(tmp_path, frames):
    image = pytest.importorskip("PIL.Image")
    fabio = pytest.importorskip("fabio")
    pages = [image.fromarray(one.astype(np.uint16)) for one in frames]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    assert np.array_equal(read(tmp_path / "a.tif"), frames)
    fabio.tifimage.tifimage(frames[0].astype(np.int32)).write(str(tmp_path / "b.tif"))
    assert np.array_equal(read(tmp_path / "b.tif")[0], frames[0])


def test_what_is_not_read_here_is_read_by_fabio(tmp_path, frames, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("fabio")
    image.fromarray(frames[0].astype(np.uint16)).save(tmp_path / "a.tif", compression="tiff_lzw")
    monkeypatch.setattr("detcore.area.files.fabioframes.FabioFrames.there", lambda: False)
    assert "compression LZW" in probe(str(tmp_path / "a.tif")).reason
    monkeypatch.undo()
    assert np.array_equal(read(tmp_path / "a.tif")[0], frames[0])


def test_a_folder_of_single_images_is_a_run_in_natural_order(tmp_path, frames):
    for number in (10, 9, 1):
        write(tmp_path / f"image_{number}.tif", [frames[0].astype(np.uint16) + number])
    found = read(tmp_path)
    assert (found[:, 0, 0] - frames[0, 0, 0]).tolist() == [1, 9, 10]


def test_pages_of_another_size_are_left_out(tmp_path, frames):
    pages = [frames[0].astype("u2"), frames[1, :5].astype("u2"), frames[2].astype("u2")]
    source = open_files(write(tmp_path / "a.tif", pages))
    problem, _ = source.plan()
    assert "1 of 3 pages are not" in problem.reason
    assert problem.chunks == 0
    assert np.array_equal(read(tmp_path / "a.tif"), [pages[0], pages[2]])


def test_an_imagej_stack_has_one_head(tmp_path, frames):
    pages = list(frames.astype(np.uint16))
    path = write(tmp_path / "a.tif", pages[:1], texts={270: "ImageJ=1.53\nimages=3\nslices=3\n"})
    raw = path.read_bytes()
    head = struct.unpack_from("<I", raw, 4)[0]
    moved = raw[:8] + b"".join(page.tobytes() for page in pages)
    shift = len(moved) - head
    lines = bytearray(raw[head:])
    for i in range(struct.unpack_from("<H", lines)[0]):
        at = 2 + 12 * i
        if struct.unpack_from("<H", lines, at)[0] == 270:
            struct.pack_into("<I", lines, at + 8, struct.unpack_from("<I", lines, at + 8)[0] + shift)
    path.write_bytes(raw[:4] + struct.pack("<I", len(moved)) + moved[8:] + bytes(lines))
    assert np.array_equal(read(path), pages)


def test_the_real_pilatus_image(shared):
    source = open_files(shared / "data/area/ceo2_pilatus1m.tif")
    detector, frame = source.detector(), source.frame(0)
    assert frame.shape == (1043, 981)
    assert frame.dtype == np.int32
    assert (frame < 0).sum() == 73_560
    assert detector.type == "pilatus"
    assert detector.underload == 0
    assert detector.saturation == 1097223
    assert detector.pixel_size == (172e-6, 172e-6)
    image = pytest.importorskip("fabio").open(str(shared / "data/area/ceo2_pilatus1m.tif")).data
    assert np.array_equal(frame, image)


def test_gaps_of_unknown_counters_are_seen_and_said(tmp_path, frames):
    gaps = frames[0].astype(np.int32)
    gaps[3], gaps[5, 5] = -1, -2
    source = open_files(write(tmp_path / "a.tif", [gaps]))
    assert source.detector().underload == 0
    assert "-1 and -2" in source.notes()[0]
    gaps[5, 5] = -3  # a pedestal was subtracted
    source = open_files(write(tmp_path / "b.tif", [gaps]))
    assert source.detector().underload is None


def test_packbits():
    raw = bytes([1, 1, 1, 2, 3, 3]) * 40
    assert unpacked(packed(raw), len(raw)) == raw
    assert unpacked(bytes([128, 0, 7]), 1) == b"\7"  # 128 does nothing


@pytest.mark.parametrize(("extra", "words"), [
    ({277: ("H", [3])}, "3 colours"), ({258: ("H", [12])}, "12 bits"), ({259: ("H", [7])}, "JPEG"),
    ({256: ("I", [1 << 30])}, "1 to 67108864"), ({278: ("I", [1])}, "strips expected"),
])  # fmt: skip
def test_what_is_odd_is_said(tmp_path, frames, extra, words, monkeypatch):
    monkeypatch.setattr("detcore.area.files.fabioframes.FabioFrames.there", lambda: False)
    path = write(tmp_path / "a.tif", [frames[0].astype(np.uint16)], extra=extra)
    with pytest.raises(UnknownFormat, match=words):
        open_files(path).schema()


def test_a_cut_file_and_a_circle(tmp_path, frames):
    path = write(tmp_path / "a.tif", [frames[0].astype(np.uint16)])
    raw = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", raw, 4)[0]
    n = struct.unpack_from("<H", raw, at)[0]
    struct.pack_into("<I", raw, at + 2 + 12 * n, at)
    path.write_bytes(raw)
    (problem,) = open_files(path).plan()
    assert "leads in a circle" in problem.reason
    struct.pack_into("<I", raw, at + 2 + 12 * n, 0)
    path.write_bytes(raw[:200])
    (problem,) = open_files(path).plan()
    assert isinstance(problem, Problem)
    assert "damaged" in problem.reason or "cut off" in problem.reason
