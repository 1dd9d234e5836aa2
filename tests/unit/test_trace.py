"""Tracepoints and the tape: forwards, backwards, and no tape at all."""

from __future__ import annotations

import random

import pytest

from memsim.errors import KernelError
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import MANAGED, PageFlag, PageType
from memsim.linux.mm.page_alloc.api import alloc_pages, alloc_pages_bulk
from memsim.machine.machine import Machine
from memsim.state.event import Event
from memsim.state.playback import KEYFRAME_EVENTS
from memsim.state.recording import PRIMITIVES
from memsim.state.sharing import share
from memsim.state.trace import Probe, matches

BLOCK = 0x100000
SMALL = [(0x200000, 32768)]  # one section of boot memory, all of it Normal


def recorded(ram=SMALL):
    """Return a machine and the tape of adding, onlining, using and offlining one block."""
    machine = Machine(ram=ram)
    tape = machine.record()
    machine.add_memory(BLOCK, 32768)
    machine.online(32, "online_movable")
    machine.allocate(3, block=32)
    machine.offline(32)
    return machine, tape


@pytest.mark.long
def test_the_state_after_any_event_is_what_replaying_all_events_up_to_it_gives(snapshot):
    machine = Machine(ram=SMALL)
    machine.add_memory(BLOCK, 32768)
    start = machine.kernel.state.copy()
    tape = machine.record()
    machine.online(32, "online_movable")
    assert len(tape) > 2 * KEYFRAME_EVENTS  # so that going back begins at a frame inside the tape
    expected = [snapshot(start)]
    for event in tape.events:
        if event.primitive:
            getattr(start.target(event.target), event.primitive)(*event.args)
        expected.append(snapshot(start))
    order = list(range(-1, len(tape)))
    random.Random(2).shuffle(order)  # noqa: S311 (an order, not a secret)
    wrong = [index for index in order if snapshot(tape.at(index)) != expected[index + 1]]
    assert wrong == []


def test_the_state_after_the_last_event_is_the_machines(snapshot):
    machine, tape = recorded()
    assert snapshot(tape.at(len(tape) - 1)) == snapshot(machine.kernel.state)


def test_the_state_before_the_first_event_is_the_machines_when_the_tape_was_put_in(snapshot):
    machine = Machine(ram=SMALL)
    before = snapshot(machine.kernel.state)
    tape = machine.record()
    machine.add_memory(BLOCK, 32768)
    machine.online(32)
    assert snapshot(tape.at(len(tape) - 1)) != before
    assert snapshot(tape.at(-1)) == before


def test_what_a_machine_does_after_the_tape_stopped_is_not_on_it(snapshot):
    machine, tape = recorded()
    length, last = len(tape), snapshot(machine.kernel.state)
    machine.stop_recording()
    machine.online(32)
    assert len(tape) == length
    assert snapshot(tape.at(length - 1)) == last


def test_what_a_tape_shares_between_moments_never_leaks_into_the_machine_or_back(snapshot):
    """The shortcuts of the allocator write to sections and free lists past the primitives."""
    machine = Machine(ram=SMALL)
    tape = machine.record()
    machine.stop_recording()
    first = snapshot(tape.at(-1))
    machine.allocate(1500)
    assert snapshot(tape.at(-1)) == first
    other, tape = recorded()
    end = snapshot(other.kernel.state)
    for index in (len(tape) - 1, 5, 700, -1):
        tape.at(index)
        assert snapshot(other.kernel.state) == end


def test_a_memmap_that_shares_its_sections_and_its_twin_never_see_each_other_s_writes(snapshot):
    machine, _ = recorded()
    state = machine.kernel.state.copy()
    twin = share(state)
    before = snapshot(state)
    twin.memmap.set_flags(SMALL[0][0] + 7, 3, PageFlag.RESERVED)
    twin.memmap.set_migratetype(SMALL[0][0], 512, MigrateType.ISOLATE)
    twin.memmap.add_section(77)
    twin.memmap.set_online(SMALL[0][0] >> 15, online=False)
    assert snapshot(state) == before
    changed = snapshot(twin)
    state.memmap.set_type(SMALL[0][0] + 9, 1, PageType.OFFLINE)
    state.memmap.remove_section(SMALL[0][0] >> 15)
    assert snapshot(twin) == changed


