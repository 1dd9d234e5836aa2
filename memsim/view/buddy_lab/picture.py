"""The blocks of a zone as rectangles: a row for each order, the address from left to right.

Left out: how it is drawn; ``static/picture.js`` does that, and :class:`~memsim.view.charts.Ranges` where
nothing runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from memsim.linux.include.layout import MAX_PAGE_ORDER
from memsim.view.buddy_lab.script import FIRST_PFN
from memsim.view.charts.ranges import Range, Ranges
from memsim.view.model.tables import migratetype_name

if TYPE_CHECKING:
    from memsim.view.buddy_lab.script import BuddyScript

STATIC = Path(__file__).with_name("static")
Block = tuple[int, int, bool, str]
"""First pfn, order, whether it is in use, migratetype."""


def blocks_of(script: BuddyScript) -> list[Block]:
    """Return all blocks of the zone, free and in use, by address."""
    free = [
        (pfn, order, False, migratetype_name(kind))
        for order, area in enumerate(script.machine.zone("Normal").free_area)
        for kind, pfns in enumerate(area)
        for pfn in pfns
    ]
    used = [(pfn, order, True, kind) for pfn, (order, kind) in script.allocated.items()]
    return sorted(free + used)


def state_of(script: BuddyScript) -> dict[str, Any]:
    """Return what the picture in the browser needs."""
    blocks = [list(block) for block in blocks_of(script)]
    return {"pages": script.nr_pages, "undoable": bool(script.lines), "blocks": blocks}


def blocks_chart(script: BuddyScript) -> Ranges:
    """Return the blocks as a picture that needs no kernel."""
    blocks = blocks_of(script)
    rows = {
        f"order {order}": tuple(
            Range(pfn, pfn + (1 << order), "A", "#E69F00", "rising")
            if used
            else Range(pfn, pfn + (1 << order), "B", "#009E73")
            for pfn, of, used, _ in blocks
            if of == order
        )
        for order in reversed(range(MAX_PAGE_ORDER + 1))
    }
    ticks = tuple(FIRST_PFN + script.nr_pages * share // 4 for share in range(5))
    return Ranges("Blocks by order and address: B free, A in use (striped)", rows, ticks)


class BuddyPicture(anywidget.AnyWidget):
    """The picture in the browser.

    What a reader does comes as a message: ``line`` is a line of a script, ``undo`` or ``restart``.

    Attributes
    ----------
    blocks
        All blocks; see ``Block``.
    """

    _esm = STATIC / "picture.js"
    _css = STATIC / "picture.css"

    blocks: Any = traitlets.List().tag(sync=True)
    first = traitlets.Int(FIRST_PFN).tag(sync=True)
    pages = traitlets.Int().tag(sync=True)
    orders = traitlets.Int(MAX_PAGE_ORDER).tag(sync=True)
    undoable = traitlets.Bool().tag(sync=True)

    def show(self, script: BuddyScript) -> None:
        """Draw what there is now."""
        with self.hold_sync():
            for name, value in state_of(script).items():
                setattr(self, name, value)
