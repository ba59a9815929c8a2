"""psana, as a stand-in module of its documented shape: events one by one, calibration, and words when it is absent."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from detcore.area.files import psanaframes
from detcore.area.source import PsanaRun, open_files, probe
from detcore.core.source import ChunkRef, Problem

FRAMES = np.random.default_rng(8).integers(0, 16384, (6, 4, 352, 384)).astype(np.uint16)
MISSING = 3  # an event without the detector


class Raw:
    def raw(self, event):
        return None if event.number == MISSING else FRAMES[event.number]

    def calib(self, event):
        return None if event.number == MISSING else FRAMES[event.number] * np.float32(0.5)

    def _pixel_coords(self):
        places = np.random.default_rng(0).random((3, 4, 352, 384))
        return tuple(places)

    def _pixel_coord_indexes(self):
        return np.indices((4 * 352, 384)).reshape(2, 4, 352, 384)[0], np.indices((4 * 352, 384)).reshape(
            2, 4, 352, 384
        )[1]


class Two:
    """psana 2."""

    class Detector2:
        def __init__(self, name):
            self.raw = Raw()
            status = np.zeros((7, 4, 352, 384), np.uint16)
            self.calibconst = {"pedestals": (np.full((7, 4, 352, 384), 9.0), {}), "pixel_status": (status, {})}

    def __init__(self, **options):
        self.options, self.detnames = options, {"epixquad", "gasdet"}
        if options.get("run") == 99:
            msg = "no such run"
            raise RuntimeError(msg)

    def runs(self):
        yield self

    def Detector(self, name):
        return self.Detector2(name)

    def events(self):
        for number in range(len(FRAMES)):
            yield types.SimpleNamespace(number=number, timestamp=((1_000 + number) << 32) + 500_000_000)


@pytest.fixture
def psana2(monkeypatch):
    monkeypatch.setitem(sys.modules, "psana", types.SimpleNamespace(DataSource=Two, __spec__=object()))
    monkeypatch.setattr(psanaframes, "installed", lambda: True)


@pytest.fixture
def psana1(monkeypatch):
    class Source1:
        def __init__(self, *names):
            assert names == ("exp=xpptut15:run=54",)

        def events(self):
            for number in range(len(FRAMES)):
                time = types.SimpleNamespace(time=lambda number=number: (2000 + number, 0))
                yield types.SimpleNamespace(number=number, get=lambda _, time=time: time)

    class Detector1(Raw):
        def __init__(self, name):
            assert name == "epixquad"

        def pedestals(self, run):
            return np.full((7, 4, 352, 384), 3.0)

        def rms(self, run):
            msg = "no constants"
            raise KeyError(msg)

    fake = types.SimpleNamespace(
        DataSource=Source1,
        Detector=Detector1,
        EventId=object,
        DetNames=lambda: [("XppEndstation.0:Epix10kaQuad.0", "epixquad", "")],
    )
    monkeypatch.setitem(sys.modules, "psana", fake)
    monkeypatch.setattr(psanaframes, "installed", lambda: True)


def test_events_of_psana_2(psana2):
    source = open_files("exp=ueddaq02,run=109", detector="epixquad", type="epix10kquad")
    assert isinstance(source, PsanaRun)
    assert not source.replayable
    items = list(source.plan(3 * FRAMES[0].nbytes))
    refs = [item for item in items if isinstance(item, ChunkRef)]
    chunks = [source.read(ref, frozenset({"data"})) for ref in refs]
    kept = [0, 1, 2, 4, 5]
    assert np.array_equal(np.concatenate([chunk["data"] for chunk in chunks]), FRAMES[kept])
    assert np.concatenate([chunk.event_id for chunk in chunks]).tolist() == kept
    assert chunks[0].time.values.tolist() == [1000.5, 1001.5, 1002.5]
    (problem,) = [item for item in items if isinstance(item, Problem)]
    assert "1 events without epixquad" in problem.reason
    assert source.n_frames() == 5
    assert np.array_equal(source.frame(4), FRAMES[4])
    with pytest.raises(KeyError, match="event 3"):
        source.frame(3)
    assert source.schema()["data"].shape == (0, 4, 352, 384)


def test_calibration_of_psana_2(psana2):
    detector = open_files("run.xtc2", detector="epixquad", type="epix10kquad").detector()
    assert detector.gain_modes == 7
    assert detector.pedestal[0, 0, 0, 0] == 9
    assert detector.image_shape == (4 * 352, 384)
    assert detector.type == "epix10kquad"


def test_a_range_of_events_calibrated_by_psana(psana2):
    source = PsanaRun(("run.xtc2",), "epixquad", "epix10kquad", 1, 5, 2, calibrated=True)
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    chunk = source.read(ref, frozenset({"data"}))
    assert chunk.event_id.values.tolist() == [1]  # 3 lacks the detector
    assert np.array_equal(chunk["data"][0], FRAMES[1] * np.float32(0.5))


def test_events_of_psana_1(psana1):
    source = open_files("exp=xpptut15,run=54", type="epix10kquad")
    (ref,) = [item for item in source.plan() if isinstance(item, ChunkRef)]
    chunk = source.read(ref, frozenset({"data"}))
    assert chunk.time.values[0] == 2000
    assert np.array_equal(chunk["data"], FRAMES[[0, 1, 2, 4, 5]])
    detector = source.detector()
    assert detector.pedestal[0, 0, 0, 0] == 3
    assert detector.noise is None


def test_detectors_are_listed(psana2):
    with pytest.raises(ValueError, match="several detectors; name one with detector=: epixquad, gasdet"):
        open_files("run.xtc2").schema()
    with pytest.raises(ValueError, match="no detector 'cspad'"):
        open_files("run.xtc2", detector="cspad").schema()
    with pytest.raises(ValueError, match="psana cannot open it: RuntimeError: no such run"):
        open_files("exp=a,run=99", detector="epixquad").schema()
    with pytest.raises(ValueError, match="leave orientation"):
        open_files("run.xtc2", orientation=4)


def test_psana_that_is_absent_explains_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(psanaframes, "installed", lambda: False)
    monkeypatch.setattr("detcore.area.source.installed", lambda: False)
    (tmp_path / "run.xtc2").write_bytes(b"x")
    answer = probe(str(tmp_path / "run.xtc2"))
    assert answer.degree == "no"
    assert "psconda.sh" in answer.reason
    with pytest.raises(psanaframes.PsanaMissing, match="needs psana, which is not installed"):
        open_files(tmp_path / "run.xtc2").schema()
