"""Grading of `virtio-mem`, the exercises to chapter 9: half a block.

The model solutions stand in exercises/source/virtio-mem/virtio-mem.ipynb. What a device does to its pages comes from the
simulator; which kernel made a recording is known from the recordings. The cores that call a student's driver here follow
offline_pages() and online_pages(), mm/memory_hotplug.c.
"""

from functools import cache
from random import Random

from memsim import Machine
from memsim.grading import Assignment, Question, Wrong
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.recordings.observation import bundled

START, BLOCK, SUB_BLOCK = 0x100000, 32768, 512
DEVICE = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": START,
    "region_pages": 4 * BLOCK,
    "device_block_pages": SUB_BLOCK,
}


def half_online(plugged):
    """Return a machine with block 32 online in zone Movable, so many of its sub-blocks plugged."""
    machine = Machine(devices=[DEVICE])
    machine.devices["vm0"].request(plugged * SUB_BLOCK)
    machine.online(32, "online_movable")
    return machine


# ---- plug_story ------------------------------------------------------------------------------------


@cache
def after_requests(plugged, requests):
    """Return what the simulator counts after these requests."""
    machine = half_online(plugged)
    for request in requests:
        machine.devices["vm0"].request(request * SUB_BLOCK)
    pages = machine.kernel.memmap.section(START).pages
    offline = machine.kernel.memmap.encoding.where(pages.type, PageType.OFFLINE)
    dirty = pages.flags & PageFlag.DIRTY != 0
    zone = machine.zone("Movable")
    return {
        "present": zone.present_pages,
        "managed": zone.managed_pages,
        "dirty": int((offline & dirty).sum()),
        "clean": int((offline & ~dirty).sum()),
    }


def ups_and_downs(rng):
    """Return one of 24 stories that shrink below where they began, grow beyond it, and shrink again."""
    numbers = Random(rng.randrange(24))  # noqa: S311 (no secret: so few stories that all of them are soon known)
    plugged = numbers.randrange(20, 40)
    down, up = numbers.randrange(5, plugged - 2), numbers.randrange(plugged + 3, 60)
    return plugged, (down, up, numbers.randrange(down + 1, plugged))


def judged_by(rng, keys, rule):
    """Compare these keys with the simulator, for two stories and their beginnings."""
    plugged, requests = ups_and_downs(rng)
    for length in (0, 1, 2, 3):
        story = yield [plugged, list(requests[:length])]
        want = after_requests(plugged, requests[:length])
        wrong = [key for key in keys if story.get(key) != want[key]]
        if wrong:
            asked = (
                f" and then {', '.join(str(request) for request in requests[:length])} requested"
                if length
                else ""
            )
            return f"{wrong[0]} is wrong with {plugged} sub-blocks plugged{asked}. {rule}"
    return None


def present_does_not_ask(rng, mine):
    """Present counts the whole block whatever is plugged."""
    rule = "online_pages() has added the whole block to present, and neither plugging nor unplugging touches that."
    return (yield from judged_by(rng, ["present"], rule))


def managed_follows(rng, mine):
    """Managed follows the plugged size."""
    rule = (
        "virtio_mem_fake_online() and virtio_mem_fake_offline() keep managed at what is plugged: adjust_managed_page_count() "
        "or generic_online_page() counts each page once."
    )
    return (yield from judged_by(rng, ["managed"], rule))


def dirty_remembers(rng, mine):
    """PG_dirty tells which withheld pages never were with the buddy."""
    rule = (
        "PG_dirty means that a withheld page never went through generic_online_page() since its block came online. "
        "Plugging takes the lowest sub-blocks that are not plugged, unplugging the highest that are: which of them have been with the buddy?"
    )
    return (yield from judged_by(rng, ["dirty", "clean"], rule))


