"""The boot memory that a kernel keeps for itself, so that MemTotal is less than the RAM.

memblock hands memory out from the top down until the page allocator takes over; what it handed out is
never free. :func:`boot_reservations` follows the large consumers on x86-64, each with the rule of the kernel
function that it names. The parts of the kernel image are those of Debian's kernels, as
``/proc/iomem`` and the "Freeing unused ..." lines of a boot show them.

Compared with boots of Debian's 6.1, 6.12 and 7.3 the sum is 30 to 40 pages too small
(tests/unit/test_boot_memory.py). Left out: page tables, the roots of mem_section, tables of the firmware,
and whatever was freed again before user space ran (initrd, init code).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.layout import (
    MAX_DMA32_PFN,
    PAGE_SHIFT,
    VMEMMAP_PAGES_PER_SECTION,
    pfn_to_section_nr,
)
from memsim.state.ranges import clip, gaps

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1 << 20 - PAGE_SHIFT
"""Pages of a MiB."""
IMAGE_START = 16 * MIB
"""CONFIG_PHYSICAL_START; with KASLR (the default) the image lies elsewhere."""
IMAGES = {
    "6.1": ((0, 0xE02), (0x1000, 0x8EB), (0x1A00, 1605), (0x2310, 3827)),
    "6.12": ((0, 0x1B71), (0x1C00, 1794), (0x2736, 719)),
    "7.3": ((0, 0x11D4), (0x1200, 0xE5D), (0x2200, 2271), (0x2F6D, 664)),
}
"""(pages from its start, pages) of the parts of an image that stay: text, read-only data, data, bss."""
PER_CPU_PAGES = {"6.1": 62, "6.12": 66, "7.3": 63}
"""Pages of one processor, as "percpu: Embedded ... pages/cpu" shows them."""
NODE_DATA_PAGES = 43
"""``pg_data_t`` with CONFIG_NODES_SHIFT=10."""
SWIOTLB_PAGES = 64 * MIB
SWIOTLB_SLOT_PAGES = 192
"""32,768 slots of 24 bytes."""
CRASH_ALIGN = 16 * MIB
_SAME_IMAGE = {"6.11": "6.12"}


@dataclass(frozen=True)
class Reservation:
    """A range of boot memory that is kept: what for, and which kernel function takes it."""

    start_pfn: int
    nr_pages: int
    what: str
    function: str


@dataclass
class _Memblock:
    """RAM, and what was taken of it so far."""

    ram: list[tuple[int, int]]
    taken: list[Reservation] = field(default_factory=list)

    def free(self) -> list[tuple[int, int]]:
        """Return the free ranges, ascending."""
        taken = sorted((each.start_pfn, each.nr_pages) for each in self.taken)
        return [gap for pfn, nr_pages in self.ram for gap in gaps(taken, pfn, pfn + nr_pages)]

    def reserve(self, start_pfn: int, nr_pages: int, what: str, function: str) -> None:
        """Take what is RAM and free of a range."""
        for pfn, size in list(clip(self.free(), start_pfn, start_pfn + nr_pages)):
            self.taken.append(Reservation(pfn, size, what, function))

    def alloc(self, nr_pages: int, what: str, function: str, *, align: int = 1, end: int = 1 << 52) -> None:
        """Take the highest free range below ``end`` that is large enough; MemsimError if there is none."""
        start = self.room(nr_pages, align, end)
        if start is None:
            msg = f"boot_reservations: no room in boot memory for {nr_pages} pages ({what}, {function}())"
            raise MemsimError(msg)
        self.taken.append(Reservation(start, nr_pages, what, function))

    def room(self, nr_pages: int, align: int, end: int) -> int | None:
        """Return where the highest free range of a size begins below ``end``, or None."""
        for pfn, size in reversed(list(clip(self.free(), MIB, end))):
            start = (pfn + size - nr_pages) // align * align
            if start >= pfn:
                return start
        return None


def boot_reservations(
    ram: Iterable[tuple[int, int]],
    release: str = "6.12",
    *,
    crashkernel_pages: int = 0,
    cpus: int = 1,
    image_start: int = IMAGE_START,
    known: Iterable[Reservation] = (),
) -> list[Reservation]:
    """Return what a kernel keeps of boot memory, ascending.

    Parameters
    ----------
    ram
        (start_pfn, nr_pages) of each range of boot memory, ascending.
    release
        The kernel whose image it is, as Debian builds it.
    crashkernel_pages
        What ``crashkernel=`` asks for.
    cpus
        How many processors have a per-CPU area.
    image_start
        The pfn where the kernel image begins.
    known
        Reservations whose place is known; the others lie around them.

    Raises
    ------
    MemsimError
        The image is not in RAM, or the RAM is too small for the rest.

    >>> kept = boot_reservations([(1, 158), (256, 130783)])  # a virtual machine with 512 MiB
    >>> sum(each.nr_pages for each in kept) >> 8, "MiB"
    (47, 'MiB')
    """
    name = _SAME_IMAGE.get(release, release)
    memblock = _Memblock(list(ram))
    for each in known:
        memblock.reserve(each.start_pfn, each.nr_pages, each.what, each.function)
    memblock.reserve(0, MIB, "first MiB", "reserve_real_mode")
    _reserve_image(memblock, name, image_start)
    memblock.alloc(NODE_DATA_PAGES, "node data", "alloc_node_data")
    if crashkernel_pages:
        function = "reserve_crashkernel_generic" if name != "6.1" else "reserve_crashkernel"
        memblock.alloc(crashkernel_pages, "crash kernel", function, align=CRASH_ALIGN, end=MAX_DMA32_PFN)
    sections = {
        nr
        for pfn, nr_pages in memblock.ram
        for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages - 1) + 1)
    }
    memmap = len(sections) * VMEMMAP_PAGES_PER_SECTION
    memblock.alloc(memmap, "memmap", "sparse_init_nid", align=VMEMMAP_PAGES_PER_SECTION)
    nr_kernel_pages = sum(nr_pages for _, nr_pages in memblock.free())
    memblock.alloc(cpus * PER_CPU_PAGES[name], "per-CPU areas", "pcpu_embed_first_chunk")
    for what, scale in (("dentry hash table", 13), ("inode hash table", 14)):
        memblock.alloc(large_system_hash_pages(nr_kernel_pages, scale), what, "alloc_large_system_hash")
    if sum(memblock.ram[-1]) > MAX_DMA32_PFN:
        _bounce_buffers(memblock)
    return sorted(memblock.taken, key=lambda each: each.start_pfn)


def _reserve_image(memblock: _Memblock, name: str, start: int) -> None:
    """Take the parts of the kernel image; all of them must be RAM."""
    parts = [(start + offset, nr_pages) for offset, nr_pages in IMAGES[name]]
    if any(True for pfn, nr_pages in parts for _ in gaps(memblock.free(), pfn, pfn + nr_pages)):
        end = sum(parts[-1])
        msg = f"boot_reservations: the kernel image [{start:#x}-{end - 1:#x}] must be in RAM, and is not"
        raise MemsimError(msg)
    for pfn, nr_pages in parts:
        memblock.reserve(pfn, nr_pages, "kernel image", "early_reserve_memory")


def _bounce_buffers(memblock: _Memblock) -> None:
    """Take 64 MiB below 4 GiB, or the half as long as that is too much; below 1 MiB there are none."""
    pages = SWIOTLB_PAGES
    while pages >= MIB and memblock.room(pages, 1, MAX_DMA32_PFN) is None:
        pages //= 2
    if pages >= MIB:
        slots = -(-SWIOTLB_SLOT_PAGES * pages // SWIOTLB_PAGES)
        memblock.alloc(pages, "bounce buffers", "swiotlb_init_remap", end=MAX_DMA32_PFN)
        memblock.alloc(slots, "bounce buffer slots", "swiotlb_init_remap")


def large_system_hash_pages(nr_kernel_pages: int, scale: int, bucket_bytes: int = 8) -> int:
    """Return the pages of a hash table with one bucket per ``2**scale`` bytes of memory.

    ``alloc_large_system_hash()`` in ``mm/mm_init.c``: memory is rounded up to a MiB, buckets to a power of
    two; from 64 GiB on each factor of four of memory adds one to the scale.

    >>> large_system_hash_pages(1 << 20, 13)  # 4 GiB: 524,288 buckets
    1024
    """
    pages = -(-nr_kernel_pages // MIB) * MIB
    adapt = 64 << 30 >> PAGE_SHIFT
    while adapt < pages:
        scale, adapt = scale + 1, adapt << 2
    buckets = max(pages >> scale - PAGE_SHIFT, (1 << PAGE_SHIFT) // bucket_bytes)
    return max(1, (1 << (buckets - 1).bit_length()) * bucket_bytes >> PAGE_SHIFT)


def totals(reservations: Iterable[Reservation]) -> dict[str, int]:
    """Return the pages of each purpose, the largest first."""
    sums: dict[str, int] = {}
    for each in reservations:
        sums[each.what] = sums.get(each.what, 0) + each.nr_pages
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def describe(reservations: Iterable[Reservation]) -> str:
    """Return a sentence on what is kept, in pages."""
    sums = totals(reservations)
    parts = ", ".join(f"{what} {pages:,}" for what, pages in sums.items())
    return f"{sum(sums.values()):,} pages ({sum(sums.values()) / MIB:.1f} MiB): {parts}"
