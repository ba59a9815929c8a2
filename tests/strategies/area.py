"""Samples of the azimuthal reduction: frames of whole and real numbers, with pixels that are not valid, in several files."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.geometry import Geometry
from detcore.area.reductions_azimuthal import AzimuthalSeries, Plane

SHAPE = (9, 12)
GEOMETRY = Geometry(x=5.2, y=4.1, distance=0.1, energy=9.5, pixel_size=(1e-3, 1e-3), rot1=3.0)


def chunk_of(frames, first=0):
    """A chunk as the source gives it."""
    numbers = np.arange(first, first + len(frames))
    return xr.Dataset(
        {"data": (("frame", "y", "x"), frames), "event_id": ("frame", numbers), "i0": ("frame", numbers / 2.0)},
        attrs={
            "file": "run.h5",
            "detector": "front",
            "detector_type": "unknown",
            "saturation": None,
            "underload": None,
        },
    )


@st.composite
def azimuthal(draw):
    """Up to three files of one run."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["uint16", "int32", "float32"]))
    files, first = [], 0
    for _ in range(draw(st.integers(1, 3))):
        frames = rng.poisson(20.0, (draw(st.integers(0, 4)), *SHAPE)).astype(dtype)
        if dtype == "float32":
            frames[rng.random(frames.shape) < 0.05] = np.nan
        files.append(chunk_of(frames, first))
        first += len(frames)
    options = AzimuthalOptions(
        bins=draw(st.sampled_from([5, 12])),
        sectors=draw(st.sampled_from([1, 3])),
        errors=draw(st.sampled_from(["poisson", None])),
        threshold_high=draw(st.sampled_from([None, 30.0])),
    )
    good = Plane(rng.random(SHAPE) < 0.8) if draw(st.booleans()) else None
    per_frame = draw(st.booleans())
    reduction = AzimuthalSeries(
        geometry=GEOMETRY, options=options, per_frame=per_frame, good=good,
        last=draw(st.sampled_from([None, 2])) if per_frame else None,
    )  # fmt: skip
    return {"reduction": reduction, "schema": files[0].isel(frame=slice(0, 0)), "files": files, "row": "frame"}


STRATEGIES = {"detcore.area.reductions_azimuthal.AzimuthalSeries": azimuthal()}
