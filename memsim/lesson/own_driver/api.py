"""What the kernel offers a driver that withholds memory, under the kernel's names.

``__SetPageOffline()`` and ``__ClearPageOffline()`` have no underscores here, because Python changes such
names in a class. Functions that take a page in the kernel take a pfn, and a number of pages where a driver
would loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.drivers.base.memory import notifier
from memsim.linux.drivers.virtio.virtio_mem.pages import change_refcounts
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.memory_hotplug import add, online
from memsim.linux.mm.page_alloc import buddy, contig

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.machine.machine import Machine

    Callback = Callable[[int, int], None]
    Listener = Callable[[str, int, int], int | None]


class KernelApi:
    """The functions that a driver may call."""

    def __init__(self, machine: Machine) -> None:
        """Bind them to the kernel of a machine."""
        self._machine = machine
        self._kernel = machine.kernel
        self._callbacks: dict[Callback, Callable[..., None]] = {}

    # ---- include/linux/memory_hotplug.h, include/linux/memory.h ----------------------------------------

    def set_online_page_callback(self, callback: Callback) -> None:
        """Have ``callback(pfn, order)`` called for each chunk that comes online; EINVAL if there is one."""
        call = self._callbacks.setdefault(callback, lambda _kernel, pfn, order: callback(pfn, order))
        online.set_online_page_callback(self._kernel, call)

    def restore_online_page_callback(self, callback: Callback) -> None:
        """Go back to generic_online_page(); EINVAL if another callback is set."""
        call = self._callbacks.get(callback, lambda *_: None)
        online.restore_online_page_callback(self._kernel, call)

    def generic_online_page(self, pfn: int, order: int) -> None:
        """Give a chunk to the buddy: it loses the type Offline, is counted as managed, and is freed."""
        online.generic_online_page(self._kernel, pfn, order)

    def register_memory_notifier(self, listener: Listener) -> None:
        """Have ``listener(action, start_pfn, nr_pages)`` called when blocks change their state."""
        notifier.register_memory_notifier(self._kernel, listener)

    def unregister_memory_notifier(self, listener: Listener) -> None:
        """Take a listener off the chain."""
        notifier.unregister_memory_notifier(self._kernel, listener)

    def add_memory(self, start_pfn: int, nr_pages: int) -> None:
        """Add memory blocks; they are offline until an administrator brings them online."""
        with self._machine.device_hotplug_lock("add_memory()"):
            add.add_memory(self._kernel, start_pfn, nr_pages, name="System RAM (own driver)")

    def offline_and_remove_memory(self, start_pfn: int, nr_pages: int) -> None:
        """Take blocks offline where they are online, and remove them; KernelError if that fails."""
        self._machine.offline_and_remove_memory(start_pfn, nr_pages)

    # ---- include/linux/mm.h, include/linux/gfp.h, include/linux/page-flags.h -----------------------------

    def alloc_contig_range(self, pfn: int, nr_pages: int) -> None:
        """Take a range from the buddy, moving away what is in it; KernelError: EBUSY or ENOMEM."""
        contig.alloc_contig_range(self._kernel, pfn, nr_pages)

    def free_contig_range(self, pfn: int, nr_pages: int) -> None:
        """Drop the reference of each page of a range, and free it."""
        contig.free_contig_range(self._kernel, pfn, nr_pages)

    def adjust_managed_page_count(self, pfn: int, count: int) -> None:
        """Add ``count`` to the managed pages of the zone of ``pfn``; a negative count subtracts."""
        buddy.adjust_managed_page_count(self._kernel, pfn, abs(count), 1 if count > 0 else -1)

    def SetPageOffline(self, pfn: int, nr_pages: int) -> None:  # noqa: N802 (the kernel's name)
        """Give pages the type Offline."""
        self._kernel.memmap.set_type(pfn, nr_pages, PageType.OFFLINE)

    def ClearPageOffline(self, pfn: int, nr_pages: int) -> None:  # noqa: N802 (the kernel's name)
        """Take the type Offline off pages."""
        self._kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)

    def page_ref_inc(self, pfn: int, nr_pages: int) -> None:
        """Take a reference to each page of a range."""
        change_refcounts(self._kernel, pfn, nr_pages, 1)

    def page_ref_dec(self, pfn: int, nr_pages: int) -> None:
        """Drop a reference to each page and free nothing; the kernel warns of a page that still has one."""
        change_refcounts(self._kernel, pfn, nr_pages, -1)

    def page_ref_count(self, pfn: int) -> int:
        """Return the refcount of a page."""
        return self._kernel.memmap.refcount(pfn)

    def pfn_to_online_page(self, pfn: int) -> bool:
        """Return whether a page is in a section that is online."""
        return self._kernel.memmap.pfn_to_online_page(pfn) is not None
