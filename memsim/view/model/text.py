"""States in words and small tables: what every figure says, for readers, screen readers and terminals.

Needs numpy and memsim alone: the command line uses it. What :mod:`memsim.view.model.page_class`,
:mod:`~memsim.view.model.recorded` and :mod:`~memsim.view.model.tables` have for callers is here, too.

Left out: single struct pages (``memsim show --pfn``) and per-cpu lists.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import hex_range, pfn_to_section_nr, section_nr_to_pfn
from memsim.view.model.page_class import PageClass, class_counts, free_heads, page_classes, pageblock_letters
from memsim.view.model.recorded import recorded_classes
from memsim.view.model.tables import counters_table, free_lists_table, migratetype_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from memsim.state.state import State
    from memsim.view.model.page_class import Classes

__all__ = [
    "PageClass",
    "block_sentence",
    "class_counts",
    "counters_table",
    "describe_state",
    "free_lists_table",
    "hotplugged_blocks",
    "map_sentence",
    "page_classes",
    "recorded_classes",
]

LOG_LINES = 8


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


def _free_blocks_part(heads: npt.NDArray[np.int8]) -> list[str]:
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
    runs: list[str] = []
    at = 0
    for letters, equal in groupby(pageblock_letters(classes)):
        end = at + len(list(equal)) - 1
        runs.append(f"{at}-{end} {letters}" if end > at else f"{at} {letters}")
        at = end + 1
    more = [f"and {len(runs) - longest} more runs"] if len(runs) > longest else []
    return ", ".join(runs[:longest] + more)


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
