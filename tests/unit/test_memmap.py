"""struct pages: who sees a write, what may be read, what debug_vm refuses (mm_types.h, page-flags.h)."""

from __future__ import annotations

import pytest

from memsim.errors import BadPage, KernelBug
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import NO_TYPE, PageFlag, PageType, PageTypeEncoding
from memsim.state.memmap import Memmap

FIRST, SECOND = 0x100000, 0x108000  # the first pages of sections 32 and 33
BITS, BYTE = PageTypeEncoding("inverted-bits"), PageTypeEncoding("byte")
ENCODINGS = pytest.mark.parametrize("encoding", [BITS, BYTE], ids=["bits", "byte"])


def memmap_of(encoding=BYTE, *, debug_vm=False):
    """Return two sections that are online and initialised alike."""
    memmap = Memmap(encoding, debug_vm=debug_vm)
    for nr in (32, 33):
        memmap.add_section(nr)
        memmap.set_online(nr, online=True)
    memmap.init_pages(FIRST, 65536, ZoneType.NORMAL, 0, NO_TYPE)
    return memmap


def test_an_initialised_page_has_refcount_1_its_zone_and_nothing_else():
    page = memmap_of().page(FIRST + 77)
    assert (page.pfn, page.zone, page.refcount, page.order) == (FIRST + 77, ZoneType.NORMAL, 1, 0)
    assert page.flags == PageFlag(0)
    assert page.types == frozenset()
    assert not page.managed
    assert not page.present


def test_a_write_to_one_section_does_not_show_in_another_that_looked_the_same():
    memmap = memmap_of()
    memmap.set_refcount(FIRST + 5, 1, 7)
    memmap.set_flags(FIRST + 5, 1, PageFlag.DIRTY)
    memmap.set_buddy_order(FIRST, 10)
    assert memmap.raw(SECOND + 5).refcount == 1
    assert memmap.raw(SECOND + 5).flags == PageFlag(0)
    assert not memmap.raw(SECOND).buddy


def test_a_write_to_a_page_type_array_does_not_show_in_another_section():
    memmap = memmap_of()
    memmap.set_type(FIRST, 32768, PageType.OFFLINE)
    memmap.clear_type(FIRST + 1, 1, PageType.OFFLINE)
    memmap.set_type(SECOND, 32768, PageType.OFFLINE)
    assert not memmap.raw(FIRST + 1).offline
    assert memmap.raw(SECOND + 1).offline


def test_a_write_after_a_copy_shows_only_where_it_was_made():
    memmap = memmap_of()
    twin = memmap.copy()
    memmap.set_refcount(FIRST, 1, 2)
    twin.set_refcount(FIRST, 1, 3)
    assert (memmap.raw(FIRST).refcount, twin.raw(FIRST).refcount) == (2, 3)


def test_pageblock_types_and_section_flags_of_a_copy_are_its_own():
    memmap = memmap_of()
    twin = memmap.copy()
    memmap.set_migratetype(FIRST, 512, MigrateType.ISOLATE)
    memmap.set_online(32, online=False)
    memmap.remove_section(33)
    assert twin.raw(FIRST).migratetype == MigrateType.UNMOVABLE
    assert twin.page(FIRST).refcount == 1
    assert twin.pfn_valid(SECOND)


def test_a_write_to_a_copy_of_a_section_that_was_written_before_stays_in_the_copy():
    memmap = memmap_of()
    memmap.set_refcount(FIRST, 1, 2)  # the section now has arrays of its own
    twin = memmap.copy()
    twin.set_refcount(FIRST + 1, 1, 9)
    assert memmap.raw(FIRST + 1).refcount == 1


def test_a_page_without_a_memmap_is_refused_by_its_pfn():
    memmap = memmap_of()
    with pytest.raises(BadPage, match="pfn 0x110000 has no struct page"):
        memmap.page(0x110000)
    assert not memmap.pfn_valid(0x110000)
    assert memmap.pfn_to_online_page(0x110000) is None


