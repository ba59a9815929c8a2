"""Frames from the detector's stream: version 1 (JSON and blobs) and version 2 (CBOR), as chunks like those of files.

The payload of a message has the framing of a stored HDF5 chunk, so the same kernels reduce it. A stream that others
read, too, must be a copy (fan-out): sockets of this kind share the frames between all who pull.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import xarray as xr
from typing_extensions import override

from detcore.core.schema import FRAME, LIVE, SAMPLE_DIMENSION
from detcore.core.source import ChunkRef, Problem, Source
from detcore.eiger import cbor
from detcore.eiger.frametable import MAX_PIXELS
from detcore.eiger.metadata import NAMES, PLANCK_C

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 1 << 30  # of a message
MAX_HEADER = 1 << 24  # of JSON
MAX_TEXT = 1000
TARGET_BYTES = 8 << 20
LATEST = 0.5  # s; a slow stream is handed on after that
MULTIDIMENSIONAL, COMPRESSED = 40, 56500  # CBOR tags: RFC 8746, and DECTRIS' own
_TYPED = {64: "uint8", 69: "uint16", 70: "uint32"}  # RFC 8746, little-endian
_DTYPES = ("uint8", "uint16", "uint32")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream: its number from 1, its start (s; nan if unknown), and its bytes as stored."""

    number: int
    start_time: float
    shape: tuple[int, int]
    dtype: str
    encoding: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a stream says at its start: metadata as of `read_metadata`, and the pixel mask (y, x)."""

    series: str
    metadata: dict[str, Any]
    pixel_mask: NDArray[np.uint32] | None = None


Message = Sequence[bytes | memoryview]


def decode(parts: Message, channel: int = 0) -> Frame | Header | None:
    """Return what a message holds: a frame, the start of a series, or nothing that matters (its end).

    Parameters
    ----------
    parts
        Of a multipart message; a single one is version 2.
    channel
        Of a detector with several thresholds.

    Raises
    ------
    ValueError
        The message is not one of a detector, or breaks its own rules.
    """
    if not parts or sum(len(part) for part in parts) > MAX_BYTES:
        msg = f"a message of {len(parts)} parts; expected 1 to {MAX_BYTES} bytes"
        raise ValueError(msg)
    try:
        if bytes(parts[0][:1]) == b"{":
            return _version_1(parts)
        return _version_2(parts[0], channel)
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        msg = f"not a message of a detector: {type(error).__name__} {str(error)[:100]}"
        raise ValueError(msg) from error


def _json(part: bytes | memoryview) -> dict[str, Any]:
    if len(part) > MAX_HEADER:
        msg = f"a header of {len(part)} bytes; at most {MAX_HEADER} are read"
        raise ValueError(msg)
    found = json.loads(bytes(part))
    if not isinstance(found, dict):
        msg = "a header that is not a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - the message is wrong, not the program
    return found


def _shape(ny: Any, nx: Any) -> tuple[int, int]:
    shape = int(ny), int(nx)
    if min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        msg = f"frames of {shape} pixels; expected 1 to {MAX_PIXELS}"
        raise ValueError(msg)
    return shape


def _frame(number: int, began: float, shape: tuple[int, int], dtype: str, encoding: str, payload: bytes) -> Frame:
    if dtype not in _DTYPES:
        msg = f"frame {number} holds {str(dtype)[:30]}; expected {', '.join(_DTYPES)}"
        raise ValueError(msg)
    expected = shape[0] * shape[1] * np.dtype(dtype).itemsize
    said = int.from_bytes(payload[:8], "big") if encoding != "raw" else len(payload)
    if said != expected or not 0 < number < 1 << 60:
        msg = f"frame {number}: expected {expected} bytes of pixels, found {said}"
        raise ValueError(msg)
    return Frame(number, began, shape, dtype, encoding, payload)


def _version_1(parts: Message) -> Frame | Header | None:
    head = _json(parts[0])
    kind = str(head.get("htype", ""))
    if kind.startswith("dheader-"):
        config = _json(parts[1]) if len(parts) > 1 and head.get("header_detail") != "none" else {}
        mask = None
        for one, blob in itertools.pairwise(parts[2:]):
            if bytes(one[:1]) == b"{" and str(_json(one).get("htype", "")).startswith("dpixelmask-"):
                mask = _mask(blob, _shape(*reversed(_json(one)["shape"])))
        return Header(str(head.get("series", ""))[:MAX_TEXT], _metadata(config), mask)
    if not kind.startswith("dimage-"):
        return None
    data = _json(parts[1])
    shape = _shape(*reversed(data["shape"]))
    dtype, blob = str(data["type"]), bytes(parts[2])
    encoding = str(data["encoding"])
    if encoding.startswith("bs") and encoding.endswith("-lz4<"):
        name = "bslz4"
    elif encoding == "lz4<":  # one bare block: given the header that it has in a file
        size = shape[0] * shape[1] * np.dtype(dtype if dtype in _DTYPES else "u1").itemsize
        name, blob = "lz4", struct.pack(">QII", size, size, len(blob)) + blob
    elif encoding == "<":
        name = "raw"
    else:
        msg = f"frames encoded as {encoding[:30]!r}; expected bs16-lz4<, bs32-lz4<, bs8-lz4<, lz4< or <"
        raise ValueError(msg)
    stamp = _json(parts[3]).get("start_time") if len(parts) > 3 else None
    began = float(stamp) / 1e9 if isinstance(stamp, (int, float)) else math.nan
    return _frame(int(head["frame"]) + 1, began, shape, dtype, name, blob)


def _version_2(message: bytes | memoryview, channel: int) -> Frame | Header | None:
    found = cbor.loads(message)
    if isinstance(found, cbor.Tag):  # 55799: "this is CBOR"
        found = found.value
    kind = found["type"]
    if kind == "start":
        names = found.get("channels") or [""]
        masks = found.get("pixel_mask") or {}
        tag = masks.get(names[min(channel, len(names) - 1)])
        mask = None
        if tag is not None:
            shape, dtype, encoding, payload = _array(tag)
            if encoding == "raw" and dtype == "uint32":
                mask = _mask(payload, shape)
        return Header(str(found.get("series_unique_id", ""))[:MAX_TEXT], _metadata(found), mask)
    if kind != "image":
        return None
    data = found["data"]
    if not 0 <= channel < len(data):
        msg = f"frames with {len(data)} channels; there is no channel {channel} (they count from 0)"
        raise ValueError(msg)
    shape, dtype, encoding, payload = _array(list(data.values())[channel])
    stamp = found.get("start_time")
    began = stamp[0] / stamp[1] if isinstance(stamp, list) and len(stamp) == 2 and stamp[1] else math.nan
    return _frame(int(found["image_id"]) + 1, float(began), shape, dtype, encoding, payload)


def _array(tag: Any) -> tuple[tuple[int, int], str, str, bytes]:
    """Return shape, type, encoding and bytes of a two-dimensional array, which stays compressed."""
    if not isinstance(tag, cbor.Tag) or tag.number != MULTIDIMENSIONAL:
        msg = "an image that is not a two-dimensional array (tag 40)"
        raise ValueError(msg)
    (ny, nx), typed = tag.value
    dtype = _TYPED.get(typed.number)
    if dtype is None:
        msg = f"an image of type tag {typed.number}; expected uint8, uint16 or uint32 (64, 69, 70)"
        raise ValueError(msg)
    if not isinstance(typed.value, cbor.Tag):
        return _shape(ny, nx), dtype, "raw", bytes(typed.value)
    name, size, payload = typed.value.value
    if typed.value.number != COMPRESSED or name not in {"bslz4", "lz4"}:
        msg = f"an image compressed by {str(name)[:30]!r}; expected bslz4 or lz4"
        raise ValueError(msg)
    if name == "bslz4" and size != np.dtype(dtype).itemsize:
        msg = f"an image of {dtype} whose bits are sorted for {size} bytes"
        raise ValueError(msg)
    return _shape(ny, nx), dtype, str(name), bytes(payload)


def _mask(blob: bytes | memoryview, shape: tuple[int, int]) -> NDArray[np.uint32] | None:
    if len(blob) != 4 * shape[0] * shape[1]:
        return None
    return np.frombuffer(blob, "<u4").astype(np.uint32).reshape(shape)


def _metadata(config: dict[str, Any]) -> dict[str, Any]:
    """Return what both versions call by nearly the same names."""

    def number(*names: str) -> float | None:
        values = (config.get(name) for name in names)
        good = (one for one in values if isinstance(one, (int, float)) and math.isfinite(one))
        return next(good, None)

    def pair(x: str, y: str) -> tuple[float, float] | None:
        both = number(x), number(y)
        return None if both[0] is None or both[1] is None else (both[0], both[1])

    found: dict[str, Any] = dict.fromkeys(NAMES)
    for name in ("frame_time", "count_time", "saturation_value", "detector_distance"):
        found[name] = number(name)
    found["bit_depth"] = number("bit_depth_image")
    found["photon_energy"] = number("photon_energy", "incident_energy")
    found["wavelength"] = number("wavelength", "incident_wavelength")
    for one, other in (("photon_energy", "wavelength"), ("wavelength", "photon_energy")):
        if found[one] is None and found[other]:
            found[one] = PLANCK_C / found[other]
    found["pixel_size"] = pair("x_pixel_size", "y_pixel_size") or pair("pixel_size_x", "pixel_size_y")
    found["beam_center"] = pair("beam_center_x", "beam_center_y")
    for name, places in {
        "description": ("description", "detector_description"),
        "start_date": ("data_collection_date", "arm_date"),
    }.items():
        texts = (config.get(place) for place in places)
        found[name] = next((one[:MAX_TEXT] for one in texts if isinstance(one, str)), None)
    images, total = number("nimages"), number("number_of_images")
    found["n_expected"] = int(total) if total is not None else None
    if images is not None:
        found["n_expected"] = int(images * max(number("ntrigger") or 1, 1))
    applied = config.get("pixel_mask_applied", config.get("pixel_mask_enabled"))
    found["pixel_mask_applied"] = None if applied is None else bool(applied)
    return found


@dataclass(eq=False)
class Messages(Source):
    """A stream of frames, which can be read only once.

    Parameters
    ----------
    messages
        Multipart messages, each a sequence of bytes; None where nothing has come yet. See `pull`.
    name
        Key of the input.
    channel
        Of a detector with several thresholds, from 0.
    """

    messages: Iterable[Message | None]
    name: str = "stream"
    channel: int = 0
    _header: Header | None = field(default=None, init=False, repr=False)
    _first: Frame | None = field(default=None, init=False, repr=False)
    _guard: Any = field(default_factory=threading.Lock, init=False, repr=False)

    replayable: ClassVar[bool] = False

    @property
    @override
    def key(self) -> str:
        return self.name

    @override
    def schema(self) -> xr.Dataset:
        if self._first is None:
            msg = f"{self.name}: no frame has come yet, so its type is not known; plan first"
            raise ValueError(msg)
        with self._guard:
            header, first = self._header, self._first
        mask = header.pixel_mask if header else None
        values = header.metadata if header else _metadata({})
        return self._chunk((), first).assign_attrs(
            {LIVE: True, "pixel_mask": mask if mask is not None and mask.shape == first.shape else None},
            metadata=values | {"master": self.name},
        )

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        waiting: list[Frame] = []
        done, row, since = 0, 0, 0.0
        for message in itertools.chain(self.messages, [None]):
            frame: Frame | Header | None = None
            if message is not None:
                try:
                    frame = decode(message, self.channel)
                except ValueError as error:
                    yield Problem.of(self.name, error)
                    continue
            if isinstance(frame, Header):
                with self._guard:
                    self._header = frame
            other = isinstance(frame, Frame) and waiting and _kind(frame) != _kind(waiting[0])
            full = done >= (target_bytes or TARGET_BYTES) or time.monotonic() - since > LATEST
            if waiting and (message is None or other or full):
                yield self._ref(waiting, row)
                waiting, done, row = [], 0, row + len(waiting)
            if message is None:
                yield None
            elif isinstance(frame, Frame):
                if self._first is None:
                    self._first = frame
                since = since if waiting else time.monotonic()
                waiting.append(frame)
                done += len(frame.payload)

    def _ref(self, frames: list[Frame], row: int) -> ChunkRef:
        weight = float(sum(len(frame.payload) for frame in frames))
        return ChunkRef(self.name, self.name, row, row + len(frames), "stream", weight, where=tuple(frames))

    @override
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        frames: Any = ref.where
        return self._chunk(frames, frames[0])

    def _chunk(self, frames: Sequence[Frame], model: Frame) -> xr.Dataset:
        payload = np.frombuffer(b"".join(frame.payload for frame in frames), np.uint8)
        sizes = np.array([len(frame.payload) for frame in frames], np.int64)
        data: dict[str, Any] = {
            "frame_number": (FRAME, np.array([frame.number for frame in frames], np.int64)),
            "payload_size": (FRAME, sizes, {SAMPLE_DIMENSION: "byte"}),
            "payload": ("byte", payload),
        }
        if not math.isnan(model.start_time):
            data["start_time"] = (FRAME, np.array([frame.start_time for frame in frames], float), {"units": "s"})
        return xr.Dataset(
            data,
            attrs={"file": self.name, "encoding": model.encoding, "dtype": model.dtype, "shape": model.shape},
        )


def _kind(frame: Frame) -> tuple[Any, ...]:
    return frame.shape, frame.dtype, frame.encoding, math.isnan(frame.start_time)


class Pullable(Protocol):
    """What is used of a socket."""

    def poll(self, timeout: int) -> int:
        """Wait so many milliseconds for a message."""

    def recv_multipart(self) -> list[bytes]:
        """Return one."""


def pull(address: str, patience: float = 0.2, socket: Pullable | None = None) -> Iterator[Message | None]:
    """Yield the messages of a stream, or None after `patience` seconds without one; never ends by itself.

    Parameters
    ----------
    address
        For instance ``tcp://dcu:31001`` (version 2) or ``tcp://dcu:9999`` (version 1) of a fan-out.
    patience
        Seconds.
    socket
        Instead of one that is opened here.

    Raises
    ------
    ModuleNotFoundError
        There is no ZeroMQ.
    """
    if socket is not None:
        while True:
            yield socket.recv_multipart() if socket.poll(int(1000 * patience)) else None
    try:
        zmq = importlib.import_module("zmq")
    except ModuleNotFoundError as error:
        msg = "streams need ZeroMQ: pip install pyzmq"
        raise ModuleNotFoundError(msg) from error
    with zmq.Context() as context, context.socket(zmq.PULL) as own:
        own.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        own.setsockopt(zmq.LINGER, 0)
        own.connect(address)
        yield from pull(address, patience, own)
