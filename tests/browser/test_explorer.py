"""The explorer in JupyterLab, from the keyboard alone: what it shows, how high it is, what it sends."""

from __future__ import annotations

import base64
import json
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from memsim import Patch, Scenario, compare
from memsim.view.explorer import bundle
from memsim.view.explorer.explorer import explore
from memsim.view.explorer.export import export
from memsim.view.explorer.inputs import default_block, recordings_of
from memsim.view.explorer.timeline import Walk
from tests.frontend.digests import digests
from tests.tiers import breadth

from .test_export import violations

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
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
    f"explorer = explore({SCENARIO!r}, start=(1, 'enter:online_pages_range'))\n"
    "explorer"
)
WRONG = (
    "from memsim.view.explorer.explorer import explore\n"
    "explore({'format': 'memsim-scenario/1', 'machine': {'ram': [[0, 65536]]}, 'steps': [{'do': 'fly'}]})"
)
BOX = ".memsim-explore"
SIDES = ("section.side0", "section.side1")
MOST_HIGH = 620
CELL_WIDTH = 934
"""Of a cell in JupyterLab in a window of 1366 x 768 with its side bar open."""


@cache
def the_walk():
    """Return what says what the explorer must show."""
    comparison = compare(Scenario.parse(SCENARIO))
    return Walk(comparison, 32, recordings_of(comparison))


class Keyboard:
    """The explorer of a notebook that was run, the walk that says what it must show, and its keys."""

    def __init__(self, notebook, page):
        self.notebook, self.page, self.walk = notebook, page, the_walk()
        self.box = page.locator(BOX)

    def of(self, expression):
        """Return what an expression about the explorer ``e`` is."""
        return self.box.evaluate(f"box => {{ const e = box.explorer; return {expression}; }}")

    def press(self, *keys):
        """Press keys with the focus on the explorer, and return the moment that is shown then."""
        self.box.focus()
        self.notebook.press(*keys)
        return self.of("e.c.i")

    def text(self, selector):
        return self.page.locator(f"{BOX} {selector}").inner_text()

    def wait(self, selector, wanted):
        self.notebook.wait_until(
            lambda: self.text(selector), lambda text: wanted in text, f"{selector} does not say: {wanted}"
        )


@pytest.fixture
def keyboard(run_cells, page):
    page.set_viewport_size({"width": 1366, "height": 768})
    notebook = run_cells(CELL)
    page.wait_for_function(f"document.querySelector('{BOX}')?.explorer")
    return Keyboard(notebook, page)


def test_it_is_one_screen_and_its_height_never_changes(keyboard):
    heights = keyboard.of("e.c.moments.map(m => { e.go(m.i); return box.offsetHeight; })")
    assert set(heights) == {heights[0]}
    assert heights[0] <= MOST_HIGH
    assert CELL_WIDTH * 0.8 < keyboard.of("box.clientWidth") <= 1366
    assert keyboard.of("box.dataset.form") == "cell"
    for tab in ("diffs", "code", "calls", "page", "counters", "writes", "text", "help"):
        keyboard.of(f"e.open('{tab}')")
        assert keyboard.of("box.offsetHeight") == heights[0]
    assert keyboard.of("(tabs => tabs.scrollWidth <= tabs.clientWidth)(box.querySelector('.tabs'))")


def test_a_function_is_found_by_its_name(keyboard):
    field = keyboard.page.get_by_role("combobox", name="Go to the next call of a function")
    keyboard.press("Home", "g")
    keyboard.page.keyboard.type("undo_isolate")
    keyboard.page.keyboard.press("Enter")
    assert keyboard.of("e.c.i") == keyboard.walk.find(1, "enter:undo_isolate_page_range")
    field.fill("generic_online_page")
    for nth in (1, 2):
        field.press("Enter")
        assert keyboard.of("e.c.i") == keyboard.walk.find(1, f"enter:generic_online_page#{nth}")
    field.fill("return:memmap_init_range")
    field.press("Enter")
    assert keyboard.of("e.c.i") == keyboard.walk.find(1, "return:memmap_init_range")
    field.fill("no_such_function")
    field.press("Enter")
    assert field.get_attribute("aria-invalid") == "true"
    assert keyboard.of("e.c.i") == keyboard.walk.find(1, "return:memmap_init_range")
    assert keyboard.of("box.offsetHeight") <= MOST_HIGH
    field.press("Escape")
    assert not field.is_visible()
    keyboard.page.get_by_role("button", name="Find").press("Enter")
    assert field.is_visible()


