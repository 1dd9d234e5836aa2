"""The driver lab: one device, before and after the patch, and everything that its host and a user can do.

Left out: what steps do is in :mod:`memsim.view.driver_lab.script`; this is only the widget.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from memsim.errors import MemsimError
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES
from memsim.view.driver_lab.script import (
    ANSWERS,
    FIRST_PFN,
    PAGES_PER_MIB,
    RAM_PAGES,
    TOURS,
    DriverScript,
    lab_scenario,
)
from memsim.view.driver_lab.snapshot import blocks_of, look, numbers_of, sight_html, sight_text
from memsim.view.lab import (
    ScriptLab,
    Stop,
    button,
    choice,
    inlined,
    more,
    number,
    offer_blocks,
    row,
    text_field,
    tour,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memsim.view.model.text import Numbers

    Step = dict[str, Any]

SHEET = Path(__file__).with_name("static") / "sight.css"
_RAM_MIB = RAM_PAGES // PAGES_PER_MIB


def driver_lab(
    kind: str,
    steps: Sequence[dict[str, Any]] = (),
    *,
    release: str = "6.12",
    online_type: str = "online_movable",
    block: int | None = None,
) -> DriverLab:
    """Return a widget with a driver's records and what the struct pages say, before and after the patch.

    Parameters
    ----------
    kind
        ``"virtio-mem"``, ``"hv-balloon"`` or ``"xen-balloon"``.
    steps
        What has been done already, as steps of a scenario; the device is called vm0, hv0 or xen0. The state
        after it is what the stored output shows.
    release
        Of both kernels.
    online_type
        What happens to memory blocks as they are added (``auto_online_blocks``).
    block
        The memory block whose pages are shown; None: the first that was added.

    Raises
    ------
    MemsimError
        No such kind, or a step that makes no sense. That the kernel refuses a step is no error.
    """
    script = DriverScript(lab_scenario(kind, online_type), release)
    counted = numbers_of(script)
    for step in steps:
        before, counted = len(script.scenario.steps), numbers_of(script)
        outcome = script.do(step)
        if len(script.scenario.steps) == before:
            raise MemsimError(outcome.headline)
    return DriverLab(script, block, counted)


class DriverLab(ScriptLab):
    """A device on two kernels, its controls, and the text twin.

    Attributes
    ----------
    script
        The two machines and the steps; ``lab.script.machines["after"]`` is a machine.
    """

    note = "Run this notebook to work with the device."
    sheets = (*ScriptLab.sheets, SHEET)
    script: DriverScript
    taken_down = staticmethod(numbers_of)

    def __init__(self, script: DriverScript, block: int | None, counted: Numbers) -> None:
        """Show ``script``, with what changed since ``counted``, also in a notebook without a kernel."""
        self.script = script
        self._wanted_block = block
        self._make_controls()
        super().__init__(f"Driver lab: {script.kind}", self._rows())
        self._connect()
        self.show(counted)
        self.keep(inlined(sight_html(look(script, self.block.value, counted)), SHEET))

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return a recorded tour: the steps of the lab, and some more."""
        done, steps = DriverScript(lab_scenario(self.script.kind, self.script.online_type)), []
        stops = [self._stop(done, "the machine has booted", numbers_of(done))]
        steps = [*self.script.scenario.steps, *TOURS[self.script.kind]]
        for step in steps:
            before = numbers_of(done)
            stops.append(self._stop(done, done.do(step).headline, before))
        return tour(self.title, stops, len(self.script.scenario.steps))

    def _stop(self, done: DriverScript, said: str, before: Any) -> Stop:  # noqa: ANN401 (Numbers)
        blocks = blocks_of(done)
        sight = look(
            done, self.block.value if self.block.value in blocks else next(iter(blocks), None), before
        )
        return Stop(said, sight_html(sight), sight_text(sight))

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self) -> None:
        script = self.script
        self.release = choice(
            "Linux", ["6.12", "6.1"], "Kernel release; the steps are done again", script.release
        )
        self.new_blocks = choice(
            "New memory blocks",
            list(ONLINE_TYPES),
            "What happens to memory blocks as they are added (auto_online_blocks); the steps are done again",
            script.online_type,
        )
        self.undo = button("Undo", "Take the last step back")
        self.restart = button("Start again", "Boot again: nothing is added")
        self._host_rows, self._host_steps = HOST_CONTROLS[script.kind](script.device)
        self.host = {name: control for part in self._host_rows for name, control in part.items()}
        next(iter(self._host_steps)).add_class("memsim-do")  # where to begin
        self.answer_kind = choice("Host answers", list(ANSWERS[script.kind]), "What the host will answer")
        self.times = number("Times", 1, "How many requests the host will answer so")
        self.will = button("Tell the host", "Let the host answer its next requests so")
        self.seconds = number("Seconds", 60, "How much simulated time passes")
        self.wait = button("Wait", "Let time pass: retry timers fire, sleeping threads wake")
        self.block = choice("Memory block", [], "The block that is shown, and that the buttons beside act on")
        self.online_type = choice(
            "as", list(ONLINE_TYPES)[1:], "Online type, as written to the block's state"
        )
        self.online = button("Online", "Write the online type to the block's file state")
        self.offline = button("Offline", "Write offline to the block's file state")
        self.pages = number("Pages", 16, "How many pages to allocate in the block")
        self.migratetype = choice("Migratetype", ["movable", "unmovable"], "Of the pages that are allocated")
        self.allocate = button("Allocate", "Allocate pages in the block: they are in use then")
        self.free = button("Free", "Free all pages that were allocated in the block")
        self.line = text_field("Or type a step", "", "A step of a scenario in JSON, then Enter", "28em")
        self.line.placeholder = '{"do": "wait", "seconds": 1}'

    def _rows(self) -> list[ipywidgets.Widget]:
        shown, rest = more(
            row(self.answer_kind, self.times, self.will),
            row(self.release, self.new_blocks),
            row(self.line),
        )
        return [
            *(row(*part.values()) for part in self._host_rows),
            row(self.block, self.online, self.online_type, self.offline, self.undo, self.restart),
            row(self.seconds, self.wait, self.pages, self.migratetype, self.allocate, self.free, shown),
            rest,
        ]

    def _connect(self) -> None:
        device, block = self.script.device, self.block
        steps = {
            **self._host_steps,
            self.will: _step("host_will", device=device, answer=self.answer_kind, times=self.times),
            self.wait: _step("wait", seconds=self.seconds),
            self.online: _step("online", block=block, type=self.online_type),
            self.offline: _step("offline", block=block),
            self.allocate: _step("allocate", block=block, nr_pages=self.pages, migratetype=self.migratetype),
            self.free: _step("free", block=block),
        }
        for control, make in steps.items():
            control.on_click(partial(self._do, make))
        self.new_blocks.observe(lambda change: self.anew(online_type=change["new"]), "value")
        self.block.observe(self._block_changed, "value")
        self.connect(self.script.do_text)

    # ---- what readers do ---------------------------------------------------------------------

    def do(self, step: Step) -> str:
        """Do a step of a scenario on both machines, show it, and return what it came to."""
        self.act(lambda: self.script.do(step))
        return self.script.outcome.headline

    def _do(self, make: Callable[[], Step], _button: object) -> None:
        self.do(make())

    def _block_changed(self, _change: object) -> None:
        if not self.busy:
            self.show(numbers_of(self.script))

    # ---- showing -----------------------------------------------------------------------------

    def show(self, before: Any) -> None:  # noqa: ANN401 (Numbers of the moment before)
        """Show both machines, and what changed since ``before``."""
        self._offer_blocks()
        sight = look(self.script, self.block.value, before)
        self.put(sight.headline, sight_html(sight), sight_text(sight))

    def _offer_blocks(self) -> None:
        self.busy = True
        blocks = blocks_of(self.script)
        offer_blocks(self.block, blocks, self._wanted_block)
        for control in (self.online, self.offline, self.allocate, self.free):
            control.disabled = not blocks
        self.undo.disabled = not self.script.scenario.steps
        self.busy = False


