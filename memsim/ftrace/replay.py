"""Replay a trace of the kernel's page allocator on a simulated machine.

The machine answers with pages of its own choice, so each page of the trace is remembered with the page that
stands for it. A trace begins in the middle of a machine's life: it frees pages that it never allocated. Those
are counted and left alone, like everything else that a real trace may hold.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.ftrace.events import ALLOC, FREE, BadLineError, Event, lines, lost_events, parse, skipped
from memsim.linux.include.layout import MAX_PAGE_ORDER
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from memsim.machine.machine import Machine

BAD_LINES_SHOWN = 5
LINES_BETWEEN_TICKS = 8192
free_pages = __free_pages


@dataclass
class Counts:
    """The counts of a replay so far."""

    lines: int = 0
    bytes_read: int = 0
    allocated: int = 0
    freed: int = 0
    failed: int = 0
    """Allocations that failed in the trace."""
    no_memory: int = 0
    """Allocations for which the simulated machine is too small; they count as allocated in no way."""
    unknown: int = 0
    """Pages that were freed and that the trace had not allocated."""
    repeated: int = 0
    """Pages that were allocated twice: the event that freed them is missing."""
    echoes: int = 0
    """``mm_page_free_batched`` of a page whose ``mm_page_free`` came before, as is usual."""
    split: int = 0
    """Times that a block was taken apart because a part of it was freed."""
    reordered: int = 0
    """Blocks that were freed as if they were larger."""
    lost: int = 0
    """Events that ftrace says that it lost."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Lines that are no events of the page allocator, by kind."""
    malformed: int = 0
    bad_lines: list[tuple[int, str, bytes]] = field(default_factory=list)
    """The first malformed ones: line number, what is wrong, the line."""
    pages: int = 0
    peak: int = 0
    """Most pages that were allocated at one time."""

    @property
    def events(self) -> int:
        """Events of the page allocator."""
        return self.allocated + self.freed + self.failed + self.no_memory + self.unknown + self.echoes


class Replay:
    """A machine and what it holds for a trace."""

    def __init__(self, machine: Machine) -> None:
        """Start with nothing allocated."""
        self.kernel = machine.kernel
        self.counts = Counts()
        self.held: dict[int, tuple[int, int]] = {}
        """First pfn of a block in the trace -> (first pfn here, order)."""

    def run(self, trace: BinaryIO, tick: Callable[[Counts], None] = lambda _: None) -> None:
        """Replay a file, calling ``tick`` every few thousand lines."""
        counts = self.counts
        for line in lines(trace):
            counts.lines += 1
            counts.bytes_read += len(line) + 1
            try:
                event = parse(line)
            except BadLineError as problem:
                self.malformed(str(problem), line)
                continue
            if event is not None:
                self.do(event)
            else:
                counts.lost += lost_events(line)
                counts.skipped[skipped(line)] += 1
            if counts.lines % LINES_BETWEEN_TICKS == 0:
                tick(counts)

    def malformed(self, problem: str, line: bytes) -> None:
        """Count a malformed line, and keep the first ones."""
        self.counts.malformed += 1
        if len(self.counts.bad_lines) < BAD_LINES_SHOWN:
            self.counts.bad_lines.append((self.counts.lines, problem, line))

    def do(self, event: Event) -> None:
        """Replay one event."""
        if event.kind == ALLOC:
            if event.failed:
                self.counts.failed += 1
            else:
                self.alloc(event)
        elif event.pfn in self.held or self.find(event.pfn, event.order):
            self.free(event.pfn, event.order)
        elif event.kind == FREE:
            self.counts.unknown += 1
        else:
            self.counts.echoes += 1

    def alloc(self, event: Event) -> None:
        """Allocate a block."""
        counts = self.counts
        if event.pfn in self.held:
            counts.repeated += 1
            self.let_go(event.pfn)
        try:
            pfn = alloc_pages(self.kernel, event.order, event.migratetype)
        except KernelError:
            counts.no_memory += 1
            return
        self.held[event.pfn] = pfn, event.order
        counts.allocated += 1
        counts.pages += 1 << event.order
        counts.peak = max(counts.peak, counts.pages)

    def let_go(self, pfn: int) -> None:
        """Free a block that is held."""
        here, order = self.held.pop(pfn)
        free_pages(self.kernel, here, order)
        self.counts.pages -= 1 << order

    def free(self, pfn: int, order: int) -> None:
        """Free a block that is held, or its first part."""
        held = self.held[pfn][1]
        if order < held:
            self.split(pfn, order)
        elif order > held:
            self.counts.reordered += 1
        self.let_go(pfn)
        self.counts.freed += 1

    def find(self, pfn: int, order: int) -> bool:
        """Look for a block that holds ``pfn`` further in; make it a block of its own if there is one."""
        for larger in range(order + 1, MAX_PAGE_ORDER + 1):
            head = pfn & -(1 << larger)
            if head in self.held and head + (1 << self.held[head][1]) > pfn:
                while head != pfn:
                    self.split(head, self.held[head][1] - 1)
                    size = 1 << self.held[head][1]
                    head += size if pfn >= head + size else 0
                return True
        return False

    def split(self, pfn: int, order: int) -> None:
        """Make blocks of their own of a block's halves, until the first one is of ``order``: split_page()."""
        self.counts.split += 1
        here, held = self.held[pfn]
        while held > order:
            held -= 1
            self.kernel.memmap.set_refcount(here + (1 << held), 1, 1)
            self.held[pfn + (1 << held)] = here + (1 << held), held
        self.held[pfn] = here, held
