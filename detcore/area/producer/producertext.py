"""Setups as a configuration of the LCLS small-data production: a Python file of dictionaries."""

from __future__ import annotations

import math
import pprint
from typing import TYPE_CHECKING, Any, Final

from detcore.area.producer.producer import DROPLET_KEYS, PLAIN
from detcore.image import Rectangle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detcore.area.setup.setupfile import Setup
    from detcore.area.setup.setupsections import FunctionSpec, Roi

SECTIONS: Final = {"photons": "photonFunc", "projection": "projectionFunc", "image": "imageFunc"}
UNITS: Final = {"q": "q_A^-1", "2theta": "2th_deg"}
WITHOUT_PLACE: Final = (
    "mask", "psana_options", "common_mode", "spectrum", "rebin", "sparsify", "autocorrelation", "filters",
)  # fmt: skip


class _Found:
    """The dictionaries of a file, and what has no place in them."""

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, Any]] = {}
        self.left_out: list[str] = []

    def add(self, function: str, detector: str, value: Any) -> None:
        """Add one of several entries of a detector."""
        self.functions.setdefault(function, {}).setdefault(detector, []).append(value)


def producer_text(setups: Mapping[str, Setup]) -> tuple[str, tuple[str, ...]]:
    """Write a configuration that the production reads.

    Parameters
    ----------
    setups
        By the name of the detector.

    Returns
    -------
    str
        The Python file: ``detectors`` and one function for each kind of analysis, the same for all runs.
    tuple[str, ...]
        What it has no place for, one line each; they are comments at the end of the file too.

    Examples
    --------
    >>> from detcore.area.setup.setupfile import Setup
    >>> setup = Setup.from_yaml("rois: [{name: spot, bounds: [[0, 5], [2, 9]]}]")
    >>> text, left_out = producer_text({"epix": setup})
    >>> "def getROIs(run):" in text, left_out
    (True, ())
    """
    found = _Found()
    for detector, setup in setups.items():
        for roi in setup.rois:
            _roi(found, detector, roi)
        _droplets(found, detector, setup)
        _azimuthal(found, detector, setup)
        for section, kind in SECTIONS.items():
            if (values := getattr(setup, section)) is not None:
                found.add(PLAIN[kind][0], detector, values.parameters())
        for spec in setup.functions:
            _function(found, detector, spec)
        if setup.sums:
            found.functions.setdefault("getDetSums", {})[detector] = list(setup.sums)
        for name in WITHOUT_PLACE:
            if getattr(setup, name) not in (None, ()):
                found.left_out.append(f"{detector}: {name}")
        if setup.background.image is not None or setup.background.dropped:
            found.left_out.append(f"{detector}: background")
    parts = [
        '"""Configuration of the production, written by detcore from setup files."""',
        f"detectors = {list(setups)!r}\nepicsPV = []\nepicsOncePV = []",
    ]
    for function, by_detector in found.functions.items():
        body = pprint.pformat(_single(function, by_detector), width=100, sort_dicts=False)
        parts.append(f"\ndef {function}(run):\n    return {body.replace(chr(10), chr(10) + ' ' * 11)}")
    if found.left_out:
        parts.append("\n" + "\n".join(f"# no place for it here: {' '.join(line.split())}" for line in found.left_out))
    return "\n\n".join(parts) + "\n", tuple(found.left_out)


def _single(function: str, by_detector: Mapping[str, Any]) -> dict[str, Any]:
    """Take an entry out of its list where it is the only one; regions and sums are always lists."""
    if function in {"getROIs", "getDetSums"}:
        return dict(by_detector)
    return {name: many[0] if len(many) == 1 else many for name, many in by_detector.items()}


def _roi(found: _Found, detector: str, roi: Roi) -> None:
    bounds = None if roi.bounds is None else [list(pair) for pair in roi.bounds]
    if isinstance(roi.region, Rectangle):
        box = roi.region
        rows, columns = (
            [max(0, math.ceil(low)), math.ceil(high)] for low, high in ((box.y0, box.y1), (box.x0, box.x1))
        )
        bounds = [rows, columns] if roi.panel is None else [[roi.panel, roi.panel + 1], rows, columns]
    if bounds is None or any(first >= end for first, end in bounds):
        found.left_out.append(f"{detector}: ROI {roi.name!r}, only rectangles are known there")
        return
    entry: dict[str, Any] = {
        "name": roi.name,
        "ROI": bounds,
        "writeArea": roi.area,
        "calcPars": roi.calcPars,
        "thresADU": _listed(roi.threshold),
    }
    if roi.projections:
        entry["pj"] = [{name: _listed(value) for name, value in one.parameters().items()} for one in roi.projections]
    found.add("getROIs", detector, entry)


def _droplets(found: _Found, detector: str, setup: Setup) -> None:
    if setup.droplets is None:
        return
    values = setup.droplets.parameters()
    photon = values.pop("photon_adu", None)
    entry = {key: values[name] for key, name in DROPLET_KEYS.items() if name in values}
    if photon is None:
        found.add("get_droplet", detector, entry)
    else:
        found.add("get_droplet2photon", detector, {"droplet": entry, "d2p": {"aduspphot": photon}})


def _azimuthal(found: _Found, detector: str, setup: Setup) -> None:
    section = setup.azimuthal
    if section is None:
        return
    if setup.geometry is None or setup.geometry.distance is None or section.unit not in UNITS or section.edges:
        found.left_out.append(
            f"{detector}: azimuthal, which needs a geometry with a distance, and equal bins in q or 2theta"
        )
        return
    entry: dict[str, Any] = {
        "ai_kwargs": {
            name: value for name, value in setup.geometry.to_poni(setup.detector.shape).items() if value is not None
        },
        "int_units": UNITS[section.unit],
        "polarization_factor": section.polarization,
        "return2d": section.sectored,
    }
    if section.bins is not None:
        entry["npts"] = section.bins
    if isinstance(section.sectors, int) and section.sectored:
        entry["npts_az"] = section.sectors
    if section.q_range is not None and None not in section.q_range:
        entry["azav_kwargs"] = {"radial_range": list(section.q_range)}
    found.add("get_azav_pyfai", detector, entry)


def _function(found: _Found, detector: str, spec: FunctionSpec) -> None:
    entry = {**({"name": spec.name} if spec.name else {}), **spec.params}
    children = spec.children
    if spec.kind == "dropletFunc" and len(children) == 1 and children[0].kind == "droplet2Photons":
        photons: dict[str, Any] = {"droplet": entry, "d2p": dict(children[0].params)}
        for one in children[0].children:
            photons |= {"nData": one.params.get("nData")} if one.kind == "sparsifyFunc" else {"get_photon_img": True}
        found.add("get_droplet2photon", detector, photons)
        return
    names = {kind: many[0] for kind, many in PLAIN.items()} | {"dropletFunc": "get_droplet", "ROIFunc": "getROIs"}
    if children or spec.kind not in names:
        found.left_out.append(f"{detector}: function {spec.name or spec.kind!r}")
        return
    found.add(names[spec.kind], detector, entry)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
