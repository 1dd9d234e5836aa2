"""A scenario of more events than anybody can step through: its long steps are shortened, and it says so."""

from __future__ import annotations

import json
import zlib

import pytest

from memsim import Machine, Scenario, compare
from memsim.state.event import LEFT_OUT
from memsim.state.shortening import MOST_LONG_STEPS
from memsim.state.tape import Tape
from memsim.view.explorer import inputs as material
from memsim.view.explorer.explorer import explore
from memsim.view.explorer.inputs import blocks_of
from memsim.view.explorer.timeline import Walk
from memsim.view.explorer.words import Calls, shortened
from tests.frontend.replay import landmarks

SCENARIO = Scenario.parse(
    {
        "format": "memsim-scenario/1",
        "machine": {"ram": [[0, 131072]], "block_pages": 32768},
        "steps": [
            {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 3 * 32768},
            {"do": "online", "block": 32, "type": "online_movable"},
            {"do": "online", "block": 33, "type": "online_kernel"},
            {"do": "offline", "block": 32},
        ],
    }
)
MOST = 100


@pytest.fixture(scope="module")
def whole():
    return Walk(compare(SCENARIO), 32)


@pytest.fixture(scope="module")
def short():
    return Walk(compare(SCENARIO, most_of_step=MOST), 32)


@pytest.fixture(scope="module")
def hasty():
    """A walk whose tapes do not watch the end of long steps."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("memsim.state.shortening.MOST_LEFT_OUT", 1)
        return Walk(compare(SCENARIO, most_of_step=MOST), 32)


def names(tape, step):
    return [event.point or event.primitive for event in tape.events if event.step == step]


@pytest.mark.long
def test_a_step_keeps_its_first_events_and_then_what_is_new_in_it(whole, short):
    for side, tape in short.tapes.items():
        for step in range(len(SCENARIO.steps)):
            kept = [name for name in names(tape, step) if name != LEFT_OUT]
            everything = names(whole.tapes[side], step)
            assert kept == everything[:MOST] + [name for name in everything[MOST:] if name.endswith("#1")]
    kept, everything = ([walk.moments[at] for at in landmarks(walk)] for walk in (short, whole))
    assert [(each.step, each.point) for each in kept] == [(each.step, each.point) for each in everything]


def test_what_is_left_out_is_counted(whole, short):
    for side, tape in short.tapes.items():
        gaps = [event for event in tape.events if event.primitive == LEFT_OUT]
        missing = sum(event.args[0] for event in gaps)
        assert len(tape) - len(gaps) + missing == len(whole.tapes[side])
        assert missing > MOST


@pytest.mark.long
@pytest.mark.parametrize("kind", ["short", "hasty"])
def test_every_moment_is_as_true_as_without_gaps_in_whatever_order_it_is_looked_at(whole, kind, request):
    short = request.getfixturevalue(kind)
    for index in [*range(len(short.moments)), *range(len(short.moments) - 1, -1, -5)]:
        moment = short.moments[index]
        mine, true = short.look(index), whole.look(whole.find(moment.step, moment.point))
        assert mine.numbers == true.numbers
        for one, other in zip(mine.sides, true.sides, strict=True):
            assert one.sentence == other.sentence
            assert one.page_map.classes.tobytes() == other.page_map.classes.tobytes()
            assert one.kinds.tolist() == other.kinds.tolist()
            assert one.log == other.log
            # Who called may be left out; who is named is right.
            assert one.frames == other.frames[: len(one.frames)]
            assert bool(one.frames) is bool(other.frames)


def test_without_watching_the_kernel_takes_its_quick_ways(hasty, short):
    """The bulk forms, which no tape sees; the next step is watched again."""
    assert all(len(hasty.tapes[side]) < len(short.tapes[side]) for side in hasty.runs)
    for step in (1, 2, 3):
        hasty.find(step, "enter:online_pages" if step < 3 else "enter:offline_pages")
        ends = hasty.look(hasty.find(step, "done")).happening
        assert ends.count("events or more") == 2
    assert shortened(hasty.comparison).endswith("What came last in steps 1, 2, 3 was not watched.")


def test_no_caller_is_named_whose_call_is_left_out():
    tape = Tape(Machine().kernel.state, most_of_step=1)
    tape.action("calls")
    calls = ["online_pages", "test_pages_isolated", "", "start_isolate_page_range", "", "test_pages_isolated"]
    for function in [*calls, "free_reserved_page"]:
        if function:
            tape.enter(function, ())
        else:
            tape.leave("the last one")
    at = len(tape) - 1
    assert tape.events[at].point == "enter:free_reserved_page#1"
    # The second call of the caller is left out, and so is who made it.
    found = list(Calls(tape).at(at, tape.events[at].point))
    assert found == ["free_reserved_page", "test_pages_isolated"]


def test_blocks_and_zones_are_those_of_the_whole(whole, short):
    assert blocks_of(short.comparison) == blocks_of(whole.comparison) == [0, 1, 2, 3, 32, 33, 34]
    assert short.zones() == whole.zones()


def test_blocks_that_are_added_among_what_is_left_out_are_found():
    assert Walk(compare(SCENARIO, most_of_step=1), 34).blocks == (0, 1, 2, 3, 32, 33, 34)


def test_it_says_what_is_left_out_and_where(short):
    assert "of steps 1, 2, 3 the first 100 events are shown" in shortened(short.comparison)
    assert "not watched" not in shortened(short.comparison)
    assert "The steps from" not in shortened(short.comparison)
    end = short.look(short.find(1, "done"))
    before, after = (short.tapes[side].events[short.place(end.index, side)].args[0] for side in short.tapes)
    told = [f"{number} event{'s' * (number > 1)}" for number in (before, after)]
    assert end.happening.endswith(f"; left out up to here: {told[0]} (before), {told[1]} (after)")
    assert f"left out here: {told[0]}" in end.twin("Movable")


@pytest.mark.long
def test_a_whole_comparison_has_nothing_to_say(whole):
    assert shortened(whole.comparison) == ""
    assert "left out" not in "".join(whole.look(index).happening for index in range(len(whole.moments)))


def test_tapes_end_after_so_many_events_in_all():
    steps = [*SCENARIO.steps[:2], *[{"do": "offline", "block": 32}, SCENARIO.steps[1]] * 12]
    both = compare(Scenario("", SCENARIO.machine, tuple(steps)), most_of_step=MOST)
    walk = Walk(both, 32)
    assert all(len(tape) < (MOST_LONG_STEPS + 2) * MOST for tape in walk.tapes.values())
    last = walk.moments[-1]
    assert f"The steps from {last.step + 1} on are left out." in shortened(both)
    assert 10 < last.step < len(steps) - 1
    assert "sysfs state" in walk.look(len(walk.moments) - 1).sides[0].sentence


@pytest.mark.long
def test_the_explorer_shortens_what_it_runs_itself(monkeypatch):
    monkeypatch.setattr(material, "MOST_OF_STEP", MOST)
    explorer = explore(SCENARIO)
    says = "Shortened: of steps 1, 2, 3 the first 100 events are shown"
    assert json.loads(zlib.decompress(explorer.packed))["note"].startswith(says)
    assert says in explorer.stored_text
    assert says in explorer.stored_html
    assert "Shortened" not in repr(explore(compare(SCENARIO)))
