"""The panels beside the cloud, each one side of the same results: distances, response, correlations, numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import (
    BasicTicker,
    CategoricalScale,
    CategoricalTicker,
    CategoricalTickFormatter,
    ColorBar,
    ColumnDataSource,
    FactorRange,
    HoverTool,
    LinearColorMapper,
)
from typing_extensions import override

from dashboard.tabs.parts import column, pane, text
from dashboard.tabs.plot import Line, Plot
from dashboard.tabs.showers.look import SAMPLES
from dashboard.views.push import push
from dashboard.views.style import blank, grow
from dashboard.views.table import Table
from dashboard.views.trace import COLOURS
from detcore import showers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from panel.viewable import Viewable

    from dashboard.tabs.showers.look import Look
    from dashboard.tabs.showers.results import Results, Trial

BLUE_RED = ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"]


class Panel(ABC):
    """One of the panels."""

    view: Viewable

    def show(self, look: Look, cuts: showers.Cuts) -> None:  # noqa: B027 - most panels have no widgets
        """Bring the widgets to what is wished."""

    @abstractmethod
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        """Draw results, if they hold what this panel shows; `words` say what is cut, to stand in titles."""


def sample_lines(kind: str = "step", prefix: str = "", dash: str = "solid") -> list[Line]:
    """Return a line for each file that there can be."""
    return [Line(f"{prefix}{number}", "", COLOURS[number], kind, dash) for number in range(SAMPLES)]


def name_of(observable: str) -> str:
    """Return how an observable is called, with its unit."""
    label, unit = showers.OBSERVABLES[observable]
    return f"{label} ({unit})" if unit else label


class Distances(Panel):
    """How far apart the observables of the first file and of the others are, each with its bootstrap error."""

    MEASURES: ClassVar = {"w1": "Wasserstein-1", "ks": "KS", "separation": "Separation", "kl": "KL"}

    def __init__(self, want: Callable[..., None]) -> None:
        self._want = want
        columns = {"file": "File", "observable": "Observable", **self.MEASURES, "unit": "Unit of W1"}
        self.table = Table(columns, widths={"observable": 150, "unit": 90}, on_click=self._clicked)
        self._words = text()
        self._names: list[str] = []
        self._shown: object = None
        self.view = pn.Column(self._words, self.table.widget, sizing_mode="stretch_both", margin=0)

    def _clicked(self, row: int) -> None:
        if 0 <= row < len(self._names):
            self._want(panel="observables", observable=self._names[row])

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if "distances" not in results.panel or results is self._shown:
            return
        self._shown = results
        if len(results.data) < 2:
            self._words.text = "There is one file: choose another one with the button Compare with."
            self.table.show(pd.DataFrame({name: [] for name in ("file", "observable", *self.MEASURES, "unit")}))
            return
        rows, self._names = [], []
        for label, table in results.panel["distances"].items():
            for observable, found in table.iterrows():
                self._names.append(str(observable))
                name, unit = showers.OBSERVABLES[str(observable)]
                numbers = {key: with_error(found[key], found[f"{key}_error"]) for key in self.MEASURES}
                rows.append({"file": label, "observable": name, **numbers, "unit": unit})
        self._words.text = (
            f"Each file against {results.labels[0]}, ± bootstrap error{words}. A click draws the observable."
        )
        self.table.show(pd.DataFrame(rows))


def with_error(value: float, error: float) -> str:
    """Return a number with its error, both to the second digit of the error.

    Examples
    --------
    >>> with_error(1.23456, 0.0234), with_error(153.2, 18.0), with_error(float("nan"), 1.0), with_error(0.5, 0.0)
    ('1.235 ± 0.023', '153 ± 18', '-', '0.5')
    """
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    places = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:,.{places}f} ± {error:,.{places}f}" if places < 7 else f"{value:.3g} ± {error:.1g}"


class Response(Panel):
    """Mean response and resolution against the incident energy."""

    def __init__(self) -> None:
        lines = [*sample_lines("points"), *sample_lines("line", "join ")]
        energy = "Incident energy (GeV)"
        self.mean = Plot(energy, "E vis / E inc (%)", lines, prefix="showers-response")
        self.spread = Plot(energy, "Spread / mean (%)", lines, prefix="showers-resolution")
        self._shown: object = None
        self.view = pn.Row(
            column(pane(self.mean.figure)), column(pane(self.spread.figure)), sizing_mode="stretch_both", margin=0
        )

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if "linearity" not in results.panel or results is self._shown:
            return
        self._shown = results
        tables = list(results.panel["linearity"].items())
        for number in range(SAMPLES):
            label, table = tables[number] if number < len(tables) else ("", None)
            for plot, key in ((self.mean, "response"), (self.spread, "resolution")):
                if table is None:
                    plot.hide(str(number), f"join {number}")
                    continue
                y, error = 100 * table[key].to_numpy(), 100 * table[f"{key}_error"].to_numpy()
                x = table["energy"].to_numpy()
                names = [f"{label}: {with_error(one, two)} %" for one, two in zip(y, error, strict=True)]
                plot.rename(str(number), label)
                plot.show(str(number), x, y, names)
                plot.show(f"join {number}", *bars(x, y, error))
        self.mean.fit()
        self.spread.fit()
        self.mean.title(f"Response of the selected showers{words}")
        self.spread.title("Resolution")


def bars(
    x: NDArray[np.float64], y: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a broken line that is the error bars of points."""
    gaps = np.full(len(x), np.nan)
    return np.column_stack([x, x, gaps]).ravel(), np.column_stack([y - error, y + error, gaps]).ravel()