HEAD = "def plug_story(plugged, requests):\n    now = requests[-1] if requests else plugged\n"
plug_story = Question(
    "plug_story",
    difficulty=2,
    pattern="compute",
    section="Plug and unplug",
    returns=dict[str, int],
    tests={present_does_not_ask: 1, managed_follows: 1, dirty_remembers: 3},
    wrong=[
        Wrong(
            "unplugged_pages_stay_managed",
            HEAD + "    top = max([plugged, *requests])\n"
            "    return {'present': 32768, 'managed': top * 512, 'dirty': (64 - top) * 512, 'clean': (top - now) * 512}\n",
            score=4,
            message="keep managed at what is plugged",
        ),
        Wrong(
            "present_is_what_is_plugged",
            HEAD + "    top = max([plugged, *requests])\n"
            "    return {'present': now * 512, 'managed': now * 512, 'dirty': (64 - top) * 512, 'clean': (top - now) * 512}\n",
            score=4,
            message="present is wrong",
        ),
        Wrong(
            "every_withheld_page_is_dirty",
            HEAD
            + "    return {'present': 32768, 'managed': now * 512, 'dirty': (64 - now) * 512, 'clean': 0}\n",
            score=2,
            message="which of them have been with the buddy",
        ),
        Wrong(
            "what_was_plugged_later_is_not_remembered",
            HEAD + "    top = max(plugged, now)\n"
            "    return {'present': 32768, 'managed': now * 512, 'dirty': (64 - top) * 512, 'clean': (top - now) * 512}\n",
            score=2,
            message="dirty is wrong",
        ),
    ],
)

# ---- virtio_mem_notifier ---------------------------------------------------------------------------


def driver_at_rest(rng):
    """Return the size of a block and the driver's state while it is online: the zone has other pages too."""
    block, withheld, others = 64, rng.randrange(10, 50), rng.randrange(100, 1000)
    return block, {"active": False, "managed": others + block - withheld, "refcounts": [1] * withheld}


def a_block_goes_offline(rng, mine):
    """After a successful offlining, exactly the pages that were managed are gone from the counter."""
    for patched in rng.sample([False, True], 2):
        block, rest = driver_at_rest(rng)
        withheld = len(rest["refcounts"])
        state = yield [patched, "MEM_GOING_OFFLINE", rest]
        if state.get("refcounts") != [0] * withheld:
            return "At MEM_GOING_OFFLINE the driver lets go of its withheld pages: offline_pages() forgets none that has a reference."
        if type(state.get("managed")) is not int or type(state.get("active")) is not bool:
            return "The state has lost managed (a number) or active (True or False)."
        state["managed"] -= block - withheld if patched else block  # the core
        state = yield [patched, "MEM_OFFLINE", state]
        if state.get("managed") != rest["managed"] - (block - withheld):
            return (
                f"{'After' if patched else 'Before'} the patch, managed is wrong when the block is gone. offline_pages() subtracts "
                f"{'what is not Offline' if patched else 'all pages of the block, those that never were managed too'}: "
                "what must the driver add or subtract before?"
            )
        if state.get("active") is not False:
            return "MEM_OFFLINE ends what MEM_GOING_OFFLINE began: nothing is left to cancel."
    return None


def a_later_listener_says_no(rng, mine):
    """When it is cancelled, all is as it was."""
    for patched in rng.sample([False, True], 2):
        _, rest = driver_at_rest(rng)
        state = yield [patched, "MEM_GOING_OFFLINE", rest]
        if state == rest:
            return "MEM_GOING_OFFLINE has changed nothing, so there is nothing to take back."
        state = yield [patched, "MEM_CANCEL_OFFLINE", state]
        if state != rest:
            return "MEM_CANCEL_OFFLINE takes back what MEM_GOING_OFFLINE did: references, managed, and the note that something is going on."
    return None