@pytest.mark.parametrize("wrong", [-2, 10**6])
def test_an_event_that_is_not_on_the_tape_is_refused(wrong):
    _, tape = recorded()
    with pytest.raises(IndexError, match=f"event {wrong} is not on the tape"):
        tape.at(wrong)


def test_probe_points_are_numbered_within_an_action_and_begin_again_with_the_next():
    machine = Machine(ram=SMALL)
    machine.add_memory(BLOCK, 65536)
    tape = machine.record()
    for block in (32, 33):
        tape.action(f"online block {block}")
        machine.online(block)
    first, second = (tape.find(step, "enter:generic_online_page#3") for step in (0, 1))
    assert tape.events[first].args == (BLOCK + 2048, 10)  # the third chunk of 1024 pages
    assert tape.events[second].args == (BLOCK + 32768 + 2048, 10)
    assert tape.labels == ["online block 32", "online block 33"]
    assert tape.find(1, "enter:offline_pages") is None


def test_a_tape_without_actions_has_one_step_which_is_0():
    machine = Machine(ram=SMALL)
    machine.add_memory(BLOCK, 32768)
    tape = machine.record()
    machine.online(32)
    first = tape.find(0, "enter:online_pages")
    assert first is not None
    assert {event.step for event in tape.events} == {0}
    tape.action("offline")  # from now on steps are counted by actions
    machine.offline(32)
    assert tape.find(0, "enter:online_pages") is None
    assert tape.events[first].step == -1
    assert tape.find(0, "enter:offline_pages") is not None
    assert tape.labels == ["offline"]


def test_a_point_is_meant_by_its_name_with_its_number_or_without_any():
    assert matches("enter:generic_online_page#3", "enter:generic_online_page")
    assert matches("enter:generic_online_page#3", "enter:generic_online_page#3")
    assert not matches("enter:generic_online_page#3", "enter:generic_online_page#33")
    assert not matches("enter:online_pages_range#1", "enter:online_pages")


def test_every_function_that_is_entered_returns_the_innermost_first():
    _, tape = recorded()
    stack = []
    for _, event in tape.points():
        kind, _, name = event.point.rpartition("#")[0].partition(":")
        if kind == "enter":
            assert event.depth == len(stack)
            stack.append(name)
        elif kind == "return":
            assert stack.pop() == name
    assert stack == []


def test_a_function_that_fails_returns_on_the_tape_too():
    machine = Machine(ram=SMALL)
    machine.add_memory(BLOCK, 32768)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_ONLINE" else None)
    tape = machine.record()
    tape.action("online")
    with pytest.raises(KernelError):
        machine.online(32)
    assert tape.find(0, "return:online_pages") is not None
    assert tape.events[-1].depth == 0


def test_a_write_knows_the_innermost_function_that_makes_it():
    _, tape = recorded()
    spans = [event for event in tape.events if event.primitive == "set_span"]
    # Only moving a range into a zone and taking it out again change a span.
    assert {event.function for event in spans} == {"move_pfn_range_to_zone", "remove_pfn_range_from_zone"}


def test_an_event_is_told_in_one_line_with_pfns_in_hexadecimal():
    event = Event(0, "online_pages", 2, target="memmap", primitive="set_refcount", args=(BLOCK, 1024, 0))
    assert str(event) == "    memmap.set_refcount(0x100000, 1024, 0)"


def test_a_probe_sees_the_kernel_stand_still_at_each_point_in_the_order_of_the_tape():
    _, tape = recorded()
    seen = []
    machine = Machine(ram=SMALL)
    machine.kernel.put_trace(Probe(seen.append))
    machine.add_memory(BLOCK, 32768)
    machine.online(32, "online_movable")
    machine.allocate(3, block=32)
    machine.offline(32)
    assert seen == [event.point for _, event in tape.points()]


