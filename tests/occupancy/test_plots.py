"""What the pictures show: read from the drawn data, from the pixels, and from the files."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage, imread
from matplotlib.patches import StepPatch
from PIL import Image

from detcore.core.parameters import InvalidParameters
from detcore.occupancy import plots
from detcore.occupancy.canvas import OTHER, ZERO, describe
from detcore.occupancy.detectors import Detector, DetectorTable
from detcore.occupancy.exchange import read_hits

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

TABLE = DetectorTable.default()
ORDER = [row.name for row in TABLE.rows]
GREY = to_rgb(ZERO)
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def spill(shared: Path) -> xr.Dataset:
    """The real spill 1924430."""
    place = shared / "data" / "occupancy"
    events = np.loadtxt(place / "run_005994_spill_001924430_hits_per_event.csv", skiprows=1).astype(np.int32)
    return (
        read_hits(place / "total_hits_data.json", TABLE)
        .assign(hits_per_event=("event", np.r_[events, 0, 0, 0]), n_events=np.int64(3719), n_empty_events=np.int64(3))
        .assign_coords(
            spill_id=("event", np.full(3719, 1924430)), file=("file", ["run_005994_spill_001924430_sraw.root"])
        )
    )


@pytest.fixture
def small() -> xr.Dataset:
    """A few hits in planes whose last elements and neighbours matter."""
    hits = np.zeros((62, 201), np.int64)
    for (detector, element), number in {(3, 74): 8329, (3, 160): 1, (31, 23): 9673, (31, 1): 5, (5, 201): 2}.items():
        hits[detector - 1, element - 1] = number
    return xr.Dataset(
        {"hits": (("detector_id", "element_id"), hits)},
        coords={"detector_id": np.arange(1, 63), "element_id": np.arange(1, 202)},
    )


def values(figure: Figure) -> AxesImage:
    """The coloured part of the channel map."""
    return next(image for axes in figure.axes for image in axes.get_images() if image.get_gid() == "values")


def cells(image: AxesImage) -> dict[tuple[float, float], float]:
    """(x, y) of the centre of each coloured cell -> its value."""
    array, (left, right, bottom, top) = np.ma.asarray(image.get_array()), image.get_extent()
    rows, columns = array.shape
    assert image.origin == "lower"
    return {
        (left + (column + 0.5) * (right - left) / columns, bottom + (row + 0.5) * (top - bottom) / rows): float(
            array[row, column]
        )
        for row, column in np.argwhere(~np.ma.getmaskarray(array)).tolist()
    }


def pixel(figure: Figure, axes: Any, x: float, y: float) -> tuple[float, ...]:
    """The colour at a place in data coordinates of the picture as it is drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    column, row = axes.transData.transform((x, y))
    return tuple(np.asarray(canvas.buffer_rgba())[-1 - int(row), int(column), :3] / 255)


def close(found: tuple[float, ...], wanted: Any) -> bool:
    return bool(np.allclose(found, wanted[:3], atol=0.02))


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]


def png(figure: Figure, dpi: int = 40) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def test_overall_draws_each_channel_at_its_own_element(small: xr.Dataset) -> None:
    place = ORDER.index
    assert cells(values(plots.overall(small))) == {
        (place("D0X"), 74): 8329,
        (place("D0X"), 160): 1,
        (place("H1B"), 23): 9673,
        (place("H1B"), 1): 5,
        (place("D0V"), 201): 2,
    }


def test_overall_pixels_tell_absent_zero_and_counted_apart(small: xr.Dataset) -> None:
    figure = plots.overall(small)
    axes, image = figure.axes[0], values(figure)
    x = ORDER.index("D0X") + 0.2
    assert close(pixel(figure, axes, x, 74), image.to_rgba(8329))
    assert close(pixel(figure, axes, x, 160), image.to_rgba(1))  # the last element
    for element in (1, 73, 75, 159):
        assert close(pixel(figure, axes, x, element), GREY)
    for element in (161, 200):
        assert close(pixel(figure, axes, x, element), WHITE)
    h1b = ORDER.index("H1B") + 0.2
    assert close(pixel(figure, axes, h1b, 23), image.to_rgba(9673))
    assert close(pixel(figure, axes, h1b, 1), image.to_rgba(5))
    assert close(pixel(figure, axes, h1b, 24), WHITE)
    assert axes.get_ylim() == (0.5, 201.5)  # there is no row 0


def test_overall_of_the_real_spill_draws_every_hit(spill: xr.Dataset) -> None:
    figure = plots.overall(spill)
    drawn = cells(values(figure))
    assert len(drawn) == 4441
    assert sum(drawn.values()) == 4_046_873
    assert drawn[ORDER.index("D0X"), 74] == 8329
    assert drawn[ORDER.index("H2B"), 16] == 4948
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ORDER
    text = " ".join(words(figure)).replace("\n", " ")
    for part in (
        *TABLE.groups(),
        "spill 1924430",
        "3,719 events (3 empty)",
        "4,046,873 hits",
        "log scale",
        "Element id",
    ):
        assert part in text


