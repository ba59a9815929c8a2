"""`detcore dl1 parameters|stereo|muons|images|run`: numbers, tables and mapped images of whole files."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detcore.core.console import FAILED, console, explained, ledger, steps, watch
from detcore.core.parameters import options
from detcore.core.run import EmptyInput
from detcore.core.source import Problem
from detcore.dl1 import products
from detcore.dl1.analysis import event_table, statistics_flags, stereo_events, summary
from detcore.dl1.api import PARTS, open_files, reduction
from detcore.dl1.images.weights import MAPPING_METHODS
from detcore.dl1.muontable import RINGS, muon_table
from detcore.dl1.source import cameras
from detcore.dl1.steps import Cuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from detcore.dl1.mappedfile import Channel

TABLES = (".csv", ".h5")
_paths = click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
_cameras = click.option(
    "--camera", "chosen", multiple=True, metavar="NAME", help="Only this camera type; repeat it for more."
)
_processes = click.option("--processes", type=click.IntRange(1, 256), help="Cores to work on; by default all of them.")


def _suffix(_: Any, __: Any, value: str) -> str:
    if not value.endswith(TABLES):
        msg = f"expected a name that ends in {' or '.join(TABLES)}, found {Path(value).name!r:.100}"
        raise click.BadParameter(msg)
    return value


_table = click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False),
    callback=_suffix,
    help="The table: .csv, or .h5 for HDF5.",
)


@click.command()
@_paths
@_cameras
@_processes
@_table
@options(Cuts)
@explained
def parameters(
    paths: tuple[str, ...], chosen: tuple[str, ...], processes: int | None, output: str, parameters: Cuts
) -> None:
    """Clean the images of PATHS and write their parameters, a row for each image that passes the cuts."""
    parts: list[pd.DataFrame] = []
    names, problems = _found(paths, chosen, parameters)
    for camera in names:
        data, told = _reduced(paths, camera, parameters, processes, ("table",))
        problems += told
        if data is not None:
            part = event_table(data)
            part.insert(0, "camera", camera)
            parts.append(part)
    _write(_joined(parts), output, problems, "images")


@click.command()
@_paths
@_table
@options(Cuts)
@explained
def stereo(paths: tuple[str, ...], output: str, parameters: Cuts) -> None:
    """Find direction and impact point of the events of PATHS with two images or more that pass the cuts."""
    with steps("reading") as progress:
        table = stereo_events(paths, parameters, progress=progress)
    _write(table, output, _problems(table), "events")
    errors = [name for name in ("direction_error", "core_error") if name in table and len(table)]
    for name, unit in zip(errors, ("deg", "m"), strict=False):
        half, most = (float(table[name].quantile(part)) for part in (0.5, 0.68))
        click.echo(f"{name.replace('_', ' ')}: half below {half:.3g} {unit}, 68 % below {most:.3g} {unit}")


@click.command()
@_paths
@_table
@click.option(
    "--completeness", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="At least so much of a ring."
)
@click.option("--radius-min", type=click.FloatRange(0), default=0.5, show_default=True, help="deg.")
@click.option("--radius-max", type=click.FloatRange(0), default=1.5, show_default=True, help="deg.")
@options(Cuts)
@explained
def muons(
    paths: tuple[str, ...], output: str, completeness: float, radius_min: float, radius_max: float, parameters: Cuts
) -> None:
    """Fit rings to the images of PATHS and write those that are rings.

    Without cuts, images of 40 pixels or more are looked at.
    """
    with steps("reading") as progress:
        table = muon_table(paths, parameters if parameters.changed() else RINGS, progress=progress)
    if len(table):
        round_ones = table["muonring_radius"].between(radius_min, radius_max)
        facts = table.attrs
        table = table[round_ones & (table["muonparameters_completeness"] >= completeness)].reset_index(drop=True)
        table.attrs = facts
    _write(table, output, _problems(table), "rings")


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False), metavar="FILE")
@click.option(
    "--mapping",
    type=click.Choice(MAPPING_METHODS),
    default="oversampling",
    show_default=True,
    help="How pixels become cells; image_shifting and axial_addressing are for hexagons.",
)
@click.option("--output", required=True, type=click.Path(dir_okay=False), help="The images, HDF5.")
@_cameras
@click.option("--size", type=click.IntRange(1), help="Cells on a side, of the interpolating methods; default: as fits.")
@click.option("--padding", type=click.IntRange(0), default=0, show_default=True, help="Empty cells on each side.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice(["image", "peak_time", "image_mask"]),
    default=("image", "peak_time"),
    show_default=True,
    help="What the pictures show; repeat it for more.",
)
@click.option("--cleaned", is_flag=True, help="Pixels that do not survive the cleaning are 0.")
@options(Cuts)
@explained
def images(
    path: str,
    mapping: str,
    output: str,
    chosen: tuple[str, ...],
    size: int | None,
    padding: int,
    channels: tuple[Channel, ...],
    cleaned: bool,
    parameters: Cuts,
) -> None:
    """Write the images of FILE as square pictures for machine learning (HDF5), with what was simulated."""
    names, problems = _found((path,), chosen, parameters)
    with steps("mapping") as progress:
        written, told = products.write_images(
            path,
            mapping,
            output,
            cameras=names,
            size=size,
            padding=padding,
            channels=channels,
            cuts=parameters if parameters.changed() else None,
            cleaned=cleaned,
            progress=progress,
        )
    for name, (n, rows, columns, depth) in written.items():
        click.echo(f"{name}: {n:,} images of {rows} x {columns} x {depth}, {mapping}")
    click.echo(f"wrote {output}")
    _finish([*problems, *told])


@click.command()
@_paths
@_cameras
@_processes
@click.option("--name", help="How the files of results begin; by default the name of the first input.")
@click.option("--no-png", is_flag=True, help="No pictures.")
@click.option(
    "--output", default=".", show_default=True, type=click.Path(file_okay=False), help="Folder for the results."
)
@options(Cuts)
@explained
def run(
    paths: tuple[str, ...],
    chosen: tuple[str, ...],
    processes: int | None,
    name: str | None,
    no_png: bool,
    output: str,
    parameters: Cuts,
) -> None:
    """Find parameters, statistics of pixels and distributions of the images of PATHS, for each camera type.

    Writes tables, masks of dead and noisy pixels, and a picture.
    """
    names, problems = _found(paths, chosen, parameters)
    only = [suffix for suffix in products.SUFFIXES if not (no_png and suffix == ".png")]
    partial = False
    for camera in names:
        data, told = _reduced(paths, camera, parameters, processes, PARTS)
        problems += told
        if data is None:
            continue
        stem = f"{products.stem_of(name or paths[0])}_{camera}"
        with steps("writing") as progress:
            written, failed = products.write_all(data, output, stem, only=only, progress=progress)
        problems += failed
        _print(summary(data), f"{camera}: {data.attrs['cut']}")
        _print_pixels(data)
        for place in written:
            click.echo(f"wrote {place}")
        partial |= data.attrs.get("status") == "partial"
    if partial:
        console.print("partial: the reading was stopped early", style="bold yellow")
    _finish(problems, partial)


def _found(paths: Sequence[str], chosen: Sequence[str], cuts: Cuts) -> tuple[list[str], list[Problem]]:
    """Return the camera types of files, those with most images first, and files that cannot be read.

    Raises
    ------
    click.UsageError
        A camera that was asked for is in none of them.
    """
    images: Counter[str] = Counter()
    problems = []
    files = open_files(paths).files()
    for path in files:
        try:
            images.update(cameras(path, cuts.telescopes))
        except (OSError, ValueError) as error:
            problems.append(Problem.of(path, error))
    if not images:
        if not problems:
            problems = [Problem(path, "holds no images of these telescopes") for path in files]
        msg = "no images were found"
        raise EmptyInput(msg, tuple(problems))
    missing = [one for one in chosen if one not in images]
    if missing:
        msg = f"no camera {missing[0]!r:.60}; there are {', '.join(images)}"
        raise click.UsageError(msg)
    return list(chosen) or [name for name, _ in images.most_common()], problems


def _reduced(
    paths: Sequence[str], camera: str, cuts: Cuts, processes: int | None, parts: Sequence[str]
) -> tuple[xr.Dataset | None, list[Problem]]:
    """Return what is found of the images of a camera; None if there are none."""
    source = open_files(paths, camera)
    try:
        snapshot = watch(
            source,
            lambda schema: reduction(cuts, schema, parts=parts),
            threads=processes,
            words=f"{Path(paths[0]).name}: {camera}",
        )
    except EmptyInput as error:
        return None, list(error.problems)
    if "n_read" not in snapshot.data:
        msg = "stopped before any image was read; nothing is written"
        raise click.ClickException(msg)
    # a file has all cameras or some: those that it has not are no problem
    return snapshot.labelled(), [one for one in snapshot.problems if not one.reason.startswith("no images of ")]


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    table.attrs["units"] = {name: unit for part in parts for name, unit in part.attrs.get("units", {}).items()}
    return table


def _problems(table: pd.DataFrame) -> list[Problem]:
    return [
        Problem(*text.split(": ", 1)) if ": " in text else Problem("", text) for text in table.attrs.get("problems", ())
    ]


def _write(table: pd.DataFrame, output: str, problems: list[Problem], what: str) -> None:
    products.write_parameters(table, output)
    click.echo(f"wrote {len(table):,} {what}, {len(table.columns)} columns, to {output}")
    if problems:
        _finish(problems)


def _print(rows: Sequence[tuple[str, Any, str]], title: str) -> None:
    click.echo(title)
    shown = Table(show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    shown.add_column()
    for label, value, unit in rows:
        text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        shown.add_row(escape(label), escape(text), escape(unit))
    Console(highlight=False).print(shown)


def _print_pixels(data: xr.Dataset) -> None:
    """Name the pixels that are out of order, by telescope."""
    flags = statistics_flags(data)
    for row, tel_id in enumerate(flags["telescope"].values.tolist()):
        for kind in ("dead", "noisy"):
            pixels = flags[kind].values[row].nonzero()[0].tolist()
            if pixels:
                more = ", …" if len(pixels) > 20 else ""
                click.echo(f"telescope {tel_id}: {len(pixels)} {kind}: {', '.join(map(str, pixels[:20]))}{more}")


def _finish(problems: Sequence[Problem], partial: bool = False) -> None:
    if ledger(problems) or partial:
        sys.exit(FAILED)
