"""Each hunk of the series alone and each hunk missing: what goes wrong in the core, and where.

Every statement is derived from the rules of 6.12: who reads the mark, which counter is summed where, what
the second offline meets. Three configurations count: CONFIG_DEBUG_VM, page checks
only (as Debian ships 6.12, with init_on_alloc), and no checks (init_on_alloc=0). Hunks of drivers change
nothing here, for no driver runs.
"""

import pytest

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelBug, KernelError
from memsim.scenario.comparison import count_differing
from memsim.scenario.scenario import run
from memsim.view.half_patch.matrix import story_scenario

START, PAGES = 0x100000, 32768
DRIVERS = {Hunk.VIRTIO_MEM, Hunk.HV_BALLOON, Hunk.XEN_BALLOON, Hunk.OFFLINE_DRIVER}


def alone(hunk):
    return Patch({hunk})


def missing(hunk):
    return Patch.without({hunk})


DEBUG_VM, SHIPPED, UNCHECKED = {"debug_vm": True}, {}, {"check_pages": False}
CONFIGURATIONS = pytest.mark.parametrize(
    "checks", [DEBUG_VM, SHIPPED, UNCHECKED], ids=["CONFIG_DEBUG_VM", "as shipped", "no page checks"]
)


def online(patch, *, online_type="online_movable", release="6.12", self_hosted=False, **checks):
    machine = Machine(patch=patch, release=release, memmap_on_memory=self_hosted, **checks)
    machine.add_memory(START, PAGES)
    machine.online(32, online_type)
    return machine


def broken(machine):
    return {violation.name for violation in machine.check()}


# ---- hunks that the core cannot miss ---------------------------------------------------------------

HARMLESS = {
    "counts MemTotal a little later or earlier, nothing else": Hunk.MEMINIT_CONTEXT,
    "acts in virtio-mem only": Hunk.VIRTIO_MEM,
    "acts in the Hyper-V balloon only": Hunk.HV_BALLOON,
    "acts in the Xen balloon only": Hunk.XEN_BALLOON,
    "acts in virtio-mem's notifier only": Hunk.OFFLINE_DRIVER,
    "no page of a block without a driver is Offline when it goes offline": Hunk.OFFLINE_CORE,
}


@pytest.mark.long
@CONFIGURATIONS
@pytest.mark.parametrize("make", [alone, missing])
@pytest.mark.parametrize("hunk", HARMLESS.values(), ids=HARMLESS)
def test_harmless_without_a_driver(hunk, make, checks):
    machine = online(make(hunk), self_hosted=True, **checks)
    before = machine.totalram_pages
    machine.free(machine.allocate(100, block=32))
    machine.offline(32)

    assert not machine.log
    assert not broken(machine)
    assert machine.totalram_pages == before - PAGES + 512
    assert machine.zone("Movable").managed_pages == 0


# ---- MM_INIT without PAGE_ALLOC: born Offline, and never cleared -----------------------------------

BORN_OFFLINE = pytest.mark.parametrize("patch", [alone(Hunk.MM_INIT), missing(Hunk.PAGE_ALLOC)], ids=repr)


@BORN_OFFLINE
def test_without_page_checks_pages_that_say_offline_are_handed_out(patch):
    machine = online(patch, **UNCHECKED)

    assert machine.log == []
    assert broken(machine) == {"offline-free", "offline-managed"}
    zone = machine.zone("Movable")
    assert (zone.managed_pages, zone.present_pages, zone.nr_free_pages) == (PAGES, PAGES, PAGES)
    # Whatever heads a free block becomes Buddy, and loses it for no type at all when it is taken. So a
    # single page comes out clean. The tail pages of a huge page never head anything.
    assert not machine.page(machine.allocate(1, block=32)[0]).offline
    head = machine.allocate(1, order=9, block=32)[0]
    assert [machine.page(head + i).offline for i in range(512)] == [False] + [True] * 511


@BORN_OFFLINE
def test_without_page_checks_stale_tail_pages_do_not_stop_offlining_and_are_subtracted_once(patch):
    machine = online(patch, **UNCHECKED)
    machine.add_memory(START + PAGES, PAGES)
    machine.online(33, "online_movable")
    machine.allocate(4, order=9, block=32)

    machine.offline(32)  # the huge pages are migrated; what is free is taken off by its heads

    zone = machine.zone("Movable")
    assert (zone.managed_pages, zone.present_pages) == (PAGES, PAGES)
    assert zone.nr_free_pages == PAGES - 4 * 512
    assert machine.kernel.memmap.raw(START + 1).offline  # and says so still, but nobody may ask


CHECKED = pytest.mark.parametrize("checks", [DEBUG_VM, SHIPPED], ids=["CONFIG_DEBUG_VM", "as shipped"])


@CHECKED
@BORN_OFFLINE
def test_page_checks_refuse_every_chunk_and_leak_it(patch, checks):
    # is_check_pages_enabled() is all that free_pages_prepare() asks (6.12); init_on_alloc turns it on.
    machine = online(patch, **checks)

    zone = machine.zone("Movable")
    assert (zone.managed_pages, zone.nr_free_pages) == (PAGES, 0)
    assert "nonzero mapcount" in machine.log[0]
    assert f"pfn:{START + 1:05x}" in machine.log[0]  # tail pages are checked before the head
    with pytest.raises(KernelError, match="ENOMEM"):
        machine.allocate(1, block=32)


