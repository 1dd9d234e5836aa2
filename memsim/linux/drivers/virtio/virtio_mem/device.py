"""virtio-mem: a device that resizes a machine in steps smaller than a memory block.

Models ``drivers/virtio/virtio_mem.c``: the main loop that drives the plugged size to the requested size, the
memory notifier, and the online callback. Of the modules beside this one, ``virtio_mem_sbm`` and
``virtio_mem_bbm`` are its two modes, ``virtio_mem_fake`` is what it does to pages, ``virtio_mem_host`` the
hypervisor. Time is simulated: see :meth:`VirtioMem.wait`.

Left out: the kdump mode, NUMA, forbidding kexec and hibernation, the timing of the work queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import KernelError, MemsimError
from memsim.linux.drivers.base.memory.notifier import (
    NOTIFY_DONE,
    NOTIFY_OK,
    notifier_from_errno,
    register_memory_notifier,
    unregister_memory_notifier,
)
from memsim.linux.drivers.virtio.virtio_mem.bbm import BigBlocks
from memsim.linux.drivers.virtio.virtio_mem.host import VirtioMemHost
from memsim.linux.drivers.virtio.virtio_mem.sbm import SubBlocks
from memsim.linux.include.layout import MAX_PHYSMEM_PFN, PAGE_SHIFT, pageblock_nr_pages
from memsim.linux.mm.memory_hotplug.online import (
    generic_online_page,
    restore_online_page_callback,
    set_online_page_callback,
)
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

RETRY_TIMER_MIN_SECONDS = 50
RETRY_TIMER_MAX_SECONDS = 300
OFFLINE_THRESHOLD_PAGES = 1 << 30 >> PAGE_SHIFT
_RETRY_LATER = {"ETXTBSY", "EBUSY", "ENOMEM"}


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_online_page_cb(kernel: Kernel, pfn: int, order: int) -> None:
    """Hand a chunk to the device that it belongs to; memory of nobody (a DIMM) goes to the buddy."""
    for vm in devices_of(kernel):
        if vm.contains(pfn, 1 << order):
            vm.mode.online_page(pfn, order)
            return
    generic_online_page(kernel, pfn, order)


def devices_of(kernel: Kernel) -> list[VirtioMem]:
    """Return the virtio-mem devices of a kernel; they share the one online callback."""
    devices: list[VirtioMem] = kernel.driver_data.setdefault("virtio-mem", [])
    return devices


class VirtioMem:
    """One device. All sizes are in pages.

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
        self.kernel = kernel
        self.name = name
        usable = region_pages if usable_region_pages is None else usable_region_pages
        self.host = VirtioMemHost(name, start_pfn, region_pages, device_block_pages, usable)
        if plugged_pages:
            self.host.leave_plugged(plugged_pages)
        self.unplug_all_required = plugged_pages > 0
        sb_pages = max(pageblock_nr_pages, device_block_pages)
        in_sbm = sb_pages < kernel.block_pages
        self.mode: SubBlocks | BigBlocks = (
            SubBlocks(self, sb_pages)
            if in_sbm
            else BigBlocks(self, max(device_block_pages, kernel.block_pages))
        )
        self.offline_pages = 0
        """Pages that are added to Linux and offline."""
        self.offline_threshold = max(OFFLINE_THRESHOLD_PAGES, 2 * kernel.block_pages)
        self.hotplug_active = False
        self.wq_active = False
        self.removing = False
        self.broken = False
        self.retry_in: int | None = None
        """Seconds until the retry timer fires, or None."""
        self._retry_timer = RETRY_TIMER_MIN_SECONDS
        self._woken = False
        self.last_error: KernelError | None = None
        if not devices_of(kernel):
            set_online_page_callback(kernel, virtio_mem_online_page_cb)
        devices_of(kernel).append(self)
        register_memory_notifier(kernel, self.memory_notifier)

    def __repr__(self) -> str:
        """Show the sizes."""
        sizes = f"plugged {self.plugged_pages()}, requested {self.host.requested_pages}"
        return f"VirtioMem({self.name}: {sizes})"

    # ---- the host's side ---------------------------------------------------------------------

    def request(self, requested_pages: int) -> None:
        """Let the host request a size; the driver works towards it at once.

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
        self.run_wq()

    def host_will(self, answer: str, times: int) -> None:
        """Let the host answer the next requests with NACK, BUSY or ERROR, or change its mind."""
        self.host.will(answer, times)

    def run(self) -> None:
        """Let the work queue work if memory that came online has woken it."""
        if self._woken:
            self.run_wq()

    def plugged_pages(self) -> int:
        """Return the pages that are plugged."""
        return self.host.plugged_pages

    # ---- the main loop -----------------------------------------------------------------------

    def run_wq(self) -> None:
        """Do what ``virtio_mem_run_wq()`` does: plug or unplug until done, or until it must wait."""
        self._woken, self.retry_in = False, None
        if self.broken or self.removing:
            return
        self.wq_active = True
        while (error := self._try_once()) is not None and error.name == "EAGAIN":
            self.last_error = error
        self.wq_active = False
        self.last_error = error
        if error is None:
            self._retry_timer = RETRY_TIMER_MIN_SECONDS
        else:
            self._wait_after(error)

    def _try_once(self) -> KernelError | None:
        self.host.config_changed = False
        try:
            self._towards_requested()
        except KernelError as error:
            return error
        return None

    def _towards_requested(self) -> None:
        if self.unplug_all_required:
            self.host.unplug_all()
            self.unplug_all_required = False
        self.mode.cleanup_pending()
        missing = self.host.requested_pages - self.plugged_pages()
        if missing > 0:
            self.mode.plug_request(missing)
        elif missing < 0:
            self.mode.unplug_request(-missing)
        if self.mode.have_unplugged_mb:
            message = "a block in which nothing is plugged cannot be removed"
            raise KernelError("EBUSY", "virtio_mem_run_wq", message)

    def _wait_after(self, error: KernelError) -> None:
        if error.name in _RETRY_LATER:
            self.retry_in = self._retry_timer
        elif error.name != "ENOSPC":
            self.broken = True
            self.kernel.state.printk(f"virtio_mem {self.name}: unknown error, marking device broken: {error}")

    def wait(self, seconds: int) -> None:
        """Let simulated time pass; the retry timer may fire, more than once."""
        while self.retry_in is not None and self.retry_in <= seconds:
            seconds -= self.retry_in
            self._retry_timer = min(2 * self._retry_timer, RETRY_TIMER_MAX_SECONDS)
            self.run_wq()
        if self.retry_in is not None:
            self.retry_in -= seconds

    def could_add_memory(self, nr_pages: int) -> bool:
        """Return whether more memory may be added without too much of it being offline."""
        return self.offline_pages + nr_pages <= self.offline_threshold

    def remove(self) -> None:
        """Unbind the driver. Partially plugged blocks that are online stay, and can never go offline.

        Raises
        ------
        KernelError
            ENODEV: it was unbound before.
        """
        if self.removing:
            raise KernelError("ENODEV", "virtio_mem_remove", f"no driver is bound to {self.name}")
        self.removing = True
        self.retry_in = None
        self.mode.deinit()
        unregister_memory_notifier(self.kernel, self.memory_notifier)
        devices_of(self.kernel).remove(self)
        if not devices_of(self.kernel):
            restore_online_page_callback(self.kernel, virtio_mem_online_page_cb)

    # ---- called by memory hotplug ------------------------------------------------------------

    def contains(self, pfn: int, nr_pages: int) -> bool:
        """Return whether a range lies in the device's region."""
        start = self.host.start_pfn
        return start <= pfn and pfn + nr_pages <= start + self.host.region_pages

    def memory_notifier(self, action: str, pfn: int, nr_pages: int) -> int:
        """``virtio_mem_memory_notifier_cb()``: GOING_x may be refused, CANCEL_x only follows our GOING_x."""
        if not self.contains(pfn, nr_pages):
            return NOTIFY_DONE
        if self.removing and action.startswith("MEM_GOING"):
            return notifier_from_errno("EBUSY")
        handler = getattr(self, f"_{action.lower()}", None)
        if handler is None:
            return NOTIFY_DONE
        answer: int | None = handler(pfn // self.kernel.block_pages, nr_pages)
        return NOTIFY_OK if answer is None else answer

    def _mem_going_online(self, mb: int, _: int) -> int:
        answer = self.mode.going_online(mb)
        self.hotplug_active = answer == NOTIFY_OK
        return answer

    def _mem_going_offline(self, mb: int, _: int) -> None:
        self.hotplug_active = True
        self.mode.going_offline(mb)

    def _mem_online(self, mb: int, nr_pages: int) -> None:
        self.mode.online(mb)
        self.offline_pages -= nr_pages
        self.hotplug_active = False
        if not self.wq_active and self.could_add_memory(self.offline_threshold // 2):
            self._woken = True

    def _mem_offline(self, mb: int, nr_pages: int) -> None:
        self.mode.offline(mb)
        self.offline_pages += nr_pages
        self.hotplug_active = False

    def _mem_cancel_online(self, _mb: int, _: int) -> None:
        self.hotplug_active = False

    def _mem_cancel_offline(self, mb: int, _: int) -> None:
        if self.hotplug_active:
            self.hotplug_active = False
            self.mode.cancel_offline(mb)


def make(kernel: Kernel, spec: dict[str, Any]) -> VirtioMem:
    """Return the device that a scenario describes."""
    vm = VirtioMem(
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
