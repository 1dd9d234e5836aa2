"""Which physical addresses are System RAM: ``kernel/resource.c``, as far as memory hotplug asks.

Left out: resources other than RAM, nesting, the firmware's memory map.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import MAX_PHYSMEM_PFN, PAGES_PER_SUBSECTION, hex_range
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

_DRIVER_MANAGED = re.compile(r"System RAM \([^()]+\)")


@kernel_function
def register_memory_resource(kernel: Kernel, pfn: int, nr_pages: int, name: str) -> None:
    """Claim a range of physical addresses for memory.

    Raises
    ------
    KernelError
        EINVAL: an empty range, or the name is not one that memory may have. E2BIG: beyond the addresses
        that the kernel maps. EEXIST: part of the range is taken.
    """
    stage = "register_memory_resource"
    if name != "System RAM" and not _DRIVER_MANAGED.fullmatch(name):
        raise KernelError("EINVAL", "add_memory_driver_managed", f"{name!r} is not like 'System RAM (x)'")
    if nr_pages <= 0:
        raise KernelError("EINVAL", stage, f"pfn {pfn:#x}, {nr_pages} pages: an empty range")
    if pfn + nr_pages > MAX_PHYSMEM_PFN:
        message = f"{hex_range(pfn, nr_pages)} ends beyond pfn {MAX_PHYSMEM_PFN:#x}, the last to be mapped"
        raise KernelError("E2BIG", stage, message)
    for start, size, other in kernel.iomem.overlapping(pfn, nr_pages):
        message = f"{hex_range(pfn, nr_pages)} overlaps {other} {hex_range(start, size)}"
        raise KernelError("EEXIST", stage, message)
    kernel.iomem[pfn] = (nr_pages, name)


def merge_system_ram_resource(kernel: Kernel, pfn: int) -> None:
    """Join a resource with its neighbours of the same name that may be joined, too (MHP_MERGE_RESOURCE)."""
    iomem = kernel.iomem
    iomem.mergeable.add(pfn)
    nr_pages, name = iomem[pfn]
    near = iomem.overlapping(pfn - 1, nr_pages + 2)
    parts = [(start, size) for start, size, other in near if other == name and start in iomem.mergeable]
    for start, _ in parts:
        del iomem[start]
    iomem[parts[0][0]] = (sum(size for _, size in parts), name)
    iomem.mergeable.add(parts[0][0])


def release_memory_resource(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Give a range of physical addresses back, splitting the resource that it is part of."""
    end = pfn + nr_pages
    for start, size, name in kernel.iomem.overlapping(pfn, nr_pages):
        mergeable = {start, end} if start in kernel.iomem.mergeable else set()
        del kernel.iomem[start]
        if start < pfn:
            kernel.iomem[start] = (pfn - start, name)
        if start + size > end:
            kernel.iomem[end] = (start + size - end, name)
        kernel.iomem.mergeable |= mergeable & kernel.iomem.keys()


def first_hole(kernel: Kernel, pfn: int, nr_pages: int) -> int | None:
    """Return the first pfn of a range that is not System RAM (``walk_system_ram_range()``), or None."""
    at, end = pfn, pfn + nr_pages
    for start, size, _ in kernel.iomem.overlapping(pfn, nr_pages):
        if start <= at:
            at = start + size
    return at if at < end else None


def pfn_section_valid(kernel: Kernel, pfn: int) -> bool:
    """Return whether the sub-section of a page has RAM: holes in boot memory are found only near RAM.

    ``pfn_to_online_page()`` asks that, too (``pfn_section_valid()``, include/linux/mmzone.h).
    """
    start = pfn - pfn % PAGES_PER_SUBSECTION
    return bool(kernel.iomem.overlapping(start, PAGES_PER_SUBSECTION))
