"""The memmap of one section: ``mm/sparse.c``.

Left out: sub-sections of hotplugged memory, the mem_map of kernels without ``CONFIG_SPARSEMEM_VMEMMAP``, and
a memmap of single pages where no 2 MiB block is free (the kernel falls back to that; the model fails with
ENOMEM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.fast.page_alloc import __free_pages, alloc_pages
from memsim.linux.include.layout import VMEMMAP_PAGES_PER_SECTION, count_trailing_zeros, pfn_to_section_nr
from memsim.linux.include.mmzone import MigrateType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.state.kernel import Kernel

VMEMMAP_ORDER = count_trailing_zeros(VMEMMAP_PAGES_PER_SECTION)


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
            kernel.vmemmap[nr] = populate_section_memmap(kernel)
        except KernelError as error:
            message = f"no memory for the memmap of section {nr}"
            raise KernelError("ENOMEM", "sparse_add_section", message) from error
    kernel.memmap.add_section(nr)


def sparse_remove_section(kernel: Kernel, nr: int) -> None:
    """Take one section away, and its memmap back to the buddy if it came from there."""
    kernel.memmap.remove_section(nr)
    if nr in kernel.vmemmap:
        depopulate_section_memmap(kernel, kernel.vmemmap.pop(nr))


def populate_section_memmap(kernel: Kernel) -> int:
    """Take 2 MiB from the buddy for the memmap of a section; return the first pfn."""
    return alloc_pages(kernel, VMEMMAP_ORDER, MigrateType.UNMOVABLE)


def depopulate_section_memmap(kernel: Kernel, pfn: int) -> None:
    """Give the memory of a memmap back to the buddy."""
    __free_pages(kernel, pfn, VMEMMAP_ORDER)
