"""The map of a whole machine: every memory block a cell, also where there are 8,192 of them.

A block is what most of its pages are; a dark corner says that they are not all alike. A machine of up to
128 blocks has a letter in each cell. A larger one is drawn like a page map, in tiles of 32 x 16 blocks with
the letters of the two most frequent classes on them.

From one moment to the next only the blocks that an event between touched are looked at again, so that a
machine of one tebibyte takes no longer than a small one.

Left out: holes between blocks; blocks stand beside each other in the order of their pfns.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.view.draw.glyphs import LIGHT_INK, dots, pattern, stamp, tiled
from memsim.view.draw.page_map import Geometry, in_grid
from memsim.view.draw.png import png
from memsim.view.model.page_class import CLASSES, PageClass, class_counts, page_classes
from memsim.view.model.page_events import EVERY_PAGE, touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from memsim.state.section import Pattern
    from memsim.state.state import State
    from memsim.state.tape import Tape
    from memsim.view.draw.png import Image

    Kinds = npt.NDArray[np.uint8]

NOT_ONLINE = len(CLASSES)
"""Kind of a block that sysfs shows and of which no struct page is set up."""
MIXED = 0x80
"""Added to the kind of a block whose pages are not all alike."""
NOT_ONLINE_LETTER, NOT_ONLINE_LABEL = "N", "not online"
NOT_ONLINE_MEANING = "there is a memory block, and none of its struct pages is set up"
_NOT_ONLINE_COLOUR = "#D9D9D9"
_NOT_ONLINE_MOTIF = """
    ......
    .###..
    ......
    ......
    ......
    ......"""

MOST_EVENTS = 20_000
"""After a jump over more events every block is looked at."""

# ---- what each block is ------------------------------------------------------------------------------


class BlockWatch:
    """The kind of every memory block of one tape at the moment last asked for."""

    def __init__(self, tape: Tape, blocks: Sequence[int], block_pages: int) -> None:
        """Watch ``blocks``; nothing is looked at yet."""
        self._tape = tape
        self._block_pages = block_pages
        self._blocks = list(blocks)
        self._places = {block: place for place, block in enumerate(blocks)}
        self._kinds = np.zeros(len(blocks), np.uint8)
        self._index: int | None = None
        self._known: dict[Pattern, dict[int, int]] = {}

    def at(self, index: int) -> Kinds:
        """Return the kind of each block (``PageClass`` or NOT_ONLINE, plus MIXED) after event ``index``."""
        changed = self._changed(index)
        if changed:
            state = self._tape.at(index)
            for block in changed:
                self._kinds[self._places[block]] = self._kind(state, block)
        self._index = index
        return self._kinds.copy()

    def _changed(self, index: int) -> Sequence[int]:
        if self._index is None or abs(index - self._index) > MOST_EVENTS:
            return self._blocks
        low, high = sorted((index, self._index))
        spans = {touched(event, self._block_pages) for event in self._tape.events[low + 1 : high + 1]}
        if EVERY_PAGE in spans:
            return self._blocks
        found = {
            block
            for pfn, nr_pages in spans
            if nr_pages
            for block in range(pfn // self._block_pages, (pfn + nr_pages - 1) // self._block_pages + 1)
        }
        return [block for block in found if block in self._places]

    def _kind(self, state: State, block: int) -> int:
        """Return what most pages of a block are, plus MIXED if they are not all alike."""
        counts: Counter[int] = Counter()
        first = block * self._block_pages // PAGES_PER_SECTION
        for nr in range(first, first + self._block_pages // PAGES_PER_SECTION):
            counts.update(self._section_counts(state, nr))
        del counts[PageClass.ABSENT]
        if not counts:
            return NOT_ONLINE if block in state.blocks else PageClass.ABSENT
        most = max(counts, key=lambda kind: (counts[kind], -kind))
        return most | (MIXED if counts[most] < self._block_pages else 0)

    def _section_counts(self, state: State, nr: int) -> dict[int, int]:
        """Return how many pages of a section have each class; sections of one pattern are looked at once."""
        section = state.memmap.sections.get(nr)
        if section is None:
            return {}
        pattern = section.pages.pattern
        if pattern is not None and pattern in self._known:
            return self._known[pattern]
        classes = page_classes(state, nr * PAGES_PER_SECTION, PAGES_PER_SECTION)
        counts = {int(kind): number for kind, number in class_counts(classes).items()}
        if pattern is not None:
            self._known[pattern] = counts
        return counts


# ---- in words ----------------------------------------------------------------------------------------


def kind_letters(kind: int) -> str:
    """Return the letter of a block's kind, with ``+`` if its pages are not all alike.

    >>> kind_letters(PageClass.FREE | MIXED), kind_letters(NOT_ONLINE)
    ('B+', 'N')
    """
    plain = kind & ~MIXED
    letter = NOT_ONLINE_LETTER if plain == NOT_ONLINE else PageClass(plain).letter
    return letter + "+" * bool(kind & MIXED)


def kind_label(kind: int) -> str:
    """Return a block's kind in words.

    >>> kind_label(PageClass.FREE | MIXED), kind_label(NOT_ONLINE), kind_label(PageClass.ABSENT)
    ('most pages free (B+)', 'not online (N)', 'no memory block (·)')
    """
    plain, letters = kind & ~MIXED, kind_letters(kind)
    if plain == NOT_ONLINE:
        return f"{NOT_ONLINE_LABEL} ({letters})"
    if plain == PageClass.ABSENT:
        return f"no memory block ({letters})"
    return f"{'most' if kind & MIXED else 'all'} pages {PageClass(plain).label} ({letters})"


def machine_sentence(blocks: Sequence[int], kinds: Kinds, longest: int = 12) -> str:
    """Return which blocks are what, in runs; cut after ``longest`` runs."""
    runs = stretches(blocks, kinds)
    shown = [f"{ids} {kind_letters(kind)}" for ids, kind in runs[:longest]]
    more = [f"and {len(runs) - longest} more runs"] if len(runs) > longest else []
    return f"blocks {', '.join(shown + more)}"


def stretches(blocks: Sequence[int], kinds: Kinds) -> list[tuple[str, int]]:
    """Return each stretch of blocks of one kind without a hole: its ids as text, and the kind."""
    ids = np.asarray(blocks)
    starts = np.flatnonzero((np.diff(ids, prepend=-2) != 1) | (np.diff(kinds, prepend=kinds[:1]) != 0))
    ends = [*(starts[1:] - 1), len(ids) - 1]
    spans = zip(ids[starts].tolist(), ids[ends].tolist(), kinds[starts].tolist(), strict=True)
    return [(f"{first}-{last}" if last > first else f"{first}", kind) for first, last, kind in spans]


# ---- as a picture ------------------------------------------------------------------------------------

SMALL_MACHINE = 128
_CELL = 36
_LETTERS = 3
"""Letters are this many times 5 x 7 pixels: what is below them has to be seen."""
_TILE = (16, 32)
_BLACK = 2 * (NOT_ONLINE + 1)
_WHITE, _GAP = _BLACK + 1, _BLACK + 2


def machine_png(kinds: bytes) -> bytes:
    """Return the map of a machine, given the kind of each block as u8, as a PNG file."""
    return png(machine_image(np.frombuffer(kinds, np.uint8)), machine_palette())


def machine_palette() -> bytes:
    """Return the colours: ground and ink of each kind, then black, white, gaps."""
    colours = []
    for kind in CLASSES:
        colours += [kind.colour, "#FFFFFF" if kind in LIGHT_INK else "#000000"]
    colours += [_NOT_ONLINE_COLOUR, "#000000", "#000000", "#FFFFFF", "#8A8A8A"]
    return bytes.fromhex("".join(colours).replace("#", ""))


def machine_geometry(nr_blocks: int) -> Geometry:
    """Return how the cells of a machine of so many blocks are laid out.

    >>> machine_geometry(8192).columns, machine_geometry(8192).cell, machine_geometry(5).cell
    (4, 6, 36)
    """
    if nr_blocks <= SMALL_MACHINE:
        return Geometry(nr_blocks, min(max(nr_blocks, 1), 16), 1, 1, _CELL, 2)
    tiles = -(-nr_blocks // (_TILE[0] * _TILE[1]))
    if tiles <= 4:  # noqa: PLR2004 (up to 2048 blocks)
        return Geometry(nr_blocks, min(tiles, 2), *_TILE, 12, 4)
    return Geometry(nr_blocks, 4, *_TILE, 6, 4) if tiles <= 32 else Geometry(nr_blocks, 8, *_TILE, 3, 4)  # noqa: PLR2004 (2 TiB)


def machine_image(kinds: Kinds) -> Image:
    """Return the map of a machine as palette indices."""
    where = machine_geometry(len(kinds))
    size = where.tile_rows * where.tile_columns
    padded = np.zeros(-(-len(kinds) // size) * size, np.uint8)
    padded[: len(kinds)] = kinds
    data = padded.tobytes()
    tiles = [_tile(data[at : at + size], where.cell) for at in range(0, len(data), size)]
    return in_grid(tiles, where.columns, where.gap, _GAP)


@lru_cache(maxsize=1024)
def _tile(kinds: bytes, cell: int) -> Image:
    """Return the cells of some blocks, with their letters in the middle."""
    cells = np.frombuffer(kinds, np.uint8)
    rows, columns = (1, 1) if len(kinds) == 1 else _TILE
    plain = (cells & ~np.uint8(MIXED)).reshape(rows, columns)
    spread = np.repeat(np.repeat(plain, cell, axis=0), cell, axis=1)
    inked = np.take_along_axis(_inks(*spread.shape), spread[None].astype(np.intp), axis=0)[0]
    tile: Image = (2 * spread + inked).astype(np.uint8)
    if len(kinds) > 1:
        mixed = (cells & MIXED != 0).reshape(rows, columns)
        tile[np.kron(mixed, _corner(cell))] = _BLACK
    ink, rim = stamp(_letters(cells), *tile.shape, _LETTERS)
    tile[rim], tile[ink] = _WHITE, _BLACK
    return tile


def _corner(cell: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of a cell say that its pages are not all alike."""
    corner = np.zeros((cell, cell), bool)
    corner[: cell // 3 + 1, : cell // 3 + 1] = True
    return corner


@lru_cache(maxsize=4)
def _inks(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return which pixels of an area are inked if it is of each kind."""
    areas = [pattern(kind, height, width) for kind in CLASSES]
    areas.append(tiled(dots(_NOT_ONLINE_MOTIF), height, width))
    return np.array(areas, np.uint8)


def _letters(cells: Kinds) -> str:
    """Return the letter of one block, or of the two most frequent kinds of many, ``+`` for more."""
    if len(cells) == 1:
        return kind_letters(int(cells[0]))
    counts = Counter((cells & ~np.uint8(MIXED)).tolist())
    if len(counts) > 1:
        del counts[PageClass.ABSENT]
    found = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return "".join(map(kind_letters, found[:2])) + "+" * (len(found) > 2)  # noqa: PLR2004 (two letters)
