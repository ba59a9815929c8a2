"""Columns that an update changes more than once arrive as they are at its end, whichever way they go."""

from __future__ import annotations

import json

import numpy as np
from bokeh.models import ColumnDataSource, Div

from dashboard.views.push import Parcel, push


def sent(parcel: Parcel, carrier: Div) -> dict[str, list[list[object]]]:
    """Return the columns that are in the parcel, by source."""
    return dict(json.loads(carrier.tags[1])) if carrier.tags else {}


def test_equal_lengths_go_in_the_parcel() -> None:
    carrier, source = Div(), ColumnDataSource({"x": np.zeros(3), "y": np.zeros(3)})
    parcel = Parcel(carrier)
    with parcel.packing():
        push(source, {"x": np.arange(3.0), "y": np.zeros(3)})
    assert [column[0] for column in sent(parcel, carrier)[source.id]] == ["x"]
    assert source.data["x"].tolist() == [0, 1, 2]


def test_a_parcel_does_not_undo_a_later_change_of_length() -> None:
    carrier, source = Div(), ColumnDataSource({"x": [], "y": []})
    parcel = Parcel(carrier)
    changes: list[dict[str, object]] = []
    source.on_change("data", lambda attr, old, new: changes.append(dict(new)))
    with parcel.packing():
        push(source, {"x": np.zeros(0, np.float32), "y": np.zeros(0, np.float32)})
        push(source, {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)})
    assert source.id not in sent(parcel, carrier)
    assert [len(change["x"]) for change in changes] == [2]


def test_what_waits_for_the_parcel_goes_with_a_column_that_cannot() -> None:
    carrier, source = Div(), ColumnDataSource({"x": np.zeros(2), "name": ["a", "b"]})
    parcel = Parcel(carrier)
    with parcel.packing():
        push(source, {"x": np.ones(2)})
        push(source, {"name": ["c", "d"]})
    assert source.id not in sent(parcel, carrier)
    assert source.data["x"].tolist() == [1, 1]
