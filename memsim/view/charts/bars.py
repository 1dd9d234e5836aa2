"""Numbers of several things side by side, each with one bar or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memsim.view.charts.chart import COLOURS, WIDTH, Chart, layout, number, picture, room_for, words

_BAR, _BETWEEN, _TOP = 14, 8, 44
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
        parts, y = [], float(_TOP)
        for at, row in enumerate(self.rows):
            parts.append(words(left - 10, y + _BAR * len(self.series) / 2 + 4, row, "end"))
            for order, values in enumerate(self.series.values()):
                long = room * values[at] / most
                box = f'x="{left:g}" y="{y:g}" width="{max(long, 1):.1f}" height="{_BAR - 2}" rx="2"'
                parts.append(f'<rect {box} fill="{COLOURS[order]}"/>')
                parts.append(f'<rect {box} fill="url(#{_FILLS[order]})"/>' if _FILLS[order] else "")
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
            parts.append(f'<rect {box} fill="{COLOURS[order]}"/>')
            parts.append(f'<rect {box} fill="url(#{_FILLS[order]})"/>' if _FILLS[order] else "")
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
