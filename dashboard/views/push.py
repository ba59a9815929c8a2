"""Change only what is new, and send it in few pieces: what stays as it is costs neither server nor browser anything."""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import CustomJS, FixedTicker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bokeh.model import Model
    from bokeh.models import Axis, ColumnDataSource
    from numpy.typing import NDArray

# The names of the browser's arrays for what a parcel can hold; the server's wide integers are made narrow.
KINDS = {"float32": "Float32Array", "float64": "Float64Array", "int32": "Int32Array"}
UNPACK = """
const [, manifest, bytes] = cb_obj.tags
for (const [id, columns] of JSON.parse(manifest)) {
  const source = cb_obj.document.get_model_by_id(id)
  if (source == null) continue  // not on the page now; it comes with its data when it is shown
  const data = source.data instanceof Map ? Object.fromEntries(source.data) : {...source.data}
  for (const [name, kind, start, end] of columns) {
    const from = bytes.byteOffset
    data[name] = new globalThis[kind](bytes.buffer.slice(from + start, from + end))
  }
  source.setv({data}, {sync: false, check_eq: false})
}
"""
_open: ContextVar[Parcel | None] = ContextVar("parcel", default=None)


class Parcel:
    """Sends the array columns that one update of a page changes as one piece.

    Bokeh sends each array in two websocket messages of its own, and those cost the server more than all the rest of
    an update with a dozen columns. The sources here and in the browser end up with the same data either way.

    Parameters
    ----------
    carrier
        A model that is on the page all the time and has no other use for its tags.
    """

    def __init__(self, carrier: Model) -> None:
        self._carrier, self._numbers = carrier, count(1)
        self._columns: dict[str, dict[str, NDArray[Any]]] = {}
        carrier.js_on_change("tags", CustomJS(code=UNPACK))

    @contextmanager
    def packing(self) -> Iterator[None]:
        """Collect what `push` changes, and send it at the end."""
        token = _open.set(self)
        try:
            yield
        finally:
            _open.reset(token)
            self._send()

    def take(self, source: ColumnDataSource, columns: Mapping[str, Any]) -> bool:
        """Take changed columns along, unless one is no plain array or the length changes."""
        held, packed = source.data, {}
        for name, values in columns.items():
            narrow = _narrow(values) if isinstance(values, np.ndarray) else None
            if narrow is None or len(values) != len(held.get(name, ())):
                return False
            packed[name] = narrow
        dict.update(held, columns)  # as a dict, so that Bokeh does not send it too
        self._columns.setdefault(source.id, {}).update(packed)
        return True

    def give_back(self, source: ColumnDataSource) -> dict[str, Any]:
        """Return the columns of a source that would be sent, and forget them: later ones go another way, before them."""
        return {name: source.data[name] for name in self._columns.pop(source.id, {})}

    def _send(self) -> None:
        if not self._columns:
            return
        manifest, parts, start = [], [], 0
        for source, columns in self._columns.items():
            places = []
            for name, values in columns.items():
                parts.append(values.tobytes())
                places.append([name, KINDS[values.dtype.name], start, start + values.nbytes])
                start += values.nbytes
            manifest.append([source, places])
        self._columns = {}
        # as text, because Bokeh looks for models in every element of a list
        self._carrier.tags = [next(self._numbers), json.dumps(manifest), np.frombuffer(b"".join(parts), np.uint8)]


def _narrow(values: NDArray[Any]) -> NDArray[Any] | None:
    if values.dtype.name in KINDS:
        return values
    if values.dtype.kind != "i":
        return None
    fits = abs(values).max(initial=0) < 2**31
    return values.astype(np.int32 if fits else np.float64)


def push(source: ColumnDataSource, columns: Mapping[str, Any]) -> None:
    """Set columns of a source; those that are the same already are not sent.

    Parameters
    ----------
    source
        Its other columns stay; if the length changes, `columns` must be all of them.
    columns
        Arrays where they are long, because Bokeh looks at every element of a list.
    """
    held = source.data
    changed = {name: values for name, values in columns.items() if name not in held or not _same(values, held[name])}
    parcel = _open.get()
    if changed and not (parcel and parcel.take(source, changed)):
        held.update((parcel.give_back(source) if parcel else {}) | changed)


def _same(new: Any, old: Any) -> bool:
    if new is old:
        return True
    if isinstance(new, np.ndarray) and isinstance(old, np.ndarray):
        # as bytes: quicker than element by element, and NaN equals NaN
        return new.dtype == old.dtype and new.shape == old.shape and new.tobytes() == old.tobytes()
    if isinstance(new, list) and new and isinstance(new[0], np.ndarray):  # images
        return len(new) == len(old) and all(map(_same, new, old))
    return type(new) is type(old) and bool(new == old)


def name_ticks(axis: Axis, names: Mapping[float, str]) -> None:
    """Write names at places of an axis, and nothing elsewhere.

    A new ticker would be a new model, for which Bokeh walks through the whole document.
    """
    places, ticker = list(names), axis.ticker
    if not isinstance(ticker, FixedTicker):
        axis.ticker = FixedTicker(ticks=places)
    elif ticker.ticks != places:
        ticker.ticks = places
    if axis.major_label_overrides != dict(names):
        axis.major_label_overrides = dict(names)
