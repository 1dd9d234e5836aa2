"""Flags and types of a ``struct page``, and how two kernels encode them.

Models ``include/linux/page-flags.h`` and ``include/uapi/linux/kernel-page-flags.h``.

In memory memsim keeps one u32 of flags per page: the ``PG_`` flags as the bits of
:class:`PageFlag` (memsim's own order), the zone in the top three bits as the kernel does, and
*ghost* bits that no kernel has, :data:`MANAGED` and :data:`PRESENT`: they say in which zone counters
the page is included, so that a counter can be checked page by page. A third, :data:`LIVE`, says that the
struct page was initialised and its zone has not let go of it.

The page type is one u8: the top byte of ``page_type`` in 6.12, bits 7..14 of it in 6.1. In both,
0xff is "no type" and :class:`PageTypeEncoding` knows what setting and clearing does.

Left out: flags that never differ in any path of memory hotplug (PG_arch_1, PG_readahead ...).
"""

from __future__ import annotations

from enum import Enum, IntFlag
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class PageFlag(IntFlag):
    """The ``PG_`` flags that memsim models, by their name without ``PG_``."""

    LOCKED = 1 << 0
    WRITEBACK = 1 << 1
    REFERENCED = 1 << 2
    UPTODATE = 1 << 3
    DIRTY = 1 << 4
    LRU = 1 << 5
    HEAD = 1 << 6
    ACTIVE = 1 << 7
    SLAB = 1 << 8
    OWNER_PRIV_1 = 1 << 9
    RESERVED = 1 << 10
    PRIVATE = 1 << 11
    PRIVATE_2 = 1 << 12
    ISOLATED = 1 << 13
    SWAPBACKED = 1 << 14
    UNEVICTABLE = 1 << 15
    MLOCKED = 1 << 16
    HWPOISON = 1 << 17
    VMEMMAP_SELF_HOSTED = OWNER_PRIV_1
    """Only an alias of PG_owner_priv_1 in the kernel, too."""


MANAGED = 1 << 24
PRESENT = 1 << 25
LIVE = 1 << 26
ZONE_SHIFT = 29
ZONE_MASK = 7 << ZONE_SHIFT
ALL_FLAGS = (1 << 18) - 1

PAGE_FLAGS_CHECK_AT_FREE = int(
    PageFlag.LRU
    | PageFlag.LOCKED
    | PageFlag.PRIVATE
    | PageFlag.PRIVATE_2
    | PageFlag.WRITEBACK
    | PageFlag.RESERVED
    | PageFlag.ACTIVE
    | PageFlag.UNEVICTABLE
    | PageFlag.MLOCKED
)
"""A page that is freed with one of these is bad. PG_dirty is not among them."""

PAGE_FLAGS_CHECK_AT_PREP = ALL_FLAGS & ~int(PageFlag.HWPOISON)
"""Cleared from every page that is freed; still set when a page is allocated means bad."""