# ---- the host's side, for each kind ----------------------------------------------------------------

Steps = dict[ipywidgets.Button, "Callable[[], Step]"]
Host = tuple[list[dict[str, ipywidgets.Widget]], Steps]
"""Rows of controls by name, and the step that each button does."""


def _step(verb: str, **parts: Any) -> Callable[[], Step]:  # noqa: ANN401 (values, and where they come from)
    """Return a function that makes a step; controls and functions are asked for their values then."""
    return lambda: {"do": verb, **{key: _value(part) for key, part in parts.items()}}


def _value(part: Any) -> Any:  # noqa: ANN401 (as above)
    if isinstance(part, ipywidgets.Widget):
        return part.value
    return part() if callable(part) else part


def _virtio_host(device: str) -> Host:
    size = number("Requested size in MiB", 64, "The size that the host asks the driver to reach")
    request = button("Request", "Change the requested size; the driver plugs or unplugs sub-blocks")
    unbind = button("Unbind the driver", "Remove the driver from the device, as rmmod does")
    pages = partial(_pages, size)
    return [{"size": size, "request": request, "unbind": unbind}], {
        request: _step("virtio_mem_request", device=device, requested_pages=pages),
        unbind: _step("virtio_mem_remove", device=device),
    }


def _hv_host(device: str) -> Host:
    start = text_field("Hot-add at page", f"{FIRST_PFN:#x}", "The first pfn that the host backs", "18em")
    pages = number("Pages that the host backs", 20000, "How many pages from there on")
    add = button("Hot-add", "Send a hot-add request: whole memory blocks are added, some pages backed")
    amount = number("Balloon pages", 1024, "How many pages to take out of use, or to give back")
    inflate = button("Inflate", "Let the host ask for pages")
    deflate = button("Deflate", "Let the host give pages back")
    rows = [
        {"start": start, "pages": pages, "add": add},
        {"amount": amount, "inflate": inflate, "deflate": deflate},
    ]
    return rows, {
        add: _step("hv_hot_add", device=device, start_pfn=partial(_pfn, start), nr_pages=pages),
        inflate: _step("hv_inflate", device=device, nr_pages=amount),
        deflate: _step("hv_deflate", device=device, nr_pages=amount),
    }


