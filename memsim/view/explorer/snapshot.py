"""What the explorer shows of two kernels at one moment, and its text twin.

A :class:`Sight` holds no state of a machine, so that it stays true when the tapes move on.

Left out: how it is found (:mod:`memsim.view.explorer.timeline`) and drawn
(:mod:`memsim.view.explorer.explorer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from memsim.patch import Hunk
from memsim.source.listings import listings
from memsim.view.model.differences import differences, sentence
from memsim.view.model.machine import LEGEND, machine_sentence
from memsim.view.model.tables import Numbers, counters_text, free_lists_text

if TYPE_CHECKING:
    from memsim.view.model.side import Side


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
        callers = ", ".join(f"{frame.function}()" for frame in frames[1:])
        by = f", called by {callers}" if callers else ""
        return f"Code: {frames[0].function}(){by}; nothing was written since the moment before."

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
