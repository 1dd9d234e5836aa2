"""Rules in which the model once differed from the sources of 6.1, 6.12 and 7.3, a test for each.

The expected values were read in the kernel's source, not taken from the model; each part names function and
file.
"""

import pytest

from memsim import Machine
from memsim.errors import KernelError
from memsim.fast.page_alloc import __free_pages
from memsim.linux.drivers.base.memory.blocks import walk_memory_blocks
from memsim.linux.drivers.virtio.virtio_mem.pages import virtio_mem_fake_offline
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.notifier import NOTIFY_BAD, NOTIFY_OK
from memsim.linux.mm.page_alloc import contig
from memsim.linux.mm.page_alloc.contig import __alloc_contig_migrate_range

START, PAGES = 0x100000, 32768
GIB = 1 << 18
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12"])


def virtio_mem(**spec):
    """Return a virtio-mem device as a machine takes it."""
    return {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, **spec}


# ---- walk_memory_blocks(), drivers/base/memory.c ----------------------------------------------------


@RELEASES
@pytest.mark.parametrize(
    ("refused", "states"), [(32, "offline offline"), (33, "online offline"), (0, "online online")]
)
def test_auto_onlining_ends_at_the_first_block_that_fails_and_all_exist_before(release, refused, states):
    machine = Machine(release=release, default_online_type="online")
    there = []

    def listener(action, pfn, _):
        if action == "MEM_GOING_ONLINE":
            there.append({32, 33} <= set(machine.kernel.memory_blocks))
        return NOTIFY_BAD if action == "MEM_GOING_ONLINE" and pfn == refused * PAGES else NOTIFY_OK

    machine.register_memory_notifier(listener)
    machine.add_memory(START, 2 * PAGES)
    assert [machine.block(block).state for block in (32, 33)] == states.split()
    assert all(there)
    assert len(there) == (1 if refused == 32 else 2)


@RELEASES
def test_a_walk_passes_over_blocks_that_are_missing(release):
    machine = Machine(release=release)
    for block in (32, 34):
        machine.add_memory(block * PAGES, PAGES)
    walked = walk_memory_blocks(machine.kernel, START, 3 * PAGES)
    assert [block.block_id for block in walked] == [32, 34]


@RELEASES
def test_a_range_with_a_missing_block_is_not_removed_in_part(release):
    # remove_memory_block_devices() only warns of the missing block; the model refuses before.
    machine = Machine(release=release)
    for block in (32, 34):
        machine.add_memory(block * PAGES, PAGES)
    with pytest.raises(KernelError, match="there is no memory block 33") as refused:
        machine.remove_memory(START, 3 * PAGES)
    assert refused.value.name == "ENOENT"
    assert {32, 34} <= set(machine.kernel.memory_blocks)


# ---- __alloc_contig_migrate_range(), mm/page_alloc.c ------------------------------------------------


@RELEASES
@pytest.mark.parametrize(
    ("pages", "stuck", "rounds"),
    [
        (0, False, 1),  # a round finds that there is nothing to migrate
        (1, False, 1),  # the group goes at once, and the range ends with it
        (1, True, 6),  # five tries, and the round that gives up
    ],
)
def test_a_signal_is_asked_for_once_a_round(release, pages, stuck, rounds, monkeypatch):
    machine = Machine([(0, 4 * PAGES)], release=release)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    machine.allocate(pages, "movable", block=32)
    asked = []
    machine.kernel.signal_pending = lambda: asked.append(True) is not None
    if stuck:
        monkeypatch.setattr(contig, "migrate_pages", lambda _kernel, pfns: pfns)
    __alloc_contig_migrate_range(machine.kernel, START, PAGES)
    assert len(asked) == rounds


# ---- virtio_mem_init_hotplug(), drivers/virtio/virtio_mem.c -----------------------------------------


@pytest.mark.parametrize(
    ("bb_pages", "plugged"),
    [(GIB, 2), (2 * GIB, 2), (PAGES, 8)],  # 1 GiB, two memory blocks, two big blocks: whichever is largest
    ids=["big blocks of 1 GiB", "of 2 GiB", "of one memory block"],
)
def test_two_big_blocks_may_be_added_and_offline_however_big_they_are(bb_pages, plugged):
    start = 8 * GIB
    spec = virtio_mem(start_pfn=start, region_pages=16 * bb_pages, device_block_pages=bb_pages)
    machine = Machine(ram=[(0, GIB)], devices=[spec | {"requested_pages": 12 * bb_pages}])
    device = machine.devices["vm0"]
    assert not device.in_sbm
    assert device.plugged_pages() == plugged * bb_pages
    assert device.last_error.name == "ENOSPC"
    assert not device.broken


