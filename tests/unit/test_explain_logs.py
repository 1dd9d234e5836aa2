"""``memsim explain``: whole logs, where lines are of several processors, about no page, or in another form.

The forms of the lines are those that the kernel's source has (6.12, and others where they are named).
"""

from __future__ import annotations

import gzip
import json

import pytest

from memsim import explain
from memsim.cli import main
from memsim.errors import MemsimError
from memsim.real.packed import MOST_UNPACKED


def by_pfn(text):
    """Return the pages of a text by their pfn."""
    return {page.reading.dump.pfn: page for page in explain(text).pages}


# ---- lines about no page -------------------------------------------------------------------------------


def test_an_unmovable_page_found_while_migrating_is_an_offline_page_that_is_held():
    """mm/memory_hotplug.c: only scan_movable_pages() gives this reason, and nothing is dumped for it."""
    told = explain("memory offlining [mem 0x100000000-0x107ffffff] failed due to unmovable page\n").text()
    assert "type Offline" in told
    assert "MEM_GOING_OFFLINE" in told
    assert "No page is dumped" in told


def test_a_range_that_was_not_isolated_points_to_the_dump():
    """mm/page_isolation.c: set_migratetype_isolate() dumps the page."""
    line = "memory offlining [mem 0x100000000-0x107ffffff] failed due to failure to isolate range\n"
    assert "'page dumped because: unmovable page'" in explain(line).text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("WARNING: CPU: 3 PID: 8 at mm/page_alloc.c:1251 __free_pages_core+0x1a3/0x1b0", "PG_reserved"),
        (
            (
                "WARNING: CPU: 0 PID: 12 at drivers/virtio/virtio_mem.c:1158 "
                "virtio_mem_set_fake_offline+0x9c/0xb0 [virtio_mem]"
            ),
            "not of type Offline",
        ),
        ("RIP: 0010:__offline_isolated_pages+0x1ea/0x200", "neither free in the buddy"),
        ("virtio_mem virtio3: memory block onlining denied", "MEM_GOING_ONLINE"),
        ("virtio_mem virtio3: unknown error, marking device broken: -22", "-EINVAL"),
        (
            "virtio_mem virtio3: unknown error, marking device broken: -EINVAL from add_memory(): no",
            ": -EINVAL.",
        ),
        ("WARNING: page 0x148400 is still referenced while offlining", "other code holds it"),
        (
            "hv_balloon: 0x140000-0x147fff cannot be added: -EEXIST from add_memory(): taken",
            "no memory any more",
        ),
        ("hv_balloon: nothing of 0x140000-0x147fff could be added", "Hyper-V offered memory"),
        ("hv_balloon: 7 of 9 pages requested: Not enough memory.", "it gets fewer"),
        ("WARNING: more pages go offline than came online at hv_memory_notifier", "hv_balloon counts"),
        ("virtio_mem virtio3: adding memory failed: -17", "-EEXIST"),
        ("hv_balloon: hot_add memory failed error is -17", "no memory any more"),
        ("hv_balloon: hot_add memory failed error is -12", "-ENOMEM"),
        ("xen:balloon: Cannot add additional memory (-17)", "-EEXIST"),
        ("try_reonline_memory_block: Failed to re-online memory: -22", "-EINVAL"),
        (
            "removing memory fails, because memory [0x0000000140000000-0x0000000147ffffff] is onlined",
            "-EBUSY",
        ),
        ("failed to isolate pfn 140010", "it tries again"),
        (
            (
                "Hotplug memory [0x40000000000000-0x40000007ffffff] exceeds maximum addressable range "
                "[0x0-0xfffffffffff]"
            ),
            "-E2BIG",
        ),
    ],
)
def test_lines_of_the_modelled_files_are_explained(line, says):
    found = explain(f"[   75.1] {line}\n")
    assert (found.understood, [shown for shown, _ in found.events]) == (1, [line])
    assert any(says in fact.text for fact in found.events[0][1])


def test_lines_that_are_not_understood_are_counted_and_the_first_are_shown():
    odd = "Offlined Pages 32768\n" + "".join(f"virtio_mem virtio{n}: memory of no kind\n" for n in range(9))
    found = explain(odd + " [<0>] ? free_unref_page+0x4a4/0x540\nusb 1-1: new device\n")
    assert found.nr_unknown == 9
    assert (
        "not explained here: 9; the first 5:\n  line 2: virtio_mem virtio0: memory of no kind\n"
        in found.text()
    )
    assert found.to_dict()["lines_unknown"]["first"][4]["line"] == 6


