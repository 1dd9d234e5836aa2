"""The buddy allocator (mm/page_alloc.c).

Every machine here has 128 MiB of boot memory at 4 GiB: 32 free blocks of order 10 in zone Normal, all
their pageblocks MOVABLE, ascending towards the tail of the list.
"""

from __future__ import annotations

import pytest

from memsim.errors import BadPage, KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import MANAGED, PageFlag, PageType
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages
from memsim.linux.mm.page_alloc.buddy import (
    MEMINIT_EARLY,
    MEMINIT_HOTPLUG,
    __free_one_page,
    __free_pages_core,
    __free_pages_ok,
    buddy_merge_likely,
    free_blocks_in,
    may_merge,
    page_is_buddy,
)
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch

P = 0x100000
UNMOVABLE, MOVABLE, RECLAIMABLE = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE
HIGHATOMIC, ISOLATE = MigrateType.HIGHATOMIC, MigrateType.ISOLATE
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12"])


def booted(release="6.12", patch=AFTER, *, pages=32768, **options):
    """Return the machine of the module's docstring, or one with fewer pages."""
    return Machine([(P, pages)], patch, release, **options)


def free_list(machine, order, migratetype=MOVABLE):
    """Return a free list of zone Normal, head first."""
    return list(reversed(machine.zone("Normal").free_area[order][migratetype]))


def take(machine, order=0, at=None, migratetype=MOVABLE):
    """Allocate a block, at a given place if need be."""
    return alloc_pages(machine.kernel, order, migratetype, at and range(at, at + (1 << order)))


def take_pages(machine, pfn, nr_pages):
    """Allocate a range of kernel pages, each by itself."""
    return [alloc_pages(machine.kernel, 0, MOVABLE, range(pfn, pfn + nr_pages)) for _ in range(nr_pages)]


# ---- allocating: split ------------------------------------------------------------------------------


@RELEASES
def test_the_first_page_that_is_allocated_is_the_first_pfn(release):
    # Boot frees upwards and to the tail, so the lowest block is the head of its list.
    assert take(booted(release)) == P


@RELEASES
def test_order_0_from_a_block_of_order_10_leaves_the_upper_half_of_every_split(release):
    machine = booted(release)
    take(machine)
    for order in range(10):
        assert free_list(machine, order) == [P + (1 << order)]
    assert free_list(machine, 10)[0] == P + 1024


def test_splitting_puts_the_upper_halves_at_the_heads_of_their_lists():
    machine = booted()
    take(machine)  # leaves P + 512 on the list of order 9
    take(machine, at=P + 4096)  # splits another block of order 10
    assert free_list(machine, 9) == [P + 4096 + 512, P + 512]
    assert free_list(machine, 0) == [P + 4096 + 1, P + 1]


def test_a_smaller_block_is_taken_before_a_larger_one_is_split():
    machine = booted()
    take(machine)
    assert take(machine, order=3) == P + 8
    assert len(free_list(machine, 10)) == 31


@RELEASES
def test_an_allocated_block_has_one_reference_is_not_buddy_and_still_managed(release):
    machine = booted(release)
    managed = machine.zone("Normal").managed_pages
    page = machine.page(take(machine, order=4))
    assert (page.refcount, page.types, page.managed) == (1, frozenset(), True)
    assert machine.zone("Normal").managed_pages == managed
    assert machine.zone("Normal").nr_free_pages == 32768 - 16


def test_a_request_that_nothing_satisfies_is_enomem_that_names_order_and_type():
    machine = booted()
    with pytest.raises(KernelError, match="no free reclaimable block of order 10 in") as caught:
        alloc_pages(machine.kernel, 10, RECLAIMABLE, range(P + 1, P + 1023))
    assert caught.value.name == "ENOMEM"


def test_only_movable_pages_are_taken_from_zone_movable_and_they_are_taken_there_first():
    machine = Machine([(0x200000, 32768)])
    machine.add_memory(P, 32768)
    machine.online(32, "online_movable")
    assert take(machine, migratetype=MOVABLE) == P
    assert take(machine, migratetype=UNMOVABLE) >= 0x200000
    assert take(machine, migratetype=RECLAIMABLE) >= 0x200000


