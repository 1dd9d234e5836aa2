"""The Xen balloon: every row of the state table, its list, its sleeps, and Xen when it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import AFTER, BEFORE, Hunk, Machine, Patch, Scenario, run
from memsim.devices.xen_balloon import XenBalloon
from memsim.errors import KernelError, MemsimError
from memsim.linux.drivers.xen.balloon.pages import round_up
from memsim.linux.drivers.xen.balloon.stats import BP_DONE, BP_EAGAIN, BP_ECANCELED, BP_WAIT
from memsim.linux.drivers.xen.balloon.thread import RETRY_UNLIMITED
from memsim.linux.include.page_flags import MANAGED, PRESENT, PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online import generic_online_page, set_online_page_callback
from memsim.linux.mm.sparse import VMEMMAP_ALLOC_FAILURE

from .state_table import columns, rows

SECTION = 32768
ROWS = rows("xen-balloon")
RAM = SECTION
START, BLOCK = 0x10000, 2
HOUR = 3600
XEN = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": START}
BOTH = pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])


def xen_machine(patch=AFTER, release="6.12", *, ram=RAM, extra=None, **options):
    device = dict(XEN)
    if extra is not None:
        device |= {"extra_start_pfn": extra[0], "extra_pages": extra[1]}
        options["reserved"] = [extra]
    return Machine([(0, ram)], patch, release, devices=[device], **options)


def balloon_of(machine):
    return machine.devices["xen0"]


def online(machine, block=BLOCK):
    machine.online(block, "online_kernel")
    balloon_of(machine).run()  # a second later


def grown(patch=AFTER, release="6.12", by=1000, **options):
    """A machine that has one hot-added section, of which Xen has populated ``by`` pages."""
    machine = xen_machine(patch, release, **options)
    balloon_of(machine).set_target(balloon_of(machine).current_pages + by)
    online(machine)
    return machine


def flagged(machine, pfns, flag=PageFlag.RESERVED):
    return sum(bool(machine.kernel.memmap.flags(pfn) & flag) for pfn in pfns)


def ghosts(machine, flag, *, early):
    sections = machine.kernel.memmap.sections.values()
    flags = [s.pages.flags for s in sections if s.online and s.early == early]
    return sum(int((each & np.uint32(flag) != 0).sum()) for each in flags)


# ---- the state table -------------------------------------------------------------------------------


def at(machine, point):
    tape = machine.tape
    return tape.at(tape.find(len(tape.labels) - 1, point))


def recorded(patch, release, **options):
    machine = xen_machine(patch, release, record=True, **options)
    balloon_of(machine).set_target(RAM + 100)
    machine.tape.action("online")
    online(machine)
    return machine


def shrunk(*kernel):
    machine = grown(*kernel)
    balloon_of(machine).set_target(RAM + 900)
    return machine.kernel.state, balloon_of(machine).ballooned_pages[-1]


def boot_region(*kernel):
    machine = xen_machine(*kernel, extra=(20000, 5000))
    return machine.kernel.state, 24999


def lent(*kernel):
    machine = grown(*kernel)
    return machine.kernel.state, balloon_of(machine).lend(5)[0]


LAST = START + SECTION - 1
REACH = {
    "X1": lambda *k: (at(recorded(*k), "notifier:MEM_ONLINE"), LAST),
    "X2": lambda *k: (at(recorded(*k), "return:balloon_retrieve"), LAST),
    "X3": lambda *k: (at(recorded(*k, per_cpu_lists=True), "return:free_reserved_page"), LAST),
    "X4": shrunk,
    "X5": boot_region,
    "X6": lent,
}


def test_every_xen_row_of_the_table_is_reached():
    assert {row for row, _ in ROWS} == set(REACH)


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize(("row", "version"), list(ROWS))
def test_row(row, version, release):
    state, pfn = REACH[row](BEFORE if version == "before" else AFTER, release)

    assert columns(state, pfn) == ROWS[row, version]


@pytest.mark.parametrize("row", sorted(REACH))
def test_only_pages_that_came_online_differ_by_the_patch(row):
    assert (ROWS[row, "before"] != ROWS[row, "after"]) == (row in {"X1", "X2", "X6"})


# ---- growing ---------------------------------------------------------------------------------------


def test_a_target_beyond_all_memory_adds_whole_sections_and_waits_for_them():
    machine = xen_machine()
    balloon_of(machine).set_target(RAM + SECTION + 1)

    assert balloon_of(machine).state == BP_WAIT
    assert [machine.block(block).state for block in (2, 3)] == ["offline", "offline"]
    assert balloon_of(machine).total_pages == RAM + 2 * SECTION
    assert balloon_of(machine).plugged_pages() == RAM
    assert machine.totalram_pages == RAM


def test_a_block_that_comes_online_is_populated_as_far_as_the_target_says(kernel_kind):
    release, patch = kernel_kind
    machine = grown(patch, release)
    zone = machine.zone("Normal")

    assert (zone.spanned_pages, zone.present_pages, zone.managed_pages) == (SECTION, SECTION, 1000)
    assert zone.nr_free_pages == 1000
    assert machine.totalram_pages == RAM + 1000
    assert (balloon_of(machine).state, balloon_of(machine).balloon_low) == (BP_DONE, SECTION - 1000)
    assert not machine.check()
    assert machine.log == []


def test_what_came_last_is_populated_first_in_batches_of_a_page_of_frame_numbers():
    machine = xen_machine(record=True)
    balloon = balloon_of(machine)
    balloon.set_target(RAM + 1000)
    machine.tape.action("online")
    online(machine)

    batches = [event for _, event in machine.tape.points() if event.point.startswith("enter:increase")]
    assert [event.args for event in batches] == [(1000,), (488,)]
    first, last = START + SECTION - 1000, START + SECTION
    assert flagged(machine, range(first, last), MANAGED) == 1000
    assert balloon.ballooned_pages == list(range(START, first))


def test_the_thread_that_waits_is_not_woken_by_the_block_but_by_its_own_second():
    machine = xen_machine()
    balloon = balloon_of(machine)
    balloon.set_target(RAM + 100)
    asleep_since = balloon.clock
    online(machine)

    assert balloon.clock == asleep_since + 1
    assert balloon.plugged_pages() == RAM + 100


def test_blocks_that_come_online_by_themselves_are_populated_at_once():
    machine = xen_machine(default_online_type="online_kernel")
    balloon_of(machine).set_target(RAM + 100)

    assert machine.zone("Normal").managed_pages == 100


def test_memory_is_added_at_the_next_free_address():
    machine = xen_machine()
    machine.add_memory(START + SECTION, SECTION)
    balloon = balloon_of(machine)
    balloon.set_target(RAM + 100)
    balloon.set_target(RAM + SECTION + 100)

    assert sorted(machine.kernel.iomem) == [0, START, START + SECTION, START + 2 * SECTION]
    assert balloon.total_pages == RAM + 2 * SECTION
    assert round_up(SECTION + 1, SECTION) == 2 * SECTION


def test_a_dimm_goes_into_the_balloon_too_and_waits_there_for_a_higher_target():
    machine = xen_machine()
    machine.add_memory(START, SECTION)
    online(machine)
    balloon = balloon_of(machine)
    assert (balloon.balloon_low, machine.zone("Normal").managed_pages) == (SECTION, 0)

    balloon.set_target(RAM + 10)

    assert machine.zone("Normal").managed_pages == 10
    assert set(machine.kernel.iomem) == {0, START}


def test_sections_that_the_balloon_adds_become_one_resource():
    # reserve_additional_memory(): add_memory_resource() with MHP_MERGE_RESOURCE.
    machine = xen_machine()
    for target in (RAM + 100, RAM + SECTION + 100):
        balloon_of(machine).set_target(target)
    assert machine.kernel.iomem[START] == (2 * SECTION, "System RAM")


def test_a_target_that_one_page_is_missing_from_is_reached():
    machine = grown(by=1)
    assert balloon_of(machine).plugged_pages() == RAM + 1
    assert machine.zone("Normal").managed_pages == 1


@pytest.mark.parametrize(
    ("block_pages", "all_used", "errno"), [(2 * SECTION, False, 22), (SECTION, True, 12)]
)
def test_memory_that_cannot_be_added_is_printed_and_tried_again_an_hour_later(block_pages, all_used, errno):
    # A section is no whole memory block on large machines; and struct pages need memory.
    machine = xen_machine(block_pages=block_pages)
    balloon = balloon_of(machine)
    used = machine.allocate(RAM >> 10, "unmovable", order=10) if all_used else []
    balloon.set_target(RAM + 100)

    unaligned = "Block size [0x10000000] unaligned hotplug range: start 0x10000000, size 0x8000000"
    no_memmap = [VMEMMAP_ALLOC_FAILURE, "WARNING: at arch/x86/mm/init_64.c add_pages()"]
    printed = no_memmap if all_used else [unaligned]
    assert machine.log == [*printed, f"xen:balloon: Cannot add additional memory ({-errno})"]
    assert (balloon.state, balloon.total_pages) == (BP_ECANCELED, RAM)
    machine.free(used, order=10)
    balloon.wait(HOUR)
    assert (START in machine.kernel.iomem) == all_used


# ---- shrinking -------------------------------------------------------------------------------------


@BOTH
def test_the_list_mixes_pages_that_are_reserved_with_pages_that_are_not_before_the_patch(patch):
    machine = grown(patch)
    balloon_of(machine).set_target(RAM - 500)

    pages = balloon_of(machine).ballooned_pages
    assert len(pages) == SECTION + 500
    assert flagged(machine, pages) == (SECTION - 1000 if patch == BEFORE else 0)
    assert all(machine.page(pfn).types == {PageType.OFFLINE} for pfn in pages[:: len(pages) // 100])
    assert machine.zone("Normal").managed_pages == 0
    assert machine.totalram_pages == RAM - 500
    assert not machine.check()


def test_the_page_that_was_allocated_first_is_populated_first():
    machine, twin = grown(), grown()
    expected = twin.allocate(3, "unmovable")
    balloon_of(machine).set_target(RAM + 997)

    assert balloon_of(machine).ballooned_pages[-3:] == expected[::-1]
    balloon_of(machine).set_target(RAM + 998)
    assert machine.page(expected[0]).managed
    assert balloon_of(machine).ballooned_pages[-2:] == expected[:0:-1]


@BOTH
def test_the_balloon_leaves_the_buddy_what_the_zones_keep_back_and_gives_up(patch):
    machine = xen_machine(patch, ram=8192)
    balloon = balloon_of(machine)
    balloon.set_target(0)

    free = sum(zone.nr_free_pages for zone in machine.kernel.state.zones)
    assert balloon.state == BP_ECANCELED
    assert 0 < free < 1000
    assert balloon.plugged_pages() == free == machine.totalram_pages
    assert not machine.check()


# ---- offline ---------------------------------------------------------------------------------------


@BOTH
def test_a_block_with_pages_in_the_balloon_is_refused_earlier_before_the_patch(patch):
    machine = grown(patch)
    actions = []
    machine.register_memory_notifier(lambda action, *_: actions.append(action))
    counters = [(zone.present_pages, zone.managed_pages) for zone in machine.kernel.state.zones]

    with pytest.raises(KernelError) as caught:
        machine.offline(BLOCK)

    assert caught.value.name == "EBUSY"
    if patch == BEFORE:
        assert (caught.value.stage, actions) == ("set_migratetype_isolate", [])
    else:
        expected = ("scan_movable_pages", ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"])
        assert (caught.value.stage, actions) == expected
    assert counters == [(zone.present_pages, zone.managed_pages) for zone in machine.kernel.state.zones]
    assert not machine.check()


@BOTH
def test_a_block_of_an_extra_region_is_refused_at_the_isolation_even_after_the_patch(patch):
    machine = xen_machine(patch, ram=2 * SECTION, extra=(SECTION, SECTION))

    with pytest.raises(KernelError) as caught:
        machine.offline(1)

    assert (caught.value.name, caught.value.stage) == ("EBUSY", "set_migratetype_isolate")


@BOTH
def test_a_block_that_is_all_populated_goes_offline_and_comes_back_into_the_balloon(patch):
    machine = grown(patch, by=SECTION)
    balloon = balloon_of(machine)
    machine.offline(BLOCK)
    assert (balloon.balloon_low, balloon.plugged_pages()) == (0, RAM + SECTION)  # nobody told it

    online(machine)

    assert (balloon.balloon_low, machine.zone("Normal").managed_pages) == (SECTION, 0)
    assert not machine.check()


# ---- boot extra regions ----------------------------------------------------------------------------


@BOTH
def test_an_extra_region_is_no_part_of_the_machine_until_the_target_rises(patch):
    machine = xen_machine(patch, extra=(20000, 5000))
    balloon = balloon_of(machine)
    assert (balloon.plugged_pages(), balloon.total_pages) == (RAM - 5000, RAM)
    assert (balloon.balloon_low, machine.totalram_pages) == (5000, RAM - 5000)
    assert flagged(machine, balloon.ballooned_pages) == 5000

    balloon.set_target(RAM - 4000)

    assert flagged(machine, range(24000, 25000), MANAGED) == 1000
    assert flagged(machine, range(24000, 25000)) == 0
    assert flagged(machine, balloon.ballooned_pages) == 4000
    assert START not in machine.kernel.iomem
    assert not machine.check()


def test_an_extra_region_must_be_reserved():
    # A machine tells memblock of its devices' regions before it boots; nobody told this one.
    with pytest.raises(MemsimError, match="must be boot memory that is reserved"):
        XenBalloon(Machine([(0, RAM)]).kernel, "xen0", RAM, 20000, 5000)


# ---- lent pages ------------------------------------------------------------------------------------


@BOTH
def test_lent_pages_come_from_the_balloon_and_go_back_to_its_head(patch):
    machine = grown(patch)
    balloon = balloon_of(machine)
    head = balloon.ballooned_pages[-5:]
    pfns = balloon.lend(5)

    assert pfns == head[::-1]
    assert not any(machine.page(pfn).types for pfn in pfns)
    assert (balloon.target_unpopulated, balloon.balloon_low) == (5, SECTION - 1005)

    balloon.take_back(pfns)

    assert (pfns, balloon.target_unpopulated, balloon.ballooned_pages[-5:]) == ([], 0, head[::-1])
    assert all(machine.page(pfn).offline for pfn in head)
    assert balloon.plugged_pages() == RAM + 1000


def test_an_empty_balloon_gives_up_memory_for_pages_to_lend_and_asks_for_more_an_hour_later():
    machine = xen_machine()
    balloon = balloon_of(machine)
    balloon.set_target(RAM)  # the thread looks, and sleeps on
    pfns = balloon.lend(600)
    assert (balloon.plugged_pages(), machine.totalram_pages) == (RAM - 600, RAM - 600)
    assert flagged(machine, pfns, MANAGED) == 0
    assert START not in machine.kernel.iomem  # nobody woke the thread

    balloon.wait(HOUR)
    assert machine.kernel.iomem[START] == (SECTION, "System RAM")

    balloon.take_back(pfns)
    assert balloon.plugged_pages() == RAM == machine.totalram_pages
    assert not machine.check()


def test_an_hour_without_anything_to_do_changes_nothing(snapshot):
    # balloon_thread(): without credit it calls nothing that could change its state.
    machine = grown()
    balloon = balloon_of(machine)
    before = snapshot(machine.kernel.state)
    balloon.wait(HOUR)
    assert (balloon.state, balloon.timeout) == (BP_DONE, HOUR)
    assert snapshot(machine.kernel.state) == before


def test_pages_that_come_back_wake_the_thread_when_memory_was_given_up_for_them():
    machine = xen_machine()
    balloon = balloon_of(machine)
    balloon.take_back(balloon.lend(10))

    assert (balloon.balloon_low, balloon.plugged_pages()) == (0, RAM)


def test_memory_that_comes_online_wakes_a_thread_that_has_credit():
    machine = xen_machine()
    balloon_of(machine).lend(10)
    machine.add_memory(START, SECTION)
    online(machine)

    assert balloon_of(machine).plugged_pages() == RAM
    assert machine.zone("Normal").managed_pages == 10


def test_memory_that_the_zones_keep_back_is_not_given_up_to_be_lent():
    machine = xen_machine()

    with pytest.raises(KernelError, match="ENOMEM"):
        balloon_of(machine).lend(RAM - 10)

    assert balloon_of(machine).plugged_pages() == RAM
    assert not balloon_of(machine).ballooned_pages


def test_lending_more_than_there_is_fails_and_gives_everything_back():
    machine = grown()
    balloon = balloon_of(machine)

    with pytest.raises(KernelError, match="ENOMEM"):
        balloon.lend(3 * SECTION)

    assert balloon.target_unpopulated == 0
    assert balloon.plugged_pages() == RAM + 1000 == machine.totalram_pages
    assert not machine.check()


@BOTH
def test_what_is_present_and_not_managed_is_in_the_balloon_or_lent(patch):
    machine = grown(patch)
    balloon = balloon_of(machine)

    def withheld():
        return ghosts(machine, PRESENT, early=False) - ghosts(machine, MANAGED, early=False)

    def in_balloon():
        return sum(pfn >= START for pfn in balloon.ballooned_pages)

    assert withheld() == in_balloon() == SECTION - 1000
    pfns = balloon.lend(7)
    assert withheld() == in_balloon() + 7
    balloon.set_target(RAM - 200)
    assert withheld() == in_balloon() + 7 == SECTION
    balloon.take_back(pfns)
    assert withheld() == in_balloon() == SECTION


# ---- when Xen does not populate --------------------------------------------------------------------


def everything(machine):
    """Pages that are managed, in the balloon, or lent: all that there are."""
    balloon = balloon_of(machine)
    return machine.totalram_pages + balloon.balloon_low + balloon.target_unpopulated


@pytest.mark.parametrize(("answer", "times"), [("REFUSE", 1), ("REFUSE", 3), ("HALF", 2), ("HALF", 4)])
def test_a_refusal_is_slept_over_and_nothing_is_lost(kernel_kind, answer, times):
    release, patch = kernel_kind
    machine = xen_machine(patch, release)
    balloon_of(machine).host_will(answer, times)
    balloon_of(machine).set_target(RAM + 600)
    online(machine)

    assert balloon_of(machine).plugged_pages() == RAM + 600
    assert everything(machine) == RAM + SECTION
    assert not machine.check()


def test_half_a_list_is_half_a_list():
    machine = grown(record=True)
    machine.tape.action("target")
    balloon_of(machine).host_will("HALF", 2)
    balloon_of(machine).set_target(RAM + 1600)

    batches = [event for _, event in machine.tape.points() if event.point.startswith("enter:increase")]
    assert [event.args for event in batches if event.step == 0] == [(600,), (344,), (172,)]


def test_after_four_refusals_the_thread_gives_up_until_the_target_changes_or_an_hour_is_over():
    machine = grown()
    balloon = balloon_of(machine)
    balloon.host_will("REFUSE", 8)
    before = balloon.clock
    balloon.set_target(RAM + 1001)
    assert (balloon.state, balloon.clock) == (BP_ECANCELED, before + 2 + 4 + 8)

    balloon.set_target(RAM + 1001)  # the same credit is no reason to get up
    assert balloon.clock == before + 14
    balloon.set_target(RAM + 1002)
    assert (balloon.state, balloon.plugged_pages()) == (BP_ECANCELED, RAM + 1000)
    balloon.wait(HOUR)
    assert (balloon.state, balloon.plugged_pages()) == (BP_DONE, RAM + 1002)


def test_sleeps_double_up_to_32_seconds_when_retries_are_unlimited():
    machine = grown()
    balloon = balloon_of(machine)
    balloon.max_retry_count = RETRY_UNLIMITED
    balloon.host_will("REFUSE", 7)
    balloon.set_target(RAM + 1001)
    assert (balloon.state, balloon.schedule_delay) == (BP_EAGAIN, 32)

    sleeps = []
    for _ in range(3):
        sleeps.append(balloon.timeout)
        balloon.wait(balloon.timeout)

    assert (sleeps, balloon.state) == ([32, 32, 32], BP_DONE)
    assert balloon.schedule_delay == balloon.retry_count == 1


def test_each_sleep_is_twice_as_long_as_the_one_before():
    machine = grown()
    balloon = balloon_of(machine)
    balloon.host_will("REFUSE", 4)
    balloon.target_pages += 1
    balloon.wake_up()
    clocks = [balloon.clock]
    while balloon.work():
        clocks.append(balloon.clock)

    assert np.diff(clocks).tolist() == [0, 2, 4, 8]


def test_an_answer_that_xen_does_not_know_is_refused():
    with pytest.raises(MemsimError, match="host answer 'NACK' must be one of REFUSE, HALF"):
        balloon_of(xen_machine()).host_will("NACK", 1)


# ---- who may be there ------------------------------------------------------------------------------


def test_a_machine_has_one_balloon_and_one_callback():
    with pytest.raises(MemsimError, match="has a Xen balloon already"):
        Machine(devices=[XEN, XEN | {"name": "xen1"}])
    machine = Machine()
    set_online_page_callback(machine.kernel, generic_online_page)
    with pytest.raises(KernelError, match="EINVAL"):
        XenBalloon(machine.kernel, "xen0", START)


def test_a_scenario_drives_the_balloon():
    document = {
        "format": "memsim-scenario/1",
        "machine": {"ram": [[0, RAM]], "devices": [XEN]},
        "steps": [
            {"do": "xen_balloon_target", "device": "xen0", "target_pages": RAM + 10},
            {"do": "online", "block": BLOCK, "type": "online_kernel"},
            {"do": "host_will", "device": "xen0", "answer": "REFUSE", "times": 1},
            {"do": "xen_balloon_target", "device": "xen0", "target_pages": RAM + 20},
            {"do": "offline", "block": BLOCK, "errno": "EBUSY"},
        ],
    }
    result = run(Scenario.parse(document))

    assert result.as_expected
    balloon = balloon_of(result.machine)
    assert balloon.plugged_pages() == RAM + 20
    assert repr(balloon) == "XenBalloon(xen0: BP_DONE, current 32788, target 32788, balloon 32748)"


# ---- half a patch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("debug_vm", [False, True])
@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize(
    ("patch", "like"),
    [(Patch({Hunk.XEN_BALLOON}), BEFORE), (Patch.without({Hunk.XEN_BALLOON}), AFTER)],
    ids=["alone", "missing"],
)
def test_the_xen_hunk_changes_nothing_that_can_be_seen(patch, like, release, debug_vm, snapshot):
    # Setting Offline where it is set already is no bug: 6.1 checks the base bits only, 6.12 returns early.
    half, whole = (grown(each, release, by=200, debug_vm=debug_vm) for each in (patch, like))
    for machine in (half, whole):
        balloon_of(machine).take_back(balloon_of(machine).lend(5))
        balloon_of(machine).set_target(RAM - 100)

    assert snapshot(half.kernel.state) == snapshot(whole.kernel.state)
    assert half.log == []
    assert not half.check()


@pytest.mark.parametrize("release", ["6.1", "6.12"])
@pytest.mark.parametrize("make", [Patch, Patch.without], ids=["alone", "missing"])
@pytest.mark.parametrize("hunk", list(Hunk))
def test_no_half_patch_harms_memory_of_the_balloon(hunk, make, release):
    # Its pages never see __free_pages_core(): whatever they were born with, the balloon makes them
    # Offline, and balloon_retrieve() with free_reserved_page() takes off both marks.
    machine = grown(make({hunk}), release, by=100, debug_vm=True)
    balloon_of(machine).set_target(RAM + 10)

    assert machine.zone("Normal").managed_pages == machine.zone("Normal").nr_free_pages == 10
    assert machine.log == []
    assert not machine.check()


# ---- any script ------------------------------------------------------------------------------------

ACTIONS = st.one_of(
    st.tuples(st.just("target"), st.integers(RAM - 600, RAM + 600)),
    st.tuples(st.just("lend"), st.integers(1, 300)),
    st.tuples(st.just("take back"), st.just(0)),
    st.tuples(st.just("online"), st.just(BLOCK)),
    st.tuples(st.just("offline"), st.just(BLOCK)),
    st.tuples(st.just("REFUSE"), st.integers(1, 6)),
    st.tuples(st.just("HALF"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.sampled_from([1, 10, HOUR])),
)


def act(machine, pages, action, number):
    """Do one action; returns the errno that it ends with."""
    balloon = balloon_of(machine)
    try:
        match action:
            case "target":
                balloon.set_target(number)
            case "lend":
                pages += balloon.lend(number)
            case "take back":
                balloon.take_back(pages)
            case "online":
                online(machine)
            case "offline":
                machine.offline(number)
            case "wait":
                balloon.wait(number)
            case answer:
                balloon.host_will(answer, number)
    except KernelError as error:
        return error.name
    return None


@pytest.mark.long
@settings(max_examples=40)
@given(st.lists(ACTIONS, min_size=4, max_size=10))
def test_before_and_after_do_the_same_and_lose_nothing(script):
    machines = [xen_machine(patch) for patch in (BEFORE, AFTER)]
    pages = [[], []]
    for action, number in script:
        ended = [act(m, lent_to, action, number) for m, lent_to in zip(machines, pages, strict=True)]
        assert ended[0] == ended[1]
        balloons = [balloon_of(machine) for machine in machines]
        assert balloons[0].ballooned_pages == balloons[1].ballooned_pages
        assert (pages[0], repr(balloons[0])) == (pages[1], repr(balloons[1]))
        assert balloons[0].clock == balloons[1].clock
        for machine, lent_to in zip(machines, pages, strict=True):
            present = sum(zone.present_pages for zone in machine.kernel.state.zones)
            assert everything(machine) == present
            assert balloon_of(machine).target_unpopulated == len(lent_to)
            assert not machine.check()
