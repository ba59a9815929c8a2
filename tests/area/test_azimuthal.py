"""Azimuthal integration against plain NumPy, pyFAI, and the traps: masks, sentinels, empty bins, overflows."""

from __future__ import annotations

import itertools
import logging
import math
import warnings

import numpy as np
import pytest

from detcore.area.files.poni import read_poni
from detcore.area.images import azimuthalcells
from detcore.area.images.azimuthal import AzimuthalMap, integrate
from detcore.area.images.azimuthalcells import cells_of
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.geometry import Geometry
from detcore.area.source import AreaFiles
from detcore.core.parameters import InvalidParameters

SHAPE = (60, 70)
GEOMETRY = Geometry(
    x=33.3, y=27.8, distance=0.01, energy=12.0, pixel_size=(1e-4, 1.1e-4), rot1=5.0, rot2=-3.0, rot3=20.0
)
RNG = np.random.default_rng(5)
IMAGE = RNG.poisson(30, SHAPE).astype(np.uint16)
GOOD = RNG.random(SHAPE) > 0.2


def plainly(image, geometry, edges, good, *, polarization=1.0, solid_angle=True, unit="q"):
    """Sum over the pixels of each bin, one bin after the other."""
    values = getattr(geometry, {"q": "q", "2theta": "two_theta", "radius": "radius"}[unit])(image.shape)
    norm = np.ones(image.shape)
    if solid_angle:
        norm *= geometry.solid_angle(image.shape)
    if polarization is not None:
        norm *= geometry.polarization(image.shape, polarization)
    intensity, error, counts = [], [], []
    for low, high in itertools.pairwise(edges):
        here = good & (values >= low) & (values < high)
        counts.append(int(here.sum()))
        total, below = float(image[here].sum(dtype=float)), float(norm[here].sum())
        intensity.append(total / below if here.any() else math.nan)
        error.append(math.sqrt(total) / below if here.any() else math.nan)
    return np.array(intensity), np.array(error), np.array(counts)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64, np.uint8, ">u2"])
def test_every_type_gives_the_plain_sums(dtype):
    edges = np.linspace(0.5, 3.0, 41)
    found = integrate(IMAGE.astype(dtype), GEOMETRY, good=GOOD, bins=40, q_range=(0.5, 3.0))
    intensity, error, counts = plainly(IMAGE, GEOMETRY, edges, GOOD)
    np.testing.assert_array_equal(found["n_valid"], counts)
    np.testing.assert_allclose(found["intensity"], intensity, rtol=1e-6)
    np.testing.assert_allclose(found["error"], error, rtol=1e-6)
    np.testing.assert_allclose(found["q"], (edges[1:] + edges[:-1]) / 2)
    assert found["q"].attrs["units"] == "1/Angstrom"


@pytest.mark.parametrize("unit", ["q", "2theta", "radius"])
@pytest.mark.parametrize(("polarization", "solid_angle"), [(None, False), (0.5, True)])
def test_units_and_corrections(unit, polarization, solid_angle):
    values = getattr(GEOMETRY, {"q": "q", "2theta": "two_theta", "radius": "radius"}[unit])(SHAPE)
    edges = np.sort(RNG.uniform(values.min(), values.max(), 17))  # not equal
    options = {"polarization": polarization, "solid_angle": solid_angle, "unit": unit}
    found = integrate(IMAGE, GEOMETRY, good=GOOD, edges=tuple(edges), **options)
    intensity, _, counts = plainly(IMAGE, GEOMETRY, edges, GOOD, **options)
    np.testing.assert_array_equal(found["n_valid"], counts)
    np.testing.assert_allclose(found["intensity"], intensity, rtol=1e-6)


def test_every_good_pixel_counts_once_by_default():
    found = integrate(IMAGE, GEOMETRY, good=GOOD)
    assert int(found["n_valid"].sum()) == GOOD.sum()
    assert found["intensity"].dims == ("q",)


def test_step_of_the_bins():
    found = integrate(IMAGE, GEOMETRY, q_step=0.25, q_range=(0.5, 2.0))
    np.testing.assert_allclose(found["q"], 0.5 + 0.25 * (np.arange(6) + 0.5))


# ---- pixels that do not count


