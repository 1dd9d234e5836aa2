"""Linux 7.3: each rule that came after 6.12, and what 6.12 does in its place.

The expected values were read in the sources of 6.12.118 and 7.3.4; the functions are named at each test.
"""

import pytest

from memsim import AFTER, Hunk, Machine, Patch, run
from memsim.errors import KernelBug, KernelError
from memsim.linux.fs.proc.page import kpageflags
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import FLAG_BITS, PageFlag, PageType
from memsim.linux.mm.page_alloc.api import __free_pages
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.page_alloc.contig import alloc_contig_range, free_contig_range
from memsim.linux.mm.page_alloc.watermarks import lowmem_reserve
from memsim.release import RELEASES, Release
from memsim.state.state import State
from memsim.walkers import WALKERS

from . import test_hv_balloon, test_state_table, test_virtio_mem, test_xen_balloon
from .state_table import columns, rows, rows_of_7_3

START, PAGES = 0x100000, 32768
BEFORE_7_3 = ("6.1", "6.11", "6.12")
EACH = pytest.mark.parametrize("release", [*BEFORE_7_3, "7.3"])


def of_each(before, since):
    """Return parameters: each release with what it does, before 7.3 and in 7.3."""
    return [*((release, before) for release in BEFORE_7_3), ("7.3", since)]


def online(release, online_type="online_kernel", **options):
    """Return a machine with block 32 online."""
    machine = Machine(release=release, **options)
    machine.add_memory(START, PAGES)
    machine.online(32, online_type)
    return machine


# ---- the state table ---------------------------------------------------------------------------------

TABLES = {
    None: test_state_table.REACH,
    "hv-balloon": test_hv_balloon.REACH,
    "virtio-mem": test_virtio_mem.REACH,
    "xen-balloon": test_xen_balloon.REACH,
}


def reached(kind, row):
    """Return the columns of the page that a row of the state table is about, on 7.3."""
    kernel = [test_virtio_mem.Vm(AFTER, "7.3")] if kind == "virtio-mem" else [AFTER, "7.3"]
    found = TABLES[kind][row](*kernel)
    return columns(*found) if isinstance(found[0], State) else found


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "row"), [(kind, row) for kind in TABLES for row in TABLES[kind] if row in rows_of_7_3(kind)]
)
def test_every_row_of_the_state_table_holds_on_7_3(kind, row):
    if row == "D1":
        machine = Machine(release="7.3")
        machine.memremap_pages(START, PAGES, "fs_dax")
        assert columns(machine.kernel.state, START) == rows_of_7_3()["D1"]
    else:
        found, expected = reached(kind, row), rows_of_7_3(kind)[row]
        unknown = "u" in expected  # the memmap means nothing: only the ghost columns speak
        assert found[5:] == expected[5:]
        assert unknown or found == expected


def test_every_row_of_the_drivers_has_a_test():
    """V13 and V14 have one of their own in test_virtio_mem.py, on 7.3 too."""
    named = {(kind, row) for kind in TABLES for row in rows_of_7_3(kind)}
    reached_rows = {(kind, row) for kind in TABLES for row in TABLES[kind]}
    assert named - reached_rows == {("virtio-mem", "V13"), ("virtio-mem", "V14")}


def test_two_rows_differ_between_6_12_and_7_3():
    own = {
        (kind, row)
        for kind in TABLES
        for row, values in rows_of_7_3(kind).items()
        if values != rows(kind)[row, "after"]
    }
    assert own == {(None, "D1"), ("hv-balloon", "Y4")}


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_what_came_later_is_off(release):
    """Some of these rules act only together with others of their time: a flip alone would change nothing."""
    assert [name for name in Release._field_defaults if getattr(RELEASES[release], name)] == []


# ---- isolation_is_a_bit: mm/page_isolation.c ---------------------------------------------------------


@EACH
def test_what_was_isolated_before_the_failure_has_its_type_again_only_in_7_3(release):
    machine = online(release)
    memmap = machine.kernel.memmap
    pages = machine.allocate(513, "unmovable", block=32)
    machine.free(sorted(pages)[:512])  # the first pageblock is free, of type UNMOVABLE; the second refuses
    with pytest.raises(KernelError, match="EBUSY"):
        machine.offline(32)
    kept = MigrateType.UNMOVABLE if release == "7.3" else MigrateType.MOVABLE
    assert memmap.migratetype(START) == kept
    assert machine.zone("Normal").nr_isolate_pageblock == 0


@EACH
def test_an_allocated_range_keeps_the_types_of_its_pageblocks_only_in_7_3(release):
    machine = online(release)
    memmap = machine.kernel.memmap
    memmap.set_migratetype(START, 512, MigrateType.UNMOVABLE)
    alloc_contig_range(machine.kernel, START, 1024)
    kept = MigrateType.UNMOVABLE if release == "7.3" else MigrateType.MOVABLE
    assert [memmap.migratetype(START), memmap.migratetype(START + 512)] == [kept, MigrateType.MOVABLE]


