"""Words taken apart and put together: the logic for any word, and the widget moved from Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import BoundedIntText, IntSlider, IntText

from memsim import BEFORE, Machine
from memsim.errors import MemsimError
from memsim.linux.fs.proc import kpageflags
from memsim.linux.include.page_flags import FLAG_BITS, KPF, NO_TYPE, PageType, PageTypeEncoding, flags_word
from memsim.real.word.meanings import KPF_NAMES, PAGE_FLAG_MEANINGS
from memsim.real.word.parts import DEBIAN, KINDS, RELEASES, WIDTHS, flag_names_of, parts_of
from memsim.real.word.reading import read_word
from memsim.real.word.word import Word, empty_word
from memsim.view.decode import decode_page

REACHED_ANYWAY = (BoundedIntText, IntSlider, IntText)

MODELLED = ("6.1", "6.12")
INVERTED_TYPE_BITS = {7: "Buddy", 8: "Offline", 9: "Table", 10: "Guard"}
"""6.1, include/linux/page-flags.h: the bit of page_type that is cleared to give a page this type."""
BYTE_TYPES = {
    0xF0: "Buddy",
    0xF1: "Offline",
    0xF2: "Table",
    0xF3: "Guard",
    0xF4: "Hugetlb",
    0xF5: "Slab",
    0xF6: "Zsmalloc",
    0xF7: "Unaccepted",
    0xFF: "none",
}
"""6.12, enum pagetype in the same file: what the top byte of page_type says."""


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


@pytest.mark.parametrize("release", FLAG_BITS)
def test_names_are_where_the_simulator_has_its_flags(release):
    """The simulator's own table was checked against struct pages of recorded kernels."""
    other = {"isolated": "reclaim"}
    names = flag_names_of(release)
    for flag, bit in FLAG_BITS[release].items():
        name = flag.name.lower()
        assert names[bit] == other.get(name, name)
    assert set(names) <= set(PAGE_FLAG_MEANINGS)


@pytest.mark.parametrize("release", ["6.12", "7.3"])
def test_types_by_number_are_those_of_the_kernel(release):
    (part,) = (part for part in parts_of("page_type", release) if part.name == "type")
    assert part.names == BYTE_TYPES | ({0xF8: "LargeKmalloc"} if release == "7.3" else {})


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
            again = again.with_number(part, int(word.says(part) != part.inverted))
        else:
            again = again.with_number(part, word.number(part))
    assert again == word


@given(words(), st.data())
def test_a_flag_changes_its_bit_only_and_back(word, data):
    part = data.draw(st.sampled_from(word.parts))
    if part.is_flag and not part.is_rest:
        other = word.with_number(part, 1 - word.number(part))
        assert other.value ^ word.value == part.mask
        assert other.says(part) is not word.says(part)
        assert other.with_number(part, word.number(part)) == word


@given(words())
def test_every_word_can_be_told_and_read_again(word):
    assert word.hex in word.text()
    assert word.sentence() in word.text()
    assert read_word(word.hex, word.kind, word.release) == word
    assert read_word(str(word.value), word.kind, word.release) == word


@given(st.sampled_from(MODELLED), st.integers(0, (1 << 64) - 1))
def test_names_make_the_word_that_has_them(release, value):
    word = Word("flags", release, value)
    named = [
        part for part in word.parts if not part.is_rest and (part.name != "lastcpupid" or word.says(part))
    ]
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


