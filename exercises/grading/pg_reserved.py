"""Grading of `pg-reserved`, the exercises to chapter 6: who sets the flag, who reads it, and how to tell.

Pages, traces and decisions come from the simulator on both sides of the patch; the readers are those of
memsim.walkers, each with its questions in the kernel's order.
"""

from functools import cache

from memsim import AFTER, BEFORE, Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.page_flags import PageFlag
from memsim.walkers import WALKERS
from memsim.walkers.subject import RESERVED, Subject

BLOCK, START = 32768, 0x100000
SIDES = {"before": BEFORE, "after": AFTER}

# ---- can_be ----------------------------------------------------------------------------------------

KINDS = {"kernel image": 0x1000, "hole": 0xA0, "device": 0x140000, "withheld": 0x100400, "self-hosted": START}


@cache
def collection(side):
    """Return the struct pages of the chapter's collection, by kind."""
    machine = Machine(
        ram=[(0, 0x9F), (0x100, 0x1FF00)],
        patch=SIDES[side],
        reserved=[(0x1000, 4096)],
        devices=[{"kind": "hv-balloon", "name": "hv0"}],
        memmap_on_memory=True,
    )
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    machine.memremap_pages(0x140000, BLOCK)
    pages = {kind: machine.kernel.memmap.raw(pfn) for kind, pfn in KINDS.items()}
    return {
        kind: {
            "reserved": page.reserved,
            "self-hosted": bool(page.flags & PageFlag.VMEMMAP_SELF_HOSTED),
            "type": next((each.value.title() for each in page.types), None),
            "refcount": page.refcount,
        }
        for kind, page in pages.items()
    }


def kinds_of(side, page):
    """Return the kinds that have such a struct page."""
    return sorted(kind for kind, found in collection(side).items() if found == page)


def any_wrong(rng, side):
    """Ask about a page of every kind; return whether an answer is wrong.

    All are asked, so that what a function earns does not depend on their order.
    """
    wrong = False
    for kind in rng.sample(list(KINDS), len(KINDS)):
        page = collection(side)[kind]
        answer = yield [side == "after", page]
        wrong |= sorted(answer) != kinds_of(side, page)
    return wrong


def before_it_nothing_can_be_told(rng, mine):
    """Before the patch four kinds of page have the same struct page."""
    if (yield from any_wrong(rng, "before")):
        return (
            "Before the patch memmap_init_range() gives a page that comes online the flag that boot and "
            "memmap_init_zone_device() give to others, and no other mark. Which kinds have it alone, and which has one more?"
        )
    return None


def after_it_the_withheld_page_can(rng, mine):
    """After the patch a page that a driver withholds is told by its type."""
    if (yield from any_wrong(rng, "after")):
        return (
            "After the patch only boot memory, holes and device memory are PG_reserved. What a driver withholds has "
            "the type Offline, and the block's own struct pages neither."
        )
    return None


def some_pages_are_none_of_these(rng, mine):
    """A struct page that none of the kinds has on this kernel is none of them."""
    strange = [
        (side == "after", page)
        for side, other in (("before", "after"), ("after", "before"))
        for page in collection(other).values()
        if not kinds_of(side, page)
    ]
    strange += [(patched, dict(collection("before")["hole"], refcount=0)) for patched in (True, False)]
    for patched, page in rng.sample(strange, len(strange)):
        if (yield [patched, page]) != []:
            return (
                "A page that has no such words on this kernel is none of the five. All five have refcount 1, none has "
                "been given to the allocator, and the patch moved the mark of two of them."
            )
    return None


