"""`detcore area centre`: where the beam is, and with a calibrant also distance and tilt."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from detcore.area.averaging import average as averaged
from detcore.area.commands._reads import finish, reads, record_lines
from detcore.area.events.pipeline import prepared
from detcore.area.files.poni import read_poni, write_poni
from detcore.area.images.calibrants import CALIBRANTS
from detcore.area.images.geometry import Geometry
from detcore.area.images.rings import FREE, calibrate, match_distance
from detcore.area.integration import find_centre, good_of
from detcore.core.console import explained
from detcore.core.run import problems_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detcore.area.images.centre import Centre
    from detcore.area.images.rings import Refined
    from detcore.area.setup.setupfile import Setup
    from detcore.core.source import Problem


class _Points(click.ParamType[Any]):
    name = "X,Y …"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            points = [tuple(float(number) for number in one.split(",")) for one in value.split()]
        except ValueError:
            points = [()]
        if not points or any(len(one) != 2 for one in points):
            self.fail(f"expected pairs like '10.5,20 30,42', found {value!r:.60}", param, ctx)
        return points


@click.command()
@reads
@click.option("--method", type=click.Choice(["auto", "rings"]), default="auto", show_default=True,
              help="auto: by symmetry; rings: circles through rings.")  # fmt: skip
@click.option("--points", type=_Points(), multiple=True, help="Points on one ring; may be given again for the next.")
@click.option("--tilt", is_flag=True, help="Rings may drift, as on a tilted detector (method rings, or several rings).")
@click.option("--frames", type=click.IntRange(1), default=100, show_default=True, help="Average of so many frames.")
@click.option(
    "--calibrant", type=click.Choice(sorted(CALIBRANTS), case_sensitive=False), help="Powder with known rings."
)
@click.option("--free", help=f"With a calibrant: what may change, by default {','.join(FREE)}.")
@click.option("--energy", type=float, help="Of the photons, keV, if neither setup nor run says it.")
@click.option("--distance", type=float, help="First guess, m; by default from the radii of the rings.")
@click.option("--poni", type=click.Path(exists=True, dir_okay=False), help="Start from this geometry of pyFAI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--save-setup", type=click.Path(dir_okay=False), help="Write the setup with the new geometry.")
@click.option("--save-poni", type=click.Path(dir_okay=False), help="Write the geometry for pyFAI.")
@explained
def centre(
    source: Any, setup: Setup, method: Any, points: tuple[Any, ...], tilt: bool, frames: int, calibrant: str | None,
    free: str | None, energy: float | None, distance: float | None, poni: str | None, as_json: bool,
    save_setup: str | None, save_poni: str | None,
) -> None:  # fmt: skip
    """Find where the beam meets the detector in the average of RUN."""
    detector = prepared(source.detector(), setup.with_mask(()))
    shape = detector.image_shape
    image, problems = mean_image(source, setup, frames)
    groups = [np.array(one) for one in points]
    picked = groups[0] if len(groups) == 1 else groups or None
    options: dict[str, Any] = {"tilt": True} if tilt else {}
    found = find_centre(image, picked, "points" if groups else method, **options)
    geometry = _geometry(setup, detector, read_poni(poni, shape) if poni else None)
    changes: dict[str, Any] = {"x": found.x, "y": found.y}
    changes |= {name: value for name, value in (("energy", energy), ("distance", distance)) if value is not None}
    geometry = geometry.with_(**changes)
    refined = None
    if calibrant is not None:
        if geometry.distance is None:
            geometry = geometry.with_(distance=match_distance(found.radii, geometry, calibrant))
        wanted: Any = tuple(name.strip() for name in free.split(",")) if free else FREE
        refined = calibrate(image, geometry, calibrant, free=wanted)
        geometry = refined.geometry
    _tell(found, geometry, refined, as_json=as_json)
    how = {"method": found.method} if refined is None else {"method": found.method, "calibrant": calibrant}
    head = record_lines({"from": list(map(str, source.paths)), **how})
    if save_setup is not None:
        setup.with_(geometry=geometry).save(save_setup, head)
    if save_poni is not None:
        write_poni(geometry, save_poni, shape, head)
    for target in (save_setup, save_poni):
        if target is not None and not as_json:
            click.echo(f"wrote {target}")
    finish(problems)


def mean_image(source: Any, setup: Setup, frames: int) -> tuple[NDArray[np.float32], list[Problem]]:
    """Return the mean of the first calibrated frames, assembled (y, x), nan where masked; and what could not be read."""
    mean, detector, problems = mean_frame(source, setup, frames)
    good = good_of(setup, detector.shape, detector, mean)
    if good is not None:
        mean = np.where(good, mean, np.float32(np.nan))
    return np.asarray(detector.assemble(mean)), problems


def mean_frame(source: Any, setup: Setup, frames: int) -> tuple[NDArray[np.float32], Any, list[Problem]]:
    """Return the mean of the first calibrated frames (raw shape, nan where there is none), the detector, and problems."""
    plain = setup.with_mask(())  # its thresholds look at this mean
    data = averaged(source, plain, n_events=frames)
    return data["mean"].values.astype(np.float32), prepared(source.detector(), plain), list(problems_of(data))


def _geometry(setup: Setup, detector: Any, other: Geometry | None) -> Geometry:
    """Return what is known before: of the file of pyFAI, of the setup, of the run."""
    known = other or setup.geometry or Geometry(x=0, y=0)
    size = tuple(float(one) for one in detector.pixel_size)
    facts: dict[str, Any] = {"distance": detector.distance, "energy": detector.energy}
    facts["pixel_size"] = size if np.isfinite(size).all() else None
    return known.with_(**{name: one for name, one in facts.items() if getattr(known, name) is None and one is not None})


def _tell(found: Centre, geometry: Geometry, refined: Refined | None, *, as_json: bool) -> None:
    if as_json:
        facts = found.to_dict() | {"geometry": geometry.model_dump()}
        if refined is not None:
            facts |= {"errors": refined.errors, "calibrant_residual": refined.residual, "n_points": len(refined.points)}
        click.echo(json.dumps(_plain(facts)))
        return
    click.echo(f"x {found.x:.3f}  y {found.y:.3f}  error {found.error:.3f} px  ({found.method})")
    if len(found.radii):
        click.echo(f"rings at {', '.join(f'{radius:.1f}' for radius in found.radii[:20])} px")
    if refined is not None:
        for name, error in refined.errors.items():
            click.echo(f"{name} {getattr(geometry, name):.6g} +- {error:.2g}")
        click.echo(f"{len(refined.points)} points, {refined.residual:.3f} px from their rings")


def _plain(value: Any) -> Any:
    """Return what JSON knows: not-a-number is none."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
