"""Lines of what kernels count, taken from the moments of a comparison."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memsim.patch import AFTER, BEFORE
from memsim.scenario.scenario import run
from memsim.scenario.steps import tell_step
from memsim.view.charts.lines import Line
from memsim.view.charts.ranges import Range
from memsim.view.model.page_class import PageClass, page_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memsim.patch import Patch
    from memsim.scenario.comparison import Comparison, Moment
    from memsim.scenario.scenario import Scenario
    from memsim.state.state import State


def points_of(moments: Iterable[Moment]) -> tuple[str, ...]:
    """Return the names of moments: the function, or the notifier, and which call it is, if not the first."""
    return tuple(_name(moment.point) for moment in moments)


def _name(point: str) -> str:
    """Return the label of a probe point in a chart.

    >>> _name("return:memmap_init_range#1"), _name("enter:generic_online_page#3"), _name("done")
    ('memmap_init_range()', 'generic_online_page(), call 3', 'done')
    """
    kind, _, rest = point.rpartition(":")
    function, _, time = rest.partition("#")
    calls = "()" if kind in {"enter", "return"} else ""
    return f"{function}{calls}{f', call {time}' if time not in {'', '1'} else ''}"


def counters_by_step(
    scenario: Scenario, counters: dict[str, Callable[[State], float]]
) -> tuple[tuple[str, ...], tuple[Line, ...]]:
    """Return what each step of a scenario is, boot first, and a line for each counter at their ends.

    No tape is kept, so that long steps cost little.
    """
    names = ("boot", *map(tell_step, scenario.steps))
    sides = [
        [
            _read(replace(scenario, steps=scenario.steps[:number]), patch, counters)
            for number in range(len(names))
        ]
        for patch in (BEFORE, AFTER)
    ]
    return names, _lines(list(zip(*sides, strict=True)), counters)


def _read(
    scenario: Scenario, patch: Patch, counters: dict[str, Callable[[State], float]]
) -> dict[str, float]:
    state = run(scenario, patch).machine.kernel.state
    return {name: read(state) for name, read in counters.items()}


def class_ranges(state: State, pfn: int, nr_pages: int) -> tuple[Range, ...]:
    """Return the runs of pages of one class in a range, each with the letter and the colour of its class."""
    classes = page_classes(state, pfn, nr_pages)
    edges = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), nr_pages]
    kinds = [PageClass(int(classes[start])) for start in edges[:-1]]
    return tuple(
        Range(pfn + start, pfn + end, kind.label, kind.colour, _PATTERNS.get(kind.pattern, ""))
        for kind, (start, end) in zip(kinds, pairwise(edges), strict=True)
    )


_PATTERNS = {"rising stripes": "rising", "dots": "dots", "falling stripes": "falling", "grid": "dots"}


def counters_over(
    comparison: Comparison, moments: Iterable[Moment], counters: dict[str, Callable[[State], float]]
) -> tuple[Line, ...]:
    """Return a line for each counter; two, the one before the patch dotted, where the kernels differ.

    Parameters
    ----------
    comparison
        The two kernels.
    moments
        Where to look.
    counters
        Name -> how to read it from a state.
    """
    # At once: a tape moves its one state from moment to moment.
    taken = [
        tuple({name: read(state) for name, read in counters.items()} for state in comparison.states(moment))
        for moment in moments
    ]
    return _lines(taken, counters)


def _lines(
    taken: Sequence[tuple[dict[str, float], ...]], counters: dict[str, Callable[[State], float]]
) -> tuple[Line, ...]:
    """Return the lines of numbers taken down: (before, after) for each point."""
    lines = []
    for name in counters:
        before, after = (tuple(numbers[side][name] for numbers in taken) for side in (0, 1))
        if before == after:
            lines.append(Line(name, after))
        else:
            lines += [Line(f"{name}, before the patch", before, "dot"), Line(f"{name}, after it", after)]
    return tuple(lines)


def pages_that_differ(comparison: Comparison, moments: Iterable[Moment], pfn: int, pages: int) -> Line:
    """Return in how many struct pages of a range the two kernels differ; none where there are none yet."""
    return Line(
        "struct pages that differ",
        tuple(
            comparison.differing_pages(moment, pfn, pages) if _is_there(comparison, moment, pfn) else 0
            for moment in moments
        ),
        "dash",
    )


def _is_there(comparison: Comparison, moment: Moment, pfn: int) -> bool:
    return all(state.memmap.pfn_valid(pfn) for state in comparison.states(moment))
