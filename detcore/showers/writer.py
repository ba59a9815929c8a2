"""New shower files, batch by batch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.showers.layout import (
    AnyPath,
    Shape,
    make_datasets,
    new_file,
    three,
    write_numbers,
)
from detcore.showers.model import Showers
from detcore.showers.vlenrows import write_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from detcore.showers.ragged import Ragged


class ShowerWriter:
    """Writes a new shower file batch by batch; it gets its name when the block ends well.

    Parameters
    ----------
    path
        The file.
    shape
        Showers, width, columns.
    overwrite
        Replace it.
    attributes
        Of the file.

    Raises
    ------
    FileExistsError
        It exists.
    ValueError
        At the end of the block: there are fewer showers than `shape` says.

    Examples
    --------
    >>> with ShowerWriter("new.h5", (1000, 500, 5)) as writer:  # doctest: +SKIP
    ...     writer.append(ragged)
    """

    def __init__(
        self, path: AnyPath, shape: Shape, *, overwrite: bool = False, attributes: Mapping[str, Any] | None = None
    ) -> None:
        n, width, columns = three(shape)
        if n < 0 or columns not in {4, 5}:
            msg = f"shape is {tuple(shape)}; expected the numbers of showers and points, and 4 or 5 columns"
            raise ValueError(msg)
        self.path, self.shape, self.done = path, (int(n), int(width), int(columns)), 0
        self._overwrite, self._attributes = overwrite, dict(attributes or {})
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(new_file(self.path, overwrite=self._overwrite))
        try:
            make_datasets(self._file, self.shape, np.int64)
            for name, value in self._attributes.items():
                self._file.attrs[name] = value
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.done != self.shape[0]:
            short = ValueError(f"{self.path}: {self.shape[0]} showers were announced, {self.done} were written")
            self._stack.__exit__(ValueError, short, None)
            raise short
        self._stack.__exit__(kind, error, trace)

    def append(self, showers: Ragged | Showers) -> None:
        """Write showers after those that are there.

        Parameters
        ----------
        showers
            With the columns of the file, and not more points than its width.

        Raises
        ------
        ValueError
            They do not fit.
        """
        part = showers.ragged() if isinstance(showers, Showers) else showers
        if self._file is None:
            msg = f"{self.path}: use the writer in a with block"
            raise ValueError(msg)
        n, width, columns = self.shape
        counts, end = part.counts, self.done + len(part)
        if (len(part) and part.columns != columns) or end > n or counts.max(initial=0) > width:
            msg = (
                f"{self.path}: expected showers up to number {n} with {columns} columns and {width} points, found "
                f"{end} with {part.columns} and {counts.max(initial=0)}"
            )
            raise ValueError(msg)
        if not len(part):
            return
        rows = slice(self.done, end)
        points = np.ascontiguousarray(part.points, np.float32)
        write_rows(self._file["showers"], self.done, points, part.offsets[:-1] * columns, counts * columns)
        write_numbers(self._file, rows, part, counts)
        self.done = end


def write_ragged(
    path: AnyPath, ragged: Ragged, *, overwrite: bool = False, attributes: Mapping[str, Any] | None = None
) -> None:
    """Write showers without padding to a new file.

    Parameters
    ----------
    path
        The file; it appears when it is complete.
    ragged
        The showers; the width of the file is their `max_points`, or more if one of them is longer.
    overwrite
        Replace it.
    attributes
        Of the file.

    Raises
    ------
    FileExistsError
        It exists.
    """
    width = max(ragged.max_points, int(ragged.counts.max(initial=0)))
    shape = (len(ragged), width, ragged.columns)
    with ShowerWriter(path, shape, overwrite=overwrite, attributes=attributes) as writer:
        writer.append(ragged)
