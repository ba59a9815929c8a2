"""Other public layouts: written here by hand as their makers write them, read back as showers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import showerdata

from detcore.showers.binning import BINNINGS, Binning
from detcore.showers.importers import Rules, import_file, read_foreign
from detcore.showers.ragged import Ragged

if TYPE_CHECKING:
    from pathlib import Path

CLOUDS = Rules("caloclouds", energy_unit="MeV", pdg=22)


def dense(counts: list[int], width: int, features: int, rng: np.random.Generator) -> np.ndarray:
    events = np.zeros((len(counts), width, features), np.float32)
    for row, count in enumerate(counts):
        events[row, :count] = rng.uniform(0.5, 20, (count, features))
    return events


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def clouds(tmp_path: Path, rng: np.random.Generator) -> Path:
    events = dense([4, 0, 6], 6, 4, rng)
    with h5py.File(tmp_path / "clouds.h5", "w") as file:
        file["events"] = events
        file["energy"] = np.array([[10.0], [20.0], [30.0]])
    return tmp_path / "clouds.h5"


def written(path: Path, rules: Rules, **options: Any) -> showerdata.Showers:
    """Import, and read with the original library."""
    target = path.with_name("made.h5")
    import_file(path, target, rules, **options)
    return showerdata.load(target)


def test_the_axes_of_caloclouds_are_turned(clouds: Path) -> None:
    with h5py.File(clouds) as file:
        events = file["events"][()]
    made = written(clouds, CLOUDS)
    assert made.points.shape == (3, 6, 4)
    np.testing.assert_array_equal(made.points[0, :4], (events[0, :4][:, [0, 2, 1, 3]] / [1, 1, 1, 1000]).astype("f4"))
    assert not made.points[1].any()
    np.testing.assert_array_equal(made.energies[:, 0], [10, 20, 30])
    assert made.pdg.tolist() == [22, 22, 22]
    assert made.directions.tolist() == [[0, 0, 1]] * 3
    assert made.shower_ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", ["transposed", "padded at the front", "one more axis", "compressed"])
def test_the_forms_in_which_caloclouds_files_exist(clouds: Path, form: str) -> None:
    expected = Ragged.concatenate(read_foreign(clouds, CLOUDS))
    with h5py.File(clouds, "a") as file:
        events = file.pop("events")[()]
        changed = {
            "transposed": events.transpose(0, 2, 1),
            "padded at the front": np.stack([np.roll(one, (one[:, 3] == 0).sum(), axis=0) for one in events]),
            "one more axis": events[None],
            "compressed": events,
        }[form]
        file.create_dataset("events", data=changed, compression="gzip" if form == "compressed" else None)
        if form == "one more axis":
            energy = file.pop("energy")[()]
            file["energy"] = energy.reshape(1, 3, 1)
    found = Ragged.concatenate(read_foreign(clouds, CLOUDS))
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.energies, expected.energies)


def test_what_the_file_does_not_say_is_taken_as_told(clouds: Path) -> None:
    plain = Ragged.concatenate(read_foreign(clouds, CLOUDS))
    told = Rules("caloclouds", energy_unit="GeV", pdg=-211, origin=(1.5, -40.0))
    found = Ragged.concatenate(read_foreign(clouds, told))
    np.testing.assert_allclose(found.points[:, 3], plain.points[:, 3] * 1000, rtol=1e-6)
    np.testing.assert_allclose(found.points[:, 0], plain.points[:, 0] - 1.5, atol=1e-5)
    np.testing.assert_allclose(found.points[:, 1], plain.points[:, 1] + 40, atol=1e-5)
    assert found.pdg.tolist() == [-211] * 3


def test_depths_become_layers(clouds: Path) -> None:
    with h5py.File(clouds, "a") as file:
        file["events"][0, :4, 1] = [1811.5, 1814.46, 2010.3, 3326.9]
        file["events"][2, :, 1] = 1823.9
    mm = Rules("caloclouds", energy_unit="MeV", pdg=22, depth="mm")
    found = Ragged.concatenate(read_foreign(clouds, mm))
    assert found.points[:, 2].tolist() == [0, 1, 29, 77, *[2] * 6]
    with h5py.File(clouds, "a") as file:
        file["events"][:, :, 1] = 4
    with pytest.raises(ValueError, match=r"10 points are at depths .* outside of ILD .* count layers"):
        list(read_foreign(clouds, mm))


@pytest.mark.parametrize("names", [("incident_energy", "incident_momentum"), ("incident_energies", "momentum")])
def test_multi_calorimeter(tmp_path: Path, rng: np.random.Generator, names: tuple[str, str]) -> None:
    events = dense([3, 5], 8, 5, rng)
    momentum = np.array([[0, 3.0, 4.0], [0, 0, 50.0]])
    with h5py.File(tmp_path / "multi.h5", "w") as file:
        file["events"] = events
        file[names[0]] = [[5.0], [50.0]]
        file[names[1]] = momentum
        file["sampling_fraction"] = [[0.02], [0.03]]
        file["num_layers"] = [[40], [41]]
    made = written(tmp_path / "multi.h5", Rules("multi-calorimeter"))
    assert made.points.shape == (2, 5, 5)  # as wide as the longest
    np.testing.assert_array_equal(made.points[1], events[1, :5][:, [0, 1, 2, 4, 3]])
    np.testing.assert_allclose(made.directions, [[0, 0.6, 0.8], [0, 0, 1]], rtol=1e-6)
    assert made.pdg.tolist() == [22, 22]
    with h5py.File(tmp_path / "made.h5") as file:
        np.testing.assert_allclose(file["sampling_fraction"], [[0.02], [0.03]], rtol=1e-6)
        assert file["num_layers"].dtype == np.int32
        assert file.attrs["imported_from"] == "multi-calorimeter: multi.h5"


@pytest.mark.parametrize(("name", "voxels"), [("1-photons", 368), ("1-pions", 533), ("2", 6480), ("3", 40500)])
def test_binnings_have_the_published_number_of_voxels(name: str, voxels: int) -> None:
    assert BINNINGS[name].n_voxels == voxels


def test_voxels_are_where_they_should_be(tmp_path: Path) -> None:
    binning = BINNINGS["2"]  # 9 rings of 4.65 mm, 16 sectors, 45 layers
    showers = np.zeros((2, binning.n_voxels))
    showers[0, 0] = 2000  # innermost ring, first sector, layer 0
    showers[0, 9 + 8] = 5  # outermost ring, second sector
    showers[1, 44 * 144 + 15 * 9 + 3] = 7  # last layer, last sector, fourth ring
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file.create_dataset("showers", data=showers, compression="gzip")
        file["incident_energies"] = [[65_000.0], [1000.0]]
    made = written(tmp_path / "two.h5", Rules("calochallenge", binning=binning))
    assert made.points.shape == (2, 2, 4)
    sector = 2 * np.pi / 16
    polar = [(2.325, -np.pi + sector / 2, 0, 2.0), (39.525, -np.pi + 1.5 * sector, 0, 0.005)]
    expected = [[r * np.cos(angle), r * np.sin(angle), layer, energy] for r, angle, layer, energy in polar]
    np.testing.assert_allclose(made.points[0], expected, rtol=1e-5)
    angle = np.pi - sector / 2
    np.testing.assert_allclose(
        made.points[1, 0], [16.275 * np.cos(angle), 16.275 * np.sin(angle), 44, 0.007], rtol=1e-5
    )
    np.testing.assert_allclose(made.energies[:, 0], [65, 1])
    assert made.pdg.tolist() == [11, 11]


def test_whole_rings_get_an_azimuth_that_averages_out_and_does_not_depend_on_batches(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "rings.h5", "w") as file:
        file["showers"] = np.ones((400, 368))
        file["incident_energies"] = np.full((400, 1), 512.0)
    rules = Rules("calochallenge", binning=BINNINGS["1-photons"])
    one = Ragged.concatenate(read_foreign(tmp_path / "rings.h5", rules))
    many = Ragged.concatenate(read_foreign(tmp_path / "rings.h5", rules, batch_size=7))
    np.testing.assert_array_equal(one.points, many.points)
    ring = one.points[one.points[:, 2] == 12]
    np.testing.assert_allclose(np.unique(np.hypot(ring[:, 0], ring[:, 1]).round(2)), [50, 150, 300, 700, 1500])
    for radius in (50, 1500):
        outer = ring[np.isclose(np.hypot(ring[:, 0], ring[:, 1]), radius, rtol=1e-3)]
        assert np.abs(outer[:, :2].mean(axis=0)).max() < 0.02 * radius


BINS = """<Bins><!-- a comment --><Bin pid="22" name="photon">
<Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/><Layer id="1" r_edges="0" n_bin_alpha="1"/>
<Layer id="3" r_edges="0,2" n_bin_alpha="4"/></Bin></Bins>"""


def test_a_binning_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bins.xml"
    path.write_text(BINS)
    found = Binning.read(path)
    assert (found.pdg, found.n_voxels, [layer.number for layer in found.layers]) == (22, 6, [0, 3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<Bins>", "expected a binning file"),
        ("not XML", "expected a binning file"),
        ("<Bins/>", "expected one particle"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Bins>&a;</Bins>', "without declarations"),
        (BINS.replace('pid="22"', ""), "problem with 'pid'"),
        (BINS.replace("0,5,10", "0,ten"), "problem with"),
        (BINS.replace("0,5,10", "5,0,10"), "radii that rise"),
        (BINS.replace("0,5,10", "0,nan,10"), "radii that rise"),
        (BINS.replace('n_bin_alpha="4"', 'n_bin_alpha="0"'), "impossible layer"),
        (BINS.replace('n_bin_alpha="4"', 'n_bin_alpha="99999999999"'), "impossible layer"),
        ("x" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)
def test_a_wrong_binning_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bins.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        Binning.read(path)


def test_an_unknown_binning_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match="no binning '4'; expected 1-photons, 1-pions, 2, 3 or an XML file"):
        Binning.read("4")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layout": "other"}, "expected one of caloclouds"),
        ({"layout": "caloclouds"}, "give both"),
        ({"layout": "caloclouds", "pdg": 22}, "give both"),
        ({"layout": "multi-calorimeter", "energy_unit": "MeV"}, "in GeV, not in MeV"),
        ({"layout": "calochallenge"}, "a binning is needed"),
        ({"layout": "multi-calorimeter", "binning": BINNINGS["2"]}, "a binning is needed"),
        ({"layout": "caloclouds", "energy_unit": "MeV", "pdg": 22, "depth": "cm"}, "expected layer or mm"),
    ],
)
def test_rules_that_do_not_fit_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rules(**values)


def wrong(file: h5py.File, what: str) -> None:
    events = file["events"][()]
    if what == "no events":
        del file["events"]
    elif what == "a group":
        del file["events"]
        file.create_group("events")
    elif what == "text":
        del file["events"]
        file["events"] = np.array([b"a", b"b"])
    elif what == "five columns":
        del file["events"]
        file["events"] = np.ones((3, 6, 5))
    elif what == "four points":
        del file["events"]
        file["events"] = np.ones((3, 4, 4))
    elif what == "too few energies":
        del file["energy"]
        file["energy"] = [1.0]
    elif what == "nan energy":
        file["energy"][1] = np.nan
    elif what == "negative":
        file["events"][2, 1, 3] = -1
    elif what == "nan point energy":
        file["events"][2, 1, 3] = np.nan
    elif what == "nan position":
        file["events"][2, 1, 0] = np.nan
    elif what == "huge rows":
        del file["events"]
        file.create_dataset("events", (3, 100_000_000, 4), "f4", chunks=(1, 1000, 4))
    elif what == "elsewhere":
        del file["events"]
        file.create_dataset("events", (3, 6, 4), "f4", external=[("elsewhere.raw", 0, h5py.h5f.UNLIMITED)])
    else:
        assert what == "flat", events.shape
        del file["events"]
        file["events"] = np.ones((3, 24))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no events", "expected a dataset 'events'.*the file has energy"),
        ("a group", "expected a dataset 'events'"),
        ("text", "expected numbers"),
        ("five columns", "no axis is 4"),
        ("four points", "cannot be told"),
        ("too few energies", r"energy: expected 3 x 1 numbers"),
        ("nan energy", "incident energies: expected finite"),
        ("negative", "shower 2: expected point energies from 0 on"),
        ("nan point energy", "shower 2: expected point energies from 0 on"),
        ("nan position", "expected finite coordinates"),
        ("huge rows", "larger than 256,000,000 bytes"),
        ("elsewhere", "a link to others"),
        ("flat", r"found shape \(3, 24\)"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_is_written(clouds: Path, what: str, words: str) -> None:
    with h5py.File(clouds, "a") as file:
        wrong(file, what)
    before = clouds.read_bytes()[:100_000]
    with pytest.raises(ValueError, match=words):
        import_file(clouds, clouds.with_name("made.h5"), CLOUDS)
    assert [path.name for path in clouds.parent.iterdir()] == ["clouds.h5"]
    assert clouds.read_bytes()[:100_000] == before


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_foreign(tmp_path / "none.h5", CLOUDS))
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(OSError, match="expected an HDF5 file of layout caloclouds"):
        list(read_foreign(tmp_path / "text.h5", CLOUDS))


def test_a_cut_file_is_an_error(clouds: Path) -> None:
    content = clouds.read_bytes()
    clouds.write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"clouds\.h5"):
        import_file(clouds, clouds.with_name("made.h5"), CLOUDS)
    assert not clouds.with_name("made.h5").exists()


def test_an_existing_file_is_kept_unless_allowed(clouds: Path) -> None:
    target = clouds.with_name("made.h5")
    target.write_text("mine")
    with pytest.raises(FileExistsError, match="exists"):
        import_file(clouds, target, CLOUDS)
    assert target.read_text() == "mine"
    import_file(clouds, target, CLOUDS, overwrite=True)
    assert len(showerdata.load(target)) == 3
    with pytest.raises(FileExistsError, match="input"):
        import_file(clouds, clouds, CLOUDS, overwrite=True)


def test_progress_reaches_the_end(clouds: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    import_file(clouds, clouds.with_name("made.h5"), CLOUDS, batch_size=2, progress=lambda *call: calls.append(call))
    assert calls == [(2, 6, "counting"), (3, 6, "counting"), (5, 6, "writing"), (6, 6, "writing")]
