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
from detcore.showers.compare import compare as compare
from detcore.showers.compare import overlay as overlay
from detcore.showers.ragged import Ragged as Ragged
from detcore.showers.reductions import OBSERVABLES as OBSERVABLES
from detcore.showers.steps import PARTICLES as PARTICLES
from detcore.showers.steps import Cuts as Cuts
from detcore.showers.steps import Selection as Selection
