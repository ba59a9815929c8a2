"""CBOR (RFC 8949) as far as detector streams use it, with bounds: what a stranger sends is never trusted."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 16
MAX_ITEMS = 100_000
_BREAK = object()


@dataclass(frozen=True, slots=True)
class Tag:
    """A value with a registered meaning."""

    number: int
    value: Any


class _Reader:
    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.at, self.items = memoryview(data), 0, 0

    def take(self, n: int) -> memoryview:
        end = self.at + n
        if end > len(self.data):
            msg = f"CBOR: expected {n} bytes at {self.at}, found {len(self.data) - self.at}; the message is cut off"
            raise ValueError(msg)
        part, self.at = self.data[self.at : end], end
        return part

    def length(self, low: int) -> int | None:
        """Return the number in the head of an item; None for a length that is not told."""
        if low < 24:
            return low
        if low <= 27:
            return int.from_bytes(self.take(1 << (low - 24)), "big")
        if low == 31:
            return None
        msg = f"CBOR: reserved length {low} at byte {self.at}"
        raise ValueError(msg)

    def value(self, depth: int = 0) -> Any:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            msg = f"CBOR: more than {MAX_DEPTH} levels or {MAX_ITEMS} items"
            raise ValueError(msg)
        head = self.take(1)[0]
        major, low = head >> 5, head & 31
        if major == 7:
            return self.simple(low)
        n = self.length(low)
        if major in {2, 3}:
            return self.string(major, n, depth)
        if major == 4:
            return self.several(n, depth)
        if major == 5:
            return self.mapping(n, depth)
        if n is None:
            msg = f"CBOR: a number without an end at byte {self.at}"
            raise ValueError(msg)
        if major == 6:
            return Tag(n, self.value(depth + 1))
        return n if major == 0 else -1 - n

    def simple(self, low: int) -> Any:
        if low == 31:
            return _BREAK
        if low in {20, 21}:
            return low == 21
        if low in {25, 26, 27}:
            return struct.unpack({25: ">e", 26: ">f", 27: ">d"}[low], self.take(1 << (low - 24)))[0]
        if low == 24:
            self.take(1)
        return None

    def string(self, major: int, n: int | None, depth: int) -> Any:
        if n is not None:
            part = self.take(n)
            return part if major == 2 else str(part, "utf-8", "replace")
        parts = self.several(None, depth)
        if not all(isinstance(one, str if major == 3 else memoryview) for one in parts):
            msg = "CBOR: a text or byte string in parts of another kind"
            raise ValueError(msg)
        return "".join(parts) if major == 3 else memoryview(b"".join(parts))

    def several(self, n: int | None, depth: int) -> list[Any]:
        found: list[Any] = []
        while n is None or len(found) < n:
            one = self.value(depth + 1)
            if one is _BREAK:
                if n is None:
                    return found
                msg = f"CBOR: an end after {len(found)} of {n} items"
                raise ValueError(msg)
            found.append(one)
        return found

    def mapping(self, n: int | None, depth: int) -> dict[Any, Any]:
        flat = self.several(None if n is None else 2 * n, depth)
        if len(flat) % 2 or not all(isinstance(key, (str, int)) for key in flat[::2]):
            msg = "CBOR: a map whose keys are neither text nor numbers"
            raise ValueError(msg)
        return dict(zip(flat[::2], flat[1::2], strict=True))


def loads(data: bytes | memoryview) -> Any:
    """Return the value of a message; byte strings are views of it, tags are kept.

    Raises
    ------
    ValueError
        It is cut off, too deep, too long, or followed by something else.

    Examples
    --------
    >>> loads(bytes.fromhex("a1616183010220"))
    {'a': [1, 2, -1]}
    """
    reader = _Reader(data)
    value = reader.value()
    if value is _BREAK or reader.at != len(reader.data):
        msg = f"CBOR: {len(reader.data) - reader.at} bytes after the end of the message"
        raise ValueError(msg)
    return value
