"""Azimuthal integration of each event with the geometry and the parameter names of pyFAI."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.files.poni import read_poni
from detcore.area.functions.base import DetObjectFunc, values_and_good
from detcore.area.images.azimuthal import AzimuthalMap
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class azav_pyfai(DetObjectFunc):
    """Azimuthal integration with the geometry of pyFAI, and without needing it: `azav`, `q`, `error`, `n_valid`.

    With `return2d` the results are (azimuth, radial), and `az` are the middles of the sectors in degrees. Pixels are not
    split.

    Parameters
    ----------
    userMask
        The shape of a frame, 1 is good.
    thres
        Pixels below do not count.
    return2d
        Sectors as well.
    poni_file, ai_kwargs
        A .poni file; or its numbers: `dist`, `poni1`, `poni2` (m), `rot1`, `rot2`, `rot3` (rad), `wavelength` (m),
        `pixel1`, `pixel2` (m; those of the detector if missing), `orientation`.
    polarization_factor
        1: along x; None: no correction.
    npts, npts_az
        Numbers of radial bins and of sectors.
    int_units
        ``2th_deg``, ``q_A^-1``, ``q_nm^-1`` or ``r_mm``.
    azav_kwargs
        `radial_range` and `azimuth_range` (degrees) as pairs, and `correctSolidAngle`.
    name
        ``pyfai``.
    """

    _UNITS: Final = {"2th_deg": "2theta", "q_A^-1": "q", "q_nm^-1": "q", "r_mm": "radius"}

    def __init__(
        self,
        userMask: NDArray[Any] | None = None,
        thres: float | None = None,
        return2d: bool = False,
        poni_file: Any = None,
        ai_kwargs: Mapping[str, Any] | None = None,
        polarization_factor: float | None = 1,
        npts: int = 256,
        npts_az: int = 360,
        int_units: str = "2th_deg",
        azav_kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or "pyfai")
        extra = dict(azav_kwargs or {})
        unknown = set(extra) - {"radial_range", "azimuth_range", "correctSolidAngle"}
        if int_units not in self._UNITS or unknown or (poni_file is None) == (ai_kwargs is None):
            wrong = ", ".join(sorted(unknown)) or int_units
            msg = (
                f"{self._name}: give poni_file or ai_kwargs, int_units out of {', '.join(self._UNITS)}, and in azav_kwargs "
                f"radial_range, azimuth_range or correctSolidAngle; found {wrong!r:.80}"
            )
            raise ValueError(msg)
        self._user, self._ai, self._extra = userMask, ai_kwargs, extra
        self.thres, self.return2d = thres, return2d in {True, "True"}  # the original's default is the text "False"
        self.poni_file = None if poni_file is None else str(poni_file)
        self.polarization_factor = polarization_factor
        self.npts, self.npts_az, self.int_units = npts, npts_az, int_units

    def prepare(self) -> None:
        """Find the bin of each pixel."""
        detector = self._det.detector
        if self.poni_file is not None:
            geometry = read_poni(self.poni_file, detector.image_shape)
        else:
            assert self._ai is not None
            facts = {"rot1": 0, "rot2": 0, "rot3": 0} | dict(self._ai)
            size = detector.pixel_size
            geometry = Geometry.from_poni({"pixel1": size[0], "pixel2": size[1]} | facts, shape=detector.image_shape)
        start, end = self._extra.get("azimuth_range") or (-180.0, 180.0)
        sectors: Any = 1
        if self.return2d:
            sectors = tuple(np.linspace(start, end, self.npts_az + 1).tolist())
        elif end - start < 360:
            sectors = ((float(start), float(end)),)
        scale = self._scale(geometry)
        wanted = self._extra.get("radial_range")
        options = AzimuthalOptions.checked(
            {
                "bins": self.npts,
                "unit": self._UNITS[self.int_units],
                "sectors": sectors,
                "q_range": None if wanted is None else tuple(one / scale for one in wanted),
                "polarization": self.polarization_factor,
                "solid_angle": bool(self._extra.get("correctSolidAngle", True)),
                "threshold_low": self.thres,
            }
        )
        good = self._pixels.good(self._user, detector.shape, self._name)
        target = detector if detector.tiled else detector.shape
        self._map = AzimuthalMap.of(geometry, target, options, good=None if good is None else good != 0)
        self.azcfg_radial = self._map.centres * scale
        self.azcfg_az = self._map.starts + self._map.widths / 2
        for key in ("x", "y", "distance", "energy", "rot1", "rot2", "rot3"):
            value = getattr(geometry, key)
            setattr(self, f"azcfg_{key}", np.nan if value is None else float(value))

    def _scale(self, geometry: Geometry) -> float:
        """Return what makes the unit that is asked for of that of the options."""
        if self.int_units == "r_mm":
            size = geometry.pixel_size or self._det.detector.pixel_size
            return float(math.sqrt(size[0] * size[1])) * 1e3
        return 10.0 if self.int_units == "q_nm^-1" else 1.0

    def process(self, data: Any) -> dict[str, Any]:
        """Integrate one frame."""
        values, good = values_and_good(data)
        if good is not None:
            values = np.where(good, values, np.float32(np.nan))
        intensity, error, valid = self._map.sums(values)
        shape = (len(self._map.starts), self._map.n_bins) if self.return2d else (self._map.n_bins,)
        assert error is not None
        out: dict[str, Any] = {"azav": intensity.reshape(shape), "q": self.azcfg_radial}
        out |= {"error": error.reshape(shape), "n_valid": valid.reshape(shape)}
        self.dat = out["azav"]
        return self.with_children(out | {"az": self.azcfg_az} if self.return2d else out)
