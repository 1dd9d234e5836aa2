"""memsim: memory hotplug of the Linux kernel, before and after the PageOffline patch, in Python.

>>> import memsim
>>> machine = memsim.Machine(patch="before")
>>> machine.add_memory(0x100000, 32768)
>>> machine.online(32)
True
>>> machine
Machine(6.12, before the patch, 640 MiB, blocks 0-3, 32 online)

A machine and its kernel:

- :class:`Machine`: RAM on which a kernel has booted, and what one does to it
- :func:`PageReserved`, :func:`PageOffline`, :func:`PageBuddy`, :func:`PageHWPoison`, :func:`page_ref_count`,
  :func:`page_to_pfn`: the kernel's functions for a page, which ``machine.page(pfn)`` returns
- :class:`Patch`, :class:`Hunk`, :data:`BEFORE`, :data:`AFTER`: the patch as a set of hunks

Scenarios and recordings:

- :class:`Scenario`, :func:`run`: a machine and the steps to take on it, from a JSON file or a dict
- :func:`compare`: a scenario on two kernels that differ in nothing but the patch
- :func:`verify`: the simulator against recordings of real kernels, page by page

Logs of real kernels:

- :func:`explain`: the pages that a kernel log, a bug report or a mail is about

Notebooks:

- :func:`explore`: two kernels side by side, moment by moment
- :func:`show_patch`, :func:`show_source`: the patch and the models, and your own kernel tree beside them
- :func:`buddy_lab`, :func:`driver_lab`, :func:`half_patch`, :func:`decode_page`: labs

Errors:

- :class:`MemsimError`: the base of all
- :class:`KernelError`, :class:`KernelBug`, :class:`BadPage`: what the simulated kernel refuses or dies of
- :class:`BadScenario`, :class:`BadObservation`: a file that breaks its format

The models of kernel functions are in :mod:`memsim.linux`, under the kernel's paths and names. The
simulator needs only numpy. The modules behind these names are imported when one of them is first used.
"""

from typing import TYPE_CHECKING

from memsim.errors import BadObservation, BadPage, BadScenario, KernelBug, KernelError, MemsimError
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.reexport import imported_on_first_use

if TYPE_CHECKING:
    from memsim.machine.machine import Machine
    from memsim.real.explanation import explain
    from memsim.recordings.verify import verify
    from memsim.scenario.comparison import compare
    from memsim.scenario.scenario import Scenario, run
    from memsim.state.page import (
        PageBuddy,
        PageHWPoison,
        PageOffline,
        PageReserved,
        page_ref_count,
        page_to_pfn,
    )
    from memsim.view.buddy_lab.widget import buddy_lab
    from memsim.view.decode import decode_page
    from memsim.view.driver_lab.widget import driver_lab
    from memsim.view.explorer.explorer import explore
    from memsim.view.half_patch.widget import half_patch
    from memsim.view.patch import show_patch, show_source

__all__ = [
    "AFTER",
    "BEFORE",
    "BadObservation",
    "BadPage",
    "BadScenario",
    "Hunk",
    "KernelBug",
    "KernelError",
    "Machine",
    "MemsimError",
    "PageBuddy",
    "PageHWPoison",
    "PageOffline",
    "PageReserved",
    "Patch",
    "Scenario",
    "buddy_lab",
    "compare",
    "decode_page",
    "driver_lab",
    "explain",
    "explore",
    "half_patch",
    "page_ref_count",
    "page_to_pfn",
    "run",
    "show_patch",
    "show_source",
    "verify",
]
__version__ = "0.2.0"

__getattr__ = imported_on_first_use(
    __name__,
    {
        "memsim.machine.machine": ("Machine",),
        "memsim.real.explanation": ("explain",),
        "memsim.recordings.verify": ("verify",),
        "memsim.scenario.comparison": ("compare",),
        "memsim.scenario.scenario": ("Scenario", "run"),
        "memsim.state.page": (
            "PageBuddy",
            "PageHWPoison",
            "PageOffline",
            "PageReserved",
            "page_ref_count",
            "page_to_pfn",
        ),
        "memsim.view.buddy_lab.widget": ("buddy_lab",),
        "memsim.view.decode": ("decode_page",),
        "memsim.view.driver_lab.widget": ("driver_lab",),
        "memsim.view.explorer.explorer": ("explore",),
        "memsim.view.half_patch.widget": ("half_patch",),
        "memsim.view.patch": ("show_patch", "show_source"),
    },
)


def __dir__() -> list[str]:
    """List the public names, so that completion shows them."""
    return [*__all__, "__doc__", "__version__"]
