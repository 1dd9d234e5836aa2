"""Where cost grows: time and memory against the size of a machine, and time against the number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases import MOVABLE, run_ours
from benchmarks.chart import line_chart
from benchmarks.processes import measure
from benchmarks.timing import timed
from benchmarks.workloads import mixed
from memsim import Machine
from memsim.fast.page_alloc_bulk import take_single_pages

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 18
SMALL = 1 << 15
"""128 MiB."""
SIZES = [4**power for power in range(8)]
"""GiB: 1 to 16 TiB."""
STEPS = [10**power for power in range(3, 8)]
SCRIPT = 100_000
"""Steps that are made at once; a longer run repeats them on a fresh machine."""


def growth(*, smoke: bool) -> dict[str, list[list[float]]]:
    """Return the curves, each a list of (size or steps, cost)."""
    sizes, steps = (SIZES[:2], STEPS[:2]) if smoke else (SIZES, STEPS)
    curves: dict[str, list[list[float]]] = {"seconds": [], "MiB": [], "mixed": [], "bulk": []}
    for gib in sizes:
        cost = measure("online", str(gib))
        curves["seconds"].append([gib, cost["processor"]])
        curves["MiB"].append([gib, max(cost["MiB add"] + cost["MiB online"], 0.01)])
    for count in steps:
        curves["mixed"].append([count, mixed_seconds(count)])
        curves["bulk"].append([count, bulk_seconds(count)])
    return curves


def mixed_seconds(count: int) -> float:
    """Return the seconds of so many allocations and frees of mixed orders on 128 MiB."""
    fill, script = mixed(SMALL, min(count, SCRIPT))
    total = 0.0
    for _ in range(max(1, count // SCRIPT)):
        kernel, got = Machine([(1 << 20, SMALL)]).kernel, list[int]()
        run_ours(kernel, fill, got)
        total += timed(lambda kernel=kernel, got=got: run_ours(kernel, script, got))
    return total


def bulk_seconds(count: int) -> float:
    """Return the seconds of allocating so many single pages at once, on a machine that has them."""
    kernel = Machine([(1 << 20, max(GIB, -(-count // GIB) * GIB))]).kernel
    return timed(lambda: take_single_pages(kernel, count, MOVABLE))


def draw(curves: dict[str, list[list[float]]], folder: Path) -> None:
    """Write the charts."""
    sizes = {"seconds": curves["seconds"], "MiB": curves["MiB"]}
    chart = line_chart(
        "Adding and onlining a machine's memory in blocks of 128 MiB",
        "GiB",
        "seconds of processor time; MiB of memory",
        {name: [(a, b) for a, b in line] for name, line in sizes.items()},
    )
    (folder / "growth-size.svg").write_text(chart, encoding="utf-8")
    steps = {"mixed orders, one by one": curves["mixed"], "single pages, in bulk": curves["bulk"]}
    chart = line_chart(
        "Allocating and freeing",
        "steps",
        "seconds of processor time",
        {name: [(a, b) for a, b in line] for name, line in steps.items()},
    )
    (folder / "growth-steps.svg").write_text(chart, encoding="utf-8")