@pytest.mark.parametrize("release", MODELLED)
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
        (-1, "page_type", "6.12", "-1: no type, and not mapped."),
        (1 << 23, "kpageflags", "6.12", "Set: KPF_OFFLINE."),
        (1 << 52 | 1 << 13, "flags", "6.12", "Set: PG_reserved, zone 2 (Normal)."),
        # Pages of Debian's kernels, from public reports: LAST_CPUPID is all ones, zone DMA is 0.
        (0x17FFFFC0000000, "flags", "6.12", "Set: zone 2 (Normal)."),
        (0x7FFFFC0000000, "flags", "6.12", "No flag, zone 0 (DMA), node 0."),
        # include/linux/page-flags.h of 6.11 and 6.10, and reports that print these words beside the types.
        (0xBFFFFFFF, "page_type", "6.11", "Type Buddy."),
        (0xDFFFFFFF, "page_type", "6.11", "Type Offline."),
        (0xFFFFEFFF, "page_type", "6.10", "Type Slab."),
        ("f1(offline)", "page_type", "6.12", "Type Offline."),
        ("page_type: f0(buddy)", "page_type", "6.12", "Type Buddy."),
        ("f1", "page_type", "6.12", "Type Offline."),
        (0xF1, "page_type", "6.12", "Type Offline."),
        ("page_type: f8(unknown)", "page_type", "6.14", "Type LargeKmalloc."),
        ("page_type: 0xffffefff(slab)", "page_type", "6.10", "Type Slab."),
        # The seventh raw word of a dump; and what kernels up to 6.9 print for a free page.
        ("00000003fffffeff", "counts", "6.1", "Refcount 3. Type Offline."),
        (0x00000003FFFFFEFF, "counts", "6.1", "Refcount 3. Type Offline."),
        (-128, "page_type", "6.1", "Type Buddy."),
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
    assert Word("page_type", "6.1", 0xBFFFFFFF).sentence() == (
        "No type of 6.1. In the encoding of 6.11 it is type Buddy."
    )
    assert "In the encoding of 6.10 it is type Slab" in Word("page_type", "6.1", 0xFFFFEFFF).sentence()
    assert "without the base no type" in Word("page_type", "6.1", 3).text()
    assert Word("page_type", "6.12", 0xE0000000).sentence() == "Type number 0xe0."


@pytest.mark.parametrize(
    ("what", "kind", "release", "problem"),
    [
        ("zork", None, None, "'zork' is no part of page->flags in 6.12; give a number"),
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
        ("page: refcount:0\nflags: 0x1", None, None, "memsim explain takes whole dumps"),
        ("raw: 0017ffffc0000000 dead000000000100", None, None, "has several words"),
        (1, "flags", "six", "release 'six' is not known"),
        (1, "page_type", "4.9", "4.9 has no page types"),
    ],
)
def test_what_is_no_word_is_told(what, kind, release, problem):
    with pytest.raises(MemsimError, match=problem):
        read_word(what, kind, release)


# ---- what a word alone does not say ------------------------------------------------------------------


def test_a_guess_is_announced_with_its_alternatives():
    text = read_word("0x5828").text()
    assert "Taken for /proc/kpageflags, because no bit above 42 is set" in text
    assert "say which with kind= (on the command line --kind)" in text
    assert "it may also be page->flags" in text
    assert not read_word(0x5828, "kpageflags", "6.12").notes


def test_the_configuration_stands_in_the_title():
    assert "Debian's configuration for x86-64" in Word("flags", "6.12", 0).title


def test_no_zone_above_4_is_told_as_a_fact():
    # Reports of 6.12 with NODES_SHIFT 6 and of 6.10.11; they print zone 1, node 0 and zone 2, node 1.
    known = read_word(0xFFF00000080204)
    assert known.names() == ["PG_referenced", "PG_workingset", "PG_mlocked", "zone 1 (DMA32)"]
    assert "depends on the configuration" in known.text()
    unknown = read_word(0x5FFFFE00482011)
    assert unknown.layout is None
    assert not any(name.startswith(("zone", "node")) for name in unknown.names())
    insisted = read_word(0xFFF00000080204, "flags", "6.12")
    assert "Zone would be 7, which no kernel has" in insisted.sentence()
    assert "0x7 (not this layout)" in insisted.text()
    assert not any(name.startswith(("zone", "node")) for name in insisted.names())


@given(st.integers(1 << 43, (1 << 64) - 1))
def test_no_number_alone_ever_gets_a_zone_above_4(value):
    word = read_word(value)
    if word.kind == "flags":
        assert word.layout is None or word.layout.read(value)["zone"] <= 4
        assert word.value >> 21 == 0 or "depends on the configuration" in word.text()


def test_names_that_depend_on_the_version_are_told_with_the_others():
    text = read_word(0x10000000100000).text()
    assert "depends on the version; taken for 6.12" in text
    assert "mlocked (6.14 and later" in text
    assert "unevictable (6.6 to 6.9" in text
    other = read_word(0x5CF68BF68BF0CAE8, release="6.1").text()
    assert "mlocked, hwpoison, arch_2 (4.20 to 6.5, not x86)" in other


def test_what_a_kernel_printed_decides_names_and_layout():
    word = read_word(
        "flags: 0x5ffffe00482011(locked|dirty|arch_1|swapbacked|hwpoison|node=0|zone=2|lastcpupid=0xfffff)"
    )
    assert word.names() == [
        *("PG_locked", "PG_dirty", "PG_arch_1", "PG_swapbacked", "PG_hwpoison"),
        "zone 2 (Normal)",
    ]
    assert "names of Linux 6.6 to 6.9" in word.text()
    assert read_word("0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)").layout == DEBIAN
    assert "do not agree" in read_word("0x17ffffc0000000(node=7|zone=2|lastcpupid=0x1fffff)").text()
    assert "not what 0xf1000000 means" in read_word("page_type: f1(buddy)").text()


