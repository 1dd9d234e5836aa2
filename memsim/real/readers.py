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
from memsim.linux.include.page_flags import (
    MANAGED,
    NO_TYPE,
    PAGE_FLAGS_CHECK_AT_FREE,
    PRESENT,
    PageFlag,
    PageType,
)
from memsim.machine.machine import Machine
from memsim.patch import AFTER, BEFORE
from memsim.real.freed import bad_reasons, movable_ops
from memsim.real.versions import parse_version
from memsim.release import RELEASES
from memsim.walkers import WALKERS, verdicts
from memsim.walkers.subject import FLAGS_UNCHECKED, HWPOISON

if TYPE_CHECKING:
    from memsim.real.reading import Reading

_HOT = 0x100000
_DEVICE = 0x200000
_PFNS = {
    ZoneType.DMA: 0x800,
    ZoneType.DMA32: 0x4000,
    ZoneType.NORMAL: _HOT,
    ZoneType.MOVABLE: _HOT,
    ZoneType.DEVICE: _DEVICE,
}
_TYPES = {kind.value: kind for kind in PageType} | {"hugetlb": PageType.NONE}
_OTHER_TYPE = PageType.GUARD
"""Stands for every type that the simulator does not have: no reader asks for it. Only of those of hugetlb
pages can be mapped."""
ASKED = PageFlag.RESERVED | PageFlag.LRU | PageFlag.HWPOISON | PageFlag.SLAB | PageFlag.VMEMMAP_SELF_HOSTED
"""Flags that a reader asks for; of others only whether one is in PAGE_FLAGS_CHECK_AT_FREE."""
NOT_KNOWN = "not known"
"""The action of a reader that depends on what was not printed."""
_WITH_MOVABLE_OPS = {
    "isolate_offline": "movable",
    "isolate_contig": "movable",
    "scan_movable": "migrate",
    "compaction_migrate": "isolate",
}
"""Readers that ask "on the LRU, or with movable_ops?"; the simulator has no pages with movable_ops."""


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
    if reading.encoding is not None and reading.encoding.last >= low:
        high = min(high, reading.encoding.last)
    wanted = high if high < (900, 0) else max(low, (6, 12))
    releases = sorted(RELEASES, key=lambda name: parse_version(name) or (0, 0))
    older = [name for name in releases if (parse_version(name) or (0, 0)) <= wanted]
    return older[-1] if older else releases[0]


def readers(reading: Reading) -> tuple[list[Reader], str]:
    """Return what every reader does with the page; or nothing, and why."""
    problem = _cannot(reading)
    if problem:
        return [], problem
    known = PageFlag(0)
    for name in _names(reading):
        known |= PageFlag.__members__.get(name.upper(), PageFlag(0))
    asked = known & ASKED | (PageFlag.LOCKED if known & PAGE_FLAGS_CHECK_AT_FREE else PageFlag(0))
    order = reading.raw[5] if "buddy" in reading.types and reading.raw else 0
    release = stand_in(reading)
    movable = movable_ops(reading)
    answers = [
        [
            _of_movable_ops(each) if movable else each
            for each in _ask(release, int(asked), kind, count, order, zone)
        ]
        for kind in _types(reading)
        for count in (_refcounts(reading) if kind is not PageType.BUDDY or reading.types else (0,))
        for zone in _zones(reading)
    ]
    found = [_agreed(reading, same) for same in zip(*answers, strict=True)]
    return [_freed(reading, each) if each.name == "bad_page" else each for each in found], ""


def _names(reading: Reading) -> list[str]:
    """Return the flags; where their list was cut off, those that the bits say."""
    if reading.dump.names_cut and reading.table is not None and reading.flags is not None:
        return reading.table.set_names(reading.flags)
    return reading.names or []


def _types(reading: Reading) -> tuple[PageType, ...]:
    """Return the types that the page may have; a printed mapcount or some flags say that it has none."""
    if reading.types:
        return (_TYPES.get(reading.types[0], _OTHER_TYPE),)
    types = [PageType.NONE, PageType.OFFLINE, _OTHER_TYPE, PageType.BUDDY]
    if reading.dump.reason == "nonzero mapcount" and not reading.dump.mapcount and reading.type_word is None:
        return tuple(types[1:])  # the line with the type is missing
    names = set(_names(reading))
    if reading.type_word is not None or reading.dump.mapcount is not None or {"lru", "slab"} & names:
        return (PageType.NONE,)
    if "reserved" in names:
        return tuple(types[:2])
    return tuple(types[:3] if reading.refcount or reading.dump.source == "page_owner" else types)


