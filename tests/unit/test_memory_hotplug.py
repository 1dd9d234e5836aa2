"""A block comes online (mm/memory_hotplug.c; rows H1 and O1 to O5 of the state table).

The block is the first 128 MiB at 4 GiB, memory block 32; boot memory lies elsewhere.
"""

from __future__ import annotations

import pytest

from memsim.errors import BadPage, KernelError
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online import (
    generic_online_page,
    online_pages,
    restore_online_page_callback,
    set_online_page_callback,
)
from memsim.linux.mm.memremap import memunmap_pages
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch

P, N = 0x100000, 32768
ISOLATE, MOVABLE = MigrateType.ISOLATE, MigrateType.MOVABLE


def added(release="6.12", patch=AFTER, *, blocks=1, **options):
    """Return a machine to which the block (or several) was added."""
    machine = Machine([(0, N)], patch, release, **options)
    machine.add_memory(P, blocks * N)
    return machine


def onlined(release, patch, online_type="online_movable"):
    """Return a machine and the tape of onlining the block."""
    machine = added(release, patch)
    tape = machine.record()
    tape.action("online")
    machine.online(32, online_type)
    return machine, tape


def at(tape, point):
    """Return the state at a probe point of the tape."""
    return tape.at(tape.find(0, point))


def counters(zone):
    """Return what onlining changes of a zone."""
    return zone.spanned_pages, zone.present_pages, zone.managed_pages, zone.nr_free_pages


# ---- hot-add ---------------------------------------------------------------------------------------


def test_hot_add_moves_no_counter_but_takes_the_memmap_from_free_memory(kernel_kind):
    release, patch = kernel_kind
    machine = Machine([(0, N)], patch, release)
    before = [counters(zone) for zone in machine.kernel.state.zones]
    free = sum(zone.nr_free_pages for zone in machine.kernel.state.zones)
    total = machine.totalram_pages
    machine.add_memory(P, N)
    after = [counters(zone) for zone in machine.kernel.state.zones]
    assert [row[:3] for row in after] == [row[:3] for row in before]
    assert free - sum(row[3] for row in after) == 512  # 32768 struct pages of 64 bytes
    assert machine.totalram_pages == total


def test_pages_of_a_block_that_was_added_mean_nothing(kernel_kind):
    release, patch = kernel_kind
    machine = added(release, patch)
    with pytest.raises(BadPage, match="pfn 0x100000 is in a section that is not online"):
        machine.page(P)
    assert machine.kernel.memmap.pfn_to_online_page(P) is None


# ---- the steps of onlining --------------------------------------------------------------------------


def test_when_the_listeners_are_asked_every_page_is_initialised_and_only_the_span_has_grown(kernel_kind):
    _, tape = onlined(*kernel_kind)
    state = at(tape, "notifier:MEM_GOING_ONLINE")
    pages = [state.memmap.raw(pfn) for pfn in (P, P + 1, P + N - 1)]
    before = not kernel_kind[1]
    assert {page.reserved for page in pages} == {before}
    assert {page.offline for page in pages} == {not before}
    assert {page.refcount for page in pages} == {1}
    assert counters(state.zone(ZoneType.MOVABLE)) == (N, 0, 0, 0)
    assert set(state.memmap.section(P).pageblocks) == {ISOLATE}
    assert state.zone(ZoneType.MOVABLE).nr_isolate_pageblock == 0
    assert not state.memmap.section(P).online


def test_the_block_is_given_to_the_buddy_in_32_chunks_of_order_10(kernel_kind):
    _, tape = onlined(*kernel_kind)
    calls = [event.args for _, event in tape.points() if event.point.startswith("enter:generic_online_page")]
    assert calls == [(P + chunk * 1024, 10) for chunk in range(32)]


def test_after_two_chunks_two_blocks_are_isolated_free_blocks_that_count_as_managed_only(kernel_kind):
    _, tape = onlined(*kernel_kind)
    state = at(tape, "enter:generic_online_page#3")
    zone = state.zone(ZoneType.MOVABLE)
    assert list(reversed(zone.free_area[10][ISOLATE])) == [P, P + 1024]
    assert counters(zone) == (N, 0, 2048, 0)  # managed exceeds present for a while
    assert zone.nr_isolate_pageblock == 64
    head, inside, waiting = (state.memmap.raw(pfn) for pfn in (P, P + 1, P + 2048))
    assert (head.buddy, head.order, head.refcount) == (True, 10, 0)
    assert (inside.types, inside.refcount, inside.reserved) == (frozenset(), 0, False)
    assert waiting.refcount == 1
    assert waiting.reserved != waiting.offline


