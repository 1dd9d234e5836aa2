"""Hot-add regions of a Hyper-V machine: which pages of the memory that was added the host backs.

The first half of ``drivers/hv/hv_balloon.c``. Linux adds whole memory blocks; the host says page by page
which of them it backs. A *region* (``struct hv_hotadd_state``) remembers both: what was added and what is
covered. Pages that are not backed are withheld as they come online and stay type Offline until the host backs
them. The region, not the memmap, is what the driver goes by at the next onlining.

Left out: the lock around the regions, running out of memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from memsim.errors import KernelBug
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.notifier import NOTIFY_OK
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.state.kernel import Kernel

DRIVER = "hv-balloon"


@dataclass
class HvHotaddState:
    """A hot-add region, ``struct hv_hotadd_state``: all ends are the first pfn after."""

    start_pfn: int
    covered_start_pfn: int
    covered_end_pfn: int
    """The host backs what is covered, but for the gaps."""
    ha_end_pfn: int
    """Up to here memory was added to Linux."""
    end_pfn: int
    """Up to here the region is meant to reach: whole chunks."""
    gap_list: list[tuple[int, int]] = field(default_factory=list)
    """(first pfn, first pfn after) of what the host skipped."""


class HvDynmemDevice:
    """What the driver knows, ``struct hv_dynmem_device``: there is one for a kernel."""

    def __init__(self, ha_pages_in_chunk: int) -> None:
        """Start without regions."""
        self.ha_pages_in_chunk = ha_pages_in_chunk
        self.ha_region_list: list[HvHotaddState] = []
        self.do_hot_add = True
        """Cleared by the first chunk that is in the way of other memory."""
        self.num_pages_added = 0
        """Sum of the pages in the answers to the host's requests."""
        self.num_pages_onlined = 0
        self.num_pages_ballooned = 0


# ---- what is backed --------------------------------------------------------------------------------


def has_pfn_is_backed(has: HvHotaddState, pfn: int) -> bool:
    """Return whether the host backs a page: it is covered, and in no gap.

    >>> has = HvHotaddState(0, 100, 300, 1024, 1024, gap_list=[(150, 200)])
    >>> [has_pfn_is_backed(has, pfn) for pfn in (99, 100, 150, 200, 299, 300)]
    [False, True, False, True, True, False]
    """
    if not has.covered_start_pfn <= pfn < has.covered_end_pfn:
        return False
    return not any(start <= pfn < end for start, end in has.gap_list)


def backed_parts(has: HvHotaddState, pfn: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, backed) of the parts of a range that are backed, or not, as a whole.

    >>> has = HvHotaddState(0, 0, 300, 1024, 1024, gap_list=[(150, 200)])
    >>> list(backed_parts(has, 100, 400))
    [(100, 150, True), (150, 200, False), (200, 300, True), (300, 400, False)]
    """
    edges = {has.covered_start_pfn, has.covered_end_pfn, *(edge for gap in has.gap_list for edge in gap)}
    for start, stop in pairwise([pfn, *sorted(edge for edge in edges if pfn < edge < end), end]):
        yield start, stop, has_pfn_is_backed(has, start)


def backed_pages(has: HvHotaddState, pfn: int, end: int) -> int:
    """Return how many pages of a range the host backs."""
    return sum(stop - start for start, stop, backed in backed_parts(has, pfn, end) if backed)


def hv_page_offline_check(dm: HvDynmemDevice, pfn: int, nr_pages: int) -> int:
    """Return how many pages of a range that went offline were backed; boot memory does not count."""
    end, count = pfn + nr_pages, 0
    while pfn < end:
        start = pfn
        for has in dm.ha_region_list:
            if has.start_pfn <= pfn < has.end_pfn and pfn < end:
                stop = min(has.end_pfn, end)
                count += backed_pages(has, pfn, stop)
                pfn = stop
        if pfn == start:
            starts = (has.start_pfn for has in dm.ha_region_list if has.start_pfn > pfn)
            pfn = min(starts, default=end)
    return count


def hv_memory_notifier(kernel: Kernel, dm: HvDynmemDevice, action: str, pfn: int, nr_pages: int) -> int:
    """Keep count of the pages that are online; never veto. A count below zero is warned of."""
    if action == "MEM_OFFLINE":
        offlined = hv_page_offline_check(dm, pfn, nr_pages)
        if offlined > dm.num_pages_onlined and "hv_memory_notifier" not in kernel.warned:
            kernel.warned.add("hv_memory_notifier")
            kernel.state.printk("WARNING: more pages go offline than came online at hv_memory_notifier")
        dm.num_pages_onlined = max(0, dm.num_pages_onlined - offlined)
    return NOTIFY_OK


# ---- pages come online -----------------------------------------------------------------------------


@kernel_function("drivers/hv/hv_balloon.c")
def hv_page_online_one(kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, pfn: int) -> None:
    """Online a page if the host backs it, else withhold it as type Offline.

    Where the patch acts. Before it, a fresh page is not Offline, so a page is not skipped for that, and a
    second call for the same page frees it a second time. After it, a fresh page is Offline, so a backed page
    that is not must be with the buddy already.

    Raises
    ------
    KernelBug
        The struct page is not initialised and ``page_zone()`` is garbage. What a kernel does then is
        undefined; the model stops.
    """
    offline = kernel.memmap.has_type(pfn, PageType.OFFLINE)
    if not has_pfn_is_backed(has, pfn):
        if not offline:
            kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
        return
    if kernel.has(Hunk.HV_BALLOON):
        if not offline:
            return
    elif offline:
        kernel.memmap.clear_type(pfn, 1, PageType.OFFLINE)
    if kernel.memmap.zone_of(pfn) > ZoneType.DEVICE:
        msg = f"pfn {pfn:#x} is brought online, but its struct page is not initialised: no zone to free it to"
        raise KernelBug(msg)
    generic_online_page(kernel, pfn, 0)
    dm.num_pages_onlined += 1


@kernel_function("drivers/hv/hv_balloon.c")
def hv_bring_pgs_online(
    kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, start_pfn: int, size: int
) -> None:
    """Online the backed pages of a range and withhold the others, in ascending order."""
    for pfn in range(start_pfn, start_pfn + size):
        hv_page_online_one(kernel, dm, has, pfn)


@kernel_function("drivers/hv/hv_balloon.c")
def hv_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Online a chunk as its region says: the driver's online page callback.

    A chunk outside every region, a DIMM for example, is not onlined at all: its pages stay as they were born,
    reserved before the patch and Offline after it. Since 6.14 such a chunk goes to the buddy.
    """
    dm: HvDynmemDevice = kernel.driver_data[DRIVER]
    for has in dm.ha_region_list:
        if has.start_pfn <= pfn and pfn + (1 << order) <= has.end_pfn:
            hv_bring_pgs_online(kernel, dm, has, pfn, 1 << order)
            return
    if kernel.release.hv_falls_back:
        generic_online_page(kernel, pfn, order)
