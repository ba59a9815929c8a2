"""The sections of a setup: frozen values, checked where they enter, ready for YAML.

Sections that stand for one of the known analysis functions carry that function's parameters under their known names, so
that ``Function(**section.parameters())`` is all that is needed to run it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.image.operations import Name
from detcore.image.region import AnyRegion

MAX_ROIS = 200
MAX_FUNCTIONS = 200


def _named(name: str) -> str:
    if not name.strip():
        msg = "a name with at least one visible character expected, found none"
        raise ValueError(msg)
    return name


def _is_pair(pair: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = pair
    if low is not None and high is not None and low > high:
        msg = f"low <= high expected, found {low} and {high}"
        raise ValueError(msg)
    return pair


Title = Annotated[Name, Field(min_length=1), AfterValidator(_named)]
Size = Annotated[int, Field(ge=1, le=1 << 28)]
Index = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[float, Field(gt=0)]
Limits = Annotated[tuple[float | None, float | None], AfterValidator(_is_pair)]
Bound = tuple[Index, Annotated[int, Field(ge=1, lt=2**31)]]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]
Orientation = Literal[1, 2, 3, 4, 5, 6, 7, 8]


class Section(BaseModel):
    """What all sections share: never changed, no unknown keys, no infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def parameters(self) -> dict[str, Any]:
        """Return the values that are given, under their names."""
        return {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name) is not None}


class DetectorSection(Section):
    """Which detector, and how its frames lie in the files.

    Parameters
    ----------
    name
        As the run calls it; none means the only one.
    type
        A key of the catalogue, or ``unknown``.
    shape
        (y, x) or (module, y, x) of a raw frame, px.
    asic
        (rows, columns) of one ASIC, px.
    pixel_size
        (y, x), m.
    orientation
        1 to 8 as in EXIF; 1 leaves the frames as they are.
    dataset
        Where the frames are in an HDF5 file.
    underload, saturation
        The lowest and the highest value that is still valid.
    """

    name: Name = ""
    type: Name = "unknown"
    shape: Annotated[tuple[Size, ...], Field(min_length=2, max_length=3)] | None = None
    asic: tuple[Size, Size] | None = None
    pixel_size: tuple[Positive, Positive] | None = None
    orientation: Orientation = 1
    dataset: Annotated[str, Field(max_length=1000)] | None = None
    underload: float | None = None
    saturation: float | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _is_pair((self.underload, self.saturation))
        if self.shape is not None and len(self.shape) == 3 and self.orientation != 1:
            msg = "frames of several modules are placed by their geometry; leave the orientation at 1"
            raise ValueError(msg)
        return self


class ProjectionSection(Section):
    """A sum or mean along an axis (projectionFunc).

    Parameters
    ----------
    axis
        The axis that vanishes; -1: all of them, which leaves one number.
    mean
        Whether the sum is divided by the number of valid pixels.
    thresADU
        Below it a pixel counts as 0; a pair is the range outside of which it does.
    thresRms
        The same in units of the noise of each pixel.
    singlePhoton
        Whether what is above the threshold counts as 1.
    """

    axis: Literal[-1, 0, 1, 2] = -1
    name: Name | None = None
    mean: bool = False
    thresADU: float | Limits | None = None
    thresRms: float | Limits | None = None
    singlePhoton: bool = False


class Roi(Section):
    """A region of interest.

    Parameters
    ----------
    name
        Used in the names of the results; one per setup.
    region
        Any shape, in image coordinates (x, y), px, or in those of `panel`.
    bounds
        Instead of `region`: half-open ranges on the raw axes, (row, column) or (module, row, column).
    panel
        The module that `region` belongs to; without it the region lies on the assembled image.
    area
        Whether the pixels themselves are kept for each event.
    calcPars
        Whether sum, mean, maximum and centre of mass are kept for each event.
    threshold
        Below it a pixel counts as 0; a pair is the range outside of which it does.
    projections
        Each is kept for each event.
    """

    name: Title
    region: AnyRegion | None = None
    bounds: Annotated[tuple[Bound, ...], Field(min_length=2, max_length=3)] | None = None
    panel: Index | None = None
    area: bool = False
    calcPars: bool = True
    threshold: float | Limits | None = None
    projections: Annotated[tuple[ProjectionSection, ...], Field(max_length=20)] = ()

    @field_validator("bounds")
    @classmethod
    def _has_a_size(cls, bounds: tuple[Bound, ...] | None) -> tuple[Bound, ...] | None:
        for first, end in bounds or ():
            if first >= end:
                msg = f"a first pixel before the end expected, found {first} to {end}"
                raise ValueError(msg)
        return bounds

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.region is None) == (self.bounds is None):
            msg = f"ROI {self.name!r}: either a region or bounds expected, found {'neither' if self.region is None else 'both'}"
            raise ValueError(msg)
        if self.bounds is not None and self.panel is not None:
            msg = f"ROI {self.name!r}: bounds are on the raw axes; write the panel as their first pair"
            raise ValueError(msg)
        return self


