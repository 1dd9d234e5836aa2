"""What the explorer shows of two kernels at one moment, and its text twin.

A :class:`Sight` holds no state of a machine, so that it stays true when the tapes move on.

Left out: how it is found (:mod:`memsim.view.explorer.timeline`) and drawn
(:mod:`memsim.view.explorer.explorer`); and flags and refcounts within a class of pages, which
``memsim compare`` counts for every struct page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memsim.patch import Hunk
from memsim.source.listings import listings
from memsim.view.model.page_class import CLASSES, LEGEND, PageClass, machine_sentence
from memsim.view.model.text import (
    Numbers,
    PageMap,
    counters_text,
    free_lists_text,
    migratetype_name,
    side_title,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.patch import Patch
    from memsim.view.model.page_class import Kinds

# ---- one kernel ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """What a recording says about a moment: in words, whether it agrees (None: silent), and its map."""

    kernel: str
    says: str
    agrees: bool | None = None
    page_map: PageMap | None = None
    pages: int = 0
    """How many struct pages were compared."""


@dataclass(frozen=True)
class Side:
    """One of the two kernels at a moment."""

    name: str
    patch: Patch
    page_map: PageMap
    sentence: str
    kinds: Kinds
    """What each block of the machine is: see :mod:`memsim.view.model.page_class`."""
    frames: tuple[str, ...]
    """The functions that are being executed, the innermost first."""
    written: tuple[str, ...]
    """What was written since the moment before, by whom."""
    log: tuple[str, ...]
    recorded: Recorded | None

    @property
    def title(self) -> str:
        """Which kernel this is, in words."""
        return side_title(self.name)


# ---- both ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """Everything that the explorer shows at one moment."""

    index: int
    heading: str
    happening: str
    sides: tuple[Side, ...]
    numbers: Numbers
    previous: Numbers
    blocks: tuple[int, ...]
    """Every memory block that there ever is."""
    acted: tuple[str, ...] = ()
    """The functions that wrote since the moment before."""

    @cached_property
    def differences(self) -> dict[tuple[str, ...], str]:
        """How the two kernels differ."""
        return differences(self.sides, self.numbers)

    @property
    def differs(self) -> str:
        """How the two kernels differ, in a sentence."""
        return sentence(self.differences)

    @property
    def code(self) -> str:
        """Which functions acted, or else which one is being executed, and the branches of the patch there."""
        if self.acted:
            asked = {hunk for name in self.acted for listing in listings(name) for hunk in listing.hunks}
            branches = "; ".join(self.hunk(hunk) for hunk in Hunk if hunk in asked)
            acted = ", ".join(f"{name}()" for name in self.acted)
            patch = f"Branches of the patch there: {branches}." if asked else "The patch has no branch there."
            return f"Code: written by {acted}. {patch}"
        frames = self.sides[-1].frames
        if not frames:
            return "Code: no kernel function is being executed."
        callers = ", ".join(f"{name}()" for name in frames[1:])
        by = f", called by {callers}" if callers else ""
        return f"Code: {frames[0]}(){by}; nothing was written since the moment before."

    def hunk(self, hunk: Hunk) -> str:
        """Return which of the kernels have a hunk, in words."""
        has = [f"{'with' if hunk in side.patch else 'without'} it {side.name}" for side in self.sides]
        return f"{hunk.name} ({', '.join(has)})"

    def twin(self, zone: str, page: str = "") -> str:
        """Return everything as text, with the free lists of one zone: no ids, no times.

        ``page`` is the text about one page, if any.
        """
        counters = counters_text(self.numbers, self.previous)
        free_lists = free_lists_text(self.numbers, zone, self.previous)
        return "\n\n".join(
            [
                f"{self.heading}\n{self.happening}\n{self.code}",
                *(_side_twin(side, self.blocks) for side in self.sides),
                self.differs,
                *([page] if page else []),
                f"Zone counters, in pages (*: changed since the moment before)\n{counters}",
                f"Free lists of zone {zone}, in blocks\n{free_lists}",
            ]
        )


def _side_twin(side: Side, blocks: tuple[int, ...]) -> str:
    first, rest = side.title.split(" ", 1)
    lines = [
        f"{first.upper()} {rest}. {side.sentence}",
        f"  Map: {side.page_map.sentence}.",
        f"  Memory blocks ({LEGEND}): {machine_sentence(blocks, side.kinds)}.",
    ]
    if side.recorded is not None:
        lines.append(f"  Recorded kernel {side.recorded.kernel}: {side.recorded.says}.")
        if side.recorded.page_map is not None:
            lines.append(f"  Recorded map: {side.recorded.page_map.sentence}.")
    if side.written:
        lines += ["  Written since the moment before:", *(f"    {line}" for line in side.written)]
    if side.log:
        lines += ["  The kernel log ends with:", *(f"  {line}" for line in side.log)]
    return "\n".join(lines)


# ---- how they differ -------------------------------------------------------------------------------


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
