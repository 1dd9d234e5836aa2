"""Big-block mode of virtio-mem: a device block is at least a memory block.

Models the ``virtio_mem_bbm_*`` functions of ``drivers/virtio/virtio_mem.c``, with the safe way of unplugging:
pages are taken from the buddy before the block goes offline.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.blocks import memory_blocks_in
from memsim.linux.drivers.base.memory.notifier import NOTIFY_OK
from memsim.linux.drivers.virtio.virtio_mem.pages import (
    virtio_mem_fake_offline,
    virtio_mem_fake_offline_cancel_offline,
    virtio_mem_fake_offline_going_offline,
    virtio_mem_fake_online,
    virtio_mem_set_fake_offline,
)
from memsim.linux.drivers.virtio.virtio_mem.sbm import RESOURCE_NAME
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.mm.memory_hotplug.add import add_memory, offline_and_remove_memory
from memsim.linux.mm.memory_hotplug.online import generic_online_page

if TYPE_CHECKING:
    from memsim.linux.drivers.virtio.virtio_mem.device import VirtioMem


class BbState(IntEnum):
    """States of a big block."""

    UNUSED = 0
    PLUGGED = 1
    ADDED = 2
    FAKE_OFFLINE = 3


class BigBlocks:
    """What a device in big-block mode knows of its blocks."""

    def __init__(self, vm: VirtioMem, bb_pages: int) -> None:
        """Start with nothing plugged."""
        self.vm = vm
        self.kernel = vm.kernel
        self.bb_pages = bb_pages
        self.first_bb = -(-vm.host.start_pfn // bb_pages)
        self.state: dict[int, BbState] = {}
        self.have_unplugged_mb = False
        """Never: in this mode a block that cannot be removed gets its pages back."""

    def blocks(self, state: BbState) -> list[int]:
        """Return the big blocks in a state, ascending."""
        return sorted(bb for bb, known in self.state.items() if known == state)

    # ---- plug --------------------------------------------------------------------------------

    def plug_request(self, nr_pages: int) -> None:
        """Plug whole big blocks, unused ones first; ENOSPC when there are no more."""
        left = nr_pages // self.bb_pages
        for bb in self.blocks(BbState.UNUSED)[:left]:
            self.plug_and_add(bb)
            left -= 1
        for _ in range(left):
            self.plug_and_add(self.next_block())

    def next_block(self) -> int:
        """Prepare the next big block of the usable region; ENOSPC if there is none."""
        bb = self.first_bb + len(self.state)
        if (bb + 1) * self.bb_pages > self.vm.host.start_pfn + self.vm.host.usable_pages:
            message = f"big block {bb} is beyond the usable region"
            raise KernelError("ENOSPC", "virtio_mem_bbm_prepare_next_bb", message)
        self.state[bb] = BbState.UNUSED
        return bb

    def plug_and_add(self, bb: int) -> None:
        """Plug a big block and add it to Linux; if that fails, unplug it again."""
        if not self.vm.could_add_memory(self.bb_pages):
            message = f"{self.vm.offline_pages} pages are added and offline; that is enough"
            raise KernelError("ENOSPC", "virtio_mem_bbm_plug_request", message)
        self.vm.host.plug(bb * self.bb_pages, self.bb_pages)
        self.state[bb] = BbState.ADDED
        self.vm.offline_pages += self.bb_pages
        try:
            add_memory(
                self.kernel, bb * self.bb_pages, self.bb_pages, name=RESOURCE_NAME, merge_resource=True
            )
        except KernelError:
            self.vm.offline_pages -= self.bb_pages
            self.state[bb] = BbState.PLUGGED
            self.unplug(bb)
            raise

    # ---- unplug ------------------------------------------------------------------------------

    def cleanup_pending(self) -> None:
        """Unplug what stayed plugged when adding it to Linux failed."""
        for bb in self.blocks(BbState.PLUGGED):
            self.unplug(bb)

    def unplug_request(self, nr_pages: int) -> None:
        """Unplug big blocks: offline ones first, then movable ones, then any; highest first."""
        left = nr_pages // self.bb_pages
        for wanted in (self.is_offline, self.is_movable, lambda _: True):
            for bb in reversed(self.blocks(BbState.ADDED)):
                if left and wanted(bb) and self.offline_remove_and_unplug(bb):
                    left -= 1
        if left:
            message = f"{left} big blocks are in use and cannot be unplugged"
            raise KernelError("EBUSY", "virtio_mem_bbm_unplug_request", message)

    def is_offline(self, bb: int) -> bool:
        """Return whether all memory blocks of a big block are offline."""
        blocks = memory_blocks_in(self.kernel, bb * self.bb_pages, self.bb_pages)
        return all(block.state == "offline" for block in blocks)

    def is_movable(self, bb: int) -> bool:
        """Return whether all memory blocks of a big block are in ZONE_MOVABLE, or offline."""
        blocks = memory_blocks_in(self.kernel, bb * self.bb_pages, self.bb_pages)
        return all(b.zone is None or b.zone.type == ZoneType.MOVABLE for b in blocks)

    def offline_remove_and_unplug(self, bb: int) -> bool:
        """Withhold all pages, take the block offline and away, unplug it; False if it is in use."""
        pfn, taken = bb * self.bb_pages, []
        self.state[bb] = BbState.FAKE_OFFLINE
        try:
            for section in range(pfn, pfn + self.bb_pages, PAGES_PER_SECTION):
                if self.kernel.memmap.section(section).online:
                    virtio_mem_fake_offline(self.kernel, section, PAGES_PER_SECTION)
                    taken.append(section)
            offline_and_remove_memory(self.kernel, pfn, self.bb_pages)
        except KernelError as error:
            self.state[bb] = BbState.ADDED
            for section in taken:
                virtio_mem_fake_online(self.kernel, section, PAGES_PER_SECTION)
            if error.name != "EBUSY":
                raise
            return False
        self.vm.offline_pages -= self.bb_pages
        self.state[bb] = BbState.PLUGGED
        self.unplug(bb)
        return True

    def unplug(self, bb: int) -> None:
        """Give a block that Linux does not have back to the host; it stays PLUGGED if that fails."""
        self.vm.host.unplug(bb * self.bb_pages, self.bb_pages)
        self.state[bb] = BbState.UNUSED

    # ---- called by memory hotplug ------------------------------------------------------------

    def online_page(self, pfn: int, order: int) -> None:
        """Withhold everything that comes online while the big block is being unplugged."""
        if self.state[pfn // self.bb_pages] == BbState.FAKE_OFFLINE:
            virtio_mem_set_fake_offline(self.kernel, pfn, 1 << order, onlined=False)
        else:
            generic_online_page(self.kernel, pfn, order)

    def going_online(self, mb: int) -> int:  # noqa: ARG002 (asked in both modes)
        """Allow it."""
        return NOTIFY_OK

    def online(self, mb: int) -> None:
        """Keep no state for it."""

    def offline(self, mb: int) -> None:
        """Keep no state for it."""

    def going_offline(self, mb: int) -> None:
        """Let go of the pages if the whole big block is withheld."""
        pages = self.kernel.block_pages
        if self.state[mb * pages // self.bb_pages] == BbState.FAKE_OFFLINE:
            virtio_mem_fake_offline_going_offline(self.kernel, mb * pages, pages)

    def cancel_offline(self, mb: int) -> None:
        """Take hold of them again."""
        pages = self.kernel.block_pages
        if self.state[mb * pages // self.bb_pages] == BbState.FAKE_OFFLINE:
            virtio_mem_fake_offline_cancel_offline(self.kernel, mb * pages, pages)

    def deinit(self) -> None:
        """Leave added blocks to Linux."""