FLAG_BITS: dict[str, dict[PageFlag, int]] = {
    "6.1": {
        PageFlag.LOCKED: 0,
        PageFlag.REFERENCED: 1,
        PageFlag.UPTODATE: 2,
        PageFlag.DIRTY: 3,
        PageFlag.LRU: 4,
        PageFlag.ACTIVE: 5,
        PageFlag.SLAB: 9,
        PageFlag.OWNER_PRIV_1: 10,
        PageFlag.RESERVED: 12,
        PageFlag.PRIVATE: 13,
        PageFlag.PRIVATE_2: 14,
        PageFlag.WRITEBACK: 15,
        PageFlag.HEAD: 16,
        PageFlag.ISOLATED: 18,
        PageFlag.SWAPBACKED: 19,
        PageFlag.UNEVICTABLE: 20,
        PageFlag.MLOCKED: 21,
        PageFlag.HWPOISON: 23,
    },
    "6.12": {
        PageFlag.LOCKED: 0,
        PageFlag.WRITEBACK: 1,
        PageFlag.REFERENCED: 2,
        PageFlag.UPTODATE: 3,
        PageFlag.DIRTY: 4,
        PageFlag.LRU: 5,
        PageFlag.HEAD: 6,
        PageFlag.ACTIVE: 8,
        PageFlag.OWNER_PRIV_1: 10,
        PageFlag.RESERVED: 13,
        PageFlag.PRIVATE: 14,
        PageFlag.PRIVATE_2: 15,
        PageFlag.ISOLATED: 16,
        PageFlag.SWAPBACKED: 17,
        PageFlag.UNEVICTABLE: 18,
        PageFlag.MLOCKED: 19,
        PageFlag.HWPOISON: 20,
    },
}
# 6.12 took PG_error out, made PG_owner_2 of PG_mappedtodisk, and removed PG_uncached.
FLAG_BITS["6.11"] = FLAG_BITS["6.12"] | {
    PageFlag.OWNER_PRIV_1: 11,
    PageFlag.ISOLATED: 17,
    PageFlag.SWAPBACKED: 18,
    PageFlag.UNEVICTABLE: 19,
    PageFlag.MLOCKED: 20,
    PageFlag.HWPOISON: 22,
}
# 6.14 put PG_dropbehind at 19 and moved what follows.
FLAG_BITS["7.3"] = FLAG_BITS["6.12"] | {PageFlag.MLOCKED: 20, PageFlag.HWPOISON: 21}
"""Bit number of each flag in ``page->flags`` (Debian's x86-64 configurations). 6.12 has no PG_slab."""

_ZONES_PGSHIFT = 51
"""Where those configurations keep the zone in the 64-bit word (read from recorded struct pages)."""


def flags_word(flags: int, release: str) -> int:
    """Return the 64-bit ``page->flags`` that kernel ``release`` would hold (without LAST_CPUPID).

    >>> hex(flags_word(int(PageFlag.RESERVED) | 2 << ZONE_SHIFT, "6.12"))
    '0x10000000002000'
    >>> hex(flags_word(int(PageFlag.RESERVED) | 2 << ZONE_SHIFT, "6.1"))
    '0x10000000001000'
    """
    word = (flags >> ZONE_SHIFT) << _ZONES_PGSHIFT
    for flag, bit in FLAG_BITS[release].items():
        if flags & flag:
            word |= 1 << bit
    return word


class PageType(Enum):
    """What ``page_type`` can say; NONE is the initial value -1 of ``_mapcount``."""

    NONE = "none"
    BUDDY = "buddy"
    OFFLINE = "offline"
    TABLE = "table"
    GUARD = "guard"

    __hash__ = object.__hash__  # there is one object for each type; Enum hashes its name, which is slower


NO_TYPE = 0xFF
_INVERTED_BIT = {PageType.BUDDY: 0x01, PageType.OFFLINE: 0x02, PageType.TABLE: 0x04, PageType.GUARD: 0x08}
_INVERTED_HIGH_BIT = {
    PageType.BUDDY: 0x40,
    PageType.OFFLINE: 0x20,
    PageType.TABLE: 0x10,
    PageType.GUARD: 0x08,
}
_BYTE_CODE = {PageType.BUDDY: 0xF0, PageType.OFFLINE: 0xF1, PageType.TABLE: 0xF2, PageType.GUARD: 0xF3}


