"""Grading of `the-patch`, the exercises to chapter 13: the patch, hunk by hunk.

The model solutions stand in exercises/source/the-patch/the-patch.ipynb. What a kernel with some of the hunks does comes from the
simulator; which sets of hunks work follows from who leans on whom, and tests/exercises/test_rules.py holds that against the
simulator.
"""

from functools import cache

from memsim import AFTER, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.grading import Assignment, Question, Wrong
from memsim.walkers import WALKERS

START, BLOCK, SUB_BLOCK = 0x100000, 32768, 512
VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": START,
    "region_pages": 4 * BLOCK,
    "device_block_pages": SUB_BLOCK,
}
HUNKS = [hunk.name for hunk in Hunk]

# ---- dropped_hunk ----------------------------------------------------------------------------------


@cache
def without_page_alloc(checks, applied, blocks):
    """Return what a kernel counts that has all hunks, or all but PAGE_ALLOC."""
    machine = Machine(patch=AFTER if applied else Patch.without({Hunk.PAGE_ALLOC}), check_pages=checks)
    machine.add_memory(START, blocks * BLOCK)
    for block in range(32, 32 + blocks):
        machine.online(block, "online_movable")
    zone = machine.zone("Movable")
    counts = {
        "managed": zone.managed_pages,
        "free": zone.nr_free_pages,
        "log_lines": min(1, len(machine.log)),
    }
    for block in range(32, 32 + blocks):
        machine.offline(block)
    return counts | {"managed_offline": zone.managed_pages}


def judged_counts(rng, cases, keys, rule):
    """Compare these keys for (checks, applied)."""
    for checks, applied in rng.sample(cases, len(cases)):
        blocks = rng.randrange(1, 3)
        told = yield [applied, checks, blocks]
        want = without_page_alloc(checks, applied, blocks)
        wrong = [key for key in keys if told.get(key) != want[key]]
        if wrong:
            kernel = f"{'the whole series' if applied else 'all but PAGE_ALLOC'}, {'with' if checks else 'without'} checks"
            return f"{wrong[0]} is wrong for {blocks} blocks on a kernel with {kernel}. {rule}"
    return None


EVERYTHING = ["managed", "free", "log_lines", "managed_offline"]


def nothing_to_notice(rng, mine):
    """A kernel without checks, and one with the whole series, show nothing."""
    rule = "Where no code looks at the type of a page that is freed, __SetPageBuddy() writes over it, and the counters are right."
    return (yield from judged_counts(rng, [(False, False), (True, True), (False, True)], EVERYTHING, rule))


def checks_keep_the_pages(rng, mine):
    """A kernel with checks counts the pages, looks at them, and keeps them."""
    rule = (
        "__free_pages_core() counts a chunk as managed and then frees it. free_pages_prepare() finds a type where there should be none: "
        "bad_page() prints it, and the page is leaked."
    )
    return (yield from judged_counts(rng, [(True, False)], ["managed", "free", "log_lines"], rule))


def they_stay_counted(rng, mine):
    """When the blocks go offline, their pages stay counted."""
    rule = (
        "The leaked pages have refcount 0 and the type Offline. To offline_pages() they look like pages that an owner withheld and let go of: "
        "the block goes, and __offline_isolated_pages() does not count them as managed."
    )
    return (yield from judged_counts(rng, [(True, False)], ["managed_offline"], rule))


NUMBERS = (
    "def dropped_hunk(applied, checks, blocks):\n    pages, bad = blocks * 32768, checks and not applied\n"
)
dropped_hunk = Question(
    "dropped_hunk",
    difficulty=3,
    pattern="who breaks",
    section="Each hunk alone, each hunk missing",
    returns=dict[str, int],
    different=3,
    tests={nothing_to_notice: 1, checks_keep_the_pages: 2, they_stay_counted: 2},
    wrong=[
        Wrong(
            "every_kernel_looks_at_what_it_frees",
            NUMBERS + "    bad = not applied\n"
            "    return {'managed': pages, 'free': 0 if bad else pages, 'log_lines': int(bad),\n"
            "            'managed_offline': pages if bad else 0}\n",
            score=4,
            message="Where no code looks at the type",
        ),
        Wrong(
            "the_type_is_overwritten_so_nothing_happens",
            NUMBERS + "    return {'managed': pages, 'free': pages, 'log_lines': 0, 'managed_offline': 0}\n",
            score=0,
            message="the page is leaked",
        ),
        Wrong(
            "leaked_pages_are_not_managed",
            NUMBERS
            + "    return {'managed': 0 if bad else pages, 'free': 0 if bad else pages, 'log_lines': int(bad),\n"
            "            'managed_offline': 0}\n",
            score=1,
            message="counts a chunk as managed and then frees it",
        ),
        Wrong(
            "offlining_puts_it_right",
            NUMBERS
            + "    return {'managed': pages, 'free': 0 if bad else pages, 'log_lines': int(bad), 'managed_offline': 0}\n",
            score=3,
            message="let go of",
        ),
    ],
)

