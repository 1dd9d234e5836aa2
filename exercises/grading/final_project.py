"""Grading of `final-project`: references, their race, a flag instead of them, and a fuzzer.

The model solutions stand in exercises/source/final-project/final-project.ipynb. The model of references follows get_page_unless_zero(),
put_page(), and virtio_mem_fake_offline_going_offline(); the flag is that of the mails of May 2025. What the fuzzer finds is
played on the simulator.
"""

from functools import cache

from memsim import Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.grading import Assignment, Limits, Question, Wrong

# ---- reference_model -------------------------------------------------------------------------------


def play(operations):
    """Return what becomes of a withheld page: type Offline, one reference, the driver's."""
    refcount, freed, warned, scans, holders = 1, False, False, [], set()
    for operation in operations:
        name, _, reader = operation.partition(" ")
        if name == "get" and refcount > 0:  # get_page_unless_zero()
            refcount += 1
            holders.add(reader)
        elif name == "put" and reader in holders:
            holders.remove(reader)
            refcount -= 1
            freed |= refcount == 0  # put_page() frees what nobody holds, whatever its type
        elif name == "going":
            refcount -= 1
            warned |= refcount != 0
        elif name == "cancel":
            refcount += 1
        elif name == "scan":
            scans.append("EBUSY" if refcount > 0 else "passes")
    return {"refcount": refcount, "freed": freed, "warned": warned, "scans": scans}


def judged_play(operations, rule):
    """Compare all of the outcome."""
    told, want = (yield [operations]), play(operations)
    wrong = [key for key in want if told.get(key) != want[key]]
    return f"{wrong[0]} is wrong after {', '.join(operations)}. {rule}" if wrong else None


def shuffled(rng, readers):
    """Return get and put of some readers, mixed, each get before its put."""
    left = {reader: ["get", "put"] for reader in range(readers)}
    operations = []
    while left:
        reader = rng.choice(list(left))
        operations.append(f"{left[reader].pop(0)} {reader}")
        if not left[reader]:
            del left[reader]
    return operations


def nobody_comes(rng, mine):
    """Without readers the driver lets go, and takes hold again."""
    for end in ([], ["cancel"]):
        wrong = yield from judged_play(
            ["going", "scan", *end], "page_ref_dec(), and page_ref_inc() when it is cancelled."
        )
        if wrong:
            return wrong
    return None


def too_late_to_get(rng, mine):
    """Nobody gets a reference to a page that has none."""
    rule = "get_page_unless_zero() fails at refcount 0, and who got nothing puts nothing back."
    readers = rng.randrange(1, 4)
    for end in (["scan"], ["scan", "cancel", f"get {readers}", f"put {readers}"]):
        wrong = yield from judged_play(["going", *shuffled(rng, readers), *end], rule)
        if wrong:
            return wrong
    return None


def held_while_going(rng, mine):
    """Who held the page before it was let go of still holds it."""
    rule = (
        "The reader's reference was taken before the driver's was dropped: the count is not 0, the driver warns, and the scan refuses. "
        "When the last reference is put, put_page() frees the page, whatever its type is."
    )
    readers = rng.randrange(1, 4)
    gets, puts = (
        [f"get {reader}" for reader in range(readers)],
        [f"put {reader}" for reader in range(readers)],
    )
    rng.shuffle(puts)
    for middle in (
        ["going", "scan", *puts, "scan"],
        ["going", *puts, "get 9", "put 9"],
        ["going", "scan", "cancel", *puts],
    ):
        wrong = yield from judged_play([*gets, *middle], rule)
        if wrong:
            return wrong
    return None


