"""Layers moved sideways, so that a shower of an oblique particle stands upright: and back.

Each layer goes by the slope of the particle's direction times its distance from the front of the calorimeter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.showers import kernels
from detcore.showers.detector import ILD, DetectorGeometry
from detcore.showers.ragged import Ragged
from detcore.showers.rewrite import rewrite
from detcore.showers.rows import Form, result, room_for, rows_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["process_files", "shift", "shift_layers"]


def shift(showers: Form, detector_config: DetectorGeometry = ILD, inverse: bool = False) -> Form:
    """Undo the slope of each shower, or put it back.

    Parameters
    ----------
    showers
        Padded or ragged.
    detector_config
        With the front and the places of the layers.
    inverse
        Put the slope back.

    Returns
    -------
    Showers or Ragged
        In the form and width given. Points that leave the octagon's side (tan(pi/8) of the distance of the front)
        are dropped, unless `inverse`; points without energy always are, since they are padding.

    Raises
    ------
    IndexError
        A point is in no layer.
    ValueError
        A direction does not point into the calorimeter.
    """
    return _shift(showers, detector_config.layer_bottom_pos, detector_config.calo_surface, inverse)


def shift_layers(
    shower: ArrayLike,
    direction: ArrayLike,
    layer_bottom_pos: ArrayLike,
    calo_surface: float,
    inverse: bool,
) -> NDArray[np.float32]:
    """Undo the slope of one shower, or put it back.

    Parameters
    ----------
    shower
        (point, 4 or 5), padded or not.
    direction
        (3,) of the particle.
    layer_bottom_pos
        (layer,), mm.
    calo_surface
        Distance of the front, mm.
    inverse
        Put the slope back.

    Returns
    -------
    ndarray
        (point, 4 or 5), float32, padded with zeros to the length given.

    Raises
    ------
    IndexError
        A point is in no layer.
    ValueError
        The direction does not point into the calorimeter.
    """
    points = np.ascontiguousarray(shower, np.float32)
    one = Ragged.build(points, [len(points)], directions=np.asarray(direction, np.float32)[None])
    shifted = _shift(one, layer_bottom_pos, calo_surface, inverse).points
    padded = np.zeros_like(points)
    padded[: len(shifted)] = shifted
    return padded


def process_files(
    input_file: str | os.PathLike[str],
    output_file: str | os.PathLike[str],
    layer_bottom_pos: ArrayLike,
    calo_surface: float,
    inverse: bool,
    batch_size: int = 10_000,
    verbose: bool = False,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Write a new file with shifted showers, replacing one of that name; its attributes are those of the old one.

    Parameters
    ----------
    input_file, output_file
        Shower files; the new one appears when it is complete.
    layer_bottom_pos, calo_surface, inverse
        As for `shift_layers`.
    batch_size
        Showers in memory at once.
    verbose
        Print how far it is.
    progress
        Called with showers done, their number, and words.

    Raises
    ------
    FileExistsError
        `output_file` is the input.
    IndexError, ValueError
        As for `shift`; no file is written.
    """

    def change(part: Ragged, _: int) -> Ragged:
        return _shift(part, layer_bottom_pos, calo_surface, inverse)

    def tell(done: int, total: int, words: str) -> None:
        if progress is not None:
            progress(done, total, words)
        if verbose:
            print(f"Processed {done} of {total} showers")  # noqa: T201 - asked for

    rewrite(input_file, output_file, change, overwrite=True, batch_size=batch_size, progress=tell)


def _shift(showers: Form, layer_bottom_pos: Any, calo_surface: float, inverse: bool) -> Form:
    directions = np.asarray(showers.directions, np.float32)
    flat = np.flatnonzero(~(directions[:, 2] != 0) | ~np.isfinite(directions).all(axis=1))
    if len(flat):
        msg = f"shower {flat[0]} has the direction {directions[flat[0]]}; expected one that leads into the calorimeter"
        raise ValueError(msg)
    slopes = np.ascontiguousarray(directions[:, :2] / directions[:, 2:])
    depths = np.asarray(layer_bottom_pos, np.float32) - np.float32(calo_surface)
    rows = rows_of(showers)
    out, counts = room_for(showers, rows), np.empty(len(rows), np.int64)
    bad = kernels.shift(
        rows.points, rows.start, rows.stop, slopes, depths, np.float32(math.tan(math.pi / 8) * calo_surface),
        bool(inverse), out, rows.start, counts,
    )  # fmt: skip
    if bad >= 0:
        msg = (
            f"index {rows.points[bad, 2]:g} is out of bounds for axis 0 with size {len(depths)}: "
            f"shower {rows.shower_of(bad)} has a point in no layer"
        )
        raise IndexError(msg)
    if isinstance(showers, Ragged):
        packed = np.empty((int(counts.sum()), out.shape[1]), np.float32)
        kernels.pack(out, rows.start, counts, packed)
        out = packed
    return result(showers, out, counts)
