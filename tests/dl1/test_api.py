"""The calls that scripts, commands and the tab share."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import xarray as xr

from detcore import dl1
from detcore.core.follow import Follow, follow
from detcore.core.parameters import InvalidParameters
from detcore.core.run import EmptyInput, Inline, Threads, run, stream
from detcore.core.schema import LIVE
from detcore.core.source import instruments, open_source
from detcore.dl1.api import PARTS, open_files, reduce, reduction
from detcore.dl1.steps import Cuts

ALL_KERNELS = """
import importlib, json, pkgutil, sys
import detcore.dl1
from detcore import dl1

def known():
    return {
        f"{one.py_func.__module__}.{one.py_func.__name__}": [str(each) for each in one.signatures]
        for module in list(sys.modules.values()) if getattr(module, "__name__", "").startswith("detcore.dl1")
        for one in vars(module).values() if hasattr(one, "signatures") and hasattr(one, "py_func")
    }

for module in pkgutil.walk_packages(detcore.dl1.__path__, "detcore.dl1."):
    importlib.import_module(module.name)
dl1.INSTRUMENT.warm()
before = known()
for path in sys.argv[1:]:
    dl1.reduce(path)
    dl1.reduce(path, time_limit=2, main_island=True, min_neighbors=0)
    with dl1.open(path) as file:
        event = file.events.iloc[0]
    dl1.load_event(path, int(event["obs_id"]), int(event["event_id"]), dl1.Cuts(), ring=True)
