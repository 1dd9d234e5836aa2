"""Boot, as far as memory goes: ``init/main.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.mm.memblock import memblock_free_all
from memsim.linux.mm.mm_init import free_area_init
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.linux.mm.sparse import sparse_init

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.state.kernel import Kernel


def start_kernel(
    kernel: Kernel, ram: Iterable[tuple[int, int]], reserved: Iterable[tuple[int, int]] = ()
) -> None:
    """Boot: initialise the memmap, reserve pages, and free the rest to the buddy.

    ``ram`` and ``reserved`` are (start_pfn, nr_pages) lists as memblock holds them.
    """
    ram, reserved = sorted(ram), sorted(reserved)
    sparse_init(kernel, ram)
    free_area_init(kernel, ram)
    memblock_free_all(kernel, ram, reserved)
    init_per_zone_wmark_min(kernel)
    for pfn, nr_pages in ram:
        kernel.iomem[pfn] = (nr_pages, "System RAM")
