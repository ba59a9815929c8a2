"""From a setup to an event loop: a detector with its constants and masks, and the functions that the setup asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from detcore.area import functions
from detcore.area.detector import psana_mask
from detcore.area.files.calibfiles import read_calibration
from detcore.area.functions import DetObject, DetObjectFunc
from detcore.area.imagefiles import read_array, read_image, with_arrays
from detcore.area.images.azimuthal import AzimuthalMap
from detcore.area.integration import settings
from detcore.image import Panels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detcore.area.detector import Detector
    from detcore.area.functions import DetObjectClass
    from detcore.area.images.azimuthaloptions import AzimuthalOptions
    from detcore.area.images.geometry import Geometry
    from detcore.area.setup.setupfile import Setup
    from detcore.area.setup.setupsections import FunctionSpec, Roi

CONSTANTS = ("pedestal", "noise", "gain", "status")
SECTIONS = {  # section of a setup -> the function that it is
    "spectrum": "spectrumFunc",
    "projection": "projectionFunc",
    "photons": "photonFunc",
    "rebin": "rebinFunc",
    "sparsify": "sparsifyFunc",
    "image": "imageFunc",
}


class ProfileFunc(DetObjectFunc):
    """The azimuthal profile of each event: `azav`, with `error` and `n_valid` beside it.

    Parameters
    ----------
    geometry, options
        Of the integration.
    dark, flat
        Subtracted and divided by; the shape of a frame.
    """

    def __init__(
        self,
        geometry: Geometry,
        options: AzimuthalOptions,
        name: str = "azav",
        dark: NDArray[Any] | None = None,
        flat: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(name=name)
        self._geometry, self._options, self._dark, self._flat = geometry, options, dark, flat

    def prepare(self) -> None:
        """Find the bin of each pixel."""
        detector = self._det.detector
        target = detector if detector.tiled else detector.shape
        good = self._pixels.good(None, detector.shape, self._name)
        self._map = AzimuthalMap.of(
            self._geometry, target, self._options, good=None if good is None else good != 0, flat=self._flat
        )
        setattr(self, {"2theta": "theta"}.get(self._options.unit, self._options.unit), self._map.centres)
        self.qbins = self._map.edges
        self.phiVec = np.append(self._map.starts, self._map.starts[-1] + self._map.widths[-1])

    @override
    def remark(self) -> str:
        return "" if self._map.counts.any() else "all pixels are masked: the profile is nan; look at the mask"

    def process(self, data: Any) -> dict[str, Any]:
        """Return the profile of one frame."""
        values = data.filled(np.nan) if isinstance(data, np.ma.MaskedArray) else data
        if self._dark is not None:
            values = values - self._dark
        intensity, error, valid = self._map.sums(values)
        shape = (len(self._map.starts), self._map.n_bins) if self._options.sectored else (self._map.n_bins,)
        found = {"azav": intensity.reshape(shape).astype(np.float32), "n_valid": valid.reshape(shape).astype(np.int32)}
        if error is not None:
            found["error"] = error.reshape(shape).astype(np.float32)
        self.dat = found["azav"]
        return self.with_children(found)


def prepared(detector: Detector, setup: Setup, image: NDArray[Any] | None = None) -> Detector:
    """Return a detector with the facts, constants and mask of a setup.

    Parameters
    ----------
    detector
        As a source knows it.
    setup
        Its facts replace those of the source where it gives any.
    image
        The image that steps of the mask look at, see `masked`.

    Raises
    ------
    ValueError
        The setup is of another detector: its shape or orientation is not that of the frames.
    """
    suited(detector, setup)
    section = setup.detector
    facts: dict[str, Any] = {
        name: value
        for name in ("name", "asic", "pixel_size", "saturation", "underload")
        if (value := getattr(section, name)) not in (None, "")
    }
    if section.type != "unknown":
        facts["type"] = section.type
    if setup.geometry is not None:
        facts |= {"centre": (setup.geometry.x, setup.geometry.y)}
        facts |= {
            name: value for name in ("distance", "energy") if (value := getattr(setup.geometry, name)) is not None
        }
    for name in CONSTANTS:
        wanted = getattr(setup.calibration, name)
        if wanted != "auto":
            facts[name] = None if wanted is None else read_calibration(wanted, detector, name)
    found = detector.with_(**facts)
    return found if not setup.mask else found.with_(pixel_mask=masked(found, setup, image))


def suited(detector: Detector, setup: Setup) -> None:
    """Raise a ValueError if a setup is of another detector: its shape or orientation is not that of the frames."""
    section = setup.detector
    if section.shape is not None and tuple(section.shape) != detector.shape:
        msg = f"{detector.name}: the setup is for frames of {tuple(section.shape)}, these are {detector.shape}"
        raise ValueError(msg)
    if section.orientation != detector.orientation:
        msg = (
            f"{detector.name}: the setup is for orientation {section.orientation}, the frames were opened with "
            f"{detector.orientation}; open them with orientation={section.orientation}"
        )
        raise ValueError(msg)


def masked(detector: Detector, setup: Setup, image: NDArray[Any] | None = None) -> NDArray[np.uint32]:
    """Return the pixel mask of a detector with the operations of a setup, raw shape, NXmx bits.

    Parameters
    ----------
    detector, setup
        Whose.
    image
        The image that thresholds look at, raw shape or assembled. None: that of the setup; without one, steps that
        look at an image are left out.
    """
    if image is None and setup.mask_image is not None and setup.image_steps:
        image = read_image(setup.mask_image)
        if detector.tiled and image.shape != detector.image_shape:
            image = read_image(setup.mask_image, detector.shape)
    if image is None:
        setup = setup.without_image_steps()
    found = np.zeros(detector.shape, np.uint32) if detector.pixel_mask is None else detector.pixel_mask.copy()
    if not setup.mask:
        return found
    # Constants with all gains: steps may choose from them.
    given = {"image": image, **{name: getattr(detector, name) for name in ("noise", "pedestal", "status")}}
    arrays = {"pixel_mask": found, **{name: values for name, values in given.items() if values is not None}}
    places = {"iy": detector.map.iy, "ix": detector.map.ix} if detector.tiled else {}
    panels = Panels(**places, asic=detector.asic)
    return setup.pixel_mask.raster(detector.shape, arrays=arrays, panels=panels, start=found)


def good_of(detector: Detector, setup: Setup) -> NDArray[np.uint8]:
    """Return uint8, raw shape, 1 good: what status, masks and the psana options of a setup leave.

    Parameters
    ----------
    detector
        With the facts of the setup, see `prepared`.
    setup
        Whose options count.
    """
    options: dict[str, Any] = dict.fromkeys((*setup.psana_options, "status", "calib"), True)
    return psana_mask(detector, **options)


def event_loop(detector: Detector, setup: Setup, run: Any = None, image: NDArray[Any] | None = None) -> DetObjectClass:
    """Return a detector with the functions and sums that a setup asks for; `getData`, `processFuncs`, `results` do the work.

    Parameters
    ----------
    detector
        As a source knows it, see `prepared`.
    setup
        What to compute.
    run
        Number or name, kept as it is.
    image
        The image that steps of the mask look at, see `masked`.

    Raises
    ------
    ValueError
        The setup does not fit the detector, or a function does not exist.
    """
    known = prepared(detector, setup, image)
    det: Any = DetObject(known.name, known, run, common_mode=setup.common_mode)
    # one mask for every function, as it is drawn: some functions look at `mask`, others at `cmask` too
    det.mask = good_of(known, setup)
    det.setcMask(det.mask)
    for func in functions_of(setup, known):
        det.addFunc(func)
    for name in setup.sums:
        det.storeSum(name)
    return det  # type: ignore[no-any-return]


def functions_of(setup: Setup, detector: Detector) -> list[DetObjectFunc]:
    """Return the functions that a setup asks for, not yet added to a detector.

    Parameters
    ----------
    setup
        What to compute.
    detector
        With the facts of the setup, see `prepared`.

    Raises
    ------
    ValueError
        A function does not exist, or the azimuthal integration lacks its geometry.
    """
    found: list[DetObjectFunc] = [_roi(roi) for roi in setup.rois]
    if setup.azimuthal is not None:
        found.append(_profile(setup, detector))
    if setup.droplets is not None:
        found.append(_droplets(setup.droplets))
    for section, kind in SECTIONS.items():
        if (values := getattr(setup, section)) is not None:
            found.append(function_named(kind)(**values.parameters()))
    if setup.autocorrelation is not None:
        found.append(_autocorrelation(setup))
    return [*found, *(_specified(one, detector.shape) for one in setup.functions)]


def function_named(kind: str) -> Callable[..., DetObjectFunc]:
    """Return an analysis function by its known name.

    Raises
    ------
    ValueError
        There is none; lists those that there are.
    """
    known = {
        name: one
        for name, one in vars(functions).items()
        if isinstance(one, type) and issubclass(one, DetObjectFunc) and one is not DetObjectFunc
    }
    if kind not in known:
        msg = f"no analysis function {kind!r:.80}; known: {', '.join(sorted(known))}"
        raise ValueError(msg)
    return known[kind]


def _roi(roi: Roi) -> DetObjectFunc:
    func = functions.ROIFunc(
        ROI=None if roi.bounds is None else [list(pair) for pair in roi.bounds],
        name=roi.name,
        writeArea=roi.area,
        calcPars=roi.calcPars,
        thresADU=roi.threshold,
        region=roi.region,
        panel=roi.panel,
    )
    for projection in roi.projections:
        func.addFunc(functions.projectionFunc(**projection.parameters()))
    return func


def _profile(setup: Setup, detector: Detector) -> DetObjectFunc:
    geometry, options = settings(setup, detector, np.dtype(np.float32), {})
    assert setup.azimuthal is not None
    paths = {"dark": setup.azimuthal.dark, "flat": setup.azimuthal.flat}
    images: dict[str, Any] = {
        name: read_image(path, detector.shape) for name, path in paths.items() if path is not None
    }
    return ProfileFunc(geometry, options, **images)


def _droplets(section: Any) -> DetObjectFunc:
    func = function_named("dropletFunc")(
        threshold=section.threshold,
        thresholdLow=section.threshold_low,
        thresADU=section.min_sum,
        useRms=section.noise_units,
        pixmax=section.max_pixels,
    )
    if section.photon_adu is not None:
        func.addFunc(function_named("droplet2Photons")(aduspphot=section.photon_adu))
    return func


def _autocorrelation(setup: Setup) -> DetObjectFunc:
    section = setup.autocorrelation
    assert section is not None
    values = section.parameters()
    if section.mask is not None:
        values["mask"] = read_array(section.mask)
    if section.roi is None:
        return function_named("Autocorrelation")(**values)
    values.pop("roi")
    roi = next(one for one in setup.rois if one.name == section.roi)
    outer = _roi(
        roi.model_copy(update={"name": f"{roi.name}_acf", "calcPars": False, "area": False, "projections": ()})
    )
    outer.addFunc(function_named("Autocorrelation")(**values))
    return outer


def _specified(spec: FunctionSpec, shape: tuple[int, ...] | None = None) -> DetObjectFunc:
    values = with_arrays(spec.params, spec.name or spec.kind, shape)
    if spec.name:
        values["name"] = spec.name
    try:
        func = function_named(spec.kind)(**values)
    except TypeError as error:
        msg = f"function {spec.name or spec.kind}: {error}"
        raise ValueError(msg) from None
    for child in spec.children:
        func.addFunc(_specified(child))
    return func
