"""Which events of a long step a tape keeps.

A tape keeps the beginning of a step, and then only what happens for the first time. It stops watching a
very long step, so that the kernel may take its shortcuts, and ends after a few long steps.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_LEFT_OUT = 50
"""After leaving out this many times ``most_of_step`` events, a tape stops watching long steps."""
MOST_LONG_STEPS = 20
"""A tape ends after the step with which it has this many times ``most_of_step`` events."""


class Shortening:
    """Decides whether a tape keeps an event, and whether it watches at all."""

    def __init__(self, most_of_step: int | None, watch: Callable[[bool], None]) -> None:
        """Keep ``most_of_step`` events of a step, or all.

        ``watch`` puts the tape into the kernel (True) or takes it out.
        """
        self.most_of_step = most_of_step or sys.maxsize
        self.full = self.most_of_step
        """Number of events on the tape at which the beginning of the step is over."""
        self.has_ended = False
        """Whether this step and all after it are left out."""
        self.left_out = 0
        """Events that were left out since the last one that was kept."""
        self.is_away = False
        """Whether the tape does not watch, so that what happens is not even counted."""
        self._watch = watch
        self._patience = MOST_LEFT_OUT * self.most_of_step

    def begin_step(self, kept: int) -> None:
        """Begin a step with ``kept`` events on the tape: it watches again, or has ended."""
        self.has_ended = kept >= MOST_LONG_STEPS * self.most_of_step
        self.full = 0 if self.has_ended else kept + self.most_of_step
        self._go_away(away=self.has_ended)

    def keeps(self, point: str) -> bool:
        """Return whether an event after the beginning of a step is kept: a probe point of a new name."""
        if point.endswith("#1") and not self.has_ended:
            return True
        self.left_out += 1
        self._patience -= 1
        if self._patience < 0:
            self._go_away(away=True)
        return False

    def gap(self) -> tuple[int, bool] | None:
        """Return how many events were left out up to here, and whether there may be more; None: none."""
        left_out, self.left_out = self.left_out, 0
        return (left_out, self.is_away) if (left_out or self.is_away) and not self.has_ended else None

    def _go_away(self, *, away: bool) -> None:
        if away != self.is_away:
            self.is_away = away
            self._watch(not away)
