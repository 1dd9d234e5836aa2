"""``struct page`` for every page of every present section.

Sections whose pages are all alike *share* their arrays (:mod:`memsim.state.section`) until the first write to
one of them makes them private, so a machine of one tebibyte costs megabytes.

Page state is written by the methods below "writes", the primitives. They make the checks that ``debug_vm``
adds to setting and clearing a page type, and :mod:`memsim.state.recording` reports each to a trace. Only the
shortcuts in :mod:`memsim.fast` write past them, on kernels that are neither watched nor checked.

The reads are in :mod:`memsim.state.memmap_reads`.

Models ``mm/sparse.c`` and the page accessors of ``include/linux/page-flags.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelBug
from memsim.linux.include.layout import (
    PAGES_PER_SECTION,
    PFN_SECTION_SHIFT,
    pageblock_order,
)
from memsim.linux.include.page_flags import (
    ALL_FLAGS,
    LIVE,
    MANAGED,
    NO_TYPE,
    PRESENT,
    ZONE_SHIFT,
    PageType,
    PageTypeEncoding,
)
from memsim.state.memmap_reads import MemmapReads
from memsim.state.ranges import id_ranges
from memsim.state.section import PAGEBLOCKS_PER_SECTION, POISON, SOME_ZONE, Pattern, Section, pages_of

if TYPE_CHECKING:
    import numpy.typing as npt

_INDEX = PAGES_PER_SECTION - 1


class Memmap(MemmapReads):
    """The memmap of a machine: present sections by number."""

    name = "memmap"
    """The target in events that write to it."""

    def __init__(self, encoding: PageTypeEncoding, *, debug_vm: bool = False) -> None:
        """Make a memmap without sections for a kernel with this page type encoding."""
        self.encoding = encoding
        self.debug_vm = debug_vm
        self.sections: dict[int, Section] = {}
        self.buddy = encoding.code(PageType.BUDDY)
        """The stored type of the head of a free block that has no other type."""

    def __repr__(self) -> str:
        """Show the present sections, and how many are online."""
        online = sum(section.online for section in self.sections.values())
        return f"Memmap(sections {id_ranges(self.sections) or 'none'}; {online} online)"

    def copy(self) -> Memmap:
        """Return an independent copy that nothing watches; arrays are shared until one side writes."""
        twin = Memmap(self.encoding)
        twin.sections = {nr: section.copy() for nr, section in self.sections.items()}
        return twin

    # ---- writes ------------------------------------------------------------------------------

    def add_section(self, nr: int, early: bool = False) -> None:  # noqa: FBT001, FBT002 (positional in an event)
        """Make section ``nr`` present, its memmap poisoned (``page_init_poison()``)."""
        self.sections[nr] = Section(nr, pages_of(POISON), early=early)

    def remove_section(self, nr: int) -> None:
        """Remove section ``nr`` and its memmap."""
        del self.sections[nr]

    def set_online(self, nr: int, online: bool) -> None:  # noqa: FBT001 (positional in an event)
        """Set or clear SECTION_IS_ONLINE."""
        self.sections[nr].online = online

    def poison(self, pfn: int, nr_pages: int) -> None:
        """Fill struct pages with ones (``page_init_poison()``), all but the ghost bits."""
        self._fill(pfn, nr_pages, POISON)

    def init_pages(self, pfn: int, nr_pages: int, zone: int, flags: int, stored_type: int) -> None:
        """``__init_single_page()`` on a range: everything reset, refcount 1, then flags and type."""
        self._fill(pfn, nr_pages, Pattern(zone << ZONE_SHIFT | LIVE | int(flags), stored_type, 0, 1))

    def _fill(self, pfn: int, nr_pages: int, state: Pattern) -> None:
        for section, at in self.spans(pfn, nr_pages):
            if at.stop - at.start == PAGES_PER_SECTION:
                section.fill(state)
                continue
            pages = section.private_pages()
            pages.maybe_flagged |= bool(state.flags & ALL_FLAGS)
            if pages.zone != state.flags >> ZONE_SHIFT:
                pages.zone = SOME_ZONE
            pages.flags[at].fill(state.flags)  # faster than an assignment
            pages.type[at].fill(state.stored_type)
            pages.order[at].fill(state.order)
            pages.refcount[at].fill(state.refcount)

    def set_flags(self, pfn: int, nr_pages: int, mask: int) -> None:
        """Set flags (or ghost bits) on a range."""
        self._change_flags(pfn, nr_pages, int(mask), 0)

    def clear_flags(self, pfn: int, nr_pages: int, mask: int) -> None:
        """Clear flags (or ghost bits) on a range."""
        self._change_flags(pfn, nr_pages, 0, int(mask))

    def _change_flags(self, pfn: int, nr_pages: int, set_mask: int, clear_mask: int) -> None:
        if nr_pages == 1:
            pages, index = self.section(pfn).private_pages(), pfn & _INDEX
            pages.maybe_flagged |= bool(set_mask & ALL_FLAGS)
            pages.flags_at[index] = pages.flags_at[index] & ~clear_mask | set_mask
            return
        for section, at in self.spans(pfn, nr_pages):
            pattern = section.pages.pattern
            if pattern is not None and at.stop - at.start == PAGES_PER_SECTION:
                section.fill(pattern._replace(flags=pattern.flags & ~clear_mask | set_mask))
                continue
            pages = section.private_pages()
            pages.maybe_flagged |= bool(set_mask & ALL_FLAGS)
            if set_mask:
                pages.flags[at] |= np.uint32(set_mask)
            if clear_mask:
                pages.flags[at] &= np.uint32(~clear_mask & 0xFFFFFFFF)

    def set_type(self, pfn: int, nr_pages: int, page_type: PageType) -> None:
        """``__SetPageX`` on a range; with debug_vm another type already there is a KernelBug."""
        if self.debug_vm and not self.encoding.inverted:
            wrong = (NO_TYPE, self.encoding.code(page_type))
            self._bug_on_type(pfn, nr_pages, wrong, f"__SetPage{page_type.name.title()}")
        code = self.encoding.code(page_type)
        if nr_pages == 1:
            stored, index = self.section(pfn).private_pages().type_at, pfn & _INDEX
            stored[index] = stored[index] & code if self.encoding.inverted else code
            return
        for section, at in self.spans(pfn, nr_pages):
            types = section.private_pages().type
            if self.encoding.inverted:
                types[at] &= np.uint8(code)
            else:
                types[at] = code

    def clear_type(self, pfn: int, nr_pages: int, page_type: PageType) -> None:
        """``__ClearPageX`` on a range; with debug_vm clearing what is not set is a KernelBug.

        6.12 tolerates a page without any type, 6.1 does not.
        """
        code = self.encoding.code(page_type)
        if self.debug_vm:
            self._bug_on_clear(pfn, nr_pages, page_type)
        if nr_pages == 1:
            stored, index = self.section(pfn).private_pages().type_at, pfn & _INDEX
            stored[index] = self.encoding.clear(stored[index], page_type)
            return
        for section, at in self.spans(pfn, nr_pages):
            types = section.private_pages().type
            if self.encoding.inverted:
                types[at] |= np.uint8(~code & 0xFF)
            else:
                types[at] = NO_TYPE

    def reset_type(self, pfn: int) -> None:
        """Set ``_mapcount`` to -1 (``page_mapcount_reset()``): whatever type the page had is gone."""
        self.section(pfn).private_pages().type[pfn & _INDEX] = NO_TYPE

    def _bug_on_clear(self, pfn: int, nr_pages: int, page_type: PageType) -> None:
        function = f"__ClearPage{page_type.name.title()}"
        if not self.encoding.inverted:
            self._bug_on_type(pfn, nr_pages, (NO_TYPE, self.encoding.code(page_type)), function)
            return
        if nr_pages == 1 and self.encoding.has(self.stored_type(pfn), page_type):
            return
        for section, at in self.spans(pfn, nr_pages):
            missing = ~self.encoding.where(section.pages.type[at], page_type)
            self._bug_at(section, at, missing, function)

    def _bug_on_type(self, pfn: int, nr_pages: int, allowed: tuple[int, int], function: str) -> None:
        if nr_pages == 1 and self.stored_type(pfn) in allowed:
            return
        for section, at in self.spans(pfn, nr_pages):
            types = section.pages.type[at]
            self._bug_at(section, at, (types != allowed[0]) & (types != allowed[1]), function)

    def _bug_at(self, section: Section, at: slice, wrong: npt.NDArray[np.bool_], function: str) -> None:
        if wrong.any():
            index = at.start + int(wrong.argmax())
            pfn = (section.nr << PFN_SECTION_SHIFT) + index
            word = self.encoding.page_type(int(section.pages.type[index]))
            msg = f"VM_BUG_ON_PAGE in {function}: pfn {pfn:#x} has page_type {word:#010x}"
            raise KernelBug(msg)

    def set_refcount(self, pfn: int, nr_pages: int, refcount: int) -> None:
        """``set_page_count()`` on a range."""
        if nr_pages == 1:
            self.section(pfn).private_pages().refcount_at[pfn & _INDEX] = refcount
            return
        for section, at in self.spans(pfn, nr_pages):
            pattern = section.pages.pattern
            if pattern is not None and at.stop - at.start == PAGES_PER_SECTION:
                section.fill(pattern._replace(refcount=refcount))
                continue
            section.private_pages().refcount[at] = refcount

    def set_order(self, pfn: int, order: int) -> None:
        """Set the order stored in a page: that of a compound page in its head, 0 when it is split up."""
        self.section(pfn).private_pages().order_at[pfn & _INDEX] = order

    def set_buddy_order(self, pfn: int, order: int) -> None:
        """``set_buddy_order()``: order into ``private``, then ``__SetPageBuddy``."""
        if self.debug_vm:
            allowed = (NO_TYPE, self.buddy)
            if not self.encoding.inverted:
                self._bug_on_type(pfn, 1, allowed, "__SetPageBuddy")
        section, index = self.section(pfn), pfn & _INDEX
        pages = section.private_pages()
        pages.type_at[index] = self.encoding.set(pages.type_at[index], PageType.BUDDY)
        pages.order_at[index] = order

    def clear_buddy(self, pfn: int) -> None:
        """``__ClearPageBuddy`` and ``private`` = 0, as taking a block off a free list does."""
        if self.debug_vm:
            self._bug_on_clear(pfn, 1, PageType.BUDDY)
        section, index = self.section(pfn), pfn & _INDEX
        pages = section.private_pages()
        pages.type_at[index] = self.encoding.clear(pages.type_at[index], PageType.BUDDY)
        pages.order_at[index] = 0

    def set_migratetype(self, pfn: int, nr_pages: int, migratetype: int) -> None:
        """Set the type of every pageblock that starts in the range."""
        for section, at in self.spans(pfn, nr_pages):
            first = (at.start + (1 << pageblock_order) - 1) >> pageblock_order
            last = (at.stop + (1 << pageblock_order) - 1) >> pageblock_order
            section.pageblocks[first:last] = bytes([migratetype]) * (last - first)

    def set_free_max_order(self, nr: int, zone: int, migratetype: int) -> None:
        """Make a whole section free blocks of order 10 and of one type, managed and present, in bulk."""
        flags = zone << ZONE_SHIFT | LIVE | MANAGED | PRESENT
        section = self.sections[nr]
        section.fill(Pattern(flags, NO_TYPE, 0, 0, self.buddy))
        section.pageblocks[:] = bytes([migratetype]) * PAGEBLOCKS_PER_SECTION
