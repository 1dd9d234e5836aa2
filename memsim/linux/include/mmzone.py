"""Zones, migratetypes, and the free lists of a zone.

Models ``struct zone`` and ``struct free_area`` of ``include/linux/mmzone.h``. One node; a zone has
exactly the counters that memory hotplug moves.

A free list (:mod:`memsim.free_list`) holds pfns, and its *right* end is the kernel's list head: the page that
``__rmqueue_smallest()`` takes next.

Left out: NUMA nodes other than 0, ZONE_HIGHMEM, CMA, per-cpu vmstat deltas.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import Protocol

from memsim.free_list import FreeList
from memsim.linux.include.layout import MAX_DMA32_PFN, MAX_DMA_PFN, NR_PAGE_ORDERS, PAGES_PER_SUBSECTION


class ZoneType(IntEnum):
    """``enum zone_type`` of x86-64."""

    DMA = 0
    DMA32 = 1
    NORMAL = 2
    MOVABLE = 3
    DEVICE = 4


ZONE_NAMES = {
    ZoneType.DMA: "DMA",
    ZoneType.DMA32: "DMA32",
    ZoneType.NORMAL: "Normal",
    ZoneType.MOVABLE: "Movable",
    ZoneType.DEVICE: "Device",
}


BOOT_ZONES = (
    (ZoneType.DMA, 0, MAX_DMA_PFN),
    (ZoneType.DMA32, MAX_DMA_PFN, MAX_DMA32_PFN),
    (ZoneType.NORMAL, MAX_DMA32_PFN, 1 << 52),
)
"""(zone, first pfn, first pfn after it) of the zones that boot memory is divided into."""


class MigrateType(IntEnum):
    """``enum migratetype`` of a kernel without CONFIG_CMA."""

    UNMOVABLE = 0
    MOVABLE = 1
    RECLAIMABLE = 2
    HIGHATOMIC = 3
    ISOLATE = 4


MIGRATE_PCPTYPES = 3
MIGRATE_TYPES = len(MigrateType)


class RamMap(Protocol):
    """What says where RAM is: :class:`memsim.state.kernel.Resources`."""

    def overlapping(self, pfn: int, nr_pages: int) -> list[tuple[int, int, str]]:
        """Return the resources that share a page with a range."""


def pfn_section_valid(iomem: RamMap, pfn: int) -> bool:
    """Return whether the sub-section of a page has RAM: holes in boot memory are found only near RAM."""
    start = pfn - pfn % PAGES_PER_SUBSECTION
    return bool(iomem.overlapping(start, PAGES_PER_SUBSECTION))


def migratetype_is_mergeable(migratetype: int) -> bool:
    """Return whether free blocks of this type may merge with another mergeable type."""
    return migratetype < MIGRATE_PCPTYPES


FALLBACKS: dict[int, tuple[MigrateType, ...]] = {
    MigrateType.UNMOVABLE: (MigrateType.RECLAIMABLE, MigrateType.MOVABLE),
    MigrateType.MOVABLE: (MigrateType.RECLAIMABLE, MigrateType.UNMOVABLE),
    MigrateType.RECLAIMABLE: (MigrateType.UNMOVABLE, MigrateType.MOVABLE),
}

_LOWER = (ZoneType.NORMAL, ZoneType.DMA32, ZoneType.DMA)
ZONELISTS: dict[int, tuple[ZoneType, ...]] = {
    MigrateType.UNMOVABLE: _LOWER,
    MigrateType.MOVABLE: (ZoneType.MOVABLE, *_LOWER),
    MigrateType.RECLAIMABLE: _LOWER,
}
"""The zones that an allocation tries: only movable ones may use ZONE_MOVABLE."""

COUNTERS = (
    "zone_start_pfn",
    "spanned_pages",
    "present_pages",
    "present_early_pages",
    "managed_pages",
    "nr_isolate_pageblock",
    "nr_free_pages",
)


class Zone:
    """One zone: counters in pages, and ``free_area[order][migratetype]``.

    It is written by the methods below "writes", which :mod:`memsim.state.recording` lists.
    """

    def __init__(self, zone_type: ZoneType) -> None:
        """Make an empty zone."""
        self.type = zone_type
        self.name = ZONE_NAMES[zone_type]
        self.zone_start_pfn = 0
        self.spanned_pages = 0
        self.present_pages = 0
        self.present_early_pages = 0
        self.managed_pages = 0
        self.nr_isolate_pageblock = 0
        self.nr_free_pages = 0
        """NR_FREE_PAGES: free pages that are not on a MIGRATE_ISOLATE list."""
        self.free_area = [[FreeList() for _ in range(MIGRATE_TYPES)] for _ in range(NR_PAGE_ORDERS)]
        self.pcp: dict[tuple[int, int], OrderedDict[int, None]] = {}
        """Per-cpu lists by (order, migratetype); like free lists, the right end is taken next."""
        self.watermark: tuple[int, ...] = (0, 0, 0, 0)
        """min, low, high, promo, in pages."""

    def __repr__(self) -> str:
        """Show the name and the counters."""
        counts = ", ".join(f"{name}={getattr(self, name)}" for name in COUNTERS)
        return f"Zone({self.name}: {counts})"

    @property
    def zone_end_pfn(self) -> int:
        """The first pfn after the span."""
        return self.zone_start_pfn + self.spanned_pages

    @property
    def populated(self) -> bool:
        """``populated_zone()``: has present pages."""
        return self.present_pages > 0

    def nr_free(self, order: int) -> int:
        """Return the free blocks of ``order`` over all migratetypes (``free_area.nr_free``)."""
        return sum(map(len, self.free_area[order]))

    @property
    def pcp_count(self) -> int:
        """Pages on per-cpu lists."""
        return sum(len(blocks) << order for (order, _), blocks in self.pcp.items())

    def copy(self) -> Zone:
        """Return an independent copy that nothing watches."""
        return self.copy_with([[blocks.copy() for blocks in area] for area in self.free_area])

    def copy_with(self, free_area: list[list[FreeList]]) -> Zone:
        """Return a copy of counters, watermarks and per-cpu lists beside these free lists."""
        twin = Zone(self.type)
        twin.free_area = free_area
        for name in COUNTERS:
            setattr(twin, name, getattr(self, name))
        twin.pcp = {key: blocks.copy() for key, blocks in self.pcp.items()}
        twin.watermark = self.watermark
        return twin

    # ---- writes ------------------------------------------------------------------------------

    def add(self, counter: str, delta: int) -> None:
        """Add ``delta`` pages (or pageblocks) to a counter."""
        setattr(self, counter, getattr(self, counter) + delta)

    def set_span(self, start_pfn: int, spanned_pages: int) -> None:
        """Set the extent of the zone, holes included."""
        self.zone_start_pfn = start_pfn
        self.spanned_pages = spanned_pages

    def add_to_free_list(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a block at the head of a free list (``list_add``)."""
        self.free_area[order][migratetype].append(pfn)

    def add_to_free_list_tail(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a block at the tail of a free list (``list_add_tail``)."""
        self.free_area[order][migratetype].appendleft(pfn)

    def del_from_free_list(self, pfn: int, order: int, migratetype: int) -> None:
        """Take a block off the free list that it is on (``list_del``)."""
        self.free_area[order][migratetype].remove(pfn)

    def add_run_to_free_list_tail(self, pfns: range, order: int, migratetype: int) -> None:
        """Put many blocks at the tail of a free list, one after the other."""
        self.free_area[order][migratetype].extendleft(pfns)

    def del_run_from_free_list(self, pfns: range, order: int, migratetype: int) -> None:
        """Take many blocks off the free list that they are on."""
        blocks = self.free_area[order][migratetype]
        for pfn in pfns:
            blocks.remove(pfn)

    def set_watermark(self, marks: tuple[int, ...]) -> None:
        """Set min, low, high and promo watermark."""
        self.watermark = marks

    def pcp_add(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a freed block on a per-cpu list; it is the next to be taken."""
        self.pcp.setdefault((order, migratetype), OrderedDict())[pfn] = None

    def pcp_add_tail(self, pfn: int, order: int, migratetype: int) -> None:
        """Put a block at the far end of a per-cpu list."""
        blocks = self.pcp.setdefault((order, migratetype), OrderedDict())
        blocks[pfn] = None
        blocks.move_to_end(pfn, last=False)

    def pcp_del(self, pfn: int, order: int, migratetype: int) -> None:
        """Take a block off a per-cpu list."""
        del self.pcp[order, migratetype][pfn]


def node_present_pages(zones: list[Zone]) -> int:
    """Return the present pages of a node, given its zones."""
    return sum(zone.present_pages for zone in zones)


def zone_spans_pfn(zone: Zone, pfn: int) -> bool:
    """Return whether a page lies in the span of a zone."""
    return zone.zone_start_pfn <= pfn < zone.zone_end_pfn


def zone_intersects(zone: Zone, start_pfn: int, nr_pages: int) -> bool:
    """Return whether a range overlaps the span of a zone."""
    return (
        zone.spanned_pages > 0
        and start_pfn < zone.zone_end_pfn
        and zone.zone_start_pfn < start_pfn + nr_pages
    )
