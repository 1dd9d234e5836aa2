"""Page allocator events in the text that ftrace, ``trace-cmd report`` and ``perf script`` print.

The events ``mm_page_alloc``, ``mm_page_free`` and ``mm_page_free_batched`` of ``include/trace/events/kmem.h``
as the files ``trace`` and ``trace_pipe`` of tracefs show them, or ``perf script``, which puts ``kmem:`` in
front of their names. Up to Linux 3.2 the latter two were called ``mm_page_free_direct`` and
``mm_pagevec_free``. Old kernels print the pfn in decimal, newer ones in hexadecimal. Stack traces, other
events and lines of the function tracers may stand between them; :func:`skipped` says what a line is.

Left out: ``trace.dat`` and ``perf.data`` (their tools print this text), and the rest of ``kmem``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from memsim.errors import MemsimError
from memsim.linux.include.layout import MAX_PAGE_ORDER, MAX_PHYSMEM_PFN
from memsim.linux.include.mmzone import MIGRATE_PCPTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

ALLOC, FREE, FREE_BATCHED = b"alloc", b"free", b"free_batched"
CHUNK = 1 << 20
"""Bytes per read."""
LONGEST_LINE = 1 << 16
"""A line that is longer is no event, and is not kept."""

_NAMES = rb"\bmm_(page_alloc|page_free_batched|page_free_direct|page_free|pagevec_free):"
_EVENT = re.compile(
    _NAMES + rb" +page=[^ ]+ +"
    rb"pfn=(0x[0-9a-fA-F]+|[0-9]+) +order=([0-9]+)(?: +migratetype=([0-9]+))?(?=\s|$)"
)
_OURS = re.compile(_NAMES)
_KINDS = {
    b"page_alloc": ALLOC,
    b"page_free": FREE,
    b"page_free_direct": FREE,
    b"page_free_batched": FREE_BATCHED,
    b"pagevec_free": FREE_BATCHED,
}
_HEAD = 512
_MOST_DIGITS = 100
"""Bytes of a line that say what it is; no expression is tried on more."""
_SKIPPED = (
    ("lines of stack traces", re.compile(rb"\s*=> |.*<stack trace ?>|.*\bkernel_stack:|\s+[0-9a-f]{6,16}\s")),
    ("other events", re.compile(rb".*\[\d+\].*\s\d+\.\d+:\s+[\w-]+(?::[\w-]+)?:")),
    (
        "lines of function tracers",
        re.compile(rb".*\[\d+\].*\s\d+\.\d+:\s.*<-|\s*\d+\)\s.*(?:\||=>)|.*\|\s.*[;{}]"),
    ),
    (
        "headers and comments",
        re.compile(rb"\s*#|\s*$|cpus=\d+\s*$|CPU:? ?\d+ is empty|version = \d|trace-cmd|\s*-{4,}"),
    ),
)
"""What else may stand in a trace: its name, and what such a line looks like."""
_LOST = re.compile(rb"CPU:\d+ \[LOST (\d+) EVENTS\]")


class BadLineError(MemsimError):
    """A line of a trace that says nothing that can be replayed; the message names the rule."""


class Event(NamedTuple):
    """One event: ``kind`` ALLOC, FREE or FREE_BATCHED; ``migratetype`` is 0 where pages are freed."""

    kind: bytes
    pfn: int
    order: int
    migratetype: int

    @property
    def failed(self) -> bool:
        """Whether the kernel found no page: it prints pfn 0 then, which it never allocates."""
        return self.kind == ALLOC and self.pfn == 0


def parse(line: bytes) -> Event | None:
    """Return the event in a line, or None for lines of other kinds.

    >>> parse(b"bash-77 [001] d..2. 9.1: mm_page_alloc: page=0x2 pfn=0x1f order=3 migratetype=1 gfp_flags=0")
    Event(kind=b'alloc', pfn=31, order=3, migratetype=1)
    >>> parse(b"bash 77 [001] 9.1: kmem:mm_page_free: page=0x2 pfn=31 order=3")
    Event(kind=b'free', pfn=31, order=3, migratetype=0)
    >>> parse(b"# tracer: nop")

    Raises
    ------
    BadLineError
        It is an event of ours whose fields are missing or impossible, or no line of a trace at all.
    """
    found = _EVENT.search(line)
    if found is None:
        if _OURS.search(line):
            msg = "an event of the page allocator must have page=, pfn= and order="
            raise BadLineError(msg)
        if skipped(line):
            return None
        msg = "neither an event nor a comment"
        raise BadLineError(msg)
    kind, pfn, order, migratetype = found.groups()
    if len(found[0]) > _MOST_DIGITS and max(map(len, (pfn, order, migratetype or b""))) > _MOST_DIGITS:
        msg = f"a number of more than {_MOST_DIGITS} digits"
        raise BadLineError(msg)
    frame, size, of_type = int(pfn, 16 if pfn[:2] == b"0x" else 10), int(order), int(migratetype or 0)
    event = Event(_KINDS[kind], frame, size, of_type)
    if size > MAX_PAGE_ORDER or of_type >= MIGRATE_PCPTYPES or frame >= MAX_PHYSMEM_PFN:
        raise BadLineError(impossible(event))
    if migratetype is None and event.kind == ALLOC:
        msg = "mm_page_alloc must have migratetype="
        raise BadLineError(msg)
    return event


def skipped(line: bytes) -> str:
    """Return the kind of a line that is no event of the page allocator; empty if no trace has such a line.

    >>> skipped(b" => free_unref_page_list"), skipped(b"cpus=8"), skipped(b"nonsense")
    ('lines of stack traces', 'headers and comments', '')
    """
    if _LOST.match(line):
        return "marks of lost events"
    head = line[:_HEAD]
    return next((name for name, form in _SKIPPED if form.match(head)), "")


def impossible(event: Event) -> str:
    """Return which number of an event cannot be."""
    if event.order > MAX_PAGE_ORDER:
        return f"order {event.order} is above {MAX_PAGE_ORDER}"
    if event.migratetype >= MIGRATE_PCPTYPES:
        return f"migratetype {event.migratetype} is none that memory is asked for with"
    return f"pfn {event.pfn:#x} is beyond {MAX_PHYSMEM_PFN - 1:#x}"


def lost_events(line: bytes) -> int:
    """Return how many events ftrace says that it lost here.

    >>> lost_events(b"CPU:3 [LOST 1207 EVENTS]")
    1207
    """
    found = _LOST.match(line)
    return int(found[1]) if found and len(found[1]) <= _MOST_DIGITS else 0


def lines(trace: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, of which one chunk at a time is in memory.

    Of a line without an end in sight the beginning is yielded, and the rest is passed over.
    """
    rest, too_long = b"", False
    while chunk := trace.read(CHUNK):
        first, *others = (rest + chunk).split(b"\n")
        if others:
            rest = others.pop()
            if not too_long:
                yield first
            yield from others
            too_long = False
        else:
            rest = first
        if len(rest) > LONGEST_LINE:
            if not too_long:
                yield rest[:LONGEST_LINE]
            rest, too_long = b"", True
    if rest and not too_long:
        yield rest
