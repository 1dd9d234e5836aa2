"""Readers of the memmap: what each does with each kind of page, before and after the patch.

Expected values come from the rules of the kernel; each table entry begins with the rule that it follows, in
our own words.
"""

from functools import cache
from typing import NamedTuple

import pytest

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.linux.fs.proc import kpageflags
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.linux.mm import page_isolation
from memsim.linux.mm.memory_hotplug.offline import scan_movable_pages
from memsim.linux.mm.memory_hotplug.online import (
    generic_online_page,
    restore_online_page_callback,
    set_online_page_callback,
)
from memsim.linux.mm.page_alloc.api import __free_pages
from memsim.linux.mm.page_alloc.contig import alloc_contig_range
from memsim.walkers import WALKERS, disagreeing, verdicts, vmcoreinfo

SIZE = 32768
RELEASES = ("6.1", "6.12", "7.3")
KINDS = (
    *("absent", "offline", "stale", "device", "hole", "reserved", "free", "interior", "allocated", "lru"),
    *("vmemmap", "self", "self_movable", "withheld", "withheld_movable", "balloon", "released"),
    *("poisoned", "poisoned_self"),
)


# ---- a machine with a page of every kind -----------------------------------------------------------


def withhold(_kernel, _pfn, _order):
    """Do nothing, as Hyper-V does with memory of no region of its own."""


def inflate(kernel, pfn, order):
    """Keep pages, as a balloon does: of type Offline whatever they were born with."""
    if not kernel.memmap.has_type(pfn, PageType.OFFLINE):
        kernel.memmap.set_type(pfn, 1 << order, PageType.OFFLINE)


def lend(kernel, pfn, order):
    """Keep pages as virtio-mem does while its block goes offline: Offline, not reserved, refcount 0."""
    inflate(kernel, pfn, order)
    kernel.memmap.clear_flags(pfn, 1 << order, PageFlag.RESERVED)
    kernel.memmap.set_refcount(pfn, 1 << order, 0)


def add_block(machine, block, online_type, callback=generic_online_page):
    """Plug and online a block while a driver's callback is set; return its first data pfn."""
    machine.add_memory(block * SIZE, SIZE)
    set_online_page_callback(machine.kernel, callback)
    machine.online(block, online_type)
    restore_online_page_callback(machine.kernel, callback)
    return machine.block(block).start_pfn + machine.block(block).nr_vmemmap_pages


