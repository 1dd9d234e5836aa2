"""Charts of boxes: bars, ranges on an address axis, a table of signs, a chain of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memsim.view.charts.chart import (
    COLOURS,
    WIDTH,
    Chart,
    filled,
    layout,
    number,
    picture,
    room_for,
    rule,
    words,
)

# ---- bars ------------------------------------------------------------------------------------------

_BAR, _BETWEEN, _BARS_TOP = 14, 8, 44
_FILLS = ("", "rising", "dots", "falling")


@dataclass(frozen=True, repr=False)
class Bars(Chart):
    """Bars.

    Attributes
    ----------
    rows
        What is compared.
    series
        Name -> a number for each row.
    unit
        What is counted.
    """

    rows: tuple[str, ...]
    series: dict[str, tuple[float, ...]]
    unit: str = "pages"

    def lines(self) -> list[str]:
        """Return a line for each row."""
        return [
            f"{row}: {', '.join(self._told(name, values[at]) for name, values in self.series.items())}."
            for at, row in enumerate(self.rows)
        ]

    def _told(self, name: str, value: float) -> str:
        unit = self.unit.removesuffix("s") if value == 1 else self.unit
        said = f"{number(value)} {unit}".rstrip()
        return f"{said} ({name})" if name else said

    def svg(self) -> str:
        """Return the bars with their numbers, and a legend if there are several for a row."""
        left = room_for(self.rows)
        room = WIDTH - left - 90
        most = max(max(values) for values in self.series.values()) or 1
        parts, y = [], float(_BARS_TOP)
        for at, row in enumerate(self.rows):
            parts.append(words(left - 10, y + _BAR * len(self.series) / 2 + 4, row, "end"))
            for order, values in enumerate(self.series.values()):
                long = room * values[at] / most
                box = f'x="{left:g}" y="{y:g}" width="{max(long, 1):.1f}" height="{_BAR - 2}" rx="2"'
                parts.append(filled(box, COLOURS[order], _FILLS[order]))
                parts.append(words(left + max(long, 1) + 6, y + _BAR - 4, number(values[at])))
                y += _BAR
            y += _BETWEEN
        return picture(y + 30, self.title, parts + self._legend(left, y + 10))

    def _legend(self, left: float, y: float) -> list[str]:
        parts, x = [words(left - 10, y, self.unit, "soft end")], left
        for order, name in enumerate(self.series):
            if not name:
                continue
            box = f'x="{x:g}" y="{y - 11:g}" width="22" height="13" rx="2"'
            parts.append(filled(box, COLOURS[order], _FILLS[order]))
            parts.append(words(x + 28, y, name))
            x += 50 + 7.4 * len(name)
        return parts

    def plotly(self) -> dict[str, Any]:
        """Return the figure for plotly."""
        shapes = ("", "/", ".", "\\")
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": list(self.rows),
                "x": list(values),
                "hovertemplate": f"%{{y}}: %{{x:,}} {self.unit}<extra>{name}</extra>",
                "marker": {"color": COLOURS[order], "pattern": {"shape": shapes[order]}},
            }
            for order, (name, values) in enumerate(self.series.items())
        ]
        height = 170 + (24 * len(self.series) + 14) * len(self.rows)
        settings = layout(height, title={"text": self.title, "font": {"size": 16}}, barmode="group")
        settings["showlegend"] = len(self.series) > 1
        settings["yaxis"] |= {"autorange": "reversed", "automargin": True}
        settings["xaxis"] |= {"title": {"text": self.unit}, "tickformat": ","}
        return {"data": data, "layout": settings}


# ---- ranges ----------------------------------------------------------------------------------------

_RANGES_TOP, _RANGE, _MARGIN = 46, 30, 20
_LIGHT_INK = {"#0072B2", "#009E73", "#000000", "#D55E00"}


@dataclass(frozen=True)
class Range:
    """Pages from ``start`` up to ``end``, which is no longer one of them."""

    start: int
    end: int
    label: str
    colour: str = "#56B4E9"
    pattern: str = ""
    """``rising``, ``falling``, ``dots`` or nothing."""

    def in_row(self, row: str) -> str:
        """Return the range in words; a label that stands in the name of its row is not repeated."""
        label = "" if self.label in row.split() else f"{self.label} "
        return f"{label}from {self.start:#x} to {self.end - 1:#x} ({number(self.end - self.start)} pages)"


@dataclass(frozen=True, repr=False)
class Ranges(Chart):
    """Rows of ranges on one axis.

    Attributes
    ----------
    rows
        Name of a row -> its ranges.
    ticks
        pfns that are named on the axis.
    cut
        A hole that is drawn short: its first pfn and the one behind it.
    """

    rows: dict[str, tuple[Range, ...]]
    ticks: tuple[int, ...]
    cut: tuple[int, int] | None = None

    def lines(self) -> list[str]:
        """Return a line for each row."""
        return [
            f"{row}: {'; '.join(each.in_row(row) for each in ranges) or 'nothing'}."
            for row, ranges in self.rows.items()
        ]

    def svg(self) -> str:
        """Return the rows, and the axis below."""
        left = room_for(self.rows)
        bottom = _RANGES_TOP + _RANGE * len(self.rows)
        parts = []
        for at, (row, ranges) in enumerate(self.rows.items()):
            y = _RANGES_TOP + _RANGE * at
            parts.append(words(left - 10, y + 16, row, "end"))
            for each in ranges:
                parts += self._range(each, y, left)
        parts.append(rule(left, bottom + 2, WIDTH - _MARGIN, bottom + 2))
        for at, tick in enumerate(self.ticks):
            x, low = self._x(tick, left), bottom + 16 + 14 * (at % 2)
            where = "soft end" if x > WIDTH - 60 else "soft mid"
            parts += [rule(x, bottom - 2, x, low - 10, "mark"), words(x, low, f"{tick:#x}", where)]
        return picture(bottom + 44, self.title, parts)

    def _range(self, each: Range, y: float, left: float) -> list[str]:
        x, to = self._x(each.start, left), self._x(each.end, left)
        box = f'x="{x:.1f}" y="{y}" width="{max(to - x - 1, 1):.1f}" height="{_RANGE - 8}" rx="2"'
        parts = [filled(box, each.colour, each.pattern)]
        if to - x > 7.2 * len(each.label) + 4:
            ink = "mid strong light" if each.colour in _LIGHT_INK else "mid strong dark"
            parts.append(words((x + to) / 2, y + 15, each.label, ink))
        return parts

    def _x(self, pfn: int, left: float) -> float:
        """Return where a pfn is; a hole that is cut takes a twelfth of the axis."""
        first = min(self.ticks)
        whole, at = max(self.ticks) - first, pfn - first
        room = WIDTH - _MARGIN - left
        if self.cut is None:
            return left + room * at / whole
        start, end = self.cut[0] - first, self.cut[1] - first
        short = (whole - (end - start)) / 11
        drawn = at if at <= start else at - (end - start) + short
        drawn = start + short * (at - start) / (end - start) if start < at < end else drawn
        return left + room * drawn / (whole - (end - start) + short)


# ---- signs -----------------------------------------------------------------------------------------

LEVELS: dict[str, tuple[str, str]] = {
    "good": ("#009E73", ""),
    "told": ("#56B4E9", "dots"),
    "odd": ("#E69F00", "rising"),
    "bad": ("#D55E00", "falling"),
    "dead": ("#000000", ""),
    "none": ("", ""),
}
"""How a cell is meant -> its colour and its pattern."""
_SIGNS_TOP, _SIGN = 44, 28


@dataclass(frozen=True, repr=False)
class Signs(Chart):
    """A table.

    Attributes
    ----------
    columns
        Its headings.
    rows
        Name of a row -> for each column the text of the cell and how it is meant (one of ``LEVELS``).
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[tuple[str, str], ...]]
    groups: tuple[str, ...] = ()
    """Headings above the columns, each over as many as the others."""

    def lines(self) -> list[str]:
        """Return a line for each row, in which a group is named once."""
        return [f"{row}: {'; '.join(self._parts(cells))}." for row, cells in self.rows.items()]

    def _parts(self, cells: tuple[tuple[str, str], ...]) -> list[str]:
        """Return what a row says, in one piece for each group of columns."""
        said = [f"{column} {text}" for column, (text, _) in zip(self.columns, cells, strict=True)]
        if not self.groups:
            return [", ".join(said)]
        each = len(said) // len(self.groups)
        return [
            f"{group}: {', '.join(said[at * each : (at + 1) * each])}" for at, group in enumerate(self.groups)
        ]

    def svg(self) -> str:
        """Return the table."""
        left = room_for(self.rows)
        top = _SIGNS_TOP + (24 if self.groups else 10)
        wide = (WIDTH - 16 - left) / len(self.columns)
        parts = [
            words(left + wide * (at + 0.5), top, column, "mid strong")
            for at, column in enumerate(self.columns)
        ]
        for at, group in enumerate(self.groups):
            x = left + (WIDTH - 16 - left) * (at + 0.5) / len(self.groups)
            parts.append(words(x, _SIGNS_TOP + 4, group, "mid soft"))
        for at, (row, cells) in enumerate(self.rows.items()):
            y = top + 10 + _SIGN * at
            parts.append(words(left - 10, y + 17, row, "end"))
            for column, (text, level) in enumerate(cells):
                parts += _cell(left + wide * column, y, wide, (text, level))
        return picture(top + 20 + _SIGN * len(self.rows), self.title, parts)


