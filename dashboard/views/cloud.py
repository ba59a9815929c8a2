"""Points of showers in three dimensions: turned, cut and coloured in the browser, by assets/cloud.js."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import panel as pn
import param

from dashboard.settings import asset
from dashboard.views.channelmap import SEQUENTIAL

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

MAX_POINTS = 200_000
ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)  # half widths of the box, times a power of ten
MEV = 1e3  # per GeV


@dataclass(frozen=True)
class Detector:
    """The box that showers are drawn in.

    Parameters
    ----------
    name
        Of the geometry, written at the box.
    layers
        Number of layers.
    ecal_layers
        How many of them, the first ones, are the electromagnetic part; all of them: there is no other part.
    """

    name: str = "ILD"
    layers: int = 78
    ecal_layers: int = 30


class Cloud(pn.custom.JSComponent):
    """A cloud of points in the box of a calorimeter.

    The browser turns it with WebGL if the graphics hardware does, else with a renderer of our own. A change of colour,
    energy cut, layers or view sends no points. Below the cloud are its own controls for all that, which set the same
    parameters, so a tab can watch them (``cloud.param.watch(f, ["cut", "first_layer", "last_layer"])``), for example to
    cut projections in the same way. What a browser sends is not trusted: read `seen`, which is always in range.

    Examples
    --------
    >>> cloud = Cloud(colour="layer")
    >>> cloud.draw(np.array([[0.0, 5.0, 3.0, 0.001], [10.0, 5.0, 4.0, 0.0002]]), title="shower 0")
    0
    >>> cloud.arrange(cut=0.1, first_layer=2)
    >>> cloud.seen
    Seen(colour='layer', cut=0.1, first_layer=2, last_layer=77, sized=True, camera=None)
    """

    colour: Any = param.Selector(default="energy", objects=["energy", "time", "layer"], doc="What the colours mean.")
    cut = param.Number(default=0.0, doc="MeV; points with less energy are not drawn.")
    first_layer = param.Integer(default=0, doc="Layers before it are not drawn.")
    last_layer = param.Integer(default=-1, doc="Layers behind it are not drawn; -1: the last one of the detector.")
    sized = param.Boolean(default=True, doc="Points with more energy are larger.")
    camera = param.List(default=[], doc="[yaw, pitch, zoom, right, up] (degrees, 1 = all, shares of the height).")
    tools = param.Boolean(default=True, doc="Whether the view has its own controls.")
    wall = param.Boolean(default=False, doc="For a wall display: larger text, no controls.")
    renderer: Any = param.Selector(default="auto", objects=["auto", "webgl", "canvas"], doc="Who draws the points.")
    cloud = param.Bytes(default=b"", doc="int32 number of points and of columns, then the columns in float32.")
    words = param.Dict(default={}, doc="Texts, box and limits of the colours; see `draw`.")
    palette = param.List(default=list(SEQUENTIAL), doc="CSS colours from low to high.")

    _esm = "\n".join(asset(name).read_text() for name in ("cloud_points.js", "cloud_axes.js", "cloud.js"))
    _stylesheets: ClassVar[list[str]] = [asset("cloud.css").read_text()]

    def __init__(self, detector: Detector | None = None, **params: Any) -> None:
        super().__init__(**({"sizing_mode": "stretch_both", "min_height": 260, "margin": 0} | params))  # type: ignore[no-untyped-call]
        self.detector = detector or Detector()
        self.clear()

    def draw(
        self,
        points: NDArray[Any] | xr.DataArray,
        *,
        title: str = "",
        detector: Detector | None = None,
        half_width: float | None = None,
    ) -> int:
        """Draw points; the viewer's angle, zoom, colours and cuts stay.

        Parameters
        ----------
        points
            (point, column): x and y in mm, number of the layer, energy in GeV and, if there are five columns, time in
            ns. Rows that are not finite and those without energy, as in padding, are left out.
        title
            Written above, as plain text.
        detector
            None: as before.
        half_width
            mm; x and y of the box reach so far from its middle. None: a round number that holds 99.5 % of the points.

        Returns
        -------
        int
            How many points are not drawn because there are more than `MAX_POINTS`; those with least energy.

        Raises
        ------
        ValueError
            There are not four or five columns.
        """
        values = np.asarray(points)
        if values.ndim != 2 or values.shape[1] not in {4, 5}:
            msg = f"points (point, 4 or 5 columns) expected, found {values.shape}"
            raise ValueError(msg)
        values = values[np.isfinite(values).all(axis=1) & (values[:, 3] > 0)].astype(np.float32)
        dropped = max(0, len(values) - MAX_POINTS)
        if dropped:
            values = values[np.sort(np.argpartition(values[:, 3], dropped)[dropped:])]
        values[:, 3] *= MEV
        self.detector = detector or self.detector
        note = f"the {len(values):,} points with most energy of {len(values) + dropped:,}" if dropped else ""
        header = np.array(values.shape, np.int32).tobytes()
        self.param.update(
            cloud=header + np.ascontiguousarray(values.T).tobytes(),
            words={
                "title": title,
                "note": note,
                "detector": self.detector.name,
                "layers": self.detector.layers,
                "ecal": self.detector.ecal_layers,
                "depth": _depth(values, self.detector),
                "box": [*_box(values, half_width)],
                "energy": _limits(values[:, 3]),
                "time": _limits(values[:, 4]) if values.shape[1] == 5 else None,
            },
        )
        return dropped

    def clear(self, title: str = "") -> None:
        """Show the empty box, with words above it."""
        self.draw(np.zeros((0, 4), np.float32), title=title)

    def arrange(
        self,
        *,
        colour: str | None = None,
        cut: float | None = None,
        first_layer: int | None = None,
        last_layer: int | None = None,
        sized: bool | None = None,
        camera: tuple[float, float, float, float, float] | None = None,
    ) -> None:
        """Change how it is drawn, without sending points; None: as before. The arguments are the parameters."""
        wanted = {
            "colour": colour, "cut": cut, "first_layer": first_layer, "last_layer": last_layer, "sized": sized,
            "camera": None if camera is None else list(camera),
        }  # fmt: skip
        self.param.update(**{name: value for name, value in wanted.items() if value is not None})

    @property
    def seen(self) -> Seen:
        """How it is drawn now, with everything in range whatever the browser sent."""
        last = self.detector.layers - 1
        first = min(max(int(self.first_layer), 0), last)
        end = last if self.last_layer < 0 else min(max(int(self.last_layer), first), last)
        cut = float(self.cut) if math.isfinite(self.cut) and self.cut > 0 else 0.0
        camera: tuple[float, ...] | None = None
        if len(self.camera) == 5 and all(isinstance(n, int | float) and math.isfinite(n) for n in self.camera):
            camera = tuple(float(number) for number in self.camera)
        return Seen(str(self.colour), cut, first, end, bool(self.sized), camera)


@dataclass(frozen=True)
class Seen:
    """How a cloud is drawn: see the parameters of `Cloud`; the camera is None where nobody has turned it."""

    colour: str
    cut: float
    first_layer: int
    last_layer: int
    sized: bool
    camera: tuple[float, ...] | None

    def select(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which points (point, column), energy in GeV, are drawn.

        Examples
        --------
        >>> seen = Seen("energy", 0.5, 0, 9, True, None)
        >>> seen.select(np.array([[0, 0, 9, 0.001], [0, 0, 9, 0.0001], [0, 0, 12, 0.001]]))
        array([ True, False, False])
        """
        layer = np.floor(points[:, 2] + 0.5)
        energy = points[:, 3] * np.float32(MEV)
        return np.asarray(
            (energy >= self.cut) & (energy > 0) & (layer >= self.first_layer) & (layer <= self.last_layer)
        )


