"""Lines about memory hotplug that are not about one page, and what they mean.

``mm/memory_hotplug.c``, ``mm/page_alloc.c``, ``drivers/acpi/acpi_memhotplug.c``, ``drivers/acpi/scan.c`` and
the drivers that add memory or take it away: virtio-mem and the balloons of Hyper-V and Xen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memsim.linux.include.errno import NAMES
from memsim.linux.include.layout import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable

    _Meaning = str | Callable[[re.Match[str]], list[str]]
    _Table = tuple[tuple[str, re.Pattern[str], _Meaning], ...]

LONGEST_SHOWN = 300
"""Characters of a line that are shown."""
OF_MEMSIM = "further reports are suppressed for a minute"
"""In a line that memsim prints and no kernel does."""
_FAILED_RANGE = re.compile(r"memory offlining \[mem (0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\] failed")
_RSS_TYPES = {
    "file pages": ("MM_FILEPAGES", "0"),
    "anonymous pages": ("MM_ANONPAGES", "1"),
    "swap entries": ("MM_SWAPENTS", "2"),
    "shared memory pages": ("MM_SHMEMPAGES", "3"),
}
_REASONS = {
    "unmovable page": (
        "a page of type Offline still has a reference (scan_movable_pages()), because its driver did not let "
        "go of it on MEM_GOING_OFFLINE; the balloons of Hyper-V and Xen never do. No page is dumped for "
        "this: bit OFFLINE (23) in /proc/kpageflags finds it"
    ),
    "signal backoff": "a signal (Ctrl-C, or a timeout) ended it: the kernel would have tried forever",
    "failure to dissolve huge pages": "a free huge page could not be split into pages",
    "failure to isolate range": (
        "a pageblock could not be isolated, usually because of an unmovable page; 'page dumped because: "
        "unmovable page' says which"
    ),
    "multizone range": "it reaches over two zones",
    "not populated": "it has a hole",
    "memory holes": "it has a hole",
    "notifier failure": "a driver refused (MEM_GOING_OFFLINE)",
}


def size_name(size: int) -> str:
    """Return a size in the largest unit that divides it.

    >>> size_name(0x8000000), size_name(0x40000000), size_name(4096)
    ('128 MiB', '1 GiB', '4 KiB')
    """
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def errno_name(number: int) -> str:
    """Return a number that a kernel function returned with the name of the error.

    >>> errno_name(-17), errno_name(-9999)
    ('-EEXIST', '-9999')
    """
    name = NAMES.get(-number)
    return f"-{name}" if name else str(number)


def event_in(line: str) -> str | None:
    """Return a line as it is shown, if it is one of those that are known here."""
    return None if _found(line, _EVENTS) is None else line[:LONGEST_SHOWN]


def meanings(line: str) -> list[str]:
    """Return what a line means, in sentences."""
    return _sentences(line, _EVENTS)


def failed_range(line: str) -> range:
    """Return the pfns that a line says did not go offline; none for other lines."""
    found = _FAILED_RANGE.search(line)
    if found is None:
        return range(0)
    return range(int(found[1], 16) >> PAGE_SHIFT, (int(found[2], 16) + 1) >> PAGE_SHIFT)


def page_meanings(line: str) -> list[str]:
    """Return what a line that is about one page means, in sentences."""
    return _sentences(line, _ABOUT_PAGES)


def _sentences(line: str, table: _Table) -> list[str]:
    found = _found(line, table)
    if found is None:
        return []
    match, meaning = found
    return [meaning] if isinstance(meaning, str) else meaning(match)


def _found(line: str, table: _Table) -> tuple[re.Match[str], _Meaning] | None:
    for literal, pattern, meaning in table:
        match = pattern.search(line) if literal in line else None
        if match is not None:
            return match, meaning
    return None


def _offlining(found: re.Match[str]) -> list[str]:
    start, end, reason = int(found[1], 16), int(found[2], 16), (found[3] or "").strip()
    known = "kernels up to 4.20 do not say why"
    if reason:
        unknown = "the reason is not among those known here"
        known = next((text for key, text in _REASONS.items() if key in reason), unknown)
    first, pages = start >> PAGE_SHIFT, (end + 1 - start) >> PAGE_SHIFT
    return [
        f"Offlining {size_name(end + 1 - start)} (pfn {first:#x}, {pages} pages of 4 KiB) failed: {known}."
    ]


def _unaligned(found: re.Match[str]) -> list[str]:
    block, start, size = (int(found[at], 16) for at in (1, 2, 3))
    wrong = [name for name, value in (("start", start), ("size", size)) if value % block]
    refused = (
        f"Adding {size_name(size)} at {start:#x} was refused with -EINVAL: start and size must be multiples "
        f"of the memory block size, {size_name(block)}."
    )
    texts = [refused]
    if wrong:
        rest = start % block if wrong[0] == "start" else size % block
        texts.append(f"The {' and the '.join(wrong)} is not: {size_name(rest)} beyond a multiple.")
    return texts


def _offlined(found: re.Match[str]) -> list[str]:
    pages = int(found[1])
    return [f"{pages} pages went offline: {size_name(pages << PAGE_SHIFT)} with pages of 4 KiB."]


def _bad_pte(found: re.Match[str]) -> list[str]:
    text = (
        f"A page table entry ({int(found[1], 16):#x}) is damaged, or points to memory without a struct page "
        "or to one that cannot be mapped; no struct page was printed."
    )
    return [text]


def _acpi_refused(found: re.Match[str]) -> list[str]:
    block = int(found[1])
    text = (
        f"ACPI was asked to eject the memory device of block {block}, and the block did not go offline: see "
        "the lines before, or try to set it offline by hand."
    )
    return [text]


def _rss(found: re.Match[str]) -> list[str]:
    kind = next(
        (name for name, types in _RSS_TYPES.items() if found[1] in types), f"pages of type {found[1]}"
    )
    value = int(found[2])
    if value < 0:
        return [f"The process ended, and its {kind} were counted {-value} too low (check_mm())."]
    return [f"The process ended, and {value} of its {kind} were still counted (check_mm())."]


def _pgtables(found: re.Match[str]) -> list[str]:
    return [f"The process ended, and {found[1]} bytes of page tables were still counted (check_mm())."]


def _returned(what: str, *more: tuple[str, str]) -> Callable[[re.Match[str]], list[str]]:
    """Return the meaning of a line that ends with an error number; ``more`` is said of some errors."""

    def meaning(found: re.Match[str]) -> list[str]:
        name = found[1] if found[1].startswith("-E") else errno_name(int(found[1]))
        error = found[1] if name == found[1] else f"{found[1]} ({name})"
        return [f"{what} {error}.", *(text for of, text in more if of == name)]

    return meaning


def _not_migrated(found: re.Match[str]) -> list[str]:
    value = int(found[1])
    if value > 0:
        many = "one of them" if value == 1 else f"{value} of them"
        return [f"ret:{value}: migrate_pages() went over the pages that were to move, and {many} stayed."]
    name = errno_name(value)
    why = _WHY_NOT_MIGRATED.get(name, "")
    return [f"migrate_pages() returned {value} ({name}){': ' if why else ''}{why}."]


_WHY_NOT_MIGRATED = {
    "-EAGAIN": "something used the page each time it tried, a reference that no mapping explains, or a lock",
    "-ENOMEM": "there was no free page to move it to",
    "-EBUSY": "the page was in use, so it could not be taken out of its mapping",
    "-EINVAL": "this kind of page cannot be moved",
    "-ENOSYS": "the kernel cannot move a huge page of this size",
}


def _removing(found: re.Match[str]) -> list[str]:
    start, end = int(found[1], 16), int(found[2], 16)
    text = (
        f"Memory was to be removed with -EBUSY as the answer: its block of {size_name(end + 1 - start)} at "
        f"{start:#x} is online, and only offline blocks can go."
    )
    return [text]


def _too_far(found: re.Match[str]) -> list[str]:
    start, end, first, last = (int(found[at], 16) for at in range(1, 5))
    text = (
        f"Adding {start:#x} to {end:#x} was refused with -E2BIG: this kernel can have memory from "
        f"{first:#x} to {last:#x} only (mhp_range_allowed())."
    )
    return [text]


def _not_isolated(found: re.Match[str]) -> list[str]:
    text = (
        f"Offlining could not take pfn {int(found[1], 16):#x} off its list to migrate it "
        "(do_migrate_range()). This ends nothing: it tries again until it succeeds or a signal "
        "comes. A dump of the page follows."
    )
    return [text]


def _wasted(found: re.Match[str]) -> list[str]:
    text = (
        f"memory_hotplug.memmap_on_memory=force: of each memory block {found[1]} pages that the memmap "
        "does not need go with it, because whole pageblocks must."
    )
    return [text]


def _size_of_virtio_mem(found: re.Match[str]) -> list[str]:
    return [f"The {found[1]} of this virtio-mem device is {size_name(int(found[2], 16))}."]


def _warned(found: re.Match[str]) -> list[str]:
    return [_ASSERTIONS[found[1]]]


_ASSERTIONS = {
    "__free_pages_core": (
        "A page that is brought online has PG_reserved (debug kernels ask, once): it was not initialised as "
        "hotplugged memory is since 6.11, or a driver that brings pages online set the flag itself."
    ),
    "virtio_mem_set_fake_offline": (
        "A page that virtio-mem keeps from the buddy is not of type Offline (debug kernels ask, once): "
        "other code cleared the type of a page that never came online."
    ),
    "virtio_mem_fake_offline_going_offline": (
        "virtio-mem drops its reference on MEM_GOING_OFFLINE, and the count of the page was not 0 "
        "afterwards: other code holds it. A dump of the page follows; offlining fails with 'unmovable "
        "page'."
    ),
    "online_pages": (
        "The range is empty, or does not begin at a pageblock or end at a section: -EINVAL, nothing came "
        "online."
    ),
    "offline_pages": (
        "The range is empty, does not begin at a pageblock or end at a section, or is not in the zone: "
        "-EINVAL, nothing went offline."
    ),
    "__offline_isolated_pages": (
        "Offlining came to a page that is neither free in the buddy nor of type Offline with refcount 0 (nor "
        "poisoned), after the range had been tested: other code took it or freed it in between."
    ),
}
"""Functions of the modelled files that test their pages, and what was wrong if one complains."""
_FUNCTIONS = "|".join(_ASSERTIONS)
_NO_ROOM = ("-EEXIST", "Something has this range already (a resource, or a section that is present).")
_EVENTS: _Table = tuple(
    (literal, re.compile(pattern), meaning)
    for literal, pattern, meaning in (
        ("rss-counter", r"BUG: Bad rss-counter state mm:\S+ (?:type|idx):(\w+) val:(-?\d{1,20})", _rss),
        ("pgtables_bytes", r"BUG: non-zero pgtables_bytes on freeing mm: (-?\d{1,20})", _pgtables),
        ("Bad page map", r"BUG: Bad page map.*?pte:([0-9a-f]{1,16})", _bad_pte),
        # mm/memory_hotplug.c
        (
            "offlining [mem",
            r"memory offlining \[mem (0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\] failed(?: due to (.*))?",
            _offlining,
        ),
        (
            "unaligned hotplug",
            (
                r"Block size \[(0x[0-9a-f]{1,16})\] unaligned hotplug range: start (0x[0-9a-f]{1,16}), "
                r"size (0x[0-9a-f]{1,16})"
            ),
            _unaligned,
        ),
        ("Offlined Pages", r"Offlined Pages (\d{1,20})", _offlined),
        ("removing memory fails", r"\[(0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\] is onlined", _removing),
        (
            "exceeds maximum",
            (
                r"\[(0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\] exceeds maximum addressable range "
                r"\[(0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\]"
            ),
            _too_far,
        ),
        ("failed to isolate pfn", r"failed to isolate pfn ([0-9a-f]{1,16})", _not_isolated),
        ("hotplug will waste", r"waste (\d{1,20}) pages in each", _wasted),
        (
            "Failed to re-online memory",
            r"re-online memory: (-?\d{1,9})",
            _returned(
                "A driver wanted to remove memory, could not set all of it offline, and a block that had "
                "gone offline did not come back online:"
            ),
        ),
        (
            "Failed to remove memory",
            r"remove memory: (-?\d{1,9})",
            _returned("All blocks went offline, and their memory was not removed all the same:"),
        ),
        (
            "reserve System RAM",
            r"Unable to reserve System RAM region",
            "Something has this range in /proc/iomem already: adding it fails with -EEXIST.",
        ),
        (
            "online_pages [mem",
            r"online_pages \[mem .*\] failed",
            (
                "The block did not come online: a notifier "
                "refused (MEM_GOING_ONLINE), such as virtio-mem does with blocks that it did not add."
            ),
        ),
        ("WARNING:", rf" at \S{{1,200}} ({_FUNCTIONS})\+0x", _warned),
        ("__offline_isolated_pages", r"RIP: [0-9a-f]{4}:(__offline_isolated_pages)\+0x", _warned),
        (
            "messages suppressed",
            r"BUG: Bad page (?:state|map): \d{1,20} messages suppressed",
            (
                "bad_page() prints 60 reports a minute at most; this is the number of bad pages that it did "
                "not report."
            ),
        ),
        (
            "reports are suppressed",
            r"BUG: Bad page state: further reports are suppressed",
            (
                "memsim printed this line: it prints 60 reports. A kernel says nothing here, and with the "
                "next report after the minute how many it left out."
            ),
        ),
        (
            "enable_soft_offline",
            r"Soft offline: disabled by",
            "Soft offlining answers -EOPNOTSUPP while this sysctl is 0; the line is printed once only.",
        ),
        # drivers/acpi
        ("Offline failed.", r"memory memory(\d{1,20}): Offline failed\.", _acpi_refused),
        (
            "add_memory",
            r"add_memory(?:_resource)?\(\) failed: (-?\d{1,9})",
            _returned("The memory was not added:", _NO_ROOM),
        ),
        (
            "add_memory failed",
            r"add_memory failed",
            "ACPI could not add its memory device; the line does not say why, the lines before it may.",
        ),
        # drivers/virtio/virtio_mem.c
        (
            "adding memory failed",
            r"virtio_mem \S{1,64}: adding memory failed: (-?\d{1,9})",
            _returned("The memory block was not added: add_memory_driver_managed() returned", _NO_ROOM),
        ),
        (
            "onlining denied",
            r"virtio_mem .*memory block onlining denied",
            (
                "A memory block was to go online that virtio-mem does not have as offline (it is adding it, "
                "or has "
                "removed it): it refuses on MEM_GOING_ONLINE, and the write to 'state' fails."
            ),
        ),
        (
            "device broken",
            r"marking device broken: (-?\d{1,9}|-E[A-Z0-9]{1,20})\b",
            _returned(
                "virtio-mem met an error that it has no answer to, and plugs and unplugs nothing any more:"
            ),
        ),
        (
            "reserve device region",
            r"could not reserve device region",
            (
                "Something of the device's range is in /proc/iomem already, often memory of a driver that "
                "was removed and left its memory: the device is not used (-EBUSY)."
            ),
        ),
        (
            "still has system memory",
            r"device still has system memory added",
            "The driver went away, and its memory stays: it can neither be plugged nor unplugged any more.",
        ),
        (
            "virtio_mem",
            (
                r"virtio_mem \S{1,64}: ((?:region|plugged|requested|(?:device |memory |big )?block|subblock) "
                r"size): "
                r"(0x[0-9a-f]{1,16})"
            ),
            _size_of_virtio_mem,
        ),
        # drivers/hv/hv_balloon.c
        (
            "hot_add memory failed",
            r"hv_balloon: hot_add memory failed error is (-?\d{1,9})",
            _returned(
                "add_memory() failed in the guest:",
                (
                    "-EEXIST",
                    "hv_balloon adds no memory any more: it takes this error for one that will stay.",
                ),
            ),
        ),
        (
            "Memory hot add failed",
            r"hv_balloon: Memory hot add failed",
            "Hyper-V offered memory, and the guest could not add it, or did not want to (hot_add_req()).",
        ),
        (
            "hv_balloon: Ignore",
            r"Ignore (hot-add|balloon-(?:up|down)) request",
            "Hyper-V's request is refused because the guest may hibernate: its memory must stay what it is.",
        ),
        (
            "partially fulfilled",
            r"Balloon request will be partially fulfilled",
            "Hyper-V wanted more pages than the guest can spare (compute_balloon_floor()): it gets fewer.",
        ),
        # memsim's own words for lines of these drivers
        (
            "still referenced while",
            r"WARNING: page 0x[0-9a-f]{1,16} is still referenced while offlining",
            _ASSERTIONS["virtio_mem_fake_offline_going_offline"],
        ),
        (
            "hv_balloon: ",
            r"hv_balloon: .* cannot be added: (-E[A-Z0-9]{1,20})\b",
            _returned(
                "add_memory() failed in the guest:",
                (
                    "-EEXIST",
                    "hv_balloon adds no memory any more: it takes this error for one that will stay.",
                ),
            ),
        ),
        (
            "hv_balloon: nothing of",
            r"could be added",
            "Hyper-V offered memory, and the guest could not add it, or did not want to (hot_add_req()).",
        ),
        (
            "pages requested:",
            r"hv_balloon: \d{1,20} of \d{1,20} pages requested",
            "Hyper-V wanted more pages than the guest can spare (compute_balloon_floor()): it gets fewer.",
        ),
        (
            "go offline than came online",
            r"WARNING: more pages go offline than came online",
            (
                "hv_balloon counts the pages that it has online, and more went offline than it had counted "
                "(hv_memory_notifier())."
            ),
        ),
        # drivers/xen/balloon.c
        (
            "Cannot add additional memory",
            r"additional memory \((-?\d{1,9})\)",
            _returned("The balloon of Xen could not add memory above the old end of memory:", _NO_ROOM),
        ),
        (
            "new System RAM resource",
            r"Cannot allocate new System RAM resource",
            "The balloon of Xen found no free range of addresses for new memory.",
        ),
    )
)
"""A literal that a line must have, its form, and what it means."""
_ABOUT_PAGES: _Table = tuple(
    (literal, re.compile(pattern), meaning)
    for literal, pattern, meaning in (
        ("migrat", r"migrating pfn [0-9a-fx]{1,18} failed ret:(-?\d{1,9})", _not_migrated),
        ("migration failed", r"migration failed:? (-?\d{1,9})", _not_migrated),
        (
            "dumped because: isolation failed",
            r"isolation failed",
            (
                "Offlining could not take the page off its list: it is neither on the LRU nor movable by a "
                "driver, or "
                "something else has isolated it (isolate_folio_to_list()). Offlining tries again, until a "
                "signal."
            ),
        ),
        (
            "fake-offline page referenced",
            r"dumped because: fake-offline page referenced",
            (
                "virtio-mem dropped its own reference to a page that it has unplugged (MEM_GOING_OFFLINE), "
                "and "
                "another reference is left: something got hold of a page of type Offline, such as a reader "
                "of all "
                "pfns that does not skip them. scan_movable_pages() will say 'unmovable page'."
            ),
        ),
    )
)
"""The same for lines that are about one page, and for the reason of its dump."""
