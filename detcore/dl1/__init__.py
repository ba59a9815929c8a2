"""Telescope images (CTA DL1): both file formats through one model, image parameters in batches, mapped images.

Three lines in a notebook::

    from detcore import dl1
    with dl1.open("gamma.dl1.h5") as file:
        table = file.events
"""

from detcore.dl1.geometry import Camera as Camera
from detcore.dl1.geometry import Neighbours as Neighbours
from detcore.dl1.geometry import camera_of_positions as camera_of_positions
from detcore.dl1.model import EVENT_TYPES as EVENT_TYPES
from detcore.dl1.model import PARTICLES as PARTICLES
from detcore.dl1.model import Dl1File as Dl1File
from detcore.dl1.model import Images as Images
from detcore.dl1.openfile import kind_of as kind_of
from detcore.dl1.openfile import open as open
