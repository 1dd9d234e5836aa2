"""What pages are born with, and boot (mm/mm_init.c; rows B1 to B5, O1, D1 of the state table)."""

from __future__ import annotations

import pytest

from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import NO_TYPE, PageFlag
from memsim.linux.init.main import start_kernel
from memsim.linux.mm.mm_init import first_state, memmap_init_range, memmap_init_zone_device
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY, MEMINIT_HOTPLUG
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.release import RELEASES
from memsim.state.kernel import Kernel
from memsim.state.tape import Tape

P = 0x100000
ZONES = ("DMA", "DMA32", "Normal")
OFFLINE_CODE = {"6.1": 0xFD, "6.12": 0xF1}  # 0xfffffeff >> 7 & 0xff, and the number of the type


def kernel_of(release="6.12", patch=AFTER):
    """Return a kernel with one section at P, uninitialised."""
    kernel = Kernel(RELEASES[release], patch)
    kernel.memmap.add_section(32)
    return kernel


def initialised(patch, zone=ZoneType.NORMAL, context=MEMINIT_HOTPLUG, release="6.12"):
    """Return the pages at both ends of a section that memmap_init_range() wrote."""
    kernel = kernel_of(release, patch)
    memmap_init_range(kernel, P, 32768, zone, context, MigrateType.ISOLATE)
    return [kernel.memmap.raw(pfn) for pfn in (P, P + 32767)]


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_before_the_patch_hotplugged_pages_are_born_reserved(release):
    for page in initialised(BEFORE, release=release):
        assert (page.flags, page.types, page.refcount) == (PageFlag.RESERVED, frozenset(), 1)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_after_the_patch_hotplugged_pages_are_born_offline(release):
    for page in initialised(AFTER, release=release):
        assert (page.flags, page.offline, page.refcount) == (PageFlag(0), True, 1)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_hunk_mm_init_alone_decides_what_they_are_born_with(release):
    only = first_state(kernel_of(release, Patch({Hunk.MM_INIT})), ZoneType.MOVABLE, MEMINIT_HOTPLUG)
    rest = first_state(kernel_of(release, Patch.without({Hunk.MM_INIT})), ZoneType.MOVABLE, MEMINIT_HOTPLUG)
    assert only == (0, OFFLINE_CODE[release])
    assert rest == (int(PageFlag.RESERVED), NO_TYPE)


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_device_memory_stays_reserved(patch):
    state = first_state(kernel_of(patch=patch), ZoneType.DEVICE, MEMINIT_HOTPLUG)
    assert state == (int(PageFlag.RESERVED), NO_TYPE)


@pytest.mark.parametrize("refcount", [0, 1])
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_pages_of_a_device_are_reserved_movable_and_held_as_their_kind_wants(patch, refcount):
    # __init_zone_device_page(), mm/mm_init.c: private and coherent memory starts without a reference.
    kernel = kernel_of(patch=patch)
    memmap_init_zone_device(kernel, P + 512, 1024, refcount)
    for page in (kernel.memmap.raw(P + 512), kernel.memmap.raw(P + 1535)):
        assert (page.flags, page.types, page.refcount) == (PageFlag.RESERVED, frozenset(), refcount)
        assert (page.zone, page.migratetype) == (ZoneType.DEVICE, MigrateType.MOVABLE)
    assert [kernel.memmap.raw(pfn).refcount for pfn in (P + 511, P + 1536)] == [-1, -1]  # poison still


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_boot_pages_are_born_without_a_mark(patch):
    for page in initialised(patch, context=MEMINIT_EARLY):
        assert (page.flags, page.types, page.refcount) == (PageFlag(0), frozenset(), 1)


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_every_page_gets_its_zone_and_every_pageblock_its_type(patch):
    first, last = initialised(patch, ZoneType.MOVABLE)
    assert {first.zone, last.zone} == {ZoneType.MOVABLE}
    assert {first.migratetype, last.migratetype} == {MigrateType.ISOLATE}


# ---- boot ------------------------------------------------------------------------------------------


def test_memory_is_divided_between_the_zones_at_16_mib_and_4_gib():
    machine = Machine([(0, P + 32768)])
    spans = {name: (machine.zone(name).zone_start_pfn, machine.zone(name).zone_end_pfn) for name in ZONES}
    assert spans == {"DMA": (0, 4096), "DMA32": (4096, P), "Normal": (P, P + 32768)}


