"""What callers of the page allocator use, and the per-cpu lists between them and the buddy.

Models ``alloc_pages()``, ``__free_pages()``, ``free_unref_page()`` and their kin in ``mm/page_alloc.c``, for
one CPU. Per-cpu lists and watermarks are off by default: a textbook wants to
see where a freed page goes, and the kernel itself works without the lists while it takes memory offline.

``__free_page()`` is ``__free_pages()`` with order 0. ``split_page()``, which gives each page of an allocated
block a reference of its own, is what :func:`memsim.linux.mm.page_alloc.contig.isolate_freepages_range` does.

Left out: reclaim and compaction (a request that finds nothing fails), auto-tuning of the lists' size (6.12),
NUMA, memory cgroups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import BadPage, KernelError
from memsim.linux.include.layout import hex_range, pageblock_order
from memsim.linux.include.mmzone import MIGRATE_PCPTYPES, MigrateType, Zone, ZoneType
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.page_alloc.buddy import (
    __free_one_page,
    adjust_managed_page_count,
    free_one_page,
    free_pages_prepare,
)
from memsim.linux.mm.page_alloc.free_lists import rmqueue_buddy
from memsim.linux.mm.page_alloc.watermarks import WMARK_LOW, WMARK_MIN, zone_watermark_ok
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

PAGE_ALLOC_COSTLY_ORDER = 3


# ---- per-cpu lists ---------------------------------------------------------------------------------


def pcp_allowed_order(order: int) -> bool:
    """Return whether blocks of this order are kept on per-cpu lists: 0 to 3, and huge pages."""
    return order <= PAGE_ALLOC_COSTLY_ORDER or order == pageblock_order


def pcp_list_of(order: int, migratetype: int) -> tuple[int, int]:
    """Return which per-cpu list a block belongs to: (order, migratetype). Huge pages are movable or not."""
    kind = migratetype if migratetype < MIGRATE_PCPTYPES else MigrateType.MOVABLE
    if order == pageblock_order and kind != MigrateType.MOVABLE:
        kind = MigrateType.UNMOVABLE
    return order, kind


def zone_batchsize(managed_pages: int) -> int:
    """Return how many pages move between a per-cpu list and the buddy at once.

    >>> [zone_batchsize(pages) for pages in (4096, 32768, 65536, 131072, 262144, 1 << 24)]
    [1, 7, 15, 31, 63, 63]
    """
    batch = max(1, min(managed_pages >> 10, 256) // 4)
    return max(1, (1 << (batch + batch // 2).bit_length() - 1) - 1)


def zone_highsize(zone: Zone) -> int:
    """Return how many pages may be on the per-cpu lists before some are given back."""
    return max(zone.watermark[WMARK_LOW], 4 * zone_batchsize(zone.managed_pages))


def pcp_enabled(kernel: Kernel, zone: Zone) -> bool:
    """Return whether freed pages of a zone stay on per-cpu lists now."""
    return kernel.per_cpu_lists and zone not in kernel.pcp_disabled


def free_pcppages_bulk(kernel: Kernel, zone: Zone, count: int) -> None:
    """Give at least ``count`` pages back to the buddy, list by list, oldest first."""
    for (order, migratetype), blocks in zone.pcp.items():
        while blocks and count > 0:
            pfn = next(iter(blocks))
            zone.pcp_del(pfn, order, migratetype)
            kind = kernel.memmap.migratetype(pfn)
            __free_one_page(kernel, zone, pfn, order, kind)
            count -= 1 << order


@kernel_function("mm/page_alloc.c")
def drain_all_pages(kernel: Kernel) -> None:
    """Give everything on per-cpu lists back to the buddy."""
    for zone in kernel.state.zones:
        free_pcppages_bulk(kernel, zone, zone.pcp_count)


def zone_pcp_disable(kernel: Kernel, zone: Zone) -> None:
    """Drain a zone's per-cpu lists and let every free go to the buddy at once, until enabled again."""
    kernel.pcp_disabled.add(zone)
    free_pcppages_bulk(kernel, zone, zone.pcp_count)


def zone_pcp_enable(kernel: Kernel, zone: Zone) -> None:
    """Allow per-cpu lists again."""
    kernel.pcp_disabled.discard(zone)


def nr_pcp_alloc(zone: Zone, order: int) -> int:
    """Return how many blocks refill a per-cpu list: a batch of pages, but at least two blocks.

    A zone whose batch is a single page refills with a single block.
    """
    batch = zone_batchsize(zone.managed_pages)
    return max(batch >> order, 2) if batch > 1 else 1


def rmqueue_bulk(kernel: Kernel, zone: Zone, order: int, count: int, migratetype: int) -> None:
    """Move up to ``count`` blocks from the buddy to a per-cpu list."""
    for _ in range(count):
        pfn = rmqueue_buddy(kernel, zone, order, migratetype)
        if pfn is None:
            return
        zone.pcp_add_tail(pfn, *pcp_list_of(order, migratetype))


def rmqueue_pcplist(kernel: Kernel, zone: Zone, order: int, migratetype: int) -> int | None:
    """Take a block from a per-cpu list, which is refilled first if it is empty."""
    key = pcp_list_of(order, migratetype)
    if not zone.pcp.get(key):
        rmqueue_bulk(kernel, zone, order, nr_pcp_alloc(zone, order), migratetype)
    if not zone.pcp.get(key):
        return None
    pfn = next(reversed(zone.pcp[key]))
    zone.pcp_del(pfn, *key)
    return pfn


# ---- freeing ---------------------------------------------------------------------------------------


