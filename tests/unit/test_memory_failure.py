"""A page is declared broken (mm/memory-failure.c)."""

from __future__ import annotations

import pytest

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag
from memsim.machine.machine import Machine

P, N = 0x100000, 32768


def onlined(release="6.12", blocks=1):
    """Return a machine with block 32 online, and maybe more."""
    machine = Machine([(0, N)], release=release)
    machine.add_memory(P, blocks * N)
    for block in range(blocks):
        machine.online(32 + block, "online_kernel")
    return machine


def poisoned(machine):
    """Return the pages of block 32 that are marked."""
    return [pfn for pfn in range(P, P + N) if machine.page(pfn).flags & PageFlag.HWPOISON]


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_a_free_page_is_taken_out_of_its_block_and_all_others_stay_free(release):
    # take_page_off_buddy() and break_down_buddy_pages(): halves, until the page is alone.
    machine = onlined(release)
    zone = machine.zone("Normal")
    machine.poison(P + 5)
    assert poisoned(machine) == [P + 5]
    assert [machine.page(pfn).refcount for pfn in (P + 4, P + 5, P + 6)] == [0, 1, 0]
    heads = [list(zone.free_area[order][MigrateType.MOVABLE]) for order in range(10)]
    assert heads == [[P + 4], [P + 6], [P], *([P + (1 << order)] for order in range(3, 10))]
    assert (zone.nr_free_pages, zone.managed_pages) == (N - 1, N)
    assert machine.kernel.num_poisoned_pages == 1
    assert machine.block(32).nr_hwpoison == (release == "6.12")  # 6.1 counts them for the machine only
    assert machine.check() == []


@pytest.mark.parametrize("place", [0, 512, -1])
def test_the_first_the_middle_and_the_last_page_of_a_block_can_be_taken(place):
    machine = onlined()
    pfn = range(P, P + N)[place]
    machine.poison(pfn)
    assert poisoned(machine) == [pfn]
    assert machine.zone("Normal").nr_free_pages == N - 1
    assert machine.check() == []


def test_a_page_of_a_user_is_taken_from_the_lru_and_from_its_owner():
    machine = onlined()
    pages = machine.allocate(3, block=32)
    broken = pages[1]
    machine.poison(broken)
    assert broken not in pages
    assert len(pages) == 2
    assert machine.page(broken).flags == PageFlag.HWPOISON
    assert {machine.page(pfn).flags for pfn in pages} == {PageFlag.LRU}
    machine.free(pages)
    assert machine.zone("Normal").nr_free_pages == N - 1


def test_a_page_of_the_kernel_stays_in_use_though_marked_and_counted():
    machine = onlined()
    pages = machine.allocate(2, "unmovable", block=32)
    with pytest.raises(
        KernelError, match="is used by the kernel, marked and left in use: get hwpoison page: Ignored"
    ):
        machine.poison(pages[0])
    assert poisoned(machine) == [pages[0]]
    assert machine.page(pages[0]).refcount == 1
    assert machine.kernel.num_poisoned_pages == 1


def test_what_is_marked_twice_is_counted_once():
    machine = onlined()
    machine.poison(P)
    with pytest.raises(KernelError, match="is poisoned already"):
        machine.poison(P)
    assert (machine.kernel.num_poisoned_pages, machine.block(32).nr_hwpoison) == (1, 1)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_poisoned_pages_are_counted_until_their_memory_is_removed(release):
    # clear_hwpoisoned_pages() goes by the marks in 6.1, and by the count of the block in 6.12.
    machine = onlined(release, blocks=2)
    for pfn in (P, P + N - 1, P + N):
        machine.poison(pfn)
    machine.offline(32)
    assert machine.kernel.num_poisoned_pages == 3
    machine.remove_memory(P, N)
    assert machine.kernel.num_poisoned_pages == 1


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_free_page_on_a_per_cpu_list_is_taken_off_like_any_other(release):
    # get_hwpoison_page(), mm/memory-failure.c: zone_pcp_disable() gives the lists back to the buddy first.
    machine = Machine(release=release, per_cpu_lists=True)
    pages = machine.allocate(2)
    pfn, other = pages
    machine.free(pages)
    zone = machine.kernel.page_zone(pfn)
    assert zone.pcp_count >= 2
    machine.poison(pfn)
    assert zone.pcp_count == 0
    page = machine.page(pfn)
    assert page.flags & PageFlag.HWPOISON
    assert (page.refcount, machine.page(other).refcount) == (1, 0)
    assert machine.log == []
    assert machine.check() == []
