"""Adding and removing memory: ``virtio_mem_add_memory()`` and the like, ``drivers/virtio/virtio_mem.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.virtio.virtio_mem.state import RESOURCE_NAME
from memsim.linux.mm.memory_hotplug.add import add_memory, offline_and_remove_memory, remove_memory
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.state import VirtioMem


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_add_memory(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Add memory to Linux under the driver's name; it counts as offline until a notifier says otherwise."""
    vm.offline_pages += nr_pages
    try:
        add_memory(vm.kernel, start_pfn, nr_pages, name=RESOURCE_NAME, merge_resource=True)
    except KernelError:
        vm.offline_pages -= nr_pages
        raise


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_remove_memory(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Remove memory that is offline."""
    remove_memory(vm.kernel, start_pfn, nr_pages)
    vm.offline_pages -= nr_pages


@kernel_function("drivers/virtio/virtio_mem.c")
def virtio_mem_offline_and_remove_memory(vm: VirtioMem, start_pfn: int, nr_pages: int) -> None:
    """Take memory offline and remove it, or leave everything as it was.

    Raises
    ------
    KernelError
        What offlining fails with. 6.12 makes EBUSY of any error but ENOMEM, so that it is tried again later.
    """
    try:
        offline_and_remove_memory(vm.kernel, start_pfn, nr_pages)
    except KernelError as error:
        if error.name == "ENOMEM" or not vm.kernel.release.retries_removing_blocks:
            raise
        raise KernelError("EBUSY", "virtio_mem_offline_and_remove_memory", str(error)) from error
    vm.offline_pages -= nr_pages