# ---- halves ----------------------------------------------------------------------------------------


@cache
def managed_while_going(core, driver, withheld, fails):
    """Return managed when MEM_GOING_OFFLINE has been answered, and at the end, of a block alone in its zone."""
    hunks = {Hunk.OFFLINE_CORE: core, Hunk.OFFLINE_DRIVER: driver}
    machine = Machine(
        patch=Patch.without({hunk for hunk, there in hunks.items() if not there}), devices=[VIRTIO_MEM]
    )
    machine.devices["vm0"].request(BLOCK - withheld)
    machine.online(32, "online_movable")
    zone, seen = machine.zone("Movable"), []

    def look(action, *_):
        if action == "MEM_GOING_OFFLINE":
            seen.append(zone.managed_pages)
            return 0x8002 if fails else None
        return None

    machine.register_memory_notifier(look, priority=-1)  # behind the driver
    try:
        machine.offline(32)
    except KernelError as error:
        if not fails:
            raise AssertionError from error
    return [*seen, zone.managed_pages]


def judged_halves(rng, cases, rule):
    """Compare for (core, driver, fails)."""
    for core, driver, fails in rng.sample(cases, len(cases)):
        withheld = rng.choice([512, 4096, 12800, 20480])
        told = yield [core, driver, withheld, fails]
        if told != managed_while_going(core, driver, withheld, fails):
            has = [name for name, there in (("the core", core), ("the driver", driver)) if there]
            end = "a listener says no" if fails else "the block goes offline"
            return f"Wrong with 3/3 in {' and '.join(has) or 'neither of the two'} where {withheld} pages are withheld and {end}. {rule}"
    return None


def both_or_none(rng, mine):
    """With both halves or none, managed is right at the end."""
    rule = "Without 3/3 the driver adds what the core will subtract too much; with it no code touches what never was managed."
    cases = [(both, both, fails) for both in (False, True) for fails in (False, True)]
    return (yield from judged_halves(rng, cases, rule))


def a_half_alone(rng, mine):
    """With one half, managed ends too high or too low."""
    rule = (
        "The core subtracts all pages without its half, and what is not Offline with it. The driver adds its withheld pages without its half, "
        "and nothing with it. Add up what is left."
    )
    return (yield from judged_halves(rng, [(True, False, False), (False, True, False)], rule))


def a_half_alone_and_a_veto(rng, mine):
    """When it is cancelled, the driver takes back what it added, and the core has subtracted nothing."""
    rule = "A failed attempt never comes to the core's subtraction, so it does not matter what the core would have done."
    return (yield from judged_halves(rng, [(True, False, True), (False, True, True)], rule))


SUM = "def halves(core, driver, withheld, fails):\n    online = 32768 - withheld\n    going = online if driver else 32768\n"
halves = Question(
    "halves",
    difficulty=2,
    pattern="compute",
    section="3/3: use what the mark says",
    returns=list[int],
    tests={both_or_none: 2, a_half_alone: 2, a_half_alone_and_a_veto: 1},
    wrong=[
        Wrong(
            "managed_never_moves_before_the_end",
            SUM + "    if fails:\n"
            "        return [online, online]\n"
            "    return [online, 0 if core == driver else (-withheld if driver else withheld)]\n",
            score=0,
            message="Without 3/3 the driver adds",
        ),
        Wrong(
            "the_sign_is_the_other_way_round",
            SUM + "    if fails:\n"
            "        return [going, online]\n"
            "    return [going, 0 if core == driver else (withheld if driver else -withheld)]\n",
            score=3,
            message="Add up what is left",
        ),
        Wrong(
            "half_a_patch_breaks_a_failed_attempt_too",
            SUM + "    wrong = 0 if core == driver else (-withheld if driver else withheld)\n"
            "    return [going, (online if fails else 0) + wrong]\n",
            score=4,
            message="never comes to the core's subtraction",
        ),
        Wrong(
            "one_half_is_enough",
            SUM + "    return [going, online if fails else 0]\n",
            score=3,
            message="Add up what is left",
        ),
    ],
)

