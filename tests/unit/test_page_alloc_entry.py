"""Per-cpu lists and watermarks, between callers and the buddy (mm/page_alloc.c)."""

from __future__ import annotations

import pytest

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.mm.page_alloc.api import drain_all_pages, zone_batchsize, zone_highsize, zone_pcp_enable
from memsim.linux.mm.page_alloc.api import zone_pcp_disable as disable
from memsim.linux.mm.page_alloc.watermarks import (
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
    lowmem_reserve,
    zone_watermark_ok,
)
from memsim.machine.machine import Machine

P, N = 0x100000, 32768
UNMOVABLE, MOVABLE = MigrateType.UNMOVABLE, MigrateType.MOVABLE
RECLAIMABLE, HIGHATOMIC = MigrateType.RECLAIMABLE, MigrateType.HIGHATOMIC


def with_lists(pages=N):
    """Return a machine with memory in ZONE_NORMAL and per-cpu lists, and that zone."""
    machine = Machine([(P, pages)], per_cpu_lists=True)
    return machine, machine.zone("Normal")


def on_lists(zone):
    """Return (order, migratetype) -> pfns of the lists that are not empty, the next to be taken last."""
    return {key: list(pfns) for key, pfns in zone.pcp.items() if pfns}


# ---- freeing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(11))
def test_orders_0_to_3_and_huge_pages_are_kept_and_others_go_to_the_buddy(order):
    # pcp_allowed_order(): up to PAGE_ALLOC_COSTLY_ORDER, and pageblock_order.
    machine, zone = with_lists(8 * N)  # in 128 MiB a huge page would be too much
    (pfn,) = machine.allocate(1, "unmovable", order=order)
    drain_all_pages(machine.kernel)
    assert on_lists(zone) == {}
    free, kept = zone.nr_free_pages, order in {0, 1, 2, 3, 9}
    kind = machine.kernel.memmap.migratetype(pfn)
    machine.free([pfn], order=order)
    assert on_lists(zone) == ({(order, kind): [pfn]} if kept else {})
    assert (zone.pcp_count, zone.nr_free_pages - free) == ((1 << order, 0) if kept else (0, 1 << order))
    assert machine.check() == []


@pytest.mark.parametrize(
    ("order", "pageblock", "kept_as"),
    [
        (0, UNMOVABLE, UNMOVABLE),
        (0, RECLAIMABLE, RECLAIMABLE),
        (3, RECLAIMABLE, RECLAIMABLE),
        (3, HIGHATOMIC, MOVABLE),
        (9, MOVABLE, MOVABLE),
        (9, UNMOVABLE, UNMOVABLE),
        (9, RECLAIMABLE, UNMOVABLE),
        (9, HIGHATOMIC, MOVABLE),
    ],
)
def test_a_list_is_of_a_type_but_of_huge_pages_there_are_movable_ones_and_others(order, pageblock, kept_as):
    # order_to_pindex(); free_unref_page() takes types beyond MIGRATE_PCPTYPES as movable.
    machine, zone = with_lists(8 * N)  # in 128 MiB a huge page would be too much
    (pfn,) = machine.allocate(1, "unmovable", order=order)
    drain_all_pages(machine.kernel)
    machine.kernel.memmap.set_migratetype(pfn & -512, 512, pageblock)
    machine.free([pfn], order=order)
    assert on_lists(zone) == {(order, kept_as): [pfn]}


def test_a_page_of_an_isolated_pageblock_is_not_kept():
    machine, zone = with_lists()
    pfns = machine.allocate(1, "unmovable")
    drain_all_pages(machine.kernel)
    machine.kernel.memmap.set_migratetype(pfns[0] & -512, 512, MigrateType.ISOLATE)
    machine.free(pfns)
    assert on_lists(zone) == {}


def test_when_there_are_too_many_a_batch_goes_back_to_the_buddy_oldest_first():
    machine, zone = with_lists()
    high, batch = zone_highsize(zone), zone_batchsize(N)
    assert (high, batch) == (max(zone.watermark[WMARK_LOW], 4 * 7), 7)
    pages = machine.allocate(high, "unmovable")
    drain_all_pages(machine.kernel)
    freed = pages[::-1]
    machine.free(pages)  # the last one first
    assert on_lists(zone) == {(0, UNMOVABLE): freed[batch:]}


