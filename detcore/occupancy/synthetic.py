"""Hits for given counts: which belong together, at what time and with which flag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.occupancy.detectors import Detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.occupancy.detectors import DetectorTable

TICK = 4 / 9  # ns; divides the shifters' bins of 20/9, 4 and 8 ns, so that no comb appears in their histograms
N_TICKS = 5400  # 2400 ns, the whole readout window
IN_TIME, HODO_MASK, TRIGGER_MASK = 2, 4, 8  # bits of a hit's flag
PITCH = {"chamber": 2.0, "hodo": 7.3, "prop": 5.1, "dp": 1.9}  # cm, round numbers and no survey


@cache
def _drift(kind: str, t_min: float, t_max: float) -> NDArray[np.int16]:
    """Return the inverse of the cumulated time spectrum: (65536,) ticks.

    The TDC runs with a common stop: a wire's earliest signal has the largest time, and the spectrum falls
    towards smaller ones. The shapes are for the eye; only the window is the shifters'.
    """
    time = np.arange(N_TICKS) * TICK
    width = t_max - t_min
    if kind in {"hodo", "dp"}:
        sigma, floor = (12.0, 0.04) if kind == "hodo" else (25.0, 0.10)  # ns, fraction of hits that are out of time
        shape = np.exp(-0.5 * ((time - t_min - 0.55 * width) / sigma) ** 2)
    else:
        length, floor = (0.22, 0.08) if kind == "chamber" else (0.45, 0.12)
        drift = np.clip((t_min + 0.75 * width - time) / width, -0.5, 1.0)
        shape = np.exp(-drift / length) / (1 + np.exp(-drift / 0.012)) * (drift < 0.65)
    density = (1 - floor) * shape / shape.sum() + floor / N_TICKS
    quantile = (np.arange(65536) + 0.5) / 65536
    return np.searchsorted(np.cumsum(density), quantile).clip(0, N_TICKS - 1).astype(np.int16)


@dataclass(frozen=True)
class Channels:
    """The distinct (detector, element) pairs of a file in sorted order; a `code` is an index into them."""

    detector: NDArray[np.int64]
    element: NDArray[np.int64]
    good: NDArray[np.int64]  # codes of the counted channels, in the order of counts.nonzero()
    bad: NDArray[np.int64]  # codes of the impossible ones
    place: NDArray[np.float64]  # (code,) detector group, plus the relative position 0..1 inside its plane
    window: NDArray[np.float32]  # (2, code) ns
    spectra: NDArray[np.int16]  # (spectrum, 65536) ticks
    spectrum: NDArray[np.int64]  # (code,)
    hodo: NDArray[np.bool_]  # (code,)
    pitch: NDArray[np.float32]  # (code,) cm
    centre: NDArray[np.float32]  # (code,) cm

    @classmethod
    def of(cls, counts: NDArray[np.int64], bad: tuple[tuple[int, int], ...], table: DetectorTable) -> Channels:
        """Collect the channels that `counts` (detector, element) and the list of impossible ids name."""
        found = np.concatenate([np.argwhere(counts), np.reshape(np.array(bad, np.int64), (-1, 2))])
        order = np.lexsort((found[:, 1], found[:, 0]))
        if len(order) > 1 << 17:
            msg = f"{len(order)} channels; expected at most {1 << 17}, which is what a sort key has room for"
            raise ValueError(msg)
        code = np.empty(len(order), np.int64)
        code[order] = np.arange(len(order))
        detector, element = found[order].T
        n_good = len(order) - len(bad)
        groups = {name: number for number, name in enumerate(table.groups())}
        planes = [table.by_id.get(i) or Detector(f"{i}", i, counts.shape[1] - 1, f"{i}", "") for i in detector.tolist()]
        kinds = sorted({(plane.kind, plane.t_min, plane.t_max) for plane in planes})
        size = np.array([max(plane.n_elements, 1) for plane in planes], np.float64)
        group = np.array([groups.get(plane.group, len(groups)) for plane in planes], np.float64)
        pitch = np.array([PITCH.get(plane.kind, 1.0) for plane in planes], np.float32)
        return cls(
            detector=detector,
            element=element,
            good=code[:n_good],
            bad=code[n_good:],
            place=group + np.clip(element / (size + 1), 0, 0.95),
            window=np.array([[plane.t_min for plane in planes], [plane.t_max for plane in planes]], np.float32),
            spectra=np.array([_drift(*kind) for kind in kinds], np.int16).reshape(-1, 65536),
            spectrum=np.array([kinds.index((plane.kind, plane.t_min, plane.t_max)) for plane in planes], np.int64),
            hodo=np.array([plane.kind == "hodo" for plane in planes], bool),
            pitch=pitch,
            centre=((element - (size + 1) / 2) * pitch).astype(np.float32),
        )

    def deal(self, counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the code of every hit, (hit,), in an order that puts what belongs to one track together."""
        numbers = counts[counts > 0]
        code = np.repeat(self.good, numbers)
        near = self.place[code] + 0.04 * rng.random(len(code), dtype=np.float32)
        key = (near * (1 << 20)).astype(np.int64) << 17 | code
        key.sort()
        track = (key & 0x1FFFF).astype(np.int32)
        # bursts of about four neighbours (planes of a station), shuffled whole
        first = rng.random(len(track), dtype=np.float32) < 1 / 4
        first[:1] = True
        start = np.flatnonzero(first)
        size = np.diff(start, append=len(track))
        order = rng.permutation(len(start))
        begin = np.cumsum(size[order]) - size[order]
        return track[np.repeat(start[order] - begin, size[order]) + np.arange(len(track))]

    def hits(
        self, codes: NDArray[np.int32], luck: NDArray[np.uint32], offsets: NDArray[np.int64], id_dtype: str
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """Return the columns of sorted hits, and the code of each channel that fired, once per event."""
        event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        late = self.spectra[self.spectrum[codes], luck & 0xFFFF]
        key = event << 30 | codes.astype(np.int64) << 13 | (8191 - late)
        key.sort()
        code = key >> 13 & 0x1FFFF
        time = ((8191 - (key & 8191)) * TICK).astype(np.float32)
        t_min, t_max = self.window[:, code]
        inside = (t_min <= time) & (time <= t_max)
        chance, hodo = luck >> 16, self.hodo[code]
        flag = inside * IN_TIME + (inside & ~hodo & (chance < 40000)) * HODO_MASK
        flag += (inside & hodo & (chance < 26000)) * TRIGGER_MASK
        prompt = t_min + np.float32(0.75) * (t_max - t_min)
        drift = np.clip((prompt - time) / (np.float32(0.65) * (t_max - t_min)), 0, 1) * self.pitch[code] / 2
        columns: dict[str, NDArray[Any]] = {
            "code": code,
            "detectorID": self.detector.astype(id_dtype)[code],
            "elementID": self.element.astype(id_dtype)[code],
            "tdcTime": time,
            "driftDistance": np.where(hodo, np.float32(0), drift),
            "pos": self.centre[code],
            "flag": flag.astype(np.uint16),
        }
        return columns, code[np.diff(key >> 13, prepend=-1) != 0]

    def spread(self, values: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the numbers of the counted channels as (detector, element)."""
        out = np.zeros(shape, np.int64)
        out[self.detector[self.good], self.element[self.good]] = values[self.good]
        return out