can_be = Question(
    "can_be",
    difficulty=2,
    pattern="predict",
    section="Explain",
    returns=list[str],
    different=3,
    tests={
        before_it_nothing_can_be_told: 2,
        after_it_the_withheld_page_can: 2,
        some_pages_are_none_of_these: 1,
    },
    wrong=[
        Wrong(
            "reserved_means_the_kernel",
            """def can_be(patched, page):
    if page["refcount"] != 1:
        return []
    if page["type"]:
        return ["withheld"] if patched and not page["reserved"] else []
    if page["self-hosted"]:
        return ["self-hosted"] if page["reserved"] != patched else []
    return ["kernel image"] if page["reserved"] else []
""",
            score=1,
            message="the flag that boot and memmap_init_zone_device() give",
        ),
        Wrong(
            "device_memory_is_offline_too",
            """def can_be(patched, page):
    if page["refcount"] != 1:
        return []
    if page["type"]:
        return ["withheld", "device"] if patched and not page["reserved"] else []
    if page["self-hosted"]:
        return ["self-hosted"] if page["reserved"] != patched else []
    if not page["reserved"]:
        return []
    return ["kernel image", "hole"] + ([] if patched else ["device", "withheld"])
""",
            score=3,
            message="only boot memory, holes and device memory",
        ),
        Wrong(
            "the_patch_changes_nothing_here",
            """def can_be(patched, page):
    if page["refcount"] != 1 or page["type"] or not page["reserved"]:
        return []
    return ["self-hosted"] if page["self-hosted"] else ["device", "hole", "kernel image", "withheld"]
""",
            score=2,
            message="What a driver withholds has the type Offline",
        ),
    ],
)

# ---- which_kernel ----------------------------------------------------------------------------------


@cache
def onlining(side):
    """Return the counters as a block comes online: for each chunk, at three moments."""
    machine = Machine(patch=SIDES[side])
    machine.add_memory(START, BLOCK)
    tape = machine.record()
    tape.action("online")
    machine.online(32, "online_movable")
    rows = []
    for chunk in range(1, 33):
        for point in ("enter:__free_pages_core", "return:__free_pages_core", "return:generic_online_page"):
            state = tape.at(tape.find(0, f"{point}#{chunk}"))
            rows.append(row(f"{point}#{chunk}", state.zones[3], state.totalram_pages))
    return rows


def row(at, zone, total):
    """Return one reading of the counters."""
    return {"at": at, "present": zone.present_pages, "managed": zone.managed_pages, "MemTotal": total}


@cache
def offlining(side, plugged):
    """Return the counters as a block goes offline of which virtio-mem has ``plugged`` pages."""
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}
    device |= {"device_block_pages": 512, "requested_pages": plugged}
    machine = Machine(patch=SIDES[side], devices=[device])
    machine.online(32, "online_movable")
    zone = machine.zone("Movable")
    rows = [row("before", zone, machine.totalram_pages)]

    def listen(action, _start, _nr_pages):
        if action != "MEM_FINISH_OFFLINE":
            rows.append(row(f"all have heard {action}", zone, machine.totalram_pages))
        return 1

    machine.register_memory_notifier(listen, priority=-1)
    machine.offline(32)
    return [*rows, row("offline", zone, machine.totalram_pages)]


def shifted(rng, rows):
    """Return rows as a machine with another amount of boot memory shows them."""
    more = rng.randrange(1, 1 << 20)
    return [{**each, "MemTotal": each["MemTotal"] + more} for each in rows]


def memtotal_and_the_chunk(rng, mine):
    """When a chunk is freed, MemTotal has moved already, or not yet."""
    for side in rng.sample(["before", "after"], 2):
        first = 3 * rng.randrange(1, 28)
        if (yield [shifted(rng, onlining(side)[first : first + rng.choice([3, 6])])]) != side:
            return (
                "A block comes online. When __free_pages_core() returns, the chunk is free and managed: before the series "
                "generic_online_page() adds it to MemTotal after that, and since then it is added together with managed."
            )
    return None


def managed_is_too_high(rng, mine):
    """While a half-plugged block goes offline, managed is too high, or never."""
    for side in rng.sample(["before", "after"], 2):
        plugged = 512 * rng.choice([5, 16, 40, 63])
        if (yield [shifted(rng, offlining(side, plugged))]) != side:
            return (
                "A block with withheld pages goes offline. Before the series virtio-mem adds them to managed when it hears "
                "MEM_GOING_OFFLINE, so that the core can subtract the whole block."
            )
    return None


def some_traces_tell_nothing(rng, mine):
    """Where nothing is on the way, or nothing is withheld, the two kernels show the same."""
    for _ in range(2):
        side, first = rng.choice(["before", "after"]), rng.randrange(1, 28)
        done = [each for each in onlining(side) if "generic" in each["at"]][first : first + 3]
        whole = offlining(side, BLOCK)
        plugged = offlining(side, 512 * rng.choice([5, 16, 40, 63]))
        for rows in rng.sample([done, whole, [plugged[0], plugged[-1]]], 2):
            if (yield [shifted(rng, rows)]) != "cannot tell":
                return (
                    "In the end all counters are the same on both kernels: only what is on the way tells them apart, "
                    "and while a block goes offline only if some of its pages are withheld."
                )
    for side in rng.sample(["before", "after"], 2):  # who says so of every trace has read none
        first = 3 * rng.randrange(1, 28)
        if (yield [shifted(rng, onlining(side)[first : first + 3])]) != side:
            return "This trace does tell: a chunk is on the way, and managed and MemTotal move together, or one after the other."
    return None


