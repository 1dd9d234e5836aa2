"""Files of /proc that show zones: ``mm/vmstat.c``.

Each function returns the text of the file that it is named for. The releases print the same but for the
watermark ``promo``, which 6.1 does not show.

Left out: in zoneinfo the statistics of nodes and of events, and all of a zone but nr_free_pages. One node,
one CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import (
    NR_PAGE_ORDERS,
    PAGES_PER_SECTION,
    pageblock_nr_pages,
    pageblock_order,
    section_nr_to_pfn,
)
from memsim.linux.include.mmzone import MIGRATE_TYPES, Zone, ZoneType
from memsim.linux.include.page_flags import ZONE_SHIFT
from memsim.linux.mm.memory_hotplug.online_page import online_pages_of
from memsim.linux.mm.page_alloc.api import pcp_enabled, zone_batchsize, zone_highsize
from memsim.linux.mm.page_alloc.watermarks import lowmem_reserve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.state.kernel import Kernel


MIGRATETYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate")
PAGETYPEINFO_HEAD = "Free pages count per migrate type at order"
PAGETYPEINFO_CAP = 100000


def protection(kernel: Kernel, zone: Zone) -> list[int]:
    """Return ``lowmem_reserve`` of a zone, by the highest zone of a request."""
    return [lowmem_reserve(kernel, zone, kind) for kind in ZoneType]


def zoneinfo(kernel: Kernel) -> str:
    """Return /proc/zoneinfo: all zones, of those without present pages less."""
    return "".join(zoneinfo_show_print(kernel, zone) for zone in kernel.state.zones)


def zoneinfo_show_print(kernel: Kernel, zone: Zone) -> str:
    """Return what zoneinfo says of one zone."""
    # The promotion watermark exists in 6.1 too; its file does not show it.
    names = ("min", "low", "high") if kernel.release.name == "6.1" else ("min", "low", "high", "promo")
    counters = [("boost", 0), *zip(names, zone.watermark, strict=False), ("spanned", zone.spanned_pages)]
    counters += [("present", zone.present_pages), ("managed", zone.managed_pages), ("cma", 0)]
    reserve = ", ".join(map(str, protection(kernel, zone)))
    text = f"Node 0, zone {zone.name:>8}\n  pages free     {zone.nr_free_pages}\n"
    text += "".join(f"        {name:<8} {pages}\n" for name, pages in counters)
    text += f"        protection: ({reserve})\n"
    return text + populated_part(kernel, zone) if zone.populated else text


def populated_part(kernel: Kernel, zone: Zone) -> str:
    """Return the lines of zoneinfo that only a populated zone has; high is 0 without per-cpu lists."""
    high, batch = 0, 1
    if pcp_enabled(kernel, zone):
        high, batch = zone_highsize(zone), zone_batchsize(zone.managed_pages)
    return (
        f"      nr_free_pages {zone.nr_free_pages}\n  pagesets\n    cpu: 0\n"
        f"              count: {zone.pcp_count}\n              high:  {high}\n              batch: {batch}\n"
        f"  node_unreclaimable:  0\n  start_pfn:           {zone.zone_start_pfn}\n"
    )


def buddyinfo(kernel: Kernel) -> str:
    """Return /proc/buddyinfo: free blocks by order, isolated ones too (``frag_show_print()``)."""
    return "".join(
        f"Node 0, zone {zone.name:>8} " + columns(map(zone.nr_free, range(NR_PAGE_ORDERS)), 6) + "\n"
        for zone in kernel.state.zones
        if zone.populated
    )


def columns(values: Iterable[object], width: int) -> str:
    """Return values right-aligned, each with a space behind it.

    >>> columns([1, "ab"], 3)
    '  1  ab '
    """
    return "".join(f"{value!s:>{width}} " for value in values)


def pagetypeinfo(kernel: Kernel) -> str:
    """Return /proc/pagetypeinfo: free blocks by order and migratetype, and the types of pageblocks."""
    zones = [zone for zone in kernel.state.zones if zone.populated]
    text = f"Page block order: {pageblock_order}\nPages per block:  {pageblock_nr_pages}\n\n"
    text += f"{PAGETYPEINFO_HEAD:<43} {columns(range(NR_PAGE_ORDERS), 6)}\n"
    for zone in zones:
        for migratetype, name in enumerate(MIGRATETYPE_NAMES):
            lengths = pagetypeinfo_showfree_print(zone, migratetype)
            text += f"Node {0:4}, zone {zone.name:>8}, type {name:>12} {lengths}\n"
    text += f"\n{'Number of blocks type ':<23}{columns(MIGRATETYPE_NAMES, 12)}\n"
    for zone in zones:
        counts = pagetypeinfo_showblockcount_print(kernel, zone)
        text += f"Node 0, zone {zone.name:>8} {columns(counts, 12)}\n"
    return text


def pagetypeinfo_showfree_print(zone: Zone, migratetype: int) -> str:
    """Return the length of each free list of one type; counting stops at 100000, shown with ``>``."""
    lengths = [len(area[migratetype]) for area in zone.free_area]
    return "".join(
        f"{'>' if length >= PAGETYPEINFO_CAP else ''}{min(length, PAGETYPEINFO_CAP):6} " for length in lengths
    )


def pagetypeinfo_showblockcount_print(kernel: Kernel, zone: Zone) -> list[int]:
    """Return the pageblocks of a zone by migratetype (``pagetypeinfo_showblockcount_print()``)."""
    counts = np.zeros(MIGRATE_TYPES, np.int64)
    at = np.arange(zone.zone_start_pfn % pageblock_nr_pages, PAGES_PER_SECTION, pageblock_nr_pages)
    for nr, section in kernel.memmap.sections.items():
        pfns = section_nr_to_pfn(nr) + at
        mine = (pfns >= zone.zone_start_pfn) & (pfns < zone.zone_end_pfn) & online_pages_of(kernel, nr)[at]
        mine &= section.pages.flags[at] >> ZONE_SHIFT == zone.type
        types = np.frombuffer(section.pageblocks, np.uint8)[at[mine] >> pageblock_order]
        counts += np.bincount(types.astype(np.intp), minlength=MIGRATE_TYPES)
    return [int(count) for count in counts]
