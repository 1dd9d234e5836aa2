"""The names of the bits of ``page->flags`` and the encodings of ``page_type``, by kernel version.

``enum pageflags`` and ``enum pagetype`` of ``include/linux/page-flags.h``. The order of the flags changed in
4.10 (PG_waiters), 4.20 (PG_workingset), 6.6 (PG_writeback and PG_head moved down), 6.10 (PG_slab became a
page type), 6.12 (PG_error and PG_uncached removed, PG_mappedtodisk became PG_owner_2) and 6.14
(PG_dropbehind). The last flags of each table depend on the architecture and the configuration, so a version
has several tables; :func:`flag_tables` lists the usual ones first.

Left out: flags of architectures that no report of the last ten years shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from memsim.real.versions import NEWEST, Version, version_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LATEST: Version = (7, 3)
"""The newest kernel whose headers these tables were compared with."""

_OLD = "locked error referenced uptodate dirty lru active"
_MIDDLE = "owner_priv_1 arch_1 reserved private private_2"
_RECLAIM = "mappedtodisk reclaim swapbacked unevictable mlocked"
_BASES: tuple[tuple[Version, Version, str], ...] = (
    ((2, 6), (4, 5), f"{_OLD} slab {_MIDDLE} writeback head tail swapcache {_RECLAIM}"),
    ((4, 6), (4, 9), f"{_OLD} slab {_MIDDLE} writeback head swapcache {_RECLAIM}"),
    ((4, 10), (4, 19), f"{_OLD} waiters slab {_MIDDLE} writeback head {_RECLAIM}"),
    (
        (4, 20),
        (6, 5),
        (
            "locked referenced uptodate dirty lru active workingset waiters error slab "
            f"{_MIDDLE} writeback head {_RECLAIM}"
        ),
    ),
    (
        (6, 6),
        (6, 9),
        (
            "locked writeback referenced uptodate dirty lru head waiters active workingset error slab "
            f"{_MIDDLE} {_RECLAIM}"
        ),
    ),
    (
        (6, 10),
        (6, 11),
        (
            "locked writeback referenced uptodate dirty lru head waiters active workingset error "
            f"{_MIDDLE} {_RECLAIM}"
        ),
    ),
    (
        (6, 12),
        (6, 13),
        (
            "locked writeback referenced uptodate dirty lru head waiters active workingset owner_priv_1 "
            "owner_2 arch_1 reserved private private_2 reclaim swapbacked unevictable mlocked"
        ),
    ),
    (
        (6, 14),
        NEWEST,
        (
            "locked writeback referenced uptodate dirty lru head waiters active workingset owner_priv_1 "
            "owner_2 arch_1 reserved private private_2 reclaim swapbacked unevictable dropbehind mlocked"
        ),
    ),
)
UNCACHED_UNTIL: Version = (6, 11)
ARCH_2_SINCE: Version = (5, 9)

X86 = ("x86-64", "x86-32")
_TAILS = (
    "uncached hwpoison",
    "uncached hwpoison arch_2",
    "uncached hwpoison young idle",
    "uncached hwpoison young idle arch_2",
    "hwpoison",
    "hwpoison arch_2",
    "hwpoison arch_2 arch_3",
    "hwpoison young idle",
    "hwpoison young idle arch_2",
    "hwpoison young idle arch_2 arch_3",
    "uncached",
    "uncached arch_2",
    "uncached young idle",
    "uncached young idle arch_2",
    "",
    "arch_2",
    "arch_2 arch_3",
    "young idle",
    "young idle arch_2",
    "young idle arch_2 arch_3",
)
"""What may follow the last flag that every configuration has; the usual ones come first."""


@dataclass(frozen=True)
class FlagTable:
    """The names of the bits of ``page->flags`` in some kernels, from bit 0 on, without ``PG_``."""

    first: Version
    last: Version
    names: tuple[str, ...]
    tail: str

    @property
    def label(self) -> str:
        """The versions, such as ``6.6 to 6.9``."""
        if self.last == NEWEST:
            return f"{version_name(self.first)} and later"
        return f"{version_name(self.first)} to {version_name(self.last)}"

    @cached_property
    def bits(self) -> dict[str, int]:
        """Name of a flag -> the word in which only it is set."""
        return {name: 1 << bit for bit, name in enumerate(self.names)}

    def bits_of(self, names: Iterable[str]) -> int | None:
        """Return the word in which these flags are set; None if the table does not have one of them.

        >>> table_for((6, 12), "x86-64").bits_of(["reserved", "head"]) == 0x2040
        True
        """
        word = 0
        for name in names:
            bit = self.bits.get(name)
            if bit is None:
                return None
            word |= bit
        return word

    def set_names(self, word: int) -> list[str]:
        """Return the names of the bits of a word that are set, lowest first.

        >>> table_for((6, 12), "x86-64").set_names(0x2040)
        ['head', 'reserved']
        """
        return [name for bit, name in enumerate(self.names) if word >> bit & 1]

    def has(self, version: Version) -> bool:
        """Return whether the table is for this version."""
        return self.first <= version <= self.last


def _allowed(tail: str, last: Version, architecture: str | None) -> bool:
    """Return whether kernels of an architecture can have these last flags."""
    uncached = "uncached" in tail
    if uncached and (last > UNCACHED_UNTIL or architecture not in {None, *X86}):
        return False
    if not uncached and last <= UNCACHED_UNTIL and architecture in X86:
        return False
    return "arch_2" not in tail or last >= ARCH_2_SINCE


@lru_cache(maxsize=1)
def flag_names() -> frozenset[str]:
    """Return every name that a flag has in any table."""
    return frozenset(name for table in flag_tables() for name in table.names)


@lru_cache(maxsize=16)
def flag_tables(architecture: str | None = None) -> tuple[FlagTable, ...]:
    """Return every table of an architecture (None: of any), by version, the usual configuration first."""
    return tuple(_tables(architecture))


def _tables(architecture: str | None) -> Iterator[FlagTable]:
    for first, last, base in _BASES:
        for tail in _TAILS:
            if _allowed(tail, last, architecture):
                yield FlagTable(first, last, (*base.split(), *tail.split()), tail)


def table_for(version: Version, architecture: str | None = None) -> FlagTable:
    """Return the usual table of a version: with hwpoison, without young and idle.

    >>> table_for((6, 1), "x86-64").names[22:]
    ('uncached', 'hwpoison')
    >>> table_for((6, 1), "arm64").names[22:]
    ('hwpoison',)
    """
    tables = [table for table in flag_tables(architecture or "x86-64") if table.has(version)]
    return tables[0]


def is_newer_than_tables(version: Version) -> bool:
    """Return whether a version is newer than every header these tables were compared with."""
    return version > LATEST


# ---- page_type --------------------------------------------------------------------------------------

NONE = 0xFFFFFFFF
INVERTED_BASE, BITS_BASE = 0xF0000000, 0x80000000
_BEFORE_5_11 = {0x80: "buddy", 0x100: "offline", 0x200: "kmemcg", 0x400: "table", 0x800: "guard"}
_SINCE_5_11 = {0x80: "buddy", 0x100: "offline", 0x200: "table", 0x400: "guard"}
_6_11 = ("buddy", "offline", "table", "guard", "hugetlb", "slab", "zsmalloc")
_BYTES = (*_6_11, "unaccepted", "large_kmalloc")


@dataclass(frozen=True)
class TypeEncoding:
    """How some kernels store a page type in the 32 bits that it shares with ``_mapcount``."""

    first: Version
    last: Version
    words: tuple[tuple[int, str], ...]
    """Single types: (bit that is cleared, or top byte, name)."""
    base: int = 0
    """What the bits outside of types must be for a type to count; 0: the top byte is the type."""
    whole: bool = False
    """Whether a type is one number, as before there were page types."""

    @property
    def label(self) -> str:
        """The versions, such as ``6.10 to 6.10``."""
        if self.last == NEWEST:
            return f"{version_name(self.first)} and later"
        if self.first == self.last:
            return version_name(self.first)
        return f"{version_name(self.first)} to {version_name(self.last)}"

    def types(self, word: int) -> list[str]:
        """Return the types that a word shows; empty: none, so it is a ``_mapcount``."""
        if self.whole:
            return [name for value, name in self.words if word == value]
        if not self.base:
            number = word >> 24
            known = dict(self.words)
            return [known.get(number, f"number {number:#x}")] if 0xF0 <= number < 0xFF else []  # noqa: PLR2004 (0xff: none)
        if word & self.base != self.base or word == NONE:
            return []
        return [name for bit, name in self.words if not word & bit]

    def is_plain(self, word: int) -> bool:
        """Return whether a word shows types, and no bit of it is against them."""
        cleared = ~word & NONE & ~sum(bit for bit, _ in self.words) if self.base else 0
        return bool(self.types(word)) and not cleared


def macro_name(name: str) -> str:
    """Return a page type as the kernel's macros call it.

    >>> macro_name("large_kmalloc")
    'LargeKmalloc'
    """
    return "".join(word.title() for word in name.split("_"))


BEFORE_TYPES = TypeEncoding(
    (2, 6), (4, 17), ((-128 & NONE, "buddy"), (-256 & NONE, "offline"), (-512 & NONE, "kmemcg")), whole=True
)
"""PAGE_BUDDY_MAPCOUNT_VALUE, PAGE_BALLOON_MAPCOUNT_VALUE, PAGE_KMEMCG_MAPCOUNT_VALUE."""
TYPE_ENCODINGS = (
    TypeEncoding((4, 18), (5, 10), tuple(_BEFORE_5_11.items()), INVERTED_BASE),
    TypeEncoding((5, 11), (6, 8), tuple(_SINCE_5_11.items()), INVERTED_BASE),
    TypeEncoding((6, 9), (6, 9), (*_SINCE_5_11.items(), (0x800, "hugetlb")), INVERTED_BASE),
    TypeEncoding(
        (6, 10), (6, 10), (*_SINCE_5_11.items(), (0x800, "hugetlb"), (0x1000, "slab")), INVERTED_BASE
    ),
    TypeEncoding((6, 11), (6, 11), tuple((0x40000000 >> i, name) for i, name in enumerate(_6_11)), BITS_BASE),
    TypeEncoding((6, 12), NEWEST, tuple((0xF0 + i, name) for i, name in enumerate(_BYTES))),
)


def encoding_for(version: Version) -> TypeEncoding | None:
    """Return the encoding of a version; None before 4.18, which had no page types.

    >>> encoding_for((6, 11)).types(0xDFFFFFFF), encoding_for((6, 12)).types(0xF1000000)
    (['offline'], ['offline'])
    """
    return next((e for e in TYPE_ENCODINGS if e.first <= version <= e.last), None)


def encoding_of_word(word: int) -> TypeEncoding | None:
    """Return the encoding that a type word most likely is in, newest of those that fit; None for no type.

    The encodings are distinguishable: only in the byte of 6.12 some low bits are not ones, and of those with
    inverted bits only 6.11 clears one of the upper eight.

    >>> [encoding_of_word(w).label for w in (0xFFFFFEFF, 0xFFFFEFFF, 0xBFFFFFFF, 0xF1000000)]
    ['5.11 to 6.8', '6.10', '6.11', '6.12 and later']
    >>> encoding_of_word(3)
    """
    if word == NONE or not word & BITS_BASE:
        return None
    if word & 0xFFFFFF == 0xFFFFFF:  # noqa: PLR2004 (low 24 bits)
        return TYPE_ENCODINGS[4]
    if word >> 24 != 0xFF:  # noqa: PLR2004 (top byte)
        return TYPE_ENCODINGS[5] if word >> 28 == 0xF else None  # noqa: PLR2004 (top nibble)
    cleared = ~word & NONE
    order = (1, 2, 3, 0)
    return next(
        (TYPE_ENCODINGS[i] for i in order if not cleared & ~sum(b for b, _ in TYPE_ENCODINGS[i].words)), None
    )
