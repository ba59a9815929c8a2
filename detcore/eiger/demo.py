"""The demo: a diffuse scatterer in a drifting beam that flickers with the mains, in the detector's own file format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.core.paths import atomic
from detcore.eiger.writer import Exposure, write_series

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

VERSION = 1  # raise it when the content changes: an older demo is then written anew
MARKER = ".demo.json"
NAME = "glassy_carbon_0001"
SHAPE = (514, 514)  # a region of interest across the gap between two modules
GAP = slice(238, 275)  # 37 rows (Eiger 1)
N_FRAMES, PER_FILE = 400, 100
FRAME_TIME = 0.004  # s
PHOTONS = 48_000.0  # in a frame
RADIUS, WIDTH = 150.0, 28.0  # of the diffuse ring, pixels
BEAM_STOP = 14  # pixels
DRIFT = (2.4, -1.6)  # of the beam's centre over the series, x and y, pixels
STEPS = 20  # in which it goes there
HOT = 7  # pixels that the detector's mask does not know
DEAD = 60  # pixels that it knows
BIT_DEAD, BIT_GAP = 2, 1  # of the pixel mask (NXmx: bits 1 and 0)


@dataclass(frozen=True)
class Expected:
    """What is planted in the demo, which an analysis of it has to find.

    Parameters
    ----------
    lines
        Frequency, Hz -> amplitude of the intensity, fraction of the mean.
    drift
        Of the intensity over the series, fraction of the mean.
    drops, spikes
        Frame numbers, 1-based.
    frame_time
        s.
    n_frames
        Of the series.
    """

    lines: tuple[tuple[float, float], ...] = ((50.0, 0.012), (100.0, 0.005))
    drift: float = -0.015
    drops: tuple[int, ...] = (142, 371)
    spikes: tuple[int, ...] = (266,)
    frame_time: float = FRAME_TIME
    n_frames: int = N_FRAMES


def expected() -> Expected:
    """Return what is planted in the demo.

    Examples
    --------
    >>> expected().drops
    (142, 371)
    """
    return Expected()


def write_demo(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the demo into `folder`, or do nothing if it is already there whole.

    Parameters
    ----------
    folder
        Made if it is missing.

    Returns
    -------
    list of Path
        The master file.
    """
    root = Path(folder)
    master = root / f"{NAME}_master.h5"
    if not _complete(root):
        rng = np.random.default_rng(VERSION)
        dead = rng.integers(0, SHAPE, (DEAD, 2)).T
        mask = np.zeros(SHAPE, np.uint32)
        mask[*dead] = BIT_DEAD
        mask[GAP] = BIT_GAP
        centre = (SHAPE[1] / 2 + DRIFT[0] / 2 + 8, SHAPE[0] / 2 + DRIFT[1] / 2 + 5)
        exposure = Exposure(FRAME_TIME, beam_center=centre, description="Dectris EIGER 1M (region of interest, demo)")
        frames = _frames(rng, mask, centre)
        master = write_series(root, NAME, frames, per_file=PER_FILE, pixel_mask=mask, exposure=exposure)
        with atomic(root / MARKER) as aside:
            aside.write_text(json.dumps({"version": VERSION, "sizes": _sizes(root)}))
    return [master]


def _sizes(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(root.glob(f"{NAME}_*.h5"))}


def _complete(root: Path) -> bool:
    """Whether the marker is of this version and every file has the size it had when written."""
    try:
        mark = json.loads((root / MARKER).read_text())
        return bool(mark == {"version": VERSION, "sizes": _sizes(root)} and mark["sizes"])
    except (OSError, ValueError):
        return False


def _intensity() -> NDArray[np.float64]:
    """Return the relative intensity of each frame, (frame,)."""
    known = expected()
    time = np.arange(N_FRAMES) * FRAME_TIME
    level = 1 + known.drift * (np.arange(N_FRAMES) / N_FRAMES - 0.5)
    for phase, (frequency, amplitude) in enumerate(known.lines):
        level += amplitude * np.sin(2 * np.pi * frequency * time + 0.7 + phase)
    level[np.array(known.drops) - 1] = 0.03
    level[np.array(known.spikes) - 1] *= 1.4
    return level


def _frames(rng: Any, mask: NDArray[np.uint32], centre: tuple[float, float]) -> Iterator[NDArray[np.uint16]]:
    """Yield (y, x) counts. Photons are thrown one by one: faster than a Poisson number for each of many empty pixels."""
    hot = [tuple(place) for place in rng.integers(20, 230, (HOT, 2))]
    values = rng.integers(900, 9000, HOT)  # the brightest are above the usual upper limit, 4500
    y, x = np.indices(SHAPE, dtype=np.float32)
    sums = np.zeros(mask.size)
    for number, level in enumerate(_intensity()):
        step, begin = divmod(number, N_FRAMES // STEPS)
        if not begin:
            moved = [place + way * (step / (STEPS - 1) - 0.5) for place, way in zip(centre, DRIFT, strict=True)]
            distance = np.hypot(x - moved[0], y - moved[1])
            profile = np.exp(-0.5 * ((distance - RADIUS) / WIDTH) ** 2) + 0.25 * np.exp(-distance / 120)
            profile[distance < BEAM_STOP] = 0
            profile[mask != 0] = 0
            sums = np.cumsum(profile, dtype=np.float64)
        photons = np.sort(rng.random(rng.poisson(PHOTONS * level))) * sums[-1]
        counts = np.bincount(np.searchsorted(sums, photons, side="right"), minlength=mask.size)[: mask.size]
        frame = counts.astype(np.uint16).reshape(SHAPE)
        for place, value in zip(hot, values, strict=True):
            frame[place] = rng.poisson(value)
        frame[mask != 0] = 0xFFFF
        yield frame
