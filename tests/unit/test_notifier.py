"""The memory notifier chain (drivers/base/memory.c, include/linux/memory.h)."""

from __future__ import annotations

import pytest

from memsim.errors import KernelBug, KernelError, MemsimError
from memsim.linux.drivers.base.memory.notifier import (
    memory_notify,
    register_memory_notifier,
    unregister_memory_notifier,
)
from memsim.linux.include.notifier import (
    NOTIFY_BAD,
    NOTIFY_DONE,
    NOTIFY_OK,
    NOTIFY_STOP_MASK,
    notifier_from_errno,
    notifier_to_errno,
)
from memsim.machine.machine import Machine
from memsim.release import RELEASES

P, N = 0x100000, 32768


def added(release="6.1"):
    """Return a machine with an offline block 32: by default of a release without actions around the rest."""
    machine = Machine([(0, N)], release=release)
    machine.add_memory(P, N)
    return machine


class Listener:
    """Remembers what it is told and answers as it was told to."""

    def __init__(self, **answers):
        self.answers = answers
        self.seen = []

    def __call__(self, action, start_pfn, nr_pages):
        self.seen.append(action)
        assert (start_pfn, nr_pages) == (P, N)
        return self.answers.get(action)


def listen(machine, priority=0, **answers):
    """Register a new listener."""
    listener = Listener(**answers)
    machine.register_memory_notifier(listener, priority)
    return listener


@pytest.mark.parametrize(
    ("release", "numbers"),
    [
        ("6.1", [1, 2, 4, 8, 16, 32]),
        ("6.11", [1, 2, 4, 8, 16, 32, 64, 128]),
        ("6.12", [1, 2, 4, 8, 16, 32, 64, 128]),
        ("7.3", [0, 1, 2, 3, 4, 5, 1, 2, 4, 8, 16, 32]),
    ],
)
def test_actions_are_bits_until_an_enum_numbers_them(release, numbers):
    """include/linux/memory.h: macros in 6.1 and in Debian's 6.12.95, enum memory_block_state in 7.3.

    The actions of 7.3's node notifier are bits again (include/linux/node.h).
    """
    kernel = RELEASES[release]
    assert [kernel.action_number(action) for action in kernel.actions] == numbers


@pytest.mark.parametrize(
    ("release", "action"),
    [("6.1", "MEM_PREPARE_ONLINE"), ("7.3", "MEM_FINISH_OFFLINE"), ("6.12", "NODE_ADDING_FIRST_MEMORY")],
)
def test_an_action_that_a_kernel_does_not_have_has_no_number(release, action):
    with pytest.raises(MemsimError, match=f"{release} has no notifier action '{action}'"):
        RELEASES[release].action_number(action)


def test_notify_bad_is_eperm_and_not_ebusy():
    assert notifier_to_errno(NOTIFY_BAD) == 1


@pytest.mark.parametrize(("name", "number"), [("EPERM", 1), ("ENOMEM", 12), ("EBUSY", 16)])
def test_an_errno_survives_the_encoding_and_stops_the_chain(name, number):
    assert notifier_to_errno(notifier_from_errno(name)) == number
    assert notifier_from_errno(name) & NOTIFY_STOP_MASK


@pytest.mark.parametrize("answer", [NOTIFY_DONE, NOTIFY_OK, NOTIFY_OK | NOTIFY_STOP_MASK])
def test_done_and_ok_are_no_error(answer):
    assert notifier_to_errno(answer) == 0


def test_a_block_that_comes_online_is_announced_and_reported():
    machine = added()
    listener = listen(machine)
    machine.online(32)
    assert listener.seen == ["MEM_GOING_ONLINE", "MEM_ONLINE"]


def test_a_block_that_goes_offline_is_announced_and_reported():
    machine = added()
    machine.online(32)
    listener = listen(machine)
    machine.offline(32)
    assert listener.seen == ["MEM_GOING_OFFLINE", "MEM_OFFLINE"]


def test_a_veto_is_followed_by_cancel_for_all_even_those_who_never_saw_going():
    machine = added()
    early = listen(machine, priority=2)
    vetoing = listen(machine, priority=1, MEM_GOING_ONLINE=NOTIFY_BAD)
    late = listen(machine, priority=0)
    with pytest.raises(KernelError):
        machine.online(32)
    assert early.seen == ["MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"]
    assert vetoing.seen == ["MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"]
    assert late.seen == ["MEM_CANCEL_ONLINE"]


