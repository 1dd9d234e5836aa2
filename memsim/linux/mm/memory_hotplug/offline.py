"""Taking memory offline: the second half of ``mm/memory_hotplug.c``.

``offline_pages()`` isolates a range, asks the listeners, migrates what can be migrated, and forgets the
rest only when every page is free, hwpoisoned, or Offline with refcount 0. What it then subtracts from the
managed counter is the hunk OFFLINE_CORE.

Left out: hugetlb dissolving, pages that are movable without being on the LRU (``movable_ops``: the virtio
balloon's Offline pages are migrated, whatever their refcount), splitting of huge pages for which there is no
place, the per-cpu LRU batches that ``lru_cache_disable()`` empties; of nodes all but the notifier (7.3).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import memory_notify
from memsim.linux.drivers.base.node import node_notify
from memsim.linux.include.layout import PAGE_SHIFT, hex_range, pageblock_nr_pages
from memsim.linux.include.mmzone import MigrateType, Zone, node_present_pages
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.kernel.resource import walk_system_ram_range
from memsim.linux.mm.debug import dump_page
from memsim.linux.mm.memory_hotplug.online import adjust_present_page_count, check_online_range
from memsim.linux.mm.memory_hotplug.zones import remove_pfn_range_from_zone
from memsim.linux.mm.migrate import check_signal, compound_order, lru_pages, migrate_pages
from memsim.linux.mm.page_alloc.api import zone_pcp_disable, zone_pcp_enable
from memsim.linux.mm.page_alloc.buddy import mark_managed
from memsim.linux.mm.page_alloc.isolation import __offline_isolated_pages
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.linux.mm.page_isolation import (
    forget_stored_migratetypes,
    start_isolate_page_range,
    test_pages_isolated,
    undo_isolate_page_range,
)
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


MIGRATE_BURST = 10
"""Of pages that cannot be isolated or migrated the kernel prints 10 in five seconds; here 10 in all."""
_REASONS = {
    "set_migratetype_isolate": "failure to isolate range",
    "node_notify": "node notifier failure",
    "memory_notify": "notifier failure",
    "scan_movable_pages": "unmovable page",
    "offline_pages": "signal backoff",
}
"""What the kernel prints when offlining fails, by the function that the error comes from."""


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
    check_online_range("offline_pages", pfn, nr_pages)
    check_no_holes(kernel, pfn, nr_pages)
    check_one_zone(kernel, zone, pfn, nr_pages)
    last = kernel.release.has_node_notifier and nr_pages >= node_present_pages(kernel.zones)
    try:
        isolate_and_empty(kernel, zone, pfn, nr_pages, last=last)
    except KernelError as error:
        fail_offline(kernel, pfn, nr_pages, _REASONS[error.stage])
        raise
    managed = __offline_isolated_pages(kernel, pfn, nr_pages)
    forget_stored_migratetypes(kernel, pfn, nr_pages)
    if not kernel.has(Hunk.OFFLINE_CORE):
        managed = nr_pages
    zone.add("nr_isolate_pageblock", -(nr_pages // pageblock_nr_pages))
    zone.add("managed_pages", -managed)
    kernel.state.totalram_pages_add(-managed)
    mark_managed(kernel, pfn, nr_pages, managed=False)
    adjust_present_page_count(kernel, pfn, -nr_pages)
    init_per_zone_wmark_min(kernel)
    if last:
        node_notify(kernel, "NODE_REMOVED_LAST_MEMORY")
    memory_notify(kernel, "MEM_OFFLINE", pfn, nr_pages)
    remove_pfn_range_from_zone(kernel, zone, pfn, nr_pages)


def isolate_and_empty(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int, *, last: bool) -> None:
    """Isolate a range, ask the listeners and migrate, while per-cpu lists are off."""
    zone_pcp_disable(kernel, zone)
    try:
        start_isolate_page_range(kernel, pfn, nr_pages, memory_offline=True)
        ask_and_empty(kernel, pfn, nr_pages, last=last)
    finally:
        zone_pcp_enable(kernel, zone)


def ask_and_empty(kernel: Kernel, pfn: int, nr_pages: int, *, last: bool) -> None:
    """Ask the listeners, and migrate; a failure ends the isolation and notifies the listeners.

    Those of the node are asked first if it loses its ``last`` memory (7.3).
    """
    try:
        if last:
            node_notify(kernel, "NODE_REMOVING_LAST_MEMORY")
        memory_notify(kernel, "MEM_GOING_OFFLINE", pfn, nr_pages)
        empty_range(kernel, pfn, nr_pages)
    except KernelError:
        undo_isolate_page_range(kernel, pfn, nr_pages, MigrateType.MOVABLE)
        memory_notify(kernel, "MEM_CANCEL_OFFLINE", pfn, nr_pages)
        if last:
            node_notify(kernel, "NODE_CANCEL_REMOVING_LAST_MEMORY")
        raise


def fail_offline(kernel: Kernel, pfn: int, nr_pages: int, reason: str) -> None:
    """Print why offlining failed, as the kernel does with byte addresses, when all is as it was before.

    With ``pr_debug()``: a real log has the line only where dynamic debug is on for mm/memory_hotplug.c.
    """
    where = f"[mem {pfn << PAGE_SHIFT:#010x}-{(pfn + nr_pages << PAGE_SHIFT) - 1:#010x}]"
    kernel.state.printk(f"memory offlining {where} failed due to {reason}")


def check_no_holes(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Refuse (EINVAL) a range that is not System RAM throughout."""
    hole = walk_system_ram_range(kernel, pfn, nr_pages)
    if hole is not None:
        fail_offline(kernel, pfn, nr_pages, "memory holes")
        message = f"{hex_range(pfn, nr_pages)} has a hole at pfn {hole:#x}"
        raise KernelError("EINVAL", "offline_pages", message)


