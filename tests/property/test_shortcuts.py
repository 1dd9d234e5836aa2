"""Every shortcut against the model of its kernel function: the same state, always.

A story runs on machines that are alike: without shortcuts, with each alone, with all, and with a tape, which
records single steps. Compared are pages, counters, free lists in their order, what the kernel printed, what
each step returned or failed with, and what a driver knows. A shortcut that no story takes is a failure, too.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from random import Random
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError, MemsimError
from memsim.fast import DRIVERS, page_alloc_bulk, register_shortcuts
from memsim.fast.page_alloc_bulk import free_pages_bulk, take_single_pages
from memsim.linux.drivers.xen.balloon import pages as xen_balloon_pages
from memsim.linux.drivers.xen.balloon.pages import FRAME_LIST, decrease_reservation, increase_reservation
from memsim.linux.include.layout import MAX_DMA_PFN
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages, alloc_pages_bulk
from memsim.linux.mm.page_alloc.contig import alloc_contig_range, free_contig_range
from memsim.linux.mm.page_isolation import start_isolate_page_range
from memsim.state.trace import SHORTCUTS, Shortcut

from .driver_scripts import N, scenarios
from .driver_sides import Side, told

register_shortcuts(DRIVERS)
BLOCK = 0x100000 // N
PATCHES = st.sampled_from([BEFORE, AFTER])
# Without shrinking, which takes minutes on stories of this length; a failure names the step that differs.
stories = settings(phases=[Phase.generate])
TAPED = 3
"""Of this many stories one runs under a tape, too; tests/property/test_tape.py is about tapes alone."""


@contextmanager
def shortcuts(names):
    """Let kernels that are made in here take only these shortcuts; count the calls that each serves."""
    served = Counter()

    def counted(name, function):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            served[name] += result is not NotImplemented
            return result

        return call

    chosen = {
        name: Shortcut(counted(name, SHORTCUTS[name].function), SHORTCUTS[name].suits) for name in names
    }
    with mock.patch.dict(SHORTCUTS, chosen, clear=True):
        yield served


def ends_alike(names, story, beside=None, *, tape=True):
    """Do a story with none of the shortcuts, with each of these, with all, and under a tape.

    ``beside`` has the shortcuts that one of these needs. A tape takes as long as all the others together, so
    not every story has one. Returns how often each of these served.
    """
    with shortcuts([]):
        end = story(record=False)
    served = Counter()
    runs = [([name, *(beside or {}).get(name, ())], False) for name in names] + [
        (list(SHORTCUTS), False),
        *[([], True)] * tape,
    ]
    for name, (chosen, record) in zip([*names, "all", *["tape"] * tape], runs, strict=True):
        with shortcuts(chosen) as counted:
            other = story(record=record)
        served[name] = counted[name]
        for number, (one, another) in enumerate(zip(end, other, strict=True)):
            assert one == another, (number, chosen, record)
    return served


# ---- the page allocator ----------------------------------------------------------------------------

P, PAGES = 0x100000, 4096
SWITCHES = [{name: True} for name in ("debug_vm", "per_cpu_lists", "watermarks")]
kinds = st.sampled_from(
    [{}, {}, {}, {"check_pages": False}, {"release": "6.1"}, {"release": "7.3"}, *SWITCHES]
)  # mostly what the shortcuts are for


def script_of(random, length=250):
    """Return a long script, mostly allocations and frees: rules meet only where much is split and merged."""
    block, offset, big = (lambda: random.randrange(PAGES // 512)), (lambda: random.randrange(PAGES)), 1 << 20
    flags = (PageFlag.DIRTY, PageFlag.LRU, PageFlag.HWPOISON)
    makers = {
        ("alloc", 40): lambda: (random.choices(range(11), [2.0**-order for order in range(11)])[0], kind()),
        ("free", 35): lambda: (random.randrange(big),),
        ("alloc_bulk", 4): lambda: (random.choice([1, 7, 300, 1000, 1024, 3000, 5000]), kind()),
        ("free_range", 4): lambda: (random.randrange(big), random.random()),
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


free_pages = __free_pages  # Python would mangle the name inside a class


class Script:
    """A machine and what a script has allocated on it."""

    def __init__(self, options):
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
        pfn = alloc_pages(self.kernel, order, migratetype)
        self.blocks.append((pfn, order))
        return pfn

    def _free(self, which):
        if self.blocks:
            return free_pages(self.kernel, *self.blocks.pop(which % len(self.blocks)))
        return None

    def _alloc_bulk(self, nr_pages, migratetype):
        pfns = alloc_pages_bulk(self.kernel, nr_pages, migratetype)
        self.lists.append(pfns)
        return pfns

    def _free_range(self, which, start):
        """Free a stretch of a list as a range, and keep the rest of it."""
        if not self.lists:
            return None
        pfns = self.lists.pop(which % len(self.lists))
        first = last = int(start * len(pfns) * 0.99)
        while last + 1 < len(pfns) and pfns[last + 1] == pfns[last] + 1:
            last += 1
        return free_contig_range(self.kernel, pfns[first], last + 1 - first) if pfns else None

    def _again(self, which):
        """Free a page that is free or allocated, as a program with a mistake would."""
        free_pages(self.kernel, P + which % PAGES)

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
        """Change a pageblock's type behind the lists' back, which no kernel does without moving the pages.

        An isolated pageblock keeps its type: the counters would lose its free pages. Where isolation is a bit
        beside the type, no type is ISOLATE.
        """
        memmap, first = self.kernel.memmap, P + 512 * block
        bit = self.kernel.release.isolation_is_a_bit and migratetype == MigrateType.ISOLATE
        if not bit and memmap.migratetype(first) != MigrateType.ISOLATE:
            memmap.set_migratetype(first, 512, migratetype)

    def _contig(self, block, size):
        alloc_contig_range(self.kernel, P + 512 * block, 512 * size)
        self.lists.append(list(range(P + 512 * block, P + 512 * (block + size))))


def allocator_story(options, seed, snapshot):
    def story(*, record):
        script = Script(options | {"record": record})
        return [script.do(step) for step in script_of(Random(seed))] + [snapshot(script.kernel.state)]  # noqa: S311 (no secret)

    return story


def test_the_allocator(snapshot):
    names, taken = ["alloc_pages", "__free_pages", "alloc_pages_bulk", "free_contig_range"], []

    @settings(stories, max_examples=12)
    @given(kinds, st.integers(0, 1 << 32))
    def alike(options, seed):
        story = allocator_story(options, seed, snapshot)
        taken.append(ends_alike(names, story, tape=len(taken) % TAPED == 0))

    alike()
    assert all(max(served[name] for served in taken) >= 3 for name in names)


@pytest.mark.parametrize("marked", [False, True])
def test_a_range_is_freed_in_chunks_since_7_2(snapshot, marked):
    def story(*, record):
        machine = Machine([(P, 3 * N)], AFTER, release="7.3", record=record)
        kernel, seen = machine.kernel, []
        alloc_contig_range(kernel, P + 512, 2 * N)
        if marked:  # in the second of three sections
            kernel.memmap.set_refcount(P + N + 1000, 1, 2)
        for start, nr_pages in ((P + 512, 700), (P + 1212, 2 * N - 700)):
            free_contig_range(kernel, start, nr_pages)
            seen.append(snapshot(kernel.state))
        return seen

    assert ends_alike(["free_contig_range"], story)["free_contig_range"] == (1 if marked else 2)


# ---- whole sections boot, come online and go offline -----------------------------------------------

LAYOUTS = [
    {"ram": [(0, 4 * N)]},
    {"ram": [(5, 2 * N), (3 * N - 700, N + 700)], "reserved": [(N, 3), (2 * N - 9, 20)]},
    {"ram": [(0, 40000), (3 * N, 2 * N)], "reserved": [(40, 1)]},
    {"ram": [(0, 2 * N), (2 * N, 2 * N)], "memmap_on_memory": True},
]
OPTIONS = [
    *[{}] * 4,
    {"per_cpu_lists": True},
    {"watermarks": True},
    {"check_pages": False},
    {"block_pages": 2 * N},
    {"block_pages": 2 * N, "memmap_on_memory": True},
    {"debug_vm": True},
]
HALVES = [
    BEFORE,
    AFTER,
    BEFORE,
    AFTER,
    Patch({Hunk.MM_INIT}),
    Patch({Hunk.PAGE_ALLOC}),
    Patch.without({Hunk.OFFLINE_CORE}),
]


class Hotplug:
    """A machine with some memory to plug, and random steps of an administrator and of users."""

    def __init__(self, random, **options):
        self.random = random
        kernel = {"patch": random.choice(HALVES), "release": random.choice(["6.1", "6.12", "6.12"])}
        self.machine = Machine(**random.choice(LAYOUTS) | random.choice(OPTIONS) | kernel | options)
        self.unit = self.machine.kernel.block_pages
        self.first = 0x100000 // self.unit
        self.held = []
        self.machine.add_memory(0x100000, 4 * N)

    def do(self, what):
        """Do a step; returns what can be seen of it."""
        try:
            return getattr(self, what)(self.first + self.random.randrange(4 * N // self.unit))
        except MemsimError as error:
            return str(error)

    def online(self, block):
        return self.machine.online(block, self.random.choice(["online_movable", "online_kernel"]))

    def offline(self, block):
        return self.machine.offline(block, patience=self.random.choice([0, 1, 2, 50]))

    def boot_block(self, _):
        """Take boot memory offline and put it online again: its sections are early."""
        block = self.random.randrange(4 * N // self.unit)
        return self.machine.offline(block, patience=3) and self.machine.online(block, "online_kernel")

    def allocate(self, block):
        kind = self.random.choice(["movable", "movable", "unmovable"])
        self.held.append(self.machine.allocate(self.random.randrange(1, 30), kind, block=block))
        return list(self.held[-1])

    def free(self, _):
        if self.held:
            self.machine.free(self.held.pop(self.random.randrange(len(self.held))))

    def replug(self, block):
        self.machine.remove_memory(block * self.unit, self.unit)
        self.machine.add_memory(block * self.unit, self.unit)

    def listen(self, _):
        """Add a listener that touches a page, so that not all of them are as they were initialised."""
        memmap = self.machine.kernel.memmap

        def touch(action, pfn, nr_pages):
            if action == "MEM_GOING_ONLINE":
                memmap.set_flags(pfn + nr_pages // 3, 1, PageFlag.DIRTY)

        self.machine.register_memory_notifier(touch)


STEPS = {"online": 10, "offline": 8, "boot_block": 3, "allocate": 2, "free": 2, "replug": 2}


def test_sections(snapshot):
    names = ["__free_pages_memory", "online_pages", "offline_pages"]
    # Only these two leave sections that nothing has written to, as offline_pages() looks for.
    beside = {"offline_pages": ["__free_pages_memory", "online_pages"]}

    def story(seed):
        def run(*, record):
            random = Random(seed)  # noqa: S311 (no secret)
            hotplug = Hotplug(random, record=record)
            steps = random.choices(list(STEPS), STEPS.values(), k=16)
            if random.random() < 0.2:
                steps.insert(random.randrange(16), "listen")
            seen = [snapshot(hotplug.machine.kernel.state)]
            for step in steps:
                seen += [(step, hotplug.do(step)), snapshot(hotplug.machine.kernel.state)]
            return seen

        return run

    # Not Hypothesis: its integers depend on the modules that are loaded, and so would these counts.
    taken = [ends_alike(names, story(seed), beside, tape=seed % TAPED == 0) for seed in range(10)]
    assert all(sum(served[name] for served in taken) >= 5 for name in names)


@pytest.mark.parametrize("hunk", Hunk)
@pytest.mark.parametrize("alone", [True, False])
def test_sections_of_half_patches(snapshot, hunk, alone):
    """A DIMM and a block of boot memory, whose sections are early, go and come back: with each half."""

    def story(*, record):
        patch = Patch({hunk}) if alone else Patch.without({hunk})
        machine, seen = Machine([(0, 4 * N)], patch, record=record), []
        machine.add_memory(P, N)
        for state, block in (("online", P // N), ("offline", P // N), ("offline", 3), ("online", 3)):
            try:
                getattr(machine, state)(block, *["online_kernel"] * (state == "online"))
            except MemsimError as error:  # some halves cannot
                seen.append(str(error))
            seen.append(snapshot(machine.kernel.state))
        return seen

    ends_alike(["online_pages", "offline_pages"], story)


# ---- balloon drivers -------------------------------------------------------------------------------


def driver_story(script, patch, snapshot):
    def run(*, record):
        side = Side(script, patch, "6.12")
        if record:
            side.machine.record()
        seen = []
        for number in range(len(script.steps)):
            seen += [side.do(number), told(side.device)]
        return [*seen, snapshot(side.kernel.state)]

    return run


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("hv-balloon", ["hv_bring_pgs_online", "free_balloon_pages"]),
        ("xen-balloon", ["increase_reservation", "decrease_reservation"]),
    ],
)
def test_drivers(snapshot, kind, names):
    taken = []

    @settings(stories, max_examples=6)
    @given(scenarios(kind, size=8), PATCHES)
    def alike(script, patch):
        story = driver_story(script, patch, snapshot)
        taken.append(ends_alike(names, story, tape=len(taken) % TAPED == 0))

    alike()
    # That each of them is taken often, the tests below require.
    assert any(any(served.values()) for served in taken)


FIRST, SIZE = MAX_DMA_PFN - 1300, 2600
"""The balloon's memory, in two zones; beside it the buddy has a little less than three lists of frames."""
ORDERS = ("ascending", "descending", "mixed")
stretches = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 700), st.sampled_from(ORDERS)), min_size=1, max_size=4
)
counts = st.sampled_from([1, 2, 100, FRAME_LIST, FRAME_LIST + 1]) | st.integers(1, FRAME_LIST)
CHANGES = [
    ("set_flags", PageFlag.DIRTY),
    ("set_flags", PageFlag.HWPOISON),
    ("clear_flags", PageFlag.RESERVED),
    ("set_refcount", 2),
]
marks = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 40), st.sampled_from(CHANGES)), max_size=3
)
rounds = st.lists(st.tuples(st.booleans(), counts), min_size=1, max_size=8)


