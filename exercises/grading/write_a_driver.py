"""Grading of `write-a-driver`, the exercises to chapter 18: write a driver.

The model solutions stand in exercises/source/write-a-driver/write-a-driver.ipynb. A stage is judged by what is seen after each
step of a script: errnos, what the driver returns, counters, and each sub-block. What must be seen follows from the rules below,
which know neither the driver nor the simulator; invariants and the kernel's complaints are judged by the simulator. The driver runs
with the student's notebook, and could say anything of what it saw: what it called is done again here, and looked at here.
"""

from memsim.errors import MemsimError
from memsim.grading import Assignment, Limits, Question, Wrong
from memsim.lesson.own_driver import drive
from memsim.lesson.own_driver.calls import replayed

BLOCK, EACH, SUB_BLOCK = 32768, 64, 512
SOMEBODY = 40
PLAYING = Limits(60, 600, answer_kib=16384)  # what a driver calls may be a line for each page


class Seen:
    """What must be seen of a right driver, step by step, where nothing is in use.

    Rules: a plugged sub-block of an online block is free (f), another one is Offline with a reference (o);
    managed and free count what is f; offlining works unless somebody refuses or pins; plug takes the lowest,
    unplug the highest.
    """

    def __init__(self):
        """Begin with nothing."""
        self.plugged = [False] * (2 * EACH)
        self.state = {}
        self.loaded = True
        self.vetoes = []

    def step(self, name, *args):
        """Return (errno, what is returned, managed, blocks) after a step; blocks as the harness shows them."""
        errno, returned = getattr(self, name.replace(" ", "_"))(*args) or ("", None)
        blocks = {str(block): self.shown(block) for block in sorted(self.state)}
        managed = SUB_BLOCK * sum(
            shown.split(" ")[-1].count("f") for shown in blocks.values() if shown != "offline "
        )
        return errno, returned, managed, blocks

    def shown(self, block):
        """Return a block as the harness shows it."""
        if self.state[block] == "offline":
            return "offline "
        if block == SOMEBODY:
            return "online " + "f" * EACH
        mine = self.plugged[EACH * (block - 32) : EACH * (block - 31)]
        return "online " + "".join("f" if plugged else "o" for plugged in mine)

    def add(self, number):
        """Back a sub-block, and have its block added."""
        self.plugged[number] = True
        self.state.setdefault(32 + number // EACH, "offline")

    def back(self, *numbers):
        """Back some sub-blocks."""
        for number in numbers:
            self.add(number)

    def plug(self, count):
        """Plug the lowest."""
        numbers = [number for number, plugged in enumerate(self.plugged) if not plugged][:count]
        self.back(*numbers)
        return "", len(numbers)

    def unplug(self, count):
        """Unplug the highest."""
        numbers = [number for number, plugged in enumerate(self.plugged) if plugged][-count:]
        for number in numbers:
            self.plugged[number] = False
        return "", len(numbers)

    def online(self, block):
        """Bring a block online."""
        self.state[block] = "online"

    def offline(self, block):
        """Take a block offline, unless somebody refuses."""
        if self.state[block] == "online" and self.vetoes:
            self.vetoes.pop()
            return "EPERM", None
        self.state[block] = "offline"
        return None

    def dimm(self):
        """Add a block of somebody else."""
        self.state[SOMEBODY] = "offline"

    def veto(self, action, _first):
        """Have the next offline refused."""
        self.vetoes.append(action)

    def unload(self):
        """Remove all blocks, and go."""
        for block in (32, 33):
            self.state.pop(block, None)
        self.plugged = [False] * (2 * EACH)
        self.loaded = False
        return "", True

    def other_driver(self):
        """Set another callback."""
        return ("EINVAL", None) if self.loaded else ("", None)


def play(script):
    """Have a script played, and play it again with what the driver has called."""
    told = yield [script]
    try:
        return drive(replayed(told.get("calls")), script).report()
    except MemsimError as error:  # as it was loaded
        return {"seen": [], "wrong": [[0, str(error)]]}


def judged(script, rule):
    """Play a script; compare each step with what must be seen."""
    told = yield from play(script)
    broken = told.get("wrong")
    if broken or len(told["seen"]) != len(script):
        where = f" Step {broken[0][0]}: {broken[0][1]}." if broken else ""
        return f"Something broke in {script}.{where} {rule}"
    expected = Seen()
    for number, (step, seen) in enumerate(zip(script, told["seen"], strict=True)):
        errno, returned, managed, blocks = expected.step(*step)
        want = {"errno": errno, "returned": returned, "managed": managed, "free": managed, "blocks": blocks}
        wrong = [key for key, value in want.items() if seen.get(key) != value]
        if wrong:
            return f"{wrong[0]} is wrong after step {number}, {step}, of {script}. {rule}"
    return None


def all_of(scripts, rule):
    """Judge several scripts."""
    for script in scripts:
        message = yield from judged(script, rule)
        if message:
            return message
    return None


# ---- stage 1 ---------------------------------------------------------------------------------------


def some(rng, numbers):
    """Return a step that backs some sub-blocks, and leaves some out."""
    return ["back", *sorted(rng.sample(numbers, rng.randrange(8, len(numbers) - 8)))]


def part_of_a_block(rng, mine):
    """A part of a block."""
    rule = "online_page() is called with chunks of 1,024 pages, and a sub-block has 512: look at each."
    half = ["back", *range(0, EACH, 2)]
    return (yield from all_of([[half, ["online", 32]], [some(rng, range(EACH)), ["online", 32]]], rule))


def memory_of_others(rng, mine):
    """Memory of others."""
    rule = "There is one callback for all memory. What is not in your region goes to generic_online_page()."
    script = [["dimm"], some(rng, range(EACH)), ["online", SOMEBODY], ["online", 32]]
    return (yield from judged(script, rule))


def both_blocks(rng, mine):
    """Both blocks of the region."""
    rule = "Number sub-blocks from the beginning of the region, not of the block."
    script = [some(rng, range(EACH)), some(rng, range(EACH, 2 * EACH)), ["online", 33], ["online", 32]]
    return (yield from judged(script, rule))


PLAY = "\n\ndef {stage}(script):\n    return drive({driver}, script).report()\n"


def stage(name, driver, code):
    """Return a wrong solution: the class, and the function of its stage."""
    return code + PLAY.format(stage=name, driver=driver)


ONLINE = "class Online(Driver):\n    def online_page(self, pfn, order):\n"
stage_online = Question(
    "stage_online",
    difficulty=3,
    pattern="implement",
    section="Stage 1: the online callback",
    returns=dict,
    memsim=True,
    limits=PLAYING,
    tests={part_of_a_block: 2, memory_of_others: 1, both_blocks: 2},
    wrong=[
        Wrong(
            "the_first_page_speaks_for_its_chunk",
            stage(
                "stage_online",
                "Online",
                ONLINE + "        number = self.sub_block(pfn)\n"
                "        if number is None or self.plugged[number]:\n"
                "            self.kernel.generic_online_page(pfn, order)\n",
            ),
            score=0,
            message="look at each",
        ),
        Wrong(
            "all_memory_is_mine",
            stage(
                "stage_online",
                "Online",
                ONLINE + "        for first in range(pfn, pfn + (1 << order), 512):\n"
                "            number = self.sub_block(first)\n"
                "            if number is not None and self.plugged[number]:\n"
                "                self.kernel.generic_online_page(first, 9)\n",
            ),
            score=4,
            message="one callback for all memory",
        ),
        Wrong(
            "numbers_begin_with_the_block",
            stage(
                "stage_online",
                "Online",
                ONLINE + "        if self.sub_block(pfn) is None:\n"
                "            self.kernel.generic_online_page(pfn, order)\n            return\n"
                "        for first in range(pfn, pfn + (1 << order), 512):\n"
                "            if self.plugged[first % 32768 // 512]:\n"
                "                self.kernel.generic_online_page(first, 9)\n",
            ),
            score=3,
            message="from the beginning of the region",
        ),
    ],
)

# ---- stage 2 ---------------------------------------------------------------------------------------


def going_and_coming(rng, mine):
    """Blocks go offline and come back."""
    rule = "An Offline page with a reference keeps its block online: drop it on MEM_GOING_OFFLINE. When a block comes online, its struct pages are initialised again."
    script = [some(rng, range(EACH)), ["dimm"], ["online", 32], ["online", SOMEBODY]]
    return (
        yield from judged(
            [*script, ["offline", 32], ["online", 32], ["offline", SOMEBODY], ["offline", 32]], rule
        )
    )


def cancelled_behind(rng, mine):
    """Another listener refuses behind the driver."""
    rule = "You have dropped the references and the block stays online: take them back on MEM_CANCEL_OFFLINE."
    script = [some(rng, range(EACH)), ["online", 32], ["veto", "MEM_GOING_OFFLINE", False]]
    return (yield from judged([*script, ["offline", 32], ["offline", 32]], rule))


def cancelled_before(rng, mine):
    """Another listener refuses before the driver hears of it."""
    rule = "MEM_CANCEL_OFFLINE goes to all listeners, also to those that have not heard MEM_GOING_OFFLINE: remember whether you dropped anything."
    script = [some(rng, range(EACH)), ["online", 32], ["veto", "MEM_GOING_OFFLINE", True]]
    return (yield from judged([*script, ["offline", 32], ["offline", 32]], rule))


NOTIFIED = (
    "class Notified(Online):\n    def load(self):\n        super().load()\n"
    "        self.kernel.register_memory_notifier(self.memory_notifier)\n\n"
    "    def memory_notifier(self, action, start_pfn, nr_pages):\n"
    "        for pfn in self.withheld(start_pfn, nr_pages):\n"
    "            if action == 'MEM_GOING_OFFLINE':\n                self.kernel.page_ref_dec(pfn, 512)\n"
)
stage_notifier = Question(
    "stage_notifier",
    difficulty=4,
    pattern="implement",
    section="Stage 2: the memory notifier",
    returns=dict,
    memsim=True,
    limits=PLAYING,
    tests={going_and_coming: 2, cancelled_behind: 2, cancelled_before: 2},
    wrong=[
        Wrong(
            "the_core_takes_care_of_offline_pages",
            stage("stage_notifier", "Notified", "class Notified(Online):\n    pass\n"),
            score=0,
            message="keeps its block online",
        ),
        Wrong(
            "a_cancel_needs_nothing",
            stage("stage_notifier", "Notified", NOTIFIED),
            score=4,
            message="take them back on MEM_CANCEL_OFFLINE",
        ),
        Wrong(
            "every_cancel_follows_a_going",
            stage(
                "stage_notifier",
                "Notified",
                NOTIFIED + "            elif action == 'MEM_CANCEL_OFFLINE':\n"
                "                self.kernel.page_ref_inc(pfn, 512)\n",
            ),
            score=4,
            message="remember whether you dropped anything",
        ),
    ],
)

# ---- stage 3 ---------------------------------------------------------------------------------------


def while_offline(rng, mine):
    """Plug and unplug while blocks are offline."""
    rule = "The struct pages of a block that is offline mean nothing: there is only your bitmap."
    first, less = rng.randrange(20, 60), rng.randrange(1, 15)
    script = [
        ["plug", first],
        ["unplug", less],
        ["online", 32],
        ["offline", 32],
        ["plug", less],
        ["online", 32],
    ]
    return (yield from judged(script, rule))


def while_online(rng, mine):
    """Plug and unplug while blocks are online."""
    rule = "Taking pages from the buddy does not change what is managed, and giving them does: adjust_managed_page_count()."
    first = rng.randrange(20, 60)
    script = [
        ["plug", first],
        ["online", 32],
        ["plug", 100 - first],
        ["online", 33],
        ["unplug", rng.randrange(50, 90)],
    ]
    return (yield from judged([*script, ["plug", 5], ["offline", 32], ["offline", 33]], rule))


def what_is_in_use(rng, mine):
    """A pinned page keeps its sub-block."""
    rule = "alloc_contig_range() may fail: nothing has changed then, and the next lower sub-block may work."
    plugged = rng.randrange(10, 40)
    script = [
        ["plug", plugged],
        ["online", 32],
        ["pin", 32],
        ["unplug", plugged],
        ["unpin"],
        ["unplug", plugged],
    ]
    told = yield from play(script)
    if told.get("wrong"):
        return f"Something broke in {script}: {told['wrong'][0][1]}. {rule}"
    seen = told.get("seen", [])
    want = [plugged, 1, (plugged - 1, SUB_BLOCK), (1, 0)]
    found = [
        seen[0]["returned"],
        seen[3]["blocks"]["32"].count("u"),
        (seen[3]["returned"], seen[3]["managed"]),
        (seen[5]["returned"], seen[5]["managed"]),
    ]
    return None if found == want else f"Wrong after {script}. {rule}"


def random_script(rng, mine):
    """Random scripts."""
    rule = "Every step alone is right: look at which one went before."
    scripts = [drawn(rng, rng.randrange(20, 60)) for _ in range(2)]
    return (yield from all_of(scripts, rule))


def drawn(rng, plugged):
    """Return a script that unplugs while a block is offline, while it is online, and goes on at random."""
    script = [
        ["plug", plugged],
        ["unplug", rng.randrange(1, 10)],
        ["online", 32],
        ["unplug", rng.randrange(1, 10)],
    ]
    state = {32: "online"}
    for _ in range(6):
        name = rng.choice(["plug", "unplug", "flip", "flip"])
        if name == "flip":
            block = rng.choice(sorted(state))
            state[block] = "offline" if state[block] == "online" else "online"
            script.append([state[block], block])
            continue
        script.append([name, rng.randrange(1, 50)])
        if sum(step[1] if step[0] == "plug" else -step[1] for step in script if "plug" in step[0]) > EACH:
            state.setdefault(33, "offline")
    return script


PLUG = (
    "class Plugging(Notified):\n    def plug(self, count):\n"
    "        numbers = [n for n, there in enumerate(self.plugged) if not there][:count]\n"
    "        for n in numbers:\n            self.back(n)\n"
    "            if self.kernel.pfn_to_online_page(self.pfn_of(n)):\n"
    "                self.kernel.generic_online_page(self.pfn_of(n), 9)\n        return len(numbers)\n\n"
    "    def unplug(self, count):\n        done = 0\n        for n in reversed(range(len(self.plugged))):\n"
    "            if self.plugged[n] and done < count and self.taken(self.pfn_of(n)):\n"
    "                self.plugged[n] = False\n                done += 1\n        return done\n\n"
    "    def taken(self, pfn):\n        if not self.kernel.pfn_to_online_page(pfn):\n            return True\n"
)
ADJUST = "        self.kernel.adjust_managed_page_count(pfn, -512)\n"
TAKE = (
    "        try:\n            self.kernel.alloc_contig_range(pfn, 512)\n"
    "        except KernelError:\n            return False\n"
)
MARK = "        self.kernel.SetPageOffline(pfn, 512)\n"
stage_plug = Question(
    "stage_plug",
    difficulty=4,
    pattern="implement",
    section="Stage 3: plug and unplug",
    returns=dict,
    memsim=True,
    limits=PLAYING,
    tests={while_offline: 2, while_online: 2, what_is_in_use: 2, random_script: 2},
    wrong=[
        Wrong(
            "taking_pages_uncounts_them",
            stage("stage_plug", "Plugging", PLUG + TAKE + MARK + "        return True\n"),
            score=2,
            message="does not change what is managed",
        ),
        Wrong(
            "count_first",
            stage("stage_plug", "Plugging", PLUG + ADJUST + TAKE + MARK + "        return True\n"),
            score=6,
            message="nothing has changed then",
        ),
        Wrong(
            "only_online_memory_can_be_unplugged",
            stage(
                "stage_plug",
                "Plugging",
                PLUG.replace("            return True\n", "            return False\n")
                + TAKE
                + MARK
                + ADJUST
                + "        return True\n",
            ),
            score=4,
            message="only your bitmap",
        ),
    ],
)

# ---- stage 4 ---------------------------------------------------------------------------------------


def leaves(rng, mine):
    """Everything can go."""
    rule = "Leave nothing behind: another driver must be able to set its callback, and other memory to come online."
    plugged = rng.randrange(10, 100)
    script = [["plug", plugged], ["online", 32], ["unload"], ["other driver"]]
    return (yield from judged(script, rule))


def others_come_after(rng, mine):
    """Memory of others, when the driver is gone."""
    rule = "Without a callback generic_online_page() is called. Blocks that you have removed are not there any more."
    script = [["plug", rng.randrange(65, 128)], ["online", 33], ["unload"], ["dimm"], ["online", SOMEBODY]]
    return (yield from judged([*script, ["offline", SOMEBODY]], rule))


def stays(rng, mine):
    """A block cannot go."""
    rule = "A block that stays online has pages that only you can let go of. Stay, and keep callback and listener."
    plugged = rng.randrange(70, 120)
    script = [["plug", plugged], ["online", 32], ["pin", 32], ["unload"], ["other driver"], ["unpin"]]
    told = yield from play([*script, ["unplug", 1], ["offline", 32], ["unload"]])
    if told.get("wrong"):
        return f"Something broke in {script}: {told['wrong'][0][1]}. {rule}"
    seen = told.get("seen", [])
    found = [
        seen[3]["returned"],
        sorted(seen[3]["blocks"]),
        seen[4]["errno"],
        seen[7]["errno"],
        seen[8]["returned"],
    ]
    return None if found == [False, ["32"], "EINVAL", "", True] else f"Wrong after {script}. {rule}"


UNLOAD = (
    "class Unloading(Plugging):\n    def unload(self):\n        for block, added in enumerate(self.added):\n"
    "            if added:\n                try:\n"
    "                    self.kernel.offline_and_remove_memory(self.start_pfn + block * 32768, 32768)\n"
    "                except KernelError:\n                    continue\n"
    "                self.added[block] = False\n"
    "                self.plugged[64 * block : 64 * block + 64] = [False] * 64\n"
)
GONE = (
    "        self.kernel.unregister_memory_notifier(self.memory_notifier)\n"
    "        self.kernel.restore_online_page_callback(self.online_page)\n        return True\n"
)
stage_unload = Question(
    "stage_unload",
    difficulty=5,
    pattern="design",
    section="Stage 4: unloading",
    returns=dict,
    memsim=True,
    limits=PLAYING,
    different=3,
    tests={leaves: 2, others_come_after: 2, stays: 2},
    wrong=[
        Wrong(
            "who_is_told_to_go_goes",
            stage("stage_unload", "Unloading", UNLOAD + GONE),
            score=4,
            message="only you can let go of",
        ),
        Wrong(
            "the_callback_goes_with_the_module",
            stage(
                "stage_unload",
                "Unloading",
                UNLOAD + "        if any(self.added):\n            return False\n"
                "        self.kernel.unregister_memory_notifier(self.memory_notifier)\n        return True\n",
            ),
            score=4,
            message="set its callback",
        ),
        Wrong(
            "memory_stays_where_it_is",
            stage("stage_unload", "Unloading", "class Unloading(Plugging):\n    def unload(self):\n" + GONE),
            score=0,
            message="Leave nothing behind",
        ),
    ],
)

ASSIGNMENT = Assignment(
    "write-a-driver", chapter=18, questions=[stage_online, stage_notifier, stage_plug, stage_unload]
)