def an_earlier_listener_says_no(rng, mine):
    """A cancellation of what the driver was never asked about changes nothing."""
    for patched in rng.sample([False, True], 2):
        _, rest = driver_at_rest(rng)
        if (yield [patched, "MEM_GOING_OFFLINE", rest]) == rest:
            return "MEM_GOING_OFFLINE has changed nothing: a driver that never does anything has nothing to undo."
        state = yield [patched, "MEM_CANCEL_OFFLINE", rest]
        if state != rest:
            return (
                "A listener before this one said no, so the driver was not asked, and it hears MEM_CANCEL_OFFLINE all the same. "
                "What tells it that it has nothing to undo? (virtio-mem: hotplug_active.)"
            )
    return None


def references_are_counted(rng, mine):
    """The driver drops its own reference, not those of others."""
    _, rest = driver_at_rest(rng)
    rest["refcounts"][rng.randrange(len(rest["refcounts"]))] += 1
    for patched in (True, False):
        state = yield [patched, "MEM_GOING_OFFLINE", rest]
        if state.get("refcounts") != [count - 1 for count in rest["refcounts"]]:
            return "Other code holds a reference to a page for a moment. page_ref_dec() drops one reference and leaves that one."
    return None


DRIVER = (
    "def virtio_mem_notifier(patched, action, state):\n"
    "    refs, managed, active = state['refcounts'], state['managed'], state['active']\n"
    "    fake = 0 if patched else len(refs)\n"
)
REST = "    return {'active': active, 'managed': managed, 'refcounts': refs}\n"
virtio_mem_notifier = Question(
    "virtio_mem_notifier",
    difficulty=3,
    pattern="implement",
    section="Offline and online again",
    returns=dict[str, bool | int | list[int]],
    tests={
        a_block_goes_offline: 2,
        a_later_listener_says_no: 2,
        an_earlier_listener_says_no: 2,
        references_are_counted: 1,
    },
    wrong=[
        Wrong(
            "a_cancellation_needs_no_work",
            DRIVER + "    if action == 'MEM_GOING_OFFLINE':\n"
            "        active, managed, refs = True, managed + fake, [n - 1 for n in refs]\n"
            "    else:\n"
            "        active = False\n" + REST,
            score=5,
            message="takes back what MEM_GOING_OFFLINE did",
        ),
        Wrong(
            "the_sign_is_the_other_way_round",
            DRIVER + "    if action == 'MEM_GOING_OFFLINE':\n"
            "        active, managed, refs = True, managed - fake, [n - 1 for n in refs]\n"
            "    elif action == 'MEM_CANCEL_OFFLINE' and active:\n"
            "        active, managed, refs = False, managed + fake, [n + 1 for n in refs]\n"
            "    elif action == 'MEM_OFFLINE':\n"
            "        active = False\n" + REST,
            score=5,
            message="what must the driver add or subtract before",
        ),
        Wrong(
            "a_cancellation_is_always_mine",
            DRIVER + "    if action == 'MEM_GOING_OFFLINE':\n"
            "        active, managed, refs = True, managed + fake, [n - 1 for n in refs]\n"
            "    elif action == 'MEM_CANCEL_OFFLINE':\n"
            "        active, managed, refs = False, managed - fake, [n + 1 for n in refs]\n"
            "    elif action == 'MEM_OFFLINE':\n"
            "        active = False\n" + REST,
            score=5,
            message="hears MEM_CANCEL_OFFLINE all the same",
        ),
        Wrong(
            "the_driver_still_pretends_after_the_patch",
            DRIVER + "    fake = len(refs)\n"
            "    if action == 'MEM_GOING_OFFLINE':\n"
            "        active, managed, refs = True, managed + fake, [n - 1 for n in refs]\n"
            "    elif action == 'MEM_CANCEL_OFFLINE' and active:\n"
            "        active, managed, refs = False, managed - fake, [n + 1 for n in refs]\n"
            "    elif action == 'MEM_OFFLINE':\n"
            "        active = False\n" + REST,
            score=5,
            message="After the patch, managed is wrong",
        ),
        Wrong(
            "references_are_set_to_0_and_1",
            DRIVER + "    if action == 'MEM_GOING_OFFLINE':\n"
            "        active, managed, refs = True, managed + fake, [0 for n in refs]\n"
            "    elif action == 'MEM_CANCEL_OFFLINE' and active:\n"
            "        active, managed, refs = False, managed - fake, [1 for n in refs]\n"
            "    elif action == 'MEM_OFFLINE':\n"
            "        active = False\n" + REST,
            score=6,
            message="leaves that one",
        ),
    ],
)

