"""How a memmap is initialised: ``mm/mm_init.c``.

:func:`memmap_init_range` is the heart of the patch: the same function initialises boot memory and
hotplugged memory, and what it writes into hotplugged pages is the hunk MM_INIT.

Left out: deferred initialisation, memory hotplugged during boot, NUMA, mirrored memory, ``movable_node``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    PAGES_PER_SECTION,
    pageblock_nr_pages,
    pageblock_start_pfn,
)
from memsim.linux.include.mmzone import BOOT_ZONES, MigrateType, ZoneType
from memsim.linux.include.page_flags import NO_TYPE, PRESENT, PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY
from memsim.patch import Hunk
from memsim.state.ranges import clip, gaps
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


def first_state(kernel: Kernel, zone_type: int, context: str) -> tuple[int, int]:
    """Return (flags, stored page type) that memmap_init_range() gives a page besides refcount 1."""
    if context == MEMINIT_EARLY:
        return PRESENT, NO_TYPE  # a bit of the simulator only: boot memory is counted as present before this
    if kernel.has(Hunk.MM_INIT) and zone_type != ZoneType.DEVICE:
        return 0, kernel.memmap.encoding.code(PageType.OFFLINE)
    return int(PageFlag.RESERVED), NO_TYPE


@kernel_function("mm/mm_init.c")
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


@kernel_function("mm/mm_init.c")
def memmap_init_zone_device(kernel: Kernel, pfn: int, nr_pages: int, refcount: int) -> None:
    """Initialise the struct pages of device memory: PG_reserved, before and after the patch."""
    kernel.memmap.init_pages(pfn, nr_pages, ZoneType.DEVICE, PageFlag.RESERVED, NO_TYPE)
    if refcount != 1:
        kernel.memmap.set_refcount(pfn, nr_pages, refcount)
    kernel.memmap.set_migratetype(pfn, nr_pages, MigrateType.MOVABLE)


def find_zone_movable_pfns_for_nodes(kernel: Kernel, ram: list[tuple[int, int]]) -> int:
    """Return where ``kernelcore=`` or ``movablecore=`` lets ZONE_MOVABLE begin; 0: there is none.

    The kernel counts its pages from the lowest RAM up. Only what the highest zone has can become movable.
    """
    total, core = sum(nr_pages for _, nr_pages in ram), kernel.required_kernelcore
    if kernel.required_movablecore:
        movable = -(-kernel.required_movablecore // MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES
        core = max(core, total - min(total, movable))
    if not core or core >= total:
        return 0
    lowest, start = find_usable_zone_for_movable(sum(ram[-1])), 0
    for pfn, nr_pages in ram:
        fixed = min(nr_pages, max(0, lowest - pfn))
        core -= min(fixed, core)
        if fixed < nr_pages:
            size = min(nr_pages - fixed, core)
            start, core = pfn + fixed + size, core - size
            if not core:
                break
    start = -(-start // MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES
    return start if start < sum(ram[-1]) else 0


def find_usable_zone_for_movable(end: int) -> int:
    """Return the first pfn of the highest zone that boot memory, up to ``end``, reaches."""
    return max(low for _, low, _ in BOOT_ZONES if low < end)


def adjust_zone_range_for_zone_movable(zone_type: int, low: int, high: int, start: int) -> tuple[int, int]:
    """Return what is left of a zone's range when ZONE_MOVABLE begins at ``start`` (0: there is none)."""
    if zone_type == ZoneType.MOVABLE:
        return start or high, high
    return (min(low, start), min(high, start)) if start else (low, high)


def free_area_init(kernel: Kernel, ram: list[tuple[int, int]]) -> None:
    """Size the zones and initialise the memmap of boot memory; ``ram`` as memblock holds it, ascending."""
    start_of_movable = find_zone_movable_pfns_for_nodes(kernel, ram)
    possible = (*BOOT_ZONES, (ZoneType.MOVABLE, 0, BOOT_ZONES[-1][2]))
    zones = [(zone[0], *adjust_zone_range_for_zone_movable(*zone, start_of_movable)) for zone in possible]
    for zone_type, low, high in zones:
        zone = kernel.zone(zone_type)
        start, end = max(low, ram[0][0]), min(high, sum(ram[-1]))
        if start < end:  # zone_spanned_pages_in_node(): holes at the edge of a zone are part of its span
            zone.set_span(start, end - start)
        for pfn, nr_pages in clip(ram, low, high):
            zone.add("present_pages", nr_pages)
            zone.add("present_early_pages", nr_pages)
            memmap_init_range(kernel, pfn, nr_pages, zone_type, MEMINIT_EARLY, MigrateType.MOVABLE)
    init_unavailable_range(kernel, ram, zones)


def init_unavailable_range(
    kernel: Kernel, ram: list[tuple[int, int]], zones: list[tuple[ZoneType, int, int]]
) -> None:
    """Make the struct pages PG_reserved of pages that are in present sections but no RAM.

    A hole gets the zone of the RAM that follows it (``memmap_init_zone_range()``), wherever it lies; what
    follows all RAM gets the last zone that has any.
    """
    for nr in kernel.memmap.sections:
        low = nr * PAGES_PER_SECTION
        for pfn, nr_pages in gaps(ram, low, low + PAGES_PER_SECTION):
            owner = next((start for start, _ in ram if start > pfn), sum(ram[-1]) - 1)
            zone_type = next(kind for kind, first, end in zones if first <= owner < end)
            kernel.memmap.init_pages(pfn, nr_pages, zone_type, PageFlag.RESERVED, NO_TYPE)
            first = pageblock_start_pfn(pfn + pageblock_nr_pages - 1)
            if first < pfn + nr_pages:
                kernel.memmap.set_migratetype(first, pfn + nr_pages - first, MigrateType.MOVABLE)


@kernel_function("mm/mm_init.c")
def reserve_bootmem_region(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Mark memblock-reserved pages PG_reserved: kernel image, boot vmemmap ... (and rightly so)."""
    kernel.memmap.set_flags(pfn, nr_pages, PageFlag.RESERVED)
