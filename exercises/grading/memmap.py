"""Grading of `memmap`, the exercises to chapter 2: the struct page, its flags and its type.

Page types are judged by the simulator's memmap, whose encodings the recordings of real kernels judge
(include/linux/page-flags.h, 6.1 and 6.12); addresses by the arithmetic of the vmemmap.
"""

from functools import cache

from memsim import Machine
from memsim.errors import KernelBug
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.layout import PAGES_PER_SECTION, SIZEOF_STRUCT_PAGE
from memsim.linux.include.page_flags import PageFlag, PageType, PageTypeEncoding, flags_word

TYPES = ["Buddy", "Offline", "Table", "Guard"]
ENCODINGS = {"6.1": PageTypeEncoding("inverted-bits"), "6.12": PageTypeEncoding("byte")}
NO_TYPE = 0xFFFFFFFF


def word_of(release, types):
    """Return the word of a page that was given these types, one after the other."""
    encoding, stored = ENCODINGS[release], 0xFF
    for name in types:
        stored = encoding.set(stored, PageType(name.lower()))
    return encoding.page_type(stored)


# ---- type_word -------------------------------------------------------------------------------------


def no_type_is_all_ones(rng, mine):
    """A page without a type has the word of a page that is not mapped."""
    for release in rng.sample(["6.1", "6.12"], 2):
        answer = yield [release, []]
        if answer != word_of(release, []):
            return (
                f"On {release} the word of a page without a type is wrong. It is the mapcount of a page that "
                "nobody maps, and the mapcount is stored minus one."
            )
    return None


def a_type_is_a_cleared_bit(rng, mine):
    """In 6.1 a page gets a type by clearing the bit of the type."""
    for name in rng.sample(TYPES, 4):
        answer = yield ["6.1", [name]]
        if answer != word_of("6.1", [name]):
            return (
                f"6.1, {name}: wrong. The word starts as all ones, so __SetPage{name}() can only say something "
                "by clearing the bit of the type."
            )
    return None


def a_type_is_the_top_byte(rng, mine):
    """In 6.12 a type is a number in the top byte."""
    for name in rng.sample(TYPES, 4):
        answer = yield ["6.12", [name]]
        if answer != word_of("6.12", [name]):
            return (
                f"6.12, {name}: wrong. A fresh page of this type has its number in the top byte, and nothing "
                "in the 24 bits below, which belong to the owner of the type."
            )
    return None


def types_pile_up(rng, mine):
    """In 6.1 a page can have several types at once."""
    for number in (2, 3, 2):
        names = rng.sample(TYPES, number)
        answer = yield ["6.1", names]
        if answer != word_of("6.1", names):
            return (
                f"6.1, {' and '.join(names)}: wrong. Each type has a bit of its own, and no __SetPage...() of "
                "6.1 touches the bit of another type."
            )
    return None


type_word = Question(
    "type_word",
    difficulty=1,
    pattern="compute",
    section="One word, two meanings",
    returns=int,
    tests={
        no_type_is_all_ones: 1,
        a_type_is_a_cleared_bit: 2,
        a_type_is_the_top_byte: 1,
        types_pile_up: 1,
    },
    wrong=[
        Wrong(
            "setting_a_type_sets_a_bit",
            "def type_word(release, types):\n"
            "    if release == '6.12':\n"
            "        return (NUMBERS[types[0]] << 24) if types else 0xFFFFFFFF\n"
            "    return sum(BITS[name] for name in types) if types else 0xFFFFFFFF\n",
            score=2,
            message="by clearing the bit of the type",
        ),
        Wrong(
            "one_scheme_for_all_kernels",
            "def type_word(release, types):\n"
            "    return (NUMBERS[types[-1]] << 24) if types else 0xFFFFFFFF\n",
            score=2,
            message="can only say something by clearing",
        ),
        Wrong(
            "the_last_type_wins_in_6_1_too",
            "def type_word(release, types):\n"
            "    if not types:\n"
            "        return 0xFFFFFFFF\n"
            "    last = types[-1]\n"
            "    return NUMBERS[last] << 24 if release == '6.12' else 0xFFFFFFFF - BITS[last]\n",
            score=4,
            message="touches the bit of another type",
        ),
        Wrong(
            "no_type_is_zero",
            "def type_word(release, types):\n"
            "    if release == '6.12':\n"
            "        return NUMBERS[types[0]] << 24 if types else 0\n"
            "    return 0xFFFFFFFF - sum(BITS[name] for name in types) if types else 0\n",
            score=4,
            message="stored minus one",
        ),
    ],
)