def test_a_page_of_a_section_that_is_not_online_is_refused_by_its_pfn():
    memmap = memmap_of()
    memmap.set_online(32, online=False)
    with pytest.raises(BadPage, match="pfn 0x100003 is in a section that is not online"):
        memmap.page(FIRST + 3)


def test_pfn_to_online_page_looks_at_the_section_and_not_at_flag_or_type():
    memmap = memmap_of()
    memmap.set_flags(FIRST, 1, PageFlag.RESERVED)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    assert memmap.pfn_to_online_page(FIRST).offline
    memmap.set_online(32, online=False)
    assert memmap.pfn_to_online_page(FIRST) is None
    assert memmap.pfn_valid(FIRST)


@ENCODINGS
def test_poison_read_raw_has_every_flag_and_no_type_and_refcount_minus_1(encoding):
    # All bytes 0xff: PageReserved() would be true, which is an artefact of poison and not of hot-add.
    memmap = memmap_of(encoding)
    memmap.poison(FIRST, 1)
    page = memmap.raw(FIRST)
    assert page.reserved
    assert page.types == frozenset()
    assert page.refcount == -1
    assert memmap.encoding.page_type(memmap.stored_type(FIRST)) == 0xFFFFFFFF


def test_a_section_that_was_just_added_is_poison_and_not_online():
    memmap = Memmap(BYTE)
    memmap.add_section(32)
    assert memmap.pfn_valid(FIRST)
    assert memmap.raw(FIRST).refcount == -1
    assert memmap.pfn_to_online_page(FIRST) is None


def test_a_range_that_reaches_into_a_missing_section_is_refused_by_the_first_pfn_without_a_page():
    with pytest.raises(BadPage, match="pfn 0x110000"):
        memmap_of().set_refcount(SECOND, 40000, 0)


def test_a_range_over_a_section_border_is_written_on_both_sides_and_no_further():
    memmap = memmap_of()
    memmap.set_refcount(SECOND - 2, 4, 5)
    around = [memmap.refcount(pfn) for pfn in range(SECOND - 3, SECOND + 3)]
    assert around == [1, 5, 5, 5, 5, 1]


def test_an_empty_range_changes_nothing():
    memmap = memmap_of()
    memmap.set_refcount(FIRST, 0, 9)
    assert memmap.refcount(FIRST) == 1


def test_a_range_gives_a_migratetype_to_the_pageblocks_that_start_in_it():
    memmap = memmap_of()
    memmap.set_migratetype(FIRST + 1, 1023, MigrateType.MOVABLE)
    types = [memmap.migratetype(FIRST + block * 512) for block in range(3)]
    assert types == [MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.UNMOVABLE]


def test_taking_a_block_off_a_free_list_clears_buddy_and_order():
    memmap = memmap_of()
    memmap.set_buddy_order(FIRST, 10)
    assert memmap.buddy_order(FIRST) == 10
    memmap.clear_buddy(FIRST)
    assert memmap.buddy_order(FIRST) == -1
    assert memmap.raw(FIRST).order == 0


def test_buddy_on_an_offline_page_piles_up_in_6_1_and_replaces_it_in_6_12():
    seen = {}
    for encoding in (BITS, BYTE):
        memmap = memmap_of(encoding)
        memmap.set_type(FIRST, 1, PageType.OFFLINE)
        memmap.set_buddy_order(FIRST, 10)
        seen[encoding.name] = memmap.raw(FIRST).types
    assert seen["inverted-bits"] == {PageType.BUDDY, PageType.OFFLINE}
    assert seen["byte"] == {PageType.BUDDY}


@ENCODINGS
def test_page_mapcount_reset_takes_every_type_away(encoding):
    memmap = memmap_of(encoding)
    memmap.set_type(FIRST, 2, PageType.OFFLINE)
    memmap.reset_type(FIRST)
    assert memmap.raw(FIRST).types == frozenset()
    assert memmap.raw(FIRST + 1).offline


