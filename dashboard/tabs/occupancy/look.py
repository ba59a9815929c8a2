"""What a link to the occupancy tab says besides the cuts: where the data is and how it is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from detcore.core.parameters import Parameters

VALUES = {
    "hits": "Hits",
    "hits_per_event": "Hits per event",
    "fraction": "Fraction of events",
    "per_detector": "Relative to the plane",
    "ratio": "Ratio to reference",
    "significance": "Significance",
}
UNITS = {
    "hits": "hits",
    "hits_per_event": "hits / event",
    "fraction": "events hit / events",
    "per_detector": "hits / plane's maximum",
    "ratio": "rate / reference",
    "significance": "standard deviations",
}
COUNTS = (".json", ".csv", ".nc")  # endings of earlier results, which can be a reference
TWO_SIDED = ("ratio", "significance")
PANELS = {
    "planes": "Planes",
    "findings": "Findings",
    "events": "Hits per event",
    "spills": "Spills",
    "triggers": "Triggers & H4",
    "drift": "Drift map",
    "display": "Event display",
}


class Look(Parameters):
    """How the tab looks; every field is a key of its links."""

    value: Literal["hits", "hits_per_event", "fraction", "per_detector", "ratio", "significance"] = "hits"
    scale: Literal["log", "linear"] = "log"
    limits: Literal["robust", "full"] = "robust"
    separators: bool = True
    equal: bool = False
    marks: bool = True
    controls: bool = Field(False, description="Whether the column of controls is open")
    detector: int = Field(0, ge=0, le=127, description="Selected detector id; 0: none")
    element: int = Field(0, ge=0, le=511, description="Selected element id; 0: the whole detector")
    panel: Literal["planes", "findings", "events", "spills", "triggers", "drift", "display"] = "planes"
    loglog: bool = True
    event: int = Field(0, ge=0, description="Event of the event display, counted from 0")


class Place(Parameters):
    """Where the data is, relative to the data roots."""

    path: str = Field("", max_length=1500, description="Files or folders, separated by |")
    live: bool = False
    reference: str = Field("", max_length=1500, description="Reference files or folders, separated by |")
