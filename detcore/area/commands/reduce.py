"""`detcore area reduce`: a run and a setup become a small HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from detcore.area.commands._reads import FILE, finish
from detcore.area.events.runreduction import opened_with, reducing
from detcore.area.setup.setupfile import Setup
from detcore.core.console import console, explained, stopping
from detcore.core.follow import Follow
from detcore.core.source import FileSource

if TYPE_CHECKING:
    from detcore.area.events.runreduction import Progress as Step


@click.command()
@click.argument("run", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--setup", "setup_file", type=FILE, required=True, help="Setup file (YAML), as the dashboard saves it.")
@click.option("--output", type=click.Path(dir_okay=False), help="The HDF5 file; by default <run>_reduced.h5 here.")
@click.option("--follow-setup", is_flag=True, help="Take a new version of the setup file with the next chunk.")
@click.option("--live", is_flag=True, help="The run is still being written: go on until Ctrl-C.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core.")
@explained
def reduce(
    run: tuple[str, ...], setup_file: str, output: str | None, follow_setup: bool, live: bool, threads: int | None
) -> None:
    """Reduce RUN with a setup to a small HDF5 file: one row for each event.

    Ctrl-C ends the reading early; what was done until then is kept, marked partial.
    """
    target = Path(output or f"{Path(run[0]).stem}_reduced.h5")
    if any(target.exists() and target.samefile(one) for one in run):
        msg = f"--output: {target} is the run itself; give another name"
        raise click.UsageError(msg)
    source = opened_with(run[0] if len(run) == 1 else run, Setup.load(setup_file))
    if live:
        if not isinstance(source, FileSource):
            msg = f"--live: expected a file or folder that grows, found {source.key}"
            raise click.UsageError(msg)
        source = Follow(source)
    last = _watched(source, setup_file, target, follow_setup=follow_setup, threads=threads)
    left = f", {last.n_left_out} left out by filters" if last.n_left_out else ""
    click.echo(f"wrote {target}: {last.n_events} events{left}")
    finish(last.problems, partial=last.status == "partial")


def _watched(source: Any, setup: str, target: Path, **options: Any) -> Step:
    """Run under a progress bar until the end, or until Ctrl-C."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with (
        stopping("stopping; what was done so far is kept") as cancel,
        Progress(*columns, console=console, transient=True) as bar,
    ):
        task = bar.add_task(target.name, total=1.0)
        for step in reducing(source, setup, target, cancel=cancel, every=0.25, **options):
            words = f"{target.name}: {step.n_events} events"
            bar.update(task, completed=step.fraction or 0.0, description=words)
    return step
