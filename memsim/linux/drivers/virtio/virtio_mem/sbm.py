"""Sub-block mode of virtio-mem: parts of a memory block are plugged and unplugged.

Models the ``virtio_mem_sbm_*`` functions of ``drivers/virtio/virtio_mem.c``. The driver goes by its bitmap of
plugged sub-blocks, not by the memmap: that is how it finds the pages to withhold at every onlining. Functions
that plug or unplug return how many sub-blocks they did; the kernel's subtract that number from ``*nb_sb``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.drivers.virtio.virtio_mem.memory import (
    virtio_mem_add_memory,
    virtio_mem_offline_and_remove_memory,
    virtio_mem_remove_memory,
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
from memsim.linux.drivers.virtio.virtio_mem.state import MbState, virtio_mem_could_add_memory
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.notifier import NOTIFY_BAD, NOTIFY_OK
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem

_PARTIAL = (MbState.KERNEL_PARTIAL, MbState.MOVABLE_PARTIAL, MbState.OFFLINE_PARTIAL)
_UNPLUG_ORDER = (
    MbState.OFFLINE_PARTIAL,
    MbState.OFFLINE,
    MbState.MOVABLE_PARTIAL,
    MbState.KERNEL_PARTIAL,
    MbState.MOVABLE,
    MbState.KERNEL,
)
_OFFLINE = (MbState.OFFLINE, MbState.OFFLINE_PARTIAL)


# ---- plug ------------------------------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_plug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Plug sub-blocks: first where a block has some, then unused blocks, then new ones.

    Raises
    ------
    KernelError
        ENOSPC: the usable region is full, or too much memory is offline. Else what a step fails with.
    """
    nb_sb = nr_pages // vm.sbm.sb_pages
    for state in _PARTIAL:
        for mb_id in vm.sbm.blocks(state):
            nb_sb -= virtio_mem_sbm_plug_any_sb(vm, mb_id, nb_sb)
            if not nb_sb:
                return
    for mb_id in vm.sbm.blocks(MbState.UNUSED):
        if not nb_sb:
            return
        nb_sb -= virtio_mem_sbm_plug_and_add_mb(vm, mb_id, nb_sb)
    while nb_sb:
        nb_sb -= virtio_mem_sbm_plug_and_add_mb(vm, virtio_mem_sbm_prepare_next_mb(vm), nb_sb)


