"""Every core row of the state table is reached through the public API and compared in all columns.

The table (tests/material/state-table.csv) is the specification: for each step of each path what one page
looks like, before and after the patch. Rows of drivers are tested with the drivers.
"""

import pytest

from memsim import AFTER, BEFORE, Machine
from memsim.errors import KernelError
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag

from .state_table import columns, rows

START, PAGES = 0x100000, 32768
ROWS = rows()
DIFFERENT = {"O1", "M1", "M2", "M3", "M4", "M5"}


class Scene:
    """A recorded machine; ``at`` gives the state at a probe point of the last action."""

    def __init__(self, patch, release, **options):
        self.machine = Machine(patch=patch, release=release, record=True, **options)

    def act(self, action, *args, fails=None, **kwargs):
        self.machine.tape.action(action)
        method = getattr(self.machine, action)
        if fails is None:
            method(*args, **kwargs)
            return
        with pytest.raises(KernelError) as caught:
            method(*args, **kwargs)
        assert caught.value.name == fails

    def at(self, point, step=None):
        tape = self.machine.tape
        step = len(tape.labels) - 1 if step is None else step
        return tape.at(tape.find(step, point))

    @property
    def now(self):
        return self.machine.kernel.state


def added(patch, release, **options):
    scene = Scene(patch, release, **options)
    scene.act("add_memory", START, PAGES)
    return scene


def online(patch, release, online_type="online_movable", **options):
    scene = added(patch, release, **options)
    scene.act("online", 32, online_type)
    return scene


def self_hosted(patch, release, online_type="online_movable"):
    return online(patch, release, online_type, memmap_on_memory=True)


def offline_failed(patch, release, **options):
    """A kernel page in the middle of a block of ZONE_NORMAL makes offlining fail."""
    scene = online(patch, release, "online_kernel", **options)
    scene.act("allocate", 1, "unmovable", block=32)
    scene.act("offline", 32, fails="EBUSY")
    return scene


def vetoed(patch, release):
    scene = added(patch, release)
    scene.machine.register_memory_notifier(lambda *_: NOTIFY_BAD)
    scene.act("online", 32, fails="EPERM")
    return scene.now, START


def booted(patch, release, point):
    scene = Scene(patch, release, ram=[(0, 131072)], reserved=[(0x2000, 16)])
    return scene.at(point, step=0)


def boot_reserved_page_freed(patch, release):
    scene = Scene(patch, release, reserved=[(0x2000, 16)], per_cpu_lists=True)
    scene.act("free_reserved_page", 0x2000)
    return scene.now, 0x2000


def hole(patch, release):
    return Scene(patch, release, ram=[(0, 100000)]).now, 100000


def held_page(patch, release, *, freed):
    scene = online(patch, release, per_cpu_lists=True)
    pfns = scene.machine.allocate(1)
    pfn = pfns[0]
    if freed:
        scene.machine.free(pfns)
    else:
        # An owner that is not user space: the table's page is not on the LRU.
        scene.machine.kernel.memmap.clear_flags(pfn, 1, PageFlag.LRU)
    return scene.now, pfn


def device(patch, release, kind="generic", *, altmap=False):
    scene = Scene(patch, release)
    scene.act("memremap_pages", START, PAGES, kind, altmap=altmap)
    return scene.now, START


def going_offline(patch, release, point, *, used=False):
    """``used``: the first page of the block is a user's and has to be migrated away."""
    scene = online(patch, release)
    scene.act("add_memory", START + PAGES, PAGES)
    scene.act("online", 33, "online_movable")
    if used:
        scene.act("allocate", 1, block=32)
    scene.act("offline", 32)
    return scene.at(point), START


def poisoned(patch, release):
    scene = online(patch, release)
    scene.act("poison", START + 5)
    return scene.now, START + 5


REACH = {
    "B1": lambda *k: (booted(*k, "return:memmap_init_range"), 0x800),
    "B2": lambda *k: (booted(*k, "return:reserve_bootmem_region"), 0x2000),
    "B3": lambda *k: (booted(*k, "return:memblock_free_all"), 0x400),
    "B4": boot_reserved_page_freed,
    "B5": hole,
    "H1": lambda *k: (added(*k).now, START),
    "O1": lambda *k: (online(*k).at("return:move_pfn_range_to_zone"), START),
    "O2": vetoed,
    "O3": lambda *k: (online(*k).at("return:generic_online_page"), START),
    "O3b": lambda *k: (online(*k).at("return:generic_online_page"), START + 1),
    "O4": lambda *k: (online(*k).at("return:adjust_present_page_count"), START),
    "O5": lambda *k: (online(*k).at("return:undo_isolate_page_range"), START),
    "P1": lambda *k: held_page(*k, freed=False),
    "P2": lambda *k: held_page(*k, freed=True),
    "M1": lambda *k: (self_hosted(*k).at("return:move_pfn_range_to_zone"), START),
    "M2": lambda *k: (self_hosted(*k).at("return:mhp_init_memmap_on_memory"), START),
    "M3": lambda *k: (self_hosted(*k).now, START),
    "M4": lambda *k: (offline_failed(*k, memmap_on_memory=True).at("enter:offline_pages"), START),
    "M5": lambda *k: (offline_failed(*k, memmap_on_memory=True).now, START),
    "M6": lambda *k: (self_hosted_offline(*k), START),
    "D1": device,
    "D2": lambda *k: device(*k, "private"),
    "D3": lambda *k: device(*k, altmap=True),
    "F1": lambda *k: going_offline(*k, "notifier:MEM_GOING_OFFLINE"),
    "F2": lambda *k: going_offline(*k, "enter:__offline_isolated_pages", used=True),
    "F3": lambda *k: going_offline(*k, "return:__offline_isolated_pages"),
    "F4": lambda *k: going_offline(*k, "notifier:MEM_OFFLINE"),
    "F5": lambda *k: going_offline(*k, "return:remove_pfn_range_from_zone"),
    "F6": lambda *k: (offline_failed(*k).now, START + 1024),
    "W1": poisoned,
}


def self_hosted_offline(patch, release):
    scene = self_hosted(patch, release)
    scene.act("offline", 32)
    return scene.now


def test_every_core_row_of_the_table_is_reached():
    assert {row for row, _ in ROWS} == set(REACH)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize(("row", "version"), list(ROWS))
def test_row(row, version, release):
    state, pfn = REACH[row](BEFORE if version == "before" else AFTER, release)

    found = columns(state, pfn)

    expected = ROWS[row, version]
    if "u" in expected:  # the memmap means nothing: only the ghost columns and the section speak
        assert not state.memmap.section(pfn).online
        assert found[5:] == expected[5:]
    else:
        assert found == expected


@pytest.mark.parametrize("row", sorted(REACH))
def test_the_rows_that_differ_are_those_of_the_patch(row):
    assert (ROWS[row, "before"] != ROWS[row, "after"]) == (row in DIFFERENT)


@pytest.mark.long
@pytest.mark.parametrize("row", sorted(set(REACH) - DIFFERENT))
def test_rows_outside_the_patch_are_equal_on_both_sides(row):
    sides = [columns(*REACH[row](patch, "6.12")) for patch in (BEFORE, AFTER)]
    undefined = "u" in ROWS[row, "before"]

    assert sides[0][5:] == sides[1][5:] if undefined else sides[0] == sides[1]