def list_of(parts):
    """Return the pages of some stretches in the order of each, none of them twice; the rest are holes."""
    pfns = {}
    for start, length, order in parts:
        part = list(range(FIRST + start, FIRST + min(start + length, SIZE)))
        if order == "descending":
            part.reverse()
        elif order == "mixed":
            Random(start).shuffle(part)  # noqa: S311 (no secret)
        pfns.update(dict.fromkeys(part))
    return list(pfns)


def balloon_with(pfns, patch, marked, **options):
    """Return the balloon of a machine with these pages on its list, and some of them marked."""
    xen = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": N}
    extra = {"extra_start_pfn": FIRST, "extra_pages": SIZE}
    kept = [(0, FIRST - 700), (FIRST + SIZE + 700, 1000)]
    machine = Machine([(0, FIRST + SIZE + 1700)], patch, reserved=kept, devices=[xen | extra], **options)
    balloon = machine.devices["xen0"]
    balloon.ballooned_pages[:] = pfns
    for offset, nr_pages, (change, value) in marked:
        getattr(balloon.kernel.memmap, change)(FIRST + offset, min(nr_pages, SIZE - offset), value)
    return balloon


def list_story(pfns, patch, marked, work, snapshot):
    def run(*, record):
        balloon = balloon_with(pfns, patch, marked, record=record)
        seen = []
        for increases, nr_pages in work:
            change = increase_reservation if increases else decrease_reservation
            seen += [change(balloon.kernel, nr_pages), told(balloon), snapshot(balloon.kernel.state)]
        return seen

    return run


