"""Open a DL1 file of either format; which one it is shows in what it holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from detcore.core.source import UnknownFormat
from detcore.dl1.files import ctapipefile, hdffile

if TYPE_CHECKING:
    from detcore.dl1.files.model import Dl1File

CTAML_TABLES: Final = ("Events", "Telescope_Type_Information", "Array_Information")


def kind_of(path: str | os.PathLike[str]) -> str:
    """Say which format a file has, from the groups and tables in it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        "ctapipe" or "CTA-ML".

    Raises
    ------
    FileNotFoundError, OSError
        It cannot be opened.
    UnknownFormat
        It is neither; says what was looked for.
    """
    place = os.fspath(path)
    with hdffile.opened(place) as file:
        if ctapipefile.recognise(file) is not None:
            return "ctapipe"
        missing = [name for name in CTAML_TABLES if hdffile.node(file, name) is None]
        if not missing:
            return "CTA-ML"
        found = ", ".join(hdffile.children(file, "")[:20]) or "nothing"
    msg = (
        f"{place}: no DL1 file. Looked for {ctapipefile.EVENTS} and the layout of the array, as ctapipe writes them, and "
        f"for {', '.join(CTAML_TABLES)} of CTA-ML (missing: {', '.join(missing)}); found {found[:300]}"
    )
    raise UnknownFormat(msg)


def open(path: str | os.PathLike[str]) -> Dl1File:
    """Open a DL1 file: CTA-ML, or ctapipe's data model v4 to v7.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Dl1File
        A context manager; reads from any thread.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        It cannot be read, or is cut off.
    UnknownFormat
        It is something else.

    Examples
    --------
    >>> with open("gamma.dl1.h5") as file:  # doctest: +SKIP
    ...     table = file.events
    """
    place = os.fspath(path)
    if kind_of(place) == "ctapipe":
        return ctapipefile.CtapipeFile(place)
    from detcore.dl1.files.ctamlfile import CtamlFile  # noqa: PLC0415 - its decoder is compiled, which takes a while

    return CtamlFile(place)
