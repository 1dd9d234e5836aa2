"""How much memory could still be had: ``mm/show_mem.c`` (6.1: in ``mm/page_alloc.c``).

Left out: reclaimable slab.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.page_alloc.watermarks import WMARK_LOW, calculate_totalreserve_pages

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


def lru_sizes(kernel: Kernel) -> Counter[str]:
    """Return how many pages are on each LRU list, to go by their flags.

    ``folio_lru_list()``, include/linux/mm_inline.h: what is not swap-backed counts as page cache.
    """
    sizes: Counter[str] = Counter()
    for section in kernel.memmap.sections.values():
        flags = section.pages.flags if section.online else np.zeros(0, np.uint32)
        listed = flags[flags & np.uint32(PageFlag.LRU) != 0]
        for word, count in zip(*map(np.ndarray.tolist, np.unique(listed, return_counts=True)), strict=True):
            activity = "Active" if word & PageFlag.ACTIVE else "Inactive"
            kind = "anon" if word & PageFlag.SWAPBACKED else "file"
            sizes["Unevictable" if word & PageFlag.UNEVICTABLE else f"{activity}({kind})"] += count
    return sizes


def si_mem_available(kernel: Kernel, page_cache: int = 0) -> int:
    """Return how many pages a new program could get without swapping.

    Not what the zones keep back, and not all of the page cache (``page_cache`` pages; 0 where reclaim, which
    is not modelled, cannot help).
    """
    zones = kernel.state.zones
    low = sum(zone.watermark[WMARK_LOW] for zone in zones)
    free = sum(zone.nr_free_pages for zone in zones)
    return max(0, free - calculate_totalreserve_pages(kernel) + page_cache - min(page_cache // 2, low))
