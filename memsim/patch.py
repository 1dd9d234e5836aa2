"""The patch as a value, and the kernel release beside it.

A kernel is a :class:`Release` plus a set of :class:`Hunk`. The book compares *no hunk* with *all
hunks* on one release, so that what differs is the patch and nothing else. Every hunk is one visible
branch: ``git grep Hunk.MM_INIT`` finds where it acts.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Self

from memsim.errors import MemsimError
from memsim.include.page_flags import PageTypeEncoding

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


class Release(NamedTuple):
    """What differs between the two recorded kernels for reasons other than the series.

    Each attribute is used at one place in ``memsim.mm``.
    """

    name: str
    encoding: PageTypeEncoding
    """How ``page_type`` is stored."""
    always_checks_freed_pages: bool
    """6.1 checks every page on the ``__free_pages_ok()`` route; 6.12 only when page checks are on."""
    bad_page_resets_type: bool
    """6.1's ``bad_page()`` resets ``_mapcount`` and with it any type; 6.12's only clears Buddy."""
    frees_by_pageblock: bool
    """6.12's ``free_one_page()`` frees at most a pageblock at a time, each with its own type."""
    retypes_on_merge: bool
    """6.12's ``__free_one_page()`` gives a merged partner's pageblocks the type of the list."""
    isolation_splits: bool
    """6.12 splits a free block of order 10 when one of its two pageblocks changes its type."""
    self_hosts_each_block: bool
    """6.12 gives every memory block of a range its own altmap; 6.1 takes ranges of one block only."""
    movable_has_own_watermark: bool
    """6.12 leaves ZONE_MOVABLE out of the shares of min_free_kbytes."""
    hot_adds_memory_blocks: bool
    """6.12's Hyper-V balloon adds memory block by memory block; 6.1's adds 128 MiB at a time."""
    retries_removing_blocks: bool
    """6.12's virtio-mem tries again to remove an online block in which nothing is plugged; 6.1 lets it be."""
    claims_before_stealing: bool
    """6.12 takes over a whole pageblock or leaves the rest of a stolen block where it was; 6.1 moves it."""
    counts_poison_by_block: bool
    """6.12 refuses to online a block in which pages were poisoned; 6.1 forgets that they were."""

    def __str__(self) -> str:
        """Show the name."""
        return self.name


RELEASES = {
    "6.1": Release(
        name="6.1",
        encoding=PageTypeEncoding("inverted-bits"),
        always_checks_freed_pages=True,
        bad_page_resets_type=True,
        frees_by_pageblock=False,
        retypes_on_merge=False,
        isolation_splits=False,
        self_hosts_each_block=False,
        movable_has_own_watermark=False,
        hot_adds_memory_blocks=False,
        retries_removing_blocks=False,
        claims_before_stealing=False,
        counts_poison_by_block=False,
    ),
    "6.12": Release(
        name="6.12",
        encoding=PageTypeEncoding("byte"),
        always_checks_freed_pages=False,
        bad_page_resets_type=False,
        frees_by_pageblock=True,
        retypes_on_merge=True,
        isolation_splits=True,
        self_hosts_each_block=True,
        movable_has_own_watermark=True,
        hot_adds_memory_blocks=True,
        retries_removing_blocks=True,
        claims_before_stealing=True,
        counts_poison_by_block=True,
    ),
}


def release_named(name: str) -> Release:
    """Return the release ``"6.1"`` or ``"6.12"``; MemsimError for any other."""
    if name not in RELEASES:
        msg = f"release {name!r} is not modelled; known are {', '.join(RELEASES)}"
        raise MemsimError(msg)
    return RELEASES[name]
