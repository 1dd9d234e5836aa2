"""The moments of a comparison, their names, and what happens at each in one line.

To the probe points that both kernels pass come two kinds of moment that recordings have, too: after boot,
and the end of each step, both called ``done``.

Left out: moments that only one of the two kernels passes.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from memsim.patch import Patch
from memsim.scenario.comparison import Comparison, Moment
from memsim.scenario.steps import tell_step
from memsim.state.event import LEFT_OUT
from memsim.view.model.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.scenario.scenario import Run
    from memsim.state.event import Event
    from memsim.state.tape import Tape

SIDES = ("before", "after")
BOOT = -1
DONE = "done"


def all_moments(comparison: Comparison) -> tuple[Moment, ...]:
    """Return the moments of a comparison, with one before the first step and one at the end of each.

    These are called ``done``, as in recordings; the one after boot belongs to step -1, and so do the moments
    of boot itself where the tapes begin at power-on.
    """
    before, after = tapes(comparison)
    inside = {step: list(those) for step, those in groupby(comparison.moments, key=attrgetter("step"))}
    moments: list[Moment] = []
    for step in range(BOOT, min(len(before.labels), len(after.labels))):
        moments += inside.get(step, [])
        moments.append(Moment(step, DONE, last_event(before, step), last_event(after, step)))
    return tuple(moments)


def side_names(comparison: Comparison) -> tuple[str, str]:
    """Return the names of the two kernels: before and after, or the hunks that one of them has."""
    before, after = (patch_name(run.machine.kernel.patch) for run in (comparison.before, comparison.after))
    return (before, after) if before != after else SIDES


def patch_name(patch: Patch) -> str:
    """Return a short name: of the hunks that are there, or of those that are not."""
    missing = Patch.without(patch)
    return f"without {missing.name}" if patch and missing and len(missing) < len(patch) else patch.name


def tapes(comparison: Comparison) -> tuple[Tape, Tape]:
    """Return both tapes."""
    before, after = comparison.before.tape, comparison.after.tape
    assert before is not None  # noqa: S101 (compare() made the tapes)
    assert after is not None  # noqa: S101
    return before, after


def shortened(comparison: Comparison) -> str:
    """Return which steps the tapes have only in part or not at all; nothing if they are whole."""
    both = tapes(comparison)
    gaps = [event for tape in both for event in tape.events if event.primitive == LEFT_OUT]
    told = (
        f"Shortened: of {_steps(gaps)} the first {both[0].most_of_step:,} events are shown, then only what "
        "happens for the first time in the step, and its end. The state at each moment shown is whole."
    )
    unseen = [event for event in gaps if event.args[1]]
    told += f" What came last in {_steps(unseen)} was not watched." if unseen else ""
    end = min(len(tape.labels) for tape in both)
    gone = f" The steps from {end} on are left out." * any(tape.has_ended for tape in both)
    return (told if gaps else "") + gone


def _steps(events: Sequence[Event]) -> str:
    numbers = sorted({event.step for event in events})
    return f"{plural(len(numbers), 'step')} {', '.join(map(str, numbers))}"


def last_event(tape: Tape, step: int) -> int:
    """Return the last event up to the end of a step; -1: there is none."""
    return bisect_right(tape.events, step, key=attrgetter("step")) - 1


def places_of(moments: Sequence[Moment]) -> dict[tuple[int, str], int]:
    """Return the index of each moment by its step and its point, with ``#n`` or without (the first)."""
    places: dict[tuple[int, str], int] = {}
    for index, moment in enumerate(moments):
        places.setdefault((moment.step, moment.point), index)
        places.setdefault((moment.step, moment.point.rpartition("#")[0]), index)
    return places


def call_text(event: Event) -> str:
    """Return a probe point as the call, return or notification that it is."""
    kind, _, rest = event.point.partition(":")
    name = rest.rpartition("#")[0]
    if kind == "enter":
        return f"{name}({', '.join(map(argument_text, event.args))}) is entered"
    chain = "node" if name.startswith("NODE_") else "memory"
    return f"{name}() returns" if kind == "return" else f"the {chain} notifier chain is called: {name}"


def argument_text(argument: object) -> str:
    """Return an argument as a kernel developer writes it: numbers in hexadecimal, objects by name."""
    if isinstance(argument, bool) or argument is None:
        return str(argument).lower()
    if isinstance(argument, int):
        return f"{int(argument):#x}"
    if hasattr(argument, "block_id"):
        return f"memory{argument.block_id}"
    return str(getattr(argument, "name", argument))


def done_text(run: Run, step: int) -> str:
    """Return how a step ended on one kernel."""
    if step < len(run.outcomes):
        return run.outcomes[step].message or "ok"
    return f"the machine died: {run.died}"


def heading(comparison: Comparison, moments: Sequence[Moment], index: int) -> str:
    """Return which moment this is, and the step that it belongs to; both count from 0 to the last."""
    moment = moments[index]
    steps = comparison.scenario.steps
    if moment.step == BOOT:
        where = "after boot, before the first step" if moment.point == DONE else "boot"
    else:
        where = f"step {moment.step} of {len(steps) - 1}: {tell_step(steps[moment.step])}"
    return f"Moment {index} of {len(moments) - 1}, {where}"


def happening(comparison: Comparison, moment: Moment) -> str:
    """Return what happens at a moment in one line."""
    if (moment.step, moment.point) == (BOOT, DONE):
        return "done: both kernels have booted"
    if moment.point == DONE:
        ends = [done_text(run, moment.step) for run in (comparison.before, comparison.after)]
        return f"done: the step has ended: {_of_both(comparison, ends)}"
    calls = [
        call_text(tape.events[at])
        for tape, at in zip(tapes(comparison), (moment.before, moment.after), strict=True)
    ]
    return f"{moment.point}: {_of_both(comparison, calls)}"


def _of_both(comparison: Comparison, told: list[str]) -> str:
    if told[0] == told[1]:
        return told[0]
    return "; ".join(f"{name}: {what}" for name, what in zip(side_names(comparison), told, strict=True))


def moment_name(moment: Moment) -> str:
    """Return a moment's step and point, without the number of a first time.

    >>> moment_name(Moment(1, "enter:online_pages#1", 0, 0))
    'step 1 enter:online_pages'
    """
    if moment.step == BOOT:
        return "after boot" if moment.point == DONE else f"boot {moment.point.removesuffix('#1')}"
    return f"step {moment.step} {moment.point.removesuffix('#1')}"
