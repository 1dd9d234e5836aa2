"""memsim: memory hotplug of the Linux kernel, before and after the PageOffline patch, in Python.

>>> import memsim
>>> machine = memsim.Machine(patch=memsim.BEFORE)
>>> machine.add_memory(0x100000, 32768)
>>> machine.online(32)
True

The simulator needs numpy and nothing else; plotly and ipywidgets are imported by ``memsim.view`` and
``memsim.lesson`` only.
"""

from memsim.comparison import compare
from memsim.machine import Machine
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.scenario import Scenario, run

__all__ = ["AFTER", "BEFORE", "Hunk", "Machine", "Patch", "Scenario", "compare", "run"]
__version__ = "0.1.0"
