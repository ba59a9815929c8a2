"""/healthz, /readyz and /metrics: cheap answers that build no session, also under plain `panel serve dashboard`."""

from __future__ import annotations

import gc
import hmac
import ipaddress
import time
from typing import TYPE_CHECKING, Any

from bokeh.document import Document
from bokeh.server.urls import toplevel_patterns
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from tornado.ioloop import PeriodicCallback
from tornado.web import RequestHandler

from dashboard.runtime import get_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from dashboard.runtime import Runtime

LOOK_S = 0.25  # how often the loop's lag is measured
NEWS_EVERY = 4  # looks between two checks of sessions that missed a wake, so once a second
FORWARDED = ("X-Forwarded-For", "X-Real-Ip", "Forwarded")

REGISTRY = CollectorRegistry()
LAG = Histogram(
    "detcore_loop_lag_seconds",
    "How late the event loop that serves everybody is",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class Collector:
    """Reads the runtime when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        runtime = get_runtime()
        yield GaugeMetricFamily("detcore_sessions", "Viewers whose page has loaded", len(runtime.sessions))
        states = [status for _, status in runtime.feeds.states()]
        feeds = GaugeMetricFamily("detcore_feeds", "Feeds by state", labels=["state"])
        for state in sorted({status.state for status in states}):
            feeds.add_metric([state], sum(status.state == state for status in states))
        yield feeds
        yield CounterMetricFamily("detcore_snapshots", "Snapshots published by all feeds", runtime.feeds.published)
        found = [one for one in map(runtime.store.latest, runtime.store.keys()) if one]
        rows = sum(fact.get("rows", 0) for one in found for fact in one.provenance.get("inputs", {}).values())
        yield GaugeMetricFamily("detcore_rows", "Rows counted in the results that are held", rows)
        lost = sum(problem.chunks for one in found for problem in one.problems)
        yield GaugeMetricFamily("detcore_problem_chunks", "Chunks lost in the results that are held", lost)
        yield GaugeMetricFamily("detcore_uptime_seconds", "Since this process began to serve", runtime.uptime)


REGISTRY.register(Collector())


class _Probe(RequestHandler):
    def answer(self, *, good: bool, **facts: object) -> None:
        self.set_status(200 if good else 503)
        self.set_header("Cache-Control", "no-store")
        self.finish(facts)


class Healthz(_Probe):
    """The process answers; `instance` changes when it is restarted."""

    def get(self) -> None:
        """Answer."""
        runtime = get_runtime()
        self.answer(good=True, status="ok", instance=runtime.instance, uptime=round(runtime.uptime, 3))


class Readyz(_Probe):
    """200 once kernels and demo are ready."""

    def get(self) -> None:
        """Answer."""
        runtime = get_runtime()
        ready = runtime.ready.is_set()
        self.answer(good=ready, status="ready" if ready else "preparing", instance=runtime.instance)


class Metrics(RequestHandler):
    """Prometheus text, for this host or for those with the token."""

    def get(self) -> None:
        """Answer; ``?gc=1`` collects garbage and counts living documents, for this host only."""
        token = get_runtime().settings.metrics_token
        given = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        local = _is_local(self)
        if not local and (token is None or not hmac.compare_digest(given.encode(), token.get_secret_value().encode())):
            self.set_status(403)
            self.finish("metrics are for this host; set DETCORE_METRICS_TOKEN and send 'Authorization: Bearer TOKEN'\n")
            return
        text = generate_latest(REGISTRY)
        if local and self.get_query_argument("gc", "") == "1":
            gc.collect()
            count = sum(issubclass(type(thing), Document) for thing in gc.get_objects())
            text += f"# TYPE detcore_documents gauge\ndetcore_documents {count}\n".encode()
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(text)


def _is_local(handler: RequestHandler) -> bool:
    # Behind a proxy everybody seems to be local: its headers say otherwise.
    if any(name in handler.request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(handler.request.remote_ip or "").is_loopback
    except ValueError:
        return False


ROUTES: list[tuple[str, Any]] = [(r"/healthz", Healthz), (r"/readyz", Readyz), (r"/metrics", Metrics)]


def declare() -> None:
    """Add the routes to those that every Bokeh server in this process offers; a second call does nothing."""
    known = {pattern[0] for pattern in toplevel_patterns}
    toplevel_patterns.extend(route for route in ROUTES if route[0] not in known)


def watch_loop(runtime: Runtime) -> None:
    """Measure the lag of the present loop; see that no session misses anything."""
    due, count = time.monotonic() + LOOK_S, 0

    def look() -> None:
        nonlocal due, count
        now = time.monotonic()
        LAG.observe(max(now - due, 0.0))
        due, count = now + LOOK_S, count + 1
        if count % NEWS_EVERY == 0:
            for session in tuple(runtime.sessions):
                session.deliver()
                if session.behind():
                    session.wake()

    PeriodicCallback(look, LOOK_S * 1000).start()
