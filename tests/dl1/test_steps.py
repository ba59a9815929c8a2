"""Cleaning and cuts: against the files' own tables, plain NumPy, and what people write."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from detcore import dl1
from detcore.core.parameters import InvalidParameters
from detcore.core.schema import MissingColumn
from detcore.dl1.api import open_files
from detcore.dl1.columns import CALCULATED, TABLE, CameraFacts, facts_of, same_pixels
from detcore.dl1.expression import InvalidExpression
from detcore.dl1.images.geometry import camera_of_positions
from detcore.dl1.steps import Chosen, Cuts, Parametrised, Passing, clean


def chunks_of(source):
    return [source.read(ref, frozenset()) for ref in source.plan()]


@pytest.fixture
def chunk(shared):
    """Three images of an LST, of three events."""
    return chunks_of(open_files(shared / "data/dl1/test_lasercal_v3.dl1.h5"))[0]


def through(chunk, **cuts):
    for step in Cuts(**cuts).steps():
        chunk = step.apply(chunk)
    return chunk


def test_parameters_are_those_of_the_file(real_file):
    """With the file's own cleaning, all that both have; times are fitted from random starts, see test_parameters."""
    compared = 0
    with dl1.open(real_file) as file:
        for camera in dl1.cameras(real_file):
            for chunk in chunks_of(open_files(real_file, camera)):
                found = Parametrised(cleaning="file").apply(chunk)
                np.testing.assert_array_equal(found["selected"], chunk["image_mask"])
                expected = file.parameters(int(chunk["tel_id"][0]))
                rows = chunk["row"].values
                for name in set(expected) & set(CALCULATED):
                    if name.startswith("timing"):
                        continue
                    values = expected[name].to_numpy()[rows]
                    single = name.startswith(("peak_time_", "intensity_"))  # ctapipe has these in single precision
                    tolerance = (2e-3, 2e-4) if single else (1e-6, 1e-9)
                    np.testing.assert_allclose(found[name], values, *tolerance, err_msg=name)
                    compared += values.size
                there = expected["morphology_n_pixels"].to_numpy()[rows] >= 0
                np.testing.assert_array_equal(found["n_pixels"][there], expected["morphology_n_pixels"][rows][there])
                np.testing.assert_array_equal(found["n_islands"][there], expected["morphology_n_islands"][rows][there])
    assert compared > 100


def test_a_step_adds_what_it_says_and_leaves_the_rest(chunk):
    found = Parametrised().apply(chunk)
    added = set(map(str, found.variables)) - set(map(str, chunk.variables))
    assert added == Parametrised().gives() - {"hillas_x", "hillas_y"}
    for name in chunk.variables:
        assert found[name].identical(chunk[name])
    assert found.attrs == chunk.attrs
    assert found["hillas_length"].attrs["units"] == "deg"
    empty = Parametrised().apply(chunk.isel(event=slice(0, 0)))
    assert {name: one.dtype for name, one in empty.variables.items()} == {
        name: one.dtype for name, one in found.variables.items()
    }


@pytest.mark.parametrize(
    "cuts", [{}, {"picture": 6, "boundary": 3, "min_neighbors": 1}, {"cleaning": "none"}, {"cleaning": "file"}]
)
def test_cleaning(chunk, cuts):
    camera = dl1.camera_of(chunk)
    found = Parametrised(**cuts).apply(chunk)["selected"].values
    expected = {
        "none": np.ones(chunk["image"].shape, bool),
        "file": chunk["image_mask"].values,
        "tailcuts": dl1.tailcuts(
            chunk["image"].values,
            camera,
            cuts.get("picture", 10),
            cuts.get("boundary", 5),
            cuts.get("min_neighbors", 2),
        ),
    }[cuts.get("cleaning", "tailcuts")]
    np.testing.assert_array_equal(found, expected)
    assert found.any()


def test_time_and_island_narrow_the_cleaning(chunk):
    camera, images, times = dl1.camera_of(chunk), chunk["image"].values, chunk["peak_time"].values
    wide = dl1.tailcuts(images, camera, 4, 2, 0)
    both = {"picture": 4, "boundary": 2, "min_neighbors": 0}
    timed = dl1.time_cleaning(wide, times, camera, 1, 0.5)
    found = Parametrised(**both, time_limit=0.5).apply(chunk)
    np.testing.assert_array_equal(found["selected"], timed)
    assert 0 < timed.sum() < wide.sum()
    main = Parametrised(**both, main_island=True).apply(chunk)
    np.testing.assert_array_equal(main["selected"], dl1.main_island(wide, camera, images))
    assert (main["n_islands"] == 1).all()
    assert (Parametrised(**both).apply(chunk)["n_islands"] > 1).any()
    one = clean(images[0], times[0], None, camera, Cuts(**both, time_limit=0.5))
    np.testing.assert_array_equal(one, timed[0])


