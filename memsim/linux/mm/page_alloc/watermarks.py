"""Watermarks and lowmem reserve: how much of a zone is kept for those who need it more.

Models ``init_per_zone_wmark_min()``, ``setup_per_zone_lowmem_reserve()`` and ``__zone_watermark_ok()`` of
``mm/page_alloc.c``. All of it follows from ``managed_pages``: a wrong managed counter bends the watermarks.
6.12 leaves ZONE_MOVABLE out of the shares and gives it a small fixed mark; 6.1 treats it like any other zone.

Left out: watermark boosting, highatomic and CMA reserves, khugepaged raising the minimum.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING

from memsim.linux.include.layout import NR_PAGE_ORDERS
from memsim.linux.include.mmzone import FALLBACKS, MigrateType, Zone, ZoneType

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

WMARK_MIN, WMARK_LOW, WMARK_HIGH, WMARK_PROMO = range(4)
_RESERVE_RATIO = {ZoneType.DMA: 256, ZoneType.DMA32: 256, ZoneType.NORMAL: 32}
_MIN_FREE_KBYTES = (128, 262144)
_MOVABLE_MIN = (32, 128)
_SCALE_FACTOR = 10
_KBYTES_PER_PAGE_SHIFT = 2


def clamp(value: int, low: int, high: int) -> int:
    """Return ``value``, but at least ``low`` and at most ``high``."""
    return max(low, min(value, high))


def nr_free_buffer_pages(kernel: Kernel) -> int:
    """Return the pages above the high watermark in the zones that kernel memory may come from."""
    pages = 0
    for zone in kernel.zones[: ZoneType.MOVABLE]:
        high = zone.watermark[WMARK_HIGH]
        if zone.managed_pages > high:
            pages += zone.managed_pages - high
    return pages


def calculate_min_free_kbytes(kernel: Kernel) -> int:
    """Return how many KiB the kernel keeps free at least (/proc/sys/vm/min_free_kbytes)."""
    lowmem_kbytes = nr_free_buffer_pages(kernel) << _KBYTES_PER_PAGE_SHIFT
    return clamp(isqrt(lowmem_kbytes * 16), *_MIN_FREE_KBYTES)


def init_per_zone_wmark_min(kernel: Kernel) -> None:
    """Compute watermarks and reserves of all zones anew, as every onlining and offlining does."""
    min_free_kbytes = calculate_min_free_kbytes(kernel)
    setup_per_zone_wmarks(kernel, min_free_kbytes >> _KBYTES_PER_PAGE_SHIFT)
    setup_per_zone_lowmem_reserve(kernel)


def setup_per_zone_lowmem_reserve(kernel: Kernel) -> None:
    """Note the sizes that :func:`lowmem_reserve` goes by until the next setup."""
    kernel.managed_at_setup = [zone.managed_pages for zone in kernel.zones]


def setup_per_zone_wmarks(kernel: Kernel, pages_min: int) -> None:
    """Share ``pages_min`` out among the zones and set their watermarks."""
    # 6.1 sums up all zones but ZONE_HIGHMEM; 6.12 leaves out ZONE_MOVABLE too, and caps its share.
    apart = kernel.zones[ZoneType.MOVABLE] if kernel.release.movable_has_own_watermark else None
    lowmem_pages = sum([zone.managed_pages for zone in kernel.zones if zone is not apart]) or 1
    for zone in kernel.zones:
        managed = zone.managed_pages
        zone.set_watermark(watermarks_of(managed, pages_min * managed // lowmem_pages, zone is apart))


@lru_cache(maxsize=64)
def watermarks_of(managed: int, share: int, apart: bool) -> tuple[int, int, int, int]:  # noqa: FBT001 (quicker)
    """Return min, low, high and promo of a zone: what ``__setup_per_zone_wmarks()`` computes for each.

    ``share`` is the zone's part of ``pages_min``; a zone that stands ``apart`` does not take its minimum from
    it. Cached, for a block that comes online leaves most zones as they were.
    """
    minimum = clamp(managed // 1024, *_MOVABLE_MIN) if apart else share
    step = max(share >> 2, managed * _SCALE_FACTOR // 10000)
    return minimum, minimum + step, minimum + 2 * step, minimum + 3 * step


def lowmem_reserve(kernel: Kernel, zone: Zone, highest: ZoneType) -> int:
    """Return how many pages of ``zone`` are not for requests that could also use zones up to ``highest``.

    As ``setup_per_zone_lowmem_reserve()`` found the zones: ballooning since then does not count.
    """
    ratio, managed = _RESERVE_RATIO.get(zone.type), kernel.managed_at_setup
    if ratio is None or managed[zone.type] == 0:
        return 0
    return sum(managed[zone.type + 1 : highest + 1]) // ratio


def calculate_totalreserve_pages(kernel: Kernel) -> int:
    """Return how many pages the zones keep back: the high watermark and the lowmem reserve.

    ``calculate_totalreserve_pages()``, mm/page_alloc.c, which runs when those are computed.
    """
    return sum(
        min(
            kernel.managed_at_setup[zone.type],
            lowmem_reserve(kernel, zone, ZoneType.DEVICE) + zone.watermark[WMARK_HIGH],
        )
        for zone in kernel.state.zones
    )


def zone_watermark_ok(
    kernel: Kernel, zone: Zone, order: int, mark: int, migratetype: int, highest: ZoneType = ZoneType.MOVABLE
) -> bool:
    """Return whether a request leaves enough in a zone, and whether a suitable block exists."""
    if migratetype != MigrateType.MOVABLE:
        highest = min(highest, ZoneType.NORMAL)
    return __zone_watermark_ok(kernel, zone, order, mark, migratetype, highest)


def __zone_watermark_ok(
    kernel: Kernel, zone: Zone, order: int, mark: int, migratetype: int, highest: ZoneType
) -> bool:
    """Return whether a request that may use zones up to ``highest`` leaves enough."""
    free = zone.nr_free_pages - ((1 << order) - 1)
    if free <= zone.watermark[mark] + lowmem_reserve(kernel, zone, highest):
        return False
    if order == 0:
        return True
    kinds = (migratetype, *FALLBACKS.get(migratetype, ()))
    return any(zone.free_area[high][kind] for high in range(order, NR_PAGE_ORDERS) for kind in kinds)
