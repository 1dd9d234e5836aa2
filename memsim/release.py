"""The modelled kernel releases, and how they differ apart from the patch.

A kernel is a :class:`Release` and a set of hunks (:mod:`memsim.patch`). 6.1, 6.12 and 7.3 are held against
recordings. 6.11 is not: its source was not at hand. It is modelled as 6.12 with page types of its own, and
with two rules read in the patches that made or ended them ("mm: page_alloc: fix freelist movement during
block conversion", 6.10; "mm: migrate: add isolate_folio_to_list()", 6.12).

Left out of 7.3: the balloon core ``mm/balloon.c`` (7.0), which the balloons of Hyper-V and Xen do not use;
movability by page type (6.17), which only its users have; and what came for dax/kmem, an online type given
with add_memory() and several ranges in one offline_and_remove_memory() (7.3).
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.errors import MemsimError
from memsim.linux.include.page_flags import PageTypeEncoding

PREPARING_ACTIONS = ("MEM_PREPARE_ONLINE", "MEM_FINISH_OFFLINE")
"""Actions of 6.9 to 6.18 only, before a block's struct pages mean anything and when they no longer do.

Nothing but s390 heeds them.
"""
ACTIONS = (
    *("MEM_ONLINE", "MEM_GOING_OFFLINE", "MEM_OFFLINE", "MEM_GOING_ONLINE"),
    *("MEM_CANCEL_ONLINE", "MEM_CANCEL_OFFLINE", *PREPARING_ACTIONS),
)
"""Actions of the memory notifier (include/linux/memory.h), in the order of their numbers.

