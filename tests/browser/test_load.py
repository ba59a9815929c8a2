"""Many viewers at once, and viewers that come and go, with light clients: a websocket and no drawing."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.browser.conftest import Server

T = TypeVar("T")
pytestmark = [pytest.mark.slow, pytest.mark.browser]

READY = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}},
        }
    ]
}
VIEWERS, HZ, SECONDS = 20, 2.0, 12.0
COMERS, AT_ONCE, ROUNDS = 200, 10, 5
LEAK_BYTES = 0.25e6  # of one viewer


@dataclass
class Light:
    """A viewer that opens the page, says that it is ready, and counts what it is sent."""

    server: Server
    query: dict[str, object]
    pictures: int = 0
    socket: WebSocketClientConnection | None = None
    listening: asyncio.Task[None] | None = field(default=None, repr=False)

    async def open(self) -> Light:
        page = await AsyncHTTPClient().fetch(self.server.url(**self.query), request_timeout=60)
        found = re.search(r'"token":"([^"]+)"', page.body.decode())
        assert found, "the page has no session token"
        request = HTTPRequest(self.server.url().replace("http:", "ws:") + "/ws", connect_timeout=60, request_timeout=60)
        self.socket = await websocket_connect(request, subprotocols=["bokeh", found[1]], max_message_size=2**26)
        for _ in range(3):  # the acknowledgement
            await self.socket.read_message()
        await self._say("PULL-DOC-REQ", {})
        await self._say("PATCH-DOC", READY)
        self.listening = asyncio.create_task(self._listen())
        return self

    async def _say(self, kind: str, content: dict[str, object]) -> None:
        assert self.socket is not None
        for frame in ({"msgid": uuid4().hex, "msgtype": kind}, {}, content):
            await self.socket.write_message(json.dumps(frame))

    async def _listen(self) -> None:
        assert self.socket is not None
        while (frame := await self.socket.read_message()) is not None:
            # Each picture of the fake tab comes with its number, each update of the real one as a parcel in some tags.
            if isinstance(frame, str) and ('"number"' in frame or '"tags"' in frame) and '"events"' in frame:
                self.pictures += 1

    async def close(self) -> None:
        assert self.socket is not None
        assert self.listening is not None
        self.socket.close()
        await self.listening


def alone(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a thread of its own: Playwright's loop is this one's as long as its browser is open."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


# How much more 20 viewers of the real tab may cost than 20 of a bare picture. Machines differ and are shared, so that
# only a ratio can be tested, and that with room for the noise of both. The goal is 2.5 (15 % of a core where the bare
# pictures cost 6 %); measured are 2.8 on a quiet machine.
LIMIT = 4.0


@dataclass
class Cost:
    """What watching cost: share of a core, pictures of each viewer, snapshots, and how often the loop was late."""

    busy: float
    served: list[int]
    published: float
    late: float

    def __str__(self) -> str:
        served = f"{min(self.served)} to {max(self.served)} of {self.published:.0f} pictures"
        return f"{VIEWERS} viewers at {HZ} Hz for {SECONDS} s: {served}, {100 * self.busy:.1f} % of a core"


async def watch(server: Server, query: dict[str, object]) -> Cost:
    """Let all viewers settle, and then count for some time."""
    viewers = [await Light(server, query).open() for _ in range(VIEWERS)]
    until = time.monotonic() + 60
    while min(viewer.pictures for viewer in viewers) < 6 and time.monotonic() < until:
        await asyncio.sleep(0.2)
    names = ("process_cpu_seconds_total", "detcore_snapshots_total")
    before, late = [server.metric(name) for name in names], late_share(server)
    counts, began = [viewer.pictures for viewer in viewers], time.monotonic()
    await asyncio.sleep(SECONDS)
    took = time.monotonic() - began
    served = [viewer.pictures - count for viewer, count in zip(viewers, counts, strict=True)]
    busy, published = (server.metric(name) - then for name, then in zip(names, before, strict=True))
    cost = Cost(busy / took, served, published, late_share(server) - late)
    for viewer in viewers:
        await viewer.close()
    return cost


def test_twenty_viewers_at_two_hertz(serve: Callable[..., Server], plugin: dict[str, str]) -> None:
    """All are served, the slowest too, for a small share of a core; the loop stays responsive."""
    costs = {}
    for name, query in {
        "bare picture": {"tab": "fake", "live": 1, "hz": HZ},
        "occupancy": {"tab": "growing", "detector": 3},
    }.items():
        server = serve(env=plugin)
        try:
            costs[name] = cost = alone(watch(server, query))
        finally:
            server.stop()
        print(f"\n{name}: {cost}")  # noqa: T201 - the number is the point of a load test
        assert cost.published >= 0.5 * HZ * SECONDS, str(cost)
        assert min(cost.served) >= 0.7 * cost.published, f"the slowest viewer got {min(cost.served)}: {cost}"
        assert min(cost.served) >= 0.8 * max(cost.served), f"some viewers get less than others: {cost}"
        assert cost.late <= 0.1 * SECONDS / 0.25, f"{cost.late} looks at the loop found it more than 0.2 s late"
    assert costs["occupancy"].busy <= LIMIT * costs["bare picture"].busy


def late_share(server: Server) -> float:
    """How many looks at the event loop found it more than 0.2 s late."""
    text = server.get("/metrics")[1]
    values = {found[1]: float(found[2]) for found in re.finditer(r'lag_seconds_bucket\{le="([^"]+)"\} (\S+)', text)}
    return values["+Inf"] - values["0.2"]


def test_two_hundred_viewers_leave_nothing_behind(serve: Callable[..., Server], plugin: dict[str, str]) -> None:
    """Documents and memory are counted after a garbage collection, after every round."""
    server = serve(env=plugin, args=("--unused-session-lifetime", "1000", "--check-unused-sessions", "300"))

    async def come_and_go(count: int) -> None:
        for _ in range(count // AT_ONCE):
            opened = await asyncio.gather(
                *(
                    Light(server, {"hz": HZ, "live": 1} | ({"display": "wall", "rotate": 5} if n % 2 else {})).open()
                    for n in range(AT_ONCE)
                )
            )
            await asyncio.sleep(0.3)
            assert all(viewer.socket is not None for viewer in opened)
            for viewer in opened:
                await viewer.close()

    def settled() -> float:
        end = time.monotonic() + 60
        while (left := server.metric("detcore_documents", "?gc=1")) > 1 and time.monotonic() < end:
            time.sleep(0.5)
        assert server.metric("detcore_sessions") == 0
        return left

    memory = []
    for _ in range(ROUNDS):
        alone(come_and_go(COMERS // ROUNDS))
        left = settled()
        memory.append(server.metric("process_resident_memory_bytes"))
    grown = [after - before for before, after in itertools.pairwise(memory)]
    print(  # noqa: T201 - the number is the point of a load test
        f"\nafter {COMERS} viewers: {left:.0f} documents; memory after each {COMERS // ROUNDS}: "
        + ", ".join(f"{size / 1e6:.0f} MB" for size in memory)
    )
    assert left <= 1, "documents of viewers that left are kept alive"
    # What every viewer leaves behind is left in every round; the allocator's own steps are not.
    assert min(grown) < LEAK_BYTES * COMERS / ROUNDS