def test_offlining_that_a_listener_vetoes_is_cancelled_with_the_listeners_errno():
    machine = added()
    machine.online(32)
    listen(machine, priority=1, MEM_GOING_OFFLINE=notifier_from_errno("EBUSY"))
    late = listen(machine)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_OFFLINE") as caught:
        machine.offline(32)
    assert caught.value.name == "EBUSY"
    assert late.seen == ["MEM_CANCEL_OFFLINE"]


def test_offlining_that_cannot_isolate_the_range_is_announced_to_nobody():
    machine = added()
    machine.online(32, "online_kernel")
    machine.allocate(1, "unmovable", block=32)
    listener = listen(machine)
    with pytest.raises(KernelError, match="EBUSY"):
        machine.offline(32)
    assert listener.seen == []


def test_offlining_that_is_interrupted_is_cancelled():
    machine = added()
    machine.online(32, "online_movable")
    (pfn,) = machine.allocate(1, block=32)
    machine.kernel.memmap.set_refcount(pfn, 1, 2)
    listener = listen(machine)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32)
    assert listener.seen == ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]


def told(machine, *listeners):
    """Register listeners of (name, priority), notify, and return the order in which they were called."""
    order = []
    for name, priority in listeners:

        def listener(*_, name=name):
            order.append(name)

        register_memory_notifier(machine.kernel, listener, priority)
    memory_notify(machine.kernel, "MEM_ONLINE", P, N)
    return order


def test_higher_priority_is_called_first_and_equals_in_order_of_registration():
    order = told(added(), ("slab", 1), ("a", 0), ("ksm", 100), ("b", 0), ("below", -1))
    assert order == ["ksm", "slab", "a", "b", "below"]


def test_stop_without_an_error_keeps_the_action_from_the_rest_and_lets_it_go_on():
    machine = added()
    listen(machine, priority=1, MEM_GOING_ONLINE=NOTIFY_OK | NOTIFY_STOP_MASK)
    late = listen(machine)
    machine.online(32)
    assert late.seen == ["MEM_ONLINE"]


@pytest.mark.parametrize("stops", [True, False])
def test_an_errno_without_the_stop_bit_counts_only_as_the_last_answer(stops):
    """notifier_call_chain(), kernel/notifier.c: the caller gets what the last one called answered."""
    machine = added()
    listen(machine, priority=1, MEM_GOING_ONLINE=NOTIFY_BAD & ~NOTIFY_STOP_MASK)
    last = listen(machine, MEM_GOING_ONLINE=NOTIFY_BAD & ~NOTIFY_STOP_MASK if stops else NOTIFY_OK)
    if stops:
        with pytest.raises(KernelError, match="vetoed MEM_GOING_ONLINE"):
            machine.online(32)
        assert last.seen == ["MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"]
    else:
        machine.online(32)
        assert last.seen == ["MEM_GOING_ONLINE", "MEM_ONLINE"]


def test_a_listener_that_left_the_chain_hears_nothing():
    machine = added()
    gone, stays = listen(machine), listen(machine)
    unregister_memory_notifier(machine.kernel, gone)
    machine.online(32)
    assert gone.seen == []
    assert stays.seen == ["MEM_GOING_ONLINE", "MEM_ONLINE"]


def test_the_chain_is_a_probe_point_that_comes_before_the_first_listener():
    machine = added()
    tape = machine.record()
    tape.action("online")
    lengths = []
    machine.register_memory_notifier(lambda *_: lengths.append(len(tape)))
    machine.online(32)
    assert lengths == [
        tape.find(0, f"notifier:{action}") + 1 for action in ("MEM_GOING_ONLINE", "MEM_ONLINE")
    ]


# ---- MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE: memory_block_online(), drivers/base/memory.c, 6.9 to 6.18

BOTH_ENDS = pytest.mark.parametrize(
    ("release", "prepares"), [("6.1", False), ("6.11", True), ("6.12", True), ("7.3", False)]
)


