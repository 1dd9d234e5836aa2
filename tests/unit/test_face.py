"""What a kernel engineer meets at a prompt: names, reprs, and errors instead of tracebacks."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

import memsim
from memsim import AFTER, BEFORE, Hunk, KernelError, Machine, MemsimError, Patch, lesson
from memsim.linux.include.mmzone import MigrateType, ZoneType

SCENARIO = {
    "format": "memsim-scenario/1",
    "title": "A DIMM",
    "machine": {"ram": [[0, 131072]]},
    "steps": [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 32768},
        {"do": "online", "block": 32, "type": "online_movable"},
    ],
}


def with_dimm(**options):
    """Return a machine with block 32 added and offline."""
    machine = Machine(**options)
    machine.add_memory(0x100000, 32768)
    return machine


def test_dir__shows_the_public_names_and_nothing_private():
    shown = dir(memsim)
    assert set(memsim.__all__) <= set(shown)
    assert {name for name in shown if not name.startswith("__")} == set(memsim.__all__)


@pytest.mark.parametrize("name", memsim.__all__)
def test_all__each_name_exists_and_the_docstring_lists_it(name):
    assert getattr(memsim, name) is not None
    assert re.search(rf":(class|func|data):`{name}`", memsim.__doc__)


def test_getattr__names_what_is_missing():
    with pytest.raises(AttributeError, match="no attribute 'Mashine'"):
        _ = memsim.Mashine


def test_machine__repr_says_kernel_size_and_blocks():
    assert repr(with_dimm(patch="before")) == (
        "Machine(6.12, before the patch, 640 MiB, blocks 0-3 online, 32 offline)"
    )
    assert repr(Machine(patch="MM_INIT", release="6.1")) == (
        "Machine(6.1, with MM_INIT only, 512 MiB, blocks 0-3 online)"
    )


def test_state__reprs_are_short_and_say_what_a_thing_is():
    machine = with_dimm()
    tape = machine.record()
    machine.online("memory32")
    assert repr(machine.kernel) == "Kernel(6.12, after the patch)"
    assert repr(machine.kernel.memmap) == "Memmap(sections 0-3, 32; 5 online)"
    assert repr(machine.kernel.state).startswith(
        "State(totalram_pages=163840, zones DMA, DMA32, Normal, blocks"
    )
    assert repr(tape) == f"Tape({len(tape)} events, {len(tape.labels)} steps)"


@pytest.mark.parametrize("patch", [BEFORE, AFTER])
def test_page_functions__have_the_kernels_names_and_show_the_patch(patch):
    machine = with_dimm(patch=patch, memmap_on_memory=True)
    machine.online(32, "online_movable")
    vmemmap, head = machine.page(0x100000), machine.page(0x100400)
    # memmap_init_range() marks hotplugged pages, and a block's own memmap never goes to the buddy.
    assert memsim.PageReserved(vmemmap) is (patch == BEFORE)
    assert [memsim.PageBuddy(page) for page in (vmemmap, head)] == [False, True]
    assert [memsim.page_ref_count(page) for page in (vmemmap, head)] == [1, 0]
    assert memsim.page_to_pfn(head) == 0x100400
    assert not memsim.PageHWPoison(head)


def test_page_functions__a_page_that_a_driver_withholds_is_offline():
    machine = Machine(devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].inflate(512)
    held, _ = machine.devices["hv0"].held[0]
    assert memsim.PageOffline(machine.page(held))
    assert not memsim.PageOffline(machine.page(0x300))


@pytest.mark.parametrize(
    "name", ["PageReserved", "PageOffline", "PageBuddy", "PageHWPoison", "page_ref_count", "page_to_pfn"]
)
def test_page_functions__refuse_a_pfn(name):
    with pytest.raises(MemsimError, match=r"256 is not a page: Machine\.page\(pfn\) returns one"):
        getattr(memsim, name)(0x100)


def test_page__repr_is_in_hexadecimal_and_names_the_migratetype():
    machine = with_dimm()
    machine.online(32, "online_movable")
    assert repr(machine.page(0x100000)) == (
        "Page(pfn=0x100000, zone=Movable, flags=none, type=buddy, refcount=0, order=10, "
        "migratetype=movable, managed=True, present=True)"
    )


def test_memory_block__repr_is_in_hexadecimal():
    assert repr(with_dimm().block(32)).startswith("MemoryBlock(32, 0x100000, 32768 pages, offline")


def test_blocks_and_zones__are_there_by_number_and_name():
    machine = with_dimm()
    assert list(machine.blocks) == [0, 1, 2, 3, 32]
    assert machine.blocks[32].state == "offline"
    assert list(machine.zones) == ["DMA", "DMA32", "Normal", "Movable", "Device"]
    assert machine.zones["Normal"] is machine.zone("Normal")


@pytest.mark.parametrize("name", ["Movable", "movable", "ZONE_MOVABLE", ZoneType.MOVABLE])
def test_zone__takes_the_names_of_proc_and_of_the_kernel(name):
    assert Machine().zone(name).name == "Movable"


def test_zone__lists_the_zones_when_the_name_is_wrong():
    with pytest.raises(MemsimError, match="no zone 'HighMem'; the zones are DMA, DMA32, Normal"):
        Machine().zone("HighMem")
    with pytest.raises(MemsimError, match=r"zone 'Normal': .*Machine\.zone\(\) takes names"):
        Machine().kernel.zone("Normal")


@pytest.mark.parametrize("migratetype", ["movable", "MIGRATE_MOVABLE", MigrateType.MOVABLE])
def test_allocate__takes_the_kernel_s_names(migratetype):
    machine = Machine()
    (pfn,) = machine.allocate(1, migratetype)
    assert machine.page(pfn).refcount > 0


def test_online__takes_the_name_that_sysfs_uses():
    machine = with_dimm()
    assert machine.online("memory32")
    assert machine.offline("memory32")
    with pytest.raises(MemsimError, match="memory block 'DIMM 0': must be a number"):
        machine.online("DIMM 0")


def test_free__of_a_wrong_pfn_leaves_the_list_as_it_was():
    machine = Machine()
    pfns = [*machine.allocate(2), 0x900000]
    kept = list(pfns)
    with pytest.raises(memsim.BadPage, match="0x900000"):
        machine.free(pfns)
    assert pfns == kept


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Machine().page("0x100000"), "pfn '0x100000' \\(str\\) must be a whole number"),
        (lambda: Machine(ram=0x20000), "ram is 131072, must be a list of"),
        (lambda: Machine(ram=[(0, 131072)], reserved=[5]), r"reserved is \[5\], must be a list of"),
        (lambda: Machine(patch="MM_EXIT"), "'MM_EXIT' is not a hunk of the series; the hunks are"),
    ],
)
def test_machine__wrong_arguments_are_refused_by_name(call, message):
    with pytest.raises(MemsimError, match=message):
        call()


def test_patch__is_a_value_to_calculate_with():
    assert repr(AFTER - {Hunk.MM_INIT}) == repr(Patch.without("MM_INIT"))
    assert (Patch("MM_INIT") | Patch("PAGE_ALLOC")).name == "MM_INIT,PAGE_ALLOC"
    assert Machine(patch="before").kernel.patch == BEFORE


def test_run_and_compare__take_paths_and_dicts(tmp_path):
    path = tmp_path / "dimm.json"
    path.write_text(json.dumps(SCENARIO), encoding="utf-8")
    for given in (path, str(path), SCENARIO, memsim.Scenario.load(path)):
        assert memsim.run(given, "before").as_expected
    compared = memsim.compare(str(path))
    assert repr(compared).startswith("Comparison('A DIMM', 6.12, before the patch | 6.12, after the patch, ")
    assert len(repr(compared)) < 120
    assert repr(compared.before) == "Run('A DIMM', 6.12, before the patch, 2 steps done)"
    assert repr(compared.scenario) == "Scenario('A DIMM', 2 steps)"


def test_verify__takes_names_and_paths(tmp_path):
    verified = memsim.verify("6.12-zone-device")
    assert verified.agrees
    assert verified.pages > 0
    assert repr(verified).endswith(f"0 differ, {verified.probes} probes, 1 recordings)")
    with pytest.raises(memsim.BadObservation, match="cannot be read"):
        memsim.verify(tmp_path / "none.json")


DEVICES = [
    {
        "kind": "virtio-mem",
        "name": "vm0",
        "start_pfn": 0x100000,
        "region_pages": 65536,
        "device_block_pages": 512,
    },
    {"kind": "hv-balloon", "name": "hv0"},
    {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 0x200000},
]


def state_of(machine):
    """Return what a machine shows of itself, page by page."""
    sections = machine.kernel.memmap.sections
    arrays = {
        (nr, name): bytes(getattr(section.pages, name)) + bytes(section.pageblocks)
        for nr, section in sections.items()
        for name in ("flags", "type", "order", "refcount")
    }
    return arrays, repr(machine), [repr(zone) for zone in machine.zones.values()], list(machine.log)


def pickled(machine):
    """Return a machine that was written and read back."""
    return pickle.loads(pickle.dumps(machine))  # noqa: S301 (our own)


def use(machine):
    """Online, use and offline memory, and return what every step ended with."""
    ended = []
    for step in (
        lambda: machine.online(32, "online_movable"),
        lambda: machine.allocate(40, block=32),
        lambda: machine.free(machine.users.allocated[0]) if machine.users.allocated else None,
        lambda: machine.offline(32),
        machine.check,
    ):
        try:
            ended.append(repr(step()))
        except KernelError as error:
            ended.append(str(error))
    return ended


@pytest.mark.parametrize("make", [Machine.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("device", [None, *DEVICES])
@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize("watched", [pytest.param(False, marks=pytest.mark.long), True])
def test_copy__lives_on_as_the_original_would(make, device, release, watched):
    machine = Machine(
        release=release, devices=[device] if device else [], debug_vm=True, per_cpu_lists=True, record=watched
    )
    if device is None:
        machine.add_memory(0x100000, 32768)
    elif device["kind"] == "virtio-mem":
        machine.devices["vm0"].request(49152)
    machine.users.allocated.append(machine.allocate(10))
    before = state_of(machine)
    twin = make(machine)
    assert twin.tape is None
    assert state_of(twin) == before
    done = use(twin)
    assert state_of(machine) == before
    assert use(machine) == done
    assert state_of(machine) == state_of(twin)


def test_copy__pages_of_the_copy_migrate_in_its_own_lists():
    machine = with_dimm()
    machine.online(32, "online_movable")
    machine.users.allocated.append(machine.allocate(5, block=32))
    twin = machine.copy()
    twin.offline(32)
    assert all(pfn < 0x100000 for pfn in twin.users.allocated[0])
    assert all(pfn >= 0x100000 for pfn in machine.users.allocated[0])
    assert twin.check() == machine.check() == []


def test_add_memory__says_whose_memmap_does_not_fit():
    machine = Machine(ram=[(0, 32768)])
    machine.allocate(32768 // 1024 - 8, "unmovable", order=10)
    while True:
        try:
            machine.allocate(1, "unmovable", order=9)
        except KernelError:
            break
    while True:
        try:
            machine.allocate(1, "unmovable")
        except KernelError:
            break
    with pytest.raises(KernelError, match="memmap of section 32"):
        machine.add_memory(0x100000, 32768)


@pytest.mark.parametrize("name", lesson.__all__)
def test_every_name_of_lesson_is_there(name):
    assert getattr(lesson, name) is not None
