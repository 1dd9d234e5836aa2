"""Where a page lies, as a drawing: the page on the map of its section, and the same in words.

Sections have 32,768 pages, and chunks of the largest order 1,024, whatever the machine: a pfn alone says in
which of them a page is. What a page *is* would be an answer, and is not shown.
"""

from __future__ import annotations

import re
from html import escape

from memsim.linux.include.layout import MAX_ORDER_NR_PAGES, PAGES_PER_SECTION, pageblock_nr_pages

_PFN = re.compile(r"\b(?:pfn|page) (0x[0-9a-f]{1,9})\b", re.IGNORECASE)
_CELL, _HEIGHT, _GAP = 14, 22, 30
_CHUNKS = PAGES_PER_SECTION // MAX_ORDER_NR_PAGES
_WIDTH = _CELL * _CHUNKS


def page_in(message: str) -> int | None:
    """Return the pfn that a message names, or None.

    >>> page_in("Types of pfn 0x100233 is wrong."), page_in("Page 0x10 is wrong."), page_in("Two pages.")
    (1049139, 16, None)
    """
    found = _PFN.search(message)
    return int(found[1], 16) if found else None


def in_words(pfn: int) -> str:
    r"""Return where a page lies.

    >>> print(in_words(0x100633).replace("; ", "\n"))
    Page 0x100633
    section 32, pages 0x100000 to 0x107fff
    its chunk 1 of 0 to 31, pages 0x100400 to 0x1007ff
    pageblock 2,051
    page 563 of 0 to 1,023 in the chunk
    """
    section, chunk = pfn - pfn % PAGES_PER_SECTION, pfn - pfn % MAX_ORDER_NR_PAGES
    return (
        f"Page {pfn:#x}; section {pfn // PAGES_PER_SECTION:,}, pages {section:#x} to "
        f"{section + PAGES_PER_SECTION - 1:#x}; its chunk {(chunk - section) // MAX_ORDER_NR_PAGES} of 0 to "
        f"{_CHUNKS - 1}, pages {chunk:#x} to {chunk + MAX_ORDER_NR_PAGES - 1:#x}; pageblock "
        f"{pfn // pageblock_nr_pages:,}; page {pfn - chunk} of 0 to {MAX_ORDER_NR_PAGES - 1:,} in the chunk"
    )


def drawing(pfn: int) -> str:
    """Return a figure: the chunks of the section, and below them the pages of the chunk, with a mark."""
    at = pfn % PAGES_PER_SECTION // MAX_ORDER_NR_PAGES
    below = _HEIGHT + _GAP
    mark = round(pfn % MAX_ORDER_NR_PAGES * _WIDTH / MAX_ORDER_NR_PAGES, 1)
    chunks = [_cell("here" if chunk == at else "cell", chunk * _CELL, 0, _CELL) for chunk in range(_CHUNKS)]
    blocks = MAX_ORDER_NR_PAGES // pageblock_nr_pages
    halves = [_cell("cell", block * _WIDTH // blocks, below, _WIDTH // blocks) for block in range(blocks)]
    lines = (
        f'<path class="to" d="M{at * _CELL} {_HEIGHT}L0 {below}M{(at + 1) * _CELL} {_HEIGHT}L{_WIDTH} '
        f'{below}"/><path class="mark" d="M{mark} {below - 6}v{_HEIGHT + 12}"/>'
    )
    words = escape(in_words(pfn), quote=True)
    return (
        f'<figure><svg role="img" aria-label="{words}" viewBox="-4 -4 {_WIDTH + 8} {below + _HEIGHT + 14}" '
        f'width="{_WIDTH + 8}">{"".join([*chunks, *halves])}{lines}</svg>'
        f"<figcaption>{words}.</figcaption></figure>"
    )


def _cell(name: str, left: int, top: int, width: int) -> str:
    return f'<rect class="{name}" x="{left}" y="{top}" width="{width}" height="{_HEIGHT}"/>'


STYLE = """
figure { margin: .5rem 0; max-width: 30rem; }
figcaption { font-size: .875rem; }
svg { max-width: 100%; height: auto; }
.cell { fill: Canvas; stroke: CanvasText; stroke-width: .6; }
.here { fill: #3b6ea5; stroke: CanvasText; stroke-width: .6; }
.to { stroke: CanvasText; stroke-width: .6; stroke-dasharray: 3 2; fill: none; }
.mark { stroke: #b4490a; stroke-width: 3; fill: none; }
@media (prefers-color-scheme: dark) { .mark { stroke: #f0a05c; } }
"""
