"""An ordered list that a person edits: names, switches, signs, order. Drawn by assets/rows.js."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import panel as pn
import param

from dashboard.settings import asset

if TYPE_CHECKING:
    from collections.abc import Iterable

Sign: TypeAlias = Literal["add", "subtract"]
Told: TypeAlias = Callable[..., object]

MAX_ROWS = 1_000
MAX_NAME = 200


@dataclass(frozen=True)
class Row:
    """One line of the list. All texts are shown as text.

    Parameters
    ----------
    id
        What it is called in reports; unique in the list.
    name
        Can be edited.
    what
        The kind of thing, in a word or two.
    note
        Facts, for example how many pixels it changes.
    problem
        What is wrong with it, if anything.
    enabled
        None: it cannot be switched off.
    sign
        None: it neither adds nor subtracts.
    colour
        "#rrggbb" of a mark at its beginning; empty: that of its sign.
    fixed
        It can be selected, but not be changed, moved or deleted.
    """

    id: str
    name: str = ""
    what: str = ""
    note: str = ""
    problem: str = ""
    enabled: bool | None = True
    sign: Sign | None = None
    colour: str = ""
    fixed: bool = False


class RowList(pn.custom.JSComponent):
    """The list in the browser; use `Rows`."""

    rows = param.List(default=[], item_type=dict, doc="What is shown.")
    selected = param.String(default="", doc="Id of the selected row.")
    words = param.Dict(default={}, doc="What is written where there is nothing, and what the list is called.")
    answer = param.Integer(default=0, doc="Counts what was dealt with, so that a refused edit is taken back.")

    _esm = asset("rows.js")
    _stylesheets: ClassVar[list[str]] = [asset("rows.css").read_text()]

    def __init__(self, heard: Callable[[dict[str, Any]], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self._heard = heard

    def _handle_msg(self, data: Any) -> None:
        if isinstance(data, dict):
            self._heard(data)


class Rows:
    """An ordered list; the owner keeps the truth, is told of every wish and shows its new list.

    `view` is the list. Call the methods on the loop of the document. The callbacks are called there too, with its lock.

    Parameters
    ----------
    on_rename
        ``on_rename(id, name)``: one printable line of at most 200 characters, stripped.
    on_enable
        ``on_enable(id, enabled)``.
    on_sign
        ``on_sign(id, "add" or "subtract")``.
    on_move
        ``on_move(id, steps)``: to a place that many rows later, earlier if negative; never out of the list.
    on_delete
        ``on_delete(id)``.
    on_select
        ``on_select(id)``, None for nothing; it is already shown.
    label
        What a screen reader calls the list.
    empty
        Written when there is no row.
    high
        Screen pixels; a longer list scrolls.

    Examples
    --------
    >>> rows = Rows(on_move=lambda id, steps: print(id, steps))
    >>> rows.show([Row("a", "edges"), Row("b", "beam stop", sign="add")])
    >>> rows.hear({"do": "move", "id": "b", "steps": -5})
    b -1
    """

    def __init__(
        self,
        *,
        on_rename: Told | None = None,
        on_enable: Told | None = None,
        on_sign: Told | None = None,
        on_move: Told | None = None,
        on_delete: Told | None = None,
        on_select: Told | None = None,
        label: str = "Operations, in order",
        empty: str = "Nothing yet.",
        high: int = 320,
    ) -> None:
        self._told: dict[str, Told | None] = {
            "rename": on_rename, "enable": on_enable, "sign": on_sign, "move": on_move, "delete": on_delete,
            "select": on_select,
        }  # fmt: skip
        self._rows: dict[str, Row] = {}
        self._selected: str | None = None
        can = [name for name, told in self._told.items() if told is not None]
        self.view = RowList(
            self._scheduled,
            words={"label": label, "empty": empty, "can": can, "high": high},
            sizing_mode="stretch_width",
            margin=0,
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is shown, in order."""
        return tuple(self._rows.values())

    @property
    def selected(self) -> str | None:
        """Id of the selected row."""
        return self._selected

    def show(self, rows: Iterable[Row]) -> None:
        """Show these, in this order; the selected one stays selected while it is there.

        Raises
        ------
        ValueError
            There are more than `MAX_ROWS`, or two have the same id.
        """
        listed = list(rows)
        found = {row.id: row for row in listed}
        if len(found) < len(listed) or len(found) > MAX_ROWS:
            msg = f"at most {MAX_ROWS} rows with different ids expected, found {len(listed)} with {len(found)} ids"
            raise ValueError(msg)
        self._rows = found
        sent = [asdict(row) for row in listed]
        if sent != self.view.rows:
            self.view.rows = sent
        self.select(self._selected)

    def select(self, id: str | None) -> None:
        """Select a row, or nothing; `on_select` is not called."""
        self._selected = id if id in self._rows else None
        if self.view.selected != (self._selected or ""):
            self.view.selected = self._selected or ""

    def _scheduled(self, data: dict[str, Any]) -> None:
        """Deal with a message while Bokeh holds the lock of the document: Panel may hand it over without it."""
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            self.hear(data)
        else:
            document.add_next_tick_callback(lambda: self.hear(data))

    def hear(self, data: dict[str, Any]) -> None:
        """Deal with a message of the page, whatever it is; what is wrong with it is ignored."""
        try:
            self._hear(data)
        finally:
            self.view.answer += 1

    def _hear(self, data: dict[str, Any]) -> None:
        which = data.get("id")
        row = self._rows.get(which) if isinstance(which, str) else None
        if data.get("do") == "select" and (row or which is None):
            self.select(row.id if row else None)
            self._tell("select", self._selected)
        if row is None or row.fixed:
            return
        match data:
            case {"do": "rename", "name": str(text)}:
                name = _line(text)
                if name != row.name:
                    self._tell("rename", row.id, name)
            case {"do": "enable", "enabled": bool(enabled)} if row.enabled not in {None, enabled}:
                self._tell("enable", row.id, enabled)
            case {"do": "sign", "sign": "add" | "subtract" as sign} if row.sign not in {None, sign}:
                self._tell("sign", row.id, sign)
            case {"do": "move", "steps": int(steps)}:
                place = list(self._rows).index(row.id)
                taken = min(max(place + steps, 0), len(self._rows) - 1) - place
                if taken:
                    self._tell("move", row.id, taken)
            case {"do": "delete"}:
                self._tell("delete", row.id)

    def _tell(self, what: str, *about: object) -> None:
        told = self._told[what]
        if told is not None:
            told(*about)


def _line(text: str) -> str:
    """Return one printable line: what the names of operations may be."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:MAX_NAME].rstrip()