@RELEASES
def test_nothing_is_allocated_from_an_isolated_list(release):
    machine = booted(release)
    zone = machine.zone("Normal")
    for head in range(P + 1024, P + 32768, 1024):  # leave one block to allocate from
        zone.del_from_free_list(head, 10, MOVABLE)
        zone.add_to_free_list_tail(head, 10, ISOLATE)
    take_pages(machine, P, 1024)
    with pytest.raises(KernelError, match="ENOMEM"):
        take(machine)


def test_free_blocks_of_a_range_over_a_section_border_are_found_in_ascending_order():
    machine = Machine([(P, 65536)])
    found = free_blocks_in(machine.kernel, P + 1024, 65536 - 1024)
    assert found == [(P + block * 1024, 10) for block in range(1, 64)]


# ---- freeing: merge ---------------------------------------------------------------------------------


@RELEASES
def test_a_freed_page_merges_all_the_way_back(release):
    machine = booted(release)
    __free_pages(machine.kernel, take(machine))
    assert sorted(free_list(machine, 10)) == list(range(P, P + 32768, 1024))
    assert machine.zone("Normal").nr_free_pages == 32768


@RELEASES
def test_the_inside_of_a_free_block_has_refcount_0_and_no_type(release):
    machine = booted(release)
    __free_pages(machine.kernel, take(machine))
    assert machine.page(P).order == 10
    inside = [machine.page(P + offset) for offset in (1, 2, 512, 1023)]
    assert {(page.refcount, page.types, page.order) for page in inside} == {(0, frozenset(), 0)}


@RELEASES
def test_a_block_of_order_10_merges_no_further(release):
    machine = booted(release)
    first, second = take(machine, order=10), take(machine, order=10)
    __free_pages(machine.kernel, first, 10)
    __free_pages(machine.kernel, second, 10)
    assert {first, second} <= set(free_list(machine, 10))


@RELEASES
def test_a_partner_of_another_order_is_not_merged(release):
    machine = booted(release)
    pages = take_pages(machine, P, 4)
    __free_pages(machine.kernel, pages[0])
    __free_pages(machine.kernel, pages[2])
    # P + 1 is in use: P stays alone, though P + 2 is free too.
    assert {P, P + 2} <= set(free_list(machine, 0))


def test_a_partner_in_another_zone_is_no_partner():
    # DMA ends and DMA32 begins at 16 MiB, so blocks meet there that would be partners.
    machine = Machine([(0, 32768)])
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    assert page_is_buddy(machine.kernel, 4096, 10, dma32)
    assert not page_is_buddy(machine.kernel, 4096, 10, dma)
    assert not page_is_buddy(machine.kernel, 4096, 9, dma32)


@RELEASES
@pytest.mark.parametrize("order", range(10))
def test_two_types_of_per_cpu_lists_merge_at_every_order_and_isolate_with_itself_only(release, order):
    machine = booted(release)
    memmap = machine.kernel.memmap
    partner = P + (1 << order)
    memmap.set_migratetype(P, 1024, UNMOVABLE)
    assert may_merge(machine.kernel, partner, order, MOVABLE)
    memmap.set_migratetype(P, 1024, ISOLATE)
    assert may_merge(machine.kernel, partner, order, ISOLATE)
    # Below pageblock order both halves are in one pageblock: nobody asks.
    assert may_merge(machine.kernel, partner, order, MOVABLE) == (order < 9)
    memmap.set_migratetype(P, 1024, HIGHATOMIC)
    assert may_merge(machine.kernel, partner, order, MOVABLE) == (order < 9)


@RELEASES
def test_two_pageblocks_of_different_types_merge_and_6_12_gives_them_one_type(release):
    machine = booted(release)
    memmap = machine.kernel.memmap
    lower, upper = take(machine, 9, at=P), take(machine, 9, at=P + 512)
    memmap.set_migratetype(lower, 512, UNMOVABLE)
    __free_pages(machine.kernel, lower, 9)
    __free_pages(machine.kernel, upper, 9)
    assert P in free_list(machine, 10)  # of the type of the half that was freed last
    # 6.1 merges and leaves the pageblock with the type that it had.
    assert memmap.migratetype(lower) == (MOVABLE if release == "6.12" else UNMOVABLE)


@RELEASES
def test_a_free_block_of_isolated_pages_is_not_counted_as_free(release):
    machine = booted(release)
    zone = machine.zone("Normal")
    head = take(machine, 10)
    machine.kernel.memmap.set_migratetype(head, 1024, ISOLATE)
    before = zone.nr_free_pages
    __free_pages(machine.kernel, head, 10)
    assert zone.nr_free_pages == before
    assert free_list(machine, 10, ISOLATE) == [head]


