"""The entry points of memory hotplug: the first lines of ``mm/memory_hotplug.c`` that a driver calls.

``add_memory()`` and ``remove_memory()`` stand for ``__add_memory()`` and ``__remove_memory()``, too: the same
for callers that hold the device hotplug lock (and the latter stops the machine on an error).
``create_memory_block_devices()`` is the loop over ``create_memory_block()``.

Left out: memory groups and the auto-movable policy, NUMA nodes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.arch.x86.mm.init_64 import arch_add_memory, arch_remove_memory
from memsim.linux.drivers.base.memory.blocks import (
    MemoryBlock,
    create_memory_block,
    device_offline,
    device_online,
    memory_blocks_in,
)
from memsim.linux.include.layout import hex_range
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.kernel.resource import merge_system_ram_resource
from memsim.linux.mm.memory_failure import clear_hwpoisoned_pages
from memsim.linux.mm.memory_hotplug.online import (
    check_block_aligned,
    mhp_supports_memmap_on_memory,
    vmemmap_pages,
)
from memsim.linux.mm.memory_hotplug.resources import register_memory_resource, release_memory_resource
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


@kernel_function("mm/memory_hotplug.c")
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


@kernel_function("mm/memory_hotplug.c")
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


@kernel_function("mm/memory_hotplug.c")
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