which_kernel = Question(
    "which_kernel",
    difficulty=3,
    pattern="which kernel",
    section="Explain",
    chapter=5,
    returns=str,
    tests={memtotal_and_the_chunk: 2, managed_is_too_high: 2, some_traces_tell_nothing: 2},
    wrong=[
        Wrong(
            "the_last_reading_tells",
            """def which_kernel(rows):
    moved = [rows[-1][key] - rows[0][key] for key in ("managed", "MemTotal")]
    return "after" if moved[0] == moved[1] else "before"
""",
            score=0,
            message="In the end all counters are the same",
        ),
        Wrong(
            "no_jump_means_after",
            """def which_kernel(rows):
    for old, new in zip(rows, rows[1:]):
        if new["managed"] - old["managed"] != new["MemTotal"] - old["MemTotal"]:
            return "before"
        if "core" in new["at"] and new["managed"] > old["managed"]:
            return "after"
    if "core" in rows[0]["at"] or "generic" in rows[0]["at"]:
        return "cannot tell"
    return "before" if rows[1]["managed"] > rows[0]["managed"] else "after"
""",
            score=4,
            message="only if some of its pages are withheld",
        ),
        Wrong(
            "only_memtotal_differs",
            """def which_kernel(rows):
    for old, new in zip(rows, rows[1:]):
        if new["managed"] - old["managed"] != new["MemTotal"] - old["MemTotal"]:
            return "before"
        if "core" in new["at"] and new["managed"] > old["managed"]:
            return "after"
    return "cannot tell"
""",
            score=4,
            message="when it hears MEM_GOING_OFFLINE",
        ),
    ],
)

# ---- reads_reserved --------------------------------------------------------------------------------


def a_name(rng):
    """Return the name of a variable."""
    return rng.choice(["page", "p", "head", "tail", "subpage", "vmemmap_page", "memmap_page"])


ASKS = "this asks a page for PG_reserved."


def judge_lines(rng, lines, wanted, rule):
    """Put the question for some lines of C, after two whose answer is the other one."""
    page = a_name(rng)
    if wanted:
        others, told = [f"\tget_page({page});", "\tn = 0;"], "this has nothing to do with the flag."
    else:
        others, told = [f"\tif (PageReserved({page}))", f"\treturn !PageReserved({page}) && n;"], ASKS
    for line in others:
        if (yield [line]) is wanted:
            return f"{line.strip()!r}: {told}"
    for line in rng.sample(lines, len(lines)):
        if (yield [line]) is not wanted:
            return f"{line.strip()!r}: {rule}"
    return None


def the_plain_test(rng, mine):
    """PageReserved() asks for the flag, wherever it stands in a line."""
    page = a_name(rng)
    lines = [
        f"\tif (PageReserved({page}))",
        f"\treturn !PageReserved({page}) && n;",
        f"\tVM_WARN_ON_ONCE(PageReserved( {page} ));",
        f"\tok = PageReserved(pfn_to_page(pfn)); /* {page} */",
    ]
    return (yield from judge_lines(rng, lines, True, ASKS))


def other_ways_to_ask(rng, mine):
    """A folio is asked by folio_test_reserved(), and the bit itself can be read or put into a mask."""
    page = a_name(rng)
    lines = [
        f"\tif (folio_test_reserved(page_folio({page})))",
        "\tif (pte_special(pte) || folio_test_reserved(folio)) continue;",
        f"\tu |= copy_bit({page}->flags, KPF_RESERVED, PG_reserved);",
        f"\tif ({page}->flags & (1UL << PG_reserved))",
        f"\tbad = test_bit(PG_reserved, &{page}->flags);",
    ]
    rule = "this asks for the flag, too, and a search for PageReserved( does not find it, as in mm/memory-failure.c."
    return (yield from judge_lines(rng, lines, True, rule))