def test_6_12_frees_two_pageblocks_each_to_its_own_list_and_6_1_both_to_the_firsts():
    lists = {}
    for release in ("6.1", "6.12"):
        machine = booted(release)
        head = take(machine, 10)
        machine.kernel.memmap.set_migratetype(head, 512, UNMOVABLE)
        machine.kernel.memmap.set_migratetype(head + 512, 512, ISOLATE)
        __free_pages(machine.kernel, head, 10)
        lists[release] = (free_list(machine, 10, UNMOVABLE), free_list(machine, 9, ISOLATE))
    assert lists["6.1"] == ([P], [])
    assert lists["6.12"] == ([], [P + 512])


# ---- head or tail -----------------------------------------------------------------------------------


@RELEASES
def test_a_freed_block_goes_to_the_head_and_to_the_tail_when_onlining_says_so(release):
    machine = booted(release)
    first, second = take(machine, 10), take(machine, 10)
    machine.kernel.memmap.set_refcount(P, 2048, 0)
    __free_pages_ok(machine.kernel, first, 10)
    assert free_list(machine, 10)[0] == first
    __free_pages_ok(machine.kernel, second, 10, to_tail=True)
    assert free_list(machine, 10)[-1] == second


def test_a_block_that_will_soon_merge_further_goes_to_the_tail():
    machine = booted()
    pages = take_pages(machine, P, 1024)
    for offset in (2, 3, 100, 200):  # P + 2 is now a free pair; the other two are alone
        __free_pages(machine.kernel, pages[offset])
    __free_pages(machine.kernel, pages[0])  # with P + 1 it would be a pair, whose partner is free
    assert free_list(machine, 0) == [P + 200, P + 100, P]


def test_at_order_9_nobody_looks_ahead():
    # Two merged pageblocks are the largest block: that its neighbour is free, too, leads nowhere.
    machine = booted()
    zone = machine.zone("Normal")
    halves = [take(machine, 9, at=start) for start in (P, P + 512, P + 4096, P + 4096 + 512)]
    assert page_is_buddy(machine.kernel, P + 1024, 10, zone)
    assert not buddy_merge_likely(machine.kernel, P, 9, zone)
    __free_pages(machine.kernel, halves[2], 9)
    __free_pages(machine.kernel, halves[0], 9)
    assert free_list(machine, 9) == [P, P + 4096]


def test_looking_ahead_sees_the_partner_of_the_merged_block_only():
    machine = booted()
    zone = machine.zone("Normal")
    take(machine)  # leaves P+1 .. P+512 free at orders 0 to 9, and nothing that starts at P
    assert buddy_merge_likely(machine.kernel, P, 0, zone)  # P..P+1 would meet the pair P+2
    assert buddy_merge_likely(machine.kernel, P, 8, zone)  # P..P+511 would meet P+512
    assert not buddy_merge_likely(machine.kernel, P + 16, 3, zone)  # P+16..P+31 would meet P, which is in use


# ---- fallback ---------------------------------------------------------------------------------------


@RELEASES
def test_an_unmovable_request_claims_both_pageblocks_of_the_largest_movable_block(release):
    machine = booted(release)
    memmap = machine.kernel.memmap
    assert take(machine, migratetype=UNMOVABLE) == P  # the head of the list of order 10
    assert [memmap.migratetype(P + at) for at in (0, 512, 1024)] == [UNMOVABLE, UNMOVABLE, MOVABLE]
    for order in range(10):
        assert free_list(machine, order, UNMOVABLE) == [P + (1 << order)]
        assert free_list(machine, order, MOVABLE) == []
    assert machine.zone("Normal").nr_free_pages == 32767


def test_a_request_of_a_type_that_has_free_pages_does_not_fall_back():
    machine = booted()
    take(machine, migratetype=UNMOVABLE)
    assert take(machine, migratetype=UNMOVABLE) == P + 1
    assert machine.kernel.memmap.migratetype(P + 1024) == MOVABLE


