"""Half a patch: a box for each hunk, and what goes wrong without some of them.

Left out: what is compared is in :mod:`memsim.view.half_patch.runs`; this is only the widget.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from memsim.errors import BadScenario
from memsim.patch import AFTER, Hunk, Patch
from memsim.release import RELEASES
from memsim.view.draw.markup import classes_in, counters_html, legend_html, map_image, totals_html
from memsim.view.explorer.inputs import scenario_of
from memsim.view.half_patch.matrix_lab import matrix_lab
from memsim.view.half_patch.runs import HalfRuns, cut
from memsim.view.model.text import NO_BLOCK
from memsim.view.widgets.lab import LABEL, WIDE, Board, offer_blocks, row
from memsim.view.widgets.refusal import Refusal

if TYPE_CHECKING:
    from memsim.scenario.scenario import Scenario
    from memsim.view.explorer.inputs import Given
    from memsim.view.half_patch.matrix_lab import MatrixLab
    from memsim.view.half_patch.runs import HalfRun, Side


def half_patch(
    scenario: Given | None = None,
    hunks: Patch | str = AFTER,
    *,
    release: str = "6.12",
    debug_vm: bool = False,
    check_pages: bool = True,
    block: int | None = None,
    steps: int | None = None,
) -> HalfPatch | MatrixLab | Refusal:
    """Return a widget that runs a scenario with any of the hunks, against the whole patch.

    Without a scenario it is the matrix of all hunks and five stories, in which a cell opens its run.

    A scenario that breaks the format is answered by a :class:`~memsim.view.widgets.refusal.Refusal` in its
    place.

    Parameters
    ----------
    scenario
        What is run: a scenario, the path of a scenario file, or the dict that such a file holds; None: see
        above.
    hunks
        The hunks that are applied at first: a Patch, or text such as ``"MM_INIT,PAGE_ALLOC"``.
    release, debug_vm, check_pages
        The rest of the kernel: see :class:`~memsim.machine.machine.Machine`.
    block
        The memory block whose pages are shown; None: the first that is hotplugged.
    steps
        How many steps are run at first; None: all.
    """
    if scenario is None:
        return matrix_lab()
    patch = Patch.parse(hunks) if isinstance(hunks, str) else hunks
    try:
        checked = scenario_of(scenario)
    except BadScenario as problem:
        return Refusal(problem)
    return HalfPatch(
        checked,
        patch,
        release=release,
        debug_vm=debug_vm,
        check_pages=check_pages,
        block=block,
        steps=steps,
    )


class HalfPatch(Board):
    """Boxes for the hunks, and what differs from the whole patch.

    Attributes
    ----------
    result
        The :class:`~memsim.view.half_patch.runs.HalfRun` that is shown.
    """

    note = "Run this notebook to choose hunks."

    def __init__(
        self,
        scenario: Scenario,
        patch: Patch,
        *,
        release: str,
        debug_vm: bool,
        check_pages: bool,
        block: int | None,
        steps: int | None,
    ) -> None:
        """Run the scenario and show it; it is also what a notebook without a kernel shows."""
        self._runs = HalfRuns(scenario)
        self._busy = False
        last = len(scenario.steps)
        self._make_controls(patch, release, steps=last if steps is None else steps, last=last)
        self.debug_vm.value, self.check_pages.value = debug_vm, check_pages
        super().__init__(
            f"Half a patch: {scenario.title}" if scenario.title else "Half a patch",
            [
                row(self.all, self.none, self.release),
                row(self.check_pages, self.debug_vm),
                ipywidgets.VBox(list(self.hunks.values())),
                row(self.steps, self.block),
            ],
        )
        self._wanted_block = block
        self._show()
        self.keep(sight_html(self.result, self.block.value))
        self._connect()

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self, patch: Patch, release: str, *, steps: int, last: int) -> None:
        self.hunks = {
            hunk: ipywidgets.Checkbox(
                value=hunk in patch,
                description=f"{hunk.name}: {hunk.value}",
                tooltip=f"Apply the hunk {hunk.name}",
                indent=False,
                style=LABEL,
                tabbable=True,
            )
            for hunk in Hunk
        }
        self.all = ipywidgets.Button(description="All hunks", tooltip="Apply the whole patch", tabbable=True)
        self.none = ipywidgets.Button(
            description="No hunk", tooltip="Apply nothing: the kernel before the patch", tabbable=True
        )
        self.check_pages = ipywidgets.Checkbox(
            description="Page checks (as Debian ships it)",
            tooltip="Check pages that are freed or allocated; init_on_alloc turns this on in 6.12",
            indent=False,
            style=LABEL,
            tabbable=True,
        )
        self.debug_vm = ipywidgets.Checkbox(
            description="CONFIG_DEBUG_VM",
            tooltip="Compile the checks of CONFIG_DEBUG_VM in; distributions ship kernels without them",
            indent=False,
            style=LABEL,
            tabbable=True,
        )
        self.release = ipywidgets.Dropdown(
            options=list(RELEASES)[::-1],
            value=release,
            description="Linux",
            tooltip="Kernel release that the hunks are applied to",
            style=LABEL,
            layout=WIDE,
            tabbable=True,
        )
        self.steps = ipywidgets.IntSlider(
            value=steps,
            max=last,
            description="Steps",
            tooltip="How many steps of the scenario are run",
            style=LABEL,
        )
        self.block = ipywidgets.Dropdown(
            description="Memory block",
            tooltip="The memory block whose pages are shown",
            style=LABEL,
            layout=WIDE,
            tabbable=True,
        )

    def _connect(self) -> None:
        for control in (
            *self.hunks.values(),
            self.check_pages,
            self.debug_vm,
            self.release,
            self.steps,
            self.block,
        ):
            control.observe(self._changed, "value")
        self.all.on_click(lambda _: self.choose(AFTER))
        self.none.on_click(lambda _: self.choose(Patch()))

    @property
    def patch(self) -> Patch:
        """The hunks whose boxes are checked."""
        return Patch(hunk for hunk, box in self.hunks.items() if box.value)

    def choose(self, patch: Patch) -> None:
        """Check the boxes of these hunks and no other."""
        self._busy = True
        for hunk, box in self.hunks.items():
            box.value = hunk in patch
        self._busy = False
        self._show()

    def _changed(self, _change: object) -> None:
        if not self._busy:
            self._show()

    # ---- showing -----------------------------------------------------------------------------

    def _show(self) -> None:
        self.result: HalfRun = self._runs(
            self.patch,
            self.release.value,
            debug_vm=self.debug_vm.value,
            check_pages=self.check_pages.value,
            steps=self.steps.value,
        )
        self._offer_blocks()
        self.put("", sight_html(self.result, self.block.value), self.result.text(self.block.value))
        self.twin.moment = f"after {self.steps.value} steps"

    def _offer_blocks(self) -> None:
        """Offer the blocks that there are now, keeping the one that is shown if it still is there."""
        self._busy = True
        offer_blocks(self.block, self.result.blocks, self._wanted_block)
        self._busy = False


# ---- HTML ------------------------------------------------------------------------------------------


def sight_html(result: HalfRun, block: int | None) -> str:
    """Return both kernels side by side, and the counters of both."""
    sides = "".join(_side_html(result, side, block) for side in (0, 1))
    legend = ""
    if block is not None:
        legend = legend_html(classes_in(result.page_map(side, block).classes for side in (0, 1)))
    return (
        f'<p style="margin: 4px 0">{escape(result.heading)}:<br><b>{escape(result.verdict)}.</b></p>'
        f'<div style="display: flex; flex-wrap: wrap; gap: 16px">{sides}</div>{legend}'
        f"{counters_html(result.numbers)}{totals_html(result.numbers)}"
        '<p style="font-size: 0.85em; margin: 2px 0 8px">≠ differs from the whole patch</p>'
    )


def _side_html(result: HalfRun, side: int, block: int | None) -> str:
    this: Side = (result.half, result.whole)[side]
    image = f'<p style="margin: 4px 0">{NO_BLOCK}</p>'
    if block is not None:
        shown = result.page_map(side, block)
        alt = f"Page map of block {block}, {this.title}: {shown.sentence}"
        image = map_image(shown.classes, shown.heads, alt)
        image += f'<p style="margin: 4px 0">{escape(result.block_sentence(side, block))}</p>'
    return (
        f'<div role="group" aria-label="{escape(this.title)}" style="flex: 1 1 380px; min-width: 0">'
        f"<h4>{escape(this.title)}</h4>{_list('Steps', this.outcomes)}{image}"
        f"{_list('Broken invariants', this.violations or ('none: all hold',))}"
        f"{_list('Kernel log', tuple(cut(this.log)) or ('empty',))}</div>"
    )


def _list(title: str, items: tuple[str, ...]) -> str:
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<b>{title}</b><ul style="margin: 0 0 8px">{lines or "<li>none yet</li>"}</ul>'
