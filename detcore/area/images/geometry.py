"""Where the beam meets the detector, and what angle each pixel sees.

Pixel centres are at whole numbers, x is the column and y the row. The detector plane has its origin where the normal
through the sample meets it (the "point of normal incidence"); p1 runs along the rows' index y, p2 along the columns'
index x, both in metres. The plane is turned by three angles as in pyFAI (Kieffer & Karkoulis 2013, J. Phys. Conference
Series 425, 202012): in the laboratory axis 3 is the beam, and

    t1 = c2 c3 p1 + (c3 s1 s2 - c1 s3) p2 - (c1 c3 s2 + s1 s3) L
    t2 = c2 s3 p1 + (c1 c3 + s1 s2 s3) p2 - (c1 s2 s3 - c3 s1) L
    t3 = s2 p1 - c2 s1 p2 + c1 c2 L

with L the distance along the normal. The direct beam is where t1 = t2 = 0: p1 = L tan(rot2) / cos(rot1) and
p2 = -L tan(rot1). That is what `x` and `y` say, because it is what a person sees and clicks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from detcore.area.images.positions import Positions, pixel_size_of, places_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

HC: Final = 12.398419843320026  # keV Angstrom (CODATA 2019, exact)
Pixel = Annotated[float, Field(ge=-1e7, le=1e7)]
Turn = Annotated[float, Field(gt=-90, lt=90)]


class Geometry(BaseModel):
    """Direct beam, distance, energy and tilt of a flat detector (or of one whose pixels know their place).

    Parameters
    ----------
    x, y
        Where the direct beam meets the detector: column and row, px, pixel centres at whole numbers. Of a tiled
        detector in the assembled image.
    distance
        From the sample to the point of normal incidence, m (pyFAI's `dist`); without tilt that is the direct beam.
    energy
        Of the photons, keV.
    pixel_size
        (y, x), m.
    rot1, rot2, rot3
        Turns of the detector as in pyFAI, degrees.
    orientation
        pyFAI's: 3, rows and columns as they are counted; 1 both, 2 the rows, 4 the columns are counted backwards.
        It changes the signs of the turns and of the azimuth, not `x` and `y`.

    Examples
    --------
    >>> geometry = Geometry(x=2, y=1, distance=0.1, energy=12.4, pixel_size=(1e-4, 1e-4))
    >>> geometry.q((3, 5)).round(5)[1]
    array([0.01257, 0.00628, 0.     , 0.00628, 0.01257])
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    x: Pixel
    y: Pixel
    distance: Annotated[float, Field(gt=0, le=1e4)] | None = None
    energy: Annotated[float, Field(ge=1e-4, le=1e4)] | None = None
    pixel_size: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] | None = None
    rot1: Turn = 0.0
    rot2: Turn = 0.0
    rot3: Annotated[float, Field(ge=-360, le=360)] = 0.0
    orientation: Literal[1, 2, 3, 4] = 3

    @property
    def wavelength(self) -> float:
        """Of the photons, Angstrom.

        Raises
        ------
        ValueError
            The energy is not known.
        """
        if self.energy is None:
            msg = "the photon energy is not known; set geometry.energy (keV)"
            raise ValueError(msg)
        return HC / self.energy

    @property
    def tilted(self) -> bool:
        """Whether the detector is not perpendicular to the beam."""
        return bool(self.rot1 or self.rot2)

    def with_(self, **changes: Any) -> Self:
        """Return a checked copy with other values."""
        return type(self).model_validate(self.model_dump() | changes)

    def flipped(self, shape: Sequence[int], *, rows: bool = False, columns: bool = False) -> Self:
        """Return the geometry of the same pixels when rows or columns are counted from the other end.

        Parameters
        ----------
        shape
            (rows, columns) of the image.
        """
        ny, nx = shape
        signs = {3: (1, 1), 1: (-1, -1), 2: (-1, 1), 4: (1, -1)}
        s1, s2 = signs[self.orientation]
        wanted = (-s1 if rows else s1, -s2 if columns else s2)
        return self.with_(
            x=nx - 1 - self.x if columns else self.x,
            y=ny - 1 - self.y if rows else self.y,
            orientation=next(code for code, both in signs.items() if both == wanted),
        )

    # ---- what each pixel sees

    def positions(self, target: Any) -> Positions:
        """Return the places of all pixels.

        Parameters
        ----------
        target
            Shape (y, x) of an image, or a `Detector`.
        """
        pixel = self.pixel_size or pixel_size_of(target) or (1.0, 1.0)
        s1, s2 = (-1 if self.orientation in {1, 2} else 1), (-1 if self.orientation in {1, 4} else 1)
        shape, rows, columns, depth = places_of(target, (self.y, self.x), pixel)
        distance = self.distance if self.distance is not None else 1.0
        rot1, rot2 = math.radians(self.rot1), math.radians(self.rot2)
        return Positions(
            s1 * rows,
            s2 * columns,
            distance * math.tan(rot2) / math.cos(rot1),
            -distance * math.tan(rot1),
            distance + depth,
            shape,
            pixel[1],
        )

    def matrix(self) -> NDArray[np.float64]:
        """Return the (3, 3) rotation from (p1, p2, along) to the laboratory; each row gives one of t1, t2, t3."""
        s1, s2, s3 = (math.sin(math.radians(turn)) for turn in (self.rot1, self.rot2, self.rot3))
        c1, c2, c3 = (math.cos(math.radians(turn)) for turn in (self.rot1, self.rot2, self.rot3))
        return np.array(
            [
                [c2 * c3, c3 * s1 * s2 - c1 * s3, -(c1 * c3 * s2 + s1 * s3)],
                [c2 * s3, c1 * c3 + s1 * s2 * s3, c3 * s1 - c1 * s2 * s3],
                [s2, -c2 * s1, c1 * c2],
            ]
        )

    def check_angles(self, target: Any = None) -> None:
        """Refuse where angles cannot be told.

        Raises
        ------
        ValueError
            The distance or the pixel size is not known.
        """
        missing = [name for name in ("distance", "pixel_size") if getattr(self, name) is None]
        if "pixel_size" in missing and target is not None and pixel_size_of(target) is not None:
            missing.remove("pixel_size")
        if missing:
            msg = f"angles need geometry.{' and geometry.'.join(missing)} (m); without them only the radius in px is known"
            raise ValueError(msg)

    def _laboratory(self, target: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        self.check_angles(target)
        places, turn = self.positions(target), self.matrix()
        p1, p2 = places.d1 + places.p1, places.d2 + places.p2
        t1, t2, t3 = (row[0] * p1 + row[1] * p2 + row[2] * places.along for row in turn)
        return t1.reshape(places.shape), t2.reshape(places.shape), t3.reshape(places.shape)

    def two_theta(self, target: Any) -> NDArray[np.float64]:
        """Return the angle from the beam, degrees; the shape of a frame."""
        t1, t2, t3 = self._laboratory(target)
        return np.asarray(np.degrees(np.arctan2(np.hypot(t1, t2), t3)))

    def q(self, target: Any) -> NDArray[np.float64]:
        """Return 4 pi / wavelength sin(two_theta / 2), 1/Angstrom; the shape of a frame."""
        half = np.radians(self.two_theta(target)) / 2
        return np.asarray(4 * math.pi / self.wavelength * np.sin(half))

    def radius(self, target: Any) -> NDArray[np.float64]:
        """Return the distance from the direct beam in the detector plane, in column widths, px."""
        places = self.positions(target)
        return (np.hypot(places.d1, places.d2) / places.pixel).reshape(places.shape)

    def azimuth(self, target: Any) -> NDArray[np.float64]:
        """Return the angle around the beam, degrees in [-180, 180]: 0 along +x, 90 along +y (pyFAI's chi)."""
        if self.distance is None and not self.tilted:  # a plain image with a centre
            places = self.positions(target)
            angle = np.degrees(np.arctan2(places.d1, places.d2)) + self.rot3
            return np.asarray((angle + 180) % 360 - 180).reshape(places.shape)
        t1, t2, _ = self._laboratory(target)
        return np.asarray(np.degrees(np.arctan2(t1, t2)))

    def solid_angle(self, target: Any) -> NDArray[np.float64]:
        """Return the solid angle of each pixel relative to one at normal incidence: cos^3 of the incidence angle."""
        self.check_angles(target)
        places = self.positions(target)
        p1, p2 = places.d1 + places.p1, places.d2 + places.p2
        return ((places.along**2 / (p1**2 + p2**2 + places.along**2)) ** 1.5).reshape(places.shape)

    def polarization(self, target: Any, factor: float = 0.99, axis: float = 0.0) -> NDArray[np.float64]:
        """Return what a polarised beam leaves of each pixel's intensity.

        (1 + cos^2(2 theta) - factor cos(2 (azimuth + axis)) sin^2(2 theta)) / 2, the convention of pyFAI.

        Parameters
        ----------
        target
            Shape (y, x) of an image, or a `Detector`.
        factor
            1: the electric field lies along x; -1: along y; 0: not polarised.
        axis
            Added to the azimuth, degrees.
        """
        t1, t2, t3 = self._laboratory(target)
        across = t1**2 + t2**2
        sine2 = across / (across + t3**2)
        turn = 2 * np.arctan2(t1, t2) + 2 * math.radians(axis)
        return np.asarray(0.5 * (2 - sine2 - factor * np.cos(turn) * sine2))

    # ---- the same as pyFAI writes it

    @classmethod
    def from_poni(cls, values: Mapping[str, Any], shape: Sequence[int] | None = None) -> Self:
        """Build from pyFAI's numbers.

        Parameters
        ----------
        values
            `dist`, `poni1`, `poni2` (m), `rot1`, `rot2`, `rot3` (rad), `wavelength` (m) or None, `pixel1`, `pixel2`
            (m), `orientation` (3 if missing).
        shape
            (rows, columns) of the image; needed if the orientation is not 3.

        Raises
        ------
        ValueError
            The orientation is none that pyFAI supports, or the shape is needed and not given.
        """
        orientation = int(values.get("orientation") or 3)
        if orientation not in {1, 2, 3, 4}:
            msg = f"orientation {orientation}: expected 1 to 4; those that swap rows and columns have no geometry"
            raise ValueError(msg)
        if orientation != 3 and shape is None:
            msg = f"orientation {orientation} counts from the far end: give the shape (rows, columns) of the image"
            raise ValueError(msg)
        ny, nx = shape if shape is not None else (0, 0)
        dist, rot1, rot2 = float(values["dist"]), float(values["rot1"]), float(values["rot2"])
        pixel1, pixel2 = float(values["pixel1"]), float(values["pixel2"])
        # pyFAI counts from the outer corner of the first pixel, so the centres are at halves.
        y = (float(values["poni1"]) + dist * math.tan(rot2) / math.cos(rot1)) / pixel1 - 0.5
        x = (float(values["poni2"]) - dist * math.tan(rot1)) / pixel2 - 0.5
        wavelength = values.get("wavelength")
        return cls.model_validate(
            {
                "x": nx - 1 - x if orientation in {1, 4} else x,
                "y": ny - 1 - y if orientation in {1, 2} else y,
                "distance": dist,
                "energy": HC / (float(wavelength) * 1e10) if wavelength else None,
                "pixel_size": (pixel1, pixel2),
                "rot1": math.degrees(rot1),
                "rot2": math.degrees(rot2),
                "rot3": math.degrees(float(values["rot3"])),
                "orientation": orientation,
            }
        )

    def to_poni(self, shape: Sequence[int] | None = None) -> dict[str, Any]:
        """Return pyFAI's numbers, under the names that `from_poni` takes.

        Raises
        ------
        ValueError
            The distance, the pixel size, or the shape that the orientation needs is not known.
        """
        self.check_angles()
        if self.orientation != 3 and shape is None:
            msg = f"orientation {self.orientation} counts from the far end: give the shape (rows, columns)"
            raise ValueError(msg)
        ny, nx = shape if shape is not None else (0, 0)
        dist, (pixel1, pixel2) = float(self.distance or 0), self.pixel_size or (1.0, 1.0)
        rot1, rot2 = math.radians(self.rot1), math.radians(self.rot2)
        y = ny - 1 - self.y if self.orientation in {1, 2} else self.y
        x = nx - 1 - self.x if self.orientation in {1, 4} else self.x
        return {
            "dist": dist,
            "poni1": (y + 0.5) * pixel1 - dist * math.tan(rot2) / math.cos(rot1),
            "poni2": (x + 0.5) * pixel2 + dist * math.tan(rot1),
            "rot1": rot1,
            "rot2": rot2,
            "rot3": math.radians(self.rot3),
            "wavelength": None if self.energy is None else self.wavelength * 1e-10,
            "pixel1": pixel1,
            "pixel2": pixel2,
            "orientation": self.orientation,
        }