def test_a_balloon_with_a_list_in_any_order_with_holes(snapshot):
    names, taken = ["increase_reservation", "decrease_reservation"], []

    @settings(stories, max_examples=12)
    @given(stretches, PATCHES, marks, rounds)
    def alike(parts, patch, marked, work):
        story = list_story(list_of(parts), patch, marked, work, snapshot)
        taken.append(ends_alike(names, story, tape=len(taken) % TAPED == 0))

    alike()
    assert all(sum(served[name] for served in taken) >= 5 for name in names)


def test_neighbours_of_two_zones_that_are_taken_together_leave_each_its_own(snapshot):
    def run(*, record):
        kept = [(0, MAX_DMA_PFN - 100), (MAX_DMA_PFN + 100, 1000)]
        machine = machine_of(MAX_DMA_PFN + 1100, reserved=kept, record=record)
        decrease_reservation(machine.kernel, 200)
        assert machine.zone("DMA").managed_pages == machine.zone("DMA32").managed_pages == 0
        return [snapshot(machine.kernel.state)]

    assert ends_alike(["decrease_reservation"], run)["decrease_reservation"] == 1


# ---- pages that are not alike, between the Hyper-V balloon and the buddy ---------------------------

MARKS = [
    ("set_flags", PageFlag.RESERVED),
    ("set_flags", PageFlag.DIRTY),
    ("set_type", PageType.OFFLINE),
    ("clear_type", PageType.OFFLINE),
    ("set_refcount", 2),
]
hv_marks = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 700), st.sampled_from(MARKS)), max_size=4)
hv_sizes = st.lists(st.integers(1, 1500), min_size=2, max_size=4)
HALF_PATCHES = st.sampled_from(
    [BEFORE, AFTER, *(Patch({hunk}) for hunk in Hunk), Patch.without({Hunk.PAGE_ALLOC})]
)


