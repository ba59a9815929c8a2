"""Photons of each event: of droplets, and of pixels."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.functions.base import DetObjectFunc, Pixels, thresholded, values_and_good
from detcore.area.images.droplets import Droplets
from detcore.area.images.photons import count_photons, droplet_photons, probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class droplet2Photons(DetObjectFunc):
    """The photons in droplets: `prob`, the parts of the good pixels with 0 to 10 photons and the mean number; `nPhotons`.

    Goes into a dropletFunc. Children get the place of each photon as a list: `tile`, `row`, `col` (fractions of pixels)
    and `data`, which is 1.

    Parameters
    ----------
    aduspphot
        ADU of one photon.
    photpts
        Sums of droplets between which they have 0, 1, 2, … photons. None: halfway between whole photons.
    mask
        The shape of the data, 1 is good. None: that of the droplets.
    cputime
        Give `cputime` too: seconds in all, until the photons are placed, and for the probabilities.
    name
        ``droplet2phot``.
    """

    _list_only = True  # of droplets

    def __init__(
        self,
        aduspphot: float = 0.0,
        photpts: Sequence[float] | None = None,
        mask: NDArray[Any] | None = None,
        cputime: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "droplet2phot", **kwargs)
        if not aduspphot > 0:
            msg = f"{self._name}: aduspphot is the ADU of one photon, a number above 0; found {aduspphot!r}"
            raise ValueError(msg)
        self.aduspphot, self.cputime = aduspphot, cputime
        self.photpts = None if photpts is None else np.asarray(photpts, np.float64)
        self._user = mask

    def process(self, data: Any) -> dict[str, Any]:
        """Place the photons of one event."""
        found = data.get("_droplets") if isinstance(data, dict) else None
        if not isinstance(found, Droplets):
            msg = f"{self._name}: expected droplets; add it to a dropletFunc"
            raise ValueError(msg)  # noqa: TRY004 - of what it was added to
        began = perf_counter()
        photons, _ = droplet_photons(found, self.aduspphot, self.photpts)
        placed = perf_counter()
        mask = Pixels(mask=data.get("_mask")).good(self._user, found.shape, self._name)
        image = photons.image(found.shape)
        results: dict[str, Any] = {
            "prob": probabilities(image, None if mask is None else mask != 0),
            "nPhotons": np.int64(len(photons)),
        }
        if self.cputime:
            ended = perf_counter()
            results["cputime"] = np.array([ended - began, placed - began, ended - placed])
        self.dat = {"data": np.ones(len(photons)), "row": photons.y, "col": photons.x, "tile": photons.module}
        return self.with_children(results)


class photonFunc(DetObjectFunc):
    """Photons of each pixel: `nPhot`, their number; children get the image of counts, masked.

    Whole photons count where they are; what is left of a pixel makes one more together with its best neighbour.

    Parameters
    ----------
    ADU_per_photon
        Of one.
    thr_fraction
        Of a photon: what rest and neighbour must have together.
    thresADU
        Pixels below count as 0 before.
    mask
        The shape of the data, 1 is good. None: the detector's `mask`.
    name
        ``photon``.
    """

    def __init__(
        self,
        ADU_per_photon: float = 154.0,
        thr_fraction: float = 0.9,
        thresADU: float | None = None,
        mask: NDArray[Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "photon", **kwargs)
        if not (ADU_per_photon > 0 and 0 < thr_fraction <= 1):
            msg = (
                f"{self._name}: expected ADU_per_photon above 0 and thr_fraction above 0 and at most 1; found "
                f"{ADU_per_photon!r:.40} and {thr_fraction!r:.40}"
            )
            raise ValueError(msg)
        self.ADU_per_photon, self.thr_fraction, self.thresADU = ADU_per_photon, thr_fraction, thresADU
        self._user = mask
        self._good: NDArray[np.bool_] | None = None

    def prepare(self) -> None:
        """Keep the mask."""
        known = self._pixels.mask
        shape = known.shape if known is not None else () if self._user is None else np.shape(self._user)
        mask = Pixels(mask=known).good(self._user, shape, self._name)
        self._good = None if mask is None else mask != 0

    def given(self) -> Pixels:
        """Return what is known of the pixels, but their noise, which is of other values."""
        known = self._pixels
        return Pixels(known.mask, known.mask, None, known.x, known.y, known.z)

    def process(self, data: Any) -> dict[str, Any]:
        """Count the photons of one event."""
        values, good = values_and_good(data)
        use = self._good if good is None else good if self._good is None else good & self._good
        counts = count_photons(thresholded(values, self.thresADU), self.ADU_per_photon, self.thr_fraction, use)
        self.dat = np.ma.MaskedArray(counts, mask=np.ma.nomask if use is None else ~use)
        return self.with_children({"nPhot": np.int64(counts.sum(dtype=np.int64))})
