"""The buddy allocator: ``mm/page_alloc.c``.

Free areas of orders 0 to 10 with one list per migratetype, merging with the pageblock and isolation rules,
``__free_pages_core()``, and the checks of pages that are freed. Where the two releases differ, attributes of
:class:`~memsim.patch.Release` say so. The other parts of that large file are in the modules beside this one:
:mod:`~memsim.linux.mm.page_alloc.free_lists` (taking blocks), :mod:`~memsim.linux.mm.page_alloc.api` (what
callers use), :mod:`~memsim.linux.mm.page_alloc.watermarks`, :mod:`~memsim.linux.mm.page_alloc.contig`.

Left out: CMA, high-order atomic reserves, compaction capture, page reporting, shuffling, KASAN and
debug_pagealloc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.errors import BadPage
from memsim.linux.include.layout import (
    MAX_PAGE_ORDER,
    pageblock_nr_pages,
    pageblock_order,
    pageblock_start_pfn,
)
from memsim.linux.include.mmzone import MigrateType, Zone, migratetype_is_mergeable
from memsim.linux.include.page_flags import (
    MANAGED,
    NO_TYPE,
    PAGE_FLAGS_CHECK_AT_FREE,
    PAGE_FLAGS_CHECK_AT_PREP,
    PageFlag,
    PageType,
)
from memsim.patch import Hunk
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

MEMINIT_EARLY, MEMINIT_HOTPLUG = "MEMINIT_EARLY", "MEMINIT_HOTPLUG"
PG_HWPOISON = int(PageFlag.HWPOISON)  # a plain int: this test is made for every page that is freed
BAD_PAGE_BURST = 60
"""bad_page() prints this many reports, then keeps quiet for a minute."""


# ---- accounting ------------------------------------------------------------------------------------


def adjust_managed_page_count(kernel: Kernel, pfn: int, nr_pages: int, sign: int = 1) -> None:
    """Count a pfn range as managed by the buddy (sign 1) or no longer (sign -1); zone and MemTotal.

    The kernel's function takes a page and a count; the range keeps the ghost bit of each page true.
    """
    kernel.page_zone(pfn).add("managed_pages", sign * nr_pages)
    kernel.state.totalram_pages_add(sign * nr_pages)
    if kernel.release.adjusting_managed_updates_lowmem_reserve:
        kernel.managed_at_setup = [zone.managed_pages for zone in kernel.zones]
    mark_managed(kernel, pfn, nr_pages, managed=sign > 0)


def mark_managed(kernel: Kernel, pfn: int, nr_pages: int, *, managed: bool) -> None:
    """Set or clear the ghost bit that says a page is included in ``managed_pages``."""
    change = kernel.memmap.set_flags if managed else kernel.memmap.clear_flags
    change(pfn, nr_pages, MANAGED)


def account_freepages(zone: Zone, nr_pages: int, migratetype: int) -> None:
    """Change NR_FREE_PAGES, unless the pages are on an ISOLATE list."""
    if migratetype != MigrateType.ISOLATE:
        zone.add("nr_free_pages", nr_pages)


# ---- bad pages -------------------------------------------------------------------------------------


def bad_page(kernel: Kernel, pfn: int, reason: str) -> None:
    """Report a page whose state is wrong; what is wrong with it mostly stays as it is.

    The log gets the first and the last line in one. :mod:`memsim.machine.bad_page_report` has all of them.
    """
    kernel.bad_pages += 1
    if kernel.bad_pages <= BAD_PAGE_BURST:
        kernel.at_bad_page(pfn, reason)
        kernel.state.printk(f"BUG: Bad page state  pfn:{pfn:05x}  page dumped because: {reason}")
    elif kernel.bad_pages == BAD_PAGE_BURST + 1:
        kernel.state.printk("BUG: Bad page state: further reports are suppressed for a minute")
    # 6.1 calls page_mapcount_reset(), 6.12 __ClearPageBuddy(): other types stay.
    if kernel.release.bad_page_resets_type:
        kernel.memmap.reset_type(pfn)
    elif kernel.memmap.has_type(pfn, PageType.BUDDY):
        kernel.memmap.clear_buddy(pfn)


def page_bad_reason(kernel: Kernel, pfn: int, flags: int, flags_name: str) -> str | None:
    """Return why an unused page is in a bad state, or None; the last reason wins."""
    page, reason = kernel.memmap.raw(pfn), None
    if page.types:
        reason = "nonzero mapcount"
    if page.refcount != 0:
        reason = "nonzero _refcount"
    if page.flags & flags:
        reason = f"{flags_name} flag(s) set"
    return reason


def find_bad_pages(kernel: Kernel, pfn: int, nr_pages: int, flags: int) -> list[int]:
    """Return the pfns for which ``page_expected_state()`` is false."""
    found: list[int] = []
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        pages = section.pages
        if nr_pages == 1:  # the usual case, in which numpy takes longer than all else
            page = at.start
            fine = pages.type_at[page] == NO_TYPE and pages.refcount_at[page] == 0
            return [] if fine and pages.flags_at[page] & flags == 0 else [pfn]
        bad = (
            (pages.type[at] != NO_TYPE)
            | (pages.refcount[at] != 0)
            | (pages.flags[at] & np.uint32(flags) != 0)
        )
        if bad.any():
            found += (np.flatnonzero(bad) + pfn).tolist()
        pfn += at.stop - at.start
    return found


def tails_with_private(kernel: Kernel, pfn: int, nr_pages: int) -> list[int]:
    """Return the pages behind the first of a block in which ``page->private`` is set."""
    if nr_pages == 1:
        return []
    (section, at), *_ = kernel.memmap.spans(pfn, nr_pages)  # a block lies in one section
    return (np.flatnonzero(section.pages.order[at][1:]) + pfn + 1).tolist()


def is_check_pages_enabled(kernel: Kernel) -> bool:
    """Return whether pages are checked when they are freed and allocated.

    Linux 6.1 always does. 6.12 does with CONFIG_DEBUG_VM, and where ``check_pages`` is on.
    """
    return kernel.check_pages


def free_pages_prepare(kernel: Kernel, pfn: int, order: int, *, check_free: bool = True) -> bool:
    """Check and clean pages that are about to be freed; False: they are leaked, not freed.

    PG_dirty is cleaned silently. A page that still has a type is bad where pages are checked at all
    (``check_pages``), and goes into the buddy with its type where they are not. Without ``check_free`` the
    flags of the first page are cleaned before they are checked
    (:func:`memsim.linux.mm.page_alloc.api.free_unref_page`).
    """
    nr_pages = 1 << order
    if order == 0 and kernel.memmap.flags(pfn) & PG_HWPOISON:
        return False
    if kernel.release.freeing_forgives_type_of_head:
        kernel.memmap.reset_type(pfn)
    bad: list[int] = []
    if is_check_pages_enabled(kernel):
        bad = find_bad_pages(kernel, pfn, nr_pages, PAGE_FLAGS_CHECK_AT_FREE)
        if kernel.release.tail_private_is_bad:
            bad = sorted({*bad, *tails_with_private(kernel, pfn, nr_pages)})
    if bad[:1] == [pfn] and not check_free and not find_bad_pages(kernel, pfn, 1, 0):
        del bad[0]
    if not bad:
        kernel.memmap.clear_flags(pfn, nr_pages, PAGE_FLAGS_CHECK_AT_PREP)
        return True
    for wrong in sorted(bad, key=lambda each: each == pfn):  # the head is checked last
        reason = None
        if kernel.bad_pages < BAD_PAGE_BURST:  # later reports are not printed
            reason = page_bad_reason(kernel, wrong, PAGE_FLAGS_CHECK_AT_FREE, "PAGE_FLAGS_CHECK_AT_FREE")
        bad_page(kernel, wrong, reason or "nonzero mapcount")
    return False


# ---- free lists ------------------------------------------------------------------------------------


def page_is_buddy(kernel: Kernel, pfn: int, order: int, zone: Zone) -> bool:
    """Return whether ``pfn`` starts a free block of exactly ``order`` in ``zone``."""
    memmap = kernel.memmap
    return memmap.pfn_valid(pfn) and memmap.buddy_order(pfn) == order and memmap.zone_of(pfn) == zone.type


def list_type(zone: Zone, pfn: int, order: int) -> int:
    """Return the migratetype of the free list that a block is on."""
    for migratetype, blocks in enumerate(zone.free_area[order]):
        if pfn in blocks:
            return migratetype
    msg = f"pfn {pfn:#x} is marked Buddy of order {order} but is on no free list of {zone.name}"
    raise BadPage(msg)


def del_page_from_free_list(kernel: Kernel, zone: Zone, pfn: int, order: int) -> int:
    """Take a free block off its list, without accounting; returns the list's migratetype."""
    migratetype = list_type(zone, pfn, order)
    zone.del_from_free_list(pfn, order, migratetype)
    kernel.memmap.clear_buddy(pfn)
    return migratetype


