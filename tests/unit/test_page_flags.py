"""Flags and page types, and their two encodings (include/linux/page-flags.h)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim.linux.include.page_flags import (
    ALL_FLAGS,
    FLAG_BITS,
    NO_TYPE,
    PAGE_FLAGS_CHECK_AT_FREE,
    PAGE_FLAGS_CHECK_AT_PREP,
    PageFlag,
    PageType,
    PageTypeEncoding,
    flags_word,
)

BITS = PageTypeEncoding("inverted-bits")
BYTE = PageTypeEncoding("byte")
TYPES = (PageType.BUDDY, PageType.OFFLINE, PageType.TABLE, PageType.GUARD)
encodings = st.sampled_from([BITS, BYTE])
types = st.sampled_from(TYPES)


@st.composite
def stored_types(draw, encoding):
    """Return a u8 that some sequence of setting types leaves behind."""
    stored = NO_TYPE
    for page_type in draw(st.lists(types, max_size=3)):
        stored = encoding.set(stored, page_type)
    return stored


@pytest.mark.parametrize(
    ("encoding", "page_type", "word"),
    [
        (BITS, PageType.BUDDY, 0xFFFFFF7F),  # all ones but bit 0x80
        (BITS, PageType.OFFLINE, 0xFFFFFEFF),  # but 0x100
        (BITS, PageType.TABLE, 0xFFFFFDFF),  # but 0x200
        (BITS, PageType.GUARD, 0xFFFFFBFF),  # but 0x400
        (BYTE, PageType.BUDDY, 0xF0000000),  # the number of the type in the top byte
        (BYTE, PageType.OFFLINE, 0xF1000000),
        (BYTE, PageType.TABLE, 0xF2000000),
        (BYTE, PageType.GUARD, 0xF3000000),
    ],
)
def test_a_page_with_one_type_has_the_page_type_word_of_its_kernel(encoding, page_type, word):
    assert encoding.page_type(encoding.set(NO_TYPE, page_type)) == word
    assert encoding.page_type(encoding.code(page_type)) == word


@pytest.mark.parametrize("encoding", [BITS, BYTE], ids=["bits", "byte"])
def test_a_page_without_a_type_has_mapcount_minus_one(encoding):
    assert encoding.page_type(NO_TYPE) == 0xFFFFFFFF
    assert encoding.types(NO_TYPE) == frozenset()
    assert encoding.has(NO_TYPE, PageType.NONE)
    assert encoding.code(PageType.NONE) == NO_TYPE


def test_a_6_1_page_can_be_buddy_and_offline_at_once():
    both = BITS.set(BITS.set(NO_TYPE, PageType.OFFLINE), PageType.BUDDY)
    assert BITS.types(both) == {PageType.BUDDY, PageType.OFFLINE}
    assert BITS.page_type(both) == 0xFFFFFE7F  # both bits are clear


def test_a_6_12_page_that_becomes_buddy_is_no_longer_offline():
    stored = BYTE.set(BYTE.set(NO_TYPE, PageType.OFFLINE), PageType.BUDDY)
    assert BYTE.types(stored) == {PageType.BUDDY}


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="must be 'byte', 'inverted-bits' or"):
        PageTypeEncoding("bits")


@given(st.data(), encodings, types)
def test_setting_a_type_twice_is_setting_it_once(data, encoding, page_type):
    once = encoding.set(data.draw(stored_types(encoding)), page_type)
    assert encoding.has(once, page_type)
    assert encoding.set(once, page_type) == once


@given(st.data(), encodings, types)
def test_clearing_a_type_takes_it_away_and_clearing_again_changes_nothing(data, encoding, page_type):
    cleared = encoding.clear(data.draw(stored_types(encoding)), page_type)
    assert not encoding.has(cleared, page_type)
    assert encoding.clear(cleared, page_type) == cleared


@given(stored_types(BITS), types)
def test_inverted_bits_set_and_clear_one_type_and_leave_the_others(stored, page_type):
    others = BITS.types(stored) - {page_type}
    assert BITS.types(BITS.set(stored, page_type)) == others | {page_type}
    assert BITS.types(BITS.clear(stored, page_type)) == others


@given(stored_types(BYTE), types)
def test_a_byte_holds_at_most_one_type(stored, page_type):
    assert len(BYTE.types(stored)) <= 1
    assert BYTE.types(BYTE.set(stored, page_type)) == {page_type}


@given(stored_types(BITS))
def test_the_top_nibble_of_inverted_bits_stays_intact_whatever_types_are_set(stored):
    # This is all that CONFIG_DEBUG_VM looks at when a type is set on 6.1.
    assert BITS.page_type(stored) >> 28 == 0xF


@given(encodings, st.sampled_from(PageType))
def test_asking_an_array_is_asking_each_of_its_elements(encoding, page_type):
    every = np.arange(256, dtype=np.uint8)
    assert encoding.where(every, page_type).tolist() == [encoding.has(v, page_type) for v in range(256)]


@pytest.mark.parametrize(
    ("flag", "bit_6_1", "bit_6_12"),
    [
        (PageFlag.RESERVED, 12, 13),
        (PageFlag.HWPOISON, 23, 20),
        (PageFlag.DIRTY, 3, 4),
        (PageFlag.LRU, 4, 5),
        (PageFlag.VMEMMAP_SELF_HOSTED, 10, 10),  # an alias of PG_owner_priv_1
        (PageFlag.HEAD, 16, 6),
        (PageFlag.WRITEBACK, 15, 1),
    ],
)
def test_a_flag_stands_at_the_bit_of_its_kernel(flag, bit_6_1, bit_6_12):
    assert flags_word(int(flag), "6.1") == 1 << bit_6_1
    assert flags_word(int(flag), "6.12") == 1 << bit_6_12


def test_pg_slab_is_a_flag_of_6_1_only():
    # In 6.12 slab pages have a page type.
    assert flags_word(int(PageFlag.SLAB), "6.1") == 1 << 9
    assert flags_word(int(PageFlag.SLAB), "6.12") == 0


@pytest.mark.parametrize("release", FLAG_BITS)
def test_no_two_flags_share_a_bit(release):
    assert len(set(FLAG_BITS[release].values())) == len(FLAG_BITS[release])


def test_freeing_a_reserved_page_is_an_error_and_freeing_a_dirty_one_is_not():
    assert PAGE_FLAGS_CHECK_AT_FREE & PageFlag.RESERVED
    assert not PAGE_FLAGS_CHECK_AT_FREE & PageFlag.DIRTY
    assert PAGE_FLAGS_CHECK_AT_PREP & PageFlag.DIRTY


def test_only_hwpoison_survives_freeing():
    assert ALL_FLAGS & ~PAGE_FLAGS_CHECK_AT_PREP == PageFlag.HWPOISON
