"""Memory hotplug: ``mm/memory_hotplug.c``.

``online_pages()`` initialises the struct pages of a range and gives the pages to the buddy. The reverse,
``offline_pages()``, is in :mod:`memsim.linux.mm.memory_hotplug.offline`. Functions here work on pfn ranges;
:mod:`memsim.linux.drivers.base.memory.blocks` calls them for memory blocks.

Left out: memory groups, kswapd and kcompactd; of nodes all but the notifier (7.3) of the one that there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import memory_notify
from memsim.linux.drivers.base.node import node_notify
from memsim.linux.include.layout import (
    PAGES_PER_SECTION,
    hex_range,
    is_aligned,
    naturally_aligned_order,
    pageblock_nr_pages,
    vmemmap_pages,
)
from memsim.linux.include.mmzone import MigrateType, Zone, node_present_pages
from memsim.linux.include.page_flags import PRESENT, PageFlag, PageType
from memsim.linux.mm.memory_hotplug.zones import move_pfn_range_to_zone, remove_pfn_range_from_zone
from memsim.linux.mm.page_alloc.buddy import MEMINIT_HOTPLUG, __free_pages_core
from memsim.linux.mm.page_alloc.watermarks import init_per_zone_wmark_min
from memsim.linux.mm.page_isolation import undo_isolate_page_range
from memsim.linux.mm.sparse import offline_mem_sections, online_mem_sections
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    OnlinePageCallback = Callable[[Kernel, int, int], None]


# ---- the online page callback ----------------------------------------------------------------------


def set_online_page_callback(kernel: Kernel, callback: OnlinePageCallback) -> None:
    """Let a driver decide what happens to pages that come online: one driver, for all memory.

    Raises
    ------
    KernelError
        EINVAL: another driver's callback is already set.
    """
    if kernel.online_page_callback is not None:
        message = "another online page callback is set; there is one for the whole system"
        raise KernelError("EINVAL", "set_online_page_callback", message)
    kernel.online_page_callback = callback


def restore_online_page_callback(kernel: Kernel, callback: OnlinePageCallback) -> None:
    """Go back to generic_online_page(); EINVAL unless ``callback`` is the one that is set."""
    if kernel.online_page_callback != callback:
        message = "this callback is not the one that is set"
        raise KernelError("EINVAL", "restore_online_page_callback", message)
    kernel.online_page_callback = None


@kernel_function("mm/memory_hotplug.c")
def generic_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Give a chunk of a block that comes online to the buddy: the default callback.

    Without the hunk MEMINIT_CONTEXT, MemTotal moves here, after the pages are free.
    """
    __free_pages_core(kernel, pfn, order, MEMINIT_HOTPLUG)
    if not kernel.has(Hunk.MEMINIT_CONTEXT):
        kernel.state.totalram_pages_add(1 << order)


# ---- online ----------------------------------------------------------------------------------------


def check_online_range(stage: str, pfn: int, nr_pages: int) -> None:
    """Refuse (EINVAL) a range that does not start at a pageblock and end at a section."""
    end = pfn + nr_pages
    if nr_pages <= 0 or not is_aligned(pfn, pageblock_nr_pages):
        message = f"pfn {pfn:#x}, {nr_pages} pages: must start at a pageblock and not be empty"
        raise KernelError("EINVAL", stage, message)
    if not is_aligned(end, PAGES_PER_SECTION):
        message = f"{hex_range(pfn, nr_pages)} must end where a section ends"
        raise KernelError("EINVAL", stage, message)


