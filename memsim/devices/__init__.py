"""The devices of a machine: a driver of :mod:`memsim.linux.drivers`, and the host behind it.

A scenario names them in ``machine.devices``; :data:`DEVICE_KINDS` says what each kind needs and which module
makes it (``make(kernel, spec)``). The module is imported when a machine has such a device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


class Device(Protocol):
    """The methods that all devices have."""

    def host_will(self, answer: str, times: int) -> None:
        """Make the host give ``answer`` to the next ``times`` requests."""

    def plugged_pages(self) -> int:
        """Return how many pages the host gives to the machine through this device."""

    def wait(self, seconds: int) -> None:
        """Let simulated time pass."""

    def run(self) -> None:
        """Run the driver's own thread until it has nothing to do; most drivers have none."""


class DeviceKind(NamedTuple):
    """A kind of device: its required and optional whole numbers, and its module."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    module: str

    def make(self, kernel: Kernel, spec: dict[str, Any]) -> Device:
        """Return a device of this kind, probed by its driver."""
        return cast("Device", import_module(self.module).make(kernel, spec))


DEVICE_KINDS: dict[str, DeviceKind] = {
    "virtio-mem": DeviceKind(
        required=("start_pfn", "region_pages", "device_block_pages"),
        optional=("requested_pages", "usable_region_pages", "plugged_pages"),
        module="memsim.devices.virtio_mem",
    ),
    "hv-balloon": DeviceKind(required=(), optional=(), module="memsim.devices.hv_balloon"),
    "xen-balloon": DeviceKind(
        required=("hotplug_start_pfn",),
        optional=("extra_start_pfn", "extra_pages"),
        module="memsim.devices.xen_balloon",
    ),
}
