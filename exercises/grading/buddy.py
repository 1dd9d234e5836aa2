"""Grading of `buddy`, the exercises to chapter 5: split, merge, fall back, isolate, and watermarks.

What splitting and merging must give is derived here from alignment alone; everything else comes from the
simulator's mm/page_alloc.c and mm/page_isolation.c, whose free lists the recordings judge.
"""

from functools import cache

from memsim import Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.layout import MAX_PAGE_ORDER, PAGES_PER_SECTION
from memsim.linux.include.mmzone import MigrateType
from memsim.linux.mm.page_alloc.watermarks import calculate_min_free_kbytes, init_per_zone_wmark_min

BLOCK = PAGES_PER_SECTION
START = 32 * BLOCK

# ---- take_block ------------------------------------------------------------------------------------


def some_free_blocks(rng, orders):
    """Return free blocks of these orders in the order of their lists, none of them with a free buddy."""
    places = rng.sample(range(0, 256, 2), len(orders))
    return [[START + 1024 * place, order] for place, order in zip(places, orders, strict=True)]


def the_block(free, order):
    """Return the block that __rmqueue_smallest() takes: the head of the smallest list that will do."""
    return min((block for block in free if block[1] >= order), key=lambda block: block[1])


def smallest_that_will_do(rng, mine):
    """The smallest block that is large enough is taken, and of these the first."""
    for _ in range(3):
        low = rng.randrange(1, 5)
        free = some_free_blocks(rng, [low, 10, low + 3, low, low + 3, low - 1])
        for order in (low, low + 1):
            answer = yield [free, order]
            if answer.get("taken") != the_block(free, order)[0]:
                return (
                    f"A block of order {order} from blocks of the orders {[each for _, each in free]}: "
                    "__rmqueue_smallest() goes from the order that was asked for upwards, and takes the head of the "
                    "first list that is not empty. Of the block that it halves, it keeps the lower part."
                )
    return None


def the_buddies_are_left(rng, mine):
    """What is left of the block are the buddies of the block that was taken."""
    for _ in range(3):
        free = some_free_blocks(rng, [10, rng.randrange(6, 10), 10])
        order = rng.randrange(5)
        pfn, found = the_block(free, order)
        answer = yield [free, order]
        left = sorted(
            [block for block in free if block[0] != pfn] + [[pfn ^ 1 << k, k] for k in range(order, found)]
        )
        if answer.get("free") != left:
            return (
                f"Order {order} was taken out of a block of order {found}. expand() puts the upper half back each time "
                "it halves: the buddies of what was taken, one of each order. Sort by pfn."
            )
    return None


def nothing_large_enough(rng, mine):
    """If no block is large enough nothing is taken, and nothing changes."""
    free = some_free_blocks(rng, [2, 0, 3, 3])
    answer = yield [free, rng.randrange(4, 11)]
    if answer.get("taken", 0) is not None or answer.get("free") != sorted(free):
        return "No list from the order that was asked for upwards has a block: __rmqueue_smallest() returns NULL."
    return None


