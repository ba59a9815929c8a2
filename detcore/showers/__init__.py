"""Showers of particles in a calorimeter as point clouds: the files and functions of the ShowerData library, and more.

Programs written for that library need one changed line::

    from detcore import showers as showerdata
"""

from detcore.showers.ragged import Ragged as Ragged
