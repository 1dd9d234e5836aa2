"""Every errno that the paths of the core can end with, reached through the public API.

Each row names what is done, the errno, the kernel function that gives it, and what the message must name.
"""

import pytest

from memsim import AFTER, BEFORE, Machine
from memsim.errors import KernelError
from memsim.linux.include.notifier import NOTIFY_BAD, notifier_from_errno
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.memory_hotplug.add import add_memory
from memsim.linux.mm.memory_hotplug.online import restore_online_page_callback, set_online_page_callback
from memsim.linux.mm.memremap import memunmap_pages
from memsim.linux.mm.page_alloc.contig import alloc_contig_range
from memsim.linux.mm.page_isolation import start_isolate_page_range

START, PAGES = 0x100000, 32768


def added(patch=AFTER, **options):
    machine = Machine(patch=patch, **options)
    machine.add_memory(START, PAGES)
    return machine


def online(patch=AFTER, online_type="online_kernel", **options):
    machine = added(patch, **options)
    machine.online(32, online_type)
    return machine


def withheld(patch, online_type="online_movable"):
    """A driver without any care: its callback gives nothing to the buddy."""
    machine = added(patch)
    set_online_page_callback(machine.kernel, lambda *_: None)
    machine.online(32, online_type)
    return machine


def veto(machine, wanted, answer=NOTIFY_BAD):
    machine.register_memory_notifier(lambda action, *_: answer if action == wanted else None)
    return machine


def pinned(machine):
    pfn = machine.allocate(1, block=32)[0]
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    return machine


def two_zones():
    """The first block of boot memory is partly DMA, partly DMA32."""
    return Machine().offline(0)


def unmovable(machine):
    machine.allocate(1, "unmovable", block=32)
    return machine


def poisoned():
    machine = online(online_type="online_movable")
    machine.poison(START + 7)
    machine.offline(32)
    return machine


def tiny_machine():
    return Machine(ram=[(0, 1000)])


def isolated_twice():
    machine = online()
    start_isolate_page_range(machine.kernel, START, PAGES, memory_offline=True)
    return machine.offline(32)


def device():
    machine = Machine()
    machine.memremap_pages(START, PAGES)
    return machine


def hole():
    """A block of boot memory in ZONE_NORMAL in which 1024 pages are no RAM."""
    machine = Machine(ram=[(START, 0x7000), (START + 0x7400, 0xC00 + 3 * PAGES)], block_pages=PAGES)
    machine.offline(32)


def kernel_page_in_movable():
    machine = online(online_type="online_movable")
    pfn = machine.allocate(1, block=32)[0]
    machine.kernel.memmap.clear_flags(pfn, 1, int(PageFlag.LRU))  # off the LRU: nobody knows how to move it
    return machine


def poisoned_twice():
    machine = online()
    machine.poison(START)
    machine.poison(START)


def interrupted():
    machine = online()
    machine.allocate(1, block=32)
    machine.kernel.signal_pending = lambda: True
    alloc_contig_range(machine.kernel, START, 512)


def without_room_elsewhere():
    machine = online()
    machine.allocate(PAGES, block=32)
    machine.allocate(sum(zone.nr_free_pages for zone in machine.kernel.zones), "unmovable")
    alloc_contig_range(machine.kernel, START, 512)


def asked_for_too_much():
    add_memory(Machine(release="6.1").kernel, START, 2 * PAGES, memmap_on_memory=True)


