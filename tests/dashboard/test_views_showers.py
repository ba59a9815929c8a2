"""Overlaid curves and projections as Bokeh models; no browser."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.views.overlay import Overlay, Sample
from dashboard.views.projections import Map, Projections, rasterize

EDGES = np.array([0.0, 1.0, 2.0, 4.0])
FIRST = Sample("Geant4", np.array([4.0, 16.0, 0.0]), np.array([2.0, 4.0, 0.0]))
OTHER = Sample("generated", np.array([5.0, 12.0, 1.0]), np.array([1.0, 3.0, 1.0]))


def test_curves_have_bands_and_ratios_to_the_first() -> None:
    overlay = Overlay("Energy (GeV)", "Showers")
    overlay.show(EDGES, [FIRST, OTHER], title="no cut")
    (first, _), (other, outline) = overlay.sources
    np.testing.assert_array_equal(other.data["low"], [4.0, 9.0, 0.0])
    np.testing.assert_array_equal(other.data["high"], [6.0, 15.0, 2.0])
    np.testing.assert_array_equal(other.data["ratio"], [1.25, 0.75, np.nan])
    np.testing.assert_array_equal(other.data["ratio_error"], [0.25, 3 / 16, np.nan])
    np.testing.assert_array_equal(first.data["ratio_high"], [1.5, 1.25, np.nan])
    np.testing.assert_array_equal(outline.data["x"], [0, 1, 1, 2, 2, 4])
    np.testing.assert_array_equal(outline.data["y"], [5, 5, 12, 12, 1, 1])
    assert overlay.ratio.visible
    assert overlay.ratio.yaxis[0].axis_label == "Ratio"
    assert overlay.ratio.x_range is overlay.figure.x_range
    assert [item.label.value for item in overlay._legend.items] == ["Geant4", "generated"]
    overlay.show(EDGES, [FIRST])
    assert not overlay.ratio.visible
    assert len(other.data["value"]) == 0
    assert overlay.figure.xaxis[0].axis_label == "Energy (GeV)"


def test_on_a_logarithmic_axis_nothing_is_below_the_floor() -> None:
    overlay = Overlay("Energy (GeV)", "Showers", log_y=True)
    overlay.show(EDGES, [FIRST, OTHER])
    for bins, outline in overlay.sources:
        assert bins.data["low"].min() > 0
        assert np.min(outline.data["y"]) > 0
    assert overlay.figure.y_range.start > 0
    overlay.scale(log_y=False)
    assert overlay.sources[0][1].data["y"][-1] == 0
    assert overlay.figure.y_range.start == 0


def test_a_zoom_survives_new_values_in_the_same_bins() -> None:
    overlay = Overlay("Energy (GeV)", "Showers")
    overlay.show(EDGES, [FIRST, OTHER])
    overlay.figure.x_range.update(start=1.0, end=2.0)
    overlay.show(EDGES, [FIRST, Sample("generated", [5.0, 11.0, 1.0])])
    assert (overlay.figure.x_range.start, overlay.figure.x_range.end) == (1.0, 2.0)


def test_arrays_that_do_not_fit_are_refused_and_names_are_no_formulas() -> None:
    overlay = Overlay("Energy (GeV)", "Showers")
    with pytest.raises(ValueError, match="3 bins expected"):
        overlay.show(EDGES, [Sample("a", [1.0, 2.0])])
    with pytest.raises(ValueError, match="ascending edges"):
        overlay.show([1, 1, 2], [Sample("a", [1.0, 2.0])])
    overlay.show(EDGES, [FIRST, Sample("$$x$$", [1, 2, 3])], title="$$y$$")
    assert not overlay._legend.items[1].label.value.startswith("$$")
    assert not overlay.figure.title.text.startswith("$$")


def points() -> np.ndarray:
    rng = np.random.default_rng(2)
    layer = rng.integers(0, 30, 2000)
    return np.column_stack([rng.normal(0, 10, (2000, 2)), layer, rng.lognormal(-8, 1, 2000)]).astype(np.float32)


def test_projections_sum_the_energy_of_a_shower_and_zoom_together() -> None:
    views, shower = Projections(), points()
    views.show_points(shower, title="shower 1")
    total = shower[:, 3].astype(float).sum() * 1000
    for source in views.sources.values():
        drawn = float(np.nansum(source.data["image"][0].astype(float)))
        assert 0.98 * total < drawn <= 1.0001 * total
    expected = np.bincount(shower[:, 2].astype(int), shower[:, 3].astype(float) * 1000, 30)
    sums = np.nansum(views.sources["lx"].data["image"][0], axis=0)
    np.testing.assert_allclose(sums, expected, rtol=0.1)
    assert views.figures["xy"].x_range is views.figures["lx"].y_range
    assert views.figures["xy"].y_range is views.figures["ly"].y_range
    assert views.figures["lx"].x_range is views.figures["ly"].x_range
    assert (views.ranges["layer"].start, views.ranges["layer"].end) == (-0.5, 29.5)
    views.ranges["layer"].update(start=9.5, end=12.5)
    views._look_again()
    near = (shower[:, 2] >= 10) & (shower[:, 2] <= 12)
    drawn = float(np.nansum(views.sources["xy"].data["image"][0].astype(float)))
    assert drawn == pytest.approx(float(shower[near, 3].astype(float).sum() * 1000), rel=0.03)


def test_bins_are_as_wide_as_cells_and_begin_at_their_edges() -> None:
    cells = np.array([[2.5, 2.5, 3, 1.0], [7.5, 2.5, 3, 2.0], [7.5, 2.5, 4, 4.0]])
    seen = {"x": (-50.0, 50.0, False), "y": (-50.0, 50.0, False), "layer": (-0.5, 9.5, False)}
    raster = rasterize(cells, seen, "xy", 5.0)
    assert raster is not None
    assert raster.values.shape == (20, 20)
    assert (raster.left, raster.right) == (-50, 50)
    assert np.isfinite(raster.values).sum() == 2
    assert raster.values[10, 10] == 1
    assert raster.values[10, 11] == 6


def test_mean_maps_are_drawn_as_they_are() -> None:
    views = Projections(layers=30, ecal_layers=20)
    values = np.arange(12.0).reshape(3, 4)
    views.show_maps({"lx": Map(values, np.arange(5) * 7.5 - 0.5, [-30, -10, 10, 30])}, title="mean of 7 showers")
    image = views.sources["lx"].data["image"][0]
    assert np.isnan(image[0, 0])
    np.testing.assert_array_equal(image.ravel()[1:], values.ravel()[1:])
    assert views.sources["lx"].data["dh"] == [60]
    assert len(views.sources["xy"].data["image"]) == 0
    assert views._borders[0].visible
    assert views._borders[0].location == 19.5
    with pytest.raises(ValueError, match="xy: 3 rows and 4 columns expected"):
        views.show_maps({"xy": Map(values.T, np.arange(5), np.arange(4))})
