"""Taking blocks off the free lists: ``__rmqueue()`` and its fallbacks in ``mm/page_alloc.c``.

A request that its own migratetype cannot serve falls back to another type. 6.12 first tries to *claim* a
whole pageblock of that type, then *steals* a block and leaves the rest to its owners. 6.1 always moves what
it takes to its own list (``steal_suitable_fallback()``), so that a free block can be on a list that is not of
its pageblock's type. That has nothing to do with the patch.

Left out: CMA, high-order atomic reserves, watermark boosting, ALLOC_NOFRAGMENT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import (
    MAX_PAGE_ORDER,
    NR_PAGE_ORDERS,
    pageblock_nr_pages,
    pageblock_order,
    pageblock_start_pfn,
)
from memsim.linux.include.mmzone import FALLBACKS, MigrateType, Zone, zone_spans_pfn
from memsim.linux.include.page_flags import PAGE_FLAGS_CHECK_AT_PREP, PageFlag
from memsim.linux.mm.page_alloc.buddy import (
    account_freepages,
    bad_page,
    del_page_from_free_list,
    find_bad_pages,
    free_blocks_in,
    is_check_pages_enabled,
    move_freepages_block,
    move_to_free_list,
    page_bad_reason,
)

if TYPE_CHECKING:
    from memsim.free_list import FreeList
    from memsim.state.kernel import Kernel


def get_page_from_free_area(blocks: FreeList, within: range | None) -> int | None:
    """Return the block that is taken next, or None; ``within`` limits the search to a pfn range."""
    for pfn in reversed(blocks):
        if within is None or pfn in within:
            return pfn
    return None


def expand(kernel: Kernel, zone: Zone, pfn: int, low: int, high: int, migratetype: int) -> None:
    """Give the upper halves back until a block of order ``high`` has shrunk to ``low``."""
    while high > low:
        high -= 1
        kernel.memmap.set_buddy_order(pfn + (1 << high), high)
        zone.add_to_free_list(pfn + (1 << high), high, migratetype)


def page_del_and_expand(kernel: Kernel, zone: Zone, pfn: int, low: int, high: int, migratetype: int) -> int:
    """Take a block of order ``high`` off its list, keep ``low`` of it, put the rest back."""
    taken_from = del_page_from_free_list(kernel, zone, pfn, high)
    account_freepages(zone, -(1 << high), taken_from)
    expand(kernel, zone, pfn, low, high, migratetype)
    account_freepages(zone, (1 << high) - (1 << low), migratetype)
    return pfn


def __rmqueue_smallest(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None = None
) -> int | None:
    """Take the head of the smallest sufficient list of one migratetype."""
    for high in range(order, NR_PAGE_ORDERS):
        pfn = get_page_from_free_area(zone.free_area[high][migratetype], within)
        if pfn is not None:
            return page_del_and_expand(kernel, zone, pfn, order, high, migratetype)
    return None


def find_suitable_fallback(
    zone: Zone, order: int, migratetype: int, within: range | None
) -> tuple[int, int] | None:
    """Return (pfn, migratetype) of the first block of ``order`` on a fallback list, or None."""
    for fallback in FALLBACKS.get(migratetype, ()):
        pfn = get_page_from_free_area(zone.free_area[order][fallback], within)
        if pfn is not None:
            return pfn, fallback
    return None


def can_steal_fallback(order: int, migratetype: int) -> bool:
    """Return whether a fallback block is worth taking its whole pageblock for (``can_steal``)."""
    return order >= pageblock_order // 2 or migratetype in {MigrateType.UNMOVABLE, MigrateType.RECLAIMABLE}


def prep_move_freepages_block(zone: Zone, pfn: int) -> bool:
    """Return whether the pageblock of a page lies in the zone as a whole."""
    start = pageblock_start_pfn(pfn)
    return zone_spans_pfn(zone, start) and zone_spans_pfn(zone, start + pageblock_nr_pages - 1)


def compatible_pages(kernel: Kernel, pfn: int, migratetype: int) -> tuple[int, int]:
    """Return how many pages of a pageblock are free, and how many others suit ``migratetype`` as they are.

    Only pages from ``pfn`` on are looked at. Movable pages suit a movable request. What is neither free nor
    movable in a movable pageblock suits every other request; what pageblocks of other types hold is unknown,
    and nothing of it counts.
    """
    nr_pages = pageblock_start_pfn(pfn) + pageblock_nr_pages - pfn
    free = sum(1 << o for _, o in free_blocks_in(kernel, pfn, nr_pages))
    section, at = kernel.memmap.spans(pfn, nr_pages)[0]
    flags, orders = section.pages.flags[at], section.pages.order[at].astype(np.int64)
    orders[flags & np.uint32(PageFlag.HEAD) == 0] = 0  # PageLRU() of the tails asks the head
    movable = int((1 << orders[flags & np.uint32(PageFlag.LRU) != 0]).sum())
    if migratetype == MigrateType.MOVABLE:
        return free, movable
    in_movable = kernel.memmap.migratetype(pfn) == MigrateType.MOVABLE
    return free, pageblock_nr_pages - free - movable if in_movable else 0


def try_to_steal_block(
    kernel: Kernel, zone: Zone, pfn: int, order: int, high: int, migratetype: int
) -> int | None:
    """Turn the pageblock of a fallback block to ``migratetype`` if enough of it is compatible."""
    memmap = kernel.memmap
    if high >= pageblock_order:
        taken_from = del_page_from_free_list(kernel, zone, pfn, high)
        account_freepages(zone, -(1 << high), taken_from)
        memmap.set_migratetype(pfn, 1 << high, migratetype)
        expand(kernel, zone, pfn, order, high, migratetype)
        account_freepages(zone, (1 << high) - (1 << order), migratetype)
        return pfn
    start = pageblock_start_pfn(pfn)
    free, alike = compatible_pages(kernel, start, migratetype)
    if free + alike < pageblock_nr_pages // 2 or not prep_move_freepages_block(zone, pfn):
        return None
    move_freepages_block(kernel, zone, start, migratetype)
    memmap.set_migratetype(start, pageblock_nr_pages, migratetype)
    return __rmqueue_smallest(kernel, zone, order, migratetype, range(start, start + pageblock_nr_pages))


def __rmqueue_claim(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None = None
) -> int | None:
    """Fall back to another type and claim its pageblock: from the largest block downwards."""
    for high in range(MAX_PAGE_ORDER, order - 1, -1):
        found = find_suitable_fallback(zone, high, migratetype, within)
        if found is None:
            continue
        if not can_steal_fallback(high, migratetype):
            return None
        pfn = try_to_steal_block(kernel, zone, found[0], order, high, migratetype)
        if pfn is None and kernel.release.steals_from_largest:
            # 6.11: steal_suitable_fallback() takes the block itself where its pageblock is not to be had.
            return page_del_and_expand(kernel, zone, found[0], order, high, found[1])
        if pfn is not None:
            return pfn
    return None


def __rmqueue_steal(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None = None
) -> int | None:
    """Fall back to another type without claiming: the rest stays on the other type's lists."""
    for high in range(order, NR_PAGE_ORDERS):
        found = find_suitable_fallback(zone, high, migratetype, within)
        if found is not None:
            return page_del_and_expand(kernel, zone, found[0], order, high, found[1])
    return None


