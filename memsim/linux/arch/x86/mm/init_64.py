"""What x86-64 does when memory is added: ``arch/x86/mm/init_64.c``.

Left out: the direct map (``init_memory_mapping()``, ``kernel_physical_mapping_remove()``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import PAGE_SHIFT, PAGES_PER_SECTION
from memsim.linux.mm.memory_hotplug.sections import __add_pages, __remove_pages
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

_BOOT_MEM_FOR_LARGE_BLOCKS = 64 << 30 >> PAGE_SHIFT
_MAX_BLOCK_PAGES = 2 << 30 >> PAGE_SHIFT


@kernel_function("arch/x86/mm/init_64.c")
def arch_add_memory(kernel: Kernel, start_pfn: int, nr_pages: int, *, altmap: bool = False) -> None:
    """Make sections present; their struct pages stay uninitialised.

    Without an altmap the memory for the struct pages is taken from the buddy, 2 MiB for each section.

    Raises
    ------
    KernelError
        EEXIST: a section is present already. ENOMEM: no memory for the memmap of a section. The sections
        before it stay.
    """
    try:
        __add_pages(kernel, start_pfn, nr_pages, altmap=altmap)
    except KernelError:
        kernel.print_once("WARNING: at arch/x86/mm/init_64.c add_pages()")
        raise


@kernel_function("arch/x86/mm/init_64.c")
def arch_remove_memory(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Take sections away; a memmap that was taken from the buddy goes back there."""
    __remove_pages(kernel, start_pfn, nr_pages)


def probe_memory_block_size(boot_end_pfn: int) -> int:
    """Return the pages of a memory block for a virtual machine whose RAM ends at ``boot_end_pfn``.

    128 MiB below 64 GiB; above, the largest power of two up to 2 GiB that
    divides the end of RAM.

    >>> probe_memory_block_size(0x20000), probe_memory_block_size(80 << 18)
    (32768, 524288)
    """
    if boot_end_pfn < _BOOT_MEM_FOR_LARGE_BLOCKS:
        return PAGES_PER_SECTION
    return min(_MAX_BLOCK_PAGES, max(PAGES_PER_SECTION, boot_end_pfn & -boot_end_pfn))