# ---- memory failures and migrations ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "pfn", "source", "names"),
    [
        (  # mm/memory-failure.c, 6.12
            (
                "Soft offline: 0x1f0ad2: page isolation failed, page count 2, type "
                "0x17ffffc000082c(referenced|uptodate|lru|owner_2|node=0|zone=2|lastcpupid=0x1fffff)"
            ),
            0x1F0AD2,
            "soft_offline_page()",
            ["referenced", "uptodate", "lru", "owner_2"],
        ),
        (  # 3.10
            "soft offline: 0x1f0ad3: migration failed -16, type 17ffffc008001d (locked|uptodate|dirty|lru)",
            0x1F0AD3,
            "soft_offline_page()",
            ["locked", "uptodate", "dirty", "lru"],
        ),
        (
            "get_any_page: 0x1f0ad5: unknown zero refcount page type 17ffffc0000000",
            0x1F0AD5,
            "soft_offline_page()",
            [],
        ),
        ("Unpoison: Software-unpoisoned page 0x1f0e00", 0x1F0E00, "unpoison_memory()", None),
        (
            "mce: Uncorrected hardware memory error in user-access at 1f0ad2040",
            0x1F0AD2,
            "the hardware",
            None,
        ),
        ("{1}[Hardware Error]:   physical_address: 0x00000001f0ad2040", 0x1F0AD2, "the hardware", None),
        (
            (
                "EDAC MC0: 1 CE memory read error on DIMM#0 (channel:1 slot:0 page:0x1f0ad2 offset:0x40 "
                "grain:32)"
            ),
            0x1F0AD2,
            "the hardware",
            None,
        ),
    ],
)
def test_lines_about_memory_failures_name_the_page_and_its_flags(line, pfn, source, names):
    (page,) = explain(f"[  512.112211] {line}\n").pages
    assert (page.reading.dump.pfn, page.reading.dump.source, page.reading.names) == (pfn, source, names)
    assert page.reading.refcount == (2 if "page count" in line else None)
    assert "'refcount:' is the form" not in page.text()


def test_the_lines_about_one_page_that_never_end_are_not_all_kept():
    text = "".join(f"Memory failure: 0x140010: line {n}\n" for n in range(1000))
    (page,) = explain(text).pages
    assert len(page.reading.dump.said) <= 16


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("migrating pfn 1400fc failed ret:-11", "-EAGAIN"),
        ("migrating pfn 1400fc failed ret:1", "one of them stayed"),
        ("migrating pfn c080000 failed ret:-12", "no free page"),
        ("Soft offline: 0x1f0c00: hugepage migration failed -12", "-ENOMEM"),
    ],
)
def test_why_a_page_was_not_migrated(line, says):
    assert says in explain(line + "\n").text()


FOLIO = """migrating pfn 140005 failed ret:1
page: refcount:515 mapcount:1 mapping:ffff888112345670 index:0x205 pfn:0x140005
head: order:9 mapcount:512 entire_mapcount:1 nr_pages_mapped:512 pincount:3
flags: 0x1fffffc002007c(referenced|uptodate|dirty|lru|head|swapbacked|node=0|zone=3|lastcpupid=0x1fffff)
raw: 001fffffc0000000 ffffea0005000001 dead000000000122 dead000000000400
raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000
head: 001fffffc002007c ffffea0004f00008 ffffea0005100008 ffff888112345670
head: 0000000000000200 0000000000000000 00000203ffffffff ffff888109876000
page dumped because: migration failure
"""


def test_the_head_of_a_folio_and_its_pins_are_told():
    """include/linux/mm_types.h: the counts of the head are in its own words."""
    told = explain(FOLIO).text()
    assert "pincount:3 (FOLL_PIN)" in told
    assert "head: _refcount and _mapcount  515 and -1" in " ".join(told.split("00000203ffffffff"))
    assert "head: mapping" in told


@pytest.mark.parametrize(
    ("reason", "says"),
    [("isolation failed", "off its list"), ("fake-offline page referenced", "another reference is left")],
)
def test_reasons_of_offlining_have_a_sentence(reason, says):
    dump = f"page: refcount:1 mapcount:0 mapping:0 index:0x0 pfn:0x140010\npage dumped because: {reason}\n"
    assert says in explain(dump).text()


