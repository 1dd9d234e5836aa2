"""Half a patch: a box for each hunk, and what goes wrong without some of them.

Left out: what is compared is in :mod:`memsim.view.half_patch.runs`; this is only the widget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import BadScenario
from memsim.patch import AFTER, Hunk, Patch
from memsim.release import RELEASES
from memsim.scenario.steps import tell_step
from memsim.view.explorer.inputs import scenario_of
from memsim.view.half_patch.matrix_lab import matrix_lab
from memsim.view.half_patch.runs import HalfRun, sight_html
from memsim.view.lab import Board, Refusal, button, checkbox, choice, offer_blocks, row

if TYPE_CHECKING:
    from memsim.scenario.scenario import Run, Scenario
    from memsim.view.explorer.inputs import Given
    from memsim.view.half_patch.matrix_lab import MatrixLab


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

    A scenario that breaks the format is answered by a :class:`~memsim.view.lab.Refusal` in its
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
    last = len(checked.steps) if steps is None else steps
    return HalfPatch(checked, patch, release, block, last, debug_vm=debug_vm, check_pages=check_pages)


class HalfPatch(Board):
    """Boxes for the hunks, and what differs from the whole patch.

    Attributes
    ----------
    result
        The :class:`~memsim.view.half_patch.runs.HalfRun` that is shown.
    """

    note = "Run this notebook to choose hunks."

    def __init__(
        self, scenario: Scenario, patch: Patch, release: str, block: int | None, steps: int, **checks: bool
    ) -> None:
        """Run the scenario and show it; it is also what a notebook without a kernel shows."""
        self._scenario = scenario
        self._wholes: dict[tuple[Any, ...], Run] = {}
        self._busy = False
        self._make_controls(scenario, patch, release, steps)
        for name, value in checks.items():
            getattr(self, name).value = value
        super().__init__(
            f"Half a patch: {scenario.title}" if scenario.title else "Half a patch",
            [
                row(*self.hunks.values()),
                row(self.all, self.none, self.check_pages, self.debug_vm),
                row(self.release, self.steps, self.block),
            ],
        )
        self._wanted_block = block
        self._show()
        self.keep(sight_html(self.result, self.block.value))
        self._connect()

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self, scenario: Scenario, patch: Patch, release: str, steps: int) -> None:
        self.hunks = {hunk: checkbox(hunk.name, hunk.value, value=hunk in patch) for hunk in Hunk}
        self.all = button("All hunks", "Apply the whole patch")
        self.none = button("No hunk", "Apply nothing: the kernel before the patch")
        self.check_pages = checkbox(
            "Page checks (as Debian ships it)",
            "Check pages that are freed or allocated; init_on_alloc turns this on in 6.12",
        )
        self.debug_vm = checkbox(
            "CONFIG_DEBUG_VM",
            "Compile the checks of CONFIG_DEBUG_VM in; distributions ship kernels without them",
        )
        releases = list(RELEASES)[::-1]
        self.release = choice("Linux", releases, "Kernel release that the hunks are applied to", release)
        done = [f"{number}: {tell_step(step)}" for number, step in enumerate(scenario.steps, start=1)]
        names = [(name, number) for number, name in enumerate(["0: none", *done])]
        self.steps = choice("Steps up to", names, "How many steps of the scenario are run", steps)
        self.block = choice("Memory block", [], "The memory block whose pages are shown")

    def _connect(self) -> None:
        others = (self.check_pages, self.debug_vm, self.release, self.steps, self.block)
        for control in (*self.hunks.values(), *others):
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
        release, checks = self.release.value, {"debug_vm": self.debug_vm.value}
        checks |= {"check_pages": self.check_pages.value, "steps": self.steps.value}
        rest = (release, *checks.values())
        self.result = HalfRun(self._scenario, self.patch, release, **checks, whole=self._wholes.get(rest))
        self._wholes[rest] = self.result.whole_run
        self._offer_blocks()
        self.put("", sight_html(self.result, self.block.value), self.result.text(self.block.value))

    def _offer_blocks(self) -> None:
        """Offer the blocks that there are now, keeping the one that is shown if it still is there."""
        self._busy = True
        offer_blocks(self.block, self.result.blocks, self._wanted_block)
        self._busy = False
