"""Panel runs this file when it loads the application, before the server exists, and calls the hooks."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from bokeh.settings import settings
from bokeh.util.warnings import BokehUserWarning

from dashboard import endpoints
from dashboard.page import discover
from dashboard.runtime import get_runtime
from dashboard.settings import InvalidSettings

if TYPE_CHECKING:
    from bokeh.application.application import ServerContext

# The server builds its table of URLs after this file and before the first hook. Declaring ours twice is harmless.
endpoints.declare()


def on_server_loaded(_: ServerContext) -> None:
    """Start the runtime, and load what every page needs, so that the first viewer does not wait for it."""
    try:
        runtime = get_runtime()
    except InvalidSettings as error:
        raise SystemExit(str(error)) from None  # Bokeh logs other exceptions and serves broken pages
    runtime.start()
    settings.resources = "server"  # whatever the environment says: no page may ask another host for its styles
    settings.perform_document_validation = False  # a walk over all models at each change; the tests look instead
    # Panel's tables send their own style sheets back when they are first drawn; the server keeps those it has
    warnings.filterwarnings("ignore", "reference already known", BokehUserWarning)
    discover()
    endpoints.watch_loop(runtime)


def on_server_unloaded(_: ServerContext) -> None:
    """Stop the feeds."""
    with suppress(InvalidSettings):  # then nothing was started, and the reason has been printed
        get_runtime().stop()
