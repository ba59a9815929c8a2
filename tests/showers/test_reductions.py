"""What is accumulated, against plain NumPy and the original library."""

from __future__ import annotations

import numpy as np
import pytest
import showerdata
from showerdata import observables
from showerdata.detector import get_ILD_geometry

from detcore.core.parameters import InvalidParameters
from detcore.core.run import Inline, run
from detcore.core.schema import LIVE
from detcore.showers.api import open_files, reduce, reduce_showers, reduction, warm
from detcore.showers.detector import ILD
from detcore.showers.heap import read_ragged
from detcore.showers.reductions import OBSERVABLES
from detcore.showers.steps import Cuts, Selection, angle

CLUSTERED = "photons_ild_clustered_4f.h5"
PIONS = "mixed_pions_electrons_5f.h5"


def above(points, ecal=0.1, hcal=0.25):
    """Which points count, in the precision of the file."""
    return points[:, 3] > np.where(points[:, 2] >= 29.5, np.float32(hcal / 1e3), np.float32(ecal / 1e3))


def test_profiles_are_the_means_of_the_original_observables(shared):
    path = shared / "data/showers" / CLUSTERED
    found, dense, ild = reduce(path), showerdata.load(path), get_ILD_geometry()
    energy = observables.calc_energy_per_layer(dense, detector_config=ild, num_layers=78).astype(np.float64)
    hits = observables.calc_num_points_per_layer(dense, detector_config=ild, num_layers=78)
    n = len(dense)
    np.testing.assert_allclose(found["energy_per_layer"], energy.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["energy_per_layer_error"], energy.std(axis=0, ddof=1) / np.sqrt(n), rtol=1e-5)
    np.testing.assert_allclose(found["hits_per_layer"], hits.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        found["hits_per_layer_error"], hits.std(axis=0, ddof=1) / np.sqrt(n), rtol=1e-9, atol=1e-12
    )
    edges = found["radius_edge"].values
    radial = observables.calc_energy_per_radial_bin(dense, bin_edges=edges, detector_config=ild).mean(axis=0)
    np.testing.assert_allclose(found["energy_per_radius"], radial, rtol=1e-5)
    np.testing.assert_array_equal(found["n_hits"], hits.sum(axis=1))
    np.testing.assert_allclose(found["visible_energy"], energy.sum(axis=1), rtol=1e-5)
    centre = observables.calc_center_of_energy(dense, detector_config=ild)
    for number, name in enumerate(("center_x", "center_y", "center_layer")):
        np.testing.assert_allclose(found[name], centre[:, number], rtol=1e-4, atol=1e-4)
    assert int(found["n_showers"]) == n
    assert found["energy_per_layer"].attrs["units"] == "GeV"
    assert (found.attrs["geometry"], found.attrs["ecal_threshold"], found.attrs["hcal_threshold"]) == ("ILD", 0.1, 0.25)
    assert found.attrs["cut"] == "cells > 0.1 MeV (ECAL), > 0.25 MeV (HCAL)"


def test_the_table_against_plain_numpy(shared):
    path = shared / "data/showers" / PIONS
    showers, found = read_ragged(path), reduce(path, ecal_threshold=0.1, hcal_threshold=0.25)
    assert set(OBSERVABLES) <= set(map(str, found.data_vars))
    np.testing.assert_array_equal(found["shower"], np.arange(len(showers)))
    np.testing.assert_array_equal(found["pdg"], showers.pdg)
    for number in range(len(showers)):
        points = showers.shower(number)
        points = points[above(points)].astype(np.float64)
        x, y, layer, energy, time = points.T
        row = found.isel(shower=number)
        assert int(row["n_hits"]) == len(points)
        if not len(points):
            assert np.isnan(row["center_x"])
            continue
        assert float(row["energy_ratio"]) == pytest.approx(energy.sum() / float(showers.energies[number]), rel=1e-6)
        for name, values in (("x", x), ("y", y), ("layer", layer)):
            mean = np.average(values, weights=energy)
            width = np.sqrt(np.average((values - mean) ** 2, weights=energy))
            assert float(row[f"center_{name}"]) == pytest.approx(mean, rel=1e-6, abs=1e-6)
            assert float(row[f"width_{name}"]) == pytest.approx(width, rel=1e-6, abs=1e-5)
        assert float(row["maximum_layer"]) == np.bincount(layer.astype(int), energy).argmax()
        assert float(row["time_mean"]) == pytest.approx(np.average(time, weights=energy), rel=1e-6)
        direction = showers.directions[number].astype(np.float64)
        expected = np.degrees(np.arccos(direction[2] / np.linalg.norm(direction)))
        assert float(row["theta"]) == pytest.approx(expected, abs=0.05)
    assert found["visible_energy"].attrs == {"long_name": "Visible energy", "units": "GeV"}


