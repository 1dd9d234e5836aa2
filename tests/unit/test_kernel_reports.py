"""Every kind of public report that was collected, and the test that asks for its right value.

Words, dumps, traces and machines of Linux 2.6 to 7.0, reduced. TABLE names the tests of each kind; those
that fit nowhere else are here.
"""

from __future__ import annotations

import importlib

import pytest

from memsim.cli import main
from memsim.machine.machine import Machine
from memsim.real.word.reading import read_word

WORD = "test_explain.test_a_word_and_its_names_give_what_the_kernel_printed"
ALONE = "test_explain.test_a_word_alone_never_gets_a_wrong_name_without_a_warning"
ZONE = "test_view_decode.test_no_zone_above_4_is_told_as_a_fact"
HERE = "test_kernel_reports."
TABLE = {
    "32 words and the names beside them": [WORD, ALONE],
    "zone and node of a 6.12 for x86-64 that is not Debian's": [WORD, ZONE],
    "zone and node of 6.10": [WORD, ALONE],
    "zone and node without lastcpupid": [WORD, ALONE],
    "zone and node on arm64": [WORD, ALONE],
    "flags of 6.6 on arm64": [WORD, "test_view_decode.test_what_a_kernel_printed_decides_names_and_layout"],
    "slab of 6.9": [WORD, HERE + "test_names_of_other_versions_stand_beside_those_of_6_12"],
    "ZONE_DMA taken for kpageflags": [HERE + "test_a_word_of_zone_dma_is_a_flags_word"],
    "a word of 32 bits": [WORD, "test_view_decode.test_a_word_of_a_32_bit_kernel_is_not_told_as_kpageflags"],
    "page type as 6.12 prints it": [HERE + "test_a_page_type_in_every_printed_form"],
    "page types of 6.11": [
        "test_explain.test_page_types_of_6_11",
        HERE + "test_a_page_type_in_every_printed_form",
    ],
    "slab type of 6.10": [HERE + "test_a_page_type_in_every_printed_form"],
    "printed mapcount": [
        "test_explain.test_a_printed_mapcount_of_minus_128_is_a_free_page",
        HERE + "test_a_page_type_in_every_printed_form",
    ],
    "raw word with refcount": [HERE + "test_a_raw_word_holds_refcount_and_type"],
    "names as the kernel prints them": [
        "test_view_decode.test_names_may_have_bars_between_them",
        HERE + "test_a_word_with_names_gives_zone_and_node",
    ],
    "a whole dump": [
        "test_explain.test_a_page_freed_twice",
        "test_explain.test_readers_judge_the_page_of_the_dump",
    ],
    "lastcpupid": [HERE + "test_lastcpupid_is_a_part_of_its_own"],
    "flags of 6.14 and later": [
        "test_view_decode.test_names_that_depend_on_the_version_are_told_with_the_others"
    ],
    "replay with stack traces": [HERE + "test_traces_as_people_have_them"],
    "replay of trace-cmd report": [HERE + "test_traces_as_people_have_them"],
    "replay of old event names": [HERE + "test_traces_as_people_have_them"],
    "hot-add that is not aligned": ["test_explain.test_memory_hotplug_lines_without_a_page"],
    "15 GiB added to 256 MiB": ["test_boot_memory.test_15_gib_do_not_fit_into_a_guest_of_256_mib"],
    "movablecore": ["test_boot_memory.test_boot_memory_in_zone_movable_keeps_a_block_online"],
    "zones of a PC with 16 GiB": [
        "test_real_machine.test_a_pc_from_its_e820_map_has_the_zones_that_its_kernel_counted"
    ],
    "watermarks of a 7.0 guest": [HERE + "test_watermarks_of_a_xen_guest"],
    "words of kpageflags": ["test_view_decode.test_words_of_kpageflags_are_as_page_types_prints_them"],
    "flags of arm64 before 6.6": [
        WORD,
        "test_view_decode.test_names_that_depend_on_the_version_are_told_with_the_others",
    ],
}


@pytest.mark.parametrize("case", TABLE)
def test_every_kind_has_its_tests(case):
    for name in TABLE[case]:
        module, _, function = name.partition(".")
        assert callable(getattr(importlib.import_module(f"tests.unit.{module}"), function, None)), name


# ---- words -----------------------------------------------------------------------------------------


def test_a_word_of_zone_dma_is_a_flags_word():
    # Linux 7.0-rc4: flags: 0x7ffffc0000000(node=0|zone=0|lastcpupid=0x1fffff), pfn 0x9a0.
    word = read_word("0x7ffffc0000000")
    assert word.kind == "flags"
    assert "No flag, zone 0 (DMA), node 0." in word.text()


