"""One scenario on two kernels that differ in nothing but the patch, kept in step by probe point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.page_flags import ALL_FLAGS, LIVE
from memsim.patch import AFTER, BEFORE, Patch
from memsim.scenario.scenario import Run, Scenario, ScenarioSource, run

if TYPE_CHECKING:
    from memsim.state.event import Event
    from memsim.state.section import Pages
    from memsim.state.state import State

EVERY = slice(None)


@dataclass(frozen=True)
class Moment:
    """A probe point that both kernels pass: its step, its name, and its place on the two tapes."""

    step: int
    point: str
    before: int
    after: int


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two runs of a scenario with tapes, and the moments that they share."""

    before: Run
    after: Run
    moments: tuple[Moment, ...]

    def __repr__(self) -> str:
        """Show both kernels, and how many moments they share."""
        kernels = " | ".join(run.machine.kernel.describe() for run in (self.before, self.after))
        return f"Comparison({self.scenario.title!r}, {kernels}, {len(self.moments)} moments)"

    @property
    def scenario(self) -> Scenario:
        """The scenario that was run on both."""
        return self.before.scenario

    def states(self, moment: Moment) -> tuple[State, State]:
        """Return both states at a moment; not to be written to."""
        return self.before.recording.at(moment.before), self.after.recording.at(moment.after)

    def event(self, moment: Moment) -> Event:
        """Return the event of a moment as the kernel after the patch saw it."""
        return self.after.recording.events[moment.after]

    def differing_pages(self, moment: Moment, pfn: int, nr_pages: int) -> int:
        """Return how many struct pages of a range differ between the two kernels at a moment."""
        before, after = self.states(moment)
        count = 0
        for (one, at), (other, _) in zip(
            before.memmap.spans(pfn, nr_pages), after.memmap.spans(pfn, nr_pages), strict=True
        ):
            count += count_differing(one.pages, other.pages, at)
        return count

    def find(self, step: int, wanted: str) -> int:
        """Return the index of the first moment of ``step`` with the name ``wanted``.

        Raises
        ------
        KeyError
            When the two kernels do not both come there.
        """
        for index, moment in enumerate(self.moments):
            if moment.step == step and wanted in {moment.point, moment.point.rpartition("#")[0]}:
                return index
        msg = f"step {step} has no moment {wanted!r}"
        raise KeyError(msg)


def count_differing(one: Pages, other: Pages, at: slice = EVERY) -> int:
    """Return how many struct pages of a section differ in flags, type, refcount or order.

    One that is set up differs from one that is not, whatever was left in it; two that are not are alike.
    """
    flags, others = one.flags[at], other.flags[at]
    differ = (flags ^ others) & np.uint32(ALL_FLAGS | LIVE) != 0
    differ |= (one.type[at] != other.type[at]) | (one.refcount[at] != other.refcount[at])
    differ |= one.order[at] != other.order[at]
    return int((differ & ((flags | others) & np.uint32(LIVE) != 0)).sum())


def compare(
    scenario: ScenarioSource,
    before: Patch | str = BEFORE,
    after: Patch | str = AFTER,
    release: str = "6.12",
    *,
    debug_vm: bool | None = None,
    check_pages: bool | None = None,
    from_boot: bool = False,
    most_of_step: int | None = None,
) -> Comparison:
    """Run a scenario on two kernels of one release and line up their tapes.

    With ``from_boot`` the tapes begin at power-on; the moments of boot belong to step -1. With
    ``most_of_step`` tapes that begin after boot leave out the most of long steps.
    """
    scenario = Scenario.of(scenario)
    runs = [
        run(
            scenario,
            patch,
            release,
            debug_vm=debug_vm,
            check_pages=check_pages,
            record=True,
            from_boot=from_boot,
            most_of_step=most_of_step,
        )
        for patch in (before, after)
    ]
    return Comparison(runs[0], runs[1], shared_moments(runs[0], runs[1]))


def shared_moments(before: Run, after: Run) -> tuple[Moment, ...]:
    """Return the probe points that both tapes pass, in the order that both pass them."""
    places = {(e.step, e.point): i for i, e in after.recording.points()}
    moments: list[Moment] = []
    reached = -1
    for index, event in before.recording.points():
        place = places.get((event.step, event.point), -1)
        if place > reached:
            moments.append(Moment(event.step, event.point, index, place))
            reached = place
    return tuple(moments)