def test_spectra_and_maps_against_plain_numpy(random_showers, shower_file):
    showers, path = shower_file(clustered="ILD", n=40)
    found, points = reduce(path), showers.points
    hcal, kept = points[:, 2] >= 29.5, points[above(points)]
    mev, edges = points[:, 3].astype(np.float64) * 1e3, found["cell_energy_edge"].values
    for name, part in (("cells_ecal", ~hcal), ("cells_hcal", hcal)):
        np.testing.assert_array_equal(found[name], np.histogram(mev[part], edges)[0], err_msg="no cut applied")
    assert found["cells_outside"].values.tolist() == [(mev < edges[0]).sum(), (mev > edges[-1]).sum()]
    weight, time = kept[:, 3].astype(np.float64) * 1e3, kept[:, 4].astype(np.float64)
    np.testing.assert_array_equal(found["time_points"], np.histogram(time, found["time_edge"])[0])
    np.testing.assert_allclose(
        found["time_energy"], np.histogram(time, found["time_edge"], weights=weight)[0], rtol=1e-6
    )
    x, y, layer = found["x_edge"].values, found["y_edge"].values, np.arange(79) - 0.5
    for name, first, second, axes in (
        ("map_xy", 1, 0, (y, x)),
        ("map_xl", 2, 0, (layer, x)),
        ("map_yl", 2, 1, (layer, y)),
    ):
        expected = np.histogram2d(kept[:, first], kept[:, second], axes, weights=weight)[0] / 40
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-12, err_msg=name)
    total = float(found["visible_energy"].sum()) * 1e3 / 40
    for name, outside in zip(("map_xy", "map_xl", "map_yl"), found["map_outside"].values, strict=True):
        assert float(found[name].sum()) + outside == pytest.approx(total, rel=1e-6)


def test_cuts_of_points(shower_file):
    showers, path = shower_file(n=30)
    found = reduce(path, radius=60, layers="10:40", ecal_threshold=0.2)
    points, owner = showers.points, np.repeat(np.arange(30), showers.counts)
    keep = (np.hypot(points[:, 0], points[:, 1]) < 60) & (points[:, 2] >= 10) & (points[:, 2] <= 40)
    keep &= above(points, 0.2, 0)
    np.testing.assert_array_equal(found["n_hits"], np.bincount(owner[keep], minlength=30))
    assert not found["hits_per_layer"].values[:10].any()
    assert found["map_xl"].values[10:41].any()
    assert not found["map_xl"].values[41:].any()
    assert not found["map_xy"].values[:60].any(), "y below -100 mm"
    assert found.attrs["cut"] == "cells > 0.2 MeV (ECAL), > 0 MeV (HCAL); r < 60 mm; layers 10 to 40"


def test_selection_of_showers(shower_file):
    showers, path = shower_file(n=60)
    theta = np.degrees(np.arctan2(np.hypot(*showers.directions[:, :2].T), showers.directions[:, 2]))
    found = reduce(path, energy_min=20, energy_max=50, pdg=(22, 211), angle_min=5, angle_max=30)
    keep = (showers.energies >= 20) & (showers.energies <= 50) & np.isin(showers.pdg, [22, 211])
    keep &= (theta >= 5) & (theta <= 30)
    assert 0 < keep.sum() < 60
    np.testing.assert_array_equal(found["shower"], np.flatnonzero(keep))
    assert (int(found["n_read"]), int(found["n_showers"])) == (60, keep.sum())
    assert int(found["n_points"]) == showers.counts[keep].sum()
    assert "E 20 to 50 GeV; photon or pi+; angle 5 to 30 deg" in found.attrs["cut"]
    assert int(reduce(path, energy_min=1000)["n_showers"]) == 0


