"""Showers that were changed, written to a new file in the folder for outputs: with progress, and it can be cancelled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from detcore import showers
from detcore.core.paths import Roots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ENDING = ".h5"
LONGEST = 80  # characters of a name


def target_of(folder: Path, name: str) -> Path:
    """Return where a file of that name goes.

    Raises
    ------
    ValueError
        The name is empty, too long, hidden, or holds more than a name.
    FileExistsError
        There is such a file.
    """
    wanted = name.strip()
    wanted = wanted if not wanted or wanted.endswith(ENDING) else wanted + ENDING
    if not wanted or len(wanted) > LONGEST or wanted.startswith(".") or any(sign in wanted for sign in "/\\|\0"):
        msg = f"{name[:LONGEST]!r} is no name for a new file: give one without folders, for instance clustered.h5"
        raise ValueError(msg)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = Roots.of([folder]).resolve(wanted)
    if target.exists():
        msg = f"{wanted} exists already in the folder for outputs; give another name"
        raise FileExistsError(msg)
    return target


class Saving:
    """One session's file that is being written.

    Parameters
    ----------
    ready
        Called, from any thread, when there is something new to tell.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._cancel = threading.Event()
        self.words = ""
        self.fraction: float | None = None
        self.done: Path | None = None

    def start(
        self, source: Path, folder: Path, name: str, operations: Sequence[showers.Operation], geometry: showers.DetectorGeometry
    ) -> None:  # fmt: skip
        """Begin to write; at most one file at a time.

        Raises
        ------
        ValueError, OSError
            It cannot be written there, or another one is being written.
        """
        if self.fraction is not None:
            msg = "another file is being written; wait or cancel it"
            raise ValueError(msg)
        if not operations:
            msg = "nothing is to be done; add a step first"
            raise ValueError(msg)
        target = target_of(folder, name)
        self._cancel, self.done = threading.Event(), None
        self.words, self.fraction = f"Writing {target.name} …", 0.0
        arguments = (source, target, tuple(operations), geometry, self._cancel)
        threading.Thread(target=self._work, args=arguments, name="showers-saving", daemon=True).start()

    def _work(
        self, source: Path, target: Path, operations: tuple[showers.Operation, ...], geometry: showers.DetectorGeometry,
        cancel: threading.Event,
    ) -> None:  # fmt: skip
        def progress(done: int, total: int, _: str) -> None:
            self.fraction = done / max(total, 1)
            self._ready()

        try:
            shape = showers.transform_file(source, target, operations, geometry, progress=progress, cancel=cancel)
            self.words, self.done = f"Wrote {shape[0]:,} showers to {target}", target
        except showers.Cancelled:
            self.words = f"{target.name} was cancelled; nothing is left of it"
        except Exception as error:  # noqa: BLE001 - whatever it is, the viewer is told
            self.words = f"{target.name} was not written: {error}"
        self.fraction = None
        self._ready()

    def cancel(self) -> None:
        """Stop; what was written so far is removed."""
        self._cancel.set()
