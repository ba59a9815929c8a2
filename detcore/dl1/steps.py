"""Filters of images, and what is calculated of each image. `Cuts` is the one model that every front end shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
import xarray as xr
from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import override

from detcore.core.parameters import Parameters
from detcore.core.schema import EVENT, require
from detcore.core.steps import Step
from detcore.dl1.columns import CALCULATED, TABLE, camera_of
from detcore.dl1.expression import evaluate, names
from detcore.dl1.files.model import PARTICLES, PIXEL
from detcore.dl1.images import cleaning
from detcore.dl1.images.parameters import parameter_columns

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera

CAMERA_FRAME: Final = "camera_frame_"


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(":", ",").split(",") if part.strip())
    return (value,) if isinstance(value, int) else value


Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers)]
"""Several whole numbers; as text they are separated by commas."""


class EventCuts(Parameters):
    """Which images are looked at, by what is known of them before they are cleaned."""

    telescopes: Numbers = Field((), description="Only these telescopes, by their numbers", max_length=10000)
    energy_min: float | None = Field(None, ge=0, description="Smallest true energy, TeV (inclusive)")
    energy_max: float | None = Field(None, ge=0, description="Largest true energy, TeV (inclusive)")
    multiplicity_min: int | None = Field(None, ge=0, description="At least so many telescopes in the event")
    multiplicity_max: int | None = Field(None, ge=0, description="At most so many telescopes in the event")
    particle: Numbers = Field(
        (), description="Only these particles: 0 gamma, 1 electron, 101 proton, 402 helium, …", max_length=64
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, low, high in (
            ("energy", self.energy_min, self.energy_max),
            ("multiplicity", self.multiplicity_min, self.multiplicity_max),
        ):
            if low is not None and high is not None and low > high:
                msg = f"{name}_min is {low:g} and {name}_max {high:g}; expected {name}_min <= {name}_max"
                raise ValueError(msg)
        return self

    def of_events(self) -> tuple[Step, ...]:
        """Return the filter by what is known of an image before it is cleaned; none if all are meant."""
        chosen = Chosen(**{name: getattr(self, name) for name in EventCuts.model_fields})
        return (chosen,) if chosen.changed() else ()

    def event_words(self) -> list[str]:
        """Return the cuts as words for people, one for each."""
        parts = []
        if self.telescopes:
            shown = ", ".join(map(str, self.telescopes[:8])) + (", …" if len(self.telescopes) > 8 else "")
            parts.append(f"telescope{'s' if len(self.telescopes) > 1 else ''} {shown}")
        parts += _range("E", "TeV", self.energy_min, self.energy_max)
        parts += _range("multiplicity", "", self.multiplicity_min, self.multiplicity_max)
        parts += [" or ".join(PARTICLES.get(code, f"particle {code}") for code in self.particle)] * bool(self.particle)
        return parts


class Cleaning(Parameters):
    """Which pixels of an image count as light."""

    cleaning: Literal["tailcuts", "file", "none"] = Field(
        "tailcuts",
        description="tailcuts: two thresholds; file: as the file has it; none: all pixels, "
        "which leaves nothing of images with a negative charge",
    )
    picture: float = Field(10.0, ge=0, description="Charge of a pixel that counts by itself, p.e.", allow_inf_nan=False)
    boundary: float = Field(
        5.0, ge=0, description="Charge of a pixel that counts as its neighbour, p.e.", allow_inf_nan=False
    )
    min_neighbors: int = Field(2, ge=0, le=6, description="Neighbours above picture that such a pixel needs")
    time_limit: float | None = Field(
        None,
        gt=0,
        description="Drop pixels without a neighbour in time, ns (or samples, as the file has them)",
        allow_inf_nan=False,
    )
    main_island: bool = Field(False, description="Keep only the group of pixels with the most light")

    def words_of_cleaning(self) -> str:
        """Return the cleaning as words for people.

        Examples
        --------
        >>> Cleaning(main_island=True).words_of_cleaning()
        'tail-cuts 10/5 p.e., 2 neighbours, main island'
        """
        parts = {
            "tailcuts": f"tail-cuts {self.picture:g}/{self.boundary:g} p.e., {self.min_neighbors} neighbours",
            "file": "cleaning of the file",
            "none": "no cleaning",
        }[self.cleaning]
        if self.time_limit is not None:
            parts += f", neighbours within {self.time_limit:g} ns"
        return parts + (", main island" if self.main_island else "")


class ImageCuts(Parameters):
    """Which images are looked at, by what is calculated of them."""

    min_intensity: float | None = Field(
        None, description="At least so much charge after cleaning, p.e.", allow_inf_nan=False
    )
    min_pixels: int | None = Field(None, ge=0, description="At least so many pixels after cleaning")
    expression: str = Field(
        "", description="Condition on image parameters: (hillas_width > 0.05) & (leakage_pixels_width_1 < 0.2)"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted(self.columns() - set(TABLE))
        if unknown:
            msg = f"expression: there is no column {unknown[0]!r}; there are {', '.join(TABLE)}"
            raise ValueError(msg)
        return self

    def columns(self) -> frozenset[str]:
        """Return the columns that the expression names."""
        return frozenset(names(self.expression)) if self.expression.strip() else frozenset()

    def of_images(self) -> tuple[Step, ...]:
        """Return the filter by what is calculated of an image; none if all are meant."""
        passing = Passing(**{name: getattr(self, name) for name in ImageCuts.model_fields})
        return (passing,) if passing.changed() else ()

    def image_words(self) -> list[str]:
        """Return the cuts as words for people, one for each."""
        parts = [] if self.min_intensity is None else [f"intensity >= {self.min_intensity:g} p.e."]
        parts += [] if self.min_pixels is None else [f"{self.min_pixels} pixels or more"]
        return [*parts, *([self.expression.strip()] if self.expression.strip() else [])]


class Cuts(EventCuts, Cleaning, ImageCuts):
    """Cleaning and cuts: what the commands, the reductions and the tab share."""

    occupancy_above: float = Field(
        10.0, description="A pixel above this counts for occupancy and times, p.e.", allow_inf_nan=False
    )

    def parametrised(self) -> Parametrised:
        """Return the step that cleans images and finds their parameters."""
        return Parametrised(**{name: getattr(self, name) for name in Cleaning.model_fields})

    def steps(self) -> tuple[Step, ...]:
        """Return all that leads to the images that are looked at, with their parameters."""
        return (*self.of_events(), self.parametrised(), *self.of_images())

    def words(self) -> str:
        """Return cleaning and cuts as a line for people.

        Examples
        --------
        >>> Cuts(energy_min=1, particle="0", min_pixels=5).words()
        'tail-cuts 10/5 p.e., 2 neighbours; E >= 1 TeV; gamma; 5 pixels or more'
        """
        return "; ".join([self.words_of_cleaning(), *self.event_words(), *self.image_words()])


class Chosen(EventCuts, Step):
    """Keeps images by telescope, true energy and particle, and by how many telescopes saw the event."""

    @override
    def needs(self) -> frozenset[str]:
        asked = {
            "tel_id": self.telescopes,
            "true_energy": (self.energy_min, self.energy_max) != (None, None),
            "multiplicity": (self.multiplicity_min, self.multiplicity_max) != (None, None),
            "particle": self.particle,
        }
        return frozenset(name for name, wanted in asked.items() if wanted)

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, self.needs(), "the cuts on events")
        keep = np.ones(chunk.sizes[EVENT], np.bool_)
        for name, low, high in (
            ("true_energy", self.energy_min, self.energy_max),
            ("multiplicity", self.multiplicity_min, self.multiplicity_max),
        ):
            if low is not None:
                keep &= chunk.variables[name].values >= low
            if high is not None:
                keep &= chunk.variables[name].values <= high
        for name, codes in (("tel_id", self.telescopes), ("particle", self.particle)):
            if codes:
                keep &= np.isin(chunk.variables[name].values, codes)
        return keep_images(chunk, keep)


class Parametrised(Cleaning, Step):
    """Adds `selected` (event, pixel), the pixels after cleaning, and the parameters of each image.

    Those of `image_parameters` in the telescope frame (degrees), and n_pixels and n_islands, which are 0 for empty images.
    Of cameras without a focal length lengths are in m, and hillas_x and hillas_y stand for hillas_fov_lon and
    hillas_fov_lat.
    """

    @override
    def needs(self) -> frozenset[str]:
        return frozenset({"image", "peak_time", *(["image_mask"] if self.cleaning == "file" else [])})

    @override
    def gives(self) -> frozenset[str]:
        return frozenset({"selected", *CALCULATED})

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, {"image"}, "the parameters of images")
        camera = camera_of(chunk)
        images = chunk.variables["image"].values
        times, mask = (
            chunk.variables[name].values if name in chunk.variables else None for name in ("peak_time", "image_mask")
        )
        selected = clean(images, times, mask, camera, self)
        in_degrees = camera.focal_length > 0
        found = parameter_columns(images, times, selected, camera, "telescope" if in_degrees else "camera")
        data = {name.removeprefix(CAMERA_FRAME): column for name, column in found.items()}
        unit = chunk.attrs.get("time_unit", "ns")
        if unit != "ns":
            for _, _, attrs in data.values():
                attrs["units"] = attrs["units"].replace("ns", unit)
        n_pixels = selected.sum(axis=1, dtype=np.int64)
        n_islands = data["morphology_n_islands"][1].copy()
        odd = n_islands < 0  # images of which there are no parameters
        if odd.any():
            n_islands[odd] = cleaning.islands(selected[odd], camera)[1]
        data |= {
            "n_pixels": (EVENT, n_pixels, {"units": "", "long_name": "pixels after cleaning"}),
            "n_islands": (EVENT, n_islands, {"units": "", "long_name": "groups of pixels that touch"}),
            "selected": ((EVENT, PIXEL), selected),
        }
        return xr.Dataset({**chunk.variables, **data}, attrs=chunk.attrs)


class Passing(ImageCuts, Step):
    """Keeps images by what `Parametrised` has found of them."""

    @override
    def needs(self) -> frozenset[str]:
        found = set(self.columns())
        found |= {"hillas_intensity"} if self.min_intensity is not None else set()
        return frozenset(found | ({"n_pixels"} if self.min_pixels is not None else set()))

    @override
    def apply(self, chunk: xr.Dataset) -> xr.Dataset:
        require(chunk, self.needs(), "the cuts on images")
        n = chunk.sizes[EVENT]
        keep = np.ones(n, np.bool_)
        if self.min_intensity is not None:
            keep &= chunk.variables["hillas_intensity"].values >= self.min_intensity
        if self.min_pixels is not None:
            keep &= chunk.variables["n_pixels"].values >= self.min_pixels
        if self.expression.strip():
            keep &= evaluate(self.expression, {name: chunk.variables[name].values for name in self.columns()}, n)
        return keep_images(chunk, keep)


def clean(
    images: NDArray[Any],
    peak_times: NDArray[Any] | None,
    image_mask: NDArray[np.bool_] | None,
    camera: Camera,
    cuts: Cleaning,
) -> NDArray[np.bool_]:
    """Return which pixels count as light.

    Parameters
    ----------
    images, peak_times
        (event, pixel) or (pixel,), p.e. and ns.
    image_mask
        The same shape, bool: the file's own cleaning; None if it has none.
    camera
        Whose pixels these are.
    cuts
        How to clean.

    Returns
    -------
    ndarray
        Shape of `images`, bool.

    Raises
    ------
    ValueError
        The file has no cleaning, or no times, and they are asked for.
    """
    if cuts.cleaning == "file":
        if image_mask is None:
            msg = "the file holds no cleaning of its own (image_mask); choose cleaning=tailcuts"
            raise ValueError(msg)
        selected = np.asarray(image_mask)
    elif cuts.cleaning == "none":
        selected = np.ones(np.shape(images), np.bool_)
    else:
        selected = cleaning.tailcuts(images, camera, cuts.picture, cuts.boundary, cuts.min_neighbors)
    if cuts.time_limit is not None:
        if peak_times is None:
            msg = "the file holds no peak times; leave time_limit out"
            raise ValueError(msg)
        selected = cleaning.time_cleaning(selected, peak_times, camera, 1, cuts.time_limit)
    return cleaning.main_island(selected, camera, images) if cuts.main_island else selected


def keep_images(chunk: xr.Dataset, keep: NDArray[np.bool_]) -> xr.Dataset:
    """Return the chunk with only some images. keep is (event)."""
    if keep.all():
        return chunk
    data = {
        name: (one.dims, one.values[keep], one.attrs) if one.dims[:1] == (EVENT,) else one
        for name, one in chunk.variables.items()
    }
    return xr.Dataset(data, attrs=dict(chunk.attrs))


def _range(name: str, unit: str, low: float | None, high: float | None) -> list[str]:
    after = f" {unit}" if unit else ""
    if low is not None and high is not None:
        return [f"{name} {low:g}{after}" if low == high else f"{name} {low:g} to {high:g}{after}"]
    if low is not None:
        return [f"{name} >= {low:g}{after}"]
    return [f"{name} <= {high:g}{after}"] if high is not None else []