def test_unmovable_requests_fall_back_to_reclaimable_before_movable():
    machine = booted()
    take(machine, order=10, migratetype=RECLAIMABLE)
    last = P + 31 * 1024
    machine.zone("Normal").del_from_free_list(last, 10, MOVABLE)
    machine.zone("Normal").add_to_free_list(last, 10, RECLAIMABLE)
    machine.kernel.memmap.set_migratetype(last, 1024, RECLAIMABLE)
    assert take(machine, migratetype=UNMOVABLE) == last


def full(*, movable, release="6.12"):
    """Return a machine of two pageblocks, all used as user pages (on the LRU) or as kernel pages."""
    machine = booted(release, pages=1024)
    if movable:
        machine.allocate(1024)
    else:
        take_pages(machine, P, 1024)
    return machine


def free_range(machine, pfn, nr_pages):
    """Free pages one by one."""
    for page in range(pfn, pfn + nr_pages):
        machine.free([page])


def test_a_pageblock_of_which_half_is_free_is_claimed():
    # 256 free pages are half of a pageblock; the other 256 are movable and so of no use to the kernel.
    machine = full(movable=True)
    free_range(machine, P + 512, 256)
    assert take(machine, migratetype=UNMOVABLE) == P + 512
    assert machine.kernel.memmap.migratetype(P + 512) == UNMOVABLE
    assert free_list(machine, 7, UNMOVABLE) == [P + 512 + 128]


def test_a_pageblock_of_which_less_than_half_is_free_is_not_claimed_but_stolen_from():
    machine = full(movable=True)
    free_range(machine, P + 512, 128)
    assert take(machine, migratetype=UNMOVABLE) == P + 512
    assert machine.kernel.memmap.migratetype(P + 512) == MOVABLE
    assert free_list(machine, 6, MOVABLE) == [P + 512 + 64]  # the rest stays with its own type


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_a_pageblock_of_which_one_page_less_than_half_is_free_keeps_its_type(release):
    machine = full(movable=True, release=release)
    free_range(machine, P + 512, 255)
    assert take(machine, migratetype=UNMOVABLE) == P + 512 + 254  # the smallest block
    assert machine.kernel.memmap.migratetype(P + 512) == MOVABLE


def test_61_moves_all_that_is_free_to_the_stealer_s_lists_even_if_the_pageblock_keeps_its_type():
    # steal_suitable_fallback(): the pages move first, and only the type depends on how many they are.
    machine = full(movable=True, release="6.1")
    free_range(machine, P + 512, 128)
    free_range(machine, P + 512 + 384, 2)
    assert take(machine, migratetype=UNMOVABLE) == P + 512 + 384
    assert machine.kernel.memmap.migratetype(P + 512) == MOVABLE
    assert free_list(machine, 0, UNMOVABLE) == [P + 512 + 385]
    assert free_list(machine, 7, UNMOVABLE) == [P + 512]
    assert free_list(machine, 7, MOVABLE) == []


def test_61_half_a_free_pageblock_is_retyped():
    machine = full(movable=True, release="6.1")
    free_range(machine, P + 512, 256)
    assert take(machine, migratetype=UNMOVABLE) == P + 512
    assert machine.kernel.memmap.migratetype(P + 512) == UNMOVABLE


@RELEASES
def test_a_movable_request_steals_the_smallest_block_and_no_pageblock(release):
    # An order below 4 is not worth a pageblock to a movable request (can_steal_fallback()).
    machine = full(movable=False, release=release)
    machine.kernel.memmap.set_migratetype(P, 1024, UNMOVABLE)
    free_range(machine, P + 8, 8)
    free_range(machine, P + 32, 2)
    assert take(machine, migratetype=MOVABLE) == P + 32
    assert machine.kernel.memmap.migratetype(P) == UNMOVABLE
    assert free_list(machine, 3, UNMOVABLE) == [P + 8]
    rest = {"6.1": MOVABLE, "6.12": UNMOVABLE}[release]  # 6.1 moved the block, 6.12 gives back the rest
    assert free_list(machine, 0, rest) == [P + 33]


def test_kernel_pages_in_a_movable_pageblock_count_for_the_kernel():
    # 128 free and 384 that are neither free nor movable: all of it suits an unmovable request.
    machine = full(movable=False)
    free_range(machine, P + 512, 128)
    assert take(machine, migratetype=UNMOVABLE) == P + 512
    assert machine.kernel.memmap.migratetype(P + 512) == UNMOVABLE
    assert free_list(machine, 6, UNMOVABLE) == [P + 512 + 64]


