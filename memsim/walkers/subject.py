"""What a walker can learn about a pfn, and the questions that walkers ask.

A :class:`Subject` answers from the kernel's state alone. A :class:`Question` is one question about a subject
together with its words for yes; the ``why`` of a verdict is the words of the question that decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from memsim.linux.include.layout import PFN_SECTION_SHIFT, VMEMMAP_PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import FLAG_BITS, PAGE_FLAGS_CHECK_AT_FREE, PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online_page import pfn_to_online_page
from memsim.linux.mm.page_alloc.buddy import is_check_pages_enabled
from memsim.linux.mm.page_alloc.isolation import find_large_buddy
from memsim.patch import Hunk
from memsim.state.section import POISON_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memsim.state.kernel import Kernel
    from memsim.state.page import Page


def covers(ranges: Iterable[tuple[int, int]], pfn: int) -> bool:
    """Return whether one of some (start_pfn, nr_pages) ranges holds ``pfn``.

    >>> covers([(0, 16), (32, 16)], 31), covers([(0, 16), (32, 16)], 32)
    (False, True)
    """
    return any(start <= pfn < start + size for start, size in ranges)


def vmcoreinfo(kernel: Kernel) -> dict[str, int]:
    """Return the numbers that a dump tool reads from the VMCOREINFO note about marks of pages.

    ``kernel/vmcore_info.c`` (6.1: ``kernel/crash_core.c``). Page types are given as the value that
    ``_mapcount`` has when a page is of this type and no other; they differ between kernels, so a tool must
    read them here.
    """
    encoding, bits = kernel.memmap.encoding, FLAG_BITS[kernel.release.name]
    return {
        "PG_lru": bits[PageFlag.LRU],
        "PG_private": bits[PageFlag.PRIVATE],
        "PG_hwpoison": bits[PageFlag.HWPOISON],
        "PAGE_BUDDY_MAPCOUNT_VALUE": signed(encoding.page_type(encoding.code(PageType.BUDDY))),
        "PAGE_OFFLINE_MAPCOUNT_VALUE": signed(encoding.page_type(encoding.code(PageType.OFFLINE))),
    }


def signed(word: int) -> int:
    """Return a 32-bit word as the signed number that C's ``int`` makes of it.

    >>> signed(0xFFFFFEFF), signed(0xF1000000)
    (-257, -251658240)
    """
    return word - (1 << 32) if word >> 31 else word


@dataclass(frozen=True)
class Subject:
    """One pfn of one kernel; every property is true or false for any pfn, present or not."""

    kernel: Kernel
    pfn: int

    @cached_property
    def page(self) -> Page | None:
        """What the struct page says, meaningful or not; None without a memmap."""
        memmap = self.kernel.memmap
        return memmap.raw(self.pfn) if memmap.pfn_valid(self.pfn) else None

    @cached_property
    def online(self) -> bool:
        """``pfn_to_online_page()`` finds a page."""
        return pfn_to_online_page(self.kernel, self.pfn)

    @cached_property
    def free_head(self) -> int | None:
        """First page of the free block that the page lies in (``is_free_buddy_page()``)."""
        if not self.online:
            return None
        found = find_large_buddy(self.kernel, self.pfn, self.kernel.page_zone(self.pfn))
        return None if found is None else found[0]

    @property
    def device(self) -> bool:
        """A dev_pagemap covers the pfn."""
        return covers(self.kernel.pagemaps.items(), self.pfn)

    @property
    def ram(self) -> bool:
        """A System RAM resource covers the pfn."""
        iomem = self.kernel.iomem.items()
        return covers([(start, size) for start, (size, name) in iomem if "System RAM" in name], self.pfn)

    @property
    def stale(self) -> bool:
        """There is a struct page, but it is not kept up to date."""
        return self.page is not None and not self.online and not self.device

    @property
    def uninitialised(self) -> bool:
        """The struct page still is what ``page_init_poison()`` left."""
        return self.page is not None and self.kernel.memmap.flags(self.pfn) == POISON_FLAGS

    @property
    def offline(self) -> bool:
        """``PageOffline()``."""
        return self.page is not None and self.page.offline

    @property
    def refcount(self) -> int:
        """``page_count()``; 0 without a page."""
        return 0 if self.page is None else self.page.refcount

    @property
    def self_hosted(self) -> bool:
        """The page holds struct pages of its own memory block, whatever its flags say."""
        block = self.kernel.memory_blocks.get(self.pfn // self.kernel.block_pages)
        return block is not None and self.pfn - block.start_pfn < block.nr_vmemmap_pages

    @property
    def early(self) -> bool:
        """The section was there at boot."""
        section = self.kernel.memmap.sections.get(self.pfn >> PFN_SECTION_SHIFT)
        return section is not None and section.early

    @property
    def allocated(self) -> bool:
        """The buddy handed the page out (ghost state)."""
        managed = self.online and self.page is not None and self.page.managed
        return managed and self.free_head is None and self.refcount > 0

    @property
    def mappable(self) -> bool:
        """The page was handed out and is one that page tables can map: of no type, and no slab."""
        return self.allocated and self.page is not None and not (self.page.types or self.has(PageFlag.SLAB))

    @property
    def bootmem(self) -> bool:
        """The page is RAM that memblock gave away at boot."""
        return self.online and self.early and self.ram and self.has(PageFlag.RESERVED)

    @property
    def backs_memmap(self) -> bool:
        """The page holds, or may hold, struct pages of memory other than its own block."""
        blocks = ((start, VMEMMAP_PAGES_PER_SECTION) for start in self.kernel.vmemmap.values())
        single = any(self.pfn in pages for pages in self.kernel.vmemmap_base_pages.values())
        return self.bootmem or single or covers(blocks, self.pfn)

    def has(self, flag: PageFlag) -> bool:
        """Return whether the struct page has a PG_ flag."""
        return self.page is not None and bool(self.page.flags & flag)

    def mapcount_is(self, name: str, pfn: int | None) -> bool:
        """Return whether ``_mapcount`` of a page is exactly a value of vmcoreinfo."""
        if pfn is None:
            return False
        memmap = self.kernel.memmap
        word = memmap.encoding.page_type(memmap.stored_type(pfn))
        return signed(word) == vmcoreinfo(self.kernel)[name]


@dataclass(frozen=True)
class Question:
    """A question about a page: its words when the answer is yes, and how to answer it."""

    words: str
    holds: Callable[[Subject], bool]
    reads_page: bool = True
    """Whether the answer comes from the struct page."""


# ---- where the page is -----------------------------------------------------------------------------

NO_MEMMAP = Question(
    "there is no struct page, its section is not present", lambda s: s.page is None, reads_page=False
)
NOT_ONLINE = Question("its section is not online", lambda s: not s.online, reads_page=False)
DEVICE = Question("it is device memory", lambda s: s.device, reads_page=False)
NOT_RAM = Question("it is not System RAM", lambda s: not s.ram, reads_page=False)
UNINITIALISED = Question("its struct page was never initialised", lambda s: s.uninitialised, reads_page=False)
NO_PAGE = Question("no page is in use here", lambda s: not (s.online or s.device), reads_page=False)
MOVABLE_ZONE = Question(
    "it is in ZONE_MOVABLE and not PG_reserved, which counts as movable without a further look",
    lambda s: s.page is not None and s.page.zone == ZoneType.MOVABLE,
)

# ---- what the struct page says -----------------------------------------------------------------------

RESERVED = Question("PG_reserved is set", lambda s: s.has(PageFlag.RESERVED))
OFFLINE = Question("it is of type Offline", lambda s: s.offline)
RESERVED_DEVICE = Question(
    "PG_reserved is set, but it is device memory with a reference",
    lambda s: s.has(PageFlag.RESERVED) and s.device and s.refcount > 0,
)
RESERVED_OFFLINE = Question(
    "PG_reserved is set and it is of type Offline", lambda s: s.offline and s.has(PageFlag.RESERVED)
)
OFFLINE_HELD = Question(
    "it is of type Offline and its refcount is not 0", lambda s: s.offline and s.refcount != 0
)
OFFLINE_RELEASED = Question(
    "it is of type Offline and its refcount is 0", lambda s: s.offline and s.refcount == 0
)
FREE = Question("it is in a free block of the buddy", lambda s: s.free_head is not None)
NOT_FREE = Question("it is not in the buddy", lambda s: s.free_head is None)
LRU = Question("it is on the LRU", lambda s: s.has(PageFlag.LRU))
NOT_LRU = Question("it is not on the LRU", lambda s: not s.has(PageFlag.LRU))
HWPOISON = Question("it is hwpoisoned", lambda s: s.has(PageFlag.HWPOISON))
NOT_HWPOISON = Question("it is not hwpoisoned", lambda s: not s.has(PageFlag.HWPOISON))
SELF_HOSTED = Question(
    "PG_vmemmap_self_hosted is set on it, and that is asked first",
    lambda s: s.has(PageFlag.VMEMMAP_SELF_HOSTED),
)
NO_REFERENCE = Question("its refcount is 0", lambda s: s.refcount == 0)
MORE_REFERENCES = Question("its refcount is more than 1", lambda s: s.refcount > 1)
HAS_TYPE = Question("it has a page type, so _mapcount is not -1", lambda s: bool(s.page and s.page.types))
OTHER_WRONG_FLAG = Question(
    "it has a flag of PAGE_FLAGS_CHECK_AT_FREE",
    lambda s: s.page is not None and bool(s.page.flags & PAGE_FLAGS_CHECK_AT_FREE),
)
NO_OWNER = Question("page_owner has no record that the buddy handed it out", lambda s: not s.allocated)
RESERVED_NO_RAM = Question(
    "PG_reserved is set and it is neither RAM nor device memory, so its mapping is not cached",
    lambda s: s.has(PageFlag.RESERVED) and not s.ram and not s.device,
)
RESERVED_MAPPED = Question(
    "PG_reserved is set, but it is in the direct map and outside the nosave section", RESERVED.holds
)
DUMP_FREE = Question(
    "_mapcount of the free block it lies in is PAGE_BUDDY_MAPCOUNT_VALUE",
    lambda s: s.mapcount_is("PAGE_BUDDY_MAPCOUNT_VALUE", s.free_head),
)
DUMP_OFFLINE = Question(
    "its _mapcount is PAGE_OFFLINE_MAPCOUNT_VALUE",
    lambda s: s.mapcount_is("PAGE_OFFLINE_MAPCOUNT_VALUE", s.pfn),
)

# ---- what the kernel is --------------------------------------------------------------------------------

ASKS_NOTHING = Question(
    "this kernel clears PG_reserved without a question (no hunk PAGE_ALLOC)",
    lambda s: not s.kernel.has(Hunk.PAGE_ALLOC),
)
RESERVED_DEBUG = Question(
    "PG_reserved is set, and CONFIG_DEBUG_VM looks for it",
    lambda s: s.kernel.debug_vm and s.has(PageFlag.RESERVED),
)
CHECKS_OFF = Question(
    "this kernel does not check pages that are freed", lambda s: not is_check_pages_enabled(s.kernel)
)
FLAGS_UNCHECKED = Question(
    "this kernel clears the flags of single pages before it checks them (6.1 without CONFIG_DEBUG_VM)",
    lambda s: s.kernel.release.always_checks_freed_pages and not s.kernel.debug_vm,
)
OFFLINE_SPARED = Question(
    "it is of type Offline, which is not counted as managed (hunk OFFLINE_CORE)",
    lambda s: s.offline and s.kernel.has(Hunk.OFFLINE_CORE),
)

# ---- which pages a walker meets at all -------------------------------------------------------------------

ANY = Question("any pfn", lambda _: True)
MAPPED = Question("pages mapped into user space", lambda s: s.device or s.mappable or s.bootmem)
LRU_PAGES = Question("pages on the LRU", lambda s: s.online and LRU.holds(s))
HIGHMEM = Question("highmem pages, and x86-64 has none", lambda _: False)
MEMMAP_PAGES = Question(
    "pages that hold struct pages", lambda s: s.online and (s.backs_memmap or s.self_hosted)
)
FREED_MEMMAP = Question("struct pages outside an altmap", lambda s: s.backs_memmap)
KERNEL_PAGES = Question(
    "pages that the kernel allocated for itself",
    lambda s: s.bootmem or (s.allocated and not s.has(PageFlag.LRU) and not s.offline),
)
HOTPLUG_FRESH = Question(
    "hotplugged pages that the buddy does not have yet",
    lambda s: s.online and not (s.early or s.allocated or s.self_hosted or s.free_head is not None),
)
OFFLINED = Question(
    "pages of the range that goes offline, without holes and self-hosted vmemmap",
    lambda s: s.online and s.ram and not s.self_hosted,
)
OFFLINED_LAST = Question(
    "pages that test_pages_isolated() let through",
    lambda s: OFFLINED.holds(s) and (not NOT_FREE.holds(s) or HWPOISON.holds(s) or OFFLINE_RELEASED.holds(s)),
)
BOOT_PAGES = Question("boot memory, once, while booting", lambda s: s.early)
REFERENCED = Question("pages whose last reference is dropped", lambda s: s.online and s.refcount > 0)
