"""Isolating pageblocks and giving them back (mm/page_isolation.c).

Every machine here has 128 MiB of boot memory at 4 GiB, in zone Normal unless it says otherwise.
"""

from __future__ import annotations

import pytest

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm import page_isolation
from memsim.linux.mm.page_alloc.api import alloc_pages
from memsim.linux.mm.page_alloc.contig import alloc_contig_range
from memsim.machine.machine import Machine
from memsim.patch import AFTER

P = 0x100000
MOVABLE, UNMOVABLE, ISOLATE = MigrateType.MOVABLE, MigrateType.UNMOVABLE, MigrateType.ISOLATE
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12"])


def booted(release="6.12"):
    """Return the machine of the module's docstring."""
    return Machine([(P, 32768)], AFTER, release)


def movable_zone():
    """Return a machine whose memory at P is in ZONE_MOVABLE."""
    machine = Machine([(0x200000, 32768)])
    machine.add_memory(P, 32768)
    machine.online(32, "online_movable")
    return machine


def isolate(machine, pfn=P, nr_pages=32768, *, memory_offline=True):
    """Isolate a range as offlining does."""
    page_isolation.start_isolate_page_range(machine.kernel, pfn, nr_pages, memory_offline=memory_offline)


def undo(machine, pfn=P, nr_pages=32768, migratetype=MOVABLE):
    """End an isolation."""
    page_isolation.undo_isolate_page_range(machine.kernel, pfn, nr_pages, migratetype)


def occupy(machine, pfn):
    """Let one kernel page of a block of order 10 be in use, and the others neither free nor in use."""
    head = pfn - pfn % 1024
    alloc_pages(machine.kernel, 10, MOVABLE, range(head, head + 1024))
    machine.kernel.memmap.set_refcount(head, 1, 0)
    machine.kernel.memmap.set_refcount(pfn, 1, 1)


def types(machine, *pfns):
    """Return the types of pageblocks."""
    return [machine.kernel.memmap.migratetype(pfn) for pfn in pfns]


def blocks(machine, order, migratetype, zone="Normal"):
    """Return a free list, tail last."""
    return list(reversed(machine.zone(zone).free_area[order][migratetype]))


# ---- isolating -------------------------------------------------------------------------------------


@RELEASES
def test_free_pages_of_an_isolated_range_are_neither_free_nor_gone(release):
    machine = booted(release)
    zone = machine.zone("Normal")
    isolate(machine)
    assert zone.nr_free_pages == 0
    assert zone.managed_pages == 32768
    assert zone.nr_isolate_pageblock == 64
    assert set(machine.kernel.memmap.section(P).pageblocks) == {ISOLATE}


def test_6_12_splits_blocks_of_two_pageblocks_when_it_isolates_and_6_1_moves_them():
    # In 6.12 each pageblock moves by itself, and two isolated halves are not put together again.
    ends = {}
    for release in ("6.1", "6.12"):
        machine = booted(release)
        isolate(machine)
        ends[release] = [len(blocks(machine, order, ISOLATE)) for order in (9, 10)]
    assert ends == {"6.1": [0, 32], "6.12": [64, 0]}


@RELEASES
@pytest.mark.parametrize("at", [0, 512])
def test_isolating_half_of_a_block_of_order_10_leaves_the_other_half_free(release, at):
    machine = booted(release)
    isolate(machine, P + at, 512)
    assert blocks(machine, 9, ISOLATE) == [P + at]
    assert blocks(machine, 9, MOVABLE) == [P + (512 - at)]
    assert machine.zone("Normal").nr_free_pages == 32768 - 512
    assert machine.check() == []


@RELEASES
def test_blocks_beside_the_range_stay_where_they_are_on_their_list(release):
    machine = booted(release)
    isolate(machine, P + 2048, 1024)
    assert blocks(machine, 10, MOVABLE) == [P, P + 1024, *range(P + 3072, P + 32768, 1024)]


def test_the_half_that_is_not_isolated_goes_to_the_head_of_its_list():
    # 6.12 frees both halves again without asking for the tail.
    machine = booted()
    alloc_pages(machine.kernel, 9, MOVABLE, range(P + 4096, P + 4096 + 512))
    isolate(machine, P + 512, 512)
    assert blocks(machine, 9, MOVABLE) == [P, P + 4096 + 512]


@RELEASES
def test_a_range_that_is_isolated_already_is_ebusy_that_names_the_pageblock(release):
    machine = booted(release)
    isolate(machine, P + 1024, 1024)
    with pytest.raises(KernelError, match="pageblock 0x100400 is already isolated") as caught:
        isolate(machine, P + 1024, 1024)
    assert caught.value.name == "EBUSY"


