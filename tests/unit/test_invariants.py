"""Every invariant can be broken, and is then named with the first page that breaks it."""

from __future__ import annotations

import pytest

from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Patch

P, N = 0x100000, 32768
MOVABLE, UNMOVABLE = MigrateType.MOVABLE, MigrateType.UNMOVABLE


def onlined(release="6.12", patch=AFTER):
    """Return a machine with block 32 online in ZONE_MOVABLE; one page of it, the first, is used."""
    machine = Machine([(0, N)], patch, release)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    machine.allocate(1, block=32)
    assert machine.check() == []
    return machine


def broken(machine):
    """Return {name: first pfn} of the invariants that do not hold."""
    return {violation.name: violation.pfn for violation in machine.check()}


# Each of these breaks one rule. P is used; P + 2048 heads a free block of order 10.
PAGES = {
    "offline-free": (lambda memmap: memmap.set_type(P + 2050, 7, PageType.OFFLINE), P + 2050),
    "offline-managed": (lambda memmap: memmap.set_type(P, 1, PageType.OFFLINE), P),
    "free-refcount": (lambda memmap: memmap.set_refcount(P + 2051, 3, 1), P + 2051),
    "free-flags": (lambda memmap: memmap.set_flags(P + 2052, 2, PageFlag.LRU), P + 2052),
    "buddy-free": (lambda memmap: memmap.set_buddy_order(P, 0), P),
    "reserved-hotplug": (lambda memmap: memmap.set_flags(P, 1, PageFlag.RESERVED), P),
    "leaked": (lambda memmap: memmap.set_refcount(P, 1, 0), P),
    "head": (lambda memmap: memmap.clear_buddy(P + 2048), P + 2048),
    "list-type": (lambda memmap: memmap.set_migratetype(P + 2048, 1024, UNMOVABLE), P + 2048),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_breaks_a_rule_is_named(name):
    machine = onlined()
    corrupt, first = PAGES[name]
    corrupt(machine.kernel.memmap)
    assert broken(machine).get(name) == first


def test_the_number_of_pages_that_break_a_rule_is_told():
    machine = onlined()
    machine.kernel.memmap.set_type(P + 2050, 7, PageType.OFFLINE)
    texts = [str(violation) for violation in machine.check() if violation.name == "offline-free"]
    assert texts == [
        "offline-free: no page of a free block is of type Offline; first at pfn 0x100802; 7 pages break it"
    ]


def test_a_page_that_is_buddy_and_offline_is_named_where_the_encoding_allows_it():
    machine = onlined("6.1")
    machine.kernel.memmap.set_type(P + 2048, 1, PageType.OFFLINE)
    assert broken(machine)["buddy-offline"] == P + 2048
    machine = onlined("6.12")
    machine.kernel.memmap.set_type(P + 2048, 1, PageType.OFFLINE)
    assert "buddy-offline" not in broken(machine)  # it is no longer Buddy: that is another rule
    assert broken(machine)["head"] == P + 2048


def test_a_reserved_page_in_a_hotplugged_block_breaks_a_rule_only_after_the_patch():
    for patch in (BEFORE, Patch.parse("MM_INIT,PAGE_ALLOC")):
        machine = onlined(patch=patch)
        machine.kernel.memmap.set_flags(P, 1, PageFlag.RESERVED)
        assert machine.check() == []


def test_a_reserved_page_of_boot_memory_breaks_no_rule():
    assert Machine([(0, N)], reserved=[(0, 1000)]).check() == []


def test_a_list_of_another_type_than_its_pageblock_is_6_1s_good_right():
    machine = onlined("6.1")
    machine.kernel.memmap.set_migratetype(P + 2048, 1024, UNMOVABLE)
    assert machine.check() == []


def move(zone, pfn, order, to_pfn, to_order):
    """Replace an entry of a free list by another."""
    zone.del_from_free_list(pfn, order, MOVABLE)
    zone.add_to_free_list(to_pfn, to_order, MOVABLE)


def test_a_free_block_that_is_not_aligned_to_its_size_is_named():
    machine = onlined()
    move(machine.zone("Movable"), P + 2048, 10, P + 2049, 10)
    assert broken(machine)["alignment"] == P + 2049


def test_a_block_on_the_list_of_another_order_is_named():
    machine = onlined()
    move(machine.zone("Movable"), P + 2048, 10, P + 2048, 9)
    assert broken(machine)["head"] == P + 2048


def test_two_free_partners_that_were_not_merged_are_named():
    machine = onlined()
    zone = machine.zone("Movable")
    zone.del_from_free_list(P + 2048, 10, MOVABLE)
    for half in (P + 2048, P + 2048 + 512):
        machine.kernel.memmap.set_buddy_order(half, 9)
        zone.add_to_free_list(half, 9, MOVABLE)
    assert set(broken(machine)) == {"unmerged"}


def test_two_halves_of_which_one_is_isolated_need_not_be_merged():
    machine = onlined()
    zone, memmap = machine.zone("Movable"), machine.kernel.memmap
    zone.del_from_free_list(P + 2048, 10, MOVABLE)
    for half, kind in ((P + 2048, MOVABLE), (P + 2048 + 512, MigrateType.ISOLATE)):
        memmap.set_buddy_order(half, 9)
        memmap.set_migratetype(half, 512, kind)
        zone.add_to_free_list(half, 9, kind)
    zone.add("nr_free_pages", -512)
    zone.add("nr_isolate_pageblock", 1)
    assert machine.check() == []


def test_free_blocks_that_overlap_are_named():
    machine = onlined()
    machine.kernel.memmap.set_buddy_order(P + 2048 + 512, 9)
    machine.zone("Movable").add_to_free_list(P + 2048 + 512, 9, MOVABLE)
    machine.zone("Movable").add("nr_free_pages", 512)
    assert "overlap" in broken(machine)


@pytest.mark.parametrize(
    ("counter", "name"),
    [
        ("managed_pages", "managed"),
        ("present_pages", "present"),
        ("nr_free_pages", "free"),
        ("nr_isolate_pageblock", "isolate"),
    ],
)
@pytest.mark.parametrize("wrong_by", [-1, 1])
def test_a_counter_that_does_not_agree_with_the_pages_is_named(counter, name, wrong_by):
    machine = onlined()
    machine.zone("Movable").add(counter, wrong_by)
    assert name in broken(machine)


@pytest.mark.parametrize("wrong_by", [-1, 1])
def test_memtotal_that_is_not_the_sum_of_the_zones_is_named(wrong_by):
    machine = onlined()
    machine.kernel.state.totalram_pages_add(wrong_by)
    assert set(broken(machine)) == {"totalram"}


def test_managed_above_present_and_present_above_spanned_are_named():
    machine = onlined()
    zone = machine.zone("Movable")
    zone.set_span(P, N - 512)
    assert set(broken(machine)) == {"zone-order"}
    zone.set_span(P, N)
    zone.add("present_pages", -512)
    assert "zone-order" in broken(machine)


def test_the_pages_that_hold_a_memmap_are_neither_free_nor_leaked():
    machine = Machine([(0x200000, N)])
    machine.add_memory(P, 2 * N)
    assert machine.check() == []


def test_stale_pages_of_a_section_that_is_offline_break_no_rule():
    machine = onlined()
    machine.offline(32)
    machine.kernel.memmap.set_flags(P, N, PageFlag.RESERVED)
    machine.kernel.memmap.set_type(P, N, PageType.OFFLINE)
    assert machine.check() == []


def test_each_zone_is_held_against_its_own_pages():
    machine = onlined()
    machine.zone("Movable").add("managed_pages", -1)
    machine.kernel.zone(ZoneType.DMA32).add("managed_pages", 1)
    texts = [str(violation) for violation in machine.check() if violation.name == "managed"]
    assert ["DMA32" in text for text in texts] == [True, False]
    assert "the counter says 32767, the pages 32768" in texts[1]
