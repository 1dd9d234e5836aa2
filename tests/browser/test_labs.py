"""The labs in a real browser: every control reached and used by keyboard alone, picture and text change."""

from __future__ import annotations

import os
import re
from itertools import groupby

import pytest

from memsim.patch import Hunk
from tests.tiers import breadth

pytestmark = pytest.mark.browser

BOARD = ".jp-OutputArea-output .memsim-board"
ENABLED = "input:not([disabled]), select:not([disabled]), button:not([disabled]), [role=slider], summary"
NAME = """element => {
  const around = element.closest("button, summary, label") || element.closest(".jupyter-widgets");
  const label = around && around.querySelector(".widget-label") || around;
  return (element.getAttribute("aria-label") || (label || element).textContent).trim();
}"""
FOCUS = f"""board => {{
  const active = document.activeElement;
  if (!board.contains(active)) return null;
  const {{outlineStyle, outlineWidth}} = getComputedStyle(active);
  return {{name: ({NAME})(active), outline: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2}};
}}"""
GO = f"""(board, name) => {{
  const found = [...board.querySelectorAll("{ENABLED}")].find(one => ({NAME})(one) === name);
  found?.focus();
  return found !== undefined && found === document.activeElement;
}}"""
MOST_TABS = 60
HIGH = 620
"""Pixels that a lab may be high, whatever is done in it: a screen of JupyterLab has 646."""
TWIN = "The same in text"
DRAWN = re.compile(r".*, bit \d+$|Blocks by order|Allocate a block of order|Free 0x|What the lab shows")
"""What has stops of its own for Tab, and is tried by itself."""


class Lab:
    """A widget on a page, moved by keys, and what it shows."""

    def __init__(self, notebook, page):
        self.notebook, self.page = notebook, page
        self.seen, self.used, self.reached, self.heights = set(), set(), set(), set()
        self.board = page.locator(BOARD)
        self.board.wait_for()
        self.twin = self.board.locator("pre.memsim-twin")
        self.twin.wait_for(state="attached")

    def names(self):
        """Return the names of all controls that are enabled."""
        every = self.board.locator(ENABLED).evaluate_all(f"all => all.map({NAME})")
        names = [name for name in every if not DRAWN.match(name)]
        self.seen.update(names)
        return names

    def focus_first(self):
        self.notebook.focus(self.board.locator(ENABLED).first)

    def focused(self):
        return self.board.evaluate(FOCUS)

    def tab_through(self):
        """Press Tab from the first control to the text twin; return what was focused, each visibly."""
        self.focus_first()
        found = []
        for _ in range(MOST_TABS):
            focus = self.focused()
            if focus is None:
                break
            assert focus["outline"], f"the focus on {focus['name']!r} cannot be seen"
            found.append(focus["name"])
            self.page.keyboard.press("Tab")
        self.reached.update(found)
        return found

    def go_to(self, name):
        """Give the control of this name the focus: by Tab, until it is known to come there."""
        self.used.add(name)
        if name in self.reached and self.board.evaluate(GO, name):
            return
        self.focus_first()
        for _ in range(MOST_TABS):
            focus = self.focused()
            if focus is not None and focus["name"] == name:
                self.reached.add(name)
                return
            self.page.keyboard.press("Tab")
        msg = f"Tab does not come to {name!r}"
        raise AssertionError(msg)

    def shown(self):
        """Return the text twin, and all else that is shown."""
        beside = self.board.locator(".widget-html, .memsim-bits").all_inner_texts()
        return self.twin.text_content(), beside, self.pictures()

    def pictures(self):
        return self.board.locator("img").evaluate_all("all => all.map(image => image.src)")

    def use(self, name, *keys, text=None, says=None):
        """Go to a control, type or press keys, and wait until the text twin is another one."""
        self.go_to(name)
        before = self.shown()
        if text is not None:
            self.page.keyboard.press("Control+a")
            self.page.keyboard.type(text)
        self.notebook.press(*keys)
        self.notebook.wait_until(
            self.twin.text_content,
            lambda now: now != before[0] and (says is None or says in now),
            f"{keys} on {name!r} does not lead to {says!r}",
        )
        after = self.shown()
        assert after[1] != before[1], f"{name}: the text changes and what is shown beside it does not"
        self.fits()
        return before, after

    def fits(self):
        """A reader sees the controls and what they do at once, and nothing moves away under the pointer."""
        self.heights.add(self.board.evaluate("board => board.offsetHeight"))
        assert max(self.heights) <= HIGH
        assert len(self.heights) == 1, f"the height jumps: {self.heights}"

    def set(self, name, text):
        """Type into a field that takes effect only with a button."""
        self.go_to(name)
        if self.page.locator(":focus").input_value() == text:
            return
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)
        self.notebook.tell_kernel(lambda: self.page.keyboard.press("Tab"))

    def pick(self, name, key="ArrowDown"):
        """Choose another entry of a list that takes effect only with a button."""
        self.go_to(name)
        self.notebook.tell_kernel(lambda: self.page.keyboard.press(key))


