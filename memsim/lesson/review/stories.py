"""Stories that a reviewer runs: steps of a machine with one device, and what is wrong afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import KernelBug, KernelError, MemsimError
from memsim.lesson.review.proposals import applied, proposal_named
from memsim.linux.drivers.hv.hv_balloon.region import backed_parts
from memsim.linux.include.page_flags import MANAGED
from memsim.machine.machine import Machine
from memsim.walkers import WALKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

_START, _BLOCK, _PAGES = 0x100000, 32, 32768
_DEVICES: dict[str, dict[str, Any]] = {
    "hv-balloon": {"name": "hv0"},
    "virtio-mem": {"name": "vm0", "start_pfn": _START, "region_pages": _PAGES, "device_block_pages": 512},
    "xen-balloon": {"name": "xen0", "hotplug_start_pfn": _START},
}
_ONLINE = "block 32 comes online, in zone Movable"
_OFFLINE = "block 32 goes offline"
STEPS = {
    "hv-balloon": (
        "the host backs 1,200 pages from pfn 0x100000 on and has them added",
        "the host backs the 300 pages after them, from pfn 0x1004b0 on",
        "the host backs 1,000 pages from pfn 0x100708 on",
        _ONLINE,
        "the host asks for 600 pages",
        "the host gives all of them back",
        _OFFLINE,
    ),
    "virtio-mem": (
        "the host wants 16,384 pages plugged",
        "the host wants 32,768 pages plugged",
        _ONLINE,
        "a program pins a page of block 32",
        "the host wants 8,192 pages plugged",
        "the host wants no page plugged",
        _OFFLINE,
        "programs take all memory that is free",
    ),
    "xen-balloon": (
        "the target rises by 1,000 pages",
        _ONLINE,
        "a second passes",
        "the target falls by 500 pages",
        "the target rises by 300 pages",
        "another driver borrows 10 pages from the balloon",
        _OFFLINE,
    ),
}
"""What each step of a script does, by the kind of device. A script is a list of their numbers."""


@dataclass(frozen=True)
class Played:
    """A script that was played.

    Attributes
    ----------
    machine
        The machine afterwards.
    errnos
        How each step ended: the name of an errno, "" if well.
    faults
        What is wrong: sentences.
    """

    machine: Machine
    errnos: tuple[str, ...]
    faults: tuple[str, ...]


def play(name: str, script: list[int], *, apply: bool = True, **options: Any) -> Played:  # noqa: ANN401 (of Machine)
    """Play a script on a new machine with the device of a proposal, with the proposal applied or without.

    A step that fails is noted, and the script goes on.

    >>> play("hv-free-range", [4, 5]).faults[0]
    'BUG: Bad page state  pfn:01000  page dumped because: nonzero mapcount'
    >>> play("hv-free-range", [4, 5], apply=False).faults
    ()

    Raises
    ------
    MemsimError
        There is no such proposal or no such step.
    """
    kind = proposal_named(name).device
    for number in script:
        if not 0 <= number < len(STEPS[kind]):
            msg = f"there is no step {number}; the steps of {kind} are 0 to {len(STEPS[kind]) - 1}"
            raise MemsimError(msg)
    with applied(name if apply else None):
        machine = Machine(devices=[{"kind": kind} | _DEVICES[kind]], **options)
        errnos, stopped = [], list[str]()
        for number in script:
            try:
                errnos.append(_step(machine, kind, number))
            except KernelBug as bug:
                stopped.append(f"the kernel stops: {bug}")
                break
        return Played(machine, tuple(errnos), (*stopped, *faults(machine)))


def _step(machine: Machine, kind: str, number: int) -> str:
    """Do a step; return how it ends."""
    (device,) = machine.devices.values()
    words = STEPS[kind][number]
    try:
        if words == _ONLINE:
            machine.online(_BLOCK, "online_movable")
        elif words == _OFFLINE:
            machine.offline(_BLOCK, patience=3)
        else:
            _ACTS[kind][number](machine, device)
    except KernelError as error:
        return error.name
    except MemsimError:
        return "EINVAL"  # the step asks for what is not there
    return ""


def _hot_add(balloon: Any, offset: int, nr_pages: int) -> None:  # noqa: ANN401 (HvBalloon)
    """Back a range that lies behind all that is backed: a host never goes back."""
    if any(_START + offset < has.covered_end_pfn for has in balloon.ha_region_list):
        msg = "the host has passed these pages"
        raise MemsimError(msg)
    balloon.hot_add(_START + offset, nr_pages)


_ACTS: dict[str, dict[int, Any]] = {
    "hv-balloon": {
        0: lambda _, hv: _hot_add(hv, 0, 1200),
        1: lambda _, hv: _hot_add(hv, 1200, 300),
        2: lambda _, hv: _hot_add(hv, 1800, 1000),
        4: lambda _, hv: hv.inflate(600),
        5: lambda _, hv: hv.deflate(),
    },
    "virtio-mem": {
        0: lambda _, vm: vm.request(_PAGES // 2),
        1: lambda _, vm: vm.request(_PAGES),
        3: lambda machine, _: machine.pin(_BLOCK),
        4: lambda _, vm: vm.request(_PAGES // 4),
        5: lambda _, vm: vm.request(0),
        7: lambda machine, _: machine.allocate(sum(zone.nr_free_pages for zone in machine.zones.values())),
    },
    "xen-balloon": {
        0: lambda _, xen: xen.set_target(xen.target_pages + 1000),
        2: lambda machine, _: machine.wait(1),
        3: lambda _, xen: xen.set_target(xen.target_pages - 500),
        4: lambda _, xen: xen.set_target(xen.target_pages + 300),
        5: lambda _, xen: xen.lend(10),
    },
}


# ---- what is wrong -----------------------------------------------------------------------------------


def faults(machine: Machine) -> tuple[str, ...]:
    """Return what the kernel complained of, which invariants do not hold, and what is wrong with the host."""
    complaints = [line for line in machine.log if line.startswith(("BUG", "WARNING"))]
    broken = [str(violation) for violation in machine.check()]
    hosts = (*_not_backed(machine), *_read_by_a_dump(machine))
    return (*complaints[:1], *broken, *_plugged_and_not_managed(machine), *hosts)


def _plugged_and_not_managed(machine: Machine) -> Iterator[str]:
    """Yield how many pages of an online block virtio-mem has plugged and the zone does not manage."""
    for device in machine.devices.values():
        host = getattr(device, "host", None)
        if host is not None and machine.kernel.memmap.pfn_to_online_page(host.start_pfn) is not None:
            plugged = device.plugged_pages()
            managed = len(_managed(machine, host.start_pfn, host.start_pfn + host.region_pages))
            if plugged != managed:
                yield f"{plugged} pages are plugged, and {managed} of them managed"


def _not_backed(machine: Machine) -> Iterator[str]:
    """Yield the first page that the buddy manages although a Hyper-V host does not back it."""
    for device in machine.devices.values():
        for has in getattr(device, "ha_region_list", ()):
            for start, end, backed in backed_parts(has, has.start_pfn, has.ha_end_pfn):
                managed = [] if backed else _managed(machine, start, end)
                if managed:
                    yield f"{len(managed)} managed pages are not backed, the first at {managed[0]:#x}"


def _managed(machine: Machine, start: int, end: int) -> list[int]:
    """Return the pages of a range that are online and counted as managed."""
    memmap, found = machine.kernel.memmap, list[int]()
    for section, at in memmap.spans(start, end - start):
        if section.online:
            found += (np.flatnonzero(section.pages.flags[at] & np.uint32(MANAGED)) + start).tolist()
        start += at.stop - at.start
    return found


def _read_by_a_dump(machine: Machine) -> Iterator[str]:
    """Yield the first page of a Xen balloon that a crash dump reads although Xen has taken it."""
    for device in machine.devices.values():
        decide = WALKERS["makedumpfile"].decide
        pages = getattr(device, "ballooned_pages", ())
        read = [pfn for pfn in sorted(pages) if decide(machine.kernel, pfn).action == "dump"]
        if read:
            yield f"a crash dump reads {len(read)} pages of the balloon, the first at {read[0]:#x}"
