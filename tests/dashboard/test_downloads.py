"""Buttons that make files: every click sends one, whatever the page sends back in between."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import pytest

from dashboard.tabs.downloads import Downloads, FileDownload


def sent(button: FileDownload) -> bytes:
    return base64.b64decode(button.data.split(",")[1])


def test_the_same_content_is_sent_again() -> None:
    button = FileDownload(filename="a.txt", callback=lambda: io.BytesIO(b"same"))
    seen: list[str] = []
    button.param.watch(lambda event: seen.append(event.new), "data")
    button._clicks += 1
    button._clicks += 1
    assert sent(button) == b"same"
    assert len(set(seen)) == 2, "a page saves a file when what it is told changes"


def test_nothing_is_sent_when_there_is_no_file() -> None:
    button = FileDownload(filename="a.txt", callback=lambda: None)
    button._clicks += 1
    assert button.data is None


def test_what_a_page_sends_back_late_does_not_keep_a_button_busy() -> None:
    button = FileDownload(filename="a.txt", callback=lambda: None)
    with button.working:
        assert button.loading
        button.loading = False  # the page repeats an older state
        assert button.loading
    assert not button.loading
    button.loading = True
    assert not button.loading


@pytest.mark.filterwarnings(
    "ignore:Both 'color' and 'button_type' were:PendingDeprecationWarning"
)  # by the library itself
@pytest.mark.filterwarnings("ignore:Both 'variant' and 'button_style' were:PendingDeprecationWarning")
def test_what_goes_wrong_is_told_and_the_button_is_there_again() -> None:
    told: list[tuple[Any, ...]] = []

    def content(name: str, value: int) -> bytes:
        if value < 0:
            msg = "no data"
            raise ValueError(msg)
        return f"{name} {value}".encode()

    exports = Downloads({"a.csv": "Table"}, content, lambda *words: told.append(words))
    button = exports.buttons["a.csv"]

    def click() -> None:
        async def run() -> None:
            await button._async_sync_data()

        asyncio.run(run())

    click()
    assert button.data is None, "nothing is shown yet"
    exports.fill(7)
    click()
    assert sent(button) == b"a.csv 7"
    exports.fill(-1)
    click()
    assert told == [("a.csv: no data", "error")]
    assert sent(button) == b"a.csv 7"
    assert not button.loading
