"""The parameters that a file holds for one image, without reading those of all images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.dl1.files import hdffile
from detcore.dl1.files.attributes import columns_of
from detcore.dl1.files.ctapipefile import KEYS, PARAMETERS, CtapipeFile

if TYPE_CHECKING:
    from detcore.dl1.files.attributes import Column
    from detcore.dl1.files.model import Dl1File


def file_parameters(file: Dl1File, tel_id: int, obs_id: int, event_id: int, row: int) -> dict[str, Any] | None:
    """Return the parameters of an image as the file holds them.

    Parameters
    ----------
    file
        The open file.
    tel_id, obs_id, event_id
        Which image.
    row
        Of the image among those of the telescope: where it is in the table of parameters as a rule.

    Returns
    -------
    dict
        The file's own names, without obs_id, event_id and tel_id; None if it holds none for this image.

    Raises
    ------
    OSError, ValueError
        The table is damaged.
    """
    if not isinstance(file, CtapipeFile):
        return None
    with hdffile.opened(file.path) as opened:
        table = hdffile.table(opened, f"{PARAMETERS}/tel_{tel_id:03d}")
        if table is not None and row < len(table):
            state = file.fingerprint
            block = hdffile.picked(table, np.array([row]), state)
            names = block.dtype.names or ()
            if set(KEYS) <= set(names) and tuple(int(block[key][0]) for key in KEYS) == (obs_id, event_id):
                facts = _facts(file.path, state, table.name)
                values = {str(name): facts[name].decode(block[name]) for name in names}
                return _plain({name: one[0] for name, one in values.items() if one.ndim == 1})
    # another order than that of the images, or one table for each type of telescope
    found = file.parameters(tel_id)
    if found is None:
        return None
    mine = found[(found["obs_id"] == obs_id) & (found["event_id"] == event_id)]
    return _plain({str(name): mine[name].iloc[0] for name in mine}) if len(mine) else None


@lru_cache(maxsize=1024)
def _facts(path: str, state: str, name: str) -> dict[str, Column]:
    """Return what the attributes of a table say, which takes longer than a row; `state` changes when the file does."""
    del state
    with hdffile.opened(path) as opened:
        return columns_of(hdffile.table(opened, name))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return numbers and texts of Python."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in values.items()
        if name not in {*KEYS, "tel_id"}
    }
