"""Everything that the DL1 tab draws, computed by detcore in threads, once for all viewers of the same data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from dashboard.tabs.background import Shared
from dashboard.tabs.dl1.look import KINDS, digits
from dashboard.tabs.headline import Number
from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    import xarray as xr
    from numpy.typing import NDArray

T = TypeVar("T")
KEYS = ["obs_id", "event_id"]


@dataclass(frozen=True, eq=False)
class Facts:
    """What a file holds, without its images.

    Parameters
    ----------
    path, format, time_unit
        Of the file.
    telescopes, events
        Its tables.
    images
        tel_id -> how many images, of telescopes that have some.
    cameras
        tel_id -> camera, of the same.
    header
        name -> (value, unit).
    metadata
        name -> text.
    """

    path: str
    format: str
    time_unit: str
    telescopes: pd.DataFrame
    events: pd.DataFrame
    images: dict[int, int]
    cameras: dict[int, dl1.Camera]
    header: Mapping[str, tuple[Any, str]]
    metadata: Mapping[str, str]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the cameras, those with most images first."""
        counts: dict[str, int] = {}
        for tel_id, camera in self.cameras.items():
            counts[camera.name] = counts.get(camera.name, 0) + self.images[tel_id]
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))[:KINDS]

    def type_of(self, tel: int) -> str:
        """Return the type of a telescope."""
        return self._types[tel]

    @cached_property
    def _types(self) -> dict[int, str]:
        """tel_id -> type: a mapping, because looking one up in a table is slow."""
        kinds = self.telescopes["type"]
        return {int(tel): str(kind) for tel, kind in zip(kinds.index.to_numpy(np.int64), kinds, strict=True)}

    @property
    def simulated(self) -> bool:
        """Whether true values are known."""
        return "true_energy" in self.events

    def place_of(self, obs: int, event: int) -> int | None:
        """Return the row of an event in the table; None if there is no such event."""
        runs, numbers = self._keys
        found = np.flatnonzero((numbers == event) & (runs == obs))
        return int(found[0]) if len(found) else None

    @cached_property
    def _keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Run and number of each event: arrays, because comparing columns of a table is slow."""
        return self.events["obs_id"].to_numpy(np.int64), self.events["event_id"].to_numpy(np.int64)

    def first(self) -> int | None:
        """Return the row of the event that is shown first: one with as many images as any."""
        if not len(self.events):
            return None
        return int(np.argmax(self.events["multiplicity"].to_numpy(np.int64)))

    def event_at(self, place: int) -> tuple[int, int]:
        """Return run and number of an event."""
        runs, numbers = self._keys
        return int(runs[place]), int(numbers[place])


FACTS: Shared[Facts] = Shared(8)
EVENTS: Shared[dl1.Event] = Shared(64)
RESULTS: Shared[Results] = Shared(8)
STEREO: Shared[pd.DataFrame] = Shared(4)
MAPPED: Shared[NDArray[np.float32]] = Shared(64)


def stamp(path: str) -> tuple[str, int, int]:
    """Return what changes when a file does.

    Raises
    ------
    OSError
        There is no such file.
    """
    facts = Path(path).stat()
    return path, facts.st_mtime_ns, facts.st_size


def facts_of(path: str) -> Facts:
    """Read what a file holds; called in a thread.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    with dl1.open(path) as file:
        images = {int(tel): found for tel in file.telescopes.index if (found := file.n_images(int(tel)))}
        return Facts(
            path, file.format, file.time_unit, file.telescopes, file.events, images,
            {tel: file.camera(tel) for tel in images}, dict(file.header), dict(file.metadata),
        )  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What is computed of the datasets besides the table: which pixels count as dead and as noisy."""

    dead: float | None = None
    noisy: float | None = None


@dataclass(frozen=True, eq=False)
class Results:
    """What the datasets of one file give.

    Parameters
    ----------
    facts
        Of the file.
    data
        camera -> result of the reduction.
    table
        Parameters of the images that pass the cuts, of all cameras, in the order of the events; ``place`` is the row of
        the event.
    places
        Rows of the events of which an image passes.
    flags
        camera -> dead and noisy pixels.
    """

    facts: Facts
    data: dict[str, xr.Dataset]
    table: pd.DataFrame
    places: NDArray[np.int64]
    flags: dict[str, xr.Dataset]
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, made once for all viewers; the same key must always mean the same thing."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    @property
    def cut(self) -> str:
        """What is cut, in words."""
        return next((str(one.attrs.get("cut", "")) for one in self.data.values()), "")

    def inside(self, x: str, y: str, area: tuple[float, float, float, float] | None) -> NDArray[np.bool_]:
        """Return which images of the table are in a part of the plane of two parameters; all without one."""
        if area is None or x not in self.table or y not in self.table:
            return np.ones(len(self.table), bool)
        across, up = self.table[x].to_numpy(float), self.table[y].to_numpy(float)
        return (across >= area[0]) & (across <= area[1]) & (up >= area[2]) & (up <= area[3])

    def walked(self, x: str, y: str, area: tuple[float, float, float, float] | None) -> NDArray[np.int64]:
        """Return the rows of the events that are gone through."""
        if area is None:
            return self.places
        return self.once(
            ("walked", x, y, area), lambda: np.unique(self.table["place"].to_numpy()[self.inside(x, y, area)])
        )


def compute(data: dict[str, xr.Dataset], facts: Facts, wish: Wish) -> Results:
    """Compute what is drawn; called in a thread.

    Raises
    ------
    ValueError
        There is too little data.
    """
    tables = [frame for one in data.values() if len(frame := dl1.event_table(one))]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*KEYS, "tel_id"])
    units: dict[str, str] = {name: unit for one in tables for name, unit in one.attrs.get("units", {}).items()}
    rows = pd.MultiIndex.from_frame(facts.events[KEYS])
    if rows.is_unique:
        table["place"] = rows.get_indexer(pd.MultiIndex.from_frame(table[KEYS])) if len(table) else np.zeros(0, int)
    else:  # events that were written twice: the first of them
        known = {key: number for number, key in reversed(list(enumerate(rows)))}
        table["place"] = [known.get(key, -1) for key in table[KEYS].itertuples(index=False, name=None)]
    table = table.sort_values(["place", "tel_id"], kind="stable", ignore_index=True)
    table.attrs["units"] = units
    places = np.unique(table["place"].to_numpy(np.int64))
    limits = {
        name: value for name, value in (("dead_below", wish.dead), ("noisy_above", wish.noisy)) if value is not None
    }
    flags = {kind: dl1.statistics_flags(one, **limits) for kind, one in data.items()}
    return Results(facts, data, table, places[places >= 0], flags)


def stereo_of(results: Results) -> pd.DataFrame:
    """Find the directions of the events whose images pass; called in a thread.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or does not say where its telescopes looked.
    """
    with dl1.open(results.facts.path) as file:
        return dl1.stereo_of(results.table.drop(columns="place"), file)


def headline(results: Results) -> list[Number]:
    """Return the numbers that stand above everything."""
    facts, table = results.facts, results.table
    events, images = len(facts.events), sum(facts.images.values())
    bad = [(int(one["dead"].sum()), int(one["noisy"].sum())) for one in results.flags.values()]
    dead, noisy = sum(one for one, _ in bad), sum(two for _, two in bad)
    chosen = len(results.places)
    numbers = [
        Number("Events", f"{chosen:,}", f"of {events:,}" if chosen != events else "", "main" if chosen else "warn"),
        Number("Images", f"{len(table):,}", f"of {images:,}" if len(table) != images else ""),
        Number("Telescopes", f"{len(facts.images):,}", f"of {len(facts.telescopes):,}"),
    ]
    for name, label, unit in (("hillas_intensity", "Median size", "p.e."), ("hillas_width", "Median width", "deg")):
        if name in table and (values := table[name].dropna()).size:
            numbers.append(Number(label, digits(float(values.median())), unit))
    if "morphology_n_pixels" in table and len(table):
        share = float((table["morphology_n_pixels"] > 0).mean())
        numbers.append(Number("Survive cleaning", f"{100 * share:.3g}", "%"))
    numbers += [
        Number("Dead pixels", f"{dead:,}", "", "bad" if dead else ""),
        Number("Noisy pixels", f"{noisy:,}", "", "warn" if noisy else ""),
    ]
    return numbers
