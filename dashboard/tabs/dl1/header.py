"""What the file says of itself: its telescopes, how it was simulated, its metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import panel as pn
from typing_extensions import override

from dashboard.tabs.dl1.look import digits
from dashboard.tabs.dl1.panels import Memory, Panel
from dashboard.tabs.parts import column, text
from dashboard.views.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.tabs.dl1.panels import Now
    from dashboard.tabs.dl1.results import Facts

LONGEST = 400  # characters of a value
TELESCOPES = {
    "tel_id": "Id", "type": "Type", "pixels": "Pixels", "images": "Images", "focal": "Focal length (m)", "x": "x (m)", "y": "y (m)",
    "z": "z (m)",
}  # fmt: skip


class FilePanel(Panel):
    """Three tables."""

    def __init__(self, want: Callable[..., None]) -> None:
        self._want = want
        self._drawn = Memory()
        self._ids: list[int] = []
        self._words = text()
        self.telescopes = Table(TELESCOPES, widths={"tel_id": 60}, on_click=self._clicked)
        self.header = Table({"name": "Simulation", "value": "Value", "unit": "Unit"}, widths={"unit": 90})
        self.metadata = Table({"name": "Metadata", "value": "Value"})
        lower = pn.Row(
            column(self.header.widget), column(self.metadata.widget), sizing_mode="stretch_both", margin=0,
            styles={"flex": "3 1 0"},
        )  # fmt: skip
        self.view = pn.Column(
            self._words, column(self.telescopes.widget, flex="2 1 0"), lower, sizing_mode="stretch_both", margin=0
        )

    def _clicked(self, row: int) -> None:
        if 0 <= row < len(self._ids):
            self._want(pixels=self._ids[row], panel="pixels")

    @override
    def fill(self, now: Now) -> None:
        facts = now.facts
        if not self._drawn.new(facts):
            return
        self._words.text = (
            f"{facts.format} · {len(facts.events):,} events, {sum(facts.images.values()):,} images of {len(facts.images)} "
            f"telescopes with {', '.join(facts.kinds) or 'no camera'} · times in {facts.time_unit} · {facts.path}"
        )
        self._ids = [int(tel) for tel in facts.telescopes.index]
        self.telescopes.show(_telescopes(facts))
        header = [(name, _words(value), unit) for name, (value, unit) in facts.header.items()]
        self.header.show(pd.DataFrame(header, columns=["name", "value", "unit"]).astype(str))
        metadata = [(name, _words(value)) for name, value in facts.metadata.items()]
        self.metadata.show(pd.DataFrame(metadata, columns=["name", "value"]).astype(str))


def _telescopes(facts: Facts) -> pd.DataFrame:
    table = facts.telescopes
    shown = pd.DataFrame({"tel_id": [str(tel) for tel in table.index], "type": table["type"].astype(str).to_numpy()})
    shown["pixels"] = [digits(number) for number in table["n_pixels"]]
    shown["images"] = [f"{facts.images.get(int(tel), 0):,}" for tel in table.index]
    shown["focal"] = [digits(float(length)) for length in table["focal_length"]]
    for name in "xyz":
        shown[name] = [digits(round(float(place), 2)) for place in table[name]]
    return shown


def _words(value: object) -> str:
    """Return a value of a file as bounded text."""
    if isinstance(value, float | np.floating):
        return digits(float(value)) or "nan"
    return str(value)[:LONGEST]
