"""Files of /proc that show pages, one 64-bit word each: ``fs/proc/page.c``.

``kpageflags_read()`` is :func:`kpageflags` here, and ``kpagecount_read()`` :func:`kpagecount`: what they copy
to the reader, without the file around it.

Left out: compound pages but for their head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGES_PER_SECTION, pfn_to_section_nr, section_nr_to_pfn
from memsim.linux.include.page_flags import KPF, PageFlag, PageType
from memsim.linux.mm.memory_hotplug.online_page import online_pages_of
from memsim.linux.mm.page_alloc.isolation import is_free_buddy_page

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.state.kernel import Kernel
    from memsim.state.section import Section

    Words = npt.NDArray[np.uint64]

KPF_COPIED = {
    **{PageFlag[bit.name]: bit.value for bit in KPF if bit.name in PageFlag.__members__},
    PageFlag.ISOLATED: KPF.RECLAIM.value,  # PG_isolated is another name of PG_reclaim
    PageFlag.SWAPBACKED | PageFlag.OWNER_PRIV_1: KPF.SWAPCACHE.value,  # both at once
    PageFlag.OWNER_PRIV_1: KPF.OWNER_PRIVATE.value,
}
"""Flags that a word of kpageflags shows as they are: flag -> number of its bit."""


def get_max_dump_pfn(kernel: Kernel) -> int:
    """Return how many words kpageflags has: up to the end of the last section with RAM.

    ``get_max_dump_pfn()``; device memory does not count. In the kernel it never sinks, here it does when
    memory is removed.
    """
    last = max(pfn + nr_pages for pfn, (nr_pages, _) in kernel.iomem.items()) - 1
    return section_nr_to_pfn(pfn_to_section_nr(last) + 1)


def stable_page_flags(kernel: Kernel, section: Section) -> Words:
    """Return the words of kpageflags for the pages of a section as if all of them were online.

    KPF_BUDDY is on every page of a free block: pages without references inside one count, too.
    """
    pages, where = section.pages, kernel.memmap.encoding.where
    inside = (pages.refcount == 0) & is_free_buddy_page(kernel, section)
    shown = [
        (where(pages.type, PageType.BUDDY) | inside, KPF.BUDDY.value),
        (where(pages.type, PageType.OFFLINE), KPF.OFFLINE.value),
        (where(pages.type, PageType.TABLE), KPF.PGTABLE.value),
        *((pages.flags & np.uint32(flag) == flag, bit) for flag, bit in KPF_COPIED.items()),
    ]
    words = np.zeros(PAGES_PER_SECTION, np.uint64)
    for which, bit in shown:
        words[which] |= np.uint64(1 << bit)
    return words


def kpageflags(kernel: Kernel, pfn: int, nr_pages: int) -> Words:
    """Return the words of /proc/kpageflags for a range; KPF_NOPAGE alone (7.3: 0) where no page is online.

    >>> from memsim import Machine
    >>> machine = Machine(ram=[(0, 32768)])
    >>> [hex(word) for word in kpageflags(machine.kernel, 32767, 2)]
    ['0x400', '0x100000']
    """
    nopage = 0 if kernel.release.hides_nopage else 1 << KPF.NOPAGE.value
    words, end = np.full(nr_pages, nopage, np.uint64), pfn + nr_pages
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(end - 1) + 1):
        online, start = online_pages_of(kernel, nr), section_nr_to_pfn(nr)
        if online.any():
            section = np.where(online, stable_page_flags(kernel, kernel.memmap.sections[nr]), nopage)
            low, high = max(pfn, start), min(end, start + PAGES_PER_SECTION)
            words[low - pfn : high - pfn] = section[low - start : high - start]
    return words


def kpagecount(_kernel: Kernel, _pfn: int, nr_pages: int) -> Words:
    """Return the words of /proc/kpagecount for a range: how many page tables map each page.

    That is 0 for a page that is not online, for one with a type, whose ``_mapcount`` is no count (6.1 asks
    ``page_has_type()``, 6.12 ``page_mapcount_is_type()``), and for all others as the simulator maps none.
    """
    return np.zeros(nr_pages, np.uint64)
