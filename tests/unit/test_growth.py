"""Nothing may grow faster than its input: the lines of Python that run are counted, for time says too little.

An operation is done on an input and on one twice as large. The second may take twice the lines, and some.
"""

from __future__ import annotations

import io
import sys

import pytest

from memsim.fast.page_alloc_bulk import free_pages_bulk, take_single_pages
from memsim.ftrace.replay import Replay
from memsim.linux.include.mmzone import MigrateType
from memsim.machine.machine import Machine

BLOCK = 32768
FIRST = 2048


def lines_run(work):
    """Return how many lines of memsim run while ``work`` does."""
    count = 0

    def line(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: line if "memsim" in frame.f_code.co_filename else None)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def one_dimm(blocks):
    """Plug one DIMM, online its blocks, take them offline and unplug it."""
    machine = Machine(ram=[(0, 1 << 18)])
    machine.add_memory(FIRST * BLOCK, blocks * BLOCK)
    for block in range(FIRST, FIRST + blocks):
        machine.online(block, "online_movable")
    for block in reversed(range(FIRST, FIRST + blocks)):
        machine.offline(block)
    machine.remove_memory(FIRST * BLOCK, blocks * BLOCK)


def many_dimms(blocks):
    """Plug DIMMs of one block each, in any order, and unplug them."""
    machine = Machine(ram=[(0, 1 << 18)])
    order = [FIRST + (7 * n) % (8 * blocks) for n in range(8 * blocks)]
    for block in order:
        machine.add_memory(block * BLOCK, BLOCK)
        machine.online(block, "online_movable")
    for block in reversed(range(FIRST, FIRST + 8 * blocks)):
        machine.offline(block)
        machine.remove_memory(block * BLOCK, BLOCK)


def virtio_mem(blocks):
    """Plug and unplug through a driver."""
    spec = {"start_pfn": FIRST * BLOCK, "region_pages": 64 * BLOCK, "device_block_pages": 512}
    devices = [{"kind": "virtio-mem", "name": "vm0", **spec}]
    machine = Machine(ram=[(0, 1 << 18)], devices=devices, default_online_type="online_movable")
    machine.devices["vm0"].request(blocks * BLOCK)
    machine.devices["vm0"].request(0)


def pages(blocks):
    """Allocate and free single pages, in bulk and one by one."""
    machine = Machine(ram=[(1 << 20, 64 * BLOCK)])
    free_pages_bulk(machine.kernel, take_single_pages(machine.kernel, blocks * BLOCK, MigrateType.MOVABLE))
    machine.free(machine.allocate(100 * blocks))


def boot(blocks):
    """Boot."""
    Machine(ram=[(1 << 20, blocks * BLOCK)])


def trace(blocks):
    """Replay a trace."""
    head = " bash-1 [000] ..... 1.000001: "
    allocs = [f"{head}mm_page_alloc: page=0x1 pfn={n} order=0 migratetype=1" for n in range(1, 50 * blocks)]
    frees = [f"{head}mm_page_free: page=0x1 pfn={n} order=0" for n in range(1, 50 * blocks)]
    Replay(Machine([(1 << 20, 8192)])).run(io.BytesIO("\n".join(allocs + frees).encode()))


@pytest.mark.long
@pytest.mark.parametrize("work", [one_dimm, many_dimms, virtio_mem, pages, boot, trace])
def test_twice_the_input_is_at_most_twice_the_work(work):
    small = lines_run(lambda: work(16))
    assert lines_run(lambda: work(32)) < 2.1 * small


def test_bulk_allocation_does_not_look_at_single_pages():
    machine = Machine(ram=[(1 << 20, 4 * BLOCK)])
    run = lines_run(lambda: take_single_pages(machine.kernel, 4 * BLOCK, MigrateType.MOVABLE))
    assert run < 4 * BLOCK / 100
