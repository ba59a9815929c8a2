"""The interactive session under its known names: an average image, its figure, its file, and the values of its pixels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.area.averaging import (
    TakeEvents,
    average,
    calibration_of,
    events_of,
    filters_of,
    median_range,
    resolved,
)
from detcore.area.events.eventfilters import EVENT_ID, column_named, columns_of, select
from detcore.area.events.pipeline import good_of, prepared
from detcore.area.events.runreduction import opened_with
from detcore.area.reductions import PixelSpectra
from detcore.area.reductions_azimuthal import Plane
from detcore.area.setup.setupfile import Setup
from detcore.area.setup.setupsections import EventFilter
from detcore.area.steps import calibrating
from detcore.core.run import run
from detcore.core.schema import MissingColumn
from detcore.core.source import ChunkRef

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
INTENSITIES = ("ipm", "i0", "gas_detector")  # columns that minIpm means, the first that there is


def AvImage(
    source: Any,
    numEvts: int | None = 100,
    thresADU: float = 0,
    thresRms: float = 0,
    useFilter: Any = None,
    nSkip: int = 0,
    minIpm: float = -1,
    common_mode: Any = None,
    *,
    std: bool = False,
    median: bool = False,
    printFid: bool = False,
    useMask: bool = True,
    uniform: bool = False,
    returnEnv: bool = False,
    setup: Setup | str | os.PathLike[str] | None = None,
    detname: str | None = None,
) -> xr.DataArray | tuple[xr.DataArray, xr.Dataset]:
    """Average frames to an image to draw on.

    Parameters
    ----------
    source
        An opened run, or files.
    numEvts
        How many events; None: all.
    thresADU, thresRms
        Smaller values count as 0, in ADU or in units of the noise. Negative: the image is the number of events in which
        a pixel reaches the threshold.
    useFilter
        dropped, xrayOn, laserOn, laserOff, an `EventFilter`, or several.
    nSkip
        Events to leave out at the beginning.
    minIpm
        Smallest intensity (column ipm, i0 or gas_detector) of an event; below 0: any.
    common_mode
        A number or steps; None: that of the setup, else what is usual for the detector.
    std, median
        The standard deviation or the median instead of the mean.
    printFid
        Log the numbers of the events.
    useMask
        Set pixels to 0 that the detector's mask and the setup reject.
    uniform
        Spread the events over the run.
    returnEnv
        Also return what is known of the events.
    setup
        Constants, mask, background.
    detname
        Which detector, where a file has several.

    Returns
    -------
    DataArray
        (y, x), or (module, y, x) of a detector of panels; its name says how it was made. Attributes: those of `average`,
        and `n_frames`. Coordinate `good`: what mask and setup leave. With `returnEnv` also a Dataset of the columns of the events.

    Raises
    ------
    MissingColumn
        `minIpm` without a column of intensities.
    ValueError
        No event is left, or two thresholds are given.
    """
    if std and median:
        msg = "std and median: expected one of them"
        raise ValueError(msg)
    known = _setup(setup, detname)
    opened: Any = opened_with(source, known)
    wanted = filters_of(useFilter)
    if minIpm >= 0:
        wanted = (*wanted, EventFilter(field=_intensity(opened), low=minIpm))
    if thresADU and thresRms:
        msg = f"thresADU={thresADU} and thresRms={thresRms}: expected one of them"
        raise ValueError(msg)
    data = average(
        opened,
        known,
        n_events=numEvts,
        skip=nSkip,
        uniform=uniform,
        threshold=abs(thresADU) if thresADU else None,
        noise_threshold=abs(thresRms) if thresRms else None,
        median=median,
        filters=wanted,
        common_mode=common_mode,
    )
    counted = min(thresADU, thresRms) < 0
    image = data["n_hits" if counted else "std" if std else "median" if median else "mean"].copy()
    detector = prepared(opened.detector(), known)
    good = xr.DataArray(good_of(detector, known) != 0, dims=image.dims)
    if useMask:
        image = image.where(good, 0)
    image = image.assign_coords(good=good)
    words = ["AvImg", *(["std"] if std else ["median"] if median else [])]
    words += [f"Filter{useFilter}"] if isinstance(useFilter, str) else ["Filter"] if useFilter is not None else []
    words += [f"thresADU{thresADU:g}"] if thresADU else []
    words += [f"thresRms{thresRms:g}"] if thresRms else []
    image.name = "_".join([*words, f"cm{data.attrs['common_mode']}", detector.name])
    image.attrs = dict(data.attrs) | {"n_frames": int(data["n_frames"]), "units": image.attrs.get("units", "ADU")}
    env = (
        _environment(opened, (*known.filters, *wanted), data.attrs.get("event_ids")) if printFid or returnEnv else None
    )
    if printFid and env is not None:
        log.info("events: %s", " ".join(map(str, env[EVENT_ID].values.tolist())))
    return (image, env) if returnEnv and env is not None else image


def plotAvImage(
    image: xr.DataArray | xr.Dataset,
    limits: Sequence[float] = (5, 99.5),
    use_mask: Any = False,
    ROI: Sequence[Sequence[int]] | None = None,
    returnIt: bool = False,
    plotWith: str = "matplotlib",
    detector: Any = None,
) -> Any:
    """Draw an average image.

    Parameters
    ----------
    image
        As `AvImage` or `average` gives it.
    limits
        Percentiles of the colour scale.
    use_mask
        Pixels that are not good stay white. True: by the mask of an image of `AvImage`; or a mask of the shape of the
        image, 1 is good.
    ROI
        ``[[r0, r1], [c0, c1]]`` of the image that is drawn.
    returnIt
        Also return the array that is drawn.
    plotWith
        matplotlib, or no_plot. For images that can be zoomed there is the dashboard.
    detector
        Of panels: puts them in their places.

    Returns
    -------
    Figure
        Or (figure, array) with `returnIt`; the figure is None with *no_plot*.

    Raises
    ------
    ValueError
        The image has panels and there is no detector; another way of plotting is asked for.
    """
    from detcore.area.plots import image_figure  # noqa: PLC0415 - matplotlib takes its time

    if plotWith not in {"matplotlib", "no_plot"}:
        msg = f"plotWith is matplotlib or no_plot, found {plotWith!r:.40}; the dashboard draws in a browser"
        raise ValueError(msg)
    shown = image["mean"] if isinstance(image, xr.Dataset) else image
    values = np.asarray(shown, np.float64)
    if use_mask is True and "good" not in shown.coords:
        msg = "use_mask=True takes the mask of an image of AvImage, which this is not; give the mask itself (1 is good)"
        raise ValueError(msg)
    if use_mask is not None and use_mask is not False:
        mask = np.asarray(shown.coords["good"] if use_mask is True else use_mask)
        if mask.shape != values.shape:
            msg = f"use_mask: expected the shape {values.shape} of the image (1 is good), found {mask.shape}"
            raise ValueError(msg)
        values = np.where(mask != 0, values, np.nan)
    if detector is not None and detector.tiled:
        values = detector.assemble(values)
    bounds = None if ROI is None else ((int(ROI[0][0]), int(ROI[0][1])), (int(ROI[1][0]), int(ROI[1][1])))
    title, units = "" if shown.name is None else str(shown.name), str(shown.attrs.get("units", "ADU"))
    figure = None if plotWith == "no_plot" else image_figure(values, title, limits=limits, bounds=bounds, units=units)
    if bounds is not None:
        values = values[slice(*bounds[0]), slice(*bounds[1])]
    return (figure, values) if returnIt else figure


def saveAvImage(
    image: xr.DataArray, dirname: str | os.PathLike[str] = ".", name: str | None = None, detector: Any = None
) -> Path:
    """Write an average image to HDF5: `image`, and of the detector `ped`, `rms`, `mask`, `cmask`, `x`, `y`.

    Parameters
    ----------
    image
        As `AvImage` gives it.
    dirname
        Folder, made if it is missing.
    name
        Of the file; None: that of the image.
    detector
        Whose constants stand beside it.

    Raises
    ------
    OSError
        It cannot be written; says why.
    """
    from detcore.area.products import write_all  # noqa: PLC0415 - as above

    data = xr.Dataset({"mean": image}).assign_attrs(image.attrs)
    written, problems = write_all(
        data, dirname, name or ("AvImg" if image.name is None else str(image.name)), only=(".h5",), detector=detector
    )
    if problems:
        raise OSError(str(problems[0]))
    return written[0]


def pixelHistogram(
    source: Any,
    numEvts: int | None = 100,
    nBins: int = 180,
    limits: tuple[float, float] | None = None,
    pixels: Sequence[Sequence[int]] | None = None,
    common_mode: Any = None,
    *,
    setup: Setup | str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Count the values of single pixels, or of all good ones together.

    Parameters
    ----------
    source, numEvts, common_mode, setup
        As for `AvImage`.
    nBins, limits
        Bins between two values, ADU; None: as they are in the first frames.
    pixels
        Indices (y, x) or (module, y, x); None: all good pixels in one spectrum.

    Returns
    -------
    Dataset
        `counts`, `below`, `above`, `missing` on `pixel` and `bin`; see `PixelSpectra`.
    """
    known = _setup(setup, None)
    opened: Any = opened_with(source, known)
    detector = prepared(opened.detector(), known)
    through = calibrating(calibration_of(detector, known.common_mode if common_mode is None else common_mode, opened))
    wanted = resolved(opened, known.filters)
    taken, numbers = events_of(opened, wanted, numEvts)
    picked = TakeEvents(filters=wanted, numbers=numbers)
    low, high = limits or median_range(taken, picked, *through)
    good = good_of(detector, known) != 0
    chosen: dict[str, Any] = (
        {"pixels": tuple(tuple(one) for one in pixels)} if pixels is not None else {"good": Plane(good)}
    )
    spectra = PixelSpectra(low=low, high=high, bins=nBins, **chosen)
    return run(taken, spectra.after(picked, *through))


