"""Masks as lines of text for DIALS, XDS and CrystFEL.

A shape becomes one line where the program can say exactly this shape; everything else becomes rectangles, so that the
lines mask the same pixels as the raster. How the programs count:

- DIALS: whole numbers from 0, half-open rectangles; polygons in corners of pixels (dxtbx/masking.h).
- XDS: from 1, the limits themselves are outside (https://xds.mr.mpg.de/html_doc/xds_parameters.html).
- CrystFEL: fast scan (x) and slow scan (y) from 0, limits included (the manual page crystfel_geometry).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from detcore.image import Ellipse, Polygon, Rectangle, RegionOperation, good_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from detcore.image import Operation, Region

MAX_RECTANGLES: Final = 50_000
Form = Literal["dials", "xds", "crystfel"]
FORMS: Final = ("dials", "xds", "crystfel")
COMMENT: Final = {"dials": "#", "xds": "!", "crystfel": ";"}


class Cell(NamedTuple):
    """A rectangle of pixels, half-open, px."""

    x0: int
    x1: int
    y0: int
    y1: int


def mask_lines(
    pixel_mask: NDArray[np.uint32],
    form: Form,
    *,
    operations: Sequence[Operation] = (),
    panel_names: Sequence[str] | None = None,
    stacked: bool = False,
) -> str:
    """Write a mask as lines for another program.

    Parameters
    ----------
    pixel_mask
        (y, x) or (module, y, x), bits of NXdetector; pixels with a rejecting bit are written.
    form
        ``dials`` (phil parameters of dials.generate_mask), ``xds`` (keywords of XDS.INP) or ``crystfel`` (bad regions
        of a .geom file).
    operations
        The steps that the raster was made with; shapes among them keep their form and name where the program has it.
    panel_names
        Of the modules in the .geom file; by default p0, p1, ….
    stacked
        For CrystFEL: whether modules lie below each other in the data, so that y goes on from one to the next.

    Returns
    -------
    str
        With a comment in front that says what they are.

    Raises
    ------
    ValueError
        The form is unknown, XDS is asked about modules, or the mask has too many separate pixels for lines.

    Examples
    --------
    >>> raster = np.zeros((8, 9), np.uint32)
    >>> raster[2:4, 1:6] = 256
    >>> print(mask_lines(raster, "xds").splitlines()[-1])
    UNTRUSTED_RECTANGLE= 1 7 2 5
    """
    if form not in FORMS:
        msg = f"lines for one of {', '.join(FORMS)} expected, found {form!r:.40}"
        raise ValueError(msg)
    modules = pixel_mask[None] if pixel_mask.ndim == 2 else pixel_mask
    if form == "xds" and len(modules) > 1:
        msg = f"XDS knows one image, the mask has {len(modules)} modules; make the mask of the assembled image"
        raise ValueError(msg)
    names = list(panel_names) if panel_names is not None else [f"p{module}" for module in range(len(modules))]
    if len(names) != len(modules):
        msg = f"{len(modules)} names of panels expected, found {len(names)}"
        raise ValueError(msg)
    bad = ~good_pixels(modules)
    sign = COMMENT[form]
    lines = [f"{sign} {int(bad.sum())} of {bad.size} pixels masked, written by detcore"]
    rest, count = bad.copy(), 0
    for step, module in _shapes(operations, len(modules)):
        selected = step.region.to_mask(bad.shape[1:])
        line = _shape_line(step.region, form, module)
        if isinstance(step.region, Rectangle) and selected.any():
            count += 1
            offset = module * bad.shape[1] if stacked else 0
            line = _cell_line(rectangles(selected)[0], form, module, names[module], count, offset)
        # A later step may have freed some of it; then its rectangles say what is left.
        if line is None or not selected.any() or (selected & ~bad[module]).any():
            continue
        rest[module] &= ~selected
        lines += [f"{sign} {step.name}", line] if step.name else [line]
    for module, one in enumerate(rest):
        for cell in rectangles(one, MAX_RECTANGLES - count):
            count += 1
            offset = module * bad.shape[1] if stacked else 0
            lines.append(_cell_line(cell, form, module, names[module], count, offset))
    return "\n".join(lines) + "\n"


def rectangles(bad: NDArray[np.bool_], limit: int = MAX_RECTANGLES) -> list[Cell]:
    """Cover selected pixels with rectangles that do not overlap: runs of a row, joined while the next has the same.

    Parameters
    ----------
    bad
        (y, x).
    limit
        How many there may be.

    Raises
    ------
    ValueError
        There are more.

    Examples
    --------
    >>> rectangles(np.array([[0, 1, 1], [0, 1, 1], [1, 0, 0]], bool))
    [Cell(x0=1, x1=3, y0=0, y1=2), Cell(x0=0, x1=1, y0=2, y1=3)]
    """
    found: list[Cell] = []
    growing: dict[tuple[int, int], int] = {}
    before: NDArray[np.bool_] | None = None
    for y, row in enumerate([*bad, np.zeros(bad.shape[1], np.bool_)]):
        if before is not None and np.array_equal(row, before):
            continue
        before = row
        steps = np.flatnonzero(np.diff(np.concatenate(([0], row.view(np.int8), [0]))))
        runs = set(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))
        ended = [run for run in growing if run not in runs]
        found += [Cell(*run, growing.pop(run), y) for run in sorted(ended)]
        growing |= {run: y for run in runs if run not in growing}
        if len(found) + len(growing) > limit:
            msg = (
                f"the mask has more than {limit} separate pieces, too many for lines of text; "
                "write the raster to a file that the program reads"
            )
            raise ValueError(msg)
    return found


def _shapes(operations: Sequence[Operation], modules: int) -> Iterator[tuple[RegionOperation, int]]:
    """Yield steps that add a shape on one module, and which one."""
    for step in operations:
        if not step.enabled or not isinstance(step, RegionOperation) or step.mode != "add":
            continue
        if step.panel is not None or modules == 1:
            yield step, step.panel or 0


def _shape_line(region: Region, form: Form, module: int) -> str | None:
    """Return the line of a shape, or None if this program cannot say exactly this one."""
    match form, region:
        case "dials", Ellipse(x=x, y=y, a=a, b=b) if a == b and _whole(x, y, a) and min(x, y) >= 0:
            return f"untrusted {{\n  panel = {module}\n  circle = {x:.0f} {y:.0f} {a:.0f}\n}}"
        case "dials", Polygon(vertices=vertices) if len(vertices) > 3:
            corners = [end + 0.5 for vertex in vertices for end in vertex]
            if _whole(*corners) and min(corners) >= 0:
                return f"untrusted {{\n  panel = {module}\n  polygon = {' '.join(f'{end:.0f}' for end in corners)}\n}}"
        case "xds", Ellipse(x=x, y=y, a=a, b=b, angle=angle) if angle == 0 or a == b:
            limits = [x - a + 1, x + a + 1, y - b + 1, y + b + 1]
            if _whole(*limits):
                return "UNTRUSTED_ELLIPSE= " + " ".join(f"{end:.0f}" for end in limits)
        case "xds", Polygon(vertices=vertices) if len(vertices) == 4:
            corners = [end + 1 for vertex in vertices for end in vertex]
            if _whole(*corners) and _convex(vertices):
                return "UNTRUSTED_QUADRILATERAL= " + " ".join(f"{end:.0f}" for end in corners)
    return None


def _cell_line(cell: Cell, form: Form, module: int, name: str, number: int, offset: int) -> str:
    x0, x1, y0, y1 = cell
    if form == "dials":
        return f"untrusted {{\n  panel = {module}\n  rectangle = {x0} {x1} {y0} {y1}\n}}"
    if form == "xds":
        return f"UNTRUSTED_RECTANGLE= {x0} {x1 + 1} {y0} {y1 + 1}"
    limits = {"min_fs": x0, "max_fs": x1 - 1, "min_ss": y0 + offset, "max_ss": y1 - 1 + offset, "panel": name}
    return "\n".join(f"bad_detcore{number}/{key} = {value}" for key, value in limits.items())


def _whole(*numbers: float) -> bool:
    return all(float(one).is_integer() for one in numbers)


def _convex(vertices: Sequence[tuple[float, float]]) -> bool:
    turns = []
    for i in range(len(vertices)):
        (ax, ay), (bx, by), (cx, cy) = vertices[i - 2], vertices[i - 1], vertices[i]
        turns.append(math.copysign(1, (bx - ax) * (cy - by) - (by - ay) * (cx - bx)))
    return len(set(turns)) == 1
