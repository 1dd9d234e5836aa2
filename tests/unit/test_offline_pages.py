"""A block goes offline (offline_pages(), mm/memory_hotplug.c; rows F1 to F6 of the state table)."""

from __future__ import annotations

import pytest

from memsim.errors import BadPage, KernelError
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.memory_hotplug.offline import do_migrate_range, offline_pages
from memsim.linux.mm.memory_hotplug.online import generic_online_page, set_online_page_callback
from memsim.linux.mm.page_alloc.contig import alloc_contig_range
from memsim.linux.mm.page_alloc.isolation import __offline_isolated_pages
from memsim.linux.mm.page_isolation import start_isolate_page_range
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch

P, N = 0x100000, 32768
MOVABLE, UNMOVABLE, ISOLATE = MigrateType.MOVABLE, MigrateType.UNMOVABLE, MigrateType.ISOLATE


def onlined(release="6.12", patch=AFTER, online_type="online_movable", **options):
    """Return a machine with block 32 online and block 33 offline."""
    machine = Machine([(0, N)], patch, release, **options)
    machine.add_memory(P, 2 * N)
    machine.online(32, online_type)
    return machine


def counters(machine, zone="Movable"):
    """Return what must not change when offlining fails."""
    found = machine.zone(zone)
    numbers = (found.spanned_pages, found.present_pages, found.managed_pages, found.nr_isolate_pageblock)
    return (*numbers, machine.totalram_pages)


def pageblock_types(machine):
    """Return the types of block 32's pageblocks."""
    return set(machine.kernel.memmap.section(P).pageblocks)


def actions(machine):
    """Register a listener and return the list of what it hears."""
    heard = []
    machine.register_memory_notifier(lambda action, *_: heard.append(action))
    return heard


def withhold(machine):
    """Let a driver keep the second half of whatever comes online."""

    def first_half(kernel, pfn, order):
        if pfn % N < N // 2:
            generic_online_page(kernel, pfn, order)

    set_online_page_callback(machine.kernel, first_half)


# ---- success ---------------------------------------------------------------------------------------


