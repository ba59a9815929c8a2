"""`detcore area info`: what is in a run, as a table and as JSON."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner

from detcore.area.cli import area


def test_the_real_lambda_file(shared):
    done = CliRunner().invoke(area, ["info", str(shared / "data/area/lambda750k_m1.nxs")])
    assert done.exit_code == 0
    assert "516, 1554" in done.output
    assert "virtual 21408" in done.output


def test_json_with_the_options_of_a_run(shared):
    path = str(shared / "data/area/ceo2_pilatus1m.tif")
    done = CliRunner().invoke(area, ["info", path, "--json", "--orientation", "6", "--detector", "front"])
    facts = json.loads(done.output)
    assert facts["shape"] == [981, 1043]
    assert facts["detector"] == "front"
    assert facts["type"] == "pilatus"
    assert facts["valid_values"] == [0, 1097223]
    assert "gaps" in facts["notes"][0]


def test_a_broken_file_is_a_line_and_a_code(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 9, 9)))
    (tmp_path / "b.npy").write_bytes(b"nonsense")
    done = CliRunner().invoke(area, ["info", str(tmp_path)])
    assert done.exit_code == 1
    assert "b.npy" in done.output
    assert "frames" in done.output
    done = CliRunner().invoke(area, ["info", str(tmp_path / "b.npy")])
    assert done.exit_code != 0
    assert "none of the formats of frames" in done.output
    assert "Traceback" not in done.output


def test_a_setup_counts_and_one_of_another_detector_is_told(tmp_path):
    np.save(tmp_path / "run.npy", np.ones((2, 9, 9), np.uint16))
    (tmp_path / "fits.yaml").write_text("detector: {shape: [9, 9], type: pilatus}\nmask: [{kind: edges, width: 1}]\n")
    (tmp_path / "other.yaml").write_text("detector: {shape: [8, 9]}\n")
    done = CliRunner().invoke(area, ["info", f"{tmp_path}/run.npy", "--setup", f"{tmp_path}/fits.yaml", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.output)
    assert facts["type"] == "pilatus"
    assert facts["masked_pixels"]["not_good"] == 9 * 9 - 7 * 7
    for verb in (["info"], ["pedestal", "--output", str(tmp_path / "p.h5")]):
        done = CliRunner().invoke(area, [*verb, f"{tmp_path}/run.npy", "--setup", f"{tmp_path}/other.yaml"])
        assert done.exit_code != 0
        assert "the setup is for frames of (8, 9), these are (9, 9)" in " ".join(done.output.split())
    assert not (tmp_path / "p.h5").exists()