# ---- kernel_works ----------------------------------------------------------------------------------

LEANS_ON = [
    (
        "MM_INIT",
        "PAGE_ALLOC",
        "Pages start Offline, and __free_pages_core() takes off the other mark: a kernel with checks leaks them all.",
    ),
    (
        "PAGE_ALLOC",
        "MM_INIT",
        "__free_pages_core() expects no PG_reserved, and pages start with it: a kernel with checks leaks them all.",
    ),
    (
        "MM_INIT",
        "MEMORY_HOTPLUG",
        "Self-hosted struct pages start Offline and stay so: a dump leaves them out.",
    ),
    (
        "VIRTIO_MEM",
        "MM_INIT",
        "The driver does not strip PG_reserved any more, and pages start with it: a partly plugged block stays, EBUSY.",
    ),
    (
        "HV_BALLOON",
        "MM_INIT",
        "The driver takes fresh pages, which are not Offline in this kernel, for done: they never reach the buddy.",
    ),
    (
        "OFFLINE_CORE",
        "OFFLINE_DRIVER",
        "The driver still adds its withheld pages to managed, and the core does not subtract them any more.",
    ),
    (
        "OFFLINE_DRIVER",
        "OFFLINE_CORE",
        "The core still subtracts withheld pages, and the driver does not add them any more.",
    ),
]
OLD_HABIT = " 3/3 reads the mark of withheld pages. virtio-mem sets it with 2/3 and without."


def broken(hunks):
    """Return why a kernel with these hunks does not work, or None."""
    return next((why for one, other, why in LEANS_ON if one in hunks and other not in hunks), None)


def closed(hunks):
    """Return the hunks and all that they lean on."""
    hunks = set(hunks)
    while True:
        more = {other for one, other, _ in LEANS_ON if one in hunks} - hunks
        if not more:
            return hunks
        hunks |= more


def ask_works(rng, sets):
    """Ask about each set of hunks."""
    for hunks in rng.sample(sets, len(sets)):
        names = rng.sample(sorted(hunks), len(hunks))
        told, why = (yield [names]), broken(hunks)
        if told is (why is not None):
            if why:
                return f"A kernel with {', '.join(names)} does not work. {why}"
            more = OLD_HABIT if "OFFLINE_CORE" in hunks and "MM_INIT" not in hunks else ""
            return f"A kernel with {', '.join(names) or 'no hunk'} works: whatever one of these hunks needs is there.{more}"
    return None


def with_and_without(rng, pairs):
    """Return sets of hunks: for each pair one that works, and the same without what the first leans on."""
    sets = []
    for one, other in pairs:
        works = closed({one, *rng.sample(["MEMINIT_CONTEXT", "XEN_BALLOON"], rng.randrange(3))})
        sets += [works, works - {other}]
    return sets


def birth_and_freeing(rng, mine):
    """The mark that is set at birth and the one that is taken off are the same."""
    return (
        yield from ask_works(
            rng, with_and_without(rng, [("MM_INIT", "PAGE_ALLOC"), ("PAGE_ALLOC", "MM_INIT")])
        )
    )


def drivers_and_maps(rng, mine):
    """Who relies on the new birth, and on whom the new birth relies."""
    pairs = [("MM_INIT", "MEMORY_HOTPLUG")]
    sets = with_and_without(rng, pairs)
    for driver in ("VIRTIO_MEM", "HV_BALLOON"):
        sets += [closed({driver}), {driver}]
    return (yield from ask_works(rng, sets))


