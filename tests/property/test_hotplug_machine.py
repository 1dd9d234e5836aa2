"""Any script of adding, onlining, using, offlining and removing memory (mm/memory_hotplug.c).

Two kernels of one release, before and after the patch, go through it side by side. Nothing withholds pages
here, so between two steps nothing at all may tell them apart, and every invariant holds on both.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE

N = 32768
BLOCKS = (32, 33, 34)
HOTPLUGGED = ("Normal", "Movable")  # boot memory lies below 4 GiB
ZONE_OF = {"online_kernel": "Normal", "online_movable": "Movable"}
blocks = st.sampled_from(BLOCKS)
online_types = st.sampled_from(["online", "online_kernel", "online_movable"])
picks = st.integers(0, 11)
vetoes = st.sampled_from([False, False, True])


def outcome(do, *arguments):
    """Return what a call returns, or the name of the errno that it fails with."""
    try:
        return do(*arguments)
    except KernelError as error:
        return error.name


def in_block(block, pfns):
    """Return those pfns that lie in a block."""
    return [pfn for pfn in pfns if pfn // N == block]


def pick(from_, which):
    """Return one of some blocks."""
    return sorted(from_)[which % len(from_)]


class Hotplug(RuleBasedStateMachine):
    """Two machines and what is known of both: which block is where, and who holds which pages."""

    release = "6.12"

    @initialize(debug_vm=st.booleans(), dimms=st.lists(online_types, max_size=3))
    def boot(self, debug_vm, dimms):
        self.machines = [
            Machine([(0, N)], patch, self.release, debug_vm=debug_vm) for patch in (BEFORE, AFTER)
        ]
        self.zones = {}  # block -> name of its zone, or None while it is offline
        self.held = []  # (migratetype, the page lists of both machines)
        self.veto = False
        for machine in self.machines:
            machine.register_memory_notifier(self.listener)
        for online_type in dimms:
            self.add(0)
            self.online(0, online_type, veto=False)

    def listener(self, action, *_):
        return NOTIFY_BAD if self.veto and "GOING" in action else None

    @property
    def absent(self):
        return [block for block in BLOCKS if block not in self.zones]

    @property
    def offlined(self):
        return [block for block, zone in self.zones.items() if zone is None]

    @property
    def onlined(self):
        return [block for block, zone in self.zones.items() if zone is not None]

    def both(self, what, *arguments, veto=False):
        """Do the same on both kernels, with a listener that may refuse; both must end alike."""
        self.veto = veto
        ends = [outcome(getattr(machine, what), *arguments) for machine in self.machines]
        assert ends[0] == ends[1]
        return ends[0]

    # ---- what is done ---------------------------------------------------------------------------

    @precondition(lambda self: self.absent)
    @rule(which=picks)
    def add(self, which):
        block = pick(self.absent, which)
        end = self.both("add_memory", block * N, N)
        if end is None:
            self.zones[block] = None
        else:
            assert end == "ENOMEM"  # no room for its memmap

    @precondition(lambda self: self.offlined)
    @rule(which=picks, online_type=online_types, veto=vetoes)
    def online(self, which, online_type, veto):
        block = pick(self.offlined, which)
        end = self.both("online", block, online_type, veto=veto)
        if veto:
            assert end == "EPERM"
            return
        assert end is True
        self.zones[block] = self.machines[0].block(block).zone.name
        assert self.zones[block] == ZONE_OF.get(online_type, self.zones[block])

    @precondition(lambda self: self.onlined)
    @rule(which=picks, veto=vetoes)
    def offline(self, which, veto):
        block = pick(self.onlined, which)
        before = [self.counters(machine) for machine in self.machines]
        stuck = self.has_kernel_pages(block)
        end = self.both("offline", block, veto=veto)
        if end is True:
            assert not stuck
            assert not veto
            self.zones[block] = None
            return
        # A failure changes no counter; after the listeners were asked all pageblocks are MOVABLE.
        assert [self.counters(machine) for machine in self.machines] == before
        if stuck:
            assert end == "EBUSY"
            return
        types = set(self.machines[0].kernel.memmap.section(block * N).pageblocks)
        assert types == {MigrateType.MOVABLE}
        if veto:
            assert end == "EPERM"
        else:
            assert end == "EINTR"
            assert self.has_no_room(block)

    @precondition(lambda self: self.offlined)
    @rule(which=picks)
    def remove(self, which):
        block = pick(self.offlined, which)
        assert self.both("remove_memory", block * N, N) is None
        del self.zones[block]

    @rule(block=blocks)
    def what_makes_no_sense_is_refused(self, block):
        if block not in self.zones:
            for refused in (("online", block), ("offline", block), ("remove_memory", block * N, N)):
                assert self.both(*refused) == "ENOENT"
            return
        assert self.both("add_memory", block * N, N) == "EEXIST"
        if self.zones[block]:
            assert self.both("online", block) == "EINVAL"  # state_store(), drivers/base/memory.c
            assert self.both("remove_memory", block * N, N) == "EBUSY"
        else:
            assert self.both("offline", block) == "EINVAL"

    @rule(
        block=st.one_of(st.none(), blocks),
        nr_pages=st.integers(1, 300),
        kind=st.sampled_from(["unmovable", "movable", "reclaimable"]),
    )
    def allocate(self, block, nr_pages, kind):
        ends = [
            outcome(lambda machine=machine: machine.allocate(nr_pages, kind, block=block))
            for machine in self.machines
        ]
        assert ends[0] == ends[1]
        if isinstance(ends[0], list):
            self.held.append((kind, ends))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def free(self, which):
        _, pages = self.held.pop(which % len(self.held))
        for machine, mine in zip(self.machines, pages, strict=True):
            machine.free(mine)

    # ---- what is known --------------------------------------------------------------------------

    def counters(self, machine):
        """Return all counters that a failure must leave alone."""
        zones = [
            (zone.spanned_pages, zone.present_pages, zone.managed_pages, zone.nr_isolate_pageblock)
            for zone in machine.kernel.state.zones
        ]
        return zones, machine.totalram_pages

    def has_kernel_pages(self, block):
        """Return whether the kernel itself uses pages of a block, for others or for a memmap."""
        mine = [pfn for kind, pages in self.held if kind != "movable" for pfn in pages[0]]
        return bool(in_block(block, [*mine, *self.machines[0].kernel.vmemmap.values()]))

    def has_no_room(self, block):
        """Return whether the movable pages of a block are more than what is free elsewhere."""
        movable = [pfn for kind, pages in self.held if kind == "movable" for pfn in pages[0]]
        free = sum(zone.nr_free_pages for zone in self.machines[0].kernel.state.zones)
        here = in_block(block, movable)
        return len(here) > free - (N - len(here))

    @invariant()
    def every_invariant_holds(self):
        for machine in self.machines:
            assert machine.check() == []
            assert not any("BUG" in line or "WARNING" in line for line in machine.log)

    @invariant()
    def memory_is_present_and_managed_by_whole_blocks(self):
        online = list(self.zones.values())
        for machine in self.machines:
            assert machine.totalram_pages == N + N * sum(zone is not None for zone in online)
            for name in HOTPLUGGED:
                zone = machine.zone(name)
                assert zone.present_pages == zone.managed_pages == N * online.count(name)

    @invariant()
    def memory_that_is_neither_free_nor_held_holds_a_memmap(self):
        machine = self.machines[0]
        free = sum(zone.nr_free_pages for zone in machine.kernel.state.zones)
        held = sum(len(pages[0]) for _, pages in self.held)
        assert free + held + 512 * len(self.zones) == machine.totalram_pages

    @invariant()
    def nothing_tells_before_and_after_apart(self):
        first, second = ([self.online_arrays(machine), self.lists(machine)] for machine in self.machines)
        assert first == second
        assert self.machines[0].kernel.state.blocks == self.machines[1].kernel.state.blocks
        assert self.machines[0].log == self.machines[1].log

    def online_arrays(self, machine):
        """Return what the struct pages of online sections say (others mean nothing)."""
        return {
            nr: (
                *(getattr(section.pages, name).tobytes() for name in ("flags", "type", "order", "refcount")),
                bytes(section.pageblocks),
            )
            for nr, section in machine.kernel.memmap.sections.items()
            if section.online
        }

    def lists(self, machine):
        """Return all free lists in order."""
        return [[list(map(list, area)) for area in zone.free_area] for zone in machine.kernel.state.zones]

    def teardown(self):
        """Free all, take all offline, remove all: then it is as it was after boot."""
        if not hasattr(self, "machines"):
            return
        while self.held:
            self.free(0)
        for _ in BLOCKS:  # a memmap that lies in another block must go before that block can
            for turn in range(len(self.onlined)):
                if turn < len(self.onlined):
                    self.offline(turn, veto=False)
            while self.offlined:
                self.remove(0)
        assert self.zones == {}
        for machine in self.machines:
            assert sum(zone.nr_free_pages for zone in machine.kernel.state.zones) == N
            assert [machine.zone(name).spanned_pages for name in HOTPLUGGED] == [0, 0]
            assert machine.check() == []


class HotplugOn61(Hotplug):
    """The same on 6.1, with its own rules of merging and isolating."""

    release = "6.1"


THOROUGH = settings(max_examples=10, stateful_step_count=20)
TestHotplugOn612 = Hotplug.TestCase
TestHotplugOn612.settings = THOROUGH
TestHotplugOn61 = HotplugOn61.TestCase
TestHotplugOn61.settings = THOROUGH
