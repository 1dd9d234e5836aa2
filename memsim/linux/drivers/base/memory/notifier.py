"""The memory notifier chain: ``register_memory_notifier()`` and ``memory_notify()``.

A listener is a function of (action, start_pfn, nr_pages) that returns one of the NOTIFY_ values or
what :func:`notifier_from_errno` makes of an errno; None counts as NOTIFY_DONE. The chain stops at the
first listener that says so, and nothing is rolled back: a listener can receive a CANCEL action without
ever having seen the GOING action.

Models ``include/linux/notifier.h``, ``kernel/notifier.c`` and ``drivers/base/memory.c``.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from memsim.errors import EHWPOISON, KernelError, errno_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    Listener = Callable[[str, int, int], int | None]

NOTIFY_DONE = 0
NOTIFY_OK = 1
NOTIFY_STOP_MASK = 0x8000
NOTIFY_BAD = NOTIFY_STOP_MASK | 2


def notifier_from_errno(name: str) -> int:
    """Return what a listener returns to veto with an errno.

    >>> notifier_to_errno(notifier_from_errno("EBUSY"))
    16
    """
    return NOTIFY_STOP_MASK | 1 + errno_number(name)


def notifier_to_errno(value: int) -> int:
    """Return the (positive) errno in a listener's answer, 0 for none.

    >>> notifier_to_errno(NOTIFY_BAD)  # -EPERM, not -EBUSY
    1
    """
    value &= ~NOTIFY_STOP_MASK
    return value - 1 if value > NOTIFY_OK else 0


def errno_name(number: int) -> str:
    """Return the name of an errno number."""
    return "EHWPOISON" if number == EHWPOISON else errno.errorcode[number]


def register_memory_notifier(kernel: Kernel, listener: Listener, priority: int = 0) -> None:
    """Add a listener; higher priority runs earlier, equal priorities in order of registration."""
    kernel.memory_chain.append((priority, listener))
    kernel.memory_chain.sort(key=lambda entry: -entry[0])


def unregister_memory_notifier(kernel: Kernel, listener: Listener) -> None:
    """Take a listener off the chain."""
    kernel.memory_chain[:] = [entry for entry in kernel.memory_chain if entry[1] != listener]


def memory_notify(kernel: Kernel, action: str, start_pfn: int, nr_pages: int) -> None:
    """Call the chain with an action.

    Raises
    ------
    KernelError
        With the errno that a listener vetoed a GOING action with; NOTIFY_BAD is EPERM. The other actions
        tell and do not ask: what is answered to them only ends the chain.
    """
    if kernel.trace is not None:
        kernel.trace.notify(action)
    for _, listener in list(kernel.memory_chain):
        answer = listener(action, start_pfn, nr_pages) or NOTIFY_DONE
        number = notifier_to_errno(answer)
        if number and action.startswith("MEM_GOING"):
            message = f"a listener vetoed {action} of {nr_pages} pages at pfn {start_pfn:#x}"
            raise KernelError(errno_name(number), "memory_notify", message)
        if answer & NOTIFY_STOP_MASK:
            return