def test_empty_and_single_pixel_images_have_counts_but_no_ellipse(chunk):
    images = np.zeros(chunk["image"].shape, np.float32)
    images[1, 7] = 50
    images[2, :2] = 50, 50  # neighbours or not: two pixels, and a negative one that spoils the parameters
    images[2, 900] = -30
    dark = chunk.assign(image=(("event", "pixel"), images))
    found = Parametrised(min_neighbors=0).apply(dark)
    assert found["n_pixels"].values.tolist()[:1] == [0]
    assert found["n_islands"].values[0] == 0
    assert np.isnan(found["hillas_length"].values[:2]).all()
    everything = Parametrised(cleaning="none").apply(dark)
    assert everything["n_pixels"].values.tolist() == [1855] * 3
    assert everything["morphology_n_pixels"].values[2] == -1, "ctapipe has none of images with a negative pixel"
    assert everything["n_islands"].values[2] == 1


def test_what_a_cleaning_needs_must_be_there(chunk):
    with pytest.raises(ValueError, match="holds no cleaning of its own"):
        Parametrised(cleaning="file").apply(chunk.drop_vars("image_mask"))
    with pytest.raises(ValueError, match="holds no peak times"):
        Parametrised(time_limit=2).apply(chunk.drop_vars("peak_time"))
    bare = Parametrised().apply(chunk.drop_vars("peak_time"))
    assert np.isnan(bare["peak_time_mean"]).all()
    assert np.isfinite(bare["hillas_width"]).all()
    with pytest.raises(MissingColumn, match="the parameters of images: needs image"):
        Parametrised().apply(chunk.drop_vars("image"))


def test_without_a_focal_length_lengths_are_in_metres(chunk):
    known = dl1.camera_of(chunk)
    bare = camera_of_positions("LSTCam", known.pixel_x, known.pixel_y)
    found = Parametrised().apply(chunk.assign_attrs(camera=facts_of(bare)))
    angles = Parametrised().apply(chunk)
    np.testing.assert_allclose(
        np.degrees(found["hillas_length"] / known.focal_length), angles["hillas_length"], rtol=1e-12
    )
    np.testing.assert_allclose(np.degrees(found["hillas_x"] / known.focal_length), angles["hillas_fov_lat"], rtol=1e-9)
    np.testing.assert_allclose(found["hillas_intensity"], angles["hillas_intensity"])
    assert found["hillas_length"].attrs["units"] == "m"
    assert "hillas_fov_lat" not in found


def test_samples_stay_samples(shared):
    (chunk, *_) = chunks_of(open_files(shared / "data/dl1/ctaml072_lasercal_zlib.h5"))
    found = Parametrised().apply(chunk)
    units = [found[name].attrs["units"] for name in ("timing_slope", "timing_intercept", "peak_time_mean")]
    assert units == ["sample / deg", "sample", "sample"]


@pytest.mark.parametrize(
    ("cuts", "kept"),
    [
        ({}, [0, 1, 2, 3]),
        ({"telescopes": "2,3"}, [1, 2]),
        ({"energy_min": 1}, [1, 3]),
        ({"energy_max": 1}, [0, 1]),
        ({"energy_min": 1, "energy_max": 1}, [1]),
        ({"multiplicity_min": 2}, [1, 2, 3]),
        ({"multiplicity_max": 2}, [0, 1]),
        ({"particle": (0, 101)}, [0, 1, 3]),
        ({"particle": -1}, [2]),
    ],
)
def test_cuts_on_events(chunk, cuts, kept):
    table = xr.Dataset(
        {
            "tel_id": ("event", [1, 2, 3, 4]),
            "true_energy": ("event", [0.5, 1.0, np.nan, 2.0]),
            "multiplicity": ("event", [1, 2, 3, 4]),
            "particle": ("event", [0, 101, -1, 0]),
            "image": (("event", "pixel"), np.arange(8).reshape(4, 2)),
        },
        attrs={"telescopes": (1, 2, 3, 4)},
    )
    step = Chosen(**cuts)
    found = step.apply(table)
    np.testing.assert_array_equal(found["image"], table["image"].values[kept])
    assert found["tel_id"].values.tolist() == [kept_one + 1 for kept_one in kept]
    assert found.attrs == table.attrs
    lean = table[[*step.needs(), "image"]]
    np.testing.assert_array_equal(step.apply(lean)["image"], found["image"])


def test_cuts_on_images(chunk):
    whole = through(chunk)
    sizes, pixels = whole["hillas_intensity"].values, whole["n_pixels"].values
    middle = float(np.sort(sizes)[1])
    assert through(chunk, min_intensity=middle)["event_id"].values.tolist() == (
        chunk["event_id"].values[sizes >= middle].tolist()
    )
    few = int(np.sort(pixels)[1])
    assert through(chunk, min_pixels=few + 1)["event_id"].values.tolist() == (
        chunk["event_id"].values[pixels > few].tolist()
    )
    condition = f"(hillas_intensity < {middle}) | (event_id == 101)"
    kept = through(chunk, expression=condition)
    expected = (sizes < middle) | (chunk["event_id"].values == 101)
    np.testing.assert_array_equal(kept["event_id"], chunk["event_id"].values[expected])
    np.testing.assert_array_equal(kept["selected"], whole["selected"].values[expected])
    assert kept.sizes["event"] == expected.sum() < 3
    assert Passing(min_intensity=5, min_pixels=2, expression="hillas_r < 1").needs() == {
        "hillas_intensity",
        "n_pixels",
        "hillas_r",
    }


