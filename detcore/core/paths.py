"""Paths from people and links are confined to the data roots; outputs are written aside and renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` when the block ends well.

    Readers see the old file or the new one, never half of one. If the block raises, the temporary file is
    removed and `path` is as it was.

    Parameters
    ----------
    path
        The file to be written; its folder is made if it is missing.

    Yields
    ------
    Path
        Where to write. It ends in the suffix of `path`, because many writers choose their format by it.

    Raises
    ------
    OSError
        Nothing can be written there; it names `path` and the reason, where each library would say it in its own way.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic(target) as aside:
    ...     _ = aside.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    aside = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder; name a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.touch()
        aside.unlink()  # whoever writes nothing must not leave an empty file
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename} is no folder", os.fspath(path)) from None
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    try:
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def regular(path: str) -> os.stat_result:
    """Return the facts of a file; refuse devices, pipes and folders, which a link may lead to.

    Raises
    ------
    OSError
        There is none, or it is not a file.
    """
    facts = os.stat(path)  # noqa: PTH116 - called often
    if not stat.S_ISREG(facts.st_mode):
        found = "a folder" if stat.S_ISDIR(facts.st_mode) else "a device or pipe"
        msg = f"{path}: expected a regular file, found {found}"
        raise OSError(msg)
    return facts


@dataclass(frozen=True)
class Roots:
    """The folders that a server may read from.

    Parameters
    ----------
    paths
        Folders, resolved; symbolic links that lead out of them are refused.
    """

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> Roots:
        """Resolve the folders once, so that later comparisons are between real places."""
        return cls(tuple(Path(path).expanduser().resolve() for path in paths))

    def resolve(self, path: str | os.PathLike[str]) -> Path:
        """Return the real place of `path` if it is inside a root.

        Parameters
        ----------
        path
            Absolute, or relative to the first root.

        Returns
        -------
        Path
            With every link followed.

        Raises
        ------
        PermissionError
            The path is outside every root, or there is no root.
        """
        text = os.fspath(path)
        if "\0" in text:
            msg = "a path holds a null byte; choose a file from the list"
            raise PermissionError(msg)
        for root in self.paths:
            try:
                place = (root / text).resolve()
            except (OSError, RuntimeError):  # links that lead to each other
                continue
            if place.is_relative_to(root):
                return place
        names = ", ".join(map(str, self.paths)) or "none configured"
        msg = f"{text!r} is outside the data roots ({names}); add its folder with --root or DETCORE_ROOTS"
        raise PermissionError(msg)
