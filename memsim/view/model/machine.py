"""What each memory block of a machine is, also where there are 8,192 of them: what most of its pages are.

Left out: how it is drawn.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.view.model.page_class import CLASSES, PageClass, class_counts, page_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from memsim.state.section import Pattern
    from memsim.state.state import State

    Kinds = npt.NDArray[np.uint8]

NOT_ONLINE = len(CLASSES)
"""Kind of a block that sysfs shows and of which no struct page is set up."""
MIXED = 0x80
"""Added to the kind of a block whose pages are not all alike."""
NOT_ONLINE_LETTER = "N"
LEGEND = "the letter is that of most pages; +: other pages, too; N: not online; ·: no block"

# ---- what each block is ------------------------------------------------------------------------------


def block_kinds(state: State, blocks: Sequence[int], block_pages: int) -> Kinds:
    """Return the kind of each block: ``PageClass`` or NOT_ONLINE, plus MIXED if its pages are not alike."""
    known: dict[Pattern, dict[int, int]] = {}
    return np.array([_kind(state, block, block_pages, known) for block in blocks], np.uint8)


def _kind(state: State, block: int, block_pages: int, known: dict[Pattern, dict[int, int]]) -> int:
    counts: Counter[int] = Counter()
    first = block * block_pages // PAGES_PER_SECTION
    for nr in range(first, first + block_pages // PAGES_PER_SECTION):
        counts.update(_section_counts(state, nr, known))
    del counts[PageClass.ABSENT]
    if not counts:
        return NOT_ONLINE if block in state.blocks else PageClass.ABSENT
    most = max(counts, key=lambda kind: (counts[kind], -kind))
    return most | (MIXED if counts[most] < block_pages else 0)


def _section_counts(state: State, nr: int, known: dict[Pattern, dict[int, int]]) -> dict[int, int]:
    """Return how many pages of a section have each class; sections of one pattern are looked at once."""
    section = state.memmap.sections.get(nr)
    if section is None:
        return {}
    pattern = section.pages.pattern
    if pattern is not None and pattern in known:
        return known[pattern]
    classes = page_classes(state, nr * PAGES_PER_SECTION, PAGES_PER_SECTION)
    counts = {int(kind): number for kind, number in class_counts(classes).items()}
    if pattern is not None:
        known[pattern] = counts
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


def machine_sentence(blocks: Sequence[int], kinds: Kinds, longest: int = 12) -> str:
    """Return which blocks are what, in runs; cut after ``longest`` runs."""
    runs = stretches(blocks, kinds)
    shown = [f"{ids} {kind_letters(kind)}" for ids, kind in runs[:longest]]
    more = [f"and {len(runs) - longest} more runs"] if len(runs) > longest else []
    return ", ".join(shown + more)


def stretches(blocks: Sequence[int], kinds: Kinds) -> list[tuple[str, int]]:
    """Return each stretch of blocks of one kind without a hole: its ids as text, and the kind."""
    ids = np.asarray(blocks)
    starts = np.flatnonzero((np.diff(ids, prepend=-2) != 1) | (np.diff(kinds, prepend=kinds[:1]) != 0))
    ends = [*(starts[1:] - 1), len(ids) - 1]
    spans = zip(ids[starts].tolist(), ids[ends].tolist(), kinds[starts].tolist(), strict=True)
    return [(f"{first}-{last}" if last > first else f"{first}", kind) for first, last, kind in spans]
