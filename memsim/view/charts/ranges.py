"""What lies where on an axis of page frame numbers."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.view.charts.chart import WIDTH, Chart, number, picture, room_for, rule, words

_TOP, _ROW, _RIGHT = 46, 30, 20
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
        bottom = _TOP + _ROW * len(self.rows)
        parts = []
        for at, (row, ranges) in enumerate(self.rows.items()):
            y = _TOP + _ROW * at
            parts.append(words(left - 10, y + 16, row, "end"))
            for each in ranges:
                parts += self._range(each, y, left)
        parts.append(rule(left, bottom + 2, WIDTH - _RIGHT, bottom + 2))
        for at, tick in enumerate(self.ticks):
            x, low = self._x(tick, left), bottom + 16 + 14 * (at % 2)
            where = "soft end" if x > WIDTH - 60 else "soft mid"
            parts += [rule(x, bottom - 2, x, low - 10, "mark"), words(x, low, f"{tick:#x}", where)]
        return picture(bottom + 44, self.title, parts)

    def _range(self, each: Range, y: float, left: float) -> list[str]:
        x, to = self._x(each.start, left), self._x(each.end, left)
        box = f'x="{x:.1f}" y="{y}" width="{max(to - x - 1, 1):.1f}" height="{_ROW - 8}" rx="2"'
        parts = [f'<rect {box} fill="{each.colour}"/>']
        parts += [f'<rect {box} fill="url(#{each.pattern})"/>'] if each.pattern else []
        if to - x > 7.2 * len(each.label) + 4:
            ink = "mid strong light" if each.colour in _LIGHT_INK else "mid strong dark"
            parts.append(words((x + to) / 2, y + 15, each.label, ink))
        return parts

    def _x(self, pfn: int, left: float) -> float:
        """Return where a pfn is; a hole that is cut takes a twelfth of the axis."""
        first = min(self.ticks)
        whole, at = max(self.ticks) - first, pfn - first
        room = WIDTH - _RIGHT - left
        if self.cut is None:
            return left + room * at / whole
        start, end = self.cut[0] - first, self.cut[1] - first
        short = (whole - (end - start)) / 11
        drawn = at if at <= start else at - (end - start) + short
        drawn = start + short * (at - start) / (end - start) if start < at < end else drawn
        return left + room * drawn / (whole - (end - start) + short)