take_block = Question(
    "take_block",
    difficulty=2,
    pattern="implement",
    section="One block, split by hand",
    returns=dict[str, int | list[list[int]] | None],
    tests={smallest_that_will_do: 2, the_buddies_are_left: 2, nothing_large_enough: 1},
    wrong=[
        Wrong(
            "the_largest_block_is_taken",
            """def take_block(free, order):
    if max(each for _, each in free) < order:
        return {"taken": None, "free": sorted(free)}
    pfn, high = max(free, key=lambda block: block[1])
    left = [block for block in free if block[0] != pfn]
    left += [[pfn + (1 << k), k] for k in range(order, high)]
    return {"taken": pfn, "free": sorted(left)}
""",
            score=1,
            message="upwards, and takes the head",
        ),
        Wrong(
            "the_rest_is_cut_into_pieces_of_the_same_size",
            """def take_block(free, order):
    fit = [block for block in free if block[1] >= order]
    if not fit:
        return {"taken": None, "free": sorted(free)}
    pfn, high = min(fit, key=lambda block: block[1])
    left = [block for block in free if block[0] != pfn]
    left += [[pfn + (n << order), order] for n in range(1, 1 << high - order)]
    return {"taken": pfn, "free": sorted(left)}
""",
            score=3,
            message="one of each order",
        ),
        Wrong(
            "the_upper_half_is_kept",
            """def take_block(free, order):
    fit = [block for block in free if block[1] >= order]
    if not fit:
        return {"taken": None, "free": sorted(free)}
    pfn, high = min(fit, key=lambda block: block[1])
    left = [block for block in free if block[0] != pfn]
    while high > order:
        high -= 1
        left.append([pfn, high])
        pfn += 1 << high
    return {"taken": pfn, "free": sorted(left)}
""",
            score=1,
            message="it keeps the lower part",
        ),
    ],
)

# ---- freed_blocks ----------------------------------------------------------------------------------


def largest_blocks(pages, largest, start=0, order=MAX_PAGE_ORDER):
    """Return the largest aligned blocks that a set of pages consists of, whatever the order of freeing."""
    inside = sum(start <= page < start + (1 << order) for page in pages)
    if inside == 0:
        return []
    if inside == 1 << order and order <= largest:
        return [[start, order]]
    half = 1 << order - 1
    return [
        block
        for low in (start, start + half)
        for block in largest_blocks([p for p in pages if low <= p < low + half], largest, low, order - 1)
    ]


def expected(freed, isolated):
    """Return the free blocks; an isolated pageblock and another one do not merge."""
    return largest_blocks(freed, 9 if len(isolated) == 1 else 10)


def all_become_one(rng, mine):
    """1,024 pages, freed in any order, are one block."""
    for _ in range(2):
        freed = rng.sample(range(1024), 1024)
        if (yield [freed, []]) != expected(freed, []):
            return (
                "All 1,024 pages are free in the end. __free_one_page() merges as often as the buddy of the block "
                "is free, up to MAX_PAGE_ORDER, so the order in which they came does not matter."
            )
    return None


def only_buddies_merge(rng, mine):
    """Free blocks merge with their buddy, and not with any neighbour."""
    for number in (rng.randrange(6, 20), rng.randrange(200, 500), rng.randrange(600, 1000)):
        first = rng.choice([0, 1, 3, 400])
        freed = rng.sample(range(first, 1024), min(number, 1024 - first))
        if (yield [freed, []]) != expected(freed, []):
            return (
                f"{len(freed)} of 1,024 pages were freed. A block of order n starts at a multiple of 2^n, and "
                "merges with one block only: pfn ^ (1 << order), and only if that is free as a whole."
            )
    return None


def not_across_isolation(rng, mine):
    """A pageblock that is isolated does not merge with one that is not."""
    for isolated, number in zip(rng.sample([[0], [1]], 2), (1024, 1000), strict=True):
        freed = rng.sample(range(1024), number)
        if (yield [freed, isolated]) != expected(freed, isolated):
            return (
                f"Pageblock {isolated[0]} is isolated. From order 9 on __free_one_page() looks at the migratetype of the "
                "buddy's pageblock: an isolated one and another do not merge, or isolated pages would be handed out."
            )
    return None


def isolated_with_isolated(rng, mine):
    """Two isolated pageblocks whose pages are freed merge with each other."""
    freed = rng.sample(range(1024), 1024)
    if (yield [freed, [0, 1]]) != expected(freed, [0, 1]):
        return "Both pageblocks are isolated, so their pages wait on the same list, and buddies on one list merge."
    return None


