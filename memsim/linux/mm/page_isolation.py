"""Isolating pageblocks: ``mm/page_isolation.c``.

An isolated pageblock keeps its pages, free or not, but what is or becomes free goes to the ISOLATE list,
from which nothing is allocated. The two releases differ in what happens to a free block of order 10 that
spans an isolated and another pageblock: 6.12 splits it, 6.1 moves it as a whole with its first half.

Left out: splitting of compound pages that straddle the range (the ranges here are block-aligned), CMA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.include.layout import (
    MAX_PAGE_ORDER,
    hex_range,
    pageblock_nr_pages,
    pageblock_order,
    pageblock_start_pfn,
)
from memsim.linux.include.mmzone import MigrateType, Zone, ZoneType
from memsim.linux.include.page_flags import ZONE_SHIFT, PageFlag, PageType
from memsim.linux.mm.debug import dump_page
from memsim.linux.mm.page_alloc.buddy import (
    __free_one_page,
    del_page_from_free_list,
    free_blocks_in,
    page_is_buddy,
)
from memsim.linux.mm.page_alloc.isolation import move_freepages_block_isolate, split_free_page
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.state.kernel import Kernel


def has_unmovable_pages(kernel: Kernel, pfn: int, nr_pages: int, *, memory_offline: bool) -> int | None:
    """Return the first page of a range inside one pageblock that cannot be moved away, or None.

    The order of the questions is the kernel's: PG_reserved is unmovable whatever else it is;
    ZONE_MOVABLE is taken at its word; refcount 0 passes; when memory goes offline, so do hwpoisoned
    and Offline pages (their owner gets its chance in the notifier); the rest must be on the LRU.
    """
    memmap, at_pfn = kernel.memmap, pfn
    unmovable = np.zeros(nr_pages, bool)
    for section, at in memmap.spans(pfn, nr_pages):
        pages, flags = section.pages, section.pages.flags[at]
        fine = (flags >> ZONE_SHIFT == ZoneType.MOVABLE) | (pages.refcount[at] == 0)
        passes = PageFlag.LRU
        if memory_offline:
            passes |= PageFlag.HWPOISON
            fine |= memmap.encoding.where(pages.type[at], PageType.OFFLINE)
        fine |= flags & np.uint32(passes) != 0
        fine &= flags & np.uint32(PageFlag.RESERVED) == 0
        unmovable[at_pfn - pfn : at_pfn - pfn + len(fine)] = ~fine
        at_pfn += len(fine)
    if kernel.page_zone(pfn).type != ZoneType.MOVABLE:  # where each page is asked, free or not
        for head, order in free_blocks_in(kernel, pfn, nr_pages):
            unmovable[head - pfn + 1 : head - pfn + (1 << order)] = False
    return pfn + int(unmovable.argmax()) if unmovable.any() else None


def set_migratetype_isolate(kernel: Kernel, pfn: int, *, memory_offline: bool, report_failure: bool) -> None:
    """Isolate one pageblock; EBUSY if it is isolated already or holds an unmovable page."""
    stage = "set_migratetype_isolate"
    if kernel.memmap.migratetype(pfn) == MigrateType.ISOLATE:
        message = f"pageblock {pfn:#x} is already isolated by another caller"
        raise KernelError("EBUSY", stage, message)
    unmovable = has_unmovable_pages(kernel, pfn, pageblock_nr_pages, memory_offline=memory_offline)
    if unmovable is not None:
        if report_failure:
            dump_page(kernel, unmovable, "unmovable page")
        message = f"page {unmovable:#x} in pageblock {pfn:#x} is unmovable"
        raise KernelError("EBUSY", stage, message)
    zone = kernel.page_zone(pfn)
    if kernel.release.isolation_is_a_bit:
        kernel.stored_migratetypes[pfn] = kernel.memmap.migratetype(pfn)
    move_freepages_block_isolate(kernel, zone, pfn, MigrateType.ISOLATE)
    zone.add("nr_isolate_pageblock", 1)


def unset_migratetype_isolate(kernel: Kernel, pfn: int, migratetype: int) -> None:
    """Give one isolated pageblock back to ``migratetype``, or where isolation is a bit to its own type.

    A free pageblock whose partner is free and no longer isolated is taken out and put back at the tail,
    so that the two merge; everything else just moves.
    """
    memmap = kernel.memmap
    if memmap.migratetype(pfn) != MigrateType.ISOLATE:
        return
    zone = kernel.page_zone(pfn)
    order = memmap.buddy_order(pfn)
    migratetype = kernel.stored_migratetypes.pop(pfn, migratetype)
    if partner_is_free(kernel, zone, pfn, order):
        del_page_from_free_list(kernel, zone, pfn, order)
        memmap.set_migratetype(pfn, pageblock_nr_pages, migratetype)
        __free_one_page(kernel, zone, pfn, order, migratetype, to_tail=True)
    else:
        move_freepages_block_isolate(kernel, zone, pfn, migratetype)
    zone.add("nr_isolate_pageblock", -1)


def partner_is_free(kernel: Kernel, zone: Zone, pfn: int, order: int) -> bool:
    """Return whether a free pageblock could merge if it were not isolated."""
    if not pageblock_order <= order < MAX_PAGE_ORDER:
        return False
    partner = pfn ^ (1 << order)
    return (
        page_is_buddy(kernel, partner, order, zone)
        and kernel.memmap.migratetype(partner) != MigrateType.ISOLATE
    )


def isolate_single_pageblock(
    kernel: Kernel, block: int, boundary_pfn: int, *, memory_offline: bool, report_failure: bool
) -> None:
    """Isolate the first or the last pageblock of a range that begins or ends at ``boundary_pfn``."""
    set_migratetype_isolate(kernel, block, memory_offline=memory_offline, report_failure=report_failure)
    split_at_boundary(kernel, block, boundary_pfn)


def split_at_boundary(kernel: Kernel, block: int, boundary_pfn: int) -> None:
    """Split a free block that extends beyond the range on 6.1; 6.12 split it with the isolation."""
    beside = boundary_pfn - 1 if block == boundary_pfn else boundary_pfn
    # 6.1 only: move_freepages_block_isolate() of 6.12 has split the block already.
    if not kernel.release.isolation_splits and kernel.memmap.pfn_to_online_page(beside) is not None:
        split_free_page(kernel, kernel.page_zone(block), boundary_pfn)


@kernel_function("mm/page_isolation.c")
def start_isolate_page_range(
    kernel: Kernel, start_pfn: int, nr_pages: int, *, memory_offline: bool, report_failure: bool = True
) -> None:
    """Isolate every pageblock that a range touches: first, last, then the middle; all or nothing.

    All pages of a pageblock are asked whether they can be moved, even those beside the range.

    Raises
    ------
    KernelError
        EBUSY, after everything isolated so far is given back: as MOVABLE, or where isolation is a bit as
        what it was.
    """
    start, end = pageblock_start_pfn(start_pfn), pageblock_start_pfn(start_pfn + nr_pages - 1)
    ways = {"memory_offline": memory_offline, "report_failure": report_failure}
    done: list[int] = []
    try:
        isolate_single_pageblock(kernel, start, start, **ways)
        done.append(start)
        if end != start:
            isolate_single_pageblock(kernel, end, end + pageblock_nr_pages, **ways)
            done.append(end)
        else:
            split_at_boundary(kernel, start, start + pageblock_nr_pages)
        for block in range(start + pageblock_nr_pages, end, pageblock_nr_pages):
            set_migratetype_isolate(kernel, block, **ways)
            done.append(block)
    except KernelError:
        for block in sorted(done):
            unset_migratetype_isolate(kernel, block, MigrateType.MOVABLE)
        raise


@kernel_function("mm/page_isolation.c")
def undo_isolate_page_range(kernel: Kernel, pfn: int, nr_pages: int, migratetype: int) -> None:
    """Give every isolated pageblock of a range to ``migratetype``, whatever type it had before.

    Where isolation is a bit (since 6.17), a pageblock has the type again that it had before.
    """
    pfn, end = pageblock_start_pfn(pfn), pfn + nr_pages
    while pfn < end:
        unset_migratetype_isolate(kernel, pfn, migratetype)
        pfn += pageblock_nr_pages


def forget_stored_migratetypes(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Forget what pageblocks were that are isolated for good: onlining makes them anew."""
    for block in range(pfn, pfn + nr_pages, pageblock_nr_pages):
        kernel.stored_migratetypes.pop(block, None)


