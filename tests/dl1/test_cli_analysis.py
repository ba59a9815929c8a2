"""Tables, results and mapped images by the command line, compared with what the functions give."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from click.testing import CliRunner

from detcore import dl1
from detcore.cli import main
from detcore.dl1 import generator
from detcore.dl1.api import reduce
from detcore.dl1.demo import write_demo
from detcore.dl1.products import read_result
from detcore.dl1.steps import Cuts

if TYPE_CHECKING:
    from click.testing import Result


def detcore(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["dl1", *map(str, arguments)], prog_name="detcore")


def good(*arguments: object) -> str:
    done = detcore(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("demo"))


def test_parameters_of_all_cameras_are_those_of_the_file(demo, tmp_path):
    output = good("parameters", demo[0], "--output", tmp_path / "all.csv")
    table = pd.read_csv(tmp_path / "all.csv")
    assert f"wrote {len(table):,} images" in output
    with dl1.open(demo[0]) as file:
        assert dict(table.tel_id.value_counts()) == {tel_id: file.n_images(tel_id) for tel_id in file.telescopes.index}
        stored = pd.concat([file.parameters(tel_id) for tel_id in file.telescopes.index])
    both = table.merge(stored, on=["obs_id", "event_id", "tel_id"], suffixes=("", "_file"))
    assert len(both) == len(table)
    for name in ("hillas_intensity", "hillas_length", "hillas_psi", "timing_slope", "concentration_core"):
        np.testing.assert_allclose(both[name], both[f"{name}_file"], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("spelling", ["--min-intensity", "--min_intensity"])
def test_cuts_and_cleaning_by_either_spelling(demo, tmp_path, spelling):
    good("parameters", demo[0], "--output", tmp_path / "some.h5", "--camera", "LSTCam", spelling, 200, "--particle", 0)
    with h5py.File(tmp_path / "some.h5") as file:
        table = file["parameters"][:]
        units = {
            name: file["parameters"].attrs[f"CTAFIELD_{number}_UNIT"]
            for number, name in enumerate(table.dtype.names)
            if f"CTAFIELD_{number}_UNIT" in file["parameters"].attrs
        }
    assert units["hillas_width"] == b"deg"
    data = reduce(demo[0], camera="LSTCam", min_intensity=200, particle=(0,), parts=("table",))
    assert len(table) == data.sizes["image"] > 20
    np.testing.assert_array_equal(table["hillas_width"], data["hillas_width"])
    assert set(table["camera"]) == {b"LSTCam"}
    assert set(table["particle"]) == {0}


def test_stereo_says_how_far_off_it_is(demo, tmp_path):
    output = good("stereo", demo[0], "--output", tmp_path / "s.csv", "--particle", "0", "--picture", 7, "--boundary", 4)
    table = pd.read_csv(tmp_path / "s.csv")
    assert len(table) > 40
    assert table.direction_error.median() < 0.1
    assert "direction error: half below 0.0" in output
    assert "core error: half below" in output


def test_muon_rings_are_those_of_muons(demo, tmp_path):
    good("muons", demo[0], "--output", tmp_path / "m.csv")
    table = pd.read_csv(tmp_path / "m.csv")
    assert set(table[table.obs_id == 3].event_id) == set(_events(demo[0]).query("obs_id == 3").event_id)
    assert len(table) < 30, "hardly any shower is as round"
    assert table.muonring_radius.between(0.5, 1.5).all()


def _events(path):
    with dl1.open(path) as file:
        return file.events


def test_mapped_images_of_those_that_pass(demo, tmp_path):
    output = good(
        "images", demo[1], "--output", tmp_path / "i.h5", "--mapping", "bilinear_interpolation", "--size", 60,
        "--channel", "image", "--camera", "LSTCam", "--min-pixels", 10,
    )  # fmt: skip
    data = reduce(demo[1], camera="LSTCam", min_pixels=10, parts=("table",))
    assert f"LSTCam: {data.sizes['image']:,} images of 60 x 60 x 1, bilinear_interpolation" in output
    with h5py.File(tmp_path / "i.h5") as file:
        stored, rows, tel_ids = (file["LSTCam"][name][:] for name in ("image", "row", "tel_id"))
        energy = file["LSTCam"]["true_energy"][:]
    with dl1.open(demo[1]) as file:
        camera = file.camera(1)
        mapper = dl1.ImageMapper(
            cameras=[camera], mapping_method="bilinear_interpolation", interpolation_image_shape=60
        )
        for number in (0, len(rows) // 2, -1):
            image = file.rows(int(tel_ids[number]), indices=[rows[number]])
            expected = mapper.map_images(image["image"].values, camera)
            np.testing.assert_allclose(stored[number, ..., 0], expected[0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(np.sort(energy), np.sort(data["true_energy"]), rtol=1e-6)


def test_a_mapping_for_hexagons_leaves_squares_out_and_says_so(demo, tmp_path):
    done = detcore("images", demo[0], "--output", tmp_path / "i.h5", "--mapping", "image_shifting")
    assert done.exit_code == 1
    assert "CHEC: image_shifting is for hexagonal pixels" in done.output
    with h5py.File(tmp_path / "i.h5") as file:
        assert set(file) == {"LSTCam", "FlashCam"}
        assert file["LSTCam"]["image"].shape[1:] == (55, 55, 2)
    done = detcore(
        "images", demo[0], "--output", tmp_path / "none.h5", "--mapping", "image_shifting", "--camera", "CHEC"
    )
    assert done.exit_code == 1
    assert not (tmp_path / "none.h5").exists()


def test_a_run_writes_everything(demo, tmp_path):
    output = good("run", demo[0], "--output", tmp_path, "--camera", "LSTCam", "--energy-min", 0.2)
    names = {path.name.removeprefix("gamma_LSTCam") for path in tmp_path.iterdir()}
    tables = {".parameters.csv", ".parameters.h5", ".pixels.csv", ".distributions.csv"}
    assert names == {".nc", ".mask.npy", ".mask.yaml", ".png"} | tables
    assert "E >= 0.2 TeV" in output
    data, expected = read_result(tmp_path / "gamma_LSTCam.nc"), reduce(demo[0], camera="LSTCam", energy_min=0.2)
    for name in ("mean", "occupancy", "hillas_width"):
        xr.testing.assert_allclose(
            data[name].drop_vars(data[name].coords), expected[name].drop_vars(expected[name].coords)
        )
    assert json.loads(data.attrs["provenance"])


def test_pixels_out_of_order_are_named(demo, tmp_path):
    output = good("run", demo[0], "--output", tmp_path, "--camera", "LSTCam", "--no-png")
    first = generator.array()[0]
    assert f"telescope 1: {len(first.dead)} dead: {', '.join(map(str, first.dead))}" in output
    assert f"telescope 1: 1 noisy: {first.noisy[0]}" in output
    listed = yaml.safe_load((tmp_path / "gamma_LSTCam.mask.yaml").read_text())
    assert listed["telescopes"][1]["dead"] == list(first.dead)
    assert not list(tmp_path.glob("*.png"))


def test_every_camera_has_its_results(demo, tmp_path):
    output = good("run", demo[1], "--output", tmp_path, "--telescopes", "1,6", "--no-png", "--name", "two")
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"two_LSTCam", "two_FlashCam"}
    assert "telescopes 1, 6" in output


def test_times_in_samples_and_in_ns_are_not_mixed(demo, tmp_path):
    done = detcore("parameters", demo[0].parent, "--output", tmp_path / "p.csv", "--camera", "CHEC")
    assert done.exit_code == 1
    assert "gamma_ctaml.h5: its times are in sample, those before in ns" in done.output
    assert len(pd.read_csv(tmp_path / "p.csv")) == reduce(demo[0], camera="CHEC", parts=()).n_read.sum()


def test_wrong_arguments_are_told(demo, tmp_path):
    for arguments, words in (
        (("parameters", demo[0], "--output", tmp_path / "a.txt"), "ends in .csv or .h5"),
        (("parameters", demo[0], "--output", tmp_path / "a.csv", "--camera", "Own"), "there are LSTCam"),
        (("run", demo[0], "--expression", "secret > 1"), "no column 'secret'"),
        (("run", demo[0], "--energy-min", "2", "--energy-max", "1"), "energy_min is 2"),
        (("images", demo[0], "--output", tmp_path / "a.h5", "--mapping", "magic"), "'magic' is not one of"),
    ):
        done = detcore(*arguments)
        assert done.exit_code == 2, done.output
        assert words in done.output
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_read_are_one_line_each(demo, tmp_path):
    whole = demo[0].read_bytes()
    (tmp_path / "cut.dl1.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("no images")
    os.link(demo[0], tmp_path / "fine.dl1.h5")
    done = detcore("parameters", tmp_path, "--output", tmp_path / "out.csv", "--camera", "CHEC")
    assert done.exit_code == 1
    assert "cut.dl1.h5" in done.output
    assert "text.h5" in done.output
    with dl1.open(demo[0]) as file:
        n = sum(file.n_images(tel_id) for tel_id in range(11, 19))
    assert len(pd.read_csv(tmp_path / "out.csv")) == n
    for name in ("cut.dl1.h5", "text.h5"):
        done = detcore("run", tmp_path / name, "--output", tmp_path / "results")
        assert done.exit_code == 1
        assert name in done.output
    assert not (tmp_path / "results").exists()


def test_a_file_need_not_have_the_camera_that_others_have(demo, shared, tmp_path):
    other = shared / "data/dl1/gct_checs_muons.dl1.h5"
    good("parameters", demo[0], other, "--output", tmp_path / "p.csv", "--camera", "FlashCam")
    table = pd.read_csv(tmp_path / "p.csv")
    assert len(table) == reduce(demo[0], camera="FlashCam", parts=()).n_read.sum()


def test_parameters_of_a_real_file_with_its_own_cleaning(real_file, tmp_path):
    good("parameters", real_file, "--output", tmp_path / "p.csv", "--cleaning", "file")
    table = pd.read_csv(tmp_path / "p.csv")
    with dl1.open(real_file) as file:
        stored = [file.parameters(tel_id) for tel_id in file.telescopes.index]
    stored = pd.concat([one for one in stored if one is not None])
    both = table.merge(stored, on=["obs_id", "event_id", "tel_id"], suffixes=("", "_file"))
    assert len(both) == len(stored) == len(table)
    for name in ("hillas_intensity", "hillas_width", "hillas_width_uncertainty", "leakage_intensity_width_2"):
        np.testing.assert_allclose(both[name], both[f"{name}_file"], rtol=1e-5, err_msg=name)


def test_what_the_dashboard_copies_is_understood(demo, tmp_path):
    cuts = Cuts(
        telescopes="1,3,12", picture=7.5, boundary=3.5, min_neighbors=1, time_limit=4, main_island=True, min_pixels=4,
        min_intensity=-2, energy_min=0.1, multiplicity_min=2, multiplicity_max=14, particle="0,101",
        expression="(hillas_width < 0.4) & (leakage_pixels_width_1 < 0.5)",
    )  # fmt: skip
    good("parameters", *cuts.to_arguments(), demo[0], "--output", tmp_path / "p.csv", "--camera", "LSTCam")
    table = pd.read_csv(tmp_path / "p.csv")
    expected = reduce(demo[0], camera="LSTCam", parts=("table",), **cuts.model_dump())
    assert 0 < len(table) < reduce(demo[0], camera="LSTCam", parts=()).n_read.sum()
    np.testing.assert_allclose(table.hillas_psi, expected.hillas_psi)
    np.testing.assert_array_equal(table.event_id, expected.event_id)
