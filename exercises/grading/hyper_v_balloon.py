"""Grading of `hyper-v-balloon`, the exercises to chapter 10: memory that the host backs page by page.

The model solutions stand in exercises/source/hyper-v-balloon/hyper-v-balloon.ipynb. Numbers come from the simulator; the
page that a student's hv_page_online_one() works on has the states of the three cases of that function.
"""

from functools import cache

from memsim import AFTER, BEFORE, Machine
from memsim.errors import KernelError
from memsim.grading import Assignment, Question, Wrong

START, BLOCK = 0x100000, 32768
BALLOON = {"kind": "hv-balloon", "name": "hv0"}

# ---- region ----------------------------------------------------------------------------------------


def region_after(requests):
    """Return what the simulator's driver remembers after these requests."""
    machine = Machine(devices=[BALLOON])
    balloon = machine.devices["hv0"]
    for start, pages in requests:
        balloon.hot_add(START + start, pages)
    (has,) = balloon.ha_region_list
    return {
        "covered_end": has.covered_end_pfn - START,
        "ha_end": has.ha_end_pfn - START,
        "gap_pages": sum(end - start for start, end in has.gap_list),
        "backed": balloon.plugged_pages(),
    }


def some_requests(rng):
    """Return requests, ascending, with a gap, that reach into a second block."""
    requests = [[0, rng.randrange(5000, 20000)]]
    end = requests[0][1]
    requests.append([end + rng.randrange(500, 5000), rng.randrange(1000, 5000)])
    end = sum(requests[1])
    requests.append([end, BLOCK - end + rng.randrange(1, 20000)])
    return requests


def judged_by(rng, keys, rule):
    """Compare these keys with the simulator after one, two and three requests."""
    requests = some_requests(rng)
    for count in (1, 2, 3):
        told = yield [requests[:count]]
        want = region_after(requests[:count])
        wrong = [key for key in keys if told.get(key) != want[key]]
        if wrong:
            return f"{wrong[0]} is wrong after {requests[:count]}. {rule}"
    return None


def covered_without_gaps(rng, mine):
    """What the host spoke of is covered, and what it skipped is a gap."""
    rule = "pfn_covered() makes a gap of what lies between covered_end and a request further on; has_pfn_is_backed() says no to pages in it."
    return (yield from judged_by(rng, ["covered_end", "gap_pages", "backed"], rule))


def linux_adds_whole_blocks(rng, mine):
    """Linux has whole blocks."""
    rule = "handle_pg_range() adds memory chunk by chunk, and a chunk is a memory block of 32,768 pages, however few pages are backed."
    return (yield from judged_by(rng, ["ha_end"], rule))


region = Question(
    "region",
    difficulty=2,
    pattern="compute",
    section="What the driver remembers",
    returns=dict[str, int],
    different=3,
    tests={covered_without_gaps: 3, linux_adds_whole_blocks: 1},
    wrong=[
        Wrong(
            "linux_adds_what_is_backed",
            "def region(requests):\n"
            "    end, backed = sum(requests[-1]), sum(pages for _, pages in requests)\n"
            "    return {'covered_end': end, 'ha_end': end, 'gap_pages': end - backed, 'backed': backed}\n",
            score=3,
            message="chunk by chunk",
        ),
        Wrong(
            "what_is_covered_is_backed",
            "def region(requests):\n"
            "    end = sum(requests[-1])\n"
            "    return {'covered_end': end, 'ha_end': -(-end // 32768) * 32768, 'gap_pages': 0, 'backed': end}\n",
            score=1,
            message="makes a gap",
        ),
    ],
)

# ---- offline_partly_backed -------------------------------------------------------------------------


