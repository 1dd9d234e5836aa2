"""Shortcuts that allocate and free many single pages with numpy, when the result is identical.

Single pages that are allocated one after the other come from the head of the smallest list, in ascending
order, until that block is used up: so the whole block can be taken. Pages that are freed one after the other,
and together are an aligned block, merge into that block, whatever lies around it and in whatever order they
come: so the block can be freed.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import KernelError
from memsim.fast.page_alloc import any_flag
from memsim.fast.registry import frees_plainly, shortcut
from memsim.linux.include.layout import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PAGES_PER_SECTION,
    count_trailing_zeros,
    pageblock_order,
)
from memsim.linux.include.page_flags import ALL_FLAGS, NO_TYPE
from memsim.linux.mm.page_alloc import api, contig
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages
from memsim.state.section import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel

    Pfns = npt.NDArray[np.int64]
    Range = tuple[int, int]
    """(first pfn, pages)."""

SMALL_ORDER = 3
"""Below this number of pages, numpy costs more than it saves."""


# ---- allocating ------------------------------------------------------------------------------------


@shortcut(api.alloc_pages_bulk, frees_plainly)
def alloc_pages_bulk(kernel: Kernel, nr_pages: int, migratetype: int) -> list[int]:
    """Allocate single pages: see :func:`memsim.linux.mm.page_alloc.api.alloc_pages_bulk`."""
    pfns: list[int] = take_single_pages(kernel, nr_pages, migratetype).tolist()
    return pfns


def take_single_pages(kernel: Kernel, nr_pages: int, migratetype: int) -> Pfns:
    """Allocate up to ``nr_pages`` single pages; fewer if memory runs out.

    For a kernel that may take the shortcut ``alloc_pages_bulk``. The pfns come as an array of int64.
    """
    nr_pages = max(0, min(nr_pages, sum(zone.nr_free_pages for zone in kernel.zones)))
    pfns, done = np.empty(nr_pages, np.int64), 0
    while done < nr_pages:
        taken = take_from_head(kernel, nr_pages - done, migratetype)
        if taken is None:
            break
        pfn, count = taken
        pfns[done : done + count] = np.arange(pfn, pfn + count)
        done += count
    return pfns[:done]


def take_from_head(kernel: Kernel, wanted: int, migratetype: int) -> Range | None:
    """Take at most ``wanted`` single pages from the next free block; None: there is no memory."""
    for zone in kernel.zonelists.get(migratetype, ()):
        if zone.nr_free_pages == 0:
            continue
        for order, area in enumerate(zone.free_area):
            if area[migratetype]:
                if order < SMALL_ORDER:
                    break
                if kernel.check_pages and not head_is_clean(kernel, zone, order, migratetype):
                    break
                if order == MAX_PAGE_ORDER and wanted >= PAGES_PER_SECTION:
                    taken = take_section(kernel, zone, migratetype)
                    if taken is not None:
                        return taken
                return take_pages(kernel, zone, order, migratetype, wanted)
        break
    try:
        return alloc_pages(kernel, 0, migratetype), 1
    except KernelError:
        return None


def head_is_clean(kernel: Kernel, zone: Zone, order: int, migratetype: int) -> bool:
    """Return whether no page of the next block has a flag or a reference, which the checks would report."""
    pfn = next(reversed(zone.free_area[order][migratetype]))
    section, at = kernel.memmap.spans(pfn, 1 << order)[0]
    pages = section.pages
    return not pages.refcount[at].any() and not (pages.maybe_flagged and any_flag(pages, at.start, order))


def take_section(kernel: Kernel, zone: Zone, migratetype: int) -> Range | None:
    """Take a whole section if it comes next and nothing in it was ever allocated, else nothing."""
    blocks = zone.free_area[MAX_PAGE_ORDER][migratetype]
    pfn = next(reversed(blocks))
    section = kernel.memmap.section(pfn)
    pattern, heads = section.pages.pattern, range(pfn, pfn + PAGES_PER_SECTION, MAX_ORDER_NR_PAGES)
    if pattern is None or pattern.buddy == NO_TYPE or pfn % PAGES_PER_SECTION:
        return None
    if pattern.flags & ALL_FLAGS or pattern.refcount:
        return None
    if list(islice(reversed(blocks), len(heads))) != list(heads):
        return None
    zone.del_run_from_free_list(heads, MAX_PAGE_ORDER, migratetype)
    zone.add("nr_free_pages", -PAGES_PER_SECTION)
    section.fill(Pattern(pattern.flags, NO_TYPE, 0, 1))
    return pfn, PAGES_PER_SECTION


def take_pages(kernel: Kernel, zone: Zone, order: int, migratetype: int, wanted: int) -> Range:
    """Take pages from the start of a zone's next block of ``order``; the rest goes back in aligned pieces."""
    pfn = zone.free_area[order][migratetype].pop()
    count, end = min(wanted, 1 << order), pfn + (1 << order)
    section, at = kernel.memmap.spans(pfn, count)[0]
    pages = section.private_pages()
    pages.type[at], pages.order[at], pages.refcount[at] = NO_TYPE, 0, 1
    zone.nr_free_pages -= count
    rest = pfn + count
    while rest < end:
        piece = count_trailing_zeros(rest)
        kernel.memmap.set_buddy_order(rest, piece)
        zone.add_to_free_list(rest, piece, migratetype)
        rest += 1 << piece
    return pfn, count


