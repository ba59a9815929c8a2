"""Where the voxels of the calorimeter challenge lie: rings and sectors of each layer, built in or from a binning file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

MAX_BYTES: Final = 1_000_000  # of a binning file; that of the finest public data set has 8000
MAX_VOXELS: Final = 10_000_000
GOLDEN: Final = 0.6180339887498949  # multiples of it, modulo 1, fill a circle evenly
PLASTIC: Final = 0.7548776662466927  # the same, independent of the first


@dataclass(frozen=True)
class Layer:
    """A layer of voxels.

    Parameters
    ----------
    number
        Of the layer.
    edges
        Radii between the rings, mm, rising; at least two.
    sectors
        Each ring is divided into so many, from -pi on; 1: into none.
    """

    number: int
    edges: tuple[float, ...]
    sectors: int


@dataclass(frozen=True)
class Binning:
    """All voxels of a data set.

    The index of a voxel runs over the rings of a sector, then over the sectors of a layer, then over the layers.

    Parameters
    ----------
    name
        For messages.
    pdg
        Code of the incident particle.
    layers
        Those that have voxels, in the order of the file.
    """

    name: str
    pdg: int
    layers: tuple[Layer, ...]

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return sum((len(layer.edges) - 1) * layer.sectors for layer in self.layers)

    @cached_property
    def columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Radius (mm) and azimuth of the middle of each voxel, and its layer; azimuth nan for whole rings."""
        radius, azimuth, number = [], [], []
        for layer in self.layers:
            edges = np.array(layer.edges)
            middle = (edges[1:] + edges[:-1]) / 2
            borders = np.linspace(-np.pi, np.pi, layer.sectors + 1)
            angle = (borders[1:] + borders[:-1]) / 2 if layer.sectors > 1 else np.array([np.nan])
            radius.append(np.tile(middle, layer.sectors))
            azimuth.append(np.repeat(angle, len(middle)))
            number.append(np.full(len(middle) * layer.sectors, float(layer.number)))
        return np.concatenate(radius), np.concatenate(azimuth), np.concatenate(number)

    def positions(self, shower: NDArray[np.int64], voxel: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return x and y (mm) and layer of voxels.

        Parameters
        ----------
        shower
            (point,) number of the shower in its file, from 0.
        voxel
            (point,) index of the voxel.

        Returns
        -------
        ndarray
            (point, 3). A voxel that is a whole ring has no azimuth: it gets one that depends on the shower and the
            voxel alone and is even over many of them, so that the mean over showers stays on the axis.
        """
        radius, azimuth, layer = (column[voxel] for column in self.columns)
        even = 2 * np.pi * ((shower * GOLDEN + voxel * PLASTIC) % 1) - np.pi
        angle = np.where(np.isnan(azimuth), even, azimuth)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), layer], axis=-1)

    @classmethod
    def read(cls, choice: str | os.PathLike[str]) -> Binning:
        """Return a built-in binning by its name, or that of an XML file.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is no binning; says what was expected.
        """
        if str(choice) in BINNINGS:
            return BINNINGS[str(choice)]
        path = Path(choice)
        if not path.is_file():
            msg = f"no binning {str(choice)!r:.80}; expected {', '.join(BINNINGS)} or an XML file"
            raise ValueError(msg)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            msg = f"{path}: expected a binning file of at most {MAX_BYTES:,} bytes, found more"
            raise ValueError(msg)
        if b"<!" in raw.replace(b"<!--", b""):  # declarations can multiply text without end
            msg = f"{path}: expected a binning file without declarations (<!…>), found one"
            raise ValueError(msg)
        try:
            return cls._of(path, ET.fromstring(raw))
        except (ET.ParseError, UnicodeError, LookupError) as error:
            msg = f"{path}: expected a binning file (XML), found: {error}"
            raise ValueError(msg) from None

    @classmethod
    def _of(cls, path: Path, root: Any) -> Binning:
        particles = list(root)
        if len(particles) != 1:
            msg = f"{path}: expected one particle, an element <Bin>, found {len(particles)}"
            raise ValueError(msg)
        layers = []
        try:
            pdg = int(particles[0].attrib["pid"])
            for item in particles[0]:
                edges = tuple(float(part) for part in item.attrib["r_edges"].split(","))
                layer = Layer(int(item.attrib["id"]), edges, int(item.attrib["n_bin_alpha"]))
                if len(edges) > 1:
                    layers.append(layer)
        except (KeyError, ValueError) as error:
            msg = f"{path}: expected pid, id, r_edges and n_bin_alpha as numbers; problem with {error}"
            raise ValueError(msg) from None
        for layer in layers:
            radii = np.array(layer.edges)
            if not np.isfinite(radii).all() or radii[0] < 0 or (np.diff(radii) <= 0).any():
                msg = f"{path}: layer {layer.number}: expected radii that rise from 0, found {layer.edges!s:.80}"
                raise ValueError(msg)
            if not 1 <= layer.sectors <= 10_000 or not 0 <= layer.number < 10_000:
                msg = f"{path}: impossible layer {layer.number} with {layer.sectors} sectors"
                raise ValueError(msg)
        made = cls(str(path), pdg, tuple(layers))
        if not 0 < made.n_voxels <= MAX_VOXELS:
            msg = f"{path}: expected 1 to {MAX_VOXELS:,} voxels, found {made.n_voxels:,}"
            raise ValueError(msg)
        return made


def _rings(step: float, count: int, sectors: int) -> tuple[Layer, ...]:
    edges = tuple(round(step * number, 6) for number in range(count + 1))
    return tuple(Layer(number, edges, sectors) for number in range(45))


_FIRST = Layer(0, (0, 5, 10, 30, 50, 100, 200, 400, 600), 1)
_FOURTH = Layer(3, (0, 50, 100, 200, 400, 600), 1)

BINNINGS: Final = {
    "1-photons": Binning("1-photons", 22, (
        _FIRST,
        Layer(1, (0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200), 10),
        Layer(2, (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400), 10),
        _FOURTH,
        Layer(12, (0, 100, 200, 400, 1000, 2000), 1),
    )),
    "1-pions": Binning("1-pions", 211, (
        _FIRST,
        Layer(1, (0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200), 10),
        Layer(2, (0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400), 10),
        _FOURTH,
        Layer(12, (0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 1000, 2000), 10),
        Layer(13, (0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 600, 1000, 2000), 10),
        Layer(14, (0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000), 1),
    )),
    "2": Binning("2", 11, _rings(4.65, 9, 16)),
    "3": Binning("3", 11, _rings(2.325, 18, 50)),
}  # fmt: skip
"""The four public data sets by number and particle, as their binning files give them."""
