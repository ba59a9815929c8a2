"""Area detectors of any kind: averages, masks, regions, centre, azimuthal profiles, and the reduction of runs."""

from detcore.area.instrument import INSTRUMENT as INSTRUMENT
