"""Problems on reports of bad pages: what each word says, and what went wrong before.

A report is made by letting it happen to a machine. The answers come from the struct page of that machine, and
from what was done to it; the text of the report is not read again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from memsim.lesson.problems import faulty_driver
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZONE_NAMES
from memsim.linux.include.page_flags import PageFlag
from memsim.machine.bad_page_report import bad_page_reports
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.lesson.problems.draw import Draw
    from memsim.machine.bad_page_report import BadPageReport

CAUSES = {
    "A": "__free_pages_core() did not clear the type Offline of pages that came online",
    "B": "memmap_init_range() gave hotplugged pages PG_reserved; __free_pages_core() clears Offline instead",
    "C": "a driver freed pages that it had marked Offline, without clearing the type first",
    "D": "a driver brought pages online that the buddy had already",
    "E": "a driver split a block into pages with a reference each (split_page()), and freed it as a block",
    "F": "a driver freed a page of boot memory that was still reserved",
}
"""The possible mistakes, by letter."""
_MODULES = {faulty_driver.__name__: faulty_driver.MODULE}
_ABOUT = {"nonzero mapcount": "type", "nonzero _refcount": "refcount"}
_LABELS = (
    *("pfn", "memory block, of 128 MiB", "zone, by name", "flags that are set", "page type", "refcount"),
    *("the reason is about: flags, type or refcount", "form of which kernel: 6.1 or 6.12", "cause, A to F"),
)


class BadPage(NamedTuple):
    """A report, and the letter of its cause."""

    report: BadPageReport
    cause: str


def online_report(patch: Patch, release: str, block: int) -> BadPageReport:
    """Bring a DIMM online on a kernel that lacks a hunk, and return the first report."""
    machine = Machine(patch=patch, release=release)
    machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
    with bad_page_reports(machine) as reports:
        machine.online(block, "online_movable")
    return reports[0]


def not_cleared(draw: Draw) -> BadPageReport:
    """Lose the hunk that clears the type (PAGE_ALLOC)."""
    release = draw.choice(["6.1", "6.12", "7.3"])
    return online_report(Patch.without("PAGE_ALLOC"), release, draw.between(32, 63))


def born_reserved(draw: Draw) -> BadPageReport:
    """Lose the hunk that gives the type (MM_INIT)."""
    release = draw.choice(["6.1", "6.12", "7.3"])
    return online_report(Patch.without("MM_INIT"), release, draw.between(32, 63))


def driver_report(machine: Machine, mistake: Callable[[], None]) -> BadPageReport:
    """Let a driver make a mistake, and return the first report."""
    with bad_page_reports(machine, _MODULES) as reports:
        mistake()
    return reports[0]


def with_memory(block: int, release: str) -> Machine:
    """Return a machine with a memory block that is online in zone Movable."""
    machine = Machine(release=release, patch=BEFORE if release == "6.1" else AFTER)
    machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
    machine.online(block, "online_movable")
    return machine


def deflated(draw: Draw) -> BadPageReport:
    """Free an Offline page. 6.1 checks later, 7.3 forgives the type of a single page."""
    machine = with_memory(draw.between(32, 63), "6.12")
    pfns = faulty_driver.acme_inflate(machine.kernel, draw.between(2, 40))
    return driver_report(machine, partial(faulty_driver.acme_deflate, machine.kernel, pfns[::-1]))


def online_twice(draw: Draw) -> BadPageReport:
    """Let a Hyper-V host repeat a request to a kernel before the patch."""
    block, pages = draw.between(32, 63), 1024 * draw.between(1, 20)  # behind them begins a block of its own
    start = block * PAGES_PER_SECTION
    machine = Machine(patch=BEFORE, release="6.1", devices=[{"kind": "hv-balloon", "name": "hv0"}])
    balloon = machine.devices["hv0"]
    balloon.hot_add(start, pages)
    machine.online(block, "online_movable")
    balloon.host_will("REPEAT", 1)
    return driver_report(machine, lambda: balloon.hot_add(start + pages, 512))


def split_block(draw: Draw) -> BadPageReport:
    """Free a split block as a whole. 6.1 checks orders 0 to 3 later, so larger ones are taken."""
    release, order = draw.choice(["6.1", "6.12", "7.3"]), draw.between(4, 8)
    machine = with_memory(draw.between(32, 63), release)
    for _ in range(draw.between(0, 30)):
        faulty_driver.acme_take_block(machine.kernel, order)
    pfn = faulty_driver.acme_take_block(machine.kernel, order)
    return driver_report(machine, partial(faulty_driver.acme_return_block, machine.kernel, pfn, order))


def boot_page(draw: Draw) -> BadPageReport:
    """Free a reserved page of boot memory. 6.1 clears the flags of a single page before it checks."""
    pfn = draw.between(0x200, 0x1F000)
    machine = Machine(release=draw.choice(["6.12", "7.3"]), reserved=[(pfn, 1)])
    return driver_report(machine, partial(faulty_driver.acme_free_table, machine.kernel, pfn))


STORIES: dict[str, Callable[[Draw], BadPageReport]] = {
    "A": not_cleared,
    "B": born_reserved,
    "C": deflated,
    "D": online_twice,
    "E": split_block,
    "F": boot_page,
}
"""By the letter of the cause, how a report of it is made."""


def drawn(draw: Draw) -> BadPage:
    """Return a report of a cause that is drawn."""
    cause = draw.choice(sorted(STORIES))
    return BadPage(STORIES[cause](draw), cause)


def read(bad: BadPage) -> dict[str, Answer]:
    """Return what a reader finds in a report, from the struct page itself."""
    report, page = bad.report, bad.report.page
    flags = [each.name.lower() for each in PageFlag if each in page.flags and each.name]
    types = sorted(kind.value for kind in page.types)
    values: list[Answer] = [
        hex(page.pfn),
        page.pfn // PAGES_PER_SECTION,
        ZONE_NAMES[page.zone],
        tuple(flags),
        tuple(types),
        page.refcount,
        _ABOUT.get(report.reason, "flags"),
        "6.1" if report.release == "6.1" else "6.12",
        bad.cause,
    ]
    return dict(zip(_LABELS, values, strict=True))


def bad_page(draw: Draw) -> Task:
    """Ask what a report says, word by word, and what went wrong."""
    bad = drawn(draw)
    report = bad.report.text(whole=False)
    causes = "".join(f"{letter}: {mistake}\n" for letter, mistake in CAUSES.items())
    return Task(
        "One of the mistakes A to F was made, and a kernel printed this report. The lines that name its "
        "version were cut. 7.3 prints in the form of 6.12. Zones 0 to 3 are DMA, DMA32, Normal, Movable.",
        _LABELS,
        {"cause": bad.cause, "release": bad.report.release, "report": report},
        lambda: read(bad),
        "bad_page() and page_bad_reason(), mm/page_alloc.c; dump_page(), mm/debug.c",
        table=f"{causes}\n{report}",
    )
