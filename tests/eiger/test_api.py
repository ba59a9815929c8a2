"""The calls of front ends, on real files with truth."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from detcore import eiger, stream
from detcore.core.executors import Inline, Threads
from detcore.core.parameters import InvalidParameters
from detcore.core.run import EmptyInput, problems_of
from detcore.core.schema import LIVE
from detcore.image import Rectangle

SERIES = ("synth500k_u16", "synth500k_aborted", "synth500k_vds_u32")


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "eiger"


@pytest.mark.parametrize("name", SERIES)
def test_truth(name, folder):
    truth = np.load(folder / f"{name}_truth.npz")
    master = folder / f"{name}_master.h5"
    original = eiger.sum_frames(master, pixel_mask=False)
    np.testing.assert_array_equal(original["sum"], truth["sums_le_4500"].astype(np.int64))
    data = eiger.sum_frames(master, threads=1)
    np.testing.assert_array_equal(data["sum"], truth["sums_le_4500_unmasked"].astype(np.int64))
    np.testing.assert_array_equal(data.frame, np.arange(1, len(data.frame) + 1))
    assert data.attrs["frame_time"] == pytest.approx(float(truth["frame_time"]))
    assert data.attrs["status"] == "complete"


def test_the_real_frame(folder):
    path = folder / "real_eiger4m_u32_bslz4_1frame.h5"
    with h5py.File(path) as file:
        frame = file["entry/data/data"][0].astype(np.int64)
    data = eiger.sum_frames(path, mean_image=True, centre=True, histogram=True)
    kept = frame <= 4500
    assert int(data["sum"][0]) == frame[kept].sum()
    assert int(data.n_valid[0]) == kept.sum() == 4_233_787
    assert int(data.n_overflow) == 251_302
    np.testing.assert_array_equal(data.mean_image.values, np.where(kept, frame, np.nan).astype(np.float32))
    assert float(data.center_x[0]) == pytest.approx(
        (np.arange(2070) * np.where(kept, frame, 0)).sum() / frame[kept].sum()
    )
    np.testing.assert_array_equal(eiger.read_frame(path, 1), frame)


def test_frames_regions_and_options(folder):
    master = folder / "synth500k_u16_master.h5"
    whole = eiger.sum_frames(master)
    some = eiger.sum_frames(master, frames=(5, 90, 7))
    assert some.frame.values.tolist() == list(range(5, 91, 7))
    np.testing.assert_array_equal(some["sum"], whole["sum"].sel(frame=some.frame))
    assert eiger.sum_frames(master, frames=(90, 0)).frame.values.tolist() == list(range(90, 97))
    left = Rectangle(x0=-1, y0=-1, x1=515, y1=600)
    parts = eiger.sum_frames(
        master, regions={"left": left, "right": ~left, "frame": eiger.WHOLE_FRAME.region}, frames=(1, 9)
    )
    assert parts.region.values.tolist() == ["left", "right", "frame"]
    for name in ("sum", "n_valid", "n_low", "n_high"):
        here = whole[name].sel(frame=parts.frame)
        np.testing.assert_array_equal(parts[name].sel(region="frame"), here)
        np.testing.assert_array_equal(parts[name].sel(region=["left", "right"]).sum("region"), here)
    same = eiger.sum_frames(master, regions=(eiger.WHOLE_FRAME,), frames=(1, 9))
    assert same.sizes["region"] == 1
    with pytest.raises(TypeError, match="a region needs a name"):
        eiger.sum_frames(master, regions=[left])


def test_one_frame(folder):
    master = folder / "synth500k_u16_master.h5"
    frame = eiger.read_frame(master, 41)
    with h5py.File(folder / "synth500k_u16_data_000002.h5") as file:
        np.testing.assert_array_equal(frame, file["entry/data/data"][0])
    assert (frame.attrs["frame"], frame.attrs["n_frames"]) == (41, 96)
    with pytest.raises(KeyError, match="frame 97 is not in the series"):
        eiger.read_frame(master, 97)


def test_impossible_requests(folder, tmp_path):
    master = folder / "synth500k_u16_master.h5"
    with pytest.raises(InvalidParameters, match="low is 9 and high 8"):
        eiger.sum_frames(master, 9, 8)
    with pytest.raises(ValueError, match="frames 9:8:1"):
        eiger.sum_frames(master, frames=(9, 8))
    with pytest.raises(EmptyInput, match=r"none\.h5"):
        eiger.sum_frames(tmp_path / "none.h5")


def test_one_corrupt_frame_is_one_line(folder, tmp_path):
    """Two data files; a block length in the second one is spoiled."""
    paths = []
    for number, spoil in ((1, False), (2, True)):
        path = tmp_path / f"a_data_{number:06d}.h5"
        path.write_bytes((folder / f"synth500k_aborted_data_{number:06d}.h5").read_bytes())
        if spoil:
            with h5py.File(path) as file:
                item = file["entry/data/data"]
                at, frames = item.id.get_chunk_info(3).byte_offset, len(item)
            content = bytearray(path.read_bytes())
            content[at + 12 : at + 16] = b"\xff\xff\xff\xff"
            path.write_bytes(content)
        paths.append(path)
    data = eiger.sum_frames(paths, executor=Inline())
    (line,) = [one for one in problems_of(data) if one.chunks]
    assert line.part.endswith("a_data_000002.h5")
    assert "is corrupt: block 0 would end at byte" in line.reason
    truth = np.load(folder / "synth500k_aborted_truth.npz")["sums_le_4500"]
    assert 0 < len(data.frame) < len(truth)
    assert frames == 10
    for number, value in zip(data.frame.values, data["sum"].values, strict=True):
        assert value == truth[number - 1]


def test_the_viewers_reduction_has_everything_and_a_window_when_live(folder):
    source = eiger.open_files(folder / "synth500k_vds_u32_master.h5")
    *_, last = stream(source, lambda schema: eiger.reduction(schema=schema), executor=Threads(2))
    assert {"sum", "center_x", "mean_image", "value_counts", "n_saturated"} <= set(last.data.data_vars)
    assert eiger.reduction(schema=source.schema()).last is None
    assert eiger.reduction(schema=source.schema().assign_attrs({LIVE: True})).last


def test_the_instrument_is_complete():
    eiger.INSTRUMENT.warm()
    assert eiger.INSTRUMENT.parameters is eiger.Limits
    assert eiger.INSTRUMENT.name == "eiger"
