"""Functions that select events and images for `DL1DataReader`.

Those of events take the reader and an open file and return rows of its events; those of images take the reader and
images (event, pixel) of one telescope and return which to keep. Settings follow by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.dl1.images.cleaning import tailcuts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.dl1.files.model import Dl1File
    from detcore.dl1.reader import DL1DataReader


def event_intensity_filter(
    reader: DL1DataReader, file: Dl1File, i_min: float = -np.inf, i_max: float = np.inf
) -> set[int]:
    """Select events by the charge of all images of the telescope types that are read.

    Parameters
    ----------
    reader, file
        From the reader.
    i_min, i_max
        p.e.; a sum that equals one of them is not selected.

    Returns
    -------
    set
        Rows of the events.
    """
    total = np.zeros(len(file.events))
    for tel_type in reader.selected_types:
        for tel_id in reader.telescopes[tel_type]:
            rows = reader.image_rows(file, tel_id)
            sums = np.zeros(file.n_images(tel_id))
            for chunk in file.images(tel_id):
                sums[chunk.row.values] = chunk.image.values.sum(axis=1, dtype=np.float64)
            seen = rows >= 0
            total[seen] += sums[rows[seen]]
    return set(np.flatnonzero((i_min < total) & (total < i_max)).tolist())


def image_intensity_filter(
    reader: DL1DataReader,  # noqa: ARG001 - all filters are called alike
    images: NDArray[Any],
    i_min: float = -np.inf,
    i_max: float = np.inf,
) -> NDArray[np.bool_]:
    """Select images by their charge.

    Parameters
    ----------
    reader, images
        From the reader; (event, pixel) p.e.
    i_min, i_max
        p.e.; a sum that equals one of them is not selected.
    """
    total = images.sum(axis=-1, dtype=np.float64)
    return np.asarray((i_min < total) & (total < i_max))


def image_cleaning_filter(
    reader: DL1DataReader,
    images: NDArray[Any],
    picture_thresh: float = 7,
    boundary_thresh: float = 5,
    keep_isolated_pixels: bool = False,
    min_number_picture_neighbors: int = 0,
) -> NDArray[np.bool_]:
    """Select images of which something is left after cleaning.

    Parameters
    ----------
    reader, images
        From the reader; (event, pixel) p.e.
    picture_thresh, boundary_thresh, keep_isolated_pixels, min_number_picture_neighbors
        As of `tailcuts`; names and values are ctapipe's, as in the original.
    """
    selected = tailcuts(
        images,
        reader.camera,
        picture=picture_thresh,
        boundary=boundary_thresh,
        min_picture_neighbors=min_number_picture_neighbors,
        keep_isolated=keep_isolated_pixels,
    )
    return np.asarray(selected.any(axis=1))