MERGES_BELOW = """def freed_blocks(freed, isolated):
    free = {}
    for pfn in freed:
        order = 0
        while order < LIMIT and free.get(pfn ^ 1 << order) == order:
            del free[pfn ^ 1 << order]
            pfn &= ~(1 << order)
            order += 1
        free[pfn] = order
    return sorted([pfn, order] for pfn, order in free.items())
"""
freed_blocks = Question(
    "freed_blocks",
    difficulty=3,
    pattern="implement",
    section="Run: watch it merge",
    returns=list[list[int]],
    different=3,
    tests={all_become_one: 1, only_buddies_merge: 2, not_across_isolation: 2, isolated_with_isolated: 1},
    wrong=[
        Wrong(
            "isolation_does_not_matter_to_free_pages",
            MERGES_BELOW.replace("LIMIT", "10"),
            score=4,
            message="an isolated one and another do not merge",
        ),
        Wrong(
            "a_pageblock_is_the_largest_block",
            MERGES_BELOW.replace("LIMIT", "9"),
            score=4,
            message="up to MAX_PAGE_ORDER",
        ),
        Wrong(
            "neighbours_merge",
            """def freed_blocks(freed, isolated):
    blocks, pages = [], sorted(freed)
    while pages:
        run = 1
        while run < len(pages) and pages[run] == pages[0] + run:
            run += 1
        limit = 9 if len(isolated) == 1 else 10
        order = min(limit, run.bit_length() - 1)
        blocks.append([pages[0], order])
        pages = pages[1 << order :]
    return blocks
""",
            score=2,
            message="merges with one block only",
        ),
        Wrong(
            "isolated_pages_never_merge_beyond_their_pageblock",
            MERGES_BELOW.replace("LIMIT", "(9 if isolated else 10)"),
            score=5,
            message="wait on the same list",
        ),
    ],
)

# ---- after_fallback --------------------------------------------------------------------------------


@cache
def fallen_back(release, request, found, order):
    """Let a request find only one free block, of the other migratetype; return label and lists after it."""
    machine = Machine(ram=[(0x1000, 2048)], release=release)
    other = "unmovable" if request == "movable" else "movable"
    size = found if other == "unmovable" or found == 9 else 0  # small movable blocks are freed page by page
    sizes = {"unmovable": 0, "movable": 0, other: size}
    held = {kind: machine.allocate(1024 >> each, kind, order=each) for kind, each in sizes.items()}
    pages, number = sorted(held[other]), 1 << found - size
    freed = pages[number : 2 * number]
    machine.free(list(freed), order=size)
    machine.allocate(1, request, order=order)
    area = machine.zone("DMA32").free_area
    lists = {
        kind: [at for at, by_kind in enumerate(area) for _ in by_kind[MigrateType[kind.upper()]]]
        for kind in ("movable", "unmovable")
    }
    label = MigrateType(machine.kernel.memmap.migratetype(freed[0])).name.lower()
    return {"label": label, **lists}


def told_back(answer, want, rule):
    """Return which part of the answer is wrong."""
    for key in ("label", "movable", "unmovable"):
        if answer.get(key) != want[key]:
            part = "the label of the pageblock" if key == "label" else f"the {key} lists"
            return f"{part[0].upper()}{part[1:]}: wrong. {rule}"
    return None


def requests(rng, sizes):
    """Return (request, order of the free block, order of the request) for both kinds of request."""
    for request in rng.sample(["movable", "unmovable"], 2):
        found = rng.choice(sizes)
        yield request, found, rng.randrange(min(found, 4))


def a_rest_stays_in_6_12(rng, mine):
    """6.12 steals what it needs of a small block, and the rest stays with its owners."""
    for asked in requests(rng, [1, 2, 3]):
        rule = (
            "6.12: __rmqueue_claim() finds too little to claim a pageblock for, so __rmqueue_steal() takes what is "
            "needed, and the rest goes back to the lists that it was on."
        )
        message = told_back((yield ["6.12", *asked]), fallen_back("6.12", *asked), rule)
        if message:
            return message
    return None


