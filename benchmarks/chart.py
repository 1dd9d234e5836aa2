"""A line chart as SVG, with a logarithmic scale up and, if wanted, across. No library, no script, no font.

Each line has a marker of its own shape besides its colour (of Okabe and Ito), and the file describes itself
in words.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 80, 40, 200, 60
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS = ("●", "■", "▲", "◆", "✚", "▼", "★")


class Scale:
    """From values to places between two edges."""

    def __init__(self, values: Sequence[float], low_edge: float, high_edge: float, *, log: bool) -> None:
        """Cover all values; a logarithmic scale begins and ends with powers of ten."""
        self.log = log
        ends = [math.log10(value) if log else value for value in (min(values), max(values))]
        self.low, self.high = (math.floor(ends[0]), math.ceil(ends[1])) if log else ends
        self.high = self.high if self.high > self.low else self.low + 1
        self.edges = low_edge, high_edge

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.edges[0] + share * (self.edges[1] - self.edges[0])

    def powers(self) -> list[float]:
        """Return the powers of ten that the scale covers."""
        return [10.0**power for power in range(int(self.low), int(self.high) + 1)]


def line_chart(
    title: str,
    across: str,
    up: str,
    lines: Mapping[str, Points],
    labels: Mapping[float, str] | None = None,
) -> str:
    """Return a chart; ``labels`` names places across, which is linear then, else logarithmic."""
    points = [point for line in lines.values() for point in line]
    x = Scale([point[0] for point in points], LEFT, WIDTH - RIGHT, log=labels is None)
    y = Scale([point[1] for point in points], HEIGHT - BOTTOM, TOP, log=True)
    parts = [text(LEFT, 20, title, "start", weight="bold")]
    for value in y.powers():
        parts.append(rule(LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(text(LEFT - 6, y(value) + 4, f"{value:g}", "end"))
    for value, label in (labels or {value: f"{value:g}" for value in x.powers()}).items():
        parts.append(text(x(value), HEIGHT - BOTTOM + 18, label, "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, across, "middle"))
    parts.append(text(LEFT, TOP - 6, up, "start"))
    for number, (name, line) in enumerate(lines.items()):
        parts += one_line(number, name, [(x(a), y(b)) for a, b in line])
    ends = [f"{name}: from {line[0][1]:.3g} to {line[-1][1]:.3g}" for name, line in lines.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f"<desc>{escape(up)} against {escape(across)}. {escape('; '.join(ends))}.</desc>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def one_line(number: int, name: str, places: Points) -> list[str]:
    """Return a line with its markers and its entry in the legend."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    legend = TOP + 10 + 20 * number
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        *(text(x, y + 4, marker, "middle", colour) for x, y in places),
        text(WIDTH - RIGHT + 14, legend, f"{marker} {name}", "start", colour),
    ]


def text(x: float, y: float, what: str, anchor: str, colour: str = "#222", weight: str = "normal") -> str:
    """Return a text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">'
        f"{escape(what)}</text>"
    )


def rule(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a thin line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'