def test_before_isolation_ends_all_is_counted_and_nothing_is_free(kernel_kind):
    _, tape = onlined(*kernel_kind)
    state = at(tape, "enter:undo_isolate_page_range")
    assert counters(state.zone(ZoneType.MOVABLE)) == (N, N, N, 0)
    assert state.memmap.section(P).online


def test_afterwards_the_block_is_32_free_movable_blocks_in_ascending_order(kernel_kind):
    machine, tape = onlined(*kernel_kind)
    zone = machine.zone("Movable")
    assert counters(zone) == (N, N, N, N)
    assert zone.nr_isolate_pageblock == 0
    assert list(reversed(zone.free_area[10][MOVABLE])) == list(range(P, P + N, 1024))
    assert set(machine.kernel.memmap.section(P).pageblocks) == {MOVABLE}
    assert counters(at(tape, "notifier:MEM_ONLINE").zone(ZoneType.MOVABLE)) == (N, N, N, N)


def test_the_next_block_stays_offline(kernel_kind):
    release, patch = kernel_kind
    machine = added(release, patch, blocks=2)
    machine.online(32)
    assert not machine.kernel.memmap.section(P + N).online
    assert machine.kernel.memmap.section(P).online


def test_memory_of_zone_normal_consists_of_movable_pageblocks_too(kernel_kind):
    # MIGRATE_MOVABLE is what online_pages() undoes the isolation to, whatever the zone.
    machine, _ = onlined(*kernel_kind, online_type="online_kernel")
    assert set(machine.kernel.memmap.section(P).pageblocks) == {MOVABLE}
    assert machine.page(P).zone == ZoneType.NORMAL


def test_free_pages_of_an_onlined_block_look_the_same_before_and_after_the_patch():
    ends = []
    for patch in (BEFORE, AFTER):
        machine, _ = onlined("6.12", patch)
        ends.append({machine.page(pfn) for pfn in range(P, P + N, 511)})
    assert ends[0] == ends[1]


def test_no_page_of_an_onlined_block_is_ever_reserved_after_the_patch():
    _, tape = onlined("6.12", AFTER)
    reserved = {}
    for index, event in tape.points():
        pages = tape.at(index).memmap.section(P).pages
        if pages.refcount[0] >= 0:  # poison has every flag
            reserved[event.point] = int((pages.flags & int(PageFlag.RESERVED)).astype(bool).sum())
    assert {"notifier:MEM_GOING_ONLINE#1", "enter:generic_online_page#32", "return:online_pages#1"} <= set(
        reserved
    )
    assert set(reserved.values()) == {0}


def test_present_pages_move_once_and_by_the_whole_block(kernel_kind):
    _, tape = onlined(*kernel_kind)
    assert [event.args for event in tape.events if event.args[:1] == ("present_pages",)] == [
        ("present_pages", N)
    ]


@pytest.mark.parametrize("known", [True, False])
def test_memtotal_moves_before_the_pages_are_free_with_meminit_context_and_after_without(known):
    _, tape = onlined("6.12", AFTER if known else Patch.without({Hunk.MEMINIT_CONTEXT}))
    first = tape.find(0, "enter:generic_online_page#1")
    total = at(tape, "enter:generic_online_page#1").totalram_pages
    freed = next(i for i in range(first, len(tape)) if tape.events[i].primitive == "set_buddy_order")
    assert tape.at(freed).totalram_pages - total == 1024 * known
    assert at(tape, "return:__free_pages_core#1").totalram_pages - total == 1024 * known
    assert at(tape, "return:generic_online_page#1").totalram_pages - total == 1024


