"""Boot memory that the kernel keeps, and ZONE_MOVABLE from boot on, beside boots of Debian's kernels.

The numbers of MACHINES are what stock kernels showed in /proc/zoneinfo and /proc/meminfo: 6.1.0-57, 6.12.117
and 7.3.4 for amd64 under QEMU (q35, one or two processors, nokaslr), with the RAM that /proc/iomem lists.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import Machine
from memsim.errors import MemsimError
from memsim.linux.mm.mm_init import find_zone_movable_pfns_for_nodes
from memsim.machine.boot_memory import IMAGES, boot_reservations, large_system_hash_pages, totals
from memsim.patch import AFTER
from memsim.release import RELEASES
from memsim.scenario.scenario import run
from memsim.state.kernel import Kernel

LOW = (1, 158)
SMALL, HALF, BELOW_HOLE = (256, 0xFFDF - 256), (256, 0x1FFDF - 256), (256, 0x7FFDF - 256)
MACHINES = {
    "6.12, 256 MiB": ("6.12", [LOW, SMALL], {}, {"DMA": 3840, "DMA32": 50607}, 217788),
    "6.12, 512 MiB": ("6.12", [LOW, HALF], {}, {"DMA": 3840, "DMA32": 115022}, 475448),
    "6.1, 512 MiB": ("6.1", [LOW, HALF], {}, {"DMA": 3840, "DMA32": 113263}, 468412),
    "7.3, 512 MiB": ("7.3", [LOW, HALF], {}, {"DMA": 3840, "DMA32": 113386}, 468904),
    "6.12, 6 GiB, crashkernel=256M": (
        "6.12",
        [LOW, BELOW_HOLE, (0x100000, 0x100000)],
        {"crashkernel_pages": 65536},
        {"DMA": 3840, "DMA32": 428684, "Normal": 1020608},
        5812528,
    ),
    "6.12, 4 GiB, movablecore=256M": (
        "6.12",
        [LOW, BELOW_HOLE, (0x100000, 0x80000)],
        {"movablecore_pages": 65536},
        {"DMA": 3840, "DMA32": 494220, "Normal": 458752, "Movable": 47231},
        4016172,
    ),
    "6.1, 6 GiB, kernelcore=1G": (
        "6.1",
        [LOW, BELOW_HOLE, (0x100000, 0x100000)],
        {"kernelcore_pages": 262144},
        {"DMA": 3840, "DMA32": 492457, "Movable": 1020611},
        6067632,
    ),
}
UNEXPLAINED = 128
"""Pages of a zone that may be missing: boot code takes small things that no rule here knows."""


@pytest.fixture(params=MACHINES, ids=MACHINES)
def booted(request):
    """Return a simulated machine, and what the real one shows."""
    release, ram, arguments, managed, mem_total = MACHINES[request.param]
    return Machine(ram, release=release, boot_reservations=True, **arguments), managed, mem_total


def test_zones_have_as_many_managed_pages_as_on_the_real_machine(booted):
    machine, managed, _ = booted
    assert {name for name, zone in machine.zones.items() if zone.present_pages} == managed.keys()
    for name, pages in managed.items():
        assert 0 <= machine.zone(name).managed_pages - pages <= UNEXPLAINED, name


def test_mem_total_is_what_free_shows(booted):
    machine, _, mem_total = booted
    kilobytes = machine.totalram_pages * 4
    assert 0 <= kilobytes - mem_total <= 4 * UNEXPLAINED
    assert kilobytes == pytest.approx(mem_total, rel=0.001)


def test_what_is_kept_is_reserved_held_and_no_page_twice(booted):
    machine, _, _ = booted
    pages = set()
    for each in machine.boot_reservations:
        here = range(each.start_pfn, each.start_pfn + each.nr_pages)
        assert pages.isdisjoint(here)
        pages.update(here)
        for pfn in (here[0], here[-1]):
            page = machine.page(pfn)
            assert page.reserved
            assert page.refcount == 1
    present = sum(zone.present_pages for zone in machine.kernel.zones)
    assert machine.totalram_pages == present - len(pages)
    assert machine.check() == []


def test_the_crash_kernel_lies_where_iomem_shows_it():
    # /proc/iomem of the machine with crashkernel=256M: 6f000000-7effffff : Crash kernel
    ram = MACHINES["6.12, 6 GiB, crashkernel=256M"][1]
    (crash,) = [
        each for each in boot_reservations(ram, crashkernel_pages=65536) if each.what == "crash kernel"
    ]
    assert (crash.start_pfn, crash.nr_pages) == (0x6F000, 0x10000)


def test_bounce_buffers_are_kept_only_where_memory_lies_above_4_gib():
    kept = {mib: totals(boot_reservations([LOW, (256, (mib << 8) - 256)])) for mib in (4096, 4224)}
    assert "bounce buffers" not in kept[4096]
    assert kept[4224]["bounce buffers"] == 16384  # IO_TLB_DEFAULT_SIZE, 64 MiB


def test_bounce_buffers_are_halved_until_they_fit():
    # swiotlb_init_remap(), kernel/dma/swiotlb.c: half as many slabs each time, down to IO_TLB_MIN_SLABS.
    ram = [LOW, (256, 0x6000 - 256), (0x100000, 0x8000)]
    kept = totals(boot_reservations(ram))
    assert kept["bounce buffers"] == 8192
    assert kept["bounce buffer slots"] == 96  # 16,384 slots of 24 bytes


@pytest.mark.parametrize(
    ("mib", "scale", "entries"),
    [(512, 13, 65536), (256, 13, 32768), (4096, 14, 262144), (6144, 13, 1048576)],
)
def test_hash_tables_are_as_large_as_dmesg_says(mib, scale, entries):
    # "Dentry cache hash table entries: ..." and "Inode-cache ..." of the boots, with the memory left then.
    assert large_system_hash_pages((mib - 40) << 8, scale) == entries * 8 >> 12


def test_from_64_gib_on_hash_tables_grow_slower():
    # ADAPT_SCALE_BASE and ADAPT_SCALE_SHIFT, mm/mm_init.c: one bucket for twice the memory beyond 64 GiB.
    assert large_system_hash_pages(32 << 18, 13) == large_system_hash_pages((64 << 18) + 256, 13) // 2
    assert large_system_hash_pages(128 << 18, 13) == large_system_hash_pages(64 << 18, 13)


def test_a_machine_whose_image_is_not_in_ram_is_refused():
    with pytest.raises(MemsimError, match=r"the kernel image \[0x1000-0x3a04\] must be in RAM"):
        Machine([(0, 8192)], boot_reservations=True)


def test_a_crash_kernel_that_does_not_fit_is_refused():
    with pytest.raises(MemsimError, match="no room in boot memory for 262144 pages"):
        Machine([(0, 131072)], boot_reservations=True, crashkernel_pages=262144)


def test_without_the_option_nothing_is_kept():
    machine = Machine([(0, 131072)])
    assert machine.boot_reservations == []
    assert machine.totalram_pages == 131072


def test_every_release_has_an_image():
    for release in RELEASES:
        assert boot_reservations([(0, 131072)], release)
    assert IMAGES.keys() <= RELEASES.keys()


# ---- two public reports ----------------------------------------------------------------------------

# kata-containers issues 1621 and 4847: a container of 15 GiB in a guest with default_memory 256.
HOT_ADD_15_GIB = {
    "format": "memsim-scenario/1",
    "title": "256 MiB and a DIMM of 15 GiB",
    "machine": {"ram": [[0, 65536]], "boot_reservations": True},
    "steps": [{"do": "add_memory", "start_pfn": 1048576, "nr_pages": 3932160, "errno": "ENOMEM"}],
}


@pytest.mark.parametrize("release", RELEASES)
def test_15_gib_do_not_fit_into_a_guest_of_256_mib(release):
    # The memmap of 15 GiB takes 240 MiB. Debian's 6.12 and 7.3 printed these lines under QEMU.
    result = run(HOT_ADD_15_GIB, release=release)
    assert result.as_expected
    assert "no memory for the memmap of section" in result.outcomes[0].message
    assert result.machine.log == [
        "vmemmap alloc failure: order:9, mode:0x4cc0(GFP_KERNEL|__GFP_RETRY_MAYFAIL)",
        "WARNING: at arch/x86/mm/init_64.c add_pages()",
    ]
    assert 0x100000 not in result.machine.kernel.iomem
    assert result.machine.zone("DMA32").nr_free_pages < 512  # what was added keeps its memmap
    assert not run(HOT_ADD_15_GIB, release=release, boot_reservations=False).as_expected


# linux-mm, 18 July 2023, 'collision between ZONE_MOVABLE and memblock allocations'.
MOVABLECORE = {
    "format": "memsim-scenario/1",
    "title": "4 GiB, movablecore=256M",
    "machine": {
        "ram": [[1, 158], [256, 785920], [1048576, 262144]],
        "movablecore_pages": 65536,
        "reserved": [[0x13FF00, 192]],
    },
    "steps": [{"do": "offline", "block": 39, "errno": "EBUSY"}],
}


def test_boot_memory_in_zone_movable_keeps_a_block_online():
    result = run(MOVABLECORE)
    assert result.as_expected
    machine = result.machine
    assert {number: machine.block(number).zone.name for number in range(36, 40)} == {
        36: "Normal",
        37: "Normal",
        38: "Movable",
        39: "Movable",
    }
    assert any("unmovable page" in line for line in machine.log)
    assert machine.offline(38)


def test_the_memmap_lies_in_zone_movable_too():
    # Seen under QEMU: of 65,536 pages in Movable only 47,231 were managed; memblock does not know the zone.
    machine = run({**MOVABLECORE, "machine": {**MOVABLECORE["machine"], "boot_reservations": True}}).machine
    assert any(each.what == "memmap" and each.start_pfn > 0x130000 for each in machine.boot_reservations)


# ---- find_zone_movable_pfns_for_nodes() --------------------------------------------------------------


def start_of_movable(ram, core=0, movable=0):
    """Return where ZONE_MOVABLE begins."""
    kernel = Kernel(RELEASES["6.12"], AFTER)
    kernel.required_kernelcore, kernel.required_movablecore = core, movable
    return find_zone_movable_pfns_for_nodes(kernel, ram)


RAM_512 = [(1, 158), (256, 131072 - 256)]
RAM_4G = [(0, 0xC0000), (0x100000, 0x40000)]


@pytest.mark.parametrize(
    ("ram", "core", "movable", "start"),
    [
        (RAM_512, 0, 0, 0),
        (RAM_512, 0, 32768, 98304),  # the last 128 MiB; 97 pages are missing below, so rounded up
        (RAM_512, 65536, 0, 66560),  # 65,536 pages of RAM end at 65634 as 98 pages are no RAM; up to 1024
        (RAM_512, 65536, 32768, 98304),  # the larger of kernelcore and what movablecore leaves
        (RAM_512, 98304, 98304, 99328),
        (RAM_512, 1 << 30, 0, 0),  # kernelcore beyond all RAM: no ZONE_MOVABLE
        (RAM_512, 0, 1 << 30, 0),  # movablecore of all RAM leaves a kernelcore of 0: none was asked for
        (RAM_4G, 0x1000, 0, 0x100000),  # only the highest zone has movable memory, whatever is asked for
        (RAM_4G, 0xE0000, 0, 0x120000),
        (RAM_4G, 0, 100, 0x13FC00),  # rounded up to MAX_ORDER_NR_PAGES
        ([(0, 4096)], 0, 1024, 3072),  # DMA is the highest zone
    ],
)
def test_where_zone_movable_begins(ram, core, movable, start):
    assert start_of_movable(ram, core, movable) == start


@st.composite
def ram_lists(draw):
    """Return RAM with a kernel image's room, holes, and parts below and above 4 GiB."""
    low = draw(st.integers(0x6000, 0x20000))
    ram = [(draw(st.integers(0, 200)), 0), (256, low - 256)]
    ram[0] = (ram[0][0], 255 - ram[0][0])
    parts = st.tuples(st.integers(0, 600), st.integers(1, 0x10000))
    return ram + [
        (start + first, size)
        for start in (0x80000, 0x100000)
        for first, size in draw(st.lists(parts, max_size=1))
    ]


