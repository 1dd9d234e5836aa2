"""``memsim explain``: pages as kernels from 3.10 to 7.3 print them, and what must be said about each.

The words and names are what kernels printed in public reports; the expected numbers are theirs, not ours.
Dumps are shortened to the lines that matter, and process names are replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import json
import random
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memsim
from memsim import explain
from memsim.cli import main
from memsim.errors import MemsimError
from memsim.real.dump import MOST_PAGES
from memsim.real.layout import MAX_ZONE, solve
from memsim.real.lines import clean
from memsim.real.reading import CONCLUDED, PRINTED, WORD
from memsim.real.tables import TYPE_ENCODINGS, encoding_for, flag_tables, table_for
from memsim.real.word.reading import read_word

WORDS = """
0x6ffff8000002000 reserved|node=1|zone=2|lastcpupid=0x1ffff
0x17ffffc0000000 node=0|zone=2|lastcpupid=0x1fffff
0x2ffff00000010200 slab|head|node=0|zone=2|lastcpupid=0xffff
0x78787878 uptodate|dirty|lru|active|private|private_2|writeback|head|unevictable|mlocked
0x2fffff0008001c referenced|uptodate|dirty|swapbacked
0x17fffc000000100 slab
0x8000000000082034 uptodate|lru|active|private|swapbacked
0x3fffe000001000 reserved
0x17ffff8000080024 uptodate|active|swapbacked
0x1ffff00000001000 reserved
0x1fffffc0001000 reserved|node=0|zone=3|lastcpupid=0x1fffff
0x17ff00000010200 slab|head|node=0|zone=2|lastcpupid=0x7ff
0xfffffc0000200 slab|node=0|zone=1|lastcpupid=0x1fffff
0xfffffc0000000 node=0|zone=1|lastcpupid=0x1fffff
0x17ffffc0000240 workingset|head|node=0|zone=2|lastcpupid=0x1fffff
0x3fffc0000020459 locked|uptodate|dirty|owner_priv_1|head|swapbacked|node=0|zone=0|lastcpupid=0xffff
0xfff00000000040 head|node=0|zone=1|lastcpupid=0x7ff
0xfff00000000800 slab|node=0|zone=1|lastcpupid=0x7ff
0x200000000000240 workingset|head|node=0|zone=2
0x5ffe00000000800 slab|node=0|zone=2|lastcpupid=0xfff
0x4fff00000000000 node=1|zone=1|lastcpupid=0x7ff
0x7ffffc0000000 node=0|zone=0|lastcpupid=0x1fffff
0x57ffffc0000004 referenced|node=1|zone=2|lastcpupid=0x1fffff
0xfff00000080204 referenced|workingset|mlocked|node=0|zone=1|lastcpupid=0x7ff
0x400000000080000 mlocked|node=0|zone=1
0x57ffffc0800000 hwpoison|node=1|zone=2|lastcpupid=0x1fffff
0x5ffffe00482011 locked|dirty|arch_1|swapbacked|hwpoison|node=0|zone=2|lastcpupid=0xfffff
0x57ffffc0801000 reserved|hwpoison|node=1|zone=2|lastcpupid=0x1fffff
0x17ffff800000000 node=0|zone=2|lastcpupid=0xfffff
0x1ffde8000000000 node=0|zone=0|lastcpupid=0x7ff|kasantag=0x7a
0x4000000000000040 head|zone=1
0x6635333639363237 locked|referenced|uptodate|lru|active|slab|reserved|private|mappedtodisk|reclaim|unevictable|mlock
"""  # noqa: E501 (as the kernel printed it)

EVERY_WORD = [tuple(line.split()) for line in WORDS.strip().splitlines()]


def page(text):
    """Return the only page of a text."""
    (found,) = explain(text).pages
    return found


def sentences(text):
    """Return what is said about the only page of a text, in one string."""
    return " ".join(fact.text for fact in page(text).facts)


def split(printed):
    """Return names and numbers as a kernel printed them."""
    parts = printed.split("|")
    numbers = dict(part.split("=") for part in parts if "=" in part)
    return {p for p in parts if "=" not in p}, {name: int(number, 0) for name, number in numbers.items()}


# ---- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "printed"), EVERY_WORD)
def test_a_word_and_its_names_give_what_the_kernel_printed(word, printed):
    names, numbers = split(printed)
    for text in (f"flags: {word}({printed})", f"page flags: {word}({printed})", f"{word}({printed})"):
        reading = page(text).reading
        assert set(reading.names) == names
        assert reading.numbers == numbers or (not numbers and reading.numbers_how == CONCLUDED)
        assert reading.table is not None, "no table reproduces the names"
        if numbers:
            assert reading.layouts, "no layout gives the numbers"
            assert all(layout.read(int(word, 16)) == numbers for layout in reading.layouts)


@pytest.mark.parametrize(("word", "printed"), EVERY_WORD)
def test_a_word_alone_never_gets_a_wrong_name_without_a_warning(word, printed):
    names, numbers = split(printed)
    found = page(f"flags: {word}")
    told = " ".join(fact.text for fact in found.facts)
    zone = found.reading.zone
    assert zone is None or zone <= MAX_ZONE
    if zone is not None and zone != numbers.get("zone"):
        assert "depends on the configuration" in told
    if found.reading.names is None or set(found.reading.names) != names:
        assert "depends on the version" in told or "mean nothing" in told
        assert found.reading.names is None


@st.composite
def printed_words(draw):
    """Draw a word and what a kernel of some version, architecture and configuration prints for it."""
    architecture = draw(st.sampled_from(["x86-64", "arm64"]))
    table = draw(st.sampled_from([t for t in flag_tables(architecture) if t.first >= (4, 20)]))
    widths = {
        "node": draw(st.sampled_from([0, 2, 4, 6, 10])),
        "zone": draw(st.sampled_from([2, 3])),
        "lastcpupid": draw(st.sampled_from([0, 11, 14, 17, 21])),
        "kasantag": draw(st.sampled_from([0, 8])),
    }
    end, word, numbers = 64, 0, {}
    for name, width in widths.items():
        if not width or end - width < len(table.names):
            continue
        end -= width
        untouched = (1 << width) - 1
        few = untouched if name == "lastcpupid" else min(untouched, 3)
        numbers[name] = draw(st.integers(0, few)) if name != "lastcpupid" else few
        word |= numbers[name] << end
    names = draw(st.sets(st.sampled_from(table.names)))
    word |= sum(1 << table.names.index(name) for name in names)
    shown = [
        *names,
        *(f"{n}={v:#x}" if n in {"lastcpupid", "kasantag"} else f"{n}={v}" for n, v in numbers.items()),
    ]
    return word, names, numbers, "|".join(shown)


@given(printed_words())
def test_any_configuration_is_read_as_it_was_printed(case):
    word, names, numbers, shown = case
    found = page(f"flags: {word:#x}({shown})")
    assert set(found.reading.names) == names
    assert found.reading.numbers == numbers
    assert found.reading.table is not None
    assert set(found.reading.table.set_names(word & (1 << len(found.reading.table.names)) - 1)) == names
    assert found.reading.layouts
    assert not found.reading.problems
    decoded = read_word(f"flags: {word:#x}({shown})")
    assert {name.removeprefix("PG_") for name in decoded.names() if name.startswith("PG_")} == names
    for name, value in numbers.items():
        assert decoded.number(decoded.part(name)) == value


@given(printed_words())
def test_any_word_alone_has_no_zone_that_cannot_be(case):
    word, names, _, _ = case
    reading = page(f"flags: {word:#018x}").reading
    assert reading.zone is None or reading.zone <= MAX_ZONE
    told = " ".join(fact.text for fact in page(f"flags: {word:#018x}").facts)
    if reading.names is not None and set(reading.names) != names:
        assert "mean nothing" in told
    if reading.zone is not None:
        assert "depends on the configuration" in told


def test_the_layout_of_a_word_is_solved_from_its_numbers():
    # Linux 6.10.11, openzfs issue 16594: node 1 begins at bit 58, zone 2 at bit 56.
    for layout in solve(0x6FFFF8000002000, {"node": 1, "zone": 2, "lastcpupid": 0x1FFFF}, 23):
        assert layout.fields["node"][0] == 58
        assert layout.fields["zone"] == (56, 2)


def test_numbers_that_do_not_fit_the_word_are_a_finding():
    told = sentences("flags: 0x17ffffc0000000(node=3|zone=2|lastcpupid=0x1fffff)")
    assert "do not agree" in told


def test_names_that_do_not_fit_the_word_are_a_finding():
    found = page("flags: 0x17ffffc0000001(dirty|node=0|zone=2|lastcpupid=0x1fffff)")
    assert found.reading.names == ["dirty"]
    assert "do not fit this kernel" in " ".join(fact.text for fact in found.facts)


def test_names_of_another_version_are_a_finding():
    # Bit 19 is PG_swapbacked up to 6.9 and PG_mlocked in 6.12.
    dump = "flags: 0x17ffffc0080000(mlocked|node=0|zone=2|lastcpupid=0x1fffff)\n"
    dump += "CPU: 0 Comm: a Not tainted 6.1.0-1 #1"
    assert "are those of 6.12 to 6.13, not of 6.1" in sentences(dump)


# ---- tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "architecture", "name", "bit"),
    [
        # include/linux/page-flags.h of each version; NUMBER(PG_hwpoison) of vmcoreinfo for the first two.
        ((5, 4), "x86-64", "hwpoison", 23),
        ((5, 4), "arm64", "hwpoison", 22),
        ((6, 6), "arm64", "hwpoison", 22),
        ((6, 6), "x86-64", "slab", 11),
        ((6, 10), "x86-64", "reserved", 13),
        ((6, 12), "x86-64", "mlocked", 19),
        ((6, 14), "x86-64", "dropbehind", 19),
        ((6, 14), "x86-64", "mlocked", 20),
        ((7, 3), "x86-64", "hwpoison", 21),
        ((4, 19), "x86-64", "slab", 8),
        ((3, 10), "x86-64", "swapbacked", 19),
    ],
)
def test_flags_are_where_the_headers_have_them(version, architecture, name, bit):
    assert table_for(version, architecture).names.index(name) == bit


def test_only_x86_has_pg_uncached_and_none_from_6_12_on():
    assert not any("uncached" in table.names for table in flag_tables("arm64"))
    assert not any("uncached" in table.names for table in flag_tables() if table.has((6, 12)))


@pytest.mark.parametrize(
    ("version", "word", "name"),
    [
        ((6, 1), 0xFFFFFEFF, "offline"),
        ((6, 8), 0xFFFFFF7F, "buddy"),
        ((6, 9), 0xFFFFF7FF, "hugetlb"),
        ((6, 10), 0xFFFFEFFF, "slab"),
        ((6, 11), 0xBFFFFFFF, "buddy"),
        ((6, 11), 0xDFFFFFFF, "offline"),
        ((6, 12), 0xF1000000, "offline"),
        ((7, 3), 0xF8000000, "large_kmalloc"),
    ],
)
def test_types_are_read_in_the_encoding_of_the_version(version, word, name):
    assert encoding_for(version).types(word) == [name]


def test_every_version_has_one_encoding_at_most():
    for one, other in pairwise(TYPE_ENCODINGS):
        assert one.last < other.first


# ---- dumps -------------------------------------------------------------------------------------------

FREED_TWICE = """\
BUG: Bad page state in process app  pfn:009a0
page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x2a pfn:0x9a0
flags: 0x7ffffc0000000(node=0|zone=0|lastcpupid=0x1fffff)
page_type: f0(buddy)
raw: 0007ffffc0000000 fffffac1c0026a08 fffffac1c0025e08 0000000000000000
raw: 000000000000002a 0000000000000002 00000000f0000000 0000000000000000
page dumped because: nonzero mapcount
CPU: 1 UID: 1000 PID: 4242 Comm: app Not tainted 7.0.0-0.rc4.x86_64 #1 PREEMPT(full)
"""
DAMAGED_OFFLINE = """\
page:00000000a1b2c3d4 refcount:4 mapcount:0 mapping:00000000d4c3b2a1 index:0x16 pfn:0x156ed5
memcg:ffff8a1056ed0000
aops:btree_aops [btrfs] ino:1
flags: 0x17ffffc0002036(referenced|uptodate|lru|active|private|node=0|zone=2|lastcpupid=0x1fffff)
page_type: 0xfffffeff(offline)
raw: 0017ffffc0002036 ffffdbe8c55b7b48 ffffdbe8c55bb388 ffff8a105f0e8bf8
raw: 0000000000000016 0000000000000001 00000004fffffeff ffff8a1056ed0000
page dumped because: VM_BUG_ON_PAGE(1)
CPU: 1 PID: 7 Comm: app Tainted: G        W          6.4.11-1 #1
"""
BOOT_MEMORY = """\
page:0000000076a3e320 refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x13ff00
flags: 0x1fffffc0001000(reserved|node=0|zone=3|lastcpupid=0x1fffff)
page_type: 0xffffffff()
raw: 001fffffc0001000 ffffea0004ffc008 ffffea0004ffc008 0000000000000000
raw: 0000000000000000 0000000000000000 00000001ffffffff 0000000000000000
page dumped because: unmovable page
"""
BUDDY_OF_6_11 = """\
page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x6c360
flags: 0xfff00000000000(node=0|zone=1|lastcpupid=0x7ff)
page_type: 0xbfffffff(buddy)
raw: 00fff00000000000 ffffea0001b0d808 ffffea0001b0d808 0000000000000000
raw: 0000000000000000 0000000000000004 00000000bfffffff 0000000000000000
page dumped because: kasan: bad access detected
page_owner tracks the page as freed
"""
BEFORE_5_2 = """\
page:ffffea0001200000 count:1 mapcount:0 mapping:0000000000000000 index:0x0
flags: 0x3fffe000001000(reserved)
raw: 003fffe000001000 ffffea0001200008 ffffea0001200008 0000000000000000
raw: 0000000000000000 0000000000000000 00000001ffffffff 0000000000000000
page dumped because: unmovable page
"""
FREE_WITH_MAPCOUNT = """\
page:000000007c12e5a4 refcount:0 mapcount:-128 mapping:0000000000000000 index:0x0 pfn:0x16c8f8
flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
raw: 0017ffffc0000000 fffff0d785b24008 fffff0d785b23c08 0000000000000000
raw: 0000000000000000 0000000000000003 00000000ffffff7f 0000000000000000
page dumped because: VM_BUG_ON_PAGE(page_ref_count(page) == 0)
"""
SLAB_FREED = """\
BUG: Bad page state in process app  pfn:6134f5
page:ffffea00184d3d40 count:0 mapcount:0 mapping:0000000000000000 index:0x1
flags: 0x17fffc000000100(slab)
raw: 017fffc000000100 dead000000000100 dead000000000122 0000000000000000
raw: 0000000000000001 0000000000000000 00000000ffffffff 0000000000000000
page dumped because: PAGE_FLAGS_CHECK_AT_FREE flag(s) set
bad because of flags: 0x100(slab)
Modules linked in: a b c
CPU: 3 PID: 1 Comm: app Not tainted 4.18.0-25-generic #26
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996)
"""
LARGE_KMALLOC = """\
page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x140000
head: order:9 mapcount:0 entire_mapcount:0 nr_pages_mapped:0 pincount:0
flags: 0x200000000000040(head|node=0|zone=2)
page_type: f8(unknown)
raw: 0200000000000040 dead000000000100 dead000000000122 0000000000000000
raw: 0000000000000000 0000000000000000 00000001f8000000 0000000000000000
head: 0200000000000040 dead000000000100 dead000000000122 0000000000000000
head: 0000000000000000 0000000000000000 00000001f8000000 0000000000000000
head: 0200000000000009 ffffea0005000001 00000000ffffffff 0000000000000000
page dumped because: kasan: bad access detected
"""
UNINITIALISED = """\
page:fffffe0000000000 is uninitialized and poisoned
raw: ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff
raw: ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff
page dumped because: VM_BUG_ON_PAGE(PagePoisoned(p))
"""
BALLOON = """\
page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x140200
flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
page_type: f1(offline)
page dumped because: unmovable page
Hypervisor detected: Microsoft Hyper-V
"""


def test_a_page_freed_twice():
    found, told = page(FREED_TWICE), sentences(FREED_TWICE)
    reading = found.reading
    assert (reading.dump.pfn, reading.zone, reading.zone_name, reading.numbers["node"]) == (
        0x9A0,
        0,
        "DMA",
        0,
    )
    assert (reading.types, reading.refcount, reading.names) == (["buddy"], 0, [])
    assert reading.layouts
    assert "Memory block 0" in told
    assert "block of order 2 (type Buddy, refcount 0, private 2)" in told
    assert "was freed again" in told
    assert "'nonzero mapcount' is the wording for any page type" in told
    assert "No flag is set." in told
    assert reading.dump.context.release == "7.0.0-0.rc4.x86_64"


def test_type_offline_on_a_page_in_use_is_damage():
    told = sentences(DAMAGED_OFFLINE)
    assert "Type Offline is not plausible" in told
    assert "the page has lru" in told
    assert "4 references" in told
    assert "one bit (0x100) away from 'no type'" in told
    assert "not a balloon" in told


def test_type_offline_names_the_drivers_of_the_hypervisor():
    told = sentences(BALLOON)
    assert "hv_balloon" in told
    assert "virtio-mem" not in told
    assert "the driver agreed to offlining" in told
    unknown = sentences(BALLOON.replace("Hypervisor detected: Microsoft Hyper-V\n", ""))
    for driver in ("virtio-mem", "hv_balloon", "xen balloon", "vmw_balloon", "virtio-balloon"):
        assert driver in unknown


def test_boot_memory_in_zone_movable():
    found, told = page(BOOT_MEMORY), sentences(BOOT_MEMORY)
    assert found.reading.zone_name == "Movable"
    assert "boot memory that memblock kept" in told
    assert "Memory block 39 of 128 MiB" in told
    assert "cannot be migrated" in told


def test_page_types_of_6_11():
    found = page(BUDDY_OF_6_11)
    assert found.reading.types == ["buddy"]
    assert found.reading.versions == ((6, 11), (6, 11))
    assert not found.reading.problems
    offline = page(BUDDY_OF_6_11.replace("bfffffff", "dfffffff").replace("buddy", "offline"))
    assert offline.reading.types == ["offline"]
    assert not offline.reading.problems


def test_a_dump_of_5_0():
    found = page(BEFORE_5_2)
    assert found.reading.names == ["reserved"]
    assert found.reading.versions[1] <= (5, 1)
    assert "depends on the configuration" in sentences(BEFORE_5_2)


def test_a_printed_mapcount_of_minus_128_is_a_free_page():
    found, told = page(FREE_WITH_MAPCOUNT), sentences(FREE_WITH_MAPCOUNT)
    assert found.reading.types == ["buddy"]
    assert "-128 is -129 (0xffffff7f), type Buddy" in told
    assert not found.reading.problems
    alone = page("page:000000007c12e5a4 refcount:0 mapcount:-128 mapping:0 index:0x0 pfn:0x16c8f8")
    assert alone.reading.types == ["buddy"]


def test_a_slab_page_that_was_freed():
    told = sentences(SLAB_FREED)
    assert page(SLAB_FREED).reading.names == ["slab"]
    assert "0x100(slab)" in told
    assert "list poison" in told
    assert page(SLAB_FREED).reading.table.has((4, 18))


def test_a_type_that_the_kernel_calls_unknown():
    found = page(LARGE_KMALLOC)
    assert found.reading.types == ["large_kmalloc"]
    assert found.reading.dump.order == 9
    assert len(found.reading.dump.head_raw) == 12


def test_a_struct_page_that_was_never_initialised():
    told = sentences(UNINITIALISED)
    assert "never initialised" in told
    assert "Flags:" not in told
    assert "Which flags" not in told


def test_overwritten_memory_is_called_so():
    assert "the text '72696" in sentences(
        "flags: 0x6635333639363237(locked|referenced|uptodate|lru|active|slab)"
    )
    assert "Every byte is 0x78" in sentences(
        "page:f7f8f8f8 count:1 mapcount:0 mapping:f8f8f8f8 index:0x0\n"
        "raw: 78787878 78787878 78787878 78787878 78787878 78787878 78787878 78787878"
    )


def test_a_free_block_that_is_not_aligned_to_its_order():
    assert "not aligned to order 9" in sentences(
        FREED_TWICE.replace("0000000000000002 00000000f", "0000000000000009 00000000f")
    )


def test_counts_are_compared_with_the_raw_words():
    assert "printed refcount is 7" in sentences(BOOT_MEMORY.replace("refcount:1", "refcount:7"))
    assert "printed mapcount is 7" in sentences(BOOT_MEMORY.replace("mapcount:0", "mapcount:7"))
    assert "page_type line has f1(offline)" in sentences(FREED_TWICE.replace("f0(buddy)", "f1(offline)"))


def test_a_zone_that_does_not_agree_with_the_pfn():
    assert "is not in it" in sentences(BALLOON.replace("zone=2", "zone=1").replace("0x17ffffc", "0xfffffc"))


@pytest.mark.parametrize(
    ("text", "pfn", "names"),
    [
        (
            "PFN 5124 type Unmovable Block 10 type Unmovable Flags 0xfffffc0000000(node=0|zone=1)",
            5124,
            [],
        ),
        (
            " app-1 [0] 1.2: page_ref_mod: pfn=0x9f83a8 flags=uptodate|dirty|lru count=1027 mapcount=0",
            0x9F83A8,
            ["uptodate", "dirty", "lru"],
        ),
        ("Memory failure: 0x18b00e: recovery action for dirty LRU page: Recovered", 0x18B00E, None),
        ("migrating pfn c080000 failed ret:-12", 0xC080000, None),
        ("Injecting memory failure for pfn 0x12345 at process virtual address 0x1", 0x12345, None),
    ],
)
def test_other_lines_about_pages(text, pfn, names):
    reading = page(text).reading
    assert (reading.dump.pfn, reading.names) == (pfn, names)


@pytest.mark.parametrize(
    "line", ["  flags = 0x17ffffc000416c,", "  flags = {f = 0x17ffffc000416c}", "flags = 6755398367314284,"]
)
def test_struct_pages_of_crash_and_drgn(line):
    reading = page(line).reading
    assert reading.names is None
    assert reading.name_choices


def test_raw_words_alone_are_enough():
    words = BOOT_MEMORY.splitlines()[3][5:].split() + BOOT_MEMORY.splitlines()[4][5:].split()
    reading = page("RAW: " + " ".join(words)).reading
    assert reading.refcount == 1
    assert (reading.zone, reading.numbers_how) == (3, CONCLUDED)


def test_vmcoreinfo_settles_the_table():
    text = "NUMBER(PG_hwpoison)=22\nflags: 0x57ffffc0400000"
    assert page(text).reading.names == ["hwpoison"]
    assert page("flags: 0x57ffffc0400000").reading.names is None


def test_memory_hotplug_lines_without_a_page():
    told = explain(
        "Block size [0x8000000] unaligned hotplug range: start 0x100200000, size 0x40000000\n"
        "memory offlining [mem 0x138000000-0x13fffffff] failed due to failure to isolate range\n"
        "Offlined Pages 262144\n"
    ).text()
    assert "-EINVAL" in told
    assert "The start is not: 2 MiB beyond a multiple" in told
    assert "pfn 0x138000, 32768 pages" in told
    assert "1 GiB" in told


# ---- more public reports -------------------------------------------------------------------------------


def test_words_of_a_struct_page_before_4_18_are_in_another_order():
    """multipath-tcp/mptcp issue 259: include/linux/mm_types.h had the counts in the fourth word."""
    dump = (
        "BUG: Bad page state in process app  pfn:46c479\n"
        "page:ffffea000f7afa78 count:-2 mapcount:0 mapping:          (null) index:0x0\n"
        "flags: 0x2ffff8000000000()\n"
        "raw: 02ffff8000000000 0000000000000000 0000000000000000 fffffffeffffffff\n"
        "raw: dead000000000100 dead000000000200 0000000000000000\n"
        "page dumped because: nonzero _count\n"
    )
    found = page(dump)
    assert (found.reading.refcount, found.reading.problems) == (-2, [])
    assert "list poison" in sentences(dump)
    assert "one too many was dropped" in sentences(dump)


def test_a_tail_page_whose_mapping_is_wrong():
    """linux-kernel, April 2025: a bug in restoring the struct pages of a huge page."""
    dump = (
        "BUG: Bad page state in process app pfn:10ac40\n"
        "page does not match folio\n"
        "page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x10ac40\n"
        "flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)\n"
        "page dumped because: corrupted mapping in tail page\n"
    )
    assert "page does not match folio" in sentences(dump)
    assert "must have TAIL_MAPPING" in sentences(dump)


def test_a_pointer_of_eight_digits_is_a_32_bit_kernel():
    """raspberrypi/linux issue 1118: nothing about memory blocks, which such a kernel does not have."""
    dump = (
        "BUG: Bad page state in process app  pfn:14256\n"
        "page:db6d8418 count:0 mapcount:0 mapping:  (null) index:0x2\n"
        "flags: 0x0()\n"
        "page dumped because: page still charged to cgroup\n"
    )
    assert page(dump).reading.bits == 32
    assert "emory block" not in sentences(dump)


def test_a_bad_page_table_entry_without_a_page():
    """celery issue 4577, raspberrypi/linux issue 5138."""
    told = explain("BUG: Bad page map in process app  pte:fd20b000 pmd:16d7b08067\n").text()
    assert "page table entry (0xfd20b000) is damaged" in told
    assert "pages 0" in told


def test_names_of_old_red_hat_kernels():
    """debugah.com, 3.10.0."""
    assert page("page flags: 0x2fffff00020000(mappedtodisk)").reading.table.has((3, 10))


def test_a_boot_message_with_hidden_pointers():
    """tempesta-tech/tempesta issue 1626, 5.10.35."""
    dump = (
        "[    0.104258] page:(____ptrval____) refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 "
        "pfn:0x100200\n"
        "[    0.104295] head:(____ptrval____) order:9 compound_mapcount:0 compound_pincount:0\n"
        "[    0.104311] flags: 0x17ffffc0010000(head)\n"
        "[    0.104361] page dumped because: VM_BUG_ON_PAGE(page_ref_count(page))\n"
    )
    reading = page(dump).reading
    assert (reading.dump.order, reading.names, reading.dump.pfn) == (9, ["head"], 0x100200)
    assert reading.versions[1] < (5, 12)


def test_memory_failure_as_old_kernels_print_it():
    """nccgroup/TriforceLinuxSyscallFuzzer issue 2."""
    dump = (
        "Injecting memory failure for page 0x318 at 0x44f01d\n"
        "MCE 0x318: recovery action for dirty LRU page: Recovered\n"
    )
    assert page(dump).reading.dump.pfn == 0x318
    assert "recovery action for dirty LRU page" in sentences(dump)


# Ten more, searched for in issue trackers and mail archives.


def test_flags_that_a_freed_page_must_not_have_may_stand_in_a_line_of_their_own():
    # A mail on an ARM board with 3.19: bad_page() printed the label and the flags in two lines up to 4.4.
    found = explain(
        "BUG: Bad page state in process swapper  pfn:fffa8\n"
        "page:ef7fb500 count:0 mapcount:0 mapping:  (null) index:0x0\n"
        "flags: 0x96640253(locked|error|dirty|active|arch_1|reclaim|mlocked)\n"
        "page dumped because: PAGE_FLAGS_CHECK_AT_FREE flag(s) set\n"
        "bad because of flags:\n"
        "flags: 0x200041(locked|active|mlocked)\n"
        "CPU: 0 PID: 0 Comm: swapper Not tainted 3.19.0-rc3-00007-g412f9ba-dirty #816\n"
    )
    assert [each.reading.dump.bad_flags for each in found.pages] == ["0x200041(locked|active|mlocked)"]
    assert found.pages[0].reading.table.set_names(0x200041) == ["locked", "active", "mlocked"]


def test_a_wrapped_line_of_memory_failure():
    # A patch of April 2026 for vm.panic_on_unrecoverable_memory_failure, as quoted in a mail.
    found = explain(
        "> [88690.498619] Memory failure: 0x40272d: recovery action for\n> get hwpoison page: Ignored\n"
    )
    assert found.pages[0].reading.dump.said == [
        "Memory failure: 0x40272d: recovery action for get hwpoison page: Ignored"
    ]


def test_words_of_a_32_bit_struct_page_before_4_18():
    # raspberrypi/linux issue 2649, 4.14.61-v7+: the words agree with the printed count of -1.
    found = page(
        "BUG: Bad page state in process bash  pfn:34da6\n"
        "page:ba716b58 count:-1 mapcount:0 mapping:  (null) index:0x0\n"
        "flags: 0x0()\n"
        "raw: 00000000 00000000 00000000 ffffffff ffffffff 00000100 00000200 00000001\n"
        "raw: 00000000\n"
        "page dumped because: nonzero _refcount\n"
        "CPU: 2 PID: 1742 Comm: bash Tainted: G         C      4.14.61-v7+ #2\n"
    )
    assert found.reading.problems == []
    assert found.reading.refcount == -1
    assert found.reading.type_word == 0xFFFFFFFF
    assert found.reading.raw[1:3] == [0x100, 0x200]
    assert "one too many was dropped" in found.text()


def test_reports_of_two_processors_that_are_mixed_stay_apart_and_say_so():
    # tempesta-tech/tempesta issue 2472, 6.12.
    first, second = sorted(
        explain(
            "BUG: Bad page state in process swapper/18  pfn:208818e\n"
            "page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x208818e000 pfn:0x208818e\n"
            "BUG: Bad page state in process swapper/54  pfn:208a430\n"
            "flags: 0x57ffffc0000000(node=1|zone=2|lastcpupid=0x1fffff)\n"
            "raw: 0057ffffc0000000 dead000000000040 ffff9c30e2f97800 0000000000000000\n"
            "page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x208a430000 pfn:0x208a430\n"
        ).pages,
        key=lambda each: each.reading.dump.line,
    )
    assert (first.reading.dump.pfn, second.reading.dump.pfn) == (0x208818E, 0x208A430)
    assert first.reading.flags == 0x57FFFFC0000000
    assert second.reading.flags is None
    for each in (first, second):
        assert "as two processors printed at once" in each.text()


def test_pages_at_different_addresses_are_not_equal():
    # openzfs/zfs issue 4015, 3.10.
    line = "page:ffffea00074c5{}00 count:0 mapcount:-2 mapping:          (null) index:0x0\n"
    assert len(explain(line.format(1) + line.format(2) + line.format(1)).pages) == 2


def test_an_eject_that_failed():
    # intel/nemu issue 71.
    told = explain("[   46.715805] memory memory32: Offline failed.\n").text()
    assert "ACPI was asked to eject the memory device of block 32" in told


RHEL_7 = """\
page:ffffea00007c51b8 count:-1 mapcount:0 mapping:          (null) index:0x0
flags: 0x800000000000000()
page dumped because: nonzero _count
"""  # tempesta-tech/tempesta issue 339
OF_5_10 = """\
page:00000000d143b6b8 refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x11b6e9
flags: 0x17ffffc0000000()
raw: 0017ffffc0000000 dead000000000100 dead000000000122 0000000000000000
raw: 0000000000000000 0000000000000000 ffffffffffffffff 0000000000000000
page dumped because: nonzero _refcount
"""  # tempesta-tech/tempesta issue 2343
OF_4_9_ON_ARM = """\
page:ba409148 count:941024227 mapcount:0 mapping:e4ca2c03 index:0x1
flags: 0x179a0c47(locked|error|referenced|active|reserved|private|reclaim|unevictable|mlocked)
page dumped because: page still charged to cgroup
CPU: 3 PID: 521 Comm: tvh:mtimer Tainted: G    B           4.9.45-v7+ #1031
"""  # raspberrypi/firmware issue 865, the second page


@pytest.mark.parametrize(
    ("lines", "names", "says"),
    [
        (RHEL_7, "", "one too many was dropped"),
        (OF_5_10, "", "lru holds list poison"),
        (
            OF_4_9_ON_ARM,
            "locked error referenced active reserved private reclaim unevictable mlocked",
            "a memory cgroup was still charged",
        ),
    ],
)
def test_reports_that_were_right_at_once(lines, names, says):
    found = page(lines)
    assert found.reading.names == names.split()
    assert found.reading.problems == []
    assert says in found.text()


# ---- texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "around",
    [
        "> > {}",
        "[  123.456789] {}",
        "[  123.456789][ T1234] {}",
        "[T1234] {}",
        "<6>[ 1.0] {}",
        "Mar 19 10:20:30 host kernel: {}",
        "2026-03-19T10:20:30.123456+00:00 host kernel: [    1.0] {}",
        "kern  :alert : [    1.0] {}",
        "{}=20",
        "{}<br>",
        '<p class="log">{}</p>',
        "| [ 1.0] {} |",
        "\x1b[32m[    5.123456] \x1b[0m\x1b[31m{}\x1b[0m",  # dmesg --color=always
    ],
)
def test_what_log_daemons_and_mail_programs_put_around_lines_is_taken_off(around):
    text = "\n".join(around.format(line) for line in FREED_TWICE.splitlines())
    assert page(text).reading.types == ["buddy"]
    assert [fact.text for fact in page(text).facts] == [fact.text for fact in page(FREED_TWICE).facts]


def test_encodings_of_mail_are_undone():
    quoted = FREED_TWICE.replace("=", "=3D").replace("lastcpupid", "last=\ncpupid")
    assert page(quoted).reading.numbers["lastcpupid"] == 0x1FFFFF
    assert clean("page_type: f0(buddy) &lt;&amp;&gt;") == "page_type: f0(buddy) <&>"
    assert page(FREED_TWICE.replace("\n", "#012")).reading.types == ["buddy"]


def test_lines_of_a_journal_in_json():
    lines = [json.dumps({"MESSAGE": line, "PRIORITY": "4"}) for line in FREED_TWICE.splitlines()]
    reading = page("\n".join(lines)).reading
    assert (reading.dump.pfn, reading.types, reading.zone) == (0x9A0, ["buddy"], 0)


def test_a_known_layout_is_taken_on_its_own_architecture_only():
    word = "flags: 0x17ffffc0000000"
    assert page(word).reading.zone == 2
    assert page(f"{word}\nKrnl PSW : 0704c00180000000").reading.zone is None


@pytest.mark.parametrize(
    ("line", "wrapped"),
    [
        ("flags: 0x7ff", "flags:\n0x7ff"),
        ("|zone=0|", "|\nzone=0|"),
        (" mapping:0000000000000000 index", "\nmapping:0000000000000000 index"),
        ("raw: 0007ffffc0000000 fffffac1c0026a08 ", "raw: 0007ffffc0000000 fffffac1c0026a08\n> "),
        ("page_type: f0", "page_type:\nf0"),
    ],
)
def test_wrapped_lines_are_joined(line, wrapped):
    assert line in FREED_TWICE
    told = [fact.text for fact in page(FREED_TWICE.replace(line, wrapped)).facts]
    assert told == [fact.text for fact in page(FREED_TWICE).facts]


def test_several_pages_each_with_its_own_kernel():
    found = explain(f"noise\n{SLAB_FREED}more noise\n{FREED_TWICE}{DAMAGED_OFFLINE}")
    assert [p.reading.dump.context.version for p in found.pages] == [(4, 18), (7, 0), (6, 4)]
    assert found.summary.endswith("pages 3")


def test_equal_pages_are_counted():
    found = explain(FREED_TWICE * 3)
    assert [p.reading.dump.count for p in found.pages] == [3]
    assert "3 times" in found.text()


def test_a_version_line_at_the_top_is_for_all_pages_without_their_own():
    found = explain(f"Linux version 6.8.0-31-generic (x86_64)\n{BOOT_MEMORY}")
    assert found.pages[0].reading.version == (6, 8)


def test_every_sentence_says_how_it_is_known():
    for dump in (
        FREED_TWICE,
        DAMAGED_OFFLINE,
        BOOT_MEMORY,
        BUDDY_OF_6_11,
        BEFORE_5_2,
        SLAB_FREED,
        LARGE_KMALLOC,
    ):
        found = page(dump)
        assert {fact.how for fact in found.facts} <= {PRINTED, WORD, CONCLUDED}
        for fact in found.facts:
            assert f"{fact.text} [{fact.how}]" in found.text()


# ---- readers -----------------------------------------------------------------------------------------


def verdict(dump, reader):
    """Return (before, after) of one reader."""
    return next((r.before, r.after) for r in page(dump).readers if r.name == reader)


def test_readers_judge_the_page_of_the_dump():
    assert verdict(FREED_TWICE, "makedumpfile") == ("exclude: free", "exclude: free")
    assert verdict(BALLOON, "kpageflags") == ("OFFLINE", "OFFLINE")
    assert verdict(BALLOON, "kcore") == ("zeros", "zeros")
    assert verdict(BOOT_MEMORY, "kpageflags") == ("RESERVED", "RESERVED")
    assert verdict(BOOT_MEMORY, "isolate_offline")[0] == "unmovable"


def test_a_release_stands_in_and_is_named():
    assert page(BOOT_MEMORY).release == "6.1"
    assert page(BALLOON).release != "6.1"
    assert f"Linux {page(BALLOON).release} as memsim models it stands in" in page(BALLOON).text()


def test_a_page_whose_flags_are_not_known_is_not_judged():
    found = page("Memory failure: 0x18b00e: recovery action for dirty LRU page: Recovered")
    assert not found.readers
    assert "its flags are not known" in found.text()


# ---- bad input, time, the command ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "\n\n", "no page here", "flags: 0x8100077(read|write|exec)", b"\xff\xfe\x00" * 99]
)
def test_a_text_without_a_page_is_an_error(text):
    with pytest.raises(MemsimError, match="no page of a kernel log"):
        explain(text)


def noise(size, seed=1):
    """Return bytes that look a little like a log."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    pieces = b"page:|flags:|raw: 00|0x|(|\n|=\n|> |pfn:|refcount:-1 mapcount:x|page_type: zz(|head: order:9"
    words = [*pieces.split(b"|"), b"page dumped because: ", chance.randbytes(40)]
    return b"".join(chance.choices(words, k=size // 8))


@pytest.mark.long
def test_arbitrary_text_neither_crashes_nor_takes_long():
    for seed in range(5):
        try:
            explain(noise(200_000, seed)).text()
        except MemsimError as problem:
            assert "\n" not in str(problem)  # noqa: PT017 (either is right)


SPOILT = {
    "flags of many digits": "flags: 0x" + "9" * 40 + "(reserved)\n",
    "flags of 20 digits": "page: refcount:1 mapcount:0\nflags: 12345678901234567890(reserved)\n",
    "words and flags of thousands of digits": "flags: 0x" + "9" * 5000 + "\nraw: " + "9" * 5000 + "\n",
    "a pfn of thousands of digits": "page: refcount:1 mapcount:0 pfn:0x" + "f" * 5000 + "\n",
    "a zone below zero": "page: refcount:1 mapcount:0\nflags: 0x1(locked|node=0|zone=-1)\n",
    "a section without end": f"flags: 0x1(locked|section=0x{'f' * 80}|zone=1)\n",
    "an order without end": "page: refcount:1 mapcount:0\nhead: order:" + "9" * 19 + " mapcount:0\n",
    "an order of thousands of digits": "page: refcount:1 mapcount:0\nhead: order:" + "9" * 5000 + "\n",
    "words cut off": "page: count:0 mapcount:0\nflags: 0x1()\nraw: 00000001 00000002 00000003 00000004"
    " 00000005 00000006 00000007\n",
    "words without end": "raw: 0000000000000000 0000000000000001\n" + "9" * 3000 + "x\n",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_damaged_numbers_end_nothing(kind):
    for text in (SPOILT[kind], FREED_TWICE + SPOILT[kind], SPOILT[kind] + FREED_TWICE):
        try:
            found = explain(text)
        except MemsimError:
            continue
        json.dumps(found.to_dict(), allow_nan=False)
        assert len(found.text()) < 50_000


def test_a_log_says_nothing_to_the_terminal():
    """Mails and logs come from anybody: terminals obey escape sequences and marks of direction."""
    text = (
        FREED_TWICE.replace("nonzero", "\x1b]0;title\x07non\u202ezero") + "page dumped because: \x9b2J\x00\n"
    )
    told = explain(text).text()
    assert all(char.isprintable() or char == "\n" for char in told)


def damaged(text, seed):
    """Return a log with numbers in it replaced, lines exchanged, and some of it cut off or doubled."""
    chance = random.Random(seed)  # noqa: S311 (the same on every run)
    numbers = ("0", "-1", "9" * 25, "f" * 30, "0x", "", "18446744073709551615", "\u0663\u0664", "9" * 5000)
    parts = re.split(r"([0-9a-fx]+|\n)", text)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(parts))
        parts[at] = chance.choice((*numbers, "\n", chance.choice(parts), "\x00\x1b[2J"))
    return "".join(parts)[: chance.randrange(len(text) * 2)]


@pytest.mark.long
def test_damaged_logs_neither_crash_nor_take_long():
    for seed in range(400):
        with contextlib.suppress(MemsimError):
            explain(damaged(FREED_TWICE * 2, seed)).text()


def test_memory_is_bounded_by_the_number_of_pages_kept():
    lines = "".join(
        f"PFN {pfn} type Movable Block 1 type Movable Flags 0x1(locked)\n" for pfn in range(MOST_PAGES + 50)
    )
    found = explain(io.BytesIO(lines.encode()))
    assert (len(found.pages), found.left_off) == (MOST_PAGES, 50)
    assert "50 more pages" in found.summary


def test_a_long_log_is_skimmed():
    filler = "[ 1.0] usb 1-1: new high-speed USB device number 2 using xhci_hcd and so on and so on\n"
    text = filler * (2_000_000 // len(filler)) + FREED_TWICE
    started = time.process_time()
    assert len(explain(text).pages) == 1
    assert (
        time.process_time() - started < 30
    )  # it takes a fraction of a second; a regular expression gone wild does not


def test_the_command_and_its_exit_statuses(capsys, tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_text(FREED_TWICE, encoding="utf-8")
    assert main(["explain", str(log)]) == 0
    assert "lines read 8, understood 8, pages 1" in capsys.readouterr().out
    assert main(["explain", "--json", str(log)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == "memsim-explanation/1"
    assert document["pages"][0]["zone_name"] == "DMA"
    assert {s["how"] for s in document["pages"][0]["sentences"]} <= {PRINTED, WORD, CONCLUDED}
    log.write_text("nothing", encoding="utf-8")
    assert main(["explain", str(log)]) == 2
    assert capsys.readouterr().err == f"memsim: {log}: no page of a kernel log in 1 lines\n"
    log.write_text("Offlined Pages 262144\n", encoding="utf-8")
    assert main(["explain", str(log)]) == 2  # a line about hotplug is explained, but there is no page
    told = capsys.readouterr()
    assert "1 GiB" in told.out
    assert told.err == "memsim: no page in it, only other lines about memory\n"
    assert main(["explain", str(tmp_path / "missing")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FREED_TWICE.encode())))
    assert main(["explain", "-"]) == 0


def test_it_is_part_of_the_face_of_memsim():
    assert memsim.explain is explain
    assert inspect.isfunction(explain)  # and no module of this name
    assert memsim.explain(FREED_TWICE).pages[0].reading.types == ["buddy"]
    assert "type Buddy" in repr(memsim.explain(FREED_TWICE))


UNDERFLOW = """BUG: Bad page state in process swapper/0  pfn:1045a00
page: refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x1045a00
flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
raw: 0017ffffc0000000 dead000000000100 dead000000000122 0000000000000000
raw: 0000000000000000 0000000000000000 ffffffffffffffff 0000000000000000
page dumped because: nonzero _refcount
CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.12.9 #1
"""


def test_a_refcount_below_zero_is_an_underflow():
    assert "with a reference count below 0: one too many was dropped." in sentences(UNDERFLOW)
    above = UNDERFLOW.replace("refcount:-1", "refcount:1").replace("ffffffffffffffff", "00000001ffffffff")
    assert "while a reference was held, or one too many was dropped." in sentences(above)


def test_a_dump_of_another_page_than_the_line_above_names_is_told():
    assert "The line with BUG" not in sentences(UNDERFLOW)
    mixed = UNDERFLOW.replace("pfn:0x1045a00", "pfn:0x1045a01")
    assert "The line with BUG names pfn 0x1045a00, the dump is of pfn 0x1045a01" in sentences(mixed)


@pytest.mark.parametrize(
    ("taint", "told"),
    [
        ("Not tainted 6.12.9", False),
        ("Tainted: G    B   W          6.1.0", True),
        ("Tainted: G B 6.12.9", True),
        ("Tainted: G        W  OE     5.15.0", False),
        ("Tainted: PB 5.4.0", False),  # no such form: flags stand apart
    ],
)
def test_taint_flag_b_tells_of_an_earlier_bad_page(taint, told):
    """add_taint() is the last thing that bad_page() does, so its own report does not show the flag."""
    text = UNDERFLOW.replace("Not tainted 6.12.9", taint)
    assert ("this kernel has reported a bad page before" in sentences(text)) == told


def test_flags_that_a_freed_page_must_not_have_are_named():
    text = UNDERFLOW.replace("nonzero _refcount", "PAGE_FLAGS_CHECK_AT_FREE flag(s) set").replace(
        "0x17ffffc0000000(node", "0x17ffffc0001008(uptodate|reserved|node"
    )
    assert "A page that is freed must not have PG_reserved." in sentences(text)


def test_the_table_of_readers_says_whether_any_differs():
    said = "No reader differs: what the patch changes is which pages look like this one."
    page = explain(UNDERFLOW).pages[0]
    assert all(reader.before == reader.after for reader in page.readers if reader.meets)
    assert said in page.text()
    first = next(reader for reader in page.readers if reader.meets)
    assert said not in dataclasses.replace(page, readers=[first._replace(after="other")]).text()