def check_one_zone(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> None:
    """Refuse (EINVAL) a range of which the first or the last page is in another zone."""
    for edge in (pfn, pfn + nr_pages - 1):
        if kernel.memmap.zone_of(edge) != zone.type:
            fail_offline(kernel, pfn, nr_pages, "multizone range")
            raise KernelError("EINVAL", "offline_pages", f"page {edge:#x} is not in zone {zone.name}")


def empty_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Migrate until every page is free or may be forgotten. There is no retry limit but a signal."""
    while True:
        check_signal(kernel, "offline_pages", pfn, nr_pages)
        movable = scan_movable_pages(kernel, pfn, nr_pages)
        if movable is not None:
            do_migrate_range(kernel, movable, pfn + nr_pages - movable)
        else:
            with suppress(KernelError):
                return test_pages_isolated(kernel, pfn, nr_pages, memory_offline=True)


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
            message = f"page {at_pfn + index:#x} is Offline and still has a reference"
            raise KernelError("EBUSY", "scan_movable_pages", message)
        at_pfn += at.stop - at.start
    return None


@kernel_function("mm/memory_hotplug.c")
def do_migrate_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Try to migrate every movable page of a range; what fails is printed, and tried again by the caller.

    A page that is in use and on no LRU list, one that a driver withholds for example, is printed as well.
    """
    isolate_poisoned(kernel, pfn, nr_pages)
    for each in stuck_pages(kernel, pfn, nr_pages)[:MIGRATE_BURST]:  # no more are printed
        warn_of_page(kernel, each, f"failed to isolate pfn {each:x}", "isolation failed")
    # isolate_folio_to_list(), 6.12, puts each page before those that it found earlier; 6.1 puts it behind.
    step = -1 if kernel.release.migrates_last_first else 1
    try:
        failed = migrate_pages(kernel, lru_pages(kernel, pfn, nr_pages)[::step])
        ret = len(failed)
    except KernelError as error:
        failed, ret = lru_pages(kernel, pfn, nr_pages)[::step], -error.errno
    for each in failed[:MIGRATE_BURST]:
        warn_of_page(kernel, each, f"migrating pfn {each:x} failed ret:{ret}", "migration failure")


def stuck_pages(kernel: Kernel, pfn: int, nr_pages: int) -> list[int]:
    """Return the pages of a range that are in use, on no LRU list, and not poisoned, ascending."""
    found: list[int] = []
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        pages = section.pages
        other = pages.flags[at] & np.uint32(PageFlag.LRU | PageFlag.HWPOISON) == 0
        found += (np.flatnonzero(other & (pages.refcount[at] > 0)) + pfn).tolist()
        pfn += at.stop - at.start
    return found


def isolate_poisoned(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Take the single poisoned pages of a range off the LRU; they are not copied.

    Left out: the reference that isolating takes, for nothing looks at such a page any more.
    """
    for each in lru_pages(kernel, pfn, nr_pages, PageFlag.HWPOISON):
        if not compound_order(kernel, each):
            kernel.memmap.clear_flags(each, 1, PageFlag.LRU)


def warn_of_page(kernel: Kernel, pfn: int, line: str, reason: str) -> None:
    """Print a page that stays, as it is then: off the LRU, and with a reference of who tried."""
    if kernel.migration_failures == MIGRATE_BURST:
        return
    kernel.migration_failures += 1
    kernel.state.printk(line)
    refcount, listed = kernel.memmap.refcount(pfn), kernel.memmap.flags(pfn) & PageFlag.LRU
    kernel.memmap.clear_flags(pfn, 1, listed)
    kernel.memmap.set_refcount(pfn, 1, refcount + 1)
    dump_page(kernel, pfn, reason)
    kernel.memmap.set_refcount(pfn, 1, refcount)
    kernel.memmap.set_flags(pfn, 1, listed)  # putback_movable_pages()