def test_a_free_block_leaves_no_trace_in_any_counter(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    machine.offline(32)
    assert counters(machine) == (0, 0, 0, 0, N)
    assert machine.zone("Movable").nr_free_pages == 0
    assert machine.zone("Movable").nr_free(10) == machine.zone("Movable").nr_free(9) == 0
    assert not machine.kernel.memmap.section(P).online
    assert machine.block(32).state == "offline"
    assert machine.check() == []


@pytest.mark.parametrize("online_type", ["online_kernel", "online_movable"])
def test_online_and_offline_restore_all_other_blocks_and_their_free_lists(snapshot, kernel_kind, online_type):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    machine.allocate(30, block=32)

    def zones():
        found = snapshot(machine.kernel.state)["zones"]
        for zone in found.values():
            del zone["watermark"]  # computed from the one before, so it depends on what happened
        return found

    before = zones()
    machine.online(33, online_type)
    machine.offline(33)
    assert zones() == before


def test_pages_of_a_block_that_went_offline_mean_nothing(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    machine.offline(32)
    with pytest.raises(BadPage, match="pfn 0x100000 is in a section that is not online"):
        machine.page(P)


def test_the_next_block_stays_as_it_is(snapshot):
    machine = onlined()
    machine.online(33, "online_movable")
    before = snapshot(machine.kernel.state)["sections"][33]
    machine.offline(32)
    assert snapshot(machine.kernel.state)["sections"][33] == before
    assert machine.page(P + N).order == 10


def test_pageblocks_of_an_offline_section_stay_isolated_and_are_not_counted(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    machine.offline(32)
    assert pageblock_types(machine) == {ISOLATE}
    assert machine.zone("Movable").nr_isolate_pageblock == 0


def test_when_the_listeners_are_asked_the_range_is_isolated_and_still_managed(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    tape = machine.record()
    tape.action("offline")
    machine.offline(32)
    zone = tape.at(tape.find(0, "notifier:MEM_GOING_OFFLINE")).zone(ZoneType.MOVABLE)
    assert (zone.nr_free_pages, zone.managed_pages, zone.nr_isolate_pageblock) == (0, N, 64)
    order_9_and_10 = (len(zone.free_area[9][ISOLATE]), len(zone.free_area[10][ISOLATE]))
    # 6.12 isolates pageblock by pageblock and splits; 6.1 moves blocks of order 10 as they are.
    assert order_9_and_10 == ((64, 0) if release == "6.12" else (0, 32))


def test_managed_never_grows_while_a_block_goes_offline():
    machine = onlined()
    machine.allocate(20, block=32)
    tape = machine.record()
    machine.offline(32)
    managed = [tape.at(i).zone(ZoneType.MOVABLE).managed_pages for i in range(0, len(tape), 50)]
    assert managed == sorted(managed, reverse=True)
    assert managed[0] == N


def test_used_movable_pages_are_migrated_and_their_owner_knows_where(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    pages = machine.allocate(700, block=32)
    machine.offline(32)
    assert len(set(pages)) == 700
    assert not any(P <= pfn < P + N for pfn in pages)
    assert all(machine.page(pfn).flags & PageFlag.LRU and machine.page(pfn).refcount == 1 for pfn in pages)
    assert machine.check() == []
    machine.free(pages)
    assert machine.kernel.zone(ZoneType.DMA32).nr_free_pages + machine.zone("DMA").nr_free_pages == N - 1024


def test_movable_pages_of_every_section_are_migrated_in_one_round():
    machine = Machine([(0, N)], block_pages=2 * N)
    machine.add_memory(P, 2 * N)
    machine.online(16, "online_movable")
    huge = [machine.allocate(1, order=9, block=16) for _ in range(65)]
    first, *others, last = huge
    for each in others:
        machine.free(each, order=9)
    assert [first, last] == [[P], [P + N]]
    do_migrate_range(machine.kernel, P, 2 * N)
    assert first != [P]
    assert last != [P + N]


def test_a_page_of_a_kernel_zone_moves_to_a_kernel_zone_and_a_huge_page_anywhere(kernel_kind):
    # alloc_migration_target(), mm/migrate.c: GFP_USER | __GFP_MOVABLE is a request for ZONE_NORMAL;
    # __GFP_HIGHMEM, which makes it one for ZONE_MOVABLE, is added for pages from there, and is part of
    # GFP_TRANSHUGE.
    release, patch = kernel_kind
    machine = onlined(release, patch, "online_kernel")
    machine.online(33, "online_movable")
    small, huge = machine.allocate(3, block=32), machine.allocate(2, order=9, block=32)
    machine.offline(32)
    assert all(pfn < N for pfn in small)
    assert {pfn // N for pfn in huge} == {33}
    assert machine.check() == []


@pytest.mark.long
def test_a_page_of_a_kernel_zone_stays_when_only_zone_movable_has_room():
    machine = onlined(online_type="online_kernel")
    machine.online(33, "online_movable")
    machine.allocate(1, block=32)
    machine.allocate(machine.zone("DMA32").nr_free_pages + machine.zone("DMA").nr_free_pages, block=0)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=2)
    assert machine.zone("Movable").nr_free_pages == N


def test_impatience_ends_with_the_operation():
    machine = onlined()
    (pfn,) = machine.allocate(1, block=32)
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=2)
    machine.kernel.memmap.set_refcount(pfn, 1, 1)
    alloc_contig_range(machine.kernel, P, 512)  # who calls this was sent no signal
    assert machine.page(P).refcount == 1


def test_a_dirty_page_is_migrated_with_its_dirt():
    machine = onlined()
    pages = machine.allocate(1, block=32)
    machine.kernel.memmap.set_flags(pages[0], 1, PageFlag.DIRTY)
    machine.offline(32)
    assert machine.page(pages[0]).flags & PageFlag.DIRTY


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_poisoned_page_on_the_lru_is_taken_off_it_whatever_its_refcount(release):
    # do_migrate_range(), mm/memory_hotplug.c: it isolates such a page and does not try to migrate it. Then
    # test_pages_isolated() finds a poisoned page, which may be forgotten.
    machine = onlined(release)
    (pfn,) = machine.allocate(1, block=32)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.HWPOISON)
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    machine.offline(32, patience=3)
    assert machine.block(32).state == "offline"


def test_a_poisoned_page_is_no_obstacle_and_leaves_the_counters_right(kernel_kind):
    # It was never subtracted from managed when it was poisoned.
    release, patch = kernel_kind
    machine = onlined(release, patch, "online_kernel")
    (pfn,) = machine.allocate(1, "unmovable", block=32)
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.HWPOISON)
    machine.offline(32)
    assert counters(machine, "Normal") == (0, 0, 0, 0, N)


# ---- failures: errno, stage, message ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("pfn", "nr_pages", "rule"),
    [
        (P + 1, N - 1, "must start at a pageblock"),
        (P, 0, "not be empty"),
        (P, N - 512, "must end where a section ends"),
    ],
)
def test_a_misaligned_range_is_einval(snapshot, pfn, nr_pages, rule):
    machine = onlined()
    before = snapshot(machine.kernel.state)
    with pytest.raises(KernelError, match=rule) as caught:
        offline_pages(machine.kernel, pfn, nr_pages, machine.zone("Movable"))
    assert caught.value.name == "EINVAL"
    assert snapshot(machine.kernel.state) == before


def test_a_range_with_a_hole_is_einval_that_names_the_hole():
    machine = Machine([(0, N), (P, N - 512)])
    with pytest.raises(KernelError, match=r"\[0x100000-0x107fff\] has a hole at pfn 0x107e00") as caught:
        machine.offline(32)
    assert caught.value.name == "EINVAL"
    assert machine.log == [
        "memory offlining [mem 0x100000000-0x107ffffff] failed due to memory holes",
    ]


def test_two_resources_without_a_gap_are_no_hole():
    machine = Machine([(0x200000, N), (P, N // 2), (P + N // 2, N // 2)])
    assert machine.offline(32)


def test_a_range_of_two_zones_is_einval_that_names_a_page():
    machine = onlined()
    machine.online(33, "online_kernel")
    before = counters(machine)
    with pytest.raises(KernelError, match="page 0x10ffff is not in zone Movable") as caught:
        offline_pages(machine.kernel, P, 2 * N, machine.zone("Movable"))
    assert caught.value.name == "EINVAL"
    assert machine.log[-1].endswith("failed due to multizone range")
    assert counters(machine) == before


def test_an_unmovable_page_is_ebusy_when_the_range_is_isolated_and_nobody_is_asked(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch, "online_kernel")
    (pfn,) = machine.allocate(1, "unmovable", block=32)
    before, heard = counters(machine, "Normal"), actions(machine)
    with pytest.raises(KernelError, match=f"page {pfn:#x} in pageblock 0x100000 is unmovable") as caught:
        machine.offline(32)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "set_migratetype_isolate")
    assert heard == []
    assert counters(machine, "Normal") == before
    assert machine.log[-1].endswith("failed due to failure to isolate range")
    assert machine.block(32).state == "online"
    assert machine.check() == []


def test_addresses_in_the_log_have_ten_characters_at_least():
    machine = Machine([(0, 2 * N)], reserved=[(N + 5, 1)])  # %#010llx, mm/memory_hotplug.c
    with pytest.raises(KernelError, match="EBUSY"):
        machine.offline(1)
    reason = "failed due to failure to isolate range"
    assert machine.log[-1] == f"memory offlining [mem 0x08000000-0x0fffffff] {reason}"


def test_a_veto_is_told_in_the_log():
    machine = onlined()
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if "GOING" in action else None)
    with pytest.raises(KernelError, match="EPERM"):
        machine.offline(32)
    assert machine.log == ["memory offlining [mem 0x100000000-0x107ffffff] failed due to notifier failure"]


def test_a_pinned_page_is_tried_until_a_signal_comes_and_that_is_eintr(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch)
    pages = machine.allocate(3, block=32)
    pinned = pages[1]
    machine.kernel.memmap.set_refcount(pinned, 1, 2)
    tape = machine.record()
    with pytest.raises(KernelError, match="a signal arrived") as caught:
        machine.offline(32, patience=7)
    assert caught.value.name == "EINTR"
    # The kernel would scan for ever: it scans once more for each round of the user's patience.
    assert sum(event.point.startswith("enter:scan_movable_pages") for _, event in tape.points()) == 7
    assert machine.log[-1].endswith("failed due to signal backoff")
    # What could be migrated stays migrated.
    assert [P <= pfn < P + N for pfn in pages] == [False, True, False]
    assert machine.check() == []


def test_a_kernel_page_in_zone_movable_passes_isolation_and_is_waited_for_in_vain(kernel_kind):
    # Nothing of this kind should be there: the zone is taken at its word, and then it is never free.
    release, patch = kernel_kind
    machine = onlined(release, patch)
    (pfn,) = machine.allocate(1, block=32)
    machine.kernel.memmap.clear_flags(pfn, 1, PageFlag.LRU)
    heard = actions(machine)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32)
    assert heard == ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]


