"""Grading of `offlining`, the exercises to chapter 8: how to empty a block.

The model solutions stand in exercises/source/offlining/offlining.ipynb. What a machine does comes from the simulator;
who hears what is derived from two rules, of notifier_call_chain() and of offline_pages().
"""

from contextlib import suppress
from functools import cache

from memsim import Machine
from memsim.errors import KernelError
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import PageFlag, PageType

START, BLOCK = 0x100000, 32768

# ---- who_hears -------------------------------------------------------------------------------------


def chain(listeners):
    """Return the names in the order of the chain: higher priority first, then in order of registration."""
    return [name for name, _ in sorted(listeners, key=lambda listener: -listener[1])]


def some_listeners(rng, how_many):
    """Return listeners that are registered with ascending priorities, so that the last one is asked first."""
    priorities = sorted(rng.sample(range(-5, 101), how_many))
    names = rng.sample(["slab", "page_ext", "ksm", "cpuset", "kasan", "virtio_mem", "hmat", "cxl"], how_many)
    return [[name, priority] for name, priority in zip(names, priorities, strict=True)]


def everybody_in_order(rng, mine):
    """When nobody says no, everybody hears both actions, in the order of the chain."""
    for going in ("online", "offline"):
        listeners = some_listeners(rng, 4)
        listeners[2][1] = listeners[1][1]  # two of the same priority stay in order of registration
        heard = yield [listeners, going, ""]
        both = [f"MEM_GOING_{going.upper()}", f"MEM_{going.upper()}"]
        if heard != [[name, action] for action in both for name in chain(listeners)]:
            return (
                f"Nobody said no to going {going}, so each action goes through the whole chain before the next one is sent: "
                "higher priorities first, and listeners of one priority in the order in which they registered."
            )
    return None


def the_chain_stops(rng, mine):
    """Who stands behind the one that says no is not asked."""
    for going in ("online", "offline"):
        listeners = some_listeners(rng, 5)
        names = chain(listeners)
        at = rng.randrange(1, 3)
        heard = yield [listeners, going, names[at]]
        asked = [pair[0] for pair in heard if pair[1:] == [f"MEM_GOING_{going.upper()}"]]
        if asked != names[: at + 1]:
            return (
                f"{names[at]} says no to MEM_GOING_{going.upper()}. notifier_call_chain() asks down to the one that says no, "
                "and nobody behind it."
            )
        if [pair for pair in heard if pair[1:] == [f"MEM_{going.upper()}"]]:
            return f"The operation has failed, and nobody is told MEM_{going.upper()}."
    return None


def everybody_hears_the_cancellation(rng, mine):
    """The cancellation goes to everybody, asked or not."""
    for going in ("offline", "online"):
        listeners = some_listeners(rng, 4)
        names = chain(listeners)
        no = names[rng.randrange(0, 2)]
        heard = yield [listeners, going, no]
        told = [pair[0] for pair in heard if pair[1:] == [f"MEM_CANCEL_{going.upper()}"]]
        if sorted(told) != sorted(names):
            return (
                f"{no} says no. MEM_CANCEL_{going.upper()} is another call of the whole chain: it reaches all listeners once, "
                "those that were not asked and the one that said no too."
            )
    return None


who_hears = Question(
    "who_hears",
    difficulty=2,
    pattern="predict",
    section="The veto",
    returns=list[list[str]],
    tests={everybody_in_order: 1, the_chain_stops: 2, everybody_hears_the_cancellation: 2},
    wrong=[
        Wrong(
            "cancel_only_to_those_who_were_asked",
            "def who_hears(listeners, going, no):\n"
            "    names = [n for n, p in sorted(listeners, key=lambda one: -one[1])]\n"
            "    what = going.upper()\n"
            "    if not no:\n"
            "        return [[n, a] for a in ('MEM_GOING_' + what, 'MEM_' + what) for n in names]\n"
            "    asked = names[:names.index(no) + 1]\n"
            "    return [[n, a + what] for a in ('MEM_GOING_', 'MEM_CANCEL_') for n in asked]\n",
            score=3,
            message="those that were not asked",
        ),
        Wrong(
            "everybody_is_asked_before_the_answers_count",
            "def who_hears(listeners, going, no):\n"
            "    names = [n for n, p in sorted(listeners, key=lambda one: -one[1])]\n"
            "    second = 'MEM_CANCEL_' if no else 'MEM_'\n"
            "    return [[n, a + going.upper()] for a in ('MEM_GOING_', second) for n in names]\n",
            score=3,
            message="nobody behind it",
        ),
        Wrong(
            "the_chain_is_in_order_of_registration",
            "def who_hears(listeners, going, no):\n"
            "    names = [n for n, p in listeners]\n"
            "    what = going.upper()\n"
            "    if not no:\n"
            "        return [[n, a + what] for a in ('MEM_GOING_', 'MEM_') for n in names]\n"
            "    asked = names[:names.index(no) + 1]\n"
            "    return [[n, 'MEM_GOING_' + what] for n in asked] + [[n, 'MEM_CANCEL_' + what] for n in names]\n",
            score=2,
            message="higher priorities first",
        ),
    ],
)

