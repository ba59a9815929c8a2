"""The demo: photons as a simulation gives them, photons as a generative model might, and pions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from detcore.core.paths import atomic
from detcore.showers.generator import Tuning, cone, photons, pions
from detcore.showers.writer import write_ragged

if TYPE_CHECKING:
    import os

    from detcore.showers.ragged import Ragged

VERSION: Final = 1  # raise it when the content changes: an older demo is then written anew
MARKER: Final = ".demo.json"
SHOWERS: Final = 300  # in each file; all three together are some 26 MB
NAMES: Final = ("photons_geant4_like.h5", "photons_generated.h5", "pions_parametrised.h5")
GENERATED: Final = Tuning(energy=1.03, radius=1.06, depth=0.25, ripple=0.0, soft=0.19, spread=0.9)
"""How the second file differs: a little in everything, as the files of generative models do."""


def write_demo(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the demo into `folder`, or do nothing if it is already there whole.

    Parameters
    ----------
    folder
        Made if it is missing.

    Returns
    -------
    list of Path
        Photons like those of a full simulation, photons that differ a little, pions. All three are parametrised,
        and say so in the attribute `source` of the file.
    """
    root = Path(folder)
    if not _complete(root):
        root.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(NAMES):
            write_ragged(
                root / name, _showers(number), overwrite=True,
                attributes={"source": "parametrised showers of the detcore demo"},
            )  # fmt: skip
        with atomic(root / MARKER) as aside:
            aside.write_text(json.dumps({"version": VERSION, "sizes": _sizes(root)}))
    return [root / name for name in NAMES]


def _showers(number: int) -> Ragged:
    rng = np.random.default_rng([VERSION, number])
    if number == 2:
        return pions(rng.uniform(5, 60, SHOWERS), cone(SHOWERS, 20, seed=number), seed=number)
    tuning = GENERATED if number else Tuning()
    return photons(rng.uniform(5, 50, SHOWERS), cone(SHOWERS, 8, seed=number), seed=number, tuning=tuning)


def _sizes(root: Path) -> dict[str, int]:
    return {name: (root / name).stat().st_size for name in NAMES}


def _complete(root: Path) -> bool:
    """Whether the marker is of this version and every file has the size it had when written."""
    try:
        mark = json.loads((root / MARKER).read_text())
        return bool(mark == {"version": VERSION, "sizes": _sizes(root)})
    except (OSError, ValueError):
        return False
