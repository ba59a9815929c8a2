"""A detector in the event loop: its data of one event, its constants, masks, functions and sums."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from detcore.area.detector import psana_mask
from detcore.area.functions.base import DetObjectFunc, Event, Pixels, add, flat_results, saved
from detcore.area.functions.calibration import Calibration
from detcore.area.functions.facts import detector_of, positions
from detcore.area.functions.nodetector import NullDetObject
from detcore.area.functions.storesum import StoredSum
from detcore.area.source import open_files

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from detcore.area.detector import Detector

log = logging.getLogger(__name__)
STORED, MIDDLE = 98, slice(255, 257)  # of an Icarus: the median of two columns of each frame is kept, not subtracted


def DetObject(
    name: str, source: Any, run: Any = None, common_mode: Any = None, **kwargs: Any
) -> DetObjectClass | NullDetObject:
    """Return a detector for the event loop.

    Parameters
    ----------
    name
        As the run calls it; first part of the names of its results.
    source
        Opened files, or their path, a `Detector`, a chunk or a list of chunks, or a mapping from names to any of them: several
        detectors in one run. None, and a name that is not in the mapping, is an absent detector.
    run
        Number or name of the run, kept as it is.
    common_mode
        Number of the correction, steps of `area.common_mode`, or None for what is usual for this type.
    **kwargs
        `applyMask`: 1 to set pixels to 0 where `mask` is, 2 where `cmask` is; `maskCentral`: whether seams between chips
        are masked (default); `gain_index`: of an ePix10ka, the entries of the gain axis without and with bit 14;
        `dark_region`: rows and columns that no light reaches, for the numbers that need them.

    Returns
    -------
    DetObjectClass or NullDetObject
        The second does nothing, for a detector that is not in the run.

    Raises
    ------
    ValueError
        The type of the detector has no such common mode.
    """
    if isinstance(source, (str, os.PathLike)):
        source = open_files(source, detector=name)
    detector = detector_of(name, source)
    if detector is None:
        log.warning("run %s has no detector %r: it is left out", run, name)
        return NullDetObject(name=name)
    return DetObjectClass(detector.with_(name=name), run, source=source, common_mode=common_mode, **kwargs)


class DetObjectClass:
    """A detector of the run. Its attributes carry the known names; public ones are saved as ``UserDataCfg/<name>``.

    Parameters
    ----------
    detector
        Facts and constants.
    run, common_mode, applyMask, maskCentral, gain_index, dark_region
        As for `DetObject`.
    source
        Where numbers of frames are looked up, see `getData`.
    """

    def __init__(
        self,
        detector: Detector,
        run: Any = None,
        *,
        source: Any = None,
        common_mode: Any = None,
        applyMask: int = 0,
        maskCentral: bool = True,
        gain_index: Sequence[int] = (0, 0),
        dark_region: Any = None,
    ) -> None:
        if applyMask not in {0, 1, 2}:
            msg = f"{detector.name}: applyMask is 0 (none), 1 (mask) or 2 (cmask), found {applyMask!r}"
            raise ValueError(msg)
        self._detector, self._source = detector, source
        self._functions: dict[str, DetObjectFunc] = {}
        self._storeSum: dict[str, StoredSum] = {}
        self._n_summed = 0  # events that were given to the sums
        self._calibration = Calibration(detector, common_mode, gain_index, dark_region)
        self._pixels: Pixels | None = None
        self.name = detector.name
        self.run = run
        self.common_mode = self._calibration.number
        self.recommended_common_mode = detector.kind.recommended
        self.applyMask, self.maskCentral = applyMask, maskCentral
        self.evt = Event()
        self.ped, self.rms, self.gain = detector.pedestal, detector.noise, detector.gain
        self.gain_mask: NDArray[np.uint8] | None = None
        self.local_gain: NDArray[np.float32] | None = None
        self.areas: NDArray[np.float32] | None = None
        self.x, self.y, self.z = positions(detector)
        tiled = detector.tiled or detector.ix is not None
        self.ix: NDArray[np.int32] | None = detector.map.ix if tiled else None
        self.iy: NDArray[np.int32] | None = detector.map.iy if tiled else None
        self.imgShape = detector.image_shape
        self.pixelsize = [size for size in detector.pixel_size if np.isfinite(size)]
        self.statusMask, self.mask, self.cmask = detector.statusMask, detector.mask, detector.cmask
        if not maskCentral:
            self.mask = psana_mask(
                detector, status=True, edges=detector.kind.asic is not None, unbond=True, unbondnbrs=True
            )
            self.cmask = self.mask & psana_mask(detector, calib=True)

    def __getattr__(self, key: str) -> Any:
        functions = self.__dict__.get("_functions", {})
        if key in functions:
            return functions[key]
        msg = f"detector {self.__dict__.get('name', '')!r} has no attribute or function {key!r}"
        raise AttributeError(msg)

    @property
    def detector(self) -> Detector:
        """Facts and constants."""
        return self._detector

    @property
    def functions(self) -> dict[str, DetObjectFunc]:
        """The functions by name."""
        return dict(self._functions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a raw frame."""
        return self._detector.shape

    def pixels(self) -> Pixels:
        """Return what is known of each pixel of `evt.dat`."""
        if self._pixels is None:
            self._pixels = Pixels(self.mask, self.cmask, self._calibration.noise, self.x, self.y, self.z)
        return self._pixels

    def setPed(self, ped: ArrayLike) -> None:
        """Take another pedestal, ADU; the shape of a frame."""
        self._with(pedestal=ped)
        self.ped = self._detector.pedestal

    def setMask(self, mask: ArrayLike) -> None:
        """Take another `mask`: 1 is good, the shape of a frame. `cmask` loses the same pixels."""
        self.mask = self._own_mask(mask)
        self.cmask = self.cmask & self.mask
        self._with()

    def setcMask(self, mask: ArrayLike) -> None:
        """Take another user's mask: 1 is good; `cmask` is that and `mask`."""
        self.cmask = self.mask & self._own_mask(mask)
        self._with()

    def setGain(self, gain: ArrayLike) -> None:
        """Multiply the data by factors, the shape of a frame, after every other correction; not raw data."""
        array = np.asarray(gain, np.float32)
        self._detector.check(array.shape)
        self.local_gain = array

    def setAreas(self, areas: ArrayLike) -> None:
        """Divide the data by the area of each pixel, in pixels; only with maskCentral=False, as those at seams are wide."""
        array = np.asarray(areas, np.float32)
        self._detector.check(array.shape)
        self.areas = array

    def setGhost(self, p0: ArrayLike, p1: ArrayLike) -> None:
        """Give the constants of the ghost correction of common modes above 100: data -= p0 + p1 * previous event."""
        self._calibration.ghost = (np.asarray(p0, np.float32), np.asarray(p1, np.float32))

    def _own_mask(self, mask: ArrayLike) -> NDArray[np.uint8]:
        array = np.asarray(mask)
        if array.shape != self.shape:
            msg = f"{self.name}: a mask has the shape of a frame, {self.shape} (1 is good); found {array.shape}"
            raise ValueError(msg)
        return np.asarray(array != 0, np.uint8)

    def _with(self, **changes: Any) -> None:
        """Take other constants; functions that were added get to know them."""
        old = self._calibration
        if changes:
            steps = old.steps if old.number == "steps" else old.number
            self._detector = self._detector.with_(**changes)
            self._calibration = Calibration(self._detector, steps, old.by_bit, old.dark_region)
            self._calibration.ghost = old.ghost
        self._pixels = None
        for func in self._functions.values():
            func.setFromDet(self)
            func.setFromFunc()

    def addFunc(self, func: Any) -> None:
        """Let a function work on the data of each event.

        Raises
        ------
        ValueError
            There is one of that name, or its parameters do not fit the detector.
        """
        if not isinstance(func, DetObjectFunc) or func.name in self._functions:
            add(self._functions, func, f"detector {self.name!r}")
        func.setFromDet(self)
        func.setFromFunc()
        add(self._functions, func, f"detector {self.name!r}")

    def remarks(self) -> dict[str, str]:
        """Return which functions can only have empty results, and why."""
        return {name: words for name, func in self._functions.items() if (words := func.remark())}

    def getData(self, evt: Any) -> None:
        """Fill `evt.dat` with the calibrated data of an event, and `evt.env_<what>`; None if the event has no frame.

        Parameters
        ----------
        evt
            A raw frame, the number of a frame in the opened files, or a mapping or Dataset of one event with the frame
            under the detector's name or ``data``. Its entries ``env_<what>`` are taken over. None: no data.
        """
        self.evt = Event()
        frame = self._frame(evt)
        if frame is not None:
            self._detector.check(frame.shape)
            if frame.shape != self.shape:
                msg = f"{self.name}: expected one frame {self.shape}, found {frame.shape}"
                raise ValueError(msg)
            self.setData(self._calibration(frame))
            if self.common_mode == STORED and self._detector.type == "icarus":
                middle = self.evt.dat[..., MIDDLE]
                vars(self.evt)["_write_cm"] = {"median": np.nanmedian(middle, axis=(-2, -1))}

    def setData(self, data: NDArray[Any]) -> None:
        """Take data that are calibrated already; factors and masks are applied as for `getData`."""
        if not self._calibration.raw:
            if self.local_gain is not None:
                data = data * self.local_gain
            if self.areas is not None and not self.maskCentral:
                data = data / self.areas
        if self.applyMask:
            data = np.where((self.mask if self.applyMask == 1 else self.cmask) != 0, data, data.dtype.type(0))
        self.evt.dat = data

    def _frame(self, evt: Any) -> NDArray[Any] | None:
        if evt is None:
            return None
        if isinstance(evt, (int, np.integer)):
            if not callable(getattr(self._source, "frame", None)):
                msg = f"{self.name}: frame {evt} can only be looked up in opened files; pass the frame itself"
                raise TypeError(msg)
            return np.asarray(self._source.frame(int(evt)))
        if isinstance(evt, (Mapping, xr.Dataset)):
            for key in evt:
                if str(key).startswith("env_"):
                    setattr(self.evt, str(key), np.asarray(evt[key]))
            key = next((one for one in (self.name, "data") if one in evt), None)
            if key is None or evt[key] is None:
                return None
            frame = np.asarray(evt[key])
            return frame[0] if frame.ndim == len(self.shape) + 1 and len(frame) == 1 else frame
        return np.asarray(evt)

    def processFuncs(self, *, strict: bool = True) -> dict[str, dict[str, Any]]:
        """Run every function on `evt.dat`; what each returns is also `evt._write_<function>`.

        Parameters
        ----------
        strict
            Raise the first error. Otherwise the others go on, and `evt.problems` says what went wrong.

        Returns
        -------
        dict
            Function -> its results; empty if the event has no data.
        """
        found: dict[str, dict[str, Any]] = {}
        problems: list[str] = []
        if self.evt.dat is not None:
            for name, func in self._functions.items():
                try:
                    found[name] = func.process(self.evt.dat)
                except Exception as error:
                    if strict:
                        error.add_note(f"while {name} worked on detector {self.name}")
                        raise
                    problems.append(f"{self.name}: {name}: {error}")
                    continue
                setattr(self.evt, f"_write_{name}", found[name])
        self.evt.problems = problems
        return found

    def results(self) -> dict[str, Any]:
        """Return the results of the event under their names in the small HDF5 file, without the detector's."""
        return getUserData(self)

    def storeSum(self, sumAlgo: str | None = None) -> dict[str, Any] | None:
        """Sum the frames of the run.

        Parameters
        ----------
        sumAlgo
            Words joined by ``_``, for instance ``calib``, ``calib_thresADU5_square`` or ``calib_dropped``; see
            `StoredSum`. None: return the sums so far.

        Raises
        ------
        ValueError
            A word has no meaning.
        """
        if sumAlgo is None:
            return {key: one.total for key, one in self._storeSum.items()}
        self._storeSum.setdefault(sumAlgo, StoredSum(sumAlgo, self.name))
        return None

    def processSums(self, **flags: Any) -> None:
        """Add the data of the event to the sums; those that name a flag, like ``dropped``, only if it is true."""
        if self.evt.dat is None:
            return
        for one in self._storeSum.values():
            one.add(self.evt.dat, flags, self._detector.assemble, first=self._n_summed == 0)
        self._n_summed += 1

    @property
    def sums(self) -> dict[str, StoredSum]:
        """The sums with their counts, by name."""
        return dict(self._storeSum)

    def mergeSums(self, *others: DetObjectClass) -> None:
        """Add the sums that others made of other events of the run; maxima stay maxima."""
        for other in others:
            for key, one in other.sums.items():
                self.storeSum(key)
                self._storeSum[key].merge(one)

    def params_as_dict(self) -> dict[str, Any]:
        """Return constants and parameters: those of functions as ``<function>__<function>_<parameter>``."""
        found = saved(self.__dict__)
        for name, func in self._functions.items():
            found.update({f"{name}__{key}": value for key, value in func.params_as_dict().items()})
        return found


def getUserData(det: DetObjectClass | NullDetObject) -> dict[str, Any]:
    """Return the results of the event of a detector under their names in the small HDF5 file, see `flat_results`."""
    written = {key.removeprefix("_write_"): one for key, one in vars(det.evt).items() if key.startswith("_write_")}
    return flat_results(written)


def getUserEnvData(det: DetObjectClass | NullDetObject) -> dict[str, Any]:
    """Return temperatures, currents and the like of the event."""
    return {key.removeprefix("env_"): one for key, one in vars(det.evt).items() if key.startswith("env_")}
