"""The setup of an area detector in one file: what is drawn with the mouse, run by the command and read by a script.

Shapes stay shapes: nothing in it is a raster, so that everything can be moved after it was loaded again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from detcore.area.images.commonmode import CommonModeStep
from detcore.area.images.geometry import Geometry
from detcore.area.setup.setupsections import (
    MAX_FUNCTIONS,
    MAX_ROIS,
    AutocorrelationSection,
    AzimuthalSection,
    BackgroundSection,
    CalibrationSection,
    DetectorSection,
    DropletSection,
    EventFilter,
    FunctionSpec,
    ImageSection,
    PathText,
    PhotonSection,
    ProjectionSection,
    RebinSection,
    Roi,
    Section,
    SparsifySection,
    SpectrumSection,
)
from detcore.area.setup.setuptext import explained, values_from_text
from detcore.core.parameters import InvalidParameters, text_of
from detcore.core.paths import atomic
from detcore.image import AnyOperation, PixelMask
from detcore.image.operations import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detcore.image import Operation

VERSION: Final = 1
# Parameters of functions that hold an array; in a setup, the name of its file.
FILE_PARAMETERS: Final = {
    "userMask", "roi_mask", "mask", "poni_file", "gainImg", "darkImg", "basis_file", "correction", "file", "x", "y", "xArr",
    "yArr", "basis", "illumination_correction",
}  # fmt: skip
MAX_BYTES: Final = 10_000_000
PsanaOption = Literal["calib", "status", "edges", "central", "unbond", "unbondnbrs", "unbondnbrs8"]


class Setup(Section):
    r"""Everything that is decided about one detector before its run is reduced.

    Parameters
    ----------
    version
        Of the file; a newer one is refused.
    detector, geometry, calibration
        What it is, where it is, and its constants.
    mask, psana_options, mask_image
        Operations in order, the masks that come with the run, and the file of the image that thresholds look at.
    rois
        Named regions, each summed for each event.
    common_mode
        A number of the known presets, a list of steps, or none for the default of the detector.
    functions
        Analysis functions that have no section of their own.
    sums
        What is summed over the run, under the known names, for instance ``calib`` or ``calib_dropped_square``.
    filters, background
        Which events count, and what is subtracted from each.

    Examples
    --------
    >>> text = "mask: [{kind: edges, width: 2}]\nrois: [{name: spot, region: {kind: ellipse, x: 9, y: 9, a: 2, b: 5}}]"
    >>> setup = Setup.from_yaml(text)
    >>> setup.mask[0].width, setup.rois[0].name, Setup.from_yaml(setup.to_yaml()) == setup
    (2, 'spot', True)
    """

    version: Literal[1] = VERSION
    detector: DetectorSection = DetectorSection()
    geometry: Geometry | None = None
    mask: Annotated[tuple[AnyOperation, ...], Field(max_length=1000)] = ()
    psana_options: Annotated[tuple[PsanaOption, ...], Field(max_length=7)] = ()
    mask_image: PathText | None = None
    rois: Annotated[tuple[Roi, ...], Field(max_length=MAX_ROIS)] = ()
    common_mode: int | Annotated[tuple[CommonModeStep, ...], Field(max_length=100)] | None = None
    calibration: CalibrationSection = CalibrationSection()
    azimuthal: AzimuthalSection | None = None
    droplets: DropletSection | None = None
    spectrum: SpectrumSection | None = None
    projection: ProjectionSection | None = None
    photons: PhotonSection | None = None
    autocorrelation: AutocorrelationSection | None = None
    rebin: RebinSection | None = None
    sparsify: SparsifySection | None = None
    image: ImageSection | None = None
    functions: Annotated[tuple[FunctionSpec, ...], Field(max_length=MAX_FUNCTIONS)] = ()
    sums: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    filters: Annotated[tuple[EventFilter, ...], Field(max_length=100)] = ()
    background: BackgroundSection = BackgroundSection()

    @field_validator("rois")
    @classmethod
    def _told_apart(cls, rois: tuple[Roi, ...]) -> tuple[Roi, ...]:
        names = [roi.name for roi in rois]
        again = sorted({name for name in names if names.count(name) > 1})
        if again:
            msg = f"two ROIs are called {again[0]!r:.80}; rename one of them"
            raise ValueError(msg)
        return rois

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = {roi.name for roi in self.rois}
        wanted = self.autocorrelation.roi if self.autocorrelation else None
        if wanted and wanted not in names:
            msg = f"autocorrelation: no ROI is called {wanted!r:.80}; there are: {', '.join(sorted(names)) or 'none'}"
            raise ValueError(msg)
        return self

    @property
    def pixel_mask(self) -> PixelMask:
        """The operations as a mask that can be rastered, written and edited."""
        return PixelMask(shape=self.detector.shape, operations=self.mask)

    @property
    def image_steps(self) -> tuple[Operation, ...]:
        """The steps of the mask that look at an image of the run: thresholds, and what is not finite."""
        return tuple(one for one in self.mask if one.enabled and getattr(one, "image", None) == "image")

    def without_image_steps(self) -> Setup:
        """Return the setup with a mask that can be made before there is an image."""
        looking = self.image_steps
        return self.with_mask([one for one in self.mask if one not in looking]) if looking else self

    def with_(self, **changes: Any) -> Setup:
        """Return the setup with other sections, checked as a whole.

        Raises
        ------
        InvalidParameters
            A section is unknown or does not fit.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields} | changes
        return _built(values)

    def with_mask(self, operations: Sequence[Operation]) -> Setup:
        """Return the setup with another list of mask operations."""
        return self.with_(mask=tuple(operations))

    def files(self) -> tuple[str, ...]:
        """Return the names of all files that it refers to, so that a server can confine them before it opens any."""
        found: list[str] = []

        def noted(path: str) -> str:
            found.append(path)
            return path

        _with_paths(self, noted)
        return tuple(found)

    def to_yaml(self) -> str:
        """Return the setup as YAML: sections that are given, each with all of its values.

        Values that equal today's default are written too, so that another default tomorrow does not change them.
        """
        kept = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name != "version" and (value is None or value == type(self).model_fields[name].default):
                continue
            kept[name] = _plain(value)
        return text_of(kept)

    @classmethod
    def from_yaml(cls, text: str) -> Setup:
        """Build from YAML that `to_yaml` gave or that somebody typed.

        Raises
        ------
        InvalidParameters
            It is no YAML, has a key twice or an unknown one, comes from a newer version, or a value is wrong. All
            wrong keys are named with the nearest known name.
        """
        return _built(values_from_text(text))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Setup:
        """Read a file; the files that it names are found from its folder.

        Raises
        ------
        OSError
            It cannot be read.
        InvalidParameters
            It is no setup; begins with the name of the file.
        """
        place = Path(path)
        with place.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        try:
            if len(raw) > MAX_BYTES:
                msg = f"expected at most {MAX_BYTES:,} bytes of setup, found more; save rasters as files of their own"
                raise InvalidParameters(msg)  # noqa: TRY301 - the name is added below
            setup = cls.from_yaml(raw.decode("utf-8-sig"))
        except UnicodeDecodeError:
            msg = f"{place}: expected a setup as YAML text, found bytes that are not text"
            raise InvalidParameters(msg) from None
        except InvalidParameters as error:
            msg = f"{place}: {error}"
            raise InvalidParameters(msg) from None
        folder = place.absolute().parent
        return _with_paths(setup, lambda name: os.path.normpath(folder / name))

    def save(self, path: str | os.PathLike[str], head: str = "") -> None:
        """Write a file in one step; what lies in its folder is named from there, so that both can be moved together.

        `head` is written above it: lines of comments, for instance where it comes from.
        """
        folder = Path(path).absolute().parent
        setup = _with_paths(self, lambda name: _beside(name, folder))
        with atomic(path) as aside:
            aside.write_text(head + setup.to_yaml(), encoding="utf-8")


