"""More functions that proposals put in place of models: those of the assignment.

As in :mod:`memsim.lesson.review.proposed`, they are for kernels with the whole series, and may be wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.hv.hv_balloon.region import DRIVER, backed_pages, hv_bring_pgs_online
from memsim.linux.drivers.virtio.virtio_mem.pages import FAKE_OFFLINE_TRIES, virtio_mem_set_fake_offline
from memsim.linux.drivers.xen.balloon.stats import balloon_of
from memsim.linux.include.layout import hex_range
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.page_alloc.contig import alloc_contig_range

if TYPE_CHECKING:
    from memsim.linux.drivers.hv.hv_balloon.region import HvDynmemDevice
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem
    from memsim.state.kernel import Kernel


def hv_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Online a chunk as its region says."""
    dm: HvDynmemDevice = kernel.driver_data[DRIVER]
    for has in dm.ha_region_list:
        if has.start_pfn <= pfn and pfn + (1 << order) <= has.end_pfn:
            if backed_pages(has, pfn, pfn + (1 << order)) == 1 << order:
                generic_online_page(kernel, pfn, order)
                dm.num_pages_onlined += 1 << order
                return
            hv_bring_pgs_online(kernel, dm, has, pfn, 1 << order)
            return
    if kernel.release.hv_falls_back:
        generic_online_page(kernel, pfn, order)


def virtio_mem_fake_offline(vm: VirtioMem, pfn: int, nr_pages: int) -> None:
    """Take pages of an online block from the buddy, moving away what is in them."""
    kernel = vm.kernel
    movable = kernel.memmap.zone_of(pfn) == ZoneType.MOVABLE
    adjust_managed_page_count(kernel, pfn, nr_pages, -1)
    for _ in range(FAKE_OFFLINE_TRIES if movable else 1):
        if kernel.release.fake_offline_asks_config and vm.host.config_changed:
            message = f"the configuration changed before pages {hex_range(pfn, nr_pages)} were taken"
            raise KernelError("EAGAIN", "virtio_mem_fake_offline", message)
        try:
            alloc_contig_range(kernel, pfn, nr_pages)
        except KernelError as error:
            if error.name == "ENOMEM":
                raise
            continue
        virtio_mem_set_fake_offline(kernel, pfn, nr_pages, onlined=True)
        return
    adjust_managed_page_count(kernel, pfn, nr_pages)
    message = f"pages {hex_range(pfn, nr_pages)} cannot be taken from the buddy"
    raise KernelError("EBUSY", "virtio_mem_fake_offline", message)


def virtio_mem_fake_offline_cancel_offline(kernel: Kernel, pfn: int, nr_pages: int) -> None:
    """Take hold of withheld pages again: their block stays online."""
    kernel.state.printk(f"virtio_mem: pages {hex_range(pfn, nr_pages)} stay online")


def balloon_retrieve(kernel: Kernel) -> int:
    """Take the first page off the list, which must not be empty."""
    return balloon_of(kernel).ballooned_pages.pop()