def test_a_hole_at_the_edge_of_a_zone_is_part_of_its_span():
    # zone_spanned_pages_in_node(): a zone is cut off at the ends of all memory, not at those of its own.
    # A PC with memory above 4 GiB shows "spanned 1044480" for DMA32 in /proc/zoneinfo.
    machine = Machine([(0, 131072), (P + 2048, 32768)])
    spans = {name: (machine.zone(name).zone_start_pfn, machine.zone(name).spanned_pages) for name in ZONES}
    assert spans == {"DMA": (0, 4096), "DMA32": (4096, 1044480), "Normal": (P, 2048 + 32768)}
    assert machine.zone("DMA32").present_pages == 131072 - 4096
    assert machine.check() == []


def test_memory_added_in_the_hole_of_a_zone_joins_that_zone():
    machine = Machine([(0, 131072), (P, 32768)])  # default_kernel_zone_for_pfn(): DMA32 spans block 16
    machine.add_memory(16 * 32768, 32768)
    machine.online(16)
    assert machine.block(16).zone is machine.zone("DMA32")
    machine.offline(16)
    assert machine.zone("DMA32").spanned_pages == 1044480


def test_all_ram_that_is_not_reserved_is_free_managed_and_movable(kernel_kind):
    release, patch = kernel_kind
    machine = Machine([(P, 32768)], patch, release, reserved=[(P, 1024)])
    zone = machine.zone("Normal")
    assert (zone.spanned_pages, zone.present_pages, zone.present_early_pages) == (32768, 32768, 32768)
    assert zone.managed_pages == zone.nr_free_pages == machine.totalram_pages == 32768 - 1024
    assert set(machine.kernel.memmap.section(P).pageblocks) == {MigrateType.MOVABLE}
    assert machine.check() == []


def test_memory_that_boot_code_keeps_is_reserved_and_present_and_not_managed(kernel_kind):
    release, patch = kernel_kind
    page = Machine([(P, 32768)], patch, release, reserved=[(P + 10, 5)]).page(P + 12)
    assert (page.reserved, page.refcount, page.types) == (True, 1, frozenset())
    assert (page.present, page.managed) == (True, False)


def test_a_hole_in_a_section_is_reserved_and_neither_present_nor_managed(kernel_kind):
    release, patch = kernel_kind
    machine = Machine([(P, 1000)], patch, release)
    page = machine.page(P + 1000)
    assert (page.reserved, page.present, page.managed) == (True, False, False)
    assert machine.zone("Normal").managed_pages == 1000
    assert machine.check() == []


@pytest.mark.parametrize(
    ("ram", "hole", "zone"),
    [
        ([(0, 0x7FFE0), (0x100000, 32768)], 0x7FFE0, "Normal"),  # firmware keeps the end of low memory
        ([(0, 0x7FFE0), (0x88000, 32768)], 0x7FFE0, "DMA32"),
        ([(0, 0x9F), (0x100, 0xEF0), (0x1010, 0x6FF0)], 0xFF0, "DMA32"),  # it crosses 16 MiB
        ([(0, 0x9F), (0x100, 0x7F00)], 0x9F, "DMA"),
        ([(0, 0x1FFE0)], 0x1FFE0, "DMA32"),  # nothing follows
        ([(0, 0x20000), (0x100000, 32000)], 0x100000 + 32000, "Normal"),
    ],
)
def test_a_hole_belongs_to_the_zone_of_the_ram_that_follows_it(kernel_kind, ram, hole, zone):
    # memmap_init_zone_range() and the end of memmap_init(), mm/mm_init.c: a hole is initialised with the
    # zone of the range that was met after it.
    release, patch = kernel_kind
    machine = Machine(ram, release=release, patch=patch)
    assert machine.page(hole).zone == machine.zone(zone).type
    assert machine.page(hole).reserved
    assert machine.check() == []


def test_a_boot_block_has_the_zone_whose_span_it_lies_in(kernel_kind):
    # early_node_zone_for_memory_block(), drivers/base/memory.c: spans, not pages. Block 15 ends in a hole
    # whose pages belong to Normal; block 0 lies in DMA and DMA32.
    release, patch = kernel_kind
    machine = Machine([(0, 0x7FFE0), (0x100000, 32768)], release=release, patch=patch)
    zones = {number: machine.block(number).zone for number in (0, 1, 15, 32)}
    assert zones == {
        0: None,
        1: machine.zone("DMA32"),
        15: machine.zone("DMA32"),
        32: machine.zone("Normal"),
    }


