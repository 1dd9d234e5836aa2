"""What the Xen balloon does to pages: functions of ``drivers/xen/balloon.c``.

The list of ballooned pages, sections that are hot-added, frames from Xen and back, and pages lent to others.
``thread``, beside this module, says what is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError, MemsimError
from memsim.linux.drivers.xen.balloon.stats import (
    BP_DONE,
    BP_EAGAIN,
    BP_ECANCELED,
    BP_WAIT,
    balloon_of,
    current_credit,
)
from memsim.linux.include.layout import PAGES_PER_SECTION, hex_range
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.memory_hotplug.add import add_memory
from memsim.linux.mm.page_alloc.api import alloc_pages, free_reserved_page
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.show_mem import si_mem_available
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

FRAME_LIST = 512
"""Frame numbers that fit in a page: the most pages that change hands in one hypercall."""


# ---- the list of ballooned pages -------------------------------------------------------------------


@kernel_function("drivers/xen/balloon.c")
def balloon_append(kernel: Kernel, pfn: int, nr_pages: int = 1) -> None:
    """Put pages at the head of the balloon's list, one after the other, and make them Offline.

    Pages that came online after the patch are Offline already, all others are not: the hunk XEN_BALLOON.
    Nothing here looks at PG_reserved, so it stays as it was.
    """
    already_offline = False
    if kernel.has(Hunk.XEN_BALLOON):
        already_offline = kernel.memmap.all_of_type(pfn, nr_pages, PageType.OFFLINE)
    if not already_offline:
        kernel.memmap.set_type(pfn, nr_pages, PageType.OFFLINE)
    balloon_of(kernel).ballooned_pages.extend(range(pfn, pfn + nr_pages))


@kernel_function("drivers/xen/balloon.c")
def balloon_retrieve(kernel: Kernel) -> int:
    """Take the first page off the list, which must not be empty; it is no longer Offline."""
    pfn = balloon_of(kernel).ballooned_pages.pop()
    kernel.memmap.clear_type(pfn, 1, PageType.OFFLINE)
    return pfn


@kernel_function("drivers/xen/balloon.c")
def balloon_add_regions(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Put boot memory that Xen did not populate into the balloon: PG_reserved *and* Offline.

    It is PG_reserved because memblock has reserved it, so the patch changes nothing here.
    """
    bit = np.uint32(PageFlag.RESERVED)
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        if not (section.early and bool((section.pages.flags[at] & bit).all())):
            rule = "must be boot memory that is reserved"
            msg = f"{balloon_of(kernel).name}: the extra region {hex_range(pfn, nr_pages)} {rule}"
            raise MemsimError(msg)
    balloon_append(kernel, pfn, nr_pages)
    balloon_of(kernel).total_pages += nr_pages


# ---- memory hotplug --------------------------------------------------------------------------------


@kernel_function("drivers/xen/balloon.c")
def xen_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Put all pages that come online into the balloon, even a DIMM's: Xen has not populated them."""
    balloon_append(kernel, pfn, 1 << order)


def additional_memory_resource(kernel: Kernel, nr_pages: int) -> int:
    """Return the first pfn from the hotplug address on where so much memory fits."""
    pfn = round_up(balloon_of(kernel).hotplug_start_pfn, PAGES_PER_SECTION)
    for start, (size, _) in sorted(kernel.iomem.items()):
        if start < pfn + nr_pages and pfn < start + size:
            pfn = round_up(start + size, PAGES_PER_SECTION)
    return pfn


