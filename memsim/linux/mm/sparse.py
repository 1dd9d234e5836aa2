"""The memmap of one section: ``mm/sparse.c``.

Left out: sub-sections of hotplugged memory, the mem_map of kernels without ``CONFIG_SPARSEMEM_VMEMMAP``, and
the upper levels of the page tables that map a memmap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import VMEMMAP_PAGES_PER_SECTION, count_trailing_zeros, pfn_to_section_nr
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.state.kernel import Kernel

VMEMMAP_ORDER = count_trailing_zeros(VMEMMAP_PAGES_PER_SECTION)
VMEMMAP_ALLOC_FAILURE = "vmemmap alloc failure: order:9, mode:0x4cc0(GFP_KERNEL|__GFP_RETRY_MAYFAIL)"
"""What ``vmemmap_alloc_block()`` prints once, after the name of the process."""


def sparse_init(kernel: Kernel, ram: Iterable[tuple[int, int]]) -> None:
    """Make every section that holds RAM present, online and early."""
    for pfn, nr_pages in ram:
        for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages - 1) + 1):
            if nr not in kernel.memmap.sections:
                kernel.memmap.add_section(nr, early=True)
                kernel.memmap.set_online(nr, online=True)


def online_mem_sections(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Mark the sections of a range online, those too that it covers only in part."""
    for nr in range(pfn_to_section_nr(start_pfn), pfn_to_section_nr(start_pfn + nr_pages - 1) + 1):
        kernel.memmap.set_online(nr, online=True)


def offline_mem_sections(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Mark the sections of a range offline."""
    for nr in range(pfn_to_section_nr(start_pfn), pfn_to_section_nr(start_pfn + nr_pages - 1) + 1):
        kernel.memmap.set_online(nr, online=False)


def sparse_add_section(kernel: Kernel, nr: int, *, altmap: bool) -> None:
    """Make one section present, its struct pages uninitialised.

    Raises
    ------
    KernelError
        EEXIST: the section is populated already. ENOMEM: no memory for its memmap.
    """
    if nr in kernel.memmap.sections:
        raise KernelError("EEXIST", "sparse_add_section", f"section {nr} is populated already")
    if not altmap:
        try:
            populate_section_memmap(kernel, nr)
        except KernelError as error:
            message = f"no memory for the memmap of section {nr}"
            raise KernelError("ENOMEM", "sparse_add_section", message) from error
    kernel.memmap.add_section(nr)


def sparse_remove_section(kernel: Kernel, nr: int) -> None:
    """Take one section away, and its memmap back to the buddy if it came from there."""
    kernel.memmap.remove_section(nr)
    depopulate_section_memmap(kernel, nr)


def populate_section_memmap(kernel: Kernel, nr: int) -> None:
    """Take 2 MiB from the buddy for the memmap of a section, in one piece if there is one."""
    try:
        kernel.vmemmap[nr] = alloc_pages(kernel, VMEMMAP_ORDER, MigrateType.UNMOVABLE)
    except KernelError:
        kernel.print_once(VMEMMAP_ALLOC_FAILURE)
        vmemmap_populate_basepages(kernel, nr)


def vmemmap_populate_basepages(kernel: Kernel, nr: int) -> None:
    """Take single pages for the memmap of a section, behind a page table that maps them.

    ``vmemmap_populate_hugepages()`` (x86-64) turns to this when ``vmemmap_alloc_block_buf()`` has no 2 MiB.
    """
    pfns: list[int] = []
    try:
        while len(pfns) < 1 + VMEMMAP_PAGES_PER_SECTION:
            pfns.append(alloc_pages(kernel, 0, MigrateType.UNMOVABLE))
    except KernelError:
        free_base_pages(kernel, pfns)
        raise
    kernel.vmemmap_base_pages[nr] = pfns


def depopulate_section_memmap(kernel: Kernel, nr: int) -> None:
    """Give the memory of a section's memmap back to the buddy, if it came from there."""
    if nr in kernel.vmemmap:
        __free_pages(kernel, kernel.vmemmap.pop(nr), VMEMMAP_ORDER)
    free_base_pages(kernel, kernel.vmemmap_base_pages.pop(nr, []))


def free_base_pages(kernel: Kernel, pfns: list[int]) -> None:
    """Give single pages of a memmap back: what is mapped first, then the page table."""
    for pfn in [*pfns[1:], *pfns[:1]]:
        __free_pages(kernel, pfn)
