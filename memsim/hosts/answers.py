"""Misbehaviour of the host of any device: its next answers, in order."""

from __future__ import annotations

from memsim.errors import MemsimError

MOST_TIMES = 1_000_000
"""More answers than any driver asks for in a scenario that ends."""


def answers(device: str, known: tuple[str, ...], answer: str, times: int) -> list[str]:
    """Return ``answer``, repeated; an answer in ``known`` ends in ``:`` where a number of pages follows.

    >>> answers("mem0", ("BUSY", "RESIZE:"), "RESIZE:512", 2)
    ['RESIZE:512', 'RESIZE:512']

    Raises
    ------
    MemsimError
        The host knows no such answer, or ``times`` is negative or more than ``MOST_TIMES``.
    """
    name, colon, pages = answer.partition(":")
    if name + colon not in known or (colon and not pages.isdecimal()):
        said = ", ".join(f"{each}<pages>" if each.endswith(":") else each for each in known)
        msg = f"{device}: host answer {answer!r} must be one of {said}"
        raise MemsimError(msg)
    if not 0 <= times <= MOST_TIMES:
        msg = f"{device}: host answer {answer!r}, {times} times: must be 0 to {MOST_TIMES:,} times"
        raise MemsimError(msg)
    return [answer] * times
