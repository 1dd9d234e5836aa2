"""The patch as a value.

A kernel is a :class:`~memsim.release.Release` and a set of :class:`Hunk`. The book compares *no hunk* with
*all hunks* on one release, so that what differs is the patch and nothing else. Every hunk is one visible
branch: ``git grep Hunk.MM_INIT`` finds where it acts.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Self

from memsim.errors import MemsimError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Hunk(Enum):
    """The parts of the June 2024 series, by the file or the thought they belong to."""

    MEMINIT_CONTEXT = "1/3: __free_pages_core() is told its context and counts totalram first"
    MM_INIT = "2/3: memmap_init_range() gives hotplugged pages the type Offline, not PG_reserved"
    PAGE_ALLOC = "2/3: __free_pages_core() clears Offline from hotplugged pages, not PG_reserved"
    MEMORY_HOTPLUG = "2/3: mhp_init_memmap_on_memory() clears Offline from self-hosted vmemmap"
    VIRTIO_MEM = "2/3: virtio-mem no longer strips PG_reserved"
    HV_BALLOON = "2/3: hv_page_online_one() skips backed pages that are not Offline"
    XEN_BALLOON = "2/3: balloon_append() sets Offline only where it is not set yet"
    OFFLINE_CORE = "3/3: offline_pages() subtracts only pages that are not Offline from managed"
    OFFLINE_DRIVER = "3/3: virtio-mem no longer fakes the managed counter around offlining"

    __hash__ = object.__hash__  # there is one object for each hunk; Enum hashes its name, which is slower


class Patch(frozenset[Hunk]):
    """A set of hunks; ``BEFORE`` is empty, ``AFTER`` is all of them.

    >>> Patch.parse("MM_INIT,PAGE_ALLOC")
    Patch(MM_INIT, PAGE_ALLOC)
    >>> Patch.parse("OFFLINE_MANAGED") == Patch({Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER})
    True
    """

    def __new__(cls, hunks: Iterable[Hunk] = ()) -> Self:
        """Make a set of hunks; MemsimError for what is none, such as the name of one."""
        hunks = tuple(hunks)
        others = [each for each in hunks if not isinstance(each, Hunk)]
        if others:
            msg = f"a Patch is made of hunks, and {others[0]!r} is none; Patch.parse('MM_INIT') reads names"
            raise MemsimError(msg)
        return super().__new__(cls, hunks)

    @classmethod
    def parse(cls, text: str) -> Patch:
        """Read ``before``, ``after``, or hunk names with commas between them; MemsimError for other names."""
        named = {"before": BEFORE, "after": AFTER}
        if text.lower() in named:
            return named[text.lower()]
        hunks: set[Hunk] = set()
        for word in filter(None, (part.strip().upper() for part in text.split(","))):
            if word == "OFFLINE_MANAGED":
                hunks |= {Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER}
            elif word in Hunk.__members__:
                hunks.add(Hunk[word])
            else:
                known = ", ".join(Hunk.__members__)
                msg = f"{word!r} is not a hunk of the series; known are {known}"
                raise MemsimError(msg)
        return cls(hunks)

    @classmethod
    def without(cls, hunks: Iterable[Hunk]) -> Patch:
        """Return the whole series but for ``hunks``."""
        return cls(AFTER - frozenset(hunks))

    @property
    def name(self) -> str:
        """``before``, ``after``, or the hunks with commas between them."""
        if not self:
            return "before"
        return "after" if self == AFTER else ",".join(h.name for h in Hunk if h in self)

    def __repr__(self) -> str:
        """Show the hunks in the order of the series."""
        return f"Patch({', '.join(h.name for h in Hunk if h in self)})"


BEFORE = Patch()
AFTER = Patch(Hunk)
