"""The contents of the buddy lab: free lists with their pfns, pageblocks, allocated blocks.

Text and HTML are made from the same :class:`BuddySight`, which holds nothing of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from memsim.linux.include.layout import NR_PAGE_ORDERS, hex_range, pageblock_nr_pages
from memsim.linux.include.mmzone import MIGRATE_TYPES
from memsim.view.buddy_lab.script import FIRST_PFN
from memsim.view.model.page_class import class_counts, free_heads, page_classes
from memsim.view.model.text import counts_phrase, migratetype_name

if TYPE_CHECKING:
    from memsim.view.buddy_lab.script import BuddyScript, Outcome
    from memsim.view.model.page_class import Classes, Heads

SHOWN = 8
"""Pfns of a free list that are shown at most."""


@dataclass(frozen=True)
class FreeList:
    """A free list that is not empty, or just became so: its blocks, the next to be taken first."""

    order: int
    migratetype: str
    pfns: tuple[int, ...]
    changed: bool

    @property
    def blocks(self) -> str:
        """The first pfns, and how many more there are."""
        shown = " ".join(f"{pfn:#x}" for pfn in self.pfns[:SHOWN])
        more = len(self.pfns) - SHOWN
        return (shown or "(empty)") + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Pageblock:
    """A pageblock: where, of which type, and its pages."""

    pfn: int
    migratetype: str
    classes: Classes
    heads: Heads

    @property
    def sentence(self) -> str:
        """Type and pages in words."""
        return f"{self.migratetype}: {counts_phrase(class_counts(self.classes))}"


@dataclass(frozen=True)
class BuddySight:
    """The zone after a line of the script."""

    outcome: Outcome
    heading: str
    counters: str
    free_lists: tuple[FreeList, ...]
    pageblocks: tuple[Pageblock, ...]
    allocated: str
    check: str
    lines: tuple[str, ...]


Lists = dict[tuple[int, int], tuple[int, ...]]


def lists_of(script: BuddyScript) -> Lists:
    """Return the pfns of each free list that is not empty, the head of the list first."""
    area = script.machine.zone("Normal").free_area
    return {
        (order, kind): tuple(reversed(area[order][kind]))
        for order in reversed(range(NR_PAGE_ORDERS))
        for kind in range(MIGRATE_TYPES)
        if area[order][kind]
    }


def look(script: BuddyScript, before: Lists | None = None) -> BuddySight:
    """Return what the lab shows; ``before`` holds the lists of the previous moment, to mark changes."""
    now = lists_of(script)
    before = now if before is None else before
    keys = sorted({*now, *before}, key=lambda key: (-key[0], key[1]))
    lists = [
        FreeList(
            order,
            migratetype_name(kind),
            now.get((order, kind), ()),
            now.get((order, kind)) != before.get((order, kind)),
        )
        for order, kind in keys
    ]
    zone = script.machine.zone("Normal")
    counters = (
        f"managed {zone.managed_pages}, nr_free {zone.nr_free_pages}, "
        f"nr_isolate_pageblock {zone.nr_isolate_pageblock}"
    )
    where = hex_range(FIRST_PFN, script.nr_pages)
    return BuddySight(
        script.outcome,
        f"{script.size_mib} MiB of zone Normal {where}, Linux {script.release}",
        counters,
        tuple(lists),
        tuple(_pageblocks(script)),
        _allocated(script.allocated),
        _check(script),
        tuple(script.lines),
    )


def _pageblocks(script: BuddyScript) -> list[Pageblock]:
    state = script.machine.kernel.state
    classes = page_classes(state, FIRST_PFN, script.nr_pages)
    heads = free_heads(state, FIRST_PFN, script.nr_pages)
    return [
        Pageblock(
            FIRST_PFN + at,
            migratetype_name(state.memmap.migratetype(FIRST_PFN + at)),
            classes[at : at + pageblock_nr_pages],
            heads[at : at + pageblock_nr_pages],
        )
        for at in range(0, script.nr_pages, pageblock_nr_pages)
    ]


def _allocated(allocated: dict[int, tuple[int, str]]) -> str:
    """Return the allocated blocks in runs of neighbours of one kind."""
    runs: list[str] = []
    entries = [(pfn, order, kind) for pfn, (order, kind) in sorted(allocated.items())]

    def run_key(numbered: tuple[int, tuple[int, int, str]]) -> tuple[int, int, str]:
        index, (pfn, order, kind) = numbered
        return (pfn >> order) - index, order, kind

    for (_, order, kind), run in groupby(enumerate(entries), run_key):
        pfns = [pfn for _, (pfn, _, _) in run]
        where = f"{pfns[0]:#x}" if len(pfns) == 1 else f"{len(pfns)} from {pfns[0]:#x} to {pfns[-1]:#x}"
        runs.append(f"{where} (order {order}, {kind})")
    more = len(runs) - 2 * SHOWN
    return ", ".join(runs[: 2 * SHOWN]) + (f", and {more} more" if more > 0 else "") or "none"


def _check(script: BuddyScript) -> str:
    """Return which invariants are broken. Isolation is an operation in flight: it leaves blocks unmerged."""
    violations = script.machine.check()
    if not script.machine.zone("Normal").nr_isolate_pageblock:
        return "; ".join(map(str, violations)) or "all hold"
    rest = [violation for violation in violations if violation.name != "unmerged"]
    return "; ".join(map(str, rest)) or "all hold (that of merging does not count during isolation)"


# ---- text ------------------------------------------------------------------------------------------


def sight_text(sight: BuddySight) -> str:
    """Return everything as text."""
    parts = [f"{sight.heading}\nCounters of the zone, in pages: {sight.counters}"]
    if sight.outcome.happened:
        parts.insert(
            0,
            "\n".join(
                ["What happened on the free lists:", *(f"  {line}" for line in sight.outcome.happened)]
            ),
        )
    rows = [
        f"{'*' if free.changed else ' '} order {free.order:>2}  {free.migratetype.ljust(11)}  {free.blocks}"
        for free in sight.free_lists
    ]
    parts.append(
        "\n".join(["Free lists, the block that is taken next first (*: changed)", *(rows or ["  none"])])
    )
    parts.append("\n".join(["Pageblocks", *(f"  {line}" for line in pageblock_lines(sight.pageblocks))]))
    parts.append(f"Allocated: {sight.allocated}\nInvariants: {sight.check}")
    parts.append(f"Script: {'; '.join(sight.lines) or 'empty'}")
    return "\n\n".join(parts)


def pageblock_lines(pageblocks: tuple[Pageblock, ...]) -> list[str]:
    """Return a line for each run of pageblocks that are alike."""
    lines = []
    for sentence, run in groupby(pageblocks, lambda block: block.sentence):
        pfns = [block.pfn for block in run]
        where = f"{pfns[0]:#x}" if len(pfns) == 1 else f"{pfns[0]:#x} to {pfns[-1]:#x}, {len(pfns)} of them"
        lines.append(f"{where}  {sentence}{' each' if len(pfns) > 1 else ''}")
    return lines


# ---- HTML ------------------------------------------------------------------------------------------


def sight_html(sight: BuddySight) -> str:
    """Return what happened on the free lists, and broken invariants."""
    items = "".join(f"<li>{escape(line)}</li>" for line in sight.outcome.happened)
    story = f'<ol style="columns: 28em; margin: 2px 0">{items}</ol>' if items else "<p>Nothing.</p>"
    broken = "" if sight.check.startswith("all hold") else f"<p><b>✗ {escape(sight.check)}</b></p>"
    return f"<div><b>What happened on the free lists</b>{story}{broken}</div>"
