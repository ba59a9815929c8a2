"""Station occupancy of tracking spectrometers: which wires and paddles fire, how often, and which do not.

Three lines in a notebook::

    from detcore import occupancy
    data = occupancy.reduce("run_005994/")
    occupancy.check(data)
"""

from detcore.occupancy.analysis import check as check
from detcore.occupancy.analysis import expected as expected
from detcore.occupancy.analysis import planes as planes
from detcore.occupancy.analysis import rates as rates
from detcore.occupancy.api import INSTRUMENT as INSTRUMENT
from detcore.occupancy.api import drift_map as drift_map
from detcore.occupancy.api import n_events as n_events
from detcore.occupancy.api import open_files as open_files
from detcore.occupancy.api import read_event as read_event
from detcore.occupancy.api import read_plane as read_plane
from detcore.occupancy.api import reduce as reduce
from detcore.occupancy.api import reduction as reduction
from detcore.occupancy.api import write_demo as write_demo
from detcore.occupancy.detectors import Detector as Detector
from detcore.occupancy.detectors import DetectorTable as DetectorTable
from detcore.occupancy.exchange import read_hits as read_hits
from detcore.occupancy.plots import overall as overall
from detcore.occupancy.products import csv_text as csv_text
from detcore.occupancy.products import save_figure as save_figure
from detcore.occupancy.products import write_all as write_all
from detcore.occupancy.reductions import DriftMap as DriftMap
from detcore.occupancy.steps import FLAGS as FLAGS
from detcore.occupancy.steps import TRIGGERS as TRIGGERS
from detcore.occupancy.steps import Filters as Filters
