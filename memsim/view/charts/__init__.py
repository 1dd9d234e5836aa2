"""Charts and diagrams of the chapters: lines over time, bars, an address axis, signs, a chain of states.

Each is data first; from that come its text twin, a picture that needs nothing (SVG), and, for lines and bars,
a figure for plotly. What is drawn is what the text says.
"""

from memsim.view.charts.boxes import LEVELS, Bars, Chain, Range, Ranges, Signs, State
from memsim.view.charts.lines import (
    Line,
    Lines,
    class_ranges,
    counters_by_step,
    counters_over,
    pages_that_differ,
    points_of,
)

__all__ = [
    "LEVELS",
    "Bars",
    "Chain",
    "Line",
    "Lines",
    "Range",
    "Ranges",
    "Signs",
    "State",
    "class_ranges",
    "counters_by_step",
    "counters_over",
    "pages_that_differ",
    "points_of",
]
