"""The moments of a comparison, from boot to the end of the last step, and their names.

To the probe points that both kernels pass come two kinds of moment that recordings have, too: after boot,
and the end of each step, both called ``done``.

Left out: moments that only one of the two kernels passes.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from memsim.scenario.comparison import Comparison, Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.state.tape import Tape

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


def tapes(comparison: Comparison) -> tuple[Tape, Tape]:
    """Return both tapes."""
    return comparison.before.recording, comparison.after.recording


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


def moment_name(moment: Moment) -> str:
    """Return a moment's step and point, without the number of a first time.

    >>> moment_name(Moment(1, "enter:online_pages#1", 0, 0))
    'step 1 enter:online_pages'
    """
    if moment.step == BOOT:
        return "after boot" if moment.point == DONE else f"boot {moment.point.removesuffix('#1')}"
    return f"step {moment.step} {moment.point.removesuffix('#1')}"
