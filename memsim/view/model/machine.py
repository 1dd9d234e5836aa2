"""What each memory block of a machine is, also where there are 8,192 of them: what most of its pages are.

From one moment to the next only the blocks that an event between touched are looked at again, so that a
machine of one tebibyte takes no longer than a small one.

Left out: how it is drawn.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.view.model.page_class import CLASSES, PageClass, class_counts, page_classes
from memsim.view.model.page_events import EVERY_PAGE, touched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from memsim.state.section import Pattern
    from memsim.state.state import State
    from memsim.state.tape import Tape

    Kinds = npt.NDArray[np.uint8]

NOT_ONLINE = len(CLASSES)
"""Kind of a block that sysfs shows and of which no struct page is set up."""
MIXED = 0x80
"""Added to the kind of a block whose pages are not all alike."""
NOT_ONLINE_LETTER, NOT_ONLINE_LABEL = "N", "not online"
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
