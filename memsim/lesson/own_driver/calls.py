"""What a driver calls, in order, so that the calls can be made again without the driver.

A notebook plays scripts in a process of its own, and can claim anything about what was seen there. So the
grader makes the same calls on a machine of its own, and looks there.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections import deque
from typing import TYPE_CHECKING, Any

from memsim.errors import KernelBug, KernelError, MemsimError
from memsim.lesson.own_driver.api import KernelApi
from memsim.lesson.own_driver.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memsim.machine.machine import Machine

_ACTS = (
    *("generic_online_page", "add_memory", "offline_and_remove_memory", "alloc_contig_range"),
    *("free_contig_range", "adjust_managed_page_count", "SetPageOffline", "ClearPageOffline"),
    *("page_ref_inc", "page_ref_dec"),
)
_TAKE_FUNCTIONS = (
    *("set_online_page_callback", "restore_online_page_callback"),
    *("register_memory_notifier", "unregister_memory_notifier"),
)
_LARGEST, _LARGEST_ORDER, _DIGITS = 1 << 40, 63, 64
"""Of a pfn or a count, of an order, and of the plugged sub-blocks; a student may write them by hand."""


class CallLog:
    """The calls into a driver and out of it, as values that JSON has.

    ``["enter", who]`` is a call of the driver's own function, or of the function of this number that it has
    registered; ``["leave", returned, plugged]`` or ``["raise", errno, plugged]`` is its end, with a bit for
    each plugged sub-block; anything else is a call of the kernel's: ``["page_ref_inc", pfn, 512]``.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.driver: Driver | None = None
        self.events: list[list[Any]] = []
        self._functions: list[Callable[..., Any]] = []
        self._told: list[Callable[..., Any]] = []

    def enter(self, who: str | int, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 (of a driver)
        """Call a function of the driver's."""
        self.events.append(["enter", who])
        try:
            returned = function(*args)
        except MemsimError as error:
            self.events.append(["raise", getattr(error, "name", ""), self._plugged()])
            raise
        plain = returned if type(returned) in (int, bool, type(None)) else repr(returned)
        self.events.append(["leave", plain, self._plugged()])
        return returned

    def number_of(self, function: Callable[..., Any]) -> int:
        """Return the number of a function that the driver gives to the kernel."""
        if function not in self._functions:
            number = len(self._functions)
            self._functions.append(function)
            self._told.append(lambda *args: self.enter(number, function, *args))
        return self._functions.index(function)

    def told(self, number: int) -> Callable[..., Any]:
        """Return what the kernel is given instead of a function."""
        return self._told[number]

    def _plugged(self) -> str:
        plugged = self.driver.plugged if self.driver else ()
        return f"{sum(1 << number for number, there in enumerate(plugged) if there):x}"


class RecordedApi(KernelApi):
    """The functions that a driver may call; what it calls is written down."""

    def __init__(self, machine: Machine, log: CallLog) -> None:
        """Bind them to the kernel of a machine."""
        super().__init__(machine)
        self._log = log


def _recorded(name: str) -> Callable[..., None]:
    """Return a function of the kernel's that is written down before it is called."""
    function = getattr(KernelApi, name)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(self: RecordedApi, *args: Any, **named: Any) -> None:  # noqa: ANN401 (of a driver)
        given = list(signature.bind(self, *args, **named).args)[1:]
        log = self._log
        if name in _TAKE_FUNCTIONS:
            number = log.number_of(given[0])
            log.events.append([name, number])
            function(self, log.told(number))
        else:
            given = [operator.index(arg) for arg in given]
            log.events.append([name, *given])
            function(self, *given)

    return call


for _name in (*_ACTS, *_TAKE_FUNCTIONS):
    setattr(RecordedApi, _name, _recorded(_name))


class CallsError(MemsimError):
    """What a driver is said to have called is not what the kernel asked it for."""


class Replayed(Driver):
    """A driver that makes the calls which another one has made."""

    events: Sequence[Any] = ()

    def __init__(self, kernel: KernelApi) -> None:
        """Begin with the first call."""
        super().__init__(kernel)
        self._left = deque(self.events)
        self._functions: dict[int, Callable[..., Any]] = {}

    def back(self, _sub_block: int) -> None:
        """Do what the other one did then."""
        self._again("back")

    def load(self) -> None:
        """Do what the other one did then."""
        self._again("load")

    def plug(self, _count: int) -> Any:  # noqa: ANN401 (whatever the other one has returned)
        """Do what the other one did then."""
        return self._again("plug")

    def unplug(self, _count: int) -> Any:  # noqa: ANN401 (the same)
        """Do what the other one did then."""
        return self._again("unplug")

    def unload(self) -> Any:  # noqa: ANN401 (the same)
        """Do what the other one did then."""
        return self._again("unload")

    def _again(self, who: str | int, *_: object) -> Any:  # noqa: ANN401 (the same)
        """Make the calls from one ``enter`` to its end."""
        if self._next() != ["enter", who]:
            raise CallsError(self._told(f"the kernel called {who}"))
        while True:
            kind, *rest = self._next()
            if kind == "enter":
                raise CallsError(self._told(f"the kernel did not call {rest[0]} here"))
            if kind not in ("leave", "raise"):
                self._call(kind, rest)
                continue
            returned, plugged = rest
            self.plugged = [bool(int(plugged, 16) >> number & 1) for number in range(len(self.plugged))]
            if kind == "raise":
                raise KernelError(returned, "own_driver", "as the driver says") if returned else MemsimError
            return returned

    def _call(self, name: str, args: list[Any]) -> None:
        """Make one call; what it raises the driver has caught, or its function has ended with."""
        given = [self._function(arg) for arg in args] if name in _TAKE_FUNCTIONS else args
        try:
            getattr(self.kernel, name)(*given)
        except KernelBug:
            raise
        except MemsimError:
            return
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise CallsError(self._told(f"{name}() ends with {type(error).__name__}")) from None

    def _function(self, number: int) -> Callable[..., Any]:
        return self._functions.setdefault(number, functools.partial(self._again, number))

    def _next(self) -> list[Any]:
        """Return the next event, which a student may have written by hand."""
        event: list[Any] = self._left.popleft() if self._left else []
        if not _is_event(event):
            raise CallsError(self._told(f"no call is {str(event)[:40]}"))
        return event

    def _told(self, why: str) -> str:
        number = len(self.events) - len(self._left)
        return f"the calls of the driver do not fit this script at call {number}: {why}"


def _is_event(event: object) -> bool:
    match event:
        case ["enter", str() | int()]:
            return True
        case ["leave" | "raise", value, str(bits)] if type(value) in (int, bool, str, type(None)):
            return 0 < len(bits) <= _DIGITS and all(bit in "0123456789abcdef" for bit in bits)
        case [str(name), *args] if name in (*_ACTS, *_TAKE_FUNCTIONS):
            _, *wanted = inspect.signature(getattr(KernelApi, name)).parameters
            most = [_LARGEST_ORDER if each == "order" else _LARGEST for each in wanted]
            return len(args) == len(wanted) and all(map(_is_number, args, most))
    return False


def _is_number(value: object, most: int) -> bool:
    return type(value) is int and abs(value) <= most


def replayed(events: object) -> type[Driver]:
    """Return a driver that makes the calls of another one, as its report has them under ``calls``.

    >>> from memsim.lesson.own_driver import Driver, drive
    >>> script = [["back", 0], ["online", 32]]
    >>> report = drive(Driver, script).report()
    >>> drive(replayed(report["calls"]), script).report() == report
    True
    """
    return type("Replayed", (Replayed,), {"events": events if isinstance(events, list) else ()})
