"""What the mask options of psana are as steps of a mask that can be seen, moved and switched off one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detcore.area.detector.catalogue import type_of
from detcore.area.detector.psanamask import chosen
from detcore.image import AsicEdgesOperation, BitsOperation, EdgesOperation, StatusOperation, UnbondedOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detcore.area.detector.model import Detector
    from detcore.image import Operation


def generic_operations(options: Sequence[str], detector: Detector) -> tuple[Operation, ...]:
    """Return steps that mask the same pixels as `psana_mask` does with these options.

    Parameters
    ----------
    options
        ``calib``, ``status``, ``edges``, ``central``, ``unbond``, ``unbondnbrs``, ``unbondnbrs8``.
    detector
        What it has arrays for: a step that needs a missing one is left out, as psana does.

    Raises
    ------
    ValueError
        One is not a name of an option.

    Examples
    --------
    >>> from detcore.area.detector import Detector
    >>> quad = Detector(name="quad", type="unknown", shape=(4, 352, 384), asic=(176, 192))
    >>> [step.kind for step in generic_operations(["edges", "central"], quad)]
    ['edges', 'asic_edges']
    """
    wanted = chosen(options)
    steps: list[Operation] = []
    if "status" in wanted:
        if detector.status is not None:
            gains = None
            if detector.status.ndim > len(detector.shape):
                known = type_of(detector.type).gain_ranges or range(len(detector.status))
                gains = tuple(gain for gain in known if gain < len(detector.status))
            steps.append(StatusOperation(name="status", status_bits=0xFFFFFFFF, gains=gains))
        if detector.pixel_mask is not None:
            named = ("gap", "dead", "under", "over", "noisy", "cluster")
            steps.append(BitsOperation(name="status of the file", raster="pixel_mask", bits=named))
    if "calib" in wanted and detector.pixel_mask is not None:
        steps.append(BitsOperation(name="calib", raster="pixel_mask", bits=("user",)))
    if "edges" in wanted:
        steps.append(EdgesOperation(name="edges"))
    if "central" in wanted:
        steps.append(AsicEdgesOperation(name="central", asic=detector.asic))
    bonds = {"unbondnbrs8": 8, "unbondnbrs": 4, "unbond": 0}
    for name, neighbours in bonds.items():
        if name in wanted and detector.type.startswith("cspad"):
            steps.append(UnbondedOperation(name=name, neighbours=neighbours, asic=detector.asic))
    return tuple(steps)
