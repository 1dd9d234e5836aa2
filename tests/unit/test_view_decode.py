"""Words taken apart and put together: the logic for any word, and the widget moved from Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import BoundedIntText, IntSlider, IntText

from memsim import BEFORE, Machine
from memsim.errors import MemsimError
from memsim.linux.fs.proc import kpageflags
from memsim.linux.include.page_flag_names import (
    BYTE_TYPES,
    INVERTED_TYPE_BITS,
    KPF_NAMES,
    PAGE_FLAG_MEANINGS,
    PAGE_FLAG_NAMES,
)
from memsim.linux.include.page_flags import FLAG_BITS, KPF, NO_TYPE, PageType, PageTypeEncoding, flags_word
from memsim.view.decode.parts import KINDS, WIDTHS, parts_of
from memsim.view.decode.widget import decode_page
from memsim.view.decode.words import Word, empty_word, read_word

REACHED_ANYWAY = (BoundedIntText, IntSlider, IntText)

RELEASES = ("6.1", "6.12")


@st.composite
def words(draw):
    kind, release = draw(st.sampled_from(KINDS)), draw(st.sampled_from(RELEASES))
    return Word(kind, release, draw(st.integers(0, (1 << WIDTHS[kind]) - 1)))


# ---- the tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("release", RELEASES)
def test_the_parts_cover_every_bit_once(kind, release):
    masks = [part.mask for part in parts_of(kind, release)]
    assert sum(masks) == (1 << WIDTHS[kind]) - 1
    union = 0
    for mask in masks:
        assert union & mask == 0
        union |= mask
    assert masks == sorted(masks, reverse=True)


@pytest.mark.parametrize("release", RELEASES)
def test_names_are_where_the_simulator_has_its_flags(release):
    """The simulator's own table was checked against struct pages of recorded kernels."""
    other = {"isolated": "reclaim"}
    for flag, bit in FLAG_BITS[release].items():
        name = flag.name.lower()
        assert PAGE_FLAG_NAMES[release][bit] == other.get(name, name)
    assert set(PAGE_FLAG_NAMES[release]) <= set(PAGE_FLAG_MEANINGS)


def test_names_of_kpageflags_are_those_that_the_simulator_writes():
    other = {"HEAD": "COMPOUND_HEAD"}
    for bit in KPF:
        assert KPF_NAMES[bit.value][0] == other.get(bit.name, bit.name)


def test_types_are_where_the_simulator_has_them():
    for kind in PageType:
        byte = PageTypeEncoding("byte")
        name = kind.value if kind is PageType.NONE else kind.value.title()
        assert BYTE_TYPES[byte.page_type(byte.code(kind)) >> 24] == name
        bits = PageTypeEncoding("inverted-bits")
        if kind is not PageType.NONE:
            word = bits.page_type(bits.set(NO_TYPE, kind))
            assert [INVERTED_TYPE_BITS[bit] for bit in INVERTED_TYPE_BITS if not word >> bit & 1] == [name]


# ---- any word --------------------------------------------------------------------------------------


@given(words())
def test_a_word_taken_apart_and_put_together_is_the_same(word):
    again = empty_word(word.kind, word.release)
    for part in word.parts:
        if part.is_flag and not part.is_rest:
            again = again.with_flag(part, on=word.says(part))
        else:
            again = again.with_number(part, word.number(part))
    assert again == word


@given(words(), st.data())
def test_a_flag_changes_its_bit_only_and_back(word, data):
    part = data.draw(st.sampled_from(word.parts))
    if part.is_flag and not part.is_rest:
        other = word.with_flag(part, on=not word.says(part))
        assert other.value ^ word.value == part.mask
        assert other.says(part) is not word.says(part)
        assert other.with_flag(part, on=word.says(part)) == word


@given(words())
def test_every_word_can_be_told_and_read_again(word):
    assert word.hex in word.text()
    assert word.sentence() in word.text()
    assert read_word(word.hex, word.kind, word.release) == word
    assert read_word(str(word.value), word.kind, word.release) == word


@given(st.sampled_from(RELEASES), st.integers(0, (1 << 64) - 1))
def test_names_make_the_word_that_has_them(release, value):
    word = Word("flags", release, value)
    named = [part for part in word.parts if not part.is_rest]
    text = ",".join(
        part.name if part.is_flag else f"{part.name}={word.number(part)}" for part in named if word.says(part)
    )
    mask = sum(part.mask for part in named)
    assert read_word(text or "zone=0", "flags", release).value == word.value & mask


@given(st.integers(0, (1 << 32) - 1))
def test_types_are_those_that_the_encodings_test_for(value):
    """6.1: base intact and bit clear. 6.12: the top byte, when the top bit says that there is a type."""
    old = Word("page_type", "6.1", value).names()
    assert old == [
        name for bit, name in INVERTED_TYPE_BITS.items() if value & (0xF << 28 | 1 << bit) == 0xF << 28
    ]
    new = Word("page_type", "6.12", value).names()
    assert bool(new) is (0x80 <= value >> 24 < 0xFF)
    assert len(new) <= 1


# ---- words of real pages ---------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_words_of_a_machine_say_what_its_pages_are(release):
    machine = Machine(patch=BEFORE, release=release)
    machine.add_memory(0x100000, 32768)
    machine.online(32, "online_movable")
    machine.allocate(1, block=32)
    memmap, pfn = machine.kernel.memmap, 0x100000
    word = read_word(flags_word(memmap.flags(pfn), release), "flags", release)
    assert word.names() == ["PG_lru", "zone 3 (Movable)"]
    for wanted, at in ((["KPF_LRU"], pfn), (["KPF_BUDDY"], pfn + 1)):
        assert read_word(int(kpageflags(machine.kernel, at, 1)[0]), "kpageflags").names() == wanted
    head = memmap.encoding.page_type(memmap.stored_type(pfn + 1))
    assert read_word(head, "page_type", release).names() == ["Buddy"]


