"""The memory notifier chain (drivers/base/memory.c, include/linux/memory.h)."""

from __future__ import annotations

import pytest

from memsim.errors import KernelError
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
from memsim.release import ACTIONS, RELEASES

P, N = 0x100000, 32768


def added():
    """Return a machine with an offline block 32."""
    machine = Machine([(0, N)])
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
    [(name, [1, 2, 4, 8, 16, 32]) for name in ("6.1", "6.11", "6.12")] + [("7.3", [0, 1, 2, 3, 4, 5])],
)
def test_actions_are_bits_until_an_enum_numbers_them(release, numbers):
    """include/linux/memory.h: macros in 6.1 and in Debian's 6.12.95, enum memory_block_state in 7.3."""
    assert [RELEASES[release].action_number(action) for action in ACTIONS] == numbers


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
