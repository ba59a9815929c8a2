"""What the area tab shows of an image, asked of detcore in a thread: raster, numbers of regions, profile, rings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.tabs.area.drawn import panel_region, roi_region
from dashboard.tabs.area.levels import counted, sampled
from dashboard.tabs.area.panels import digits
from dashboard.tabs.area.profilepanel import CAKE, section_of
from dashboard.tabs.area.roipanel import ends_of
from dashboard.tabs.headline import Number
from detcore import area
from detcore.image import BITS, Panels, good_pixels, reason_counts

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import xarray as xr
    from numpy.typing import NDArray


SAMPLES = 400_000  # of pixels that decide the colours
AXES = ("q", "two_theta", "radius")
SHOWN = {"q": "q", "two_theta": "2theta", "radius": "radius"}


@dataclass(frozen=True, eq=False)
class Facts:
    """What files hold.

    Parameters
    ----------
    key
        Equal for the same state of the same files.
    source
        What reads them.
    detector
        With its constants.
    n_frames
        How many there are.
    paths
        The files, resolved.
    """

    key: Hashable
    source: Any
    detector: area.Detector
    n_frames: int
    paths: tuple[str, ...]

    @property
    def panels(self) -> Panels:
        """Where the panels of the detector are."""
        detector = self.detector
        if not detector.tiled:
            return Panels(asic=detector.asic)
        return Panels(iy=detector.map.iy, ix=detector.map.ix, asic=detector.asic)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that is shown, and what it is made of.

    Parameters
    ----------
    raw
        Shape of a raw frame: float32 or the type of the file.
    values
        (y, x), assembled.
    title, unit
        What it is.
    gaps
        (y, x) bits where no pixel is; None if there is one everywhere.
    saturated
        From which value on pixels of a frame are saturated.
    places
        (y, x) which raw pixel an image pixel is: 1 + its place in a raw frame, 0 in gaps; None if they are the same.
    """

    raw: NDArray[Any]
    values: NDArray[Any]
    title: str
    unit: str = "ADU"
    gaps: NDArray[np.uint32] | None = None
    saturated: float | None = None
    places: NDArray[np.uint32] | None = None

    @classmethod
    def of(
        cls, raw: NDArray[Any], detector: area.Detector, title: str, unit: str, *, saturated: float | None = None
    ) -> Picture:
        """Assemble an image for the screen."""
        values = np.asarray(detector.assemble(raw))
        places, gaps = places_of(detector) if detector.tiled else (None, None)
        return cls(np.asarray(raw), values, title, unit, gaps, saturated, places)


