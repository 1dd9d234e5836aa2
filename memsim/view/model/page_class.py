"""The class of every page of a block: the few kinds of page that a reader tells apart at a glance.

Each class has a letter, a plain name, a colour (Okabe and Ito's, which colour-blind readers can tell
apart) and a pattern, so that colour is never the only sign. Classes are those of a simulated state, or of a
recording of a real kernel; a memory block has the class of most of its pages.

Left out: flags, refcounts and orders beyond what the class needs; :mod:`memsim.view.model.text` tells them.
Whether a recording agrees with a simulated state is the business of :mod:`memsim.recordings.compare`.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    pageblock_nr_pages,
)
from memsim.linux.include.page_flags import LIVE, PageFlag, PageType
from memsim.recordings.schema import runs_of
from memsim.state.section import POISON_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from memsim.recordings.observation import Observation
    from memsim.state.section import Pattern, Section
    from memsim.state.state import State

    Mask = npt.NDArray[np.bool_]
    Classes = npt.NDArray[np.uint8]
    Heads = npt.NDArray[np.int8]
    Kinds = npt.NDArray[np.uint8]

T = TypeVar("T")


class PageClass(IntEnum):
    """The kind of page at a pfn: letter, plain name, colour, pattern, and what makes a page one of it.

    >>> PageClass.RESERVED.letter, PageClass.RESERVED.label, PageClass.RESERVED.pattern
    ('R', 'reserved', 'rising stripes')
    """

    letter: str
    label: str
    colour: str
    pattern: str
    meaning: str

    def __new__(cls, number: int, *look: str) -> Self:
        """Make a number of the class, with how its pages are shown."""
        kind = int.__new__(cls, number)
        kind._value_ = number
        kind.letter, kind.label, kind.colour, kind.pattern, kind.meaning = look
        return kind

    ABSENT = 0, "·", "not there", "#FFFFFF", "few specks", "no struct page, or one that is not set up"
    RESERVED = 1, "R", "reserved", "#E69F00", "rising stripes", "PG_reserved: withheld from the buddy"
    OFFLINE = 2, "O", "Offline", "#56B4E9", "dots", "type Offline: withheld from the buddy"
    FREE = 3, "B", "free", "#009E73", "plain", "in a free block of the buddy"
    ALLOCATED = 4, "A", "allocated", "#0072B2", "level stripes", "in use, or none of the others"
    SELF_HOSTED = (
        5,
        "S",
        "self-hosted vmemmap",
        "#F0E442",
        "grid",
        "holds struct pages of its own memory block",
    )
    POISONED = 6, "P", "hwpoison", "#D55E00", "crosses", "PG_hwpoison: broken memory"
    RESERVED_OFFLINE = (
        7,
        "X",
        "reserved and Offline",
        "#CC79A7",
        "falling stripes",
        "both, as drivers had it before the patch",
    )
    FREE_OFFLINE = (
        8,
        "F",
        "free but still Offline",
        "#000000",
        "upright stripes",
        "in a free block and yet of type Offline: half a patch",
    )
    UNTOLD = 9, "*", "free, allocated or per-cpu", "#999999", "chessboard", "the recording does not say which"


CLASSES = tuple(PageClass)


def page_classes(state: State, pfn: int, nr_pages: int) -> Classes:
    """Return the class of every page of a range (``PageClass`` values as u8).

    Reads struct pages of offline sections too, as a debugger would: what is live there is shown.
    """
    return _whole_chunks(state, pfn, nr_pages, _section_classes)


def free_heads(state: State, pfn: int, nr_pages: int) -> Heads:
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


def inside_free_blocks(heads: Heads) -> Mask:
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


# ---- recordings ------------------------------------------------------------------------------------

_UNDEFINED = 0xFF
_FLAGS = {
    "reserved": PageFlag.RESERVED,
    "self_hosted": PageFlag.VMEMMAP_SELF_HOSTED,
    "hwpoison": PageFlag.HWPOISON,
}


def recorded_map(
    observation: Observation, probe: dict[str, Any], block_id: int
) -> tuple[Classes, Heads] | None:
    """Return the class of each page of a recorded block, and the orders at heads; None: not recorded."""
    seen = probe.get("blocks", {}).get(str(block_id), {})
    if "pages" not in seen:
        return None
    recorded = runs_of(seen["pages"], observation.name)
    counts = [count for count, _ in recorded]
    legend = [_legend_entry(observation.states[key]) for _, key in recorded]
    flags, offline, heads, says = (
        np.repeat(np.array(column, kind), counts)
        for column, kind in zip(zip(*legend, strict=True), (np.uint32, bool, np.int8, np.uint8), strict=True)
    )
    classes = choose(flags, offline=offline, free=inside_free_blocks(heads))
    classes[says != 0] = says[says != 0]
    classes[says == _UNDEFINED] = PageClass.ABSENT
    return classes, heads


def _legend_entry(state: dict[str, Any]) -> tuple[int, bool, int, int]:
    """Return a recorded kind of page: flags, Offline, order at a head, and the class if these do not say."""
    if state.get("undefined"):
        return 0, False, -1, _UNDEFINED
    if state.get("managed"):
        return 0, False, -1, int(PageClass.UNTOLD)
    flags = sum(int(flag) for name, flag in _FLAGS.items() if name in state["flags"])
    order = state.get("order", 0) if state["type"] == "buddy" else -1
    return flags, state["type"] == "offline", order, 0


# ---- memory blocks ---------------------------------------------------------------------------------

NOT_ONLINE = len(CLASSES)
"""Kind of a block that sysfs shows and of which no struct page is set up."""
MIXED = 0x80
"""Added to the kind of a block whose pages are not all alike."""
NOT_ONLINE_LETTER = "N"
LEGEND = "the letter is that of most initialised pages; +: other pages, too; N: none initialised; ·: no block"


def block_kinds(state: State, blocks: Sequence[int], block_pages: int) -> Kinds:
    """Return the kind of each block: ``PageClass`` or NOT_ONLINE, plus MIXED if its pages are not alike."""
    known: dict[Pattern, dict[int, int]] = {}
    return np.array([_kind(state, block, block_pages, known) for block in blocks], np.uint8)


def _kind(state: State, block: int, block_pages: int, known: dict[Pattern, dict[int, int]]) -> int:
    counts: Counter[int] = Counter()
    first = block * block_pages // PAGES_PER_SECTION
    for nr in range(first, first + block_pages // PAGES_PER_SECTION):
        counts.update(_section_counts(state, nr, known))
    del counts[PageClass.ABSENT]
    if not counts:
        return NOT_ONLINE if block in state.blocks else PageClass.ABSENT
    most = max(counts, key=lambda kind: (counts[kind], -kind))
    return most | (MIXED if counts[most] < block_pages else 0)


def _section_counts(state: State, nr: int, known: dict[Pattern, dict[int, int]]) -> dict[int, int]:
    """Return how many pages of a section have each class; sections of one pattern are looked at once."""
    section = state.memmap.sections.get(nr)
    if section is None:
        return {}
    pattern = section.pages.pattern
    if pattern is not None and pattern in known:
        return known[pattern]
    classes = page_classes(state, nr * PAGES_PER_SECTION, PAGES_PER_SECTION)
    counts = {int(kind): number for kind, number in class_counts(classes).items()}
    if pattern is not None:
        known[pattern] = counts
    return counts


def kind_letters(kind: int) -> str:
    """Return the letter of a block's kind, with ``+`` if its pages are not all alike.

    >>> kind_letters(PageClass.FREE | MIXED), kind_letters(NOT_ONLINE)
    ('B+', 'N')
    """
    plain = kind & ~MIXED
    letter = NOT_ONLINE_LETTER if plain == NOT_ONLINE else PageClass(plain).letter
    return letter + "+" * bool(kind & MIXED)


def machine_sentence(blocks: Sequence[int], kinds: Kinds, longest: int = 12) -> str:
    """Return which blocks are what, in runs; cut after ``longest`` runs."""
    shown = [f"{ids} {kind_letters(kind)}" for ids, kind in stretches(blocks, kinds)]
    return ", ".join(first_ones(shown, longest, "more runs"))


def stretches(blocks: Sequence[int], kinds: Kinds) -> list[tuple[str, int]]:
    """Return each stretch of blocks of one kind without a hole: its ids as text, and the kind."""
    ids = np.asarray(blocks)
    starts = np.flatnonzero((np.diff(ids, prepend=-2) != 1) | (np.diff(kinds, prepend=kinds[:1]) != 0))
    ends = [*(starts[1:] - 1), len(ids) - 1]
    spans = zip(ids[starts].tolist(), ids[ends].tolist(), kinds[starts].tolist(), strict=True)
    return [(f"{first}-{last}" if last > first else f"{first}", kind) for first, last, kind in spans]


# ---- runs ------------------------------------------------------------------------------------------


def runs(items: Iterable[T]) -> Iterator[tuple[T, int, int]]:
    """Yield each run of equal neighbours: what they are, where it starts, how many there are.

    >>> list(runs("BBBR"))
    [('B', 0, 3), ('R', 3, 1)]
    """
    at = 0
    for item, equal in groupby(items):
        length = len(list(equal))
        yield item, at, length
        at += length


def first_ones(items: Sequence[str], most: int, rest: str = "more") -> list[str]:
    """Return the first of some texts, and how many more there are.

    >>> first_ones(["a", "b", "c"], 2), first_ones(["a", "b"], 2)
    (['a', 'b', 'and 1 more'], ['a', 'b'])
    """
    return [*items[:most], *([f"and {len(items) - most} {rest}"] if len(items) > most else [])]
