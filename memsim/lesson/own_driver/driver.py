"""The frame of a driver: a region of two memory blocks, sub-blocks of 2 MiB, and what the host backs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.layout import PAGES_PER_SECTION

if TYPE_CHECKING:
    from memsim.lesson.own_driver.api import KernelApi

SUB_BLOCK, BLOCKS = 512, 2
START = 0x100000
"""The region begins at 4 GiB, with memory block 32."""


class Driver:
    """A driver to be written: it gives the kernel the plugged sub-blocks of its region, and no others.

    Attributes
    ----------
    kernel
        What the kernel offers.
    plugged
        For each sub-block of the region whether the host backs it.
    added
        For each memory block of the region whether it was added to Linux.

    The methods below do what the simplest driver does: it adds whole blocks, gives all their pages to the
    buddy, and knows nothing of the notifier.
    """

    start_pfn, nr_pages = START, BLOCKS * PAGES_PER_SECTION

    def __init__(self, kernel: KernelApi) -> None:
        """Find the device: nothing is plugged, nothing was added."""
        self.kernel = kernel
        self.plugged = [False] * (self.nr_pages // SUB_BLOCK)
        self.added = [False] * BLOCKS

    def sub_block(self, pfn: int) -> int | None:
        """Return the number of the sub-block that a page is in; None outside of the region."""
        offset = pfn - self.start_pfn
        return offset // SUB_BLOCK if 0 <= offset < self.nr_pages else None

    def pfn_of(self, sub_block: int) -> int:
        """Return the first page of a sub-block."""
        return self.start_pfn + sub_block * SUB_BLOCK

    def withheld(self, start_pfn: int, nr_pages: int) -> list[int]:
        """Return the first pages of the sub-blocks of a range that are in the region and not plugged."""
        numbers = range(len(self.plugged))
        inside = range(start_pfn, start_pfn + nr_pages)
        return [self.pfn_of(n) for n in numbers if not self.plugged[n] and self.pfn_of(n) in inside]

    def back(self, sub_block: int) -> None:
        """Have the host back a sub-block, and add its memory block to Linux if that was not done yet."""
        block = sub_block * SUB_BLOCK // PAGES_PER_SECTION
        self.plugged[sub_block] = True
        if not self.added[block]:
            self.kernel.add_memory(self.start_pfn + block * PAGES_PER_SECTION, PAGES_PER_SECTION)
            self.added[block] = True

    # ---- to be written --------------------------------------------------------------------------------

    def load(self) -> None:
        """Register what the driver needs."""
        self.kernel.set_online_page_callback(self.online_page)

    def online_page(self, pfn: int, order: int) -> None:
        """Take a chunk that comes online."""
        self.kernel.generic_online_page(pfn, order)

    def memory_notifier(self, action: str, start_pfn: int, nr_pages: int) -> int | None:
        """Hear that a block is about to change its state, or has done so."""

    def plug(self, count: int) -> int:
        """Plug up to ``count`` sub-blocks; return how many."""
        raise NotImplementedError

    def unplug(self, count: int) -> int:
        """Unplug up to ``count`` sub-blocks; return how many."""
        raise NotImplementedError

    def unload(self) -> bool:
        """Leave, if that is possible; return whether the driver is gone."""
        raise NotImplementedError