def _refcounts(reading: Reading) -> tuple[int, ...]:
    """Return the counts that the page may have; readers tell 0, 1 and more apart."""
    if reading.refcount is not None:
        return (max(-1, min(reading.refcount, 1000)),)
    return (0,) if "buddy" in reading.types else (0, 1, 2)


def _zones(reading: Reading) -> tuple[ZoneType, ...]:
    """Return the zones that the page may be in; readers tell ZONE_MOVABLE and ZONE_DEVICE from others."""
    if reading.zone_name is not None:
        return (ZoneType[reading.zone_name.upper()],)
    return (ZoneType.NORMAL, ZoneType.MOVABLE)


def _agreed(reading: Reading, same: tuple[Reader, ...]) -> Reader:
    """Return the answer of a reader that it gives for every page that this one may be; else: not known."""
    first, meets = same[0], any(each.meets for each in same)
    unknown = {
        "type": len(_types(reading)) > 1,
        "refcount": len(_refcounts(reading)) > 1,
        "zone": reading.zone_name is None,
    }
    missing = " and ".join(word for word, applies in unknown.items() if applies)
    if any((each.before, each.after) != (first.before, first.after) for each in same):
        why = f"it depends on its {missing}, not known here"
        return first._replace(before=NOT_KNOWN, after=NOT_KNOWN, why=why, meets=meets)
    reasons = {each.why.partition("; but")[0] for each in same}
    why = reasons.pop() if len(reasons) == 1 else f"whatever its {missing}"
    return first._replace(why=why if meets else first.why, meets=meets)


def _of_movable_ops(reader: Reader) -> Reader:
    """Return what a reader that asks for the LRU or movable_ops does with a page that has movable_ops."""
    action = _WITH_MOVABLE_OPS.get(reader.name)
    if action is None or reader.why.partition(";")[0] != WALKERS[reader.name].otherwise[1]:
        return reader
    return reader._replace(
        before=action, after=action, why="its driver has movable_ops, so it can move the page"
    )


def _freed(reading: Reading, reader: Reader) -> Reader:
    """Return what page_expected_state() says of the printed words, of which the simulator has only some."""
    if not reader.meets or (reader.why == HWPOISON.words and not reading.dump.order):
        return reader
    flags_too = reader.why != FLAGS_UNCHECKED.words
    tests = [
        test
        for test in bad_reasons(reading, reported=False)
        if flags_too or not test.reason.startswith("PAGE_FLAGS")
    ]
    failed = [test.has for test in tests if test.has]
    if failed:
        return reader._replace(before="bad page", after="bad page", why="; ".join(failed))
    if tests:
        why = f"no words for: {', '.join(test.reason for test in tests)}"
        return reader._replace(before=NOT_KNOWN, after=NOT_KNOWN, why=why)
    why = "it passes every test of page_expected_state()" if flags_too else reader.why
    return reader._replace(before="free", after="free", why=why)


def _cannot(reading: Reading) -> str:
    """Return why the page cannot be built, or nothing."""
    no_order = "buddy" in reading.types and reading.raw and reading.raw[5] > MAX_PAGE_ORDER
    problems = (
        (reading.dump.uninitialised, "the struct page is uninitialized and poisoned"),
        (reading.damaged, "its words are no struct page"),
        (reading.name_choices, "its flags depend on the version"),
        (reading.type_choices, "its type depends on the version"),
        (reading.names is None, "its flags are not known"),
        (reading.dump.names_cut and reading.table is None, "the list of its flags was cut off"),
        (reading.tail, "it is a tail page, and the simulator models heads only"),
        (no_order, "no free block has its order"),
    )
    return next((text for applies, text in problems if applies), "")


@lru_cache(maxsize=1024)
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
    machine.memremap_pages(_DEVICE, PAGES_PER_SECTION)
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
    ghosts = 0 if zone == ZoneType.DEVICE else MANAGED | PRESENT
    memmap.init_pages(pfn, 1 << MAX_PAGE_ORDER, zone, ghosts, NO_TYPE)
    memmap.set_refcount(pfn, 1 << order, refcount)
    memmap.set_flags(pfn, 1, flags)
    if kind is PageType.BUDDY:
        memmap.set_buddy_order(pfn, order)
    elif kind is not PageType.NONE:
        memmap.set_type(pfn, 1, kind)
    return machine
