"""What memory hotplug asks virtio-mem: the memory notifier and the online page callback.

Both are in ``drivers/virtio/virtio_mem.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.drivers.virtio.virtio_mem.bbm import (
    virtio_mem_bbm_notify_cancel_offline,
    virtio_mem_bbm_notify_going_offline,
)
from memsim.linux.drivers.virtio.virtio_mem.pages import virtio_mem_set_fake_offline
from memsim.linux.drivers.virtio.virtio_mem.sbm import (
    virtio_mem_sbm_notify_cancel_offline,
    virtio_mem_sbm_notify_going_offline,
    virtio_mem_sbm_notify_going_online,
    virtio_mem_sbm_notify_offline,
    virtio_mem_sbm_notify_online,
)
from memsim.linux.drivers.virtio.virtio_mem.state import (
    BbState,
    virtio_mem_contains_range,
    virtio_mem_could_add_memory,
    virtio_mem_devices,
    virtio_mem_retry,
)
from memsim.linux.include.layout import count_trailing_zeros
from memsim.linux.include.notifier import NOTIFY_DONE, NOTIFY_OK, notifier_from_errno
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem
    from memsim.state.kernel import Kernel


# ---- the memory notifier ---------------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_memory_notifier_cb(vm: VirtioMem, action: str, start_pfn: int, nr_pages: int) -> int:
    """Answer the memory notifier: GOING_x may be refused, CANCEL_x undoes only what GOING_x did.

    The kernel asks ``virtio_mem_overlaps_range()``; a block that is only partly in the region is not the
    device's, and its number has no place in the driver's tables.
    """
    if not virtio_mem_contains_range(vm, start_pfn, nr_pages):
        return NOTIFY_DONE
    if action.startswith("MEM_GOING"):
        if vm.removing:
            return notifier_from_errno("EBUSY")
        vm.hotplug_active = True
    mb_id = start_pfn // vm.kernel.block_pages
    if action == "MEM_GOING_ONLINE":
        return virtio_mem_sbm_notify_going_online(vm, mb_id) if vm.in_sbm else NOTIFY_OK
    if action == "MEM_GOING_OFFLINE":
        notify_going_offline(vm, start_pfn, nr_pages)
    elif action == "MEM_ONLINE":
        notify_online(vm, mb_id, nr_pages)
    elif action == "MEM_OFFLINE":
        notify_offline(vm, mb_id, nr_pages)
    elif action == "MEM_CANCEL_OFFLINE" and vm.hotplug_active:
        notify_cancel_offline(vm, start_pfn, nr_pages)
    vm.hotplug_active = action == "MEM_GOING_OFFLINE"
    return NOTIFY_OK


def notify_going_offline(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Release withheld pages, in the device's mode."""
    if vm.in_sbm:
        virtio_mem_sbm_notify_going_offline(vm, start_pfn // vm.sbm.mb_pages)
    else:
        virtio_mem_bbm_notify_going_offline(vm, start_pfn // vm.bbm.bb_pages, start_pfn, nr_pages)


def notify_cancel_offline(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Withhold them again."""
    if vm.in_sbm:
        virtio_mem_sbm_notify_cancel_offline(vm, start_pfn // vm.sbm.mb_pages)
    else:
        virtio_mem_bbm_notify_cancel_offline(vm, start_pfn // vm.bbm.bb_pages, start_pfn, nr_pages)


def notify_online(vm: VirtioMem, mb_id: int, nr_pages: int) -> None:
    """Note the zone, and plug more once half of what may be offline is online again."""
    if vm.in_sbm:
        virtio_mem_sbm_notify_online(vm, mb_id)
    vm.offline_pages -= nr_pages
    # Not while the driver itself adds memory that comes online at once.
    if not vm.wq_active and virtio_mem_could_add_memory(vm, vm.offline_threshold // 2):
        virtio_mem_retry(vm)


def notify_offline(vm: VirtioMem, mb_id: int, nr_pages: int) -> None:
    """Note that a block is offline."""
    if vm.in_sbm:
        virtio_mem_sbm_notify_offline(vm, mb_id)
    vm.offline_pages += nr_pages


# ---- the online page callback ----------------------------------------------------------------------


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_online_page_cb(kernel: Kernel, pfn: int, order: int) -> None:
    """Hand a chunk to the device that it belongs to; other memory (a DIMM) goes to the buddy."""
    for vm in virtio_mem_devices(kernel):
        if virtio_mem_contains_range(vm, pfn, 1 << order):
            virtio_mem_online_page(vm, pfn, order)
            return
    generic_online_page(kernel, pfn, order)


def virtio_mem_online_page(vm: VirtioMem, pfn: int, order: int) -> None:
    """Online or withhold a chunk; one that has both kinds of sub-blocks is taken apart once."""
    end = pfn + (1 << order)
    while pfn < end:
        plugged = are_plugged(vm, pfn, order)
        if plugged is None:
            order = count_trailing_zeros(vm.sbm.sb_pages)
            continue
        if plugged:
            generic_online_page(vm.kernel, pfn, order)
        else:
            virtio_mem_set_fake_offline(vm.kernel, pfn, 1 << order, onlined=False)
        pfn += 1 << order


def are_plugged(vm: VirtioMem, pfn: int, order: int) -> bool | None:
    """Return whether the pages of a chunk may be onlined; None: some of its sub-blocks only."""
    if not vm.in_sbm:
        return vm.bbm.state[pfn // vm.bbm.bb_pages] != BbState.FAKE_OFFLINE
    mb_id, offset = divmod(pfn, vm.sbm.mb_pages)
    first = offset // vm.sbm.sb_pages
    covered = vm.sbm.plugged[mb_id][first : first + max(1, (1 << order) // vm.sbm.sb_pages)]
    return bool(covered[0]) if covered.all() or not covered.any() else None
