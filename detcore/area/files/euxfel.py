"""The files of European XFEL: each module writes its own group, often its own file, with a mask for every frame.

``INSTRUMENT/<detector>/DET/<n>CH0:xtdf/image/{data, mask, gain, trainId, pulseId, cellId}``: data is (pulse, y, x) when
corrected and (pulse, 2, y, x) when raw (signal and gain). A frame is put together from the modules of one pulse.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from detcore.area.files.formats import MAX_FRAMES, Contents, Options, Stack, checked_frame, guess_type
from detcore.area.files.hdf5 import members
from detcore.area.files.hdf5facts import translated
from detcore.core.hdf5 import opened, walk_to
from detcore.core.source import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BAD_PIXELS: Final = {  # bit of the facility's BadPixels -> NXmx; 16 (interpolated) and 22 (size) only inform
    0: "noisy", 1: "noisy", 2: "dead", 3: "dead", 4: "dead", 5: "dead", 6: "dead", 7: "dead", 8: "dead", 9: "dead",
    10: "dead", 11: "dead", 12: "over", 13: "dead", 14: "dead", 15: "cluster", 16: "virtual", 17: "noisy",
    18: "over", 19: "gap", 20: "over", 21: "dead",
}  # fmt: skip
INFORMS: Final = (1 << 16) | (1 << 22)
_CHANNEL = re.compile(r"(\d+)CH\d+:xtdf$")
_FILE = re.compile(r"^(?P<head>.*-[A-Z]+)(?P<module>\d\d)(?P<tail>-S\d+\.h5)$")


@dataclass(frozen=True, slots=True)
class Module:
    """The image group of one module: where it is, and which row of it belongs to which frame (-1: none)."""

    number: int
    path: str
    group: str
    channels: bool
    rows: bytes


@dataclass(frozen=True, slots=True)
class Modules:
    """Where the frames of a stack are."""

    modules: tuple[Module, ...]
    masked: bool


def groups_of(file: h5py.File, wanted: str | None = None) -> list[tuple[int, str]]:
    """Return the number and image group of each module in a file; of the only detector, whatever name is wanted."""
    result: dict[str, list[tuple[int, str]]] = {}
    top = walk_to(file, "/INSTRUMENT")
    for name, _ in members(top) if isinstance(top, h5py.Group) else []:
        inner = walk_to(file, f"/INSTRUMENT/{name}/DET")
        for channel, _ in members(inner) if isinstance(inner, h5py.Group) else []:
            number = _CHANNEL.match(channel)
            place = f"/INSTRUMENT/{name}/DET/{channel}/image"
            if number and isinstance(walk_to(file, f"{place}/data"), h5py.Dataset):
                result.setdefault(name, []).append((int(number[1]), place))
    chosen = [wanted] if wanted in result else list(result)
    return sorted(one for name in chosen for one in result[str(name)])


def needs_peers(path: str) -> bool:
    """Return whether the name of a file says that others of the run have the other modules."""
    return _FILE.match(os.path.basename(path)) is not None  # noqa: PTH119 - asked for every file of a folder


def is_lead(path: str, peers: Sequence[str]) -> bool:
    """Return whether a file is the first of those that hold the modules of the same pulses."""
    return path == min(companions(path, peers))


def companions(path: str, peers: Sequence[str]) -> list[str]:
    """Return the files among `peers` with other modules of the same pulses, by the facility's names."""
    mine = _FILE.match(Path(path).name)
    if mine is None:
        return [path]
    found = {path}
    for other in peers:
        its = _FILE.match(Path(other).name)
        if (
            its
            and Path(other).parent == Path(path).parent
            and (its["head"], its["tail"]) == (mine["head"], mine["tail"])
        ):
            found.add(other)
    return sorted(found)