def outcome_of(change, *args):
    """Return what a call returns, or the error that it ends with."""
    try:
        return change(*args)
    except MemsimError as error:
        return str(error)


def hv_story(sizes, patch, marked, snapshot):
    """Back memory in pieces, take pages out of use and give them back, with marks on some of them."""

    def run(*, record):
        machine = Machine([(0, 4 * N)], patch, devices=[{"kind": "hv-balloon", "name": "hv0"}], record=record)
        hv, state, memmap = machine.devices["hv0"], machine.kernel.state, machine.kernel.memmap
        hv.hot_add(P, sizes[0])
        seen = [outcome_of(machine.online, 32, "online_kernel"), snapshot(state)]
        for offset, nr_pages, (change, value) in marked:
            getattr(memmap, change)(P + sizes[0] + offset, nr_pages, value)
        at = P + sizes[0]
        for size in sizes[1:]:
            seen += [outcome_of(hv.hot_add, at, size), told(hv), snapshot(state)]
            at += size
        seen += [outcome_of(hv.inflate, sum(sizes)), told(hv), snapshot(state)]
        for offset, nr_pages, (change, value) in marked:
            for start, size in hv.held[offset % 3 : offset % 3 + 1]:
                getattr(memmap, change)(start + offset % size, min(nr_pages, size - offset % size), value)
        return [*seen, outcome_of(hv.deflate), told(hv), snapshot(state)]

    return run


