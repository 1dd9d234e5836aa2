"""``memsim explain``: what readers of struct pages do with a printed page, held against mm/ of Linux 6.12.

The rules are those of ``page_expected_state()``, ``free_pages_prepare()``, ``pfn_to_online_page()`` and of
the page tables; words are laid out as ``struct page`` is on x86-64.
"""

from __future__ import annotations

import pytest

from memsim import Machine, explain
from memsim.linux.include.page_flags import PAGE_FLAGS_CHECK_AT_FREE, PageFlag
from memsim.real.readers import ASKED
from memsim.real.reading import CONCLUDED, PRINTED, WORD
from memsim.release import RELEASES
from memsim.walkers import verdicts

FREEABLE = """\
page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x140010
flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
raw: 0017ffffc0000000 dead000000000100 dead000000000122 0000000000000000
raw: 0000000000000000 0000000000000000 00000001ffffffff 0000000000000000
page dumped because: unmovable page
CPU: 3 UID: 0 PID: 99 Comm: bash Not tainted 6.12.44 #7
"""
DEVICE = FREEABLE.replace("17ffffc0000000", "27ffffc0002000").replace(
    "(node=0|zone=2", "(reserved|node=0|zone=4"
)


def page(text):
    """Return the one page of a text."""
    (found,) = explain(text).pages
    return found


def sentences(text):
    """Return what is said of the one page of a text."""
    return " ".join(fact.text for fact in page(text).facts)


def reader(text, name):
    """Return a reader and what it does."""
    return next(each for each in page(text).readers if each.name == name)


def with_flag(bit, name, text=FREEABLE):
    """Return the page with a flag set, as Linux 6.12 prints it."""
    word = f"{0x17FFFFC0000000 | 1 << bit:016x}"
    return text.replace("0017ffffc0000000", word).replace("0x17ffffc0000000(", f"0x{int(word, 16):x}({name}|")


# ---- the count ---------------------------------------------------------------------------------------

FLAGS_ONLY = """\
flags: 0x17ffffc0002000(reserved|node=0|zone=2|lastcpupid=0x1fffff)
page dumped because: nonzero _refcount
"""


def test_nothing_that_needs_the_refcount_is_said_without_one():
    assert "one reference" not in sentences(FLAGS_ONLY)
    unknown = FLAGS_ONLY.replace("2000(reserved|", "100000(hwpoison|") + "Not tainted 6.12.0 #1"
    unpoison = reader(unknown, "unpoison")
    assert (unpoison.before, unpoison.after) == ("not known", "not known")
    assert "refcount" in unpoison.why
    assert reader(FLAGS_ONLY, "isolate_offline").after == "unmovable"
    assert "No reader differs" not in page(FLAGS_ONLY).text()  # offline_isolated does, if it is Offline
    assert reader(FLAGS_ONLY, "mempolicy").why == "PG_reserved is set"
    assert "None" not in sentences(FLAGS_ONLY.replace("page dumped", "page_type: f0(buddy)\npage dumped"))


def test_a_type_that_was_not_printed_is_not_taken_for_none():
    line = "flags: 0x17ffffc0000010(dirty|node=0|zone=2|lastcpupid=0x1fffff)\nNot tainted 6.12.0 #1"
    kcore = reader(line, "kcore")
    assert kcore.after == "not known"  # zeros, if it is of type Offline
    assert "type" in kcore.why
    assert reader(FREEABLE, "kcore").after == "read"
    cut_off = FREEABLE.replace("unmovable page", "nonzero mapcount").replace("raw: ", "cut: ")
    assert reader(cut_off, "kcore").after == "not known"


def test_flags_whose_list_was_cut_off_are_read_from_the_bits():
    cut = with_flag(13, "reserved").replace("(reserved|node=0|zone=2|lastcpupid=0x1fffff)", "(reser")
    assert reader(cut, "isolate_offline").why == "PG_reserved is set"


@pytest.mark.parametrize("release", RELEASES)
def test_readers_ask_for_no_other_flag(release):
    machine = Machine(release=release)
    (pfn,) = machine.allocate(1)
    plain = verdicts(machine.kernel, pfn)
    for flag in set(PageFlag) - set(ASKED):
        machine.kernel.memmap.set_flags(pfn, 1, flag)
        found = verdicts(machine.kernel, pfn)
        machine.kernel.memmap.clear_flags(pfn, 1, flag)
        differ = {name for name in found if found[name] != plain[name]}
        assert differ <= ({"bad_page"} if flag & PAGE_FLAGS_CHECK_AT_FREE else set())


# ---- freeing -----------------------------------------------------------------------------------------


