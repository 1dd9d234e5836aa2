"""Walkers that do not read PG_reserved: they go by the type Offline, by the buddy, or by the LRU.

For these the patch can only matter where a page was *not* Offline before and is now (withheld pages), or
would be Offline and must not be (self-hosted vmemmap, hunk MEMORY_HOTPLUG).
"""

from __future__ import annotations

from memsim.walkers import subject as q
from memsim.walkers.walker import Finding, Step, Walker

NOT_ASKED = "Not listed: it does not look at PG_reserved."

PFN_TO_ONLINE_PAGE = Walker(
    name="pfn_to_online_page",
    file="mm/memory_hotplug.c",
    function="pfn_to_online_page()",
    group="other",
    steps=(Step(q.NO_MEMMAP, "NULL"), Step(q.DEVICE, "NULL"), Step(q.NOT_ONLINE, "NULL")),
    otherwise=("page", "its section is online"),
    claim="The thread wondered whether it filters Offline pages; it does not.",
    finding=Finding("confirmed", "It asks about the section only; flags and types do not matter."),
)
KCORE = Walker(
    name="kcore",
    file="fs/proc/kcore.c",
    function="read_kcore_iter()",
    group="other",
    steps=(
        Step(q.NOT_RAM, "zeros"),
        Step(q.NOT_ONLINE, "zeros"),
        Step(q.OFFLINE, "zeros"),
        Step(q.HWPOISON, "zeros"),
    ),
    otherwise=("read", "it is online RAM, neither of type Offline nor hwpoisoned"),
    claim=NOT_ASKED,
    finding=Finding(
        "confirmed",
        "Read on both, thanks to the hunk MEMORY_HOTPLUG. (Through the addresses of the memmap itself it is "
        "readable in any case: that part of the file asks nothing.)",
    ),
)
MAKEDUMPFILE = Walker(
    name="makedumpfile",
    file="makedumpfile.c (user space)",
    function="__exclude_unnecessary_pages(), dump level 31",
    group="other",
    steps=(
        Step(q.NOT_RAM, "outside"),
        Step(q.NO_MEMMAP, "outside"),
        Step(q.UNINITIALISED, "undefined"),
        Step(q.DUMP_FREE, "exclude: free"),
        Step(q.LRU, "exclude: user"),
        Step(q.HWPOISON, "exclude: hwpoison"),
        Step(q.DUMP_OFFLINE, "exclude: offline"),
    ),
    otherwise=("dump", "nothing excludes it"),
    claim=NOT_ASKED,
    finding=Finding(
        "confirmed",
        "Dumped on both, thanks to the hunk MEMORY_HOTPLUG: a dump without the struct pages of a block "
        "would be useless. It looks at every present section, online or not.",
    ),
)
MEMORY_FAILURE = Walker(
    name="memory_failure",
    file="mm/memory-failure.c",
    function="memory_failure(), HWPoisonHandlable()",
    group="other",
    steps=(
        Step(q.DEVICE, "ask the device"),
        Step(q.NOT_ONLINE, "ENXIO"),
        Step(q.HWPOISON, "EHWPOISON"),
        Step(q.FREE, "take off the buddy"),
        Step(q.LRU, "unmap"),
    ),
    otherwise=("mark only", "it is neither free nor on the LRU, so it stays in use"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Neither free nor on the LRU, so it is marked and left alone on both."),
)
COMPACTION_MIGRATE = Walker(
    name="compaction_migrate",
    file="mm/compaction.c",
    function="isolate_migratepages_block()",
    group="other",
    steps=(Step(q.NOT_ONLINE, "skip"), Step(q.FREE, "skip"), Step(q.LRU, "isolate")),
    otherwise=("skip", "it is not on the LRU"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Not on the LRU, so it is skipped on both."),
)
COMPACTION_FREE = Walker(
    name="compaction_free",
    file="mm/compaction.c",
    function="isolate_freepages_block()",
    group="other",
    steps=(Step(q.NOT_ONLINE, "skip"), Step(q.FREE, "take")),
    otherwise=("skip", "it is not free"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Not free, so it is skipped on both."),
)
SCAN_MOVABLE = Walker(
    name="scan_movable",
    file="mm/memory_hotplug.c",
    function="scan_movable_pages()",
    group="other",
    meets=q.OFFLINED,
    steps=(Step(q.NOT_ONLINE, "pass"), Step(q.LRU, "migrate"), Step(q.OFFLINE_HELD, "EBUSY")),
    otherwise=("pass", "it is neither on the LRU nor of type Offline with a reference"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Self-hosted vmemmap is not part of the range that goes offline."),
)
TEST_ISOLATED = Walker(
    name="test_isolated",
    file="mm/page_isolation.c",
    function="test_pages_isolated(MEMORY_OFFLINE)",
    group="other",
    meets=q.OFFLINED,
    steps=(
        Step(q.NOT_ONLINE, "EBUSY"),
        Step(q.FREE, "pass"),
        Step(q.HWPOISON, "pass"),
        Step(q.OFFLINE_RELEASED, "pass"),
    ),
    otherwise=("EBUSY", "it is not free, nor hwpoisoned, nor of type Offline with refcount 0"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Self-hosted vmemmap is not part of the range that goes offline."),
)
OFFLINE_ISOLATED = Walker(
    name="offline_isolated",
    file="mm/page_alloc.c",
    function="__offline_isolated_pages()",
    group="other",
    meets=q.OFFLINED_LAST,
    steps=(
        Step(q.NO_PAGE, "nothing"),
        Step(q.FREE, "subtract"),
        Step(q.HWPOISON, "subtract"),
        Step(q.OFFLINE_HELD, "BUG"),
        Step(q.OFFLINE_SPARED, "spare"),
        Step(q.OFFLINE, "subtract"),
    ),
    otherwise=("BUG", "it is neither free, nor hwpoisoned, nor of type Offline"),
    claim=NOT_ASKED,
    finding=Finding("confirmed", "Self-hosted vmemmap is not part of the range that goes offline."),
)

WALKERS = (
    PFN_TO_ONLINE_PAGE,
    KCORE,
    MAKEDUMPFILE,
    MEMORY_FAILURE,
    COMPACTION_MIGRATE,
    COMPACTION_FREE,
    SCAN_MOVABLE,
    TEST_ISOLATED,
    OFFLINE_ISOLATED,
)
