"""Big-block mode of virtio-mem: a device block is at least a memory block.

Models the ``virtio_mem_bbm_*`` functions of ``drivers/virtio/virtio_mem.c``, with the safe way of unplugging
(``bbm_safe_unplug``): pages are taken from the buddy before the block goes offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.blocks import walk_memory_blocks
from memsim.linux.drivers.virtio.virtio_mem.memory import (
    virtio_mem_add_memory,
    virtio_mem_offline_and_remove_memory,
)
from memsim.linux.drivers.virtio.virtio_mem.pages import (
    virtio_mem_fake_offline,
    virtio_mem_fake_offline_cancel_offline,
    virtio_mem_fake_offline_going_offline,
    virtio_mem_fake_online,
)
from memsim.linux.drivers.virtio.virtio_mem.requests import (
    virtio_mem_send_plug_request,
    virtio_mem_send_unplug_request,
)
from memsim.linux.drivers.virtio.virtio_mem.state import BbState, virtio_mem_could_add_memory
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZoneType
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.linux.drivers.base.memory.blocks import MemoryBlock
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem


# ---- plug ------------------------------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_plug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Plug whole big blocks, unused ones first; ENOSPC when there are no more."""
    nb_bb = nr_pages // vm.bbm.bb_pages
    for bb_id in vm.bbm.blocks(BbState.UNUSED)[:nb_bb]:
        virtio_mem_bbm_plug_and_add_bb(vm, bb_id)
        nb_bb -= 1
    for _ in range(nb_bb):
        virtio_mem_bbm_plug_and_add_bb(vm, virtio_mem_bbm_prepare_next_bb(vm))


def virtio_mem_bbm_prepare_next_bb(vm: VirtioMem) -> int:
    """Prepare the next big block of the usable region; ENOSPC if there is none."""
    bbm = vm.bbm
    bb_id = bbm.first_bb_id + len(bbm.state)
    if (bb_id + 1) * bbm.bb_pages > vm.host.start_pfn + vm.host.usable_pages:
        message = f"big block {bb_id} is beyond the usable region"
        raise KernelError("ENOSPC", "virtio_mem_bbm_prepare_next_bb", message)
    bbm.state[bb_id] = BbState.UNUSED
    return bb_id


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_plug_and_add_bb(vm: VirtioMem, bb_id: int) -> None:
    """Plug a big block and add it to Linux; if that fails, unplug it again."""
    bbm = vm.bbm
    if not virtio_mem_could_add_memory(vm, bbm.bb_pages):
        message = f"{vm.offline_pages} added pages are still offline (limit {vm.offline_threshold})"
        raise KernelError("ENOSPC", "virtio_mem_bbm_plug_request", message)
    virtio_mem_send_plug_request(vm, bb_id * bbm.bb_pages, bbm.bb_pages)
    bbm.state[bb_id] = BbState.ADDED
    try:
        virtio_mem_add_memory(vm, bb_id * bbm.bb_pages, bbm.bb_pages)
    except KernelError:
        bbm.state[bb_id] = BbState.PLUGGED
        virtio_mem_bbm_unplug_bb(vm, bb_id)
        raise


# ---- unplug ----------------------------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_unplug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Unplug big blocks: offline ones first, then movable ones, then any; highest first."""
    nb_bb = nr_pages // vm.bbm.bb_pages
    for wanted in (virtio_mem_bbm_bb_is_offline, virtio_mem_bbm_bb_is_movable, lambda *_: True):
        for bb_id in reversed(vm.bbm.blocks(BbState.ADDED)):
            if nb_bb and wanted(vm, bb_id) and unplug_unless_busy(vm, bb_id):
                nb_bb -= 1
    if nb_bb:
        message = f"{nb_bb} big blocks are in use and cannot be unplugged"
        raise KernelError("EBUSY", "virtio_mem_bbm_unplug_request", message)


def unplug_unless_busy(vm: VirtioMem, bb_id: int) -> bool:
    """Unplug a big block; return False, with nothing done, if it is in use."""
    try:
        virtio_mem_bbm_offline_remove_and_unplug_bb(vm, bb_id)
    except KernelError as error:
        if error.name == "EBUSY":
            return False
        raise
    return True


def virtio_mem_bbm_bb_is_offline(vm: VirtioMem, bb_id: int) -> bool:
    """Return whether all memory blocks of a big block are offline."""
    return all_blocks(vm, bb_id, lambda block: block.state == "offline")


def virtio_mem_bbm_bb_is_movable(vm: VirtioMem, bb_id: int) -> bool:
    """Return whether all memory blocks of a big block are in ZONE_MOVABLE, or offline."""
    return all_blocks(vm, bb_id, lambda block: block.zone is None or block.zone.type == ZoneType.MOVABLE)


def all_blocks(vm: VirtioMem, bb_id: int, holds: Callable[[MemoryBlock], bool]) -> bool:
    """Return whether a condition holds for all memory blocks of a big block."""
    pages = vm.bbm.bb_pages
    return all(map(holds, walk_memory_blocks(vm.kernel, bb_id * pages, pages)))


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_offline_remove_and_unplug_bb(vm: VirtioMem, bb_id: int) -> None:
    """Withhold all pages, take the block offline and away, unplug it; EBUSY if it is in use."""
    kernel, bbm = vm.kernel, vm.bbm
    pfn, taken = bb_id * bbm.bb_pages, []
    bbm.state[bb_id] = BbState.FAKE_OFFLINE
    try:
        for section in range(pfn, pfn + bbm.bb_pages, PAGES_PER_SECTION):
            if kernel.memmap.section(section).online:
                virtio_mem_fake_offline(vm, section, PAGES_PER_SECTION)
                taken.append(section)
        virtio_mem_offline_and_remove_memory(vm, pfn, bbm.bb_pages)
    except KernelError:
        bbm.state[bb_id] = BbState.ADDED
        for section in taken:
            virtio_mem_fake_online(kernel, section, PAGES_PER_SECTION)
        raise
    bbm.state[bb_id] = BbState.PLUGGED
    virtio_mem_bbm_unplug_bb(vm, bb_id)


def virtio_mem_bbm_unplug_bb(vm: VirtioMem, bb_id: int) -> None:
    """Give a block that Linux does not have back to the host; it stays PLUGGED if that fails."""
    virtio_mem_send_unplug_request(vm, bb_id * vm.bbm.bb_pages, vm.bbm.bb_pages)
    vm.bbm.state[bb_id] = BbState.UNUSED


# ---- called by memory hotplug ----------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_notify_going_offline(vm: VirtioMem, bb_id: int, pfn: int, nr_pages: int) -> None:
    """Release the pages if the whole big block is withheld."""
    if vm.bbm.state[bb_id] == BbState.FAKE_OFFLINE:
        virtio_mem_fake_offline_going_offline(vm.kernel, pfn, nr_pages)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_bbm_notify_cancel_offline(vm: VirtioMem, bb_id: int, pfn: int, nr_pages: int) -> None:
    """Withhold them again."""
    if vm.bbm.state[bb_id] == BbState.FAKE_OFFLINE:
        virtio_mem_fake_offline_cancel_offline(vm.kernel, pfn, nr_pages)
