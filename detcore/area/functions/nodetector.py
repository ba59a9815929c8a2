"""What stands for a detector that is not in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detcore.area.functions.base import Event

if TYPE_CHECKING:
    from detcore.area.functions.base import DetObjectFunc
    from detcore.area.functions.storesum import StoredSum


class NullDetObject:
    """Stands for a detector that is not in the run: takes everything, gives nothing."""

    def __init__(self, name: str = "NullDetObject", **kwargs: Any) -> None:  # noqa: ARG002 - as DetObjectClass
        self.name = name
        self.detector = None
        self.functions: dict[str, DetObjectFunc] = {}
        self.sums: dict[str, StoredSum] = {}
        self.evt = Event()

    def __bool__(self) -> bool:
        """Whether there is a detector: no."""
        return False

    def addFunc(self, func: DetObjectFunc) -> None:
        """Forget it."""

    def getData(self, evt: Any) -> None:  # noqa: ARG002 - the known name
        """Leave `evt.dat` at None."""
        self.evt = Event()

    def processFuncs(self, *, strict: bool = True) -> dict[str, dict[str, Any]]:  # noqa: ARG002 - the known name
        """Return nothing."""
        return {}

    def results(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def storeSum(self, sumAlgo: str | None = None) -> dict[str, Any] | None:
        """Forget it; without an argument, no sums."""
        return {} if sumAlgo is None else None

    def processSums(self, **flags: bool) -> None:
        """Do nothing."""

    def params_as_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}
