"""Memory blocks: ``drivers/base/memory.c``, and the entry points that work on whole blocks.

A memory block is the unit of /sys/devices/system/memory/memoryN: an integer number of sections that
goes online and offline together.

``add_memory()`` and ``remove_memory()`` stand for ``__add_memory()`` and ``__remove_memory()``, too: the same
for callers that hold the device hotplug lock (and the latter stops the machine on an error).
``create_memory_block_devices()`` is the loop over ``create_memory_block()``; ``device_online()`` and
``device_offline()`` do what ``memory_subsys_online()``, ``memory_subsys_offline()`` and
``memory_block_change_state()`` do under them.

Left out: the boot parameter ``movable_node``, memory groups and the auto-movable policy, node
links, probe and soft-offline files.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.include.layout import hex_range, section_nr_to_pfn
from memsim.include.mmzone import Zone, ZoneType
from memsim.mm.memory_failure import clear_hwpoisoned_pages
from memsim.mm.memory_hotplug import (
    adjust_present_page_count,
    arch_add_memory,
    arch_remove_memory,
    check_block_aligned,
    mhp_deinit_memmap_on_memory,
    mhp_init_memmap_on_memory,
    mhp_supports_memmap_on_memory,
    online_pages,
    vmemmap_pages,
)
from memsim.mm.offline_pages import offline_pages
from memsim.mm.resource import (
    merge_system_ram_resource,
    register_memory_resource,
    release_memory_resource,
)
from memsim.trace import kernel_function

if TYPE_CHECKING:
    from memsim.kernel import Kernel

ONLINE_TYPES = ("offline", "online", "online_kernel", "online_movable")
"""The words of sysfs for MMOP_OFFLINE, MMOP_ONLINE, MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE."""


@dataclass(slots=True)
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


def memory_blocks_in(kernel: Kernel, pfn: int, nr_pages: int) -> list[MemoryBlock]:
    """Return the memory blocks of a range; ENOENT if one is missing."""
    first = pfn // kernel.block_pages
    ids = range(first, first + nr_pages // kernel.block_pages)
    return [find_memory_block(kernel, block_id) for block_id in ids]


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


def create_memory_block(kernel: Kernel, block_id: int, state: str = "offline") -> MemoryBlock:
    """Make one memory block device."""
    start = block_id * kernel.block_pages
    block = MemoryBlock(block_id, start, kernel.block_pages)
    kernel.memory_blocks[block_id] = block
    set_state(kernel, block, state)
    return block


def boot_memory_blocks(kernel: Kernel) -> None:
    """Make the blocks of boot memory, online, each with the one zone whose span it lies in, if it is one.

    ``early_node_zone_for_memory_block()``, drivers/base/memory.c: zones without RAM do not count.
    """
    ids = {section_nr_to_pfn(nr) // kernel.block_pages for nr in kernel.memmap.sections}
    populated = [zone for zone in kernel.state.zones if zone.populated]
    for block_id in sorted(ids):
        block = create_memory_block(kernel, block_id, "online")
        zones = [zone for zone in populated if intersects(zone, block.start_pfn, block.nr_pages)]
        block.zone = zones[0] if len(zones) == 1 else None


# ---- add and remove --------------------------------------------------------------------------------


@kernel_function
def add_memory(
    kernel: Kernel,
    pfn: int,
    nr_pages: int,
    *,
    name: str = "System RAM",
    memmap_on_memory: bool = False,
    merge_resource: bool = False,
    nid: int = 0,
) -> None:
    """Make a range of memory known, and its blocks online if ``auto_online_blocks`` says so.

    Struct pages exist afterwards but are not initialised; no zone counter moves. A driver that manages
    the memory itself gives it a ``name`` of its own, as with ``add_memory_driver_managed()``. With
    ``merge_resource`` its resource joins neighbours that were added so. What auto-onlining fails with is
    ignored, as the kernel does.

    Raises
    ------
    KernelError
        EINVAL: not whole memory blocks, a node there cannot be, a name that is not the kernel's or like
        ``System RAM (driver)``, or self-hosted vmemmap where 6.1 cannot do it (6.12 does without then).
        E2BIG: beyond what the kernel can map. EEXIST: part of the range is known already. ENOMEM: no
        memory for the memmap.
    """
    register_memory_resource(kernel, pfn, nr_pages, name)
    try:
        check_block_aligned(kernel, "add_memory_resource", pfn, nr_pages)
        check_node(nid)
        altmap = memmap_on_memory and can_self_host(kernel, pfn, nr_pages)
        arch_add_memory(kernel, pfn, nr_pages, altmap=altmap)
    except KernelError:
        del kernel.iomem[pfn]
        raise
    if merge_resource:
        merge_system_ram_resource(kernel, pfn)
    first = pfn // kernel.block_pages
    for block_id in range(first, first + nr_pages // kernel.block_pages):
        block = create_memory_block(kernel, block_id)
        block.nr_vmemmap_pages = vmemmap_pages(block.nr_pages) if altmap else 0
        if kernel.default_online_type != "offline":
            auto_online(kernel, block, kernel.default_online_type)


def check_node(nid: int) -> None:
    """Refuse (EINVAL) a node that is not possible: there is node 0 only."""
    if nid != 0:
        raise KernelError("EINVAL", "add_memory_resource", f"node {nid} is not possible, only 0 is")


def can_self_host(kernel: Kernel, pfn: int, nr_pages: int) -> bool:
    """Return whether a range will hold its own memmap; EINVAL on 6.1 when it was asked to and cannot."""
    supported = mhp_supports_memmap_on_memory(kernel, nr_pages)
    if not supported and not kernel.release.self_hosts_each_block:
        message = f"{hex_range(pfn, nr_pages)} cannot hold its own memmap: it is not one memory block"
        raise KernelError("EINVAL", "add_memory_resource", message)
    return supported


def auto_online(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Online a block that was just added; a failure leaves it offline and is told to nobody."""
    with suppress(KernelError):
        device_online(kernel, block, online_type)


