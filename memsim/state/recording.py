"""The primitives that write all state, and twins of the state objects that report each write.

:data:`PRIMITIVES` lists the writing methods of memmap, zones and state with the pages that each concerns.
Tapes replay them by name, a page's history asks which of them touched it, and a test holds the list against
the classes: a write that is not in it cannot be recorded, so there must be none.

While a trace runs, memmap, zones and state are of the recorded classes (:func:`watch` sets ``__class__``),
whose primitives report to the trace what they have just written. Otherwise they are plain and report nothing:
watching costs nothing when it is off.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import Zone
from memsim.state.memmap import Memmap
from memsim.state.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.linux.include.tracepoint import Trace

    Span = Callable[[tuple[Any, ...], int], tuple[int, int]]
    """From a primitive's arguments and the pages of a memory block to (first pfn, number of pages)."""

T = TypeVar("T")


# ---- which pages a primitive is about --------------------------------------------------------------


def _range(args: tuple[Any, ...], _: int) -> tuple[int, int]:
    return args[0], args[1]


def _page(args: tuple[Any, ...], _: int) -> tuple[int, int]:
    return args[0], 1


def _block(args: tuple[Any, ...], _: int) -> tuple[int, int]:
    return args[0], 1 << args[1]


def _run_of_blocks(args: tuple[Any, ...], _: int) -> tuple[int, int]:
    return args[0].start, len(args[0]) << args[1]


def _section(args: tuple[Any, ...], _: int) -> tuple[int, int]:
    return args[0] * PAGES_PER_SECTION, PAGES_PER_SECTION


def _memory_block(args: tuple[Any, ...], block_pages: int) -> tuple[int, int]:
    return args[0] * block_pages, block_pages


def _no_page(_: tuple[Any, ...], __: int) -> tuple[int, int]:
    return 0, 0


PRIMITIVES: dict[type, dict[str, Span]] = {
    Memmap: {
        "add_section": _section,
        "remove_section": _section,
        "set_online": _section,
        "set_free_max_order": _section,
        "poison": _range,
        "init_pages": _range,
        "set_flags": _range,
        "clear_flags": _range,
        "set_type": _range,
        "clear_type": _range,
        "set_refcount": _range,
        "set_migratetype": _range,
        "reset_type": _page,
        "set_order": _page,
        "set_buddy_order": _page,
        "clear_buddy": _page,
    },
    Zone: {
        "add": _no_page,
        "set_span": _no_page,
        "set_watermark": _no_page,
        "add_to_free_list": _block,
        "add_to_free_list_tail": _block,
        "del_from_free_list": _block,
        "add_run_to_free_list_tail": _run_of_blocks,
        "del_run_from_free_list": _run_of_blocks,
        "pcp_add": _block,
        "pcp_add_tail": _block,
        "pcp_del": _block,
    },
    State: {
        "totalram_pages_add": _no_page,
        "set_block_state": _memory_block,
        "printk": _no_page,
    },
}
"""Class -> its primitives, each with the pages that it concerns."""

SPANS = {name: span for primitives in PRIMITIVES.values() for name, span in primitives.items()}
"""Primitive -> the pages that it concerns."""
PARAMETERS = {
    name: method.__code__.co_varnames[1 : method.__code__.co_argcount]
    for plain, primitives in PRIMITIVES.items()
    for name, method in vars(plain).items()
    if name in primitives
}
"""Primitive -> the names of its arguments."""


# ---- the twins -------------------------------------------------------------------------------------


def subclass(prefix: str, plain: type[T], methods: dict[str, Callable[..., Any]]) -> type[T]:
    """Return a subclass with other methods, for objects that change their class while they live."""
    members = {"__module__": plain.__module__, "__doc__": plain.__doc__, **methods}
    return type(f"{prefix}{plain.__name__}", (plain,), members)


def _reporting(name: str, primitive: Callable[..., None]) -> Callable[..., None]:
    """Return a primitive that reports to ``self.trace`` what it has written."""

    @functools.wraps(primitive)
    def write(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (a memmap, a zone or a state)
        if kwargs:
            args = (*args, *kwargs.values())
        primitive(self, *args)
        self.trace.write(self.name, name, *args)

    return write


@functools.cache
def recorded(plain: type[T], primitives: tuple[Callable[..., None], ...]) -> type[T]:
    """Return the twin of a class: a subclass with these primitives, which report what they wrote."""
    named = zip(PRIMITIVES[plain], primitives, strict=True)
    return subclass("Recorded", plain, {name: _reporting(name, primitive) for name, primitive in named})


def is_recorded(kind: type) -> bool:
    """Return whether a class is the twin of another."""
    return kind not in PRIMITIVES and kind.__base__ in PRIMITIVES and kind.__name__.startswith("Recorded")


def watch(state: State, trace: Trace | None) -> None:
    """Report every write to a state, its memmap and its zones to ``trace``; None: stop reporting."""
    for part in (state, state.memmap, *state.zones):
        _watch(part, trace)


def _watch(part: Any, trace: Trace | None) -> None:  # noqa: ANN401 (a state, a memmap or a zone)
    kind = type(part)
    plain: Any = kind.__base__ if is_recorded(kind) else kind
    if plain not in PRIMITIVES:
        msg = f"a {kind.__name__} cannot be watched: watch a copy() of its state"
        raise TypeError(msg)
    part.trace = trace
    if trace is None:
        part.__class__ = plain
    else:
        part.__class__ = recorded(plain, tuple(getattr(plain, name) for name in PRIMITIVES[plain]))