def test_claiming_a_pageblock_takes_all_its_free_pages_along():
    machine = full(movable=True)
    free_range(machine, P + 512, 256)
    free_range(machine, P + 512 + 384, 2)
    # The pageblock is claimed for its block of order 8; then the smallest block of it serves the request.
    assert take(machine, migratetype=UNMOVABLE) == P + 512 + 384
    assert free_list(machine, 0, UNMOVABLE) == [P + 512 + 385]
    assert free_list(machine, 8, UNMOVABLE) == [P + 512]
    assert free_list(machine, 8, MOVABLE) == []


def test_a_block_of_exactly_the_order_that_is_asked_for_is_claimed():
    machine = full(movable=True)
    free_range(machine, P, 256)
    assert take(machine, order=8, migratetype=UNMOVABLE) == P
    assert machine.kernel.memmap.migratetype(P) == UNMOVABLE


def test_a_block_that_is_too_small_is_not_claimed():
    machine = full(movable=True)
    free_range(machine, P, 256)  # half of a pageblock: worth claiming, but of order 8
    with pytest.raises(KernelError, match="no free unmovable block of order 9"):
        take(machine, order=9, migratetype=UNMOVABLE)
    assert machine.kernel.memmap.migratetype(P) == MOVABLE


def test_free_pages_of_the_other_pageblock_are_not_taken_along():
    machine = full(movable=True)
    free_range(machine, P, 128)
    free_range(machine, P + 512, 256)
    take(machine, migratetype=UNMOVABLE)
    assert free_list(machine, 7, MOVABLE) == [P]
    assert machine.kernel.memmap.migratetype(P) == MOVABLE


def test_a_movable_request_steals_from_a_small_unmovable_block_without_claiming():
    # 6.12: order 3 is less than half a pageblock's order, and movable pages may sit anywhere.
    machine = full(movable=False)
    machine.kernel.memmap.set_migratetype(P, 1024, UNMOVABLE)
    free_range(machine, P, 8)
    assert take(machine, migratetype=MOVABLE) == P
    assert machine.kernel.memmap.migratetype(P) == UNMOVABLE
    assert free_list(machine, 2, UNMOVABLE) == [P + 4]


def test_a_movable_request_claims_a_pageblock_for_a_block_of_order_4_if_enough_of_it_is_movable():
    machine = full(movable=True)
    machine.kernel.memmap.set_migratetype(P, 1024, UNMOVABLE)
    free_range(machine, P, 16)  # and 496 pages beside them are movable
    assert take(machine, migratetype=MOVABLE) == P
    assert machine.kernel.memmap.migratetype(P) == MOVABLE
    assert free_list(machine, 3, MOVABLE) == [P + 8]


# ---- checking what is freed and allocated ----------------------------------------------------------


def bad_reports(machine):
    """Return the reports of bad pages in the log."""
    return [line for line in machine.log if "Bad page state  pfn:" in line]


def test_a_dirty_page_is_cleaned_silently():
    machine = booted(debug_vm=True)
    pfn = take(machine)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.DIRTY)
    __free_pages(machine.kernel, pfn)
    assert machine.page(pfn).flags == PageFlag(0)
    assert machine.log == []


@pytest.mark.parametrize(
    ("release", "checks", "leaked"),
    [
        ("6.1", {"check_pages": False}, True),
        ("6.1", {}, True),
        ("6.12", {"check_pages": False}, False),
        ("6.12", {}, True),
        ("6.12", {"check_pages": False, "debug_vm": True}, True),
    ],
)
def test_a_page_that_is_freed_with_a_type_is_leaked_where_freed_pages_are_checked(release, checks, leaked):
    # 6.1 checks always on this route; 6.12 asks check_pages_enabled, which init_on_alloc and
    # CONFIG_DEBUG_VM turn on (mm/mm_init.c). Its _mapcount is not -1.
    machine = booted(release, **checks)
    pfn = take(machine)
    machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    __free_pages(machine.kernel, pfn)
    assert len(bad_reports(machine)) == leaked
    assert all(f"pfn:{pfn:05x}" in line and "nonzero mapcount" in line for line in machine.log)
    assert machine.zone("Normal").nr_free_pages == 32768 - leaked
    assert machine.zone("Normal").managed_pages == 32768  # a leaked page is still counted


