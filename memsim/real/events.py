"""Lines about memory hotplug that are not about one page, and what they mean.

``mm/memory_hotplug.c``, ``drivers/acpi/acpi_memhotplug.c`` and ``drivers/acpi/scan.c``.
"""

from __future__ import annotations

import re

from memsim.linux.include.layout import PAGE_SHIFT
from memsim.real.reading import CONCLUDED, PRINTED, Fact

_OFFLINING = re.compile(r"memory offlining \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] failed(?: due to (.*))?")
_UNALIGNED = re.compile(
    r"Block size \[(0x[0-9a-f]+)\] unaligned hotplug range: start (0x[0-9a-f]+), size (0x[0-9a-f]+)"
)
_OFFLINED = re.compile(r"Offlined Pages (\d+)")
_BAD_PTE = re.compile(r"BUG: Bad page map.*?pte:([0-9a-f]+)")
_RSS = re.compile(r"BUG: Bad rss-counter state mm:\S+ (?:type|idx):(\w+) val:(-?\d+)")
_RSS_TYPES = {
    "file pages": ("MM_FILEPAGES", "0"),
    "anonymous pages": ("MM_ANONPAGES", "1"),
    "swap entries": ("MM_SWAPENTS", "2"),
    "shared memory pages": ("MM_SHMEMPAGES", "3"),
}
_PGTABLES = re.compile(r"BUG: non-zero pgtables_bytes on freeing mm: (-?\d+)")
_HYPERV = re.compile(r"hv_balloon: (?:Memory hot add|hot_add memory) failed")
_VIRTIO_MEM = re.compile(r"virtio_mem \S+: adding memory failed: (-?\d+)")
_EJECT = re.compile(r"memory memory(\d+): Offline failed\.")
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


def event_facts(line: str) -> tuple[Fact, ...]:
    """Return the line, and what it means."""
    for pattern, meaning in _MEANINGS:
        found = pattern.search(line)
        if found is not None:
            return (Fact(line, PRINTED), *(Fact(text, CONCLUDED) for text in meaning(found)))
    return (Fact(line, PRINTED),)


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


def _hyperv(_found: re.Match[str]) -> list[str]:
    return ["Hyper-V offered memory, and the guest could not add it, or did not want to (hot_add_req())."]


def _virtio_mem(found: re.Match[str]) -> list[str]:
    return [f"add_memory_driver_managed() returned {found[1]}: the memory block was not added."]


_MEANINGS = (
    (_RSS, _rss),
    (_PGTABLES, _pgtables),
    (_HYPERV, _hyperv),
    (_VIRTIO_MEM, _virtio_mem),
    (_OFFLINING, _offlining),
    (_UNALIGNED, _unaligned),
    (_OFFLINED, _offlined),
    (_BAD_PTE, _bad_pte),
    (_EJECT, _acpi_refused),
)
