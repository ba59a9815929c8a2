"""Messages that Panel keeps back by mistake are sent after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panel.io import document as panel_document

if TYPE_CHECKING:
    from bokeh.document import Document


def deliver(document: Document) -> bool:
    """Send what was left over, and return whether there was something. To be called on the document's own loop.

    While a socket is busy, Panel (1.9.4) puts messages in a queue and starts a task that sends them. A message that
    is queued in the very turn of the loop in which the task before it ends is forgotten: that task takes away the
    mark (`_WRITE_BLOCK`) without which the next one does nothing. The viewer then sees an old state until something
    else changes, which after a failure may be never.
    """
    forgotten = document in panel_document._WRITE_MSGS and document not in panel_document._WRITE_BLOCK  # noqa: SLF001
    if forgotten:
        panel_document._WRITE_BLOCK[document] = True  # noqa: SLF001
        panel_document._dispatch_write_task(document, panel_document._dispatch_msgs, document)  # noqa: SLF001
    return forgotten
