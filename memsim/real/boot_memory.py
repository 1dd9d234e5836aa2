"""How much boot memory a real machine keeps, and where, as far as its files say.

``zoneinfo`` counts it exactly (present less managed), ``meminfo`` for the whole machine. What takes it is not
written anywhere: :mod:`memsim.machine.boot_memory` has the rules. Where the rules find less than was counted,
the rest is taken from the ends of zones; where they find more, less is taken.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.layout import PAGE_SHIFT, pageblock_nr_pages
from memsim.machine.boot_memory import IMAGE_START, Reservation, boot_reservations, describe, totals
from memsim.real.proc_files import crashkernel_pages, inside, mem_total, parameter, zones
from memsim.state.ranges import clip, gaps

if TYPE_CHECKING:
    from memsim.real.proc_files import Files, Resource
    from memsim.real.real_scenario import RealMachine

Range = tuple[int, int]
ALL = (0, 1 << 40)
REST = "not attributed"
MIGRATE_PCPTYPES = 3


def reserve(files: Files, found: RealMachine, boot: list[Resource]) -> None:
    """Let the scenario keep as much boot memory as the machine does, and say how much was known of it."""
    machine, steps = found.document["machine"], found.document["steps"]
    size = machine["block_pages"]
    offline = sorted((step["block"] * size, size) for step in steps if step["do"] == "offline")
    ram = [gap for each in boot for gap in gaps(offline, each.start_pfn, each.start_pfn + each.nr_pages)]
    kept = _by_the_rules(files, found, ram)
    added = sum(step["nr_pages"] for step in steps if step["do"] == "add_memory")
    counted = _counted(files, added, ram)
    for low, high, nr_pages in counted:
        kept = fit(kept, ram, (low, high), nr_pages)
    machine["reserved"] = [[each.start_pfn, each.nr_pages] for each in kept]
    if not kept:
        del machine["reserved"]
    else:
        machine["comment"] = f"reserved: {describe(kept)}"
    if counted:
        whole = counted[0][:2] == ALL
        what = "RAM less MemTotal" if whole else "present less managed"
        place = files.places["meminfo" if whole else "zoneinfo"]
        found.taken.append(f"{sum(n for _, n in _ranges(kept))} reserved pages ({what}) from {place}")
        if whole and files.has("zoneinfo"):
            found.unknown.append("why zones lack more pages than MemTotal does: their counts are not taken")
        rest = totals(kept).get(REST, 0)
        found.taken.append(
            f"  by the rules of boot code: {describe(each for each in kept if each.what != REST)}"
        )
        if rest:
            found.unknown.append(f"what {rest} of the reserved pages are for: at the ends of zones here")
    elif kept:
        found.unknown.append(
            "how much boot code keeps (zoneinfo and meminfo count it); by the rules of Linux "
            f"{found.release}: {describe(kept)}"
        )


def _ranges(kept: list[Reservation]) -> list[Range]:
    return [(each.start_pfn, each.nr_pages) for each in kept]


def _by_the_rules(files: Files, found: RealMachine, ram: list[Range]) -> list[Reservation]:
    """Return what a kernel of the release keeps; nothing, with the reason, if the rules do not fit."""
    code = inside(files.get("iomem"), "Kernel code")
    crash = inside(files.get("iomem"), "Crash kernel")
    text = parameter(files.get("cmdline"), "crashkernel")
    pages = 0 if crash or text is None else crashkernel_pages(text, sum(size for _, size in ram))
    if pages is None:
        found.lost.append(f"crashkernel={text}: nothing is set aside for it")
    try:
        kept = boot_reservations(
            ram,
            found.release,
            crashkernel_pages=pages or 0,
            cpus=_cpus(files),
            image_start=max(code, key=lambda part: part[1])[0] if code else IMAGE_START,
            known=[
                Reservation(start, size, "crash kernel", "reserve_crashkernel_generic")
                for start, size in crash
            ],
        )
    except MemsimError as problem:
        found.unknown.append(f"what boot code keeps: {problem}")
        return []
    if code:
        found.taken.append(f"the place of the kernel image from {files.places['iomem']}")
    for _, size in crash:
        found.taken.append(f"a crash kernel of {size} pages from {files.places['iomem']}")
    return kept


def raised_watermarks(files: Files) -> int | None:
    """Return the ``vm.min_free_kbytes`` of the machine if khugepaged recommended it; else None.

    ``set_recommended_min_free_kbytes()`` in ``mm/khugepaged.c``: in each zone for kernel memory two
    pageblocks, and one for each pair of migratetypes. khugepaged runs where transparent huge pages are on, by
    default on machines with 512 MiB or more.
    """
    populated = [zone for zone in zones(files.get("zoneinfo")) if zone.numbers.get("present")]
    lowest = [zone for zone in populated if zone.name in {"DMA", "DMA32", "Normal"}]
    if not lowest:
        return None
    recommended = len(lowest) * pageblock_nr_pages * (2 + MIGRATE_PCPTYPES**2)
    for counted in (lowest, populated):  # ZONE_MOVABLE has a share of it in 6.1, and none in 6.12
        pages = sum(zone.numbers.get("min", 0) for zone in counted)
        if 0 <= recommended - pages <= len(counted):
            return recommended << PAGE_SHIFT - 10
    return None


def _cpus(files: Files) -> int:
    """Return how many processors are possible: from sysfs, or from a line of the boot log."""
    last = re.fullmatch(r"(?:\d+-)?(\d+)", files.get("cpus").strip())
    if last is not None:
        return int(last[1]) + 1
    logged = re.search(r"\bnr_cpu_ids:(\d+)", files.get("e820"))
    return int(logged[1]) if logged else 1


def _counted(files: Files, added: int, ram: list[Range]) -> list[tuple[int, int, int]]:
    """Return (first pfn, end, reserved pages) as far as files count them: each zone, or all memory.

    Zones do not count where they lack much more than MemTotal does: something took it after boot.
    """
    found: dict[str, list[int]] = {}
    for zone in zones(files.get("zoneinfo")):
        if zone.numbers.get("present") and "managed" in zone.numbers and "start_pfn" in zone.numbers:
            start, numbers = zone.numbers["start_pfn"], zone.numbers
            end = start + numbers.get("spanned", numbers["present"])
            low, high, pages = found.get(zone.name, [start, end, 0])
            missing = pages + numbers["present"] - numbers["managed"]
            found[zone.name] = [min(low, start), max(high, end), missing]
    rows = sorted((low, high, pages) for low, high, pages in found.values())
    nexts = [low for low, _, _ in rows[1:]] + [ALL[1]] * bool(rows)
    by_zone = [(low, min(high, end), pages) for (low, high, pages), end in zip(rows, nexts, strict=True)]
    total = mem_total(files.get("meminfo"))
    if total is None:
        return by_zone
    missing = max(0, sum(size for _, size in ram) + added - (total >> PAGE_SHIFT - 10))
    taken_later = sum(pages for *_, pages in by_zone) > missing + missing // 8
    return by_zone if by_zone and not taken_later else [(*ALL, missing)]


def fit(kept: list[Reservation], ram: list[Range], where: Range, nr_pages: int) -> list[Reservation]:
    """Return reservations of which exactly ``nr_pages`` lie in a range, as far as it has RAM.

    If it is too much by the bounce buffers there are none: they are freed where an IOMMU is used
    (``swiotlb_exit()``). Else it is taken from the smallest reservations first.

    >>> image = [Reservation(16, 8, "image", "f"), Reservation(40, 2, "other", "g")]
    >>> [(each.start_pfn, each.nr_pages) for each in fit(image, [(0, 100)], (0, 100), 12)]
    [(16, 8), (40, 2), (98, 2)]
    >>> [(each.start_pfn, each.nr_pages) for each in fit(image, [(0, 100)], (0, 100), 3)]
    [(16, 3)]
    """
    low, high = where
    outside = [part for each in kept for part in [*_part(each, 0, low), *_part(each, high, ALL[1])]]
    inside = [part for each in kept for part in _part(each, low, high)]
    excess = sum(part.nr_pages for part in inside) - nr_pages
    bounce = [part for part in inside if part.what.startswith("bounce buffer")]
    if excess >= sum(part.nr_pages for part in bounce):
        inside = [part for part in inside if part not in bounce]
        excess -= sum(part.nr_pages for part in bounce)
    result = outside
    for part in sorted(inside, key=lambda each: each.nr_pages):
        cut = min(part.nr_pages, max(0, excess))
        excess -= cut
        if cut < part.nr_pages:
            result.append(replace(part, nr_pages=part.nr_pages - cut))
    taken = sorted(_ranges(result))
    free = [gap for pfn, size in clip(ram, low, high) for gap in gaps(taken, pfn, pfn + size)]
    for pfn, size in reversed(free):
        take = min(size, max(0, -excess))
        excess += take
        if take:
            result.append(Reservation(pfn + size - take, take, REST, ""))
    return sorted(result, key=lambda each: each.start_pfn)


def _part(reservation: Reservation, low: int, high: int) -> list[Reservation]:
    """Return what of a reservation lies in [low, high)."""
    pieces = clip([(reservation.start_pfn, reservation.nr_pages)], low, high)
    return [replace(reservation, start_pfn=pfn, nr_pages=size) for pfn, size in pieces]