# ---- virtio_mem_offline_and_remove_memory(), drivers/virtio/virtio_mem.c ----------------------------


@pytest.mark.long
@pytest.mark.parametrize(("release", "broken", "retry"), [("6.1", True, None), ("6.12", False, 50)])
def test_a_vetoed_unplug_of_a_big_block_breaks_the_device_on_6_1_only(release, broken, retry):
    # NOTIFY_BAD is -EPERM. 6.12 makes -EBUSY of every errno but -ENOMEM.
    spec = virtio_mem(region_pages=4 * PAGES, device_block_pages=PAGES, requested_pages=2 * PAGES)
    machine = Machine(ram=[(0, GIB)], release=release, default_online_type="online", devices=[spec])
    machine.register_memory_notifier(
        lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_OFFLINE" else NOTIFY_OK, priority=5
    )
    device = machine.devices["vm0"]
    device.request(PAGES)
    assert (device.broken, device.retry_in) == (broken, retry)


# ---- config_changed, drivers/virtio/virtio_mem.c ----------------------------------------------------


def test_6_12_asks_whether_the_configuration_changed_before_it_takes_pages(snapshot):
    spec = virtio_mem(region_pages=2 * PAGES, device_block_pages=512, requested_pages=PAGES)
    for release in ("6.1", "6.12"):
        machine = Machine(
            ram=[(0, GIB)], release=release, default_online_type="online_movable", devices=[spec]
        )
        device = machine.devices["vm0"]
        device.host.config_changed = True
        before = snapshot(machine.kernel.state)
        if release == "6.1":
            virtio_mem_fake_offline(device, START, 512)
            assert machine.page(START).offline
            continue
        with pytest.raises(KernelError, match="EAGAIN"):
            virtio_mem_fake_offline(device, START, 512)
        assert snapshot(machine.kernel.state) == before


def test_unplug_all_is_sent_under_a_changed_configuration_and_changes_it():
    spec = virtio_mem(region_pages=2 * PAGES, device_block_pages=512, plugged_pages=1024)
    device = Machine(ram=[(0, GIB)], devices=[spec]).devices["vm0"]
    assert device.plugged_pages() == 0
    device.host.leave_plugged(1024)
    device.unplug_all_required = True
    device.host_will("RESIZE:512", 1)  # as the request arrives
    device.request(0)
    assert not device.unplug_all_required
    assert device.plugged_pages() == 512


# ---- start_isolate_page_range(), mm/page_isolation.c ------------------------------------------------


def test_after_a_failed_isolation_the_last_pageblock_is_given_back_last():
    # 6.12: undo from the first to the one that failed, then the last, whose free block is the tail then.
    machine = Machine(ram=[(0, 131072)])
    machine.add_memory(START, PAGES)
    machine.online(32, "online_kernel")
    pages = machine.allocate(8 * 512 + 1, "unmovable", block=32)
    pages.pop()
    for pfn in pages:
        __free_pages(machine.kernel, pfn)
    with pytest.raises(KernelError, match="EBUSY"):
        machine.offline(32)
    order = list(machine.zone("Normal").free_area[10][MigrateType.MOVABLE])[::-1]  # the head first
    assert order[-3:] == [0x100800, 0x100C00, 0x107C00]


# ---- offline_pages(), mm/memory_hotplug.c -----------------------------------------------------------


def withheld():
    """Return a machine with a block of which the host of a Hyper-V balloon backs one half."""
    machine = Machine(default_online_type="online", devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].hot_add(START, PAGES // 2)
    return machine


def vetoed():
    machine = Machine(default_online_type="online")
    machine.add_memory(START, PAGES)
    veto = {"MEM_GOING_OFFLINE": NOTIFY_BAD}
    machine.register_memory_notifier(lambda action, *_: veto.get(action, NOTIFY_OK))
    return machine


@pytest.mark.parametrize(("make", "reason"), [(withheld, "unmovable page"), (vetoed, "notifier failure")])
def test_why_offlining_failed_is_printed_after_everything_is_undone(make, reason):
    machine, seen = make(), []
    zone = machine.block(32).zone

    def listener(action, *_):
        if action == "MEM_CANCEL_OFFLINE":
            seen.append([line for line in machine.log if "offlining" in line])

    machine.register_memory_notifier(listener, priority=1)
    with pytest.raises(KernelError):
        machine.offline(32)
    assert seen == [[]]
    assert machine.log[-1].endswith(f"failed due to {reason}")
    assert zone not in machine.kernel.pcp_disabled
