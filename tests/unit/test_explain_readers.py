"""``memsim explain``: what readers of struct pages do with a printed page, held against mm/ of Linux 6.12.

The rules are those of ``page_expected_state()``, ``free_pages_prepare()``, ``pfn_to_online_page()`` and of
the page tables; words are laid out as ``struct page`` is on x86-64.
"""

from __future__ import annotations

import pytest

from memsim import explain
from memsim.real.reading import CONCLUDED, PRINTED

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
    assert reader(FLAGS_ONLY, "kpageflags").after == "RESERVED"


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
    concluded = " ".join(fact.text for fact in page(POISONED).facts if fact.how == CONCLUDED)
    assert "went offline again" in concluded
    words = "raw: " + " ".join(["f" * 16] * 4)
    assert "All its words are ones." in sentences(
        POISONED.replace("poisoned\n", f"poisoned\n{words}\n{words}\n")
    )
