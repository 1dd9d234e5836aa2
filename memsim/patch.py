"""The patch as a value.

A kernel is a :class:`~memsim.release.Release` and a set of :class:`Hunk`. The book compares *no hunk* with
*all hunks* on one release, so that what differs is the patch and nothing else. Every hunk is one visible
branch: ``git grep Hunk.MM_INIT`` finds where it acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Self, TypeVar

from memsim.errors import MemsimError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

S = TypeVar("S")


class Hunk(Enum):
    """The parts of the June 2024 series, named after the file that each changes, or after its subject."""

    MEMINIT_CONTEXT = "1/3: __free_pages_core() takes a context and counts hotplugged pages in MemTotal"
    MM_INIT = "2/3: memmap_init_range() gives hotplugged pages the type Offline, not PG_reserved"
    PAGE_ALLOC = "2/3: __free_pages_core() clears Offline from hotplugged pages, not PG_reserved"
    MEMORY_HOTPLUG = "2/3: mhp_init_memmap_on_memory() clears Offline from self-hosted vmemmap"
    VIRTIO_MEM = "2/3: virtio-mem no longer strips PG_reserved"
    HV_BALLOON = "2/3: hv_page_online_one() skips backed pages that are not Offline"
    XEN_BALLOON = "2/3: balloon_append() sets Offline only where it is not set yet"
    OFFLINE_CORE = "3/3: offline_pages() subtracts only pages that are not Offline from managed"
    OFFLINE_DRIVER = "3/3: virtio-mem no longer fakes the managed counter around offlining"

    __hash__ = object.__hash__  # there is one object for each hunk; Enum hashes its name, which is slower


COMMITS = {"1/3": "13c526540b31", "2/3": "503b158fc30f", "3/3": "50625744220c"}
"""The patches of the series, as they were merged for Linux 6.11."""


class Patch(frozenset[Hunk]):
    """A set of hunks; ``BEFORE`` is empty, ``AFTER`` is all of them.

    Made from hunks, from their names, or from a string of names. ``| & - ^`` of patches give a Patch.

    Raises
    ------
    MemsimError
        For anything that is not a hunk or the name of one; the message lists the hunks.

    >>> Patch("MM_INIT, PAGE_ALLOC")
    Patch(MM_INIT, PAGE_ALLOC)
    >>> Patch("before"), AFTER - Patch("MM_INIT") == Patch.without({Hunk.MM_INIT})
    (Patch(), True)
    >>> Patch("OFFLINE_MANAGED") == Patch({Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER})
    True
    """

    def __new__(cls, hunks: object = ()) -> Self:
        """Make a set of hunks."""
        named = hunks.split(",") if isinstance(hunks, str) else hunks
        if not isinstance(named, Iterable):
            msg = f"Patch({hunks!r}): a patch is made of hunks, or of their names"
            raise MemsimError(msg)
        return super().__new__(cls, [hunk for each in named for hunk in _hunks_of(each)])

    @classmethod
    def parse(cls, text: str) -> Patch:
        """Return ``Patch(text)``: ``before``, ``after``, or hunk names separated by commas."""
        return cls(text)

    @classmethod
    def without(cls, hunks: object) -> Patch:
        """Return the whole series except ``hunks``."""
        return AFTER - cls(hunks)

    def __or__(self, other: AbstractSet[S]) -> Patch:
        """Return the hunks of either."""
        return Patch(frozenset[object](self) | other)

    def __and__(self, other: AbstractSet[object]) -> Patch:
        """Return the hunks of both."""
        return Patch(super().__and__(other))

    def __sub__(self, other: AbstractSet[object]) -> Patch:
        """Return the hunks that are not in ``other``."""
        return Patch(super().__sub__(other))

    def __xor__(self, other: AbstractSet[S]) -> Patch:
        """Return the hunks of exactly one of the two."""
        return Patch(frozenset[object](self) ^ other)

    @property
    def name(self) -> str:
        """``before``, ``after``, or the hunks with commas between them."""
        if not self:
            return "before"
        return "after" if self == AFTER else ",".join(h.name for h in Hunk if h in self)

    def __repr__(self) -> str:
        """Show the hunks in the order of the series."""
        return f"Patch({', '.join(h.name for h in Hunk if h in self)})"


def _hunks_of(given: object) -> Iterable[Hunk]:
    """Return the hunks that one element of a patch stands for."""
    if isinstance(given, Hunk):
        return [given]
    word = given.strip().upper() if isinstance(given, str) else None
    if word in _GROUPS:
        return _GROUPS[word]
    if word in Hunk.__members__:
        return [Hunk[str(word)]]
    msg = f"{given!r} is not a hunk of the series; the hunks are {', '.join(Hunk.__members__)}"
    raise MemsimError(msg)


_GROUPS: dict[str, tuple[Hunk, ...]] = {
    "": (),
    "BEFORE": (),
    "AFTER": tuple(Hunk),
    "OFFLINE_MANAGED": (Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER),
}
"""Words that stand for several hunks. OFFLINE_MANAGED is patch 3/3."""
BEFORE = Patch()
AFTER = Patch(Hunk)