def test_boot_frees_the_largest_blocks_that_alignment_and_end_allow():
    # pfn 1 up to 12: 1 | 2..3 | 4..7 | 8..11, of orders 0, 1, 2 and then 2 because order 3 is too long.
    machine = Machine([(P + 1, 11)])
    zone = machine.zone("Normal")
    heads = {order: list(zone.free_area[order][MigrateType.MOVABLE]) for order in range(4)}
    assert heads == {0: [P + 1], 1: [P + 2], 2: [P + 8, P + 4], 3: []}


def test_boot_memory_lies_on_the_free_list_in_ascending_order():
    machine = Machine([(P, 32768)])
    heads = list(reversed(machine.zone("Normal").free_area[10][MigrateType.MOVABLE]))
    assert heads == list(range(P, P + 32768, 1024))


def test_memtotal_is_added_once_when_all_boot_memory_is_free(kernel_kind):
    release, patch = kernel_kind
    kernel = Kernel(RELEASES[release], patch)
    tape = Tape(kernel.state)
    kernel.put_trace(tape)
    start_kernel(kernel, [(P, 32768)])
    added = [i for i, event in enumerate(tape.events) if event.primitive == "totalram_pages_add"]
    assert len(added) == 1
    before = tape.at(added[0] - 1)
    assert before.totalram_pages == 0
    assert before.zone(ZoneType.NORMAL).managed_pages == before.zone(ZoneType.NORMAL).nr_free_pages == 32768
    assert kernel.state.totalram_pages == 32768


def test_the_sections_that_hold_boot_memory_are_present_and_no_others():
    assert set(Machine([(P, 32768)]).kernel.memmap.sections) == {32}
    assert set(Machine([(P + 32767, 2)]).kernel.memmap.sections) == {32, 33}


def test_boot_sections_are_online_and_early():
    section = Machine([(P, 1000)]).kernel.memmap.section(P)
    assert section.online
    assert section.early


def test_pages_are_reserved_before_the_first_is_freed_inside_memblock_free_all():
    # mm/memblock.c, 6.1 and 6.12: memblock_free_all() -> free_low_memory_core_early() ->
    # memmap_init_reserved_pages() -> reserve_bootmem_region(), and only then __free_memory_core().
    tape = Machine([(P, 32768)], reserved=[(P, 8), (P + 1024, 8)], record=True).tape
    points = [event.point.partition("#")[0] for _, event in tape.points()]
    inside = points[points.index("enter:memblock_free_all") : points.index("return:memblock_free_all")]
    assert inside[1:6] == ["enter:reserve_bootmem_region", "return:reserve_bootmem_region"] * 2 + [
        "enter:__free_pages_core"
    ]


def test_who_watches_boot_sees_every_chunk_of_a_whole_section_freed():
    # __free_pages_memory(), mm/memblock.c: chunks of the largest order that start and end allow.
    tape = Machine([(P, 32768)], record=True).tape
    points = [event for _, event in tape.points() if event.point.startswith("enter:__free_pages_core")]
    assert [event.args[:2] for event in points] == [(P + 1024 * chunk, 10) for chunk in range(32)]


def test_reserved_ranges_may_come_in_any_order():
    # memblock keeps its ranges sorted.
    machine = Machine([(P, 2048)], reserved=[(P + 1024, 8), (P, 8)])
    assert machine.zone("Normal").managed_pages == 2048 - 16
    assert machine.check() == []


def test_memory_that_boot_code_kept_is_freed_late_page_by_page_and_memtotal_grows_with_each(kernel_kind):
    # memblock_free_late(), mm/memblock.c: __free_pages_core() of order 0, and totalram_pages_inc().
    release, patch = kernel_kind
    machine = Machine([(P, 1024)], patch, release, reserved=[(P + 100, 50)])
    tape = machine.record()
    machine.memblock_free_late(P + 100, 40)
    assert [event.args for event in tape.events if event.primitive == "totalram_pages_add"] == [(1,)] * 40
    zone = machine.zone("Normal")
    assert zone.managed_pages == zone.nr_free_pages == machine.totalram_pages == 1024 - 10
    assert [machine.page(pfn).reserved for pfn in range(P + 99, P + 151)] == [False] * 41 + [True] * 10 + [
        False
    ]
    assert machine.check() == []
