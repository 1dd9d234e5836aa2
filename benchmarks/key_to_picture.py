"""How long the explorer takes from a key to the picture, in a real browser, and what it sends and weighs.

    python -m benchmarks.key_to_picture [--presses 60] [NAME...]

Walks in headless Chromium (``MEMSIM_CHROMIUM``, else one on the PATH): ``one-block``, the explorer of
chapter 1; ``xen-grows``, 4,263 moments; ``long``, a block that goes online and offline until there are more
than 10,000; ``tebibyte``, a machine of 8,192 memory blocks, of which eight are hot-added and come online.
Each is the widget of a notebook with a model in the kernel's place, which counts what it is sent.

Each key is pressed in turn, also far from a mark (M). The time is the processor's, of the thread that the
page has: the key with all that it draws, style, layout and paint. Compositing is not in it, nor what other
programs do. Beside it stands how long the key's handler took on the clock.

The goals at the 95th percentile are 16 ms for a block, 33 ms for a machine of one tebibyte and long walks; no
message; and 150 ms of the kernel's processor time for an explorer that is opened again.
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
    from collections.abc import Callable

    from playwright.sync_api import CDPSession, Page

    from memsim.scenario.scenario import ScenarioSource

SCENARIOS = Path(__file__).parents[1] / "book" / "scenarios"
FAR = ["PageDown"] * 9
KEYS: dict[str, list[str]] = {
    "x, which does nothing": ["Home"],
    "ArrowRight": ["Home"],
    "ArrowLeft": ["End"],
    "Shift+ArrowRight": ["Home"],
    "d": ["Home"],
    "o": ["Home"],
    "ArrowRight, marked": ["Home", "m"],
    "ArrowRight, mark far": ["Home", "m", *FAR],
    "ArrowLeft, mark far": ["End", "m", "Home", "PageDown"],
}
"""What is pressed again and again (up to the comma) -> what is pressed before."""
VIEWPORT = {"width": 1366, "height": 768}
BOX = "document.querySelector('.memsim-explore')"
TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
BLOCKS, HOT, PAGES = 8192, 8, 32768
ROUNDS = 64


def tebibyte() -> dict[str, Any]:
    """Return a scenario: a machine of 1 TiB, whose last blocks are hot-added and come online."""
    add = {"do": "add_memory", "start_pfn": (BLOCKS - HOT) * PAGES, "nr_pages": HOT * PAGES}
    online = [{"do": "online", "block": BLOCKS - HOT + n, "type": "online_movable"} for n in range(HOT)]
    machine = {"ram": [[0, (BLOCKS - HOT) * PAGES]], "block_pages": PAGES}
    return {"format": "memsim-scenario/1", "title": "1 TiB", "machine": machine, "steps": [add, *online]}


def long() -> dict[str, Any]:
    """Return a scenario: a block that goes online and offline, again and again."""
    add = {"do": "add_memory", "start_pfn": 32 * PAGES, "nr_pages": PAGES}
    both = [{"do": "online", "block": 32, "type": "online_movable"}, {"do": "offline", "block": 32}]
    machine = {"ram": [[0, 4 * PAGES]], "block_pages": PAGES}
    return {
        "format": "memsim-scenario/1",
        "title": "Long",
        "machine": machine,
        "steps": [add, *both * ROUNDS],
    }


WALKS: dict[str, Callable[[], ScenarioSource]] = {
    "one-block": lambda: Scenario.load(SCENARIOS / "one-block.json"),
    "xen-grows": lambda: Scenario.load(SCENARIOS / "xen-grows.json"),
    "long": long,
    "tebibyte": tebibyte,
}


def page_of(explorer: Explorer) -> str:
    """Return a page with the widget that a notebook shows, and nothing else."""
    data, module = (base64.b64encode(each).decode() for each in (explorer.packed, bundle.widget().encode()))
    return f"""<!doctype html><html lang=en><meta charset=utf-8><title>x</title>
<style>{bundle.read("explorer.css")}</style><div id=cell></div><script type=module>
import widget from "data:text/javascript;base64,{module}";
const packed = Uint8Array.from(atob("{data}"), letter => letter.charCodeAt(0)), sent = [];
const model = {{
  get: name => ({{ packed, fragment: "" }})[name], on() {{}}, off() {{}},
  set(...what) {{ sent.push(what); }}, send(...what) {{ sent.push(what); }},
  save_changes() {{ sent.push("saved"); }},
}};
globalThis.sent = sent;
widget.render({{ model, el: document.getElementById("cell") }});
</script>"""


class Thread:
    """The processor time of a page's thread."""

    def __init__(self, page: Page) -> None:
        """Measure in the thread's own time, not the clock's."""
        self.page = page
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent(self) -> float:
        """Return the milliseconds spent so far on tasks."""
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    def of(self, key: str) -> float:
        """Press a key, and return what it took until the picture stood."""
        before = self.spent()
        self.page.keyboard.press(key)
        self.page.evaluate(TWO_FRAMES)
        return self.spent() - before


def measure(page: Page, address: str, presses: int) -> None:
    """Open a page, press every key, and print what that took."""
    page.goto(address)
    page.wait_for_function(f"{BOX}?.explorer")
    thread = Thread(page)
    print(f"  {'':22}{'thread, ms':^24}{'handler on the clock':^24}")
    for name, first in KEYS.items():
        page.focus(".memsim-explore")
        for key in ("Escape", *first):
            page.keyboard.press(key)
        page.evaluate(f"{TWO_FRAMES}.then(() => {{ {BOX}.explorer.spent = []; }})")
        key = name.partition(",")[0]
        spent = [thread.of(key) for _ in range(presses)]
        clock = page.evaluate(f"{BOX}.explorer.spent")
        print(f"  {name:22}{told(spent)}{told(clock) if clock else ''}", flush=True)
    print(f"  messages to the kernel: {page.evaluate('sent.length')}")


def told(numbers: list[float]) -> str:
    """Return the middle one, the 95th percentile and the largest."""
    ordered = sorted(numbers)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    return f"p50 {p50:5.1f}  p95 {p95:5.1f}  "


def timed(scenario: ScenarioSource) -> tuple[Explorer, float]:
    """Return an explorer, and the milliseconds of processor time until a front end has all of it."""
    begun = time.thread_time()
    explorer = explore(scenario)
    if not isinstance(explorer, Explorer):
        raise TypeError(explorer)
    explorer._repr_mimebundle_()
    return explorer, 1000 * (time.thread_time() - begun)


def main(arguments: list[str]) -> int:
    """Measure each walk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WALKS)}; all unless given")
    parser.add_argument("--presses", type=int, default=60, help="how often each key is pressed")
    chosen = parser.parse_args(arguments)
    browser = os.environ.get("MEMSIM_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=VIEWPORT)
        for name in chosen.names or WALKS:
            _, first = timed(WALKS[name]())
            explorer, again = timed(WALKS[name]())
            moments, weight = len(explorer.walk.moments), len(explorer.packed)
            took = f"in the kernel {first:.0f} ms, again {again:.0f}"
            print(f"{name}: {moments:,} moments, {weight:,} bytes, {took}", flush=True)
            target = Path(folder) / f"{name}.html"
            target.write_text(page_of(explorer), encoding="utf-8")
            measure(page, target.as_uri(), chosen.presses)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