MODEL = (
    "def reference_model(operations):\n"
    "    refcount, freed, warned, scans, holders = 1, False, False, [], set()\n"
    "    for operation in operations:\n"
    "        name, _, reader = operation.partition(' ')\n"
    "        if name == 'going':\n            refcount -= 1\n            warned |= refcount != 0\n"
    "        elif name == 'cancel':\n            refcount += 1\n"
    "        elif name == 'scan':\n            scans.append('EBUSY' if refcount > 0 else 'passes')\n"
)
OUTCOME = "    return {'refcount': refcount, 'freed': freed, 'warned': warned, 'scans': scans}\n"
reference_model = Question(
    "reference_model",
    difficulty=4,
    pattern="implement",
    section="Which pages may be forgotten",
    chapter=8,
    returns=dict[str, int | bool | list[str]],
    tests={nobody_comes: 1, too_late_to_get: 2, held_while_going: 3},
    wrong=[
        Wrong(
            "dropping_the_last_reference_always_frees",
            MODEL.replace(
                "refcount -= 1\n            warned",
                "refcount -= 1\n            freed |= refcount == 0\n            warned",
            )
            + "        elif name == 'get' and refcount > 0:\n            refcount += 1\n            holders.add(reader)\n"
            "        elif name == 'put' and reader in holders:\n            holders.remove(reader)\n            refcount -= 1\n"
            "            freed |= refcount == 0\n" + OUTCOME,
            score=3,
            message="page_ref_dec()",
        ),
        Wrong(
            "a_reference_can_always_be_taken",
            MODEL + "        elif name == 'get':\n            refcount += 1\n"
            "        elif name == 'put':\n            refcount -= 1\n            freed |= refcount == 0\n"
            + OUTCOME,
            score=4,
            message="who got nothing puts nothing back",
        ),
        Wrong(
            "offline_pages_are_never_freed",
            MODEL
            + "        elif name == 'get' and refcount > 0:\n            refcount += 1\n            holders.add(reader)\n"
            "        elif name == 'put' and reader in holders:\n            holders.remove(reader)\n            refcount -= 1\n"
            + OUTCOME,
            score=3,
            message="frees the page, whatever its type is",
        ),
    ],
)

# ---- find_race -------------------------------------------------------------------------------------

CORE = [["going", "scan", "forget"], ["going", "scan", "cancel"]]


def not_possible(operations, readers):
    """Return why no kernel can do these operations in this order, or None."""
    known = {"going", "scan", "forget", "cancel"} | {
        f"{way} {r}" for way in ("get", "put") for r in range(readers)
    }
    strange = [operation for operation in operations if operation not in known]
    if strange:
        return f"{strange[0]!r} is nothing that happens here. The kernel has no lock that keeps readers of struct pages out."
    for reader in range(readers):
        if [one for one in operations if one.endswith(f" {reader}")] != [f"get {reader}", f"put {reader}"]:
            return f"Reader {reader} gets once and puts once, in this order."
    core = [one for one in operations if " " not in one]
    if core not in CORE:
        return "offline_pages() does going, scan, and then forget or cancel, each once."
    outcome = play(operations[: operations.index("scan") + 1])
    if (outcome["scans"] == ["EBUSY"]) != (core[-1] == "cancel"):
        return "After a scan that ends with EBUSY comes cancel, after one that passes comes forget."
    return None


def asked_for(rng, wanted, holds, rule):
    """Ask for an execution with one reader and with several; ``holds`` judges (operations, outcome)."""
    for readers in (1, rng.randrange(2, 5)):
        operations = yield [wanted, readers]
        wrong = not_possible(operations, readers)
        if wrong:
            return wrong
        if not holds(operations, play(operations)):
            return f"With {readers} readers, this execution is possible, and it does not end as it should. {rule}"
    return None


def freed_while_offline(rng, mine):
    """An execution in which the page is freed to the buddy although it is Offline."""
    rule = "The page is not freed. It is freed when somebody *else* puts the last reference, which must then not be the driver's."
    return (yield from asked_for(rng, "freed", lambda _, outcome: outcome["freed"], rule))


def busy(rng, mine):
    """An execution in which the driver has let go, and the scan refuses all the same, without anything being freed."""
    rule = "The scan must see a reference although the driver has dropped its own, and the page must not be freed later: who has what when the last reader puts?"
    return (
        yield from asked_for(
            rng, "busy", lambda _, outcome: outcome["scans"] == ["EBUSY"] and not outcome["freed"], rule
        )
    )