# ---- words_written ---------------------------------------------------------------------------------


@cache
def page_of(release, debug_vm):
    """Return the memmap of a kernel and the pfn of an allocated page, whose type may be written to."""
    machine = Machine(release=release, debug_vm=debug_vm)
    return machine.kernel.memmap, machine.allocate(1, "unmovable")[0]


def written(release, debug_vm, calls):
    """Return the word after each call, up to the call that stops the kernel."""
    memmap, pfn = page_of(release, debug_vm)
    memmap.reset_type(pfn)
    words = []
    for call in calls:
        change = memmap.set_type if call.startswith("__Set") else memmap.clear_type
        try:
            change(pfn, 1, PageType(call.removeprefix("__SetPage").removeprefix("__ClearPage").lower()))
        except KernelBug:
            break
        words.append(memmap.encoding.page_type(memmap.stored_type(pfn)))
    return words


def one_at_a_time(rng, mine):
    """With discipline, one type taken off before the next is put on, both kernels do the same."""
    for release in ("6.1", "6.12"):
        one, other = rng.sample(TYPES, 2)
        calls = [f"__{how}Page{name}" for name in (one, other) for how in ("Set", "Clear")]
        debug_vm = rng.random() < 0.5
        answer = yield [release, debug_vm, calls]
        if answer != written(release, debug_vm, calls):
            return f"{release}: a type is put on and taken off again, and then another one. Follow the word."
    return None


def two_types_in_6_1(rng, mine):
    """In 6.1 a second type joins the first, and no assertion sees it."""
    for debug_vm in (True, False):
        one, other = rng.sample(TYPES, 2)
        calls = [f"__SetPage{one}", f"__SetPage{other}", f"__ClearPage{one}"]
        answer = yield ["6.1", debug_vm, calls]
        if answer != written("6.1", debug_vm, calls):
            how = "with" if debug_vm else "without"
            return (
                f"6.1 {how} CONFIG_DEBUG_VM, a page of type {one} becomes {other} as well. The assertion in "
                "__SetPage...() looks at the top four bits only, and taking one type off leaves the other on."
            )
    return None


def the_byte_is_overwritten(rng, mine):
    """In 6.12 without checks the last type to be set is the only one."""
    for _ in range(2):
        one, other, third = rng.sample(TYPES, 3)
        calls = [f"__SetPage{one}", f"__SetPage{other}", f"__ClearPage{third}", f"__SetPage{one}"]
        answer = yield ["6.12", False, calls]
        if answer != written("6.12", False, calls):
            return (
                "6.12 without CONFIG_DEBUG_VM: __SetPage...() stores the whole byte and __ClearPage...() stores "
                "all ones, whatever was there."
            )
    return None


def a_checking_kernel_stops(rng, mine):
    """With CONFIG_DEBUG_VM the kernel stops at a call whose assertion fails, and the word stays."""
    one, other = rng.sample(TYPES, 2)
    rows = [
        ("6.12", [f"__SetPage{one}", f"__SetPage{one}", f"__SetPage{other}", f"__ClearPage{one}"]),
        ("6.12", [f"__ClearPage{other}", f"__SetPage{one}", f"__ClearPage{other}", f"__ClearPage{one}"]),
        ("6.1", [f"__SetPage{one}", f"__ClearPage{other}", f"__ClearPage{one}"]),
    ]
    for release, calls in rows:
        answer = yield [release, True, calls]
        if answer != written(release, True, calls):
            return (
                f"{release} with CONFIG_DEBUG_VM, {', '.join(calls)}: at which call does VM_BUG_ON_PAGE() stop "
                "the kernel? Before that call's word is written."
            )
    return None