def test_hyper_v_pages_that_are_not_alike(snapshot):
    names, taken = ["hv_bring_pgs_online", "free_balloon_pages"], []

    @settings(stories, max_examples=12)
    @given(hv_sizes, HALF_PATCHES, hv_marks)
    def alike(sizes, patch, marked):
        story = hv_story(sizes, patch, marked, snapshot)
        taken.append(ends_alike(names, story, tape=len(taken) % TAPED == 0))

    alike()
    assert all(sum(served[name] for served in taken) >= 10 for name in names)


# ---- which way is taken ----------------------------------------------------------------------------


def test_every_shortcut_has_a_story():
    assert set(SHORTCUTS) == {
        *("alloc_pages", "__free_pages", "alloc_pages_bulk", "free_contig_range"),
        *("__free_pages_memory", "online_pages", "offline_pages"),
        *("hv_bring_pgs_online", "free_balloon_pages", "increase_reservation", "decrease_reservation"),
    }


def machine_of(ram=N, **options):
    xen = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": N}
    return Machine([(0, ram)], devices=[xen], **options)


def test_nothing_is_done_to_single_pages_when_nobody_watches(monkeypatch):
    for name in ("alloc_pages", "free_reserved_page", "balloon_append", "balloon_retrieve"):
        monkeypatch.setattr(xen_balloon_pages, name, None)
    balloon = machine_of().devices["xen0"]
    for target in (N - 5000, N - 10):
        balloon.set_target(target)
        assert balloon.current_pages == target


def test_a_tape_hears_of_every_page():
    machine = machine_of(record=True)
    for target in (N - FRAME_LIST, N):
        machine.devices["xen0"].set_target(target)
    points = [event.point for event in machine.tape.events]
    for function in ("balloon_append", "balloon_retrieve", "free_reserved_page"):
        assert f"enter:{function}#{FRAME_LIST}" in points


def test_a_kernel_takes_shortcuts_only_while_it_is_neither_watched_nor_checked():
    machine = Machine([(P, PAGES)])
    assert "alloc_pages" in machine.kernel.shortcuts
    machine.record()
    assert machine.kernel.shortcuts == {}
    alloc_pages(machine.kernel, 0, MigrateType.MOVABLE)
    assert any(event.point == "enter:alloc_pages#1" for event in machine.tape.events)
    machine.stop_recording()
    assert "alloc_pages" in machine.kernel.shortcuts
    machine.kernel.watermarks = True
    assert "alloc_pages" not in machine.kernel.shortcuts
    assert "online_pages" in machine.kernel.shortcuts
    assert Machine([(P, PAGES)], debug_vm=True).kernel.shortcuts == {}


@pytest.mark.parametrize("order", range(11))
def test_blocks_of_every_order_are_allocated_and_freed_by_shortcuts(order):
    with shortcuts(["alloc_pages", "__free_pages"]) as served:
        kernel = Machine([(P, PAGES)]).kernel
        free_pages(kernel, alloc_pages(kernel, order, MigrateType.MOVABLE), order)
    # The model frees a block of order 10 as two pageblocks, whose types may differ.
    assert served == {"alloc_pages": 1, "__free_pages": order < 10}


