"""A virtio-mem device: the state of its driver, and its host.

Time is simulated: see :meth:`VirtioMemDevice.wait`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.hosts.virtio_mem import VirtioMemHost
from memsim.linux.drivers.virtio.virtio_mem.probe import (
    virtio_mem_init_hotplug,
    virtio_mem_probe,
    virtio_mem_remove,
)
from memsim.linux.drivers.virtio.virtio_mem.state import DEFAULT_OFFLINE_THRESHOLD, SubBlocks, VirtioMem
from memsim.linux.drivers.virtio.virtio_mem.work import virtio_mem_run_wq, virtio_mem_timer_expired
from memsim.linux.include.layout import MAX_PHYSMEM_PFN, pageblock_nr_pages

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


class VirtioMemDevice(VirtioMem):
    """One device, both sides. All sizes are in pages.

    Parameters
    ----------
    start_pfn, region_pages
        The region of guest physical memory that the device may use.
    device_block_pages
        The unit of plugging: a power of two.
    usable_region_pages
        How much of the region may be used now.
    plugged_pages
        How much an earlier kernel left plugged. This one knows nothing of it: it unplugs all before it plugs.
    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        start_pfn: int,
        region_pages: int,
        device_block_pages: int = pageblock_nr_pages,
        *,
        usable_region_pages: int | None = None,
        plugged_pages: int = 0,
    ) -> None:
        """Probe the device; EINVAL if another driver has the online callback."""
        if device_block_pages & (device_block_pages - 1) or device_block_pages == 0:
            msg = f"{name}: device_block_pages {device_block_pages} must be a power of two"
            raise MemsimError(msg)
        if start_pfn + region_pages > MAX_PHYSMEM_PFN:
            msg = f"{name}: the region ends beyond pfn {MAX_PHYSMEM_PFN:#x}, the last that the kernel maps"
            raise MemsimError(msg)
        usable = region_pages if usable_region_pages is None else usable_region_pages
        host = VirtioMemHost(name, start_pfn, region_pages, device_block_pages, usable)
        if plugged_pages:
            host.leave_plugged(plugged_pages)
        mode = virtio_mem_init_hotplug(kernel, host)
        largest = kernel.block_pages if isinstance(mode, SubBlocks) else mode.bb_pages
        threshold = max(DEFAULT_OFFLINE_THRESHOLD, 2 * largest)
        super().__init__(kernel, name, host, mode, threshold, unplug_all_required=plugged_pages > 0)
        virtio_mem_probe(self)

    def __repr__(self) -> str:
        """Show the sizes."""
        sizes = f"plugged {self.plugged_pages()}, requested {self.host.requested_pages}"
        return f"VirtioMem({self.name}: {sizes})"

    def request(self, requested_pages: int) -> None:
        """Make the host request a size; the driver works towards it at once.

        A size that cannot be reached now is no error: the driver waits, or tries again later.

        Raises
        ------
        MemsimError
            The size is not a multiple of the device block or exceeds the region.
        """
        unit, region = self.host.block_pages, self.host.region_pages
        if requested_pages % unit or not 0 <= requested_pages <= region:
            rule = f"must be a multiple of {unit}, at most {region}"
            msg = f"{self.name}: requested_pages {requested_pages} {rule}"
            raise MemsimError(msg)
        self.host.requested_pages = requested_pages
        self.host.config_changed = True
        virtio_mem_run_wq(self)

    def host_will(self, answer: str, times: int) -> None:
        """Make the host answer the next requests with NACK, BUSY or ERROR, or change the requested size."""
        self.host.will(answer, times)

    def run(self) -> None:
        """Run the work queue if memory that came online has queued it."""
        if self.work_queued:
            virtio_mem_run_wq(self)

    def plugged_pages(self) -> int:
        """Return the pages that are plugged."""
        return self.host.plugged_pages

    def wait(self, seconds: int) -> None:
        """Let simulated time pass; the retry timer may fire, more than once."""
        while self.retry_in is not None and self.retry_in <= seconds:
            seconds -= self.retry_in
            virtio_mem_timer_expired(self)
        if self.retry_in is not None:
            self.retry_in -= seconds

    def remove(self) -> None:
        """Unbind the driver. Partially plugged blocks that are online stay, and can never go offline.

        Raises
        ------
        KernelError
            ENODEV: it was unbound before.
        """
        virtio_mem_remove(self)


def make(kernel: Kernel, spec: dict[str, Any]) -> VirtioMemDevice:
    """Return the device that a scenario describes."""
    vm = VirtioMemDevice(
        kernel,
        spec["name"],
        spec["start_pfn"],
        spec["region_pages"],
        spec["device_block_pages"],
        usable_region_pages=spec.get("usable_region_pages"),
        plugged_pages=spec.get("plugged_pages", 0),
    )
    if spec.get("requested_pages") or vm.unplug_all_required:
        vm.request(spec.get("requested_pages", 0))
    return vm
