"""The readers of PG_reserved that the review of the patch lists, with its claim about each.

Oscar Salvador asked whether walkers now meet self-hosted vmemmap that PG_reserved kept from them; David
Hildenbrand went through every PageReserved() in core mm. ``claim`` is his answer in short; ``finding`` is
what executing it on both kernels shows (tests/unit/test_walkers.py).
"""

from __future__ import annotations

from memsim.walkers import subject as q
from memsim.walkers.walker import Finding, Step, Walker

NUMA_MAPS = Walker(
    name="numa_maps",
    file="fs/proc/task_mmu.c",
    function="can_gather_numa_stats(), can_gather_numa_stats_pmd()",
    group="review",
    meets=q.MAPPED,
    steps=(Step(q.NO_PAGE, "skip"), Step(q.DEVICE, "skip"), Step(q.RESERVED, "skip")),
    otherwise=("count", "it is neither device memory nor PG_reserved"),
    claim="Only pages mapped into user space are asked about; vmemmap there would be a disaster already.",
    finding=Finding("confirmed", "It would count such a page now, but never meets one."),
)
SAVEABLE_HIGHMEM_PAGE = Walker(
    name="hibernation_highmem",
    file="kernel/power/snapshot.c",
    function="saveable_highmem_page()",
    group="review",
    meets=q.HIGHMEM,
    steps=(
        Step(q.NOT_ONLINE, "skip"),
        Step(q.FREE, "skip"),
        Step(q.RESERVED, "skip"),
        Step(q.OFFLINE, "skip"),
    ),
    otherwise=("save", "it is neither free, nor PG_reserved, nor of type Offline"),
    claim="Self-hosted vmemmap is never highmem.",
    finding=Finding("confirmed", "It would save such a page now, but x86-64 has no highmem."),
)
SAVEABLE_PAGE = Walker(
    name="hibernation",
    file="kernel/power/snapshot.c",
    function="saveable_page()",
    group="review",
    steps=(
        Step(q.NOT_ONLINE, "skip"),
        Step(q.NOT_RAM, "skip"),
        Step(q.FREE, "skip"),
        Step(q.OFFLINE, "skip"),
        Step(q.RESERVED_MAPPED, "save"),
    ),
    otherwise=("save", "it is neither free nor of type Offline"),
    claim="No change: the pages are still saved.",
    finding=Finding(
        "confirmed",
        "Saved on both. It hangs on the hunk MEMORY_HOTPLUG: were they still Offline, an image without "
        "the struct pages of the block would be written.",
    ),
)
VMEMMAP_SPLIT = Walker(
    name="vmemmap_split",
    file="mm/hugetlb_vmemmap.c",
    function="vmemmap_split_pmd() (6.1: split_vmemmap_huge_pmd())",
    group="review",
    meets=q.MEMMAP_PAGES,
    steps=(
        Step(q.NO_PAGE, "nothing"),
        Step(q.SELF_HOSTED, "refuse"),
        Step(q.RESERVED, "keep"),
    ),
    otherwise=("split", "it is not PG_reserved, so it counts as part of a larger block of the buddy"),
    claim="It wants to know bootmem from buddy pages; self-hosted vmemmap is excluded before.",
    finding=Finding("confirmed", "PG_vmemmap_self_hosted is asked first and ends it on both kernels."),
)
VMEMMAP_FREE = Walker(
    name="vmemmap_free",
    file="mm/hugetlb_vmemmap.c",
    function="free_vmemmap_page()",
    group="review",
    meets=q.FREED_MEMMAP,
    steps=(Step(q.NO_PAGE, "nothing"), Step(q.RESERVED, "free as bootmem")),
    otherwise=("free to buddy", "it is not PG_reserved, so it counts as taken from the buddy"),
    claim="The same: self-hosted vmemmap is excluded before.",
    finding=Finding("confirmed", "It would hand such a page to the buddy now, but never gets one."),
)
FREE_PAGES_CORE = Walker(
    name="free_pages_core",
    file="mm/page_alloc.c",
    function="__free_pages_core()",
    group="review",
    meets=q.HOTPLUG_FRESH,
    steps=(
        Step(q.NO_PAGE, "nothing"),
        Step(q.ASKS_NOTHING, "free"),
        Step(q.RESERVED_DEBUG, "warn"),
    ),
    otherwise=("free", "it is not PG_reserved, or CONFIG_DEBUG_VM is off"),
    claim="A warning that the patch itself adds; self-hosted vmemmap is not freed here.",
    finding=Finding("confirmed", "The pages start behind the vmemmap; none of it gets here."),
)
CONTIG_VALID = Walker(
    name="contig_valid",
    file="mm/page_alloc.c",
    function="pfn_range_valid_contig()",
    group="review",
    steps=(
        Step(q.NOT_ONLINE, "reject"),
        Step(q.RESERVED, "reject"),
        Step(q.MOVABLE_ZONE, "scan", ("7.3",)),
        Step(q.NO_REFERENCE, "scan", ("7.3",)),
        Step(q.LRU, "scan", ("7.3",)),
        Step(q.NOT_LRU, "reject", ("7.3",)),  # page_is_unmovable(), 7.0
    ),
    otherwise=("scan", "nothing about it rules the range out"),
    claim="Ranges with such pages are now looked at and fail later.",
    finding=Finding(
        "confirmed",
        "Rejected before, tried after: alloc_contig_range() fails at isolation in a kernel zone and at "
        "test_pages_isolated() in ZONE_MOVABLE. Slower, and nothing more.",
    ),
)
PAGE_EXT_FREE = Walker(
    name="page_ext_free",
    file="mm/page_ext.c",
    function="free_page_ext()",
    group="review",
    meets=q.KERNEL_PAGES,
    steps=(Step(q.NO_PAGE, "nothing"), Step(q.RESERVED, "BUG")),
    otherwise=("free", "it is not PG_reserved"),
    claim="Not applicable: it asks about the pages of its own tables.",
    finding=Finding("confirmed", "Tables of page_ext are never in self-hosted vmemmap."),
)
ISOLATE_OFFLINE = Walker(
    name="isolate_offline",
    file="mm/page_isolation.c",
    function="has_unmovable_pages(MEMORY_OFFLINE)",
    group="review",
    meets=q.OFFLINED,
    steps=(
        Step(q.NOT_ONLINE, "nothing"),
        Step(q.RESERVED, "unmovable"),
        Step(q.MOVABLE_ZONE, "movable"),
        Step(q.NO_REFERENCE, "movable"),
        Step(q.HWPOISON, "movable"),
        Step(q.OFFLINE, "movable"),
        Step(q.LRU, "movable"),
    ),
    otherwise=("unmovable", "it is in use and neither on the LRU nor of type Offline"),
    claim="Still unmovable: neither movable nor on the LRU.",
    finding=Finding(
        "refined",
        "Right in kernel zones. In ZONE_MOVABLE it would call them movable, but the range that goes "
        "offline never includes them.",
    ),
)
ISOLATE_CONTIG = Walker(
    name="isolate_contig",
    file="mm/page_isolation.c",
    function="has_unmovable_pages(0)",
    group="review",
    steps=(
        Step(q.NOT_ONLINE, "nothing"),
        Step(q.RESERVED, "unmovable"),
        Step(q.MOVABLE_ZONE, "movable"),
        Step(q.NO_REFERENCE, "movable"),
        Step(q.LRU, "movable"),
    ),
    otherwise=("unmovable", "it is in use and not on the LRU"),
    claim="Still unmovable: neither movable nor on the LRU.",
    finding=Finding(
        "contradicted",
        "Only in kernel zones. In ZONE_MOVABLE every page that is not PG_reserved counts as movable before "
        "the LRU is looked at, so alloc_contig_range() isolates the pageblock, finds nothing to migrate, "
        "fails with EBUSY in test_pages_isolated(), and leaves the pageblock MOVABLE, not UNMOVABLE. "
        "Nothing in it is free, so no harm is done.",
    ),
)
PAGE_OWNER_MIXED = Walker(
    name="page_owner_mixed",
    file="mm/page_owner.c",
    function="pagetypeinfo_showmixedcount_print()",
    group="review",
    steps=(
        Step(q.NOT_ONLINE, "skip"),
        Step(q.FREE, "skip"),
        Step(q.RESERVED, "skip"),
        Step(q.NO_OWNER, "skip"),
    ),
    otherwise=("compare", "its owner's migratetype is compared with that of the pageblock"),
    claim="page_ext_get() returns NULL for such a page, so it is skipped.",
    finding=Finding(
        "refined",
        "Skipped, for another reason: page_ext covers whole sections, so it is there; but the page never "
        "came out of the buddy, so it has no record of an owner.",
    ),
)
PAGE_OWNER_EARLY = Walker(
    name="page_owner_early",
    file="mm/page_owner.c",
    function="init_pages_in_zone()",
    group="review",
    meets=q.BOOT_PAGES,
    steps=(
        Step(q.NO_MEMMAP, "skip"),
        Step(q.UNINITIALISED, "undefined"),
        Step(q.FREE, "skip"),
        Step(q.RESERVED, "skip"),
    ),
    otherwise=("register", "it is neither free nor PG_reserved, so it counts as allocated early"),
    claim="page_ext_get() returns NULL for such a page, so it is skipped.",
    finding=Finding(
        "refined",
        "A page without a record is what this one looks for, so it would register it; but it runs once, "
        "while booting, before any memory is added.",
    ),
)
SPARSE_USAGE = Walker(
    name="sparse_usage",
    file="mm/sparse-vmemmap.c (6.1: mm/sparse.c)",
    function="section_deactivate()",
    group="review",
    meets=q.KERNEL_PAGES,
    steps=(Step(q.NO_PAGE, "nothing"), Step(q.RESERVED, "keep")),
    otherwise=("free", "it is not PG_reserved, so the usage map counts as taken from slab"),
    claim="It asks about the page of the usage map, which is no vmemmap.",
    finding=Finding("confirmed", "A usage map is never in self-hosted vmemmap."),
)
KVM_REFCOUNTED = Walker(
    name="kvm_refcounted",
    file="virt/kvm/kvm_main.c",
    function="kvm_pfn_to_refcounted_page()",
    group="review",
    meets=q.MAPPED,
    steps=(
        Step(q.NO_MEMMAP, "no page"),
        Step(q.UNINITIALISED, "undefined"),
        Step(q.RESERVED_DEVICE, "page"),
        Step(q.RESERVED, "no page"),
    ),
    otherwise=("page", "it is not PG_reserved, so KVM counts references to it"),
    claim="It tells MMIO from memory that backs a guest.",
    finding=Finding("confirmed", "It would count references now, but vmemmap never backs a guest."),
)
KVM_DIRTY = Walker(
    name="kvm_dirty",
    file="virt/kvm/kvm_main.c",
    function="kvm_is_ad_tracked_page()",
    group="review",
    meets=q.MAPPED,
    steps=(Step(q.NO_PAGE, "leave"), Step(q.RESERVED, "leave")),
    otherwise=("mark", "it is not PG_reserved, so KVM sets it dirty and accessed"),
    claim="It tells MMIO from memory that backs a guest.",
    finding=Finding("confirmed", "It would set PG_dirty now, but vmemmap never backs a guest."),
)

WALKERS = (
    NUMA_MAPS,
    SAVEABLE_HIGHMEM_PAGE,
    SAVEABLE_PAGE,
    VMEMMAP_SPLIT,
    VMEMMAP_FREE,
    FREE_PAGES_CORE,
    CONTIG_VALID,
    PAGE_EXT_FREE,
    ISOLATE_OFFLINE,
    ISOLATE_CONTIG,
    PAGE_OWNER_MIXED,
    PAGE_OWNER_EARLY,
    SPARSE_USAGE,
    KVM_REFCOUNTED,
    KVM_DIRTY,
)
