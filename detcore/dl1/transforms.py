"""What is done to examples before a network sees them: units, labels, forms.

An example is a list of arrays, and its description a list of dicts of the same order with ``name``, ``base_name``,
``tel_type``, ``shape`` and ``dtype``. A transform changes both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Example = Any  # a list of arrays, until a transform makes something else of it
    Description = list[dict[str, Any]]


class DL1DataProcessor:
    """A chain of transforms.

    Parameters
    ----------
    mode
        Of the reader: "mono", "stereo" or "multi-stereo".
    input_description
        Of examples before the first transform.
    transforms
        In their order.
    validate
        Compare each example with its description after each transform.
    """

    def __init__(
        self,
        mode: str,
        input_description: Description,
        transforms: Sequence[Transform] | None = None,
        validate: bool = False,
    ) -> None:
        self.mode, self.validate = mode, validate
        self.transforms = list(transforms or ())
        self.input_description = [dict(one) for one in input_description]
        description = [dict(one) for one in input_description]
        for transform in self.transforms:
            description = [dict(one) for one in transform.describe(description)]
        self.output_description = description

    def process(self, example: Example) -> Example:
        """Apply all transforms.

        Raises
        ------
        ValueError
            An example does not fit its description, if that is looked at.
        """
        for transform in self.transforms:
            example = transform(example)
            if self.validate:
                transform.validate(example)
        return example


class Transform:
    """Leaves examples as they are: the base of those that do something."""

    def __init__(self) -> None:
        self.description: Description = []

    def describe(self, description: Description) -> Description:
        """Take the description of what comes in; return that of what goes out."""
        self.description = description
        return self.description

    def __call__(self, example: Example) -> Example:
        """Return the example, changed."""
        return example

    def validate(self, example: Example) -> None:
        """Compare an example with the description.

        Raises
        ------
        ValueError
            Its length, shapes or types are others.
        """
        words = type(self).__name__
        if not isinstance(example, list) or len(example) != len(self.description):
            msg = f"{words}: expected a list of {len(self.description)} arrays, found {len(example)} of {type(example)}"
            raise ValueError(msg)
        for values, one in zip(example, self.description, strict=True):
            if values.shape != tuple(one["shape"]) or values.dtype != one["dtype"]:
                msg = (
                    f"{words}: {one['name']} is described as {one['dtype']} of shape {one['shape']}, "
                    f"found {values.dtype} of shape {values.shape}"
                )
                raise ValueError(msg)


class _Scaled(Transform):
    """Changes the values of some columns, and says so."""

    columns: ClassVar[tuple[str, ...]]
    unit: ClassVar[str]

    def describe(self, description: Description) -> Description:
        self.description = [
            {**one, "unit": self.unit} if one["base_name"] in self.columns else one for one in description
        ]
        return self.description

    def scaled(self, values: Any) -> Any:
        return values / 1000

    def __call__(self, example: Example) -> Example:
        return [
            np.asarray(self.scaled(values), one["dtype"]) if one["base_name"] in self.columns else values
            for values, one in zip(example, self.description, strict=True)
        ]


class EnergyToLog(_Scaled):
    """Energy becomes its decadic logarithm, of TeV."""

    columns = ("mc_energy", "true_energy")
    unit = "log(TeV)"

    def scaled(self, values: Any) -> Any:
        """Return the logarithm; -inf of 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)


class ImpactToKm(_Scaled):
    """The point where the shower axis meets the ground, in km."""

    columns = ("core_x", "core_y", "true_core_x", "true_core_y")
    unit = "km"


class XmaxToKm(_Scaled):
    """The depth of the shower maximum in thousands of g/cm2; the original calls that km."""

    columns = ("x_max", "true_x_max")
    unit = "kg/cm2"


class HfirstIntToKm(_Scaled):
    """The height of the first interaction, in km."""

    columns = ("h_first_int", "true_h_first_int")
    unit = "km"


