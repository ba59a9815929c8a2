"""What is looked at on a figure, and pictures of it that are made elsewhere: the newest wish wins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from bokeh.core.property.descriptors import UnsetValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.plotting import figure

T = TypeVar("T")
# run(work, done): calls work() in a thread, then done(its result) on the loop of the document, with its lock.
Run: TypeAlias = "Callable[[Callable[[], Any], Callable[[Any], None]], None]"

PAUSE_MS = 100  # ranges change with every move of the mouse; a picture is made for the last of those within this time
LOST_S = 10.0  # an answer that has not come by then is not waited for any longer


def at_once(work: Callable[[], T], done: Callable[[T], None]) -> None:
    """Do the work here and now: for tests and small things."""
    done(work())


def without_math(text: str) -> str:
    r"""Return text that Bokeh does not take for TeX: a name from a file must not start its formula renderer.

    Examples
    --------
    >>> without_math("$$x$$") == "$$x$$", without_math("run_1.h5")
    (False, 'run_1.h5')
    """
    for opening in ("$$", r"\(", r"\["):
        text = text.replace(opening, f"{opening[0]}\u200b{opening[1]}")
    return text


def inner_size(plot: figure) -> tuple[int, int] | None:
    """Return width and height of the frame of a figure in pixels of the screen; None before the browser told."""
    try:
        wide, high = int(plot.inner_width), int(plot.inner_height)
    except UnsetValueError:
        return None
    return (wide, high) if wide > 0 and high > 0 else None


class Redraw:
    """One thing is made at a time; of what is asked for meanwhile only the last is made next.

    Parameters
    ----------
    run
        Where work is done; None: at once.
    """

    def __init__(self, run: Run | None = None) -> None:
        self._run: Run = run or at_once
        self._next: tuple[Callable[[], Any], Callable[[Any], None]] | None = None
        self._since: float | None = None
        self._turn = 0

    def ask(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Have `work()` done and its result handed to `done`, on the loop.

        Raises
        ------
        Exception
            What the work raised, on the loop: here, or from the callback that `run` was given.
        """
        self._next = (work, done)
        if self._since is None or time.monotonic() - self._since > LOST_S:
            self._start()

    def _start(self) -> None:
        if self._next is None:
            return
        (work, done), self._next = self._next, None
        self._since = time.monotonic()
        self._turn += 1
        turn = self._turn

        def attempt() -> tuple[Any, Exception | None]:
            try:
                return work(), None
            except Exception as error:  # noqa: BLE001 - raised again on the loop
                return None, error

        def finish(outcome: tuple[Any, Exception | None]) -> None:
            if turn != self._turn:
                return  # came after all, but later than what replaced it began
            self._since = None
            result, error = outcome
            try:
                if error is not None:
                    raise error
                done(result)
            finally:
                self._start()

        self._run(attempt, finish)


class Viewport:
    """Tells, a moment after the viewer zoomed, panned, resized or reset, that something else is looked at.

    Parameters
    ----------
    plot
        A figure with fixed ranges.
    changed
        Called on the document's loop.
    """

    def __init__(self, plot: figure, changed: Callable[[], None]) -> None:
        self._plot, self._changed = plot, changed
        self._due: object = None
        # Not Bokeh's RangesUpdate: that is silent when a script or the server moves the ranges.
        for model, names in (
            (plot.x_range, ("start", "end")),
            (plot.y_range, ("start", "end")),
            (plot, ("inner_width", "inner_height")),
        ):
            for name in names:
                model.on_change(name, self._moved)

    @property
    def ranges(self) -> tuple[float, float, float, float]:
        """Lower and upper end of x, then of y."""
        x0, x1 = sorted((float(self._plot.x_range.start), float(self._plot.x_range.end)))
        y0, y1 = sorted((float(self._plot.y_range.start), float(self._plot.y_range.end)))
        return x0, x1, y0, y1

    def pixels(self, side: Literal["width", "height"], otherwise: int) -> int:
        """Return how many pixels the inner "width" or "height" has on the screen, once the browser told."""
        size = inner_size(self._plot)
        return size[side == "height"] if size else otherwise

    def _moved(self, attr: str, old: object, new: object) -> None:  # noqa: ARG002 - the signature that Bokeh calls
        document = self._plot.document
        if document is not None and self._due is None:
            self._due = document.add_timeout_callback(self._settled, PAUSE_MS)

    def _settled(self) -> None:
        self._due = None
        self._changed()