# ---- every write there is --------------------------------------------------------------------------

Q = 0x200000  # boot memory: its first page heads a free block of order 10
WRITES = {
    "memmap": {
        "add_section": (32,),
        "remove_section": (64,),
        "set_online": (64, False),
        "poison": (Q + 5, 7),
        "init_pages": (Q + 5, 7, ZoneType.MOVABLE, PageFlag.RESERVED, 0xFF),
        "set_flags": (Q + 5, 7, PageFlag.DIRTY),
        "clear_flags": (Q + 5, 7, MANAGED),
        "set_type": (Q + 5, 7, PageType.OFFLINE),
        "clear_type": (Q, 1, PageType.BUDDY),
        "reset_type": (Q,),
        "set_refcount": (Q + 5, 7, 3),
        "set_buddy_order": (Q + 512, 9),
        "clear_buddy": (Q,),
        "set_order": (Q + 5, 4),
        "set_migratetype": (Q, 1024, MigrateType.ISOLATE),
        "set_free_max_order": (64, ZoneType.MOVABLE, MigrateType.RECLAIMABLE),
    },
    "Normal": {
        "add": ("managed_pages", 5),
        "set_span": (Q, 77),
        "add_to_free_list": (Q + 5, 0, MigrateType.MOVABLE),
        "add_to_free_list_tail": (Q + 1024, 10, MigrateType.ISOLATE),
        "del_from_free_list": (Q, 10, MigrateType.MOVABLE),
        "add_run_to_free_list_tail": (range(Q + 5, Q + 8), 0, MigrateType.MOVABLE),
        "del_run_from_free_list": (range(Q, Q + 4096, 1024), 10, MigrateType.MOVABLE),
        "set_watermark": ((1, 2, 3, 4),),
        "pcp_add": (Q + 5, 0, MigrateType.MOVABLE),
        "pcp_add_tail": (Q + 6, 0, MigrateType.MOVABLE),
        "pcp_del": (Q + 9, 0, MigrateType.MOVABLE),
    },
    "state": {
        "totalram_pages_add": (5,),
        "set_block_state": (64, "going-offline"),
        "printk": ("hello",),
    },
}


@pytest.mark.parametrize(
    ("target", "primitive"), [(target, name) for target, names in WRITES.items() for name in names]
)
def test_every_write_is_on_the_tape_and_can_be_undone_and_done_again(snapshot, target, primitive):
    machine = Machine(ram=SMALL)
    machine.zone("Normal").pcp_add(Q + 9, 0, MigrateType.MOVABLE)
    state = machine.kernel.state
    before = snapshot(state)
    tape = machine.record()
    getattr(state.target(target), primitive)(*WRITES[target][primitive])
    after = snapshot(state)
    assert after != before
    assert len(tape) == 1
    assert snapshot(tape.at(0)) == after
    assert snapshot(tape.at(-1)) == before


def test_no_write_is_missing_from_this_list():
    state = Machine(ram=SMALL).kernel.state
    assert {type(state.target(name)): set(listed) for name, listed in WRITES.items()} == {
        plain: set(primitives) for plain, primitives in PRIMITIVES.items()
    }


# ---- with no tape, nothing differs -----------------------------------------------------------------


def several_blocks(machine):
    """Online blocks to both zones, next to each other, with lists that hold something already."""
    machine.add_memory(BLOCK, 5 * 32768)
    machine.online(33, "online_kernel")
    machine.online(32, "online_kernel")  # the lists of Normal hold boot memory and block 33
    pages = machine.allocate(700, block=33)
    machine.free(pages[::2])
    machine.online(34, "online_movable")
    machine.online(36, "online_movable")
    machine.offline(34)
    machine.online(34, "online_movable")


def failed_offline(machine):
    """Isolate a whole free block, and give it back because a listener says no."""
    machine.add_memory(BLOCK, 32768)
    machine.online(32)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_OFFLINE" else None)
    with pytest.raises(KernelError):
        machine.offline(32)


