"""A run becomes a small file: the numbers, the order, changes meanwhile, and what goes wrong."""

from __future__ import annotations

import json
import threading
import time

import h5py
import numpy as np
import pytest

from detcore.area.events.runreduction import reduce, reducing
from detcore.area.events.setupfeed import SetupFeed
from detcore.area.setup.setupfile import Setup
from detcore.area.smalldata.smallread import read_reduced
from detcore.area.source import open_files
from detcore.core.follow import Follow
from detcore.core.run import EmptyInput
from detcore.core.schema import MissingColumn

N, SHAPE = 30, (12, 16)
ROIS = "rois: [{name: ROI_0, bounds: [[2, 6], [3, 9]], area: true}, {name: dot, region: {kind: ellipse, x: 8, y: 5, a: 3, b: 3}}]"


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(7)
    return rng.normal(5, 2, (N, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = frames
        events = file.create_group("entry/events")
        number = np.arange(N)
        events["delay"] = number % 5 - 1.0
        events["laser"] = (number % 3 > 0).astype(np.uint8)
        events["xray"] = (number % 10 != 4).astype(np.uint8)
        events["i0"] = 1.0 + number
    return path


def opened(run, **options):
    """A source that reads in small chunks, so that several threads have work."""
    source = open_files(run, **options)
    plan = type(source).plan
    size = 4 * int(np.prod(SHAPE)) * 4

    class Small(type(source)):
        def plan(self, target_bytes=None):
            return plan(self, size)

    return Small(**{name: getattr(source, name) for name in ("paths", "name", "frames")})


def test_numbers_are_those_of_numpy_in_the_order_of_events(run, frames, tmp_path):
    setup = Setup.from_yaml(ROIS + "\nsums: [calib, calib_max, calib_dropped, calib_thresADU5_square]")
    data = reduce(opened(run), setup, tmp_path / "small.h5", threads=3)
    window = frames[:, 2:6, 3:9].astype(np.float64)
    np.testing.assert_array_equal(data.event, np.arange(N))
    np.testing.assert_allclose(data["detector/ROI_0_sum"], window.sum(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data["detector/ROI_0_max"], window.max(axis=(1, 2)))
    np.testing.assert_array_equal(data["detector/ROI_0_area"], frames[:, 2:6, 3:9])
    y, x = np.indices(SHAPE)
    inside = (x - 8) ** 2 + (y - 5) ** 2 < 9
    np.testing.assert_allclose(data["detector/dot_mean"], frames[:, inside].mean(axis=1), rtol=1e-5)
    whole = frames.astype(np.float64)
    np.testing.assert_allclose(data["Sums/detector_calib"], whole.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(data["Sums/detector_calib_max"], whole.max(axis=0))
    np.testing.assert_allclose(data["Sums/detector_calib_dropped"], whole[4::10].sum(axis=0), rtol=1e-6)
    squares = np.where(frames < 5, 0, whole) ** 2
    np.testing.assert_allclose(data["Sums/detector_calib_thresADU5_square"], squares.sum(axis=0), rtol=1e-5)
    assert data["Sums/detector_calib_dropped"].attrs["n_events"] == 3
    np.testing.assert_array_equal(data["lightStatus/xray"], np.arange(N) % 10 != 4)
    assert (data["damage/detector"] == 1).all()
    assert (data.attrs["status"], json.loads(data.attrs["problems"])) == ("complete", [])
    assert json.loads(data.attrs["provenance"])["inputs"]


def test_without_a_file_the_result_is_the_same(run, tmp_path):
    setup = Setup.from_yaml(ROIS)
    kept, written = reduce(run, setup), reduce(run, setup, tmp_path / "a.h5")
    assert written.attrs.pop("file") == str(tmp_path / "a.h5")
    for name in kept.data_vars:
        np.testing.assert_array_equal(kept[name], written[name])
    assert set(kept) == set(written)


def test_constants_of_the_run_are_beside(run, tmp_path):
    reduce(run, Setup.from_yaml(ROIS), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        config = file["UserDataCfg/detector"]
        assert config["mask"].shape == SHAPE
        assert config["ROI_0__ROI_0_bound"][()].tolist() == [[2, 6], [3, 9]]
        assert Setup.from_yaml(file["detcore/setups/detector/version_0000"].asstr()[()]) == Setup.from_yaml(ROIS)


def test_profiles_have_their_axis(run, frames):
    setup = Setup.from_yaml(
        "geometry: {x: 8, y: 6, distance: 0.1, energy: 10, pixel_size: [1.0e-4, 1.0e-4]}\n"
        "azimuthal: {bins: 5, unit: radius, polarization: null, solid_angle: false}\n"
        "mask: [{kind: region, region: {kind: rectangle, x0: 0, y0: 0, x1: 16, y1: 3}}]"
    )
    data = reduce(run, setup)
    axis = "detector/azav_radius"
    assert data["detector/azav_azav"].dims == data["detector/azav_n_valid"].dims == ("event", axis)
    assert data[axis].attrs["units"] == "pixel"
    y, x = np.indices(SHAPE)
    radius, width = np.hypot(x - 8, y - 6), float(np.diff(data[axis].values[:2])[0])
    inside = (abs(radius - float(data[axis][2])) < width / 2) & (y >= 3)
    np.testing.assert_allclose(data["detector/azav_azav"][:, 2], frames[:, inside].mean(axis=1), rtol=1e-5)
    assert (data["detector/azav_n_valid"][:, 2] == inside.sum()).all()


def test_filters_and_users_own_numbers(run, frames):
    setup = Setup.from_yaml(
        ROIS + "\nfilters: [{field: i0, low: 5, high: 20}, {field: lightStatus/laser, low: 1, high: 1, invert: true}]"
    )

    def user(det, event):
        return {
            "mine": {"top": det.evt.dat.max(), "twice": 2 * event["i0"]},
            "word": "x" if event["delay"] > 0 else None,
        }

    data = reduce(run, setup, user=user)
    chosen = [number for number in range(N) if 5 <= 1 + number <= 20 and number % 3 == 0]
    assert data.event.values.tolist() == chosen
    assert data.attrs["n_left_out"] == N - len(chosen)
    np.testing.assert_array_equal(data["mine/twice"], 2 * (1.0 + np.array(chosen)))
    np.testing.assert_allclose(data["mine/top"], frames[chosen].max(axis=(1, 2)))
    assert data["word"].values.tolist() == ["x" if number % 5 > 1 else "" for number in chosen]


def test_dropped_shots_are_subtracted(run, frames):
    setup = Setup.from_yaml(ROIS + "\nbackground: {dropped: true}")
    data = reduce(run, setup)
    expected = frames.astype(np.float64) - frames[4::10].mean(axis=0)
    np.testing.assert_allclose(data["detector/ROI_0_sum"], expected[:, 2:6, 3:9].sum(axis=(1, 2)), atol=1e-3)


def test_background_image(run, frames, tmp_path):
    np.save(tmp_path / "b.npy", np.full(SHAPE, 1.5, np.float32))
    setup = Setup.from_yaml(ROIS).with_(background={"image": str(tmp_path / "b.npy")})
    data = reduce(run, setup)
    np.testing.assert_allclose(data["detector/ROI_0_mean"], frames[:, 2:6, 3:9].mean(axis=(1, 2)) - 1.5, rtol=1e-4)
    np.save(tmp_path / "b.npy", np.zeros((3, 3), np.float32))
    with pytest.raises(EmptyInput, match="expected an image of"):
        reduce(run, setup)


def test_the_setup_changes_while_it_runs(run, tmp_path):
    """A version that is saved meanwhile starts with the next chunk and is recorded with its first event."""
    first, second = Setup.from_yaml(ROIS), Setup.from_yaml("rois: [{name: late, bounds: [[0, 2], [0, 2]]}]")
    asked = []

    def setup():
        asked.append(1)
        return first if len(asked) <= 4 else second

    data = reduce(opened(run), setup, tmp_path / "small.h5", threads=1)
    version = data["setup_version"].values
    assert (np.diff(version) >= 0).all()
    assert set(version) == {0, 1}
    assert (np.isnan(data["detector/late_sum"]) == (version == 0)).all()
    assert (np.isnan(data["detector/ROI_0_sum"]) == (version == 1)).all()
    with h5py.File(tmp_path / "small.h5") as file:
        one = file["detcore/setups/detector/version_0001"]
        assert one.attrs["first_event"] == np.flatnonzero(version)[0]
        assert Setup.from_yaml(one.asstr()[()]) == second


def test_a_setup_file_is_followed_and_a_broken_one_changes_nothing(tmp_path):
    place = tmp_path / "setup.yaml"
    place.write_text("sums: [calib]\n")
    feed = SetupFeed(place, follow=True)
    assert feed.now()[0] == 0
    place.write_text("sums: [calib, calib_max]\n")
    version, setup = feed.now()
    assert (version, setup.sums) == (1, ("calib", "calib_max"))
    place.write_text("sums: {")
    assert feed.now() == (1, setup)
    assert "version 1 stays in use" in feed.problems[0].reason
    assert len(feed.problems) == 1
    assert feed.now() == (1, setup)
    assert len(feed.problems) == 1, "told once"


def test_stopping_keeps_what_was_done(run, tmp_path):
    cancel = threading.Event()

    def user(det, event):
        if event["event_id"] == 9:
            cancel.set()

    setup = Setup.from_yaml(ROIS)
    *_, last = reducing(opened(run), setup, tmp_path / "a.h5", user=user, cancel=cancel, threads=1)
    assert last.status == "partial"
    data = read_reduced(tmp_path / "a.h5")
    assert data.attrs["status"] == "partial"
    assert 9 < data.sizes["event"] < N
    np.testing.assert_array_equal(data.event, np.arange(data.sizes["event"]))


def test_a_live_folder(frames, tmp_path):
    """Frames that are written while it runs are reduced, too; stopping keeps all of them."""
    folder, cancel, seen = tmp_path / "live", threading.Event(), []
    folder.mkdir()

    def write(number):
        with h5py.File(tmp_path / "aside.h5", "w") as file:
            file["entry/data/data"] = frames[number * 5 : number * 5 + 5]
        (tmp_path / "aside.h5").rename(folder / f"part{number}.h5")

    source = Follow(open_files(folder), settle=0.05, rescan=0.05)
    deadline = time.monotonic() + 20
    for step in reducing(source, Setup.from_yaml(ROIS), tmp_path / "a.h5", cancel=cancel, every=0.05):
        seen.append((step.status, step.n_events))
        if len(seen) == 1:
            write(0)
        elif step.n_events == 5 and len(list(folder.iterdir())) == 1:
            write(1)
        elif step.n_events == 10 or time.monotonic() > deadline:
            cancel.set()
    assert seen[0] == ("waiting", 0)
    assert seen[-1] == ("partial", 10)
    data = read_reduced(tmp_path / "a.h5")
    np.testing.assert_allclose(data["detector/ROI_0_sum"], frames[:10, 2:6, 3:9].sum(axis=(1, 2)), rtol=1e-5)
    assert data.event.values.tolist() == list(range(10))


def test_several_detectors_and_an_absent_one(run, frames, tmp_path):
    setup = Setup.from_yaml(ROIS)
    every_second = opened(run, frames=(0, None, 2))
    data = reduce({"a": opened(run), "b": every_second, "c": None}, setup, tmp_path / "x.h5")
    assert data.sizes["event"] == N
    even = np.arange(N) % 2 == 0
    assert (data["damage/b"].values == even).all()
    assert (data["damage/c"] == 0).all()
    np.testing.assert_array_equal(data["a/ROI_0_sum"][even], data["b/ROI_0_sum"][even])
    assert np.isnan(data["b/ROI_0_sum"][~even]).all()
    assert not [name for name in data if str(name).startswith("c/")]
    with pytest.raises(ValueError, match="none of the detectors is in the run: c"):
        reduce({"c": None}, setup)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("filters: [{field: nothing, low: 1}]", EmptyInput, "no column 'nothing'; it has delay"),
        ("filters: [{field: i0, low: 1000}]", EmptyInput, "all 30 events are left out"),
        ("rois: [{name: far, bounds: [[50, 60], [0, 2]]}]", ValueError, "far"),
        ("detector: {shape: [5, 5]}", ValueError, r"the setup is for frames of \(5, 5\)"),
        ("azimuthal: {bins: 5}", ValueError, "geometry"),
        ("functions: [{kind: os.system}]", ValueError, "no analysis function 'os.system'"),
        ("functions: [{kind: ROIFunc, params: {nonsense: 3}}]", ValueError, "nonsense"),
        ("sums: [calib_typo]", ValueError, "typo"),
        ("background: {dropped: true}\nfilters: []", None, ""),
        ("common_mode: 7777", ValueError, "common mode 7777"),
        ("calibration: {pedestal: /nowhere/x.npy}", OSError, "/nowhere/x.npy"),
    ],
)
def test_what_is_wrong_with_a_setup_is_told(run, tmp_path, text, error, words):
    if error is None:
        assert reduce(run, Setup.from_yaml(text)).sizes["event"] == N
        return
    with pytest.raises(error, match=words):
        reduce(run, Setup.from_yaml(text), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_a_function_that_fails_is_a_line_of_the_ledger(run):
    class Fails:
        def __call__(self, det, event):
            if event["event_id"] == 3:
                msg = "third"
                raise ValueError(msg)

    data = reduce(opened(run), Setup.from_yaml(ROIS), user=Fails(), threads=1)
    assert json.loads(data.attrs["problems"]) == [{"part": "user function", "reason": "third", "chunks": 1}]
    assert data.sizes["event"] == N


def test_columns_without_the_filter_are_named(run):
    with pytest.raises((MissingColumn, EmptyInput), match="i0"):
        reduce(run, Setup.from_yaml("filters: [{field: ipm9, low: 0}]"))


def test_panels_of_a_real_quad(shared, tmp_path):
    """Regions of the assembled image, of one panel and of raw bounds, on raw frames of an ePix10ka quad."""
    path = shared / "data" / "area" / "epix10ka_quad_raw.npz"
    with np.load(path) as stored:
        raw, row, column = stored["raw"], stored["ix"], stored["iy"]  # psana calls the rows of the image x
    setup = Setup.from_yaml(
        "detector: {name: quad, type: epix10kquad}\ncommon_mode: -1\npsana_options: [edges]\nsums: [calib, calib_img]\n"
        "rois:\n- {name: mid, region: {kind: annulus, x: 390, y: 380, inner: 100, outer: 120}}\n"
        "- {name: tile, panel: 2, region: {kind: rectangle, x0: 10, y0: 20, x1: 30, y1: 40}}\n"
        "- {name: raw, bounds: [[1, 2], [0, 10], [0, 20]], area: true}\n"
    )
    data = reduce(path, setup, tmp_path / "quad.h5")
    values = raw & 0x3FFF
    np.testing.assert_array_equal(data["quad/raw_area"], values[:, 1, :10, :20])
    np.testing.assert_allclose(data["quad/tile_sum"], values[:, 2, 20:40, 10:30].sum(axis=(1, 2), dtype=float))
    edge = np.zeros(raw.shape[1:], bool)
    edge[:, [0, -1]] = edge[:, :, [0, -1]] = True
    assert (data["quad/raw_n_valid"] == (~edge[1, :10, :20]).sum()).all(), "the rim is not counted"
    squared = (column - 390.0) ** 2 + (row - 380.0) ** 2
    ring = (squared >= 100**2) & (squared < 120**2) & ~edge
    np.testing.assert_allclose(data["quad/mid_sum"], values[:, ring].sum(axis=1, dtype=float))
    np.testing.assert_allclose(data["Sums/quad_calib"], values.sum(axis=0, dtype=float))
    assert data["Sums/quad_calib_img"].shape == (775, 793)


def test_a_result_never_replaces_what_it_is_made_from(run, tmp_path):
    setup_file = tmp_path / "setup.yaml"
    Setup.from_yaml(ROIS).save(setup_file)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(run.read_bytes())
    (tmp_path / "other.h5").symlink_to(copy)
    for source, target, words in (
        (copy, copy, "is the run itself"),
        (tmp_path / "other.h5", copy, "is the run itself"),
        (open_files([copy, run]), copy, "is the run itself"),
        (Follow(open_files(copy)), copy, "is the run itself"),
        (run, setup_file, "is the setup file itself"),
    ):
        before = target.read_bytes()
        with pytest.raises(ValueError, match=words):
            reduce(source, setup_file, target)
        assert target.read_bytes() == before
    constants = tmp_path / "pedestal.npy"
    np.save(constants, np.zeros(SHAPE, np.float32))
    with pytest.raises(ValueError, match="is a file of the setup itself"):
        reduce(run, Setup.from_yaml(f"calibration: {{pedestal: {constants}}}"), constants)


def test_an_output_that_cannot_be_written_is_told_before_the_work(run, tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("detcore.area.events.runreduction.EventStream", never)
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        reduce(run, Setup.from_yaml(ROIS), tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as somebody who may do everything
    with pytest.raises(PermissionError, match="cannot be written to"):
        reduce(run, Setup.from_yaml(ROIS), tmp_path / "new" / "a.h5")


def test_what_is_masked_altogether_is_told(run):
    rectangle = "{kind: region, region: {kind: rectangle, x0: -1, y0: -1, x1: %d, y1: 20}}"
    setup = ROIS + "\nmask: [" + rectangle + "]\n"
    geometry = "geometry: {x: 8, y: 6, distance: 0.1, energy: 10, pixel_size: [1.0e-4, 1.0e-4]}\nazimuthal: {bins: 5}\n"
    data = reduce(run, Setup.from_yaml(setup % 20 + geometry))
    told = {one["part"]: one["reason"] for one in json.loads(data.attrs["problems"])}
    assert set(told) == {"ROI_0", "dot", "azav"}
    assert all("all pixels are masked" in reason for reason in told.values())
    assert (data["detector/ROI_0_n_valid"] == 0).all()
    assert data["detector/ROI_0_sum"].isnull().all()
    part = reduce(run, Setup.from_yaml(setup % 9))
    assert [one["part"] for one in json.loads(part.attrs["problems"])] == ["ROI_0"]


def test_nor_a_file_that_a_master_file_links_to(tmp_path, frames):
    with h5py.File(tmp_path / "frames_1.h5", "w") as file:
        file["frames"] = frames
    with h5py.File(tmp_path / "all_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("frames_1.h5", "/frames")
    with pytest.raises(ValueError, match="is a file of the run itself"):
        reduce(tmp_path / "all_master.h5", Setup.from_yaml(ROIS), tmp_path / "frames_1.h5")
