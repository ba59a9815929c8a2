"""Which pixels of an image hold light: cleaning by charge and by time, islands.

All take a batch of images (event, pixel) or one image (pixel,), and give the same shape back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.dl1.images import kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.dl1.images.geometry import Camera


def tailcuts(
    images: ArrayLike,
    camera: Camera,
    picture: ArrayLike = 10,
    boundary: ArrayLike = 5,
    min_picture_neighbors: int = 2,
    keep_isolated: bool = False,
) -> NDArray[np.bool_]:
    """Select the pixels above a threshold, and their neighbours above a lower one.

    Parameters
    ----------
    images
        (event, pixel) or (pixel,), p.e.
    camera
        Whose pixels these are.
    picture, boundary
        Thresholds, p.e.; a value that equals one is above it. Numbers, or (pixel,).
    min_picture_neighbors
        So many neighbours above `picture` must a pixel above `picture` have. No effect with `keep_isolated`.
    keep_isolated
        Keep pixels above `picture` even if no neighbour is above `boundary`.

    Returns
    -------
    array
        Shape of `images`, bool: True is selected. The same as of ctapipe's ``tailcuts_clean``.

    Raises
    ------
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from detcore.dl1.images.geometry import camera_of_positions
    >>> camera = camera_of_positions("row", [0, 1, 2, 3], [0, 0, 0, 0])
    >>> tailcuts([0, 12, 7, 6], camera, min_picture_neighbors=0)
    array([False,  True,  True, False])
    """
    charges, single = batch(images, camera)
    high, low = _threshold("picture", picture, charges), _threshold("boundary", boundary, charges)
    selected = np.zeros(charges.shape, bool)
    least = 0 if keep_isolated else int(min_picture_neighbors)
    kernels.tailcuts(charges, high, low, camera.neighbour_table, least, bool(keep_isolated), selected)
    return selected[0] if single else selected


def dilate(selected: ArrayLike, camera: Camera) -> NDArray[np.bool_]:
    """Add the neighbours of the selected pixels.

    Parameters
    ----------
    selected
        (event, pixel) or (pixel,) bool.
    camera
        Whose pixels these are.

    Returns
    -------
    array
        Shape of `selected`, bool.
    """
    chosen, single = choice(selected, camera)
    wider = np.zeros(chosen.shape, bool)
    kernels.dilate(chosen, *camera.neighbours, wider)
    return wider[0] if single else wider


def time_cleaning(
    selected: ArrayLike, peak_times: ArrayLike, camera: Camera, min_neighbors: int = 1, time_limit: float = 5
) -> NDArray[np.bool_]:
    """Keep the selected pixels of which selected neighbours arrived at about the same time.

    Parameters
    ----------
    selected
        (event, pixel) or (pixel,) bool.
    peak_times
        The same shape, ns.
    camera
        Whose pixels these are.
    min_neighbors
        How many neighbours must agree.
    time_limit
        Largest difference, ns; itself too large.

    Returns
    -------
    array
        Shape of `selected`, bool. The same as of ctapipe's ``apply_time_delta_cleaning``.
    """
    times, _ = batch(peak_times, camera, "peak_times")
    chosen, single = choice(selected, camera, len(times))
    kept = np.zeros(chosen.shape, bool)
    limit = times.dtype.type(time_limit)
    kernels.coincident(times, chosen, chosen, *camera.neighbours, int(min_neighbors), limit, kept)
    return kept[0] if single else kept


def time_constrained(
    images: ArrayLike,
    peak_times: ArrayLike,
    camera: Camera,
    picture: float = 7,
    boundary: float = 5,
    time_limit_core: float = 4.5,
    time_limit_boundary: float = 1.5,
    min_picture_neighbors: int = 1,
) -> NDArray[np.bool_]:
    """Select pixels by charge and time as MAGIC does.

    Pixels above `picture` with neighbours above it whose time is near the mean of the brightest island (weights:
    charge squared; the limit is twice as wide for pixels above twice `picture`); and pixels above `boundary` whose
    time is near that of such a neighbour.

    Parameters
    ----------
    images, peak_times
        (event, pixel) or (pixel,), p.e. and ns.
    camera
        Whose pixels these are.
    picture, boundary
        Thresholds, p.e.
    time_limit_core, time_limit_boundary
        Largest differences, ns; themselves too large.
    min_picture_neighbors
        How many neighbours pixels above `picture`, and those above `boundary`, need.

    Returns
    -------
    array
        Shape of `images`, bool. The same as of ctapipe's ``time_constrained_clean``.
    """
    charges, single = batch(images, camera)
    times, _ = batch(peak_times, camera, "peak_times", len(charges))
    above = charges >= charges.dtype.type(picture)
    core = np.zeros(charges.shape, bool)
    # neighbours above the threshold, whatever their time: a limit that no finite difference reaches
    still = frozen(np.zeros(charges.shape, times.dtype))
    least = int(min_picture_neighbors)
    kernels.coincident(still, frozen(above), frozen(above), *camera.neighbours, least, times.dtype.type(1), core)
    main = main_island(core, camera, charges)
    weights = np.where(main, charges.astype(np.float64) ** 2, 0.0)
    total = weights.sum(axis=1)
    mean = np.divide(
        (weights * np.where(main, times, 0)).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    limit = np.where(charges < charges.dtype.type(2 * picture), time_limit_core, 2 * time_limit_core)
    core &= np.abs(times - mean[:, None]) < limit
    outer = (charges >= charges.dtype.type(boundary)) & dilate(core, camera) & ~core
    kept = np.zeros(charges.shape, bool)
    edge = times.dtype.type(time_limit_boundary)
    kernels.coincident(times, frozen(core), frozen(outer), *camera.neighbours, least, edge, kept)
    kept |= core
    return kept[0] if single else kept


def islands(selected: ArrayLike, camera: Camera) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Find the groups of selected pixels that touch.

    Parameters
    ----------
    selected
        (event, pixel) or (pixel,) bool.
    camera
        Whose pixels these are.

    Returns
    -------
    labels, n
        Shape of `selected`, int16: 0 not selected, else 1, 2, ... in the order of the first pixel; and (event,) int64
        how many there are. For one image, (1,).
    """
    chosen, single = choice(selected, camera)
    labels = np.zeros(chosen.shape, np.int16)
    n = np.zeros(len(chosen), np.int64)
    kernels.islands(*flags(chosen), *camera.neighbours, labels, n)
    return (labels[0] if single else labels), n


