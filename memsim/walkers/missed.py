"""Readers of PG_reserved that a search for ``PageReserved(`` in core mm does not find.

They ask through a folio (``folio_test_reserved()``), through a mask of flags, by copying the
bit to user space, or they are in the architecture's own code. What the review says of
vmemmap in general must hold for them too.
"""

from __future__ import annotations

from memsim.walkers import subject as q
from memsim.walkers.walker import SINCE_6_12, UNTIL_6_12, Finding, Step, Walker

CONSISTENT = (
    "Not listed. In general: vmemmap taken from the buddy never was PG_reserved, so all readers know it."
)

HWPOISON_MAPPINGS = Walker(
    name="hwpoison_mappings",
    file="mm/memory-failure.c",
    function="hwpoison_user_mappings()",
    group="missed",
    meets=q.LRU_PAGES,
    steps=(
        Step(q.NO_PAGE, "leave"),
        Step(q.RESERVED, "leave"),
        Step(q.OFFLINE, "leave", SINCE_6_12),
        Step(q.NOT_LRU, "leave"),
    ),
    otherwise=("unmap", "it is on the LRU and not PG_reserved"),
    claim=CONSISTENT,
    finding=Finding("confirmed", "What is not on the LRU is left alone, whatever PG_reserved says."),
)
HWPOISON_STATES = Walker(
    name="hwpoison_states",
    file="mm/memory-failure.c",
    function="identify_page_state(), error_states[]",
    group="missed",
    meets=q.LRU_PAGES,
    steps=(Step(q.NO_PAGE, "nothing"), Step(q.RESERVED, "kernel page"), Step(q.LRU, "page cache")),
    otherwise=("unknown", "no row of the table fits"),
    claim=CONSISTENT,
    finding=Finding(
        "confirmed",
        "Another row would fit now, but get_hwpoison_page() gives up on such a page before the table.",
    ),
)
UNPOISON = Walker(
    name="unpoison",
    file="mm/memory-failure.c",
    function="unpoison_memory()",
    group="missed",
    steps=(
        Step(q.NOT_ONLINE, "EIO"),
        Step(q.NOT_HWPOISON, "EBUSY"),
        Step(q.MORE_REFERENCES, "EBUSY"),
        Step(q.RESERVED, "EBUSY"),
        Step(q.OFFLINE, "EBUSY", SINCE_6_12),
        Step(q.NO_REFERENCE, "clear the mark"),
    ),
    otherwise=("free", "it has one reference, which is dropped together with the mark"),
    claim=CONSISTENT,
    finding=Finding(
        "refined",
        "memory_failure() leaves its mark on a page that it cannot handle. Taking it off again was refused "
        "while self-hosted vmemmap was PG_reserved; now it drops the last reference and frees live struct "
        "pages. Ordinary vmemmap always had this problem; only injected (debugfs) poison can be taken off.",
    ),
)
MEMPOLICY = Walker(
    name="mempolicy",
    file="mm/mempolicy.c",
    function="queue_folios_pte_range() (6.1: queue_pages_pte_range())",
    group="missed",
    meets=q.MAPPED,
    steps=(Step(q.NO_PAGE, "skip"), Step(q.DEVICE, "skip"), Step(q.RESERVED, "skip")),
    otherwise=("queue", "it is neither device memory nor PG_reserved"),
    claim=CONSISTENT,
    finding=Finding("confirmed", "As numa_maps: only pages mapped into user space come before it."),
)
KPAGEFLAGS = Walker(
    name="kpageflags",
    file="fs/proc/page.c",
    function="stable_page_flags()",
    group="missed",
    steps=(
        Step(q.NOT_ONLINE, "NOPAGE"),
        Step(q.RESERVED_OFFLINE, "RESERVED+OFFLINE"),
        Step(q.RESERVED, "RESERVED"),
        Step(q.OFFLINE, "OFFLINE"),
    ),
    otherwise=("neither", "it is neither PG_reserved nor of type Offline"),
    claim=CONSISTENT,
    finding=Finding(
        "refined",
        "The one place where user space sees it: KPF_RESERVED is gone, and only KPF_OWNER_PRIVATE, an "
        "ambiguous bit, is left to tell self-hosted vmemmap by.",
    ),
)
FREE_PAGETABLE = Walker(
    name="free_pagetable",
    file="arch/x86/mm/init_64.c",
    function="free_pagetable()",
    group="missed",
    meets=q.FREED_MEMMAP,
    steps=(Step(q.NO_PAGE, "nothing"), Step(q.RESERVED, "free as bootmem")),
    otherwise=("free to buddy", "it is not PG_reserved, so it counts as taken from the buddy"),
    claim=CONSISTENT,
    finding=Finding(
        "confirmed", "Memory of an altmap is given back by vmem_altmap_free() and never comes here."
    ),
)
IOREMAP = Walker(
    name="ioremap",
    file="arch/x86/mm/ioremap.c",
    function="__ioremap_check_ram()",
    group="missed",
    steps=(
        Step(q.NOT_RAM, "allow"),
        Step(q.NO_MEMMAP, "allow"),
        Step(q.UNINITIALISED, "undefined"),
        Step(q.RESERVED, "allow"),
    ),
    otherwise=("refuse", "it is System RAM and not PG_reserved"),
    claim=CONSISTENT,
    finding=Finding(
        "refined",
        "A driver could map self-hosted vmemmap (and withheld pages) as if it were device memory; now "
        "ioremap() refuses, as it does for all RAM that is not reserved. Stricter, and better.",
    ),
)
KVM_MMIO = Walker(
    name="kvm_mmio",
    file="arch/x86/kvm/mmu/spte.c",
    function="kvm_is_mmio_pfn()",
    group="missed",
    meets=q.MAPPED,
    steps=(
        Step(q.UNINITIALISED, "undefined"),
        Step(q.RESERVED_NO_RAM, "mmio"),
        Step(q.RESERVED, "memory"),
        Step(q.DEVICE, "memory"),
        Step(q.NOT_RAM, "mmio"),
    ),
    otherwise=("memory", "it is System RAM"),
    claim=CONSISTENT,
    finding=Finding(
        "confirmed", "PG_reserved alone does not decide: RAM is mapped cached, so it is no MMIO."
    ),
)
BAD_PAGE = Walker(
    name="bad_page",
    file="mm/page_alloc.c",
    function="page_expected_state(PAGE_FLAGS_CHECK_AT_FREE)",
    group="missed",
    meets=q.REFERENCED,
    steps=(
        Step(q.NO_PAGE, "nothing"),
        Step(q.HWPOISON, "keep"),
        Step(q.CHECKS_OFF, "free"),
        Step(q.HAS_TYPE, "bad page", UNTIL_6_12),
        Step(q.FLAGS_UNCHECKED, "free"),
        Step(q.RESERVED, "bad page"),
        Step(q.OTHER_WRONG_FLAG, "bad page"),
    ),
    otherwise=("free", "it has none of the marks that a freed page must not have"),
    claim=CONSISTENT,
    finding=Finding(
        "refined",
        "Where the flags of freed pages are checked (6.12 with init_on_alloc or CONFIG_DEBUG_VM), a stray "
        "put_page() of self-hosted vmemmap was caught and the page leaked; now it goes to the buddy "
        "unnoticed, as ordinary vmemmap does.",
    ),
)

WALKERS = (
    HWPOISON_MAPPINGS,
    HWPOISON_STATES,
    UNPOISON,
    MEMPOLICY,
    KPAGEFLAGS,
    FREE_PAGETABLE,
    IOREMAP,
    KVM_MMIO,
    BAD_PAGE,
)
