"""Between a setup and what is drawn of it: each operation of the mask and each ROI is a mark on the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dashboard.outlines import Outline, Point, drawable
from dashboard.sketch import Mark
from detcore import area
from detcore.image import Rectangle, RegionOperation

if TYPE_CHECKING:
    from collections.abc import Sequence


COLOURS = (
    "#00e5ff", "#ffb300", "#69f0ae", "#ff80ab", "#b388ff", "#ffd740", "#40c4ff", "#ff9e80", "#ccff90", "#ea80fc",
)  # fmt: skip
WORDS = {
    "rectangle": "rectangle", "ellipse": "ellipse", "annulus": "ring", "polygon": "polygon", "brush": "brush",
    "half_plane": "half-plane", "combined": "combined", "complement": "complement",
}  # fmt: skip


@dataclass(frozen=True)
class Which:
    """What a mark stands for: an operation of the mask or a ROI, by its place."""

    what: Literal["mask", "roi"]
    place: int


def which(mark: str | None) -> Which | None:
    """Return what the id of a mark means.

    Examples
    --------
    >>> which("mask-3"), which("roi-x"), which(None)
    (Which(what='mask', place=3), None, None)
    """
    what, _, number = (mark or "").partition("-")
    if what not in {"mask", "roi"} or not number.isdecimal():
        return None
    return Which("mask" if what == "mask" else "roi", int(number))


def colour_of(place: int) -> str:
    """Return the colour of a ROI by its place, on the image and in its curves."""
    return COLOURS[place % len(COLOURS)]


def roi_region(roi: area.Roi) -> Any:
    """Return where a ROI is in the image; None if it belongs to one panel of many."""
    if roi.panel is not None:
        return None
    if roi.region is not None:
        return roi.region
    if roi.bounds is not None and len(roi.bounds) == 2:
        (top, bottom), (left, right) = roi.bounds
        return Rectangle(x0=left, y0=top, x1=right, y1=bottom)
    return None


def panel_region(roi: area.Roi) -> tuple[int, Any] | None:
    """Return the panel of a ROI and where it is on it; None if it is in the image, or on several panels."""
    if roi.panel is not None:
        return roi.panel, roi.region
    if roi.bounds is None or len(roi.bounds) != 3:
        return None
    (panel, end), (top, bottom), (left, right) = roi.bounds
    return (panel, Rectangle(x0=left, y0=top, x1=right, y1=bottom)) if end == panel + 1 else None


def marks_of(setup: area.Setup) -> list[Mark]:
    """Return everything that can be drawn of a setup: the mask, then the ROIs above it."""
    marks: list[Mark] = []
    for place, operation in enumerate(setup.mask):
        if isinstance(operation, RegionOperation) and operation.panel is None and drawable(operation.region):
            marks.append(Mark(f"mask-{place}", operation.region, operation.mode, operation.name, operation.enabled))
    for place, roi in enumerate(setup.rois):
        region = roi_region(roi)
        if region is not None and drawable(region):
            marks.append(Mark(f"roi-{place}", region, "roi", roi.name, colour=colour_of(place)))
    return marks


def added(setup: area.Setup, outline: Outline, kind: str) -> tuple[str, dict[str, Any]]:
    """Return in words what was drawn, and the section that it changes.

    Raises
    ------
    ValueError
        A point is no region.
    """
    region = outline
    if isinstance(region, Point):
        msg = "a point is no region"
        raise ValueError(msg)  # noqa: TRY004 - whatever was drawn is a value from the browser
    word = WORDS.get(region.kind, region.kind)
    if kind == "roi":
        name = free_name("ROI", [roi.name for roi in setup.rois])
        return f"draw {name}", {"rois": (*setup.rois, area.Roi(name=name, region=region))}
    name = free_name(word, [operation.name for operation in setup.mask])
    mode = "subtract" if kind == "subtract" else "add"
    return f"draw {name}", {"mask": (*setup.mask, RegionOperation(name=name, region=region, mode=mode))}


def changed(setup: area.Setup, mark: str, outline: Outline) -> tuple[str, dict[str, Any]] | None:
    """Return what it means that a mark was moved; None if there is no such thing any more."""
    place = which(mark)
    if place is None or isinstance(outline, Point):
        return None
    region = outline
    if place.what == "mask" and place.place < len(setup.mask):
        operation = setup.mask[place.place]
        if not isinstance(operation, RegionOperation):
            return None
        moved = operation.model_copy(update={"region": region})
        return f"move {operation.name or 'shape'}", {"mask": replaced(setup.mask, place.place, moved)}
    if place.what == "roi" and place.place < len(setup.rois):
        roi = setup.rois[place.place]
        values = {"region": region, "bounds": None}
        return f"move {roi.name}", {"rois": replaced(setup.rois, place.place, roi.model_copy(update=values))}
    return None


def deleted(setup: area.Setup, mark: str) -> tuple[str, dict[str, Any]] | None:
    """Return what it means that a mark was deleted."""
    place = which(mark)
    if place is None:
        return None
    items: tuple[Any, ...] = setup.mask if place.what == "mask" else setup.rois
    if place.place >= len(items):
        return None
    kept = items[: place.place] + items[place.place + 1 :]
    return f"delete {items[place.place].name or 'operation'}", {"mask" if place.what == "mask" else "rois": kept}


def replaced(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    """Return the items with another one at a place."""
    return (*items[:place], item, *items[place + 1 :])


def free_name(word: str, names: Sequence[str]) -> str:
    """Return a name that is not taken yet.

    Examples
    --------
    >>> free_name("ROI", ["ROI 1", "x"])
    'ROI 2'
    """
    taken, number = set(names), 1
    while f"{word} {number}" in taken:
        number += 1
    return f"{word} {number}"