def a_rest_moves_in_6_1(rng, mine):
    """6.1 moves the small block to its own lists, though its pageblock keeps the label."""
    for asked in requests(rng, [1, 2, 3]):
        rule = (
            "6.1: steal_suitable_fallback() first moves the block to the lists of the request, and then takes it "
            "from there. The pageblock changes its label only if half of it is free or suits."
        )
        message = told_back((yield ["6.1", *asked]), fallen_back("6.1", *asked), rule)
        if message:
            return message
    return None


def a_whole_pageblock_is_claimed(rng, mine):
    """A block as large as a pageblock is claimed, on both kernels."""
    for release in rng.sample(["6.1", "6.12"], 2):
        for asked in requests(rng, [9]):
            rule = "A free block of order 9 is a whole pageblock: its label changes, and all that is left serves such requests."
            message = told_back((yield [release, *asked]), fallen_back(release, *asked), rule)
            if message:
                return f"{release}: {message}"
    return None


after_fallback = Question(
    "after_fallback",
    difficulty=3,
    pattern="predict",
    section="A label on each pageblock",
    returns=dict[str, str | list[int]],
    tests={a_rest_stays_in_6_12: 2, a_rest_moves_in_6_1: 2, a_whole_pageblock_is_claimed: 1},
    wrong=[
        Wrong(
            "every_pageblock_is_claimed",
            """def after_fallback(release, request, found, order):
    rest = list(range(order, found))
    other = "unmovable" if request == "movable" else "movable"
    return {"label": request, request: rest, other: []}
""",
            score=1,
            message="finds too little to claim a pageblock for",
        ),
        Wrong(
            "all_kernels_do_it_like_6_12",
            """def after_fallback(release, request, found, order):
    rest = list(range(order, found))
    other = "unmovable" if request == "movable" else "movable"
    if found >= 9:
        return {"label": request, request: rest, other: []}
    return {"label": other, request: [], other: rest}
""",
            score=3,
            message="first moves the block to the lists of the request",
        ),
        Wrong(
            "a_label_never_changes",
            """def after_fallback(release, request, found, order):
    rest = list(range(order, found))
    other = "unmovable" if request == "movable" else "movable"
    if release == "6.1":
        return {"label": other, request: rest, other: []}
    return {"label": other, request: [], other: rest}
""",
            score=4,
            message="its label changes",
        ),
    ],
)

# ---- watermarks ------------------------------------------------------------------------------------


