"""Pages in classes, and states in words and tables."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from memsim import AFTER, BEFORE, Machine, Patch, compare, run
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.recordings.observation import bundled, bundled_names
from memsim.scenario.scenario import Scenario
from memsim.view.explorer.timeline import Walk
from memsim.view.model.page_class import (
    CLASSES,
    PageClass,
    class_counts,
    free_heads,
    letters_of,
    page_classes,
    pageblock_letters,
)
from memsim.view.model.text import (
    Numbers,
    block_sentence,
    counters_table,
    counters_text,
    describe_state,
    free_lists_table,
    free_lists_text,
    map_sentence,
)

START, PAGES, BLOCK = 0x100000, 32768, 32
ONE_BLOCK = Scenario.parse(
    {
        "format": "memsim-scenario/1",
        "machine": {"ram": [[0, 131072]]},
        "steps": [
            {"do": "add_memory", "start_pfn": START, "nr_pages": 2 * PAGES},
            {"do": "online", "block": BLOCK, "type": "online_movable"},
        ],
    }
)
DIMM = [name for name in bundled_names() if name.endswith("-dimm")]


@pytest.fixture(scope="module")
def both():
    return compare(ONE_BLOCK)


@pytest.fixture
def third_chunk(both):
    """Both states as the third chunk of the block is about to be freed: two of 1024 pages are."""
    return both.states(both.moments[both.find(1, "enter:generic_online_page#3")])


def online_machine(patch=AFTER, release="6.12"):
    machine = Machine(patch=patch, release=release)
    machine.add_memory(START, PAGES)
    machine.online(BLOCK, "online_movable")
    return machine


# ---- classes ---------------------------------------------------------------------------------------


def test_every_class_looks_different():
    for what in ("letter", "label", "colour", "pattern", "meaning"):
        assert len({getattr(look, what) for look in CLASSES}) == len(CLASSES)
    assert all(len(kind.letter) == 1 for kind in CLASSES)


def test_two_chunks_are_free_and_the_rest_is_withheld(third_chunk):
    withheld = {"before": PageClass.RESERVED, "after": PageClass.OFFLINE}
    for state, kind in zip(third_chunk, withheld.values(), strict=True):
        classes = page_classes(state, START, PAGES)
        assert class_counts(classes) == {PageClass.FREE: 2048, kind: 30720}
        assert (classes[:2048] == PageClass.FREE).all()
        assert sum(class_counts(classes).values()) == PAGES


@cache
def replayed(name):
    """Return a recording, and what the simulator does in its scenario."""
    recording = bundled(name)
    return recording, compare(recording.scenario, release=recording.release)


@pytest.mark.long
@pytest.mark.parametrize("name", DIMM)
@pytest.mark.parametrize("block", [32, 33])
def test_maps_of_simulated_and_recorded_kernels_are_the_same(name, block):
    """At every probe of a recording; '*' stands for any page that the buddy manages."""
    recording, comparison = replayed(name)
    walk = Walk(comparison, block, [recording])
    ((side, probes),) = walk.probes.items()
    seen = 0
    for index in probes:
        sight = next(s for s in walk.look(index).sides if s.name == side)
        if sight.recorded.page_map is None:
            continue
        recorded, simulated = sight.recorded.page_map, sight.page_map
        told = recorded.classes != PageClass.UNTOLD
        assert (recorded.classes[told] == simulated.classes[told]).all()
        assert np.isin(simulated.classes[~told], (PageClass.FREE, PageClass.ALLOCATED)).all()
        assert (recorded.heads[told] == simulated.heads[told]).all()
        seen += 1
    assert seen >= 10


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_marks_on_pages_of_a_free_block(release):
    state = online_machine(release=release).kernel.state
    memmap = state.memmap
    memmap.set_flags(START + 1, 1, PageFlag.RESERVED)
    memmap.set_type(START + 2, 1, PageType.OFFLINE)
    memmap.set_flags(START + 3, 1, PageFlag.RESERVED)
    memmap.set_type(START + 3, 1, PageType.OFFLINE)
    memmap.set_flags(START + 4, 1, PageFlag.VMEMMAP_SELF_HOSTED)
    memmap.set_flags(START + 5, 1, PageFlag.HWPOISON | PageFlag.RESERVED)
    assert "".join(PageClass(kind).letter for kind in page_classes(state, START, 7)) == "BRFXSPB"


def test_types_pile_up_in_6_1():
    """The inverted bits of 6.1 let a page be Buddy and Offline at once; the byte of 6.12 does not."""
    letters = {}
    for release in ("6.1", "6.12"):
        state = online_machine(release=release).kernel.state
        state.memmap.set_type(START, 1, PageType.OFFLINE)
        letters[release] = letters_of(page_classes(state, START, 512))
    # In 6.12 the head is no Buddy any more, so that its block is found by nobody.
    assert letters == {"6.1": "BF", "6.12": "AO"}


def test_allocated_pages():
    machine = online_machine()
    pfns = machine.allocate(3, block=BLOCK)
    classes = page_classes(machine.kernel.state, START, PAGES)
    assert np.flatnonzero(classes == PageClass.ALLOCATED).tolist() == sorted(pfn - START for pfn in pfns)


def test_what_is_not_there(both):
    added = both.before.tape.at(both.before.tape.find(0, "return:add_memory"))
    assert class_counts(page_classes(added, START, PAGES)) == {PageClass.ABSENT: PAGES}
    assert class_counts(page_classes(added, START + 8 * PAGES, PAGES)) == {PageClass.ABSENT: PAGES}
    machine = online_machine()
    machine.offline(BLOCK)
    assert class_counts(page_classes(machine.kernel.state, START, PAGES)) == {PageClass.ABSENT: PAGES}


def test_a_range_that_cuts_free_blocks_and_sections():
    state = online_machine().kernel.state
    assert (page_classes(state, START + 1000, 100) == PageClass.FREE).all()
    across = page_classes(state, START + PAGES_PER_SECTION - 3, 5)
    assert across.tolist() == [PageClass.FREE] * 3 + [PageClass.ABSENT] * 2
    heads = free_heads(state, START + 1000, 100)
    assert np.flatnonzero(heads >= 0).tolist() == [24]
    assert heads[24] == 10


def test_half_a_patch_leaves_free_pages_offline():
    """memmap_init_range() marks pages Offline and __free_pages_core() does not know of it."""
    state = run(ONE_BLOCK, Patch.parse("MM_INIT"), check_pages=False).machine.kernel.state
    counts = class_counts(page_classes(state, START, PAGES))
    # 6.12 splits blocks of order 10 when it undoes the isolation: the head of each pageblock was a Buddy
    # for a while, which overwrote its type.
    assert counts == {PageClass.FREE: 64, PageClass.FREE_OFFLINE: PAGES - 64}
    assert (page_classes(state, START, PAGES)[::512] == PageClass.FREE).all()


def test_letters_of_mixed_pageblocks():
    classes = np.full(1024, PageClass.FREE, np.uint8)
    classes[:100] = PageClass.ALLOCATED
    classes[600:602] = PageClass.POISONED
    classes[602] = PageClass.OFFLINE
    assert pageblock_letters(classes) == ["BA", "BP+"]


# ---- words -----------------------------------------------------------------------------------------


def test_the_sentence_of_a_block(third_chunk):
    before, after = third_chunk
    assert block_sentence(before, BLOCK, PAGES) == (
        "Block 32 [0x100000-0x107fff]: sysfs state offline, section not online. "
        "30720 pages reserved (R, refcount 1), 2048 pages free (B, refcount 0). "
        "Free blocks: 2 of order 10. Pageblocks: 64 isolate."
    )
    assert "30720 pages Offline (O, refcount 1)" in block_sentence(after, BLOCK, PAGES)


def test_the_sentence_of_blocks_that_are_not_in_use(third_chunk):
    state = third_chunk[0]
    assert block_sentence(state, 33, PAGES) == (
        "Block 33 [0x108000-0x10ffff]: sysfs state offline, section not online. 32768 pages not there (·)."
    )
    assert block_sentence(state, 40, PAGES) == (
        "Block 40 [0x140000-0x147fff]: no memory block, no struct pages."
    )


def test_the_sentence_tells_refcounts_only_where_they_are_uniform():
    machine = online_machine()
    (pfn,) = machine.allocate(1, block=BLOCK)
    sentence = block_sentence(machine.kernel.state, BLOCK, PAGES)
    assert "1 page allocated (A, refcount 1)" in sentence
    assert "section online" in sentence
    other = machine.allocate(1, block=BLOCK)[0]
    machine.kernel.memmap.set_refcount(other, 1, 2)
    assert "2 pages allocated (A)" in block_sentence(machine.kernel.state, BLOCK, PAGES)
    assert pfn != other


def test_pages_that_left_the_free_lists_are_not_called_allocated():
    """offline_pages() has taken them off in __offline_isolated_pages() when MEM_OFFLINE is sent."""
    machine = online_machine()
    tape = machine.record()
    tape.action("offline")
    machine.offline(BLOCK)
    state = tape.at(tape.find(0, "notifier:MEM_OFFLINE"))
    assert "32768 pages on no free list (A, refcount 0)" in block_sentence(state, BLOCK, PAGES)


def test_a_block_of_several_sections():
    machine = Machine(ram=[(0, 131072)], block_pages=4 * PAGES)
    machine.add_memory(START, 4 * PAGES)
    assert "all 4 sections not online" in block_sentence(machine.kernel.state, 8, 4 * PAGES)
    machine.online(8)
    sentence = block_sentence(machine.kernel.state, 8, 4 * PAGES)
    assert "all 4 sections online. 131072 pages free (B, refcount 0)" in sentence
    assert "Free blocks: 128 of order 10. Pageblocks: 256 movable." in sentence


def test_the_sentence_of_a_map(third_chunk):
    classes = page_classes(third_chunk[0], START, PAGES)
    assert map_sentence(classes) == (
        "30720 pages reserved (R), 2048 pages free (B); pageblocks 0-3 B, 4-63 R"
    )
    striped = np.tile(np.repeat(np.array([1, 3], np.uint8), 512), 32)
    assert map_sentence(striped).endswith("15 B, and 48 more runs")


# ---- tables ----------------------------------------------------------------------------------------


def numbers_in(table):
    """Return the cells of a table under its first two words."""
    return {tuple(line.split()[:2]): line.split()[2:] for line in table.splitlines()[1:]}


def test_the_counters_are_those_of_the_state(third_chunk):
    before, after = third_chunk
    cells = numbers_in(counters_table({"before": before, "after": after}))
    for zone in before.zones:
        if not zone.spanned_pages:
            assert (zone.name, "managed") not in cells
            continue
        assert cells[zone.name, "start_pfn"] == [f"{zone.zone_start_pfn:#x}"] * 2
        assert cells[zone.name, "managed"][0] == str(zone.managed_pages)
        assert cells[zone.name, "nr_isolate_pageblock"][0] == str(zone.nr_isolate_pageblock)
    assert cells["Movable", "managed"] == ["2048", "2048"]
    assert cells["all", "totalram"] == [str(before.totalram_pages), str(after.totalram_pages)]


def test_only_what_changed_is_marked(both):
    first, second = (both.find(1, f"enter:generic_online_page#{n}") for n in (2, 3))
    old = both.before.tape.at(both.moments[first].before).copy()
    new = both.before.tape.at(both.moments[second].before)
    table = counters_text(Numbers.of({"now": new}), Numbers.of({"now": old}))
    marked = {line.split()[1] for line in table.splitlines() if line.endswith("*")}
    assert marked == {"managed", "totalram"}
    assert "*" not in counters_table({"now": new})
    assert "*" not in counters_text(Numbers.of({"now": new}), Numbers.of({"now": new}))


def test_a_zone_that_is_new_is_marked(both):
    start = both.before.tape.at(-1).copy()
    end = both.before.machine.kernel.state
    table = counters_text(Numbers.of({"now": end}), Numbers.of({"now": start}))
    marked = {tuple(line.split()[:2]) for line in table.splitlines() if line.endswith("*")}
    assert {("Movable", "start_pfn"), ("Movable", "present"), ("all", "totalram")} <= marked


def test_the_free_lists_are_those_of_the_state(third_chunk):
    assert free_lists_table({"before": third_chunk[0], "after": third_chunk[1]}, "Movable") == (
        "order  migratetype  before   after\n10     isolate           2       2"
    )


def test_a_list_that_became_empty_is_still_told(both):
    states = [
        both.before.tape.at(both.moments[both.find(1, f"{kind}:undo_isolate_page_range")].before).copy()
        for kind in ("enter", "return")
    ]
    before, after = (Numbers.of({"now": state}) for state in states)
    table = free_lists_text(after, "Movable", before)
    assert numbers_in(table) == {("10", "movable"): ["32*"], ("10", "isolate"): ["0*"]}
    assert "isolate" not in free_lists_table({"now": states[1]}, "Movable")


def test_no_free_blocks_and_no_such_zone(third_chunk):
    assert free_lists_table({"now": third_chunk[0]}, "Normal") == "zone Normal has no free blocks"
    with pytest.raises(ValueError, match="no zone 'HighMem'; the zones are DMA, DMA32, Normal"):
        free_lists_table({"now": third_chunk[0]}, "HighMem")


def test_the_columns_line_up(third_chunk):
    lines = counters_table({"before": third_chunk[0], "after": third_chunk[1]}).splitlines()
    ends = {len(line) for line in lines}
    assert len(ends) == 1
    assert all(line == line.rstrip() for line in lines)


def test_a_whole_state():
    machine = online_machine(BEFORE)
    state = machine.kernel.state
    for number in range(20):
        state.printk(f"line {number}")
    text = describe_state(state, [BLOCK], PAGES)
    assert block_sentence(state, BLOCK, PAGES) in text
    assert counters_table({"now": state}) in text
    for zone in ("DMA32", "Movable"):
        assert f"zone {zone}, in blocks\n{free_lists_table({'now': state}, zone)}" in text
    assert "line 12" in text
    assert "line 11" not in text
