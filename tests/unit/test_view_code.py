"""Where a moment is in the code, what was written, and the story of a page."""

from __future__ import annotations

import inspect

import pytest

from memsim import Hunk, Scenario, compare
from memsim.errors import MemsimError
from memsim.state.event import Event
from memsim.state.trace import FUNCTIONS
from memsim.view.explorer.code_pane import code_html
from memsim.view.explorer.story import LONGEST, Story, Storyteller, touch_lines
from memsim.view.explorer.timeline import Walk
from memsim.view.model import page_events as touch
from memsim.view.model import source
from memsim.view.model.calls import Calls
from memsim.view.model.page_events import Touch, touched
from memsim.view.model.source import listings

BLOCK, PAGES = 32, 32768
DOCUMENT = {
    "format": "memsim-scenario/1",
    "machine": {"ram": [[0, 131072]], "block_pages": PAGES},
    "steps": [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": PAGES},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "offline", "block": 32},
    ],
}


@pytest.fixture(scope="module")
def walk():
    return Walk(compare(Scenario.parse(DOCUMENT)), BLOCK)


# ---- the source ------------------------------------------------------------------------------------


def branches(function):
    return [
        (listing.name, branch.hunk, branch.kind, listing.lines[branch.first - 1].strip())
        for listing in listings(function)
        for branch in listing.branches
    ]


def test_the_branches_of_a_function_are_found():
    found = branches("__free_pages_core")
    assert (
        "__free_pages_core",
        Hunk.PAGE_ALLOC,
        "without",
        "memmap.clear_flags(pfn, nr_pages, PageFlag.RESERVED)",
    ) in found
    with_it = [line for _, hunk, kind, line in found if (hunk, kind) == (Hunk.MEMINIT_CONTEXT, "with")]
    assert with_it == ["adjust_managed_page_count(kernel, pfn, nr_pages)"]


def test_not_turns_a_branch_around():
    found = branches("offline_pages")
    assert [(hunk, kind) for _, hunk, kind, _ in found] == [
        (Hunk.OFFLINE_CORE, "asks"),
        (Hunk.OFFLINE_CORE, "without"),
    ]


def test_helpers_that_ask_are_shown_and_short_cuts_that_no_recording_takes_are_not():
    assert [listing.name for listing in listings("memmap_init_range")] == ["memmap_init_range", "first_state"]
    assert [listing.name for listing in listings("online_pages_range")] == ["online_pages_range"]
    assert listings("kmalloc") == ()


def test_without_files_the_name_is_told(walk, monkeypatch):
    """As when memsim was installed without sources."""

    def no_source(_function):
        raise OSError

    monkeypatch.setattr(inspect, "getsourcelines", no_source)
    source.listings.cache_clear()
    sight = walk.look(walk.find(1, "enter:online_pages"))
    assert "The source of online_pages() is not on this machine." in code_html(sight)
    source.listings.cache_clear()


def test_the_current_line_is_where_the_next_function_is_called(walk):
    sight = walk.look(walk.find(1, "return:__free_pages_core#3"))
    here = [line for line in code_html(sight).split("<span") if "memsim-here" in line]
    assert len(here) == 1
    assert "▶" in here[0]
    assert "__free_pages_core(kernel, pfn, order, MEMINIT_HOTPLUG)" in here[0]
    entered = walk.look(walk.find(1, "enter:__free_pages_core#3"))
    here = [line for line in code_html(entered).split("<span") if "memsim-here" in line]
    assert "def __free_pages_core(" in here[0]
    assert "− PAGE_ALLOC" in code_html(entered)  # noqa: RUF001 (a minus sign)
    assert "PAGE_ALLOC (without it before, with it after)" in entered.code


def test_at_the_end_of_a_step_there_is_no_code(walk):
    assert "no kernel function is being executed" in code_html(walk.look(walk.find(1, "done")))


# ---- calls and steps -------------------------------------------------------------------------------


def test_who_called_whom(walk):
    index = walk.find(1, "enter:__free_pages_core#2")
    frames = walk.look(index).sides[1].frames
    assert [frame.function for frame in frames] == [
        "__free_pages_core",
        "generic_online_page",
        "online_pages_range",
        "online_pages",
        "memory_block_online",
    ]
    lines, first = inspect.getsourcelines(FUNCTIONS["__free_pages_core"])
    assert frames[0].line == 0
    written = walk.comparison.after.tape.events[walk.moments[index].after + 1]
    assert first <= written.line < first + len(lines)
    assert Calls(walk.tapes["after"]).at(-1, "done") == ()