def test_names_of_other_versions_stand_beside_those_of_6_12():
    text = read_word("0xfff00000000800").text()
    assert "depends on the version; taken for 6.12" in text
    assert "slab (6.6 to 6.9)" in text


def test_a_word_with_names_gives_zone_and_node():
    # openzfs/zfs issue 16594: 6.10.11, x86-64.
    text = read_word("0x6ffff8000002000(reserved|node=1|zone=2|lastcpupid=0x1ffff)").text()
    assert "Set: PG_reserved, zone 2 (Normal), node 1." in text
    assert "names of Linux 6.10 to 6.11" in text


@pytest.mark.parametrize(
    ("what", "release", "name"),
    [
        ("f1(offline)", "6.12", "Offline"),
        ("f1", "6.12", "Offline"),
        ("0xf1", "6.12", "Offline"),
        ("page_type: f0(buddy)", "6.12", "Buddy"),
        ("f5(slab)", "6.12", "Slab"),
        ("0xbfffffff", "6.11", "Buddy"),
        ("0xdfffffff", "6.11", "Offline"),
        ("0xffffefff", "6.10", "Slab"),
        ("-128", "6.1", "Buddy"),  # dump_page() of kernels up to 6.9 printed the stored number plus one
    ],
)
def test_a_page_type_in_every_printed_form(what, release, name):
    word = read_word(what)
    assert (word.kind, word.release) == ("page_type", release)
    assert word.sentence().startswith(f"Type {name}.")


@pytest.mark.parametrize("digits", ["00000003fffffeff", "0x00000003fffffeff"])
def test_a_raw_word_holds_refcount_and_type(digits):
    # bugzilla.kernel.org 217823: printed beside page_type: 0xfffffeff(offline).
    assert read_word(digits).sentence() == "Refcount 3. Type Offline."


def test_lastcpupid_is_a_part_of_its_own():
    # tempesta-tech/tempesta issue 2507: node=0|zone=2|lastcpupid=0x1fffff.
    word = read_word("0x17ffffc0000000")
    (part,) = [part for part in word.parts if part.name == "lastcpupid"]
    assert (part.bits, word.number(part)) == ("bits 50-30", 0x1FFFFF)
    assert "rest" not in word.sentence()


# ---- traces ----------------------------------------------------------------------------------------

STACKS = """\
# tracer: nop
#
             app-4242 [004] ...1 77212.233931: mm_page_free: page=0000000061b2fc33 pfn=1844202 order=0
             app-4242 [004] ...1 77212.233934: <stack trace>
 => trace_event_raw_event_mm_page_free
 => free_pcp_prepare
 => free_unref_page_list
             app-4242 [004] ...1 77212.233940: mm_page_alloc: page=0000000061b2fc33 pfn=1844202 order=0 \
migratetype=0 gfp_flags=GFP_KERNEL
"""
REPORT = """\
CPU 1 is empty
cpus=8
  app-4242  [004] .....  2319.000857: mm_page_alloc: page=0xffffea00001347a7 pfn=0x1347a7 order=0 \
migratetype=1 gfp_flags=0x152c4a
  app-4242  [004] .....  2319.000901: mm_page_free: page=0xffffea00001347a7 pfn=0x1347a7 order=0
"""
OLD_NAMES = """\
  app-4242  [000]  4415.246506: mm_page_alloc: page=ffffea0003db9f40 pfn=1155800 order=0 migratetype=0 \
gfp_flags=GFP_KERNEL
  app-4242  [000]  4415.255557: mm_page_free_direct: page=ffffea0003db9f40 pfn=1155800 order=0
"""


@pytest.mark.parametrize(
    ("trace", "left"), [(STACKS, 1), (REPORT, 0), (OLD_NAMES, 0)], ids=["stacks", "report", "old names"]
)
def test_traces_as_people_have_them(trace, left, tmp_path, capsys):
    file = tmp_path / "trace"
    file.write_text(trace, encoding="utf-8")
    assert main(["replay", "-q", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("2 events in ")
    assert "neither an event nor a comment" not in said.out + said.err
    assert (f" {left}  pages still allocated\n" in said.out) == bool(left)


# ---- machines --------------------------------------------------------------------------------------


def test_watermarks_of_a_xen_guest():
    # Mem-Info of Linux 7.0-rc4: DMA min:132kB low:164kB high:196kB; DMA32: low-min and high-low 428kB.
    end = 4096 + 68587
    machine = Machine([(1, 158), (256, 3840 + 68587)], reserved=[(1, 158), (end - 18567, 18567)])
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    assert [4 * pages for pages in dma.watermark[:3]] == [132, 164, 196]
    low, middle, high = dma32.watermark[:3]
    assert [4 * (middle - low), 4 * (high - middle)] == [428, 428]