def _depth(values: NDArray[np.float32], detector: Detector) -> int:
    """Return how many layers the box has: only the electromagnetic ones if nothing lies behind them."""
    deepest = float(values[:, 2].max(initial=0.0))
    return detector.ecal_layers if deepest < detector.ecal_layers - 0.5 else detector.layers


def _box(values: NDArray[np.float32], half_width: float | None) -> tuple[float, float, float]:
    """Return the middle of the box in x and y, mm, and half its width."""
    if not len(values):
        return 0.0, 0.0, half_width or 100.0
    low, high = np.percentile(values[:, :2].astype(np.float64), [0.25, 99.75], axis=0)
    middle = (low + high) / 2
    half = half_width or _round_up(float((high - low).max()) / 2)
    step = _round_up(half / 4)
    about_zero = half_width is None and bool((np.abs(middle) < half / 4).all())
    if about_zero:
        half = _round_up(float(np.abs([low, high]).max()))
        return 0.0, 0.0, half
    x, y = np.round(middle / step) * step
    return float(x), float(y), half + (0.0 if half_width else step)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return next((factor * power for factor in ROUND if factor * power >= value), 10.0 * power)


def _limits(values: NDArray[np.float32]) -> list[float]:
    """Return the values of the first and the last colour of a logarithmic scale."""
    used = values[values > 0]
    if not used.size:
        return [0.1, 10.0]
    low, high = (float(limit) for limit in np.percentile(used, [1.0, 99.8]))
    return [low, high] if high > low * 1.5 else [low / 2, high * 2]
