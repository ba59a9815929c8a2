"""Run lists by the rules of the original's generator, where they are good ones."""

from __future__ import annotations

import pytest
import yaml

from detcore.dl1.writer import runlist


def names(folder, *given):
    for name in given:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gamma_20deg_180deg_run7___cta-prod3.simtel.gz", ("gamma", 20, 180, 7, "cta-prod3")),
        ("gamma_20deg_0deg_run007___cta-prod3_cone10.simtel.gz", ("gamma", 20, 0, 7, "cta-prod3_cone10")),
        (
            "proton_20deg_180deg_run12___cta-prod3.1-x_desert.simtel.zst",
            ("proton", 20, 180, 12, "cta-prod3.1-x_desert"),
        ),
        ("gamma-diffuse_20deg_180deg_run7___a___b.simtel.gz", ("gamma-diffuse", 20, 180, 7, "a")),
    ],
)
def test_names_are_understood(name, expected):
    found = runlist.parse_name(f"somewhere/{name}")
    assert (found.particle, found.zenith, found.azimuth, found.run, found.production) == expected
    assert found.path == f"somewhere/{name}"


@pytest.mark.parametrize(
    "name",
    [
        "gamma_diffuse_20deg_180deg_run7___x.simtel.gz",
        "gamma_20deg_180deg_run7.simtel.gz",
        "gamma_20_180_run7___x.simtel.gz",
        "gamma_20deg_180deg_7___x.simtel.gz",
        "gamma_20deg_180deg_runx___x.simtel.gz",
        "gamma_20deg_180deg_run7___x.h5",
        "___.simtel.gz",
        f"gamma_20deg_180deg_run{'9' * 30}___x.simtel.gz",
    ],
)
def test_other_names_are_refused_in_words(name):
    with pytest.raises(ValueError, match=r"expected a name as \[particle\]"):
        runlist.parse_name(name)


def test_groups_are_sorted_by_run_number_and_cut(tmp_path):
    names(tmp_path, *(f"gamma_20deg_180deg_run{n}___cta.simtel.gz" for n in (10, 9, 2, 100, 1)))
    names(tmp_path, "gamma_20deg_180deg_run5___cta_cone10.simtel.gz", "proton_20deg_180deg_run5___cta.simtel.zst")
    names(tmp_path, "gamma_20deg_0deg_run3___cta.simtel.gz", "README", "gamma_20deg_0deg_run4___cta.h5")
    runs, problems = runlist.make_runlist(tmp_path, 2)
    assert not problems
    assert [run["target"] for run in runs] == [
        "gamma_20deg_0deg_runs3-3___cta.h5",
        "gamma_20deg_180deg_runs1-2___cta.h5",
        "gamma_20deg_180deg_runs9-10___cta.h5",
        "gamma_20deg_180deg_runs100-100___cta.h5",
        "gamma_20deg_180deg_runs5-5___cta_cone10.h5",
        "proton_20deg_180deg_runs5-5___cta.h5",
    ]
    assert runs[2]["inputs"] == [str(tmp_path / f"gamma_20deg_180deg_run{n}___cta.simtel.gz") for n in (9, 10)]


def test_ten_inputs_are_a_run_unless_told_otherwise(tmp_path):
    names(tmp_path, *(f"gamma_20deg_180deg_run{n}___cta.simtel.gz" for n in range(1, 26)))
    runs, _ = runlist.make_runlist(tmp_path)
    assert [len(run["inputs"]) for run in runs] == [10, 10, 5]
    assert runs[-1]["target"] == "gamma_20deg_180deg_runs21-25___cta.h5"
    with pytest.raises(ValueError, match="at least 1"):
        runlist.make_runlist(tmp_path, 0)


def test_names_that_do_not_parse_are_told_and_the_rest_goes_on(tmp_path):
    names(tmp_path, "gamma_diffuse_20deg_180deg_run7___x.simtel.gz", "gamma_20deg_180deg_run7___x.simtel.gz")
    runs, problems = runlist.make_runlist(tmp_path)
    assert len(runs) == 1
    assert "gamma_diffuse_20deg_180deg_run7___x.simtel.gz" in str(problems[0])
    assert "expected a name" in str(problems[0])


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        runlist.make_runlist(tmp_path)
    names(tmp_path, "a.simtel.gz")
    with pytest.raises(ValueError, match="found 1 of other names"):
        runlist.make_runlist(tmp_path)
    with pytest.raises(FileNotFoundError):
        runlist.make_runlist(tmp_path / "nowhere")


def test_equal_targets_are_kept_apart(tmp_path):
    names(tmp_path, "gamma_20deg_180deg_run7___x.simtel.gz", "gamma_20deg_180deg_run07___x.simtel.gz")
    names(tmp_path, "gamma_20deg_180deg_run7___x.simtel.zst")
    runs, _ = runlist.make_runlist(tmp_path, 1)
    assert sorted(run["target"] for run in runs) == [
        "gamma_20deg_180deg_runs7-7___x.h5",
        "gamma_20deg_180deg_runs7-7___x_part2.h5",
        "gamma_20deg_180deg_runs7-7___x_part3.h5",
    ]


def test_a_list_is_written_and_read(tmp_path):
    runs = [{"inputs": ["a.simtel.gz", "ü b.simtel.zst"], "target": "x.h5"}]
    runlist.write_runlist(runs, tmp_path / "deep/runlist.yml")
    assert yaml.safe_load((tmp_path / "deep/runlist.yml").read_text("utf-8")) == runs
    found = runlist.read_runlist(tmp_path / "deep/runlist.yml", "out")
    assert found == [{"inputs": runs[0]["inputs"], "target": "out/x.h5"}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "found nothing"),
        ("[]", "found nothing"),
        ("a: b", "found dict"),
        ("- a", "run 1"),
        ("- inputs: a\n  target: b", "run 1"),
        ("- inputs: []\n  target: b", "run 1"),
        ("- inputs: [a]\n  target: b\n- inputs: [a]", "run 2"),
        ("- inputs: [1]\n  target: b", "run 1"),
        ("[", "expected a YAML list"),
        ("!!python/object/apply:os.system ['true']", "expected a YAML list"),
        ("\x00", "expected a YAML list"),
    ],
)
def test_other_texts_are_refused(tmp_path, text, why):
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ValueError, match=why):
        runlist.read_runlist(tmp_path / "a.yml")
