"""Sums over a run that are chosen by name, as in `storeSum`: ``calib``, ``calib_dropped_thresADU5_square``.

A name is a list of words joined by "_"; what they mean is in `SumAlgorithm`. Thresholds act on a copy, so that no sum
sees what another one cut; maxima merge as maxima; how many events went into each pixel is kept beside every sum, so
that means and variances can be had from the file alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from detcore.area.sumkernels import HITS, PLAIN, SQUARE, add_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

_NUMBER = r"[-+]?\d+(?:\.\d*)?"
_THRESHOLD = re.compile(rf"thresADU({_NUMBER})$")
_SELECTION = re.compile(r"[A-Za-z][A-Za-z0-9]*$")
_WORDS = {"calib", "nhits", "square", "max", "img", "skip", "skipFirst"}


@dataclass(frozen=True)
class SumAlgorithm:
    """What a name asks for.

    Parameters
    ----------
    name
        As given.
    threshold
        ADU below which a pixel counts as 0 (`thresADU5`, negative ones too); None: none.
    hits
        Count the events in which a pixel is above 0 (`nhits`).
    square
        Of the values (`square`).
    maximum
        Largest value instead of the sum (`max`).
    image
        Assembled (`img`).
    skip_first
        Leave the first event of the run out (`skip`, `skipFirst`).
    selections
        Names of event selections that must all be true (`dropped`, `laserOn`, …).
    """

    name: str
    threshold: float | None = None
    hits: bool = False
    square: bool = False
    maximum: bool = False
    image: bool = False
    skip_first: bool = False
    selections: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name.

        Raises
        ------
        ValueError
            A word has no meaning.

        Examples
        --------
        >>> SumAlgorithm.parse("calib_dropped_thresADU2.5_square").selections
        ('dropped',)
        """
        facts: dict[str, Any] = {}
        selections: list[str] = []
        for word in name.split("_"):
            threshold = _THRESHOLD.fullmatch(word)
            if threshold:
                facts["threshold"] = float(threshold[1])
            elif word in {"skip", "skipFirst"}:
                facts["skip_first"] = True
            elif word in _WORDS:
                facts |= {"calib": {}, "nhits": {"hits": True}, "square": {"square": True}}.get(word) or {}
                facts |= {"max": {"maximum": True}, "img": {"image": True}}.get(word) or {}
            elif _SELECTION.fullmatch(word) and not word.startswith("thres"):
                selections.append(word)
            else:
                known = ", ".join(sorted(_WORDS))
                msg = (
                    f"sum {name!r}: expected words joined by '_' ({known}, thresADU<number>, names of event selections); "
                    f"found {word!r}"
                )
                raise ValueError(msg)
        return cls(name, selections=tuple(selections), **facts)

    def wants(self, selected: Mapping[str, bool], *, first: bool) -> bool:
        """Return whether an event takes part; a selection that nobody gives is false."""
        return not (first and self.skip_first) and all(selected.get(word, False) for word in self.selections)

    @property
    def what(self) -> int:
        """What the kernel adds."""
        return (HITS if self.hits else PLAIN) + (SQUARE if self.square and not self.hits else 0)


@dataclass
class Sum:
    """One of the sums: `total` (float64) and `n`, the events of each pixel (int64), both of one shape.

    NaN values are left out; a maximum without any event is NaN.
    """

    algorithm: SumAlgorithm
    total: NDArray[np.float64] | None = None
    n: NDArray[np.int64] | None = None
    events: int = 0

    def add(self, frame: NDArray[Any]) -> None:
        """Add one event."""
        if self.total is None or self.n is None:
            self.total = np.full(frame.shape, -np.inf if self.algorithm.maximum else 0.0)
            self.n = np.zeros(frame.shape, np.int64)
        if frame.shape != self.total.shape:
            msg = f"sum {self.algorithm.name!r}: expected frames of shape {self.total.shape}, found {frame.shape}"
            raise ValueError(msg)
        one = self.algorithm
        low = -np.inf if one.threshold is None else one.threshold
        flat = np.ascontiguousarray(frame, np.float32).reshape(-1)
        add_frame(flat, low, one.what, one.maximum, self.total.reshape(-1), self.n.reshape(-1))
        self.events += 1

    def merge(self, other: Sum) -> None:
        """Add the events of another one."""
        if other.total is None or other.n is None:
            return
        if self.total is None or self.n is None:
            self.total, self.n, self.events = other.total.copy(), other.n.copy(), other.events
            return
        if self.algorithm.maximum:
            np.fmax(self.total, other.total, out=self.total)
        else:
            self.total += other.total
        self.n += other.n
        self.events += other.events

    def result(self) -> NDArray[np.float64] | None:
        """Return the sum or maximum; None before the first event."""
        if self.total is None or self.n is None:
            return None
        return np.where(self.n > 0, self.total, np.nan) if self.algorithm.maximum else self.total.copy()


@dataclass
class Sums:
    """Several sums over the same frames, mergeable.

    Parameters
    ----------
    names
        Of the sums.
    assemble
        raw frame -> image, for those with `img`.

    Examples
    --------
    >>> sums = Sums.of(["calib", "calib_max", "calib_dropped"])
    >>> for value in (1.0, 3.0):
    ...     sums.add(np.full((1, 2), value), dropped=value > 2)
    >>> {name: float(one.result()[0, 0]) for name, one in sums.sums.items()}
    {'calib': 4.0, 'calib_max': 3.0, 'calib_dropped': 3.0}
    """

    sums: dict[str, Sum] = field(default_factory=dict)
    assemble: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    @classmethod
    def of(cls, names: Iterable[str], assemble: Callable[[NDArray[Any]], NDArray[Any]] | None = None) -> Self:
        """Build from names; each is taken once.

        Raises
        ------
        ValueError
            A name has no meaning.
        """
        return cls({name: Sum(SumAlgorithm.parse(name)) for name in dict.fromkeys(names)}, assemble)

    def add(self, frame: NDArray[Any], *, first: bool = False, **selected: Any) -> None:
        """Add one frame to every sum that wants it.

        Parameters
        ----------
        frame
            Any shape; not changed.
        first
            It is the first event of the run.
        **selected
            Event selections by name, for instance ``dropped=True``.
        """
        chosen = {name: bool(value) for name, value in selected.items()}
        image: NDArray[Any] | None = None
        for one in self.sums.values():
            if not one.algorithm.wants(chosen, first=first):
                continue
            source = frame
            if one.algorithm.image and self.assemble is not None:
                image = self.assemble(np.asarray(frame)) if image is None else image
                source = image
            one.add(source)

    def merge(self, other: Sums) -> None:
        """Add the events of another one; sums that are new here are taken over."""
        for name, one in other.sums.items():
            self.sums.setdefault(name, Sum(one.algorithm)).merge(one)

    def results(self) -> dict[str, NDArray[np.float64]]:
        """Return name -> sum, for those that have events."""
        found = {name: one.result() for name, one in self.sums.items()}
        return {name: values for name, values in found.items() if values is not None}
