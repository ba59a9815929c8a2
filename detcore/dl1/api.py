"""What front ends call: open and reduce. The same calls serve the script, the command and the tab."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detcore.core.accumulators import total
from detcore.core.reduction import Reduction, Together
from detcore.core.run import run
from detcore.core.schema import LIVE
from detcore.core.source import Instrument
from detcore.dl1.columns import facts_of
from detcore.dl1.distributions import Distributions
from detcore.dl1.files.model import Images
from detcore.dl1.images.geometry import camera_of_positions
from detcore.dl1.images.hillas import hillas
from detcore.dl1.images.muon import muon_ring
from detcore.dl1.images.pixels import interpolate
from detcore.dl1.images.stereo import stereo
from detcore.dl1.reductions import MAX_IMAGES, EventCounts, ImageTable, Overview, PixelStatistics
from detcore.dl1.source import ImageFiles, probe
from detcore.dl1.steps import Cuts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr

    from detcore.core.executors import Executor

LIVE_IMAGES: Final = 200_000  # a live feed keeps the table of so many
PARTS: Final = ("pixels", "table", "distributions")
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def open_files(paths: Paths, camera: str = "", telescopes: Iterable[int] | str = ()) -> ImageFiles:
    """Open DL1 files of either format as a source of images of one camera type.

    Parameters
    ----------
    paths
        Files, or folders that are walked for .h5 files.
    camera
        Name of the camera type, for instance LSTCam; empty: that of which the first file has most images.
    telescopes
        Only these, by their numbers; none: all of that camera. As text they are separated by commas.

    Returns
    -------
    ImageFiles
        A source for `run` and `stream`.

    Raises
    ------
    InvalidParameters
        A number of a telescope is none.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return ImageFiles(tuple(os.fspath(path) for path in several), camera, _numbers(telescopes)).named()


def _numbers(telescopes: Iterable[int] | str) -> tuple[int, ...]:
    return Cuts.checked({"telescopes": telescopes if isinstance(telescopes, str) else tuple(telescopes)}).telescopes


def reduction(cuts: Cuts | None = None, schema: xr.Dataset | None = None, *, parts: Sequence[str] = PARTS) -> Together:
    """Return what a viewer wants to see of one pass.

    Parameters
    ----------
    cuts
        Cleaning and cuts; None: tail-cuts and all images.
    schema
        Of the input; that of a live one makes the table keep a shorter window.
    parts
        Some of pixels, table, distributions; how many images and events there are is always told.

    Raises
    ------
    ValueError
        There is no such part, or the input lacks what a cut needs.
    """
    cuts = cuts or Cuts()
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        msg = f"no part {unknown[0]!r}; there are {', '.join(PARTS)}"
        raise ValueError(msg)
    last = LIVE_IMAGES if schema is not None and schema.attrs.get(LIVE) else MAX_IMAGES
    wanted: list[Reduction] = [Overview(cuts=cuts), EventCounts().after(*cuts.of_events())]
    of_images: list[Reduction] = []
    if "pixels" in parts:
        of_images.append(PixelStatistics(above=cuts.occupancy_above))
    if "table" in parts:
        of_images.append(ImageTable(last=last))
    if "distributions" in parts:
        of_images.append(Distributions())
    if of_images:  # together behind the steps: these also run for the empty chunk that tells what the columns are
        wanted.append(Together(reductions=tuple(of_images)).after(*cuts.steps()))
    return Together(reductions=tuple(wanted))


def reduce(
    paths: Paths,
    *,
    camera: str = "",
    telescopes: Iterable[int] | str = (),
    parts: Sequence[str] = PARTS,
    executor: Executor | None = None,
    **cuts: Any,
) -> xr.Dataset:
    """Describe the images of files, chunk by chunk.

    Parameters
    ----------
    paths, camera, telescopes
        As for `open_files`.
    parts
        As for `reduction`.
    executor
        None: threads, one for each core.
    **cuts
        Fields of `Cuts`, for instance ``picture=8, boundary=4, energy_min=1, min_intensity=50``.

    Returns
    -------
    Dataset
        Of all images that were read: `n_read` (telescope). Of events that pass the cuts on events: `n_events` and
        `multiplicity_counts` (bin_multiplicity: 0, 1, ...). Of images that pass all cuts: `n_images` (telescope); `pixel_count`, `mean`,
        `std`, `occupancy`, `survival`, `time_mean`, `time_std` (telescope, pixel); along `image` the parameters, see
        `detcore.dl1.TABLE`; `dist_<name>` (telescope, bin_<name>) with `edge_<name>` and `outside_<name>`. Attributes:
        camera, time_unit, frame, cut, the error ledger, provenance.

    Raises
    ------
    InvalidParameters
        A cut is unknown or impossible.
    EmptyInput
        No file could be read; says why for each.

    Examples
    --------
    >>> from detcore import dl1
    >>> data = dl1.reduce("gamma.dl1.h5", min_intensity=50)  # doctest: +SKIP
    >>> data.hillas_width.mean()  # doctest: +SKIP
    """
    numbers = _numbers(telescopes)
    source = open_files(paths, camera, numbers)
    parameters = Cuts.checked({**({"telescopes": numbers} if numbers else {}), **cuts})
    return run(source, lambda schema: reduction(parameters, schema, parts=parts), executor=executor)


def warm() -> None:
    """Compile the kernels, on a camera of seven pixels."""
    turn = np.radians(60 * np.arange(6))
    camera = camera_of_positions("seven", [0, *np.cos(turn)], [0, *np.sin(turn)], 28.0)
    images = np.array([[40, 20, 9, 8, 7, 6, 5], [0, 9, 50, 20, 8, 7, 6]], np.float32)
    times = np.array([[1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1]], np.float32)
    rows = np.arange(2)
    chunk = Images(np.zeros(2, np.int64), rows, rows, images, times).dataset(camera=camera, tel_id=1, file="")
    known = {"entry": rows, "multiplicity": rows + 1, "first": rows == 0}
    chunk = chunk.assign({name: ("event", values) for name, values in known.items()})
    chunk.attrs |= {"camera": facts_of(camera), "telescopes": (1,)}
    cuts = Cuts(min_neighbors=0, time_limit=5, main_island=True, expression="hillas_width > 0")
    data = total(reduction(cuts, chunk.isel(event=slice(0, 0))), chunk)
    hillas(images, images > 0, camera, "camera")
    muon_ring(images, images > 0, camera)
    interpolate(images, images[0] > 30, camera)
    table = pd.DataFrame(
        {name: np.tile(data[name].values, 2) for name in data.data_vars if data[name].dims == ("image",)}
    )
    where = pd.DataFrame({"x": [0.0, 100.0], "y": [0.0, 50.0], "z": [0.0, 0.0]}, index=[1, 2])
    table["tel_id"] = 1 + np.arange(len(table)) % 2
    stereo(table, where, (70.0, 0.0))


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write DL1 files of both formats and return them: three camera types, gammas and protons."""
    from detcore.dl1 import demo  # noqa: PLC0415

    return demo.write_demo(folder)


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.dl1.cli import dl1  # noqa: PLC0415

    return dl1


INSTRUMENT = Instrument(
    name="dl1",
    title="DL1 images",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Cuts,
    reduction=reduction,
)
