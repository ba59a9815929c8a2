"""What a run leaves behind is read again, and equals the result; what fails does not take the rest along."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import tables
import xarray as xr
import yaml
from PIL import Image

from detcore.dl1 import demo
from detcore.dl1.analysis import event_table, statistics_flags, stereo_events
from detcore.dl1.api import reduce
from detcore.dl1.columns import camera_of
from detcore.dl1.eventindex import events_of, file_of
from detcore.dl1.images.mapper import ImageMapper, image_mapping
from detcore.dl1.mappedfile import _group_name
from detcore.dl1.products import (
    SUFFIXES,
    InvalidResult,
    read_result,
    stem_of,
    write_all,
    write_images,
    write_mask,
    write_parameters,
)
from detcore.dl1.steps import Cuts, clean


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return demo.write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def result(simulated):
    return reduce(simulated[0], camera="LSTCam", min_intensity=60)


@pytest.fixture(scope="module")
def products(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "new"
    seen = []
    written, problems = write_all(result, folder, "some/where/gamma.dl1.h5", progress=lambda *one: seen.append(one))
    assert problems == []
    assert [path.name for path in written] == [f"gamma{suffix}" for suffix in SUFFIXES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written), "nothing else"
    assert [one[0] for one in seen] == list(range(len(SUFFIXES) + 1))
    return folder


def test_the_whole_result_is_read_back(products, result):
    back = read_result(products / "gamma.nc")
    for name, variable in result.variables.items():
        if variable.dtype.kind in "iuf":
            np.testing.assert_array_equal(back[name], variable, err_msg=str(name))
            assert back[name].attrs.get("units", "") == variable.attrs.get("units", "")
    assert camera_of(back) == camera_of(result)
    assert back.attrs["cut"] == result.attrs["cut"] == "tail-cuts 10/5 p.e., 2 neighbours; intensity >= 60 p.e."
    assert json.loads(back.attrs["provenance"]) == json.loads(result.attrs["provenance"])
    xr.testing.assert_equal(statistics_flags(back), statistics_flags(result))
    pd.testing.assert_frame_equal(event_table(back), event_table(result))


def test_parameters_of_each_image(products, result):
    wanted = event_table(result)
    found = pd.read_csv(products / "gamma.parameters.csv")
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)
    with tables.open_file(str(products / "gamma.parameters.h5")) as file:
        stored = file.root.parameters
        assert stored.colnames == list(wanted)
        for name in wanted:
            np.testing.assert_array_equal(stored.col(name), wanted[name], err_msg=name)
        bright = stored.read_where("hillas_intensity > 500")
        assert len(bright) == (wanted["hillas_intensity"] > 500).sum() > 0
        assert stored.attrs[f"CTAFIELD_{stored.colnames.index('hillas_width')}_UNIT"] == "deg"


def test_ctapipe_reads_the_parameters_with_their_units(ctapipe, products, result):
    from ctapipe.io import read_table  # noqa: PLC0415

    found = read_table(products / "gamma.parameters.h5", "/parameters")
    assert str(found["hillas_width"].unit) == "deg"
    np.testing.assert_array_equal(found["hillas_width"].value, result["hillas_width"])
    np.testing.assert_array_equal(found["hillas_intensity"], result["hillas_intensity"])


def test_statistics_of_each_pixel(products, result):
    found = pd.read_csv(products / "gamma.pixels.csv")
    camera, flags = camera_of(result), statistics_flags(result)
    assert len(found) == result["mean"].size
    for k, tel_id in enumerate(result["telescope"].values):
        mine = found[found["telescope"] == tel_id]
        np.testing.assert_array_equal(mine["pixel"], np.arange(camera.n_pixels))
        np.testing.assert_allclose(mine["pixel_x"], camera.pixel_x)
        for name in ("mean", "std", "occupancy", "survival", "time_mean", "pixel_count"):
            np.testing.assert_allclose(mine[name], result[name][k], rtol=1e-12, err_msg=name)
        np.testing.assert_array_equal(mine["dead"], flags["dead"][k])


def test_masks_in_three_formats_say_the_same(products, result, tmp_path):
    flags = statistics_flags(result)
    assert flags["dead"].sum() == 3
    np.testing.assert_array_equal(np.load(products / "gamma.mask.npy", allow_pickle=False), flags["pixel_mask"])
    listed = yaml.safe_load((products / "gamma.mask.yaml").read_text())
    assert (listed["camera"], listed["dead_below"], listed["noisy_above"]) == ("LSTCam", 0.2, 6.0)
    assert listed["too_few_images"] == []
    write_mask(flags, tmp_path / "bad.csv")
    rows = pd.read_csv(tmp_path / "bad.csv")
    for k, tel_id in enumerate(flags["telescope"].values.tolist()):
        for kind in ("dead", "noisy"):
            wanted = np.flatnonzero(flags[kind][k]).tolist()
            assert listed["telescopes"][tel_id][kind] == wanted
            assert rows.loc[(rows["telescope"] == tel_id) & rows[kind], "pixel"].tolist() == wanted
    assert rows["pixel_mask"].isin([2, 16]).all()


def test_distributions_add_up(products, result):
    found = pd.read_csv(products / "gamma.distributions.csv")
    for name in ("hillas_width", "n_pixels"):
        mine = found[found["parameter"] == name]
        assert mine["images"].sum() == int(result[f"dist_{name}"].sum()) > 0
        one = mine[mine["telescope"] == int(result["telescope"][1])]
        np.testing.assert_array_equal(one["images"], result[f"dist_{name}"][1])
        np.testing.assert_allclose(one["low"], result[f"edge_{name}"][:-1], rtol=1e-12)


def test_the_picture_has_content_and_says_what_it_was_made_of(products, result):
    with Image.open(products / "gamma.png") as image:
        assert min(image.size) > 600
        pixels = np.asarray(image.convert("RGB"))
        assert json.loads(image.text["Provenance"]) == json.loads(result.attrs["provenance"])
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    boxes = [part for row in np.array_split(pixels, 3) for part in np.array_split(row, 3, axis=1)]
    assert all((part < 200).any(axis=2).mean() > 0.01 for part in boxes), "no empty place"


def test_only_what_is_wanted_and_only_what_there_is(result, simulated, tmp_path):
    written, _ = write_all(result, tmp_path, "a.h5", only=(".mask.npy", ".png"))
    assert [path.name for path in written] == ["a.mask.npy", "a.png"]
    less = reduce(simulated[0], camera="LSTCam", parts=("pixels",))
    written, problems = write_all(less, tmp_path / "less", "a.h5")
    assert problems == []
    assert [path.name for path in written] == ["a.nc", "a.pixels.csv", "a.mask.npy", "a.mask.yaml", "a.png"]
    none = reduce(simulated[0], camera="LSTCam", parts=(), min_intensity=1e9)
    written, problems = write_all(none, tmp_path / "none", "a.h5")
    assert ([path.name for path in written], problems) == (["a.nc", "a.png"], [])


def test_without_images_nothing_fails(simulated, tmp_path):
    empty = reduce(simulated[0], camera="LSTCam", min_intensity=1e9)
    written, problems = write_all(empty, tmp_path, "a.h5")
    assert problems == []
    assert len(written) == len(SUFFIXES)
    assert len(pd.read_csv(tmp_path / "a.parameters.csv")) == 0
    with tables.open_file(str(tmp_path / "a.parameters.h5")) as file:
        assert len(file.root.parameters) == 0


def test_one_that_fails_does_not_stop_the_others_and_leaves_nothing(result, tmp_path):
    (tmp_path / "a.mask.npy").mkdir()
    (tmp_path / "a.parameters.h5").mkdir()
    only = (".nc", ".mask.npy", ".parameters.h5", ".mask.yaml")
    written, problems = write_all(result, tmp_path, "a.h5", only=only)
    assert [path.name for path in written] == ["a.nc", "a.mask.yaml"]
    assert sorted(problem.part for problem in problems) == [
        str(tmp_path / "a.mask.npy"),
        str(tmp_path / "a.parameters.h5"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mask.npy", "a.mask.yaml", "a.nc", "a.parameters.h5"]


def test_tables_of_showers_and_texts(simulated, tmp_path):
    showers = stereo_events(simulated, Cuts(multiplicity_min=10))
    for ending in (".csv", ".h5"):
        write_parameters(showers, tmp_path / f"showers{ending}")
    with tables.open_file(str(tmp_path / "showers.h5")) as file:
        stored = file.root.parameters[:]
    assert stored["file"].tolist() == [str(one).encode() for one in showers["file"]]
    np.testing.assert_array_equal(stored["core_x"], showers["core_x"])
    found = pd.read_csv(tmp_path / "showers.csv")
    np.testing.assert_allclose(found["alt"], showers["alt"], rtol=1e-12)


def test_endings_that_are_not_known(result, tmp_path):
    with pytest.raises(ValueError, match=r"\.csv or \.h5"):
        write_parameters(result, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"\.npy, \.csv or \.yaml"):
        write_mask(statistics_flags(result), tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [("/a/b/gamma.dl1.h5", "gamma"), ("c:\\x\\run_1.hdf5", "run_1"), ("a.nc", "a"), (".h5", "dl1"), ("x/", "x")],
)
def test_names_of_products(name, stem):
    assert stem_of(name) == stem


def test_other_files_are_no_results(products, tmp_path):
    (tmp_path / "a.nc").write_text("text")
    with pytest.raises(InvalidResult, match="another kind of file"):
        read_result(tmp_path / "a.nc")
    with pytest.raises(InvalidResult, match="another content"):
        read_result(products / "gamma.parameters.h5")
    damaged = xr.load_dataset(products / "gamma.nc", engine="h5netcdf")
    damaged.attrs["camera"] = json.dumps({"name": "LSTCam", "shape": "triangle"})
    damaged.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(InvalidResult, match="triangle"):
        read_result(tmp_path / "b.nc")
    with pytest.raises(FileNotFoundError):
        read_result(tmp_path / "none.nc")


def test_names_of_groups_are_possible_and_different():
    assert _group_name("LSTCam", set()) == "LSTCam"
    assert _group_name("../a/b", set()) == "_a_b"
    assert _group_name(".", {"_"}) == "__2"
    assert _group_name("", {"camera", "camera_2"}) == "camera_3"


class TestMappedImages:
    @pytest.mark.parametrize("number", [0, 1])
    def test_images_are_those_of_the_mapper(self, simulated, tmp_path, number):
        path, seen = simulated[number], []
        written, problems = write_images(
            path, "bilinear_interpolation", tmp_path / "a.h5", progress=lambda *one: seen.append(one)
        )
        assert problems == []
        assert seen[-1] == (len(seen) - 1, len(seen) - 1, "")
        file, events = file_of(path), events_of(path).set_index(["obs_id", "event_id"])
        with h5py.File(tmp_path / "a.h5") as stored:
            assert set(stored) == set(written) == {"LSTCam", "FlashCam", "CHEC"}
            for name, shape in written.items():
                group = stored[name]
                tel_ids = [tel for tel in file.telescopes.index if file.telescopes.loc[tel, "camera"] == name]
                assert group["image"].shape == shape
                assert shape[0] == sum(file.n_images(tel) for tel in tel_ids)
                assert group["image"].attrs["channels"].tolist() == ["image", "peak_time"]
                assert group["image"].attrs["units"].tolist() == ["p.e.", file.time_unit]
                camera = file.camera(tel_ids[0])
                mapper = ImageMapper(mapping_method={name: "bilinear_interpolation"}, cameras=[camera])
                for k in (0, shape[0] // 2, shape[0] - 1):
                    keys = (int(group[key][k]) for key in ("tel_id", "obs_id", "event_id"))
                    tel_id, obs_id, event_id = keys
                    data = file.image_of(tel_id, obs_id, event_id)
                    assert int(data["row"][0]) == group["row"][k]
                    both = np.stack([data["image"][0], data["peak_time"][0]], axis=-1)
                    np.testing.assert_allclose(group["image"][k], mapper.map_image(both, camera), rtol=1e-5, atol=1e-5)
                    assert group["true_energy"][k] == events.loc[(obs_id, event_id), "true_energy"]

    def test_cuts_cleaning_size_and_channels(self, simulated, tmp_path):
        cuts = Cuts(min_pixels=10, telescopes=(2,))
        written, _ = write_images(
            simulated[0],
            "nearest_interpolation",
            tmp_path / "a.h5",
            cameras=["LSTCam"],
            size=40,
            padding=2,
            channels=("image_mask", "image"),
            cuts=cuts,
            cleaned=True,
        )
        wanted = event_table(reduce(simulated[0], camera="LSTCam", **cuts.model_dump()))
        assert written == {"LSTCam": (len(wanted), 44, 44, 2)}
        with h5py.File(tmp_path / "a.h5") as stored:
            group = stored["LSTCam"]
            np.testing.assert_array_equal(group["row"], wanted["row"])
            image = group["image"][:]
            assert stored.attrs["cut"] == cuts.words()
        assert ((image[..., 0] > 0) | (image[..., 1] == 0)).all(), "nothing where nothing survived"
        file = file_of(simulated[0])
        data = file.rows(2, indices=[int(wanted["row"][3])])
        selected = clean(data["image"].values, data["peak_time"].values, None, file.camera(2), cuts)
        pixels = np.stack([selected[0], data["image"].values[0] * selected[0]], axis=-1).astype(np.float32)
        mapping = image_mapping(file.camera(2), "nearest_interpolation", 40, padding=2)
        np.testing.assert_allclose(image[3], mapping.apply(pixels[None])[0], rtol=1e-6)

    def test_a_camera_that_cannot_be_mapped_so_is_told(self, simulated, tmp_path):
        written, problems = write_images(simulated[0], "image_shifting", tmp_path / "a.h5")
        assert set(written) == {"LSTCam", "FlashCam"}
        assert [problem.part for problem in problems] == [f"{simulated[0]}: CHEC"]
        with pytest.raises(ValueError, match="CHEC"):
            write_images(simulated[0], "image_shifting", tmp_path / "b.h5", cameras=["CHEC"])
        assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]

    @pytest.mark.parametrize("channels", [(), ("charge",), ("image", "image")])
    def test_channels_that_cannot_be(self, simulated, tmp_path, channels):
        with pytest.raises(ValueError, match="channels"):
            write_images(simulated[0], "oversampling", tmp_path / "a.h5", channels=channels)

    def test_a_failure_leaves_the_old_file(self, simulated, tmp_path):
        (tmp_path / "a.h5").write_text("old")
        with pytest.raises(ValueError, match="unknown mapping method"):
            write_images(simulated[0], "none_such", tmp_path / "a.h5")

        def stop(number, *_):
            if number == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_images(simulated[0], "oversampling", tmp_path / "a.h5", progress=stop)
        assert (tmp_path / "a.h5").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
