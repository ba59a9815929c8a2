"""The `detcore` command: one verb for each instrument, and the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

import click
from typing_extensions import override

from detcore.core.console import console, explained
from detcore.core.source import instruments


class _Verbs(click.Group):
    """Finds the instruments' commands when they are asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            {*super().list_commands(ctx), *(entry.name for entry in entry_points(group="detcore.instruments"))}
        )

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        known, broken = instruments(cmd_name)
        for problem in broken:
            console.print(f"warning: {problem}", style="yellow", markup=False)
        return known[cmd_name].commands() if cmd_name in known else None


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("detcore"), prog_name="detcore")
def main() -> None:
    """Live workbench for detector data: the same numbers here, in a script and in the dashboard."""


@main.command()
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder that viewers may read; repeat it for more. Without one the demo is shown.",
)
@click.option(
    "--settings", type=click.Path(exists=True, dir_okay=False), help="YAML file with roots, cache, stale_s, …"
)
@click.option("--port", default=5006, show_default=True, help="TCP port; 0 takes a free one.")
@click.option("--address", default="localhost", show_default=True, help="Interface to listen on.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="HOST:PORT",
    help="Name under which browsers reach the server, if it is not the address.",
)
@click.option("--show/--no-show", default=False, help="Open a browser.")
@explained
def serve(
    roots: tuple[str, ...], settings: str | None, port: int, address: str, origins: tuple[str, ...], show: bool
) -> None:
    """Start the dashboard."""
    spec = find_spec("dashboard")
    if spec is None or not spec.submodule_search_locations:
        msg = "the dashboard is not installed; reinstall detcore with pip"
        raise click.ClickException(msg)
    environment = dict(os.environ)
    if roots:
        environment["DETCORE_ROOTS"] = os.pathsep.join(str(Path(root).resolve()) for root in roots)
    if settings:
        environment["DETCORE_SETTINGS"] = str(Path(settings).resolve())
    command = [sys.executable, "-m", "panel", "serve", str(spec.submodule_search_locations[0])]
    command += ["--port", str(port), "--address", address]
    # Feeds without viewers stop soon. A page that takes longer to load is built twice, so not at once.
    command += ["--unused-session-lifetime", "15000", "--check-unused-sessions", "3000"]
    for origin in origins:
        command += ["--allow-websocket-origin", origin]
    if show:
        command.append("--show")
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        code = process.wait(10)
    if code > 0:
        msg = f"the server ended with code {code}; its last lines above say why"
        raise click.ClickException(msg)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--instrument", "chosen", multiple=True, help="Only these; by default all that are installed.")
@explained
def demo(folder: str, chosen: tuple[str, ...]) -> None:
    """Write demo data of every instrument, in its real file format, into FOLDER."""
    known, _ = instruments()
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        msg = f"no instrument {unknown[0]!r}; installed: {', '.join(known)}"
        raise click.ClickException(msg)
    for name in chosen or tuple(known):
        for path in known[name].demo(Path(folder) / name):
            click.echo(str(path))
