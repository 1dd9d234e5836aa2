"""Grading of `one-block`, the exercises to chapter 1: a memory block comes online.

The model solutions stand in exercises/source/one-block/one-block.ipynb. Numbers here come from the simulator,
which the recordings of real kernels judge; the rules are those of online_pages(), mm/memory_hotplug.c.
"""

from functools import cache

from memsim import AFTER, BEFORE, Machine, Patch
from memsim.grading import Assignment, Question, Wrong

START, BLOCK, CHUNK = 0x100000, 32768, 1024

# ---- chunk_orders ----------------------------------------------------------------------------------


def every_page_once(rng, mine):
    """Every page of the range is in exactly one chunk."""
    for _ in range(4):
        first = BLOCK * rng.randrange(32, 4096)
        skipped = 512 * rng.choice([0, 1, 2, 3, 5])
        orders = yield [first + skipped, BLOCK - skipped]
        pages = sum(1 << order for order in orders if 0 <= order < 64)
        if pages != BLOCK - skipped:
            return (
                f"The chunks hold {pages:,} pages and the range has {BLOCK - skipped:,}. "
                "online_pages_range() goes on until it has passed the last page."
            )
    return None


def as_large_as_aligned(rng, mine):
    """Each chunk is as large as the alignment of its first page allows."""
    for skipped in rng.sample([512, 1024, 1536, 2048, 2560], 3):
        first = BLOCK * rng.randrange(32, 4096) + skipped
        orders = yield [first, BLOCK - skipped]
        pfn = first
        if not orders:
            return (
                "There is no chunk. online_pages_range() takes the largest that the first pfn is aligned to."
            )
        for order in orders:
            if not 0 <= order <= 10:
                return f"There is no chunk of order {order}: the largest block of the buddy has MAX_PAGE_ORDER, 10."
            if pfn % (1 << order):
                return f"A chunk of order {order} cannot start at pfn {pfn:#x}, which is not aligned to it."
            if order < 10 and pfn % (2 << order) == 0:
                return (
                    f"The chunk at pfn {pfn:#x} has order {order}, and the pfn allows a larger one. "
                    "online_pages_range() takes the largest that the pfn is aligned to."
                )
            pfn += 1 << order
    return None


chunk_orders = Question(
    "chunk_orders",
    difficulty=1,
    pattern="implement",
    section="Explain",
    returns=list[int],
    tests={every_page_once: 2, as_large_as_aligned: 2},
    wrong=[
        Wrong(
            "one_chunk",
            "def chunk_orders(start_pfn, nr_pages):\n    return [nr_pages.bit_length() - 1]\n",
            score=0,
            message="There is no chunk of order",
        ),
        Wrong(
            "chunks_are_pageblocks",
            "def chunk_orders(start_pfn, nr_pages):\n    return [9] * (nr_pages // 512)\n",
            score=2,
            message="the pfn allows a larger one",
        ),
        Wrong(
            "always_order_10",
            "def chunk_orders(start_pfn, nr_pages):\n    return [10] * (nr_pages // 1024)\n",
            score=0,
            message="which is not aligned to it",
        ),
    ],
)

# ---- trace_counters --------------------------------------------------------------------------------


@cache
def at_chunk(number):
    """Return what the simulator counts when generic_online_page() is entered for the number-th time."""
    machine = Machine(patch=BEFORE)
    machine.add_memory(START, BLOCK)
    tape = machine.record()
    tape.action("online")
    machine.online(32, "online_movable")
    state = tape.at(tape.find(0, f"enter:generic_online_page#{number}"))
    zone = state.zones[3]
    marked = sum(state.memmap.raw(pfn).reserved for pfn in range(START, START + BLOCK, CHUNK)) * CHUNK
    return {
        "marked": marked,
        "managed": zone.managed_pages,
        "present": zone.present_pages,
        "free": zone.nr_free_pages,
    }


def marks_go_chunk_by_chunk(rng, mine):
    """The marks of the chunks that were freed are gone, all others are still there."""
    answer = yield []
    if answer.get("marked") != at_chunk(mine["chunk"])["marked"]:
        return (
            f"The number of marked pages is wrong at call {mine['chunk']}. __free_pages_core() takes the mark off "
            "1,024 pages at each call, and this call has only been entered."
        )
    return None


