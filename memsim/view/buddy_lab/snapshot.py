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
from memsim.view.model.page_class import class_counts, first_ones, page_classes, runs
from memsim.view.model.text import counts_phrase, migratetype_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.view.buddy_lab.script import BuddyScript, Outcome

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
        return " ".join(first_ones([f"{pfn:#x}" for pfn in self.pfns], SHOWN)) or "(empty)"


@dataclass(frozen=True)
class BuddySight:
    """The zone after a line of the script."""

    outcome: Outcome
    heading: str
    counters: str
    free_lists: tuple[FreeList, ...]
    pageblocks: tuple[str, ...]
    """A line for each run of pageblocks that are alike."""
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
        tuple(pageblock_lines(script)),
        _allocated(script.allocated),
        _check(script),
        tuple(script.lines),
    )


def pageblock_lines(script: BuddyScript) -> Iterator[str]:
    """Yield a line for each run of pageblocks that are alike in type and pages."""
    state = script.machine.kernel.state
    pages = page_classes(state, FIRST_PFN, script.nr_pages).reshape(-1, pageblock_nr_pages)
    pfns = range(FIRST_PFN, FIRST_PFN + script.nr_pages, pageblock_nr_pages)
    told = [
        f"{migratetype_name(state.memmap.migratetype(pfn))}: {counts_phrase(class_counts(classes))}"
        for pfn, classes in zip(pfns, pages, strict=True)
    ]
    for sentence, at, length in runs(told):
        last = f" to {pfns[at + length - 1]:#x}, {length} of them" if length > 1 else ""
        yield f"{pfns[at]:#x}{last}  {sentence}{' each' if length > 1 else ''}"


def _allocated(allocated: dict[int, tuple[int, str]]) -> str:
    """Return the allocated blocks in runs of neighbours of one kind."""
    found: list[str] = []
    entries = [(pfn, order, kind) for pfn, (order, kind) in sorted(allocated.items())]

    def run_key(numbered: tuple[int, tuple[int, int, str]]) -> tuple[int, int, str]:
        index, (pfn, order, kind) = numbered
        return (pfn >> order) - index, order, kind

    for (_, order, kind), run in groupby(enumerate(entries), run_key):
        pfns = [pfn for _, (pfn, _, _) in run]
        where = f"{pfns[0]:#x}" if len(pfns) == 1 else f"{len(pfns)} from {pfns[0]:#x} to {pfns[-1]:#x}"
        found.append(f"{where} (order {order}, {kind})")
    return ", ".join(first_ones(found, 2 * SHOWN)) or "none"


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
        happened = [f"  {line}" for line in sight.outcome.happened]
        parts.insert(0, "\n".join(["What happened on the free lists:", *happened]))
    rows = [
        f"{'*' if free.changed else ' '} order {free.order:>2}  {free.migratetype.ljust(11)}  {free.blocks}"
        for free in sight.free_lists
    ]
    parts.append(
        "\n".join(["Free lists, the block that is taken next first (*: changed)", *(rows or ["  none"])])
    )
    parts.append("\n".join(["Pageblocks", *(f"  {line}" for line in sight.pageblocks)]))
    parts.append(f"Allocated: {sight.allocated}\nInvariants: {sight.check}")
    parts.append(f"Script: {'; '.join(sight.lines) or 'empty'}")
    return "\n\n".join(parts)


# ---- HTML ------------------------------------------------------------------------------------------


def sight_html(sight: BuddySight) -> str:
    """Return what happened on the free lists, and broken invariants."""
    items = "".join(f"<li>{escape(line)}</li>" for line in sight.outcome.happened)
    story = f'<ol style="columns: 28em; margin: 2px 0">{items}</ol>' if items else "<p>Nothing.</p>"
    broken = "" if sight.check.startswith("all hold") else f"<p><b>✗ {escape(sight.check)}</b></p>"
    return f"<div><b>What happened on the free lists</b>{story}{broken}</div>"
