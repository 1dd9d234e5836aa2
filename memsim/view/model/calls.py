"""Where a moment is in the code: which functions are being executed.

Left out: single lines; a walk goes from one probe point to the next.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.view.model.moments import DONE

if TYPE_CHECKING:
    from memsim.state.event import Event
    from memsim.state.tape import Tape


@dataclass(frozen=True)
class Frame:
    """A function that is being executed, and the line in its file (0: it has just been entered)."""

    function: str
    line: int


class Calls:
    """Which functions are being executed at each event of a tape."""

    def __init__(self, tape: Tape) -> None:
        """Note for each event where the function was entered that it happens in (-1: in none)."""
        self._events = tape.events
        self._around = array("l")
        entered = {-1: -1}  # depth -> the last event that entered a function there
        for index, event in enumerate(tape.events):
            self._around.append(entered[event.depth - 1])
            if event.point.startswith("enter:"):
                entered[event.depth] = index

    def at(self, index: int, point: str) -> tuple[Frame, ...]:
        """Return the functions that are being executed after event ``index``, the innermost first."""
        if point == DONE:
            return ()
        event = self._events[index]
        found = [Frame(entered_function(event), 0)] if event.point.startswith("enter:") else []
        while event.function:
            found.append(Frame(event.function, event.line))
            index = self._around[index]
            event = self._events[index]
            if entered_function(event) != found[-1].function:
                break  # where this one was entered is left out
        return tuple(found)


def entered_function(event: Event) -> str:
    """Return the name of the function that an event enters."""
    return event.point.removeprefix("enter:").rpartition("#")[0]
