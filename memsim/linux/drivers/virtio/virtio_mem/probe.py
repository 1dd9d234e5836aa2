"""virtio-mem: a device that resizes a machine in steps smaller than a memory block.

The driver is ``drivers/virtio/virtio_mem.c``; this module probes and removes it. The modules beside it have
its state (``state``), its work queue (``work``), its two modes (``sbm``, ``bbm``), what it does to pages
(``pages``) and to memory (``memory``), its requests to the host (``requests``), and what memory hotplug asks
of it (``notifier``). The device of a machine is :class:`memsim.devices.virtio_mem.VirtioMemDevice`.

Left out: the kdump mode, NUMA, forbidding kexec and hibernation, the timing of the work queue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import register_memory_notifier, unregister_memory_notifier
from memsim.linux.drivers.virtio.virtio_mem.memory import virtio_mem_remove_memory
from memsim.linux.drivers.virtio.virtio_mem.notifier import (
    virtio_mem_memory_notifier_cb,
    virtio_mem_online_page_cb,
)
from memsim.linux.drivers.virtio.virtio_mem.state import (
    BigBlocks,
    MbState,
    SubBlocks,
    VirtioMem,
    virtio_mem_devices,
)
from memsim.linux.include.layout import pageblock_nr_pages
from memsim.linux.mm.memory_hotplug.online import restore_online_page_callback, set_online_page_callback

if TYPE_CHECKING:
    from memsim.hosts.virtio_mem import VirtioMemHost
    from memsim.state.kernel import Kernel


def virtio_mem_probe(vm: VirtioMem) -> None:
    """Start driving a device; EINVAL if another driver has the online callback."""
    register_virtio_mem_device(vm)
    vm.memory_notifier = partial(virtio_mem_memory_notifier_cb, vm)
    register_memory_notifier(vm.kernel, vm.memory_notifier)


def virtio_mem_init_hotplug(kernel: Kernel, host: VirtioMemHost) -> SubBlocks | BigBlocks:
    """Choose the mode: sub-blocks if a device block is smaller than a memory block."""
    sb_pages = max(pageblock_nr_pages, host.block_pages)
    if sb_pages < kernel.block_pages:
        return SubBlocks(sb_pages, kernel.block_pages, -(-host.start_pfn // kernel.block_pages))
    bb_pages = max(host.block_pages, kernel.block_pages)
    return BigBlocks(bb_pages, -(-host.start_pfn // bb_pages))


def register_virtio_mem_device(vm: VirtioMem) -> None:
    """Add a device to the list; the first sets the online callback."""
    if not virtio_mem_devices(vm.kernel):
        set_online_page_callback(vm.kernel, virtio_mem_online_page_cb)
    virtio_mem_devices(vm.kernel).append(vm)


def unregister_virtio_mem_device(vm: VirtioMem) -> None:
    """Take a device off the list; the last restores the online callback."""
    virtio_mem_devices(vm.kernel).remove(vm)
    if not virtio_mem_devices(vm.kernel):
        restore_online_page_callback(vm.kernel, virtio_mem_online_page_cb)


def virtio_mem_remove(vm: VirtioMem) -> None:
    """Unbind the driver; ENODEV if it was unbound before."""
    if vm.removing:
        raise KernelError("ENODEV", "virtio_mem_remove", f"no driver is bound to {vm.name}")
    virtio_mem_deinit_hotplug(vm)


def virtio_mem_deinit_hotplug(vm: VirtioMem) -> None:
    """Remove partially plugged offline blocks from Linux; added ones of any other kind stay."""
    vm.removing = True
    vm.retry_in = None
    if vm.in_sbm:
        for mb_id in vm.sbm.blocks(MbState.OFFLINE_PARTIAL):
            virtio_mem_remove_memory(vm, vm.sbm.pfn(mb_id), vm.sbm.mb_pages)
            vm.sbm.state[mb_id] = MbState.UNUSED
    if vm.memory_notifier is not None:
        unregister_memory_notifier(vm.kernel, vm.memory_notifier)
    unregister_virtio_mem_device(vm)
