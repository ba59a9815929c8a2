"""Where a result goes: never over a file that it is made from, and what cannot be written is told before the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from detcore.core.source import ChunkRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detcore.area.setup.setupfile import Setup
    from detcore.core.source import Source


def check_target(output: str | os.PathLike[str], source: Source, setup: Setup, setup_file: object = None) -> None:
    """Refuse a name under which a result would replace its own input, or cannot be written.

    Parameters
    ----------
    output
        The file to be written.
    source, setup
        What is worked on, and how.
    setup_file
        The file of the setup, if there is one.

    Raises
    ------
    IsADirectoryError, PermissionError
        The name is that of a folder, or nothing can be written beside it.
    ValueError
        The file belongs to the run or to the setup.
    """
    target = Path(output)
    if target.is_dir():
        msg = f"{target}: expected the name of a file to write, found a folder; add a name, for instance {target / 'run.h5'}"
        raise IsADirectoryError(msg)
    folder = next(one for one in target.absolute().parents if one.exists())
    if not os.access(folder, os.W_OK):
        msg = f"{target}: the folder {folder} cannot be written to; choose another"
        raise PermissionError(msg)
    if not target.exists():
        return
    for what, path in _inputs(source, setup, setup_file):
        if path != "auto" and Path(path).exists() and target.samefile(path):
            msg = f"{target} is {what} itself and would be lost; give the result another name"
            raise ValueError(msg)


def _inputs(source: Source, setup: Setup, setup_file: object) -> Iterator[tuple[str, str]]:
    if isinstance(setup_file, (str, os.PathLike)):
        yield "the setup file", os.fspath(setup_file)
    kept = setup.calibration
    images = (setup.mask_image, setup.background.image)
    for constant in (kept.pedestal, kept.noise, kept.gain, kept.status, *images):
        if constant is not None:
            yield "a file of the setup", constant
    files = getattr(source, "source", source)  # of a live run: what it follows
    for path in files.files() if hasattr(files, "files") else ():
        yield "the run", path
    if source.size() is not None:
        for path in {item.part for item in source.plan() if isinstance(item, ChunkRef)}:
            yield "a file of the run", path
