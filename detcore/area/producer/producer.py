"""Configurations of the LCLS small-data production as setups: one for each detector, read as data, never executed."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detcore.area.producer.producervalues import Problem, values_of
from detcore.area.setup.setupfile import Setup
from detcore.core.parameters import InvalidParameters

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

MAX_VALUES: Final = 200_000
# Functions of configurations, by what they describe. Several names were in use.
ROIS: Final = ("getROIs", "get_rois", "get_ROIs")
SUMS: Final = ("get_sum_algos", "getDetSums", "get_det_sums")
DROPLETS: Final = ("get_droplet", "getDropletParams")
PHOTONS: Final = ("get_droplet2photon", "get_droplet2photons", "getDroplet2Photons")
PLAIN: Final = {
    "azimuthalBinning": ("get_azav", "getAzIntParams"),
    "azav_pyfai": ("get_azav_pyfai", "getAzIntPyFAIParams"),
    "imageFunc": ("getDetImages", "get_det_images"),
    "PolynomialCurveCorrection": ("get_polynomial_correction", "getPolynomialCorrection"),
    "photonFunc": ("getPhotonParams", "get_photon"),
    "Autocorrelation": ("getAutocorrParams", "get_autocorrelation"),
    "SvdFit": ("getSvdParams", "get_svd"),
    "projectionFunc": ("getProjections", "get_projection"),
}
LISTS: Final = (
    "detectors",
    "detnames",
    "integrating_detectors",
    "epicsPV",
    "epicsOncePV",
    "epicsArchFilePV",
    "ttCalib",
)
ROI_KEYS: Final = {"name", "ROI", "writeArea", "calcPars", "thresADU", "pj", "proj_ax"}
DROPLET_KEYS: Final = {
    "threshold": "threshold", "thresholdLow": "threshold_low", "thresADU": "min_sum", "useRms": "noise_units",
    "pixmax": "max_pixels",
}  # fmt: skip


class Producer(NamedTuple):
    """What a configuration says for one run.

    Parameters
    ----------
    setups
        By the name of the detector.
    lists
        The lists of the file that no setup has a place for: ``detectors``, ``epicsPV``, ….
    problems
        What was not understood or has no place, in the order of the file.
    """

    setups: dict[str, Setup]
    lists: dict[str, Any]
    problems: tuple[Problem, ...]


def read_producer(path: str | os.PathLike[str], run: int) -> Producer:
    """Read a configuration file as it is for one run.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not Python; begins with the name of the file.
    """
    place = Path(path)
    try:
        return producer_from_text(place.read_text("utf-8"), run)
    except ValueError as error:  # also bytes that are no text
        msg = f"{place}: {error}"
        raise ValueError(msg) from None


def producer_from_text(text: str, run: int) -> Producer:
    """Read a configuration as it is for one run.

    Parameters
    ----------
    text
        Of the Python file.
    run
        Its functions depend on the number of the run.

    Raises
    ------
    ValueError
        It is not Python, too long or nested too deeply.

    Examples
    --------
    >>> found = producer_from_text('''
    ... detectors = ["epix"]
    ... def getROIs(run):
    ...     if run > 5:
    ...         return {"epix": [{"ROI": [[0, 10], [5, 9]], "writeArea": True}]}
    ... ''', run=7)
    >>> found.setups["epix"].rois[0].bounds, found.problems
    (((0, 10), (5, 9)), ())
    """
    values = values_of(text, run)
    problems = list(values.problems)
    lists: dict[str, Any] = {name: values.names[name] for name in LISTS if name in values.names}
    sections: dict[str, dict[str, Any]] = {}
    # A detector that is listed without anything to compute has a setup too: its sums are the default.
    for name in _names(lists.get("detectors")) + _names(lists.get("detnames")):
        sections.setdefault(name, {})
    readers = dict.fromkeys(ROIS, _rois) | dict.fromkeys(DROPLETS, _droplets) | dict.fromkeys(PHOTONS, _photons)
    kinds = {name: kind for kind, names in PLAIN.items() for name in names}
    everywhere: list[str] = []
    for function, found in values.returned.items():
        if found is None or found == {} or function.startswith("_"):
            continue
        if not isinstance(found, dict) or _size(found) > MAX_VALUES:
            if function in {*readers, *kinds, *SUMS}:
                problems.append(Problem(0, f"{function}: a dictionary by detector expected; it is left out"))
            continue
        for detector, wanted in found.items():
            section = sections.setdefault(str(detector), {}) if function in {*readers, *kinds, *SUMS} else {}
            where = f"{function}, {detector}"
            try:
                if function in SUMS:
                    sums = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
                    if detector == "all":
                        everywhere += sums
                    else:
                        section.setdefault("sums", []).extend(sums)
                elif function in readers:
                    readers[function](section, wanted)
                elif function in kinds:
                    for one in wanted if isinstance(wanted, list) else [wanted]:
                        section.setdefault("functions", []).append(_spec(kinds[function], one))
                else:
                    problems.append(Problem(0, f"{where}: there is nothing like it for area detectors; left out"))
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                problems.append(Problem(0, f"{where}: {str(error) or 'not understood'}; left out"))
    sections.pop("all", None)
    setups = {}
    for name, section in sections.items():
        if everywhere:
            section["sums"] = list(dict.fromkeys([*everywhere, *section.get("sums", [])]))
        setup = _setup(name, section, problems)
        if setup is not None:
            setups[name] = setup
    return Producer(setups, lists, tuple(problems))


def _setup(name: str, section: Mapping[str, Any], problems: list[Problem]) -> Setup | None:
    """Build the setup; if a section is wrong, build it without that one, and say so."""
    kept = {"detector": {"name": name}, **section}
    for _ in range(len(kept) + 1):
        try:
            return Setup().with_(**kept)
        except InvalidParameters as error:
            wrong = [key for key in kept if key in str(error)]
            problems.append(Problem(0, f"{name}: {error}; left out"))
            if not wrong:
                return None
            for key in wrong:
                kept.pop(key)
    return None


def _rois(section: dict[str, Any], wanted: Any) -> None:
    # A dictionary, bounds alone, or a list of one of them.
    bare = isinstance(wanted, list) and all(
        isinstance(one, list) and not isinstance(one[0], list) for one in wanted if one
    )
    for number, entry in enumerate([wanted] if bare or not isinstance(wanted, list) else wanted):
        one = {"ROI": entry} if isinstance(entry, list) else entry
        if not isinstance(one, dict):
            msg = f"bounds or a dictionary expected, found {str(entry)[:60]}"
            raise TypeError(msg)
        name = str(one.get("name", f"ROI_{number}"))
        bounds = one.get("ROI")
        plain = (
            isinstance(bounds, list)
            and len(bounds) in {2, 3}
            and all(isinstance(pair, list) and len(pair) == 2 and 0 <= pair[0] < pair[1] for pair in bounds)
        )
        if not isinstance(bounds, list) or not plain or set(one) - ROI_KEYS:
            section.setdefault("functions", []).append(_spec("ROIFunc", {**one, "name": name}))
            continue
        projections = list(one.get("pj") or ())
        if one.get("proj_ax") is not None:
            projections.append({"axis": one["proj_ax"]})
        section.setdefault("rois", []).append(
            {
                "name": name,
                "bounds": [[_whole(end) for end in pair] for pair in bounds],
                "area": bool(one.get("writeArea", False)),
                "calcPars": bool(one.get("calcPars", True)),
                "threshold": one.get("thresADU"),
                "projections": projections,
            }
        )


def _droplets(section: dict[str, Any], wanted: Any) -> None:
    for one in wanted if isinstance(wanted, list) else [wanted]:
        if set(one) <= set(DROPLET_KEYS) and "droplets" not in section:
            section["droplets"] = {DROPLET_KEYS[name]: value for name, value in one.items()}
        else:
            section.setdefault("functions", []).append(_spec("dropletFunc", one))


def _photons(section: dict[str, Any], wanted: Any) -> None:
    for one in wanted if isinstance(wanted, list) else [wanted]:
        photons = _spec("droplet2Photons", one.get("d2p", {}))
        if "nData" in one:
            photons["children"] = [_spec("sparsifyFunc", {"nData": one["nData"]})]
        if one.get("get_photon_img"):
            photons.setdefault("children", []).append(_spec("imageFunc", {}))
        droplets = _spec("dropletFunc", one.get("droplet", {}))
        droplets["children"] = [photons]
        section.setdefault("functions", []).append(droplets)


def _spec(kind: str, params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        msg = f"a dictionary of parameters expected, found {str(params)[:60]}"
        raise TypeError(msg)
    rest = {str(name): value for name, value in params.items() if name != "name"}
    return {"kind": kind, "name": str(params.get("name") or ""), "params": rest}


def _whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return operator.index(value)


def _names(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _size(value: Any) -> int:
    """Count the values inside, but no further than the limit: lists may be inside of each other, or of themselves."""
    count, left = 0, [value]
    while left and count <= MAX_VALUES:
        one = left.pop()
        count += 1
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return count
