"""Devices that go online and offline: ``drivers/base/core.c``, for memory blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.drivers.base.memory.blocks import memory_subsys_offline, memory_subsys_online

if TYPE_CHECKING:
    from memsim.linux.drivers.base.memory.blocks import MemoryBlock
    from memsim.state.kernel import Kernel


def device_online(kernel: Kernel, block: MemoryBlock, online_type: str = "online") -> bool:
    """Bring a block online; return False, with nothing done, if it is online already.

    Raises
    ------
    KernelError
        What ``memory_block_online()`` fails with; the block is offline then.
    """
    if block.state == "online":
        return False
    memory_subsys_online(kernel, block, online_type)
    return True


def device_offline(kernel: Kernel, block: MemoryBlock) -> bool:
    """Take a block offline; return False, with nothing done, if it is offline already.

    Raises
    ------
    KernelError
        What ``memory_block_offline()`` fails with; the block is online then.
    """
    if block.state == "offline":
        return False
    memory_subsys_offline(kernel, block)
    return True