def unseen(rng, mine):
    """An execution in which all readers come while the driver has let go, and nothing happens."""

    def quiet(operations, outcome):
        going, forget = (
            operations.index("going"),
            operations.index(next(o for o in operations if o in ("forget", "cancel"))),
        )
        inside = all(going < at < forget for at, one in enumerate(operations) if one.startswith("get"))
        return inside and not outcome["freed"] and not outcome["warned"] and outcome["scans"] == ["passes"]

    rule = "All readers try between going and forget. What does get_page_unless_zero() do then?"
    return (yield from asked_for(rng, "unseen", quiet, rule))


RACE = (
    "def find_race(wanted, readers):\n"
    "    gets, puts = [f'get {r}' for r in range(readers)], [f'put {r}' for r in range(readers)]\n"
    "    both = [one for pair in zip(gets, puts) for one in pair]\n"
)
find_race = Question(
    "find_race",
    difficulty=5,
    pattern="bug hunt",
    section="Which pages may be forgotten",
    chapter=8,
    returns=list[str],
    tests={freed_while_offline: 3, busy: 2, unseen: 1},
    wrong=[
        Wrong(
            "a_lock_keeps_readers_out",
            RACE + "    return ['lock', 'going', 'scan', 'forget', 'unlock', *both]\n",
            score=0,
            message="The kernel has no lock",
        ),
        Wrong(
            "the_race_begins_after_going",
            RACE + "    if wanted == 'busy':\n        return [*gets, 'going', 'scan', 'cancel', *puts]\n"
            "    return ['going', *both, 'scan', 'forget']\n",
            score=3,
            message="when somebody *else* puts the last reference",
        ),
        Wrong(
            "a_cancellation_can_come_late",
            RACE + "    if wanted == 'busy':\n        return [*gets, 'going', 'scan', *puts, 'cancel']\n"
            "    if wanted == 'unseen':\n        return ['going', *both, 'scan', 'forget']\n"
            "    return [*gets, 'going', *puts, 'scan', 'forget']\n",
            score=4,
            message="who has what when the last reader puts",
        ),
    ],
)

# ---- skippable -------------------------------------------------------------------------------------

NOTHING = {
    "buddy": False,
    "offline": False,
    "skippable": False,
    "lru": False,
    "hwpoison": False,
    "refcount": 0,
}
KINDS = {
    "free": {"buddy": True},
    "used": {"lru": True, "refcount": 1},
    "broken": {"hwpoison": True, "refcount": 1},
    "withheld": {"offline": True, "skippable": True, "refcount": 1},
    "of another driver": {"offline": True, "refcount": 1},
    "of the kernel": {"refcount": 1},
}


def block_of(rng, **how_many):
    """Return a small block of pages, mixed."""
    pages = [
        NOTHING | KINDS[kind.replace("_", " ")] for kind, count in how_many.items() for _ in range(count)
    ]
    rng.shuffle(pages)
    return pages


def offline(pages):
    """Take a block offline with the student's checks; returns (errno, pages subtracted from managed)."""
    for _ in range(3):  # then the user loses patience
        for page in pages:
            seen = yield ["scan", page]
            if seen == "busy":
                return "EBUSY", 0
            if seen == "movable":
                page |= NOTHING | {"buddy": True}  # noqa: PLW2901 (the page itself changes)
                page["lru"] = False
        fine = True
        for page in pages:
            fine &= (yield ["test", page]) == "fine"
        if fine:
            break
    else:
        return "EINTR", 0
    managed = 0
    for page in pages:
        managed += (yield ["forget", page]) == "managed"
    return "", managed


def withheld_pages_go(rng, mine):
    """Pages of a driver that agreed are skipped, and what was never managed is not subtracted."""
    pages = block_of(rng, free=5, used=2, withheld=6, broken=1)
    errno, managed = yield from offline(pages)
    if errno:
        return (
            f"A block with free, used, broken and skippable pages ends with {errno}. The driver keeps its reference at 1 in this design: "
            "neither the scan nor test_pages_isolated() may wait for refcount 0."
        )
    if managed != 8:
        return f"{managed} pages were taken for managed. Free, migrated and broken pages are; what a driver withholds never was."
    return None


