"""The events of a tape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEFT_OUT = "left_out"
"""Replaces a primitive where a tape left out events: as many as the first argument, or more if the second
is true."""


@dataclass(frozen=True)
class Event:
    """One event: a probe point (``point`` set) or a write (``primitive`` set).

    ``function`` is the innermost kernel function, ``line`` the line of its source that is being executed
    (0 outside of any), ``depth`` how many functions are on the stack, ``step`` the number of the action: 0 is
    the first, and also stands for a tape on which no action was begun; -1 is what came before the first.
    Events on different lines are equal.
    """

    step: int
    function: str
    depth: int
    point: str = ""
    args: tuple[Any, ...] = ()
    target: str = ""
    primitive: str = ""
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """Return one line of text."""
        shown = ", ".join(f"{a:#x}" if isinstance(a, int) and a > 0xFFF else str(a) for a in self.args)  # noqa: PLR2004 (pfns in hex)
        what = self.point or f"{self.target}.{self.primitive}"
        return f"{'  ' * self.depth}{what}({shown})"
