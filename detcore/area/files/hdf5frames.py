"""Frames in HDF5 files: NXmx and CXI, European XFEL, LCLS small data, or any data set that looks like frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import h5py
import numpy as np

from detcore.area.files import euxfel, smalldata
from detcore.area.files.formats import Contents, Options, Stack, native
from detcore.area.files.hdf5chunks import decoded, raw_chunks
from detcore.area.files.hdf5facts import columns_of, facts_of, home_of, mask_of_frames, rejected
from detcore.area.files.hdf5layout import Place, names_of, stacks_of
from detcore.core.hdf5 import opened, walk_to
from detcore.core.source import Match, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Hdf5Frames:
    """See `Format`."""

    name: ClassVar[str] = "HDF5"
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".nxs", ".hdf5", ".hdf", ".cxi")

    def claims(self, start: bytes) -> bool:
        """Return whether the file begins with HDF5's signature; blocks of users before it are not searched for."""
        return start.startswith(SIGNATURE)

    def judge(self, path: str) -> Match:
        """Return exact for layouts that are area detectors' own, generic for any data set of frames."""
        try:
            with opened(path) as file:
                if euxfel.groups_of(file):
                    return Match("exact", "modules of European XFEL (xtdf)")
                if smalldata.fits(file):
                    return Match("exact", "stored regions or sums of LCLS small data")
                names = names_of(path, file, Options())
                home = home_of(path, file, names[0])
                if home is not None and names[0].startswith(f"{home}/"):
                    return Match("exact", f"frames of a detector, {names[0]}")
                item = walk_to(file, names[0])
                whole = isinstance(item, h5py.Dataset) and item.dtype.kind in "iu" and item.ndim > 2
                if home is None and whole and names[0].startswith("/entry/data/"):
                    reason = (
                        "a bare data file of a series, which is Eiger's; with instrument='area' its frames are read"
                    )
                    return Match("no", reason)
        except (OSError, ValueError) as error:
            if "several data sets" in str(error):
                return Match("generic", "it has data sets of frames; name one with dataset=")
            return Match("no", " ".join(str(error).split())[:300])
        return Match("generic", f"a data set of frames, {names[0]}")

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:
        """Return the frames in it and in the files that it links to."""
        with opened(path) as file:
            if not options.dataset and euxfel.groups_of(file):
                return euxfel.look(path, options, peers or (path,))
            if smalldata.fits(file) and (
                not options.dataset or isinstance(walk_to(file, options.dataset), h5py.Dataset)
            ):
                return smalldata.look(path, file, options)
            return self._plain(path, file, options)

    def _plain(self, path: str, file: h5py.File, options: Options) -> Contents:
        stacks: list[Stack] = []
        problems: list[Problem] = []
        pending: int | None = None
        names = names_of(path, file, options)
        for name in names:
            try:
                found, wrong = stacks_of(path, file, name, options)
            except FileNotFoundError as error:
                pending = len(stacks) if pending is None else pending
                problems.append(Problem(str(error.filename), str(error.strerror), 0))
                continue
            except (OSError, ValueError) as error:
                if len(names) == 1:
                    raise
                problems.append(Problem.of(f"{path}:{name}", error))
                continue
            problems += wrong
            for one in found:
                if stacks and (one.shape, one.dtype) != (stacks[0].shape, stacks[0].dtype):
                    first = f"{stacks[0].dtype} {stacks[0].shape}"
                    reason = f"expected frames of {first} as in the others, found {one.dtype} {one.shape}"
                    problems.append(Problem(f"{one.path}:{name}", reason))
                else:
                    stacks.append(one)
        if not stacks:
            return Contents((), tuple(problems), pending)
        n = sum(one.n for one in stacks)
        place: Any = stacks[0].where
        home = home_of(path, file, place.dataset if stacks[0].path == path else names[0], options.detector)
        facts, notes = facts_of(path, file, home, stacks[0].shape, stacks[0].dtype)
        item = walk_to(file, place.dataset)
        alone = len(names) == 1 and isinstance(item, h5py.Dataset) and {one.path for one in stacks} == {path}
        mask = mask_of_frames(file, home, item.shape if alone else (n, *stacks[0].shape), notes, alone=alone)
        if mask is not None:
            stacks = [_masked(one, mask) for one in stacks]
        return Contents(tuple(stacks), tuple(problems), pending, columns_of(file, n), facts, tuple(notes))

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape)."""
        where: Any = stack.where
        if isinstance(where, euxfel.Modules):
            return euxfel.read(stack, rows)
        frames = _read(stack, where, rows)
        if not where.mask:
            return frames
        # whole numbers have no nan; the mask is read like the frames, and in the same rows
        bad = rejected(_read(stack, replace(where, dataset=where.mask), rows), where.mask)
        return np.where(bad, np.dtype(stack.dtype).type(np.nan), frames.astype(stack.dtype, copy=False))


def _masked(stack: Stack, mask: str) -> Stack:
    """Return a stack whose bad pixels are nan."""
    where: Any = stack.where
    return replace(stack, dtype="float64" if stack.dtype == "float64" else "float32", where=replace(where, mask=mask))


def _read(stack: Stack, place: Place, rows: slice) -> NDArray[Any]:
    low, high, step = rows.indices(stack.n)
    with opened(stack.path) as file:
        item = walk_to(file, place.dataset)
        if not isinstance(item, h5py.Dataset):
            msg = f"{stack.path}:{place.dataset}: was there before, and is not now; open the file again"
            raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the type of an argument
        what = f"{stack.path}:{place.dataset}: frames {low} to {high - 1} cannot be decoded"
        try:
            stored = None if place.one else raw_chunks(item, place.first + low, place.first + high)
            if stored is None:
                values = (
                    item[()][None][: high - low] if place.one else item[place.first + low : place.first + high : step]
                )
                return native(np.asarray(values)).reshape(-1, *stack.shape)
            chunks, dtype = item.chunks, item.dtype
        except OSError as error:
            msg = f"{what}: {' '.join(str(error).split())[:200]}"
            raise OSError(msg) from error
    try:
        whole = [native(decoded(raw, stored[1], chunks, dtype)) for raw in stored[0]]
    except OSError as error:
        msg = f"{what}: {error}"
        raise OSError(msg) from error
    begin = (place.first + low) % chunks[0]
    joined = whole[0] if len(whole) == 1 else np.concatenate(whole)
    return joined[begin : begin + high - low : step].reshape(-1, *stack.shape)
