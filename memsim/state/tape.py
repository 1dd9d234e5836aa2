"""The tape: every event of a machine in time order, and the state at each.

Recording is here; which events of a long step are kept is in :mod:`memsim.state.shortening`, the state at a
moment in :mod:`memsim.state.playback`.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from memsim.state.event import LEFT_OUT, Event
from memsim.state.playback import Playback
from memsim.state.shortening import Shortening
from memsim.state.trace import FUNCTIONS, Points, matches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from memsim.linux.include.tracepoint import Trace
    from memsim.state.state import State


@functools.cache
def _lines_of(function: str) -> list[int]:
    """Return the source line of each instruction of a kernel function."""
    return [line or 0 for line, *_ in FUNCTIONS[function].__code__.co_positions()]


class Tape(Points):
    """Records every event of a machine from the moment it is installed."""

    def __init__(
        self,
        state: State,
        most_of_step: int | None = None,
        put_trace: Callable[[Trace | None], None] = lambda _: None,
    ) -> None:
        """Start from ``state``, of which a copy is kept.

        Of a step of more than ``most_of_step`` events the later ones are left out, except for probe points
        of a name that is new in the step. With ``put_trace`` the tape takes itself out of the kernel where a
        step is too long to be watched, and puts itself back with the next.
        """
        super().__init__()
        self._live = state
        self._playback = Playback(state)
        self._shortening = Shortening(most_of_step, lambda on: put_trace(self if on else None))
        self._rows: list[tuple[Any, ...]] = []
        """The recorded fields of each event, with the instruction instead of the line."""
        self._events: list[Event] = []
        """The events made of them so far: on reading, not while recording."""
        self.labels: list[str] = []
        """The labels of the steps that are on the tape."""
        self._step = -1
        self._stack: list[tuple[str, CodeType]] = []
        """The kernel functions that were entered, and their code."""

    def __repr__(self) -> str:
        """Show how much is on the tape."""
        return f"Tape({len(self)} events, {len(self.labels)} steps)"

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._rows)

    # ---- recording ---------------------------------------------------------------------------

    def action(self, label: str) -> None:
        """Begin the next step."""
        self.fill_gap()
        super().action(label)
        if self._step < 0:
            self._events.clear()  # what came before was step 0 as long as there was no action
        self._step += 1
        self._shortening.begin_step(len(self._rows))
        if not self.has_ended:
            self.labels.append(label)

    @property
    def has_ended(self) -> bool:
        """Whether the last steps are not on it: those that have a label are."""
        return self._shortening.has_ended

    @property
    def most_of_step(self) -> int:
        """Events of a step that are kept before the rest is shortened."""
        return self._shortening.most_of_step

    def fill_gap(self) -> None:
        """Record the present state instead of the events that were left out up to here, if any."""
        gap = self._shortening.gap()
        if gap is not None:
            function = self._stack[-1][0] if self._stack else ""
            self._rows.append((self._step, function, len(self._stack), "", gap, "tape", LEFT_OUT, -1))
            self._playback.keep(len(self._rows), self._live)

    def _add(self, point: str, args: tuple[Any, ...], target: str = "", primitive: str = "") -> None:
        if len(self._rows) >= self._shortening.full:
            if not self._shortening.keeps(point):
                return
            self.fill_gap()
        stack, function, instruction = self._stack, "", -1
        if stack:
            # The instruction of the innermost call of the function. The three innermost frames are this one,
            # the method below, and the recorded primitive or kernel_function(): no need to look at them.
            function, code = stack[-1]
            frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 (f_back is slow)
            while frame is not None and frame.f_code is not code:
                frame = frame.f_back
            if frame is not None:
                instruction = frame.f_lasti // 2
        self._rows.append((self._step, function, len(stack), point, args, target, primitive, instruction))

    def enter(self, function: str, args: tuple[Any, ...]) -> None:
        """Record the entry."""
        self._add(self.numbered(f"enter:{function}"), args)
        self._stack.append((function, FUNCTIONS[function].__code__))

    def leave(self, function: str) -> None:
        """Record the return."""
        self._stack.pop()
        self._add(self.numbered(f"return:{function}"), ())

    def notify(self, action: str) -> None:
        """Record the notifier call."""
        self._add(self.numbered(f"notifier:{action}"), ())

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401 (any argument)
        """Record a write."""
        self._add("", args, target, primitive)

    # ---- what is on it -----------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """All events, in time order."""
        first = 0 if self._step < 0 else None
        for step, *row, instruction in self._rows[len(self._events) :]:
            line = _lines_of(row[0])[instruction] if instruction >= 0 else 0
            self._events.append(Event(step if first is None else first, *(*row, line)))
        return self._events

    def points(self) -> list[tuple[int, Event]]:
        """Return (index, event) of every probe point, in time order."""
        return [(i, event) for i, event in enumerate(self.events) if event.point]

    def find(self, step: int, wanted: str) -> int | None:
        """Return the index of the first probe point of ``step`` that ``wanted`` names, or None."""
        only = 0 if self._step < 0 else None
        for index, (of, _, _, point, *_) in enumerate(self._rows):
            if point and (of if only is None else only) == step and matches(point, wanted):
                return index
        return None

    def at(self, index: int) -> State:
        """Return the state after event ``index`` (-1: before the first); IndexError beyond the last.

        Do not write to it. It is good until the next call, which moves the same object: ``copy()`` it to keep
        it beside another moment.
        """
        events = self.events
        if not -1 <= index < len(events):
            msg = f"event {index} is not on the tape, which has events 0 to {len(self) - 1}"
            raise IndexError(msg)
        return self._playback.at(events, index)
