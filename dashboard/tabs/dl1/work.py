"""What one viewer has asked for of a file, in threads: what it holds, one event, and what follows from the snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dashboard.tabs.background import Latest
from dashboard.tabs.dl1.results import EVENTS, FACTS, RESULTS, Facts, Results, Wish, compute, facts_of, stamp
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import xarray as xr
    from numpy.typing import NDArray

    from dashboard.tabs.dl1.look import Look


class Work:
    """The newest of what was asked for; what was there before stays until the next is.

    Parameters
    ----------
    ready
        Called, from any thread, when there is something new.

    Attributes
    ----------
    facts, event, results
        None until they are there.
    trouble
        Why the file cannot be read, or nothing.
    going
        1 or -1 after a step to the next or the previous event: there will be another.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._facts: Latest[Facts] = Latest(FACTS, ready)
        self._events: Latest[dl1.Event] = Latest(EVENTS, ready)
        self._work: Latest[Results] = Latest(RESULTS, ready)
        self.facts: Facts | None = None
        self.event: dl1.Event | None = None
        self.results: Results | None = None
        self.trouble = ""
        self.going = 0

    # --- asking

    def open(self, path: str) -> Facts | None:
        """Ask for what a file holds; None while it is read, or when it cannot be. Nothing is no file."""
        self.trouble, found = "", None
        if path:
            try:
                found = self._facts.ask(stamp(path), lambda: facts_of(path))
            except (OSError, ValueError, KeyError) as error:
                self.trouble = str(error)
        if found is not None or self.trouble or self.facts is None or self.facts.path != path:
            self.facts = found
        if self.event is not None and self.event.path != path:
            self.event = None
        if self.results is not None and self.results.facts.path != path:
            self.results = None
        return found

    def read(self, look: Look, cuts: dl1.Cuts) -> None:
        """Ask for the event that is wished, and, where somebody goes from event to event, for the one after it.

        Raises
        ------
        OSError, ValueError, KeyError
            It cannot be read.
        """
        facts, place = self.facts, self.place(look)
        if facts is None or place is None:
            return
        found = self._events.ask(*self._event(facts.event_at(place), look, cuts))
        self.event = found or self.event
        if found is not None and self.going:
            ahead, self.going = self.beside(look, self.going), 0
            if ahead is not None:
                EVENTS.get(*self._event(ahead, look, cuts))

    def _event(self, which: tuple[int, int], look: Look, cuts: dl1.Cuts) -> tuple[Hashable, Callable[[], dl1.Event]]:
        """Return what an event is known by, and how it is read."""
        assert self.facts is not None
        path, ring = self.facts.path, look.ring
        return (stamp(path), *which, cuts, ring), lambda: dl1.load_event(path, *which, cuts, ring=ring)

    def describe(self, look: Look, data: dict[str, xr.Dataset]) -> None:
        """Ask for what follows from the results of the reduction, by camera.

        Raises
        ------
        ValueError, KeyError
            They cannot be used.
        """
        facts = self.facts
        if facts is not None and data:
            wish = Wish(look.dead_below, look.noisy_above)
            key = (tuple(map(id, data.values())), facts.path, wish)
            self.results = self._work.ask(key, lambda: compute(data, facts, wish)) or self.results

    # --- which event

    def place(self, look: Look) -> int | None:
        """Return the row of the event that is wished: a function of the wish and of the file alone."""
        if self.facts is None:
            return None
        found = self.facts.place_of(look.obs, look.event) if look.event >= 0 else None
        return self.facts.first() if found is None else found

    def walked(self, look: Look) -> NDArray[np.int64]:
        """Return the rows of the events that are gone through: all with images until these have been read."""
        if self.results is not None:
            return self.results.walked(*look.axes, look.area)
        if self.facts is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.facts.events["multiplicity"] > 0)

    def beside(self, look: Look, by: int) -> tuple[int, int] | None:
        """Return run and number of the event that is `by` further (1 or -1); None if there is none."""
        places, now = self.walked(look), self.place(look)
        if not len(places) or self.facts is None or now is None:
            return None
        at = int(places.searchsorted(now))
        there = at < len(places) and int(places[at]) == now
        to = at + by if there or by < 0 else at
        return self.facts.event_at(int(places[to % len(places)]))

    def numbered(self, look: Look, number: int) -> tuple[int, int] | None:
        """Return run and number of the event of that number, of the run that is shown if it has one."""
        facts, now = self.facts, self.place(look)
        if facts is None or now is None:
            return None
        place = facts.place_of(facts.event_at(now)[0], number)
        if place is None:
            rows = np.flatnonzero(facts.events["event_id"] == number)
            place = int(rows[0]) if len(rows) else None
        return None if place is None else facts.event_at(place)

    def where(self, look: Look) -> str:
        """Return which of how many events the shown one is, in words."""
        places, event, facts = self.walked(look), self.event, self.facts
        now = facts.place_of(event.obs_id, event.event_id) if event is not None and facts is not None else None
        if now is None or not len(places):
            return ""
        at = int(places.searchsorted(now))
        if at < len(places) and places[at] == now:
            return f" · {at + 1} of {len(places)}"
        return " · not among the selected"

    def image(self, tel: int) -> dl1.OneCamera | None:
        """Return the image of a telescope; the brightest one if that took none."""
        event = self.event
        if event is None or not event.cameras:
            return None
        if tel in event.tel_ids:
            return event.camera(tel)
        return max(event.cameras, key=lambda one: (float(one.image[one.selected].sum()), -one.tel_id))