def __rmqueue_fallback(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None = None
) -> int | None:
    """6.1: move a block of another type to the own list, or its whole pageblock, and take from there.

    From the largest block downwards; a movable request that is not worth a pageblock takes the smallest.
    """
    orders = range(MAX_PAGE_ORDER, order - 1, -1)
    for high in orders:
        found = find_suitable_fallback(zone, high, migratetype, within)
        if found is None:
            continue
        whole = can_steal_fallback(high, migratetype)
        if not whole and high > order:
            pairs = (
                (low, find_suitable_fallback(zone, low, migratetype, within)) for low in reversed(orders)
            )
            high, found = next((low, smaller) for low, smaller in pairs if smaller is not None)  # noqa: PLW2901 (as the kernel)
        steal_suitable_fallback(kernel, zone, found[0], high, migratetype, whole_block=whole)
        return __rmqueue_smallest(kernel, zone, order, migratetype, within)
    return None


def steal_suitable_fallback(
    kernel: Kernel, zone: Zone, pfn: int, order: int, migratetype: int, *, whole_block: bool
) -> None:
    """6.1: move a free block to another list, if wanted with all that is free in its pageblock.

    The pageblock changes its type only if at least half of it is free or suits the new type. Where the zone
    begins within the pageblock, only what follows the block moves along; where it ends there, nothing does.
    """
    start = pageblock_start_pfn(pfn)
    if order >= pageblock_order:
        kernel.memmap.set_migratetype(pfn, 1 << order, migratetype)
    elif whole_block and zone_spans_pfn(zone, start + pageblock_nr_pages - 1):
        first = start if zone_spans_pfn(zone, start) else pfn
        free, alike = compatible_pages(kernel, first, migratetype)
        move_freepages_block(kernel, zone, first, migratetype)
        if free + alike >= pageblock_nr_pages // 2:
            kernel.memmap.set_migratetype(start, pageblock_nr_pages, migratetype)
        return
    move_to_free_list(zone, pfn, order, migratetype)


def rmqueue_buddy(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None = None
) -> int | None:
    """Take a block from a zone: own lists, then those of other types; bad pages are leaked."""
    # 6.1 and its __rmqueue_fallback(); Debian's 6.12 has "mm: page_alloc: speed up fallbacks in
    # rmqueue_bulk()", which names the two steps claim and steal.
    fallbacks = (
        (__rmqueue_claim, __rmqueue_steal) if kernel.release.claims_before_stealing else (__rmqueue_fallback,)
    )
    while True:
        pfn = __rmqueue_smallest(kernel, zone, order, migratetype, within)
        for fallback in fallbacks:
            if pfn is None:
                pfn = fallback(kernel, zone, order, migratetype, within)
        if pfn is None or not check_new_pages(kernel, pfn, order):
            return pfn


def check_new_pages(kernel: Kernel, pfn: int, order: int) -> bool:
    """Return whether a block that was just taken is bad, and report its bad pages, but no poisoned ones."""
    if not is_check_pages_enabled(kernel):
        return False
    flags = PAGE_FLAGS_CHECK_AT_PREP | PageFlag.HWPOISON
    bad = find_bad_pages(kernel, pfn, 1 << order, flags)
    for wrong in bad:
        if kernel.memmap.flags(wrong) & PageFlag.HWPOISON:
            continue
        reason = page_bad_reason(kernel, wrong, flags, "PAGE_FLAGS_CHECK_AT_PREP")
        bad_page(kernel, wrong, reason or "nonzero mapcount")
    return bool(bad)
