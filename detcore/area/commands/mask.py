"""`detcore area mask`: a setup or a file becomes a raster, or lines for another program."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from detcore.area.commands._reads import FILE, opened, record_lines
from detcore.area.detector import psana_mask
from detcore.area.events.pipeline import masked, prepared
from detcore.area.imagefiles import read_image
from detcore.area.setup.masklines import COMMENT, FORMS, mask_lines
from detcore.area.setup.setupfile import Setup
from detcore.core.console import explained
from detcore.core.paths import atomic
from detcore.core.provenance import versions
from detcore.image import BITS, CONVENTIONS, Panels, PixelMask, good_pixels, write_pixel_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = {".yaml", ".yml"}


def _shape_of(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Read two or three whole numbers."""
    try:
        return None if value is None else tuple(int(one) for one in value.replace("x", ",").split(","))
    except ValueError:
        msg = f"{value!r} is not a shape; write rows,columns or modules,rows,columns"
        raise click.BadParameter(msg, ctx, param) from None


@click.command()
@click.argument("mask_file", metavar="SETUP_OR_MASK", type=FILE)
@click.option("--convention", type=click.Choice(CONVENTIONS), help="What the numbers of a raster that is read mean.")
@click.option("--dataset", help="Where the raster is in an HDF5 file that is read.")
@click.option("--run", type=click.Path(exists=True), help="A run: its detector's shape, mask, geometry, constants.")
@click.option("--image", type=FILE, help="The image that thresholds look at, for instance an average.")
@click.option(
    "--shape",
    metavar="ROWS,COLUMNS",
    callback=_shape_of,
    help="Of the detector, if neither the file nor a run says it.",
)
@click.option("--output", "outputs", multiple=True, type=click.Path(dir_okay=False), help="A raster, by its ending: "
              ".npy, .h5, .nxs, .tif, .edf, .txt, .data; .yaml for the operations. May be given again.")  # fmt: skip
@click.option("--write", "written", type=click.Choice(CONVENTIONS), default="nxmx", show_default=True,
              help="What the numbers of rasters that are written mean.")  # fmt: skip
@click.option("--dials", type=click.Path(dir_okay=False), help="Write parameters of dials.generate_mask.")
@click.option("--xds", type=click.Path(dir_okay=False), help="Write keywords of XDS.INP.")
@click.option("--crystfel", type=click.Path(dir_okay=False), help="Write bad regions of a .geom file.")
@click.option("--panels", "panel_names", help="Names of the panels in the .geom file, with commas (default p0,p1,…).")
@click.option("--stacked", is_flag=True, help="For CrystFEL: modules lie below each other in the data.")
@explained
def mask(
    mask_file: str,
    convention: Any,
    dataset: str | None,
    run: str | None,
    image: str | None,
    shape: tuple[int, ...] | None,
    outputs: tuple[str, ...],
    written: Any,
    panel_names: str | None,
    stacked: bool,
    **lines: str | None,
) -> None:
    """Make the mask of a setup, or read one from a file; write it in other formats; count its pixels.

    SETUP_OR_MASK is a setup (YAML), a list of mask operations (YAML), or a raster in an HDF5, .npy, TIFF, EDF or text
    file. Nothing guesses what the numbers of a raster mean: a file without a note needs --convention.
    """
    for target in (*outputs, *(one for one in lines.values() if one)):
        if Path(target).exists() and Path(target).samefile(mask_file):
            msg = f"{target} is the file that is read; give another name"
            raise click.UsageError(msg)
    setup, fits = _read(mask_file, convention, dataset)
    image = image or setup.mask_image
    raster = _raster(setup, shape or fits, run, None if image is None else read_image(image))
    record = _record(mask_file, run, setup)
    made = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
    notes = {"detcore_provenance": json.dumps(made | record)}
    operations = PixelMask(shape=raster.shape, operations=setup.mask)
    for target in outputs:
        if Path(target).suffix.lower() in TEXTS:
            with atomic(target) as aside:
                aside.write_text(record_lines(record) + operations.to_yaml(), encoding="utf-8")
        else:
            write_pixel_mask(target, raster, convention=written, notes=notes)
        click.echo(f"wrote {target}")
    names = panel_names.split(",") if panel_names else None
    for form in FORMS:
        if (path := lines[form]) is not None:
            text = mask_lines(raster, form, operations=setup.mask, panel_names=names, stacked=stacked)
            with atomic(path) as aside:
                aside.write_text(record_lines(record, COMMENT[form]) + text, encoding="utf-8")
            click.echo(f"wrote {path}")
    for line in summary(raster):
        click.echo(line)


def summary(raster: NDArray[np.uint32]) -> list[str]:
    """Return lines: the shape, how many pixels are masked, and how many have which bit."""
    masked_count = int((~good_pixels(raster)).sum())
    lines = [
        f"{' x '.join(map(str, raster.shape))} px, {masked_count} masked ({100 * masked_count / raster.size:.3g} %)",
    ]
    for name, bit in BITS.items():
        count = int(((raster >> np.uint32(bit)) & np.uint32(1)).sum())
        if count:
            lines.append(f"  {name} (bit {bit}): {count}{' (informs only)' if bit > 15 else ''}")
    return lines


def _read(path: str, convention: Any, dataset: str | None) -> tuple[Setup, tuple[int, ...] | None]:
    """Return a setup with the mask, and the shape that the file says."""
    if Path(path).suffix.lower() in TEXTS:
        try:
            setup = Setup.load(path)
        except ValueError as error:
            try:
                found = PixelMask.read(path)
            except ValueError:
                raise error from None  # what a setup lacks is what people can correct
            return Setup().with_mask(found.operations), found.shape
        return setup, setup.detector.shape
    found = PixelMask.read(path, convention=convention, **({"dataset": dataset} if dataset else {}))
    return Setup().with_mask(found.operations), found.shape


def _raster(
    setup: Setup, shape: tuple[int, ...] | None, run: str | None, image: NDArray[Any] | None
) -> NDArray[np.uint32]:
    if run is not None:
        source: Any = opened((run,), setup)
        detector = prepared(source.detector(), setup.with_mask(()))
        base = np.zeros(detector.shape, np.uint32) if detector.pixel_mask is None else detector.pixel_mask.copy()
        if setup.psana_options:
            options: dict[str, Any] = dict.fromkeys(setup.psana_options, True)
            base[psana_mask(detector, **options) == 0] |= np.uint32(1 << BITS["user"])
        if image is None and setup.image_steps:
            msg = f"the step {setup.image_steps[0].who} looks at an image of the run; give one with --image"
            raise ValueError(msg)
        return masked(detector.with_(pixel_mask=base), setup, image)
    if setup.psana_options:
        msg = f"the setup asks for {', '.join(setup.psana_options)}, which come with a run; give it with --run"
        raise ValueError(msg)
    arrays = {} if image is None else {"image": image}
    if shape is None and image is not None:
        shape = image.shape
    if shape is None:
        msg = "the shape of the detector is not known: give --shape rows,columns, --image or --run"
        raise ValueError(msg)
    return setup.pixel_mask.raster(shape, arrays=arrays, panels=Panels(asic=setup.detector.asic))


def _record(mask_file: str, run: str | None, setup: Setup) -> dict[str, Any]:
    return {
        "from": [str(Path(one).absolute()) for one in (mask_file, run) if one],
        "operations": [one.kind if not one.name else f"{one.kind} {one.name}" for one in setup.mask if one.enabled],
    }