def _setup(setup: Setup | str | os.PathLike[str] | None, detname: str | None) -> Setup:
    known = setup if isinstance(setup, Setup) else Setup() if setup is None else Setup.load(setup)
    return known if detname is None else known.with_(detector=known.detector.model_dump() | {"name": detname})


def _intensity(source: Any) -> str:
    columns = {str(name): np.zeros(0) for name in source.schema().data_vars}
    for name in INTENSITIES:
        found = column_named(columns, name) or next((one for one in columns if one.startswith(name)), None)
        if found is not None:
            return found
    known = ", ".join(sorted(set(columns) - {"data", EVENT_ID})) or "none"
    msg = f"minIpm needs a column of intensities ({', '.join(INTENSITIES)}); the run has {known}"
    raise MissingColumn(msg)


def _environment(source: Any, filters: tuple[EventFilter, ...], taken: tuple[int, ...] | None) -> xr.Dataset:
    """Return the columns of the events that pass, on `event`."""
    names = frozenset(map(str, source.schema().data_vars)) - {"data"}
    found: dict[str, list[Any]] = {}
    for item in source.plan():
        if not isinstance(item, ChunkRef):
            continue
        chunk = source.read(item, names)
        keep = select(chunk, filters)
        numbers = chunk.variables[EVENT_ID].values
        keep &= True if taken is None else np.isin(numbers, taken)
        for name, values in (columns_of(chunk) | {EVENT_ID: numbers}).items():
            found.setdefault(name, []).append(values[keep])
    return xr.Dataset({name: ("event", np.concatenate(parts)) for name, parts in found.items()})
