"""Struct pages come and go: ``__add_pages()`` and ``__remove_pages()`` of ``mm/memory_hotplug.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.linux.include.layout import PAGES_PER_SECTION, pfn_to_section_nr
from memsim.linux.mm.sparse import sparse_add_section, sparse_remove_section

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


def __add_pages(kernel: Kernel, start_pfn: int, nr_pages: int, *, altmap: bool) -> None:
    """Add the sections of a range one by one.

    If one fails, those before it stay, and so does the memory that holds their struct pages: nothing in the
    kernel removes them. Only sections that hold their own struct pages are removed again
    (``remove_memory_blocks_and_altmaps()``).
    """
    first = pfn_to_section_nr(start_pfn)
    for nr in range(first, first + nr_pages // PAGES_PER_SECTION):
        try:
            sparse_add_section(kernel, nr, altmap=altmap)
        except KernelError:
            if altmap:
                __remove_pages(kernel, start_pfn, (nr - first) * PAGES_PER_SECTION)
            raise


def __remove_pages(kernel: Kernel, start_pfn: int, nr_pages: int) -> None:
    """Remove the sections of a range."""
    first = pfn_to_section_nr(start_pfn)
    for nr in range(first, first + nr_pages // PAGES_PER_SECTION):
        sparse_remove_section(kernel, nr)
