"""The small HDF5 file of a run: one row per event, a group per detector, what stays the same once, sums at the end.

Its layout is that of smalldata_tools: ``event_time``, ``lightStatus/xray``, ``scan/<name>``, ``<detector>/ROI_0_sum``,
``<detector>/ragged_<…>``, ``<detector>/var_<…>/<field>`` with ``<detector>/var_<…>_len``, ``UserDataCfg/<detector>/…``,
``Sums/…``. A value that an event does not have is nan, -99999 for whole numbers, "" for text, 0 for lengths.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.smalldata.smallcolumns import column
from detcore.core.paths import atomic

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from detcore.area.smalldata.smallcolumns import Column

BLOCK_EVENTS, BLOCK_BYTES = 256, 16 << 20  # rows that are written at once
CONFIG, SUMS = "UserDataCfg", "Sums"
RESERVED: Final = frozenset({CONFIG, SUMS, "detcore"})


class SmallData:
    """Writes the file; a context manager. The file appears under its name when all is well, or never.

    Parameters
    ----------
    path
        Of the file, or an open one.
    strict
        A value of another kind than in earlier events is an error. False: it is left out, and `refused` says so.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.h5"
    >>> with SmallData(path) as small:
    ...     small.event({"event_id": 0, "epix": {"ROI_0_sum": 3.5}})
    ...     small.event({"event_id": 1, "user": {"word": "late"}})
    >>> with h5py.File(path) as file:
    ...     print(file["epix/ROI_0_sum"][:], file["user/word"].asstr()[:])
    [3.5 nan] ['' 'late']
    """

    def __init__(self, path: str | os.PathLike[str] | h5py.File, *, strict: bool = True) -> None:
        self._given, self.strict = path, strict
        self._stack = ExitStack()
        self._columns: dict[str, Column] = {}
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._written = 0
        self.n_events = 0
        self.refused: dict[str, str] = {}

    def __enter__(self) -> Self:
        if isinstance(self._given, h5py.File):
            self.file = self._given
        else:
            aside = self._stack.enter_context(atomic(self._given))
            self.file = self._stack.enter_context(h5py.File(aside, "w"))
        self.file.attrs["layout"] = "smalldata"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None:
            try:
                self.flush()
            except BaseException as fault:
                self._stack.__exit__(type(fault), fault, fault.__traceback__)
                raise
        return self._stack.__exit__(kind, error, trace)

    def event(self, values: Mapping[str, Any]) -> None:
        """Add an event.

        Parameters
        ----------
        values
            Path -> number, text or array; dictionaries are groups. None is left out. Keys that begin with ``ragged_``
            take arrays (n, …) of any length, dictionaries under ``var_<…>`` arrays of one length each event.

        Raises
        ------
        ValueError
            A path is not usable; an array has another number of dimensions than before.
        """
        row = dict(flattened(values))
        for path in row:
            if path.split("/", 1)[0] in RESERVED:
                msg = f"event data {path!r}: the group {path.split('/', 1)[0]} is taken; choose another name"
                raise ValueError(msg)
        row.update(lengths_of(row))
        self._rows.append(row)
        self.n_events += 1
        self._bytes += sum(getattr(value, "nbytes", 8) for value in row.values())
        if len(self._rows) >= BLOCK_EVENTS or self._bytes > BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the events that wait."""
        rows, self._rows, self._bytes = self._rows, [], 0
        names = dict.fromkeys(self._columns)
        for row in rows:
            names.update(dict.fromkeys(row))
        for name in names:
            if name not in self._columns:
                first = next(row[name] for row in rows if name in row)
                self._columns[name] = column(self.file, name, first, self._written)
            self._columns[name].append([self._fitting(name, row) for row in rows], self._written)
        self._written += len(rows)

    def _fitting(self, name: str, row: dict[str, Any]) -> Any:
        """Return the value of a column, None if the event has none, an array of missing values beside fields that do."""
        one = self._columns[name]
        value = row.get(name)
        if value is None:
            return one.absent(row)
        wrong = one.wrong(value)
        if wrong is None:
            return value
        what = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else "text"
        msg = f"event data {name!r}: expected {wrong} as in earlier events, found {what}"
        if self.strict:
            raise ValueError(msg)
        self.refused.setdefault(name, msg)
        return one.absent(row)

    def once(self, group: str, values: Mapping[str, Any]) -> None:
        """Write what belongs to the run, for instance ``UserDataCfg/<detector>``; a later value replaces the first."""
        for path, value in flattened(values):
            place = f"{group}/{path}"
            if place in self.file:
                del self.file[place]
            if isinstance(value, np.ndarray) and value.ndim and value.nbytes > 4096:
                self.file.create_dataset(place, data=value, compression="gzip", compression_opts=1, shuffle=True)
            else:
                self.file[place] = value

    def sums(self, detector: str, results: Mapping[str, NDArray[Any]], counts: Mapping[str, int]) -> None:
        """Write sums as ``Sums/<detector>_<algorithm>``, each with the attribute `n_events`."""
        for name, values in results.items():
            self.once(SUMS, {f"{detector}_{name}": values})
            self.file[f"{SUMS}/{detector}_{name}"].attrs["n_events"] = counts.get(name, 0)


def flattened(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of nested dictionaries; what is None is left out, what begins with "_" is private.

    Raises
    ------
    ValueError
        A key cannot be a name in an HDF5 file, or a value cannot be saved.

    Examples
    --------
    >>> dict(flattened({"epix": {"ROI_0_sum": 2, "_mask": 1}, "note": None}))
    {'epix/ROI_0_sum': array(2)}
    """
    for key, value in values.items():
        name = str(key)
        if not name.strip("/. ") or "\0" in name or name.startswith("/") or ".." in name.split("/"):
            msg = f"event data {above}{name!r}: expected a name, letters first; found one that HDF5 cannot keep"
            raise ValueError(msg)
        if name.startswith("_") or value is None:
            continue
        if isinstance(value, dict):
            yield from flattened(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", _plain(value, f"{above}{name}")


def _plain(value: Any, name: str) -> Any:
    """Return text, or an array of numbers; masked values become 0 or nan."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", " ")
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(0 if value.dtype.kind in "iub" else np.nan)
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind in "US" and array.ndim == 0:
        return str(array)
    if array.dtype.kind == "U":
        return np.char.encode(array, "utf-8")
    if array.dtype.kind not in "biufcS":
        msg = (
            f"event data {name!r}: expected numbers, text, arrays of them or dictionaries; found {type(value).__name__}"
        )
        raise ValueError(msg)
    return array


def lengths_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many values the fields of each ``var_<…>`` group of an event have, as ``<group>_len``.

    Raises
    ------
    ValueError
        The fields of a group differ.
    """
    found: dict[str, Any] = {}
    for path, value in row.items():
        group = path.rpartition("/")[0]
        if group.rpartition("/")[2].startswith("var_"):
            length = np.int64(len(value) if isinstance(value, np.ndarray) and value.ndim else -1)
            if length < 0 or found.setdefault(f"{group}_len", np.asarray(length)) != length:
                msg = f"event data {path!r}: expected an array as long as the other fields of {group}, found {value!r:.80}"
                raise ValueError(msg)
    return found
