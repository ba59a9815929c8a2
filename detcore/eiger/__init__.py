"""Intensity statistics of Eiger series: exact sums of every frame, and what makes them fluctuate.

Three lines in a notebook::

    from detcore import eiger
    data = eiger.sum_frames("series_12_master.h5")
    eiger.describe(data)
"""

from detcore.eiger.analysis import describe as describe
from detcore.eiger.analysis import distribution as distribution
from detcore.eiger.analysis import gaps as gaps
from detcore.eiger.analysis import outliers as outliers
from detcore.eiger.analysis import statistics as statistics
from detcore.eiger.api import INSTRUMENT as INSTRUMENT
from detcore.eiger.api import WHOLE_FRAME as WHOLE_FRAME
from detcore.eiger.api import named_regions as named_regions
from detcore.eiger.api import open_files as open_files
from detcore.eiger.api import read_frame as read_frame
from detcore.eiger.api import reduction as reduction
from detcore.eiger.api import sum_frames as sum_frames
from detcore.eiger.api import write_demo as write_demo
from detcore.eiger.compare import compare as compare
from detcore.eiger.compare import correlate as correlate
from detcore.eiger.detrend import detrend as detrend
from detcore.eiger.detrend import traces as traces
from detcore.eiger.products import read_result as read_result
from detcore.eiger.products import write_all as write_all
from detcore.eiger.reductions import Intensity as Intensity
from detcore.eiger.reductions import Limits as Limits
from detcore.eiger.reductions import NamedRegion as NamedRegion
from detcore.eiger.setupfile import Setup as Setup
from detcore.eiger.setupfile import setup_text as setup_text
from detcore.eiger.spectra import allan_deviation as allan_deviation
from detcore.eiger.spectra import autocorrelation as autocorrelation
from detcore.eiger.spectra import spectral_lines as spectral_lines
from detcore.eiger.spectra import spectrogram as spectrogram
from detcore.eiger.spectra import spectrum as spectrum
