"""The state at any moment of a tape.

A write event holds the primitive that was called and its arguments, so the state after an event is made by
calling the primitives again, from the last moment before it that is kept: a tape plays forwards and backwards
without knowing what any of them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.state.event import LEFT_OUT
from memsim.state.sharing import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.state.event import Event
    from memsim.state.state import State

KEYFRAME_EVENTS = 256
MOST_KEYFRAMES = 64


class Playback:
    """The states of a tape: some are kept, and one moves."""

    def __init__(self, start: State) -> None:
        """Begin with a copy of the state before the first event."""
        self._kept: dict[int, State] = {}
        """Number of events -> the state after them."""
        self.keep(0, start)
        self._now: tuple[int, State] = (0, share(self._kept[0]))

    def keep(self, events: int, state: State) -> None:
        """Keep a copy of the state after this many events."""
        self._kept[events] = state.copy()

    def at(self, events: Sequence[Event], index: int) -> State:
        """Return the state after event ``index``: the same object each time, moved."""
        done, state = self._now
        if done > index + 1:
            done = max(kept for kept in self._kept if kept <= index + 1)
            state = share(self._kept[done])
        spacing = max(KEYFRAME_EVENTS, len(events) // MOST_KEYFRAMES)
        while done <= index:
            if done % spacing == 0 and done not in self._kept:
                self._kept[done] = share(state)
            event = events[done]
            if event.primitive == LEFT_OUT:
                state = share(self._kept[done + 1])
            elif event.primitive:
                getattr(state.target(event.target), event.primitive)(*event.args)
            done += 1
        self._now = (done, state)
        return state
