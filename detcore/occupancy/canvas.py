"""What every picture of the occupancy shares: the heading, the channel map, its colours and its names.

White is always "no such channel", grey is "channel without a hit (or value)", colour is a value. There is no
global state (no pyplot, no mathtext), so that figures can be drawn in any thread.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from operator import attrgetter
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from detcore.core.paths import atomic
from detcore.occupancy.detectors import Detector, DetectorTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

OTHER: Final = "Not in the table"  # group of the detectors that were seen but not listed
ZERO: Final = "#c3c7cc"
LINE: Final = "#5f6670"
FILL: Final = "#31688e"
DPI: Final = 150


class Map(NamedTuple):
    """Values by (element 1..n, column), and which channels exist."""

    values: NDArray[np.float64]
    exists: NDArray[np.bool_]


def save_figure(figure: Figure, path: Path, *, dpi: int = DPI, provenance: str = "") -> Path:
    """Write a figure as PNG, aside and renamed, with the provenance as a text chunk.

    Raises
    ------
    OSError
        The place cannot be written.
    """
    with atomic(path) as aside:
        figure.savefig(aside, format="png", dpi=dpi, metadata={"Software": "detcore", "Provenance": provenance or "{}"})
    return path


def shown(dataset: xr.Dataset, table: DetectorTable | None = None) -> tuple[Detector, ...]:
    """Return the planes to draw: the table in its order, then the planes that were seen but are not listed.

    Parameters
    ----------
    dataset
        With `n_elements` on detector_id (0 = no such plane); `detector` names are used if there are any.
    table
        The detector table; None for the built-in one.
    """
    table = table or DetectorTable.default()
    found = list(table.rows)
    if "n_elements" in dataset.coords:
        names = dataset["detector"].values if "detector" in dataset.coords else [""] * dataset.sizes["detector_id"]
        for number, size, name in zip(dataset["detector_id"].values, dataset["n_elements"].values, names, strict=True):
            if size > 0 and int(number) not in table.by_id:
                found.append(Detector(str(name) or f"ID {number}", int(number), int(size), OTHER, OTHER))
    return tuple(found)


def by_id(values: xr.DataArray, fill: float = 0) -> NDArray[Any]:
    """Return values (detector_id, element_id) as an array whose indices are the ids themselves; row and column 0 are `fill`."""
    detector, element = (values[name].values.astype(np.int64) for name in ("detector_id", "element_id"))
    out = np.full((detector.max(initial=0) + 1, element.max(initial=0) + 1), fill, values.dtype)
    out[np.ix_(detector, element)] = values.transpose("detector_id", "element_id").values
    return out


def channel_map(values: xr.DataArray, planes: Iterable[Detector]) -> Map:
    """Return the values of the planes as columns, element 1 in the first row; 0 (or NaN) where nothing was counted."""
    planes = tuple(planes)
    fill = np.nan if np.issubdtype(values.dtype, np.floating) else 0
    found = by_id(values, fill)
    rows = max(plane.n_elements for plane in planes)
    out = np.full((rows, len(planes)), fill, np.float64)
    for number, plane in enumerate(planes):
        if plane.detector_id < len(found):
            column = found[plane.detector_id, 1 : plane.n_elements + 1]
            out[: len(column), number] = column
    return Map(out, np.arange(1, rows + 1)[:, np.newaxis] <= np.array([plane.n_elements for plane in planes]))


def describe(dataset: xr.Dataset, cut: str = "") -> str:
    """Return in one line what a Dataset holds: files, spills, events, hits, cut, and what was dropped."""
    parts: list[str] = []
    if "file" in dataset.coords:
        files = [str(name) for name in dataset["file"].values]
        parts.append(files[0].replace("\\", "/").rpartition("/")[2] if len(files) == 1 else f"{len(files):,} files")
    if "spill_id" in dataset.coords:
        spills = np.unique(dataset["spill_id"].values)
        spills = spills[spills >= 0]
        if len(spills):
            parts.append(
                f"spill {spills[0]}" if len(spills) == 1 else f"{len(spills):,} spills {spills[0]}-{spills[-1]}"
            )
    if "n_events" in dataset:
        parts.append(f"{int(dataset['n_events']):,} events ({int(dataset.get('n_empty_events', 0)):,} empty)")
    if "hits" in dataset:
        parts.append(f"{int(dataset['hits'].sum()):,} hits")
    if cut := cut or str(dataset.attrs.get("cut", "")):
        parts.append(f"cut: {cut}")
    dropped = sum(int(dataset[name].sum()) for name in ("dropped_unknown", "dropped_elements") if name in dataset)
    if dropped:
        parts.append(f"{dropped:,} hits out of range dropped")
    if dataset.attrs.get("status") == "partial":
        parts.append("PARTIAL")
    return " · ".join(clean(part, 110) for part in parts)


def clean(text: object, limit: int = 200) -> str:
    """Return text that is safe to draw: one line, bounded, only characters that the font has."""
    line = " ".join(str(text).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(each if ord(each) in _glyphs() else "?" for each in line)


def new_figure(
    width: float, height: float, title: str, words: str, panels: list[float] | None = None
) -> tuple[Figure, Any]:
    """Return a figure with its heading, and below it the axes, or side by side as many panels as there are widths."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    lines = wrap(clean(words, 400), int(width * 10))[:3]
    text: dict[str, Any] = {"va": "top", "parse_math": False}
    figure.text(0.12 / width, 1 - 0.13 / height, clean(title, int(width * 4)), fontsize=17, weight="bold", **text)
    figure.text(0.12 / width, 1 - 0.5 / height, "\n".join(lines), fontsize=11, color=LINE, **text)
    head = 0.62 + 0.19 * len(lines)  # inches that the layout must leave free
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1, rect=(0, 0, 1, 1 - head / height))
    if panels:
        return figure, figure.subfigures(1, len(panels), width_ratios=panels)
    return figure, figure.subplots()