@cache
def marks_of(release, normal, movable):
    """Return min_free_kbytes, and min, low and high of the two zones that it gives."""
    machine = Machine(ram=[(START, normal)], release=release)
    for number in range(movable // BLOCK):
        block = (START + normal) // BLOCK + number
        machine.add_memory(block * BLOCK, BLOCK)
        machine.online(block, "online_movable")
    kbytes = calculate_min_free_kbytes(machine.kernel)
    init_per_zone_wmark_min(machine.kernel)
    return kbytes, {name: list(machine.zone(name).watermark[:3]) for name in ("Normal", "Movable")}


def ask_marks(rng, release, zone, rule):
    """Put the question for some machines."""
    small, large = (BLOCK, rng.choice([3, 4, 5])), (BLOCK * rng.choice([3, 5]), rng.choice([8, 13]))
    for movable, blocks in (small, large):  # in a small machine the step comes from the share
        normal = BLOCK * blocks
        kbytes, want = marks_of(release, normal, movable)
        answer = yield [release, kbytes, normal, movable]
        if answer.get(zone) != want[zone]:
            return f"{release}, zone {zone} with {normal if zone == 'Normal' else movable:,} managed pages: wrong. {rule}"
    return None


def in_6_1_all_share(rng, mine):
    """In 6.1 both zones get their share by the same formula."""
    rule = (
        "In __setup_per_zone_wmarks() of 6.1 Movable is a zone like any other: its pages are among lowmem_pages, "
        "and its min is its share."
    )
    for zone in ("Normal", "Movable"):
        message = yield from ask_marks(rng, "6.1", zone, rule)
        if message:
            return message
    return None


def normal_has_all_in_6_12(rng, mine):
    """In 6.12 the kernel's zones share everything among themselves."""
    rule = "In 6.12 the pages of Movable are not among lowmem_pages, so Normal's share is all of pages_min."
    return (yield from ask_marks(rng, "6.12", "Normal", rule))


def movable_is_apart_in_6_12(rng, mine):
    """In 6.12 Movable has a min of its own; the step is computed as before."""
    rule = (
        "In 6.12 min of Movable is managed / 1024, at least 32 and at most 128 (as for highmem). "
        "The step between the marks does not come from this min."
    )
    return (yield from ask_marks(rng, "6.12", "Movable", rule))


watermarks = Question(
    "watermarks",
    difficulty=3,
    pattern="compute",
    section="Explain",
    returns=dict[str, list[int]],
    tests={in_6_1_all_share: 2, normal_has_all_in_6_12: 1, movable_is_apart_in_6_12: 2},
    wrong=[
        Wrong(
            "one_formula_for_all_kernels",
            """def watermarks(release, min_free_kbytes, normal, movable):
    pages_min, marks = min_free_kbytes // 4, {}
    for name, managed in (("Normal", normal), ("Movable", movable)):
        share = pages_min * managed // (normal + movable)
        step = max(share // 4, managed * 10 // 10000)
        marks[name] = [share, share + step, share + 2 * step]
    return marks
""",
            score=2,
            message="are not among lowmem_pages",
        ),
        Wrong(
            "movable_was_always_apart",
            """def watermarks(release, min_free_kbytes, normal, movable):
    pages_min, marks = min_free_kbytes // 4, {}
    for name, managed in (("Normal", normal), ("Movable", movable)):
        share = pages_min * managed // normal
        low = share if name == "Normal" else max(32, min(128, managed // 1024))
        step = max(share // 4, managed * 10 // 10000)
        marks[name] = [low, low + step, low + 2 * step]
    return marks
""",
            score=3,
            message="a zone like any other",
        ),
        Wrong(
            "the_step_is_a_quarter_of_min",
            """def watermarks(release, min_free_kbytes, normal, movable):
    pages_min, marks = min_free_kbytes // 4, {}
    all_pages = normal + movable if release == "6.1" else normal
    for name, managed in (("Normal", normal), ("Movable", movable)):
        low = pages_min * managed // all_pages
        if release == "6.12" and name == "Movable":
            low = max(32, min(128, managed // 1024))
        step = max(low // 4, managed * 10 // 10000)
        marks[name] = [low, low + step, low + 2 * step]
    return marks
""",
            score=3,
            message="does not come from this min",
        ),
    ],
)

# ---- lists_after_online ----------------------------------------------------------------------------


def movable_lists(machine):
    """Return the movable lists of orders 9 and 10, the block that is taken next first."""
    area = machine.zone("Movable").free_area
    return {str(order): list(reversed(area[order][MigrateType.MOVABLE])) for order in (9, 10)}


def come_online(rng, *, odd_start, odd_end):
    """Return what was on the lists, the range that is given to the buddy allocator, and the lists then."""
    given = 2 * rng.randrange(2, 20) + odd_end
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}
    device |= {"device_block_pages": 512, "requested_pages": 512 * given}
    machine = Machine(memmap_on_memory=odd_start, devices=[] if odd_start else [device])
    if odd_start:
        machine.add_memory(START, BLOCK)
    machine.memmap_on_memory = False
    machine.add_memory(START + BLOCK, BLOCK)
    machine.online(33, "online_movable")
    held = machine.allocate(2 * rng.randrange(24, 30) + 1, order=9, block=33)
    machine.free([held.pop(rng.randrange(len(held))) for _ in range(rng.randrange(2, 6))], order=9)
    before = movable_lists(machine)
    machine.online(32, "online_movable")
    offered = [START + 512, BLOCK - 512] if odd_start else [START, 512 * given]
    return [before, *offered], movable_lists(machine)


