"""Grading of `memmap-on-memory`, the exercises to chapter 12: memory that holds its own map.

The model solutions stand in exercises/source/memmap-on-memory/memmap-on-memory.ipynb. Everything that is expected comes from
the simulator: its machines, its tapes, and its models of the readers of the memmap.
"""

from contextlib import suppress
from functools import cache

from memsim import AFTER, BEFORE, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag
from memsim.walkers import WALKERS

START, SECTION = 0x100000, 32768
KERNELS = {"before": BEFORE, "after": AFTER, "without the hunk": Patch.without({Hunk.MEMORY_HOTPLUG})}

# ---- sizes -----------------------------------------------------------------------------------------


@cache
def sizes_of(sections):
    """Return the sizes of a block of so many sections that holds its own struct pages."""
    pages = sections * SECTION
    machine = Machine(ram=[(0, 16 * SECTION)], block_pages=pages, memmap_on_memory=True)
    machine.add_memory(2 * START, pages)
    tape = machine.record()
    machine.online(2 * START // pages, "online_movable")
    zone = machine.zone("Movable")
    chunks = [event.args for _, event in tape.points() if event.point.startswith("enter:generic_online_page")]
    return {
        "map": chunks[0][0] - 2 * START,
        "present": zone.present_pages,
        "managed": zone.managed_pages,
        "chunks": len(chunks),
        "first_order": chunks[0][1],
    }


def judged_sizes(rng, keys, rule):
    """Compare these keys for blocks of all sizes."""
    for sections in rng.sample([1, 2, 4, 8, 16], 5):
        told = yield [sections * SECTION]
        wrong = [key for key in keys if told.get(key) != sizes_of(sections)[key]]
        if wrong:
            return f"{wrong[0]} is wrong for a block of {sections * SECTION} pages. {rule}"
    return None


def the_map_itself(rng, mine):
    """A struct page has 64 bytes."""
    return (
        yield from judged_sizes(
            rng,
            ["map"],
            "64 bytes for each page of the block, its own map included, in pages of 4,096 bytes.",
        )
    )


def what_counts(rng, mine):
    """The map is present, and not managed."""
    rule = "memory_block_online() counts the map as present when all has gone well. The buddy never gets it, so it is not managed."
    return (yield from judged_sizes(rng, ["present", "managed"], rule))


def how_it_is_chunked(rng, mine):
    """The chunks begin behind the map."""
    rule = "online_pages() gets what lies behind the map; each chunk is as large as the alignment of its first page allows, up to order 10."
    return (yield from judged_sizes(rng, ["chunks", "first_order"], rule))


sizes = Question(
    "sizes",
    difficulty=1,
    pattern="compute",
    section="A life of a self-hosted page",
    returns=dict[str, int],
    tests={the_map_itself: 1, what_counts: 2, how_it_is_chunked: 2},
    wrong=[
        Wrong(
            "the_map_is_not_present",
            "def sizes(block_pages):\n"
            "    data = block_pages - block_pages // 64\n"
            "    small = block_pages == 32768\n"
            "    return {'map': block_pages // 64, 'present': data, 'managed': data,\n"
            "            'chunks': data // 1024 + small, 'first_order': 10 - small}\n",
            score=3,
            message="counts the map as present",
        ),
        Wrong(
            "chunks_begin_at_the_block",
            "def sizes(block_pages):\n"
            "    return {'map': block_pages // 64, 'present': block_pages, 'managed': block_pages - block_pages // 64,\n"
            "            'chunks': block_pages // 1024, 'first_order': 10}\n",
            score=3,
            message="what lies behind the map",
        ),
        Wrong(
            "the_map_does_not_describe_itself",
            "def sizes(block_pages):\n"
            "    data = block_pages * 64 // 65\n"
            "    return {'map': block_pages - data, 'present': block_pages, 'managed': data,\n"
            "            'chunks': data // 1024, 'first_order': 10}\n",
            score=0,
            message="its own map included",
        ),
    ],
)

# ---- map_story -------------------------------------------------------------------------------------

MOMENTS = [
    (0, "return:move_pfn_range_to_zone"),
    (0, "return:mhp_init_memmap_on_memory"),
    (0, "notifier:MEM_ONLINE"),
    (0, "return:memory_block_online"),
    (1, "notifier:MEM_GOING_OFFLINE"),
    (1, "return:memory_block_offline"),
]


@cache
def tape_of(patched, veto):
    """Return the tape of a block that comes online and is taken offline, or not because of a veto."""
    machine = Machine(patch=AFTER if patched else BEFORE, memmap_on_memory=True)
    machine.add_memory(START, SECTION)
    if veto:
        machine.register_memory_notifier(
            lambda action, *_: NOTIFY_BAD if action == "MEM_GOING_OFFLINE" else None
        )
    tape = machine.record()
    tape.action("online")
    machine.online(32, "online_movable")
    tape.action("offline")
    with suppress(KernelError):
        machine.offline(32)
    return tape


@cache
def story(patched, veto):
    """Return marks of the first page and present pages at each moment; no marks where they mean nothing."""
    tape, marks, present = tape_of(patched, veto), [], []
    for step, point in MOMENTS:
        state = tape.at(tape.find(step, point))
        page = state.memmap.raw(START)
        self_hosted = bool(page.flags & PageFlag.VMEMMAP_SELF_HOSTED)
        letters = "R" * page.reserved + "O" * page.offline + "S" * self_hosted
        gone = step == 1 and point.startswith("return") and not veto
        marks.append("." if gone else letters or "-")
        present.append(state.zones[3].present_pages)
    return {"marks": marks, "present": present}


def compared(rng, key, moments, rule):
    """Compare some moments of all four stories."""
    for patched, veto in rng.sample([(False, False), (False, True), (True, False), (True, True)], 4):
        told = (yield [patched, veto]).get(key)
        want = story(patched, veto)[key]
        if type(told) is not list or len(told) != len(want):
            return f"{key} is a list with one entry for each of the six moments."
        wrong = [at for at in moments if told[at] != want[at]]
        if wrong:
            when = "after" if patched else "before"
            return f"{key} is wrong at moment {wrong[0] + 1}, {when} the patch, {'with' if veto else 'without'} a veto. {rule}"
    return None


def born_as_all_others(rng, mine):
    """These pages are born with the mark of their kernel, and one hunk takes it off."""
    rule = "move_pfn_range_to_zone() initialises these pages like all hotplugged ones. What does mhp_init_memmap_on_memory() add, and what take off?"
    return (yield from compared(rng, "marks", [0, 1, 2, 3], rule))


def marks_on_the_way_back(rng, mine):
    """Offlining does not touch the marks of the map while the block is online."""
    rule = "The map is not in the range that is isolated. Once the block is offline, no struct page of it means anything."
    return (yield from compared(rng, "marks", [4, 5], rule))


def present_in_two_parts(rng, mine):
    """The map is added to present last, and subtracted first."""
    rule = (
        "memory_block_online() counts the map as present after online_pages() has counted the rest; memory_block_offline() takes it off "
        "before it calls offline_pages(), and adds it again if that fails."
    )
    return (yield from compared(rng, "present", range(6), rule))


STORY = (
    "def map_story(patched, veto):\n"
    "    mark = 'S' if patched else 'RS'\n"
    "    marks = ['O' if patched else 'R', mark, mark, mark, mark, mark if veto else '.']\n"
)
map_story = Question(
    "map_story",
    difficulty=3,
    pattern="trace",
    section="A life of a self-hosted page",
    returns=dict[str, list[str] | list[int]],
    different=3,
    tests={born_as_all_others: 2, marks_on_the_way_back: 1, present_in_two_parts: 3},
    wrong=[
        Wrong(
            "self_hosted_pages_stay_offline",
            STORY + "    marks = [m.replace('S', 'OS') for m in marks] if patched else marks\n"
            "    return {'marks': marks, 'present': [0, 0, 32256, 32768, 32256, 32768 if veto else 0]}\n",
            score=3,
            message="and what take off",
        ),
        Wrong(
            "present_is_all_or_nothing",
            STORY
            + "    return {'marks': marks, 'present': [0, 0, 32768, 32768, 32768, 32768 if veto else 0]}\n",
            score=3,
            message="before it calls offline_pages()",
        ),
        Wrong(
            "they_are_never_born",
            STORY + "    marks[0] = marks[1]\n"
            "    return {'marks': marks, 'present': [0, 0, 32256, 32768, 32256, 32768 if veto else 0]}\n",
            score=4,
            message="initialises these pages like all hotplugged ones",
        ),
    ],
)

# ---- left_out --------------------------------------------------------------------------------------

READERS = ["hibernation", "kcore", "makedumpfile"]
TAKEN = {"save", "read", "dump"}
PAGES = {"map": START, "free": START + 2048, "kernel": START + 512, "withheld": 2 * START + 2048}


@cache
def leave_out(kernel, page):
    """Return which readers leave out the contents of a page: what the simulator's walkers decide."""
    hyper_v = [{"kind": "hv-balloon", "name": "hv0"}] if page == "withheld" else []
    machine = Machine(patch=KERNELS[kernel], memmap_on_memory=page != "withheld", devices=hyper_v)
    if page == "withheld":
        machine.devices["hv0"].hot_add(2 * START, 100)
    else:
        machine.add_memory(START, SECTION)
    pfn = PAGES[page]
    machine.online(pfn // SECTION, "online_kernel")
    if page == "kernel":
        (pfn,) = machine.allocate(1, "unmovable", block=32)
    return [name for name in READERS if WALKERS[name].decide(machine.kernel, pfn).action not in TAKEN]


def judged_pages(rng, cases, rule):
    """Compare the readers that leave a page out."""
    for kernel, page in rng.sample(cases, len(cases)):
        told = yield [kernel, page]
        if sorted(told) != leave_out(kernel, page):
            return f"Wrong for a page of kind {page!r} on a kernel {kernel!r}. {rule}"
    return None


def ordinary_pages(rng, mine):
    """A free page, a page of the kernel and a withheld page are treated alike by all three kernels."""
    cases = [(kernel, page) for kernel in KERNELS for page in ("free", "kernel", "withheld")]
    rule = (
        "These pages have the same type on all three when the block is online. Who skips a page that is free, and who one that is Offline? "
        "/proc/kcore asks for the type Offline only."
    )
    return (yield from judged_pages(rng, cases, rule))


def the_map_is_read(rng, mine):
    """Before and after the patch, everybody takes the map along."""
    rule = "The map is neither free nor Offline: it holds the struct pages of the block, and PG_reserved keeps none of the three away from it."
    return (yield from judged_pages(rng, [("before", "map"), ("after", "map")], rule))


def without_the_hunk(rng, mine):
    """If the type is not cleared, the map is treated as what it is said to be."""
    rule = (
        "These pages are not free: they are in use, with live contents, and that is why mhp_init_memmap_on_memory() must take the type off. "
        "With the type left on them, who believes that nobody should look?"
    )
    return (yield from judged_pages(rng, [("without the hunk", "map")], rule))


KINDS = (
    "def left_out(kernel, page):\n"
    "    free, offline = ['hibernation', 'makedumpfile'], ['hibernation', 'kcore', 'makedumpfile']\n"
    "    known = {'free': free, 'kernel': [], 'withheld': offline}\n"
    "    if page in known:\n"
    "        return known[page]\n"
)
left_out = Question(
    "left_out",
    difficulty=3,
    pattern="who breaks",
    section="After the patch",
    returns=list[str],
    different=3,
    tests={ordinary_pages: 2, the_map_is_read: 1, without_the_hunk: 3},
    wrong=[
        Wrong(
            "kcore_skips_free_pages_too",
            KINDS.replace("free, offline = ['hibernation', ", "free, offline = ['kcore', 'hibernation', ")
            + "    return offline if kernel == 'without the hunk' else []\n",
            score=4,
            message="asks for the type Offline only",
        ),
        Wrong(
            "the_type_is_cleared_because_the_pages_are_free",
            KINDS + "    return free if kernel == 'without the hunk' else []\n",
            score=3,
            message="These pages are not free",
        ),
        Wrong(
            "nobody_reads_the_type_of_such_pages",
            KINDS + "    return []\n",
            score=3,
            message="who believes that nobody should look",
        ),
        Wrong(
            "reserved_pages_are_skipped",
            KINDS + "    return offline if kernel != 'after' else []\n",
            score=5,
            message="PG_reserved keeps none of the three away",
        ),
    ],
)

ASSIGNMENT = Assignment("memmap-on-memory", chapter=12, questions=[sizes, map_story, left_out])