class TelescopePositionToKm(_Scaled):
    """Positions of telescopes, in km."""

    columns = ("x", "y", "z")
    unit = "km"


class NormalizeTelescopePositions(Transform):
    """Positions of telescopes, divided by a length for each axis.

    Parameters
    ----------
    norm_x, norm_y, norm_z
        m, or whatever the positions are in.
    """

    def __init__(self, norm_x: float = 1.0, norm_y: float = 1.0, norm_z: float = 1.0) -> None:
        super().__init__()
        self.norms = {"x": norm_x, "y": norm_y, "z": norm_z}

    def __call__(self, example: Example) -> Example:
        """Return the example with the positions divided."""
        return [
            np.asarray(values / self.norms[one["base_name"]], one["dtype"])
            if one["base_name"] in self.norms
            else values
            for values, one in zip(example, self.description, strict=True)
        ]


class ConvertShowerPrimaryIDToClassLabel(Transform):
    """The primary particle becomes a class: 1 gamma, 0 proton (int8)."""

    columns = ("shower_primary_id", "true_shower_primary_id")

    def __init__(self) -> None:
        super().__init__()
        self.shower_primary_id_to_class = {0: 1, 101: 0}
        self.name = "class_label"
        self.dtype = np.dtype(np.int8)

    def describe(self, description: Description) -> Description:
        """Rename the column."""
        self.description = [
            {**one, "name": self.name, "dtype": self.dtype} if one["name"] in self.columns else one
            for one in description
        ]
        return self.description

    def __call__(self, example: Example) -> Example:
        """Return the example with the class.

        Raises
        ------
        ValueError
            The particle has no class.
        """
        return [
            self._label(values) if one["name"] == self.name and one["base_name"] in self.columns else values
            for values, one in zip(example, self.description, strict=True)
        ]

    def _label(self, values: Any) -> Any:
        number = int(values)
        if number not in self.shower_primary_id_to_class:
            msg = (
                f"no class for the primary particle {number}; classes are {self.shower_primary_id_to_class}: select "
                "events, for instance with '(shower_primary_id == 0) | (shower_primary_id == 101)', or add it to "
                "shower_primary_id_to_class"
            )
            raise ValueError(msg)
        return np.array(self.shower_primary_id_to_class[number], self.dtype)


class DataForGammaLearn(Transform):
    """An example becomes a dict: image, label (the simulated values), mc_energy, telescope (positions)."""

    def __init__(self) -> None:
        super().__init__()
        truth = ("energy", "core_x", "core_y", "alt", "az", "shower_primary_id", "x_max", "h_first_int")
        self.mc_infos = ["mc_energy", *truth[1:], *(f"true_{name}" for name in truth)]
        self.array_infos = ["x", "y", "z"]

    def describe(self, description: Description) -> Description:
        """Add a description of the label; which value is which is its ``label_description``."""
        self.description = list(description)
        labels = [one["base_name"] for one in description if one["base_name"] in self.mc_infos]
        if not labels:
            return self.description
        words = {"name": "label", "tel_type": None, "base_name": "label", "shape": None, "dtype": None}
        return [*self.description, {**words, "label_description": labels}]

    def validate(self, example: Example) -> None:
        """Nothing: a dict has no order that could be wrong."""

    def __call__(self, example: Example) -> dict[str, Any]:
        """Return the dict; what there is nothing of is left out (image and mc_energy: None)."""
        sample: dict[str, Any] = {"image": None, "mc_energy": None}
        labels, positions = [], []
        for values, one in zip(example, self.description, strict=False):
            if one["base_name"] == "image":
                sample["image"] = values
            elif one["base_name"] in self.mc_infos:
                labels.append(values)
                if one["base_name"] in ("mc_energy", "true_energy"):
                    sample["mc_energy"] = values
            elif one["base_name"] in self.array_infos:
                positions.append(values)
        if labels:
            sample["label"] = np.stack(labels)
        if positions:
            sample["telescope"] = np.stack(positions)
        return sample
