"""Grading of `boot`, the exercises to chapter 4: from memblock's lists to a working buddy allocator.

Numbers come from the simulator's boot, recorded since power-on; the rules are those of mm/memblock.c,
mm/mm_init.c and mm/page_alloc.c, 6.12. What chunks must be like is checked as a property.
"""

from functools import cache

import numpy as np

from memsim import Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY, MEMINIT_HOTPLUG, __free_pages_core

BOOT = 0  # a tape of nothing but boot has one step

# ---- free_chunks -----------------------------------------------------------------------------------


def a_gap(rng):
    """Return a gap between reserved ranges: its first pfn, and the pfn after its last."""
    start = rng.randrange(1, 1 << 15)
    return start, start + rng.randrange(50, 6000)


def every_page_once(rng, mine):
    """The chunks hold every page of the gap once, and no page of the reserved range behind it."""
    for _ in range(4):
        start, end = a_gap(rng)
        pfn = start
        for chunk in (yield [start, end]):
            if len(chunk) != 2 or not 0 <= chunk[1] <= 10:
                return "A chunk is a list of its first pfn and its order, which is 0 to MAX_PAGE_ORDER, 10."
            if chunk[0] != pfn:
                return f"The next chunk should start at pfn {pfn:#x}, where the one before it ended."
            pfn += 1 << chunk[1]
        if pfn != end:
            return (
                f"The gap ends at {end:#x}, the chunks end at {pfn:#x}. What lies behind the gap is reserved: "
                "__free_pages_memory() makes a chunk smaller until it fits."
            )
    return None


def every_chunk_aligned(rng, mine):
    """A chunk of order n starts at a multiple of 2ⁿ."""
    for _ in range(3):
        start, end = a_gap(rng)
        chunks = yield [start, end]
        if not chunks:
            return "There is no chunk, and the gap has pages."
        if chunks[0][:1] != [start]:
            return f"The first chunk should start at pfn {start:#x}, where the gap does."
        for chunk in chunks:
            if len(chunk) != 2 or not 0 <= chunk[1] <= 10:
                return "A chunk is a list of its first pfn and its order, which is 0 to MAX_PAGE_ORDER, 10."
            if chunk[0] % (1 << chunk[1]):
                return f"A block of order {chunk[1]} cannot start at pfn {chunk[0]:#x}: it is no multiple of 2^{chunk[1]}."
    return None


def as_large_as_possible(rng, mine):
    """A chunk is as large as its first pfn and the end of the gap allow."""
    for start, end in (a_gap(rng), a_gap(rng), (0, rng.randrange(1025, 5000))):
        chunks = yield [start, end]
        if not chunks:
            return "There is no chunk, and the gap has pages."
        for chunk in chunks:
            if len(chunk) != 2 or not 0 <= chunk[1] <= 10:
                return "A chunk is a list of its first pfn and its order, which is 0 to MAX_PAGE_ORDER, 10."
            pfn, order = chunk
            twice = 2 << order
            if pfn + (1 << order) > end:
                return f"The chunk at pfn {pfn:#x} of order {order} reaches behind the end of the gap."
            if order < 10 and pfn % twice == 0 and pfn + twice <= end:
                return (
                    f"The chunk at pfn {pfn:#x} could have an order more than {order}. __free_pages_memory() "
                    "takes the largest that the pfn is aligned to and that fits (and pfn 0 is aligned to all)."
                )
    return None


free_chunks = Question(
    "free_chunks",
    difficulty=2,
    pattern="implement",
    section="Explain",
    returns=list[list[int]],
    tests={every_page_once: 2, every_chunk_aligned: 1, as_large_as_possible: 2},
    wrong=[
        Wrong(
            "as_in_online_pages_range_which_never_looks_at_the_end",
            """def free_chunks(start, end):
    chunks, pfn = [], start
    while pfn < end:
        order = min(10, (pfn & -pfn).bit_length() - 1) if pfn else 10
        chunks.append([pfn, order])
        pfn += 1 << order
    return chunks
""",
            score=1,
            message="makes a chunk smaller until it fits",
        ),
        Wrong(
            "only_the_size_counts",
            """def free_chunks(start, end):
    chunks, pfn = [], start
    while pfn < end:
        order = min(10, (end - pfn).bit_length() - 1)
        chunks.append([pfn, order])
        pfn += 1 << order
    return chunks
""",
            score=4,
            message="it is no multiple of",
        ),
        Wrong(
            "one_page_after_the_other",
            "def free_chunks(start, end):\n    return [[pfn, 0] for pfn in range(start, end)]\n",
            score=3,
            message="could have an order more",
        ),
    ],
)

