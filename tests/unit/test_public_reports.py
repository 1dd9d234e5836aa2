"""Public reports of kernels and machines that the other tests of ``memsim explain`` do not have.

Each is shortened to the lines that matter; the comment says where it was found. The expected values follow
from the kernel's own definitions: ``include/linux/page-flags.h``, ``mm/debug.c``, ``mm/page_alloc.c``,
``mm/slab.h``.
"""

from __future__ import annotations

import pytest

from memsim import explain
from memsim.real.layout import zone_name
from memsim.real.tables import BEFORE_TYPES


def page(text):
    """Return the only page of a text."""
    (found,) = explain(text).pages
    return found


def rows(found):
    """Return field -> (word, value) of a page's table."""
    return {row.field.partition(" (")[0]: (row.word, row.value) for row in found.rows}


# ---- which architecture ------------------------------------------------------------------------------

SYZBOT_6_8 = """\
BUG: Bad page state in process app  pfn:11bf4c
page:0000000092899e71 refcount:0 mapcount:0 mapping:0000000000000000 index:0x4 pfn:0x11bf4c
flags: 0x5ffc0000000800c(referenced|uptodate|private|node=0|zone=2|lastcpupid=0x7ff)
page_type: 0xffffffff()
raw: 05ffc0000000800c fffffdffc33fc608 ffff8000978274e0 0000000000000000
raw: 0000000000000004 ffff0000ce6f69b0 00000000ffffffff 0000000000000000
page dumped because: PAGE_FLAGS_CHECK_AT_FREE flag(s) set
CPU: 1 PID: 6166 Comm: app Not tainted 6.8.0-rc7-syzkaller-g707081b61156 #0
Call trace:
 dump_backtrace+0x1b8/0x1e4 arch/arm64/kernel/stacktrace.c:291
"""  # google/syzkaller pull request 5421
PSERIES = """\
page:c00c000001cc4a80 refcount:1 mapcount:0 mapping:0000000018c4a547 index:0xc00000079b110080
flags: 0x7ffff000000000()
raw: 007ffff000000000 5deadbeef0000100 5deadbeef0000122 0000000000000000
raw: c00000079b110080 0000000000000000 00000001ffffffff 0000000000000000
page dumped because: unmovable page
"""  # linux-mm, November 2019, on offlining memory of a pseries machine
CRASH_KERNEL = """\
page:000003d081c00000 refcount:1 mapcount:0 mapping:00000000d01cecd4 index:0x0
flags: 0x1ffff00000001000(reserved)
raw: 1ffff00000001000 000003d081c00008 000003d081c00008 0000000000000000
raw: 0000000000000000 0000000000000000 ffffffff00000001 0000000000000000
page dumped because: unmovable page
"""  # linux-s390, 2019: offlining a memory block in the crash kernel's area


def test_a_call_trace_in_lower_case_is_of_arm64():
    found = page(SYZBOT_6_8)
    assert found.reading.architecture == "arm64"
    assert "Zone 2 is Normal in the usual arm64 configuration." in found.text()


def test_pointers_and_list_poison_of_ppc64():
    # arch/powerpc/Kconfig: ILLEGAL_POINTER_VALUE is 0x5deadbeef0000000.
    found = page(PSERIES)
    assert found.reading.architecture == "ppc64"
    assert "lru holds list poison" in found.text()
    assert "in the usual" not in found.text()


def test_a_big_endian_kernel_is_told_by_its_counts():
    found = page(CRASH_KERNEL)
    assert found.reading.architecture == "s390"
    assert found.reading.problems == []
    assert (found.reading.type_word, found.reading.refcount) == (0xFFFFFFFF, 1)
    assert "arm64" not in found.text()


@pytest.mark.parametrize(
    ("number", "architecture", "version", "name"),
    [
        (1, "arm64", (4, 14), "Normal"),  # ZONE_DMA32 came to arm64 in 5.5
        (1, "arm64", (5, 5), "DMA32"),
        (0, "riscv64", (6, 6), "DMA32"),
        (1, "riscv64", (6, 6), "Normal"),
        (1, "arm", (5, 15), None),
    ],
)
def test_zones_have_the_numbers_of_their_architecture(number, architecture, version, name):
    assert zone_name(number, architecture, version) == name