class Correlations(Panel):
    """How the observables of the shown file go together: Pearson's r of each pair."""

    def __init__(self) -> None:
        self.figure = plot = blank("", "", tools="save,reset")
        plot.x_range, plot.y_range = FactorRange(), FactorRange()
        plot.x_scale, plot.y_scale = CategoricalScale(), CategoricalScale()
        for axis in plot.axis:
            axis.update(ticker=CategoricalTicker(), formatter=CategoricalTickFormatter())
        plot.grid.grid_line_color = None
        plot.xaxis.major_label_orientation = 0.8
        mapper = LinearColorMapper(palette=BLUE_RED, low=-1, high=1)
        self.source = ColumnDataSource({"x": [], "y": [], "r": [], "words": []}, name="showers-correlations")
        cells = plot.rect(
            "x", "y", 0.96, 0.96, source=self.source, fill_color={"field": "r", "transform": mapper}, line_color=None
        )
        numbers = plot.text(
            "x", "y", "words", source=self.source, text_align="center", text_baseline="middle", text_color="#1a1a1a",
            text_font_size="10px",
        )  # fmt: skip
        grow(plot.title, wall=False, glyph=numbers.glyph)
        bar = ColorBar(color_mapper=mapper, ticker=BasicTicker(), width=10, padding=4, title="Pearson r")
        plot.add_layout(bar, "right")
        grow(bar, wall=False)
        plot.add_tools(HoverTool(renderers=[cells], tooltips=[("", "@x and @y"), ("Pearson r", "@r{0.000}")]))
        self._shown: object = None
        self.view = pane(plot)

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if "correlations" not in results.panel or results is self._shown:
            return
        self._shown = results
        matrix: pd.DataFrame = results.panel["correlations"]
        names = [showers.OBSERVABLES[name][0] for name in matrix.columns]
        if self.figure.x_range.factors != names:
            self.figure.x_range.factors, self.figure.y_range.factors = names, names[::-1]
        size, values = len(names), matrix.to_numpy(dtype=float)
        push(
            self.source,
            {
                "x": [name for _ in range(size) for name in names], "y": [name for name in names for _ in range(size)],
                "r": values.ravel(), "words": ["" if np.isnan(r) else f"{100 * r:.0f}" for r in values.ravel()],
            },
        )  # fmt: skip
        self.figure.title.text = f"100 r of {results.labels[results.sample]}{words}"


class Numbers(Panel):
    """Mean and spread of each observable of each file."""

    def __init__(self) -> None:
        self._labels: Sequence[str] = ()
        self._shown: object = None
        self._place = self.view = pn.Column(sizing_mode="stretch_both", margin=0)

    @override
    def fill(self, results: Results, trial: Trial | None, look: Look, words: str) -> None:
        if results is self._shown:
            return
        self._shown = results
        if results.labels != self._labels:
            self._labels = results.labels
            names = {f"file {number}": label for number, label in enumerate(results.labels)}
            self.table = Table({"name": "Mean ± error · spread"} | names, widths={"name": 190})
            self._place[:] = [self.table.widget]
        rows = []
        for name, (label, unit) in showers.OBSERVABLES.items():
            row = {"name": f"{label} ({unit})" if unit else label}
            for number, data in enumerate(results.data):
                values = data[name].values.astype(float) if name in data else np.zeros(0)
                values = values[np.isfinite(values)]
                spread = float(values.std(ddof=1)) if len(values) > 1 else np.nan
                mean = float(values.mean()) if len(values) else np.nan
                row[f"file {number}"] = (
                    f"{with_error(mean, spread / max(len(values), 1) ** 0.5)} · {spread:.3g}" if len(values) else "-"
                )
            rows.append(row)
        self.table.show(pd.DataFrame(rows))
