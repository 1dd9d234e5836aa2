"""How long the explorer's slider takes, from a key press to the changed page, and the server's part of it.

    python benchmarks/slider_latency.py [--presses 60] [--screenshots FOLDER]

Starts a JupyterLab of its own, opens a notebook with the explorer of chapter 1 in headless Chromium
(``MEMSIM_CHROMIUM``, else Playwright's own), runs it, presses arrow keys on the slider one at a time, and
takes in the browser itself the time from the key event to the change of the text twin, which is the last
thing that changes. The goals are a median under 150 ms, and under 50 ms for the server's part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

SOURCE = """\
from dataclasses import replace
from memsim.observation import bundled
from memsim.view.explorer import explore
recordings = [bundled("6.12base-before-dimm"), bundled("6.12base-after-dimm")]
scenario = replace(recordings[0].scenario, steps=recordings[0].scenario.steps[:2])
explorer = explore(scenario, block=32, recordings=recordings, start=(1, "enter:online_pages_range"))
"""
TWIN = "pre.memsim-twin"
HANDLE = ".memsim-explorer .widget-slider [role=slider]"
WATCH = """
() => {
  const twin = document.querySelector("pre.memsim-twin");
  window.pressed = 0;
  window.latencies = [];
  document.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (window.pressed) window.latencies.push(performance.now() - window.pressed);
    window.pressed = 0;
  }).observe(twin, { subtree: true, childList: true, characterData: true });
}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presses", type=int, default=60, help="arrow keys in each direction (60)")
    parser.add_argument("--screenshots", type=Path, help="folder for pictures, light and dark")
    arguments = parser.parse_args()
    report("server's part, forward and backward", server_share())
    with tempfile.TemporaryDirectory(prefix="memsim-") as folder, lab(Path(folder)) as address:
        report("key press to changed page", browser_share(address, arguments.presses, arguments.screenshots))


def report(what: str, milliseconds: list[float]) -> None:
    """Print one line."""
    ordered = sorted(milliseconds)
    median, p95 = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    print(
        f"{what}: median {median:.1f} ms, p95 {p95:.1f} ms, max {ordered[-1]:.1f} ms ({len(ordered)} moves)"
    )


def server_share() -> list[float]:
    """Return milliseconds of each move of the slider in Python, without a browser."""
    names: dict[str, object] = {}
    exec(SOURCE, names)  # noqa: S102 (the notebook's own cell)
    explorer = names["explorer"]
    last = len(explorer.walk.moments) - 1  # type: ignore[attr-defined]
    taken = []
    for index in [*range(last + 1), *reversed(range(last))]:
        start = time.perf_counter()
        explorer.go(index)  # type: ignore[attr-defined]
        taken.append((time.perf_counter() - start) * 1000)
    return taken


# ---- JupyterLab ------------------------------------------------------------------------------------


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Run a JupyterLab with settings of its own; yields the address of the notebook."""
    cell = {"cell_type": "code", "id": "a", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [{**cell, "source": f"{SOURCE}explorer"}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "slider.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    token, port = secrets.token_hex(16), free_port()
    options = ["--no-browser", "--allow-root", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command = [sys.executable, "-m", "jupyterlab", *options]
    command += [
        "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
    ]
    keys = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{key: str(folder / key.lower()) for key in keys}}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (folder / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 (ours)
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={token}", folder / "lab.log")
        yield f"http://127.0.0.1:{port}/lab/tree/slider.ipynb?reset&token={token}"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(address: str, log: Path, seconds: float = 60) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):  # noqa: S310 (ours)
            return
        time.sleep(0.2)
    msg = f"JupyterLab does not answer:\n{log.read_text(encoding='utf-8')}"
    raise TimeoutError(msg)


# ---- the browser -----------------------------------------------------------------------------------


def browser_share(address: str, presses: int, screenshots: Path | None) -> list[float]:
    """Return milliseconds from each key press to the changed page."""
    with sync_playwright() as playwright:
        path = os.environ.get("MEMSIM_CHROMIUM") or None
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = open_explorer(browser, address)
        page.evaluate(WATCH)
        page.locator(HANDLE).focus()
        press(page, "ArrowRight", presses)
        press(page, "ArrowLeft", presses)
        latencies: list[float] = page.evaluate("window.latencies")
        if screenshots is not None:
            take_pictures(page, screenshots)
        browser.close()
    return latencies


def open_explorer(browser: Browser, address: str) -> Page:
    """Open the notebook, run it, and wait for the slider."""
    page = browser.new_page(viewport={"width": 1400, "height": 1700})
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=120_000)
    # The notebook's own indicator says idle before there is a kernel; the status bar knows better.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=120_000)
    page.locator('.lm-MenuBar-itemLabel:text-is("Run")').click()
    page.locator('.lm-Menu-itemLabel:text-is("Run All Cells")').click()
    page.locator(HANDLE).wait_for(timeout=120_000)
    page.locator(TWIN).wait_for(timeout=120_000)
    page.wait_for_timeout(1000)
    return page


def press(page: Page, key: str, times: int) -> None:
    """Press a key so often, each time after the page has changed."""
    for _ in range(times):
        before = page.evaluate("window.latencies.length")
        page.keyboard.press(key)
        page.wait_for_function("n => window.latencies.length > n", arg=before, timeout=10_000)
        page.wait_for_timeout(30)


def take_pictures(page: Page, folder: Path) -> None:
    """Store what the explorer looks like in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("Light", "Dark"):
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            f"JupyterLab {theme}",
        )
        page.wait_for_timeout(1500)
        page.locator(".memsim-explorer").screenshot(path=folder / f"explorer-{theme.lower()}.png")


if __name__ == "__main__":
    main()