def test_it_starts_where_it_is_told_and_moves_by_arrow_keys(keyboard):
    walk = keyboard.walk
    start = walk.find(1, "enter:online_pages_range")
    assert keyboard.of("e.c.i") == start
    assert keyboard.press("Shift+ArrowRight") == start + 1
    assert keyboard.press("Shift+ArrowLeft", "Shift+ArrowLeft") == start - 1
    # What is skipped has nothing to see: no other pages, no other counter of the zone, no other state.
    stops = keyboard.of("(e.go(0), e.c.moments.filter(m => m.i === e.c.next(m.i - 1, 1)).map(m => m.i))")
    skipped = sorted({*range(1, len(walk.moments))} - {*stops})
    assert len(skipped) > len(walk.moments) / 3
    for index in skipped:
        assert to_see(walk, index) == to_see(walk, index - 1)
    assert keyboard.press("Home", "ArrowRight", "ArrowRight") == [at for at in stops if at][1]
    assert keyboard.press("End") == len(walk.moments) - 1
    assert keyboard.text(".where").startswith(f"Moment {len(walk.moments) - 1} of {len(walk.moments) - 1}")


def to_see(walk, index):
    """Return what a reader can see at a moment besides calls."""
    sight = walk.look(index)
    counters = {key: value for key, value in sight.numbers.counters.items() if key[0] in {"Movable", "all"}}
    ignored = {("Movable", "start_pfn"), ("Movable", "spanned")}
    return [side.sentence for side in sight.sides], {k: v for k, v in counters.items() if k not in ignored}


def test_the_next_difference_shows_the_code_that_made_it(keyboard):
    walk = keyboard.walk
    assert keyboard.press("Home", "d") == walk.find(1, "return:memmap_init_range")
    assert keyboard.text(".tab-code .head").startswith("memmap_init_range()")
    assert "MM_INIT" in keyboard.text(".tab-code .doc")
    assert "reserved before the patch, Offline after it" in keyboard.text(".says")
    assert keyboard.press("d") == walk.find(1, "return:__free_pages_core")
    lit = keyboard.page.locator(f"{BOX} .codeline.lit code").all_inner_texts()
    assert any("clear_type(pfn, nr_pages, PageType.OFFLINE)" in line for line in lit)
    assert any("clear_flags(pfn, nr_pages, PageFlag.RESERVED)" in line for line in lit)
    assert keyboard.press("Shift+D") == walk.find(1, "return:memmap_init_range")


def test_the_button_says_where_the_next_difference_is_and_leads_there(keyboard):
    """Until there is none: then it says so, and leads nowhere."""
    button = keyboard.page.locator(f"{BOX} button.news")
    keyboard.press("Home")
    for moment in keyboard.of("e.c.news"):
        keyboard.wait("button.news", f"Next difference at {moment}")  # drawn with the next picture
        assert button.get_attribute("title").startswith(f"Moment {moment}, ")
        assert button.get_attribute("aria-disabled") == "false"
        button.press("Space")
        assert keyboard.of("e.c.i") == moment
    keyboard.wait("button.news", "Next difference: none")
    assert button.get_attribute("aria-disabled") == "true"
    button.press("Space")
    assert keyboard.of("e.c.i") == moment


def test_the_code_is_given_the_room_of_one_map(keyboard):
    """By the button and by W; then F shows the other map in the same place, and nothing grows."""
    keyboard.press("Home", "d")
    panel, before, after = (f"box.querySelector('{name}').offsetWidth" for name in (".panel", *SIDES))
    narrow, map_width, freed, high = keyboard.of(f"[{panel}, {before}, {after}, box.offsetHeight]")
    button = keyboard.page.get_by_role("button", name="Wider")
    button.press("Space")
    assert keyboard.page.locator(":focus").inner_text() == "Wider"
    assert button.get_attribute("aria-pressed") == "true"
    assert keyboard.of(panel) >= narrow + freed
    assert keyboard.of(f"[{before} > 0, {after}, box.offsetHeight]") == [True, 0, high]
    keyboard.press("f")
    assert keyboard.of(f"[{before}, {after} > 0, box.offsetHeight]") == [0, True, high]
    keyboard.press("w")
    assert button.get_attribute("aria-pressed") == "false"
    assert keyboard.of(f"[{panel}, {before}, {after} > 0, box.offsetHeight]") == [
        narrow,
        map_width,
        True,
        high,
    ]


