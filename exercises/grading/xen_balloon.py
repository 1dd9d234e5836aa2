"""Grading of `xen-balloon`, the exercises to chapter 11: a list of pages without memory.

The model solutions stand in exercises/source/xen-balloon/xen-balloon.ipynb. What is expected follows from four functions of
drivers/xen/balloon.c; where a machine can be asked in time, the simulator is.
"""

from functools import cache

from memsim import AFTER, BEFORE, Machine
from memsim.grading import Assignment, Question, Wrong

SECTION, RAM = 32768, 131072
XEN = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": RAM}

# ---- marks_of_a_page -------------------------------------------------------------------------------


def marks_after(patched, origin, moves):
    """Return the marks after it came on the list and after each move: balloon_append() and those that undo it."""
    reserved = origin == "boot" or (origin == "hotplug" and not patched)
    offline, marks = True, []
    for move in ("append", *moves):
        if move == "populate":  # balloon_retrieve(), free_reserved_page()
            reserved = offline = False
        else:  # balloon_retrieve() or balloon_append(): they look at no flag
            offline = move != "lend"
        marks.append("R" * reserved + "O" * offline or "-")
    return marks


def judged_moves(patched, origin, moves, rule):
    """Compare the marks after each move."""
    told, want = (yield [patched, origin, moves]), marks_after(patched, origin, moves)
    if told == want:
        return None
    if len(told) != len(want):
        return "The answer has one text for the beginning and one for each move."
    at = next(number for number, pair in enumerate(zip(told, want, strict=True)) if pair[0] != pair[1])
    where = f"after move {at}, {moves[at - 1]!r}" if at else "at the beginning"
    return f"The marks {where} are wrong for a page from {origin} {'after' if patched else 'before'} the patch. {rule}"


def where_it_came_from(rng, mine):
    """What a page on the list says depends on where it came from, and for one origin on the patch."""
    rule = "balloon_append() makes every page Offline and leaves PG_reserved alone: who set it, and for which pages did the patch change that?"
    for patched in rng.sample([True, False], 2):
        for origin in rng.sample(["boot", "hotplug", "buddy"], 3):
            wrong = yield from judged_moves(patched, origin, [], rule)
            if wrong:
                return wrong
    return None


def lent_and_taken_back(rng, mine):
    """A lent page is not Offline, and what else it had stays."""
    rule = "balloon_retrieve() takes the type off, as the contents are live now, and no flag; balloon_append() sets it again."
    for patched in rng.sample([True, False], 2):
        for origin in rng.sample(["boot", "hotplug", "buddy"], 3):
            wrong = yield from judged_moves(
                patched, origin, ["lend", "take back"] * rng.randrange(1, 3), rule
            )
            if wrong:
                return wrong
    return None


def once_populated(rng, mine):
    """A page that was populated comes back without the flag."""
    rule = "free_reserved_page() clears PG_reserved for good; decrease_reservation() takes a page from the buddy, and those are not reserved."
    for patched in rng.sample([True, False], 2):
        for origin in rng.sample(["boot", "hotplug", "buddy"], 3):
            wrong = yield from judged_moves(
                patched, origin, ["populate", "decrease", "lend", "take back"], rule
            )
            if wrong:
                return wrong
    return None


MOVES = "    marks = []\n    for move in ['', *moves]:\n"
marks_of_a_page = Question(
    "marks_of_a_page",
    difficulty=2,
    pattern="trace",
    section="Explain",
    returns=list[str],
    tests={where_it_came_from: 2, lent_and_taken_back: 2, once_populated: 2},
    wrong=[
        Wrong(
            "after_the_patch_nothing_is_both",
            "def marks_of_a_page(patched, origin, moves):\n"
            "    reserved, offline = origin != 'buddy' and not patched, True\n"
            + MOVES
            + "        if move == 'populate':\n"
            "            reserved = offline = False\n"
            "        else:\n"
            "            offline = move != 'lend'\n"
            "        marks.append('R' * reserved + 'O' * offline or '-')\n"
            "    return marks\n",
            score=0,
            message="for a page from boot after the patch",
        ),
        Wrong(
            "ballooning_reserves_again",
            "def marks_of_a_page(patched, origin, moves):\n"
            "    born = origin == 'boot' or origin == 'hotplug' and not patched\n"
            "    reserved, offline = born, True\n"
            + MOVES
            + "        offline = move not in ('lend', 'populate')\n"
            "        reserved = born and move != 'populate'\n"
            "        marks.append('R' * reserved + 'O' * offline or '-')\n"
            "    return marks\n",
            score=4,
            message="for good",
        ),
        Wrong(
            "a_lent_page_has_no_mark",
            "def marks_of_a_page(patched, origin, moves):\n"
            "    reserved, offline = origin == 'boot' or origin == 'hotplug' and not patched, True\n"
            + MOVES
            + "        if move in ('populate', 'lend'):\n"
            "            reserved = offline = False\n"
            "        else:\n"
            "            offline = True\n"
            "        marks.append('R' * reserved + 'O' * offline or '-')\n"
            "    return marks\n",
            score=4,
            message="and no flag",
        ),
    ],
)

