"""Half the patch: pages are born Offline (MM_INIT) and nobody takes that from them (no PAGE_ALLOC).

What a real kernel shows then depends on whether freed pages are checked: 6.1 always checks them, 6.12 with
CONFIG_DEBUG_VM or init_on_alloc (as Debian ships it), and not with ``init_on_alloc=0``.
"""

from __future__ import annotations

from functools import cache

import pytest

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.page_alloc.api import alloc_pages
from memsim.machine.machine import Machine
from memsim.patch import Hunk, Patch

P, N = 0x100000, 32768
HALF = Patch({Hunk.MM_INIT})


def onlined(release="6.12", *, debug_vm=False, check_pages=True, patch=HALF):
    """Return a machine with block 32 online."""
    machine = Machine([(0, N)], patch, release, debug_vm=debug_vm, check_pages=check_pages)
    machine.add_memory(P, N)
    machine.online(32, "online_movable")
    return machine


def offline_pfns(machine):
    """Return the pages of block 32 that are of type Offline."""
    return {pfn for pfn in range(P, P + N) if machine.page(pfn).offline}


# ---- 6.12 without page checks: nobody looks ---------------------------------------------------------


def test_a_kernel_without_page_checks_says_nothing_and_counts_right():
    machine = onlined(check_pages=False)
    zone = machine.zone("Movable")
    assert machine.log == []
    assert (zone.present_pages, zone.managed_pages, zone.nr_free_pages) == (N, N, N)
    assert zone.nr_free(10) == 32
    assert machine.totalram_pages == 2 * N


def test_pages_that_never_headed_a_free_block_are_still_offline_though_they_are_free():
    # A head becomes Buddy, and a page has one type only. The second half of each block was a head for a
    # moment, too: when the isolation ends, it is freed as a pageblock of its own, and when the two halves
    # merge, clearing Buddy leaves it with no type at all.
    were_heads = {head + half for head in range(P, P + N, 1024) for half in (0, 512)}
    machine = onlined(check_pages=False)
    assert offline_pfns(machine) == set(range(P, P + N)) - were_heads
    assert machine.page(P).buddy
    assert machine.page(P + 512).types == frozenset()


def test_check_names_the_broken_rule_and_the_page_after_the_first_head():
    machine = onlined(check_pages=False)
    found = {violation.name: violation for violation in machine.check()}
    assert set(found) == {"offline-free", "offline-managed"}
    assert found["offline-free"].pfn == P + 1
    assert found["offline-free"].found == f"{N - 64} pages break it"


def test_a_page_that_is_taken_by_itself_has_lost_its_stale_type_and_the_inside_of_a_larger_block_has_not():
    # Splitting makes a head of every page that is handed out singly. Nobody ever touches the others.
    machine = onlined(check_pages=False)
    assert machine.allocate(8, block=32) == list(range(P, P + 8))
    assert not any(machine.page(P + at).offline for at in range(8))
    assert alloc_pages(machine.kernel, 3, MigrateType.MOVABLE) == P + 8
    assert [machine.page(P + 8 + at).offline for at in range(8)] == [False] + [True] * 7


@pytest.mark.parametrize("patch", [HALF, Patch.without({Hunk.PAGE_ALLOC})], ids=["alone", "all but one"])
def test_a_block_with_stale_types_goes_offline_and_comes_back(patch):
    # OFFLINE_CORE does not take stale pages for withheld ones: they lie inside free blocks.
    machine = onlined(patch=patch, check_pages=False)
    machine.offline(32)
    assert (machine.zone("Movable").managed_pages, machine.totalram_pages) == (0, N)
    machine.online(32, "online_movable")
    assert machine.zone("Movable").managed_pages == N
    assert machine.log == []


def test_a_block_of_two_sections_with_stale_types_goes_offline():
    machine = Machine([(0, N)], Patch.without({Hunk.PAGE_ALLOC}), block_pages=2 * N, check_pages=False)
    machine.add_memory(P, 2 * N)
    machine.online(16, "online_movable")
    machine.offline(16)
    assert machine.zone("Movable").managed_pages == 0


# ---- where freed pages are checked ------------------------------------------------------------------


@cache
def leaked(release):
    """Return a machine that checks freed pages, with block 32 online; not to be changed."""
    return onlined(release)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_where_freed_pages_are_checked_all_of_them_are_bad_and_leaked(release):
    machine = leaked(release)
    zone = machine.zone("Movable")
    assert machine.kernel.bad_pages == N
    assert (zone.present_pages, zone.managed_pages, zone.nr_free_pages) == (N, N, 0)
    assert sum(zone.nr_free(order) for order in range(11)) == 0
    assert machine.totalram_pages == 2 * N  # counted before they were leaked


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_sixty_pages_are_reported_beginning_with_the_second_and_then_it_is_quiet(release):
    # The head of a chunk is checked last.
    log = leaked(release).log
    reports = [line for line in log if "Bad page state  pfn:" in line]
    assert len(reports) == 60
    assert "pfn:100001" in reports[0]
    assert "pfn:10003c" in reports[59]  # 60 = 0x3c
    assert all("nonzero mapcount" in line for line in reports)
    assert len(log) == 61


def test_leaked_pages_keep_their_type_on_6_12_and_lose_it_on_6_1():
    assert len(offline_pfns(leaked("6.12"))) == N
    assert len(offline_pfns(leaked("6.1"))) == 0


def test_check_names_what_the_leak_breaks():
    names = {violation.name for violation in leaked("6.12").check()}
    assert "offline-managed" in names
    names = {violation.name for violation in leaked("6.1").check()}
    assert names == {"leaked"}  # no type, no reference, not free


def test_nothing_can_be_allocated_from_a_block_that_leaked():
    with pytest.raises(KernelError, match=r"no free movable block of order 0 in \[0x100000-0x107fff\]"):
        leaked("6.12").allocate(1, block=32)


# ---- the other half --------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_page_alloc_alone_leaves_pages_reserved_until_freeing_cleans_or_refuses_them(release):
    # Born PG_reserved, and __free_pages_core() clears only Offline. 6.12 without page checks wipes all flags
    # of a freed page without looking; 6.1 looks first, whatever the configuration.
    machine = onlined(release, patch=Patch({Hunk.PAGE_ALLOC}), check_pages=False)
    zone = machine.zone("Movable")
    if release == "6.12":
        assert zone.nr_free_pages == N
        assert not machine.page(P + 1).reserved
        assert machine.check() == []
    else:
        assert zone.nr_free_pages == 0
        assert machine.kernel.bad_pages == N
        assert machine.page(P + 1).reserved


def test_page_alloc_alone_with_debug_vm_warns_of_reserved_pages_and_leaks_them():
    machine = onlined("6.12", debug_vm=True, patch=Patch({Hunk.PAGE_ALLOC}))
    assert machine.log[0] == "WARNING: PageReserved at __free_pages_core"
    assert "PAGE_FLAGS_CHECK_AT_FREE flag(s) set" in machine.log[1]
    assert machine.zone("Movable").nr_free_pages == 0


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_both_hunks_of_the_core_together_are_enough_for_a_dimm(release):
    machine = onlined(release, debug_vm=True, patch=Patch({Hunk.MM_INIT, Hunk.PAGE_ALLOC}))
    assert machine.check() == []
    assert machine.log == []
    assert machine.zone("Movable").nr_free_pages == N