after = known()
print(json.dumps({"new": {n: s for n, s in after.items() if s != before.get(n)}, "used": [n for n, s in after.items() if s]}))
"""


@pytest.fixture
def own(ctapipe_files, tmp_path):
    return ctapipe_files.write(tmp_path / "own.dl1.h5")


def test_the_result_is_the_same_however_it_is_made(own):
    cuts = {"picture": 8, "boundary": 4, "min_intensity": 20, "multiplicity_min": 2}
    expected = reduce(own.path, executor=Inline(), **cuts)
    wanted = lambda schema: reduction(Cuts(**cuts), schema)
    small = run(open_files(own.path), wanted, executor=Threads(3), target_bytes=1)
    *_, last = stream(open_files(own.path), wanted, every=0)
    for found in (small, last.data):
        assert set(found.variables) == set(expected.variables)
        for name, variable in expected.variables.items():
            if variable.dtype.kind == "f":
                np.testing.assert_allclose(found[name], variable.values, rtol=1e-9, atol=1e-9, err_msg=str(name))
            else:
                np.testing.assert_array_equal(found[name], variable.values, err_msg=str(name))
    assert 0 < expected.sizes["image"] < len(own.images[1]) + len(own.images[2])
    assert int(expected["n_images"].sum()) == expected.sizes["image"]


def test_attributes_say_what_it_is(own):
    data = reduce(own.path, camera="CHEC", energy_min=1, occupancy_above=6)
    assert dl1.camera_of(data).name == "CHEC"
    assert data.attrs["cut"] == "tail-cuts 10/5 p.e., 2 neighbours; E >= 1 TeV"
    assert (data.attrs["time_unit"], data.attrs["frame"], data.attrs["occupancy_above"]) == ("ns", "telescope", 6)
    assert (data.attrs["status"], json.loads(data.attrs["problems"])) == ("complete", [])
    provenance = json.loads(data.attrs["provenance"])
    behind = provenance["reduction"]["reductions"][-1]
    assert [step["name"] for step in behind["steps"]] == ["Chosen", "Parametrised"]
    assert [one["name"] for one in behind["reduction"]["reductions"]] == [
        "PixelStatistics",
        "ImageTable",
        "Distributions",
    ]
    assert provenance["inputs"][str(own.path)]["rows"] == len(own.images[5])


def test_parts(own):
    schema = open_files(own.path).schema()
    always = {"n_read", "n_events", "multiplicity_counts"}
    assert set(reduce(own.path, parts=()).data_vars) == always
    pixels = set(reduce(own.path, parts=("pixels",)).data_vars) - always
    assert pixels == {
        "n_images", "pixel_count", "mean", "std", "occupancy", "survival", "time_mean", "time_std",
    }  # fmt: skip
    assert "dist_true_energy" in reduce(own.path, parts=("distributions",))
    assert "hillas_width" in reduce(own.path, parts=("table",))
    with pytest.raises(ValueError, match="no part 'camera'; there are pixels, table, distributions"):
        reduction(Cuts(), schema, parts=(*PARTS, "camera"))


def test_a_live_feed_keeps_a_window(own):
    schema = open_files(own.path).schema()
    assert "last=200000" in repr(reduction(Cuts(), schema.assign_attrs({LIVE: True})))
    assert "last=1000000" in repr(reduction(Cuts(), schema))


def test_a_folder_that_fills(own, tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    shutil.copy(own.path, folder / "run_1.dl1.h5")
    source = follow(folder, instrument="dl1")
    assert isinstance(source, Follow)
    cancel = threading.Event()
    counts = []
    feed = stream(
        Follow(source.source, settle=0.0, rescan=0.05), lambda s: reduction(Cuts(), s), every=0.05, cancel=cancel
    )
    n = len(own.images[1]) + len(own.images[2])
    for snapshot in feed:
        counts.append(int(snapshot.data["n_read"].sum()) if "n_read" in snapshot.data else 0)
        if counts[-1] == n and not (folder / "run_2.dl1.h5").exists():
            shutil.copy(own.path, folder / "run_2.dl1.h5")
        if counts[-1] == 2 * n or len(counts) > 500:
            cancel.set()
    assert counts[-1] == 2 * n


def test_mistakes_are_told(own, tmp_path):
    with pytest.raises(InvalidParameters, match="unknown key 'threshold'"):
        reduce(own.path, threshold=3)
    with pytest.raises(EmptyInput, match="no images of camera FlashCam; the file has the cameras LSTCam, CHEC"):
        reduce(own.path, camera="FlashCam")
    with pytest.raises(EmptyInput, match=r"(?i)no such file"):
        reduce(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="holds no cleaning of its own"):
        reduce(open_ctaml(tmp_path), cleaning="file")


def open_ctaml(folder):
    """A CTA-ML file, which holds no cleaning."""
    paths = dl1.write_demo(folder / "demo")
    return next(path for path in paths if dl1.kind_of(path) == "CTA-ML")


def test_the_instrument_is_complete(own, shared):
    known, broken = instruments("dl1")
    assert not broken
    assert known["dl1"] is dl1.INSTRUMENT
    assert dl1.INSTRUMENT.parameters is Cuts
    source = open_source(own.path)
    assert source == open_files(own.path), "recognised by its content"
    assert open_source(shared / "data/dl1/ctaml072_chec_lzo.h5", camera="CHEC").camera == "CHEC"
    assert dl1.INSTRUMENT.commands().name == "dl1"


def test_a_result_can_be_kept_and_sent(own):
    data = reduce(own.path)
    again = pickle.loads(pickle.dumps(data))
    xr.testing.assert_identical(again, data)
    assert dl1.camera_of(again) is dl1.camera_of(data)


def test_warm_up_leaves_nothing_to_compile(shared):
    folder = shared / "data/dl1"
    paths = [folder / name for name in ("test_lasercal_v3.dl1.h5", "ctaml072_chec_lzo.h5")]
    done = subprocess.run([sys.executable, "-c", ALL_KERNELS, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["new"] == {}
    used = {name.removeprefix("detcore.dl1.") for name in found["used"]}
    assert used >= {
        "images.kernels.tailcuts",
        "images.kernels.islands",
        "images.moments.parameters",
        "images.sums.add_charges",
        "files.lzo._decode",
    }