@EACH
def test_a_block_that_comes_online_again_is_movable_whatever_it_was(release):
    machine = online(release)
    machine.kernel.memmap.set_migratetype(START, 512, MigrateType.UNMOVABLE)
    machine.register_memory_notifier(lambda *_: None)
    machine.offline(32)
    machine.online(32, "online_kernel")
    assert set(machine.kernel.memmap.section(START).pageblocks) == {MigrateType.MOVABLE}


# ---- freeing_forgives_type_of_head, tail_private_is_bad: free_pages_prepare(), mm/page_alloc.c ------


@pytest.mark.parametrize("check_pages", [True, False])
@pytest.mark.parametrize(("release", "leaked"), of_each(before=True, since=False))
def test_a_page_freed_while_it_is_offline_is_clean_in_7_3(release, leaked, check_pages):
    machine = online(release, check_pages=check_pages)
    free = machine.zone("Normal").nr_free_pages
    (pfn,) = machine.allocate(1, "unmovable", block=32)
    machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    __free_pages(machine.kernel, pfn)
    leaks = leaked and (check_pages or release == "6.1")  # which checks whatever is configured
    assert machine.zone("Normal").nr_free_pages == free - leaks
    assert bool(machine.log) == leaks
    # 6.1's bad_page() resets the type. 6.11 sets Buddy beside Offline, a bit beside a bit; 6.12 in its place.
    assert machine.page(pfn).offline == {"6.1": False, "6.11": True, "6.12": leaks, "7.3": False}[release]


@pytest.mark.parametrize(("release", "bad"), of_each(1024, 1023))
def test_half_a_patch_leaves_one_page_of_each_chunk_unreported_in_7_3_and_the_chunk_is_lost_all_the_same(
    release, bad
):
    machine = online(release, patch=Patch.without({Hunk.PAGE_ALLOC}))
    assert machine.kernel.bad_pages == 32 * bad
    assert (machine.zone("Normal").managed_pages, machine.zone("Normal").nr_free_pages) == (PAGES, 0)
    keeps = release in {"6.11", "6.12"}  # 6.1's bad_page() resets the type
    assert machine.page(START).offline == keeps
    assert machine.page(START + 1).offline == (release != "6.1")


def test_half_a_patch_without_page_checks_leaves_stale_types_on_tails_only():
    machine = online("7.3", patch=Patch.without({Hunk.PAGE_ALLOC}), check_pages=False)
    assert machine.log == []
    assert machine.zone("Normal").nr_free_pages == PAGES
    assert not machine.page(START).offline
    assert machine.page(START + 1).offline


@pytest.mark.parametrize(("release", "bad"), of_each(0, 1))
def test_a_tail_page_whose_private_is_set_is_bad_in_7_3(release, bad):
    machine = online(release)
    (pfn,) = machine.allocate(1, "unmovable", order=2, block=32)
    machine.kernel.memmap.set_order(pfn + 1, 3)  # page->private
    __free_pages(machine.kernel, pfn, 2)
    assert machine.kernel.bad_pages == bad


# ---- contig_free_in_chunks: free_contig_range(), mm/page_alloc.c -------------------------------------


@pytest.mark.parametrize(("release", "entries"), of_each(512, 1))
def test_a_range_goes_back_as_one_entry_of_a_per_cpu_list_in_7_3(release, entries):
    machine = online(release)
    alloc_contig_range(machine.kernel, START, 512)
    machine.kernel.per_cpu_lists = True
    freed = []
    zone = machine.zone("Normal")
    add, zone.pcp_add = zone.pcp_add, lambda *entry: freed.append(entry) or add(*entry)
    free_contig_range(machine.kernel, START, 512)
    assert len(freed) == entries


@EACH
def test_a_page_that_is_held_is_left_out_of_a_range_that_is_freed(release):
    machine = online(release)
    free = machine.zone("Normal").nr_free_pages
    alloc_contig_range(machine.kernel, START, 2048)
    machine.kernel.memmap.set_refcount(START + 700, 1, 2)
    free_contig_range(machine.kernel, START, 2048)
    assert machine.zone("Normal").nr_free_pages == free - 1
    assert machine.page(START + 700).refcount == 1
    assert {violation.name for violation in machine.check()} <= {"leaked"}


# ---- accounting: free_reserved_page(), adjust_managed_page_count(), mm/page_alloc.c ------------------


@EACH
def test_a_reserved_page_is_counted_before_it_is_free_in_7_3(release):
    machine = Machine(release=release, reserved=[(0x5000, 4)])
    tape = machine.record()
    tape.action("free")
    machine.free_reserved_page(0x5001)
    machine.stop_recording()
    writes = [
        event.args[0] if event.primitive == "add" else event.primitive
        for event in tape.events
        if event.primitive
    ]
    counted, free = writes.index("managed_pages"), writes.index("nr_free_pages")
    assert (counted < free) == (release == "7.3")
    assert machine.check() == []