def test_a_reserved_page_that_is_freed_is_bad():
    machine = booted(debug_vm=True)
    pfn = take(machine)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.RESERVED)
    __free_pages(machine.kernel, pfn)
    assert "PAGE_FLAGS_CHECK_AT_FREE flag(s) set" in bad_reports(machine)[0]


@pytest.mark.parametrize(("order", "bad"), [(0, 0), (3, 0), (4, 1), (9, 0), (10, 1)])
def test_6_1_cleans_the_flags_of_what_may_go_to_a_per_cpu_list_before_it_looks(order, bad):
    # free_pcp_prepare(), mm/page_alloc.c, 6.1 without CONFIG_DEBUG_VM: check_free is false. The type is
    # looked at later, in bulkfree_pcp_prepare().
    machine = booted("6.1")
    pfn = take(machine, order)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.RESERVED)
    __free_pages(machine.kernel, pfn, order)
    assert len(bad_reports(machine)) == bad
    assert machine.page(pfn).reserved == bool(bad)


def test_a_bad_page_loses_its_type_in_6_1_and_keeps_it_in_6_12():
    # bad_page() of 6.1 resets _mapcount; that of 6.12 only clears Buddy.
    offline = {}
    for release in ("6.1", "6.12"):
        machine = booted(release, debug_vm=True)
        pfn = take(machine)
        machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
        __free_pages(machine.kernel, pfn)
        offline[release] = machine.page(pfn).offline
    assert offline == {"6.1": False, "6.12": True}


def test_one_bad_page_leaks_the_whole_block():
    machine = booted(debug_vm=True)
    head = take(machine, 3)
    machine.kernel.memmap.set_type(head + 5, 1, PageType.OFFLINE)
    __free_pages(machine.kernel, head, 3)
    assert len(bad_reports(machine)) == 1
    assert machine.zone("Normal").nr_free_pages == 32768 - 8


def test_a_poisoned_page_is_dropped_when_it_is_freed_and_nobody_says_so():
    machine = booted(debug_vm=True)
    pfn = take(machine)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.HWPOISON)
    __free_pages(machine.kernel, pfn)
    assert not machine.page(pfn).buddy
    assert machine.log == []


def test_a_bad_page_is_not_handed_out():
    machine = booted(debug_vm=True)
    machine.kernel.memmap.set_flags(P, 1, PageFlag.DIRTY)  # set while the page was free
    assert take(machine) != P
    assert f"pfn:{P:05x}" in bad_reports(machine)[0]


@pytest.mark.parametrize(("release", "debug_vm"), [("6.1", False), ("6.12", True)])
def test_a_poisoned_page_inside_a_freed_block_is_not_handed_out_and_nobody_says_so(release, debug_vm):
    # check_new_page_bad(), mm/page_alloc.c: no report for a page that is known to be broken.
    machine = booted(release, debug_vm=debug_vm)
    head = take(machine, 10)
    machine.kernel.memmap.set_flags(head + 5, 1, PageFlag.HWPOISON)
    __free_pages(machine.kernel, head, 10)
    got = [take(machine) for _ in range(8)]
    assert head + 5 not in got
    assert len(got) == 8
    assert machine.log == []


def test_without_page_checks_a_bad_page_is_handed_out():
    machine = booted(check_pages=False)
    machine.kernel.memmap.set_flags(P, 1, PageFlag.DIRTY)
    assert take(machine) == P


@pytest.mark.parametrize(("bad", "lines"), [(60, 60), (61, 61), (128, 61)])
def test_sixty_bad_pages_are_reported_and_then_it_is_quiet(bad, lines):
    # One more line says that the rest is missing.
    machine = booted(debug_vm=True)
    head = take(machine, 7)
    machine.kernel.memmap.set_type(head, bad, PageType.OFFLINE)
    __free_pages(machine.kernel, head, 7)
    assert len(bad_reports(machine)) == 60
    assert machine.kernel.bad_pages == bad
    assert len(machine.log) == lines


def test_freeing_what_is_not_allocated_is_refused_by_its_pfn():
    with pytest.raises(BadPage, match="pfn 0x100000 has refcount 0: it is not allocated"):
        __free_pages(booted().kernel, P)


