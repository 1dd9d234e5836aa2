"""What a reader gives to a view: any scenario; which block to look at, and which recordings fit.

Left out: making a scenario; a reader writes it, in a file or as a dict.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from memsim.errors import BadScenario, MemsimError
from memsim.recordings.observation import bundled, bundled_names
from memsim.scenario.comparison import Comparison, compare
from memsim.scenario.moments import BOOT, last_event, tapes
from memsim.scenario.scenario import Scenario, ScenarioSource
from memsim.state.event import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.recordings.observation import Observation
    from memsim.scenario.scenario import Run
    from memsim.state.tape import Tape

Given = ScenarioSource | Comparison
"""A scenario, a file of one, the dict that such a file holds, or a comparison that was made already."""
MOST_OF_STEP = 20_000
"""Events of a step that are kept at most: some thousand moments, a few times what a memory block needs."""
_COMPARISONS: WeakValueDictionary[str, Comparison] = WeakValueDictionary()
"""What was run here and is still looked at, by scenario: a cell that is run again finds what it shows."""


def scenario_of(what: Given) -> Scenario:
    """Return the scenario that a reader gave in one form or another.

    Raises
    ------
    BadScenario
        The file cannot be read, or what it holds breaks the format; names the step and the rule.
    """
    return what.scenario if isinstance(what, Comparison) else Scenario.of(what)


def comparison_of(what: Given) -> Comparison:
    """Return the comparison that a reader gave, or run a scenario on both kernels.

    Nothing is run where an explorer shows the same scenario.

    Raises
    ------
    BadScenario
        As :func:`scenario_of`; or the machine of the scenario cannot be booted.
    """
    if isinstance(what, Comparison):
        return what
    scenario = scenario_of(what)
    same = json.dumps([scenario.title, scenario.machine, scenario.steps, MOST_OF_STEP])
    comparison = _COMPARISONS.get(same)
    if comparison is None:
        try:
            comparison = compare(scenario, most_of_step=MOST_OF_STEP)
        except MemsimError as problem:
            msg = f"{scenario.title or 'scenario'}: {problem}"
            raise BadScenario(msg) from problem
        _COMPARISONS[same] = comparison
    return comparison


def blocks_of(comparison: Comparison) -> list[int]:
    """Return every memory block that there is at any moment, in order of their pfns."""
    return sorted({*boot_blocks(comparison), *added_blocks(comparison)})


def boot_blocks(comparison: Comparison) -> list[int]:
    """Return the memory blocks that there are after boot."""
    tape = tapes(comparison)[0]
    return list(tape.at(last_event(tape, BOOT)).blocks)


def added_blocks(comparison: Comparison) -> list[int]:
    """Return the memory blocks that were added later on either kernel, the first one first."""
    there = set(boot_blocks(comparison))
    named = [block for tape in tapes(comparison) for block in _named_blocks(tape) if block not in there]
    return list(dict.fromkeys(named))


def _named_blocks(tape: Tape) -> Iterator[int]:
    """Give the memory blocks that a tape tells of, again and again."""
    for index, event in enumerate(tape.events):
        if event.primitive == "set_block_state":
            yield event.args[0]
        elif event.primitive == LEFT_OUT:
            yield from tape.at(index).blocks


def default_block(comparison: Comparison) -> int:
    """Return the block to look at unless a reader says which: the first hot-added one.

    Where nothing is added it is the first that a step names, else the first that there is.

    Raises
    ------
    BadScenario
        No memory block exists at any moment.
    """
    there = boot_blocks(comparison)
    named = [step["block"] for step in comparison.scenario.steps if step.get("block") in there]
    found = [*added_blocks(comparison), *named, *there]
    if not found:
        msg = f"{comparison.scenario.title or 'scenario'}: no memory block exists at any moment"
        raise BadScenario(msg)
    return int(found[0])


# ---- recordings ------------------------------------------------------------------------------------


def recordings_of(comparison: Comparison) -> list[Observation]:
    """Return the bundled recordings of the same machine, steps and kernels, at most one for each side.

    The steps have to be the same as far as both go. Where several recordings fit it is the one that has
    most steps in common, and of these one of a kernel that was recorded on the other side, too.
    """
    runs = (comparison.before, comparison.after)
    fitting = [[each for each in _all_recordings() if _fits(each, run)] for run in runs]
    kernels = set.intersection(*({each.kernel.get("release") for each in side} for side in fitting))
    found = {}
    for run, side in zip(runs, fitting, strict=True):
        ranked = {(common_steps(r.scenario, run), r.kernel.get("release") in kernels): r for r in side}
        if ranked:
            found[run.machine.kernel.patch] = ranked[max(ranked)]
    return list(found.values())


@lru_cache(maxsize=1)
def _all_recordings() -> tuple[Observation, ...]:
    return tuple(bundled(name) for name in bundled_names())


def _fits(recording: Observation, run: Run) -> bool:
    kernel = run.machine.kernel
    mine, theirs = run.scenario, recording.scenario
    return (
        recording.patch == kernel.patch
        and recording.release == kernel.release.name
        and theirs.machine == mine.machine
        and common_steps(theirs, run) == min(len(mine.steps), len(theirs.steps)) > 0
    )


def common_steps(recorded: Scenario, run: Run) -> int:
    """Return how many steps a recording and a run have in common before the first other one.

    The expected end of a step does not count: a run is given it, a recording holds it.
    """
    pairs = zip(run.scenario.steps, recorded.steps, strict=False)
    same = [{**mine, "errno": None} == {**theirs, "errno": None} for mine, theirs in pairs]
    return same.index(False) if False in same else len(same)
