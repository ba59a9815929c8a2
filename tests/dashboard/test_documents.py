"""The pages are valid to Bokeh, which is told not to look at every change of every viewer's page."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import panel as pn
import pytest
from bokeh.core.validation.check import check_integrity
from bokeh.document import Document

import dashboard
from dashboard.page import Shell

if TYPE_CHECKING:
    from dashboard.runtime import Runtime

TABS = Path(dashboard.__file__).parent / "tabs"


@pytest.mark.parametrize("display", ["desk", "wall"])
def test_a_page_of_each_tab_is_valid(runtime: Runtime, display: str) -> None:
    names = [name for name in runtime.instruments if (TABS / name / "tab.py").is_file()]
    assert {"occupancy", "eiger", "showers"} <= set(names)
    for name in names:
        document = Document()
        pn.extension("tabulator")
        shell = Shell(
            runtime,
            {name: import_module(f"dashboard.tabs.{name}").Tab},
            {"display": [display.encode()], "tab": [name.encode()]},
        )
        shell.page.server_doc(document)
        assert shell.built.keys() == {name}, [notice.text for notice in shell.session._own]
        models = {model for root in document.roots for model in root.references()}
        assert any(type(model).__name__ == "figure" for model in models)
        found = check_integrity(models)
        assert found.error == []
        assert {issue.name for issue in found.warning} <= {"EMPTY_LAYOUT"}  # places that are filled when needed
        shell.session.close()
