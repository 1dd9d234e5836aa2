"""Page maps as SVG, and the HTML of maps, legends and tables, all of it self-contained.

A map has a tile for each pageblock, with the colour, pattern and letter of the explorer's own maps. Pictures
are ``data:`` addresses with an alternative text, which JupyterLab shows in notebooks that are not trusted,
too; for these styles are attributes. Tables have row and column headers; a sign marks what changed. Colours
come from JupyterLab's theme where there is one.

Left out: ranges that are not whole pageblocks; and controls.
"""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import MAX_PAGE_ORDER, pageblock_nr_pages
from memsim.view.model.page_class import CLASSES, PageClass, class_counts, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memsim.view.model.page_class import Classes, Heads
    from memsim.view.model.text import Row

# ---- page maps as SVG ------------------------------------------------------------------------------

SIZE = 264
"""Height of a map in pixels; it is half as wide again."""
_DOWN, _ACROSS = 32, 16
"""Pages of a pageblock."""
_WHITE_INK = (PageClass.ALLOCATED, PageClass.FREE, PageClass.FREE_OFFLINE, PageClass.POISONED)
_MOTIFS = {
    PageClass.RESERVED: '<path d="M-1 9 9-1M-1 1 1-1M7 9 9 7"/>',
    PageClass.RESERVED_OFFLINE: '<path d="M-1-1 9 9M-1 7 1 9M7-1 9 1"/>',
    PageClass.OFFLINE: '<circle cx="4" cy="4" r="1"/>',
    PageClass.ALLOCATED: '<path d="M0 4H8"/>',
    PageClass.SELF_HOSTED: '<path d="M0 4H8M4 0V8"/>',
    PageClass.POISONED: '<path d="M1 1 7 7M1 7 7 1"/>',
    PageClass.FREE_OFFLINE: '<path d="M4 0V8" stroke="#fff"/>',
    PageClass.UNTOLD: '<path d="M0 0h4v4h4v4h-4v-4h-4z"/>',
}


def data_uri(svg: str) -> str:
    """Return the address of a picture, which holds the picture itself.

    >>> data_uri("<svg/>")
    'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def swatch(kind: PageClass) -> str:
    """Return a sample of a class as SVG."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="20" font-family="sans-serif" '
        f'font-size="14" font-weight="600" text-anchor="middle"><defs>{_pattern_of(kind)}</defs>'
        f"{_rect(kind, 0, 0, 32, 20)}{_letter(kind, 0, 0, (32, 20))}</svg>"
    )


def map_svg(classes: Classes, heads: Heads) -> str:
    """Return the page map of a block as SVG.

    Parameters
    ----------
    classes
        What ``page_classes()`` returns.
    heads
        What ``free_heads()`` returns: the largest free blocks are one tile.

    Raises
    ------
    ValueError
        These are not whole pageblocks.
    """
    tiles, rest = divmod(len(classes), pageblock_nr_pages)
    if rest or not tiles:
        msg = f"a page map shows whole pageblocks of {pageblock_nr_pages} pages, not {len(classes)} pages"
        raise ValueError(msg)
    columns = 1 << -(-(tiles - 1).bit_length() // 2)
    rows = -(-tiles // columns)
    size = (SIZE * 3 // 2 // columns, SIZE // rows)
    parts = [_tile(classes, heads, tile, (tile % columns, tile // columns), size) for tile in range(tiles)]
    found = class_counts(classes)
    patterns = "".join(_pattern_of(kind) for kind in found)
    width, height = size[0] * columns, size[1] * rows
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="14" font-weight="600" text-anchor="middle">'
        f"<defs>{patterns}</defs>{''.join(parts)}</svg>"
    )


def _pattern_of(kind: PageClass) -> str:
    ground = "#e9ecef" if kind is PageClass.ABSENT else kind.colour
    ink = "#555" if kind is PageClass.OFFLINE else "none"
    return (
        f'<pattern id="p{kind.value}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{ground}"/>'
        f'<g stroke="#000" stroke-opacity=".2" fill="{ink}">{_MOTIFS.get(kind, "")}</g></pattern>'
    )


def _tile(classes: Classes, heads: Heads, tile: int, place: tuple[int, int], size: tuple[int, int]) -> str:
    """Return one pageblock: in one piece if all its pages are alike, else row by row."""
    at = slice(tile * pageblock_nr_pages, (tile + 1) * pageblock_nr_pages)
    x, y, (width, height) = place[0] * size[0], place[1] * size[1], size
    kinds = classes[at]
    if (kinds == kinds[0]).all() and not (heads[at][1:] >= 0).any():
        joined = tile % 2 == 0 and heads[at][0] == MAX_PAGE_ORDER
        wide = width - 1 + joined
        return f"{_rect(kinds[0], x, y, wide, height - 1)}{_letter(kinds[0], x, y, size)}"
    cell = ((width - 1) / _ACROSS, (height - 1) / _DOWN)
    return "".join(
        _rect(kind, x + left * cell[0], y + row * cell[1], length * cell[0], cell[1])
        for row, pages in enumerate(np.reshape(kinds, (_DOWN, _ACROSS)).tolist())
        for kind, left, length in runs(pages)
    )


def _rect(kind: int, x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="url(#p{int(kind)})"/>'


def _letter(kind: int, x: int, y: int, size: tuple[int, int]) -> str:
    look = CLASSES[int(kind)]
    if size[0] < 16 or look is PageClass.ABSENT:  # noqa: PLR2004 (no room for a letter)
        return ""
    ink = "#fff" if look in _WHITE_INK else "#10151a"
    left, top = x + size[0] / 2, y + size[1] / 2
    return (
        f'<rect x="{left - 9:g}" y="{top - 9:g}" width="18" height="18" fill="{look.colour}"/>'
        f'<text x="{left:g}" y="{top + 5:g}" fill="{ink}">{look.letter}</text>'
    )


COLUMNS = "font: 0.85em monospace; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"
"""Style of text in columns. Pages that nbconvert makes give it another font unless the element names one."""
SMALL = "font-size: 0.85em"
_CELL = "padding: 1px 8px; text-align: right; font-family: monospace"
_HEADER = "padding: 1px 8px; text-align: left; font-weight: normal"
_SIGN = "display: inline-block; width: 1.8em; text-align: left; font-weight: bold"


# ---- maps and legends in HTML ----------------------------------------------------------------------


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
    items = "".join(map(_legend_item, kinds))
    return f'<ul style="list-style: none; padding: 0; margin: 4px 0; {SMALL}">{items}</ul>'


def _legend_item(kind: PageClass) -> str:
    return (
        '<li style="display: inline-block; margin-right: 1.5em">'
        f'<img alt="{kind.pattern}" src="{data_uri(swatch(kind))}" '
        'style="height: 1.6em; vertical-align: middle; margin: 2px 4px 2px 0">'
        f"<b>{kind.letter}</b> {kind.label} ({kind.meaning})</li>"
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
