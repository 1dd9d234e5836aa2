"""Which zone a range of memory goes to when it comes online: ``mm/memory_hotplug.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.mmzone import ZoneType, zone_intersects

if TYPE_CHECKING:
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