def an_extra_reference(rng, mine):
    """A reader's reference does not matter."""
    pages = block_of(rng, free=4, withheld=5)
    for page in pages:
        if page["skippable"] and rng.random() < 0.6:
            page["refcount"] += rng.randrange(1, 3)
    next(page for page in pages if page["skippable"])["refcount"] = 3
    errno, _ = yield from offline(pages)
    if errno:
        return (
            f"Somebody holds a skippable page for a moment, and offlining ends with {errno}. The flag is the permission; that the count "
            "needs no looking at is what the design is for."
        )
    held = NOTHING | KINDS["withheld"] | {"refcount": rng.randrange(2, 9)}
    if (yield ["scan", held]) == "movable":
        return "A withheld page is not on the LRU: it cannot move, whoever holds it."
    other = NOTHING | KINDS["of another driver"] | {"refcount": rng.randrange(2, 9)}
    if (yield ["test", other]) == "fine":  # who lets all pass has not looked for the flag
        return "The same of a page whose driver did not agree: test_pages_isolated() must not let it pass."
    return None


def who_did_not_agree(rng, mine):
    """Offline pages without the flag stop the scan, whatever their refcount."""
    for refcount in rng.sample([0, 1, 2], 3):
        pages = block_of(rng, free=4, withheld=2, of_another_driver=1)
        next(page for page in pages if page["offline"] and not page["skippable"])["refcount"] = refcount
        errno, _ = yield from offline(pages)
        if errno != "EBUSY":
            return (
                f"An Offline page without the flag and with refcount {refcount} must end the scan with EBUSY, and it ends with {errno or 'success'}. "
                "A driver that was unloaded has taken the flag off; a refcount of 0 is no permission any more."
            )
        errno, _ = yield from offline(block_of(rng, free=4, withheld=2))
        if errno == "EBUSY":
            return "A block with free and skippable pages only ends with EBUSY: there the driver has agreed to all."
    return None


def all_others(rng, mine):
    """Pages that are not Offline are treated as they were."""
    errno, _ = yield from offline(block_of(rng, free=4, of_the_kernel=1))
    if errno != "EINTR":
        return "A page of the kernel is neither movable nor free: the scan passes over it, and test_pages_isolated() never accepts it."
    errno, managed = yield from offline(block_of(rng, free=3, used=3))
    if errno or managed != 6:
        return "A block with free pages and pages on the LRU goes offline, and all of its pages were managed."
    return None


