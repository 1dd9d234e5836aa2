"""The quick ways of the page allocator against the way that is there to be read: the same state, always.

One script is done on two machines that are alike, on one by single steps of ``page_alloc_entry`` and on
the other by ``page_alloc_quick`` and ``page_alloc_bulk``. Everything is compared: pages, counters, lists.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memsim.errors import KernelError, MemsimError
from memsim.fast import page_alloc as page_alloc_quick
from memsim.fast import page_alloc_bulk
from memsim.fast.page_alloc import __free_pages as quick_free
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc import api as step_by_step
from memsim.linux.mm.page_alloc.api import __free_pages as slow_free
from memsim.linux.mm.page_alloc.contig import alloc_contig_range
from memsim.linux.mm.page_isolation import start_isolate_page_range
from memsim.machine.machine import Machine
from memsim.patch import AFTER

P, PAGES = 0x100000, 4096
SWITCHES = [{name: True} for name in ("debug_vm", "per_cpu_lists", "watermarks", "record")]
kinds = st.sampled_from(
    [{}, {}, {}, {"check_pages": False}, {"release": "6.1"}, *SWITCHES]
)  # mostly what the quick way is for


def alloc_one_by_one(kernel, nr_pages, migratetype):
    return step_by_step.alloc_pages_bulk(kernel, nr_pages, migratetype)


def free_one_by_one(kernel, pfns):
    for pfn in pfns:
        slow_free(kernel, pfn)


SINGLE_STEPS = (step_by_step.alloc_pages, slow_free, alloc_one_by_one, free_one_by_one)
QUICK = (
    page_alloc_quick.alloc_pages,
    quick_free,
    page_alloc_bulk.alloc_pages_bulk,
    page_alloc_bulk.free_pages_bulk,
)


def script_of(random, length=250):
    """Return a long script, mostly allocations and frees: rules meet only where much is split and merged."""
    block, offset, big = (lambda: random.randrange(PAGES // 512)), (lambda: random.randrange(PAGES)), 1 << 20
    flags = (PageFlag.DIRTY, PageFlag.LRU, PageFlag.HWPOISON)
    makers = {
        ("alloc", 40): lambda: (random.choices(range(11), [2.0**-order for order in range(11)])[0], kind()),
        ("free", 35): lambda: (random.randrange(big),),
        ("alloc_bulk", 4): lambda: (random.choice([1, 7, 300, 1000, 1024, 3000, 5000]), kind()),
        ("free_bulk", 4): lambda: (random.randrange(big), random.random(), random.random()),
        ("again", 1): lambda: (offset(),),
        ("reference", 1): lambda: (offset(),),
        ("flag", 1): lambda: (offset(), random.choice(flags)),
        ("set_type", 1): lambda: (offset(), random.choice([PageType.OFFLINE, PageType.TABLE])),
        ("set_order", 1): lambda: (offset(),),
        ("isolate", 1): lambda: (block(),),
        ("retype", 2): lambda: (block(), random.choice([1, 0, 2, 1, MigrateType.ISOLATE, 3])),
        ("contig", 1): lambda: (random.randrange(PAGES // 512 - 2), random.randrange(1, 3)),
    }

    def kind():
        return random.choices(
            [MigrateType.MOVABLE, MigrateType.UNMOVABLE, MigrateType.RECLAIMABLE], [6, 1, 1]
        )[0]

    chosen = random.choices(list(makers), [weight for _, weight in makers], k=length)
    return [(name, *makers[name, weight]()) for name, weight in chosen]


class Script:
    """A machine and what a script has allocated on it."""

    def __init__(self, ways, options):
        self.alloc, self.free, self.alloc_bulk, self.free_bulk = ways
        self.machine = Machine([(P, PAGES)], AFTER, **options)
        self.kernel = self.machine.kernel
        self.blocks, self.lists = [], []

    def do(self, step):
        """Do one step; returns what can be seen of it."""
        try:
            return getattr(self, f"_{step[0]}")(*step[1:])
        except MemsimError as error:
            return str(error)

    def _alloc(self, order, migratetype):
        pfn = self.alloc(self.kernel, order, migratetype)
        self.blocks.append((pfn, order))
        return pfn

    def _free(self, which):
        if self.blocks:
            return self.free(self.kernel, *self.blocks.pop(which % len(self.blocks)))
        return None

    def _alloc_bulk(self, nr_pages, migratetype):
        pfns = [int(pfn) for pfn in self.alloc_bulk(self.kernel, nr_pages, migratetype)]
        self.lists.append(pfns)
        return pfns

    def _free_bulk(self, which, start, share):
        """Free a list in two stretches, and keep some of it."""
        if not self.lists:
            return
        pfns = self.lists.pop(which % len(self.lists))
        cut = int(start * len(pfns))
        self.free_bulk(self.kernel, pfns[cut:] + pfns[: int(cut * share)])

    def _again(self, which):
        """Free a page that is free or allocated, as a program with a mistake would."""
        self.free(self.kernel, P + which % PAGES)

    def _reference(self, offset):
        if self.kernel.memmap.refcount(P + offset):
            self.kernel.memmap.set_refcount(P + offset, 1, 2)

    def _flag(self, offset, flag):
        if self.kernel.memmap.refcount(P + offset):
            self.kernel.memmap.set_flags(P + offset, 1, flag)

    def _set_type(self, offset, page_type):
        if self.kernel.memmap.refcount(P + offset):
            self.kernel.memmap.set_type(P + offset, 1, page_type)

    def _set_order(self, offset):
        if self.kernel.memmap.refcount(P + offset):
            self.kernel.memmap.set_order(P + offset, 9)

    def _isolate(self, block):
        start_isolate_page_range(self.kernel, P + 512 * block, 512, memory_offline=True)

    def _retype(self, block, migratetype):
        """Change a pageblock's type behind the lists' back, which no kernel does without moving the pages."""
        self.kernel.memmap.set_migratetype(P + 512 * block, 512, migratetype)

    def _contig(self, block, size):
        alloc_contig_range(self.kernel, P + 512 * block, 512 * size)
        self.lists.append(list(range(P + 512 * block, P + 512 * (block + size))))


# Without shrinking, which takes minutes on scripts of this length; the step that differs is told.
@settings(max_examples=16, phases=[Phase.generate])
@given(kinds, st.integers(0, 1 << 32))
def test_the_quick_ways_leave_exactly_the_state_of_single_steps(snapshot, options, seed):
    slow, quick = Script(SINGLE_STEPS, options), Script(QUICK, options)
    for number, step in enumerate(script_of(Random(seed))):  # noqa: S311 (no secret)
        assert quick.do(step) == slow.do(step), (number, step)
    assert snapshot(quick.kernel.state) == snapshot(slow.kernel.state)


@pytest.mark.parametrize("order", range(11))
def test_the_quick_way_is_taken_for_every_order_it_is_meant_for(monkeypatch, order):
    machine = Machine([(P, PAGES)])
    calls = []
    for name in ("alloc_step_by_step", "free_step_by_step"):
        monkeypatch.setattr(page_alloc_quick, name, lambda *_, name=name: calls.append(name))
    pfn = page_alloc_quick.alloc_pages(machine.kernel, order, MigrateType.MOVABLE)
    quick_free(machine.kernel, pfn, order)
    assert calls == (["free_step_by_step"] if order == 10 else [])  # two pageblocks are freed one by one


def test_a_watched_kernel_takes_single_steps_and_a_tape_sees_them():
    machine = Machine([(P, PAGES)], record=True)
    page_alloc_quick.alloc_pages(machine.kernel, 0, MigrateType.MOVABLE)
    assert any(event.point == "enter:alloc_pages#1" for event in machine.tape.events)
    machine.stop_recording()
    assert machine.kernel.quick
    machine.kernel.watermarks = True
    assert not machine.kernel.quick


def test_the_quick_ways_leave_a_copy_of_the_state_alone(snapshot):
    machine = Machine([(P, PAGES)])
    held = page_alloc_quick.alloc_pages(machine.kernel, 3, MigrateType.MOVABLE)
    for work in (
        lambda: page_alloc_quick.alloc_pages(machine.kernel, 0, MigrateType.MOVABLE),
        lambda: quick_free(machine.kernel, held, 3),
        lambda: page_alloc_bulk.alloc_pages_bulk(machine.kernel, 1500, MigrateType.MOVABLE),
    ):
        copy = machine.kernel.state.copy()
        before = snapshot(copy)
        work()
        assert snapshot(copy) == before
        assert snapshot(machine.kernel.state) != before


def test_whole_sections_are_taken_at_once_and_it_comes_to_the_same(snapshot):
    states = []
    for alloc in (alloc_one_by_one, page_alloc_bulk.alloc_pages_bulk):
        machine = Machine([(P, 32768)])
        machine.add_memory(P + 32768, 3 * 32768)
        for block in (33, 34, 35):
            machine.online(block, "online_movable")
        alloc(machine.kernel, 1, MigrateType.MOVABLE)
        alloc(machine.kernel, 3 * 32768 - 5, MigrateType.MOVABLE)
        states.append(snapshot(machine.kernel.state))
    assert states[0] == states[1]
    # The last section was taken page by page at its end; the one before as a whole, and is still shared.
    assert machine.kernel.memmap.sections[34].shared


def test_bulk_allocation_works_on_blocks_and_not_on_pages(monkeypatch):
    # 4096 pages in blocks of 1024: what is done four times is work on blocks, the rest is numpy's.
    machine = Machine([(P, PAGES)])
    taken, take = [], page_alloc_bulk.take_pages
    monkeypatch.setattr(page_alloc_bulk, "take_pages", lambda *args: taken.append(args[2]) or take(*args))
    pfns = page_alloc_bulk.alloc_pages_bulk(machine.kernel, 4096, MigrateType.MOVABLE)
    assert taken == [10, 10, 10, 10]
    assert pfns.tolist() == list(range(P, P + 4096))

    freed = []
    monkeypatch.setattr(page_alloc_bulk, "__free_pages", lambda _, pfn, order=0: freed.append((pfn, order)))
    page_alloc_bulk.free_pages_bulk(machine.kernel, pfns)
    assert freed == [(P + 512 * n, 9) for n in range(8)]


def test_bulk_allocation_gives_what_there_is_when_memory_runs_out():
    machine = Machine([(P, PAGES)])
    assert len(page_alloc_bulk.alloc_pages_bulk(machine.kernel, 10 * PAGES, MigrateType.MOVABLE)) == PAGES
    assert len(page_alloc_bulk.alloc_pages_bulk(machine.kernel, 1, MigrateType.MOVABLE)) == 0
    with pytest.raises(KernelError, match="ENOMEM"):
        page_alloc_quick.alloc_pages(machine.kernel, 0, MigrateType.MOVABLE)
