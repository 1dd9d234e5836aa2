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

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memsim.view.draw.page_map import Heads
    from memsim.view.model.page_class import Classes
    from memsim.view.model.tables import Row

COLUMNS = "font: 0.85em monospace; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"
"""Style of text in columns. Pages that nbconvert makes give it another font unless the element names one."""
SMALL = "font-size: 0.85em"
_CELL = "padding: 1px 8px; text-align: right; font-family: monospace"
_HEADER = "padding: 1px 8px; text-align: left; font-weight: normal"
_SIGN = "display: inline-block; width: 1.8em; text-align: left; font-weight: bold"


# ---- page maps -------------------------------------------------------------------------------------


def map_image(classes: Classes, heads: Heads, alt: str) -> str:
    """Return a page map as an ``<img>`` that holds the picture itself."""
    source = data_uri(map_svg(classes, heads))
    return (
        f'<img alt="{escape(alt)}" src="{source}" style="display: block; max-width: 100%; max-height: 200px">'
    )


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


# ---- text and tables -------------------------------------------------------------------------------


def folded_text(text: str) -> str:
    """Return a text twin, folded."""
    return (
        f'<details><summary>The same in text</summary><pre style="{COLUMNS}">{escape(text)}</pre></details>'
    )


def counters_html(rows: Iterable[Row], names: Sequence[str]) -> str:
    """Return counters as a table, with signs for what changed and what differs."""
    lines = "".join(
        f'<tr><th scope="row" style="{_HEADER}">{" ".join(row.words)}</th>'
        + "".join(_number(row, column) for column in range(len(names)))
        + "</tr>"
        for row in rows
    )
    if not lines:
        return f'<p style="{SMALL}; margin: 2px 0">No counter has changed, none differs.</p>'
    heads = "".join(f'<th scope="col" style="{_HEADER}">{name}</th>' for name in ("counter", *names))
    return (
        '<table style="border-collapse: collapse; margin: 4px 0"><caption style="text-align: left; '
        'padding: 1px 8px"><b>Counters that changed (▲ ▼) or differ (≠), in pages</b></caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _number(row: Row, column: int) -> str:
    """Return a cell: the number, an arrow if it changed, and an unequal sign if the states differ."""
    arrow = ""
    if row.changed[column]:
        arrow = "▲" if row.numbers[column] > row.old[column] else "▼"
    shown = f"<b>{row.shown[column]}</b>" if arrow else row.shown[column]
    return f'<td style="{_CELL}">{shown}<span style="{_SIGN}">{arrow}{"≠" * row.differs}</span></td>'