# ---- grow ------------------------------------------------------------------------------------------


def grown(missing, onlined, xen_gives):
    """Return the sizes: reserve_additional_memory(), xen_online_page(), increase_reservation()."""
    present = onlined * SECTION
    managed = min(missing, present) if xen_gives else 0
    return {
        "added": -(-missing // SECTION) * SECTION,
        "present": present,
        "managed": managed,
        "listed": present - managed,
    }


@cache
def on_the_simulator(patched, missing):
    """Return the sizes of a guest that grows by less than a block."""
    machine = Machine(patch=AFTER if patched else BEFORE, devices=[XEN])
    balloon = machine.devices["xen0"]
    balloon.set_target(RAM + missing)
    machine.online(4, "online_kernel")
    zone = machine.zone("Normal")
    added = sum(block >= RAM // SECTION for block in machine.kernel.state.blocks) * SECTION
    counts = {"present": zone.present_pages, "managed": zone.managed_pages, "listed": balloon.balloon_low}
    return {"added": added} | counts


def judged_growth(missing, onlined, xen_gives, keys, rule):
    """Compare these keys."""
    told, want = (yield [missing, onlined, xen_gives]), grown(missing, onlined, xen_gives)
    wrong = [key for key in keys if told.get(key) != want[key]]
    return (
        f"{wrong[0]} is wrong for {missing} missing pages and {onlined} blocks online. {rule}"
        if wrong
        else None
    )


def whole_sections(rng, mine):
    """Memory is added in whole sections, at once, for all that is missing."""
    rule = "reserve_additional_memory() rounds up what is missing to whole sections, and adds them before any of them is online."
    for missing in (rng.randrange(1, SECTION), SECTION, rng.randrange(SECTION + 1, 2 * SECTION)):
        wrong = yield from judged_growth(missing, rng.randrange(0, 2), True, ["added"], rule)
        if wrong:
            return wrong
    return None


def online_is_not_populated(rng, mine):
    """Blocks that are online are present, and what Xen has not given is on the list."""
    rule = "xen_online_page() puts every page on the list: a block is present when it is online, and no page of it is managed before Xen has populated it."
    for missing in (rng.randrange(1, SECTION), rng.randrange(SECTION + 1, 2 * SECTION)):
        for onlined in (0, 1):
            wrong = yield from judged_growth(missing, onlined, False, ["present", "managed", "listed"], rule)
            if wrong:
                return wrong
    return None


def up_to_the_target(rng, mine):
    """Pages are populated up to the target, and not beyond."""
    rule = "increase_reservation() takes pages from the list only while current_pages is below the target; the rest of the block stays in the balloon."
    for _ in range(2):
        missing = rng.choice([100, 700, 1500])
        told = yield [missing, 1, True]
        want = on_the_simulator(rng.random() < 0.5, missing)
        if told != want:
            return f"Not what the simulator shows for {missing} missing pages and one block online. {rule}"
    for onlined in (1, 2):
        missing = rng.randrange(SECTION + 1, 2 * SECTION)
        wrong = yield from judged_growth(missing, onlined, True, ["managed", "listed"], rule)
        if wrong:
            return wrong
    return None


GROW = "def grow(missing, onlined, xen_gives):\n    added = -(-missing // 32768) * 32768\n    present = onlined * 32768\n"
grow = Question(
    "grow",
    difficulty=2,
    pattern="compute",
    section="Explain",
    returns=dict[str, int],
    tests={whole_sections: 1, online_is_not_populated: 2, up_to_the_target: 2},
    wrong=[
        Wrong(
            "online_memory_is_managed",
            GROW + "    return {'added': added, 'present': present, 'managed': present, 'listed': 0}\n",
            score=1,
            message="puts every page on the list",
        ),
        Wrong(
            "exactly_what_is_missing_is_added",
            GROW + "    managed = min(missing, present) if xen_gives else 0\n"
            "    return {'added': missing, 'present': present, 'managed': managed, 'listed': present - managed}\n",
            score=2,
            message="rounds up",
        ),
        Wrong(
            "the_list_has_what_is_not_online_too",
            GROW + "    managed = min(missing, present) if xen_gives else 0\n"
            "    return {'added': added, 'present': added, 'managed': managed, 'listed': added - managed}\n",
            score=1,
            message="present when it is online",
        ),
    ],
)

# ---- missing_line ----------------------------------------------------------------------------------

COUNTS = ("managed", "listed", "offline", "current")
LINES = [f"{function} {count}" for function in ("decrease", "increase") for count in COUNTS]


def seen(shrunk, grown_by, missing):
    """Return how the counts change when one line is missing: each line moves one of them."""
    change = {"free": grown_by - shrunk}
    for count in COUNTS:
        down = 0 if missing == f"decrease {count}" else shrunk
        up = 0 if missing == f"increase {count}" else grown_by
        change[count] = down - up if count in ("listed", "offline") else up - down
    if missing == "decrease offline":
        change["offline"] = 0  # balloon_retrieve() takes the pages that came last, and these have no mark
    return change


def judged_lines(rng, lines, rule):
    """Ask which line is missing, for each of these."""
    for line in rng.sample(lines, len(lines)):
        shrunk = rng.randrange(100, 512)
        grown_by = rng.randrange(10, shrunk - 20)
        told = yield [shrunk, grown_by, seen(shrunk, grown_by, line)]
        if told != line:
            return rule
    return None


def nothing_is_missing(rng, mine):
    """A balloon that works is not accused."""
    rule = (
        "All lines are there. Pages that were given to Xen are not managed any more, are on the list, Offline, and no longer among "
        "current_pages; those that came back are the opposite."
    )
    for _ in range(2):
        wrong = yield from judged_lines(rng, [""], rule)
        if wrong:
            return wrong
    return None


def counters_that_stand_still(rng, mine):
    """A line that moves a counter is missing."""
    lines = [line for line in LINES if line.endswith(("managed", "current"))]
    rule = (
        "decrease_reservation() takes its pages off managed and off current_pages, increase_reservation() adds its own (the first of them in "
        "free_reserved_page()). Compare what moved with the two sizes: which of the two is not in it?"
    )
    return (yield from judged_lines(rng, lines, rule))


def pages_on_the_list(rng, mine):
    """A line about the list or the mark is missing."""
    lines = [line for line in LINES if line.endswith(("listed", "offline"))]
    rule = (
        "balloon_append() puts a page on the list and makes it Offline, balloon_retrieve() undoes both, for the page that came last. A page that is freed and still Offline "
        "counts as Offline; a page that is listed and not Offline does not."
    )
    return (yield from judged_lines(rng, lines, rule))


missing_line = Question(
    "missing_line",
    difficulty=3,
    pattern="bug hunt",
    section="The list",
    returns=str,
    tests={nothing_is_missing: 1, counters_that_stand_still: 2, pages_on_the_list: 2},
    wrong=[
        Wrong(
            "ballooned_pages_stay_managed",
            "def missing_line(shrunk, grown_by, change):\n"
            "    normal = {'managed': 0, 'listed': shrunk - grown_by, 'offline': shrunk - grown_by,\n"
            "              'current': grown_by - shrunk}\n"
            "    for count in ('listed', 'offline', 'current', 'managed'):\n"
            "        if change[count] != normal[count]:\n"
            "            return ('increase ' if abs(change[count]) == shrunk else 'decrease ') + count\n"
            "    return ''\n",
            score=4,
            message="not managed any more",
        ),
        Wrong(
            "the_page_that_came_first_is_retrieved_first",
            "def missing_line(shrunk, grown_by, change):\n"
            "    for count, sign in {'managed': -1, 'listed': 1, 'offline': 1, 'current': -1}.items():\n"
            "        if sign * change[count] in (-grown_by, shrunk):\n"
            "            return ('increase ' if sign * change[count] == shrunk else 'decrease ') + count\n"
            "    return ''\n",
            score=3,
            message="for the page that came last",
        ),
        Wrong(
            "what_is_missing_is_in_the_last_function",
            "def missing_line(shrunk, grown_by, change):\n"
            "    for count in ('managed', 'listed', 'offline', 'current'):\n"
            "        if abs(change[count]) != shrunk - grown_by:\n"
            "            return 'increase ' + count\n"
            "    return ''\n",
            score=1,
            message="which of the two is not in it",
        ),
    ],
)

ASSIGNMENT = Assignment("xen-balloon", chapter=11, questions=[marks_of_a_page, grow, missing_line])
