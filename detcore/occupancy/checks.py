"""What a channel should count, from its neighbours or from a reference, and how far it is from that; bare arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import xlog1py

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.occupancy.thresholds import Thresholds

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

SIDE = 4  # live neighbours asked for on each side
ENOUGH = 6  # at the end of a plane the other side gives more, up to this many in all
FEWEST = 3  # fewer live neighbours than this predict nothing
REACH = 8  # channels over which a slope is carried beyond the outermost neighbour; further out the value stays
PASSES = 8  # times that low channels are taken out of the neighbours; real planes need three
NORMAL = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
LEAST = 1e-3  # smallest prediction, hits: below, there is nothing to expect


@dataclass(frozen=True)
class Neighbours:
    """What the neighbours say of every channel.

    Parameters
    ----------
    expected
        Predicted hits, (plane, column); NaN where there is no channel or too few neighbours.
    ceiling
        Third highest of the six nearest live neighbours, hits, (plane, column); inf where `expected` is NaN.
    pull
        Distance of the hits from `expected`, standard deviations, (plane, column); 0 where `expected` is NaN.
    """

    expected: Floats
    ceiling: Floats
    pull: Floats


def neighbours(hits: NDArray[Any], exists: Flags, limits: Thresholds) -> Neighbours:
    """Predict every channel from the live channels around it in its plane.

    A straight line through the logarithms of four live neighbours on each side (six on one side at the end of a plane), by
    repeated medians (Siegel 1982,
    Biometrika 69, 242), which holds with nearly half of them wrong; so edges that fall off smoothly are followed and
    blocks of dead channels are looked across. Channels that turn out low are then left out as neighbours of others.

    Parameters
    ----------
    hits
        Counts, (plane, column).
    exists
        Where there is a channel, (plane, column).
    limits
        Decides which channels are low.
    """
    plane, column = np.nonzero(exists)
    counts = np.maximum(hits[exists].astype(np.float64), 0)
    live = counts > 0
    logs = np.log(np.where(live, counts, 1))
    expected = np.full(counts.size, np.nan)
    ceiling = np.full(counts.size, np.inf)
    distance = np.zeros(counts.size)
    rows = np.arange(counts.size)
    for _ in range(PASSES):
        index, valid = _windows(rows, plane, live)
        expected[rows], ceiling[rows] = _predict(logs[index], column[index] - column[rows, None], valid)
        scatter = _scatter(logs, expected, live, exists, limits)
        known = np.isfinite(expected)
        distance[known] = pull(counts[known], expected[known], scatter[plane[known]], limits.dispersion)
        low = live & is_low(counts, expected, distance, limits)
        if not low.any():
            break
        live &= ~low
        # only channels that had one of them as neighbour need another prediction
        rows = np.flatnonzero(_touched(low, plane, live))
    out = Neighbours(*(np.full(exists.shape, fill) for fill in (np.nan, np.inf, 0.0)))
    out.expected[exists], out.ceiling[exists], out.pull[exists] = expected, ceiling, distance
    return out


def is_low(hits: NDArray[Any], expected: Floats, distance: Floats, limits: Thresholds) -> Flags:
    """Say which channels have far fewer hits than expected (also those with none)."""
    enough = expected >= limits.dead_expected
    return np.asarray(enough & (hits < limits.low_ratio * expected) & (distance < -limits.sigma))


def pull(hits: Floats, expected: Floats | float, scatter: Floats | float, dispersion: float) -> Floats:
    """Return how far counts are from their expectation, in standard deviations, signed.

    The signed root of the negative binomial deviance (McCullagh and Nelder 1989, Generalized Linear Models, 2.3 and 11)
    for a variance of ``dispersion * (expected + (scatter * expected)**2)``: Poisson where counts are small, a relative
    scatter where they are large. Written with log1p, so that enormous counts do not cancel.

    Parameters
    ----------
    hits, expected
        Counts and predictions above 0, hits, of one shape.
    scatter
        Relative standard deviation between channels, above 0.
    dispersion
        Variance over mean of a small count.
    """
    size = scatter**-2.0
    gain = xlog1py(hits, size * (hits - expected) / (expected * (hits + size)))
    deviance = 2 * (gain - size * np.log((hits + size) / (expected + size)))
    return np.asarray(np.sign(hits - expected) * np.sqrt(np.maximum(deviance, 0) / dispersion))


def _windows(rows: NDArray[np.intp], plane: NDArray[np.intp], live: Flags) -> tuple[NDArray[np.intp], Flags]:
    """Return for each row the channels of its nearest live neighbours, left to right, and which of the columns are real."""
    position = np.flatnonzero(live)
    if not position.size:
        return np.zeros((rows.size, 2 * SIDE), np.intp), np.zeros((rows.size, 2 * SIDE), np.bool_)
    before = np.searchsorted(position, rows)
    after = before + live[rows]
    of_plane = plane[position]
    left = before - np.searchsorted(of_plane, plane[rows])
    right = np.searchsorted(of_plane, plane[rows], side="right") - after
    left, right = (
        np.minimum(left, np.maximum(SIDE, ENOUGH - right)),
        np.minimum(right, np.maximum(SIDE, ENOUGH - left)),
    )
    step = np.arange(2 * SIDE) - left[:, None]
    valid = step < right[:, None]
    index = np.where(step < 0, before[:, None], after[:, None]) + step
    return position[np.where(valid, index, 0)], valid


def _touched(gone: Flags, plane: NDArray[np.intp], live: Flags) -> Flags:
    """Say which channels had a channel that is `gone` from the live ones in their window."""
    index, valid = _windows(np.arange(gone.size), plane, live | gone)
    return np.asarray((gone[index] & valid).any(axis=1))


def _predict(logs: Floats, distance: NDArray[np.intp], valid: Flags) -> tuple[Floats, Floats]:
    """Return the value of the line at distance 0 and the third highest of the six nearest, hits.

    `logs`, `distance` (channels) and `valid` are (row, neighbour).
    """
    x = np.where(valid, distance, 0).astype(np.float64)
    y = np.where(valid, logs, 0)
    run = x[:, :, None] - x[:, None, :]
    rise = y[:, :, None] - y[:, None, :]
    pairs = valid[:, :, None] & valid[:, None, :] & (run != 0)
    slopes = median(np.divide(rise, run, out=np.full(run.shape, np.inf), where=pairs))
    slope = median(np.where(valid, slopes, np.inf))
    height = median(np.where(valid, y - slope[:, None] * x, np.inf))
    nearest = np.where(valid, x, np.inf).min(axis=1, initial=np.inf) - REACH
    farthest = np.where(valid, x, -np.inf).max(axis=1, initial=-np.inf) + REACH
    enough = valid.sum(axis=1) >= FEWEST
    at = np.clip(0, np.where(enough, nearest, 0), np.where(enough, farthest, 0))
    # a rise carried outwards must not exceed what was seen
    top = np.where(enough, np.where(valid, y, -np.inf).max(axis=1, initial=-np.inf), 0)
    value = np.exp(np.clip(height + slope * at, np.log(LEAST), np.maximum(top, 0)))
    away = np.sort(np.where(valid, np.abs(x), np.inf), axis=1)[:, 5]
    third = np.sort(np.where(valid & (np.abs(x) <= away[:, None]), y, -np.inf), axis=1)[:, -3]
    return np.where(enough, value, np.nan), np.exp(np.where(enough, third, np.inf))


def _scatter(logs: Floats, expected: Floats, live: Flags, exists: Flags, limits: Thresholds) -> Floats:
    """Return each plane's relative standard deviation of channels around the prediction, counting noise taken off."""
    used = live & (expected >= limits.dead_expected)
    ratio = np.full(exists.shape, np.inf)
    noise = np.full(exists.shape, np.inf)
    log_expected = np.log(np.where(used, expected, 1))
    ratio[exists] = np.where(used, logs - log_expected, np.inf)
    noise[exists] = np.where(used, np.exp(-log_expected), np.inf)
    spread = NORMAL * median(np.where(np.isfinite(ratio), np.abs(ratio), np.inf))
    return np.sqrt(np.maximum(spread**2 - limits.dispersion * median(noise), limits.min_scatter**2))


