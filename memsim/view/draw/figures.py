"""Figures: page maps and counters, for plotly and for notebooks that are not executed.

A page map is a picture with a palette, never a list of 32,768 numbers. Every figure carries its text twin
in ``layout.meta["alt"]``.

Left out: anything that moves; that is :mod:`memsim.view.explorer.explorer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memsim.view.draw.markup import classes_in, legend_html, static_html
from memsim.view.draw.page_map import block_image, block_png
from memsim.view.draw.png import data_uri
from memsim.view.model.moments import SIDES, all_moments
from memsim.view.model.tables import COUNTERS, Numbers
from memsim.view.model.text import map_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from memsim.scenario.comparison import Comparison
    from memsim.view.model.page_class import Classes

__all__ = ["alt_text", "block_figure", "block_png", "counters_figure", "legend_html", "static_html"]

_SYMBOLS = (
    "square-open",
    "square",
    "circle",
    "diamond",
    "cross",
    "star",
    "x",
    "hexagram",
    "hash",
    "pentagon",
)


def alt_text(classes_by_title: Mapping[str, Classes]) -> str:
    """Return what page maps show, in one sentence for each."""
    return " ".join(f"{title}: {map_sentence(classes)}." for title, classes in classes_by_title.items())


def block_figure(classes_by_title: Mapping[str, Classes]) -> go.Figure:
    """Return page maps side by side, one for each title, with a legend of the classes in them."""
    figure = make_subplots(
        1, len(classes_by_title), subplot_titles=list(classes_by_title), horizontal_spacing=0.02
    )
    for column, classes in enumerate(classes_by_title.values(), start=1):
        source = data_uri(block_png(classes, reproducible=True))
        figure.add_trace(go.Image(source=source, hoverinfo="skip"), 1, column)
        height = block_image(classes).shape[0]
    for kind in classes_in(classes_by_title.values()):
        # A picture has no legend: points outside the axes stand for its classes.
        marker = {"symbol": _SYMBOLS[kind], "color": kind.colour, "line": {"width": 1, "color": "#333333"}}
        name = f"{kind.letter} {kind.label} ({kind.pattern})"
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=name))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    legend = {"orientation": "h", "yanchor": "top", "y": -0.02}
    figure.update_layout(
        height=height // 2 + 140,
        margin={"l": 0, "r": 0, "t": 40, "b": 20},
        legend=legend,
        meta={"alt": alt_text(classes_by_title)},
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


# ---- counters over the moments ---------------------------------------------------------------------

_LINES = {
    "managed": ("#0072B2", "circle"),
    "present": ("#D55E00", "square"),
    "nr_free": ("#009E73", "triangle-up"),
}
"""Counter -> colour and marker."""
_DASHES = {"before": "dot", "after": "solid"}


def counters_figure(comparison: Comparison, zone: str) -> go.Figure:
    """Return managed, present and free pages of a zone over the moments, before and after the patch.

    The dash shows the side (before: dotted with open markers), as does the name on the line; marker and
    name show the counter.
    """
    taken = [
        Numbers.of(dict(zip(SIDES, comparison.states(moment), strict=True)))
        for moment in all_moments(comparison)
    ]
    figure = go.Figure()
    for counter in _LINES:
        for column, side in enumerate(SIDES):
            values = np.array([numbers.counters[zone, counter][column] for numbers in taken])
            figure.add_trace(_counter_line(counter, side, values))
    figure.update_layout(
        title=f"Zone {zone}: pages at each moment",
        xaxis_title="moment",
        yaxis_title="pages",
        meta={"alt": _counters_alt(zone, taken)},
    )
    return figure


def _counter_line(counter: str, side: str, values: npt.NDArray[Any]) -> go.Scatter:
    colour, symbol = _LINES[counter]
    if side == "before":
        symbol += "-open"
    return go.Scatter(
        y=values,
        name=f"{counter}, {side}",
        mode="lines+markers",
        line={"shape": "hv", "dash": _DASHES[side], "color": colour, "width": 2 if side == "after" else 4},
        marker={"symbol": symbol, "size": 8, "maxdisplayed": 12},
    )


def _counters_alt(zone: str, taken: Sequence[Any]) -> str:
    ends = []
    for counter in _LINES:
        for column, side in enumerate(SIDES):
            first, last = (numbers.counters[zone, counter][column] for numbers in (taken[0], taken[-1]))
            ends.append(f"{counter} {side} the patch from {first} to {last}")
    return f"Zone {zone} over {len(taken)} moments, in pages: {'; '.join(ends)}."


assert set(_LINES) <= set(COUNTERS)  # noqa: S101 (one table of counters)
