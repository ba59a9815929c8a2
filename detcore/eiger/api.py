"""What front ends call: open, sum, look at one frame. The same calls serve the script, the command and the tab."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.core.executors import Threads
from detcore.core.run import run
from detcore.core.schema import FRAME, LIVE, SAMPLE_DIMENSION
from detcore.core.source import Instrument
from detcore.eiger.reductions import Intensity, Limits, NamedRegion
from detcore.eiger.source import FrameFiles, probe
from detcore.image import AnyRegion, Rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detcore.core.executors import Executor

LIVE_FRAMES = 1_000_000  # a live feed shows so many, some two hours at 133 Hz
WHOLE_FRAME = NamedRegion(name="frame", region=Rectangle(x0=-1, y0=-1, x1=1e6, y1=1e6))
"""A region that holds every pixel: the frame beside its regions."""
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Regions = Mapping[str, AnyRegion] | Iterable[NamedRegion]


def open_files(paths: Paths, *, frames: tuple[int, ...] | None = None, **options: Any) -> FrameFiles:
    """Open a series.

    Parameters
    ----------
    paths
        A master file, data files, or a folder.
    frames
        (first, last) or (first, last, step), 1-based and inclusive; last 0: to the end. None: all.
    **options
        `dataset`: path of the frames in an HDF5 file that is not a detector's; `channel` of 4-D data, from 0;
        `backlog` in bytes, of a live series: with more unread, frames are skipped.

    Returns
    -------
    FrameFiles
        A source for `run` and `stream`.

    Raises
    ------
    ValueError
        A range is impossible.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    span = None
    if frames is not None:
        first, last, step = (*frames, 1)[:3]
        span = (first, last, step)
    return FrameFiles(tuple(os.fspath(path) for path in several), frames=span, **options)


def named_regions(regions: Regions | None) -> tuple[NamedRegion, ...]:
    """Return regions with their names, from a mapping name -> region or as they are.

    Raises
    ------
    TypeError
        One has no name.
    """
    if isinstance(regions, Mapping):
        return tuple(NamedRegion(name=name, region=region) for name, region in regions.items())
    found: tuple[Any, ...] = tuple(regions or ())
    for one in found:
        if not isinstance(one, NamedRegion):
            msg = f"a region needs a name: expected {{'name': region}} or NamedRegion, found {type(one).__name__}"
            raise TypeError(msg)
    return found


def reduction(
    limits: Limits | None = None,
    schema: xr.Dataset | None = None,
    *,
    regions: Regions | None = None,
    mean_image: bool = True,
    centre: bool = True,
    histogram: bool = True,
) -> Intensity:
    """Return what a viewer wants to see of one pass; everything, if not told otherwise.

    Parameters
    ----------
    limits
        Which pixels are summed; None: the defaults. An `Intensity` is taken as it is, whatever else is given.
    schema
        Of the input; that of a live one makes the result keep a window.
    regions
        At most 32, by name; add `WHOLE_FRAME` for the frame beside them. None: the frame.
    mean_image, centre, histogram
        See `Intensity`.
    """
    limits = limits or Limits()
    live = schema is not None and bool(schema.attrs.get(LIVE))
    if isinstance(limits, Intensity):  # already says what is wanted
        return limits.model_copy(update={"last": limits.last or LIVE_FRAMES}) if live else limits
    return Intensity(
        low=limits.low,
        high=limits.high,
        pixel_mask=limits.pixel_mask,
        regions=named_regions(regions),
        mean_image=mean_image,
        centre=centre,
        histogram=histogram,
        last=LIVE_FRAMES if live else None,
    )


