"""Hostile DL1 files of both formats: each is broken in one way."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from detcore import dl1

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[h5py.File], object]

CHUNK = 4  # rows
TRIGGER = "dl1/event/subarray/trigger"
LAYOUT = "configuration/instrument/subarray/layout"
OPTICS = "configuration/instrument/telescope/optics"
GEOMETRY = "configuration/instrument/telescope/camera/geometry_0"
IMAGES = "dl1/event/telescope/images/tel_001"
PARAMETERS = "dl1/event/telescope/parameters/tel_001"
TRUE_IMAGES = "simulation/event/telescope/images/tel_001"
SHOWER = "simulation/event/subarray/shower"
RUN = "configuration/simulation/run"
TYPES, ARRAY, EVENTS, LARGE = "Telescope_Type_Information", "Array_Information", "Events", "LST_LSTCam"


@dataclass(frozen=True)
class Broken:
    """A file and what its errors say.

    Parameters
    ----------
    path
        The file.
    words
        One of these, separated by bars, is in the error; empty: nothing of it can be foreseen.
    whole
        The rest of the file can be read: reading everything may fail, but `reduce` gives what is whole.
    """

    path: Path
    words: str
    whole: bool


def _helper(name: str) -> Any:
    """Import a module that stands beside the tests of the instrument."""
    key = f"detcore_tests_hostile_{name}"
    if key not in sys.modules:
        place = Path(__file__).parents[1] / "dl1" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(key, place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
    return sys.modules[key]


def ctapipe_file(path: Path) -> Path:
    """Write 40 events of three telescopes as ctapipe does."""
    made: Path = _helper("ctapipe_files").write(path).path
    return made


def ctaml_file(path: Path) -> Path:
    """Write 40 events of four telescopes as CTA-ML."""
    made_up = _helper("ctaml_events")
    with dl1.CTAMLDataDumper(path, index_columns=[]) as dumper:
        dumper.dump_header_info("a.simtel.gz")
        dumper.dump_instrument_info(made_up.subarray())
        dumper.dump_mc_header_info({})
        for number in range(1, 41):
            dumper.dump_event(made_up.event(number, [one for one in made_up.TYPES if (number + one) % 3]))
    return path


# --- ways to break a table --------------------------------------------------------------------------------------------


def rows(name: str, change: Callable[[Any], Any]) -> Change:
    """Write a table anew with what `change` makes of its rows; attributes are kept."""

    def make(file: h5py.File) -> None:
        made, kept = change(file[name][()]), dict(file[name].attrs)
        del file[name]
        if made is not None:
            chunks = (min(CHUNK, len(made)),) if len(made) else None
            file.create_dataset(name, data=made, chunks=chunks).attrs.update(kept)

    return make


def without(*columns: str) -> Callable[[Any], Any]:
    """Leave columns out."""
    return lambda table: table[[name for name in table.dtype.names if name not in columns]].copy()


def another(column: str, kind: Any) -> Callable[[Any], Any]:
    """Give a column another type, and zeros."""

    def change(table: Any) -> Any:
        kinds = [(name, kind if name == column else table.dtype[name]) for name in table.dtype.names]
        made = np.zeros(len(table), kinds)
        for name in table.dtype.names:
            if name != column:
                made[name] = table[name]
        return made

    return change


def values(column: str, *new: Any) -> Callable[[Any], Any]:
    """Put other values into a column: into all rows in turn."""

    def change(table: Any) -> Any:
        for row in range(len(table)):
            table[column][row] = new[row % len(new)]
        return table

    return change


def claims(name: str, n: int) -> Change:
    """Let a table claim rows that are not there."""
    return lambda file: file[name].resize((n,))


def _linked(name: str, link: Any) -> Change:
    def make(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return make


def _virtual(name: str) -> Change:
    def make(file: h5py.File) -> None:
        kind, n = file[name].dtype, len(file[name])
        del file[name]
        layout = h5py.VirtualLayout((n,), kind)
        layout[:] = h5py.VirtualSource("/dev/zero", name, (n,))
        file.create_virtual_dataset(name, layout)

    return make


def _outside(name: str) -> Change:
    def make(file: h5py.File) -> None:
        kind, n = file[name].dtype, len(file[name])
        del file[name]
        file.create_dataset(name, (n,), kind, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])

    return make


def _references(name: str) -> Change:
    """Rows that point to other places of the file, and to memory of any length."""

    def make(file: h5py.File) -> None:
        n = len(file[name])
        del file[name]
        kind = [("event_id", h5py.ref_dtype), ("image", h5py.vlen_dtype(np.dtype("f4"))), ("obs_id", "i4")]
        file.create_dataset(name, (n,), np.dtype(kind))

    return make


def _wide(name: str) -> Change:
    """A row of 1 GB."""

    def make(file: h5py.File) -> None:
        del file[name]
        kind = np.dtype([("obs_id", "i4"), ("event_id", "i8"), ("image", "f4", (1 << 28,))])
        file.create_dataset(name, (1,), kind)

    return make


def _chunks(name: str) -> Change:
    """One chunk of a billion rows."""

    def make(file: h5py.File) -> None:
        kind = file[name].dtype
        del file[name]
        step = 0xFFFF_FFFF // kind.itemsize
        file.create_dataset(name, (step,), kind, chunks=(step,))

    return make


def _group(name: str) -> Change:
    def make(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return make


def _lzo(content: bytes) -> Change:
    """The images as one chunk in the form of LZO, with any content."""

    def make(file: h5py.File) -> None:
        old = file[LARGE]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((len(old),))
        plan.set_filter(305, h5py.h5z.FLAG_OPTIONAL, (1, 27, 0))
        kind, space = old.id.get_type(), old.id.get_space()
        del file[LARGE]
        h5py.h5d.create(file.id, LARGE.encode(), kind, space, plan).write_direct_chunk((0,), content)

    return make


class Trap:
    """Its pickle leaves a file behind when somebody loads it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def _attributes(name: str) -> Change:
    """Everything that an attribute should not be."""

    def make(file: h5py.File) -> None:
        item = file[name]
        trap = Trap(Path(file.filename).with_suffix(".trap"))
        for at in range(0, 12, 3):
            for key in (f"CTAFIELD_{at}_UNIT", f"CTAFIELD_{at}_TRANSFORM", f"FIELD_{at}_FILL", f"CTAFIELD_{at}_ENUM"):
                item.attrs[key] = np.void(pickle.dumps(trap))
        for number, one in enumerate(("runlist", "ctapipe_version", "dl1_data_handler_version", "PIX_TYPE2")):
            file.attrs[one] = np.bytes_(pickle.dumps([trap], 0)) if number % 2 else np.void(pickle.dumps(trap, 4))
        file.attrs["\udcff".encode("utf-8", "surrogatepass")] = b"\xff\xfe"
        file.attrs["<script>"] = "<img src=x onerror=alert(1)>"
        file.attrs["reference"] = file.ref
        file.attrs["empty"] = h5py.Empty("f8")
        file.attrs["pair"] = np.zeros(1, [("a", "i4"), ("b", "f8", 3)])
        file.attrs["texts"] = np.array(["a", "b" * 1000], h5py.string_dtype())
        file.attrs["deep"] = "[" * 50_000

    return make


