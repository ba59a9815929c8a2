"""The panels below the trace: spectrum, stability, distribution, spectrogram. Each draws one side of the same results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import panel as pn
from typing_extensions import override

from dashboard.tabs.eiger.results import RARE
from dashboard.tabs.parts import column, pane
from dashboard.tabs.plot import Line, Plot
from dashboard.views.heat import Heat, Scale
from dashboard.views.style import ACCENT, EXPECTED, IN_TIME

if TYPE_CHECKING:
    from panel.viewable import Viewable

    from dashboard.tabs.eiger.look import Look
    from dashboard.tabs.eiger.results import Results

MAINS = (50.0, 60.0)  # Hz


class Panel(ABC):
    """One of the panels."""

    view: Viewable

    @abstractmethod
    def fill(self, results: Results, look: Look, words: str) -> None:
        """Draw results, if they hold what this panel shows; `words` say what is counted, to stand in titles."""


class Spectrum(Panel):
    """Amplitude against frequency, with the strongest lines named and the mains marked."""

    def __init__(self, *, wall: bool = False) -> None:
        lines = [Line("amplitude", "amplitude"), Line("lines", "strongest lines", EXPECTED, "points"), Line("shot", "photon statistics", IN_TIME, dash="dashed")]  # fmt: skip
        self.plot = Plot("Frequency (Hz)", "Amplitude (% of mean)", lines, wall=wall)
        self.view = pane(self.plot.figure)

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "spectrum" not in results.panel:
            return
        plot, found, lines = self.plot, results.panel["spectrum"], results.panel["lines"]
        unit = str(found["frequency"].attrs["units"])
        plot.name_axes(f"Frequency ({unit})")
        frequency, nyquist = found["frequency"].values[1:], float(found.attrs["nyquist"])
        if not frequency.size:
            plot.hide("amplitude", "lines", "shot")
            plot.label([], [], [])
            plot.title(f"Spectrum{results.of}: too few frames")
            return
        plot.show("amplitude", frequency, found["amplitude"].values[1:])
        shot = float(found["shot_noise"])
        plot.show("shot", frequency[[0, -1]], [shot, shot])
        lines = lines[lines["chance"] < RARE]
        named = [f"{value:.4g} {unit}" for value in lines["frequency"]]
        plot.show("lines", lines["frequency"], lines["amplitude"], lines["alias"].tolist())
        kept = apart(lines["frequency"].to_numpy(), nyquist / 12)
        plot.label(lines["frequency"][kept], lines["amplitude"][kept], [name for name, one in zip(named, kept, strict=True) if one])  # fmt: skip
        harmonics = [mains * order for mains in MAINS for order in range(1, 7) if mains * order <= nyquist]
        plot.mark(harmonics if unit == "Hz" else [])
        plot.fit(from_zero=True, x=(0.0, nyquist))
        mains = " · dotted: multiples of 50 and 60 Hz" if harmonics and unit == "Hz" else ""
        plot.title(f"Spectrum{results.of}, {results.detrending}{mains}{words}")


def apart(
    places: np.ndarray[tuple[int], np.dtype[np.float64]], distance: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which places, the first ones before the others, are so far from each other."""
    kept = np.zeros(len(places), np.bool_)
    for number, place in enumerate(places):
        kept[number] = not (np.abs(places[kept] - place) < distance).any()
    return kept


class Stability(Panel):
    """Allan deviation and autocorrelation."""

    def __init__(self) -> None:
        dashed = {"dash": "dashed"}
        allan = [Line("deviation", "measured"), Line("white", "white noise", EXPECTED, **dashed), Line("shot", "photon statistics", IN_TIME, **dashed)]  # fmt: skip
        self.allan = Plot("Averaging time (s)", "Allan deviation (% of mean)", allan, log_x=True, log_y=True)
        auto = [Line("correlation", "correlation"), Line("band", "95 % of white noise", EXPECTED, **dashed)]
        self.auto = Plot("Lag (s)", "Autocorrelation", auto)
        self.view = pn.Row(
            column(pane(self.allan.figure)), column(pane(self.auto.figure)), sizing_mode="stretch_both", margin=0
        )

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "allan" not in results.panel:
            return
        allan, auto = results.panel["allan"], results.panel["correlation"]
        unit = str(allan["tau"].attrs["units"])
        self.allan.name_axes(f"Averaging time ({unit})")
        for name, key in (("deviation", "deviation"), ("white", "white_noise"), ("shot", "shot_noise")):
            self.allan.show(name, allan["tau"].values, 100 * allan[key].values)
        self.allan.fit()
        self.allan.title(f"Allan deviation{results.of}, {results.detrending}{words}")
        lag, band = auto["lag"].values, float(auto.attrs["band"])
        self.auto.name_axes(f"Lag ({auto['lag'].attrs['units']})")
        self.auto.show("correlation", lag[1:], auto["autocorrelation"].values[1:])
        ends = lag[[1, -1]] if len(lag) > 1 else lag[:0]
        around = np.concatenate([ends, [np.nan], ends]) if len(ends) else ends
        self.auto.show("band", around, [band, band, np.nan, -band, -band] if len(ends) else [])
        self.auto.fit()
        self.auto.title(f"Autocorrelation from the first frame on{results.of}")


class Distribution(Panel):
    """How often which sum came, and how often photon statistics alone would give it."""

    def __init__(self) -> None:
        lines = [
            Line("frames", "frames", ACCENT, "bars"),
            Line("poisson", "photon statistics (Poisson)", EXPECTED, "bars"),
        ]
        self.plot = Plot("Counts in a frame", "Frames", lines)
        self.view = pane(self.plot.figure)

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "distribution" not in results.panel:
            return
        found, plot = results.panel["distribution"], self.plot
        for name in ("frames", "poisson"):
            plot.show(name, found["intensity"].values, found[name].values)
        plot.fit(from_zero=True)
        beyond = int(found.attrs["below"]) + int(found.attrs["above"])
        left = f" · {beyond:,} outliers are outside" if beyond else ""
        plot.title(f"Distribution of the frame sums{results.of}, {results.detrending}{left}{words}")


class Spectrogram(Panel):
    """Amplitude against time and frequency."""

    def __init__(self) -> None:
        self.heat = Heat("Time (s)", "Frequency (Hz)", "% of mean")
        self.view = pane(self.heat.figure)

    @override
    def fill(self, results: Results, look: Look, words: str) -> None:
        if "spectrogram" not in results.panel:
            return
        found, figure = results.panel["spectrogram"], self.heat.figure
        time, frequency = found["time"].values, found["frequency"].values
        if len(time) < 2 or len(frequency) < 3:
            figure.title.text = f"Spectrogram{results.of}: too few frames"
            return
        figure.xaxis.axis_label = f"Time ({found['time'].attrs['units']})"
        figure.yaxis.axis_label = f"Frequency ({found['frequency'].attrs['units']})"
        scales = [
            Scale(float(axis[0] - (axis[1] - axis[0]) / 2), float(axis[1] - axis[0])) for axis in (time, frequency[1:])
        ]
        self.heat.show(found["amplitude"].values[1:], *scales)
        figure.title.text = f"Spectrogram{results.of}, {results.detrending}, {found.attrs['window']} frames each{words}"
