"""The pixels that page maps are made of: a pattern for each class, and letters.

A pattern is drawn over a class's colour in black or white; patterns differ in shape, not only in
darkness, so that a map can be read in greyscale. Letters are 5 x 7 pixels, enlarged, black in a white
rim, and so legible on every colour.

Left out: every letter that no kind of page or block has.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from memsim.view.model.page_class import CLASSES, PageClass

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.bool_]

PATTERNS = {
    PageClass.ABSENT: """
        ............
        .##.........
        .##.........
        ............
        ............
        ............
        ............
        ............
        ............
        ............
        ............
        ............""",
    PageClass.RESERVED: """
        ##..........
        #..........#
        ..........##
        .........##.
        ........##..
        .......##...
        ......##....
        .....##.....
        ....##......
        ...##.......
        ..##........
        .##.........""",
    PageClass.OFFLINE: """
        ............
        .###........
        .###........
        .###........
        ............
        ............
        ............
        .......###..
        .......###..
        .......###..
        ............
        ............""",
    PageClass.FREE: ".",
    PageClass.ALLOCATED: "# # . . . . . .",
    PageClass.SELF_HOSTED: "############ #........... " + "#........... " * 10,
    PageClass.POISONED: """
        ##.........#
        .##.......##
        ..##.....##.
        ...##...##..
        ....##.##...
        .....###....
        .....###....
        ....##.##...
        ...##...##..
        ..##.....##.
        .##.......##
        ##.........#""",
    PageClass.RESERVED_OFFLINE: """
        ##..........
        .##.........
        ..##........
        ...##.......
        ....##......
        .....##.....
        ......##....
        .......##...
        ........##..
        .........##.
        ..........##
        #..........#""",
    PageClass.FREE_OFFLINE: "##....",
    PageClass.UNTOLD: "###... ###... ###... ...### ...### ...###",
}
"""What is drawn over a class's colour, repeated over its pages."""

PERIOD = 24
"""Every pattern repeats after this many pixels in both directions."""

LIGHT_INK = frozenset({PageClass.ALLOCATED, PageClass.FREE_OFFLINE})
"""Classes whose colour is too dark for black ink."""


def dots(drawing: str) -> Pixels:
    """Return a drawing, rows of # and . with blanks between, as pixels."""
    return np.array([[dot == "#" for dot in row] for row in drawing.split()])


def pattern(kind: PageClass, height: int, width: int) -> Pixels:
    """Return which pixels of an area of one class are inked."""
    return tiled(dots(PATTERNS[kind]), height, width)


def tiled(motif: Pixels, height: int, width: int) -> Pixels:
    """Return an area covered with a motif."""
    times = -(-height // motif.shape[0]), -(-width // motif.shape[1])
    return np.tile(motif, times)[:height, :width]


GLYPHS = {
    "·": "..... ..... .###. .###. .###. ..... .....",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "B": "####. #...# #...# ####. #...# #...# ####.",
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "S": ".#### #.... #.... .###. ....# ....# ####.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "X": "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
    "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "F": "##### #.... #.... ####. #.... #.... #....",
    "*": "..... ..#.. #.#.# .###. #.#.# ..#.. .....",
    "+": "..... ..#.. ..#.. ##### ..#.. ..#.. .....",
}
GLYPH_HEIGHT = 7


def word(letters: str) -> Pixels:
    """Return letters beside each other, one pixel apart."""
    parts = [np.pad(dots(GLYPHS[letter]), ((0, 0), (0, 1))) for letter in letters]
    return np.hstack(parts)[:, :-1]


@lru_cache(maxsize=256)
def stamp(letters: str, height: int, width: int, largest: int = 99) -> tuple[Pixels, Pixels]:
    """Return which pixels of a tile the letters ink, and which their rim covers, letters centred.

    ``largest`` is how many times their 5 x 7 pixels they are at most.
    """
    shape = word(letters)
    size = min((height - 2) // GLYPH_HEIGHT, (width - 2) // shape.shape[1], max(height // 10, 1), largest)
    big = np.kron(shape, np.ones((size, size), bool))
    ink = np.zeros((height, width), bool)
    top, left = (height - big.shape[0]) // 2, (width - big.shape[1]) // 2
    ink[top : top + big.shape[0], left : left + big.shape[1]] = big
    return ink, grown(ink, max(size - 1, 1)) & ~ink


def grown(pixels: Pixels, by: int) -> Pixels:
    """Return pixels with all their neighbours up to ``by`` away; nothing may be that near to the edge."""
    out = pixels.copy()
    for down in range(-by, by + 1):
        for right in range(-by, by + 1):
            if abs(down) + abs(right) <= by + 1:
                out |= np.roll(pixels, (down, right), axis=(0, 1))
    return out


assert {kind.letter for kind in CLASSES} <= set(GLYPHS)  # noqa: S101 (every class has a letter to draw)
