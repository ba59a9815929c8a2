"""Examples out of files of either format, and out of a small one in memory of which everything is known."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from typing_extensions import override

from detcore.dl1.files.model import Dl1File, Images
from detcore.dl1.files.openfile import open as open_file
from detcore.dl1.filters import event_intensity_filter, image_cleaning_filter, image_intensity_filter
from detcore.dl1.images.geometry import Camera, camera_of_positions
from detcore.dl1.images.mapper import ImageMapper
from detcore.dl1.reader import DL1DataReader
from detcore.dl1.transforms import ConvertShowerPrimaryIDToClassLabel, EnergyToLog

if TYPE_CHECKING:
    from pathlib import Path

PRIMARIES = (0, 101, 0, 0, 101)
SEEN = {11: (0, 1, 3), 12: (1, 3, 4), 5: (0, 2, 3)}  # events of which each telescope has an image
ORDER = {11: (3, 0, 1), 12: (1, 3, 4), 5: (2, 0, 3)}  # and in which order they are in the file


def _hexagons(rows: int, columns: int, name: str) -> Camera:
    row, column = np.divmod(np.arange(rows * columns), columns)
    return camera_of_positions(name, 0.05 * (column + row % 2 / 2), 0.05 * 0.75**0.5 * row)


CAMERAS = {"LST_LSTCam": _hexagons(9, 8, "LSTCam"), "MST_FlashCam": _hexagons(7, 6, "FlashCam")}


class Memory(Dl1File):
    """Five events, two telescopes of one type and one of another; pixel p of event e in telescope t is 1000 t + 10 e + p / 100."""

    time_unit = "ns"

    def __init__(self, path: str = "memory", obs_id: int = 1, types: tuple[str, ...] = ("LST_LSTCam",) * 2) -> None:
        self.path, self.format, self.obs_id, self.closed = path, "ctapipe v7.1.0", obs_id, False
        self.types = {5: "MST_FlashCam", 11: types[0], 12: types[1]}

    @property
    @override
    def telescopes(self) -> pd.DataFrame:
        ids = [11, 12, 5]
        position = {11: (10.0, 20.0, 30.0), 12: (-10.0, -20.0, -30.0), 5: (1.0, 2.0, 3.0)}
        table = pd.DataFrame(
            [position[one] for one in ids], columns=["x", "y", "z"], index=pd.Index(ids, name="tel_id")
        )
        return table.assign(type=[self.types[one] for one in ids])

    @property
    @override
    def events(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "obs_id": self.obs_id,
                "event_id": 100 + np.arange(5),
                "true_energy": [0.01, 0.1, 1.0, 10.0, 100.0],
                "true_alt": 70.0,
                "true_core_x": np.arange(5) * 50.0,
                "true_shower_primary_id": PRIMARIES,
                "tels_with_trigger": [(1,)] * 5,
            }
        )

    @property
    @override
    def header(self) -> dict[str, Any]:
        return {}

    @property
    @override
    def metadata(self) -> dict[str, str]:
        return {}

    @override
    def close(self) -> None:
        self.closed = True

    @override
    def camera(self, tel_id: int) -> Camera:
        return CAMERAS[self.types[tel_id]]

    @override
    def n_images(self, tel_id: int) -> int:
        return len(ORDER[tel_id])

    @override
    def keys(self, tel_id: int) -> pd.DataFrame:
        return pd.DataFrame({"obs_id": self.obs_id, "event_id": 100 + np.array(ORDER[tel_id])})

    @override
    def chunk_rows(self, tel_id: int) -> int:
        return 2

    @override
    def parameters(self, tel_id: int) -> None:
        return None

    @override
    def _read(self, tel_id: int, start: int, stop: int) -> Images:
        return self._take(tel_id, np.arange(start, stop))

    @override
    def _take(self, tel_id: int, indices: Any) -> Images:
        events = np.array(ORDER[tel_id])[indices]
        image = np.stack([pixels(tel_id, event, self.camera(tel_id).n_pixels) for event in events])
        zeros = np.full(len(indices), self.obs_id)
        return Images(zeros, 100 + events, np.asarray(indices), image, -image)


def pixels(tel_id: int, event: int, n: int) -> Any:
    return (1000 * tel_id + 10 * event + np.arange(n) / 100).astype(np.float32)


def _mapped(tel_id: int, event: int, tel_type: str = "LST_LSTCam", method: str = "oversampling") -> Any:
    camera = CAMERAS[tel_type]
    values = pixels(tel_id, event, camera.n_pixels)[:, None]
    return ImageMapper(cameras=[camera], mapping_method=method).map_image(values, camera.name)


def test_mono_examples() -> None:
    reader = DL1DataReader(
        [Memory()], array_info=["id", "x", "type"], event_info=["mc_energy", "alt", "event_id"], validate_processor=True
    )
    assert [(one.nrow, one.tel_id) for one in reader.example_identifiers] == [
        *((event, 11) for event in SEEN[11]),
        *((event, 12) for event in SEEN[12]),
    ]
    description = [(one["name"], one["shape"], one["dtype"]) for one in reader.example_description]
    assert description == [
        ("image", (18, 18, 1), np.float32),
        ("id", (1,), np.uint16),
        ("x", (1,), np.float32),
        ("type", (1,), np.dtype("S20")),
        ("mc_energy", (), np.float32),
        ("alt", (), np.float32),
        ("event_id", (), np.int64),
    ]
    for (_, event, _, tel_id), example in zip(reader.example_identifiers, reader, strict=True):
        image, *rest = example
        assert np.array_equal(image, _mapped(tel_id, event))
        assert [part.tolist() for part in rest[:3]] == [[tel_id], [10.0 if tel_id == 11 else -10.0], [b"LST_LSTCam"]]
        assert [part.item() for part in rest[3:]] == pytest.approx([10.0 ** (event - 2), np.radians(70), 100 + event])
        for part, (_, shape, kind) in zip(example, description, strict=True):
            assert (part.shape, part.dtype) == (shape, kind)


def test_stereo_examples() -> None:
    reader = DL1DataReader([Memory()], "stereo", array_info=["z"], event_info=["shower_primary_id"])
    assert [one.nrow for one in reader.example_identifiers] == [0, 1, 3, 4]
    for (_, event, *_), (images, trigger, z, primary) in zip(reader.example_identifiers, reader, strict=True):
        assert (images.shape, trigger.dtype) == ((2, 18, 18, 1), np.int8)
        assert trigger.tolist() == [event in SEEN[11], event in SEEN[12]]
        for tel_id, image in zip((11, 12), images, strict=True):
            assert np.array_equal(image, _mapped(tel_id, event) if event in SEEN[tel_id] else np.zeros((18, 18, 1)))
        assert (z.tolist(), primary) == ([30, -30], PRIMARIES[event])


def test_multi_stereo_examples() -> None:
    reader = DL1DataReader([Memory()], "multi-stereo", array_info=["id"], validate_processor=True)
    assert [one["name"] for one in reader.example_description] == [
        *(f"{tel_type}_{name}" for tel_type in CAMERAS for name in ("image", "trigger", "id")),
    ]
    assert [one["base_name"] for one in reader.example_description] == ["image", "trigger", "id"] * 2
    assert [one.nrow for one in reader.example_identifiers] == [0, 1, 2, 3, 4]
    images, trigger, ids, others, other_trigger, _ = reader[2]
    assert (trigger.tolist(), other_trigger.tolist(), ids.tolist()) == ([0, 0], [1], [11, 12])
    assert not images.any()
    assert np.array_equal(others[0], _mapped(5, 2, "MST_FlashCam"))
    only = DL1DataReader([Memory()], "multi-stereo", "MST_FlashCam")
    assert [one.nrow for one in only.example_identifiers] == sorted(SEEN[5])


def test_many_at_once_are_those_one_by_one() -> None:
    for mode in ("mono", "stereo", "multi-stereo"):
        reader = DL1DataReader([Memory("a"), Memory("b", 2)], mode, array_info=["x"], event_info=["obs_id"])
        wished = [-1, 0, 2, 2, 1, len(reader) // 2]
        single = [reader[index] for index in wished]
        for part, parts in zip(reader.batch(wished), zip(*single, strict=True), strict=True):
            assert np.array_equal(part, np.stack(parts))
        with pytest.raises(IndexError):
            reader.batch([len(reader)])


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("mc_energy > 0.05", [1, 3, 4]),
        ("(true_energy > 0.05) & (LST_LSTCam_multiplicity == 2)", [1, 3]),
        ("(mc_energy > 0.5) | (core_x < 10)", [0, 3, 4]),
        ("(shower_primary_id == 101) & (alt > 1.2)", [1, 4]),
        ("MST_FlashCam_multiplicity > 0", [0, 3]),
        ("mc_energy > 1e9", []),
    ],
)
def test_events_are_selected_by_conditions(condition: str, rows: list[int]) -> None:
    reader = DL1DataReader([Memory()], "stereo", selection_string=condition)
    assert [one.nrow for one in reader.example_identifiers] == rows
    mono = DL1DataReader([Memory()], selection_string=condition)
    assert {one.nrow for one in mono.example_identifiers} == set(rows)


def test_events_are_selected_by_functions() -> None:
    def chosen(reader: DL1DataReader, file: Dl1File, rows: Any) -> Any:
        assert (reader.mode, file.path) == ("stereo", "memory")
        return rows

    for rows in ({1, 3}, [1, 3], np.array([False, True, False, True, False])):
        reader = DL1DataReader([Memory()], "stereo", event_selection={chosen: {"rows": rows}})
        assert [one.nrow for one in reader.example_identifiers] == [1, 3]
    assert len(DL1DataReader([Memory()], "stereo", event_selection={chosen: {"rows": set()}})) == 0
    total = {
        event: sum(pixels(tel, event, 72).sum(dtype=float) for tel in (11, 12) if event in SEEN[tel])
        for event in range(5)
    }
    limits = {"i_min": total[0], "i_max": total[3]}  # neither is inside
    reader = DL1DataReader([Memory()], "stereo", event_selection={event_intensity_filter: limits})
    inside = [event for event in (0, 1, 3, 4) if total[0] < total[event] < total[3]]
    assert [one.nrow for one in reader.example_identifiers] == inside == [1, 4]


def test_images_are_selected_by_functions() -> None:
    total = {(tel, event): pixels(tel, event, 72).sum(dtype=float) for tel in (11, 12) for event in SEEN[tel]}
    limits = {"i_min": total[11, 0], "i_max": total[12, 4]}
    reader = DL1DataReader([Memory()], image_selection={image_intensity_filter: limits})
    found = [(one.tel_id, one.nrow) for one in reader.example_identifiers]
    assert found == [key for key, value in total.items() if limits["i_min"] < value < limits["i_max"]]
    assert 0 < len(found) < len(total)
    # pixels of telescope 11, event 3 reach from 11030 to 11030.71
    for threshold, expected in ((11030.5, [(11, 3)]), (11030.705, [(11, 3)]), (11031, [])):
        reader = DL1DataReader(
            [Memory()],
            selected_telescope_ids={"LST_LSTCam": [11]},
            image_selection={image_cleaning_filter: {"picture_thresh": threshold, "boundary_thresh": threshold - 0.2}},
        )
        assert [(one.tel_id, one.nrow) for one in reader.example_identifiers] == expected
    both = {image_intensity_filter: {}, image_cleaning_filter: {"picture_thresh": 1e9, "boundary_thresh": 1}}
    assert len(DL1DataReader([Memory()], image_selection=both)) == 0


def test_telescopes_can_be_chosen() -> None:
    reader = DL1DataReader([Memory()], selected_telescope_ids={"LST_LSTCam": [12]})
    assert [(one.tel_id, one.nrow) for one in reader.example_identifiers] == [(12, event) for event in SEEN[12]]
    reader = DL1DataReader([Memory()], "stereo", "LST_LSTCam", {"LST_LSTCam": [12, 11]}, array_info=["id"])
    images, trigger, ids = reader[0]
    assert (ids.tolist(), trigger.tolist()) == ([12, 11], [0, 1])
    assert np.array_equal(images[1], _mapped(11, 0))


def test_order_is_random_and_repeatable() -> None:
    plain = DL1DataReader([Memory("a"), Memory("b", 2)]).example_identifiers
    state = random.getstate()
    orders = [DL1DataReader([Memory("a"), Memory("b", 2)], shuffle=True, seed=s).example_identifiers for s in (7, 7, 8)]
    assert random.getstate() == state  # nobody else's numbers are disturbed
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(plain)
    assert orders[0] != plain
    random.seed(7)
    random.shuffle(plain)
    assert orders[0] == plain  # the order that the original has


def test_channels_and_mappings() -> None:
    reader = DL1DataReader([Memory()], image_channels=["charge", "peakpos"], mapping_method="image_shifting")
    assert reader.example_description[0]["shape"] == (9, 9, 2)
    image = reader[0][0]
    assert np.array_equal(image[..., 0], -image[..., 1])
    assert np.array_equal(image[..., :1], _mapped(11, 0, method="image_shifting"))
    sized = {
        "mapping_method": {"LSTCam": "rebinning"},
        "interpolation_image_shape": {"LSTCam": (30, 30, 1)},
        "padding": 1,
    }
    assert DL1DataReader([Memory()], mapping_settings=sized)[0][0].shape == (32, 32, 1)
    for unmapped in ("indexed_conv", {"LSTCam": "indexed_conv"}):
        reader = DL1DataReader([Memory()], mapping_method=unmapped)
        assert np.array_equal(reader[0][0], pixels(11, 0, 72)[:, None])
        assert reader.example_description[0]["shape"] == (72, 1)
        assert sorted(set(reader.image_mapper.get_indexmatrix("LSTCam").ravel())) == [-1, *range(72)]


def test_transforms_are_applied() -> None:
    reader = DL1DataReader(
        [Memory()],
        event_info=["mc_energy", "shower_primary_id"],
        transforms=[EnergyToLog(), ConvertShowerPrimaryIDToClassLabel()],
        validate_processor=True,
    )
    assert [one["name"] for one in reader.example_description] == ["image", "mc_energy", "class_label"]
    for (_, event, *_), (_, energy, label) in zip(reader.example_identifiers, reader, strict=True):
        assert (energy, label) == (pytest.approx(event - 2), int(PRIMARIES[event] == 0))
    assert reader.num_examples(["class_label"]) == {(1,): 3, (0,): 3}


def test_examples_are_counted() -> None:
    reader = DL1DataReader([Memory()], "stereo", event_info=["shower_primary_id"])
    assert reader.num_examples() == {(): 4}
    assert reader.num_examples(["shower_primary_id"]) == {(0,): 2, (101,): 2}
    assert reader.num_examples(["trigger", "shower_primary_id"], [0, 1]) == {((1, 0), 0): 1, ((1, 1), 101): 1}
    with pytest.raises(ValueError, match="no part color; there are image"):
        reader.num_examples(["color"])


def test_wrong_wishes_are_named() -> None:
    def refused(words: str, files: Any = None, *args: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=words):
            DL1DataReader([Memory()] if files is None else files, *args, **options)

    refused("unknown mode 'duo'; there are mono", None, "duo")
    refused("unknown telescope type SST; there are LST_LSTCam, MST_FlashCam", None, "mono", "SST")
    refused("use multi-stereo", None, "stereo", ["LST_LSTCam"])
    refused(
        r"no telescopes \[3\] of type LST_LSTCam; there are \[11, 12\]", selected_telescope_ids={"LST_LSTCam": [3, 11]}
    )
    refused("no column 'size'", selection_string="size > 3")
    refused("no column 'size' of events; there are", event_info=["size"])
    refused("unknown column 'color' of telescopes", array_info=["color"])
    refused("chooses single images", None, "stereo", image_selection={image_intensity_filter: {}})
    refused("unknown mapping method 'magic'", mapping_method="magic")
    refused("no files", [])
    refused("memory is given twice", [Memory(), Memory()])
    refused("b: other telescopes", [Memory("a"), Memory("b", types=("LST_LSTCam", "MST_FlashCam"))])
    reader = DL1DataReader([Memory()], image_channels=["waveform"])
    with pytest.raises(ValueError, match=r"no channel 'waveform'; there are charge, peakpos"):
        reader[0]
    with pytest.raises(FileNotFoundError):
        DL1DataReader(["/nowhere/file.h5"])


@pytest.mark.parametrize("name", ["test_lasercal_v3.dl1.h5", "ctaml072_lasercal_zlib.h5", "gct_checs_muons.dl1.h5"])
def test_real_files(shared: Path, name: str) -> None:
    path = shared / "data/dl1" / name
    with open_file(path) as file, DL1DataReader([path], event_info=["event_id"], array_info=["id"]) as reader:
        ids = file.telescopes.index
        assert len(reader) == sum(map(file.n_images, ids)) == {"gct": 20}.get(name[:3], 10)
        images, tel_ids, event_ids = reader.batch(range(len(reader)))
        for image, (tel_id,), event_id in zip(images[..., 0], tel_ids, event_ids, strict=True):
            obs_id = file.events.obs_id.iloc[0]
            raw = file.image_of(int(tel_id), int(obs_id), int(event_id)).image.values[0]
            assert image.sum(dtype=float) == pytest.approx(raw.sum(dtype=float), rel=1e-5)
            assert image.max() == pytest.approx(raw.max() / (1 if "chec" in path.name else 4))


def test_both_formats_give_the_same_pictures(shared: Path) -> None:
    """The same shower, from two files with different calibrations: the light is at the same place."""
    for ctapipe, ctaml in (
        ("test_lasercal_v3.dl1.h5", "ctaml072_lasercal_zlib.h5"),
        ("gct_checs_muons.dl1.h5", "ctaml072_chec_lzo.h5"),
    ):
        readers = [
            DL1DataReader([shared / "data/dl1" / name], event_info=["event_id", "mc_energy"])
            for name in (ctapipe, ctaml)
        ]
        (first, first_ids, energy), (second, second_ids, other) = (
            reader.batch(range(len(reader))) for reader in readers
        )
        assert first_ids.tolist() == second_ids.tolist()
        assert energy == pytest.approx(other, rel=1e-5)
        for one, another in zip(first, second, strict=True):
            assert np.corrcoef(one.ravel(), another.ravel())[0, 1] > 0.85
        for reader in readers:
            reader.close()
