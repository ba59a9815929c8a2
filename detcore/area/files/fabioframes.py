"""Formats of laboratories and beamlines (EDF, CBF, …) through fabio, if it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from detcore.area.files.countertext import facts_of_text
from detcore.area.files.formats import (
    MAX_FRAMES,
    Contents,
    Options,
    Stack,
    checked_frame,
    guess_type,
    native,
    native_type,
    sentinels,
    split,
    valid_limits,
)  # fmt: skip
from detcore.core.paths import regular
from detcore.core.source import Match, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OTHERS = "fabio"
STARTS = {
    b"###CBF": "CBF", b"{\n": "EDF", b"{\r": "EDF", b"\n{": "EDF", b"{": "EDF", b"FORMAT :        86": "Bruker",
    b"No": "KCD", b"ADEPT": "GE", b"\x4d\x5a": "HiPic", b"DATA": "MRC", b"RAXIS": "RAXIS", b"R-AXIS": "RAXIS",
    b"Fit2D": "Fit2D", b"ID=": "DTREK", b"{HEADER_BYTES=": "SMV",
}  # fmt: skip
_lock = threading.Lock()  # fabio's readers share files


class FabioFrames:
    """See `Format`. Claims what is left, as far as its beginning is known, or everything that fabio then opens."""

    name: ClassVar[str] = "EDF, CBF and others through fabio"
    suffixes: ClassVar[tuple[str, ...]] = (".edf", ".cbf", ".mccd", ".mar2300", ".mar3450", ".img", ".sfrm")

    @staticmethod
    def there() -> bool:
        """Return whether fabio is installed."""
        return importlib.util.find_spec("fabio") is not None

    def claims(self, start: bytes) -> bool:
        """Return whether the beginning is one that fabio's formats have."""
        return start.startswith(tuple(STARTS))

    def judge(self, path: str) -> Match:
        """Return generic for what fabio opens."""
        try:
            one = self.look(path, Options()).stacks[0]
        except (OSError, ValueError) as error:
            return Match("no", " ".join(str(error).split())[:300])
        return Match("generic", f"{one.n} images {one.shape}, by fabio")

    def look(self, path: str, options: Options, peers: Sequence[str] = ()) -> Contents:  # noqa: ARG002 - of one file
        """Return the images and what their heads say."""
        image = _opened(path)
        with _lock:
            data, n = np.asarray(image.data), int(getattr(image, "nframes", 1) or 1)
            head = {str(key): str(value) for key, value in dict(image.header).items()}
        if data.ndim != 2 or not 0 < n <= MAX_FRAMES:
            msg = f"{path}: fabio gives {n} images of shape {data.shape}; expected images (y, x)"
            raise UnknownFormat(msg)
        _, shape = split(data.shape, options, path)
        checked_frame(data.shape, data.dtype, path)
        notes: list[str] = []
        words = "\n".join([*head.values(), *(f"{key} {value}" for key, value in head.items())])
        facts = facts_of_text(words)
        facts.setdefault("type", guess_type(head.get("Detector"), head.get("detector"), head.get("model")))
        facts |= valid_limits(facts["type"], data.dtype, notes) or sentinels(data, notes)
        return Contents((Stack(path, n, shape, native_type(data.dtype), OTHERS),), facts=facts, notes=tuple(notes))

    def read(self, stack: Stack, rows: slice) -> NDArray[Any]:
        """Return frames (frame, *shape)."""
        image = _opened(stack.path)
        found = []
        with _lock:
            for row in range(*rows.indices(stack.n)):
                try:
                    one = image.getframe(row) if stack.n > 1 else image
                    found.append(native(np.asarray(one.data)).astype(stack.dtype, copy=False).reshape(stack.shape))
                except Exception as error:
                    msg = f"{stack.path}: image {row} cannot be read: {type(error).__name__}: {str(error)[:200]}"
                    raise OSError(msg) from error
        return np.stack(found)


@lru_cache(maxsize=8)
def _image(path: str, *state: int) -> Any:
    del state
    logging.getLogger("fabio").setLevel(logging.ERROR)  # it comments on every head that lacks something
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("fabio").open(path)  # an extra that need not be installed


def _opened(path: str) -> Any:
    if not FabioFrames.there():
        msg = f"{path}: this format is read by fabio, which is not installed; pip install 'detcore[images]'"
        raise UnknownFormat(msg)
    facts = regular(path)
    try:
        return _image(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    except Exception as error:  # fabio raises whatever its readers do
        msg = f"{path}: fabio cannot read it: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UnknownFormat(msg) from error