def behind_the_others(rng, mine):
    """What was on the lists before is handed out first."""
    arguments, want = come_online(rng, odd_start=False, odd_end=False)
    answer = yield arguments
    before = arguments[0]["10"]
    if answer.get("10", [])[: len(before)] != before or sorted(answer["10"]) != sorted(want["10"]):
        return (
            "Memory that comes online goes to the tail of the lists (FPI_TO_TAIL), as blocks of order 10 where two pageblocks "
            "are buddies: what was there before is taken first."
        )
    return None


def in_ascending_order(rng, mine):
    """The new blocks stand in ascending order of their pfns."""
    arguments, want = come_online(rng, odd_start=False, odd_end=False)
    if (yield arguments).get("10") != want["10"]:
        return (
            "undo_isolate_page_range() goes through the pageblocks from low to high pfns, and puts each block "
            "behind the one before."
        )
    return None


def a_pageblock_alone(rng, mine):
    """A pageblock whose buddy is not free stays a block of order 9, also at the tail."""
    for odd in rng.sample([{"odd_start": True, "odd_end": False}, {"odd_start": False, "odd_end": True}], 2):
        arguments, want = come_online(rng, **odd)
        if (yield arguments) != want:
            return (
                f"The range has {arguments[2] // 512} pageblocks and starts at {arguments[1]:#x}, so one pageblock has a buddy "
                "that is not free. It stays a block of order 9; all others merge in pairs."
            )
    return None


lists_after_online = Question(
    "lists_after_online",
    difficulty=3,
    pattern="implement",
    section="Explain",
    returns=dict[str, list[int]],
    tests={behind_the_others: 1, in_ascending_order: 1, a_pageblock_alone: 2},
    wrong=[
        Wrong(
            "new_memory_is_put_at_the_head",
            """def lists_after_online(lists, start, nr_pages):
    heads, ends = list(lists["10"]), list(lists["9"])
    pfn = start
    while pfn < start + nr_pages:
        if pfn % 1024 == 0 and pfn + 1024 <= start + nr_pages:
            heads.insert(0, pfn)
            pfn += 1024
        else:
            ends.insert(0, pfn)
            pfn += 512
    return {"10": heads, "9": ends}
""",
            score=0,
            message="goes to the tail of the lists",
        ),
        Wrong(
            "the_last_block_comes_first",
            """def lists_after_online(lists, start, nr_pages):
    pairs = [p for p in range(-(-start // 1024) * 1024, start + nr_pages - 1023, 1024)]
    alone = [start] * (start % 1024 != 0) + [start + nr_pages - 512] * ((start + nr_pages) % 1024 != 0)
    return {"10": lists["10"] + pairs[::-1], "9": lists["9"] + alone}
""",
            score=1,
            message="from low to high pfns",
        ),
        Wrong(
            "pageblocks_do_not_merge",
            """def lists_after_online(lists, start, nr_pages):
    return {"10": lists["10"], "9": lists["9"] + list(range(start, start + nr_pages, 512))}
""",
            score=0,
            message="where two pageblocks are buddies",
        ),
        Wrong(
            "any_two_neighbours_make_a_block_of_order_10",
            """def lists_after_online(lists, start, nr_pages):
    pairs = list(range(start, start + nr_pages - 1023, 1024))
    alone = [start + nr_pages - 512] if nr_pages % 1024 else []
    return {"10": lists["10"] + pairs, "9": lists["9"] + alone}
""",
            score=2,
            message="one pageblock has a buddy",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "buddy", chapter=5, questions=[take_block, freed_blocks, after_fallback, watermarks, lists_after_online]
)
