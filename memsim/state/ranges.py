"""Ranges of pages, (start_pfn, nr_pages), and the numbers of blocks or sections as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def clip(ranges: Iterable[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of (start_pfn, nr_pages) ranges that lie in [low, high).

    >>> list(clip([(0, 10), (20, 5)], 4, 22))
    [(4, 6), (20, 2)]
    """
    for pfn, nr_pages in ranges:
        start, end = max(pfn, low), min(pfn + nr_pages, high)
        if start < end:
            yield start, end - start


def gaps(ranges: Iterable[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield what [low, high) holds between sorted (start_pfn, nr_pages) ranges.

    >>> list(gaps([(4, 4), (10, 2)], 0, 16))
    [(0, 4), (8, 2), (12, 4)]
    """
    for pfn, nr_pages in clip(ranges, low, high):
        if pfn > low:
            yield low, pfn - low
        low = max(low, pfn + nr_pages)
    if low < high:
        yield low, high - low


def id_ranges(ids: Iterable[int]) -> str:
    """Return numbers (of blocks, of sections) as text, with neighbours joined.

    >>> id_ranges([32, 0, 1, 2, 3])
    '0-3, 32'
    """
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
