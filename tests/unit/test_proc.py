"""/proc as the kernel prints it: expected words and lines come from fs/proc/page.c and mm/vmstat.c."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import BEFORE, Machine
from memsim.linux.fs.proc import (
    buddyinfo,
    get_max_dump_pfn,
    iomem,
    kpagecount,
    kpageflags,
    pagetypeinfo,
    zoneinfo,
)
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm.page_alloc.buddy import adjust_managed_page_count
from memsim.linux.mm.show_mem import si_mem_available
from memsim.machine.export import meminfo, valid_zones

START, PAGES = 0x100000, 32768
RAM = 131072

# Bit numbers of include/uapi/linux/kernel-page-flags.h and include/linux/kernel-page-flags.h.
DIRTY, LRU, BUDDY, HWPOISON, NOPAGE = 1 << 4, 1 << 5, 1 << 10, 1 << 19, 1 << 20
OFFLINE, PGTABLE, RESERVED, OWNER_PRIVATE = 1 << 23, 1 << 26, 1 << 32, 1 << 37
COPIED = {
    PageFlag.LOCKED: 0,
    PageFlag.REFERENCED: 2,
    PageFlag.UPTODATE: 3,
    PageFlag.DIRTY: 4,
    PageFlag.LRU: 5,
    PageFlag.ACTIVE: 6,
    PageFlag.SLAB: 7,
    PageFlag.WRITEBACK: 8,
    PageFlag.ISOLATED: 9,
    PageFlag.SWAPBACKED: 14,
    PageFlag.HEAD: 15,
    PageFlag.UNEVICTABLE: 18,
    PageFlag.HWPOISON: 19,
    PageFlag.RESERVED: 32,
    PageFlag.MLOCKED: 33,
    PageFlag.PRIVATE: 35,
    PageFlag.PRIVATE_2: 36,
    PageFlag.OWNER_PRIV_1: 37,
}


@pytest.fixture
def boot(kernel_kind):
    """Return a function that boots a machine of 512 MiB with this kernel."""
    release, patch = kernel_kind

    def start(ram=((0, RAM),), **options):
        return Machine(ram=ram, release=release, patch=patch, **options)

    return start


def words(machine, pfn, nr_pages=1):
    return kpageflags(machine.kernel, pfn, nr_pages).tolist()


def withhold(_kernel, _pfn, _order):
    """Be the callback of a driver that gives nothing to the buddy."""


# ---- kpageflags ------------------------------------------------------------------------------------


def test_every_page_of_a_free_block_is_buddy_and_reserved_pages_are_reserved(boot):
    machine = boot(reserved=[(2048, 10)])
    assert set(words(machine, 0, 2048)) == {BUDDY}
    assert words(machine, 2048, 11) == [RESERVED] * 10 + [BUDDY]


def test_allocated_kernel_pages_show_no_bit_and_user_pages_are_on_the_lru(boot):
    machine = boot()
    (kernel_page,), (user_page,) = machine.allocate(1, "unmovable"), machine.allocate(1, "movable")
    assert words(machine, kernel_page) == [0]
    assert words(machine, user_page) == [LRU]


def test_pages_on_per_cpu_lists_show_no_bit(boot):
    machine = boot(per_cpu_lists=True)
    pfns = machine.allocate(1, "unmovable")
    pfn = pfns[0]
    machine.free(pfns)
    assert machine.page(pfn).refcount == 0
    assert words(machine, pfn) == [0]


def test_blocks_that_are_absent_or_offline_are_nopage_and_nothing_else(boot):
    machine = boot()
    assert set(words(machine, START, PAGES)) == {NOPAGE}
    machine.add_memory(START, PAGES)
    assert set(words(machine, START, PAGES)) == {NOPAGE}
    machine.online(32)
    assert set(words(machine, START, PAGES)) == {BUDDY}
    machine.offline(32)
    assert set(words(machine, START, PAGES)) == {NOPAGE}


def test_withheld_pages_are_reserved_before_and_offline_after(boot):
    machine = boot()
    machine.kernel.online_page_callback = withhold
    machine.add_memory(START, PAGES)
    machine.online(32)
    assert set(words(machine, START, PAGES)) == {RESERVED if machine.kernel.patch == BEFORE else OFFLINE}


def test_an_offline_page_without_references_is_not_taken_for_free(boot):
    machine = boot()
    machine.kernel.online_page_callback = withhold
    machine.add_memory(START, PAGES)
    machine.online(32)
    memmap = machine.kernel.memmap
    memmap.clear_flags(START, PAGES, PageFlag.RESERVED)
    memmap.set_type(START, PAGES, PageType.OFFLINE)
    memmap.set_flags(START, PAGES, PageFlag.DIRTY)
    memmap.set_refcount(START, PAGES, 0)
    assert set(words(machine, START, PAGES)) == {OFFLINE | DIRTY}


def test_self_hosted_vmemmap_loses_the_reserved_bit_and_never_looks_offline(boot):
    machine = boot(memmap_on_memory=True)
    machine.add_memory(START, PAGES)
    machine.online(32)
    reserved = RESERVED if machine.kernel.patch == BEFORE else 0
    assert set(words(machine, START, 512)) == {OWNER_PRIVATE | reserved}
    assert set(words(machine, START + 512, PAGES - 512)) == {BUDDY}


def test_only_the_poisoned_page_of_a_free_block_is_hwpoison(boot):
    machine = boot()
    machine.poison(5000)
    assert words(machine, 4999, 3) == [BUDDY, HWPOISON, BUDDY]


def test_a_page_in_use_inside_a_free_block_is_not_buddy(boot):
    machine = boot()
    machine.kernel.memmap.set_refcount(5000, 1, 1)
    assert words(machine, 4999, 3) == [BUDDY, 0, BUDDY]


def test_a_free_block_ends_where_its_order_says(boot):
    machine = boot()
    machine.kernel.memmap.clear_buddy(2048)
    machine.kernel.memmap.set_buddy_order(2048, 3)
    assert words(machine, 2047, 1025) == [BUDDY] * 9 + [0] * 1016


def test_device_memory_is_nopage_and_does_not_lengthen_the_file(boot):
    machine = boot()
    machine.memremap_pages(START, PAGES)
    assert set(words(machine, START, PAGES)) == {NOPAGE}
    assert get_max_dump_pfn(machine.kernel) == RAM
    machine.add_memory(2 * START, PAGES)
    assert get_max_dump_pfn(machine.kernel) == 2 * START + PAGES


def test_isolated_free_pages_are_still_buddy(boot):
    machine = boot()
    machine.add_memory(START, PAGES)
    machine.online(32)
    seen = []

    def look(action, pfn, nr_pages):
        if action == "MEM_GOING_OFFLINE":
            seen.append((set(words(machine, pfn, nr_pages)), buddy_pages(machine), free_kb(machine)))

    machine.register_memory_notifier(look)
    before = buddy_pages(machine)
    machine.offline(32)
    assert seen == [({BUDDY}, before, (before - PAGES) * 4)]


def test_a_hole_in_boot_memory_is_reserved_near_ram_and_absent_farther_off(boot):
    machine = boot(ram=[(0, PAGES + 1000)])
    assert words(machine, PAGES + 999, 2) == [BUDDY, RESERVED]
    assert set(words(machine, PAGES + 1000, 24)) == {RESERVED}
    assert set(words(machine, PAGES + 1024, PAGES - 1024)) == {NOPAGE}
    assert get_max_dump_pfn(machine.kernel) == 2 * PAGES


def test_a_hole_before_ram_ends_where_its_sub_section_begins(boot):
    machine = boot(ram=[(0, 4096), (20000, PAGES - 20000)])
    assert set(words(machine, 4096, 19968 - 4096)) == {NOPAGE}
    assert words(machine, 19968, 33) == [RESERVED] * 32 + [BUDDY]


@pytest.mark.parametrize(("flag", "bit"), COPIED.items(), ids=str)
def test_flags_are_copied_to_their_bit(boot, flag, bit):
    machine = boot()
    (pfn,) = machine.allocate(1, "unmovable")
    machine.kernel.memmap.set_flags(pfn, 1, flag)
    assert words(machine, pfn) == [1 << bit]


def test_swapcache_is_two_flags_at_once(boot):
    machine = boot()
    (pfn,) = machine.allocate(1, "unmovable")
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.SWAPBACKED | PageFlag.OWNER_PRIV_1)
    assert words(machine, pfn) == [1 << 13 | 1 << 14 | OWNER_PRIVATE]


def test_page_tables_and_types_that_pile_up(boot):
    machine = boot()
    (pfn,) = machine.allocate(1, "unmovable")
    memmap = machine.kernel.memmap
    memmap.set_type(pfn, 1, PageType.TABLE)
    assert words(machine, pfn) == [PGTABLE]
    memmap.set_type(pfn, 1, PageType.OFFLINE)
    piles_up = machine.kernel.release.name == "6.1"
    assert words(machine, pfn) == [PGTABLE | OFFLINE if piles_up else OFFLINE]


SOME_MACHINE = Machine(ram=[(0, PAGES + 1000)], reserved=[(100, 50)])
SOME_MACHINE.add_memory(2 * PAGES, 2 * PAGES)
SOME_MACHINE.online(3)
SOME_WORDS = kpageflags(SOME_MACHINE.kernel, 0, 4 * PAGES)


@given(st.integers(0, 4 * PAGES), st.integers(0, 3 * PAGES))
def test_any_range_is_a_part_of_the_whole(pfn, nr_pages):
    expected = np.full(nr_pages, NOPAGE, np.uint64)
    inside = SOME_WORDS[pfn : pfn + nr_pages]
    expected[: len(inside)] = inside
    assert np.array_equal(kpageflags(SOME_MACHINE.kernel, pfn, nr_pages), expected)


def test_kpagecount_is_no_count_for_pages_with_a_type(boot):
    machine = boot()
    (pfn,) = machine.allocate(1, "unmovable")
    machine.kernel.memmap.set_type(pfn, 1, PageType.TABLE)
    counts = kpagecount(machine.kernel, pfn, 2)
    assert counts.dtype == np.uint64
    assert counts.tolist() == [0, 0]


# ---- zoneinfo, buddyinfo, pagetypeinfo -------------------------------------------------------------


def parse_zoneinfo(text):
    """Return {zone: {field: value}} as programs read it: the last word, behind the name of the field."""
    zones = {}
    for line in text.splitlines():
        if line.startswith("Node"):
            fields = zones[re.fullmatch(r"Node 0, zone +(\w+)", line)[1]] = {}
        elif "protection" in line:
            fields["protection"] = [int(number) for number in re.findall(r"\d+", line)]
        elif len(words_of := line.replace("pages free", "free").split()) > 1:
            fields[words_of[0]] = int(words_of[-1])
    return zones


def buddy_pages(machine):
    """Return the free pages that buddyinfo shows."""
    rows = [line.split("zone")[1].split()[1:] for line in buddyinfo(machine.kernel).splitlines()]
    return sum(int(blocks) << order for row in rows for order, blocks in enumerate(row))


def field_of(text, name):
    return int(re.search(rf"^{re.escape(name)}: +(\d+) kB$", text, re.MULTILINE)[1])


def free_kb(machine):
    return field_of(meminfo(machine.kernel), "MemFree")


def test_zoneinfo_counters_are_the_zones(boot):
    machine = boot(memmap_on_memory=True, per_cpu_lists=True)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    machine.free(machine.allocate(3))
    zones = parse_zoneinfo(zoneinfo(machine.kernel))
    assert list(zones) == ["DMA", "DMA32", "Normal", "Movable", "Device"]
    assert (zones["Movable"]["present"], zones["Movable"]["managed"]) == (PAGES, PAGES - 512)
    for name, fields in zones.items():
        zone = machine.zone(name)
        shown = [fields[each] for each in ("free", "spanned", "present", "managed", "min", "low", "high")]
        marks = list(zone.watermark[:3])
        counters = [zone.nr_free_pages, zone.spanned_pages, zone.present_pages, zone.managed_pages]
        assert shown == counters + marks
        if zone.present_pages:
            assert fields["nr_free_pages"] == zone.nr_free_pages
            assert (fields["start_pfn:"], fields["count:"]) == (zone.zone_start_pfn, zone.pcp_count)


def test_zoneinfo_shows_the_limits_of_per_cpu_lists_while_they_are_in_use(boot):
    def limits(machine):
        machine.add_memory(START, PAGES)
        machine.online(32, "online_movable")
        fields = parse_zoneinfo(zoneinfo(machine.kernel))["Movable"]
        return fields["high:"], fields["batch:"]

    assert limits(boot()) == (0, 1)  # zone_pcp_disable(): every free goes to the buddy
    machine = boot(per_cpu_lists=True)
    assert limits(machine) == (max(machine.zone("Movable").watermark[1], 4 * 7), 7)


def test_zoneinfo_has_the_kernels_layout(boot):
    machine = boot()
    machine.add_memory(START, PAGES)
    text = zoneinfo(machine.kernel)
    promo = f"        promo    {machine.zone('Movable').watermark[3]}\n"
    low, high = machine.zone("Movable").watermark[1:3]
    assert text.endswith(
        "Node 0, zone  Movable\n  pages free     0\n        boost    0\n"
        f"        min      {machine.zone('Movable').watermark[0]}\n"
        f"        low      {low}\n        high     {high}\n"
        f"{promo if machine.kernel.release.name == '6.12' else ''}"
        "        spanned  0\n        present  0\n        managed  0\n        cma      0\n"
        "        protection: (0, 0, 0, 0, 0)\n"
        "Node 0, zone   Device\n  pages free     0\n        boost    0\n        min      0\n"
        "        low      0\n        high     0\n"
        f"{'        promo    0' + chr(10) if machine.kernel.release.name == '6.12' else ''}"
        "        spanned  0\n        present  0\n        managed  0\n        cma      0\n"
        "        protection: (0, 0, 0, 0, 0)\n"
    )
    assert "      nr_free_pages 4096\n  pagesets\n    cpu: 0\n              count: 0\n" in text
    assert "\n  node_unreclaimable:  0\n  start_pfn:           4096\nNode 0, zone   Normal\n" in text
    assert text.count("start_pfn") == 2  # of DMA and DMA32: no other zone has pages


def test_each_zone_is_protected_by_its_ratio_of_what_lies_above(boot):
    machine = boot(ram=[(0, 0xC0000), (START, 0x40000)])
    machine.add_memory(2 * START, PAGES)
    machine.online(64, "online_movable")
    dma32, normal, movable = 0xC0000 - 4096, 0x40000, PAGES
    zones = parse_zoneinfo(zoneinfo(machine.kernel))
    assert [zones[name]["protection"] for name in ("DMA", "DMA32", "Normal", "Movable", "Device")] == [
        [0, dma32 // 256, (dma32 + normal) // 256, *[(dma32 + normal + movable) // 256] * 2],
        [0, 0, normal // 256, *[(normal + movable) // 256] * 2],
        [0, 0, 0, movable // 32, movable // 32],
        [0] * 5,
        [0] * 5,
    ]


def test_an_empty_zone_protects_nothing(boot):
    machine = boot()
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    assert parse_zoneinfo(zoneinfo(machine.kernel))["Normal"]["protection"] == [0] * 5


def test_buddyinfo_has_a_row_for_each_populated_zone(boot):
    machine = boot()
    none = "     0 " * 10
    rows = [f"Node 0, zone      DMA {none}     4 ", f"Node 0, zone    DMA32 {none}   124 "]
    assert buddyinfo(machine.kernel) == "".join(f"{row}\n" for row in rows)
    machine.add_memory(START, PAGES)
    assert "Movable" not in buddyinfo(machine.kernel)
    machine.online(32, "online_movable")
    assert buddyinfo(machine.kernel).splitlines()[-1] == f"Node 0, zone  Movable {none}    32 "


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from(["movable", "unmovable", "reclaimable"]))))
def test_free_pages_are_the_same_number_in_all_files(requests):
    machine = Machine(ram=[(0, PAGES)])
    for nr_pages, migratetype in requests:
        machine.allocate(nr_pages, migratetype)
    free = PAGES - sum(nr_pages for nr_pages, _ in requests)
    assert buddy_pages(machine) == free
    assert free_kb(machine) == 4 * free
    assert sum(zone["free"] for zone in parse_zoneinfo(zoneinfo(machine.kernel)).values()) == free
    assert words(machine, 0, PAGES).count(BUDDY) == free
    counts, _ = parse_pagetypeinfo(pagetypeinfo(machine.kernel))
    assert sum(blocks << order for row in counts.values() for order, blocks in enumerate(row)) == free


def parse_pagetypeinfo(text):
    """Return free blocks by (zone, type) and order, and pageblocks by zone and type."""
    first, second = text.split("\nNumber of blocks type ")
    rows = re.findall(r"^Node    0, zone +(\w+), type +(\w+) ([ \d>]+)$", first, re.MULTILINE)
    free = {(zone, kind): [int(n) for n in counts.replace(">", "").split()] for zone, kind, counts in rows}
    names, *blocks = second.splitlines()
    types = {
        row.split()[3]: dict(zip(names.split(), map(int, row.split()[4:]), strict=True)) for row in blocks
    }
    return free, types


def test_pagetypeinfo_has_the_kernels_layout(boot):
    text = pagetypeinfo(boot(ram=[(0, 4096)]).kernel)
    none = "     0 " * 10
    assert text == (
        "Page block order: 9\nPages per block:  512\n\n"
        "Free pages count per migrate type at order       0      1      2      3      4      5      6      7"
        "      8      9     10 \n"
        f"Node    0, zone      DMA, type    Unmovable {none}     0 \n"
        f"Node    0, zone      DMA, type      Movable {none}     4 \n"
        f"Node    0, zone      DMA, type  Reclaimable {none}     0 \n"
        f"Node    0, zone      DMA, type   HighAtomic {none}     0 \n"
        f"Node    0, zone      DMA, type      Isolate {none}     0 \n"
        "\nNumber of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate \n"
        "Node 0, zone      DMA            0            8            0            0            0 \n"
    )


def test_pageblocks_are_counted_where_they_are_online_and_in_the_zone(boot):
    machine = boot(memmap_on_memory=True)
    for block in (32, 33):
        machine.add_memory(block * PAGES, PAGES)
        machine.online(block, "online_movable")
    machine.offline(32)
    free, types = parse_pagetypeinfo(pagetypeinfo(machine.kernel))
    assert types["Movable"] == {
        "Unmovable": 1,  # the self-hosted vmemmap of block 33
        "Movable": 63,
        "Reclaimable": 0,
        "HighAtomic": 0,
        "Isolate": 0,
    }
    # The data starts in the middle of a block of order 10, hence one of order 9.
    assert free["Movable", "Movable"] == [0] * 9 + [1, 31]


def test_pageblocks_of_another_zone_in_the_span_are_not_counted(boot):
    machine = boot()
    machine.add_memory(START, 3 * PAGES)
    for block, online_type in ((32, "online_movable"), (34, "online_movable"), (33, "online_kernel")):
        machine.online(block, online_type)
    _, types = parse_pagetypeinfo(pagetypeinfo(machine.kernel))
    assert machine.zone("Movable").spanned_pages == 3 * PAGES
    assert {zone: sum(types[zone].values()) for zone in ("Normal", "Movable")} == {
        "Normal": 64,
        "Movable": 128,
    }


def test_pagetypeinfo_stops_counting_a_list_at_100000(boot):
    machine = boot()
    zone = machine.zone("DMA32")
    for pfn in range(99999):
        zone.add_to_free_list(pfn, 0, 2)
    assert "type  Reclaimable  99999 " in pagetypeinfo(machine.kernel)
    for more in (99999, 100000):
        zone.add_to_free_list(more, 0, 2)
        assert "type  Reclaimable >100000 " in pagetypeinfo(machine.kernel)


# ---- meminfo, iomem, valid_zones -------------------------------------------------------------------


def test_meminfo_has_the_kernels_layout(boot):
    text = meminfo(boot().kernel)
    assert text.startswith("MemTotal:         524288 kB\nMemFree:          524288 kB\nMemAvailable:   ")
    assert "\nActive(anon):          0 kB\nInactive(anon):        0 kB\n" in text
    assert "\nVmallocTotal:   34359738367 kB\n" in text
    assert text.endswith("\nPercpu:                0 kB\nHardwareCorrupted:     0 kB\n")


@pytest.mark.parametrize("release", ["6.1", "6.11", "6.12", "7.3"])
@pytest.mark.parametrize(
    ("device", "give", "take_back", "pages"),
    [
        (
            {"kind": "hv-balloon"},
            lambda device: device.inflate(1000),
            lambda device: device.deflate(600),
            (1000, 400),
        ),
        (
            {"kind": "xen-balloon", "hotplug_start_pfn": START},
            lambda device: device.set_target(RAM - 1000),
            lambda device: device.set_target(RAM - 400),
            (1000, 400),
        ),
        (
            {
                "kind": "virtio-mem",
                "start_pfn": START,
                "region_pages": PAGES,
                "device_block_pages": 512,
                "requested_pages": 4096,
            },
            lambda device: device.request(1024),
            lambda device: device.request(2048),
            (0, 0),
        ),
    ],
    ids=["hv", "xen", "virtio-mem"],
)
def test_meminfo_of_7_3_has_what_balloons_hold(release, device, give, take_back, pages):
    """balloon_append(), alloc_balloon_pages() and free_balloon_pages(), 7.3; nothing in virtio_mem.c."""
    machine = Machine(release=release, devices=[device | {"name": "d"}])
    for change, held in zip((give, take_back), pages, strict=True):
        change(machine.devices["d"])
        text = meminfo(machine.kernel)
        assert text.endswith(f"\nBalloon:        {4 * held:8} kB\n") == (release == "7.3")
        assert ("Balloon:" in text) == (release == "7.3")


def test_meminfo_follows_the_counters(boot):
    machine = boot()
    machine.kernel.online_page_callback = withhold
    machine.add_memory(START, PAGES)
    machine.online(32)
    machine.allocate(10, "unmovable")
    machine.poison(5000)
    text = meminfo(machine.kernel)
    assert field_of(text, "MemTotal") == 4 * RAM == 4 * machine.totalram_pages
    assert field_of(text, "MemFree") == 4 * (RAM - 512 - 10 - 1)
    assert field_of(text, "HardwareCorrupted") == 4
    assert field_of(text, "CommitLimit") == 2 * RAM


def test_lru_pages_are_told_apart_by_their_flags(boot):
    machine = boot()
    pfns = machine.allocate(10)
    memmap = machine.kernel.memmap
    for pfn in pfns:
        memmap.clear_flags(pfn, 1, PageFlag.SWAPBACKED)
    for pfn in pfns[:6]:
        memmap.set_flags(pfn, 1, PageFlag.SWAPBACKED)
    for pfn in (*pfns[:2], *pfns[6:9]):
        memmap.set_flags(pfn, 1, PageFlag.ACTIVE)
    memmap.set_flags(pfns[5], 1, PageFlag.UNEVICTABLE)
    text = meminfo(machine.kernel)
    expected = {
        "Active(anon)": 2,
        "Inactive(anon)": 3,
        "Active(file)": 3,
        "Inactive(file)": 1,
        "Unevictable": 1,
        "Active": 5,
        "Inactive": 4,
        "Cached": 4,
    }
    assert {name: field_of(text, name) // 4 for name in expected} == expected


def test_mem_available_leaves_out_what_zones_keep_back(boot):
    machine = boot()
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    kept = min(4096, dma.watermark[2] + (RAM - 4096) // 256) + dma32.watermark[2]
    assert field_of(meminfo(machine.kernel), "MemAvailable") == 4 * (RAM - kept)


@pytest.mark.long
@pytest.mark.parametrize("page_cache", [100, 20000])
def test_half_of_the_page_cache_or_the_low_watermark_of_it_is_not_available(boot, page_cache):
    machine = boot()
    for pfn in machine.allocate(page_cache):
        machine.kernel.memmap.clear_flags(pfn, 1, PageFlag.SWAPBACKED)
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    kept = dma.watermark[2] + (RAM - 4096) // 256 + dma32.watermark[2]
    empty_movable = 0 if machine.kernel.release.name == "6.1" else 32  # 6.12 gives it a least mark of its own
    stays = min(page_cache // 2, dma.watermark[1] + dma32.watermark[1] + empty_movable)
    assert 100 // 2 < dma32.watermark[1] < 20000 // 2
    assert field_of(meminfo(machine.kernel), "MemAvailable") == 4 * (RAM - kept - stays)


@pytest.mark.long
def test_what_zones_keep_back_moves_with_the_watermarks_and_not_with_every_page(boot):
    # setup_per_zone_lowmem_reserve() and calculate_totalreserve_pages() run when memory comes online or goes
    # offline; adjust_managed_page_count(), which ballooning calls, does not run them.
    machine = boot()
    machine.add_memory(START, PAGES)
    machine.online(32, "online_kernel")
    free, available = machine.zone("Normal").nr_free_pages, si_mem_available(machine.kernel)
    assert parse_zoneinfo(zoneinfo(machine.kernel))["DMA32"]["protection"][2] == PAGES // 256
    pfns = machine.allocate(20000, "unmovable", block=32)
    for pfn in pfns:
        adjust_managed_page_count(machine.kernel, pfn, 1, -1)
    assert parse_zoneinfo(zoneinfo(machine.kernel))["DMA32"]["protection"][2] == PAGES // 256
    assert (
        available - si_mem_available(machine.kernel) == free - machine.zone("Normal").nr_free_pages == 20000
    )
    machine.add_memory(START + PAGES, PAGES)
    machine.online(33, "online_kernel")
    kept = parse_zoneinfo(zoneinfo(machine.kernel))["DMA32"]["protection"][2]
    assert kept == (2 * PAGES - 20000) // 256


def test_memory_of_one_driver_is_one_resource_and_memory_of_a_dimm_is_not():
    # MHP_MERGE_RESOURCE: merge_system_ram_resource(), kernel/resource.c. Both sides must have asked for it.
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": 4 * PAGES}
    device |= {"device_block_pages": 512, "requested_pages": 3 * PAGES}
    machine = Machine(devices=[device])
    rest = "00000000-1fffffff : System RAM\n"
    assert iomem(machine.kernel) == rest + "100000000-117ffffff : System RAM (virtio_mem)\n"
    for start in (START + 4 * PAGES, START + 5 * PAGES):
        machine.add_memory(start, PAGES)
    dimms = "120000000-127ffffff : System RAM\n128000000-12fffffff : System RAM\n"
    machine.devices["vm0"].request(2 * PAGES)
    assert iomem(machine.kernel) == rest + "100000000-10fffffff : System RAM (virtio_mem)\n" + dimms
    machine.devices["vm0"].request(3 * PAGES)
    assert iomem(machine.kernel) == rest + "100000000-117ffffff : System RAM (virtio_mem)\n" + dimms


@pytest.mark.parametrize(("release", "left"), [("6.1", 1), ("6.12", 0)])
def test_6_1_forgets_a_poisoned_page_but_not_that_there_was_one(release, left):
    # clear_hwpoisoned_pages(), mm/memory-failure.c, 6.1, counts the marks in the memmap that goes away; this
    # one was lost when the block came online again. 6.12 counts by memory block, and refuses to online it.
    machine = Machine(release=release)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    machine.poison(START + 5)
    machine.offline(32)
    if release == "6.1":
        machine.online(32, "online_movable")
        machine.poison(START + 6)
        machine.offline(32)
    machine.remove_memory(START, PAGES)
    assert field_of(meminfo(machine.kernel), "HardwareCorrupted") == 4 * left


def test_iomem_lists_ranges_with_their_last_byte(boot):
    machine = boot()
    machine.add_memory(3 * START, PAGES)
    machine.add_memory(START, PAGES)
    assert iomem(machine.kernel) == (
        "00000000-1fffffff : System RAM\n100000000-107ffffff : System RAM\n300000000-307ffffff : System RAM\n"
    )
    machine.remove_memory(START, PAGES)
    assert iomem(machine.kernel) == "00000000-1fffffff : System RAM\n300000000-307ffffff : System RAM\n"


def test_valid_zones_of_a_block(boot):
    machine = boot()
    machine.add_memory(START, 4 * PAGES)

    def shown(block):
        return valid_zones(machine.kernel, machine.block(block))

    assert [shown(block) for block in (0, 1, 32)] == ["none", "DMA32", "Normal Movable"]
    machine.online(32, "online_movable")
    machine.online(35, "online_movable")
    # A block between others of ZONE_MOVABLE goes there by default.
    assert [shown(block) for block in (32, 33)] == ["Movable", "Movable Normal"]
