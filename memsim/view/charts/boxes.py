"""Charts of boxes: bars, ranges on an address axis, a table of signs, a chain of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memsim.view.charts.chart import (
    COLOURS,
    NARROW,
    Chart,
    apart,
    figure,
    filled,
    inked,
    layout,
    margin_for,
    name_of,
    number,
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

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return the bars with their numbers, and a legend if there are several for a row."""
        left, below = margin_for(self.rows, width)
        room = width - left - 90
        most = max(max(values) for values in self.series.values()) or 1
        parts, y = [], float(_BARS_TOP)
        for at, row in enumerate(self.rows):
            parts.append(name_of(row, y, left, _BAR * len(self.series) / 2 + 4))
            y += below
            for order, values in enumerate(self.series.values()):
                long = room * values[at] / most
                box = f'x="{left:g}" y="{y:g}" width="{max(long, 1):.1f}" height="{_BAR - 2}" rx="2"'
                parts.append(filled(box, COLOURS[order], _FILLS[order]))
                parts.append(words(left + max(long, 1) + 6, y + _BAR - 4, number(values[at])))
                y += _BAR
            y += _BETWEEN
        legend, lines = self._legend(y + 10, width)
        return y + 10 + 20 * lines, parts + legend

    def _legend(self, y: float, width: int) -> tuple[list[str], int]:
        """Return what the bars are, in as many lines as it takes, and how many."""
        parts, x, line = [words(16, y, f"in {self.unit}:", "soft")], 40 + 6.5 * len(self.unit), 0
        for order, name in enumerate(self.series):
            if not name:
                continue
            if x + 28 + 7 * len(name) > width:
                x, line = 16, line + 1
            low = y + 20 * line
            box = f'x="{x:g}" y="{low - 11:g}" width="22" height="13" rx="2"'
            parts.append(filled(box, COLOURS[order], _FILLS[order]))
            parts.append(words(x + 28, low, name))
            x += 50 + 7.4 * len(name)
        return parts, line + 1

    def plotly(self) -> dict[str, Any]:
        """Return the figure for plotly."""
        shapes = ("", "/", ".", "\\")
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "name": inked(name),
                "y": list(self.rows),
                "x": list(values),
                "text": [number(value) for value in values],  # also where a bar has no length
                "texttemplate": inked("%{text}"),
                "hovertext": list(self.rows),  # %{y} is in the ink of the axis, and here is another paper
                "textposition": "outside",
                "constraintext": "none",
                "textfont": {"size": 11},
                "cliponaxis": False,
                "hovertemplate": f"%{{hovertext}}: %{{x:,}} {self.unit}<extra>{name}</extra>",
                "marker": {"color": COLOURS[order], "pattern": {"shape": shapes[order]}},
            }
            for order, (name, values) in enumerate(self.series.items())
        ]
        height = max(240, 150 + (8 * len(self.series) + 8) * len(self.rows))
        settings = layout(height, self.title) | {"barmode": "group"}
        settings["margin"] = {"l": 70, "r": 60, "t": 80, "b": 50}
        settings["legend"] = {"orientation": "h", "y": 1, "yanchor": "bottom"}
        settings["showlegend"] = len(self.series) > 1
        settings["yaxis"] |= {"autorange": "reversed", "automargin": True}
        settings["xaxis"] |= {"title": {"text": inked(self.unit)}, "tickformat": ","}
        return figure(data, settings)


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

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return the rows, and the axis below."""
        left, below = margin_for(self.rows, width)
        span = (left, width - _MARGIN)
        parts, y = [], float(_RANGES_TOP)
        for row, ranges in self.rows.items():
            parts.append(name_of(row, y, left, 16))
            y += below
            for each in ranges:
                parts += self._range(each, y, span)
            y += _RANGE
        parts.append(rule(left, y + 2, width - _MARGIN, y + 2))
        spots = [self._x(tick, span) for tick in self.ticks]
        names = [f"{tick:#x}" for tick in self.ticks]
        lows = []
        for x, name, (middle, line) in zip(spots, names, apart(spots, names, width), strict=True):
            lows.append(y + 16 + 14 * line)
            parts += [rule(x, y - 2, x, lows[-1] - 10, "mark"), words(middle, lows[-1], name, "soft mid")]
        y = max(lows) + 14
        for each in self._unnamed(span):
            box = f'x="{left:g}" y="{y:g}" width="22" height="13" rx="2"'
            parts += [filled(box, each.colour, each.pattern), words(left + 30, y + 11, each.label)]
            y += 20
        return y, parts

    def _unnamed(self, span: tuple[float, float]) -> list[Range]:
        """Return a range for each word that fits in no range and is no row's: they are explained below.

        A letter would say there no more than in the title, which explains it.
        """
        every = [(row, each) for row, ranges in self.rows.items() for each in ranges]
        named = {each.label for row, each in every if each.label in row.split() or self._fits(each, span)}
        return list(
            {each.label: each for _, each in every if each.label not in named and each.label[1:]}.values()
        )

    def _fits(self, each: Range, span: tuple[float, float]) -> bool:
        return self._x(each.end, span) - self._x(each.start, span) > 7.2 * len(each.label) + 4

    def _range(self, each: Range, y: float, span: tuple[float, float]) -> list[str]:
        x, to = self._x(each.start, span), self._x(each.end, span)
        box = f'x="{x:.1f}" y="{y:g}" width="{max(to - x - 1, 1):.1f}" height="{_RANGE - 8}" rx="2"'
        parts = [filled(box, each.colour, each.pattern)]
        if self._fits(each, span):
            ink = "mid strong light" if each.colour in _LIGHT_INK else "mid strong dark"
            parts.append(words((x + to) / 2, y + 15, each.label, ink))
        return parts

    def _x(self, pfn: int, span: tuple[float, float]) -> float:
        """Return where a pfn is; a hole that is cut takes a twelfth of the axis."""
        first, left = min(self.ticks), span[0]
        whole, at = max(self.ticks) - first, pfn - first
        room = span[1] - left
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
    key: str = ""
    """What the signs mean, where a reader cannot guess it."""

    @property
    def heading(self) -> str:
        """The title, and what the signs mean."""
        return f"{self.title}: {self.key}" if self.key else self.title

    def lines(self) -> list[str]:
        """Return what the signs mean, and a line for each row, in which a group is named once."""
        key = [f"{self.key}."] if self.key else []
        return key + [f"{row}: {'; '.join(self._parts(cells))}." for row, cells in self.rows.items()]

    def _parts(self, cells: tuple[tuple[str, str], ...]) -> list[str]:
        """Return what a row says, in one piece for each group of columns."""
        said = [f"{column} {text}" for column, (text, _) in zip(self.columns, cells, strict=True)]
        if not self.groups:
            return [", ".join(said)]
        each = len(said) // len(self.groups)
        return [
            f"{group}: {', '.join(said[at * each : (at + 1) * each])}" for at, group in enumerate(self.groups)
        ]

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return the table; its headings stand upright where they would touch each other."""
        left, below = margin_for(self.rows, width)
        wide = (width - 16 - left) / len(self.columns)
        longest = max(map(len, self.columns))
        upright = 8 * longest > wide
        y = _SIGNS_TOP + (24 if self.groups else 10) + (6.5 * longest if upright else 0)
        parts = []
        for at, column in enumerate(self.columns):
            x = left + wide * (at + 0.5)
            parts.append(_upright(x + 4, y, column) if upright else words(x, y, column, "mid strong"))
        for at, group in enumerate(self.groups):
            x = left + (width - 16 - left) * (at + 0.5) / len(self.groups)
            parts.append(words(x, _SIGNS_TOP + 4, group, "mid soft"))
        y += 10
        for row, cells in self.rows.items():
            parts.append(name_of(row, y, left, 17))
            y += below
            for at, (text, level) in enumerate(cells):
                parts += _cell(left + wide * at, y, wide, (text, level))
            y += _SIGN
        return y + 10, parts