# ---- one_page --------------------------------------------------------------------------------------


@cache
def offlining_meets(marks, refcount, zone):
    """Return how offlining a block ends in which one page is not free: what the simulator says."""
    machine = Machine()
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable" if zone == "Movable" else "online_kernel")
    (pfn,) = machine.allocate(1, block=32)
    memmap = machine.kernel.memmap
    if "lru" not in marks:
        memmap.clear_flags(pfn, 1, PageFlag.LRU)
    for mark, flag in (("reserved", PageFlag.RESERVED), ("hwpoison", PageFlag.HWPOISON)):
        if mark in marks:
            memmap.set_flags(pfn, 1, flag)
    if "offline" in marks:
        memmap.set_type(pfn, 1, PageType.OFFLINE)
    memmap.set_refcount(pfn, 1, refcount)
    try:
        machine.offline(32, patience=3)
    except KernelError as error:
        stages = {"set_migratetype_isolate": " isolate", "scan_movable_pages": " scan", "offline_pages": ""}
        return error.name + stages[error.stage]
    return "ok"


def page(marks, refcount):
    """Return a page as it is given to the student."""
    return {mark: mark in marks for mark in ("reserved", "offline", "lru", "hwpoison")} | {
        "refcount": refcount
    }


def judged(cases, rule):
    """Ask about each case, (marks, refcount, zone), and compare with the simulator."""
    for marks, refcount, zone in cases:
        told = yield [page(marks, refcount), zone]
        if told != offlining_meets(marks, refcount, zone):
            what = f"{' '.join(marks) or 'without a mark'}, refcount {refcount}, zone {zone}"
            return f"Wrong for a page that is {what}. {rule}"
    return None


def reserved_pages_stop_isolation(rng, mine):
    """A reserved page is found at once, whatever else it is."""
    cases = [
        (marks, refcount, zone)
        for marks in (("reserved",), ("reserved", "offline"))
        for refcount in (0, 1)
        for zone in ("Normal", "Movable")
    ]
    rule = "has_unmovable_pages() asks for PG_reserved before it asks for anything else, the zone included."
    return (yield from judged(rng.sample(cases, len(cases)), rule))


def the_refcount_is_the_gate(rng, mine):
    """An Offline page passes the isolation, and its refcount decides later."""
    cases = [
        (("offline",), refcount, zone)
        for refcount in (0, 1, rng.randrange(2, 6))
        for zone in ("Normal", "Movable")
    ]
    rule = (
        "Isolation lets Offline pages pass whatever their refcount, for their owner has not been asked yet. "
        "Who refuses them later, and which of them? See scan_movable_pages()."
    )
    return (yield from judged(rng.sample(cases, len(cases)), rule))


def used_pages_move_or_stay(rng, mine):
    """Pages of programs are migrated unless they are pinned; pages of the kernel are not."""
    cases = [
        (marks, refcount, zone)
        for marks, refcount in ((("lru",), 1), (("lru",), rng.randrange(2, 6)), ((), 1))
        for zone in ("Normal", "Movable")
    ]
    rule = (
        "A page on the LRU is found and tried until it is migrated, or until the user gives up. A page that is not on it is unmovable; "
        "but does has_unmovable_pages() look for such pages in zone Movable? And how does a loop end that never succeeds?"
    )
    return (yield from judged(rng.sample(cases, len(cases)), rule))


def broken_pages_pass(rng, mine):
    """A hwpoisoned page does not stop anything."""
    cases = [(("hwpoison",), 1, zone) for zone in ("Normal", "Movable")]
    return (yield from judged(cases, "test_pages_isolated() accepts hwpoisoned pages: nobody will use them."))


