"""What one viewer has asked for, in threads: the files, a frame, what follows from it, and the long jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.tabs.area.science import Evaluation, Facts, Picture, Wish, evaluate
from dashboard.tabs.background import Latest, Shared, Single
from detcore import area

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Hashable, Mapping

    from dashboard.tabs.area.average import Asked

FACTS: Shared[Facts] = Shared(6)
PICTURES: Shared[Picture] = Shared(6)  # one of 16 million pixels takes 64 MB
EVALUATIONS: Shared[Evaluation] = Shared(6)
ASKED: Shared[Asked] = Shared(16)


class Work:
    """The newest of what was asked for; what was there before stays until the next is.

    Parameters
    ----------
    ready
        Called, from any thread, when there is something new.

    Attributes
    ----------
    facts, picture, evaluation
        None until they are there.
    trouble
        Why the files cannot be read, or nothing.
    problems
        Words for panels in which something went wrong.
    points
        That were clicked on a ring, px.
    centre
        What was found last.
    finding
        How the centre is looked for now, or nothing.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._facts: Latest[Facts] = Latest(FACTS, ready)
        self._pictures: Latest[Picture] = Latest(PICTURES, ready)
        self._evaluations: Latest[Evaluation] = Latest(EVALUATIONS, ready)
        self._centres: Single[Any] = Single(ready)
        self._noises: Single[Any] = Single(ready)
        self._asked: Latest[Asked] = Latest(ASKED, ready)
        self._kept: object = None
        self.asked: Asked | None = None
        self.facts: Facts | None = None
        self.picture: Picture | None = None
        self.evaluation: Evaluation | None = None
        self.trouble = ""
        self.problems: dict[str, str] = {}
        self.points: list[tuple[float, float]] = []
        self.centre: Any = None
        self.finding = ""
        self._wanted: tuple[Hashable, Callable[[threading.Event], Any]] | None = None
        self._compared: tuple[Hashable, Callable[[threading.Event], Any]] | None = None
        self.noises: dict[int, float] | None = None

    # --- files

    def open(self, paths: tuple[str, ...], options: Mapping[str, Any]) -> Facts | None:
        """Ask for what files hold; None while they are read, or when they cannot be."""
        self.trouble, found = "", None
        if paths:
            key = (tuple(map(stamp, paths)), tuple(sorted(options.items())))
            try:
                found = self._facts.ask(key, lambda: facts_of(paths, options, key))
            except (OSError, ValueError, KeyError, ImportError) as error:
                self.trouble = str(error)
        if found is None and (self.trouble or self.facts is None or self.facts.paths != paths):
            self.facts = self.picture = self.evaluation = self.asked = None
        if found is not None and found is not self.facts:
            self.facts, self.picture, self.evaluation, self.asked = found, None, None, None
        return self.facts

    def ask(self, key: Hashable, make: Callable[[], Asked]) -> Asked | None:
        """Ask for the reductions that make averages.

        Raises
        ------
        OSError, ValueError
            They cannot be made.
        """
        found = self._asked.ask(key, make)
        self.asked = found or self.asked
        return found

    def draw(self, key: Hashable, make: Callable[[], Picture], kept: object = None) -> Picture | None:
        """Ask for a picture; `kept` stays as long as it is shown, as its key may be made of its id.

        Raises
        ------
        OSError, ValueError
            It cannot be made.
        """
        found = self._pictures.ask(key, make)
        if found is not None:
            self.picture, self._kept = found, kept
        return self.picture

    def evaluate(self, setup: area.Setup, arrays: Mapping[str, Any], wish: Wish) -> Evaluation | None:
        """Ask for what follows from the picture and a setup."""
        picture, facts = self.picture, self.facts
        if picture is None or facts is None:
            return None
        used = (setup.mask, setup.psana_options, setup.rois, setup.geometry, setup.azimuthal)
        key = (Same(picture), Same(facts), Same(*used), tuple(map(id, arrays.values())), wish)
        found = self._evaluations.ask(key, lambda: evaluate(picture, facts, setup, arrays, wish))
        self.evaluation = found or self.evaluation
        return self.evaluation

    # --- the centre

    def find(self, how: str, make: Callable[[], Any]) -> None:
        """Look for the centre, or refine the distance; the newest wish wins."""
        self.finding, self.problems["centre"] = how, ""
        self._wanted = (object(), lambda _: make())
        self._ready()

    def found(self) -> tuple[str, Any] | None:
        """Return how and what was found, once."""
        if self._wanted is None:
            return None
        how = self.finding
        try:
            found = self._centres.ask(*self._wanted)
        except (ValueError, RuntimeError, np.linalg.LinAlgError) as error:
            self.problems["centre"] = str(error)
            self._wanted, self.finding = None, ""
            return None
        if found is None:
            return None
        self._wanted, self.finding, self.centre = None, "", found
        return how, found

    def read_poni(self, content: bytes, name: str) -> area.Geometry:
        """Return the geometry of a .poni file.

        Raises
        ------
        ValueError
            It is none; begins with the name of the file.
        """
        shape = self.facts.detector.image_shape if self.facts is not None else None
        try:
            return area.poni_geometry(content.decode("utf-8"), shape, Path(name).name[:80])
        except UnicodeDecodeError:
            msg = f"{Path(name).name[:80]}: expected the text of a .poni file, found bytes that are not text"
            raise ValueError(msg) from None

    def poni_text(self, geometry: area.Geometry, facts: Facts | None) -> str:
        """Return a geometry as the text of a .poni file."""
        return area.poni_text(geometry, facts.detector.image_shape if facts is not None else None)

    # --- common mode

    def compare(self, key: Hashable, make: Callable[[threading.Event], Any]) -> None:
        """Compare the noise of common modes."""
        self._compared, self.noises, self.problems["common"] = (key, make), None, ""
        self._ready()

    @property
    def comparing(self) -> bool:
        """Whether noises are being compared."""
        return self._compared is not None and self.noises is None

    def listen(self) -> None:
        """Take what the long jobs have given."""
        if self._compared is not None and self.noises is None:
            try:
                self.noises = self._noises.ask(*self._compared)
            except (OSError, ValueError) as error:
                self.problems["common"], self._compared = str(error), None

    def cancel(self) -> None:
        """Stop comparing."""
        self._noises.forget()
        self._compared = None

    def close(self) -> None:
        """Stop everything."""
        self._noises.cancel()
        self._centres.cancel()


class Same:
    """Equal if all of the same objects are in it; keeps them, so that no other can take their place."""

    def __init__(self, *held: object) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Same)
            and len(self._held) == len(other._held)
            and all(mine is theirs for mine, theirs in zip(self._held, other._held, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._held)))


def stamp(path: str) -> tuple[str, int, int]:
    """Return what tells one state of a file from another."""
    try:
        facts = Path(path).stat()
    except OSError:
        return path, 0, 0
    return path, facts.st_mtime_ns, facts.st_size


def facts_of(paths: tuple[str, ...], options: Mapping[str, Any], key: Hashable) -> Facts:
    """Open files and read what does not change from frame to frame."""
    source = area.open_files(paths, **options)
    return Facts(key, source, source.detector(), int(source.n_frames()), paths)
