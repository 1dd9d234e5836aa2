"""memsim: memory hotplug of the Linux kernel, before and after the PageOffline patch, in Python.

>>> import memsim
>>> machine = memsim.Machine(patch=memsim.BEFORE)
>>> machine.add_memory(0x100000, 32768)
>>> machine.online(32)
True

The simulator needs numpy and nothing else; plotly and ipywidgets are imported by ``memsim.view`` and
``memsim.lesson`` only. What works on scenario files is imported when it is first asked for, so that
``import memsim`` costs little more than ``import numpy``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch

if TYPE_CHECKING:
    from memsim.scenario.comparison import compare
    from memsim.scenario.scenario import Scenario, run

__all__ = ["AFTER", "BEFORE", "Hunk", "Machine", "Patch", "Scenario", "compare", "run"]
__version__ = "0.2.0"

_FOUND_IN = {
    "Scenario": "memsim.scenario.scenario",
    "compare": "memsim.scenario.comparison",
    "run": "memsim.scenario.scenario",
}


def __getattr__(name: str) -> object:
    """Import what is asked for the first time."""
    if name not in _FOUND_IN:
        msg = f"module 'memsim' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_FOUND_IN[name]), name)