# ---- counted_at_chunk ------------------------------------------------------------------------------

RAM, MEMMAP = (0x100, 0x7F00), (0x7E00, 0x200)
CHOICES = {"image": [0x700, 0xA40, 0x1480, 0x1FE0], "call": range(7, 15)}


@cache
def at_call(image, call):
    """Return what is reserved and counted when __free_pages_core() is entered for the call-th time."""
    tape = Machine(ram=[RAM], reserved=[(0x1000, image), MEMMAP], record=True).tape
    state = tape.at(tape.find(BOOT, f"enter:__free_pages_core#{call}"))
    reserved = 0
    for section, at in state.memmap.spans(*RAM):
        reserved += int((section.pages.flags[at] & np.uint32(PageFlag.RESERVED) != 0).sum())
    return {
        "reserved": reserved,
        "managed": sum(zone.managed_pages for zone in state.zones),
        "free": sum(zone.nr_free_pages for zone in state.zones),
        "MemTotal": state.totalram_pages,
    }


def only_the_list_is_reserved(rng, mine):
    """PG_reserved is on the pages of the reserved list, before and after others are freed."""
    if (yield []).get("reserved") != at_call(**mine)["reserved"]:
        return (
            "The number of reserved pages is wrong. Pages of RAM are born without a mark at boot; "
            "reserve_bootmem_region() marks what stands in the reserved list, and nothing of that is freed here."
        )
    return None


def managed_and_free_by_chunks(rng, mine):
    """Managed and free grow with each chunk."""
    answer, want = (yield []), at_call(**mine)
    if answer.get("managed") != want["managed"]:
        return (
            f"Managed is wrong at call {mine['call']}. List the chunks of both gaps, each as large as its first pfn allows; "
            "this call has only been entered."
        )
    if answer.get("free") != want["free"]:
        return "At boot no pageblock is isolated: what is freed is free at once."
    return None


def memtotal_comes_last(rng, mine):
    """MemTotal is added when all is freed."""
    if (yield []).get("MemTotal") != at_call(**mine)["MemTotal"]:
        return "MemTotal is wrong: at boot memblock_free_all() adds it, once, after the last chunk."
    return None


counted_at_chunk = Question(
    "counted_at_chunk",
    difficulty=2,
    pattern="trace",
    section="Explain",
    returns=dict[str, int],
    variant=CHOICES,
    tests={only_the_list_is_reserved: 1, managed_and_free_by_chunks: 2, memtotal_comes_last: 1},
    wrong=[
        Wrong(
            "memtotal_grows_with_managed",
            """def counted_at_chunk():
    chunks = free_chunks(0x100, 0x1000) + free_chunks(0x1000 + mine["image"], 0x7E00)
    freed = sum(1 << order for _, order in chunks[: mine["call"] - 1])
    return {"reserved": mine["image"] + 512, "managed": freed, "free": freed, "MemTotal": freed}
""",
            score=3,
            message="once, after the last chunk",
        ),
        Wrong(
            "all_pages_are_born_reserved",
            """def counted_at_chunk():
    chunks = free_chunks(0x100, 0x1000) + free_chunks(0x1000 + mine["image"], 0x7E00)
    freed = sum(1 << order for _, order in chunks[: mine["call"] - 1])
    return {"reserved": 0x7F00 - freed, "managed": freed, "free": freed, "MemTotal": 0}
""",
            score=3,
            message="born without a mark at boot",
        ),
        Wrong(
            "entered_means_done",
            """def counted_at_chunk():
    chunks = free_chunks(0x100, 0x1000) + free_chunks(0x1000 + mine["image"], 0x7E00)
    freed = sum(1 << order for _, order in chunks[: mine["call"]])
    return {"reserved": mine["image"] + 512, "managed": freed, "free": freed, "MemTotal": 0}
""",
            score=2,
            message="has only been entered",
        ),
    ],
)

# ---- boot_story ------------------------------------------------------------------------------------


def a_machine(rng):
    """Return memblock's lists of a small machine whose RAM has a hole and ends inside a section."""
    end = rng.choice([0x6000, 0xA000, 0xE000]) + rng.randrange(1, 0x1000)
    ram = [[0, 0x9F], [0x100, end - 0x100]]
    image = [0x1000, rng.randrange(0x400, 0x1800)]
    return ram, [[0, 0x9F], image, [end - 0x600, rng.randrange(0x100, 0x500)]]


