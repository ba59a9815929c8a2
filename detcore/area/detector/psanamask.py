"""The masks of LCLS's psana by its own option names; 1 is a good pixel, as there.

Rows and columns count inside a panel; `central` takes one pixel on each side of every seam between readout chips.
The generic equivalents are the operations of `detcore.image`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.detector.catalogue import type_of
from detcore.image import REJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detcore.area.detector.model import Detector

OPTIONS: Final = ("calib", "status", "edges", "central", "unbond", "unbondnbrs", "unbondnbrs8")
MOST_BITS: Final = 0xFFFFFFFF
USER_BITS: Final = 0xFF00  # of an NXmx mask: what people add (bit 8), and the bits without a meaning that reject too
UNBOND_STEP, UNBOND_COLUMNS = 10, (0, 194)  # of a CSPAD 2x1: pixels (p, p) and (p, p + 194)


def psana_mask(
    detector: Detector,
    *,
    calib: bool = False,
    status: bool = False,
    edges: bool = False,
    central: bool = False,
    unbond: bool = False,
    unbondnbrs: bool = False,
    unbondnbrs8: bool = False,
    status_bits: int = MOST_BITS,
    gain_ranges: Sequence[int] | None = None,
    edge_rows: int = 1,
    edge_cols: int = 1,
    center_rows: int = 1,
    center_cols: int = 1,
    neighbors: bool = False,
    rad: int = 5,
    ptrn: str = "r",
) -> NDArray[np.uint8]:
    """Return the mask that psana makes with these options.

    Parameters
    ----------
    detector
        With the arrays that the options need; what is missing hides nothing.
    calib
        The stored mask: of `Detector.pixel_mask`, what a person put there (NXmx bits 8 to 15).
    status
        The status of the dark frames, and the bits 0 to 7 (gap, dead, noisy …) of `Detector.pixel_mask`.
    edges
        The outermost `edge_rows` and `edge_cols` of every panel.
    central
        `center_rows` and `center_cols` pixels on both sides of the seams between the chips of a panel.
    unbond, unbondnbrs, unbondnbrs8
        CSPAD: pixels that are connected to nothing, with their 4 or 8 neighbours.
    status_bits
        Which bits of the status count.
    gain_ranges
        Which entries of the gain axis count: a pixel is good if it is in all of them. None: those of the type.
    neighbors, rad, ptrn
        Spread bad pixels of the status so far; pattern "r" rhombus, "c" circle, anything else a square.

    Returns
    -------
    ndarray
        uint8 of the shape of a raw frame, 1 where a pixel is good.

    Raises
    ------
    ValueError
        The detector has no chips where `central` needs them, or a width is negative.
    """
    _check_widths(edge_rows=edge_rows, edge_cols=edge_cols, center_rows=center_rows, center_cols=center_cols, rad=rad)
    good = np.ones(detector.shape, np.bool_)
    if status:
        good &= _status_good(detector, status_bits, gain_ranges)
        if neighbors:
            good = ~_spread(~good, rad, ptrn)
    if calib and detector.pixel_mask is not None:
        good &= (detector.pixel_mask & np.uint32(USER_BITS)) == 0
    if edges:
        good &= ~edge_pixels(detector.shape, edge_rows, edge_cols)
    if central:
        good &= ~seam_pixels(detector.shape, detector.asic, center_rows, center_cols)
    if unbond or unbondnbrs or unbondnbrs8:
        bad = unbonded_pixels(detector)
        if unbondnbrs or unbondnbrs8:
            bad = _spread(bad, 1, "square" if unbondnbrs8 else "r")
        good &= ~bad
    return good.astype(np.uint8)


def chosen(options: Sequence[str]) -> dict[str, bool]:
    """Return the keywords of `psana_mask` for a list of option names.

    Raises
    ------
    ValueError
        One is not a name of an option.
    """
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        msg = f"unknown mask option {unknown[0]!r:.60}; expected {', '.join(OPTIONS)}"
        raise ValueError(msg)
    return dict.fromkeys(options, True)


def merged_status(
    status: NDArray[Any], shape: tuple[int, ...], bits: int, gains: Sequence[int] | None
) -> NDArray[np.bool_]:
    """Return where no chosen bit is set, in any of the chosen gain ranges; of the shape of a raw frame."""
    clean = (status.astype(np.uint64, copy=False) & np.uint64(bits)) == 0
    if clean.ndim > len(shape):
        ranges = [gain for gain in gains or range(len(clean)) if gain < len(clean)]
        clean = clean[ranges].all(axis=0)
    return np.asarray(clean, np.bool_)


def edge_pixels(shape: tuple[int, ...], rows: int = 1, columns: int = 1) -> NDArray[np.bool_]:
    """Return the pixels at the rim of every panel, of the shape of a raw frame."""
    bad = np.zeros(shape, np.bool_)
    if rows:
        bad[..., :rows, :] = bad[..., -rows:, :] = True
    if columns:
        bad[..., :columns] = bad[..., -columns:] = True
    return bad


def seam_pixels(
    shape: tuple[int, ...], asic: tuple[int, int] | None, rows: int = 1, columns: int = 1
) -> NDArray[np.bool_]:
    """Return the pixels on both sides of the seams between chips, of the shape of a raw frame.

    Raises
    ------
    ValueError
        The size of a chip is not known.
    """
    if asic is None:
        msg = "the mask 'central' needs the size of a chip; give asic=(rows, columns) or the type of the detector"
        raise ValueError(msg)
    bad = np.zeros(shape, np.bool_)
    for seam in range(asic[0], shape[-2], asic[0]):
        bad[..., max(seam - rows, 0) : seam + rows, :] = True
    for seam in range(asic[1], shape[-1], asic[1]):
        bad[..., max(seam - columns, 0) : seam + columns] = True
    return bad


def unbonded_pixels(detector: Detector) -> NDArray[np.bool_]:
    """Return the pixels of a CSPAD that are connected to nothing; none for any other detector."""
    bad = np.zeros(detector.shape, np.bool_)
    if not detector.type.startswith("cspad"):
        return bad
    for place in range(0, min(detector.shape[-2], UNBOND_COLUMNS[1]), UNBOND_STEP):
        for column in UNBOND_COLUMNS:
            if place + column < detector.shape[-1]:
                bad[..., place, place + column] = True
    return bad


def _status_good(detector: Detector, bits: int, gains: Sequence[int] | None) -> NDArray[np.bool_]:
    good = np.ones(detector.shape, np.bool_)
    if detector.status is not None:
        ranges = type_of(detector.type).gain_ranges if gains is None else gains
        good &= merged_status(detector.status, detector.shape, bits, ranges)
    if detector.pixel_mask is not None:
        good &= (detector.pixel_mask & np.uint32(REJECT & ~USER_BITS)) == 0
    return good


def _check_widths(**widths: int) -> None:
    for name, width in widths.items():
        if width < 0:
            msg = f"{name} is a number of pixels, at least 0; found {width}"
            raise ValueError(msg)


def _spread(bad: NDArray[np.bool_], radius: int, pattern: str) -> NDArray[np.bool_]:
    """Grow inside each panel: no pixel of another panel is a neighbour."""
    grown = bad.copy()
    rows, columns = bad.shape[-2:]
    for dy in range(-min(radius, rows - 1), min(radius, rows - 1) + 1):
        reach = _reach(radius, abs(dy), pattern)
        for dx in range(-min(reach, columns - 1), min(reach, columns - 1) + 1):
            to_y, from_y = slice(max(dy, 0), rows + min(dy, 0)), slice(max(-dy, 0), rows + min(-dy, 0))
            to_x, from_x = slice(max(dx, 0), columns + min(dx, 0)), slice(max(-dx, 0), columns + min(-dx, 0))
            grown[..., to_y, to_x] |= bad[..., from_y, from_x]
    return grown


def _reach(radius: int, dy: int, pattern: str) -> int:
    """Return how far the pattern reaches sideways, `dy` rows from its middle."""
    if pattern == "r":
        return radius - dy
    return int((radius**2 - dy**2) ** 0.5) if pattern == "c" else radius
