"""The panels of the Eiger tab that are tables or one curve per frame: outliers, pixels, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
from typing_extensions import override

from dashboard.tabs.eiger.panels import Panel
from dashboard.tabs.eiger.results import digits
from dashboard.tabs.parts import column, pane
from dashboard.tabs.plot import Line, Plot
from dashboard.views.style import EXPECTED, IN_TIME, REFERENCE
from dashboard.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.eiger.look import Look
    from dashboard.tabs.eiger.results import Results

# attribute of a result -> what it is called here, unit
FACTS = {
    "description": ("Detector", ""),
    "frame_time": ("Frame time", "s"),
    "count_time": ("Count time", "s"),
    "bit_depth": ("Bit depth", "bit"),
    "saturation_value": ("Saturation value", "counts"),
    "photon_energy": ("Photon energy", "eV"),
    "wavelength": ("Wavelength", "Å"),
    "detector_distance": ("Detector distance", "m"),
    "pixel_size": ("Pixel size", "m"),
    "beam_center": ("Beam centre", "pixel"),
    "n_expected": ("Frames expected", ""),
    "shape": ("Rows, columns", "pixel"),
    "dtype": ("Data type", ""),
    "n_masked": ("Masked pixels", ""),
    "master": ("Master file", ""),
}


class Outliers(Panel):
    """The frames that do not belong to the rest; a click shows the frame."""

    def __init__(self, show: Callable[[int], None]) -> None:
        columns = {"frame": "Frame", "kind": "Kind", "value": "Counts", "percent": "% of median", "deviation": "Sigma"}
        self.table = Table(columns, on_click=self._clicked)
        self.view = pn.Column(self.table.widget, sizing_mode="stretch_both", margin=0)
        self._show = show
        self._rows: pd.DataFrame | None = None

    def _clicked(self, number: int) -> None:
        if self._rows is not None and 0 <= number < len(self._rows):
            self._show(int(self._rows["frame"].iloc[number]))

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        rows = results.outliers
        self._rows = rows
        self.table.show(
            rows.assign(
                value=[f"{value:,.0f}" for value in rows["value"]],
                percent=[f"{value:+,.2f}" for value in rows["percent"]],
                deviation=[f"{value:+,.1f}" for value in rows["deviation"]],
            )
        )


class Pixels(Panel):
    """Valid and saturated pixels, and the centre of mass, frame by frame."""

    def __init__(self) -> None:
        def plot(label: str, *lines: Line) -> Plot:
            return Plot("Frame", label, lines)

        self.valid = plot("Valid pixels (%)", Line("valid", "valid"))
        self.saturated = plot("Saturated pixels", Line("saturated", "saturated", EXPECTED))
        self.centre = plot("Centre of mass (pixel)", Line("x", "x", IN_TIME), Line("y", "y", REFERENCE))
        plots = (self.valid, self.saturated, self.centre)
        self.view = pn.Row(*(column(pane(one.figure)) for one in plots), sizing_mode="stretch_both", margin=0)

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        trace = results.trace
        frame = trace["frame"].values
        for plot, name, title in (
            (self.valid, "valid", "Valid pixels"),
            (self.saturated, "n_saturated", "Saturated pixels"),
        ):
            line = "valid" if name == "valid" else "saturated"
            if name in trace:
                plot.show(line, frame, trace[name].values)
                plot.title(f"{title}: {digits(float(trace[name].min()))} to {digits(float(trace[name].max()))}{words}")
            else:
                plot.hide(line)
                plot.title(f"{title}: for the whole frame only")
            plot.fit(from_zero=name == "n_saturated")
        if "center_x" in trace:
            middle = {axis: float(np.nanmedian(trace[f"center_{axis}"].values)) for axis in "xy"}
            for axis in "xy":
                self.centre.show(axis, frame, trace[f"center_{axis}"].values - middle[axis])
            self.centre.name_axes(None, "From the median (pixel)")
            self.centre.title(f"Centre of mass about x {middle['x']:.2f}, y {middle['y']:.2f}")
            self.centre.fit()
        else:
            self.centre.title("Centre of mass: not computed")


class Numbers(Panel):
    """All statistics, and what the files say about the series."""

    def __init__(self) -> None:
        self.table = Table({"row": "Counts", "raw": "Raw", "detrended": "Detrended"}, widths={"row": 78})
        more = {"statistic": "Statistic", "value": "Value", "meaning": "Meaning"}
        self.more = Table(more, widths={"statistic": 176, "value": 122})
        self.facts = Table({"name": "The file says", "value": "Value"}, widths={"name": 136})
        parts = ((self.table, "2 1 0"), (self.more, "4 1 0"), (self.facts, "3 1 0"))
        self.view = pn.Row(
            *(column(table.widget, flex=flex) for table, flex in parts), sizing_mode="stretch_both", margin=0
        )

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "table" not in results.panel:
            return
        table = results.panel["table"]
        shown = {
            name: [f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.1f}" for value in table[name]]
            for name in ("raw", "detrended")
        }
        self.table.show(pd.DataFrame({"row": table.index.astype(str), **shown}))
        numbers = results.statistics.reset_index()
        self.more.show(
            numbers.assign(
                statistic=[name.replace("_", " ") for name in numbers["statistic"]],
                value=[
                    f"{digits(float(value))} {unit}"
                    for value, unit in zip(numbers["value"], numbers["unit"], strict=True)
                ],
            )
        )
        facts = results.data.attrs
        rows = [
            (name, f"{_plain(facts[key])} {unit}") for key, (name, unit) in FACTS.items() if facts.get(key) is not None
        ]
        self.facts.show(pd.DataFrame(rows, columns=["name", "value"]))


class Comparison(Panel):
    """The series beside the reference."""

    def __init__(self) -> None:
        self.spectrum = Plot(
            "Frequency (Hz)",
            "Amplitude (% of mean)",
            [Line("first", "this series"), Line("second", "reference", REFERENCE)],
        )
        self.ratio = Plot("Frame", "This / reference, both / mean", [Line("ratio", "ratio")])
        columns = {"statistic": "Statistic", "first": "This", "second": "Reference", "ratio": "Ratio", "unit": "Unit"}
        self.table = Table(columns, widths={"statistic": 180, "unit": 74})
        parts = (pane(self.spectrum.figure), pane(self.ratio.figure), self.table.widget)
        self.view = pn.Row(*(column(part) for part in parts), sizing_mode="stretch_both", margin=0)

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "comparison" not in results.panel:
            self.spectrum.title("Choose a second series with the button Reference")
            return
        found = results.panel["comparison"]
        for name in ("first", "second"):
            self.spectrum.show(name, found.spectrum["frequency"].values[1:], found.spectrum[name].values[1:])
        self.spectrum.fit(from_zero=True)
        self.spectrum.title(f"Spectra{results.of}, {results.detrending}{words}")
        self.ratio.show("ratio", found.ratio["frame"].values, found.ratio.values)
        self.ratio.fit()
        self.ratio.title(f"Ratio of {found.ratio.size:,} common frames")
        table = found.table.reset_index()
        shown = {name: [digits(float(value)) for value in table[name]] for name in ("first", "second", "ratio")}
        words_of = [str(name).replace("_", " ") for name in table["statistic"]]
        self.table.show(table.assign(**shown).assign(statistic=words_of))


def _plain(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)[:200]
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    if isinstance(value, tuple | list | np.ndarray):
        return ", ".join(_plain(one) for one in value[:8])
    return str(value)[:200]
