"""Telescope images (CTA DL1): both file formats through one model, image parameters in batches, mapped images.

Three lines in a notebook::

    from detcore import dl1
    with dl1.open("gamma.dl1.h5") as file:
        table = file.events
"""

from detcore.dl1.analysis import event_table as event_table
from detcore.dl1.analysis import statistics_flags as statistics_flags
from detcore.dl1.analysis import stereo_events as stereo_events
from detcore.dl1.analysis import stereo_of as stereo_of
from detcore.dl1.analysis import summary as summary
from detcore.dl1.api import INSTRUMENT as INSTRUMENT
from detcore.dl1.api import open_files as open_files
from detcore.dl1.api import reduce as reduce
from detcore.dl1.api import reduction as reduction
from detcore.dl1.api import write_demo as write_demo
from detcore.dl1.badpixels import read_mask as read_mask
from detcore.dl1.columns import TABLE as TABLE
from detcore.dl1.columns import camera_of as camera_of
from detcore.dl1.event import Event as Event
from detcore.dl1.event import OneCamera as OneCamera
from detcore.dl1.event import load_event as load_event
from detcore.dl1.eventindex import events_of as events_of
from detcore.dl1.eventindex import file_of as file_of
from detcore.dl1.expression import InvalidExpression as InvalidExpression
from detcore.dl1.expression import evaluate as evaluate
from detcore.dl1.files.model import EVENT_TYPES as EVENT_TYPES
from detcore.dl1.files.model import PARTICLES as PARTICLES
from detcore.dl1.files.model import Dl1File as Dl1File
from detcore.dl1.files.model import Images as Images
from detcore.dl1.files.openfile import kind_of as kind_of
from detcore.dl1.files.openfile import open as open
from detcore.dl1.files.pointing import axes_on_ground as axes_on_ground
from detcore.dl1.files.pointing import pointing_of as pointing_of
from detcore.dl1.filters import event_intensity_filter as event_intensity_filter
from detcore.dl1.filters import image_cleaning_filter as image_cleaning_filter
from detcore.dl1.filters import image_intensity_filter as image_intensity_filter
from detcore.dl1.images.cleaning import dilate as dilate
from detcore.dl1.images.cleaning import islands as islands
from detcore.dl1.images.cleaning import main_island as main_island
from detcore.dl1.images.cleaning import tailcuts as tailcuts
from detcore.dl1.images.cleaning import time_cleaning as time_cleaning
from detcore.dl1.images.cleaning import time_constrained as time_constrained
from detcore.dl1.images.geometry import Camera as Camera
from detcore.dl1.images.geometry import Neighbours as Neighbours
from detcore.dl1.images.geometry import camera_of_positions as camera_of_positions
from detcore.dl1.images.grid import NoLattice as NoLattice
from detcore.dl1.images.hillas import hillas as hillas
from detcore.dl1.images.mapper import ImageMapper as ImageMapper
from detcore.dl1.images.mapping import ImageMapping as ImageMapping
from detcore.dl1.images.mapping import image_mapping as image_mapping
from detcore.dl1.images.muon import muon_ring as muon_ring
from detcore.dl1.images.parameters import image_parameters as image_parameters
from detcore.dl1.images.pixels import bad_pixels as bad_pixels
from detcore.dl1.images.pixels import good_neighbours as good_neighbours
from detcore.dl1.images.pixels import interpolate as interpolate
from detcore.dl1.images.stereo import stereo as stereo
from detcore.dl1.images.weights import MAPPING_METHODS as MAPPING_METHODS
from detcore.dl1.mappedfile import write_images as write_images
from detcore.dl1.muontable import muon_table as muon_table
from detcore.dl1.products import SUFFIXES as SUFFIXES
from detcore.dl1.products import InvalidResult as InvalidResult
from detcore.dl1.products import read_result as read_result
from detcore.dl1.products import write_all as write_all
from detcore.dl1.products import write_mask as write_mask
from detcore.dl1.products import write_parameters as write_parameters
from detcore.dl1.reader import DL1DataReader as DL1DataReader
from detcore.dl1.source import cameras as cameras
from detcore.dl1.steps import Cuts as Cuts
from detcore.dl1.steps import Parametrised as Parametrised
from detcore.dl1.steps import clean as clean
from detcore.dl1.transforms import ConvertShowerPrimaryIDToClassLabel as ConvertShowerPrimaryIDToClassLabel
from detcore.dl1.transforms import DataForGammaLearn as DataForGammaLearn
from detcore.dl1.transforms import DL1DataProcessor as DL1DataProcessor
from detcore.dl1.transforms import EnergyToLog as EnergyToLog
from detcore.dl1.transforms import HfirstIntToKm as HfirstIntToKm
from detcore.dl1.transforms import ImpactToKm as ImpactToKm
from detcore.dl1.transforms import NormalizeTelescopePositions as NormalizeTelescopePositions
from detcore.dl1.transforms import TelescopePositionToKm as TelescopePositionToKm
from detcore.dl1.transforms import Transform as Transform
from detcore.dl1.transforms import XmaxToKm as XmaxToKm
from detcore.dl1.writer.basedumper import DL1DataDumper as DL1DataDumper
from detcore.dl1.writer.datawriter import DL1DataWriter as DL1DataWriter
from detcore.dl1.writer.datawriter import WriteFailed as WriteFailed
from detcore.dl1.writer.dumper import CTAMLDataDumper as CTAMLDataDumper
from detcore.dl1.writer.runlist import make_runlist as make_runlist
from detcore.dl1.writer.runlist import read_runlist as read_runlist
from detcore.dl1.writer.runlist import write_runlist as write_runlist
from detcore.dl1.writer.simtel import SimtelEvents as SimtelEvents
from detcore.dl1.writer.writing import RunReport as RunReport
