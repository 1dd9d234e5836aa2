"""Files of /proc that show pages and zones, in the kernel's own formats, each a function of a Kernel.

``fs/proc/page.c`` (kpageflags, kpagecount: one 64-bit word a page), ``mm/vmstat.c`` (zoneinfo, buddyinfo,
pagetypeinfo) and ``kernel/resource.c`` (iomem). The two releases print the same but for the watermark
``promo``, which 6.1 does not show.

Left out: in zoneinfo the statistics of nodes and of events, all of a zone but nr_free_pages;
in iomem what is no System RAM; compound pages but for their head. One node, one CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import (
    NR_PAGE_ORDERS,
    PAGE_SHIFT,
    PAGES_PER_SECTION,
    PAGES_PER_SUBSECTION,
    clip,
    pageblock_nr_pages,
    pageblock_order,
    pfn_to_section_nr,
    section_nr_to_pfn,
)
from memsim.linux.include.mmzone import MIGRATE_TYPES, Zone, ZoneType
from memsim.linux.include.page_flags import KPF, ZONE_SHIFT, PageFlag, PageType
from memsim.linux.mm.page_alloc.api import pcp_enabled, zone_batchsize, zone_highsize
from memsim.linux.mm.page_alloc.watermarks import lowmem_reserve

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from memsim.state.kernel import Kernel
    from memsim.state.section import Section

    Words = npt.NDArray[np.uint64]

KPF_COPIED = {
    **{PageFlag[bit.name]: bit.value for bit in KPF if bit.name in PageFlag.__members__},
    PageFlag.ISOLATED: KPF.RECLAIM.value,  # PG_isolated is another name of PG_reclaim
    PageFlag.SWAPBACKED | PageFlag.OWNER_PRIV_1: KPF.SWAPCACHE.value,  # both at once
    PageFlag.OWNER_PRIV_1: KPF.OWNER_PRIVATE.value,
}
"""Flags that a word of kpageflags shows as they are: flag -> number of its bit."""
NOPAGE = 1 << KPF.NOPAGE.value
MIGRATETYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate")
PAGETYPEINFO_HEAD = "Free pages count per migrate type at order"
PAGETYPEINFO_CAP = 100000


# ---- fs/proc/page.c --------------------------------------------------------------------------------


def max_dump_pfn(kernel: Kernel) -> int:
    """Return how many words kpageflags has: up to the end of the last section with RAM.

    ``get_max_dump_pfn()``; device memory does not count. In the kernel it never sinks, here it does when
    memory is removed.
    """
    last = max(pfn + nr_pages for pfn, (nr_pages, _) in kernel.iomem.items()) - 1
    return section_nr_to_pfn(pfn_to_section_nr(last) + 1)


def online_pages_of(kernel: Kernel, nr: int) -> npt.NDArray[np.bool_]:
    """Return for each page of section ``nr`` whether ``pfn_to_online_page()`` finds it.

    mm/memory_hotplug.c: the section must be online, as device memory never is, and the 2 MiB sub-section
    must have RAM (``pfn_section_valid()``): holes in boot memory are found only near RAM.
    """
    online = np.zeros(PAGES_PER_SECTION, np.bool_)
    section, low = kernel.memmap.sections.get(nr), section_nr_to_pfn(nr)
    if section is not None and section.online:
        ram = ((pfn, nr_pages) for pfn, (nr_pages, _) in kernel.iomem.items())
        for pfn, nr_pages in clip(ram, low, low + PAGES_PER_SECTION):
            start = (pfn - low) // PAGES_PER_SUBSECTION * PAGES_PER_SUBSECTION
            online[start : -(-(pfn + nr_pages - low) // PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION] = True
    return online


def is_free_buddy_page(kernel: Kernel, section: Section) -> npt.NDArray[np.bool_]:
    """Return which pages of a section lie in a free block, at its head or not (mm/page_alloc.c)."""
    heads = kernel.memmap.encoding.where(section.pages.type, PageType.BUDDY)
    free = np.zeros(PAGES_PER_SECTION, np.bool_)
    for order in range(NR_PAGE_ORDERS):
        aligned = slice(None, None, 1 << order)
        free |= np.repeat(heads[aligned] & (section.pages.order[aligned] >= order), 1 << order)
    return free


def stable_page_flags(kernel: Kernel, section: Section) -> Words:
    """Return the words of kpageflags for the pages of a section as if all of them were online.

    KPF_BUDDY is on every page of a free block: pages without references inside one count, too.
    """
    pages, where = section.pages, kernel.memmap.encoding.where
    inside = (pages.refcount == 0) & is_free_buddy_page(kernel, section)
    shown = [
        (where(pages.type, PageType.BUDDY) | inside, KPF.BUDDY.value),
        (where(pages.type, PageType.OFFLINE), KPF.OFFLINE.value),
        (where(pages.type, PageType.TABLE), KPF.PGTABLE.value),
        *((pages.flags & np.uint32(flag) == flag, bit) for flag, bit in KPF_COPIED.items()),
    ]
    words = np.zeros(PAGES_PER_SECTION, np.uint64)
    for which, bit in shown:
        words[which] |= np.uint64(1 << bit)
    return words


def kpageflags(kernel: Kernel, pfn: int, nr_pages: int) -> Words:
    """Return the words of /proc/kpageflags for a range; KPF_NOPAGE alone where no page is online.

    >>> from memsim import Machine
    >>> machine = Machine(ram=[(0, 32768)])
    >>> [hex(word) for word in kpageflags(machine.kernel, 32767, 2)]
    ['0x400', '0x100000']
    """
    words, end = np.full(nr_pages, NOPAGE, np.uint64), pfn + nr_pages
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(end - 1) + 1):
        online, start = online_pages_of(kernel, nr), section_nr_to_pfn(nr)
        if online.any():
            section = np.where(online, stable_page_flags(kernel, kernel.memmap.sections[nr]), NOPAGE)
            low, high = max(pfn, start), min(end, start + PAGES_PER_SECTION)
            words[low - pfn : high - pfn] = section[low - start : high - start]
    return words


def kpagecount(_kernel: Kernel, _pfn: int, nr_pages: int) -> Words:
    """Return the words of /proc/kpagecount for a range: how many page tables map each page.

    That is 0 for a page that is not online, for one with a type, whose ``_mapcount`` is no count (6.1 asks
    ``page_has_type()``, 6.12 ``page_mapcount_is_type()``), and for all others as the simulator maps none.
    """
    return np.zeros(nr_pages, np.uint64)


# ---- mm/vmstat.c -----------------------------------------------------------------------------------


def protection(kernel: Kernel, zone: Zone) -> list[int]:
    """Return ``lowmem_reserve`` of a zone, by the highest zone of a request."""
    return [lowmem_reserve(kernel, zone, kind) for kind in ZoneType]


def zoneinfo(kernel: Kernel) -> str:
    """Return /proc/zoneinfo: all zones, of those without present pages less."""
    return "".join(zoneinfo_show_print(kernel, zone) for zone in kernel.state.zones)


def zoneinfo_show_print(kernel: Kernel, zone: Zone) -> str:
    """Return what zoneinfo says of one zone."""
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
            text += f"Node {0:4}, zone {zone.name:>8}, type {name:>12} {free_counts(zone, migratetype)}\n"
    text += f"\n{'Number of blocks type ':<23}{columns(MIGRATETYPE_NAMES, 12)}\n"
    for zone in zones:
        text += f"Node 0, zone {zone.name:>8} {columns(pageblock_counts(kernel, zone), 12)}\n"
    return text


def free_counts(zone: Zone, migratetype: int) -> str:
    """Return the length of each free list of one type; counting stops at 100000, shown with ``>``."""
    lengths = [len(area[migratetype]) for area in zone.free_area]
    return "".join(
        f"{'>' if length >= PAGETYPEINFO_CAP else ''}{min(length, PAGETYPEINFO_CAP):6} " for length in lengths
    )


def pageblock_counts(kernel: Kernel, zone: Zone) -> list[int]:
    """Return the pageblocks of a zone by migratetype (``pagetypeinfo_showblockcount_print()``)."""
    counts = np.zeros(MIGRATE_TYPES, np.int64)
    at = np.arange(zone.zone_start_pfn % pageblock_nr_pages, PAGES_PER_SECTION, pageblock_nr_pages)
    for nr, section in kernel.memmap.sections.items():
        pfns = section_nr_to_pfn(nr) + at
        mine = (pfns >= zone.zone_start_pfn) & (pfns < zone.zone_end_pfn) & online_pages_of(kernel, nr)[at]
        mine &= section.pages.flags[at] >> ZONE_SHIFT == zone.type
        types = np.frombuffer(section.pageblocks, np.uint8)[at[mine] >> pageblock_order]
        counts += np.bincount(types, minlength=MIGRATE_TYPES)
    return [int(count) for count in counts]


# ---- kernel/resource.c -----------------------------------------------------------------------------


def iomem(kernel: Kernel) -> str:
    """Return /proc/iomem as root sees it: physical addresses, the last one included."""
    return "".join(
        f"{pfn << PAGE_SHIFT:08x}-{(pfn + nr_pages << PAGE_SHIFT) - 1:08x} : {name}\n"
        for pfn, (nr_pages, name) in sorted(kernel.iomem.items())
    )
