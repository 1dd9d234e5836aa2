"""The HTML of page maps, legends and tables, all of it self-contained.

Pictures are ``data:`` addresses with an alternative text; tables have row and column headers; a sign
marks what changed. Styles are attributes: JupyterLab removes style sheets from notebooks that are not
trusted. Colours come from JupyterLab's theme where there is one.

Left out: controls; they are in :mod:`memsim.view.explorer.explorer`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memsim.view.draw.page_map import data_uri, map_svg, swatch
from memsim.view.model.page_class import CLASSES, PageClass, class_counts
from memsim.view.model.tables import COUNTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.view.draw.page_map import Heads
    from memsim.view.model.page_class import Classes
    from memsim.view.model.tables import Numbers, Row

COLUMNS = "font: 0.85em monospace; white-space: pre-wrap; overflow-wrap: anywhere"
"""Style of text in columns. Pages that nbconvert makes give it another font unless the element names one."""
SMALL = "font-size: 0.85em"
_CELL = "padding: 1px 8px; text-align: right; font-family: monospace"
_HEADER = "padding: 1px 8px; text-align: left; font-weight: normal"
_SIGN_WIDTH = "1.8em"
_HEADING = f"padding: 1px calc(8px + {_SIGN_WIDTH}) 1px 8px; text-align: right"
_SIGN = f"display: inline-block; width: {_SIGN_WIDTH}; text-align: left; font-weight: bold"
_TABLE = "border-collapse: collapse; margin: 4px 0"
_NOTE = f"{SMALL}; margin: 2px 0 8px"


# ---- page maps -------------------------------------------------------------------------------------


def map_image(classes: Classes, heads: Heads, alt: str) -> str:
    """Return a page map as an ``<img>`` that holds the picture itself."""
    source = data_uri(map_svg(classes, heads))
    return f'<img alt="{escape(alt)}" src="{source}" style="display: block; max-width: 100%; height: auto">'


def classes_in(maps: Iterable[Classes]) -> list[PageClass]:
    """Return the classes that occur in any of some maps."""
    found = {kind for classes in maps for kind in class_counts(classes)}
    return sorted(found)


def legend_html(kinds: Iterable[PageClass] = CLASSES) -> str:
    """Return a list of classes: a sample of each, its letter, its name and what it means."""
    items = "".join(
        _legend_item(kind.pattern, data_uri(swatch(kind)), kind.letter, kind.label, kind.meaning)
        for kind in kinds
    )
    return f'<ul style="list-style: none; padding: 0; margin: 4px 0; {SMALL}">{items}</ul>'


def _legend_item(pattern: str, source: str, letter: str, label: str, meaning: str) -> str:
    return (
        '<li style="display: inline-block; margin-right: 1.5em">'
        f'<img alt="{pattern}" src="{source}" '
        'style="height: 1.6em; vertical-align: middle; margin: 2px 4px 2px 0">'
        f"<b>{letter}</b> {label} ({meaning})</li>"
    )


# ---- tables ----------------------------------------------------------------------------------------


def counters_html(numbers: Numbers, previous: Numbers | None = None) -> str:
    """Return the zone counters as a table: a line for each zone and state, changes marked."""
    rows = {row.words: row for row in numbers.counter_rows(previous)}
    lines = "".join(
        f'<tr><th scope="row" style="{_HEADER}">{zone} <b>{name}</b></th>'
        + "".join(_number(rows[zone, counter], column) for counter in COUNTERS)
        + "</tr>"
        for zone in numbers.used_zones()
        for column, name in enumerate(numbers.names)
    )
    return _table("Zone counters, in pages", ["zone", *COUNTERS], lines)


def totals_html(numbers: Numbers, previous: Numbers | None = None) -> str:
    """Return what is counted for the whole system as a table, changes marked."""
    rows = [row for row in numbers.counter_rows(previous) if row.words[0] == "all"]
    return _table("Whole system, in pages", ["counter", *numbers.names], _lines(rows, "{1}"))


def _lines(rows: Iterable[Row], name: str) -> str:
    return "".join(
        f'<tr><th scope="row" style="{_HEADER}">{name.format(*row.words)}</th>'
        + "".join(_number(row, column) for column in range(len(row.numbers)))
        + "</tr>"
        for row in rows
    )


def _table(caption: str, headings: list[str], lines: str) -> str:
    heads = "".join(
        f'<th scope="col" style="{_HEADING if i else _HEADER}">{heading}</th>'
        for i, heading in enumerate(headings)
    )
    return (
        f'<table style="{_TABLE}"><caption style="text-align: left; padding: 1px 8px"><b>{caption}</b>'
        f"</caption><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


SIGNS = (
    f'<p style="{_NOTE}">▲ ▼ more or fewer than at the moment before; ≠ differs between before and after</p>'
)
"""What the signs behind numbers mean."""


def _number(row: Row, column: int) -> str:
    """Return a cell: the number, an arrow if it changed, and an unequal sign if the states differ."""
    arrow = ""
    if row.changed[column]:
        arrow = "▲" if row.numbers[column] > row.old[column] else "▼"
    signs = arrow + "≠" * _differs(row)
    shown = f"<b>{row.shown[column]}</b>" if arrow else row.shown[column]
    return f'<td style="{_CELL}">{shown}<span style="{_SIGN}">{signs}</span></td>'


def _differs(row: Row) -> bool:
    return len(set(row.numbers)) > 1