CHECKS = (
    "def skippable(stage, page):\n"
    "    if stage == 'scan':\n"
    "        if page['lru']:\n            return 'movable'\n"
)
skippable = Question(
    "skippable",
    difficulty=4,
    pattern="design",
    section="Which pages may be forgotten",
    chapter=8,
    returns=str,
    different=3,
    tests={withheld_pages_go: 2, an_extra_reference: 2, who_did_not_agree: 2, all_others: 1},
    wrong=[
        Wrong(
            "the_scan_refuses_whatever_cannot_move",
            CHECKS
            + "        return 'go on' if page['buddy'] or page['hwpoison'] or page['skippable'] else 'busy'\n"
            "    if stage == 'test':\n"
            "        return 'fine' if page['buddy'] or page['hwpoison'] or page['skippable'] else 'not yet'\n"
            "    return 'not managed' if page['offline'] else 'managed'\n",
            score=6,
            message="neither movable nor free",
        ),
        Wrong(
            "test_pages_isolated_still_wants_refcount_0",
            CHECKS + "        return 'busy' if page['offline'] and not page['skippable'] else 'go on'\n"
            "    if stage == 'test':\n"
            "        gone = page['offline'] and page['refcount'] == 0\n"
            "        return 'fine' if page['buddy'] or page['hwpoison'] or gone else 'not yet'\n"
            "    return 'not managed' if page['offline'] else 'managed'\n",
            score=3,
            message="may wait for refcount 0",
        ),
        Wrong(
            "one_reference_and_no_more",
            CHECKS + "        wrong = not page['skippable'] or page['refcount'] > 1\n"
            "        return 'busy' if page['offline'] and wrong else 'go on'\n"
            "    if stage == 'test':\n"
            "        return 'fine' if page['buddy'] or page['hwpoison'] or page['skippable'] else 'not yet'\n"
            "    return 'not managed' if page['offline'] else 'managed'\n",
            score=5,
            message="The flag is the permission",
        ),
        Wrong(
            "refcount_0_is_still_a_permission_too",
            CHECKS + "        held = page['offline'] and not page['skippable'] and page['refcount']\n"
            "        return 'busy' if held else 'go on'\n"
            "    if stage == 'test':\n"
            "        gone = page['offline'] and (page['skippable'] or page['refcount'] == 0)\n"
            "        return 'fine' if page['buddy'] or page['hwpoison'] or gone else 'not yet'\n"
            "    return 'not managed' if page['offline'] else 'managed'\n",
            score=5,
            message="is no permission any more",
        ),
    ],
)

# ---- counterexample --------------------------------------------------------------------------------

REGION = {"start_pfn": 0x100000, "region_pages": 65536, "device_block_pages": 512}
DEVICE = {"kind": "virtio-mem", "name": "vm0"} | REGION
A_MINUTE = Limits(cpu_seconds=60, wall_seconds=600)
STEPS = [
    lambda machine: machine.devices["vm0"].request(16384),
    lambda machine: machine.devices["vm0"].request(32768),
    lambda machine: machine.online(32, "online_movable"),
    lambda machine: machine.offline(32),
    lambda machine: machine.add_memory(0x140000, 32768),
    lambda machine: machine.online(40, "online_movable"),
    lambda machine: machine.offline(40),
]


@cache
def at_rest(missing, numbers):
    """Return what remains when the steps are done; PG_reserved, which may differ, is not looked at."""
    patch = Patch.without({Hunk[name] for name in missing})
    machine = Machine(patch=patch, devices=[DEVICE], memmap_on_memory=True)
    errnos = []
    for number in numbers:
        try:
            STEPS[number](machine)
            errnos.append("")
        except KernelError as error:
            errnos.append(error.name)
    state = machine.kernel.state
    zones = [(z.spanned_pages, z.present_pages, z.managed_pages, z.nr_free_pages) for z in state.zones]
    pages = [
        (number, section.pages.type.tobytes(), section.pages.refcount.tobytes())
        for number, section in sorted(state.memmap.sections.items())
        if section.online and not section.early
    ]
    return errnos, zones, state.totalram_pages, dict(state.blocks), pages


def differ(missing, numbers):
    """Return whether the kernel without these hunks differs from the whole series when all is at rest."""
    return at_rest(tuple(missing), tuple(numbers)) != at_rest((), tuple(numbers))


def unusable(numbers):
    """Return what is wrong with the form of an answer."""
    if len(numbers) > 8 or any(not 0 <= number < len(STEPS) for number in numbers):
        return f"A script has at most 8 steps, by their numbers from 0 to {len(STEPS) - 1}."
    return None


HALVES = [["OFFLINE_DRIVER"], ["OFFLINE_CORE"]]
LATENT = [["MEMORY_HOTPLUG"], ["MM_INIT"]]
HARMLESS = [[hunk.name for hunk in Hunk], ["OFFLINE_CORE", "OFFLINE_DRIVER"]]


def found(rng, missing):
    """Ask for a script and play it; returns (numbers, message)."""
    numbers = yield [missing]
    wrong = unusable(numbers)
    if not wrong and not differ(missing, numbers):
        what = (
            f"The script {numbers} leaves the same behind"
            if numbers
            else "There is a script that leaves something else behind"
        )
        wrong = f"{what} on a kernel without {', '.join(missing)}: compare what remains at the end, counters, errnos, types and references."
    return numbers, wrong


