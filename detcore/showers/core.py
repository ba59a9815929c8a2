"""Shower files under the name that the ShowerData library has for them."""

from __future__ import annotations

from detcore.showers.files import VERSION as __version__
from detcore.showers.files import ShowerDataFile as ShowerDataFile
from detcore.showers.files import add_metadata as add_metadata
from detcore.showers.files import create_empty_file as create_empty_file
from detcore.showers.files import get_file_length as get_file_length
from detcore.showers.files import get_file_shape as get_file_shape
from detcore.showers.files import load as load
from detcore.showers.files import load_inc_particles as load_inc_particles
from detcore.showers.files import load_metadata as load_metadata
from detcore.showers.files import save as save
from detcore.showers.files import save_batch as save_batch
from detcore.showers.model import IncidentParticles as IncidentParticles
from detcore.showers.model import Showers as Showers
from detcore.showers.model import concatenate as concatenate
from detcore.showers.targets import add_target_dataset as add_target_dataset
from detcore.showers.targets import load_target as load_target
from detcore.showers.targets import save_target as save_target
from detcore.showers.targets import save_target_batch as save_target_batch
