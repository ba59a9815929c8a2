"""Geometries: the original's numbers, files of one's own, and files that are none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import showerdata.detector

from detcore.showers.detector import (
    ILD,
    DetectorGeometry,
    find_geometry,
    geometry_names,
    get_ILD_geometry,
    get_ILD_unclustered_geometry,
    get_test_geometry,
    named_in_file,
    read_geometry,
)


def test_the_geometries_are_the_originals() -> None:
    for own, theirs in (
        (get_ILD_geometry(), showerdata.detector.get_ILD_geometry()),
        (get_ILD_unclustered_geometry(), showerdata.detector.get_ILD_unclustered_geometry()),
        (get_test_geometry(7, 0.5), showerdata.detector.get_test_geometry(7, 0.5)),
        (get_test_geometry(3), showerdata.detector.get_test_geometry(3)),
    ):
        assert asdict(own) == asdict(theirs)
        assert repr(own) == repr(theirs)
    assert get_ILD_geometry() == ILD
    assert hash(ILD) == hash(get_ILD_geometry())
    assert replace(ILD, name="other") != ILD
    with pytest.raises(AttributeError):
        ILD.num_layers = 3  # type: ignore[misc]


def test_a_geometry_survives_its_file(tmp_path) -> None:
    mine = replace(ILD, name="mine", ecal_cell_size=3.5, layer_bottom_pos=tuple(float(i) for i in range(78)))
    (tmp_path / "mine.yaml").write_text(mine.to_yaml())
    assert read_geometry(tmp_path / "mine.yaml") == mine
    assert find_geometry(tmp_path / "mine.yaml") == mine
    (tmp_path / "mine.json").write_text(json.dumps(asdict(mine)))
    assert find_geometry(str(tmp_path / "mine.json")) == mine


def test_a_folder_adds_names_and_replaces_none(tmp_path, monkeypatch) -> None:
    assert geometry_names() == ("ILD", "ILD_unclustered")
    mine = replace(ILD, name="mine", ecal_cell_size=3.5)
    (tmp_path / "mine.yaml").write_text(mine.to_yaml())
    (tmp_path / "ILD.yaml").write_text(mine.to_yaml())
    (tmp_path / "notes.txt").write_text("none")
    monkeypatch.setenv("DETCORE_GEOMETRIES", str(tmp_path))
    assert geometry_names() == ("ILD", "ILD_unclustered", "mine")
    assert find_geometry("mine") == mine
    assert find_geometry("ILD") == ILD
    with pytest.raises(ValueError, match=r"unknown geometry 'other'; known are ILD, ILD_unclustered, mine"):
        find_geometry("other")


def test_a_data_file_names_geometries_but_no_paths(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text(ILD.to_yaml())
    assert named_in_file("") == get_ILD_unclustered_geometry()
    assert named_in_file("ILD") == named_in_file(b"ILD") == ILD
    for name in (str(tmp_path / "mine.yaml"), "../../etc/passwd", "ild", "x" * 5000):
        with pytest.raises(ValueError, match=r"^Unknown 'clustered_for' attribute value: ") as caught:
            named_in_file(name)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_layers_ecal": 29, "num_layers": 77}, "layer_bottom_pos holds 78; expected 77"),
        ({"num_layers_ecal": -1}, "num_layers_ecal is -1"),
        ({"num_layers_ecal": 30.0}, "num_layers_ecal is 30.0; expected a whole number"),
        ({"num_layers_hcal": True}, "num_layers_hcal is True"),
        ({"num_layers_ecal": 10**9}, "expected a whole number in 0..10000"),
        ({"num_layers": 70}, "num_layers is 70, but the two parts have 78"),
        ({"ecal_cell_size": "five"}, "ecal_cell_size is 'five'; expected a number"),
        ({"ecal_cell_size": float("nan")}, "ecal_cell_size is nan"),
        ({"hcal_threshold": -0.1}, "hcal_threshold is -0.1"),
        ({"calo_surface": 10**400}, "calo_surface is 1000"),
        ({"layer_bottom_pos": 3}, "layer_bottom_pos holds 3"),
        ({"layer_bottom_pos": [1.0] * 77 + [float("inf")]}, "layer_bottom_pos is inf"),
        ({"name": ""}, "name is ''"),
        ({"colour": "red"}, "unknown colour"),
    ],
)
def test_an_impossible_geometry_is_named(change, words) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        DetectorGeometry.from_mapping(asdict(ILD) | change, "here.yaml")
    assert str(caught.value).startswith("here.yaml")
    assert len(str(caught.value)) < 300


def test_missing_fields_are_named() -> None:
    with pytest.raises(ValueError, match="missing calo_surface, ecal_cell_size"):
        DetectorGeometry.from_mapping({"name": "x", "num_layers_ecal": 1, "num_layers_hcal": 0})


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b"name: [",
        b"\xff\xfe\x00",
        b"a: &a [x, x]\nb: [*a, *a]",
        b"[" * 5000,
        b"!!python/object/apply:os.system ['true']",
        b"x" * (2 << 20),
        b"",
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, content) -> None:
    place = tmp_path / "bad.yaml"
    place.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        read_geometry(place)
