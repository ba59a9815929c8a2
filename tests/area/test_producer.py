"""Production configurations: read as data, never executed; written and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.area.commands.producer import producer
from detcore.area.images.geometry import Geometry
from detcore.area.producer.producer import producer_from_text, read_producer
from detcore.area.producer.producertext import producer_text
from detcore.area.producer.producervalues import values_of
from detcore.area.setup.setupfile import Setup

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = '''
import numpy as np
import psplot
detectors = ["epix100", "jungfrau", "alvium"]
epicsPV = [("A:B", "c"), "D"]
ttCalib = [0., 2.]
which: str = "epix100"

def getROIs(run):
    """ Set parameters. """
    if isinstance(run, str):
        run = int(run)
    ret_dict = {}
    full = {"thresADU": None, "writeArea": True, "calcPars": False, "ROI": None}
    if run > 100:
        first = {}
        first['ROI'] = [[200, 500], [300, 580]]
        first['writeArea'] = True
        first['thresADU'] = 0.0
        first['pj'] = [{'name': 'pj21', 'axis': 1, 'thresADU': 1.0}]
        ret_dict[which] = [first, {"ROI": [[0, 1], [2, 3 * 4], [0, 9]], "name": "tile", "proj_ax": 0}]
        ret_dict["jungfrau"] = [full]
        ...
    elif run == 7:
        ret_dict[which] = [full]
    return ret_dict

def get_droplet2photon(run):
    ret_dict = {}
    d2p = {}
    d2p["droplet"] = {"threshold": 50, "thresholdLow": 12.5, "useRms": False}
    d2p["d2p"] = {"aduspphot": 20, "roi_mask": np.load("path.npy"), "cputime": True}
    d2p["nData"] = None
    ret_dict["epix100"] = d2p
    return ret_dict

def get_droplet(run):
    return {"jungfrau": {"threshold": 110.0 / 32, "thresholdLow": 2, "useRms": False, "thresADU": 20.}}

def get_azav(run):
    az = {"eBeam": 9.8, "center": np.array([-1107, 918]), "phiBins": 11}
    az["userMask"] = open("secret").read()
    ret = {}
    ret["jungfrau"] = az
    return ret

def get_azav_pyfai(run):
    return {"jungfrau": {"poni_file": "/a/b.poni", "npts": 700, "return2d": False}}

def getDetImages(run):
    return {"alvium": {}}

def get_polynomial_correction(run):
    return {"alvium": {"coeff": [1, -2.5]}}

def get_sum_algos(run):
    ret = {"all": ["calib"]}
    ret["epix100"] = ["calib_dropped"]
    for extra in ["calib_max", "calib_square"]:
        ret["epix100"].append(extra)
    if run in (4, 51) or not run < 200:
        ret["epix100"].append("calib_thresADU1")
    return ret

def get_wf_integrate(run):
    return {"fim": {"sig_roi": slice(1, 2)}}
'''


def test_a_configuration_becomes_setups() -> None:
    found = producer_from_text(CONFIGURATION, 150)
    epix, jungfrau, alvium = (found.setups[name] for name in ("epix100", "jungfrau", "alvium"))
    assert [roi.name for roi in epix.rois] == ["ROI_0", "tile"]
    assert epix.rois[0].bounds == ((200, 500), (300, 580))
    assert epix.rois[0].area
    assert epix.rois[0].threshold == 0
    assert (epix.rois[0].projections[0].axis, epix.rois[0].projections[0].name) == (1, "pj21")
    assert epix.rois[1].bounds == ((0, 1), (2, 12), (0, 9))
    assert epix.rois[1].projections[0].axis == 0
    droplets = epix.functions[0]
    assert (droplets.kind, droplets.params["thresholdLow"]) == ("dropletFunc", 12.5)
    assert droplets.children[0].params["roi_mask"] == "path.npy"
    assert droplets.children[0].children[0].kind == "sparsifyFunc"
    assert epix.sums == ("calib", "calib_dropped", "calib_max", "calib_square")
    assert jungfrau.droplets is not None
    assert (jungfrau.droplets.threshold, jungfrau.droplets.min_sum) == (3.4375, 20)
    kinds = {one.kind: one.params for one in jungfrau.functions}
    assert kinds["ROIFunc"] == {"thresADU": None, "writeArea": True, "calcPars": False, "ROI": None}
    assert kinds["azimuthalBinning"] == {"eBeam": 9.8, "center": [-1107, 918], "phiBins": 11}
    assert kinds["azav_pyfai"]["poni_file"] == "/a/b.poni"
    assert [one.kind for one in alvium.functions] == ["imageFunc", "PolynomialCurveCorrection"]
    assert found.lists["epicsPV"] == [["A:B", "c"], "D"]
    assert found.setups["alvium"].detector.name == "alvium"


def test_it_depends_on_the_run() -> None:
    assert producer_from_text(CONFIGURATION, 7).setups["epix100"].rois == ()
    assert producer_from_text(CONFIGURATION, 8).setups["epix100"].functions[0].kind == "dropletFunc"
    assert "calib_thresADU1" in producer_from_text(CONFIGURATION, 51).setups["epix100"].sums
    assert "calib_thresADU1" in producer_from_text(CONFIGURATION, 200).setups["epix100"].sums


def test_what_is_not_understood_is_reported_by_line() -> None:
    problems = [str(one) for one in producer_from_text(CONFIGURATION, 150).problems]
    line = CONFIGURATION.splitlines().index('    az["userMask"] = open("secret").read()') + 1
    assert f"line {line}: open('secret').read() is not data; az['userMask'] is left out" in problems
    assert any("slice(1, 2) is not data; the entry 'sig_roi' is left out" in one for one in problems)
    assert any(one.startswith("get_wf_integrate, fim: there is nothing like it") for one in problems)
    assert len(problems) == 3


def test_nothing_is_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    text = f"""
import os
from pathlib import Path
Path({str(trap)!r}).touch()
x = __import__("os").system("touch {trap}")
class A:
    Path({str(trap)!r}).touch()
