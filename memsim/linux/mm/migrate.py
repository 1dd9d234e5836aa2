"""Moving pages: ``mm/migrate.c``.

A page on the LRU stands for user memory: its owner learns where the contents are now. Left out: page tables,
movable pages that are not on the LRU, splitting of huge pages for which there is no place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.include.layout import hex_range
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import LIVE, MANAGED, PRESENT, ZONE_MASK, PageFlag
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

# Numbers: an operation on an enumeration takes as long as freeing a page.
_LRU, _HEAD = int(PageFlag.LRU), int(PageFlag.HEAD)
_LRU_STATE = int(PageFlag.LRU | PageFlag.ACTIVE | PageFlag.UNEVICTABLE)


def check_signal(kernel: Kernel, stage: str, pfn: int, nr_pages: int) -> None:
    """Give up emptying a range (EINTR) when a signal has arrived."""
    if kernel.signal_pending():
        message = f"a signal arrived while {hex_range(pfn, nr_pages)} was being emptied"
        raise KernelError("EINTR", stage, message)


def migrate_pages(kernel: Kernel, pfns: list[int]) -> list[int]:
    """Migrate pages, one after the other; return those that stay: pinned, or huge without a place.

    Raises
    ------
    KernelError
        ENOMEM: there is no free page for a single page. The others are not tried then.
    """
    failed = []
    for pfn in pfns:
        if kernel.memmap.refcount(pfn) != 1:
            failed.append(pfn)
            continue
        try:
            migrate_page(kernel, pfn)
        except KernelError:
            if compound_order(kernel, pfn) == 0:
                raise
            failed.append(pfn)
    return failed


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
    kernel.memmap.set_flags(pfn, 1, _LRU | (_HEAD if order else 0))
    if order:
        kernel.memmap.set_order(pfn, order)


def compound_order(kernel: Kernel, pfn: int) -> int:
    """Return the order of the compound page that ``pfn`` heads, 0 for a single page."""
    return kernel.memmap.raw(pfn).order if kernel.memmap.flags(pfn) & _HEAD else 0


def free_lru_page(kernel: Kernel, pfn: int) -> None:
    """Take a page off the LRU and drop its last reference."""
    order = compound_order(kernel, pfn)
    kernel.memmap.clear_flags(pfn, 1, _LRU_STATE)
    if order:
        kernel.memmap.set_order(pfn, 0)
    __free_pages(kernel, pfn, order)


def lru_pages(kernel: Kernel, pfn: int, nr_pages: int, flags: int = 0) -> list[int]:
    """Return the pages of a range that are on the LRU and have these flags, too, ascending."""
    found, wanted = [], np.uint32(PageFlag.LRU | flags)
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        found += (np.flatnonzero(section.pages.flags[at] & wanted == wanted) + pfn).tolist()
        pfn += at.stop - at.start
    return found
