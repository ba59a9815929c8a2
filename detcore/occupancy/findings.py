"""The rules of the occupancy check: from predictions to findings in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detcore.occupancy.checks import Change, Neighbours, compare, is_low, median, neighbours, pull

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

    from detcore.occupancy.thresholds import Thresholds

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# Relative difference between planes of one group that is normal; 0.1 to 0.5 in spill 1924430 of run 5994.
SISTER_SCATTER = 0.5

# Columns of the table of findings and their types.
COLUMNS = {
    "detector_id": "int64",
    "detector": "str",
    "element_id": "int64",
    "finding": "str",
    "hits": "int64",
    "expected": "float64",
    "significance": "float64",
    "severity": "str",
    "reason": "str",
}


class Finding(NamedTuple):
    """One row of the table; `new` is False when the reference shows the same."""

    detector_id: int
    detector: str
    element_id: int
    finding: str
    hits: int
    expected: float
    significance: float
    severity: str
    reason: str
    new: bool = True


@dataclass(frozen=True)
class Channels:
    """The arrays of a dataset, (plane, column) or (plane,), and its names."""

    hits: Counts
    exists: Flags
    detector_id: Counts
    element_id: Counts
    detector: tuple[str, ...]
    group: tuple[str, ...]
    inferred: Flags

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Channels:
        """Take them from a reduction's result; hits where there is no channel become 0."""
        hits = dataset["hits"].transpose("detector_id", "element_id")
        element_id = hits["element_id"].to_numpy()
        detector_id = hits["detector_id"].to_numpy()
        exists = (element_id >= 1) & (element_id <= dataset["n_elements"].to_numpy()[:, None])
        if (
            "selected" in dataset
        ):  # a filter looked at some channels only: the others are not silent, they are not known
            exists &= dataset["selected"].transpose("detector_id", "element_id").to_numpy()
        names = zip((str(name) for name in dataset["detector"].to_numpy()), detector_id, strict=True)
        return cls(
            hits=np.where(exists, hits.to_numpy(), 0),
            exists=exists,
            detector_id=detector_id,
            element_id=element_id,
            detector=tuple(name or f"id {number}" for name, number in names),
            group=tuple(str(group) for group in dataset["group"].to_numpy()),
            inferred=dataset["inferred"].to_numpy().astype(np.bool_),
        )

    def aligned(self, reference: xr.Dataset | None) -> Counts | None:
        """Return the hits of a reference at the same ids; channels that it does not have count 0."""
        if reference is None:
            return None
        hits = reference["hits"].reindex(detector_id=self.detector_id, element_id=self.element_id, fill_value=0)
        return np.where(self.exists, hits.transpose("detector_id", "element_id").to_numpy(), 0)


@dataclass(frozen=True)
class _Evidence:
    """What the rules for single channels look at; (plane, column)."""

    channels: Channels
    exists: Flags  # without planes that are dead as a whole
    near: Neighbours
    expected: Floats  # hits that the neighbours predict, 0 where they say nothing
    there: Floats  # hits that the reference predicts, scaled to the plane, 0 where it says nothing
    shift: Floats  # distance from that, standard deviations
    compared: Flags  # planes that the reference has, (plane, 1)
    limits: Thresholds

    def report(
        self, kind: str, at: tuple[int, int], expected: float, reason: str, *, old: bool, error: bool = False
    ) -> Finding:
        plane, column = at
        known = old and bool(self.compared[plane, 0])
        if self.compared[plane, 0]:
            reason += "; so it was in the reference" if known else "; not so in the reference"
        return Finding(
            int(self.channels.detector_id[plane]),
            self.channels.detector[plane],
            int(self.channels.element_id[column]),
            kind,
            int(self.channels.hits[at]),
            expected,
            float(self.near.pull[at]),
            "ERROR" if error and not known else "WARN",
            reason,
            new=not known,
        )


