"""Grading of `page-offline`, the exercises to chapter 7: a type, who gives it, and who looks.

Words of /proc/kpageflags, struct pages and vmcoreinfo come from the simulator on both sides of the patch;
the rules are those of mm/mm_init.c, mm/page_alloc.c, fs/proc/page.c and kernel/vmcore_info.c.
"""

from functools import cache

import numpy as np

from memsim import AFTER, BEFORE, Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.fs.proc import kpageflags
from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.mm_init import memmap_init_range
from memsim.linux.mm.page_alloc.buddy import MEMINIT_EARLY, MEMINIT_HOTPLUG
from memsim.linux.mm.page_alloc.isolation import find_large_buddy
from memsim.walkers import vmcoreinfo
from memsim.walkers.subject import signed

BLOCK, START = 32768, 0x100000
PATCHES = {False: BEFORE, True: AFTER}

# ---- machines with all kinds of page ---------------------------------------------------------------


@cache
def virtio_mem(patched):
    """Return a machine with block 32 half plugged, and block 33 that was only added."""
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}
    device |= {"device_block_pages": 512, "requested_pages": 16384}
    machine = Machine(patch=PATCHES[patched], reserved=[(0x1000, 4096)], devices=[device])
    machine.online(32, "online_movable")
    machine.add_memory(START + BLOCK, BLOCK)
    return machine


@cache
def hyper_v(patched):
    """Return a machine whose block 32 Hyper-V backs for a half, and whose DIMM, block 33, is outside all regions."""
    machine = Machine(patch=PATCHES[patched], devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].hot_add(START, 16384)
    machine.online(32, "online_movable")
    machine.add_memory(START + BLOCK, BLOCK)
    machine.online(33, "online_movable")
    return machine


@cache
def self_hosted(patched):
    """Return a machine whose block 32 holds its own struct pages."""
    machine = Machine(patch=PATCHES[patched], memmap_on_memory=True)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_movable")
    return machine


PLACES = {
    "free": (virtio_mem, START, 16384),
    "added": (virtio_mem, START + BLOCK, BLOCK),
    "kernel image": (virtio_mem, 0x1000, 4096),
    "virtio-mem": (virtio_mem, START + 16384, 16384),
    "self-hosted": (self_hosted, START, 512),
    "Hyper-V": (hyper_v, START + 16384, 16384),
    "DIMM": (hyper_v, START + BLOCK, BLOCK),
}
"""Where pages of each kind are: (machine, first pfn, number of pages)."""


@cache
def words_of(kind, patched):
    """Return what /proc/kpageflags shows for all pages of a kind."""
    machine, first, number = PLACES[kind]
    return kpageflags(machine(patched).kernel, first, number)


def word_of(kind, patched, at):
    """Return what /proc/kpageflags shows for one of them."""
    words = words_of(kind, patched)
    return int(words[at % len(words)])


# ---- count_marks -----------------------------------------------------------------------------------


def words_from(rng, kinds, number):
    """Return words of /proc/kpageflags of pages of these kinds, on both sides of the patch."""
    return [word_of(rng.choice(kinds), rng.random() < 0.5, rng.randrange(BLOCK)) for _ in range(number)]


def has_bit(words, bit):
    """Return how many words have a bit set."""
    return sum(word >> bit & 1 for word in words)


def marks_are_bits(rng, mine):
    """Each mark has its bit, whatever other bits are set."""
    words = words_from(
        rng, ["free", "kernel image", "virtio-mem", "self-hosted", "DIMM"], rng.randrange(40, 80)
    )
    words += [1 << 5 | 1 << 14, 0, 1 << 13, 1 << 12]
    answer = yield [words]
    for key, bit in (("offline", 23), ("free", 10), ("reserved", 32)):
        if answer.get(key) != has_bit(words, bit):
            return (
                f"The number of {key} pages is wrong. /proc/kpageflags has bit numbers of its own: {bit} for this "
                "mark, the same in all kernels, whether it is a flag or a type."
            )
    return None


