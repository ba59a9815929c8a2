"""Images and masks that a setup names: backgrounds, dark and flat fields, arrays that functions get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.area.files.calibfiles import TEXTS, read_text
from detcore.area.source import open_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detcore.area.framefiles import AreaFiles

MAX_BYTES: Final = 1 << 31  # of one array
MEANS: Final = ("mean", "image")  # in our files of averages
ARRAYS: Final = {
    "userMask",
    "roi_mask",
    "mask",
    "gainImg",
    "darkImg",
    "correction",
    "x",
    "y",
    "xArr",
    "yArr",
    "basis",
    "illumination_correction",
}
"""Parameters of functions that are arrays; a setup has the names of their files."""


def read_image(path: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Read an image from a file of any format.

    Parameters
    ----------
    path
        The file.
    shape
        That it must have: (y, x), or (module, y, x), whose panels may be stacked into rows. None: the first frame, as
        the file has it.

    Returns
    -------
    ndarray
        The first frame, or the mean of an average that was written; of a shape with panels also the file as a whole, if its frames are the panels.

    Raises
    ------
    ValueError
        It has another shape.
    """
    image = _text(path) if _is_text(path) else np.asarray(_opened(path).frame(0))
    if shape is None or image.shape == shape:
        return image
    if len(shape) == 3:
        if image.shape == shape[1:]:
            image = read_array(path)
        elif image.shape == (shape[0] * shape[1], shape[2]):
            image = image.reshape(shape)
    if image.shape != shape:
        msg = f"{path}: expected an image of {shape}, found {image.shape}; is it of another detector?"
        raise ValueError(msg)
    return image


def read_array(path: str) -> NDArray[Any]:
    """Read all that is in a file of images: one as (y, x), several with one more axis in front.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ValueError
        It is larger than any mask.
    """
    if _is_text(path):
        return _text(path)
    source = _opened(path)
    first, n = np.asarray(source.frame(0)), source.n_frames()
    if first.nbytes * n > MAX_BYTES:
        msg = f"{path}: expected an image or a mask, found {n} frames of {first.shape}; is it a run?"
        raise ValueError(msg)
    return first if n == 1 else np.stack([first, *(np.asarray(source.frame(number)) for number in range(1, n))])


def with_arrays(params: Mapping[str, Any], name: str, shape: tuple[int, ...] | None) -> dict[str, Any]:
    """Return the parameters of a function with arrays in the place of the names of their files.

    Parameters
    ----------
    params
        As a setup has them.
    name
        Of the function, for messages.
    shape
        Of the data that it gets, where that is known: panels that are stacked into rows are taken apart.

    Raises
    ------
    OSError, ValueError
        A file cannot be read; says of which function.
    """
    found = dict(params)
    for key in ARRAYS & found.keys():
        path = found[key]
        if not isinstance(path, str):
            continue
        try:
            array = read_array(path)
        except (OSError, ValueError) as error:
            msg = f"function {name}: {key}: {error}"
            raise ValueError(msg) from error
        stacked = shape is not None and len(shape) == 3 and array.shape == (shape[0] * shape[1], shape[2])
        found[key] = array.reshape(shape) if stacked else array
    return found


def _opened(path: str) -> AreaFiles:
    """Open a file; of an average, which holds several images, the mean."""
    source: AreaFiles = open_files(path)  # type: ignore[assignment]
    if Path(path).suffix.lower() not in {".h5", ".nc"}:
        return source
    for name in (None, *MEANS):
        one: AreaFiles = source if name is None else open_files(path, dataset=name)  # type: ignore[assignment]
        try:
            one.schema()
        except (OSError, ValueError):
            continue
        return one
    return source


def _is_text(path: str) -> bool:
    return Path(path).suffix.lower() in TEXTS


def _text(path: str) -> NDArray[Any]:
    return read_text(Path(path))
