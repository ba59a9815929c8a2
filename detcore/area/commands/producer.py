"""`detcore area producer`: setups from a configuration of the LCLS small-data production, and back."""

from __future__ import annotations

from pathlib import Path

import click

from detcore.area.commands._reads import FILE
from detcore.area.producer.producer import read_producer
from detcore.area.producer.producertext import producer_text
from detcore.area.setup.setupfile import Setup
from detcore.core.console import explained
from detcore.core.paths import atomic


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--run", type=click.IntRange(min=0), help="The run that the configuration is asked about.")
@click.option("--output", type=click.Path(), required=True,
              help="A folder for the setups, or, of setups, the configuration (.py).")  # fmt: skip
@explained
def producer(files: tuple[str, ...], run: int | None, output: str) -> None:
    """Read a configuration (.py) as setups, one for each detector; or write setups (.yaml) as a configuration.

    The configuration is read as data, nothing in it is executed; what is not understood is listed by line.
    """
    if all(Path(one).suffix == ".py" for one in files):
        if len(files) > 1 or run is None:
            msg = "one configuration and --run expected, because its functions depend on the run"
            raise click.UsageError(msg)
        found = read_producer(files[0], run)
        for name, setup in found.setups.items():
            target = Path(output) / f"{''.join(one if one.isalnum() or one in '._-' else '_' for one in name)}.yaml"
            setup.save(target)
            click.echo(f"wrote {target}")
        for problem in found.problems:
            click.echo(str(problem), err=True)
        return
    setups = {Path(one).stem: Setup.load(one) for one in files}
    text, left_out = producer_text({setup.detector.name or name: setup for name, setup in setups.items()})
    with atomic(output) as aside:
        aside.write_text(text, encoding="utf-8")
    click.echo(f"wrote {output}")
    for line in left_out:
        click.echo(f"no place for {line}", err=True)
