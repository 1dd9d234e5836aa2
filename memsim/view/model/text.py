"""States in words and small tables: what every figure says, for readers, screen readers and terminals.

Needs numpy and memsim alone: the command line uses it. :class:`Numbers` is what every view shows of counters
and free lists, in text and in HTML, so these agree by construction.

Left out: single struct pages (``memsim show --pfn``), per-cpu lists, watermarks, and counters that memory
hotplug does not move.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import hex_range, pfn_to_section_nr, section_nr_to_pfn
from memsim.linux.include.mmzone import MigrateType
from memsim.view.model.page_class import (
    PageClass,
    class_counts,
    first_ones,
    free_heads,
    page_classes,
    pageblock_letters,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from memsim.state.state import State
    from memsim.view.model.page_class import Classes, Heads

LOG_LINES = 8
SIDES = ("before", "after")


# ---- one block -------------------------------------------------------------------------------------


def block_sentence(state: State, block_id: int, block_pages: int) -> str:
    """Return in a few sentences what a memory block is like and what its pages are."""
    pfn = block_id * block_pages
    classes = page_classes(state, pfn, block_pages)
    sections = [
        state.memmap.sections.get(nr)
        for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + block_pages))
    ]
    where = f"Block {block_id} {hex_range(pfn, block_pages)}"
    here = [section for section in sections if section is not None]
    if not here:
        return f"{where}: no memory block, no struct pages."
    online = _of_sections([section.online for section in here])
    parts = [f"{where}: sysfs state {state.blocks.get(block_id, 'not registered')}, {online}."]
    parts.append(f"{_pages_part(state, pfn, classes)}.")
    if classes.any():
        parts += _free_blocks_part(free_heads(state, pfn, block_pages))
        parts.append(f"{_pageblocks_part([section.pageblocks for section in here])}.")
    return " ".join(parts)


def _of_sections(online: list[bool]) -> str:
    if all(online) or not any(online):
        word = "online" if online[0] else "not online"
        return f"section {word}" if len(online) == 1 else f"all {len(online)} sections {word}"
    return f"{sum(online)} of {len(online)} sections online"


def counts_phrase(counts: Mapping[PageClass, int], extra: Mapping[PageClass, str] | None = None) -> str:
    """Return class counts in words, such as ``2048 pages free (B), 30720 pages Offline (O)``."""
    extra = extra or {}
    return ", ".join(
        f"{number} {plural(number, 'page')} {_label(kind, extra.get(kind, ''))} "
        f"({kind.letter}{extra.get(kind, '')})"
        for kind, number in counts.items()
    )


def _label(kind: PageClass, extra: str) -> str:
    """Return the name of a class; without a reference "allocated" would be wrong.

    Such pages were taken off the free lists while their block goes offline, or are on a per-cpu list, or are
    tail pages of a larger page.
    """
    if kind is PageClass.ALLOCATED and extra == NO_REFERENCE:
        return "on no free list"
    return kind.label


NO_REFERENCE = ", refcount 0"
NO_BLOCK = "No memory block is hot-added now."


def plural(number: int, noun: str) -> str:
    """Return ``noun``, with an s unless there is one of it."""
    return noun if number == 1 else f"{noun}s"


def _pages_part(state: State, pfn: int, classes: Classes) -> str:
    refcounts = {}
    if state.memmap.pfn_valid(pfn + len(classes) - 1) and classes.any():
        spans = state.memmap.spans(pfn, len(classes))
        values = np.concatenate([section.pages.refcount[at] for section, at in spans])
        refcounts = {
            kind: uniform_refcount(values[classes == kind]) for kind in class_counts(classes) if kind
        }
    return counts_phrase(class_counts(classes), refcounts)


def uniform_refcount(values: npt.NDArray[np.int16]) -> str:
    """Return ``, refcount n`` if all pages have the same, else nothing."""
    low, high = values.min(), values.max()
    return f", refcount {low}" if low == high else ""


def _free_blocks_part(heads: Heads) -> list[str]:
    orders = np.bincount(heads[heads >= 0].astype(np.intp))
    if not orders.any():
        return []
    found = [f"{orders[order]} of order {order}" for order in np.flatnonzero(orders)[::-1]]
    return [f"Free blocks: {', '.join(found)}."]


def _pageblocks_part(pageblocks: Iterable[bytearray]) -> str:
    counts = np.bincount(np.frombuffer(b"".join(pageblocks), np.uint8).astype(np.intp))
    found = [f"{counts[kind]} {migratetype_name(int(kind))}" for kind in np.flatnonzero(counts)]
    return f"Pageblocks: {', '.join(found)}"


def map_sentence(classes: Classes) -> str:
    """Return what a page map shows: pages of each class, and which pageblocks have which letters."""
    return f"{counts_phrase(class_counts(classes))}; pageblocks {pageblock_runs(classes)}"


def pageblock_runs(classes: Classes, longest: int = 16) -> str:
    """Return the letters of pageblocks in runs, such as ``0-3 B, 4-63 R``; cut after ``longest`` runs."""
    shown = [
        f"{at}-{at + length - 1} {letters}" if length > 1 else f"{at} {letters}"
        for letters, at, length in runs(pageblock_letters(classes))
    ]
    return ", ".join(first_ones(shown, longest, "more runs"))


@dataclass(frozen=True)
class PageMap:
    """The pages of a block: the class of each, the orders at the heads of free blocks."""

    classes: Classes
    heads: Heads

    @classmethod
    def of(cls, state: State, pfn: int, nr_pages: int) -> PageMap:
        """Take down the map of a range."""
        return cls(page_classes(state, pfn, nr_pages), free_heads(state, pfn, nr_pages))

    @cached_property
    def sentence(self) -> str:
        """What the map shows, in words."""
        return map_sentence(self.classes)


def side_title(name: str) -> str:
    """Return which kernel a side is, in words: the patch whole, not at all, or some of its hunks.

    >>> side_title("before"), side_title("without MM_INIT")
    ('Before the patch', 'Without MM_INIT')
    """
    known = {"before": "Before the patch", "after": "After the patch"}
    if name.startswith("without "):
        return f"Without {name.removeprefix('without ')}"
    return known.get(name, f"With {name} only")


# ---- which blocks ----------------------------------------------------------------------------------


def hotplugged_blocks(state: State, block_pages: int) -> list[int]:
    """Return the memory blocks that are not boot memory."""
    early = {section_nr_to_pfn(nr) // block_pages for nr, part in state.memmap.sections.items() if part.early}
    return [block for block in sorted(state.blocks) if block not in early]


# ---- everything ------------------------------------------------------------------------------------


def describe_state(state: State, block_ids: Iterable[int], block_pages: int) -> str:
    """Return all that is worth knowing of one state: blocks, counters, free lists, end of the log."""
    parts = [block_sentence(state, block_id, block_pages) for block_id in block_ids]
    parts.append(f"Zone counters, in pages\n{counters_table({'now': state})}")
    parts += [
        f"Free lists of zone {zone.name}, in blocks\n{free_lists_table({'now': state}, zone.name)}"
        for zone in state.zones
        if zone.spanned_pages
    ]
    if state.log:
        parts.append("\n".join([f"Kernel log, last {LOG_LINES} lines at most", *log_tail(state)]))
    return "\n\n".join(parts)


def log_tail(state: State, lines: int = LOG_LINES) -> list[str]:
    """Return the last lines that the kernel printed, indented."""
    return [f"  {line}" for line in state.log[-lines:]]


# ---- counters and free lists -----------------------------------------------------------------------

COUNTERS = {
    "start_pfn": "zone_start_pfn",
    "spanned": "spanned_pages",
    "present": "present_pages",
    "managed": "managed_pages",
    "nr_isolate_pageblock": "nr_isolate_pageblock",
    "nr_free": "nr_free_pages",
}
"""Name shown -> attribute of Zone. The first four are what /proc/zoneinfo calls them."""

CHANGED = "*"


@dataclass(frozen=True)
class Row:
    """One line of a table: two words, a number for each state, and the numbers before."""

    words: tuple[str, str]
    numbers: tuple[int, ...]
    old: tuple[int, ...]

    @property
    def shown(self) -> list[str]:
        """The numbers as text, pfns in hexadecimal."""
        in_hex = self.words[1] == "start_pfn"
        return [f"{number:#x}" if in_hex else str(number) for number in self.numbers]

    @property
    def changed(self) -> list[bool]:
        """Which of the numbers are not what they were."""
        return [now != before for now, before in zip(self.numbers, self.old, strict=True)]

    @property
    def differs(self) -> bool:
        """Whether the states have different numbers."""
        return len(set(self.numbers)) > 1


@dataclass(frozen=True)
class Numbers:
    """Counters and free lists of one or more states, taken down: later moments do not change them."""

    names: tuple[str, ...]
    counters: dict[tuple[str, str], tuple[int, ...]]
    """(zone, counter) -> a number for each state."""
    free: dict[tuple[str, int, int], tuple[int, ...]]
    """(zone, order, migratetype) -> free blocks in each state, the largest order first; no zeros."""

    @classmethod
    def of(cls, columns: Mapping[str, State]) -> Numbers:
        """Take down the numbers of states, each under its name."""
        states = list(columns.values())
        counters: dict[tuple[str, str], tuple[int, ...]] = {}
        free: dict[tuple[str, int, int], tuple[int, ...]] = {}
        for zones in zip(*(state.zones for state in states), strict=True):
            zone = zones[0].name
            for name, attribute in COUNTERS.items():
                counters[zone, name] = tuple(getattr(zone, attribute) for zone in zones)
            for order in reversed(range(len(zones[0].free_area))):
                areas = [zone.free_area[order] for zone in zones]
                for migratetype in range(len(MigrateType)):
                    counts = tuple(len(area[migratetype]) for area in areas)
                    if any(counts):
                        free[zone, order, migratetype] = counts
        counters["all", "totalram"] = tuple(state.totalram_pages for state in states)
        return cls(tuple(columns), counters, free)

    def used_zones(self) -> list[str]:
        """Return the zones that span any page in any of the states."""
        return [zone for (zone, name), spans in self.counters.items() if name == "spanned" and any(spans)]

    def counter_rows(self, previous: Numbers | None = None) -> Iterator[Row]:
        """Yield the counters of used zones, and the system's total."""
        used = {*self.used_zones(), "all"}
        for key, numbers in self.counters.items():
            if key[0] in used:
                yield Row(key, numbers, previous.counters[key] if previous else numbers)

    def news(self, previous: Numbers | None = None) -> list[Row]:
        """Return the counters that have changed, and those that differ."""
        return [row for row in self.counter_rows(previous) if any(row.changed) or row.differs]

    def free_rows(self, zone: str, previous: Numbers | None = None) -> Iterator[Row]:
        """Yield the free lists of a zone that have blocks now, or have just lost their last."""
        earlier = previous.free if previous else self.free
        zeros = (0,) * len(self.names)
        for key in sorted({*self.free, *earlier}, key=lambda key: (-key[1], key[2])):
            if key[0] == zone:
                words = (str(key[1]), migratetype_name(key[2]))
                yield Row(words, self.free.get(key, zeros), earlier.get(key, zeros))


