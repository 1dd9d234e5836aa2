"""Whole sections at once, when memory boots, comes online or goes offline.

The models free a section in 32 chunks; ``online_pages()`` puts these on the ISOLATE list and then moves them,
pageblock by pageblock, to the MOVABLE list; ``offline_pages()`` goes the same way back. A section whose pages
are as they were initialised ends as 32 free blocks of order 10, and a free section whose blocks were never
allocated ends without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.fast.registry import shortcut
from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    is_aligned,
    pageblock_nr_pages,
    pfn_to_section_nr,
)
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import LIVE, NO_TYPE, PRESENT, ZONE_SHIFT
from memsim.linux.mm import memblock
from memsim.linux.mm.memory_hotplug import offline, online
from memsim.linux.mm.memory_hotplug.offline import check_no_holes
from memsim.linux.mm.memory_hotplug.online import (
    adjust_present_page_count,
    check_online_range,
    online_pages_range,
)
from memsim.linux.mm.memory_hotplug.zones import remove_pfn_range_from_zone, resize_zone_range
from memsim.linux.mm.mm_init import memmap_init_range
from memsim.linux.mm.page_alloc.api import zone_pcp_disable, zone_pcp_enable
from memsim.linux.mm.page_alloc.buddy import MEMINIT_HOTPLUG, mark_managed
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.linux.mm.page_isolation import undo_isolate_page_range
from memsim.patch import Hunk
from memsim.state.section import Pattern
from memsim.state.trace import FUNCTIONS

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel


def heads_in(pfn: int, nr_pages: int) -> range:
    """Return the first pfns of the blocks of the largest order in a range."""
    return range(pfn, pfn + nr_pages, MAX_ORDER_NR_PAGES)


# ---- boot ------------------------------------------------------------------------------------------


@shortcut(memblock.__free_pages_memory)  # noqa: SLF001 (the name that the kernel gives it)
def __free_pages_memory(kernel: Kernel, pfn: int, nr_pages: int) -> Any:  # noqa: ANN401 (None, or NotImplemented)
    """Free boot memory: see :func:`memsim.linux.mm.memblock.__free_pages_memory`."""
    first, end = pfn + -pfn % PAGES_PER_SECTION, pfn + nr_pages
    last = end - end % PAGES_PER_SECTION
    if first >= last:
        return NotImplemented
    model = FUNCTIONS["__free_pages_memory"]
    model(kernel, pfn, first - pfn)
    for start in range(first, last, PAGES_PER_SECTION):
        if is_fresh(kernel, start):
            free_section(kernel, start)
        else:
            model(kernel, start, PAGES_PER_SECTION)
    model(kernel, last, end - last)
    return None


def is_fresh(kernel: Kernel, pfn: int) -> bool:
    """Return whether all pages of a section of boot memory are as they were initialised."""
    section = kernel.memmap.section(pfn)
    fresh = Pattern(kernel.memmap.zone_of(pfn) << ZONE_SHIFT | LIVE | PRESENT, NO_TYPE, 0, 1)
    return section.pages.pattern == fresh and set(section.pageblocks) == {MigrateType.MOVABLE}


def free_section(kernel: Kernel, pfn: int) -> None:
    """Free a section of boot memory as a whole."""
    zone = kernel.page_zone(pfn)
    kernel.memmap.set_free_max_order(pfn_to_section_nr(pfn), zone.type, MigrateType.MOVABLE)
    zone.add_run_to_free_list_tail(heads_in(pfn, PAGES_PER_SECTION), MAX_PAGE_ORDER, MigrateType.MOVABLE)
    zone.add("managed_pages", PAGES_PER_SECTION)
    zone.add("nr_free_pages", PAGES_PER_SECTION)


# ---- online ----------------------------------------------------------------------------------------


def takes_off_what_it_puts_on(kernel: Kernel) -> bool:
    """Return whether ``__free_pages_core()`` clears the mark that hotplugged pages start with."""
    return kernel.has(Hunk.MM_INIT) == kernel.has(Hunk.PAGE_ALLOC)


@shortcut(online.online_pages, takes_off_what_it_puts_on)
def online_pages(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> Any:  # noqa: ANN401 (None, or NotImplemented)
    """Bring memory online: see :func:`memsim.linux.mm.memory_hotplug.online.online_pages`.

    The model runs instead where other code may touch the pages in between: a driver's callback or a listener.
    """
    if kernel.online_page_callback is not None or kernel.memory_chain or kernel.node_chain:
        return NotImplemented
    check_online_range("online_pages", pfn, nr_pages)
    resize_zone_range(zone, pfn, nr_pages)
    kernel.memmap.spans(pfn, nr_pages)  # BadPage, as from memmap_init_range(), where there is no memmap
    # What stands before the first whole section shares its section with the block's own memmap.
    rest = -pfn % PAGES_PER_SECTION
    if rest:
        memmap_init_range(kernel, pfn, rest, zone.type, MEMINIT_HOTPLUG, MigrateType.ISOLATE)
        zone.add("nr_isolate_pageblock", rest // pageblock_nr_pages)
        online_pages_range(kernel, pfn, rest)
        adjust_present_page_count(kernel, pfn, rest)
        undo_isolate_page_range(kernel, pfn, rest, MigrateType.MOVABLE)
    if nr_pages > rest:
        online_sections(kernel, zone, pfn + rest, nr_pages - rest)
    init_per_zone_wmark_min(kernel)
    return None


def online_sections(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> None:
    """Initialise whole sections as free blocks, and count them.

    Nothing is left of what ``memmap_init_range()`` would write first.
    """
    memmap = kernel.memmap
    first = pfn_to_section_nr(pfn)
    for nr in range(first, first + pfn_to_section_nr(nr_pages)):
        memmap.set_free_max_order(nr, zone.type, MigrateType.MOVABLE)
        memmap.set_online(nr, online=True)
    zone.add_run_to_free_list_tail(heads_in(pfn, nr_pages), MAX_PAGE_ORDER, MigrateType.MOVABLE)
    for counter in ("managed_pages", "nr_free_pages", "present_pages"):
        zone.add(counter, nr_pages)
    if memmap.section(pfn).early:
        zone.add("present_early_pages", nr_pages)
    kernel.state.totalram_pages_add(nr_pages)


# ---- offline ---------------------------------------------------------------------------------------


@shortcut(offline.offline_pages)
def offline_pages(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> Any:  # noqa: ANN401 (None, or NotImplemented)
    """Take memory offline: see :func:`memsim.linux.mm.memory_hotplug.offline.offline_pages`."""
    if kernel.memory_chain or kernel.node_chain or not is_untouched(kernel, pfn, nr_pages, zone):
        return NotImplemented
    check_no_holes(kernel, pfn, nr_pages)
    if kernel.signal_pending():
        return NotImplemented
    zone_pcp_disable(kernel, zone)
    zone_pcp_enable(kernel, zone)
    for start in range(pfn, pfn + nr_pages, PAGES_PER_SECTION):
        take_section(kernel, zone, start)
    kernel.memmap.set_migratetype(pfn, nr_pages, MigrateType.ISOLATE)
    zone.add("nr_free_pages", -nr_pages)
    zone.add("managed_pages", -nr_pages)
    kernel.state.totalram_pages_add(-nr_pages)
    mark_managed(kernel, pfn, nr_pages, managed=False)
    adjust_present_page_count(kernel, pfn, -nr_pages)
    init_per_zone_wmark_min(kernel)
    remove_pfn_range_from_zone(kernel, zone, pfn, nr_pages)
    return None


def is_untouched(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> bool:
    """Return whether a range is whole sections of a zone, all of free blocks that were never allocated."""
    if nr_pages <= 0 or not is_aligned(pfn | nr_pages, PAGES_PER_SECTION):
        return False
    first, movable = pfn_to_section_nr(pfn), {int(MigrateType.MOVABLE)}
    sections = map(kernel.memmap.sections.get, range(first, first + pfn_to_section_nr(nr_pages)))
    for section in sections:
        pattern = section.pages.pattern if section is not None else None
        if section is None or pattern is None or pattern.buddy == NO_TYPE:
            return False
        if pattern.flags >> ZONE_SHIFT != zone.type or set(section.pageblocks) != movable:
            return False
    return True


def take_section(kernel: Kernel, zone: Zone, pfn: int) -> None:
    """Take a whole section of free blocks out of the buddy."""
    memmap, flags = kernel.memmap, kernel.memmap.flags(pfn)
    zone.del_run_from_free_list(heads_in(pfn, PAGES_PER_SECTION), MAX_PAGE_ORDER, MigrateType.MOVABLE)
    memmap.set_online(pfn_to_section_nr(pfn), online=False)
    memmap.init_pages(pfn, PAGES_PER_SECTION, zone.type, flags, NO_TYPE)
    memmap.set_refcount(pfn, PAGES_PER_SECTION, 0)
