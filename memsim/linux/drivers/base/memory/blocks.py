"""Memory blocks: ``drivers/base/memory.c``.

A memory block is the unit of /sys/devices/system/memory/memoryN: an integer number of sections that
goes online and offline together.

Left out: the boot parameter ``movable_node``, memory groups and the auto-movable policy, node
links, probe and soft-offline files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import memory_notify
from memsim.linux.include.layout import section_nr_to_pfn
from memsim.linux.include.mmzone import zone_intersects
from memsim.linux.mm.memory_hotplug.offline import offline_pages
from memsim.linux.mm.memory_hotplug.online import (
    adjust_present_page_count,
    mhp_deinit_memmap_on_memory,
    mhp_init_memmap_on_memory,
    online_pages,
)
from memsim.linux.mm.memory_hotplug.zones import zone_for_pfn_range
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel

ONLINE_TYPES = ("offline", "online", "online_kernel", "online_movable")
"""The words of sysfs for MMOP_OFFLINE, MMOP_ONLINE, MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE."""


@dataclass(slots=True, repr=False)
class MemoryBlock:
    """``struct memory_block``: ``zone`` is None while not online, or when it spans several zones."""

    block_id: int
    start_pfn: int
    nr_pages: int
    state: str = "offline"
    zone: Zone | None = None
    nr_vmemmap_pages: int = 0
    """Pages at the start that hold the struct pages of the block itself."""
    nr_hwpoison: int = 0

    def __repr__(self) -> str:
        """Show number, range, state and zone."""
        zone = self.zone.name if self.zone else "none"
        where = f"{self.start_pfn:#x}, {self.nr_pages} pages"
        return f"MemoryBlock({self.block_id}, {where}, {self.state}, zone {zone})"


def block_ids(kernel: Kernel, start_pfn: int, nr_pages: int) -> range:
    """Return the ids of the memory blocks that a range of whole blocks has, or would have."""
    first = start_pfn // kernel.block_pages
    return range(first, first + nr_pages // kernel.block_pages)


def walk_memory_blocks(kernel: Kernel, start_pfn: int, nr_pages: int) -> list[MemoryBlock]:
    """Return the memory blocks of a range that are there, for the caller to walk."""
    known, ids = kernel.memory_blocks, block_ids(kernel, start_pfn, nr_pages)
    return [known[block_id] for block_id in ids if block_id in known]


def find_memory_block(kernel: Kernel, block_id: int) -> MemoryBlock:
    """Return a memory block by its id.

    Raises
    ------
    KernelError
        ENOENT: there is no /sys/devices/system/memory/memory<block_id>.
    """
    try:
        found: MemoryBlock = kernel.memory_blocks[block_id]
    except KeyError:
        known = ", ".join(map(str, sorted(kernel.memory_blocks))) or "none"
        message = f"there is no memory block {block_id}; present are {known}"
        raise KernelError("ENOENT", "find_memory_block", message) from None
    return found


def set_state(kernel: Kernel, block: MemoryBlock, state: str) -> None:
    """Change what sysfs shows as the block's state."""
    block.state = state
    kernel.state.set_block_state(block.block_id, state)


# ---- blocks come and go ----------------------------------------------------------------------------


def add_memory_block(kernel: Kernel, block_id: int, state: str = "offline") -> MemoryBlock:
    """Make one memory block device."""
    block = MemoryBlock(block_id, block_id * kernel.block_pages, kernel.block_pages)
    kernel.memory_blocks[block_id] = block
    set_state(kernel, block, state)
    return block


def create_memory_block_devices(
    kernel: Kernel, start_pfn: int, nr_pages: int, nr_vmemmap_pages: int = 0
) -> list[MemoryBlock]:
    """Make the memory blocks of a range; each holds its own memmap in its first ``nr_vmemmap_pages``."""
    blocks = [add_memory_block(kernel, block_id) for block_id in block_ids(kernel, start_pfn, nr_pages)]
    for block in blocks:
        block.nr_vmemmap_pages = nr_vmemmap_pages
    return blocks


