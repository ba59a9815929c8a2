"""The setup: what is saved is loaded, wrong text is explained, nothing is lost."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detcore.area.images.commonmode import CommonModeStep
from detcore.area.images.geometry import Geometry
from detcore.area.setup.setupfile import MAX_BYTES, Setup
from detcore.area.setup.setupsections import (
    AzimuthalSection,
    DetectorSection,
    DropletSection,
    EventFilter,
    FunctionSpec,
    ProjectionSection,
    Roi,
)
from detcore.core.parameters import InvalidParameters
from detcore.image import (
    AsicEdgesOperation,
    BitsOperation,
    Brush,
    EdgesOperation,
    Ellipse,
    FileOperation,
    GrowOperation,
    HalfPlane,
    InvertOperation,
    NoiseOperation,
    NotFiniteOperation,
    PedestalOperation,
    PixelsOperation,
    Polygon,
    Rectangle,
    RegionOperation,
    ShrinkOperation,
    StatusOperation,
    ThresholdOperation,
)

if TYPE_CHECKING:
    from pathlib import Path

OPERATIONS = (
    RegionOperation(name="box", region=Rectangle(x0=1, y0=2, x1=30, y1=9), panel=1),
    RegionOperation(name="disc", region=Ellipse(x=1.5, y=2, a=3, b=9, angle=12), mode="subtract", enabled=False),
    RegionOperation(name="strokes", region=Brush(radius=2, strokes=[[(1, 2), (3, 4.5)], [(9, 9)]])),
    RegionOperation(region=HalfPlane(x=2, y=3, angle=45) & ~Polygon(vertices=[(0, 0), (4, 0), (0, 4)])),
    ThresholdOperation(high=1e4, bit="over"),
    NoiseOperation(low=0.5, high=9, gains=[0, 1]),
    PedestalOperation(high=4000),
    NotFiniteOperation(),
    StatusOperation(status_bits=5),
    EdgesOperation(width=2),
    AsicEdgesOperation(asic=(176, 192)),
    PixelsOperation(pixels=[(1, 2)], panel=0),
    BitsOperation(bits=["dead"]),
    FileOperation(path="/data/mask.h5", convention="nxmx"),
    InvertOperation(),
    GrowOperation(steps=3, neighbours="round"),
    ShrinkOperation(),
)


def full() -> Setup:
    """Every section has something in it."""
    return Setup(
        detector=DetectorSection(name="epix", type="epix10ka_quad", shape=(4, 352, 384), asic=(176, 192), saturation=2.0),
        geometry=Geometry(x=300.5, y=200, distance=0.1, energy=9.5, pixel_size=(1e-4, 1e-4), rot1=1),
        mask=OPERATIONS,
        psana_options=("status", "edges"),
        rois=(
            Roi(name="spot", region=Ellipse(x=3, y=4, a=2, b=1), threshold=5.0, projections=(ProjectionSection(axis=0),)),
            Roi(name="tile", bounds=((0, 1), (3, 9), (2, 8)), area=True, threshold=(1.0, None)),
        ),
        common_mode=(CommonModeStep(kind="row"),),
        azimuthal=AzimuthalSection(bins=100, sectors=(0.0, 90.0), polarization=None, dark="/data/dark.npy"),
        droplets=DropletSection(threshold=9, threshold_low=3, photon_adu=154),
        functions=(
            FunctionSpec(
                kind="PolynomialCurveCorrection", params={"coeff": [1, 2.5], "axis": None},
                children=(FunctionSpec(kind="spectrumFunc", params={"bins": [0, 9, 3]}),),
            ),
        ),
        sums=("calib", "calib_dropped_square"),
        filters=(EventFilter(field="i0", low=1),),
    )  # fmt: skip


def test_what_is_saved_is_loaded_and_every_shape_is_still_a_shape(tmp_path: Path) -> None:
    setup = full()
    setup.save(tmp_path / "deep/setup.yaml")
    found = Setup.load(tmp_path / "deep/setup.yaml")
    assert found == setup
    assert found.mask[0].region == OPERATIONS[0].region  # type: ignore[union-attr]
    moved = found.with_mask([found.mask[0].model_copy(update={"region": OPERATIONS[0].region.moved(1, 1)})])  # type: ignore[attr-defined]
    assert moved.mask[0].region.x0 == 2  # type: ignore[union-attr]
    assert found.to_yaml() == setup.to_yaml()


def test_an_empty_setup() -> None:
    assert Setup.from_yaml("") == Setup()
    assert Setup().to_yaml() == "version: 1\n"


def test_null_is_kept_where_it_means_something() -> None:
    setup = Setup.from_yaml("calibration: {pedestal: null}\nazimuthal: {bins: 9, polarization: null}")
    assert setup.calibration.pedestal is None
    again = Setup.from_yaml(setup.to_yaml())
    assert again == setup
    assert again.azimuthal is not None
    assert again.azimuthal.polarization is None
    assert again.calibration.noise == "auto"


@given(st.lists(st.sampled_from(OPERATIONS), max_size=6), st.sets(st.sampled_from(["status", "calib", "edges"])))
@settings(deadline=None, max_examples=30)
def test_text_gives_back_an_equal_setup(operations: list[object], options: set[str]) -> None:
    setup = Setup().with_(mask=tuple(operations), psana_options=tuple(options), common_mode=7)
    assert Setup.from_yaml(setup.to_yaml()) == setup


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roi: []", "unknown key 'roi': did you mean 'rois'"),
        ("mask: [{kind: grow, stps: 2}]", r"unknown key 'mask\.0\.grow\.stps': did you mean 'steps'"),
        ("rois: [{name: a, boundz: 1}]", r"unknown key 'rois\.0\.boundz': did you mean 'bounds'"),
        ("azimuthal: {bin: 9}", r"unknown key 'azimuthal\.bin': did you mean 'bins'"),
        ("detector: {q: 1}", "known: asic, dataset"),
        ("mask: [{kind: region, region: {kind: ellipse, x: 1, y: 1, a: 1, b: 1, c: 1}}]", "known: a, angle, b, kind, x, y"),
        ("common_mode: [{knd: row}]", r"^unknown key 'common_mode\.0\.knd': did you mean 'kind'"),
        ("geometry: {x: 1, y: 1, centre: 3}", r"unknown key 'geometry\.centre'"),
        ("droplets: {threshold: 2, threshold_low: 3}", "threshold_low <= threshold expected, found 3.0 and 2.0"),
        ("version: 2\nnews: 1", "of version 2, this program reads up to 1; update detcore"),
        ("version: 0", "version"),
        ("sums: [a]\nrois: []\nsums: [b]", "line 3: the key 'sums' is there a second time"),
        ("rois:\n- {name: a, bounds: [[0, 1], [0, 1]], name: b}", "line 2: the key 'name'"),
        ("rois: [{name: a, bounds: [[0, 1], [0, 1]]}, {name: a, bounds: [[0, 1], [0, 1]]}]", "two ROIs are called 'a'"),
        ("rois: [{name: a}]", "either a region or bounds expected, found neither"),
        ("rois: [{name: a, bounds: [[5, 1], [0, 1]]}]", "a first pixel before the end expected, found 5 to 1"),
        ("rois: [{name: ' ', bounds: [[0, 1], [0, 1]]}]", "visible character"),
        ("autocorrelation: {roi: b}", "no ROI is called 'b'; there are: none"),
        ("detector: {shape: [1, 2, 3], orientation: 3}", "leave the orientation at 1"),
        ("detector: {pixel_size: [0, 1]}", r"detector\.pixel_size\.0"),
        ("detector: {saturation: .nan}", r"detector\.saturation"),
        ("psana_options: [stat]", r"psana_options\.0"),
        ("azimuthal: {bins: 9, q_step: 1}", "by bins and q_step"),
        ("spectrum: {bins: [5, 1, 9]}", "low < high expected"),
        ("filters: [{field: a, low: 3, high: 1}]", "low <= high expected"),
        ("sums: calib", "sums: Input should be a list, found 'calib'"),
        ("sums: 2026-13-45", "not readable as YAML: month must be in"),
        ("1: 2", "Keys should be strings"),
        ("[1, 2]", "expected 'name: value' lines"),
        ("{a: [", "not readable as YAML"),
        ("a: &x 1\nb: *x", "may neither use references"),
        ("!!python/object/apply:os.getcwd []", "not readable as YAML"),
    ],
)  # fmt: skip
def test_wrong_text_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        Setup.from_yaml(text)
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InvalidParameters, match=r"s\.yaml: "):
        Setup.load(tmp_path / "s.yaml")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xff")
    with pytest.raises(InvalidParameters, match="found bytes that are not text"):
        Setup.load(tmp_path / "a")
    with (tmp_path / "b").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InvalidParameters, match="at most 10,000,000 bytes"):
        Setup.load(tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        Setup.load(tmp_path / "c")


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.yaml"
    full().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(Setup, "to_yaml", lambda self: "\ud800")  # no UTF-8
    with pytest.raises(UnicodeEncodeError):
        Setup().save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.yaml"]  # noqa: PTH208


def test_files_are_found_from_the_folder_of_the_setup(tmp_path: Path) -> None:
    text = (
        "mask_image: mean.npy\ncalibration: {pedestal: dark/ped.npy, noise: null}\nbackground: {image: /elsewhere/bg.npy}\n"
        "mask: [{kind: file, path: mask.h5, convention: nxmx}]\n"
        "functions: [{kind: dropletFunc, params: {threshold: 3}, children: [{kind: a, params: {mask: m.npy, name: x}}]}]"
    )
    (tmp_path / "s.yaml").write_text(text)
    setup = Setup.load(tmp_path / "s.yaml")
    names = {str(tmp_path / name) for name in ("dark/ped.npy", "mask.h5", "m.npy", "mean.npy")} | {"/elsewhere/bg.npy"}
    assert set(setup.files()) == names
    assert setup.calibration.gain == "auto"
    setup.save(tmp_path / "again.yaml")
    assert str(tmp_path) not in (tmp_path / "again.yaml").read_text()
    assert Setup.load(tmp_path / "again.yaml") == setup
    (tmp_path / "other").mkdir()
    setup.save(tmp_path / "other/s.yaml")
    assert Setup.load(tmp_path / "other/s.yaml") == setup


def test_changes_are_checked() -> None:
    setup = full()
    assert setup.with_(sums=("calib",)).sums == ("calib",)
    assert setup.sums == ("calib", "calib_dropped_square")
    with pytest.raises(InvalidParameters, match="unknown key 'sum': did you mean 'sums'"):
        setup.with_(sum=1)
    with pytest.raises(InvalidParameters, match="two ROIs are called"):
        setup.with_(rois=(setup.rois[0], setup.rois[0]))


def test_steps_that_look_at_an_image() -> None:
    setup = Setup(mask=(EdgesOperation(), ThresholdOperation(name="hot", high=5), NotFiniteOperation(enabled=False)))
    assert [one.name for one in setup.image_steps] == ["hot"]
    assert [one.kind for one in setup.without_image_steps().mask] == ["edges", "not_finite"]
    other = Setup(mask=(ThresholdOperation(image="noise", high=5),))
    assert other.without_image_steps() is other


def test_its_mask_can_be_rastered() -> None:
    setup = Setup.from_yaml("detector: {shape: [2, 4, 5]}\nmask: [{kind: edges}]")
    assert int((setup.pixel_mask.raster() > 0).sum()) == 2 * (20 - 6)
    assert Setup.from_yaml("mask: [{kind: edges}]").pixel_mask.raster((4, 5)).dtype == np.uint32


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidParameters):
        Setup.from_yaml(text)