@settings(max_examples=25)
@given(ram_lists(), st.integers(0, 0x20000), st.integers(0, 0x20000), st.sampled_from(sorted(RELEASES)))
def test_every_page_of_ram_is_in_one_zone_whatever_is_asked_for(ram, core, movable, release):
    machine = Machine(
        ram, release=release, kernelcore_pages=core, movablecore_pages=movable, boot_reservations=True
    )
    zones = machine.kernel.zones
    assert sum(zone.present_pages for zone in zones) == sum(size for _, size in ram)
    kept = sum(each.nr_pages for each in machine.boot_reservations)
    assert sum(zone.managed_pages for zone in zones) == sum(size for _, size in ram) - kept
    assert machine.check() == []
    start = machine.zone("Movable").zone_start_pfn
    if machine.zone("Movable").present_pages:
        # kernelcore is a minimum: what lies below is at least as much, and nothing above is in another zone.
        assert start % 1024 == 0
        assert sum(min(size, max(0, start - pfn)) for pfn, size in ram) >= min(core, sum(n for _, n in ram))
        assert all(machine.kernel.memmap.zone_of(pfn) == 3 for pfn, _ in ram if pfn >= start)


def test_numbers_that_are_none_are_refused():
    for key in ("kernelcore_pages", "movablecore_pages"):
        with pytest.raises(MemsimError, match=f"{key} is -1, must be a whole number"):
            Machine(**{key: -1})
