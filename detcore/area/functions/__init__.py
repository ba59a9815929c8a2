"""The event loop of an area detector: `DetObject` and the analysis functions under their known names."""

from detcore.area.functions.base import DetObjectFunc as DetObjectFunc
from detcore.area.functions.base import Event as Event
from detcore.area.functions.base import Pixels as Pixels
from detcore.area.functions.base import flat_results as flat_results
from detcore.area.functions.correlations import Autocorrelation as Autocorrelation
from detcore.area.functions.correlations import acf as acf
from detcore.area.functions.detobject import DetObject as DetObject
from detcore.area.functions.detobject import DetObjectClass as DetObjectClass
from detcore.area.functions.detobject import NullDetObject as NullDetObject
from detcore.area.functions.detobject import getUserData as getUserData
from detcore.area.functions.detobject import getUserEnvData as getUserEnvData
from detcore.area.functions.images import PolynomialCurveCorrection as PolynomialCurveCorrection
from detcore.area.functions.images import image_from_dat as image_from_dat
from detcore.area.functions.images import imageFunc as imageFunc
from detcore.area.functions.regions import ROIFunc as ROIFunc
from detcore.area.functions.regions import lineoutFunc as lineoutFunc
from detcore.area.functions.regions import projectionFunc as projectionFunc
from detcore.area.functions.regions import rebinFunc as rebinFunc
from detcore.area.functions.regions import spectrumFunc as spectrumFunc
from detcore.area.functions.sparse import sparsifyFunc as sparsifyFunc
from detcore.area.functions.sparse import unsparsifyFunc as unsparsifyFunc
from detcore.area.functions.storesum import StoredSum as StoredSum