def test_where_the_architecture_is_not_known_a_zone_name_says_so():
    text = page("flags: 0x17fffc00000000(node=0|zone=2|lastcpupid=0x1ffff)").text()
    assert "the architecture is not known" in text


def test_a_zone_that_does_not_agree_with_the_pfn_has_no_name_in_the_table():
    # linux-fsdevel, 2026: 7.0-rc1 on x86-64, whose zone 2 begins below 4 GiB.
    found = page(
        "page: refcount:3 mapcount:0 mapping:00000000e58ff252 index:0x10781 pfn:0x1c322\n"
        "flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)\n"
    )
    assert rows(found)["zone"][1] == "2"
    assert found.reading.zone_name is None
    assert "would be Normal" in found.text()


def test_blocks_and_sections_are_of_4_kib_pages_where_pages_may_be_larger():
    assert "With pages of 4 KiB: memory block 35 of 128 MiB; section 35" in page(SYZBOT_6_8).text()
    older = SYZBOT_6_8.replace("6.8.0-rc7-syzkaller-g707081b61156", "5.10.0")
    # f0b13ee23241, 5.12: sections of arm64 are of 128 MiB, no longer of 1 GiB.
    assert "With pages of 4 KiB: memory block 4 of 1 GiB; section 4" in page(older).text()


# ---- 32-bit kernels ----------------------------------------------------------------------------------

MIPS_5_15 = """\
>> kernel: BUG: Bad page map in process app  pte:00303a85 pmd:85b6f000
>> kernel: page:79d2e80b refcount:1 mapcount:-1 mapping:687c3a7b index:0x28 pfn:0x303
>> kernel: flags: 0x36(referenced|uptodate|lru|active|zone=0)
>> kernel: raw: 00000036 80014f4c 80014f94 8083ec78 00000028 00000000 fffffffe 00000001
>> kernel: raw: 80450800
>> kernel: page dumped because: bad pte
>> kernel: CPU: 2 PID: 3166 Comm: app Not tainted 5.15.0 #1
"""  # linux-mips, 2021


def test_a_32_bit_kernel_has_its_own_words_and_no_zone_of_x86_64():
    found = page(MIPS_5_15)
    assert "_mapcount is -2: the page was unmapped once more often" in found.text()
    assert rows(found)["_refcount"] == ("00000001", "1")
    assert rows(found)["memcg_data"] == ("80450800", "0x80450800")
    assert rows(found)["zone"][1] == "0"
    assert "in the usual" not in found.text()


def test_list_poison_of_a_32_bit_kernel():
    # miku/metha issue 14, 4.19.63-mvebu: POISON_POINTER_DELTA is 0.
    found = page(
        "BUG: Bad page state in process app  pfn:000f0\n"
        "page:eedfa1c0 count:0 mapcount:0 mapping:00000000 index:0x1\n"
        "flags: 0x400(arch_1)\n"
        "raw: 00000400 00000100 00000200 00000000 00000001 00000000 ffffffff 00000000\n"
        "raw: 00000000\n"
        "page dumped because: PAGE_FLAGS_CHECK_AT_PREP flag set\n"
        "CPU: 1 PID: 31563 Comm: app Not tainted 4.19.63-mvebu #5.91\n"
    )
    assert "lru holds list poison" in found.text()


