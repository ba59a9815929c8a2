"""Showers of particles in a calorimeter as point clouds: the files and functions of the ShowerData library, and more.

Programs written for that library need one changed line::

    from detcore import showers as showerdata
"""

from detcore.showers.analysis import correlations as correlations
from detcore.showers.analysis import linearity as linearity
from detcore.showers.api import INSTRUMENT as INSTRUMENT
from detcore.showers.api import open_files as open_files
from detcore.showers.api import read_one as read_one
from detcore.showers.api import read_shower as read_shower
from detcore.showers.api import reduce as reduce
from detcore.showers.api import reduce_showers as reduce_showers
from detcore.showers.api import reduction as reduction
from detcore.showers.api import write_demo as write_demo
from detcore.showers.batches import batches as batches
from detcore.showers.binning import Binning as Binning
from detcore.showers.cluster_module import cluster as cluster
from detcore.showers.compare import compare as compare
from detcore.showers.compare import overlay as overlay
from detcore.showers.contents import facts as facts
from detcore.showers.datafile import ShowerDataFile as ShowerDataFile
from detcore.showers.detector import ILD as ILD
from detcore.showers.detector import DetectorGeometry as DetectorGeometry
from detcore.showers.detector import find_geometry as find_geometry
from detcore.showers.detector import geometry_names as geometry_names
from detcore.showers.detector import read_geometry as read_geometry
from detcore.showers.files import add_metadata as add_metadata
from detcore.showers.files import create_empty_file as create_empty_file
from detcore.showers.files import get_file_length as get_file_length
from detcore.showers.files import get_file_shape as get_file_shape
from detcore.showers.files import load as load
from detcore.showers.files import load_inc_particles as load_inc_particles
from detcore.showers.files import load_metadata as load_metadata
from detcore.showers.files import save as save
from detcore.showers.files import save_batch as save_batch
from detcore.showers.filter import filter_showers as filter_showers
from detcore.showers.heap import HeapReader as HeapReader
from detcore.showers.heap import read_ragged as read_ragged
from detcore.showers.importers import Rules as Rules
from detcore.showers.importers import import_file as import_file
from detcore.showers.importers import read_foreign as read_foreign
from detcore.showers.layout import VERSION as __version__  # noqa: F401 - of the library that files say they are of
from detcore.showers.model import Showers as Showers
from detcore.showers.model import concatenate as concatenate
from detcore.showers.observables import observe as observe
from detcore.showers.operations import Cancelled as Cancelled
from detcore.showers.operations import Operation as Operation
from detcore.showers.operations import command_lines as command_lines
from detcore.showers.operations import transform as transform
from detcore.showers.operations import transform_file as transform_file
from detcore.showers.particles import IncidentParticles as IncidentParticles
from detcore.showers.products import SUFFIXES as SUFFIXES
from detcore.showers.products import read_result as read_result
from detcore.showers.products import write_all as write_all
from detcore.showers.products import write_comparison as write_comparison
from detcore.showers.ragged import Ragged as Ragged
from detcore.showers.reductions import OBSERVABLES as OBSERVABLES
from detcore.showers.shift_showers import shift as shift
from detcore.showers.shift_showers import shift_layers as shift_layers
from detcore.showers.shuffle import shuffle_files as shuffle_files
from detcore.showers.steps import PARTICLES as PARTICLES
from detcore.showers.steps import Cuts as Cuts
from detcore.showers.steps import Selection as Selection
from detcore.showers.steps import angle as angle
from detcore.showers.targets import add_target_dataset as add_target_dataset
from detcore.showers.targets import load_target as load_target
from detcore.showers.targets import save_target as save_target
from detcore.showers.targets import save_target_batch as save_target_batch
from detcore.showers.writer import ShowerWriter as ShowerWriter
from detcore.showers.writer import write_ragged as write_ragged