def lived(ram, reserved, pfns):
    """Return the letters of some pages at the three moments."""
    machine = Machine(ram=map(tuple, ram), reserved=map(tuple, reserved), record=True)
    tape = machine.tape
    points = ("enter:memblock_free_all", "enter:__free_pages_core#1")
    letters = dict.fromkeys(pfns, "")
    for point in (*points, None):
        state = tape.at(tape.find(BOOT, point)) if point else machine.kernel.state
        for pfn in letters:
            letters[pfn] += letter(state.memmap, pfn)
    return letters


def letter(memmap, pfn):
    """Return the letter of a page."""
    if not memmap.pfn_valid(pfn):
        return "."
    page = memmap.raw(pfn)
    return "R" if page.reserved else "F" if page.refcount == 0 else "-"


def tell_stories(rng, choose, rule):
    """Put the question for some pages of a machine, and compare."""
    ram, reserved = a_machine(rng)
    pfns = [choose(ram, reserved) for _ in range(4)]
    wanted = lived(ram, reserved, pfns)
    for pfn in pfns:
        if (yield [ram, reserved, pfn]) != wanted[pfn]:
            return f"Page {pfn:#x} is wrong. {rule}"
    return None


def free_ram(rng, mine):
    """RAM that is not reserved has no mark until it is freed."""

    def choose(ram, reserved):
        return rng.randrange(sum(reserved[1]), reserved[2][0])

    rule = (
        "It is RAM, and nobody has reserved it. At boot memmap_init_range() gives a page refcount 1 and no mark, "
        "and then it is freed."
    )
    return (yield from tell_stories(rng, choose, rule))


def reserved_ram(rng, mine):
    """RAM that is reserved gets its mark from memblock_free_all(), and keeps it."""

    def choose(ram, reserved):
        start, size = rng.choice(reserved)
        return start + rng.randrange(size)

    rule = (
        "It is in memblock's reserved list. Its struct page is initialised like all others; "
        "reserve_bootmem_region() marks it later, and nobody frees it."
    )
    return (yield from tell_stories(rng, choose, rule))


