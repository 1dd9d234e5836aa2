"""Grading of `bad-page`, the exercises to chapter 16: a Bad page report.

The model solutions stand in exercises/source/bad-page/bad-page.ipynb. Reports come from machines to which it happens; what they
say comes from the struct page of the machine, and is not read from the text.
"""

from functools import cache

from memsim import Machine, Patch
from memsim.grading import Assignment, Question, Wrong
from memsim.lesson.problems.bad_pages import STORIES, BadPage, online_report, read
from memsim.lesson.problems.draw import Draw

BLOCK = 32768
HUNKS = {"A": "PAGE_ALLOC", "B": "MM_INIT"}

# ---- read_report -----------------------------------------------------------------------------------


@cache
def reports(cause, release):
    """Return a few reports of a cause that a release printed."""
    if cause in HUNKS:
        patch = Patch.without(HUNKS[cause])
        return [online_report(patch, release, block) for block in (32, 37, 61)]
    drawn = [STORIES[cause](Draw(f"{cause}/{number}")) for number in range(12)]
    return [report for report in drawn if report.release == release]


def as_logged(report, rng):
    """Return a report as text, sometimes with time stamps."""
    lines, seconds = report.lines(whole=False), rng.uniform(9, 90000)
    if rng.random() < 0.5:
        lines = [f"[{seconds + at / 1e4:12.6f}] {line}" for at, line in enumerate(lines)]
    return "\n".join(lines) + "\n"


def said(report):
    """Return what a report says."""
    values = list(read(BadPage(report, "")).values())
    return {
        "pfn": report.page.pfn,
        "block": report.page.pfn // BLOCK,
        "zone": values[2],
        "flags": list(values[3]),
        "type": "".join(values[4]) or "none",
        "refcount": report.page.refcount,
        "reason": values[6],
    }


RULES = {
    "pfn": "The pfn is hexadecimal, with or without 0x.",
    "block": "A memory block of 128 MiB has 32,768 pages.",
    "zone": "zone= in the brackets of the flags line has the number of the zone.",
    "flags": "Only the names in front of node= are flags.",
    "type": "The lower half of the seventh raw word holds the type, in two encodings: __dump_page(), mm/debug.c.",
    "refcount": "The upper half of the seventh raw word is the refcount, and the line page: has it, too.",
    "reason": "page_bad_reason() words a type as mapcount.",
}


def judged_reading(rng, kinds):
    """Compare for (cause, release)."""
    for cause, release in rng.sample(kinds, len(kinds)):
        report = rng.choice(reports(cause, release))
        told = yield [as_logged(report, rng)]
        wrong = [key for key, value in said(report).items() if told.get(key) != value]
        if wrong:
            return f"{wrong[0]} of pfn {report.page.pfn:#x} is wrong. {RULES[wrong[0]]}"
    return None


def in_the_form_of_6_12(rng, mine):
    """Types in the form of 6.12, which 7.3 has, too."""
    return (yield from judged_reading(rng, [("A", "6.12"), ("A", "7.3"), ("C", "6.12")]))


def in_the_form_of_6_1(rng, mine):
    """Types in the form of 6.1."""
    return (yield from judged_reading(rng, [("A", "6.1"), ("D", "6.1")]))


def flags_and_references(rng, mine):
    """Pages with flags, and pages with references."""
    return (yield from judged_reading(rng, [("B", "6.1"), ("B", "6.12"), ("E", "6.1"), ("F", "6.12")]))


