"""Memory blocks: adding, removing, and what sysfs shows (drivers/base/memory.c)."""

from __future__ import annotations

import pytest

from memsim.errors import KernelError
from memsim.linux.drivers.base.core import device_offline, device_online
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.machine.machine import Machine

P, N = 0x100000, 32768


def booted(**options):
    """Return a machine with 128 MiB."""
    return Machine([(0, N)], **options)


def refused(name, do, *arguments):
    """Do what must be refused, and return the message."""
    with pytest.raises(KernelError) as caught:
        do(*arguments)
    assert caught.value.name == name
    return str(caught.value)


# ---- add -------------------------------------------------------------------------------------------


def test_a_dimm_becomes_blocks_that_are_offline_and_belong_to_no_zone():
    machine = booted()
    machine.add_memory(P, 3 * N)
    blocks = [machine.block(block) for block in (32, 33, 34)]
    assert [(block.start_pfn, block.state, block.zone) for block in blocks] == [
        (P, "offline", None),
        (P + N, "offline", None),
        (P + 2 * N, "offline", None),
    ]


def test_a_memory_block_of_several_sections_goes_online_and_offline_as_one():
    machine = booted(block_pages=4 * N)
    machine.add_memory(P, 4 * N)
    machine.online(8)
    assert machine.zone("Normal").managed_pages == 4 * N
    assert machine.page(P + 4 * N - 1024).order == 10
    machine.offline(8)
    assert machine.zone("Normal").managed_pages == 0
    assert machine.check() == []


