"""What a run leaves behind is read again, and equals the result; what fails does not take the rest along."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from detcore.core.outputs import csv_text
from detcore.showers import compare, correlations, linearity, read_result, reduce, write_all, write_comparison
from detcore.showers.products import SUFFIXES, InvalidResult, stem_of, table_of
from detcore.showers.reductions import OBSERVABLES
from detcore.showers.writer import write_ragged


@pytest.fixture(scope="module")
def result(tmp_path_factory, random_showers):
    path = tmp_path_factory.mktemp("in") / "photons.h5"
    write_ragged(path, random_showers(n=60))
    return reduce(path)


@pytest.fixture(scope="module")
def products(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "new"
    written, problems = write_all(result, folder, "some/where/photons.h5")
    assert problems == []
    assert [path.name for path in written] == [f"photons{suffix}" for suffix in SUFFIXES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written), "nothing else"
    return folder


def read(folder, suffix):
    return pd.read_csv(folder / f"photons{suffix}")


def test_the_whole_result_is_read_back(products, result):
    back = read_result(products / "photons.nc")
    for name, variable in result.variables.items():
        if variable.dtype.kind in "iuf":
            np.testing.assert_array_equal(back[name], variable, err_msg=str(name))
    assert json.loads(back.attrs["provenance"]) == json.loads(result.attrs["provenance"])
    assert back.attrs["geometry"] == result.attrs["geometry"]
    pd.testing.assert_frame_equal(correlations(back), correlations(result))


def test_a_row_for_each_shower(products, result):
    table = read(products, ".showers.csv")
    assert list(table) == ["shower", "pdg", *OBSERVABLES]
    assert len(table) == 60
    for name in table:
        np.testing.assert_allclose(table[name], result[name].values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("suffix", "dim", "names"),
    [
        (".layers.csv", "layer", ("energy_per_layer", "energy_per_layer_error", "hits_per_layer")),
        (".radius.csv", "radius", ("energy_per_radius", "energy_per_radius_error")),
        (".spectrum.csv", "cell_energy", ("cells_ecal", "cells_hcal")),
        (".time.csv", "time", ("time_points", "time_energy")),
    ],
)
def test_profiles_and_spectra_name_their_units(products, result, suffix, dim, names):
    table = read(products, suffix)
    np.testing.assert_allclose(table[dim], result[dim], rtol=1e-12)
    for name in names:
        unit = result[name].attrs.get("units")
        np.testing.assert_allclose(table[f"{name} ({unit})" if unit else name], result[name].values, rtol=1e-12)
    if f"{dim}_edge" in result.coords:
        edges = np.append(table[f"{dim}_low"], table[f"{dim}_high"].iloc[-1])
        np.testing.assert_allclose(edges, result[f"{dim}_edge"], rtol=1e-12)


def test_linearity_and_correlations_are_those_of_the_functions(products, result):
    wanted = linearity(result).reset_index()
    found = read(products, ".linearity.csv")
    assert list(found) == list(map(str, wanted))
    for name in wanted.select_dtypes("number"):
        np.testing.assert_allclose(found[str(name)], wanted[name], rtol=1e-12)
    matrix = read(products, ".correlations.csv")
    np.testing.assert_allclose(matrix.iloc[:, 1:], correlations(result), rtol=1e-12)
    assert list(matrix.iloc[:, 0]) == list(matrix.columns[1:])


def test_the_picture_has_content_and_says_what_it_was_made_of(products, result):
    with Image.open(products / "photons.png") as image:
        assert min(image.size) > 600
        pixels = np.asarray(image.convert("RGB"))
        assert json.loads(image.text["Provenance"]) == json.loads(result.attrs["provenance"])
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    quarters = [part for half in np.array_split(pixels, 2) for part in np.array_split(half, 2, axis=1)]
    assert all((part < 200).any(axis=2).mean() > 0.01 for part in quarters), "no empty corner"


def test_only_what_is_wanted_and_only_what_there_is(result, tmp_path):
    written, _ = write_all(result, tmp_path, "a.h5", only=(".nc", ".png"))
    assert [path.name for path in written] == ["a.nc", "a.png"]
    less = result.drop_vars(["time_points", "time_energy"])
    written, problems = write_all(less, tmp_path / "less", "a.h5", only=(".time.csv", ".layers.csv"))
    assert ([path.name for path in written], problems) == (["a.layers.csv"], [])


def test_one_that_fails_does_not_stop_the_others_and_leaves_nothing(result, tmp_path):
    (tmp_path / "a.layers.csv").mkdir()
    seen = []
    written, problems = write_all(result, tmp_path, "a.h5", progress=lambda *now: seen.append(now))
    assert len(written) == len(SUFFIXES) - 1
    assert len(problems) == 1
    assert str(tmp_path / "a.layers.csv") in str(problems[0])
    assert [done for done, _, _ in seen] == [*range(len(SUFFIXES)), len(SUFFIXES)]
    assert {path.name for path in tmp_path.iterdir()} == {f"a{suffix}" for suffix in SUFFIXES}


def test_text_is_no_formula():
    table = pd.DataFrame({"name": ["=1+1", "+x", "-x", "@x", "good"], "value": [-1.0, 2, 3, 4, 5]})
    lines = csv_text(table).splitlines()
    assert lines == ["name,value", "'=1+1,-1.0", "'+x,2.0", "'-x,3.0", "'@x,4.0", "good,5.0"]


def test_several_files_are_told_apart(tmp_path, shower_file):
    _, first = shower_file("a.h5", n=5)
    _, second = shower_file("b.h5", n=4, seed=1)
    table = table_of(reduce([first, second]))
    assert [name.rsplit("/", 1)[-1] for name in table["file"]] == ["a.h5"] * 5 + ["b.h5"] * 4
    assert list(table["shower"]) == [*range(5), *range(4)]


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/b/c.h5", "c"), ("c:\\d\\e.hdf5", "e"), ("folder/", "folder"), ("x.nc", "x"), (".h5", "showers")],
)
def test_products_are_called_like_their_input(name, stem):
    assert stem_of(name) == stem


def test_a_comparison_is_a_table_and_a_picture(result, tmp_path, shower_file):
    _, path = shower_file("other.h5", n=50, seed=3)
    other = reduce(path)
    table = compare(result, other, n_bootstrap=5, seed=1)
    written, problems = write_comparison({"one": result, "=two": other}, table, tmp_path / "new")
    assert problems == []
    assert [path.name for path in written] == ["comparison.csv", "comparison.png"]
    found = pd.read_csv(written[0])
    for column in table.select_dtypes("number"):
        np.testing.assert_allclose(found[column], table[column], rtol=1e-12)
    with Image.open(written[1]) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_other_files_are_no_results(result, tmp_path, shower_file):
    text = tmp_path / "text.nc"
    text.write_text("hello")
    with pytest.raises(
        InvalidResult, match=r"text\.nc: expected a result \(\.nc\) of detcore showers; found another kind"
    ):
        read_result(text)
    _, showers = shower_file("showers.h5")
    with pytest.raises(InvalidResult, match=r"showers\.h5: .*write it again with 'detcore showers run'"):
        read_result(showers)
    with pytest.raises(OSError, match="missing"):
        read_result(tmp_path / "missing.nc")
    other = tmp_path / "other.nc"
    xr.Dataset({"n_showers": ((), 3)}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(InvalidResult, match="another content"):
        read_result(other)
    wrong = tmp_path / "wrong.nc"
    result.assign(n_showers=((), -5)).drop_attrs().assign_attrs(geometry="ILD").to_netcdf(wrong, engine="h5netcdf")
    with pytest.raises(InvalidResult, match="an impossible number of showers"):
        read_result(wrong)
    cut = tmp_path / "cut.nc"
    write_all(result, tmp_path, "cut.h5", only=(".nc",))
    cut.write_bytes(cut.read_bytes()[:-1000])
    with pytest.raises(InvalidResult, match=r"cut\.nc"):
        read_result(cut)


def test_a_result_that_claims_to_be_endless_is_refused(tmp_path):
    path = tmp_path / "huge.nc"
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "ILD"
        file["n_showers"] = 1
        file.create_dataset("energy", (10**12,), "f8", chunks=(10**6,))
    with pytest.raises(InvalidResult, match="more than 8,000,000,000"):
        read_result(path)