def test_without_room_elsewhere_pages_cannot_be_migrated():
    machine = Machine([(0x200000, 1024)])
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    machine.allocate(20, block=32)
    machine.allocate(512, "unmovable")  # all that the memmap of block 32 leaves
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=2)
    assert machine.check() == []


@pytest.mark.parametrize("failing", ["veto", "pinned"])
def test_a_failure_after_the_isolation_leaves_counters_alone_and_all_pageblocks_movable(kernel_kind, failing):
    release, patch = kernel_kind
    machine = onlined(release, patch, "online_kernel")
    machine.free(machine.allocate(600, "unmovable", block=32))
    assert UNMOVABLE in pageblock_types(machine)
    (pfn,) = machine.allocate(1, block=32)
    before = counters(machine, "Normal")
    if failing == "pinned":
        machine.kernel.memmap.set_refcount(pfn, 1, 2)
    else:
        machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if "GOING" in action else None)
    tape = machine.record()
    with pytest.raises(KernelError):
        machine.offline(32)
    assert counters(machine, "Normal") == before
    assert pageblock_types(machine) == {MOVABLE}
    # managed, present and MemTotal do not move on the way either.
    moved = {event.args[0] for event in tape.events if event.primitive == "add"}
    assert moved <= {"nr_free_pages", "nr_isolate_pageblock"}
    assert not any(event.primitive == "totalram_pages_add" for event in tape.events)
    assert machine.check() == []


