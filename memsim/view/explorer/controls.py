"""The controls of the explorer, and the maps of one side of it.

Left out: what they do; that is :mod:`memsim.view.explorer.explorer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from memsim.view.draw.machine_map import machine_geometry
from memsim.view.draw.page_map import page_geometry
from memsim.view.widgets.lab import LABEL, WIDE, row
from memsim.view.widgets.picture import PictureMap

if TYPE_CHECKING:
    from memsim.view.explorer.timeline import Walk

ELSEWHERE = -1
"""Value of "Jump to" while the slider is at a moment without a name."""
PLAY_MS = 700
"""From one moment to the next while it plays."""


class Controls:
    """Every control of an explorer; :attr:`rows` has them as they are shown."""

    def __init__(self, walk: Walk, start: int) -> None:
        """Make them all, at the moment ``start``; they do nothing yet."""
        last = len(walk.moments) - 1
        self.back = _button("◀ Previous", "Show the moment before this one")
        self.forth = _button("Next ▶", "Show the moment after this one: step into what is called")
        self.over = _button("Step over", "Go on to the next moment of the same or a lower depth of calls")
        self.out = _button("Step out", "Go on until the calling function does, or the step ends")
        self.difference = _button(
            "Next difference", "Go to where the two kernels next differ in a way that they did not before"
        )
        self.play = ipywidgets.Play(
            value=start,
            max=last,
            interval=PLAY_MS,
            show_repeat=False,
            tooltip="Show one moment after the other; press again to pause",
        )
        self.slider = ipywidgets.IntSlider(
            value=start,
            max=last,
            description="Moment",
            tooltip="The moment that is shown; arrow keys move by one, Page Up and Page Down by more",
            continuous_update=True,
            layout={"flex": "1 1 300px", "width": "auto", "min_width": "250px"},
        )
        self.jump = ipywidgets.Dropdown(
            options=[("(a moment without a name)", ELSEWHERE), *walk.named()],
            description="Jump to",
            tooltip="Go to a moment with a name; 'recorded': there is a recording of a real kernel",
            layout=WIDE,
        )
        self.zone = ipywidgets.Dropdown(
            options=walk.zones(),
            value=walk.zone_of_block(),
            description="Free lists of zone",
            tooltip="The zone whose free lists are shown",
            layout=WIDE,
        )
        self.block = ipywidgets.BoundedIntText(
            value=walk.block,
            min=walk.blocks[0],
            max=walk.blocks[-1],
            description="Memory block",
            tooltip="The memory block whose pages are shown; or choose one on the map of the machine",
            style=LABEL,
            layout={"width": "180px"},
        )
        self.page = ipywidgets.Text(
            value=f"{walk.block * walk.block_pages:#x}",
            continuous_update=False,
            description="Page (pfn)",
            tooltip="The page whose story is told: a pfn such as 0x100000; or choose one on a page map",
            style=LABEL,
            layout={"width": "190px"},
        )

    @property
    def rows(self) -> list[ipywidgets.HBox]:
        """The controls in rows."""
        return [
            row(self.back, self.forth, self.over, self.out, self.difference, self.play),
            row(self.slider),
            row(self.jump, self.zone, self.block, self.page),
        ]


def _button(description: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=description, tooltip=tooltip, layout={"width": "auto"})


def _caption(words: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(f'<p class="memsim-caption">{words}</p>')


class SideView:
    """What is shown of one kernel: maps of its machine and of one block, and what there is to say."""

    def __init__(self, walk: Walk, title: str) -> None:
        """Make the widgets, which show nothing yet."""
        where = f"{title[0].lower()}{title[1:]}"
        self.machine = PictureMap(machine_geometry(len(walk.blocks)), f"Memory block, {where}")
        self.pages = PictureMap(page_geometry(walk.block_pages), f"Page, {where}")
        self.heading, self.says = ipywidgets.HTML(f"<h4>{title}</h4>"), ipywidgets.HTML()
        machine, block = map(_caption, ("The machine, by memory block", "The memory block, by page"))
        self.box = ipywidgets.VBox(
            [self.heading, machine, self.machine, block, self.pages, self.says],
            layout={"flex": "1 1 380px", "min_width": "0", "overflow": "visible"},
        )
        self.box.add_class("memsim-side")
