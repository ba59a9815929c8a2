"""Transforms of examples: values, descriptions, and that what comes in stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detcore.dl1.transforms import (
    ConvertShowerPrimaryIDToClassLabel,
    DataForGammaLearn,
    DL1DataProcessor,
    EnergyToLog,
    HfirstIntToKm,
    ImpactToKm,
    NormalizeTelescopePositions,
    TelescopePositionToKm,
    Transform,
    XmaxToKm,
)

VALUES = {
    "image": np.ones((4, 4, 1), np.float32),
    "x": np.array([100.0], np.float32),
    "y": np.array([-50.0], np.float32),
    "z": np.array([20.0], np.float32),
    "mc_energy": np.array(0.01, np.float32),
    "core_x": np.array(-250.0, np.float32),
    "core_y": np.array(120.0, np.float32),
    "x_max": np.array(350.0, np.float32),
    "h_first_int": np.array(21000.0, np.float32),
    "shower_primary_id": np.array(101, np.int32),
}


def _described() -> list[dict[str, Any]]:
    return [
        {"name": name, "base_name": name, "tel_type": None, "shape": values.shape, "dtype": values.dtype}
        for name, values in VALUES.items()
    ]


def _processed(*transforms: Transform, **changed: Any) -> tuple[Any, list[dict[str, Any]]]:
    description = _described()
    processor = DL1DataProcessor("mono", description, transforms, validate=True)
    example = [np.array(changed.get(name, values), values.dtype) for name, values in VALUES.items()]
    before = [values.copy() for values in example]
    found = processor.process(example)
    assert description == _described()
    assert processor.input_description == _described()
    assert all(np.array_equal(one, other) for one, other in zip(example, before, strict=True))
    return found, processor.output_description


@pytest.mark.parametrize(
    ("transform", "values", "unit"),
    [
        (EnergyToLog(), {"mc_energy": -2.0}, "log(TeV)"),
        (ImpactToKm(), {"core_x": -0.25, "core_y": 0.12}, "km"),
        (XmaxToKm(), {"x_max": 0.35}, "kg/cm2"),
        (HfirstIntToKm(), {"h_first_int": 21.0}, "km"),
        (TelescopePositionToKm(), {"x": 0.1, "y": -0.05, "z": 0.02}, "km"),
        (NormalizeTelescopePositions(100, 50, 10), {"x": 1.0, "y": -1.0, "z": 2.0}, None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_numbers(transform: Transform, values: dict[str, float], unit: str | None) -> None:
    example, description = _processed(transform)
    for one, found in zip(description, example, strict=True):
        name = one["name"]
        assert found.dtype == VALUES[name].dtype
        assert found == pytest.approx(values.get(name, VALUES[name]))
        assert one.get("unit") == (unit if name in values else None)


def test_labels() -> None:
    for particle, label in ((0, 1), (101, 0)):
        example, description = _processed(ConvertShowerPrimaryIDToClassLabel(), shower_primary_id=particle)
        assert (example[-1], example[-1].dtype, example[-1].shape) == (label, np.int8, ())
        assert [one["name"] for one in description] == [*list(VALUES)[:-1], "class_label"]
        assert description[-1]["base_name"] == "shower_primary_id"
    with pytest.raises(ValueError, match="no class for the primary particle 402"):
        _processed(ConvertShowerPrimaryIDToClassLabel(), shower_primary_id=402)


def test_one_after_the_other() -> None:
    example, _ = _processed(TelescopePositionToKm(), NormalizeTelescopePositions(norm_x=2), EnergyToLog())
    assert (example[1], example[4]) == (pytest.approx([0.05]), pytest.approx(-2.0))


def test_a_dict_for_gammalearn() -> None:
    sample, description = _processed(ConvertShowerPrimaryIDToClassLabel(), EnergyToLog(), DataForGammaLearn())
    labels = ["mc_energy", "core_x", "core_y", "x_max", "h_first_int", "shower_primary_id"]
    assert description[-1]["label_description"] == labels
    assert sample["label"] == pytest.approx([-2, -250, 120, 350, 21000, 0])
    assert sample["mc_energy"] == pytest.approx(-2)
    assert sample["telescope"].tolist() == [[100], [-50], [20]]
    assert np.array_equal(sample["image"], VALUES["image"])
    assert DataForGammaLearn()([]) == {"image": None, "mc_energy": None}


def test_examples_are_compared_with_their_description() -> None:
    class Wrong(Transform):
        def __call__(self, example: Any) -> Any:
            return [example[0].astype(float), *example[1:]]

    class Short(Transform):
        def __call__(self, example: Any) -> Any:
            return example[1:]

    with pytest.raises(ValueError, match="Wrong: image is described as float32"):
        _processed(Wrong())
    with pytest.raises(ValueError, match="Short: expected a list of 10 arrays"):
        _processed(Short())
    processor = DL1DataProcessor("mono", _described(), [Short()])
    assert len(processor.process(list(VALUES.values()))) == 9
