"""Streams of both versions give the same chunks as files."""

from __future__ import annotations

import json
import math
import struct
import sys

import h5py
import numpy as np
import pytest

from detcore.core.run import run
from detcore.core.source import ChunkRef, Problem
from detcore.eiger import cbor
from detcore.eiger.messages import Frame, Header, Messages, decode, pull
from detcore.eiger.reductions import Intensity
from detcore.eiger.source import FrameFiles
from detcore.eiger.writer import write_series

N, SHAPE = 6, (37, 50)


class Tagged:
    def __init__(self, number, value):
        self.number, self.value = number, value


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = next(size for size in (1, 2, 4, 8) if n < 1 << 8 * size)
    return bytes([major << 5 | 24 + (size.bit_length() - 1)]) + n.to_bytes(size, "big")


def dumps(value):
    """Write CBOR (RFC 8949), enough for a stream."""
    if isinstance(value, Tagged):
        return head(6, value.number) + dumps(value.value)
    if isinstance(value, bool) or value is None:
        return bytes([0xF6 if value is None else 0xF4 + value])
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(dumps(key) + dumps(one) for key, one in value.items())
    return head(4, len(value)) + b"".join(map(dumps, value))


@pytest.fixture
def stored(tmp_path, counts):
    """Frames, and the bytes that a detector would send of each."""

    def make(compression, dtype=np.uint16):
        frames = counts(N, dtype)
        path = write_series(
            tmp_path, f"{compression}{np.dtype(dtype).name}", frames, layout="bare", compression=compression
        )
        with h5py.File(path) as file:
            data = file["/entry/data/data"]
            return frames, [data.id.read_direct_chunk((row, 0, 0))[1] for row in range(N)], path

    return make


TAGS = {"uint8": 64, "uint16": 69, "uint32": 70}


def image_2(number, payload, dtype, name=None, channels=1, shape=SHAPE):
    size = np.dtype(dtype).itemsize
    typed = Tagged(TAGS[np.dtype(dtype).name], Tagged(56500, [name, size, payload]) if name else payload)
    data = {f"threshold_{k + 1}": Tagged(40, [list(shape), typed]) for k in range(channels)}
    times = {"start_time": [number * 10**7, 10**9], "stop_time": [1, 2], "real_time": [1, 100]}
    return [dumps({"type": "image", "series_id": 1, "image_id": number, **times, "data": data})]


def start_2(mask=None):
    values = {"frame_time": 0.01, "count_time": 0.0099, "saturation_value": 60000, "incident_energy": 12000.0}
    values |= {"beam_center_x": 5.5, "beam_center_y": 6.5, "pixel_size_x": 75e-6, "pixel_size_y": 75e-6}
    masks = {} if mask is None else {"threshold_1": Tagged(40, [list(SHAPE), Tagged(70, mask.astype("<u4").tobytes())])}
    more = {"channels": ["threshold_1"], "number_of_images": N, "pixel_mask_enabled": True, "pixel_mask": masks}
    return [dumps(Tagged(55799, {"type": "start", "series_id": 1, "series_unique_id": "s", **values, **more}))]


def image_1(number, payload, dtype, encoding, shape=SHAPE):
    return [
        json.dumps({"htype": "dimage-1.0", "series": 1, "frame": number, "hash": ""}).encode(),
        json.dumps(
            {
                "htype": "dimage_d-1.0",
                "shape": list(reversed(shape)),
                "type": np.dtype(dtype).name,
                "encoding": encoding,
                "size": len(payload),
            }
        ).encode(),
        payload,
        json.dumps({"htype": "dconfig-1.0", "start_time": number * 10**7, "stop_time": 1, "real_time": 1}).encode(),
    ]


def start_1(mask=None):
    config = {"frame_time": 0.01, "nimages": 3, "ntrigger": 2, "photon_energy": 12000.0, "description": "D" * 5000}
    parts = [json.dumps({"htype": "dheader-1.0", "series": 1, "header_detail": "all"}).encode()]
    parts.append(json.dumps(config).encode())
    if mask is not None:
        shape = list(reversed(SHAPE))
        parts += [json.dumps({"htype": "dflatfield-1.0", "shape": shape, "type": "float32"}).encode(), bytes(4 * 1850)]
        parts += [json.dumps({"htype": "dpixelmask-1.0", "shape": shape, "type": "uint32"}).encode()]
        parts += [mask.astype("<u4").tobytes()]
    return parts


END_1, END_2 = [b'{"htype": "dseries_end-1.0", "series": 1}'], [dumps({"type": "end", "series_id": 1})]


def chunks(source, target=None):
    return [source.read(ref, frozenset({"payload"})) for ref in source.plan(target) if isinstance(ref, ChunkRef)]


