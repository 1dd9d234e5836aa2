"""``memsim explain``: whole logs, where lines are of several processors, about no page, or in another form.

The forms of the lines are those that the kernel's source has (6.12, and others where they are named).
"""

from __future__ import annotations

from memsim import explain


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
        assert "as two processors printed at once" in pages[pfn].text()


def test_callers_without_end_are_not_all_kept():
    lines = [f"[ 1.0][ T{n}] BUG: Bad page state in process a  pfn:{n:x}\n" for n in range(1, 3000)]
    found = explain("".join(lines))
    assert len(found.pages) + found.left_off == len(lines)
