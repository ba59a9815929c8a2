"""Names that every instrument shares, and checks whose messages help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

FRAME: Final = "frame"  # one readout of an imaging detector
EVENT: Final = "event"  # position of a trigger in a chunk; its identity is event_id
SAMPLE_DIMENSION: Final = "sample_dimension"  # CF contiguous ragged array: attribute of the count variable

LIVE: Final = "live"  # attribute of the schema of a source without end: reductions that grow keep a window


class MissingColumn(ValueError):
    """An input lacks something that the work needs."""


def require(chunk: xr.Dataset, columns: Iterable[str], where: str) -> None:
    """Check that a chunk has the named variables.

    Parameters
    ----------
    chunk
        A chunk or a schema.
    columns
        Variable names.
    where
        The file or the reduction that asks, for the message.

    Raises
    ------
    MissingColumn
        Names what is missing and what there is.
    """
    missing = sorted(set(columns) - set(map(str, chunk.variables)))
    if missing:
        found = ", ".join(sorted(map(str, chunk.variables))) or "nothing"
        msg = f"{where}: needs {', '.join(missing)}; found {found}"
        raise MissingColumn(msg)


def ragged_counts(chunk: xr.Dataset, sample: str) -> Any:
    """Return the variable that counts the samples of each row (CF conventions 9.3.3).

    Parameters
    ----------
    chunk
        With one count variable whose attribute `sample_dimension` is `sample`.
    sample
        The flat dimension, for instance "hit".

    Returns
    -------
    DataArray
        (row,) counts; their sum is the length of `sample`.

    Raises
    ------
    MissingColumn
        No variable counts that dimension.
    """
    for variable in chunk.data_vars.values():
        if variable.attrs.get(SAMPLE_DIMENSION) == sample:
            return variable
    msg = f"no variable counts the ragged dimension {sample!r}; give one the attribute {SAMPLE_DIMENSION}={sample!r}"
    raise MissingColumn(msg)
