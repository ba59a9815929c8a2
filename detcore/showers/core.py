"""Shower files under the name that the ShowerData library has for them."""

from __future__ import annotations

from detcore.showers.datafile import ShowerDataFile
from detcore.showers.files import (
    add_metadata,
    create_empty_file,
    get_file_length,
    get_file_shape,
    load,
    load_inc_particles,
    load_metadata,
    save,
    save_batch,
)
from detcore.showers.layout import VERSION
from detcore.showers.model import Showers, concatenate
from detcore.showers.particles import IncidentParticles
from detcore.showers.targets import add_target_dataset, load_target, save_target, save_target_batch

__version__ = VERSION
__all__ = [
    "IncidentParticles",
    "ShowerDataFile",
    "Showers",
    "__version__",
    "add_metadata",
    "add_target_dataset",
    "concatenate",
    "create_empty_file",
    "get_file_length",
    "get_file_shape",
    "load",
    "load_inc_particles",
    "load_metadata",
    "load_target",
    "save",
    "save_batch",
    "save_target",
    "save_target_batch",
]
