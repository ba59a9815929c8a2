"""Compiled loops of the assembly."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def gather(frames, first, start, shared, fill, image):  # type: ignore[no-untyped-def]
    """Fill images from panels.

    Parameters
    ----------
    frames
        float32 (frame, detector pixel).
    first, start, shared
        int32: fields of `ImageMap`.
    fill
        float32, value of gaps.
    image
        float32 (frame, image pixel), written.
    """
    for frame in range(frames.shape[0]):
        for pixel in range(first.size):
            place = first[pixel]
            if place >= 0:
                image[frame, pixel] = frames[frame, place]
            elif place == -1:
                image[frame, pixel] = fill
            else:
                total, count = np.float32(0), 0
                for at in range(start[-2 - place], start[-1 - place]):
                    value = frames[frame, shared[at]]
                    if value == value:  # noqa: PLR0124 - not nan
                        total += value
                        count += 1
                image[frame, pixel] = total / np.float32(count) if count else np.float32(np.nan)
