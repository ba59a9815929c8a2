"""`detcore occupancy …`: what the three old scripts did, and the checks."""

from __future__ import annotations

import json
import os
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
from detcore.core.paths import atomic
from detcore.core.reduction import Together
from detcore.core.source import Problem, walk
from detcore.occupancy import analysis, eventplot, plots, products
from detcore.occupancy.api import n_events, open_files, read_event, read_plane, reduction
from detcore.occupancy.detectors import DetectorTable
from detcore.occupancy.series import HitsByFile
from detcore.occupancy.source import SUFFIXES
from detcore.occupancy.steps import Filters, detector_id
from detcore.occupancy.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from detcore.core.run import Snapshot

OUTPUT = "QTracker_Station_Occupancies"
TOTALS = "total_hits_data.json"
_FILE = click.Path(exists=True, dir_okay=False)


@click.group()
def occupancy() -> None:
    """Station occupancy of tracking spectrometers (ROOT files)."""


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that reads spills."""
    function = click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core.")(
        function
    )
    function = click.option("--detectors", type=_FILE, help="Detector table (CSV) instead of the built-in one.")(
        function
    )
    return options(Filters)(function)


@occupancy.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--directory", type=click.Path(exists=True), help="Folder that is walked for .root files; by default '.'."
)
@click.option(
    "--output", default=OUTPUT, show_default=True, type=click.Path(file_okay=False), help="Folder for the results."
)
@click.option("--max-files", type=click.IntRange(1), help="Read only the first so many files.")
@click.option(
    "--reference",
    type=_FILE,
    help="Compare with these counts: a total_hits_data.json, CSV or result file, or a .root file.",
)
@click.option("--thresholds", type=_FILE, help="Limits of the checks (YAML) instead of the built-in ones.")
@click.option(
    "--trend",
    "by",
    type=click.Choice(["spill", "file", "events"]),
    default="spill",
    show_default=True,
    help="What one point of the trend is.",
)
@_shared
@explained
def run(
    paths: tuple[str, ...], directory: str | None, output: str, max_files: int | None, reference: str | None,
    thresholds: str | None, by: str, detectors: str | None, threads: int | None, parameters: Filters,
) -> None:  # fmt: skip
    """Count the hits of spill files and write every plot and table.

    PATHS are files or folders, the same as --directory.
    """
    where = [*paths, *([directory] if directory else [])] or ["."]
    table, limits = DetectorTable.read(detectors), Thresholds.read(thresholds)
    compared = _reference(reference, table) if reference else None
    snapshot = _reduced(where, detectors, max_files, parameters, threads, by=by)
    data, folder = snapshot.labelled().assign_attrs(cut=parameters.words()), Path(output)
    counts = data.drop_dims(["file_channel", "file_of_hits"])
    with steps("writing") as progress:
        written, failed = products.write_all(counts, folder, per_file=_per_file(data), table=table, progress=progress)
    states = analysis.planes(data, compared, limits)
    tables = {
        "checks.csv": products.csv_text(analysis.check(data, compared, limits)),
        "planes.csv": products.csv_text(states),
        "settings.yaml": parameters.to_yaml(),
    }
    failed += [problem for name, text in tables.items() for problem in _write(folder / name, text)]
    click.echo(
        f"{int(data.n_events):,} events, {int(data.hits.sum()):,} hits in {int((data.hits > 0).sum()):,} channels"
    )
    _dropped(data)
    click.echo(f"{len(written) + len(tables)} files in {folder}")
    _states(states)
    _finish(snapshot, [*snapshot.problems, *failed])


@occupancy.command()
@click.option(
    "--input",
    "source",
    default=f"{OUTPUT}/{TOTALS}",
    show_default=True,
    type=_FILE,
    help="Counts: JSON (either form), CSV or result file.",
)
@click.option("--output", type=click.Path(dir_okay=False), help="Picture; by default hit_heatmap.png beside the input.")
@click.option("--scale", type=click.Choice(["log", "linear"]), default="log", show_default=True)
@click.option("--detectors", type=_FILE, help="Detector table (CSV) instead of the built-in one.")
@explained
def heatmap(source: str, output: str | None, scale: Any, detectors: str | None) -> None:
    """Draw accumulated counts: detector ids on x, element ids on y; print their statistics."""
    table = DetectorTable.read(detectors)
    data = products.read_hits(source, table)
    target = Path(output) if output else Path(source).with_name("hit_heatmap.png")
    products.save_figure(plots.heatmap(data, scale, table=table), target)
    click.echo(plots.statistics(data, table=table))
    click.echo(f"wrote {target}")


@occupancy.command()
@click.argument("file", type=_FILE)
@click.option(
    "--event", type=click.IntRange(0), help="Position of the event in the file, from 0; by default the first with hits."
)
@click.option("--detector", help="Only this plane, by name or id; without --event its hits of all events.")
@click.option("--style", type=click.Choice(["cells", "points", "bars"]), help="How hits are drawn.")
@click.option("--config", type=_FILE, help="YAML file with style, colours, size, title.")
@click.option(
    "--output", default=".", show_default=True, type=click.Path(file_okay=False), help="Folder for the picture."
)
@click.option("--detectors", type=_FILE, help="Detector table (CSV) instead of the built-in one.")
@explained
def plot(
    file: str, event: int | None, detector: str | None, style: str | None, config: str | None, output: str, detectors: str | None
) -> None:  # fmt: skip
    """Draw the hits of one event, or of one plane, of FILE."""
    table = DetectorTable.read(detectors)
    settings = (
        eventplot.PlotConfig.from_yaml(Path(config).read_text(encoding="utf-8")) if config else eventplot.PlotConfig()
    )
    if style:
        settings = settings.model_copy(update={"style": style})
    plane = table.by_id.get(detector_id(detector, table)) if detector else None
    if detector and plane is None:
        msg = f"detector {detector} is not in the table; add it with --detectors"
        raise click.ClickException(msg)
    stem = Path(file).stem
    name = plane.name if plane else None
    if event is None and plane is not None:
        hits, words, suffix = read_plane(file, plane.name, detectors=detectors), stem, ""
    else:
        number = _first_event(file, detectors) if event is None else event
        hits = read_event(file, number, detectors=detectors)
        words, suffix = f"{stem} · event {number}", f"_event_{number}"
    figure = eventplot.event_display(
        hits["detector_id"],
        hits["element_id"],
        hits.get("tdc_time"),
        detector=name,
        config=settings,
        title=words,
        table=table,
    )
    target = Path(output) / f"{stem}{suffix}{f'_{name}' if name else ''}.png"
    products.save_figure(figure, target, dpi=settings.dpi)
    click.echo(f"wrote {target}")


@occupancy.command()
@click.argument("path", type=click.Path(exists=True))
@click.option("--reference", type=_FILE, help="Compare with these counts: JSON, CSV, result file or a .root file.")
@click.option("--thresholds", type=_FILE, help="Limits (YAML) instead of the built-in ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "--fail-on",
    type=click.Choice(["never", "error", "warn"]),
    default="never",
    show_default=True,
    help="End with exit code 3 if a plane is in this state.",
)
@_shared
@explained
def check(
    path: str, reference: str | None, thresholds: str | None, as_json: bool, fail_on: str,
    detectors: str | None, threads: int | None, parameters: Filters,
) -> None:  # fmt: skip
    """List dead, hot and changed channels, and the state of every plane, of spill files or of earlier results in PATH."""
    table, problems = DetectorTable.read(detectors), []
    limits = Thresholds.read(thresholds)
    snapshot = None
    if _is_result(path):
        data = products.read_hits(_result(path), table)
    else:
        snapshot = _reduced([path], detectors, None, parameters, threads)
        data, problems = snapshot.labelled(), list(snapshot.problems)
    compared = _reference(reference, table) if reference else None
    found, states = analysis.check(data, compared, limits), analysis.planes(data, compared, limits)
    if as_json:
        listed = {
            "findings": json.loads(found.to_json(orient="records")),
            "planes": json.loads(states.to_json(orient="records")),
        }
        click.echo(json.dumps(listed | {"problems": [str(problem) for problem in problems]}, indent=1))
    else:
        _print(found, "Findings", ("detector", "element_id", "finding", "severity", "hits", "expected", "reason"))
        _states(states)
    bad = {"never": set(), "error": {"ERROR"}, "warn": {"WARN", "ERROR"}}[fail_on]
    _finish(snapshot, problems, 3 if bad & set(states["state"]) else 0)


def _reduced(
    where: list[str],
    detectors: str | None,
    max_files: int | None,
    filters: Filters,
    threads: int | None,
    *,
    by: str = "spill",
) -> Snapshot:
    for folder in where:
        if Path(folder).is_dir() and not walk(folder, SUFFIXES):
            msg = f"{folder}: no .root file in this folder or below it; name another with --directory"
            raise click.ClickException(msg)
    source = open_files(where, detectors, max_files)
    cuts = filters.steps(source.table)

    def wanted(schema: xr.Dataset) -> Together:
        return Together(reductions=(*reduction(filters, schema, by=by).reductions, HitsByFile().after(*cuts)))

    return watch(source, wanted, threads=threads, words=f"{len(source.files())} files")


def _per_file(data: xr.Dataset) -> dict[str, tuple[Any, Any, Any]]:
    """Return the counts of each file by its name; by its path below the common folder if names repeat."""
    files = [Path(str(file)) for file in data["file_hits_file"].values]
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        folder = os.path.commonpath([file.parent for file in files])
        names = [file.relative_to(folder).as_posix() for file in files]
    columns = [data[name].values for name in ("file_hits_detector", "file_hits_element", "file_hits")]
    index = data["file_hits_index"].values
    return {name: tuple(column[index == number] for column in columns) for number, name in enumerate(names)}


def _reference(path: str, table: DetectorTable) -> xr.Dataset:
    if path.endswith(SUFFIXES):
        return _reduced([path], None, None, Filters(), None).data
    return products.read_hits(path, table)


def _is_result(path: str) -> bool:
    return (
        not path.endswith(SUFFIXES)
        if Path(path).is_file()
        else not walk(path, SUFFIXES) and (Path(path) / TOTALS).is_file()
    )


def _result(path: str) -> Path:
    return Path(path) / TOTALS if Path(path).is_dir() else Path(path)


def _first_event(file: str, detectors: str | None) -> int:
    for number in range(n_events(file)):
        if read_event(file, number, detectors=detectors).sizes["hit"]:
            return number
    msg = f"{file}: no event has hits"
    raise click.ClickException(msg)


def _write(path: Path, text: str) -> list[Problem]:
    try:
        with atomic(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        return [Problem.of(str(path), error)]
    return []


def _dropped(data: xr.Dataset) -> None:
    parts = [
        (int(data.n_empty_events), "empty events"),
        (int(data.dropped_elements.sum()), "hits of impossible elements left out"),
        (int(data.dropped_unknown), "hits of impossible detectors left out"),
        (int(data.padding), "fill values skipped"),
    ]
    words = [f"{number:,} {what}" for number, what in parts if number]
    inferred = data["detector_id"].values[data["inferred"].values]
    if len(inferred):
        words.append(f"detectors {', '.join(map(str, inferred))} are not in the table; their elements were inferred")
    if words:
        click.echo("; ".join(words))


def _states(states: pd.DataFrame) -> None:
    counts = states["state"].value_counts()
    click.echo("planes: " + ", ".join(f"{counts.get(state, 0)} {state}" for state in ("OK", "WARN", "ERROR")))
    _print(states[states["state"] != "OK"], "Planes to look at", ("detector", "state", "hits", "reason"))


def _print(frame: pd.DataFrame, title: str, columns: tuple[str, ...]) -> None:
    if frame.empty:
        return
    shown = Table(title=title, title_justify="left")
    for name in columns:
        shown.add_column(
            name.replace("_", " "), justify="right" if pd.api.types.is_numeric_dtype(frame[name]) else "left"
        )
    for row in frame[list(columns)].itertuples(index=False):
        shown.add_row(*(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row))
    Console(highlight=False).print(shown)


def _finish(snapshot: Snapshot | None, problems: list[Problem], code: int = 0) -> None:
    lines = ledger(problems)
    if snapshot is not None and snapshot.status == "partial":
        console.print("partial: the reading was stopped early", style="bold yellow")
        lines += 1
    if lines or code:
        sys.exit(FAILED if lines else code)
