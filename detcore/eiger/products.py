"""The files that a run leaves behind, with the names and the layout that older scripts read, and the key in Redis."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pandas as pd
import xarray as xr

from detcore.core.outputs import write_content, write_each, write_netcdf
from detcore.core.paths import atomic
from detcore.core.schema import FRAME, require
from detcore.eiger import report
from detcore.eiger.analysis import describe, statistics
from detcore.eiger.detrend import Trace

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator

    from detcore.core.source import Problem

MAX_MEMORY: Final = 4_000_000_000  # bytes of a result once read; ten million frames with a mean image need 1 GB
REDIS_TIMEOUT: Final = 10.0  # s
SUFFIXES: Final = (".pickle", ".nc", ".csv", ".statistics.csv", ".html", ".png")
DAY: Final = 86_400  # s


class InvalidResult(ValueError):
    """A file is not a result of ours, or holds an impossible number."""


def write_all(
    data: xr.Dataset,
    folder: str | os.PathLike[str],
    name: str,
    *,
    only: Collection[str] = SUFFIXES[:5],
    method: str = "linear",
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Path], list[Problem]]:
    """Write the products of a run, each aside and renamed; a failing one does not stop the others.

    Parameters
    ----------
    data
        As `sum_frames` gives it.
    folder
        Where to; made if it is missing.
    name
        Of the master file; its folder does not matter.
    only
        Endings, of *.pickle* (the sums as a list), *.nc* (everything, netCDF4), *.csv* (the table of `describe`),
        *.statistics.csv* (ours), *.html* (a page that works offline) and *.png*.
    method
        How to detrend, see `detrend`.
    progress
        Called before each product with how many are done, how many there are, and its name; called at the end.

    Returns
    -------
    written : list of Path
        What is there now.
    problems : list of Problem
        What could not be written, and why; empty when all is well.
    """
    jobs = [job for job in _jobs(data, Path(folder), stem_of(name), method) if job[0] in only]
    return write_each([(target, write) for _, target, write in jobs], progress)


def stem_of(name: str) -> str:
    """Return the last part of a path, as the names of all products begin."""
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or "series"


def pickled(data: Any) -> bytes:
    """Return the sums as older readers take them: a pickled list of whole numbers, in the order of the frames.

    Parameters
    ----------
    data
        Result of a reduction, or numbers (frame,).

    Notes
    -----
    Protocol 2, which Python 2 reads, too. A frame without a valid pixel is 0: every list has one whole number for each
    frame that was read. Frames that could not be read are left out; their numbers are in the .nc file.
    """
    if isinstance(data, xr.Dataset):
        require(data, ["sum"], "the list of sums")
        trace = Trace.of(data)
        values = np.zeros(data.sizes[FRAME], np.int64)
        values[trace.position] = trace.value
    else:
        values = np.asarray(data)
    return pickle.dumps(values.tolist(), protocol=2)


def publish(
    payload: bytes, key: str, host: str = "localhost", port: int = 6379, *, expire: float = 1.0
) -> None:  # fmt: skip
    """Set a key in Redis.

    Parameters
    ----------
    payload
        What `pickled` gives.
    key
        ``<prefix>:<path of the master file>``.
    host, port
        Of the server.
    expire
        Days after which the server forgets the key.

    Raises
    ------
    ConnectionError
        The server does not answer or refuses; says which.
    ModuleNotFoundError
        The Redis client is not installed.
    """
    try:
        import redis  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        msg = "setting a key in Redis needs its client; install it with: pip install 'detcore[redis]'"
        raise ModuleNotFoundError(msg, name="redis") from None
    client = redis.Redis(host, port, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT)
    try:
        client.set(key.encode("utf-8", "surrogateescape"), payload, ex=max(round(expire * DAY), 1))
    except redis.RedisError as error:
        msg = f"Redis at {host}:{port}: expected to set {key[:200]}, found {error}; check sys_settings.redis_ip"
        raise ConnectionError(msg) from None
    finally:
        client.close()


def csv_of(data: xr.Dataset, method: str = "linear") -> str:
    """Return our statistics as CSV: one line for each number, and for each region if there are several."""
    several = [str(name) for name in data["region"].values] if "region" in data.dims else [FRAME]
    tables = [
        statistics(data, method, region=name if "region" in data.dims else None).reset_index().assign(region=name)
        for name in several
    ]
    table = pd.concat(tables, ignore_index=True)
    # spreadsheets take a word that begins like this for a formula
    table["region"] = table["region"].map(
        lambda name: f"'{name}" if name[:1] in {"=", "+", "-", "@", "\t", "\r"} else name
    )
    return str(table[["statistic", "region", "value", "unit", "meaning"]].to_csv(index=False, lineterminator="\n"))


def read_result(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a .nc file that `write_all` has written.

    Raises
    ------
    OSError
        The file cannot be opened.
    InvalidResult
        It is something else, or too large.
    """
    place = Path(path)
    with place.open("rb") as file:
        if not file.read(8).startswith(b"\x89HDF\r\n\x1a\n"):
            _refuse(place, "another kind of file")
    try:
        with xr.open_dataset(place, engine="h5netcdf", decode_times=False, phony_dims="access") as lazy:
            missing = {FRAME, "sum", "n_valid"} - set(map(str, lazy.variables))
            if missing:
                _refuse(place, f"no {', '.join(sorted(missing))}")
            if lazy.nbytes > MAX_MEMORY:  # a small file can claim to be endless
                _refuse(place, f"{lazy.nbytes:,} bytes of data, more than {MAX_MEMORY:,}")
            data = lazy.load()
    except InvalidResult:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        _refuse(place, f"{type(error).__name__}: {error}")
    _check(place, data)
    return data


