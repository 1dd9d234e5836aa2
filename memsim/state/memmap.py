"""``struct page`` for every page of every present section.

The arrays of a section (:mod:`memsim.state.section`) are *shared* with every other section that looks the
same until the first write to it, so that a machine of one tebibyte costs megabytes.

All page state is written by the methods under "writes" and by nothing else: tracing, and the checks
that ``debug_vm`` adds to setting and clearing a page type, happen there.

What can be read is in :mod:`memsim.state.memmap_reads`.

Models ``mm/sparse.c`` and the page accessors of ``include/linux/page-flags.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelBug
from memsim.linux.include.layout import (
    PAGEBLOCKS_PER_SECTION,
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
from memsim.state.section import POISON, Pattern, Section, pages_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.linux.include.tracepoint import Trace

_INDEX = PAGES_PER_SECTION - 1


class Memmap(MemmapReads):
    """The memmap of a machine: present sections by number."""

    def __init__(self, encoding: PageTypeEncoding, *, debug_vm: bool = False) -> None:
        """Make a memmap without sections for a kernel with this page type encoding."""
        self.encoding = encoding
        self.debug_vm = debug_vm
        self.trace: Trace | None = None
        self.sections: dict[int, Section] = {}
        self._owned: set[int] | None = None
        """Sections that no other memmap uses; None: all of them."""
        self.buddy = encoding.code(PageType.BUDDY)
        """The stored type of the head of a free block that has no other type."""

    def copy(self) -> Memmap:
        """Return an independent copy without a trace; arrays are shared until one side writes."""
        twin = Memmap(self.encoding)
        twin.sections = {nr: section.copy() for nr, section in self.sections.items()}
        return twin

    def share(self) -> Memmap:
        """Return a copy that shares the sections with this memmap until one of the two writes.

        For memmaps that are written by the methods below "writes" only, as those of a tape are.
        """
        twin = Memmap(self.encoding)
        twin.sections = dict(self.sections)
        self._owned, twin._owned = set(), set()
        return twin

    def _own(self, owned: set[int], pfn: int, nr_pages: int = 1) -> None:
        """Make the sections of a range ones that only this memmap uses."""
        for nr in range(pfn >> PFN_SECTION_SHIFT, (pfn + nr_pages - 1 >> PFN_SECTION_SHIFT) + 1):
            if nr not in owned:
                self.sections[nr] = self.section(nr << PFN_SECTION_SHIFT).copy()
                owned.add(nr)

    # ---- writes ------------------------------------------------------------------------------

    def add_section(self, nr: int, *, early: bool = False) -> None:
        """Make section ``nr`` present, its memmap poisoned (``page_init_poison()``)."""
        if self.trace is not None:
            self.trace.write("memmap", "add_section", nr)
        if self._owned is not None:
            self._owned.add(nr)
        self.sections[nr] = Section(nr, pages_of(POISON), early=early)

    def remove_section(self, nr: int) -> None:
        """Take section ``nr`` and its memmap away."""
        if self.trace is not None:
            self.trace.write("memmap", "remove_section", nr)
        del self.sections[nr]

    def set_online(self, nr: int, online: bool) -> None:  # noqa: FBT001 (positional in the tape)
        """Set or clear SECTION_IS_ONLINE."""
        if self.trace is not None:
            self.trace.write("memmap", "set_online", nr, online)
        if self._owned is not None:
            self._own(self._owned, nr << PFN_SECTION_SHIFT)
        self.sections[nr].online = online

    def poison(self, pfn: int, nr_pages: int) -> None:
        """Fill struct pages with ones (``page_init_poison()``), all but the ghost bits."""
        if self.trace is not None:
            self.trace.write("memmap", "poison", pfn, nr_pages)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        self._fill(pfn, nr_pages, POISON)

    def init_pages(self, pfn: int, nr_pages: int, zone: int, flags: int, stored_type: int) -> None:
        """``__init_single_page()`` on a range: everything reset, refcount 1, then flags and type."""
        if self.trace is not None:
            self.trace.write("memmap", "init_pages", pfn, nr_pages, zone, flags, stored_type)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        self._fill(pfn, nr_pages, Pattern(zone << ZONE_SHIFT | LIVE | flags, stored_type, 0, 1))

    def _fill(self, pfn: int, nr_pages: int, state: Pattern) -> None:
        for section, at in self.spans(pfn, nr_pages):
            if at.stop - at.start == PAGES_PER_SECTION:
                section.share(state)
                continue
            pages = section.own()
            pages.flagged |= bool(state.flags & ALL_FLAGS)
            pages.flags[at], pages.type[at] = state.flags, state.stored_type
            pages.order[at], pages.refcount[at] = state.order, state.refcount

    def set_flags(self, pfn: int, nr_pages: int, mask: int) -> None:
        """Set flags (or ghost bits) on a range."""
        if self.trace is not None:
            self.trace.write("memmap", "set_flags", pfn, nr_pages, mask)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        self._change_flags(pfn, nr_pages, int(mask), 0)

    def clear_flags(self, pfn: int, nr_pages: int, mask: int) -> None:
        """Clear flags (or ghost bits) on a range."""
        if self.trace is not None:
            self.trace.write("memmap", "clear_flags", pfn, nr_pages, mask)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        self._change_flags(pfn, nr_pages, 0, int(mask))

    def _change_flags(self, pfn: int, nr_pages: int, set_mask: int, clear_mask: int) -> None:
        if nr_pages == 1:
            pages, index = self.section(pfn).own(), pfn & _INDEX
            pages.flagged |= bool(set_mask & ALL_FLAGS)
            pages.flags_at[index] = pages.flags_at[index] & ~clear_mask | set_mask
            return
        for section, at in self.spans(pfn, nr_pages):
            pattern = section.pages.pattern
            if pattern is not None and at.stop - at.start == PAGES_PER_SECTION:
                section.share(pattern._replace(flags=pattern.flags & ~clear_mask | set_mask))
                continue
            pages = section.own()
            pages.flagged |= bool(set_mask & ALL_FLAGS)
            if set_mask:
                pages.flags[at] |= np.uint32(set_mask)
            if clear_mask:
                pages.flags[at] &= np.uint32(~clear_mask & 0xFFFFFFFF)

    def set_type(self, pfn: int, nr_pages: int, page_type: PageType) -> None:
        """``__SetPageX`` on a range; with debug_vm another type already there is a KernelBug."""
        if self.debug_vm and not self.encoding.inverted:
            wrong = (NO_TYPE, self.encoding.code(page_type))
            self._bug_on_type(pfn, nr_pages, wrong, f"__SetPage{page_type.name.title()}")
        if self.trace is not None:
            self.trace.write("memmap", "set_type", pfn, nr_pages, page_type)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        code = self.encoding.code(page_type)
        for section, at in self.spans(pfn, nr_pages):
            types = section.own().type
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
        if self.trace is not None:
            self.trace.write("memmap", "clear_type", pfn, nr_pages, page_type)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        for section, at in self.spans(pfn, nr_pages):
            types = section.own().type
            if self.encoding.inverted:
                types[at] |= np.uint8(~code & 0xFF)
            else:
                types[at] = NO_TYPE

    def reset_type(self, pfn: int) -> None:
        """Set ``_mapcount`` to -1 (``page_mapcount_reset()``): whatever type the page had is gone."""
        if self.trace is not None:
            self.trace.write("memmap", "reset_type", pfn)
        if self._owned is not None:
            self._own(self._owned, pfn)
        self.section(pfn).own().type[pfn & _INDEX] = NO_TYPE

    def _bug_on_clear(self, pfn: int, nr_pages: int, page_type: PageType) -> None:
        function = f"__ClearPage{page_type.name.title()}"
        if not self.encoding.inverted:
            self._bug_on_type(pfn, nr_pages, (NO_TYPE, self.encoding.code(page_type)), function)
            return
        for section, at in self.spans(pfn, nr_pages):
            missing = ~self.encoding.where(section.pages.type[at], page_type)
            self._bug_at(section, at, missing, function)

    def _bug_on_type(self, pfn: int, nr_pages: int, allowed: tuple[int, int], function: str) -> None:
        for section, at in self.spans(pfn, nr_pages):
            self._bug_at(section, at, ~np.isin(section.pages.type[at], allowed), function)

    def _bug_at(self, section: Section, at: slice, wrong: npt.NDArray[np.bool_], function: str) -> None:
        if wrong.any():
            index = at.start + int(wrong.argmax())
            pfn = (section.nr << PFN_SECTION_SHIFT) + index
            word = self.encoding.page_type(int(section.pages.type[index]))
            msg = f"VM_BUG_ON_PAGE in {function}: pfn {pfn:#x} has page_type {word:#010x}"
            raise KernelBug(msg)

    def set_refcount(self, pfn: int, nr_pages: int, refcount: int) -> None:
        """``set_page_count()`` on a range."""
        if self.trace is not None:
            self.trace.write("memmap", "set_refcount", pfn, nr_pages, refcount)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        for section, at in self.spans(pfn, nr_pages):
            pattern = section.pages.pattern
            if pattern is not None and at.stop - at.start == PAGES_PER_SECTION:
                section.share(pattern._replace(refcount=refcount))
                continue
            section.own().refcount[at] = refcount

    def set_order(self, pfn: int, order: int) -> None:
        """Set the order that a page keeps: of a compound page in its head, 0 when it is dissolved."""
        if self.trace is not None:
            self.trace.write("memmap", "set_order", pfn, order)
        if self._owned is not None:
            self._own(self._owned, pfn)
        self.section(pfn).own().order_at[pfn & _INDEX] = order

    def set_buddy_order(self, pfn: int, order: int) -> None:
        """``set_buddy_order()``: order into ``private``, then ``__SetPageBuddy``."""
        if self.debug_vm:
            allowed = (NO_TYPE, self.buddy)
            if not self.encoding.inverted:
                self._bug_on_type(pfn, 1, allowed, "__SetPageBuddy")
        if self.trace is not None:
            self.trace.write("memmap", "set_buddy_order", pfn, order)
        if self._owned is not None:
            self._own(self._owned, pfn)
        section, index = self.section(pfn), pfn & _INDEX
        pages = section.own()
        pages.type_at[index] = self.encoding.set(pages.type_at[index], PageType.BUDDY)
        pages.order_at[index] = order

    def clear_buddy(self, pfn: int) -> None:
        """``__ClearPageBuddy`` and ``private`` = 0, as taking a block off a free list does."""
        if self.debug_vm:
            self._bug_on_clear(pfn, 1, PageType.BUDDY)
        if self.trace is not None:
            self.trace.write("memmap", "clear_buddy", pfn)
        if self._owned is not None:
            self._own(self._owned, pfn)
        section, index = self.section(pfn), pfn & _INDEX
        pages = section.own()
        pages.type_at[index] = self.encoding.clear(pages.type_at[index], PageType.BUDDY)
        pages.order_at[index] = 0

    def set_migratetype(self, pfn: int, nr_pages: int, migratetype: int) -> None:
        """Set the type of every pageblock that starts in the range."""
        if self.trace is not None:
            self.trace.write("memmap", "set_migratetype", pfn, nr_pages, migratetype)
        if self._owned is not None:
            self._own(self._owned, pfn, nr_pages)
        for section, at in self.spans(pfn, nr_pages):
            first = (at.start + (1 << pageblock_order) - 1) >> pageblock_order
            last = (at.stop + (1 << pageblock_order) - 1) >> pageblock_order
            section.pageblocks[first:last] = bytes([migratetype]) * (last - first)

    def set_free_max_order(self, nr: int, zone: int, migratetype: int) -> None:
        """Make a whole section free blocks of order 10 and of one type, managed and present, in bulk."""
        if self.trace is not None:
            self.trace.write("memmap", "set_free_max_order", nr, zone, migratetype)
        if self._owned is not None:
            self._own(self._owned, nr << PFN_SECTION_SHIFT)
        flags = zone << ZONE_SHIFT | LIVE | MANAGED | PRESENT
        section = self.sections[nr]
        section.share(Pattern(flags, NO_TYPE, 0, 0, self.buddy))
        section.pageblocks[:] = bytes([migratetype]) * PAGEBLOCKS_PER_SECTION
