"""`detcore area average`: mean, spread, extremes and hit counts of every pixel of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detcore.area.averaging import SELECTIONS
from detcore.area.averaging import average as averaged
from detcore.area.commands._reads import finish, reads
from detcore.area.events.pipeline import prepared
from detcore.area.products import SUFFIXES, write_all
from detcore.core.console import explained, watch
from detcore.core.executors import Threads
from detcore.core.run import problems_of

if TYPE_CHECKING:
    import xarray as xr


@click.command()
@reads
@click.option("--events", type=click.IntRange(1), help="At most so many events; by default all.")
@click.option("--skip", type=click.IntRange(0), default=0, help="Events to leave out at the beginning.")
@click.option("--uniform", is_flag=True, help="Spread the events over the run.")
@click.option("--threshold", type=float, help="Smaller values count as 0, ADU; hits are the others.")
@click.option("--noise-threshold", type=float, help="The same, in units of the noise.")
@click.option("--median", is_flag=True, help="Also the median, by histograms.")
@click.option("--only", "selections", multiple=True, type=click.Choice([*SELECTIONS]), help="Which shots; repeat it.")
@click.option("--common-mode", type=int, help="Number of the correction instead of that of the setup; -1: raw frames.")
@click.option("--output", type=click.Path(file_okay=False), default=".", help="Folder for the results.")
@click.option("--name", help="How the files begin; by default <run>_average.")
@click.option(
    "--format", "formats", multiple=True, type=click.Choice([one.removeprefix(".") for one in SUFFIXES[:4]]),
    default=("nc",), show_default=True, help="Repeat it for more.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core.")
@explained
def average(
    source: Any, setup: Any, events: int | None, skip: int, uniform: bool, threshold: float | None,
    noise_threshold: float | None, median: bool, selections: tuple[str, ...], common_mode: int | None, output: str,
    name: str | None, formats: tuple[str, ...], threads: int | None,
) -> None:  # fmt: skip
    """Average the frames of RUN, calibrated as the setup says.

    Ctrl-C ends the reading early; what was averaged until then is written, marked partial.
    """

    def running(source: Any, reduction: Any, executor: Threads) -> xr.Dataset:
        return watch(source, reduction, threads=executor.workers, words="frames").labelled()

    data = averaged(
        source, setup, n_events=events, skip=skip, uniform=uniform, threshold=threshold,
        noise_threshold=noise_threshold, median=median, filters=selections, common_mode=common_mode,
        executor=Threads(threads) if threads else None, running=running,
    )  # fmt: skip
    stem = name or f"{Path(source.paths[0]).stem}_average"
    detector = prepared(source.detector(), setup)
    written, problems = write_all(data, output, stem, only=[f".{one}" for one in formats], detector=detector)
    click.echo(f"{int(data['n_frames'])} frames of {data.attrs['detector']}, common mode {data.attrs['common_mode']}")
    for place in written:
        click.echo(f"wrote {place}")
    finish([*problems_of(data), *problems], partial=data.attrs.get("status") == "partial")
