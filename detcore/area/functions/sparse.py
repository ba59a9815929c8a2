"""Lists of the pixels that are not zero, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from detcore.area.functions.base import DetObjectFunc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COORDINATES = ("data", "row", "col")
MAX_ENTRIES = 1 << 26  # the pixels of the largest detectors


def checked_list(data: Any, name: str) -> dict[str, NDArray[Any]]:
    """Return a dictionary with `data`, `row`, `col` and `tile` as arrays.

    Raises
    ------
    ValueError
        It is none, or the arrays have several lengths.
    """
    missing = [key for key in COORDINATES if not isinstance(data, dict) or key not in data]
    if missing:
        found = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
        msg = f"{name}: expected a list of pixels or droplets with data, row and col, found {found}"
        raise ValueError(msg)
    out = {key: np.asarray(value) for key, value in data.items() if not str(key).startswith("_")}
    lengths = {len(value) for value in out.values()}
    if len(lengths) > 1:
        msg = f"{name}: the arrays of a list must be of one length, found {sorted(lengths)}"
        raise ValueError(msg)
    out.setdefault("tile", np.zeros(len(out["data"]), np.int64))
    return out


def dense(data: Any, shape: Sequence[int], name: str) -> NDArray[np.float64]:
    """Return a frame with the values of a list, each at the pixel nearest to its place; those that share one are added.

    Parameters
    ----------
    data
        With `data`, `row`, `col` and, for (module, y, x), `tile`; places may be fractions.
    shape
        Of the result, (y, x) or (module, y, x).
    name
        Who asks.
    """
    found = checked_list(data, name)
    places = [np.rint(found[key]).astype(np.intp) for key in ("tile", "row", "col")][-len(shape) :]
    inside = found["data"] != 0  # entries that fill a list up are no pixels
    for place, size in zip(places, shape, strict=True):
        inside &= (place >= 0) & (place < size)
    out = np.zeros(tuple(shape))
    np.add.at(out, tuple(place[inside] for place in places), found["data"][inside])
    return out


class sparsifyFunc(DetObjectFunc):
    """The pixels that are not zero, as `data`, `row`, `col`, `tile`; a list, for instance of droplets, is passed on.

    Parameters
    ----------
    nData
        None: one long vector over all events and a vector of lengths, ``var_<key>``; 0: ragged arrays, ``ragged_<key>``;
        N: the first N entries, filled up with zeros.
    name
        ``sparse``.
    threshold
        Leave smaller values out.
    saveInt, saveIntADU
        With N: round places, and values, to whole numbers.
    flagMasked, needProps
        For a parent that finds droplets: let it flag droplets that touch masked pixels, and measure their shapes.
    """

    _list_only = True  # of droplets

    def __init__(
        self,
        nData: float | None = None,
        name: str | None = None,
        threshold: float | None = None,
        saveInt: bool = True,
        saveIntADU: bool = False,
        flagMasked: bool = False,
        needProps: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or "sparse", **kwargs)
        if nData is not None and not (0 <= nData <= MAX_ENTRIES and nData == int(nData)):
            msg = f"{self._name}: nData is None, 0 or a number of entries up to {MAX_ENTRIES}, found {nData!r}"
            raise ValueError(msg)
        self.nData = None if nData is None else int(nData)
        self.threshold = threshold
        self._saveint, self._saveintadu = saveInt, saveIntADU
        self._flagMasked, self._needProps = flagMasked, needProps

    def process(self, data: Any) -> dict[str, Any]:
        """Make the list of one event; always with every key, also if it is empty."""
        found = checked_list(data, self._name) if isinstance(data, dict) else self._listed(data)
        if self.threshold is not None:
            keep = found["data"] >= self.threshold
            found = {key: value[keep] for key, value in found.items()}
        self.dat = found
        if self.nData == 0:
            out = {f"ragged_{key}": value for key, value in found.items()}
        elif self.nData is None:
            out = {f"var_{key}": value for key, value in found.items()}
        else:
            out = {key: self._cut(key, value) for key, value in found.items()}
        return self.with_children(out)

    def _listed(self, data: Any) -> dict[str, NDArray[Any]]:
        values, good = self.seen(data)
        if values.ndim not in {2, 3}:
            msg = f"{self._name}: expected an image (y, x) or (module, y, x), found data of shape {values.shape}"
            raise ValueError(msg)
        chosen = values != 0 if good is None else (values != 0) & good
        *tile, row, col = np.nonzero(chosen)
        return {"data": values[chosen], "row": row, "col": col, "tile": tile[0] if tile else np.zeros_like(row)}

    def _cut(self, key: str, value: NDArray[Any]) -> NDArray[Any]:
        assert self.nData is not None
        out = np.zeros((self.nData, *value.shape[1:]), value.dtype)
        part = value[: self.nData]
        whole = self._saveintadu if key == "data" else self._saveint
        if whole and part.dtype.kind == "f":
            out, part = out.astype(np.int64), np.rint(part)
        out[: len(part)] = part
        return out


class unsparsifyFunc(DetObjectFunc):
    """A frame made of a list of pixels, for children; gives no result of its own.

    Parameters
    ----------
    name
        ``dense``.
    """

    _list_only = True  # of droplets

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or "dense", **kwargs)

    def given(self) -> Any:
        """Return what is known of the detector's pixels."""
        return self._det.pixels()

    def process(self, data: Any) -> dict[str, Any]:
        """Make the frame."""
        self.dat = dense(data, self._det.shape, self._name)
        return self.with_children({})