def _both(*changes: Change) -> Change:
    def make(file: h5py.File) -> None:
        for change in changes:
            change(file)

    return make


CTAPIPE: dict[str, tuple[Change, str, bool]] = {
    "no trigger": (rows(TRIGGER, lambda _: None), "trigger is missing", False),
    "no event ids": (rows(TRIGGER, without("event_id")), "missing: event_id", False),
    "event ids of text": (rows(TRIGGER, another("event_id", "S4")), "expected an integer", False),
    "mask of another array": (rows(TRIGGER, another("tels_with_trigger", ("u1", 900))), "mask of the 3", False),
    "time of text": (rows(TRIGGER, another("time", "S8")), "time", False),
    "endless trigger": (claims(TRIGGER, 1 << 40), "claims 1099511627776 rows", False),
    "text for energy": (rows(SHOWER, another("true_energy", "S4")), "true_energy: expected a number", False),
    "truth elsewhere": (_outside(SHOWER), "other files", False),
    "no telescopes": (rows(LAYOUT, lambda table: table[:0]), "expected 1 to", False),
    "telescopes twice": (rows(LAYOUT, lambda table: table[[0, 0, 1]]), "a number each", False),
    "numbers below zero": (rows(LAYOUT, another("tel_id", "S4")), "expected an integer", False),
    "optics out of range": (rows(LAYOUT, values("optics_index", 1 << 40)), "optics_index up to", False),
    "optics below zero": (rows(LAYOUT, values("optics_index", -1)), "optics_index", False),
    "optics of text": (rows(OPTICS, another("effective_focal_length", "S4")), "expected a number", False),
    "layout in circles": (_linked(LAYOUT, h5py.SoftLink("/" + LAYOUT)), "no DL1 file", False),
    "layout as group": (_group(LAYOUT), "not a table", False),
    "no such camera": (rows(GEOMETRY, lambda _: None), "geometry_0 is missing", True),
    "unknown camera": (rows(LAYOUT, values("camera_index", 99, 99, 1)), "geometry_99 is missing", True),
    "camera by a path": (rows(LAYOUT, another("camera_index", "S8")), "geometry_", False),
    "camera of three pixels": (rows(GEOMETRY, lambda table: table[:3]), "expected 3 pixels in image", True),
    "camera without pixels": (rows(GEOMETRY, lambda table: table[:0]), "1 to", True),
    "pixels nowhere": (rows(GEOMETRY, values("pix_x", np.nan)), "finite", True),
    "pixels at infinity": (rows(GEOMETRY, values("pix_y", np.inf, 0.0)), "finite", True),
    "strange pixels": (lambda file: file[GEOMETRY].attrs.modify("PIX_TYPE", "heptagon"), "PIX_TYPE", True),
    "images of text": (rows(IMAGES, another("image", ("S1", 37))), "expected numbers", True),
    "images of another camera": (rows(IMAGES, another("image", ("f4", 36))), "expected 37 pixels", True),
    "one charge": (rows(IMAGES, another("image", "f4")), "expected 37 pixels", True),
    "times of another camera": (rows(IMAGES, another("peak_time", ("f4", 3))), "37 pixels in peak_time", True),
    "mask of another camera": (rows(IMAGES, another("image_mask", ("u1", 3))), "37 pixels in image_mask", True),
    "images without events": (rows(IMAGES, without("event_id")), "missing: event_id", True),
    "endless images": (claims(IMAGES, 1 << 40), "claims 1099511627776 rows", True),
    "images elsewhere": (_outside(IMAGES), "other files", True),
    "images of another file": (_virtual(IMAGES), "other files", True),
    "images behind a link": (_linked(IMAGES, h5py.ExternalLink("/dev/zero", IMAGES)), "", True),
    "images of references": (_references(IMAGES), "not read", True),
    "a row of 1 GB": (_wide(IMAGES), "not read|columns in", True),
    "a chunk of 4 GB": (_chunks(IMAGES), "chunks of|at most", True),
    "images as group": (_group(IMAGES), "not a table", True),
    "parameters without events": (rows(PARAMETERS, without("event_id")), "missing: event_id", True),
    "truth of another camera": (rows(TRUE_IMAGES, another("true_image", ("i4", 3))), "37 integers", True),
}
CTAML: dict[str, tuple[Change, str, bool]] = {
    "no events": (rows(EVENTS, lambda _: None), "Events", False),
    "no rows of images": (rows(EVENTS, without(f"{LARGE}_indices")), f"{LARGE}_indices", False),
    "rows behind the table": (rows(EVENTS, values(f"{LARGE}_indices", 4_000_000_000)), "up to 4000000000", False),
    "rows of text": (rows(EVENTS, another(f"{LARGE}_indices", ("S4", 2))), "expected 2 numbers", False),
    "rows of three": (rows(EVENTS, another(f"{LARGE}_indices", ("u4", 3))), "expected 2 numbers", False),
    "event ids of text": (rows(EVENTS, another("event_id", "S4")), "event_id", False),
    "endless events": (claims(EVENTS, 1 << 40), "claims 1099511627776 rows", False),
    "images of other events": (rows(LARGE, values("event_index", 39)), "other events", False),
    "no images": (rows(LARGE, lambda _: None), LARGE, False),
    "images of text": (rows(LARGE, another("charge", ("S1", 7))), "numbers in charge", False),
    "images of another camera": (rows(LARGE, another("charge", ("f4", 8))), "7 numbers in charge", False),
    "endless images": (claims(LARGE, 1 << 40), "claims 1099511627776 rows", False),
    "images elsewhere": (_outside(LARGE), "other files", False),
    "images of another file": (_virtual(LARGE), "other files", False),
    "images of references": (_references(LARGE), "not read", False),
    "a chunk of 4 GB": (_chunks(LARGE), "chunks of|at most", False),
    "no pixels": (rows(TYPES, values("num_pixels", 0)), "num_pixels", False),
    "more pixels than places": (rows(TYPES, values("num_pixels", 1 << 31)), "num_pixels", False),
    "pixels nowhere": (rows(TYPES, values("pixel_positions", np.nan)), "finite", False),
    "all pixels in one place": (rows(TYPES, values("pixel_positions", 0.0)), "", False),
    "a type twice": (rows(TYPES, values("type", LARGE)), "twice", False),
    "an unknown type": (rows(ARRAY, values("type", "Z")), "is not in", False),
    "telescopes twice": (rows(ARRAY, values("id", 1)), "different number", False),
    "numbers of text": (rows(ARRAY, another("id", "S3")), "different number", False),
    "LZO of nothing": (_lzo(b"\x11\0\0"), "LZO", False),
    "LZO from before the start": (_lzo(b"\x12a" + b"\x40\xff" * 40 + b"\x11\0\0"), "LZO", False),
    "LZO without end": (_lzo(b"\x00" + b"\0" * 4000), "LZO", False),
    "LZO of ones": (_lzo(b"\xff" * 5000), "LZO", False),
}
SOUND: dict[str, tuple[str, Change]] = {
    "ctapipe, attributes": ("ctapipe", _both(_attributes(TRIGGER), _attributes(IMAGES))),
    "CTA-ML, attributes": ("ctaml", _both(_attributes(EVENTS), _attributes(LARGE))),
    "ctapipe, wild charges": (
        "ctapipe",
        _both(
            rows(IMAGES, values("image", np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0, 1e-38)),
            rows(IMAGES, values("peak_time", np.nan, np.inf, 1e38, -1e38)),
        ),
    ),
    "CTA-ML, wild charges": (
        "ctaml",
        _both(
            rows(LARGE, values("charge", np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0)),
            rows(LARGE, values("peakpos", np.nan, -np.inf, 3e38)),
        ),
    ),
    "ctapipe, one event all the time": (
        "ctapipe",
        _both(
            rows(TRIGGER, values("event_id", 5)),
            rows(IMAGES, values("event_id", 5)),
            rows(SHOWER, values("event_id", 5)),
        ),
    ),
    "ctapipe, images of no event": ("ctapipe", rows(IMAGES, values("event_id", -(1 << 62), (1 << 63) - 1))),
    "ctapipe, truth that is none": (
        "ctapipe",
        _both(*(rows(SHOWER, values(f"true_{one}", np.nan, np.inf, -1.0)) for one in ("energy", "alt", "core_x"))),
    ),
    "ctapipe, telescopes nowhere": ("ctapipe", rows(LAYOUT, values("pos_x", np.nan, np.inf))),
    "ctapipe, pixels without area": ("ctapipe", rows(GEOMETRY, values("pix_area", 0.0, -1.0, np.nan))),
    "ctapipe, all pixels in one place": (
        "ctapipe",
        _both(rows(GEOMETRY, values("pix_x", 0.0)), rows(GEOMETRY, values("pix_y", 0.0))),
    ),
    "ctapipe, pixels far away": ("ctapipe", rows(GEOMETRY, values("pix_x", 1e300, -1e300, 1e-300))),
}
WRITERS = {"ctapipe": ctapipe_file, "ctaml": ctaml_file}


