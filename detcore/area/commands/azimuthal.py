"""`detcore area azimuthal`: the azimuthal profile of a run, or of each of its frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from detcore.area.averaging import TakeEvents, calibration_of, resolved
from detcore.area.commands._reads import finish, reads
from detcore.area.commands.centre import mean_frame
from detcore.area.events.pipeline import prepared
from detcore.area.files.poni import read_poni
from detcore.area.images.azimuthaloptions import AzimuthalOptions
from detcore.area.integration import azimuthal_series
from detcore.area.products import write_all
from detcore.area.steps import calibrating
from detcore.core.console import explained, watch
from detcore.core.parameters import InvalidParameters, options

if TYPE_CHECKING:
    from detcore.area.setup.setupfile import Setup

ENDINGS = (".nc", ".csv", ".png")
LOOKED_AT = 100  # frames whose average threshold operations of the mask see


@click.command()
@reads
@click.option("--poni", type=click.Path(exists=True, dir_okay=False), help="Geometry of pyFAI, instead of the setup's.")
@click.option("--per-frame", is_flag=True, help="One profile for each frame instead of one of all.")
@click.option("--output", type=click.Path(file_okay=False), default=".", help="Folder of the results.")
@click.option("--csv", is_flag=True, help="Also a table.")
@click.option("--png", is_flag=True, help="Also a picture.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads; by default one for each core.")
@options(AzimuthalOptions)
@explained
def azimuthal(
    source: Any, setup: Setup, poni: str | None, per_frame: bool, output: str, csv: bool, png: bool,
    threads: int | None, parameters: AzimuthalOptions,
) -> None:  # fmt: skip
    """Integrate the frames of RUN azimuthally (.nc).

    Options win over the setup, which gives geometry, mask and bins.
    """
    plain = setup.with_mask(())
    detector = prepared(source.detector(), plain)
    if poni is not None:
        setup = setup.with_(geometry=read_poni(poni, detector.image_shape))
    context = click.get_current_context().params
    given = {name: getattr(parameters, name) for name in AzimuthalOptions.model_fields if _told(context, name)}
    looks = any(getattr(one, "image", None) == "image" for one in setup.mask if one.enabled)
    image = mean_frame(source, setup, LOOKED_AT)[0] if looks else None
    calibration = calibration_of(detector, setup.common_mode, source)
    taken = TakeEvents(filters=resolved(source, setup.filters))
    dtype = source.schema()["data"].dtype if calibration.raw else np.float32
    try:
        reduction = azimuthal_series(setup, detector, per_frame=per_frame, dtype=dtype, image=image, **given)
    except InvalidParameters as error:
        raise click.BadParameter(str(error)) from None
    steps = [*([taken] if setup.filters else []), *calibrating(calibration)]
    done = watch(source, reduction.after(*steps), threads=threads)
    data = done.labelled()
    name = f"{Path(source.files()[0]).stem}_azimuthal"
    only = [ending for ending, wanted in zip(ENDINGS, (True, csv, png), strict=True) if wanted]
    written, problems = write_all(data, output, name, only=only)
    bins = f"{data.sizes[str(data['intensity'].dims[-1])]} bins"
    click.echo(f"{int(data['n_frames'])} frames, {bins}, wrote {', '.join(map(str, written)) or 'nothing'}")
    finish([*done.problems, *problems], partial=done.status == "partial")


def _told(context: dict[str, Any], name: str) -> bool:
    """Answer whether the option was on the command line: its default is none."""
    return context.get(name) is not None