def two_marks_count_twice(rng, mine):
    """A page can be reserved and Offline at once."""
    words = words_from(rng, ["virtio-mem", "kernel image"], 10)
    words += [word_of("Hyper-V", patched=False, at=rng.randrange(BLOCK)) for _ in range(rng.randrange(5, 20))]
    rng.shuffle(words)
    answer = yield [words]
    if (answer.get("offline"), answer.get("reserved")) != (has_bit(words, 23), has_bit(words, 32)):
        return (
            "PG_reserved and the type Offline are in different words of the struct page, and do not exclude "
            "each other: what Hyper-V withheld before the patch has both, and counts twice."
        )
    return None


def an_offline_block_has_no_offline_pages(rng, mine):
    """Pages of a block that is offline have KPF_NOPAGE and no mark."""
    words = words_from(rng, ["added", "virtio-mem", "free"], rng.randrange(40, 80))
    answer = yield [words]
    if (answer.get("not online"), answer.get("offline")) != (has_bit(words, 20), has_bit(words, 23)):
        return (
            "A page of a block that is not online shows KPF_NOPAGE, bit 20: there is no page that one may look at, "
            "so it has no type. KPF_OFFLINE is for pages inside online blocks."
        )
    return None


count_marks = Question(
    "count_marks",
    difficulty=1,
    pattern="compute",
    section="Who looks",
    returns=dict[str, int],
    tests={marks_are_bits: 1, two_marks_count_twice: 1, an_offline_block_has_no_offline_pages: 1},
    wrong=[
        Wrong(
            "a_page_has_one_mark",
            """def count_marks(words):
    found = {"offline": 0, "free": 0, "reserved": 0, "not online": 0}
    for word in words:
        for key, bit in (("reserved", 32), ("offline", 23), ("free", 10), ("not online", 20)):
            if word >> bit & 1:
                found[key] += 1
                break
    return found
""",
            score=2,
            message="do not exclude each other",
        ),
        Wrong(
            "pages_of_offline_blocks_are_offline",
            """def count_marks(words):
    bits = {"offline": 1 << 23 | 1 << 20, "free": 1 << 10, "reserved": 1 << 32, "not online": 1 << 20}
    return {key: sum(bool(word & bit) for word in words) for key, bit in bits.items()}
""",
            score=2,
            message="KPF_OFFLINE is for pages inside online blocks",
        ),
        Wrong(
            "the_bits_are_those_of_the_struct_page",
            """def count_marks(words):
    bits = {"offline": 23, "free": 10, "reserved": 13, "not online": 20}
    return {key: sum(word >> bit & 1 for word in words) for key, bit in bits.items()}
""",
            score=1,
            message="bit numbers of its own",
        ),
    ],
)

# ---- kpageflags_word -------------------------------------------------------------------------------


def ask_words(rng, kinds, rule):
    """Put the question for these kinds of page on both sides of the patch."""
    for kind in rng.sample(kinds, len(kinds)):
        for patched in rng.sample([False, True], 2):
            want = word_of(kind, patched, rng.randrange(BLOCK))
            if (yield [kind, patched]) != want:
                return f"{kind}, {'after' if patched else 'before'} the patch: wrong. {rule}"
    return None


def the_patch_does_not_touch_them(rng, mine):
    """Free pages, the kernel image and blocks that are not online show the same on both sides."""
    rule = (
        "A free page has KPF_BUDDY, at the head and inside; boot memory has KPF_RESERVED; and of a block that is not "
        "online the file shows KPF_NOPAGE alone."
    )
    return (yield from ask_words(rng, ["free", "kernel image", "added"], rule))


def withheld_pages(rng, mine):
    """Pages that a driver withholds: Offline after the patch; before it, each driver had its own way."""
    rule = (
        "After the patch the core has made it Offline and nobody has taken that off. Before, it was born PG_reserved: "
        "virtio-mem took the flag off and put Offline on, Hyper-V put Offline on in its own regions, and nobody cared for "
        "the DIMM. virtio-mem also sets PG_dirty, on both sides."
    )
    return (yield from ask_words(rng, ["virtio-mem", "Hyper-V", "DIMM"], rule))