def test_a_block_with_two_references_is_not_freed_by_dropping_one():
    machine = booted()
    pfn = take(machine)
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    __free_pages(machine.kernel, pfn)
    assert machine.page(pfn).refcount == 1
    assert machine.zone("Normal").nr_free_pages == 32767
    __free_pages(machine.kernel, pfn)
    assert machine.zone("Normal").nr_free_pages == 32768


# ---- __free_pages_core() ----------------------------------------------------------------------------


def newborn(release, patch, *, reserved=False, offline=False, debug_vm=False):
    """Return a machine with a block of order 10 at P that the buddy has never seen."""
    machine = booted(release, patch, debug_vm=debug_vm)
    kernel, head = machine.kernel, take(machine, 10)
    kernel.memmap.init_pages(head, 1024, machine.zone("Normal").type, 0, 0xFF)
    kernel.page_zone(head).add("managed_pages", -1024)
    kernel.state.totalram_pages_add(-1024)
    if reserved:
        kernel.memmap.set_flags(head, 1024, PageFlag.RESERVED)
    if offline:
        kernel.memmap.set_type(head, 1024, PageType.OFFLINE)
    return machine


def test_before_the_patch_hotplugged_pages_lose_reserved_when_they_are_freed():
    for release in ("6.1", "6.12"):
        machine = newborn(release, BEFORE, reserved=True)
        __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
        assert {machine.page(P + at).flags for at in (0, 1, 1023)} == {PageFlag(0)}
        assert machine.page(P).order == 10


def test_after_the_patch_hotplugged_pages_lose_offline_when_they_are_freed():
    for release in ("6.1", "6.12"):
        machine = newborn(release, AFTER, offline=True)
        __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
        assert not any(machine.page(P + at).offline for at in (0, 1, 1023))
        assert machine.page(P).order == 10


def test_boot_pages_lose_reserved_before_and_after_the_patch():
    for patch in (BEFORE, AFTER):
        machine = newborn("6.12", patch, reserved=True)
        __free_pages_core(machine.kernel, P, 10, MEMINIT_EARLY)
        assert not machine.page(P + 7).reserved


def test_boot_pages_move_the_zones_counter_and_not_memtotal():
    # MemTotal is added once, when all of boot memory is free.
    for patch in (BEFORE, AFTER):
        machine = newborn("6.12", patch)
        total = machine.totalram_pages
        __free_pages_core(machine.kernel, P, 10, MEMINIT_EARLY)
        assert machine.zone("Normal").managed_pages == 32768
        assert machine.totalram_pages == total


@pytest.mark.parametrize("context_known", [False, True])
def test_only_with_meminit_context_hotplugged_pages_move_memtotal_here(context_known):
    patch = AFTER if context_known else Patch.without({Hunk.MEMINIT_CONTEXT})
    machine = newborn("6.12", patch, offline=True)
    total = machine.totalram_pages
    __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
    assert machine.totalram_pages == total + 1024 * context_known
    assert machine.zone("Normal").managed_pages == 32768


def test_every_page_that_is_given_to_the_buddy_counts_as_managed_and_has_no_reference():
    machine = newborn("6.12", AFTER, offline=True)
    __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
    memmap = machine.kernel.memmap
    assert all(memmap.flags(P + at) & MANAGED for at in range(1024))
    assert {memmap.refcount(P + at) for at in range(1024)} == {0}


def test_the_block_is_freed_to_the_tail():
    machine = newborn("6.12", AFTER, offline=True)
    __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
    assert free_list(machine, 10)[-1] == P


def test_a_stray_reserved_page_is_warned_about_once_after_the_patch_with_debug_vm():
    machine = newborn("6.12", AFTER, reserved=True, debug_vm=True)
    for _ in range(2):
        __free_pages_core(machine.kernel, P, 0, MEMINIT_HOTPLUG)
        machine.kernel.memmap.set_flags(P, 1, PageFlag.RESERVED)
    assert [line for line in machine.log if line.startswith("WARNING")] == [
        "WARNING: PageReserved at __free_pages_core"
    ]


def test_before_the_patch_a_reserved_page_is_what_is_expected():
    machine = newborn("6.12", BEFORE, reserved=True, debug_vm=True)
    __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
    assert machine.log == []


def test_a_page_that_is_already_free_of_its_mark_is_tolerated_by_6_12():
    # The byte encoding lets Offline be cleared where there is no type.
    machine = newborn("6.12", AFTER, debug_vm=True)
    __free_pages_core(machine.kernel, P, 10, MEMINIT_HOTPLUG)
    assert machine.page(P).order == 10
    assert machine.log == []


