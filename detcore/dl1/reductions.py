"""What is accumulated over images. State holds sums; means and shares are made at the end.

A chunk is what `source` describes; `steps.Parametrised` adds what is calculated of each image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.parameters import Names
from detcore.core.reduction import Reduction
from detcore.core.schema import EVENT, require
from detcore.core.source import natural
from detcore.dl1.columns import TABLE, facts_of
from detcore.dl1.files.model import PIXEL
from detcore.dl1.images import sums
from detcore.dl1.images.cleaning import frozen
from detcore.dl1.steps import Cuts
from detcore.dl1.tally import TELESCOPE, Sums, Tally, by_telescope, check, ids, moments, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_IMAGES: Final = 1_000_000  # of which the table keeps the parameters
IMAGE: Final = "image"
KEY: Final = "entry"
MAX_MULTIPLICITY: Final = 4096  # larger ones are counted there
PER_TELESCOPE: Final = ("count", "first", "second", "bright", "survived", "time_count", "time_first", "time_second")


class Overview(Sums):
    """How many images were read: `n_read` (telescope).

    Its attributes say which camera and cuts the other results stand for.
    """

    cuts: Cuts = Field(default_factory=Cuts, description="Cleaning and cuts")

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"tel_id"})

    @override
    def empty(self, schema: xr.Dataset) -> Tally:
        state = super().empty(schema)
        state.facts = {
            "camera": facts_of(state.camera),
            "time_unit": state.time_unit,
            "format": schema.attrs.get("format", ""),
            "frame": "telescope" if state.camera.focal_length > 0 else "camera",
            "cut": self.cuts.words(),
            "occupancy_above": self.cuts.occupancy_above,  # p.e.
        }
        return state

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        check(state, chunk)
        for tel_id, n in zip(*np.unique(chunk.variables["tel_id"].values, return_counts=True), strict=True):
            mine = state.sums.setdefault(int(tel_id), {"n": np.zeros((), np.int64)})
            mine["n"] = mine["n"] + n

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        n = state.stacked("n", np.zeros((), np.int64))
        data = {"n_read": (TELESCOPE, n, {"long_name": "Images read"})}
        return xr.Dataset(data, {TELESCOPE: ids(state)}, attrs=dict(state.facts))


class EventCounts(Sums):
    """How many events there are: `n_events`, and `multiplicity_counts` (bin_multiplicity), those with 0, 1, ... telescopes.

    Counted by the image of the telescope with the smallest number, so that cuts on images do not belong before it.
    """

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"first", "multiplicity"})

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        numbers = chunk.variables["multiplicity"].values[chunk.variables["first"].values]
        mine = state.sums.setdefault(0, {"n": np.zeros(MAX_MULTIPLICITY + 1, np.int64)})
        mine["n"] += np.bincount(np.clip(numbers, 0, MAX_MULTIPLICITY), minlength=MAX_MULTIPLICITY + 1)

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        counts = state.sums[0]["n"].copy() if state.sums else np.zeros(1, np.int64)
        used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 1
        data = {
            "n_events": ((), counts.sum(), {"long_name": "Events"}),
            "multiplicity_counts": ("bin_multiplicity", counts[:used], {"long_name": "Events"}),
        }
        return xr.Dataset(data)


class PixelStatistics(Sums):
    """Charge and time of each pixel over all images.

    Gives `n_images` (telescope) and, by telescope and pixel: `pixel_count`, charges that are numbers; `mean` and `std`
    of the charge, p.e.; `occupancy`, share of charges of `above` or more; `survival`, share of images in which the pixel
    survives the cleaning; `time_mean` and `time_std` of the peak times of images in which its charge is so high.
    """

    above: float = Field(10.0, description="A pixel with this charge is occupied, p.e.", allow_inf_nan=False)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"tel_id", "image", "selected"} | ({"peak_time"} & set(map(str, schema.variables))))

    @override
    def update(self, state: Tally, chunk: xr.Dataset) -> None:
        check(state, chunk)
        require(chunk, ("image", "selected", "tel_id"), "the statistics of pixels")
        columns = [
            chunk.variables[name].values if name in chunk.variables else None
            for name in ("image", "selected", "peak_time")
        ]
        for tel_id, part in by_telescope(chunk):
            images, selected, times = (None if one is None else frozen(one[part]) for one in columns)
            assert images is not None
            if tel_id not in state.sums:
                n = state.camera.n_pixels
                types = [np.float64 if name.endswith(("first", "second")) else np.int64 for name in PER_TELESCOPE]
                state.sums[tel_id] = {
                    name: np.zeros(n, dtype) for name, dtype in zip(PER_TELESCOPE, types, strict=True)
                }
                state.sums[tel_id]["n"] = np.zeros(1, np.int64)
            mine = state.sums[tel_id]
            mine["n"] += len(images)
            above = images.dtype.type(self.above)
            sums.add_charges(images, selected, above, *(mine[name] for name in PER_TELESCOPE[:5]))
            if times is not None:
                sums.add_times(images, times, above, *(mine[name] for name in PER_TELESCOPE[5:]))

    @override
    def finalize(self, state: Tally) -> xr.Dataset:
        n_images = state.stacked("n", np.zeros(1, np.int64))[:, 0]
        blank = np.zeros(state.camera.n_pixels)
        found = {name: state.stacked(name, blank) for name in PER_TELESCOPE}
        both = (TELESCOPE, PIXEL)
        mean, std = moments(found["count"], found["first"], found["second"])
        time_mean, time_std = moments(found["time_count"], found["time_first"], found["time_second"])
        charge, time, part = {"units": "p.e."}, {"units": state.time_unit}, {"units": ""}
        shown = f"of {self.above:g} p.e. or more"
        data: dict[str, Any] = {
            "n_images": (TELESCOPE, n_images, {"long_name": "Images"}),
            "pixel_count": (both, found["count"].astype(np.int64), {"long_name": "Charges"}),
            "mean": (both, mean, charge | {"long_name": "Mean charge"}),
            "std": (both, std, charge | {"long_name": "Standard deviation of the charge"}),
            "occupancy": (both, share(found["bright"], found["count"]), part | {"long_name": f"Share {shown}"}),
            "survival": (
                both,
                share(found["survived"], n_images[:, None]),
                part | {"long_name": "Share that survives the cleaning"},
            ),
            "time_mean": (both, time_mean, time | {"long_name": f"Mean peak time {shown}"}),
            "time_std": (both, time_std, time | {"long_name": f"Standard deviation of the peak time {shown}"}),
        }
        return xr.Dataset(data, {TELESCOPE: ids(state)})


class Rows(NamedTuple):
    """Rows of the table, from one chunk: few large arrays, for many small ones take long to put together.

    Parameters
    ----------
    part
        The file.
    key
        (image,) their numbers in the file.
    whole, real
        (column, image) int64 and float64.
    """

    part: str
    key: NDArray[np.int64]
    whole: NDArray[np.int64]
    real: NDArray[np.float64]


@dataclass
class Pieces:
    """State of the table: rows in any order, the names and attributes of the columns, and how many rows were met."""

    whole: list[str]
    real: list[str]
    labels: dict[str, dict[str, Any]]
    rows: list[Rows] = field(default_factory=list)
    held: int = 0
    seen: int = 0


class ImageTable(Reduction):
    """Parameters of each image, along `image`; see `columns.TABLE`. It grows by 450 bytes for each.

    In the order of the files and of the images in them: `entry` is the number of the image in its file, and `part` that of
    the file in `parts`. Only the last `last` images are kept; then the attribute `left_out` says how many there were.
    """

    columns: Names = Field(TABLE, description="What to keep, if it is there", min_length=1)
    last: int | None = Field(MAX_IMAGES, description="Keep only so many images, the last ones", gt=0)

    def _present(self, schema: xr.Dataset) -> list[str]:
        variables = schema.variables
        return [name for name in self.columns if name in variables]

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({*self._present(schema), KEY})

    @override
    def empty(self, schema: xr.Dataset) -> Pieces:
        variables, names = schema.variables, self._present(schema)
        real = [name for name in names if variables[name].dtype.kind == "f"]
        whole = [name for name in names if name not in real]
        return Pieces(whole, real, {name: dict(variables[name].attrs) for name in names})

    @override
    def update(self, state: Pieces, chunk: xr.Dataset) -> None:
        variables, n = chunk.variables, chunk.sizes[EVENT]
        require(chunk, (*state.labels, KEY), "the table of images")
        whole, real = np.empty((len(state.whole), n), np.int64), np.empty((len(state.real), n), np.float64)
        for names, block in ((state.whole, whole), (state.real, real)):
            for k, name in enumerate(names):
                np.copyto(block[k], variables[name].values, casting="same_kind")
        if n:
            state.rows.append(Rows(chunk.attrs["file"], variables[KEY].values.astype(np.int64), whole, real))
            state.held += n
            state.seen += n
            self._drop(state)

    @override
    def merge(self, state: Pieces, other: Pieces) -> None:
        state.rows += other.rows
        state.held += other.held
        state.seen += other.seen
        self._drop(state)

    def _drop(self, state: Pieces) -> None:
        """Forget rows that are too old; now and then, for it takes a while."""
        if self.last and state.held > self.last + self.last // 4:
            state.rows = self._newest(state.rows)
            state.held = sum(len(piece.key) for piece in state.rows)

    def _newest(self, pieces: list[Rows]) -> list[Rows]:
        """Return the pieces in order, without those that are too old."""
        pieces = sorted(pieces, key=lambda piece: (natural(piece.part), int(piece.key[0])))
        rows, first = sum(len(piece.key) for piece in pieces), 0
        while self.last and first < len(pieces) and rows - len(pieces[first].key) >= self.last:
            rows -= len(pieces[first].key)
            first += 1
        return pieces[first:]

    @override
    def finalize(self, state: Pieces) -> xr.Dataset:
        pieces = self._newest(state.rows)
        parts = list(dict.fromkeys(piece.part for piece in pieces))
        numbers = {part: number for number, part in enumerate(parts)}
        part = np.repeat(
            np.array([numbers[piece.part] for piece in pieces], np.int32), [len(piece.key) for piece in pieces]
        )
        kept = slice(-self.last if self.last else None, None)
        data: dict[str, Any] = {}
        for names, dtype, blocks in (
            (state.whole, np.int64, [piece.whole for piece in pieces]),
            (state.real, np.float64, [piece.real for piece in pieces]),
        ):
            block = np.concatenate([np.empty((len(names), 0), dtype), *blocks], axis=1)[:, kept]
            data |= {name: (IMAGE, block[k].copy(), dict(state.labels[name])) for k, name in enumerate(names)}
        key = np.concatenate([np.empty(0, np.int64), *(piece.key for piece in pieces)])[kept]
        coords = {KEY: (IMAGE, key), "part": (IMAGE, part[kept]), "parts": ("parts", np.array(parts, dtype=object))}
        words = f"the table holds the last {len(key)} of {state.seen} images"
        attrs = {"left_out": words} if len(key) < state.seen else {}
        return xr.Dataset({name: data[name] for name in state.labels}, coords, attrs=attrs)
