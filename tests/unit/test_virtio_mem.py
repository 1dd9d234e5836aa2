"""virtio-mem: the driver rows of the state table, plug and unplug, a misbehaving host, half a patch."""

import pytest

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError, MemsimError
from memsim.linux.drivers.virtio.virtio_mem.pages import virtio_mem_fake_offline
from memsim.linux.drivers.virtio.virtio_mem.sbm import virtio_mem_sbm_prepare_next_mb
from memsim.linux.drivers.virtio.virtio_mem.state import BbState, MbState
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.memory_hotplug.online import set_online_page_callback

from .state_table import columns, rows

START, BLOCK, SB = 0x100000, 32768, 512
ROWS = rows("virtio-mem")


class Vm:
    """A recorded machine with one virtio-mem device of four memory blocks, and one page to look at."""

    def __init__(self, patch=AFTER, release="6.12", *, device_block=SB, blocks=4, **options):
        spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": blocks * BLOCK}
        spec["device_block_pages"] = device_block
        self.machine = Machine(patch=patch, release=release, devices=[spec], **options)
        self.tape = self.machine.record()
        self.device = self.machine.devices["vm0"]

    def act(self, method, *args, fails=None, **kwargs):
        self.tape.action(str(method))
        call = method if callable(method) else getattr(self.machine, method)
        if fails is None:
            call(*args, **kwargs)
            return self
        with pytest.raises(KernelError) as caught:
            call(*args, **kwargs)
        assert caught.value.name == fails
        return self

    def request(self, pages):
        return self.act(self.device.request, pages)

    def half_block(self, online_type="online_movable"):
        return self.request(BLOCK // 2).act("online", 32, online_type)

    def at(self, point):
        index = self.tape.find(len(self.tape.labels) - 1, point)
        assert index is not None, point
        return self.tape.at(index)

    @property
    def now(self):
        return self.machine.kernel.state


# ---- the state table -------------------------------------------------------------------------------

HALF = START + BLOCK // 2
LAST_SB = START + 31 * SB


def unplugged_from_online(vm):
    """One sub-block of an online block goes back to the host: the highest that is plugged."""
    return vm.half_block().request(BLOCK // 2 - SB)


def replugged(vm):
    return unplugged_from_online(vm).request(BLOCK // 2)


def failed_offline(vm):
    return pinned_offline(vm.half_block("online_kernel"))


def pinned_offline(vm):
    pfn = vm.machine.allocate(1, "unmovable", block=32)[0]
    # An owner who claims that it could be moved gets the offlining as far as the notifier.
    vm.machine.kernel.memmap.set_flags(pfn, 1, PageFlag.LRU)
    vm.machine.kernel.memmap.set_refcount(pfn, 1, 2)
    return vm.act("offline", 32, fails="EINTR")


REACH = {
    "V1": lambda vm: (vm.half_block().at("notifier:MEM_GOING_ONLINE"), HALF),
    "V2": lambda vm: (vm.half_block().at("return:virtio_mem_set_fake_offline"), HALF),
    "V3": lambda vm: (vm.half_block().now, HALF),
    "V4": lambda vm: (
        vm.half_block().act("offline", 32).at("return:virtio_mem_fake_offline_going_offline"),
        HALF,
    ),
    "V5": lambda vm: (failed_offline(vm).now, HALF),
    "V6": lambda vm: (vm.half_block().act("offline", 32).now, HALF),
    "V7": lambda vm: (
        vm.half_block().request(BLOCK // 2 + SB).at("return:virtio_mem_clear_fake_offline"),
        HALF,
    ),
    "V8": lambda vm: (vm.half_block().request(BLOCK // 2 + SB).at("return:generic_online_page"), HALF),
    "V9": lambda vm: (unplugged_from_online(vm).at("return:alloc_contig_range"), LAST_SB),
    "V10": lambda vm: (unplugged_from_online(vm).at("return:virtio_mem_set_fake_offline"), LAST_SB),
    "V11": lambda vm: (unplugged_from_online(vm).now, LAST_SB),
    "V12": lambda vm: (replugged(vm).at("return:virtio_mem_clear_fake_offline"), LAST_SB),
}


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize(("row", "version"), [key for key in ROWS if key[0] in REACH])
def test_row(row, version, release):
    state, pfn = REACH[row](Vm(BEFORE if version == "before" else AFTER, release))

    expected = ROWS[row, version]
    if "u" in expected:
        assert not state.memmap.section(pfn).online
        assert columns(state, pfn)[5:] == expected[5:]
    else:
        assert columns(state, pfn) == expected


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_a_block_that_cannot_go_offline_has_the_counters_that_it_had(patch, release):
    # virtio_mem_fake_offline_cancel_offline() takes back what ..._going_offline() did: 3/3 changed both.
    vm = Vm(patch, release).half_block("online_kernel")
    zone = vm.machine.zone("Normal")
    before = (zone.managed_pages, zone.present_pages, vm.machine.totalram_pages)
    assert before[:2] == (BLOCK // 2, BLOCK)
    pinned_offline(vm)
    assert (zone.managed_pages, zone.present_pages, vm.machine.totalram_pages) == before
    assert {vm.machine.page(pfn).refcount for pfn in (HALF, START + BLOCK - 1)} == {1}


def test_the_last_chunk_of_the_region_is_the_devices_and_what_comes_after_it_is_not():
    # virtio_mem_online_page_cb() asks virtio_mem_contains_range().
    vm = Vm(blocks=1).half_block()  # nothing is plugged in the last chunk
    assert vm.machine.page(START + BLOCK - 1).offline
    vm.machine.add_memory(START + BLOCK, BLOCK)  # a DIMM
    vm.machine.online(33, "online_movable")
    assert vm.machine.zone("Movable").managed_pages == BLOCK // 2 + BLOCK


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_plugging_a_sub_block_leaves_the_mark_of_the_next_one(patch, release):
    # virtio_mem_fake_online(): PG_dirty says that a page was never with the buddy; the next plug asks.
    vm = Vm(patch, release).half_block().request(BLOCK // 2 + SB)
    dirty = [
        bool(vm.machine.page(HALF + offset).flags & PageFlag.DIRTY) for offset in (0, SB - 1, SB, 2 * SB)
    ]
    assert dirty == [False, False, True, True]


@pytest.mark.parametrize(("release", "entry"), [("6.1", (0, 512)), ("6.12", (0, 512)), ("7.3", (9, 1))])
@pytest.mark.parametrize("version", ["before", "after"])
def test_rows_v13_and_v14_a_replugged_page_is_free_before_it_is_managed(version, release, entry):
    vm = unplugged_from_online(Vm(BEFORE if version == "before" else AFTER, release, per_cpu_lists=True))
    zone = vm.machine.zone("Movable")
    zone.set_watermark((0, 4096, 4096, 4096))  # the lists of a large zone: none of the pages leaves them
    order, entries = entry
    before = len(zone.pcp.get((order, MigrateType.MOVABLE), ()))
    vm.request(BLOCK // 2)

    assert len(zone.pcp[order, MigrateType.MOVABLE]) - before == entries
    for pfn in (LAST_SB, LAST_SB + SB - 1):
        assert columns(vm.at("return:free_contig_range"), pfn) == ROWS["V13", version]
        assert columns(vm.now, pfn) == ROWS["V14", version]


def test_every_row_of_the_driver_is_reached():
    assert {row for row, _ in ROWS} == {*REACH, "V13", "V14"}


# ---- plug and unplug -------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_a_half_plugged_block_counts_as_present_in_full_and_managed_in_half(patch):
    vm = Vm(patch).half_block()

    zone = vm.machine.zone("Movable")
    assert (zone.present_pages, zone.managed_pages) == (BLOCK, BLOCK // 2)
    assert vm.device.mode.state[32] == MbState.MOVABLE_PARTIAL
    assert not vm.machine.check()


def test_offlining_fakes_the_managed_counter_before_the_series_and_never_after_it():
    seen = {}
    for patch in (BEFORE, AFTER):
        vm = Vm(patch).half_block().act("offline", 32)
        seen[patch] = [
            state.zones[3].managed_pages
            for state in (vm.tape.at(i) for i, e in vm.tape.points() if e.step == len(vm.tape.labels) - 1)
        ]

    assert max(seen[BEFORE]) == BLOCK  # + U in MEM_GOING_OFFLINE
    assert sorted(seen[AFTER], reverse=True) == seen[AFTER]  # monotone
    assert seen[BEFORE][-1] == seen[AFTER][-1] == 0


def test_plugging_fills_a_partly_plugged_online_block_before_it_adds_another():
    vm = Vm().half_block().request(BLOCK + SB)

    assert vm.device.mode.state == {32: MbState.MOVABLE, 33: MbState.OFFLINE_PARTIAL}
    assert vm.machine.zone("Movable").managed_pages == BLOCK


def test_unplugging_takes_offline_blocks_first_and_removes_those_that_are_empty():
    vm = Vm().half_block().request(2 * BLOCK).request(BLOCK)

    assert vm.device.mode.state == {32: MbState.MOVABLE, 33: MbState.UNUSED}
    assert 33 not in vm.now.blocks


def test_an_online_block_that_becomes_empty_goes_offline_and_away():
    vm = Vm().half_block().request(0)

    assert vm.device.mode.state[32] == MbState.UNUSED
    assert 32 not in vm.now.blocks
    assert vm.machine.totalram_pages == vm.machine.boot_totalram_pages
    assert not vm.machine.check()


def test_a_pinned_page_keeps_its_sub_block_and_the_driver_tries_again_later():
    vm = Vm().half_block()
    pfn = vm.machine.allocate(1, block=32)[0]
    vm.machine.kernel.memmap.set_refcount(pfn, 1, 2)
    vm.request(0)

    assert vm.device.plugged_pages() == SB
    assert vm.device.retry_in == 50
    vm.machine.kernel.memmap.set_refcount(pfn, 1, 1)
    vm.device.wait(50)
    assert vm.device.plugged_pages() == 0  # the page could be moved to boot memory


@pytest.mark.long
@pytest.mark.parametrize("device_block", [SB, BLOCK])
def test_without_a_free_page_to_migrate_to_unplugging_stops_with_enomem(device_block):
    # __alloc_contig_migrate_range() ends with -ENOMEM at once, and so do the callers up to the main loop.
    vm = Vm(device_block=device_block).request(2 * BLOCK)
    vm.act("online", 32, "online_movable").act("online", 33, "online_movable")
    vm.machine.stop_recording()
    machine = vm.machine
    for kind in ("unmovable", "movable"):
        machine.allocate(
            sum(zone.nr_free_pages for zone in machine.kernel.zones[: 3 + (kind == "movable")]), kind
        )
    machine.free([START + BLOCK])  # sub-block 0 of block 33: migrate one page, not two
    tape = machine.record()
    tape.action("unplug")
    vm.device.request(BLOCK)
    assert (vm.device.last_error.name, vm.device.retry_in, vm.device.broken) == ("ENOMEM", 50, False)
    assert sum(event.point.startswith("enter:alloc_contig_range#") for _, event in tape.points()) == 1
    assert machine.zone("Movable").managed_pages == 2 * BLOCK


def test_reonlining_makes_the_same_pages_offline_again():
    vm = Vm().half_block()
    offline = {pfn for pfn in range(START, START + BLOCK, 64) if vm.machine.page(pfn).offline}
    vm.act("offline", 32).act("online", 32, "online_movable")

    again = {pfn for pfn in range(START, START + BLOCK, 64) if vm.machine.page(pfn).offline}
    assert again == offline == set(range(HALF, START + BLOCK, 64))


def test_dimm_memory_goes_to_the_buddy_although_the_callback_is_the_drivers():
    vm = Vm()
    vm.act("add_memory", START + 8 * BLOCK, BLOCK).act("online", 40)

    assert vm.machine.zone("Normal").managed_pages == BLOCK


def test_there_is_one_callback_for_the_whole_system():
    vm = Vm()

    with pytest.raises(KernelError) as caught:
        set_online_page_callback(vm.machine.kernel, lambda *_: None)
    assert caught.value.name == "EINVAL"


# ---- a misbehaving host ----------------------------------------------------------------------------


def test_busy_is_retried_after_50_seconds_doubling_to_300():
    vm = Vm()
    vm.device.host_will("BUSY", 5)
    vm.request(SB)
    waits = []
    while vm.device.retry_in is not None:
        waits.append(vm.device.retry_in)
        vm.device.wait(vm.device.retry_in)

    assert waits == [50, 100, 200, 300, 300]
    assert vm.device.plugged_pages() == SB


def test_nack_means_try_again_at_once():
    vm = Vm()
    vm.device.host_will("NACK", 3)
    vm.request(SB)

    assert (vm.device.plugged_pages(), vm.device.retry_in) == (SB, None)


def test_error_breaks_the_device_for_good():
    vm = Vm()
    vm.device.host_will("ERROR", 1)
    vm.request(SB).request(2 * SB)

    assert vm.device.broken
    assert vm.device.plugged_pages() == 0
    assert any("broken" in line for line in vm.machine.log)


def test_a_host_that_changes_its_mind_gets_what_it_wants_now():
    vm = Vm()
    vm.device.host_will(f"RESIZE:{4 * SB}", 1)
    vm.request(SB)

    assert vm.device.plugged_pages() == 4 * SB


@pytest.mark.long
@pytest.mark.parametrize("answer", ["BUSY", "NACK", "ERROR"])
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_no_page_is_lost_when_unplugging_goes_wrong(patch, answer):
    vm = Vm(patch).half_block()
    vm.device.host_will(answer, 2)
    vm.request(8 * SB)

    zone = vm.machine.zone("Movable")
    offline = sum(vm.machine.page(pfn).offline for pfn in range(START, START + BLOCK))
    assert zone.managed_pages + offline == BLOCK
    assert zone.managed_pages == vm.device.plugged_pages()
    assert not vm.machine.check()


@pytest.mark.parametrize(("answer", "errno"), [("NACK", "ENOMEM"), ("BUSY", "ETXTBSY"), ("ERROR", "EINVAL")])
def test_a_refused_unplug_request_has_an_errno_of_its_own(answer, errno):
    # virtio_mem_send_unplug_request(): a host that may not refuse (NACK) and does is like one without memory.
    vm = Vm().request(2 * SB)
    vm.device.host_will(answer, 1)
    vm.request(0)

    assert vm.device.last_error.name == errno
    assert vm.device.plugged_pages() == 2 * SB


@pytest.mark.parametrize(("answer", "errno"), [("NACK", "ENOMEM"), ("BUSY", "ETXTBSY"), ("ERROR", "ENOMEM")])
def test_a_refused_request_to_unplug_all_is_repeated_later_whatever_the_answer(answer, errno):
    # virtio_mem_send_unplug_all_request() knows ACK and BUSY.
    spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}
    vm = Machine(devices=[spec | {"device_block_pages": SB}]).devices["vm0"]
    vm.host.leave_plugged(SB)
    vm.unplug_all_required = True
    vm.host_will(answer, 1)
    vm.request(0)
    assert (vm.last_error.name, vm.retry_in, vm.broken) == (errno, 50, False)

    vm.wait(50)
    assert vm.plugged_pages() == 0


def test_the_retry_timer_doubles_when_it_fires_not_when_the_host_asks_in_between():
    # virtio_mem_timer_expired() doubles it.
    vm = Vm()
    vm.device.host_will("BUSY", 3)
    vm.request(SB)
    vm.request(2 * SB)
    assert vm.device.retry_in == 50

    vm.device.wait(50)
    assert vm.device.retry_in == 100


@pytest.mark.parametrize("device_block", [SB, BLOCK])
def test_what_is_plugged_but_could_not_be_added_is_given_back_before_anything_is_plugged(
    device_block, monkeypatch
):
    # virtio_mem_cleanup_pending_mb() comes before plugging, too.
    vm = Vm(device_block=device_block)
    dimm = (START, BLOCK)
    vm.act("add_memory", *dimm)  # in the device's region: whatever the driver adds there is refused
    answers = ["ACK", "BUSY"]  # to the request to plug, and to that to unplug
    monkeypatch.setattr(vm.device.host, "respond", lambda: answers.pop(0))
    vm.request(BLOCK)
    monkeypatch.undo()
    states = MbState if device_block == SB else BbState
    assert vm.device.mode.state == {32: states.PLUGGED}
    assert vm.device.plugged_pages() == BLOCK

    vm.device.broken = False  # as if adding it had failed for want of memory, which is tried again
    vm.act("remove_memory", *dimm)
    vm.request(BLOCK + device_block)

    assert vm.device.mode.state[32] == (MbState.OFFLINE if device_block == SB else BbState.ADDED)
    assert vm.device.plugged_pages() == BLOCK + device_block
    assert vm.machine.block(32).state == "offline"


def empty_but_online(release):
    """A block in which nothing is plugged any more, but that somebody keeps from going offline."""
    vm = Vm(release=release).request(SB).act("online", 32, "online_movable")
    vm.machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == vm.veto else None)
    vm.veto = "MEM_GOING_OFFLINE"
    return vm.request(0)


def test_612_keeps_trying_to_remove_an_empty_block_and_61_does_not():
    vm = empty_but_online("6.1")
    assert (vm.device.mode.state[32], vm.device.retry_in) == (MbState.MOVABLE_PARTIAL, None)

    vm = empty_but_online("6.12")
    assert (vm.device.last_error.name, vm.device.retry_in) == ("EBUSY", 50)
    vm.device.wait(50)
    assert vm.device.retry_in == 100
    vm.veto = None
    vm.device.wait(100)
    assert (vm.device.mode.state[32], vm.device.retry_in) == (MbState.UNUSED, None)
    assert 32 not in vm.machine.kernel.memory_blocks


def test_memory_that_comes_online_wakes_the_driver():
    # MEM_ONLINE in virtio_mem_memory_notifier_cb(): there is room for more, whatever it waits for.
    vm = Vm().request(2 * BLOCK)
    vm.device.host_will("BUSY", 1)
    vm.request(2 * BLOCK + SB)
    assert vm.device.retry_in == 50

    vm.act("online", 32)

    assert vm.device.plugged_pages() == 2 * BLOCK + SB
    assert vm.device.retry_in is None


def test_an_unbound_driver_takes_its_partial_offline_blocks_from_linux():
    vm = Vm().request(SB)
    vm.device.remove()

    assert vm.device.mode.state == {32: MbState.UNUSED}
    assert 32 not in vm.machine.kernel.memory_blocks


def test_too_much_offline_memory_makes_the_driver_wait_until_half_of_it_is_online():
    vm = Vm(blocks=16).request(16 * BLOCK)

    assert vm.device.plugged_pages() == 8 * BLOCK  # 1 GiB
    for block in range(32, 36):
        vm.act("online", block)
    assert vm.device.plugged_pages() == 12 * BLOCK


def test_requests_that_make_no_sense_name_the_rule():
    vm = Vm()

    with pytest.raises(MemsimError, match="multiple of 512"):
        vm.device.request(100)
    with pytest.raises(MemsimError, match="SHRUG"):
        vm.device.host_will("SHRUG", 1)


def test_unbinding_the_driver_leaves_partial_online_blocks_that_cannot_go_offline():
    vm = Vm().half_block()
    vm.device.remove()

    vm.act("offline", 32, fails="EBUSY")
    assert vm.machine.page(HALF).refcount == 1


# ---- big-block mode --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_big_blocks_come_and_go_as_a_whole(patch):
    vm = Vm(patch, device_block=BLOCK).request(2 * BLOCK)
    vm.act("online", 32, "online_movable").act("online", 33, "online_movable")
    assert vm.machine.zone("Movable").managed_pages == 2 * BLOCK

    vm.request(BLOCK)
    assert vm.device.mode.state == {32: BbState.ADDED, 33: BbState.UNUSED}
    assert vm.machine.zone("Movable").managed_pages == BLOCK
    assert not vm.machine.check()


# ---- half a patch ----------------------------------------------------------------------------------


def test_without_the_virtio_mem_hunk_pages_are_made_offline_twice_and_still_all_is_well():
    vm = Vm(Patch.without({Hunk.VIRTIO_MEM})).half_block()

    # Plugging clears Offline before generic_online_page() clears it again: 6.12 lets that pass.
    vm.request(BLOCK).act("offline", 32)
    assert not vm.machine.check()


def test_the_virtio_mem_hunk_alone_leaves_withheld_pages_reserved_and_the_block_cannot_go_offline():
    vm = Vm(Patch({Hunk.VIRTIO_MEM})).half_block()

    page = vm.machine.page(HALF)
    assert page.reserved
    assert not page.offline
    vm.act("offline", 32, fails="EBUSY")


def test_the_core_half_of_3_3_alone_counts_withheld_pages_as_managed_for_ever():
    vm = Vm(Patch.without({Hunk.OFFLINE_DRIVER})).half_block().act("offline", 32)

    # The driver adds U to managed before offlining; the core no longer subtracts it: + U.
    assert vm.machine.zone("Movable").managed_pages == BLOCK // 2
    assert {violation.name for violation in vm.machine.check()} >= {"managed", "zone-order"}


def test_the_driver_half_of_3_3_alone_takes_withheld_pages_away_twice():
    vm = Vm(Patch.without({Hunk.OFFLINE_CORE})).half_block().act("offline", 32)

    # Nobody adds U any more, but the core subtracts the whole block: - U.
    assert vm.machine.zone("Movable").managed_pages == -BLOCK // 2


def test_mm_init_missing_withheld_pages_are_reserved_and_the_driver_no_longer_strips_that():
    vm = Vm(Patch.without({Hunk.MM_INIT}), debug_vm=True).half_block()

    assert vm.machine.page(HALF).reserved
    assert any("!PageOffline" in line for line in vm.machine.log)


# ---- a driver that comes and goes ------------------------------------------------------------------


def test_memory_that_an_earlier_kernel_left_plugged_is_unplugged_before_anything_is_plugged():
    spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": 4 * BLOCK}
    machine = Machine(devices=[spec | {"device_block_pages": SB, "plugged_pages": BLOCK + SB}])
    device = machine.devices["vm0"]
    assert device.plugged_pages() == 0
    device.request(SB)

    assert device.plugged_pages() == SB
    assert device.host.plugged[0]
    assert device.mode.state == {32: MbState.OFFLINE_PARTIAL}
    assert 32 in machine.kernel.state.blocks


def test_a_host_too_busy_to_unplug_all_is_asked_again_before_anything_else():
    spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": 4 * BLOCK}
    machine = Machine(devices=[spec | {"device_block_pages": SB}])
    device = machine.devices["vm0"]
    device.host.leave_plugged(BLOCK)
    device.unplug_all_required = True
    device.host_will("BUSY", 1)
    device.request(2 * SB)

    assert (device.plugged_pages(), device.retry_in) == (BLOCK, 50)
    assert 32 not in machine.kernel.state.blocks
    machine.wait(50)
    assert (device.plugged_pages(), device.retry_in) == (2 * SB, None)


def test_more_left_plugged_than_the_region_has_names_the_rule():
    spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}

    with pytest.raises(MemsimError, match="at most 32768"):
        Machine(devices=[spec | {"device_block_pages": SB, "plugged_pages": 2 * BLOCK}])


def test_a_device_without_a_driver_does_nothing_and_cannot_be_unbound_again():
    vm = Vm()
    vm.device.host_will("BUSY", 1)
    vm.request(SB)
    vm.device.remove()

    vm.request(2 * SB).machine.wait(1000)
    assert vm.device.plugged_pages() == 0
    vm.act(vm.device.remove, fails="ENODEV")


def test_the_next_memory_block_lies_in_the_usable_region_as_a_whole():
    # virtio_mem_sbm_prepare_next_mb(): -ENOSPC behind last_usable_mb_id, the last block that fits.
    vm = Vm(blocks=4).device
    vm.host.usable_pages = 2 * BLOCK + BLOCK // 2
    assert [virtio_mem_sbm_prepare_next_mb(vm) for _ in range(2)] == [32, 33]
    with pytest.raises(KernelError, match="ENOSPC") as error:
        virtio_mem_sbm_prepare_next_mb(vm)
    assert "memory block 34 is beyond the usable region" in str(error.value)


@pytest.mark.parametrize(("online_type", "tries"), [("online_movable", 5), ("online_kernel", 1)])
def test_pages_in_use_are_tried_five_times_in_zone_movable_and_once_elsewhere(online_type, tries):
    # virtio_mem_fake_offline(): retry_count 5; a failure outside ZONE_MOVABLE ends it at once.
    vm = Vm().half_block(online_type)
    pinned = vm.machine.pin(32)
    vm.tape.action("unplug")
    with pytest.raises(KernelError, match="EBUSY"):
        virtio_mem_fake_offline(vm.device, pinned - pinned % SB, SB)
    entered = [event.point for _, event in vm.tape.points() if event.step == len(vm.tape.labels) - 1]
    assert sum(point.startswith("enter:alloc_contig_range#") for point in entered) == tries


@pytest.mark.parametrize(("change", "state"), [("online", "offline"), ("offline", "online")])
def test_while_the_driver_goes_no_block_changes_its_state(change, state):
    # virtio_mem_memory_notifier_cb(): while vm->removing, MEM_GOING_ONLINE and MEM_GOING_OFFLINE are -EBUSY.
    vm = Vm().request(BLOCK)
    if state == "online":
        vm.act("online", 32, "online_movable")
    vm.device.removing = True
    vm.act(change, 32, fails="EBUSY")
    assert vm.machine.block(32).state == state
