"""What every command of the command line shares: a progress bar, the error ledger, and one rule for exit codes."""

from __future__ import annotations

import functools
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from detcore.core.run import EmptyInput, Threads, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from detcore.core.reduction import Reduction
    from detcore.core.run import Snapshot
    from detcore.core.source import Problem, Source

FAILED = 1  # exit code: something that was asked for is not there; click itself uses 2 for wrong arguments

console = Console(stderr=True, highlight=False)


def watch(
    source: Source,
    reduction: Reduction | Callable[[xr.Dataset], Reduction],
    *,
    threads: int | None = None,
    words: str = "reading",
) -> Snapshot:
    """Reduce a source under a progress bar.

    Ctrl-C ends the reading early; what was counted until then is returned, marked partial.

    Raises
    ------
    EmptyInput
        Nothing could be read.
    """
    last = None
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    with stopping("stopping; what was counted so far is kept") as cancel, bar:
        task = bar.add_task(words, total=1.0)
        for snapshot in stream(source, reduction, executor=Threads(threads), cancel=cancel, every=0.25):
            last = snapshot
            bar.update(task, completed=snapshot.fraction or 0.0)
    if last is None or not last.data:
        raise click.Abort
    return last if last.status == "complete" else replace(last, status="partial")


@contextmanager
def stopping(words: str) -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets, with some words; the second one interrupts."""
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return

    def stop(number: int, _frame: object) -> None:
        cancel.set()
        console.print(words, markup=False)
        signal.signal(number, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def steps(words: str) -> Iterator[Callable[[int, int, str], None]]:
    """Give a function (done, total, name) that moves a progress bar."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[name]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(words, total=None, name="")
        yield lambda done, total, name: bar.update(task, completed=done, total=total, name=name)


def ledger(problems: Iterable[Problem]) -> int:
    """Print the error ledger, one line each, and return how many lines it has."""
    lines = [str(problem) for problem in problems]
    if lines:
        console.print(f"{len(lines)} problem{'s' if len(lines) > 1 else ''}:", style="bold red")
    for line in lines:
        console.print(f"  {line}", markup=False, style="red", soft_wrap=True)
    return len(lines)


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors about inputs into one message and exit code 1, without a traceback."""

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> Any:
        try:
            return function(*args, **values)
        except EmptyInput as error:
            ledger(error.problems)
            raise click.ClickException(str(error).split(". ", 1)[0]) from None
        except (OSError, ValueError, LookupError) as error:
            words = error.args[0] if isinstance(error, LookupError) and error.args else error
            raise click.ClickException(str(words)) from None

    return command
