"""Tracepoints and the tape.

Kernel functions that are worth naming carry :func:`kernel_function`; the state objects (memmap, zones,
:class:`~memsim.state.kernel.State`) report every write to a
:class:`~memsim.linux.include.tracepoint.Trace`. With none the cost is one test for each.

* :class:`Probe` calls a function at every probe point: ``enter:<function>``, ``return:<function>``,
  ``notifier:<ACTION>``. :func:`matches` says whether a point has a given name; ``#n`` means the n-th
  time within the current action (``enter:generic_online_page#3``).
* :class:`Tape` records all events. A write event holds the primitive that was called and its
  arguments, so that the state after event *i* is got by calling the primitives again: the tape plays
  forwards and backwards without knowing what any of them does. Of long steps it can be told to keep only
  the beginning and then what happens for the first time; in place of what is left out it keeps the state.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from memsim.state.sharing import share

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, FunctionType

    from memsim.linux.include.tracepoint import Trace
    from memsim.state.kernel import Kernel
    from memsim.state.state import State

    P = ParamSpec("P")
    R = TypeVar("R")
    K = TypeVar("K", bound="Traced")

KEYFRAME_EVENTS = 256
MOST_KEYFRAMES = 64
LEFT_OUT = "left_out"
"""In place of a primitive: here a tape left out as many events as the first argument says, or more if the
second is true."""
MOST_LEFT_OUT = 50
"""A tape that has left out this many times as many events does not even watch the rest of a long step."""
MOST_LONG_STEPS = 20
"""A tape that keeps at most so many events of a step ends after the step that makes them this many times as
many in all."""
FUNCTIONS: dict[str, FunctionType] = {}
"""The models of kernel functions by name, as they are written: without what :func:`kernel_function` adds."""
KERNEL_FILES: dict[str, str] = {}
"""The file of the kernel that defines each of them, as a path in the kernel's source."""


class Traced(Protocol):
    """The first argument of a model: the kernel, or a driver's device, whose trace is its kernel's."""

    @property
    def trace(self) -> Trace | None:
        """The trace that watches, or None."""


SHORTCUTS: dict[str, Shortcut] = {}
"""Faster ways to the same result, by the name of the kernel function: see :mod:`memsim.fast`."""


class Shortcut(NamedTuple):
    """A faster way to the state that a kernel function leaves, and to what it returns."""

    function: Callable[..., Any]
    """Takes the same arguments; returns NotImplemented, with nothing done, for calls that it cannot serve."""
    suits: Callable[[Kernel], bool]
    """Whether a kernel of this release, patch and configuration may take it."""


def kernel_function(
    file: str, *, probe: bool = True
) -> Callable[[Callable[Concatenate[K, P], R]], Callable[Concatenate[K, P], R]]:
    """Mark the model of a function of the kernel's ``file``: its entry and return are probe points.

    The model stands below ``memsim/linux/`` under the path of that file (tests/unit/test_kernel_files.py).
    Without ``probe`` no trace hears of it: it is called for nearly every page. On a kernel that nothing
    watches, its shortcut runs in its place if the kernel may take that.
    """

    def mark(function: Callable[Concatenate[K, P], R]) -> Callable[Concatenate[K, P], R]:
        name = function.__name__
        FUNCTIONS[name] = cast("FunctionType", function)
        KERNEL_FILES[name] = file

        @functools.wraps(function)
        def call(first: K, *args: P.args, **kwargs: P.kwargs) -> R:
            trace = first.trace
            if trace is None or not probe:
                shortcut = cast("Kernel", first).shortcuts.get(name) if name in SHORTCUTS else None
                result = shortcut(first, *args, **kwargs) if shortcut is not None else NotImplemented
                return function(first, *args, **kwargs) if result is NotImplemented else cast("R", result)
            trace.enter(name, args)
            try:
                return function(first, *args, **kwargs)
            finally:
                trace.leave(name)

        return cast("Callable[Concatenate[K, P], R]", call)

    return mark


