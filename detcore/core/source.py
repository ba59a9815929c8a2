"""Where data comes from: sources, references to chunks, and recognition of files by their content."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    import xarray as xr


class UnknownFormat(ValueError):
    """No instrument recognises the input."""


class AmbiguousFormat(ValueError):
    """Several instruments recognise the input equally well."""


class TruncatedFile(OSError):
    """A file ends before its content does."""


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A piece of a source that can be read on its own, anywhere, later. Never holds a handle.

    Parameters
    ----------
    source
        Key of the source.
    part
        File, and table or detector in it.
    start, stop
        Rows.
    fingerprint
        Changes when the content of the part does.
    weight
        Share of the input, bytes; adds up to `Source.size`.
    time
        When the data was written, Unix seconds; nan when unknown.
    where
        What the source needs to find it again; opaque.
    """

    source: str
    part: str
    start: int
    stop: int
    fingerprint: str = ""
    weight: float = 0.0
    time: float = field(default=float("nan"), compare=False)
    where: Hashable = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of the error ledger.

    Parameters
    ----------
    part
        Which file or part of it.
    reason
        What was expected, what was found, what to do.
    chunks
        How many chunks were lost; 0 when none was, for a warning.
    weight
        Share of the input that was lost, bytes.
    """

    part: str
    reason: str
    chunks: int = 1
    weight: float = field(default=0.0, compare=False)

    @classmethod
    def of(cls, part: str, error: BaseException, weight: float = 0.0) -> Problem:
        """Describe an exception in one line."""
        words = " ".join(str(error).split())[:500] or type(error).__name__
        if not isinstance(error, (ValueError, OSError)):
            words = f"{type(error).__name__}: {words}"
        return cls(part, words.removeprefix(f"{part}: "), weight=weight)

    def __str__(self) -> str:
        return f"{self.part}: {self.reason}" + (f" ({self.chunks} chunks)" if self.chunks > 1 else "")


class Source(ABC):
    """Data of one shape that can be read in pieces from any thread. Frozen, picklable, never holds a handle."""

    replayable: ClassVar[bool] = True
    """False when a chunk can be read only once (messages)."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Name of the input, the same in every process."""

    @abstractmethod
    def schema(self) -> xr.Dataset:
        """Return a chunk of length zero, with metadata."""

    @abstractmethod
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        """Yield references to all chunks.

        Parameters
        ----------
        target_bytes
            Wished size of a chunk in memory; None: the instrument's own.

        Yields
        ------
        ChunkRef, Problem or None
            None means that nothing is ready yet (live sources); a Problem that a part cannot be read.
        """

    @abstractmethod
    def read(self, ref: ChunkRef, columns: frozenset[str]) -> xr.Dataset:
        """Return the chunk with (at least) the named columns, in native byte order, without index coordinates."""

    def pieces(self, ref: ChunkRef) -> Sequence[ChunkRef]:  # noqa: ARG002 - for those that can
        """Return the parts of a bad chunk that can be tried one by one; none if it is lost as a whole."""
        return ()

    def size(self) -> float | None:
        """Return the sum of all weights, bytes; None when it is not known (live)."""
        return None


class FileSource(Source):
    """A source made of files: what is left to say is how one of them is planned and read."""

    paths: tuple[str, ...]
    suffixes: ClassVar[tuple[str, ...]]
    """Which files of a folder are meant."""

    @property
    @override
    def key(self) -> str:
        return "|".join(self.paths)

    @abstractmethod
    def schema_of(self, path: str) -> xr.Dataset:
        """Return the schema of one file."""

    @abstractmethod
    def plan_file(self, path: str, start: int = 0, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem]:
        """Yield the chunks of one file from row `start` on."""

    @abstractmethod
    def whole(self, path: str) -> bool:
        """Return whether a file that may still be written can be read to its end."""

    def measure(self, path: str, facts: os.stat_result) -> int:  # noqa: ARG002 - for those that look inside
        """Return what grows when a file does; its size, unless the source knows better."""
        return facts.st_size

    def catch_up(self, unread: Mapping[str, int]) -> FileSource:  # noqa: ARG002 - for those that can leave rows out
        """Return the source of one look of a live feed, which has the files from the given rows on to read."""
        return self

    def files(self) -> list[str]:
        """Return the files now: named ones as given, folders walked, in natural order."""
        found: list[str] = []
        for path in self.paths:
            found += walk(path, self.suffixes) if Path(path).is_dir() else [path]
        return list(dict.fromkeys(found))

    @override
    def schema(self) -> xr.Dataset:
        reasons = []
        for path in self.files():
            try:
                return self.schema_of(path)
            except (OSError, ValueError) as error:
                reasons.append(str(Problem.of(path, error)))
        kinds = " or ".join(self.suffixes)
        msg = f"no readable file in {', '.join(self.paths)} (looked for {kinds}): {'; '.join(reasons[:5]) or 'none found'}"
        raise UnknownFormat(msg)

    @override
    def plan(self, target_bytes: int | None = None) -> Iterator[ChunkRef | Problem | None]:
        files = self.files()
        for path in self.paths:
            if (
                Path(path).is_dir()
                and not any(file.startswith(path) for file in files)
                and not walk(path, self.suffixes)
            ):
                yield Problem(path, f"expected {' or '.join(self.suffixes)} files in this folder, found none", 0)
        for path in files:
            try:
                yield from self.plan_file(path, 0, target_bytes)
            except Exception as error:  # noqa: BLE001 - any failure of a reader library is one line of the ledger
                yield Problem.of(path, error, weight=_bytes(path))

    @override
    def size(self) -> float | None:
        return float(sum(_bytes(path) for path in self.files()))


