"""The buddy lab: allocate and free in a small zone, and watch blocks split, merge, be stolen and isolated.

The blocks of the zone are rectangles: a row for each order, the address from left to right.
``static/picture.js`` draws them, and :class:`~memsim.view.charts.boxes.Ranges` where nothing runs.

Left out: what lines of the script do is in :mod:`memsim.view.buddy_lab.script`; this is only the widget.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from memsim.errors import MemsimError
from memsim.linux.include.layout import MAX_PAGE_ORDER, pageblock_nr_pages
from memsim.view.buddy_lab.script import FIRST_PFN, HELP, SIZES, BuddyScript
from memsim.view.buddy_lab.snapshot import lists_of, look, sight_html, sight_text
from memsim.view.charts.boxes import Range, Ranges
from memsim.view.lab import KernelWidget, ScriptLab, Stop, button, choice, more, number, row, text_field, tour
from memsim.view.model.text import migratetype_name
from memsim.view.modules import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ipywidgets

    from memsim.view.buddy_lab.script import Outcome

_CHOICES = 256
"""Allocated blocks that the menu lists at most; every block can be freed by its pfn."""
TOUR = (
    "why 0x100001",
    "free 0x100003",
    "free 0x100000",
    "allocate 0 movable x16",
    "free every other",
    "why 0x100000",
    "free all",
    "allocate 0 unmovable",
    "isolate 0x100200",
    "free all",
    "unisolate 0x100200 movable",
)
"""What a recorded tour does after the script of the lab."""


def buddy_lab(script: Sequence[str] = (), *, size_mib: int = 8, release: str = "6.12") -> BuddyLab:
    """Return a widget with a small zone in which readers allocate, free and isolate.

    Parameters
    ----------
    script
        What has been done already, such as ``["allocate 0 movable x16", "free every other"]``: see
        :mod:`memsim.view.buddy_lab.script`. The state after it is what the stored output shows.
    size_mib
        4, 8, 16, 32, 64 or 128 MiB.
    release
        ``"6.12"`` or ``"6.1"``, which steal and isolate by different rules.

    Raises
    ------
    MemsimError
        A line of the script is wrong or fails.
    """
    done = BuddyScript(size_mib, release)
    before = lists_of(done)
    for line in script:
        before = lists_of(done)
        outcome = done.do(line)
        if outcome.failed:
            raise MemsimError(outcome.headline)
    return BuddyLab(done, before)


class BuddyLab(ScriptLab):
    """A zone, its controls, and its text twin.

    Attributes
    ----------
    script
        The zone and the lines that were done to it; ``lab.script.machine`` is the machine.
    """

    note = "Run this notebook to allocate and free."
    script: BuddyScript
    taken_down = staticmethod(lists_of)

    def __init__(self, script: BuddyScript, before: Any) -> None:  # noqa: ANN401 (the lists of the moment before)
        """Show ``script``; it is also what a notebook without a kernel shows."""
        self.script = script
        self._make_controls()
        self.picture = BuddyPicture(**state_of(script))
        super().__init__("Buddy lab", [self.picture, self.more, self.rest])
        self._connect()
        self.show(before)
        self.keep(blocks_chart(script).html() + sight_html(look(script, before)))

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return a recorded tour: the lines of the script, and some more."""
        done, stops = BuddyScript(self.script.size_mib, self.script.release), []
        for line in ("", *self.script.lines, *TOUR):
            before = lists_of(done)
            said = done.do(line).headline if line else "everything is free"
            sight = look(done, before)
            first = {"first": FIRST_PFN, "orders": MAX_PAGE_ORDER}
            stops.append(Stop(said, sight_html(sight), sight_text(sight), first | state_of(done)))
        return tour(self.title, stops, len(self.script.lines))

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self) -> None:
        kinds = ["movable", "unmovable", "reclaimable"]
        self.order = number("Order", 0, f"Order of the block: 0 (one page) to {MAX_PAGE_ORDER} (1024 pages)")
        self.migratetype = choice("Migratetype", kinds, "Which kind of memory is asked for")
        self.times = number("Times", 1, "How many blocks to allocate")
        self.allocate = button("Allocate", "Allocate blocks of this order and migratetype")
        self.block = choice("Allocated block", [], "The block that Free frees")
        self.free = button("Free", "Free the block that is chosen beside")
        self.every_other = button("Free every other", "Free the first, third, fifth ... allocated block")
        self.free_all = button("Free all", "Free all allocated blocks")
        self.pageblock = choice("Pageblock", [], "The pageblock to isolate or to give back")
        self.isolate = button("Isolate", "Isolate the pageblock: start_isolate_page_range()")
        self.unisolate = button("End isolation", "Give the pageblock back as of the migratetype chosen above")
        self.pfn = text_field("Page", f"{FIRST_PFN:#x}", "A pfn, such as 0x100000")
        self.why = button(
            "Why is this not merged?", "Say which rule keeps the block around this page as it is"
        )
        self.undo = button("Undo", "Take the last action back")
        self.restart = button("Start again", "Boot again: everything is free")
        self.line = text_field("Or type", "", f"A line of a script, then Enter: {HELP}")
        self.line.layout.width = "28em"
        self.line.placeholder = "allocate 0 movable x16"
        sizes = [(f"{size} MiB", size) for size in SIZES]
        self.size = choice("Zone", sizes, "Size of the zone; the script is done again", self.script.size_mib)
        releases = ["6.12", "6.1"]
        self.release = choice(
            "Linux", releases, "Kernel release; the script is done again", self.script.release
        )

        self.more, self.rest = more(
            row(self.order, self.migratetype, self.times, self.allocate),
            row(self.block, self.free, self.every_other, self.free_all),
            row(
                self.pageblock, self.isolate, self.unisolate, self.size, self.release, self.undo, self.restart
            ),
            row(self.pfn, self.why, self.line),
        )

    def _connect(self) -> None:
        order = lambda: f"allocate {self.order.value} {self.migratetype.value} x{self.times.value}"  # noqa: E731
        for control, line in (
            (self.allocate, order),
            (self.free, lambda: f"free {self.block.value or 'nothing'}"),
            (self.every_other, lambda: "free every other"),
            (self.free_all, lambda: "free all"),
            (self.isolate, lambda: f"isolate {self.pageblock.value}"),
            (self.unisolate, lambda: f"unisolate {self.pageblock.value} {self.migratetype.value}"),
            (self.why, lambda: f"why {self.pfn.value}"),
        ):
            control.on_click(partial(self._do_line, line))
        self.picture.on_msg(self._pressed)
        self.size.observe(lambda change: self.anew(size_mib=change["new"]), "value")
        self.connect(self.script.do)

    # ---- what readers do ---------------------------------------------------------------------

    def do(self, line: str) -> Outcome:
        """Do a line of a script and show what came of it."""
        self.act(lambda: self.script.do(line))
        return self.script.outcome

    def _do_line(self, line: Any, _button: object) -> None:  # noqa: ANN401 (a function without arguments)
        self.do(line().removesuffix(" x1"))

    def _pressed(self, _picture: object, message: dict[str, Any], _buffers: object) -> None:
        line = str(message["line"])
        whole = {"undo": self.script.undo, "restart": self.script.restart}
        self.act(whole.get(line, partial(self.script.do, line)))

    # ---- showing -----------------------------------------------------------------------------

    def show(self, before: Any) -> None:  # noqa: ANN401 (the lists of the moment before)
        """Show the zone, and what changed since ``before``."""
        sight = look(self.script, before)
        self._fill_choices()
        self.picture.show(self.script)
        self.put(sight.outcome.headline, sight_html(sight), sight_text(sight))

    def _fill_choices(self) -> None:
        self.busy = True
        allocated = sorted(self.script.allocated.items())[:_CHOICES]
        _offer(
            self.block,
            [(f"{pfn:#x} (order {order}, {kind})", f"{pfn:#x}") for pfn, (order, kind) in allocated],
        )
        pfns = range(FIRST_PFN, FIRST_PFN + self.script.nr_pages, pageblock_nr_pages)
        _offer(self.pageblock, [(f"{pfn:#x}", f"{pfn:#x}") for pfn in pfns])
        self.undo.disabled = not self.script.lines
        for control in (self.free, self.every_other, self.free_all):
            control.disabled = not allocated
        self.busy = False


def _offer(control: ipywidgets.Dropdown, options: list[tuple[str, str]]) -> None:
    """Give a control other options, keeping what is chosen where it is still there."""
    old = control.value
    if tuple(options) != tuple(control.options):
        control.options = options
        values = [value for _, value in options]
        control.value = old if old in values else values[0] if values else None


# ---- the picture -----------------------------------------------------------------------------------

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


class BuddyPicture(KernelWidget):
    """The picture in the browser.

    What a reader does comes as a message: ``line`` is a line of a script, ``undo`` or ``restart``.

    Attributes
    ----------
    blocks
        All blocks; see ``Block``.
    """

    _esm = joined(STATIC / "picture.js")
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
