"""Problems on the buddy allocator: merging, splitting, and the watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.lesson.problems.machines import BLOCK, START, free_blocks
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.page_alloc.api import __free_pages as free_pages
from memsim.linux.mm.page_alloc.api import alloc_pages
from memsim.linux.mm.page_alloc.watermarks import calculate_min_free_kbytes
from memsim.machine.machine import Machine

if TYPE_CHECKING:
    from memsim.lesson.problems.draw import Draw

_WINDOW = 16
_CHUNK = 1024
_KIB_PER_PAGE = 4
_MARKS = ("min", "low", "high")


def with_a_block() -> Machine:
    """Return a machine whose zone Movable is one block of free memory."""
    machine = Machine()
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, "online_movable")
    return machine


def blocks_as_text(blocks: list[tuple[int, int]]) -> tuple[str, ...]:
    """Return free blocks as the answer lists them."""
    return tuple(f"+{pfn - START} order {order}" for pfn, order in blocks)


def merge(draw: Draw) -> Task:
    """Ask what is free after some pages were freed."""
    freed = draw.sample(range(_WINDOW), draw.between(7, _WINDOW - 1))

    def solve() -> dict[str, Answer]:
        kernel = (machine := with_a_block()).kernel
        taken = [alloc_pages(kernel, 0, MigrateType.MOVABLE) for _ in range(_WINDOW)]
        for offset in freed:
            free_pages(kernel, taken[offset])
        blocks = free_blocks(machine, START, _WINDOW)
        return {"free blocks among the 16 pages": blocks_as_text(blocks), "how many": len(blocks)}

    listed = ", ".join(f"+{offset}" for offset in freed)
    return Task(
        f"The 16 pages from pfn {START:#x} on are allocated one by one; all other pages of zone Movable are "
        "free, and pages that are freed go straight to the buddy allocator. These are freed, in this order: "
        f"{listed}. List the free blocks as `+offset order n`.",
        ("free blocks among the 16 pages", "how many"),
        {"freed": freed},
        solve,
        "__free_one_page(), mm/page_alloc.c",
    )


def split(draw: Draw) -> Task:
    """Ask where allocations come from, and what is left."""
    orders = [draw.between(0, 8) for _ in range(3)]

    def solve() -> dict[str, Answer]:
        machine = with_a_block()
        pfns = [alloc_pages(machine.kernel, order, MigrateType.MOVABLE) for order in orders]
        return {
            "offsets of the allocated blocks": tuple(f"+{pfn - START}" for pfn in pfns),
            "free blocks among the 1024 pages": blocks_as_text(free_blocks(machine, START, _CHUNK)),
        }

    listed = ", then ".join(map(str, orders))
    return Task(
        "Zone Movable has only free blocks of order 10, all movable, and the first of their list is at pfn "
        f"{START:#x}. Movable blocks of order {listed} are allocated, and the per-cpu lists are off. Which "
        "blocks are they, and what is left of the 1024 pages? List free blocks as `+offset order n`.",
        ("offsets of the allocated blocks", "free blocks among the 1024 pages"),
        {"orders": orders},
        solve,
        "__rmqueue_smallest() and expand(), mm/page_alloc.c",
    )


def watermarks(draw: Draw) -> Task:
    """Ask how much of a zone is kept free."""
    mebibytes = draw.between(4, 24) * 128
    added = draw.between(1, 6)
    release = draw.choice(["6.1", "6.12"])
    zone = draw.choice(["DMA32", "Movable"])
    machine = Machine([(0, mebibytes << 8)], release=release)
    used = 0
    for block in range(BLOCK, BLOCK + added):
        machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
        # What the onlining computes with: its own new watermarks are not in it yet.
        used = calculate_min_free_kbytes(machine.kernel)
        machine.online(block, "online_movable")
    managed = {name: machine.zone(name).managed_pages for name in ("DMA", "DMA32", "Movable")}

    def solve() -> dict[str, Answer]:
        marks = machine.zone(zone).watermark
        return {f"{zone}: {name}": mark for name, mark in zip(_MARKS, marks, strict=False)}

    pages = ", ".join(f"{name} {count}" for name, count in managed.items())
    return Task(
        f"Kernel {release} has come to min_free_kbytes = {used}, so pages_min = {used // _KIB_PER_PAGE}. "
        f"Managed pages: {pages}; the other zones have none. watermark_scale_factor is 10, the default.",
        tuple(f"{zone}: {name}" for name in _MARKS),
        {"release": release, "pages_min": used // _KIB_PER_PAGE, "managed": managed, "zone": zone},
        solve,
        "__setup_per_zone_wmarks(), mm/page_alloc.c",
    )
