"""What all charts have in common: the forms that a notebook stores, and the pieces that they are drawn of.

Left out: anything that moves.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.view.draw import data_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH, NARROW = 760, 360
"""Widths for which every picture is drawn, in pixels; the second is a phone's."""
PLOTLY = "application/vnd.plotly.v1+json"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which colour-blind readers can tell apart."""
_CSS = Path(__file__).with_name("chart.css")
_INK = '<span style="color: var(--jp-ui-font-color1, #767676)">', "</span>"
"""Around a text of plotly's figures: the colour of the page's own text, which only the page knows.

No colour is legible both on JupyterLab's light paper and on its dark one. Where a page names none, a grey
that is legible on white.
"""


@dataclass(frozen=True, repr=False)
class Chart:
    """A chart: a title, and three forms of the same data."""

    title: str

    @property
    def heading(self) -> str:
        """What stands above the picture."""
        return self.title

    @property
    def text(self) -> str:
        """The text twin."""
        return "\n".join([self.title, *(f"  {line}" for line in self.lines())])

    def lines(self) -> list[str]:
        """Return what the picture shows, line by line."""
        raise NotImplementedError

    def drawing(self, width: int) -> tuple[float, list[str]]:
        """Return how high the picture is at a width, without more than one line of title, and its parts."""
        raise NotImplementedError

    def svg(self) -> str:
        """Return the picture, drawn for both widths."""
        return picture(self.heading, self.drawing(WIDTH), self.drawing(NARROW))

    def plotly(self) -> dict[str, Any] | None:
        """Return a figure in plotly's own format, where a chart has one."""
        return None

    def __repr__(self) -> str:
        """Return the text twin."""
        return self.text

    def html(self) -> str:
        """Return the picture as HTML that also a notebook that is not trusted shows.

        A page for phones gives it the shape ``--narrow``, and it shows the drawing for that shape.
        """
        narrow = f"--narrow: {NARROW}/{narrow_height(self.heading, self.drawing(NARROW)[0]):g}"
        return (
            f'<figure class="memsim-chart" style="margin: 4px 0"><img alt="{escape(self.heading)}. '
            'The same stands below in text." '
            f'src="{data_uri(self.svg())}" style="display: block; max-width: 100%; height: auto; {narrow}">'
            "</figure>"
        )

    def twin_html(self) -> str:
        """Return the text twin, folded."""
        lines = escape("\n".join(self.lines()))
        return (
            '<details class="memsim-twin"><summary>The same in text</summary>'
            '<pre style="font-size: 0.9em; white-space: pre-wrap; word-break: normal">'
            f"{lines}</pre></details>"
        )

    def _ipython_display_(self) -> None:
        """Show the picture, or plotly's figure where there is a front end for it, and the twin below."""
        from IPython.display import display  # noqa: PLC0415 (terminals do without)

        show: Any = display
        figure = self.plotly()
        shown = {"text/plain": self.text, "text/html": self.html()}
        show(shown | ({PLOTLY: figure} if figure else {}), raw=True)
        show({"text/plain": f"{self.title}: the same in text", "text/html": self.twin_html()}, raw=True)


# ---- drawing ---------------------------------------------------------------------------------------


_TITLE_LINE = 19


def picture(title: str, wide: tuple[float, list[str]], narrow: tuple[float, list[str]]) -> str:
    """Return an SVG of two drawings below a title, each a height and its parts.

    The box in which it is shown decides: the narrow drawing is there if the box is about as high as that
    drawing wants. A picture that knows nothing but its box can do so wherever it is linked from.
    """
    height, parts = wide
    scale = WIDTH / NARROW
    high = narrow_height(title, narrow[0])
    tall = high * scale
    lines = [words(16, 26 + _TITLE_LINE * at, line, "title") for at, line in enumerate(_wrapped(title))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}"><style>{_CSS.read_text(encoding="utf-8")}'
        f"@media (max-aspect-ratio: {WIDTH}/{math.sqrt(height * tall):.0f})"
        " { .wide { display: none; } .narrow { display: inline; } }</style>"
        f"<defs>{PATTERNS}</defs>"
        f'<g class="wide"><rect width="{WIDTH}" height="{height:g}" rx="10" class="paper"/>'
        f"{words(16, 26, title, 'title', WIDTH - 32)}{''.join(parts)}</g>"
        f'<g class="narrow" transform="translate(0 {(height - tall) / 2:.2f}) scale({scale:.4f})">'
        f'<rect width="{NARROW}" height="{high:g}" rx="8" class="paper"/>'
        f"{''.join(lines)}"
        f'<g transform="translate(0 {high - narrow[0]:g})">{"".join(narrow[1])}</g></g></svg>'
    )


