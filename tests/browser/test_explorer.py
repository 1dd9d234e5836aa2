"""Every control of the explorer from the keyboard alone, and what one press costs."""

from __future__ import annotations

import statistics

import pytest

from memsim import Scenario, compare
from memsim.view.explorer.timeline import Walk

from .notebook import write_notebook

pytestmark = pytest.mark.browser

SCENARIO = {
    "format": "memsim-scenario/1",
    "machine": {"ram": [[0, 131072]], "block_pages": 32768},
    "steps": [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536},
        {"do": "online", "block": 32, "type": "online_movable"},
    ],
}
CELL = (
    "from memsim.view.explorer.explorer import explore\n"
    f"explore({SCENARIO!r}, start=(1, 'enter:online_pages_range'))"
)
WRONG = (
    "from memsim.view.explorer.explorer import explore\n"
    "explore({'format': 'memsim-scenario/1', 'machine': {'ram': [[0, 65536]]}, 'steps': [{'do': 'fly'}]})"
)
ROOT = ".memsim-explorer"
HANDLE = f"{ROOT} .widget-slider .noUi-handle >> nth=0"
TWIN = f"{ROOT} pre.memsim-twin"
NAME = """e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent.trim()
  || e.title || e.className"""
MOST_KIB = 100
MOST_MS = 300
"""Of the processor's time in the page; ``benchmarks/slider_latency.py`` measures how long one waits."""


class Keyboard:
    """The explorer of a notebook that was run, the walk that says what it must show, and its keys."""

    def __init__(self, notebook, page):
        self.notebook, self.page = notebook, page
        self.walk = Walk(compare(Scenario.parse(SCENARIO)), block=32)

    def text(self):
        return self.page.locator(TWIN).text_content()

    def picture(self, alt):
        return self.page.locator(f"{ROOT} img[alt^='{alt}']").first.get_attribute("src")

    def wait(self, wanted):
        self.notebook.wait_until(self.text, lambda text: wanted in text, f"the twin does not say: {wanted}")

    def wait_any(self, headings):
        """Wait for one of these: what plays is not waited for by who looks."""
        said = f"the twin does not say: {' or '.join(headings)}"
        self.notebook.wait_until(self.text, lambda text: any(one in text for one in headings), said)

    def text_and_two_seconds_later(self):
        before = self.text()
        self.page.wait_for_timeout(2000)
        return before, self.text()

    def frame(self, name):
        return self.page.locator(f"{ROOT} .memsim-frame[aria-label='{name}']").get_attribute("style")

    def stops(self):
        """Return the names of all that can have the focus, in the order of the page."""
        stops = self.page.locator(f"{ROOT} :is(button, input, select, [tabindex='0']) >> visible=true")
        return [stop.evaluate(NAME) for stop in stops.all()]

    def tab_to(self, name):
        """Press Tab until the control with this name has the focus; the focus can be seen."""
        for _ in range(40):
            self.notebook.press("Tab")
            focused = self.page.locator(":focus")
            if name in f"{focused.text_content()} {focused.evaluate(NAME)}":
                style = focused.evaluate("e => getComputedStyle(e).outlineStyle")
                assert style != "none", f"the focus on {name} cannot be seen"
                return
        pytest.fail(f"Tab does not lead to {name}")

    def heading(self, index):
        return self.walk.look(index).heading


@pytest.fixture
def keyboard(open_notebook, page, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "explorer" / "explorer.ipynb", CELL))
    notebook.run_all()
    assert notebook.errors() == []
    notebook.wait_for_widgets(1)
    notebook.focus(page.locator(f"{ROOT} button").first)
    return Keyboard(notebook, page)


def test_moving_by_keyboard(keyboard):
    """What each control does is seen in the twin and in the pictures."""
    walk, notebook = keyboard.walk, keyboard.notebook
    start = walk.find(1, "enter:online_pages_range")
    keyboard.wait(keyboard.heading(start))
    notebook.press("Space")  # Previous
    keyboard.wait(keyboard.heading(start - 1))
    keyboard.tab_to("Next")
    notebook.press("Enter")
    keyboard.wait(keyboard.heading(start))
    notebook.press("Enter")
    keyboard.wait(keyboard.heading(start + 1))
    old = keyboard.picture("Page map before")
    keyboard.tab_to("Step over")
    notebook.press("Space")
    keyboard.wait(keyboard.heading(walk.steps.over(start + 1)))
    notebook.wait_until(
        lambda: keyboard.picture("Page map before"), lambda now: now != old, "the map does not change"
    )
    keyboard.tab_to("Step out")
    notebook.press("Space")
    keyboard.wait(keyboard.heading(walk.find(1, "return:online_pages_range")))
    keyboard.tab_to("Next difference")
    notebook.press("Space")
    keyboard.page.get_by_text("No other difference follows").wait_for()
    keyboard.tab_to("Moment")
    notebook.press("Home")
    keyboard.wait(keyboard.heading(0))
    notebook.press("Shift+Tab", "Shift+Tab", "Shift+Tab", "Space")  # back over Play to Next difference
    keyboard.wait(keyboard.heading(walk.next_difference(0)))
    keyboard.tab_to("Moment")
    notebook.press("Tab", "Control+a", "7", "Enter")  # the number beside the slider
    keyboard.wait(keyboard.heading(7))
    keyboard.tab_to("Jump to")
    notebook.press("s")  # the first moment whose name begins with "step"
    keyboard.wait("step 0 of 1")
    keyboard.tab_to("Free lists of zone")
    assert "Free lists of zone DMA32" not in keyboard.text()
    notebook.press("ArrowUp")
    keyboard.wait("Free lists of zone DMA32")
    keyboard.page.locator(f"{ROOT} .memsim-tables").get_by_text("Free lists of zone DMA32").wait_for()


