"""What front ends call: open, look at a frame, average, integrate, find. The same calls serve script, command and tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.area.detector import type_of
from detcore.area.events.pipeline import event_loop
from detcore.area.images.commonmode import CommonModeStep, correct
from detcore.area.images.droplets import Droplets, find_droplets
from detcore.area.images.presets import steps_of
from detcore.area.setup.setupfile import Setup
from detcore.area.source import open_files

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from detcore.area.detector import Detector
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
    opened: Any = source if hasattr(source, "frame") else open_files(source, **options)
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


def common_mode(
    frames: ArrayLike,
    preset_or_steps: int | Sequence[CommonModeStep],
    detector_type: str = "unknown",
    *,
    good: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """Take the common mode away.

    Parameters
    ----------
    frames
        (y, x), (module, y, x), or frames of them along a leading axis; pedestal-subtracted, ADU.
    preset_or_steps
        A number of `presets(detector_type)`, or steps.
    detector_type
        What a number means depends on it.
    good, noise
        Shape of a frame: true where a pixel may be used; ADU, for steps that leave out what is far above it.

    Returns
    -------
    NDArray
        float32, the shape of `frames`; pixels that are not good are not corrected.

    Raises
    ------
    ValueError
        The type has no such number, or a shape does not fit.

    Examples
    --------
    >>> step = CommonModeStep(kind="row", group=(2, 4))
    >>> common_mode(np.array([[5.0, 6, 5, 5], [1, 1, 0, 1]]), [step]).tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]]
    """
    return correct(np.asarray(frames), steps_of(preset_or_steps, type_of(detector_type).key), good, noise)


def write_all(data: xr.Dataset, folder: str | os.PathLike[str], name: str, **options: Any) -> Any:
    """Write an average, a cube or a profile into files; see `detcore.area.products.write_all`."""
    from detcore.area import products  # noqa: PLC0415 - only who draws figures pays for it

    return products.write_all(data, folder, name, **options)


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write a run, its darks and a setup file, and return them, the run first."""
    from detcore.area import demo  # noqa: PLC0415 - only who wants one pays for its packages

    return demo.write_demo(folder)
