"""Poisoned pages: ``mm/memory-failure.c``, as far as memory hotplug meets them.

A poisoned page stays counted as managed. Offlining skips it. What becomes of the mark when the block
comes online again differs between the releases, not because of the patch: 6.1 forgets it, 6.12 refuses.

Left out: killing processes, hugetlb and THP, soft offlining, unpoisoning, device memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelBug, KernelError
from memsim.linux.drivers.base.memory.blocks import memblk_nr_poison_inc
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.memory_hotplug.online_page import pfn_to_online_page
from memsim.linux.mm.page_alloc.api import zone_pcp_disable, zone_pcp_enable
from memsim.linux.mm.page_alloc.isolation import take_page_off_buddy
from memsim.state.section import POISON_FLAGS
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("mm/memory-failure.c")
def memory_failure(kernel: Kernel, pfn: int) -> None:
    """Poison a page (``hard_offline_page``): it is never handed out again.

    Raises
    ------
    KernelError
        ENXIO: the page is not online. EHWPOISON: it is poisoned already. EBUSY: the kernel itself uses
        the page, so it stays in use, though marked.
    """
    stage, memmap = "memory_failure", kernel.memmap
    if not pfn_to_online_page(kernel, pfn):
        raise KernelError("ENXIO", stage, f"pfn {pfn:#x} is not online memory")
    flags = memmap.flags(pfn)
    if flags & PageFlag.HWPOISON:
        raise KernelError("EHWPOISON", stage, f"pfn {pfn:#x} is poisoned already")
    memmap.set_flags(pfn, 1, PageFlag.HWPOISON)
    num_poisoned_pages_inc(kernel, pfn)
    zone = kernel.page_zone(pfn)
    zone_pcp_disable(kernel, zone)  # get_hwpoison_page()
    zone_pcp_enable(kernel, zone)
    if take_page_off_buddy(kernel, pfn):
        memmap.set_refcount(pfn, 1, 1)
    elif flags & PageFlag.LRU:
        memmap.clear_flags(pfn, 1, PageFlag.LRU)
        kernel.lost(pfn)
    else:
        ignore_kernel_page(kernel, pfn, reserved=bool(flags & PageFlag.RESERVED))


def ignore_kernel_page(kernel: Kernel, pfn: int, *, reserved: bool) -> None:
    """Leave a page that the kernel itself uses in use, though marked.

    7.3 knows that an error in a reserved page cannot be recovered from, and can stop the machine for it. A
    page that is withheld is Offline since the patch, so it does not count.

    Raises
    ------
    KernelBug
        The sysctl vm.panic_on_unrecoverable_memory_failure is on, and the page is reserved (7.3).
    KernelError
        EBUSY.
    """
    unrecoverable = reserved and kernel.release.kernel_owned_is_unrecoverable
    if unrecoverable and kernel.panic_on_unrecoverable_memory_failure:
        msg = f"Kernel panic - not syncing: Memory failure: {pfn:#x}: unrecoverable page"
        raise KernelBug(msg)
    page = "reserved kernel page" if unrecoverable else "get hwpoison page"
    message = f"pfn {pfn:#x} is used by the kernel, marked and left in use: {page}: Ignored"
    raise KernelError("EBUSY", "memory_failure", message)


def num_poisoned_pages_inc(kernel: Kernel, pfn: int) -> None:
    """Count a poisoned page, on 6.12 in its memory block too."""
    kernel.num_poisoned_pages += 1
    # 6.1 has no memblk_nr_poison_inc().
    if kernel.release.counts_poison_by_block:
        memblk_nr_poison_inc(kernel, pfn)


def clear_hwpoisoned_pages(kernel: Kernel, pfn: int, nr_pages: int, counted: int) -> None:
    """Subtract the poisoned pages of a removed block from the count; 6.12 has ``counted`` them.

    6.1 counts the marks in the memmap, and misses those that were lost when the block came online again.
    """
    # 6.12 subtracts the block's own count in drivers/base/memory.c, whatever its memmap says.
    if kernel.release.counts_poison_by_block:
        kernel.num_poisoned_pages -= counted
        return
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        flags = section.pages.flags[at]
        marked = (flags & np.uint32(PageFlag.HWPOISON) != 0) & (flags != np.uint32(POISON_FLAGS))
        kernel.num_poisoned_pages -= int(marked.sum())