READ = """def read_report(report):
    import re
    pfn = int(re.search(r"pfn:([0-9a-f]+)", report)[1], 16)
    names, zone = re.search(r"flags: 0x[0-9a-f]+\\((.*?)node=\\d+\\|zone=(\\d)", report).groups()
    refcount, word = divmod(int(report.split("raw: ")[2].split()[2], 16), 1 << 32)
    types = {0xF0000000: "buddy", 0xF1000000: "offline", 0xFFFFFF7F: "buddy", 0xFFFFFEFF: "offline"}
    reason = report.split("page dumped because: ")[1].splitlines()[0]
    about = "type" if "mapcount" in reason else "refcount" if "_refcount" in reason else "flags"
    found = {"pfn": pfn, "block": pfn // 32768, "zone": ["DMA", "DMA32", "Normal", "Movable"][int(zone)],
             "flags": [name for name in names.split("|") if name], "type": types.get(word, "none"),
             "refcount": refcount, "reason": about}
"""
read_report = Question(
    "read_report",
    difficulty=3,
    pattern="implement",
    section="Explain",
    returns=dict[str, int | str | list[str]],
    tests={in_the_form_of_6_12: 2, in_the_form_of_6_1: 2, flags_and_references: 2},
    wrong=[
        Wrong(
            "every_kernel_prints_the_type",
            READ + "    if 'page_type:' not in report:\n        found['type'] = 'none'\n    return found\n",
            score=4,
            message="in two encodings",
        ),
        Wrong(
            "a_memory_block_is_a_pageblock",
            READ + "    return found | {'block': pfn // 512}\n",
            score=0,
            message="has 32,768 pages",
        ),
        Wrong(
            "a_mapcount_is_a_mapping",
            READ + "    return found | {'reason': 'refcount' if about == 'type' else about}\n",
            score=2,
            message="words a type as mapcount",
        ),
        Wrong(
            "every_word_in_brackets_is_a_flag",
            READ + "    return found | {'flags': names.split('|')}\n",
            score=0,
            message="in front of node=",
        ),
    ],
)

# ---- mistake ---------------------------------------------------------------------------------------


def judged_mistakes(rng, kinds, rule):
    """Compare for (cause, release)."""
    for cause, release in rng.sample(kinds, len(kinds)):
        told = yield [as_logged(rng.choice(reports(cause, release)), rng)]
        if told != cause:
            return rule
    return None


def birth(rng, mine):
    """Two mistakes of the kernel itself."""
    rule = "Freed by __free_pages_core(), with a mark of birth. Which of the two marks is left says which of two functions is wrong."
    kinds = [("A", "6.1"), ("A", "6.12"), ("B", "6.12"), ("B", "7.3")]
    return (yield from judged_mistakes(rng, kinds, rule))


def drivers(rng, mine):
    """Three mistakes of drivers."""
    rule = "The trace says that a driver frees. What it did wrong is on the page: a type, a flag, or a reference."
    return (
        yield from judged_mistakes(rng, [("C", "6.12"), ("E", "6.12"), ("E", "6.1"), ("F", "6.12")], rule)
    )


def twice(rng, mine):
    """A page that was free already."""
    rule = "The type Buddy comes from the allocator: the page is free, and is brought online again."
    return (yield from judged_mistakes(rng, [("D", "6.1")], rule))


MISTAKE = READ.replace("read_report", "_read") + "    return found\n\n\n"
DRIVER = 'def mistake(report):\n    driver, read = "[acme" in report, _read(report)\n'
mistake = Question(
    "mistake",
    difficulty=4,
    pattern="bug hunt",
    section="From the page to the mistake",
    returns=str,
    different=3,
    tests={birth: 2, drivers: 2, twice: 1},
    wrong=[
        Wrong(
            "who_frees_is_guilty",
            MISTAKE + DRIVER + "    return 'C' if driver else 'D' if 'hv_' in report else 'A'\n",
            score=1,
            message="a type, a flag, or a reference",
        ),
        Wrong(
            "reserved_means_boot_memory",
            MISTAKE + DRIVER + "    if read['flags']:\n        return 'F'\n"
            "    if driver:\n        return 'E' if read['refcount'] else 'C'\n"
            "    return 'D' if read['type'] == 'buddy' else 'A'\n",
            score=3,
            message="which of two functions",
        ),
        Wrong(
            "the_reason_says_it_all",
            MISTAKE + DRIVER + "    if read['reason'] == 'flags':\n        return 'F' if driver else 'B'\n"
            "    return 'E' if read['reason'] == 'refcount' else 'A'\n",
            score=2,
            message="is brought online again",
        ),
    ],
)

