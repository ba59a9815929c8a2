"""The drawing layer without a browser: messages of a page, honest and hostile, become calls of its owner."""

from __future__ import annotations

from typing import Any

import pytest
from bokeh.document import Document
from bokeh.plotting import figure

from dashboard.outlines import Point
from dashboard.sketch import BRUSH, MAX_MARKS, Mark, Sketch
from detcore.image import Brush, Rectangle

ONE, TWO = Rectangle(x0=1, y0=1, x1=4, y1=3), Rectangle(x0=5, y0=5, x1=8, y1=9)
SENT = {"kind": "rectangle", "x0": 2, "y0": 1, "x1": 5, "y1": 3}
MOVED = Rectangle(x0=2, y0=1, x1=5, y1=3)


class Owner:
    """Writes down what it is told."""

    def __init__(self, **more: Any) -> None:
        self.told: list[tuple[Any, ...]] = []
        names = ("add", "change", "delete", "select", "drag", "undo", "redo", "draw")
        tell = {f"on_{name}": lambda *about, name=name: self.told.append((name, *about)) for name in names}
        self.sketch = Sketch(figure(), **(tell | more))
        self.sketch.show([Mark("a", ONE, name="signal"), Mark("b", TWO, kind="add", fixed=True)])

    def hear(self, **message: Any) -> list[tuple[Any, ...]]:
        self.told.clear()
        self.sketch.hear(message)
        return self.told


def test_edits_are_told_as_values() -> None:
    owner = Owner()
    assert owner.hear(do="add", shape=SENT) == [("draw", None), ("add", MOVED)]
    assert owner.hear(do="change", id="a", shape=SENT) == [("change", "a", MOVED)]
    assert owner.hear(do="drag", id="a", shape=SENT) == [("drag", "a", MOVED)]
    assert owner.hear(do="drag", id=None, shape=SENT) == [("drag", None, MOVED)]
    assert owner.hear(do="drag", id="a", shape=None) == [("drag", "a", None)]
    assert owner.hear(do="select", id="a") == [("select", "a")]
    assert owner.sketch.selected == "a"
    assert owner.hear(do="delete", id="a") == [("delete", "a")]
    assert owner.hear(do="undo") == [("undo",)]
    assert owner.hear(do="redo") == [("redo",)]
    assert owner.hear(do="select", id=None) == [("select", None)]
    assert owner.sketch.selected is None
    assert [mark.id for mark in owner.sketch.marks] == ["a", "b"], "the owner decides what becomes of it"


def test_tools_are_chosen_and_stay_where_it_helps() -> None:
    owner = Owner(kinds=("roi", "add"), tools=("rectangle", "brush", "point"))
    assert owner.hear(do="draw", mode="brush", kind="add", radius=3.456) == [("draw", "brush")]
    assert (owner.sketch.mode, owner.sketch.kind, owner.sketch.radius) == ("brush", "add", 3.46)
    stroke = {"kind": "brush", "xs": [1], "ys": [2], "starts": [0], "radius": 3}
    assert owner.hear(do="add", shape=stroke) == [("add", Brush(strokes=[[(1, 2)]], radius=3))]
    assert owner.sketch.mode == "brush"
    owner.hear(do="draw", mode="point")
    assert owner.hear(do="add", shape={"kind": "point", "x": 1, "y": 2}) == [("add", Point(1, 2))]
    assert owner.sketch.mode == "point"
    assert owner.hear(do="draw", mode="ellipse") == [], "there is no such button"
    assert owner.hear(do="draw", mode=["rectangle"]) == []
    assert owner.hear(do="draw", mode="rectangle", kind="subtract", radius=1e9) == [("draw", "rectangle")]
    assert (owner.sketch.kind, owner.sketch.radius) == ("add", 3.46), "no such kind, no such radius"
    owner.told.clear()
    owner.sketch.draw("brush", kind="roi", radius=1e9)
    assert (owner.sketch.mode, owner.sketch.kind, owner.sketch.radius) == ("brush", "roi", BRUSH[1])
    assert owner.told == []
    assert owner.sketch.view.state["mode"] == "brush"


