"""Probe points: where a kernel function reports to a trace, and where a shortcut may replace it.

Models of kernel functions carry :func:`kernel_function`. While a trace runs, it calls the trace at the *probe
points* ``enter:<function>`` and ``return:<function>``, unless the trace leaves that function unwatched;
``notifier:<ACTION>`` comes from the notifier chain. :func:`matches` says whether a point has a given name;
``#n`` means the n-th time within the current action (``enter:generic_online_page#3``). :class:`Probe` calls a
function at each of them, and :class:`~memsim.state.tape.Tape` records them together with all writes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

    from memsim.linux.include.tracepoint import Trace

    P = ParamSpec("P")
    R = TypeVar("R")
    K = TypeVar("K", bound="Traced")

FUNCTIONS: dict[str, FunctionType] = {}
"""The models of kernel functions by name, without the wrapper that :func:`kernel_function` adds."""
KERNEL_FILES: dict[str, str] = {}
"""The kernel file that defines each of them, as a path in the kernel's source."""


class Traced(Protocol):
    """The first argument of a model: the kernel, or a driver's device, which has its kernel's trace."""

    @property
    def trace(self) -> Trace | None:
        """The trace that watches, or None."""


SHORTCUTS: dict[str, Shortcut] = {}
"""Faster ways to the same result, by the name of the kernel function: see :mod:`memsim.fast`."""


class Shortcut(NamedTuple):
    """A faster way to the state that a kernel function leaves, and to what it returns."""

    function: Callable[..., Any]
    """Takes the same arguments; returns NotImplemented, with nothing done, for calls that it cannot serve."""
    suits: Callable[[Any], bool]
    """Whether a kernel of this release, patch and configuration may take it."""


def kernel_function(
    file: str, *, probe: bool = True
) -> Callable[[Callable[Concatenate[K, P], R]], Callable[Concatenate[K, P], R]]:
    """Mark the model of a function of the kernel's ``file``: its entry and return are probe points.

    The model stands below ``memsim/linux/`` under the path of that file (tests/unit/test_kernel_files.py).
    Without ``probe`` it reports to no trace: it is called for nearly every page. On a kernel that nothing
    watches, its shortcut replaces it if the kernel may take that.
    """

    def mark(function: Callable[Concatenate[K, P], R]) -> Callable[Concatenate[K, P], R]:
        name = function.__name__
        FUNCTIONS[name] = cast("FunctionType", function)
        KERNEL_FILES[name] = file

        @functools.wraps(function)
        def call(first: K, *args: P.args, **kwargs: P.kwargs) -> R:
            trace = first.trace
            if trace is None or not probe or name in trace.unwatched:
                if name in SHORTCUTS and name in (shortcuts := first.shortcuts):  # type: ignore[attr-defined]  # a kernel
                    result: R = shortcuts[name](first, *args, **kwargs)
                    if result is not NotImplemented:
                        return result
                return function(first, *args, **kwargs)
            trace.enter(name, args)
            try:
                return function(first, *args, **kwargs)
            finally:
                trace.leave(name)

        return cast("Callable[Concatenate[K, P], R]", call)

    return mark


class Points:
    """Counts probe points within an action and numbers them."""

    unwatched: frozenset[str] = frozenset()
    """Kernel functions that may run unseen, by a shortcut if there is one, with all that they call."""

    def __init__(self) -> None:
        """Start with none."""
        self._count: dict[str, int] = {}

    def action(self, label: str) -> None:  # noqa: ARG002 (part of the protocol)
        """Begin to count again."""
        self._count.clear()

    def numbered(self, name: str) -> str:
        """Return the name with the number of its next occurrence."""
        number = self._count[name] = self._count.get(name, 0) + 1
        return f"{name}#{number}"


def matches(point: str, wanted: str) -> bool:
    """Return whether ``wanted`` (with or without ``#n``) names a numbered point.

    >>> matches("enter:online_pages#1", "enter:online_pages")
    True
    >>> matches("enter:generic_online_page#3", "enter:generic_online_page#4")
    False
    """
    return wanted in {point, point.rpartition("#")[0]}


class Probe(Points):
    """A trace that calls ``at(point)`` at each probe point, while the kernel waits."""

    def __init__(self, at: Callable[[str], None]) -> None:
        """Call ``at`` with names like ``enter:online_pages#1``."""
        super().__init__()
        self._at = at

    def enter(self, function: str, args: tuple[Any, ...]) -> None:  # noqa: ARG002 (part of the protocol)
        """Report the entry."""
        self._at(self.numbered(f"enter:{function}"))

    def leave(self, function: str) -> None:
        """Report the return."""
        self._at(self.numbered(f"return:{function}"))

    def notify(self, action: str) -> None:
        """Report the notifier call."""
        self._at(self.numbered(f"notifier:{action}"))

    def write(self, target: str, primitive: str, *args: Any) -> None:  # noqa: ANN401 (any argument)
        """Ignore writes."""
