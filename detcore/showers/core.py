"""Shower files under the name that the ShowerData library (0.7.0) has for them.

What is different from it:

| Where | ShowerData 0.7.0 | here |
| --- | --- | --- |
| `Showers[-1]`, `IncidentParticles[-1]` | nothing | the last one |
| `Showers[mask]` | a mask is read as the numbers 0 and 1 | selects; a mask of another length is an IndexError |
| `Showers[np.int64(1)]`, `ShowerDataFile[np.int64(1)]` | ValueError, TypeError | as a Python integer |
| `pdg=np.int32(22)` | ValueError | as a Python integer |
| points of 2 dimensions or 3 columns | IndexError about indices | the same type (also a ValueError), in words |
| iterating over `IncidentParticles` | never ends | one particle at a time |
| `load(max_points=m)`, `load_target(max_points=m)` | counts may be larger than m and are saved so | at most m |
| saving counts above the width, or below 0 | written as they are | at most the width, at least 0 |
| `save`, `create_empty_file` that fail | a damaged file, the old one is lost | the old file, or none |
| `save_batch`, `save_target_batch`, `add_metadata`, `ShowerDataFile(mode="a")` without a file | leave a file without content | FileNotFoundError (also the KeyError of before) |
| `save_batch(start=np.int64(1))` | TypeError | as a Python integer |
| `ShowerDataFile[i] = showers` | other columns or too many points are written, and cannot be read | ValueError |
| `ShowerDataFile[mask] = showers` | TypeError | writes to the selected showers |
| closed `ShowerDataFile`: length, shape, iteration | KeyError about a missing data set | ValueError "File is not open." |
| `create_empty_file`, `add_target_dataset` with a shape that has not three numbers | a file that cannot be read | ValueError |
| `add_target_dataset(exists_ok=True)` with another shape | nothing happens | FileExistsError |
| `save_target_batch` with other features or too many points | the target cannot be read again | ValueError |
| `save_target_batch(data, num_points, path)`, as documented | AttributeError | works, as does the order of the code |
| `save_target(overwrite=True)` with the name of a data set | deletes for instance the energies | FileExistsError |
| lists for `data` and `num_points` of targets | AttributeError | work |
| rows of big-endian numbers | garbled | ValueError |
| `load_inc_particles` with energies in one dimension | ValueError | works, as `load` does |
| links to other files, external and virtual data sets | followed | ValueError |
| `cluster(processes=n)` with random shifts | every process draws the same shifts | each shower has its own stream; any n gives the same |
| `filter_file` | the attributes are lost, `clustered_for` too | they are kept |
| `shift_layers` | padding is moved, too, and is no longer zero | stays zero |
| energies in rings: a radius below the first edge | counts in the last ring | is left out |
| `calc_center_of_energy` of small energies | too small by 1e-8 GeV in the denominator | exact; zero without points |
| layers below 0 in observables | counted from the last one | IndexError |
| `read_observables_from_file` of observables of your own | ValueError | are read |
| `main` and `parse_arguments` of the sub-modules; `observables.ObservableInfo` | the programs; a helper | `detcore showers`; not there |
| an index of a data set that claims more than the file can hold | memory is used up | ValueError |
"""

from __future__ import annotations

from detcore.showers.datafile import ShowerDataFile
from detcore.showers.files import (
    add_metadata,
    create_empty_file,
    get_file_length,
    get_file_shape,
    load,
    load_inc_particles,
    load_metadata,
    save,
    save_batch,
)
from detcore.showers.layout import VERSION
from detcore.showers.model import Showers, concatenate
from detcore.showers.particles import IncidentParticles
from detcore.showers.targets import add_target_dataset, load_target, save_target, save_target_batch

__version__ = VERSION
__all__ = [
    "IncidentParticles",
    "ShowerDataFile",
    "Showers",
    "__version__",
    "add_metadata",
    "add_target_dataset",
    "concatenate",
    "create_empty_file",
    "get_file_length",
    "get_file_shape",
    "load",
    "load_inc_particles",
    "load_metadata",
    "load_target",
    "save",
    "save_batch",
    "save_target",
    "save_target_batch",
]
