"""A small zone, and a script that changes it line by line, with undo: the logic of the buddy lab.

The machine has a few MiB of zone Normal and nothing else, so that everything can be seen. Per-cpu lists are
off: a freed block goes to the buddy at once. A script is lines such as ::

    allocate 0 movable x16
    free 0x100000
    isolate 0x100200
    unisolate 0x100200 movable

Movable pages are user pages on the LRU, as :meth:`memsim.machine.machine.Machine.allocate` makes them;
blocks of several pages are compound pages (``__GFP_COMP``).

Left out: watermarks, reclaim, compaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.errors import KernelError, MemsimError
from memsim.linux.include.layout import (
    MAX_PAGE_ORDER,
    pageblock_nr_pages,
    pageblock_start_pfn,
)
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.migrate import free_lru_page, prep_lru_page
from memsim.linux.mm.page_alloc.api import alloc_pages
from memsim.linux.mm.page_isolation import start_isolate_page_range, undo_isolate_page_range
from memsim.machine.arguments import parse_migratetype
from memsim.machine.machine import Machine, free_pages
from memsim.machine.why_not_merged import why_not_merged
from memsim.patch import AFTER
from memsim.view.buddy_lab.log import FreeListWatch
from memsim.view.model.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIRST_PFN = 0x100000
SIZES = (4, 8, 16, 32, 64, 128)
"""MiB that the zone may have."""
PAGES_PER_MIB = 256
MOST_AT_ONCE = 512

HELP = (
    "allocate ORDER MIGRATETYPE [xN], free PFN | every other | all, isolate PFN, "
    "unisolate PFN [MIGRATETYPE], why PFN"
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a line of a script: an answer, and what happened on the free lists."""

    line: str
    answer: str
    happened: tuple[str, ...] = ()
    failed: bool = False

    @property
    def headline(self) -> str:
        """The line and its answer."""
        return f"{'✗ ' if self.failed else ''}{self.line}: {self.answer}"


