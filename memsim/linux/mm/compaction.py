"""Taking free blocks as single pages: ``mm/compaction.c``.

Left out: compaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.mm.page_alloc.buddy import del_page_from_free_list, free_blocks_in

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


def isolate_freepages_range(kernel: Kernel, pfn: int, end: int) -> int:
    """Take every free block that starts in the range, as single pages; returns where the last ends."""
    zone, reached = kernel.page_zone(pfn), end
    for head, order in free_blocks_in(kernel, pfn, end - pfn):
        del_page_from_free_list(kernel, zone, head, order)
        kernel.memmap.set_refcount(head, 1 << order, 1)
        reached = max(reached, head + (1 << order))
    return reached
