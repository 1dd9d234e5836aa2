"""One scenario on two kernels, lined up by probe point."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.scenario.comparison import compare, shared_moments
from memsim.scenario.scenario import FORMAT, Scenario
from memsim.state.event import Event

P, N = 0x100000, 32768


def one_block(*more):
    """Return a scenario that onlines block 32."""
    steps = [
        {"do": "add_memory", "start_pfn": P, "nr_pages": N},
        {"do": "online", "block": 32, "type": "online_movable"},
        *more,
    ]
    return Scenario.parse({"format": FORMAT, "machine": {"ram": [[0, N]]}, "steps": steps})


@pytest.fixture(scope="module")
def both():
    """Return onlining and offlining before and after the patch, on 6.12."""
    return compare(one_block({"do": "offline", "block": 32}))


def test_both_sides_are_one_release_and_differ_in_the_patch_only(both):
    kernels = [side.machine.kernel for side in (both.before, both.after)]
    assert [kernel.patch for kernel in kernels] == [BEFORE, AFTER]
    assert {kernel.release.name for kernel in kernels} == {"6.12"}


def test_moments_go_forward_on_both_tapes(both):
    assert len(both.moments) > 100
    for side in ("before", "after"):
        places = [getattr(moment, side) for moment in both.moments]
        assert places == sorted(set(places))


def test_a_moment_is_the_same_point_of_the_same_step_on_both_tapes(both):
    for moment in both.moments:
        for tape, place in ((both.before.tape, moment.before), (both.after.tape, moment.after)):
            assert (tape.events[place].step, tape.events[place].point) == (moment.step, moment.point)
    assert both.event(both.moments[0]).point == both.moments[0].point


def test_each_moment_is_found_by_its_name(both):
    index = both.find(1, "enter:generic_online_page#3")
    moment = both.moments[index]
    assert (moment.step, moment.point) == (1, "enter:generic_online_page#3")
    assert both.find(1, "enter:generic_online_page") == both.find(1, "enter:generic_online_page#1")
    with pytest.raises(KeyError, match="step 0 has no moment 'enter:generic_online_page'"):
        both.find(0, "enter:generic_online_page")


def test_the_patch_shows_in_every_page_before_the_first_is_freed_and_in_none_afterwards(both):
    def differing(step, point):
        return both.differing_pages(both.moments[both.find(step, point)], P, N)

    assert differing(1, "notifier:MEM_GOING_ONLINE") == N
    assert differing(1, "enter:generic_online_page#3") == N - 2048
    assert differing(1, "enter:undo_isolate_page_range") == 0
    assert differing(1, "notifier:MEM_ONLINE") == 0
    assert differing(2, "notifier:MEM_GOING_OFFLINE") == 0


def test_the_two_states_of_a_moment_are_those_of_the_two_tapes(both):
    before, after = both.states(both.moments[both.find(1, "notifier:MEM_GOING_ONLINE")])
    assert before.memmap.raw(P).reserved
    assert after.memmap.raw(P).offline


def test_kernels_that_end_a_step_differently_are_lined_up_in_it_and_after_it():
    # Without PAGE_ALLOC every chunk is leaked on a kernel with debug_vm, so nothing can be allocated.
    allocate = {"do": "allocate", "block": 32, "nr_pages": 1, "errno": "ENOMEM"}
    scenario = one_block(allocate, {"do": "online", "block": 32}, {"do": "offline", "block": 32})
    both = compare(scenario, AFTER, Patch({Hunk.MM_INIT}), debug_vm=True)
    assert [run.outcomes[2].errno for run in (both.before, both.after)] == [None, "ENOMEM"]
    assert {moment.step for moment in both.moments} == {0, 1, 2, 4}  # step 3 enters nothing: it is online


def test_a_kernel_compared_with_itself_never_differs():
    both = compare(one_block(), AFTER, AFTER)
    points = both.after.tape.points()
    assert [moment.point for moment in both.moments] == [event.point for _, event in points]
    assert {both.differing_pages(moment, P, N) for moment in both.moments if moment.step == 1} == {0}


def test_moments_end_where_one_machine_dies():
    both = compare(one_block(), Patch({Hunk.PAGE_ALLOC}), AFTER, "6.1", debug_vm=True)
    assert both.before.died is not None
    last = both.moments[-1]
    assert last.step == 1
    # It dies in the first chunk: all that comes later is only on the other tape.
    assert both.after.tape.find(1, "enter:generic_online_page#2") is not None
    with pytest.raises(KeyError):
        both.find(1, "enter:generic_online_page#2")


def test_boot_is_compared_from_power_on_when_asked_for():
    both = compare(one_block(), from_boot=True)
    states = both.states(both.moments[0])
    assert both.moments[0].point == "enter:memmap_init_range#1"
    assert [state.totalram_pages for state in states] == [0, 0]
    assert {moment.step for moment in both.moments} == {-1, 0, 1}
    assert both.states(both.moments[both.find(0, "enter:add_memory")])[0].totalram_pages == N
    assert {moment.step for moment in compare(one_block()).moments} == {0, 1}


def run_that_passes(*points):
    """Return a run whose tape has only these probe points, all of its first step."""
    events = [Event(step=0, function="", depth=0, point=point) for point in points]
    return SimpleNamespace(recording=SimpleNamespace(points=lambda: enumerate(events)))


def test_moments_are_in_the_order_of_both_kernels():
    # A moment that one kernel passes earlier than the other would make its picture jump back in time.
    before, after = run_that_passes("a", "b", "c", "d"), run_that_passes("b", "a", "d", "c")
    moments = shared_moments(before, after)
    assert [moment.point for moment in moments] == ["a", "c"]
