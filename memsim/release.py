"""The kernel releases that are modelled, and what differs between them for reasons other than the patch.

A kernel is a :class:`Release` and a set of hunks (:mod:`memsim.patch`).
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.errors import MemsimError
from memsim.linux.include.page_flags import PageTypeEncoding


class Release(NamedTuple):
    """What differs between the two recorded kernels for reasons other than the series.

    ``git grep release.<attribute>`` shows every place where one acts.
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
    """6.12's virtio-mem retries a removal that failed with any error; 6.1 only one that was busy."""
    fake_offline_asks_config: bool
    """6.12's virtio-mem asks before it takes pages whether the host has changed the configuration."""
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
        fake_offline_asks_config=False,
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
        fake_offline_asks_config=True,
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