def test_it_begins_with_where_the_kernels_differ_and_each_place_leads_to_its_code(keyboard):
    walk = keyboard.walk
    first = walk.find(1, "return:memmap_init_range")
    assert keyboard.of("e.tab") == "diffs"
    keyboard.wait(".tab-diffs", "by hunk")  # found out while nothing else is to be done
    links = keyboard.page.locator(f"{BOX} .tab-diffs [data-moment]")
    moments = [int(link.get_attribute("data-moment")) for link in links.all()]
    assert moments == keyboard.of("e.c.news")
    assert moments[0] == first
    entry = keyboard.page.locator(f"{BOX} .tab-diffs li").first.inner_text()
    assert "memmap_init_range()" in entry
    assert "▼ begins: reserved before, Offline after" in entry
    assert "MM_INIT" in entry
    links.first.press("Enter")
    assert (keyboard.of("e.c.i"), keyboard.of("e.tab")) == (first, "code")
    # A reader who opens the list again keeps it while moving, and sees where it stands.
    keyboard.of("e.open('diffs')")
    for moment in moments[1:3]:
        assert keyboard.press("d") == moment
        assert links.and_(keyboard.page.locator("[aria-current=step]")).inner_text() == f"moment {moment}"


def test_a_mark_sums_up_what_changed_since(keyboard):
    walk = keyboard.walk
    start, end = walk.find(1, "enter:online_pages_range"), walk.find(1, "return:online_pages_range")
    assert keyboard.press("m", "o") == end
    keyboard.wait(".says", f"From moment {start} to {end}, ")
    keyboard.wait(".says", f"{32768:,} pages are now in the buddy")
    keyboard.wait(".live", f"From moment {start} to {end}, ")
    assert f"since={start}" in keyboard.of("e.fragment")
    assert keyboard.press("Escape") == end
    assert "From moment" not in keyboard.text(".says")
    keyboard.of(f"e.follow('moment={start}&since={end}')")
    keyboard.wait(".says", f"From moment {start} to {end}, ")  # whichever was marked
    keyboard.press("m")
    assert keyboard.of("e.mark") == -1
    # With a mouse: drag over the timeline with Shift held.
    time = keyboard.page.locator(f"{BOX} .time")
    time.scroll_into_view_if_needed()
    box, (left, right) = time.bounding_box(), [keyboard.of(f"e.timeline.x({i})") for i in (start, end)]
    keyboard.page.keyboard.down("Shift")
    keyboard.page.mouse.move(box["x"] + left, box["y"] + 60)
    keyboard.page.mouse.down()
    keyboard.page.mouse.move(box["x"] + right, box["y"] + 60, steps=3)
    keyboard.page.mouse.up()
    keyboard.page.keyboard.up("Shift")
    assert (keyboard.of("e.mark"), keyboard.of("e.c.i")) == (start, end)
    keyboard.wait(".says", f"From moment {start} to {end}, ")


