"""Readers of the memmap: "what would you do with this page, before and after the patch, and why?".

The patch replaces PG_reserved by the type Offline on pages that were not given to the buddy, and clears
PG_reserved on self-hosted vmemmap. Whether that is harmless depends on every reader of these marks. Each
reader is a :class:`~memsim.walkers.walker.Walker`: its questions in the kernel's order, the review's claim
about it, and whether the claim holds when it is executed; all of it data.

>>> from memsim import AFTER, BEFORE, Machine
>>> machines = [Machine(patch=patch, memmap_on_memory=True) for patch in (BEFORE, AFTER)]
>>> for machine in machines:
...     machine.add_memory(0x100000, 32768)
...     _ = machine.online(32, "online_movable")
>>> before, after = (machine.kernel for machine in machines)
>>> WALKERS["isolate_contig"].decide(before, 0x100000)[:2]
('unmovable', 'pfn 0x100000: PG_reserved is set')
>>> [str(walker) for walker in disagreeing(before, after, 0x100000, met=True)]
['contig_valid', 'isolate_contig', 'kpageflags', 'ioremap', 'bad_page']

Left out: readers in drivers and on other architectures, movable_ops and huge pages, the zero page, kexec
(it sets PG_reserved on its own control pages, and reads it nowhere), and the balloons' own use of Offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.walkers import missed, other, review
from memsim.walkers.subject import Subject, vmcoreinfo
from memsim.walkers.walker import Finding, Step, Verdict, Walker

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

WALKERS: dict[str, Walker] = {
    walker.name: walker for walker in (*review.WALKERS, *missed.WALKERS, *other.WALKERS)
}


def verdicts(kernel: Kernel, pfn: int) -> dict[str, Verdict]:
    """Return what each walker of this kernel's release does with a page."""
    subject, release = Subject(kernel, pfn), kernel.release.name
    return {name: w.judge(subject) for name, w in WALKERS.items() if release in w.releases}


def disagreeing(before: Kernel, after: Kernel, pfn: int, *, met: bool = False) -> list[Walker]:
    """Return the walkers whose action differs between two kernels.

    With ``met`` only those that come across such a page on one of the two, so that the difference is real;
    without it also those that would answer differently on paper.
    """
    old, new = verdicts(before, pfn), verdicts(after, pfn)
    return [
        WALKERS[name]
        for name in old
        if name in new
        and old[name].action != new[name].action
        and (old[name].met or new[name].met or not met)
    ]


__all__ = ["WALKERS", "Finding", "Step", "Verdict", "Walker", "disagreeing", "verdicts", "vmcoreinfo"]
