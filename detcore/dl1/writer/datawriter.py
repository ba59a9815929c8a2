"""DL1DataWriter: simulated events in, CTA-ML files out, several runs at once."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from detcore.dl1.writer import processes, simtel
from detcore.dl1.writer.dumper import CTAMLDataDumper
from detcore.dl1.writer.writing import RunReport, write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

logger = logging.getLogger(__name__)

OUTPUT_FILE_SIZE: Final = 10 << 30
"""Bytes after which a file is full."""
WRITE_MODES: Final = ("parallel", "serial")


class WriteFailed(OSError):
    """Some runs failed; the others are complete.

    Attributes
    ----------
    reports
        Of all runs, in the order of the run list.
    """

    def __init__(self, reports: Sequence[RunReport]) -> None:
        failed = [report for report in reports if report.error]
        first = "; ".join(report.error for report in failed[:5])
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        super().__init__(f"{len(failed)} of {len(reports)} runs failed: {first}{more}")
        self.reports = list(reports)

    def __reduce__(self) -> tuple[Any, ...]:
        return WriteFailed, (self.reports,)


class DL1DataWriter:
    """Converts events to DL1 files; options as of DL1 Data Handler.

    Parameters
    ----------
    event_source_class
        Anything that gives events when it is called with the name of an input: a class of ctapipe, or a function that
        returns an iterable. It has a ``subarray`` (or its events ``inst.subarray``), and may have a
        ``simulation_config`` (or its events ``mcheader``), a method ``calibrate(event)`` and a method ``mc_events()``.
        None: simtel files by ctapipe.
    event_source_settings
        Its other arguments.
    data_dumper_class
        What writes a file: a `DL1DataDumper`.
    data_dumper_settings
        Its arguments besides the name of the file.
    calibration_settings
        ``extractor_product`` and settings of ctapipe's calibrator, see `detcore.dl1.writer.simtel.extractor_of`. Events that
        have images already are not calibrated.
    preselection_cut_function
        Event -> whether it is written; sees calibrated events.
    output_file_size
        Bytes after which the next event begins a new file; None: no limit.
    events_per_file
        Events after which the next one begins a new file; None: no limit.
    gain_thresholds
        camera name -> ADC counts of the high gain, above which a pixel takes its low gain (version 0.7.3).
    save_mc_events
        Write what was simulated of events that did not trigger, too (version 0.7.4).
    write_mode
        "parallel": several runs at once, each in its own process; "serial": one after the other (version 0.8).
    workers
        How many runs at once; None: as many as there are cores.

    Raises
    ------
    ValueError
        A setting has no meaning.

    Examples
    --------
    >>> writer = DL1DataWriter(events_per_file=500)
    >>> runs = [{"inputs": ["file1.simtel.gz", "file2.simtel.gz"], "target": "output.h5"}]
    >>> reports = writer.process_data(runs)  # doctest: +SKIP
    """

    def __init__(
        self,
        event_source_class: Callable[..., Any] | None = None,
        event_source_settings: Mapping[str, Any] | None = None,
        data_dumper_class: Callable[..., Any] = CTAMLDataDumper,
        data_dumper_settings: Mapping[str, Any] | None = None,
        calibration_settings: Mapping[str, Any] | None = None,
        preselection_cut_function: Callable[[Any], bool] | None = None,
        output_file_size: int | None = OUTPUT_FILE_SIZE,
        events_per_file: int | None = None,
        gain_thresholds: Mapping[str, float] | None = None,
        save_mc_events: bool = False,
        write_mode: str = "parallel",
        workers: int | None = None,
    ) -> None:
        for name, value in (
            ("output_file_size", output_file_size),
            ("events_per_file", events_per_file),
            ("workers", workers),
        ):
            if value is not None and value < 1:
                msg = f"{name}: expected at least 1 or None, found {value!r}"
                raise ValueError(msg)
        if write_mode not in WRITE_MODES:
            msg = f"write_mode: expected {' or '.join(WRITE_MODES)}, found {write_mode!r}"
            raise ValueError(msg)
        self.event_source_class = event_source_class
        self.event_source_settings = dict(event_source_settings or {})
        self.data_dumper_class = data_dumper_class
        self.data_dumper_settings = dict(data_dumper_settings or {})
        self.calibration_settings = dict(simtel.CALIBRATION if calibration_settings is None else calibration_settings)
        self.preselection_cut_function = preselection_cut_function
        self.output_file_size = output_file_size
        self.events_per_file = events_per_file
        self.gain_thresholds = None if gain_thresholds is None else dict(gain_thresholds)
        self.save_mc_events = save_mc_events
        self.write_mode = write_mode
        self.workers = workers

    def open_events(self, path: str) -> Any:
        """Return the events of an input."""
        if self.event_source_class is None:
            return simtel.SimtelEvents(
                path,
                calibration_settings=self.calibration_settings,
                gain_thresholds=self.gain_thresholds,
                **self.event_source_settings,
            )
        return self.event_source_class(path, **self.event_source_settings)

    def dumper_settings(self) -> dict[str, Any]:
        """Return the arguments of the dumper besides the name of the file."""
        ours = isinstance(self.data_dumper_class, type) and issubclass(self.data_dumper_class, CTAMLDataDumper)
        more = {"save_mc_events": True} if self.save_mc_events and ours else {}
        return more | self.data_dumper_settings

    def process_data(self, run_list: Iterable[Mapping[str, Any]]) -> list[RunReport]:
        """Write all runs of a list.

        A file gets its name when it is complete. Inputs and events that cannot be used are in the reports; a run that
        fails does not keep the others from being written.

        Parameters
        ----------
        run_list
            Mappings with ``inputs``, the names of files, and ``target``, the name of the output.

        Returns
        -------
        list of RunReport
            One for each run.

        Raises
        ------
        ValueError
            The run list is empty or not as expected, or ctapipe is needed and not installed. Nothing was done.
        WriteFailed
            Runs failed; said when all are done.
        """
        runs = checked_runs(run_list)
        if self.event_source_class is None:
            simtel.require()
        reserved = frozenset(target for _, target in runs)
        workers = min(self.workers or os.cpu_count() or 1, len(runs))
        jobs = [(self, inputs, target, reserved) for inputs, target in runs]
        pickled = processes.pickled(jobs) if self.write_mode == "parallel" and workers > 1 else None
        if pickled is None:
            reports = [write_run(*job) for job in jobs]
        else:
            logger.info("%d runs, %d at once", len(runs), workers)
            answers = processes.run(pickled, workers)
            reports = [
                answer if isinstance(answer, RunReport) else RunReport(target, error=f"{target}: {answer}")
                for answer, (_, target) in zip(answers, runs, strict=True)
            ]
        if any(report.error for report in reports):
            raise WriteFailed(reports)
        return reports


def checked_runs(run_list: Any) -> list[tuple[list[str], str]]:
    """Return inputs and target of each run.

    Raises
    ------
    ValueError
        There is no run, one has no inputs or no target, or two have the same target.
    """
    runs: list[tuple[list[str], str]] = []
    places: dict[str, int] = {}
    if isinstance(run_list, (str, bytes, dict)) or not hasattr(run_list, "__iter__"):
        msg = f"run list: expected a list of runs, found {str(run_list)[:80]!r}"
        raise ValueError(msg)
    for number, run in enumerate(run_list, 1):
        try:
            inputs, target = run["inputs"], run["target"]
        except (TypeError, KeyError, IndexError):
            msg = f"run {number}: expected a mapping with inputs and target, found {str(run)[:80]!r}"
            raise ValueError(msg) from None
        if isinstance(inputs, (str, os.PathLike)) or not hasattr(inputs, "__iter__"):
            msg = f"run {number}: expected a list of files as inputs, found {str(inputs)[:80]!r}"
            raise ValueError(msg)
        files = list(inputs)
        if not files or not all(isinstance(one, (str, os.PathLike)) for one in [*files, target]) or not str(target):
            msg = f"run {number}: expected names of files as inputs and target, found {files[:3]!r} and {target!r}"
            raise ValueError(msg)
        place = os.path.realpath(target)
        if place in places:
            msg = f"runs {places[place]} and {number} have the same target {target}; give each its own"
            raise ValueError(msg)
        places[place] = number
        runs.append(([os.fspath(one) for one in files], os.fspath(target)))
    if not runs:
        msg = "the run list is empty; expected at least one run with inputs and target"
        raise ValueError(msg)
    return runs