# ---- words that other users of a page hold -----------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "names"),
    [
        # mm/slab.h: slab_cache moved to the front in 6.2 ("mm/sl[au]b: rearrange struct slab fields").
        ("5.15.0", ["slab_list.next", "slab_list.prev", "slab_cache", "freelist", "counters"]),
        ("6.12.1", ["slab_cache", "slab_list.next", "slab_list.prev", "freelist", "counters"]),
    ],
)
def test_words_of_a_slab_are_not_called_mapping_and_index(version, names):
    slab, kind = ("slab|head", "") if version < "6" else ("head", "page_type: f5(slab)\n")
    word = {"5.15.0": "2ffff00000010200", "6.12.1": "2ffff00000000040"}[version]
    counts = "0000000000000001" if version < "6" else "00000000f5000000"
    found = page(
        f"flags: 0x{word}({slab}|node=0|zone=2|lastcpupid=0xffff)\n{kind}"
        f"raw: {word} fffffc0004108008 fffffc0004110008 ffff000100000c00\n"
        f"raw: 0000000000000000 ffff000104300000 {counts} 0000000000000000\n"
        f"CPU: 0 PID: 0 Comm: swapper/0 Not tainted {version} #468\n"
    )  # dentproject/dentOS issue 155, and the same words of a newer kernel
    fields = [row.field for row in found.rows]
    at = fields.index(names[0])
    assert fields[at : at + 5] == names


def test_words_of_a_page_pool_are_not_called_lru_and_index():
    # tempesta-tech/tempesta issue 2507, 6.12: pp_magic, pp, _pp_mapping_pad, dma_addr, pp_ref_count.
    found = page(
        "BUG: Bad page state in process app  pfn:145c6b\n"
        "page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x145c6b000 pfn:0x145c6b\n"
        "flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)\n"
        "raw: 0017ffffc0000000 dead000000000040 ffff9c802eb59000 0000000000000000\n"
        "raw: 0000000145c6b000 0000000000000001 00000000ffffffff 0000000000000000\n"
        "page dumped because: page_pool leak\n"
    )
    assert rows(found)["dma_addr"] == ("0000000145c6b000", "0x145c6b000")
    assert "index" not in rows(found)
    assert "while a page_pool still counted it" in found.text()


def test_a_flags_word_that_is_text_is_called_so():
    # libre-computer-project/libretech-linux issue 10, 5.19: the printed list is cut after "mlock".
    found = page(
        "BUG: Bad page state in process app  pfn:03300\n"
        "page:0000000073868973 refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x3300\n"
        "flags: 0x6635333639363237(locked|referenced|uptodate|lru|active|slab|reserved|private|mappedtodisk|"
        "reclaim|unevictable|mlock)\n"
        "raw: 6635333639363237 dead000000000100 dead000000000122 663544e8663544e8\n"
        "raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000\n"
        "page dumped because: PAGE_FLAGS_CHECK_AT_PREP flag(s) set\n"
    )
    assert "The flags word is the text '7269635f'" in found.text()
    assert found.readers == ()
    assert {"PG_mlocked"} == {field for field in rows(found) if field.startswith("PG_mlock")}


# ---- types and counts --------------------------------------------------------------------------------


FREE_IN_4_4 = """\
BUG: Bad page state in process app  pfn:01f93
page:8205b0ac count:0 mapcount:-127 mapping:  (null) index:0x1
flags: 0x40000000()
page dumped because: nonzero mapcount
CPU: 0 PID: 1 Comm: app Not tainted 4.4.88-module #5
"""  # linux-mips
FREE_IN_4_13 = """\
BUG: Bad page state in process app  pfn:03147
page:ffff88001ed8a1c0 count:0 mapcount:-127 mapping:\x20
     (null) index:0x1
flags: 0x0()
raw: 0000000000000000 0000000000000000 0000000000000001\x20
00000000ffffff80
raw: ffff88001f4a8120 ffff88001ed85ce0 0000000000000000\x20
0000000000000000
page dumped because: nonzero mapcount
CPU: 0 PID: 1 Comm: app Not tainted\x20
4.13.0-rc3-00220-g1aad694 #1
"""  # linux-mm, August 2017: wrapped, the release too


@pytest.mark.parametrize(("dump", "order"), [(FREE_IN_4_4, None), (FREE_IN_4_13, 0)])
def test_a_free_page_before_there_were_page_types(dump, order):
    # include/linux/mm.h: PAGE_BUDDY_MAPCOUNT_VALUE was -128 until 4.17.
    found = page(dump)
    assert found.reading.types == ["buddy"]
    assert found.reading.problems == []
    assert "was freed again" in found.text()
    if order is not None:
        assert f"free block of order {order}" in found.text()


