"""What analysis functions of one event share: how they nest, what they know of the pixels, how results are named.

The names are those of smalldata_tools, so that its scripts and its users' own functions work with theirs. A function
gets data, keeps what its children shall see in `dat`, and returns a dictionary.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray


class Event:
    """What is kept of one event: `dat`, `env_<what>` and `_write_<function>`."""

    dat: Any = None
    problems: list[str] = []  # noqa: RUF012 - replaced, never changed


@dataclass(frozen=True, eq=False)
class Pixels:
    """What is known of each pixel of the data that a function gets; every array has the shape of those data.

    Parameters
    ----------
    mask, cmask
        uint8, 1 good; None: every pixel is.
    noise
        Standard deviation of a pixel without light, in the units of the data.
    x, y, z
        Position, um.
    """

    mask: NDArray[np.uint8] | None = None
    cmask: NDArray[np.uint8] | None = None
    noise: NDArray[np.floating] | None = None
    x: NDArray[np.floating] | None = None
    y: NDArray[np.floating] | None = None
    z: NDArray[np.floating] | None = None

    def mapped(self, function: Callable[[Any], Any]) -> Self:
        """Return what is known after `function` cut or moved the pixels of every array."""
        names = ("mask", "cmask", "noise", "x", "y", "z")
        known = {name: getattr(self, name) for name in names}
        return replace(self, **{name: None if array is None else function(array) for name, array in known.items()})

    def good(self, user: NDArray[Any] | None, shape: tuple[int, ...], what: str) -> NDArray[np.uint8] | None:
        """Return the mask that the original takes: the user's with `mask`, else `cmask` with `mask`.

        Parameters
        ----------
        user
            1 or true is good; None without one.
        shape
            Of the data.
        what
            Who asks, for the message.

        Returns
        -------
        ndarray or None
            uint8, 1 good; None if every pixel is.

        Raises
        ------
        ValueError
            The user's mask has another shape. The original ignores it then.
        """
        given = self.cmask
        if user is not None:
            given = np.asarray(user)
            if given.shape != shape and given.squeeze().shape == tuple(size for size in shape if size != 1):
                given = given.reshape(shape)
            if given.shape != shape:
                msg = f"{what}: userMask must have the shape of the data, {shape} (1 is good); found {given.shape}"
                raise ValueError(msg)
            given = (given != 0).astype(np.uint8)
        if self.mask is None or given is None:
            return given if self.mask is None else self.mask
        return given & self.mask


def values_and_good(data: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return values and which of them count: not masked, and not nan; None if all do.

    Parameters
    ----------
    data
        An array, masked or not.
    """
    values = np.asarray(data)
    good = None
    if isinstance(data, np.ma.MaskedArray) and data.mask is not np.ma.nomask:
        values, good = data.data, ~np.ma.getmaskarray(data)
    if values.dtype.kind == "f":
        finite = ~np.isnan(values)
        if not finite.all():
            good = finite if good is None else good & finite
    return values, good


def filled(data: Any) -> Any:
    """Return an array in which masked values are 0 for whole numbers and nan for others; a copy if any is."""
    if not isinstance(data, np.ma.MaskedArray):
        return data
    return data.filled(0 if data.dtype.kind in "iub" else np.nan)


def limits_of(thres: Any) -> tuple[float, float]:
    """Return (low, high) of a threshold: one number is the lower limit.

    Raises
    ------
    ValueError
        It is neither a number nor a pair [low, high].

    Examples
    --------
    >>> limits_of(5), limits_of([None, 9])
    ((5.0, inf), (-inf, 9.0))
    """
    try:
        low, high = (thres, None) if np.ndim(thres) == 0 else thres
        found = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    except (TypeError, ValueError):
        found = (math.nan, math.nan)
    if not found[0] <= found[1]:
        msg = f"a threshold is a number (the lower limit) or [low, high] with low <= high; found {thres!r:.80}"
        raise ValueError(msg)
    return found


def check_limits(name: str, **thresholds: Any) -> None:
    """Refuse thresholds that are none.

    Raises
    ------
    ValueError
        Says of which function and parameter.
    """
    for key, thres in thresholds.items():
        try:
            limits_of(thres)
        except ValueError as error:
            msg = f"{name}: {key}: {error}"
            raise ValueError(msg) from None


def thresholded(values: NDArray[Any], thres: float | Sequence[float | None] | None) -> NDArray[Any]:
    """Return values with those below a threshold, or outside of [low, high], at 0; a copy, nan stays nan."""
    if thres is None:
        return values
    low, high = limits_of(thres)
    out = values.copy()
    out[(values < low) | (values > high)] = 0
    return out


