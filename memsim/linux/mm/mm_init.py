"""How a memmap is initialised: ``mm/mm_init.c``, and boot from a list of RAM ranges.

:func:`memmap_init_range` is the heart of the patch: the same function initialises boot memory and
hotplugged memory, and what it writes into hotplugged pages is the hunk MM_INIT.

:func:`boot` does in one go what ``free_area_init()``, ``memmap_init()``, ``memmap_init_reserved_pages()`` and
``memblock_free_pages()`` share out among them.

Left out: deferred initialisation, memory hotplugged during boot, NUMA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import (
    MAX_DMA32_PFN,
    MAX_DMA_PFN,
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    is_aligned,
    naturally_aligned_order,
    pageblock_nr_pages,
    pageblock_start_pfn,
    pfn_to_section_nr,
)
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import LIVE, NO_TYPE, PRESENT, ZONE_SHIFT, PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY, MEMINIT_HOTPLUG, __free_pages_core
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.patch import Hunk
from memsim.state.section import Pattern
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memsim.state.kernel import Kernel

BOOT_ZONES = (
    (ZoneType.DMA, 0, MAX_DMA_PFN),
    (ZoneType.DMA32, MAX_DMA_PFN, MAX_DMA32_PFN),
    (ZoneType.NORMAL, MAX_DMA32_PFN, 1 << 52),
)


def first_state(kernel: Kernel, zone_type: int, context: str) -> tuple[int, int]:
    """Return (flags, stored page type) that memmap_init_range() gives a page besides refcount 1."""
    if context == MEMINIT_EARLY:
        return PRESENT, NO_TYPE  # the ghost bit only: boot memory is counted as present before this
    if kernel.has(Hunk.MM_INIT) and zone_type != ZoneType.DEVICE:
        return 0, kernel.memmap.encoding.code(PageType.OFFLINE)
    return int(PageFlag.RESERVED), NO_TYPE


@kernel_function
def memmap_init_range(
    kernel: Kernel,
    pfn: int,
    nr_pages: int,
    zone_type: int,
    context: str,
    migratetype: int,
    altmap_pages: int = 0,
) -> None:
    """Initialise the struct pages of a range and the type of its pageblocks.

    Every page gets refcount 1. Boot pages get no mark. Hotplugged pages are PG_reserved before the
    patch and of type Offline after it. Of ZONE_DEVICE only the first ``altmap_pages``, which hold the
    memmap of the rest, are initialised here, and they stay PG_reserved.
    """
    if zone_type == ZoneType.DEVICE:
        nr_pages = altmap_pages
    if nr_pages == 0:
        return
    flags, stored_type = first_state(kernel, zone_type, context)
    kernel.memmap.init_pages(pfn, nr_pages, zone_type, flags, stored_type)
    kernel.memmap.set_migratetype(pfn, nr_pages, migratetype)


@kernel_function
def memmap_init_zone_device(kernel: Kernel, pfn: int, nr_pages: int, refcount: int) -> None:
    """Initialise the struct pages of device memory: PG_reserved, before and after the patch."""
    kernel.memmap.init_pages(pfn, nr_pages, ZoneType.DEVICE, PageFlag.RESERVED, NO_TYPE)
    if refcount != 1:
        kernel.memmap.set_refcount(pfn, nr_pages, refcount)
    kernel.memmap.set_migratetype(pfn, nr_pages, MigrateType.MOVABLE)


def boot(
    kernel: Kernel,
    ram: Iterable[tuple[int, int]],
    reserved: Iterable[tuple[int, int]] = (),
) -> None:
    """Boot: size the zones, initialise the memmap, reserve, and free the rest to the buddy.

    ``ram`` and ``reserved`` are (start_pfn, nr_pages) lists as memblock holds them.
    """
    ram, reserved = sorted(ram), sorted(reserved)
    add_boot_sections(kernel, ram)
    for zone_type, low, high in BOOT_ZONES:
        zone = kernel.zone(zone_type)
        start, end = max(low, ram[0][0]), min(high, sum(ram[-1]))
        if start < end:  # zone_spanned_pages_in_node(): holes at the edge of a zone are part of its span
            zone.set_span(start, end - start)
        for pfn, nr_pages in clip(ram, low, high):
            zone.add("present_pages", nr_pages)
            zone.add("present_early_pages", nr_pages)
            memmap_init_range(kernel, pfn, nr_pages, zone_type, MEMINIT_EARLY, MigrateType.MOVABLE)
    init_unavailable_range(kernel, ram)
    memblock_free_all(kernel, ram, reserved)
    init_per_zone_wmark_min(kernel)
    for pfn, nr_pages in ram:
        kernel.iomem[pfn] = (nr_pages, "System RAM")


def clip(ranges: Iterable[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of (start_pfn, nr_pages) ranges that lie in [low, high).

    >>> list(clip([(0, 10), (20, 5)], 4, 22))
    [(4, 6), (20, 2)]
    """
    for pfn, nr_pages in ranges:
        start, end = max(pfn, low), min(pfn + nr_pages, high)
        if start < end:
            yield start, end - start


