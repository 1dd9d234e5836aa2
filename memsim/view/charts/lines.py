"""Numbers over the moments of a run, as steps: each holds until something changes it.

Also where the numbers come from: the moments of a comparison, or the steps of a scenario.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.patch import AFTER, BEFORE
from memsim.scenario.scenario import run
from memsim.scenario.steps import tell_step
from memsim.view.charts.boxes import Range
from memsim.view.charts.chart import (
    COLOURS,
    SMALL,
    WIDTH,
    Chart,
    breadth,
    figure,
    inked,
    layout,
    number,
    rule,
    words,
)
from memsim.view.model.page_class import PageClass, page_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memsim.patch import Patch
    from memsim.scenario.comparison import Comparison, Moment
    from memsim.scenario.scenario import Scenario
    from memsim.state.state import State

_DASHES = {"solid": "", "dot": ' stroke-dasharray="2 4"', "dash": ' stroke-dasharray="9 5"'}
_LEFT, _RIGHT, _TOP, _HIGH = 74, 16, 48, 180


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes
    ----------
    name
        What it counts.
    values
        One for each point.
    dash
        ``solid``, ``dot`` or ``dash``: a second sign beside the colour.
    """

    name: str
    values: tuple[float, ...]
    dash: str = "solid"

    def changes(self) -> list[int]:
        """Return the points at which the value is another than at the point before."""
        return [at for at, (old, new) in enumerate(pairwise(self.values), start=1) if old != new]