def move_to_free_list(zone: Zone, pfn: int, order: int, migratetype: int) -> None:
    """Move a free block to the tail of another list and account for it."""
    old = list_type(zone, pfn, order)
    zone.del_from_free_list(pfn, order, old)
    zone.add_to_free_list_tail(pfn, order, migratetype)
    account_freepages(zone, -(1 << order), old)
    account_freepages(zone, 1 << order, migratetype)


def free_blocks_in(kernel: Kernel, pfn: int, nr_pages: int) -> list[tuple[int, int]]:
    """Return (pfn, order) of every free block whose head lies in the range, ascending."""
    heads: list[tuple[int, int]] = []
    for section, at in kernel.memmap.spans(pfn, nr_pages):
        is_head = kernel.memmap.encoding.where(section.pages.type[at], PageType.BUDDY)
        found = np.flatnonzero(is_head)
        orders = section.pages.order[at][found].tolist()
        heads += zip((found + pfn).tolist(), orders, strict=True)
        pfn += at.stop - at.start
    return heads


def move_freepages_block(kernel: Kernel, zone: Zone, pfn: int, migratetype: int) -> None:
    """Move the free blocks that start in a pageblock, from ``pfn`` on, to another list."""
    end = pageblock_start_pfn(pfn) + pageblock_nr_pages
    for head, order in free_blocks_in(kernel, pfn, end - pfn):
        move_to_free_list(zone, head, order, migratetype)