def its_own_struct_pages(rng, mine):
    """Pages that hold struct pages of their block lose the flag, and get no type."""
    rule = (
        "mhp_init_memmap_on_memory() sets PG_vmemmap_self_hosted (KPF_OWNER_PRIVATE), and after the patch takes Offline "
        "off, for there is something in these pages."
    )
    return (yield from ask_words(rng, ["self-hosted"], rule))


kpageflags_word = Question(
    "kpageflags_word",
    difficulty=2,
    pattern="predict",
    section="Explain",
    returns=int,
    tests={the_patch_does_not_touch_them: 1, withheld_pages: 2, its_own_struct_pages: 1},
    wrong=[
        Wrong(
            "an_offline_block_shows_offline_pages",
            """def kpageflags_word(kind, patched):
    words = {"free": BUDDY, "added": OFFLINE, "kernel image": RESERVED, "virtio-mem": OFFLINE | DIRTY}
    words["self-hosted"] = OWNER_PRIVATE | (0 if patched else RESERVED)
    words["Hyper-V"] = OFFLINE | (0 if patched else RESERVED)
    words["DIMM"] = OFFLINE if patched else RESERVED
    return words[kind]
""",
            score=3,
            message="the file shows KPF_NOPAGE alone",
        ),
        Wrong(
            "the_patch_exchanges_the_flag_for_the_type_everywhere",
            """def kpageflags_word(kind, patched):
    mark = OFFLINE if patched else RESERVED
    words = {"free": BUDDY, "added": NOPAGE, "kernel image": mark, "self-hosted": mark | OWNER_PRIVATE}
    return words.get(kind, mark)
""",
            score=0,
            message="boot memory has KPF_RESERVED",
        ),
        Wrong(
            "before_the_patch_nothing_was_offline",
            """def kpageflags_word(kind, patched):
    words = {"free": BUDDY, "added": NOPAGE, "kernel image": RESERVED, "virtio-mem": OFFLINE | DIRTY}
    words["self-hosted"] = OWNER_PRIVATE | (0 if patched else RESERVED)
    words["virtio-mem"] = DIRTY | (OFFLINE if patched else RESERVED)
    return words.get(kind, OFFLINE if patched else RESERVED)
""",
            score=2,
            message="virtio-mem took the flag off",
        ),
        Wrong(
            "self_hosted_pages_stay_offline",
            """def kpageflags_word(kind, patched):
    words = {"free": BUDDY, "added": NOPAGE, "kernel image": RESERVED, "virtio-mem": OFFLINE | DIRTY}
    words["self-hosted"] = OWNER_PRIVATE | (OFFLINE if patched else RESERVED)
    words["Hyper-V"] = OFFLINE | (0 if patched else RESERVED)
    words["DIMM"] = OFFLINE if patched else RESERVED
    return words[kind]
""",
            score=3,
            message="there is something in these pages",
        ),
    ],
)

# ---- init_range ------------------------------------------------------------------------------------

ZONES = {
    "DMA32": ZoneType.DMA32,
    "Normal": ZoneType.NORMAL,
    "Movable": ZoneType.MOVABLE,
    "Device": ZoneType.DEVICE,
}


