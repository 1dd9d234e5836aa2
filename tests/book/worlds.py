"""Worlds in which the kernel, or what was recorded of it, is otherwise: a true claim must not be true there.

Each world breaks one thing on the lowest floor, which everything else stands on, and knows of no claim.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from unittest import mock

from memsim.errors import KernelError
from memsim.linux.drivers.base.memory import notifier
from memsim.linux.include import layout
from memsim.linux.include.mmzone import Zone
from memsim.linux.include.page_flags import PageTypeEncoding
from memsim.linux.mm.page_alloc import buddy as page_alloc
from memsim.recordings.observation import Observation
from memsim.state.kernel import Kernel
from memsim.state.memmap import Memmap
from memsim.state.state import State

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing(*_: object, **__: object) -> None:
    """Do not do it."""


def instead(owner: object, name: str, value: Any) -> Callable[[], Any]:
    return lambda: mock.patch.object(owner, name, value)


def wrapped(owner: object, name: str, change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return a patch that changes what a function returns."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def changed(*args: Any, **kwargs: Any) -> Any:
        return change(original(*args, **kwargs))

    return instead(owner, name, changed)


def tampered(value: Any) -> Any:
    """Return what was recorded with every number one too high, and every word another."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}?"
    if isinstance(value, dict):
        return {key: tampered(each) for key, each in value.items()}
    return [tampered(each) for each in value]


def double(zone: Zone, counter: str, delta: int) -> None:
    _ADD(zone, counter, 2 * delta)


def other_errno(error: KernelError, _name: str, stage: str, message: str) -> None:
    _KERNEL_ERROR(error, "EXDEV", stage, message)


_ADD, _KERNEL_ERROR = Zone.add, KernelError.__init__
# First those that most claims notice soon: a claim is not checked in those that follow.
WORLDS: dict[str, Callable[[], Any]] = {
    "no hunk acts": instead(Kernel, "has", lambda *_: False),
    "all hunks act": instead(Kernel, "has", lambda *_: True),
    "flags are not set": instead(Memmap, "set_flags", nothing),
    "types are not set": instead(Memmap, "set_type", nothing),
    "counters move twice as far": instead(Zone, "add", double),
    "every errno is another": instead(KernelError, "__init__", other_errno),
    "recordings are forged": wrapped(Observation, "probe", tampered),
    "recorded pages are forged": wrapped(Observation, "page_counts_at", lambda counts: {"?": len(counts)}),
    "the log is lost": instead(State, "printk", nothing),
    "words are shifted": wrapped(PageTypeEncoding, "page_type", lambda word: word ^ 0x11111111),
    "references are not counted": instead(Memmap, "set_refcount", nothing),
    "nothing is poisoned": instead(Memmap, "poison", nothing),
    "pageblocks have no migratetype": instead(Memmap, "set_migratetype", nothing),
    "no section is online": instead(Memmap, "set_online", nothing),
    "buddies do not merge": instead(page_alloc, "page_is_buddy", lambda *_: False),
    "the largest order is 9": wrapped(layout, "count_trailing_zeros", lambda order: min(order, 9)),
    "a refusal does not count": instead(notifier, "notifier_to_errno", lambda _: 0),
    "pages are not initialised": instead(Memmap, "init_pages", nothing),
    "boot memory is not freed": instead(Memmap, "set_free_max_order", nothing),
    "free lists are the other way round": instead(Zone, "add_to_free_list", Zone.add_to_free_list_tail),
}
