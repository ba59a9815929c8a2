"""Telescope images (CTA DL1): both file formats through one model, image parameters in batches, mapped images.

Three lines in a notebook::

    from detcore import dl1
    with dl1.open("gamma.dl1.h5") as file:
        table = file.events
"""

from detcore.dl1.cleaning import dilate as dilate
from detcore.dl1.cleaning import islands as islands
from detcore.dl1.cleaning import main_island as main_island
from detcore.dl1.cleaning import tailcuts as tailcuts
from detcore.dl1.cleaning import time_cleaning as time_cleaning
from detcore.dl1.cleaning import time_constrained as time_constrained
from detcore.dl1.geometry import Camera as Camera
from detcore.dl1.geometry import Neighbours as Neighbours
from detcore.dl1.geometry import camera_of_positions as camera_of_positions
from detcore.dl1.hillas import hillas as hillas
from detcore.dl1.model import EVENT_TYPES as EVENT_TYPES
from detcore.dl1.model import PARTICLES as PARTICLES
from detcore.dl1.model import Dl1File as Dl1File
from detcore.dl1.model import Images as Images
from detcore.dl1.muon import muon_ring as muon_ring
from detcore.dl1.openfile import kind_of as kind_of
from detcore.dl1.openfile import open as open
from detcore.dl1.parameters import image_parameters as image_parameters
from detcore.dl1.pixels import bad_pixels as bad_pixels
from detcore.dl1.pixels import good_neighbours as good_neighbours
from detcore.dl1.pixels import interpolate as interpolate
from detcore.dl1.stereo import stereo as stereo