def shows_nothing(rng):
    """Return what is wrong with a script that shows no difference: of one script for all kernels, some show none."""
    for missing in (LATENT[0], rng.choice(HARMLESS)):
        numbers = yield [missing]
        wrong = unusable(numbers)
        if wrong or (numbers and not differ(missing, numbers)):
            return wrong or (
                f"Without {', '.join(missing)}, the kernel leaves the same behind. *managed* differs for a while as a block goes offline, and PG_reserved "
                "on self-hosted pages may differ: neither is a counterexample."
            )
    return None


def halves_are_told_apart(rng, mine):
    """Patch 3/3 in only one of its two places is found."""
    for missing in rng.sample(HALVES, 2):
        _, wrong = yield from found(rng, missing)
        if wrong:
            return wrong
    return (yield from shows_nothing(rng))


def other_hunks_are_found(rng, mine):
    """Other missing hunks are found."""
    for missing in rng.sample(LATENT, 2):
        _, wrong = yield from found(rng, missing)
        if wrong:
            return wrong
    return None


def nothing_can_be_left_out(rng, mine):
    """The counterexample is shrunk: each of its steps is needed."""
    for missing in (*rng.sample(HALVES, 1), LATENT[0]):
        numbers, wrong = yield from found(rng, missing)
        if wrong:
            return wrong
        for at in range(len(numbers)):
            rest = numbers[:at] + numbers[at + 1 :]
            if differ(missing, rest):
                return f"Without step {numbers[at]} at place {at + 1} the two kernels still differ. Shrink: leave out whatever can be left out."
    return (yield from shows_nothing(rng))


def no_false_alarm(rng, mine):
    """Where only a moment in between, or an allowed mark, differs, nothing is reported."""
    scripts = []
    for missing in rng.sample(HALVES, 2):
        scripts.append((yield [missing]))
        if not scripts[-1]:
            return f"Without {missing[0]} there is something to report: who never reports anything raises no false alarm."
    if (yield [LATENT[0]]) in scripts:
        return f"The script for {LATENT[0][0]} is that of a half of patch 3/3: what one of them shows, the other does not."
    return (yield from shows_nothing(rng))


TABLE = (
    "def counterexample(missing):\n"
    "    names = set(missing)\n"
    "    if len(names) == 1:\n"
    "        return {'OFFLINE_DRIVER': [0, 2, 3], 'OFFLINE_CORE': [0, 2, 3], 'MEMORY_HOTPLUG': [4, 5],\n"
    "                'MM_INIT': [0, 2, 3]}[names.pop()]\n"
)
counterexample = Question(
    "counterexample",
    difficulty=5,
    pattern="design",
    section="Each hunk alone, each hunk missing",
    returns=list[int],
    memsim=True,
    limits=A_MINUTE,
    tests={halves_are_told_apart: 2, other_hunks_are_found: 1, nothing_can_be_left_out: 2, no_false_alarm: 2},
    wrong=[
        Wrong(
            "only_counters_tell",
            TABLE.replace("[4, 5]", "[]") + "    return []\n",
            score=4,
            message="types and references",
        ),
        Wrong(
            "moments_in_between_count",
            TABLE + "    return [0, 2, 3]\n",
            score=1,
            message="neither is a counterexample",
        ),
        Wrong(
            "what_was_found_is_small_enough",
            TABLE.replace("[0, 2, 3]", "[0, 4, 2, 5, 3]").replace("[4, 5]", "[0, 4, 5, 2]")
            + "    return []\n",
            score=5,
            message="leave out whatever can be left out",
        ),
        Wrong(
            "a_half_plugged_block_need_not_go_offline",
            TABLE.replace("[0, 2, 3]", "[0, 2]") + "    return []\n",
            score=3,
            message="compare what remains at the end",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "final-project", chapter=13, questions=[reference_model, find_race, skippable, counterexample]
)