def _upright(x: float, y: float, text: str) -> str:
    return f'<g transform="translate({x:g} {y:g}) rotate(-90)">{words(0, 0, text, "strong")}</g>'


def _cell(x: float, y: float, wide: float, cell: tuple[str, str]) -> list[str]:
    text, level = cell
    colour, pattern = LEVELS[level]
    box = f'x="{x + 1:.1f}" y="{y}" width="{wide - 3:.1f}" height="{_SIGN - 3}" rx="3"'
    if not colour:
        return [f'<rect {box} class="empty"/>', words(x + wide / 2, y + 17, text, "mid")]
    ink = "light" if level in {"dead", "good"} else "dark"
    return [filled(box, colour, pattern), words(x + wide / 2, y + 17, text, f"mid strong {ink}")]


# ---- states ----------------------------------------------------------------------------------------

_CHAIN_TOP, _HIGH, _ARROW, _LINE = 44, 76, 24, 15


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

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return the states as boxes, and what leads to each above it."""
        columns = 1 if width == NARROW else min(self.in_a_row, len(self.states))
        wide = (width - 32 - _ARROW * (columns - 1)) / columns
        high = _HIGH + _LINE * (max(len(state.details) for state in self.states) - 2)
        parts = []
        for order, state in enumerate(self.states):
            x = 16 + (wide + _ARROW) * (order % columns)
            y = _CHAIN_TOP + 18 + (high + 34) * (order // columns)
            parts += self._box(state, (x, y, wide, high))
            if columns == 1 and order:
                parts += _arrow(x + wide / 2, y - 30, x + wide / 2, y - 6)
            elif order % columns:
                parts += _arrow(x - _ARROW + 4, y + high / 2, x - 6, y + high / 2)
        rows = -(-len(self.states) // columns)
        return _CHAIN_TOP + 10 + (high + 34) * rows, parts

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


def _arrow(x: float, y: float, to_x: float, to_y: float) -> list[str]:
    """Return an arrow to the right, or down."""
    head = "l-5-4m5 4-5 4" if y == to_y else "l-4-5m4 5 4-5"
    return [rule(x, y, to_x, to_y, "arrow"), f'<path d="M{to_x:g} {to_y:g}{head}" class="arrow"/>']


def _sentence(state: State) -> str:
    said = " ".join(state.details)
    return said if said.endswith("?") else f"{said}."