@pytest.mark.parametrize("figure", ["overall", "group", "heatmap"])
def test_names_do_not_touch_each_other(spill: xr.Dataset, figure: str) -> None:
    drawn = {
        "overall": lambda: plots.overall(spill),
        "group": lambda: plots.group(spill, "Station 3+"),
        "heatmap": lambda: plots.heatmap(spill),
    }[figure]()
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    texts = [t for t in drawn.findobj(match=lambda a: hasattr(a, "get_text")) if t.get_text() and t.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    width, height = canvas.get_width_height()
    on_page = [(t, box) for t, box in boxes if box.x1 > 0 and box.x0 < width and box.y1 > 0 and box.y0 < height]
    names = [(text, box) for text, box in on_page if text in {*ORDER, *TABLE.groups()} or "\n" in text]
    assert len(names) >= 6
    for text, box in names:
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        others = [
            other
            for other, place in on_page
            if place is not box and place.shrunk(0.98, 0.98).overlaps(box.shrunk(0.98, 0.98))
        ]
        assert not others, f"{text} touches {others}"


def test_separators_stand_between_the_groups_only(small: xr.Dataset) -> None:
    def lines(figure: Figure) -> list[float]:
        return [
            float(np.asarray(line.get_xdata())[0]) for line in figure.axes[0].lines if line.get_gid() == "separator"
        ]

    ends = np.cumsum([len(planes) for planes in TABLE.groups().values()])[:-1] - 0.5
    assert lines(plots.overall(small, separators=True)) == ends.tolist()
    assert lines(plots.overall(small, separators=False)) == []


@pytest.mark.parametrize("mode", ["log", "linear", "detector"])
def test_scales_of_counts(small: xr.Dataset, mode: plots.Mode) -> None:
    image = values(plots.overall(small, mode=mode))
    drawn = cells(image)
    wanted = {"log": (1, 9673, 8329), "linear": (0, 9673, 8329), "detector": (0, 1, 1)}[mode]
    assert (image.norm.vmin, image.norm.vmax, drawn[ORDER.index("D0X"), 74]) == wanted
    assert image.get_cmap().name == "viridis"


@pytest.mark.parametrize(("mode", "limits"), [("ratio", (0.25, 4)), ("significance", (-10, 10))])
def test_comparisons_keep_lost_new_and_unknown_apart(
    small: xr.Dataset, mode: plots.Mode, limits: tuple[float, float]
) -> None:
    given = xr.full_like(small["hits"], np.nan, dtype=float)
    given.loc[{"detector_id": 3, "element_id": 1}] = -np.inf if mode == "significance" else 0
    given.loc[{"detector_id": 3, "element_id": 2}] = np.inf
    given.loc[{"detector_id": 3, "element_id": 3}] = 1
    figure = plots.overall(small, mode=mode, values=given, label="Ratio to spill 1")
    image, x = values(figure), ORDER.index("D0X")
    assert cells(image) == {(x, 1): limits[0], (x, 2): limits[1], (x, 3): 1}
    assert close(pixel(figure, figure.axes[0], x + 0.2, 4), GREY)
    assert "Ratio to spill 1" in words(figure)
    assert "no value" in words(figure)


def test_group_has_a_map_and_a_profile_of_each_plane(spill: xr.Dataset) -> None:
    figure = plots.group(spill, "Hodo 1")
    members = [row.name for row in TABLE.groups()["Hodo 1"]]
    assert cells(values(figure))[members.index("H1B"), 23] == 9673
    profiles = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, StepPatch)]
    assert len(profiles) == 4
    for name, patch in zip(members, profiles, strict=True):
        heights, edges, _ = patch.get_data()
        plane = TABLE.by_name[name]
        assert heights.tolist() == spill["hits"].sel(detector_id=plane.detector_id).values[: plane.n_elements].tolist()
        assert (edges[0], edges[-1]) == (0.5, plane.n_elements + 0.5)
    assert "Hodo 1: 495,405 of 4,046,873 hits" in words(figure)


def test_unknown_group_is_named_with_the_known_ones(small: xr.Dataset) -> None:
    with pytest.raises(KeyError, match=r"no group 'Hodo'.*Hodo 1, DP-1"):
        plots.group(small, "Hodo")


