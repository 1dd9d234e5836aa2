"""Why a free block is not merged with its neighbour: the rule that stops it, and the pages it is about.

Asks what ``__free_one_page()`` (``mm/page_alloc.c``) asks before it merges, in the same order.

Left out: guard pages of debug_pagealloc, CMA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.linux.include.layout import MAX_PAGE_ORDER, pageblock_order
from memsim.linux.include.mmzone import ZONE_NAMES, MigrateType, ZoneType
from memsim.linux.mm.page_alloc.buddy import may_merge
from memsim.linux.mm.page_alloc.isolation import find_large_buddy

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@dataclass(frozen=True)
class Why:
    """The rule that keeps a block from being merged, in a word, and in a sentence with its pages."""

    rule: str
    sentence: str

    def __str__(self) -> str:
        """Return the sentence."""
        return self.sentence


def why_not_merged(kernel: Kernel, pfn: int) -> Why:
    """Return the rule that keeps the free block around ``pfn`` from being merged.

    >>> from memsim import Machine
    >>> machine = Machine(ram=[(0x100000, 2048)])
    >>> pfns = machine.allocate(1)
    >>> print(why_not_merged(machine.kernel, 0x100001))
    Block 0x100001 (order 0): its partner 0x100000 is not free: refcount 1. Only two free blocks merge.
    >>> why_not_merged(machine.kernel, 0x100400).rule
    'largest'
    """
    if not kernel.memmap.pfn_valid(pfn):
        return Why("no page", f"Page {pfn:#x} has no struct page: it is not memory of this machine.")
    zone_type = kernel.memmap.zone_of(pfn)
    found = None
    if zone_type <= ZoneType.DEVICE:
        found = find_large_buddy(kernel, pfn, kernel.zone(zone_type))
    if found is None:
        return Why("not free", f"Page {pfn:#x} is in no free block: {_in_use(kernel, pfn)}. {_ONLY_FREE}")
    head, order = found
    block = f"Block {head:#x} (order {order})"
    if order >= MAX_PAGE_ORDER:
        rule = f"order {MAX_PAGE_ORDER} is the largest (MAX_PAGE_ORDER), so the kernel looks for no partner"
        return Why("largest", f"{block}: {rule}.")
    return _partner(kernel, head, order, block)


_ONLY_FREE = "Only two free blocks merge."


def _partner(kernel: Kernel, head: int, order: int, block: str) -> Why:
    """Return what is wrong with the partner of a block, whose pfn differs in the bit of its order.

    It has a struct page: a section holds whole blocks of the largest order.
    """
    memmap, partner = kernel.memmap, head ^ (1 << order)
    its = f"{block}: its partner {partner:#x}"
    free_order = memmap.buddy_order(partner)
    if free_order < 0:
        return Why("in use", f"{its} is not free: {_in_use(kernel, partner)}. {_ONLY_FREE}")
    if free_order != order:
        sizes = f"is free, but of order {free_order}: a part of it is in use"
        return Why("other order", f"{its} {sizes}. Only blocks of the same order merge.")
    if memmap.zone_of(partner) != memmap.zone_of(head):
        zones = " and ".join(ZONE_NAMES[ZoneType(memmap.zone_of(pfn))] for pfn in (head, partner))
        return Why("other zone", f"{its} is in another zone ({zones}). Blocks merge inside a zone.")
    return _types(kernel, head, order, its)


def _types(kernel: Kernel, head: int, order: int, its: str) -> Why:
    """Return whether the pageblocks' types stop a merge of two free blocks of one order."""
    partner = head ^ (1 << order)
    mine, others = (MigrateType(kernel.memmap.migratetype(pfn)) for pfn in (head, partner))
    if not may_merge(kernel, partner, order, mine):
        names = f"{others.name} and this one {mine.name}"
        rule = (
            f"from order {pageblock_order} (a pageblock) on, ISOLATE and HIGHATOMIC merge only with their "
            "own kind, or pages would leave the isolated pageblock"
        )
        return Why("isolated", f"{its} is free, but its pageblock is {names}: {rule}.")
    rule = "merging is tried only when a block is freed, and neither has been freed since"
    return Why("not tried", f"{its} is free, of the same order and may merge: {rule}.")


def _in_use(kernel: Kernel, pfn: int) -> str:
    page = kernel.memmap.raw(pfn)
    kinds = [kind.value.title() for kind in sorted(page.types, key=lambda kind: kind.value)]
    marks = [*(f"of type {kind}" for kind in kinds), *(["PG_reserved"] if page.reserved else [])]
    return ", ".join([*marks, f"refcount {page.refcount}"])
