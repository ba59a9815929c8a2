"""Text of numbers as psana writes constants: ``#`` lines that may name type and shape, then the rows.

The lines are ``# DTYPE int``, ``# NDIM 3``, ``# DIM:1 32``, …; without them the lines of the text are the rows, and
modules lie below each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.image.checks import MAX_PIXELS, checked_raw_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES = 2 * MAX_PIXELS + (1 << 20)
MAX_COMMENTS = 10_000


def is_numbers(start: bytes) -> bool:
    """Answer from the first bytes of a file whether numbers or comments follow.

    Examples
    --------
    >>> is_numbers(b"# TITLE mask"), is_numbers(b" 1 0 1"), is_numbers(b"P5 10 10"), is_numbers(b"")
    (True, True, False, False)
    """
    text = start.lstrip()
    return bool(text) and text[:1] in b"#0123456789+-." and b"\0" not in start


def read(path: Path, note: str) -> tuple[NDArray[Any], str | None]:
    """Read all numbers.

    Parameters
    ----------
    path
        The file.
    note
        The name of a comment whose text is returned beside the numbers.

    Returns
    -------
    NDArray[Any]
        In the shape that the comments say, or (line, number); int64 if all are whole numbers, else float64.
    str | None
        The text of the comment.

    Raises
    ------
    ValueError
        There are words or rows of different length, or the numbers do not fill the shape.
    """
    if path.stat().st_size > MAX_BYTES:
        msg = f"{path}: {path.stat().st_size} bytes of text are more than the largest detector has pixels"
        raise ValueError(msg)
    comments = _comments(path)
    try:
        rows = np.loadtxt(path, np.float64, comments="#", ndmin=2, encoding="latin-1")
    except (ValueError, UserWarning) as error:
        msg = f"{path}: not a text of numbers in rows of equal length: {error}"
        raise ValueError(msg) from None
    if not rows.size:
        msg = f"{path}: a text without any numbers"
        raise ValueError(msg)
    if "NDIM" in comments:
        try:
            shape = checked_raw_shape(
                [int(comments[f"DIM:{axis + 1}"]) for axis in range(min(int(comments["NDIM"]), 9))]
            )
        except (KeyError, ValueError) as error:
            msg = f"{path}: the comments say no shape of an image or of modules: {error}"
            raise ValueError(msg) from None
        if math.prod(shape) != rows.size:
            msg = f"{path}: the comments say {shape}, that is {math.prod(shape)} numbers, but there are {rows.size}"
            raise ValueError(msg)
        rows = rows.reshape(shape)
    whole = np.isfinite(rows).all() and not np.any(rows % 1) and np.abs(rows).max() < 2**53
    return rows.astype(np.int64) if whole else rows, comments.get(note.upper())


def write(path: Path, image: NDArray[Any], notes: Mapping[str, str]) -> None:
    """Write whole numbers, (y, x) or (module, y, x), with the comments that say their shape."""
    comments = {**notes, "DTYPE": "int", "NDIM": image.ndim}
    comments |= {f"DIM:{axis}": size for axis, size in enumerate(image.shape, 1)}
    head = "".join(f"# {name:<20} {value}\n" for name, value in comments.items())
    with path.open("wb") as stream:
        stream.write(head.encode("ascii", "replace"))
        np.savetxt(stream, image.reshape(-1, image.shape[-1]), fmt="%d")


def _comments(path: Path) -> dict[str, str]:
    """Return the words after the first of each comment, by the first in capitals."""
    found: dict[str, str] = {}
    with path.open("rb") as stream:
        for _ in range(MAX_COMMENTS):
            line = stream.readline(10_000)
            if not line.startswith(b"#"):
                break
            name, _, text = line[1:].decode("latin-1").strip().partition(" ")
            found[name.upper()] = text.strip()
    return found