@pytest.mark.parametrize(
    ("what", "release", "source"),
    [
        ("page cache in process a  pfn:140010", "6.12.8", "filemap_unaccount_folio()"),
        ("page cache in process a  pfn:140010", "5.10.1", "unaccount_page_cache_page()"),
        ("page map in process a  pte:8000000140010867 pmd:1074a6067", "6.12.8", "print_bad_pte()"),
        ("page map in process a  pte:8000000140010867", "6.19.0-rc2", "print_bad_page_map()"),
    ],
)
def test_who_prints_a_bad_page(what, release, source):
    """mm/filemap.c and mm/memory.c."""
    dump = f"BUG: Bad {what}\npage: refcount:1 mapcount:-1 mapping:0 index:0x0 pfn:0x140010\n"
    (page,) = explain(f"{dump}CPU: 1 PID: 1 Comm: a Not tainted {release} #1\n").pages
    assert page.source == page.to_dict()["source"] == source


BY_POINTER = """page:ffffea0005003f00 count:1 mapcount:0 mapping:ffff88813a804000 index:0x0
flags: 0x17fffe000000100(slab)
page dumped because: unmovable page
"""


def test_a_pfn_that_was_not_printed_is_concluded_from_the_address():
    """arch/x86: without KASLR the memmap is at 0xffffea0000000000, with 64 bytes for each pfn."""
    alone = explain(BY_POINTER)
    assert alone.pages[0].to_dict()["pfn"] == 0x1400FC
    assert "if the memmap is where it is without KASLR. [concluded]" in alone.text()
    assert "agrees: it has this pfn" not in alone.text()
    line = "memory offlining [mem {}] failed due to failure to isolate range\n"
    assert "agrees: it has this pfn" in explain(BY_POINTER + line.format("0x140000000-0x147ffffff")).text()
    assert (
        "agrees: it has this pfn" not in explain(BY_POINTER + line.format("0x100000000-0x107ffffff")).text()
    )
    for other in ("ffffea0005003f08", "fffff93905003f00", "00000000e5a0d5a1"):
        assert explain(BY_POINTER.replace("ffffea0005003f00", other)).pages[0].reading.dump.pfn is None


def test_the_log_of_memsim_says_why_a_page_was_bad():
    log = "".join(
        f"BUG: Bad page state  pfn:{pfn:05x}  page dumped because: nonzero mapcount\n"
        for pfn in range(320, 380)
    )
    found = explain(log + "BUG: Bad page state: further reports are suppressed for a minute\n")
    assert (len(found.pages), found.pages[0].reading.dump.reason) == (60, "nonzero mapcount")
    assert "60 pages from bad_page(), pfn 0x140 to 0x17b." in found.text()
    assert "such as Offline where its driver did not clear it" in found.text()
    assert "suppressed for a minute [printed by memsim]" in found.text()


def test_the_cgroup_is_told_as_older_kernels_print_it():
    """mm/debug.c up to 5.10."""
    dump = (
        "page:ffffea0005003f00 refcount:1 mapcount:0 mapping:0 index:0x0\npage->mem_cgroup:ffff88813b8a2000\n"
    )
    assert "page->mem_cgroup:ffff88813b8a2000." in explain(dump).text()


def test_messages_that_the_kernel_left_out_are_told():
    found = explain("BUG: Bad page state: 12 messages suppressed\n")
    assert "60 reports a minute" in found.text()


# ---- reports of several processors -----------------------------------------------------------------------

TWO = """{a} BUG: Bad page state in process fioA  pfn:140010
{b} BUG: Bad page state in process fioB  pfn:150020
{a} page: refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x140010
{b} page: refcount:0 mapcount:0 mapping:ffff888101234568 index:0x7 pfn:0x150020
{a} flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
{b} aops:ext4_da_aops ino:c0ffee dentry name:"data.bin"
{b} flags: 0x17ffffc0002000(reserved|node=0|zone=2|lastcpupid=0x1fffff)
{a} raw: 0017ffffc0000000 dead000000000100 dead000000000122 0000000000000000
{b} raw: 0017ffffc0002000 dead000000000100 dead000000000122 ffff888101234568
{a} raw: 0000000000000000 0000000000000000 ffffffffffffffff 0000000000000000
{b} raw: 0000000000000007 0000000000000000 00000000ffffffff 0000000000000000
{a} page dumped because: nonzero _refcount
{b} page dumped because: PAGE_FLAGS_CHECK_AT_FREE flag(s) set
{b} CPU: 3 UID: 0 PID: 4512 Comm: fioB Not tainted 6.12.0 #1
"""