@RELEASES
def test_a_failed_isolation_gives_back_what_it_had_isolated(release):
    machine = booted(release)
    isolate(machine, P + 1024, 1024)  # in the middle of what follows
    with pytest.raises(KernelError):
        isolate(machine, P, 4096)
    assert types(machine, P, P + 512, P + 2048, P + 3584) == [MOVABLE] * 4
    assert machine.zone("Normal").nr_isolate_pageblock == 2
    assert machine.zone("Normal").nr_free_pages == 32768 - 1024
    undo(machine, P + 1024, 1024)
    assert machine.check() == []


def test_first_pageblock_last_pageblock_and_then_the_middle_are_isolated():
    # Seen from which of several unmovable pages is named.
    for busy, named in (([0, 1024, 3584], 0), ([1024, 3584], 3584), ([2048, 1024], 1024)):
        machine = booted()
        for offset in busy:
            occupy(machine, P + offset)
        with pytest.raises(KernelError, match=f"page {P + named:#x} "):
            isolate(machine, P, 4096)


def test_an_unmovable_page_is_ebusy_that_names_page_and_pageblock_and_is_dumped():
    machine = booted()
    occupy(machine, P + 1024 + 3)
    with pytest.raises(KernelError, match="page 0x100403 in pageblock 0x100400 is unmovable") as caught:
        isolate(machine)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "set_migratetype_isolate")
    # dump_page() prints the page as it is: in use, with one reference.
    said = "refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x100403"
    first, flags, *raw, reason = machine.log
    assert (first, reason) == (f"page: {said}", "page dumped because: unmovable page")
    assert flags.startswith("flags: ")
    assert [line.split(":")[0] for line in raw] == ["raw", "raw"]


@RELEASES
@pytest.mark.parametrize(("online_type", "refuses"), [("online_movable", True), ("online_kernel", False)])
def test_a_reserved_page_inside_a_free_block_is_met_in_a_movable_zone_only(release, online_type, refuses):
    # has_unmovable_pages() steps over a free block, but only after it has left ZONE_MOVABLE out.
    machine = Machine(release=release)
    machine.add_memory(P, 32768)
    machine.online(32, online_type)
    machine.kernel.memmap.set_flags(P + 5, 1, PageFlag.RESERVED)
    found = page_isolation.has_unmovable_pages(machine.kernel, P, 512, memory_offline=True)
    assert found == (P + 5 if refuses else None)


@RELEASES
@pytest.mark.parametrize("used", [P + 3, P + 1023])
def test_pages_beside_the_range_in_its_first_or_last_pageblock_are_asked_too(release, used):
    # isolate_single_pageblock() passes the whole pageblock at either end to set_migratetype_isolate().
    machine = booted(release)
    occupy(machine, used)
    with pytest.raises(KernelError, match=f"page {used:#x} in pageblock"):
        isolate(machine, P + 4, 1016)
    assert types(machine, P, P + 512) == [MOVABLE, MOVABLE]


@RELEASES
def test_an_allocation_that_finds_its_range_isolated_ends_the_isolation_of_others(release):
    # alloc_contig_range() goes to "done" when isolation fails, and there undoes it for its whole range.
    machine = booted(release)
    isolate(machine, P, 2048)
    with pytest.raises(KernelError, match="isolated by another caller"):
        alloc_contig_range(machine.kernel, P, 1024)
    assert types(machine, P, P + 512, P + 1024, P + 1536) == [MOVABLE, MOVABLE, ISOLATE, ISOLATE]
    undo(machine, P, 2048)
    assert machine.check() == []


# ---- what counts as unmovable ----------------------------------------------------------------------


def unmovable(machine, pfn, *, memory_offline=True):
    """Ask about the pageblock of a page."""
    return page_isolation.has_unmovable_pages(machine.kernel, pfn, 512, memory_offline=memory_offline)


def used(machine, *, flags=0, page_type=None, refcount=1):
    """Take the pageblock at P and give its first page these properties."""
    memmap = machine.kernel.memmap
    alloc_pages(machine.kernel, 9, MOVABLE, range(P, P + 512))
    memmap.set_refcount(P, 1, refcount)
    if flags:
        memmap.set_flags(P, 1, flags)
    if page_type:
        memmap.set_type(P, 1, page_type)
    return machine


def test_a_free_pageblock_has_no_unmovable_page():
    assert unmovable(booted(), P) is None


@pytest.mark.parametrize("inside", [1, 511])
def test_the_inside_of_a_free_block_is_not_asked(inside):
    # Somebody may hold a speculative reference there.
    machine = booted()
    machine.kernel.memmap.set_refcount(P + inside, 1, 1)
    assert unmovable(machine, P) is None


def test_a_kernel_page_is_unmovable_and_a_page_on_the_lru_is_not():
    assert unmovable(used(booted()), P) == P
    assert unmovable(used(booted(), flags=PageFlag.LRU), P) is None