words_written = Question(
    "words_written",
    difficulty=2,
    pattern="implement",
    section="One word, two meanings",
    returns=list[int],
    tests={
        one_at_a_time: 1,
        two_types_in_6_1: 2,
        the_byte_is_overwritten: 1,
        a_checking_kernel_stops: 2,
    },
    wrong=[
        Wrong(
            "the_assertion_of_6_1_catches_a_second_type",
            """def words_written(release, debug_vm, calls):
    word, words = 0xFFFFFFFF, []
    for call in calls:
        name = call.removeprefix("__SetPage").removeprefix("__ClearPage")
        sets = call.startswith("__Set")
        mine = 0xFFFFFFFF & ~BITS[name] if release == "6.1" else NUMBERS[name] << 24
        if release == "6.1":
            if debug_vm and (word not in (0xFFFFFFFF, mine) if sets else word & BITS[name]):
                break
            word = word & mine if sets else word | BITS[name]
        else:
            if debug_vm and word not in (0xFFFFFFFF, mine):
                break
            word = mine if sets else 0xFFFFFFFF
        words.append(word)
    return words
""",
            score=4,
            message="looks at the top four bits only",
        ),
        Wrong(
            "nobody_ever_checks",
            """def words_written(release, debug_vm, calls):
    word, words = 0xFFFFFFFF, []
    for call in calls:
        name = call.removeprefix("__SetPage").removeprefix("__ClearPage")
        if release == "6.1":
            word = word & ~BITS[name] if call.startswith("__Set") else word | BITS[name]
        else:
            word = NUMBERS[name] << 24 if call.startswith("__Set") else 0xFFFFFFFF
        words.append(word)
    return words
""",
            score=4,
            message="at which call does VM_BUG_ON_PAGE() stop",
        ),
        Wrong(
            "taking_a_type_off_in_6_1_takes_all_off",
            """def words_written(release, debug_vm, calls):
    word, words = 0xFFFFFFFF, []
    for call in calls:
        name = call.removeprefix("__SetPage").removeprefix("__ClearPage")
        sets = call.startswith("__Set")
        if release == "6.1":
            if debug_vm and not sets and word & BITS[name]:
                break
            word = word & ~BITS[name] if sets else 0xFFFFFFFF
        else:
            if debug_vm and word not in (0xFFFFFFFF, NUMBERS[name] << 24):
                break
            word = NUMBERS[name] << 24 if sets else 0xFFFFFFFF
        words.append(word)
    return words
""",
            score=4,
            message="leaves the other on",
        ),
    ],
)

# ---- pfn_of ----------------------------------------------------------------------------------------


def a_base(rng):
    """Return where the vmemmap of some boot begins; it is moved by KASLR."""
    return 0xFFFFEA0000000000 + (rng.randrange(1 << 10) << 30)


def some_sections(rng):
    """Return the numbers of the sections that exist, with a hole between boot and hotplugged memory."""
    return [*range(rng.randrange(2, 8)), *sorted(rng.sample(range(32, 64), 6))]


def found_by_arithmetic(rng, mine):
    """A struct page of 64 bytes for each pfn, one after the other."""
    base, sections = a_base(rng), some_sections(rng)
    for _ in range(5):
        pfn = rng.choice(sections) * PAGES_PER_SECTION + rng.randrange(PAGES_PER_SECTION)
        answer = yield [base + SIZEOF_STRUCT_PAGE * pfn, base, sections]
        if answer != pfn:
            return (
                "The array has one struct page of 64 bytes for each pfn, from pfn 0 on: divide the distance."
            )
    return None


