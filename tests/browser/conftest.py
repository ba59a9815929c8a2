"""A dashboard in its own process, a real Chromium, and pages that remember what went wrong on them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

import dashboard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from playwright.sync_api import Browser, Page

APP = Path(dashboard.__file__).parent
START_S = 180.0
DESK = (1600, 900)
PATIENCE_MS = 90_000  # machines are shared; a page that never comes is what fails
expect.set_options(timeout=PATIENCE_MS)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One `panel serve dashboard` in a subprocess; leave it with `stop`."""

    folder: Path
    env: dict[str, str]
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = (sys.executable, "-m", "panel")
    prefix: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def url(self, **query: object) -> str:
        return f"{self.base}/dashboard" + (f"?{urlencode(query)}" if query else "")

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of one request; a refused connection raises OSError."""
        request = urllib.request.Request(self.base + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, query: str = "") -> float:
        """One number out of /metrics, e.g. `detcore_sessions`."""
        for line in self.get(f"/metrics{query}")[1].splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                return float(line.rsplit(" ", 1)[1])
        msg = f"no metric {name!r} in /metrics"
        raise AssertionError(msg)

    def start(self, *, ready: bool = True) -> Server:
        """Start it, and wait for /readyz (or only for /healthz)."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", str(APP), "--port", str(self.port), "--address", "127.0.0.1", *self.args],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.env,
                cwd=self.folder,
            )
        self.wait("/readyz" if ready else "/healthz")
        return self

    def wait(self, path: str, seconds: float = START_S) -> dict[str, Any]:
        """The JSON of `path` as soon as it answers 200."""
        until = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.log}"
            try:
                status, last = self.get(path)
                if status == 200:
                    return dict(json.loads(last))
            except OSError as error:
                last = str(error)
            time.sleep(0.1)
        pytest.fail(f"{path} did not answer 200 within {seconds} s (last: {last})\n{self.log}")

    def stop(self) -> None:
        """End it and wait; sessions that were still open end with it."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Make servers: `serve(roots=[folder], args=["--warm"], env={...}, ready=True)`; no roots means the demo."""
    servers: list[Server] = []
    cache = tmp_path_factory.mktemp("cache")

    def make(
        *,
        roots: Sequence[Path] = (),
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "panel"),
        prefix: str = "",
        ready: bool = True,
    ) -> Server:
        settings = {
            "DETCORE_CACHE": str(cache),
            "DETCORE_ROOTS": os.pathsep.join(map(str, roots)),
            "DETCORE_SETTINGS": "",
            **(env or {}),
        }
        server = Server(tmp_path_factory.mktemp("server"), settings, tuple(args), tuple(command), prefix)
        servers.append(server)
        return server.start(ready=ready)

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a server that has the instruments of fake_instrument.py, and a broken plug-in."""
    folder = tmp_path_factory.mktemp("plugin")
    facts = folder / "fake_instrument-0.1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-instrument\nVersion: 0.1\n")
    (facts / "entry_points.txt").write_text(
        "[detcore.instruments]\n"
        + "".join(f"{name.lower()} = fake_instrument:{name}\n" for name in ("FAKE", "OTHER", "GROWING", "WRONG"))
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parent)])}


@pytest.fixture(scope="session")
def server(serve: Callable[..., Server]) -> Server:
    """The dashboard as a newcomer sees it: no data roots, so the demo."""
    return serve()


@dataclass
class Visit:
    """One page with what its console and its network said."""

    page: Page
    server: Server
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def outside(self) -> list[str]:
        """Requests that left this host."""
        here = {f"127.0.0.1:{self.server.port}", f"localhost:{self.server.port}"}
        local = ("data:", "blob:", "about:", "chrome:")
        return [url for url in self.requests if not url.startswith(local) and urlsplit(url).netloc not in here]

    def models(self, kind: str, what: str = "m.attributes") -> list[Any]:
        """A JSON-able expression `what` of each Bokeh model `m` whose type is `kind`."""
        script = f"""kind => Bokeh.documents.flatMap(d => [...d._all_models.values()])
            .filter(m => m.type == kind).map(m => {what})"""
        return list(self.page.evaluate(script, kind))

    def ready(self, timeout: float = PATIENCE_MS) -> Visit:
        """Wait until the status strip is drawn and the connection is up."""
        self.page.locator(".dc-strip").first.wait_for(state="visible", timeout=timeout)
        return self

    def until(self, wanted: Callable[[], Any], what: str = "it did not happen", seconds: float = 90) -> None:
        """Wait for what the page, or anything else, will be like."""
        end = time.monotonic() + seconds
        while not wanted():
            if time.monotonic() > end:
                pytest.fail(what)
            self.page.wait_for_timeout(100)

    def link(self) -> dict[str, str]:
        """What the address bar says."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.page.url).query).items()}

    def headline(self) -> dict[str, str]:
        """Label -> number and unit of the tiles on top."""
        script = """() => {
          const find = (root) => [...root.querySelectorAll('*')].flatMap((el) => [
            ...(el.classList.contains('tile') ? [el] : []), ...(el.shadowRoot ? find(el.shadowRoot) : [])])
          return find(document).map((el) => [el.querySelector('span').textContent, el.querySelector('b').textContent])
        }"""
        return dict(self.page.evaluate(script))

    def source(self, name: str, column: str) -> np.ndarray[Any, Any]:
        """A column of a source, as the browser has it."""
        found = self.models("ColumnDataSource", f"m.name == '{name}' ? Array.from(m.data['{column}'] ?? []) : null")
        values = np.array(next((values for values in found if values is not None), []))
        return values.astype(float) if values.dtype == object else values

    def titled(self, start: str) -> str:
        """The title of the plot whose title begins so; empty if there is none."""
        return next((text for text in self.models("Title", "m.text") if text.startswith(start)), "")

    def panel(self, label: str) -> None:
        """Open a tab below the plots."""
        self.page.locator(".bk-tab", has_text=re.compile(f"^{re.escape(label)}$")).click()

    def button(self, name: str) -> None:
        """Click on a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def pick(self, label: str, option: str) -> None:
        """Choose from a list that unfolds; the field may show the same words as a line of it."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("menuitem", name=option, exact=True).click()

    def type_in(self, label: str, text: str) -> None:
        """Replace what a field holds."""
        box = self.page.get_by_label(label, exact=True)
        box.focus()
        box.press("Control+a")
        if text:
            self.page.keyboard.type(text)
        else:
            box.press("Delete")
        box.press("Enter")

    def spot(self, finder: str, x: float, y: float) -> tuple[float, float]:
        """Where a place of a plot is on the screen; `finder` says in JavaScript which figure `m` is meant."""
        script = f"""([x, y]) => {{
          const models = Bokeh.documents.flatMap(d => [...d._all_models.values()])
          const plot = models.find(m => m.type == 'Figure' && ({finder}))
          const view = Bokeh.index.find_one_by_id(plot.id)
          const box = view.canvas_view.el.getBoundingClientRect()
          return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]
        }}"""
        across, down = self.page.evaluate(script, [x, y])
        return across, down

    def drag(
        self, finder: str, start: tuple[float, float], end: tuple[float, float], seen: Callable[[], Any], tries: int = 3
    ) -> None:
        """Drag from one place of a plot to another until that is `seen`: on a slow machine the plot may still move."""
        mouse = self.page.mouse
        for left in reversed(range(tries)):
            one, two = self.spot(finder, *start), self.spot(finder, *end)
            mouse.move(*one)
            mouse.down()
            mouse.move((one[0] + two[0]) / 2, (one[1] + two[1]) / 2, steps=4)
            mouse.move(*two, steps=4)
            mouse.up()
            until = time.monotonic() + (15 if left else 60)
            while time.monotonic() < until:
                if seen():
                    return
                self.page.wait_for_timeout(100)
        pytest.fail("the drag was not seen")

    def shoot(self, path: Path) -> Path:
        """A screenshot of the whole window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path


def visits_of(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Open pages, and in the end look at what went wrong on them."""
    visits: list[Visit] = []

    def open_page(
        *,
        on: Server | None = None,
        size: tuple[int, int] = DESK,
        before: Callable[[Page], None] = lambda _: None,
        **query: object,
    ) -> Visit:
        chosen = on or server
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        seen = Visit(page, chosen)
        visits.append(seen)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda line: seen.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("websocket", lambda socket: seen.requests.append(socket.url))
        before(page)
        page.goto(chosen.url(**query))
        return seen.ready()

    yield open_page
    found = [(seen.errors, seen.outside) for seen in visits]
    for seen in visits:
        seen.page.context.close()
    assert found == [([], [])] * len(found), "errors on the console, requests that left the host"


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Open pages: `visit(tab="occupancy")`, `visit(on=other_server, size=(3840, 2160))`.

    At the end of the test each page must have no error on its console and no request to another host;
    a test that expects errors empties `errors` itself. `before=f` calls f(page) before the page is asked for.
    """
    yield from visits_of(browser, server)


@pytest.fixture(scope="module")
def keep(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """As `visit`, for pages that the tests of a module share: a page costs seconds."""
    yield from visits_of(browser, server)


@pytest.fixture(scope="module")
def yard(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, Path]:
    """A server and its data root, in which each test has a folder."""
    root = tmp_path_factory.mktemp("yard")
    return serve(roots=[root]), root


@pytest.fixture
def folder(yard: tuple[Server, Path], request: pytest.FixtureRequest) -> Path:
    """An empty folder in the data root."""
    path = yard[1] / f"{request.node.originalname}_{len(list(yard[1].iterdir()))}"
    path.mkdir()
    return path