def test_heatmap_has_ids_on_both_axes_and_is_not_mirrored(small: xr.Dataset) -> None:
    figure = plots.heatmap(small)
    assert cells(values(figure)) == {(3, 74): 8329, (3, 160): 1, (31, 23): 9673, (31, 1): 5, (5, 201): 2}
    axes, image = figure.axes[0], values(figure)
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.5, 62.5), (0.5, 201.5))
    assert close(pixel(figure, axes, 3.2, 74), image.to_rgba(8329))
    assert close(pixel(figure, axes, 3.2, 201 - 74), GREY)  # where the older tool put it
    assert close(pixel(figure, axes, 9, 50), WHITE)  # ids 7 to 12 are no planes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Detector id", "Element id")
    assert len(figure.axes) == 2  # the colour bar


def test_statistics_are_over_the_channels_that_exist(spill: xr.Dataset) -> None:
    text = plots.statistics(spill)
    counts = np.concatenate(
        [spill["hits"].sel(detector_id=row.detector_id).values[: row.n_elements] for row in TABLE.rows]
    )
    assert counts.size == 4768
    found = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1].strip() for line in text.splitlines()}
    assert found["sum"] == "4,046,873 hits"
    assert found["mean"] == f"{counts.mean():.2f} hits per channel"
    assert found["std"] == f"{counts.std():.2f}"
    assert found["max"] == "11,880 at H1L element 10"
    assert found["min"] == "0"
    assert found["active"] == "93.14% (4,441 of 4,768 channels)"
    assert found["Hodo 1"] == "495,405 hits"
    assert sum(int(found[name].removesuffix(" hits").replace(",", "")) for name in TABLE.groups()) == 4_046_873


def test_hits_per_event_leaves_the_empty_events_out(spill: xr.Dataset) -> None:
    figure = plots.hits_per_event(spill)
    bars = figure.axes[0].patches
    counts = spill["hits_per_event"].values
    wanted, edges = np.histogram(counts[counts > 0], 50)
    assert [bar.get_height() for bar in bars] == wanted.tolist()
    assert bars[0].get_x() == pytest.approx(edges[0])
    text = "\n".join(words(figure))
    for number in ("3,716 events with hits", "3 empty events", "1,089.0", "666.0", "1,146.7"):
        assert number in text


def test_event_display_of_a_whole_event() -> None:
    ids, elements, times = (
        [3, 3, 31, 31, 99, 3, 5],
        [74, 74, 23, 1, 4, 161, 2],
        [900.0, 700.0, -5.0, 450.0, 1.0, 1.0, np.nan],
    )
    figure = plots.event_display(ids, elements, times, title="a.root · event 7")
    d0x, h1b = ORDER.index("D0X"), ORDER.index("H1B")
    assert cells(values(figure)) == {(d0x, 74): 700, (h1b, 23): -5, (h1b, 1): 450}
    assert "a.root · event 7 · 4 hits · 3 out of range not drawn" in words(figure)
    counted = plots.event_display(ids, elements)
    assert cells(values(counted)) == {(d0x, 74): 2, (h1b, 23): 1, (h1b, 1): 1, (ORDER.index("D0V"), 2): 1}

    points = plots.event_display(ids, elements, times, config=plots.PlotConfig(style="points", colour_map="magma"))
    dots = next(artist for artist in points.axes[0].collections if isinstance(artist, PathCollection))
    assert np.asarray(dots.get_offsets()).tolist() == [[d0x, 74], [d0x, 74], [h1b, 23], [h1b, 1]]
    assert np.asarray(dots.get_array()).tolist() == [900, 700, -5, 450]
    assert dots.get_cmap() == colormaps["magma"]

    bars = plots.event_display(ids, elements, times, config=plots.PlotConfig(style="bars"))
    heights = [bar.get_height() for bar in bars.axes[0].patches]
    assert {ORDER[i]: n for i, n in enumerate(heights) if n} == {"D0X": 2, "H1B": 2}


def test_event_display_of_one_plane() -> None:
    ids, elements, times = [3, 3, 3, 31, 3], [74, 74, 160, 23, 161], [891.0, 895.0, 9000.0, 1000.0, 900.0]
    figure = plots.event_display(ids, elements, times, detector="D0X")
    mesh = next(artist for artist in figure.axes[0].collections if isinstance(artist, QuadMesh))
    array = np.ma.masked_invalid(np.ma.asarray(mesh.get_array()))
    (row, column), *others = np.argwhere(~np.ma.getmaskarray(array)).tolist()
    corners = mesh.get_coordinates()
    assert (array[row, column], others) == (2, [])
    assert corners[row, column, 0] == 73.5
    assert corners[row : row + 2, column, 1].tolist() == [890, 902]
    assert "1 hits outside 602-1802 ns" in words(figure)
    for config, time in ((plots.PlotConfig(style="bars"), times), (None, None)):
        heights, edges, _ = (
            plots.event_display(ids, elements, time, detector="D0X", config=config).axes[0].patches[0].get_data()
        )
        assert (heights[73], heights[159], heights.sum(), edges[0], edges[-1]) == (2, 1, 3, 0.5, 160.5)
    points = plots.event_display(ids, elements, times, detector="D0X", config=plots.PlotConfig(style="points"))
    assert np.asarray(points.axes[0].collections[0].get_offsets()).tolist() == [[74, 891], [74, 895], [160, 9000]]