def same_as_the_file(stream, path):
    files = FrameFiles((str(path),))
    ours, theirs = chunks(stream), chunks(files)
    assert [chunk.attrs["encoding"] for chunk in ours] == [chunk.attrs["encoding"] for chunk in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name in ("frame_number", "payload_size", "payload"):
            np.testing.assert_array_equal(one[name], other[name])
            assert one[name].dims == other[name].dims
        assert {key: one.attrs[key] for key in ("dtype", "shape")} == {
            key: other.attrs[key] for key in ("dtype", "shape")
        }
    np.testing.assert_allclose(ours[0].start_time, np.arange(N) * 0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize(("compression", "name"), [("bslz4", "bslz4"), ("lz4", "lz4"), ("none", None)])
def test_version_2_gives_what_the_file_gives(stored, dtype, compression, name):
    _, payloads, path = stored(compression, dtype)
    images = [image_2(number, payload, dtype, name) for number, payload in enumerate(payloads)]
    same_as_the_file(Messages([start_2(), *images, END_2]), path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
def test_version_1_gives_what_the_file_gives(stored, dtype, compression):
    _, payloads, path = stored(compression, dtype)
    encoding = {"bslz4": f"bs{8 * np.dtype(dtype).itemsize}-lz4<", "lz4": "lz4<", "none": "<"}[compression]
    if compression == "lz4":
        payloads = [payload[16:] for payload in payloads]  # the bare block, as it is sent
    images = [image_1(number, payload, dtype, encoding) for number, payload in enumerate(payloads)]
    same_as_the_file(Messages([start_1(), *images, END_1]), path)


@pytest.mark.parametrize(("start", "image"), [(start_1, image_1), (start_2, image_2)])
def test_metadata_and_mask(stored, start, image):
    _, payloads, _ = stored("none")
    mask = np.zeros(SHAPE, np.uint32)
    mask[4, 7] = 2
    encoding = "<" if image is image_1 else None
    source = Messages([start(mask), image(0, payloads[0], np.uint16, encoding)], name="tcp://dcu")
    with pytest.raises(ValueError, match="no frame has come"):
        source.schema()
    assert len(chunks(source)) == 1
    schema = source.schema()
    np.testing.assert_array_equal(schema.attrs["pixel_mask"], mask)
    values = schema.attrs["metadata"]
    assert (values["frame_time"], values["photon_energy"], values["n_expected"]) == (0.01, 12000.0, 6)
    assert values["wavelength"] == pytest.approx(1.0332, abs=1e-4)
    assert values["description"] in {None, "D" * 1000}
    assert schema.attrs["live"] is True
    assert schema.sizes == {"frame": 0, "byte": 0}


def test_the_same_reduction_takes_a_stream_and_a_file(stored):
    frames, payloads, path = stored("bslz4")
    images = [image_2(number, payload, np.uint16, "bslz4") for number, payload in enumerate(payloads)]
    ours = run(Messages([start_2(), *images]), Intensity(low=0, high=4500, pixel_mask=False))
    theirs = run(FrameFiles((str(path),)), Intensity(low=0, high=4500, pixel_mask=False))
    expected = np.where(frames <= 4500, frames, 0).sum(axis=(1, 2), dtype=np.int64)
    np.testing.assert_array_equal(ours["sum"], expected)
    np.testing.assert_array_equal(theirs["sum"], expected)
    np.testing.assert_array_equal(ours.frame, np.arange(1, N + 1))


def test_channels_are_chosen(stored):
    _, payloads, _ = stored("bslz4")
    message = image_2(0, payloads[0], np.uint16, "bslz4", channels=2)
    assert decode(message, 1).payload == payloads[0]
    with pytest.raises(ValueError, match="no channel 2"):
        decode(message, 2)


def test_frames_are_gathered_up_to_the_target_and_handed_on_when_it_is_quiet(stored):
    _, payloads, _ = stored("none")
    images = [image_2(number, payload, np.uint16) for number, payload in enumerate(payloads)]
    sizes = [chunk.sizes["frame"] for chunk in chunks(Messages(images), 2 * len(payloads[0]))]
    assert sizes == [2, 2, 2]
    sizes = [chunk.sizes["frame"] for chunk in chunks(Messages([images[0], None, *images[1:]]))]
    assert sizes == [1, 5]
    assert [item is None for item in Messages([None, None]).plan()] == [True, True, True]


def test_another_type_in_the_stream_begins_another_chunk(stored):
    _, small, _ = stored("none", np.uint8)
    _, large, _ = stored("none", np.uint32)
    found = chunks(Messages([image_2(0, small[0], np.uint8), image_2(1, large[1], np.uint32)]))
    assert [chunk.attrs["dtype"] for chunk in found] == ["uint8", "uint32"]


BAD = {
    "nothing": [],
    "empty": [b""],
    "text": [b"hello"],
    "json list": [b"[1, 2]"],
    "json broken": [b"{"],
    "image without its parts": [b'{"htype": "dimage-1.0", "series": 1, "frame": 0}'],
    "cbor number": [b"\x05"],
    "cbor without type": [dumps({"a": 1})],
    "cut off": [dumps({"type": "image", "data": {"a": b"1234567890"}})[:-4]],
    "rest": [dumps({"type": "end"}) + b"x"],
    "no data": [dumps({"type": "image", "image_id": 0})],
    "no array": [dumps({"type": "image", "image_id": 0, "data": {"a": 1}})],
    "type": [dumps({"type": "image", "image_id": 0, "data": {"a": Tagged(40, [[2, 2], Tagged(85, bytes(16))])}})],
    "raw length": image_2(0, bytes(10), np.uint16),
    "said length": image_2(0, bytes(100), np.uint16, "bslz4"),
    "algorithm": image_2(0, bytes(100), np.uint16, "zip"),
    "huge": image_2(0, bytes(100), np.uint16, shape=(1 << 40, 1 << 40)),
    "negative": image_2(0, bytes(100), np.uint16, shape=(-5, -10)),
    "number": image_2(-7, bytes(3700), np.uint16),
    "encoding": image_1(0, bytes(3700), np.uint16, "bs16-zstd<"),
    "float": image_1(0, bytes(7400), np.float32, "<"),
    "deep": [b"\x81" * 5000 + b"\x00"],
    "many": [b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff" + bytes(200_000)],
    "long text": [b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"],
    "reserved": [b"\x1c"],
    "map keys": [b"\xa1\x80\x00"],
    "endless": [b"\x9f" + bytes(100)],
}


@pytest.mark.parametrize("name", list(BAD))
def test_hostile_messages_are_one_line_and_the_stream_goes_on(stored, name):
    with pytest.raises(ValueError, match=r".{5}"):
        decode(BAD[name])
    _, payloads, _ = stored("none")
    items = list(Messages([BAD[name], image_2(0, payloads[0], np.uint16)]).plan())
    assert [type(item) for item in items if item is not None] == [Problem, ChunkRef]
    assert len(str(items[0])) < 300


def test_random_damage_never_does_more_than_raise(stored):
    _, payloads, _ = stored("bslz4")
    rng = np.random.default_rng(3)
    for whole in (image_2(0, payloads[0], np.uint16, "bslz4"), start_2(np.zeros(SHAPE))):
        for _ in range(300):
            damaged = bytearray(whole[0])
            for at in rng.integers(0, min(len(damaged), 400), 3):
                damaged[at] = rng.integers(0, 256)
            try:
                found = decode([bytes(damaged)])
            except ValueError:
                continue
            assert found is None or isinstance(found, (Frame, Header))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", 0), ("1818", 24), ("1903e8", 1000), ("3863", -100), ("1bffffffffffffffff", 18446744073709551615),
        ("f93e00", 1.5), ("fa47c35000", 100000.0), ("fb3ff199999999999a", 1.1), ("f4", False), ("f5", True),
        ("f6", None), ("f7", None), ("60", ""), ("6449455446", "IETF"), ("62c3bc", "ü"), ("80", []),
        ("83010203", [1, 2, 3]), ("a201020304", {1: 2, 3: 4}), ("9f01820203ff", [1, [2, 3]]),
        ("7f657374726561646d696e67ff", "streaming"), ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("c11a514b67b0", cbor.Tag(1, 1363896240)),
    ],
)  # fmt: skip
def test_cbor_by_the_examples_of_the_standard(text, value):
    assert cbor.loads(bytes.fromhex(text)) == value


def test_cbor_bytes_are_views_of_the_message():
    assert bytes(cbor.loads(bytes.fromhex("5f42010243030405ff"))) == b"\x01\x02\x03\x04\x05"
    assert isinstance(cbor.loads(b"\x43abc"), memoryview)
    assert math.isinf(cbor.loads(bytes.fromhex("f97c00")))


class Socket:
    def __init__(self, *messages):
        self.messages = list(messages)

    def poll(self, timeout):
        assert timeout == 50
        return (
            int(bool(self.messages) and self.messages[0] is not None)
            or (self.messages[:1] == [None] and self.messages.pop(0))
            or 0
        )

    def recv_multipart(self):
        return self.messages.pop(0)


def test_a_socket_is_pulled_and_silence_is_none():
    stream = pull("tcp://dcu:31001", 0.05, Socket([b"a"], None, [b"b"]))
    assert [next(stream) for _ in range(4)] == [[b"a"], None, [b"b"], None]


def test_without_zeromq_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pyzmq"):
        next(pull("tcp://dcu:31001"))
