"""Exports of what the area tab has set up: made by detcore in a thread at the click, then sent."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detcore import area
from detcore.image import write_pixel_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.tabs.area.science import Evaluation, Facts

FORMS: Mapping[str, Any] = {"dials.phil": "dials", "XDS.INP": "xds", "crystfel.geom": "crystfel"}


def content(name: str, convention: Any, setup: area.Setup, evaluation: Evaluation | None, facts: Facts | None) -> bytes:
    """Return one export.

    Parameters
    ----------
    name
        Of the file.
    convention
        What the numbers of a mask mean.
    setup
        What is exported.
    evaluation, facts
        The raster, and the detector that it belongs to.

    Raises
    ------
    ValueError
        It cannot be exported; says why.
    """
    if name == "setup.yaml":
        return setup.to_yaml().encode()
    if name == "producer.py":
        text, _ = area.producer_text({setup.detector.name or "detector": setup})  # what is left out is said in it
        return str(text).encode()
    if facts is None or evaluation is None or evaluation.raw is None:
        msg = "there is no image yet; wait for it"
        raise ValueError(msg)
    if name in FORMS:
        return area.mask_lines(evaluation.raw, FORMS[name], operations=setup.mask).encode()
    with tempfile.TemporaryDirectory(prefix="detcore-export-") as folder:
        path = Path(folder) / name
        write_pixel_mask(path, evaluation.raw, convention=convention)
        return path.read_bytes()
