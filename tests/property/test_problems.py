"""What answer() gets from the simulator is what one gets on paper.

The paper is here: each kind of problem is solved once more from its facts, by the rules of the kernel and
without the simulator. The rules stand beside the code: function and file; the sizes are those of x86-64.
"""

from __future__ import annotations

import re
from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.lesson import answer, ask
from memsim.lesson.problems import KINDS

SECTION, VMEMMAP, SUB_BLOCK = 32768, 512, 512
SEEDS = st.integers(0, 10**6)


def solution(kind, seed):
    return answer(kind, seed=seed).answers()


def facts(kind, seed):
    return ask(kind, seed=seed).task.facts


def on_paper(kind, seed, expected):
    """Compare, line by line, since the labels carry what was drawn."""
    assert list(solution(kind, seed).values()) == expected


# ---- onlining ----------------------------------------------------------------------------------------------


@given(SEEDS)
def test_chunks(seed):
    """online_pages_range(): the order is min(10, trailing zeros of the pfn); struct pages take 1/64."""
    given_ = facts("chunks", seed)
    pfn = first = given_["start"] + (given_["size"] // 64 if given_["hosted"] else 0)
    end, orders = given_["start"] + given_["size"], []
    while pfn < end:
        order = next(o for o in range(10, -1, -1) if pfn % 2**o == 0)
        orders.append(order)
        pfn += 2**order
    assert set(orders) <= {9, 10}
    on_paper("chunks", seed, [hex(first), orders.count(9), orders.count(10)])


@given(SEEDS)
def test_counters(seed):
    """Spanned from the first block to the last, present all pages, managed but for the vmemmap they hold."""
    given_ = facts("counters", seed)
    zones = {"online_kernel": "Normal", "online_movable": "Movable"}
    left = {
        block: zones[kind]
        for number, (block, kind) in enumerate(zip(given_["blocks"], given_["types"], strict=True))
        if number not in given_["gone"]
    }
    usable = SECTION - (VMEMMAP if given_["hosted"] else 0)
    mine = [block for block, zone in left.items() if zone == given_["zone"]]
    spanned = (max(mine) + 1 - min(mine)) * SECTION if mine else 0
    on_paper("counters", seed, [spanned, len(mine) * SECTION, len(mine) * usable, len(left) * usable])


@given(SEEDS)
def test_side(seed):
    """Only before 3/3 does virtio-mem count what it withholds as managed while a block goes offline."""
    trace = list(facts("side", seed)["trace"].values())
    side = "before" if trace[1] > trace[0] else "after"
    if side == "before":
        assert trace[1] == SECTION
    assert trace[-1] == (trace[0] if facts("side", seed)["refused"] else 0)
    on_paper("side", seed, [side, SECTION - trace[0]])


# ---- words -------------------------------------------------------------------------------------------------

BITS_6_1 = {"buddy": 0x80, "offline": 0x100, "table": 0x200, "guard": 0x400}
BYTES_6_12 = {"buddy": 0xF0, "offline": 0xF1, "table": 0xF2, "guard": 0xF3}


@given(SEEDS)
def test_page_type(seed):
    """include/linux/page-flags.h: 6.1 clears a bit of -1, 6.12 keeps a number in the top byte."""
    given_ = facts("page-type", seed)
    old = given_["release"] == "6.1"
    alone = {kind: 0xFFFFFFFF - BITS_6_1[kind] if old else BYTES_6_12[kind] << 24 for kind in BITS_6_1}
    word = 0xFFFFFFFF - sum(BITS_6_1[kind] for kind in given_["types"]) if old else alone[given_["types"][0]]
    assert old or len(given_["types"]) == 1  # one number cannot be two
    (back,) = [kind for kind, value in alone.items() if hex(value) == given_["word"]]
    on_paper("page-type", seed, [hex(word), "0xffffffff", back.title()])


BUDDY, DIRTY, NOPAGE, OFFLINE, RESERVED, OWNER_PRIVATE = (1 << bit for bit in (10, 4, 20, 23, 32, 37))
# Rows O5, H1, B2, M3, V3, Y2 and Y4 of the state table: (before, after) the patch.
WORDS = {
    "the first page of a free block": (BUDDY, BUDDY),
    "a page of a memory block that is added but not online": (NOPAGE, NOPAGE),
    "a page that memblock reserved at boot": (RESERVED, RESERVED),
    "a page of an online block that holds struct pages of this block": (
        RESERVED | OWNER_PRIVATE,
        OWNER_PRIVATE,
    ),
    "a page of an online block that virtio-mem has not plugged, and never had": (
        OFFLINE | DIRTY,
        OFFLINE | DIRTY,
    ),
    "a page of an online block that Hyper-V does not back": (RESERVED | OFFLINE, OFFLINE),
    "a page of an online DIMM that the Hyper-V driver withholds, since no host announced it": (
        RESERVED,
        OFFLINE,
    ),
}


@given(SEEDS)
def test_kpageflags(seed):
    given_ = facts("kpageflags", seed)
    column = ("before", "after").index(given_["side"])
    on_paper("kpageflags", seed, [hex(WORDS[page][column]) for page in given_["pages"]])


# ---- the allocator -----------------------------------------------------------------------------------------


def free_blocks(pages, start, size):
    """Return the largest aligned blocks that a set of free pages consists of."""
    if not pages & set(range(start, start + size)):
        return []
    if set(range(start, start + size)) <= pages:
        return [(start, size)]
    half = size // 2
    return free_blocks(pages, start, half) + free_blocks(pages, start + half, half)


def told(blocks):
    return tuple(f"+{start} order {size.bit_length() - 1}" for start, size in blocks)


@given(SEEDS)
def test_merge(seed):
    """__free_one_page(): below pageblock order free buddies merge, in whatever order they come."""
    freed = set(facts("merge", seed)["freed"])
    blocks = free_blocks(freed, 0, 16)
    on_paper("merge", seed, [told(blocks), len(blocks)])


@given(SEEDS)
def test_split(seed):
    """__rmqueue_smallest(): the smallest that is large enough, the newest of its list; expand()."""
    lists = {order: [] for order in range(11)}
    lists[10] = [0]
    taken = []
    for order in facts("split", seed)["orders"]:
        found = next(o for o in range(order, 11) if lists[o])
        start = lists[found].pop()
        for upper in range(found - 1, order - 1, -1):
            lists[upper].append(start + 2**upper)
        taken.append(f"+{start}")
    left = sorted((start, 2**order) for order, starts in lists.items() for start in starts)
    on_paper("split", seed, [tuple(taken), told(left)])


@given(SEEDS)
def test_watermarks(seed):
    """__setup_per_zone_wmarks(): a share of pages_min; since 6.12 Movable has 1/1024 of itself, 32 to 128."""
    given_ = facts("watermarks", seed)
    managed, zone = given_["managed"], given_["zone"]
    apart = given_["release"] == "6.12"
    lowmem = sum(pages for name, pages in managed.items() if not (apart and name == "Movable"))
    share = given_["pages_min"] * managed[zone] // lowmem
    lowest = share if zone != "Movable" or not apart else min(128, max(32, managed[zone] // 1024))
    step = max(share // 4, managed[zone] // 1000)
    on_paper("watermarks", seed, [lowest, lowest + step, lowest + 2 * step])


@given(SEEDS)
def test_min_free_kbytes(seed):
    """init_per_zone_wmark_min(): the root of 16 times lowmem in KiB, less the high watermarks of before."""
    given_ = facts("watermarks", seed)
    lowmem_kib = 4 * (given_["managed"]["DMA"] + given_["managed"]["DMA32"])
    # The high watermarks are below 1/50 of a zone here, so the root moves by 1/100 at most.
    assert isqrt(16 * lowmem_kib) * 0.99 < 4 * given_["pages_min"] + 4 <= isqrt(16 * lowmem_kib) + 4


# ---- events ------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_notifiers(seed):
    """No rollback: who heard no GOING hears CANCEL all the same. NOTIFY_BAD is -EPERM."""
    given_ = facts("notifiers", seed)
    what = given_["operation"].upper()
    going, done, cancel = f"MEM_GOING_{what}", f"MEM_{what}", f"MEM_CANCEL_{what}"
    errno = {
        "NOTIFY_BAD": "-EPERM",
        "notifier_from_errno(-EBUSY)": "-EBUSY",
        "notifier_from_errno(-ENOMEM)": "-ENOMEM",
        "notifier_from_errno(-EINTR)": "-EINTR",
    }
    if given_["refuses"] is None:
        expected = [(going, done), (going, done), "0"]
    elif given_["refuses"] == "first":
        expected = [(going, cancel), (cancel,), errno[given_["word"]]]
    else:
        expected = [(going, cancel), (going, cancel), errno[given_["word"]]]
    on_paper("notifiers", seed, expected)


FINE = ("0", ("MEM_GOING_OFFLINE", "MEM_OFFLINE"))
EARLY = ("-EBUSY", ())  # has_unmovable_pages(): before anybody is asked
LATE = ("-EBUSY", ("MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"))  # scan_movable_pages(): Offline, refcount 1
# Before the patch PG_reserved stops isolation; after it, isolation lets the type Offline pass.
ENDS = {
    "All of its pages are free": (FINE, FINE),
    "Programs use 100 of its pages, and there is room elsewhere": (FINE, FINE),
    "It is in zone Normal, and the kernel uses one of its pages for itself": (EARLY, EARLY),
    "virtio-mem has plugged half of it": (FINE, FINE),
    "Hyper-V backs half of it": (EARLY, LATE),
    "It is a DIMM that the Hyper-V driver withholds, since no host announced it": (EARLY, LATE),
    "The Xen balloon added it, and half of its pages are still in the balloon": (EARLY, LATE),
}


@given(SEEDS)
def test_offline(seed):
    given_ = facts("offline", seed)
    on_paper("offline", seed, list(ENDS[given_["what"]][given_["side"] == "after"]))


# ---- drivers -----------------------------------------------------------------------------------------------


@given(SEEDS)
def test_virtio_mem(seed):
    """Plugged from the first sub-block on, unplugged from the last; PG_dirty: never in the buddy."""
    given_ = facts("virtio-mem", seed)
    first, then = given_["first"], given_["then"]
    managed, never = then * SUB_BLOCK, (64 - first) * SUB_BLOCK
    on_paper("virtio-mem", seed, [SECTION, managed, SECTION - managed, never, then // 2, then % 2])


@given(SEEDS)
def test_hv_balloon(seed):
    """Before, a fresh page is not Offline; after, not Offline means that it is in the buddy."""
    given_ = facts("hv-balloon", seed)
    before = given_["side"] == "before"
    assert given_["again"] < given_["backed"] <= given_["page"]
    yes_before = "yes" if before else "no"
    on_paper("hv-balloon", seed, [given_["backed"], given_["backed"], yes_before, "yes", 1, yes_before])


@settings(max_examples=10)
@given(SEEDS)
def test_xen_balloon(seed):
    """Whole sections come, all to the balloon; what is missing leaves it again."""
    given_ = facts("xen-balloon", seed)
    up, down = given_["up"], given_["down"]
    blocks = -(-up // SECTION)
    born = blocks * SECTION - up
    reserved = born if given_["side"] == "before" else 0
    on_paper("xen-balloon", seed, [blocks, blocks * SECTION, up - down, born + down, reserved])


# ---- reports of bad pages --------------------------------------------------------------------------------


FLAG, ZONES = re.compile(r"flags: 0x[0-9a-f]+\((.*)node=0\|zone=(\d)"), ("DMA", "DMA32", "Normal", "Movable")
TYPES = {0xFFFFFEFF: "offline", 0xFFFFFF7F: "buddy", 0xF1000000: "offline", 0xF0000000: "buddy"}
"""page_type as 6.1 stores it, bits that are cleared, and as 6.12 does: include/linux/page-flags.h."""


def cause_on_paper(report, kind, flags, refcount):
    """A driver's function in the trace, then what was wrong with the page, decide."""
    if "[acme_balloon]" in report:
        return "E" if refcount else "C" if kind else "F"
    return "B" if flags else "D" if kind == ("buddy",) else "A"


@settings(deadline=None)
@given(SEEDS)
def test_bad_page(seed):
    """bad_page(), mm/page_alloc.c, and __dump_page(), mm/debug.c: each number stands at its place."""
    report = facts("bad-page", seed)["report"]
    pfn = int(re.search(r" pfn:(0x[0-9a-f]+)", report)[1], 16)
    names, zone = FLAG.search(report).groups()
    flags = tuple(name for name in names.split("|") if name)
    counts = int(report.split("raw: ")[2].split()[2], 16)  # _refcount above, _mapcount or page_type below
    kind = tuple(TYPES[word] for word in [counts & 0xFFFFFFFF] if word != 0xFFFFFFFF)
    refcount = counts >> 32
    reason = report.split("page dumped because: ")[1].split("\n")[0]
    about = {"nonzero mapcount": "type", "nonzero _refcount": "refcount"}.get(reason, "flags")
    form = "6.1" if re.search(r"page:[0-9a-f]", report) else "6.12"
    where = [hex(pfn), pfn // SECTION, ZONES[int(zone)]]
    cause = cause_on_paper(report, kind, flags, refcount)
    on_paper("bad-page", seed, [*where, flags, kind, refcount, about, form, cause])


# ---- all kinds -------------------------------------------------------------------------------------------


def test_every_kind_is_done_on_paper_too():
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert set(KINDS) <= tested


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_many_problems(kind):
    """In fifty seeds at least ten differ, and the answer is not always the same."""
    tasks = [ask(kind, seed=seed).task for seed in range(50)]
    assert len({(task.question, task.table, task.wanted) for task in tasks}) >= 10
    assert len({tuple(solution(kind, seed).values()) for seed in range(8)}) >= 2
