"""How long the explorer takes from a key to the picture, in a real browser, and what it weighs.

    python benchmarks/key_to_picture.py [--presses 60] [NAME...]

Three walks in headless Chromium (``MEMSIM_CHROMIUM``, else one on the PATH): ``one-block``, the explorer of
chapter 1; ``xen-grows``, 4,263 moments; ``tebibyte``, a machine of 8,192 memory blocks, of which eight are
hot-added and come online. Every key is pressed in turn, and the time is that of the page's thread: the
handler of the key with all that it draws on canvases. Compositing is not in it.

The goals at the 95th percentile are 16 ms for a block, 33 ms for a machine of one tebibyte and long walks.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from memsim.scenario.scenario import Scenario
from memsim.view.explorer import bundle
from memsim.view.explorer.explorer import Explorer, explore

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCENARIOS = Path(__file__).parents[1] / "book" / "scenarios"
KEYS = ("ArrowRight", "ArrowLeft", "Shift+ArrowRight", "d", "o")
VIEWPORT = {"width": 1366, "height": 768}
BLOCKS, HOT, PAGES = 8192, 8, 32768


def tebibyte() -> dict[str, Any]:
    """Return a scenario: a machine of 1 TiB, whose last blocks are hot-added and come online."""
    add = {"do": "add_memory", "start_pfn": (BLOCKS - HOT) * PAGES, "nr_pages": HOT * PAGES}
    online = [{"do": "online", "block": BLOCKS - HOT + n, "type": "online_movable"} for n in range(HOT)]
    machine = {"ram": [[0, (BLOCKS - HOT) * PAGES]], "block_pages": PAGES}
    return {"format": "memsim-scenario/1", "title": "1 TiB", "machine": machine, "steps": [add, *online]}


WALKS = {
    "one-block": lambda: Scenario.load(SCENARIOS / "one-block.json"),
    "xen-grows": lambda: Scenario.load(SCENARIOS / "xen-grows.json"),
    "tebibyte": tebibyte,
}


def page_of(explorer: Explorer) -> str:
    """Return a page that holds an explorer and nothing else."""
    data = base64.b64encode(explorer.packed).decode()
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>x</title>"
        f"<style>{bundle.read('explorer.css')}</style><div data-explorer=it></div>"
        f"<script>{bundle.page()}</script><script>memsimExplorer('it', '{data}')</script>"
    )


def measure(page: Page, address: str, presses: int) -> None:
    """Open a page, press every key, and print what that took."""
    page.goto(address)
    page.wait_for_function("document.querySelector('.memsim-explore')?.explorer")
    page.focus(".memsim-explore")
    for key in KEYS:
        page.keyboard.press("End" if key == "ArrowLeft" else "Home")
        page.evaluate("document.querySelector('.memsim-explore').explorer.spent = []")
        for _ in range(presses):
            page.keyboard.press(key)
        spent = sorted(page.evaluate("document.querySelector('.memsim-explore').explorer.spent"))
        p50, p95 = spent[len(spent) // 2], spent[int(len(spent) * 0.95)]
        print(f"  {key:17} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   most {spent[-1]:6.1f} ms")


def main(arguments: list[str]) -> int:
    """Measure each walk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WALKS)}; all unless given")
    parser.add_argument("--presses", type=int, default=60, help="how often each key is pressed")
    chosen = parser.parse_args(arguments)
    browser = os.environ.get("MEMSIM_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=VIEWPORT)
        for name in chosen.names or WALKS:
            scenario = WALKS[name]()
            begun = time.thread_time()
            explorer = explore(scenario)
            took = time.thread_time() - begun
            moments, weight = len(explorer.walk.moments), len(explorer.packed)
            print(f"{name}: {moments:,} moments, {weight:,} bytes, {1000 * took:.0f} ms in the kernel")
            target = Path(folder) / f"{name}.html"
            target.write_text(page_of(explorer), encoding="utf-8")
            measure(page, target.as_uri(), chosen.presses)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