def test_four_batches_may_be_kept_even_where_the_low_watermark_is_lower():
    _, zone = with_lists()
    zone.set_watermark((0, 27, 54, 81))
    assert zone_highsize(zone) == 4 * 7
    zone.set_watermark((0, 29, 58, 87))
    assert zone_highsize(zone) == 29


def test_nothing_is_kept_while_a_zone_loses_memory():
    machine, zone = with_lists()
    pages = machine.allocate(3, "unmovable")
    machine.free(pages[:1])
    disable(machine.kernel, zone)
    assert zone.pcp_count == 0
    machine.free(pages[1:2])
    assert zone.pcp_count == 0
    zone_pcp_enable(machine.kernel, zone)
    machine.free(pages[2:])
    assert zone.pcp_count == 1


# ---- allocating ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "blocks"), [(0, 7), (1, 3), (2, 2), (3, 2), (9, 2)])
def test_an_empty_list_is_filled_with_a_batch_of_pages_and_with_two_blocks_at_least(order, blocks):
    # __rmqueue_pcplist(), 6.1, and nr_pcp_alloc(), 6.12: max(batch >> order, 2) if batch > 1.
    machine, zone = with_lists()
    machine.allocate(1, "movable", order=order)
    ((key, rest),) = on_lists(zone).items()
    assert key == (order, MOVABLE)
    assert len(rest) == blocks - 1


def test_the_lists_of_a_small_zone_are_filled_with_one_block():
    machine, zone = with_lists(4096)
    machine.allocate(1, "movable", order=3)
    assert on_lists(zone) == {}


def test_a_batch_ends_where_memory_does():
    machine, zone = with_lists(5)
    machine.allocate(5)
    assert (zone.nr_free_pages, zone.pcp_count) == (0, 0)
    with pytest.raises(KernelError, match="ENOMEM"):
        machine.allocate(1)
    assert on_lists(zone) == {}