def test_no_cut_without_cells(shared):
    found = reduce(shared / "data/showers/real_g4_ild_photon_43GeV_steps_5f.h5")
    assert found.attrs["cut"] == "no energy cut"
    assert float(found["visible_energy"][0]) == pytest.approx(1.0152, abs=1e-4)
    assert int(found["n_hits"][0]) == 15941
    cells = reduce(shared / "data/showers/real_g4_ild_photon_43GeV_cells_5f.h5")
    assert int(cells["n_hits"][0]) == 813
    assert float(cells["center_layer"][0]) == pytest.approx(12.99, abs=0.05)
    layers = cells["energy_per_layer"].values[:30] * 1e3
    np.testing.assert_allclose(layers[8:18], [57.9, 75.4, 83.3, 99.3, 73.3, 102.4, 62.5, 76.3, 58.8, 41.9], rtol=0.05)


def test_memory_and_files_give_the_same(shower_file):
    showers, path = shower_file(n=25)
    cuts = Cuts(radius=100, pdg=(22,))
    one = run(open_files(path, geometry="ILD"), reduction(cuts), executor=Inline(), target_bytes=2000)
    two = reduce_showers(showers, cuts, geometry="ILD")
    for name in two.data_vars:
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-9, atol=1e-12, err_msg=str(name))


def test_four_columns_have_no_times(shower_file):
    _, path = shower_file(columns=4)
    found = reduce(path)
    assert np.isnan(found["time_mean"]).all()
    assert "time_points" not in found
    assert found["visible_energy"].notnull().all()


def test_parts_and_live_feeds(shower_file):
    _, path = shower_file()
    schema = open_files(path).schema()
    names = set(map(str, reduce(path, parts=("maps",)).data_vars))
    assert names == {"n_read", "n_showers", "n_points", "n_empty", "map_xy", "map_xl", "map_yl", "map_outside"}
    with pytest.raises(ValueError, match="no part 'map'; there are table, profiles"):
        reduction(parts=("map",))
    assert "last=200000" in repr(reduction(Cuts(), schema.assign_attrs({LIVE: True})))
    warm()


def test_cuts_have_a_text_form_and_are_checked():
    cuts = Cuts(pdg=(22, 211), layers=(3, 20), energy_min=5.5)
    assert cuts.to_arguments() == ["--energy-min", "5.5", "--pdg", "22,211", "--layers", "3:20"]
    assert Cuts.from_query(cuts.to_query()) == cuts
    assert Cuts.from_yaml(cuts.to_yaml()) == cuts
    assert Cuts.checked({"pdg": "-211"}).pdg == (-211,)
    for wrong, message in (
        ({"energy_min": 5, "energy_max": 4}, "energy_min is 5 and energy_max 4"),
        ({"angle_max": 200}, "angle_max: Input should be less than or equal to 180"),
        ({"pdg": "photon"}, "pdg"),
        ({"radius": 0}, "radius"),
        ({"depth": 3}, "unknown key 'depth'"),
    ):
        with pytest.raises(InvalidParameters, match=message):
            Cuts.checked(wrong)
    assert Selection().words() == ""
    assert Selection(energy_max=3, pdg="5").words() == "E <= 3 GeV; PDG 5"
    assert Cuts(layers=(3, 2**62)).words_for(ILD).endswith("layers from 3 on")


def test_angles_near_the_axis_keep_their_digits():
    small = np.radians(1e-3)
    found = angle(
        np.array([[np.sin(small), 0, np.cos(small)], [0, 0, 1], [0, 1, 0], [0, 0, -1], [0, 0, 0]], np.float32)
    )
    np.testing.assert_allclose(found, [1e-3, 0, 90, 180, np.nan], rtol=1e-5)
