"""Shower files from shower files, a batch at a time: the new one appears when it is complete, the old one is not touched."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detcore.showers.files import ShowerWriter, load_metadata
from detcore.showers.heap import HeapReader
from detcore.showers.source import read_header

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from detcore.showers.ragged import Ragged

# They belong to one file: the version of its writer, and observables, which are not copied.
OWN_ATTRIBUTES: Final = ("showerdata_version", "observables_computed_for")


@contextmanager
def new_file(
    target: str | os.PathLike[str],
    shape: tuple[int, int, int],
    attributes: Mapping[str, Any] | None = None,
    *,
    sources: Sequence[str | os.PathLike[str]] = (),
    overwrite: bool = False,
) -> Iterator[ShowerWriter]:
    """Give a writer of a file that appears when the block ends well.

    Parameters
    ----------
    target
        The new file.
    shape
        Showers, width, columns.
    attributes
        Of the file.
    sources
        Files that are read meanwhile: none of them may be the target.
    overwrite
        Replace `target` if it exists.

    Raises
    ------
    FileExistsError
        `target` exists, or is one of the sources.
    """
    place = Path(target)
    if place.exists():
        if any(place.samefile(source) for source in sources):
            msg = f"{place} is an input, too; name another output"
            raise FileExistsError(msg)
        if place.is_dir():
            msg = f"{place} is a folder; name a file"
            raise IsADirectoryError(msg)
        if not overwrite:
            msg = f"Output file '{place}' already exists. Use --overwrite to overwrite it."
            raise FileExistsError(msg)
    with ShowerWriter(place, shape, overwrite=overwrite, attributes=attributes) as writer:
        yield writer


def shape_of(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Return the shape of a shower file; errors say which file it is, and why it is none."""
    header = read_header(path)
    return header.showers, header.max_points, header.columns


def common_attributes(paths: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Return the attributes that all files have with equal values and that are true of a new file, too."""
    first, *others = [load_metadata(path) for path in paths]
    same = {name: value for name, value in first.items() if all(_equal(value, other.get(name)) for other in others)}
    return {name: value for name, value in same.items() if name not in OWN_ATTRIBUTES}


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def rewrite(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    change: Callable[[Ragged, int], Ragged],
    *,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    batch_size: int = 1000,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[int, int, int]:
    """Write a new file with changed showers; its width and attributes are those of the old one.

    Target groups and observables are not copied: they belong to the points that were changed.

    Parameters
    ----------
    source
        A shower file.
    target
        The new file.
    change
        Called with some showers and the number of the first one; returns as many.
    attributes
        Of the new file, beside those of the old one.
    overwrite
        Replace `target` if it exists.
    batch_size
        Showers at once.
    progress
        Called with showers done, their number, and words.

    Returns
    -------
    tuple of int
        Shape of the new file.

    Raises
    ------
    FileExistsError
        `target` exists, or is the source.
    """
    shape = shape_of(source)
    kept = common_attributes([source]) | dict(attributes or {})
    with (
        new_file(target, shape, kept, sources=[source], overwrite=overwrite) as writer,
        HeapReader(source) as reader,
    ):
        for start in range(0, shape[0], batch_size):
            stop = min(start + batch_size, shape[0])
            writer.append(change(reader.ragged(start, stop), start))
            if progress is not None:
                progress(stop, shape[0], "")
    return shape
