"""Runs of the writer in processes of their own.

Each is a fresh interpreter that gets its work through a pipe: the main script of whoever calls is not executed again,
and nothing is inherited from a program that may have threads and open files.
"""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

CODE: Final = "import sys; sys.path[:0] = {path!r}; from detcore.dl1.writer.processes import serve; serve()"
PATIENCE: Final = 10.0  # s, that a process has to remove its unfinished file


def pickled(jobs: Sequence[tuple[Any, ...]]) -> list[bytes] | None:
    """Return jobs as bytes, or None if they hold functions that no other process can import."""
    try:
        made = [pickle.dumps(job) for job in jobs]
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        logger.warning("the runs are written one after the other: %s. Put functions into a module", error)
        return None
    if any(b"__main__" in one for one in made):
        logger.warning("the runs are written one after the other: functions of the main script. Put them into a module")
        return None
    return made


def run(jobs: Sequence[bytes], workers: int) -> list[Any]:
    """Do jobs in processes, at most so many at once.

    Parameters
    ----------
    jobs
        Of `pickled`.
    workers
        How many at once.

    Returns
    -------
    list
        What `write_run` returned for each; a text if its process failed.
    """
    children: set[subprocess.Popen[bytes]] = set()
    guard, stop = threading.Lock(), threading.Event()
    command = [sys.executable, "-c", CODE.format(path=[one for one in sys.path if one])]
    level = logging.getLogger("detcore").getEffectiveLevel()

    def work(job: bytes) -> Any:
        with guard:
            if stop.is_set():
                return "was not begun"
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            children.add(child)
        try:
            answer, _ = child.communicate(pickle.dumps(level) + job)
        finally:
            with guard:
                children.discard(child)
        if child.returncode:
            reason = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
            return f"the process that wrote it ended with {reason}; its messages say why"
        return pickle.loads(answer)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            with guard:
                stop.set()
                running = list(children)
            for child in running:
                with suppress(OSError):
                    child.send_signal(signal.SIGINT)
            for child in running:
                try:
                    child.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    child.kill()
            raise


def serve() -> None:
    """Do the job that comes through the standard input, and answer on the standard output."""
    import os  # noqa: PLC0415 - only here

    from detcore.dl1.writer.logs import handler  # noqa: PLC0415
    from detcore.dl1.writer.writing import write_run  # noqa: PLC0415 - that module is not needed to start processes

    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get into the answer
    level = pickle.load(sys.stdin.buffer)
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler(level)])  # other libraries tell too much
    logging.getLogger("detcore").setLevel(level)
    try:
        job = pickle.load(sys.stdin.buffer)
        with answer:
            pickle.dump(write_run(*job), answer)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
