"""The files that results leave behind."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from detcore.area.detector import Detector
from detcore.area.plots import image_figure, limits_of, profile_figure
from detcore.area.products import write_all

SHAPE = (6, 8)


@pytest.fixture
def average():
    image = np.arange(48.0).reshape(SHAPE)
    data = xr.Dataset(
        {name: (("y", "x"), image + shift, {"units": "ADU"}) for shift, name in enumerate(("mean", "std"))}
    )
    return data.assign_attrs(provenance='{"a": 1}', status="complete", event_ids=(1, 2), odd=None)


@pytest.fixture
def profile():
    q = np.linspace(1, 2, 5)
    line = np.stack([q, 2 * q])
    data = {
        "intensity": (("azimuth", "q"), line),
        "error": (("azimuth", "q"), line / 10),
        "n_valid": (("azimuth", "q"), line),
    }
    return xr.Dataset(data, {"q": ("q", q, {"units": "1/Angstrom"}), "azimuth": [0.0, 90.0]})


def test_every_kind_of_file_of_an_average(average, tmp_path):
    written, problems = write_all(
        average, tmp_path, "run", only=(".nc", ".npy", ".h5", ".png"), detector=Detector(shape=SHAPE)
    )
    assert not problems
    assert sorted(path.name for path in written) == ["run.h5", "run.nc", "run.png", "run_mean.npy", "run_std.npy"]
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["mean"], average["mean"])
        assert back.attrs["provenance"] == '{"a": 1}'
    np.testing.assert_array_equal(np.load(tmp_path / "run_std.npy"), average["std"])
    with h5py.File(tmp_path / "run.h5") as file:
        np.testing.assert_array_equal(file["image"], average["mean"])
        assert file["image_std"].attrs["statistic"] == "std"
        assert file["cmask"].shape == SHAPE
        assert "odd" not in file.attrs
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_a_profile(profile, tmp_path):
    written, problems = write_all(profile, tmp_path, "p", only=(".csv", ".png", ".nc"))
    assert (len(written), problems) == (3, [])
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table.columns) == ["azimuth", "q", "intensity", "error", "n_valid"]
    assert len(table) == 10


def test_what_cannot_be_written_is_told(average, profile, tmp_path):
    written, problems = write_all(average, tmp_path, "x", only=(".csv", ".nc"))
    assert [path.name for path in written] == ["x.nc"]
    assert "only a profile" in problems[0].reason
    _, problems = write_all(profile, tmp_path, "x", only=(".h5",))
    assert "no image among intensity" in problems[0].reason
    with pytest.raises(ValueError, match=r"no file ends in '\.xls'"):
        write_all(average, tmp_path, "x", only=(".xls",))


def test_names_with_paths_become_names_of_netcdf(tmp_path):
    data = xr.Dataset(
        {
            "epix/ROI_0_sum": ("event", np.arange(3.0)),
            "epix/azav_azav": (("event", "epix/azav_azav_1"), np.zeros((3, 2))),
        }
    )
    write_all(data, tmp_path, "cube")
    with xr.open_dataset(tmp_path / "cube.nc", engine="h5netcdf") as back:
        assert set(back) == {"epix_ROI_0_sum", "epix_azav_azav"}


@pytest.mark.parametrize("image", [np.full((3, 4), np.nan), np.zeros((3, 4)), np.array([[np.inf, 1.0]])])
def test_limits_of_odd_images(image):
    low, high = limits_of(image)
    assert np.isfinite([low, high]).all()
    assert low < high
    image_figure(image, histogram=bool(np.isfinite(image).any()))


def test_figures_refuse_what_they_cannot_draw():
    with pytest.raises(ValueError, match="assemble panels first"):
        image_figure(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="hold no pixel"):
        image_figure(np.zeros((3, 4)), bounds=((5, 9), (0, 2)))


def test_profile_figure(profile):
    axes = profile_figure(profile, "t").axes[0]
    assert len(axes.lines) == 2
    assert axes.get_xlabel() == "q (1/Angstrom)"
    assert not profile_figure(profile.isel(azimuth=0, drop=True)).axes[0].get_legend()
