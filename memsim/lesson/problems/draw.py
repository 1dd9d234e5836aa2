"""Random draws from a seed that are the same on every machine and in every Python."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Draw:
    """Draws from a seed.

    Only ``random()`` itself is promised to stay the same from one Python to the next, so everything is made
    from it.

    >>> draw = Draw("chunks/7")
    >>> [draw.between(1, 6) for _ in range(8)] == [Draw("chunks/7").between(1, 6)] * 8
    False
    >>> Draw("a").sample("abcdef", 3) == Draw("a").sample("abcdef", 3)
    True
    """

    def __init__(self, seed: str) -> None:
        """Start at a seed."""
        self._random = random.Random(seed).random  # noqa: S311 (a game of chance, not a secret)

    def below(self, limit: int) -> int:
        """Return a number from 0 to ``limit`` - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """Return a number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def sample(self, options: Sequence[T], size: int) -> list[T]:
        """Return ``size`` different options, in any order."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(size)]
