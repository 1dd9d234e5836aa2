"""How two kernels differ at a moment.

Left out: flags and refcounts within a class of pages; ``memsim compare`` counts every struct page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.view.model.page_class import CLASSES, PageClass
from memsim.view.model.tables import migratetype_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.view.model.side import Side
    from memsim.view.model.tables import Numbers


def differences(sides: tuple[Side, ...], numbers: Numbers) -> dict[tuple[str, ...], str]:
    """Return how two sides differ: each kind of difference, and a sentence about it."""
    found: dict[tuple[str, ...], str] = {}
    found.update(_pages(sides[0], sides[1]))
    found.update(_numbers(numbers))
    if sides[0].log != sides[1].log:
        found["log",] = "the kernel log"
    return found


def _pages(one: Side, other: Side) -> Iterator[tuple[tuple[str, ...], str]]:
    pairs = one.page_map.classes.astype(np.intp) * len(CLASSES) + other.page_map.classes
    counts = np.bincount(pairs.astype(np.intp, copy=False), minlength=len(CLASSES) ** 2)
    for pair in np.flatnonzero(counts).tolist():
        first, second = (PageClass(kind) for kind in divmod(pair, len(CLASSES)))
        if first != second:
            yield (
                ("pages", first.name, second.name),
                f"{counts[pair]} pages {_seen_as(first, one)}, {_seen_as(second, other)}",
            )


def _seen_as(kind: PageClass, side: Side) -> str:
    return f"{kind.label} ({kind.letter}) {side.name}"


def _numbers(numbers: Numbers) -> Iterator[tuple[tuple[str, ...], str]]:
    for (zone, counter), values in numbers.counters.items():
        if values[0] != values[1]:
            where = "" if zone == "all" else f" of zone {zone}"
            yield ("counter", zone, counter), f"{counter}{where} {_versus(values)}"
    for (zone, order, kind), values in numbers.free.items():
        if values[0] != values[1]:
            name = f"free blocks of order {order}, {migratetype_name(kind)}, in zone {zone}"
            yield ("free", zone, str(order), str(kind)), f"{name} {_versus(values)}"


def _versus(values: tuple[int, ...]) -> str:
    return " and ".join(map(str, values))


def sentence(found: dict[tuple[str, ...], str], longest: int = 8) -> str:
    """Return the differences as one sentence, cut off after a few.

    >>> sentence({})
    'Nothing that is shown here differs between the two kernels.'
    """
    if not found:
        return "Nothing that is shown here differs between the two kernels."
    texts = list(found.values())
    more = [f"{len(texts) - longest} more"] if len(texts) > longest else []
    return f"The two kernels differ in: {'; '.join(texts[:longest] + more)}."