@pytest.mark.parametrize(
    ("what", "kind", "release", "sentence"),
    [
        # kernel-page-flags.h and page-flags.h of 6.1 and 6.12; the numbers are those that vmcoreinfo exports.
        (-257, "page_type", "6.1", "Type Offline."),
        (-129, "page_type", "6.1", "Type Buddy."),
        (
            0xFFFFFE7F,
            "page_type",
            "6.1",
            "Types Buddy and Offline at once: nothing in this encoding prevents it.",
        ),
        (-251658240, "page_type", "6.12", "Type Offline."),
        (-268435456, "page_type", "6.12", "Type Buddy."),
        (-1, "page_type", "6.12", "-1: no type, and mapped by nobody."),
        (1 << 23, "kpageflags", "6.12", "Set: KPF_OFFLINE."),
        (1 << 52 | 1 << 13, "flags", "6.12", "Set: PG_reserved, zone 2 (Normal)."),
        ("owner_priv_1", "flags", "6.12", "Set: PG_owner_priv_1."),
        ("Offline", "page_type", "6.12", "Type Offline."),
        ("KPF_NOPAGE", "kpageflags", "6.12", "Set: KPF_NOPAGE."),
    ],
)
def test_kind_and_release_are_guessed(what, kind, release, sentence):
    word = read_word(what)
    assert (word.kind, word.release) == (kind, release)
    assert word.sentence() == sentence


def test_what_has_no_type_is_a_mapcount():
    assert "mapped 4 times" in Word("page_type", "6.1", 3).sentence()
    assert "mapped once" in Word("page_type", "6.12", 0).sentence()
    assert "corrupt" in Word("page_type", "6.12", 0xFFFFFFF0).sentence()
    assert "without the base no type" in Word("page_type", "6.1", 3).text()
    assert Word("page_type", "6.12", 0xE0000000).sentence() == "Type number 0xe0."


@pytest.mark.parametrize(
    ("what", "kind", "release", "problem"),
    [
        ("zork", None, None, "'zork' is no part of page->flags in 6.12; known are"),
        ("slab", "flags", "6.12", "'slab' is no part"),
        (1 << 64, None, None, "has 64 bits"),
        (1 << 32, "page_type", None, "has 32 bits"),
        (-(1 << 32) - 1, "page_type", None, "has 32 bits"),
        ("zone", None, None, "write zone="),
        ("zone=9", None, None, "does not fit into bits 53-51"),
        ("zone=x", None, None, "'x' is not a number"),
        ("", None, None, "no word"),
        ("buddy offline", "page_type", "6.12", "one type at most"),
        ("wrong", "page_type", "6.12", "page type of 6.12"),
        (1, "wrong", None, "kind 'wrong' must be one of"),
        (1, "flags", "6.6", "release '6.6' is not modelled"),
    ],
)
def test_what_is_no_word_is_told(what, kind, release, problem):
    with pytest.raises(MemsimError, match=problem):
        read_word(what, kind, release)


# ---- the widget ------------------------------------------------------------------------------------


def test_boxes_change_the_word_and_the_word_the_boxes():
    decoder = decode_page(0x0010000000002000)
    decoder.controls["PG_dirty"].value = True
    decoder.controls["zone"].value = 3
    assert decoder.field.value == "0x0018000000002010"
    assert "Set: PG_dirty, PG_reserved, zone 3 (Movable)." in decoder.twin.text
    assert decoder.sight.value.count("■") == 4  # three parts, and the legend
    decoder.field.value = "0"
    assert not any(control.value for control in decoder.controls.values())
    assert "No flag, zone 0 (DMA), node 0." in decoder.twin.text


def test_the_same_bits_read_by_another_kernel():
    decoder = decode_page(0xFFFFFEFF)
    assert decoder.controls["Offline"].value is True
    decoder.release.value = "6.12"
    assert "type" in decoder.controls
    assert "corrupt" in decoder.twin.text
    decoder.controls["type"].value = 0xF1
    assert decoder.word.names() == ["Offline"]
    decoder.kind.value = "flags"
    decoder.field.value = "zone=2"
    decoder.kind.value = "page_type"
    assert decoder.word == empty_word("page_type", "6.12")


def test_what_is_typed_wrong_is_answered_and_changes_nothing():
    decoder = decode_page("reserved")
    decoder.field.value = "reservd"
    assert "✗ &#x27;reservd&#x27; is no part of" in decoder.answer.value
    assert decoder.twin.text.startswith("✗ 'reservd'")
    assert decoder.word.names() == ["PG_reserved"]
    decoder.field.value = "dirty"
    assert not decoder.answer.value
    assert decoder.word.names() == ["PG_dirty"]


def test_controls_have_names_and_tooltips_and_are_reached_by_tab():
    for word in (1, -1, "kpf_nopage"):
        decoder = decode_page(word)
        for control in (decoder.field, decoder.kind, decoder.release, *decoder.controls.values()):
            assert control.description
            assert control.tooltip
            assert control.tabbable or isinstance(control, REACHED_ANYWAY)


def test_the_stored_output_is_that_of_the_first_word():
    decoder = decode_page(0x2000, "flags")
    first = decoder._repr_mimebundle_()
    decoder.field.value = "0"
    again = decoder._repr_mimebundle_()
    for kind in ("text/plain", "text/html"):
        assert first[kind] == again[kind]
    assert "PG_reserved" in first["text/plain"]
    assert "PG_reserved" in first["text/html"]
    assert "http" not in first["text/html"]
