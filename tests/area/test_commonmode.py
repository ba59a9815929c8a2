"""Common-mode steps against loops with NumPy, the presets, and real frames of an ePix10ka."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage as ndi

from detcore.area.detector import TYPES
from detcore.area.images.commonmode import CommonModeStep as Step
from detcore.area.images.commonmode import correct
from detcore.area.images.commonmodekernels import NETWORK, ordered_median
from detcore.area.images.modes import peak_corrections, unbonded_pixels
from detcore.area.images.noisecompare import compare_common_mode
from detcore.area.images.presets import preset, presets, steps_of

RNG = np.random.default_rng(0)
STEPS = [
    Step(kind="row", group=(10, 16)),
    Step(kind="row"),
    Step(kind="column", group=(12, 9)),
    Step(kind="column"),
    Step(kind="bank", group=(10, 16), min_good=5, cap=1.0),
    Step(kind="bank", group=(30, 40)),
    Step(kind="panel"),
    Step(kind="panel", statistic="mean"),
    Step(kind="row", statistic="mean", group=(10, 16)),
    Step(kind="column", exclude_noise=2, exclude_neighbours=True, exclude_above=4),
    Step(kind="row", exclude_above=3, min_fraction=0.8),
    Step(kind="bank", group=(7, 7), exclude_noise=1.5),
]


def plainly(panel, good, step, noise):
    """One step on one panel, block by block."""
    found, shape = panel.copy(), panel.shape
    excluded = np.zeros(shape, bool)
    if step.exclude_noise is not None:
        excluded |= (panel >= step.exclude_noise * noise) & good
    if step.exclude_above is not None:
        excluded |= (np.abs(panel) > step.exclude_above) & good
    if step.exclude_neighbours:
        excluded = ndi.binary_dilation(excluded, np.ones((3, 3)))
    use, (rows, columns) = good & ~excluded, step.block(shape)
    for top in range(0, shape[0], rows):
        for left in range(0, shape[1], columns):
            block = (slice(top, top + rows), slice(left, left + columns))
            values = panel[block][use[block]].astype(float)
            if len(values) < max(step.min_good, step.min_fraction * use[block].size):
                continue
            middle = np.median(values) if step.statistic == "median" else values.mean()
            if abs(middle) < (step.cap or np.inf):
                found[block][good[block]] -= np.float32(middle)
    return found


@pytest.mark.parametrize("step", STEPS, ids=[f"{one.kind}-{place}" for place, one in enumerate(STEPS)])
@pytest.mark.parametrize("shape", [(37, 53), (3, 37, 53), (2, 3, 37, 53)])
def test_a_step_is_what_a_loop_gives(step, shape):
    frames = RNG.normal(0, 3, shape).astype(np.float32)
    frames[..., 5, 7], frames[..., 20, 20] = np.nan, 500
    good = RNG.random((37, 53)) > 0.1
    good[11], good[:, 30] = False, False  # nothing is known of these
    noise = np.full((37, 53), 3, np.float32)
    found = correct(frames, (step,), good, noise).reshape(-1, 37, 53)
    for mine, panel in zip(found, frames.reshape(-1, 37, 53), strict=True):
        np.testing.assert_allclose(mine, plainly(panel, good & np.isfinite(panel), step, noise), atol=1e-5)
    assert np.array_equal(frames.reshape(-1, 37, 53)[0][~good], found[0][~good], equal_nan=True)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 47, 48, 63, 64, 65, 176, NETWORK])
def test_medians_are_exact_for_odd_and_even_numbers(n):
    values = RNG.normal(0, 5, (3, n, 80)).astype(np.float32)
    corrections: list[np.ndarray] = []
    correct(values, (Step(kind="column"),), corrections=corrections)
    np.testing.assert_array_equal(corrections[0][:, 0], np.median(values.astype(float), axis=1).astype(np.float32))


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 1001])
def test_the_median_of_many_numbers_is_exact(n):
    for values in (RNG.normal(0, 5, n), np.zeros(n), -np.arange(n), np.r_[RNG.normal(-1e30, 1e30, n - 1), 0.0]):
        single = values.astype(np.float32)
        found = ordered_median(single, np.empty(n, np.uint32), n)
        assert found == np.float32(np.median(single.astype(float)))


def test_equal_and_signed_zeros():
    values = np.array([[0.0, -0.0, 0.0, -0.0, 7, 7, -7]], np.float32)
    assert correct(values, (Step(kind="row"),)).tolist() == values.tolist()


def test_whole_lines_that_are_masked_stay_as_they_are():
    frame = np.full((4, 6), 5.0)
    good = np.ones((4, 6), bool)
    good[2] = False
    assert correct(frame, (Step(kind="row"),), good).tolist() == [[0] * 6, [0] * 6, [5] * 6, [0] * 6]


def test_caps_and_counts_leave_groups_alone():
    frame = np.array([[5.0] * 6, [50.0] * 6])
    assert correct(frame, (Step(kind="row", cap=10),)).tolist() == [[0] * 6, [50] * 6]
    assert correct(frame, (Step(kind="row", cap=5),)).tolist() == frame.tolist()  # the cap itself is too much
    assert correct(frame, (Step(kind="row", min_good=7),)).tolist() == frame.tolist()
    good = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], bool)
    found = correct(frame, (Step(kind="row", min_fraction=0.5),), good)
    assert found.tolist() == [[0, 0, 0, 5, 5, 5], [50] * 6]


def test_exclusions_are_decided_once_for_equal_rules():
    frame = np.zeros((8, 8))
    frame[:, 0] = 40  # bright as it comes in; after the panel's mean it would still be
    quiet = {"exclude_above": 30.0}
    steps = (Step(kind="panel", statistic="mean", **quiet), Step(kind="row", **quiet))
    assert correct(frame, steps)[0].tolist() == [40] + [0] * 7
    # a bank median without a rule comes first: the bright offset is gone before anything is excluded
    offset = np.full((8, 8), 100.0)
    assert not correct(offset, (Step(kind="bank"), Step(kind="row", **quiet))).any()


def test_the_input_is_not_changed_and_types_do_not_matter():
    frame = RNG.integers(0, 100, (20, 30)).astype(np.uint16)
    before = frame.copy()
    found = correct(frame, (Step(kind="row"),))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(found, correct(frame.astype(float)[:, ::-1], (Step(kind="row"),))[:, ::-1])


def test_unbonded_pixels_of_a_cspad():
    rows, columns = unbonded_pixels((185, 388), (185, 194))
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == sorted(
        [(p, p) for p in range(0, 185, 10)] + [(p, p + 194) for p in range(0, 185, 10)]
    )
    frame = np.zeros((2, 185, 388))
    frame[0][rows, columns], frame[1][rows, columns] = 7, 150
    steps = presets("cspad")[5].steps
    good = np.ones(frame.shape, bool)
    good[:, rows, columns] = False  # they are masked everywhere, and tell all the same
    found = correct(frame, steps, good)
    assert found[0][5, 6] == -7
    assert not found[1][5, 6].any()  # above the cap
    assert np.unique(correct(frame, presets("cspad")[55].steps, good)[1][good[1]]).tolist() == [-150]


def test_the_peak_of_no_photons():
    frame = RNG.normal(12, 4, (2, 185, 388)).astype(np.float32)
    frame[0, :60] += 500  # light does not move the peak
    frame[1] = RNG.uniform(-900, 900, (185, 388))  # no peak at all
    step = presets("cspad")[1].steps[0]
    found = correct(frame, (step,))
    np.testing.assert_allclose(np.median(found[0, 60:]), 0, atol=0.1)
    np.testing.assert_array_equal(found[1], frame[1])
    frame[1][unbonded_pixels((185, 388), (185, 194))] = 9
    mixed = correct(frame, presets("cspad")[10].steps)
    np.testing.assert_allclose(mixed[1], frame[1] - 9, atol=1e-4)
    assert peak_corrections(frame, np.zeros(frame.shape, np.uint8), 25, 40, 100).tolist() == [0, 0]


def test_dark_regions():
    frame = np.full((2, 1024, 512), 3.0)
    frame[1, :100, :20] = 8
    found = correct(frame, presets("icarus", dark_region=((0, 100), (0, 20)))[80].steps)
    assert (found[0, 500, 0], found[1, 500, 0]) == (0, -5)
    assert preset(99, "icarus").steps[0].region == ((0, 1024), (255, 257))
    with pytest.raises(ValueError, match="needs a dark region"):
        preset(80, "icarus")
    with pytest.raises(ValueError, match="holds no pixel"):
        correct(np.zeros((4, 4)), (Step(kind="region", region=((10, 20), (0, 2))),))


def test_every_number_of_the_catalogue_has_a_preset():
    for key, kind in TYPES.items():
        known = presets(key, dark_region=((0, 10), (0, 10)))
        assert set(kind.common_modes) <= set(known), key
        for number in kind.common_modes:
            assert known[number].meaning


@pytest.mark.parametrize("key", ["cspad", "epix100", "jungfrau", "epix10k2m", "icarus", "unknown"])
def test_every_preset_runs(key):
    shape = {"epix100": (704, 768), "jungfrau": (512, 1024), "icarus": (1024, 512), "cspad": (185, 388)}
    frame = RNG.normal(0, 3, shape.get(key, (352, 384))).astype(np.float32)
    noise = np.full(frame.shape, 3, np.float32)
    for one in presets(key, dark_region=((0, 10), (0, 10))).values():
        found = correct(frame, one.steps, noise=noise)
        assert np.isfinite(found).all()
        assert found.std() <= frame.std() * 1.01


def test_numbers_and_steps_of_them():
    assert [step.kind for step in steps_of(46, "epix100")] == ["panel", "column", "row"]
    assert steps_of(None) == ()
    assert steps_of(STEPS) == tuple(STEPS)
    assert presets("epix10ka2M")[84].steps[0].block((352, 384)) == (176, 1)
    assert presets("jungfrau")[71].steps[0].block((512, 1024)) == (1, 64)
    with pytest.raises(ValueError, match="no common mode 46 of detectors of type jungfrau"):
        preset(46, "jungfrau")


def test_wrong_steps_and_shapes():
    with pytest.raises(ValueError, match="times their noise"):
        correct(np.zeros((4, 4)), presets("epix100")[46].steps)
    with pytest.raises(ValueError, match="the mask has the shape"):
        correct(np.zeros((4, 4)), (Step(),), good=np.ones((3, 4)))
    with pytest.raises(ValidationError, match="needs a region"):
        Step(kind="region")
    with pytest.raises(ValidationError, match="1 or more"):
        Step(group=(0, 4))
    with pytest.raises(ValueError, match="frames are"):
        correct(np.zeros(4), (Step(),))


def test_real_frames_of_an_epix10ka(shared):
    """Noise of the difference of two raw frames, whole ADU: 3 and 2.5 deviations of the median, without and with medians."""
    raw = np.load(shared / "data" / "area" / "epix10ka_quad_raw.npz")["raw"] & 0x3FFF
    frames = raw.astype(np.float32)
    difference = frames[1] - frames[0]
    corrected = correct(
        difference, tuple(one.model_copy(update={"cap": None}) for one in presets("epix10kquad")[85].steps)
    )

    def noise(values):
        return 1.4826 * np.median(np.abs(values - np.median(values)))

    assert noise(difference) == pytest.approx(4.45, abs=0.1)
    assert noise(corrected) == pytest.approx(3.71, abs=0.1)


def test_the_comparison_finds_the_best():
    frames = RNG.normal(0, 3, (12, 352, 384)).astype(np.float32)
    frames += np.repeat(RNG.normal(0, 4, (12, 2, 384)), 176, axis=1)  # of each column of half a panel
    found = compare_common_mode(frames, "epix10k")
    assert found.correction.values.tolist() == ["0", "83", "84", "85"]
    noise = dict(zip(found.correction.values, found.noise.values, strict=True))
    assert noise["84"] == pytest.approx(3, rel=0.1)
    assert noise["0"] == pytest.approx(5, rel=0.15)
    assert noise["83"] > 1.2 * noise["84"]
    assert found.noise.units == "ADU"
    assert found.noise_image.shape == (4, 352, 384)
    assert found.correction_rms.sel(correction="0") == 0
    own = compare_common_mode(frames[:2], {"none": (), "columns": (Step(group=(176, 1)),)})
    assert own.noise.values[1] < own.noise.values[0]


def test_the_comparison_needs_frames_and_pixels():
    with pytest.raises(ValueError, match="two frames or more"):
        compare_common_mode(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="good pixels"):
        compare_common_mode(np.zeros((3, 4, 4)), good=np.zeros((4, 4), bool))
    assert "46" not in compare_common_mode(np.zeros((2, 704, 768), np.float32), "epix100").correction.values
