"""The arrays of one section, shared by all sections with the same contents.

Struct of arrays, 8 bytes a page: flags u32, type u8, order (``page->private``) u8, refcount i16; and one
migratetype for each pageblock. Models ``struct mem_section`` (``include/linux/mmzone.h``) with the memmap it
points to. Left out: sub-section maps, ``mapping``, ``index``, ``lru`` and memcg fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    pageblock_nr_pages,
)
from memsim.linux.include.page_flags import ALL_FLAGS, LIVE, MANAGED, NO_TYPE, PRESENT, ZONE_SHIFT

if TYPE_CHECKING:
    import numpy.typing as npt


PAGEBLOCKS_PER_SECTION = PAGES_PER_SECTION // pageblock_nr_pages
POISON_FLAGS = 0xFFFFFFFF & ~(MANAGED | PRESENT | LIVE)
POISON_ORDER = 0xFF
POISON_REFCOUNT = -1
SOME_ZONE = -1


class Pattern(NamedTuple):
    """The state of a section whose pages are all alike, or all in free blocks of order 10."""

    flags: int
    stored_type: int
    order: int
    refcount: int
    buddy: int = NO_TYPE
    """Stored type of the heads of the free blocks; NO_TYPE: there are none."""


POISON = Pattern(POISON_FLAGS, NO_TYPE, POISON_ORDER, POISON_REFCOUNT)


class Pages:
    """The four arrays of one section, each with a view (``_at``) for fast access to single elements."""

    __slots__ = (
        "flags",
        "flags_at",
        "maybe_flagged",
        "order",
        "order_at",
        "pattern",
        "refcount",
        "refcount_at",
        "type",
        "type_at",
        "zone",
    )

    def __init__(
        self,
        flags: npt.NDArray[np.uint32],
        types: npt.NDArray[np.uint8],
        order: npt.NDArray[np.uint8],
        refcount: npt.NDArray[np.int16],
    ) -> None:
        """Take PAGES_PER_SECTION elements of each; keep the first and the last array, copy the others."""
        self.pattern: Pattern | None = None
        self.maybe_flagged = True
        """False: no page has a PG_ flag. True: some page may have one."""
        self.zone = SOME_ZONE
        """The zone number in the flags of all pages; SOME_ZONE: each page has to be asked."""
        self.flags, self.refcount = flags, refcount
        self.flags_at, self.refcount_at = flags.data, refcount.data
        # For single bytes a bytearray is faster than a memoryview; numpy works on the same memory.
        self.type_at, self.order_at = bytearray(types), bytearray(order)
        self.type = np.frombuffer(self.type_at, np.uint8)
        self.order = np.frombuffer(self.order_at, np.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arrays; of pages that are all alike only the pattern."""
        if self.pattern is not None:
            return pages_of, (self.pattern,)
        return Pages, (self.flags, self.type, self.order, self.refcount)

    def copy(self) -> Pages:
        """Return a private copy of the arrays."""
        twin = Pages(self.flags.copy(), self.type, self.order, self.refcount.copy())
        twin.maybe_flagged, twin.zone = self.maybe_flagged, self.zone
        return twin


@lru_cache(maxsize=64)
def pages_of(pattern: Pattern) -> Pages:
    """Return the arrays that all sections of one pattern share."""
    size = PAGES_PER_SECTION
    pages = Pages(
        np.full(size, pattern.flags, np.uint32),
        np.full(size, pattern.stored_type, np.uint8),
        np.full(size, pattern.order, np.uint8),
        np.full(size, pattern.refcount, np.int16),
    )
    if pattern.buddy != NO_TYPE:
        pages.type[::MAX_ORDER_NR_PAGES] = pattern.buddy
        pages.order[::MAX_ORDER_NR_PAGES] = MAX_PAGE_ORDER
    pages.pattern = pattern
    pages.maybe_flagged = bool(pattern.flags & ALL_FLAGS)
    pages.zone = pattern.flags >> ZONE_SHIFT
    return pages


class Section:
    """One 128 MiB section (``struct mem_section``): its pages, pageblock types and two flags."""

    __slots__ = ("early", "nr", "online", "pageblocks", "pages", "shared")

    def __init__(self, nr: int, pages: Pages, *, early: bool) -> None:
        """Make an offline section ``nr`` on shared arrays."""
        self.nr = nr
        self.pages = pages
        self.shared = True
        self.pageblocks = bytearray(PAGEBLOCKS_PER_SECTION)
        self.online = False
        self.early = early

    def private_pages(self) -> Pages:
        """Return arrays that only this section uses; shared ones are copied first."""
        if self.shared:
            self.pages = self.pages.copy()
            self.shared = False
        return self.pages

    def fill(self, pattern: Pattern) -> None:
        """Set all pages of the section to ``pattern``, on arrays shared by every section that has it."""
        self.pages, self.shared = pages_of(pattern), True

    def copy(self) -> Section:
        """Return a section that shares its arrays with this one until one of the two writes."""
        self.shared = True
        twin = Section(self.nr, self.pages, early=self.early)
        twin.pageblocks[:] = self.pageblocks
        twin.online = self.online
        return twin
