"""Simulated machines that several kinds of problems need, and how their pages are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import NR_PAGE_ORDERS, PAGES_PER_SECTION
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Patch

if TYPE_CHECKING:
    from memsim.linux.include.page_flags import PageFlag, PageType

BLOCK = 32
START = BLOCK * PAGES_PER_SECTION
"""The first pfn of memory block 32: 4 GiB, above all boot memory."""
SUB_BLOCK = 512
SIDES = {"before": BEFORE, "after": AFTER}


def with_virtio_mem(plugged: int, patch: Patch = AFTER) -> Machine:
    """Return a machine to which virtio-mem gave some sub-blocks of one block, which is online as Movable."""
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": PAGES_PER_SECTION}
    machine = Machine(patch=patch, devices=[device | {"device_block_pages": SUB_BLOCK}])
    machine.devices["vm0"].request(plugged * SUB_BLOCK)
    machine.online(BLOCK, "online_movable")
    return machine


def with_hyper_v(backed: int, patch: Patch = AFTER) -> Machine:
    """Return a machine to which Hyper-V added a block and backs its first pages; it is online as Movable."""
    machine = Machine(patch=patch, devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].hot_add(START, backed)
    machine.online(BLOCK, "online_movable")
    return machine


def with_xen(credit: int, patch: Patch = AFTER) -> Machine:
    """Return a Xen guest whose target was raised by some pages; the blocks that it added are online."""
    device = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": START}
    machine = Machine(patch=patch, devices=[device])
    machine.devices["xen0"].set_target(machine.devices["xen0"].current_pages + credit)
    for block in added_blocks(machine):
        machine.online(block, "online_movable")
    machine.wait(1)
    return machine


def added_blocks(machine: Machine) -> list[int]:
    """Return the memory blocks from 4 GiB on."""
    return [block for block in sorted(machine.kernel.state.blocks) if block >= BLOCK]


def count_type(machine: Machine, page_type: PageType, blocks: list[int]) -> int:
    """Return how many pages of some memory blocks have a type."""
    memmap = machine.kernel.memmap
    return sum(
        int(np.count_nonzero(memmap.encoding.where(section.pages.type[at], page_type)))
        for block in blocks
        for section, at in memmap.spans(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
    )


def count_flag(machine: Machine, flag: PageFlag, blocks: list[int]) -> int:
    """Return how many pages of some memory blocks have a flag."""
    return sum(
        int(np.count_nonzero(section.pages.flags[at] & np.uint32(flag)))
        for block in blocks
        for section, at in machine.kernel.memmap.spans(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
    )


def free_blocks(machine: Machine, start: int, nr_pages: int) -> list[tuple[int, int]]:
    """Return (pfn, order) of each free block in a range, in the order of the pfns."""
    return sorted(
        (pfn, order)
        for zone in machine.kernel.state.zones
        for order in range(NR_PAGE_ORDERS)
        for blocks in zone.free_area[order]
        for pfn in blocks
        if start <= pfn < start + nr_pages
    )
