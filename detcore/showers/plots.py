"""Pictures of a result, and of several beside each other with their ratio. No pyplot: any thread can draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from detcore.showers.compare import overlay
from detcore.showers.reductions import OBSERVABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

COLORS: Final = ("#2166ac", "#c8511b", "#1b7f4b", "#8e44ad", "#b8860b", "#5f6670", "#0097a7", "#ad1457")
GREY: Final = "#5f6670"
PANELS: Final = ("visible_energy", "n_hits", "energy_ratio", "center_layer", "maximum_layer", "width_x")
"""Observables of the picture of a comparison, beside the profiles."""


def overview(data: xr.Dataset, title: str) -> Figure:
    """Draw a result: profiles, spectra, maps, and the response.

    Parameters
    ----------
    data
        As `reduce` gives it; parts that it lacks are left out.
    title
        Any text.
    """
    jobs = [
        (_longitudinal, "energy_per_layer"),
        (_hits, "hits_per_layer"),
        (_radial, "energy_per_radius"),
        (_spectrum, "cells_ecal"),
        (_time, "time_energy"),
        (_response, "visible_energy"),
        (_map_xy, "map_xy"),
        (_map_xl, "map_xl"),
        (_map_yl, "map_yl"),
    ]
    jobs = [job for job in jobs if job[1] in data]
    columns = min(3, max(len(jobs), 1))
    rows = max(-(-len(jobs) // columns), 1)
    height = 3.9 * rows + 0.9
    figure = Figure(figsize=(5.6 * columns, height))
    # Fixed margins: measuring every label, as automatic layouts do, takes longer than the reduction of a file.
    figure.subplots_adjust(0.06, 0.65 / height, 0.98, 1 - 1.1 / height, wspace=0.3, hspace=0.4)
    figure.suptitle(heading(title, data), parse_math=False, fontsize=12, y=1 - 0.15 / height, va="top")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for (draw, _), place in zip(jobs, axes, strict=False):
        draw(place, data)
    for place in axes[len(jobs) :]:
        place.set_visible(False)
    return figure


def comparison(results: Mapping[str, xr.Dataset], title: str, observables: Sequence[str] = PANELS) -> Figure:
    """Draw several results over each other, each panel with the ratio to the first below it.

    Parameters
    ----------
    results
        Name -> result; the first is the reference.
    title
        Any text.
    observables
        Histograms to be drawn beside the profiles; see `OBSERVABLES`.

    Returns
    -------
    Figure
        The bands are one standard deviation of the statistics.
    """
    known = [name for name in observables if all(name in data for data in results.values())]
    curves = [
        name
        for name in ("energy_per_layer", "hits_per_layer", "energy_per_radius")
        if all(name in one for one in results.values())
    ]
    count = len(known) + len(curves)
    columns = min(3, max(count, 1))
    rows = max(-(-count // columns), 1)
    fewest = min(data.sizes.get("shower", 0) for data in results.values())
    bins = min(50, max(10, round(fewest**0.5)))
    height = 4.6 * rows + 0.9
    figure = Figure(figsize=(5.6 * columns, height))
    figure.subplots_adjust(0.06, 0.65 / height, 0.98, 1 - 0.9 / height, wspace=0.28, hspace=0.25)
    cut = next(iter(results.values())).attrs.get("cut", "")
    figure.suptitle(
        clean(f"{title}\n{cut}" if cut else title), parse_math=False, fontsize=12, y=1 - 0.15 / height, va="top"
    )
    boxes = figure.add_gridspec(rows, columns)
    for number, name in enumerate([*curves, *known]):
        inside = boxes[divmod(number, columns)].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.06)
        above = figure.add_subplot(inside[0])
        below = figure.add_subplot(inside[1], sharex=above)
        above.tick_params(labelbottom=False)
        if name in curves:
            _profiles(above, below, results, name)
        else:
            _histograms(above, below, overlay(results, name, bins), name)
        below.set_ylabel("ratio")
        below.axhline(1, color=GREY, linewidth=0.8)
        if number == 0:
            for text in above.legend(fontsize=8).get_texts():
                text.set_parse_math(False)
    return figure


def clean(text: str) -> str:
    """Return a text of the file's or a person's as one that breaks no picture."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text[:500])


