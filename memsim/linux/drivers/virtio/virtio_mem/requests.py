"""Requests to the host: ``virtio_mem_send_request()`` of ``drivers/virtio/virtio_mem.c`` and its callers.

What the host answers becomes an errno, which decides whether and when the driver tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import hex_range
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem

_PLUG_ERRNO = {"NACK": "EAGAIN", "BUSY": "ETXTBSY", "ERROR": "EINVAL"}
_UNPLUG_ERRNO = {"NACK": "ENOMEM", "BUSY": "ETXTBSY", "ERROR": "EINVAL"}
_UNPLUG_ALL_ERRNO = {"NACK": "ENOMEM", "BUSY": "ETXTBSY", "ERROR": "ENOMEM"}
"""An answer that a request does not know counts as want of memory."""


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_send_plug_request(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Ask the host to plug a range.

    Raises
    ------
    KernelError
        EAGAIN: the configuration changed, or NACK. ETXTBSY: BUSY. EINVAL: ERROR.
    """
    virtio_mem_send_request(vm, "virtio_mem_send_plug_request", start_pfn, nr_pages, _PLUG_ERRNO)
    vm.host.set_plugged(start_pfn, nr_pages, plugged=True)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_send_unplug_request(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Ask the host to unplug a range.

    Raises
    ------
    KernelError
        EAGAIN: the configuration changed. ENOMEM: NACK. ETXTBSY: BUSY. EINVAL: ERROR.
    """
    virtio_mem_send_request(vm, "virtio_mem_send_unplug_request", start_pfn, nr_pages, _UNPLUG_ERRNO)
    vm.host.set_plugged(start_pfn, nr_pages, plugged=False)


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_send_unplug_all_request(vm: VirtioMem) -> None:
    """Ask the host to unplug everything, as a driver does that finds memory plugged by an earlier kernel.

    Raises
    ------
    KernelError
        ETXTBSY: BUSY. ENOMEM: any other refusal.
    """
    region = (vm.host.start_pfn, vm.host.region_pages)
    stage = "virtio_mem_send_unplug_all_request"
    virtio_mem_send_request(vm, stage, *region, _UNPLUG_ALL_ERRNO, asks_config=False)
    vm.host.set_plugged(*region, plugged=False)
    vm.unplug_all_required = False
    vm.host.config_changed = True  # the usable region may have shrunk


def virtio_mem_send_request(
    vm: VirtioMem,
    stage: str,
    start_pfn: int,
    nr_pages: int,
    errnos: dict[str, str],
    *,
    asks_config: bool = True,
) -> None:
    """Send a request for ``stage`` and turn any answer but ACK into an error.

    A driver that learns of a new configuration drops requests to plug or unplug a range.
    """
    answer, where = vm.host.respond(), hex_range(start_pfn, nr_pages)
    if asks_config and vm.host.config_changed:
        raise KernelError("EAGAIN", stage, f"the configuration changed before {where} was asked for")
    if answer != "ACK":
        raise KernelError(errnos[answer], stage, f"the host answers {answer} for {where}")