def migratetype_name(migratetype: int) -> str:
    """Return the name of a migratetype in lower case.

    >>> migratetype_name(1)
    'movable'
    """
    return MigrateType(migratetype).name.lower()


def counters_table(columns: Mapping[str, State]) -> str:
    """Return the zone counters of one or more states as aligned text."""
    return counters_text(Numbers.of(columns))


def counters_text(numbers: Numbers, previous: Numbers | None = None) -> str:
    """Return what :func:`counters_table` does, with a ``*`` where a number is not the ``previous`` one."""
    return plain_table(["zone", "counter", *numbers.names], list(numbers.counter_rows(previous)))


def free_lists_table(columns: Mapping[str, State], zone_name: str) -> str:
    """Return how many blocks are on each free list of a zone, for one or more states.

    Lists that are empty in all of them are left out.

    Raises
    ------
    ValueError
        There is no zone of this name.
    """
    return free_lists_text(Numbers.of(columns), zone_name)


def free_lists_text(numbers: Numbers, zone_name: str, previous: Numbers | None = None) -> str:
    """Return what :func:`free_lists_table` does, with marks as in :func:`counters_text`."""
    if (zone_name, "managed") not in numbers.counters:
        known = ", ".join(zone for zone, name in numbers.counters if name == "managed")
        msg = f"there is no zone {zone_name!r}; the zones are {known}"
        raise ValueError(msg)
    rows = list(numbers.free_rows(zone_name, previous))
    if not rows:
        return f"zone {zone_name} has no free blocks"
    return plain_table(["order", "migratetype", *numbers.names], rows)


def plain_table(headings: Sequence[str], rows: Sequence[Row]) -> str:
    """Return rows as aligned text, two columns of words and the numbers, with a mark where changed."""
    # Behind each number there is room for the mark, so behind each heading, too.
    lines = [[*headings[:2], *(f"{heading} " for heading in headings[2:])]]
    for row in rows:
        marks = [CHANGED if changed else " " for changed in row.changed]
        lines.append([*row.words, *map("".join, zip(row.shown, marks, strict=True))])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: list[str], widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
    cells += [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
    return "  ".join(cells).rstrip()
