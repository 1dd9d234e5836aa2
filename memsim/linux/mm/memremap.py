"""Device memory with struct pages (ZONE_DEVICE): ``mm/memremap.c``.

The patch leaves it alone: the pages are PG_reserved before and after, for their contents are not stale
and code that meets device memory still looks for that flag.

``memremap_pages()`` does the work of ``pagemap_range()``. Code that must tell device memory from RAM asks
``is_zone_device_page()``; here the zone in the page's flags says it.

Left out: sub-section granularity, several ranges in one dev_pagemap, reference counting of the pagemap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError, MemsimError
from memsim.linux.arch.x86.mm.init_64 import arch_add_memory, arch_remove_memory
from memsim.linux.include.layout import (
    MAX_PHYSMEM_PFN,
    PAGES_PER_SECTION,
    hex_range,
    is_aligned,
    pfn_to_section_nr,
    vmemmap_pages,
)
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.mm.memory_hotplug.zones import move_pfn_range_to_zone, remove_pfn_range_from_zone
from memsim.linux.mm.mm_init import memmap_init_zone_device
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

MEMORY_KINDS = ("generic", "fs_dax", "private", "coherent")


@kernel_function("mm/memremap.c")
def memremap_pages(
    kernel: Kernel, pfn: int, nr_pages: int, kind: str = "generic", *, altmap: bool = False
) -> None:
    """Give a range of device memory struct pages.

    Pages of kind ``private`` and ``coherent`` start with refcount 0, and since 6.17 those of ``fs_dax``; the
    others with 1. With ``altmap`` the
    first pages of the range hold the struct pages.

    Raises
    ------
    KernelError
        EINVAL: not whole sections, or beyond the addresses that the kernel maps. ENXIO: the range overlaps
        System RAM. ENOMEM: it is mapped already, or there is no memory for the memmap.
    MemsimError
        There is no such kind of device memory.
    """
    if kind not in MEMORY_KINDS:
        msg = f"kind {kind!r} of device memory must be one of {', '.join(MEMORY_KINDS)}"
        raise MemsimError(msg)
    check_device_range(kernel, pfn, nr_pages)
    arch_add_memory(kernel, pfn, nr_pages, altmap=altmap)
    reserved = vmemmap_pages(nr_pages) if altmap else 0
    zone = kernel.zone(ZoneType.DEVICE)
    move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.MOVABLE, reserved)
    frozen = {"private", "coherent"} | ({"fs_dax"} if kernel.release.fs_dax_starts_frozen else set())
    refcount = 0 if kind in frozen else 1
    memmap_init_zone_device(kernel, pfn + reserved, nr_pages - reserved, refcount)
    kernel.pagemaps[pfn] = nr_pages


def check_device_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Refuse what cannot be device memory."""
    stage, where = "memremap_pages", hex_range(pfn, nr_pages)
    whole = is_aligned(pfn, PAGES_PER_SECTION) and is_aligned(nr_pages, PAGES_PER_SECTION)
    if nr_pages <= 0 or not whole:
        raise KernelError("EINVAL", stage, f"{where} must be whole sections, and not empty")
    for start, (size, name) in kernel.iomem.items():
        if pfn < start + size and start < pfn + nr_pages:
            raise KernelError("ENXIO", stage, f"{where} overlaps {name} {hex_range(start, size)}")
    if pfn + nr_pages > MAX_PHYSMEM_PFN:
        message = f"{where} ends beyond pfn {MAX_PHYSMEM_PFN:#x}, the last to be mapped"
        raise KernelError("EINVAL", stage, message)
    sections = range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages))
    if any(nr in kernel.memmap.sections for nr in sections):
        raise KernelError("ENOMEM", stage, f"{where} has a conflicting mapping")


@kernel_function("mm/memremap.c")
def memunmap_pages(kernel: Kernel, pfn: int) -> None:
    """Take the struct pages of device memory away; the span of ZONE_DEVICE stays as it is."""
    if pfn not in kernel.pagemaps:
        raise KernelError("EINVAL", "memunmap_pages", f"pfn {pfn:#x} starts no device memory")
    nr_pages = kernel.pagemaps.pop(pfn)
    remove_pfn_range_from_zone(kernel, kernel.zone(ZoneType.DEVICE), pfn, nr_pages)
    arch_remove_memory(kernel, pfn, nr_pages)