def look(path: str, options: Options, peers: Sequence[str]) -> Contents:
    """Return the frames of all modules whose files belong together; nothing for a file that is not the first of them.

    Raises
    ------
    ValueError
        The modules do not fit each other, or no pulse is in all of them.
    """
    if not is_lead(path, peers):
        return Contents(notes=(f"its modules are read with {Path(min(companions(path, peers))).name}",))
    found: list[tuple[int, str, str, NDArray[np.int64], tuple[int, ...], np.dtype[Any], bool]] = []
    problems: list[Problem] = []
    for one in companions(path, peers):
        try:
            with opened(one) as file:
                for number, group in groups_of(file, options.detector):
                    data = walk_to(file, f"{group}/data")
                    mask = walk_to(file, f"{group}/mask")
                    masked = isinstance(mask, h5py.Dataset) and mask.shape == data.shape and mask.dtype.kind in "iu"
                    found.append(
                        (number, one, group, _pulses(file, group, data.shape[0]), data.shape, data.dtype, masked)
                    )
        except (OSError, ValueError) as error:
            problems.append(Problem.of(one, error))
    if not found:
        msg = f"{path}: no module with frames (INSTRUMENT/*/DET/*CH0:xtdf/image/data)"
        raise ValueError(msg)
    found.sort(key=lambda one: one[0])
    shapes = {one[4][-2:] for one in found}
    if len(shapes) > 1 or len({one[0] for one in found}) < len(found):
        msg = f"{path}: modules of several detectors, {', '.join(one[2] for one in found[:6])}; name one with detector="
        raise ValueError(msg)
    pulses = np.unique(np.concatenate([one[3] for one in found]), axis=0)
    every = _ours([one[3] for one in found], pulses)
    whole = (every >= 0).all(axis=0)
    lost = len(pulses) - int(whole.sum())
    if lost:
        problems.append(Problem(path, f"{lost} of {len(pulses)} pulses are not in every module: left out", 0))
    if not whole.any():
        msg = f"{path}: no pulse is in all of the {len(found)} modules"
        raise ValueError(msg)
    n_modules = max(_count(found[-1][0]), len(found))
    shape = checked_frame((n_modules, *found[0][4][-2:]), found[0][5], path)
    masked = any(one[6] for one in found)
    where = Modules(
        tuple(
            Module(one[0], one[1], one[2], len(one[4]) == 4, np.ascontiguousarray(rows[whole]).tobytes())
            for one, rows in zip(found, every, strict=True)
        ),
        masked,
    )
    dtype = "float32" if masked or found[0][5].kind == "f" else found[0][5].newbyteorder("=").name
    absent = np.zeros(shape, np.uint32)
    absent[[number for number in range(n_modules) if number not in {one[0] for one in found}]] = 1  # gap
    facts: dict[str, Any] = {"type": guess_type(found[0][2].split("/")[2]), "name": found[0][2].split("/")[2]}
    facts["type"] = facts["type"] if facts["type"] == "agipd" and shape == (16, 512, 128) else "unknown"
    if absent.any():
        facts["pixel_mask"] = absent
    notes: tuple[str, ...] = (f"modules {', '.join(str(one[0]) for one in found)} of {n_modules}",)
    if masked:
        notes += ("pixels that a frame's own mask rejects are nan in that frame",)
    columns = {"train_id": pulses[whole, 0], "pulse_id": pulses[whole, 1]}
    return Contents((Stack(path, int(whole.sum()), shape, dtype, where),), tuple(problems), None, columns, facts, notes)


def _count(last: int) -> int:
    """Return how many modules a detector has whose last one seen has this number: 8 or 16."""
    return 8 if last < 8 else 16 if last < 16 else last + 1


def _pulses(file: h5py.File, group: str, n: int) -> NDArray[np.int64]:
    """Return the train and pulse of each row, (row, 2)."""
    if n > MAX_FRAMES:
        msg = f"{group}/data says that it has {n} rows; expected at most {MAX_FRAMES}"
        raise ValueError(msg)
    both = []
    for name in ("trainId", "pulseId"):
        item = walk_to(file, f"{group}/{name}")
        fits = isinstance(item, h5py.Dataset) and item.size == n and item.dtype.kind in "iu"
        both.append(np.asarray(item[()], np.int64).ravel() if fits else np.arange(n) * (name == "pulseId"))
    return np.stack(both, axis=1)


def _ours(rows: list[NDArray[np.int64]], pulses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (module, pulse) the row of each pulse in each module; -1 where there is none."""
    result = np.full((len(rows), len(pulses)), -1, np.int64)
    place = {(int(train), int(pulse)): number for number, (train, pulse) in enumerate(pulses)}
    for module, mine in enumerate(rows):
        at = [place[int(train), int(pulse)] for train, pulse in mine]
        result[module, at] = np.arange(len(mine))
    return result


def read(stack: Stack, rows: slice) -> NDArray[Any]:
    """Return frames (frame, module, y, x); pixels that a mask rejects are nan."""
    where: Any = stack.where
    n = len(range(*rows.indices(stack.n)))
    result = np.zeros((n, *stack.shape), stack.dtype)
    for module in where.modules:
        mine = np.frombuffer(module.rows, np.int64)[rows]
        with opened(module.path) as file:
            for name, item in (
                ("data", walk_to(file, f"{module.group}/data")),
                ("mask", walk_to(file, f"{module.group}/mask")),
            ):
                if name == "mask" and not where.masked:
                    continue
                if not isinstance(item, h5py.Dataset):
                    continue
                low, high = int(mine.min()), int(mine.max()) + 1
                values = item[low:high][mine - low]
                values = values[:, 0] if module.channels and values.ndim == 4 else values
                if name == "data":
                    result[:, module.number] = values
                else:
                    result[:, module.number][(values.astype(np.int64) & ~INFORMS) != 0] = np.nan
    return result


def nexus_mask(bad_pixels: NDArray[Any]) -> NDArray[np.uint32]:
    """Return NXmx bits for the facility's BadPixels.

    Examples
    --------
    >>> nexus_mask(np.array([0, 1 << 1, 1 << 22, 1 << 16]))
    array([         0,         16,          0, 2147483648], dtype=uint32)
    """
    return translated(bad_pixels, BAD_PIXELS.items())