@cache
def kernel_with_a_section(patched):
    """Return a kernel with a section whose struct pages nobody has initialised."""
    kernel = Machine(patch=PATCHES[patched]).kernel
    kernel.memmap.add_section(START // BLOCK)
    return kernel


def initialised(patched, context, zone, nr_pages, altmap_pages):
    """Return how many struct pages memmap_init_range() initialises, and what they say."""
    kernel = kernel_with_a_section(patched)
    kernel.memmap.poison(START, BLOCK)
    memmap_init_range(kernel, START, nr_pages, ZONES[zone], context, MigrateType.MOVABLE, altmap_pages)
    ((section, at),) = kernel.memmap.spans(START, BLOCK)
    number = int(np.count_nonzero(section.pages.refcount[at] == 1))
    page = kernel.memmap.raw(START)
    if not number:
        return {"pages": 0}
    kind = next((each.value.title() for each in page.types), None)
    return {"pages": number, "reserved": page.reserved, "type": kind, "refcount": page.refcount}


def ask_init(rng, rows, rule):
    """Put the question for these (patched, context, zone, altmap pages)."""
    for patched, context, zone, altmap in rng.sample(rows, len(rows)):
        asked = [patched, context, zone, 512 * rng.randrange(8, 65), altmap]
        if (yield asked) != initialised(*asked):
            return f"{context}, zone {zone}, {'after' if patched else 'before'} the patch: wrong. {rule}"
    return None


def no_mark_at_boot(rng, mine):
    """Boot memory gets no mark, before the patch and after it."""
    rows = [(patched, MEMINIT_EARLY, zone, 0) for patched in (True, False) for zone in ("DMA32", "Normal")]
    return (yield from ask_init(rng, rows, "At boot nobody else runs, and what is kept is marked later."))


def reserved_before(rng, mine):
    """Before the patch hotplugged pages are born PG_reserved."""
    rows = [(False, MEMINIT_HOTPLUG, zone, 0) for zone in ("Normal", "Movable")]
    return (
        yield from ask_init(
            rng, rows, "Before the patch every page of a block that comes online is born PG_reserved."
        )
    )


def offline_after(rng, mine):
    """After the patch hotplugged pages are born Offline, and not reserved."""
    rows = [(True, MEMINIT_HOTPLUG, zone, 0) for zone in ("Normal", "Movable")]
    rule = "The patch puts the type in the place of the flag, and the refcount is 1: not free, until the allocator gets the page."
    return (yield from ask_init(rng, rows, rule))


def device_pages_are_left_alone(rng, mine):
    """Of device memory only the altmap is initialised here, and it is PG_reserved."""
    rows = [(patched, MEMINIT_HOTPLUG, "Device", altmap) for patched in (True, False) for altmap in (0, 512)]
    rule = (
        "The title says !ZONE_DEVICE: there the flag stays. And only the pages of the altmap are initialised here; "
        "memmap_init_zone_device() does the others."
    )
    return (yield from ask_init(rng, rows, rule))


init_range = Question(
    "init_range",
    difficulty=3,
    pattern="implement",
    section="Explain",
    returns=dict[str, int | bool | str | None],
    different=3,
    tests={no_mark_at_boot: 1, reserved_before: 1, offline_after: 2, device_pages_are_left_alone: 2},
    wrong=[
        Wrong(
            "all_pages_are_offline_after_the_patch",
            """def init_range(patched, context, zone, nr_pages, altmap_pages):
    if zone == "Device":
        nr_pages = altmap_pages
    if nr_pages == 0:
        return {"pages": 0}
    if patched:
        return {"pages": nr_pages, "reserved": False, "type": "Offline", "refcount": 1}
    return {"pages": nr_pages, "reserved": context != "MEMINIT_EARLY", "type": None, "refcount": 1}
""",
            score=3,
            message="At boot nobody else runs",
        ),
        Wrong(
            "the_type_is_added_to_the_flag",
            """def init_range(patched, context, zone, nr_pages, altmap_pages):
    if zone == "Device":
        nr_pages = altmap_pages
    if nr_pages == 0:
        return {"pages": 0}
    hot = context == "MEMINIT_HOTPLUG"
    kind = "Offline" if patched and hot and zone != "Device" else None
    return {"pages": nr_pages, "reserved": hot, "type": kind, "refcount": 1}
""",
            score=4,
            message="in the place of the flag",
        ),
        Wrong(
            "device_memory_is_initialised_here",
            """def init_range(patched, context, zone, nr_pages, altmap_pages):
    hot = context == "MEMINIT_HOTPLUG"
    offline = patched and hot and zone != "Device"
    kind = "Offline" if offline else None
    return {"pages": nr_pages, "reserved": hot and not offline, "type": kind, "refcount": 1}
""",
            score=4,
            message="does the others",
        ),
    ],
)

# ---- leave_out -------------------------------------------------------------------------------------


@cache
def dumped(release):
    """Return the encoding of page types of a kernel, and its vmcoreinfo."""
    kernel = Machine(release=release).kernel
    return kernel.memmap.encoding, vmcoreinfo(kernel)


def a_dump(rng, release, more=()):
    """Return words of a dump: pages of all types, pages that are mapped or not, and what is wanted."""
    encoding, note = dumped(release)
    words = [encoding.page_type(encoding.code(kind)) for kind in PageType for _ in range(rng.randrange(1, 4))]
    words += [rng.randrange(1000) for _ in range(4)]
    words += list(more)
    rng.shuffle(words)
    left_out = [at for at, word in enumerate(words) if signed(word) == note["PAGE_OFFLINE_MAPCOUNT_VALUE"]]
    return [words, note], left_out


def found_in_6_12(rng, mine):
    """In a dump of 6.12 the Offline pages are left out, and no others."""
    for _ in range(2):
        arguments, want = a_dump(rng, "6.12")
        if (yield arguments) != want:
            return (
                "A dump of 6.12: the value of Offline is what vmcoreinfo says, -251658240 here. It is a signed number, "
                "and the words of the dump have no sign."
            )
    return None


def found_in_6_1(rng, mine):
    """In a dump of 6.1, too."""
    for _ in range(2):
        arguments, want = a_dump(rng, "6.1")
        if (yield arguments) != want:
            return "A dump of 6.1: here vmcoreinfo says -257. A tool must not have such a value built in, nor look at one bit."
    return None


def mapped_pages_are_kept(rng, mine):
    """A page that is mapped has a small number there, with whatever bits, and is dumped."""
    mapped = [0x1FF, 0x0FF, 0, rng.randrange(0x200), rng.randrange(1 << 16) & ~0x100, 0xFFFFFE7F]
    for release in rng.sample(["6.1", "6.12"], 2):
        arguments, want = a_dump(rng, release, mapped)
        if (yield arguments) != want:
            return (
                f"A dump of {release}: a page that programs map has a small number in this word, and its bits are no types. "
                "Only the whole word, compared with the value in vmcoreinfo, says that a page is Offline and nothing else."
            )
    return None


leave_out = Question(
    "leave_out",
    difficulty=2,
    pattern="bug hunt",
    section="A number that must be looked up",
    returns=list[int],
    tests={found_in_6_12: 1, found_in_6_1: 1, mapped_pages_are_kept: 2},
    wrong=[
        Wrong(
            "there_is_no_bug",
            "def leave_out(words, note):\n    return leave_out_1(words, note)\n",
            0,
            "nor look at one bit",
        ),
        Wrong(
            "the_value_is_built_in",
            "def leave_out(words, note):\n    return [at for at, word in enumerate(words) if word - (1 << 32) == -257]\n",
            score=1,
            message="what vmcoreinfo says",
        ),
        Wrong(
            "words_have_a_sign",
            "def leave_out(words, note):\n"
            "    value = note['PAGE_OFFLINE_MAPCOUNT_VALUE']\n"
            "    return [at for at, word in enumerate(words) if word == value]\n",
            score=0,
            message="the words of the dump have no sign",
        ),
        Wrong(
            "all_bits_of_the_value_must_be_set",
            "def leave_out(words, note):\n"
            "    value = note['PAGE_OFFLINE_MAPCOUNT_VALUE'] & 0xFFFFFFFF\n"
            "    return [at for at, word in enumerate(words) if word & ~value & 0xFFFFFFFF == 0]\n",
            score=0,
            message="the whole word, compared with the value",
        ),
    ],
)

# ---- freed_offline ---------------------------------------------------------------------------------


@cache
def freed(release, check_pages, offset):
    """Free a page that still is Offline, in a zone whose other pages are all free."""
    machine = Machine(release=release, check_pages=check_pages)
    machine.add_memory(START, BLOCK)
    machine.online(32, "online_kernel")
    pages = machine.allocate(offset + 1, "unmovable", block=32)
    last = [pages.pop(pages.index(START + offset))]
    machine.free(pages)
    kernel, zone = machine.kernel, machine.zone("Normal")
    kernel.memmap.set_type(START + offset, 1, PageType.OFFLINE)
    machine.free(last)
    return {
        "reported": any("Bad page state" in line for line in machine.log),
        "free": find_large_buddy(kernel, START + offset, zone) is not None,
        "types": sorted(each.value.title() for each in machine.page(START + offset).types),
    }


def ask_freed(rng, rows, rule):
    """Put the question for these kernels and pages."""
    for release, check_pages, offset in rng.sample(rows, len(rows)):
        if (yield [release, check_pages, offset]) != freed(release, check_pages, offset):
            how = "with" if check_pages else "without"
            return f"{release} {how} page checks, page +{offset}: wrong. {rule}"
    return None


def a_page(rng):
    """Return the offset of a page that will be no head of a free block."""
    return rng.choice([1, 2, 3, 6, 8, 13, 16, 21])


def checked_in_6_1(rng, mine):
    """6.1 checks every page that is freed, whatever its configuration."""
    rows = [("6.1", check_pages, rng.choice([0, a_page(rng)])) for check_pages in (True, False)]
    rule = "6.1 always looks, in free_pages_prepare(). What is wrong is reported, its word is reset, and it goes to no list."
    return (yield from ask_freed(rng, rows, rule))


def checked_in_6_12(rng, mine):
    """6.12 checks if page checks are on."""
    rows = [("6.12", True, offset) for offset in (0, a_page(rng))]
    rule = "With page checks the page is reported and goes to no list; its word stays as it is."
    return (yield from ask_freed(rng, rows, rule))


def the_head_becomes_buddy(rng, mine):
    """Unchecked, the head of the free block gets the type Buddy over the other one."""
    rule = "Nobody looks, and page +0 is the head of the free block: its byte is overwritten, and it has room for one type."
    return (yield from ask_freed(rng, [("6.12", False, 0)], rule))


def others_keep_the_type(rng, mine):
    """Unchecked, a page inside the free block keeps the type."""
    rule = (
        "Nobody looks, and the page becomes part of a free block that begins at +0. Only the head gets the type Buddy; "
        "to the other struct pages nobody writes."
    )
    return (yield from ask_freed(rng, [("6.12", False, a_page(rng))], rule))


freed_offline = Question(
    "freed_offline",
    difficulty=3,
    pattern="predict",
    section="Who notices a mistake",
    returns=dict[str, bool | list[str]],
    different=3,
    tests={checked_in_6_1: 1, checked_in_6_12: 1, the_head_becomes_buddy: 1, others_keep_the_type: 2},
    wrong=[
        Wrong(
            "buddy_is_written_over_it_in_every_page",
            """def freed_offline(release, check_pages, offset):
    if release == "6.1" or check_pages:
        return {"reported": True, "free": False, "types": [] if release == "6.1" else ["Offline"]}
    return {"reported": False, "free": True, "types": ["Buddy"]}
""",
            score=3,
            message="Only the head gets the type Buddy",
        ),
        Wrong(
            "only_kernels_with_page_checks_check",
            """def freed_offline(release, check_pages, offset):
    if check_pages:
        return {"reported": True, "free": False, "types": [] if release == "6.1" else ["Offline"]}
    types = ["Buddy"] if offset == 0 else ["Offline"]
    return {"reported": False, "free": True, "types": types}
""",
            score=4,
            message="6.1 always looks",
        ),
        Wrong(
            "reported_and_freed_all_the_same",
            """def freed_offline(release, check_pages, offset):
    types = ["Buddy"] if offset == 0 else ["Offline"]
    return {"reported": release == "6.1" or check_pages, "free": True, "types": types}
""",
            score=3,
            message="goes to no list",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "page-offline",
    chapter=7,
    questions=[count_marks, kpageflags_word, init_range, leave_out, freed_offline],
)