def test_a_block_that_could_not_go_offline_can_when_the_reason_is_gone(kernel_kind):
    release, patch = kernel_kind
    machine = onlined(release, patch, "online_kernel")
    pages = machine.allocate(1, "unmovable", block=32)
    with pytest.raises(KernelError):
        machine.offline(32)
    machine.free(pages)
    machine.offline(32)
    assert counters(machine, "Normal") == (0, 0, 0, 0, N)


# ---- pages that a driver withholds ------------------------------------------------------------------


def test_before_the_patch_withheld_pages_are_reserved_and_refused_when_the_range_is_isolated():
    machine = Machine([(0, N)], BEFORE)
    withhold(machine)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    heard = actions(machine)
    # The last pageblock is asked right after the first, which is free.
    with pytest.raises(KernelError, match="page 0x107e00 in pageblock 0x107e00 is unmovable") as caught:
        machine.offline(32)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "set_migratetype_isolate")
    assert heard == []


def test_after_the_patch_withheld_pages_are_refused_when_their_owner_was_asked_and_kept_silent():
    machine = Machine([(0, N)], AFTER)
    withhold(machine)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    pages = machine.allocate(2, block=32)
    heard = actions(machine)
    before = counters(machine)
    with pytest.raises(KernelError, match=f"page {P + N // 2:#x} is Offline and still has a ref") as caught:
        machine.offline(32)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "scan_movable_pages")
    assert heard == ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]
    assert machine.log[-1].endswith("failed due to unmovable page")
    assert counters(machine) == before
    # Pages that came before the one that refused were migrated by then.
    assert not any(P <= pfn < P + N for pfn in pages)


