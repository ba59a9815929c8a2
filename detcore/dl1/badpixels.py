"""Masks of dead and noisy pixels, as `write_mask` has written them or somebody by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pandas as pd

from detcore.core.parameters import InvalidParameters, mapping_from_yaml

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from detcore.dl1.images.geometry import Camera

MAX_BYTES: Final = 64 << 20
KINDS: Final = ("dead", "noisy")


def read_mask(
    path: str | os.PathLike[str], camera: Camera, *, dead: bool = True, noisy: bool = True
) -> dict[int, NDArray[np.bool_]]:
    """Read which pixels are bad.

    Parameters
    ----------
    path
        A .yaml or .csv of `write_mask`.
    camera
        Whose pixels these are.
    dead, noisy
        Which kinds count as bad.

    Returns
    -------
    dict
        tel_id -> (pixel,) bool, True is bad; what `interpolate` takes. Of a .csv only telescopes with bad pixels.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is something else, of another camera, or has pixels that the camera does not have.

    Examples
    --------
    >>> bad = read_mask("gamma_LSTCam.mask.yaml", camera)  # doctest: +SKIP
    >>> filled = interpolate(images, bad[tel_id], camera)  # doctest: +SKIP
    """
    place = Path(path)
    if place.stat().st_size > MAX_BYTES:
        _refuse(place, f"{place.stat().st_size} bytes")
    wanted = [kind for kind, chosen in zip(KINDS, (dead, noisy), strict=True) if chosen]
    if place.suffix in {".yaml", ".yml"}:
        listed = _of_yaml(place, camera, wanted)
    elif place.suffix == ".csv":
        listed = _of_csv(place, wanted)
    else:
        msg = f"{place}: expected a name that ends in .yaml or .csv; a .npy does not say which telescopes it is of"
        raise ValueError(msg)
    found = {}
    for tel_id, pixels in listed.items():
        if pixels and not 0 <= min(pixels) <= max(pixels) < camera.n_pixels:
            _refuse(place, f"pixels {min(pixels)} to {max(pixels)}; camera {camera.name} has {camera.n_pixels}")
        bad = np.zeros(camera.n_pixels, np.bool_)
        bad[pixels] = True
        found[tel_id] = bad
    return found


def _of_yaml(place: Path, camera: Camera, wanted: list[str]) -> dict[int, list[int]]:
    try:
        content = mapping_from_yaml(place.read_text(encoding="utf-8"))
    except (InvalidParameters, UnicodeDecodeError) as error:
        _refuse(place, str(error))
    name, telescopes = content.get("camera", ""), content.get("telescopes")
    if name and name != camera.name:
        _refuse(place, f"a mask of camera {name!s:.50}, not of {camera.name}")
    if not isinstance(telescopes, dict):
        _refuse(place, "no telescopes")
    found = {}
    for tel_id, kinds in telescopes.items():
        lists: list[Any] = [kinds.get(kind, []) for kind in wanted] if isinstance(kinds, dict) else [None]
        if not _whole(tel_id) or not all(isinstance(one, list) and all(map(_whole, one)) for one in lists):
            _refuse(place, f"telescope {tel_id!s:.50} without lists of pixels")
        found[tel_id] = [pixel for one in lists for pixel in one]
    return found


def _of_csv(place: Path, wanted: list[str]) -> dict[int, list[int]]:
    columns = ["telescope", "pixel", *KINDS]
    try:
        table = pd.read_csv(place, usecols=columns)
    except (ValueError, UnicodeDecodeError) as error:
        _refuse(place, " ".join(str(error).split()))
    kinds = [table[name].dtype.kind for name in columns]
    if len(table) and (kinds[:2] != ["i", "i"] or set(kinds[2:]) != {"b"}):
        _refuse(place, f"columns {', '.join(columns)} of types {', '.join(map(str, table[columns].dtypes))}")
    chosen = table[table[wanted].to_numpy(bool).any(axis=1)]
    return {int(str(tel_id)): mine["pixel"].tolist() for tel_id, mine in chosen.groupby("telescope")}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(place: Path, found: str) -> NoReturn:
    msg = (
        f"{place}: expected dead and noisy pixels of telescopes, as 'detcore dl1 run' writes them; found {found[:200]}"
    )
    raise ValueError(msg)