def sum_frames(
    path: Paths,
    low: int = 0,
    high: int = 4500,
    *,
    pixel_mask: bool = True,
    regions: Regions | None = None,
    frames: tuple[int, ...] | None = None,
    threads: int | None = None,
    mean_image: bool = False,
    centre: bool = False,
    histogram: bool = False,
    executor: Executor | None = None,
    **options: Any,
) -> xr.Dataset:
    """Sum each frame of a series over the pixels within limits.

    Parameters
    ----------
    path
        A master file, data files, or a folder.
    low, high
        Limits, both inclusive, counts.
    pixel_mask
        Leave out what the detector's pixel mask rejects and what has overflowed. False: the limits alone.
    regions
        At most 32, by name, instead of the frame.
    frames
        (first, last) or (first, last, step), 1-based and inclusive; last 0: to the end. None: all.
    threads
        None: one for each core.
    mean_image, centre, histogram
        Also the mean image, the centre of mass, the histogram of bit lengths; see `Intensity`.
    executor
        Instead of threads of this process.
    **options
        As for `open_files`.

    Returns
    -------
    Dataset
        `sum` (counts), `n_valid`, `n_low`, `n_high` (pixels) on `frame` (1-based), and on `region` if there are any;
        `n_saturated` (frame). Attributes: the limits, facts of the series, the error ledger.

    Raises
    ------
    InvalidParameters
        The limits are impossible.
    EmptyInput
        No frame could be read; says why.

    Examples
    --------
    >>> import tempfile
    >>> from detcore import eiger
    >>> master = eiger.write_demo(tempfile.mkdtemp())[0]
    >>> data = eiger.sum_frames(master, frames=(3, 5))
    >>> data.frame.values.tolist(), bool((data["sum"] <= 4500 * data.n_valid).all())
    ([3, 4, 5], True)
    """
    limits = Limits.checked({"low": low, "high": high, "pixel_mask": pixel_mask})
    named, source = named_regions(regions), open_files(path, frames=frames, **options)

    def wanted(schema: xr.Dataset) -> Intensity:
        return reduction(limits, schema, regions=named, mean_image=mean_image, centre=centre, histogram=histogram)

    return run(source, wanted, executor=executor or Threads(threads))


def read_frame(path: Paths, number: int, **options: Any) -> xr.DataArray:
    """Read one frame.

    Parameters
    ----------
    path
        A master file, data files, or a folder.
    number
        In the series, from 1.
    **options
        As for `open_files`.

    Returns
    -------
    DataArray
        (y, x) counts as the detector wrote them; attributes: `frame`, `n_frames` and the facts of the series.

    Raises
    ------
    KeyError
        There is no such frame.
    """
    source = open_files(path, **options)
    values = source.frame(number)
    facts = dict(source.schema().attrs.get("metadata") or {})
    return xr.DataArray(
        values, dims=("y", "x"), name="counts", attrs=facts | {"frame": number, "n_frames": source.n_frames()}
    )


def warm() -> None:
    """Compile the kernels, on a frame of zeros and on none."""
    for dtype in ("uint8", "uint16", "uint32"):
        for encoding in ("raw", "bslz4"):
            frames = int(encoding == "raw")
            chunk = xr.Dataset(
                {
                    "frame_number": (FRAME, np.arange(1, 1 + frames)),
                    "payload": ("payload", np.zeros(64 * np.dtype(dtype).itemsize * frames, np.uint8)),
                    "payload_size": (
                        FRAME,
                        np.full(frames, 64 * np.dtype(dtype).itemsize, np.int64),
                        {SAMPLE_DIMENSION: "payload"},
                    ),
                },
                attrs={"encoding": encoding, "dtype": dtype, "shape": (8, 8), "file": ""},
            )
            for wanted in (Intensity(), reduction(Limits(low=1))):
                state = wanted.empty(chunk)
                wanted.update(state, chunk)
                wanted.merge(state, wanted.empty(chunk))
                wanted.finalize(state)


def write_demo(folder: str | os.PathLike[str]) -> Sequence[Path]:
    """Write a series in the detector's own format, the master file first, and return its files."""
    from detcore.eiger import demo  # noqa: PLC0415

    return demo.write_demo(folder)


def commands() -> Any:
    """Return the verbs of the command line; click is imported only then."""
    from detcore.eiger.cli import eiger  # noqa: PLC0415

    return eiger


INSTRUMENT = Instrument(
    name="eiger",
    title="Eiger intensity",
    probe=probe,
    open=open_files,
    demo=write_demo,
    warm=warm,
    commands=commands,
    parameters=Limits,
    reduction=reduction,
)