def between_struct_pages(rng, mine):
    """An address inside a struct page is no struct page."""
    base, sections = a_base(rng), some_sections(rng)
    for _ in range(3):
        pfn = rng.choice(sections) * PAGES_PER_SECTION + rng.randrange(PAGES_PER_SECTION)
        answer = yield [base + SIZEOF_STRUCT_PAGE * pfn + rng.choice([8, 16, 32, 48]), base, sections]
        if answer is not None:
            return "An address that points into the middle of a struct page is not the address of one."
    return None


def nothing_behind_the_array(rng, mine):
    """Where there is no section there is no memory behind the array."""
    base, sections = a_base(rng), some_sections(rng)
    last = max(sections)
    for missing in (rng.choice([nr for nr in range(last) if nr not in sections]), last + 1, -1):
        pfn = missing * PAGES_PER_SECTION + rng.randrange(PAGES_PER_SECTION)
        answer = yield [base + SIZEOF_STRUCT_PAGE * pfn, base, sections]
        if answer is not None:
            return (
                f"There is no section {missing}. The array is backed only where sections exist, "
                "2 MiB of it for each (sparse_add_section())."
            )
    return None


pfn_of = Question(
    "pfn_of",
    difficulty=2,
    pattern="compute",
    section="Found by arithmetic",
    returns=int | None,
    different=3,
    tests={found_by_arithmetic: 2, between_struct_pages: 1, nothing_behind_the_array: 2},
    wrong=[
        Wrong(
            "an_address_divided_by_the_page_size",
            "def pfn_of(address, vmemmap, sections):\n    return (address - vmemmap) // 4096\n",
            score=0,
            message="one struct page of 64 bytes for each pfn",
        ),
        Wrong(
            "every_address_is_a_struct_page",
            "def pfn_of(address, vmemmap, sections):\n    return (address - vmemmap) // 64\n",
            score=2,
            message="into the middle of a struct page",
        ),
        Wrong(
            "the_array_is_backed_up_to_the_last_section",
            "def pfn_of(address, vmemmap, sections):\n"
            "    pfn, rest = divmod(address - vmemmap, 64)\n"
            "    return pfn if not rest and 0 <= pfn // 32768 <= max(sections) else None\n",
            score=3,
            message="backed only where sections exist",
        ),
    ],
)

# ---- read_page -------------------------------------------------------------------------------------


def flags_with(rng, *flags):
    """Return a flags word of 6.12 with these flags, some others and a zone."""
    others = rng.sample(
        [PageFlag.LRU, PageFlag.DIRTY, PageFlag.UPTODATE, PageFlag.ACTIVE, PageFlag.REFERENCED], 2
    )
    stored = rng.randrange(1, 4) << 29
    for flag in (*flags, *others):
        stored |= flag
    return flags_word(stored, "6.12")


def poison_says_nothing(rng, mine):
    """The struct page of a section that is not online says nothing, whatever is in it."""
    rows = [
        ((1 << 64) - 1, NO_TYPE, -1),
        (flags_with(rng, PageFlag.RESERVED), NO_TYPE, 1),
        (0, 0, 0),
    ]
    for flags, page_type, refcount in rows:
        answer = yield [flags, page_type, refcount, False]
        if answer is not None:
            return (
                "The section is not online, so this struct page is poison, or was left over. Whoever calls "
                "pfn_to_online_page() first does not look at it."
            )
    return None