def test_a_reserved_page_is_unmovable_whatever_else_it_is():
    # The question that stands first in the kernel: even in ZONE_MOVABLE, even with refcount 0.
    assert unmovable(used(booted(), flags=PageFlag.RESERVED | PageFlag.LRU, refcount=0), P) == P
    assert unmovable(used(movable_zone(), flags=PageFlag.RESERVED), P) == P


def test_zone_movable_is_taken_at_its_word():
    assert unmovable(used(movable_zone()), P) is None


def test_a_page_without_references_is_no_obstacle():
    assert unmovable(used(booted(), refcount=0), P) is None


@pytest.mark.parametrize("refcount", [0, 1])
def test_an_offline_page_passes_whatever_its_refcount_when_memory_goes_offline(refcount):
    # Its owner gets its chance in the notifier.
    assert unmovable(used(booted(), page_type=PageType.OFFLINE, refcount=refcount), P) is None


def test_an_offline_page_with_a_reference_is_unmovable_for_an_allocation():
    machine = used(booted(), page_type=PageType.OFFLINE)
    assert unmovable(machine, P, memory_offline=False) == P


def test_a_poisoned_page_passes_only_when_memory_goes_offline():
    machine = used(booted(), flags=PageFlag.HWPOISON)
    assert unmovable(machine, P) is None
    assert unmovable(machine, P, memory_offline=False) == P


# ---- giving back -----------------------------------------------------------------------------------


@RELEASES
def test_undoing_an_isolation_restores_counters_and_whole_blocks_in_ascending_order(release):
    machine = booted(release)
    isolate(machine)
    undo(machine)
    zone = machine.zone("Normal")
    assert (zone.nr_free_pages, zone.nr_isolate_pageblock) == (32768, 0)
    assert blocks(machine, 10, MOVABLE) == list(range(P, P + 32768, 1024))
    assert machine.check() == []


@RELEASES
def test_pageblocks_get_the_type_that_the_caller_names_and_not_the_one_they_had(release):
    machine = booted(release)
    alloc_pages(machine.kernel, 10, UNMOVABLE)  # its two pageblocks become UNMOVABLE
    machine.kernel.memmap.set_refcount(P, 1, 0)
    isolate(machine)
    undo(machine)
    assert types(machine, P, P + 512) == [MOVABLE, MOVABLE]


def test_half_an_undo_on_6_12_leaves_two_blocks_of_order_9():
    machine = booted()
    isolate(machine)
    undo(machine, P, 512)
    assert blocks(machine, 9, MOVABLE) == [P]
    assert blocks(machine, 9, ISOLATE)[0] != P
    assert machine.zone("Normal").nr_free_pages == 512


def test_a_pageblock_that_is_not_isolated_is_left_alone():
    machine = booted()
    before = blocks(machine, 10, MOVABLE)
    undo(machine, migratetype=UNMOVABLE)
    assert blocks(machine, 10, MOVABLE) == before
    assert types(machine, P) == [MOVABLE]


# ---- is everything free? ---------------------------------------------------------------------------


def is_isolated(machine, *, memory_offline=True):
    """Ask whether the whole section may be forgotten."""
    page_isolation.test_pages_isolated(machine.kernel, P, 32768, memory_offline=memory_offline)


@RELEASES
def test_a_range_of_free_pages_may_be_forgotten(release):
    machine = booted(release)
    isolate(machine)
    is_isolated(machine)  # raises otherwise


@pytest.mark.parametrize(
    ("properties", "offline_too"),
    [
        ({"flags": PageFlag.HWPOISON}, True),
        ({"page_type": PageType.OFFLINE, "refcount": 0}, True),
        ({"page_type": PageType.OFFLINE, "refcount": 1}, False),  # nobody let go of it
        ({"refcount": 0}, False),  # not free: it could be on a per-cpu list
        ({"flags": PageFlag.LRU}, False),
    ],
)
def test_a_page_that_is_not_free_may_be_forgotten_if_poisoned_or_offline_without_reference(
    properties, offline_too
):
    machine = used(booted(), **properties)
    memmap = machine.kernel.memmap
    memmap.set_flags(P + 1, 511, PageFlag.HWPOISON)  # the rest of the pageblock is no obstacle
    if offline_too:
        is_isolated(machine)
    else:
        with pytest.raises(KernelError, match=r"page 0x100000 of \[0x100000-0x107fff\] is still in use"):
            is_isolated(machine)


def test_a_page_in_use_behind_a_free_one_is_found():
    machine = booted()
    pfns = machine.allocate(2, "movable")
    machine.free([P])
    isolate(machine)
    assert pfns == [P, P + 1]
    with pytest.raises(KernelError, match="page 0x100001"):
        is_isolated(machine)


def test_for_an_allocation_only_free_pages_will_do():
    machine = used(booted(), flags=PageFlag.HWPOISON)
    with pytest.raises(KernelError, match="page 0x100000"):
        is_isolated(machine, memory_offline=False)
