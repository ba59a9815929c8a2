"""Simulated events of sim_telarray files by way of ctapipe, which is optional and imported on first use.

The calibration is ctapipe's, which the collaboration maintains: of DL1 Data Handler's own settings the extractor is
translated to its name of today, and the r1 calibrator, which has none, is passed over.
"""

from __future__ import annotations

import importlib
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detcore.dl1.files import containers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)

# name in ctapipe 0.6 -> name today, with the same defaults
EXTRACTORS: Final = {
    "NeighbourPeakIntegrator": "NeighborPeakWindowSum",
    "LocalPeakIntegrator": "LocalPeakWindowSum",
    "GlobalPeakIntegrator": "GlobalPeakWindowSum",
    "FullIntegrator": "FullWaveformSum",
    "SimpleIntegrator": "FixedWindowSum",
}
CALIBRATION: Final = {"r1_product": "HESSIOR1Calibrator", "extractor_product": "NeighbourPeakIntegrator"}
"""Settings of the original."""


class MissingExtra(ImportError, ValueError):
    """An optional library is not installed."""


def _libraries() -> tuple[Any, Any, Any]:
    try:  # 3 s, and optional
        reader, calibration, eventio = map(importlib.import_module, ("ctapipe.io", "ctapipe.calib", "eventio"))
    except ImportError as error:
        msg = (
            f"simtel files are read by ctapipe and eventio, which are not installed ({error}). Install them with "
            "pip install 'detcore[cta]', or give an event_source_class that yields events"
        )
        raise MissingExtra(msg) from error
    return reader.SimTelEventSource, calibration.CameraCalibrator, eventio.SimTelFile


def require() -> None:
    """Raise MissingExtra unless ctapipe and eventio are installed."""
    _libraries()


def available() -> bool:
    """Return whether ctapipe and eventio are installed."""
    try:
        _libraries()
    except MissingExtra:
        return False
    return True