@kernel_function("mm/page_isolation.c")
def test_pages_isolated(kernel: Kernel, pfn: int, nr_pages: int, *, memory_offline: bool) -> None:
    """Check that every page of an isolated range is free or may be forgotten.

    Raises
    ------
    KernelError
        EBUSY naming the first page that is neither in the buddy, nor (when memory goes offline)
        hwpoisoned, nor Offline with refcount 0.
    """
    fine = __test_page_isolated_in_pageblock(kernel, pfn, nr_pages, memory_offline=memory_offline)
    if not fine.all():
        busy = pfn + int(fine.argmin())
        message = f"page {busy:#x} of {hex_range(pfn, nr_pages)} is still in use"
        raise KernelError("EBUSY", "test_pages_isolated", message)


def __test_page_isolated_in_pageblock(
    kernel: Kernel, pfn: int, nr_pages: int, *, memory_offline: bool
) -> npt.NDArray[np.bool_]:
    """Return for each page of a range whether it is free or may be forgotten.

    (The kernel's function returns the first pfn for which this is false.)
    """
    fine = np.zeros(nr_pages, bool)
    at_index, encoding = 0, kernel.memmap.encoding
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        pages, size = section.pages, at.stop - at.start
        if memory_offline:
            offline = encoding.where(pages.type[at], PageType.OFFLINE)
            poisoned = pages.flags[at] & np.uint32(PageFlag.HWPOISON) != 0
            fine[at_index : at_index + size] = poisoned | (offline & (pages.refcount[at] == 0))
        at_index += size
    for head, order in free_blocks_in(kernel, pfn, nr_pages):
        fine[head - pfn : head - pfn + (1 << order)] = True
    return fine
