"""Fake-offline pages: ``virtio_mem_set_fake_offline()`` and its kin in ``drivers/virtio/virtio_mem.c``.

A page of an online block that the host does not back is *fake-offline*: type Offline, refcount 1, withheld
from the buddy. PG_dirty remembers that it never went through ``generic_online_page()``. The hunks VIRTIO_MEM
and OFFLINE_DRIVER act here.

Left out: the lock that keeps readers of page contents out while pages go fake-offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.include.layout import MAX_PAGE_ORDER, count_trailing_zeros, hex_range
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.page_alloc.contig import alloc_contig_range, free_contig_range
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem
    from memsim.state.kernel import Kernel

FAKE_OFFLINE_TRIES = 5


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_set_fake_offline(kernel: Kernel, pfn: int, nr_pages: int, *, onlined: bool) -> None:
    """Mark pages as withheld; ``onlined`` says whether the buddy had them before.

    Before the patch the driver makes pages Offline itself and strips PG_reserved, or offlining would
    refuse the block later. After it, pages that come online are Offline already.
    """
    memmap = kernel.memmap
    if not kernel.has(Hunk.VIRTIO_MEM):
        memmap.set_type(pfn, nr_pages, PageType.OFFLINE)
        if not onlined:
            memmap.set_flags(pfn, nr_pages, PageFlag.DIRTY)
            memmap.clear_flags(pfn, nr_pages, PageFlag.RESERVED)
    elif onlined:
        memmap.set_type(pfn, nr_pages, PageType.OFFLINE)
    else:
        memmap.set_flags(pfn, nr_pages, PageFlag.DIRTY)
        if kernel.debug_vm and not memmap.all_of_type(pfn, nr_pages, PageType.OFFLINE):
            kernel.vm_warn_on_once("!PageOffline", "virtio_mem_set_fake_offline")


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_clear_fake_offline(kernel: Kernel, pfn: int, nr_pages: int, *, onlined: bool) -> None:
    """Take the mark off again; after the patch generic_online_page() does it for fresh pages."""
    memmap = kernel.memmap
    if onlined or not kernel.has(Hunk.VIRTIO_MEM):
        memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
    if not onlined:
        memmap.clear_flags(pfn, nr_pages, PageFlag.DIRTY)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_fake_online(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Give withheld pages of an online block to the buddy; PG_dirty of the first of each chunk says how."""
    order = min(MAX_PAGE_ORDER, count_trailing_zeros(pfn | nr_pages))
    for chunk in range(pfn, pfn + nr_pages, 1 << order):
        if kernel.memmap.flags(chunk) & PageFlag.DIRTY:
            virtio_mem_clear_fake_offline(kernel, chunk, 1 << order, onlined=False)
            generic_online_page(kernel, chunk, order)
        else:
            virtio_mem_clear_fake_offline(kernel, chunk, 1 << order, onlined=True)
            free_contig_range(kernel, chunk, 1 << order)
            adjust_managed_page_count(kernel, chunk, 1 << order)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_fake_offline(vm: VirtioMem, pfn: int, nr_pages: int) -> None:
    """Take pages of an online block from the buddy, moving away what is in them.

    Raises
    ------
    KernelError
        EBUSY: not after five tries in ZONE_MOVABLE, or one elsewhere. ENOMEM: at once. EAGAIN (6.12): the
        host has changed the configuration; it is asked before each try.
    """
    kernel = vm.kernel
    movable = kernel.memmap.zone_of(pfn) == ZoneType.MOVABLE
    for _ in range(FAKE_OFFLINE_TRIES if movable else 1):
        if kernel.release.fake_offline_asks_config and vm.host.config_changed:
            message = f"the configuration changed before pages {hex_range(pfn, nr_pages)} were taken"
            raise KernelError("EAGAIN", "virtio_mem_fake_offline", message)
        try:
            alloc_contig_range(kernel, pfn, nr_pages)
        except KernelError as error:
            if error.name == "ENOMEM":
                raise
            continue
        virtio_mem_set_fake_offline(kernel, pfn, nr_pages, onlined=True)
        adjust_managed_page_count(kernel, pfn, nr_pages, -1)
        return
    message = f"pages {hex_range(pfn, nr_pages)} cannot be taken from the buddy"
    raise KernelError("EBUSY", "virtio_mem_fake_offline", message)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_fake_offline_going_offline(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Let go of withheld pages, so that their block can go offline.

    Before 3/3 they are counted as managed for a while, because the core will subtract them.
    """
    if not kernel.has(Hunk.OFFLINE_DRIVER):
        adjust_managed_page_count(kernel, pfn, nr_pages)
    change_refcounts(kernel, pfn, nr_pages, -1)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_fake_offline_cancel_offline(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Take hold of withheld pages again: their block stays online."""
    if not kernel.has(Hunk.OFFLINE_DRIVER):
        adjust_managed_page_count(kernel, pfn, nr_pages, -1)
    change_refcounts(kernel, pfn, nr_pages, 1)


def change_refcounts(kernel: Kernel, pfn: int, nr_pages: int, delta: int) -> None:
    """Add ``delta`` to the refcount of each page; going down it should reach 0, or a warning is printed."""
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        counts = section.pages.refcount[at]
        before = int(counts[0])
        if (counts == before).all():
            kernel.memmap.set_refcount(pfn, at.stop - at.start, before + delta)
        else:
            for index, count in enumerate(counts.tolist()):
                kernel.memmap.set_refcount(pfn + index, 1, count + delta)
        left = np.flatnonzero(section.pages.refcount[at])
        if delta < 0 and len(left):
            kernel.state.printk(f"WARNING: page {pfn + int(left[0]):#x} is still referenced while offlining")
        pfn += at.stop - at.start