def free_unref_page(kernel: Kernel, pfn: int, order: int = 0) -> None:
    """Free a block without references: to a per-cpu list, or to the buddy if its pageblock is isolated.

    Without CONFIG_DEBUG_VM, 6.1 checks a page of a per-cpu list only when the page leaves the list
    (``bulkfree_pcp_prepare()``; here at once). By then its flags are cleared.
    """
    # 6.12 has no bulkfree_pcp_prepare(): it checks in free_pages_prepare() or not at all.
    checks_late = kernel.release.always_checks_freed_pages and not kernel.debug_vm
    checks_late = checks_late and pcp_allowed_order(order)
    if free_pages_prepare(kernel, pfn, order, check_free=not checks_late):
        free_prepared(kernel, pfn, order)


def free_prepared(kernel: Kernel, pfn: int, order: int) -> None:
    """Free a block that is checked and clean: to a per-cpu list, or to the buddy."""
    zone = kernel.page_zone(pfn)
    if not pcp_allowed_order(order) or not pcp_enabled(kernel, zone):
        free_one_page(kernel, pfn, order)
        return
    migratetype = kernel.memmap.migratetype(pfn)
    if migratetype == MigrateType.ISOLATE:
        free_one_page(kernel, pfn, order)
        return
    zone.pcp_add(pfn, *pcp_list_of(order, migratetype))
    if zone.pcp_count >= zone_highsize(zone):
        free_pcppages_bulk(kernel, zone, zone_batchsize(zone.managed_pages))


@kernel_function("mm/page_alloc.c", probe=False)
def __free_pages(kernel: Kernel, pfn: int, order: int = 0) -> None:
    """Drop a reference of an allocated block and free it when that was the last one."""
    refcount = kernel.memmap.refcount(pfn)
    if refcount <= 0:
        msg = f"pfn {pfn:#x} has refcount {refcount}: it is not allocated"
        raise BadPage(msg)
    kernel.memmap.set_refcount(pfn, 1, refcount - 1)
    if refcount == 1:
        free_unref_page(kernel, pfn, order)


@kernel_function("mm/page_alloc.c")
def free_reserved_page(kernel: Kernel, pfn: int) -> None:
    """Give a page that was never in the buddy to it, and count it as managed.

    Works on pages that are not PG_reserved, too: clearing the flag is then a no-op. 7.3 counts the page first
    and frees it without a reference (``free_reserved_pages()``).
    """
    kernel.memmap.clear_flags(pfn, 1, PageFlag.RESERVED)
    if kernel.release.reserved_free_accounts_first:
        kernel.memmap.set_refcount(pfn, 1, 0)
        adjust_managed_page_count(kernel, pfn, 1)
        free_unref_page(kernel, pfn)
        return
    kernel.memmap.set_refcount(pfn, 1, 1)
    __free_pages(kernel, pfn)
    adjust_managed_page_count(kernel, pfn, 1)


# ---- allocating ------------------------------------------------------------------------------------


@kernel_function("mm/page_alloc.c")
def alloc_pages(
    kernel: Kernel,
    order: int,
    migratetype: int,
    within: range | None = None,
    highest: ZoneType = ZoneType.MOVABLE,
) -> int:
    """Allocate a block of ``2**order`` pages and return its first pfn; its refcount is 1.

    ``highest`` is the highest zone that the request may use (``gfp_zone()``), if its migratetype may.

    Raises
    ------
    KernelError
        ENOMEM: no zone that this migratetype may use has a free block of the order.
    """
    # The first attempt stays above the low watermark, the second (__alloc_pages_slowpath()) above min.
    for mark in (WMARK_LOW, WMARK_MIN) if kernel.watermarks else (None,):
        pfn = get_page_from_freelist(kernel, order, migratetype, mark, within, highest)
        if pfn is not None:
            kernel.memmap.set_refcount(pfn, 1, 1)
            return pfn
    where = "" if within is None else f" in {hex_range(within.start, len(within))}"
    name = MigrateType(migratetype).name.lower()
    msg = f"no free {name} block of order {order}{where}"
    raise KernelError("ENOMEM", "alloc_pages", msg)


def get_page_from_freelist(
    kernel: Kernel, order: int, migratetype: int, mark: int | None, within: range | None, highest: ZoneType
) -> int | None:
    """Take a block from the first zone that has one and stays above its watermark ``mark``; None: no zone."""
    for zone in kernel.zonelists.get(migratetype, kernel.zonelists[MigrateType.UNMOVABLE]):
        if zone.type > highest or not zone.populated:
            continue  # build_zonerefs_node() leaves empty zones out
        if mark is not None and not zone_watermark_ok(kernel, zone, order, mark, migratetype, highest):
            continue
        pfn = rmqueue(kernel, zone, order, migratetype, within)
        if pfn is not None:
            return pfn
    return None


def rmqueue(kernel: Kernel, zone: Zone, order: int, migratetype: int, within: range | None) -> int | None:
    """Take a block from one zone, from its per-cpu lists where they are in use."""
    if within is None and pcp_enabled(kernel, zone) and pcp_allowed_order(order):
        return rmqueue_pcplist(kernel, zone, order, migratetype)
    return rmqueue_buddy(kernel, zone, order, migratetype, within)


@kernel_function("mm/page_alloc.c")
def alloc_pages_bulk(kernel: Kernel, nr_pages: int, migratetype: int) -> list[int]:
    """Allocate up to ``nr_pages`` single pages; fewer if memory runs out."""
    pfns: list[int] = []
    for _ in range(nr_pages):
        try:
            pfns.append(alloc_pages(kernel, 0, migratetype))
        except KernelError:
            break
    return pfns
