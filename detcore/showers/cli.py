"""`detcore showers …`: the commands of the original with its options, and those that it does not have."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from detcore.core.console import FAILED, console, explained, ledger, steps
from detcore.showers import importers, observables
from detcore.showers.binning import BINNINGS, Binning
from detcore.showers.cli_analysis import compare, plot, run
from detcore.showers.cluster_module import cluster as cluster_showers
from detcore.showers.cluster_module import fresh_seed
from detcore.showers.contents import facts, printed
from detcore.showers.detector import DetectorGeometry, find_geometry, geometry_names, get_test_geometry
from detcore.showers.filter import filter_showers, get_detector_thresholds
from detcore.showers.rewrite import rewrite
from detcore.showers.shift_showers import shift as shift_layers
from detcore.showers.shuffle import shuffle_files
from detcore.showers.source import read_header

if TYPE_CHECKING:
    from detcore.showers.ragged import Ragged

_INPUT = click.Path(exists=True, dir_okay=False)
_OUTPUT = click.Path(dir_okay=False)


class _Geometry(click.ParamType[Any]):
    name = "NAME|FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> DetectorGeometry:
        if isinstance(value, DetectorGeometry):
            return value
        try:
            return find_geometry(value)
        except (ValueError, OSError) as error:
            self.fail(str(error), param, ctx)


class _Place(click.ParamType[Any]):
    name = "X,Y"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            x, y = map(float, value.split(","))
        except ValueError:
            self.fail(f"expected two numbers, for instance 0,40; found {value!r:.60}", param, ctx)
        if not (math.isfinite(x) and math.isfinite(y)):
            self.fail(f"expected finite numbers; found {value!r:.60}", param, ctx)
        return x, y


class _Limit(click.FloatRange):
    """A number that is not nan, which passes every comparison of a range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"expected a number; found {value!r:.60}", param, ctx)
        return float(found)


_batch = click.option(
    "--batch-size", type=click.IntRange(1), default=1000, show_default=True, help="Showers in memory at once."
)
_processes = click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Cores to work on; results are the same.",
)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace the output file if it exists.")
_replaces = click.option(
    "--overwrite/--no-overwrite", default=True, show_default=True, help="Replace the output file if it exists."
)
_geometry = click.option(
    "--geometry",
    type=_Geometry(),
    default="ILD",
    show_default=True,
    help=f"{', '.join(geometry_names())}, or a YAML file.",
)


@click.group()
def showers() -> None:
    """Showers of particles in calorimeters, as point clouds (HDF5)."""


