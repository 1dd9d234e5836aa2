"""Sizes and pfn arithmetic of x86-64 (include/linux/mmzone.h, pageblock-flags.h)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim.linux.arch.x86.mm.init_64 import probe_memory_block_size
from memsim.linux.include import layout
from memsim.state.section import PAGEBLOCKS_PER_SECTION

GIB = 1 << 18  # pages
MIB = 1 << 8


def chunks(pfn, end):
    """Walk a range as online_pages_range() does: the largest order that the pfn's alignment allows."""
    while pfn < end:
        order = layout.naturally_aligned_order(pfn)
        yield order
        pfn += 1 << order


def test_a_section_is_128_mib_of_64_pageblocks():
    assert layout.PAGES_PER_SECTION * 4096 == 128 << 20
    assert layout.PAGES_PER_SECTION // layout.pageblock_nr_pages == PAGEBLOCKS_PER_SECTION == 64


def test_a_pageblock_is_2_mib_and_the_largest_free_block_4_mib():
    assert layout.pageblock_nr_pages * 4096 == 2 << 20
    assert layout.MAX_ORDER_NR_PAGES * 4096 == 4 << 20


def test_struct_pages_of_64_bytes_take_a_64th_of_a_section():
    assert layout.VMEMMAP_PAGES_PER_SECTION == layout.PAGES_PER_SECTION // 64


def test_a_block_at_4_gib_is_32_chunks_of_order_10():
    assert list(chunks(0x100000, 0x108000)) == [10] * 32


def test_a_block_that_starts_a_pageblock_late_is_one_chunk_of_order_9_then_31_of_order_10():
    # 512 + 31 * 1024 = 32768 - 512: the block at 4 GiB without the 2 MiB of its own memmap.
    assert list(chunks(0x100200, 0x108000)) == [9] + [10] * 31


def test_pfn_0_counts_as_aligned_to_the_largest_order():
    # __ffs(0) has no meaning; 6.12 asks for pfn 0 first.
    assert layout.naturally_aligned_order(0) == layout.MAX_PAGE_ORDER


@given(st.integers(1, 1 << 40))
def test_a_naturally_aligned_order_is_the_largest_up_to_10_that_divides_the_pfn(pfn):
    order = layout.naturally_aligned_order(pfn)
    assert pfn % (1 << order) == 0
    assert order == layout.MAX_PAGE_ORDER or pfn % (2 << order) != 0


@given(st.integers(0, 1 << 40))
def test_a_pfn_lies_in_the_section_and_in_the_pageblock_that_are_named_after_it(pfn):
    start = layout.section_nr_to_pfn(layout.pfn_to_section_nr(pfn))
    assert start <= pfn < start + 32768
    assert start % 32768 == 0
    block = layout.pageblock_start_pfn(pfn)
    assert block <= pfn < block + 512
    assert block % 512 == 0


@pytest.mark.parametrize(
    ("end", "size"),
    [
        (4 * GIB, 128 * MIB),  # small machines have small blocks
        (64 * GIB - 1, 128 * MIB),  # 64 GiB is where large blocks begin
        (64 * GIB, 2 * GIB),  # 2 GiB is the largest there is, though 64 GiB divides too
        (65 * GIB, 1 * GIB),  # odd GiB: 2 GiB does not divide it
        (64 * GIB + 256 * MIB, 256 * MIB),
        (64 * GIB + 128 * MIB, 128 * MIB),
        (64 * GIB + 64 * MIB, 128 * MIB),  # never less than a section
    ],
)
def test_the_memory_block_of_a_virtual_machine_is_the_largest_size_that_divides_the_end_of_ram(end, size):
    assert probe_memory_block_size(end) == size


def test_a_pfn_range_is_printed_with_its_last_page():
    assert layout.hex_range(0x100000, 32768) == "[0x100000-0x107fff]"