def two_halves(rng, mine):
    """The two halves of 3/3 need each other, and nothing else."""
    pairs = [("OFFLINE_CORE", "OFFLINE_DRIVER"), ("OFFLINE_DRIVER", "OFFLINE_CORE")]
    return (yield from ask_works(rng, with_and_without(rng, pairs)))


def what_nobody_needs(rng, mine):
    """Some hunks can be there or not, and so can the drivers' where the birth is new."""
    whole = set(HUNKS)
    sets = [set(), {"XEN_BALLOON"}, {"MEMINIT_CONTEXT"}, {"MEMORY_HOTPLUG", "XEN_BALLOON"}, whole]
    sets += [
        whole - {left_out} for left_out in ("VIRTIO_MEM", "HV_BALLOON", "XEN_BALLOON", "MEMINIT_CONTEXT")
    ]
    wrong = yield from ask_works(rng, sets)
    return wrong or (yield from ask_works(rng, [{"MM_INIT"}, {"OFFLINE_CORE"}]))


WORKS = "def kernel_works(hunks):\n    hunks = set(hunks)\n"
kernel_works = Question(
    "kernel_works",
    difficulty=4,
    pattern="design",
    section="Each hunk alone, each hunk missing",
    returns=bool,
    tests={birth_and_freeing: 2, drivers_and_maps: 2, two_halves: 1, what_nobody_needs: 2},
    wrong=[
        Wrong(
            "all_or_nothing",
            WORKS + "    return len(hunks) in (0, 9)\n",
            score=0,
            message="whatever one of these hunks needs is there",
        ),
        Wrong(
            "birth_and_freeing_are_all_that_matters",
            WORKS + "    return ('MM_INIT' in hunks) == ('PAGE_ALLOC' in hunks)\n",
            score=2,
            message="does not work",
        ),
        Wrong(
            "the_new_birth_needs_new_drivers",
            WORKS + "    new = {'MM_INIT', 'PAGE_ALLOC', 'MEMORY_HOTPLUG', 'VIRTIO_MEM', 'HV_BALLOON'}\n"
            "    halves = {'OFFLINE_CORE', 'OFFLINE_DRIVER'}\n"
            "    return len(hunks & new) in (0, 5) and len(hunks & halves) in (0, 2)\n",
            score=1,
            message="needs is there",
        ),
        Wrong(
            "what_comes_last_needs_what_comes_before",
            WORKS + "    if hunks & {'OFFLINE_CORE', 'OFFLINE_DRIVER'} and 'MM_INIT' not in hunks:\n"
            "        return False\n"
            "    needs = [('MM_INIT', 'PAGE_ALLOC'), ('PAGE_ALLOC', 'MM_INIT'), ('MM_INIT', 'MEMORY_HOTPLUG'),\n"
            "             ('VIRTIO_MEM', 'MM_INIT'), ('HV_BALLOON', 'MM_INIT'),\n"
            "             ('OFFLINE_CORE', 'OFFLINE_DRIVER'), ('OFFLINE_DRIVER', 'OFFLINE_CORE')]\n"
            "    return all(other in hunks for one, other in needs if one in hunks)\n",
            score=6,
            message="virtio-mem sets it with 2/3 and without",
        ),
    ],
)

# ---- lost_hunk -------------------------------------------------------------------------------------


@cache
def symptoms(hunk, withheld):
    """Return what three experiments show on a kernel that lacks one hunk ("": none)."""
    patch = Patch.without({Hunk[hunk]} if hunk else set())
    found = {"errno": "", "managed": 0, "map_dumped": True, "log_lines": 0}
    machine = Machine(patch=patch, devices=[VIRTIO_MEM], check_pages=False)
    machine.devices["vm0"].request(BLOCK - withheld)
    machine.online(32, "online_movable")
    try:
        machine.offline(32)
    except KernelError as error:
        found["errno"] = error.name
    found["managed"] = machine.zone("Movable").managed_pages
    return found | other_symptoms(hunk)


@cache
def other_symptoms(hunk):
    """Return what does not depend on a number of pages: a dump, and a boot with checks."""
    patch = Patch.without({Hunk[hunk]} if hunk else set())
    machine = Machine(patch=patch, memmap_on_memory=True, check_pages=False)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    dumped = WALKERS["makedumpfile"].decide(machine.kernel, START).action == "dump"
    machine = Machine(patch=patch, debug_vm=True)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    return {"map_dumped": dumped, "log_lines": min(1, len(machine.log))}