def findings(channels: Channels, reference: Counts | None, limits: Thresholds) -> list[Finding]:
    """Return everything that looks wrong, ordered by detector and element; nothing if there are no hits at all."""
    if not channels.hits.any():
        return []
    before = np.zeros_like(channels.hits) if reference is None else reference
    change = compare(channels.hits, before, channels.exists, limits)
    rows = list(_planes(channels, before, change, limits))
    gone = np.isin(channels.detector_id, [row.detector_id for row in rows if row.finding == "plane-dead"])
    exists = channels.exists & ~gone[:, None]
    near = neighbours(channels.hits, exists, limits)
    evidence = _Evidence(
        channels=channels,
        exists=exists,
        near=near,
        expected=np.nan_to_num(near.expected),
        there=np.nan_to_num(change.scale)[:, None] * before,
        shift=change.pull,
        compared=np.isfinite(change.scale)[:, None],
        limits=limits,
    )
    for rule in (_dead, _low, _hot, _ends, _changed):
        rows.extend(rule(evidence))
    return sorted(rows, key=lambda row: (row.detector_id, row.element_id))


def _planes(channels: Channels, before: Counts, change: Change, limits: Thresholds) -> Iterator[Finding]:
    """Compare whole planes with the others of their group and with the reference."""
    size = channels.exists.sum(axis=1)
    hits = channels.hits.sum(axis=1, dtype=np.float64)
    rate = hits / np.maximum(size, 1)
    judged = (size > 0) & ~channels.inferred
    overall = float(np.median(rate[judged])) if judged.any() else 0.0
    live = judged & (rate > limits.plane_dead_ratio * overall)
    group = np.array(channels.group)
    there = np.nan_to_num(change.common) * before.sum(axis=1, dtype=np.float64)
    for plane in np.flatnonzero(size):
        sisters = live & (group == group[plane])
        sisters[plane] = False
        # a group that is dead as a whole has no live sisters; then all planes stand in
        typical = float(np.median(rate[sisters])) if sisters.any() else overall
        predicted, source = (typical * size[plane] if judged[plane] else 0.0), "planes like it have"
        if there[plane] > predicted:
            predicted, source = float(there[plane]), "the reference predicts"
        count, ratio = int(hits[plane]), change.scale[plane] / change.common
        about = int(channels.detector_id[plane]), channels.detector[plane], 0
        if predicted >= limits.plane_dead_expected and count < limits.plane_dead_ratio * predicted:
            away = pull(hits[plane], predicted, SISTER_SCATTER, limits.dispersion)
            reason = f"{_hits(count)} in {size[plane]} channels where {source} {predicted:.0f}"
            yield Finding(*about, "plane-dead", count, predicted, float(away), "ERROR", reason)
        elif np.isfinite(ratio):
            counting = change.dispersion * (1 / hits[plane] + change.common / there[plane])
            away = np.log(ratio) / np.sqrt(counting + limits.min_scatter**2)
            if max(ratio, 1 / ratio) > limits.plane_changed_ratio and abs(away) > limits.changed_sigma:
                reason = f"{ratio:.2f} times the part of all hits that the plane has in the reference"
                yield Finding(*about, "plane-changed", count, float(there[plane]), float(away), "WARN", reason)


def _dead(evidence: _Evidence) -> Iterator[Finding]:
    limits, there = evidence.limits, evidence.there
    near = evidence.expected >= limits.dead_expected
    predicted = np.where(near, evidence.expected, there)
    dead = evidence.exists & (evidence.channels.hits == 0) & (predicted >= limits.dead_expected)
    first, last = _runs(dead)
    for at in _each(dead):
        reason = (
            f"no hits where {'its neighbours predict' if near[at] else 'the reference predicts'} {predicted[at]:.0f}"
        )
        length = int(last[at] - first[at]) + 1
        if length >= limits.block:
            begin, end = evidence.channels.element_id[[first[at], last[at]]]
            reason += f"; one of {length} dead in a row ({begin}..{end}), which points to a card or a cable"
        old = bool(there[at] < limits.low_ratio * predicted[at])
        yield evidence.report("dead", at, float(predicted[at]), reason, old=old, error=length >= limits.block)


