"""Files that a reader of spills must survive: broken, empty, misnamed, with impossible ids.

`write_all(folder)` writes one of each in the folders damaged, unfit, odd and places.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from detcore.occupancy.demo import Truth, write_spill

if TYPE_CHECKING:
    from pathlib import Path

EVENTS, BASKETS, HITS = 40, 4, 400  # of the sound spill that many of them start from
HOSTILE_NAME = "<img src=x onerror=alert(1)>.root"
DETECTOR, ELEMENT = "fAllHits.detectorID", "fAllHits.elementID"


@dataclass(frozen=True)
class Broken:
    """One hostile input.

    `hits` is what a reader may count: a number, or None if anything from 0 to what the file once held is fair.
    `sound` says that there is nothing to complain about, only something to get right.
    """

    path: Path
    wrong: str
    hits: int | None = 0
    sound: bool = False


def sound_spill(path: Path, compression: str = "zlib") -> Truth:
    """Write 400 hits in 40 events of 10; four baskets per branch; every element of detectors 3 and 31."""
    counts = np.zeros((63, 202), np.int64)
    counts[3, 1:161] = 2
    counts[31, 1:21] = 4
    per_basket = HITS // BASKETS
    events = [HITS // EVENTS] * EVENTS
    return write_spill(path, counts, events, run_id=1, spill_id=1, basket_hits=per_basket, compression=compression)


def _key(path: Path, branch: str, basket: int) -> Any:
    with uproot.open(path) as file:
        return file["save"][branch].basket_key(basket)


def corrupt_basket(path: Path, branch: str = DETECTOR, basket: int = 1, compression: str = "zlib") -> Broken:
    """Flip the first bytes of one basket's compressed payload: ten events cannot be read, thirty can.

    The first, because ZSTD as ROOT uses it carries no checksum: damage further in gives wrong ids silently.
    """
    sound_spill(path, compression)
    key = _key(path, branch, basket)
    content = bytearray(path.read_bytes())
    start = key.fSeekKey + key.fKeylen + 9  # 9: header of a compressed block
    content[start : start + 16] = bytes(byte ^ 0xFF for byte in content[start : start + 16])
    path.write_bytes(content)
    return Broken(path, f"basket {basket} of {branch} ({compression}) does not decompress", None)


def lost_basket(path: Path, branch: str = ELEMENT, basket: int = 2) -> Broken:
    """Overwrite one basket, its header included, with zeros, as a disk that lost a block does."""
    sound_spill(path)
    key = _key(path, branch, basket)
    content = bytearray(path.read_bytes())
    content[key.fSeekKey : key.fSeekKey + key.fNbytes] = bytes(key.fNbytes)
    path.write_bytes(content)
    return Broken(path, f"basket {basket} of {branch} is zeros", None)


def unequal_entries(path: Path) -> Broken:
    """Take the last basket of elementID out of its branch's books, as a crash of the writer does."""
    sound_spill(path)
    content = path.read_bytes()
    short = EVENTS - EVENTS // BASKETS
    at = content.index(f"{ELEMENT}[nfAllHits]/S".encode())  # title of the branch; its numbers follow
    head, tail = content[:at], content[at:]
    for old, new in (
        (struct.pack(">iq", BASKETS, EVENTS), struct.pack(">iq", BASKETS - 1, short)),  # fWriteBasket, fEntryNumber
        (struct.pack(">qq", EVENTS, 0), struct.pack(">qq", short, 0)),  # fEntries, fFirstEntry
    ):
        tail = tail.replace(old, new, 1)
    path.write_bytes(head + tail)
    return Broken(path, f"{ELEMENT} ends at entry {short}, the tree at {EVENTS}", None)


def _tree(path: Path, dtype: str, **branches: list[list[float]]) -> None:
    """Write jagged branches, each with its own counter."""
    columns = {f"fAllHits.{branch}": ak.values_astype(ak.Array(values), dtype) for branch, values in branches.items()}
    with uproot.recreate(path) as file:
        file.mktree("save", dict.fromkeys(columns, f"var * {dtype}")).extend(columns)