@pytest.mark.parametrize("order", [11, 30])
def test_an_order_without_free_lists_is_left_to_the_model(order):
    found = []
    for names in ([], ["alloc_pages"]):
        with shortcuts(names), pytest.raises(KernelError) as error:
            alloc_pages(Machine([(P, PAGES)], AFTER).kernel, order, MigrateType.MOVABLE)
        found.append(str(error.value))
    assert found[0] == found[1]


def test_a_copy_of_the_state_is_left_alone(snapshot):
    kernel = Machine([(P, PAGES)]).kernel
    held = alloc_pages(kernel, 3, MigrateType.MOVABLE)
    for work in (
        lambda: alloc_pages(kernel, 0, MigrateType.MOVABLE),
        lambda: free_pages(kernel, held, 3),
        lambda: alloc_pages_bulk(kernel, 1500, MigrateType.MOVABLE),
    ):
        copy = kernel.state.copy()
        before = snapshot(copy)
        work()
        assert snapshot(copy) == before
        assert snapshot(kernel.state) != before


def test_whole_sections_are_allocated_at_once(snapshot):
    machines = []

    def run(*, record):
        machine = Machine([(P, N)])
        machine.add_memory(P + N, 3 * N)
        for block in (33, 34, 35):
            machine.online(block, "online_movable")
        if record:
            machine.record()
        first = alloc_pages_bulk(machine.kernel, 1, MigrateType.MOVABLE)
        rest = alloc_pages_bulk(machine.kernel, 3 * N - 5, MigrateType.MOVABLE)
        machines.append(machine)
        return [first, rest, snapshot(machine.kernel.state)]

    assert ends_alike(["alloc_pages_bulk"], run, tape=False)["alloc_pages_bulk"] == 2
    # The last section was taken page by page at its end; the one before as a whole, and is still shared.
    assert machines[2].kernel.memmap.sections[34].shared


def test_bulk_allocation_works_on_blocks_and_not_on_pages(monkeypatch):
    # 4096 pages in blocks of 1024: what is done four times is work on blocks, the rest is numpy's.
    machine = Machine([(P, PAGES)])
    taken, take = [], page_alloc_bulk.take_pages
    monkeypatch.setattr(page_alloc_bulk, "take_pages", lambda *args: taken.append(args[2]) or take(*args))
    pfns = take_single_pages(machine.kernel, 4096, MigrateType.MOVABLE)
    assert taken == [10, 10, 10, 10]
    assert pfns.tolist() == list(range(P, P + 4096))

    freed = []
    monkeypatch.setattr(page_alloc_bulk, "__free_pages", lambda _, pfn, order=0: freed.append((pfn, order)))
    free_pages_bulk(machine.kernel, pfns)
    assert freed == [(P + 512 * n, 9) for n in range(8)]

    # In falling order, as the Xen balloon populates a block: the same blocks, the last one first.
    freed.clear()
    machine.kernel.memmap.set_refcount(P, PAGES, 1)
    free_pages_bulk(machine.kernel, pfns[2050:500:-1])
    whole = [(P + 512 * n, 9) for n in (3, 2, 1)]
    assert freed == [(P + 2050, 0), (P + 2048, 1), *whole, (P + 504, 3), (P + 502, 1), (P + 501, 0)]


def test_bulk_allocation_returns_what_there_is_when_memory_runs_out():
    kernel = Machine([(P, PAGES)]).kernel
    assert len(alloc_pages_bulk(kernel, 10 * PAGES, MigrateType.MOVABLE)) == PAGES
    assert alloc_pages_bulk(kernel, 1, MigrateType.MOVABLE) == []
    with pytest.raises(KernelError, match="ENOMEM"):
        alloc_pages(kernel, 0, MigrateType.MOVABLE)


def test_a_boot_without_a_tape_keeps_whole_free_sections_as_one_pattern():
    sections = Machine([(0x100000, 4 * N)]).kernel.memmap.sections
    assert all(section.pages.pattern is not None for section in sections.values())


def test_a_listener_or_a_callback_may_touch_pages_so_online_pages_is_left_to_the_model():
    with shortcuts(["online_pages"]) as served:
        machine = Machine([(P, N)])
        machine.add_memory(P + N, 2 * N)
        machine.online(33)
        assert served["online_pages"] == 1
        machine.register_memory_notifier(lambda *_: None)
        machine.online(34)
        assert served["online_pages"] == 1
