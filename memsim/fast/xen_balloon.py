"""Many pages at once between the Xen balloon and the buddy, where that comes to the same as page by page.

``increase_reservation()`` and ``decrease_reservation()`` do everything to one page, then to the next. No page
looks at what is done to another but when it meets free neighbours in the buddy. So each thing can be done to
all pages before the next thing is, and to neighbours together; only the order in which pages are freed, and
that of the balloon's list, have to be kept. ``tests/property/test_driver_quick.py`` holds the ways against
each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.fast.page_alloc_bulk import alloc_pages_bulk, free_pages_bulk, runs
from memsim.linux.include.layout import pageblock_nr_pages
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


def populate_at_once(kernel: Kernel, ballooned_pages: list[int], nr_pages: int) -> None:
    """Take pages, at least one, off the head of the list and give them to the buddy in that order."""
    pfns = np.array(ballooned_pages[: -nr_pages - 1 : -1], np.int64)
    del ballooned_pages[-nr_pages:]
    stretches = list(runs(np.sort(pfns), pageblock_nr_pages))  # a pageblock lies in one zone
    for pfn, size in stretches:
        kernel.memmap.clear_type(pfn, size, PageType.OFFLINE)
        kernel.memmap.clear_flags(pfn, size, PageFlag.RESERVED)
        kernel.memmap.set_refcount(pfn, size, 1)
    free_pages_bulk(kernel, pfns)
    for pfn, size in stretches:
        adjust_managed_page_count(kernel, pfn, size)


def take_at_once(kernel: Kernel, ballooned_pages: list[int], nr_pages: int) -> int:
    """Allocate pages and put them on the list, the first at its head; return how many there were."""
    pfns = alloc_pages_bulk(kernel, nr_pages, MigrateType.UNMOVABLE)
    for pfn, size in runs(np.sort(pfns), pageblock_nr_pages):
        kernel.memmap.set_type(pfn, size, PageType.OFFLINE)
        adjust_managed_page_count(kernel, pfn, size, -1)
    ballooned_pages.extend(pfns[::-1].tolist())
    return len(pfns)
