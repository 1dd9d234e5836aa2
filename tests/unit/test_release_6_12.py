"""What 6.12 does for other reasons than the series, and 6.11 and 7.3 with it, but 6.1 does not.

One experiment for each switch of :class:`memsim.release.Release` that 6.1 lacks, on all four releases, so
that a switch that is wrong in any of them is noticed. The rules were read in the sources of 6.1, 6.12 and 7.3
(function and file at each test), and 6.1 and 6.12 are recorded. 6.11's source was not at hand: that it does
what 6.12 does has neither been read nor run.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from memsim import Machine
from memsim.errors import KernelError
from memsim.linux.drivers.virtio.virtio_mem.pages import virtio_mem_fake_offline
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.api import __free_pages
from memsim.linux.mm.page_alloc.watermarks import WMARK_MIN
from memsim.release import RELEASES

from . import test_hv_balloon as hyper_v
from .test_page_alloc import booted, free_list, free_range, full, take

P, N = 0x100000, 32768
UNMOVABLE, MOVABLE, RECLAIMABLE = MigrateType.UNMOVABLE, MigrateType.MOVABLE, MigrateType.RECLAIMABLE
EACH = pytest.mark.parametrize(
    ("release", "new"), [("6.1", False), ("6.11", True), ("6.12", True), ("7.3", True)]
)


def virtio_mem(release, online_type, **spec):
    """Return a machine with a virtio-mem device."""
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": P, "region_pages": 4 * N} | spec
    return Machine([(0, 0x40000)], release=release, default_online_type=online_type, devices=[device])


@EACH
def test_without_page_checks_a_block_with_a_typed_tail_is_leaked_by_6_1_only(release, new):
    # free_pages_prepare(), mm/page_alloc.c: __free_pages_ok() of 6.1 checks always.
    machine = booted(release, check_pages=False)
    head = take(machine, 4)
    machine.kernel.memmap.set_type(head + 3, 1, PageType.OFFLINE)
    __free_pages(machine.kernel, head, 4)
    assert machine.zone("Normal").nr_free_pages == (N if new else N - 16)


@EACH
def test_a_bad_page_keeps_its_type_but_on_6_1(release, new):
    # bad_page(), mm/page_alloc.c: page_mapcount_reset() in 6.1, __ClearPageBuddy() since.
    machine = booted(release)
    head = take(machine, 4)
    machine.kernel.memmap.set_type(head + 3, 1, PageType.OFFLINE)
    __free_pages(machine.kernel, head, 4)
    assert machine.kernel.bad_pages == 1
    assert machine.page(head + 3).offline == new


@EACH
def test_a_block_of_two_pageblocks_is_freed_to_the_list_of_the_first_by_6_1_only(release, new):
    # free_one_page(), mm/page_alloc.c. Since split_large_buddy() the second half is freed by itself, and both
    # end on its list.
    machine = booted(release)
    head = take(machine, 10)
    machine.kernel.memmap.set_migratetype(head, 512, UNMOVABLE)
    machine.kernel.memmap.set_migratetype(head + 512, 512, RECLAIMABLE)
    __free_pages(machine.kernel, head, 10)
    assert free_list(machine, 10, RECLAIMABLE if new else UNMOVABLE) == [head]


@EACH
def test_a_partner_takes_over_the_type_of_the_list_that_it_merges_into_but_on_6_1(release, new):
    # __free_one_page(), mm/page_alloc.c.
    machine = booted(release)
    memmap = machine.kernel.memmap
    first, second = take(machine, 9), take(machine, 9)
    assert second == first ^ 512
    memmap.set_migratetype(first, 512, UNMOVABLE)
    memmap.set_migratetype(second, 512, RECLAIMABLE)
    machine.record()  # so that the kernel's function does it, and not its shortcut
    __free_pages(machine.kernel, first, 9)
    __free_pages(machine.kernel, second, 9)
    machine.stop_recording()
    assert [memmap.migratetype(first), memmap.migratetype(second)] == [
        RECLAIMABLE if new else UNMOVABLE,
        RECLAIMABLE,
    ]


@EACH
def test_an_isolated_range_has_blocks_of_one_pageblock_but_on_6_1(release, new):
    # move_freepages_block_isolate(), mm/page_alloc.c; recordings 6.1-dimm and 6.12-dimm, step 6.
    machine = booted(release)
    orders = []

    def look(action, *_):
        if action == "MEM_GOING_OFFLINE":
            isolated = [machine.zone("Normal").free_area[order][MigrateType.ISOLATE] for order in (9, 10)]
            orders.extend(len(blocks) for blocks in isolated)

    machine.register_memory_notifier(look)
    machine.offline(P // N)
    assert orders == ([64, 0] if new else [0, 32])


@EACH
def test_each_of_two_blocks_holds_its_own_struct_pages_but_on_6_1(release, new):
    # mhp_supports_memmap_on_memory(), mm/memory_hotplug.c; since 6.8.
    machine = Machine(release=release, memmap_on_memory=True)
    machine.add_memory(P, 2 * N)
    for block in (32, 33):
        machine.online(block, "online_movable")
        assert bool(machine.page(block * N).flags & PageFlag.VMEMMAP_SELF_HOSTED) == new


@EACH
def test_zone_movable_has_a_minimum_of_its_own_but_on_6_1(release, new):
    # __setup_per_zone_wmarks(), mm/page_alloc.c: managed / 1024, at least 32 pages.
    machine = Machine([(P, N)], release=release)
    machine.add_memory(P + N, N)
    machine.online(33, "online_movable")
    normal, movable = (machine.zone(name).watermark[WMARK_MIN] for name in ("Normal", "Movable"))
    assert (movable == 32) == new
    assert (movable == normal) == (not new)


@EACH
def test_hyper_v_adds_large_memory_blocks_but_on_6_1(release, new):
    # ha_pages_in_chunk, drivers/hv/hv_balloon.c; HA_CHUNK in 6.1.
    machine, hv = hyper_v.booted(release=release, block_pages=2 * N)
    before = len(machine.kernel.memory_blocks)
    hv.hot_add(P, N + 10)
    assert len(machine.kernel.memory_blocks) - before == new


@pytest.mark.long
@EACH
def test_a_veto_makes_virtio_mem_try_again_later_but_breaks_it_on_6_1(release, new):
    # virtio_mem_offline_and_remove_memory(), drivers/virtio/virtio_mem.c.
    machine = virtio_mem(release, "online", device_block_pages=N, requested_pages=2 * N)
    machine.register_memory_notifier(
        lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_OFFLINE" else None, priority=5
    )
    device = machine.devices["vm0"]
    device.request(N)
    assert (device.broken, device.retry_in is None) == (not new, not new)


@EACH
def test_virtio_mem_asks_for_a_new_configuration_before_it_takes_pages_but_on_6_1(release, new):
    # virtio_mem_fake_offline(), drivers/virtio/virtio_mem.c.
    machine = virtio_mem(release, "online_movable", device_block_pages=512, requested_pages=N)
    device = machine.devices["vm0"]
    device.host.config_changed = True
    with pytest.raises(KernelError, match="EAGAIN") if new else nullcontext():
        virtio_mem_fake_offline(device, P, 512)
    assert machine.page(P).offline == (not new)


@EACH
def test_the_rest_of_a_stolen_block_stays_where_it_was_but_on_6_1(release, new):
    # __rmqueue_steal(), mm/page_alloc.c; steal_suitable_fallback() in 6.1.
    machine = full(movable=False, release=release)
    machine.kernel.memmap.set_migratetype(P, 1024, UNMOVABLE)
    free_range(machine, P + 32, 2)
    assert take(machine, migratetype=MOVABLE) == P + 32
    assert free_list(machine, 0, UNMOVABLE if new else MOVABLE) == [P + 33]


@EACH
def test_a_block_counts_its_poisoned_pages_but_on_6_1(release, new):
    # memblk_nr_poison_inc(), drivers/base/memory.c.
    machine = Machine(release=release)
    machine.add_memory(P, N)
    machine.online(32, "online")
    machine.poison(P + 5)
    assert machine.block(32).nr_hwpoison == new


def test_6_11_is_modelled_as_6_12_with_its_own_page_types_and_two_older_rules():
    ours = RELEASES["6.12"]._asdict() | {"name": "6.11", "encoding": RELEASES["6.11"].encoding}
    ours |= {"steals_from_largest": True, "migrates_last_first": False}
    assert RELEASES["6.11"]._asdict() == ours
    assert RELEASES["6.11"].encoding != RELEASES["6.12"].encoding
