"""Hot-add regions of a Hyper-V machine: which pages of the memory that was added the host backs.

The first half of ``drivers/hv/hv_balloon.c``. Linux adds whole memory blocks; the host says page by page
which of them it backs. A *region* (``struct hv_hotadd_state``) remembers both: what was added and what is
covered. Pages that are not backed are withheld as they come online and stay type Offline until the host backs
them. The region, not the memmap, is what the driver goes by at the next onlining.

The kernel goes page by page. So does this model when somebody watches; else it takes pages that are alike
together, up to a pageblock, which comes to the same state with the same free lists.

Left out: the lock around the regions, running out of memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelBug
from memsim.linux.include.layout import pageblock_order
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.notifier import NOTIFY_OK
from memsim.linux.include.page_flags import ALL_FLAGS, PageFlag, PageType
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
        """Cleared for ever by the first chunk that is in the way of other memory."""
        self.num_pages_added = 0
        """Sum of what the host was told in answer to its requests."""
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
def hv_page_online_one(
    kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, pfn: int, order: int = 0
) -> None:
    """Online a page if the host backs it, else withhold it as type Offline.

    Where the patch acts. Before it, a fresh page is not Offline, so not-Offline is no reason to skip: who
    calls this twice for a page frees it twice. After it, a fresh page is Offline, so a backed page that is
    not must be with the buddy already. ``order``: that many pages that are alike.
    """
    offline = kernel.memmap.has_type(pfn, PageType.OFFLINE)
    if not has_pfn_is_backed(has, pfn):
        if not offline:
            kernel.memmap.set_type(pfn, 1 << order, PageType.OFFLINE)
        return
    if kernel.has(Hunk.HV_BALLOON):
        if not offline:
            return
    elif offline:
        kernel.memmap.clear_type(pfn, 1 << order, PageType.OFFLINE)
    online_frames(kernel, pfn, order)
    dm.num_pages_onlined += 1 << order


def online_frames(kernel: Kernel, pfn: int, order: int) -> None:
    """Call generic_online_page() for each page, or once for all that come out of it clean.

    Raises
    ------
    KernelBug
        The struct pages are not initialised and ``page_zone()`` is garbage. What a kernel does then is
        anybody's guess; the model stops.
    """
    if kernel.memmap.zone_of(pfn) > ZoneType.DEVICE:
        msg = f"pfn {pfn:#x} is brought online, but its struct page is not initialised: no zone to free it to"
        raise KernelBug(msg)
    unit = order if comes_out_clean(kernel, pfn) else 0
    for frame in range(pfn, pfn + (1 << order), 1 << unit):
        generic_online_page(kernel, frame, unit)


def comes_out_clean(kernel: Kernel, pfn: int) -> bool:
    """Return whether __free_pages_core() takes off the mark that a page has."""
    if kernel.has(Hunk.PAGE_ALLOC):
        return not kernel.memmap.flags(pfn) & PageFlag.RESERVED
    return not kernel.memmap.has_type(pfn, PageType.OFFLINE)


def order_of_alike(kernel: Kernel, pfn: int, end: int) -> int:
    """Return the order of the block at ``pfn`` that can be taken together: 0 when somebody watches.

    A block of at most a pageblock whose pages are alike: with one reference, and no flag but PG_reserved.
    """
    if end - pfn == 1:
        return 0
    strange = kernel.memmap.flags(pfn) & ALL_FLAGS & ~PageFlag.RESERVED
    if kernel.trace is not None or kernel.debug_vm or strange or kernel.memmap.refcount(pfn) != 1:
        return 0
    order = pageblock_order
    while pfn % (1 << order) or pfn + (1 << order) > end:
        order -= 1
    section, at = kernel.memmap.spans(pfn, 1 << order)[0]
    for array in (section.pages.flags[at], section.pages.type[at], section.pages.refcount[at]):
        differ = np.flatnonzero(array != array[0])
        while len(differ) and differ[0] < 1 << order:
            order -= 1
    return order


@kernel_function("drivers/hv/hv_balloon.c")
def hv_bring_pgs_online(
    kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, start_pfn: int, size: int
) -> None:
    """Online the backed pages of a range and withhold the others, in ascending order."""
    for start, end, _ in backed_parts(has, start_pfn, start_pfn + size):
        pfn = start
        while pfn < end:
            order = order_of_alike(kernel, pfn, end)
            hv_page_online_one(kernel, dm, has, pfn, order)
            pfn += 1 << order


@kernel_function("drivers/hv/hv_balloon.c")
def hv_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Online a chunk as its region says: the driver's online page callback.

    A chunk outside every region, a DIMM for example, is not onlined at all: its pages stay as they were born,
    reserved before the patch and Offline after it.
    """
    dm: HvDynmemDevice = kernel.driver_data[DRIVER]
    for has in dm.ha_region_list:
        if has.start_pfn <= pfn and pfn + (1 << order) <= has.end_pfn:
            hv_bring_pgs_online(kernel, dm, has, pfn, 1 << order)
            return