def test_a_hunk_is_switched_off_and_maps_counters_and_code_follow(keyboard):
    """The kernel runs the walk once; what is shown is what it says; back and off again ask nothing."""
    sent = watched(keyboard.page)
    moment = keyboard.walk.find(1, "return:__free_pages_core")
    keyboard.of(f"(e.go({moment}), e.open('code'))")
    box = keyboard.page.locator(f"{BOX} .tab-code [data-hunk=PAGE_ALLOC]")
    assert box.is_checked()
    box.press("Space")
    off = f"document.querySelector('{BOX}').explorer.off.join()"
    keyboard.page.wait_for_function(f"{off} === 'PAGE_ALLOC'")
    # memmap_init_range() has marked the pages Offline, and nothing takes that away: they cannot be freed.
    other = keyboard.walk.without(Patch("PAGE_ALLOC"))
    assert keyboard.of("e.c.i") == other.find(1, "return:__free_pages_core")
    keyboard.wait(".side1 .caption", "Without PAGE_ALLOC")
    keyboard.wait(".says", "reserved → in the buddy before the patch, ")
    lit = keyboard.page.locator(f"{BOX} .codeline.lit:has(.ran1) code").all_inner_texts()
    assert any("clear_flags(pfn, nr_pages, PageFlag.RESERVED)" in line for line in lit)
    assert keyboard.page.evaluate("document.activeElement.dataset.hunk") == "PAGE_ALLOC"
    assert "&without=PAGE_ALLOC" in keyboard.of("e.fragment")
    for index in (keyboard.of("e.c.i"), len(other.moments) - 1):
        keyboard.of(f"(e.go({index}), e.open('text'))")
        shown = keyboard.page.locator(f"{BOX} .tab-text pre").text_content()
        assert shown == other.look(index).twin(other.zone_of_block())
    assert keyboard.of("box.offsetHeight") <= MOST_HIGH
    keyboard.of("e.open('diffs')")
    # One difference ends with the last chunk, and yet no page is alike: free before, Offline here.
    keyboard.wait(".tab-diffs", "▽ ends: reserved before, Offline without PAGE_ALLOC")
    assert "alike" not in keyboard.text(".tab-diffs")
    assert violations(keyboard.page, f"{{ include: [['{BOX}']] }}") == []
    box = keyboard.page.locator(f"{BOX} .tab-diffs [data-hunk=PAGE_ALLOC]")
    box.press("Space")
    keyboard.page.wait_for_function(f"{off} === ''")
    assert keyboard.text(".side1 .caption b") == "After the patch"
    box.press("Space")
    keyboard.page.wait_for_function(f"{off} === 'PAGE_ALLOC'")
    assert len(sent) == 1
    keyboard.of("e.follow('moment=3')")
    keyboard.page.wait_for_function(f"{off} === ''")
    assert keyboard.of("e.c.i") == 3


def test_the_calls_of_a_walk_have_totals_and_lead_to_each(keyboard):
    """A block of 128 MiB is freed in chunks of 4 MiB, 1,024 pages: MAX_PAGE_ORDER is 10 on x86-64."""
    walk = keyboard.walk
    keyboard.of(f"(e.go({walk.find(1, 'enter:generic_online_page#2')}), e.open('calls'))")
    table = keyboard.page.locator(f"{BOX} .tab-calls")
    rows = {
        row.inner_text().split("(")[0]: row.locator("td").all_inner_texts()
        for row in table.locator("tbody tr").all()
    }
    online = walk.find(1, "return:online_pages_range") - walk.find(1, "enter:online_pages_range") + 1
    assert rows["generic_online_page"] == ["32", "128", "0"]  # entered, then what it calls, entered and left
    assert rows["__free_pages_core"] == ["32", "64", "32,768"]
    assert rows["memmap_init_range"] == ["1", "2", "32,768"]
    assert rows["online_pages_range"][:2] == ["1", str(online)]
    assert table.locator("tr.now").count() == len(keyboard.of("e.c.moment.stack"))
    button = table.get_by_role("button", name="generic_online_page()")
    for nth in (3, 4):
        button.press("Enter")
        assert keyboard.of("e.c.i") == walk.find(1, f"enter:generic_online_page#{nth}")
    by_calls = table.get_by_role("button", name="calls", exact=True)
    by_calls.press("Enter")
    assert table.locator("[aria-sort=descending]").inner_text() == "calls"
    assert table.locator("tbody td:nth-child(2)").first.inner_text() == "32"
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_step_over_and_step_out(keyboard):
    walk = keyboard.walk
    keyboard.of(f"e.go({walk.find(1, 'enter:generic_online_page#5')})")
    assert keyboard.press("o") == walk.find(1, "return:generic_online_page#5")
    assert keyboard.press("u") == walk.find(1, "return:online_pages_range")


