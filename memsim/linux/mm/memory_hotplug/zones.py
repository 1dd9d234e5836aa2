"""Which zone a range of memory goes to when it comes online: ``mm/memory_hotplug.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.mmzone import ZoneType

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel


def zone_for_pfn_range(kernel: Kernel, online_type: str, pfn: int, nr_pages: int) -> Zone:
    """Return the zone that a range goes to: what was asked for, else where its neighbours are."""
    movable = kernel.zone(ZoneType.MOVABLE)
    if online_type == "online_movable":
        return movable
    low = (ZoneType.DMA, ZoneType.DMA32, ZoneType.NORMAL)
    near = [kernel.zone(z) for z in low if intersects(kernel.zone(z), pfn, nr_pages)]
    default_kernel = near[0] if near else kernel.zone(ZoneType.NORMAL)
    if online_type == "online_kernel":
        return default_kernel
    in_movable = intersects(movable, pfn, nr_pages)
    return movable if in_movable and not near else default_kernel


def intersects(zone: Zone, pfn: int, nr_pages: int) -> bool:
    """Return whether a range overlaps the span of a zone (``zone_intersects()``)."""
    return zone.spanned_pages > 0 and pfn < zone.zone_end_pfn and zone.zone_start_pfn < pfn + nr_pages
