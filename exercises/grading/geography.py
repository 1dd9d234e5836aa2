"""Grading of `geography`, the exercises to chapter 3: blocks, zones, and what their counters count.

All numbers come from the simulator, which the recordings of real kernels judge; the rules are those of
mm/memory_hotplug.c and drivers/virtio/virtio_mem.c, 6.12.
"""

from functools import cache

from memsim import Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.arch.x86.mm.init_64 import probe_memory_block_size
from memsim.linux.include.layout import PAGES_PER_SECTION, pageblock_start_pfn, pfn_to_section_nr

BLOCK = PAGES_PER_SECTION
START = 32 * BLOCK
GIB = 1 << 18

# ---- places ----------------------------------------------------------------------------------------


def pageblock_and_section(rng, mine):
    """Pageblocks of 512 and sections of 32,768 pages are pure arithmetic."""
    for gib in rng.sample([2, 16, 72, 96, 130, 512], 4):
        pfn = rng.randrange(gib * GIB)
        answer = yield [gib, pfn]
        if answer.get("pageblock") != pageblock_start_pfn(pfn):
            return f"pfn {pfn:#x}: the pageblock is wrong. It starts at a multiple of 512 pages (pageblock_start_pfn())."
        if answer.get("section") != pfn_to_section_nr(pfn):
            return (
                f"pfn {pfn:#x}: the section is wrong. A section has 32,768 pages, whatever the machine "
                "(pfn_to_section_nr())."
            )
    return None


def small_machines(rng, mine):
    """Below 64 GiB a memory block is one section."""
    for gib in (rng.randrange(1, 32), rng.choice([32, 48]), 63):
        pfn = rng.randrange(gib * GIB)
        answer = yield [gib, pfn]
        if answer.get("block") != pfn // probe_memory_block_size(gib * GIB):
            return f"{gib} GiB: the number of the block is wrong. A machine with less than 64 GiB has blocks of 128 MiB."
    return None