@pytest.mark.parametrize(("known", "lagging"), [(True, set()), (False, set(range(32)))])
def test_memtotal_is_the_sum_of_the_zones_at_every_point_with_meminit_context_and_lags_without(
    known, lagging
):
    _, tape = onlined("6.12", AFTER if known else Patch.without({Hunk.MEMINIT_CONTEXT}))
    seen = set()
    for call in range(32):
        state = at(tape, f"return:__free_pages_core#{call + 1}")
        if state.totalram_pages != sum(zone.managed_pages for zone in state.zones):
            seen.add(call)
    assert seen == lagging


# ---- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pfn", "nr_pages", "rule"),
    [
        (P + 1, N - 1, "must start at a pageblock"),
        (P, 0, "not be empty"),
        (P, N - 512, "must end where a section ends"),
        (P + 512, N, "must end where a section ends"),
    ],
)
def test_a_misaligned_range_is_einval_and_changes_nothing(snapshot, pfn, nr_pages, rule):
    machine = added(blocks=2)
    before = snapshot(machine.kernel.state)
    with pytest.raises(KernelError, match=rule) as caught:
        online_pages(machine.kernel, pfn, nr_pages, machine.zone("Normal"))
    assert (caught.value.name, caught.value.stage) == ("EINVAL", "online_pages")
    assert f"{pfn:#x}" in str(caught.value)
    assert snapshot(machine.kernel.state) == before


@pytest.mark.parametrize("debug_vm", [False, True])
def test_a_veto_restores_the_span_and_no_callback_is_called(kernel_kind, debug_vm):
    release, patch = kernel_kind
    machine = added(release, patch, blocks=2, debug_vm=debug_vm)
    machine.online(32, "online_movable")
    zone, total = machine.zone("Movable"), machine.totalram_pages
    before = (zone.zone_start_pfn, *counters(zone))
    calls = []
    set_online_page_callback(machine.kernel, lambda _, pfn, order: calls.append((pfn, order)))
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_ONLINE of 32768 pages at pfn 0x108000") as caught:
        machine.online(33, "online_movable")
    assert caught.value.name == "EPERM"  # what NOTIFY_BAD decodes to
    assert (zone.zone_start_pfn, *counters(zone)) == before
    assert machine.totalram_pages == total
    assert calls == []
    assert machine.block(33).state == "offline"
    with pytest.raises(BadPage):
        machine.page(P + N)
    assert machine.check() == []


def test_a_veto_of_the_first_block_of_a_zone_leaves_the_zone_empty():
    machine = added()
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    with pytest.raises(KernelError):
        machine.online(32, "online_movable")
    assert machine.zone("Movable").spanned_pages == 0


def test_a_veto_below_the_zones_start_gives_the_old_start_back():
    machine = added(blocks=2)
    machine.online(33, "online_movable")
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    with pytest.raises(KernelError):
        machine.online(32, "online_movable")
    zone = machine.zone("Movable")
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P + N, N)


def test_a_block_that_was_vetoed_can_come_online_later(kernel_kind):
    release, patch = kernel_kind
    machine = added(release, patch, debug_vm=True)
    answers = [NOTIFY_BAD]
    machine.register_memory_notifier(
        lambda action, *_: answers.pop() if answers and action == "MEM_GOING_ONLINE" else None
    )
    with pytest.raises(KernelError):
        machine.online(32)
    machine.online(32)
    assert machine.zone("Normal").managed_pages == N
    assert machine.check() == []


# ---- the callback ----------------------------------------------------------------------------------


def test_there_is_one_callback_for_the_whole_system():
    machine = added()
    set_online_page_callback(machine.kernel, lambda *_: None)
    with pytest.raises(KernelError, match="another online page callback is set") as caught:
        set_online_page_callback(machine.kernel, lambda *_: None)
    assert caught.value.name == "EINVAL"


def test_only_the_callback_that_is_set_can_be_taken_back():
    def mine(_kernel, _pfn, _order):
        """Withhold everything."""

    machine = added()
    with pytest.raises(KernelError, match="not the one that is set") as caught:
        restore_online_page_callback(machine.kernel, mine)
    assert caught.value.name == "EINVAL"
    set_online_page_callback(machine.kernel, mine)
    with pytest.raises(KernelError, match="not the one that is set"):
        restore_online_page_callback(machine.kernel, generic_online_page)
    restore_online_page_callback(machine.kernel, mine)
    set_online_page_callback(machine.kernel, generic_online_page)  # the place is free again


