"""What is measured: every case with its contenders and the goals that it has to meet.

A contender is a function that returns how many seconds one unit of work took; ``OURS`` is memsim as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.c_reference import CReference
from benchmarks.peers import Bisect, ListScan
from benchmarks.timing import timed
from benchmarks.workloads import mixed, ramp
from memsim import Machine
from memsim.fast.page_alloc import __free_pages as free_shortcut
from memsim.fast.page_alloc import alloc_pages as alloc_shortcut
from memsim.fast.page_alloc_bulk import take_single_pages
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import NO_TYPE, PageFlag
from memsim.linux.mm.page_alloc.api import __free_pages
from memsim.release import release_named
from memsim.state.memmap import Memmap

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workloads import Script
    from memsim.state.kernel import Kernel

OURS, BISECT, SCAN, C = "memsim", "bisect peer", "list-scan peer", "C reference"
SAME_BYTES = "numpy fill of the same bytes"
free_pages = __free_pages
MOVABLE = int(MigrateType.MOVABLE)
GIB = 1 << 18
"""Pages."""
BYTES_A_PAGE = 8
FIRST_PFN = 1 << 20
SCANNED = 100
"""Steps of the list-scan peer at each of five places of a script: the whole script would take it minutes."""


@dataclass(frozen=True)
class Case:
    """Something that is measured. A goal is (contender, most that memsim may take of its time)."""

    name: str
    unit: str
    contenders: dict[str, Callable[[], float]]
    goals: list[tuple[str, float]] = field(default_factory=list)
    at_most: float | None = None
    """Seconds that memsim may take for one unit."""
    note: str = ""


def cases(*, smoke: bool) -> list[Case]:
    """Return all cases; ``smoke``: small ones, which show that everything runs."""
    c = CReference()
    small, large = (1 << 13, 1 << 14) if smoke else (PAGES_PER_SECTION, 4 * GIB)
    steps = 500 if smoke else 50_000
    return [
        memmap_init(c, 4 if smoke else 128),
        one_block(2 if smoke else 20),
        scalar(c, "alloc and free, mixed orders, 128 MiB", *mixed(small, steps), small, [(BISECT, 1.5)]),
        scalar(c, "alloc and free, mixed orders, 4 GiB", *mixed(large, steps), large, []),
        scalar(
            c,
            "free in random order, 4 GiB",
            *ramp(steps if smoke else 100_000),
            large,
            [(BISECT, 1 / 1.5), (SCAN, 1 / 50)],
        ),
        bulk_alloc(c, large),
        tape(),
    ]


# ---- memory comes ----------------------------------------------------------------------------------


def memmap_init(c: CReference, sections: int) -> Case:
    """Initialise the struct pages of 128 sections: 16 GiB of memory."""
    memmap = Memmap(release_named("6.12").encoding)
    nr_pages = sections * PAGES_PER_SECTION
    for nr in range(sections):
        memmap.add_section(nr)
    # A range that is not a whole section is written in place; one that is only points to a shared pattern.
    ranges = [(nr * PAGES_PER_SECTION, PAGES_PER_SECTION - 1) for nr in range(sections)]

    def init(nr_pages_of: Callable[[int], int]) -> None:
        for pfn, size in ranges:
            memmap.init_pages(pfn, nr_pages_of(size), ZoneType.NORMAL, PageFlag.RESERVED, NO_TYPE)

    def in_place() -> float:
        init(lambda size: size)  # warm: the sections have arrays of their own
        return timed(lambda: init(lambda size: size)) / nr_pages

    def shared() -> float:
        return timed(lambda: init(lambda size: size + 1)) / nr_pages

    filled = np.ones(nr_pages * BYTES_A_PAGE // 4, np.uint32)
    types = (np.uint32, np.uint8, np.uint8, np.int16)
    arrays = [np.ones(PAGES_PER_SECTION, each) for _ in range(sections) for each in types]

    def fill_arrays() -> None:
        for array in arrays:
            array.fill(7)

    contenders = {
        OURS: in_place,
        "memsim, whole sections": shared,
        SAME_BYTES: lambda: timed(lambda: filled.fill(7)) / nr_pages,
        "numpy fill of a section's arrays": lambda: timed(fill_arrays) / nr_pages,
    }
    # One array of all bytes lies in huge pages, which numpy asks for from 4 MiB on; no section's can, as the
    # second row shows. The goal stays what it was.
    goals = [(SAME_BYTES, 1.25)]
    if c.there:
        memory = c.memory(nr_pages)
        contenders[C] = lambda: timed(lambda: c.init_pages(memory)) / nr_pages
        goals.append((C, 0.4))
    note = "memsim writes 8 bytes a page, C 64"
    return Case("initialise the memmap of 16 GiB, warm", "page", contenders, goals, note=note)


def one_block(blocks: int) -> Case:
    """Add and online memory blocks of 128 MiB, one after the other."""

    def ours() -> float:
        machine = Machine(ram=[(0, 4 * GIB)], block_pages=PAGES_PER_SECTION)

        def work() -> None:
            for block in range(2048, 2048 + blocks):
                machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
                machine.online(block, "online_movable")

        return timed(work) / blocks

    return Case("add and online 128 MiB", "block", {OURS: ours}, at_most=0.3e-3)


# ---- pages go and come -----------------------------------------------------------------------------


def scalar(
    c: CReference, name: str, fill: Script, script: Script, nr_pages: int, goals: list[tuple[str, float]]
) -> Case:
    """Run one script block by block on everybody."""
    top = nr_pages.bit_length() - 1

    def ours(*, check_pages: bool = False) -> float:
        kernel, got = Machine([(FIRST_PFN, nr_pages)], check_pages=check_pages).kernel, []
        run_ours(kernel, fill, got)
        return timed(lambda: run_ours(kernel, script, got)) / len(script)

    def bisect() -> float:
        allocator, got = Bisect(top), []
        run_peer(allocator, fill, got)
        return timed(lambda: run_peer(allocator, script, got)) / len(script)

    def scan() -> float:
        """Let the bisect peer come to some places of the script, and the list-scan peer go on from there."""
        allocator, got, seconds, at = Bisect(top), [], 0.0, 0
        run_peer(allocator, fill, got)
        for stop in range(len(script) // 10, len(script), len(script) // 5):
            run_peer(allocator, script[at:stop], got)
            other, part = ListScan.like(allocator), script[stop : stop + SCANNED]
            seconds += timed(lambda other=other, part=part: run_peer(other, part, list(got))) / len(part)
            at = stop
        return seconds / 5

    contenders = {
        OURS: ours,
        "memsim, pages checked": lambda: ours(check_pages=True),
        BISECT: bisect,
        SCAN: scan,
    }
    if c.there:
        memory, pfns = c.memory(nr_pages), np.empty(len(fill) + len(script), np.uint64)

        def reference() -> float:
            c.buddy(memory)
            c.script(fill, pfns, 0)
            return timed(lambda: c.script(script, pfns, len(fill))) / len(script)

        contenders[C] = reference
    note = (
        "the peers and C have free lists only: no zones, migratetypes, flags, references, isolation or checks"
    )
    return Case(name, "step", contenders, goals, note=note)


def run_ours(kernel: Kernel, script: Script, got: list[int]) -> None:
    """Run a script on a simulated kernel.

    It calls the shortcuts themselves, as one that does a million steps can: a kernel function first looks
    whether it is watched.
    """
    for order, number in script:
        if number < 0:
            got.append(alloc_shortcut(kernel, order, MOVABLE))
        elif free_shortcut(kernel, got[number], order) is NotImplemented:
            free_pages(kernel, got[number], order)


def run_peer(allocator: Bisect, script: Script, got: list[int]) -> None:
    """Run a script on a peer."""
    alloc, free = allocator.alloc, allocator.free
    for order, number in script:
        if number < 0:
            got.append(alloc(order))
        else:
            free(got[number], order)


def bulk_alloc(c: CReference, nr_pages: int) -> Case:
    """Allocate all memory as single pages."""

    def ours() -> float:
        kernel = Machine([(FIRST_PFN, nr_pages)]).kernel
        return timed(lambda: take_single_pages(kernel, nr_pages, MOVABLE)) / nr_pages

    def again() -> float:
        kernel = Machine([(FIRST_PFN, nr_pages)]).kernel
        take_single_pages(kernel, nr_pages, MOVABLE)
        for pfn in range(FIRST_PFN, FIRST_PFN + nr_pages, 512):
            kernel.memmap.set_refcount(pfn + 1, 511, 0)
            free_pages(kernel, pfn, 9)
        return timed(lambda: take_single_pages(kernel, nr_pages, MOVABLE)) / nr_pages

    def bisect() -> float:
        peer, count = Bisect(nr_pages.bit_length() - 1), min(nr_pages, 100_000)
        return timed(lambda: [peer.alloc(0) for _ in range(count)]) / count

    contenders = {OURS: ours, "memsim, sections written before": again, BISECT: bisect}
    goals = [(BISECT, 1 / 50)]
    if c.there:
        memory, pfns = c.memory(nr_pages), np.ones(nr_pages, np.uint64)

        def reference() -> float:
            c.buddy(memory)
            return timed(lambda: c.alloc_many(pfns)) / nr_pages

        contenders[C] = reference
        goals.append((C, 3))
    return Case("allocate 4 GiB page by page, in bulk", "page", contenders, goals)


# ---- the tape --------------------------------------------------------------------------------------


def tape(blocks: int = 3) -> Case:
    """Online blocks with a tape that records, with a trace that hears and forgets, and without."""

    def online(watch: Callable[[Machine], object]) -> float:
        machine = Machine(ram=[(0, GIB)], block_pages=PAGES_PER_SECTION)
        machine.add_memory(2048 * PAGES_PER_SECTION, blocks * PAGES_PER_SECTION)
        watch(machine)
        start = time.thread_time()
        for block in range(2048, 2048 + blocks):
            machine.online(block, "online_movable")
        return (time.thread_time() - start) / blocks

    contenders = {
        OURS: lambda: online(Machine.record),
        "nobody listens, the same single steps": lambda: online(lambda m: m.kernel.put_trace(Deaf())),
        "no trace, whole sections at once": lambda: online(lambda _: None),
    }
    return Case(
        "online 128 MiB while a tape records",
        "block",
        contenders,
        [("nobody listens, the same single steps", 2.0)],
        note="without a trace a section comes online at once, in steps that nobody could see",
    )


class Deaf:
    """A trace that forgets everything."""

    unwatched: frozenset[str] = frozenset()

    def action(self, label: str) -> None:
        """Forget."""

    def enter(self, function: str, args: tuple[object, ...]) -> None:
        """Forget."""

    def leave(self, function: str) -> None:
        """Forget."""

    def notify(self, action: str) -> None:
        """Forget."""

    def write(self, target: str, primitive: str, *args: object) -> None:
        """Forget."""