def large_machines(rng, mine):
    """From 64 GiB on, a block of a virtual machine is as large as divides its memory, up to 2 GiB."""
    for gib in (64, rng.choice([66, 98, 130]), 2 * rng.randrange(40, 200) + 1, 4 * rng.randrange(20, 100)):
        pfn = rng.randrange(gib * GIB * 3 // 4, gib * GIB)
        answer = yield [gib, pfn]
        if answer.get("block") != pfn // probe_memory_block_size(gib * GIB):
            return (
                f"{gib} GiB: the number of the block is wrong. probe_memory_block_size() takes the largest "
                "power of two that divides the memory, and at most 2 GiB."
            )
    return None


places = Question(
    "places",
    difficulty=1,
    pattern="compute",
    section="Grids on the same ground",
    returns=dict[str, int],
    tests={pageblock_and_section: 1, small_machines: 1, large_machines: 2},
    wrong=[
        Wrong(
            "a_block_is_always_a_section",
            "def places(gib, pfn):\n"
            "    return {'pageblock': pfn // 512 * 512, 'section': pfn // 32768, 'block': pfn // 32768}\n",
            score=2,
            message="largest power of two that divides the memory",
        ),
        Wrong(
            "all_large_machines_have_blocks_of_2_gib",
            "def places(gib, pfn):\n"
            "    size = 32768 if gib < 64 else 1 << 19\n"
            "    return {'pageblock': pfn // 512 * 512, 'section': pfn // 32768, 'block': pfn // size}\n",
            score=2,
            message="largest power of two that divides the memory",
        ),
        Wrong(
            "a_section_is_as_large_as_a_block",
            "def places(gib, pfn):\n"
            "    size = 32768 if gib < 64 else min(1 << 19, (gib & -gib) << 18)\n"
            "    return {'pageblock': pfn // 512 * 512, 'section': pfn // size, 'block': pfn // size}\n",
            score=3,
            message="A section has 32,768 pages, whatever the machine",
        ),
    ],
)

# ---- moves -----------------------------------------------------------------------------------------


def seen(machine):
    """Return the three counters: of zone Movable, and MemTotal."""
    zone = machine.zone("Movable")
    return {"spanned": zone.spanned_pages, "present": zone.present_pages, "MemTotal": machine.totalram_pages}


def dimm():
    """Return a machine, and what happens to its DIMM: each event as a function."""
    machine = Machine()
    return machine, {
        "add": lambda: machine.add_memory(START, BLOCK),
        "online": lambda: machine.online(32, "online_movable"),
        "offline": lambda: machine.offline(32),
        "remove": lambda: machine.remove_memory(START, BLOCK),
    }


def virtio_mem(plugged, pages):
    """Return a machine with a block of which the host has given ``plugged`` pages, and its events."""
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": START, "region_pages": BLOCK}
    machine = Machine(devices=[{**device, "device_block_pages": 512, "requested_pages": plugged}])
    host = machine.devices["vm0"]
    return machine, {
        "online": lambda: machine.online(32, "online_movable"),
        "plug": lambda: host.request(plugged + pages),
        "unplug": lambda: host.request(plugged - pages),
        "offline": lambda: machine.offline(32),
    }


def hyper_v(pages):
    """Return a machine whose block Hyper-V backs as a whole, and its events."""
    machine = Machine(devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.devices["hv0"].hot_add(START, BLOCK)
    return machine, {
        "online": lambda: machine.online(32, "online_movable"),
        "inflate": lambda: machine.devices["hv0"].inflate(pages),
    }


@cache
def moved(event, plugged, pages):
    """Return by how much the last of the events up to ``event`` moves the counters."""
    if event == "inflate":
        machine, events = hyper_v(pages)
    elif plugged == BLOCK and not pages:
        machine, events = dimm()
    else:
        machine, events = virtio_mem(plugged, pages)
    skipped = {"plug", "unplug"} - {event}
    for name in (name for name in events if name not in skipped):
        before = seen(machine)
        events[name]()
        if name == event:
            break
    after = seen(machine)
    return {key: after[key] - before[key] for key in after}


def judge(asked, answer, rules):
    """Return the rule of the first counter that is wrong."""
    want = moved(*asked)
    for key, rule in rules.items():
        if answer.get(key) != want[key]:
            return f"{asked[0]}, {asked[1]:,} pages of the block given, {asked[2]:,} moved: {key} is wrong. {rule}"
    return None


def added_is_not_counted(rng, mine):
    """Memory that is added or removed is offline, and no counter knows it."""
    for event in rng.sample(["add", "remove"], 2):
        asked = [event, BLOCK, 0]
        rule = "add_memory() and remove_memory() move no counter of a zone: the block is offline, and in no zone."
        message = judge(asked, (yield asked), dict.fromkeys(("MemTotal", "present", "spanned"), rule))
        if message:
            return message
    return None


def whole_blocks_and_what_is_given(rng, mine):
    """Online and offline: present and spanned by the block, MemTotal by what the allocator was given."""
    for event, plugged in (
        ("online", BLOCK),
        ("online", 512 * rng.randrange(1, 64)),
        ("offline", 512 * rng.randrange(1, 64)),
    ):
        asked = [event, plugged, 0]
        rules = {
            "spanned": "The zone is just this block, so its span comes and goes with it.",
            "present": "adjust_present_page_count() moves present by the whole block, whatever is withheld.",
            "MemTotal": "MemTotal is managed: the pages that the allocator was given, without those that are withheld.",
        }
        message = judge(asked, (yield asked), rules)
        if message:
            return message
    return None


def in_an_online_block_only_memtotal_moves(rng, mine):
    """Plug, unplug, inflate: MemTotal moves, and nothing else."""
    for event in rng.sample(["plug", "unplug", "inflate"], 3):
        pages = 512 * rng.choice([1, 4, 11])
        plugged = BLOCK if event == "inflate" else 512 * rng.choice([17, 20, 32, 43])
        asked = [event, plugged, pages]
        rules = {
            "present": "Present is moved for whole blocks, as they come online and go offline. A driver does not move it.",
            "spanned": "The zone reaches as far as before.",
            "MemTotal": "The allocator gets or loses these pages, so the driver calls adjust_managed_page_count().",
        }
        message = judge(asked, (yield asked), rules)
        if message:
            return message
    return None


moves = Question(
    "moves",
    difficulty=2,
    pattern="predict",
    section="Explain",
    returns=dict[str, int],
    tests={
        added_is_not_counted: 1,
        whole_blocks_and_what_is_given: 2,
        in_an_online_block_only_memtotal_moves: 2,
    },
    wrong=[
        Wrong(
            "memtotal_grows_when_memory_is_added",
            """def moves(event, given, pages):
    block = {"add": 0, "online": 32768, "offline": -32768, "remove": 0}.get(event, 0)
    total = {"add": given, "remove": -given, "plug": pages, "unplug": -pages, "inflate": -pages}.get(event, 0)
    return {"spanned": block, "present": block, "MemTotal": total}
""",
            score=2,
            message="the block is offline, and in no zone",
        ),
        Wrong(
            "present_follows_the_host",
            """def moves(event, given, pages):
    block = {"online": 32768, "offline": -32768}.get(event, 0)
    total = {"online": given, "offline": -given, "plug": pages, "unplug": -pages, "inflate": -pages}.get(event, 0)
    return {"spanned": block, "present": total, "MemTotal": total}
""",
            score=1,
            message="A driver does not move it",
        ),
        Wrong(
            "offlining_takes_the_whole_block_from_memtotal",
            """def moves(event, given, pages):
    block = {"online": 32768, "offline": -32768}.get(event, 0)
    total = {"online": 32768, "offline": -32768, "plug": pages, "unplug": -pages, "inflate": -pages}.get(event, 0)
    return {"spanned": block, "present": block, "MemTotal": total}
""",
            score=3,
            message="without those that are withheld",
        ),
    ],
)

# ---- spans -----------------------------------------------------------------------------------------


def counters(machine):
    """Return first pfn, spanned and present pages of the two zones, as the question asks for them."""
    zones = {name: machine.zone(name) for name in ("Normal", "Movable")}
    return {
        name: [zone.zone_start_pfn, zone.spanned_pages, zone.present_pages]
        if zone.spanned_pages
        else [0, 0, 0]
        for name, zone in zones.items()
    }


def lived(steps):
    """Return the counters of a machine whose blocks come online and go offline in this order."""
    machine = Machine()
    for number in sorted({number for _, number in steps}):
        machine.add_memory(number * BLOCK, BLOCK)
    for how, number in steps:
        if how == "offline":
            machine.offline(number)
        else:
            machine.online(number, "online_movable" if how == "Movable" else "online_kernel")
    return counters(machine)


def compare_spans(steps, answer):
    """Return which counter of which zone is wrong, and the rule."""
    names = ("the first pfn", "spanned", "present")
    rules = (
        "A zone begins with its first block that is online.",
        "A zone spans from its first to its last page; when it loses a block, shrink_zone_span() looks only whether that was its first or its last.",
        "Present counts the blocks of this zone that are online, and no holes.",
    )
    for zone, want in lived(steps).items():
        given = answer.get(zone, [])
        if len(given) != 3:
            return f"Zone {zone} has three numbers: first pfn, spanned, present."
        for at in (2, 0, 1):
            if given[at] != want[at]:
                told = ", ".join(f"{how} {number}" for how, number in steps)
                return f"{told}: {names[at]} of zone {zone} is wrong. {rules[at]}"
    return None


def spans_grow(rng, mine):
    """A zone grows to hold a block, and may grow over blocks of the other zone."""
    first, second, third = sorted(rng.sample(range(33, 48), 3))
    one, other = rng.sample(["Normal", "Movable"], 2)
    steps = rng.sample([[one, first], [other, second], [one, third]], 3)
    return compare_spans(steps, (yield [steps]))


def a_hole_is_still_spanned(rng, mine):
    """A zone that loses a block in its middle keeps its span."""
    first, second, third = sorted(rng.sample(range(33, 48), 3))
    zone = rng.choice(["Normal", "Movable"])
    steps = [*rng.sample([[zone, first], [zone, second], [zone, third]], 3), ["offline", second]]
    return compare_spans(steps, (yield [steps]))


def spans_shrink_at_the_ends(rng, mine):
    """A zone that loses its first or last block shrinks to the next block of its own."""
    for at in rng.sample([0, 3], 2):
        blocks = sorted(rng.sample(range(33, 65, 2), 4))
        one, other = rng.sample(["Normal", "Movable"], 2)
        zones = [one, other, one, one] if at == 0 else [one, one, other, one]
        online = [[zone, number] for zone, number in zip(zones, blocks, strict=True)]
        steps = [*rng.sample(online, 4), ["offline", blocks[at]]]
        message = compare_spans(steps, (yield [steps]))
        if message:
            return message
    return None


def an_empty_zone(rng, mine):
    """A zone without blocks begins nowhere and spans nothing."""
    number, other = rng.sample(range(33, 48), 2)
    steps = [["Normal", number], ["Movable", other], ["offline", number]]
    return compare_spans(steps, (yield [steps]))


spans = Question(
    "spans",
    difficulty=3,
    pattern="implement",
    section="Explain",
    returns=dict[str, list[int]],
    tests={spans_grow: 2, a_hole_is_still_spanned: 1, spans_shrink_at_the_ends: 2, an_empty_zone: 1},
    wrong=[
        Wrong(
            "spanned_is_present",
            """def spans(steps):
    zones = {"Normal": set(), "Movable": set()}
    for how, number in steps:
        for mine in zones.values():
            mine.discard(number)
        if how != "offline":
            zones[how].add(number)
    return {n: [min(b, default=0) * 32768, len(b) * 32768, len(b) * 32768] for n, b in zones.items()}
""",
            score=1,
            message="spans from its first to its last page",
        ),
        Wrong(
            "a_span_never_shrinks",
            """def spans(steps):
    zones, seen = {"Normal": set(), "Movable": set()}, {"Normal": set(), "Movable": set()}
    for how, number in steps:
        for mine in zones.values():
            mine.discard(number)
        if how != "offline":
            zones[how].add(number)
            seen[how].add(number)
    return {
        n: [min(s, default=0) * 32768, (max(s) - min(s) + 1) * 32768 if s else 0, len(zones[n]) * 32768]
        for n, s in seen.items()
    }
""",
            score=3,
            message="begins with its first block that is online",
        ),
        Wrong(
            "every_block_that_leaves_shortens_the_span",
            """def spans(steps):
    zones, span = {"Normal": set(), "Movable": set()}, {"Normal": 0, "Movable": 0}
    for how, number in steps:
        if how == "offline":
            for name, mine in zones.items():
                if number in mine:
                    mine.discard(number)
                    span[name] -= 32768
        else:
            zones[how].add(number)
            span[how] = (max(zones[how]) - min(zones[how]) + 1) * 32768
    return {n: [min(b, default=0) * 32768, span[n], len(b) * 32768] for n, b in zones.items()}
""",
            score=3,
            message="looks only whether that was its first or its last",
        ),
    ],
)

# ---- what_happened ---------------------------------------------------------------------------------

DIMM = 40


def snapshot(machine):
    """Return the counters of zone Movable, and the free pages of all other zones."""
    zone = machine.zone("Movable")
    others = (each for each in machine.kernel.state.zones if each is not zone)
    return {
        "spanned": zone.spanned_pages,
        "present": zone.present_pages,
        "managed": zone.managed_pages,
        "free": zone.nr_free_pages,
        "free elsewhere": sum(each.nr_free_pages for each in others),
    }


def a_day(rng):
    """Return a machine with a half-plugged block, and everything that may happen on it."""
    machine, events = virtio_mem(512 * rng.randrange(16, 32), 512 * rng.randrange(1, 12))
    held = []
    events["allocate"] = lambda: held.extend(machine.allocate(rng.randrange(1, 100), block=32))
    events["free"] = lambda: machine.free(held)
    events["add"] = lambda: machine.add_memory(DIMM * BLOCK, BLOCK)
    events["remove"] = lambda: machine.remove_memory(DIMM * BLOCK, BLOCK)
    return machine, events


def ask_about(rng, names, rule):
    """Let these events happen one after the other, and put the question for each."""
    machine, events = a_day(rng)
    if names[0] != "online":
        events["online"]()
    for name in names:
        before = snapshot(machine)
        events[name]()
        after = snapshot(machine)
        answer = yield [before, after]
        if answer != name:
            changed = [key for key in before if before[key] != after[key]]
            return f"What changed: {', '.join(changed)}. You say {answer[:20]!r}. {rule}"
    return None


def only_the_memmap_is_paid(rng, mine):
    """Adding and removing memory shows only in the memory that holds its struct pages."""
    return (
        yield from ask_about(
            rng,
            ["add", "remove"],
            "512 pages of other memory became struct pages, or came back: the only sign of a block that was added.",
        )
    )


def present_tells_whole_blocks(rng, mine):
    """Present moves when a block comes online or goes offline, and then only."""
    return (
        yield from ask_about(
            rng,
            ["online", "offline"],
            "Present moves by whole blocks: adjust_present_page_count() has two callers, online and offline.",
        )
    )


def managed_tells_the_driver_from_the_program(rng, mine):
    """Managed moves when a driver gives or takes pages, and not when a program does."""
    return (
        yield from ask_about(
            rng,
            ["allocate", *rng.sample(["plug", "free"], 2), "unplug"],
            "Free moves with both. Managed counts pages in use, too: a program does not move it, "
            "and a driver that takes pages away does.",
        )
    )


what_happened = Question(
    "what_happened",
    difficulty=2,
    pattern="trace",
    section="Explain",
    returns=str,
    different=3,
    tests={
        only_the_memmap_is_paid: 1,
        present_tells_whole_blocks: 1,
        managed_tells_the_driver_from_the_program: 2,
    },
    wrong=[
        Wrong(
            "free_tells_it_all",
            """def what_happened(before, after):
    d = {key: after[key] - before[key] for key in before}
    if d["present"]:
        return "online" if d["present"] > 0 else "offline"
    if d["free"]:
        return "free" if d["free"] > 0 else "allocate"
    return "add" if d["free elsewhere"] < 0 else "remove"
""",
            score=2,
            message="a program does not move it",
        ),
        Wrong(
            "what_is_less_present_was_unplugged",
            """def what_happened(before, after):
    d = {key: after[key] - before[key] for key in before}
    if d["managed"]:
        return "plug" if d["managed"] > 0 else "unplug"
    if d["free"]:
        return "free" if d["free"] > 0 else "allocate"
    return "add" if d["free elsewhere"] < 0 else "remove"
""",
            score=3,
            message="Present moves by whole blocks",
        ),
        Wrong(
            "added_memory_is_present",
            """def what_happened(before, after):
    d = {key: after[key] - before[key] for key in before}
    if d["present"]:
        return "add" if d["present"] > 0 else "remove"
    if d["managed"]:
        return "plug" if d["managed"] > 0 else "unplug"
    return "free" if d["free"] > 0 else "allocate"
""",
            score=2,
            message="512 pages of other memory became struct pages",
        ),
    ],
)

ASSIGNMENT = Assignment("geography", chapter=3, questions=[places, moves, spans, what_happened])
