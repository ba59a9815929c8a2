"""`detcore eiger …`: what the three old scripts did, from the same settings file or without one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detcore.core.console import FAILED, console, explained, ledger, steps, watch
from detcore.core.parameters import InvalidParameters, options
from detcore.core.run import problems_of
from detcore.core.source import Problem
from detcore.eiger import analysis, products, spectra
from detcore.eiger.api import WHOLE_FRAME, open_files, reduction
from detcore.eiger.compare import compare, correlate
from detcore.eiger.config import EXAMPLE, Config
from detcore.eiger.detrend import checked
from detcore.eiger.reductions import Limits, NamedRegion
from detcore.eiger.setupfile import Setup

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

SETTINGS = "config.yaml"
SUMS = (".pickle", ".nc")
TABLES = (".csv", ".statistics.csv")
_FILE = click.Path(exists=True, dir_okay=False)


class Wanted(NamedTuple):
    """What the options of a command that reads frames say."""

    limits: Limits
    frames: tuple[int, int, int] | None
    regions: tuple[NamedRegion, ...]
    threads: int | None
    dataset: str | None
    channel: int
    centre: bool
    mean_image: bool


@click.group()
def eiger() -> None:
    """Intensity statistics of Eiger series (HDF5)."""


class _Frames(click.ParamType[Any]):
    name = "A:B:STEP"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(":")
        try:
            numbers = [int(part) if part.strip() else None for part in parts]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3 or (len(numbers) == 1 and numbers[0] is None):
            self.fail(f"expected A:B:STEP, for instance 1:1000 or 1::10; found {value!r:.60}", param, ctx)
        first = numbers[0] if numbers[0] is not None else 1
        last = first if len(numbers) == 1 else numbers[1] or 0
        step = numbers[2] if len(numbers) == 3 and numbers[2] is not None else 1
        if first < 0 or last < 0 or step < 1 or (last and first > last):
            self.fail(f"expected 1 <= A <= B and STEP >= 1, B empty for the last; found {value!r:.60}", param, ctx)
        return max(first, 1), last, step


class _Detrend(click.ParamType[Any]):
    name = "METHOD"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            checked(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


_detrend = click.option(
    "--detrend",
    "method",
    type=_Detrend(),
    default="linear",
    show_default=True,
    help="none, linear, polynomial:ORDER or highpass:HZ.",
)
_output = click.option("--output", type=click.Path(file_okay=False), help="Folder for the results.")


def _reads(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that reads frames; the command gets them as `wanted`."""

    def command(
        *args: Any, frames: tuple[int, int, int] | None, regions: str | None, threads: int | None, dataset: str | None,
        channel: int, centre: bool, mean_image: bool, parameters: Limits, **values: Any,
    ) -> Any:  # fmt: skip
        given = click.get_current_context().params
        named = {name: getattr(parameters, name) for name in Limits.model_fields if given.get(name) is not None}
        setup = explained(Setup.read)(regions) if regions else Setup()
        base = {name: getattr(setup, name) for name in Limits.model_fields} if regions else {}
        try:
            limits = Limits.checked(base | named)
        except InvalidParameters as error:
            raise click.BadParameter(str(error)) from None
        wanted = Wanted(limits, frames, setup.regions, threads, dataset, channel, centre, mean_image)
        return function(*args, wanted=wanted, given=base | named, **values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    for option in (
        click.option("--mean-image", is_flag=True, help="Also the mean image, in the .nc file."),
        click.option("--centre", is_flag=True, help="Also the centre of mass of each frame."),
        click.option("--channel", type=click.IntRange(0), default=0, help="Of a detector with several thresholds."),
        click.option("--dataset", help="Path of the frames in the file; by default they are looked for."),
        click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core."),
        click.option("--regions", type=_FILE, help="YAML file with regions and limits, as the dashboard saves it."),
        click.option("--frames", type=_Frames(), help="First and last frame, from 1 and included, and the step."),
    ):
        command = option(command)
    return options(Limits)(command)


@eiger.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--png", is_flag=True, help="Also a picture.")
@_detrend
@_output
@_reads
@explained
def run(
    paths: tuple[str, ...], png: bool, method: str, output: str | None, wanted: Wanted, given: dict[str, Any]
) -> None:
    """Sum the frames of a series, describe and plot the sums.

    PATHS is a settings file (config.yaml by default), or master or data files. Options win over the settings.
    """
    config, inputs = _settings(paths)
    if config.sys_settings.albula_path:
        click.echo("sys_settings.albula_path is not used: the files are read without ALBULA")
    host, port = config.redis_address() if config.out.redis else ("", 0)
    limits = Limits.checked({"low": config.filter.low, "high": config.filter.high} | given)
    frames, threads = wanted.frames or config.input.frames, wanted.threads or config.sys_settings.threads
    if frames and wanted.frames is None:
        _check_start(config, inputs, wanted)
    data, problems = _reduced(inputs, wanted._replace(limits=limits, frames=frames, threads=threads))
    only = [*(SUMS if config.out.file else ()), *((*TABLES, ".html") if config.out.plot else ())]
    problems += _written(data, output or config.out.path, inputs[0], [*only, *([".png"] if png else [])], method)
    if config.out.redis:
        key = f"{config.out.prefix}:{config.input.master}"
        problems += _published(data, key, host, port, config.out.expire)
    _tell(data, method)
    _finish(data, problems)


@eiger.command("sum")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@_output
@_reads
@explained
def sum_(paths: tuple[str, ...], output: str | None, wanted: Wanted, given: dict[str, Any]) -> None:  # noqa: ARG001
    """Sum the frames of PATHS, master or data files, and write the sums (.pickle and .nc)."""
    data, problems = _reduced(paths, wanted)
    problems += _written(data, output or ".", paths[0], SUMS, "linear")
    counted = data["n_valid"].sel(region="frame") if "region" in data.dims else data["n_valid"]
    click.echo(f"{data.sizes['frame']:,} frames, {int(counted.sum()):,} pixels")
    _finish(data, problems)


@eiger.command()
@click.argument("path", type=click.Path(exists=True))
@click.option("--region", help="Of several: whose numbers; by default the whole frame.")
@click.option("--reference", type=click.Path(exists=True), help="Compare with this series or result.")
@click.option("--beam-current", type=_FILE, help="CSV with a column 'frame' or 'time' (s), and the current.")
@click.option("--column", help="Name of the column with the current.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables; write no file.")
@_detrend
@_output
@_reads
@explained
def stats(
    path: str, region: str | None, reference: str | None, beam_current: str | None, column: str | None, as_json: bool,
    method: str, output: str | None, wanted: Wanted, given: dict[str, Any],
) -> None:  # fmt: skip
    """Describe the sums of PATH: a result (.nc) of `sum`, or a master or data file."""
    data, problems = _sums(path, wanted, given)
    other = _sums(reference, wanted, {})[0] if reference else None
    beam = correlate(data, beam_current, column, region=region) if beam_current else None
    if as_json:
        tables = _tables(data, method, region)
        content = {name: json.loads(table.to_json(orient="split")) for name, table in tables.items()}
        if other is not None:
            content["comparison"] = json.loads(
                compare(data, other, method, region=region).table.to_json(orient="split")
            )
        if beam is not None:
            content["beam_current"] = {name: _plain(value) for name, value in beam.attrs.items()}
        click.echo(json.dumps(content | {"problems": [str(problem) for problem in problems]}, indent=1))
    else:
        problems += _written(data, _folder(output, path), path, TABLES, method)
        _tell(data, method, region)
        if other is not None:
            _print(compare(data, other, method, region=region).table.reset_index(), f"Compared with {reference}")
        if beam is not None:
            facts = beam.attrs
            click.echo(
                f"beam current ({facts['column']}): Pearson {facts['pearson']:.4f} (p {facts['p_value']:.2g}); "
                f"CV {facts['cv']:.4g} %, {facts['cv_corrected']:.4g} % after dividing by it; "
                f"{facts['n_outside']} frames are outside of the table"
            )
    _finish(data, problems, quiet=as_json)


@eiger.command()
@click.argument("path", type=click.Path(exists=True))
@click.option("--png", is_flag=True, help="Also a picture.")
@_detrend
@_output
@_reads
@explained
def plot(path: str, png: bool, method: str, output: str | None, wanted: Wanted, given: dict[str, Any]) -> None:
    """Draw the sums of PATH, a result (.nc) of `sum` or a master or data file, as a page that works offline."""
    data, problems = _sums(path, wanted, given)
    problems += _written(data, _folder(output, path), path, [".html", *([".png"] if png else [])], method)
    _finish(data, problems)


def _settings(paths: tuple[str, ...]) -> tuple[Config, tuple[str, ...]]:
    """Return the settings, and the files to be read."""
    if not paths and not Path(SETTINGS).is_file():
        msg = (
            f"there is no {SETTINGS} here. Name a settings file or a master file (detcore eiger run series_master.h5), "
            f"or write {SETTINGS}, for instance:\n\n{EXAMPLE}"
        )
        raise click.ClickException(msg)
    if not paths or (len(paths) == 1 and paths[0].lower().endswith((".yaml", ".yml"))):
        place = paths[0] if paths else SETTINGS
        config = Config.read(place)
        if not Path(config.input.master).exists():
            msg = f"{place}: in.master: expected a master file or a data file, found nothing at {config.input.master}"
            raise click.ClickException(msg)
        return config, (config.input.master,)
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        msg = f"{missing[0]}: expected a settings file (.yaml), or master or data files; found nothing there"
        raise click.ClickException(msg)
    return Config.model_validate({"in": {"master": paths[0]}}), paths


def _check_start(config: Config, inputs: tuple[str, ...], wanted: Wanted) -> None:
    n = open_files(inputs, dataset=wanted.dataset, channel=wanted.channel).n_frames()
    if 0 < n < config.input.start:
        msg = f"in.start: expected at most {n}, the frames that the series has; found {config.input.start}"
        raise click.ClickException(msg)
    if 0 < n < config.input.end:
        click.echo(f"in.end: {config.input.end} is beyond the last frame; {n} is taken")


def _reduced(paths: tuple[str, ...], wanted: Wanted) -> tuple[xr.Dataset, list[Problem]]:
    source = open_files(paths, frames=wanted.frames, dataset=wanted.dataset, channel=wanted.channel)
    regions = (WHOLE_FRAME, *wanted.regions) if wanted.regions else ()
    sums = reduction(
        wanted.limits, regions=regions, mean_image=wanted.mean_image, centre=wanted.centre, histogram=False
    )
    snapshot = watch(source, sums, threads=wanted.threads, words=Path(paths[0]).name)
    if "sum" not in snapshot.data:
        msg = "stopped before any frame was read; nothing is written"
        raise click.ClickException(msg)
    return snapshot.labelled(), list(snapshot.problems)


def _sums(path: str, wanted: Wanted, given: dict[str, Any]) -> tuple[xr.Dataset, list[Problem]]:
    """Return an earlier result, or that of files that are read now."""
    if not path.endswith(".nc"):
        return _reduced((path,), wanted)
    if given or wanted.frames or wanted.regions:
        msg = f"{path} holds sums: limits, frames and regions are chosen when they are made, with 'detcore eiger sum'"
        raise click.UsageError(msg)
    data = products.read_result(path)
    return data, problems_of(data)


def _folder(output: str | None, path: str) -> str:
    return output or (str(Path(path).parent) if path.endswith(".nc") else ".")


def _written(data: xr.Dataset, folder: str, path: str, only: list[str] | tuple[str, ...], method: str) -> list[Problem]:
    with steps("writing") as progress:
        written, problems = products.write_all(
            data, folder, path.removesuffix(".nc"), only=only, method=method, progress=progress
        )
    for place in written:
        click.echo(f"wrote {place}")
    return problems


def _published(data: xr.Dataset, key: str, host: str, port: int, expire: float) -> list[Problem]:
    try:
        products.publish(products.pickled(data), key, host, port, expire=expire)
    except (OSError, ImportError, ValueError) as error:
        return [Problem.of(f"Redis key {key}", error)]
    click.echo(f"set {key} in Redis at {host}:{port}, for {expire:g} days")
    return []


def _tables(data: xr.Dataset, method: str, region: str | None = None) -> dict[str, pd.DataFrame]:
    return {
        "describe": analysis.describe(data, method, region=region),
        "statistics": analysis.statistics(data, method, region=region),
        "lines": spectra.spectral_lines(data, 5, method, region=region),
        "outliers": analysis.outliers(data, region=region),
        "gaps": analysis.gaps(data),
    }


def _tell(data: xr.Dataset, method: str, region: str | None = None) -> None:
    """Print the table of the original, then what it does not say."""
    tables = _tables(data, method, region)
    click.echo(tables["describe"].to_string(float_format=lambda value: f"{value:.6e}"))
    _print(tables["statistics"].drop(columns="meaning").reset_index(), "What the fluctuation is made of")
    _print(tables["lines"], "Largest lines of the spectrum (Hz, %)")
    _print(tables["outliers"].head(20), f"Outliers: {len(tables['outliers'])}")
    _print(tables["gaps"].head(20), f"Gaps: {len(tables['gaps'])}")


def _print(frame: pd.DataFrame, title: str) -> None:
    if frame.empty:
        return
    shown = Table(title=title, title_justify="left")
    for name in frame.columns:
        shown.add_column(str(name).replace("_", " "), justify="left" if frame[name].dtype == object else "right")
    for row in frame.itertuples(index=False):
        shown.add_row(*(f"{value:.6g}" if isinstance(value, float) else escape(str(value)) for value in row))
    Console(highlight=False).print(shown)


def _plain(value: Any) -> Any:
    return value if not isinstance(value, float) or value == value else None  # noqa: PLR0124 - nan is no JSON


def _finish(data: xr.Dataset, problems: list[Problem], *, quiet: bool = False) -> None:
    lines = 0 if quiet else ledger(problems)
    if data.attrs.get("status") == "partial":
        console.print("partial: the reading was stopped early", style="bold yellow")
        lines += 1
    if lines or problems:
        sys.exit(FAILED)