The model passes them by name.
"""
NODE_ACTIONS = (
    *("NODE_ADDING_FIRST_MEMORY", "NODE_ADDED_FIRST_MEMORY", "NODE_CANCEL_ADDING_FIRST_MEMORY"),
    *("NODE_REMOVING_LAST_MEMORY", "NODE_REMOVED_LAST_MEMORY", "NODE_CANCEL_REMOVING_LAST_MEMORY"),
)
"""Actions of the node notifier (include/linux/node.h, 6.17) in the order of their numbers: bits."""


class Release(NamedTuple):
    """What differs between the recorded kernels for reasons other than the series.

    A rule that came after 6.12 is off unless a release has it, and names the version that brought it.

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
    """6.12's virtio-mem retries a failed removal; 6.1 only one of a big block, after EBUSY or ENOMEM."""
    fake_offline_asks_config: bool
    """6.12's virtio-mem asks before it takes pages whether the host has changed the configuration."""
    claims_before_stealing: bool
    """6.12 takes over a whole pageblock or leaves the rest of a stolen block where it was; 6.1 moves it."""
    counts_poison_by_block: bool
    """6.12 refuses to online a block in which pages were poisoned; 6.1 forgets that they were."""
    migrates_last_first: bool
    """6.12 migrates the pages of a block that goes offline from the last to the first; 6.1 the other way."""
    prepares_online: bool
    """6.9 to 6.18 announce a block with MEM_PREPARE_ONLINE first, and with MEM_FINISH_OFFLINE last."""

    steals_from_largest: bool = False
    """6.10 to 6.13: where a pageblock cannot be taken over, the largest block of another type is split.

    6.14, and Debian's 6.12 ("mm: page_alloc: don't steal single pages from biggest buddy"): the smallest.
    """
    isolation_is_a_bit: bool = False
    """6.17: an isolated pageblock keeps its type beside a bit; before, MIGRATE_ISOLATE overwrites it."""
    freeing_forgives_type_of_head: bool = False
    """6.17: free_pages_prepare() resets any type of the first page before it checks that page."""
    tail_private_is_bad: bool = False
    """7.3: a tail page with page->private set is bad, where pages are checked."""
    contig_free_in_chunks: bool = False
    """7.2: free_contig_range() frees aligned blocks; before, single pages."""
    reserved_free_accounts_first: bool = False
    """7.3: free_reserved_page() counts a page as managed before it frees it; before, afterwards."""
    adjusting_managed_updates_lowmem_reserve: bool = False
    """6.14: adjust_managed_page_count() computes lowmem_reserve[] anew."""
    hv_falls_back: bool = False
    """6.14: the Hyper-V balloon gives memory outside its regions to the buddy; before, it stayed withheld."""
    fs_dax_starts_frozen: bool = False
    """6.15 to 6.17: pages of FS DAX start with refcount 0; before, with 1."""
    hides_nopage: bool = False
    """6.15 to 6.17: /proc/kpageflags shows 0 where no page is online; before, KPF_NOPAGE."""
    counts_balloon_pages: bool = False
    """6.15 to 6.17: NR_BALLOON_PAGES, in /proc/meminfo, counts what the Hyper-V and Xen balloons hold."""
    numbers_actions: bool = False
    """Actions of the memory notifier are 0, 1, 2, ...; before, 1, 2, 4, ... Debian's 6.12.117 has it, too."""
    kernel_owned_is_unrecoverable: bool = False
    """7.3: an error in a reserved page can panic (vm.panic_on_unrecoverable_memory_failure)."""
    has_node_notifier: bool = False
    """6.17: a chain of its own for what happens to a node; before, the memory notifier said it, too."""

    def __str__(self) -> str:
        """Show the name."""
        return self.name

    def action_number(self, action: str) -> int:
        """Return what a listener or a debugger sees of a notifier action: a bit, or an enumerator's value.

        >>> [RELEASES[name].action_number("MEM_GOING_ONLINE") for name in ("6.1", "6.12", "7.3")]
        [8, 8, 3]

        Raises
        ------
        MemsimError
            The kernel has no action of that name.
        """
        if action not in self.actions:
            msg = f"{self} has no notifier action {action!r}; it has {', '.join(self.actions)}"
            raise MemsimError(msg)
        if action in NODE_ACTIONS:
            return 1 << NODE_ACTIONS.index(action)
        place = ACTIONS.index(action)
        return place if self.numbers_actions else 1 << place

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of the memory notifier and the node notifier that this kernel has."""
        own = ACTIONS if self.prepares_online else ACTIONS[: -len(PREPARING_ACTIONS)]
        return own + NODE_ACTIONS if self.has_node_notifier else own


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
        migrates_last_first=False,
        prepares_online=False,
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
        migrates_last_first=True,
        prepares_online=True,
    ),
}
# 6.11, the kernel that the series went into: types of its own, and nearly all else as in 6.12.
RELEASES["6.11"] = RELEASES["6.12"]._replace(
    name="6.11",
    encoding=PageTypeEncoding("inverted-high-bits"),
    steals_from_largest=True,
    migrates_last_first=False,
)
RELEASES["7.3"] = RELEASES["6.12"]._replace(
    name="7.3",
    isolation_is_a_bit=True,
    freeing_forgives_type_of_head=True,
    tail_private_is_bad=True,
    contig_free_in_chunks=True,
    reserved_free_accounts_first=True,
    adjusting_managed_updates_lowmem_reserve=True,
    hv_falls_back=True,
    fs_dax_starts_frozen=True,
    hides_nopage=True,
    counts_balloon_pages=True,
    numbers_actions=True,
    kernel_owned_is_unrecoverable=True,
    prepares_online=False,
    has_node_notifier=True,
)
# Oldest first, as messages and menus list them.
RELEASES = dict(sorted(RELEASES.items(), key=lambda each: tuple(map(int, each[0].split(".")))))


def release_named(name: str) -> Release:
    """Return a release of :data:`RELEASES` by its name; MemsimError for any other."""
    if name not in RELEASES:
        msg = f"release {name!r} is not modelled; known are {', '.join(RELEASES)}"
        raise MemsimError(msg)
    return RELEASES[name]
