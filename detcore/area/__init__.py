"""Area detectors of any kind: averages, masks, regions, centre, azimuthal profiles, and the reduction of runs.

A few lines in a notebook::

    from detcore import area
    image = area.AvImage("run12.h5", 200)
    centre = area.find_centre(image)
    data = area.reduce("run12.h5", "setup.yaml", "run12_small.h5")
"""

from detcore.area.api import calibrated as calibrated
from detcore.area.api import droplets as droplets
from detcore.area.api import read_frame as read_frame
from detcore.area.api import write_demo as write_demo
from detcore.area.cubes import cube as cube
from detcore.area.detector import Detector as Detector
from detcore.area.detector import DetectorType as DetectorType
from detcore.area.detector import psana_mask as psana_mask
from detcore.area.detector import type_of as type_of
from detcore.area.files.poni import poni_geometry as poni_geometry
from detcore.area.files.poni import poni_text as poni_text
from detcore.area.functions import Autocorrelation as Autocorrelation
from detcore.area.functions import DetObject as DetObject
from detcore.area.functions import DetObjectClass as DetObjectClass
from detcore.area.functions import DetObjectFunc as DetObjectFunc
from detcore.area.functions import Event as Event
from detcore.area.functions import NullDetObject as NullDetObject
from detcore.area.functions import Pixels as Pixels
from detcore.area.functions import PolynomialCurveCorrection as PolynomialCurveCorrection
from detcore.area.functions import ROIFunc as ROIFunc
from detcore.area.functions import StoredSum as StoredSum
from detcore.area.functions import SvdFit as SvdFit
from detcore.area.functions import acf as acf
from detcore.area.functions import azav_pyfai as azav_pyfai
from detcore.area.functions import azimuthalBinning as azimuthalBinning
from detcore.area.functions import dropletFunc as dropletFunc
from detcore.area.functions import fitCenter as fitCenter
from detcore.area.functions import flat_results as flat_results
from detcore.area.functions import getUserData as getUserData
from detcore.area.functions import getUserEnvData as getUserEnvData
from detcore.area.functions import image_from_dat as image_from_dat
from detcore.area.functions import imageFunc as imageFunc
from detcore.area.functions import lineoutFunc as lineoutFunc
from detcore.area.functions import projectionFunc as projectionFunc
from detcore.area.functions import rebinFunc as rebinFunc
from detcore.area.functions import sparsifyFunc as sparsifyFunc
from detcore.area.functions import spectrumFunc as spectrumFunc
from detcore.area.functions import unsparsifyFunc as unsparsifyFunc
from detcore.area.images.calibrants import CALIBRANTS as CALIBRANTS
from detcore.area.images.calibrants import calibrant as calibrant
from detcore.area.images.centre import Centre as Centre
from detcore.area.images.commonmode import CommonModeStep as CommonModeStep
from detcore.area.images.geometry import Geometry as Geometry
from detcore.area.images.presets import presets as presets
from detcore.area.images.rings import calibrate as calibrate
from detcore.area.images.rings import match_distance as match_distance
from detcore.area.images.rings import overlay as overlay
from detcore.area.images.roi import project as project
from detcore.area.images.roi import roi_statistics as roi_statistics
from detcore.area.instrument import INSTRUMENT as INSTRUMENT
from detcore.area.integration import azimuthal as azimuthal
from detcore.area.integration import azimuthal_projection as azimuthal_projection
from detcore.area.integration import azimuthal_series as azimuthal_series
from detcore.area.integration import cake as cake
from detcore.area.integration import find_centre as find_centre
from detcore.area.masklines import mask_lines as mask_lines
from detcore.area.pipeline import event_loop as event_loop
from detcore.area.pipeline import masked as masked
from detcore.area.pipeline import prepared as prepared
from detcore.area.producertext import producer_text as producer_text
from detcore.area.reductions import Average as Average
from detcore.area.reductions import PixelSpectra as PixelSpectra
from detcore.area.reductions_azimuthal import Plane as Plane
from detcore.area.runreduction import Progress as Progress
from detcore.area.runreduction import reduce as reduce
from detcore.area.runreduction import reducing as reducing
from detcore.area.setupfile import Setup as Setup
from detcore.area.setupsections import AzimuthalSection as AzimuthalSection
from detcore.area.setupsections import ProjectionSection as ProjectionSection
from detcore.area.setupsections import Roi as Roi
from detcore.area.smalldata import SmallData as SmallData
from detcore.area.smallread import read_reduced as read_reduced
from detcore.area.source import open_files as open_files
from detcore.area.steps import Calibrate as Calibrate
from detcore.image import Panels as Panels
from detcore.image import PixelMask as PixelMask