# ---- damage ----------------------------------------------------------------------------------------


@cache
def half_patched(release, checks, start, blocks):
    """Return what a kernel without PAGE_ALLOC finds, prints and loses."""
    machine = Machine(patch=Patch.without("PAGE_ALLOC"), release=release, check_pages=checks)
    machine.add_memory(start, blocks * BLOCK)
    for block in range(start // BLOCK, start // BLOCK + blocks):
        machine.online(block, "online_movable")
    zone, bad = machine.zone("Movable"), machine.kernel.bad_pages
    found = [line for line in machine.log if "pfn:" in line]
    first = int(found[0].split("pfn:")[1].split()[0], 16) if found else -1
    return {
        "first": first,
        "bad": bad,
        "printed": len(found),
        "leaked": zone.managed_pages - zone.nr_free_pages,
    }


def judged_damage(rng, cases, rule):
    """Compare for (release, checks)."""
    for release, checks in rng.sample(cases, len(cases)):
        start, blocks = BLOCK * rng.choice([32, 40]), rng.randrange(1, 3)
        told = yield [release, checks, start, blocks]
        if told != half_patched(release, checks, start, blocks):
            return f"Wrong for {blocks} blocks on {release} {'with' if checks else 'without'} page checks. {rule}"
    return None


def with_checks(rng, mine):
    """6.12 with page checks."""
    rule = (
        "free_pages_prepare() looks at the first page of a chunk last, and keeps the chunk if one page is bad; "
        "bad_page() prints a burst of 60."
    )
    return (yield from judged_damage(rng, [("6.12", True)] * 2, rule))


def newest(rng, mine):
    """7.3 with page checks."""
    rule = "One page of a chunk is forgiven its type, and the others are not: the chunk is lost as a whole."
    return (yield from judged_damage(rng, [("7.3", True)] * 2, rule))


def without_checks(rng, mine):
    """Kernels with checks off, and 6.1, which checks all the same."""
    rule = "6.12 and 7.3 look where page checks are on. 6.1 always looks at what __free_pages_ok() frees."
    return (
        yield from judged_damage(rng, [("6.12", False), ("7.3", False), ("6.1", False), ("6.1", True)], rule)
    )


COSTS = (
    "def damage(release, checks, start, blocks):\n    pages = blocks * 32768\n"
    "    looks = checks or release == '6.1'\n"
    "    bad = pages // 1024 * 1023 if release == '7.3' else pages\n"
    "    found = {'first': start + 1, 'bad': bad, 'printed': 60, 'leaked': pages}\n"
    "    nothing = {'first': -1, 'bad': 0, 'printed': 0, 'leaked': 0}\n"
)
damage = Question(
    "damage",
    difficulty=3,
    pattern="who breaks",
    section="Half of the patch",
    chapter=1,
    returns=dict[str, int],
    tests={with_checks: 2, newest: 1, without_checks: 2},
    wrong=[
        Wrong(
            "every_bad_page_is_printed",
            COSTS + "    return found | {'printed': bad} if looks else nothing\n",
            score=0,
            message="a burst of 60",
        ),
        Wrong(
            "the_first_page_is_reported_first",
            COSTS + "    return found | {'first': start} if looks else nothing\n",
            score=0,
            message="looks at the first page of a chunk last",
        ),
        Wrong(
            "only_bad_pages_are_lost",
            COSTS + "    return found | {'leaked': bad} if looks else nothing\n",
            score=4,
            message="lost as a whole",
        ),
        Wrong(
            "checks_off_is_off_everywhere",
            COSTS + "    return found if checks else nothing\n",
            score=3,
            message="6.1 always looks",
        ),
    ],
)

ASSIGNMENT = Assignment("bad-page", chapter=16, questions=[read_report, mistake, damage])
