"""The resources of hotplugged memory: ``mm/memory_hotplug.c``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import MAX_PHYSMEM_PFN, hex_range
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

_DRIVER_MANAGED = re.compile(r"System RAM \([^()]+\)")


@kernel_function("mm/memory_hotplug.c")
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
