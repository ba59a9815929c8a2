"""`detcore showers run|plot|compare`: numbers, tables and pictures of whole files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detcore.core.console import FAILED, console, explained, ledger, steps, watch
from detcore.core.parameters import options
from detcore.core.run import problems_of
from detcore.showers import products
from detcore.showers.analysis import linearity
from detcore.showers.api import PARTS, open_files, reduction
from detcore.showers.compare import compare as distances
from detcore.showers.detector import find_geometry, geometry_names
from detcore.showers.steps import Cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

    from detcore.core.source import Problem

RESULT = ".nc"


def _geometry(_: Any, __: Any, value: str) -> str:
    try:
        find_geometry(value or "ILD")
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error)) from None
    return value


def _reads(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that reduces showers."""
    for option in (
        click.option("--processes", type=click.IntRange(1, 256), help="Cores to work on; by default all of them."),
        click.option(
            "--geometry",
            default="",
            callback=_geometry,
            help=f"{', '.join(geometry_names())}, or a YAML file; by default the one that a file was clustered for.",
        ),
        click.option(
            "--output", default=".", show_default=True, type=click.Path(file_okay=False), help="Folder for the results."
        ),
    ):
        function = option(function)
    return options(Cuts)(function)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--name", help="How the files of results begin; by default the name of the first input.")
@click.option("--no-png", is_flag=True, help="No picture.")
@_reads
@explained
def run(
    paths: tuple[str, ...],
    name: str | None,
    no_png: bool,
    output: str,
    geometry: str,
    processes: int | None,
    parameters: Cuts,
) -> None:
    """Compute observables, profiles, spectra and maps of all showers of PATHS, and write tables and a picture."""
    data, problems = _reduced(paths, geometry, parameters, processes)
    only = [suffix for suffix in products.SUFFIXES if not (no_png and suffix == ".png")]
    with steps("writing") as progress:
        written, failed = products.write_all(data, output, name or paths[0], only=only, progress=progress)
    _tell(data)
    for place in written:
        click.echo(f"wrote {place}")
    _finish([data], [*problems, *failed])


@click.command()
@click.argument("path", type=click.Path(exists=True))
@_reads
@explained
def plot(path: str, output: str, geometry: str, processes: int | None, parameters: Cuts) -> None:
    """Draw PATH, a shower file or a result (.nc) of `run`, as a PNG."""
    data, problems = _result(path, geometry, parameters, processes)
    written, failed = products.write_all(data, output, path, only=[".png"])
    for place in written:
        click.echo(f"wrote {place}")
    _finish([data], [*problems, *failed])


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="REFERENCE OTHER...")
@click.option(
    "--bootstrap", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Samples for the errors."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of these samples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables; write no file.")
@_reads
@explained
def compare(
    paths: tuple[str, ...], bootstrap: int, seed: int, as_json: bool, output: str, geometry: str,
    processes: int | None, parameters: Cuts,
) -> None:  # fmt: skip
    """Compare files, or results (.nc) of `run`, with the first one: distances of each observable, with errors.

    w1: Wasserstein-1. ks: Kolmogorov-Smirnov. separation: separation power. kl: Kullback-Leibler on quantiles.
    """
    if len(paths) < 2:
        msg = "expected a reference and at least one more file to compare with it"
        raise click.UsageError(msg)
    results: dict[str, xr.Dataset] = {}
    problems: list[Problem] = []
    for path, name in zip(paths, _names(paths), strict=True):
        results[name], found = _result(path, geometry, parameters, processes)
        problems += found
    (first, reference), *others = results.items()
    tables = {}
    with steps("comparing") as progress:
        for number, (name, data) in enumerate(others):
            progress(number, len(others), name)
            tables[name] = distances(reference, data, n_bootstrap=bootstrap, seed=seed)
    if as_json:
        content = {name: json.loads(table.to_json(orient="split")) for name, table in tables.items()}
        click.echo(json.dumps({"reference": first, "files": content, "problems": list(map(str, problems))}, indent=1))
    else:
        whole = pd.concat([table.reset_index().assign(file=name) for name, table in tables.items()], ignore_index=True)
        with steps("writing") as progress:
            written, failed = products.write_comparison(results, whole, output, progress=progress)
        problems += failed
        for name, table in tables.items():
            _print(table.reset_index(), f"{name} against {first}")
        for place in written:
            click.echo(f"wrote {place}")
    _finish(list(results.values()), problems, quiet=as_json)


def _names(paths: Sequence[str]) -> list[str]:
    """Return the last parts of paths; whole paths where these are not enough, numbers where a path is given twice."""
    short = [products.stem_of(path) for path in paths]
    if len(set(short)) < len(short):
        short = list(paths)
    return [name if short.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(short, 1)]


def _reduced(
    paths: Sequence[str], geometry: str, cuts: Cuts, processes: int | None
) -> tuple[xr.Dataset, list[Problem]]:
    source = open_files(paths, geometry)
    snapshot = watch(
        source, lambda schema: reduction(cuts, schema, parts=PARTS), threads=processes, words=Path(paths[0]).name
    )
    if "n_showers" not in snapshot.data:
        msg = "stopped before any shower was read; nothing is written"
        raise click.ClickException(msg)
    return snapshot.labelled(), list(snapshot.problems)


def _result(path: str, geometry: str, cuts: Cuts, processes: int | None) -> tuple[xr.Dataset, list[Problem]]:
    """Return an earlier result, or that of a file that is read now."""
    if not path.endswith(RESULT):
        return _reduced((path,), geometry, cuts, processes)
    if cuts.changed() or geometry:
        msg = f"{path} is a result: cuts and geometry are chosen when it is made, with 'detcore showers run'"
        raise click.UsageError(msg)
    data = products.read_result(path)
    return data, problems_of(data)


def _tell(data: xr.Dataset) -> None:
    shown, read = int(data["n_showers"]), int(data["n_read"])
    words = f"{shown:,} showers" if shown == read else f"{shown:,} of {read:,} showers"
    click.echo(f"{words}, {int(data['n_points']):,} points; {data.attrs['geometry']}, {data.attrs['cut']}")
    if int(data["n_empty"]):
        click.echo(f"{int(data['n_empty']):,} showers have no point")
    if shown:
        _print(linearity(data), "Response by incident energy")


def _print(frame: pd.DataFrame, title: str) -> None:
    if frame.empty:
        return
    shown = Table(title=escape(title), title_justify="left")
    names = [str(name) for name in frame.columns if not str(name).endswith("_error")]
    for name in names:
        kind = "right" if pd.api.types.is_numeric_dtype(frame[name]) else "left"
        shown.add_column(name.replace("_", " "), justify=kind)  # type: ignore[arg-type]
    for _, row in frame.iterrows():
        shown.add_row(*(_cell(row[name], row.get(f"{name}_error")) for name in names))
    Console(highlight=False).print(shown)


def _cell(value: Any, error: Any) -> str:
    """Return a value with its error as people write it."""
    if not isinstance(value, float):
        return escape(str(value))
    return f"{value:.4g}" if error is None or error != error else f"{value:.3g} ±{error:.1g}"  # noqa: PLR0124 - nan


def _finish(results: list[xr.Dataset], problems: list[Problem], *, quiet: bool = False) -> None:
    lines = 0 if quiet else ledger(problems)
    if any(data.attrs.get("status") == "partial" for data in results):
        console.print("partial: the reading was stopped early", style="bold yellow")
        lines += 1
    if lines or problems:
        sys.exit(FAILED)
