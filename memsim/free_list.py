"""A free list: pfns in an order, any of which can be taken off at once.

Iteration goes from the kernel's list tail to its head, so that the right end is what ``__rmqueue_smallest()``
takes next. The methods have the names of :class:`collections.deque`.

A dict keeps the order in which pfns came and loses any of them at once, but takes new ones at one end only.
So there are two.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FreeList:
    """The free blocks of one order and migratetype, as the pfns of their first pages."""

    __slots__ = ("head", "tail")

    def __init__(self, pfns: Iterable[int] = ()) -> None:
        """Hold these pfns; the last one is the head of the list."""
        self.head: dict[int, None] = dict.fromkeys(pfns)
        """The part towards the head, which is its last key."""
        self.tail: dict[int, None] = {}
        """The part towards the tail, which is its last key."""

    def __repr__(self) -> str:
        """Show the pfns from the tail to the head."""
        return f"FreeList({list(self)})"

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.head) + len(self.tail)

    def __contains__(self, pfn: int) -> bool:
        """Return whether a block is on the list."""
        return pfn in self.head or pfn in self.tail

    def __iter__(self) -> Iterator[int]:
        """Go from the tail to the head."""
        return chain(reversed(self.tail), self.head)

    def __reversed__(self) -> Iterator[int]:
        """Go from the head to the tail."""
        return chain(reversed(self.head), self.tail)

    def __eq__(self, other: object) -> bool:
        """Return whether two lists hold the same blocks in the same order."""
        return isinstance(other, FreeList) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def copy(self) -> FreeList:
        """Return an independent copy."""
        return FreeList(self)

    # ---- writes ------------------------------------------------------------------------------

    def append(self, pfn: int) -> None:
        """Add a block at the head (``list_add``)."""
        self.head[pfn] = None

    def appendleft(self, pfn: int) -> None:
        """Add a block at the tail (``list_add_tail``)."""
        self.tail[pfn] = None

    def extendleft(self, pfns: Iterable[int]) -> None:
        """Add blocks at the tail, one after the other."""
        tail = self.tail
        for pfn in pfns:
            tail[pfn] = None

    def pop(self) -> int:
        """Take the block at the head off; KeyError without any."""
        if not self.head:
            self.refill()
        return self.head.popitem()[0]

    def remove(self, pfn: int) -> None:
        """Take a block off (``list_del``); KeyError if it is not on the list."""
        part = self.head if pfn in self.head else self.tail
        last = part.popitem()[0]
        # Not ``del`` for the last key: the gaps that it leaves at the end would be searched each time.
        if last != pfn:
            part[last] = None
            del part[pfn]

    def refill(self) -> None:
        """Let ``head``, which is empty, have what ``tail`` has."""
        self.head.update(dict.fromkeys(reversed(self.tail)))
        self.tail.clear()

    def clear(self) -> None:
        """Take all blocks off."""
        self.head.clear()
        self.tail.clear()