@lru_cache(maxsize=4)
def places_of(detector: area.Detector) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return `places` and `gaps` of the pictures of a tiled detector; of pixels that share a place, one is told."""
    places = np.zeros(detector.image_shape, np.uint32)
    places[detector.map.iy, detector.map.ix] = np.arange(1, math.prod(detector.shape) + 1).reshape(detector.shape)
    return places, np.where(places > 0, np.uint32(0), np.uint32(1 << BITS["gap"]))


@dataclass(frozen=True)
class Wish:
    """What is computed, apart from what always is; `quick` leaves out what may stand still while a shape is dragged."""

    panel: str = "mask"
    cake: bool = False
    rings: bool = False
    calibrant: str = ""
    lowest: float = 1.0
    highest: float = 99.7
    low: float | None = None
    high: float | None = None
    quick: bool = False


@dataclass(eq=False)
class Evaluation:
    """What follows from an image and a setup.

    Parameters
    ----------
    title, picture
        Of what it is.
    raster
        (y, x) bits of the assembled image; `raw` in the shape of a raw frame, `good_raw` true where it rejects nothing.
    counts
        Pixels that are masked, and by which reason.
    limits
        Values of the first and the last colour.
    edges, histogram
        Of the good pixels.
    rois, projections
        By name of the region.
    profile, cake
        On the radial axis, and azimuth.
    rings
        (2, point) each.
    marks
        Places of the rings of the calibrant on the radial axis.
    problems
        Words for each panel where something went wrong.
    failed
        Words for each operation that could not be taken.
    """

    title: str = ""
    picture: Picture | None = None
    raster: NDArray[np.uint32] | None = None
    raw: NDArray[np.uint32] | None = None
    good_raw: NDArray[np.bool_] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rois: dict[str, dict[str, float]] | None = None
    projections: dict[str, dict[str, tuple[NDArray[Any], NDArray[Any]]]] = field(default_factory=dict)
    profile: xr.Dataset | None = None
    cake: xr.Dataset | None = None
    rings: list[NDArray[np.float64]] = field(default_factory=list)
    marks: tuple[float, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


def evaluate(picture: Picture, facts: Facts, setup: area.Setup, arrays: Mapping[str, Any], wish: Wish) -> Evaluation:
    """Work out what is shown; what goes wrong with one part is told there and does not hide the others."""
    found = Evaluation(title=f"of {picture.title[:1].lower()}{picture.title[1:]}", picture=picture)
    raw, found.failed, problem = raster_of(facts, setup, arrays)
    found.raw = raw
    if problem:
        found.problems["mask"] = problem
    found.good_raw, found.counts = reason_counts(raw)
    found.raster = assembled(raw, facts.detector, picture)
    good = found.good_raw if found.raster is raw else good_pixels(found.raster)
    if not wish.quick:
        found.limits = limits_of(picture.values, good, wish)
        found.edges, found.histogram = counted(picture.values, good)
    _regions(found, picture, setup, good)
    if wish.panel == "profile":
        _profile(found, picture, facts, setup, wish)
    if wish.rings:
        _rings(found, facts, setup, wish)
    return found


def raster_of(
    facts: Facts, setup: area.Setup, arrays: Mapping[str, Any]
) -> tuple[NDArray[np.uint32], dict[int, str], str]:
    """Return the raster of a raw frame, what went wrong with which operation, and with the rest."""
    detector, panels, failed, problem = facts.detector, facts.panels, {}, ""
    raster = np.zeros(detector.shape, np.uint32)
    if detector.pixel_mask is not None:
        raster |= detector.pixel_mask
    try:
        if setup.psana_options:
            options: dict[str, Any] = dict.fromkeys(setup.psana_options, True)
            kept = area.psana_mask(detector, **options)
            raster[kept == 0] |= np.uint32(1 << BITS["user"])
    except ValueError as error:
        problem = str(error)
    for place, operation in enumerate(setup.mask):
        if operation.enabled:
            try:
                operation.apply(raster, arrays, panels if detector.tiled or detector.asic else None)
            except (ValueError, OSError) as error:
                failed[place] = str(error)  # they look at everything before they change anything
    return raster, failed, problem


def assembled(raw: NDArray[np.uint32], detector: area.Detector, picture: Picture) -> NDArray[np.uint32]:
    """Return the bits of the image pixels; those of gaps say that they are."""
    if not detector.tiled:
        return raw
    image = np.zeros(picture.values.shape, np.uint32)
    image[detector.map.iy, detector.map.ix] = raw
    return image if picture.gaps is None else image | picture.gaps


def limits_of(values: NDArray[Any], good: NDArray[np.bool_], wish: Wish) -> tuple[float, float] | None:
    """Return the values of the first and last colour: given, or percentiles of the good pixels."""
    used = sampled(values, good, SAMPLES)[0]
    if not used.size:
        return None
    low, high = (float(end) for end in np.percentile(used, sorted((wish.lowest, wish.highest))))
    low = wish.low if wish.low is not None else low
    high = wish.high if wish.high is not None else high
    return (low, high) if low < high else (low, low + max(abs(low) * 1e-3, 1e-3))


def _regions(found: Evaluation, picture: Picture, setup: area.Setup, good: NDArray[np.bool_]) -> None:
    numbers: dict[str, dict[str, float]] = {}
    wrong = []
    for roi in setup.rois:
        region, values, usable = roi_region(roi), picture.values, good
        if region is None:
            on = panel_region(roi)
            if on is None or picture.raw.ndim != 3 or on[0] >= len(picture.raw) or found.good_raw is None:
                wrong.append(
                    f"{roi.name}: is not on one panel of this detector, its numbers come with the values of each event"
                )
                continue
            panel, region = on
            values, usable = picture.raw[panel], found.good_raw[panel]
        try:
            numbers[roi.name], found.projections[roi.name] = region_of(values, region, usable, ends_of(roi.threshold))
        except ValueError as error:
            numbers[roi.name] = {"n_valid": 0}
            wrong.append(f"{roi.name}: {error}")
    found.rois = numbers
    if wrong:
        found.problems["rois"] = "; ".join(wrong)


def region_of(
    values: NDArray[Any], region: Any, good: NDArray[np.bool_], limits: tuple[float | None, float | None]
) -> tuple[dict[str, float], dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
    """Return the numbers and the projections of a region of an image.

    Raises
    ------
    ValueError
        It holds no pixel of the image, or none that may be used.
    """
    rows, columns = values.shape
    box = region.bounding_box
    left, top = (max(0, int(np.ceil(max(end, 0)))) for end in (box.x0, box.y0))
    right, bottom = (int(min(np.floor(min(end, 1e9)) + 1, size)) for end, size in ((box.x1, columns), (box.y1, rows)))
    if left >= right or top >= bottom:
        beyond = box.x1 < -0.5 or box.y1 < -0.5 or box.x0 > columns - 0.5 or box.y0 > rows - 0.5
        msg = "is outside of the image" if beyond else "holds the centre of no pixel"
        raise ValueError(msg)
    inside = region.moved(-left, -top).to_mask((bottom - top, right - left))
    window = np.ascontiguousarray(values[top:bottom, left:right])
    kept = inside & good[top:bottom, left:right]
    if window.dtype.kind == "f":
        kept &= np.isfinite(window)
    low, high = limits
    if low is not None or high is not None:  # outside of the threshold a pixel counts as 0
        out = (window < low if low is not None else False) | (window > high if high is not None else False)
        window = np.where(out, window.dtype.type(0), window)
    if not kept.any():
        msg = "has no pixel that may be used: all are masked" if inside.any() else "holds the centre of no pixel"
        raise ValueError(msg)
    one = area.roi_statistics(window, good=kept)
    y, x = one.com
    (row_sums, row_counts), (column_sums, column_counts) = area.project(window, good=kept)
    numbers = {"sum": one.sum, "mean": one.mean, "max": one.max, "x": x + left, "y": y + top, "n_valid": one.n}
    return numbers, {
        "along_x": (np.arange(left, right), mean_of(column_sums, column_counts)),
        "along_y": (np.arange(top, bottom), mean_of(row_sums, row_counts)),
    }


def mean_of(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sums over counts; not a number where nothing is counted."""
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0))