def test_types_before_4_18_are_whole_numbers():
    assert [
        BEFORE_TYPES.types(word) for word in (0xFFFFFF80, 0xFFFFFF00, 0xFFFFFE00, 0xFFFFFFFF, 0xFFFFFFFE)
    ] == [
        ["buddy"],
        ["offline"],  # PAGE_BALLOON_MAPCOUNT_VALUE, which became PG_offline
        ["kmemcg"],
        [],
        [],
    ]


def test_a_type_that_depends_on_the_version_is_not_told_as_one():
    # A patch of 2020 for ioremap(), 5.9: 0x400 was Table before 5.11 and is Guard since.
    text = (
        "BUG: Bad page state in process app  pfn:15943d\n"
        "page:000000007262ed7b refcount:0 mapcount:-1024 mapping:0000000000000000 index:0x0 pfn:0x15943d\n"
        "flags: 0xaffff800000000()\n"
        "raw: 00affff800000000 dead000000000100 0000000000000000 0000000000000000\n"
        "raw: 0000000000000000 ffff913a029bcc08 00000000fffffbff 0000000000000000\n"
        "page dumped because: nonzero mapcount\n"
    )
    found = page(text)
    assert "Type Table (4.18 to 5.10) or Guard (5.11 to 6.8)" in found.text()
    assert found.readers == ()
    assert page(text + "CPU: 1 PID: 1 Comm: app Not tainted 5.9.0 #1\n").reading.types == ["table"]


def test_words_are_taken_in_the_order_that_agrees_with_the_printed_counts():
    # crdroidandroid/issue_tracker issue 475: Android 4.14 with flags of later kernels; "/" in the release.
    dump = (
        "<1>[42432.879157] BUG: Bad page map in process app  pte:6000012bee2fcf pmd:11d690003\n"
        "<0>[42432.879164] page:ffffffbf2eafb880 count:5 mapcount:-124 mapping:ffffffcb9a469b48 index:0x0\n"
        "<0>[42432.879169] flags: 0x4000000000020036(referenced|uptodate|lru|active|mappedtodisk)\n"
        "<1>[42432.879172] raw: 4000000000020036 ffffffcb9a469b48 0000000000000000 00000005ffffff83\n"
        "<1>[42432.879175] raw: ffffffbf2e1663a0 ffffffbf2ea2e420 0000000000000000 0000000000000000\n"
        "<1>[42432.879180] page dumped because: bad pte\n"
    )
    found = page(dump)
    assert rows(found)["mapping"][0] == "ffffffcb9a469b48"
    assert "124 times more often" in found.text()
    assert not any("raw words have" in fact.text for fact in found.reading.problems)
    released = page(
        dump
        + "<4>[42432.879108] CPU: 1 PID: 19371 Comm: app Tainted: G S  B   W    4.14.256-Quick-v2.5/fb6 #1\n"
        + "<4>[42432.879113] Call trace:\n"
    )
    assert released.reading.version == (4, 14)
    assert "Zone 1 is Normal in the usual arm64 configuration" in released.text()


def test_a_mapcount_that_is_one_is_told_as_a_count():
    # linux-mm, 2026: 7.0-rc3 on arm64.
    found = page(
        "BUG: Bad page state in process app  pfn:415735fb\n"
        "page: refcount:0 mapcount:1 mapping:0000000000000000 index:0x4cf316 pfn:0x415735fb\n"
        "flags: 0x57fffe000000800(owner_2|node=1|zone=2|lastcpupid=0x3ffff)\n"
        "raw: 057fffe000000800 0000000000000000 dead000000000122 0000000000000000\n"
        "raw: 00000000004cf316 0000000000000000 0000000000000000 0000000000000000\n"
        "page dumped because: nonzero mapcount\n"
    )
    assert rows(found)["page_type or _mapcount"][1] == "mapped once"
    assert "while a page table still mapped it" in found.text()


