"""An editor for regions on a figure: drawn, moved, resized and deleted with the mouse, with undo and redo.

The truth is a tuple of immutable regions; what the figure shows is made from it, and every edit replaces it. Whatever
comes from the browser (positions, corners, keys) is checked before it becomes a region.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import panel as pn
import panel_material_ui as pmui
from bokeh.events import DoubleTap, MouseEnter, MouseLeave, MouseMove, Press, SelectionGeometry, Tap
from bokeh.models import BoxSelectTool, ColumnDataSource, CustomJS, PolyAnnotation
from bokeh.models.tools import Drag

from dashboard import shapes
from detcore.image import Polygon, Rectangle, Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bokeh.events import PointEvent
    from bokeh.plotting import figure

    from dashboard.shapes import Annotation, Shape

Mode = Literal["rectangle", "polygon"]

MAX_SHAPES = 64
STEPS = 100  # of undo
SETTLED_MS = 120  # a move is taken over when the mouse rests that long; longer than the pause between two move events
ONE_MOVE_S = 1.0  # a hand that hesitates no longer than that is still in the same move

LINE, CHOSEN = "#00b8d4", "#ff9100"  # readable on light, dark and coloured images
KEYS = {"Backspace", "Delete", "Escape", "Enter", "undo", "redo"}

# A tip opens over the next button, and must not catch its clicks.
TIP = ".MuiTooltip-popper { pointer-events: none !important; }"
# Keys count while the mouse is over the figure and no text is being typed. The listener leaves with the mouse, so a
# figure that is taken off the page leaves none behind.
_ENTER = """
keys._listener ??= (event) => {
  const at = event.composedPath()[0]
  if (at.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(at.tagName)) return
  const held = event.ctrlKey || event.metaKey
  const letter = event.key.toLowerCase()
  const key = !held ? event.key : letter == "y" || (letter == "z" && event.shiftKey) ? "redo" : letter == "z" ? "undo" : ""
  if (!known.includes(key)) return
  event.preventDefault()
  keys.data = {key: [key], count: [(keys.data.count[0] ?? 0) + 1]}
}
window.addEventListener("keydown", keys._listener)
"""
_LEAVE = 'window.removeEventListener("keydown", keys._listener)'


class Drawing:
    """Regions that one person edits on one figure.

    Its methods change Bokeh models, so call them with the lock of the document: in a callback of Bokeh, or, from one of
    Panel, through ``document.add_next_tick_callback``.

    Parameters
    ----------
    plot
        A figure of this session, not yet shown, with x in columns and y in rows of the image and fixed ranges.
    on_change
        Called with all regions after each change, with the lock held.

    Examples
    --------
    >>> from bokeh.plotting import figure
    >>> drawing = Drawing(figure(x_range=(0, 9), y_range=(0, 9)), lambda regions: print(len(regions)))
    >>> drawing.set([Rectangle(x0=1, y0=1, x1=4, y1=3)])
    1
    >>> drawing.undo()
    0
    >>> drawing.redo()
    1
    >>> drawing.regions
    (Rectangle(x0=1.0, y0=1.0, x1=4.0, y1=3.0),)
    """

    def __init__(self, plot: figure, on_change: Callable[[tuple[Shape, ...]], None]) -> None:
        self._plot = plot
        self._on_change = on_change
        self._regions: tuple[Shape, ...] = ()
        self._past: deque[tuple[Shape, ...]] = deque(maxlen=STEPS)
        self._future: list[tuple[Shape, ...]] = []
        self._shown: list[Annotation] = []
        self._selected: int | None = None
        self._mode: Mode | None = None
        self._corners: tuple[tuple[float, float], ...] = ()
        self._note = ""
        self._settling: Any = None
        self._last_move: tuple[int | None, float] = (None, 0.0)
        if plot.toolbar.active_drag == "auto" and not any(isinstance(tool, Drag) for tool in plot.toolbar.tools):
            plot.toolbar.active_drag = None  # else the tool below would be active from the start
        self._idle_drag = plot.toolbar.active_drag
        self._box = BoxSelectTool(renderers=[], visible=False, description="Rectangle")
        plot.add_tools(self._box)
        draft = PolyAnnotation(xs=[], ys=[], line_color=CHOSEN, line_width=2, fill_color=CHOSEN, fill_alpha=0.15)
        draft.update(line_alpha=1.0, level="overlay", editable=False)
        plot.add_layout(draft)
        self._dots = ColumnDataSource({"x": [], "y": []})
        plot.scatter("x", "y", source=self._dots, size=10, line_color="white", fill_color=CHOSEN, level="overlay")
        self._keys = ColumnDataSource({"key": [], "count": []})
        self._keys.on_change("data", self._key_pressed)
        plot.js_on_event(MouseEnter, CustomJS(args={"keys": self._keys, "known": sorted(KEYS)}, code=_ENTER))
        plot.js_on_event(MouseLeave, CustomJS(args={"keys": self._keys}, code=_LEAVE))
        follow = CustomJS(args={"corners": self._dots, "draft": draft}, code=shapes.FOLLOW)
        self._dots.js_on_change("data", follow)
        plot.js_on_event(MouseMove, follow)
        plot.on_event(SelectionGeometry, self._box_drawn)
        for clicked in (Tap, DoubleTap, Press):  # fast, twice and slow: all are clicks to a person
            plot.on_event(clicked, self._clicked)
        self._buttons: dict[str, pmui.Button] = {}
        acts: tuple[tuple[str, str, str, Callable[[], None]], ...] = (
            ("Rectangle", "crop_square", "then drag on the image from corner to corner", self._toggle("rectangle")),
            ("Polygon", "polyline", "then click its corners, at last the first one again", self._toggle("polygon")),
            ("Delete", "delete", "the selected shape; click a shape to select it (Backspace)", self._delete_selected),
            ("Undo", "undo", "take the last change back (Ctrl+Z)", self.undo),
            ("Redo", "redo", "do again what was taken back (Ctrl+Shift+Z)", self.redo),
            ("Clear", "delete_sweep", "delete all shapes", lambda: self.set(())),
        )
        for label, icon, what, act in acts:
            # The description is also what a screen reader says, so it begins with the label.
            button = pmui.Button(label=label, icon=icon, description=f"{label}: {what}", size="small", margin=0)
            button.param.update(variant="outlined", description_delay=1000, stylesheets=[TIP])
            button.on_click(lambda _, act=act: self._locked(act))
            self._buttons[label.lower()] = button
        self._hint = pmui.Typography("", variant="body2", css_classes=["dc-drawing-hint"], margin=(0, 10))
        self._refresh()

    @property
    def regions(self) -> tuple[Shape, ...]:
        """What is drawn, oldest first."""
        return self._regions

    @property
    def selected(self) -> int | None:
        """Position in `regions` of the shape that was clicked, drawn or moved last."""
        return self._selected

    def panel(self) -> pn.viewable.Viewable:
        """Return the buttons and a line that says what the mouse does now."""
        return pn.Column(pn.FlexBox(*self._buttons.values(), gap="4px"), self._hint, sizing_mode="stretch_width")

    def draw(self, mode: Mode | None) -> None:
        """Begin a new shape, or stop drawing.

        Parameters
        ----------
        mode
            What the mouse draws next; None to move and select instead.
        """
        self._settle()
        if self._mode != "rectangle":
            self._idle_drag = self._plot.toolbar.active_drag
        self._mode, self._note, self._selected = mode, "", None if mode else self._selected
        self._plot.toolbar.active_drag = self._box if mode == "rectangle" else self._idle_drag
        self._set_corners(())
        for shape in self._shown:
            shape.editable = mode is None  # else a drag that begins on a shape would move it
        self._refresh()

    def set(self, regions: Iterable[Region]) -> None:
        """Replace all shapes; one step of undo. Nothing happens if they are the same.

        Raises
        ------
        TypeError
            One is neither a rectangle nor a polygon.
        ValueError
            There are more than `MAX_SHAPES`.
        """
        found: tuple[Shape, ...] = ()
        for region in regions:
            if not isinstance(region, Rectangle | Polygon):
                msg = f"rectangles and polygons can be edited, found {type(region).__name__}"
                raise TypeError(msg)
            found += (region,)
        if len(found) > MAX_SHAPES:
            msg = f"at most {MAX_SHAPES} shapes can be edited, found {len(found)}"
            raise ValueError(msg)
        self._settle()
        self._commit(found, None)

    def delete(self, index: int) -> None:
        """Remove one shape.

        Raises
        ------
        IndexError
            There is no such shape.
        """
        self._settle()
        if not 0 <= index < len(self._regions):
            msg = f"no shape {index}; there are {len(self._regions)}"
            raise IndexError(msg)
        self._commit(self._regions[:index] + self._regions[index + 1 :], None)

    def undo(self) -> None:
        """Take the last change back, if there is one."""
        self._settle()
        if self._past:
            self._future.append(self._regions)
            self._become(self._past.pop(), None)

    def redo(self) -> None:
        """Repeat what `undo` took back, if nothing was changed since."""
        self._settle()
        if self._future:
            self._past.append(self._regions)
            self._become(self._future.pop(), None)

    def _locked(self, act: Callable[[], None]) -> None:
        """Act while Bokeh holds the lock of the document: Panel calls buttons without it when messages are under way."""
        self._plot.document.add_next_tick_callback(act)

    def _commit(self, regions: tuple[Shape, ...], selected: int | None, *, same_step: bool = False) -> None:
        if regions == self._regions:
            return
        if not same_step:
            self._past.append(self._regions)
        self._future.clear()
        self._become(regions, selected)

    def _become(self, regions: tuple[Shape, ...], selected: int | None) -> None:
        self._regions, self._selected, self._note = regions, selected, ""
        self._last_move = (None, 0.0)
        self._show()
        self._on_change(regions)

    def _show(self) -> None:
        """Make the figure show the truth. What already does is not touched: it may be under the mouse."""
        wanted = [shapes.drawn(region) for region in self._regions]
        same = takewhile(lambda pair: shapes.is_like(*pair), zip(self._shown, self._regions, strict=False))
        for shape in self._shown[(keep := sum(1 for _ in same)) :]:
            self._plot.center.remove(shape)
        del self._shown[keep:]
        for shape, region, (_, place) in zip(self._shown, self._regions, wanted, strict=False):
            if shapes.read(shape, region) != region:
                shape.update(**place)
        self._shown += [self._add(kind, place) for kind, place in wanted[keep:]]
        self._refresh()

    def _add(self, kind: type[Annotation], place: dict[str, Any]) -> Annotation:
        shape = kind(**place, editable=self._mode is None, level="overlay", fill_alpha=0.1, line_alpha=1.0)
        for attribute in place:
            shape.on_change(attribute, self._moved)
        self._plot.add_layout(shape)
        return shape

    def _refresh(self) -> None:
        """Colour the shapes, and say on the buttons and in the hint what can be done now."""
        for index, shape in enumerate(self._shown):
            chosen = index == self._selected
            colour = CHOSEN if chosen else LINE
            shape.update(line_color=colour, fill_color=colour, line_width=3 if chosen else 2)
        for name in ("rectangle", "polygon"):
            self._buttons[name].variant = "contained" if self._mode == name else "outlined"
        self._buttons["delete"].disabled = self._selected is None
        self._buttons["undo"].disabled = not self._past
        self._buttons["redo"].disabled = not self._future
        self._buttons["clear"].disabled = not self._regions
        self._hint.object = f"{self._note} {self._advice()}".strip()

    def _advice(self) -> str:
        if self._mode == "rectangle":
            return "Press on the image and drag to the opposite corner. Esc: stop."
        if self._mode == "polygon":
            if len(self._corners) < 3:
                return "Click the corners one after the other. Backspace: one corner back. Esc: stop."
            return "Click the first corner again, or press Enter, to close. Backspace: one corner back. Esc: stop."
        if not self._regions:
            return "Choose Rectangle or Polygon, then draw on the image."
        number = f"{len(self._regions)} shape{'s' if len(self._regions) > 1 else ''}."
        return f"{number} Drag inside to move, an edge or corner to resize. Click to select, Backspace deletes."

    def _say(self, note: str) -> None:
        self._note = note
        self._refresh()

    # What the browser sends.

    def _moved(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        """Wait until the shape rests: one drag is one change, not hundreds."""
        document = self._plot.document
        if document is None:  # not on a page, so moved by nobody
            return
        if self._settling is not None:
            document.remove_timeout_callback(self._settling)
        self._settling = document.add_timeout_callback(self._rested, SETTLED_MS)

    def _rested(self) -> None:
        self._settling = None
        self._settle()

    def _settle(self) -> None:
        """Take over what was moved. A shape that became impossible returns to its place."""
        if self._settling is not None:
            self._plot.document.remove_timeout_callback(self._settling)
            self._settling = None
        regions, moved, note = list(self._regions), self._selected, ""
        for index, (shape, region) in enumerate(zip(self._shown, self._regions, strict=True)):
            try:
                regions[index] = shapes.read(shape, region)
            except ValueError:
                shape.update(**shapes.drawn(region)[1])
                note = "That shape is not possible."
            if regions[index] != region:
                moved = index
        if tuple(regions) != self._regions:
            last, now = self._last_move, time.monotonic()
            self._commit(tuple(regions), moved, same_step=last[0] == moved and now - last[1] < ONE_MOVE_S)
            self._last_move = (moved, now)
        if note:
            self._say(note)

    def _box_drawn(self, event: SelectionGeometry) -> None:
        geometry = event.geometry
        if self._mode != "rectangle" or not event.final or not isinstance(geometry, dict):
            return
        xa, xb, ya, yb = (geometry.get(key) for key in ("x0", "x1", "y0", "y1"))
        self._finish(lambda: shapes.rectangle(xa, xb, ya, yb, shapes.DIGITS))

    def _clicked(self, event: PointEvent) -> None:
        try:
            x, y = shapes.number(event.x, shapes.DIGITS), shapes.number(event.y, shapes.DIGITS)
            near = shapes.is_near(self._plot, x, y, self._corners[:1] + self._corners[-1:])
        except ValueError:
            return
        if self._mode == "polygon":
            if near:
                self._close()
            elif len(self._corners) < shapes.MAX_CORNERS:
                self._set_corners((*self._corners, (x, y)))
                self._refresh()
        elif self._mode is None:
            self._settle()
            hits = [index for index, region in enumerate(self._regions) if region.contains(x, y)]
            self._selected = hits[-1] if hits else None
            self._refresh()

    def _key_pressed(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - as above
        key = next(iter(new.get("key", ())), None) if isinstance(new, dict) else None
        if not isinstance(key, str):
            return
        if self._corners and key in {"Backspace", "Delete", "undo"}:
            self._set_corners(self._corners[:-1])
            self._refresh()
        elif key in {"Backspace", "Delete"}:
            self._delete_selected()
        elif key == "undo":
            self.undo()
        elif key == "redo":
            self.redo()
        elif key == "Escape":
            self.draw(None)
        elif key == "Enter":
            self._close()

    def _toggle(self, mode: Mode) -> Callable[[], None]:
        return lambda: self.draw(None if self._mode == mode else mode)

    def _delete_selected(self) -> None:
        self._settle()
        if self._selected is not None:
            self.delete(self._selected)

    def _set_corners(self, corners: tuple[tuple[float, float], ...]) -> None:
        self._corners = corners
        self._dots.data = {"x": [x for x, _ in corners], "y": [y for _, y in corners]}

    def _close(self) -> None:
        if len(self._corners) >= 3:
            corners = self._corners
            self._finish(lambda: Polygon(vertices=corners))

    def _finish(self, make: Callable[[], Shape]) -> None:
        """Add the shape that was drawn, and return to moving and selecting."""
        try:
            region = make()
        except ValueError:
            self._set_corners(())
            self._say("That shape has no area; nothing was added.")
            return
        self.draw(None)
        if len(self._regions) >= MAX_SHAPES:
            self._say(f"{MAX_SHAPES} shapes are the limit; delete one first.")
            return
        self._commit((*self._regions, region), len(self._regions))
