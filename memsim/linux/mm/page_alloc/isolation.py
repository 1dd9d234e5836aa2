"""Free blocks that are split for a part of them: functions of ``mm/page_alloc.c``.

Page isolation and memory failure call them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import NR_PAGE_ORDERS, PAGES_PER_SECTION, pageblock_nr_pages, pageblock_order
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import (
    account_freepages,
    del_page_from_free_list,
    free_blocks_in,
    move_freepages_block,
    split_large_buddy,
)
from memsim.linux.mm.sparse import offline_mem_sections
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel
    from memsim.state.section import Section


def find_large_buddy(kernel: Kernel, pfn: int, zone: Zone) -> tuple[int, int] | None:
    """Return (pfn, order) of the free block that covers ``pfn``, or None."""
    for order in range(NR_PAGE_ORDERS):
        head = pfn & ~((1 << order) - 1)
        found = kernel.memmap.buddy_order(head) if kernel.memmap.pfn_valid(head) else -1
        if found >= order and kernel.memmap.zone_of(head) == zone.type:
            return head, found
    return None


def move_freepages_block_isolate(kernel: Kernel, zone: Zone, pfn: int, migratetype: int) -> None:
    """Change the type of a pageblock and move its free pages to the lists of that type.

    6.12 splits a larger free block that contains the pageblock; 6.1 moves each block whose *head* is
    in the pageblock, whole.
    """
    memmap = kernel.memmap
    # 6.1 has no find_large_buddy().
    larger = find_large_buddy(kernel, pfn, zone) if kernel.release.isolation_splits else None
    if larger is not None and larger[1] > pageblock_order:
        head, order = larger
        taken_from = del_page_from_free_list(kernel, zone, head, order)
        account_freepages(zone, -(1 << order), taken_from)
        memmap.set_migratetype(pfn, pageblock_nr_pages, migratetype)
        split_large_buddy(kernel, zone, head, order)
        return
    move_freepages_block(kernel, zone, pfn, migratetype)
    memmap.set_migratetype(pfn, pageblock_nr_pages, migratetype)


def split_free_page(kernel: Kernel, zone: Zone, edge: int) -> None:
    """Split the free block that lies across ``edge``, each pageblock to the list of its own type."""
    larger = find_large_buddy(kernel, edge, zone)
    if larger is None or larger[0] == edge:
        return
    taken_from = del_page_from_free_list(kernel, zone, *larger)
    account_freepages(zone, -(1 << larger[1]), taken_from)
    split_large_buddy(kernel, zone, *larger)


def take_page_off_buddy(kernel: Kernel, pfn: int) -> bool:
    """Take one page out of the free block it is in, giving the rest back; False if it is not free."""
    zone = kernel.page_zone(pfn)
    free_block = find_large_buddy(kernel, pfn, zone)
    if free_block is None:
        return False
    head, order = free_block
    migratetype = del_page_from_free_list(kernel, zone, head, order)
    break_down_buddy_pages(kernel, head, pfn, order, migratetype)
    account_freepages(zone, -1, migratetype)
    return True


def break_down_buddy_pages(kernel: Kernel, head: int, target: int, order: int, migratetype: int) -> None:
    """Halve a block until ``target`` is alone, putting every other half on its free list."""
    zone = kernel.page_zone(head)
    while order > 0:
        order -= 1
        middle = head + (1 << order)
        other = head if target >= middle else middle
        head = middle if target >= middle else head
        kernel.memmap.set_buddy_order(other, order)
        zone.add_to_free_list(other, order, migratetype)


def is_free_buddy_page(kernel: Kernel, section: Section) -> npt.NDArray[np.bool_]:
    """Return which pages of a section lie in a free block, at its head or not (mm/page_alloc.c)."""
    heads = kernel.memmap.encoding.where(section.pages.type, PageType.BUDDY)
    free = np.zeros(PAGES_PER_SECTION, np.bool_)
    for order in range(NR_PAGE_ORDERS):
        aligned = slice(None, None, 1 << order)
        free |= np.repeat(heads[aligned] & (section.pages.order[aligned] >= order), 1 << order)
    return free


@kernel_function("mm/page_alloc.c")
def __offline_isolated_pages(kernel: Kernel, pfn: int, nr_pages: int) -> int:
    """Take the range out of the buddy for good; returns how many of its pages were managed.

    Managed is what is not Offline: a hwpoisoned page was never subtracted, so it still counts. (The
    return value exists since 3/3.)
    """
    memmap, encoding = kernel.memmap, kernel.memmap.encoding
    offline_mem_sections(kernel, pfn, nr_pages)
    zone = kernel.page_zone(pfn)
    in_buddy = np.zeros(nr_pages, bool)
    for head, order in free_blocks_in(kernel, pfn, nr_pages):
        taken_from = del_page_from_free_list(kernel, zone, head, order)
        account_freepages(zone, -(1 << order), taken_from)
        in_buddy[head - pfn : head - pfn + (1 << order)] = True
    already_offline, done = 0, 0
    for section, at in memmap.spans(pfn, nr_pages):
        offline = encoding.where(section.pages.type[at], PageType.OFFLINE)
        poisoned = section.pages.flags[at] & np.uint32(PageFlag.HWPOISON) != 0
        withheld = offline & ~poisoned & ~in_buddy[done : done + at.stop - at.start]
        already_offline += int(withheld.sum())
        done += at.stop - at.start
    return nr_pages - already_offline
