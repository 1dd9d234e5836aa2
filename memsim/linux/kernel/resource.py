"""Which physical addresses are System RAM: ``kernel/resource.c``, as far as memory hotplug asks.

Left out: resources other than RAM, nesting, the firmware's memory map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import PAGE_SHIFT

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


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


def walk_system_ram_range(kernel: Kernel, pfn: int, nr_pages: int) -> int | None:
    """Return the first pfn of a range that is not System RAM, or None.

    (The kernel's function calls another for each part that is; its callers count pages to find a hole.)
    """
    at, end = pfn, pfn + nr_pages
    for start, size, _ in kernel.iomem.overlapping(pfn, nr_pages):
        if start <= at:
            at = start + size
    return at if at < end else None


def iomem(kernel: Kernel) -> str:
    """Return /proc/iomem as root sees it: physical addresses, the last one included."""
    return "".join(
        f"{pfn << PAGE_SHIFT:08x}-{(pfn + nr_pages << PAGE_SHIFT) - 1:08x} : {name}\n"
        for pfn, (nr_pages, name) in sorted(kernel.iomem.items())
    )
