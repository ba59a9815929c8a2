"""Values that every image instrument needs: regions, pixel masks, and images reduced for the screen."""

from detcore.image.operations import BITS as BITS
from detcore.image.operations import REJECT as REJECT
from detcore.image.operations import AnyOperation as AnyOperation
from detcore.image.operations import BitsOperation as BitsOperation
from detcore.image.operations import GrowOperation as GrowOperation
from detcore.image.operations import InvertOperation as InvertOperation
from detcore.image.operations import Operation as Operation
from detcore.image.operations import PixelsOperation as PixelsOperation
from detcore.image.operations import RegionOperation as RegionOperation
from detcore.image.operations import ShrinkOperation as ShrinkOperation
from detcore.image.operations import ThresholdOperation as ThresholdOperation
from detcore.image.operations import good_pixels as good_pixels
from detcore.image.pixelmask import PixelMask as PixelMask
from detcore.image.pixelmask import read_pixel_mask as read_pixel_mask
from detcore.image.pixelmask import write_pixel_mask as write_pixel_mask
from detcore.image.region import Annulus as Annulus
from detcore.image.region import AnyRegion as AnyRegion
from detcore.image.region import Box as Box
from detcore.image.region import Ellipse as Ellipse
from detcore.image.region import Polygon as Polygon
from detcore.image.region import Rectangle as Rectangle
from detcore.image.region import Region as Region
from detcore.image.render import colour_limits as colour_limits
from detcore.image.render import density as density
from detcore.image.render import reduce_image as reduce_image
from detcore.image.render import to_uint8 as to_uint8
