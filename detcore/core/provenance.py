"""What a result was made from: versions, parameters, inputs with fingerprints."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from detcore.core.source import ChunkRef, Source

LISTED = 1000  # inputs that are named one by one; a longer list is cut and says so


@cache
def versions() -> dict[str, str]:
    """Return the versions that can change a number."""
    found = {"python": platform.python_version()}
    for name in ("detcore", "numpy", "numba", "xarray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe(value: Any) -> Any:
    """Return a frozen value (a reduction, a step, a table) as plain JSON types."""
    if isinstance(value, BaseModel):
        fields = {name: describe(getattr(value, name)) for name in type(value).model_fields}
        return {"name": type(value).__name__, **fields}
    if isinstance(value, (tuple, list, frozenset)):
        return [describe(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)[:200]


@dataclass
class Provenance:
    """Grows with the work; `record` gives what an export carries."""

    source: str
    began: str
    reduction: Any = None
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    omitted: int = 0
    weight: float = 0.0
    newest: float = math.nan

    @classmethod
    def begin(cls, source: Source) -> Provenance:
        """Start the record."""
        return cls(source.key, datetime.now(UTC).isoformat(timespec="seconds"))

    def add(self, ref: ChunkRef) -> None:
        """Count a chunk."""
        self.weight += ref.weight
        if not ref.time <= self.newest:  # nan on either side counts as newer
            self.newest = ref.time if math.isfinite(ref.time) else self.newest
        known = self.inputs.get(ref.part)
        if known is not None:
            known["rows"] += ref.stop - ref.start
        elif len(self.inputs) < LISTED:
            self.inputs[ref.part] = {
                "fingerprint": ref.fingerprint,
                "rows": ref.stop - ref.start,
            }
        else:
            self.omitted += 1

    def record(self) -> dict[str, Any]:
        """Return plain JSON types that share nothing with this object."""
        return {
            "versions": versions(),
            "source": self.source,
            "reduction": self.reduction,
            "began": self.began,
            "inputs": {part: dict(facts) for part, facts in self.inputs.items()},
            "chunks_of_inputs_not_listed": self.omitted,
        }