def said(release, act, **options):
    """Return what a tape has of the notifier and of self-hosted vmemmap while ``act(machine)`` runs."""
    machine = Machine([(0, N)], release=release, **options)
    machine.add_memory(P, N)
    tape = machine.record()
    tape.action("act")
    act(machine)
    points = [event.point.rpartition("#")[0] for _, event in tape.points()]
    wanted = ("notifier:", "return:mhp_", "enter:online_pages", "return:offline_pages")
    return [point.rpartition(":")[2] for point in points if point.startswith(wanted) and "range" not in point]


@BOTH_ENDS
def test_6_12_announces_a_block_before_its_memmap_is_initialised_and_after_it_is_gone(release, prepares):
    seen = said(release, lambda m: (m.online(32), m.offline(32)), memmap_on_memory=True)
    online = ["mhp_init_memmap_on_memory", "online_pages", "MEM_GOING_ONLINE", "MEM_ONLINE"]
    offline = ["MEM_GOING_OFFLINE", "MEM_OFFLINE", "offline_pages", "mhp_deinit_memmap_on_memory"]
    if prepares:
        online, offline = ["MEM_PREPARE_ONLINE", *online], [*offline, "MEM_FINISH_OFFLINE"]
    assert seen == online + offline


@BOTH_ENDS
def test_6_12_tells_that_it_gives_up_a_block_that_did_not_come_online(release, prepares):
    def veto(machine):
        listen(machine, MEM_GOING_ONLINE=NOTIFY_BAD)
        with pytest.raises(KernelError, match="vetoed MEM_GOING_ONLINE"):
            machine.online(32)

    middle = ["online_pages", "MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"]
    expected = ["MEM_PREPARE_ONLINE", *middle, "MEM_FINISH_OFFLINE"] if prepares else middle
    assert said(release, veto) == expected


def test_a_veto_of_prepare_touches_no_page_and_is_not_cancelled(snapshot):
    machine = added("6.12")
    early, late = listen(machine, priority=2), listen(machine)
    listen(machine, priority=1, MEM_PREPARE_ONLINE=notifier_from_errno("ENOMEM"))
    before = snapshot(machine.kernel.state)
    with pytest.raises(KernelError, match="vetoed MEM_PREPARE_ONLINE") as caught:
        machine.online(32)
    assert caught.value.name == "ENOMEM"
    assert (early.seen, late.seen) == (["MEM_PREPARE_ONLINE"], [])
    assert snapshot(machine.kernel.state) == before


def test_a_block_that_stays_online_is_not_given_up():
    machine = added("6.12")
    machine.online(32)
    listener = listen(machine, MEM_GOING_OFFLINE=NOTIFY_BAD)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_OFFLINE"):
        machine.offline(32)
    assert listener.seen == ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]


def test_self_hosted_pages_are_not_in_the_range_that_is_announced():
    machine = Machine([(0, N)], release="6.12", memmap_on_memory=True)
    machine.add_memory(P, N)
    ranges = []
    machine.register_memory_notifier(lambda action, pfn, size: ranges.append((action, pfn, size)))
    machine.online(32)
    assert ranges[0] == ("MEM_PREPARE_ONLINE", P + 512, N - 512)


# ---- the node notifier: online_pages() and offline_pages(), mm/memory_hotplug.c, 6.17 ----------------


def alone(release="7.3"):
    """Return a machine whose one block of boot memory can go offline, and what its listeners hear."""
    machine, seen = Machine([(P, N)], release=release), []
    machine.register_memory_notifier(lambda action, *_: seen.append(action))
    machine.register_node_notifier(lambda action, nid: seen.append(f"{action} {nid}"))
    return machine, seen


def test_the_last_memory_of_a_node_goes_and_its_first_comes_with_actions_of_the_node():
    machine, seen = alone()
    machine.offline(32)
    assert seen == [
        *("NODE_REMOVING_LAST_MEMORY 0", "MEM_GOING_OFFLINE"),
        *("NODE_REMOVED_LAST_MEMORY 0", "MEM_OFFLINE"),
    ]
    seen.clear()
    machine.online(32)
    assert seen == [
        *("NODE_ADDING_FIRST_MEMORY 0", "MEM_GOING_ONLINE"),
        *("NODE_ADDED_FIRST_MEMORY 0", "MEM_ONLINE"),
    ]


@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_before_6_17_there_is_no_chain_for_nodes(release):
    machine, seen = alone(release)
    machine.offline(32)
    machine.online(32)
    assert [action for action in seen if action.startswith("NODE")] == []