def every_kind(machine):
    """Return kind -> pfn; blocks 32 to 39 hold their own struct pages."""
    data = add_block(machine, 32, "online_kernel")
    add_block(machine, 33, "online_movable")
    stale = add_block(machine, 34, "online_kernel")
    machine.offline(34)
    machine.add_memory(35 * SIZE, SIZE)
    machine.memremap_pages(0x200000, SIZE)
    free = 33 * SIZE - 1024
    kinds = {
        "absent": 0x300000,
        "offline": 35 * SIZE + 600,
        "stale": stale + 5,
        "device": 0x200005,
        "hole": 0x1F005,
        "reserved": 0x1005,
        "free": free,
        "interior": free + 7,
        "allocated": machine.allocate(1, "unmovable", block=32)[0],
        "lru": machine.allocate(1, "movable", block=32)[0],
        "vmemmap": machine.kernel.vmemmap[0x200000 // SIZE],
        "self": 32 * SIZE + 5,
        "self_movable": 33 * SIZE + 5,
        "withheld": add_block(machine, 36, "online_kernel", withhold) + 5,
        "withheld_movable": add_block(machine, 37, "online_movable", withhold) + 5,
        "balloon": add_block(machine, 38, "online_kernel", inflate) + 5,
        "released": add_block(machine, 39, "online_kernel", lend) + 5,
        "poisoned": data + 8192 + 9,
        "poisoned_self": 32 * SIZE + 9,
    }
    assert tuple(kinds) == KINDS
    assert machine.page(free).order == 10
    machine.poison(kinds["poisoned"])
    with pytest.raises(KernelError, match="EBUSY"):
        machine.poison(kinds["poisoned_self"])  # marked, though nothing can be done
    return kinds


@cache
def zoo(patch, release):
    """Return a machine and its page kinds; tests only read it."""
    machine = Machine(
        ram=[(0, 0x1F001)], reserved=[(0x1000, 16)], patch=patch, release=release, memmap_on_memory=True
    )
    return machine, every_kind(machine)


OFFLINE_SECTIONS = "absent offline stale"
IN_USE = "allocated vmemmap"
SELF_HOSTED = "self self_movable poisoned_self"
NOT_LRU = f"free interior poisoned released {IN_USE}"
UNMARKED = f"{SELF_HOSTED} withheld withheld_movable balloon"
"""Pages that are PG_reserved before the patch and are not after it."""


class Row(NamedTuple):
    """A walker's rule, and which kinds get which action; "x>y" is x before and y after."""

    rule: str
    cells: dict[str, str]


def by_reserved(rule, reserved, other, nothing):
    """Return the row of a walker for which nothing but PG_reserved matters."""
    cells = {other: f"free interior lru poisoned released {IN_USE}", f"{reserved}>{other}": UNMARKED}
    for action, kinds in ((nothing, OFFLINE_SECTIONS), (reserved, "device hole reserved")):
        cells[action] = f"{cells.get(action, '')} {kinds}"
    return Row(rule, cells)


EXPECTED = {
    "numa_maps": by_reserved(
        "5.4: a mapped page is ignored when reserved, or device memory", "skip", "count", nothing="skip"
    ),
    "mempolicy": by_reserved("5.4, missed: as numa_maps, through a folio", "skip", "queue", nothing="skip"),
    "hibernation_highmem": Row(
        "5.4: neither reserved nor Offline nor free pages are saved",
        {
            "skip": f"{OFFLINE_SECTIONS} device hole reserved free interior withheld withheld_movable balloon"
            " released",
            "save": f"lru poisoned {IN_USE}",
            "skip>save": SELF_HOSTED,
        },
    ),
    "hibernation": Row(
        "13: Offline is never saved; reserved is, unless unmapped or nosave (which holes are)",
        {
            "skip": f"{OFFLINE_SECTIONS} device hole free interior balloon released",
            "save": f"reserved lru poisoned {SELF_HOSTED} {IN_USE}",
            "save>skip": "withheld withheld_movable",
        },
    ),
    "vmemmap_split": Row(
        "5.4: self-hosted ends it; bootmem is not split",
        {
            "nothing": OFFLINE_SECTIONS,
            "keep": "device hole reserved",
            "split": f"free interior lru poisoned released {IN_USE}",
            "refuse": SELF_HOSTED,
            "keep>split": "withheld withheld_movable balloon",
        },
    ),
    "vmemmap_free": by_reserved(
        "5.4: reserved means bootmem", "free as bootmem", "free to buddy", nothing="nothing"
    ),
    "free_pagetable": by_reserved(
        "5.4, missed: reserved means bootmem", "free as bootmem", "free to buddy", nothing="nothing"
    ),
    "page_ext_free": by_reserved("5.4: a reserved table is a BUG", "BUG", "free", nothing="nothing"),
    "sparse_usage": by_reserved("5.4: a reserved usage map is bootmem", "keep", "free", nothing="nothing"),
    "kvm_dirty": by_reserved("5.4: reserved pages are not touched", "leave", "mark", nothing="leave"),
    "kvm_refcounted": Row(
        "5.4: reserved is MMIO, but for device memory; it asks for a struct page, not for an online one",
        {
            "no page": "absent hole reserved",
            "undefined": "offline",
            "page": f"stale device free interior lru poisoned released {IN_USE}",
            "no page>page": UNMARKED,
        },
    ),
    "kvm_mmio": Row(
        "reserved alone is not enough: the memory type must be uncached too",
        {
            "mmio": "absent hole",
            "undefined": "offline",
            "memory": f"stale device reserved free interior lru poisoned released {IN_USE} {UNMARKED}",
        },
    ),
    "free_pages_core": Row(
        "5.4: a warning only, and only with CONFIG_DEBUG_VM",
        {
            "nothing": OFFLINE_SECTIONS,
            "free": f"device hole reserved free interior lru poisoned released {IN_USE} {UNMARKED}",
        },
    ),
    "contig_valid": Row(
        "5.4: a reserved page rejects the range up front; only online pages are looked at",
        {
            "reject": f"{OFFLINE_SECTIONS} device hole reserved",
            "scan": f"free interior lru poisoned released {IN_USE}",
            "reject>scan": UNMARKED,
        },
    ),
    "isolate_offline": Row(
        "6.3: reserved no; ZONE_MOVABLE yes; refcount 0 yes; hwpoison, Offline, LRU yes; the rest no",
        {
            "nothing": f"{OFFLINE_SECTIONS} device",
            "unmovable": f"hole reserved self {IN_USE}",
            "movable": "free interior lru poisoned released",
            "unmovable>movable": "self_movable poisoned_self withheld withheld_movable balloon",
        },
    ),
    "isolate_contig": Row(
        "6.3 with flags 0: neither hwpoison nor Offline helps in a kernel zone",
        {
            "nothing": f"{OFFLINE_SECTIONS} device",
            "unmovable": f"hole reserved self poisoned poisoned_self withheld balloon {IN_USE}",
            "movable": "free interior lru released",
            "unmovable>movable": "self_movable withheld_movable",
        },
    ),
    "page_owner_mixed": Row(
        "5.4: free, reserved, and pages without an owner's record are skipped",
        {
            "skip": f"{OFFLINE_SECTIONS} device hole reserved free interior released {UNMARKED}",
            "compare": f"lru poisoned {IN_USE}",
        },
    ),
    "page_owner_early": Row(
        "5.4: free and reserved are skipped, the rest is taken for allocated early",
        {
            "skip": "absent device hole reserved free interior",
            "undefined": "offline",
            "register": f"stale lru poisoned released {IN_USE}",
            "skip>register": UNMARKED,
        },
    ),
    "hwpoison_mappings": Row(
        "5.4, missed: reserved is left alone, but so is all that is not on the LRU",
        {
            "unmap": "lru",
            "leave": f"{OFFLINE_SECTIONS} device hole reserved {NOT_LRU} {UNMARKED}",
        },
    ),
    "hwpoison_states": Row(
        "5.4, missed: the raw PG_reserved bit is the first row of the table",
        {
            "nothing": OFFLINE_SECTIONS,
            "kernel page": "device hole reserved",
            "page cache": "lru",
            "unknown": f"free interior poisoned released {IN_USE}",
            "kernel page>unknown": UNMARKED,
        },
    ),
    "unpoison": Row(
        "5.4, missed: only poisoned pages, and no reserved ones; the mark's reference is dropped",
        {
            "EIO": f"{OFFLINE_SECTIONS} device",
            "EBUSY": f"hole reserved free interior lru released {IN_USE} self self_movable withheld"
            " withheld_movable balloon",
            "free": "poisoned",
            "EBUSY>free": "poisoned_self",
        },
    ),
    "kpageflags": Row(
        "13: NOPAGE unless online; reserved goes from withheld and self-hosted pages, Offline comes or stays",
        {
            "NOPAGE": f"{OFFLINE_SECTIONS} device",
            "RESERVED": "hole reserved",
            "neither": f"free interior lru poisoned {IN_USE}",
            "OFFLINE": "released",
            "RESERVED>neither": SELF_HOSTED,
            "RESERVED>OFFLINE": "withheld withheld_movable",
            "RESERVED+OFFLINE>OFFLINE": "balloon",
        },
    ),
    "ioremap": Row(
        "5.4, missed: System RAM with a struct page that is not reserved is refused, online or not",
        {
            "allow": "absent device hole reserved",
            "undefined": "offline",
            "refuse": f"stale free interior lru poisoned released {IN_USE}",
            "allow>refuse": UNMARKED,
        },
    ),
    "bad_page": Row(
        "1.7: 6.12 checks freed pages when check_pages_enabled is on, as init_on_alloc turns it on",
        {
            "nothing": OFFLINE_SECTIONS,
            "keep": "poisoned poisoned_self",  # free_pages_prepare() asks PageHWPoison() before it checks
            "bad page": "device hole reserved free released withheld withheld_movable balloon lru",
            "free": f"interior {IN_USE}",
            "bad page>free": "self self_movable",
        },
    ),
    "pfn_to_online_page": Row(
        "1.10: the section must be online; flags and types do not matter",
        {
            "NULL": f"{OFFLINE_SECTIONS} device",
            "page": f"hole reserved free interior lru poisoned released {IN_USE} {UNMARKED}",
        },
    ),
    "kcore": Row(
        "13: online, not Offline, not hwpoisoned, RAM; else zeros",
        {
            "zeros": f"{OFFLINE_SECTIONS} device hole balloon released poisoned poisoned_self",
            "read": f"reserved free interior lru self self_movable {IN_USE}",
            "read>zeros": "withheld withheld_movable",
        },
    ),
    "makedumpfile": Row(
        "13: Offline, free (and at level 31 user) pages and hwpoisoned ones are excluded; RAM only",
        {
            "outside": "absent device hole",
            "undefined": "offline",
            "dump": f"stale reserved self self_movable {IN_USE}",
            "exclude: free": "free interior",
            "exclude: user": "lru",
            "exclude: hwpoison": "poisoned poisoned_self",
            "exclude: offline": "balloon released",
            "dump>exclude: offline": "withheld withheld_movable",
        },
    ),
    "memory_failure": Row(
        "13: it can handle free pages and pages on the LRU, and nothing else",
        {
            "ENXIO": OFFLINE_SECTIONS,
            "ask the device": "device",
            "EHWPOISON": "poisoned poisoned_self",
            "take off the buddy": "free interior",
            "unmap": "lru",
            "mark only": f"hole reserved released {IN_USE} self self_movable withheld withheld_movable"
            " balloon",
        },
    ),
    "compaction_migrate": Row(
        "13: the LRU, no reserved check",
        {
            "isolate": "lru",
            "skip": f"{OFFLINE_SECTIONS} device hole reserved {NOT_LRU} {UNMARKED}",
        },
    ),
    "compaction_free": Row(
        "13: the buddy, no reserved check",
        {
            "take": "free interior",
            "skip": f"{OFFLINE_SECTIONS} device hole reserved lru poisoned released {IN_USE} {UNMARKED}",
        },
    ),
    "scan_movable": Row(
        "6.2: LRU is found; Offline with a reference is EBUSY; all else is passed over",
        {
            "migrate": "lru",
            "EBUSY": "balloon",
            "pass>EBUSY": "withheld withheld_movable",
            "pass": f"{OFFLINE_SECTIONS} device hole reserved free interior poisoned released {IN_USE}"
            f" {SELF_HOSTED}",
        },
    ),
    "test_isolated": Row(
        "6.5: in the buddy, hwpoisoned, or Offline with refcount 0",
        {
            "pass": "free interior poisoned poisoned_self released",
            "EBUSY": f"{OFFLINE_SECTIONS} device hole reserved lru {IN_USE} self self_movable withheld"
            " withheld_movable balloon",
        },
    ),
    "offline_isolated": Row(
        "6.6: before, all is subtracted from managed; after, Offline pages are not; hwpoisoned ones are",
        {
            "nothing": OFFLINE_SECTIONS,
            "subtract": "free interior poisoned poisoned_self",
            "subtract>spare": "released",
            "BUG": f"device hole reserved lru {IN_USE} self self_movable withheld withheld_movable balloon",
        },
    ),
}


def cells():
    """Yield (walker, kind, action before, action after)."""
    for name, row in EXPECTED.items():
        for action, kinds in row.cells.items():
            before, _, after = action.partition(">")
            for kind in kinds.split():
                yield name, kind, before, after or before


def differing(kind, release="6.12", *, met=False):
    """Return the names of walkers whose action on a page kind the patch changes."""
    (before, kinds), (after, _) = zoo(BEFORE, release), zoo(AFTER, release)
    return {walker.name for walker in disagreeing(before.kernel, after.kernel, kinds[kind], met=met)}


# ---- the table -------------------------------------------------------------------------------------


def test_every_walker_and_every_page_kind_is_in_the_table_once():
    assert set(EXPECTED) == set(WALKERS), "a walker has no row in EXPECTED, or a row no walker"
    found = sorted((name, kind) for name, kind, _, _ in cells())
    assert found == sorted((name, kind) for name in WALKERS for kind in KINDS)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", EXPECTED)
def test_walker_does_what_its_rule_says(name, release):
    if (name, release) == ("bad_page", "6.1"):
        return  # checks every page that is freed: see below
    wrong = []
    for kind, *expected in ((kind, *expected) for walker, kind, *expected in cells() if walker == name):
        for patch, action in zip((BEFORE, AFTER), expected, strict=True):
            machine, kinds = zoo(patch, release)
            verdict = WALKERS[name].decide(machine.kernel, kinds[kind])
            wanted = "reject" if release == "7.3" and refused_since_7_0(name, kind, patch) else action
            if (name, release) == ("bad_page", "7.3") and forgiven_since_6_17(kind, patch):
                wanted = "free"
            if verdict.action != wanted:
                wrong.append(f"{patch.name} {kind}: {verdict.action!r}, should be {wanted!r}: {verdict.why}")
    assert not wrong, f"{EXPECTED[name].rule}: {wrong}"


def refused_since_7_0(name, kind, patch):
    """pfn_range_valid_contig() asks page_is_unmovable() since 7.0: it rejects what isolation would refuse."""
    actions = {(walker, one): expected for walker, one, *expected in cells()}
    return name == "contig_valid" and actions["isolate_contig", kind][patch == AFTER] == "unmovable"


def forgiven_since_6_17(kind, patch):
    """free_pages_prepare() resets the type of the first page before it checks; PG_reserved stays bad."""
    unmarked = {"withheld", "withheld_movable", "balloon"} if patch == AFTER else set()
    return kind in {"free", "released"} | unmarked


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_verdict_is_one_of_the_walkers_own_and_names_the_page(kind, patch):
    machine, kinds = zoo(patch, "6.12")
    said = verdicts(machine.kernel, kinds[kind])
    assert list(said) == list(WALKERS)
    for name, verdict in said.items():
        assert verdict.action in WALKERS[name].actions
        assert verdict.why.startswith(f"pfn {kinds[kind]:#x}: ")


def test_the_table_uses_every_action_that_a_release_can_show():
    used = {(name, action) for name, _, before, after in cells() for action in (before, after)}
    known = {(name, action) for name, walker in WALKERS.items() for action in walker.actions}
    assert known - used == {
        ("free_pages_core", "warn"),  # CONFIG_DEBUG_VM and half a patch: see below
        ("unpoison", "clear the mark"),  # a poisoned page without a reference: see below
    }


# ---- self-hosted vmemmap: the concern of the review ------------------------------------------------


ON_PAPER = {
    "numa_maps", "mempolicy", "hibernation_highmem", "vmemmap_free", "free_pagetable", "page_ext_free",
    "sparse_usage", "kvm_dirty", "kvm_refcounted", "page_owner_early", "hwpoison_states",
}  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_self_hosted_vmemmap_in_a_kernel_zone(release):
    # alloc_contig_pages() fails later; user space sees no KPF_RESERVED; ioremap() is stricter.
    # A stray put_page() was caught by 6.12 with page checks; 6.1 clears the flag before it looks.
    # Since 7.0 pfn_range_valid_contig() refuses the page on both kernels, as isolation does.
    met = {"kpageflags", "ioremap"} | ({"contig_valid"} if release != "7.3" else set())
    met |= {"bad_page"} if release != "6.1" else set()
    assert differing("self", release, met=True) == met
    assert differing("self", release) == met | ON_PAPER


@pytest.mark.parametrize("release", RELEASES)
def test_self_hosted_vmemmap_in_zone_movable_is_the_gap_of_the_review(release):
    more = {"isolate_contig", "contig_valid"}
    assert differing("self_movable", release, met=True) == differing("self", release, met=True) | more
    # Offlining would be misled too, but its range leaves self-hosted vmemmap out.
    assert differing("self_movable", release) == differing("self", release) | more | {"isolate_offline"}


def test_the_gap_executed():
    # Isolation succeeds, nothing is migrated, test_pages_isolated() fails; the pageblock ends MOVABLE.
    stages, pageblocks = {}, {}
    for patch in (BEFORE, AFTER):
        machine = Machine(patch=patch, memmap_on_memory=True)
        add_block(machine, 32, "online_movable")
        with pytest.raises(KernelError, match="EBUSY") as failure:
            alloc_contig_range(machine.kernel, 0x100000, 512)
        stages[patch] = failure.value.stage
        pageblocks[patch] = machine.page(0x100000).migratetype
        assert machine.offline(32)  # and no harm is done
    assert stages == {BEFORE: "set_migratetype_isolate", AFTER: "test_pages_isolated"}
    assert pageblocks == {BEFORE: 0, AFTER: 1}


def test_the_contents_of_self_hosted_vmemmap_stay_in_dumps_images_and_kcore():
    # It holds live struct pages, so losing it would be worse than any flag.
    for patch in (BEFORE, AFTER):
        machine, kinds = zoo(patch, "6.12")
        said = verdicts(machine.kernel, kinds["self"])
        actions = [said[name].action for name in ("kcore", "makedumpfile", "hibernation")]
        assert actions == ["read", "dump", "save"]


@pytest.mark.parametrize("release", RELEASES)
def test_without_the_hunk_memory_hotplug_they_are_lost(release):
    patch = Patch.without({Hunk.MEMORY_HOTPLUG})
    machine = Machine(patch=patch, release=release, memmap_on_memory=True)
    add_block(machine, 32, "online_kernel")
    said = verdicts(machine.kernel, 0x100000)
    actions = [said[name].action for name in ("kcore", "makedumpfile", "hibernation", "kpageflags")]
    assert actions == ["zeros", "exclude: offline", "skip", "OFFLINE"]


def test_taking_a_poison_mark_off_self_hosted_vmemmap_frees_it_now():
    # memory_failure() leaves the mark; unpoison_memory() refuses reserved pages only.
    before, after = (
        WALKERS["unpoison"].decide(machine.kernel, kinds["poisoned_self"])
        for machine, kinds in (zoo(BEFORE, "6.12"), zoo(AFTER, "6.12"))
    )
    assert (before.action, after.action) == ("EBUSY", "free")
    assert before.why.endswith("PG_reserved is set")
    assert after.met


def test_ordinary_vmemmap_is_the_same_on_both():
    # The consistency argument of the review: taken from the buddy, it never was reserved.
    assert differing("vmemmap") == set()
    machine, kinds = zoo(AFTER, "6.12")
    ordinary, own = verdicts(machine.kernel, kinds["vmemmap"]), verdicts(machine.kernel, kinds["self"])
    unlike = {name for name in WALKERS if ordinary[name].action != own[name].action}
    # Self-hosted vmemmap is not the buddy's: no record of an owner, and hugetlb leaves it alone.
    assert unlike == {"vmemmap_split", "page_owner_mixed"}


def test_pages_that_the_patch_leaves_alone():
    left_alone = set(KINDS) - set(UNMARKED.split()) - {"released"}
    assert {kind for kind in KINDS if not differing(kind)} == left_alone
    assert differing("released") == {"offline_isolated"}  # 3/3: managed spares Offline pages


# ---- withheld pages: what the patch is for ---------------------------------------------------------


WITHHELD_MET = {
    "hibernation", "kcore", "makedumpfile", "kpageflags", "ioremap", "contig_valid", "isolate_offline",
    "scan_movable",
}  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_withheld_page(release):
    # Freed on 6.1, it was cleaned of its flag unseen before the patch; its type is seen after it. Since 6.17
    # the type is forgiven, and PG_reserved is not.
    met = WITHHELD_MET | ({"bad_page"} if release != "6.12" else set())
    # Isolation refuses the page in a kernel zone, and since 7.0 pfn_range_valid_contig() does, too.
    assert differing("withheld", release, met=True) == met - ({"contig_valid"} if release == "7.3" else set())
    assert differing("withheld_movable", release, met=True) == met | {"isolate_contig"}


@pytest.mark.parametrize(
    ("walker", "before", "after"),
    [
        ("kcore", "read", "zeros"),
        ("makedumpfile", "dump", "exclude: offline"),
        ("hibernation", "save", "skip"),
        ("isolate_offline", "unmovable", "movable"),
        ("isolate_contig", "unmovable", "unmovable"),
        ("scan_movable", "pass", "EBUSY"),
    ],
)
def test_withheld_page_by_walker(walker, before, after):
    # Stale contents are not read, dumped or saved; offlining fails at a later step.
    for patch, action in ((BEFORE, before), (AFTER, after)):
        machine, kinds = zoo(patch, "6.12")
        assert WALKERS[walker].decide(machine.kernel, kinds["withheld"]).action == action


def test_offlining_withheld_pages_fails_where_the_walkers_say():
    # At isolation before (no listener hears of it), in the scan after.
    stages = {}
    for patch in (BEFORE, AFTER):
        machine = Machine(patch=patch)
        add_block(machine, 32, "online_kernel", withhold)
        with pytest.raises(KernelError, match="EBUSY") as failure:
            machine.offline(32)
        stages[patch] = failure.value.stage
    assert stages == {BEFORE: "set_migratetype_isolate", AFTER: "scan_movable_pages"}


def test_balloon_page_still_differs_in_less():
    # A balloon sets Offline itself, so dumps and images never had its pages.
    assert differing("balloon", met=True) == {"kpageflags", "ioremap", "contig_valid", "isolate_offline"}


# ---- releases, hunks, debug_vm ---------------------------------------------------------------------


def test_vmcoreinfo():
    # ~0x100 and ~0x80 where types are inverted bits, 0xf1 << 24 and 0xf0 << 24 where they are a byte.
    old, new = (vmcoreinfo(zoo(AFTER, release)[0].kernel) for release in ("6.1", "6.12"))
    assert (old["PAGE_OFFLINE_MAPCOUNT_VALUE"], old["PAGE_BUDDY_MAPCOUNT_VALUE"]) == (-257, -129)
    assert new["PAGE_OFFLINE_MAPCOUNT_VALUE"] == -251658240
    assert new["PAGE_BUDDY_MAPCOUNT_VALUE"] == -268435456
    assert (old["PG_hwpoison"], new["PG_hwpoison"]) == (23, 20)
    assert (old["PG_lru"], new["PG_lru"]) == (4, 5)


def test_a_dump_tool_compares_values_so_a_page_of_two_types_is_dumped():
    # With inverted bits a page can be Buddy and Offline; its _mapcount is neither value.
    machine = Machine(release="6.1")
    pfn = add_block(machine, 32, "online_kernel")
    assert WALKERS["makedumpfile"].decide(machine.kernel, pfn).action == "exclude: free"
    machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    assert WALKERS["makedumpfile"].decide(machine.kernel, pfn).action == "dump"
    assert WALKERS["kcore"].decide(machine.kernel, pfn).action == "zeros"


def test_only_6_12_refuses_to_unpoison_offline_pages():
    for release, action in (("6.1", "free"), ("6.12", "EBUSY")):
        machine = Machine(release=release)
        pfn = add_block(machine, 32, "online_kernel", withhold)
        with pytest.raises(KernelError):
            machine.poison(pfn)
        assert WALKERS["unpoison"].decide(machine.kernel, pfn).action == action


@pytest.mark.parametrize(("refcount", "action"), [(0, "clear the mark"), (1, "free"), (2, "EBUSY")])
def test_unpoison_looks_at_the_references(refcount, action):
    # A page that somebody else holds is left alone; with none there is nothing to drop.
    machine = Machine()
    pfn = add_block(machine, 32, "online_kernel")
    machine.kernel.memmap.set_flags(pfn, 1, PageFlag.HWPOISON)
    machine.kernel.memmap.set_refcount(pfn, 1, refcount)
    assert WALKERS["unpoison"].decide(machine.kernel, pfn).action == action


def test_of_a_hole_in_boot_memory_only_the_sub_section_with_ram_is_found():
    # pfn_to_online_page() asks pfn_section_valid(); /proc/kpageflags is read through it.
    machine = Machine([(0, 32768 + 1000)])
    near, far = 32768 + 1000, 32768 + 1024
    for name, found, none in (("pfn_to_online_page", "page", "NULL"), ("kpageflags", "RESERVED", "NOPAGE")):
        assert [WALKERS[name].decide(machine.kernel, pfn).action for pfn in (near, far)] == [found, none]
    assert [int(word) for word in kpageflags(machine.kernel, near, 25)[[0, 24]]] == [1 << 32, 1 << 20]
    for pfn, errno in ((near, "EBUSY"), (far, "ENXIO")):
        with pytest.raises(KernelError, match=errno):
            machine.poison(pfn)


@pytest.mark.parametrize(
    ("release", "debug_vm", "check_pages"),
    [
        ("6.1", False, True),
        ("6.1", True, True),
        ("6.12", True, True),
        ("6.12", False, True),
        ("6.12", False, False),
        ("7.3", True, True),
        ("7.3", False, False),
    ],
)
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_bad_page_agrees_with_freeing_the_page(release, debug_vm, check_pages, patch):
    # 1.6, 1.7: PG_reserved and (before 6.17) any page type make a freed page bad, where that is checked.
    machine = Machine(
        patch=patch, release=release, debug_vm=debug_vm, check_pages=check_pages, memmap_on_memory=True
    )
    pfns = [add_block(machine, 32, "online_kernel", withhold), 0x100000]
    pfns += machine.allocate(1, "unmovable")
    actions = [WALKERS["bad_page"].decide(machine.kernel, pfn).action for pfn in pfns]
    reserved = "bad page" if debug_vm or (release != "6.1" and check_pages) else "free"
    typed = "bad page" if check_pages and release != "7.3" else "free"
    assert actions == [*((reserved, reserved) if patch == BEFORE else (typed, "free")), "free"]
    for pfn, action in zip(pfns, actions, strict=True):
        reports = machine.kernel.bad_pages
        __free_pages(machine.kernel, pfn)
        assert (machine.kernel.bad_pages > reports) == (action == "bad page")


@pytest.mark.parametrize(
    ("debug_vm", "hunks", "action"),
    [
        (True, {Hunk.PAGE_ALLOC}, "warn"),
        (False, {Hunk.PAGE_ALLOC}, "free"),
        (True, set(), "free"),
        (True, set(AFTER), "free"),
    ],
)
def test_the_new_warning_needs_debug_vm_and_half_a_patch(debug_vm, hunks, action):
    # Pages that are born reserved but freed by the new __free_pages_core() are warned about.
    machine = Machine(patch=Patch(hunks), debug_vm=debug_vm)
    pfn = add_block(machine, 32, "online_kernel", withhold)
    assert WALKERS["free_pages_core"].decide(machine.kernel, pfn)[::2] == (action, True)
    if hunks == {Hunk.PAGE_ALLOC}:
        generic_online_page(machine.kernel, pfn, 10)
        assert any("PageReserved" in line for line in machine.log) == (action == "warn")


def test_zone_device_is_no_concern_of_the_patch():
    # Reserved on both kernels, and no walker that asks pfn_to_online_page() ever sees it.
    assert differing("device") == set()
    machine, kinds = zoo(AFTER, "6.12")
    verdict = WALKERS["kvm_refcounted"].decide(machine.kernel, kinds["device"])
    # kvm_pfn_to_refcounted_page() asks PageReserved() first, then is_zone_device_page() and page_count().
    why = "PG_reserved is set, but it is device memory with a reference"
    assert verdict == ("page", f"pfn {kinds['device']:#x}: {why}", True)
    machine.kernel.memmap.set_refcount(kinds["device"], 1, 0)
    assert WALKERS["kvm_refcounted"].decide(machine.kernel, kinds["device"]).action == "no page"


def test_a_page_can_be_reserved_and_offline_even_after():
    # Xen's extra regions are reserved at boot and ballooned all the same.
    machine = Machine(reserved=[(0x1000, 16)])
    machine.kernel.memmap.set_type(0x1000, 16, PageType.OFFLINE)
    said = verdicts(machine.kernel, 0x1000)
    actions = [said[name].action for name in ("kpageflags", "kcore", "hibernation", "isolate_offline")]
    assert actions == ["RESERVED+OFFLINE", "zeros", "skip", "unmovable"]


# ---- walkers agree with the functions of memsim that do the same -----------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
def test_walkers_agree_with_the_models_of_their_functions(patch, release):
    machine, kinds = zoo(patch, release)
    kernel = machine.kernel
    online = [kind for kind in KINDS if kernel.memmap.pfn_to_online_page(kinds[kind]) is not None]
    assert set(KINDS) - set(online) == {"device", *OFFLINE_SECTIONS.split()}
    for kind in online:
        pfn = kinds[kind]
        said = verdicts(kernel, pfn)
        for name, offline in (("isolate_offline", True), ("isolate_contig", False)):
            unmovable = page_isolation.has_unmovable_pages(kernel, pfn, 1, memory_offline=offline)
            assert (said[name].action == "unmovable") == (unmovable == pfn), (kind, name)
        assert said["scan_movable"].action == outcome(scan_movable_pages, kernel, pfn, "pass", "migrate")
        if kind != "interior":  # the model finds a free block by its head
            tested = outcome(fully_isolated, kernel, pfn, "pass", "")
            assert said["test_isolated"].action == tested, kind


def fully_isolated(kernel, pfn, nr_pages):
    return page_isolation.test_pages_isolated(kernel, pfn, nr_pages, memory_offline=True)


def outcome(function, kernel, pfn, nothing, something):
    """Return an errno's name, or one of two words for None and for anything else."""
    try:
        return nothing if function(kernel, pfn, 1) is None else something
    except KernelError as error:
        return error.name


@pytest.mark.parametrize("kind", KINDS)
def test_memory_failure_does_what_its_walker_says(kind):
    machine = Machine(ram=[(0, 0x1F001)], reserved=[(0x1000, 16)], memmap_on_memory=True)
    pfn = every_kind(machine)[kind]
    said = WALKERS["memory_failure"].decide(machine.kernel, pfn).action
    errnos = {"ENXIO": "ENXIO", "ask the device": "ENXIO", "EHWPOISON": "EHWPOISON", "mark only": "EBUSY"}
    if said in errnos:
        with pytest.raises(KernelError) as failure:
            machine.poison(pfn)
        assert failure.value.name == errnos[said]
    else:
        machine.poison(pfn)
        assert machine.page(pfn).flags == PageFlag.HWPOISON


# ---- which pages a walker meets, and what the review says ------------------------------------------


MEETS = {
    "pages mapped into user space": f"device reserved lru poisoned {IN_USE}",
    "pages on the LRU": "lru",
    "highmem pages, and x86-64 has none": "",
    "pages that hold struct pages": f"reserved vmemmap {SELF_HOSTED}",
    "struct pages outside an altmap": "reserved vmemmap",
    "pages that the kernel allocated for itself": f"reserved poisoned {IN_USE}",
    "hotplugged pages that the buddy does not have yet": "withheld withheld_movable balloon released",
    "pages of the range that goes offline, without holes and self-hosted vmemmap":
        f"reserved free interior lru poisoned withheld withheld_movable balloon released {IN_USE}",
    "pages that test_pages_isolated() let through": "free interior poisoned released",
    "boot memory, once, while booting": "hole reserved",
    "pages whose last reference is dropped":
        f"hole reserved lru poisoned withheld withheld_movable balloon {IN_USE} {SELF_HOSTED}",
    "any pfn": " ".join(KINDS),
}  # fmt: skip


@pytest.mark.parametrize("patch", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("name", WALKERS)
def test_which_pages_a_walker_meets(name, patch):
    machine, kinds = zoo(patch, "6.12")
    walker = WALKERS[name]
    met = {kind for kind, pfn in kinds.items() if walker.decide(machine.kernel, pfn).met}
    assert walker.meets.words in MEETS, f"MEETS has no row for the pages that {name} meets"
    assert met == set(MEETS[walker.meets.words].split())
    for kind in set(KINDS) - met:
        assert walker.meets.words in walker.decide(machine.kernel, kinds[kind]).why


REVIEWED = {
    "fs/proc/task_mmu.c", "kernel/power/snapshot.c", "mm/hugetlb_vmemmap.c", "mm/page_alloc.c",
    "mm/page_ext.c", "mm/page_isolation.c", "mm/page_owner.c", "mm/sparse-vmemmap.c (6.1: mm/sparse.c)",
    "virt/kvm/kvm_main.c",
}  # fmt: skip
MISSED = {
    "mm/memory-failure.c", "mm/mempolicy.c", "fs/proc/page.c", "arch/x86/mm/init_64.c",
    "arch/x86/mm/ioremap.c", "arch/x86/kvm/mmu/spte.c", "mm/page_alloc.c",
}  # fmt: skip


def test_every_reader_that_the_review_lists_or_missed_is_here():
    files = {group: {w.file for w in WALKERS.values() if w.group == group} for group in ("review", "missed")}
    assert files == {"review": REVIEWED, "missed": MISSED}


def test_a_claim_is_contradicted_exactly_where_executing_it_shows_more():
    results = {name: walker.finding.result for name, walker in WALKERS.items()}
    assert {name for name, result in results.items() if result == "contradicted"} == {"isolate_contig"}
    assert {name for name, result in results.items() if result == "refined"} == {
        "isolate_offline", "page_owner_mixed", "page_owner_early", "unpoison", "kpageflags", "ioremap",
        "bad_page",
    }  # fmt: skip
    # What is confirmed does not differ where it is met, but for a failure that comes later.
    confirmed = {name for name, result in results.items() if result == "confirmed"}
    for kind in ("self", "self_movable", "poisoned_self"):
        assert differing(kind, "6.1", met=True) & confirmed == {"contig_valid"}


def test_a_walker_without_pg_reserved_does_not_care_about_self_hosted_vmemmap():
    assert "other" not in {WALKERS[name].group for name in differing("self")}
    assert differing("self")


def test_stale_struct_pages_are_called_stale():
    machine, kinds = zoo(AFTER, "6.12")
    pfn = kinds["stale"]
    assert verdicts(machine.kernel, pfn)["kcore"].why == f"pfn {pfn:#x}: its section is not online"
    offlined = Machine(patch=AFTER)
    data = add_block(offlined, 32, "online_kernel", lend)
    offlined.offline(32)
    why = WALKERS["makedumpfile"].decide(offlined.kernel, data).why
    assert why.endswith("in a stale struct page (its section is not online)")