# ---- which_kernel ----------------------------------------------------------------------------------

GUEST = ["enter:__offline_isolated_pages", "notifier:MEM_CANCEL_OFFLINE"]


@cache
def recorded():
    """Return (probes, which kernel) of each time that a partly plugged block went offline in a recording."""
    found = []
    for name, step in (
        *((f"6.12base-{side}-vmem", step) for side in ("before", "after") for step in (9, 12)),
        ("6.1-vmem", 7),
        ("6.12-vmem", 7),
    ):
        one = bundled(name)
        probes = [
            {"at": probe["at"], **{key: probe["zones"]["Movable"][key] for key in ("managed", "present")}}
            for probe in one.probes
            if probe["step"] == step
        ]
        found.append((probes, "after" if one.patch else "before"))
    return found


def made_up(rng, patched, ends, withheld):
    """Return probes of a block of which some pages are withheld, by the rules of chapter 9."""
    managed = BLOCK - withheld
    inside = managed + (0 if patched else withheld)
    if ends == "MEM_OFFLINE":
        rows = [(GUEST[0], inside, BLOCK), ("notifier:MEM_OFFLINE", 0, 0), ("done", 0, 0)]
    else:
        rows = [(GUEST[1], inside, BLOCK), ("done", managed, BLOCK)]
    rows.insert(0, ("notifier:MEM_GOING_OFFLINE", managed, BLOCK))
    return [{"at": at, "managed": value, "present": present} for at, value, present in rows]


def real_recordings(rng, mine):
    """Recordings of real kernels."""
    for probes, kernel in rng.sample(recorded(), len(recorded())):
        if (yield [probes]) != kernel:
            return (
                "Wrong for a recording of a real kernel. Before 3/3, virtio-mem counts its withheld pages as managed from MEM_GOING_OFFLINE on, "
                "because offline_pages() will subtract them; with it nobody pretends."
            )
    return None


def offlining_that_fails(rng, mine):
    """An attempt that ends as it began tells as well."""
    for patched in rng.sample([True, False], 2):
        for ends in ("MEM_CANCEL_OFFLINE", "MEM_OFFLINE"):
            probes = made_up(rng, patched, ends, SUB_BLOCK * rng.randrange(1, 60))
            if (yield [probes]) != ("after" if patched else "before"):
                return (
                    f"Wrong for an attempt that ends with {ends}. The values at the end are the same on both kernels: look in between. "
                    "At a notifier probe, no listener has been called yet."
                )
    return None


def nothing_to_see(rng, mine):
    """Where nothing differs, nobody can tell."""
    told = set()
    for patched in (True, False):  # who says so of every trace has read none
        told.add((yield [made_up(rng, patched, "MEM_OFFLINE", SUB_BLOCK * rng.randrange(1, 60))]))
    if len(told) < 2 or "cannot tell" in told:
        return "Some pages are withheld, and a probe is there from while the driver may pretend: such probes differ."
    for patched in rng.sample([True, False], 2):
        if (yield [made_up(rng, patched, "MEM_OFFLINE", 0)]) != "cannot tell":
            return "Nothing of this block is withheld: present and managed are the same when it begins. What would a driver pretend?"
        probes = made_up(rng, patched, "MEM_OFFLINE", SUB_BLOCK * rng.randrange(1, 60))
        probes = [probe for probe in probes if probe["at"] not in GUEST]
        if (yield [probes]) != "cannot tell":
            return "All probes are from before the driver was called or from after the core has subtracted. There the kernels agree."
    return None


