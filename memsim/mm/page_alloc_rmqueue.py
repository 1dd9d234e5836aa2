"""Taking blocks off the free lists: ``__rmqueue()`` and its fallbacks in ``mm/page_alloc.c``.

A request that its own migratetype cannot serve first tries to *claim* a pageblock of another type, then
*steals* a block. This follows 6.12 on both releases: 6.1 steals by other rules and may leave a free block on
a list that is not of its pageblock's type (``steal_suitable_fallback()``), for reasons that have nothing to
do with the patch.

Left out: CMA, high-order atomic reserves, watermark boosting, ALLOC_NOFRAGMENT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.include.layout import (
    MAX_PAGE_ORDER,
    NR_PAGE_ORDERS,
    pageblock_nr_pages,
    pageblock_order,
    pageblock_start_pfn,
)
from memsim.include.mmzone import FALLBACKS, MigrateType, Zone
from memsim.include.page_flags import PAGE_FLAGS_CHECK_AT_PREP, PageFlag
from memsim.mm.page_alloc import (
    account_freepages,
    bad_page,
    check_pages_enabled,
    del_page_from_free_list,
    find_bad_pages,
    free_blocks_in,
    move_freepages_block,
    page_bad_reason,
)

if TYPE_CHECKING:
    from collections import OrderedDict

    from memsim.kernel import Kernel

Range = tuple[int, int]
"""(first pfn, first pfn after it)."""


def head_of(blocks: OrderedDict[int, None], within: Range | None) -> int | None:
    """Return the block that is taken next, or None; ``within`` limits the search to a pfn range."""
    for pfn in reversed(blocks):
        if within is None or within[0] <= pfn < within[1]:
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
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: Range | None = None
) -> int | None:
    """Take the head of the smallest sufficient list of one migratetype."""
    for high in range(order, NR_PAGE_ORDERS):
        pfn = head_of(zone.free_area[high][migratetype], within)
        if pfn is not None:
            return page_del_and_expand(kernel, zone, pfn, order, high, migratetype)
    return None


def find_fallback(zone: Zone, order: int, migratetype: int, within: Range | None) -> tuple[int, int] | None:
    """Return (pfn, migratetype) of the first block of ``order`` on a fallback list, or None."""
    for fallback in FALLBACKS.get(migratetype, ()):
        pfn = head_of(zone.free_area[order][fallback], within)
        if pfn is not None:
            return pfn, fallback
    return None


def should_claim(order: int, migratetype: int) -> bool:
    """Return whether a fallback block is worth taking its whole pageblock for (``can_steal``)."""
    return order >= pageblock_order // 2 or migratetype in {
        MigrateType.UNMOVABLE,
        MigrateType.RECLAIMABLE,
    }


def try_to_claim_block(
    kernel: Kernel, zone: Zone, pfn: int, order: int, high: int, migratetype: int
) -> int | None:
    """Turn the pageblock of a fallback block to ``migratetype`` if enough of it is compatible."""
    memmap = kernel.memmap
    block_type = memmap.migratetype(pfn)
    if high >= pageblock_order:
        taken_from = del_page_from_free_list(kernel, zone, pfn, high)
        account_freepages(zone, -(1 << high), taken_from)
        memmap.set_migratetype(pfn, 1 << high, migratetype)
        expand(kernel, zone, pfn, order, high, migratetype)
        account_freepages(zone, (1 << high) - (1 << order), migratetype)
        return pfn
    start = pageblock_start_pfn(pfn)
    free = sum(1 << o for _, o in free_blocks_in(kernel, start, pageblock_nr_pages))
    section, at = next(memmap.spans(start, pageblock_nr_pages))
    movable = int((section.pages.flags[at] & np.uint32(PageFlag.LRU) != 0).sum())
    if migratetype == MigrateType.MOVABLE:
        alike = movable
    else:
        alike = pageblock_nr_pages - free - movable if block_type == MigrateType.MOVABLE else 0
    if free + alike < pageblock_nr_pages // 2:
        return None
    move_freepages_block(kernel, zone, start, migratetype)
    memmap.set_migratetype(start, pageblock_nr_pages, migratetype)
    return __rmqueue_smallest(kernel, zone, order, migratetype, (start, start + pageblock_nr_pages))


def __rmqueue_claim(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: Range | None = None
) -> int | None:
    """Fall back to another type and claim its pageblock: from the largest block downwards."""
    for high in range(MAX_PAGE_ORDER, order - 1, -1):
        found = find_fallback(zone, high, migratetype, within)
        if found is None:
            continue
        if not should_claim(high, migratetype):
            return None
        pfn = try_to_claim_block(kernel, zone, found[0], order, high, migratetype)
        if pfn is not None:
            return pfn
    return None


def __rmqueue_steal(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: Range | None = None
) -> int | None:
    """Fall back to another type without claiming: the rest stays on the other type's lists."""
    for high in range(order, NR_PAGE_ORDERS):
        found = find_fallback(zone, high, migratetype, within)
        if found is not None:
            return page_del_and_expand(kernel, zone, found[0], order, high, found[1])
    return None


def rmqueue(
    kernel: Kernel, zone: Zone, order: int, migratetype: int, within: Range | None = None
) -> int | None:
    """Take a block from a zone: own lists, then claim, then steal; bad pages are leaked."""
    while True:
        pfn = __rmqueue_smallest(kernel, zone, order, migratetype, within)
        if pfn is None:
            pfn = __rmqueue_claim(kernel, zone, order, migratetype, within)
        if pfn is None:
            pfn = __rmqueue_steal(kernel, zone, order, migratetype, within)
        if pfn is None or not check_new_pages(kernel, pfn, order):
            return pfn


def check_new_pages(kernel: Kernel, pfn: int, order: int) -> bool:
    """Return whether a block that was just taken is bad, and report its bad pages."""
    if not check_pages_enabled(kernel):
        return False
    flags = PAGE_FLAGS_CHECK_AT_PREP | PageFlag.HWPOISON
    bad = find_bad_pages(kernel, pfn, 1 << order, flags)
    for wrong in bad:
        reason = page_bad_reason(kernel, wrong, flags, "PAGE_FLAGS_CHECK_AT_PREP")
        bad_page(kernel, wrong, reason or "nonzero mapcount")
    return bool(bad)
