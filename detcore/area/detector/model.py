"""A detector as a value: its facts, and the arrays that stay the same from frame to frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from detcore.area.detector.catalogue import UNKNOWN, DetectorType, type_of
from detcore.area.detector.psanamask import psana_mask
from detcore.area.images.assembly import ImageMap

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_PIXELS: Final = 1 << 26  # the largest detectors
MICROMETRES: Final = 1e6  # in a metre
_CONSTANTS: Final[dict[str, tuple[Any, bool]]] = {  # array -> dtype, and whether it may have a leading gain axis
    "pedestal": (np.float32, True),
    "noise": (np.float32, True),
    "gain": (np.float32, True),
    "status": (np.uint32, True),
    "pixel_mask": (np.uint32, False),
    "x": (np.float64, False),
    "y": (np.float64, False),
    "z": (np.float64, False),
    "ix": (np.int32, False),
    "iy": (np.int32, False),
}


@dataclass(frozen=True, eq=False)
class Detector:
    """What is known of one detector in one run. All arrays are checked, and read-only.

    Parameters
    ----------
    name
        As people call it; prefix of its results.
    type
        Key of `catalogue.TYPES`; an alias is replaced by its key.
    shape
        Of a raw frame: (y, x), or (module, y, x) for a detector made of panels.
    pixel_size
        (y, x), m; nan where it is not known.
    asic
        (rows, columns) of one readout chip; None: that of the type.
    orientation
        1 to 8, as in EXIF: already applied to the frames of a source; kept as a record.
    saturation, underload
        Inclusive limits of valid raw values; None without a limit.
    pedestal, noise, gain
        float32, shape of a frame, ADU; with gain switching with a leading gain axis.
    status
        uint32, bits of the dark frames' analysis; as `pedestal`. 0 is good.
    pixel_mask
        uint32, shape of a frame, bits of NXmx; 0 is good, bit 31 only informs.
    x, y, z
        Position of each pixel, um, in any frame of reference of the laboratory.
    ix, iy
        Column (`ix`) and row (`iy`) of each pixel in the assembled image.
    distance
        Sample to detector, m.
    energy
        Of the photons, keV.
    centre
        (x, y): direct beam in the assembled image, pixels.

    Raises
    ------
    ValueError
        A shape does not fit, or a fact is impossible.
    """

    name: str = "detector"
    type: str = UNKNOWN
    shape: tuple[int, ...] = (1, 1)
    pixel_size: tuple[float, float] = (math.nan, math.nan)
    asic: tuple[int, int] | None = None
    orientation: int = 1
    saturation: float | None = None
    underload: float | None = None
    pedestal: NDArray[np.float32] | None = None
    noise: NDArray[np.float32] | None = None
    gain: NDArray[np.float32] | None = None
    status: NDArray[np.uint32] | None = None
    pixel_mask: NDArray[np.uint32] | None = None
    x: NDArray[np.float64] | None = None
    y: NDArray[np.float64] | None = None
    z: NDArray[np.float64] | None = None
    ix: NDArray[np.int32] | None = None
    iy: NDArray[np.int32] | None = None
    distance: float | None = None
    energy: float | None = None
    centre: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        if len(shape) not in {2, 3} or min(shape) < 1 or math.prod(shape) > MAX_PIXELS:
            msg = f"{self.name}: a frame is (y, x) or (module, y, x) with 1 to {MAX_PIXELS} pixels; found {shape}"
            raise ValueError(msg)
        if self.orientation not in range(1, 9):
            msg = f"{self.name}: an orientation is 1 to 8 (1: as stored); found {self.orientation}"
            raise ValueError(msg)
        kind = type_of(self.type)
        self._set(shape=shape, type=kind.key, asic=self.asic or kind.asic)
        if kind.pixel_size is not None:
            known = zip(self.pixel_size, kind.pixel_size, strict=True)
            self._set(pixel_size=tuple(mine if math.isfinite(mine) else other for mine, other in known))
        for name, (dtype, gains) in _CONSTANTS.items():
            value = getattr(self, name)
            if value is not None:
                self._set(**{name: _constant(value, dtype, shape, gains, f"{name} of {self.name}")})
        if (self.ix is None) != (self.iy is None):
            msg = f"{self.name}: ix and iy come together; found only {'iy' if self.ix is None else 'ix'}"
            raise ValueError(msg)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def with_(self, **changes: Any) -> Self:
        """Return the detector with other facts or arrays."""
        return replace(self, **changes)

    @property
    def kind(self) -> DetectorType:
        """What the catalogue says of its type."""
        return type_of(self.type)

    @property
    def tiled(self) -> bool:
        """Whether a frame is (module, y, x)."""
        return len(self.shape) == 3

    @property
    def n_modules(self) -> int:
        """How many panels a frame has; 1 for (y, x)."""
        return self.shape[0] if self.tiled else 1

    @property
    def gain_modes(self) -> int:
        """Length of the gain axis of the calibration; 1 without one."""
        arrays = (self.pedestal, self.noise, self.gain, self.status)
        return max((len(one) for one in arrays if one is not None and one.ndim > len(self.shape)), default=1)

    @cached_property
    def map(self) -> ImageMap:
        """Where each pixel is in the assembled image; without geometry, panels are stacked from top to bottom."""
        if self.iy is not None and self.ix is not None:
            return ImageMap.of(self.iy, self.ix)
        pixel_y, pixel_x = (size * MICROMETRES for size in self.pixel_size)
        if self.x is not None and self.y is not None and math.isfinite(pixel_y * pixel_x):
            return ImageMap.of(_indices(self.y, pixel_y), _indices(self.x, pixel_x))
        rows = np.arange(self.n_modules * self.shape[-2], dtype=np.int32).reshape(*self.shape[:-1], 1)
        columns = np.arange(self.shape[-1], dtype=np.int32)
        return ImageMap.of(*np.broadcast_arrays(rows, columns))

    @property
    def image_shape(self) -> tuple[int, int]:
        """(rows, columns) of the assembled image."""
        return self.map.image_shape if self.tiled else (self.shape[0], self.shape[1])

    @cached_property
    def image_positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row and column of each raw pixel in the assembled image, not rounded; the shape of a raw frame.

        From `x`, `y` by the plane that fits `iy` and `ix` best, whichever way the laboratory's axes point; from `iy` and
        `ix` themselves if there are no positions.
        """
        if not self.tiled:
            rows, columns = np.indices(self.shape, dtype=np.float64)
            return rows, columns
        iy, ix = self.map.iy, self.map.ix
        if self.x is None or self.y is None:
            return iy.astype(np.float64), ix.astype(np.float64)
        terms = np.stack([self.x.ravel(), self.y.ravel(), np.ones(self.x.size)], axis=1)
        both = np.stack([iy.ravel(), ix.ravel()], axis=1).astype(np.float64)
        scale = np.abs(terms).max(axis=0)
        factors, *_ = np.linalg.lstsq(terms / scale, both, rcond=None)
        found = (terms / scale) @ factors
        return found[:, 0].reshape(self.shape), found[:, 1].reshape(self.shape)

    def assemble(self, raw: NDArray[Any], fill: float = math.nan) -> NDArray[Any]:
        """Put the panels of frames in their places.

        Parameters
        ----------
        raw
            (…, module, y, x), or (…, y, x) for a detector of one sensor, which is given back as it is.
        fill
            Value of image pixels without a detector pixel. Whole numbers become float32 if it is nan.

        Returns
        -------
        ndarray
            (…, y, x); detector pixels that share an image pixel are averaged, those that are nan left out.

        Raises
        ------
        ValueError
            The frames have another shape.
        """
        self.check(raw.shape)
        return self.map.assemble(raw, fill) if self.tiled else raw

    def to_raw(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return, for each detector pixel, the value of the image pixel in which it lies.

        Parameters
        ----------
        image
            (y, x) of the assembled image.

        Returns
        -------
        ndarray
            The shape of a raw frame.

        Raises
        ------
        ValueError
            The image has another shape.
        """
        if image.shape != self.image_shape:
            msg = f"{self.name}: an image is {self.image_shape}, found {image.shape}"
            raise ValueError(msg)
        return self.map.to_raw(image) if self.tiled else image

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse arrays that do not end in the shape of a raw frame.

        Raises
        ------
        ValueError
            With both shapes.
        """
        if tuple(shape[-len(self.shape) :]) != self.shape:
            msg = f"{self.name}: a frame is {self.shape}, found {tuple(shape)}; is this another detector's?"
            raise ValueError(msg)

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Raw shape, true where neither `pixel_mask` nor `status` rejects a pixel."""
        return _frozen(psana_mask(self, status=True, calib=True).astype(np.bool_))

    @cached_property
    def statusMask(self) -> NDArray[np.uint8]:
        """uint8, raw shape, 1 good: status of the darks, and bits 0 to 7 of the pixel mask."""
        return _frozen(psana_mask(self, status=True))

    @cached_property
    def mask(self) -> NDArray[np.uint8]:
        """uint8, raw shape, 1 good: `statusMask`, rims of panels, seams of chips, unbonded pixels and neighbours.

        As psana's: rims and seams only of detectors that are made of panels of several chips.
        """
        chips = self.asic is not None and self.type != UNKNOWN and self._is_psana()
        return _frozen(psana_mask(self, status=True, edges=chips, central=chips, unbond=True, unbondnbrs=True))

    @cached_property
    def cmask(self) -> NDArray[np.uint8]:
        """uint8, raw shape, 1 good: `mask`, and the mask that people stored."""
        return _frozen(self.mask & psana_mask(self, calib=True))

    def _is_psana(self) -> bool:
        return self.type.startswith(("cspad", "epix", "jungfrau"))


def _constant(value: ArrayLike, dtype: Any, shape: tuple[int, ...], gains: bool, what: str) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        msg = f"{what}: expected numbers, found {array.dtype}"
        raise ValueError(msg)
    fitting = array.shape == shape or (gains and array.ndim == len(shape) + 1 and array.shape[1:] == shape)
    if not fitting and math.prod(array.shape) == math.prod(shape):
        if array.shape[-1] != shape[-1] or any(size != 1 for size in _extra(array.shape, shape)):
            msg = f"{what}: expected {shape}, found {array.shape}; its pixels are in another order"
            raise ValueError(msg)
        array, fitting = array.reshape(shape), True
    if not fitting:
        msg = f"{what}: expected {shape}, found {array.shape}; is this of another detector?"
        raise ValueError(msg)
    if np.dtype(dtype).kind == "u" and array.dtype.kind == "i":
        array = array.astype(np.int64) & 0xFFFFFFFF  # a negative int32 keeps its bits
    return _frozen(np.array(array, dtype))


def _extra(found: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the leading sizes that one shape has and the other lacks; of a stacked 2-D array, none."""
    longer, shorter = (found, wanted) if len(found) >= len(wanted) else (wanted, found)
    stacked = len(found) == 2 and len(wanted) == 3 and found[0] == wanted[0] * wanted[1]
    return () if stacked else longer[: len(longer) - len(shorter)]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _indices(position: NDArray[np.float64], pixel: float) -> NDArray[np.int32]:
    return np.asarray(np.rint((position - position.min()) / pixel), np.int32)
