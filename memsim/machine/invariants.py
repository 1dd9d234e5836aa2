"""Rules that hold while no operation is in progress, and the first page that breaks each.

:func:`check` compares page states, free lists and counters with each other. The history of a state
does not matter, so it also judges kernels with half a patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memsim.linux.include.layout import MAX_PAGE_ORDER, PAGES_PER_SECTION, section_nr_to_pfn
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import (
    MANAGED,
    PRESENT,
    ZONE_SHIFT,
    PageFlag,
    PageType,
)
from memsim.linux.mm.page_alloc.buddy import may_merge, page_is_buddy
from memsim.patch import AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from memsim.linux.include.mmzone import Zone
    from memsim.state.kernel import Kernel
    from memsim.state.section import Section


class Violation(NamedTuple):
    """An invariant that does not hold: its name, the rule, where, and what was found."""

    name: str
    rule: str
    found: str
    pfn: int | None = None

    def __str__(self) -> str:
        """Return one line."""
        where = "" if self.pfn is None else f" first at pfn {self.pfn:#x};"
        return f"{self.name}: {self.rule};{where} {self.found}"


def check(kernel: Kernel) -> list[Violation]:
    """Return every invariant that does not hold, the first page that breaks it, and how many break it."""
    free = free_masks(kernel)
    found = [*check_pages(kernel, free), *check_free_lists(kernel)]
    for zone in kernel.state.zones:
        found += check_counters(kernel, zone, free)
    total = sum(zone.managed_pages for zone in kernel.state.zones)
    if kernel.state.totalram_pages != total:
        text = f"totalram is {kernel.state.totalram_pages}, the zones manage {total}"
        found.append(Violation("totalram", "totalram_pages is the sum of managed_pages", text))
    return found


def free_masks(kernel: Kernel) -> dict[int, npt.NDArray[np.bool_]]:
    """Return, for each section with free blocks, which of its pages lie in one."""
    masks: dict[int, npt.NDArray[np.bool_]] = {}
    for zone in kernel.state.zones:
        for order, area in enumerate(zone.free_area):
            for blocks in area:
                for pfn in blocks:
                    nr, index = divmod(pfn, PAGES_PER_SECTION)
                    if nr not in masks:
                        masks[nr] = np.zeros(PAGES_PER_SECTION, bool)
                    masks[nr][index : index + (1 << order)] = True
    return masks


def check_pages(kernel: Kernel, free: dict[int, npt.NDArray[np.bool_]]) -> Iterator[Violation]:
    """Yield broken rules about single pages of online sections."""
    rules = {
        "offline-free": "no page of a free block is of type Offline",
        "offline-managed": "no page of type Offline is counted as managed",
        "buddy-offline": "no page is Buddy and Offline at once",
        "free-refcount": "every page of a free block has refcount 0",
        "free-flags": "no page of a free block is PG_reserved or on the LRU",
        "buddy-free": "every page of type Buddy heads a block on a free list",
        "self-hosted-offline": "no page that holds a block's own memmap is of type Offline",
        "reserved-hotplug": "no hotplugged page of an online section is PG_reserved",
        "leaked": "a page with refcount 0 is free or Offline",
    }
    if kernel.patch != AFTER:
        del rules["reserved-hotplug"]
    broken: dict[str, list[tuple[int, int]]] = {}
    for section in kernel.memmap.sections.values():
        if section.online:
            for name, wrong in page_rules(kernel, section, free.get(section.nr)).items():
                if name in rules and wrong.any():
                    first = section_nr_to_pfn(section.nr) + int(wrong.argmax())
                    broken.setdefault(name, []).append((first, int(wrong.sum())))
    for name, places in broken.items():
        count = sum(number for _, number in places)
        yield Violation(name, rules[name], f"{count} pages break it", min(places)[0])


def page_rules(
    kernel: Kernel, section: Section, free: npt.NDArray[np.bool_] | None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return, for each rule about pages, which pages of a section break it."""
    pages, encoding = section.pages, kernel.memmap.encoding
    in_free = np.zeros(PAGES_PER_SECTION, bool) if free is None else free
    offline = encoding.where(pages.type, PageType.OFFLINE)
    buddy = encoding.where(pages.type, PageType.BUDDY)
    reserved = pages.flags & np.uint32(PageFlag.RESERVED) != 0
    managed = pages.flags & np.uint32(MANAGED) != 0
    hosted = pages.flags & np.uint32(PageFlag.VMEMMAP_SELF_HOSTED) != 0
    used = pages.flags & np.uint32(PageFlag.RESERVED | PageFlag.LRU) != 0
    return {
        "offline-free": offline & in_free,
        "offline-managed": offline & managed,
        "buddy-offline": offline & buddy,
        "free-refcount": in_free & (pages.refcount != 0),
        "free-flags": in_free & used,
        "buddy-free": buddy & ~in_free,
        "self-hosted-offline": offline & hosted,
        "reserved-hotplug": reserved & (not section.early),
        "leaked": orphans(kernel, section, in_free, offline),
    }