def heading(title: str, data: xr.Dataset) -> str:
    """Return title, number of showers, geometry and cut."""
    parts = [f"{int(data['n_showers']):,} showers"] if "n_showers" in data else []
    parts += [str(data.attrs[name]) for name in ("geometry", "cut") if data.attrs.get(name)]
    if data.attrs.get("status") == "partial":
        parts.append("partial: the reading was stopped early")
    return clean(f"{title}\n{' · '.join(parts)}")


def _step(axes: Axes, edges: NDArray[Any], values: NDArray[Any], error: Any = None, **options: Any) -> None:
    axes.stairs(values, edges, linewidth=1.3, **options)
    if error is not None:
        low, high = (np.append(values + sign * error, np.nan) for sign in (-1, 1))
        axes.fill_between(edges, low, high, step="post", alpha=0.3, color=options.get("color"), linewidth=0)


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers: the parser of formulas is slow and not made for threads."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(FuncFormatter(_number))
    axis.set_minor_locator(NullLocator())


def _number(value: float, _: object = None) -> str:
    return f"{value:g}"


def _layer_edges(data: xr.Dataset) -> NDArray[np.float64]:
    layer = data["layer"].values
    return np.append(layer - 0.5, layer[-1] + 0.5) if len(layer) else np.zeros(1)


def _longitudinal(axes: Axes, data: xr.Dataset) -> None:
    values, error = (1e3 * data[name].values for name in ("energy_per_layer", "energy_per_layer_error"))
    _step(axes, _layer_edges(data), values, error, color=COLORS[0])
    axes.set(title="Longitudinal profile", xlabel="layer", ylabel="mean energy per shower (MeV)")
    _part_border(axes, data)


def _hits(axes: Axes, data: xr.Dataset) -> None:
    values, error = (data[name].values for name in ("hits_per_layer", "hits_per_layer_error"))
    _step(axes, _layer_edges(data), values, error, color=COLORS[0])
    axes.set(title="Hits", xlabel="layer", ylabel="mean hits per shower")
    _part_border(axes, data)


def _part_border(axes: Axes, data: xr.Dataset) -> None:
    border = data.attrs.get("num_layers_ecal")
    if border and border < data.sizes["layer"]:
        axes.axvline(border - 0.5, color=GREY, linewidth=0.8, linestyle="--")
        axes.annotate("HCAL", (border, 0.98), xycoords=("data", "axes fraction"), va="top", fontsize=8, color=GREY)


def _radial(axes: Axes, data: xr.Dataset) -> None:
    values, error = (1e3 * data[name].values for name in ("energy_per_radius", "energy_per_radius_error"))
    _step(axes, data["radius_edge"].values, values, error, color=COLORS[0])
    axes.set(title="Radial profile", xlabel="distance from the axis (mm)", ylabel="mean energy per shower (MeV)")
    if (values > 0).any():
        _logarithmic(axes, "y")


def _spectrum(axes: Axes, data: xr.Dataset) -> None:
    n = max(int(data["n_showers"]), 1) if "n_showers" in data else 1
    seen = False
    for name, label, color in (("cells_ecal", "ECAL", COLORS[0]), ("cells_hcal", "HCAL", COLORS[1])):
        values = data[name].values / n
        if values.any():
            _step(axes, data["cell_energy_edge"].values, values, color=color, label=label)
            cut = data.attrs.get(f"{label.lower()}_threshold", 0)
            if cut:
                axes.axvline(cut, color=color, linewidth=0.8, linestyle="--")
            seen = True
    axes.set(title="Cell energies, cuts dashed", xlabel="energy (MeV)", ylabel="cells per shower")
    _logarithmic(axes, "x")
    if seen:
        _logarithmic(axes, "y")
        axes.legend()