def one_large_block(machine):
    """Online a memory block of two sections, take it offline and put it online again."""
    machine.add_memory(BLOCK, 65536)
    machine.online(16)
    machine.offline(16)
    machine.online(16, "online_movable")
    machine.free(machine.allocate(9, block=16))
    machine.offline(16)


def impatient_offline(machine):
    """Press Ctrl-C before anything was scanned: the isolation of a free block is taken back."""
    machine.add_memory(BLOCK, 2 * 32768)
    machine.online(32)
    machine.online(33)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=0)
    machine.offline(33, patience=1)


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "block_pages"),
    [
        (several_blocks, 32768),
        (failed_offline, 32768),
        (one_large_block, 65536),
        (impatient_offline, 32768),
    ],
)
def test_a_machine_without_a_tape_ends_in_the_same_state(snapshot, kernel_kind, script, block_pages):
    release, patch = kernel_kind
    ends = []
    for tape in (False, True):
        machine = Machine(SMALL, patch, release, block_pages=block_pages)
        if tape:
            machine.record()
        script(machine)
        assert machine.check() == []
        ends.append(snapshot(machine.kernel.state))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("debug_vm", [False, True])
def test_a_boot_without_a_tape_ends_in_the_same_state(snapshot, kernel_kind, debug_vm):
    """Whole sections, a hole, an end inside a section, zones that meet, and memory that boot code keeps."""
    release, patch = kernel_kind
    ram = [(0, 40000), (98304, 32768), (0xF0000, 0x30000)]
    reserved = [(98304 + 5, 3)]
    ends = []
    for record in (False, True):
        machine = Machine(ram, patch, release, reserved=reserved, debug_vm=debug_vm, record=record)
        assert machine.check() == []
        ends.append(snapshot(machine.kernel.state))
    assert ends[0] == ends[1]


def test_a_tape_that_was_put_in_after_onlining_sees_every_pageblock_given_back():
    # On 6.1 an untouched block is still one pattern when its isolation ends; a tape wants the steps.
    machine = Machine(SMALL, release="6.1")
    machine.add_memory(BLOCK, 32768)
    machine.online(32)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if "GOING" in action else None)
    tape = machine.record()
    with pytest.raises(KernelError):
        machine.offline(32)
    given_back = [event for event in tape.events if event.args == ("nr_isolate_pageblock", -1)]
    assert len(given_back) == 64


def test_a_probe_that_heeds_no_writes_makes_none_of_them_slower():
    machine = Machine(ram=[(0, 131072)])
    plain = type(machine.kernel.state.memmap)
    machine.kernel.put_trace(Probe(lambda _point: None))
    assert type(machine.kernel.state.memmap) is plain
    machine.record()
    assert type(machine.kernel.state.memmap) is not plain
    machine.kernel.put_trace(Probe(lambda _point: None))
    assert type(machine.kernel.state.memmap) is plain


def test_what_a_trace_does_not_watch_takes_its_shortcut_and_reports_nothing():
    machine = Machine(ram=[(0, 131072)])
    seen = []
    probe = Probe(seen.append)
    probe.unwatched = frozenset({"alloc_pages_bulk"})
    machine.kernel.put_trace(probe)
    assert list(machine.kernel.shortcuts) == ["alloc_pages_bulk"]
    alloc_pages_bulk(machine.kernel, 100, MigrateType.MOVABLE)
    assert seen == []
    alloc_pages(machine.kernel, 0, MigrateType.MOVABLE)
    assert seen[0] == "enter:alloc_pages#1"
    machine.kernel.put_trace(Probe(seen.append))
    assert machine.kernel.shortcuts == {}


def test_a_tape_finds_probe_points_of_before_the_first_step_too():
    machine = Machine(ram=[(0, 131072)])
    tape = machine.record()
    machine.add_memory(0x100000, 32768)
    first = tape.find(0, "enter:add_memory")
    assert first is not None
    assert tape.events[first].point == "enter:add_memory#1"
    tape.action("online")
    machine.online(32)
    assert tape.find(0, "enter:online_pages#2") is None
    assert tape.events[tape.find(0, "enter:online_pages")].step == 0