def who_writes_does_not_read(rng, mine):
    """Who sets or clears the flag does not ask for it."""
    page = a_name(rng)
    lines = [
        f"\tSetPageReserved({page});",
        f"\t__SetPageReserved({page});",
        f"\tClearPageReserved({page});",
        f"\t__folio_set_reserved(page_folio({page}));",
        f"\tset_bit(PG_reserved, &{page}->flags);",
        f"\t__clear_bit(PG_reserved, &{page}->flags);",
        f"\tfree_reserved_page({page});",
        f"\tget_page({page});",
    ]
    return (yield from judge_lines(rng, lines, False, "this writes the flag, or has nothing to do with it."))


def comments_do_nothing(rng, mine):
    """A comment asks nobody."""
    page = a_name(rng)
    lines = [
        f"\t/* {page}: PageReserved() pages are never freed */",
        "\t * PG_reserved is set for all of them, see PageReserved()",
        f"\tfree_page({page}); // not folio_test_reserved(folio) any more",
        f"\tfree_page({page}); /* was PageReserved({page}) */",
    ]
    return (yield from judge_lines(rng, lines, False, "what asks here stands in a comment."))


reads_reserved = Question(
    "reads_reserved",
    difficulty=2,
    pattern="implement",
    section="Walker by walker",
    chapter=12,
    returns=bool,
    tests={the_plain_test: 1, other_ways_to_ask: 2, who_writes_does_not_read: 1, comments_do_nothing: 1},
    wrong=[
        Wrong(
            "a_search_for_PageReserved_finds_all",
            "def reads_reserved(line):\n    return 'PageReserved(' in line\n",
            score=1,
            message="a search for PageReserved( does not find it",
        ),
        Wrong(
            "a_search_for_the_whole_word_finds_all",
            "import re\n\n\ndef reads_reserved(line):\n"
            "    line = re.sub(r'/\\*.*?\\*/|//.*|^\\s*\\*.*', '', line)\n"
            "    return bool(re.search(r'\\bPageReserved\\b', line))\n",
            score=3,
            message="as in mm/memory-failure.c",
        ),
        Wrong(
            "whatever_says_reserved_asks",
            "def reads_reserved(line):\n    return 'reserved' in line.lower()\n",
            score=3,
            message="writes the flag",
        ),
    ],
)

# ---- audit -----------------------------------------------------------------------------------------

DECIDE = """def decide(reader, facts):
    return next((does for question, does in reader["asks"] if question in facts), reader["otherwise"])


"""
NEVER, CAUGHT = "never reached", "another test catches it"
ORDINARY, CHANGES = "as ordinary vmemmap", "changes"


@cache
def subjects(zone, release):
    """Return a self-hosted page before and after the patch, and an ordinary page of vmemmap after it."""
    found = []
    for patch, hosted in ((BEFORE, True), (AFTER, True), (AFTER, False)):
        machine = Machine(patch=patch, release=release, memmap_on_memory=hosted, debug_vm=True)
        machine.add_memory(START, BLOCK)
        machine.online(32, f"online_{zone}")
        pfn = START if hosted else next(iter(machine.kernel.vmemmap.values()))
        found.append(Subject(machine.kernel, pfn))
    return found


def words(question):
    """Return the words of a question as one fact."""
    return "it is in ZONE_MOVABLE" if question.words.startswith("it is in ZONE_MOVABLE") else question.words


def described(rng, walker, subject):
    """Return what is true of a page, as far as the reader can ask, in the reader's words."""
    questions = [walker.meets, *(step.question for step in walker.steps)]
    facts = list(dict.fromkeys(words(each) for each in questions if each.holds(subject)))
    return rng.sample(facts, len(facts))


def reader_of(walker, release):
    """Return a reader as data."""
    asks = [[words(step.question), step.action] for step in walker.steps if release in step.releases]
    return {"meets": words(walker.meets), "asks": asks, "otherwise": walker.otherwise[0]}


def verdict_on(walker, zone, release):
    """Return the class of a reader, by what the simulator's reader does with the three pages."""
    before, after, ordinary = (walker.judge(subject) for subject in subjects(zone, release))
    if not (before.met or after.met):
        return NEVER
    if before.action == after.action:
        return CAUGHT
    return ORDINARY if after.action == ordinary.action else CHANGES


