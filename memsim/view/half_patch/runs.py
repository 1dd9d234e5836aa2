"""A scenario on a kernel with some of the hunks, beside the same on a kernel with all of them.

What goes wrong shows in four places: how steps end, what the kernel prints, which invariants are broken, and
what differs from the whole patch. Often nothing is printed at all: production kernels do not look.

Left out: moments inside a step; the explorer shows those of two kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from memsim.patch import AFTER, Hunk, Patch
from memsim.scenario.comparison import count_differing
from memsim.scenario.scenario import run
from memsim.scenario.steps import tell_step
from memsim.view.draw import classes_in, counters_html, legend_html, map_image
from memsim.view.explorer.words import patch_name
from memsim.view.model.text import (
    NO_BLOCK,
    Numbers,
    PageMap,
    block_sentence,
    hotplugged_blocks,
    plain_table,
    plural,
)

if TYPE_CHECKING:
    from memsim.scenario.scenario import Run, Scenario
    from memsim.state.kernel import Kernel
    from memsim.state.state import State
    from memsim.view.model.text import Row

LOG_LINES = 12
"""Lines of a log that are shown at most."""


@dataclass(frozen=True)
class Side:
    """One kernel after the run: how steps ended, what it printed, what is broken."""

    title: str
    patch: Patch
    outcomes: tuple[str, ...]
    log: tuple[str, ...]
    violations: tuple[str, ...]

    @classmethod
    def of(cls, result: Run) -> Side:
        """Take down what a run came to."""
        patch = result.machine.kernel.patch
        outcomes = [
            f"{tell_step(result.scenario.steps[outcome.step])}: {outcome.message or 'ok'}"
            for outcome in result.outcomes
        ]
        if result.died is not None:
            step = tell_step(result.scenario.steps[len(result.outcomes)])
            outcomes.append(f"{step}: the machine died: {result.died}")
        violations = tuple(map(str, result.machine.check()))
        return cls(kernel_title(patch), patch, tuple(outcomes), tuple(result.machine.log), violations)


def kernel_title(patch: Patch) -> str:
    """Return which kernel this is, in words.

    >>> kernel_title(AFTER), kernel_title(Patch())
    ('The whole patch', 'No hunk: before the patch')
    >>> kernel_title(Patch.parse("MM_INIT")), kernel_title(Patch.without(Patch.parse("MM_INIT")))
    ('Only MM_INIT', 'All but MM_INIT')
    """
    if patch == AFTER:
        return "The whole patch"
    if not patch:
        return "No hunk: before the patch"
    name = patch_name(patch)
    return f"All but {name.removeprefix('without ')}" if name.startswith("without ") else f"Only {name}"


class HalfRun:
    """The two runs and what is different.

    Parameters
    ----------
    scenario
        What is run; ``steps`` of it, or all.
    patch
        The hunks of the kernel that is looked at.
    release, debug_vm, check_pages
        The rest of both kernels.
    """

    names = ("this", "whole")
    """What to call the two kernels in tables."""

    def __init__(
        self,
        scenario: Scenario,
        patch: Patch,
        release: str = "6.12",
        *,
        debug_vm: bool | None = None,
        check_pages: bool | None = None,
        steps: int | None = None,
        whole: Run | None = None,
    ) -> None:
        """Run both, or only the one if the ``whole`` patch was run already."""
        part = scenario if steps is None else replace(scenario, steps=scenario.steps[:steps])
        runs = [
            run(part, patch, release, debug_vm=debug_vm, check_pages=check_pages),
            whole or run(part, AFTER, release, debug_vm=debug_vm, check_pages=check_pages),
        ]
        self.scenario, self.release, self.kernel = scenario, release, runs[0].machine.kernel
        self.steps = len(part.steps)
        self.half, self.whole = (Side.of(each) for each in runs)
        self.whole_run = runs[1]
        self.states: tuple[State, State] = (runs[0].machine.kernel.state, runs[1].machine.kernel.state)
        self.block_pages = runs[0].machine.kernel.block_pages

    # ---- differences -------------------------------------------------------------------------

    @cached_property
    def numbers(self) -> Numbers:
        """Counters and free lists of both."""
        return Numbers.of(dict(zip(self.names, self.states, strict=True)))

    @cached_property
    def differing(self) -> list[Row]:
        """The counters that differ."""
        return self.numbers.news()

    @cached_property
    def blocks(self) -> list[int]:
        """The hotplugged memory blocks that there are in either."""
        return sorted(
            {block for state in self.states for block in hotplugged_blocks(state, self.block_pages)}
        )

    def pages_differing(self, block: int) -> int:
        """Return how many struct pages of a block differ in flags, type, refcount or order."""
        pfn, count = block * self.block_pages, 0
        for at in range(pfn, pfn + self.block_pages, 1 << 15):
            sections = [state.memmap.sections.get(at >> 15) for state in self.states]
            if None in sections:
                count += 0 if sections == [None, None] else 1 << 15
                continue
            one, other = (section.pages for section in sections if section is not None)
            count += count_differing(one, other)
        return count

    def page_map(self, side: int, block: int) -> PageMap:
        """Return the page map of a block on one side (0: this kernel, 1: the whole patch)."""
        return PageMap.of(self.states[side], block * self.block_pages, self.block_pages)

    # ---- text --------------------------------------------------------------------------------

    @property
    def verdict(self) -> str:
        """What went wrong, in one sentence."""
        log = [line for line in self.half.log if line not in self.whole.log]
        wrong = ["steps end otherwise"] if self.half.outcomes != self.whole.outcomes else []
        counts = {
            "line in the log that the whole patch does not print": len(log),
            "invariant broken": len(self.half.violations),
            "counter different": len(self.differing),
            "page different": sum(map(self.pages_differing, self.blocks)),
        }
        for what, number in counts.items():
            noun, _, rest = what.partition(" ")
            wrong += [f"{number} {plural(number, noun)} {rest}"] if number else []
        return "; ".join(wrong) or "no difference from the whole patch"

    @property
    def heading(self) -> str:
        """Which kernels are compared, and where."""
        checks = checks_in_words(self.kernel)
        where = f"after {self.steps} of {len(self.scenario.steps)} steps"
        return f"{self.half.title}. Linux {self.release}, {checks}, {where}"

    def text(self, block: int | None = None) -> str:
        """Return everything as text, with the page maps of one block."""
        hunks = [f"  [{'x' if hunk in self.half.patch else ' '}] {hunk.name}: {hunk.value}" for hunk in Hunk]
        parts = ["\n".join([f"{self.heading}: {self.verdict}.", *hunks])]
        parts += [self._side_text(side, block) for side in (0, 1)]
        if self.differing:
            rows = plain_table(["zone", "counter", *self.names], self.differing)
            parts.append(f"Counters that differ, in pages\n{rows}")
        return "\n\n".join(parts)

    def _side_text(self, side: int, block: int | None) -> str:
        this = (self.half, self.whole)[side]
        lines = [f"{this.title.upper()}", *(f"  {outcome}" for outcome in this.outcomes)]
        if block is None:
            lines.append(f"  {NO_BLOCK}")
        else:
            lines += [
                f"  {block_sentence(self.states[side], block, self.block_pages)}",
                f"  Map: {self.page_map(side, block).sentence}.",
            ]
        lines.append(f"  Invariants: {'; '.join(this.violations) or 'all hold'}.")
        lines += (
            ["  Kernel log:", *(f"    {line}" for line in cut(this.log))]
            if this.log
            else ["  Kernel log: empty."]
        )
        return "\n".join(lines)


def cut(log: tuple[str, ...], longest: int = LOG_LINES) -> list[str]:
    """Return the first lines of a log, and how many more there are."""
    more = [f"... and {len(log) - longest} more lines"] if len(log) > longest else []
    return [*log[:longest], *more]


def checks_in_words(kernel: Kernel) -> str:
    """Return which checks a kernel makes."""
    if kernel.debug_vm:
        return "with CONFIG_DEBUG_VM"
    return "with page checks, as Debian ships it" if kernel.check_pages else "without page checks"


# ---- HTML ------------------------------------------------------------------------------------------


def sight_html(result: HalfRun, block: int | None) -> str:
    """Return both kernels side by side, and the counters that differ."""
    sides = "".join(_side_html(result, side, block) for side in (0, 1))
    legend = ""
    if block is not None:
        legend = legend_html(classes_in(result.page_map(side, block).classes for side in (0, 1)))
    return (
        f'<p style="margin: 4px 0">{escape(result.heading)}:<br><b>{escape(result.verdict)}.</b></p>'
        f'<div style="display: flex; flex-wrap: wrap; gap: 16px">{sides}</div>{legend}'
        f"{counters_html(result.differing, result.names)}"
    )


def _side_html(result: HalfRun, side: int, block: int | None) -> str:
    this = (result.half, result.whole)[side]
    where, image = "", f'<p style="margin: 4px 0">{NO_BLOCK}</p>'
    if block is not None:
        where, shown = f", memory block {block}", result.page_map(side, block)
        image = map_image(
            shown.classes, shown.heads, f"Page map of block {block}, {this.title}: {shown.sentence}"
        )
    return (
        f'<div role="group" aria-label="{escape(this.title)}" style="flex: 1 1 380px; min-width: 0">'
        f"<b>{escape(this.title)}</b>{where}{image}{_list('Steps', this.outcomes)}"
        f"{_list('Broken invariants', this.violations)}{_list('Kernel log', tuple(cut(this.log, 3)))}</div>"
    )


def _list(title: str, items: tuple[str, ...]) -> str:
    """Return a list with its title; nothing if it is empty."""
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<b>{title}</b><ul style="margin: 0 0 4px">{lines}</ul>' if lines else ""