def extractor_of(settings: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Return the name that ctapipe has today for the extractor of calibration settings, and other settings of it.

    Parameters
    ----------
    settings
        ``extractor_product`` by its old name or that of today; what else there is goes to the calibrator.
        ``r1_product`` has no meaning any more.
    """
    rest = dict(CALIBRATION if settings is None else settings)
    product = rest.pop("r1_product", None)
    if product is not None:
        logger.info("r1_product %s: ctapipe calibrates to R1 when it reads", product)
    name = str(rest.pop("extractor_product", CALIBRATION["extractor_product"]))
    return EXTRACTORS.get(name, name), rest


class Calibrator:
    """Turns waveforms into charge and peak time by ctapipe; call it with an event.

    Parameters
    ----------
    subarray
        Of ctapipe.
    settings
        See `extractor_of`.

    Raises
    ------
    MissingExtra
        ctapipe is not installed.
    ValueError
        There is no such extractor or setting.
    """

    def __init__(self, subarray: Any, settings: Mapping[str, Any] | None = None) -> None:
        name, rest = extractor_of(settings)
        _, calibrator, _ = _libraries()
        try:
            self._calibrate = calibrator(subarray=subarray, image_extractor_type=[("type", "*", name)], **rest)
        except Exception as error:  # ctapipe answers a wrong setting with errors of traitlets
            msg = f"calibration_settings: ctapipe has no extractor {name!r} with {rest or 'no other settings'}: {error}"
            raise ValueError(msg) from error

    def __call__(self, event: Any) -> None:
        """Calibrate an event in place."""
        self._calibrate(event)


class SimtelEvents:
    """Calibrated events of a sim_telarray file; a context manager and an iterable.

    Parameters
    ----------
    path
        The file: .simtel.gz or .simtel.zst.
    calibration_settings
        See `extractor_of`.
    gain_thresholds
        camera name -> ADC counts: pixels with a sample above it take their low gain, cameras that are not named their
        high gain. None: ctapipe's own choice.
    derotate
        Write pixels where ctapipe has them, which turns a camera by its own rotation: then x is up in altitude. False:
        as sim_telarray and files of version 0.7.2 have them.
    **settings
        For ctapipe's `SimTelEventSource`.

    Attributes
    ----------
    instrument
        What is written of the array.
    subarray
        ctapipe's own.

    Raises
    ------
    MissingExtra
        ctapipe is not installed.
    OSError, ValueError
        The file cannot be read.
    """

    def __init__(
        self,
        path: str,
        *,
        calibration_settings: Mapping[str, Any] | None = None,
        gain_thresholds: Mapping[str, float] | None = None,
        derotate: bool = False,
        **settings: Any,
    ) -> None:
        make, _, self._eventio = _libraries()
        self.path = path
        if gain_thresholds is not None:
            settings = {"select_gain": False, **settings}
        try:
            self.source = make(input_url=path, **settings)
        except RuntimeError as error:
            if "focal" not in str(error) or "focal_length_choice" in settings:
                raise
            logger.warning("%s: has no effective focal lengths; the equivalent ones are taken", path)
            self.source = make(input_url=path, focal_length_choice="EQUIVALENT", **settings)
        self.subarray = self.source.subarray
        self.simulation_config = self.source.simulation_config
        descriptions = getattr(getattr(self.source, "file_", None), "telescope_descriptions", {})
        self.instrument = self.subarray if derotate else as_simulated(self.subarray, descriptions)
        self._calibrate = Calibrator(self.subarray, calibration_settings)
        self._thresholds = gain_thresholds
        self._cameras = {one.tel_id: one.camera for one in containers.telescopes_of(self.subarray)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()

    def __iter__(self) -> Iterator[Any]:
        for event in self.source:
            if self._thresholds is not None:
                self._select_gain(event)
            yield event

    def calibrate(self, event: Any) -> None:
        """Calibrate an event in place."""
        self._calibrate(event)

    def _select_gain(self, event: Any) -> None:
        for tel_id, r1 in event.r1.tel.items():
            raw, waveform = event.r0.tel[tel_id].waveform, r1.waveform
            if waveform is None or raw is None or waveform.shape[0] < 2:
                continue
            limit = (self._thresholds or {}).get(self._cameras[tel_id], np.inf)
            channel = (raw[0] > limit).any(axis=1).astype(np.int8)
            r1.waveform = waveform[channel, np.arange(waveform.shape[1])][np.newaxis]
            r1.selected_gain_channel = channel

    def mc_events(self) -> Iterator[Any]:
        """Yield what was simulated, triggered or not, in the form that `DL1DataDumper.dump_mc_event` takes."""
        with _every_event(self._eventio, self.path) as file:
            run = int(file.header["run"])
            for one in file.iter_mc_events() if hasattr(file, "iter_mc_events") else file:
                if one.get("mc_shower") is None or one.get("mc_event") is None:
                    continue
                shower, event = one["mc_shower"], one["mc_event"]
                truth = SimpleNamespace(
                    energy=shower["energy"],
                    alt=shower["altitude"],
                    az=shower["azimuth"],
                    core_x=event["xcore"],
                    core_y=event["ycore"],
                    h_first_int=shower["h_first_int"],
                    x_max=shower["xmax"],
                    shower_primary_id=shower["primary_id"],
                )
                ids = SimpleNamespace(obs_id=run, event_id=one["event_id"])
                yield SimpleNamespace(index=ids, simulation=SimpleNamespace(shower=truth))


def _every_event(make: Any, path: str) -> Any:
    """Open a file with eventio, which since version 2 passes over events without trigger unless told."""
    try:
        return make(path, skip_non_triggered=False, skip_calibration=True, allowed_telescopes=(-1,))
    except TypeError:
        return make(path)


def as_simulated(subarray: Any, descriptions: Mapping[int, Any]) -> Any:
    """Return what the dumper needs of ctapipe's subarray, with cameras whose pixels are where sim_telarray has them.

    ctapipe turns cameras by their own rotation when it reads them; files of version 0.7.2 hold them as they are in the
    simulation.

    Parameters
    ----------
    subarray
        Of ctapipe.
    descriptions
        tel_id -> what the file says of it; the telescopes of which it says no pixels stay as they are.
    """
    telescopes = {}
    for tel_id, telescope in subarray.tel.items():
        settings = descriptions.get(tel_id, {}).get("camera_settings", {})
        x, y = (settings.get(f"pixel_{axis}") for axis in "xy")
        geometry = telescope.camera.geometry
        if x is not None and y is not None and len(x) == len(y) == len(geometry.pix_x):
            geometry = SimpleNamespace(pix_x=np.asarray(x, np.float64), pix_y=np.asarray(y, np.float64))
        camera = SimpleNamespace(name=telescope.camera.name, geometry=geometry, readout=telescope.camera.readout)
        telescopes[tel_id] = SimpleNamespace(optics=telescope.optics, camera=camera)
    return SimpleNamespace(name=subarray.name, tel=telescopes, tels=telescopes, positions=subarray.positions)
