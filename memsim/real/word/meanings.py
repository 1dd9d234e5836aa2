"""What the bits of the words mean that tell what a page is, in words.

``page->flags`` (``include/linux/page-flags.h``), and the words of /proc/kpageflags
(``include/uapi/linux/kernel-page-flags.h``, and above bit 31 ``include/linux/kernel-page-flags.h``).

Left out: bits that only other configurations than Debian's for x86-64 have.
"""

from __future__ import annotations

PAGE_FLAG_MEANINGS = {
    "locked": "locked by its user; others wait",
    "referenced": "used lately",
    "uptodate": "its contents are valid; on a free block the same bit is PG_reported",
    "dirty": "to be written back; virtio-mem sets it on pages that never went through generic_online_page()",
    "lru": "on a list of pages that can be reclaimed or migrated",
    "active": "on the active list",
    "workingset": "came back soon after it was evicted",
    "waiters": "has waiters",
    "error": "reading or writing it failed",
    "slab": "belongs to the slab allocator; in 6.12 a page type",
    "owner_priv_1": "the owner's own; on pages that hold the memmap of their block PG_vmemmap_self_hosted",
    "owner_2": "the owner's own, formerly PG_mappedtodisk",
    "mappedtodisk": "has blocks on a disk",
    "arch_1": "the architecture's own",
    "reserved": "the allocator leaves the page alone; before the patch, hotplugged pages start with it",
    "private": "the owner keeps something in page->private",
    "private_2": "a second mark of the same kind",
    "writeback": "being written back",
    "head": "first page of a compound page",
    "reclaim": "to be reclaimed soon; on movable pages off the LRU the same bit is PG_isolated",
    "swapbacked": "goes to swap, not to a file",
    "unevictable": "not to be reclaimed",
    "dropbehind": "to be dropped from the page cache once it is written",
    "mlocked": "locked into memory by mlock()",
    "uncached": "mapped without the cache",
    "hwpoison": "broken memory: never to be used again",
}

KPF_NAMES: dict[int, tuple[str, str]] = {
    0: ("LOCKED", "PG_locked"),
    1: ("ERROR", "PG_error; always clear in 6.12"),
    2: ("REFERENCED", "PG_referenced"),
    3: ("UPTODATE", "PG_uptodate"),
    4: ("DIRTY", "PG_dirty"),
    5: ("LRU", "PG_lru"),
    6: ("ACTIVE", "PG_active"),
    7: ("SLAB", "belongs to the slab allocator"),
    8: ("WRITEBACK", "PG_writeback"),
    9: ("RECLAIM", "PG_reclaim"),
    10: ("BUDDY", "in a free block of the buddy, at its head or not"),
    11: ("MMAP", "mapped into a process"),
    12: ("ANON", "anonymous memory"),
    13: ("SWAPCACHE", "in the swap cache"),
    14: ("SWAPBACKED", "PG_swapbacked"),
    15: ("COMPOUND_HEAD", "first page of a compound page"),
    16: ("COMPOUND_TAIL", "another page of a compound page"),
    17: ("HUGE", "part of a hugetlb page"),
    18: ("UNEVICTABLE", "PG_unevictable"),
    19: ("HWPOISON", "PG_hwpoison: broken memory"),
    20: ("NOPAGE", "no struct page that means anything: a hole, or a section that is not online"),
    21: ("KSM", "shared by KSM"),
    22: ("THP", "part of a transparent huge page"),
    23: ("OFFLINE", "page type Offline: logically offline inside an online section"),
    24: ("ZERO_PAGE", "the zero page"),
    25: ("IDLE", "not used since it was last checked"),
    26: ("PGTABLE", "page type Table: a page table"),
    32: ("RESERVED", "PG_reserved; hotplugged memory that was not onlined had it before the patch"),
    33: ("MLOCKED", "PG_mlocked"),
    34: ("OWNER_2", "PG_owner_2; in 6.1 KPF_MAPPEDTODISK"),
    35: ("PRIVATE", "PG_private"),
    36: ("PRIVATE_2", "PG_private_2"),
    37: ("OWNER_PRIVATE", "PG_owner_priv_1: on self-hosted vmemmap, too"),
    38: ("ARCH", "PG_arch_1"),
    39: ("UNCACHED", "PG_uncached"),
    40: ("SOFTDIRTY", "changed since it was last checked"),
    41: ("ARCH_2", "another of the architecture's"),
}
"""Bit -> name without ``KPF_``, and what it says. Those from bit 32 on are for kernel hackers, not an ABI."""
