"""The buddy allocator under any order of allocating and freeing (mm/page_alloc.c)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages
from memsim.machine.machine import Machine
from memsim.patch import AFTER

P = 0x100000
MOVABLE, ISOLATE = MigrateType.MOVABLE, MigrateType.ISOLATE
releases = st.sampled_from(["6.1", "6.12"])
randoms = st.randoms(use_true_random=False)


def used(release):
    """Return a machine of 1024 pages, all allocated one by one."""
    machine = Machine([(P, 1024)], AFTER, release)
    for _ in range(1024):
        alloc_pages(machine.kernel, 0, MOVABLE)
    return machine


def free_blocks(machine):
    """Return (pfn, order, migratetype) of every free block of zone Normal."""
    return {
        (pfn, order, migratetype)
        for order, area in enumerate(machine.zone("Normal").free_area)
        for migratetype, blocks in enumerate(area)
        for pfn in blocks
    }


@settings(max_examples=10)
@given(releases, randoms)
def test_1024_pages_freed_in_any_order_are_one_block_again(release, random):
    machine = used(release)
    order = list(range(P, P + 1024))
    random.shuffle(order)
    for pfn in order:
        __free_pages(machine.kernel, pfn)
    assert free_blocks(machine) == {(P, 10, MOVABLE)}
    assert machine.check() == []


@settings(max_examples=10)
@given(releases, randoms, st.sampled_from([P, P + 512]))
def test_pages_are_never_merged_across_the_border_of_an_isolated_pageblock(release, random, isolated):
    machine = used(release)
    machine.kernel.memmap.set_migratetype(isolated, 512, ISOLATE)
    order = list(range(P, P + 1024))
    random.shuffle(order)
    for pfn in order:
        __free_pages(machine.kernel, pfn)
    other = P + P + 512 - isolated
    assert free_blocks(machine) == {(isolated, 9, ISOLATE), (other, 9, MOVABLE)}
    assert machine.zone("Normal").nr_free_pages == 512


@settings(max_examples=10)
@given(releases, randoms, st.sets(st.integers(0, 1023), min_size=1, max_size=40))
def test_pages_that_stay_allocated_keep_exactly_the_blocks_apart_that_they_lie_in(release, random, kept):
    machine = used(release)
    order = [offset for offset in range(1024) if offset not in kept]
    random.shuffle(order)
    for offset in order:
        __free_pages(machine.kernel, P + offset)
    # A free block is a largest aligned range without a kept page: its other half's parent holds one.
    expected = {
        (P + start, o, MOVABLE)
        for o in range(11)
        for start in range(0, 1024, 1 << o)
        if kept.isdisjoint(range(start, start + (1 << o)))
        and (o == 10 or not kept.isdisjoint(range(start & ~((2 << o) - 1), (start | ((2 << o) - 1)) + 1)))
    }
    assert free_blocks(machine) == expected


requests = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 10), st.sampled_from([0, 1, 2])),  # allocate (order, migratetype)
        st.integers(0, 50),  # free one of those that are allocated
    ),
    max_size=40,
)


@given(releases, st.booleans(), requests)
def test_blocks_are_aligned_and_disjoint_and_nothing_is_lost(release, debug_vm, script):
    machine = Machine([(P, 4096)], AFTER, release, debug_vm=debug_vm)
    held = {}
    for request in script:
        if isinstance(request, tuple):
            order, migratetype = request
            if not any(high >= order for _, high, _ in free_blocks(machine)):
                with pytest.raises(KernelError, match="ENOMEM"):
                    alloc_pages(machine.kernel, order, migratetype)
                continue
            # Every type falls back on every other: what is free anywhere can be had.
            pfn = alloc_pages(machine.kernel, order, migratetype)
            assert pfn % (1 << order) == 0
            assert all(pfn + (1 << order) <= other or other + (1 << o) <= pfn for other, o in held.items())
            held[pfn] = order
        elif held:
            pfn = sorted(held)[request % len(held)]
            __free_pages(machine.kernel, pfn, held.pop(pfn))
        assert machine.zone("Normal").nr_free_pages == 4096 - sum(1 << order for order in held.values())
    faults = {violation.name for violation in machine.check()} - {"leaked"}  # tail pages of what is held
    assert faults == set()
    for pfn, order in held.items():
        __free_pages(machine.kernel, pfn, order)
    assert {(pfn, order) for pfn, order, _ in free_blocks(machine)} == {(P + n * 1024, 10) for n in range(4)}
    assert machine.check() == []
    assert machine.log == []