def test_images_without_an_ellipse_pass_no_cut_on_it(chunk):
    dark = chunk.assign(image=(("event", "pixel"), np.zeros(chunk["image"].shape, np.float32)))
    assert through(dark).sizes["event"] == 3
    assert through(dark, min_intensity=0).sizes["event"] == 0
    assert through(dark, expression="hillas_length > 0").sizes["event"] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"expression": "nothing > 1"}, "there is no column 'nothing'"),
        ({"expression": "hillas_width >"}, "is no condition"),
        ({"expression": "__import__('os').getcwd() == 1"}, "is not understood"),
        ({"expression": "hillas_width"}, "expected a condition"),
        ({"energy_min": 2, "energy_max": 1}, "energy_min is 2 and energy_max 1"),
        ({"multiplicity_min": 3, "multiplicity_max": 2}, "multiplicity_min is 3"),
        ({"picture": -1}, "picture"),
        ({"boundary": float("nan")}, "boundary"),
        ({"min_neighbors": 7}, "min_neighbors"),
        ({"cleaning": "wavelets"}, "cleaning"),
        ({"particle": "gamma"}, "particle"),
        ({"threshold": 1}, "unknown key 'threshold'"),
    ],
)
def test_impossible_cuts_are_refused(wrong, words):
    with pytest.raises(InvalidParameters, match=words):
        Cuts.checked(wrong)


def test_a_condition_on_a_column_that_this_file_lacks(chunk):
    bare = chunk.drop_vars("true_energy")
    with pytest.raises((MissingColumn, InvalidExpression), match="true_energy"):
        through(bare, expression="true_energy > 1")
    with pytest.raises(MissingColumn, match="the cuts on events: needs true_energy"):
        through(bare, energy_min=1)


def test_texts_of_links_files_and_commands_come_back():
    cuts = Cuts(
        telescopes="1, 2", picture=8, cleaning="file", time_limit=2.5, main_island=True, min_intensity=50,
        particle=(0, -1), expression="(hillas_width > 0.1) & (leakage_pixels_width_1 < 0.2)",
    )  # fmt: skip
    assert cuts.telescopes == (1, 2)
    assert Cuts.from_query(cuts.to_query()) == cuts
    assert Cuts.from_yaml(cuts.to_yaml()) == cuts
    assert Cuts() == Cuts.from_query({})
    assert cuts.words() == (
        "cleaning of the file, neighbours within 2.5 ns, main island; telescopes 1, 2; gamma or positron; "
        "intensity >= 50 p.e.; (hillas_width > 0.1) & (leakage_pixels_width_1 < 0.2)"
    )


def test_no_step_without_a_cut():
    assert [type(step) for step in Cuts().steps()] == [Parametrised]
    assert [type(step) for step in Cuts(particle=0, min_pixels=3).steps()] == [Chosen, Parametrised, Passing]
    assert Cuts(particle=0, min_pixels=3).of_events() == (Chosen(particle=0),)


def test_every_calculated_column_may_be_named(chunk):
    found = Parametrised().apply(chunk)
    names = {str(name) for name in found.data_vars if found[name].dims == ("event",)}
    assert names <= {*TABLE, "entry", "first"}
    assert set(TABLE) - names == {"hillas_x", "hillas_y"}


def test_cameras_as_attributes(chunk):
    facts = chunk.attrs["camera"]
    camera = dl1.camera_of(chunk)
    copied = CameraFacts(facts)
    assert copied == facts
    assert (copied != facts) is False
    assert dl1.camera_of(dict(facts)) is camera, "a plain dictionary does as well"
    assert CameraFacts(facts | {"name": "other"}) != facts
    nameless = {name: value for name, value in facts.items() if name != "key"}
    assert dl1.camera_of(nameless) == camera
    with pytest.raises(ValueError, match="lacks pixel_x"):
        dl1.camera_of({"name": "LSTCam"})
    with pytest.raises(ValueError, match="expected the attribute camera"):
        dl1.camera_of(xr.Dataset())
    shifted = camera_of_positions("LSTCam", camera.pixel_x + 1e-4, camera.pixel_y)
    assert same_pixels(camera, shifted), "positions in single precision are the same pixels"
    assert not same_pixels(camera, camera_of_positions("LSTCam", camera.pixel_y, camera.pixel_x))
    assert not same_pixels(camera, camera.select(np.arange(camera.n_pixels) > 0))
