"""The events that a trace receives (``include/linux/tracepoint.h``).

The state objects and the models of kernel functions know a trace by this alone. What traces there are stands
in :mod:`memsim.state.trace`, above them.
"""

from __future__ import annotations

from typing import Any, Protocol


class Trace(Protocol):
    """What a running trace receives."""

    unwatched: frozenset[str]
    """The kernel functions that it does not watch, neither them nor what they call."""

    def action(self, label: str) -> None:
        """Note that a new action (a step of a scenario) begins; probe counts start again."""

    def enter(self, function: str, args: tuple[Any, ...]) -> None:
        """Note that a kernel function is entered."""

    def leave(self, function: str) -> None:
        """Note that a kernel function returns or fails."""

    def notify(self, action: str) -> None:
        """Note that the memory notifier chain is about to be called."""

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401 (any argument)
        """Note a write to ``target``, about to happen."""
