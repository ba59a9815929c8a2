"""What Panel forgets to send while a socket is busy reaches the viewer; with Panel's own functions, without a server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.document import Document
from panel.io import document as panel_document
from tornado.websocket import WebSocketHandler

from dashboard import endpoints
from dashboard.delivery import deliver


class Socket(WebSocketHandler):
    """Nobody writes to it, and no message has left it before the test says so."""

    def __init__(self) -> None:
        self.write_lock = SimpleNamespace(_block=SimpleNamespace(_value=1))


class Connection:
    """Messages are the events themselves."""

    def __init__(self) -> None:
        self._socket = Socket()
        self.protocol = SimpleNamespace(create=lambda _, events: events)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[asyncio.Future[None]]]:
    """What was given to the socket, and a future for each: when it has left."""
    given: list[Any] = []
    left: list[asyncio.Future[None]] = []

    def write(_: Connection, events: Any = None, msg: Any = None) -> list[asyncio.Future[None]]:
        assert events is None
        given.append(msg)
        left.append(asyncio.get_running_loop().create_future())
        return left[-1:]

    monkeypatch.setattr(panel_document, "dispatch_tornado", write)
    return given, left


def test_a_forgotten_message_is_sent(wire: tuple[list[Any], list[asyncio.Future[None]]]) -> None:
    given, left = wire

    async def scene() -> None:
        document, connection = Document(), Connection()
        panel_document.schedule_write_events(document, [connection], ["opening"])  # type: ignore[list-item]
        await asyncio.sleep(0.01)
        assert not deliver(document), "it is under way"
        left[0].set_result(None)  # the first task goes on in the next turn of the loop, just before the second begins
        panel_document.schedule_write_events(document, [connection], ["failed"])  # type: ignore[list-item]
        await asyncio.sleep(0.1)
        assert given == [["opening"]], "Panel has been mended: dashboard/delivery.py is not needed any more"
        assert deliver(document)
        await asyncio.sleep(0.01)
        assert given == [["opening"], ["failed"]]
        left[1].set_result(None)
        await asyncio.sleep(0.01)
        assert not deliver(document)
        assert document not in panel_document._WRITE_BLOCK, "later messages go the usual way"

    asyncio.run(scene())


def test_the_server_looks_after_every_session(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Viewer:
        def deliver(self) -> None:
            done.append("deliver")

        def behind(self) -> bool:
            return True

        def wake(self) -> None:
            done.append("wake")

    async def scene() -> None:
        endpoints.watch_loop(SimpleNamespace(sessions={Viewer(), Viewer()}))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)

    monkeypatch.setattr(endpoints, "LOOK_S", 0.01)
    asyncio.run(scene())
    assert done[:4] == ["deliver", "wake"] * 2
