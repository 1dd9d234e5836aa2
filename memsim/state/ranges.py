"""Numbers as text: the blocks or sections that a sentence is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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