# ---- freeing ---------------------------------------------------------------------------------------


def buddy_merge_likely(kernel: Kernel, pfn: int, order: int, zone: Zone) -> bool:
    """Return whether the block one order up will soon be whole: its own partner is free."""
    if order >= MAX_PAGE_ORDER - 1:
        return False
    higher = pfn & ~(1 << order)
    return page_is_buddy(kernel, higher ^ (1 << order + 1), order + 1, zone)


def may_merge(kernel: Kernel, buddy_pfn: int, order: int, migratetype: int) -> bool:
    """Return whether the type of the partner's pageblock allows a merge.

    Below pageblock order both halves lie in one pageblock; above, ISOLATE (and HIGHATOMIC) blocks
    merge with their own kind only.
    """
    if order < pageblock_order:
        return True
    buddy_type = kernel.memmap.migratetype(buddy_pfn)
    return buddy_type == migratetype or (
        migratetype_is_mergeable(migratetype) and migratetype_is_mergeable(buddy_type)
    )


def __free_one_page(
    kernel: Kernel, zone: Zone, pfn: int, order: int, migratetype: int, *, to_tail: bool = False
) -> None:
    """Put a block on its free list, merging it with free partners as far as they reach."""
    account_freepages(zone, 1 << order, migratetype)
    while order < MAX_PAGE_ORDER:
        buddy_pfn = pfn ^ (1 << order)
        if not page_is_buddy(kernel, buddy_pfn, order, zone):
            break
        if not may_merge(kernel, buddy_pfn, order, migratetype):
            break
        buddy_type = del_page_from_free_list(kernel, zone, buddy_pfn, order)
        # 6.1 leaves the types of the pageblocks as they are.
        if buddy_type != migratetype and kernel.release.retypes_on_merge:
            kernel.memmap.set_migratetype(buddy_pfn, 1 << order, migratetype)
        pfn &= buddy_pfn
        order += 1
    kernel.memmap.set_buddy_order(pfn, order)
    if to_tail or buddy_merge_likely(kernel, pfn, order, zone):
        zone.add_to_free_list_tail(pfn, order, migratetype)
    else:
        zone.add_to_free_list(pfn, order, migratetype)


