"""The buddy lab: its script, the story of the free lists, the question why, and the widget."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets import BoundedIntText, IntSlider, IntText

from memsim import Machine
from memsim.errors import MemsimError
from memsim.machine.why_not_merged import why_not_merged
from memsim.view.buddy_lab.script import FIRST_PFN, SIZES, BuddyScript, read_pfn
from memsim.view.buddy_lab.snapshot import lists_of, look, sight_html, sight_text
from memsim.view.buddy_lab.widget import blocks_of, buddy_lab

REACHED_ANYWAY = (BoundedIntText, IntSlider, IntText)

P = FIRST_PFN
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12"])
MOVABLE, ISOLATE = 1, 4


# ---- the script ------------------------------------------------------------------------------------


@RELEASES
@pytest.mark.parametrize("size", SIZES)
def test_a_new_zone_is_all_free_blocks_of_order_10(size, release):
    script = BuddyScript(size, release)
    assert lists_of(script) == {(10, MOVABLE): tuple(range(P, P + size * 256, 1024))}


@RELEASES
def test_allocating_one_page_splits_and_tells_how(release):
    """expand(), mm/page_alloc.c: the lower half is kept, each upper half goes to the head of its list."""
    script = BuddyScript(8, release)
    outcome = script.do("allocate 0 movable")
    assert outcome.answer == f"got {P:#x}"
    assert outcome.happened == (
        f"take: {P:#x} (order 10) leaves the movable list",
        *(
            f"split: {P + (1 << order):#x} (order {order}) goes to the head of the movable list"
            for order in range(9, -1, -1)
        ),
    )
    outcome = script.do(f"free {P:#x}")
    assert outcome.happened == (
        *(
            f"merge with: {P + (1 << order):#x} (order {order}) leaves the movable list"
            for order in range(10)
        ),
        # Boot left the other block of order 10 at the tail side; a freed one goes to the head.
        f"put: {P:#x} (order 10) goes to the head of the movable list",
    )
    assert lists_of(script) == lists_of(BuddyScript(8, release))


def test_what_62_takes_over_and_what_61_moves():
    """__rmqueue_fallback(): an order-0 unmovable request falls back to the largest movable block."""
    new = BuddyScript(8, "6.12").do("allocate 0 unmovable").happened
    assert new[:2] == (
        f"take: {P:#x} (order 10) leaves the movable list",
        f"retype: 2 pageblocks from {P:#x} on become unmovable",
    )
    old = BuddyScript(8, "6.1").do("allocate 0 unmovable").happened
    assert old[:3] == (
        f"retype: 2 pageblocks from {P:#x} on become unmovable",
        f"move: {P:#x} (order 10) from the movable list to the tail of unmovable",
        f"take: {P:#x} (order 10) leaves the unmovable list",
    )


def test_isolation_splits_a_block_of_order_10_in_both_releases():
    """move_freepages_block_isolate() of 6.12; split_free_page() at the edge of the range in 6.1."""
    for release in ("6.1", "6.12"):
        script = BuddyScript(4, release)
        assert not script.do(f"isolate {P + 512:#x}").failed
        assert lists_of(script) == {(9, MOVABLE): (P,), (9, ISOLATE): (P + 512,)}
        assert script.machine.zone("Normal").nr_free_pages == 512
        assert script.do(f"isolate {P + 512:#x}").answer.startswith("-EBUSY from set_migratetype_isolate()")
        script.do(f"unisolate {P + 512:#x}")
        assert lists_of(script) == {(10, MOVABLE): (P,)}


def test_isolating_kernel_memory_is_refused():
    script = BuddyScript(4)
    script.do("allocate 0 unmovable")
    outcome = script.do(f"isolate {P:#x}")
    assert outcome.failed
    assert "is unmovable" in outcome.answer
    script.do("free all")
    assert not script.do(f"isolate {P:#x}").failed


def test_free_pages_of_an_isolated_pageblock_are_not_allocated():
    script = BuddyScript(4)
    script.do(f"isolate {P:#x}")
    assert script.do("allocate 9 movable").answer == f"got {P + 512:#x}"
    assert "-ENOMEM from alloc_pages()" in script.do("allocate 0 movable").answer


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "is not a line of a script"),
        ("steal 3", "is not a line of a script. Lines are: allocate"),
        ("allocate", "write allocate ORDER MIGRATETYPE"),
        ("allocate 11 movable", "order 11: blocks have the orders 0 (1 page) to 10 (MAX_PAGE_ORDER)"),
        ("allocate -1 movable", "order -1"),
        ("allocate 0 isolate", "migratetype 'isolate' must be one of"),
        ("allocate 0 movable x0", "from 1 to 512 blocks"),
        ("free 0x100000", "page 0x100000 is not allocated"),
        ("free it", "'it' is not a pfn"),
        ("free all", "nothing is allocated"),
        ("isolate 0x200000", "is not in the zone, which reaches from 0x100000 to 0x1007ff"),
        ("unisolate 0x100000", "is not isolated"),
        ("unisolate 0x100000 highatomic", "migratetype 'highatomic' must be"),
        ("why so", "'so' is not a pfn"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_rule_and_changes_nothing(line, problem):
    script = BuddyScript(8)
    before = lists_of(script)
    outcome = script.do(line)
    assert outcome.failed
    assert problem in outcome.answer
    assert (lists_of(script), script.lines) == (before, [])


def test_when_memory_runs_out_in_the_middle_what_was_got_is_kept():
    script = BuddyScript(4)
    outcome = script.do("allocate 9 movable x3")
    assert outcome.answer.startswith(
        f"got 2 blocks, the first at {P:#x}, the last at {P + 512:#x}, then -ENOMEM"
    )
    assert len(script.allocated) == 2


LINES = st.lists(
    st.one_of(
        st.builds(
            "allocate {} {} x{}".format,
            st.integers(0, 10),
            st.sampled_from(["movable", "unmovable", "reclaimable"]),
            st.integers(1, 40),
        ),
        st.builds("free {}".format, st.integers(P, P + 2047)),
        st.just("free every other"),
        st.builds("isolate {}".format, st.integers(P, P + 2047)),
        st.builds("unisolate {} movable".format, st.integers(P, P + 2047)),
    ),
    max_size=8,
)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(LINES, st.sampled_from(["6.1", "6.12"]))
def test_whatever_is_done_the_invariants_hold_and_undo_brings_it_back(lines, release):
    script = BuddyScript(8, release)
    for line in lines:
        before, kept = lists_of(script), len(script.lines)
        script.do(line)
        assert look(script).check.startswith("all hold")
        after = lists_of(script)
        if len(script.lines) > kept:
            script.undo()
            assert lists_of(script) == before
            script.do(line)
            assert lists_of(script) == after
    script.do("free all")
    assert script.machine.zone("Normal").managed_pages == 2048


@settings(max_examples=40, deadline=None)
@given(LINES, st.sampled_from(["6.1", "6.12"]), st.integers(P, P + 2047))
def test_there_is_always_a_reason_and_it_is_true(lines, release, pfn):
    """Each rule is checked against the free lists, not against the code that found it."""
    script = BuddyScript(8, release)
    for line in lines:
        script.do(line)
    why = why_not_merged(script.machine.kernel, pfn)
    blocks = {head: order for (order, _), heads in lists_of(script).items() for head in heads}
    mine = [(head, order) for head, order in blocks.items() if head <= pfn < head + (1 << order)]
    if why.rule == "not free":
        assert not mine
        return
    ((head, order),) = mine
    assert why.sentence.startswith(f"Block {head:#x} (order {order}): ")
    partner = blocks.get(head ^ (1 << order))
    types = (
        [script.machine.kernel.memmap.migratetype(at) for at in (head, head ^ (1 << order))]
        if order < 10
        else []
    )
    assert {
        "largest": order == 10,
        "in use": order < 10 and partner is None,
        "other order": partner is not None and partner < order,
        "isolated": partner == order and ISOLATE in types and types[0] != types[1],
        # Isolation moves free blocks from list to list and merges nothing.
        "not tried": partner == order and types == [ISOLATE, ISOLATE],
    }[why.rule]


def test_why_names_every_rule():
    script = BuddyScript(4)
    script.do("allocate 0 movable x2")
    script.do(f"free {P:#x}")
    kernel = script.machine.kernel
    assert why_not_merged(kernel, P + 1).rule == "not free"
    assert why_not_merged(kernel, P + 2).rule == "other order"
    assert "its partner 0x100001 is not free: refcount 1" in why_not_merged(kernel, P).sentence
    assert why_not_merged(kernel, 5).rule == "no page"
    script.do("free all")
    assert why_not_merged(kernel, P + 77).rule == "largest"


def test_why_at_the_borders_of_memory_and_of_zones():
    # 2 MiB of RAM in a section of its own: what is no memory has struct pages that boot marked reserved.
    machine = Machine([(0, 32768), (2 * 32768, 512)])
    assert (
        "0x10200 is not free: PG_reserved, refcount 1" in why_not_merged(machine.kernel, 2 * 32768).sentence
    )
    memmap, zones = machine.kernel.memmap, machine.kernel.state.zones
    # No machine has such a border: zones begin at multiples of 4 MiB. Make one inside a block of order 10.
    head, partner = 4096 - 1024, 4096 - 512
    zones[0].del_from_free_list(head, 10, MOVABLE)
    memmap.clear_buddy(head)
    for pfn, zone in ((head, zones[0]), (partner, zones[1])):
        memmap.set_buddy_order(pfn, 9)
        zone.add_to_free_list(pfn, 9, MOVABLE)
    assert why_not_merged(machine.kernel, head).rule == "not tried"
    memmap.clear_flags(partner, 512, 7 << 29)
    memmap.set_flags(partner, 512, 1 << 29)
    assert "is in another zone (DMA and DMA32)" in why_not_merged(machine.kernel, head).sentence


# ---- what is shown ---------------------------------------------------------------------------------


def test_text_and_html_are_of_the_same_state():
    script = BuddyScript(8)
    before = lists_of(script)
    script.do("allocate 3 unmovable x2")
    sight = look(script, before)
    text, html = sight_text(sight), sight_html(sight)
    for part in (sight.counters, sight.heading, sight.allocated, *(free.blocks for free in sight.free_lists)):
        assert part in text
    for line in sight.outcome.happened:
        assert line in text
        assert line in html
    assert sight.check == "all hold"
    assert "managed 2048, nr_free 2032" in text
    assert text.count("\n* order") == len(sight.free_lists)
    assert "unmovable: 496 pages free (B), 16 pages allocated (A)" in text


# ---- the widget ------------------------------------------------------------------------------------


def test_buttons_do_what_they_say():
    lab = buddy_lab()
    lab.order.value, lab.migratetype.value, lab.times.value = 1, "reclaimable", 3
    lab.allocate.click()
    assert lab.script.lines == ["allocate 1 reclaimable x3"]
    assert "got 3 blocks" in lab.twin.text
    assert len(lab.block.options) == 3
    lab.block.value = lab.block.options[1][1]
    lab.free.click()
    assert lab.script.lines[-1] == f"free {P + 2:#x}"
    lab.every_other.click()
    lab.free_all.click()
    assert lab.script.allocated == {}
    assert lab.free.disabled
    lab.pageblock.value = lab.pageblock.options[3][1]
    lab.isolate.click()
    assert "isolate:" in lab.twin.text
    lab.pfn.value = "0x100400"
    lab.why.click()
    assert "its pageblock is ISOLATE" in lab.answer.value
    lab.migratetype.value = "movable"
    lab.unisolate.click()
    lab.restart.click()
    assert lab.script.lines == []
    assert lab.undo.disabled


def test_undo_and_the_typed_line():
    lab = buddy_lab()
    first = lab.twin.text
    lab.line.value = "allocate 0 movable x16"
    assert lab.line.value == ""
    assert lab.script.lines == ["allocate 0 movable x16"]
    lab.undo.click()
    unmarked = re.sub(r"^\*", " ", lab.twin.text, flags=re.MULTILINE)
    lists = [line for line in unmarked.splitlines() if "order" in line and "(empty)" not in line]
    assert lists == [line for line in first.splitlines() if "order" in line]


def test_another_release_or_size_does_the_script_again():
    lab = buddy_lab(["allocate 0 movable x2", "allocate 9 unmovable"])
    lab.release.value = "6.1"
    assert lab.script.machine.kernel.release.name == "6.1"
    assert lab.script.lines == ["allocate 0 movable x2", "allocate 9 unmovable"]
    lab.size.value = 4
    assert "4 MiB of zone Normal [0x100000-0x1003ff], Linux 6.1" in lab.twin.text


def test_impossible_orders_are_answered_in_the_widget():
    lab = buddy_lab()
    lab.order.value = 11
    lab.allocate.click()
    assert "✗ allocate 11 movable: order 11: blocks have the orders 0" in lab.twin.text


def test_a_wrong_script_is_refused_at_once():
    with pytest.raises(MemsimError, match="allocate 11 movable: order 11"):
        buddy_lab(["allocate 11 movable"])
    with pytest.raises(MemsimError, match="size_mib 5 must be one of 4, 8"):
        buddy_lab(size_mib=5)


def test_every_control_has_a_name_and_a_tooltip_and_is_reached_by_tab():
    lab = buddy_lab()
    controls = [lab.more, *(control for box in lab.rest.children for control in box.children)]
    assert len(controls) == 19
    for control in controls:
        assert control.description
        assert control.tooltip
        assert control.tabbable or isinstance(control, REACHED_ANYWAY)


def test_the_stored_output_is_that_of_the_given_script():
    lab = buddy_lab(["allocate 0 movable"])
    first = lab._repr_mimebundle_()
    lab.free_all.click()
    again = lab._repr_mimebundle_()
    for kind in ("text/plain", "text/html"):
        assert first[kind] == again[kind]
    assert f"split: {P + 512:#x}" in first["text/plain"]
    assert 'src="data:image/svg+xml' in first["text/html"]
    other = buddy_lab(["allocate 0 movable"])._repr_mimebundle_()
    assert other["text/html"] == first["text/html"]


# ---- the picture -----------------------------------------------------------------------------------


def press(lab, line):
    """Do what a click on the picture sends."""
    lab.picture._handle_custom_msg({"line": line}, [])  # noqa: SLF001 (what ipywidgets calls)


@settings(max_examples=25, deadline=None)
@given(LINES, st.sampled_from(["6.1", "6.12"]))
def test_the_blocks_of_the_picture_cover_the_zone_once(lines, release):
    script = BuddyScript(8, release)
    for line in lines:
        script.do(line)
    at = P
    for pfn, order, used, _ in blocks_of(script):
        assert pfn == at
        assert used is (pfn in script.allocated)
        at += 1 << order
    assert at == P + script.nr_pages


def test_a_click_allocates_and_another_frees():
    lab = buddy_lab(size_mib=4)
    assert lab.picture.blocks == [[P, 10, False, "movable"]]
    press(lab, "allocate 8 unmovable")
    used = [block for block in lab.picture.blocks if block[2]]
    # expand(): the block of order 8 is the lowest quarter; a free one of order 8 and one of order 9 are left.
    assert used == [[P, 8, True, "unmovable"]]
    assert [block[:2] for block in lab.picture.blocks] == [[P, 8], [P + 256, 8], [P + 512, 9]]
    assert lab.picture.undoable
    press(lab, f"free {P:#x}")
    assert [block[:2] for block in lab.picture.blocks] == [[P, 10]]
    press(lab, "undo")
    assert len(lab.picture.blocks) == 3
    press(lab, "restart")
    assert lab.script.lines == []


def test_all_other_controls_are_behind_one_button():
    lab = buddy_lab()
    assert lab.rest.layout.display == "none"
    lab.more.value = True
    assert lab.rest.layout.display == ""


def test_pfns_are_read_in_both_notations():
    assert read_pfn(" 0x100000 ") == read_pfn("1048576") == P
