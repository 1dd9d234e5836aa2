"""A tape changes nothing, forgets nothing, and plays in any direction."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.errors import KernelError
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch

P, N = 0x100000, 32768

blocks = st.sampled_from([32, 33])
kernels = st.tuples(
    st.sampled_from([BEFORE, AFTER, Patch({Hunk.MM_INIT}), Patch.without({Hunk.MEMINIT_CONTEXT})]),
    st.sampled_from(["6.1", "6.12"]),
    st.booleans(),  # memmap_on_memory
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("online"), blocks, st.sampled_from(["online_kernel", "online_movable"])),
        st.tuples(st.sampled_from(["offline", "vetoed offline", "vetoed online"]), blocks),
        st.tuples(st.just("allocate"), blocks, st.integers(1, 50), st.sampled_from(["movable", "unmovable"])),
        st.tuples(st.just("free")),
    ),
    max_size=6,
)


def perform(machine, script):
    """Add two blocks and do a script with them, whatever its actions end with."""
    held, veto = [], []
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if veto and "GOING" in action else None)
    machine.add_memory(P, 2 * N)
    for what, *arguments in script:
        veto[:] = ["yes"] * what.startswith("vetoed")
        with suppress(KernelError):
            if what == "allocate":
                block, count, kind = arguments
                held.append(machine.allocate(count, kind, block=block))
            elif what == "free":
                for pages in held:
                    machine.free(pages)
            else:
                getattr(machine, what.split()[-1])(*arguments)


def booted(kernel):
    """Return a machine with one section of boot memory in zone Normal."""
    patch, release, memmap_on_memory = kernel
    return Machine([(0x200000, N)], patch, release, memmap_on_memory=memmap_on_memory)


@settings(max_examples=20)
@given(kernels, actions)
def test_a_machine_ends_in_the_same_state_with_a_tape_and_without_and_the_tape_ends_there_too(
    snapshot, kernel, script
):
    without, recorded = booted(kernel), booted(kernel)
    tape = recorded.record()
    perform(recorded, script)
    perform(without, script)
    end = snapshot(recorded.kernel.state)
    assert snapshot(without.kernel.state) == end
    assert snapshot(tape.at(len(tape) - 1)) == end
    assert snapshot(tape.at(-1)) == snapshot(booted(kernel).kernel.state)


@settings(max_examples=10)
@given(kernels, actions, st.data())
def test_jumping_about_on_a_tape_shows_what_playing_it_forward_shows(snapshot, kernel, script, data):
    machine = booted(kernel)
    first, second = machine.record(), None
    perform(machine, script)
    places = st.integers(-1, len(first) - 1)
    jumps = data.draw(st.lists(places, min_size=2, max_size=8))
    second = {index: snapshot(first.at(index)) for index in sorted(jumps)}
    for index in jumps:
        assert snapshot(first.at(index)) == second[index]