# ---- what debug_vm adds ----------------------------------------------------------------------------


def test_debug_vm_on_6_12_forbids_a_second_type():
    memmap = memmap_of(BYTE, debug_vm=True)
    memmap.set_type(FIRST + 9, 1, PageType.OFFLINE)
    with pytest.raises(KernelBug, match="__SetPageBuddy: pfn 0x100009 has page_type 0xf1000000"):
        memmap.set_buddy_order(FIRST + 9, 0)
    with pytest.raises(KernelBug, match="__SetPageTable: pfn 0x100009"):
        memmap.set_type(FIRST, 32, PageType.TABLE)


def test_debug_vm_asks_only_the_page_that_becomes_buddy():
    memmap = memmap_of(BYTE, debug_vm=True)
    memmap.set_type(FIRST + 1, 1, PageType.OFFLINE)
    memmap.set_buddy_order(FIRST, 0)
    assert memmap.raw(FIRST).buddy


def test_debug_vm_on_6_12_forbids_clearing_another_type():
    memmap = memmap_of(BYTE, debug_vm=True)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    with pytest.raises(KernelBug, match="__ClearPageBuddy: pfn 0x100000 has page_type 0xf1000000"):
        memmap.clear_buddy(FIRST)


def test_debug_vm_on_6_12_lets_a_type_be_set_twice_and_cleared_where_there_is_none():
    memmap = memmap_of(BYTE, debug_vm=True)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    memmap.clear_type(FIRST, 2, PageType.OFFLINE)
    assert memmap.raw(FIRST).types == frozenset()


def test_debug_vm_on_6_1_forbids_clearing_a_type_that_is_not_set():
    memmap = memmap_of(BITS, debug_vm=True)
    memmap.set_type(FIRST, 4, PageType.OFFLINE)
    with pytest.raises(KernelBug, match="__ClearPageOffline: pfn 0x100004 has page_type 0xffffffff"):
        memmap.clear_type(FIRST, 8, PageType.OFFLINE)


def test_debug_vm_on_6_1_lets_types_pile_up():
    memmap = memmap_of(BITS, debug_vm=True)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    memmap.set_buddy_order(FIRST, 0)
    memmap.clear_type(FIRST, 1, PageType.OFFLINE)
    assert memmap.raw(FIRST).types == {PageType.BUDDY}


def test_a_page_on_which_a_check_hits_is_not_written():
    memmap = memmap_of(BITS, debug_vm=True)
    memmap.set_type(FIRST, 4, PageType.OFFLINE)
    with pytest.raises(KernelBug):
        memmap.clear_type(FIRST, 8, PageType.OFFLINE)
    assert memmap.raw(FIRST).offline


@ENCODINGS
def test_without_debug_vm_no_type_operation_is_refused(encoding):
    memmap = memmap_of(encoding)
    memmap.set_type(FIRST, 1, PageType.OFFLINE)
    memmap.clear_buddy(FIRST)
    memmap.clear_type(FIRST, 1, PageType.OFFLINE)
    memmap.clear_type(FIRST, 1, PageType.OFFLINE)
    assert memmap.raw(FIRST).types == frozenset()


def test_a_range_gives_its_type_to_every_pageblock_that_starts_in_it():
    # The kernel calls set_pageblock_migratetype() for pageblock after pageblock, from the start of a range.
    memmap = memmap_of()
    memmap.set_migratetype(FIRST, 2048, MigrateType.MOVABLE)
    memmap.set_migratetype(FIRST + 512, 513, MigrateType.UNMOVABLE)
    names = [MigrateType(memmap.migratetype(FIRST + block * 512)).name for block in range(4)]
    assert names == ["MOVABLE", "UNMOVABLE", "UNMOVABLE", "MOVABLE"]