def test_lines_are_put_together_by_the_id_of_their_caller():
    """kernel/printk/printk.c with CONFIG_PRINTK_CALLER: T and a task, C and a processor."""
    for a, b in (
        ("[  301.100001][ T4411]", "[  301.100002][ T4512]"),
        ("[    5.000001] [C0]", "[    5.000002] [C1]"),
    ):
        pages = by_pfn(TWO.format(a=a, b=b))
        assert sorted(pages) == [0x140010, 0x150020]
        first, second = (pages[pfn].reading for pfn in sorted(pages))
        assert (first.refcount, first.names, first.dump.reason) == (-1, [], "nonzero _refcount")
        assert (second.refcount, second.names) == (0, ["reserved"])
        assert second.dump.reason == "PAGE_FLAGS_CHECK_AT_FREE flag(s) set"
        assert (len(first.raw), len(second.raw)) == (8, 8)
        assert first.problems == second.problems == []


def test_without_ids_nothing_is_concluded_across_two_reports():
    pages = by_pfn(TWO.format(a="[  301.100001]", b="[  301.100002]"))
    assert sorted(pages) == [0x140010, 0x150020]
    for pfn, refcount in ((0x140010, -1), (0x150020, 0)):
        reading = pages[pfn].reading
        assert (reading.refcount, reading.flags, reading.raw, reading.dump.reason) == (refcount, None, [], "")
        assert "Two reports are interleaved" in pages[pfn].text()


def test_two_dumps_without_a_first_line_are_not_mixed_either():
    """mm/debug.c: flags follow, so a second first line there is of another processor."""
    lines = TWO.format(a="[  301.100001]", b="[  301.100002]").splitlines(keepends=True)
    pages = by_pfn("".join(lines[2:]))
    assert sorted(pages) == [0x140010, 0x150020]
    for page in pages.values():
        assert (page.reading.flags, page.reading.raw, page.reading.dump.reason) == (None, [], "")
        assert "Two reports are interleaved" in page.text()


def test_first_lines_alone_are_pages_of_their_own():
    line = "page: refcount:1 mapcount:0 mapping:0 index:0x0 pfn:{:#x}\n"
    text = "".join(line.format(pfn) for pfn in (0x140010, 0x140020, 0x140010, 0x140030))
    pages = by_pfn(text)
    assert sorted(pages) == [0x140010, 0x140020, 0x140030]
    assert "interleaved" not in explain(text).text()
    assert "at once" not in explain(text).text()


def test_callers_without_end_are_not_all_kept():
    lines = [f"[ 1.0][ T{n}] BUG: Bad page state in process a  pfn:{n:x}\n" for n in range(1, 3000)]
    found = explain("".join(lines))
    assert len(found.pages) + found.left_off == len(lines)


# ---- many pages of one kind ------------------------------------------------------------------------------

OFFLINE_AND_FREED = """BUG: Bad page state in process kworker/u16:3  pfn:{pfn:x}
page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:{pfn:#x}
flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
page_type: f1(offline)
raw: 0017ffffc0000000 {list:016x} {list:016x} 0000000000000000
raw: 0000000000000000 0000000000000000 00000000f1000000 0000000000000000
page dumped because: nonzero mapcount
CPU: 3 UID: 0 PID: 88 Comm: kworker/u16:3 Tainted: G    {taint}      O       6.12.8-amd64 #1
"""


def freed(pfn, taint="B"):
    """Return what bad_page() prints about an Offline page that was freed."""
    return OFFLINE_AND_FREED.format(pfn=pfn, list=0xFFFFEA0000000008 + 64 * pfn, taint=taint)


def test_a_burst_of_equal_reports_is_one_table():
    """mm/page_alloc.c: bad_page() prints 60 reports before it stays silent."""
    pfns = [*range(0x140000, 0x14003A), 0x148000, 0x148001]
    found = explain("".join(freed(pfn, "B" if pfn > 0x140000 else " ") for pfn in pfns))
    told = found.text()
    assert len(found.pages) == len(found.to_dict()["pages"]) == 60
    assert "Lines 1 to 473: 60 pages from bad_page(), pfn 0x140000 to 0x140039, 0x148000 to 0x148001." in told
    assert "It was freed while it was Offline" in told
    assert len(told.splitlines()) < 60