def narrow_height(title: str, height: float) -> float:
    """Return how high a narrow drawing is with all lines of its title."""
    return height + _TITLE_LINE * (len(_wrapped(title)) - 1)


def _wrapped(title: str) -> list[str]:
    return textwrap.wrap(title, 38)


def words(x: float, y: float, text: str, kind: str = "", room: float = 0) -> str:
    """Return a line of text; squeezed if it would need more than ``room`` pixels (0: as many as it needs)."""
    name = f' class="{kind}"' if kind else ""
    each = 8.7 if kind == "title" else 6.9
    squeezed = (
        f' textLength="{room:g}" lengthAdjust="spacingAndGlyphs"' if each * len(text) > room > 0 else ""
    )
    return f'<text x="{x:g}" y="{y:g}"{name}{squeezed}>{escape(text)}</text>'


def breadth(text: str) -> float:
    """Return about how wide a text is, in pixels."""
    return sum(9.2 if sign.isupper() else 7.1 for sign in text)


def margin_for(names: Iterable[str], width: int) -> tuple[float, float]:
    """Return where rows begin, and how far below their names: names that want much room stand above them."""
    left = 24 + max(map(breadth, names))
    return (left, 0) if left <= width / 3 else (_EDGE, 18)


_EDGE = 16


def name_of(row: str, y: float, left: float, middle: float) -> str:
    """Return the name of a row that begins at ``left``: beside its middle, or above it."""
    return words(_EDGE, y + 13, row) if left == _EDGE else words(left - 10, y + middle, row, "end")


def apart(spots: Iterable[float], texts: Iterable[str], width: int) -> list[tuple[float, int]]:
    """Return the middle of each text, at its spot but inside the picture, and its line: no two touch.

    >>> apart((0, 30, 200), ("0x1000", "0x2000", "0x3000"), 360)
    [(23.6, 0), (30, 1), (200, 0)]
    """
    ends: list[float] = []
    places = []
    for spot, text in zip(spots, texts, strict=True):
        half = breadth(text) * SMALL / 2 + 4
        middle = min(max(spot, half), width - half)
        line = next((at for at, end in enumerate(ends) if end <= middle - half), len(ends))
        ends[line:] = [middle + half, *ends[line + 1 :]]
        places.append((round(middle, 1), line))
    return places


SMALL = 0.92
"""Size of soft text, as a share of the others'."""


def rule(x: float, y: float, to_x: float, to_y: float, kind: str = "rule") -> str:
    """Return a straight line."""
    return f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" class="{kind}"/>'


def filled(box: str, colour: str, pattern: str = "") -> str:
    """Return a rectangle, whose place and size are in ``box``, with a pattern over it."""
    over = f'<rect {box} fill="url(#{pattern})"/>' if pattern else ""
    return f'<rect {box} fill="{colour}"/>{over}'


PATTERNS = (
    '<pattern id="rising" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<path d="M-2 9 9-2M-2 2 2-2M5 9 9 5" stroke="#0006" stroke-width="1.3"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<circle cx="3" cy="3" r="1.1" fill="#0007"/></pattern>'
    '<pattern id="falling" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<path d="M-2-2 9 9M5-2 9 2M-2 5 2 9" stroke="#0006" stroke-width="1.3"/></pattern>'
)


def number(value: float) -> str:
    """Return a number as it is shown.

    >>> number(32768), number(0.5)
    ('32,768', '0.5')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def inked(text: str) -> str:
    """Return a text of a figure for plotly, in the colour of the page's own text."""
    return text.join(_INK)


def layout(height: int, title: str) -> dict[str, Any]:
    """Return settings of a figure for plotly that suit light and dark pages."""
    axis = {"gridcolor": "rgba(128,128,128,0.3)", "zerolinecolor": "rgba(128,128,128,0.6)"}
    axis |= {"tickprefix": _INK[0], "ticksuffix": _INK[1]}
    return {
        "height": height,
        "margin": {"l": 70, "r": 20, "t": 50, "b": 90},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "legend": {"orientation": "h", "y": -0.3},
        "title": {"text": inked(title), "font": {"size": 16}},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }


def figure(data: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Return a figure for plotly, without the toolbar that would lie over its title.

    Dragging zooms in, and a double click shows the whole again.
    """
    return {"data": data, "layout": settings, "config": {"displayModeBar": False}}
