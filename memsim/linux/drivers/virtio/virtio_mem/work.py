"""The work queue of virtio-mem: it drives the plugged size to the requested size.

``virtio_mem_run_wq()`` of ``drivers/virtio/virtio_mem.c`` and what only it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.virtio.virtio_mem.bbm import (
    virtio_mem_bbm_plug_request,
    virtio_mem_bbm_unplug_bb,
    virtio_mem_bbm_unplug_request,
)
from memsim.linux.drivers.virtio.virtio_mem.requests import virtio_mem_send_unplug_all_request
from memsim.linux.drivers.virtio.virtio_mem.sbm import (
    virtio_mem_sbm_plug_request,
    virtio_mem_sbm_try_remove_unplugged_mb,
    virtio_mem_sbm_unplug_mb,
    virtio_mem_sbm_unplug_request,
)
from memsim.linux.drivers.virtio.virtio_mem.state import (
    RETRY_TIMER_MAX_SECONDS,
    RETRY_TIMER_MIN_SECONDS,
    BbState,
    MbState,
)
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem

_RETRY_LATER = {"ETXTBSY", "EBUSY", "ENOMEM"}


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_run_wq(vm: VirtioMem) -> None:
    """Plug or unplug until the requested size is reached, or until the driver must wait."""
    vm.work_queued, vm.retry_in = False, None
    if vm.broken or vm.removing:
        return
    vm.wq_active = True
    while (error := try_once(vm)) is not None and error.name == "EAGAIN":
        vm.last_error = error
    vm.wq_active = False
    vm.last_error = error
    if error is None:
        vm.retry_timer = RETRY_TIMER_MIN_SECONDS
    elif error.name in _RETRY_LATER:
        vm.retry_in = vm.retry_timer
    elif error.name != "ENOSPC":  # no room: the host or an online block will wake the driver
        vm.broken = True
        vm.kernel.state.printk(f"virtio_mem {vm.name}: unknown error, marking device broken: {error}")


def try_once(vm: VirtioMem) -> KernelError | None:
    """Go towards the requested size once; return what stopped the driver, or None."""
    vm.host.config_changed = False
    try:
        go_towards_requested(vm)
    except KernelError as error:
        return error
    return None


def go_towards_requested(vm: VirtioMem) -> None:
    """Unplug what should not be plugged, then plug or unplug the difference."""
    if vm.unplug_all_required:
        virtio_mem_send_unplug_all_request(vm)
    virtio_mem_cleanup_pending_mb(vm)
    missing = vm.host.requested_pages - vm.host.plugged_pages
    if missing > 0:
        virtio_mem_plug_request(vm, missing)
    elif missing < 0:
        virtio_mem_unplug_request(vm, -missing)
    if vm.in_sbm and vm.sbm.have_unplugged_mb:
        message = "a block in which nothing is plugged cannot be removed"
        raise KernelError("EBUSY", "virtio_mem_run_wq", message)


def virtio_mem_plug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Plug memory, in the device's mode."""
    if vm.in_sbm:
        virtio_mem_sbm_plug_request(vm, nr_pages)
    else:
        virtio_mem_bbm_plug_request(vm, nr_pages)


def virtio_mem_unplug_request(vm: VirtioMem, nr_pages: int) -> None:
    """Unplug memory, in the device's mode."""
    if vm.in_sbm:
        virtio_mem_sbm_unplug_request(vm, nr_pages)
    else:
        virtio_mem_bbm_unplug_request(vm, nr_pages)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_cleanup_pending_mb(vm: VirtioMem) -> None:
    """Unplug what stayed plugged when adding it failed; try again to remove blocks that are empty."""
    if not vm.in_sbm:
        for bb_id in vm.bbm.blocks(BbState.PLUGGED):
            virtio_mem_bbm_unplug_bb(vm, bb_id)
        return
    for mb_id in vm.sbm.blocks(MbState.PLUGGED):
        virtio_mem_sbm_unplug_mb(vm, mb_id)
    if vm.sbm.have_unplugged_mb:
        vm.sbm.have_unplugged_mb = False
        for state in (MbState.MOVABLE_PARTIAL, MbState.KERNEL_PARTIAL, MbState.OFFLINE_PARTIAL):
            for mb_id in vm.sbm.blocks(state):
                virtio_mem_sbm_try_remove_unplugged_mb(vm, mb_id)


def virtio_mem_timer_expired(vm: VirtioMem) -> None:
    """Run again; the next wait is twice as long, up to a limit."""
    vm.retry_timer = min(2 * vm.retry_timer, RETRY_TIMER_MAX_SECONDS)
    virtio_mem_run_wq(vm)
