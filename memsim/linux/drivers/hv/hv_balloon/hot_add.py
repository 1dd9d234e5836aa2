"""Hot-add requests of a Hyper-V host: memory is added block by block and covered page by page.

The middle of ``drivers/hv/hv_balloon.c``: from the request to ``add_memory()`` and the response.
:mod:`~memsim.linux.drivers.hv.hv_balloon.region` is what happens to the pages.

Left out: regions that the host specifies itself, and the wait (at most 5 seconds) for user space to online a
block that was added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.hv.hv_balloon.region import HvDynmemDevice, HvHotaddState, hv_bring_pgs_online
from memsim.linux.include.layout import PAGES_PER_SECTION, hex_range, pfn_to_section_nr
from memsim.linux.mm.memory_hotplug.add import add_memory
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

HA_CHUNK = PAGES_PER_SECTION
"""128 MiB: what 6.1 adds at a time, whatever the size of a memory block is."""


@dataclass(frozen=True)
class HotAddResponse:
    """The answer to a hot-add request (``struct dm_hot_add_response``).

    ``result`` is 1 for success, and also for "never ask again"; 0 means that the host may try later.
    """

    page_count: int
    result: int
    received: bool = True
    """Whether the answer got through; the driver does not look."""


def ha_pages_in_chunk(kernel: Kernel) -> int:
    """Return the unit of hot-add: a memory block, or 128 MiB in 6.1 (which larger memory blocks refuse)."""
    # HA_CHUNK is a constant in 6.1; 6.12 has the variable ha_pages_in_chunk.
    return kernel.block_pages if kernel.release.hot_adds_memory_blocks else HA_CHUNK


def region_of(dm: HvDynmemDevice, pfn: int) -> HvHotaddState | None:
    """Return the first region that holds ``pfn``, or None."""
    return next((has for has in dm.ha_region_list if has.start_pfn <= pfn < has.end_pfn), None)


def align_up(nr_pages: int, unit: int) -> int:
    """Return ``nr_pages`` rounded up to whole units.

    >>> align_up(20000, 32768), align_up(32768, 32768)
    (32768, 32768)
    """
    return -(-nr_pages // unit) * unit


@kernel_function("drivers/hv/hv_balloon.c")
def pfn_covered(kernel: Kernel, dm: HvDynmemDevice, start_pfn: int, nr_pages: int) -> bool:  # noqa: ARG001 (for the tape)
    """Prepare the region that holds ``start_pfn`` for more pages; False: there is none.

    What lies between the covered range and the new pages becomes a gap, and the region grows by whole
    chunks if they reach beyond its end.
    """
    has = region_of(dm, start_pfn)
    if has is None:
        return False
    if has.covered_end_pfn != start_pfn:
        has.gap_list.append((has.covered_end_pfn, start_pfn))
        has.covered_end_pfn = start_pfn
    beyond = start_pfn + nr_pages - has.end_pfn
    if beyond > 0:
        has.end_pfn += align_up(beyond, dm.ha_pages_in_chunk)
    return True


@kernel_function("drivers/hv/hv_balloon.c")
def handle_pg_range(kernel: Kernel, dm: HvDynmemDevice, start_pfn: int, nr_pages: int) -> int:
    """Cover pages that the host backs from now on; return how many were covered.

    Pages of memory that was added before come online now, if their section is online, else with it. For
    the rest more memory is added. Whether a section is online is asked for the first page only.
    """
    has = region_of(dm, start_pfn)
    if has is None:
        return 0
    covered_before = has.covered_end_pfn
    if start_pfn < has.ha_end_pfn:
        known = min(has.ha_end_pfn - start_pfn, nr_pages)
        has.covered_end_pfn += known
        nr_pages -= known
        if start_pfn > has.start_pfn and online_section(kernel, start_pfn):
            hv_bring_pgs_online(kernel, dm, has, start_pfn, known)
    size = has.end_pfn - has.ha_end_pfn
    if size > 0 and nr_pages > 0:
        size = min(size, align_up(nr_pages, dm.ha_pages_in_chunk))
        hv_mem_hot_add(kernel, dm, has, has.ha_end_pfn, size, min(nr_pages, size))
    return has.covered_end_pfn - covered_before


def online_section(kernel: Kernel, pfn: int) -> bool:
    """Return whether the section of a page is present and online (``online_section_nr()``)."""
    section = kernel.memmap.sections.get(pfn_to_section_nr(pfn))
    return section is not None and section.online


@kernel_function("drivers/hv/hv_balloon.c")
def hv_mem_hot_add(
    kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, start_pfn: int, size: int, nr_pages: int
) -> None:
    """Add memory chunk by chunk, of which the first ``nr_pages`` pages are backed.

    A chunk is covered before it is added, so that it can come online while it is being added; a chunk that
    cannot be added is taken back and ends the loop. Memory that is there already (EEXIST) ends hot-add for
    ever; every other error may go away.
    """
    chunk = dm.ha_pages_in_chunk
    for pfn in range(start_pfn, start_pfn + size, chunk):
        covered = min(nr_pages, chunk)
        nr_pages -= covered
        has.ha_end_pfn += chunk
        has.covered_end_pfn += covered
        try:
            add_memory(kernel, pfn, chunk, merge_resource=True)
        except KernelError as error:
            kernel.state.printk(f"hv_balloon: {hex_range(pfn, chunk)} cannot be added: {error}")
            dm.do_hot_add &= error.name != "EEXIST"
            has.ha_end_pfn -= chunk
            has.covered_end_pfn -= covered
            return


@kernel_function("drivers/hv/hv_balloon.c")
def process_hot_add(kernel: Kernel, dm: HvDynmemDevice, start_pfn: int, nr_pages: int) -> int:
    """Cover the pages in the region that they are in, or in a new one; return how many were covered.

    A new region starts at a chunk and has as many chunks as the *number* of pages needs. When the first page
    is not at the start of a chunk, that can be one chunk less than the pages reach into.
    """
    if nr_pages == 0:
        return 0
    if not pfn_covered(kernel, dm, start_pfn, nr_pages):
        first = start_pfn - start_pfn % dm.ha_pages_in_chunk
        end = first + align_up(nr_pages, dm.ha_pages_in_chunk)
        dm.ha_region_list.append(HvHotaddState(first, start_pfn, start_pfn, first, end))
    return handle_pg_range(kernel, dm, start_pfn, nr_pages)


@kernel_function("drivers/hv/hv_balloon.c")
def hot_add_req(kernel: Kernel, dm: HvDynmemDevice, start_pfn: int, nr_pages: int) -> HotAddResponse:
    """Do what a hot-add request asks for, count it, and return the response."""
    page_count = process_hot_add(kernel, dm, start_pfn, nr_pages) if dm.do_hot_add else 0
    dm.num_pages_added += page_count
    if page_count == 0:
        kernel.state.printk(f"hv_balloon: nothing of {hex_range(start_pfn, nr_pages)} could be added")
    return HotAddResponse(page_count, int(page_count > 0 or not dm.do_hot_add))