one_page = Question(
    "one_page",
    difficulty=3,
    pattern="implement",
    section="Ways to fail",
    returns=str,
    different=3,
    tests={
        reserved_pages_stop_isolation: 2,
        the_refcount_is_the_gate: 3,
        used_pages_move_or_stay: 3,
        broken_pages_pass: 1,
    },
    wrong=[
        Wrong(
            "broken_pages_are_unmovable",
            "def one_page(page, zone):\n"
            "    if page['reserved']:\n"
            "        return 'EBUSY isolate'\n"
            "    if page['offline']:\n"
            "        return 'EBUSY scan' if page['refcount'] else 'ok'\n"
            "    if page['lru']:\n"
            "        return 'ok' if page['refcount'] == 1 else 'EINTR'\n"
            "    return 'EINTR' if zone == 'Movable' else 'EBUSY isolate'\n",
            score=8,
            message="test_pages_isolated() accepts hwpoisoned pages",
        ),
        Wrong(
            "a_withheld_page_stops_isolation",
            "def one_page(page, zone):\n"
            "    if page['reserved'] or page['offline'] and page['refcount']:\n"
            "        return 'EBUSY isolate'\n"
            "    if page['offline'] or page['hwpoison'] or page['lru'] and page['refcount'] == 1:\n"
            "        return 'ok'\n"
            "    return 'EINTR' if page['lru'] or zone == 'Movable' else 'EBUSY isolate'\n",
            score=6,
            message="whatever their refcount",
        ),
        Wrong(
            "offlining_gives_up_on_a_pinned_page",
            "def one_page(page, zone):\n"
            "    if page['reserved']:\n"
            "        return 'EBUSY isolate'\n"
            "    if page['offline']:\n"
            "        return 'EBUSY scan' if page['refcount'] else 'ok'\n"
            "    if page['hwpoison'] or page['lru'] and page['refcount'] == 1:\n"
            "        return 'ok'\n"
            "    return 'EBUSY scan' if page['lru'] else 'EBUSY isolate'\n",
            score=6,
            message="a loop end that never succeeds",
        ),
        Wrong(
            "refcount_0_is_always_a_permission",
            "def one_page(page, zone):\n"
            "    if not page['refcount'] or page['hwpoison'] or page['lru'] and page['refcount'] == 1:\n"
            "        return 'ok'\n"
            "    if page['reserved']:\n"
            "        return 'EBUSY isolate'\n"
            "    if page['offline']:\n"
            "        return 'EBUSY scan'\n"
            "    return 'EINTR' if page['lru'] or zone == 'Movable' else 'EBUSY isolate'\n",
            score=7,
            message="before it asks for anything else",
        ),
    ],
)

# ---- offline_steps ---------------------------------------------------------------------------------

ON_THE_TAPE = {
    "enter:start_isolate_page_range": "start_isolate_page_range()",
    "notifier:MEM_GOING_OFFLINE": "send MEM_GOING_OFFLINE",
    "enter:scan_movable_pages": "scan_movable_pages() and do_migrate_range(), again and again",
    "enter:test_pages_isolated": "test_pages_isolated()",
    "enter:__offline_isolated_pages": "__offline_isolated_pages(): sections are no longer online",
    "enter:adjust_present_page_count": "managed and present go down",
    "notifier:MEM_OFFLINE": "send MEM_OFFLINE",
    "enter:remove_pfn_range_from_zone": "remove_pfn_range_from_zone(): the zone's span shrinks",
    "enter:undo_isolate_page_range": "undo_isolate_page_range(): all pageblocks become MOVABLE",
    "notifier:MEM_CANCEL_OFFLINE": "send MEM_CANCEL_OFFLINE",
    "never": "each pageblock gets its old migratetype back",
    "never here": "__free_pages_core() for each page",
}
LINES = list(ON_THE_TAPE.values())
MIX = {"stride": [5, 7, 11], "first": range(12)}


@cache
def on_the_tape(fails):
    """Return the lines in the order in which the simulator comes by."""
    machine = Machine()
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_kernel")
    (pfn,) = machine.allocate(1, "unmovable" if fails in ("isolate", "scan") else "movable", block=32)
    if fails == "scan":
        machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    if fails == "listener":
        machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if "GOING" in action else None)
    tape = machine.record()
    with suppress(KernelError):
        machine.offline(32)
    points = [event.point.partition("#")[0] for _, event in tape.points()]
    return list(dict.fromkeys(ON_THE_TAPE[point] for point in points if point in ON_THE_TAPE))