def test_a_page_that_passes_every_test_is_freed():
    assert reader(FREEABLE, "bad_page").after == "free"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FREEABLE.replace("1ffffffff", "1f5000000"), "page type"),
        (FREEABLE.replace("1ffffffff", "1f8000000"), "page type"),
        (FREEABLE.replace("1ffffffff", "1f6000010"), "page type"),
        (FREEABLE.replace("1ffffffff", "1fffffffe").replace("mapcount:0", "mapcount:-1"), "_mapcount is -2"),
        (FREEABLE.replace("1ffffffff", "100000002").replace("mapcount:0", "mapcount:3"), "mapped 3 times"),
        (with_flag(5, "lru"), "PG_lru"),
        (with_flag(14, "private"), "PG_private"),
        (FREEABLE.replace("ffffffff 0000000000000000", "ffffffff ffff888109876000"), "memcg_data"),
        (FREEABLE.replace("22 0000000000000000", "22 ffff888112345670"), "mapping"),
        (FREEABLE.replace("dead000000000100", "dead000000000040"), "page_pool"),
    ],
)
def test_a_page_that_fails_a_test_would_be_bad(text, says):
    found = reader(text, "bad_page")
    assert (found.before, found.after) == ("bad page", "bad page")
    assert says in found.why


@pytest.mark.parametrize(
    "text",
    [
        with_flag(19, "mlocked"),  # cleared by free_pages_prepare() itself
        FREEABLE.replace("22 0000000000000000", "22 ffff888112345671"),  # anonymous: set to NULL there
        FREEABLE.replace("ffffffff 0000000000000000", "ffffffff ffff888109876002"),  # kmem: uncharged there
    ],
)
def test_what_freeing_tidies_up_first_is_not_bad(text):
    assert reader(text, "bad_page").after == "free"


def test_types_are_reset_before_the_checks_since_6_17():
    assert (
        reader(FREEABLE.replace("1ffffffff", "1f8000000").replace("6.12.44", "7.0.0-rc3"), "bad_page").after
        == "free"
    )


def test_a_hwpoisoned_page_never_comes_to_the_buddy():
    assert reader(with_flag(20, "hwpoison"), "bad_page").after == "keep"


def test_words_that_were_not_printed_are_not_taken_for_zeros():
    text = "\n".join(line for line in FREEABLE.splitlines() if not line.startswith("raw:"))
    found = reader(text, "bad_page")
    assert found.after == "not known"
    assert "cgroup" in found.why


# ---- device memory -----------------------------------------------------------------------------------


def test_device_memory_has_no_memory_block_and_is_not_online():
    assert reader(DEVICE, "pfn_to_online_page").after == "NULL"
    assert reader(DEVICE, "kcore").after == "zeros"
    assert "Memory block" not in sentences(DEVICE)
    assert "no memory block" in sentences(DEVICE)
    assert "pgmap" in [row.field for row in page(DEVICE).rows]
    assert "second word (lru.next)" not in [row.field for row in page(DEVICE).rows]


# ---- page tables -------------------------------------------------------------------------------------

OFFLINE = FREEABLE.replace("1ffffffff", "1f1000000")
SLAB = FREEABLE.replace("1ffffffff", "1f5000000")


@pytest.mark.parametrize("name", ["numa_maps", "mempolicy", "kvm_dirty", "kvm_refcounted", "kvm_mmio"])
def test_no_page_table_maps_pages_of_a_type(name):
    assert not reader(OFFLINE, name).meets
    assert not reader(SLAB, name).meets
    assert reader(FREEABLE, name).meets


# ---- poison ------------------------------------------------------------------------------------------

POISONED = """\
page:00000000f0f0f0f0 is uninitialized and poisoned
page dumped because: VM_BUG_ON_PAGE(PagePoisoned(page))
CPU: 3 UID: 0 PID: 1234 Comm: lsmem Not tainted 6.12.0 #7
"""


def test_only_what_page_poisoned_tests_is_said_to_be_printed():
    printed = " ".join(fact.text for fact in page(POISONED).facts if fact.how == PRINTED)
    assert "uninitialized and poisoned" in printed
    assert "All its words" not in sentences(POISONED)
    assert "onlined" not in printed
    assert "ones" not in printed
    concluded = " ".join(fact.text for fact in page(POISONED).facts if fact.how == CONCLUDED)
    assert "went offline again" in concluded
    words = "raw: " + " ".join(["f" * 16] * 4)
    assert "All its words are ones." in sentences(
        POISONED.replace("poisoned\n", f"poisoned\n{words}\n{words}\n")
    )


# ---- the release that stands in ----------------------------------------------------------------------


def test_the_version_chooses_the_release_that_stands_in():
    of_6_11 = FREEABLE.replace("6.12.44", "6.11.5")
    assert page(of_6_11).release == "6.11"
    assert page(of_6_11.replace("1ffffffff", "1dfffffff")).release == "6.11"
    assert page(of_6_11.replace("6.11.5", "6.1.90").replace("1ffffffff", "1fffffeff")).release == "6.1"
    words = (
        "0017ffffc0000000 dead000000000100 dead000000000122",
        "0000000000000000 " * 2 + "00000001fffffeff",
    )
    unknown = "".join(f"raw: {three} 0000000000000000\n" for three in words)
    assert page(unknown).release == "6.1"


# ---- types without a name, movable_ops ---------------------------------------------------------------