@pytest.fixture
def lab(run_cells, page):
    """A function that shows the widget of a cell; at the end every control of it must have been used."""
    page.set_viewport_size({"width": 1366, "height": 768})
    shown = []

    def show(*lines):
        notebook = run_cells("\n".join(lines))
        notebook.wait_for_widgets(1)
        shown.append(Lab(notebook, page))
        return shown[-1]

    yield show
    assert [lab.seen - lab.used for lab in shown] == [set()]
    # And in the end, too, Tab comes to everything.
    assert [{*lab.names()} - {*lab.tab_through()} for lab in shown] == [set()]


def reaches_everything(lab, picture):
    """Tab comes to every enabled control, in the order in which they stand; the text is last."""
    found = [name for name, _ in groupby(lab.tab_through()) if not DRAWN.match(name)]
    assert found == lab.names()
    assert found[-1] == TWIN
    pictured(lab, picture)
    assert not lab.twin.is_visible()
    lab.go_to(TWIN)
    lab.notebook.press("Enter")
    lab.twin.wait_for()
    lab.notebook.press("Enter")


def pictured(lab, picture):
    """Take a picture in each theme for people to look at, if they ask for it."""
    if "MEMSIM_SCREENSHOTS" not in os.environ:
        return
    lab.page.set_viewport_size({"width": 1300, "height": 2000})
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.page.evaluate(
            f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})"
        )
        lab.page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
        lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
        lab.board.evaluate("board => board.scrollIntoView()")
        lab.page.screenshot(path=picture.with_stem(f"{picture.stem}-{theme.split()[1].lower()}"))