@pytest.mark.parametrize(
    "message",
    [
        {}, {"do": None}, {"do": []}, {"do": "explode"}, {"do": "add"}, {"do": "add", "shape": None}, {"do": "change", "shape": SENT},
        {"do": "change", "id": "c", "shape": SENT}, {"do": "change", "id": ["a"], "shape": SENT}, {"do": "change", "id": "b", "shape": SENT},
        {"do": "change", "id": "a", "shape": {"kind": "rectangle", "x0": 1, "y0": 1, "x1": 4, "y1": 3}},
        {"do": "delete"}, {"do": "delete", "id": "b"}, {"do": "delete", "id": 1}, {"do": "select", "id": 3}, {"do": "select"},
        {"do": "drag", "id": "b", "shape": SENT}, {"do": "drag", "id": "c", "shape": SENT}, {"do": "drag", "id": "a", "shape": {}},
        {"do": "drag", "id": 7, "shape": SENT}, {"do": "draw", "mode": {}}, {"do": "undo", "number": "1"},
        {"do": "add", "shape": SENT | {"x1": float("nan")}, "number": -1},
    ],
)  # fmt: skip
def test_messages_that_mean_nothing_do_nothing(message: dict[str, Any]) -> None:
    owner = Owner()
    told = owner.hear(**message)
    assert told == ([("undo",)] if message.get("do") == "undo" else [])
    assert owner.sketch.view.answer == 0
    assert owner.sketch.selected is None


def test_each_message_is_answered_even_if_the_owner_fails() -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    owner = Owner(on_change=fail)
    with pytest.raises(RuntimeError):
        owner.hear(do="change", id="a", shape=SENT, number=7)
    assert owner.sketch.view.answer == 7
    owner.hear(do="change", id="a", shape={"kind": "polygon", "xs": [], "ys": []}, number=8)
    assert owner.sketch.view.answer == 8
    assert owner.sketch.view.state["note"] == "That shape is not possible; nothing was changed."
    owner.hear(do="add", shape=SENT, number=9)
    assert owner.sketch.view.state["note"] == ""


def test_what_is_selected_stays_while_it_is_there() -> None:
    owner = Owner()
    owner.sketch.select("a")
    owner.sketch.show([Mark("c", TWO), Mark("a", MOVED)])
    assert owner.sketch.selected == "a"
    owner.sketch.show([Mark("c", TWO)])
    assert owner.sketch.selected is None
    assert owner.sketch.view.state["selected"] is None
    owner.sketch.select("gone")
    assert owner.sketch.selected is None


def test_only_drawable_marks_are_shown() -> None:
    owner = Owner()
    with pytest.raises(TypeError, match="Complement 'x' cannot be drawn"):
        owner.sketch.show([Mark("a", ~ONE, name="x")])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="different ids"):
        owner.sketch.show([Mark("a", ONE), Mark("a", TWO)])
    with pytest.raises(ValueError, match="#1e88e5"):
        owner.sketch.show([Mark("a", ONE, colour="red")])
    with pytest.raises(ValueError, match="#1e88e5"):
        owner.sketch.show([Mark("a", ONE, colour="#123456\n")])
    with pytest.raises(ValueError, match=f"at most {MAX_MARKS}"):
        owner.sketch.show([Mark(str(n), ONE) for n in range(MAX_MARKS + 1)])
    assert [mark.id for mark in owner.sketch.marks] == ["a", "b"]
    owner.sketch.show([Mark(str(n), ONE) for n in range(MAX_MARKS)])
    assert owner.hear(do="add", shape=SENT) == []
    assert "limit" in owner.sketch.view.state["note"]


def test_the_same_marks_are_not_sent_again() -> None:
    owner, sent = Owner(), []
    owner.sketch.view.param.watch(sent.append, ["marks", "state"])
    owner.sketch.show(owner.sketch.marks)
    owner.sketch.say("")
    owner.sketch.can(undo=False, redo=False)
    assert sent == []
    owner.sketch.can(undo=True, redo=False)
    assert len(sent) == 1


def test_messages_wait_for_the_lock_of_the_document() -> None:
    owner, document = Owner(), Document()
    plot = figure()
    owner.sketch._plot = plot
    document.add_root(plot)
    owner.sketch.view._handle_msg({"do": "delete", "id": "a"})
    assert owner.told == []
    for callback in list(document.session_callbacks):
        callback.callback()
    assert owner.told == [("delete", "a")]
    owner.sketch.view._handle_msg(["delete", "a"])
    owner.sketch.view._handle_msg(None)
