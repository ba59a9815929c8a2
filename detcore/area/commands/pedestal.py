"""`detcore area pedestal`: pedestal, noise and status of every pixel, from a run without light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from detcore.area.commands._reads import finish, reads
from detcore.area.darks import pedestal as from_darks
from detcore.area.events.pipeline import suited
from detcore.area.files.calibfiles import write_calibration
from detcore.area.images.darks import DarkRanges, summary
from detcore.core.console import explained, watch
from detcore.core.parameters import options
from detcore.core.run import problems_of

if TYPE_CHECKING:
    import xarray as xr

    from detcore.area.setup.setupfile import Setup

TYPES = {"pedestal": np.float32, "noise": np.float32, "status": np.uint32}


@click.command()
@reads
@click.option(
    "--output", type=click.Path(), default="pedestal.h5", show_default=True,
    help="A file (.h5, .npz, .npy, .data), or a folder for psana's calibration store.",
)  # fmt: skip
@click.option(
    "--statistic", type=click.Choice(["mean", "median"]), default="mean", show_default=True, help="Of the pedestal."
)
@click.option("--gains", type=click.IntRange(0, 8), default=0, help="Gain ranges in the words: 3 Jungfrau, 7 ePix10ka.")
@click.option(
    "--by-bit", type=(int, int), default=(0, 0), help="ePix10ka: gain ranges of pixels without and with bit 14."
)
@click.option("--first-run", type=click.IntRange(0), default=0, help="First run for which psana takes them.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core.")
@options(DarkRanges)
@explained
def pedestal(
    source: Any, setup: Setup, output: str, statistic: Any, gains: int, by_bit: tuple[int, int], first_run: int,
    threads: int | None, parameters: DarkRanges,
) -> None:  # fmt: skip
    """Find pedestal, noise and status of every pixel in RUN, which has no light."""
    suited(source.detector(), setup)  # no more is asked of it: its constants are those that are made anew

    def running(source: Any, reduction: Any, **options: Any) -> xr.Dataset:
        return watch(source, reduction, threads=threads, words="dark frames", **options).labelled()

    data = from_darks(source, parameters, statistic=statistic, gains=gains, by_bit=by_bit, running=running)
    detector = source.detector()
    notes = {
        "TITLE": f"dark constants of {detector.name}",
        "DETECTOR": detector.name,
        "TYPE": detector.type,
        "N_FRAMES": int(data["n_frames"]),
        "STATISTIC": statistic,
        "provenance": data.attrs.get("provenance", ""),
    }
    partial = data.attrs.get("status") == "partial"
    written = write_calibration(
        output, {name: data[name].values.astype(TYPES[name]) for name in TYPES}, notes=notes, run=first_run
    )
    click.echo(f"{int(data['n_frames']):,} frames of {detector.name} {tuple(detector.shape)}")
    for words, count in summary(data["status"].values).items():
        if count or words == "sane":
            click.echo(f"{count:>12,} pixels {words}")
    low, high = parameters.pedestal_low, parameters.pedestal_high
    click.echo(f"sane: pedestal {low:g} to {high:g}, noise {parameters.noise_low:g} to {parameters.noise_high:g} ADU")
    for place in written:
        click.echo(f"wrote {place}")
    finish(problems_of(data), partial=partial)