with open({str(trap)!r}, "w") as f: pass
detectors = [open({str(trap)!r}, "w")] + ["a"]
@Path({str(trap)!r}).touch
def getROIs(run):
    exec("open({str(trap)!r}, 'w')")
    eval("1")
    ().__class__.__bases__[0].__subclasses__()
    return {{"a": [{{"ROI": [[0, 1], [0, 2]], "writeArea": (lambda: 1)()}}]}}
"""
    found = producer_from_text(text, 1)
    assert not trap.exists()
    assert found.setups["a"].rois[0].bounds == ((0, 1), (0, 2))
    lines = {one.line for one in found.problems}
    assert {4, 5, 6, 8, 9, 12, 13, 14, 15} <= lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def a(:", "line 1: not a Python file"),
        ("a = '\0'", "not a Python file"),
        ("x" * 1_000_001, "too many for a configuration"),
        ("(" * 5000, "not a Python file"),
        ("a = " + "-" * 100_000 + "1", "not a "),
        ("b = [1]\nfor a in b:\n    b.append(1)", "more than 200000 steps"),
        ("x = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n" + "".join("for a in x:\n" + "".join("    " * d + "for b in x:\n" for d in range(1, 9)) + "    " * 9 + "c = 1\n" for _ in "1"), "more than 200000 steps"),
    ],
)  # fmt: skip
def test_what_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_producer(tmp_path / "config.py", 1)
    assert "config.py" in str(caught.value)


def test_numbers_and_lists_that_grow_are_stopped() -> None:
    found = values_of(
        "a = 9 ** 9 ** 9\nb = 1e308 * 10\nc = 'x' * 10\nd = 1 / 0\ne = 1e14 * 1e14\nf = [1] * 9\ng = 2", 1
    )
    assert found.names == {"g": 2}
    assert len(found.problems) == 6
    laughs = "x = [1, 2]\n" + "x = [x, x, x, x, x, x, x, x]\n" * 12 + "def get_azav(run):\n    return {'a': {'b': x}}"
    result = producer_from_text(laughs, 1)
    assert result.setups == {}
    assert "a dictionary by detector expected" in str(result.problems[0])
    round_and_round = "x = []\nx.append(x)\ndef get_azav(run):\n    return {'a': {'b': x}}"
    assert producer_from_text(round_and_round, 1).setups == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{'a': 5}", "getROIs, a: "),
        ("{'a': [{'ROI': 'all'}]}", ""),
        ("{'a': [{'ROI': [[1, 'x'], [0, 2]]}]}", "getROIs, a"),
        ("{'a': [{'ROI': [[0, 5], [0, 2.5]]}]}", "getROIs, a"),
        ("{'a': [{'ROI': [[0, 5], [0, 2]], 'thresADU': 'high'}]}", "a: rois.0.threshold"),
        ("[1]", "getROIs: a dictionary by detector expected"),
    ],
)
def test_wrong_values_leave_the_rest(body: str, message: str) -> None:
    text = (
        f"detectors = ['a']\ndef getROIs(run):\n    return {body}\ndef getDetSums(run):\n    return {{'a': ['calib']}}"
    )
    found = producer_from_text(text, 1)
    assert found.setups["a"].sums == ("calib",)
    assert message in " ".join(map(str, found.problems))


def test_written_and_read_back() -> None:
    setups = producer_from_text(CONFIGURATION, 150).setups
    text, left_out = producer_text(setups)
    assert left_out == ()
    again = producer_from_text(text, 3)
    assert again.problems == ()
    assert again.setups == setups


@pytest.mark.parametrize("body", ["[[0, 5], [1, 2]]", "[[[0, 5], [1, 2]]]", "{'ROI': [[0, 5], [1, 2]]}"])
def test_bounds_in_several_forms(body: str) -> None:
    found = producer_from_text(f"def getROIs(run):\n    return {{'a': {body}}}", 1)
    assert [roi.bounds for roi in found.setups["a"].rois] == [((0, 5), (1, 2))]
    assert found.problems == ()


def test_what_has_no_place_is_said() -> None:
    setup = Setup.from_yaml(
        "rois: [{name: round, region: {kind: ellipse, x: 1, y: 1, a: 3, b: 3}},"
        "{name: box, panel: 2, region: {kind: rectangle, x0: 1, y0: 2.5, x1: 4, y1: 9}}]\n"
        "mask: [{kind: edges}]\nazimuthal: {bins: 300, sectors: 4}\ndroplets: {photon_adu: 154, noise_units: false}"
    )
    geometry = Geometry(x=10, y=20, distance=0.1, energy=9.5, pixel_size=(1e-4, 1e-4))
    text, left_out = producer_text({"a": setup, "b": Setup(geometry=geometry, azimuthal=setup.azimuthal)})
    assert len(left_out) == 3
    assert all(f"# no place for it here: {line}" in text for line in left_out)
    found = producer_from_text(text, 1)
    assert found.setups["a"].rois[0].bounds == ((2, 3), (3, 9), (1, 4))
    assert found.setups["a"].functions[0].children[0].params == {"aduspphot": 154.0}
    pyfai = found.setups["b"].functions[0]
    assert (pyfai.kind, pyfai.params["npts"], pyfai.params["npts_az"]) == ("azav_pyfai", 300, 4)
    kwargs = pyfai.params["ai_kwargs"]
    assert isinstance(kwargs, dict)
    assert kwargs["dist"] == pytest.approx(0.1)
    assert kwargs["wavelength"] == pytest.approx(12.398419843e-10 / 9.5)


@given(st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        producer_from_text(text, 1)
    except ValueError as error:
        assert "configuration" in str(error) or "Python" in str(error)  # noqa: PT017 - either is right


def test_command(tmp_path: Path) -> None:
    config = tmp_path / "prod_config.py"
    config.write_text(CONFIGURATION)
    done = CliRunner().invoke(producer, [str(config), "--run", "150", "--output", str(tmp_path / "setups")])
    assert done.exit_code == 0, done.output
    names = sorted((tmp_path / "setups").iterdir())
    assert [one.name for one in names] == ["alvium.yaml", "epix100.yaml", "jungfrau.yaml"]
    back = CliRunner().invoke(producer, [*map(str, names), "--output", str(tmp_path / "again.py")])
    assert back.exit_code == 0, back.output
    assert producer_from_text((tmp_path / "again.py").read_text(), 1).setups == {
        one.stem: Setup.load(one) for one in names
    }
    missing = CliRunner().invoke(producer, [str(config), "--output", str(tmp_path / "x")])
    assert missing.exit_code == 2
    assert "--run expected" in missing.output