ROWS = {
    # adding
    "a driver-managed name that is not like System RAM (x)": (
        lambda: Machine().add_memory(START, PAGES, name="RAM"),
        "EINVAL",
        "add_memory_driver_managed",
        "'RAM'",
    ),
    "beyond 46 bits of address": (
        lambda: Machine().add_memory(1 << 34, PAGES),
        "E2BIG",
        "register_memory_resource",
        "0x400000000",
    ),
    "memory that is known": (
        lambda: added().add_memory(START, PAGES),
        "EEXIST",
        "register_memory_resource",
        "0x100000",
    ),
    "not a whole block": (lambda: Machine().add_memory(START, 512), "EINVAL", "add_memory_resource", "32768"),
    "not at a block": (
        lambda: Machine().add_memory(START + 512, PAGES),
        "EINVAL",
        "add_memory_resource",
        "0x100200",
    ),
    "nothing at all": (lambda: Machine().add_memory(START, 0), "EINVAL", "register_memory_resource", "empty"),
    "a node there cannot be": (
        lambda: Machine().add_memory(START, PAGES, nid=7),
        "EINVAL",
        "add_memory_resource",
        "node 7",
    ),
    "no memory for the memmap": (
        lambda: tiny_machine().add_memory(START, 2 * PAGES),
        "ENOMEM",
        "sparse_add_section",
        "section 33",
    ),
    "sections that are populated, by device memory": (
        lambda: device().add_memory(START, PAGES),
        "EEXIST",
        "sparse_add_section",
        "section 32",
    ),
    # removing
    "a block that is online": (
        lambda: online().remove_memory(START, PAGES),
        "EBUSY",
        "try_remove_memory",
        "block 32",
    ),
    "part of a block": (lambda: added().remove_memory(START, 512), "EINVAL", "try_remove_memory", "32768"),
    "a block that is not there": (
        lambda: Machine().remove_memory(START, PAGES),
        "ENOENT",
        "find_memory_block",
        "block 32",
    ),
    # online
    "a veto with NOTIFY_BAD": (
        lambda: veto(added(), "MEM_GOING_ONLINE").online(32),
        "EPERM",
        "memory_notify",
        "0x100000",
    ),
    "a veto with an errno": (
        lambda: veto(added(), "MEM_GOING_ONLINE", notifier_from_errno("EAGAIN")).online(32),
        "EAGAIN",
        "memory_notify",
        "MEM_GOING_ONLINE",
    ),
    "a block with poisoned pages, on 6.12": (
        lambda: poisoned().online(32),
        "EHWPOISON",
        "memory_block_online",
        "block 32",
    ),
    # the callback
    "a second callback": (
        lambda: set_online_page_callback(withheld(AFTER).kernel, print),
        "EINVAL",
        "set_online_page_callback",
        "one for the whole system",
    ),
    "restoring a callback that is not set": (
        lambda: restore_online_page_callback(withheld(AFTER).kernel, print),
        "EINVAL",
        "restore_online_page_callback",
        "not the one",
    ),
    # self-hosted vmemmap
    "6.1 is asked for self-hosted vmemmap of two blocks": (
        asked_for_too_much,
        "EINVAL",
        "add_memory_resource",
        "its own memmap",
    ),
    # offline
    "a block that spans two zones": (two_zones, "EINVAL", "memory_block_offline", "block 0"),
    "a block with a hole": (hole, "EINVAL", "offline_pages", "hole at pfn 0x107000"),
    "a kernel page in a kernel zone": (
        lambda: unmovable(online()).offline(32),
        "EBUSY",
        "set_migratetype_isolate",
        "0x100000",
    ),
    "pageblocks that somebody isolates": (isolated_twice, "EBUSY", "set_migratetype_isolate", "isolated"),
    "a veto of a listener": (
        lambda: veto(online(), "MEM_GOING_OFFLINE").offline(32),
        "EPERM",
        "memory_notify",
        "MEM_GOING_OFFLINE",
    ),
    "withheld pages before the patch: reserved": (
        lambda: withheld(BEFORE).offline(32),
        "EBUSY",
        "set_migratetype_isolate",
        "0x100000",
    ),
    "withheld pages after it: Offline and held": (
        lambda: withheld(AFTER).offline(32),
        "EBUSY",
        "scan_movable_pages",
        "0x100000 is Offline",
    ),
    "a pinned page, until somebody presses Ctrl-C": (
        lambda: pinned(online(online_type="online_movable")).offline(32),
        "EINTR",
        "offline_pages",
        "0x100000",
    ),
    "a kernel page in ZONE_MOVABLE, for ever": (
        lambda: kernel_page_in_movable().offline(32),
        "EINTR",
        "offline_pages",
        "signal",
    ),
    # offline and remove in one
    "offline and remove part of a block": (
        lambda: online().offline_and_remove_memory(START, 512),
        "EINVAL",
        "offline_and_remove_memory",
        "32768",
    ),
    "offline and remove a block that refuses": (
        lambda: unmovable(online()).offline_and_remove_memory(START, PAGES),
        "EBUSY",
        "set_migratetype_isolate",
        "0x100000",
    ),
    # ZONE_DEVICE
    "device memory that is not whole sections": (
        lambda: Machine().memremap_pages(START, 512),
        "EINVAL",
        "memremap_pages",
        "whole sections",
    ),
    "device memory that does not start at a section": (
        lambda: Machine().memremap_pages(START + 1, PAGES),
        "EINVAL",
        "memremap_pages",
        "whole sections",
    ),
    "device memory over RAM": (
        lambda: Machine().memremap_pages(0, PAGES),
        "ENXIO",
        "memremap_pages",
        "System RAM",
    ),
    "device memory that the kernel cannot map": (
        lambda: Machine().memremap_pages(START, 1 << 60),
        "EINVAL",
        "memremap_pages",
        "ends beyond pfn 0x400000000",
    ),
    "device memory that is mapped": (
        lambda: device().memremap_pages(START, PAGES),
        "ENOMEM",
        "memremap_pages",
        "conflicting",
    ),
    "unmapping what is not mapped": (
        lambda: memunmap_pages(Machine().kernel, START),
        "EINVAL",
        "memunmap_pages",
        "0x100000",
    ),
    # hwpoison
    "poisoning memory that is offline": (
        lambda: added().poison(START),
        "ENXIO",
        "memory_failure",
        "0x100000",
    ),
    "poisoning a page twice": (poisoned_twice, "EHWPOISON", "memory_failure", "0x100000"),
    "poisoning a page of the kernel": (
        lambda: unmovable(online()).poison(START),
        "EBUSY",
        "memory_failure",
        "used by the kernel",
    ),
    # the allocator
    "no free block": (lambda: tiny_machine().allocate(1001), "ENOMEM", "alloc_pages", "order 0"),
    "a range that holds a kernel page": (
        lambda: alloc_contig_range(unmovable(online()).kernel, START, 512),
        "EBUSY",
        "set_migratetype_isolate",
        "0x100000",
    ),
    "a range whose page is pinned": (
        lambda: alloc_contig_range(pinned(online(online_type="online_movable")).kernel, START, 512),
        "EBUSY",
        "test_pages_isolated",
        "0x100000",
    ),
    "a signal while a range is emptied": (interrupted, "EINTR", "alloc_contig_range", "signal"),
    "no free page to migrate to": (without_room_elsewhere, "ENOMEM", "alloc_pages", "order 0"),
}


@pytest.mark.parametrize(("do", "name", "stage", "names"), ROWS.values(), ids=ROWS)
def test_errno(do, name, stage, names):
    with pytest.raises(KernelError) as caught:
        do()

    assert caught.value.name == name
    assert caught.value.stage == stage
    assert names in str(caught.value)