class CalibrationSection(Section):
    """Where the constants come from: a file, ``auto`` for what belongs to the run, or none."""

    pedestal: PathText | None = "auto"
    noise: PathText | None = "auto"
    gain: PathText | None = "auto"
    status: PathText | None = "auto"


class AzimuthalSection(AzimuthalOptions):
    """Azimuthal integration: how it is binned and corrected, and images that are subtracted and divided by."""

    dark: PathText | None = None
    flat: PathText | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the values that are given, under their names."""
        return {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name) is not None}


class DropletSection(Section):
    """Droplets and the photons in them (dropletFunc, droplet2Photons).

    Parameters
    ----------
    threshold, threshold_low
        A droplet has a pixel above the first, and grows to its neighbours above the second (default: the same).
    noise_units
        Whether they are in units of the noise of each pixel instead of ADU.
    min_sum
        Smaller droplets are dropped, ADU.
    max_pixels
        Larger ones are dropped, px.
    photon_adu
        ADU of one photon; with it, droplets become photons.
    """

    threshold: Positive = 5.0
    threshold_low: Positive | None = None
    noise_units: bool = True
    min_sum: float | None = None
    max_pixels: Size | None = None
    photon_adu: Positive | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.threshold_low is not None and self.threshold_low > self.threshold:
            msg = f"threshold_low <= threshold expected, found {self.threshold_low} and {self.threshold}"
            raise ValueError(msg)
        return self


class SpectrumSection(Section):
    """A histogram of pixel values (spectrumFunc): (low, high, count) of its bins, ADU."""

    bins: tuple[float, float, Size] = (0.0, 1000.0, 100)

    @field_validator("bins")
    @classmethod
    def _has_a_range(cls, bins: tuple[float, float, int]) -> tuple[float, float, int]:
        if not bins[0] < bins[1]:
            msg = f"(low, high, count) with low < high expected, found {bins}"
            raise ValueError(msg)
        return bins


class PhotonSection(Section):
    """Photons per pixel (photonFunc): ADU of one, the fraction that makes one with a neighbour, and a threshold."""

    ADU_per_photon: Positive = 154.0
    thr_fraction: Annotated[float, Field(gt=0, le=1)] = 0.9
    thresADU: float | None = None


class AutocorrelationSection(Section):
    """Spatial autocorrelation (Autocorrelation): value range, ROI by name, mask file, saved half sizes (y, x), px."""

    thresADU: Limits | None = None
    roi: Name | None = None
    mask: PathText | None = None
    save_range: tuple[Size, Size] = (50, 50)
    save_lineout: bool = False
    illumination_correction: bool = False


class RebinSection(Section):
    """Means of blocks (rebinFunc): the shape of the result, px."""

    shape: Annotated[tuple[Size, ...], Field(min_length=2, max_length=3)]


class SparsifySection(Section):
    """A list of the pixels that are not 0 (sparsifyFunc).

    Parameters
    ----------
    nData
        None for variable length, 0 for ragged, N for N entries, filled with 0 or cut.
    threshold
        Pixels below are left out, ADU.
    """

    nData: Annotated[int, Field(ge=0, le=1 << 28)] | None = None
    threshold: float | None = None


class ImageSection(Section):
    """The assembled image of each event (imageFunc), and its shape; with `coords` x, y its rows follow x, as LCLS has it."""

    coords: tuple[Name, Name] | None = None
    imgShape: tuple[Size, Size] | None = None


class FunctionSpec(Section):
    """A function that has no section of its own, or that works on another's result.

    Parameters
    ----------
    kind
        Its known name, for instance ``PolynomialCurveCorrection``.
    name
        Used in the names of the results; none takes the usual one.
    params
        Its parameters: numbers, text, lists; arrays as names of files.
    children
        Functions that get its result.
    """

    kind: Title
    name: Name = ""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    children: Annotated[tuple[FunctionSpec, ...], Field(max_length=MAX_FUNCTIONS)] = ()


class EventFilter(Section):
    """Which events count: those whose `field` is in [low, high], or outside of it with `invert`."""

    field: Title
    low: float | None = None
    high: float | None = None
    invert: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _is_pair((self.low, self.high))
        return self


class BackgroundSection(Section):
    """What is subtracted from each frame: an image from a file, or the mean of the shots without X-rays."""

    image: PathText | None = None
    dropped: bool = False
