"""A file browser that cannot leave the data roots. Drawn by assets/files.js; every answer is checked here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import panel as pn
import param

from dashboard.settings import asset
from detcore.core.source import natural

if TYPE_CHECKING:
    from collections.abc import Callable

    from detcore.core.paths import Roots

LISTED = 2000  # entries of a folder that are shown; the rest is counted


@dataclass(frozen=True)
class Entry:
    """A line of the list; `size` in bytes, `time` in Unix seconds."""

    path: Path
    folder: bool
    size: int
    time: float


@dataclass(frozen=True)
class Listing:
    """What a folder holds; `message` says what is wrong or left out."""

    folder: Path | None
    entries: tuple[Entry, ...]
    message: str = ""


def listing(roots: Roots, folder: Path | None, suffixes: tuple[str, ...] = (), limit: int = LISTED) -> Listing:
    """List a folder: folders first, then files, in natural order; hidden entries are passed over.

    Parameters
    ----------
    roots
        What may be listed.
    folder
        None lists the roots themselves.
    suffixes
        Endings of the files to show; none shows all.
    limit
        Most entries to give.

    Raises
    ------
    PermissionError
        The folder is outside the roots.
    """
    if folder is None:
        return Listing(None, tuple(_entry(root) for root in roots.paths))
    place = roots.resolve(folder)
    found: list[Entry] = []
    try:
        with os.scandir(place) as entries:
            for each in entries:
                if each.name.startswith("."):
                    continue
                try:
                    entry = _entry(roots.resolve(each.path) if each.is_symlink() else Path(each.path), Path(each.path))
                except OSError:
                    continue  # a link out of the roots, or removed a moment ago
                if entry.folder or not suffixes or each.name.endswith(suffixes):
                    found.append(entry)
    except OSError as error:
        return Listing(place, (), f"cannot be listed: {error.strerror or error}")
    found.sort(key=lambda entry: (not entry.folder, natural(entry.path.name)))
    more = len(found) - limit
    message = f"{more} more entries are not shown; type part of a name into the filter box" if more > 0 else ""
    return Listing(place, tuple(found[:limit]), message)


def _entry(real: Path, shown: Path | None = None) -> Entry:
    facts = real.stat()
    return Entry(shown or real, real.is_dir(), facts.st_size, facts.st_mtime)


class FileBrowser(pn.custom.JSComponent):
    """Lets a viewer choose files or a folder inside the roots.

    Parameters
    ----------
    roots
        What may be read.
    on_choose
        Called with the chosen paths, checked again, and whether to follow them live.
    suffixes
        Endings of the files to show.
    start
        The folder that is listed first; None for the roots, or for the only one.
    """

    shown = param.Dict(default={}, doc="The list as sent to the page; see `_show`.")

    _esm = asset("files.js")
    _stylesheets: ClassVar[list[str]] = [asset("files.css").read_text()]

    def __init__(
        self,
        roots: Roots,
        on_choose: Callable[[tuple[Path, ...], bool], None],
        suffixes: tuple[str, ...] = (),
        start: Path | None = None,
        **params: Any,
    ) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self._roots, self._on_choose, self._suffixes = roots, on_choose, suffixes
        self._number = 0
        self._listing = Listing(None, ())
        self.go(start or (roots.paths[0] if len(roots.paths) == 1 else None))

    def go(self, folder: Path | None) -> None:
        """List another folder."""
        try:
            self._listing = listing(self._roots, folder, self._suffixes)
        except OSError as error:
            self._listing = Listing(self._listing.folder, self._listing.entries, str(error))
        self._show()

    def look_again(self, roots: Roots) -> None:
        """List the same folder as it is now; `roots` is what may be read by now."""
        self._roots = roots
        self.go(self._listing.folder)

    def _handle_msg(self, data: Any) -> None:
        # A page may send anything. It knows entries only by their place in the list that it was sent last.
        if not isinstance(data, dict) or data.get("number") != self._number:
            return
        match data:
            case {"do": "go", "to": int(index)} if 0 <= index < len(self._listing.entries):
                entry = self._listing.entries[index]
                if entry.folder:
                    self.go(entry.path)
            case {"do": "up", "to": int(index)}:
                parents = self._parents()
                if index == -1 and len(self._roots.paths) > 1:
                    self.go(None)
                elif 0 <= index < len(parents):
                    self.go(parents[index])
            case {"do": "again"}:
                self.go(self._listing.folder)
            case {"do": "choose", "which": list(which), "live": bool(live)}:
                self._choose(which, live)

    def _choose(self, which: list[Any], live: bool) -> None:
        entries = self._listing.entries
        chosen = [entries[index].path for index in which if isinstance(index, int) and 0 <= index < len(entries)]
        if not chosen and self._listing.folder is not None:
            chosen = [self._listing.folder]
        try:
            paths = tuple(self._roots.resolve(path) for path in chosen)
        except OSError as error:
            self._listing = Listing(self._listing.folder, entries, str(error))
            self._show()
            return
        if paths:
            self._on_choose(paths, live)

    def _parents(self) -> list[Path]:
        """Return the folders from the root down to this one."""
        folder = self._listing.folder
        if folder is None:
            return []
        root = next((root for root in self._roots.paths if folder.is_relative_to(root)), folder)
        return [
            root,
            *(parent for parent in reversed(folder.parents) if parent.is_relative_to(root) and parent != root),
        ] + ([folder] if folder != root else [])

    def _show(self) -> None:
        self._number += 1
        top = self._listing.folder is None
        self.shown = {
            "number": self._number,
            "crumbs": [_text(parent) for parent in self._parents()],
            "roots": len(self._roots.paths) > 1,
            "entries": [
                [str(entry.path) if top else _text(entry.path), entry.folder, entry.size, entry.time]
                for entry in self._listing.entries
            ],
            "message": self._listing.message,
        }


def _text(path: Path) -> str:
    # Names on disk need not be valid text; what cannot be shown becomes a question mark, the index still finds it.
    return (path.name or str(path)).encode("utf-8", "replace").decode()
