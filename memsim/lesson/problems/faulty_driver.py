"""A driver that withholds memory, with the mistakes that reports of bad pages are made of.

It is no model of any driver: its functions are what stands in a call trace under the name of its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.mmzone import MigrateType
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.page_alloc.api import __free_pages as free_pages
from memsim.linux.mm.page_alloc.api import alloc_pages

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

MODULE = "acme_balloon"


def acme_inflate(kernel: Kernel, nr_pages: int) -> list[int]:
    """Take single pages for the host, and mark them Offline as a balloon does."""
    pfns = [alloc_pages(kernel, 0, MigrateType.MOVABLE) for _ in range(nr_pages)]
    for pfn in pfns:
        kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    return pfns


def acme_deflate(kernel: Kernel, pfns: list[int]) -> None:
    """Give pages back, without ``__ClearPageOffline()``: the mistake."""
    for pfn in pfns:
        free_pages(kernel, pfn)


def acme_take_block(kernel: Kernel, order: int) -> int:
    """Take a block and split it, so that each page has a reference of its own (``split_page()``)."""
    pfn = alloc_pages(kernel, order, MigrateType.MOVABLE)
    kernel.memmap.set_refcount(pfn, 1 << order, 1)
    return pfn


def acme_return_block(kernel: Kernel, pfn: int, order: int) -> None:
    """Give a split block back as if it was whole: the mistake."""
    free_pages(kernel, pfn, order)


def acme_free_table(kernel: Kernel, pfn: int) -> None:
    """Free a page that memblock reserved, without ``free_reserved_page()``: the mistake."""
    free_pages(kernel, pfn)