def test_names_may_have_bars_between_them():
    word = read_word("reserved|node=1|zone=2|lastcpupid=0x1ffff")
    assert word.names() == ["PG_reserved", "lastcpupid 131071", "zone 2 (Normal)", "node 1"]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        # As page-types prints them, in the THP, OOM and hwpoison threads of linux-mm.
        (0x5828, "uptodate,lru,mmap,anon,swapbacked"),
        (0x40D868, "uptodate,lru,active,mmap,anon,swapbacked,compound_head,thp"),
        (0xA8000, "compound_head,huge,hwpoison"),
    ],
)
def test_words_of_kpageflags_are_as_page_types_prints_them(value, names):
    word = read_word(value)
    assert word.kind == "kpageflags"
    assert ",".join(name.removeprefix("KPF_").lower() for name in word.names()) == names


def test_a_word_of_a_32_bit_kernel_is_not_told_as_kpageflags():
    # Report of 4.9.45-v7+ (arm): a pattern that filled memory.
    text = read_word(0x78787878).text()
    assert "a 32-bit kernel, which is not modelled" in text
    assert "KPF_" not in text


# ---- the widget ------------------------------------------------------------------------------------


def press(decoder, bit):
    """Turn a bit over, as a click on it does."""
    number = decoder.bits.act.get("number", 0) + 1
    decoder.bits.act = {"value": f"{decoder.word.value ^ 1 << bit:#x}", "number": number}


def test_bits_change_the_word_and_the_word_the_bits():
    decoder = decode_page(0x0010000000002000)
    press(decoder, 4)  # PG_dirty in 6.12
    press(decoder, 51)  # the lowest bit of the zone
    assert decoder.field.value == decoder.bits.spec["value"] == "0x0018000000002010"
    assert "Set: PG_dirty, PG_reserved, zone 3 (Movable)." in decoder.twin.text
    assert decoder.bits.spec["sentence"] in decoder.twin.text
    decoder.field.value = "0"
    assert decoder.bits.spec["value"] == "0x0000000000000000"
    assert "No flag, zone 0 (DMA), node 0." in decoder.twin.text


def test_the_browser_gets_every_part_of_a_word():
    spec = decode_page(0xF1000000).bits.spec
    assert sum(part["width"] for part in spec["parts"]) == spec["width"] == 32
    (kind,) = [part for part in spec["parts"] if part["name"] == "type"]
    assert (kind["low"], kind["names"][str(0xF1)]) == (24, "Offline")
    assert "alone" not in spec
    assert decode_page(1).spec_without_a_kernel()["alone"]


def test_the_same_bits_read_by_another_kernel():
    decoder = decode_page(0xFFFFFEFF)
    assert "Type Offline." in decoder.bits.spec["sentence"]
    decoder.release.value = "6.12"
    assert "type" in [part["name"] for part in decoder.bits.spec["parts"]]
    assert "In the encoding of 5.11 to 6.8 it is type Offline" in decoder.twin.text
    decoder.field.value = "0xf1000000"
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


def test_what_a_kernel_printed_can_be_pasted_into_the_widget():
    decoder = decode_page(0x2000, "flags", "6.12")
    decoder.field.value = "page_type: f1(offline)"
    assert decoder.word.names() == ["Offline"]
    names = "locked|dirty|arch_1|swapbacked|hwpoison|node=0|zone=2|lastcpupid=0xfffff"
    decoder.field.value = f"flags: 0x5ffffe00482011({names})"
    assert decoder.word.names()[-1] == "zone 2 (Normal)"
    assert "PG_hwpoison" in [part["name"] for part in decoder.bits.spec["parts"]]
    assert "as Linux 6.6 reads them" in decoder.twin.text
    decoder.field.value = "page_type: 0xbfffffff(buddy)"
    assert decoder.word.names() == ["Buddy"]
    assert decoder.word.release == "6.11"
    decoder.kind.value = "counts"
    assert "Refcount 0" in decoder.twin.text


def test_controls_have_names_and_tooltips_and_are_reached_by_tab():
    for word in (1, -1, "kpf_nopage"):
        decoder = decode_page(word)
        for control in (decoder.field, decoder.kind, decoder.release):
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