def median(values: Floats) -> Floats:
    """Return the median over the last axis of the values that are not inf; 0 where there are none."""
    if not values.shape[-1]:
        return np.zeros(values.shape[:-1])
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, -1)
    above = np.take_along_axis(ordered, np.minimum(count // 2, ordered.shape[-1] - 1), -1)
    return np.where(count > 0, middle / 2 + above / 2, 0)[..., 0]


@dataclass(frozen=True)
class Change:
    """How counts compare with those of a reference.

    Parameters
    ----------
    common
        Hits here for one hit of the reference, over the whole detector; NaN if nothing is live in both.
    scale
        The same in each plane, (plane,); NaN where nothing is live in both.
    dispersion
        Variance over mean of the differences between channels, at least 1, from their median.
    pull
        Distance from ``scale * reference``, standard deviations, (plane, column); 0 where it is unknown.
    """

    common: float
    scale: Floats
    dispersion: float
    pull: Floats


def compare(hits: NDArray[Any], reference: NDArray[Any], exists: Flags, limits: Thresholds) -> Change:
    """Compare counts with a reference of any length, (plane, column) each."""
    here = np.where(exists, hits, 0).astype(np.float64)
    there = np.where(exists, reference, 0).astype(np.float64)
    scale = np.array([_ratio(row, other) for row, other in zip(here, there, strict=True)]).reshape(-1)
    raw = difference(here, there, scale[:, None], 1.0)
    counted = np.abs(raw[(here + there >= 50) & np.isfinite(scale)[:, None]])  # 50 hits: enough for a normal pull
    # the median of few pulls says little; then what two real spills showed
    dispersion = max(1.0, (NORMAL * float(np.median(counted))) ** 2) if counted.size >= 32 else limits.dispersion
    return Change(_ratio(here.ravel(), there.ravel()), scale, dispersion, raw / dispersion**0.5)


def difference(hits: Floats, reference: Floats, scale: Floats | float, dispersion: float) -> Floats:
    """Return ``(hits - scale * reference)`` in standard deviations, both being counts; 0 where nothing is known.

    If both come from one rate, the pooled estimate of the variance is ``dispersion * scale * (hits + reference)``.
    """
    variance = dispersion * np.nan_to_num(scale) * (hits + reference)
    known = variance > 0
    return np.divide(hits - scale * reference, np.sqrt(variance), out=np.zeros(hits.shape), where=known)


def _ratio(hits: Floats, reference: Floats) -> float:
    """Return the hits for one hit of the reference that most channels agree on; NaN if there is none."""
    live = (hits > 0) & (reference > 0)
    hits, reference = hits[live], reference[live]
    if not hits.size:
        return float("nan")
    ratio = hits / reference
    order = np.argsort(ratio)
    running = np.cumsum((1 / (1 / hits + 1 / reference))[order])  # the inverse variance of the ratio's logarithm
    first = float(ratio[order[np.searchsorted(running, running[-1] / 2)]])
    # the weighted median picks the channels that agree; their sums use all counts
    away = np.abs(difference(hits, reference, first, 1.0))
    agree = away <= 4 * max(1.0, NORMAL * float(np.median(away)))
    return float(hits[agree].sum() / reference[agree].sum())
