"""One of the two kernels at one moment, as the views show it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from memsim.view.model.text import map_sentence

if TYPE_CHECKING:
    from memsim.patch import Patch
    from memsim.view.draw.page_map import Heads
    from memsim.view.explorer.words import Frame
    from memsim.view.model.machine import Kinds
    from memsim.view.model.page_class import Classes


@dataclass(frozen=True)
class PageMap:
    """The pages of a block: the class of each, the orders at the heads of free blocks."""

    classes: Classes
    heads: Heads

    @cached_property
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
    pages: int = 0
    """How many struct pages were compared."""


def side_title(name: str) -> str:
    """Return which kernel a side is, in words: the patch whole, not at all, or some of its hunks.

    >>> side_title("before"), side_title("without MM_INIT")
    ('Before the patch', 'Without MM_INIT')
    """
    known = {"before": "Before the patch", "after": "After the patch"}
    if name.startswith("without "):
        return f"Without {name.removeprefix('without ')}"
    return known.get(name, f"With {name} only")


@dataclass(frozen=True)
class Side:
    """One of the two kernels at a moment."""

    name: str
    patch: Patch
    page_map: PageMap
    sentence: str
    kinds: Kinds
    """What each block of the machine is: see :mod:`memsim.view.model.machine`."""
    frames: tuple[Frame, ...]
    """The functions that are being executed, the innermost first."""
    written: tuple[str, ...]
    """What was written since the moment before, by whom."""
    log: tuple[str, ...]
    recorded: Recorded | None

    @property
    def title(self) -> str:
        """Which kernel this is, in words."""
        return side_title(self.name)
