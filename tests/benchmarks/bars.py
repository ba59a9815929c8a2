"""Prints every performance bar with pass or miss: `python tests/benchmarks/bars.py [NAME ...] [--quick]`.

A bar is a ratio of two things measured in turn in the same run, so that a slow or busy machine slows both. Each
instrument has modules `bars_<instrument>.py` or `bars_<instrument>_….py` beside this one with a function `bars(quick)`.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Bar:
    """A promise: `value` must be at most, or at least, `limit`."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = "x"

    @property
    def passed(self) -> bool:
        """Whether the promise is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'pass' if self.passed else 'MISS'}  {self.value:>10,.2f} {self.unit:<3} {sign} {self.limit:>8,.2f}  {self.name}"


def ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """Return the median over `rounds` of our time over theirs, measured in turn after one warm-up each."""
    ours(), theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    return statistics.median(mine / other for mine, other in pairs)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def load(path: Path):  # type: ignore[no-untyped-def]
    """Import a module of this folder by its path (tests are not a package)."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def modules(names: Iterable[str]) -> list[Path]:
    """Return the files of bars: all, or those with a name, ``area`` for each of ``bars_area_….py``.

    Raises
    ------
    ValueError
        A name fits none.
    """
    known = sorted(HERE.glob("bars_*.py"))
    found: set[Path] = set()
    for name in names:
        fitting = {path for path in known if f"{path.stem}_".startswith(f"bars_{name}_")}
        if not fitting:
            msg = f"no bars named {name!r}; known: {', '.join(path.stem.removeprefix('bars_') for path in known)}"
            raise ValueError(msg)
        found |= fitting
    return sorted(found) if names else known


def all_bars(names: Iterable[str], *, quick: bool) -> Iterable[Bar]:
    """Yield the bars of the named files, or of all."""
    for path in modules(names):
        yield from load(path).bars(quick)


def main(arguments: list[str]) -> int:
    """Print the bars; the exit code is the number of missed ones."""
    quick = "--quick" in arguments
    missed = 0
    for bar in all_bars([one for one in arguments if not one.startswith("-")], quick=quick):
        print(bar, flush=True)
        missed += not bar.passed
    print(f"{missed} missed")
    return missed


if __name__ == "__main__":
    sys.modules.setdefault("bars", sys.modules["__main__"])
    sys.exit(main(sys.argv[1:]))
