"""Samples of the reductions of telescope images: bright, faint, empty and broken ones, of one or several telescopes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.dl1.columns import facts_of
from detcore.dl1.distributions import Distributions
from detcore.dl1.images.geometry import Camera
from detcore.dl1.reductions import EventCounts, ImageTable, Overview, PixelStatistics
from detcore.dl1.steps import Cuts

SIDE = 5  # pixels
SOME = ("tel_id", "event_id", "true_energy", "n_pixels", "n_islands", "hillas_length", "timing_slope", "peak_time_mean")


def camera_of_squares(focal_length=10.0):
    """A camera of five by five pixels."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(SIDE) * 0.1 - 0.2, np.arange(SIDE) * 0.1 - 0.2))
    return Camera("squares", x, y, np.full(x.shape, 0.01), "square", 0.0, focal_length)


CAMERAS = {known: camera_of_squares(known) for known in (10.0, float("nan"))}  # the second has no angles


def chunk_of(images, times=None, *, tel_id=1, first=0, file="a.h5", camera=None, simulated=True, seed=0):
    """A chunk as the source gives it; images and times (event, pixel)."""
    rng = np.random.default_rng(seed)
    camera = CAMERAS[10.0] if camera is None else camera
    n = len(images)
    tel_ids = np.broadcast_to(np.int64(tel_id), n).copy()
    data = {
        "obs_id": ("event", np.full(n, 7)),
        "event_id": ("event", np.arange(first, first + n) // 2),
        "tel_id": ("event", tel_ids),
        "row": ("event", np.arange(first, first + n)),
        "entry": ("event", np.arange(first, first + n)),
        "image": (("event", "pixel"), np.asarray(images, np.float32), {"units": "p.e."}),
        "image_mask": (("event", "pixel"), np.asarray(images) > 3),
        "multiplicity": ("event", rng.integers(0, 5, n)),
        "first": ("event", rng.random(n) < 0.7),
    }
    if times is not None:
        data["peak_time"] = (("event", "pixel"), np.asarray(times, np.float32), {"units": "ns"})
    if simulated:
        energy = rng.choice([0.1, 1.0, 1e3, 1e4, np.nan], n)
        data["true_energy"] = ("event", energy, {"units": "TeV"})
        data["particle"] = ("event", rng.choice([0, 101, -9999], n))
    attrs = {
        "camera": facts_of(camera),
        "time_unit": "ns",
        "telescopes": (1, 2),
        "format": "ctapipe v7.1.0",
        "file": file,
    }
    return xr.Dataset(data, attrs=attrs)


def images_of(rng, n):
    """Noise, spots, single bright pixels, charges at the thresholds, and pixels without a number."""
    images = rng.normal(0, 1, (n, SIDE, SIDE))
    for image in images:
        kind = rng.integers(0, 5)
        y, x = rng.integers(0, SIDE - 1, 2)
        if kind == 1:
            image[y : y + 2, x : x + 2] += rng.uniform(5, 60, (2, 2))
        elif kind == 2:
            image[y, x] = 80
        elif kind == 3:
            image[y : y + 2, x : x + 2] = rng.choice([5.0, 10.0, 4.999], (2, 2))
        elif kind == 4:
            image[y, x] = np.nan
    return images.reshape(n, SIDE * SIDE)


@st.composite
def files_of(draw):
    """Up to three files of one camera."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    camera = CAMERAS[draw(st.sampled_from(list(CAMERAS)))]
    timed, simulated = draw(st.booleans()), draw(st.booleans())
    found = []
    for number in range(draw(st.integers(1, 3))):
        n = draw(st.integers(0, 6))
        times = rng.choice([10.0, 10.5, 30.0, np.nan], (n, SIDE * SIDE), p=[0.5, 0.3, 0.15, 0.05]) if timed else None
        found.append(
            chunk_of(
                images_of(rng, n),
                times,
                tel_id=rng.choice([1, 2, 9], n),
                file=f"gamma_{number + 9}.h5",
                camera=camera,
                simulated=simulated,
                seed=number,
            )
        )
    return found


def cuts(chunk):
    """Cuts that a chunk allows."""
    simulated, timed = "true_energy" in chunk, "peak_time" in chunk
    return st.builds(
        Cuts,
        telescopes=st.sampled_from([(), (1,), (2, 9)]),
        picture=st.sampled_from([10.0, 5.0]),
        boundary=st.sampled_from([5.0, 2.0]),
        min_neighbors=st.sampled_from([0, 1]),
        cleaning=st.sampled_from(["tailcuts", "tailcuts", "file", "none"]),
        time_limit=st.sampled_from([None, 1.0]) if timed else st.none(),
        main_island=st.booleans(),
        min_intensity=st.sampled_from([None, 20.0]),
        min_pixels=st.sampled_from([None, 2]),
        energy_min=st.sampled_from([None, 0.5]) if simulated else st.none(),
        multiplicity_max=st.sampled_from([None, 2]),
        particle=st.sampled_from([(), (0,)]) if simulated else st.just(()),
        expression=st.sampled_from(["", "(hillas_length > 0.2) | (n_pixels == 1)"]),
    )


@st.composite
def stepped(draw):
    """A chunk, a step for it, and the dimension of its rows."""
    chunk = draw(files_of())[0]
    steps = draw(cuts(chunk)).steps()
    at = draw(st.integers(0, len(steps) - 1))
    for step in steps[:at]:
        chunk = step.apply(chunk)
    return chunk, steps[at], "event"


@st.composite
def samples(draw, make):
    """A reduction made of cuts, and files for it."""
    files = draw(files_of())
    reduction = make(draw, draw(cuts(files[0])))
    return {"reduction": reduction, "schema": files[0].isel(event=slice(0, 0)), "files": files, "row": "event"}


def behind(reduction, **fields):
    """A reduction of images, behind cleaning and cuts."""
    return samples(
        lambda draw, one: reduction(**{name: draw(value) for name, value in fields.items()}).after(*one.steps())
    )


STRATEGIES = {
    "detcore.dl1.reductions.Overview": samples(lambda draw, one: Overview(cuts=one)),
    "detcore.dl1.reductions.EventCounts": samples(lambda draw, one: EventCounts().after(*one.of_events())),
    "detcore.dl1.reductions.PixelStatistics": behind(PixelStatistics, above=st.sampled_from([10.0, 5.0])),
    "detcore.dl1.reductions.ImageTable": behind(ImageTable, columns=st.just(SOME), last=st.sampled_from([None, 1, 4])),
    "detcore.dl1.distributions.Distributions": behind(Distributions),
}