def round_up(value: int, unit: int) -> int:
    """Return the next multiple of ``unit``.

    >>> round_up(48128, 32768)
    65536
    """
    return -(-value // unit) * unit


@kernel_function("drivers/xen/balloon.c")
def reserve_additional_memory(kernel: Kernel) -> str:
    """Hot-add whole sections for what is missing from the target; they are empty until they come online.

    Where it was added already, there is nothing to do but wait for that. A failure is printed.
    """
    balloon = balloon_of(kernel)
    credit = balloon.target_pages + balloon.target_unpopulated - balloon.total_pages
    if credit <= 0:
        return BP_WAIT
    balloon_hotplug = round_up(credit, PAGES_PER_SECTION)
    try:
        start = additional_memory_resource(kernel, balloon_hotplug)
        add_memory(kernel, start, balloon_hotplug, merge_resource=True)
    except KernelError as error:
        kernel.state.printk(f"xen:balloon: Cannot add additional memory ({-error.errno})")
        return BP_ECANCELED
    balloon.total_pages += balloon_hotplug
    return BP_WAIT


# ---- frames from Xen and back ----------------------------------------------------------------------


@kernel_function("drivers/xen/balloon.c")
def increase_reservation(kernel: Kernel, nr_pages: int) -> str:
    """Ask Xen to populate the first pages of the list, and give what it populates to the buddy.

    ``free_reserved_page()`` takes pages that are PG_reserved and pages that are not.
    """
    balloon = balloon_of(kernel)
    populated = balloon.xenmem_reservation_increase(min(nr_pages, FRAME_LIST, balloon.balloon_low))
    if populated <= 0:
        return BP_EAGAIN
    for _ in range(populated):
        free_reserved_page(kernel, balloon_retrieve(kernel))
    balloon.current_pages += populated
    return BP_DONE


@kernel_function("drivers/xen/balloon.c")
def decrease_reservation(kernel: Kernel, nr_pages: int) -> str:
    """Allocate pages and give their frames to Xen: Offline, never PG_reserved, no longer managed.

    The page that was allocated first is the first of the list afterwards.
    """
    balloon, wanted = balloon_of(kernel), min(nr_pages, FRAME_LIST)
    pages: list[int] = []
    state = BP_DONE
    for _ in range(wanted):
        try:
            pfn = alloc_pages(kernel, 0, MigrateType.UNMOVABLE)
        except KernelError:
            state = BP_EAGAIN
            break
        adjust_managed_page_count(kernel, pfn, 1, -1)
        pages.append(pfn)
    for pfn in reversed(pages):
        balloon_append(kernel, pfn)
    balloon.current_pages -= len(pages)
    return state


# ---- pages for others ------------------------------------------------------------------------------


@kernel_function("drivers/xen/balloon.c")
def xen_alloc_ballooned_pages(kernel: Kernel, nr_pages: int) -> list[int]:
    """Lend pages from the balloon; while it is empty, pages are allocated and their frames given to Xen.

    Raises
    ------
    KernelError
        ENOMEM: not enough memory; pages that were taken so far are in the balloon again.
    """
    balloon, pages = balloon_of(kernel), list[int]()
    balloon.target_unpopulated += nr_pages
    while len(pages) < nr_pages:
        if balloon.ballooned_pages:
            pages.append(balloon_retrieve(kernel))
        elif not add_ballooned_pages(kernel, nr_pages - len(pages)):
            balloon.target_unpopulated -= nr_pages - len(pages)
            xen_free_ballooned_pages(kernel, pages)
            message = f"there is no memory for {nr_pages} ballooned pages"
            raise KernelError("ENOMEM", "xen_alloc_ballooned_pages", message)
    return pages


@kernel_function("drivers/xen/balloon.c")
def add_ballooned_pages(kernel: Kernel, nr_pages: int) -> bool:
    """Fill the balloon from the buddy; False (ENOMEM) where memory is short."""
    if si_mem_available(kernel) < nr_pages:
        return False
    return decrease_reservation(kernel, nr_pages) == BP_DONE


@kernel_function("drivers/xen/balloon.c")
def xen_free_ballooned_pages(kernel: Kernel, pages: list[int]) -> None:
    """Take lent pages back into the balloon, and wake the thread if the size is not on target."""
    balloon = balloon_of(kernel)
    balloon.target_unpopulated -= len(pages)
    for pfn in pages:
        balloon_append(kernel, pfn)
    pages.clear()
    if current_credit(kernel):
        balloon.wake_up()
