"""Attributes of HDF5 tables: read as plain text and numbers, never unpickled; and the columns that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES: Final = 64 << 10  # of one attribute: more is not metadata
MAX_ATTRIBUTES: Final = 65536
UNIX_EPOCH: Final = np.datetime64("1970-01-01", "ns")
DAY_NS: Final = 86_400_000_000_000
# Seconds and quarters of nanoseconds since 1970-01-01 TAI, of data model v7; days before.
HIGH_RES: Final = "ctao_high_res"
# format -> what 1970-01-01 is in it, and its unit in ns
ZEROS: Final = {
    "": (40587.0, DAY_NS),
    "mjd": (40587.0, DAY_NS),
    "jd": (2_440_587.5, DAY_NS),
    "unix": (0.0, 1_000_000_000),
    "unix_tai": (0.0, 1_000_000_000),
}
KEYS: Final = (
    "UNIT",
    "DESC",
    "TRANSFORM",
    "TIME_FORMAT",
    "TRANSFORM_SCALE",
    "TRANSFORM_OFFSET",
    "NAN_VALUE",
    "POSINF_VALUE",
    "NEGINF_VALUE",
)
MOST_NS: Final = 9.2e18  # from 1970, which 64 bits can hold: 1678 to 2261
_LENGTH = {"m": 1.0, "km": 1e3, "cm": 1e-2, "mm": 1e-3}
_ANGLE = {"deg": 1.0, "rad": 180 / np.pi, "arcmin": 1 / 60, "arcsec": 1 / 3600}
_ENERGY = {"TeV": 1.0, "GeV": 1e-3, "MeV": 1e-6, "PeV": 1e3}
_GRAMMAGE = {"g/cm2": 1.0, "kg/m2": 0.1}
_AREA = {"m2": 1.0, "cm2": 1e-4, "mm2": 1e-6}
KINDS_OF_UNIT: Final = (_LENGTH, _ANGLE, _ENERGY, _GRAMMAGE, _AREA)
_SPELLINGS = {
    "g.cm**-2": "g/cm2",
    "g cm-2": "g/cm2",
    "g / cm2": "g/cm2",
    "g/cm**2": "g/cm2",
    "kg.m**-2": "kg/m2",
    "m**2": "m2",
    "cm**2": "cm2",
    "mm**2": "mm2",
    "degree": "deg",
    "degrees": "deg",
}


def attribute(item: Any, name: str) -> str | int | float | bool | None:
    """Return an attribute of a group or data set as one text or number.

    The bytes are taken as they are: what another library would unpickle is left alone.

    Parameters
    ----------
    item
        Open in h5py.
    name
        Of the attribute.

    Returns
    -------
    str, int, float, bool or None
        None if there is none, if it is longer than `MAX_BYTES`, or of another kind.
    """
    try:
        if name not in item.attrs:
            return None
        found = item.attrs.get_id(name)
        if found.shape is None:  # PyTables writes an empty text so
            return ""
        # of variable length: the size that HDF5 knows is that of the pointer, but the whole is no larger than a heap
        if found.get_storage_size() > MAX_BYTES or found.dtype.kind not in "biufSO" or found.shape not in {(), (1,)}:
            return None
        value = np.asarray(item.attrs[name]).reshape(-1)[0]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, IndexError, NotImplementedError):
        return None
    return _plain(value)


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value[:MAX_BYTES]
    return value if isinstance(value, (bool, int, float)) else None


def texts(item: Any) -> dict[str, str]:
    """Return all attributes that are short texts or numbers, as text; not those that PyTables keeps for itself."""
    own = {"CLASS", "FILTERS", "PYTABLES_FORMAT_VERSION", "TITLE", "VERSION"}
    found: dict[str, str] = {}
    for name in list(item.attrs)[:MAX_ATTRIBUTES]:
        value = None if name in own else attribute(item, name)
        if value is not None:
            text = str(value)
            pickled = text.endswith(".") and ("\n" in text or "\0" in text or "\N{REPLACEMENT CHARACTER}" in text)
            found[str(name)] = f"({len(text)} bytes of pickled Python, not read)" if pickled else text
    return found


def converted(values: NDArray[Any], found: str, expected: str, what: str) -> NDArray[Any]:
    """Return values in another unit.

    Parameters
    ----------
    values
        Numbers.
    found
        Their unit as the file spells it; empty: taken for the expected one.
    expected
        The unit to return them in.
    what
        File and column, for the message.

    Raises
    ------
    ValueError
        The units are not of one kind, or not known.
    """
    there = _SPELLINGS.get(found.strip(), found.strip())
    if there in {"", expected}:
        return values
    for kind in KINDS_OF_UNIT:
        if there in kind and expected in kind:
            return values * (kind[there] / kind[expected])
    msg = f"{what}: expected a unit like {expected}, found {found[:50]!r}"
    raise ValueError(msg)


@dataclass(frozen=True)
class Column:
    """What the attributes of a table say of one of its columns.

    Parameters
    ----------
    name
        In the table.
    unit, description
        Texts, empty if there are none.
    transform
        How values were changed for storing: quantity, time, enum, string, tel_list_to_mask, fixed_point, or empty.
    time_format
        mjd, ctao_high_res, ...
    scale, offset
        Of fixed_point: stored = round(value * scale) + offset.
    nan, posinf, neginf
        Stored numbers that stand for these, or None.
    """

    name: str
    unit: str = ""
    description: str = ""
    transform: str = ""
    time_format: str = ""
    scale: float = 1.0
    offset: float = 0.0
    nan: int | None = None
    posinf: int | None = None
    neginf: int | None = None

    def decode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return stored values as what they stand for.

        Parameters
        ----------
        values
            Of the column; any shape.

        Returns
        -------
        array
            fixed_point: float32; time: datetime64[ns], NaT where there is none; texts: str; others as they are.

        Raises
        ------
        ValueError
            The values do not fit the transform.
        """
        if self.transform == "fixed_point":
            return self._fixed_point(values)
        if self.transform == "time":
            return times(values, self.time_format, self.name)
        if values.dtype.kind == "S":
            return np.array([one.decode("utf-8", "replace") for one in values.ravel()], str).reshape(values.shape)
        return values

    def _fixed_point(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        if (
            stored.dtype.kind not in "iu"
            or not np.isfinite(self.scale)
            or self.scale == 0
            or not np.isfinite(self.offset)
        ):
            msg = (
                f"column {self.name}: expected integers with a scale and an offset for fixed_point, "
                f"found {stored.dtype}, {self.scale}, {self.offset}"
            )
            raise ValueError(msg)
        # first the offset, then the scale; in double precision, for 32-bit integers are not exact in float32
        values: NDArray[np.float32] = ((stored.astype(np.float64) - self.offset) / self.scale).astype(np.float32)
        limits = np.iinfo(stored.dtype)
        low = limits.max - 2 if limits.min == 0 else limits.min
        nan = limits.max - 1 if limits.min == 0 else limits.min + 1
        # without attributes (before v5) the codes of the current rule
        codes = ((self.nan, nan, np.nan), (self.posinf, limits.max, np.inf), (self.neginf, low, -np.inf))
        for given, usual, meaning in codes:
            values[stored == (usual if given is None else given)] = meaning
        return values


def columns_of(item: Any) -> dict[str, Column]:
    """Return what the attributes of a table say of its columns.

    Attributes are named ``CTAFIELD_<number>_<what>``, numbered as the columns are; of data models before v4,
    ``<column>_<what>``.

    Parameters
    ----------
    item
        A table, open in h5py.
    """
    there = {str(name) for name in item.attrs}
    return {str(name): _column(item, there, number, str(name)) for number, name in enumerate(item.dtype.names)}


def _column(item: Any, there: set[str], number: int, name: str) -> Column:
    known: dict[str, Any] = {}
    for key in KEYS:
        full = next((one for one in (f"CTAFIELD_{number}_{key}", f"{name}_{key}") if one in there), None)
        known[key] = attribute(item, full) if full else None
    return Column(
        name,
        unit=str(known["UNIT"] or ""),
        description=str(known["DESC"] or ""),
        transform=str(known["TRANSFORM"] or ""),
        time_format=str(known["TIME_FORMAT"] or ""),
        scale=_number(known["TRANSFORM_SCALE"], 1.0),
        offset=_number(known["TRANSFORM_OFFSET"], 0.0),
        nan=_code(known["NAN_VALUE"]),
        posinf=_code(known["POSINF_VALUE"]),
        neginf=_code(known["NEGINF_VALUE"]),
    )


def _number(value: Any, default: float) -> float:
    """Return a number; nan, which is refused when it is needed, for anything else."""
    if value is None:
        return default
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _code(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def times(values: NDArray[Any], form: str, name: str = "time") -> NDArray[np.datetime64]:
    """Return times of a table, in the file's own scale, which is TAI.

    Parameters
    ----------
    values
        (row,) floating numbers, or (row, 2) integers of the format `HIGH_RES`.
    form
        mjd (also when empty), jd, unix, unix_tai or ctao_high_res.
    name
        Of the column, for the message.

    Returns
    -------
    array
        (row,) datetime64[ns]; NaT where there is none, or outside of the years 1678 to 2261.

    Raises
    ------
    ValueError
        The format is another one, or the values do not fit it.
    """
    if form == HIGH_RES or (not form and values.ndim == 2):
        if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iu":
            msg = (
                f"column {name}: expected two integers for {HIGH_RES}, found {values.dtype} of shape {values.shape[1:]}"
            )
            raise ValueError(msg)
        seconds, quarters = values[:, 0].astype(np.int64), values[:, 1].astype(np.int64)
        found = UNIX_EPOCH + (seconds * 1_000_000_000 + quarters // 4).astype("timedelta64[ns]")
        return np.asarray(np.where(np.abs(seconds) < MOST_NS / 1e9, found, np.datetime64("NaT")))
    if form not in ZEROS or values.ndim != 1 or values.dtype.kind not in "fiu":
        kinds = ", ".join([*filter(None, ZEROS), HIGH_RES])
        msg = (
            f"column {name}: expected times as one of {kinds}; found {form[:50]!r} of {values.dtype} {values.shape[1:]}"
        )
        raise ValueError(msg)
    zero, unit = ZEROS[form]
    past = values.astype(np.float64) - zero
    good = np.isfinite(past) & (np.abs(past) < MOST_NS / unit)
    past = np.where(good, past, 0.0)
    whole = np.floor(past)
    # whole units apart from the rest: nanoseconds of so many years do not fit a double
    nanoseconds = whole.astype(np.int64) * unit + np.round((past - whole) * unit).astype(np.int64)
    return np.asarray(np.where(good, UNIX_EPOCH + nanoseconds.astype("timedelta64[ns]"), np.datetime64("NaT")))