def test_the_mapcount_of_a_tail_page_before_4_5_counts_references():
    # openzfs/zfs issue 3075, 3.13: get_page() counted references to tail pages in their _mapcount.
    text = page(
        "BUG: Bad page state in process app  pfn:2d3c14\n"
        "page:ffffea000b4f0500 count:0 mapcount:-1 mapping:          (null) index:0x0\n"
        "page flags: 0x2fffff00008000(tail)\n"
        "page dumped because: nonzero mapcount\n"
    ).text()
    assert "unmapped" not in text
    assert "counts the references to a tail page" in text


# ---- why it was printed ------------------------------------------------------------------------------

CHARGED = """\
BUG: Bad page state in process app  pfn:14256
page:db6d8418 count:0 mapcount:0 mapping:  (null) index:0x2
flags: 0x0()
page dumped because: page still charged to cgroup
page->mem_cgroup:00010000
CPU: 0 PID: 6114 Comm: app Not tainted 4.1.6+ #810
"""  # raspberrypi/linux issue 1118
ALLOCATED = "[<c00ec4f0>] (bad_page) from [<c00efc64>] (get_page_from_freelist+0x714/0x9a8)\n"
FREED = " bad_page+0x69/0xf0\n free_pcp_prepare+0x260/0x2f0\n"


@pytest.mark.parametrize(
    ("stack", "says"),
    [
        (
            ALLOCATED,
            "The page was allocated while a memory cgroup was still charged for it: its struct page",
        ),
        (FREED, "The page was freed while a memory cgroup was still charged"),
        ("", "The page was freed or allocated while a memory cgroup was still charged"),
    ],
)
def test_the_stack_shows_whether_a_bad_page_was_freed_or_allocated(stack, says):
    # page_bad_reason() serves free_page_is_bad() and check_new_page().
    assert says in page(CHARGED + stack).text()


def test_migration_fails_for_other_callers_than_offlining():
    # A patch of 2022 for ntfs3: alloc_contig_dump_pages() prints the same reason as do_migrate_range().
    text = page(
        "page:ffffffff00b68880 refcount:3 mapcount:0 mapping:ffffff80046aa828\n"
        "        index:0xc0040 pfn:0x20fa4\n"
        "    aops:def_blk_aops ino:0\n"
        "    flags: 0x2020(active|private)\n"
        "    page dumped because: migration failure\n"
        "    page last allocated via order 0, migratetype Movable,\n"
        "        gfp_mask 0x108c48\n"
        "        (GFP_NOFS|__GFP_NOFAIL|__GFP_HARDWALL|__GFP_MOVABLE),\n"
        "    page_owner tracks the page as allocated\n"
    ).text()
    assert "Offlining or alloc_contig_range() (CMA, virtio-mem) tried to move the page" in text
    assert "migratetype Movable, gfp_mask 0x108c48 (GFP_NOFS" in text


# ---- forms -------------------------------------------------------------------------------------------


def test_what_a_web_page_put_into_one_line_is_taken_apart():
    # deepin-community/kernel pull request 896.
    found = explain(
        "Injecting memory failure for pfn 0x18b00e at process virtual address 0x20ffd000 Memory failure: "
        "0x18b00e: recovery action for dirty swapcache page: Failed page: refcount:2 mapcount:0 "
        "mapping:0000000000000000 index:0x20ffd pfn:0x18b00e memcg:ffff0000dd6d9000\n"
        "anon flags: 0x5ffffe00482011(locked|dirty|arch_1|swapbacked|hwpoison|node=0|zone=2|"
        "lastcpupid=0xfffff) raw: 005ffffe00482011 dead000000000100 dead000000000122 ffff0000e232a7c9 raw: "
        "0000000000020ffd 0000000000000000 00000002ffffffff ffff0000dd6d9000 page dumped because: "
        "VM_BUG_ON_FOLIO(!folio_test_uptodate(folio)) ------------[ cut here ]------------\n"
        "CPU: 0 PID: 60 Comm: kswapd0 Not tainted 6.6.0-gcb097e7de84e #3 Hardware name: linux,dummy-virt\n"
        "pstate: 80400005 (Nzcv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--) pc : add_to_swap+0xbc/0x158\n"
    ).pages[-1]
    reading = found.reading
    assert reading.numbers == {"node": 0, "zone": 2, "lastcpupid": 0xFFFFF}
    assert reading.names == ["locked", "dirty", "arch_1", "swapbacked", "hwpoison"]
    assert len(reading.raw) == 8
    assert reading.dump.reason == "VM_BUG_ON_FOLIO(!folio_test_uptodate(folio))"
    assert reading.dump.said == ["memcg:ffff0000dd6d9000"]


