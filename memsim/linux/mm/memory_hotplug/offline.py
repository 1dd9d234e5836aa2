"""Taking memory offline: the second half of ``mm/memory_hotplug.c``.

``offline_pages()`` isolates a range, asks the listeners, migrates what can be migrated, and forgets the
rest only when every page is free, hwpoisoned, or Offline with refcount 0. What it then subtracts from the
managed counter is the hunk OFFLINE_CORE.

Left out: hugetlb dissolving, pages that are movable without being on the LRU (``movable_ops``: the virtio
balloon's Offline pages are migrated, whatever their refcount), splitting of huge pages for which there is no
place, the per-cpu LRU batches that ``lru_cache_disable()`` empties, node states.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import memory_notify
from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGE_SHIFT,
    PAGES_PER_SECTION,
    hex_range,
    pageblock_nr_pages,
    pfn_to_section_nr,
)
from memsim.linux.include.mmzone import MigrateType, Zone, ZoneType
from memsim.linux.include.page_flags import LIVE, MANAGED, NO_TYPE, PRESENT, ZONE_MASK, PageFlag, PageType
from memsim.linux.kernel.resource import first_hole
from memsim.linux.mm.memory_hotplug.online import (
    adjust_present_page_count,
    check_online_range,
    remove_pfn_range_from_zone,
)
from memsim.linux.mm.page_alloc.api import alloc_pages, free_unref_page, zone_pcp_disable, zone_pcp_enable
from memsim.linux.mm.page_alloc.buddy import (
    account_freepages,
    del_page_from_free_list,
    free_blocks_in,
    mark_managed,
)
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.linux.mm.page_isolation import (
    start_isolate_page_range,
    test_pages_isolated,
    undo_isolate_page_range,
)
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("mm/memory_hotplug.c")
def offline_pages(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> None:
    """Take a range offline: isolate, ask the listeners, migrate, forget.

    Raises
    ------
    KernelError
        EINVAL: misaligned, holes, or more than one zone. EBUSY: an unmovable page. EINTR: a signal
        ended the search for a way to empty the range. Else the errno of a listener. After a failure
        every pageblock of the range is MOVABLE, and pages that were migrated stay where they are.
    """
    stage = "offline_pages"
    check_online_range(stage, pfn, nr_pages)
    check_no_holes(kernel, pfn, nr_pages)
    for edge in (pfn, pfn + nr_pages - 1):
        if kernel.memmap.zone_of(edge) != zone.type:
            fail_offline(kernel, pfn, nr_pages, "multizone range")
            raise KernelError("EINVAL", stage, f"page {edge:#x} is not in zone {zone.name}")
    zone_pcp_disable(kernel, zone)
    try:
        at_once = is_untouched(kernel, pfn, nr_pages)
        if not at_once:
            isolate_and_empty(kernel, pfn, nr_pages)
    finally:
        zone_pcp_enable(kernel, zone)
    if at_once:
        managed = take_untouched(kernel, zone, pfn, nr_pages)
    else:
        managed = __offline_isolated_pages(kernel, pfn, nr_pages)
    if not kernel.has(Hunk.OFFLINE_CORE):
        managed = nr_pages
    zone.add("nr_isolate_pageblock", -(nr_pages // pageblock_nr_pages))
    zone.add("managed_pages", -managed)
    kernel.state.totalram_pages_add(-managed)
    mark_managed(kernel, pfn, nr_pages, managed=False)
    adjust_present_page_count(kernel, pfn, -nr_pages)
    init_per_zone_wmark_min(kernel)
    memory_notify(kernel, "MEM_OFFLINE", pfn, nr_pages)
    remove_pfn_range_from_zone(kernel, zone, pfn, nr_pages)


def is_untouched(kernel: Kernel, pfn: int, nr_pages: int) -> bool:
    """Return whether a range is whole sections of free blocks that nobody ever took, and nobody watches.

    Isolating, scanning and forgetting such a range page by page then ends as :func:`take_untouched` does.
    """
    if kernel.trace is not None or kernel.memory_chain or pfn % PAGES_PER_SECTION:
        return False
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages)):
        section = kernel.memmap.sections[nr]
        pattern, movable = section.pages.pattern, section.pageblocks.count(MigrateType.MOVABLE)
        if pattern is None or pattern.buddy == NO_TYPE or movable != len(section.pageblocks):
            return False
    return not kernel.signal_pending()


def take_untouched(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> int:
    """Take whole sections of free blocks out of the buddy for good; returns how many pages were managed."""
    for start in range(pfn, pfn + nr_pages, PAGES_PER_SECTION):
        section = kernel.memmap.section(start)
        heads = range(start, start + PAGES_PER_SECTION, MAX_ORDER_NR_PAGES)
        zone.del_run_from_free_list(heads, MAX_PAGE_ORDER, MigrateType.MOVABLE)
        kernel.memmap.set_online(section.nr, online=False)
        flags = section.pages.flags_at[0]
        kernel.memmap.init_pages(start, PAGES_PER_SECTION, zone.type, flags, NO_TYPE)
        kernel.memmap.set_refcount(start, PAGES_PER_SECTION, 0)
    kernel.memmap.set_migratetype(pfn, nr_pages, MigrateType.ISOLATE)
    zone.add("nr_isolate_pageblock", nr_pages // pageblock_nr_pages)
    account_freepages(zone, -nr_pages, MigrateType.MOVABLE)
    return nr_pages


def isolate_and_empty(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Isolate, ask the listeners, migrate; a failure after the isolation ends it and is told to all."""
    try:
        start_isolate_page_range(kernel, pfn, nr_pages, memory_offline=True)
    except KernelError:
        fail_offline(kernel, pfn, nr_pages, "failure to isolate range")
        raise
    try:
        ask_to_go_offline(kernel, pfn, nr_pages)
        empty_range(kernel, pfn, nr_pages)
    except KernelError:
        undo_isolate_page_range(kernel, pfn, nr_pages, MigrateType.MOVABLE)
        memory_notify(kernel, "MEM_CANCEL_OFFLINE", pfn, nr_pages)
        raise


