"""What happens on the free lists, as lines of text, in order.

Left out: counters and page flags; the tables show those.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memsim.linux.include.layout import pageblock_nr_pages
from memsim.view.model.text import migratetype_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST, _KEPT = 24, 100
_ENDS = {"add_to_free_list": "head", "add_to_free_list_tail": "tail"}


@dataclass(frozen=True)
class Change:
    """A write to a free list or to a pageblock's type, and the kernel function that it happened in."""

    function: str
    primitive: str
    args: tuple[Any, ...]


class FreeListWatch:
    """A trace that remembers the last changes of free lists and of pageblocks' types, and counts all."""

    unwatched: frozenset[str] = frozenset()

    def __init__(self) -> None:
        """Start without any."""
        self.changes: deque[Change] = deque(maxlen=_KEPT)
        self.count = 0
        self._stack: list[str] = [""]

    def action(self, label: str) -> None:
        """Take no notice of a new action: there is one watch for each."""

    def enter(self, function: str, args: tuple[Any, ...]) -> None:  # noqa: ARG002 (part of the protocol)
        """Push the function."""
        self._stack.append(function)

    def leave(self, function: str) -> None:  # noqa: ARG002 (part of the protocol)
        """Pop the function."""
        self._stack.pop()

    def notify(self, action: str) -> None:
        """Take no notice of notifiers: nothing goes online here."""

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401, ARG002 (part of the protocol)
        """Remember a change that gets a line."""
        if primitive in _SHOWN:
            self.changes.append(Change(self._stack[-1], primitive, args))
            self.count += 1

    def story(self) -> list[str]:
        """Return a line for each change, or for the last ones if there are many.

        A block that moves from one list to another gets one line.
        """
        lines = list(_lines(list(self.changes)))[-_LONGEST:]
        more = self.count > len(self.changes) or len(lines) == _LONGEST
        return [f"({self.count} changes in all; the last ones:)", *lines] if more else lines


_SHOWN = {*_ENDS, "del_from_free_list", "set_migratetype"}


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    at, taken = 0, -1
    while at < len(changes):
        change, after = changes[at], changes[at + 1 : at + 3]
        if change.primitive == "set_migratetype":
            yield _retyped(*change.args)
        elif after and _moves(change, after[0]):
            pfn, order, old = change.args
            new = migratetype_name(after[0].args[2])
            yield f"move: {pfn:#x} (order {order}) from the {migratetype_name(old)} list to the tail of {new}"
            at += 1
        elif change.primitive == "del_from_free_list":
            taken = change.args[1]
            yield _taken(change, merges=_merges(change, after))
        else:
            yield _put(change, split=change.args[1] < taken)
        at += 1


def _moves(change: Change, after: Change) -> bool:
    """Return whether a block only changes its list."""
    same = change.args[:2] == after.args[:2]
    return change.primitive == "del_from_free_list" and after.primitive == "add_to_free_list_tail" and same


def _merges(change: Change, after: Sequence[Change]) -> bool:
    """Return whether a block is taken off its list to become half of the next larger one."""
    nexts = [other for other in after if other.primitive != "set_migratetype"]
    return change.function != "alloc_pages" and bool(nexts) and nexts[0].args[1] == change.args[1] + 1


def _taken(change: Change, *, merges: bool) -> str:
    pfn, order, migratetype = change.args
    verb = "merge with" if merges else "take"
    return f"{verb}: {pfn:#x} (order {order}) leaves the {migratetype_name(migratetype)} list"


def _put(change: Change, *, split: bool) -> str:
    pfn, order, migratetype = change.args
    where = f"the {_ENDS[change.primitive]} of the {migratetype_name(migratetype)} list"
    return f"{'split' if split else 'put'}: {pfn:#x} (order {order}) goes to {where}"


def _retyped(pfn: int, nr_pages: int, migratetype: int) -> str:
    blocks = max(nr_pages // pageblock_nr_pages, 1)
    which = f"pageblock {pfn:#x} becomes" if blocks == 1 else f"{blocks} pageblocks from {pfn:#x} on become"
    return f"retype: {which} {migratetype_name(migratetype)}"