class PageTypeEncoding:
    """How one kernel stores page types in the u8 of the memmap.

    ``byte``: one number, so a page has at most one type; setting stores it whatever was there.
    ``inverted-bits``: every type is a bit that is *cleared* to set it; types can pile up.

    >>> byte, bits = PageTypeEncoding("byte"), PageTypeEncoding("inverted-bits")
    >>> hex(byte.page_type(byte.set(NO_TYPE, PageType.OFFLINE)))
    '0xf1000000'
    >>> hex(bits.page_type(bits.set(NO_TYPE, PageType.OFFLINE)))
    '0xfffffeff'
    >>> linux_6_11 = PageTypeEncoding("inverted-high-bits")
    >>> hex(linux_6_11.page_type(linux_6_11.set(NO_TYPE, PageType.OFFLINE)))
    '0xdfffffff'
    >>> both = bits.set(bits.set(NO_TYPE, PageType.OFFLINE), PageType.BUDDY)
    >>> hex(bits.page_type(both)), sorted(t.value for t in bits.types(both))
    ('0xfffffe7f', ['buddy', 'offline'])
    """

    def __init__(self, name: str) -> None:
        """Take ``name``: ``"byte"`` (6.12), ``"inverted-bits"`` (6.1) or ``"inverted-high-bits"`` (6.11)."""
        if name not in {"byte", "inverted-bits", "inverted-high-bits"}:
            msg = f"page type encoding {name!r}: must be 'byte', 'inverted-bits' or 'inverted-high-bits'"
            raise ValueError(msg)
        self.name = name
        self.inverted = name != "byte"
        self._types: dict[int, frozenset[PageType]] = {}
        self._high = name == "inverted-high-bits"
        self._bit = _INVERTED_HIGH_BIT if self._high else _INVERTED_BIT

    def code(self, page_type: PageType) -> int:
        """Return the stored u8 of a page that has only ``page_type``."""
        if page_type is PageType.NONE:
            return NO_TYPE
        return NO_TYPE & ~self._bit[page_type] if self.inverted else _BYTE_CODE[page_type]

    def has(self, stored: int, page_type: PageType) -> bool:
        """Return whether the stored u8 has ``page_type``."""
        if page_type is PageType.NONE:
            return stored == NO_TYPE
        if self.inverted:
            return stored & self._bit[page_type] == 0
        return stored == _BYTE_CODE[page_type]

    def where(self, stored: npt.NDArray[np.uint8], page_type: PageType) -> npt.NDArray[np.bool_]:
        """Return which elements of an array of stored u8 have ``page_type``."""
        bits = self.inverted and page_type is not PageType.NONE
        masked, wanted = (
            (stored & np.uint8(self._bit[page_type]), 0) if bits else (stored, self.code(page_type))
        )
        found: npt.NDArray[np.bool_] = masked == wanted
        return found

    def types(self, stored: int) -> frozenset[PageType]:
        """Return every type that the stored u8 shows (empty: none)."""
        if stored not in self._types:
            shown = (t for t in PageType if t is not PageType.NONE and self.has(stored, t))
            self._types[stored] = frozenset(shown)
        return self._types[stored]

    def set(self, stored: int, page_type: PageType) -> int:
        """Return what ``__SetPageX`` leaves behind."""
        return stored & ~self._bit[page_type] if self.inverted else _BYTE_CODE[page_type]

    def clear(self, stored: int, page_type: PageType) -> int:
        """Return what ``__ClearPageX`` leaves behind."""
        return stored | self._bit[page_type] if self.inverted else NO_TYPE

    def page_type(self, stored: int) -> int:
        """Return the 32-bit ``page_type`` word of the kernel."""
        if self._high:
            return stored << 24 | 0xFFFFFF
        if self.inverted:
            return 0xFFFFFFFF & ~((~stored & 0xFF) << 7)
        return 0xFFFFFFFF if stored == NO_TYPE else stored << 24


class KPF(Enum):
    """Bit numbers of /proc/kpageflags (include/uapi and include/linux/kernel-page-flags.h)."""

    LOCKED = 0
    REFERENCED = 2
    UPTODATE = 3
    DIRTY = 4
    LRU = 5
    ACTIVE = 6
    SLAB = 7
    WRITEBACK = 8
    RECLAIM = 9
    BUDDY = 10
    SWAPCACHE = 13
    SWAPBACKED = 14
    HEAD = 15
    UNEVICTABLE = 18
    HWPOISON = 19
    NOPAGE = 20
    OFFLINE = 23
    PGTABLE = 26
    RESERVED = 32
    MLOCKED = 33
    PRIVATE = 35
    PRIVATE_2 = 36
    OWNER_PRIVATE = 37
