"""The node notifier chain (6.17): ``drivers/base/node.c``.

A listener is a function of (action, node); see :mod:`memsim.linux.kernel.notifier` for what it returns. It
hears of a node that gets its first memory and of one that loses its last, and may refuse both.

Left out: everything else of nodes. A machine has one, node 0, with all memory on it; so the chain is called
only on a machine whose boot memory can go offline altogether. Hot-added memory on a node of its own, as in
the recordings and the lab, would come with NODE_ADDING_FIRST_MEMORY when its first block comes online.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.kernel.notifier import (
    blocking_notifier_call_chain,
    blocking_notifier_chain_register,
    check_veto,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    NodeListener = Callable[[str, int], int | None]


def register_node_notifier(kernel: Kernel, listener: NodeListener, priority: int = 0) -> None:
    """Add a listener; higher priority runs earlier, equal priorities in order of registration."""
    blocking_notifier_chain_register(kernel.node_chain, listener, priority)


def node_notify(kernel: Kernel, action: str) -> None:
    """Call the chain with an action of node 0.

    Raises
    ------
    KernelError
        With the errno that a listener vetoed NODE_ADDING_FIRST_MEMORY or NODE_REMOVING_LAST_MEMORY with.
    """
    if kernel.trace is not None:
        kernel.trace.notify(action)
    answer = blocking_notifier_call_chain(kernel.node_chain, action, 0)
    if action in {"NODE_ADDING_FIRST_MEMORY", "NODE_REMOVING_LAST_MEMORY"}:
        check_veto(answer, "node_notify", f"{action} of node 0")