def test_blocks_and_pages_are_chosen_by_keyboard(keyboard):
    """By number, and on each of the four maps."""
    notebook = keyboard.notebook
    keyboard.tab_to("Memory block")
    notebook.press("ArrowUp")
    keyboard.wait("Block 33")
    keyboard.tab_to("Page (pfn)")
    notebook.press("Control+a")
    keyboard.page.keyboard.type("0x108003")
    notebook.press("Enter")
    keyboard.wait("Page 0x108003")
    for side, key, first in (("before", "Home", 0), ("after", "End", 33 * 32768)):
        old = keyboard.picture(f"Page map {side}")
        keyboard.tab_to(f"Memory block, {side} the patch")
        notebook.press(key)
        keyboard.wait(f"Page {first:#x}\n")
        notebook.wait_until(
            lambda side=side: keyboard.picture(f"Page map {side}"),
            lambda now, old=old: now != old,
            "the map does not change",
        )
        keyboard.tab_to(f"Page, {side} the patch")
        old = keyboard.frame(f"Page, {side} the patch")
        notebook.press("ArrowRight", "ArrowDown")  # one page, and one row of 32
        keyboard.wait(f"Page {first + 33:#x}\n")
        assert keyboard.frame(f"Page, {side} the patch") != old


def test_the_story_of_a_page_is_scrolled_by_keyboard(keyboard):
    keyboard.tab_to("The story of one page")
    keyboard.notebook.press("ArrowDown")
    keyboard.notebook.wait_until(
        lambda: keyboard.page.locator(":focus").evaluate("pane => pane.scrollTop"),
        lambda top: top > 0,
        "the story does not move",
    )


def test_tab_comes_to_all_there_is_in_its_order(keyboard):
    keyboard.wait(keyboard.heading(keyboard.walk.find(1, "enter:online_pages_range")))
    for name in keyboard.stops()[1:]:
        keyboard.notebook.press("Tab")
        if keyboard.page.locator(":focus").get_attribute("contenteditable"):
            keyboard.notebook.press("Tab")  # the number beside the slider
        assert keyboard.page.locator(":focus").evaluate(NAME) == name


def test_it_plays_and_pauses(keyboard):
    walk, notebook = keyboard.walk, keyboard.notebook
    start = walk.find(1, "enter:online_pages_range")
    keyboard.wait(keyboard.heading(start))
    keyboard.page.locator(f"{ROOT} .jupyter-widgets.widget-play button").first.focus()
    notebook.press("Space")
    later = [keyboard.heading(index) for index in range(start + 2, len(walk.moments))]
    keyboard.wait_any(later)
    notebook.press("Space")
    notebook.wait_until(
        keyboard.text_and_two_seconds_later, lambda both: both[0] == both[1], "it does not pause"
    )
    assert later[-1] not in keyboard.text()
    keyboard.tab_to("Stop, and back to the beginning")
    notebook.press("Space")
    keyboard.wait(keyboard.heading(0))


def test_a_click_on_a_map_chooses_the_page(keyboard):
    image = keyboard.page.locator(f"{ROOT} img[alt^='Page map after']")
    box = image.bounding_box()
    # The first page of pageblock 9, which is the second tile of the second row; 8 x 8 tiles.
    image.click(position={"x": box["width"] / 8 * 1.02, "y": box["height"] / 8 * 1.04})
    keyboard.wait(f"Page {0x100000 + 9 * 512:#x}\n")


def test_what_a_press_costs(keyboard):
    sizes, times, received = [], [], []
    page, notebook = keyboard.page, keyboard.notebook
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    session.on(
        "Network.webSocketFrameReceived",
        lambda event: received.append(len(event["response"]["payloadData"])),
    )
    notebook.focus(page.locator(HANDLE))
    at = keyboard.walk.find(1, "enter:online_pages_range")
    for step in range(1, 31):
        received.clear()
        begun = busy(session)
        notebook.press("ArrowRight")
        keyboard.wait(keyboard.heading(at + step))
        times.append((busy(session) - begun) * 1000)
        notebook.wait_for_kernel()
        page.wait_for_timeout(50)
        sizes.append(sum(received) / 1024)
    assert 1 < max(sizes) < MOST_KIB
    assert 0 < statistics.median(times) < MOST_MS


def busy(session):
    """Return how long a page's thread has run, in seconds of the processor's time."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def test_a_wrong_scenario_is_answered_in_the_widget(open_notebook, page, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "wrong" / "wrong.ipynb", WRONG))
    notebook.run_all()
    assert notebook.errors() == []
    answer = page.locator(".memsim-refusal [role=alert]")
    answer.wait_for()
    assert "scenario: step 0: 'do' is 'fly'; known are add_memory" in answer.text_content()