def remove_memory_block_devices(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Remove the memory blocks of a range; ENOENT, where the kernel only warns, if one is missing."""
    for block in [find_memory_block(kernel, each) for each in block_ids(kernel, start_pfn, nr_pages)]:
        del kernel.memory_blocks[block.block_id]
        kernel.state.set_block_state(block.block_id, None)


def memory_dev_init(kernel: Kernel) -> None:
    """Make the memory blocks of boot memory, online."""
    ids = {section_nr_to_pfn(nr) // kernel.block_pages for nr in kernel.memmap.sections}
    populated = [zone for zone in kernel.state.zones if zone.populated]
    for block_id in sorted(ids):
        block = add_memory_block(kernel, block_id, "online")
        block.zone = early_node_zone_for_memory_block(block, populated)


def early_node_zone_for_memory_block(block: MemoryBlock, populated: list[Zone]) -> Zone | None:
    """Return the one zone whose span a block of boot memory lies in; zones without RAM do not count."""
    zones = [zone for zone in populated if zone_intersects(zone, block.start_pfn, block.nr_pages)]
    return zones[0] if len(zones) == 1 else None


def memblk_nr_poison_inc(kernel: Kernel, pfn: int) -> None:
    """Count a poisoned page in its memory block."""
    find_memory_block(kernel, pfn // kernel.block_pages).nr_hwpoison += 1


# ---- online and offline ----------------------------------------------------------------------------


@kernel_function("drivers/base/memory.c")
def memory_block_online(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Bring the pages of a block online in the zone that ``online_type`` asks for.

    Pages that hold the block's own memmap come first; they are counted as present when all is done. 6.12 asks
    the listeners before it touches any page (MEM_PREPARE_ONLINE), and tells them when it gives up.

    Raises
    ------
    KernelError
        EHWPOISON (6.12): pages of the block were poisoned. The errno of a listener that vetoed
        MEM_PREPARE_ONLINE (6.12); the others hear nothing then. Else what ``online_pages()`` fails with.
    """
    if block.nr_hwpoison:
        message = f"memory block {block.block_id} has {block.nr_hwpoison} poisoned pages"
        raise KernelError("EHWPOISON", "memory_block_online", message)
    zone = zone_for_pfn_range(kernel, online_type, block.start_pfn, block.nr_pages)
    start, vmemmap = block.start_pfn, block.nr_vmemmap_pages
    notify_accessible(kernel, "MEM_PREPARE_ONLINE", block)
    if vmemmap:
        mhp_init_memmap_on_memory(kernel, start, vmemmap, zone)
    try:
        online_pages(kernel, start + vmemmap, block.nr_pages - vmemmap, zone)
    except KernelError:
        if vmemmap:
            mhp_deinit_memmap_on_memory(kernel, start, vmemmap)
        notify_accessible(kernel, "MEM_FINISH_OFFLINE", block)
        raise
    if vmemmap:
        adjust_present_page_count(kernel, start, vmemmap)
    block.zone = zone


def notify_accessible(kernel: Kernel, action: str, block: MemoryBlock) -> None:
    """Tell the listeners that a block is about to be used, or no longer is (6.9 to 6.18).

    Only s390 listens, to have the hypervisor back the memory, and let go of it.
    """
    if kernel.release.prepares_online:
        vmemmap = block.nr_vmemmap_pages
        memory_notify(kernel, action, block.start_pfn + vmemmap, block.nr_pages - vmemmap)


@kernel_function("drivers/base/memory.c")
def memory_block_offline(kernel: Kernel, block: MemoryBlock) -> None:
    """Take the pages of a block offline; EINVAL for a block that spans several zones.

    Pages that hold the block's own memmap are never isolated or migrated; they stop being present
    before the rest is tried, and are present again if that fails.
    """
    if block.zone is None:
        message = f"memory block {block.block_id} spans more than one zone"
        raise KernelError("EINVAL", "memory_block_offline", message)
    start, vmemmap = block.start_pfn, block.nr_vmemmap_pages
    if vmemmap:
        adjust_present_page_count(kernel, start, -vmemmap)
    try:
        offline_pages(kernel, start + vmemmap, block.nr_pages - vmemmap, block.zone)
    except KernelError:
        if vmemmap:
            adjust_present_page_count(kernel, start, vmemmap)
        raise
    if vmemmap:
        mhp_deinit_memmap_on_memory(kernel, start, vmemmap)
    block.zone = None
    notify_accessible(kernel, "MEM_FINISH_OFFLINE", block)


def memory_subsys_online(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Bring a block online; without a zone in ``online_type`` the kernel chooses one.

    Raises
    ------
    KernelError
        What ``memory_block_online()`` fails with; the block is offline then.
    """
    if block.state == "online":
        return
    memory_block_online(kernel, block, "online" if online_type == "offline" else online_type)
    set_state(kernel, block, "online")


def memory_subsys_offline(kernel: Kernel, block: MemoryBlock) -> None:
    """Take a block offline.

    Raises
    ------
    KernelError
        What ``memory_block_offline()`` fails with; the block is online then.
    """
    if block.state == "offline":
        return
    memory_block_change_state(kernel, block)


def memory_block_change_state(kernel: Kernel, block: MemoryBlock) -> None:
    """Show ``going-offline`` while a block is taken offline, and the new state afterwards.

    (The kernel's function also brings blocks online; there is no state in between then.)
    """
    set_state(kernel, block, "going-offline")
    try:
        memory_block_offline(kernel, block)
    except KernelError:
        set_state(kernel, block, "online")
        raise
    set_state(kernel, block, "offline")