def test_a_page_is_found_by_keyboard_and_its_life_is_told(keyboard):
    keyboard.of(f"e.go({keyboard.walk.find(1, 'return:__free_pages_core#3')})")
    keyboard.page.locator(f"{BOX} .cursor").last.focus()
    keyboard.notebook.press("ArrowRight", "ArrowDown", "ArrowRight", "Enter")
    assert keyboard.of("e.page") == 17  # the first press shows the frame; a row has 16 pages
    assert keyboard.of("e.tab") == "page"
    told = keyboard.text(".tab-page")
    assert "Page 0x100011" in told
    assert "you are here" in told
    assert "memmap.clear_type(0x100000, 0x400, OFFLINE)" in told
    assert keyboard.of("e.c.i") == keyboard.walk.find(1, "return:__free_pages_core#3")


def test_another_block_is_chosen_by_keyboard(keyboard):
    keyboard.page.locator(f"{BOX} .machine").first.focus()
    keyboard.notebook.press("ArrowRight")
    assert keyboard.of("e.c.block") == 33
    keyboard.notebook.press("Home")
    assert keyboard.of("e.c.block") == 0


def test_the_zones_have_places_that_add_up_to_their_counters(keyboard):
    """Brackets and bars are drawn from struct pages, and said in words; the counters are the kernel's own."""
    at = keyboard.walk.find(1, "return:generic_online_page#5")
    placed = "({ ...zone, pages: e.data.blocks.map((_, k) => [zone.placedIn(k), zone.managedIn(k)]) })"
    zones = keyboard.of(f"(e.go({at}), e.zones[1].map(zone => {placed}))")
    told = keyboard.walk.numbers(at)
    for zone in zones:
        counted = [sum(pages) for pages in zip(*zone["pages"], strict=True)]
        assert counted[1] == zone["managed"]
        assert {zone["present"], zone["managed"]} == {
            told.counters[zone["name"], name][1] for name in ("present", "managed")
        }
    (movable,) = [zone for zone in zones if zone["name"] == "Movable"]
    assert (movable["start"], movable["end"], movable["managed"]) == (0x100000, 0x108000, 5 * 1024)
    keyboard.notebook.wait_until(
        lambda: keyboard.of("e.machines[1].canvas.getAttribute('aria-valuetext')"),
        lambda said: "zone Movable spans 0x100000-0x107fff, 32,768 pages, 0 present, 5,120 managed" in said,
        "the machine does not say its zones",
    )


def test_calls_too_narrow_to_be_told_apart_are_one_part_until_they_are_opened(keyboard):
    """generic_online_page() is called 32 times, once for each 4 MiB: a narrow timeline draws one part."""
    row = keyboard.of("e.c.spans.find(span => span.name === 'generic_online_page').depth")
    calls = f"e.timeline.drawn[{row}].map(part => [part.calls, part.from, part.to])"
    assert [number for number, *_ in keyboard.of(calls)][-32:] == [1] * 32
    keyboard.of("(e.timeline.resize(260, e.colours), e.timeline.draw(e.c.i))")
    folded = max(keyboard.of(calls))
    assert folded[0] >= 32
    x, y = keyboard.of(f"[e.timeline.x({(folded[1] + folded[2]) / 2}), 21 + 12 * {row} + 6]")
    time = keyboard.page.locator(f"{BOX} .time")
    time.hover(position={"x": x, "y": y})
    assert f"{folded[0]} calls of generic_online_page()" in time.get_attribute("title")
    time.dblclick(position={"x": x, "y": y})
    opened = keyboard.of(calls)
    assert len(opened) > 5
    assert {number for number, *_ in opened} == {1}


def test_the_text_is_the_simulator_s(keyboard):
    walk = keyboard.walk
    for index in (0, walk.find(1, "return:memmap_init_range"), len(walk.moments) - 1):
        keyboard.of(f"(e.go({index}), e.open('text'))")
        shown = keyboard.page.locator(f"{BOX} .tab-text pre").text_content()
        assert shown == walk.look(index).twin(walk.zone_of_block())


def test_nothing_is_sent_while_one_moves(keyboard):
    sent = watched(keyboard.page)
    keyboard.press("Home", *["ArrowRight"] * 20, "d", "d", "c", "End")
    keyboard.page.wait_for_timeout(500)
    assert sent == []


def watched(page):
    """Return a list to which the messages come that widgets send to the kernel from now on."""
    session = page.context.new_cdp_session(page)
    sent = []

    def heard(event):
        data, binary = event["response"]["payloadData"], event["response"]["opcode"] == 2
        told = base64.b64decode(data) if binary else data.encode()
        if b"comm_msg" in told:
            sent.append(told)

    session.send("Network.enable")
    session.on("Network.webSocketFrameSent", heard)
    return sent