@pytest.mark.parametrize("style", ["cells", "points", "bars"])
@pytest.mark.parametrize("detector", [None, "D0X"])
@pytest.mark.parametrize("with_time", [True, False])
def test_events_without_a_hit_are_drawn(style: Any, detector: str | None, with_time: bool) -> None:
    config = plots.PlotConfig(style=style, width=6, height=4, dpi=40)
    figure = plots.event_display([], [], [] if with_time else None, detector=detector, config=config)
    assert imread(io.BytesIO(png(figure, config.dpi))).shape == (160, 240, 4)


def test_event_display_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"one value per hit; found shapes \[\(2,\), \(1,\), None\]"):
        plots.event_display([1, 2], [1])
    with pytest.raises(KeyError, match="no detector 'D9'; known: D0V"):
        plots.event_display([1], [1], detector="D9")


def test_plot_config_is_strict_and_reads_yaml() -> None:
    config = plots.PlotConfig.from_yaml("style: points\ncolour_map: cividis\nwidth: 8\ntitle: Mine\n")
    assert (config.style, config.colour_map, config.width, config.title) == ("points", "cividis", 8, "Mine")
    assert plots.PlotConfig.from_yaml(config.to_yaml()) == config
    figure = plots.event_display([3], [74], config=config)
    assert figure.get_figwidth() == 8
    assert "Mine" in words(figure)
    for text, message in (
        ("styel: points", "unknown key 'styel'"),
        ("style: jet", "style"),
        ("dpi: 100000", "dpi"),
        ("width: .nan", "width"),
        ("colour_map: jet", "colour_map"),
    ):
        with pytest.raises(InvalidParameters, match=message):
            plots.PlotConfig.from_yaml(text)


def test_files_open_with_the_right_size_and_carry_provenance(spill: xr.Dataset, tmp_path: Path) -> None:
    path = plots.save(plots.overall(spill), tmp_path / "deep" / "map.png", provenance=json.dumps({"source": "Straße"}))
    picture = imread(path)
    assert picture.shape[:2] == (1500, 2400)
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 100  # not blank
    with Image.open(path) as image:
        assert json.loads(image.text["Provenance"]) == {"source": "Straße"}  # type: ignore[attr-defined]
    assert [file.name for file in path.parent.iterdir()] == ["map.png"]


def test_hostile_text_is_drawn_as_text(small: xr.Dataset) -> None:
    names = ("$\\frac{1$", "\u202e\x00\n\x1b[31m", "漢字" * 500, "_" * 5000, "")
    table = DetectorTable(tuple(Detector(n or "x", i + 1, 9, n or "g", n) for i, n in enumerate(names)))
    dataset = small.assign_coords(file=("file", ["$" + names[2]])).assign_attrs(cut=names[0] * 200, status="partial")
    for figure in (
        plots.overall(dataset, table=table, title=names[0], label=names[1]),
        plots.heatmap(dataset, table=table),
        plots.group(dataset, names[0], table=table),
        plots.event_display([1], [1], title=names[3], table=table, detector=names[1]),
    ):
        assert len(png(figure)) > 1000
    assert max(map(len, plots.statistics(dataset, table=table).splitlines())) < 200
    assert describe(dataset).endswith("PARTIAL")


def test_planes_outside_the_table_are_drawn_last(small: xr.Dataset) -> None:
    sizes = xr.DataArray(np.where(small["detector_id"] == 9, 40, 0), dims="detector_id")
    dataset = small.assign_coords(n_elements=("detector_id", sizes.values))
    dataset["hits"].loc[{"detector_id": 9, "element_id": 40}] = 77
    figure = plots.overall(dataset)
    assert cells(values(figure))[56, 40] == 77
    assert figure.axes[0].get_xticklabels()[-1].get_text() == "ID 9"
    assert cells(values(plots.group(dataset, OTHER))) == {(0, 40): 77}


def test_no_hit_at_all_is_a_picture_too(small: xr.Dataset) -> None:
    empty = xr.zeros_like(small).assign(hits_per_event=("event", np.zeros(3, np.int32)))
    for figure in (
        plots.overall(empty),
        plots.overall(empty, mode="detector"),
        plots.group(empty, "Prop 1"),
        plots.heatmap(empty),
        plots.hits_per_event(empty),
    ):
        assert len(png(figure)) > 1000
    assert "0.00% (0 of 4,768" in plots.statistics(empty)


def test_threads_draw_the_same_pictures(small: xr.Dataset) -> None:
    wanted = png(plots.overall(small))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: png(plots.overall(small)), range(8))) == {wanted}
