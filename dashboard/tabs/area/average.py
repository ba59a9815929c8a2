"""The images of the area tab: what is asked of the feeds, and what is drawn of their averages or of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.tabs.area.science import Picture
from detcore import area

if TYPE_CHECKING:
    import xarray as xr

    from dashboard.tabs.area.look import Cuts, Look
    from dashboard.tabs.area.science import Facts
    from dashboard.tabs.area.work import Work
    from detcore.core.reduction import Reduction

NAMES = {
    "mean": "Mean", "std": "Standard deviation", "median": "Median", "max": "Maximum", "hits": "Hits",
}  # fmt: skip
VARIABLES = {"hits": "n_hits"}  # others are called as they are
SPECIAL = ("median", "hits")  # need a pass of their own
SIGMAS = 5.0  # of the noise: a hit, if nothing is said
PIXELS = 4_000_000  # of larger detectors medians have fewer bins, because each pixel has a histogram
BINS = (256, 64)


@dataclass(frozen=True)
class Asked:
    """What the averages are made with; equal ones are shared by viewers.

    Parameters
    ----------
    plain, median, hits
        Reductions; a threshold changes means, so hits have one of their own.
    threshold
        Of hits, in words.
    """

    plain: Reduction
    median: Reduction
    hits: Reduction
    threshold: str


def asked_of(facts: Facts, setup: area.Setup, cuts: Cuts) -> Asked:
    """Return the reductions; called in a thread, as it looks at the first frame.

    Raises
    ------
    OSError, ValueError
        The frame cannot be read, or the setup does not fit it.
    """
    detector = area.prepared(facts.detector, setup)
    raw = facts.source.frame(0) if facts.n_frames else np.zeros(detector.shape, np.float32)
    steps: tuple[Any, ...] = chosen(facts, setup)
    first = np.asarray(raw, np.float32)
    if cuts.calibrate:
        first = area.calibrated(raw, facts.detector, setup)
        steps = (*steps, area.Calibrate(detector=detector, common_mode=setup.common_mode))
    used = first[np.isfinite(first)][::7]
    low, high = (float(end) for end in np.percentile(used, [0.1, 99.9])) if used.size else (0.0, 1.0)
    room = max(high - low, 1.0)
    bins = BINS[first.size > PIXELS]
    median = area.Average(median_range=(low - room / 2, high + room), median_bins=bins)
    threshold, noise = cuts.above, None
    if threshold is None and detector.noise is not None and detector.noise.shape == detector.shape and cuts.calibrate:
        threshold, noise = SIGMAS, area.Plane(detector.noise)
    elif threshold is not None and cuts.noise:
        noise = area.Plane(detector.noise) if detector.noise is not None else None
    if noise is not None:
        hits = area.Average(noise_threshold=threshold, noise=noise)
        words = f"at or above {threshold:g} times the noise"
    else:
        threshold = float(f"{high:.4g}") if threshold is None else threshold
        hits = area.Average(threshold=threshold)
        words = f"at or above {threshold:g} ADU"
    plain, median_, hits_ = (one.after(*steps) for one in (area.Average(), median, hits))
    return Asked(plain, median_, hits_, words)


def chosen(facts: Facts, setup: area.Setup) -> tuple[Any, ...]:
    """Return the steps that keep the events that a setup filters.

    Raises
    ------
    ValueError
        The run has no such column.
    """
    columns = [str(name) for name in facts.source.schema().variables]
    steps = []
    for one in setup.filters:
        name = next((name for name in (one.field, one.field.rpartition("/")[2]) if name in columns), None)
        if name is None:
            msg = f"event filter: the run has no column {one.field!r}; it has {', '.join(columns)[:300]}"
            raise ValueError(msg)
        steps.append(area.ChosenEvents(column=name, low=one.low, high=one.high, invert=one.invert))
    return tuple(steps)


def frames_of(cuts: Cuts) -> tuple[tuple[str, Any], ...]:
    """Return the option that reads the first frames only."""
    return (("frames", (0, cuts.frames, 1)),) if cuts.frames else ()


def picture_of(
    work: Work, facts: Facts, data: xr.Dataset | None, look: Look, cuts: Cuts, setup: area.Setup, words: str = ""
) -> Picture | None:
    """Return the image that is wished; None while it is made.

    Parameters
    ----------
    work, facts
        Of the viewer and of the data.
    data
        The averages with the wished image; None while there are none.
    look, cuts, setup
        What is wished.
    words
        Of the threshold of hits.

    Raises
    ------
    OSError, ValueError
        It cannot be made.
    """
    detector = facts.detector
    if look.image != "frame":
        name = VARIABLES.get(look.image, look.image)
        if data is None or name not in data:
            return None
        title = title_of(look.image, data, words, calibrated=cuts.calibrate)
        unit = "hits" if look.image == "hits" else "ADU"
        kept = data  # the key holds its id, so it must stay

        def assemble() -> Picture:
            return Picture.of(kept[name].values.astype(np.float32), detector, title, unit)

        return work.draw((id(data), name, title), assemble, data)
    number = min(look.frame, max(facts.n_frames - 1, 0))

    def read() -> Picture:
        frame = facts.source.frame(number)
        if not cuts.calibrate:
            return Picture.of(frame, detector, f"frame {number:,}, raw", "ADU", saturated=detector.saturation)
        return Picture.of(area.calibrated(frame, detector, setup), detector, f"frame {number:,}, calibrated", "ADU")

    calibration = (setup.common_mode, setup.calibration) if cuts.calibrate else ()
    return work.draw((facts.key, number, calibration), read)


def title_of(image: str, data: xr.Dataset, words: str, *, calibrated: bool) -> str:
    """Return what an average is, in words."""
    count = int(data["n_frames"])
    what = "calibrated" if calibrated else "raw"
    if image == "hits":
        return f"{NAMES[image]} {words} in {count:,} {what} frames"
    resolution = data.attrs.get("median_resolution")
    more = f", to {resolution:.3g} ADU" if image == "median" and resolution else ""
    return f"{NAMES[image]} of {count:,} {what} frames{more}"
