"""Bars of showers: against the original library `showerdata`, on the same files and with equal results."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import showerdata
from bars import Bar, ratio
from showerdata import observables as their_observables

from detcore import run, showers
from detcore.core.executors import Inline
from detcore.showers import observables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEAK = """
import sys
from pathlib import Path
from detcore import showers
from detcore.showers import observables
showers.INSTRUMENT.warm()
def memory(what):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024
small, path, what = sys.argv[1:]
if what == "save":
    data = showers.load(path)
    work = lambda: showers.save(data, path + ".saved")
    showers.save(showers.load(small), small + ".saved")
else:
    observables.add_observables_to_file(small, overwrite=True)
    work = lambda: observables.add_observables_to_file(path, overwrite=True)
Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the imports
before = memory("VmRSS")
work()
print(memory("VmHWM") - before)
"""


class Kind(NamedTuple):
    """A set of showers."""

    showers: int
    points: int  # mean of a shower
    width: int  # of the dense form


# The first is like full simulations of photons in a highly granular calorimeter, the second like clustered ones.
KINDS = {"A": Kind(1000, 3143, 6016), "B": Kind(4000, 1256, 2048)}


def make(kind: Kind, seed: int = 5) -> Any:
    """Return showers with the profiles of 10 to 90 GeV photons in ILD, of the original's class.

    The shape alone matters here: gamma-distributed depth, radius as u / (1 - u), log-normal energies.
    """
    rng = np.random.default_rng(seed)
    incident = rng.uniform(10, 90, kind.showers)
    counts = np.clip(incident / 50 * kind.points, 1, kind.width).astype(np.int32)
    points = np.zeros((kind.showers, kind.width, 5), np.float32)
    for row, count in enumerate(counts.tolist()):
        u = rng.random(count)
        radius, angle = 8 * np.sqrt(u / (1.0001 - u)), rng.uniform(0, 2 * np.pi, count)
        points[row, :count, 0] = radius * np.cos(angle)
        points[row, :count, 1] = radius * np.sin(angle)
        points[row, :count, 2] = np.minimum(rng.gamma(6, 2.2, count).astype(int), 77)
        points[row, :count, 3] = rng.lognormal(-9, 1.2, count)
        points[row, :count, 4] = rng.exponential(3, count)
    return showerdata.Showers(points=points, energies=incident, pdg=22)


def faster(name: str, ours: Callable[[], object], theirs: Callable[[], object], limit: float, rounds: int) -> Bar:
    """Return how many times faster we are."""
    return Bar(name, 1 / ratio(ours, theirs, rounds), limit, at_least=True)


def bars(quick: bool) -> Iterator[Bar]:
    """Measure; `quick` takes few showers, whose ratios mean little."""
    showers.INSTRUMENT.warm()
    for name, kind in KINDS.items():
        small = kind._replace(showers=kind.showers // 25)
        with tempfile.TemporaryDirectory() as folder:
            yield from _of_set(name, small if quick else kind, Path(folder), 1 if quick else 7)
    with tempfile.TemporaryDirectory() as folder:
        yield from _memory(Path(folder), quick)


def _equal(ours: Any, theirs: Any) -> None:
    for field in ("points", "energies", "directions", "pdg", "shower_ids"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))


def _of_set(name: str, kind: Kind, folder: Path, rounds: int) -> Iterator[Bar]:
    path, out = folder / "set.h5", folder / "out.h5"
    theirs = make(kind)
    showerdata.save(theirs, path)
    ours = showers.load(path)
    _equal(ours, theirs)

    yield faster(f"{name}: load, dense", lambda: showers.load(path), lambda: showerdata.load(path), 1.8, rounds)
    yield faster(f"{name}: load, ragged", lambda: showers.read_ragged(path), lambda: showerdata.load(path), 3, rounds)
    yield faster(
        f"{name}: save",
        lambda: showers.save(ours, out, overwrite=True),
        lambda: showerdata.save(theirs, out, overwrite=True),
        1,
        rounds,
    )
    yield _save_batch(name, ours, theirs, out, rounds)
    yield _single(name, path, kind, rounds)

    few, theirs_few = ours[:500], theirs[:500]
    _equal(showers.cluster(few, random_shift=False), showerdata.cluster(theirs_few, random_shift=False))
    slow = max(1, rounds // 3)
    yield faster(
        f"{name}: cluster",
        lambda: showers.cluster(few, random_shift=False),
        lambda: showerdata.cluster(theirs_few, random_shift=False),
        10,
        slow,
    )
    yield faster(
        f"{name}: the four observables, one call each",
        lambda: _observe(observables, few),
        lambda: _observe(their_observables, theirs_few),
        5,
        slow,
    )
    flat = few.ragged()
    yield faster(
        f"{name}: these and all others, in one pass",
        lambda: showers.observe(flat),
        lambda: _observe(their_observables, theirs_few),
        20,
        slow,
    )
    cut = {"radius": 60.0, "ecal_threshold": 1e-4, "hcal_threshold": 2.5e-4}
    _equal(showers.filter_showers(ours, **cut), showerdata.filter_showers(theirs, **cut))
    yield faster(
        f"{name}: filter",
        lambda: showers.filter_showers(ours, **cut),
        lambda: showerdata.filter_showers(theirs, **cut),
        2,
        rounds,
    )
    half = kind.showers // 2
    yield faster(
        f"{name}: concatenate",
        lambda: showers.concatenate([ours[:half], ours[half:]]),
        lambda: showerdata.concatenate([theirs[:half], theirs[half:]]),
        1.5,
        rounds,
    )
    yield faster(
        f"{name}: add-observables, whole file",
        lambda: observables.add_observables_to_file(path, overwrite=True),
        lambda: their_observables.add_observables_to_file(path, overwrite=True),
        20,
        slow,
    )
    yield _framework(name, path, rounds)


def _observe(module: Any, data: Any) -> list[Any]:
    return [
        module.calc_num_points_per_layer(data, 78),
        module.calc_energy_per_layer(data, 78),
        module.calc_energy_per_radial_bin(data),
        module.calc_center_of_energy(data),
    ]


def _save_batch(name: str, ours: Any, theirs: Any, out: Path, rounds: int) -> Bar:
    shape = theirs.points.shape
    step = max(1, shape[0] // 4)
    places = range(0, shape[0], step)
    mine, other = ([(data[at : at + step], at) for at in places] for data in (ours, theirs))

    def batches(module: Any, parts: list[tuple[Any, int]]) -> None:
        module.create_empty_file(out, shape)
        for part, at in parts:
            module.save_batch(part, out, at)

    return faster(
        f"{name}: create_empty_file and save_batch",
        lambda: batches(showers, mine),
        lambda: batches(showerdata, other),
        1,
        rounds,
    )


def _single(name: str, path: Path, kind: Kind, rounds: int) -> Bar:
    numbers = np.random.default_rng(1).permutation(kind.showers)[:100].tolist()
    with showers.HeapReader(path) as reader, showerdata.ShowerDataFile(path) as file:
        np.testing.assert_array_equal(
            reader.shower(numbers[0]), file[numbers[0]].points[0, : len(reader.shower(numbers[0]))]
        )
        return faster(
            f"{name}: single showers at random, files open",
            lambda: [reader.shower(number) for number in numbers],
            lambda: [file[number] for number in numbers],
            20,
            rounds,
        )


def _framework(name: str, path: Path, rounds: int) -> Bar:
    """Compare `run` with a loop over the same kernels and chunks."""
    source = showers.open_files(path)
    reduction = showers.reduction(None, source.schema())
    columns = reduction.needs(source.schema())

    def by_hand() -> Any:
        state = reduction.empty(source.schema())
        for ref in source.plan():
            if ref is not None:
                reduction.update(state, source.read(ref, columns))
        return reduction.finalize(state)

    return Bar(
        f"{name}: run against the same kernels in a hand-written loop",
        ratio(lambda: run(source, reduction, executor=Inline()), by_hand, rounds),
        1.1,
    )


def _memory(folder: Path, quick: bool) -> Iterator[Bar]:
    """Peak memory: saving needs next to nothing, observables of a file do not grow with its length."""
    kind = KINDS["B"]._replace(showers=200)
    tiny, sizes = folder / "tiny.h5", (200, 400) if quick else (1000, 4000)
    showerdata.save(make(kind), tiny)
    for size in sizes:
        showerdata.save(make(kind._replace(showers=size)), folder / f"{size}.h5")

    def peak(size: int, what: str) -> float:
        command = [sys.executable, "-c", PEAK, str(tiny), str(folder / f"{size}.h5"), what]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        return float(done.stdout)

    yield Bar("peak memory of save", peak(sizes[0], "save"), 10, unit="MB")
    few, many = (peak(size, "observables") for size in sizes)
    yield Bar("peak memory of add-observables, of four times as many showers, more", many - few, 20, unit="MB")
