"""`detcore dl1 …`: the scripts of DL1 Data Handler with their options, and what they do not have.

An option may be spelled with - or with _ between its words, as the original's are.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from detcore.core.console import FAILED, console, explained, ledger
from detcore.core.source import Problem
from detcore.dl1.cli_analysis import images, muons, parameters, run, stereo
from detcore.dl1.files.contents import facts, printed
from detcore.dl1.writer import logs, runlist
from detcore.dl1.writer.datawriter import DL1DataWriter, WriteFailed
from detcore.dl1.writer.writerconfig import writer_of_config

if TYPE_CHECKING:
    from detcore.dl1.writer.writing import RunReport

_FOLDER = click.Path(exists=True, file_okay=False)
_FILE = click.Path(exists=True, dir_okay=False)
_debug = click.option("--debug", is_flag=True, help="Say what is being done.")


@click.group(context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
def dl1() -> None:
    """Images of Cherenkov telescopes: DL1 files of ctapipe and CTA-ML (HDF5)."""


@dl1.command("runlist")
@click.argument("file_dir", type=_FOLDER)
@click.option(
    "--num-inputs-per-run",
    type=click.IntRange(1),
    default=runlist.INPUTS_PER_RUN,
    show_default=True,
    help="Inputs that go into one output.",
)
@click.option(
    "--output-file",
    type=click.Path(dir_okay=False),
    default="./runlist.yml",
    show_default=True,
    help="The run list, replaced if it is there.",
)
@_debug
@explained
def make_runlist(file_dir: str, num_inputs_per_run: int, output_file: str, debug: bool) -> None:
    """Group the simtel files (.simtel.gz, .simtel.zst) of FILE_DIR into runs.

    Files of one particle, direction and production are put into groups by ascending run number. Those whose names do not
    say these are reported and left out.
    """
    with logs.shown(debug):
        runs, problems = runlist.make_runlist(file_dir, num_inputs_per_run)
        runlist.write_runlist(runs, output_file)
    n = sum(len(one["inputs"]) for one in runs)
    click.echo(f"wrote {_number(len(runs), 'run')} of {_number(n, 'file')} to {output_file}")
    ledger(problems)


@dl1.command()
@click.argument("runlist_file", metavar="RUNLIST", type=_FILE)
@click.option(
    "--config-file", type=_FILE, help="YAML with the settings of writer, event source and dumper; by default their own."
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False),
    default=".",
    show_default=True,
    help="Folder for the outputs, made if it is missing.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Runs written at once; by default one for each core.")
@_debug
@explained
def write(runlist_file: str, config_file: str | None, output_dir: str, workers: int | None, debug: bool) -> None:
    """Write the simulated events of the inputs in RUNLIST (YAML) to CTA-ML files.

    Needs the extra cta (ctapipe) for simtel files. A file gets its name when it is complete; a run that fails does not
    keep the others from being written.
    """
    with logs.shown(debug):
        runs = runlist.read_runlist(runlist_file, output_dir)
        more: dict[str, Any] = {} if workers is None else {"workers": workers}
        writer = DL1DataWriter(**more) if config_file is None else writer_of_config(config_file, **more)
        try:
            with console.status(f"writing {_number(len(runs), 'run')}"):
                reports = writer.process_data(runs)
        except WriteFailed as error:
            reports = error.reports
    problems = [problem for report in reports for problem in report.problems]
    for report in reports:
        _tell(report)
    problems += [Problem(*_parted(report)) for report in reports if report.error]
    ledger(problems)
    if any(problem.chunks for problem in problems):  # those of weight 0 are warnings
        sys.exit(FAILED)


def _tell(report: RunReport) -> None:
    cut = f", {report.cut:,} cut" if report.cut else ""
    for file in report.files:
        click.echo(f"wrote {file}")
    if report.files:
        click.echo(f"  {_number(report.events, 'event')}{cut} in {_number(len(report.files), 'file')}")


def _parted(report: RunReport) -> tuple[str, str]:
    """Return what failed, and why, without saying the first twice."""
    return report.target, report.error.removeprefix(f"{report.target}: ")


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


@dl1.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@explained
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Say what FILES hold: format, telescopes, cameras, images, events, the simulation, attributes."""
    found, problems = [], []
    for file in files:
        try:
            found.append(facts(file))
        except (OSError, ValueError) as error:
            problems.append(Problem.of(file, error))
    problems += [
        Problem(one["file"], f"{kind['type']}: {kind['problem']}")
        for one in found
        for kind in one["telescopes"]
        if kind["problem"]
    ]
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        click.echo("\n\n".join(map(printed, found)))
    if ledger(problems):
        sys.exit(FAILED)


for command in (parameters, stereo, muons, images, run):
    dl1.add_command(command)