def test_time_stamps_as_differences():
    # linux-mm, November 2018: dmesg --show-delta; kernels of the time did not print ret.
    found = page(
        ">>>>>> [  +0.083841] migrating pfn 10fff7d0 failed \n"
        ">>>>>> [  +0.000005] page:ffffea043ffdf400 count:208 mapcount:201 mapping:ffff888dff4bdda8 "
        "index:0x2\n"
        ">>>>>> [  +0.004556] flags: 0x5fffffc0000004(uptodate)\n"
        ">>>>>> [  +0.007726] page->mem_cgroup:ffff888e7353d000\n"
    )
    assert found.reading.dump.pfn == 0x10FFF7D0
    assert found.reading.dump.refcount == 208


def test_a_reason_and_a_taint_that_were_wrapped():
    # linux-mm, March 2025, 6.14-rc4.
    found = page(
        "> [  134.511594] flags:\n"
        "> 0x17ffffc0000040(head|node=0|zone=2|lastcpupid=0x1fffff)\n"
        "> [  134.513556] page_type: f5(slab)\n"
        "> [  134.513585] page dumped because: VM_BUG_ON_FOLIO(((unsigned int)\n"
        "> folio_ref_count(folio) + 127u <= 127u))\n"
        "> [  134.529843] CPU: 0 UID: 0 PID: 274 Comm: kworker/0:1H Kdump: loaded\n"
        "> Tainted: G            E      6.14.0-rc4-default+ #309\n"
    )
    assert (
        found.reading.dump.reason == "VM_BUG_ON_FOLIO(((unsigned int) folio_ref_count(folio) + 127u <= 127u))"
    )
    assert found.reading.version == (6, 14)


def test_lines_of_page_owner_that_were_wrapped():
    # linux-f2fs-devel, September 2025: an empty line after each; two more words in each struct page.
    found = page(
        "[2025-09-23 12:54:07.522] [ 2223.636124][T18170] page: refcount:1 mapcount:0\n"
        "mapping:0000000000000000 index:0xc02b7 pfn:0x6e6d5\n\n"
        "[2025-09-23 12:54:07.577] [ 2223.656779][T18170] flags: 0x0(zone=0)\n\n"
        "[2025-09-23 12:54:07.577] [ 2223.665281][T18170] page_type: f2(table)\n\n"
        "[2025-09-23 12:54:07.633] [ 2223.734520][T18170] page_owner tracks the page as\n"
        "allocated\n\n"
        "[2025-09-23 12:54:07.633] [ 2223.740836][T18170] page last allocated via order\n"
        "0, migratetype Unmovable, gfp_mask\n"
        "0x540dc0(GFP_USER|__GFP_COMP|__GFP_ZERO|__GFP_ACCOUNT), pid 23744, tgid 23744\n"
        "(sync), ts 2223627020157, free_ts 2223626903324\n"
    )
    assert "page_owner tracks the page as allocated" in found.reading.dump.said
    assert found.reading.dump.said[-1].endswith("free_ts 2223626903324")