def test_decode_page(lab, screenshots):
    shown = lab("from memsim.view.decode import decode_page", "decode_page(0x0010000000002000)")
    shown.fits()
    reaches_everything(shown, screenshots / "decode.png")
    bits = shown.board.locator("[data-bit]")
    shown.notebook.focus(shown.board.locator("[data-bit='0']"))
    shown.notebook.press("ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert shown.page.locator(":focus").get_attribute("aria-label") == "PG_reserved, bit 13"
    for says in ("zone 2 (Normal)", "Set: PG_reserved, zone 2 (Normal)."):
        shown.notebook.press("Space")
        shown.notebook.wait_until(shown.twin.text_content, lambda now, says=says: says in now, f"not {says}")
        assert shown.page.locator(":focus").get_attribute("data-bit") == "13"
    assert bits.count() == 64
    # The kernel's answer to a click comes while the button is pressed again: it must still be there.
    shown.notebook.focus(shown.board.locator("[data-bit='5']"))
    shown.notebook.press("Space")
    shown.page.keyboard.down("Space")
    shown.notebook.wait_until(shown.twin.text_content, lambda now: "Set: PG_lru" in now, "not PG_lru")
    shown.page.keyboard.up("Space")
    shown.notebook.wait_until(shown.twin.text_content, lambda now: "Set: PG_reserved" in now, "a lost click")
    shown.use("Word", "Enter", text="dirty,zone=3", says="Set: PG_dirty, zone 3 (Movable).")
    shown.board.locator("[data-bit='4'][aria-pressed=true]").wait_for()
    shown.use("Word", "Enter", text="dirtz", says="'dirtz' is no part of page->flags")
    shown.use("Kernel", "ArrowDown", says="as Linux 6.11 reads them")
    shown.use("Word", "Enter", text="0", says="No flag, zone 0")
    shown.use("It is a word of", "p", says="0x00000000: 32 bits of page_type")
    shown.notebook.wait_until(bits.count, lambda now: now == 32, "a page_type has 32 bits")


def test_decode_page_says_a_number_once_and_as_the_kernel_writes_it(lab):
    """include/linux/page-flags.h, 6.12: PGTY_offline is 0xf1, in the upper 8 bits; 24 are the owner's."""
    shown = lab("from memsim.view.decode import decode_page", "decode_page(0xf1000000, 'page_type', '6.12')")
    shown.board.locator("[data-bit='31']").wait_for()
    names = shown.board.locator("td .memsim-name").all_inner_texts()
    assert [name.strip("■□ ") for name in names] == ["type 0xf1 (Offline)", "owner's 0", "owner's", "owner's"]


@pytest.mark.slow
def test_buddy_lab(lab, screenshots):
    shown = lab("from memsim.view.buddy_lab.widget import buddy_lab", "buddy_lab(['allocate 0 movable x4'])")
    shown.fits()
    the_picture(shown, screenshots / "buddy-picture.png")
    shown.go_to("More controls")
    shown.notebook.press("Space")
    shown.board.get_by_role("button", name="Allocate", exact=True).wait_for()
    reaches_everything(shown, screenshots / "buddy.png")
    shown.use("Allocate", "Space", says="got 0x100004")
    shown.set("Order", "11")
    shown.use("Allocate", "Enter", says="order 11: blocks have the orders 0")
    shown.set("Order", "3")
    shown.set("Times", "2")
    shown.pick("Migratetype", "u")
    shown.use("Allocate", "Enter", says="allocate 3 unmovable x2: got 2 blocks")
    shown.pick("Allocated block")
    shown.use("Free", "Space", says="free 0x100001: freed 0x100001")
    shown.use("Free every other", "Space", says="freed 3 blocks")
    shown.use("Free all", "Space", says="Allocated: none")
    shown.pick("Pageblock")
    shown.use("Isolate", "Space", says="isolate 0x100200: isolated")
    shown.set("Page", "0x100000")
    shown.use("Why is this not merged?", "Space", says="its pageblock is ISOLATE")
    shown.use("End isolation", "Space", says="no longer isolated")
    shown.use("Undo", "Space", says="took back: unisolate")
    shown.use("Or type", "Enter", text="allocate 9 reclaimable", says="allocate 9 reclaimable: got")
    shown.use("Linux", "ArrowDown", says="Linux 6.1")
    shown.use("Zone", "ArrowDown", says="16 MiB")
    shown.use("Start again", "Space", says="Script: empty")


def the_picture(shown, picture):
    """Allocate in a row and free a block by keyboard, see the buddy's bit, and solve the challenge."""
    rows = shown.board.locator(".memsim-row")
    used = shown.board.locator(".memsim-used")

    def counts(number):
        shown.notebook.wait_until(used.count, lambda now: now == number, f"not {number} blocks are in use")

    counts(4)
    shown.notebook.focus(rows.first)
    shown.notebook.press("ArrowDown", "ArrowDown")
    assert shown.page.locator(":focus").get_attribute("data-order") == "8"
    shown.notebook.press("Enter")
    counts(5)
    shown.notebook.focus(used.first)
    shown.notebook.press("ArrowRight")
    shown.board.get_by_text("differ in bit 0").wait_for()
    shown.notebook.press("Enter")
    counts(4)
    assert shown.board.locator(".memsim-buddy-picture").evaluate("box => box.clientHeight") <= 620
    shown.page.screenshot(path=picture)
    for name, option in (
        ("Kind of memory", "unmovable"),
        ("Blocks at a time", "4"),
        ("Zoom", "whole zone"),
    ):
        shown.board.get_by_role("combobox", name=name, exact=True).select_option(option)
        shown.used.add(name)
    shown.notebook.focus(rows.nth(10))
    shown.notebook.press("Enter")
    counts(8)
    assert shown.board.locator(".memsim-used", has_text="unmovable").count() == 4
    shown.notebook.focus(shown.board.locator(".memsim-buddy-picture").get_by_role("button", name="Undo"))
    shown.notebook.press("Space", "Space", "Space")
    counts(4)


@pytest.mark.slow
def test_half_patch(lab, screenshots):
    scenario = {
        "format": "memsim-scenario/1",
        "title": "one block",
        "machine": {"ram": [[0, 131072]]},
        "steps": [
            {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536},
            {"do": "online", "block": 32, "type": "online_movable"},
            {"do": "online", "block": 33, "type": "online_movable"},
        ],
    }
    shown = lab(
        "from memsim.view.half_patch.widget import half_patch", f"half_patch({scenario!r}, 'MM_INIT')"
    )
    shown.fits()
    reaches_everything(shown, screenshots / "half-patch.png")
    for hunk in Hunk:
        mark = "[ ]" if hunk is Hunk.MM_INIT else "[x]"
        shown.use(hunk.name, "Space", says=f"{mark} {hunk.name}")
    before, after = shown.use("All hunks", "Space", says="no difference from the whole patch")
    before, after = shown.use("No hunk", "Space", says="before the patch")
    shown.use("MM_INIT", "Space", says="Bad page state")
    before, after = shown.use("Page checks (as Debian ships it)", "Space", says="without page checks")
    assert before[2] != after[2]
    shown.use("CONFIG_DEBUG_VM", "Space", says="Bad page state")
    shown.use("Linux", "ArrowDown", says="Linux 6.1")
    shown.use("Memory block", "ArrowDown", says="Block 33")
    shown.use("Steps up to", "ArrowUp", says="after 2 of 3 steps")


HOSTS = {
    "virtio-mem": [
        ({"Requested size in MiB": "160"}, "Request", "the host requests 40960 pages of vm0: ok"),
        ({}, "Unbind the driver", "unbound"),
    ],
    "hv-balloon": [
        (
            {"Hot-add at page": "0x100200", "Pages that the host backs": "40000"},
            "Hot-add",
            "adds 40000 pages at pfn 0x100200",
        ),
        ({"Balloon pages": "512"}, "Inflate", "takes 512 pages"),
        ({}, "Deflate", "returns 512 pages"),
    ],
    "xen-balloon": [
        ({"Target in MiB": "700"}, "Set target", "179200"),
        ({"Lend pages": "4"}, "Lend", "lent 4"),
        ({}, "Take back", "lent 0"),
    ],
}


@pytest.mark.parametrize("kind", breadth(HOSTS, "virtio-mem"))
def test_driver_lab(kind, lab, screenshots):
    shown = lab("from memsim.view.driver_lab.widget import driver_lab", f"driver_lab({kind!r})")
    add, *others = HOSTS[kind]
    shown.fits()
    tell_the_host(shown, *add)
    shown.go_to("More controls")
    shown.notebook.press("Space")
    shown.board.get_by_role("button", name="Tell the host").wait_for()
    reaches_everything(shown, screenshots / f"driver-{kind}.png")
    shown.set("Pages", "8")
    shown.pick("Migratetype")
    shown.use("Allocate", "Space", says="allocate 8 unmovable pages in block 32")
    shown.use("Free", "Space", says="free all pages in block 32")
    shown.use("Undo", "Space", says="took back: free")
    for what in others:
        tell_the_host(shown, *what)
    shown.use("Memory block", "ArrowDown", says="Block 33")
    shown.use("Offline", "Enter", says="offline block 33")
    shown.pick("as", "End")
    shown.use("Online", "Enter", says="online block 33 (online_movable)")
    shown.pick("Host answers")
    shown.set("Times", "2")
    shown.use("Tell the host", "Space", says="will answer")
    shown.set("Seconds", "7")
    shown.use("Wait", "Space", says="wait 7 s: ok")
    shown.use("Or type a step", "Enter", text='{"do": "wait"}', says="'seconds' is missing")
    assert '"seconds": 7' in shown.twin.text_content().partition("All steps, as a scenario")[2]
    shown.use("Linux", "ArrowDown", says="Linux 6.1")
    shown.use("New memory blocks", "o", says="start: Linux 6.1")
    shown.use("Start again", "Space", says="start: Linux 6.1")


def tell_the_host(shown, fields, button, says):
    """Fill in some fields and press a button."""
    for name, text in fields.items():
        shown.set(name, text)
    return shown.use(button, "Space", says=says)