@dataclass
class BuddyScript:
    """A zone and the lines that led to its state.

    Parameters
    ----------
    size_mib
        One of ``SIZES``.
    release
        ``"6.12"`` or ``"6.1"``, which differ in stealing and isolation.
    """

    size_mib: int = 8
    release: str = "6.12"
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Boot, and execute the given lines."""
        lines, self.lines = self.lines, []
        self._boot()
        self.outcome = Outcome("boot", f"{self.nr_pages} pages, all free")
        for line in lines:
            self.do(line)

    def _boot(self) -> None:
        if self.size_mib not in SIZES:
            msg = f"size_mib {self.size_mib!r} must be one of {', '.join(map(str, SIZES))}"
            raise MemsimError(msg)
        self.machine = Machine([(FIRST_PFN, self.nr_pages)], AFTER, self.release)
        self.allocated: dict[int, tuple[int, str]] = {}
        """First pfn of each allocated block -> its order and the migratetype that was asked for."""

    @property
    def nr_pages(self) -> int:
        """Pages of the zone."""
        return self.size_mib * PAGES_PER_MIB

    # ---- doing -------------------------------------------------------------------------------

    def do(self, line: str, *, watched: bool = True) -> Outcome:
        """Execute one line and return its outcome; ``lines`` keeps only what changed something.

        Without ``watched`` the outcome does not say what happened on the free lists, which is faster.
        """
        line = " ".join(line.split())
        try:
            action, keep = self._parse(line)
        except MemsimError as problem:
            return self._refuse(line or "(nothing)", str(problem))
        self.outcome = self._answered(line, action, watched=watched)
        if keep and not self.outcome.failed:
            self.lines.append(line)
        return self.outcome

    def _answered(self, line: str, action: Callable[[], str], *, watched: bool) -> Outcome:
        """Execute a line, with a trace or without; a kernel error is an answer, too."""
        watch = FreeListWatch()
        self.machine.kernel.put_trace(watch if watched else None)
        try:
            answer, failed = action(), False
        except MemsimError as problem:
            answer, failed = str(problem), True
        finally:
            self.machine.stop_recording()
        return Outcome(line, answer, tuple(watch.story()), failed)

    def _refuse(self, line: str, why: str) -> Outcome:
        self.outcome = Outcome(line, why, failed=True)
        return self.outcome

    def undo(self) -> Outcome:
        """Undo the last line: boot again and execute the lines before it."""
        if not self.lines:
            return self._refuse("undo", "there is nothing to undo")
        *lines, last = self.lines
        self._replay(lines)
        self.outcome = Outcome("undo", f"took back: {last}")
        return self.outcome

    def restart(
        self, *, size_mib: int | None = None, release: str | None = None, keep: bool = False
    ) -> Outcome:
        """Boot again, possibly another machine; with ``keep`` execute the same lines there."""
        self.size_mib = self.size_mib if size_mib is None else size_mib
        self.release = self.release if release is None else release
        lines = self.lines if keep else []
        self._replay(lines)
        again = f"; the same {len(lines)} {plural(len(lines), 'line')} done again" if lines else ""
        if len(self.lines) != len(lines):
            again = f"; of {len(lines)} lines {len(self.lines)} could be done again"
        self.outcome = Outcome("start", f"{self.size_mib} MiB, Linux {self.release}{again}")
        return self.outcome

    def _replay(self, lines: Iterable[str]) -> None:
        self._boot()
        self.lines = []
        for line in list(lines):
            self.do(line, watched=False)

    # ---- reading lines -----------------------------------------------------------------------

    def _parse(self, line: str) -> tuple[Callable[[], str], bool]:
        """Return what to do for a line, and whether it changes anything."""
        verb, _, rest = line.partition(" ")
        match verb.lower():
            case "allocate":
                return self._parse_allocate(rest), True
            case "free" if rest.lower() in {"every other", "all"}:
                step = 2 if rest.lower() == "every other" else 1
                return lambda: self._free(sorted(self.allocated)[::step]), True
            case "free":
                pfn = read_pfn(rest)
                return lambda: self._free([self._block(pfn)]), True
            case "isolate":
                pfn = self._pageblock(rest)
                return lambda: self._isolate(pfn), True
            case "unisolate":
                text, _, kind = rest.partition(" ")
                pfn, migratetype = self._pageblock(text), parse_migratetype(kind or "movable")
                return lambda: self._unisolate(pfn, migratetype), True
            case "why":
                pfn = read_pfn(rest)
                return lambda: str(why_not_merged(self.machine.kernel, pfn)), False
        msg = f"{line!r} is not a line of a script. Lines are: {HELP}"
        raise MemsimError(msg)

    def _parse_allocate(self, rest: str) -> Callable[[], str]:
        found = re.fullmatch(r"(-?\d+) (\w+)(?: x(\d+))?", rest)
        if found is None:
            msg = f"{rest!r}: write allocate ORDER MIGRATETYPE [xN], such as: allocate 0 movable x16"
            raise MemsimError(msg)
        order, kind, times = int(found[1]), found[2], int(found[3] or 1)
        if not 0 <= order <= MAX_PAGE_ORDER:
            msg = f"order {order}: blocks have the orders 0 (1 page) to {MAX_PAGE_ORDER} (MAX_PAGE_ORDER)"
            raise MemsimError(msg)
        if not 1 <= times <= MOST_AT_ONCE:
            msg = f"x{times}: from 1 to {MOST_AT_ONCE} blocks can be asked for at once"
            raise MemsimError(msg)
        migratetype = parse_migratetype(kind)
        return lambda: self._allocate(order, migratetype, times)

    def _block(self, pfn: int) -> int:
        """Return the first page of the allocated block that holds a page."""
        for head, (order, _) in self.allocated.items():
            if head <= pfn < head + (1 << order):
                return head
        msg = f"page {pfn:#x} is not allocated: only what was allocated can be freed"
        raise MemsimError(msg)

    def _pageblock(self, text: str) -> int:
        """Return the first page of a pageblock of the zone."""
        pfn = pageblock_start_pfn(read_pfn(text))
        if not FIRST_PFN <= pfn < FIRST_PFN + self.nr_pages:
            end = FIRST_PFN + self.nr_pages - 1
            msg = f"page {pfn:#x} is not in the zone, which reaches from {FIRST_PFN:#x} to {end:#x}"
            raise MemsimError(msg)
        return pfn

    # ---- what lines do -----------------------------------------------------------------------

    def _allocate(self, order: int, migratetype: MigrateType, times: int) -> str:
        kernel, name = self.machine.kernel, migratetype.name.lower()
        got: list[int] = []
        for _ in range(times):
            try:
                pfn = alloc_pages(kernel, order, migratetype)
            except KernelError as error:
                if not got:
                    raise
                return f"{_pfns(got)}, then {error}"
            self._prep(pfn, order, migratetype)
            self.allocated[pfn] = order, name
            got.append(pfn)
        return _pfns(got)

    def _prep(self, pfn: int, order: int, migratetype: MigrateType) -> None:
        """Make a block what its user wants: on the LRU if movable, compound if of several pages."""
        if migratetype == MigrateType.MOVABLE:
            prep_lru_page(self.machine.kernel, pfn, order)
        elif order:
            self.machine.kernel.memmap.set_flags(pfn, 1, PageFlag.HEAD)
            self.machine.kernel.memmap.set_order(pfn, order)

    def _free(self, pfns: list[int]) -> str:
        if not pfns:
            msg = "nothing is allocated"
            raise MemsimError(msg)
        kernel = self.machine.kernel
        for pfn in pfns:
            order, _ = self.allocated.pop(pfn)
            if kernel.memmap.flags(pfn) & PageFlag.LRU:
                free_lru_page(kernel, pfn)
            else:
                kernel.memmap.set_order(pfn, 0)
                free_pages(kernel, pfn, order)
        return f"freed {pfns[0]:#x}" if len(pfns) == 1 else f"freed {len(pfns)} blocks"

    def _isolate(self, pfn: int) -> str:
        start_isolate_page_range(self.machine.kernel, pfn, pageblock_nr_pages, memory_offline=False)
        return "isolated: what is or becomes free in this pageblock is not allocated"

    def _unisolate(self, pfn: int, migratetype: MigrateType) -> str:
        if self.machine.kernel.memmap.migratetype(pfn) != MigrateType.ISOLATE:
            msg = f"pageblock {pfn:#x} is not isolated"
            raise MemsimError(msg)
        undo_isolate_page_range(self.machine.kernel, pfn, pageblock_nr_pages, migratetype)
        return f"no longer isolated; the pageblock is {migratetype.name.lower()}, whatever it was before"


def read_pfn(text: str) -> int:
    """Return the pfn that ``text`` is, in hexadecimal with 0x or in decimal.

    >>> read_pfn("0x100000") == read_pfn("1048576")
    True
    """
    try:
        return int(text.strip(), 0)
    except ValueError:
        msg = f"{text!r} is not a pfn: write one such as {FIRST_PFN:#x}"
        raise MemsimError(msg) from None


def _pfns(got: list[int]) -> str:
    if len(got) == 1:
        return f"got {got[0]:#x}"
    return f"got {len(got)} blocks, the first at {got[0]:#x}, the last at {got[-1]:#x}"