def _time(axes: Axes, data: xr.Dataset) -> None:
    values = data["time_energy"].values / max(int(data["n_showers"]), 1)
    _step(axes, data["time_edge"].values, values, color=COLORS[0])
    axes.set(title="Time", xlabel="time (ns)", ylabel="energy per shower (MeV)")
    _logarithmic(axes, "x")
    if (values > 0).any():
        _logarithmic(axes, "y")


def _response(axes: Axes, data: xr.Dataset) -> None:
    axes.plot(data["incident_energy"], data["visible_energy"], ".", markersize=2, color=COLORS[0])
    axes.set(title="Response", xlabel="incident energy (GeV)", ylabel="visible energy (GeV)")


def _map_xy(axes: Axes, data: xr.Dataset) -> None:
    _image(axes, data, "map_xy", "x", "y", "Mean shower, front", ("x (mm)", "y (mm)"))
    axes.set_aspect("equal")


def _map_xl(axes: Axes, data: xr.Dataset) -> None:
    _image(axes, data, "map_xl", "layer", "x", "Mean shower, from above", ("layer", "x (mm)"))


def _map_yl(axes: Axes, data: xr.Dataset) -> None:
    _image(axes, data, "map_yl", "layer", "y", "Mean shower, from the side", ("layer", "y (mm)"))


def _image(axes: Axes, data: xr.Dataset, name: str, across: str, up: str, title: str, labels: tuple[str, str]) -> None:
    values = data[name].transpose(up, across).values
    edges = [_layer_edges(data) if dim == "layer" else data[f"{dim}_edge"].values for dim in (across, up)]
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1])
    positive = values[values > 0]
    if not positive.size:
        return
    high = float(positive.max())
    norm = LogNorm(max(float(positive.min()), high * 1e-5), high)
    shown = np.ma.masked_where(values <= 0, values)
    drawn = axes.pcolormesh(edges[0], edges[1], shown, norm=norm, cmap="viridis")
    bar = axes.figure.colorbar(drawn, ax=axes, label="MeV per shower", pad=0.02)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(_number))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    reach = np.flatnonzero((values > high * 1e-4).any(axis=1 if up != "layer" else 0))
    half = max(abs(edges[1][reach[0]]), abs(edges[1][reach[-1] + 1]))
    axes.set_ylim(-half, half)
    if across == "x":
        axes.set_xlim(-half, half)


def _profiles(above: Axes, below: Axes, results: Mapping[str, xr.Dataset], name: str) -> None:
    first = next(iter(results.values()))
    edges = first["radius_edge"].values if name == "energy_per_radius" else _layer_edges(first)
    scale, label = (1, "mean hits per shower") if name == "hits_per_layer" else (1e3, "mean energy per shower (MeV)")
    reference, error = first[name].values, first[f"{name}_error"].values
    for (title, data), color in zip(results.items(), _colors(len(results)), strict=True):
        values, errors = data[name].values, data[f"{name}_error"].values
        if values.shape != reference.shape:
            continue
        _step(above, edges, scale * values, scale * errors, color=color, label=clean(title))
        with np.errstate(all="ignore"):
            ratio = np.where(reference > 0, values / reference, np.nan)
            spread = np.where(reference > 0, errors / reference, np.nan)
        if data is first:
            spread = error / np.where(reference > 0, reference, np.nan)
        _step(below, edges, ratio, spread, color=color)
    if name == "energy_per_radius" and (reference > 0).any():
        _logarithmic(above, "y")
    above.set_ylabel(label)
    below.set(xlabel="distance from the axis (mm)" if name == "energy_per_radius" else "layer", ylim=(0.5, 1.5))


def _histograms(above: Axes, below: Axes, data: xr.Dataset, name: str) -> None:
    label, unit = OBSERVABLES[name]
    edges = data["edge"].values
    for number, color in enumerate(_colors(data.sizes["sample"])):
        one = data.isel(sample=number)
        _step(above, edges, one["density"].values, one["density_error"].values, color=color)
        _step(below, edges, one["ratio"].values, one["ratio_error"].values, color=color)
    above.set_ylabel(f"density (1/{unit})" if unit else "density")
    below.set(xlabel=f"{label} ({unit})" if unit else label, ylim=(0.5, 1.5))


def _colors(n: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(n)]