def virtio_mem_sbm_prepare_next_mb(vm: VirtioMem) -> int:
    """Prepare the next memory block of the usable region; ENOSPC if there is none."""
    sbm = vm.sbm
    mb_id = sbm.first_mb_id + len(sbm.state)
    if sbm.pfn(mb_id + 1) > vm.host.start_pfn + vm.host.usable_pages:
        message = f"memory block {mb_id} is beyond the usable region"
        raise KernelError("ENOSPC", "virtio_mem_sbm_prepare_next_mb", message)
    sbm.state[mb_id] = MbState.UNUSED
    sbm.plugged[mb_id] = np.zeros(sbm.sbs_per_mb, bool)
    return mb_id


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_plug_any_sb(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Plug up to ``nb_sb`` sub-blocks of a block that Linux has already; return how many."""
    done, old_state, plugged = 0, vm.sbm.state[mb_id], vm.sbm.plugged[mb_id]
    while done < nb_sb and not plugged.all():
        sb_id = int(plugged.argmin())
        rest = plugged[sb_id : sb_id + nb_sb - done]
        count = int(rest.argmax()) if rest.any() else len(rest)
        virtio_mem_sbm_plug_sb(vm, mb_id, sb_id, count)
        if old_state != MbState.OFFLINE_PARTIAL:
            virtio_mem_fake_online(vm.kernel, vm.sbm.pfn(mb_id, sb_id), count * vm.sbm.sb_pages)
        done += count
    if plugged.all():
        vm.sbm.state[mb_id] = MbState(old_state - 1)
    return done


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_plug_and_add_mb(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Plug sub-blocks of a block that Linux does not have, and add it; return how many."""
    sbm = vm.sbm
    if not virtio_mem_could_add_memory(vm, sbm.mb_pages):
        message = f"{vm.offline_pages} added pages are still offline (limit {vm.offline_threshold})"
        raise KernelError("ENOSPC", "virtio_mem_sbm_plug_request", message)
    count = min(nb_sb, sbm.sbs_per_mb)
    virtio_mem_sbm_plug_sb(vm, mb_id, 0, count)
    # The notifiers must find the block in the right state while it is added.
    sbm.state[mb_id] = MbState.OFFLINE if count == sbm.sbs_per_mb else MbState.OFFLINE_PARTIAL
    try:
        virtio_mem_add_memory(vm, sbm.pfn(mb_id), sbm.mb_pages)
    except KernelError:
        sbm.state[mb_id] = MbState.UNUSED if try_unplug_sb(vm, mb_id, 0, count) else MbState.PLUGGED
        raise
    return count


def virtio_mem_sbm_plug_sb(vm: VirtioMem, mb_id: int, sb_id: int, count: int) -> None:
    """Ask the host for sub-blocks and note them."""
    virtio_mem_send_plug_request(vm, vm.sbm.pfn(mb_id, sb_id), count * vm.sbm.sb_pages)
    vm.sbm.plugged[mb_id][sb_id : sb_id + count] = True


# ---- unplug ----------------------------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_unplug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Unplug sub-blocks: offline blocks first, then movable, then kernel; from the top downwards.

    Raises
    ------
    KernelError
        EBUSY: some could not be unplugged. Else what the host answers.
    """
    nb_sb = nr_pages // vm.sbm.sb_pages
    for state in _UNPLUG_ORDER:
        for mb_id in reversed(vm.sbm.blocks(state)):
            nb_sb -= virtio_mem_sbm_unplug_any_sb(vm, mb_id, nb_sb)
            if not nb_sb:
                return
    message = f"{nb_sb} sub-blocks are in use and cannot be unplugged"
    raise KernelError("EBUSY", "virtio_mem_sbm_unplug_request", message)


def virtio_mem_sbm_unplug_any_sb(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Unplug up to ``nb_sb`` sub-blocks of a block, in the way that its state asks for; return how many."""
    if vm.sbm.state[mb_id] in _OFFLINE:
        return virtio_mem_sbm_unplug_any_sb_offline(vm, mb_id, nb_sb)
    return virtio_mem_sbm_unplug_any_sb_online(vm, mb_id, nb_sb)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_unplug_any_sb_raw(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Unplug sub-blocks that Linux does not use, highest first, runs at once; return how many."""
    done, plugged = 0, vm.sbm.plugged[mb_id]
    while done < nb_sb and plugged.any():
        end = len(plugged) - int(plugged[::-1].argmax())
        start = end
        while start > 0 and plugged[start - 1] and end - start < nb_sb - done:
            start -= 1
        virtio_mem_sbm_unplug_sb(vm, mb_id, start, end - start)
        done += end - start
    return done


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_unplug_any_sb_offline(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Unplug sub-blocks of an offline block; an empty block is removed from Linux."""
    sbm = vm.sbm
    try:
        done = virtio_mem_sbm_unplug_any_sb_raw(vm, mb_id, nb_sb)
    finally:
        if not sbm.plugged[mb_id].all():
            sbm.state[mb_id] = MbState.OFFLINE_PARTIAL
    if not sbm.plugged[mb_id].any():
        # The notifiers do not look at unused blocks, so the state changes before the block goes.
        sbm.state[mb_id] = MbState.UNUSED
        virtio_mem_remove_memory(vm, sbm.pfn(mb_id), sbm.mb_pages)
    return done


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_unplug_any_sb_online(vm: VirtioMem, mb_id: int, nb_sb: int) -> int:
    """Unplug sub-blocks of an online block, the whole block at once if possible; return how many."""
    done, plugged, sbs_per_mb = 0, vm.sbm.plugged[mb_id], vm.sbm.sbs_per_mb
    if nb_sb >= sbs_per_mb and plugged.all():
        done = sbs_per_mb if unplug_unless_busy(vm, mb_id, 0, sbs_per_mb) else 0
    for sb_id in reversed(range(sbs_per_mb)):
        if done == nb_sb or not plugged.any():
            break
        if plugged[sb_id] and unplug_unless_busy(vm, mb_id, sb_id, 1):
            done += 1
    virtio_mem_sbm_try_remove_unplugged_mb(vm, mb_id)
    return done


def unplug_unless_busy(vm: VirtioMem, mb_id: int, sb_id: int, count: int) -> bool:
    """Unplug sub-blocks of an online block; return False, with nothing done, if they are in use."""
    try:
        virtio_mem_sbm_unplug_sb_online(vm, mb_id, sb_id, count)
    except KernelError as error:
        if error.name == "EBUSY":
            return False
        raise
    return True


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_unplug_sb_online(vm: VirtioMem, mb_id: int, sb_id: int, count: int) -> None:
    """Take sub-blocks from the buddy and give them to the host; EBUSY if they are in use."""
    pfn, nr_pages = vm.sbm.pfn(mb_id, sb_id), count * vm.sbm.sb_pages
    virtio_mem_fake_offline(vm, pfn, nr_pages)
    try:
        virtio_mem_sbm_unplug_sb(vm, mb_id, sb_id, count)
    except KernelError:
        virtio_mem_fake_online(vm.kernel, pfn, nr_pages)
        raise
    if vm.sbm.state[mb_id] in {MbState.KERNEL, MbState.MOVABLE}:
        vm.sbm.state[mb_id] = MbState(vm.sbm.state[mb_id] + 1)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_try_remove_unplugged_mb(vm: VirtioMem, mb_id: int) -> None:
    """Offline and remove a block if nothing in it is plugged; a failure is not fatal."""
    sbm = vm.sbm
    if sbm.plugged[mb_id].any():
        return
    try:
        virtio_mem_offline_and_remove_memory(vm, sbm.pfn(mb_id), sbm.mb_pages)
    except KernelError as error:
        vm.kernel.state.printk(f"virtio_mem {vm.name}: memory{mb_id} stays: {error}")
        # 6.1 ignores the error and schedules no retry: it has no have_unplugged_mb.
        sbm.have_unplugged_mb = vm.kernel.release.retries_removing_blocks
        return
    sbm.state[mb_id] = MbState.UNUSED


def virtio_mem_sbm_unplug_sb(vm: VirtioMem, mb_id: int, sb_id: int, count: int) -> None:
    """Give sub-blocks back to the host and note it."""
    virtio_mem_send_unplug_request(vm, vm.sbm.pfn(mb_id, sb_id), count * vm.sbm.sb_pages)
    vm.sbm.plugged[mb_id][sb_id : sb_id + count] = False


def try_unplug_sb(vm: VirtioMem, mb_id: int, sb_id: int, count: int) -> bool:
    """Give sub-blocks back; return False if the host does not take them."""
    try:
        virtio_mem_sbm_unplug_sb(vm, mb_id, sb_id, count)
    except KernelError:
        return False
    return True


def virtio_mem_sbm_unplug_mb(vm: VirtioMem, mb_id: int) -> None:
    """Unplug all plugged sub-blocks of a block that Linux does not have."""
    virtio_mem_sbm_unplug_any_sb_raw(vm, mb_id, vm.sbm.sbs_per_mb)
    vm.sbm.state[mb_id] = MbState.UNUSED


# ---- called by memory hotplug ----------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_notify_going_online(vm: VirtioMem, mb_id: int) -> int:
    """Allow a block of the device to come online if it is in a state for it."""
    return NOTIFY_OK if vm.sbm.state.get(mb_id) in _OFFLINE else NOTIFY_BAD


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_notify_online(vm: VirtioMem, mb_id: int) -> None:
    """Note that a block is online, and in which kind of zone."""
    partial = vm.sbm.state[mb_id] == MbState.OFFLINE_PARTIAL
    if vm.kernel.memmap.zone_of(vm.sbm.pfn(mb_id)) == ZoneType.MOVABLE:
        vm.sbm.state[mb_id] = MbState.MOVABLE_PARTIAL if partial else MbState.MOVABLE
    else:
        vm.sbm.state[mb_id] = MbState.KERNEL_PARTIAL if partial else MbState.KERNEL


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_notify_offline(vm: VirtioMem, mb_id: int) -> None:
    """Note that a block is offline."""
    partial = vm.sbm.state[mb_id] in _PARTIAL
    vm.sbm.state[mb_id] = MbState.OFFLINE_PARTIAL if partial else MbState.OFFLINE


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_notify_going_offline(vm: VirtioMem, mb_id: int) -> None:
    """Release the withheld pages."""
    for pfn, nr_pages in unplugged_runs(vm, mb_id):
        virtio_mem_fake_offline_going_offline(vm.kernel, pfn, nr_pages)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_sbm_notify_cancel_offline(vm: VirtioMem, mb_id: int) -> None:
    """Withhold them again."""
    for pfn, nr_pages in unplugged_runs(vm, mb_id):
        virtio_mem_fake_offline_cancel_offline(vm.kernel, pfn, nr_pages)


def unplugged_runs(vm: VirtioMem, mb_id: int) -> Iterator[tuple[int, int]]:
    """Yield (start_pfn, nr_pages) of each run of unplugged sub-blocks."""
    edges = np.diff(np.concatenate(([False], ~vm.sbm.plugged[mb_id], [False])).astype(np.int8))
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        yield vm.sbm.pfn(mb_id, int(start)), int(end - start) * vm.sbm.sb_pages
