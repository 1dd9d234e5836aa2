"""Which pages are online: ``pfn_to_online_page()`` of ``mm/memory_hotplug.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import PAGES_PER_SECTION, PAGES_PER_SUBSECTION, section_nr_to_pfn
from memsim.linux.include.mmzone import pfn_section_valid
from memsim.state.ranges import clip

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.state.kernel import Kernel


def pfn_to_online_page(kernel: Kernel, pfn: int) -> bool:
    """Return whether a page has a struct page that may be looked at.

    The section must be online, as device memory never is, and the 2 MiB sub-section must have RAM
    (``pfn_section_valid()``): holes in boot memory are found only near RAM.
    """
    return kernel.memmap.pfn_to_online_page(pfn) is not None and pfn_section_valid(kernel.iomem, pfn)


def online_pages_of(kernel: Kernel, nr: int) -> npt.NDArray[np.bool_]:
    """Return for each page of section ``nr`` whether ``pfn_to_online_page()`` finds it.

    The rule of :func:`pfn_to_online_page`, for all pages of a section at once.
    """
    online = np.zeros(PAGES_PER_SECTION, np.bool_)
    section, low = kernel.memmap.sections.get(nr), section_nr_to_pfn(nr)
    if section is not None and section.online:
        ram = ((pfn, nr_pages) for pfn, (nr_pages, _) in kernel.iomem.items())
        for pfn, nr_pages in clip(ram, low, low + PAGES_PER_SECTION):
            start = (pfn - low) // PAGES_PER_SUBSECTION * PAGES_PER_SUBSECTION
            online[start : -(-(pfn + nr_pages - low) // PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION] = True
    return online
