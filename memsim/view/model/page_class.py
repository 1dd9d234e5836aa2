"""The class of every page of a block: the few kinds of page that a reader tells apart at a glance.

Each class has a letter, a plain name, a colour (Okabe and Ito's, which colour-blind readers can tell
apart) and a pattern, so that colour is never the only sign.

Left out: flags, refcounts and orders beyond what the class needs; ``view.text`` tells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    pageblock_nr_pages,
)
from memsim.linux.include.page_flags import LIVE, PageFlag, PageType
from memsim.state.section import POISON_FLAGS

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.state.section import Section
    from memsim.state.state import State

    Mask = npt.NDArray[np.bool_]
    Classes = npt.NDArray[np.uint8]


class PageClass(IntEnum):
    """The kind of page at a pfn.

    >>> PageClass.RESERVED.letter, PageClass.RESERVED.label, PageClass.RESERVED.pattern
    ('R', 'reserved', 'rising stripes')
    """

    ABSENT = 0
    RESERVED = 1
    OFFLINE = 2
    FREE = 3
    ALLOCATED = 4
    SELF_HOSTED = 5
    POISONED = 6
    RESERVED_OFFLINE = 7
    FREE_OFFLINE = 8
    UNTOLD = 9

    @property
    def letter(self) -> str:
        """One letter, as in maps and sentences."""
        return LOOKS[self].letter

    @property
    def label(self) -> str:
        """A plain name that fits behind "2048 pages"."""
        return LOOKS[self].label

    @property
    def colour(self) -> str:
        """The class's colour, ``#RRGGBB``."""
        return LOOKS[self].colour

    @property
    def pattern(self) -> str:
        """The pattern that is drawn over the colour."""
        return LOOKS[self].pattern

    @property
    def meaning(self) -> str:
        """What makes a page one of this class."""
        return LOOKS[self].meaning


@dataclass(frozen=True)
class Look:
    """How pages of a class are shown."""

    letter: str
    label: str
    colour: str
    pattern: str
    meaning: str


LOOKS = {
    PageClass.ABSENT: Look(
        "·", "not there", "#FFFFFF", "few specks", "no struct page, or one that is not set up"
    ),
    PageClass.RESERVED: Look(
        "R", "reserved", "#E69F00", "rising stripes", "PG_reserved: withheld from the buddy"
    ),
    PageClass.OFFLINE: Look("O", "Offline", "#56B4E9", "dots", "type Offline: withheld from the buddy"),
    PageClass.FREE: Look("B", "free", "#009E73", "plain", "in a free block of the buddy"),
    PageClass.ALLOCATED: Look("A", "allocated", "#0072B2", "level stripes", "in use, or none of the others"),
    PageClass.SELF_HOSTED: Look(
        "S", "self-hosted vmemmap", "#F0E442", "grid", "holds struct pages of its own memory block"
    ),
    PageClass.POISONED: Look("P", "hwpoison", "#D55E00", "crosses", "PG_hwpoison: broken memory"),
    PageClass.RESERVED_OFFLINE: Look(
        "X", "reserved and Offline", "#CC79A7", "falling stripes", "both, as drivers had it before the patch"
    ),
    PageClass.FREE_OFFLINE: Look(
        "F",
        "free but still Offline",
        "#000000",
        "upright stripes",
        "in a free block and yet of type Offline: half a patch",
    ),
    PageClass.UNTOLD: Look(
        "*", "free, allocated or per-cpu", "#999999", "chessboard", "the recording does not say which"
    ),
}
CLASSES = tuple(PageClass)


def page_classes(state: State, pfn: int, nr_pages: int) -> Classes:
    """Return the class of every page of a range (``PageClass`` values as u8).

    Reads struct pages of offline sections too, as a debugger would: what is live there is shown.
    """
    return _whole_chunks(state, pfn, nr_pages, _section_classes)


def free_heads(state: State, pfn: int, nr_pages: int) -> npt.NDArray[np.int8]:
    """Return the order of the free block that each page is the first of, -1 for all other pages."""
    return _whole_chunks(state, pfn, nr_pages, _section_heads).view(np.int8)