def judged_losses(rng, hunks, rule):
    """Ask which hunks can be missing, on kernels that lack one of these."""
    withheld = rng.choice([4096, 12800])
    for hunk in rng.sample(hunks, len(hunks)):
        seen = symptoms(hunk, withheld)
        told = yield [withheld, seen]
        want = sorted(name for name in HUNKS if symptoms(name, withheld) == seen)
        if sorted(told) != want:
            return rule
    return None


def a_counter_is_wrong(rng, mine):
    """The counter tells which half of 3/3 is missing."""
    rule = "managed of an empty zone is not 0. Without the core's half too much is subtracted, without the driver's half too little."
    return (yield from judged_losses(rng, ["OFFLINE_CORE", "OFFLINE_DRIVER"], rule))


def marks_are_wrong(rng, mine):
    """A refusal, a gap in a dump or a complaint tells which mark is wrong."""
    rule = (
        "EBUSY comes from pages that start reserved; a dump without the map from a type that was not cleared; "
        "a complaint without EBUSY from a type that was not cleared before freeing."
    )
    return (yield from judged_losses(rng, ["MM_INIT", "PAGE_ALLOC", "MEMORY_HOTPLUG"], rule))


def nothing_is_wrong(rng, mine):
    """Where no experiment shows anything, four hunks can be missing all the same."""
    rule = (
        "These experiments do not see every hunk. One only moves a counter a little earlier, one says what its author knows, one saves a driver work, "
        "and one driver is not in any of the experiments."
    )
    return (yield from judged_losses(rng, ["", "VIRTIO_MEM", "HV_BALLOON"], rule))


LOST = "def lost_hunk(withheld, seen):\n"
lost_hunk = Question(
    "lost_hunk",
    difficulty=4,
    pattern="bug hunt",
    section="Each hunk alone, each hunk missing",
    returns=list[str],
    different=3,
    tests={a_counter_is_wrong: 2, marks_are_wrong: 2, nothing_is_wrong: 2},
    wrong=[
        Wrong(
            "no_symptom_no_loss",
            LOST + "    if seen['errno']:\n        return ['MM_INIT']\n"
            "    if not seen['map_dumped']:\n        return ['MEMORY_HOTPLUG']\n"
            "    if seen['log_lines']:\n        return ['PAGE_ALLOC']\n"
            "    if seen['managed']:\n        return ['OFFLINE_DRIVER' if seen['managed'] > 0 else 'OFFLINE_CORE']\n"
            "    return []\n",
            score=4,
            message="do not see every hunk",
        ),
        Wrong(
            "too_high_means_too_little_was_added",
            LOST + "    if seen['errno']:\n        return ['MM_INIT']\n"
            "    if not seen['map_dumped']:\n        return ['MEMORY_HOTPLUG']\n"
            "    if seen['log_lines']:\n        return ['PAGE_ALLOC']\n"
            "    if seen['managed']:\n        return ['OFFLINE_DRIVER' if seen['managed'] < 0 else 'OFFLINE_CORE']\n"
            "    return ['HV_BALLOON', 'MEMINIT_CONTEXT', 'VIRTIO_MEM', 'XEN_BALLOON']\n",
            score=4,
            message="too much is subtracted",
        ),
        Wrong(
            "ebusy_comes_from_the_driver_that_strips",
            LOST + "    if seen['errno']:\n        return ['VIRTIO_MEM']\n"
            "    if not seen['map_dumped']:\n        return ['MEMORY_HOTPLUG']\n"
            "    if seen['log_lines']:\n        return ['PAGE_ALLOC']\n"
            "    if seen['managed']:\n        return ['OFFLINE_DRIVER' if seen['managed'] > 0 else 'OFFLINE_CORE']\n"
            "    return ['HV_BALLOON', 'MEMINIT_CONTEXT', 'XEN_BALLOON']\n",
            score=2,
            message="start reserved",
        ),
    ],
)

ASSIGNMENT = Assignment("the-patch", chapter=13, questions=[halves, dropped_hunk, kernel_works, lost_hunk])