def _check(place: Path, data: xr.Dataset) -> None:
    per_frame = ((FRAME,), (FRAME, "region"))
    for name in ("sum", "n_valid"):
        if data[name].dims not in per_frame or data[name].dtype.kind not in "iu":
            _refuse(place, f"{name}: {data[name].dtype} {data[name].dims}")
    frame = data[FRAME].values
    if frame.dtype.kind not in "iu" or (frame < 1).any() or (np.diff(frame.astype(np.int64)) <= 0).any():
        _refuse(place, "frame numbers that do not rise from 1")
    if data["n_valid"].size and int(data["n_valid"].min()) < 0:
        _refuse(place, "a negative number of pixels")
    for name in ("frame_time", "count_time"):
        value = data.attrs.get(name)
        if value is not None and not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value > 0):
            _refuse(place, f"{name} = {value!r:.60}")


def _refuse(place: Path, found: str) -> NoReturn:
    msg = f"{place}: expected a result (.nc) of detcore eiger; found {found[:200]}; write it again with 'detcore eiger sum'"
    raise InvalidResult(msg)


def _jobs(
    data: xr.Dataset, folder: Path, stem: str, method: str
) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Yield ending, target and the function that writes it: numbers first, pictures last."""
    writers: dict[str, Callable[[Path], object]] = {
        ".pickle": lambda target: write_content(target, pickled(data)),
        ".nc": partial(write_netcdf, data),
        ".csv": lambda target: write_content(target, describe(data, method).to_csv(lineterminator="\n").encode()),
        ".statistics.csv": lambda target: write_content(target, csv_of(data, method).encode()),
        ".html": lambda target: write_content(target, report.page(data, str(folder / stem), method).encode()),
        ".png": partial(_write_figure, data, str(folder / stem), method),
    }
    for suffix, write in writers.items():
        yield suffix, folder / f"{stem}{suffix}", write


def _write_figure(data: xr.Dataset, title: str, method: str, target: Path) -> None:
    facts = {"Software": "detcore", "Provenance": str(data.attrs.get("provenance", "{}"))}
    with atomic(target) as aside:
        report.figure(data, title, method).savefig(aside, format="png", dpi=120, metadata=facts)
