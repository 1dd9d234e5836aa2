"""Six exercises on the drivers, each answered by running a few lines.

What the answers must be follows from the rules of the kernel; the answer that students often give is in the
name or the comment of the test.
"""

import pytest

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.linux.drivers.hv.hv_balloon.region import hv_bring_pgs_online
from memsim.linux.drivers.virtio.virtio_mem.pages import (
    virtio_mem_fake_offline_going_offline,
    virtio_mem_set_fake_offline,
)
from memsim.linux.drivers.virtio.virtio_mem.sbm import virtio_mem_sbm_unplug_sb_online
from memsim.linux.include.notifier import NOTIFY_OK
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.memory_hotplug.online import generic_online_page, set_online_page_callback
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.page_alloc.contig import alloc_contig_range

START, N, SB = 0x100000, 32768, 512
HALF = START + N // 2
BOTH = pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
VIRTIO = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": START,
    "region_pages": N,
    "device_block_pages": SB,
}
HV = {"kind": "hv-balloon", "name": "hv0"}


def virtio_mem(patch=AFTER, plugged=N // 2, online_type="online_movable", **options):
    """A machine with one block of which half is plugged, online."""
    machine = Machine(patch=patch, devices=[VIRTIO], default_online_type=online_type, **options)
    machine.devices["vm0"].request(plugged)
    return machine


def hyper_v(patch=AFTER, backed=N // 2, online_type="online_movable", **options):
    """A machine with one block of which the host backs the first half, online."""
    machine = Machine(patch=patch, devices=[HV], default_online_type=online_type, **options)
    machine.devices["hv0"].hot_add(START, backed)
    return machine


def dimm(patch, **options):
    machine = Machine(patch=patch, **options)
    machine.add_memory(START, N)
    machine.online(32, "online_movable")
    return machine


# ---- 8: nobody clears Offline where pages are onlined --------------------------------------------------

UNCLEARED = Patch.without({Hunk.PAGE_ALLOC})


def test_8_without_page_checks_the_buddy_hands_out_pages_that_say_offline():
    # "The type is overwritten": that of the head of a free block is, not that of its other pages.
    machine = dimm(UNCLEARED, check_pages=False)
    assert {violation.name for violation in machine.check()} == {"offline-free", "offline-managed"}
    (head,) = machine.allocate(1, order=9, block=32)
    assert [machine.page(head + tail).offline for tail in (0, 1, 511)] == [False, True, True]


def test_8_with_page_checks_every_page_is_bad_and_leaks_and_managed_is_too_high():
    machine = dimm(UNCLEARED)
    zone = machine.zone("Movable")
    assert machine.kernel.bad_pages > 0
    assert (zone.managed_pages, zone.nr_free_pages) == (N, 0)


# ---- 9: the core with 3/3 and the driver without it ----------------------------------------------------


def managed_while_going_offline(patch):
    """Return MemTotal, less what it was at boot: online, at MEM_GOING_OFFLINE, and offline."""
    machine = virtio_mem(patch)
    boot, seen = machine.boot_totalram_pages, []

    def listener(action, *_):
        if action == "MEM_GOING_OFFLINE":
            seen.append(machine.totalram_pages - boot)

    machine.register_memory_notifier(listener, priority=-1)  # after the driver
    seen.append(machine.totalram_pages - boot)
    machine.offline(32)
    return [*seen, machine.totalram_pages - boot]


@pytest.mark.parametrize(
    ("patch", "managed"),
    [
        (BEFORE, [N // 2, N, 0]),  # the driver adds what it withholds, the core subtracts the block
        (AFTER, [N // 2, N // 2, 0]),  # nobody adds it, the core subtracts what is not Offline
        (
            Patch.without({Hunk.OFFLINE_DRIVER}),
            [N // 2, N, N // 2],
        ),  # added, and never subtracted: +U for ever
        (Patch.without({Hunk.OFFLINE_CORE}), [N // 2, N // 2, -N // 2]),  # subtracted, and never added
    ],
    ids=["before", "after", "core only", "driver only"],
)
def test_9_half_of_3_3_makes_managed_wrong_by_what_is_withheld(patch, managed):
    assert managed_while_going_offline(patch) == managed


@BOTH
def test_9_going_offline_and_cancel_undo_each_other(patch):
    machine = virtio_mem(patch)
    held = machine.allocate(1, "movable", block=32)
    machine.kernel.memmap.set_refcount(held[0], 1, 2)  # pinned: it cannot be migrated
    total = machine.totalram_pages

    with pytest.raises(KernelError):
        machine.offline(32, patience=3)

    assert machine.totalram_pages == total
    assert machine.page(HALF).refcount == 1


# ---- 10: a partly backed block of Hyper-V --------------------------------------------------------------


def refused(patch):
    """Return where offlining fails, who was told of it, and which page users have in the end."""
    machine = hyper_v(patch)
    held, told = machine.allocate(1, "movable", block=32), []
    first = held[0]
    machine.register_memory_notifier(lambda action, *_: told.append(action) or NOTIFY_OK)
    with pytest.raises(KernelError) as caught:
        machine.offline(32)
    return caught.value.name, caught.value.stage, told, held[0] != first


def test_10_before_the_patch_isolation_fails_and_nobody_hears_of_it():
    assert refused(BEFORE) == ("EBUSY", "set_migratetype_isolate", [], False)


def test_10_after_it_the_scan_fails_when_users_were_told_and_pages_migrated():
    # "The same": the errno is, not what was done until then.
    errno, stage, told, moved = refused(AFTER)
    assert (errno, stage) == ("EBUSY", "scan_movable_pages")
    assert told == ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]
    assert moved


# ---- 15: a chunk of order 10 over two sub-blocks that are not alike ------------------------------------


def unplugged_later(patch):
    """Sub-block 0 was plugged and online once, sub-block 1 never."""
    machine = virtio_mem(patch, plugged=SB)
    virtio_mem_sbm_unplug_sb_online(machine.devices["vm0"], 32, 0, 1)
    return machine


def never_onlined_first(patch):
    """The other way round: sub-block 0 was unplugged when the block came online again."""
    machine = virtio_mem(patch, plugged=2 * SB)
    vm = machine.devices["vm0"]
    virtio_mem_sbm_unplug_sb_online(vm, 32, 0, 1)
    vm.host.requested_pages = SB  # onlining wakes the driver, which finds nothing to do
    machine.offline(32)
    machine.online(32, "online_movable")
    virtio_mem_sbm_unplug_sb_online(vm, 32, 1, 1)
    return machine


@BOTH
@pytest.mark.parametrize(
    ("make", "dirty"), [(unplugged_later, [False, True]), (never_onlined_first, [True, False])]
)
def test_15_the_first_page_decides_for_both_and_it_comes_to_the_same(patch, make, dirty):
    # "Yes, managed is counted twice": each branch counts once, and freeing clears what the other would.
    machine = make(patch)
    assert [bool(machine.page(START + sb * SB).flags & PageFlag.DIRTY) for sb in (0, 1)] == dirty
    managed = machine.totalram_pages
    tape = machine.record()

    machine.devices["vm0"].request(2 * SB)

    chunks = [
        event.args for _, event in tape.points() if event.point.startswith("enter:virtio_mem_clear_fake")
    ]
    assert len(chunks) == 1  # both sub-blocks at once
    assert machine.totalram_pages == managed + 2 * SB
    head = machine.page(START)
    assert (head.buddy, head.order) == (True, 10)
    assert not any(machine.page(START + sb * SB + 1).flags & PageFlag.DIRTY for sb in (0, 1))
    assert machine.check() == []


# ---- 16: a page of Hyper-V that is brought online twice ------------------------------------------------


@pytest.mark.parametrize(("patch", "times_freed"), [(BEFORE, 2), (AFTER, 1)], ids=["before", "after"])
def test_16_before_the_patch_a_page_is_freed_as_often_as_it_is_brought_online(patch, times_freed):
    # "if and else only change places": the new branch also knows what it has done already.
    machine = hyper_v(patch)
    hv = machine.devices["hv0"]

    hv_bring_pgs_online(machine.kernel, hv, hv.ha_region_list[0], START, N // 2)

    assert machine.zone("Movable").managed_pages == hv.num_pages_onlined == times_freed * (N // 2)
    assert bool(machine.check()) == (patch == BEFORE)


@BOTH
def test_16_a_host_that_backs_each_page_once_keeps_it_from_happening(patch):
    machine = hyper_v(patch, backed=1000)
    hv = machine.devices["hv0"]
    for start in (1000, 1500, 9000):
        hv.hot_add(START + start, 500)

    assert machine.zone("Movable").managed_pages == hv.num_pages_onlined == 2500
    assert machine.check() == []


# ---- 19: a driver that trusts the memmap ---------------------------------------------------------------


class Forgetful:
    """A driver that withholds half a block, and whose only note of it is a mark in the struct pages."""

    def __init__(self, patch):
        self.machine = Machine(patch=patch)
        set_online_page_callback(self.machine.kernel, self.online_page)
        self.machine.register_memory_notifier(self.notifier)
        self.machine.add_memory(START, N)
        self.machine.online(32, "online_movable")
        kernel = self.machine.kernel
        alloc_contig_range(kernel, HALF, N // 2)
        virtio_mem_set_fake_offline(kernel, HALF, N // 2, onlined=True)
        adjust_managed_page_count(kernel, HALF, N // 2, -1)
        self.machine.kernel.memmap.set_flags(HALF, N // 2, PageFlag.DIRTY)

    def online_page(self, kernel, pfn, order):
        if not kernel.memmap.flags(pfn) & PageFlag.DIRTY:
            generic_online_page(kernel, pfn, order)

    def notifier(self, action, *_):
        if action == "MEM_GOING_OFFLINE":
            virtio_mem_fake_offline_going_offline(self.machine.kernel, HALF, N // 2)
        return NOTIFY_OK


@BOTH
def test_19_onlining_again_gives_the_buddy_what_the_host_has_taken(patch):
    # "The memmap keeps it": every onlining initialises the struct pages anew.
    forgetful = Forgetful(patch)
    zone = forgetful.machine.zone("Movable")
    assert zone.managed_pages == N // 2

    forgetful.machine.offline(32)
    forgetful.machine.online(32, "online_movable")

    assert zone.managed_pages == N
    assert forgetful.machine.page(HALF).buddy


@BOTH
def test_19_a_driver_with_a_bitmap_withholds_the_same_pages_again(patch):
    machine = virtio_mem(patch)
    machine.offline(32)
    machine.online(32, "online_movable")

    assert machine.zone("Movable").managed_pages == N // 2
    assert machine.page(HALF).offline
