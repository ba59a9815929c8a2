"""Drawing on the figure of an image: what is drawn, moved and deleted with the mouse is reported as values.

The browser draws and drags by itself, in assets/sketch.js, on a canvas above the figure; the server hears of the result,
and while something is dragged at most ten times a second. The owner keeps the truth: it is told of every wish, changes
its list, and shows it again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

import panel as pn
import param

from dashboard.outlines import Outline, drawable, from_page, to_page
from dashboard.settings import asset
from dashboard.shapes import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bokeh.plotting import figure

Kind: TypeAlias = Literal["roi", "add", "subtract", "note"]
Mode: TypeAlias = Literal["rectangle", "ellipse", "ring", "polygon", "brush", "half_plane", "point"]
Told: TypeAlias = Callable[..., object]

MODES: tuple[Mode, ...] = get_args(Mode)
STAYING = ("brush", "point")  # one is drawn after the other; after another shape the mouse moves and selects again
MAX_MARKS = 1_000
MAX_NAME = 200
BRUSH = (0.5, 1000.0)  # px, radius
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")


@dataclass(frozen=True)
class Mark:
    """One thing that is drawn.

    Parameters
    ----------
    id
        What it is called in reports; unique among all that is shown.
    region
        Where it is.
    kind
        What it means, and so its colour: a region of interest, a mask that is added or subtracted, or only a note.
    name
        Written beside it, as plain text.
    enabled
        False: drawn faintly.
    fixed
        It can be selected but not changed or deleted.
    colour
        "#rrggbb" instead of that of its kind, for example that of its curve.
    """

    id: str
    region: Outline
    kind: Kind = "roi"
    name: str = ""
    enabled: bool = True
    fixed: bool = False
    colour: str | None = None


class SketchPad(pn.custom.JSComponent):
    """The tools, and in the browser the canvas above the figure; use `Sketch`."""

    marks = param.List(default=[], item_type=dict, doc="What is drawn.")
    state = param.Dict(default={}, doc="Mode, selection, what can be undone; `number` says that the server decided.")
    tools = param.List(default=[], item_type=str, doc="Which modes have a button.")
    kinds = param.List(default=["roi"], item_type=str, doc="Which kinds can be chosen for what is drawn next.")
    figure = param.String(default="", doc="Id of the Bokeh figure.")
    answer = param.Integer(default=0, doc="Number of the last message that was dealt with.")

    _esm = "\n".join(asset(name).read_text() for name in ("sketch_shapes.js", "sketch_paint.js", "sketch.js"))
    _stylesheets: ClassVar[list[str]] = [asset("sketch.css").read_text()]

    def __init__(self, heard: Callable[[dict[str, Any]], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self._heard = heard

    def _handle_msg(self, data: Any) -> None:
        if isinstance(data, dict):
            self._heard(data)


class Sketch:
    """Shapes on a figure that one person draws, moves, resizes, turns, selects and deletes.

    `view` is the row of tools; put it near the figure, on the same page. Call the methods on the loop of the document.
    All callbacks are called there too, with the lock of the document, so they may change Bokeh models. Each edit is
    told once, when it is finished; the owner then calls `show` with its new list, in the callback or later. What the
    owner does not take over returns to where it was.

    Parameters
    ----------
    plot
        A figure of this session, with x in columns and y in rows of the image.
    on_add
        ``on_add(region)``: something was drawn; `kind` says as what.
    on_change
        ``on_change(id, region)``: it was moved, resized or turned.
    on_delete
        ``on_delete(id)``.
    on_select
        ``on_select(id)``, or None when nothing is selected any more; the selection is already shown.
    on_drag
        ``on_drag(id, region)`` at most ten times a second while something is dragged, None for what is new; after the
        last one comes on_change or on_add, or, when the person gave up, ``on_drag(id, None)``.
    on_undo, on_redo
        Without arguments; the keys and buttons are there only if they are given.
    on_draw
        ``on_draw(mode)``: another tool was chosen; None is moving and selecting.
    tools
        Which of `MODES` have a button.
    kinds
        What can be chosen for what is drawn next; the first one is chosen. With one there is no choice.

    Examples
    --------
    >>> from bokeh.plotting import figure
    >>> from detcore.image import Rectangle
    >>> sketch = Sketch(figure(), on_change=lambda id, region: print(id, repr(region)))
    >>> sketch.show([Mark("a", Rectangle(x0=1, y0=1, x1=4, y1=3), name="signal")])
    >>> sketch.hear({"do": "change", "id": "a", "shape": {"kind": "rectangle", "x0": 2, "y0": 1, "x1": 5, "y1": 3}})
    a Rectangle(x0=2.0, y0=1.0, x1=5.0, y1=3.0)
    """

    def __init__(
        self,
        plot: figure,
        *,
        on_add: Told | None = None,
        on_change: Told | None = None,
        on_delete: Told | None = None,
        on_select: Told | None = None,
        on_drag: Told | None = None,
        on_undo: Told | None = None,
        on_redo: Told | None = None,
        on_draw: Told | None = None,
        tools: Sequence[Mode] = MODES,
        kinds: Sequence[Kind] = ("roi",),
    ) -> None:
        self._plot = plot
        self._told: dict[str, Told | None] = {
            "add": on_add, "change": on_change, "delete": on_delete, "select": on_select, "drag": on_drag,
            "undo": on_undo, "redo": on_redo, "draw": on_draw,
        }  # fmt: skip
        self._marks: dict[str, Mark] = {}
        self._selected: str | None = None
        self._mode: Mode | None = None
        self._tools, self._kinds = tuple(tools), tuple(kinds)
        self._kind: Kind = self._kinds[0]
        self._radius = 8.0
        self._can = {"undo": False, "redo": False}
        self._note = ""
        self._number = 0
        self.view = SketchPad(
            self._scheduled, figure=plot.id, tools=list(tools), kinds=list(kinds), sizing_mode="stretch_width", margin=0
        )
        self._tell_page()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What is shown."""
        return tuple(self._marks.values())

    @property
    def selected(self) -> str | None:
        """Id of what is selected."""
        return self._selected

    @property
    def mode(self) -> Mode | None:
        """What the mouse draws next; None: it moves and selects."""
        return self._mode

    @property
    def kind(self) -> Kind:
        """What the next thing that is drawn means."""
        return self._kind

    @property
    def radius(self) -> float:
        """Of the brush, px."""
        return self._radius

    def show(self, marks: Iterable[Mark]) -> None:
        """Draw these and nothing else; what is selected stays selected while it is there.

        Raises
        ------
        ValueError
            There are more than `MAX_MARKS`, two have the same id, or a colour is not "#rrggbb".
        TypeError
            One of them cannot be drawn.
        """
        found: dict[str, Mark] = {}
        for mark in marks:
            if not drawable(mark.region):
                msg = f"{type(mark.region).__name__} {mark.name!r} cannot be drawn; see dashboard.outlines.drawable"
                raise TypeError(msg)
            if mark.id in found:
                msg = f"marks need different ids, found {mark.id!r} twice"
                raise ValueError(msg)
            if mark.colour is not None and not COLOUR.match(mark.colour):
                msg = f"a colour like #1e88e5 expected, found {mark.colour!r}"
                raise ValueError(msg)
            found[mark.id] = mark
        if len(found) > MAX_MARKS:
            msg = f"at most {MAX_MARKS} shapes can be drawn, found {len(found)}"
            raise ValueError(msg)
        self._marks = found
        sent = [_sent(mark) for mark in found.values()]
        if sent != self.view.marks:
            self.view.marks = sent
        if self._selected not in found:
            self.select(None)

    def select(self, id: str | None) -> None:
        """Select one, or nothing; `on_select` is not called. An id that is not shown selects nothing."""
        wanted = id if id in self._marks else None
        if wanted != self._selected:
            self._selected = wanted
            self._tell_page()

    def draw(self, mode: Mode | None, *, kind: Kind | None = None, radius: float | None = None) -> None:
        """Choose what the mouse does next; `on_draw` is not called.

        Parameters
        ----------
        mode
            None: it moves and selects.
        kind
            What is drawn next means this; None: as before.
        radius
            Of the brush, px; None: as before.
        """
        self._mode, self._kind = mode, kind or self._kind
        if radius is not None:
            self._radius = min(max(radius, BRUSH[0]), BRUSH[1])
        self._tell_page()

    def can(self, *, undo: bool, redo: bool) -> None:
        """Say whether there is something to undo and to redo."""
        if self._can != (wanted := {"undo": undo, "redo": redo}):
            self._can = wanted
            self._tell_page()

    def say(self, note: str) -> None:
        """Show a line beside the tools, as plain text, until the next edit."""
        if note != self._note:
            self._note = note
            self._tell_page()

    def _tell_page(self) -> None:
        self._number += 1
        self.view.state = {
            "number": self._number, "mode": self._mode, "kind": self._kind, "radius": self._radius, "note": self._note,
            "selected": self._selected, "undo": self._can["undo"], "redo": self._can["redo"],
            "undoes": self._told["undo"] is not None, "drags": self._told["drag"] is not None,
        }  # fmt: skip

    def _scheduled(self, data: dict[str, Any]) -> None:
        """Deal with a message while Bokeh holds the lock of the document: Panel may hand it over without it."""
        document = self._plot.document
        if document is None:
            self.hear(data)
        else:
            document.add_next_tick_callback(lambda: self.hear(data))

    def hear(self, data: dict[str, Any]) -> None:
        """Deal with a message of the page, whatever it is; what is wrong with it is ignored or said on the page."""
        try:
            self._hear(data)
        finally:
            sent = data.get("number")
            if isinstance(sent, int) and 0 <= sent < 2**53:
                self.view.answer = sent

    def _hear(self, data: dict[str, Any]) -> None:
        mark = self._marks.get(data["id"]) if isinstance(data.get("id"), str) else None
        match data:
            case {"do": "add" | "change" as do, "shape": shape}:
                if do == "add" or (mark and not mark.fixed):
                    self._edited(do, mark if do == "change" else None, shape)
            case {"do": "drag", "shape": shape, "id": str() | None as which}:
                self._dragged(which, mark, shape)
            case {"do": "delete"} if mark and not mark.fixed:
                self._tell("delete", mark.id)
            case {"do": "select", "id": str() | None}:
                self._selected = mark.id if mark else None
                self._tell_page()
                self._tell("select", self._selected)
            case {"do": "undo" | "redo" as do}:
                self._note = ""
                self._tell(do)
            case {"do": "draw"}:
                self._chosen(data)

    def _edited(self, do: str, mark: Mark | None, shape: object) -> None:
        if mark is None and len(self._marks) >= MAX_MARKS:
            self.say(f"{MAX_MARKS} shapes are the limit; delete one first.")
            return
        try:
            region = from_page(shape)
        except ValueError:
            self.say("That shape is not possible; nothing was changed.")
            return
        self.say("")
        if mark is None:
            if self._mode not in STAYING:
                self._mode = None
                self._tell_page()
                self._tell("draw", None)
            self._tell(do, region)
        elif region != mark.region:
            self._tell(do, mark.id, region)

    def _dragged(self, which: str | None, mark: Mark | None, shape: object) -> None:
        if which is not None and (mark is None or mark.fixed):
            return
        try:
            region = None if shape is None else from_page(shape)
        except ValueError:
            return
        self._tell("drag", which, region)

    def _chosen(self, data: dict[str, Any]) -> None:
        mode, kind = data.get("mode"), data.get("kind")
        if mode is not None and mode not in self._tools:
            return
        if kind in self._kinds:
            self._kind = kind
        try:
            radius = number(data.get("radius"), 2)
        except ValueError:
            radius = math.nan
        if BRUSH[0] <= radius <= BRUSH[1]:
            self._radius = radius
        changed, self._mode = mode != self._mode, mode
        self._note = ""
        self._tell_page()
        if changed:
            self._tell("draw", mode)

    def _tell(self, what: str, *about: object) -> None:
        told = self._told[what]
        if told is not None:
            told(*about)


def _sent(mark: Mark) -> dict[str, Any]:
    return {
        "id": mark.id, "shape": to_page(mark.region), "kind": mark.kind, "name": mark.name[:MAX_NAME],
        "enabled": mark.enabled, "fixed": mark.fixed, "colour": mark.colour or "",
    }  # fmt: skip
