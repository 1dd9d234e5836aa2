"""Reports of ``bad_page()``, ``mm/page_alloc.c``, as a kernel prints them.

The log of a :class:`~memsim.machine.machine.Machine` has a line for each bad page. Here are all lines: the
page (``mm/debug.c``), why it is bad, and the call trace (``lib/dump_stack.c``). The trace is the Python call
stack, for models have the names of their functions.

Left out: the offsets in a call trace, system calls, and what :mod:`memsim.linux.mm.debug` leaves out.
Functions that a compiler would inline appear.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.linux.mm.debug import page_lines
from memsim.state.trace import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.machine.machine import Machine
    from memsim.state.page import Page

CORE = "memsim.linux."
_BY_USER = "state_store"


@dataclass(frozen=True)
class BadPageReport:
    """A page that ``bad_page()`` reported, as it was at that moment.

    Attributes
    ----------
    release
        The kernel's release.
    page
        The struct page.
    reason
        What :func:`~memsim.linux.mm.page_alloc.buddy.page_bad_reason` found.
    calls
        The functions that were running, the innermost first; those of a module have its name behind them.
    dump
        The lines of ``dump_page()``.
    """

    release: str
    page: Page
    reason: str
    calls: tuple[str, ...]
    dump: tuple[str, ...]

    @property
    def process(self) -> str:
        """The name of the current task: a shell that wrote to sysfs, or a worker of a driver."""
        return "bash" if _BY_USER in self.calls else "kworker/0:2"

    def lines(self, *, whole: bool = True) -> list[str]:
        """Return the report; without ``whole`` without the lines that name the kernel, as people cut them."""
        user = "UID: 0 " if self.release != "6.1" else ""
        kernel = [
            "Modules linked in: virtio_mem hv_balloon xen_balloon",
            f"CPU: 0 {user}PID: 731 Comm: {self.process} Not tainted {self.release}.0 #1",
        ]
        trace = ["Call Trace:", " <TASK>", *(f" {call}" for call in self.calls), " </TASK>"]
        first = f"BUG: Bad page state in process {self.process}  pfn:{self.page.pfn:05x}"
        return [first, *self.dump, *(kernel if whole else []), *trace]

    def text(self, *, whole: bool = True) -> str:
        """Return the report as text."""
        return "\n".join(self.lines(whole=whole))

    def __str__(self) -> str:
        """Show the whole report."""
        return self.text()


@contextmanager
def bad_page_reports(
    machine: Machine, modules: dict[str, str] | None = None
) -> Iterator[list[BadPageReport]]:
    """Collect what ``bad_page()`` prints while a block of code runs: at most 60 reports, as in a kernel.

    A machine that records no tape takes no shortcuts meanwhile, so that call traces are complete.

    Parameters
    ----------
    machine
        Whose kernel reports.
    modules
        Python modules whose functions are a driver's, and the name of that kernel module.

    Yields
    ------
    list of BadPageReport
        Grows as pages are reported.

    Examples
    --------
    >>> from memsim import Machine, Patch
    >>> machine = Machine(patch=Patch.without("PAGE_ALLOC"))
    >>> machine.add_memory(0x100000, 32768)
    >>> with bad_page_reports(machine) as reports:
    ...     _ = machine.online(32, "online_movable")
    >>> len(reports), reports[0].reason, reports[0].calls[3:6]
    (60, 'nonzero mapcount', ('__free_pages_core', 'generic_online_page', 'online_pages_range'))
    """
    kernel, reports = machine.kernel, list[BadPageReport]()
    before, trace = kernel.at_bad_page, kernel.trace

    def collect(pfn: int, reason: str) -> None:
        calls = tuple(call_trace(modules or {}))
        dump = tuple(page_lines(kernel, pfn, reason))
        reports.append(BadPageReport(kernel.release.name, kernel.memmap.raw(pfn), reason, calls, dump))

    kernel.at_bad_page = collect
    if trace is None:
        kernel.put_trace(Probe(lambda _point: None))
    try:
        yield reports
    finally:
        kernel.at_bad_page = before
        kernel.put_trace(trace)


def call_trace(modules: dict[str, str]) -> Iterator[str]:
    """Yield the models of kernel functions that are running, and the functions of some modules."""
    frame = sys._getframe()  # noqa: SLF001 (documented, and what inspect.stack() is made of)
    while (frame := frame.f_back) is not None:  # type: ignore[assignment]
        where, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if where.startswith(CORE):
            yield name
        elif where in modules:
            yield f"{name} [{modules[where]}]"