@cache
def attempt(patched, backed, used):
    """Return how the simulator's attempt to take the block offline ends."""
    machine = Machine(patch=AFTER if patched else BEFORE, devices=[BALLOON])
    machine.devices["hv0"].hot_add(START, backed)
    machine.online(32, "online_movable")
    pfns = machine.allocate(used, block=32)
    heard = []

    def listen(action, *_):
        if action != "MEM_FINISH_OFFLINE":
            heard.append(action)

    machine.register_memory_notifier(listen)
    errno = stopped_by = ""
    try:
        machine.offline(32)
    except KernelError as error:
        names = {"set_migratetype_isolate": "isolate", "scan_movable_pages": "scan"}
        errno, stopped_by = error.name, names[error.stage]
    moved = sum(pfn // BLOCK != 32 for pfn in pfns)
    return {"errno": errno, "stopped_by": stopped_by, "heard": heard, "moved": moved}


def judged_attempts(rng, keys, backed, rule):
    """Compare these keys with the simulator on both kernels."""
    used = rng.choice([17, 60, 200])
    for patched in rng.sample([False, True], 2):
        told = yield [patched, backed, used]
        want = attempt(patched, backed, used)
        wrong = [key for key in keys if told.get(key) != want[key]]
        if wrong:
            when = "after" if patched else "before"
            return f"{wrong[0]} is wrong {when} the patch with {backed} pages backed and {used} used. {rule}"
    return None


def a_full_block_goes(rng, mine):
    """A block that is backed as a whole goes offline, on both kernels."""
    keys = ["errno", "stopped_by", "heard", "moved"]
    return (
        yield from judged_attempts(
            rng, keys, BLOCK, "Nothing is withheld: all used pages are migrated, and the block goes."
        )
    )


def who_says_no(rng, mine):
    """The same errno comes from another stage."""
    backed = rng.choice([9000, 20000, 32000])
    rule = (
        "A page that is not backed is reserved before the patch, and has_unmovable_pages() sees that at once. After it the page is Offline: "
        "isolation lets it pass, the listeners are asked, and scan_movable_pages() refuses it."
    )
    return (yield from judged_attempts(rng, ["errno", "stopped_by", "heard"], backed, rule))


def what_remains(rng, mine):
    """A failed attempt leaves something behind on one of the kernels."""
    backed = rng.choice([9000, 20000, 32000])
    rule = "What had been migrated before the scan came to the first withheld page stays where it is; the isolation migrates nothing."
    return (yield from judged_attempts(rng, ["moved"], backed, rule))


FULL = (
    "def offline_partly_backed(patched, backed, used):\n"
    "    if backed == 32768:\n"
    "        return {'errno': '', 'stopped_by': '', 'heard': ['MEM_GOING_OFFLINE', 'MEM_OFFLINE'], 'moved': used}\n"
    "    both = ['MEM_GOING_OFFLINE', 'MEM_CANCEL_OFFLINE']\n"
)
offline_partly_backed = Question(
    "offline_partly_backed",
    difficulty=3,
    pattern="predict",
    section="After the patch",
    chapter=8,
    returns=dict[str, str | int | list[str]],
    different=3,
    tests={a_full_block_goes: 1, who_says_no: 3, what_remains: 2},
    wrong=[
        Wrong(
            "no_block_of_a_balloon_goes_offline",
            "def offline_partly_backed(patched, backed, used):\n"
            "    both = ['MEM_GOING_OFFLINE', 'MEM_CANCEL_OFFLINE']\n"
            "    if patched:\n"
            "        return {'errno': 'EBUSY', 'stopped_by': 'scan', 'heard': both, 'moved': used}\n"
            "    return {'errno': 'EBUSY', 'stopped_by': 'isolate', 'heard': [], 'moved': 0}\n",
            score=5,
            message="Nothing is withheld",
        ),
        Wrong(
            "the_patch_changes_nothing_here",
            FULL + "    return {'errno': 'EBUSY', 'stopped_by': 'isolate', 'heard': [], 'moved': 0}\n",
            score=1,
            message="isolation lets it pass",
        ),
        Wrong(
            "a_failure_leaves_no_trace",
            FULL + "    if patched:\n"
            "        return {'errno': 'EBUSY', 'stopped_by': 'scan', 'heard': both, 'moved': 0}\n"
            "    return {'errno': 'EBUSY', 'stopped_by': 'isolate', 'heard': [], 'moved': 0}\n",
            score=4,
            message="stays where it is",
        ),
        Wrong(
            "offline_pages_do_not_stop_anything",
            FULL + "    if patched:\n"
            "        return {'errno': '', 'stopped_by': '', 'heard': ['MEM_GOING_OFFLINE', 'MEM_OFFLINE'], 'moved': used}\n"
            "    return {'errno': 'EBUSY', 'stopped_by': 'isolate', 'heard': [], 'moved': 0}\n",
            score=3,
            message="scan_movable_pages() refuses it",
        ),
    ],
)

# ---- hv_page_online_one ----------------------------------------------------------------------------

CALLS = ("SetPageOffline", "ClearPageOffline", "generic_online_page")


class Page:
    """A page of a block that comes online, on a kernel with or without the patch."""

    def __init__(self, patched):
        self.patched = patched
        self.offline = (
            patched  # memmap_init_range() marks fresh pages: Offline after the patch, reserved before it
        )
        self.freed = 0

    def bring_online(self, backed):
        """Call the student's function and do what it says; returns a message if that cannot be done."""
        calls = yield [self.patched, backed, self.offline]
        for call in calls:
            if call not in CALLS:
                return f"{call!r} is none of {', '.join(CALLS)}."
            if call == "generic_online_page":
                if self.offline and not self.patched:
                    return "Before the patch, generic_online_page() does not take the type Offline off: the page is bad, and lost."
                self.offline = False
                self.freed += 1
            else:
                self.offline = call == "SetPageOffline"
        return None


def fresh_pages(rng, mine):
    """A fresh page that is backed goes to the buddy."""
    for patched in rng.sample([False, True], 2):
        fresh = Page(patched)
        wrong = yield from fresh.bring_online(backed=True)
        if wrong or fresh.freed != 1:
            rule = "After the patch a fresh page is Offline, before it it is not: which pages are done already on each kernel?"
            return (
                wrong
                or f"{'After' if patched else 'Before'} the patch, a fresh backed page is freed {fresh.freed} times. {rule}"
            )
    late = Page(False)
    late.offline = True  # it was withheld; else two answers would do for all
    wrong = yield from late.bring_online(backed=True)
    if wrong or late.freed != 1:
        return (
            wrong
            or f"Before the patch, a page that was withheld and is backed now is freed {late.freed} times."
        )
    return None


def backed_later(rng, mine):
    """A page that is not backed is withheld as Offline, and freed when it is backed."""
    for patched in rng.sample([False, True], 2):
        late = Page(patched)
        for _ in range(rng.randrange(1, 3)):
            wrong = yield from late.bring_online(backed=False)
            if wrong:
                return wrong
            if late.freed or not late.offline:
                return "A page that the host does not back must be Offline afterwards, so that nobody reads it, and not be freed."
        wrong = yield from late.bring_online(backed=True)
        if wrong or late.freed != 1 or late.offline:
            return wrong or f"A page that was withheld and is backed now was freed {late.freed} times."
    return None


def called_twice(rng, mine):
    """A second call for a page that the buddy has: the old function frees it again, the new one must not."""
    for patched in (True, False):
        page = Page(patched)
        for _ in range(2):
            wrong = yield from page.bring_online(backed=True)
            if wrong:
                return wrong
        if patched and page.freed != 1:
            return (
                f"After the patch, a page was freed {page.freed} times in two calls. A page with the buddy is not Offline, and a fresh one is: "
                "not Offline means that there is nothing to do. Exchanging the two branches does not say that."
            )
        if not patched and page.freed != 2:
            return (
                "Before the patch, a fresh page and a page that the buddy has look the same to this function, so it frees the page again. "
                "That is the bug that the patch takes away; write the function as it was."
            )
    return None


hv_page_online_one = Question(
    "hv_page_online_one",
    difficulty=3,
    pattern="implement",
    section="The function",
    returns=list[str],
    different=3,
    tests={fresh_pages: 2, backed_later: 2, called_twice: 3},
    wrong=[
        Wrong(
            "the_branches_are_exchanged",
            "def hv_page_online_one(patched, backed, offline):\n"
            "    if not backed:\n"
            "        return [] if offline else ['SetPageOffline']\n"
            "    if offline and not patched:\n"
            "        return ['ClearPageOffline', 'generic_online_page']\n"
            "    return ['generic_online_page']\n",
            score=4,
            message="Exchanging the two branches does not say that",
        ),
        Wrong(
            "not_offline_always_means_done",
            "def hv_page_online_one(patched, backed, offline):\n"
            "    if not backed:\n"
            "        return [] if offline else ['SetPageOffline']\n"
            "    if not offline:\n"
            "        return []\n"
            "    return ['generic_online_page'] if patched else ['ClearPageOffline', 'generic_online_page']\n",
            score=2,
            message="which pages are done already on each kernel",
        ),
        Wrong(
            "withheld_pages_need_no_mark",
            "def hv_page_online_one(patched, backed, offline):\n"
            "    if not backed or patched and not offline:\n"
            "        return []\n"
            "    return ['ClearPageOffline'] * (offline and not patched) + ['generic_online_page']\n",
            score=5,
            message="so that nobody reads it",
        ),
    ],
)

# ---- repeated_request ------------------------------------------------------------------------------


@cache
def managed_after(patched, backed, requests):
    """Return managed pages after the first request, onlining, and the other requests."""
    machine = Machine(patch=AFTER if patched else BEFORE, devices=[BALLOON])
    balloon = machine.devices["hv0"]
    balloon.hot_add(START, backed)
    machine.online(32, "online_movable")
    for start, pages in requests:
        balloon.hot_add(START + start, pages)
    return machine.zone("Movable").managed_pages


def distinct(backed, requests):
    """Return how many different pages the host has named."""
    return len(set(range(backed)).union(*(range(start, start + pages) for start, pages in requests)))


def requests_of(answer, key, backed):
    """Return (requests, None) or (None, what is wrong with them)."""
    requests = answer.get(key)
    if type(requests) is not list or any(type(one) is not list or len(one) != 2 for one in requests):
        return None, f"{key} is not a list of [start, pages]."
    if not 1 <= len(requests) <= 4 or any(start < 0 or pages < 1 for start, pages in requests):
        return None, f"{key} has one to four requests, each of at least one page."
    if sum(pages for _, pages in requests) > 64 or any(start + pages > BLOCK for start, pages in requests):
        return None, f"{key} names at most 64 pages in all, inside the block."
    return tuple(map(tuple, requests)), None


def freed_twice(rng, mine):
    """The requests of `bad` make the old kernel free pages that are free."""
    backed = rng.randrange(5000, 30000)  # a table of all that can be asked would be long
    answer = yield [backed]
    requests, wrong = requests_of(answer, "bad", backed)
    if wrong:
        return wrong
    more = managed_after(False, backed, requests) - distinct(backed, requests)
    if more <= 0:
        return (
            "Before the patch, no page is freed twice by the requests of bad. handle_pg_range() brings pages online that are named again, "
            "but only if the request begins behind the first page of the region, for a region begins with a new block."
        )
    if answer.get("twice") != more:
        return "The requests do free pages twice; twice is not how often. Compare managed with the number of different pages that are backed."
    if managed_after(True, backed, requests) != distinct(backed, requests):
        return "After the patch, managed must be the number of different pages that are backed."
    return None


def a_good_host(rng, mine):
    """The requests of `good` name as many pages, and none is freed twice on either kernel."""
    backed = rng.randrange(5000, 30000)  # a table of all that can be asked would be long
    answer = yield [backed]
    good, wrong = requests_of(answer, "good", backed)
    bad, also = requests_of(answer, "bad", backed)
    if wrong or also:
        return wrong or also
    if [pages for _, pages in good] != [pages for _, pages in bad]:
        return (
            "good has requests of the same sizes as bad, in the same order: what differs is where they begin."
        )
    named = backed + sum(pages for _, pages in good)
    if not named == managed_after(False, backed, good) == managed_after(True, backed, good):
        return (
            "Not every page of good is given to the buddy once. A host must name pages that were not "
            "named before, and never go back behind covered_end."
        )
    return None


repeated_request = Question(
    "repeated_request",
    difficulty=4,
    pattern="design",
    section="Doing it twice",
    returns=dict[str, int | list[list[int]]],
    different=3,
    one_may_do=True,
    tests={freed_twice: 3, a_good_host: 2},
    wrong=[
        Wrong(
            "every_further_request_frees_twice",
            "def repeated_request(backed):\n"
            "    return {'bad': [[backed, 10]], 'twice': 10, 'good': [[backed, 10]]}\n",
            score=2,
            message="no page is freed twice",
        ),
        Wrong(
            "all_pages_of_an_overlap_are_new",
            "def repeated_request(backed):\n"
            "    return {'bad': [[backed - 10, 20]], 'twice': 20, 'good': [[backed, 20]]}\n",
            score=2,
            message="twice is not how often",
        ),
        Wrong(
            "only_the_size_of_a_request_matters",
            "def repeated_request(backed):\n"
            "    return {'bad': [[backed - 10, 10]], 'twice': 10, 'good': [[backed - 20, 10]]}\n",
            score=3,
            message="never go back behind covered_end",
        ),
        Wrong(
            "the_first_page_may_be_named_again",
            "def repeated_request(backed):\n"
            "    return {'bad': [[0, 5]], 'twice': 5, 'good': [[backed, 5]]}\n",
            score=2,
            message="begins behind the first page of the region",
        ),
        Wrong(
            "a_page_counts_once_however_often_it_is_freed",
            "def repeated_request(backed):\n"
            "    return {'bad': [[backed - 5, 5], [backed - 5, 5]], 'twice': 5, 'good': [[backed, 5], [backed + 5, 5]]}\n",
            score=2,
            message="twice is not how often",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "hyper-v-balloon",
    chapter=10,
    questions=[region, offline_partly_backed, hv_page_online_one, repeated_request],
)
