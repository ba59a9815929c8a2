"""Routes are declared once, and the metrics are for this host or for those with the token."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from bokeh.server.urls import toplevel_patterns
from pydantic import SecretStr
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from dashboard import endpoints

if TYPE_CHECKING:
    from dashboard.runtime import Runtime


@pytest.fixture(autouse=True)
def _runtime(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "get_runtime", lambda: runtime)


def ask(path: str, **headers: str) -> HTTPResponse:
    async def answer() -> HTTPResponse:
        socket, port = bind_unused_port()
        server = HTTPServer(Application(endpoints.ROUTES))  # type: ignore[arg-type]
        server.add_socket(socket)
        try:
            url = f"http://127.0.0.1:{port}{path}"
            return await AsyncHTTPClient(force_instance=True).fetch(url, headers=headers, raise_error=False)
        finally:
            server.stop()
            await server.close_all_connections()

    # in a thread: the browser of other tests may keep a loop in this one
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(answer())).result()


def test_declaring_twice_is_harmless() -> None:
    before = list(toplevel_patterns)
    try:
        endpoints.declare()
        endpoints.declare()
        added = [pattern[0] for pattern in toplevel_patterns if pattern not in before]
        assert sorted(added) in ([], ["/healthz", "/metrics", "/readyz"])
        assert len({pattern[0] for pattern in toplevel_patterns}) == len(toplevel_patterns)
    finally:
        toplevel_patterns[:] = before


def test_ready_means_kernels_and_demo(runtime: Runtime) -> None:
    assert ask("/healthz").code == 200
    assert ask("/readyz").code == 503
    runtime.ready.set()
    assert ask("/readyz").code == 200


def test_instances_can_be_told_apart(runtime: Runtime) -> None:
    assert f'"instance": "{runtime.instance}"'.encode() in ask("/healthz").body


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-Ip", "Forwarded"])
def test_metrics_behind_a_proxy_need_the_token(runtime: Runtime, header: str) -> None:
    assert ask("/metrics").code == 200
    assert ask("/metrics", **{header: "127.0.0.1"}).code == 403
    object.__setattr__(runtime.settings, "metrics_token", SecretStr("sesame"))
    assert ask("/metrics", **{header: "1.2.3.4"}).code == 403
    assert ask("/metrics", **{header: "1.2.3.4", "Authorization": "Bearer wrong"}).code == 403
    answer = ask("/metrics?gc=1", **{header: "1.2.3.4", "Authorization": "Bearer sesame"})
    assert answer.code == 200
    assert b"detcore_documents" not in answer.body, "counting documents stops the loop: for this host only"


def test_what_is_measured() -> None:
    text = ask("/metrics?gc=1").body.decode()
    for name in ("sessions", "snapshots_total", "rows", "problem_chunks", "uptime_seconds", "documents"):
        assert f"\ndetcore_{name} " in text
    assert "detcore_loop_lag_seconds_bucket" in text
    assert "process_resident_memory_bytes" in text
