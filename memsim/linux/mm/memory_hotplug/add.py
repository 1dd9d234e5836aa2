"""The entry points of memory hotplug: the first lines of ``mm/memory_hotplug.c`` that a driver calls.

``add_memory()`` and ``remove_memory()`` stand for ``__add_memory()`` and ``__remove_memory()``, too: the same
for callers that hold the device hotplug lock (and the latter stops the machine on an error).
``create_memory_block_devices()`` is the loop over ``add_memory_block()``.

Left out: memory groups and the auto-movable policy, NUMA nodes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.arch.x86.mm.init_64 import arch_add_memory, arch_remove_memory
from memsim.linux.drivers.base.core import device_offline, device_online
from memsim.linux.drivers.base.memory.blocks import (
    MemoryBlock,
    create_memory_block_devices,
    remove_memory_block_devices,
    walk_memory_blocks,
)
from memsim.linux.include.layout import PAGE_SHIFT, hex_range, is_aligned, vmemmap_pages
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.kernel.resource import merge_system_ram_resource
from memsim.linux.mm.memory_failure import clear_hwpoisoned_pages
from memsim.linux.mm.memory_hotplug.online import mhp_supports_memmap_on_memory
from memsim.linux.mm.memory_hotplug.resources import register_memory_resource, release_memory_resource
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("mm/memory_hotplug.c")
def add_memory(
    kernel: Kernel,
    start_pfn: int,
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
    ``merge_resource`` its resource joins neighbours that were added so. Auto-onlining walks the blocks
    in ascending order and ends at the first that fails; the caller does not learn of it.

    Raises
    ------
    KernelError
        EINVAL: not whole memory blocks, a node there cannot be, a name that is not the kernel's or like
        ``System RAM (driver)``, or self-hosted vmemmap where 6.1 cannot do it (6.12 does without then).
        E2BIG: beyond what the kernel can map. EEXIST: part of the range is known already. ENOMEM: no
        memory for the memmap.
    """
    register_memory_resource(kernel, start_pfn, nr_pages, name)
    try:
        blocks = add_memory_resource(kernel, start_pfn, nr_pages, memmap_on_memory=memmap_on_memory, nid=nid)
    except KernelError:
        del kernel.iomem[start_pfn]
        raise
    # The resource is whole before the blocks come online, whatever onlining them does.
    if merge_resource:
        merge_system_ram_resource(kernel, start_pfn)
    if kernel.default_online_type != "offline":
        with suppress(KernelError):  # the walk ends at the first block that fails; the error is dropped
            for block in blocks:
                online_memory_block(kernel, block, kernel.default_online_type)


def add_memory_resource(
    kernel: Kernel, start_pfn: int, nr_pages: int, *, memmap_on_memory: bool, nid: int
) -> list[MemoryBlock]:
    """Give a range whose resource is registered a memmap and memory blocks; return the blocks."""
    check_hotplug_memory_range(kernel, start_pfn, nr_pages, "add_memory_resource")
    if nid != 0:
        raise KernelError("EINVAL", "add_memory_resource", f"node {nid} is not possible, only 0 is")
    altmap = memmap_on_memory and can_self_host(kernel, start_pfn, nr_pages)
    arch_add_memory(kernel, start_pfn, nr_pages, altmap=altmap)
    nr_vmemmap_pages = vmemmap_pages(kernel.block_pages) if altmap else 0
    return create_memory_block_devices(kernel, start_pfn, nr_pages, nr_vmemmap_pages)


def check_hotplug_memory_range(kernel: Kernel, start_pfn: int, nr_pages: int, stage: str) -> None:
    """Refuse (EINVAL) what is not a whole number of memory blocks; ``stage`` is the caller.

    ``offline_and_remove_memory()`` has the same check of its own, which prints nothing.
    """
    unit = kernel.block_pages
    if nr_pages <= 0 or not is_aligned(start_pfn, unit) or not is_aligned(nr_pages, unit):
        if stage != "offline_and_remove_memory":
            block, start, size = (pages << PAGE_SHIFT for pages in (unit, start_pfn, nr_pages))
            line = f"Block size [{block:#x}] unaligned hotplug range: start {start:#x}, size {size:#x}"
            kernel.state.printk(line)
        message = (
            f"pfn {start_pfn:#x}, {nr_pages} pages: start and size must be multiples of the memory block "
            f"size ({unit} pages), and the size not 0"
        )
        raise KernelError("EINVAL", stage, message)