def in_order(mine, fails, rule):
    """Ask for the order of one ending; name the first line that is wrong, or the rule."""
    answer = yield [fails]
    line = {
        letter: LINES[(mine["stride"] * at + mine["first"]) % 12] for at, letter in enumerate("ABCDEFGHIJKL")
    }
    told, want = [line.get(letter, "?") for letter in answer], on_the_tape(fails)
    if told == want:
        return None
    for done, (said, _) in enumerate(zip([*told, "nothing more"], [*want, "nothing more"], strict=False)):
        if told[: done + 1] != want[: done + 1]:
            begin = (
                f"After {done} right lines comes something else than" if done else "The first thing is not"
            )
            return f"{begin} {said!r}. {rule}"
    return rule


def all_goes_well(rng, mine):
    """When all goes well, the block is asked for, emptied, checked and forgotten."""
    return (
        yield from in_order(
            mine,
            "",
            "Isolate, ask, empty, check, forget; the counters follow, and only then is it told that it is done.",
        )
    )


def a_listener_says_no(rng, mine):
    """A veto undoes the isolation, and then it is told."""
    return (
        yield from in_order(
            mine,
            "listener",
            "Nobody wrote down what the migratetypes were, and the isolation is undone before anybody hears that it was all in vain.",
        )
    )


def isolation_fails(rng, mine):
    """When the isolation fails, nobody hears of it."""
    return (
        yield from in_order(
            mine,
            "isolate",
            "start_isolate_page_range() undoes by itself what it has done, and nobody has been asked anything yet.",
        )
    )


def the_scan_fails(rng, mine):
    """A page that its owner did not let go of ends the search, after everybody was asked."""
    return (
        yield from in_order(mine, "scan", "The listeners have been asked by then, so they hear of the end.")
    )


LETTERS = (
    "def offline_steps(fails):\n"
    "    letter = {line.split('(')[0].split(':')[0]: key for key, line in MY_LINES.items()}\n"
    "    isolate, undo = letter['start_isolate_page_range'], letter['undo_isolate_page_range']\n"
    "    going, cancel = letter['send MEM_GOING_OFFLINE'], letter['send MEM_CANCEL_OFFLINE']\n"
    "    empty, test = letter['scan_movable_pages'], letter['test_pages_isolated']\n"
    "    end = [letter['__offline_isolated_pages'], letter['managed and present go down'],\n"
    "           letter['send MEM_OFFLINE'], letter['remove_pfn_range_from_zone']]\n"
)

offline_steps = Question(
    "offline_steps",
    difficulty=2,
    pattern="parsons",
    section="Explain",
    returns=list[str],
    variant=MIX,
    different=3,
    tests={all_goes_well: 2, a_listener_says_no: 2, isolation_fails: 1, the_scan_fails: 1},
    wrong=[
        Wrong(
            "undoing_restores_the_migratetypes",
            LETTERS + "    old = letter['each pageblock gets its old migratetype back']\n"
            "    if fails == '':\n"
            "        return [isolate, going, empty, test, *end]\n"
            "    if fails == 'isolate':\n"
            "        return [isolate, old]\n"
            "    return [isolate, going, *([empty] if fails == 'scan' else []), old, cancel]\n",
            score=2,
            message="'each pageblock gets its old migratetype back'",
        ),
        Wrong(
            "listeners_are_asked_before_anything_is_touched",
            LETTERS + "    if fails == '':\n"
            "        return [going, isolate, empty, test, *end]\n"
            "    if fails == 'isolate':\n"
            "        return [going, isolate, cancel]\n"
            "    return [going, *([isolate, empty, undo] if fails == 'scan' else []), cancel]\n",
            score=0,
            message="nobody has been asked anything yet",
        ),
        Wrong(
            "told_before_it_is_done",
            LETTERS + "    if fails == '':\n"
            "        return [isolate, going, empty, test, end[2], end[0], end[1], end[3]]\n"
            "    if fails == 'isolate':\n"
            "        return [isolate]\n"
            "    return [isolate, going, *([empty] if fails == 'scan' else []), undo, cancel]\n",
            score=4,
            message="'send MEM_OFFLINE'",
        ),
    ],
)