ZSPAGE = """\
page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x1 pfn:0x140010
flags: 0x17ffffc0000800(owner_2|node=0|zone=2|lastcpupid=0x1fffff)
page_type: f6((null))
raw: 0017ffffc0000800 ffffea0005000408 ffffea0005000408 ffffffffc0a41002
raw: ffffea0005000440 ffff888101020304 00000001f6000010 0000000000000000
page dumped because: isolation failed
CPU: 3 UID: 0 PID: 99 Comm: bash Not tainted 6.12.44 #7
"""


def test_a_type_that_the_kernel_has_no_name_for():
    told = sentences(ZSPAGE)
    assert "Type Zsmalloc" in told
    assert "page_type_names[]" in told
    assert "is not what" not in told
    assert "(null" not in "".join(row.value for row in page(ZSPAGE).rows)


def test_a_page_with_movable_ops_is_movable():
    assert "movable_ops" in sentences(ZSPAGE)
    assert [reader(ZSPAGE, name).after for name in ("isolate_offline", "isolate_contig", "scan_movable")] == [
        "movable",
        "movable",
        "migrate",
    ]
    assert reader(ZSPAGE.replace("c0a41002", "c0a41000"), "isolate_offline").after == "unmovable"
    later = ZSPAGE.replace("6.12.44", "6.18.1").replace("f6((null))", "f6(zsmalloc)")
    assert reader(later, "isolate_offline").after == "unmovable"  # since 6.17 a flag says it
    flagged = later.replace("0800(", "0808(uptodate|").replace("00800 ff", "00808 ff")
    assert reader(flagged, "isolate_offline").after == "movable"


# ---- every reason ------------------------------------------------------------------------------------

MANY = """\
BUG: Bad page state in process firefox  pfn:140100
page: refcount:0 mapcount:3 mapping:ffff8881398a2c31 index:0x7f2b3c600 pfn:0x140100
anon flags: 0x17ffffc002002d(locked|referenced|uptodate|lru|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
raw: 0017ffffc002002d ffffea0005010008 ffff88813fffb6b8 ffff8881398a2c31
raw: 00000007f2b3c600 0000000000000000 0000000000000002 ffff888109876000
page dumped because: page still charged to cgroup
CPU: 3 UID: 0 PID: 99 Comm: firefox Tainted: G    B 6.12.0 #7
"""


def test_every_test_that_a_bad_page_fails_is_named():
    told = sentences(MANY)
    assert "this page fails 4" in told
    for words in (
        "mapped 3 times",
        "mapping is 0xffff8881398a2c31",
        "PG_locked, PG_lru are set",
        "memcg_data is",
    ):
        assert words in told
    assert "map it 3 times" in told
    assert "Page tables map" not in sentences(FREEABLE.replace("refcount:1", "refcount:-1"))
    assert "The reason that was printed is not" not in told
    other = MANY.replace("page still charged to cgroup", "nonzero mapcount")
    assert "The reason that was printed is not 'page still charged to cgroup'" in sentences(other)
    assert "this page fails" not in sentences(MANY.replace("Bad page state", "Bad page map"))


# ---- tail pages --------------------------------------------------------------------------------------

TAIL = """\
page: refcount:515 mapcount:1 mapping:ffff888112345670 index:0x205 pfn:0x140005
head: order:9 mapcount:512 entire_mapcount:1 nr_pages_mapped:512 pincount:3
flags: 0x1fffffc002007c(referenced|uptodate|dirty|lru|head|swapbacked|node=0|zone=3|lastcpupid=0x1fffff)
raw: 001fffffc0000000 ffffea0005000001 dead000000000122 dead000000000400
raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000
page dumped because: migration failure
"""


def test_the_words_of_a_tail_page_are_its_own():
    rows = {row.field: row for row in page(TAIL).rows}
    assert rows["_refcount"].value == "0"
    assert rows["_refcount"].how == WORD
    assert rows["compound_head"].word == "ffffea0005000001"
    assert "Refcount 515 (the head's)" in sentences(TAIL)
    assert "Flags (the head's): referenced" in sentences(TAIL)


# ---- architectures -----------------------------------------------------------------------------------


def test_an_oops_of_arm64_shows_the_architecture():
    lines = FREEABLE.replace("zone=2", "zone=0").replace("17ffffc0000000", "7ffffc0000000")
    arm = lines + "Internal error: Oops - BUG: 0 [#1] PREEMPT SMP\n"
    assert page(arm).reading.architecture == "arm64"
    assert "is not in it" not in sentences(arm)
    assert "the architecture is another one" in sentences(lines)


def test_a_kernel_with_pages_of_64_kib_is_not_judged_with_4_kib():
    large = FREEABLE.replace("6.12.44", "5.14.0-70.el9.aarch64+64k")
    assert " 4 KiB" not in sentences(large)
    assert "With pages of 64 KiB: memory block 160 of 512 MiB" in sentences(large)


# ---- tables ------------------------------------------------------------------------------------------


def test_bits_that_disagree_with_the_table_are_named():
    wrong = FREEABLE.replace("17ffffc0000000", "17ffffc002000c").replace("6.12.44", "6.11.5")
    told = sentences(wrong.replace("(node", "(uptodate|dirty|swapbacked|node"))
    assert "bit 17 is reclaim, which was not printed" in told
    assert "swapbacked, which was printed, is bit 18, which is not set" in told
