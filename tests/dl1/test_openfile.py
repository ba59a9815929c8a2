"""Which format a file has shows in what it holds, not in its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tables

from detcore import dl1
from detcore.core.source import TruncatedFile, UnknownFormat

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

CTAML = ("ctaml072_chec_lzo.h5", "ctaml072_lasercal_lzo.h5", "ctaml072_lasercal_zlib.h5")


def test_ctapipe_files_are_recognised(real_file: Path, tmp_path: Path) -> None:
    (tmp_path / "no.name").symlink_to(real_file)
    for path in (real_file, str(real_file), tmp_path / "no.name"):
        assert dl1.kind_of(path) == "ctapipe"
        with dl1.open(path) as file:
            assert file.format == "ctapipe v7.1.0"
            assert file.path == os.fspath(path)


@pytest.mark.parametrize("name", CTAML)
def test_ctaml_files_are_recognised(name: str, shared: Path) -> None:
    path = shared / "data/dl1" / name
    assert dl1.kind_of(path) == "CTA-ML"
    with dl1.open(path) as file:
        assert file.format == "CTA-ML v0.7.2"
        assert len(file.telescopes)
        assert len(file.events)


def test_both_formats_have_the_same_tables(shared: Path) -> None:
    """The same simulation, once written by ctapipe 0.28 and once in the layout of 0.7.2."""
    folder = shared / "data/dl1"
    with dl1.open(folder / "test_lasercal_v3.dl1.h5") as new, dl1.open(folder / "ctaml072_lasercal_zlib.h5") as old:
        assert list(new.telescopes) == list(old.telescopes)
        assert new.telescopes.index.tolist() == old.telescopes.index.tolist()
        np.testing.assert_allclose(new.telescopes[["x", "y"]], old.telescopes[["x", "y"]], atol=1e-3)
        assert set(new.events) == set(old.events)
        assert new.events["event_id"].tolist() == old.events["event_id"].tolist()
        assert new.events.attrs["units"]["true_energy"] == old.events.attrs["units"]["true_energy"] == "TeV"
        np.testing.assert_allclose(new.events["true_energy"], old.events["true_energy"], rtol=1e-6)
        np.testing.assert_allclose(new.events["true_alt"], old.events["true_alt"], atol=1e-4)
        one, two = new.rows(1), old.rows(1)
        assert {"image", "peak_time", "obs_id", "event_id", "tel_id", "row"} <= set(one) & set(two)
        assert one["event_id"].values.tolist() == two["event_id"].values.tolist()
        assert (one["peak_time"].attrs["units"], two["peak_time"].attrs["units"]) == ("ns", "sample")
        # CTA-ML has the positions before the camera is turned
        radius = [np.hypot(each.attrs["camera"].pixel_x, each.attrs["camera"].pixel_y) for each in (one, two)]
        np.testing.assert_allclose(*radius, atol=1e-6)
        # other calibrations of the same light: the bright pixels agree to some percent
        bright = one["image"].values > 30
        assert bright.sum() > 20
        assert np.median(two["image"].values[bright] / one["image"].values[bright]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", ["test_lasercal_v3.dl1.h5", "ctaml072_lasercal_zlib.h5"])
def test_a_file_is_not_locked_after_the_block(name: str, shared: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((shared / "data/dl1" / name).read_bytes())
    with dl1.open(path) as file:
        file.rows(1)
        with pytest.raises(tables.HDF5ExtError, match="lock"):
            tables.open_file(str(path), "r+")
    with tables.open_file(str(path), "r+"):
        pass
    with pytest.raises(ValueError, match="is closed; open it again"):
        file.rows(1)


def test_small_files_are_recognised(ctapipe_files: ModuleType, tmp_path: Path) -> None:
    made = ctapipe_files.write(tmp_path / "a", version=4)
    assert dl1.kind_of(made.path) == "ctapipe"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.h5", b"", "not an HDF5 file: it is empty"),
        ("text.dl1.h5", b"hello " * 900, "not an HDF5 file: its signature is missing"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnknownFormat, match=words) as caught:
        dl1.open(path)
    assert str(path) in str(caught.value)


def test_other_hdf5_files_are_refused_with_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["Events"], file["showers"] = np.arange(3), np.arange(4)
    with pytest.raises(UnknownFormat, match=r"no DL1 file. Looked for .*missing: Telescope_Type_Information.*showers"):
        dl1.open(path)
    with pytest.raises(UnknownFormat):
        dl1.kind_of(path)


def test_a_cut_file_is_told(real_file: Path, tmp_path: Path) -> None:
    content = real_file.read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedFile, match="cut off"):
        dl1.open(tmp_path / "a.h5")


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dl1.open(tmp_path / "none.h5")
    with pytest.raises(OSError, match="expected a regular file, found a folder"):
        dl1.open(tmp_path)
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(OSError, match="found a pipe or device"):
        dl1.open(tmp_path / "pipe.h5")
