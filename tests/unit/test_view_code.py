"""Where a moment is in the code, and what was written."""

from __future__ import annotations

import inspect

import pytest

from memsim import Hunk, Scenario, compare
from memsim.source import listings as source
from memsim.source.listings import listings
from memsim.state.event import Event
from memsim.state.trace import FUNCTIONS
from memsim.view.explorer import words as touch
from memsim.view.explorer.export import code_of
from memsim.view.explorer.timeline import Walk
from memsim.view.explorer.words import Calls
from tests.frontend.digests import touched

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


def test_without_files_the_name_is_told(monkeypatch):
    """As when memsim was installed without sources."""

    def no_source(_function):
        raise OSError

    monkeypatch.setattr(inspect, "getsourcelines", no_source)
    source.listings.cache_clear()
    assert code_of("online_pages")[0]["lines"] == []
    source.listings.cache_clear()


def test_a_branch_that_returns_leaves_the_rest_to_the_other_kernel():
    """first_state(): with MM_INIT it returns, so that what follows runs without it only."""
    (listing,) = (each for each in listings("memmap_init_range") if each.name == "first_state")
    rest = [branch for branch in listing.branches if branch.kind == "without"]
    assert [(branch.hunk, branch.last) for branch in rest] == [(Hunk.MM_INIT, len(listing.lines))]
    assert listing.lines[rest[0].first - 1].strip().startswith("return")


def test_a_listing_is_the_signature_and_the_body_without_the_docstring():
    (listing,) = code_of("generic_online_page")
    assert listing["file"].startswith("linux/mm/memory_hotplug")
    assert listing["doc"].endswith(".")
    numbers, lines = zip(*listing["lines"], strict=True)
    assert lines[0] == "def generic_online_page(kernel, pfn, order):"
    assert not any('"""' in line for line in lines)
    written = inspect.getsourcelines(inspect.getmodule(FUNCTIONS["generic_online_page"]))[0]
    assert [written[number - 1].strip() for number in numbers[1:]] == [line.strip() for line in lines[1:]]
    assert [mark[:2] for mark in listing["marks"]] == [
        ["MEMINIT_CONTEXT", "asks"],
        ["MEMINIT_CONTEXT", "without"],
    ]


def test_at_the_end_of_a_step_no_function_is_executed(walk):
    assert walk.look(walk.find(1, "done")).sides[1].frames == ()


# ---- calls -----------------------------------------------------------------------------------------


def test_who_called_whom(walk):
    index = walk.find(1, "enter:__free_pages_core#2")
    frames = walk.look(index).sides[1].frames
    assert list(frames) == [
        "__free_pages_core",
        "generic_online_page",
        "online_pages_range",
        "online_pages",
        "memory_block_online",
    ]
    lines, first = inspect.getsourcelines(FUNCTIONS["__free_pages_core"])
    written = walk.comparison.after.tape.events[walk.moments[index].after + 1]
    assert first <= written.line < first + len(lines)
    assert Calls(walk.tapes["after"]).at(-1, "done") == ()


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
