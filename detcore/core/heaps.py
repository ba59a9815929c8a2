"""A look at an HDF5 file before the library does: some damage of its heaps makes the library read for ever.

Texts of variable length lie in collections: "GCOL", version 1, 3 bytes of 0, size (u64), then objects: number (u16), use
count (u16), 4 bytes, size (u64), and data padded to 8 bytes; number 0 is free space, whose size includes its header.
Source: HDF5 File Format Specification version 3.0, section III.E "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os

SEARCHED: Final = 8 << 20  # bytes at either end of the file; headers and attributes are rarely anywhere else
SIGNATURE: Final = b"GCOL\x01\x00\x00\x00"
HEADER: Final = 16  # bytes, of a collection and of an object


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Refuse a file in whose heaps the HDF5 library would go round in circles.

    Parameters
    ----------
    path
        Any file; one that is not HDF5, empty or not readable passes, because its reader has better words for that.

    Raises
    ------
    ValueError
        A collection has free space of an impossible size.
    """
    try:
        facts = Path(path).stat()
        at = _broken(str(path), facts.st_size, facts.st_mtime_ns)
    except (OSError, ValueError):
        return
    if at is not None:
        msg = f"{path}: damaged: the heap at byte {at} has free space of an impossible size; get the file again"
        raise ValueError(msg)


@lru_cache(maxsize=256)
def _broken(path: str, size: int, changed: int) -> int | None:  # noqa: ARG001 - a file that changed is looked at again
    """Return where the first broken collection is."""
    with Path(path).open("rb") as file:  # not mapped into memory: a file that shrinks meanwhile would end the process
        for start in dict.fromkeys((0, max(0, size - SEARCHED))):
            file.seek(start)
            content = file.read(SEARCHED)
            at = content.find(SIGNATURE)
            while at >= 0:
                if _goes_round(content, at):
                    return start + at
                at = content.find(SIGNATURE, at + len(SIGNATURE))
    return None


def _goes_round(content: bytes, at: int) -> bool:
    """Walk over the objects of a collection; free space that is no larger than nothing is where the walk would stay."""
    end = min(at + int.from_bytes(content[at + 8 : at + HEADER], "little"), len(content))
    at += HEADER
    while at + HEADER <= end:
        number = int.from_bytes(content[at : at + 2], "little")
        size = int.from_bytes(content[at + 8 : at + HEADER], "little")
        if number == 0:
            return size < HEADER
        at += HEADER + -(-size // 8) * 8
    return False