def ask_readers(rng, wanted, number, rule):
    """Put the question for some readers of one class."""
    release = rng.choice(["6.1", "6.12"])
    asking, others = readers_of(wanted, release)
    chosen = rng.sample(asking, min(2, len(asking))) + rng.sample(others, min(number, len(others)))
    for walker, zone in chosen[:number]:
        if (yield about(rng, walker, zone, release)) != wanted:
            return f"{walker.function}, {walker.file}, zone {zone}: wrong. {rule}"
    return None


def readers_of(wanted, release):
    """Return the readers of one class, each with a zone: those that ask for PG_reserved, and the others."""
    rows = [
        (walker, zone)
        for walker in WALKERS.values()
        for zone in ("kernel", "movable")
        if release in walker.releases and verdict_on(walker, zone, release) == wanted
    ]
    asking = [row for row in rows if any(step.question is RESERVED for step in row[0].steps)]
    return asking, [row for row in rows if row not in asking]


def about(rng, walker, zone, release):
    """Return the arguments that describe a reader and the three pages."""
    facts = [described(rng, walker, subject) for subject in subjects(zone, release)]
    return [reader_of(walker, release), *facts]


def never_reached(rng, mine):
    """Many readers never come across such a page, on either kernel."""
    walker, zone = rng.choice(readers_of(CAUGHT, "6.12")[1])
    if (yield about(rng, walker, zone, "6.12")) != CAUGHT:
        return f"{walker.function}, {walker.file}, zone {zone}: wrong. It meets the page, and asks for no flag that the patch changes."
    rule = "What a reader would do with a page does not matter if no such page comes before it: see what it meets."
    return (yield from ask_readers(rng, NEVER, 4, rule))


def caught_by_another_test(rng, mine):
    """Some readers do the same as before, because of another question."""
    rule = "Go through its questions in their order, for both pages: the first yes decides, and both times it does the same."
    return (yield from ask_readers(rng, CAUGHT, 4, rule))


def as_ordinary_vmemmap(rng, mine):
    """Some readers do now what they have always done with vmemmap from the buddy."""
    rule = (
        "It does something else than before. But vmemmap that was allocated from the buddy never was PG_reserved: "
        "compare with what it does with that."
    )
    return (yield from ask_readers(rng, ORDINARY, 3, rule))


def the_gap(rng, mine):
    """One answer of the review holds in kernel zones only."""
    rule = (
        "The review says: still unmovable, being neither movable nor on the LRU. But has_unmovable_pages() asks for the "
        "zone before it asks for the LRU, so in ZONE_MOVABLE it comes to another result, and not that of ordinary vmemmap."
    )
    return (yield from ask_readers(rng, CHANGES, 2, rule))


audit = Question(
    "audit",
    difficulty=4,
    pattern="design",
    section="The worry",
    chapter=12,
    returns=str,
    different=3,
    tests={never_reached: 1, caught_by_another_test: 1, as_ordinary_vmemmap: 2, the_gap: 2},
    wrong=[
        Wrong(
            "the_list_of_the_review_is_complete",
            DECIDE
            + """def audit(reader, before, after, ordinary):
    if reader["meets"] not in before and reader["meets"] not in after:
        return "never reached"
    same = decide(reader, before) == decide(reader, after)
    return "another test catches it" if same else "as ordinary vmemmap"
""",
            score=4,
            message="in ZONE_MOVABLE it comes to another result",
        ),
        Wrong(
            "whoever_asks_for_the_flag_changes",
            DECIDE
            + """def audit(reader, before, after, ordinary):
    if reader["meets"] not in before and reader["meets"] not in after:
        return "never reached"
    asks = any(question == "PG_reserved is set" for question, _ in reader["asks"])
    return "changes" if asks else "another test catches it"
""",
            score=3,
            message="compare with what it does with that",
        ),
        Wrong(
            "what_it_would_do_is_what_it_does",
            DECIDE
            + """def audit(reader, before, after, ordinary):
    was, now, other = (decide(reader, page) for page in (before, after, ordinary))
    if was == now:
        return "another test catches it"
    return "as ordinary vmemmap" if now == other else "changes"
""",
            score=5,
            message="no such page comes before it",
        ),
    ],
)

ASSIGNMENT = Assignment("pg-reserved", chapter=6, questions=[can_be, which_kernel, reads_reserved, audit])
