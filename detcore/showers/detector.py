"""Geometries: where the layers of a calorimeter are, how large its cells are, which energies are read out.

They are data. ILD comes along; a YAML or JSON file with the same fields adds another, by its path or by its name if it
is in the folder that ``DETCORE_GEOMETRIES`` names.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Any

import yaml

from detcore.core.parameters import mapping_from_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ILD",
    "DetectorGeometry",
    "find_geometry",
    "geometry_names",
    "get_ILD_geometry",
    "get_ILD_unclustered_geometry",
    "get_test_geometry",
    "named_in_file",
    "read_geometry",
]

MAX_LAYERS = 10_000
MAX_LENGTH = 1e6  # mm; no detector has a kilometre
MAX_BYTES = 1 << 20  # of a file; ILD takes 1 kB
SUFFIXES = (".yaml", ".yml", ".json")  # JSON is YAML as well
FOLDER = "DETCORE_GEOMETRIES"


@dataclass(frozen=True, eq=True, repr=False)
class DetectorGeometry:
    """Layers, cells and thresholds of a sampling calorimeter.

    Parameters
    ----------
    calo_surface
        Distance of the front from the origin, mm.
    num_layers, num_layers_ecal, num_layers_hcal
        All layers; those of the electromagnetic part, which come first; those of the hadronic part.
    layer_thickness_ecal, layer_thickness_hcal
        Of the active material, mm.
    ecal_cell_size, hcal_cell_size
        Edge of a square readout cell, mm; 0 for points that are not grouped into cells.
    layer_bottom_pos
        (layer), distance of the near side of each active layer from the origin, mm.
    ecal_threshold, hcal_threshold
        Energy that a cell must exceed to be counted, MeV.
    name
        As in the attribute ``clustered_for`` of a file.

    Examples
    --------
    >>> ILD.num_layers, ILD.ecal_cell_size, ILD.layer_bottom_pos[0]
    (78, 5.0, 1811.34)
    """

    calo_surface: float
    num_layers: int
    num_layers_ecal: int
    num_layers_hcal: int
    layer_thickness_ecal: float
    layer_thickness_hcal: float
    ecal_cell_size: float
    hcal_cell_size: float
    layer_bottom_pos: tuple[float, ...]
    ecal_threshold: float = 0.0
    hcal_threshold: float = 0.0
    name: str = "Detector"

    def __repr__(self) -> str:
        return f"Geometry({self.name})"

    @property
    def hcal_from(self) -> float:
        """The depth from which a point belongs to the hadronic part, in layers: half a layer before its first."""
        return self.num_layers_ecal - 0.5

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], origin: str = "geometry") -> DetectorGeometry:
        """Build from the fields of a file and check them.

        Parameters
        ----------
        given
            Names as above; `num_layers` may be left out.
        origin
            For messages.

        Raises
        ------
        ValueError
            A field is missing, unknown or impossible; says which.
        """
        values = dict(given)
        names = {one.name: one for one in fields(cls)}
        unknown = sorted(map(str, set(values) - set(names)))
        needed = {"calo_surface", "num_layers_ecal", "num_layers_hcal", "ecal_cell_size", "hcal_cell_size"}
        missing = sorted((needed | {"layer_bottom_pos", "name"}) - set(values))
        if unknown or missing:
            msg = f"{origin}: missing {', '.join(missing) or 'nothing'}; unknown {', '.join(unknown) or 'nothing'}"
            raise ValueError(msg)
        for name in ("num_layers_ecal", "num_layers_hcal"):
            if type(values[name]) is not int or not 0 <= values[name] <= MAX_LAYERS:
                msg = f"{origin}: {name} is {shown(values[name])}; expected a whole number in 0..{MAX_LAYERS}"
                raise ValueError(msg)
        layers = values["num_layers_ecal"] + values["num_layers_hcal"]
        if values.setdefault("num_layers", layers) != layers or not layers:
            msg = f"{origin}: num_layers is {shown(values['num_layers'])}, but the two parts have {layers}; expected the same"
            raise ValueError(msg)
        for name in set(names) - {"num_layers", "num_layers_ecal", "num_layers_hcal", "layer_bottom_pos", "name"}:
            values[name] = _length(values.get(name, 0.0), f"{origin}: {name}")
        positions = values["layer_bottom_pos"]
        if not isinstance(positions, (list, tuple)) or len(positions) != layers:
            found = f"{len(positions)}" if isinstance(positions, (list, tuple)) else shown(positions)
            msg = f"{origin}: layer_bottom_pos holds {found}; expected {layers} positions, one for each layer"
            raise ValueError(msg)
        values["layer_bottom_pos"] = tuple(_length(one, f"{origin}: layer_bottom_pos") for one in positions)
        if not isinstance(values["name"], str) or not values["name"] or len(values["name"]) > 100:
            msg = f"{origin}: name is {shown(values['name'])}; expected a short text"
            raise ValueError(msg)
        return cls(**values)

    def to_yaml(self) -> str:
        """Return the text of a file that `read_geometry` turns into the same geometry."""
        values = asdict(self) | {"layer_bottom_pos": list(self.layer_bottom_pos)}
        return str(yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110))


def _length(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_LENGTH:
        msg = f"{what} is {shown(value)}; expected a number from 0 to {MAX_LENGTH:g}"
        raise ValueError(msg)
    return float(value)


def read_geometry(path: str | os.PathLike[str]) -> DetectorGeometry:
    """Read a YAML or JSON file with the fields of `DetectorGeometry`.

    Raises
    ------
    ValueError
        The file is not YAML, too large, or a field is missing, unknown or impossible; says which.
    """
    with Path(path).open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        msg = f"{path}: more than {MAX_BYTES} bytes; a geometry takes a few thousand"
        raise ValueError(msg)
    try:
        given = mapping_from_yaml(content.decode())
    except ValueError as error:  # of the text's encoding as well
        msg = f"{path}: not a geometry in YAML or JSON: {error}"
        raise ValueError(msg) from error
    return DetectorGeometry.from_mapping(given, str(path))


def geometry_names() -> tuple[str, ...]:
    """Return the names that `find_geometry` knows: those that come along, and those of ``DETCORE_GEOMETRIES``."""
    return tuple(_places(os.environ.get(FOLDER, "")))


def find_geometry(name: str | os.PathLike[str]) -> DetectorGeometry:
    """Return a geometry by its name, or that of a file.

    Parameters
    ----------
    name
        One of `geometry_names`, or a path that ends in .yaml, .yml or .json.

    Raises
    ------
    ValueError
        There is no such name; says which there are.
    """
    text = os.fspath(name)
    if text.endswith(SUFFIXES):
        return read_geometry(text)
    places = _places(os.environ.get(FOLDER, ""))
    if text not in places:
        msg = (
            f"unknown geometry {text!r}; known are {', '.join(places)}; add a file {text}.yaml to the folder in "
            f"{FOLDER}, or give the path of a .yaml file"
        )
        raise ValueError(msg)
    return read_geometry(places[text])


def named_in_file(clustered_for: object) -> DetectorGeometry:
    """Return the geometry for the attribute ``clustered_for`` of a file; without cells and thresholds if it is empty.

    Unlike `find_geometry` this takes no paths: a file must not choose what is opened.

    Raises
    ------
    ValueError
        Nobody knows that name.
    """
    name = clustered_for.decode(errors="replace") if isinstance(clustered_for, bytes) else str(clustered_for)
    if not name:
        return get_ILD_unclustered_geometry()
    if name not in geometry_names():
        msg = f"Unknown 'clustered_for' attribute value: {name[:200]}"
        raise ValueError(msg)
    return find_geometry(name)


def _places(folder: str) -> dict[str, str]:
    """Name -> file. The ones that come along cannot be replaced: their names stand in files."""
    own = Path(str(files("detcore.showers").joinpath("geometries")))
    found = {path.stem: str(path) for path in sorted(own.glob("*.yaml"))}
    if folder:
        for path in sorted(Path(folder).iterdir()):
            if path.suffix in SUFFIXES:
                found.setdefault(path.stem, str(path))
    return found


@cache
def get_ILD_geometry() -> DetectorGeometry:
    """Return the barrel of the International Large Detector with its cells and thresholds."""
    return find_geometry("ILD")


@cache
def get_ILD_unclustered_geometry() -> DetectorGeometry:
    """Return the same layers without cells and thresholds, for points as the simulation gives them."""
    return find_geometry("ILD_unclustered")


def get_test_geometry(num_layers: int, threshold: float = 0.0) -> DetectorGeometry:
    """Return a plain detector: layers at 100, 101, 102 mm and so on, cells of 10 mm, no hadronic part.

    Parameters
    ----------
    num_layers
        How many.
    threshold
        MeV.
    """
    return DetectorGeometry(
        calo_surface=100.0,
        num_layers=num_layers,
        num_layers_ecal=num_layers,
        num_layers_hcal=0,
        layer_thickness_ecal=1.0,
        layer_thickness_hcal=1.0,
        ecal_cell_size=10.0,
        hcal_cell_size=10.0,
        layer_bottom_pos=tuple(100.0 + layer for layer in range(num_layers)),
        ecal_threshold=threshold,
        hcal_threshold=threshold,
        name="TestDetector",
    )


ILD = get_ILD_geometry()
"""What functions take if not told otherwise."""
