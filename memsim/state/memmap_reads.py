"""The reading methods of :class:`~memsim.state.memmap.Memmap`.

A page of a section that is not online has no meaning: :meth:`MemmapReads.page` refuses to read it.
:meth:`MemmapReads.raw` decodes whatever the bytes hold, as a debugger would.

Models ``pfn_valid()`` and ``pfn_to_online_page()`` of ``include/linux/mmzone.h`` and
``mm/memory_hotplug.c``, and the tests of ``include/linux/page-flags.h``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from memsim.errors import BadPage
from memsim.linux.include.layout import PAGES_PER_SECTION, PFN_SECTION_SHIFT, pageblock_order
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import (
    ALL_FLAGS,
    MANAGED,
    PRESENT,
    ZONE_SHIFT,
    PageFlag,
    PageType,
    PageTypeEncoding,
)
from memsim.state.page import Page

if TYPE_CHECKING:
    from memsim.state.section import Section

_page = Page._make
"""Makes a page of its fields in half the time that ``Page()`` takes."""
_INDEX = PAGES_PER_SECTION - 1
_ZONES = [ZoneType(min(zone, ZoneType.DEVICE)) for zone in range(8)]
"""The zone of each number in the flags; poison has one that is no zone."""


@cache
def decoded(flags: int) -> tuple[ZoneType, PageFlag, bool, bool]:
    """Return what the flags u32 of a page says: zone, flags, managed, present; each word is decoded once."""
    zone = _ZONES[flags >> ZONE_SHIFT]
    return zone, PageFlag(flags & ALL_FLAGS), bool(flags & MANAGED), bool(flags & PRESENT)


class MemmapReads:
    """The present sections by number, and reads of their pages; nothing here writes."""

    encoding: PageTypeEncoding
    sections: dict[int, Section]

    def section(self, pfn: int) -> Section:
        """Return the section of ``pfn``; BadPage if there is no memmap for it."""
        try:
            return self.sections[pfn >> PFN_SECTION_SHIFT]
        except KeyError:
            msg = f"pfn {pfn:#x} has no struct page: its section is not present"
            raise BadPage(msg) from None

    def pfn_valid(self, pfn: int) -> bool:
        """Return whether ``pfn`` has a struct page at all (``pfn_valid()``)."""
        return pfn >> PFN_SECTION_SHIFT in self.sections

    def pfn_to_online_page(self, pfn: int) -> Page | None:
        """Return the page if its section is online, else None; flags and type do not matter.

        A reader that must not meet holes in boot memory also calls
        :func:`memsim.linux.kernel.resource.pfn_section_valid`.
        """
        section = self.sections.get(pfn >> PFN_SECTION_SHIFT)
        return self.raw(pfn) if section is not None and section.online else None

    def page(self, pfn: int) -> Page:
        """Return the page ``pfn`` of an online section.

        Raises
        ------
        BadPage
            Without a memmap, or when the section is not online: its struct pages are stale or poison.
        """
        section = self.section(pfn)
        if not section.online:
            msg = (
                f"pfn {pfn:#x} is in a section that is not online: "
                "its struct page is uninitialised or stale and means nothing"
            )
            raise BadPage(msg)
        return self._page_of(section, pfn)

    def raw(self, pfn: int) -> Page:
        """Return the struct page decoded, meaningful or not."""
        return self._page_of(self.section(pfn), pfn)

    def _page_of(self, section: Section, pfn: int) -> Page:
        pages, index = section.pages, pfn & _INDEX
        zone, flags, managed, present = decoded(pages.flags_at[index])
        types = self.encoding.types(pages.type_at[index])
        migratetype = section.pageblocks[index >> pageblock_order]
        refcount, order = pages.refcount_at[index], pages.order_at[index]
        return _page((pfn, zone, flags, types, refcount, order, migratetype, managed, present))

    def flags(self, pfn: int) -> int:
        """Return the flags u32 of a page, ghost bits and zone included."""
        return self.section(pfn).pages.flags_at[pfn & _INDEX]

    def refcount(self, pfn: int) -> int:
        """Return the reference count of a page."""
        return self.section(pfn).pages.refcount_at[pfn & _INDEX]

    def stored_type(self, pfn: int) -> int:
        """Return the stored type (u8) of a page."""
        return self.section(pfn).pages.type_at[pfn & _INDEX]

    def has_type(self, pfn: int, page_type: PageType) -> bool:
        """Return whether the page has this type (``PageBuddy()``, ``PageOffline()`` ...)."""
        return self.encoding.has(self.section(pfn).pages.type_at[pfn & _INDEX], page_type)

    def zone_of(self, pfn: int) -> int:
        """Return the zone number in the page's flags (``page_zonenum()``)."""
        return self.flags(pfn) >> ZONE_SHIFT

    def all_of_type(self, pfn: int, nr_pages: int, page_type: PageType) -> bool:
        """Return whether every page of a range has this type."""
        return all(
            bool(self.encoding.where(section.pages.type[at], page_type).all())
            for section, at in self.spans(pfn, nr_pages)
        )

    def buddy_order(self, pfn: int) -> int:
        """Return the order of the free block that starts at ``pfn``, or -1 if none does."""
        section, index = self.section(pfn), pfn & _INDEX
        if self.encoding.has(section.pages.type_at[index], PageType.BUDDY):
            return section.pages.order_at[index]
        return -1

    def migratetype(self, pfn: int) -> int:
        """Return the type of the pageblock of ``pfn`` (``get_pageblock_migratetype()``)."""
        return self.section(pfn).pageblocks[(pfn & _INDEX) >> pageblock_order]

    def spans(self, pfn: int, nr_pages: int) -> list[tuple[Section, slice]]:
        """Return (section, slice into its arrays) for each part of a pfn range."""
        low, end = pfn & _INDEX, pfn + nr_pages
        if 0 < nr_pages <= PAGES_PER_SECTION - low:  # by far most ranges
            return [(self.section(pfn), slice(low, low + nr_pages))]
        found = []
        while pfn < end:
            low = pfn & _INDEX
            high = min(PAGES_PER_SECTION, low + end - pfn)
            found.append((self.section(pfn), slice(low, high)))
            pfn += high - low
        return found