def test_a_driver_sees_all_memory_that_comes_online_in_chunks_that_tile_it():
    machine = added()
    calls = []
    set_online_page_callback(machine.kernel, lambda _, pfn, order: calls.append((pfn, order)))
    online_pages(machine.kernel, P + 512, N - 512, machine.zone("Movable"))
    # The first pageblock is missing, as when it holds the memmap: order 9, then as large as it gets.
    assert calls == [(P + 512, 9)] + [(P + chunk * 1024, 10) for chunk in range(1, 32)]


def test_pages_that_a_driver_withholds_are_present_and_not_managed_and_keep_their_mark(kernel_kind):
    release, patch = kernel_kind
    machine = added(release, patch)
    set_online_page_callback(machine.kernel, lambda *_: None)
    machine.online(32, "online_movable")
    assert counters(machine.zone("Movable")) == (N, N, 0, 0)
    page = machine.page(P)
    assert (page.reserved, page.offline) == (patch == BEFORE, patch == AFTER)
    assert (page.refcount, page.present, page.managed) == (1, True, False)
    assert page.migratetype == MOVABLE


def test_a_driver_can_pass_some_chunks_on_and_withhold_others():
    machine = added()

    def first_half(kernel, pfn, order):
        if pfn < P + N // 2:
            generic_online_page(kernel, pfn, order)

    set_online_page_callback(machine.kernel, first_half)
    machine.online(32, "online_movable")
    assert counters(machine.zone("Movable")) == (N, N, N // 2, N // 2)
    assert PageType.OFFLINE in machine.page(P + N // 2).types
    assert machine.check() == []


# ---- the zone grows --------------------------------------------------------------------------------


def test_the_span_of_a_zone_covers_holes_between_its_blocks():
    machine = added(blocks=3)
    machine.online(34, "online_movable")
    machine.online(32, "online_movable")
    zone = machine.zone("Movable")
    assert (zone.zone_start_pfn, *counters(zone)) == (P, 3 * N, 2 * N, 2 * N, 2 * N)


def test_the_span_shrinks_to_the_next_block_that_is_online_only_when_an_end_goes():
    machine = added(blocks=4)
    for block in (32, 33, 35):
        machine.online(block, "online_movable")
    zone = machine.zone("Movable")
    machine.offline(33)
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P, 4 * N)
    machine.offline(32)
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P + 3 * N, N)
    machine.offline(35)
    assert zone.spanned_pages == 0


def test_the_end_of_a_span_shrinks_over_blocks_of_other_zones():
    machine = added(blocks=3)
    machine.online(32, "online_movable")
    machine.online(33, "online_kernel")
    machine.online(34, "online_movable")
    machine.offline(34)
    zone = machine.zone("Movable")
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P, N)


@pytest.mark.parametrize(("ram", "last"), [(16384, 16384), (16384 + 100, 16384 + 512)])
def test_a_span_shrinks_back_over_a_hole_at_the_end_of_boot_memory(kernel_kind, ram, last):
    # find_biggest_section_pfn() asks pfn_to_online_page() for the last page of each sub-section, and
    # sub-sections without RAM are not there.
    release, patch = kernel_kind
    machine = Machine([(0, N), (P, ram)], patch, release)
    zone = machine.zone("Normal")
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P, ram)
    machine.add_memory(P + N, N)
    machine.online(33, "online_kernel")
    machine.offline(33)
    assert (zone.zone_start_pfn, zone.spanned_pages) == (P, last)


def test_device_memory_that_is_unmapped_leaves_nothing_behind_but_the_span_of_its_zone(kernel_kind):
    release, patch = kernel_kind
    machine = Machine([(0, N)], patch, release)
    free = sum(zone.nr_free_pages for zone in machine.kernel.state.zones)
    for pfn in (P, P + N, P):  # the first range can be mapped again
        machine.memremap_pages(pfn, N)
        memunmap_pages(machine.kernel, pfn)
        assert pfn // N not in machine.kernel.memmap.sections
    zone = machine.zone("Device")
    assert (zone.zone_start_pfn, *counters(zone)) == (P, 2 * N, 0, 0, 0)  # spans of ZONE_DEVICE only grow
    assert sum(zone.nr_free_pages for zone in machine.kernel.state.zones) == free
    assert machine.check() == []
