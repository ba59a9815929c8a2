"""The layout of CTA-ML files, version 0.7.2: columns of their tables, and the settings that shape them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detcore.dl1.files.containers import Telescope

logger = logging.getLogger(__name__)

FORMAT_VERSION: Final = "0.7.2"
"""Version of DL1 Data Handler whose layout this is."""
TEXT: Final = "S20"
IMAGES_PER_EVENT: Final = {
    "LST:LSTCam": 0.5,
    "MST:NectarCam": 2.0,
    "MST:FlashCam": 2.0,
    "MST-SCT:SCTCam": 1.5,
    "SST:DigiCam": 1.25,
    "SST:ASTRICam": 1.25,
    "SST:CHEC": 1.25,
}
INDEX_COLUMNS: Final = (("/Events", "mc_energy"), ("/Events", "alt"), ("/Events", "az"), ("tel", "event_index"))
EVENT_COLUMNS: Final = {
    "obs_id": "u4",
    "event_id": "u4",
    "mc_energy": "f4",
    "alt": "f4",
    "az": "f4",
    "core_x": "f4",
    "core_y": "f4",
    "h_first_int": "f4",
    "x_max": "f4",
    "shower_primary_id": "u1",
}
LIBRARIES: Final = ("zlib", "bzip2", "lzo", "blosc", "blosc2")
ARRAY_COLUMNS: Final = {"id": "u2", "type": TEXT, "x": "f4", "y": "f4", "z": "f4"}


def type_columns(width: int) -> dict[str, Any]:
    """Return the columns of /Telescope_Type_Information; the largest camera has `width` pixels."""
    texts: dict[str, Any] = dict.fromkeys(("type", "optics", "camera"), TEXT)
    return texts | {"num_pixels": "u4", "pixel_positions": ("f4", (width, 2))}


def event_columns(types: Mapping[str, int]) -> dict[str, Any]:
    """Return the columns of /Events for telescope types with so many telescopes."""
    made: dict[str, Any] = dict(EVENT_COLUMNS)
    for name, telescopes in types.items():
        made |= {f"{name}_indices": ("u4", (telescopes,)), f"{name}_multiplicity": "u4"}
    return made


def image_columns(pixels: int) -> dict[str, Any]:
    """Return the columns of a table of images."""
    return {"charge": ("f4", (pixels,)), "event_index": "i4", "peakpos": ("f4", (pixels,))}


def dtype_of(columns: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type of a row: columns by name, capital letters first, as PyTables sorts those without position."""
    fields = [(name, columns[name]) for name in sorted(columns)]
    return np.dtype([(name, kind) if isinstance(kind, str) else (name, *kind) for name, kind in fields])


def filters_of(settings: Mapping[str, Any]) -> Any:
    """Return PyTables' filters of settings, or None for empty ones.

    LZO, which the original asks for and PyTables as it is distributed does not write, becomes zlib, with a warning in
    the log.

    Raises
    ------
    ValueError
        There are no such settings.
    """
    if not settings:
        return None
    chosen = dict(settings)
    library = str(chosen.get("complib", "zlib")).split(":", maxsplit=1)[0]
    try:
        if library not in LIBRARIES:
            msg = f"complib is one of {', '.join(LIBRARIES)}"
            raise ValueError(msg)  # noqa: TRY301
        if tables.which_lib_version(library) is None:
            logger.warning("this PyTables cannot write %s; writing zlib, which every reader has", library)
            chosen["complib"] = "zlib"
        return tables.Filters(**chosen)
    except (TypeError, ValueError) as error:
        msg = f"filter_settings {dict(settings)}: expected those of tables.Filters, as complib and complevel: {error}"
        raise ValueError(msg) from error


def index_pairs(pairs: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    """Return pairs of table and column.

    Raises
    ------
    ValueError
        They are no pairs of text.
    """
    made = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            msg = f"index_columns: expected pairs of table and column, as ['/Events', 'mc_energy'], found {pair!r}"
            raise ValueError(msg)
        made.append((pair[0], pair[1]))
    return made


def check_type(name: str, members: Sequence[Telescope]) -> None:
    """Check that telescopes of one type fit into the format.

    Raises
    ------
    ValueError
        They do not.
    """
    one = members[0]
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or max(map(len, (name, one.optics, one.camera))) > 20:
        msg = f"telescope type {one.name!r}: expected letters, digits and _, at most 20 of them, for a table of a file"
        raise ValueError(msg)
    if name in {"Events", "MC_Events", "Array_Information", "Telescope_Type_Information"}:
        msg = f"telescope type {one.name!r} is the name of another table of the format"
        raise ValueError(msg)
    sizes = sorted({len(it.pixel_x) for it in members})
    if len(sizes) > 1:
        msg = f"telescope type {one.name!r} has cameras of {sizes} pixels; the format has one camera for each type"
        raise ValueError(msg)
    if members[-1].tel_id >= 1 << 16 or members[0].tel_id < 0:
        msg = f"telescope numbers {members[0].tel_id} to {members[-1].tel_id}: the format has 16 bits for them"
        raise ValueError(msg)