def _bytes(path: str) -> float:
    try:
        return float(Path(path).stat().st_size)
    except OSError:
        return 0.0


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key by which run 9 comes before run 10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text))


def walk(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files below a folder whose names end in one of `suffixes`, in natural order.

    A folder that cannot be listed is in the result itself, so that whoever reads it gets the reason. Hidden entries
    and links to folders are passed over.
    """
    found: list[str] = []

    def refuse(error: OSError) -> None:
        found.append(str(error.filename or folder))

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(where, name) for name in names if name.endswith(suffixes) and not name.startswith(".")]  # noqa: PTH118 - ten times faster than Path for large trees
    return sorted(found, key=natural)


@dataclass(frozen=True, slots=True)
class Match:
    """What a probe answers.

    Parameters
    ----------
    degree
        exact: this is the instrument's own format; generic: it can be read as such; no: it cannot.
    reason
        Why, in words.
    """

    degree: Literal["exact", "generic", "no"]
    reason: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an instrument registers in the entry-point group ``detcore.instruments``.

    Parameters
    ----------
    name, title
        Key and heading.
    probe
        path -> Match; looks at the content.
    open
        paths, options -> Source.
    demo
        folder -> files: writes realistic data in the instrument's own format, once.
    warm
        Compiles the kernels.
    commands
        () -> click group, the verbs of the command line.
    parameters
        Model of the filters that the command and the tab share.
    reduction
        parameters, schema -> the reduction that a viewer wants to see.
    """

    name: str
    title: str
    probe: Callable[[str], Match]
    open: Callable[..., Source]
    demo: Callable[[Path], Sequence[Path]]
    warm: Callable[[], None]
    commands: Callable[[], Any]
    parameters: Any
    reduction: Callable[..., Any]


@cache
def instruments(only: str | None = None) -> tuple[dict[str, Instrument], tuple[Problem, ...]]:
    """Return the installed instruments by name, and the plug-ins that could not be loaded.

    Loading all of them takes seconds; `only` loads the one of that name, if there is one.
    """
    found: dict[str, Instrument] = {}
    broken: list[Problem] = []
    entries = entry_points(group="detcore.instruments")
    for entry in sorted(entries if only is None else entries.select(name=only), key=lambda entry: entry.name):
        try:
            instrument = entry.load()
            if not isinstance(instrument, Instrument):
                msg = f"{entry.value} is a {type(instrument).__name__}; expected a detcore.core.source.Instrument"
                raise TypeError(msg)  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - a broken plug-in is reported, not fatal
            broken.append(Problem.of(f"plug-in {entry.name}", error))
        else:
            found[entry.name] = instrument
    return found, tuple(broken)


def open_source(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    instrument: str | None = None,
    **options: Any,
) -> Source:
    """Open files or folders, whatever instrument wrote them.

    Parameters
    ----------
    path
        A file, a folder, or several.
    instrument
        Decides, instead of the content.
    **options
        Passed on to the instrument, for instance ``detectors="table.csv"``.

    Returns
    -------
    Source
        Ready for `run` and `stream`.

    Raises
    ------
    FileNotFoundError
        There is no such file or folder.
    UnknownFormat
        Nothing recognises it; lists each format tried and why it declined.
    AmbiguousFormat
        Several recognise it equally well; name one.
    """
    paths = [os.fspath(path)] if isinstance(path, (str, os.PathLike)) else [os.fspath(one) for one in path]
    if not paths:
        msg = "no input given; name a file or a folder"
        raise UnknownFormat(msg)
    for one in paths:
        if not Path(one).exists():
            msg = f"{one}: no such file or folder"
            raise FileNotFoundError(msg)
    known, broken = instruments()
    if instrument is not None:
        if instrument not in known:
            msg = f"no instrument {instrument!r}; installed: {', '.join(known) or 'none'}"
            raise UnknownFormat(msg)
        return known[instrument].open(paths, **options)
    reasons: dict[str, str] = {}
    for one in paths:  # the first that is recognised decides: one broken file among many is a line of the ledger
        answers = {name: _probe(each, one) for name, each in known.items()}
        for degree in ("exact", "generic"):
            fitting = [name for name, answer in answers.items() if answer.degree == degree]
            if len(fitting) == 1:
                return known[fitting[0]].open(paths, **options)
            if fitting:
                msg = f"{one}: fits {' and '.join(fitting)}; say which with instrument={fitting[0]!r}"
                raise AmbiguousFormat(msg)
        reasons = reasons or {name: answer.reason for name, answer in answers.items()}
    tried = "; ".join([f"{name}: {reason}" for name, reason in reasons.items()] + [str(one) for one in broken])
    msg = f"{paths[0]}: no instrument recognises it. Tried {tried or 'none: no instrument is installed'}"
    raise UnknownFormat(msg)


def _probe(instrument: Instrument, path: str) -> Match:
    try:
        return instrument.probe(path)
    except Exception as error:  # noqa: BLE001 - a broken plug-in is reported, not fatal
        return Match("no", f"its probe failed with {type(error).__name__}: {error}")