def sound(folder: Path, kind: str) -> Path:
    """Write a file in which nothing is wrong."""
    return WRITERS[kind](folder / f"{kind}.h5")


def _changed(path: Path, content: bytes, change: Change) -> Path:
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def write_all(folder: Path) -> dict[str, Broken]:
    """Write one file for each way to be broken."""
    found: dict[str, Broken] = {}
    for kind, breaks in (("ctapipe", CTAPIPE), ("ctaml", CTAML)):
        content = sound(folder, kind).read_bytes()
        (folder / f"{kind}.h5").unlink()
        for name, (change, words, whole) in breaks.items():
            path = folder / f"{kind}_{name.replace(' ', '_')}.h5"
            found[f"{kind}: {name}"] = Broken(_changed(path, content, change), words, whole)
        for percent in (1, 30, 60, 90, 99):
            path = folder / f"{kind}_cut_{percent}.h5"
            path.write_bytes(content[: len(content) * percent // 100])
            found[f"{kind}: cut {percent}"] = Broken(path, "cut off", False)
    for name, content in {
        "nothing": b"",
        "text": b"hello " * 900,
        "signature": b"\x89HDF\r\n\x1a\n" + bytes(4000),
    }.items():
        (folder / f"{name}.h5").write_bytes(content)
        found[name] = Broken(folder / f"{name}.h5", "", False)
    for name, content in {
        "foreign": {"data": np.zeros(3), "entry/instrument/detector": np.zeros((2, 2))},
        "foreign events": {"Events": np.zeros(3, [("run", "i4")]), "Runs": np.zeros(3)},
        "foreign groups": {"dl1/event/subarray": np.zeros(2), "configuration": np.zeros(1)},
    }.items():
        path = folder / f"{name.replace(' ', '_')}.h5"
        with h5py.File(path, "w") as file:
            for place, data in content.items():
                file[place] = data
        found[name] = Broken(path, "", False)
    (folder / "folder.h5").mkdir()
    os.mkfifo(folder / "pipe.h5")
    return found | {name: Broken(folder / f"{name}.h5", "", False) for name in ("folder", "pipe")}


def write_sound(folder: Path) -> dict[str, Path]:
    """Write files that are odd, but can be read."""
    contents = {kind: sound(folder, kind).read_bytes() for kind in WRITERS}
    return {
        name: _changed(folder / f"odd_{number}.h5", contents[kind], change)
        for number, (name, (kind, change)) in enumerate(SOUND.items())
    }
