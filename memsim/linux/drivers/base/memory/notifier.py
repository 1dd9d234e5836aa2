"""The memory notifier chain: ``register_memory_notifier()`` and ``memory_notify()``.

A listener is a function of (action, start_pfn, nr_pages); see :mod:`memsim.linux.kernel.notifier` for what it
returns. The chain stops at the first listener that says so, and nothing is rolled back: a listener can
receive a CANCEL action without ever having seen the GOING action.

Models the functions of ``drivers/base/memory.c``. Left out: what else comes with an action, the node whose
first or last memory it is (up to 6.16; then :mod:`memsim.linux.drivers.base.node` has a chain for that) and,
with MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE, the pages that hold the block's own memmap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.kernel.notifier import (
    blocking_notifier_call_chain,
    blocking_notifier_chain_register,
    blocking_notifier_chain_unregister,
    check_veto,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    Listener = Callable[[str, int, int], int | None]

_ASKING = ("MEM_PREPARE_ONLINE", "MEM_GOING_ONLINE", "MEM_GOING_OFFLINE")
"""An answer to any other action can only end the chain."""


def register_memory_notifier(kernel: Kernel, listener: Listener, priority: int = 0) -> None:
    """Add a listener; higher priority runs earlier, equal priorities in order of registration."""
    blocking_notifier_chain_register(kernel.memory_chain, listener, priority)


def unregister_memory_notifier(kernel: Kernel, listener: Listener) -> None:
    """Take a listener off the chain."""
    blocking_notifier_chain_unregister(kernel.memory_chain, listener)


def memory_notify(kernel: Kernel, action: str, start_pfn: int, nr_pages: int) -> None:
    """Call the chain with an action.

    Raises
    ------
    KernelError
        With the errno that a listener vetoed a GOING action or MEM_PREPARE_ONLINE with; NOTIFY_BAD is EPERM.
    """
    if kernel.trace is not None:
        kernel.trace.notify(action)
    answer = blocking_notifier_call_chain(kernel.memory_chain, action, start_pfn, nr_pages)
    if action in _ASKING:
        check_veto(answer, "memory_notify", f"{action} of {nr_pages} pages at pfn {start_pfn:#x}")