def test_freeing_one_page_at_a_time_ends_in_the_same_block_as_freeing_it_whole():
    # Hyper-V frees single pages; merging does the rest.
    machine = newborn("6.12", AFTER, offline=True)
    for pfn in range(P, P + 1024):
        __free_pages_core(machine.kernel, pfn, 0, MEMINIT_HOTPLUG)
    assert machine.page(P).order == 10
    assert machine.zone("Normal").managed_pages == 32768


def test_a_merge_stops_where_an_isolated_pageblock_begins():
    machine = booted()
    kernel = machine.kernel
    head = take(machine, 10)
    kernel.memmap.set_migratetype(head + 512, 512, ISOLATE)
    kernel.memmap.set_refcount(head, 1, 0)
    zone = machine.zone("Normal")
    __free_one_page(kernel, zone, head + 512, 9, ISOLATE)
    __free_one_page(kernel, zone, head, 9, MOVABLE)
    assert free_list(machine, 9, MOVABLE) == [head]
    assert free_list(machine, 9, ISOLATE) == [head + 512]


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_each_page_of_a_huge_page_is_movable_when_a_pageblock_is_judged(release):
    # PageLRU() of a tail page asks its head: move_freepages() (6.1), prep_move_freepages_block() (later).
    # 128 pages are free, 384 are movable; so nothing but the free ones suits an unmovable request.
    machine = booted(release, pages=1024)
    machine.allocate(512)
    huge = [pfn for _ in range(8) for pfn in machine.allocate(1, "movable", order=6)]
    machine.free([pfn for pfn in huge if pfn in range(P + 512, P + 512 + 128)], order=6)
    take(machine, migratetype=UNMOVABLE)
    assert machine.kernel.memmap.migratetype(P + 512) == MOVABLE


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_pageblock_that_is_not_whole_in_its_zone_is_not_claimed(release):
    # prep_move_freepages_block(); move_freepages_block() in 6.1: a zone may end within a pageblock.
    machine = booted(release, pages=1024 + 128 + 32)
    machine.allocate(1, "movable", order=10)
    pfn = take(machine, migratetype=UNMOVABLE)
    assert machine.kernel.memmap.migratetype(P + 1024) == MOVABLE
    if release == "6.1":  # the largest block moves, and it alone
        assert pfn == P + 1024
        assert free_list(machine, 6, UNMOVABLE) == [P + 1024 + 64]
        assert free_list(machine, 5, MOVABLE) == [P + 1024 + 128]
    else:  # the smallest is taken, and its rest stays where it was
        assert pfn == P + 1024 + 128
        assert free_list(machine, 7, MOVABLE) == [P + 1024]
        assert free_list(machine, 4, MOVABLE) == [P + 1024 + 128 + 16]


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_pageblock_in_which_its_zone_begins_is_not_claimed_but_by_6_1(release):
    # As above; 6.1 moves from the block that it found on, and asks for half of the pageblock all the same.
    machine = Machine([(P + 64, 1024 - 64)], release=release)
    machine.allocate(1, "movable", order=9)  # the second pageblock
    pfn = take(machine, migratetype=UNMOVABLE)
    assert machine.kernel.memmap.migratetype(P) == (UNMOVABLE if release == "6.1" else MOVABLE)
    # 6.1 moved the block of order 8 at P + 256, but not those in front of it: of order 7 and 6.
    assert pfn == (P + 256 if release == "6.1" else P + 64)
    assert free_list(machine, 7, MOVABLE) == [P + 128]


@pytest.mark.parametrize("release", ["6.11", "6.12", "7.3"])
def test_6_11_splits_the_largest_block_of_a_pageblock_that_it_cannot_claim(release):
    # steal_suitable_fallback(), 6.10 to 6.13; __rmqueue_steal(), later.
    machine = full(movable=True, release=release)
    free_range(machine, P + 512, 128)
    free_range(machine, P + 512 + 384, 2)
    pfn = take(machine, migratetype=UNMOVABLE)
    assert pfn == (P + 512 if release == "6.11" else P + 512 + 384)
    assert machine.kernel.memmap.migratetype(P + 512) == MOVABLE
    assert free_list(machine, 6, MOVABLE) == ([P + 512 + 64] if release == "6.11" else [])
