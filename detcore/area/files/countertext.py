"""What photon counters write into the heads of their TIFF and CBF files: lines like ``# Pixel_size 172e-6 m x 172e-6 m``.

The names are those of the header specification of mini-CBF files (Dectris, version 1.5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from detcore.area.files.formats import guess_type

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = r"([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)"
HC: Final = 12.398419843320026  # keV angstrom; h c, CODATA 2018 (exact)
_LINES: dict[str, tuple[str, Callable[[tuple[str, ...]], Any]]] = {
    "pixel_size": (
        rf"Pixel_size\s+{_NUMBER}\s*m\s*x\s*{_NUMBER}\s*m",
        lambda found: (float(found[1]), float(found[0])),
    ),
    "distance": (rf"Detector_distance\s+{_NUMBER}\s*m\b", lambda found: float(found[0])),
    "energy": (rf"Wavelength\s+{_NUMBER}\s*A", lambda found: HC / float(found[0])),
    "centre": (rf"Beam_xy\s+\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)", lambda found: (float(found[0]), float(found[1]))),
    "saturation": (rf"Count_cutoff\s+{_NUMBER}", lambda found: float(found[0])),
}


def facts_of_text(words: str) -> dict[str, Any]:
    """Return the keywords of `Detector` that a head has.

    Examples
    --------
    >>> facts_of_text("# Detector_distance 0.2 m")
    {'distance': 0.2}
    """
    facts: dict[str, Any] = {}
    for name, (pattern, made) in _LINES.items():
        found = re.search(pattern, words)
        if found:
            try:
                facts[name] = made(found.groups())
            except (ValueError, ZeroDivisionError, OverflowError):
                continue
    described = re.search(r"Detector:\s*([^\r\n]{1,200})", words)
    if described:
        facts["type"] = guess_type(described[1])
    return facts
