"""How long onlining takes, how much memory a large machine costs, and what ``import memsim`` costs.

    python benchmarks/online.py

Each figure is the best of several runs in this one process (imports: of fresh processes, taken in turn with
``import numpy``). Memory is the growth of the process's resident set.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from memsim import AFTER, BEFORE, Machine
from memsim.include.layout import PAGES_PER_SECTION

FIRST_BLOCK = 2048
TIB_PAGES = 1 << 28
MEMMAP_RAM = (0, 8 << 20)
"""32 GiB of boot memory: the memmap of 1 TiB takes 16 of them."""


def resident_mib() -> float:
    """Return the resident set of this process in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / (1 << 20)


def online_one_block(patch: object, rounds: int = 50) -> float:
    """Return the best time in seconds to online one 128 MiB block that was added before."""
    machine = Machine(ram=[(0, 1 << 20)], patch=patch, block_pages=PAGES_PER_SECTION)
    best = float("inf")
    for block in range(FIRST_BLOCK, FIRST_BLOCK + rounds):
        machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
        start = time.perf_counter()
        machine.online(block, "online_movable")
        best = min(best, time.perf_counter() - start)
    return best


def online_one_tib() -> tuple[float, float, float]:
    """Return seconds to add, seconds to online, and MiB that 1 TiB in 128 MiB blocks costs."""
    machine = Machine(ram=[MEMMAP_RAM], block_pages=PAGES_PER_SECTION)
    gc.collect()
    before = resident_mib()
    start = time.perf_counter()
    machine.add_memory(FIRST_BLOCK * PAGES_PER_SECTION, TIB_PAGES)
    added = time.perf_counter()
    for block in range(FIRST_BLOCK, FIRST_BLOCK + TIB_PAGES // PAGES_PER_SECTION):
        machine.online(block, "online_movable")
    done = time.perf_counter()
    assert machine.zone("Movable").managed_pages == TIB_PAGES  # noqa: S101 (a benchmark of the right thing)
    return added - start, done - added, resident_mib() - before


def import_seconds(module: str) -> float:
    """Return how long a fresh interpreter takes to import a byte-compiled module."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled)  # noqa: S603 (ourselves)
    return float(done.stdout)


def main() -> None:
    """Print every figure with its goal."""
    for patch in (BEFORE, AFTER):
        print(f"online one 128 MiB block, {patch.name}: {online_one_block(patch) * 1e3:.3f} ms (goal < 1)")
    added, online, mib = online_one_tib()
    print(f"1 TiB: add {added:.2f} s, online {online:.2f} s (goal < 1), memory {mib:.0f} MiB (goal < 100)")
    pairs = [(import_seconds("numpy"), import_seconds("memsim")) for _ in range(9)]
    numpy, memsim = min(n for n, _ in pairs), min(m for _, m in pairs)
    print(f"import: numpy {numpy:.3f} s, memsim {memsim:.3f} s, ratio {memsim / numpy:.2f} (goal <= 1.3)")


if __name__ == "__main__":
    main()