def ask_to_go_offline(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Call the notifier chain; a veto is a reason to print."""
    try:
        memory_notify(kernel, "MEM_GOING_OFFLINE", pfn, nr_pages)
    except KernelError:
        fail_offline(kernel, pfn, nr_pages, "notifier failure")
        raise


def fail_offline(kernel: Kernel, pfn: int, nr_pages: int, reason: str) -> None:
    """Print why offlining failed, as the kernel does with byte addresses.

    With ``pr_debug()``: a real log has the line only where dynamic debug is on for mm/memory_hotplug.c.
    """
    where = f"[mem {pfn << PAGE_SHIFT:#010x}-{(pfn + nr_pages << PAGE_SHIFT) - 1:#010x}]"
    kernel.state.printk(f"memory offlining {where} failed due to {reason}")


def check_no_holes(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Refuse (EINVAL) a range that is not System RAM throughout."""
    hole = first_hole(kernel, pfn, nr_pages)
    if hole is not None:
        fail_offline(kernel, pfn, nr_pages, "memory holes")
        message = f"{hex_range(pfn, nr_pages)} has a hole at pfn {hole:#x}"
        raise KernelError("EINVAL", "offline_pages", message)


def empty_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Migrate until every page is free or may be forgotten. There is no retry limit but a signal."""
    while True:
        while True:
            if kernel.signal_pending():
                fail_offline(kernel, pfn, nr_pages, "signal backoff")
                message = f"a signal arrived while {hex_range(pfn, nr_pages)} was being emptied"
                raise KernelError("EINTR", "offline_pages", message)
            movable = scan_movable_pages(kernel, pfn, nr_pages)
            if movable is None:
                break
            do_migrate_range(kernel, movable, pfn + nr_pages - movable)
        try:
            test_pages_isolated(kernel, pfn, nr_pages, memory_offline=True)
        except KernelError:
            continue
        return


@kernel_function("mm/memory_hotplug.c")
def scan_movable_pages(kernel: Kernel, pfn: int, nr_pages: int) -> int | None:
    """Return the first page that can be migrated, or None when there is none.

    Raises
    ------
    KernelError
        EBUSY: an Offline page with a reference comes first; its owner did not let go of it.
    """
    encoding, at_pfn = kernel.memmap.encoding, pfn
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        pages = section.pages
        movable = pages.flags[at] & np.uint32(PageFlag.LRU) != 0
        offline = encoding.where(pages.type[at], PageType.OFFLINE)
        held = offline & (pages.refcount[at] > 0)
        if (movable | held).any():
            index = int((movable | held).argmax())
            if movable[index]:
                return at_pfn + index
            fail_offline(kernel, pfn, nr_pages, "unmovable page")
            message = f"page {at_pfn + index:#x} is Offline and still has a reference"
            raise KernelError("EBUSY", "scan_movable_pages", message)
        at_pfn += at.stop - at.start
    return None


@kernel_function("mm/memory_hotplug.c")
def do_migrate_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Try to migrate every movable page of a range; what fails is tried again by the caller."""
    with suppress(KernelError):
        migrate_pages(kernel, lru_pages(kernel, pfn, nr_pages))


def lru_pages(kernel: Kernel, pfn: int, nr_pages: int) -> list[int]:
    """Return the pages of a range that are on the LRU, ascending."""
    found: list[int] = []
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        found += (np.flatnonzero(section.pages.flags[at] & np.uint32(PageFlag.LRU)) + pfn).tolist()
        pfn += at.stop - at.start
    return found


def migrate_pages(kernel: Kernel, pfns: list[int]) -> None:
    """Migrate pages, one after the other; pinned ones stay.

    Raises
    ------
    KernelError
        ENOMEM: there is no free page for a single page. The others are not tried then.
    """
    for pfn in pfns:
        if kernel.memmap.refcount(pfn) != 1:
            continue
        try:
            migrate_page(kernel, pfn)
        except KernelError:
            if compound_order(kernel, pfn) == 0:
                raise


def migrate_page(kernel: Kernel, pfn: int) -> None:
    """Move a page, or a compound page by its head; ENOMEM if there is no place.

    A single page of a kernel zone stays in kernel zones: ``alloc_migration_target()`` allows what is above
    ZONE_NORMAL only to pages that come from there, and to huge pages.
    """
    order = compound_order(kernel, pfn)
    anywhere = order > 0 or kernel.page_zone(pfn).type == ZoneType.MOVABLE
    highest = ZoneType.MOVABLE if anywhere else ZoneType.NORMAL
    target = alloc_pages(kernel, order, MigrateType.MOVABLE, highest=highest)
    flags = kernel.memmap.flags(pfn) & ~(ZONE_MASK | LIVE | MANAGED | PRESENT)
    kernel.memmap.set_flags(target, 1, flags)
    kernel.memmap.set_order(target, order)
    kernel.moved(pfn, target)
    free_lru_page(kernel, pfn)


def prep_lru_page(kernel: Kernel, pfn: int, order: int = 0) -> None:
    """Make an allocated block a user's page on the LRU; larger blocks become compound pages."""
    kernel.memmap.set_flags(pfn, 1, PageFlag.LRU | (PageFlag.HEAD if order else 0))
    if order:
        kernel.memmap.set_order(pfn, order)


def compound_order(kernel: Kernel, pfn: int) -> int:
    """Return the order of the compound page that ``pfn`` heads, 0 for a single page."""
    page = kernel.memmap.raw(pfn)
    return page.order if page.flags & PageFlag.HEAD else 0


def free_lru_page(kernel: Kernel, pfn: int) -> None:
    """Take a page off the LRU and drop its last reference."""
    order = compound_order(kernel, pfn)
    kernel.memmap.clear_flags(pfn, 1, PageFlag.LRU | PageFlag.ACTIVE | PageFlag.UNEVICTABLE)
    if order:
        kernel.memmap.set_order(pfn, 0)
    kernel.memmap.set_refcount(pfn, 1, 0)
    free_unref_page(kernel, pfn, order)


@kernel_function("mm/memory_hotplug.c")
def __offline_isolated_pages(kernel: Kernel, pfn: int, nr_pages: int) -> int:
    """Take the range out of the buddy for good; returns how many of its pages were managed.

    Managed is what is not Offline: a hwpoisoned page was never subtracted, so it still counts. (The
    return value exists since 3/3.)
    """
    memmap, encoding = kernel.memmap, kernel.memmap.encoding
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages - 1) + 1):
        memmap.set_online(nr, online=False)
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