@dataclass(frozen=True, repr=False)
class Lines(Chart):
    """Lines over points that have names.

    Attributes
    ----------
    points
        The names of the points.
    series
        The lines.
    unit
        What is counted.
    marks
        Points that are named on the axis; without any, the points are numbered there.
    """

    points: tuple[str, ...]
    series: tuple[Line, ...]
    unit: str = "pages"
    marks: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """Return how each line begins, where it changes, and how it ends."""
        return [f"{line.name}: {self._told(line)}." for line in self.series]

    def _told(self, line: Line) -> str:
        changes = line.changes()
        first, last = number(line.values[0]), number(line.values[-1])
        if not changes:
            return f"{first} {self.unit} all the time"
        if len(changes) > 5:  # noqa: PLR2004 (as many as one reads)
            where = f"the first at {self.points[changes[0]]}, the last at {self.points[changes[-1]]}"
            most, least = number(max(line.values)), number(min(line.values))
            return (
                f"{first} {self.unit} at first; {len(changes)} changes, {where}; "
                f"lowest {least}, highest {most}; in the end {last}"
            )
        told = [f"{number(line.values[at])} from {self.points[at]} on" for at in changes]
        return f"{first} {self.unit} at first, {', '.join(told)}"

    # ---- drawing -----------------------------------------------------------------------------

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return the lines, their axes and a legend."""
        most = max(max(line.values) for line in self.series) or 1
        least = min(0, *(min(line.values) for line in self.series))
        bottom = _TOP + _HIGH
        parts = []
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = bottom - _HIGH * share
            parts += [rule(_LEFT, y, width - _RIGHT, y)]
            parts += [words(_LEFT - 8, y + 4, number(round(least + (most - least) * share)), "soft end")]
        parts += self._marks(bottom, width) if self.marks else self._numbers(bottom, width)
        for order, line in enumerate(self.series):
            path = self._path(line, (least, most), (bottom, width))
            colour, dash = COLOURS[order % len(COLOURS)], _DASHES[line.dash]
            parts.append(
                f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.4"{dash} '
                'stroke-linejoin="round"/>'
            )
        y = bottom + 70
        columns = 2 if width == WIDTH else 1
        return y + 24 * -(-len(self.series) // columns), parts + self._legend(y, columns)

    def _x(self, at: float, width: int) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * at / max(len(self.points) - 1, 1)

    def _path(self, line: Line, span: tuple[float, float], corner: tuple[float, int]) -> str:
        bottom, width = corner

        def y(value: float) -> float:
            return round(bottom - _HIGH * (value - span[0]) / (span[1] - span[0]), 1)

        steps = "".join(f"H{self._x(at, width):.1f}V{y(line.values[at]):g}" for at in line.changes())
        return f"M{_LEFT} {y(line.values[0]):g}{steps}H{width - _RIGHT}"

    def _marks(self, bottom: float, width: int) -> list[str]:
        """Return the named points: a line up, and the name below the axis.

        The first is the lowest of three, so that the line of none goes through the name of another.
        """
        lines = min(len(self.marks), 3)
        parts = []
        for order, at in enumerate(self.marks):
            name = self.points[at]
            x, low = self._x(at, width), bottom + 16 + 15 * (lines - 1 - order % lines)
            start = min(x + 4, width - 6 - SMALL * breadth(name))
            parts += [rule(x, _TOP, x, low - 10 * (start < x), "mark"), words(start, low, name, "soft")]
        return parts

    def _numbers(self, bottom: float, width: int) -> list[str]:
        """Return the numbers of the points below the axis, and what the first and the last are."""
        parts = []
        for at in _round_numbers(len(self.points) - 1, 16 if width == WIDTH else 8):
            x = self._x(at, width)
            parts += [rule(x, bottom, x, bottom + 4), words(x, bottom + 17, str(at), "soft mid")]
        first, last = self._ends()
        together = SMALL * (breadth(first) + breadth(last)) + 20 < width - _LEFT - _RIGHT
        parts.append(words(_LEFT, bottom + 34, first, "soft"))
        return [*parts, words(width - _RIGHT, bottom + (34 if together else 50), last, "soft end")]

    def _ends(self) -> tuple[str, str]:
        return f"0: {self.points[0]}", f"{len(self.points) - 1}: {self.points[-1]}"

    def _legend(self, top: float, columns: int) -> list[str]:
        left = _LEFT if columns > 1 else 16
        parts = []
        for order, line in enumerate(self.series):
            x, y = left + 330 * (order % columns), top + 20 * (order // columns)
            parts.append(
                f'<path d="M{x} {y - 4}h34" stroke="{COLOURS[order % len(COLOURS)]}" stroke-width="2.4"'
                f"{_DASHES[line.dash]}/>"
            )
            parts.append(words(x + 42, y, line.name))
        return parts

    def plotly(self) -> dict[str, Any]:
        """Return the figure for plotly: only the points at which something changes."""
        data = []
        last = len(self.points) - 1
        for order, line in enumerate(self.series):
            at = sorted({0, *line.changes(), last})
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": inked(line.name),
                    "x": at,
                    "y": [line.values[point] for point in at],
                    "text": [self.points[point] for point in at],
                    "hovertemplate": f"%{{y:,}} {self.unit}<br>%{{text}}<extra>{line.name}</extra>",
                    "line": {
                        "shape": "hv",
                        "dash": line.dash,
                        "width": 3,
                        "color": COLOURS[order % len(COLOURS)],
                    },
                }
            )
        settings = layout(380, self.title)
        settings["yaxis"] |= {"title": {"text": inked(self.unit)}, "tickformat": ","}
        ticks = list(self.marks or _round_numbers(last, 16))
        settings["xaxis"] |= {"tickvals": ticks, "ticktext": [inked(str(at)) for at in ticks]}
        if self.marks:
            settings["xaxis"]["showticklabels"] = False
        else:
            settings["xaxis"]["title"] = {"text": inked(" … ".join(self._ends()))}
        settings["annotations"] = [
            {
                "text": inked(self.points[at]),
                "x": at,
                "xanchor": "right" if at > 0.7 * last else "left",
                "yref": "paper",
                "y": 0,
                "yanchor": "top",
                "yshift": -4 - 17 * (order % 3),
                "showarrow": False,
            }
            for order, at in enumerate(self.marks)
        ]
        return figure(data, settings)


def _round_numbers(last: int, most: int) -> range:
    """Return numbers from 0 up to ``last`` that are as far apart as a scale has them, and about ``most``.

    >>> list(_round_numbers(7, 16)), list(_round_numbers(267, 8))
    ([0, 1, 2, 3, 4, 5, 6, 7], [0, 50, 100, 150, 200, 250])
    """
    return range(
        0, last + 1, next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000, last) if last <= most * step)
    )


# ---- what kernels count ----------------------------------------------------------------------------


def points_of(moments: Iterable[Moment]) -> tuple[str, ...]:
    """Return the names of moments: the function, or the notifier, and which call it is, if not the first."""
    return tuple(_point_name(moment.point) for moment in moments)


def _point_name(point: str) -> str:
    """Return the label of a probe point in a chart.

    >>> _point_name("return:memmap_init_range#1"), _point_name("enter:generic_online_page#3")
    ('memmap_init_range()', 'generic_online_page(), call 3')
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
    return names, _lines_of(list(zip(*sides, strict=True)), counters)


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
    return _lines_of(taken, counters)


def _lines_of(
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