which_kernel = Question(
    "which_kernel",
    difficulty=2,
    pattern="which kernel",
    section="Offline and online again",
    returns=str,
    tests={real_recordings: 2, offlining_that_fails: 2, nothing_to_see: 2},
    wrong=[
        Wrong(
            "the_values_at_the_end_tell",
            "def which_kernel(probes):\n    return 'before' if probes[-1]['managed'] < probes[0]['managed'] else 'after'\n",
            score=0,
            message="look in between",
        ),
        Wrong(
            "no_jump_means_after",
            "def which_kernel(probes):\n"
            "    return 'before' if max(p['managed'] for p in probes) > probes[0]['managed'] else 'after'\n",
            score=4,
            message="What would a driver pretend",
        ),
        Wrong(
            "the_patch_made_managed_jump",
            "def which_kernel(probes):\n"
            "    first, inside = probes[0], [p['managed'] for p in probes if p['at'] in\n"
            "        ('enter:__offline_isolated_pages', 'notifier:MEM_CANCEL_OFFLINE')]\n"
            "    if not inside or first['managed'] == first['present']:\n"
            "        return 'cannot tell'\n"
            "    return 'after' if inside[0] > first['managed'] else 'before'\n",
            score=2,
            message="with it nobody pretends",
        ),
    ],
)

# ---- mixed_chunk -----------------------------------------------------------------------------------


@cache
def played(plugged, requests):
    """Return what at most was plugged at once, and managed at the end.

    2: a chunk of order 10 of which one half is dirty; 1: sub-blocks that differ, in chunks of their own; 0: neither.
    """
    machine = half_online(plugged)
    device, most = machine.devices["vm0"], 0
    for request in requests:
        before = device.mode.plugged[32].copy()
        dirty = [bool(machine.page(START + SUB_BLOCK * sb).flags & PageFlag.DIRTY) for sb in range(64)]
        device.request(request * SUB_BLOCK)
        new = [sb for sb in range(64) if device.mode.plugged[32][sb] and not before[sb]]
        most = max(most, len({dirty[sb] for sb in new}) - 1)
        # virtio_mem_fake_online() takes the largest order to which start and number are both aligned.
        if (
            new
            and new[0] % 2 == 0
            and len(new) % 2 == 0
            and any(dirty[sb] != dirty[sb + 1] for sb in new[::2])
        ):
            most = 2
    return most, machine.zone("Movable").managed_pages


def an_execution(rng, ask_odd, wanted):
    """Ask for an execution that plugs what is wanted; return (what is wrong with it, the answer, managed at the end)."""
    plugged = 2 * rng.randrange(10, 22) + ask_odd
    answer = yield [plugged]
    requests = answer.get("requests")
    if type(requests) is not list or any(type(request) is not int for request in requests):
        return "requests is not a list of numbers.", answer, 0
    if len(requests) > 6 or not all(1 <= request <= 64 for request in requests):
        return "Use at most six requests, each of 1 to 64 sub-blocks.", answer, 0
    most, managed = played(plugged, tuple(requests))
    if most < wanted:
        rule = "virtio_mem_fake_online() takes an order of 10 only where the first pfn and the number of pages are both multiples of 1,024."
        told = f"With {plugged} sub-blocks plugged, these requests make no chunk of two sub-blocks that differ. {rule}"
        return told, answer, 0
    return None, answer, managed


def there_is_such_a_chunk(rng, mine):
    """The requests make a chunk of which one half never was online and the other half was."""
    for odd in rng.sample([0, 1], 2):
        wrong, _, _ = yield from an_execution(rng, odd, 2)
        if wrong:
            return wrong
    return None


def managed_says(rng, mine):
    """The counter afterwards is what the execution shows, with such a chunk or with two for it."""
    for odd in rng.sample([0, 1], 2):
        wrong, answer, managed = yield from an_execution(rng, odd, 1)
        if wrong:
            return wrong
        if answer.get("managed") != managed:
            return (
                "managed is wrong at the end. The first page decides how the *whole* chunk is freed, and each of the two ways counts "
                "each page once."
            )
    return None


