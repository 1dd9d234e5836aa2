"""The Hyper-V balloon: a host that adds memory, takes pages out of use and gives them back.

Models ``drivers/hv/hv_balloon.c``; this module has what inflates and deflates the balloon. Beside it,
:mod:`~memsim.linux.drivers.hv.hv_balloon.hot_add` adds memory, and
:mod:`~memsim.linux.drivers.hv.hv_balloon.region` decides about the pages of that memory. The device of a
machine, with both sides, is :class:`memsim.devices.hv_balloon.HvBalloon`.

Left out: version and capability negotiation, pressure reports, page reporting, hibernation, removal of the
driver, and the driver's own words in the log: the lines printed here and in ``hot_add`` are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import PAGE_SHIFT, pageblock_nr_pages
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.show_mem import lru_sizes, si_mem_available
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.linux.drivers.hv.hv_balloon.region import HvDynmemDevice
    from memsim.state.kernel import Kernel

    Range = tuple[int, int]
    """(first pfn, pages), ``union dm_mem_page_range``."""

PAGES_IN_2M = pageblock_nr_pages
RANGES_IN_MESSAGE = (4096 - 16) // 8
"""A response is at most a page: a header, then 8 bytes for each range."""


def compute_balloon_floor(totalram_pages: int) -> int:
    """Return how many of all pages must stay available: a continuous piecewise linear function.

    >>> [compute_balloon_floor(mib << 8) >> 8 for mib in (16, 32, 128, 512, 2048, 8192, 32768)]
    [16, 24, 72, 168, 360, 744, 1512]
    """
    for below, offset, shift in ((128, 8, 1), (512, 40, 2), (2048, 104, 3), (8192, 232, 4)):
        if totalram_pages < mb_to_pages(below):
            return mb_to_pages(offset) + (totalram_pages >> shift)
    return mb_to_pages(488) + (totalram_pages >> 5)


def mb_to_pages(mib: int) -> int:
    """Return the pages in ``mib`` MiB."""
    return mib << 20 - PAGE_SHIFT


def pages_above_floor(kernel: Kernel, num_pages: int) -> int:
    """Return how many of the pages that the host asks for it may have."""
    sizes = lru_sizes(kernel)
    available = si_mem_available(kernel, sizes["Active(file)"] + sizes["Inactive(file)"])
    allowed = available - compute_balloon_floor(kernel.state.totalram_pages)
    if num_pages <= allowed:
        return num_pages
    reason = "not enough memory available" if available < num_pages else "balloon floor reached"
    kernel.state.printk(f"hv_balloon: {max(0, allowed)} of {num_pages} pages requested: {reason}")
    return max(0, allowed)


@kernel_function("drivers/hv/hv_balloon.c")
def alloc_balloon_pages(kernel: Kernel, dm: HvDynmemDevice, num_pages: int, alloc_unit: int) -> list[Range]:
    """Take blocks of ``alloc_unit`` pages out of use, as many as fit into one message."""
    ranges: list[Range] = []
    order = alloc_unit.bit_length() - 1
    for _ in range(min(num_pages // alloc_unit, RANGES_IN_MESSAGE)):
        try:
            pfn = alloc_pages(kernel, order, MigrateType.UNMOVABLE)
        except KernelError:
            break
        dm.num_pages_ballooned += alloc_unit
        kernel.memmap.set_refcount(pfn, alloc_unit, 1)  # split_page()
        kernel.memmap.set_type(pfn, alloc_unit, PageType.OFFLINE)
        adjust_managed_page_count(kernel, pfn, alloc_unit, -1)
        ranges.append((pfn, alloc_unit))
    return ranges


@kernel_function("drivers/hv/hv_balloon.c")
def free_balloon_pages(kernel: Kernel, dm: HvDynmemDevice, pfn: int, nr_pages: int) -> None:
    """Give ballooned pages back to the buddy, one by one."""
    for each in range(pfn, pfn + nr_pages):
        kernel.memmap.clear_type(each, 1, PageType.OFFLINE)
        __free_pages(kernel, each)
        dm.num_pages_ballooned -= 1
        adjust_managed_page_count(kernel, each, 1)


@kernel_function("drivers/hv/hv_balloon.c")
def balloon_up(
    kernel: Kernel, dm: HvDynmemDevice, num_pages: int, send: Callable[[list[Range]], bool]
) -> None:
    """Balloon pages and send their ranges, message by message: 2 MiB at a time, then single pages.

    When a message cannot be sent, its pages go back to the buddy, and that is the end.
    """
    num_pages, alloc_unit = pages_above_floor(kernel, num_pages), PAGES_IN_2M
    while True:
        ranges = alloc_balloon_pages(kernel, dm, num_pages, alloc_unit)
        if not ranges and alloc_unit != 1:
            alloc_unit = 1
            continue
        if not send(ranges):
            kernel.state.printk("hv_balloon: the balloon response cannot be sent")
            for pfn, nr_pages in ranges:
                free_balloon_pages(kernel, dm, pfn, nr_pages)
            return
        num_pages -= len(ranges) * alloc_unit
        if not ranges or not num_pages:
            return


@kernel_function("drivers/hv/hv_balloon.c")
def balloon_down(kernel: Kernel, dm: HvDynmemDevice, ranges: list[Range]) -> None:
    """Take back what the host names; the driver does not check that it was ballooned."""
    for pfn, nr_pages in ranges:
        free_balloon_pages(kernel, dm, pfn, nr_pages)