@kernel_function
def remove_memory(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Make a range of memory unknown again.

    Raises
    ------
    KernelError
        EINVAL: not whole blocks, or not a range that was added. EBUSY: a block is not offline.
    """
    check_block_aligned(kernel, "try_remove_memory", pfn, nr_pages)
    blocks = memory_blocks_in(kernel, pfn, nr_pages)
    for block in blocks:
        if block.state != "offline":
            message = f"memory block {block.block_id} of {hex_range(pfn, nr_pages)} is {block.state}"
            raise KernelError("EBUSY", "try_remove_memory", message)
    for block in blocks:
        del kernel.memory_blocks[block.block_id]
        kernel.state.set_block_state(block.block_id, None)
        clear_hwpoisoned_pages(kernel, block.start_pfn, block.nr_pages, block.nr_hwpoison)
    arch_remove_memory(kernel, pfn, nr_pages)
    release_memory_resource(kernel, pfn, nr_pages)


# ---- online and offline ----------------------------------------------------------------------------


def zone_for_pfn_range(kernel: Kernel, online_type: str, pfn: int, nr_pages: int) -> Zone:
    """Return the zone that a range goes to: what was asked for, else where its neighbours are."""
    movable = kernel.zone(ZoneType.MOVABLE)
    if online_type == "online_movable":
        return movable
    low = (ZoneType.DMA, ZoneType.DMA32, ZoneType.NORMAL)
    near = [kernel.zone(z) for z in low if intersects(kernel.zone(z), pfn, nr_pages)]
    default_kernel = near[0] if near else kernel.zone(ZoneType.NORMAL)
    if online_type == "online_kernel":
        return default_kernel
    in_movable = intersects(movable, pfn, nr_pages)
    return movable if in_movable and not near else default_kernel


def intersects(zone: Zone, pfn: int, nr_pages: int) -> bool:
    """Return whether a range overlaps the span of a zone (``zone_intersects()``)."""
    return zone.spanned_pages > 0 and pfn < zone.zone_end_pfn and zone.zone_start_pfn < pfn + nr_pages


@kernel_function
def memory_block_online(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Bring the pages of a block online in the zone that ``online_type`` asks for.

    Pages that hold the block's own memmap come first; they are counted as present when all is done.

    Raises
    ------
    KernelError
        EHWPOISON (6.12): pages of the block were poisoned. Else what ``online_pages()`` fails with.
    """
    if block.nr_hwpoison:
        message = f"memory block {block.block_id} has {block.nr_hwpoison} poisoned pages"
        raise KernelError("EHWPOISON", "memory_block_online", message)
    zone = zone_for_pfn_range(kernel, online_type, block.start_pfn, block.nr_pages)
    start, vmemmap = block.start_pfn, block.nr_vmemmap_pages
    if vmemmap:
        mhp_init_memmap_on_memory(kernel, start, vmemmap, zone)
    try:
        online_pages(kernel, start + vmemmap, block.nr_pages - vmemmap, zone)
    except KernelError:
        if vmemmap:
            mhp_deinit_memmap_on_memory(kernel, start, vmemmap)
        raise
    if vmemmap:
        adjust_present_page_count(kernel, start, vmemmap)
    block.zone = zone


@kernel_function
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


def device_online(kernel: Kernel, block: MemoryBlock, online_type: str = "online") -> bool:
    """Do what writing ``online_type`` to the block's state file does; False: it was online already.

    Raises
    ------
    KernelError
        What ``online_pages()`` fails with; the block is offline then.
    """
    if block.state == "online":
        return False
    memory_block_online(kernel, block, "online" if online_type == "offline" else online_type)
    set_state(kernel, block, "online")
    return True


def device_offline(kernel: Kernel, block: MemoryBlock) -> bool:
    """Do what writing ``offline`` to the block's state file does; False: it was offline already.

    Raises
    ------
    KernelError
        What ``offline_pages()`` fails with; the block is online then.
    """
    if block.state == "offline":
        return False
    set_state(kernel, block, "going-offline")
    try:
        memory_block_offline(kernel, block)
    except KernelError:
        set_state(kernel, block, "online")
        raise
    set_state(kernel, block, "offline")
    return True


@kernel_function
def offline_and_remove_memory(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Take all blocks of a range offline and remove it, or leave everything as it was.

    Blocks that this call took offline come online again, in their old zone, when a later one refuses;
    that is an attempt, and what it fails with is only printed.

    Raises
    ------
    KernelError
        EINVAL: not whole blocks. Else what the first block fails with.
    """
    check_block_aligned(kernel, "offline_and_remove_memory", pfn, nr_pages)
    movable = kernel.zone(ZoneType.MOVABLE)
    done: list[tuple[MemoryBlock, str]] = []
    try:
        for block in memory_blocks_in(kernel, pfn, nr_pages):
            online_type = "online_movable" if block.zone is movable else "online_kernel"
            if device_offline(kernel, block):
                done.append((block, online_type))
        remove_memory(kernel, pfn, nr_pages)
    except KernelError:
        for block, online_type in done:
            auto_online(kernel, block, online_type)
        raise
