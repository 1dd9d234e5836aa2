"""A comparison as a walk: the tapes of two simulated kernels, lined up with recordings of real ones.

Left out: recordings of kernels that are neither of the two that are compared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.recordings.compare import Comparable, compare_probe
from memsim.scenario.comparison import Comparison, shared_moments
from memsim.scenario.moments import DONE, all_moments, moment_name, places_of, tapes
from memsim.state.ranges import id_ranges
from memsim.view.explorer.inputs import blocks_of, common_steps
from memsim.view.explorer.snapshot import Recorded, Side, Sight
from memsim.view.explorer.words import (
    OUTSIDE,
    Calls,
    happening,
    heading,
    left_out_text,
    side_names,
    write_text,
)
from memsim.view.model.page_class import (
    PageClass,
    block_kinds,
    class_counts,
    first_ones,
    recorded_map,
)
from memsim.view.model.text import Numbers, PageMap, block_sentence, log_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.patch import Patch
    from memsim.recordings.observation import Observation
    from memsim.scenario.scenario import Run
    from memsim.state.event import Event
    from memsim.state.state import State


class Walk:
    """The moments of a comparison, what the explorer shows at each, and recordings aligned with them.

    Parameters
    ----------
    comparison
        What ``compare()`` returns.
    block
        The memory block to look at.
    recordings
        Recordings of the same steps on real kernels, at most one for each side.

    Raises
    ------
    MemsimError
        There never is such a block; or a recording is of neither side, or of other steps.
    """

    def __init__(self, comparison: Comparison, block: int, recordings: Sequence[Observation] = ()) -> None:
        """Line everything up; nothing is looked at yet."""
        self.comparison = comparison
        self.block = block
        self.moments = all_moments(comparison)
        self._places = places_of(self.moments)
        self.runs = dict(zip(side_names(comparison), (comparison.before, comparison.after), strict=True))
        self.block_pages = comparison.before.machine.kernel.block_pages
        self.blocks = tuple(blocks_of(comparison))
        self.check_block(block)
        self.given = tuple(recordings)
        self.recordings = {self._side_of(recording): recording for recording in recordings}
        self.probes = {side: self._probes_of(recording) for side, recording in self.recordings.items()}
        self.tapes = dict(zip(self.runs, tapes(comparison), strict=True))
        self.calls = {side: Calls(tape) for side, tape in self.tapes.items()}
        self.look = lru_cache(maxsize=4)(self._look)
        self.sent: dict[tuple[str, str, int], bytes] = {}
        """What a browser was sent of this walk last, by title, note and start."""

    def without(self, hunks: Patch) -> Walk:
        """Return the walk whose second kernel lacks these hunks too, and is run again for that.

        Raises
        ------
        MemsimError
            The run does not know how to be done again.
        """
        before, after = self.comparison.before, self.comparison.after
        if after.again is None:
            msg = f"{self.comparison.scenario.title or 'this walk'}: how it was run is not known"
            raise MemsimError(msg)
        run = after.again(after.machine.kernel.patch - hunks)
        mine = before.machine.kernel.patch
        recordings = [each for each in self.recordings.values() if each.patch == mine]
        return Walk(Comparison(before, run, shared_moments(before, run)), self.block, recordings)

    # ---- lining up ---------------------------------------------------------------------------

    def check_block(self, block: int) -> None:
        """Refuse (MemsimError) a memory block that there never is."""
        if block not in self.blocks:
            msg = f"memory block {block} does not exist at any moment; blocks are {id_ranges(self.blocks)}"
            raise MemsimError(msg)

    def _side_of(self, recording: Observation) -> str:
        for side, run in self.runs.items():
            if run.machine.kernel.patch == recording.patch:
                _check_same_steps(recording, run)
                return side
        patches = " nor ".join(run.machine.kernel.patch.name for run in self.runs.values())
        msg = f"{recording.name}: its kernel had {recording.patch.name}, which is neither {patches}"
        raise MemsimError(msg)

    def _probes_of(self, recording: Observation) -> dict[int, dict[str, Any]]:
        """Return the recorded probe of each moment that has one."""
        found: dict[int, dict[str, Any]] = {}
        for probe in recording.probes:
            index = self._places.get((probe["step"], probe["at"]))
            if index is not None:
                found[index] = probe
        return found

    def find(self, step: int, wanted: str) -> int:
        """Return the index of the first moment of a step with this name; KeyError if there is none."""
        index = self._places.get((step, wanted))
        if index is None:
            msg = f"step {step} has no moment {wanted!r}"
            raise KeyError(msg)
        return index

    def zones(self) -> list[str]:
        """Return the zones that have pages at any moment."""
        ends = {side: run.machine.kernel.state for side, run in self.runs.items()}
        used = {*self.numbers(0).used_zones(), *Numbers.of(ends).used_zones()}
        used |= {e.target for tape in self.tapes.values() for e in tape.events if e.primitive == "set_span"}
        zones = self.comparison.after.machine.kernel.state.zones
        return [zone.name for zone in zones if zone.name in used]

    def zone_of_block(self) -> str:
        """Return the zone that the block goes online in, or the last that there is."""
        first = self.block * self.block_pages
        for event in tapes(self.comparison)[1].events:
            if event.point.startswith("enter:online_pages#") and event.args[0] == first:
                return str(event.args[2].name)
        return self.zones()[-1]

    # ---- looking -----------------------------------------------------------------------------

    def states(self, index: int) -> dict[str, State]:
        """Return both states at a moment; they are true until the next call."""
        return dict(zip(self.runs, self.comparison.states(self.moments[index]), strict=True))

    def numbers(self, index: int) -> Numbers:
        """Take down the counters and free lists of a moment."""
        return Numbers.of(self.states(index))

    def _look(self, index: int) -> Sight:
        """Return everything that the explorer shows at a moment, with the pages of ``block``."""
        # First the moment before: going from it to this one is a small step forward on the tapes.
        previous = self.numbers(max(index - 1, 0))
        numbers = self.numbers(index)
        states = self.states(index)
        return Sight(
            index,
            heading(self.comparison, self.moments, index),
            happening(self.comparison, self.moments[index]) + self._left_out(index),
            tuple(self._side(index, side, state) for side, state in states.items()),
            numbers,
            previous,
            self.blocks,
            self.acted(index),
        )

    def _side(self, index: int, side: str, state: State) -> Side:
        pfn = self.block * self.block_pages
        place = self.place(index, side)
        return Side(
            side,
            self.runs[side].machine.kernel.patch,
            PageMap.of(state, pfn, self.block_pages),
            block_sentence(state, self.block, self.block_pages),
            block_kinds(state, self.blocks, self.block_pages),
            self.calls[side].at(place, self.moments[index].point),
            self.written(index, side),
            tuple(log_tail(state)),
            self._recorded(index, side, state) if side in self.recordings else None,
        )

    def place(self, index: int, side: str) -> int:
        """Return the place of a moment on one side's tape."""
        moment = self.moments[index]
        return moment.before if side == next(iter(self.runs)) else moment.after

    def written(self, index: int, side: str, longest: int = 8) -> tuple[str, ...]:
        """Return what one side wrote since the moment before, and in which function."""
        events = self._events(index, side, index - 1)
        lines = [f"{e.function or OUTSIDE}: {write_text(e)}" for e in events if e.primitive]
        return tuple(first_ones(lines, longest))

    def acted(self, index: int) -> tuple[str, ...]:
        """Return the functions that wrote on either side since the moment before, each once."""
        events = [event for side in self.runs for event in self._events(index, side, index - 1)]
        return tuple(dict.fromkeys(e.function for e in events if e.primitive and e.function and index))

    def _events(self, index: int, side: str, since: int) -> list[Event]:
        """Return what came on one side after a moment, up to another."""
        first = self.place(since, side) + 1 if index else 0
        return self.tapes[side].events[first : self.place(index, side) + 1]

    def _left_out(self, index: int) -> str:
        """Return how many events the tapes left out since the moment before, if any."""
        gaps = {side: left_out_text(self._events(index, side, index - 1)) for side in self.runs}
        told = ", ".join(f"{gap} ({side})" for side, gap in gaps.items() if gap)
        return f"; left out up to here: {told}" if told else ""

    def kernel_of(self, side: str) -> str:
        """Return the release of a side's recorded kernel."""
        recording = self.recordings[side]
        return str(recording.kernel.get("release", recording.name))

    def recorded(self, index: int, side: str) -> Recorded:
        """Return what a side's recording says about a moment; KeyError if there is no recording."""
        return self._recorded(index, side, self.states(index)[side])

    def _recorded(self, index: int, side: str, state: State) -> Recorded:
        recording, kernel = self.recordings[side], self.kernel_of(side)
        probe = self.probes[side].get(index)
        if probe is None:
            return Recorded(kernel, f"no recording at this moment{self._last_recorded(index, side)}")
        boot_totalram = self.runs[side].machine.boot_totalram_pages
        result = compare_probe(recording, probe, Comparable(state, self.block_pages, boot_totalram))
        problems = result.problems + self._other_end(index, side, probe)
        found = recorded_map(recording, probe, self.block)
        page_map = None if found is None else PageMap(*found)
        says = "; ".join(problems) if problems else f"agrees, {_compared(result.pages, page_map)}"
        return Recorded(kernel, says, not problems, page_map, result.pages)

    def _other_end(self, index: int, side: str, probe: dict[str, Any]) -> list[str]:
        """Return what is to be said when the recorded step ended otherwise."""
        moment, outcomes = self.moments[index], self.runs[side].outcomes
        if moment.point != DONE or not 0 <= moment.step < len(outcomes):
            return []
        mine, recorded = outcomes[moment.step].errno, probe.get("errno")
        return [] if mine == recorded else [f"the step ended with {mine}, recorded {recorded}"]

    def _last_recorded(self, index: int, side: str) -> str:
        earlier = [at for at in self.probes[side] if at < index]
        return f" (last one: {moment_name(self.moments[max(earlier)])})" if earlier else ""


def _compared(pages: int, page_map: PageMap | None) -> str:
    if not pages:
        return "in counters and blocks; there are no pages to compare"
    untold = 0 if page_map is None else class_counts(page_map.classes).get(PageClass.UNTOLD, 0)
    but = f"; of {untold} it says only that the buddy manages them" if untold else ""
    return f"{pages} pages compared{but}"


def _check_same_steps(recording: Observation, run: Run) -> None:
    """Refuse a recording of another machine, or of other steps as far as both go."""
    mine, theirs = run.scenario, recording.scenario
    if mine.machine != theirs.machine:
        msg = f"{recording.name}: was recorded on another machine than the scenario's"
        raise MemsimError(msg)
    other = common_steps(theirs, run)
    if other < min(len(mine.steps), len(theirs.steps)):
        step, recorded = mine.steps[other], theirs.steps[other]
        msg = f"{recording.name}: step {other} was {recorded}, in the scenario it is {step}"
        raise MemsimError(msg)