def gaps(ranges: Iterable[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield what [low, high) holds between sorted (start_pfn, nr_pages) ranges.

    >>> list(gaps([(4, 4), (10, 2)], 0, 16))
    [(0, 4), (8, 2), (12, 4)]
    """
    for pfn, nr_pages in clip(ranges, low, high):
        if pfn > low:
            yield low, pfn - low
        low = max(low, pfn + nr_pages)
    if low < high:
        yield low, high - low


def add_boot_sections(kernel: Kernel, ram: Iterable[tuple[int, int]]) -> None:
    """Make every section that holds RAM present, online and early."""
    for pfn, nr_pages in ram:
        for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages - 1) + 1):
            if nr not in kernel.memmap.sections:
                kernel.memmap.add_section(nr, early=True)
                kernel.memmap.set_online(nr, online=True)


def init_unavailable_range(kernel: Kernel, ram: list[tuple[int, int]]) -> None:
    """Give pages of present sections that are no RAM a struct page that is PG_reserved for ever.

    A hole gets the zone of the RAM that follows it (``memmap_init_zone_range()``), wherever it lies; what
    follows all RAM gets the last zone that has any.
    """
    for nr in kernel.memmap.sections:
        low = nr * PAGES_PER_SECTION
        for pfn, nr_pages in gaps(ram, low, low + PAGES_PER_SECTION):
            owner = next((start for start, _ in ram if start > pfn), sum(ram[-1]) - 1)
            zone_type = next(kind for kind, _, high in BOOT_ZONES if owner < high)
            kernel.memmap.init_pages(pfn, nr_pages, zone_type, PageFlag.RESERVED, NO_TYPE)
            first = pageblock_start_pfn(pfn + pageblock_nr_pages - 1)
            if first < pfn + nr_pages:
                kernel.memmap.set_migratetype(first, pfn + nr_pages - first, MigrateType.MOVABLE)


@kernel_function
def reserve_bootmem_region(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Mark memblock-reserved pages PG_reserved: kernel image, boot vmemmap ... (and rightly so)."""
    kernel.memmap.set_flags(pfn, nr_pages, PageFlag.RESERVED)


@kernel_function
def memblock_free_all(kernel: Kernel, ram: list[tuple[int, int]], reserved: list[tuple[int, int]]) -> None:
    """Mark what is reserved, then free all other RAM; MemTotal is added once, at the end."""
    for pfn, nr_pages in reserved:
        reserve_bootmem_region(kernel, pfn, nr_pages)
    freed = 0
    for pfn, nr_pages in ram:
        for start, size in gaps(reserved, pfn, pfn + nr_pages):
            for _, low, high in BOOT_ZONES:
                for part, length in clip([(start, size)], low, high):
                    __free_pages_memory(kernel, part, length)
                    freed += length
    kernel.state.totalram_pages_add(freed)


@kernel_function
def memblock_free_late(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free boot memory after the allocator has taken over: page by page, MemTotal with each."""
    for each in range(pfn, pfn + nr_pages):
        __free_pages_core(kernel, each, 0, MEMINIT_EARLY)
        kernel.state.totalram_pages_add(1)


def __free_pages_memory(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free a range in the largest chunks that alignment and end allow."""
    end = pfn + nr_pages
    while pfn < end:
        if end - pfn >= PAGES_PER_SECTION and free_fresh_section(kernel, pfn):
            pfn += PAGES_PER_SECTION
            continue
        order = naturally_aligned_order(pfn)
        while pfn + (1 << order) > end:
            order -= 1
        __free_pages_core(kernel, pfn, order, MEMINIT_EARLY)
        pfn += 1 << order


def free_fresh_section(kernel: Kernel, pfn: int) -> bool:
    """Free a whole section that was just initialised at once, as freeing its 32 chunks would.

    Returns False, with nothing done, unless it comes to the same: nobody watches and the section is one.
    """
    zone, section = kernel.page_zone(pfn), kernel.memmap.section(pfn)
    fresh = Pattern(zone.type << ZONE_SHIFT | LIVE | PRESENT, NO_TYPE, 0, 1)
    if (
        kernel.trace is not None
        or not is_aligned(pfn, PAGES_PER_SECTION)
        or section.pages.pattern != fresh
        or any(kind != MigrateType.MOVABLE for kind in section.pageblocks)
    ):
        return False
    kernel.memmap.set_free_max_order(section.nr, zone.type, MigrateType.MOVABLE)
    heads = range(pfn, pfn + PAGES_PER_SECTION, MAX_ORDER_NR_PAGES)
    zone.add_run_to_free_list_tail(heads, MAX_PAGE_ORDER, MigrateType.MOVABLE)
    zone.add("managed_pages", PAGES_PER_SECTION)
    zone.add("nr_free_pages", PAGES_PER_SECTION)
    return True


__all__ = [
    "MEMINIT_EARLY",
    "MEMINIT_HOTPLUG",
    "boot",
    "clip",
    "first_state",
    "gaps",
    "memblock_free_all",
    "memblock_free_late",
    "memmap_init_range",
    "memmap_init_zone_device",
    "reserve_bootmem_region",
]
