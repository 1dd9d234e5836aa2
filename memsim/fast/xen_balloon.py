"""Shortcuts of the Xen balloon: many pages at once go to the buddy or come from it.

``increase_reservation()`` and ``decrease_reservation()`` do everything to one page, then to the next. What is
done to one page depends on another only where the two merge in the buddy. So each step can be done to all
pages before the next step, and to neighbours together; only the order in which pages are freed, and the order
of the balloon's list, must stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.fast.page_alloc_bulk import free_pages_bulk, runs, take_single_pages
from memsim.fast.registry import frees_plainly, shortcut
from memsim.linux.drivers.xen.balloon import pages
from memsim.linux.drivers.xen.balloon.pages import FRAME_LIST
from memsim.linux.drivers.xen.balloon.stats import BP_DONE, BP_EAGAIN, balloon_of
from memsim.linux.include.layout import pageblock_nr_pages
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@shortcut(pages.increase_reservation, frees_plainly)
def increase_reservation(kernel: Kernel, nr_pages: int) -> str:
    """Populate pages: see :func:`memsim.linux.drivers.xen.balloon.pages.increase_reservation`."""
    balloon = balloon_of(kernel)
    populated = balloon.xenmem_reservation_increase(min(nr_pages, FRAME_LIST, balloon.balloon_low))
    if populated <= 0:
        return BP_EAGAIN
    pfns = np.array(balloon.ballooned_pages[: -populated - 1 : -1], np.int64)
    del balloon.ballooned_pages[-populated:]
    release(kernel, pfns)
    balloon.current_pages += populated
    return BP_DONE


def release(kernel: Kernel, pfns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """Give ballooned pages to the buddy in this order."""
    stretches = list(runs(np.sort(pfns), pageblock_nr_pages))  # a pageblock lies in one zone
    for pfn, size in stretches:
        kernel.memmap.clear_type(pfn, size, PageType.OFFLINE)
        kernel.memmap.clear_flags(pfn, size, PageFlag.RESERVED)
        kernel.memmap.set_refcount(pfn, size, 1)
    free_pages_bulk(kernel, pfns)
    for pfn, size in stretches:
        adjust_managed_page_count(kernel, pfn, size)


@shortcut(pages.decrease_reservation, frees_plainly)
def decrease_reservation(kernel: Kernel, nr_pages: int) -> str:
    """Balloon pages: see :func:`memsim.linux.drivers.xen.balloon.pages.decrease_reservation`."""
    balloon, wanted = balloon_of(kernel), min(nr_pages, FRAME_LIST)
    pfns = take_single_pages(kernel, wanted, MigrateType.UNMOVABLE)
    for pfn, size in runs(np.sort(pfns), pageblock_nr_pages):
        kernel.memmap.set_type(pfn, size, PageType.OFFLINE)
        adjust_managed_page_count(kernel, pfn, size, -1)
    balloon.ballooned_pages.extend(pfns[::-1].tolist())
    balloon.current_pages -= len(pfns)
    return BP_DONE if len(pfns) == wanted else BP_EAGAIN
