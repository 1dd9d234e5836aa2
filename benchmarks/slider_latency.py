"""How long the explorer takes, from a key press to the changed picture, and the server's part of it.

    python benchmarks/slider_latency.py [--presses 60] [--screenshots FOLDER]

Starts a JupyterLab of its own and opens two notebooks in headless Chromium (``MEMSIM_CHROMIUM``, else one on
the PATH, else Playwright's own), one after the other:

* *block map*: the explorer of chapter 1; arrow keys on the slider, forwards and back;
* *machine map*: a machine of 1 TiB, 8,192 memory blocks, of which 64 are hot-added and come online one after
  the other; the space bar on "Step over" at the ends of steps, so that every press changes the map.

The time is taken in the browser: from the key event to the first frame after the last change, and to that
after the picture's change where it changes. Messages are what the kernel's socket brings between two presses.
The goals are medians of 100 ms for the block map and 150 ms for the machine map, 50 ms for the server's part,
and less than 100 KiB a step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

BLOCK_MAP = """\
from memsim.view.explorer.explorer import explore
from memsim.recordings.observation import bundled
from dataclasses import replace
scenario = bundled("6.12base-before-dimm").scenario
scenario = replace(scenario, steps=scenario.steps[:2])
explorer = explore(scenario, start=(1, "enter:online_pages_range"))
"""
MACHINE_MAP = """\
from memsim.view.explorer.explorer import explore
blocks, pages, hot = 8192, 32768, 64
add = {"do": "add_memory", "start_pfn": (blocks - hot) * pages, "nr_pages": hot * pages}
online = [{"do": "online", "block": blocks - hot + n, "type": "online_movable"} for n in range(hot)]
machine = {"ram": [[0, (blocks - hot) * pages]], "block_pages": pages}
scenario = {"format": "memsim-scenario/1", "title": "1 TiB", "machine": machine, "steps": [add, *online]}
explorer = explore(scenario, start=(0, "done"))
"""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TWIN = "pre.memsim-twin"
HANDLE = ".memsim-explorer .widget-slider [role=slider]"
OVER = ".memsim-explorer button:has-text('Step over')"
WATCH = """
(picture) => {
  window.pressed = 0;
  window.latencies = [];
  window.pictures = [];
  const frame = (then) => requestAnimationFrame(() => setTimeout(then, 0));
  document.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  const note = (target, list, what, last) => new MutationObserver(() => {
    const pressed = window.pressed;
    if (pressed) frame(() => { list.push(performance.now() - pressed); });
    if (last) window.pressed = 0;
  }).observe(target, what);
  for (const image of [...document.querySelectorAll(picture)].slice(-1))
    note(image, window.pictures, { attributes: true, attributeFilter: ["src"] }, false);
  note(document.querySelector("pre.memsim-twin"), window.latencies,
       { subtree: true, childList: true, characterData: true }, true);
}
"""


@dataclass(frozen=True)
class Case:
    """One of the two notebooks: its cell, what is pressed where, which picture is watched."""

    name: str
    source: str
    control: str
    keys: tuple[str, ...]
    picture: str


CASES = (
    Case("block map", BLOCK_MAP, HANDLE, ("ArrowRight", "ArrowLeft"), "img[alt^='Page map']"),
    Case("machine map of 1 TiB", MACHINE_MAP, OVER, ("Space",), "img[alt^='Map of the machine']"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presses", type=int, default=60, help="presses of each key (60)")
    parser.add_argument("--screenshots", type=Path, help="folder for pictures, light and dark")
    arguments = parser.parse_args()
    for case in CASES:
        report(f"{case.name}, server's part", server_share(case), "ms")
        with tempfile.TemporaryDirectory(prefix="memsim-") as folder, lab(Path(folder), case) as address:
            measured = browser_share(address, case, arguments.presses, arguments.screenshots)
        report(f"{case.name}, key press to changed page", measured.latencies, "ms")
        report(f"{case.name}, key press to changed picture", measured.pictures, "ms")
        report(f"{case.name}, messages of a press", measured.messages, "KiB")


def report(what: str, values: list[float], unit: str) -> None:
    """Print one line."""
    ordered = sorted(values)
    median, p95 = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    print(
        f"{what}: median {median:.1f} {unit}, p95 {p95:.1f} {unit}, max {ordered[-1]:.1f} {unit} "
        f"({len(ordered)} presses)",
        flush=True,
    )


def server_share(case: Case) -> list[float]:
    """Return milliseconds of each move in Python, without a browser: as the case's keys make them."""
    names: dict[str, Any] = {}
    exec(case.source, names)  # noqa: S102 (the notebook's own cell)
    explorer = names["explorer"]
    last = len(explorer.walk.moments) - 1
    moves = [*range(last + 1), *reversed(range(last))] if len(case.keys) > 1 else ends_of_steps(explorer)
    taken = []
    for index in moves:
        start = time.perf_counter()
        explorer.go(index)
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def ends_of_steps(explorer: Any) -> list[int]:  # noqa: ANN401 (an Explorer)
    """Return where "Step over" leads from the end of the first step."""
    found = [explorer.walk.steps.over(explorer.index)]
    while found[-1] < len(explorer.walk.moments) - 1:
        found.append(explorer.walk.steps.over(found[-1]))
    return found


