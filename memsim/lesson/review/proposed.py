"""The functions that the proposals put in place of models, under the names of those.

They are written for kernels that have the whole series. Whether a proposal is right is for its reviewer to
find out; nothing here says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelBug, KernelError
from memsim.linux.drivers.hv.hv_balloon.region import DRIVER, has_pfn_is_backed, hv_bring_pgs_online
from memsim.linux.drivers.virtio.virtio_mem.pages import FAKE_OFFLINE_TRIES, virtio_mem_set_fake_offline
from memsim.linux.drivers.xen.balloon.stats import balloon_of
from memsim.linux.include.layout import hex_range
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.memory_hotplug.online import generic_online_page
from memsim.linux.mm.page_alloc.api import __free_pages
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.page_alloc.contig import alloc_contig_range

if TYPE_CHECKING:
    from memsim.linux.drivers.hv.hv_balloon.region import HvDynmemDevice, HvHotaddState
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem
    from memsim.state.kernel import Kernel


def free_balloon_pages(kernel: Kernel, dm: HvDynmemDevice, pfn: int, nr_pages: int) -> None:
    """Give ballooned pages back to the buddy, one by one."""
    for each in range(pfn, pfn + nr_pages):
        __free_pages(kernel, each)
    dm.num_pages_ballooned -= nr_pages
    adjust_managed_page_count(kernel, pfn, nr_pages)


def hv_online_page(kernel: Kernel, pfn: int, order: int) -> None:
    """Online a chunk as its region says."""
    dm: HvDynmemDevice = kernel.driver_data[DRIVER]
    for has in dm.ha_region_list:
        if has.start_pfn <= pfn and pfn + (1 << order) <= has.end_pfn:
            last = pfn + (1 << order) - 1
            if has_pfn_is_backed(has, pfn) and has_pfn_is_backed(has, last):
                generic_online_page(kernel, pfn, order)
                dm.num_pages_onlined += 1 << order
                return
            hv_bring_pgs_online(kernel, dm, has, pfn, 1 << order)
            return
    if kernel.release.hv_falls_back:
        generic_online_page(kernel, pfn, order)


def hv_page_online_one(kernel: Kernel, dm: HvDynmemDevice, has: HvHotaddState, pfn: int) -> None:
    """Online a page if the host backs it."""
    offline = kernel.memmap.has_type(pfn, PageType.OFFLINE)
    if not has_pfn_is_backed(has, pfn):
        return
    if not offline:
        return
    if kernel.memmap.zone_of(pfn) > ZoneType.DEVICE:
        msg = f"pfn {pfn:#x} is brought online, but its struct page is not initialised: no zone to free it to"
        raise KernelBug(msg)
    generic_online_page(kernel, pfn, 0)
    dm.num_pages_onlined += 1


def balloon_append(kernel: Kernel, pfn: int, nr_pages: int = 1) -> None:
    """Put pages at the head of the balloon's list."""
    balloon_of(kernel).ballooned_pages.extend(range(pfn, pfn + nr_pages))


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
    message = f"pages {hex_range(pfn, nr_pages)} cannot be taken from the buddy"
    raise KernelError("EBUSY", "virtio_mem_fake_offline", message)