def draw_map(axes: Axes, drawn: Map, norm: Normalize, colours: str | Colormap, first: int = 0) -> AxesImage:
    """Draw grey where a channel has no value (NaN) and colour where it has one; return the coloured image.

    Column `i` is centred at x = `first` + i, element e at y = e.
    """
    coloured = drawn.exists & np.isfinite(drawn.values)
    rows, columns = drawn.values.shape
    place: dict[str, Any] = {
        "origin": "lower",
        "aspect": "auto",
        "interpolation": "nearest",
        "extent": (first - 0.5, first + columns - 0.5, 0.5, rows + 0.5),
    }
    nothing = np.ma.masked_where(~drawn.exists | coloured, np.ones(coloured.shape))
    axes.imshow(nothing, cmap=ListedColormap([ZERO]), gid="no-hit", **place)
    image = axes.imshow(np.ma.masked_where(~coloured, drawn.values), cmap=colours, norm=norm, gid="values", **place)
    axes.vlines(np.arange(1, columns) + first - 0.5, 0.5, rows + 0.5, color="white", linewidth=0.8)
    return image


def colour_key(figure: Figure, nothing: str, columns: int) -> None:
    """Say in the upper right corner what grey and white mean."""
    patches = [Patch(facecolor=ZERO, label=nothing), Patch(facecolor="white", edgecolor=LINE, label="no such channel")]
    figure.legend(handles=patches, loc="upper right", ncols=columns, frameon=False, fontsize=11)


def colour_bar(axes: Axes, artist: Any, label: str, *, extend: str = "neither", fraction: float = 0.045) -> None:
    """Put a colour bar beside the axes; the fixed limits of a ratio get round numbers."""
    numbers = FuncFormatter(plain_number)
    bar = axes.figure.colorbar(artist, ax=axes, pad=0.012, aspect=38, fraction=fraction, format=numbers, extend=extend)
    if label.startswith("Hits") and not isinstance(artist.norm, LogNorm) and artist.norm.vmax > 2:
        bar.locator = MaxNLocator(10, integer=True, steps=[1, 2, 5, 10])
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    if artist.norm.vmax == 4 and isinstance(artist.norm, LogNorm):
        bar.set_ticks([0.25, 0.5, 1, 2, 4])
    bar.set_label(clean(label, 90), fontsize=13)
    bar.ax.tick_params(labelsize=11)


def name_columns(axes: Axes, inches: float, planes: Sequence[Detector]) -> None:
    """Write the names of the planes below their columns; `inches` is the width of all."""
    names = [clean(plane.name, 14) for plane in planes]
    axes.set_xticks(
        range(len(planes)), names, rotation=90, fontsize=font_size(inches, len(planes), 11.5), parse_math=False
    )
    axes.set_xlim(-0.5, len(planes) - 0.5)


def name_groups(axes: Axes, inches: float, planes: Sequence[Detector], separators: bool) -> None:
    """Write the names of the groups above their columns, in two lines where they are narrow."""
    start = 0
    for name, members in groupby(planes, key=attrgetter("group")):
        count = len(list(members))
        room = max(int(count * inches / len(planes) / 0.082), 3)
        axes.text(
            start + (count - 1) / 2, 1.008, "\n".join(wrap(clean(name, 2 * room), room)[:2]), ha="center", va="bottom",
            transform=axes.get_xaxis_transform(), fontsize=10.5, color=LINE, parse_math=False,
        )  # fmt: skip
        if separators and start:
            axes.axvline(start - 0.5, color=LINE, linewidth=0.9, gid="separator")
        start += count


def limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the smallest and largest finite value, apart from each other."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def element_ticks(last: int) -> FixedLocator:
    """Return ticks for element ids, which begin with 1."""
    step = next(step for step in (1, 2, 5, 10, 20, 50) if last <= 12 * step)
    return FixedLocator([1, *range(max(step, 2), last + 1, step)])


def font_size(inches: float, columns: int, largest: float) -> float:
    """Return the font size, points, at which names side by side do not touch."""
    return float(np.clip(0.72 * 72 * inches / max(columns, 1), 4, largest))


def plain_number(value: float, _: object = None) -> str:
    """Return a tick label without mathtext, whose parser is not made for threads."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