# ---- JupyterLab ------------------------------------------------------------------------------------


@contextlib.contextmanager
def lab(folder: Path, case: Case) -> Iterator[str]:
    """Run a JupyterLab with settings of its own; yields the address of the notebook."""
    cell = {"cell_type": "code", "id": "a", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [{**cell, "source": f"{case.source}explorer"}],
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


@dataclass
class Measured:
    """Milliseconds to the changed page and picture, and KiB of messages, of each press."""

    latencies: list[float]
    pictures: list[float]
    messages: list[float]


def browser_share(address: str, case: Case, presses: int, screenshots: Path | None) -> Measured:
    """Press keys, and return what was measured."""
    with sync_playwright() as playwright:
        path = os.environ.get("MEMSIM_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1700})
        messages = Messages(page)
        open_explorer(page, address)
        page.evaluate(WATCH, case.picture)
        page.locator(case.control).first.focus()
        sizes = [size for key in case.keys for size in press(page, key, presses, messages)]
        latencies, pictures = page.evaluate("[window.latencies, window.pictures]")
        if screenshots is not None:
            take_pictures(page, screenshots, case.name.replace(" ", "-"))
        browser.close()
    return Measured(latencies, pictures, sizes)


class Messages:
    """Counts the bytes that all web sockets of a page bring."""

    def __init__(self, page: Page) -> None:
        """Count from now on."""
        self.size = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._frame))

    def _frame(self, payload: str | bytes) -> None:
        self.size += len(payload)


def open_explorer(page: Page, address: str) -> None:
    """Open the notebook, run it, and wait for the slider."""
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=120_000)
    # The notebook's own indicator says idle before there is a kernel; the status bar knows better.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=120_000)
    page.locator('.lm-MenuBar-itemLabel:text-is("Run")').click()
    page.locator('.lm-Menu-itemLabel:text-is("Run All Cells")').click()
    page.locator(HANDLE).wait_for(timeout=120_000)
    page.locator(TWIN).wait_for(timeout=120_000)
    page.wait_for_timeout(1000)


def press(page: Page, key: str, times: int, messages: Messages) -> list[float]:
    """Press a key so often, each time after the page has changed; returns KiB of messages of each."""
    sizes = []
    for _ in range(times):
        before, size = page.evaluate("window.latencies.length"), messages.size
        page.keyboard.press(key)
        page.wait_for_function("n => window.latencies.length > n", arg=before, timeout=10_000)
        page.wait_for_timeout(60)
        sizes.append((messages.size - size) / 1024)
    return sizes


def take_pictures(page: Page, folder: Path, name: str) -> None:
    """Store what the explorer looks like in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1500, "height": 3200})
    for theme in ("Light", "Dark"):
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            f"JupyterLab {theme}",
        )
        page.wait_for_timeout(1500)
        page.locator(".memsim-explorer").screenshot(path=folder / f"{name}-{theme.lower()}.png")


if __name__ == "__main__":
    main()
