"""What front ends call: open, look at a frame, average, integrate, find. The same calls serve script, command and tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.area.detector import Detector
from detcore.area.images import azimuthal as integration
from detcore.area.images.droplets import Droplets, find_droplets
from detcore.area.images.geometry import Geometry
from detcore.area.pipeline import event_loop, read_image
from detcore.area.setupfile import Setup
from detcore.area.source import open_files as open_files
from detcore.area.source import probe as probe
from detcore.image import good_pixels

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from detcore.area.source import AreaFiles


def read_frame(source: AreaFiles | str | os.PathLike[str], number: int = 0, **options: Any) -> xr.DataArray:
    """Read one frame as it is stored, turned as declared.

    Parameters
    ----------
    source
        An opened run, or files.
    number
        Of the event, from 0.
    **options
        As for `open_files`.

    Returns
    -------
    DataArray
        (y, x), or (module, y, x) of a detector of panels; attributes: the facts of the detector.

    Raises
    ------
    KeyError
        There is no such event.
    """
    opened = source if hasattr(source, "frame") else open_files(source, **options)
    values = np.asarray(opened.frame(number))
    dims = ("module", "y", "x")[-values.ndim :]
    facts = {name: value for name, value in opened.schema().attrs.items() if value is not None}
    return xr.DataArray(values, dims=dims, name="frame", attrs=facts | {"event_id": number})


def calibrated(frame: ArrayLike, detector: Detector, setup: Setup | None = None) -> NDArray[np.float32]:
    """Return a frame as the event loop sees it: pedestal and common mode removed, divided by the gain.

    Parameters
    ----------
    frame
        Raw, the shape of a frame of `detector`.
    detector
        As a source gives it.
    setup
        Constants and common mode; None: those of the detector.

    Returns
    -------
    NDArray
        float32; nan where the frame is not valid. The mask is not applied.
    """
    plain = (setup or Setup()).model_copy(
        update=dict.fromkeys(("rois", "functions", "sums"), ())
        | dict.fromkeys(
            (
                "azimuthal",
                "droplets",
                "spectrum",
                "projection",
                "photons",
                "autocorrelation",
                "rebin",
                "sparsify",
                "image",
            )
        )
    )
    loop = event_loop(detector, plain)
    loop.getData(np.asarray(frame))
    data = loop.evt.dat
    return np.ma.filled(np.ma.asarray(data).astype(np.float32), np.nan)


def azimuthal(
    image: ArrayLike | xr.DataArray,
    setup: Setup | Geometry | str | os.PathLike[str],
    *,
    detector: Detector | None = None,
    good: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    dark: ArrayLike | None = None,
    flat: ArrayLike | None = None,
    **options: Any,
) -> xr.Dataset:
    """Integrate frames azimuthally.

    Parameters
    ----------
    image
        (y, x), or (frame, y, x); of a detector of panels (module, y, x) or (frame, module, y, x).
    setup
        A setup, the name of its file, or a geometry. The mask of a setup counts unless `good` is given.
    detector
        Of panels: whose pixels know their place. None: the frames are images.
    good
        Shape of a frame, true where a pixel counts.
    variance, dark, flat
        Shape of a frame: variance of each pixel instead of Poisson errors; subtracted first; relative response.
    **options
        Fields of `AzimuthalOptions` instead of those of the setup: `bins`, `q_step` or `edges`; `unit`, `sectors`,
        `q_range`, `polarization`, `solid_angle`, `errors`, `threshold_low`, `threshold_high`.

    Returns
    -------
    Dataset
        `intensity`, `error` and `n_valid` on `q` (or `two_theta`, `radius`), and on `azimuth` when sectored.

    Raises
    ------
    ValueError
        There is no geometry, or a shape does not fit.

    Examples
    --------
    >>> geometry = Geometry(x=20, y=15, distance=0.1, energy=9.5, pixel_size=(1e-4, 1e-4))
    >>> profile = azimuthal(np.ones((40, 50)), geometry, bins=10, polarization=None, solid_angle=False)
    >>> profile.intensity.round(6).values.tolist() == [1.0] * 10
    True
    """
    known = setup if isinstance(setup, (Setup, Geometry)) else Setup.load(setup)
    frames = np.asarray(image)
    if isinstance(known, Geometry):
        geometry, wanted = known, options
    else:
        if known.geometry is None:
            msg = "azimuthal: the setup has no geometry; give the centre (x, y), and for q distance, energy and pixel_size"
            raise ValueError(msg)
        geometry = known.geometry
        section = {} if known.azimuthal is None else known.azimuthal.model_dump(exclude={"dark", "flat"})
        if {"bins", "q_step", "edges"} & set(options):
            section |= dict.fromkeys(("bins", "q_step", "edges"))
        wanted = section | options
        shape = detector.shape if detector is not None else frames.shape[-2:]
        good = _good(known, detector or Detector(shape=shape), frames) if good is None else good
        if known.azimuthal is not None:
            dark = read_image(known.azimuthal.dark) if dark is None and known.azimuthal.dark else dark
            flat = read_image(known.azimuthal.flat) if flat is None and known.azimuthal.flat else flat
    tiled = detector if detector is not None and detector.tiled else None
    return integration.integrate(
        frames, geometry, detector=tiled, good=good, variance=variance, dark=dark, flat=flat, **wanted
    )


def _good(setup: Setup, detector: Detector, frames: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the pixels that a setup and a detector leave, (frame shape)."""
    from detcore.area.pipeline import masked  # noqa: PLC0415 - beside its only use

    if not setup.mask and detector.pixel_mask is None:
        return None
    image = frames if frames.shape == detector.shape else None
    return np.asarray(good_pixels(masked(detector, setup, image)), np.bool_)


def droplets(
    frame: ArrayLike,
    threshold: float,
    threshold_low: float | None = None,
    *,
    good: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    min_sum: float | None = None,
    max_pixels: int | None = None,
) -> Droplets:
    """Find the droplets of a frame: groups of pixels above a threshold that share edges; see `find_droplets`.

    Parameters
    ----------
    frame
        (y, x) or (module, y, x), ADU; panels are never joined.
    threshold, threshold_low
        ADU; in units of the noise if that is given. Droplets grow to neighbours above the lower one.
    good, noise
        Shape of the frame: true where a pixel may be used; ADU.
    min_sum, max_pixels
        Leave out droplets below this sum, ADU, and those of more pixels.

    Returns
    -------
    Droplets
        `.adu`, `.n_pixels`, `.y`, `.x`, `.module`, each (droplet,); `.dataset()`.

    Examples
    --------
    >>> len(droplets(np.eye(3) * 9, 5))
    3
    """
    return find_droplets(
        np.asarray(frame), threshold, threshold_low, good=good, noise=noise, min_sum=min_sum, max_pixels=max_pixels
    )


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write a run, its darks and a setup file, and return them, the run first."""
    from detcore.area import demo  # noqa: PLC0415 - only who wants one pays for its packages

    return demo.write_demo(folder)