@pytest.mark.parametrize(("release", "moves"), of_each(before=False, since=True))
def test_the_lowmem_reserve_follows_every_change_of_managed_in_7_3(release, moves):
    machine = online(release, "online_movable")
    zone = machine.zone("DMA32")
    before = lowmem_reserve(machine.kernel, zone, ZoneType.MOVABLE)
    machine.allocate(4096, block=32)
    adjust_managed_page_count(machine.kernel, START, 4096, -1)
    after = lowmem_reserve(machine.kernel, zone, ZoneType.MOVABLE)
    assert before - after == (4096 // 256 if moves else 0)


# ---- drivers, devices, readers -----------------------------------------------------------------------


@pytest.mark.parametrize(("release", "free"), of_each(0, PAGES))
def test_memory_of_no_region_goes_to_the_buddy_beside_a_hyper_v_balloon_in_7_3(release, free):
    # hv_online_page(), drivers/hv/hv_balloon.c; 6.14.
    machine = online(release, "online_movable", devices=[{"kind": "hv-balloon", "name": "hv0"}])
    assert machine.zone("Movable").nr_free_pages == free
    assert machine.page(START).offline == (free == 0)


@pytest.mark.parametrize(("release", "refcount"), of_each(1, 0))
def test_pages_of_fs_dax_start_without_a_reference_in_7_3(release, refcount):
    # __init_zone_device_page(), mm/mm_init.c.
    for kind, count in (("fs_dax", refcount), ("generic", 1), ("private", 0)):
        machine = Machine(release=release)
        machine.memremap_pages(START, PAGES, kind)
        page = machine.kernel.memmap.raw(START)
        assert (page.refcount, page.reserved) == (count, True)


@pytest.mark.parametrize(("release", "refcount"), [("6.1", 1), ("6.12", 1), ("7.3", 0)])
def test_a_scenario_maps_device_memory_as_the_driver_of_persistent_memory_does(release, refcount):
    """pmem_attach_disk(), drivers/nvdimm/pmem.c, all three: MEMORY_DEVICE_FS_DAX. Seen with `make lab`."""
    step = {"do": "memremap_pages", "start_pfn": START, "nr_pages": PAGES}
    story = {"format": "memsim-scenario/1", "machine": {"ram": [[0, PAGES]]}}
    mapped = run(story | {"steps": [step]}, release=release).machine.kernel.memmap
    assert mapped.raw(START).refcount == refcount
    generic = run(story | {"steps": [step | {"kind": "generic"}]}, release=release).machine.kernel.memmap
    assert generic.raw(START).refcount == 1


@pytest.mark.parametrize(("release", "word"), of_each(1 << 20, 0))
def test_kpageflags_of_a_page_that_is_not_online(release, word):
    machine = Machine(release=release)
    machine.add_memory(START, PAGES)
    assert int(kpageflags(machine.kernel, START, 1)[0]) == word


@pytest.mark.parametrize(("release", "says"), of_each("get hwpoison page", "reserved kernel page"))
def test_an_error_in_a_reserved_page_is_the_kernel_s_own_in_7_3(release, says):
    # memory_failure(), mm/memory-failure.c.
    machine = Machine(release=release, reserved=[(0x5000, 4)])
    with pytest.raises(KernelError, match=f"{says}: Ignored"):
        machine.poison(0x5000)


@EACH
def test_7_3_can_panic_on_a_reserved_page_and_never_on_an_offline_one(release):
    machine = Machine(release=release, reserved=[(0x5000, 4)])
    (pfn,) = machine.allocate(1, "unmovable")
    machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    machine.kernel.panic_on_unrecoverable_memory_failure = True
    with pytest.raises(KernelError, match="get hwpoison page: Ignored"):
        machine.poison(pfn)
    with pytest.raises(KernelBug if release == "7.3" else KernelError, match="0x5000"):
        machine.poison(0x5000)


@pytest.mark.parametrize(("release", "action"), of_each("scan", "reject"))
def test_a_search_for_a_range_passes_over_self_hosted_pages_in_7_3(release, action):
    # pfn_range_valid_contig(), mm/page_alloc.c; page_is_unmovable() since 7.0.
    machine = online(release, memmap_on_memory=True)
    assert WALKERS["contig_valid"].decide(machine.kernel, START).action == action
    assert WALKERS["contig_valid"].decide(machine.kernel, START + 1024).action == "scan"


def test_numbers_of_flags():
    # include/linux/page-flags.h: 6.14 put PG_dropbehind at 19.
    assert (FLAG_BITS["7.3"][PageFlag.MLOCKED], FLAG_BITS["7.3"][PageFlag.HWPOISON]) == (20, 21)
    assert FLAG_BITS["7.3"][PageFlag.RESERVED] == 13


@pytest.mark.parametrize(
    ("release", "offline", "buddy"),
    [("6.1", 0xFFFFFEFF, 0xFFFFFF7F), ("6.11", 0xDFFFFFFF, 0xBFFFFFFF), ("7.3", 0xF1000000, 0xF0000000)],
)
def test_words_of_page_types(release, offline, buddy):
    encoding = Machine(release=release).kernel.memmap.encoding
    words = [encoding.page_type(encoding.code(kind)) for kind in (PageType.OFFLINE, PageType.BUDDY)]
    assert words == [offline, buddy]
