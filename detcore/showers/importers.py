"""Files of other public layouts become shower files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from detcore.core.paths import atomic
from detcore.showers.foreign import LAYOUTS, ForeignFile, Rules, read_foreign
from detcore.showers.writer import ShowerWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["LAYOUTS", "ForeignFile", "Rules", "import_file", "read_foreign"]


def import_file(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    rules: Rules,
    *,
    overwrite: bool = False,
    batch_size: int = 1000,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[int, int, int]:
    """Write a file of another layout as a shower file.

    Parameters
    ----------
    path
        HDF5 file of layout ``rules.layout``; it is read only.
    target
        The new file, which appears when it is complete.
    rules
        What the file does not say itself.
    overwrite
        Replace `target` if it exists.
    batch_size
        Showers at once at most; fewer if they are large.
    progress
        Called with showers done, their number, and words.

    Returns
    -------
    tuple of int
        Shape of the new file: showers, most points of one, columns.

    Raises
    ------
    FileExistsError
        `target` exists.
    OSError, ValueError
        As for `ForeignFile` and its `read`; nothing is written then.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile, h5py, numpy as np
    >>> from detcore import showers
    >>> folder = Path(tempfile.mkdtemp())
    >>> with h5py.File(folder / "theirs.h5", "w") as file:
    ...     file["events"] = np.full((2, 4, 3), 1.5)
    ...     file["energy"] = [10.0, 20.0]
    >>> rules = showers.Rules("caloclouds", energy_unit="MeV", pdg=22)
    >>> showers.import_file(folder / "theirs.h5", folder / "ours.h5", rules)
    (2, 3, 4)
    """
    place = Path(target)
    if place.exists() and (not overwrite or place.samefile(path)):
        msg = (
            f"{place} is the input itself"
            if place.samefile(path)
            else f"{place} exists; allow to overwrite it, or name another"
        )
        raise FileExistsError(msg)
    with ForeignFile(path, rules) as file:
        step, n = file.batch_size(batch_size), len(file)
        batches = [(start, min(start + step, n)) for start in range(0, n, step)]
        width = 0
        for start, stop in batches:
            width = max(width, file.count(start, stop))
            if progress is not None:
                progress(stop, 2 * n, "counting")
        with atomic(place) as aside:
            with ShowerWriter(aside, (n, width, file.columns)) as writer:
                for start, stop in batches:
                    writer.append(file.read(start, stop))
                    if progress is not None:
                        progress(n + stop, 2 * n, "writing")
            with h5py.File(aside, "a") as made:
                made.attrs["imported_from"] = f"{rules.layout}: {file.path.name}".encode("utf-8", "replace").decode()
                for name, values in file.extras().items():
                    made[name] = values
        return n, width, file.columns
