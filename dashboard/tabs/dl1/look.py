"""What a link to the DL1 tab says besides the cuts: which file, event and telescope, and how they are drawn."""

from __future__ import annotations

from math import isfinite
from typing import Final, Literal, NamedTuple

from pydantic import Field

from detcore.core.parameters import Parameters

ENDINGS: Final = (".h5", ".hdf5")
PANELS: Final = {
    "event": "Event",
    "images": "Images",
    "pixels": "Pixels",
    "cuts": "Cleaning and cuts",
    "mapped": "Mapped",
    "stereo": "Stereo",
    "file": "File",
}
FILES: Final = 12  # that one link can hold
KINDS: Final = 8  # cameras of one file that are reduced
MARKS: Final = {0: "γ", 1: "e⁻", -1: "e⁺", 2: "μ⁻", -2: "μ⁺", 101: "p", 402: "He", 1407: "N", 2814: "Si", 5626: "Fe"}  # noqa: RUF001


class Named(NamedTuple):
    """How a column is called, its unit, and whether it spans decades."""

    label: str
    unit: str = ""
    log: bool = False

    @property
    def text(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


# What can stand at the axes of the scatter plot, of the columns of the parameter table.
AXES: Final = {
    "hillas_intensity": Named("Size", "p.e.", log=True),
    "hillas_width": Named("Width", "deg"),
    "hillas_length": Named("Length", "deg"),
    "hillas_r": Named("Distance from the centre", "deg"),
    "hillas_psi": Named("Orientation", "deg"),
    "hillas_skewness": Named("Skewness"),
    "hillas_kurtosis": Named("Kurtosis"),
    "timing_slope": Named("Time gradient", "ns/deg"),
    "timing_deviation": Named("Spread about it", "ns"),
    "leakage_intensity_width_2": Named("Leakage, two rows"),
    "concentration_core": Named("Concentration in the ellipse"),
    "concentration_pixel": Named("Concentration in one pixel"),
    "morphology_n_pixels": Named("Pixels", "", log=True),
    "morphology_n_islands": Named("Islands"),
    "intensity_max": Named("Brightest pixel", "p.e.", log=True),
    "peak_time_mean": Named("Mean pulse time", "ns"),
    "true_energy": Named("True energy", "TeV", log=True),
    "multiplicity": Named("Telescopes of the event"),
}
# What a map of the pixels shows; the unit "time" is that of the file.
QUANTITIES: Final = {
    "mean": Named("Mean charge", "p.e."),
    "std": Named("Spread of the charge", "p.e."),
    "occupancy": Named("Occupancy"),
    "survival": Named("Survives the cleaning"),
    "time_mean": Named("Mean pulse time", "time"),
    "time_std": Named("Spread of the pulse time", "time"),
}


class Look(Parameters):
    """How the tab looks; every field is a key of its links."""

    file: int = Field(0, ge=0, lt=FILES, description="Which of the files, counted from 0")
    obs: int = Field(-1, ge=-1, le=2**62, description="Run of the event; -1: an event with many images")
    event: int = Field(-1, ge=-1, le=2**62, description="Number of the event in its run")
    tel: int = Field(-1, ge=-1, le=2**31, description="Telescope; -1: the one with the brightest image")
    frame: Literal["sky", "camera"] = Field("sky", description="Degrees on the sky or metres in the camera")
    scale: Literal["linear", "log"] = "linear"
    shown: Literal["all", "kept", "truth"] = Field(
        "all", description="Charge of all pixels, of those kept, or simulated"
    )
    common: bool = Field(False, description="Whether all cameras of the event share one scale of colours")
    ring: bool = Field(False, description="Whether a ring is fitted, as muons make it")
    panel: Literal["event", "images", "pixels", "cuts", "mapped", "stereo", "file"] = "event"
    x: str = Field("hillas_intensity", max_length=40, description="Column at the x axis of the scatter plot")
    y: str = Field("hillas_width", max_length=40, description="Column at its y axis")
    box: str = Field(
        "", max_length=120, description="Part of the scatter plot whose events are gone through: x0,x1,y0,y1"
    )
    quantity: Literal["mean", "std", "occupancy", "survival", "time_mean", "time_std"] = "mean"
    pixels: int = Field(-1, ge=-1, le=2**31, description="Telescope whose pixels are shown; -1: that of the image")
    pixel_scale: Literal["linear", "log"] = Field("linear", description="Of the colours of the pixels' statistics")
    dead_below: float | None = Field(
        None, ge=0, le=1, description="Share of the usual spread below which a pixel is dead"
    )
    noisy_above: float | None = Field(
        None, gt=0, le=1e6, description="Standard deviations above which a pixel is noisy"
    )
    mapping: str = Field("bilinear_interpolation", max_length=40)
    controls: bool = Field(False, description="Whether the column of exports is open")

    @property
    def area(self) -> tuple[float, float, float, float] | None:
        """The box as numbers; None if there is none."""
        try:
            found = tuple(float(number) for number in self.box.split(","))
        except ValueError:
            return None
        if len(found) != 4 or not all(map(isfinite, found)):
            return None
        x0, x1, y0, y1 = found
        return min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)

    @property
    def axes(self) -> tuple[str, str]:
        """Columns that there are, whatever the link says."""
        return self.x if self.x in AXES else "hillas_intensity", self.y if self.y in AXES else "hillas_width"


class Place(Parameters):
    """Where the data is, relative to the data roots."""

    path: str = Field("", max_length=1500, description="DL1 files, separated by |")
    live: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, or nothing."""
        return tuple(self.path.split("|"))[:FILES] if self.path else ()


def particle(code: int) -> str:
    """Return the sign of a primary particle.

    Examples
    --------
    >>> particle(101), particle(999), particle(-9999)
    ('p', 'particle 999', '')
    """
    return MARKS.get(code, f"particle {code}" if code != -9999 else "")


def digits(value: object) -> str:
    """Return a number in about four digits, thousands grouped; nothing for none.

    Examples
    --------
    >>> digits(12345.6), digits(2.34567), digits(float("nan")), digits(7), digits(None)
    ('12,346', '2.346', '', '7', '')
    """
    if not isinstance(value, int | float) and not hasattr(value, "dtype"):
        return "" if value is None else str(value)
    number = float(value)  # type: ignore[arg-type]
    if not isfinite(number):
        return ""
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:.4g}"


def axis_of(name: str, time_unit: str = "ns") -> Named:
    """Return how a column of the table is called; times are in the unit of the file.

    Examples
    --------
    >>> axis_of("timing_slope", "sample").text
    'Time gradient (sample/deg)'
    """
    found = AXES[name]
    return found._replace(unit=found.unit.replace("ns", time_unit)) if found.unit.startswith("ns") else found
