"""Which fence holds on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.sandbox.fences import NONE, Fence, available, compile_worker
from memsim.grading.sandbox.probe import open_ways

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FenceError(MemsimError):
    """No fence on this machine holds, and grading without one was not asked for."""


def fence_that_holds(secret: Sequence[Path], *, unfenced: bool, wanted: str = "") -> tuple[Fence, list[str]]:
    """Return the strongest fence that holds here, and what is open: nothing, unless it is ``unfenced``.

    Raises
    ------
    FenceError
        None holds. The text tells for each what was open.
    """
    compile_worker()
    tried = []
    for fence in available():
        if wanted and fence.name != wanted:
            continue
        ways = open_ways(fence, secret)
        if not ways and fence != NONE:
            return fence, []
        if fence == NONE and unfenced:
            return fence, ways
        tried.append(f"{fence.name}: {'; '.join(ways[:4])}")
    msg = (
        "no fence holds on this machine, and student code does not run without one. Install bubblewrap, or "
        "say --unfenced if nothing here is worth protecting. Tried: " + " | ".join(tried)
    )
    raise FenceError(msg)


def raise_if_open(name: str, secret: Sequence[Path]) -> None:
    """Raise FenceError if the fence of this name does not hold here; ``none`` was asked for and is let be."""
    if name != NONE.name:
        fence_that_holds(secret, unfenced=False, wanted=name)
