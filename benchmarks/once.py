"""What is measured in processes of its own: start-up, whole machines, a long trace, and the previous release.

    python -m benchmarks.once NAME [SIZE]

does one measurement and prints it as JSON. It uses nothing but ``memsim.Machine`` and the command line, so
that it runs with an older memsim, too.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

BLOCK = 1 << 15
GIB = 1 << 18
RAM_FOR_MEMMAP = 64


def resident_mib() -> float:
    """Return the resident set of this process in MiB, or the largest it had where /proc is not to be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / (1 << 20)


def online(gib: int, *, distinct: bool = False, block_pages: int = BLOCK) -> dict[str, float]:
    """Add and online so many GiB; ``distinct`` gives every section arrays of its own afterwards."""
    from memsim import Machine  # noqa: PLC0415 (the one under measurement)

    ram = max(4, -(-gib // RAM_FOR_MEMMAP) + 4)
    machine = Machine(ram=[(0, ram * GIB)], block_pages=block_pages)
    first = -(-max(ram, 4) * GIB // block_pages)
    before, start, cpu = resident_mib(), time.perf_counter(), time.thread_time()
    machine.add_memory(first * block_pages, gib * GIB)
    added, mib = time.thread_time(), resident_mib()
    for block in range(first, first + gib * GIB // block_pages):
        machine.online(block, "online_movable")
    if distinct:
        for pfn in range(first * block_pages, first * block_pages + gib * GIB, BLOCK):
            machine.kernel.memmap.set_order(pfn + 1, 1)
    done, clock = time.thread_time(), time.perf_counter()
    if machine.zone("Movable").managed_pages != gib * GIB:
        raise AssertionError
    return {
        "add": added - cpu,
        "online": done - added,
        "processor": done - cpu,
        "clock": clock - start,
        "MiB add": mib - before,
        "MiB online": resident_mib() - mib,
    }


def first_touch(gib: int) -> dict[str, float]:
    """Let numpy write as many bytes as the pages of so many GiB have in memsim, a piece for each section."""
    import numpy as np  # noqa: PLC0415 (this module is for whoever has nothing but memsim)

    before, start = resident_mib(), time.thread_time()
    pieces = [np.ones(8 * BLOCK, np.uint8) for _ in range(gib * GIB // BLOCK)]
    taken, mib = time.thread_time() - start, resident_mib() - before
    del pieces
    return {"processor": taken, "MiB": mib}


def users(pages: int) -> dict[str, float]:
    """Allocate and free so many pages as users do."""
    from memsim import Machine  # noqa: PLC0415 (the one under measurement)

    machine = Machine(ram=[(1 << 20, GIB)])
    start = time.thread_time()
    machine.free(machine.allocate(pages))
    return {"processor": time.thread_time() - start}


def replay(events: int) -> dict[str, float]:
    """Replay a trace of so many events."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.txt"
        write_trace(path, events)
        start = time.perf_counter()
        command = [sys.executable, "-m", "memsim", "replay", "--quiet", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (ourselves)
        done = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"clock": done - start, "processor": used.ru_utime + used.ru_stime, "MiB": used.ru_maxrss / 1024}


def write_trace(path: Path, events: int) -> None:
    """Write a trace in the manner of ftrace: mixed orders and migratetypes, at most 200 000 blocks."""
    random, held, free, fresh = Random(1), [], {}, 1 << 20  # noqa: S311 (a workload, no secret)
    weights = [2.0**-order for order in range(11)]
    with path.open("w", encoding="ascii") as out:
        for number in range(events):
            head = f"  kworker/u8:{number % 7}-{number % 900}   [{number % 4:03}] ..... {number * 1e-6:.6f}: "
            if held and (len(held) > 200_000 or random.random() < 0.48):  # noqa: PLR2004 (see above)
                at = random.randrange(len(held))
                held[at], held[-1] = held[-1], held[at]
                pfn, order = held.pop()
                free.setdefault(order, []).append(pfn)
                out.write(f"{head}mm_page_free: page=00000000{pfn:08x} pfn={pfn:#x} order={order}\n")
                continue
            order = random.choices(range(11), weights)[0]
            if free.get(order):
                pfn = free[order].pop()
            else:
                pfn = -(-fresh >> order << order)
                fresh = pfn + (1 << order)
            held.append((pfn, order))
            out.write(
                f"{head}mm_page_alloc: page=00000000{pfn:08x} pfn={pfn:#x} order={order} "
                f"migratetype={random.choice((0, 1, 1, 1, 2))} gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP\n"
            )


def start(what: str) -> dict[str, float]:
    """Import a module in a fresh interpreter, or let one show the command line's help."""
    now = "(time.perf_counter(), time.process_time())"
    code = f"import time; a, b = {now}; import {what}; c, d = {now}; print(c - a, d - b)"
    command = [sys.executable, *(["-m", "memsim", "--help"] if what == "--help" else ["-c", code])]
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled)  # noqa: S603 (ourselves)
    clock, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if what == "--help":
        return {"clock": clock, "processor": used.ru_utime + used.ru_stime}
    clock, processor = map(float, done.stdout.split())
    return {"clock": clock, "processor": processor}


MEASUREMENTS = {
    "online": lambda gib: online(int(gib)),
    "online-2gib-blocks": lambda gib: online(int(gib), block_pages=16 * BLOCK),
    "online-distinct": lambda gib: online(int(gib), distinct=True),
    "first-touch": lambda gib: first_touch(int(gib)),
    "users": lambda pages: users(int(pages)),
    "replay": lambda events: replay(int(events)),
    "start": start,
}


if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](sys.argv[2])))