def the_verdict(rng, mine):
    """The verdict is right, after an execution in which sub-blocks that differ were plugged at once."""
    for odd in rng.sample([0, 1], 2):
        wrong, answer, _ = yield from an_execution(rng, odd, 1)
        if wrong:
            return wrong
        if answer.get("bug") is not False:
            return (
                "Say what goes wrong: no page keeps the type Offline, each has refcount 0 afterwards, PG_dirty is cleared by freeing "
                "(free_pages_prepare()), and managed has grown by the size of the chunk."
            )
    return None


mixed_chunk = Question(
    "mixed_chunk",
    difficulty=4,
    pattern="bug hunt",
    section="A flag as a memory",
    returns=dict[str, bool | int | list[int]],
    different=3,
    tests={there_is_such_a_chunk: 4, managed_says: 2, the_verdict: 1},
    wrong=[
        Wrong(
            "managed_is_counted_twice",
            "def mixed_chunk(plugged):\n"
            "    if plugged % 2:\n"
            "        return {'requests': [plugged - 1, plugged + 1], 'managed': (plugged + 2) * 512, 'bug': True}\n"
            "    return {'requests': [plugged + 1, plugged, plugged + 2], 'managed': (plugged + 3) * 512, 'bug': True}\n",
            score=4,
            message="counts each page once",
        ),
        Wrong(
            "sub_blocks_of_a_chunk_are_alike",
            "def mixed_chunk(plugged):\n    return {'requests': [], 'managed': plugged * 512, 'bug': False}\n",
            score=0,
            message="make no chunk of two sub-blocks that differ",
        ),
        Wrong(
            "alignment_does_not_matter",
            "def mixed_chunk(plugged):\n"
            "    return {'requests': [plugged - 1, plugged + 1], 'managed': (plugged + 1) * 512, 'bug': False}\n",
            score=3,
            message="both multiples of 1,024",
        ),
        Wrong(
            "each_chunk_has_an_order_of_its_own",
            "def mixed_chunk(plugged):\n"
            "    first = [plugged - 1] if plugged % 2 else [plugged + 1, plugged]\n"
            "    size = first[-1] + 3\n"
            "    return {'requests': [*first, size], 'managed': size * 512, 'bug': False}\n",
            score=3,
            message="both multiples of 1,024",
        ),
    ],
)

# ---- remembering_driver ----------------------------------------------------------------------------

PAGES = 32