def test_keys_are_taken_only_with_the_focus_inside(keyboard):
    moment = keyboard.of("e.c.i")
    keyboard.page.locator(".jp-Notebook .jp-InputPrompt").first.click()
    keyboard.notebook.press("ArrowRight", "Home")
    assert keyboard.of("e.c.i") == moment
    keyboard.press("Home")
    cells = keyboard.page.locator(".jp-Cell").count()
    keyboard.press("d", "d", "b", "a")  # in JupyterLab's command mode: delete a cell, insert two
    assert keyboard.page.locator(".jp-Cell").count() == cells


def test_it_plays_and_pauses(keyboard):
    keyboard.press("Home", "Space")
    keyboard.notebook.wait_until(lambda: keyboard.of("e.c.i"), lambda now: now > 3, "it does not play")
    keyboard.press("Space")
    moment = keyboard.of("e.c.i")
    keyboard.page.wait_for_timeout(400)
    assert keyboard.of("e.c.i") == moment


def test_python_can_lead_the_way(run_cells, page):
    run_cells(CELL, "explorer.go(7)", "explorer.look_at(33)")
    page.wait_for_function(f"document.querySelector('{BOX}')?.explorer?.c.block === 33")
    assert page.locator(BOX).evaluate("box => box.explorer.c.i") == 7


@pytest.mark.parametrize("theme", breadth(["JupyterLab Light", "JupyterLab Dark"]))
def test_it_keeps_nobody_out_in_either_theme_at_a_difference(keyboard, theme):
    keyboard.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    dark = str(theme.endswith("Dark")).lower()
    keyboard.notebook.wait_until(
        lambda: keyboard.of("box.dataset.dark"), lambda now: now == dark, "it does not follow the theme"
    )
    keyboard.press("Home", "d", "d")
    keyboard.of("e.from(0)")
    for tab in ("diffs", "code", "calls", "page", "counters", "writes", "text"):
        keyboard.of(f"(e.choose(5), e.open('{tab}'))")
        assert violations(keyboard.page, f"{{ include: [['{BOX}']] }}") == []


def test_a_wrong_scenario_is_answered_in_the_widget(run_cells, page):
    run_cells(WRONG)
    answer = page.locator(".memsim-refusal [role=alert]")
    answer.wait_for()
    assert "scenario: step 0: 'do' is 'fly'; known are add_memory" in answer.text_content()


@pytest.mark.parametrize("scenario", ["one-block.json", "boot.json", "withheld-block.json"])
def test_no_number_is_cut_off_below_the_maps(scenario, page):
    """At no moment: where there is no room for all words, words are shortened."""
    of = without_a_kernel(page, scenario)
    cut = of("""e.c.moments.flatMap(({ i }) => {
      e.go(i);
      return [...box.querySelectorAll(".tally, .tally > span")]
        .filter(each => each.scrollWidth > each.clientWidth).map(each => `${i}: ${each.textContent}`);
    })""")
    assert cut == []
    shortened = of("""e.c.moments.flatMap(({ i }) => {
      e.go(i);
      return [...box.querySelectorAll(".tally")]
        .filter(({ clientWidth, lastChild, offsetLeft }) =>
          lastChild && lastChild.offsetLeft + lastChild.offsetWidth < offsetLeft + clientWidth - 8)
        .flatMap(tally => [...tally.querySelectorAll("small")])
        .filter(each => each.scrollWidth > each.clientWidth).map(each => `${i}: ${each.textContent}`);
    })""")
    assert shortened == []  # where there is room
    if scenario == "one-block.json":  # the first one that a reader sees has room for all
        assert (
            of("""e.c.moments.flatMap(({ i }) => {
          e.go(i);
          return [...box.querySelectorAll(".tally small")]
            .filter(each => each.scrollWidth > each.clientWidth).map(each => `${i}: ${each.textContent}`);
        })""")
            == []
        )


