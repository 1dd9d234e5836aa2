"""A script with a driver in the explorer: each moment, on a kernel without the series and on one with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from memsim.lesson.own_driver.api import KernelApi
from memsim.lesson.own_driver.harness import Drive, words_of_step
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Patch
from memsim.scenario.comparison import Comparison, shared_moments
from memsim.scenario.scenario import Outcome, Run, Scenario

if TYPE_CHECKING:
    from memsim.lesson.own_driver.driver import Driver
    from memsim.view.explorer.explorer import Explorer
    from memsim.view.lab import Refusal


def explore_drive(
    driver: type[Driver],
    script: list[list[Any]],
    *,
    block: int = 32,
    **options: Any,  # noqa: ANN401 (of Machine)
) -> Explorer | Refusal:
    """Play a script on both kernels, and return an explorer that begins where the block's pages first differ.

    Where they never do, it begins at the end.
    """
    from memsim.view.explorer.explorer import explore  # noqa: PLC0415 (a grader does without widgets)

    before, after = (_recorded(patch, driver, script, **options) for patch in (BEFORE, AFTER))
    comparison = Comparison(before, after, shared_moments(before, after))
    title = f"{driver.__name__} on two kernels"
    start = _first_difference(comparison, block * before.machine.kernel.block_pages)
    return explore(comparison, block=block, recordings=[], title=title, start=start)


def _first_difference(comparison: Comparison, pfn: int) -> int:
    """Return the first moment at which the pages of a block differ; the last one if they never do."""
    pages = comparison.before.machine.kernel.block_pages
    for index, moment in enumerate(comparison.moments):
        there = all(state.memmap.pfn_valid(pfn) for state in comparison.states(moment))
        if there and comparison.differing_pages(moment, pfn, pages):
            return index
    return len(comparison.moments) - 1


def _recorded(patch: Patch, driver: type[Driver], script: list[list[Any]], **options: Any) -> Run:  # noqa: ANN401 (of Machine)
    """Return a run of a script, with its tape; its steps are for reading only."""
    machine = Machine(patch=patch, **options)
    tape = machine.record()
    made = Drive(machine, driver(KernelApi(machine)))
    made.driver.load()
    steps = []
    for name, *args in script:
        words = words_of_step(name, tuple(args))
        tape.action(words)
        made.step(name, *args)
        steps.append({"do": name, "told": words})
    machine.stop_recording()
    ended = [seen["errno"] or None for seen in made.seen]
    outcomes = [Outcome(at, errno, errno or "ok", errno) for at, errno in enumerate(ended)]
    again = partial(_recorded, driver=driver, script=script, **options)
    return Run(Scenario("own driver", {}, tuple(steps)), machine, outcomes, tape=tape, again=again)
