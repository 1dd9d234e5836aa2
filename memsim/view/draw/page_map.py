"""The page map of a memory block as SVG: a tile for each pageblock, with colour, pattern and letter.

They are those of the explorer's own maps. JupyterLab shows an SVG in ``<img>`` in notebooks that are not
trusted, too.

Left out: ranges that are not whole pageblocks.
"""

from __future__ import annotations

import base64
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import MAX_PAGE_ORDER, pageblock_nr_pages
from memsim.view.model.page_class import CLASSES, LOOKS, PageClass, class_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from memsim.view.model.page_class import Classes

    Heads = npt.NDArray[np.int8]

SIZE = 264
"""Height of a map in pixels; it is half as wide again."""
ROWS, COLUMNS = 32, 16
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
        f'font-size="14" font-weight="600" text-anchor="middle"><defs>{_pattern(kind)}</defs>'
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
    patterns = "".join(_pattern(kind) for kind in found)
    width, height = size[0] * columns, size[1] * rows
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="14" font-weight="600" text-anchor="middle">'
        f"<defs>{patterns}</defs>{''.join(parts)}</svg>"
    )


def _pattern(kind: PageClass) -> str:
    ground = "#e9ecef" if kind is PageClass.ABSENT else LOOKS[kind].colour
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
    cell = ((width - 1) / COLUMNS, (height - 1) / ROWS)
    return "".join(
        _rect(kind, x + left * cell[0], y + row * cell[1], length * cell[0], cell[1])
        for row, pages in enumerate(np.reshape(kinds, (ROWS, COLUMNS)).tolist())
        for kind, left, length in _runs(pages)
    )


def _runs(pages: list[int]) -> Iterator[tuple[int, int, int]]:
    at = 0
    for kind, equal in groupby(pages):
        length = len(list(equal))
        yield kind, at, length
        at += length


def _rect(kind: int, x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="url(#p{int(kind)})"/>'


def _letter(kind: int, x: int, y: int, size: tuple[int, int]) -> str:
    look = CLASSES[int(kind)]
    if size[0] < 16 or look is PageClass.ABSENT:  # noqa: PLR2004 (no room for a letter)
        return ""
    ink = "#fff" if look in _WHITE_INK else "#10151a"
    left, top = x + size[0] / 2, y + size[1] / 2
    ground = LOOKS[look].colour
    return (
        f'<rect x="{left - 9:g}" y="{top - 9:g}" width="18" height="18" fill="{ground}"/>'
        f'<text x="{left:g}" y="{top + 5:g}" fill="{ink}">{look.letter}</text>'
    )