def test_the_code_says_whose_marks_are_whose_and_no_line_begins_empty(page):
    """A long name behind an indent would begin on the second line, and leave the first one empty."""
    of = without_a_kernel(page)
    of("e.go(e.c.news.at(-2))")
    assert page.locator(f"{BOX} .codeline.top").inner_text().split() == ["ran:", "●", "before", "●", "after"]
    late = of("""[...box.querySelectorAll(".codeline:not(.top) code")].flatMap(code => {
      const range = document.createRange(), text = code.firstChild, from = text.data.search(/\\S/);
      range.setStart(text, from);
      range.setEnd(text, from + 1);
      const below = range.getBoundingClientRect().top - code.getBoundingClientRect().top;
      return below < 12 ? [] : [text.data];
    })""")
    assert late == []


def test_the_list_of_differences_scrolls_only_to_what_is_out_of_sight(page):
    of = without_a_kernel(page)
    page.set_viewport_size({"width": 390, "height": 844})  # where the list has the least room
    page.wait_for_function(f"document.querySelector('{BOX}').dataset.form === 'narrow'")
    of("(e.go(1), e.open('diffs'), e.go(e.c.news[1]))")
    box = page.locator(f"{BOX} .tab-diffs")
    assert box.evaluate("box => box.querySelector('.now').offsetTop - box.offsetTop") > 80
    assert box.evaluate("box => box.scrollTop") == 0
    of("e.go(e.c.news.at(-1))")
    assert box.evaluate("box => box.scrollTop") > 0


def test_the_card_of_a_page_makes_room_for_its_life(page):
    """It lies over the panel, where a click opens the life; it comes back with another page."""
    of = without_a_kernel(page)
    card, page_map = page.locator(f"{BOX} .card"), page.locator(f"{BOX} .cursor").last
    page_map.hover(position={"x": 200, "y": 200})
    assert card.is_visible()
    page_map.click(position={"x": 200, "y": 200})
    assert not card.is_visible()
    page_map.hover(position={"x": 201, "y": 200})  # the same page, or nearly
    chosen = of("e.page")
    assert card.is_visible() == (of("e.maps[1].pageAt(201, 200)") != chosen)
    page_map.hover(position={"x": 100, "y": 100})
    assert card.is_visible()


def test_the_recorded_map_is_wiped_over_the_simulated_one_and_dragged(page):
    of = without_a_kernel(page)
    box, wiper = page.locator(BOX), page.locator(f"{BOX} .wiper").last
    of("e.go(1)")
    box.press("r")
    assert of("e.wiped") == 0  # nothing was recorded here
    assert page.locator(f"{BOX} .says").inner_text().startswith("No map of a real kernel was recorded")
    of("e.go(2)")
    assert "recorded" not in page.locator(f"{BOX} .says").inner_text()
    recorded = int(of("Object.entries(e.data.recorded[1].probes).find(([, probe]) => probe.map)[0]"))
    of(f"e.go({recorded})")
    box.press("r")
    page.wait_for_function(f"(e => e.wiped === 0.5 && !e.wiping)(document.querySelector('{BOX}').explorer)")
    wiper.press("ArrowRight")
    assert (of("e.wiped"), of("e.c.i")) == (0.501, recorded)
    assert wiper.get_attribute("aria-valuetext") == "50 % of the map is the recorded kernel's"
    place = wiper.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + 150)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 4, place["y"] + 150, steps=4)
    page.mouse.up()
    assert 0.1 < of("e.wiped") < 0.4
    wiper.press("Escape")
    assert of("e.wiped") == 0
    assert not wiper.is_visible()


def without_a_kernel(page, scenario="one-block.json"):
    """Show a walk of the book, such as chapter 1's; return what evaluates an expression about it."""
    explorer = explore(ROOT / "book" / "scenarios" / scenario)
    data = json.dumps(base64.b64encode(explorer.packed).decode())
    style, script = bundle.read("explorer.css"), bundle.page()
    it = f'<div data-explorer=it style="max-width: {CELL_WIDTH}px"></div>'
    page.set_content(f"<style>{style}</style>{it}<script>{script}</script>")
    page.evaluate(f"memsimExplorer('it', {data})")
    page.wait_for_function(f"document.querySelector('{BOX}')?.explorer")
    return lambda what: page.locator(BOX).evaluate(f"box => {{ const e = box.explorer; return {what}; }}")


