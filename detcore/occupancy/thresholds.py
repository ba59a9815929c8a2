"""The limits of the occupancy checks, kept in a file that a user can replace."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detcore.core.parameters import mapping_from_yaml

if TYPE_CHECKING:
    import os

Part = Annotated[float, Field(gt=0, lt=1)]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Thresholds(BaseModel):
    """Limits of `check` and `planes`; the values and their origin are in ``thresholds.yaml``.

    Examples
    --------
    >>> Thresholds.default().dead_expected
    10.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dead_expected: Annotated[Positive, Field(description="predicted hits that make an empty channel dead, hits")]
    low_ratio: Annotated[Part, Field(description="part of the neighbours' prediction below which a channel is low")]
    hot_ratio: Annotated[Factor, Field(description="times the neighbours' prediction above which a channel is hot")]
    sigma: Annotated[Positive, Field(description="distance from the neighbours of low and hot, standard deviations")]
    edge_ratio: Annotated[Factor, Field(description="times the plane's median above which its ends are reported")]
    dispersion: Annotated[float, Field(ge=1, le=1e6, description="variance of a count over its mean")]
    min_scatter: Annotated[Part, Field(description="relative difference between neighbours that is always allowed")]
    block: Annotated[int, Field(ge=2, description="dead channels in a row that are an error, channels")]
    plane_dead_ratio: Annotated[Part, Field(description="part of the predicted hits below which a plane is dead")]
    plane_dead_expected: Annotated[Positive, Field(description="predicted hits needed to call a plane dead, hits")]
    changed_sigma: Annotated[Positive, Field(description="distance from the reference, standard deviations")]
    changed_ratio: Annotated[Factor, Field(description="smallest change of a channel that is reported, up or down")]
    plane_changed_ratio: Annotated[Factor, Field(description="smallest change of a plane that is reported")]
    error_share: Annotated[float, Field(gt=0, le=1, description="part of bad channels that puts a plane in error")]

    @staticmethod
    @cache
    def default() -> Thresholds:
        """Return the built-in limits."""
        text = files("detcore.occupancy").joinpath("thresholds.yaml").read_text(encoding="utf-8")
        return Thresholds(**mapping_from_yaml(text))

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None) -> Thresholds:
        """Read limits from a YAML file; keys that it leaves out keep the built-in values.

        Raises
        ------
        ValueError
            The file is not a YAML mapping, a key is unknown or a value is out of range; names the file and the key.
        """
        if path is None:
            return cls.default()
        try:
            found = mapping_from_yaml(Path(path).read_text(encoding="utf-8-sig"))
        except ValueError as error:
            msg = f"{path}: {error}"
            raise ValueError(msg) from error
        try:
            return cls(**{**cls.default().model_dump(), **{str(key): value for key, value in found.items()}})
        except ValidationError as error:
            problems = "; ".join(_explain(problem["loc"], problem["msg"]) for problem in error.errors())
            msg = f"{path}: {problems}"
            raise ValueError(msg) from error


def _explain(location: tuple[int | str, ...], reason: str) -> str:
    key = str(location[0])
    if key not in Thresholds.model_fields:
        return f"unknown threshold {key!r}; known are {', '.join(Thresholds.model_fields)}"
    return f"{key}: {reason}"
