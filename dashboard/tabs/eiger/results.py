"""Everything that the Eiger tab draws, computed by detcore in a thread, once for all viewers of the same snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dashboard.tabs.background import Shared
from dashboard.tabs.eiger.look import WHOLE, name_of
from dashboard.tabs.headline import Number
from detcore import eiger

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dashboard.shapes import Shape

T = TypeVar("T")
LINES = 5  # of the spectrum that are named
LIMITS = eiger.Limits()
RARE = 0.01  # a line that noise has less often than that is named


@dataclass(frozen=True)
class Wish:
    """What is computed of a dataset: how it is detrended, for which region, and for which panel."""

    method: str
    region: str
    panel: str


@dataclass(frozen=True, eq=False)
class Results:
    """What one dataset gives for one wish.

    Parameters
    ----------
    data, reference
        Results of the reduction.
    paths
        The master files.
    wish
        What was computed.
    trace
        `raw` and `detrended` (frame), counts, and what goes along with them.
    statistics
        The numbers that say where the fluctuation comes from.
    outliers
        Frames that do not belong to the rest.
    others
        Counts (frame,) of each region that is not the one of the wish.
    pixel_mask
        (y, x) bits, or None.
    panel
        What the panel of the wish shows.
    """

    data: xr.Dataset
    reference: xr.Dataset | None
    paths: tuple[str, ...]
    wish: Wish
    trace: xr.Dataset
    statistics: pd.DataFrame
    outliers: pd.DataFrame
    others: dict[str, xr.Dataset]
    pixel_mask: NDArray[np.uint32] | None
    panel: dict[str, Any]
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, made once for all viewers; the same key must always mean the same thing."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def array(self, name: str) -> NDArray[Any]:
        """Return the values of a variable or coordinate; xarray takes longer to hand them out than we to draw them."""
        return self.once(("array", name), lambda: self.data[name].values)

    def number(self, name: str) -> float:
        """Return one of the statistics; nan if the data does not have it."""
        return float(self.statistics["value"].get(name, np.nan))

    @property
    def frame_time(self) -> float | None:
        """Seconds from frame to frame, if known."""
        found = self.number("frame_time")
        return found if np.isfinite(found) and found > 0 else None

    @property
    def detrending(self) -> str:
        """How it is detrended, in words."""
        name, _, number = self.wish.method.partition(":")
        unit = "Hz" if self.frame_time else "/frame"
        return {
            "none": "not detrended", "linear": "without linear trend", "polynomial": f"without polynomial of order {number}",
            "highpass": f"above {number} {unit}",
        }[name]  # fmt: skip

    @property
    def of(self) -> str:
        """Which region, in words."""
        return "" if self.wish.region == WHOLE else f" of {self.wish.region}"


RESULTS: Shared[Results] = Shared(8)


@lru_cache(maxsize=4)
def mask_of(paths: tuple[str, ...]) -> NDArray[np.uint32] | None:
    """Return the pixel mask of the files, (y, x) bits; None if they have none."""
    try:
        found: NDArray[np.uint32] | None = eiger.open_files(paths).schema().attrs.get("pixel_mask")
    except (OSError, ValueError):
        return None  # the image is shown without
    return found


def compute(data: xr.Dataset, reference: xr.Dataset | None, paths: tuple[str, ...], wish: Wish) -> Results:
    """Compute what is drawn; called in a thread.

    Raises
    ------
    ValueError
        The series cannot be detrended so.
    """
    names = [str(name) for name in data["region"].values] if "region" in data.dims else []
    if wish.region not in names and names:  # it was deleted a moment ago
        wish = Wish(wish.method, names[0], wish.panel)
    region = wish.region if names else None
    which: dict[str, Any] = {"method": wish.method, "region": region}
    return Results(
        data=data,
        reference=reference,
        paths=paths,
        wish=wish,
        trace=eiger.traces(data, normalise=False, **which),
        statistics=eiger.statistics(data, **which),
        outliers=eiger.outliers(data, **which),
        others={
            name: eiger.traces(data, wish.method, normalise=False, region=name) for name in names if name != wish.region
        },
        pixel_mask=mask_of(paths),
        panel=_panel(data, reference, wish.panel, which),
    )


def _panel(data: xr.Dataset, reference: xr.Dataset | None, panel: str, which: dict[str, Any]) -> dict[str, Any]:
    if panel == "spectrum":
        return {"spectrum": eiger.spectrum(data, **which), "lines": eiger.spectral_lines(data, LINES, **which)}
    if panel == "stability":
        return {"allan": eiger.allan_deviation(data, **which), "correlation": eiger.autocorrelation(data, **which)}
    if panel == "distribution":
        return {"distribution": eiger.distribution(data, **which)}
    if panel == "spectrogram":
        return {"spectrogram": eiger.spectrogram(data, **which)}
    if panel == "numbers":
        return {"table": eiger.describe(data, **which), "gaps": eiger.gaps(data)}
    if panel == "compare" and reference is not None:
        return {"comparison": eiger.compare(data, reference, **which)}
    return {}


def headline(results: Results, pending: int) -> list[Number]:
    """Return the numbers that stand above everything."""
    frames, value = int(results.number("frames")), results.number
    expected = results.data.attrs.get("n_expected")
    drift, outliers = value("drift"), int(value("outliers"))
    numbers = [
        Number("Frames", f"{frames:,}", f"of {int(expected):,}" if expected and expected != frames else ""),
        Number(f"Mean{results.of}", digits(value("mean")), "counts"),
        Number("CV raw", digits(value("cv")), "%"),
        Number("CV detrended", digits(value("cv_detrended")), "%"),
        Number("Shot noise CV", digits(value("shot_cv")), "%"),
        Number("Excess CV", digits(value("excess_cv_detrended")), "%", "main"),
        Number("Excess, no outliers", digits(value("excess_cv_robust")), "%"),
        Number("Drift", digits(drift, sign=True), "%/min")
        if results.frame_time
        else Number("Drift", digits(value("drift_total"), sign=True), "% in all"),
        Number("Top line", digits(value("strongest_line")), f"Hz · {digits(value('strongest_line_amplitude'))} %")
        if value("strongest_line_chance") < RARE
        else Number("Top line", "none", "above noise"),
        Number("Outliers", f"{outliers:,}", level="warn" if outliers else ""),
    ]
    missing = int(value("missing_frames")) + int(value("excluded_frames"))
    numbers.append(Number("Missing", f"{missing:,}", level="warn" if missing else ""))
    if pending:
        numbers.append(Number("Pending", f"{pending:,}", "files", "warn"))
    return numbers


def stride_of(frames: NDArray[np.int64]) -> int:
    """Return of how many frames one is read at the end of a series.

    Examples
    --------
    >>> stride_of(np.arange(1, 90, 4)), stride_of(np.array([5]))
    (4, 1)
    """
    return int(np.diff(frames[-8:]).min()) if len(frames) > 1 else 1


def digits(value: float, *, sign: bool = False) -> str:
    """Return a number in about four digits, thousands grouped.

    Examples
    --------
    >>> digits(1234567.0), digits(0.01234567), digits(2.5, sign=True), digits(float("nan"))
    ('1,234,567', '0.01235', '+2.5', '-')
    """
    if not np.isfinite(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:{'+' if sign else ''},.0f}"
    return f"{value:{'+' if sign else ''}.3g}" if abs(value) >= 1 else f"{value:{'+' if sign else ''}.4g}"


def request(limits: eiger.Limits, shapes: Sequence[Shape]) -> eiger.Intensity:
    """Return the reduction that gives everything that the tab shows."""
    named = [eiger.NamedRegion(name=name_of(number), region=shape) for number, shape in enumerate(shapes)]
    return eiger.reduction(limits, regions=(eiger.WHOLE_FRAME, *named) if named else None)


def words_of(limits: eiger.Limits) -> str:
    """Return in words what is counted; nothing if it is everything."""
    words = [] if (limits.low, limits.high) == (0, LIMITS.high) else [f"values {limits.low:,} to {limits.high:,}"]
    words += [] if limits.pixel_mask else ["no pixel mask"]
    return "".join(f" · {word}" for word in words)
