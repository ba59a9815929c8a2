"""Detectors as values, and what is known of each kind."""

from detcore.area.detector.catalogue import TYPES as TYPES
from detcore.area.detector.catalogue import UNKNOWN as UNKNOWN
from detcore.area.detector.catalogue import DetectorType as DetectorType
from detcore.area.detector.catalogue import candidates as candidates
from detcore.area.detector.catalogue import type_of as type_of
from detcore.area.detector.model import Detector as Detector
from detcore.area.detector.psanamask import OPTIONS as OPTIONS
from detcore.area.detector.psanamask import psana_mask as psana_mask
