"""Sub-block mode of virtio-mem: parts of a memory block are plugged and unplugged.

Models the ``virtio_mem_sbm_*`` functions of ``drivers/virtio/virtio_mem.c``: eight states of a memory block,
and one bit for each sub-block. That bitmap, not the memmap, is the driver's truth; it is how the Offline
pages can be made again at every onlining.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory.notifier import NOTIFY_BAD, NOTIFY_OK
from memsim.linux.drivers.virtio.virtio_mem.pages import (
    virtio_mem_fake_offline,
    virtio_mem_fake_offline_cancel_offline,
    virtio_mem_fake_offline_going_offline,
    virtio_mem_fake_online,
    virtio_mem_set_fake_offline,
)
from memsim.linux.include.layout import count_trailing_zeros
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.mm.memory_hotplug.add import add_memory, offline_and_remove_memory, remove_memory
from memsim.linux.mm.memory_hotplug.online import generic_online_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from memsim.linux.drivers.virtio.virtio_mem.device import VirtioMem

RESOURCE_NAME = "System RAM (virtio_mem)"


class MbState(IntEnum):
    """States of a memory block; of a pair, the full one is the partial one minus one."""

    UNUSED = 0
    PLUGGED = 1
    OFFLINE = 2
    OFFLINE_PARTIAL = 3
    KERNEL = 4
    KERNEL_PARTIAL = 5
    MOVABLE = 6
    MOVABLE_PARTIAL = 7


_PARTIAL = (MbState.KERNEL_PARTIAL, MbState.MOVABLE_PARTIAL, MbState.OFFLINE_PARTIAL)
_UNPLUG_ORDER = (
    MbState.OFFLINE_PARTIAL,
    MbState.OFFLINE,
    MbState.MOVABLE_PARTIAL,
    MbState.KERNEL_PARTIAL,
    MbState.MOVABLE,
    MbState.KERNEL,
)
_OFFLINE = (MbState.OFFLINE, MbState.OFFLINE_PARTIAL)


class SubBlocks:
    """What a device in sub-block mode knows of its memory blocks."""

    def __init__(self, vm: VirtioMem, sb_pages: int) -> None:
        """Start with nothing plugged."""
        self.vm = vm
        self.kernel = vm.kernel
        self.sb_pages = sb_pages
        self.mb_pages = vm.kernel.block_pages
        self.sbs_per_mb = self.mb_pages // sb_pages
        self.first_mb = -(-vm.host.start_pfn // self.mb_pages)
        self.state: dict[int, MbState] = {}
        self.plugged: dict[int, npt.NDArray[np.bool_]] = {}
        self.have_unplugged_mb = False
        """Whether removing a block in which nothing is plugged is to be tried again."""

    # ---- small questions ---------------------------------------------------------------------

    def blocks(self, state: MbState) -> list[int]:
        """Return the memory blocks in a state, ascending."""
        return sorted(mb for mb, known in self.state.items() if known == state)

    def pfn(self, mb: int, sb: int = 0) -> int:
        """Return the first pfn of a sub-block."""
        return mb * self.mb_pages + sb * self.sb_pages

    def unplugged_runs(self, mb: int) -> Iterator[tuple[int, int]]:
        """Yield (first pfn, pages) of each run of unplugged sub-blocks."""
        edges = np.diff(np.concatenate(([False], ~self.plugged[mb], [False])).astype(np.int8))
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            yield self.pfn(mb, int(start)), int(end - start) * self.sb_pages

    # ---- plug --------------------------------------------------------------------------------

    def plug_request(self, nr_pages: int) -> None:
        """Plug sub-blocks: first where a block has some, then unused blocks, then new ones.

        Raises
        ------
        KernelError
            ENOSPC: the usable region is full, or too much memory is offline. Else what a step fails with.
        """
        left = nr_pages // self.sb_pages
        for state in _PARTIAL:
            for mb in self.blocks(state):
                left -= self.plug_any(mb, left)
                if not left:
                    return
        for mb in self.blocks(MbState.UNUSED):
            if not left:
                return
            left -= self.plug_and_add(mb, left)
        while left:
            left -= self.plug_and_add(self.next_block(), left)

    def next_block(self) -> int:
        """Prepare the next memory block of the usable region; ENOSPC if there is none."""
        mb = self.first_mb + len(self.state)
        if (mb + 1) * self.mb_pages > self.vm.host.start_pfn + self.vm.host.usable_pages:
            message = f"memory block {mb} is beyond the usable region"
            raise KernelError("ENOSPC", "virtio_mem_sbm_prepare_next_mb", message)
        self.state[mb] = MbState.UNUSED
        self.plugged[mb] = np.zeros(self.sbs_per_mb, bool)
        return mb

    def plug_any(self, mb: int, wanted: int) -> int:
        """Plug sub-blocks of a block that Linux has already; returns how many."""
        done, state = 0, self.state[mb]
        while done < wanted and not self.plugged[mb].all():
            sb = int(self.plugged[mb].argmin())
            rest = self.plugged[mb][sb : sb + wanted - done]
            count = int(rest.argmax()) if rest.any() else len(rest)
            self.plug_sb(mb, sb, count)
            if state != MbState.OFFLINE_PARTIAL:
                virtio_mem_fake_online(self.kernel, self.pfn(mb, sb), count * self.sb_pages)
            done += count
        if self.plugged[mb].all():
            self.state[mb] = MbState(state - 1)
        return done

    def plug_and_add(self, mb: int, wanted: int) -> int:
        """Plug sub-blocks of a block that Linux does not have, and add it; returns how many."""
        if not self.vm.could_add_memory(self.mb_pages):
            message = f"{self.vm.offline_pages} pages are added and offline; that is enough"
            raise KernelError("ENOSPC", "virtio_mem_sbm_plug_request", message)
        count = min(wanted, self.sbs_per_mb)
        self.plug_sb(mb, 0, count)
        self.state[mb] = MbState.OFFLINE if count == self.sbs_per_mb else MbState.OFFLINE_PARTIAL
        self.vm.offline_pages += self.mb_pages
        try:
            add_memory(self.kernel, self.pfn(mb), self.mb_pages, name=RESOURCE_NAME, merge_resource=True)
        except KernelError:
            self.vm.offline_pages -= self.mb_pages
            self.state[mb] = MbState.UNUSED if self.try_unplug_sb(mb, 0, count) else MbState.PLUGGED
            raise
        return count

    def plug_sb(self, mb: int, sb: int, count: int) -> None:
        """Ask the host for sub-blocks and note them."""
        self.vm.host.plug(self.pfn(mb, sb), count * self.sb_pages)
        self.plugged[mb][sb : sb + count] = True

    # ---- unplug ------------------------------------------------------------------------------

    def unplug_request(self, nr_pages: int) -> None:
        """Unplug sub-blocks: offline blocks first, then movable, then kernel; from the top downwards.

        Raises
        ------
        KernelError
            EBUSY: some could not be unplugged. Else what the host answers.
        """
        left = nr_pages // self.sb_pages
        for state in _UNPLUG_ORDER:
            for mb in reversed(self.blocks(state)):
                offline = state in _OFFLINE
                left -= self.unplug_any_offline(mb, left) if offline else self.unplug_any_online(mb, left)
                if not left:
                    return
        message = f"{left} sub-blocks are in use and cannot be unplugged"
        raise KernelError("EBUSY", "virtio_mem_sbm_unplug_request", message)

    def cleanup_pending(self) -> None:
        """Unplug what stayed plugged when adding it failed; try again to remove blocks that are empty."""
        for mb in self.blocks(MbState.PLUGGED):
            self.unplug_any_raw(mb, self.sbs_per_mb)
            self.state[mb] = MbState.UNUSED
        if self.have_unplugged_mb:
            self.have_unplugged_mb = False
            for state in (MbState.MOVABLE_PARTIAL, MbState.KERNEL_PARTIAL, MbState.OFFLINE_PARTIAL):
                for mb in self.blocks(state):
                    self.try_remove(mb)

    def unplug_any_raw(self, mb: int, wanted: int) -> int:
        """Unplug sub-blocks that Linux does not use, highest first, runs at once; returns how many."""
        done = 0
        while done < wanted and self.plugged[mb].any():
            end = self.sbs_per_mb - int(self.plugged[mb][::-1].argmax())
            start = end
            while start > 0 and self.plugged[mb][start - 1] and end - start < wanted - done:
                start -= 1
            self.unplug_sb(mb, start, end - start)
            done += end - start
        return done

    def unplug_any_offline(self, mb: int, wanted: int) -> int:
        """Unplug sub-blocks of an offline block; an empty block is removed from Linux."""
        try:
            done = self.unplug_any_raw(mb, wanted)
        finally:
            if not self.plugged[mb].all():
                self.state[mb] = MbState.OFFLINE_PARTIAL
        if not self.plugged[mb].any():
            self.state[mb] = MbState.UNUSED
            remove_memory(self.kernel, self.pfn(mb), self.mb_pages)
            self.vm.offline_pages -= self.mb_pages
        return done

    def unplug_any_online(self, mb: int, wanted: int) -> int:
        """Unplug sub-blocks of an online block, the whole block at once if possible; returns how many."""
        done = 0
        if wanted >= self.sbs_per_mb and self.plugged[mb].all():
            done = self.sbs_per_mb if self.unplug_unless_busy(mb, 0, self.sbs_per_mb) else 0
        for sb in reversed(range(self.sbs_per_mb)):
            if done == wanted or not self.plugged[mb].any():
                break
            if self.plugged[mb][sb] and self.unplug_unless_busy(mb, sb, 1):
                done += 1
        self.try_remove(mb)
        return done

    def unplug_unless_busy(self, mb: int, sb: int, count: int) -> bool:
        """Take sub-blocks from the buddy and give them to the host; False if they are in use."""
        pfn, nr_pages = self.pfn(mb, sb), count * self.sb_pages
        try:
            virtio_mem_fake_offline(self.kernel, pfn, nr_pages)
        except KernelError as error:
            if error.name != "EBUSY":
                raise
            return False
        try:
            self.unplug_sb(mb, sb, count)
        except KernelError:
            virtio_mem_fake_online(self.kernel, pfn, nr_pages)
            raise
        if self.state[mb] in {MbState.KERNEL, MbState.MOVABLE}:
            self.state[mb] = MbState(self.state[mb] + 1)
        return True

    def try_remove(self, mb: int) -> None:
        """Take a block offline and away if nothing is plugged in it any more; failing is not fatal."""
        if self.plugged[mb].any():
            return
        try:
            offline_and_remove_memory(self.kernel, self.pfn(mb), self.mb_pages)
        except KernelError as error:
            self.kernel.state.printk(f"virtio_mem {self.vm.name}: memory{mb} stays: {error}")
            self.have_unplugged_mb = self.kernel.release.retries_removing_blocks
            return
        self.state[mb] = MbState.UNUSED
        self.vm.offline_pages -= self.mb_pages

    def unplug_sb(self, mb: int, sb: int, count: int) -> None:
        """Give sub-blocks back to the host and note it."""
        self.vm.host.unplug(self.pfn(mb, sb), count * self.sb_pages)
        self.plugged[mb][sb : sb + count] = False

    def try_unplug_sb(self, mb: int, sb: int, count: int) -> bool:
        """Give sub-blocks back; False if the host does not take them."""
        try:
            self.unplug_sb(mb, sb, count)
        except KernelError:
            return False
        return True

    # ---- called by memory hotplug ------------------------------------------------------------

    def online_page(self, pfn: int, order: int) -> None:
        """Decide for each sub-block of a chunk; a chunk with both kinds is taken apart once."""
        mb, end = pfn // self.mb_pages, pfn + (1 << order)
        while pfn < end:
            first = pfn % self.mb_pages // self.sb_pages
            covered = self.plugged[mb][first : first + max(1, (1 << order) // self.sb_pages)]
            if covered.any() and not covered.all():
                order = count_trailing_zeros(self.sb_pages)
                continue
            if covered.all():
                generic_online_page(self.kernel, pfn, order)
            else:
                virtio_mem_set_fake_offline(self.kernel, pfn, 1 << order, onlined=False)
            pfn += 1 << order

    def going_online(self, mb: int) -> int:
        """Allow a block of ours to come online if it is in a state for it."""
        return NOTIFY_OK if self.state.get(mb) in _OFFLINE else NOTIFY_BAD

    def online(self, mb: int) -> None:
        """Note that a block is online, and in which kind of zone."""
        movable = self.kernel.memmap.zone_of(self.pfn(mb)) == ZoneType.MOVABLE
        step = MbState.MOVABLE if movable else MbState.KERNEL
        self.state[mb] = MbState(step + self.state[mb] - MbState.OFFLINE)

    def offline(self, mb: int) -> None:
        """Note that a block is offline."""
        self.state[mb] = _OFFLINE[self.state[mb] % 2]

    def going_offline(self, mb: int) -> None:
        """Let go of the pages that are withheld."""
        for pfn, nr_pages in self.unplugged_runs(mb):
            virtio_mem_fake_offline_going_offline(self.kernel, pfn, nr_pages)

    def cancel_offline(self, mb: int) -> None:
        """Take hold of them again."""
        for pfn, nr_pages in self.unplugged_runs(mb):
            virtio_mem_fake_offline_cancel_offline(self.kernel, pfn, nr_pages)

    def deinit(self) -> None:
        """Remove partially plugged offline blocks from Linux; online ones must stay, for ever."""
        for mb in self.blocks(MbState.OFFLINE_PARTIAL):
            remove_memory(self.kernel, self.pfn(mb), self.mb_pages)
            self.vm.offline_pages -= self.mb_pages
            self.state[mb] = MbState.UNUSED
