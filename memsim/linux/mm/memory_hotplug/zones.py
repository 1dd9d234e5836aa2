"""Zones grow and shrink, and which one a range goes to: functions of ``mm/memory_hotplug.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import (
    PAGES_PER_SECTION,
    PAGES_PER_SUBSECTION,
    pfn_to_section_nr,
    section_nr_to_pfn,
)
from memsim.linux.include.mmzone import ZoneType, pfn_section_valid, zone_intersects
from memsim.linux.include.page_flags import LIVE, ZONE_SHIFT
from memsim.linux.mm.mm_init import memmap_init_range
from memsim.linux.mm.page_alloc.buddy import MEMINIT_HOTPLUG
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel


def zone_for_pfn_range(kernel: Kernel, online_type: str, start_pfn: int, nr_pages: int) -> Zone:
    """Return the zone that a range goes to: what was asked for, else where its neighbours are."""
    if online_type == "online_kernel":
        return default_kernel_zone_for_pfn(kernel, start_pfn, nr_pages)
    if online_type == "online_movable":
        return kernel.zone(ZoneType.MOVABLE)
    return default_zone_for_pfn(kernel, start_pfn, nr_pages)


def default_zone_for_pfn(kernel: Kernel, start_pfn: int, nr_pages: int) -> Zone:
    """Return ZONE_MOVABLE for a range in its span and in that of no kernel zone, else a kernel zone."""
    kernel_zone = default_kernel_zone_for_pfn(kernel, start_pfn, nr_pages)
    movable = kernel.zone(ZoneType.MOVABLE)
    in_kernel = zone_intersects(kernel_zone, start_pfn, nr_pages)
    in_movable = zone_intersects(movable, start_pfn, nr_pages)
    return movable if in_movable and not in_kernel else kernel_zone


def default_kernel_zone_for_pfn(kernel: Kernel, start_pfn: int, nr_pages: int) -> Zone:
    """Return the lowest kernel zone whose span the range overlaps, ZONE_NORMAL if there is none."""
    for zone_type in (ZoneType.DMA, ZoneType.DMA32):
        if zone_intersects(kernel.zone(zone_type), start_pfn, nr_pages):
            return kernel.zone(zone_type)
    return kernel.zone(ZoneType.NORMAL)


@kernel_function("mm/memory_hotplug.c")
def move_pfn_range_to_zone(
    kernel: Kernel, zone: Zone, pfn: int, nr_pages: int, migratetype: int, altmap_pages: int = 0
) -> None:
    """Grow the zone over a range and initialise its memmap; no counter but the span moves."""
    resize_zone_range(zone, pfn, nr_pages)
    memmap_init_range(kernel, pfn, nr_pages, zone.type, MEMINIT_HOTPLUG, migratetype, altmap_pages)


def resize_zone_range(zone: Zone, start_pfn: int, nr_pages: int) -> None:
    """Grow the span of a zone so that it covers a range."""
    start = min(start_pfn, zone.zone_start_pfn) if zone.spanned_pages else start_pfn
    end = max(start_pfn + nr_pages, zone.zone_end_pfn)
    zone.set_span(start, end - start)


@kernel_function("mm/memory_hotplug.c")
def remove_pfn_range_from_zone(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int) -> None:
    """Shrink the zone when the range is at one of its ends; with debug_vm poison the memmap."""
    kernel.memmap.clear_flags(pfn, nr_pages, LIVE)
    if kernel.debug_vm:
        kernel.memmap.poison(pfn, nr_pages)
    if zone.type != ZoneType.DEVICE:  # its span only grows
        shrink_zone_span(kernel, zone, pfn, nr_pages)


def shrink_zone_span(kernel: Kernel, zone: Zone, start_pfn: int, nr_pages: int) -> None:
    """Make a zone that loses a range at one of its ends begin or end with the next page that it has."""
    start, end = zone.zone_start_pfn, zone.zone_end_pfn
    if start == start_pfn:
        pfn = find_smallest_section_pfn(kernel, zone, start_pfn + nr_pages, end)
        zone.set_span(pfn, end - pfn if pfn else 0)
    elif end == start_pfn + nr_pages:
        pfn = find_biggest_section_pfn(kernel, zone, start, start_pfn)
        zone.set_span(start if pfn else 0, pfn + 1 - start if pfn else 0)


def find_smallest_section_pfn(kernel: Kernel, zone: Zone, start_pfn: int, end_pfn: int) -> int:
    """Return the first page from ``start_pfn`` on that is online and in the zone; 0 if there is none.

    One page of each 2 MiB sub-section is looked at.
    """
    for nr in range(pfn_to_section_nr(start_pfn), pfn_to_section_nr(end_pfn - 1) + 1):
        low, high = clipped_section(nr, start_pfn, end_pfn)
        pfn = next(zone_pages(kernel, zone, np.arange(low, high, PAGES_PER_SUBSECTION)), 0)
        if pfn:
            return pfn
    return 0


def find_biggest_section_pfn(kernel: Kernel, zone: Zone, start_pfn: int, end_pfn: int) -> int:
    """Return the last page before ``end_pfn`` that is online and in the zone; 0 if there is none."""
    for nr in reversed(range(pfn_to_section_nr(start_pfn), pfn_to_section_nr(end_pfn - 1) + 1)):
        low, high = clipped_section(nr, start_pfn, end_pfn)
        pfn = next(zone_pages(kernel, zone, np.arange(high - 1, low - 1, -PAGES_PER_SUBSECTION)), 0)
        if pfn:
            return pfn
    return 0


def clipped_section(nr: int, start_pfn: int, end_pfn: int) -> tuple[int, int]:
    """Return the first pfn of a section, and the first after it, limited to a range."""
    return max(start_pfn, section_nr_to_pfn(nr)), min(end_pfn, section_nr_to_pfn(nr + 1))


def zone_pages(kernel: Kernel, zone: Zone, pfns: npt.NDArray[np.int64]) -> Iterator[int]:
    """Yield those pages of one section that are online and in the zone."""
    section = kernel.memmap.sections.get(pfn_to_section_nr(int(pfns[0])))
    if section is None or not section.online:
        return
    in_zone = section.pages.flags[pfns % PAGES_PER_SECTION] >> ZONE_SHIFT == zone.type
    yield from (pfn for pfn in pfns[in_zone].tolist() if pfn_section_valid(kernel.iomem, pfn))