def _built(values: dict[str, Any]) -> Setup:
    version = values.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        msg = f"the setup is of version {version}, this program reads up to {VERSION}; update detcore, or save it older"
        raise InvalidParameters(msg)
    try:
        return Setup.model_validate(values)
    except ValidationError as error:
        raise InvalidParameters(explained(error, Setup)) from None


def _plain(value: Any) -> Any:
    """Return YAML's types, without the fields of sections that are none."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            name: _plain(one)
            for name in fields
            if (one := getattr(value, name)) is not None or _has_value(fields[name])
        }
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _has_value(field: Any) -> bool:
    """Answer whether leaving the field out would mean something else than none."""
    return field.get_default(call_default_factory=True) is not None


def _beside(name: str, folder: Path) -> str:
    place = Path(os.path.normpath(name))
    return os.fspath(place.relative_to(folder)) if place.is_relative_to(folder) else name


def _with_paths(setup: Setup, change: Callable[[str], str]) -> Setup:
    """Return the setup with every name of a file changed; ``auto`` is none."""

    def changed(section: Any, *names: str) -> Any:
        found = {
            name: value
            for name in names
            if section is not None and (value := getattr(section, name)) not in (None, "auto")
        }
        return section.model_copy(update={name: change(value) for name, value in found.items()}) if found else section

    def changed_function(spec: FunctionSpec) -> FunctionSpec:
        params = {
            name: change(value) if name in FILE_PARAMETERS and isinstance(value, str) else value
            for name, value in spec.params.items()
        }
        return spec.model_copy(update={"params": params, "children": tuple(map(changed_function, spec.children))})

    return setup.model_copy(
        update={
            "calibration": changed(setup.calibration, "pedestal", "noise", "gain", "status"),
            "background": changed(setup.background, "image"),
            "azimuthal": changed(setup.azimuthal, "dark", "flat"),
            "autocorrelation": changed(setup.autocorrelation, "mask"),
            "functions": tuple(map(changed_function, setup.functions)),
            "mask_image": None if setup.mask_image is None else change(setup.mask_image),
            "mask": tuple(changed(one, "path") if one.kind == "file" else one for one in setup.mask),
        }
    )