def reserved_is_bit_13(rng, mine):
    """PG_reserved is bit 13 of the flags of 6.12."""
    stored = rng.randrange(1, 4) << 29
    rows = [
        (flags_with(rng, PageFlag.RESERVED), True),
        (flags_word(stored | PageFlag.RESERVED, "6.12"), True),
        (flags_word(stored, "6.12") | 1 << 12, False),  # PG_arch_1
        (flags_with(rng), False),
    ]
    for flags, reserved in rows:
        answer = yield [flags, NO_TYPE, 1, True]
        if answer is None or answer.get("reserved") is not reserved:
            return f"flags {flags:#x}: is this page PG_reserved? The numbers of the flags changed after 6.1."
    return None


def mappings_are_stored_minus_one(rng, mine):
    """Without a type, the word is the number of mappings minus one."""
    for mapped in (0, 1, rng.randrange(2, 5000)):
        answer = yield [flags_with(rng), (mapped - 1) & NO_TYPE, mapped + 1, True]
        if answer is None or answer.get("mapped") != mapped or answer.get("type") is not None:
            return (
                "A page without a type: the word is its mapcount, stored minus one, so that all ones mean "
                "that nobody maps it."
            )
    return None


def a_type_whatever_its_owner_keeps(rng, mine):
    """With a type, the page is not mapped, and the lower 24 bits belong to the owner of the type."""
    for name in rng.sample(TYPES, 4):
        for kept in (0, rng.randrange(1, 1 << 24)):
            answer = yield [flags_with(rng), word_of("6.12", [name]) | kept, 1, True]
            if answer is None or answer.get("type") != name:
                return (
                    f"A page of type {name} is not recognised. 6.12 has the number of the type in the top "
                    "byte; the 24 bits below are the owner's, and may be anything."
                )
            if answer.get("mapped") != 0:
                return f"A page of type {name} can never be mapped: for it the word is no mapcount."
    return None


read_page = Question(
    "read_page",
    difficulty=3,
    pattern="bug hunt",
    section="One word, two meanings",
    returns=dict[str, int | bool | str | None] | None,
    tests={
        poison_says_nothing: 1,
        reserved_is_bit_13: 1,
        mappings_are_stored_minus_one: 1,
        a_type_whatever_its_owner_keeps: 2,
    },
    wrong=[
        Wrong(
            "there_is_no_bug",
            "def read_page(*words):\n    return read_page_1(*words)\n",
            0,
            "stored minus one",
        ),
        Wrong(
            "poison_looks_reserved",
            """def read_page(flags, page_type, refcount, online):
    kind = {0xF0: "Buddy", 0xF1: "Offline", 0xF2: "Table", 0xF3: "Guard"}.get(page_type >> 24)
    mapped = 0 if kind else (page_type + 1) & 0xFFFFFFFF
    return {"reserved": bool(flags & 1 << 13), "type": kind, "mapped": mapped}
""",
            score=4,
            message="calls pfn_to_online_page() first",
        ),
        Wrong(
            "a_type_is_one_exact_word",
            """def read_page(flags, page_type, refcount, online):
    if not online:
        return None
    kind = {0xF0 << 24: "Buddy", 0xF1 << 24: "Offline", 0xF2 << 24: "Table", 0xF3 << 24: "Guard"}.get(page_type)
    mapped = 0 if kind else (page_type + 1) & 0xFFFFFFFF
    return {"reserved": bool(flags & 1 << 13), "type": kind, "mapped": mapped}
""",
            score=3,
            message="may be anything",
        ),
        Wrong(
            "the_flags_are_those_of_6_1",
            """def read_page(flags, page_type, refcount, online):
    if not online:
        return None
    kind = {0xF0: "Buddy", 0xF1: "Offline", 0xF2: "Table", 0xF3: "Guard"}.get(page_type >> 24)
    mapped = 0 if kind else (page_type + 1) & 0xFFFFFFFF
    return {"reserved": bool(flags & 1 << 12), "type": kind, "mapped": mapped}
""",
            score=4,
            message="changed after 6.1",
        ),
    ],
)

ASSIGNMENT = Assignment("memmap", chapter=2, questions=[type_word, words_written, pfn_of, read_page])