class _Points:
    """Counts probe points within an action and names them."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def action(self, label: str) -> None:  # noqa: ARG002 (part of the protocol)
        self._count.clear()

    def _point(self, name: str) -> str:
        self._count[name] += 1
        return f"{name}#{self._count[name]}"


def matches(point: str, wanted: str) -> bool:
    """Return whether a numbered point is meant by ``wanted`` (with or without ``#n``).

    >>> matches("enter:online_pages#1", "enter:online_pages")
    True
    >>> matches("enter:generic_online_page#3", "enter:generic_online_page#4")
    False
    """
    return wanted in {point, point.rpartition("#")[0]}


class Probe(_Points):
    """A trace that calls ``at(point)`` while the kernel stands still at each probe point."""

    def __init__(self, at: Callable[[str], None]) -> None:
        """Call ``at`` with names like ``enter:online_pages#1``."""
        super().__init__()
        self._at = at

    def enter(self, function: str, args: tuple[Any, ...]) -> None:  # noqa: ARG002 (part of the protocol)
        """Report the entry."""
        self._at(self._point(f"enter:{function}"))

    def leave(self, function: str) -> None:
        """Report the return."""
        self._at(self._point(f"return:{function}"))

    def notify(self, action: str) -> None:
        """Report the notifier call."""
        self._at(self._point(f"notifier:{action}"))

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401 (any argument)
        """Ignore writes."""


@dataclass(frozen=True)
class Event:
    """One event: a probe point (``point`` set) or a write (``primitive`` set).

    ``function`` is the innermost kernel function, ``line`` the line of its source that is being executed
    (0 outside of any), ``depth`` how many functions are on the stack, ``step`` the action (0 is the first
    after the tape started). Events on different lines are equal: where the source stands is no event.
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


@functools.cache
def _lines_of(function: str) -> list[int]:
    """Return the line of the source that each instruction of a kernel function belongs to."""
    return [line or 0 for line, *_ in FUNCTIONS[function].__code__.co_positions()]


class Tape(_Points):
    """Records every event of a machine from the moment it is put in."""

    def __init__(
        self,
        state: State,
        most_of_step: int | None = None,
        put_trace: Callable[[Trace | None], None] = lambda _: None,
    ) -> None:
        """Start from ``state``, of which a copy is kept.

        Of a step of more than ``most_of_step`` events what comes later is left out, but for probe points of a
        name that is new in the step. With ``put_trace`` the tape takes itself out of the kernel where a step
        is too long to be watched, and puts itself in again with the next.
        """
        super().__init__()
        self._live = state
        self.most_of_step = most_of_step or sys.maxsize
        self._full = self.most_of_step
        """With so many events no more are kept, but for those of a new name; 0: the tape has ended."""
        self._missing = 0
        self._patience = MOST_LEFT_OUT * self.most_of_step
        self._put_trace, self._is_away = put_trace, False
        self._rows: list[tuple[Any, ...]] = []
        """What is recorded: the fields of an event, with the instruction in place of the line."""
        self._events: list[Event] = []
        """What was made of them so far: whoever records need not wait for that."""
        self.labels: list[str] = []
        self._step = -1
        self._stack: list[tuple[str, CodeType]] = []
        """The kernel functions that were entered, and their code."""
        start = state.copy()
        self._frames: dict[int, State] = {0: start}
        self._cursor: tuple[int, State] = (0, share(start))

    def __repr__(self) -> str:
        """Show how much is on the tape."""
        return f"Tape({len(self)} events, {len(self.labels)} steps)"

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._rows)

    @property
    def events(self) -> list[Event]:
        """All events, in time order."""
        for *row, instruction in self._rows[len(self._events) :]:
            line = _lines_of(row[1])[instruction] if instruction >= 0 else 0
            self._events.append(Event(*(*row, line)))
        return self._events

    def action(self, label: str) -> None:
        """Begin the next step."""
        self.fill_gap()
        super().action(label)
        self._step += 1
        kept = len(self._rows) < MOST_LONG_STEPS * self.most_of_step
        self.labels += [label] * kept
        self._full = len(self._rows) + self.most_of_step if kept else 0
        self._go_away(away=not kept)

    @property
    def has_ended(self) -> bool:
        """Whether the last steps are not on it: those that have a label are."""
        return self._full == 0

    def fill_gap(self) -> None:
        """Put the state as it is now in place of the events that were left out up to here, if any were."""
        if (self._missing or self._is_away) and not self.has_ended:
            function = self._stack[-1][0] if self._stack else ""
            args = (self._missing, self._is_away)
            self._rows.append((self._step, function, len(self._stack), "", args, "tape", LEFT_OUT, -1))
            self._frames[len(self._rows)] = self._live.copy()
        self._missing = 0

    def _go_away(self, *, away: bool) -> None:
        """Leave the kernel alone, which then does in bulk what it can; or come back."""
        if away != self._is_away:
            self._is_away = away
            self._put_trace(None if away else self)

    def _add(self, point: str, args: tuple[Any, ...], target: str = "", primitive: str = "") -> None:
        if len(self._rows) >= self._full:
            if self.has_ended or not point.endswith("#1"):
                self._missing += 1
                self._patience -= 1
                if self._patience < 0:
                    self._go_away(away=True)
                return
            self.fill_gap()
        stack, function, instruction = self._stack, "", -1
        if stack:
            # The instruction of the innermost call of the function. The three innermost frames are this one,
            # the method below, and the primitive or kernel_function(): not worth a look.
            function, code = stack[-1]
            frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 (f_back is slow)
            while frame is not None and frame.f_code is not code:
                frame = frame.f_back
            if frame is not None:
                instruction = frame.f_lasti // 2
        self._rows.append((self._step, function, len(stack), point, args, target, primitive, instruction))

    def enter(self, function: str, args: tuple[Any, ...]) -> None:
        """Record the entry."""
        self._add(self._point(f"enter:{function}"), args)
        self._stack.append((function, FUNCTIONS[function].__code__))

    def leave(self, function: str) -> None:
        """Record the return."""
        self._stack.pop()
        self._add(self._point(f"return:{function}"), ())

    def notify(self, action: str) -> None:
        """Record the notifier call."""
        self._add(self._point(f"notifier:{action}"), ())

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401 (any argument)
        """Record a write."""
        self._add("", args, target, primitive)

    def points(self) -> list[tuple[int, Event]]:
        """Return (index, event) of every probe point, in time order."""
        return [(i, event) for i, event in enumerate(self.events) if event.point]

    def find(self, step: int, wanted: str) -> int | None:
        """Return the index of the first probe point of ``step`` that ``wanted`` names, or None."""
        for index, event in self.points():
            if event.step == step and matches(event.point, wanted):
                return index
        return None

    def at(self, index: int) -> State:
        """Return the state after event ``index`` (-1: before the first); IndexError beyond the last.

        Not to be written to, and good until the next call, which moves the same object: ``copy()`` what is
        to be kept beside another moment.
        """
        events = self.events
        if not -1 <= index < len(events):
            msg = f"event {index} is not on the tape, which has events 0 to {len(self) - 1}"
            raise IndexError(msg)
        done, state = self._cursor
        if done > index + 1:
            done = max(frame for frame in self._frames if frame <= index + 1)
            state = share(self._frames[done])
        spacing = max(KEYFRAME_EVENTS, len(self) // MOST_KEYFRAMES)
        while done <= index:
            if done % spacing == 0 and done not in self._frames:
                self._frames[done] = share(state)
            event = events[done]
            if event.primitive == LEFT_OUT:
                state = share(self._frames[done + 1])
            elif event.primitive:
                getattr(state.target(event.target), event.primitive)(*event.args)
            done += 1
        self._cursor = (done, state)
        return state
