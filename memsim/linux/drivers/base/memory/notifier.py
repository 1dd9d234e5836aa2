"""The memory notifier chain: ``register_memory_notifier()`` and ``memory_notify()``.

A listener is a function of (action, start_pfn, nr_pages) that returns one of the ``NOTIFY_`` values or
what :func:`~memsim.linux.include.notifier.notifier_from_errno` makes of an errno; None counts as NOTIFY_DONE.
The chain stops at the first listener that says so, and nothing is rolled back: a listener can receive a
CANCEL action without ever having seen the GOING action.

Models the functions of ``drivers/base/memory.c``, and the chain itself (``kernel/notifier.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.notifier import NOTIFY_DONE, NOTIFY_STOP_MASK, errno_name, notifier_to_errno

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    Listener = Callable[[str, int, int], int | None]


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
        With the errno that a listener vetoed a GOING action with; NOTIFY_BAD is EPERM. An answer to any
        other action can only end the chain.
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
