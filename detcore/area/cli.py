"""`detcore area …`: one verb for each module of `commands`."""

from __future__ import annotations

import importlib
import pkgutil

import click
from typing_extensions import override

from detcore.area import commands


class _Verbs(click.Group):
    """Imports a verb when it is asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(one.name for one in pkgutil.iter_modules(commands.__path__) if not one.name.startswith("_"))

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name}")
        found = getattr(module, cmd_name, None) or getattr(module, "command", None)
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Verbs)
def area() -> None:
    """Area detectors: averages, masks, centre, azimuthal profiles, reduction of runs."""