def holes(rng, mine):
    """A frame without memory, in a section with some, has a struct page that is reserved at once."""

    def choose(ram, reserved):
        end = sum(ram[1])
        return rng.choice([rng.randrange(0x9F, 0x100), rng.randrange(end, -(-end // 32768) * 32768)])

    rule = (
        "There is no memory, but its section exists, so it has a struct page: init_unavailable_range() makes it "
        "PG_reserved as it initialises it."
    )
    return (yield from tell_stories(rng, choose, rule))


def no_section(rng, mine):
    """Where no section is, there is no struct page."""

    def choose(ram, reserved):
        return -(-sum(ram[1]) // 32768) * 32768 + rng.randrange(100000)

    rule = "Its whole section has no memory, and so no struct pages."
    return (yield from tell_stories(rng, choose, rule))


boot_story = Question(
    "boot_story",
    difficulty=2,
    pattern="predict",
    section="Explain",
    returns=str,
    different=3,
    tests={free_ram: 1, reserved_ram: 1, holes: 1, no_section: 1},
    wrong=[
        Wrong(
            "all_pages_are_born_reserved",
            """def boot_story(ram, reserved, pfn):
    if pfn // 32768 > sum(ram[-1]) // 32768:
        return "..."
    return "RRF" if inside(ram, pfn) and not inside(reserved, pfn) else "RRR"
""",
            score=2,
            message="gives a page refcount 1 and no mark",
        ),
        Wrong(
            "holes_have_no_struct_page",
            """def boot_story(ram, reserved, pfn):
    if not inside(ram, pfn):
        return "..."
    return "-RR" if inside(reserved, pfn) else "--F"
""",
            score=3,
            message="its section exists, so it has a struct page",
        ),
        Wrong(
            "the_struct_pages_go_on_for_ever",
            """def boot_story(ram, reserved, pfn):
    if not inside(ram, pfn):
        return "RRR"
    return "-RR" if inside(reserved, pfn) else "--F"
""",
            score=3,
            message="so no struct pages",
        ),
    ],
)

# ---- boot_order ------------------------------------------------------------------------------------

NOTE, SIZE, INIT, HOLES, RESERVE, FREE, TOTAL = 3, 9, 6, 8, 0, 5, 2
NAMES = {
    NOTE: "memblock's lists",
    SIZE: "free_area_init()",
    INIT: "memmap_init_range()",
    HOLES: "init_unavailable_range()",
    RESERVE: "reserve_bootmem_region()",
    FREE: "__free_pages_core()",
    TOTAL: "totalram_pages_add()",
}


def steps_of(answer, mine):
    """Return the steps behind the student's numbers, by their place in the list of the notebook."""
    places = {(mine["factor"] * step + mine["shift"]) % 10: step for step in range(10)}
    return [places.get(number, -1) for number in answer]


def wrong_pair(steps, pairs, rule):
    """Return a message if of one pair the second does not come after the first."""
    for first, second in pairs:
        if first not in steps or second not in steps:
            missing = first if first not in steps else second
            return f"The step of {NAMES[missing]} at boot is missing."
        if steps.index(first) > steps.index(second):
            return f"{NAMES[second]} comes before {NAMES[first]}. {rule}"
    return None


def only_what_happens_at_boot(rng, mine):
    """The seven steps are those of boot, each once."""
    steps = steps_of((yield []), mine)
    if set(steps) - set(NAMES):
        return (
            "A step is there that does not happen at boot. No page is Offline then, and MemTotal does not move "
            "with the chunks: that is what hotplug does, MEMINIT_HOTPLUG."
        )
    if sorted(steps) != sorted(NAMES):
        return "Seven of the ten steps happen at boot, each once."
    return None


def lists_come_first(rng, mine):
    """Zones are sized from memblock's list, and struct pages are initialised for them."""
    rule = "What a zone spans is computed from memblock's list, and a struct page says in which zone it is."
    return wrong_pair(steps_of((yield []), mine), [(NOTE, SIZE), (SIZE, INIT)], rule)


def initialised_before_marked(rng, mine):
    """A mark is set after the struct page was initialised, and before anything is freed."""
    steps = steps_of((yield []), mine)
    return wrong_pair(
        steps,
        [(INIT, RESERVE), (HOLES, RESERVE)],
        "Struct pages are initialised first, those of the holes too: initialising writes all of a struct page, "
        "and a mark that was there would be gone.",
    ) or wrong_pair(
        steps,
        [(RESERVE, FREE)],
        "memblock_free_all() marks what is reserved, and then frees the rest: when a page can be handed out, "
        "all that must not be touched says so.",
    )


def counted_at_the_end(rng, mine):
    """MemTotal is added once, when all is freed."""
    rule = "memblock_free_all() knows how many pages there are when all are freed, and adds them once."
    return wrong_pair(steps_of((yield []), mine), [(FREE, TOTAL)], rule)


boot_order = Question(
    "boot_order",
    difficulty=2,
    pattern="parsons",
    section="Explain",
    returns=list[int],
    variant={"factor": [1, 3, 7, 9], "shift": range(10)},
    tests={
        only_what_happens_at_boot: 1,
        lists_come_first: 1,
        initialised_before_marked: 1,
        counted_at_the_end: 1,
    },
    wrong=[
        Wrong(
            "memtotal_moves_with_the_chunks",
            "def boot_order():\n    return [numbers[step] for step in (3, 9, 6, 8, 0, 5, 7)]\n",
            score=2,
            message="does not move with the chunks",
        ),
        Wrong(
            "pages_are_born_offline_at_boot_too",
            "def boot_order():\n    return [numbers[step] for step in (3, 9, 1, 8, 0, 4, 5, 2)]\n",
            score=1,
            message="No page is Offline then",
        ),
        Wrong(
            "reserved_pages_are_marked_first",
            "def boot_order():\n    return [numbers[step] for step in (3, 9, 0, 6, 8, 5, 2)]\n",
            score=3,
            message="a mark that was there would be gone",
        ),
        Wrong(
            "what_is_left_over_is_reserved",
            "def boot_order():\n    return [numbers[step] for step in (3, 9, 6, 8, 5, 0, 2)]\n",
            score=3,
            message="marks what is reserved, and then frees the rest",
        ),
    ],
)

# ---- freed_late ------------------------------------------------------------------------------------

AT = 0x5000


@cache
def late(context, pages, check_pages):
    """Let memblock_free_late() say this context, and return what it changes."""
    machine = Machine(ram=[(0x100, 0x7F00)], reserved=[(AT, pages)], check_pages=check_pages)
    kernel, zone = machine.kernel, machine.zone("DMA32")
    before = zone.managed_pages, machine.totalram_pages, zone.nr_free_pages
    for pfn in range(AT, AT + pages):
        __free_pages_core(kernel, pfn, 0, context)
        kernel.state.totalram_pages_add(1)
    after = zone.managed_pages, machine.totalram_pages, zone.nr_free_pages
    changes = [new - old for old, new in zip(before, after, strict=True)]
    reserved = sum(machine.page(pfn).reserved for pfn in range(AT, AT + pages))
    return dict(zip(("managed", "MemTotal", "free", "reserved"), [*changes, reserved], strict=True))


def a_number(rng):
    """Return a number of pages out of a few, so that the simulator is asked once for each."""
    return rng.choice([3, 8, 20, 37, 50])


def the_right_context(rng, mine):
    """With MEMINIT_EARLY, the pages are given back and counted once."""
    for check_pages in (True, False):
        pages = a_number(rng)
        if (yield [MEMINIT_EARLY, pages, check_pages]) != late(MEMINIT_EARLY, pages, check_pages):
            return (
                "MEMINIT_EARLY is the context of boot memory: PG_reserved is taken off, managed grows in "
                "__free_pages_core() and MemTotal in memblock_free_late()."
            )
    return None


def counted_twice(rng, mine):
    """With MEMINIT_HOTPLUG, both functions add to MemTotal."""
    for check_pages in (True, False):
        pages = a_number(rng)
        answer, want = (
            (yield [MEMINIT_HOTPLUG, pages, check_pages]),
            late(MEMINIT_HOTPLUG, pages, check_pages),
        )
        if any(answer.get(key) != want[key] for key in ("managed", "MemTotal")):
            return (
                "Managed or MemTotal is wrong. In the context of hotplug __free_pages_core() calls "
                "adjust_managed_page_count(), which moves both, before the page is freed. And its caller?"
            )
    return None


def a_checking_kernel_leaks(rng, mine):
    """With MEMINIT_HOTPLUG and checks, the pages are refused with their mark on."""
    pages = a_number(rng)
    answer, want = (yield [MEMINIT_HOTPLUG, pages, True]), late(MEMINIT_HOTPLUG, pages, True)
    if any(answer.get(key) != want[key] for key in ("free", "reserved")):
        return (
            "MEMINIT_HOTPLUG, with page checks: which mark is taken off in this context, and which one do the pages have? "
            "free_pages_prepare() refuses a page with a flag of PAGE_FLAGS_CHECK_AT_FREE."
        )
    return None


def a_kernel_without_checks_cleans(rng, mine):
    """With MEMINIT_HOTPLUG and no checks, the pages are freed all the same."""
    pages = a_number(rng)
    answer, want = (yield [MEMINIT_HOTPLUG, pages, False]), late(MEMINIT_HOTPLUG, pages, False)
    if any(answer.get(key) != want[key] for key in ("free", "reserved")):
        return (
            "MEMINIT_HOTPLUG, without page checks: nothing looks at the flags of a page that is freed, "
            "and free_pages_prepare() clears them."
        )
    return None


freed_late = Question(
    "freed_late",
    difficulty=4,
    pattern="who breaks",
    section="One function, two callers",
    returns=dict[str, int],
    tests={
        the_right_context: 1,
        counted_twice: 2,
        a_checking_kernel_leaks: 2,
        a_kernel_without_checks_cleans: 1,
    },
    wrong=[
        Wrong(
            "the_context_only_chooses_the_mark",
            """def freed_late(context, pages, check_pages):
    lost = context == "MEMINIT_HOTPLUG" and check_pages
    free = 0 if lost else pages
    return {"managed": pages, "MemTotal": pages, "free": free, "reserved": pages - free}
""",
            score=4,
            message="And its caller?",
        ),
        Wrong(
            "the_mark_goes_anyway",
            """def freed_late(context, pages, check_pages):
    total = pages * (2 if context == "MEMINIT_HOTPLUG" else 1)
    return {"managed": pages, "MemTotal": total, "free": pages, "reserved": 0}
""",
            score=4,
            message="refuses a page with a flag",
        ),
        Wrong(
            "a_page_that_is_refused_is_not_counted",
            """def freed_late(context, pages, check_pages):
    hotplug = context == "MEMINIT_HOTPLUG"
    if hotplug and check_pages:
        return {"managed": 0, "MemTotal": pages, "free": 0, "reserved": pages}
    return {"managed": pages, "MemTotal": pages * (1 + hotplug), "free": pages, "reserved": 0}
""",
            score=4,
            message="before the page is freed",
        ),
        Wrong(
            "the_mark_stays_on_every_kernel",
            """def freed_late(context, pages, check_pages):
    hotplug = context == "MEMINIT_HOTPLUG"
    free = 0 if hotplug else pages
    return {"managed": pages, "MemTotal": pages * (1 + hotplug), "free": free, "reserved": pages - free}
""",
            score=5,
            message="nothing looks at the flags",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "boot", chapter=4, questions=[free_chunks, counted_at_chunk, boot_story, boot_order, freed_late]
)