class Core:
    """A block of 32 pages and a driver that a student wrote: what memory hotplug does around it."""

    def __init__(self, rng):
        self.rng = rng
        self.memory, self.online, self.backed = {}, False, set()
        self.types, self.refcounts = ["?"] * PAGES, [0] * PAGES

    def call(self, event, pages):
        """Call the driver; returns its pages, or a message."""
        answer = yield [self.memory, event, sorted(pages), list(self.types)]
        memory, named = answer.get("memory"), answer.get("pages")
        if type(memory) is not dict or type(named) is not list:
            return "Return a dict with memory (a dict) and pages (a list)."
        self.memory = memory
        strange = [page for page in named if not 0 <= page < PAGES]
        if strange:
            return f"At {event!r}, the driver names page {strange[0]}, which is not in the block."
        if len(set(named)) < len(named):
            return f"At {event!r}, the driver names a page twice."
        return named

    def free(self, pages):
        """Give pages to the buddy; returns a message for the first that must not go there."""
        for page in pages:
            if self.types[page] == "Buddy":
                return f"Page {page} is given to the buddy, where it is already."
            if page not in self.backed:
                return (
                    f"Page {page} is given to the buddy, and the host does not back it. When a block comes online, memmap_init_range() writes "
                    "all its struct pages anew: what was withheld before cannot be read from them."
                )
            self.types[page], self.refcounts[page] = "Buddy", 0
        missing = [page for page in sorted(self.backed) if self.types[page] != "Buddy"]
        if missing:
            return (
                f"Page {missing[0]} is backed, its block is online, and the driver keeps it from the buddy."
            )
        return None

    def plug(self, pages):
        """The host backs pages."""
        self.backed |= set(pages)
        named = yield from self.call("plug", pages)
        if isinstance(named, str):
            return named
        if not self.online and named:
            return "The block is offline: it has no struct pages that mean anything, and nothing goes to the buddy."
        return self.free(named) if self.online else None

    def unplug(self, pages):
        """The host takes pages back; the core has already taken them from the buddy."""
        self.backed -= set(pages)
        for page in pages if self.online else ():
            self.types[page], self.refcounts[page] = "Offline", 1
        named = yield from self.call("unplug", pages)
        return named if isinstance(named, str) else None

    def go_online(self):
        """Initialise all struct pages and let the driver say which go to the buddy."""
        self.online = True
        self.types, self.refcounts = ["Offline"] * PAGES, [1] * PAGES
        named = yield from self.call("online", range(PAGES))
        return named if isinstance(named, str) else self.free(named)

    def ask(self):
        """Send MEM_GOING_OFFLINE; afterwards every page must be free or released."""
        named = yield from self.call("going offline", range(PAGES))
        if isinstance(named, str):
            return named
        for page in named:
            self.refcounts[page] -= 1
            if self.refcounts[page] < 0:
                return f"Page {page} is free, so it has no reference that the driver could drop."
        held = [page for page in range(PAGES) if self.refcounts[page]]
        if held:
            return (
                f"Page {held[0]} is withheld and still has a reference: scan_movable_pages() ends with EBUSY."
            )
        return None

    def cancel(self, was_asked):
        """Send MEM_CANCEL_OFFLINE."""
        named = yield from self.call("cancel offline", range(PAGES))
        if isinstance(named, str):
            return named
        if not was_asked:
            return (
                "This driver was not asked, and it takes references that it never dropped." if named else None
            )
        for page in named:
            self.refcounts[page] += 1
        wrong = [page for page in range(PAGES) if self.refcounts[page] != (self.types[page] == "Offline")]
        return (
            f"Page {wrong[0]} has the wrong refcount after the cancellation: withheld pages have 1, free ones 0."
            if wrong
            else None
        )

    def go_offline(self):
        """Ask, and forget the block."""
        wrong = yield from self.ask()
        if wrong:
            return wrong
        self.online = False
        self.types, self.refcounts = ["?"] * PAGES, [0] * PAGES
        named = yield from self.call("offline", range(PAGES))
        return named if isinstance(named, str) else None

    def some(self, of, how_many):
        """Return some pages out of ``of``."""
        return sorted(self.rng.sample(sorted(of), how_many))


def story(*steps):
    """Go through the steps of a story until one of them is wrong."""
    for step in steps:
        wrong = yield from step()
        if wrong:
            return wrong
    return None


def the_first_time(rng, mine):
    """When the block comes online first, the pages that are backed go to the buddy, and no others."""
    core = Core(rng)
    pages = core.some(range(PAGES), 10)
    return (yield from story(lambda: core.plug(pages), core.go_online))


def nothing_leaks(rng, mine):
    """Pages that were unplugged while the block was online stay away from the buddy when it comes online again."""
    core = Core(rng)
    pages = core.some(range(PAGES), 16)
    gone, later = core.some(pages, 5), core.some(pages, 1)
    return (
        yield from story(
            lambda: core.plug(pages),
            core.go_online,
            lambda: core.unplug(gone),
            core.go_offline,
            core.go_online,
            core.go_offline,
            lambda: core.unplug([page for page in later if page in core.backed]),
            core.go_online,
        )
    )


def nothing_is_lost(rng, mine):
    """Pages that were plugged while the block was online are there again when it comes online again."""
    core = Core(rng)
    pages = core.some(range(PAGES), 10)
    more = core.some(set(range(PAGES)) - set(pages), 6)
    return (
        yield from story(
            lambda: core.plug(pages), core.go_online, lambda: core.plug(more), core.go_offline, core.go_online
        )
    )