def test_a_line_that_a_journal_has_twice_is_one_page():
    # microsoft/omi issue 650, RHEL 7.
    found = page(
        "Nov  3 15:20:05 host kernel: BUG: Bad page state in process app  pfn:2663ff\n"
        "Nov  3 15:20:05 host kernel: BUG: Bad page state in process app  pfn:2663ff\n"
        "Nov  3 15:20:05 host kernel: page:fffffdeec998ffc0 count:0 mapcount:1 mapping:          (null) "
        "index:0x7fbd75fff\n"
        "Nov  3 15:20:05 host kernel: page flags: 0x2fffff0008001c(referenced|uptodate|dirty|swapbacked)\n"
    )
    assert found.reading.dump.pfn == 0x2663FF


def test_a_poisoned_page_without_words_is_a_page():
    # A patch of 2022 for split_huge_pages_all(), 6.0-rc3.
    (found,) = explain(
        "page:000000007d7ab72e is uninitialized and poisoned\n"
        "page dumped because: VM_BUG_ON_PAGE(PagePoisoned(p))\n"
    ).pages
    assert "was never initialised" in found.text()
    assert found.reading.dump.reason == "VM_BUG_ON_PAGE(PagePoisoned(p))"


OF_CRASH = """\
crash> struct page ffffea0004e00000
struct page {
  flags = 6755399441055744,
  {
    _mapcount = {
      counter = -241
    },
    page_type = 4294967055,
  },
  _refcount = {
    counter = 1
  },
}
"""
OF_DRGN = """\
*(struct page *)0xffffea0004e00000 = {
	.flags = (unsigned long)0x17ffffc0000000,
	._mapcount = (atomic_t){
		.counter = (int)-251658240,
	},
	.page_type = (unsigned int)0xf1000000,
	._refcount = (atomic_t){
		.counter = (int)1,
	},
}
"""


def test_a_struct_page_of_drgn_has_its_type_and_its_refcount():
    found = page(OF_DRGN)
    assert (found.reading.types, found.reading.refcount) == (["offline"], 1)
    assert "Type Offline: 0xf1000000 in the encoding of 6.12 and later" in found.text()
    makedumpfile = next(reader for reader in found.readers if reader.name == "makedumpfile")
    assert makedumpfile.after == "exclude: offline"


@pytest.mark.parametrize(("word", "types"), [(0xFFFFFEFF, ["offline"]), (0xFFFFFFFF, []), (0, [])])
def test_a_struct_page_of_crash_has_its_type_and_its_refcount(word, types):
    text = OF_CRASH.replace("4294967055", str(word)).replace("-241", str(word - (1 << 32) if word else 0))
    found = page(text)
    assert (found.reading.types, found.reading.refcount) == (types, 1)


# ---- other lines about memory ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (  # sophgo/linux-riscv issue 114
            "BUG: Bad rss-counter state mm:000000004c27b24f type:MM_ANONPAGES val:2",
            "The process ended, and 2 of its anonymous pages were still counted",
        ),
        (
            "BUG: Bad rss-counter state mm:ffff880005d3b800 idx:1 val:-1",
            "The process ended, and its anonymous pages were counted 1 too low",
        ),
        ("BUG: non-zero pgtables_bytes on freeing mm: 8192", "8192 bytes of page tables were still counted"),
        (  # linux-mm, September 2017
            "memory offlining [mem 0x18b580000000-0x18b5ffffffff] failed",
            "kernels up to 4.20 do not say why",
        ),
        (  # home-assistant/operating-system issue 1241
            "[  50.067095] hv_balloon: Memory hot add failed",
            "Hyper-V offered memory, and the guest could not add it",
        ),
        (
            "[ 9.1] virtio_mem virtio0: adding memory failed: -17",
            "add_memory_driver_managed() returned -17 (-EEXIST)",
        ),
    ],
)
def test_other_lines_about_memory(line, says):
    assert says in explain(line + "\n").text()


def test_soft_offlining_names_the_page():
    # A patch of 2019 for soft_offline_in_use_page().
    found = explain("Soft offlining pfn 0x34d805 at process virtual address 0x20fff000\n").pages[0]
    assert found.reading.dump.pfn == 0x34D805
