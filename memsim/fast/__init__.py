"""Shortcuts: faster ways to the results of the models of kernel functions.

The models in :mod:`memsim.linux` do one thing after the other, as the kernel does, and are the text to read.
While nothing watches them, only the state that they leave counts, and numpy or one long function can often
make the same state sooner. Such a shortcut registers under the name of the kernel function;
:func:`~memsim.state.trace.kernel_function` then runs it in place of the model, unless a trace is running, the
kernel checks what it does (``debug_vm``), or the shortcut returns NotImplemented for this call.

``tests/property/test_shortcuts.py`` holds every shortcut against its model, on random states.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CORE = ("memsim.fast.page_alloc", "memsim.fast.page_alloc_bulk", "memsim.fast.memory_hotplug")
DRIVERS = {"hv-balloon": "memsim.fast.hv_balloon", "xen-balloon": "memsim.fast.xen_balloon"}
"""Kind of device -> the module with its driver's shortcuts; only machines with such a device load it."""


def register_shortcuts(device_kinds: Iterable[str] = ()) -> None:
    """Register the shortcuts of the core, and of the drivers of these kinds of devices."""
    for module in (*CORE, *(DRIVERS[kind] for kind in device_kinds if kind in DRIVERS)):
        import_module(module)
