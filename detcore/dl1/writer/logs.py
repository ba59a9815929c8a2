"""What commands and their processes say of themselves while they work."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


def _no_errors(record: logging.LogRecord) -> bool:
    """Errors are in the reports, which are printed at the end."""
    return record.levelno < logging.ERROR


def handler(level: int) -> logging.Handler:
    """Return what writes to the standard error: warnings, or all from `level` on, errors with their tracebacks."""
    made = logging.StreamHandler()
    made.setFormatter(logging.Formatter(FORMAT))
    made.setLevel(level)
    if level > logging.INFO:
        made.addFilter(_no_errors)
    return made


@contextmanager
def shown(debug: bool) -> Iterator[None]:
    """Show warnings of the project, and with `debug` all that it logs, as long as the block lasts."""
    logger = logging.getLogger("detcore")
    level, before, passing = logging.DEBUG if debug else logging.WARNING, logger.level, logger.propagate
    made = handler(level)
    logger.addHandler(made)
    logger.setLevel(level)
    logger.propagate = False  # a handler of the root would say it twice
    try:
        yield
    finally:
        logger.removeHandler(made)
        logger.setLevel(before)
        logger.propagate = passing
