"""Azimuthal averages of each event, by the known parameters of smalldata_tools."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.functions.base import DetObjectFunc, values_and_good
from detcore.area.images.azimuthalkernels import scatter_pairs
from detcore.area.images.chemphys import angles
from detcore.area.images.geometry import HC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_CELLS: Final = 1 << 24
TURN: Final = 2 * math.pi


class azimuthalBinning(DetObjectFunc):
    """Averages over bins of q (or of the radius) and of the azimuth: `azav`, with `error` and `n_valid`, each (phi, q).

    A bin is the mean of value / (solid angle x polarisation) over its valid pixels, see `images.chemphys` for the angles.
    Masked and invalid pixels, and those outside of the thresholds, are in no bin; a bin without pixels is nan. The error
    is that of Poisson counts. Saved once per run: `q`, `qbins` (edges), `theta`, `phiVec` (edges), `Cake_norm` (good
    pixels of each bin), `matrix_q` and more.

    Parameters
    ----------
    center
        (x, y) of the beam in the coordinates of the pixels, um.
    dis_to_sam
        Distance to the sample, mm.
    eBeam
        Energy of the photons, keV.
    phiBins
        Number of sectors of the circle, of which the first lies around phi = 0; or their edges, rad.
    qbin
        Width of a bin, 1/Angstrom, or the edges of all.
    rbin
        Instead of q: width of a bin of the distance from the centre in the plane of the detector, um, or edges.
    Pplane
        1: the beam is polarised along x; 0: along y.
    tx, ty
        Turns of the detector, degrees.
    ADU_per_Photon
        For errors.
    thresADU, thresADUhigh, thresRms
        Pixels below, above, and below this many times their noise do not count.
    thresZero
        Pixels below `thresADU` and `thresRms` count as 0 instead, for single photons on a dark background.
    gainImg, darkImg
        Divided by and subtracted before, the shape of a frame.
    userMask
        The shape of a frame, 1 is good.
    geomCorr, polCorr
        Whether solid angle and polarisation are corrected for.
    square
        Average the squares.
    x, y
        Positions of the pixels, um, instead of the detector's.
    name
        ``azav``.
    """

    def __init__(
        self,
        center: Sequence[float] | None = None,
        dis_to_sam: float = 100.0,
        eBeam: float = 9.5,
        phiBins: int | Sequence[float] = 1,
        qbin: float | Sequence[float] = 5e-3,
        rbin: float | Sequence[float] | None = None,
        Pplane: float = 0,
        tx: float = 0.0,
        ty: float = 0.0,
        ADU_per_Photon: float = 1.0,
        thresADU: float | None = None,
        thresADUhigh: float | None = None,
        thresRms: float | None = None,
        thresZero: bool = False,
        gainImg: NDArray[Any] | None = None,
        darkImg: NDArray[Any] | None = None,
        userMask: NDArray[Any] | None = None,
        geomCorr: bool = True,
        polCorr: bool = True,
        square: bool = False,
        x: NDArray[Any] | None = None,
        y: NDArray[Any] | None = None,
        name: str | None = None,
        debug: bool = False,
    ) -> None:
        super().__init__(name=name or "azav")
        if center is None or np.shape(center) != (2,):
            msg = f"{self._name}: center is the (x, y) of the beam in um, in the coordinates of the pixels; found {center!r}"
            raise ValueError(msg)
        if not (float(eBeam) > 0 and float(dis_to_sam) > 0):
            msg = (
                f"{self._name}: eBeam (keV) and dis_to_sam (mm) are above 0; found {eBeam!r:.40} and {dis_to_sam!r:.40}"
            )
            raise ValueError(msg)
        self._debug, self._user = debug, userMask
        self.center = [float(one) for one in center]
        self.xcen, self.ycen = (one / 1e3 for one in self.center)  # mm, as the original saves them
        self.dis_to_sam, self.eBeam, self.lam = float(dis_to_sam), float(eBeam), HC / float(eBeam)
        self.phiBins, self.qbin, self.rbin = phiBins, qbin, rbin
        self.Pplane, self.tx, self.ty, self.ADU_per_photon = Pplane, tx, ty, ADU_per_Photon
        self.thresADU, self.thresADUhigh, self.thresRms = thresADU, thresADUhigh, thresRms
        self.thresZero, self.geomCorr, self.polCorr, self.square = thresZero, geomCorr, polCorr, square
        self.gainImg, self.darkImg = gainImg, darkImg
        self.x, self.y = x, y

    def prepare(self) -> None:
        """Find the bin and the correction of each pixel."""
        known = self._pixels
        x = known.x if self.x is None else np.asarray(self.x, np.float64)
        y = known.y if self.y is None else np.asarray(self.y, np.float64)
        if x is None or y is None:
            msg = (
                f"{self._name}: the positions of the pixels are not known; give the detector a geometry or a pixel size, "
                "or pass x and y in um"
            )
            raise ValueError(msg)
        if self.thresRms is not None and known.noise is None:
            msg = (
                f"{self._name}: thresRms needs the noise of the pixels; give the calibration of a dark run, or thresADU"
            )
            raise ValueError(msg)
        frame = known.mask.shape if known.mask is not None else x.shape
        for name, image in (("gainImg", self.gainImg), ("darkImg", self.darkImg)):
            if image is not None and np.shape(image) != frame:
                msg = f"{self._name}: {name} has the shape of the data, {frame}; found {np.shape(image)}"
                raise ValueError(msg)
        x, y = x.reshape(frame), y.reshape(frame)
        found = angles(
            x,
            y,
            (self.center[0], self.center[1]),
            z=known.z,
            dis_to_sam=self.dis_to_sam + self._below(known.z),
            energy=self.eBeam,
            tx=self.tx,
            ty=self.ty,
            polarization=self.Pplane,
        )
        good = known.good(self._user, frame, self._name)
        selected = np.ones(frame, np.bool_) if good is None else good != 0
        if not selected.any():
            msg = f"{self._name}: no pixel is good; look at the mask (1 is good)"
            raise ValueError(msg)
        radial = found.q if self.rbin is None else found.radius
        edges = _edges(self.qbin if self.rbin is None else self.rbin, radial[selected], self._name)
        sector, self.phiVec = _sectors(self.phiBins, found.phi, self._name)
        self.nphi, n = len(self.phiVec) - 1, len(edges) - 1
        if self.nphi * n > MAX_CELLS:
            msg = f"{self._name}: {n} bins in {self.nphi} sectors are more than {MAX_CELLS} cells; use wider bins"
            raise ValueError(msg)
        bins = np.searchsorted(edges, radial, side="right") - 1
        bins[radial == edges[-1]] = n - 1
        inside = selected & (bins >= 0) & (bins < n) & (sector >= 0)
        self._n_cells, self._shape = self.nphi * n, (self.nphi, n)
        cells = np.where(inside, sector * n + bins, self._n_cells).ravel()
        self._cells = cells.astype(np.uint16 if self._n_cells < 1 << 16 else np.uint32)
        self.Cake_norm = np.bincount(cells, minlength=self._n_cells + 1)[:-1].reshape(self._shape)
        middles = (edges[1:] + edges[:-1]) / 2
        if self.rbin is None:
            self.qbins, self.q, self.nq = edges, middles, n
            self.theta = 2 * np.arcsin(np.clip(self.q * self.lam / 4 / math.pi, -1, 1))
        else:
            self.rbins, self.rbinsbound, self.nr = edges, middles, n
        solid = found.solid_angle if self.geomCorr else np.ones(frame)
        kept = found.polarization if self.polCorr else np.ones(frame)
        # The original makes the largest solid angle of the detector 1.
        self.correction = (solid / solid.max() * kept).astype(np.float32)
        self._inverse = (1 / self.correction).ravel()
        self._ones = np.ones(self.correction.size, np.float32)
        self.matrix_q = found.q.astype(np.float32)

    def _below(self, z: NDArray[Any] | None) -> float:
        """Return by how much the mean z of a part of the detector is below that of all of it, mm."""
        whole = getattr(self._det, "z", None)
        return 0.0 if z is None or whole is None else float(np.mean(whole) - np.mean(z)) / 1e3

    def process(self, data: Any) -> dict[str, Any]:
        """Average one frame."""
        values, good = values_and_good(data)
        pixels = values.astype(np.float32)
        low = pixels < self.thresADU if self.thresADU is not None else None
        if self.thresRms is not None and self._pixels.noise is not None:
            below = pixels < self.thresRms * self._pixels.noise
            low = below if low is None else low | below
        if self.thresADUhigh is not None:
            pixels[values > self.thresADUhigh] = np.nan
        if good is not None:
            pixels[~good] = np.nan
        if low is not None:
            pixels[low & ~np.isnan(pixels)] = 0 if self.thresZero else np.nan
        counts = np.maximum(pixels, 0) * np.float32(self.ADU_per_photon)
        if self.darkImg is not None:
            pixels -= self.darkImg
        scale = self._inverse
        if self.gainImg is not None:
            scale = scale / np.asarray(self.gainImg, np.float32).ravel()
        pixels, counts = pixels.ravel(), counts.ravel()
        if self.square:
            counts = counts * (2 * pixels) ** 2  # of a square, to first order
            pixels = pixels * pixels
        pixels, counts = pixels * scale, counts * scale * scale
        sums, lost = np.zeros((self._n_cells + 1, 2)), np.zeros(self._n_cells + 1, np.int64)
        most = float(np.finfo(np.float64).max)
        scatter_pairs(pixels, counts, self._cells, self._ones, -most, most, sums, lost, np.zeros((len(lost), 2)))
        n = self.Cake_norm - lost[:-1].reshape(self._shape)
        total, variance = sums[:-1, 0].reshape(self._shape), sums[:-1, 1].reshape(self._shape)
        none = np.full(self._shape, np.nan)
        self.dat = np.divide(total, n, out=none.copy(), where=n > 0)
        error = np.divide(np.sqrt(variance), n, out=none, where=n > 0)
        return self.with_children({"azav": self.dat, "error": error, "n_valid": n})


def _edges(step: float | Sequence[float], values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return edges at multiples of a step around values, or those that are given."""
    given = np.asarray(step, np.float64).ravel()
    if given.size > 1:
        if not (np.diff(given) > 0).all():
            msg = f"{name}: the edges of the bins must grow, found {given[:5]}"
            raise ValueError(msg)
        return given
    width = float(given[0])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    first = math.floor(low / width) if width > 0 else 0
    last = math.floor(high / width) + 1 if width > 0 else 0
    if not 1 <= last - first <= MAX_CELLS:
        msg = f"{name}: bins of {width:g} over {low:g} to {high:g} are none or more than {MAX_CELLS}; choose another width"
        raise ValueError(msg)
    return np.asarray(np.arange(first, last + 1) * width, np.float64)


def _sectors(
    wanted: int | Sequence[float], phi: NDArray[np.float64], name: str
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the sector of each pixel (-1: none) and the edges of all, rad."""
    given = np.asarray(wanted, np.float64).ravel()
    if given.size == 1:
        n = int(given[0])
        if n < 1:
            msg = f"{name}: phiBins is a number of sectors from 1, or edges in rad; found {wanted!r:.80}"
            raise ValueError(msg)
        width = TURN / n
        sector = np.floor(np.mod(phi + width / 2, TURN) / width).astype(np.intp) % n
        return sector, np.asarray((np.arange(n + 1) - 0.5) * width, np.float64)
    if not (np.diff(given) > 0).all() or given[-1] - given[0] > TURN * (1 + 1e-9):
        msg = f"{name}: the edges of sectors must grow by at most a full circle, found {wanted!r:.80}"
        raise ValueError(msg)
    sector = np.searchsorted(given, given[0] + np.mod(phi - given[0], TURN), side="right") - 1
    sector[sector >= len(given) - 1] = -1
    return sector.astype(np.intp), given