def split_large_buddy(kernel: Kernel, zone: Zone, pfn: int, order: int, *, to_tail: bool = False) -> None:
    """Free a block in pieces of at most one pageblock, each to the list of its own pageblock."""
    end, order = pfn + (1 << order), min(order, pageblock_order)
    for piece in range(pfn, end, 1 << order):
        migratetype = kernel.memmap.migratetype(piece)
        __free_one_page(kernel, zone, piece, order, migratetype, to_tail=to_tail)


def free_one_page(kernel: Kernel, pfn: int, order: int, *, to_tail: bool = False) -> None:
    """Free a block that is checked and clean. 6.1 gives it the type of its first pageblock."""
    zone = kernel.page_zone(pfn)
    # 6.12 calls split_large_buddy() here, for a block may span pageblocks of several types.
    if kernel.release.frees_by_pageblock:
        split_large_buddy(kernel, zone, pfn, order, to_tail=to_tail)
    else:
        migratetype = kernel.memmap.migratetype(pfn)
        __free_one_page(kernel, zone, pfn, order, migratetype, to_tail=to_tail)


def __free_pages_ok(kernel: Kernel, pfn: int, order: int, *, to_tail: bool = False) -> None:
    """Check, clean and free a block whose references are gone."""
    if free_pages_prepare(kernel, pfn, order):
        free_one_page(kernel, pfn, order, to_tail=to_tail)


@kernel_function("mm/page_alloc.c")
def __free_pages_core(kernel: Kernel, pfn: int, order: int, context: str) -> None:
    """Give a block to the buddy for the first time: at boot, or when memory comes online.

    This is where pages lose the mark they were born with. The hunks MEMINIT_CONTEXT and PAGE_ALLOC
    act here: which mark is taken off hotplugged pages, and when MemTotal moves.
    """
    memmap, nr_pages = kernel.memmap, 1 << order
    if context == MEMINIT_HOTPLUG and kernel.has(Hunk.PAGE_ALLOC):
        if kernel.debug_vm and any_reserved(kernel, pfn, nr_pages):
            kernel.vm_warn_on_once("PageReserved", "__free_pages_core")
        memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
    else:
        memmap.clear_flags(pfn, nr_pages, PageFlag.RESERVED)
    memmap.set_refcount(pfn, nr_pages, 0)
    if context == MEMINIT_HOTPLUG and kernel.has(Hunk.MEMINIT_CONTEXT):
        adjust_managed_page_count(kernel, pfn, nr_pages)
    else:
        kernel.page_zone(pfn).add("managed_pages", nr_pages)
        mark_managed(kernel, pfn, nr_pages, managed=True)
    __free_pages_ok(kernel, pfn, order, to_tail=True)


def any_reserved(kernel: Kernel, pfn: int, nr_pages: int) -> bool:
    """Return whether a page of the range is PG_reserved."""
    bit = np.uint32(PageFlag.RESERVED)
    return any(
        bool((section.pages.flags[at] & bit).any()) for section, at in kernel.memmap.spans(pfn, nr_pages)
    )
