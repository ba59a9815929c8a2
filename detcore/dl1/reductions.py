"""What is accumulated over images. State holds sums; means and shares are made at the end.

A chunk is what `source` describes; `steps.Parametrised` adds what is calculated of each image.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from pydantic import Field
from typing_extensions import override

from detcore.core.parameters import Names  # noqa: TC001 - pydantic reads it
from detcore.core.schema import EVENT, require
from detcore.core.series import Series
from detcore.dl1 import sums
from detcore.dl1.cleaning import frozen
from detcore.dl1.columns import TABLE, facts_of
from detcore.dl1.model import PIXEL
from detcore.dl1.steps import Cuts
from detcore.dl1.tally import TELESCOPE, Sums, Tally, by_telescope, check, ids, moments, share

MAX_IMAGES: Final = 1_000_000  # of which the table keeps the parameters
IMAGE: Final = "image"
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
        for tel_id, n in zip(*np.unique(chunk["tel_id"].values, return_counts=True), strict=True):
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
        numbers = chunk["multiplicity"].values[chunk["first"].values]
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


class ImageTable(Series):
    """Parameters of each image, along `image`; see `columns.TABLE`. It grows by 450 bytes for each.

    Only the last `last` images are kept; then the attribute `left_out` says how many are not in the table.
    """

    columns: Names = Field(TABLE, description="What to keep, if it is there", min_length=1)
    last: int | None = Field(MAX_IMAGES, description="Keep only so many images, the last ones", gt=0)

    def _present(self, schema: xr.Dataset) -> list[str]:
        return [name for name in self.columns if name in schema.variables]

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({*self._present(schema), self.key})

    @override
    def empty(self, schema: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
        blank = self._block(schema, self._present(schema)).isel({EVENT: slice(0, 0)})
        labels = {name: dict(schema[name].attrs) for name in self._present(schema)}
        return [("", blank.assign_attrs(labels=labels, seen=0, held=0))]

    def _block(self, chunk: xr.Dataset, names: list[str]) -> xr.Dataset:
        """Return the columns in two arrays: many small ones take long to put together."""
        require(chunk, names, "the table of images")
        kinds: dict[str, list[str]] = {"whole": [], "real": []}
        for name in names:
            kinds["real" if chunk.variables[name].dtype.kind == "f" else "whole"].append(name)
        n = chunk.sizes[EVENT]
        data: dict[str, Any] = {self.key: (EVENT, chunk[self.key].values.copy())}
        for (kind, found), dtype in zip(kinds.items(), (np.int64, np.float64), strict=True):
            block = np.empty((len(found), n), dtype)
            for k, name in enumerate(found):
                block[k] = chunk.variables[name].values
            data[kind] = ((f"name_{kind}", EVENT), block)
        return xr.Dataset(data, attrs={"order": kinds})

    @override
    def update(self, state: list[tuple[str, xr.Dataset]], chunk: xr.Dataset) -> None:
        first = state[0][1].attrs
        n = chunk.sizes[EVENT]
        block = self._block(chunk, list(first["labels"]))
        if block.attrs["order"] != first["order"] and n:
            msg = f"{chunk.attrs.get('file', '')}: columns are of other types than in the first file; read it by itself"
            raise ValueError(msg)
        if n:
            state.append((chunk.attrs[self.part], block))
        self._count(state, n)

    @override
    def merge(self, state: list[tuple[str, xr.Dataset]], other: list[tuple[str, xr.Dataset]]) -> None:
        state += other[1:]
        more = other[0][1].attrs
        self._count(state, more["held"], more["seen"])

    def _count(self, state: list[tuple[str, xr.Dataset]], held: int, seen: int | None = None) -> None:
        facts = state[0][1].attrs
        facts["held"] += held
        facts["seen"] += held if seen is None else seen
        if self.last and facts["held"] > self.last + self.last // 4:  # now and then, for it takes a while
            state[1:] = self._newest(state[1:])
            facts["held"] = sum(piece.sizes[EVENT] for _, piece in state[1:])

    @override
    def finalize(self, state: list[tuple[str, xr.Dataset]]) -> xr.Dataset:
        facts = state[0][1].attrs
        whole = super().finalize(state)
        columns: dict[str, Any] = {}
        for kind, names in facts["order"].items():
            values = whole[kind].transpose(f"name_{kind}", EVENT).values
            columns |= {name: (IMAGE, values[k].copy(), dict(facts["labels"][name])) for k, name in enumerate(names)}
        coords = {name: (IMAGE, whole[name].values) for name in (self.key, "part")} | {"parts": whole["parts"]}
        left_out = facts["seen"] - whole.sizes[EVENT]
        attrs = (
            {"left_out": f"the table holds the last {whole.sizes[EVENT]} of {facts['seen']} images"} if left_out else {}
        )
        return xr.Dataset({name: columns[name] for name in facts["labels"]}, coords, attrs=attrs)