def can_self_host(kernel: Kernel, start_pfn: int, nr_pages: int) -> bool:
    """Return whether a range will hold its own memmap; EINVAL on 6.1 when it was asked to and cannot."""
    supported = mhp_supports_memmap_on_memory(kernel, nr_pages)
    # 6b8f0798b85a, "mm/memory_hotplug: split memmap_on_memory requests across memblocks": in 6.12, not 6.1.
    if not supported and not kernel.release.self_hosts_each_block:
        message = f"{hex_range(start_pfn, nr_pages)} cannot hold its own memmap: it is not one memory block"
        raise KernelError("EINVAL", "add_memory_resource", message)
    return supported


def online_memory_block(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Online a block that was just added; KernelError: it stays offline."""
    device_online(kernel, block, online_type)


@kernel_function("mm/memory_hotplug.c")
def remove_memory(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Make a range of memory unknown again.

    Raises
    ------
    KernelError
        EINVAL: not whole blocks, or not a range that was added. EBUSY: a block is not offline.
    """
    try_remove_memory(kernel, start_pfn, nr_pages)


def try_remove_memory(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Remove a range whose blocks are all offline: blocks, memmap, resource."""
    check_hotplug_memory_range(kernel, start_pfn, nr_pages, "try_remove_memory")
    blocks = walk_memory_blocks(kernel, start_pfn, nr_pages)
    for block in blocks:
        check_memblock_offlined_cb(block, hex_range(start_pfn, nr_pages))
    remove_memory_block_devices(kernel, start_pfn, nr_pages)
    for block in blocks:
        clear_hwpoisoned_pages(kernel, block.start_pfn, block.nr_pages, block.nr_hwpoison)
    arch_remove_memory(kernel, start_pfn, nr_pages)
    release_memory_resource(kernel, start_pfn, nr_pages)


def check_memblock_offlined_cb(block: MemoryBlock, where: str) -> None:
    """Refuse (EBUSY) to remove a block that is not offline."""
    if block.state != "offline":
        message = f"memory block {block.block_id} of {where} is {block.state}"
        raise KernelError("EBUSY", "try_remove_memory", message)


@kernel_function("mm/memory_hotplug.c")
def offline_and_remove_memory(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Take all blocks of a range offline and remove it, or leave everything as it was.

    Blocks that this call took offline are onlined again, in their old zone, when a later one refuses;
    an error of that is only printed.

    Raises
    ------
    KernelError
        EINVAL: not whole blocks. Else the error of the first block that refuses.
    """
    check_hotplug_memory_range(kernel, start_pfn, nr_pages, "offline_and_remove_memory")
    done: list[tuple[MemoryBlock, str]] = []
    try:
        for block in walk_memory_blocks(kernel, start_pfn, nr_pages):
            online_type = try_offline_memory_block(kernel, block)
            if online_type is not None:
                done.append((block, online_type))
        remove_memory(kernel, start_pfn, nr_pages)
    except KernelError:
        for block, online_type in done:
            try_reonline_memory_block(kernel, block, online_type)
        raise


def try_offline_memory_block(kernel: Kernel, block: MemoryBlock) -> str | None:
    """Take a block offline; return the online type that would undo it, None if it was offline already."""
    in_movable = block.zone is kernel.zone(ZoneType.MOVABLE)
    online_type = "online_movable" if in_movable else "online_kernel"
    return online_type if device_offline(kernel, block) else None


def try_reonline_memory_block(kernel: Kernel, block: MemoryBlock, online_type: str) -> None:
    """Online a block again that was taken offline in vain; an error is only printed."""
    try:
        device_online(kernel, block, online_type)
    except KernelError as error:
        kernel.state.printk(f"try_reonline_memory_block: Failed to re-online memory: {-error.errno}")
