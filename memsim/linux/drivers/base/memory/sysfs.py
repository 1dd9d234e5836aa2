"""The files of a memory block in sysfs: ``drivers/base/memory.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.core import device_offline, device_online
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES

if TYPE_CHECKING:
    from memsim.linux.drivers.base.memory.blocks import MemoryBlock
    from memsim.state.kernel import Kernel


def state_store(kernel: Kernel, block: MemoryBlock, word: str) -> None:
    """Write a word to /sys/devices/system/memory/memoryN/state.

    Raises
    ------
    KernelError
        EINVAL: no word of :data:`ONLINE_TYPES`, or the block is in that state already. Else what onlining or
        offlining the block fails with.
    """
    if word not in ONLINE_TYPES:
        rule = f"{word!r} must be one of {', '.join(ONLINE_TYPES)}"
        raise KernelError("EINVAL", "state_store", rule)
    done = device_offline(kernel, block) if word == "offline" else device_online(kernel, block, word)
    if not done:
        rule = f"memory block {block.block_id} is {block.state} already"
        raise KernelError("EINVAL", "state_store", rule)