# ---- freeing ---------------------------------------------------------------------------------------


def free_pages_bulk(kernel: Kernel, pfns: Sequence[int] | Pfns) -> None:
    """Drop a reference of each of these pages, in their order, as a loop over ``__free_pages()`` would.

    For a kernel that may take the shortcut ``free_contig_range``.
    """
    pfns = np.asarray(pfns, np.int64)
    rising, falling = list(runs(pfns)), list(runs(pfns[::-1]))
    if len(rising) <= len(falling):
        for pfn, nr_pages in rising:
            free_range(kernel, pfn, nr_pages)
        return
    for pfn, nr_pages in reversed(falling):
        free_falling(kernel, pfn, nr_pages)


def runs(pfns: Pfns, unit: int = PAGES_PER_SECTION) -> Iterator[Range]:
    """Yield (first pfn, pages) of every stretch in which each pfn follows the one before, cut at units.

    >>> list(runs(np.array([7, 8, 9, 4, 3])))
    [(7, 3), (4, 1), (3, 1)]
    >>> list(runs(np.arange(510, 515), 512))
    [(510, 2), (512, 3)]
    """
    starts = np.flatnonzero((np.diff(pfns, prepend=-2) != 1) | (pfns % unit == 0))
    lengths = np.diff(starts, append=len(pfns))
    yield from zip(pfns[starts].tolist(), lengths.tolist(), strict=True)


def free_one_by_one(kernel: Kernel, pfns: Iterable[int]) -> None:
    """Free pages one after the other."""
    for pfn in pfns:
        __free_pages(kernel, pfn)


@shortcut(contig.free_contig_range, frees_plainly)
def free_contig_range(kernel: Kernel, pfn: int, nr_pages: int) -> Any:  # noqa: ANN401 (None, or NotImplemented)
    """Free single pages: see :func:`memsim.linux.mm.page_alloc.contig.free_contig_range`."""
    if nr_pages >> SMALL_ORDER == 0:
        return NotImplemented
    # Since 7.2 all references are dropped before the first block is freed: the same for ordinary pages only.
    if kernel.release.contig_free_in_chunks and not all(
        are_ordinary(kernel, start, stop - start) for start, stop in parts(pfn, nr_pages)
    ):
        return NotImplemented
    free_range(kernel, pfn, nr_pages)
    return None


def free_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free single pages in ascending order: as aligned blocks where all of them are ordinary."""
    if nr_pages >> SMALL_ORDER == 0:
        free_one_by_one(kernel, range(pfn, pfn + nr_pages))
        return
    for start, stop in parts(pfn, nr_pages):
        if are_ordinary(kernel, start, stop - start):
            for block, order in aligned_blocks(start, stop):
                free_block(kernel, block, order)
        else:
            free_one_by_one(kernel, range(start, stop))


def free_falling(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free single pages of one section, the last page first: as :func:`free_range` does."""
    if nr_pages >> SMALL_ORDER == 0 or not are_ordinary(kernel, pfn, nr_pages):
        free_one_by_one(kernel, reversed(range(pfn, pfn + nr_pages)))
        return
    for block, order in reversed(list(aligned_blocks(pfn, pfn + nr_pages))):
        free_block(kernel, block, order)


def parts(pfn: int, nr_pages: int) -> Iterator[Range]:
    """Yield (first pfn, pfn after the last) of each part of a range, cut at sections."""
    end = pfn + nr_pages
    while pfn < end:
        stop = min(end, (pfn // PAGES_PER_SECTION + 1) * PAGES_PER_SECTION)
        yield pfn, stop
        pfn = stop


def are_ordinary(kernel: Kernel, pfn: int, nr_pages: int) -> bool:
    """Return whether all pages of a range in one section have one reference and nothing else."""
    if not kernel.memmap.pfn_valid(pfn):
        return False
    section, at = kernel.memmap.spans(pfn, nr_pages)[0]
    pages = section.pages
    return bool(
        (pages.refcount[at] == 1).all()
        and (pages.type[at] == NO_TYPE).all()
        and not pages.order[at].any()
        and not (pages.maybe_flagged and (pages.flags[at] & np.uint32(ALL_FLAGS)).any())
    )


def aligned_blocks(pfn: int, end: int) -> Iterator[Range]:
    """Yield (first pfn, order) of the aligned blocks that a range consists of, none larger than a pageblock.

    >>> list(aligned_blocks(6, 17))
    [(6, 1), (8, 3), (16, 0)]
    """
    while pfn < end:
        order = min(pageblock_order, count_trailing_zeros(pfn)) if pfn else pageblock_order
        while pfn + (1 << order) > end:
            order -= 1
        yield pfn, order
        pfn += 1 << order


def free_block(kernel: Kernel, pfn: int, order: int) -> None:
    """Free the ordinary pages of an aligned block at once."""
    if order:
        kernel.memmap.set_refcount(pfn + 1, (1 << order) - 1, 0)
    __free_pages(kernel, pfn, order)
