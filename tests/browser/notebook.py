"""A notebook open in JupyterLab in a browser: what the tests do with it and see of it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request, WebSocket

    from .server import Server

PATIENCE_MS = 180_000
"""How long a busy machine may take for anything; only a test that fails waits so long."""
STATIC = "memsim-static"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN_WIDGET = ".jp-OutputArea-output.lm-Panel > .lm-Widget >> visible=true"

# What the browser may complain about: a pattern and the reason.
ALLOWED = (
    (
        "Could not restore the debugger state: Canceled future for debug_request",
        "JupyterLab asks each kernel for its debugger, and a short test ends the kernel before it answers",
    ),
)

_PANEL = "window.jupyterapp?.shell?.currentWidget"
_KERNEL_IDLE = f"() => {_PANEL}?.sessionContext?.session?.kernel?.status === 'idle'"
_RUN_ALL = """limit => Promise.race([
  window.jupyterapp.commands.execute('notebook:run-all-cells'),
  new Promise((_, fail) => setTimeout(() => fail(new Error(`not done after ${limit} ms`)), limit)),
])"""

_LIGHT = """
  const { commands, shell } = window.jupyterapp;
  if (document.body.dataset.jpThemeName !== 'JupyterLab Light')
    await commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' });
"""
_OPEN = (
    "async path => {"
    + _LIGHT
    + """
  const panel = await commands.execute('docmanager:open', { path });
  await panel.context.ready;
  shell.activateById(panel.id);
}"""
)
_FILL = "async notebook => {" + _LIGHT + "shell.currentWidget.context.model.fromJSON(notebook); }"
_CLOSE_ALL = """async () => {
  for (const panel of [...window.jupyterapp.shell.widgets('main')]) {
    await panel.sessionContext?.shutdown();
    panel.dispose();
  }
}"""


class Watch:
    """Collects whatever a page may not do: ask another host, complain on the console, fail."""

    def __init__(self, page: Page, server: Server) -> None:
        """Listen from now on."""
        self.complaints: list[str] = []
        self.own = (server.url, server.url.replace("http", "ws", 1), "data:", "blob:", "about:")
        self._listeners = {
            "request": self._request,
            "websocket": self._socket,
            "console": self._console,
            "pageerror": self._error,
        }
        self._page = page
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def stop(self) -> None:
        """Listen no more."""
        for event, listener in self._listeners.items():
            self._page.remove_listener(event, listener)

    def assert_clean(self) -> None:
        """Fail with all that was collected."""
        assert not self.complaints, "the browser complained:\n" + "\n".join(self.complaints)

    def _request(self, request: Request) -> None:
        self._url(request.url)

    def _socket(self, socket: WebSocket) -> None:
        self._url(socket.url)

    def _url(self, url: str) -> None:
        if not url.startswith(self.own):
            self._complain(f"request to another host: {url[:200]}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(f"console error: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: Error) -> None:
        self._complain(f"page error: {error}")

    def _complain(self, complaint: str) -> None:
        if not any(re.search(pattern, complaint) for pattern, _ in ALLOWED):
            self.complaints.append(complaint)


class Notebook:
    """The notebook that a page shows."""

    def __init__(self, page: Page, server: Server, path: str) -> None:
        """Open it and wait until its kernel is idle; nothing is run.

        A page that shows JupyterLab already opens it there, as a reader's does: loading JupyterLab takes
        longer than most tests.
        """
        self.page, self.heard = page, 0
        page.on("websocket", self._listen)
        if page.url.startswith(f"{server.url}lab"):
            page.evaluate(_OPEN, path)
        else:
            page.goto(f"{server.url}lab/tree/{path}?reset&token={server.token}")
        self.wait_for_kernel()

    def close(self) -> None:
        """Close it and whatever else is open, end their kernels, and leave an empty JupyterLab."""
        self.page.evaluate(_CLOSE_ALL)
        self.page.remove_listener("websocket", self._listen)

    def fill(self, document: dict[str, Any]) -> None:
        """Put the cells of another notebook in the place of its own."""
        self.page.evaluate(_FILL, document)

    def run_all(self) -> None:
        """Do what the menu's "Run All Cells" does, and wait for the last cell."""
        self.page.evaluate(_RUN_ALL, PATIENCE_MS)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel is idle, so that all it had to say has come."""
        self.page.wait_for_function(_KERNEL_IDLE)

    def document(self) -> dict[str, Any]:
        """Return the notebook as it would be saved now."""
        return dict(self.page.evaluate(f"{_PANEL}.content.model.toJSON()"))

    def errors(self) -> list[str]:
        """Return each cell's error, and each thing that could not be displayed."""
        undisplayed = self.page.get_by_text("Error displaying widget").all_text_contents()
        return [f"{o['ename']}: {o['evalue']}" for o in outputs(self.document(), "error")] + undisplayed

    def unrun(self) -> list[str]:
        """Return the code of the cells that have not been run."""
        return [source(cell) for cell in code_cells(self.document()) if not cell["execution_count"]]

    def widgets(self) -> int:
        """Return how many outputs are widgets, shown or not."""
        document = self.document()
        results = outputs(document, "execute_result") + outputs(document, "display_data")
        return sum(WIDGET_VIEW in output["data"] for output in results)

    def wait_for_widgets(self, number: int) -> None:
        """Wait until that many widgets can be seen, and the page has nothing left to draw."""
        shown = self.page.locator(SHOWN_WIDGET)
        self.wait_until(shown.count, lambda now: now >= number, f"not all of {number} widgets are shown")
        self.page.evaluate("new Promise(done => requestIdleCallback(() => done()))")

    def focus(self, target: Locator) -> None:
        """Give an element the keyboard."""
        target.scroll_into_view_if_needed()
        target.focus()

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            self.page.keyboard.press(key)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, message: bytes | str) -> None:
        self.heard += b"echo_update" in (message.encode() if isinstance(message, str) else message)

    def tell_kernel(self, change: Callable[[], None]) -> None:
        """Change a control, and wait until the kernel has heard of it.

        JupyterLab may send what a control says after what the next one says: it opens a subshell for each
        when it is used first, and people are too slow to see that.
        """
        before = self.heard
        change()
        self.wait_until(lambda: self.heard, lambda now: now > before, "the kernel does not hear the change")

    def wait_until(self, look: Callable[[], Any], fine: Callable[[Any], bool], problem: str) -> Any:
        """Look again and again until what is seen is fine, and return it."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < end:
            now = look()
            if fine(now):
                return now
            self.page.wait_for_timeout(20)
        msg = f"after {PATIENCE_MS} ms {problem}"
        raise AssertionError(msg)


def stored(path: Path) -> dict[str, Any]:
    """Return a notebook as it is stored."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def source(cell: dict[str, Any]) -> str:
    """Return a cell's text."""
    return "".join(cell["source"])


def code_cells(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells that hold code."""
    return [c for c in document["cells"] if c["cell_type"] == "code" and source(c).strip()]


def outputs(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return all outputs of a type."""
    return [o for cell in code_cells(document) for o in cell["outputs"] if o["output_type"] == kind]


def widget_cells(document: dict[str, Any]) -> int:
    """Return in how many cells the stored output stands for a widget."""
    return sum(STATIC in json.dumps(cell["outputs"]) for cell in code_cells(document))


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells that nobody has run."""
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    document = {
        "cells": [cell | {"id": f"cell-{number}", "source": text} for number, text in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
