"""What the browser makes of a comparison, in node: states, text, differences and who made them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.scenario.comparison import compare
from memsim.scenario.scenario import FORMAT, Scenario
from memsim.state.recording import SPANS
from memsim.view.explorer.inputs import comparison_of, default_block, recordings_of
from memsim.view.explorer.timeline import Walk
from memsim.view.model.page_class import page_classes
from tests.book.reading import BOOK
from tests.frontend.replay import landmarks, replay

SCENARIOS = sorted(path.stem for path in (BOOK / "scenarios").glob("*.json"))
QUICK = ("withheld-block",)
LENGTHY = {"geography", "xen-grows"}
MOST_TWINS = 40


def tier(name):
    """Return the marks of a walk: the longer it is, the more seldom it is replayed."""
    if name in LENGTHY:
        return pytest.mark.slow
    return () if name in QUICK else pytest.mark.long


def walk_of(name):
    comparison = comparison_of(BOOK / "scenarios" / f"{name}.json")
    return Walk(comparison, default_block(comparison), recordings_of(comparison))


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=tier(name)) for name in SCENARIOS],
)
def found(request, tmp_path_factory):
    """What the browser found in a scenario of the book."""
    walk, name = walk_of(request.param), request.param
    zone = walk.zone_of_block()
    twins = {index: walk.look(index).twin(zone) for index in landmarks(walk)[:MOST_TWINS]}
    end = len(walk.moments) - 1
    pairs = [(0, end), (end // 4, end // 2), (end // 2, end), (end // 3, end // 3)]
    expected = {"twins": twins, "since": pairs, "mutate": name == "one-block", "jumps": 20}
    result = replay(walk, tmp_path_factory.mktemp("replay"), **expected)
    return {"name": name, "walk": walk, "twins wanted": twins, "pairs": pairs, **result}


def test_every_state_is_the_simulator_s_at_every_moment_forwards_and_in_jumps(found):
    assert found["wrong"] == []
    assert found["jumps"] == []


def test_the_text_twin_in_the_browser_is_the_simulator_s(found):
    assert len(found["twins wanted"]) > 10
    differing = dict(found["twins"])
    assert differing == {index: found["twins wanted"][index] for index in differing}


@pytest.mark.long
def test_pages_that_leave_with_their_block_are_not_called_allocated(tmp_path):
    """__offline_isolated_pages() takes them off the free lists; remove_pfn_range_from_zone() follows."""
    scenario = Scenario.parse(
        {
            "format": FORMAT,
            "title": "a block comes and goes",
            "machine": {"ram": [[0, 131072]], "block_pages": PAGES_PER_SECTION},
            "steps": [
                {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": PAGES_PER_SECTION},
                {"do": "online", "block": 32, "type": "online_movable"},
                {"do": "offline", "block": 32},
            ],
        }
    )
    walk = Walk(compare(scenario), 32, [])
    points = ("return:__offline_isolated_pages", "return:remove_pfn_range_from_zone")
    gone = [walk.find(2, point) for point in points]
    twin = {gone[0]: walk.look(gone[0]).twin(walk.zone_of_block())}
    found = replay(walk, tmp_path, twins=twin, says=gone)
    off, away = found["says"]
    assert "32768 pages on no free list (A, refcount 0)" in twin[gone[0]]
    assert found["twins"] == []
    assert "32,768 pages are now on no free list (were in the buddy)" in off
    assert "32,768 pages are now not there (were on no free list)" in away


@pytest.mark.long
def test_blocks_that_come_go_and_change_back_are_told(tmp_path):
    """What sysfs shows in ``memoryN/state``: also of a block that is again as it was at the beginning."""
    dimm = {"start_pfn": 0x100000, "nr_pages": PAGES_PER_SECTION}
    steps = [
        {"do": "offline", "block": 3},
        {"do": "online", "block": 3, "type": "online"},
        {"do": "add_memory", **dimm},
        {"do": "remove_memory", **dimm},
        {"do": "add_memory", **dimm},
    ]
    machine = {"ram": [[0, 131072]], "block_pages": PAGES_PER_SECTION}
    scenario = Scenario.parse({"format": FORMAT, "title": "back", "machine": machine, "steps": steps})
    walk = Walk(compare(scenario), 3, [])
    found = replay(walk, tmp_path, twins={}, says=list(range(len(walk.moments))), jumps=20)
    assert found["wrong"] == found["jumps"] == []
    told = [
        (walk.moments[index].step, *match.groups())
        for index, said in enumerate(found["says"])
        for match in re.finditer(r"block (\d+) is ([\w-]+)", said)
    ]
    assert told == [
        (0, "3", "going-offline"),
        (0, "3", "offline"),
        (1, "3", "online"),
        (2, "32", "offline"),
        (3, "32", "gone"),
        (4, "32", "offline"),
    ]


def test_a_wrong_primitive_is_noticed(found):
    if found["name"] != "one-block":
        assert found["mutants"] == {}
        return
    assert len(found["mutants"]) == 5
    assert all(found["mutants"].values())  # a number of wrong states, or an error


def test_the_browser_knows_every_primitive(found):
    assert found["primitives"] == sorted(SPANS)


def test_how_many_pages_differ_is_what_the_comparison_counts(found):
    walk = found["walk"]
    for index in {0, len(walk.moments) // 3, len(walk.moments) // 2, len(walk.moments) - 1}:
        states = walk.states(index).values()
        counted = 0
        for nr in set.intersection(*(set(state.memmap.sections) for state in states)):
            counted += walk.comparison.differing_pages(walk.moments[index], nr * 32768, 32768)
        assert found["differ"][index] == counted


def classes_at(walk, index):
    """Return what every page of every section is, for each kernel."""
    return [
        {
            nr: page_classes(state, nr * PAGES_PER_SECTION, PAGES_PER_SECTION).copy()
            for nr in state.memmap.sections
        }
        for state in walk.states(index).values()
    ]


def changes(old, new):
    """Return how many pages went from one class to another, by pair as the browser numbers them."""
    pairs, absent = Counter(), np.zeros(PAGES_PER_SECTION, np.uint8)
    for nr in {*old, *new}:
        was, now = old.get(nr, absent), new.get(nr, absent)
        pairs.update((was[was != now] * np.int64(16) + now[was != now]).tolist())
    return [list(pair) for pair in sorted(pairs.items())]


def test_what_changed_between_two_moments_is_what_differs_between_their_states(found):
    walk = found["walk"]
    for (start, end), sides in zip(found["pairs"], found["since"], strict=True):
        before, after = classes_at(walk, start), classes_at(walk, end)
        assert [moved for moved, _, _ in sides] == list(map(changes, before, after))
    assert found["apart"] == []  # from one moment to the next it is what the moment tells


def test_the_pages_of_a_zone_have_places_and_add_up_to_its_counters(found):
    """After each step; in between a kernel counts first and marks pages later, or the other way round."""
    assert found["misplaced"] == []


def test_the_next_difference_shows_the_hunk_that_made_it_or_says_where_it_acted(found):
    assert found["news"]
    for stop in found["news"]:
        for cause in stop["causes"]:
            assert cause["hunks"], stop
            assert 0 <= cause["moment"] <= stop["moment"]
        here = [cause["fn"] for cause in stop["causes"] if cause["moment"] == stop["moment"]]
        assert not here or stop["shows"] in here
    acting = [any(c["moment"] == stop["moment"] for c in stop["causes"]) for stop in found["news"]]
    assert any(acting)
    if found["name"] in {"one-block", "boot", "offline"}:
        assert all(acting)


def test_chapter_one_s_differences_are_the_story_of_its_patch(found):
    if found["name"] != "one-block":
        return
    told = [
        (stop["point"], {hunk for cause in stop["causes"] for hunk in cause["hunks"]})
        for stop in found["news"]
    ]
    # MM_INIT marks the pages, MEMINIT_CONTEXT moves MemTotal from one function to another, and
    # PAGE_ALLOC takes the mark away: mm/mm_init.c, mm/memory_hotplug.c, mm/page_alloc.c of v6.11.
    assert told == [
        ("return:memmap_init_range#1", {"MM_INIT"}),
        ("return:__free_pages_core#1", {"MEMINIT_CONTEXT"}),
        ("return:__free_pages_core#32", {"PAGE_ALLOC"}),
        ("return:generic_online_page#32", {"MEMINIT_CONTEXT"}),
    ]
