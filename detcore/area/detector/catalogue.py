"""What is known of each kind of detector before a file is opened: sizes, ASICs, common-mode corrections.

Sizes are those of the facility's data (LCLS for most): an array (module, y, x), or (y, x) for one sensor. The lists of
common-mode numbers are those that smalldata_tools offers for the type, the one it uses by default first.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN: Final = "unknown"
_CAMERA = (0, -1, 30)
_NONE = "no correction: cameras have no common mode worth one"


@dataclass(frozen=True, slots=True)
class DetectorType:
    """One kind of detector.

    Parameters
    ----------
    key, title
        Name in setups, and for people.
    shape
        Of a frame as read, (y, x) or (module, y, x); None where it differs between detectors of this kind.
    image_shape
        (y, x) of the assembled image with the usual geometry; None where that is not fixed.
    pixel_size
        (y, x), m; None where it is not fixed.
    asic
        (rows, columns) of one readout chip; None for one sensor without seams.
    common_modes
        Numbers that may be asked for, the default first.
    recommended
        What the facility recommends, in words.
    gain_ranges
        Which entries of the leading gain axis count when its masks are merged; () without gain switching.
    aliases
        Other names in use.
    """

    key: str
    title: str
    shape: tuple[int | None, ...] | None = None
    image_shape: tuple[int, int] | None = None
    pixel_size: tuple[float, float] | None = None
    asic: tuple[int, int] | None = None
    common_modes: tuple[int, ...] = _CAMERA
    recommended: str = _NONE
    gain_ranges: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def common_mode(self) -> int:
        """The number that is taken when none is asked for."""
        return self.common_modes[0]

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether a frame of this shape may come from such a detector."""
        return (
            self.shape is not None
            and len(shape) == len(self.shape)
            and all(mine in {None, other} for mine, other in zip(self.shape, shape, strict=True))
        )


def _square(size: float) -> tuple[float, float]:
    return size, size


_CSPAD = "1 if every tile has a peak at 0 photons, else 0; 5 takes the unbonded pixels"
_EPIX = "46: noise-excluded medians of banks, columns and rows"
_JUNGFRAU = "0, the facility's default; 7 (rows and columns of each chip) where that leaves stripes"
_EPIX10K = "84: columns of each half panel; 80 (none) for single panels with much signal"
_EPIX10K_GAINS = (0, 1, 2, 3, 4)

_TYPES = (
    DetectorType(UNKNOWN, "any detector", common_modes=(-1, 0, 30), recommended="none is known for this detector"),
    DetectorType("camera", "camera", None, None, _square(25e-6), aliases=("opal", "pulnix", "orca", "zyla", "andor",
        "fli", "istar", "alvium", "controlscamera", "opal1000", "opal2000", "opal4000", "opal8000")),
    DetectorType("rayonix", "Rayonix", None, None, None, None, (-1, 0, 30), "-1, the image as the detector corrects it"),
    DetectorType("cspad2x1", "CSPAD 2x1", (185, 388), None, _square(110e-6), (185, 194), (1, 5, 55, 10, 0, -1, 30),
        _CSPAD, aliases=("cspad_2x1",)),
    DetectorType("cspad140k", "CSPAD 140k", (2, 185, 388), (391, 371), _square(110e-6), (185, 194),
        (1, 5, 55, 10, 0, -1, 30), _CSPAD, aliases=("cs140k", "cspad2x2")),
    DetectorType("cspad", "CSPAD 2.3M", (32, 185, 388), (1689, 1689), _square(110e-6), (185, 194), (0, 1, 5, 10, -1, 30),
        _CSPAD, aliases=("cspad2m",)),
    DetectorType("epix100", "ePix100", (704, 768), (709, 773), _square(50e-6), (352, 384),
        (6, 36, 4, 34, 45, 46, 47, 0, -1, 30), _EPIX, aliases=("epix", "epix100a")),
    DetectorType("jungfrau", "Jungfrau", (None, 512, 1024), None, _square(75e-6), (256, 256), (0, 7, 71, 72, -1, 30),
        _JUNGFRAU, (0, 1, 2), ("jungfrau05m", "jungfrau1m", "jungfrau4m", "jungfrau512k")),
    DetectorType("epix10k", "ePix10k panel", (352, 384), None, _square(100e-6), (176, 192),
        (80, 83, 84, 85, 0, -1, -2, 30), _EPIX10K, _EPIX10K_GAINS, ("epix10ka", "epix10k135")),
    DetectorType("epix10kquad", "ePix10k quad", (4, 352, 384), (775, 793), _square(100e-6), (176, 192),
        (80, 84, 81, 82, 85, 180, 181, 0, -1, -2, 30), _EPIX10K, _EPIX10K_GAINS, ("epix10kaquad",)),
    DetectorType("epix10k2m", "ePix10k 2M", (16, 352, 384), None, _square(100e-6), (176, 192),
        (80, 84, 81, 82, 85, 180, 181, 0, -1, -2, 30), _EPIX10K, _EPIX10K_GAINS, ("epix10ka2m",)),
    DetectorType("icarus", "Icarus", (None, 1024, 512), None, _square(25e-6), None, (0, 80, 81, 98, 99, -1),
        "80 with a dark region; 81 with medians of half rows as well", aliases=("uxi",)),
    DetectorType("pilatus", "Pilatus", None, None, _square(172e-6), None, (-1, 0, 30),
        "none: it counts photons"),
    DetectorType("eiger", "Eiger", None, None, _square(75e-6), None, (-1, 0, 30), "none: it counts photons"),
    DetectorType("lambda", "Lambda", None, None, _square(55e-6), None, (-1, 0, 30), "none: it counts photons"),
    DetectorType("agipd", "AGIPD", (16, 512, 128), None, _square(200e-6), (64, 64), (0, -1, 30),
        "0: the facility's files come corrected", (0, 1, 2)),
)  # fmt: skip

TYPES: Final[Mapping[str, DetectorType]] = MappingProxyType({one.key: one for one in _TYPES})
"""Every kind of detector by its key."""
_ALIASES = {alias: one.key for one in _TYPES for alias in one.aliases}


def type_of(name: str) -> DetectorType:
    """Return what is known of a kind of detector.

    Parameters
    ----------
    name
        Key or alias; case, spaces, dashes and underscores do not matter.

    Raises
    ------
    ValueError
        There is no such kind; lists those that there are.

    Examples
    --------
    >>> type_of("Epix10ka2M").common_modes[:2]
    (80, 84)
    """
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    for key in (name, plain):
        if key in TYPES or key in _ALIASES:
            return TYPES[_ALIASES.get(key, key)]
    msg = f"no detector type {name!r:.60}; known: {', '.join(TYPES)}"
    raise ValueError(msg)


def candidates(shape: Sequence[int]) -> tuple[str, ...]:
    """Return the keys of the types whose frames have this shape: a suggestion for a person, never applied unasked.

    Examples
    --------
    >>> candidates((704, 768))
    ('epix100',)
    """
    return tuple(one.key for one in _TYPES if one.fits(shape))