def test_masked_pixels_never_reach_the_first_bin():
    """The original counted them in bin 0 of its normalisation."""
    good = np.ones(SHAPE, bool)
    good[40:] = False
    image = np.full(SHAPE, 7, np.uint16)
    found = integrate(image, GEOMETRY, good=good, bins=20, polarization=None, solid_angle=False)
    known = found["n_valid"] > 0
    np.testing.assert_allclose(found["intensity"][known], 7)
    edges = np.linspace(found.attrs["first_edge"], found.attrs["last_edge"], 21)
    np.testing.assert_array_equal(found["n_valid"], plainly(image, GEOMETRY, edges, good)[2])


@pytest.mark.parametrize("sectors", [1, 4])
def test_pixels_outside_the_range_are_in_no_bin(sectors):
    found = integrate(IMAGE, GEOMETRY, bins=5, q_range=(1.0, 2.0), sectors=sectors)
    q = GEOMETRY.q(SHAPE)
    assert int(found["n_valid"].sum()) == ((q >= 1) & (q < 2)).sum()


@pytest.mark.parametrize(("low", "high"), [(None, 65533), (25, 35), (26.5, None)])
def test_values_outside_the_thresholds_do_not_count(low, high):
    image = IMAGE.copy()
    image[::7, ::3] = 65535  # what an Eiger writes for a broken pixel
    image[1::7, ::3] = 65534
    valid = (image >= (low or 0)) & (image <= (high or 70_000))
    found = integrate(image, GEOMETRY, bins=30, threshold_low=low, threshold_high=high)
    edges = np.linspace(found.attrs["first_edge"], found.attrs["last_edge"], 31)
    intensity, error, counts = plainly(image, GEOMETRY, edges, valid)
    np.testing.assert_array_equal(found["n_valid"], counts)
    np.testing.assert_allclose(found["intensity"], intensity, rtol=1e-6)
    np.testing.assert_allclose(found["error"], error, rtol=1e-6)


@pytest.mark.parametrize("errors", ["poisson", "azimuthal", None])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_does_not_count(errors, bad):
    image = IMAGE.astype(np.float32)
    image[RNG.random(SHAPE) > 0.9] = bad
    found = integrate(image, GEOMETRY, bins=30, errors=errors)
    expected = integrate(IMAGE, GEOMETRY, bins=30, good=np.isfinite(image), errors=errors)
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
    assert ("error" in found) == (errors is not None)


def test_empty_bins_are_not_numbers():
    good = GEOMETRY.q(SHAPE) > 1.5
    found = integrate(IMAGE, GEOMETRY, good=good, bins=20, q_range=(0.0, 3.0))
    assert np.isnan(found["intensity"][:9]).all()
    assert np.isnan(found["error"][:9]).all()
    assert (found["n_valid"][:9] == 0).all()
    nothing = integrate(IMAGE, GEOMETRY, good=np.zeros(SHAPE, bool), bins=20)
    assert np.isnan(nothing["intensity"]).all()
    lost = integrate(np.full(SHAPE, np.nan), GEOMETRY, bins=20)
    assert np.isnan(lost["intensity"]).all()
    assert int(lost["n_valid"].sum()) == 0


def test_large_sums_do_not_overflow():
    image = np.full((300, 300), 65535, np.uint16)
    geometry = Geometry(x=150, y=150)
    found = integrate(image, geometry, edges=(0.0, 1000.0), unit="radius")
    assert float(found["intensity"][0]) == 65535
    assert int(found["n_valid"][0]) == 90_000


# ---- errors


def test_errors_from_a_variance_image():
    variance = RNG.uniform(1, 5, SHAPE).astype(np.float32)
    variance[3, 4] = np.nan
    found = integrate(IMAGE, GEOMETRY, variance=variance, bins=1, polarization=None, solid_angle=False)
    n = IMAGE.size - 1
    assert int(found["n_valid"][0]) == n
    assert float(found["error"][0]) == pytest.approx(math.sqrt(np.nansum(variance.astype(float))) / n, rel=1e-6)