def _xen_host(device: str) -> Host:
    target = number("Target in MiB", _RAM_MIB + 4, f"The size of the machine; it boots with {_RAM_MIB} MiB")
    set_target = button("Set target", "Let the toolstack set the target; the balloon works towards it")
    amount = number("Lend pages", 8, "How many pages to lend, or to take back")
    lend = button("Lend", "Lend pages without memory to map foreign memory (grants) into")
    back = button("Take back", "Take the oldest lent pages back")
    rows = [{"target": target, "set_target": set_target}, {"amount": amount, "lend": lend, "back": back}]
    return rows, {
        set_target: _step("xen_balloon_target", device=device, target_pages=partial(_pages, target)),
        lend: _step("xen_balloon_lend", device=device, nr_pages=amount),
        back: _step("xen_balloon_take_back", device=device, nr_pages=amount),
    }


def _pages(control: ipywidgets.IntText) -> int:
    """Return the pages of a size in MiB."""
    return int(control.value) * PAGES_PER_MIB


def _pfn(control: ipywidgets.Text) -> int | str:
    """Return a pfn, or the text as it is: the scenario's own rule answers what is wrong with it."""
    try:
        return int(control.value, 0)
    except ValueError:
        return str(control.value)


HOST_CONTROLS = {"virtio-mem": _virtio_host, "hv-balloon": _hv_host, "xen-balloon": _xen_host}
