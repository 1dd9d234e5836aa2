"""Shortcuts that allocate and free a single block.

These two leave the same state as the models in :mod:`memsim.linux.mm.page_alloc.api`, which call a
function for each idea of the kernel. Here the same steps follow each other on the arrays of one section: a
block and its buddies lie in one section and in one zone, since both begin at multiples of the largest block.
The models handle the unusual cases: a request that falls back on another type, a freed page with flags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.fast.registry import frees_plainly, shortcut
from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    NR_PAGE_ORDERS,
    PAGES_PER_SECTION,
    PFN_SECTION_SHIFT,
    pageblock_order,
)
from memsim.linux.include.mmzone import MigrateType, ZoneType, migratetype_is_mergeable
from memsim.linux.include.page_flags import ALL_FLAGS, NO_TYPE, ZONE_SHIFT
from memsim.linux.mm.page_alloc import api
from memsim.linux.mm.page_alloc.buddy import list_type
from memsim.state.section import SOME_ZONE

if TYPE_CHECKING:
    from memsim.free_list import FreeList
    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel
    from memsim.state.section import Pages

_INDEX = PAGES_PER_SECTION - 1
_SECOND_LARGEST = MAX_PAGE_ORDER - 1
_NR_PAGES = {order: 1 << order for order in range(NR_PAGE_ORDERS)}
# Comparing bytes is faster than numpy for the few pages of one block.
_UNTYPED = bytes([NO_TYPE]) * MAX_ORDER_NR_PAGES
_ZEROS = bytes(2 * MAX_ORDER_NR_PAGES)
_ISOLATE = int(MigrateType.ISOLATE)
_MOVABLE = ZoneType.MOVABLE


@shortcut(api.alloc_pages, frees_plainly)
def alloc_pages(
    kernel: Kernel,
    order: int,
    migratetype: int,
    within: range | None = None,
    highest: ZoneType = _MOVABLE,
) -> Any:  # noqa: ANN401 (an int, or NotImplemented)
    """Allocate a block: see :func:`memsim.linux.mm.page_alloc.api.alloc_pages`."""
    if within is not None or highest is not _MOVABLE:
        return NotImplemented
    try:
        nr_pages, zones = _NR_PAGES[order], kernel.zonelists[migratetype]
    except KeyError:
        return NotImplemented
    for zone in zones:
        nr_free_pages = zone.nr_free_pages
        if nr_free_pages < nr_pages:
            continue
        # __rmqueue_smallest(): the head of the smallest list that will do; without one the model falls back.
        area = zone.free_area
        high, blocks = order, area[order][migratetype]
        if not blocks.head:
            high = refilled(area, order, migratetype)
            if high > MAX_PAGE_ORDER:
                return NotImplemented
            blocks = area[high][migratetype]
        pfn = blocks.head.popitem()[0]
        memmap = kernel.memmap
        section, index = memmap.sections[pfn >> PFN_SECTION_SHIFT], pfn & _INDEX
        if kernel.check_pages and not is_clean(section.pages, index, order):
            blocks.append(pfn)  # check_new_pages() has something to report
            break
        pages = section.private_pages() if section.shared else section.pages
        types, orders = pages.type_at, pages.order_at
        types[index] = NO_TYPE
        orders[index] = 0
        pages.refcount_at[index] = 1
        zone.nr_free_pages = nr_free_pages - nr_pages
        # expand(): the upper halves go back.
        if high > order:
            buddy_code = memmap.buddy
            while high > order:
                high -= 1
                half = _NR_PAGES[high]
                types[index + half] = buddy_code
                orders[index + half] = high
                area[high][migratetype].head[pfn + half] = None
        return pfn
    return NotImplemented


@shortcut(api.__free_pages, frees_plainly)  # noqa: SLF001 (the name that the kernel gives it)
def __free_pages(kernel: Kernel, pfn: int, order: int = 0) -> Any:  # noqa: ANN401 (None, or NotImplemented)
    """Free a block: see :func:`memsim.linux.mm.page_alloc.api.__free_pages`."""
    memmap, index = kernel.memmap, pfn & _INDEX
    try:
        section = memmap.sections[pfn >> PFN_SECTION_SHIFT]
    except KeyError:
        return NotImplemented
    pages = section.private_pages() if section.shared else section.pages
    refcounts, types = pages.refcount_at, pages.type_at
    if (
        order > pageblock_order
        or refcounts[index] != 1
        or types[index] != NO_TYPE
        or (pages.maybe_flagged and any_flag(pages, index, order))
        or (order and kernel.check_pages and not are_plain(pages, index + 1, index + (1 << order)))
    ):
        return NotImplemented
    refcounts[index] = 0
    orders, buddy_code = pages.order_at, memmap.buddy
    nr = pages.zone
    zone = kernel.zones[nr if nr != SOME_ZONE else pages.flags_at[index] >> ZONE_SHIFT]
    migratetype = section.pageblocks[index >> pageblock_order]
    area, bit = zone.free_area, _NR_PAGES[order]
    if migratetype != _ISOLATE:
        zone.nr_free_pages += bit
    # __free_one_page(): merge with free buddies as far as they reach.
    while order < MAX_PAGE_ORDER:
        buddy = index ^ bit
        if types[buddy] != buddy_code or orders[buddy] != order:
            break
        if order == pageblock_order and not may_merge(section.pageblocks[buddy >> order], migratetype):
            break
        buddy_pfn = pfn ^ bit
        head = area[order][migratetype].head
        if buddy_pfn in head:
            del head[buddy_pfn]
        else:
            take_off_elsewhere(kernel, zone, buddy_pfn, order, migratetype)
        types[buddy] = NO_TYPE
        orders[buddy] = 0
        index &= buddy
        pfn &= buddy_pfn
        order += 1
        bit += bit
    types[index] = buddy_code
    orders[index] = order
    # buddy_merge_likely(): to the tail if the block one order up will soon be whole.
    if order < _SECOND_LARGEST:
        higher = index & buddy ^ bit + bit
        if types[higher] == buddy_code and orders[higher] == order + 1:
            area[order][migratetype].tail[pfn] = None
            return None
    area[order][migratetype].head[pfn] = None
    return None


def refilled(area: list[list[FreeList]], order: int, migratetype: int) -> int:
    """Return the order of the smallest list that will do, whose ``head`` is not empty then.

    Without such a list, it is larger than the largest order.
    """
    while order <= MAX_PAGE_ORDER:
        blocks = area[order][migratetype]
        if blocks.head:
            break
        if blocks.tail:
            blocks.refill()
            break
        order += 1
    return order


def take_off_elsewhere(kernel: Kernel, zone: Zone, pfn: int, order: int, migratetype: int) -> None:
    """Take a block that is not in the ``head`` of the list of its type off the list that it is on.

    A block of another type becomes part of one of this type, and its pageblocks with it.
    """
    blocks = zone.free_area[order][migratetype]
    if pfn in blocks.tail:
        del blocks.tail[pfn]
        return
    zone.free_area[order][list_type(zone, pfn, order)].remove(pfn)
    kernel.memmap.set_migratetype(pfn, 1 << order, migratetype)


def is_clean(pages: Pages, index: int, order: int) -> bool:
    """Return whether ``check_new_pages()`` finds nothing wrong with the pages taken from a free block."""
    if pages.maybe_flagged and any_flag(pages, index, order):
        return False
    return pages.refcount_at[index] == 0 and (order == 0 or are_plain(pages, index + 1, index + (1 << order)))


def are_plain(pages: Pages, index: int, end: int) -> bool:
    """Return whether pages have no type, no reference, and nothing in ``page->private``."""
    nr_pages = end - index
    return (
        pages.type_at[index:end] == _UNTYPED[:nr_pages]
        and pages.order_at[index:end] == _ZEROS[:nr_pages]
        and pages.refcount_at[index:end].tobytes() == _ZEROS[: 2 * nr_pages]
    )


def any_flag(pages: Pages, index: int, order: int) -> bool:
    """Return whether a page of a block has a PG_ flag."""
    if order == 0:
        return pages.flags_at[index] & ALL_FLAGS != 0
    return bool((pages.flags[index : index + (1 << order)] & np.uint32(ALL_FLAGS)).any())


def may_merge(buddy_type: int, migratetype: int) -> bool:
    """Return whether two pageblocks of these types merge into one block."""
    return buddy_type == migratetype or (
        migratetype_is_mergeable(migratetype) and migratetype_is_mergeable(buddy_type)
    )
