"""The Hyper-V balloon: what it does to pages, what it answers, and what a host that misbehaves gets.

Rows Y* of the state table, the branches of hv_page_online_one(), and what must hold whatever the host does.
P is the first page of block 32, N the pages of a block.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import AFTER, BEFORE, Hunk, Machine, Patch, Scenario, run
from memsim.errors import BadObservation, KernelBug, KernelError, MemsimError
from memsim.linux.drivers.hv.hv_balloon.ballooning import (
    RANGES_IN_MESSAGE,
    compute_balloon_floor,
    pages_above_floor,
)
from memsim.linux.drivers.hv.hv_balloon.region import HvHotaddState, hv_bring_pgs_online, hv_page_online_one
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import LIVE, MANAGED, PageType
from memsim.recordings.observation import Observation
from memsim.recordings.replay import replay
from memsim.state.trace import Probe, matches

from .state_table import columns, rows

P, N = 0x100000, 32768
ROWS = rows("hv-balloon")
BACKED = 700
DIFFERENT = {"Y1", "Y2", "Y4"}
SIDES = pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12"])


def booted(patch=AFTER, release="6.12", **options):
    """Return a machine of 512 MiB with a Hyper-V balloon, and the device."""
    machine = Machine(
        patch=patch, release=release, devices=[{"kind": "hv-balloon", "name": "hv0"}], **options
    )
    return machine, machine.devices["hv0"]


def partly(patch=AFTER, release="6.12", backed=BACKED, online_type="online_movable", **options):
    """Return a machine whose block 32 is online, with ``backed`` pages backed by the host."""
    machine, hv = booted(patch, release, **options)
    hv.hot_add(P, backed)
    machine.online(32, online_type)
    return machine, hv


def broken(machine):
    return {violation.name for violation in machine.check()}


def states_of(machine, pfn, nr_pages):
    """Return (reserved, type, refcount) of a range of pages that are alike."""
    found = {
        (page.reserved, "+".join(sorted(kind.value for kind in page.types)), page.refcount)
        for page in map(machine.kernel.memmap.raw, range(pfn, pfn + nr_pages))
    }
    assert len(found) == 1
    return found.pop()


def notified(machine):
    """Return a list that fills with the notifier actions from now on."""
    seen = []
    machine.register_memory_notifier(lambda action, *_: seen.append(action))
    return seen


# ---- the state table -------------------------------------------------------------------------------


def at_callback(patch, release, pfn):
    """Return the columns of a page as the first online page callback has returned."""
    machine, hv = booted(patch, release)
    hv.hot_add(P, BACKED)
    found = []

    def look(point):
        if matches(point, "return:hv_online_page#1"):
            found.append(columns(machine.kernel.state, pfn))

    machine.kernel.put_trace(Probe(look))
    machine.online(32, "online_movable")
    return found[0]


def dimm(patch, release):
    machine, _ = booted(patch, release)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    return columns(machine.kernel.state, P)


def backed_later(patch, release):
    machine, hv = partly(patch, release, backed=512)
    hv.hot_add(P + 512, 512)
    return columns(machine.kernel.state, P)


def inflated(patch, release, *, deflate=False):
    machine, hv = booted(patch, release, per_cpu_lists=True)
    hv.inflate(1)
    ((pfn, _),) = hv.held
    if deflate:
        hv.deflate()
    return columns(machine.kernel.state, pfn)


REACH = {
    "Y1": lambda *k: at_callback(*k, P + BACKED),
    "Y2": lambda *k: columns(partly(*k)[0].kernel.state, P + BACKED),
    "Y3": lambda *k: at_callback(*k, P),
    "Y4": dimm,
    "Y5": backed_later,
    "Y6": inflated,
    "Y7": lambda *k: inflated(*k, deflate=True),
}


def test_every_row_of_the_driver_is_reached():
    assert {row for row, _ in ROWS} == set(REACH)


@RELEASES
@pytest.mark.parametrize(("row", "version"), list(ROWS))
def test_row(row, version, release):
    assert REACH[row](BEFORE if version == "before" else AFTER, release) == ROWS[row, version]


@pytest.mark.parametrize("row", sorted(REACH))
def test_the_rows_that_differ_are_those_of_the_patch(row):
    assert (ROWS[row, "before"] != ROWS[row, "after"]) == (row in DIFFERENT)


# ---- hv_page_online_one() --------------------------------------------------------------------------

WITHHELD, RETURNED_AT_ONCE, ONLINED = "withheld", "returned at once", "onlined"


@RELEASES
@pytest.mark.parametrize(
    ("hunk", "backed", "offline", "outcome"),
    [
        (False, False, False, WITHHELD),
        (False, False, True, WITHHELD),
        (False, True, False, ONLINED),
        (False, True, True, ONLINED),
        (True, False, False, WITHHELD),
        (True, False, True, WITHHELD),
        (True, True, False, RETURNED_AT_ONCE),
        (True, True, True, ONLINED),
    ],
)
def test_the_branches_of_hv_page_online_one(release, hunk, backed, offline, outcome):
    # The core is consistent with the mark that the page has, so that only the driver's branch decides.
    core = {Hunk.MM_INIT, Hunk.PAGE_ALLOC} if offline else set()
    machine, hv = partly(Patch(core), release)
    machine.kernel.patch = Patch(core | {Hunk.HV_BALLOON}) if hunk else Patch(core)
    page, (has,) = P + 1000, hv.ha_region_list
    if not offline:
        machine.kernel.memmap.clear_type(page, 1, PageType.OFFLINE)
    if backed:
        has.covered_end_pfn = page + 1
    managed, onlined = machine.totalram_pages, hv.num_pages_onlined

    hv_page_online_one(machine.kernel, hv, has, page)

    assert machine.page(page).offline == (outcome == WITHHELD)
    assert machine.page(page).buddy == (outcome == ONLINED)
    assert machine.totalram_pages - managed == hv.num_pages_onlined - onlined == (outcome == ONLINED)


@SIDES
@RELEASES
def test_what_is_not_backed_is_withheld_and_comes_when_the_host_backs_it(patch, release):
    machine, hv = partly(patch, release, backed=20000)
    zone = machine.zone("Movable")

    assert states_of(machine, P + 20000, N - 20000) == (patch == BEFORE, "offline", 1)
    assert (zone.present_pages, zone.managed_pages, zone.nr_free_pages) == (N, 20000, 20000)
    hv.hot_add(P + 20000, N - 20000)
    assert (zone.present_pages, zone.managed_pages, zone.nr_free_pages) == (N, N, N)
    assert len(zone.free_area[10][1]) == N >> 10  # single pages were freed, merging did the rest
    assert broken(machine) == set()


def both_ways(snapshot, make, act):
    """Do the same with and without somebody who watches; return the two states after it."""
    ends = []
    for trace in (None, Probe(lambda _: None)):
        machine, hv = make()
        machine.kernel.put_trace(trace)
        act(machine, hv)
        ends.append(snapshot(machine.kernel.state))
    return ends


@pytest.mark.long
@SIDES
@RELEASES
@pytest.mark.parametrize("mixed", [False, True])
def test_page_by_page_and_many_at_once_come_to_the_same(patch, release, mixed, snapshot):
    # `mixed`: half a patch, where pages keep marks and must not be taken together.
    kernels = [patch]
    if mixed:
        make = Patch.without if patch == AFTER else Patch
        kernels = [make({hunk}) for hunk in (Hunk.MM_INIT, Hunk.PAGE_ALLOC, Hunk.HV_BALLOON)]

    def more(_, hv):
        hv.hot_add(P + BACKED + 100, 1500)
        hv.inflate(1100)
        hv.deflate(1024 + 17)

    for kernel in kernels:
        looped, at_once = both_ways(snapshot, lambda kernel=kernel: partly(kernel, release), more)
        assert looped == at_once


@RELEASES
def test_pages_in_use_that_are_freed_once_more_are_not_taken_together(release, snapshot):
    def make():
        machine, hv = partly(BEFORE, release, backed=2048, online_type="online_kernel")
        machine.allocate(512, "unmovable", block=32)
        return machine, hv

    def again(machine, hv):
        hv_bring_pgs_online(machine.kernel, hv, hv.ha_region_list[0], P, 2048)

    looped, at_once = both_ways(snapshot, make, again)
    assert looped == at_once


@SIDES
def test_ballooned_pages_that_somebody_holds_are_not_taken_together(patch, snapshot):
    def make():
        machine, hv = booted(patch)
        hv.inflate(512)
        machine.kernel.memmap.set_refcount(*hv.held[0], 2)
        return machine, hv

    looped, at_once = both_ways(snapshot, make, lambda _, hv: hv.deflate())
    assert looped == at_once


@SIDES
def test_ballooned_pages_go_back_one_by_one_where_there_are_per_cpu_lists(patch, snapshot):
    def make():
        machine, hv = booted(patch, per_cpu_lists=True)
        hv.inflate(512)
        return machine, hv

    looped, at_once = both_ways(snapshot, make, lambda _, hv: hv.deflate())
    assert looped == at_once


@pytest.mark.long
@RELEASES
@SIDES
def test_a_whole_block_page_by_page_and_many_at_once(patch, release, snapshot):
    def make():
        machine, hv = booted(patch, release)
        hv.hot_add(P + 3, 1000)
        return machine, hv

    looped, at_once = both_ways(snapshot, make, lambda machine, _: machine.online(32, "online_kernel"))
    assert looped == at_once


def test_a_tape_hears_of_every_page_that_is_backed_later():
    # hv_bring_pgs_online(): a loop over single pages.
    machine, hv = partly()
    tape = machine.record()
    tape.action("back 64 more")
    hv.hot_add(P + BACKED, 64)
    points = [event.point.partition("#")[0] for _, event in tape.points()]
    assert points.count("enter:hv_page_online_one") == points.count("enter:generic_online_page") == 64


# ---- twice for one page ----------------------------------------------------------------------------


@RELEASES
def test_before_the_patch_bringing_pages_online_twice_frees_them_twice(release):
    machine, hv = partly(BEFORE, release, backed=1024)

    hv_bring_pgs_online(machine.kernel, hv, hv.ha_region_list[0], P, 1024)

    assert machine.zone("Movable").managed_pages == hv.num_pages_onlined == 2 * 1024
    assert "managed" in broken(machine)


@pytest.mark.parametrize("debug_vm", [False, True])
@RELEASES
def test_after_the_patch_bringing_pages_online_twice_changes_nothing(release, debug_vm, snapshot):
    machine, hv = partly(AFTER, release, backed=1024, debug_vm=debug_vm)
    before = snapshot(machine.kernel.state)

    hv_bring_pgs_online(machine.kernel, hv, hv.ha_region_list[0], P, N)

    assert snapshot(machine.kernel.state) == before
    assert hv.num_pages_onlined == 1024


@SIDES
@RELEASES
def test_a_host_that_repeats_a_request_makes_it_happen(patch, release):
    machine, hv = partly(patch, release)
    hv.host_will("REPEAT", 1)

    first = hv.hot_add(P + BACKED, 300)

    assert [first, first] == hv.responses[-2:]
    assert hv.num_pages_added == BACKED + 2 * 300  # the host was told so twice
    assert hv.plugged_pages() == BACKED + 300
    twice = 300 if patch == BEFORE else 0
    assert hv.num_pages_onlined == BACKED + 300 + twice
    assert machine.zone("Movable").managed_pages == BACKED + 300 + twice
    assert ("managed" in broken(machine)) == (patch == BEFORE)


@SIDES
def test_what_keeps_it_from_happening_else_is_a_block_that_is_offline_or_the_start_of_a_region(patch):
    machine, hv = booted(patch)
    hv.hot_add(P, 300)
    hv.host_will("REPEAT", 2)
    hv.hot_add(P + 300, 300)  # offline still: nothing to bring online
    machine.online(32, "online_movable")
    hv.hot_add(P, 600)  # the first page of the region: pages are covered, not brought online

    assert machine.zone("Movable").managed_pages == hv.num_pages_onlined == 600
    assert broken(machine) == set()


def test_a_repeated_request_that_reaches_into_an_offline_block_finds_struct_pages_that_are_garbage():
    # handle_pg_range() asks for the first page only whether its section is online.
    machine, hv = partly(AFTER)
    hv.host_will("REPEAT", 1)
    hv.hot_add(P + BACKED, N)  # 700 pages of it in block 33, which is offline
    assert broken(machine) == set()  # a page that is not Offline is left alone, garbage or not

    machine, hv = partly(BEFORE)
    hv.host_will("REPEAT", 1)
    with pytest.raises(KernelBug, match="pfn 0x108000 is brought online, but its struct page is not"):
        hv.hot_add(P + BACKED, N)


# ---- half the patch --------------------------------------------------------------------------------


def alone(hunk):
    return Patch({hunk})


def missing(hunk):
    return Patch.without({hunk})


@pytest.mark.parametrize("patch", [missing(Hunk.HV_BALLOON), alone(Hunk.MM_INIT)], ids=repr)
@RELEASES
def test_with_the_old_driver_pages_born_offline_come_online_right_for_the_driver_clears_offline(
    patch, release
):
    machine, hv = partly(patch, release)
    hv.hot_add(P + BACKED, 300)

    assert machine.zone("Movable").managed_pages == hv.num_pages_onlined == BACKED + 300
    assert states_of(machine, P + BACKED + 300, 100) == (False, "offline", 1)
    assert (broken(machine), machine.log) == (set(), [])


def test_without_the_hunk_a_repeated_page_is_freed_twice_though_all_else_is_patched():
    machine, hv = partly(missing(Hunk.HV_BALLOON))
    hv.host_will("REPEAT", 1)
    hv.hot_add(P + BACKED, 300)

    assert "managed" in broken(machine)


def test_without_the_hunk_offline_is_cleared_twice_which_stops_61_with_debug_vm_but_not_612():
    machine, _ = partly(missing(Hunk.HV_BALLOON), debug_vm=True)
    assert (broken(machine), machine.log) == (set(), [])
    with pytest.raises(KernelBug, match="__ClearPageOffline: pfn 0x100000"):
        partly(missing(Hunk.HV_BALLOON), "6.1", debug_vm=True)


@pytest.mark.parametrize("patch", [alone(Hunk.HV_BALLOON), missing(Hunk.MM_INIT)], ids=repr)
@RELEASES
def test_the_new_driver_skips_pages_born_reserved_for_they_are_not_offline_and_nobody_notices(patch, release):
    machine, hv = partly(patch, release)

    assert states_of(machine, P, BACKED) == (True, "", 1)  # backed, and lost
    zone = machine.zone("Movable")
    assert (zone.present_pages, zone.managed_pages) == (N, 0)
    assert (hv.num_pages_added, hv.num_pages_onlined) == (BACKED, 0)
    assert (broken(machine), machine.log) == (set(), [])


def test_the_new_driver_alone_frees_pages_backed_later_with_their_type_for_only_the_core_would_clear_it():
    for checked, wrong in ((False, {"offline-free", "offline-managed"}), (True, {"offline-managed"})):
        machine, hv = partly(alone(Hunk.HV_BALLOON), check_pages=checked)
        hv.hot_add(P + BACKED, 300)  # withheld pages are Offline, so these do come online

        assert machine.zone("Movable").managed_pages == 300
        assert broken(machine) == wrong
        assert bool(machine.log) == checked  # and with page checks each is bad, and leaked
        assert machine.zone("Movable").nr_free_pages == (0 if checked else 300)


def test_without_page_alloc_fresh_pages_are_freed_with_their_type_for_the_new_driver_leaves_it_to_the_core():
    machine, _ = partly(missing(Hunk.PAGE_ALLOC), check_pages=False)
    assert broken(machine) == {"offline-free", "offline-managed"}
    assert machine.log == []

    for release in ("6.1", "6.12"):
        leaky, _ = partly(missing(Hunk.PAGE_ALLOC), release)
        assert leaky.zone("Movable").nr_free_pages == 0
        assert "nonzero mapcount" in leaky.log[0]


def test_page_alloc_alone_leaves_the_old_drivers_pages_reserved_until_freeing_clears_all_flags():
    machine, _ = partly(alone(Hunk.PAGE_ALLOC), check_pages=False)
    assert (broken(machine), machine.log) == (set(), [])

    leaky, _ = partly(alone(Hunk.PAGE_ALLOC), debug_vm=True)
    assert leaky.zone("Movable").nr_free_pages == 0
    assert "PAGE_FLAGS_CHECK_AT_FREE" in leaky.log[1]


# ---- offlining -------------------------------------------------------------------------------------


@pytest.mark.parametrize("online_type", ["online_movable", "online_kernel"])
@SIDES
@RELEASES
def test_a_partly_backed_block_does_not_go_offline_but_what_refuses_is_not_the_same(
    patch, release, online_type
):
    machine, hv = partly(patch, release, online_type=online_type)
    seen, managed = notified(machine), machine.totalram_pages
    with pytest.raises(KernelError) as caught:
        machine.offline(32)

    assert caught.value.name == "EBUSY"
    stage, actions = {
        BEFORE: ("set_migratetype_isolate", []),
        AFTER: ("scan_movable_pages", ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]),
    }[patch]
    assert (caught.value.stage, seen) == (stage, actions)
    assert machine.totalram_pages == managed
    assert hv.num_pages_onlined == BACKED
    assert broken(machine) == set()


@SIDES
@RELEASES
def test_a_backed_block_goes_offline_and_comes_back_and_the_driver_counts_along(patch, release):
    machine, hv = partly(patch, release, backed=N)
    machine.offline(32)
    assert (hv.num_pages_onlined, hv.num_pages_added) == (0, N)
    machine.online(32, "online_kernel")
    assert hv.num_pages_onlined == machine.zone("Normal").managed_pages == N
    assert broken(machine) == set()


def test_pages_that_are_backed_while_the_block_is_offline_come_with_it():
    machine, hv = booted()
    hv.hot_add(P, 100)
    hv.hot_add(P + 100, 200)
    assert hv.num_pages_onlined == 0
    machine.online(32, "online_movable")
    assert hv.num_pages_onlined == machine.zone("Movable").managed_pages == 300


def test_boot_memory_that_goes_offline_does_not_count():
    machine, hv = partly(backed=N)
    machine.offline(3)
    assert hv.num_pages_onlined == N


def test_offlining_counts_what_is_backed_in_every_region_that_the_range_touches():
    _, hv = booted()
    for start, backed in ((0, 100), (5000, 200), (N, 300)):
        has = HvHotaddState(P + start, P + start, P + start + backed, P + start + 4096, P + start + 4096)
        hv.ha_region_list.append(has)
    hv.num_pages_onlined = 1000

    hv.memory_notifier("MEM_OFFLINE", P - N, 3 * N)
    assert hv.num_pages_onlined == 1000 - 600
    hv.memory_notifier("MEM_OFFLINE", P + 5100, 2 * N)
    assert hv.num_pages_onlined == 400 - 100 - 300
    hv.memory_notifier("MEM_CANCEL_OFFLINE", P, N)
    assert hv.num_pages_onlined == 0


def test_a_dimm_is_withheld_for_good_for_it_is_in_no_region():
    for patch in (BEFORE, AFTER):
        machine, hv = partly(patch, backed=N)
        machine.add_memory(P + N, N)
        machine.online(33, "online_movable")
        assert machine.zone("Movable").managed_pages == N
        assert states_of(machine, P + N, N) == (patch == BEFORE, "" if patch == BEFORE else "offline", 1)
        assert hv.num_pages_onlined == N
        assert broken(machine) == set()


# ---- regions and requests --------------------------------------------------------------------------


def test_a_request_adds_whole_blocks_and_covers_the_pages():
    machine, hv = booted()
    response = hv.hot_add(P, N + 5)

    (has,) = hv.ha_region_list
    assert (response.page_count, response.result) == (N + 5, 1)
    assert (has.start_pfn, has.covered_start_pfn, has.covered_end_pfn) == (P, P, P + N + 5)
    assert has.ha_end_pfn == has.end_pfn == P + 2 * N
    assert [machine.block(block).state for block in (32, 33)] == ["offline", "offline"]
    assert machine.kernel.iomem[P] == (2 * N, "System RAM")  # two chunks, merged into one resource


def test_the_next_request_covers_what_is_left_and_extends_the_region():
    machine, hv = partly()
    assert hv.hot_add(P + BACKED, N).page_count == N

    (has,) = hv.ha_region_list
    assert (has.covered_end_pfn, has.end_pfn) == (P + N + BACKED, P + 2 * N)
    assert has.gap_list == []
    assert machine.zone("Movable").managed_pages == N
    machine.online(33, "online_movable")
    assert hv.num_pages_onlined == hv.num_pages_added == N + BACKED


@SIDES
def test_pages_that_the_host_skips_become_a_gap_that_is_never_onlined(patch):
    machine, hv = partly(patch)
    hv.hot_add(P + 2000, 1000)

    (has,) = hv.ha_region_list
    assert has.gap_list == [(P + BACKED, P + 2000)]
    assert hv.plugged_pages() == hv.num_pages_onlined == BACKED + 1000
    assert states_of(machine, P + BACKED, 2000 - BACKED) == (patch == BEFORE, "offline", 1)
    assert states_of(machine, P + 3000, 100) == (patch == BEFORE, "offline", 1)


def test_a_request_that_starts_inside_a_block_backs_nothing_before_its_first_page():
    machine, hv = booted()
    hv.hot_add(P + 1000, 500)
    machine.online(32, "online_movable")

    assert states_of(machine, P, 1000) == (False, "offline", 1)
    assert hv.num_pages_onlined == 500


def test_a_region_can_be_one_chunk_short_for_its_size_follows_the_number_of_pages_only():
    # 20000 pages from the middle of a block need two blocks; one is added. The rest is covered and nowhere.
    machine, hv = booted()
    assert hv.hot_add(P + 20000, 20000).page_count == 20000
    machine.online(32, "online_movable")

    (has,) = hv.ha_region_list
    assert has.covered_end_pfn == P + 40000 > has.end_pfn == has.ha_end_pfn == P + N
    assert (hv.num_pages_added, hv.num_pages_onlined) == (20000, N - 20000)
    # What comes next starts beyond the region, in one of its own, and does not bring them back.
    hv.hot_add(P + 40000, 1000)
    machine.online(33, "online_movable")
    assert len(hv.ha_region_list) == 2
    assert hv.num_pages_onlined == N - 20000 + 1000
    assert states_of(machine, P + N, 40000 - N) == (False, "offline", 1)


def test_blocks_come_online_as_they_are_added_if_the_machine_says_so():
    machine, hv = booted(default_online_type="online_movable")
    hv.hot_add(P, N + 10)

    assert [machine.block(block).state for block in (32, 33)] == ["online", "online"]
    assert hv.num_pages_onlined == hv.num_pages_added == machine.zone("Movable").managed_pages == N + 10


def test_a_block_whose_onlining_is_vetoed_is_added_all_the_same():
    machine, hv = booted(default_online_type="online")
    machine.register_memory_notifier(lambda *_: NOTIFY_BAD)
    assert hv.hot_add(P, 10).page_count == 10
    assert (machine.block(32).state, hv.num_pages_onlined) == ("offline", 0)


def test_memory_that_is_in_the_way_ends_hot_add_for_ever():
    machine, hv = booted()
    machine.add_memory(P + N, N)
    response = hv.hot_add(P, 2 * N)

    assert (response.page_count, response.result) == (N, 1)  # the first chunk was added
    (has,) = hv.ha_region_list
    assert has.covered_end_pfn == has.ha_end_pfn == P + N
    assert not hv.do_hot_add
    assert "EEXIST" in machine.log[0]
    never = hv.hot_add(P + 8 * N, 10)
    assert (never.page_count, never.result) == (0, 1)  # "success": the host need not ask again
    assert "nothing of" in machine.log[-1]


def test_an_error_that_may_go_away_is_told_to_the_host_as_a_failure():
    machine, hv = booted(ram=[(0, 1024)])
    taken = machine.allocate(1024)
    response = hv.hot_add(P, N + 10)  # no memory for the memmap
    assert (response.page_count, response.result) == (0, 0)
    assert any("ENOMEM" in line for line in machine.log)
    assert hv.do_hot_add

    machine.free(taken)
    assert hv.hot_add(P, 10).page_count == hv.num_pages_added == 10
    (has,) = hv.ha_region_list  # made by the first request, for two blocks; now one is enough
    assert (has.ha_end_pfn, has.end_pfn) == (P + N, P + 2 * N)
    assert 33 not in machine.kernel.memory_blocks


def test_a_request_for_nothing_gets_nothing():
    machine, hv = booted()
    response = hv.hot_add(P, 0)
    assert (response.page_count, response.result) == (0, 0)
    assert hv.ha_region_list == []
    assert machine.check() == []


@pytest.mark.parametrize(("start", "size"), [(-1, 10), (P, -1), (P, 1 << 24), (1 << 40, 1)])
def test_a_range_that_fits_into_no_message_is_refused(start, size):
    with pytest.raises(MemsimError, match="hv0: a message cannot name"):
        booted()[1].hot_add(start, size)


@pytest.mark.parametrize(("release", "page_count", "blocks"), [("6.1", 0, 0), ("6.12", N + 10, 1)])
def test_61_adds_128_mib_at_a_time_which_larger_blocks_refuse_and_612_a_block(release, page_count, blocks):
    machine, hv = booted(AFTER, release, block_pages=2 * N)
    before = len(machine.kernel.memory_blocks)

    assert hv.hot_add(P, N + 10).page_count == page_count
    assert len(machine.kernel.memory_blocks) == before + blocks
    assert ("EINVAL" in "".join(machine.log)) == (page_count == 0)


# ---- one callback for the whole system -------------------------------------------------------------

VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": 0x200000,
    "region_pages": 4 * N,
    "device_block_pages": 512,
}
HV = {"kind": "hv-balloon", "name": "hv0"}


def test_a_driver_that_comes_later_is_refused():
    with pytest.raises(KernelError) as caught:
        Machine(devices=[HV, VIRTIO_MEM])
    assert (caught.value.name, caught.value.stage) == ("EINVAL", "set_online_page_callback")


def test_when_the_balloon_comes_later_it_does_not_look_and_its_memory_is_onlined_backed_or_not():
    machine = Machine(devices=[VIRTIO_MEM, HV])
    hv = machine.devices["hv0"]
    hv.hot_add(P, 20000)
    machine.online(32, "online_movable")

    assert not hv.callback_set
    assert machine.zone("Movable").managed_pages == N  # 12768 of them are not there
    assert hv.num_pages_onlined == 0
    machine.offline(32)
    assert machine.log == ["WARNING: more pages go offline than came online at hv_memory_notifier"]
    assert hv.num_pages_onlined == 0


def test_there_is_one_balloon():
    with pytest.raises(MemsimError, match="hv1: a machine has one Hyper-V balloon"):
        Machine(devices=[HV, {"kind": "hv-balloon", "name": "hv1"}])


# ---- inflate and deflate ---------------------------------------------------------------------------


@SIDES
@RELEASES
def test_ballooned_pages_are_offline_and_neither_reserved_nor_managed(patch, release):
    machine, hv = booted(patch, release)
    total, present = machine.totalram_pages, sum(zone.present_pages for zone in machine.kernel.state.zones)

    assert hv.inflate(1024 + 3) == 1024 + 3
    assert [size for _, size in hv.held] == [512, 512, 1, 1, 1]
    for pfn, size in hv.held:
        assert states_of(machine, pfn, size) == (False, "offline", 1)
    assert machine.totalram_pages == total - 1027
    assert hv.num_pages_ballooned == hv.held_pages() == 1027
    assert sum(zone.present_pages for zone in machine.kernel.state.zones) == present
    assert broken(machine) == set()

    assert hv.deflate(600) == 600
    assert hv.held_pages() == hv.num_pages_ballooned == 427
    assert hv.deflate() == 427
    assert hv.deflate() == 0
    assert machine.totalram_pages == total
    assert broken(machine) == set()


def test_the_host_gives_back_what_it_has_at_most_and_the_oldest_first():
    _, hv = booted()
    hv.inflate(512 + 2)
    first = hv.held[0][0]
    hv.deflate(100)
    assert hv.held[0] == (first + 100, 412)
    assert hv.deflate(10000) == 414


def test_ballooned_pages_do_not_come_from_movable_zones():
    machine, hv = partly(backed=N)
    hv.inflate(512)
    assert machine.zone("Movable").managed_pages == N
    machine.offline(32)


@SIDES
@RELEASES
def test_a_ballooned_page_keeps_its_block_online_and_refuses_at_the_same_stage_on_both_sides(patch, release):
    machine, hv = partly(patch, release, backed=N, online_type="online_kernel")
    hv.inflate(1)
    assert hv.held[0][0] // N == 32
    with pytest.raises(KernelError) as caught:
        machine.offline(32)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "scan_movable_pages")
    hv.deflate()
    machine.offline(32)
    assert broken(machine) == set()


def test_without_a_free_block_of_2_mib_single_pages_are_taken():
    machine, hv = booted(ram=[(0, 16384)])
    pages = machine.allocate(16384)
    machine.free([pfn for pfn in pages if pfn % 256])  # in every half pageblock something is in use

    assert hv.inflate(1000) == 1000
    assert {size for _, size in hv.held} == {1}


def test_a_message_holds_510_ranges_and_there_are_as_many_messages_as_it_takes():
    _, hv = booted(ram=[(0, 1 << 19)])
    sent = []
    hv._send_ranges = lambda ranges: sent.append(len(ranges)) or hv.held.extend(ranges) or True  # noqa: SLF001
    hv.inflate(512 * 512 + 5)
    assert sent == [RANGES_IN_MESSAGE, 2, 5] == [510, 2, 5]


@pytest.mark.parametrize("mib", [16, 128, 512, 2048, 8192])
def test_the_floor_is_continuous_and_grows(mib):
    pages = mib << 8
    low, at, high = (compute_balloon_floor(pages + step) for step in (-64, 0, 64))
    assert low < at < high
    assert high - low <= 64


def test_the_balloon_stops_at_the_floor():
    machine, hv = booted()
    total = machine.totalram_pages
    got = hv.inflate(total)

    assert 0 < got < total - compute_balloon_floor(total)
    assert "not enough memory available" in machine.log[0]
    # The floor moves with MemTotal, which ballooning lowers: the host may ask again and gets a little more.
    # What zones keep back does not move: nobody computes it anew.
    gained = compute_balloon_floor(total) - compute_balloon_floor(total - got)
    assert hv.inflate(got // 3) == gained
    assert "balloon floor reached" in machine.log[-1]


def test_below_the_floor_the_balloon_takes_nothing():
    machine, hv = booted(ram=[(0, 4096)])  # 16 MiB: all of it is the floor
    assert hv.inflate(100) == 0
    assert hv.num_pages_ballooned == 0
    assert "0 of 100 pages requested: balloon floor reached" in machine.log[0]
    # balloon_up(), drivers/hv/hv_balloon.c: with less available than the floor, the number of pages is 0.
    machine.allocate(machine.zone("DMA").nr_free_pages, "unmovable")
    assert pages_above_floor(machine.kernel, 100) == 0


def test_memory_that_hot_add_brought_raises_the_floor():
    floors = []
    for backed in (1000, N):
        machine, hv = partly(backed=backed)
        floors.append(compute_balloon_floor(machine.totalram_pages))
        assert hv.plugged_pages() == backed
    assert floors[1] - floors[0] == (N - 1000) // 8


# ---- a host that misbehaves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "times", "rule"),
    [
        ("NACK", 1, "must be one of BUSY, ERROR, REPEAT"),
        ("BUSY:5", 1, "must be one of BUSY, ERROR, REPEAT"),
        ("", 1, "must be one of BUSY, ERROR, REPEAT"),
        ("BUSY", -1, "must be 0 to 1,000,000 times"),
        ("REPEAT", 10**30, "must be 0 to 1,000,000 times"),
    ],
)
def test_an_answer_that_a_host_cannot_give_is_refused(answer, times, rule):
    with pytest.raises(MemsimError, match=rule):
        booted()[1].host_will(answer, times)


def test_a_full_channel_delays_a_balloon_response_and_loses_others():
    _, hv = booted()
    hv.host_will("BUSY", 3)
    assert hv.inflate(512) == 512
    hv.host_will("BUSY", 1)
    assert not hv.hot_add(P, 10).received
    assert hv.hot_add(P + 10, 10).received
    assert hv.num_pages_added == 20


@SIDES
def test_a_channel_that_refuses_gives_the_pages_of_that_message_back(patch, snapshot):
    machine, hv = booted(patch)
    before = snapshot(machine.kernel.state)
    hv.host_will("ERROR", 1)

    assert hv.inflate(1024) == 0
    after = snapshot(machine.kernel.state)
    assert hv.held == []
    assert hv.num_pages_ballooned == 0
    assert after["totalram"] == before["totalram"]
    assert "cannot be sent" in after["log"][0]
    assert broken(machine) == set()


def test_only_the_message_that_fails_is_taken_back():
    machine, hv = booted()
    hv.inflate(0)
    hv.host_will("BUSY", 1)
    sends = iter([True, False])
    hv._send_ranges = lambda ranges: next(sends) and (hv.held.extend(ranges) or True)  # noqa: SLF001
    assert hv.inflate(1024 + 7) == 1024
    assert hv.num_pages_ballooned == 1024
    assert broken(machine) == set()


STEP = st.one_of(
    st.tuples(st.just("hot_add"), st.integers(1, 40000), st.sampled_from([0, 0, 0, 1, 513, 5000])),
    st.tuples(st.just("online"), st.sampled_from(["online_movable", "online_kernel"])),
    st.tuples(st.just("offline"), st.integers(32, 36)),
    st.tuples(st.just("inflate"), st.integers(0, 3000)),
    st.tuples(st.just("deflate"), st.integers(0, 3000)),
    st.tuples(st.just("host_will"), st.sampled_from(["BUSY", "ERROR", "REPEAT"]), st.integers(0, 3)),
)


def do_step(machine, hv, step, patch):
    """Do a step of a random script; the host backs memory in ascending order, with gaps."""
    do, *arguments = step
    if do == "hot_add":
        size, gap = arguments
        top = max([P, *(has.covered_end_pfn for has in hv.ha_region_list)])
        hv.hot_add(top + gap, size)
    elif do == "online":
        for block_id, block in list(machine.kernel.memory_blocks.items()):
            if block.state == "offline":
                machine.online(block_id, *arguments)
    elif do == "offline":
        try:
            machine.offline(*arguments)
        except KernelError as error:
            assert error.name in {"EBUSY", "ENOENT", "EINTR", "EINVAL"}  # noqa: PT017 (many steps may fail)
    elif do != "host_will":
        getattr(hv, do)(*arguments)
    elif arguments[0] != "REPEAT" or patch == AFTER:  # before, it frees pages twice: see above
        hv.host_will(*arguments)


def account(machine):
    """Return how many pages of online sections are managed, withheld, and neither."""
    managed = withheld = lost = 0
    for section in machine.kernel.memmap.sections.values():
        if not section.online:
            continue
        pages = section.pages
        live = pages.flags & np.uint32(LIVE) != 0
        is_managed = live & (pages.flags & np.uint32(MANAGED) != 0)
        offline = machine.kernel.memmap.encoding.where(pages.type, PageType.OFFLINE)
        is_withheld = live & ~is_managed & offline & (pages.refcount == 1)
        managed += int(is_managed.sum())
        withheld += int(is_withheld.sum())
        lost += int((live & ~is_managed & ~is_withheld).sum())
    return managed, withheld, lost


@pytest.mark.long
@SIDES
@RELEASES
@given(steps=st.lists(STEP, max_size=12))
def test_nothing_is_lost_whatever_the_host_does(patch, release, steps):
    machine, hv = booted(patch, release)
    for step in steps:
        do_step(machine, hv, step, patch)
        assert hv.num_pages_onlined <= hv.num_pages_added
        assert hv.num_pages_ballooned == hv.held_pages()
    managed, withheld, lost = account(machine)

    assert machine.check() == []
    assert lost == 0
    assert managed == machine.totalram_pages
    present = sum(zone.present_pages for zone in machine.kernel.state.zones)
    assert managed + withheld == present
    assert hv.num_pages_onlined == managed + hv.num_pages_ballooned - 131072


@SIDES
def test_a_region_list_is_ascending_and_without_overlap_when_the_host_goes_upwards(patch):
    _, hv = booted(patch)
    for start, size in ((P, 10), (P + 50, N), (P + 3 * N, 5), (P + 3 * N + 100, 2 * N)):
        hv.hot_add(start, size)
    spans = [(has.start_pfn, has.end_pfn) for has in hv.ha_region_list]
    assert all(low[1] <= high[0] for low, high in pairwise(spans))


# ---- scenarios and recordings ----------------------------------------------------------------------

DOCUMENT = {
    "format": "memsim-scenario/1",
    "machine": {"ram": [[0, 131072]], "devices": [HV]},
    "steps": [
        {"do": "hv_hot_add", "device": "hv0", "start_pfn": P, "nr_pages": BACKED},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "offline", "block": 32, "errno": "EBUSY"},
        {"do": "hv_inflate", "device": "hv0", "nr_pages": 600},
        {"do": "host_will", "device": "hv0", "answer": "ERROR", "times": 1},
        {"do": "hv_inflate", "device": "hv0", "nr_pages": 600},
        {"do": "hv_deflate", "device": "hv0"},
    ],
}


@SIDES
def test_a_scenario_runs_and_ends_the_same_on_both_sides(patch):
    done = run(Scenario.parse(DOCUMENT), patch)
    assert done.as_expected
    hv = done.machine.devices["hv0"]
    assert repr(hv) == f"HvBalloon(hv0: added {BACKED}, onlined {BACKED}, ballooned 0)"
    assert done.machine.totalram_pages - done.machine.boot_totalram_pages == BACKED


def recording(sums, series="after", **changes):
    """Return a recording of the scenario with a probe that has sums at its end."""
    states = {
        "*": {"managed": True},
        "O/1": {"type": "offline", "refcount": 1, "flags": []},
        "RO/1": {"type": "offline", "refcount": 1, "flags": ["reserved"]},
        "n/0": {"type": "none", "refcount": 0, "flags": []},
    }
    kernel = {"release": "6.12.1", "series": series, **({"missing": []} if series == "partial" else {})}
    document = {
        "format": "memsim-observation/1",
        "kernel": kernel,
        "scenario": DOCUMENT,
        "range": {"start_pfn": P, "nr_pages": 2 * N},
        "states": states,
        "probes": [{"step": 6, "at": "done", "sums": sums}],
    }
    return document | changes


def judged(document):
    (result,) = replay(Observation.parse(document, "x")).results
    return result.pages, result.differ, result.problems


def test_sums_count_the_initialised_pages_of_the_whole_range_by_state():
    assert judged(recording({"*": BACKED, "O/1": N - BACKED})) == (N, 0, [])
    assert judged(recording({"*": BACKED, "RO/1": N - BACKED}, "before")) == (N, 0, [])


def test_sums_that_differ_are_told_by_state_and_counted_once():
    pages, differ, problems = judged(recording({"*": BACKED + 1, "O/1": N - BACKED - 1}))
    assert (pages, differ) == (N, 1)
    assert problems == [
        f"sum of * is {BACKED}, recorded {BACKED + 1}",
        f"sum of O/1 is {N - BACKED}, recorded {N - BACKED - 1}",
    ]
    pages, differ, problems = judged(recording({}, "before"))
    assert (pages, differ) == (0, N)
    assert problems[1] == f"sum of RO/1 is {N - BACKED}, recorded 0"


def test_a_state_that_the_legend_does_not_have_is_told_in_words():
    document = recording({"*": N})
    del document["states"]["O/1"]
    assert f"sum of type offline refcount 1 is {N - BACKED}, recorded 0" in judged(document)[2]


def test_sums_of_half_patched_kernels_may_hold_managed_pages_with_a_stale_type():
    assert judged(recording({"*": 600, "n/0": 90, "O/1": N - 690}, "partial")) == (N, 0, [])
    assert judged(recording({"*": BACKED + 5, "O/1": N - BACKED - 5}, "partial"))[1] == 5
    assert judged(recording({"*": BACKED - 5, "RO/1": 5, "O/1": N - BACKED}, "partial")) == (N, 0, [])


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (recording({"X": 1}), "x: probe 0: sums: 'X': 1 has no legend"),
        (recording({"*": "many"}), "x: probe 0: sums: '*': 'many' has no legend or is not a number"),
        (recording({"*": 1}, range=None), "x: 'range' must give start_pfn and nr_pages"),
        (recording({"*": 1}, range={"start_pfn": P}), "x: 'range' must give start_pfn and nr_pages"),
    ],
)
def test_sums_that_break_the_format_are_refused(document, rule):
    with pytest.raises(BadObservation) as caught:
        Observation.parse(document, "x")
    assert str(caught.value).startswith(rule)