@CHECKED
def test_a_leaked_block_goes_offline_but_stays_counted_when_the_core_subtracts_less(checks):
    # 3/3 takes Offline pages for pages that were never managed. These were.
    with_core = online(missing(Hunk.PAGE_ALLOC), **checks)
    without_core = online(alone(Hunk.MM_INIT), **checks)
    for machine in (with_core, without_core):
        machine.offline(32)

    assert with_core.zone("Movable").managed_pages == PAGES
    assert with_core.zone("Movable").present_pages == 0
    assert {"zone-order", "managed"} <= broken(with_core)
    assert without_core.zone("Movable").managed_pages == 0
    assert not broken(without_core)


@CONFIGURATIONS
def test_61_always_checks_and_resets_the_type_so_that_leaked_pages_block_offlining_for_ever(checks):
    machine = online(alone(Hunk.MM_INIT), release="6.1", **checks)

    assert machine.zone("Movable").nr_free_pages == 0
    assert not machine.page(START).types
    with pytest.raises(KernelError) as caught:
        machine.offline(32)
    assert caught.value.name == "EINTR"


# ---- PAGE_ALLOC without MM_INIT: born reserved, and nobody clears it -------------------------------

BORN_RESERVED = pytest.mark.parametrize("patch", [alone(Hunk.PAGE_ALLOC), missing(Hunk.MM_INIT)], ids=repr)


@BORN_RESERVED
def test_without_page_checks_the_flag_is_lost_with_all_others_when_the_page_is_freed(patch):
    machine = online(patch, **UNCHECKED)

    assert machine.log == []
    assert not broken(machine)
    assert not machine.page(START).reserved


@BORN_RESERVED
def test_page_checks_alone_leak_reserved_pages_without_the_warning(patch):
    # VM_WARN_ON_ONCE() in __free_pages_core() is compiled in with CONFIG_DEBUG_VM only.
    machine = online(patch)

    assert "PAGE_FLAGS_CHECK_AT_FREE" in machine.log[0]
    assert not any("WARNING" in line for line in machine.log)
    assert machine.zone("Movable").nr_free_pages == 0
    assert machine.page(START).reserved


@BORN_RESERVED
def test_debug_vm_warns_once_and_leaks_reserved_pages_which_then_cannot_go_offline(patch):
    machine = online(patch, debug_vm=True)

    assert machine.log[0].startswith("WARNING: PageReserved")
    assert sum("WARNING" in line for line in machine.log) == 1
    assert "PAGE_FLAGS_CHECK_AT_FREE" in machine.log[1]
    assert machine.zone("Movable").nr_free_pages == 0
    assert machine.page(START).reserved
    with pytest.raises(KernelError) as caught:
        machine.offline(32)
    assert (caught.value.name, caught.value.stage) == ("EBUSY", "set_migratetype_isolate")


# ---- MEMORY_HOTPLUG: self-hosted vmemmap -----------------------------------------------------------


@CONFIGURATIONS
def test_without_the_memory_hotplug_hunk_the_memmap_of_a_block_says_that_it_is_stale(checks):
    machine = online(missing(Hunk.MEMORY_HOTPLUG), self_hosted=True, **checks)

    assert machine.page(START).offline
    assert machine.page(START).refcount == 1
    assert broken(machine) == {"self-hosted-offline"}
    assert machine.log == []
    machine.offline(32)  # its vmemmap is outside the range that goes offline
    assert machine.zone("Movable").managed_pages == 0


@CONFIGURATIONS
def test_the_memory_hotplug_hunk_alone_clears_a_type_that_is_not_there(checks):
    machine = online(alone(Hunk.MEMORY_HOTPLUG), self_hosted=True, **checks)

    assert machine.page(START).reserved
    assert not machine.page(START).types
    assert machine.log == []
    assert not broken(machine)


def test_with_61_encoding_and_debug_vm_clearing_what_is_not_set_stops_the_machine():
    with pytest.raises(KernelBug, match="__ClearPageOffline"):
        online(alone(Hunk.MEMORY_HOTPLUG), debug_vm=True, release="6.1", self_hosted=True)


# ---- all of it -------------------------------------------------------------------------------------


def test_every_hunk_has_a_statement():
    spoken_for = {*HARMLESS.values(), Hunk.MM_INIT, Hunk.PAGE_ALLOC, Hunk.MEMORY_HOTPLUG}

    silent = [hunk.name for hunk in Hunk if hunk not in spoken_for]
    assert spoken_for == AFTER, f"no test in this file says what half a patch does for {silent}"


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("story", ["DIMM", "virtio-mem", "Xen"])
def test_a_hunk_that_no_model_asks_for_changes_nothing(story, patch):
    one = run(story_scenario(story), patch, check_pages=True)
    left = set(Hunk) - one.machine.kernel.asked
    assert Hunk.HV_BALLOON in left
    assert Hunk.MM_INIT in one.machine.kernel.asked
    other = run(story_scenario(story), patch ^ Patch(left), check_pages=True)
    assert other.machine.log == one.machine.log
    assert [zone.managed_pages for zone in other.machine.kernel.zones] == [
        zone.managed_pages for zone in one.machine.kernel.zones
    ]
    sections = other.machine.kernel.memmap.sections
    assert sections.keys() == one.machine.kernel.memmap.sections.keys()
    for nr, section in one.machine.kernel.memmap.sections.items():
        assert count_differing(section.pages, sections[nr].pages) == 0