@pytest.mark.parametrize(("core", "wrong_by"), [(True, 0), (False, -N // 2)])
def test_offline_core_subtracts_only_pages_that_are_not_offline(core, wrong_by):
    # Their owner lets go of the withheld half. Without the hunk the core subtracts all pages, as before
    # the patch, where virtio-mem had to add what it withheld first.
    machine = Machine([(0, N)], AFTER if core else Patch.without({Hunk.OFFLINE_CORE}))
    withhold(machine)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")

    def let_go(action, *_):
        if action == "MEM_GOING_OFFLINE":
            machine.kernel.memmap.set_refcount(P + N // 2, N // 2, 0)

    machine.register_memory_notifier(let_go)
    machine.offline(32)
    zone = machine.zone("Movable")
    assert (zone.managed_pages, zone.present_pages) == (wrong_by, 0)
    assert machine.totalram_pages == N + wrong_by


def test_free_pages_next_to_withheld_ones_are_isolated_and_given_back():
    machine = Machine([(0, N)], AFTER)
    withhold(machine)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    with pytest.raises(KernelError):
        machine.offline(32)
    assert machine.zone("Movable").nr_free_pages == N // 2
    assert pageblock_types(machine) == {MOVABLE}
    assert machine.check() == []


def test_a_poisoned_page_of_type_offline_still_counts_as_managed():
    # __offline_isolated_pages(), mm/page_alloc.c, 6.12: a hwpoisoned page outside the buddy is passed over
    # before PageOffline() is asked, so it is not among the pages that the caller leaves out.
    machine = onlined()
    kernel, memmap = machine.kernel, machine.kernel.memmap
    alloc_contig_range(kernel, P, 1024)
    memmap.set_type(P, 1024, PageType.OFFLINE)
    memmap.set_flags(P + 7, 1, PageFlag.HWPOISON)
    start_isolate_page_range(kernel, P, N, memory_offline=True)
    assert __offline_isolated_pages(kernel, P, N) == N - (1024 - 1)


# ---- do_migrate_range(): what is printed, and in which order pages move ------------------------------


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_withheld_pages_behind_a_used_one_are_printed_ten_of_them(release):
    # Each page in use is taken a reference to; one that is on no LRU list cannot be isolated.
    machine = Machine(release=release, devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].hot_add(P, N // 2)
    machine.online(32, "online_movable")
    machine.allocate(1, block=32)
    with pytest.raises(KernelError, match="EBUSY"):
        machine.offline(32)
    said = [line for line in machine.log if line.startswith("failed to isolate")]
    assert said == [f"failed to isolate pfn {P + N // 2 + at:x}" for at in range(10)]
    assert machine.log.count("page dumped because: isolation failed") == 10
    dumped = [line for line in machine.log if line.startswith("page:") and "refcount:2 " in line]
    assert [line.rpartition(":")[2] for line in dumped] == [hex(P + N // 2 + at) for at in range(10)]
    assert machine.kernel.memmap.refcount(P + N // 2) == 1


@pytest.mark.parametrize("release", ["6.1", "6.11", "6.12", "7.3"])
def test_6_12_migrates_from_the_last_page_to_the_first(release):
    # list_add_tail() in 6.1's do_migrate_range(); list_add() in isolate_folio_to_list(), mm/migrate.c, 6.12.
    machine = onlined(release)
    machine.online(33, "online_movable")
    pages = machine.allocate(3, block=32)
    machine.offline(32)
    moved = [pfn - min(pages) for pfn in pages]
    assert moved == ([2, 1, 0] if release in {"6.12", "7.3"} else [0, 1, 2])


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_range_is_emptied_32_pages_at_a_time_each_from_its_last_page(release):
    # isolate_migratepages_block(), mm/compaction.c: list_add(), and COMPACT_CLUSTER_MAX.
    machine = onlined(release)
    machine.online(33, "online_movable")
    pages = machine.allocate(40, block=32)
    alloc_contig_range(machine.kernel, P, 512)
    moved = [pfn - min(pages) for pfn in pages]
    assert moved == [*reversed(range(32)), *reversed(range(32, 40))]
