"""What there is to see of two kernels at one moment, and its text twin.

A :class:`Sight` holds no state of a machine, so that it stays true when the tapes move on.

Left out: how it is found (:mod:`memsim.view.walk`) and drawn (:mod:`memsim.view.explorer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.view.tables import Numbers, counters_text, free_lists_text
from memsim.view.text import map_sentence

if TYPE_CHECKING:
    from memsim.view.page_class import Classes
    from memsim.view.page_map import Heads


@dataclass(frozen=True)
class PageMap:
    """The pages of a block: the class of each, the orders at the heads of free blocks."""

    classes: Classes
    heads: Heads

    @property
    def sentence(self) -> str:
        """What the map shows, in words."""
        return map_sentence(self.classes)


@dataclass(frozen=True)
class Recorded:
    """What a recording says about a moment: in words, whether it agrees (None: silent), and its map."""

    kernel: str
    says: str
    agrees: bool | None = None
    page_map: PageMap | None = None


@dataclass(frozen=True)
class Side:
    """One of the two kernels at a moment."""

    name: str
    page_map: PageMap
    sentence: str
    log: tuple[str, ...]
    recorded: Recorded | None

    @property
    def title(self) -> str:
        """Which kernel this is, in words: the patch whole, not at all, or some of its hunks."""
        known = {"before": "Before the patch", "after": "After the patch"}
        if self.name.startswith("without "):
            return f"Without {self.name.removeprefix('without ')}"
        return known.get(self.name, f"With {self.name} only")


@dataclass(frozen=True)
class Sight:
    """All that there is to see at one moment."""

    index: int
    heading: str
    happening: str
    sides: tuple[Side, ...]
    numbers: Numbers
    previous: Numbers

    def twin(self, zone: str) -> str:
        """Return everything as text, with the free lists of one zone: no ids, no times."""
        counters = counters_text(self.numbers, self.previous)
        free_lists = free_lists_text(self.numbers, zone, self.previous)
        return "\n\n".join(
            [
                f"{self.heading}\n{self.happening}",
                *(_side_twin(side) for side in self.sides),
                f"Zone counters, in pages (*: changed since the moment before)\n{counters}",
                f"Free lists of zone {zone}, in blocks\n{free_lists}",
            ]
        )


def _side_twin(side: Side) -> str:
    first, rest = side.title.split(" ", 1)
    lines = [f"{first.upper()} {rest}. {side.sentence}", f"  Map: {side.page_map.sentence}."]
    if side.recorded is not None:
        lines.append(f"  Recorded kernel {side.recorded.kernel}: {side.recorded.says}.")
        if side.recorded.page_map is not None:
            lines.append(f"  Recorded map: {side.recorded.page_map.sentence}.")
    if side.log:
        lines += ["  The kernel log ends with:", *(f"  {line}" for line in side.log)]
    return "\n".join(lines)
