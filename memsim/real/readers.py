"""What each reader of struct pages would do with a page from a dump.

The page is built in a small simulated machine of the nearest modelled release, in a zone of the same kind,
and
:func:`memsim.walkers.verdicts` is asked. Left out: whatever a flags word and a type do not say (users of the
page, its neighbours).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from memsim.linux.include.layout import MAX_PAGE_ORDER, PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import MANAGED, NO_TYPE, PRESENT, PageFlag, PageType
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE
from memsim.real.versions import parse_version
from memsim.release import RELEASES
from memsim.walkers import WALKERS, verdicts

if TYPE_CHECKING:
    from memsim.real.reading import Reading

_HOT = 0x100000
_PFNS = {ZoneType.DMA: 0x800, ZoneType.DMA32: 0x4000, ZoneType.NORMAL: _HOT, ZoneType.MOVABLE: _HOT}
_TYPES = {kind.value: kind for kind in PageType}


class Reader(NamedTuple):
    """One reader: what it does before and after the patch, and the question that decided."""

    name: str
    place: str
    before: str
    after: str
    why: str
    meets: bool
    """Whether such a page ever comes before it, on one of the two kernels."""


def stand_in(reading: Reading) -> str:
    """Return the modelled release that stands in: the newest that is not newer, or the oldest."""
    low, high = reading.versions
    wanted = high if high < (900, 0) else max(low, (6, 12))
    releases = sorted(RELEASES, key=lambda name: parse_version(name) or (0, 0))
    if reading.encoding is not None and reading.encoding.base:
        return releases[0]
    older = [name for name in releases if (parse_version(name) or (0, 0)) <= wanted]
    return older[-1] if older else releases[0]


def readers(reading: Reading) -> tuple[list[Reader], str]:
    """Return what every reader does with the page; or nothing, and why."""
    problem = _cannot(reading)
    if problem:
        return [], problem
    known = PageFlag(0)
    for name in reading.names or ():
        known |= PageFlag.__members__.get(name.upper(), PageFlag(0))
    kind = next((_TYPES[name] for name in reading.types if name in _TYPES), PageType.NONE)
    order = reading.raw[5] if kind is PageType.BUDDY and reading.raw else 0
    refcount = 0 if reading.refcount is None and kind is PageType.BUDDY else reading.refcount
    zone = min(reading.zone if reading.zone is not None else ZoneType.NORMAL, ZoneType.MOVABLE)
    count = 1 if refcount is None else max(-1, min(refcount, 1000))
    return list(_ask(stand_in(reading), int(known), kind, count, order, int(zone))), ""


def _cannot(reading: Reading) -> str:
    """Return why the page cannot be built, or nothing."""
    no_order = "buddy" in reading.types and reading.raw and reading.raw[5] > MAX_PAGE_ORDER
    problems = (
        (reading.dump.uninitialised, "the struct page was never initialised"),
        (reading.damaged, "its words are no struct page"),
        (reading.name_choices, "its flags depend on the version"),
        (reading.type_choices, "its type depends on the version"),
        (reading.names is None, "its flags are not known"),
        (reading.tail, "it is a tail page, and the simulator models heads only"),
        (no_order, "no free block has its order"),
    )
    return next((text for applies, text in problems if applies), "")


@lru_cache(maxsize=128)
def _ask(
    release: str, flags: int, kind: PageType, refcount: int, order: int, zone: int
) -> tuple[Reader, ...]:
    """Return every reader of a release, asked about such a page on both kernels."""
    before, after = (
        verdicts(_build(release, after, flags, kind, refcount, order, zone).kernel, _PFNS[ZoneType(zone)])
        for after in (False, True)
    )
    return tuple(
        Reader(
            name,
            f"{WALKERS[name].function}, {WALKERS[name].file}",
            before[name].action,
            after[name].action,
            after[name].why.partition(": ")[2],
            before[name].met or after[name].met,
        )
        for name in after
        if name in before
    )


@lru_cache(maxsize=8)
def _machine(release: str, after: bool, zone: int) -> Machine:  # noqa: FBT001 (a key of the cache)
    """Return a machine with a hot-added block that is online in the wanted zone."""
    machine = Machine([(0, 4 * PAGES_PER_SECTION)], AFTER if after else BEFORE, release)
    machine.add_memory(_HOT, PAGES_PER_SECTION)
    machine.online(
        _HOT // PAGES_PER_SECTION, "online_movable" if zone == ZoneType.MOVABLE else "online_kernel"
    )
    return machine


def _build(
    release: str,
    after: bool,  # noqa: FBT001 (see _machine)
    flags: int,
    kind: PageType,
    refcount: int,
    order: int,
    zone: int,
) -> Machine:
    """Return the machine with the page in it, in place of free blocks; its neighbours are in use."""
    machine = _machine(release, after, zone)
    memmap, pfn = machine.kernel.memmap, _PFNS[ZoneType(zone)]
    memmap.init_pages(pfn, 1 << MAX_PAGE_ORDER, zone, MANAGED | PRESENT, NO_TYPE)
    memmap.set_refcount(pfn, 1 << order, refcount)
    memmap.set_flags(pfn, 1, flags)
    if kind is PageType.BUDDY:
        memmap.set_buddy_order(pfn, order)
    elif kind is not PageType.NONE:
        memmap.set_type(pfn, 1, kind)
    return machine
