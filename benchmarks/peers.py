"""Buddy allocators as others write them in Python, in our own words after their published algorithms.

They have free lists and nothing else: no migratetypes, zones, page flags, reference counts, isolation.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from random import Random


class Bisect:
    """One sorted array for each order, searched by bisection: the fastest kind that we know of.

    After the allocator of aslpavel/udb. One block covers all memory; the lowest block is taken.
    """

    def __init__(self, top: int) -> None:
        """Start with one free block of ``2**top`` pages."""
        self.top = top
        self.free_lists = [array("L") for _ in range(top + 1)]
        self.free_lists[top].append(0)

    def alloc(self, order: int) -> int:
        """Return the first page of a block."""
        lists, high = self.free_lists, order
        while high <= self.top:
            if lists[high]:
                block = lists[high].pop(0)
                while high > order:
                    high -= 1
                    insort(lists[high], block + (1 << high))
                return block
            high += 1
        raise MemoryError

    def free(self, block: int, order: int) -> None:
        """Free a block."""
        lists = self.free_lists
        while order < self.top:
            buddy, blocks = block ^ (1 << order), lists[order]
            at = bisect_left(blocks, buddy)
            if at == len(blocks) or blocks[at] != buddy:
                break
            blocks.pop(at)
            block &= buddy
            order += 1
        insort(lists[order], block)


class ListScan(Bisect):
    """One unsorted list for each order, searched from its start: the kind that is mostly taught."""

    def __init__(self, top: int) -> None:
        """Start with one free block of ``2**top`` pages."""
        self.top = top
        self.free_lists: list[list[int]] = [[] for _ in range(top + 1)]
        self.free_lists[top].append(0)

    @classmethod
    def like(cls, other: Bisect) -> ListScan:
        """Return one with the same free blocks, in an order as frees in random order leave them."""
        twin = cls(other.top)
        twin.free_lists = [list(blocks) for blocks in other.free_lists]
        for blocks in twin.free_lists:
            Random(1).shuffle(blocks)  # noqa: S311 (no secret)
        return twin

    def alloc(self, order: int) -> int:
        """Return the first page of a block."""
        lists, high = self.free_lists, order
        while high <= self.top:
            if lists[high]:
                block = lists[high].pop(0)
                while high > order:
                    high -= 1
                    lists[high].append(block + (1 << high))
                return block
            high += 1
        raise MemoryError

    def free(self, block: int, order: int) -> None:
        """Free a block."""
        lists = self.free_lists
        while order < self.top and block ^ (1 << order) in lists[order]:
            lists[order].remove(block ^ (1 << order))
            block &= ~(1 << order)
            order += 1
        lists[order].append(block)