def orphans(
    kernel: Kernel,
    section: Section,
    in_free: npt.NDArray[np.bool_],
    offline: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Return which pages without a reference are neither free nor Offline.

    The tail pages of a larger allocated block have refcount 0, too: of a compound page, and of a block
    that holds a memmap.
    """
    wrong: npt.NDArray[np.bool_] = np.equal(section.pages.refcount, 0) & ~in_free & ~offline
    base = section_nr_to_pfn(section.nr)
    for head in np.flatnonzero(section.pages.flags & np.uint32(PageFlag.HEAD)).tolist():
        wrong[head : head + (1 << section.pages.order_at[head])] = False
    for zone in kernel.state.zones:
        for (order, _), blocks in zone.pcp.items():
            for pfn in blocks:
                if 0 <= pfn - base < PAGES_PER_SECTION:
                    wrong[pfn - base : pfn - base + (1 << order)] = False
    for pfn in kernel.vmemmap.values():
        if 0 <= pfn - base < PAGES_PER_SECTION:
            wrong[pfn - base : pfn - base + 512] = False
    return wrong


def check_free_lists(kernel: Kernel) -> Iterator[Violation]:
    """Yield broken rules about entries of free lists, the first of each kind for a zone."""
    for zone in kernel.state.zones:
        seen: set[str] = set()
        for order, area in enumerate(zone.free_area):
            for migratetype, blocks in enumerate(area):
                for pfn in blocks:
                    for name, rule, text in block_faults(kernel, zone, pfn, order, migratetype):
                        if name not in seen:
                            seen.add(name)
                            yield Violation(name, rule, text, pfn)


def block_faults(
    kernel: Kernel, zone: Zone, pfn: int, order: int, migratetype: int
) -> Iterator[tuple[str, str, str]]:
    """Yield (name, rule, what was found) for each rule that one free block breaks."""
    where = f"{zone.name}, order {order}, {MigrateType(migratetype).name}"
    if pfn % (1 << order):
        yield "alignment", "a free block is aligned to its size", where
    if not page_is_buddy(kernel, pfn, order, zone):
        rule = "the head of a free block is Buddy, with the order and zone of the list"
        yield "head", rule, where
    if kernel.release.retypes_on_merge and kernel.memmap.migratetype(pfn) != migratetype:
        found = MigrateType(kernel.memmap.migratetype(pfn)).name
        yield (
            "list-type",
            "a free block is on the list of its pageblock's type",
            f"{where}: {found}",
        )
    partner = pfn ^ (1 << order)
    if (
        order < MAX_PAGE_ORDER
        and page_is_buddy(kernel, partner, order, zone)
        and may_merge(kernel, partner, order, migratetype)
    ):
        yield "unmerged", "two free partners of one order are merged", where


def check_counters(kernel: Kernel, zone: Zone, free: dict[int, npt.NDArray[np.bool_]]) -> Iterator[Violation]:
    """Yield broken rules about the counters of a zone."""
    if not zone.managed_pages <= zone.present_pages <= zone.spanned_pages:
        numbers = f"{zone.managed_pages}, {zone.present_pages}, {zone.spanned_pages}"
        rule = "managed_pages <= present_pages <= spanned_pages"
        yield Violation("zone-order", rule, f"{zone.name} has {numbers}")
    listed = {
        migratetype: sum(len(zone.free_area[o][migratetype]) << o for o in range(MAX_PAGE_ORDER + 1))
        for migratetype in MigrateType
    }
    counted = {"managed": 0, "present": 0, "in free blocks": 0, "isolated pageblocks": 0}
    for section in kernel.memmap.sections.values():
        if section.online:
            count_section(zone, section, free.get(section.nr), counted)
    visible = sum(listed.values()) - listed[MigrateType.ISOLATE]
    for name, rule, counter, truth in (
        (
            "managed",
            "managed_pages counts the pages given to the buddy",
            zone.managed_pages,
            counted["managed"],
        ),
        (
            "present",
            "present_pages counts the pages that exist",
            zone.present_pages,
            counted["present"],
        ),
        (
            "free",
            "NR_FREE_PAGES counts the free pages that are not isolated",
            zone.nr_free_pages,
            visible,
        ),
        ("overlap", "free blocks do not overlap", sum(listed.values()), counted["in free blocks"]),
        (
            "isolate",
            "nr_isolate_pageblock counts the isolated pageblocks",
            zone.nr_isolate_pageblock,
            counted["isolated pageblocks"],
        ),
    ):
        if counter != truth:
            yield Violation(name, rule, f"{zone.name}: the counter says {counter}, the pages {truth}")


def count_section(
    zone: Zone, section: Section, free: npt.NDArray[np.bool_] | None, counted: dict[str, int]
) -> None:
    """Add what one section holds of a zone to ``counted``."""
    mine = section.pages.flags >> ZONE_SHIFT == zone.type
    if not mine.any():
        return
    for name, ghost in (("managed", MANAGED), ("present", PRESENT)):
        counted[name] += int((mine & (section.pages.flags & np.uint32(ghost) != 0)).sum())
    if free is not None:
        counted["in free blocks"] += int((mine & free).sum())
    isolated = np.frombuffer(section.pageblocks, np.uint8) == MigrateType.ISOLATE
    counted["isolated pageblocks"] += int((isolated & mine[::512]).sum())
