"""Reads other public layouts of shower data as `Ragged`, batch by batch; which layout a file has is said, never guessed.

caloclouds
    ``events`` (shower, point, 4) or (shower, 4, point): x, depth, z in mm or layers, energy; ``energy`` in GeV;
    perhaps ``p_norm_local`` (shower, 3). Padded at either end. CaloHadronic's files are of this layout, too.
multi-calorimeter
    ``events`` (shower, point, 5): x, y in mm, layer, time in ns, energy in GeV; ``incident_energy`` or
    ``incident_energies`` in GeV; ``incident_momentum`` or ``momentum`` (shower, 3). Gamma showers.
calochallenge
    ``showers`` (shower, voxel) and ``incident_energies``, both MeV; where the voxels are says a `Binning`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import h5py
import numpy as np

from detcore.showers.detector import ILD, DetectorGeometry
from detcore.showers.ragged import Ragged

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from detcore.showers.binning import Binning

Layout = Literal["caloclouds", "multi-calorimeter", "calochallenge"]
LAYOUTS: Final = ("caloclouds", "multi-calorimeter", "calochallenge")
MAX_BATCH: Final = 64_000_000  # bytes of a batch in memory
MAX_ROW: Final = 256_000_000  # bytes of a single shower; the public ones have 0.1 MB
GAMMA: Final = 22
EXTRAS: Final = ("sampling_fraction", "num_layers")  # one number for each shower; readers of the format ignore them


@dataclass(frozen=True)
class Rules:
    """What a file of another layout does not say about itself.

    Parameters
    ----------
    layout
        One of `LAYOUTS`.
    energy_unit
        Of the points, MeV or GeV; must be said for caloclouds, whose files exist with both. The others are fixed.
    pdg
        Code of the incident particles; must be said for caloclouds. Others: 22, or that of the binning.
    depth
        Of caloclouds: `layer` if the second column counts layers, `mm` if it is a distance as in the geometry.
    origin
        x and y (mm) where the particles enter, which is subtracted from the points.
    binning
        Of calochallenge; must be said.
    geometry
        Turns a depth in mm into a layer.
    """

    layout: Layout
    energy_unit: Literal["MeV", "GeV"] | None = None
    pdg: int | None = None
    depth: Literal["layer", "mm"] = "layer"
    origin: tuple[float, float] = (0.0, 0.0)
    binning: Binning | None = None
    geometry: DetectorGeometry = ILD

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            msg = f"layout {self.layout!r:.60}; expected one of {', '.join(LAYOUTS)}"
            raise ValueError(msg)
        fixed = {"multi-calorimeter": "GeV", "calochallenge": "MeV"}.get(self.layout)
        if fixed is None and (self.energy_unit is None or self.pdg is None):
            msg = "a caloclouds file says neither the unit of its point energies nor the particle; give both"
            raise ValueError(msg)
        if fixed is not None and self.energy_unit not in (None, fixed):
            msg = f"energies of layout {self.layout} are in {fixed}, not in {self.energy_unit}"
            raise ValueError(msg)
        if (self.layout == "calochallenge") != (self.binning is not None):
            msg = "a binning is needed for layout calochallenge and for no other"
            raise ValueError(msg)
        if self.depth not in ("layer", "mm"):
            msg = f"depth {self.depth!r:.60}; expected layer or mm"
            raise ValueError(msg)


class ForeignFile:
    """An open file of another layout.

    Parameters
    ----------
    path
        HDF5 file.
    rules
        What it does not say itself.

    Raises
    ------
    OSError
        The file is missing or not HDF5.
    ValueError
        It is not of that layout; says what was expected and what was found.
    """

    def __init__(self, path: str | os.PathLike[str], rules: Rules) -> None:
        self.path, self.rules = Path(path), rules
        with self.path.open("rb"):  # a missing file has a plain message this way
            pass
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            msg = f"{self.path}: expected an HDF5 file of layout {rules.layout}; found none ({error})"
            raise OSError(msg) from None
        try:
            self._look()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return int(self._n)

    @property
    def columns(self) -> int:
        """Columns of the points: 5 with time, else 4."""
        return 5 if self.rules.layout == "multi-calorimeter" else 4

    def _look(self) -> None:
        layout = self.rules.layout
        if self.rules.binning is not None:
            self._points = self._dataset("showers", "(shower, voxel)", 2)
            self._transposed, self._n = False, self._points.shape[-2]
            if self._points.shape[-1] != self.rules.binning.n_voxels:
                msg = (
                    f"{self.path}: expected {self.rules.binning.n_voxels} voxels (binning {self.rules.binning.name}), "
                    f"found {self._points.shape[-1]}; choose another binning"
                )
                raise ValueError(msg)
            self._energies = self._per_shower(("incident_energies",)).reshape(-1) / 1000
            self._directions = None
        else:
            features = 4 if layout == "caloclouds" else 5
            self._points = self._dataset("events", f"(shower, point, {features})", 3)
            last, middle = (self._points.shape[axis] == features for axis in (-1, -2))
            if layout == "caloclouds" and last == middle:
                msg = (
                    f"{self.path}: events: expected (shower, point, 4) or (shower, 4, point), found "
                    f"{self._points.shape}; " + ("which axis is the point cannot be told" if last else "no axis is 4")
                )
                raise ValueError(msg)
            if layout != "caloclouds" and not last:
                msg = f"{self.path}: events: expected (shower, point, 5), found {self._points.shape}"
                raise ValueError(msg)
            self._transposed = not last
            self._n = self._points.shape[-3]
            energies = ("energy",) if layout == "caloclouds" else ("incident_energy", "incident_energies")
            self._energies = self._per_shower(energies).reshape(-1)
            vectors = ("p_norm_local",) if layout == "caloclouds" else ("incident_momentum", "momentum")
            needed = layout != "caloclouds"
            self._directions = self._unit(vectors) if needed or vectors[0] in self._file else None
        if not np.isfinite(self._energies).all() or (self._energies < 0).any():
            msg = f"{self.path}: incident energies: expected finite numbers from 0 on, found others"
            raise ValueError(msg)

    def _dataset(self, name: str, words: str, dims: int | None = None) -> Any:
        found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            there = ", ".join(map(str, list(self._file)[:20])) or "nothing"
            msg = f"{self.path}: expected a dataset {name!r} {words} of layout {self.rules.layout}; the file has {there:.300}"
            raise ValueError(msg)  # noqa: TRY004 - a file, not an argument, has the wrong type
        if found.dtype.kind not in "fiu" or found.external or found.is_virtual:
            msg = f"{self.path}: {name}: expected numbers in this file, found {found.dtype} or a link to others"
            raise ValueError(msg)
        shape = found.shape
        if dims is None:
            return found
        if len(shape) < dims or any(extra != 1 for extra in shape[: len(shape) - dims]):
            msg = f"{self.path}: {name}: expected {words}, found shape {shape}"
            raise ValueError(msg)
        if int(np.prod(shape[len(shape) - dims + 1 :], dtype=object)) * 8 > MAX_ROW:
            msg = f"{self.path}: {name}: a shower of shape {shape[1:]} is larger than {MAX_ROW:,} bytes"
            raise ValueError(msg)
        return found

    def _per_shower(self, names: tuple[str, ...], width: int = 1) -> NDArray[np.float64]:
        """Return (shower, width) of the first dataset that is there; axes of length 1 do not count."""
        name = next((name for name in names if name in self._file), names[0])
        found = self._dataset(name, "(shower,)" if width == 1 else f"(shower, {width})")
        if found.size != self._n * width or found.size * 8 > MAX_ROW:
            msg = f"{self.path}: {name}: expected {self._n} x {width} numbers as there are showers, found {found.shape}"
            raise ValueError(msg)
        return np.asarray(found[()], np.float64).reshape(self._n, width)

    def _unit(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        vectors = self._per_shower(names, 3)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        wrong = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
        if len(wrong):
            msg = f"{self.path}: {names[0]}: expected a direction for each shower; shower {wrong[0]} has {vectors[wrong[0]]}"
            raise ValueError(msg)
        return np.asarray(vectors / length, np.float64)

    def batch_size(self, most: int = 1000) -> int:
        """Return how many showers fit into memory at once, `most` at most."""
        row = int(np.prod(self._points.shape[-2:] if self.rules.binning is None else self._points.shape[-1:])) * 8
        return max(1, min(most, MAX_BATCH // max(row, 1)))

    def extras(self) -> dict[str, NDArray[Any]]:
        """Return the further numbers for each shower that the file has, (shower, 1)."""
        if self.rules.layout != "multi-calorimeter":
            return {}
        found = {name: self._per_shower((name,)) for name in EXTRAS if name in self._file}
        return {name: values.astype(np.int32 if name == "num_layers" else np.float32) for name, values in found.items()}

    def count(self, start: int, stop: int) -> int:
        """Return the largest number of points of the showers `start` to `stop`."""
        return int((self._energy(self._rows(start, stop)) > 0).sum(axis=1).max(initial=0))

    def read(self, start: int, stop: int) -> Ragged:
        """Return the showers `start` to `stop` with our columns and units; points without energy are left out.

        Raises
        ------
        ValueError
            A point has a negative energy, a number is not finite, or a depth is outside of the calorimeter.
        """
        rows = self._rows(start, stop)
        energy = self._energy(rows)
        if not (energy >= 0).all():  # nan as well
            shower = start + int(np.flatnonzero(~(energy >= 0).all(axis=1))[0])
            msg = f"{self.path}: shower {shower}: expected point energies from 0 on, found a negative one or no number"
            raise ValueError(msg)
        real = energy > 0
        counts = real.sum(axis=1)
        points = np.empty((int(counts.sum()), self.columns), np.float64)
        if self.rules.binning is not None:
            row, voxel = np.nonzero(real)
            points[:, :3] = self.rules.binning.positions(row + start, voxel)
        else:
            order = (0, 2, 1) if self.rules.layout == "caloclouds" else (0, 1, 2)
            for place, column in enumerate(order):
                points[:, place] = rows[..., column][real]
            if self.rules.layout == "multi-calorimeter":
                points[:, 4] = rows[..., 3][real]
            points[:, :2] -= self.rules.origin
            if self.rules.depth == "mm":
                points[:, 2] = self._layer(points[:, 2])
        points[:, 3] = energy[real]
        if "MeV" in (self.rules.energy_unit, "MeV" if self.rules.binning is not None else ""):
            points[:, 3] /= 1000
        if not np.isfinite(points).all():
            msg = f"{self.path}: showers {start} to {stop - 1}: expected finite coordinates, found others"
            raise ValueError(msg)
        pdg = self.rules.pdg if self.rules.pdg is not None else self.rules.binning.pdg if self.rules.binning else GAMMA
        return Ragged.build(
            points,
            counts,
            self._energies[start:stop],
            None if self._directions is None else self._directions[start:stop],
            np.full(len(counts), pdg, np.int32),
            np.arange(start, start + len(counts), dtype=np.int32),
        )

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return (shower, point, column), or (shower, voxel)."""
        try:
            rows = np.asarray(
                self._points[..., start:stop, :] if self.rules.binning is not None else self._events(start, stop)
            )
        except (OSError, RuntimeError, ValueError) as error:
            msg = f"{self.path}: showers {start} to {stop - 1} cannot be read, the file is damaged: {error}"
            raise OSError(msg) from None
        return rows

    def _events(self, start: int, stop: int) -> NDArray[Any]:
        rows = self._points[..., start:stop, :, :]
        rows = rows.reshape(rows.shape[-3:])
        return np.asarray(rows.transpose(0, 2, 1) if self._transposed else rows)

    def _energy(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self.rules.binning is not None:
            return rows.reshape(rows.shape[-2:])
        return rows[..., 3 if self.rules.layout == "caloclouds" else 4]

    def _layer(self, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the layer whose active material, or the nearest one, holds a depth (mm)."""
        geometry = self.rules.geometry
        thickness = np.full(geometry.num_layers, geometry.layer_thickness_hcal)
        thickness[: geometry.num_layers_ecal] = geometry.layer_thickness_ecal
        middle = np.array(geometry.layer_bottom_pos) + thickness / 2
        borders = (middle[1:] + middle[:-1]) / 2
        pitch = float(np.diff(middle).max()) if len(middle) > 1 else float(thickness[0])
        inside = (depth > middle[0] - pitch) & (depth < middle[-1] + pitch)
        if not inside.all():
            msg = (
                f"{self.path}: {int((~inside).sum()):,} points are at depths such as {depth[~inside][0]:.6g} mm, outside of "
                f"{geometry.name} ({middle[0]:.6g} to {middle[-1]:.6g} mm); does the file count layers?"
            )
            raise ValueError(msg)
        return np.searchsorted(borders, depth).astype(np.float64)


def read_foreign(path: str | os.PathLike[str], rules: Rules, batch_size: int = 1000) -> Iterator[Ragged]:
    """Yield the showers of a file of another layout in batches.

    Parameters
    ----------
    path
        HDF5 file.
    rules
        What the file does not say itself.
    batch_size
        Showers at once at most; fewer if they are large.

    Yields
    ------
    Ragged
        The next showers.
    """
    with ForeignFile(path, rules) as file:
        step = file.batch_size(batch_size)
        for start in range(0, len(file), step):
            yield file.read(start, min(start + step, len(file)))
