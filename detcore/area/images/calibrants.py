"""Powders whose rings are known: spacings of lattice planes, computed from lattice constants and extinction rules.

The constants are at room temperature, in Angstrom: NIST certificates of standard reference materials (SRM) where there
is one, else the usual tables. Silver behenate: T. C. Huang et al. 1993, J. Appl. Cryst. 26, 180.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MAX_INDEX: Final = 40
SAME: Final = 1e-5  # relative: planes of the same spacing make one ring


def _any(h: int, k: int, l: int) -> bool:  # noqa: ARG001 - one signature for all rules
    return True


def _face(h: int, k: int, l: int) -> bool:
    return h % 2 == k % 2 == l % 2


def _body(h: int, k: int, l: int) -> bool:
    return (h + k + l) % 2 == 0


def _diamond(h: int, k: int, l: int) -> bool:
    return _face(h, k, l) and (h % 2 == 1 or (h + k + l) % 4 == 0)


def _corundum(h: int, k: int, l: int) -> bool:
    if (-h + k + l) % 3:
        return False
    return l % 2 == 0 if 0 in {h, k, h + k} else True


def _wurtzite(h: int, k: int, l: int) -> bool:
    return l % 2 == 0 or (h - k) % 3 != 0


def _rutile(h: int, k: int, l: int) -> bool:
    if h == 0:
        return (k + l) % 2 == 0
    return (h + l) % 2 == 0 if k == 0 else True


def _lamellar(h: int, k: int, l: int) -> bool:  # noqa: ARG001
    return h == 0 and k == 0


@dataclass(frozen=True)
class Calibrant:
    """A powder.

    Parameters
    ----------
    name
        As people write it.
    system
        cubic, hexagonal, tetragonal, or lamellar (only `c` counts).
    a, c
        Lattice constants, Angstrom; `c` of a cubic one is `a`.
    allowed
        Which planes (h, k, l) reflect.
    source
        Of the constants.
    """

    name: str
    system: str
    a: float
    c: float
    allowed: Callable[[int, int, int], bool]
    source: str

    def d_spacings(self, d_min: float = 0.5, count: int | None = None) -> NDArray[np.float64]:
        """Return the spacings of the lattice planes that make rings, Angstrom, from the largest.

        Parameters
        ----------
        d_min
            Smallest spacing.
        count
            At most so many.

        Examples
        --------
        >>> CALIBRANTS["CeO2"].d_spacings(1.5).round(3)
        array([3.124, 2.706, 1.913, 1.632, 1.562])
        """
        if not d_min > 0:
            msg = f"d_min is {d_min}; expected a positive spacing (Angstrom)"
            raise ValueError(msg)
        return _spacings(self, d_min)[:count].copy()

    def inverse_square(self, h: int, k: int, l: int) -> float:
        """Return 1 / d^2 of the planes (h, k, l), 1/Angstrom^2."""
        across = (h * h + h * k + k * k) * 4 / 3 if self.system == "hexagonal" else h * h + k * k
        return across / self.a**2 + l * l / self.c**2

    def two_theta(self, wavelength: float, d_min: float = 0.5) -> NDArray[np.float64]:
        """Return the angles of the rings, degrees, ascending; `wavelength` in Angstrom."""
        sine = wavelength / (2 * self.d_spacings(max(d_min, wavelength / 2 * (1 + 1e-12))))
        return np.asarray(np.degrees(2 * np.arcsin(sine)))


@lru_cache(maxsize=64)
def _spacings(powder: Calibrant, d_min: float) -> NDArray[np.float64]:
    most = min(MAX_INDEX, math.ceil(powder.a / d_min * 1.2)) if powder.system != "lamellar" else 0
    most_l = min(MAX_INDEX, math.ceil(powder.c / d_min))
    lowest = -most if powder.system == "hexagonal" else 0
    squares = {
        round(powder.inverse_square(h, k, l), 12)
        for h, k, l in itertools.product(range(most + 1), range(lowest, most + 1), range(most_l + 1))
        if (h or k or l) and powder.allowed(h, k, l)
    }
    spacings = np.sort(1 / np.sqrt(np.array(sorted(squares))))[::-1]
    spacings = spacings[spacings >= d_min]
    apart = np.ones(len(spacings), np.bool_)
    apart[1:] = np.diff(spacings) < -SAME * spacings[1:]
    return spacings[apart]


def _cubic(name: str, a: float, allowed: Callable[[int, int, int], bool], source: str) -> Calibrant:
    return Calibrant(name, "cubic", a, a, allowed, source)


CALIBRANTS: Final[dict[str, Calibrant]] = {
    one.name: one
    for one in (
        _cubic("CeO2", 5.41165, _face, "NIST SRM 674b"),
        _cubic("LaB6", 4.156826, _any, "NIST SRM 660c"),
        _cubic("Si", 5.431109, _diamond, "NIST SRM 640d to 640f within 1e-5"),
        Calibrant("Al2O3", "hexagonal", 4.759091, 12.991779, _corundum, "NIST SRM 676a"),
        Calibrant("AgBh", "lamellar", 58.380, 58.380, _lamellar, "Huang et al. 1993"),
        Calibrant("Cr2O3", "hexagonal", 4.95916, 13.59656, _corundum, "NIST SRM 674b"),
        Calibrant("TiO2", "tetragonal", 4.59365, 2.95874, _rutile, "NIST SRM 674b, rutile"),
        Calibrant("ZnO", "hexagonal", 3.24983, 5.20681, _wurtzite, "NIST SRM 674b"),
        _cubic("NaCl", 5.6402, _face, "usual tables, 298 K"),
        _cubic("Au", 4.0786, _face, "usual tables, 298 K"),
        _cubic("Pt", 3.9242, _face, "usual tables, 298 K"),
        _cubic("Ni", 3.5238, _face, "usual tables, 298 K"),
        _cubic("Al", 4.0495, _face, "usual tables, 298 K"),
        _cubic("Cu", 3.6149, _face, "usual tables, 298 K"),
        _cubic("W", 3.1652, _body, "usual tables, 298 K"),
        _cubic("diamond", 3.56679, _diamond, "usual tables, 298 K"),
    )
}


def calibrant(name: str | Calibrant) -> Calibrant:
    """Return a calibrant by its name, in upper or lower case.

    Raises
    ------
    ValueError
        There is none of that name; lists those that there are.
    """
    if isinstance(name, Calibrant):
        return name
    for known, found in CALIBRANTS.items():
        if known.lower() == name.strip().lower():
            return found
    msg = f"no calibrant is called {name!r:.60}; known: {', '.join(CALIBRANTS)}"
    raise ValueError(msg)
