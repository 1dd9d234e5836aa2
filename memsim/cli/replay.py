"""``memsim replay``: a trace of the kernel's page allocator on a simulated machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.errors import MemsimError
from memsim.ftrace.replay import Counts, Replay
from memsim.linux.include.layout import NR_PAGE_ORDERS, PAGE_SHIFT
from memsim.machine.machine import Machine
from memsim.scenario.json_check import refuse_device, why_unread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from memsim.cli.commands import Commands

_PAGES_IN_GIB = 1 << 30 - PAGE_SHIFT
_SHOWN_OF_A_LINE = 80
_SECONDS_BETWEEN = {True: 0.2, False: 5.0}
"""Seconds between two progress reports: on a terminal, which keeps only the last one, and in a file."""


def add_to(commands: Commands) -> None:
    """Add ``replay``."""
    replay = commands.add_parser(
        "replay",
        description="Replay the kmem:mm_page_alloc and kmem:mm_page_free events of a trace, in the text of "
        "ftrace, trace-cmd report or perf script, on a machine of that size; then show the result. Lines "
        "that cannot be understood are counted, and the first ones shown; other lines that traces have are "
        "counted by kind. Exit status 2 if there is no event.",
    )
    replay.add_argument("trace", metavar="TRACE", help="text file, or - for standard input")
    replay.add_argument("--memory", type=int, default=16, metavar="GIB", help="default: %(default)s")
    replay.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    replay.set_defaults(command=command_replay)


def command_replay(arguments: argparse.Namespace) -> int:
    """``memsim replay``."""
    if arguments.memory < 1:
        msg = f"--memory {arguments.memory}: a machine has at least 1 GiB"
        raise MemsimError(msg)
    replay = Replay(Machine([(0, arguments.memory * _PAGES_IN_GIB)]))
    started = time.perf_counter()
    try:
        if arguments.trace == "-":
            replay.run(sys.stdin.buffer, progress(0, quiet=arguments.quiet))
        else:
            refuse_device(arguments.trace)
            with Path(arguments.trace).open("rb") as trace:
                size = Path(arguments.trace).stat().st_size
                replay.run(trace, progress(size, quiet=arguments.quiet))
    except OSError as error:
        raise MemsimError(why_unread(arguments.trace, error)) from error
    seconds = time.perf_counter() - started
    for number, problem, line in replay.counts.bad_lines:
        shown = line[:_SHOWN_OF_A_LINE].decode("utf-8", "backslashreplace")
        print(f"{arguments.trace}: line {number}: {problem}: {shown!r}", file=sys.stderr)
    if not replay.counts.events:
        msg = f"{arguments.trace}: {replay.counts.lines} lines, and no event of the page allocator among them"
        raise MemsimError(msg)
    print("\n".join(summary(replay, seconds)))
    return OK


def progress(size: int, *, quiet: bool) -> Callable[[Counts], None]:
    """Return a function that reports progress on standard error at intervals; ``size`` 0: size unknown."""
    terminal = sys.stderr.isatty()
    started = told = time.perf_counter()

    def tick(counts: Counts) -> None:
        nonlocal told
        now = time.perf_counter()
        if quiet or now - told < _SECONDS_BETWEEN[terminal]:
            return
        told = now
        line = f"{counts.events:,} events, {counts.events / (now - started):,.0f} a second"
        if size:
            left = (now - started) * (size - counts.bytes_read) / counts.bytes_read
            line += f", {counts.bytes_read / size:.0%}, {max(0, left):.0f} s left"
        line = f"\r{line:<72}" if terminal else f"{line}\n"
        print(line, end="", file=sys.stderr, flush=True)

    return tick


def summary(replay: Replay, seconds: float) -> list[str]:
    """Return the result of a replay, a line for each count that is not 0."""
    counts = replay.counts
    rows = [
        (counts.allocated, "blocks allocated"),
        (counts.freed, "blocks freed"),
        (counts.pages, "pages still allocated"),
        (counts.peak, "pages allocated at most"),
        (counts.failed, "allocations that failed in the trace"),
        (counts.no_memory, "allocations that this machine has no memory for (--memory)"),
        (counts.unknown, "frees of pages that the trace did not allocate"),
        (counts.echoes, "batched frees that were reported already"),
        (counts.repeated, "pages allocated again without a free"),
        (counts.split, "blocks taken apart to free a part of them"),
        (counts.reordered, "frees of more than was allocated"),
        (counts.lost, "events that ftrace lost"),
        (counts.malformed, "malformed lines"),
        *((number, f"lines skipped: {what}") for what, number in counts.skipped.most_common()),
    ]
    rate = counts.events / seconds
    return [
        f"{counts.events:,} events in {counts.lines:,} lines, {seconds:.1f} s, {rate:,.0f} events a second",
        *(f"{number:>12,}  {what}" for number, what in rows if number),
        "free blocks of order 0 to 10:",
        *(
            f"  {zone.name:>8}  " + " ".join(str(zone.nr_free(order)) for order in range(NR_PAGE_ORDERS))
            for zone in replay.kernel.state.zones
            if zone.present_pages
        ),
    ]