def _whole_chunks(state: State, pfn: int, nr_pages: int, part_of: Any) -> Classes:  # noqa: ANN401 (a function)
    """Put sections together; parts start at multiples of 1024 so that no free block is cut."""
    first = pfn - pfn % MAX_ORDER_NR_PAGES
    end = pfn + nr_pages
    parts = []
    for start in range(first - first % PAGES_PER_SECTION, end, PAGES_PER_SECTION):
        section = state.memmap.sections.get(start // PAGES_PER_SECTION)
        at = slice(max(first - start, 0), min(end + (-end) % MAX_ORDER_NR_PAGES - start, PAGES_PER_SECTION))
        parts.append(part_of(state, section, at))
    whole: Classes = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    return whole[pfn - first : end - first]


def _section_heads(state: State, section: Section | None, at: slice) -> Classes:
    heads = np.full(at.stop - at.start, 0xFF, np.uint8)
    if section is not None:
        buddy = state.memmap.encoding.where(section.pages.type[at], PageType.BUDDY)
        heads[buddy] = section.pages.order[at][buddy]
    return heads


def _section_classes(state: State, section: Section | None, at: slice) -> Classes:
    if section is None:
        return np.zeros(at.stop - at.start, np.uint8)
    flags = section.pages.flags[at]
    live = (flags & np.uint32(LIVE) != 0) & (flags != POISON_FLAGS)
    heads = _section_heads(state, section, at).view(np.int8)
    offline = state.memmap.encoding.where(section.pages.type[at], PageType.OFFLINE)
    classes = choose(flags, offline=offline, free=inside_free_blocks(heads))
    classes[~live] = PageClass.ABSENT
    return classes


def inside_free_blocks(heads: npt.NDArray[np.int8]) -> Mask:
    """Return which pages lie in a free block, given the order at each head (-1: no head)."""
    starts = np.flatnonzero(heads >= 0)
    sizes = 1 << np.minimum(heads[starts], MAX_PAGE_ORDER).astype(np.int64)
    ends = np.minimum(starts + sizes, len(heads))
    edges = np.zeros(len(heads) + 1, np.int64)
    edges[starts] += 1
    np.subtract.at(edges, ends, 1)
    inside: Mask = np.cumsum(edges[:-1]) > 0
    return inside


def choose(flags: npt.NDArray[Any], *, offline: Mask, free: Mask) -> Classes:
    """Return classes of live pages; where several hold, what is named last below wins."""
    classes = np.full(len(flags), PageClass.ALLOCATED, np.uint8)
    reserved = flags & int(PageFlag.RESERVED) != 0
    classes[offline] = PageClass.OFFLINE
    classes[free] = PageClass.FREE
    classes[free & offline] = PageClass.FREE_OFFLINE
    classes[reserved] = PageClass.RESERVED
    classes[reserved & offline] = PageClass.RESERVED_OFFLINE
    classes[flags & int(PageFlag.VMEMMAP_SELF_HOSTED) != 0] = PageClass.SELF_HOSTED
    classes[flags & int(PageFlag.HWPOISON) != 0] = PageClass.POISONED
    return classes


def class_counts(classes: Classes) -> dict[PageClass, int]:
    """Return how many pages each class has, in the order of the classes; those without are not in."""
    counts = np.bincount(classes.ravel().astype(np.intp), minlength=len(CLASSES)).tolist()
    return {kind: counts[kind] for kind in CLASSES if counts[kind]}


def letters_of(classes: Classes) -> str:
    """Return the letters of the two most frequent classes, the first first; ``+``: there are more."""
    counts = class_counts(classes)
    found = sorted(counts, key=lambda kind: -counts[kind])
    return "".join(kind.letter for kind in found[:2]) + "+" * (len(found) > 2)  # noqa: PLR2004 (two letters)


def pageblock_letters(classes: Classes) -> list[str]:
    """Return what :func:`letters_of` says of each pageblock."""
    return [_letters_of_tile(tile.tobytes()) for tile in classes.reshape(-1, pageblock_nr_pages)]


@lru_cache(maxsize=2048)
def _letters_of_tile(kinds: bytes) -> str:
    """Return the letters of one pageblock. From one moment to the next most are the same."""
    return letters_of(np.frombuffer(kinds, np.uint8))
