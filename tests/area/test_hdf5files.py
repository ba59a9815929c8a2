"""HDF5: masters with links, virtual data sets, CXI, European XFEL, LCLS small data; written as they are documented."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import pytest

from detcore.area.files.euxfel import nexus_mask
from detcore.area.source import open_files, probe
from detcore.core.source import ChunkRef, Problem, UnknownFormat, open_source


def read(source, *columns):
    refs = [item for item in source.plan() if isinstance(item, ChunkRef)]
    return [source.read(ref, frozenset(columns or ("data",))) for ref in refs]


def data_of(source):
    return np.concatenate([chunk["data"].values for chunk in read(source)])


def problems_of(source):
    return [str(item) for item in source.plan() if isinstance(item, Problem)]


@pytest.fixture
def frames():
    return np.random.default_rng(7).poisson(3.0, (11, 14, 18)).astype(np.uint16)


def nexus(path, frames, **facts):
    """An NXmx master whose frames are in it."""
    with h5py.File(path, "w") as file:
        for name, kind in (("entry", "NXentry"), ("entry/instrument", "NXinstrument"), ("entry/data", "NXdata"),
                           ("entry/instrument/detector", "NXdetector"), ("entry/instrument/beam", "NXbeam")):  # fmt: skip
            file.create_group(name).attrs["NX_class"] = kind
        home = file["entry/instrument/detector"]
        for name, given in facts.items():
            value, unit = given if isinstance(given, tuple) else (given, None)
            place = file["entry/instrument/beam"] if name.startswith("incident") else home
            place[name] = value
            if unit:
                place[name].attrs["units"] = unit
        if frames is not None:
            file["entry/data/data"] = frames
    return path


def test_facts_of_a_master_in_our_units(tmp_path, frames):
    mask = np.zeros((1, 14, 18), np.uint32)
    mask[0, 0] = 1 << 31
    mask[0, 1] = 1
    path = nexus(
        tmp_path / "a.nxs", frames, pixel_mask=mask, pixel_mask_2=np.full((14, 18), 0, np.uint32),
        x_pixel_size=(75.0, "um"), y_pixel_size=(0.1, "mm"), beam_center_x=8.5, beam_center_y=(6.25, "pixel"),
        detector_distance=(123.0, "mm"), saturation_value=4000, underload_value=-3, incident_wavelength=(1.0, "angstrom"),
        description="Some camera", local_name="front",
    )  # fmt: skip
    detector = open_files(path).detector()
    assert detector.name == "front"
    assert detector.pixel_size == (1e-4, 75e-6)
    assert detector.centre == (8.5, 6.25)
    assert detector.distance == 0.123
    assert (detector.saturation, detector.underload) == (4000, -3)
    assert detector.energy == pytest.approx(12.398419843)
    assert detector.good.sum() == 13 * 18  # bit 31 only informs
    assert open_files(path, detector="mine").detector().name == "mine"


def test_numbered_masks_are_joined(tmp_path, frames):
    one, two = np.zeros((2, 14, 18), np.uint32)
    one[3, 3], two[4, 4] = 2, 16
    path = nexus(tmp_path / "a.nxs", frames, pixel_mask=one, pixel_mask_1=two)
    assert np.argwhere(~open_files(path).detector().good).tolist() == [[3, 3], [4, 4]]


def test_a_mask_of_another_shape_is_left_out_and_said(tmp_path, frames):
    source = open_files(nexus(tmp_path / "a.nxs", frames, pixel_mask=np.ones((5, 5), np.uint32)))
    assert source.detector().pixel_mask is None
    assert "pixel_mask has shape (5, 5)" in " ".join(source.notes())


def test_the_real_lambda_file(shared):
    path = shared / "data/area/lambda750k_m1.nxs"
    source = open_files(path)
    detector = source.detector()
    with h5py.File(path) as file:
        stored, mask = file["entry/instrument/detector/data"][()], file["entry/instrument/detector/pixel_mask"][0]
    assert np.array_equal(data_of(source), stored)
    assert np.array_equal(source.frame(9), stored[9])
    assert detector.saturation == 4095
    assert detector.pixel_size == (55e-6, 55e-6)
    virtual_only = mask == 1 << 31
    assert virtual_only.sum() == 19_974
    assert detector.good[virtual_only].all()
    assert np.array_equal(detector.good, (mask & 0xFFFF) == 0)
    assert not source.detector().good.all()
    assert isinstance(open_source(path), type(source))


def test_frames_in_linked_files_and_those_that_have_not_come(tmp_path, frames):
    nexus(tmp_path / "run_master.h5", None)
    with h5py.File(tmp_path / "run_master.h5", "a") as file:
        for number in (1, 2, 3):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(f"run_data_{number:06d}.h5", "/entry/data/data")
    for number, part in ((1, frames[:4]), (2, frames[4:8])):
        with h5py.File(tmp_path / f"run_data_{number:06d}.h5", "w") as file:
            file.create_dataset("entry/data/data", data=part, chunks=(1, 14, 18), **hdf5plugin.Bitshuffle(cname="lz4"))
    for place in (tmp_path / "run_master.h5", tmp_path):  # of a folder, the masters
        source = open_files(place)
        assert np.array_equal(data_of(source), frames[:8])
        (problem,) = problems_of(source)
        assert "pending: run_master.h5 links to this file" in problem
        chunks = read(source, "event_id")
        assert np.concatenate([chunk.event_id for chunk in chunks]).tolist() == list(range(8))
        assert source.n_frames() == 8


def test_links_that_lead_nowhere(tmp_path):
    nexus(tmp_path / "a_master.h5", None)
    with h5py.File(tmp_path / "a_master.h5", "a") as file:
        file["entry/data/data"] = h5py.ExternalLink("a_master.h5", "/entry/data/data")
    (problem,) = problems_of(open_files(tmp_path / "a_master.h5"))
    assert "leads nowhere" in problem


@pytest.mark.parametrize(
    "filters", [{}, {"compression": "gzip", "shuffle": True}, dict(hdf5plugin.Bitshuffle(cname="lz4"))]
)
@pytest.mark.parametrize("chunk", [None, (1, 14, 18), (4, 14, 18), (4, 7, 18)])
@pytest.mark.parametrize("dtype", [">u2", "i4", "f4"])
def test_any_named_data_set(tmp_path, frames, filters, chunk, dtype):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if filters or chunk:
            chunk = chunk or (2, 14, 18)
        file.create_dataset("deep/inside/images", data=frames.astype(dtype), chunks=chunk, **filters)
        file["deep/other"] = np.zeros((2, 9, 9))
    with pytest.raises(UnknownFormat, match=r"several data sets of frames: .*deep/other \(2, 9, 9\); name one"):
        open_files(tmp_path / "a.h5").schema()
    source = open_files(tmp_path / "a.h5", dataset="deep/inside/images")
    found = data_of(source)
    assert np.array_equal(found, frames)
    assert found.dtype.isnative
    assert np.array_equal(source.frame(10), frames[10])
    some = open_files(tmp_path / "a.h5", dataset="deep/inside/images", frames=(1, 10, 4))
    assert np.array_equal(data_of(some), frames[1:10:4])
    with pytest.raises(UnknownFormat, match=r"no data set 'deep/none'; data sets of frames in the file: /deep/inside"):
        open_files(tmp_path / "a.h5", dataset="deep/none").schema()


def test_frames_of_panels(tmp_path):
    tiles = np.arange(3 * 4 * 6 * 8, dtype=np.float32).reshape(3, 4, 6, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = tiles
    source = open_files(tmp_path / "a.h5")
    assert np.array_equal(data_of(source), tiles)
    assert source.schema()["data"].dims == ("frame", "module", "y", "x")
    assert source.detector().shape == (4, 6, 8)
    with pytest.raises(ValueError, match="frames of 4 panels cannot be turned"):
        open_files(tmp_path / "a.h5", orientation=4).schema()


def test_numbers_of_each_event(tmp_path, frames):
    path = nexus(tmp_path / "a.h5", frames)
    with h5py.File(path, "a") as file:
        file["entry/events/i0"] = np.arange(11.0)
        file["entry/events/delay"] = np.arange(11, dtype=">i4")
        file["entry/events/short"] = np.arange(4)
        file["entry/events/timestamp"] = np.arange(11) * 1000
        file["entry/events/timestamp"].attrs["units"] = "ms"
        file["ipm/sum"] = np.arange(11) * 2
        file["other/sum"] = np.arange(11) * 3
    source = open_files(path, frames=slice(2, None, 3))
    assert set(source.schema()) == {"data", "event_id", "i0", "delay", "time", "sum", "other_sum"}
    chunk = read(source, "i0", "delay", "time", "other_sum")[0]
    assert "data" not in chunk
    assert chunk.i0.values.tolist() == [2, 5, 8]
    assert chunk.time.values.tolist() == [2, 5, 8]
    assert chunk.delay.dtype.isnative
    assert chunk.other_sum.values.tolist() == [6, 15, 24]
    assert chunk.event_id.values.tolist() == [2, 5, 8]


def test_frames_that_were_never_written_are_not_zeros(tmp_path, frames):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        item = file.create_dataset("data", (11, 14, 18), "u2", chunks=(1, 14, 18), compression="gzip")
        for row in (0, 1, 4, 5):
            item[row] = frames[row]
    source = open_files(tmp_path / "a.h5")
    assert np.array_equal(data_of(source), frames[[0, 1, 4, 5]])
    assert "no data for 7 of 11 frames: they were never written" in problems_of(source)[0]


@pytest.mark.parametrize("missing", [False, True])
def test_virtual_data_sets(tmp_path, frames, missing):
    layout = h5py.VirtualLayout((8, 14, 18), "u2")
    for number in (0, 1):
        with h5py.File(tmp_path / f"part{number}.h5", "w") as file:
            file["data"] = frames[4 * number : 4 * number + 4]
        layout[4 * number : 4 * number + 4] = h5py.VirtualSource(f"part{number}.h5", "data", (4, 14, 18))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    if missing:
        (tmp_path / "part1.h5").unlink()
    source = open_files(tmp_path / "all.h5")
    assert np.array_equal(data_of(source), frames[: 4 if missing else 8])
    assert bool(problems_of(source)) == missing
    if missing:
        assert "4 of 8 frames: virtual, and its source part1.h5:data is missing" in problems_of(source)[0]


def test_a_virtual_data_set_made_of_itself(tmp_path):
    layout = h5py.VirtualLayout((8, 14, 18), "u2")
    layout[...] = h5py.VirtualSource(".", "/entry/data/data", (8, 14, 18))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    assert "made of itself" in problems_of(open_files(tmp_path / "a.h5"))[0]


def test_cxi(tmp_path, frames):
    mask = np.zeros((14, 18), np.uint16)
    mask[0], mask[1], mask[2] = 512, 4, 32  # missing, hot, in a peak
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        home = file.create_group("entry_1/instrument_1/detector_1")
        home["data"], home["mask"], home["distance"] = frames, mask, 0.58
        home["x_pixel_size"] = home["y_pixel_size"] = 110e-6
        file["entry_1/instrument_1/source_1/energy"] = 9500 * 1.602176634e-19
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    detector = open_files(tmp_path / "a.cxi").detector()
    assert np.array_equal(data_of(open_files(tmp_path / "a.cxi")), frames)
    assert detector.energy == pytest.approx(9.5)
    assert detector.distance == 0.58
    assert detector.pixel_mask[:3, 0].tolist() == [1, 16, 0]


def modules(folder, numbers, data, masks=None, *, apart=True, trains=None, raw=False):
    """Files of European XFEL, one for each module or one for all; data (pulse, module, y, x)."""
    for at, number in enumerate(numbers):
        name = f"CORR-R0034-AGIPD{number:02d}-S00000.h5" if apart else "all.h5"
        with h5py.File(folder / name, "a") as file:
            group = file.create_group(f"INSTRUMENT/SPB_DET_AGIPD1M-1/DET/{number}CH0:xtdf/image")
            pulses = np.arange(len(data)) if trains is None else trains[at]
            group["trainId"] = 1000 + pulses // 4
            group["pulseId"] = (pulses % 4)[:, None]
            values = data[pulses, at]
            group["data"] = np.stack([values, values + 1], axis=1) if raw else values
            if masks is not None:
                group["mask"] = masks[pulses, at]


@pytest.mark.parametrize("apart", [True, False])
def test_modules_of_european_xfel(tmp_path, apart):
    data = np.random.default_rng(0).random((9, 3, 5, 6), np.float32)
    masks = np.zeros(data.shape, np.uint32)
    masks[2, 1, 3, 4], masks[2, 1, 3, 5], masks[2, 1, 4, 5] = 1 << 1, 1 << 22, 1 << 16
    modules(tmp_path, (0, 3, 7), data, masks, apart=apart)
    source = open_files(tmp_path if apart else tmp_path / "all.h5")
    found = data_of(source)
    assert found.shape == (9, 8, 5, 6)
    expected = data.copy()
    expected[2, 1, 3, 4] = np.nan  # noisy; interpolated and odd sizes only inform
    np.testing.assert_array_equal(found[:, [0, 3, 7]], expected)
    detector = source.detector()
    assert detector.name == "SPB_DET_AGIPD1M-1"
    assert detector.good.any(axis=(1, 2)).tolist() == [True, False, False, True, False, False, False, True]
    chunk = read(source, "train_id", "pulse_id")[0]
    assert chunk.train_id.values.tolist() == [1000] * 4 + [1001] * 4 + [1002]
    assert chunk.pulse_id.values.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert not problems_of(source)
    assert probe(str(tmp_path if apart else tmp_path / "all.h5")).degree == "exact"


def test_pulses_that_a_module_lacks_are_left_out_and_said(tmp_path):
    data = np.arange(9 * 2 * 5 * 6).reshape(9, 2, 5, 6).astype(np.uint16)
    modules(tmp_path, (0, 1), data, raw=True, trains=[np.arange(9), np.array([1, 2, 4, 7])])
    source = open_files(tmp_path)
    assert np.array_equal(data_of(source)[:, :2], data[[1, 2, 4, 7]])
    assert "5 of 9 pulses are not in every module" in problems_of(source)[0]


def test_bad_pixels_of_european_xfel_as_nexus_bits():
    bits = nexus_mask(np.array([1 << 3, 1 << 17, 1 << 19, 1 << 22, 1 << 16]))
    assert bits.tolist() == [2, 16, 1, 0, 1 << 31]


def small(path, n=7, area=(10, 20), bounds=((5, 15), (0, 20))):
    """A small-data file with one region of one detector."""
    rng = np.random.default_rng(2)
    frames = rng.random((n, *area)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["jungfrau1M/ROI_0_area"] = frames
        file["jungfrau1M/ROI_0_sum"] = frames.sum(axis=(1, 2))
        file["lightStatus/xray"], file["lightStatus/laser"] = np.ones(n, int), np.arange(n) % 2
        file["event_time"] = ((1_600_000_000 + np.arange(n, dtype=np.uint64)) << np.uint64(32)) + np.uint64(5)
        file["scan/lxt"] = np.arange(n) * 1e-12
        home = file.create_group("UserDataCfg/jungfrau1M")
        ped = rng.random((3, 512, 20)).astype(np.float32)
        mask = np.ones((512, 20), int)
        mask[6, 3] = 0
        home["ped"], home["statusMask"], home["cmask"] = ped, mask, mask
        home["ROI_0__ROI_0_bound"] = np.array(bounds)
        home["ix"], home["iy"] = np.indices((512, 20))
        home["pixelsize"] = np.array([75.0])
    return frames, ped


def test_small_data_of_lcls(tmp_path):
    frames, ped = small(tmp_path / "a.h5")
    source = open_files(tmp_path / "a.h5")
    detector = source.detector()
    assert np.array_equal(data_of(source), frames)
    assert detector.name == "jungfrau1M"
    assert detector.type == "jungfrau"
    assert np.array_equal(detector.pedestal, ped[:, 5:15])
    assert detector.gain_modes == 3
    assert np.argwhere(detector.pixel_mask).tolist() == [[1, 3]]
    assert detector.iy[4, 6] == 4  # psana's ix is the row; cut to the region
    assert detector.ix[4, 6] == 6
    assert detector.pixel_size == (75e-6, 75e-6)
    chunk = read(source, "xray", "laser", "scan", "time")[0]
    assert chunk.laser.values.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert chunk.time.values[0] == pytest.approx(1_600_000_000 + 5e-9, abs=1e-6)
    assert chunk.scan.values[2] == 2e-12
    assert probe(str(tmp_path / "a.h5")).degree == "exact"


def test_sums_and_several_detectors_of_small_data(tmp_path):
    small(tmp_path / "a.h5")
    image = np.random.default_rng(1).random((2, 8, 9))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["epix/ROI_0_area"] = np.zeros((7, 4, 5))
        file["Sums/jungfrau1M_calib"] = image
    with pytest.raises(UnknownFormat, match=r"several detectors or regions: epix .*jungfrau1M"):
        open_files(tmp_path / "a.h5").schema()
    assert open_files(tmp_path / "a.h5", detector="epix").detector().shape == (4, 5)
    source = open_files(tmp_path / "a.h5", dataset="Sums/jungfrau1M_calib")
    assert source.n_frames() == 1
    assert np.array_equal(source.frame(0), image)
    with pytest.raises(UnknownFormat, match="no detector 'cspad'"):
        open_files(tmp_path / "a.h5", detector="cspad").schema()


def test_a_mask_for_each_frame_makes_its_pixels_nan(tmp_path, frames):
    mask = np.zeros(frames.shape, np.uint16)
    mask[2, 3, 4], mask[2, 3, 5], mask[7] = 4, 32, 512  # hot; in a peak; missing
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        home = file.create_group("entry_1/instrument_1/detector_1")
        home.create_dataset("data", data=frames, chunks=(3, *frames.shape[1:]), compression="gzip")
        home["mask"] = mask
    source = open_files(tmp_path / "a.cxi")
    expected = frames.astype(np.float32)
    expected[2, 3, 4], expected[7] = np.nan, np.nan
    assert source.schema()["data"].dtype == np.float32
    assert np.array_equal(data_of(source), expected, equal_nan=True)
    assert np.array_equal(source.frame(2), expected[2], equal_nan=True)
    some = open_files(tmp_path / "a.cxi", frames=(1, 9, 2))
    assert np.array_equal(data_of(some), expected[1:9:2], equal_nan=True)
    assert source.detector().pixel_mask is None
    assert "a frame's own mask rejects (/entry_1/instrument_1/detector_1/mask) are nan" in source.notes()[0]


def test_a_mask_for_each_frame_in_bits_of_nexus(tmp_path, frames):
    mask = np.zeros(frames.shape, np.uint32)
    mask[1, 0, 0], mask[1, 0, 1] = 1 << 8, 1 << 31  # of the user; virtual pixels only inform
    found = data_of(open_files(nexus(tmp_path / "a.h5", frames, pixel_mask=mask)))
    assert np.isnan(found[1, 0, 0])
    assert np.isnan(found).sum() == 1


def test_places_of_modules_are_said_not_to_be_read(tmp_path, frames):
    path = nexus(tmp_path / "a.h5", frames)
    with h5py.File(path, "r+") as file:
        home = file["entry/instrument/detector"]
        home.create_group("module_0").attrs["NX_class"] = "NXdetector_module"
        assert open_files(path).notes() == ()
    with h5py.File(path, "r+") as file:
        home = file["entry/instrument/detector"]
        home.create_group("module_1").attrs["NX_class"] = "NXdetector_module"
    assert "says where its modules are, which is not read" in open_files(path).notes()[0]


def test_a_mask_for_other_frames_is_left_out_and_said(tmp_path, frames):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        home = file.create_group("entry_1/instrument_1/detector_1")
        home["data"], home["mask"] = frames, np.ones((4, *frames.shape[1:]), np.uint16)
    source = open_files(tmp_path / "a.cxi")
    assert np.array_equal(data_of(source), frames)
    assert "the frames are (11, 14, 18): it is not used" in source.notes()[0]


@pytest.mark.parametrize(("stated", "limit"), [(None, 65533), (65534, 65533), (60000, 60000)])
def test_an_eiger_has_no_values_at_the_end_of_its_range(tmp_path, frames, stated, limit):
    facts = {} if stated is None else {"saturation_value": stated}
    detector = open_files(nexus(tmp_path / "a.h5", frames, description="Dectris Eiger 1M", **facts)).detector()
    assert detector.type == "eiger"
    assert detector.saturation == limit