def test_errors_from_the_scatter():
    """Of pixels around their own mean: the standard error of it, whatever one photon is worth."""
    image = RNG.normal(1000, 50, (400, 400)).astype(np.float32)
    geometry = Geometry(x=200, y=200, distance=1, energy=10, pixel_size=(1e-4, 1e-4))
    found = integrate(image, geometry, bins=10, errors="azimuthal", polarization=None, solid_angle=False)
    assert (found["error"] * np.sqrt(found["n_valid"])).values[2:8] == pytest.approx(50, rel=0.05)


def test_errors_scale_with_the_value_of_a_photon():
    one = integrate(IMAGE, GEOMETRY, bins=9)
    hundred = integrate(IMAGE.astype(np.float32) * 100, GEOMETRY, bins=9, adu_per_photon=100)
    np.testing.assert_allclose(hundred["error"], 100 * one["error"], rtol=1e-6)


def test_dark_and_flat():
    flat = RNG.uniform(0.5, 1.5, SHAPE).astype(np.float32)
    flat[0, 0], flat[1, 1], flat[2, 2] = 0, np.nan, -1
    dark = np.full(SHAPE, 3, np.float32)
    norm = GEOMETRY.solid_angle(SHAPE) * flat
    usable = np.isfinite(flat) & (flat > 0) & GOOD
    counted = integrate(
        IMAGE, GEOMETRY, good=GOOD, dark=dark, flat=flat, edges=(0.0, 99.0), polarization=None
    )  # fmt: skip
    assert float(counted["intensity"][0]) == pytest.approx((IMAGE[usable] - 3.0).sum() / norm[usable].sum(), rel=1e-6)
    error = math.sqrt(IMAGE[usable].sum()) / norm[usable].sum()
    assert float(counted["error"][0]) == pytest.approx(error, rel=1e-6)


# ---- sectors


def test_equal_sectors_are_all_around():
    found = integrate(IMAGE, GEOMETRY, good=GOOD, bins=6, sectors=8)
    whole = integrate(IMAGE, GEOMETRY, good=GOOD, bins=6)
    assert found["intensity"].dims == ("azimuth", "q")
    np.testing.assert_allclose(found["azimuth"], -180 + 45 * (np.arange(8) + 0.5))
    np.testing.assert_array_equal(found["n_valid"].sum("azimuth"), whole["n_valid"])


@pytest.mark.parametrize(
    "sectors", [(0, 30, 90, 100), (-200, -170, -10), (350, 370, 500), ((10, 20), (15, 40), (-5, 5)), (0, 360)]
)
def test_sectors_by_their_borders(sectors):
    found = integrate(IMAGE, GEOMETRY, good=GOOD, edges=(0.0, 99.0), sectors=sectors)
    azimuth, seen = GEOMETRY.azimuth(SHAPE), np.zeros(SHAPE, bool)
    pairs = sectors if isinstance(sectors[0], tuple) else list(itertools.pairwise(sectors))
    for number, (low, high) in enumerate(pairs):
        here = ((azimuth - low) % 360 < high - low) & ~seen  # the first sector gets a pixel
        seen |= here
        assert int(found["n_valid"][number, 0]) == (here & GOOD).sum()


def test_a_direction_on_the_border_of_the_circle_has_its_sector():
    """Angles at 180 degrees belong to the first sector, and nothing overflows into another."""
    geometry = Geometry(x=5, y=5)
    image = np.zeros((11, 11), np.uint16)
    image[5, :5] = 1  # to the left: exactly 180 degrees
    found = integrate(image, geometry, edges=(0.5, 6.0), sectors=6, unit="radius")
    assert (found["intensity"].values[:, 0] > 0).tolist() == [True, False, False, False, False, False]


def test_more_cells_than_sixteen_bits():
    found = integrate(IMAGE, GEOMETRY, bins=1000, sectors=100)
    assert int(found["n_valid"].sum()) == IMAGE.size
    made = AzimuthalMap.of(GEOMETRY, SHAPE, AzimuthalOptions(bins=1000, sectors=100))
    assert made.cells.dtype == np.uint32


# ---- many frames, other masks


def test_many_frames_are_one_after_the_other():
    frames = RNG.poisson(9, (3, *SHAPE)).astype(np.uint16)
    found = integrate(frames, GEOMETRY, good=GOOD, bins=12, sectors=2)
    assert found["intensity"].dims == ("frame", "azimuth", "q")
    for number, frame in enumerate(frames):
        one = integrate(frame, GEOMETRY, good=GOOD, bins=12, sectors=2)
        for name in one.data_vars:
            np.testing.assert_array_equal(found[name][number], one[name])


