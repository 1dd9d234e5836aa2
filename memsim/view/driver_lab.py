"""The driver lab: one device, before and after the patch, and everything that its host and a user can do.

Left out: what steps do is in :mod:`memsim.view.driver_script`; this is only the widget.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets

from memsim.base.memory import ONLINE_TYPES
from memsim.errors import MemsimError
from memsim.view.board import Board, button, choice, number, row, text_field
from memsim.view.driver_script import ANSWERS, FIRST_PFN, PAGES_PER_MIB, RAM_PAGES, DriverScript, lab_scenario
from memsim.view.driver_sight import blocks_of, look, numbers_of, sight_html, sight_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Step = dict[str, Any]

_RAM_MIB = RAM_PAGES // PAGES_PER_MIB


def driver_lab(
    kind: str,
    steps: Sequence[dict[str, Any]] = (),
    *,
    release: str = "6.12",
    online_type: str = "online_movable",
    block: int | None = None,
) -> DriverLab:
    """Return a widget with a driver's book and what the kernel believes, before and after the patch.

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
    for step in steps:
        before = len(script.scenario.steps)
        told = script.do(step)
        if len(script.scenario.steps) == before:
            raise MemsimError(told.headline)
    return DriverLab(script, block)


class DriverLab(Board):
    """A device on two kernels, its controls, and the text twin.

    Attributes
    ----------
    script
        The two machines and the steps; ``lab.script.machines["after"]`` is a machine.
    """

    note = "Run this notebook to work with the device."

    def __init__(self, script: DriverScript, block: int | None) -> None:
        """Show ``script``; it is also what a notebook without a kernel shows."""
        self.script = script
        self._busy = False
        self._wanted_block = block
        self._make_controls()
        super().__init__(f"Driver lab: {script.kind}", self._rows())
        self._connect()
        self._show(numbers_of(script))
        self.keep(sight_html(look(script, self.block.value), reproducible=True))

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
        self.host, host_row = HOST_CONTROLS[script.kind](self._do, script.device)
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
        self._host_row = host_row

    def _rows(self) -> list[ipywidgets.Widget]:
        return [
            row(self.release, self.new_blocks, self.undo, self.restart),
            row(*self._host_row),
            row(self.answer_kind, self.times, self.will, self.seconds, self.wait),
            row(self.block, self.online_type, self.online, self.offline),
            row(self.pages, self.migratetype, self.allocate, self.free),
            row(self.line),
        ]

    def _connect(self) -> None:
        device = self.script.device
        for control, make in (
            (
                self.will,
                lambda: {
                    "do": "host_will",
                    "device": device,
                    "answer": self.answer_kind.value,
                    "times": self.times.value,
                },
            ),
            (self.wait, lambda: {"do": "wait", "seconds": self.seconds.value}),
            (
                self.online,
                lambda: {"do": "online", "block": self.block.value, "type": self.online_type.value},
            ),
            (self.offline, lambda: {"do": "offline", "block": self.block.value}),
            (
                self.allocate,
                lambda: {
                    "do": "allocate",
                    "block": self.block.value,
                    "nr_pages": self.pages.value,
                    "migratetype": self.migratetype.value,
                },
            ),
            (self.free, lambda: {"do": "free", "block": self.block.value}),
        ):
            control.on_click(partial(self._do, make))
        self.undo.on_click(lambda _: self._act(self.script.undo))
        self.restart.on_click(lambda _: self._act(self.script.restart))
        self.release.observe(lambda change: self._anew(release=change["new"]), "value")
        self.new_blocks.observe(lambda change: self._anew(online_type=change["new"]), "value")
        self.block.observe(self._block_changed, "value")
        self.line.observe(self._typed, "value")

    # ---- what readers do ---------------------------------------------------------------------

    def do(self, step: Step) -> str:
        """Do a step of a scenario on both machines, show it, and return what it came to."""
        self._act(lambda: self.script.do(step))
        return self.script.told.headline

    def _do(self, make: Callable[[], Step], _button: object) -> None:
        self.do(make())

    def _anew(self, **what: str) -> None:
        if not self._busy:
            self._act(lambda: self.script.restart(keep=True, **what))

    def _block_changed(self, _change: object) -> None:
        if not self._busy:
            self._show(numbers_of(self.script))

    def _typed(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._act(lambda: self.script.do_text(change["new"]))
            self.line.value = ""

    def _act(self, action: Callable[[], object]) -> None:
        before = numbers_of(self.script)
        action()
        self._show(before)

    # ---- showing -----------------------------------------------------------------------------

    def _show(self, before: Any) -> None:  # noqa: ANN401 (Numbers of the moment before)
        self._offer_blocks()
        sight = look(self.script, self.block.value, before)
        self.put(sight.headline, sight_html(sight), sight_text(sight))

    def _offer_blocks(self) -> None:
        self._busy = True
        blocks = blocks_of(self.script)
        wanted = self.block.value or self._wanted_block
        self.block.options = [(str(block), block) for block in blocks]
        if blocks:
            self.block.value = wanted if wanted in blocks else blocks[0]
        for control in (self.online, self.offline, self.allocate, self.free):
            control.disabled = not blocks
        self.undo.disabled = not self.script.scenario.steps
        self._busy = False


# ---- the host's side, for each kind ----------------------------------------------------------------

Do = "Callable[[Callable[[], Step], object], None]"
Host = tuple[dict[str, ipywidgets.Widget], list[ipywidgets.Widget]]


def _virtio_host(do: Any, device: str) -> Host:  # noqa: ANN401 (DriverLab._do)
    size = number("Requested size in MiB", 64, "The size that the host asks the driver to reach")
    request = button("Request", "Change the requested size; the driver plugs or unplugs sub-blocks")
    unbind = button("Unbind the driver", "Remove the driver from the device, as rmmod does")
    request.on_click(
        partial(
            do,
            lambda: {
                "do": "virtio_mem_request",
                "device": device,
                "requested_pages": size.value * PAGES_PER_MIB,
            },
        )
    )
    unbind.on_click(partial(do, lambda: {"do": "virtio_mem_remove", "device": device}))
    return {"size": size, "request": request, "unbind": unbind}, [size, request, unbind]


def _hv_host(do: Any, device: str) -> Host:  # noqa: ANN401 (DriverLab._do)
    start = text_field("Hot-add at page", f"{FIRST_PFN:#x}", "The first pfn that the host backs", "18em")
    pages = number("Pages that the host backs", 20000, "How many pages from there on")
    add = button("Hot-add", "Send a hot-add request: whole memory blocks are added, some pages backed")
    amount = number("Balloon pages", 1024, "How many pages to take out of use, or to give back")
    inflate = button("Inflate", "Let the host ask for pages")
    deflate = button("Deflate", "Let the host give pages back")
    add.on_click(
        partial(
            do,
            lambda: {
                "do": "hv_hot_add",
                "device": device,
                "start_pfn": _pfn(start.value),
                "nr_pages": pages.value,
            },
        )
    )
    for control, verb in ((inflate, "hv_inflate"), (deflate, "hv_deflate")):
        control.on_click(
            partial(do, lambda verb=verb: {"do": verb, "device": device, "nr_pages": amount.value})
        )
    names = {"start": start, "pages": pages, "add": add, "amount": amount}
    return {**names, "inflate": inflate, "deflate": deflate}, [start, pages, add, amount, inflate, deflate]


def _xen_host(do: Any, device: str) -> Host:  # noqa: ANN401 (DriverLab._do)
    target = number("Target in MiB", _RAM_MIB + 4, f"The size of the machine; it boots with {_RAM_MIB} MiB")
    set_target = button("Set target", "Let the toolstack set the target; the balloon works towards it")
    amount = number("Lend pages", 8, "How many pages to lend, or to take back")
    lend = button("Lend", "Lend pages without memory to map foreign memory (grants) into")
    back = button("Take back", "Take the oldest lent pages back")
    set_target.on_click(
        partial(
            do,
            lambda: {
                "do": "xen_balloon_target",
                "device": device,
                "target_pages": target.value * PAGES_PER_MIB,
            },
        )
    )
    for control, verb in ((lend, "xen_balloon_lend"), (back, "xen_balloon_take_back")):
        control.on_click(
            partial(do, lambda verb=verb: {"do": verb, "device": device, "nr_pages": amount.value})
        )
    names = {"target": target, "set_target": set_target, "amount": amount}
    return {**names, "lend": lend, "back": back}, [target, set_target, amount, lend, back]


def _pfn(text: str) -> int | str:
    """Return a pfn, or the text as it is: the scenario's own rule answers what is wrong with it."""
    try:
        return int(text, 0)
    except ValueError:
        return text


HOST_CONTROLS = {"virtio-mem": _virtio_host, "hv-balloon": _hv_host, "xen-balloon": _xen_host}