def test_a_node_with_other_memory_is_not_mentioned():
    machine, seen = alone()
    machine.add_memory(P + N, N)
    machine.online(33)
    machine.offline(33)
    assert [action for action in seen if action.startswith("NODE")] == []


def test_a_node_s_listener_that_refuses_the_first_memory_has_cancel_sent_without_going():
    machine, seen = alone()
    machine.offline(32)
    seen.clear()
    machine.register_node_notifier(lambda action, _: NOTIFY_BAD if "ADDING_FIRST" in action else None, -1)
    with pytest.raises(KernelError, match="vetoed NODE_ADDING_FIRST_MEMORY of node 0"):
        machine.online(32)
    assert seen == [
        *("NODE_ADDING_FIRST_MEMORY 0", "MEM_CANCEL_ONLINE", "NODE_CANCEL_ADDING_FIRST_MEMORY 0"),
    ]
    assert machine.zone("Normal").spanned_pages == 0


def test_a_node_s_listener_that_refuses_to_lose_the_last_memory():
    machine, seen = alone()
    machine.register_node_notifier(lambda action, _: NOTIFY_BAD if "REMOVING_LAST" in action else None, -1)
    with pytest.raises(KernelError, match="vetoed NODE_REMOVING_LAST_MEMORY of node 0"):
        machine.offline(32)
    assert seen == [
        *("NODE_REMOVING_LAST_MEMORY 0", "MEM_CANCEL_OFFLINE", "NODE_CANCEL_REMOVING_LAST_MEMORY 0"),
    ]
    assert machine.log[-1].endswith("failed due to node notifier failure")
    assert machine.zone("Normal").nr_isolate_pageblock == 0


@pytest.mark.parametrize("action", ["online", "offline"])
def test_a_memory_listener_that_refuses_cancels_the_node_s_action_too(action):
    machine, seen = alone()
    if action == "online":
        machine.offline(32)
        seen.clear()
    veto = f"MEM_GOING_{action.upper()}"
    machine.register_memory_notifier(lambda said, *_: NOTIFY_BAD if said == veto else None, -1)
    with pytest.raises(KernelError, match=f"vetoed {veto}"):
        getattr(machine, action)(32)
    assert seen[-2:] == [
        f"MEM_CANCEL_{action.upper()}",
        "NODE_CANCEL_ADDING_FIRST_MEMORY 0" if action == "online" else "NODE_CANCEL_REMOVING_LAST_MEMORY 0",
    ]


HOTPLUG = {
    "add_memory": lambda machine: machine.add_memory(P + N, N),
    "remove_memory": lambda machine: machine.remove_memory(P, N),
    "online": lambda machine: machine.online(32),
    "offline": lambda machine: machine.offline(32),
    "offline_and_remove_memory": lambda machine: machine.offline_and_remove_memory(P, N),
}


@pytest.mark.parametrize("inner", HOTPLUG)
@pytest.mark.parametrize("outer", ["online", "offline", "offline_and_remove_memory"])
def test_hotplug_in_a_listener_waits_for_a_lock_that_its_caller_holds(outer, inner):
    # In the kernel, too, all of these take device_hotplug_lock (mm/memory_hotplug.c, drivers/base/memory.c:
    # state_store()), a mutex, which a task cannot take twice.
    machine = added()
    if outer != "online":
        machine.online(32)
    machine.register_memory_notifier(lambda *_: HOTPLUG[inner](machine))

    with pytest.raises(
        KernelBug, match=rf"^{inner}\(\) waits for device_hotplug_lock, which {outer}\(\) holds"
    ):
        HOTPLUG[outer](machine)


def test_a_copy_made_in_a_listener_is_a_machine_on_which_nothing_runs():
    machine, states = added(), []

    def try_it(*_):
        twin = machine.copy()
        twin.add_memory(P + N, N)
        states.append(twin.block(33).state)

    machine.register_memory_notifier(try_it)
    machine.online(32)

    assert states == ["offline", "offline"]
    machine.add_memory(P + N, N)  # the lock is free again


def test_the_bare_name_of_an_errno_is_no_answer():
    machine = added()
    listen(machine, MEM_GOING_ONLINE="EBUSY")

    with pytest.raises(MemsimError, match="a listener answered MEM_GOING_ONLINE with 'EBUSY'"):
        machine.online(32)