# ---- poison_story ----------------------------------------------------------------------------------


@cache
def with_broken_pages(release, broken):
    """Return what zone Movable counts while a block with broken pages goes offline and online again."""
    machine = Machine(release=release)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    zone = machine.zone("Movable")
    for page_nr in range(broken):
        machine.poison(START + 7 + 1500 * page_nr)
    story = {"managed_broken": zone.managed_pages, "free_broken": zone.nr_free_pages}
    machine.offline(32)
    story["managed_offline"] = zone.managed_pages
    try:
        machine.online(32, "online_movable")
        errno = ""
    except KernelError as error:
        errno = error.name
    return story | {"managed_again": zone.managed_pages, "free_again": zone.nr_free_pages, "errno": errno}


def told_as_recorded(rng, keys, rule, counts):
    """Compare these keys with the simulator for both releases."""
    for release in rng.sample(["6.1", "6.12"], 2):
        for broken in counts:
            story = yield [release, broken]
            want = with_broken_pages(release, broken)
            wrong = [key for key in keys if story.get(key) != want[key]]
            if wrong:
                return f"{wrong[0]} is wrong for Linux {release} with {broken} broken pages. {rule}"
    return None


def broken_is_still_managed(rng, mine):
    """A broken page is no longer free, and still managed."""
    rule = (
        "take_page_off_buddy() takes the page off its free list, and nothing else is counted: managed is what the buddy "
        "has been given and not been asked back for good."
    )
    return (yield from told_as_recorded(rng, ["managed_broken", "free_broken"], rule, [rng.randrange(1, 20)]))


def offlining_subtracts_all(rng, mine):
    """Offlining skips broken pages and subtracts them like all others."""
    rule = "Broken pages were counted until now; __offline_isolated_pages() skips them and they leave with the block."
    return (yield from told_as_recorded(rng, ["managed_offline"], rule, [rng.randrange(1, 20)]))


def the_memmap_forgets(rng, mine):
    """Coming online again writes all struct pages anew; one release has noted elsewhere what was broken."""
    keys = ["errno", "managed_again", "free_again"]
    rule = (
        "memmap_init_range() writes every struct page, mark and all. 6.12 counts the broken pages of each block outside of the memmap, "
        "and memory_block_online() looks at that number."
    )
    return (yield from told_as_recorded(rng, keys, rule, [0, rng.randrange(1, 20)]))


poison_story = Question(
    "poison_story",
    difficulty=3,
    pattern="trace",
    section="Broken pages",
    returns=dict[str, int | str],
    tests={broken_is_still_managed: 2, offlining_subtracts_all: 1, the_memmap_forgets: 3},
    wrong=[
        Wrong(
            "every_kernel_refuses",
            "def poison_story(release, broken):\n"
            "    back = 0 if broken else 32768\n"
            "    return {'managed_broken': 32768, 'free_broken': 32768 - broken, 'managed_offline': 0,\n"
            "            'managed_again': back, 'free_again': back, 'errno': 'EHWPOISON' if broken else ''}\n",
            score=3,
            message="outside of the memmap",
        ),
        Wrong(
            "poison_takes_pages_off_managed",
            "def poison_story(release, broken):\n"
            "    no = release == '6.12' and broken > 0\n"
            "    back = 0 if no else 32768\n"
            "    return {'managed_broken': 32768 - broken, 'free_broken': 32768 - broken, 'managed_offline': -broken,\n"
            "            'managed_again': back, 'free_again': back, 'errno': 'EHWPOISON' if no else ''}\n",
            score=3,
            message="nothing else is counted",
        ),
        Wrong(
            "the_mark_survives_in_the_memmap",
            "def poison_story(release, broken):\n"
            "    no = release == '6.12' and broken > 0\n"
            "    back = 0 if no else 32768\n"
            "    return {'managed_broken': 32768, 'free_broken': 32768 - broken, 'managed_offline': 0,\n"
            "            'managed_again': back, 'free_again': max(0, back - broken), 'errno': 'EHWPOISON' if no else ''}\n",
            score=3,
            message="mark and all",
        ),
    ],
)

ASSIGNMENT = Assignment("offlining", chapter=8, questions=[who_hears, offline_steps, one_page, poison_story])
