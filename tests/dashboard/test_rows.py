"""The list of operations without a browser: messages of a page, honest and hostile, become calls of its owner."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.rows import MAX_NAME, MAX_ROWS, Row, Rows


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        names = ("rename", "enable", "sign", "move", "delete", "select")
        self.rows = Rows(**{f"on_{name}": lambda *about, name=name: self.told.append((name, *about)) for name in names})
        self.rows.show([Row("a", "edges"), Row("b", "stop", sign="add"), Row("c", fixed=True), Row("d", enabled=None)])

    def hear(self, **message: Any) -> list[tuple[Any, ...]]:
        self.told.clear()
        self.rows.hear(message)
        return self.told


def test_wishes_are_told() -> None:
    owner = Owner()
    assert owner.hear(do="rename", id="a", name="  new\x00 \u202ename\n ") == [("rename", "a", "new name")]
    assert owner.hear(do="rename", id="a", name="x" * 999) == [("rename", "a", "x" * MAX_NAME)]
    assert owner.hear(do="enable", id="a", enabled=False) == [("enable", "a", False)]
    assert owner.hear(do="sign", id="b", sign="subtract") == [("sign", "b", "subtract")]
    assert owner.hear(do="move", id="a", steps=1) == [("move", "a", 1)]
    assert owner.hear(do="move", id="b", steps=10**30) == [("move", "b", 2)]
    assert owner.hear(do="move", id="b", steps=-(10**30)) == [("move", "b", -1)]
    assert owner.hear(do="delete", id="d") == [("delete", "d")]
    assert owner.hear(do="select", id="c") == [("select", "c")]
    assert owner.rows.selected == owner.rows.view.selected == "c"
    assert owner.hear(do="select", id=None) == [("select", None)]
    assert [row.id for row in owner.rows.rows] == ["a", "b", "c", "d"], "the owner decides what becomes of it"


@pytest.mark.parametrize(
    "message",
    [
        {}, {"do": "select", "id": "gone"}, {"do": "select", "id": ["a"]}, {"do": "rename", "id": "a"}, {"do": "rename", "id": "a", "name": 3},
        {"do": "rename", "id": "a", "name": "edges"}, {"do": "rename", "id": "c", "name": "x"}, {"do": "enable", "id": "a", "enabled": 0},
        {"do": "enable", "id": "a", "enabled": True}, {"do": "enable", "id": "d", "enabled": False}, {"do": "sign", "id": "a", "sign": "add"},
        {"do": "sign", "id": "b", "sign": "add"}, {"do": "sign", "id": "b", "sign": "xor"}, {"do": "move", "id": "a", "steps": -1},
        {"do": "move", "id": "a", "steps": 0.5}, {"do": "move", "id": "d", "steps": 1}, {"do": "delete", "id": "c"}, {"do": "delete", "id": {}},
        {"do": ["delete"], "id": "a"},
    ],
)  # fmt: skip
def test_messages_that_mean_nothing_do_nothing(message: dict[str, Any]) -> None:
    owner = Owner()
    before = owner.rows.view.answer
    assert owner.hear(**message) == []
    assert owner.rows.view.answer == before + 1, "the page shows again what is true"
    assert owner.rows.selected is None
    owner.rows.view._handle_msg([message])


def test_rows_have_different_ids() -> None:
    rows = Rows()
    with pytest.raises(ValueError, match="different ids"):
        rows.show([Row("a"), Row("a")])
    with pytest.raises(ValueError, match=f"at most {MAX_ROWS}"):
        rows.show(Row(str(n)) for n in range(MAX_ROWS + 1))
    rows.show(Row(str(n)) for n in range(MAX_ROWS))
    rows.select("7")
    sent: list[Any] = []
    rows.view.param.watch(sent.append, ["rows", "selected"])
    rows.show(rows.rows)
    assert sent == []
    rows.show([Row("8")])
    assert rows.selected is None
