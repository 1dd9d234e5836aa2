"""Rules that grading files state without running a machine, held against the simulator."""

from functools import cache
from pathlib import Path
from random import Random

import pytest

from memsim import AFTER, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.grading.assignment.assignment import Assignment

START, BLOCK = 0x100000, 32768
VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": START,
    "region_pages": 4 * BLOCK,
    "device_block_pages": 512,
}
HYPER_V = {"kind": "hv-balloon", "name": "hv0"}
XEN = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 4 * BLOCK}
GRADING = Path("exercises/grading/the_patch.py")


def ends(machine, action):
    """Return everything that tells whether a kernel works, after an action and its errno."""
    errno = ""
    try:
        action()
    except KernelError as error:
        errno = error.name
    zones = [(zone.managed_pages, zone.nr_free_pages) for zone in machine.kernel.state.zones]
    return errno, zones, [violation.name for violation in machine.check()], machine.log


@cache
def stories(patch):
    """Return how five stories end on a kernel: with checks where they are quick."""
    told = []
    for options in ({"debug_vm": True}, {"memmap_on_memory": True}):
        machine = Machine(patch=patch, **options)
        machine.add_memory(START, BLOCK)
        told.append(ends(machine, lambda machine=machine: machine.online(32, "online_movable")))
    for offline in (False, True):
        machine = Machine(patch=patch, devices=[VIRTIO_MEM])
        machine.devices["vm0"].request(8192)
        machine.online(32, "online_movable")
        machine.devices["vm0"].request(12288)
        told.append(ends(machine, lambda machine=machine, offline=offline: offline and machine.offline(32)))
    machine = Machine(patch=patch, devices=[HYPER_V])
    machine.devices["hv0"].hot_add(START, 2000)
    machine.online(32, "online_movable")
    told.append(ends(machine, lambda: machine.devices["hv0"].hot_add(START + 2000, 500)))
    xen = Machine(patch=patch, devices=[XEN])
    xen.devices["xen0"].set_target(4 * BLOCK + 100)
    told.append(ends(xen, lambda: xen.online(4, "online_kernel")))
    return told


def some_sets():
    """Return sets of hunks by name: each alone, each missing, some at random."""
    numbers, every = Random(3), list(Hunk)  # noqa: S311 (the same sets in each run)
    sets = [[hunk] for hunk in every] + [[other for other in every if other != hunk] for hunk in every]
    sets += [[], every] + [[hunk for hunk in every if numbers.random() < 0.5] for _ in range(12)]
    named = {"+".join(hunk.name for hunk in hunks) or "none": hunks for hunks in sets}
    return [pytest.param(hunks, id=name) for name, hunks in named.items()]


@cache
def broken():
    """Return the rule of the grading file."""
    question = next(q for q in Assignment.load(GRADING).questions if q.name == "kernel_works")
    return next(iter(question.tests)).__globals__["broken"]


@pytest.mark.parametrize("hunks", some_sets())
def test_a_kernel_works_if_what_its_hunks_lean_on_is_there(hunks):
    works = stories(Patch(hunks)) == stories(AFTER)

    assert works == (broken()({hunk.name for hunk in hunks}) is None)
