"""Azimuthal profiles of a run: one for each frame, or one of all frames together.

A chunk has `data` (frame, y, x) or (frame, module, y, x) and `event_id` (frame, int64).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from detcore.area.images.azimuthal import AzimuthalMap, Totals
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.images.geometry import Geometry
from detcore.core.reduction import Reduction
from detcore.core.schema import FRAME, require

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

PIECES = 64  # so many are joined to one


class Plane:
    """An array of the shape of a frame that a reduction carries: equal if its bytes are."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    @property
    def digest(self) -> str:
        """Short fingerprint of shape, type and bytes."""
        parts = f"{self.values.shape}{self.values.dtype}".encode() + np.ascontiguousarray(self.values).tobytes()
        return hashlib.sha256(parts).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plane) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __str__(self) -> str:
        return f"{self.values.dtype} {self.values.shape} {self.digest}"


@dataclass(eq=False)
class Profiles:
    """State: the map (made when the first frame comes) and rows, or sums over frames."""

    shape: tuple[int, ...]
    made: AzimuthalMap | None = None
    rows: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    totals: Totals | None = None
    frames: int = 0


class AzimuthalSeries(Reduction):
    """Azimuthal integration of each frame, or of all frames as one.

    Gives `intensity`, `error` and `n_valid` on ([frame,] [azimuth,] q | two_theta | radius), and `n_frames`. With
    ``per_frame=False`` values, variances, corrections and pixel counts are added up over the frames first, so that a pixel
    that is invalid in some frames counts in the others.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    geometry: Geometry
    options: AzimuthalOptions = Field(default_factory=AzimuthalOptions, description="Bins and corrections")
    per_frame: bool = Field(True, description="One profile for each frame; without: one of all")
    detector: Any = Field(None, description="Whose pixels know their place; none: the frames are images")
    good: Plane | None = Field(None, description="Pixels that count")
    dark: Plane | None = Field(None, description="Subtracted")
    flat: Plane | None = Field(None, description="Relative response")
    last: int | None = Field(None, description="Keep only so many frames, the last ones", gt=0)

    @override
    def needs(self, schema: xr.Dataset) -> frozenset[str]:
        return frozenset({"data", "event_id"})

    @override
    def empty(self, schema: xr.Dataset) -> Profiles:
        require(schema, ["data", "event_id"], "AzimuthalSeries")
        return Profiles(tuple(schema["data"].shape[1:]))

    def _map(self, state: Profiles) -> AzimuthalMap:
        if state.made is None:
            tiled = self.detector is not None and len(self.detector.shape) == 3
            target = self.detector if tiled else state.shape
            good, flat = (None if one is None else one.values for one in (self.good, self.flat))
            state.made = AzimuthalMap.of(self.geometry, target, self.options, good=good, flat=flat)
        return state.made

    @override
    def update(self, state: Profiles, chunk: xr.Dataset) -> None:
        frames, numbers = chunk.variables["data"].values, chunk.variables["event_id"].values
        if len(frames) == 0:
            return
        made = self._map(state)
        if frames.shape[1:] != made.shape:
            msg = f"{chunk.attrs.get('file', 'a chunk')}: expected frames of {made.shape}, found {frames.shape[1:]}"
            raise ValueError(msg)
        state.frames += len(frames)
        if self.per_frame:
            found = [self._totals(made, frame).divided() for frame in frames]
            row = {
                "event_id": numbers.astype(np.int64),
                "intensity": np.array([one[0] for one in found]),
                "n_valid": np.array([one[2] for one in found]),
            }
            if self.options.errors:
                row["error"] = np.array([one[1] for one in found])
            state.rows.append(row)
            if len(state.rows) > PIECES:
                state.rows = [self._joined(state)]
        else:
            for frame in frames:
                state.totals = _added(state.totals, self._totals(made, frame))

    def _totals(self, made: AzimuthalMap, frame: NDArray[Any]) -> Totals:
        if self.dark is None:
            return made.totals(frame)
        values = frame.astype(np.float32)
        counts = np.maximum(values, 0) * np.float32(self.options.adu_per_photon)
        return made.totals(values - self.dark.values, counts if self.options.errors == "poisson" else None)

    @override
    def merge(self, state: Profiles, other: Profiles) -> None:
        state.made = state.made or other.made
        state.frames += other.frames
        state.rows += other.rows
        if other.totals is not None:
            state.totals = _added(state.totals, other.totals)
        if state.rows and (self.last or len(state.rows) > PIECES):
            state.rows = [self._joined(state)]

    def _joined(self, state: Profiles) -> dict[str, NDArray[Any]]:
        """Return all rows in the order of the events."""
        if not state.rows:
            return {}
        whole = {name: np.concatenate([row[name] for row in state.rows]) for name in state.rows[0]}
        order = np.argsort(whole["event_id"], kind="stable")[-self.last if self.last else 0 :]
        return {name: values[order] for name, values in whole.items()}

    @override
    def finalize(self, state: Profiles) -> xr.Dataset:
        made, rows = self._map(state), self._joined(state)
        frames = len(rows["event_id"]) if rows else 0
        if self.per_frame:
            nothing = np.zeros((0, made.n_cells))
            valid = rows.get("n_valid", nothing.astype(np.int64))
            error = rows.get("error", nothing) if self.options.errors else None
            data = made.labelled(rows.get("intensity", nothing), error, valid, several=True)
            data = data.assign_coords({FRAME: rows.get("event_id", np.zeros(0, np.int64))})
        else:
            frames, none = state.frames, np.zeros(made.n_cells)
            totals = state.totals or Totals(none, none if self.options.errors else None, none, none.astype(np.int64))
            intensity, error, valid = totals.divided()
            data = made.labelled(intensity[None], None if error is None else error[None], valid[None], several=False)
            data = data.copy(deep=True)
        return data.assign(n_frames=((), frames))


def _added(mine: Totals | None, other: Totals) -> Totals:
    if mine is None:
        return other
    squared = None if mine.squared is None or other.squared is None else mine.squared + other.squared
    return Totals(mine.total + other.total, squared, mine.norm + other.norm, mine.valid + other.valid)