def test_another_mask_on_the_same_map():
    made = AzimuthalMap.of(GEOMETRY, SHAPE, AzimuthalOptions(bins=12), good=np.zeros(SHAPE, bool))
    again = made.with_good(GOOD).integrate(IMAGE)
    np.testing.assert_array_equal(again["intensity"], integrate(IMAGE, GEOMETRY, good=GOOD, bins=12)["intensity"])
    everything = made.with_good(None).integrate(IMAGE)
    np.testing.assert_array_equal(everything["intensity"], integrate(IMAGE, GEOMETRY, bins=12)["intensity"])


def test_results_share_nothing_with_the_map():
    made = AzimuthalMap.of(GEOMETRY, SHAPE, AzimuthalOptions(bins=12))
    first = made.integrate(IMAGE)
    kept = first.copy(deep=True)
    first["n_valid"][:] = 0
    first["intensity"][:] = 0
    np.testing.assert_array_equal(made.integrate(IMAGE)["n_valid"], kept["n_valid"])


# ---- real data and pyFAI


@pytest.fixture(scope="module")
def powder(shared):
    folder = shared / "data/area"
    image = np.asarray(AreaFiles((str(folder / "ceo2_pilatus1m.tif"),)).frame(0))
    return image, read_poni(folder / "ceo2_pilatus1m.poni"), np.load(folder / "ceo2_pilatus1m_pyfai_ref.npz")


def test_real_powder_agrees_with_the_reference(powder):
    image, geometry, reference = powder
    flipped = image[::-1]  # the .poni is for the mirrored image
    q = reference["q"].astype(float)
    half = (q[-1] - q[0]) / (len(q) - 1) / 2  # pyFAI moves the last edge by one step of float32
    options = {"bins": 1000, "q_range": (q[0] - half, q[-1] + half), "polarization": 0.99}
    found = integrate(flipped, geometry, good=flipped >= 0, **options)
    np.testing.assert_allclose(found["q"], q, rtol=1e-6)
    same = found["n_valid"].values == reference["cnt_nosplit"]
    assert same.mean() >= 0.998  # a pixel on an edge may fall on the other side
    np.testing.assert_allclose(found["intensity"][same], reference["I_nosplit"][same], rtol=1e-6)
    apart = np.abs(found["intensity"] / reference["I_nosplit"] - 1)
    assert float(apart.quantile(0.99)) < 2.5e-3


