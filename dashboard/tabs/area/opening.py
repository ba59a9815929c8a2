"""How files are opened, and with which setup a viewer begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dashboard.tabs.area.look import SETUP_ENDINGS
from detcore import area

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dashboard.tabs.area.look import Place
    from dashboard.tabs.area.science import Facts
    from detcore.core.paths import Roots


def options_of(place: Place, setup: area.Setup) -> tuple[tuple[str, Any], ...]:
    """Return options for `area.open_files`: what the link says, else what the setup says."""
    section = setup.detector
    kind = place.detector or (section.type if section.type != "unknown" else "")
    found = {
        "dataset": place.dataset or section.dataset or "", "type": kind,
        "orientation": place.orientation or section.orientation,
    }  # fmt: skip
    return tuple((name, value) for name, value in found.items() if value and (name, value) != ("orientation", 1))


def setup_for(place: Place, paths: Sequence[str], facts: Facts, roots: Roots) -> tuple[area.Setup, Path | None]:
    """Return the setup to begin with, and its file if it has one.

    Parameters
    ----------
    place
        What the link says.
    paths
        All that was chosen, or the demo.
    facts
        Of the data.
    roots
        Where may be read.

    Raises
    ------
    OSError, ValueError
        The setup of the link cannot be used.
    """
    named = place.setup or next((path for path in paths if path.endswith(SETUP_ENDINGS)), "")
    if named:
        path = roots.resolve(named)
        return confined(area.Setup.load(path), roots), path
    return area.Setup(geometry=geometry_of(facts)), None


def geometry_of(facts: Facts) -> area.Geometry | None:
    """Return what the files say about the beam; None if they do not say where it is."""
    detector = facts.detector
    if detector.centre is None or not all(map(math.isfinite, detector.centre)):
        return None
    size = detector.pixel_size
    known = all(map(math.isfinite, size))
    try:
        return area.Geometry(
            x=detector.centre[0], y=detector.centre[1], distance=detector.distance or None, energy=detector.energy or None,
            pixel_size=size if known else None,
        )  # fmt: skip
    except ValueError:
        return None  # what the file says is impossible


def confined(setup: area.Setup, roots: Roots) -> area.Setup:
    """Return the setup, if all files that it names may be read.

    Raises
    ------
    PermissionError
        One is outside of the data roots.
    """
    for name in setup.files():
        roots.resolve(name)
    return setup
