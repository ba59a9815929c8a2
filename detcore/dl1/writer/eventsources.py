"""What the writer asks of a source of events: array, header, and images where there are only waveforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.dl1.files import containers
from detcore.dl1.writer import simtel

if TYPE_CHECKING:
    from collections.abc import Mapping


class Calibration:
    """Calibrates events that have no images yet: by the source's own method, else by ctapipe; call it with an event.

    Parameters
    ----------
    source
        What gives the events.
    instrument
        Its array.
    settings, thresholds
        ``calibration_settings`` and ``gain_thresholds`` of the writer.
    """

    def __init__(
        self,
        source: Any,
        instrument: Any,
        settings: Mapping[str, Any] | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self._settings, self._thresholds = settings, thresholds
        self._instrument = containers.subarray_of(instrument)
        self._own = getattr(source, "calibrate", None)
        self._cameras = {one.tel_id: one.camera for one in containers.telescopes_of(instrument)}

    def __call__(self, event: Any) -> None:
        """Calibrate an event in place, and choose its gain."""
        images = containers.images_by_telescope(event)
        seen = containers.triggered(event)
        if seen and not any(getattr(images.get(tel_id), "image", None) is not None for tel_id in seen):
            if self._own is None:
                self._own = simtel.Calibrator(self._instrument, self._settings)
            self._own(event)
        elif self._thresholds is not None:
            select_gain(event, self._thresholds, self._cameras)


def select_gain(event: Any, thresholds: Mapping[str, float], cameras: Mapping[int, str]) -> None:
    """Take the low gain of pixels that have a raw sample above the threshold of their camera, in place.

    Only of images with two gains whose raw waveforms are there; cameras that are not named keep the high gain.
    """
    raw = getattr(getattr(event, "r0", None), "tel", None) or {}
    for tel_id, one in containers.images_by_telescope(event).items():
        waveform = getattr(raw.get(tel_id), "waveform", None)
        limit = thresholds.get(cameras.get(int(tel_id), ""))
        if limit is None or waveform is None or np.ndim(one.image) < 2 or len(one.image) < 2:
            continue
        low = (np.asarray(waveform)[0] > limit).any(axis=1)
        for name in ("image", "peakpos", "peak_time"):
            values = getattr(one, name, None)
            if values is not None and np.ndim(values) == 2:
                setattr(one, name, np.where(low, values[1], values[0]))


def instrument_of(source: Any, event: Any) -> Any:
    """Return the array: what the source says is to be written, its subarray as in ctapipe today, or the event's as in 0.6.

    Raises
    ------
    ValueError
        There is none.
    """
    found = getattr(source, "instrument", None)
    found = getattr(source, "subarray", None) if found is None else found
    found = getattr(event, "inst", None) if found is None else found
    if found is None:
        msg = "the event source describes no array; expected source.subarray, or event.inst.subarray"
        raise ValueError(msg)
    return found


def header_of(source: Any, event: Any) -> dict[str, Any]:
    """Return the header of the simulation, as a mapping; empty if there is none."""
    found = getattr(event, "mcheader", None)
    configured = getattr(source, "simulation_config", None)
    if found is None and configured:
        obs_id = containers.ids_of(event)[0]
        found = configured.get(obs_id, next(iter(configured.values()))) if hasattr(configured, "values") else configured
    found = getattr(source, "mcheader", None) if found is None else found
    header = containers.fields_of(found)
    if header.get("run_array_direction") is None:
        direction = containers.direction_of(event)
        if direction is not None:
            header["run_array_direction"] = direction
    return header
