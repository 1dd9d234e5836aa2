"""What x86-64 does when memory is added: ``arch/x86/mm/init_64.c``.

Left out: the direct map (``init_memory_mapping()``, ``kernel_physical_mapping_remove()``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.mm.memory_hotplug.sections import __add_pages, __remove_pages
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("arch/x86/mm/init_64.c")
def arch_add_memory(kernel: Kernel, start_pfn: int, nr_pages: int, *, altmap: bool = False) -> None:
    """Make sections present; their struct pages stay uninitialised.

    Without an altmap the memory for the struct pages is taken from the buddy, 2 MiB for each section.

    Raises
    ------
    KernelError
        EEXIST: a section is present already. ENOMEM: no free 2 MiB block for the memmap of a section.
        Nothing stays behind.
    """
    __add_pages(kernel, start_pfn, nr_pages, altmap=altmap)


@kernel_function("arch/x86/mm/init_64.c")
def arch_remove_memory(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Take sections away; a memmap that was taken from the buddy goes back there."""
    __remove_pages(kernel, start_pfn, nr_pages)
