"""One run of the writer: inputs one after the other into an output, which is split when it is full."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detcore.core.source import Problem
from detcore.dl1.writer import simtel
from detcore.dl1.writer.eventsources import Calibration, header_of, instrument_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detcore.dl1.writer.basedumper import DL1DataDumper
    from detcore.dl1.writer.datawriter import DL1DataWriter

logger = logging.getLogger(__name__)


@dataclass
class RunReport:
    """What became of a run.

    Parameters
    ----------
    target
        As asked for.
    files
        Complete ones, in the order in which they were filled.
    events
        How many were written.
    cut
        How many the cut function refused.
    problems
        Inputs and events that could not be used.
    error
        Why the run failed; empty if it did not.
    """

    target: str
    files: list[str] = field(default_factory=list)
    events: int = 0
    cut: int = 0
    problems: list[Problem] = field(default_factory=list)
    error: str = ""


def name_of_part(target: Path, number: int) -> Path:
    """Return the name of the second, third, ... file of a target.

    Examples
    --------
    >>> str(name_of_part(Path("gamma_run_12___cta-prod3.1.h5"), 2))
    'gamma_run_12___cta-prod3.1_2.h5'
    """
    return target.with_name(f"{target.stem}_{number}{target.suffix}")


class Output:
    """The files of a run: the first has the name of the target, further ones a number; none replaces another.

    Parameters
    ----------
    writer
        Says how to write, and when a file is full.
    target
        Of the run; a file of this name is replaced when the new one is complete.
    reserved
        Names that belong to other runs.
    report
        Is told of complete files.
    """

    def __init__(self, writer: DL1DataWriter, target: Path, reserved: frozenset[str], report: RunReport) -> None:
        self.writer, self.target, self.reserved, self.report = writer, target, reserved, report
        self._number = 0
        self._dumper: DL1DataDumper | None = None
        self._aside: Path | None = None
        self._events = 0
        self._input: tuple[str, Any, Any] | None = None

    def begin(self, path: str, instrument: Any, header: Any) -> None:
        """Begin an input.

        Raises
        ------
        ValueError
            Its array does not fit the output.
        """
        known = self._input
        self._input = (path, instrument, header)
        try:
            if self._dumper is None:
                self._open()
            else:
                self._describe(self._dumper)
        except ValueError:
            self._input = known
            if known is None:
                self.abandon()
            raise

    def _open(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        aside = self.target.with_name(f".{self.target.stem[:40]}.{secrets.token_hex(4)}{self.target.suffix}")
        self._aside, self._events = aside, 0
        self._dumper = self.writer.data_dumper_class(str(aside), **self.writer.dumper_settings())
        self._describe(self._dumper)

    def _describe(self, dumper: DL1DataDumper) -> None:
        assert self._input is not None
        path, instrument, header = self._input
        dumper.dump_instrument_info(instrument)
        dumper.dump_header_info(path)
        dumper.dump_mc_header_info(header)

    def dump(self, event: Any) -> None:
        """Write an event, into a new file if the last one is full.

        Raises
        ------
        ValueError
            The event does not fit; nothing of it is written.
        """
        if self._full():
            self._complete()
            self._open()
        assert self._dumper is not None
        self._dumper.dump_event(event)
        self._events += 1
        self.report.events += 1

    def dump_mc_event(self, event: Any) -> None:
        """Write what was simulated of an event."""
        assert self._dumper is not None
        self._dumper.dump_mc_event(event)

    def _full(self) -> bool:
        assert self._dumper is not None
        most, limit = self.writer.events_per_file, self.writer.output_file_size
        if not self._events:
            return False
        if most is not None and self._events >= most:
            return True
        if limit is None or _size(self._dumper) <= limit:
            return False
        flush = getattr(self._dumper, "flush", None)  # what waits in memory was counted as if nothing compressed it
        if flush is not None:
            flush()
        return _size(self._dumper) > limit

    def finish(self) -> None:
        """Complete the last file."""
        if self._dumper is not None:
            self._complete()

    def _complete(self) -> None:
        assert self._dumper is not None
        assert self._aside is not None
        _close(self._dumper)
        self._dumper = None
        self._number += 1
        place = self._publish(self._aside)
        self._aside = None
        logger.info("%s: complete, %d events", place, self._events)
        self.report.files.append(str(place))

    def _publish(self, aside: Path) -> Path:
        if self._number == 1:
            aside.replace(self.target)
            return self.target
        while True:
            place = name_of_part(self.target, self._number)
            if str(place) not in self.reserved:
                with suppress(FileExistsError):
                    _rename_if_free(aside, place)
                    return place
            logger.warning("%s is there already and is kept; taking the next number", place)
            self._number += 1

    def abandon(self) -> None:
        """Remove the file that is not complete."""
        if self._dumper is not None:
            with suppress(Exception):  # the reason for giving up is more important than a second error on the way
                getattr(self._dumper, "abandon", self._dumper.close)()
            self._dumper = None
        if self._aside is not None:
            self._aside.unlink(missing_ok=True)
            self._aside = None


def _size(dumper: Any) -> int:
    size = getattr(dumper, "size", None)
    return int(size()) if size is not None else Path(dumper.output_filename).stat().st_size


def _close(dumper: Any) -> None:
    close = getattr(dumper, "close", None)
    if close is not None:
        close()


def _rename_if_free(aside: Path, place: Path) -> None:
    """Rename a file; raise FileExistsError rather than replace another."""
    try:
        os.link(aside, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if place.exists():
            raise FileExistsError(place) from None
        aside.rename(place)
    else:
        aside.unlink()


def write_run(writer: DL1DataWriter, inputs: list[str], target: str, reserved: frozenset[str]) -> RunReport:
    """Write one run.

    Parameters
    ----------
    writer
        Says how.
    inputs, target
        Of the run.
    reserved
        Targets of all runs.

    Returns
    -------
    RunReport
        With its error, if it failed; half a file is never left.
    """
    report = RunReport(target)
    output = Output(writer, Path(target), reserved, report)
    try:
        for path in inputs:
            logger.info("%s: reading %s", target, path)
            _write_input(writer, path, output)
        output.finish()
    except Exception as error:
        output.abandon()
        logger.exception("%s: the run failed", target)
        report.error = str(Problem.of(target, error))
    except BaseException:
        output.abandon()
        raise
    if not report.files and not report.error:
        report.error = f"{target}: no input could be read: " + "; ".join(map(str, report.problems[:5]))
    return report


def _write_input(writer: DL1DataWriter, path: str, output: Output) -> None:
    tell = output.report.problems.append
    with ExitStack() as stack:
        told = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        try:
            source = writer.open_events(path)
            if hasattr(source, "__exit__"):
                source = stack.enter_context(source)
            events: Iterator[Any] = iter(source)
            event = next(events, None)
        except simtel.MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - event sources fail with errors of many libraries
            _refuse(tell, path, error)
            return
        if event is None:
            tell(Problem(path, "holds no events"))
            return
        try:
            instrument = instrument_of(source, event)
            output.begin(path, instrument, header_of(source, event))
        except ValueError as error:
            _refuse(tell, path, error)
            return
        _write_mc_events(writer, source, path, output)
        calibrate = Calibration(source, instrument, writer.calibration_settings, writer.gain_thresholds)
        lost: dict[str, int] = {}
        while event is not None:
            try:
                calibrate(event)
            except simtel.MissingExtra:
                raise
            except Exception as error:  # noqa: BLE001 - one event that ctapipe cannot calibrate is one event
                reason = Problem.of(path, error).reason
                lost[reason] = lost.get(reason, 0) + 1
            else:
                _write_event(writer, event, output, lost)
            try:
                event = next(events, None)
            except Exception as error:  # noqa: BLE001 - what was read so far is kept
                _refuse(tell, path, error)
                break
        for reason, count in lost.items():
            tell(Problem(path, f"{count} event{'s' if count > 1 else ''} left out: {reason}", 0))
    for words in dict.fromkeys(" ".join(str(one.message).split())[:300] for one in told):
        tell(Problem(path, words, 0))


def _write_event(writer: DL1DataWriter, event: Any, output: Output, lost: dict[str, int]) -> None:
    cut = writer.preselection_cut_function
    if cut is not None:
        try:
            kept = cut(event)
        except Exception as error:
            msg = f"preselection_cut_function failed with {type(error).__name__}: {error}"
            raise RuntimeError(msg) from error
        if not kept:
            output.report.cut += 1
            return
    try:
        output.dump(event)
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        lost[reason] = lost.get(reason, 0) + 1


def _refuse(tell: Any, path: str, error: Exception) -> None:
    problem = Problem.of(path, error)
    logger.error("%s", problem)
    tell(problem)


def _write_mc_events(writer: DL1DataWriter, source: Any, path: str, output: Output) -> None:
    if not writer.save_mc_events:
        return
    simulated = getattr(source, "mc_events", None)
    if simulated is None:
        reason = "save_mc_events: this event source has no mc_events(), so only triggered events are written"
        output.report.problems.append(Problem(path, reason, 0))
        return
    events = iter(simulated())
    while True:
        try:
            event = next(events, None)
        except Exception as error:  # noqa: BLE001 - as for triggered events
            _refuse(output.report.problems.append, path, error)
            return
        if event is None:
            return
        output.dump_mc_event(event)
