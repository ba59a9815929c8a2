"""Finished results to tables: dead and noisy pixels, parameters of images, showers from several images, headline numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from detcore.core.run import problems_of
from detcore.dl1.api import open_files, reduce
from detcore.dl1.columns import TABLE
from detcore.dl1.eventindex import file_of
from detcore.dl1.files.model import PARTICLES, PIXEL, Dl1File
from detcore.dl1.files.pointing import observation_level, pointing_of
from detcore.dl1.images.pixels import DEAD, NOISY, bad_pixels
from detcore.dl1.images.stereo import stereo
from detcore.dl1.source import cameras
from detcore.dl1.steps import Cuts
from detcore.dl1.tally import TELESCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detcore.dl1.api import Paths

FEWEST_IMAGES: Final = 10  # of a telescope, to judge its pixels
LIT: Final = 0.005  # part of the pixels that ever survived a cleaning: with more, there are showers in the images
TRIMMED: Final = 0.99  # of the pixels, by which the usual is told
KEYS: Final = ("obs_id", "event_id")
TRUE: Final = ("true_energy", "true_alt", "true_az", "true_core_x", "true_core_y", "true_shower_primary_id")


def statistics_flags(data: xr.Dataset, dead_below: float = 0.2, noisy_above: float = 6.0) -> xr.Dataset:
    """Find dead and noisy pixels in the statistics of many images.

    A pixel is dead if it has no charges, or they hardly vary. In images of showers bright pixels are no sign of noise, but
    light comes in groups of pixels: one is noisy if it is often bright without surviving the cleaning, compared with the
    others. Where there is next to no light (pedestals), or nothing was cleaned, one is noisy whose mean, standard deviation
    or occupancy is far above the others'; see `bad_pixels`.

    Parameters
    ----------
    data
        As `reduce` gives it, with its statistics of pixels.
    dead_below
        Standard deviation, as a part of the median of all pixels.
    noisy_above
        How many standard deviations are far, of the others' values.

    Returns
    -------
    Dataset
        By telescope and pixel: `dead` and `noisy`, bool; `pixel_mask`, uint32 (0 good, 2 dead, 16 noisy, as NeXus has it).
        By telescope: `judged`, bool: there were `FEWEST_IMAGES` or more. Attributes: camera, dead_below, noisy_above, cut.

    Raises
    ------
    ValueError
        The result has no statistics of pixels, or a limit is impossible.
    """
    needed = ("n_images", "pixel_count", "mean", "std", "occupancy", "survival")
    missing = [name for name in needed if name not in data]
    if missing:
        msg = f"the result has no {', '.join(missing)}; reduce with the part 'pixels'"
        raise ValueError(msg)
    if not (dead_below >= 0 and noisy_above > 0):
        msg = (
            f"dead_below and noisy_above: expected numbers of 0 or more, and above 0; found {dead_below}, {noisy_above}"
        )
        raise ValueError(msg)
    n_images = data["n_images"].values
    shape = data["mean"].shape
    dead, noisy = np.zeros(shape, bool), np.zeros(shape, bool)
    judged = n_images >= FEWEST_IMAGES
    for k in np.flatnonzero(judged):
        count, mean, std, occupancy, survival = (data[name].values[k] for name in needed[1:])
        found = bad_pixels(mean, std, count, occupancy, dead_fraction=dead_below, n_sigma=noisy_above)
        dead[k] = found["dead"]
        lit = float((survival > 0).mean())
        if lit < LIT or (survival >= 1).all():
            noisy[k] = found["noisy"]
        else:
            noisy[k] = ~dead[k] & _alone(np.rint(occupancy * count), np.rint(survival * n_images[k]), noisy_above)
    both = (TELESCOPE, PIXEL)
    return xr.Dataset(
        {
            "dead": (both, dead, {"long_name": "Dead"}),
            "noisy": (both, noisy, {"long_name": "Noisy"}),
            "pixel_mask": (both, (DEAD * dead + NOISY * noisy).astype(np.uint32), {"long_name": "Pixel mask"}),
            "judged": (TELESCOPE, judged, {"long_name": f"Has {FEWEST_IMAGES} images or more"}),
        },
        {TELESCOPE: data[TELESCOPE].values},
        attrs={
            "camera": data.attrs.get("camera"),
            "dead_below": dead_below,
            "noisy_above": noisy_above,
            "cut": data.attrs.get("cut", ""),
        },
    )


def _alone(bright: NDArray[Any], survived: NDArray[Any], n_sigma: float) -> NDArray[np.bool_]:
    """Return which pixels are bright without surviving far more often than others; numbers of images, (pixel,)."""
    alone = np.maximum(np.nan_to_num(bright) - np.nan_to_num(survived), 0.0)
    usual = float(alone[alone <= np.quantile(alone, TRIMMED)].mean())
    spread = 1.4826 * float(np.median(np.abs(alone - np.median(alone))))
    # a quarter: where nearly all have none, one such image or two are no wonder
    return np.asarray(alone >= usual + n_sigma * max(np.sqrt(usual + 0.25), spread))


def event_table(data: xr.Dataset) -> pd.DataFrame:
    """Return a row for each image, as `reduce` has found them.

    Parameters
    ----------
    data
        As `reduce` gives it.

    Returns
    -------
    DataFrame
        The columns of `detcore.dl1.TABLE` that the result has, before them the file if there were several; units in
        ``attrs["units"]``. Empty, with the columns that tell the image, if the result has no table.
    """
    if "tel_id" not in data or data["tel_id"].dims != ("image",):
        return pd.DataFrame({name: np.zeros(0, np.int64) for name in ("tel_id", *KEYS, "row")})
    columns: dict[str, Any] = {}
    if data.sizes.get("parts", 0) > 1:
        names = np.array([str(part) for part in data["parts"].values], dtype=object)
        columns["file"] = names[data["part"].values]
    columns |= {name: data[name].values for name in TABLE if name in data}
    table = pd.DataFrame(columns)
    table.attrs["units"] = {
        name: unit for name in table if (unit := data[name].attrs.get("units") if name in data else "")
    }
    return table


def stereo_events(
    source: Paths | Dl1File, cuts: Cuts | None = None, *, progress: Callable[[int, int, str], None] | None = None
) -> pd.DataFrame:
    """Find direction and impact point of all events of which two images or more pass the cuts.

    Parameters
    ----------
    source
        Files, or an open one. Images of all cameras are taken.
    cuts
        Cleaning and cuts; None: the usual.
    progress
        Called before each camera of each file with how many are done, how many there are, and what comes; and at the end.

    Returns
    -------
    DataFrame
        As of `stereo_of`, for all files; if there are several, with the column file. What could not be read is told in
        ``attrs["problems"]``.

    Raises
    ------
    OSError, ValueError
        A file cannot be read, or does not say where its telescopes looked.
    """
    paths = [source.path] if isinstance(source, Dl1File) else open_files(source).files()
    cuts = cuts or Cuts()
    jobs = [(path, camera) for path in paths for camera in cameras(path, cuts.telescopes)]
    tables: dict[str, list[pd.DataFrame]] = {path: [] for path in paths}
    problems: list[str] = []
    for number, (path, camera) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), f"{os.path.basename(path)}: {camera}")  # noqa: PTH119
        data = reduce(path, camera=camera, parts=("table",), **cuts.model_dump())
        problems += map(str, problems_of(data))
        tables[path].append(event_table(data))
    if progress is not None:
        progress(len(jobs), len(jobs), "")
    found = []
    for path, parts in tables.items():
        one = stereo_of(pd.concat(parts, ignore_index=True) if parts else event_table(xr.Dataset()), file_of(path))
        if len(paths) > 1:
            one.insert(0, "file", path)
        found.append(one)
    whole = pd.concat(found, ignore_index=True)
    whole.attrs = {"units": found[0].attrs["units"], "problems": problems}
    return whole


def stereo_of(table: pd.DataFrame, file: Dl1File) -> pd.DataFrame:
    """Find direction and impact point from the parameters of images of one file.

    Parameters
    ----------
    table
        A row for each image, as `event_table` gives it; of all cameras together.
    file
        Where the images are from.

    Returns
    -------
    DataFrame
        For each event with a direction: obs_id, event_id, and what `stereo` gives but `is_valid`. Of simulations also
        true_energy, true_alt, true_az, true_core_x, true_core_y, true_shower_primary_id, and how far off: direction_error,
        deg, and core_error, m. Units in ``attrs["units"]``.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or does not say where its telescopes looked.
    """
    names = [f"hillas_{name}" for name in ("intensity", "fov_lon", "fov_lat", "length", "width", "psi")]
    usable = pd.DataFrame(columns=[*KEYS, "tel_id", *names])
    if len(table) and set(names) <= set(table):
        keep = table[names].notna().all(axis=1) & (table["hillas_width"] > 0)  # a line has no direction of its own
        usable = table.loc[keep, [*KEYS, "tel_id", *names]].reset_index(drop=True)
        usable = usable[usable.groupby(list(KEYS))["tel_id"].transform("size") > 1].reset_index(drop=True)
    events = file.events
    if len(usable):
        times = usable[list(KEYS)].merge(events[[*KEYS, "time"]].drop_duplicates(list(KEYS)), how="left")["time"]
        looked = pointing_of(file, usable["tel_id"], usable["obs_id"], times)
        if np.isnan(looked).any():
            lost = sorted(set(usable["tel_id"].to_numpy(np.int64)[np.isnan(looked).any(axis=1)].tolist()))
            msg = f"{file.path}: does not say where telescopes {', '.join(map(str, lost[:20]))} looked; no direction without"
            raise ValueError(msg)
    else:
        looked = np.zeros((0, 2))
        usable = usable.astype({**dict.fromkeys((*KEYS, "tel_id"), np.int64), **dict.fromkeys(names, np.float64)})
    boxes = {tel_id: file.camera(tel_id) for tel_id in usable["tel_id"].unique().tolist()}
    level = observation_level(file)
    found = stereo(usable, file.telescopes, (looked[:, 0], looked[:, 1]), cameras=boxes, observation_level=level)
    units = dict(found.attrs["units"])
    found = found[found["is_valid"]].drop(columns="is_valid").reset_index()
    true = [name for name in TRUE if name in events]
    if true:
        found = found.merge(events[[*KEYS, *true]].drop_duplicates(list(KEYS)), on=list(KEYS), how="left")
        units |= {name: unit for name, unit in events.attrs.get("units", {}).items() if name in true}
    if {"true_alt", "true_az"} <= set(true):
        found["direction_error"] = _apart(found["alt"], found["az"], found["true_alt"], found["true_az"])
        units["direction_error"] = "deg"
    if {"true_core_x", "true_core_y"} <= set(true):
        found["core_error"] = np.hypot(found["core_x"] - found["true_core_x"], found["core_y"] - found["true_core_y"])
        units["core_error"] = "m"
    found.attrs["units"] = units
    return found


def _apart(alt: Any, az: Any, other_alt: Any, other_az: Any) -> NDArray[np.float64]:
    """Return the angle between directions, degrees; exact for small ones (haversine)."""
    alt, az, other_alt, other_az = (np.radians(np.asarray(one, np.float64)) for one in (alt, az, other_alt, other_az))
    part = np.sin((alt - other_alt) / 2) ** 2 + np.cos(alt) * np.cos(other_alt) * np.sin((az - other_az) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.minimum(part, 1.0)))))


def summary(data: xr.Dataset) -> list[tuple[str, Any, str]]:
    """Return the numbers that stand above everything.

    Parameters
    ----------
    data
        As `reduce` gives it.

    Returns
    -------
    list of (label, value, unit)
        Of what the result has: camera, images read and used, events, telescopes, medians of the image parameters, range of
        the true energy, particles, dead and noisy pixels.
    """
    found: list[tuple[str, Any, str]] = [("Camera", str((data.attrs.get("camera") or {}).get("name", "")), "")]
    if "n_read" in data:
        found.append(("Images read", int(data["n_read"].sum()), ""))
        found.append(("Telescopes", data.sizes[TELESCOPE], ""))
    if "n_events" in data:
        found.append(("Events", int(data["n_events"]), ""))
    table = event_table(data)
    if "n_images" in data or "tel_id" in data:
        found.append(("Images used", int(data["n_images"].sum()) if "n_images" in data else len(table), ""))
    if "n_pixels" in table and len(table):
        found.append(("Images with light", 100 * float((table["n_pixels"] > 0).mean()), "%"))
    units = table.attrs.get("units", {})
    for name, label in (
        ("hillas_intensity", "Median intensity"),
        ("hillas_width", "Median width"),
        ("hillas_length", "Median length"),
        ("n_pixels", "Median pixels"),
    ):
        values = table[name].dropna() if name in table else pd.Series(dtype=float)
        if len(values):
            found.append((label, float(values.median()), units.get(name, "")))
    if "true_energy" in table and (known := table["true_energy"].dropna()).size:
        found += [("Smallest energy", float(known.min()), "TeV"), ("Largest energy", float(known.max()), "TeV")]
    if "particle" in table and len(table):
        codes = table["particle"].unique().tolist()
        words = [PARTICLES.get(code, f"particle {code}") for code in sorted(codes) if code != -9999]
        found += [("Particles", ", ".join(words), "")] if words else []
    if "survival" in data:
        flags = statistics_flags(data)
        found += [("Dead pixels", int(flags["dead"].sum()), ""), ("Noisy pixels", int(flags["noisy"].sum()), "")]
    return found