def test_the_wrong_orientation_is_seen(powder):
    """Rings split; and the mirrored geometry on the stored image is the right one."""
    image, geometry, reference = powder
    options = {"bins": 1000, "q_range": (0.3, 8.0), "threshold_low": 0}
    right = integrate(image, geometry.flipped(image.shape, rows=True), **options)["intensity"]
    wrong = integrate(image, geometry, **options)["intensity"]
    mirrored = integrate(image[::-1], geometry, **options)["intensity"]
    np.testing.assert_allclose(right, mirrored, rtol=1e-9)
    assert float(right.max()) > 1.5 * float(wrong.max())
    peak = float(right["q"][int(right.values.argmax())])
    assert 2 * math.pi / peak == pytest.approx(3.124, abs=0.01)  # (111) of ceria
    assert abs(2 * math.pi / float(reference["q"][reference["I_nosplit"].argmax()]) - 2 * math.pi / peak) < 0.01


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sectors", [1, 24])
def test_live_pyfai(sectors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detectors = pytest.importorskip("pyFAI.detectors")
        integrator = pytest.importorskip("pyFAI.integrator.azimuthal")
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    values = GEOMETRY.to_poni()
    names = ("dist", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength")
    detector = detectors.Detector(values["pixel1"], values["pixel2"], max_shape=SHAPE)
    theirs = integrator.AzimuthalIntegrator(detector=detector, **{name: values[name] for name in names})
    common = {
        "mask": ~GOOD, "unit": "q_A^-1", "polarization_factor": 0.9, "error_model": "poisson",
        "method": ("no", "histogram", "cython"), "radial_range": (0.5, 3.0),
    }  # fmt: skip
    if sectors == 1:
        result = theirs.integrate1d(IMAGE, 25, **common)
        radial = result.radial
    else:
        result = theirs.integrate2d(IMAGE, 25, sectors, azimuth_range=(-180, 180), **common)
        radial = result.radial
    half = (radial[-1] - radial[0]) / 48
    found = integrate(
        IMAGE, GEOMETRY, good=GOOD, bins=25, q_range=(radial[0] - half, radial[-1] + half), polarization=0.9,
        sectors=sectors,
    )  # fmt: skip
    counts = np.asarray(result.count)
    same = (found["n_valid"].values == counts) & (counts > 0)
    assert same.sum() >= 0.9 * (counts > 0).sum()
    np.testing.assert_allclose(found["intensity"].values[same], np.asarray(result.intensity)[same], rtol=1e-5)
    np.testing.assert_allclose(found["error"].values[same], np.asarray(result.sigma)[same], rtol=1e-5)


# ---- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bins": 10, "q_step": 0.1}, "told twice"),
        ({"bins": 0}, "bins"),
        ({"edges": (1, 1)}, "that grow"),
        ({"edges": (1, math.nan)}, "that grow"),
        ({"q_range": (2, 1)}, "low < high"),
        ({"sectors": (0, 10, 5)}, "borders that grow"),
        ({"sectors": (0, 200, 500)}, "more than once"),
        ({"sectors": ()}, "found none"),
        ({"unit": "d"}, "unit"),
        ({"polarization": 2}, "polarization"),
        ({"colour": "red"}, "unknown key"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(InvalidParameters, match=words):
        integrate(IMAGE, GEOMETRY, **options)


def test_messages_about_shapes_and_ranges():
    with pytest.raises(ValueError, match=r"good: expected the shape \(60, 70\)"):
        integrate(IMAGE, GEOMETRY, good=np.ones((3, 3), bool))
    with pytest.raises(TypeError, match="good_pixels"):
        integrate(IMAGE, GEOMETRY, good=np.zeros(SHAPE, np.uint32))
    with pytest.raises(ValueError, match="flat: expected the shape"):
        integrate(IMAGE, GEOMETRY, flat=np.ones((2, 2)))
    with pytest.raises(ValueError, match="holds no pixel: the detector sees"):
        integrate(IMAGE, GEOMETRY, q_range=(50, 60))
    with pytest.raises(ValueError, match=r"expected \(y, x\) or frames"):
        integrate(np.zeros(4), GEOMETRY)
    with pytest.raises(TypeError, match="expected numbers"):
        integrate(np.zeros((4, 4), complex), GEOMETRY)
    with pytest.raises(ValueError, match="energy is not known"):
        integrate(IMAGE, GEOMETRY.with_(energy=None))
    with pytest.raises(ValueError, match="at most"):
        integrate(IMAGE, GEOMETRY, bins=100_000, sectors=3600)


def test_text_of_the_command_line():
    options = AzimuthalOptions.checked({"q_range": "0.5:3", "sectors": "0,90,180", "edges": "1,2,4"})
    assert options.q_range == (0.5, 3.0)
    assert options.sectors == (0.0, 90.0, 180.0)
    assert options.edges == (1.0, 2.0, 4.0)
    assert AzimuthalOptions.checked({"sectors": "12"}).sectors == 12
    assert AzimuthalOptions.checked({"q_range": ":3"}).q_range == (None, 3.0)


def test_large_images_are_looked_at_in_bands(monkeypatch):
    """The same cells, whether one thread looks or several."""
    cells_of.cache_clear()
    whole = cells_of(GEOMETRY, SHAPE, AzimuthalOptions(bins=50, sectors=7))
    monkeypatch.setattr(azimuthalcells, "SIDE_BY_SIDE", 1)
    monkeypatch.setattr(azimuthalcells.os, "cpu_count", lambda: 7)
    cells_of.cache_clear()
    bands = cells_of(GEOMETRY, SHAPE, AzimuthalOptions(bins=50, sectors=7))
    assert bands is not whole
    np.testing.assert_array_equal(bands.cells, whole.cells)
    np.testing.assert_array_equal(bands.norm, whole.norm)
