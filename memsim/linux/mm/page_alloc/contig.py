"""Allocating a given range: ``alloc_contig_range()`` of ``mm/page_alloc.c``.

Left out: ``alloc_contig_pages()``, which looks for a range by itself; compound (gigantic) pages;
compaction of pages on movable_ops; CMA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import naturally_aligned_order
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.compaction import isolate_freepages_range
from memsim.linux.mm.migrate import check_signal, compound_order, lru_pages, migrate_pages
from memsim.linux.mm.page_alloc.api import __free_pages, drain_all_pages, free_prepared
from memsim.linux.mm.page_alloc.buddy import free_pages_prepare
from memsim.linux.mm.page_alloc.isolation import find_large_buddy
from memsim.linux.mm.page_isolation import (
    start_isolate_page_range,
    test_pages_isolated,
    undo_isolate_page_range,
)
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.state.kernel import Kernel

MIGRATE_TRIES = 5
COMPACT_CLUSTER_MAX = 32


@kernel_function("mm/page_alloc.c")
def alloc_contig_range(
    kernel: Kernel, pfn: int, nr_pages: int, migratetype: int = MigrateType.MOVABLE
) -> None:
    """Allocate exactly this range: isolate it, move away what is in it, take it off the free lists.

    Afterwards every page has refcount 1 and no type. The managed counter does not move: who wants the
    pages to be gone must say so. The isolation ends in any case, even that of another caller who was
    first, and pageblocks of the range that were isolated are of ``migratetype`` then.

    Raises
    ------
    KernelError
        EBUSY: a page cannot be moved, or another caller has isolated it. ENOMEM: there is no free page
        elsewhere to move a page to. EINTR: a signal arrived.
    """
    try:
        start_isolate_page_range(kernel, pfn, nr_pages, memory_offline=False, report_failure=False)
        drain_all_pages(kernel)
        __alloc_contig_migrate_range(kernel, pfn, nr_pages)
        larger = find_large_buddy(kernel, pfn, kernel.page_zone(pfn))
        start = larger[0] if larger is not None else pfn
        test_pages_isolated(kernel, start, pfn + nr_pages - start, memory_offline=False)
        end = isolate_freepages_range(kernel, start, pfn + nr_pages)
        free_contig_range(kernel, start, pfn - start)
        free_contig_range(kernel, pfn + nr_pages, end - pfn - nr_pages)
    finally:
        undo_isolate_page_range(kernel, pfn, nr_pages, migratetype)


def __alloc_contig_migrate_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Migrate movable pages, some 32 at a time; what stays is found by the test that follows.

    A group that does not go in five tries is the last that is tried. Pages that another user holds are in
    none: ``isolate_migratepages_block()``, mm/compaction.c, passes over anonymous pages that are pinned.
    """
    for group in groups_to_migrate(kernel, lru_pages(kernel, pfn, nr_pages)):
        left, tries = group, 0
        while left or not tries:
            check_signal(kernel, "alloc_contig_range", pfn, nr_pages)
            if tries == MIGRATE_TRIES:
                return
            left, tries = migrate_pages(kernel, left), tries + 1


def groups_to_migrate(kernel: Kernel, pfns: list[int]) -> Iterator[list[int]]:
    """Yield groups of COMPACT_CLUSTER_MAX pages or more, then the rest, each from its last page down."""
    group: list[int] = []
    size = 0
    for pfn in pfns:
        if kernel.memmap.refcount(pfn) == 1:
            group.insert(0, pfn)  # list_add()
            size += 1 << compound_order(kernel, pfn)
        if size >= COMPACT_CLUSTER_MAX:
            yield group
            group, size = [], 0
    yield group


@kernel_function("mm/page_alloc.c")
def free_contig_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free single pages one by one, or since 7.2 in aligned blocks; the managed counter does not move."""
    if kernel.release.contig_free_in_chunks:
        free_in_chunks(kernel, pfn, nr_pages)
        return
    for each in range(pfn, pfn + nr_pages):
        __free_pages(kernel, each)


def free_in_chunks(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Drop a reference of each page, then free what has none left in blocks as large as alignment allows.

    Pages with further references are left out. Each page is prepared alone, so its type is forgiven.
    """
    ready = [put_and_prepare(kernel, each) for each in range(pfn, pfn + nr_pages)]
    at = 0
    while at < nr_pages:
        end = ready.index(False, at) if False in ready[at:] else nr_pages
        while at < end:
            order = min(naturally_aligned_order(pfn + at), (end - at).bit_length() - 1)
            free_prepared(kernel, pfn + at, order)
            at += 1 << order
        at += 1


def put_and_prepare(kernel: Kernel, pfn: int) -> bool:
    """Drop a reference of a single page; return whether it can be freed."""
    refcount = kernel.memmap.refcount(pfn) - 1
    kernel.memmap.set_refcount(pfn, 1, refcount)
    return refcount == 0 and free_pages_prepare(kernel, pfn, 0)
