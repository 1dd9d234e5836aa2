"""``show_patch()``: hunks in a notebook, before beside after."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.patch import Hunk, Patch
from memsim.view.patch.markup import hunk_html
from memsim.view.patch.text import patch_lines

_NARROW = 100


@dataclass(frozen=True, repr=False)
class ShownPatch:
    """Hunks to look at: HTML in a notebook, a diff as text."""

    hunks: tuple[Hunk, ...]

    def __repr__(self) -> str:
        """Return the text twin: the models as a diff."""
        return "\n".join(patch_lines(list(self.hunks), _NARROW, numbered=False))

    def _repr_html_(self) -> str:
        """Return the two columns."""
        return "".join(hunk_html(hunk) for hunk in self.hunks)


def show_patch(*hunks: str | Hunk) -> ShownPatch:
    """Show what hunks change in the models; without any, the whole patch.

    Raises
    ------
    MemsimError
        A name is not that of a hunk.

    >>> print(show_patch("MEMORY_HOTPLUG"))
    MEMORY_HOTPLUG (patch 2/3): mhp_init_memmap_on_memory() clears Offline from self-hosted vmemmap
      mm/memory_hotplug.c: mhp_init_memmap_on_memory(); model: memsim/linux/mm/memory_hotplug/online.py
              move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.UNMOVABLE)
        +     kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
              kernel.memmap.set_flags(pfn, nr_pages, PageFlag.VMEMMAP_SELF_HOSTED)
    """
    chosen = Patch(hunks) if hunks else Patch("after")
    return ShownPatch(tuple(hunk for hunk in Hunk if hunk in chosen))