@kernel_function("mm/memory_hotplug.c")
def online_pages(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> None:
    """Bring a range online in ``zone``.

    Raises
    ------
    KernelError
        EINVAL for a misaligned range; the errno of a listener that vetoed MEM_GOING_ONLINE (7.3: or
        NODE_ADDING_FIRST_MEMORY), with the zone's span as it was and no callback called.
    """
    check_online_range("online_pages", pfn, nr_pages)
    move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.ISOLATE)
    # 7.3 asks node_state(nid, N_MEMORY), which says the same.
    first = kernel.release.has_node_notifier and node_present_pages(kernel.zones) == 0
    ask_to_online(kernel, zone, pfn, nr_pages, first=first)
    zone.add("nr_isolate_pageblock", nr_pages // pageblock_nr_pages)
    online_pages_range(kernel, pfn, nr_pages)
    adjust_present_page_count(kernel, pfn, nr_pages)
    undo_isolate_page_range(kernel, pfn, nr_pages, MigrateType.MOVABLE)
    init_per_zone_wmark_min(kernel)
    if first:
        node_notify(kernel, "NODE_ADDED_FIRST_MEMORY")
    memory_notify(kernel, "MEM_ONLINE", pfn, nr_pages)


def ask_to_online(kernel: Kernel, zone: Zone, pfn: int, nr_pages: int, *, first: bool) -> None:
    """Ask the listeners, those of the node first if it gets its ``first`` memory; all hear of a veto.

    So MEM_CANCEL_ONLINE comes without a MEM_GOING_ONLINE when it is a node's listener that refuses.
    """
    try:
        if first:
            node_notify(kernel, "NODE_ADDING_FIRST_MEMORY")
        memory_notify(kernel, "MEM_GOING_ONLINE", pfn, nr_pages)
    except KernelError:
        memory_notify(kernel, "MEM_CANCEL_ONLINE", pfn, nr_pages)
        if first:
            node_notify(kernel, "NODE_CANCEL_ADDING_FIRST_MEMORY")
        remove_pfn_range_from_zone(kernel, zone, pfn, nr_pages)
        raise


@kernel_function("mm/memory_hotplug.c")
def online_pages_range(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Call the online page callback for each chunk: the largest order that alignment allows.

    A chunk is not clipped to the end of the range; that the range ends at a section makes it right.
    """
    callback, chunk, end = kernel.online_page_callback or generic_online_page, pfn, pfn + nr_pages
    while chunk < end:
        order = naturally_aligned_order(chunk)
        callback(kernel, chunk, order)
        chunk += 1 << order
    online_mem_sections(kernel, pfn, nr_pages)


@kernel_function("mm/memory_hotplug.c")
def adjust_present_page_count(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Count a range as present: all of it, whatever the callback withheld. Negative: no longer."""
    zone = kernel.page_zone(pfn)
    zone.add("present_pages", nr_pages)
    if kernel.memmap.section(pfn).early:
        zone.add("present_early_pages", nr_pages)
    change = kernel.memmap.set_flags if nr_pages > 0 else kernel.memmap.clear_flags
    change(pfn, abs(nr_pages), PRESENT)


# ---- self-hosted vmemmap ---------------------------------------------------------------------------


@kernel_function("mm/memory_hotplug.c")
def mhp_init_memmap_on_memory(kernel: Kernel, pfn: int, nr_pages: int, zone: Zone) -> None:
    """Initialise the pages at the start of a block that hold the struct pages of the block.

    They are PG_reserved before the patch. After it they lose the type Offline that they were born with
    (hunk MEMORY_HOTPLUG): what they hold is live, and must be dumped and saved like any other data.
    """
    move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.UNMOVABLE)
    if kernel.has(Hunk.MEMORY_HOTPLUG):
        kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
    kernel.memmap.set_flags(pfn, nr_pages, PageFlag.VMEMMAP_SELF_HOSTED)
    # Sections that hold nothing but vmemmap; the one that it shares comes online with the rest of the block.
    online_mem_sections(kernel, pfn, nr_pages - nr_pages % PAGES_PER_SECTION)


@kernel_function("mm/memory_hotplug.c")
def mhp_deinit_memmap_on_memory(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Let the zone go of self-hosted vmemmap; the pages keep holding the memmap until removal."""
    offline_mem_sections(kernel, pfn, nr_pages - nr_pages % PAGES_PER_SECTION)
    remove_pfn_range_from_zone(kernel, kernel.page_zone(pfn), pfn, nr_pages)


def mhp_supports_memmap_on_memory(kernel: Kernel, nr_pages: int) -> bool:
    """Return whether a range of this size can hold its own memmap on this kernel.

    6.1 takes exactly one memory block, 6.12 any number of them. The memmap of a block must be whole
    pageblocks, so that what is left can be onlined.
    """
    vmemmap = vmemmap_pages(kernel.block_pages)
    # 6b8f0798b85a, "mm/memory_hotplug: split memmap_on_memory requests across memblocks": in 6.12, not 6.1.
    fits = nr_pages == kernel.block_pages or kernel.release.self_hosts_each_block
    return fits and is_aligned(vmemmap, pageblock_nr_pages)