def test_step_over_skips_what_is_called_and_step_out_what_follows(walk):
    enter = walk.find(1, "enter:generic_online_page#1")
    assert walk.steps.over(enter) == walk.find(1, "return:generic_online_page#1")
    assert walk.steps.over(walk.steps.over(enter)) == walk.find(1, "enter:generic_online_page#2")
    assert walk.steps.out(enter) == walk.find(1, "return:online_pages_range")
    assert walk.steps.out(walk.find(1, "enter:memory_block_online")) == walk.find(1, "done")
    assert walk.steps.over(walk.find(0, "done")) == walk.find(1, "done")
    last = len(walk.moments) - 1
    assert (walk.steps.over(last), walk.steps.out(last)) == (last, last)


# ---- differences -----------------------------------------------------------------------------------


def test_the_next_difference_is_where_the_patch_acts(walk):
    """Kernel paths: the mark that pages are born with (MM_INIT), then MemTotal's turn (MEMINIT_CONTEXT)."""
    first = walk.next_difference(0)
    assert walk.moments[first].point == "return:memmap_init_range#1"
    assert walk.look(first).differs == (
        "The two kernels differ in: 32768 pages reserved (R) before, Offline (O) after."
    )
    second = walk.next_difference(first)
    assert walk.moments[second].point == "return:__free_pages_core#1"
    assert "totalram" in walk.look(second).differs
    assert walk.next_difference(len(walk.moments) - 1) is None


def test_what_was_written_is_told_of_each_kernel(walk):
    before, after = walk.look(walk.find(1, "return:memmap_init_range")).sides
    assert before.written[0].startswith(
        "memmap_init_range: memmap.init_pages(0x100000, 0x8000, MOVABLE, RESERVED,"
    )
    assert after.written[0].startswith(
        "memmap_init_range: memmap.init_pages(0x100000, 0x8000, MOVABLE, no flags,"
    )


# ---- what events touch -----------------------------------------------------------------------------


def test_a_run_of_free_blocks_is_all_of_their_pages():
    heads = range(0x100000, 0x108000, 1024)
    event = Event(0, "", 0, target="Movable", primitive="del_run_from_free_list", args=(heads, 10, 1))
    assert touched(event, PAGES) == (0x100000, 32768)
    assert touch.write_text(event).endswith(", order 10, movable)")


def test_an_event_without_a_write_touches_nothing(walk):
    assert all(touched(e, PAGES) == (0, 0) for e in walk.tapes["after"].events if e.point)


# ---- the story of a page ---------------------------------------------------------------------------


def test_the_story_of_a_page(walk):
    teller = Storyteller(walk)
    born = walk.find(1, "return:memmap_init_range")
    before, after = teller.tell(0x100005, born)
    assert before.now.startswith("reserved (R): RESERVED, type none, refcount 1")
    assert after.now.startswith("Offline (O): no flags, type offline, refcount 1")
    assert [each.function for each in after.past] == [
        "arch_add_memory",
        "add_memory",
        *["memmap_init_range"] * 2,
    ]
    done = teller.tell(0x100005, walk.find(1, "done"))
    assert all(story.now.startswith("free (B)") for story in done)
    taken_off = [t.what for t in done[1].past if "clear_type" in t.what]
    assert taken_off == ["memmap.clear_type(0x100000, 0x400, OFFLINE)"]
    assert not any("clear_type" in t.what for t in done[0].past)
    assert all(story.future for story in done)  # it goes offline later


def test_a_page_without_a_struct_page_says_so(walk):
    assert Storyteller(walk).tell(0x100000, 0)[0].now == "it has no struct page"
    assert Storyteller(walk).tell(0x100000, walk.find(0, "done"))[0].now == "its struct page is not set up"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is no pfn: it must be a number such as 1048576 or 0x100000"),
        ("page 3", "is no pfn"),
        ("0x900000", "pfn 0x900000 is in no memory block that there ever is; there are 0-3, 32"),
        ("-1", "is in no memory block"),
    ],
)
def test_a_wrong_pfn_is_refused_with_the_rule(walk, text, says):
    with pytest.raises(MemsimError) as problem:
        Storyteller(walk).pfn(text)
    assert says in str(problem.value)


def test_a_long_story_is_cut_where_it_matters_least():
    past = tuple(Touch(i, 0, "f", f"write {i}") for i in range(LONGEST + 5))
    future = tuple(Touch(i, 0, "f", f"later {i}") for i in range(10))
    lines = touch_lines(Story("after", "free", past, future))
    assert lines[0] == "(5 earlier events)"
    assert lines[1] == "step 0 f: write 5"
    assert lines[-6:-4] == ["--- now; 10 more to come:", "step 0 f: later 0"]
    assert lines[-1] == "(6 later events)"
    assert touch_lines(Story("after", "free", (), ())) == ["nothing has touched it so far"]