def test_on_a_phone_a_page_and_a_stretch_of_time_are_chosen_by_finger(chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    of = without_a_kernel(page)
    assert page.locator(f"{BOX} [data-hunk]").count() == 0  # such a page has no other walk
    pages, whole = page.locator(f"{BOX} .side0 .cursor"), page.locator(f"{BOX} .side0 .zoom")
    # The first tap opens the pageblock, the second chooses a page in it; the button shows the block again.
    at = {"x": 2.5 * of("e.maps[0].tw"), "y": 1.5 * of("e.maps[0].th")}
    pages.tap(position=at)
    assert (of("e.maps[0].zoomed"), of("e.page")) == (8 + 2, -1)  # 8 pageblocks in a row
    pages.tap(position={"x": 3.5 * of("e.maps[0].cw"), "y": 1.5 * of("e.maps[0].ch")})
    assert (of("e.page"), of("e.tab")) == (10 * 512 + 32 + 3, "page")  # 32 pages in a row
    assert whole.inner_text() == f"✕ pageblock 10, {0x100000 + 10 * 512:#x}"
    whole.tap()
    assert of("e.maps[0].zoomed") == -1
    assert not whole.is_visible()
    # A mark, then a drag over the timeline.
    time = page.locator(f"{BOX} .time")
    time.scroll_into_view_if_needed()
    box = time.bounding_box()
    touch = context.new_cdp_session(page)
    page.get_by_role("button", name="Mark").tap()
    start = of("e.c.i")
    for kind, moment in (("touchStart", 60), ("touchMove", 80), ("touchMove", 100), ("touchEnd", None)):
        points = (
            [] if moment is None else [{"x": box["x"] + of(f"e.timeline.x({moment})"), "y": box["y"] + 60}]
        )
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(f"document.querySelector('{BOX}').explorer.c.i === 100")
    assert of("e.mark") == start
    assert page.locator(f"{BOX} .says").inner_text().startswith(f"From moment {start} to 100, ")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_chart_is_fetched_when_it_is_asked_for_and_follows_the_timeline(keyboard):
    """Nothing of plotly's is in the page before; the kernel sends it, once; a click leads to the moment."""
    keyboard.page.evaluate("globalThis.Plotly = undefined")  # a chapter may have left its own in this page
    keyboard.of("e.open('counters')")
    assert keyboard.page.evaluate("globalThis.Plotly") is None
    keyboard.page.get_by_role("button", name="Open as a chart").press("Enter")
    keyboard.page.locator(f"{BOX} .js-plotly-plot .main-svg").first.wait_for()
    moment = keyboard.press("Home", "d")
    cursor = "e.chart.picture.layout.shapes[0].x0"
    keyboard.notebook.wait_until(lambda: keyboard.of(cursor), lambda x: x == moment, "the cursor stays")
    names = keyboard.of("e.chart.picture.data.map(trace => trace.name)")
    assert [name for name in names if name.startswith("MemTotal above")] == [
        "MemTotal above 131,072, before",
        "MemTotal above 131,072, after",
    ]
    keyboard.of("e.chart.picture.emit('plotly_click', { points: [{ x: 40 }] })")
    assert keyboard.of("e.c.i") == 40
    assert keyboard.of("box.offsetHeight") <= MOST_HIGH
    assert violations(keyboard.page, f"{{ include: [['{BOX}']] }}") == []


# ---- the replay in a real browser ------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def modules():
    """The address at which a browser finds the modules as they stand in the repository."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=ROOT))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


REPLAY = """async ({ data, expected }) => {
  const { Tape } = await import("/memsim/view/explorer/static/tape.js");
  const { forwards, momentsOf } = await import("/tests/frontend/digest.js");
  const found = forwards(data.tapes.map(tape => new Tape(tape, data)), momentsOf(data));
  return found.flatMap((side, s) => side.flatMap((number, i) => number === expected[s][i] ? [] : [[s, i]]));
}"""


def test_every_state_in_the_browser_is_the_simulator_s(page, modules):
    comparison = compare(Scenario.load(ROOT / "book" / "scenarios" / "one-block.json"))
    walk = Walk(comparison, default_block(comparison))
    page.goto(f"{modules}/tests/frontend/digest.js")
    wrong = page.evaluate(REPLAY, {"data": json.loads(json.dumps(export(walk))), "expected": digests(walk)})
    assert wrong == []
