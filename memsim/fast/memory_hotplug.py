"""Onlining whole sections at once, where that comes to the same as 32 callbacks and 64 pageblocks for each.

``online_pages()`` gives a section to the buddy in chunks, onto the ISOLATE list, counts it as present, and
takes it pageblock by pageblock to the MOVABLE list. When nobody watches, nothing can happen between these
steps; and a section whose pages are all as they were born is 32 free blocks of order 10 at the end.
``tests/unit/test_trace.py`` holds the two ways against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGEBLOCKS_PER_SECTION,
    PAGES_PER_SECTION,
    pfn_to_section_nr,
    section_nr_to_pfn,
)
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import LIVE, ZONE_SHIFT
from memsim.linux.mm.mm_init import first_state
from memsim.linux.mm.page_alloc.buddy import MEMINIT_HOTPLUG
from memsim.patch import Hunk
from memsim.state.section import Pattern

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel

_ISOLATED = bytes([MigrateType.ISOLATE]) * PAGEBLOCKS_PER_SECTION


def fresh_pages_at_end(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> int:
    """Return how many pages at the end of a range are whole sections that may be given to the buddy at once.

    None, unless it comes to the same: nobody watches, no driver, no page checks, and the mark that pages are
    born with is the one that is taken off. (Whether a range is early is asked of its first page only.)
    """
    if (
        kernel.trace is not None
        or kernel.online_page_callback is not None
        or kernel.debug_vm
        or kernel.has(Hunk.MM_INIT) != kernel.has(Hunk.PAGE_ALLOC)
    ):
        return 0
    flags, stored_type = first_state(kernel, zone.type, MEMINIT_HOTPLUG)
    born = Pattern(zone.type << ZONE_SHIFT | LIVE | flags, stored_type, 0, 1)
    early = kernel.memmap.section(pfn).early
    first = end = pfn_to_section_nr(pfn + nr_pages)
    while section_nr_to_pfn(first - 1) >= pfn:
        section = kernel.memmap.sections[first - 1]
        if section.pages.pattern != born or section.pageblocks != _ISOLATED or section.early != early:
            break
        first -= 1
    return (end - first) * PAGES_PER_SECTION


def online_fresh_sections(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> None:
    """Give whole sections that were just initialised to the buddy, and count them."""
    memmap = kernel.memmap
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages)):
        memmap.set_free_max_order(nr, zone.type, MigrateType.MOVABLE)
        memmap.set_online(nr, online=True)
    heads = range(pfn, pfn + nr_pages, MAX_ORDER_NR_PAGES)
    zone.add_run_to_free_list_tail(heads, MAX_PAGE_ORDER, MigrateType.MOVABLE)
    for counter in ("managed_pages", "nr_free_pages", "present_pages"):
        zone.add(counter, nr_pages)
    if memmap.section(pfn).early:
        zone.add("present_early_pages", nr_pages)
    kernel.state.totalram_pages_add(nr_pages)