def test_pages_that_differ_stay_apart():
    other = freed(0x140001).replace("refcount:0", "refcount:1").replace("00000000f1", "00000001f1")
    told = explain(freed(0x140000) + other + freed(0x140002)).text()
    assert told.count("word  ") == 2
    assert "2 pages from bad_page(), pfn 0x140000, 0x140002." in told


# ---- forms in which logs are handed on -------------------------------------------------------------------

LINES = [f"[   71.20441{at}] {line}" for at, line in enumerate(freed(0x140000, " ").splitlines())]
BARE = freed(0x140000, " ").splitlines()
FORMS = {
    "UTF-16, as PowerShell writes it": ("\ufeff" + "\r\n".join(LINES)).encode("utf-16-le"),
    "UTF-16, big-endian": ("\ufeff" + "\n".join(LINES)).encode("utf-16-be"),
    "UTF-8 with a mark": ("\ufeff" + "\n".join(BARE)).encode(),
    "gzip": gzip.compress("\n".join(LINES).encode()),
    "gzip in two members": gzip.compress("\n".join(LINES[:3]).encode() + b"\n")
    + gzip.compress("\n".join(LINES[3:]).encode()),
    "gzip of UTF-16": gzip.compress(("\ufeff" + "\n".join(LINES)).encode("utf-16-le")),
    "gzip that was cut off": gzip.compress("\n".join([*LINES, *["x" * 60] * 9]).encode(), 0)[:-20],
    "docker, a file of JSON": "\n".join(
        json.dumps({"log": f"{x}\n", "stream": "stdout"}) for x in LINES
    ).encode(),
    "docker compose": "\n".join(f"qemu-1  | {x}" for x in LINES).encode(),
    "one value of JSON": json.dumps({"log": "\n".join(LINES)}).encode(),
    "journalctl -o json": "\n".join(json.dumps({"PRIORITY": "1", "MESSAGE": x}) for x in BARE).encode(),
    "journalctl -o json-pretty": "\n".join(f'\t"MESSAGE" : {json.dumps(x)},' for x in BARE).encode(),
    "all on one line": " ".join(LINES).encode(),
    "/dev/kmsg": "\n".join(f"1,120{at},71204411,-;{x}" for at, x in enumerate(BARE)).encode(),
    "/dev/kmsg with callers": "\n".join(f"1,12,71204411,-,caller=T88;{x}" for x in BARE).encode(),
    "dmesg --time-format iso": "\n".join(f"2025-01-07T10:03:02,123456+01:00 {x}" for x in BARE).encode(),
    "a patch that adds the log": "\n".join(f"+{x}" for x in LINES).encode(),
    "a mail that wraps": "\n".join(
        part for x in LINES for part in (f"> > {x}".replace("     O", "\n> > O")).split("\n")
    ).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_log_is_read_in_every_form_it_is_handed_on_in(form):
    (page,) = explain(FORMS[form]).pages
    reading, dump = page.reading, page.reading.dump
    assert (dump.pfn, reading.flags, reading.names, reading.types) == (
        0x140000,
        0x17FFFFC0000000,
        [],
        ["offline"],
    )
    assert reading.numbers == {"node": 0, "zone": 2, "lastcpupid": 0x1FFFFF}
    assert (reading.refcount, len(dump.raw), dump.reason) == (0, 8, "nonzero mapcount")
    assert dump.context.release == "6.12.8-amd64"
    assert reading.problems == []
    found = explain(FORMS[form])
    assert found.understood <= found.read
    assert found.nr_unknown == 0


def test_what_is_packed_is_unpacked_up_to_a_limit(tmp_path, capsys):
    bomb = gzip.compress(bytes(1 << 20)) * (MOST_UNPACKED // (1 << 20) + 1)
    with pytest.raises(MemsimError, match="unpacks to more than 64 MiB"):
        explain(bomb)
    with pytest.raises(MemsimError, match="or 1000 files"):
        explain(FORMS["gzip"] * 1001)
    with pytest.raises(MemsimError, match="packed with gzip and damaged"):
        explain(FORMS["gzip"][:12] + b"\xff" * 40)
    log = tmp_path / "log.gz"
    log.write_bytes(FORMS["gzip"])
    assert main(["explain", str(log)]) == 0
    assert "type Offline" in capsys.readouterr().out
