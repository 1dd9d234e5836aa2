"""Zones, their counters and free lists (include/linux/mmzone.h)."""

from __future__ import annotations

from memsim.linux.include.mmzone import FALLBACKS, MigrateType, Zone, ZoneType, migratetype_is_mergeable
from memsim.linux.mm.page_alloc.free_lists import get_page_from_free_area
from memsim.release import RELEASES
from memsim.state.memmap import Memmap
from memsim.state.sharing import share
from memsim.state.state import State

UNMOVABLE, MOVABLE, RECLAIMABLE = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE


def test_zones_and_migratetypes_have_the_kernels_numbers():
    assert [zone.name for zone in ZoneType] == ["DMA", "DMA32", "NORMAL", "MOVABLE", "DEVICE"]
    # Debian builds without CONFIG_CMA, so ISOLATE is 4.
    assert [kind.name for kind in MigrateType] == [
        "UNMOVABLE",
        "MOVABLE",
        "RECLAIMABLE",
        "HIGHATOMIC",
        "ISOLATE",
    ]


def test_only_the_types_of_per_cpu_lists_are_mergeable():
    mergeable = {kind for kind in MigrateType if migratetype_is_mergeable(kind)}
    assert mergeable == {UNMOVABLE, MOVABLE, RECLAIMABLE}


def test_the_fallbacks_are_the_kernels_and_isolate_has_none():
    assert FALLBACKS == {
        UNMOVABLE: (RECLAIMABLE, MOVABLE),
        MOVABLE: (RECLAIMABLE, UNMOVABLE),
        RECLAIMABLE: (UNMOVABLE, MOVABLE),
    }


def test_what_is_added_is_taken_next_and_what_is_added_at_the_tail_is_taken_last():
    zone = Zone(ZoneType.NORMAL)
    zone.add_to_free_list(10, 0, MOVABLE)
    zone.add_to_free_list(20, 0, MOVABLE)
    zone.add_to_free_list_tail(30, 0, MOVABLE)
    taken = []
    while zone.nr_free(0):
        taken.append(get_page_from_free_area(zone.free_area[0][MOVABLE], None))
        zone.del_from_free_list(taken[-1], 0, MOVABLE)
    assert taken == [20, 10, 30]


def test_nr_free_counts_the_blocks_of_all_migratetypes_isolate_too():
    zone = Zone(ZoneType.NORMAL)
    for pfn, migratetype in ((0, UNMOVABLE), (1024, MOVABLE), (2048, MigrateType.ISOLATE)):
        zone.add_to_free_list(pfn, 10, migratetype)
    assert zone.nr_free(10) == 3


def test_a_zone_with_a_span_and_no_present_page_is_not_populated():
    zone = Zone(ZoneType.MOVABLE)
    zone.set_span(0x100000, 32768)
    assert zone.zone_end_pfn == 0x108000
    assert not zone.populated
    zone.add("present_pages", 1)
    assert zone.populated


def test_a_copy_of_a_zone_does_not_see_later_writes():
    zone = Zone(ZoneType.NORMAL)
    zone.add_to_free_list(0, 10, MOVABLE)
    twin = zone.copy()
    zone.add("managed_pages", 1024)
    zone.del_from_free_list(0, 10, MOVABLE)
    assert twin.managed_pages == 0
    assert list(twin.free_area[10][MOVABLE]) == [0]


def test_a_zone_that_shares_its_free_lists_and_its_twin_never_see_each_other_s_writes():
    zone = Zone(ZoneType.NORMAL)
    for pfn in (0, 1024, 2048):
        zone.add_to_free_list_tail(pfn, 10, 1)
    state = State(Memmap(RELEASES["6.12"].encoding), [zone])
    shared = share(state)
    (twin,), (third,) = shared.zones, share(shared).zones
    fourth = twin.copy()
    zone.add_to_free_list(4096, 10, 1)
    twin.del_from_free_list(1024, 10, 1)
    third.add_to_free_list_tail(8192, 10, 1)
    fourth.free_area[10][1].clear()  # a copy may be written to in any way
    twin.add_to_free_list(512, 9, 1)
    lists = [list(each.free_area[10][1]) for each in (zone, twin, third)]
    # The right end is the head: tail adds come in on the left.
    assert lists == [[2048, 1024, 0, 4096], [2048, 0], [8192, 2048, 1024, 0]]
    assert [each.nr_free(9) for each in (zone, twin, third)] == [0, 1, 0]