@pytest.mark.parametrize(("pfn", "nr_pages"), [(P + 512, N), (P, N - 512), (P, N + 1), (P + N // 2, N // 2)])
def test_what_is_not_whole_blocks_is_einval_that_names_the_pfn_and_the_block_size(snapshot, pfn, nr_pages):
    machine = booted()
    before = snapshot(machine.kernel.state)
    message = refused("EINVAL", machine.add_memory, pfn, nr_pages)
    assert f"pfn {pfn:#x}" in message
    assert "multiples of the memory block size (32768 pages)" in message
    # check_hotplug_memory_range(), mm/memory_hotplug.c: the size of a block, start and size in bytes.
    line = f"Block size [0x8000000] unaligned hotplug range: start {pfn << 12:#x}, size {nr_pages << 12:#x}"
    assert snapshot(machine.kernel.state) == before | {"log": [line]}
    machine.add_memory(P, N)  # the resource was given back


def test_an_empty_range_is_einval_that_names_the_pfn():
    assert "pfn 0x100000, 0 pages" in refused("EINVAL", booted().add_memory, P, 0)


@pytest.mark.parametrize(("pfn", "nr_pages"), [(P, N), (P + N, N), (P - N, 3 * N), (P - N, 2 * N)])
def test_what_overlaps_known_memory_is_eexist_that_names_both_ranges(snapshot, pfn, nr_pages):
    machine = booted()
    machine.add_memory(P, 2 * N)
    before = snapshot(machine.kernel.state)
    message = refused("EEXIST", machine.add_memory, pfn, nr_pages)
    assert f"[{pfn:#x}-{pfn + nr_pages - 1:#x}] overlaps System RAM [0x100000-0x10ffff]" in message
    assert snapshot(machine.kernel.state) == before


def test_what_ends_beyond_64_tib_is_e2big():
    # Four-level page tables map 46 bits of physical address: pfn 1 << 34 is the first they do not.
    machine = booted()
    assert "ends beyond pfn 0x400000000" in refused("E2BIG", machine.add_memory, (1 << 34) - N, 2 * N)
    machine.add_memory((1 << 34) - N, N)
    machine.online((1 << 34) // N - 1)
    assert machine.page((1 << 34) - 1024).order == 10


def test_boot_memory_is_known_memory():
    assert "overlaps System RAM [0x0-0x7fff]" in refused("EEXIST", booted().add_memory, 0, N)


def test_a_range_that_begins_where_another_ends_does_not_overlap():
    machine = booted()
    machine.add_memory(P, N)
    machine.add_memory(P + N, N)
    machine.add_memory(P - N, N)
    assert [machine.block(block).state for block in (31, 32, 33)] == ["offline"] * 3


def test_without_memory_for_the_memmap_adding_is_enomem_and_the_sections_before_stay(snapshot):
    # The memmap of a section takes 512 pages: 1024 pages of boot memory are enough for two. __add_pages()
    # and its callers remove nothing after an error (mm/memory_hotplug.c, 6.1 and 6.12). Seen on a Debian 6.12
    # with 256 MiB and a DIMM of 15 GiB: "add_memory failed", then "System is deadlocked on memory".
    machine = Machine([(0x200000, 1024)])
    free = machine.zone("Normal").nr_free_pages
    message = refused("ENOMEM", machine.add_memory, P, 3 * N)
    assert "no memory for the memmap of section" in message
    assert machine.zone("Normal").nr_free_pages == free - 1024 == 0
    assert [machine.kernel.memmap.pfn_valid(P + n * N) for n in range(3)] == [True, True, False]
    assert 32 not in snapshot(machine.kernel.state)["blocks"]
    assert machine.log == [
        "vmemmap alloc failure: order:9, mode:0x4cc0(GFP_KERNEL|__GFP_RETRY_MAYFAIL)",
        "WARNING: at arch/x86/mm/init_64.c add_pages()",
    ]
    assert "section 32 is populated" in refused("EEXIST", machine.add_memory, P, N)
    assert len(machine.log) == 2  # both lines are printed once


def test_blocks_come_online_by_themselves_when_the_default_says_so():
    machine = booted(default_online_type="online_movable")
    machine.add_memory(P, 2 * N)
    assert [machine.block(block).state for block in (32, 33)] == ["online", "online"]
    assert machine.zone("Movable").managed_pages == 2 * N


def test_a_block_that_does_not_come_online_by_itself_is_added_all_the_same():
    machine = booted(default_online_type="online")
    machine.register_memory_notifier(
        lambda action, start, _: NOTIFY_BAD if (action, start) == ("MEM_GOING_ONLINE", P + N) else None
    )
    machine.add_memory(P, 2 * N)
    assert [machine.block(block).state for block in (32, 33)] == ["online", "offline"]
    assert machine.log == []  # add_memory_resource() ignores what comes of it


# ---- remove ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_adding_and_removing_gives_all_memory_back(release):
    machine = Machine([(0, N)], release=release)
    machine.add_memory(P, 2 * N)
    machine.remove_memory(P, 2 * N)
    assert sum(zone.nr_free_pages for zone in machine.kernel.state.zones) == N
    assert not machine.kernel.memmap.pfn_valid(P)
    assert set(machine.kernel.state.blocks) == {0}
    assert "there is no memory block 32" in refused("ENOENT", machine.block, 32)
    machine.add_memory(P, 2 * N)
    assert machine.check() == []


def test_a_block_that_is_online_keeps_its_dimm_from_being_removed(snapshot):
    machine = booted()
    machine.add_memory(P, 2 * N)
    machine.online(33)
    before = snapshot(machine.kernel.state)
    message = refused("EBUSY", machine.remove_memory, P, 2 * N)
    assert "memory block 33 of [0x100000-0x10ffff] is online" in message
    assert snapshot(machine.kernel.state) == before


def test_what_was_never_added_cannot_be_removed():
    assert "there is no memory block 32; present are 0" in refused("ENOENT", booted().remove_memory, P, N)


def test_what_is_not_whole_blocks_cannot_be_removed():
    machine = booted()
    machine.add_memory(P, N)
    refused("EINVAL", machine.remove_memory, P, N - 512)


@pytest.mark.parametrize(("stays", "goes"), [(33, 32), (32, 33)])
def test_half_of_a_dimm_can_be_removed_and_added_again(stays, goes):
    machine = booted()
    machine.add_memory(P, 2 * N)
    machine.online(stays, "online_movable")
    machine.remove_memory(goes * N, N)
    assert machine.kernel.iomem == {0: (N, "System RAM"), stays * N: (N, "System RAM")}
    machine.offline(stays)  # its half of the resource is still there: no hole
    machine.add_memory(goes * N, N)
    machine.online(goes)
    assert machine.check() == []


def test_the_middle_of_a_dimm_can_be_removed():
    machine = booted()
    machine.add_memory(P, 3 * N)
    for block in (32, 34):
        machine.online(block, "online_movable")
    machine.remove_memory(P + N, N)
    assert machine.kernel.iomem == dict.fromkeys((0, P, P + 2 * N), (N, "System RAM"))
    assert "overlaps System RAM [0x100000-0x107fff]" in refused("EEXIST", machine.add_memory, P, 2 * N)
    assert "overlaps System RAM [0x110000-0x117fff]" in refused("EEXIST", machine.add_memory, P + N, 2 * N)
    machine.add_memory(P + N, N)
    assert machine.check() == []


# ---- online and offline ----------------------------------------------------------------------------


def test_the_state_file_shows_each_state_while_it_lasts():
    machine = booted()
    machine.add_memory(P, N)
    seen = []
    machine.register_memory_notifier(lambda *_: seen.append(machine.kernel.state.blocks[32]))
    machine.online(32)
    machine.offline(32)
    seen.append(machine.kernel.state.blocks[32])
    # The notifiers run inside; "online" is written when all is done.
    # MEM_PREPARE_ONLINE, GOING_ONLINE, ONLINE; GOING_OFFLINE, OFFLINE, MEM_FINISH_OFFLINE; and afterwards.
    assert seen == ["offline"] * 3 + ["going-offline"] * 3 + ["offline"]


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_writing_the_state_that_a_block_has_is_einval_and_changes_nothing(snapshot, release):
    # state_store(): device_online() and device_offline() return 1, and what is not 0 becomes EINVAL.
    machine = Machine(release=release)
    machine.add_memory(P, N)
    with pytest.raises(KernelError, match=r"EINVAL.*memory block 32 is offline already"):
        machine.offline(32)
    machine.online(32)
    before = snapshot(machine.kernel.state)
    with pytest.raises(KernelError, match=r"EINVAL.*memory block 32 is online already"):
        machine.online(32, "online_movable")
    assert snapshot(machine.kernel.state) == before


def test_callers_in_the_kernel_see_success_where_a_block_has_that_state():
    machine = Machine()
    machine.add_memory(P, N)
    block = machine.block(32)
    assert device_offline(machine.kernel, block) is False
    assert device_online(machine.kernel, block) is True
    assert device_online(machine.kernel, block) is False
    machine.offline_and_remove_memory(P, N)
    assert 32 not in machine.kernel.memory_blocks


def test_an_unknown_block_is_enoent_that_names_it_and_the_ones_there_are():
    machine = booted()
    machine.add_memory(P, N)
    for do in (machine.online, machine.offline, machine.block):
        assert "there is no memory block 99; present are 0, 32" in refused("ENOENT", do, 99)


def test_a_block_of_two_zones_cannot_go_offline():
    # Block 0 holds ZONE_DMA and the beginning of ZONE_DMA32.
    machine = booted()
    assert "memory block 0 spans more than one zone" in refused("EINVAL", machine.offline, 0)
    assert machine.kernel.state.blocks[0] == "online"


def test_boot_memory_of_one_zone_can_go_offline():
    machine = Machine([(0, 4 * N)])
    machine.offline(2)
    zone = machine.zone("DMA32")
    assert (zone.present_pages, zone.present_early_pages) == (3 * N - 4096, 3 * N - 4096)
    assert machine.check() == []


def test_two_blocks_of_boot_memory_that_meet_at_4_gib_are_of_one_zone_each():
    machine = Machine([(P - N, 2 * N)])
    assert [machine.block(block).zone.name for block in (31, 32)] == ["DMA32", "Normal"]


# ---- self-hosted vmemmap ---------------------------------------------------------------------------


def hosting(patch, release, blocks=1, **options):
    """Return a machine with offline blocks that will hold their own struct pages: 512 pages of each."""
    machine = booted(patch=patch, release=release, memmap_on_memory=True, **options)
    for block in range(blocks):
        machine.add_memory(P + block * N, N)
    return machine


def movable(machine):
    """Return where ZONE_MOVABLE starts, and its spanned, present and managed pages."""
    zone = machine.zone("Movable")
    return zone.zone_start_pfn, zone.spanned_pages, zone.present_pages, zone.managed_pages


def test_vmemmap_comes_into_the_zone_with_its_block_and_leaves_with_it(kernel_kind):
    # memory_block_online() and memory_block_offline(), drivers/base/memory.c: present, and never managed.
    # mhp_deinit_memmap_on_memory() takes it out; arch_remove_memory() finds no memmap of the buddy's.
    release, patch = kernel_kind
    machine = hosting(patch, release, blocks=2)
    total = machine.totalram_pages
    machine.online(32, "online_movable")
    machine.online(33, "online_movable")
    assert movable(machine) == (P, 2 * N, 2 * N, 2 * (N - 512))
    machine.offline(32)
    assert movable(machine) == (P + N, N, N, N - 512)  # vmemmap, too, is no longer inside
    machine.offline(33)
    assert movable(machine) == (0, 0, 0, 0)
    for block in (32, 33):  # 6.1 adds no more than one such block at once
        machine.remove_memory(block * N, N)
    assert set(machine.kernel.memmap.sections) == {0}
    assert machine.totalram_pages == total  # nothing of the memmap was taken from the buddy
    assert machine.check() == []


def test_vmemmap_leaves_the_zone_when_its_block_does_not_come_online(kernel_kind):
    release, patch = kernel_kind
    machine = hosting(patch, release)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    assert "vetoed MEM_GOING_ONLINE" in refused("EPERM", machine.online, 32, "online_movable")
    assert movable(machine) == (0, 0, 0, 0)
    assert not machine.kernel.memmap.section(P).online


def test_vmemmap_stays_present_when_its_block_does_not_go_offline(kernel_kind):
    release, patch = kernel_kind
    machine = hosting(patch, release)
    machine.online(32, "online_movable")
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_OFFLINE" else None)
    assert "vetoed MEM_GOING_OFFLINE" in refused("EPERM", machine.offline, 32)
    assert movable(machine) == (P, N, N, N - 512)


def test_a_section_that_is_all_vmemmap_stays_offline_with_its_block():
    machine = Machine([(0, N)], block_pages=64 * N, memmap_on_memory=True)
    machine.add_memory(64 * N, 64 * N)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    refused("EPERM", machine.online, 1)
    assert not machine.kernel.memmap.sections[64].online


def test_a_section_that_is_all_vmemmap_is_online_as_long_as_its_block():
    # mhp_init_memmap_on_memory(): struct pages for 64 sections fill one, which online_pages() never sees.
    machine = Machine([(0, N)], block_pages=64 * N, memmap_on_memory=True)
    machine.add_memory(64 * N, 64 * N)
    sections = machine.kernel.memmap.sections
    for change, online in ((machine.online, True), (machine.offline, False)):
        change(1)
        assert [sections[nr].online for nr in (64, 65, 127)] == [online] * 3


# ---- which zone ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("online_type", "zone"),
    [("online", "Normal"), ("online_kernel", "Normal"), ("online_movable", "Movable")],
)
def test_the_first_block_goes_where_it_is_told_and_to_normal_otherwise(online_type, zone):
    machine = booted()
    machine.add_memory(P, N)
    machine.online(32, online_type)
    assert machine.zone(zone).managed_pages == N


def test_online_follows_the_neighbours():
    # The middle block lies inside the span of the zone that its neighbours are in.
    for neighbours, zone in (("online_movable", "Movable"), ("online_kernel", "Normal")):
        machine = booted()
        machine.add_memory(P, 3 * N)
        machine.online(32, neighbours)
        machine.online(34, neighbours)
        machine.online(33, "online")
        assert machine.page(P + N).zone == machine.zone(zone).type


@pytest.mark.parametrize("neighbour", [32, 34])
def test_online_next_to_a_zone_is_not_inside_it(neighbour):
    # A zone's span ends before its neighbour begins, so nobody speaks for ZONE_MOVABLE.
    machine = booted()
    machine.add_memory(P, 3 * N)
    machine.online(neighbour, "online_movable")
    machine.online(33, "online")
    assert machine.page(P + N).zone == machine.zone("Normal").type


def test_online_inside_both_zones_goes_to_the_kernel_zone():
    machine = booted()
    machine.add_memory(P, 5 * N)
    for block, online_type in ((32, "online_kernel"), (33, "online_movable"), (35, "online_movable")):
        machine.online(block, online_type)
    machine.online(36, "online_kernel")
    machine.online(34, "online")
    assert machine.page(P + 2 * N).zone == machine.zone("Normal").type


def test_online_kernel_goes_to_the_kernel_zone_whose_span_the_block_lies_in():
    # A hole in boot memory below 4 GiB is inside the span of DMA32.
    machine = Machine([(0, N), (4 * N, N)])
    machine.add_memory(2 * N, N)
    machine.online(2, "online_kernel")
    assert machine.page(2 * N).zone == machine.zone("DMA32").type


def test_online_kernel_goes_to_a_kernel_zone_even_between_blocks_of_zone_movable():
    machine = booted()
    machine.add_memory(P, 3 * N)
    machine.online(32, "online_movable")
    machine.online(34, "online_movable")
    machine.online(33, "online_kernel")
    assert [machine.block(block).zone.name for block in (32, 33, 34)] == ["Movable", "Normal", "Movable"]
    assert machine.check() == []


def test_present_early_pages_are_those_of_boot_sections_only():
    machine = booted()
    machine.add_memory(P, N)
    machine.online(32)
    assert machine.zone("Normal").present_early_pages == 0
