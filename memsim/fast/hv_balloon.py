"""Shortcuts of the Hyper-V balloon: pages that are alike go to the buddy together, up to a pageblock.

The driver decides page by page. Neighbours with the same flags, type and reference count that the host backs,
or does not, all meet the same decision; and single pages that are freed in ascending order merge into the
block that they are together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.fast.registry import shortcut
from memsim.linux.drivers.hv.hv_balloon import ballooning, region
from memsim.linux.drivers.hv.hv_balloon.region import backed_parts, hv_page_online_one
from memsim.linux.include.layout import pageblock_order
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import ALL_FLAGS, PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.linux.mm.page_alloc.api import __free_pages, pcp_enabled
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.patch import Hunk

if TYPE_CHECKING:
    from memsim.linux.drivers.hv.hv_balloon.region import HvDynmemDevice, HvHotaddState
    from memsim.state.kernel import Kernel


@shortcut(region.hv_bring_pgs_online)
def hv_bring_pgs_online(
    kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, start_pfn: int, size: int
) -> None:
    """Online a range: see :func:`memsim.linux.drivers.hv.hv_balloon.region.hv_bring_pgs_online`."""
    for start, end, backed in backed_parts(has, start_pfn, start_pfn + size):
        pfn = start
        while pfn < end:
            order = order_of_alike(kernel, pfn, end)
            if order == 0:
                hv_page_online_one(kernel, dm, has, pfn)
            elif backed:
                online_backed(kernel, dm, pfn, order)
            elif not kernel.memmap.has_type(pfn, PageType.OFFLINE):
                kernel.memmap.set_type(pfn, 1 << order, PageType.OFFLINE)
            pfn += 1 << order


def online_backed(kernel: Kernel, dm: HvDynmemDevice, pfn: int, order: int) -> None:
    """Online a block of pages that the host backs and that are alike: ``hv_page_online_one()`` for each."""
    offline = kernel.memmap.has_type(pfn, PageType.OFFLINE)
    if kernel.has(Hunk.HV_BALLOON):
        if not offline:
            return
    elif offline:
        kernel.memmap.clear_type(pfn, 1 << order, PageType.OFFLINE)
    unit = order if comes_out_clean(kernel, pfn) else 0
    for frame in range(pfn, pfn + (1 << order), 1 << unit):
        generic_online_page(kernel, frame, unit)
    dm.num_pages_onlined += 1 << order


def comes_out_clean(kernel: Kernel, pfn: int) -> bool:
    """Return whether ``__free_pages_core()`` clears the mark that a page has."""
    if kernel.has(Hunk.PAGE_ALLOC):
        return not kernel.memmap.flags(pfn) & PageFlag.RESERVED
    return not kernel.memmap.has_type(pfn, PageType.OFFLINE)


@shortcut(ballooning.free_balloon_pages)
def free_balloon_pages(kernel: Kernel, dm: HvDynmemDevice, pfn: int, nr_pages: int) -> None:
    """Give pages back: see :func:`memsim.linux.drivers.hv.hv_balloon.ballooning.free_balloon_pages`."""
    end = pfn + nr_pages
    while pfn < end:
        # Each reserved page is reported when it is freed, and does not reach the buddy.
        alone = pcp_enabled(kernel, kernel.page_zone(pfn)) or kernel.memmap.flags(pfn) & PageFlag.RESERVED
        order = 0 if alone else order_of_alike(kernel, pfn, end)
        size = 1 << order
        kernel.memmap.clear_type(pfn, size, PageType.OFFLINE)
        if order:
            kernel.memmap.set_refcount(pfn + 1, size - 1, 0)
        __free_pages(kernel, pfn, order)
        dm.num_pages_ballooned -= size
        adjust_managed_page_count(kernel, pfn, size)
        pfn += size


def order_of_alike(kernel: Kernel, pfn: int, end: int) -> int:
    """Return the order of the block at ``pfn`` that can be taken together, at most a pageblock.

    Its pages are initialised and alike, with one reference and no flag but PG_reserved.
    """
    if end - pfn == 1 or kernel.memmap.refcount(pfn) != 1 or kernel.memmap.zone_of(pfn) > ZoneType.DEVICE:
        return 0
    if kernel.memmap.flags(pfn) & ALL_FLAGS & ~PageFlag.RESERVED:
        return 0
    order = pageblock_order
    while pfn % (1 << order) or pfn + (1 << order) > end:
        order -= 1
    section, at = kernel.memmap.spans(pfn, 1 << order)[0]
    for array in (section.pages.flags[at], section.pages.type[at], section.pages.refcount[at]):
        differ = np.flatnonzero(array != array[0])
        while len(differ) and differ[0] < 1 << order:
            order -= 1
    return order