def _low(evidence: _Evidence) -> Iterator[Finding]:
    hits, expected = evidence.channels.hits, evidence.expected
    low = evidence.exists & (hits > 0) & is_low(hits, expected, evidence.near.pull, evidence.limits)
    for at in _each(low):
        old = bool(evidence.there[at] < np.sqrt(expected[at] * hits[at]))  # nearer to this than to normal
        yield evidence.report("low", at, float(expected[at]), _times(evidence, at), old=old)


def _hot(evidence: _Evidence) -> Iterator[Finding]:
    hits, expected = evidence.channels.hits, evidence.expected
    for at in _each(_is_hot(evidence)):
        old = bool(evidence.there[at] > np.sqrt(expected[at] * hits[at]))
        yield evidence.report("hot", at, float(expected[at]), _times(evidence, at), old=old)


def _is_hot(evidence: _Evidence) -> Flags:
    above = evidence.limits.hot_ratio * np.maximum(evidence.expected, evidence.near.ceiling)
    return np.asarray(evidence.exists & (evidence.channels.hits > above) & (evidence.near.pull > evidence.limits.sigma))


def _ends(evidence: _Evidence) -> Iterator[Finding]:
    """Report the ends of planes that stand far above the plane's median.

    There, neighbours on one side only cannot tell a beam profile from noise that reaches the edge: one such channel is
    called hot, several are called elevated.
    """
    hits, exists, limits = evidence.channels.hits, evidence.exists, evidence.limits
    typical = median(np.where(exists, hits, np.inf))
    high = exists & (typical >= limits.dead_expected)[:, None] & (hits > limits.edge_ratio * typical[:, None])
    through = high | (hits == 0)  # a dead channel does not end the rise
    left = np.logical_and.accumulate(through, axis=1)
    right = np.logical_and.accumulate(through[:, ::-1], axis=1)[:, ::-1]
    hot = _is_hot(evidence)
    for end in (left, right & ~left):
        found = high & end & ~hot
        for at in _each(found):
            middle = typical[at[0]]
            reason = f"{_hits(hits[at])} at the end of the plane, {hits[at] / middle:.1f} times the plane's median {middle:.0f}"
            kind = "hot" if found[at[0]].sum() == 1 else "elevated"
            old = bool(evidence.there[at] > hits[at] / 2)
            yield evidence.report(kind, at, float(evidence.expected[at]), reason, old=old)


def _changed(evidence: _Evidence) -> Iterator[Finding]:
    hits, there, limits = evidence.channels.hits, evidence.there, evidence.limits
    far = (hits > limits.changed_ratio * there) | (hits * limits.changed_ratio < there)
    changed = evidence.exists & evidence.compared & far & (np.abs(evidence.shift) > limits.changed_sigma)
    for at in _each(changed & ((hits > 0) | (there < limits.dead_expected))):  # the others are dead
        away = float(evidence.shift[at])
        reason = f"{_hits(hits[at])} where the reference predicts {there[at]:.0f} ({away:+.1f} standard deviations)"
        finding = evidence.report("changed", at, float(there[at]), reason, old=False)
        yield finding._replace(significance=away, reason=reason)


def _times(evidence: _Evidence, at: tuple[int, int]) -> str:
    hits, predicted = evidence.channels.hits[at], evidence.expected[at]
    return f"{_hits(hits)}, {hits / predicted:.2g} times the {predicted:.0f} that its neighbours predict"


def _hits(count: int) -> str:
    return "1 hit" if count == 1 else f"{count} hits"


def _each(where: Flags) -> Iterator[tuple[int, int]]:
    """Yield (plane, column) of all true cells."""
    return zip(*(axis.tolist() for axis in np.nonzero(where)), strict=True)


def _runs(flags: Flags) -> tuple[Counts, Counts]:
    """Return the first and last column of the run of true cells that each true cell belongs to."""
    columns = np.broadcast_to(np.arange(flags.shape[1]), flags.shape)
    stop = flags.shape[1]
    first = np.maximum.accumulate(np.where(flags, -1, columns), axis=1) + 1
    last = np.minimum.accumulate(np.where(flags, stop, columns)[:, ::-1], axis=1)[:, ::-1] - 1
    return first, last