def managed_grows_first(rng, mine):
    """Pages are managed as soon as their chunk is freed."""
    answer = yield []
    if answer.get("managed") != at_chunk(mine["chunk"])["managed"]:
        return "The number of managed pages is wrong: __free_pages_core() counts each chunk as it frees it."
    return None


def present_and_free_wait(rng, mine):
    """Present and free do not move before all chunks are done."""
    answer = yield []
    want = at_chunk(mine["chunk"])
    if answer.get("present") != want["present"]:
        return "Who counts pages as present? adjust_present_page_count(), once, for the block, after the last chunk."
    if answer.get("free") != want["free"]:
        return "The pageblocks are still isolated, and pages on the isolated free lists do not count as free."
    return None


trace_counters = Question(
    "trace_counters",
    difficulty=2,
    pattern="trace",
    section="Explain",
    returns=dict[str, int],
    variant={"chunk": range(2, 33)},
    tests={marks_go_chunk_by_chunk: 2, managed_grows_first: 1, present_and_free_wait: 2},
    wrong=[
        Wrong(
            "present_grows_with_the_chunks",
            "def trace_counters():\n"
            "    done = 1024 * (mine['chunk'] - 1)\n"
            "    return {'marked': 32768 - done, 'managed': done, 'present': done, 'free': 0}\n",
            score=3,
            message="adjust_present_page_count(), once",
        ),
        Wrong(
            "free_as_soon_as_on_a_list",
            "def trace_counters():\n"
            "    done = 1024 * (mine['chunk'] - 1)\n"
            "    return {'marked': 32768 - done, 'managed': done, 'present': 0, 'free': done}\n",
            score=3,
            message="still isolated",
        ),
        Wrong(
            "entered_means_done",
            "def trace_counters():\n"
            "    done = 1024 * mine['chunk']\n"
            "    return {'marked': 32768 - done, 'managed': done, 'present': 0, 'free': 0}\n",
            score=2,
            message="has only been entered",
        ),
    ],
)

# ---- page_story ------------------------------------------------------------------------------------

MOMENTS = [
    (0, "return:move_pfn_range_to_zone"),
    (0, "enter:undo_isolate_page_range"),
    (0, "return:online_pages"),
]


@cache
def memmaps_of(patched):
    """Return the memmap at each of the moments while the block comes online, from its addition on."""
    machine = Machine(patch=AFTER if patched else BEFORE)
    machine.add_memory(START, BLOCK)
    tape = machine.record()
    tape.action("online")
    machine.online(32, "online_movable")
    return [tape.at(tape.find(step, point)).copy().memmap for step, point in MOMENTS]


def story(patched, pfn):
    """Return the letters of a page: before onlining, and at each of the moments."""
    letters = "."
    for memmap in memmaps_of(patched):
        page = memmap.raw(pfn)
        letters += "R" if page.reserved else "O" if page.offline else "B" if page.buddy else "-"
    return letters


def added_means_nothing(rng, mine):
    """The struct page of memory that was only added holds nothing that means anything."""
    for patched in (True, False):
        letters = yield [patched, START + rng.randrange(BLOCK)]
        if letters[:1] != ".":
            return "The memory is added and not online: nobody has initialised its struct pages, so they say nothing."
    return None


def the_mark_of_this_kernel(rng, mine):
    """From memmap_init_range() on, the page has the mark of its kernel."""
    for patched in (False, True):
        pfn = START + rng.randrange(BLOCK)
        letters = yield [patched, pfn]
        if letters[1:2] != story(patched, pfn)[1]:
            return (
                f"Page {pfn:#x} has the wrong mark {'after' if patched else 'before'} the patch. "
                "Which of the two marks does memmap_init_range() give to memory that is not ZONE_DEVICE?"
            )
    return None


def only_heads_are_buddy(rng, mine):
    """Once freed, the first page of each chunk is Buddy and all others have no mark."""
    head = START + CHUNK * rng.randrange(32)
    for pfn in (head, head + rng.randrange(1, 512), head + rng.randrange(513, 1024)):
        for patched in (True, False):
            letters = yield [patched, pfn]
            if letters[2:] != story(patched, pfn)[2:]:
                return (
                    f"Page {pfn:#x} is wrong once its chunk was freed. The head of a free block has the type Buddy, "
                    "and speaks for all its pages: they have no mark at all."
                )
    return None


