"""The common-mode numbers of LCLS, as lists of steps, for each type of detector.

The numbers and their parameters are those of smalldata_tools and psana; a number means different things for different
detectors. Groups are in the pixels of one panel as it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detcore.area.images.commonmode import CommonModeStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detcore.area.images.commonmode import Kind

Region = tuple[tuple[int, int], tuple[int, int]]
MORE_THAN_TEN: Final = 11  # psana asks for more than ten pixels
RAW, RAW_WITH_GAIN, PEDESTAL, FACILITY = -1, -2, 0, 30
GHOST: Final = 100  # is added to a number for the ghost correction of the ePix10k


@dataclass(frozen=True, slots=True)
class Preset:
    """What a common-mode number stands for.

    Parameters
    ----------
    steps
        What is done, in order; none for numbers that do not correct.
    meaning
        In words.
    pedestal
        Whether the pedestal is subtracted before.
    gain_bits
        Whether the gain bits stay in the words.
    needs
        What the steps cannot do without: "noise", "dark region", or nothing.
    """

    steps: tuple[CommonModeStep, ...]
    meaning: str
    pedestal: bool = True
    gain_bits: bool = False
    needs: str = ""


def _step(
    kind: Kind, group: tuple[int, int] | None = None, cap: float | None = None, min_good: int = 1, **more: object
) -> CommonModeStep:
    return CommonModeStep.checked({"kind": kind, "group": group, "cap": cap, "min_good": min_good} | more)


def _plain() -> dict[int, Preset]:
    return {
        PEDESTAL: Preset((), "pedestal subtracted"),
        RAW: Preset((), "as it was read", pedestal=False),
        FACILITY: Preset((), "pedestal subtracted and gain applied, as the facility calibrates by default"),
    }


def _lines(rows: tuple[int, int] | None, columns: tuple[int, int] | None, cap: float | None) -> dict[str, Preset]:
    """Return the corrections by rows, by columns and by both, of which each detector has its own numbers."""
    along = _step("row", rows, cap, MORE_THAN_TEN)
    down = _step("column", columns, cap, MORE_THAN_TEN)
    limit = f", below {cap:g} ADU" if cap else ""
    return {
        "rows": Preset((along,), f"median of each row{_of(rows)}{limit}"),
        "columns": Preset((down,), f"median of each column{_of(columns)}{limit}"),
        "both": Preset((along, down), f"medians of each row{_of(rows)}, then of each column{_of(columns)}{limit}"),
    }


def _of(group: tuple[int, int] | None) -> str:
    return " of the panel" if group is None else f" in blocks of {group[0]} x {group[1]}"


def _cspad() -> dict[int, Preset]:
    chip = (185, 194)
    peak = {"kind": "peak", "cap": 25, "rms_cap": 40, "threshold": 100, "group": chip}
    return {
        1: Preset((CommonModeStep.checked(peak),), "peak of no photons of each tile, below 25 ADU"),
        5: Preset(
            (_step("unbonded", chip, 100, statistic="mean"),), "mean of unbonded pixels of each tile, below 100 ADU"
        ),
        55: Preset((_step("unbonded", chip, 5000, statistic="mean"),), "as 5, below 5000 ADU"),
        10: Preset(
            (CommonModeStep.checked(peak | {"fallback": True}),), "as 1; unbonded pixels where a tile has no such peak"
        ),
    }


def _epix100() -> dict[int, Preset]:
    bank = (352, 96)
    quiet: dict[str, Any] = {"exclude_noise": 10, "exclude_neighbours": True, "exclude_above": 30}
    column = _step("column", bank, 30, min_fraction=0.25, **quiet)
    row = _step("row", bank, 30, min_fraction=0.25, **quiet)
    mean = _step("panel", statistic="mean", **quiet)
    words = "medians of half columns, then of rows in 96 pixels, without pixels above 10 times their noise or 30 ADU"
    lines = Preset((column, row), words, needs="noise")
    whole = Preset((mean, column, row), f"mean of the panel, then {words}", needs="noise")
    both = (_step("row", bank, 30, MORE_THAN_TEN), _step("column", bank, 30, MORE_THAN_TEN))
    loose = tuple(one.model_copy(update={"cap": 100.0, "min_good": 101}) for one in both)
    return {
        6: whole,
        36: lines,
        4: Preset(both, "medians of rows in 96 pixels, then of half columns, below 30 ADU"),
        34: Preset(loose, "as 4, below 100 ADU and of more than 100 pixels"),
        45: lines,
        46: whole,
        47: Preset((_step("bank", bank), column, row), f"median of each bank, then {words}", needs="noise"),
    }


def _jungfrau() -> dict[int, Preset]:
    lines = _lines((256, 64), (256, 64), 10)
    return {7: lines["both"], 71: lines["rows"], 72: lines["columns"]}


def _epix10k() -> dict[int, Preset]:
    lines, wide = _lines((176, 48), (176, 48), 10), _lines((176, 48), (176, 48), 100)
    none = "pedestal subtracted and gain applied, no common mode"
    found = {
        80: Preset((), none),
        81: Preset((), f"{none}; the ranges of fixed gain by hand"),
        82: Preset((), f"{none}; the ranges of switching gain by hand"),
        83: wide["rows"],
        84: lines["columns"],
        85: lines["both"],
        RAW_WITH_GAIN: Preset((), "as it was read, with the gain bits", pedestal=False, gain_bits=True),
    }
    for number in (80, 81):
        ghost = f"{found[number].meaning}; then the image that the previous event left behind"
        found[GHOST + number] = Preset((), ghost)
    return found


def _icarus(dark_region: Region | None) -> dict[int, Preset]:
    middle = _step("region", region=((0, 1024), (255, 257)))
    found = {
        98: Preset((), "median of the two middle columns of each frame, stored and not subtracted"),
        99: Preset((middle,), "median of the two middle columns of each frame"),
    }
    if dark_region is None:
        words = "needs a dark region: give it, or a step of kind region"
        return found | {80: Preset((), words, needs="dark region"), 81: Preset((), words, needs="dark region")}
    dark = _step("region", region=dark_region)
    half = _step("row", (1, 256), 30, exclude_above=30, min_fraction=0.05)
    return found | {
        80: Preset((dark,), "median of the dark region of each frame"),
        81: Preset((dark, half), "median of the dark region, then of each half row without pixels above 30 ADU"),
    }


def presets(detector_type: str, *, dark_region: Region | None = None) -> dict[int, Preset]:
    """Return the corrections that a type of detector knows, by their number.

    Parameters
    ----------
    detector_type
        Key of the catalogue of detectors; any that has no corrections of its own gets those by lines of the panel.
    dark_region
        Rows and columns, half-open, that no light reaches; for the numbers 80 and 81 of the Icarus.

    Returns
    -------
    dict of int to Preset
        Numbers without steps among them.

    Examples
    --------
    >>> [step.kind for step in presets("epix100")[46].steps]
    ['panel', 'column', 'row']
    >>> presets("unknown")[71].meaning
    'median of each row of the panel'
    """
    name = "".join(letter for letter in detector_type.lower() if letter.isalnum())
    if name.startswith("cspad") or name == "cs140k":
        own = _cspad()
    elif name.startswith("epix10k"):
        own = _epix10k()
    elif name.startswith("epix"):
        own = _epix100()
    elif name.startswith("jungfrau"):
        own = _jungfrau()
    elif name in {"icarus", "uxi"}:
        own = _icarus(dark_region)
    else:
        lines = _lines(None, None, None)
        own = {7: lines["both"], 71: lines["rows"], 72: lines["columns"]}
    return _plain() | own


def preset(number: int, detector_type: str, *, dark_region: Region | None = None) -> Preset:
    """Return one correction.

    Raises
    ------
    ValueError
        This type has no such number, or the number needs a dark region; lists what there is.
    """
    known = presets(detector_type, dark_region=dark_region)
    if number not in known:
        msg = f"no common mode {number} of detectors of type {detector_type}; there are {_listed(sorted(known))}"
        raise ValueError(msg)
    if known[number].needs == "dark region":
        msg = f"common mode {number} of {detector_type} {known[number].meaning}"
        raise ValueError(msg)
    return known[number]


def steps_of(
    wanted: int | Sequence[CommonModeStep] | None, detector_type: str = "unknown"
) -> tuple[CommonModeStep, ...]:
    """Return the steps of a number, or the steps that are given; none of None.

    Raises
    ------
    ValueError
        As for `preset`.
    """
    if wanted is None:
        return ()
    return preset(wanted, detector_type).steps if isinstance(wanted, int) else tuple(wanted)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