def test_who_asks_for_pages_of_a_block_gets_none_from_the_lists():
    machine, _ = with_lists(2 * N)
    machine.free(machine.allocate(1, "movable", block=32))
    assert [pfn // N for pfn in machine.allocate(4, "movable", block=33)] == [33] * 4


def test_what_was_freed_last_is_taken_first_and_lists_are_used_before_the_buddy():
    machine, zone = with_lists()
    pages = machine.allocate(7, "unmovable")  # a whole batch: the list is empty again
    assert on_lists(zone) == {}
    free, (first, second) = zone.nr_free_pages, pages[:2]
    machine.free([first])
    machine.free([second])
    assert machine.allocate(2, "unmovable") == [second, first]
    assert zone.nr_free_pages == free


# ---- watermarks ------------------------------------------------------------------------------------


def test_an_allocation_leaves_the_minimum_free_and_takes_the_last_page_above_it():
    # get_page_from_freelist() tries the low mark first, then min: free must stay above the mark.
    machine = Machine([(P, N)], watermarks=True)
    zone = machine.zone("Normal")
    minimum = zone.watermark[WMARK_MIN]
    assert minimum == 362  # 128 MiB: isqrt(4 * 32768 * 16) KiB, a quarter of that in pages
    machine.allocate(N - minimum, "unmovable")
    assert zone.nr_free_pages == minimum
    with pytest.raises(KernelError, match="ENOMEM"):
        machine.allocate(1, "unmovable")


@pytest.mark.parametrize(
    ("mib", "marks"),
    [
        (128, (362, 452, 542)),
        (256, (512, 640, 768)),
        (1024, (1024, 1286, 1548)),
        (4096, (2048, 3096, 4144)),
    ],
)
def test_marks_are_a_quarter_of_the_minimum_or_a_thousandth_of_the_zone_apart(mib, marks):
    # __setup_per_zone_wmarks(), watermark_scale_factor 10; from 1 GiB on the thousandth is more.
    assert Machine([(P, mib << 8)]).zone("Normal").watermark[:3] == marks


@pytest.mark.parametrize(("blocks", "minimum"), [(1, 32), (2, 64), (4, 128), (5, 128)])
def test_zone_movable_has_a_minimum_of_its_own_on_612_and_a_share_on_61(blocks, minimum):
    # 6.12: managed / 1024, at least 32 (SWAP_CLUSTER_MAX) and at most 128, and no part of what zones share.
    marks = {}
    for release in ("6.1", "6.12"):
        machine = Machine([(P, N)], release=release)
        machine.add_memory(P + N, blocks * N)
        for block in range(blocks):
            machine.online(33 + block, "online_movable")
        marks[release] = [machine.zone(name).watermark[WMARK_MIN] for name in ("Normal", "Movable")]
    assert marks["6.12"][1] == minimum
    normal, movable = marks["6.1"]
    assert 0 <= movable - blocks * normal < blocks  # in proportion to their pages, rounded down


@pytest.mark.parametrize(
    ("order", "over", "enough"), [(0, 0, False), (0, 1, True), (3, 7, False), (3, 8, True)]
)
def test_a_block_counts_with_its_pages_but_one(order, over, enough):
    # __zone_watermark_ok(): free - (2^order - 1) must be more than the mark.
    machine = Machine([(P, N)])
    zone = machine.zone("Normal")
    machine.allocate(N // 512 - 1, "unmovable", order=9)
    zone.set_watermark((512 - over,) * 4)
    assert zone.nr_free_pages == 512
    assert zone_watermark_ok(machine.kernel, zone, order, WMARK_HIGH, UNMOVABLE) is enough


def test_enough_pages_are_not_enough_without_a_block_of_the_order():
    machine = Machine([(P, N)])
    zone = machine.zone("Normal")
    pages = machine.allocate(N, "unmovable")
    machine.free([pages.pop(pages.index(P + 2 * each)) for each in range(1024)])
    assert zone.nr_free_pages == 1024
    assert zone_watermark_ok(machine.kernel, zone, 0, WMARK_MIN, UNMOVABLE)
    assert not zone_watermark_ok(machine.kernel, zone, 1, WMARK_MIN, UNMOVABLE)


def test_lower_zones_keep_a_part_of_what_is_above_them_for_those_who_need_them():
    # setup_per_zone_lowmem_reserve(): managed pages above, up to the highest zone, by 256, 256 or 32.
    machine = Machine([(0, P)])
    machine.add_memory(P, 2 * N)
    machine.online(32, "online_kernel")
    machine.online(33, "online_movable")
    kernel, dma, dma32 = machine.kernel, machine.zone("DMA"), machine.zone("DMA32")
    normal, movable = machine.zone("Normal"), machine.zone("Movable")
    assert [zone.managed_pages for zone in kernel.zones] == [4096, P - 4096, N, N, 0]
    assert lowmem_reserve(kernel, dma, ZoneType.DMA) == 0
    assert lowmem_reserve(kernel, dma, ZoneType.DMA32) == (P - 4096) // 256
    assert lowmem_reserve(kernel, dma, ZoneType.MOVABLE) == (P - 4096 + 2 * N) // 256
    assert lowmem_reserve(kernel, dma32, ZoneType.NORMAL) == N // 256
    assert lowmem_reserve(kernel, normal, ZoneType.MOVABLE) == N // 32
    assert lowmem_reserve(kernel, movable, ZoneType.MOVABLE) == 0


def test_a_zone_is_kept_from_requests_that_could_go_higher_and_not_from_others():
    machine = Machine([(0, N)])
    machine.add_memory(P, 2 * N)
    machine.online(32, "online_kernel")
    machine.online(33, "online_movable")
    normal = machine.zone("Normal")
    normal.set_watermark((N - N // 32,) * 4)
    assert normal.nr_free_pages == N
    assert zone_watermark_ok(machine.kernel, normal, 0, WMARK_MIN, UNMOVABLE)
    assert not zone_watermark_ok(machine.kernel, normal, 0, WMARK_MIN, MOVABLE)
