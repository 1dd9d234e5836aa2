"""A machine as its user sees it: what it refuses, and what it allocates."""

from __future__ import annotations

import pytest

from memsim.errors import BadPage, KernelError, MemsimError
from memsim.linux.include.layout import MAX_PHYSMEM_PFN
from memsim.linux.include.page_flags import PageFlag
from memsim.machine.arguments import check_memory
from memsim.machine.machine import Machine
from memsim.patch import AFTER

P, N = 0x100000, 32768
BALLOON = {"kind": "hv-balloon", "name": "hv0"}
XEN = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": P}
KINDS = ("unmovable", "movable", "reclaimable")


def with_block(online_type="online_movable"):
    """Return a machine with block 32 online."""
    machine = Machine([(0, N)])
    machine.add_memory(P, N)
    machine.online(32, online_type)
    return machine


def test_a_machine_runs_the_whole_series_on_6_12_with_512_mib_unless_told_otherwise():
    machine = Machine()
    assert machine.kernel.patch == AFTER
    assert machine.kernel.release.name == "6.12"
    assert machine.totalram_pages == 512 << 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ram": []}, "at least one range of boot memory"),
        ({"ram": [(0, 0)]}, r"range \(0, 0\) is empty"),
        ({"ram": [(-512, 1024)]}, "negative"),
        ({"ram": [(0, 1024), (512, 1024)]}, "overlaps the one before it"),
        (
            {"ram": [(0, N)], "reserved": [(N - 1, 2)]},
            r"reserved: range \(32767, 2\) is negative, or not within",
        ),
        ({"ram": [(N, N)], "reserved": [(N - 1, 1)]}, "not within the sections of boot memory"),
        ({"reserved": [(5, -1)]}, r"reserved: range \(5, -1\) is negative"),
        ({"reserved": [(0, 1 << 70)]}, "not within the sections of boot memory"),
        ({"patch": {"MM_EXIT"}}, "'MM_EXIT' is not a hunk of the series"),
        ({"block_pages": "large"}, "block_pages is 'large', must be a whole number"),
        ({"devices": [7]}, "device 0 must be a JSON object"),
        ({"devices": [{"kind": "hv-balloon"}]}, "device 0: 'name' is None, must be a string"),
        ({"devices": [BALLOON, {"kind": "scsi"}]}, "device 1: 'kind' is 'scsi'; known are virtio-mem, hv-"),
        ({"devices": [BALLOON, BALLOON]}, "device 1: 'name' is 'hv0', must be a string that no other"),
        ({"devices": [BALLOON | {"size": 1}]}, r"device 0 \(hv0\): unknown key 'size'; known are kind, name"),
        ({"devices": [{"kind": "xen-balloon", "name": "x"}]}, r"\(x\): 'hotplug_start_pfn' is missing"),
        ({"devices": [XEN | {"hotplug_start_pfn": -1}]}, r"\(xen0\): 'hotplug_start_pfn' is -1, must be a w"),
        ({"devices": [XEN | {"extra_start_pfn": 131071, "extra_pages": 2}]}, r"range \(131071, 2\)"),
        ({"release": "6.6"}, "release '6.6' is not modelled"),
        ({"default_online_type": "on"}, "online type 'on' must be one of offline, online, online_kernel"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_with_the_rule(options, message):
    with pytest.raises(MemsimError, match=message):
        Machine(**options)


def test_an_unknown_zone_is_refused_with_the_names_there_are():
    with pytest.raises(MemsimError, match="no zone 'HighMem'; the zones are DMA, DMA32, Normal, Movable"):
        Machine().zone("HighMem")


def test_an_unknown_kind_of_device_memory_is_refused_with_the_kinds_there_are():
    with pytest.raises(MemsimError, match="kind 'dax' of device memory must be one of generic, fs_dax, priv"):
        Machine().memremap_pages(P, N, "dax")


@pytest.mark.parametrize("word", ["on", "Online", ""])
def test_an_unknown_online_type_is_refused(word):
    machine = with_block()
    with pytest.raises(MemsimError, match="must be one of offline, online, online_kernel, online_movable"):
        machine.online(32, word)


def test_a_migratetype_that_nobody_can_ask_for_is_refused():
    with pytest.raises(MemsimError, match="migratetype 'isolate' must be one of unmovable, movable, recl"):
        Machine().allocate(1, "isolate")


def test_the_largest_order_can_be_allocated():
    machine = Machine()
    machine.free(machine.allocate(order=10), order=10)
    assert machine.check() == []


@pytest.mark.parametrize("order", [-1, 11])
def test_an_order_that_no_free_list_has_is_refused(order):
    with pytest.raises(MemsimError, match=rf"order {order}: blocks have the orders 0 \(1 page\) to 10"):
        Machine().allocate(order=order)


def test_what_boot_code_keeps_may_overlap_lie_in_a_hole_of_a_section_and_be_empty():
    # memblock_reserve() merges what overlaps; pages of a section that are no RAM have a struct page, too.
    machine = Machine([(0, 512), (1024, 512)], reserved=[(0, 8), (4, 8), (512, 512), (99, 0)])
    assert machine.totalram_pages == 1024 - 12


@pytest.mark.parametrize(
    ("ram", "reserved"),
    [
        ([(P, 1)], []),  # one page is memory, too
        ([(0, N + 1)], [(2 * N - 1, 1)]),  # a section that begins with RAM has struct pages to its end
        ([(N - 1, 1)], [(0, N)]),
        ([(MAX_PHYSMEM_PFN - 1, 1)], []),
    ],
)
def test_memory_may_reach_to_the_bounds(ram, reserved):
    assert check_memory(ram, reserved) == reserved


@pytest.mark.parametrize(
    ("ram", "reserved"), [([(N, N)], (2 * N, 1)), ([(N, N)], (N - 1, 2)), ([(0, N), (2 * N, N)], (N - 1, 2))]
)
def test_memory_beyond_the_sections_of_ram_cannot_be_reserved(ram, reserved):
    with pytest.raises(MemsimError, match="not within the sections of boot memory"):
        check_memory(ram, [reserved])


def test_what_a_device_keeps_of_boot_memory_starts_at_0_unless_it_says_where():
    assert check_memory([(0, N)], [(9, 1)], [XEN | {"extra_pages": 5}]) == [(9, 1), (0, 5)]


def test_the_memory_block_size_follows_the_end_of_ram_unless_it_is_given():
    assert Machine([(0, N)]).block(0).nr_pages == N
    up_to_64_gib = [((64 << 18) - 16 * N, 16 * N)]
    assert Machine(up_to_64_gib).block(31).nr_pages == 16 * N  # 2 GiB
    assert Machine([(0, N)], block_pages=2 * N).block(0).nr_pages == 2 * N


def test_movable_pages_are_user_pages_on_the_lru_and_others_are_not():
    machine = with_block("online_kernel")
    flags = {kind: machine.page(machine.allocate(1, kind)[0]).flags for kind in KINDS}
    assert flags == {"unmovable": PageFlag(0), "movable": PageFlag.LRU, "reclaimable": PageFlag(0)}


def test_allocated_pages_are_distinct_and_lie_in_the_block_that_was_asked_for():
    pages = with_block().allocate(1500, block=32)
    assert len(set(pages)) == 1500
    assert all(P <= pfn < P + N for pfn in pages)


@pytest.mark.parametrize("kind", KINDS)
def test_freeing_gives_all_pages_back(kind):
    machine = with_block("online_kernel")
    free = machine.zone("Normal").nr_free_pages
    pages = machine.allocate(777, kind, block=32)
    assert machine.zone("Normal").nr_free_pages == free - 777
    machine.free(pages)
    assert pages == []
    assert machine.zone("Normal").nr_free_pages == free
    assert machine.check() == []


def test_an_allocation_that_does_not_succeed_as_a_whole_leaves_nothing_allocated(snapshot):
    machine = Machine([(P, 16)])
    free = machine.zone("Normal").nr_free_pages
    with pytest.raises(KernelError, match="ENOMEM"):
        machine.allocate(17)
    assert machine.zone("Normal").nr_free_pages == free
    assert machine.kernel.owners == {}
    assert snapshot(machine.kernel.state)["zones"]["Normal"]["lists"] == {(4, 1): [P]}  # merged again


def test_nothing_can_be_allocated_in_a_block_that_is_offline():
    machine = with_block()
    machine.offline(32)
    with pytest.raises(KernelError, match=r"ENOMEM.* in \[0x100000-0x107fff\]"):
        machine.allocate(1, block=32)


def test_kernel_memory_cannot_be_allocated_in_zone_movable():
    with pytest.raises(KernelError, match="no free unmovable block of order 0"):
        with_block().allocate(1, "unmovable", block=32)


def test_a_page_cannot_be_freed_twice():
    machine = with_block("online_kernel")
    pages = machine.allocate(1, "unmovable")
    again = list(pages)
    machine.free(pages)
    with pytest.raises(BadPage, match=f"pfn {again[0]:#x} has refcount 0"):
        machine.free(again)


def test_patience_0_gives_up_before_the_first_look():
    machine = with_block()
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=0)
    assert machine.offline(32)  # patience is for one attempt