def _profile(found: Evaluation, picture: Picture, facts: Facts, setup: area.Setup, wish: Wish) -> None:
    if setup.geometry is None:
        found.problems["profile"] = "The setup has no beam centre yet: find it in the panel Centre."
        return
    section = section_of(setup)
    if wish.cake:
        section = section.model_copy(update={"sectors": CAKE if section.sectors == 1 else section.sectors})
    try:
        data = integrate(picture, facts, setup, section, found.good_raw)
        if wish.cake:
            found.cake = data
        else:
            found.profile = data
    except ValueError as error:
        found.problems["profile"] = str(error)


def integrate(picture: Picture, facts: Facts, setup: area.Setup, section: Any, good: Any) -> xr.Dataset:
    """Integrate an image as a setup says; the attribute `radial` is the unit."""
    data = area.azimuthal(
        picture.raw, setup.model_copy(update={"azimuthal": section}), good=good, detector=facts.detector
    )
    axis = next(name for name in AXES if name in data.dims)
    unit = SHOWN[axis]
    data = data.rename({axis: unit}) if axis != unit else data
    return data.assign_attrs(radial=unit)


def _rings(found: Evaluation, facts: Facts, setup: area.Setup, wish: Wish) -> None:
    if setup.geometry is None:
        return
    try:
        rings = area.overlay(setup.geometry, wish.calibrant, facts.detector.image_shape)
    except ValueError as error:
        found.problems["rings"] = str(error)
        return
    found.rings = [np.stack([ring.x, ring.y]) for ring in rings]
    name = {"q": "q", "2theta": "two_theta", "radius": "radius"}[section_of(setup).unit]
    found.marks = tuple(float(getattr(ring, name)) for ring in rings)


def arrays_of(facts: Facts, data: Any, picture: Picture | None) -> dict[str, Any]:
    """Return what operations of the mask look at, by name: the mean image, else the one that is shown, and constants."""
    detector = facts.detector
    arrays: dict[str, Any] = {
        name: value
        for name in ("noise", "pedestal", "status", "pixel_mask")
        if (value := getattr(detector, name)) is not None
    }
    if data is not None and "mean" in data:
        arrays["image"] = data["mean"].values
    elif picture is not None:
        arrays["image"] = picture.raw
    return arrays


def headline(now: Any, snapshot: Any) -> list[Number]:
    """Return the numbers that stand above everything."""
    numbers = [Number("Frames", f"{now.facts.n_frames:,}")]
    found, geometry = now.evaluation, now.desk.setup.geometry
    if snapshot is not None and "n_frames" in snapshot.data:
        numbers.append(Number("Averaged", f"{int(snapshot.data['n_frames']):,}"))
    if found is not None and found.raw is not None:
        share = 100 * found.counts["masked"] / found.raw.size
        numbers.append(Number("Masked", f"{share:.2f}", "%", "warn" if share > 50 else ""))
    if geometry is not None:
        numbers.append(Number("Centre", f"{geometry.x:.2f}, {geometry.y:.2f}", "px"))
    if found is not None and found.rois:
        name = now.look.roi if now.look.roi in found.rois else next(iter(found.rois))
        numbers.append(Number(f"{name[:24]}: mean", digits(found.rois[name].get("mean")), now.picture.unit, "main"))
    return numbers
