"""Sizes and pfn arithmetic of x86-64 with 4 KiB pages.

Models the constants of ``include/linux/mmzone.h``, ``include/linux/pageblock-flags.h`` and
``arch/x86/include/asm/sparsemem.h``. A *pfn* (page frame number) is a physical address divided by
4096; every range in memsim is ``(start_pfn, nr_pages)``.

Left out: other architectures and page sizes, sub-section granularity of the memmap.
"""

from __future__ import annotations

PAGE_SHIFT = 12
SECTION_SIZE_BITS = 27
PFN_SECTION_SHIFT = SECTION_SIZE_BITS - PAGE_SHIFT
PAGES_PER_SECTION = 1 << PFN_SECTION_SHIFT
"""32768 pages of 4 KiB: 128 MiB, the unit in which memmap comes and goes."""

PAGES_PER_SUBSECTION = 512
"""2 MiB: of boot memory, sub-sections without any RAM count as not there (``subsection_map``)."""

pageblock_order = 9
pageblock_nr_pages = 1 << pageblock_order
"""512 pages: 2 MiB, the unit that has a migratetype."""

MAX_PAGE_ORDER = 10
NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1
MAX_ORDER_NR_PAGES = 1 << MAX_PAGE_ORDER
"""1024 pages: 4 MiB, the largest block of the buddy allocator."""

SIZEOF_STRUCT_PAGE = 64
VMEMMAP_PAGES_PER_SECTION = PAGES_PER_SECTION * SIZEOF_STRUCT_PAGE >> PAGE_SHIFT
"""512 pages hold the struct pages of one section: 1/64 of it."""

MAX_PHYSMEM_PFN = 1 << 46 - PAGE_SHIFT
"""Four-level page tables map 46 bits of physical address: 64 TiB."""

MAX_DMA_PFN = 16 << 20 >> PAGE_SHIFT
MAX_DMA32_PFN = 4 << 30 >> PAGE_SHIFT


def pfn_to_section_nr(pfn: int) -> int:
    """Return the number of the section that holds ``pfn``.

    >>> pfn_to_section_nr(0x100000)
    32
    """
    return pfn >> PFN_SECTION_SHIFT


def section_nr_to_pfn(nr: int) -> int:
    """Return the first pfn of section ``nr``."""
    return nr << PFN_SECTION_SHIFT


def pageblock_start_pfn(pfn: int) -> int:
    """Return the first pfn of the pageblock that holds ``pfn``."""
    return pfn & ~(pageblock_nr_pages - 1)


def is_aligned(value: int, unit: int) -> bool:
    """Return whether ``value`` is a multiple of ``unit``."""
    return value % unit == 0


def count_trailing_zeros(value: int) -> int:
    """Return the number of zero bits below the lowest set bit (the kernel's ``__ffs``).

    >>> count_trailing_zeros(0x100200)
    9
    """
    return (value & -value).bit_length() - 1


def naturally_aligned_order(pfn: int) -> int:
    """Return the largest order (0..10) of a buddy block that may start at ``pfn``.

    Both the boot code and ``online_pages_range()`` (mm/memory_hotplug.c) walk memory in such chunks.

    >>> [naturally_aligned_order(pfn) for pfn in (0, 0x100000, 0x100200, 0x100001)]
    [10, 10, 9, 0]
    """
    return min(MAX_PAGE_ORDER, count_trailing_zeros(pfn)) if pfn else MAX_PAGE_ORDER


def vmemmap_pages(nr_pages: int) -> int:
    """Return how many pages hold the struct pages of ``nr_pages``.

    >>> vmemmap_pages(32768)
    512
    """
    return nr_pages * SIZEOF_STRUCT_PAGE >> PAGE_SHIFT


def hex_range(start_pfn: int, nr_pages: int) -> str:
    """Return a pfn range as text, end included, as the kernel prints it.

    >>> hex_range(0x100000, 32768)
    '[0x100000-0x107fff]'
    """
    return f"[{start_pfn:#x}-{start_pfn + nr_pages - 1:#x}]"
