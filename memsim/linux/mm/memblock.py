"""The end of boot: memblock gives its memory to the buddy (``mm/memblock.c``).

Left out: the allocator of early boot itself. Its result is the list of RAM and the list of what is reserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import naturally_aligned_order
from memsim.linux.mm.mm_init import reserve_bootmem_region
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY, __free_pages_core
from memsim.state.ranges import gaps
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("mm/memblock.c")
def memblock_free_all(kernel: Kernel, ram: list[tuple[int, int]], reserved: list[tuple[int, int]]) -> None:
    """Mark what is reserved, then free all other RAM; MemTotal is added once, at the end."""
    for pfn, nr_pages in reserved:
        reserve_bootmem_region(kernel, pfn, nr_pages)
    freed = 0
    for pfn, nr_pages in ram:
        for start, size in gaps(reserved, pfn, pfn + nr_pages):
            __free_pages_memory(kernel, start, size)
            freed += size
    kernel.state.totalram_pages_add(freed)


@kernel_function("mm/memblock.c")
def memblock_free_late(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free boot memory after the allocator has taken over: page by page, MemTotal with each."""
    for each in range(pfn, pfn + nr_pages):
        __free_pages_core(kernel, each, 0, MEMINIT_EARLY)
        kernel.state.totalram_pages_add(1)


@kernel_function("mm/memblock.c", probe=False)
def __free_pages_memory(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Free a range in the largest chunks that alignment and end allow."""
    end = pfn + nr_pages
    while pfn < end:
        order = naturally_aligned_order(pfn)
        while pfn + (1 << order) > end:
            order -= 1
        __free_pages_core(kernel, pfn, order, MEMINIT_EARLY)
        pfn += 1 << order