page_story = Question(
    "page_story",
    difficulty=2,
    pattern="predict",
    section="Explain",
    returns=str,
    different=3,
    tests={added_means_nothing: 1, the_mark_of_this_kernel: 1, only_heads_are_buddy: 2},
    wrong=[
        Wrong(
            "adding_sets_the_mark",
            "def page_story(patched, pfn):\n"
            "    mark = 'O' if patched else 'R'\n"
            "    last = 'B' if pfn % 1024 == 0 else '-'\n"
            "    return mark + mark + last + last\n",
            score=3,
            message="added and not online",
        ),
        Wrong(
            "every_free_page_is_buddy",
            "def page_story(patched, pfn):\n    return '.OBB' if patched else '.RBB'\n",
            score=0,  # it does not look at the pfn
            message="speaks for all its pages",
        ),
        Wrong(
            "the_patch_removes_the_mark",
            "def page_story(patched, pfn):\n"
            "    last = 'B' if pfn % 1024 == 0 else '-'\n"
            "    return '.' + ('-' if patched else 'R') + last + last\n",
            score=3,
            message="wrong mark after the patch",
        ),
    ],
)

# ---- half_patch ------------------------------------------------------------------------------------


@cache
def onlined(hunks, check_pages):
    """Return [managed, free] of zone Movable on a kernel that has only these hunks."""
    machine = Machine(patch=Patch.parse(",".join(hunks)) if hunks else BEFORE, check_pages=check_pages)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    zone = machine.zone("Movable")
    return [zone.managed_pages, zone.nr_free_pages]


WELL = "The mark that memmap_init_range() sets is the one that __free_pages_core() takes off: all is well."
UNCHECKED = "Without page checks nothing looks at the pages that are freed here, so they become free."
WHOLE = ["MM_INIT", "PAGE_ALLOC"]


def whole_patches_lose_nothing(rng, mine):
    """With both halves of the patch, or with none, no page is lost."""
    for hunks in ([], WHOLE):
        for check_pages in (False, True):
            answer = yield [hunks, check_pages]
            if answer != onlined(tuple(hunks), check_pages):
                return WELL
    return None


def nobody_checks(rng, mine):
    """A kernel without checks does not notice half a patch."""
    for hunks in (["MM_INIT"], ["PAGE_ALLOC"]):
        answer = yield [hunks, False]
        if answer != onlined(tuple(hunks), False):
            return UNCHECKED
        if (yield [hunks, True]) == answer:  # else one answer would be right here
            return "A kernel with checks does notice it: half a patch is not the same for both."
    if (yield [WHOLE, True]) != onlined(tuple(WHOLE), True):
        return WELL
    return None


def checks_refuse_the_pages(rng, mine):
    """A kernel with checks refuses pages with a mark that should not be there, after it has counted them."""
    for hunks in (["PAGE_ALLOC"], ["MM_INIT"]):
        answer = yield [hunks, True]
        if answer != onlined(tuple(hunks), True):
            return (
                f"With only {hunks[0]}, the pages still have a mark when they are freed: who looks, "
                "and what had been counted by then? __free_pages_core() counts them as managed first."
            )
    # Neither checks alone nor half a patch alone loses pages.
    for hunks, check_pages, rule in (
        ([], True, WELL),
        (WHOLE, True, WELL),
        (["PAGE_ALLOC"], False, UNCHECKED),
    ):
        if (yield [hunks, check_pages]) != onlined(tuple(hunks), check_pages):
            return rule
    return None


half_patch = Question(
    "half_patch",
    difficulty=3,
    pattern="who breaks",
    section="Half of the patch",
    returns=list[int],
    tests={whole_patches_lose_nothing: 1, nobody_checks: 2, checks_refuse_the_pages: 3},
    wrong=[
        Wrong(
            "the_type_is_overwritten_so_nothing_happens",
            "def half_patch(hunks, check_pages):\n    return [32768, 32768]\n",
            score=0,  # the same answer to every call
            message="who looks",
        ),
        Wrong(
            "refused_pages_are_not_managed",
            "def half_patch(hunks, check_pages):\n"
            "    lost = len(hunks) == 1 and check_pages\n"
            "    return [0, 0] if lost else [32768, 32768]\n",
            score=3,
            message="counts them as managed first",
        ),
        Wrong(
            "the_block_stays_isolated_without_checks_too",
            "def half_patch(hunks, check_pages):\n"
            "    return [32768, 0] if len(hunks) == 1 else [32768, 32768]\n",
            score=1,
            message="Without page checks",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "one-block", chapter=1, questions=[chunk_orders, trace_counters, page_story, half_patch]
)