def it_lets_go_and_takes_back(rng, mine):
    """References are dropped and taken back, and a cancellation without a question is nobody's."""
    core = Core(rng)
    pages = core.some(range(PAGES), 16)
    return (
        yield from story(
            lambda: core.plug(pages),
            core.go_online,
            lambda: core.cancel(was_asked=False),
            core.ask,
            lambda: core.cancel(was_asked=True),
            lambda: core.cancel(was_asked=False),
            core.go_offline,
        )
    )


NOTES = (
    "def remembering_driver(memory, event, pages, types):\n"
    "    backed, asked = set(memory.get('backed', [])), bool(memory.get('asked'))\n"
    "    online, named = bool(memory.get('online')), []\n"
    "    withheld = [p for p in pages if p not in backed]\n"
)
NOTED = "    return {'memory': {'backed': sorted(backed), 'asked': [1] * asked, 'online': [1] * online}, 'pages': named}\n"
remembering_driver = Question(
    "remembering_driver",
    difficulty=5,
    pattern="design",
    section="Offline and online again",
    returns=dict[str, dict[str, list[int]] | list[int]],
    tests={the_first_time: 1, nothing_leaks: 3, nothing_is_lost: 2, it_lets_go_and_takes_back: 2},
    wrong=[
        Wrong(
            "what_comes_online_is_there",
            NOTES + "    if event == 'online':\n        named = pages\n" + NOTED,
            score=0,
            message="the host does not back it",
        ),
        Wrong(
            "the_memmap_keeps_what_is_withheld",
            NOTES + "    if event == 'plug':\n"
            "        backed, named = backed | set(pages), pages if online else []\n"
            "    elif event == 'online':\n"
            "        online, named = True, [p for p in pages if p in backed]\n"
            "    elif event == 'unplug' and not online:\n"
            "        backed -= set(pages)\n"  # while it is online, the type Offline says it
            "    elif event == 'going offline':\n"
            "        asked, named = True, [p for p in pages if types[p] == 'Offline']\n"
            "    elif event == 'cancel offline' and asked:\n"
            "        asked, named = False, [p for p in pages if types[p] == 'Offline']\n"
            "    elif event == 'offline':\n"
            "        asked = online = False\n" + NOTED,
            score=5,
            message="cannot be read from them",
        ),
        Wrong(
            "what_is_plugged_online_need_not_be_noted",
            NOTES + "    if event == 'plug':\n"
            "        named = pages if online else []\n"
            "        backed |= set() if online else set(pages)\n"
            "    elif event == 'unplug':\n"
            "        backed -= set(pages)\n"
            "    elif event == 'online':\n"
            "        online, named = True, [p for p in pages if p in backed]\n"
            "    elif event == 'going offline':\n"
            "        asked, named = True, [p for p in pages if types[p] == 'Offline']\n"
            "    elif event == 'cancel offline' and asked:\n"
            "        asked, named = False, [p for p in pages if types[p] == 'Offline']\n"
            "    elif event == 'offline':\n"
            "        asked = online = False\n" + NOTED,
            score=6,
            message="keeps it from the buddy",
        ),
        Wrong(
            "a_cancellation_is_always_mine",
            NOTES + "    if event == 'plug':\n"
            "        backed, named = backed | set(pages), pages if online else []\n"
            "    elif event == 'unplug':\n"
            "        backed -= set(pages)\n"
            "    elif event == 'online':\n"
            "        online, named = True, [p for p in pages if p in backed]\n"
            "    elif event in ('going offline', 'cancel offline'):\n"
            "        named = withheld\n"
            "    elif event == 'offline':\n"
            "        online = False\n" + NOTED,
            score=6,
            message="This driver was not asked",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "virtio-mem",
    chapter=9,
    questions=[plug_story, which_kernel, virtio_mem_notifier, mixed_chunk, remembering_driver],
)