@showers.command()
@click.argument("files", nargs=-1, required=True, type=_INPUT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@explained
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Say what FILES hold: showers, points, incident particles, targets, observables, attributes."""
    found, problems = [], []
    for file in files:
        try:
            found.append(facts(file))
        except (OSError, ValueError, KeyError) as error:
            words = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
            problems.append(words if file in words else f"{file}: {words}")
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        click.echo("\n\n".join(map(printed, found)))
    if ledger(problems):  # type: ignore[arg-type]  # prints whatever has a text
        sys.exit(FAILED)


@showers.command()
@click.argument("inputs", nargs=-1, required=True, type=_INPUT, metavar="INPUT...")
@click.argument("output", type=_OUTPUT)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Equal seeds give equal orders; by default a new one.")
@_overwrite
@click.option("--test", type=click.IntRange(1), metavar="N", help="Take only the first N showers of each file.")
@_batch
@click.option("--overwrite-ids", is_flag=True, help="Number the showers anew, so that numbers occur once.")
@explained
def shuffle(
    inputs: tuple[str, ...], output: str, seed: int | None, overwrite: bool, test: int | None, batch_size: int,
    overwrite_ids: bool,
) -> None:  # fmt: skip
    """Put the showers of all INPUT files into OUTPUT in random order.

    The order is that of the original for the same --seed and --batch-size.
    """
    with steps("shuffling") as progress:
        shape = shuffle_files(
            inputs, output, seed=seed, overwrite=overwrite, first=test, batch_size=batch_size,
            overwrite_ids=overwrite_ids, progress=progress,
        )  # fmt: skip
    click.echo(f"wrote {shape[0]:,} showers of {len(inputs)} files to {output}")


@showers.command("add-observables")
@click.argument("file", type=_INPUT)
@click.option(
    "-b", "--batch-size", type=click.IntRange(1), default=4096, show_default=True, help="Showers in memory at once."
)
@click.option(
    "-l", "--num-layers", type=click.IntRange(0, 10_000), default=0, help="Layers; by default those of the geometry."
)
@click.option("-t", "--threshold", type=_Limit(0), help="Energy, MeV, that a hit must exceed to count.")
@click.option(
    "--geometry", type=_Geometry(), help="Name or YAML file; by default the one that the file was clustered for."
)
@click.option("--overwrite", is_flag=True, help="Replace observables that the file has.")
@explained
def add_observables(
    file: str,
    batch_size: int,
    num_layers: int,
    threshold: float | None,
    geometry: DetectorGeometry | None,
    overwrite: bool,
) -> None:
    """Compute the observables of every shower and add them to FILE, in its group `observables`."""
    if num_layers and geometry is not None:
        msg = "--num-layers and --geometry exclude each other"
        raise click.UsageError(msg)
    read_header(file)  # says which file is none, and why
    if num_layers:
        geometry = get_test_geometry(num_layers, threshold or 0.0)
    elif threshold is not None:
        geometry = geometry or observables.geometry_of_file(file)
        geometry = replace(geometry, ecal_threshold=threshold, hcal_threshold=threshold)
    with steps("observables") as progress:
        observables.add_observables_to_file(
            file, batch_size=batch_size, overwrite=overwrite, detector_config=geometry, progress=progress
        )
    click.echo(f"added observables to {file}")


@showers.command()
@click.argument("source", type=_INPUT, metavar="INPUT")
@click.argument("output", type=_OUTPUT)
@click.option("-i", "--inverse", is_flag=True, help="Undo a shift.")
@_geometry
@_batch
@_replaces
@explained
def shift(
    source: str, output: str, inverse: bool, geometry: DetectorGeometry, batch_size: int, overwrite: bool
) -> None:
    """Shift the layers of slanted showers so that they stand upright, as if they came straight in."""

    def change(part: Ragged, _: int) -> Ragged:
        return shift_layers(part, geometry, inverse)

    with steps("shifting") as progress:
        shape = rewrite(source, output, change, overwrite=overwrite, batch_size=batch_size, progress=progress)
    click.echo(f"wrote {shape[0]:,} showers to {output}")


@showers.command()
@click.argument("source", type=_INPUT, metavar="INPUT")
@click.argument("output", type=_OUTPUT)
@click.option("--no-random-shift", is_flag=True, help="Keep the grid of cells where it is.")
@click.option("--seed", type=click.IntRange(0), help="Of the random shifts; by default a new one.")
@_geometry
@click.option(
    "--batch-size", type=click.IntRange(1), default=10_000, show_default=True, help="Showers in memory at once."
)
@_processes
@_replaces
@explained
def cluster(
    source: str, output: str, no_random_shift: bool, seed: int | None, geometry: DetectorGeometry, batch_size: int,
    processes: int, overwrite: bool,
) -> None:  # fmt: skip
    """Add up the points that fall into the same readout cell."""
    chosen = fresh_seed() if seed is None else seed

    def change(part: Ragged, start: int) -> Ragged:
        return cluster_showers(
            part,
            random_shift=not no_random_shift,
            detector_config=geometry,
            processes=processes,
            seed=chosen,
            first_shower=start,
        )

    with steps("clustering") as progress:
        shape = rewrite(
            source, output, change, attributes={"clustered_for": geometry.name}, overwrite=overwrite,
            batch_size=batch_size, progress=progress,
        )  # fmt: skip
    click.echo(f"wrote {shape[0]:,} showers to {output}")


@showers.command("filter")
@click.argument("source", type=_INPUT, metavar="INPUT")
@click.argument("output", type=_OUTPUT)
@click.option(
    "-r",
    "--radius",
    type=_Limit(0, min_open=True),
    default=math.inf,
    help="mm; points further from the axis are dropped.",
)
@click.option(
    "--ecal-threshold", type=_Limit(0), default=0.0, show_default=True, help="MeV; weaker hits in the ECAL are dropped."
)
@click.option(
    "--hcal-threshold", type=_Limit(0), default=0.0, show_default=True, help="MeV; weaker hits in the HCAL are dropped."
)
@click.option(
    "-d",
    "--use-detector-thresholds",
    is_flag=True,
    help="Take the thresholds of the detector that the file is made for.",
)
@_overwrite
@_batch
@explained
def filter_(
    source: str, output: str, radius: float, ecal_threshold: float, hcal_threshold: float, use_detector_thresholds: bool,
    overwrite: bool, batch_size: int,
) -> None:  # fmt: skip
    """Drop points that are far from the axis or weak."""
    ecal, hcal, layers = ecal_threshold / 1e3, hcal_threshold / 1e3, 30
    if use_detector_thresholds:
        if ecal or hcal:
            msg = "--use-detector-thresholds and thresholds of your own exclude each other"
            raise click.UsageError(msg)
        ecal, hcal, layers = get_detector_thresholds(source)

    def change(part: Ragged, _: int) -> Ragged:
        return filter_showers(part, radius, ecal, hcal, layers)

    with steps("filtering") as progress:
        shape = rewrite(source, output, change, overwrite=overwrite, batch_size=batch_size, progress=progress)
    click.echo(
        f"wrote {shape[0]:,} showers to {output}: radius < {radius:g} mm, ECAL >= {ecal * 1e3:g} MeV, HCAL >= {hcal * 1e3:g} MeV"
    )


@showers.command("import")
@click.argument("source", type=_INPUT, metavar="INPUT")
@click.argument("output", type=_OUTPUT)
@click.option("--layout", type=click.Choice(importers.LAYOUTS), required=True, help="What INPUT is; never guessed.")
@click.option("--energy-unit", type=click.Choice(["MeV", "GeV"]), help="Of the points; needed for caloclouds.")
@click.option("--pdg", type=click.IntRange(-(2**31), 2**31 - 1), help="Incident particle; needed for caloclouds.")
@click.option(
    "--depth",
    type=click.Choice(["layer", "mm"]),
    default="layer",
    show_default=True,
    help="Second column of caloclouds.",
)
@click.option(
    "--origin", type=_Place(), default=(0.0, 0.0), help="Where the particles enter, mm, subtracted from the points."
)
@click.option("--binning", help=f"Of calochallenge: {', '.join(BINNINGS)}, or its XML file.")
@_geometry
@_batch
@_overwrite
@explained
def import_(
    source: str, output: str, layout: Any, energy_unit: Any, pdg: int | None, depth: Any, origin: tuple[float, float],
    binning: str | None, geometry: DetectorGeometry, batch_size: int, overwrite: bool,
) -> None:  # fmt: skip
    """Write INPUT, a file of another public layout, as shower file OUTPUT.

    caloclouds (also CaloHadronic): dense [x, depth, z, energy]. multi-calorimeter: dense [x, y, layer, time, energy].
    calochallenge: flattened voxels, MeV.
    """
    if layout == "caloclouds" and (energy_unit is None or pdg is None):
        msg = "layout caloclouds needs --energy-unit (MeV or GeV, of the points) and --pdg (22 for photons): the file does not say"
        raise click.UsageError(msg)
    if layout == "calochallenge" and binning is None:
        msg = f"layout calochallenge needs --binning ({', '.join(BINNINGS)}, or the data set's XML file)"
        raise click.UsageError(msg)
    rules = importers.Rules(
        layout, energy_unit=energy_unit, pdg=pdg, depth=depth, origin=origin,
        binning=Binning.read(binning) if binning is not None else None, geometry=geometry,
    )  # fmt: skip
    with steps("importing") as progress:
        n, width, columns = importers.import_file(
            source, output, rules, overwrite=overwrite, batch_size=batch_size, progress=progress
        )
    click.echo(f"wrote {n:,} showers of at most {width:,} points, {columns} columns, to {output}")
    if not width:
        console.print("no point has energy: is it the right layout and energy unit?", style="yellow")


for command in (run, plot, compare):
    showers.add_command(command)
