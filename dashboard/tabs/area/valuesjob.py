"""The reduction of a run that a viewer started: its values are there while it works, and the setup may change meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore import area, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MOST = 400  # numbers of one event that are kept for the plots
EVERY_S = 0.5


class Values:
    """One session's reduction.

    Parameters
    ----------
    ready
        Called, from any thread, when there is something new to show.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._rows: list[tuple[int, dict[str, float]]] = []
        self.running = False
        self.words = ""
        self.problem = ""
        self.version = 0

    def start(self, source: Any, setup: Callable[[], area.Setup], output: Path | None) -> None:
        """Begin; what was there before goes.

        Parameters
        ----------
        source
            Opened files.
        setup
            Asked before each chunk.
        output
            The small file; None: none is written.

        Raises
        ------
        ValueError
            One is running.
        """
        if self.running:
            msg = "a reduction is running; wait, or cancel it"
            raise ValueError(msg)
        self._cancel, self._rows = threading.Event(), []
        self.running, self.words, self.problem = True, "Starting …", ""
        arguments = (source, setup, output, self._cancel)
        threading.Thread(target=self._work, args=arguments, name="area-values", daemon=True).start()

    def _work(self, source: Any, setup: Callable[[], area.Setup], output: Path | None, cancel: threading.Event) -> None:
        def told(progress: Any) -> None:
            done = "" if progress.fraction is None else f", {100 * progress.fraction:.0f} %"
            left = f", {progress.n_left_out:,} left out by filters" if progress.n_left_out else ""
            version = f", setup changed {progress.setup_version} times" if progress.setup_version else ""
            self.words = f"{progress.status}: {progress.n_events:,} events{left}{done}{version}"
            self.problem = "; ".join(map(str, progress.problems[:3]))
            self._ready()

        try:
            if output is not None:
                output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            area.reduce(source, setup, output, user=self._hear, cancel=cancel, progress=told, threads=1)
            if output is not None:
                self.words += f". Written: {output}"
        except Exception as error:  # noqa: BLE001 - whatever a reader or a function raises is shown
            self.problem = str(error)
            self.words = "Stopped."
        finally:
            self.running = False
            self._ready()

    def _hear(self, det: Any, known: dict[str, Any]) -> None:
        """Keep the numbers of an event; called by the reduction."""
        found = numbers_of(known) | numbers_of(det.results())
        number = int(known.get("event_id", known.get("event", len(self._rows))))
        with self._lock:
            self._rows.append((number, found))
            self.version += 1

    def cancel(self) -> None:
        """Stop; what is there stays."""
        self._cancel.set()

    def names(self) -> list[str]:
        """Return the names of what can be drawn."""
        with self._lock:
            rows = self._rows[:1] + self._rows[-1:]
        return sorted({key for _, row in rows for key in row})

    def series(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return numbers of events and the values of a key, in order."""
        with self._lock:
            found = [(number, row[key]) for number, row in self._rows if key in row]
        if not found:
            return np.zeros(0), np.zeros(0)
        pairs = np.array(sorted(found), np.float64)
        return pairs[:, 0], pairs[:, 1]

    def __len__(self) -> int:
        return len(self._rows)


def source_of(facts: Any, options: Mapping[str, Any], *, live: bool) -> Any:
    """Return what is reduced: the opened files, or whatever comes to them while the viewer looks."""
    return follow(facts.paths, "area", **options) if live else facts.source


def numbers_of(values: Any, prefix: str = "") -> dict[str, float]:
    """Return the single numbers of results under flat names, and the parts of short lists.

    Examples
    --------
    >>> numbers_of({"ROI": {"sum": 3, "com": [1.0, 2.0]}, "name": "x"})
    {'ROI/sum': 3.0, 'ROI/com 0': 1.0, 'ROI/com 1': 2.0}
    """
    found: dict[str, float] = {}
    for name, value in (values or {}).items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            found |= numbers_of(value, f"{key}/")
            continue
        array = np.ma.filled(np.ma.asarray(value), 0) if not isinstance(value, str) else np.zeros(0)
        if array.dtype.kind not in "biuf" or not 1 <= array.size <= 4:
            continue
        flat = array.ravel()
        found |= {key: float(flat[0])} if array.size == 1 else {f"{key} {i}": float(one) for i, one in enumerate(flat)}
        if len(found) >= MOST:
            break
    return found
