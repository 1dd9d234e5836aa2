"""The page map of a memory block: every page a small square, as a picture.

Each pageblock (2 MiB) is a compact tile of 32 x 16 pages; tiles stand in the order of their pfns, eight
to a row in a block of 128 MiB. Colour, pattern and the letter on the tile show the class; a
tile of several classes has the letters of the two most frequent ones, and ``+`` for more.

Left out: what a letter covers (the text twin counts every page), and ranges that are not whole pageblocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGEBLOCKS_PER_SECTION, pageblock_nr_pages
from memsim.view.draw.glyphs import LIGHT_INK, PERIOD, pattern, stamp
from memsim.view.draw.png import png
from memsim.view.model.page_class import CLASSES, PageClass, letters_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.view.draw.png import Image
    from memsim.view.model.page_class import Classes

    Heads = npt.NDArray[np.int8]

TILE_ROWS, TILE_COLUMNS = 16, 32
_FREE_HEAD = len(CLASSES)
_BLACK = 2 * _FREE_HEAD + 2
_WHITE, _GAP = _BLACK + 1, _BLACK + 2
_HEAD_COLOUR, _GAP_COLOUR = "#00291E", "#8A8A8A"
_WIDE_BLOCK = 4 * PAGEBLOCKS_PER_SECTION


@dataclass(frozen=True)
class Geometry:
    """Where the cells of a map are: in tiles, which stand in rows with gaps around them; all in pixels."""

    count: int
    """Cells."""
    columns: int
    """Tiles in a row."""
    tile_rows: int
    tile_columns: int
    cell: int
    gap: int


def page_geometry(nr_pages: int) -> Geometry:
    """Return how the pages of a page map are laid out.

    >>> page_geometry(32768)
    Geometry(count=32768, columns=8, tile_rows=16, tile_columns=32, cell=3, gap=4)
    """
    columns, scale = grid(nr_pages // pageblock_nr_pages)
    return Geometry(nr_pages, columns, TILE_ROWS, TILE_COLUMNS, scale, scale + 1)


def block_png(classes: Classes, heads: Heads | None = None, *, reproducible: bool = False) -> bytes:
    """Return the page map of a range of whole pageblocks as a PNG file.

    Parameters
    ----------
    classes
        What ``page_classes()`` or ``recorded_classes()`` returns.
    heads
        What ``free_heads()`` returns: the first page of each free block is drawn dark.
    reproducible
        Whether the bytes must be the same on every machine, for outputs that are stored. Slower.
    """
    image = block_image(classes, heads)
    return png(image, palette(), repeats(image, len(classes)) if reproducible else ())


def repeats(image: Image, nr_pages: int) -> tuple[int, ...]:
    """Return distances after which the pixels of a page map are likely the same again."""
    scale = grid(nr_pages // pageblock_nr_pages)[1]
    tile, row = TILE_COLUMNS * scale + scale + 1, image.shape[1] + 1
    return (1, PERIOD, tile, 2 * tile, row, *(row * lines for lines in (3, PERIOD // 2, PERIOD)))


def palette() -> bytes:
    """Return the colours: two for each class (ground and ink), then heads, black, white, gaps."""
    colours = []
    for kind in CLASSES:
        colours += [kind.colour, "#FFFFFF" if kind in LIGHT_INK else "#000000"]
    colours += [_HEAD_COLOUR] * 2
    return bytes.fromhex("".join([*colours, "#000000", "#FFFFFF", _GAP_COLOUR]).replace("#", ""))


def block_image(classes: Classes, heads: Heads | None = None) -> Image:
    """Return the page map as palette indices."""
    nr_tiles, rest = divmod(len(classes), pageblock_nr_pages)
    if rest or not nr_tiles:
        msg = f"a page map shows whole pageblocks of {pageblock_nr_pages} pages, not {len(classes)} pages"
        raise ValueError(msg)
    kinds = classes
    if heads is not None:
        kinds = np.where((heads >= 0) & (classes == PageClass.FREE), np.uint8(_FREE_HEAD), classes)
    columns, scale = grid(nr_tiles)
    data = kinds.astype(np.uint8).tobytes()
    tiles = [
        _tile(data[at : at + pageblock_nr_pages], scale) for at in range(0, len(data), pageblock_nr_pages)
    ]
    return in_grid(tiles, columns, scale + 1, _GAP)


def grid(nr_tiles: int) -> tuple[int, int]:
    """Return how many tiles stand in a row, and how many pixels wide a page is.

    >>> grid(64), grid(1024)
    ((8, 3), (32, 1))
    """
    if nr_tiles <= PAGEBLOCKS_PER_SECTION:
        return min(8, nr_tiles), 3
    return (16, 2) if nr_tiles <= _WIDE_BLOCK else (32, 1)


@lru_cache(maxsize=3)
def _tile_of_each_kind(scale: int) -> Image:
    """Return tiles of one kind each: kind, row and column of the page, row and column in the page."""
    height, width = TILE_ROWS * scale, TILE_COLUMNS * scale
    inked = [pattern(kind, height, width) for kind in CLASSES] + [np.zeros((height, width), bool)]
    pixels = np.array([2 * number + ink for number, ink in enumerate(inked)], np.uint8)
    pages = pixels.reshape(len(inked), TILE_ROWS, scale, TILE_COLUMNS, scale)
    return np.ascontiguousarray(pages.transpose(0, 1, 3, 2, 4))


@lru_cache(maxsize=2048)
def _tile(kinds: bytes, scale: int) -> Image:
    """Return one pageblock: patterns and letters. From one moment to the next most are the same."""
    pages = np.frombuffer(kinds, np.uint8).reshape(TILE_ROWS, TILE_COLUMNS)
    rows, columns = np.ogrid[:TILE_ROWS, :TILE_COLUMNS]
    pixels = _tile_of_each_kind(scale)[pages, rows, columns].transpose(0, 2, 1, 3)
    tile: Image = pixels.reshape(TILE_ROWS * scale, TILE_COLUMNS * scale)
    classes = np.where(pages == _FREE_HEAD, np.uint8(PageClass.FREE), pages)
    ink, rim = stamp(letters_of(classes), *tile.shape)
    tile[rim], tile[ink] = _WHITE, _BLACK
    return tile


def in_grid(tiles: list[Image], columns: int, gap: int, colour: int) -> Image:
    """Return one picture of all tiles, with gaps between and around them."""
    height, width = tiles[0].shape
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap), colour, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (height + gap) + gap, column * (width + gap) + gap
        canvas[top : top + height, left : left + width] = tile
    return canvas