def _cell(x: float, y: float, wide: float, cell: tuple[str, str]) -> list[str]:
    text, level = cell
    colour, pattern = LEVELS[level]
    box = f'x="{x + 1:.1f}" y="{y}" width="{wide - 3:.1f}" height="{_SIGN - 3}" rx="3"'
    if not colour:
        return [f'<rect {box} class="empty"/>', words(x + wide / 2, y + 17, text, "mid")]
    ink = "light" if level in {"dead", "good"} else "dark"
    return [filled(box, colour, pattern), words(x + wide / 2, y + 17, text, f"mid strong {ink}")]


# ---- states ----------------------------------------------------------------------------------------

_CHAIN_TOP, _HIGH, _ARROW, _LINE = 44, 84, 26, 15


@dataclass(frozen=True)
class State:
    """One state.

    Attributes
    ----------
    name
        What it is called.
    details
        What holds then: a sentence, in the lines in which it is drawn.
    by
        What leads to it.
    colour
        Of the bar above it.
    """

    name: str
    details: tuple[str, ...]
    by: str = ""
    colour: str = "#56B4E9"


@dataclass(frozen=True, repr=False)
class Chain(Chart):
    """States from left to right, in rows of at most four."""

    states: tuple[State, ...]
    in_a_row: int = 4

    def lines(self) -> list[str]:
        """Return a line for each state."""
        return [
            f"{order}. {state.name}{f', by {state.by}' if state.by else ''}: {_sentence(state)}"
            for order, state in enumerate(self.states, start=1)
        ]

    def svg(self) -> str:
        """Return the states as boxes, and what leads to each above it."""
        columns = min(self.in_a_row, len(self.states))
        wide = (WIDTH - 32 - _ARROW * (columns - 1)) / columns
        high = _HIGH + _LINE * (max(len(state.details) for state in self.states) - 2)
        parts = []
        for order, state in enumerate(self.states):
            x = 16 + (wide + _ARROW) * (order % columns)
            y = _CHAIN_TOP + 18 + (high + 34) * (order // columns)
            parts += self._box(state, (x, y, wide, high))
            if order % columns:
                parts.append(rule(x - _ARROW + 4, y + high / 2, x - 6, y + high / 2, "arrow"))
                parts.append(f'<path d="M{x - 11:g} {y + high / 2 - 4:g}l6 4-6 4" class="arrow"/>')
        rows = -(-len(self.states) // columns)
        return picture(_CHAIN_TOP + 10 + (high + 34) * rows, self.title, parts)

    def _box(self, state: State, where: tuple[float, float, float, float]) -> list[str]:
        x, y, wide, high = where
        parts = [
            words(x + 2, y - 6, state.by, "soft"),
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="6" class="empty"/>',
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="6" rx="3" fill="{state.colour}"/>',
            words(x + 10, y + 26, state.name, "strong"),
        ]
        return parts + [
            words(x + 10, y + 46 + _LINE * at, detail, room=wide - 16)
            for at, detail in enumerate(state.details)
        ]


def _sentence(state: State) -> str:
    said = " ".join(state.details)
    return said if said.endswith("?") else f"{said}."
