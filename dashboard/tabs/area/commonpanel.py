"""The panel that compares common modes by the noise that they leave, and takes one into the setup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
from typing_extensions import override

from dashboard.tabs.area.panels import TIGHT, TOP, Acts, Now, Panel, button, digits
from dashboard.tabs.parts import NUMBER, Working, column, text
from dashboard.views.table import Table
from detcore import area

if TYPE_CHECKING:
    import threading

    from numpy.typing import NDArray

    from dashboard.tabs.area.science import Facts

COLUMNS = {"preset": "Preset", "noise": "Noise (ADU)", "gain": "vs. none", "meaning": "What it does"}
MOST_BYTES = 400_000_000  # of all frames that are compared
NOTHING = "default of the detector"


class CommonPanel(Panel):
    """A table of presets with the noise of each; a click takes one into the setup."""

    def __init__(self, acts: Acts) -> None:
        super().__init__()
        self._acts = acts
        self._shown: object = None
        self._presets: list[int] = []
        self._frames = pmui.IntInput(label="Frames", value=30, start=3, end=500, width=80, **NUMBER)
        self._compare = button("Compare noise", self._compared, "each preset on the same frames", icon="compare_arrows")
        self._comparing = Working(self._compare)
        self._cancel = button("Cancel", lambda _: self._stop(), icon="cancel", visible=False)
        self._none = button("No common mode", lambda _: self._take(0), "take it out of the setup")
        self._default = button("Default", lambda _: self._take(None), "what the type of the detector recommends")
        self._words, self._advice = text(), text()
        self.table = Table(
            COLUMNS,
            widths={"preset": 66, "noise": 104, "gain": 84},
            on_click=self._clicked,
            sortable=False,
            wrap=("meaning",),
        )
        bar = pn.FlexBox(self._frames, self._compare, self._cancel, self._none, self._default, **TIGHT)
        self.view = pn.Column(
            bar,
            self.error,
            self._words,
            self._advice,
            column(self.table.widget),
            sizing_mode="stretch_both",
            margin=0,
            styles=TOP,
        )

    # --- what the viewer does

    def _compared(self, _: object) -> None:
        work = self._acts.work
        facts, count = work.facts, int(self._frames.value or 30)
        if facts is None:
            self.complain("There are no frames yet: wait for them.")
            return
        setup, good = self._acts.desk.setup, work.evaluation.good_raw if work.evaluation is not None else None

        def make(cancel: threading.Event) -> Any:
            return compared(facts, setup, good, count, cancel)

        work.compare(object(), make)

    def _stop(self) -> None:
        self._acts.work.cancel()
        self._acts.session.refresh()

    def _take(self, preset: int | None) -> None:
        self._acts.edit(f"common mode {NOTHING if preset is None else preset}", common_mode=preset)

    def _clicked(self, number: int) -> None:
        if 0 <= number < len(self._presets):
            self._take(self._presets[number])

    # --- what is shown

    @override
    def show(self, now: Now) -> None:
        mode = now.desk.setup.common_mode
        words = NOTHING if mode is None else f"preset {mode}" if isinstance(mode, int) else f"{len(mode)} own steps"
        line = f"In the setup: {words}. Click a row to take its preset."
        if line != self._words.text:
            self._words.text = line
        if now.facts is None:
            return
        if not self._presets:
            self._list(now.facts, None)
        advice = f"Recommended for {now.facts.detector.type}: {now.facts.detector.kind.recommended}"
        if advice != self._advice.text:
            self._advice.text = advice

    def _list(self, facts: Any, noises: dict[int, float] | None) -> None:
        presets = area.presets(facts.detector.type)
        self._presets = list(presets)
        none = noises.get(0) if noises else None
        rows = []
        for number, preset in presets.items():
            noise = noises.get(number) if noises else None
            change = "" if noise is None or not none else f"{100 * (noise / none - 1):+.1f} %"
            rows.append({
                "preset": str(number), "noise": digits(noise) if noise is not None else "", "gain": change, "meaning": preset.meaning,
            })  # fmt: skip
        self.table.show(pd.DataFrame(rows, columns=list(COLUMNS)))

    @override
    def fill(self, now: Now) -> None:
        work = now.work
        self.report(work.problems.get("common", ""))
        self._cancel.visible = work.comparing
        self._comparing.show(work.comparing)
        if work.noises is not None and work.noises is not self._shown and now.facts is not None:
            self._shown = work.noises
            self._list(now.facts, work.noises)


def compared(
    facts: Facts, setup: area.Setup, good: NDArray[np.bool_] | None, count: int, cancel: threading.Event
) -> dict[int, float]:
    """Return the noise (ADU) that each number leaves in the first frames of a run; called in a thread.

    Raises
    ------
    OSError, ValueError
        The frames cannot be read, or are too few.
    """
    detector = area.prepared(facts.detector, setup)
    pixels = int(np.prod(detector.shape))
    frames = []
    for number in range(min(count, facts.n_frames, max(3, MOST_BYTES // (4 * pixels)))):
        if cancel.is_set():
            return {}
        frames.append(area.calibrated(facts.source.frame(number), facts.detector, setup.with_(common_mode=0)))
    stack = np.stack(frames) if frames else np.zeros((0, *detector.shape), np.float32)
    noise = detector.noise if detector.noise is not None and detector.noise.shape == detector.shape else None
    found: dict[int, float] = {}
    for number in area.presets(detector.type):
        if cancel.is_set():
            break
        try:
            data = area.compare_common_mode(stack, detector.type, good=good, noise=noise, numbers=[number])
        except ValueError:
            if len(stack) < 2:
                raise
            continue  # needs what there is not: the row stays empty
        found[number] = float(data["noise"].values[0])
    return found
