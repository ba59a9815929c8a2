"""Limits and regions in one small file: what is set up with the mouse, the command line and a script read unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator

from detcore.core.parameters import InvalidParameters, mapping_from_yaml, text_of
from detcore.eiger.reductions import MAX_REGIONS, Limits, NamedRegion

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from detcore.image.region import Region

MAX_BYTES: Final = 10_000_000  # 32 polygons of 10,000 vertices


class Setup(Limits):
    r"""Limits with the regions that are summed.

    Examples
    --------
    >>> setup = Setup.from_yaml("high: 9\nregions: [{name: a, region: {kind: ellipse, x: 9, y: 9, a: 2, b: 5}}]")
    >>> setup.high, setup.regions[0].name, Setup.from_yaml(setup.to_yaml()) == setup
    (9, 'a', True)
    """

    regions: tuple[NamedRegion, ...] = Field(
        (), max_length=MAX_REGIONS - 1, description="Regions beside the whole frame"
    )

    @field_validator("regions")
    @classmethod
    def _told_apart(cls, regions: tuple[NamedRegion, ...]) -> tuple[NamedRegion, ...]:
        names = [one.name for one in regions]
        again = sorted({name for name in names if names.count(name) > 1})
        if again:
            msg = f"two regions are called {again[0]!r:.80}; rename one of them"
            raise ValueError(msg)
        return regions

    def to_yaml(self) -> str:
        """Return limits and regions as YAML; the limits always, so that later defaults do not change them."""
        values = {name: getattr(self, name) for name in Limits.model_fields}
        values["regions"] = [{"name": one.name, "region": one.region.to_dict()} for one in self.regions]
        return text_of(values)

    @property
    def limits(self) -> Limits:
        """The limits alone."""
        return Limits(**{name: getattr(self, name) for name in Limits.model_fields})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Setup:
        """Read a file.

        Raises
        ------
        OSError
            It cannot be read.
        InvalidParameters
            It is no setup; begins with the name of the file and says which key is wrong.
        """
        place = Path(path)
        with place.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        try:
            if len(raw) > MAX_BYTES:
                msg = f"expected at most {MAX_BYTES:,} bytes of limits and regions, found more"
                raise InvalidParameters(msg)  # noqa: TRY301 - the name is added below
            return cls.checked(mapping_from_yaml(raw.decode("utf-8-sig")))
        except UnicodeDecodeError:
            msg = f"{place}: expected limits and regions as YAML text, found bytes that are not text"
            raise InvalidParameters(msg) from None
        except InvalidParameters as error:
            msg = f"{place}: {error}"
            raise InvalidParameters(msg) from None


def setup_text(limits: Limits, regions: Sequence[Region | NamedRegion]) -> str:
    """Return limits and regions as YAML, as the command line reads them.

    Parameters
    ----------
    limits
        Which values count.
    regions
        Those without a name are called region 1, region 2, ….
    """
    named = [
        one if isinstance(one, NamedRegion) else NamedRegion(name=f"region {number}", region=one)
        for number, one in enumerate(regions, 1)
    ]
    values = {name: getattr(limits, name) for name in Limits.model_fields}
    return Setup(**values, regions=tuple(named)).to_yaml()
