"""The whole story of one page: what its ``struct page`` says now, and every event that touched it.

Left out: pages that were never in a memory block that the walk knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.layout import id_ranges
from memsim.view.model.page_class import PageClass, page_classes
from memsim.view.model.page_events import OUTSIDE, Stories
from memsim.view.model.tables import migratetype_name
from memsim.view.model.text import plural

if TYPE_CHECKING:
    from memsim.state.state import State
    from memsim.view.explorer.timeline import Walk
    from memsim.view.model.page_events import Touch

LONGEST = 40
"""So many events are told of each kernel: the last ones up to now, and what is left of those to come."""


@dataclass(frozen=True)
class Story:
    """A page on one kernel: what it is now, what happened to it so far, and what is to come."""

    name: str
    now: str
    past: tuple[Touch, ...]
    future: tuple[Touch, ...]


class Storyteller:
    """Tells the stories of pages at the moments of a walk."""

    def __init__(self, walk: Walk) -> None:
        """Read no tape yet."""
        self._walk = walk
        self._stories: dict[str, Stories] = {}

    def pfn(self, text: str) -> int:
        """Return the pfn that a reader typed, decimal or ``0x...``.

        Raises
        ------
        MemsimError
            It is no number, or in no memory block that there ever is.
        """
        try:
            pfn = int(text, 0)
        except ValueError:
            msg = f"{text!r} is no pfn: it must be a number such as 1048576 or 0x100000"
            raise MemsimError(msg) from None
        if pfn // self._walk.block_pages not in self._walk.blocks:
            there = id_ranges(self._walk.blocks)
            msg = f"pfn {pfn:#x} is in no memory block that there ever is; there are {there}"
            raise MemsimError(msg)
        return pfn

    def tell(self, pfn: int, index: int) -> list[Story]:
        """Return the story of a page on each kernel, as of a moment."""
        states = self._walk.states(index)
        return [self._tell(pfn, index, side, state) for side, state in states.items()]

    def _tell(self, pfn: int, index: int, side: str, state: State) -> Story:
        if side not in self._stories:
            self._stories[side] = Stories(self._walk.tapes[side], self._walk.block_pages)
        touches = self._stories[side].of(pfn)
        place = self._walk.place(index, side)
        past = tuple(touch for touch in touches if touch.index <= place)
        return Story(side, page_now(state, pfn), past, touches[len(past) :])


def page_now(state: State, pfn: int) -> str:
    """Return what a struct page says, in a line.

    >>> from memsim import Machine
    >>> page_now(Machine().kernel.state, 0x8000)
    'free (B): no flags, type buddy, refcount 0, order 10, zone DMA32, pageblock movable'
    """
    kind = PageClass(int(page_classes(state, pfn, 1)[0]))
    if not state.memmap.pfn_valid(pfn):
        return "it has no struct page"
    if kind is PageClass.ABSENT:
        return "its struct page is not set up"
    page = state.memmap.raw(pfn)
    flags = "|".join(str(flag.name) for flag in page.flags) or "no flags"
    types = "|".join(sorted(kind.value for kind in page.types)) or "none"
    return (
        f"{kind.label} ({kind.letter}): {flags}, type {types}, refcount {page.refcount}, order {page.order}, "
        f"zone {state.zones[page.zone].name}, pageblock {migratetype_name(page.migratetype)}"
    )


def story_text(pfn: int, stories: list[Story]) -> str:
    """Return what a page is and what touched it last, as text; its whole story is text already."""
    lines = [f"Page {pfn:#x}"]
    for story in stories:
        count = len(story.past)
        so_far = f"touched by {count} {plural(count, 'event')} so far, {len(story.future)} to come"
        lines.append(f"  {story.name}: {story.now}; {so_far}.")
        lines += [f"    The last one: {_line(touch)}" for touch in story.past[-1:]]
    return "\n".join(lines)


def touch_lines(story: Story) -> list[str]:
    """Return a story's events as lines, with one that says where the moment shown is."""
    left_out = max(len(story.past) - LONGEST, 0)
    lines = [f"({left_out} earlier events)"] if left_out else []
    lines += [_line(touch) for touch in story.past[left_out:]] or ["nothing has touched it so far"]
    room = max(LONGEST - len(story.past), 4)
    if story.future:
        lines.append(f"--- now; {len(story.future)} more to come:")
        lines += [_line(touch) for touch in story.future[:room]]
    if len(story.future) > room:
        lines.append(f"({len(story.future) - room} later events)")
    return lines


def _line(touch: Touch) -> str:
    return f"step {touch.step} {touch.function or OUTSIDE}: {touch.what}"
