"""Notifier chains: ``kernel/notifier.c``.

A chain is a list of (priority, listener). A listener is a function of an action and what comes with it; it
returns one of the ``NOTIFY_`` values or what :func:`~memsim.linux.include.notifier.notifier_from_errno` makes
of an errno, and None counts as NOTIFY_DONE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import KernelError
from memsim.linux.include.errno import NAMES
from memsim.linux.include.notifier import NOTIFY_DONE, NOTIFY_STOP_MASK, answer_of, notifier_to_errno

if TYPE_CHECKING:
    from collections.abc import Callable

    AnyListener = Callable[..., int | None]
    Chain = list[tuple[int, AnyListener]]


def blocking_notifier_chain_register(chain: Chain, listener: AnyListener, priority: int) -> None:
    """Add a listener; higher priority runs earlier, equal priorities in order of registration."""
    chain.append((priority, listener))
    chain.sort(key=lambda entry: -entry[0])


def blocking_notifier_chain_unregister(chain: Chain, listener: AnyListener) -> None:
    """Take a listener off the chain."""
    chain[:] = [entry for entry in chain if entry[1] != listener]


def blocking_notifier_call_chain(chain: Chain, action: str, *arg: Any) -> int:  # noqa: ANN401 (a void pointer)
    """Call listener after listener until one says stop; return the answer of the last that was called."""
    answer = NOTIFY_DONE
    for _, listener in list(chain):
        answer = answer_of(listener(action, *arg) or NOTIFY_DONE, action)
        if answer & NOTIFY_STOP_MASK:
            break
    return answer


def check_veto(answer: int, stage: str, what: str) -> None:
    """Raise the errno, if there is one, in the answer that a chain gave to an action (``what``, in words)."""
    number = notifier_to_errno(answer)
    if number:
        raise KernelError(NAMES[number], stage, f"a listener vetoed {what}")