class DetObjectFunc:
    """A step of the analysis of one event; the base of the known functions and of people's own.

    Subclasses set `_name` before they call this, or give `name`, and override `process`. What begins with an underscore
    is private; every other attribute that is a number, text or array is saved once per run as `UserDataCfg`.

    Parameters
    ----------
    **kwargs
        Become attributes of people's own functions; `name` is the name of the function.
    """

    _name: str

    def __init__(self, **kwargs: Any) -> None:
        name = kwargs.pop("name", None) or kwargs.pop("_name", None) or getattr(self, "_name", None)
        if not name:
            msg = f"{type(self).__name__} needs a name: pass name=… or set self._name"
            raise ValueError(msg)
        if kwargs and type(self).__module__.startswith(f"{__package__}."):  # a misspelt name must not go unnoticed
            known = ", ".join(one for one in inspect.signature(type(self)).parameters if one != "kwargs")
            msg = f"{type(self).__name__} has no parameter {', '.join(kwargs):.80}; it has {known}"
            raise TypeError(msg)
        self._name = str(name)
        self._children: dict[str, DetObjectFunc] = getattr(self, "_children", {})
        self._det: Any = None
        self._pixels = Pixels()
        self._on_detector = False
        for key, value in kwargs.items():
            setattr(self, key, value)

    def __getattr__(self, key: str) -> Any:
        children = self.__dict__.get("_children", {})
        if key in children:
            return children[key]
        msg = f"{type(self).__name__} {self.__dict__.get('_name', '')!r} has no attribute {key!r}"
        raise AttributeError(msg)

    @property
    def name(self) -> str:
        """First part of the names of its results."""
        return self._name

    def setFromDet(self, det: Any) -> None:
        """Take what is needed from the detector; children too."""
        self._det = det
        self._pixels = det.pixels() if hasattr(det, "pixels") else Pixels()
        for child in self._children.values():
            child.setFromDet(det)

    def setFromFunc(self, parentFunc: DetObjectFunc | None = None) -> None:
        """Take what is needed from the function whose result comes in, and hand on."""
        self._on_detector = parentFunc is None
        if parentFunc is not None:
            self._pixels = parentFunc.given()
        self.prepare()
        for child in self._children.values():
            child.setFromFunc(self)

    def prepare(self) -> None:
        """Compute what stays the same from event to event, once `_pixels` is known. To be overridden."""

    def remark(self) -> str:
        """Return in words what makes every result empty, once `prepare` was called; nothing if all is well."""
        return ""

    def given(self) -> Pixels:
        """Return what is known of the pixels that children get: nothing, unless overridden."""
        return Pixels()

    def addFunc(self, func: DetObjectFunc) -> None:
        """Let a function work on the result of this one.

        Raises
        ------
        ValueError
            There is one of that name. The original replaces it silently.
        """
        add(self._children, func, f"function {self._name!r}")
        if self._det is not None:  # after the parent was added to the detector
            func.setFromDet(self._det)
            func.setFromFunc(self)

    def seen(self, data: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return values and which of them count, as `values_and_good`; right on a detector, those that `cmask` allows.

        The original looks at masks only in its ROIFunc and a few others.
        """
        values, good = values_and_good(data)
        mask = self._pixels.cmask if self._on_detector else None
        if mask is None or mask.shape != values.shape or mask.all():
            return values, good
        return values, mask != 0 if good is None else good & (mask != 0)

    def process(self, data: Any) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """Return the results of one event. To be overridden."""
        return {}

    def processFuncs(self) -> dict[str, dict[str, Any]]:
        """Give `dat` to each child; returns their results by name."""
        if not self._children:
            return {}
        if "dat" not in self.__dict__:
            msg = f"{self._name}: {', '.join(self._children)} need data, but process() did not set self.dat"
            raise ValueError(msg)
        return {name: child.process(self.dat) for name, child in self._children.items()}

    def with_children(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the results of the children as ``<child>_<key>``; lists become arrays."""
        for name, found in self.processFuncs().items():
            for key, value in (found or {}).items():
                results[f"{name}_{key}"] = np.asarray(value) if isinstance(value, list) else value
        return results

    def params_as_dict(self) -> dict[str, Any]:
        """Return parameters and constants as ``<name>_<parameter>``, children's too."""
        found: dict[str, Any] = {}
        for child in self._children.values():
            found.update(child.params_as_dict())
        found.update({f"{self._name}_{key}": value for key, value in saved(self.__dict__).items()})
        return found

    def setKeyData(self, key: str, data: Any) -> None:
        """Set an attribute."""
        setattr(self, key, data)


def add(functions: dict[str, DetObjectFunc], func: Any, owner: str) -> None:
    """Add a function to a dictionary by name.

    Raises
    ------
    TypeError
        It is no `DetObjectFunc`.
    ValueError
        There is one of that name.
    """
    if not isinstance(func, DetObjectFunc):
        msg = f"{owner}: expected a DetObjectFunc, found {type(func).__name__}"
        raise TypeError(msg)
    if func.name in functions:
        msg = f"{owner} has a function {func.name!r} already; give the second another name=…"
        raise ValueError(msg)
    functions[func.name] = func


def saved(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those attributes that can be saved once per run: numbers, text, arrays, lists of numbers."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith("_") or key == "dat":
            continue
        if isinstance(value, (bool, int, float, str, np.generic)):
            found[key] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            found[key] = filled(value)
        elif isinstance(value, (list, tuple)) and value:
            try:
                array = np.array([np.nan if one is None else one for one in value])
            except ValueError:  # lists of several lengths
                continue
            if array.dtype.kind in "biuf":
                found[key] = array
    return found


def flat_results(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of functions under the names that they have in the small HDF5 file.

    Parameters
    ----------
    written
        Function -> its dictionary (or one value).

    Returns
    -------
    dict
        ``<function>_<key>`` -> array or number. Keys with the part ``ragged`` become ``ragged_<…>``; those with the part
        ``var`` become entries of a dictionary ``var_<function…>``. Masked values are 0 (whole numbers) or nan.
    """
    found: dict[str, Any] = {}
    for name, value in written.items():
        if isinstance(value, dict):
            found.update({f"{name}_{key}": one for key, one in value.items() if not str(key).startswith("_")})
        elif value is not None:
            found[name] = value
    out: dict[str, Any] = {}
    for key, value in found.items():
        plain = value if isinstance(value, (str, bytes)) else filled(_array(value))
        parts = key.split("_")
        if "ragged" in parts:
            out["_".join(["ragged", *(part for part in parts if part != "ragged")])] = plain
        elif "var" in parts[:-1]:
            group = "_".join(["var", *(part for part in parts[:-1] if part != "var")])
            out.setdefault(group, {})[parts[-1]] = plain
        else:
            out[key] = plain
    return out


def _array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, (list, tuple)) else value
