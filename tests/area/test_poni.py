"""Files of pyFAI."""

from __future__ import annotations

import pytest

from detcore.area.files.poni import poni_geometry, poni_text, read_poni, write_poni
from detcore.area.images.geometry import Geometry

GEOMETRY = Geometry(
    x=486.7, y=512.2, distance=0.2, energy=30.4, pixel_size=(1.7e-4, 1.72e-4), rot1=-1, rot2=0.2, rot3=3
)


def test_real_file(shared):
    geometry = read_poni(shared / "data/area/ceo2_pilatus1m.poni")
    assert geometry.distance == 0.208651380603
    assert geometry.wavelength == pytest.approx(0.4066)
    assert geometry.pixel_size == (0.000172, 0.000172)
    # what pyFAI's getFit2D says, whose centres of pixels are at halves
    assert (geometry.x, geometry.y) == pytest.approx((487.2590057 - 0.5, 512.5483499 - 0.5), abs=1e-6)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_what_is_written_is_read(tmp_path, orientation):
    geometry = GEOMETRY.with_(orientation=orientation)
    path = tmp_path / "a.poni"
    write_poni(geometry, path, (1043, 981))
    back = read_poni(path)
    assert back.orientation == orientation
    assert back.pixel_size == geometry.pixel_size
    numbers = set(Geometry.model_fields) - {"pixel_size"}
    assert back.model_dump(include=numbers) == pytest.approx(geometry.model_dump(include=numbers), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_pyfai_reads_what_is_written(tmp_path):
    pyfai = pytest.importorskip("pyFAI")
    path = tmp_path / "a.poni"
    write_poni(GEOMETRY, path, (1043, 981))
    fit = pyfai.load(str(path)).getFit2D()
    assert (fit["centerX"] - 0.5, fit["centerY"] - 0.5) == pytest.approx((GEOMETRY.x, GEOMETRY.y))


def test_the_last_of_several_calibrations_counts():
    text = poni_text(GEOMETRY) + poni_text(GEOMETRY.with_(distance=0.7))
    assert poni_geometry(text).distance == 0.7


def test_a_named_detector_without_its_pixel_size():
    text = "Detector: Eiger4M\nDetector_config: {}\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nRot1: 0\nRot2: 0\nRot3: 0\n"
    assert poni_geometry(text).pixel_size == (75e-6, 75e-6)
    assert poni_geometry(text).energy is None
    with pytest.raises(ValueError, match="the pixel size is missing"):
        poni_geometry(text.replace("Eiger4M", "Mystery"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Distance", "Dist"), "expected the lines Distance"),
        (("Distance: 0.2", "Distance: far"), "distance is 'far'"),
        (("Rot1: ", "Rot1: nan "), "rot1 is 'nan"),
        (("Detector_config: {", "Detector_config: ["), "expected a JSON object"),
        (('"orientation": 3', '"orientation": 7'), "orientation 7"),
        (('"orientation": 3', '"orientation": 2'), "give the shape"),
        (("Distance: 0.2", "Distance: -0.2"), "distance"),
    ],
)
def test_broken_files(tmp_path, change, words):
    path = tmp_path / "broken.poni"
    path.write_text(poni_text(GEOMETRY).replace(*change))
    with pytest.raises(ValueError, match=words) as error:
        read_poni(path)
    assert "broken.poni" in str(error.value)


def test_no_text_and_too_much_of_it(tmp_path):
    path = tmp_path / "a.poni"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="not text"):
        read_poni(path)
    path.write_bytes(b"a" * 1_000_001)
    with pytest.raises(ValueError, match="at most"):
        read_poni(path)
    with pytest.raises(ValueError, match="pixel_size"):
        write_poni(Geometry(x=1, y=1, distance=1), path)
    assert path.stat().st_size == 1_000_001  # nothing was written