def main_island(selected: ArrayLike, camera: Camera, images: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Keep the island with the most pixels, or with the most light.

    Parameters
    ----------
    selected
        (event, pixel) or (pixel,) bool.
    camera
        Whose pixels these are.
    images
        The same shape, p.e.: keep the brightest island. Without, the largest. Of equals, the first.

    Returns
    -------
    array
        Shape of `selected`, bool.
    """
    chosen, single = choice(selected, camera)
    weights = None if images is None else batch(images, camera, "images", len(chosen))[0]
    labels, n = islands(chosen, camera)
    width = int(n.max(initial=0)) + 1
    at = np.flatnonzero(chosen)
    found = labels.reshape(-1)[at]
    place = at // camera.n_pixels * width + found
    light = None if weights is None else weights.reshape(-1)[at]
    size = np.bincount(place, light, len(chosen) * width).reshape(-1, width).astype(np.float64)
    size[(np.arange(width) > n[:, None]) | (np.arange(width) == 0)] = -np.inf  # there is no such island
    kept = np.zeros(chosen.shape, bool)
    kept.reshape(-1)[at] = found == size.argmax(axis=1)[at // camera.n_pixels]
    return kept[0] if single else kept


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view in C order: what the kernels are compiled for."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def batch(values: ArrayLike, camera: Camera, name: str = "images", n: int | None = None) -> tuple[NDArray[Any], bool]:
    """Return values as (event, pixel), float32 if they are, else float64; and whether there was but one image.

    Raises
    ------
    ValueError
        The shape is another.
    """
    given = np.asarray(values)
    given = given.astype(np.float32 if given.dtype == np.float32 else np.float64, copy=False)  # also native byte order
    return _rows(given, camera, name, n)


def choice(selected: ArrayLike, camera: Camera, n: int | None = None) -> tuple[NDArray[np.bool_], bool]:
    """Return which pixels are selected as (event, pixel); and whether there was but one image.

    Raises
    ------
    ValueError
        The shape or type is another.
    """
    given = np.asarray(selected)
    if given.dtype != bool:
        msg = f"selected: expected bool, found {given.dtype}"
        raise ValueError(msg)
    return _rows(given, camera, "selected", n)


def flags(selected: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Return selected (event, pixel) as one row of bytes, and the same memory in words, for `kernels.gather`."""
    flat = selected.reshape(-1).view(np.uint8)
    if flat.ctypes.data % 8:
        flat = flat.copy()
    return frozen(flat), frozen(flat[: len(flat) // 8 * 8].view(np.uint64))


def _rows(given: NDArray[Any], camera: Camera, name: str, n: int | None) -> tuple[NDArray[Any], bool]:
    single = given.ndim == 1
    rows = given[None] if single else given
    if rows.ndim != 2 or rows.shape[1] != camera.n_pixels or (n is not None and len(rows) != n):
        events = "events" if n is None else n
        msg = f"{name}: expected ({events}, {camera.n_pixels}) for camera {camera.name}, found {given.shape}"
        raise ValueError(msg)
    return frozen(rows), single


def _threshold(name: str, value: ArrayLike, images: NDArray[Any]) -> NDArray[Any]:
    """Return a threshold for each pixel, in the type of the images, such that comparisons come out as NumPy's."""
    given = np.asarray(value)
    if given.shape not in {(), images.shape[1:]}:
        msg = f"{name}: expected a number or one for each of {images.shape[1]} pixels, found shape {given.shape}"
        raise ValueError(msg)
    limit = given.astype(images.dtype)
    if given.ndim and given.dtype.kind == "f":  # arrays are compared in their own precision: the next above
        limit = np.where(limit < given, np.nextafter(limit, images.dtype.type(np.inf)), limit)
    return frozen(np.broadcast_to(limit, images.shape[1:]))
