"""Where shortcuts register, and which kernels they suit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from memsim.state.trace import SHORTCUTS, Shortcut

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.kernel import Kernel

    F = TypeVar("F", bound=Callable[..., Any])


def frees_plainly(kernel: Kernel) -> bool:
    """Return whether freed pages go to the buddy at once, and a page has at most one type."""
    return not (kernel.release.encoding.inverted or kernel.per_cpu_lists or kernel.watermarks)


def every_kernel(_: Kernel) -> bool:
    """Return True."""
    return True


def shortcut(model: Callable[..., Any], suits: Callable[[Kernel], bool] = every_kernel) -> Callable[[F], F]:
    """Register a function as the shortcut of a kernel function, given by its model.

    ``suits`` says whether a kernel may take the shortcut, whatever the arguments.
    """

    def register(function: F) -> F:
        SHORTCUTS[model.__name__] = Shortcut(function, suits)
        return function

    return register
