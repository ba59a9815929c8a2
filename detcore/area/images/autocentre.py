"""The centre of an image of rings without any hint; see `centre`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d, maximum_filter, uniform_filter
from scipy.optimize import minimize

from detcore.area.images.centrekernels import explained

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE: Final = 1 << 20  # pixels of the image in which the centre is refined
COARSE: Final = 1 << 16  # and of that in which it is looked for
LOCAL: Final = 31  # px of the local mean that is subtracted
SMALLEST: Final = 24  # px; in smaller images noise looks like rings
CLIP: Final = 4.0  # standard deviations
CANDIDATES: Final = 6
FAINT: Final = 0.03  # part of the variance
FAR: Final = 2.0  # image sizes from the middle of the image
SIGNIFICANT: Final = 8.0  # standard deviations above what noise explains


class Found(NamedTuple):
    """Centre and errors (px), part of the variance that rings explain, radii (px)."""

    x: float
    y: float
    error_x: float
    error_y: float
    score: float
    radii: NDArray[np.float64]


class Scene(NamedTuple):
    """Pixels that count of an image without its slow changes: values of mean 0, columns, rows; all float32."""

    values: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    size: float

    def explained(self, x: float, y: float, width: float = 1.0) -> tuple[float, int]:
        """Return the sum of squares that rings around (x, y) explain, and their number."""
        reach = math.hypot(max(abs(x), abs(self.size - x)), max(abs(y), abs(self.size - y)))
        total, used = explained(self.values, self.x, self.y, x, y, width, int(reach / width) + 2)
        return float(total), int(used)

    def score(self, x: float, y: float, width: float = 1.0) -> float:
        """Return the part of the variance that is explained, less what so many rings would explain by chance."""
        total, used = self.explained(x, y, width)
        whole, n = float(np.square(self.values, dtype=np.float64).sum()), len(self.values)
        if n - used < 1 or whole == 0:
            return -1.0
        return 1 - (1 - total / whole) * (n - 1) / (n - used)


def automatic(pixels: NDArray[np.float32], good: NDArray[np.bool_]) -> Found:
    """Find the centre.

    Parameters
    ----------
    pixels
        (y, x) float32.
    good
        (y, x) boolean, pixels that count.

    Raises
    ------
    ValueError
        The image is too small, or rings around no point explain more of it than noise does.
    """
    if min(pixels.shape) < SMALLEST:
        msg = (
            f"expected an image of at least {SMALLEST} by {SMALLEST} pixels, found {pixels.shape}; pick points instead"
        )
        raise ValueError(msg)
    factor = max(1, math.ceil(math.sqrt(pixels.size / FINE)))
    fine, fine_good = shrunk(pixels, good, factor)
    found, seen = _search(fine, fine_good, LOCAL)
    if found.score < FAINT:  # broad rings vanish with the slow changes
        broad, broad_seen = _search(fine, fine_good, max(LOCAL, min(fine.shape) // 3))
        if broad.score > found.score:
            found, seen = broad, broad_seen
    far = max(abs(place - size / 2) / size for place, size in zip((found.x, found.y), fine.shape[::-1], strict=True))
    if not seen > SIGNIFICANT or far > FAR:
        msg = "no rings are seen around any point; take an average with rings, mask what is no ring, or pick points"
        raise ValueError(msg)
    x, y = to_fine(found.x, factor), to_fine(found.y, factor)
    return Found(x, y, found.error_x * factor, found.error_y * factor, found.score, _radii(pixels, good, x, y))


def _search(fine: NDArray[np.float32], fine_good: NDArray[np.bool_], local: int) -> tuple[Found, float]:
    """Return the centre without radii, and how many standard deviations more it explains than chance does."""
    flat = flattened(fine, fine_good, local)
    scene = scene_of(flat, fine_good)
    step = max(1, math.ceil(math.sqrt(flat.size / COARSE)))
    small, small_good = shrunk(flat, fine_good, step)
    rough = scene_of(small, small_good)
    best: tuple[float, float, float] = (-math.inf, 0.0, 0.0)
    for x, y in candidates(small, small_good):
        found = _climb(rough, x, y, 2.0)
        best = max(best, found)
    _, x, y = best
    coarse = [to_fine(one, step) for one in (x, y)]
    score, x, y = _climb(scene, coarse[0], coarse[1], float(step), fine=True)
    total, used = scene.explained(x, y)
    n = len(scene.values)
    chance = total / max(used - 1, 1) / max((_whole(scene) - total) / max(n - used, 1), 1e-30)
    seen = (chance - 1) / math.sqrt(2 / max(used - 1, 1))
    return Found(x, y, *_errors(scene, x, y, used), score, np.zeros(0)), seen


def to_fine(place: float, factor: int) -> float:
    """Return a place in the image whose blocks of `factor` px were made one."""
    return place * factor + (factor - 1) / 2


def shrunk(
    pixels: NDArray[np.float32], good: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return means of blocks, and which blocks count: those of which a quarter of the pixels does."""
    if factor == 1:
        return np.where(good, pixels, np.float32(0)), good
    ny, nx = (size // factor for size in pixels.shape)
    if ny < 1 or nx < 1:
        msg = f"expected an image of at least {factor} by {factor} pixels, found {pixels.shape}"
        raise ValueError(msg)
    blocks = (ny, factor, nx, factor)
    inside = np.s_[: ny * factor, : nx * factor]
    counts = good[inside].reshape(blocks).sum(axis=(1, 3))
    sums = np.where(good, pixels, 0)[inside].reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
    return sums / np.maximum(counts, 1).astype(np.float32), counts * 4 >= factor * factor


def flattened(pixels: NDArray[np.float32], good: NDArray[np.bool_], local: int = LOCAL) -> NDArray[np.float32]:
    """Return the image with its wide range of values compressed and its slow changes taken away; 0 where masked."""
    values = pixels[good]
    low, middle = np.percentile(values[:: max(1, len(values) // 100_000)], [1, 50])
    scale = middle - low or float(values.std(dtype=np.float64)) or 1.0
    raised = np.arcsinh((pixels - low) / scale).astype(np.float32)
    weight = good.astype(np.float32)
    raised *= weight
    np.nan_to_num(raised, copy=False)
    size = min(local, max(3, min(pixels.shape) // 4))
    mean = uniform_filter(raised, size, mode="constant") / np.maximum(
        uniform_filter(weight, size, mode="constant"), 1e-3
    )
    apart = (raised - mean) * weight
    limit = CLIP * float(apart[good].std())
    np.clip(apart, -limit, limit, out=apart)
    return np.where(good, apart - apart[good].mean(dtype=np.float64), 0).astype(np.float32)


def scene_of(flat: NDArray[np.float32], good: NDArray[np.bool_]) -> Scene:
    """Return the pixels that count."""
    y, x = np.nonzero(good)
    values = flat[good]
    values = values - values.mean(dtype=np.float64).astype(np.float32)
    return Scene(values, x.astype(np.float32), y.astype(np.float32), float(max(flat.shape)))


def candidates(flat: NDArray[np.float32], good: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return (x, y) of the points around which half a turn changes the image least.

    The image convolved with itself is summed over pairs of pixels; divided by the root of their number, noise is the same
    everywhere.
    """
    shape = [fft.next_fast_len(2 * size - 1, real=True) for size in flat.shape]
    image, weight = fft.rfft2(flat, shape), fft.rfft2(good.astype(np.float32), shape)
    pairs = fft.irfft2(weight * weight, shape)[: 2 * flat.shape[0] - 1, : 2 * flat.shape[1] - 1]
    folded = fft.irfft2(image * image, shape)[: pairs.shape[0], : pairs.shape[1]]
    likely = np.where(pairs > 0.02 * pairs.max(), folded / np.sqrt(np.maximum(pairs, 1)), -np.inf)
    tops = np.flatnonzero((likely == maximum_filter(likely, 7)) & np.isfinite(likely))
    order = tops[np.argsort(likely.ravel()[tops])[::-1][:CANDIDATES]]
    rows, columns = np.unravel_index(order, likely.shape)
    found = [(float(column) / 2, float(row) / 2) for row, column in zip(rows, columns, strict=True)]
    return [*found, *_grid(flat, good)]


def _grid(flat: NDArray[np.float32], good: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the best two points of a wide grid, for beams near the edge or beside the detector."""
    small, small_good = shrunk(flat, good, max(1, math.ceil(max(flat.shape) / 64)))
    scene = scene_of(small, small_good)
    factor = max(1, math.ceil(max(flat.shape) / 64))
    ny, nx = small.shape
    places = [(x, y) for y in np.linspace(-0.5 * ny, 1.5 * ny, 33) for x in np.linspace(-0.5 * nx, 1.5 * nx, 33)]
    scores = np.array([scene.score(x, y, 2.0) for x, y in places])
    return [(to_fine(places[at][0], factor), to_fine(places[at][1], factor)) for at in np.argsort(scores)[::-1][:2]]


def _climb(scene: Scene, x: float, y: float, step: float, *, fine: bool = False) -> tuple[float, float, float]:
    """Return the score and the place of the nearest best centre."""
    options: Any = {
        "initial_simplex": [[x, y], [x + step, y], [x, y + step]],
        "xatol": 0.01 if fine else 0.2,
        "fatol": 1e-7,
        "maxfev": 80 if fine else 40,
    }

    def worse(place: NDArray[np.float64]) -> float:
        return -scene.score(float(place[0]), float(place[1]))

    found = minimize(worse, np.array([x, y], np.float64), method="Nelder-Mead", options=options)
    return -float(found.fun), float(found.x[0]), float(found.x[1])


def _whole(scene: Scene) -> float:
    return float(np.square(scene.values, dtype=np.float64).sum())


def _errors(scene: Scene, x: float, y: float, used: int) -> tuple[float, float]:
    """Return one standard deviation of x and y, px, from how fast the sum of squares grows beside the best centre."""
    step = 0.5
    best = scene.explained(x, y)[0]
    noise = (_whole(scene) - best) / max(len(scene.values) - used, 1)
    errors = []
    for dx, dy in ((step, 0.0), (0.0, step)):
        beside = (scene.explained(x + dx, y + dy)[0] + scene.explained(x - dx, y - dy)[0]) / 2
        bend = (best - beside) / (noise * step**2)
        errors.append(math.sqrt(1 / bend) if bend > 0 else math.nan)
    return errors[0], errors[1]


def _radii(pixels: NDArray[np.float32], good: NDArray[np.bool_], x: float, y: float) -> NDArray[np.float64]:
    rows, columns = np.nonzero(good)
    at = np.hypot(columns - x, rows - y).astype(np.int64)
    counts, values = np.bincount(at), pixels[good].astype(np.float64)
    profile = _over(np.bincount(at, weights=values), counts)
    spread = _over(np.bincount(at, weights=(values - profile[at]) ** 2), counts)
    return np.sort(profile_peaks(profile, counts, np.sqrt(_over(spread, counts))))


def _over(sums: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(sums, counts, out=np.full(len(counts), math.nan), where=counts > 0))


def profile_peaks(
    profile: NDArray[np.float64], counts: NDArray[np.int64], errors: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the radii of the peaks of a profile in bins of 1 px, the strongest first.

    Parameters
    ----------
    profile
        (bin,) mean value; not a number where empty.
    counts
        (bin,) pixels.
    errors
        (bin,) standard error of the mean; peaks that are no higher than five of them are left out.
    """
    from scipy.signal import find_peaks  # noqa: PLC0415 - it takes most of a second to import, for every command

    known = np.flatnonzero((counts > 10) & np.isfinite(profile))
    if len(known) < 8:
        return np.zeros(0)
    radii = np.arange(known[0], known[-1] + 1)
    line = gaussian_filter1d(np.interp(radii, known, profile[known]), 1.0)
    low = np.percentile(line, 1)
    scale = float(np.median(line)) - low or float(line.std()) or 1.0
    steep = 1 / np.hypot(scale, line - low)  # of the compression
    line = np.arcsinh((line - low) / scale)
    scatter = 1.4826 * float(np.median(np.abs(np.diff(line) - np.median(np.diff(line))))) / math.sqrt(2)
    places, facts = find_peaks(line, prominence=max(5 * scatter, 0.02))
    heights = np.asarray(facts["prominences"])
    if errors is not None:
        doubt = np.interp(radii, known, errors[known]) * steep
        sure = heights > 5 * doubt[places]
        places, heights = places[sure], heights[sure]
    places = places[np.argsort(heights)[::-1]]
    if not len(places):
        return np.zeros(0)
    left, middle, right = line[places - 1], line[places], line[places + 1]
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1), 0)
    return np.asarray(radii[places] + 0.5 + np.clip(shift, -0.5, 0.5))