def _damaged(folder: Path) -> list[Broken]:
    """Write what is not a ROOT file, or no longer a whole one."""
    found = []
    for name, content in {
        "random bytes": np.random.default_rng(0).bytes(5000),
        "text": b"detectorID,elementID\n3,74\n",
        "no bytes at all": b"",
        "zero bytes": bytes(5000),
        "an HDF5 signature": b"\x89HDF\r\n\x1a\n" + bytes(5000),
        "the word root alone": b"root",
    }.items():
        path = folder / f"{name.replace(' ', '_')}.root"
        path.write_bytes(content)
        found.append(Broken(path, f"not a ROOT file: {name}"))
    for percent in (1, 20, 50, 90, 99):
        path = folder / f"cut_{percent}.root"
        sound_spill(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * percent // 100])
        found.append(Broken(path, f"a ROOT file cut after {percent} % of its bytes", None))
    found.append(corrupt_basket(folder / "corrupt_basket.root"))
    found.append(lost_basket(folder / "lost_basket.root"))
    found.append(unequal_entries(folder / "unequal_entries.root"))
    return found


def _unfit(folder: Path) -> list[Broken]:
    """Write whole ROOT files that are not what a spill is."""
    found = []

    def note(name: str, wrong: str, hits: int | None = 0, *, sound: bool = False) -> Path:
        found.append(Broken(folder / f"{name}.root", wrong, hits, sound))
        return found[-1].path

    ids = [[3, 3], [31], [3, 31]]
    with uproot.recreate(note("no_tree", "neither a tree save nor a tree tree, only events")) as file:
        file.mktree("events", {"x": "float64"}).extend({"x": np.zeros(3)})
    with uproot.recreate(note("no_keys", "a ROOT file without any object")):
        pass
    with uproot.recreate(note("histogram", "save is a histogram")) as file:
        file["save"] = np.histogram(np.arange(9))
    with uproot.recreate(note("rntuple", "save is an RNTuple, not a TTree")) as file:
        file.mkrntuple("save", {"detectorID": ak.Array(ids), "elementID": ak.Array(ids)})
    _tree(note("missing_branch", f"{DETECTOR} without {ELEMENT}"), "int16", detectorID=ids)
    _tree(note("unlike_type", "ids are float64", None), "float64", detectorID=ids, elementID=ids)
    wrong = "hits per event are 2, 1, 2 for detectors and 1, 2, 2 for elements"
    _tree(note("unequal_counts", wrong, None), "int16", detectorID=ids, elementID=[[1], [1, 2], [1, 2]])
    wrong = "5 detector ids, 4 element ids"
    _tree(note("unequal_totals", wrong, None), "int16", detectorID=ids, elementID=[[1, 2], [1], [1]])
    return found


def _odd(folder: Path) -> list[Broken]:
    """Write spills with nothing to complain about: a reader must only get them right."""
    found = []
    last = 2**31 - 1
    bad = [(0, 5), (-1, 5), (128, 5), (32767, 5), (last, last), (3, 0), (3, -1), (3, 161), (3, 32767), (3, last)]
    hits = [*bad, (3, 74), (31, 1)]
    path = folder / "impossible_ids.root"
    _tree(path, "int32", detectorID=[[hit[0] for hit in hits], []], elementID=[[hit[1] for hit in hits], []])
    found.append(Broken(path, "2 good hits among 10 with impossible ids, 2147483647 included", 2, sound=True))
    none = np.zeros((63, 202), np.int64)
    path = folder / "no_events.root"
    write_spill(path, none, [], run_id=1, spill_id=1)
    found.append(Broken(path, "no events", sound=True))
    path = folder / "no_hits.root"
    write_spill(path, none, [0] * 7, run_id=1, spill_id=1)
    found.append(Broken(path, "7 events, no hits", sound=True))
    path = folder / HOSTILE_NAME
    sound_spill(path)
    found.append(Broken(path, "a sound spill whose name is a script", HITS, sound=True))
    return found


def _places(folder: Path) -> list[Broken]:
    """Make names that do not lead to a file that can be read."""
    directory, dangling, loop, locked = (folder / f"{n}.root" for n in ("directory", "dangling", "loop", "locked"))
    directory.mkdir()
    dangling.symlink_to(folder / "nowhere")
    loop.symlink_to(loop)
    sound_spill(locked)
    locked.chmod(0)
    closed = folder / "closed"
    closed.mkdir()
    sound_spill(closed / "spill.root")
    closed.chmod(0)
    return [
        Broken(directory, "a directory named like a file"),
        Broken(dangling, "a link to nothing"),
        Broken(loop, "a link to itself"),
        Broken(locked, "a file without read permission (root may read it all the same)", None),
        Broken(closed, "a directory without permission (root may read it all the same)", None),
    ]


def write_all(folder: Path) -> dict[str, Broken]:
    """Write every hostile input and return them by the stem of their name."""
    found: dict[str, Broken] = {}
    for make in (_damaged, _unfit, _odd, _places):
        place = folder / make.__name__.strip("_")
        place.mkdir(parents=True)
        found |= {broken.path.stem: broken for broken in make(place)}
    found["hostile_name"] = found.pop(HOSTILE_NAME.removesuffix(".root"))
    return found
