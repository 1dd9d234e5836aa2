"""Invariants that need a past: what an operation must not have changed, and what holds while it runs.

Each law is a function that says what is wrong (None: nothing), is tried on random inputs, and was seen to
fail: beside it stands a way to break the model that it must notice.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.fast import memory_hotplug as shortcut
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm import memremap
from memsim.linux.mm.memory_hotplug import offline as offline_pages
from memsim.linux.mm.memory_hotplug import online as memory_hotplug
from memsim.linux.mm.page_alloc import contig as page_alloc_contig
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.state.trace import Probe

START, PAGES = 0x100000, 32768
BOTH = pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])


def online(patch=AFTER, online_type="online_movable", **options):
    machine = Machine(patch=patch, **options)
    machine.add_memory(START, 2 * PAGES)
    machine.online(32, online_type)
    return machine


def refused_offline(machine, place):
    """Make offlining fail by a pinned page; return (points at which MemTotal was wrong, the errno)."""
    pfn = machine.allocate(place + 1, block=32)[place]
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    total, moved = machine.totalram_pages, []
    watch = Probe(lambda point: moved.append(point) if machine.totalram_pages != total else None)
    machine.kernel.put_trace(watch)
    with pytest.raises(KernelError):
        machine.offline(32, patience=3)
    machine.stop_recording()
    return moved


# ---- MemTotal is the sum of the zones at every moment, since 1/3 ----------------------------------------


def moments_with_another_total(patch):
    machine = Machine(patch=patch)
    machine.add_memory(START, PAGES)
    wrong = []

    def look(point):
        if machine.totalram_pages != sum(zone.managed_pages for zone in machine.kernel.state.zones):
            wrong.append(point)

    machine.kernel.put_trace(Probe(look))
    machine.online(32)
    machine.offline(32)
    return wrong


def test_memtotal_is_the_sum_at_every_probe_point_after_the_series():
    assert moments_with_another_total(AFTER) == []


def test_memtotal_lags_behind_without_the_first_patch_of_the_series():
    assert moments_with_another_total(Patch.without({Hunk.MEMINIT_CONTEXT}))[0].startswith(
        "return:__free_pages_core"
    )


# ---- an offlining that fails ---------------------------------------------------------------------------


@given(place=st.integers(0, 60))
def test_a_failed_offlining_never_moves_memtotal(place):
    assert refused_offline(online(), place) == []


def test_moving_it_would_be_noticed(monkeypatch):
    scan = offline_pages.scan_movable_pages

    def broken(kernel, pfn, nr_pages):
        kernel.state.totalram_pages_add(-1)
        return scan(kernel, pfn, nr_pages)

    monkeypatch.setattr(offline_pages, "scan_movable_pages", broken)
    assert refused_offline(online(), 0)


def types_after_a_failed_offlining(patch, place):
    machine = online(patch)
    machine.kernel.memmap.set_migratetype(START + 512 * 7, 512, MigrateType.RECLAIMABLE)
    refused_offline(machine, place)
    return set(machine.kernel.memmap.section(START).pageblocks)


@BOTH
@given(place=st.integers(0, 60))
def test_a_failed_offlining_makes_all_pageblocks_movable(patch, place):
    assert types_after_a_failed_offlining(patch, place) == {MigrateType.MOVABLE}


def test_giving_them_another_type_would_be_noticed(monkeypatch):
    undo = offline_pages.undo_isolate_page_range
    monkeypatch.setattr(
        offline_pages, "undo_isolate_page_range", lambda k, p, n, _: undo(k, p, n, MigrateType.UNMOVABLE)
    )
    assert types_after_a_failed_offlining(AFTER, 0) != {MigrateType.MOVABLE}


# ---- online and offline again --------------------------------------------------------------------------


def state_of(machine):
    zones = machine.kernel.state.zones
    counters = [(z.spanned_pages, z.present_pages, z.managed_pages, z.nr_free_pages) for z in zones]
    lists = [[list(blocks) for area in zone.free_area for blocks in area] for zone in zones]
    return counters, lists, machine.totalram_pages


def survives_a_round_trip(patch, rounds):
    machine = online(patch)
    before = state_of(machine)
    for _ in range(rounds):
        machine.online(33, "online_movable")
        machine.offline(33)
    return state_of(machine) == before


@BOTH
@given(rounds=st.integers(1, 3))
def test_online_then_offline_restores_counters_and_other_free_lists(patch, rounds):
    assert survives_a_round_trip(patch, rounds)


def test_a_page_that_stays_behind_would_be_noticed(monkeypatch):
    for module in (offline_pages, shortcut):
        monkeypatch.setattr(module, "remove_pfn_range_from_zone", lambda *_: None)
    assert not survives_a_round_trip(AFTER, 1)


# ---- chunks tile the range -----------------------------------------------------------------------------


def fault_in_chunks(**options):
    """Return what is wrong with the chunks that the callback sees, or None."""
    chunks = []
    machine = Machine(**options)
    machine.add_memory(START, PAGES)
    memory_hotplug.set_online_page_callback(machine.kernel, lambda _, pfn, order: chunks.append((pfn, order)))
    machine.online(32)
    at = START + machine.block(32).nr_vmemmap_pages
    for pfn, order in chunks:
        if pfn != at or order > 10 or pfn % (1 << order):
            return pfn, order, at
        at += 1 << order
    return None if at == START + PAGES else at


@pytest.mark.parametrize("self_hosted", [False, True])
def test_chunks_are_aligned_and_tile_the_range(self_hosted):
    assert fault_in_chunks(memmap_on_memory=self_hosted) is None


def test_chunks_that_do_not_would_be_noticed(monkeypatch):
    monkeypatch.setattr(memory_hotplug, "naturally_aligned_order", lambda _: 10)
    assert fault_in_chunks(memmap_on_memory=True) is not None


# ---- alloc_contig_range() ------------------------------------------------------------------------------


def managed_moves_by(first, nr_pages, *, pinned):
    machine = online()
    if pinned:
        machine.kernel.memmap.set_refcount(machine.allocate(1, block=32)[0], 1, 2)
    managed = machine.zone("Movable").managed_pages
    try:
        page_alloc_contig.alloc_contig_range(machine.kernel, START + first, nr_pages)
    except KernelError:
        assert pinned
    return machine.zone("Movable").managed_pages - managed


@given(st.integers(0, 5000), st.integers(1, 3000), st.booleans())
def test_allocating_a_range_leaves_managed_alone_whether_it_works_or_not(first, nr_pages, pinned):
    assert managed_moves_by(first, nr_pages, pinned=pinned) == 0


def test_not_leaving_it_alone_would_be_noticed(monkeypatch):
    isolate = page_alloc_contig.isolate_freepages_range

    def broken(kernel, pfn, end):
        adjust_managed_page_count(kernel, pfn, end - pfn, -1)
        return isolate(kernel, pfn, end)

    monkeypatch.setattr(page_alloc_contig, "isolate_freepages_range", broken)
    assert managed_moves_by(0, 512, pinned=False) == -512


# ---- pages that never enter the buddy ------------------------------------------------------------------


def self_hosted_pages_in_free_blocks(machine):
    blocks = [
        (pfn, pfn + (1 << order))
        for zone in machine.kernel.state.zones
        for order, area in enumerate(zone.free_area)
        for free in area
        for pfn in free
    ]
    hosted = [
        pfn
        for pfn in range(START, START + 1024)
        if machine.kernel.memmap.flags(pfn) & PageFlag.VMEMMAP_SELF_HOSTED
    ]
    assert len(hosted) == 512
    return sum(any(low <= pfn < high for low, high in blocks) for pfn in hosted)


@BOTH
@given(script=st.lists(st.sampled_from(["allocate", "free", "offline", "online"]), max_size=8))
def test_self_hosted_vmemmap_is_never_in_a_free_block(patch, script):
    machine = Machine(patch=patch, memmap_on_memory=True)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    held = []
    for step in script:
        if step == "allocate" and machine.block(32).state == "online":
            held.append(machine.allocate(9, block=32))
        elif step == "free" and held:
            machine.free(held.pop())
        elif step in {"online", "offline"} and step != machine.block(32).state:
            getattr(machine, step)(32, *(["online_movable"] if step == "online" else []))
        assert self_hosted_pages_in_free_blocks(machine) == 0


def test_one_in_a_free_block_would_be_noticed():
    machine = Machine(memmap_on_memory=True)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    machine.zone("Movable").add_to_free_list(START, 0, MigrateType.UNMOVABLE)
    assert self_hosted_pages_in_free_blocks(machine) == 1


def counters_of_the_device_zone(patch, *, altmap):
    machine = Machine(patch=patch)
    machine.memremap_pages(START, PAGES, altmap=altmap)
    zone = machine.zone("Device")
    return zone.spanned_pages, zone.present_pages, zone.managed_pages


@BOTH
@pytest.mark.parametrize("altmap", [False, True])
def test_device_pages_are_neither_present_nor_managed(patch, altmap):
    assert counters_of_the_device_zone(patch, altmap=altmap) == (PAGES, 0, 0)


def test_device_pages_that_are_would_be_noticed(monkeypatch):
    init = memremap.memmap_init_zone_device

    def broken(kernel, pfn, nr_pages, refcount):
        init(kernel, pfn, nr_pages, refcount)
        adjust_managed_page_count(kernel, pfn, nr_pages)

    monkeypatch.setattr(memremap, "memmap_init_zone_device", broken)
    assert counters_of_the_device_zone(AFTER, altmap=False) != (PAGES, 0, 0)


# ---- the two sides end alike ---------------------------------------------------------------------------


def ends(patch, *, debug_vm=False):
    """How a script ends on one side: an errno for each step."""
    machine = online(patch, debug_vm=debug_vm)
    seen = []
    for step in (lambda: machine.allocate(1, block=32), lambda: machine.offline(32)):
        try:
            step()
            seen.append(None)
        except KernelError as error:
            seen.append(error.name)
    return seen


def test_both_sides_end_alike_and_half_a_patch_does_not():
    assert ends(BEFORE) == ends(AFTER) == [None, None]
    assert ends(Patch({Hunk.MM_INIT}), debug_vm=True) == ["ENOMEM", None]
