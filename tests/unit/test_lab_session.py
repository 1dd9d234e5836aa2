"""Whole scripts of the lab, on a guest that the simulator imitates: no QEMU, and so in the normal tier.

The imitated guest answers the commands that a session sends, and stops where a session wants it to. What it
records must agree with the simulator, for any seed; and a guest that runs another kernel must not.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import pytest

from memsim import AFTER, BEFORE, Machine
from memsim.errors import KernelError
from memsim.recordings.verify import verify
from memsim.release import ACTIONS, RELEASES
from memsim.state.trace import Probe
from tests.lab.errors import LabError
from tests.lab.scripts import (
    FIRST_BLOCK,
    NR_BLOCKS,
    PMEM_BLOCK,
    Abilities,
    Plan,
    View,
    VirtioMem,
    choose,
    plan_of,
    story,
)
from tests.lab.session import ERRNO_WORDS, Session, write

from .test_lab import LAYOUT, ImitatedMemory

N = 32768
FIRST = 1 << 20
"""The priority of a listener that hears before all others."""
WORDS = {name: words for words, name in ERRNO_WORDS.items()}


class ImitatedGuest:
    """A guest whose kernel is the simulator."""

    def __init__(self, plan, release="6.12", patch=AFTER):
        devices = []
        if plan.device is not None:
            start = FIRST_BLOCK * N + plan.device.offset * 256
            spec = {"kind": "virtio-mem", "name": "vm0", "start_pfn": start, "requested_pages": 0}
            sizes = {"region_pages": plan.device.region * 256, "device_block_pages": plan.device.block * 256}
            devices = [spec | sizes]
        self.machine = Machine(
            [(0, 131072)],
            patch,
            release,
            devices=devices,
            default_online_type=plan.default,
            memmap_on_memory=plan.memmap_on_memory,
        )
        self.release = RELEASES[release]
        self.version = f"Linux version {release}.1-imitated (builder) #1"
        self.symbols = {"vmemmap_base": 0, "memory_chain": 0xFFFFFFFF82000000}
        self.monitor = self
        self.commands = []
        self._stops = {}
        self._dimms = {}
        self._pfn = 0
        self.machine.register_memory_notifier(self._notified, priority=FIRST)
        self.machine.kernel.put_trace(Probe(self._entered))

    # ---- where it stops --------------------------------------------------------------------------

    def _notified(self, action, start_pfn, _):
        self._pfn = start_pfn
        if "blocking_notifier_call_chain" in self._stops:
            number = self.release.action_number(action)
            for chain in (0, self.symbols["memory_chain"]):  # the first is another chain
                self._stops["blocking_notifier_call_chain"]({"rdi": chain, "rsi": number, "rdx": 0})

    def _entered(self, point):
        name = point.removeprefix("enter:").partition("#")[0]
        if point.startswith("enter:") and name in self._stops:
            self._stops[name]({"rdi": self._pfn})

    def read(self, _, size):
        return bytes(size)

    def read_word(self, _):
        return self._pfn

    @contextmanager
    def paused(self):
        yield

    def run_stopping(self, command, stops, *, before=None):
        self._stops = stops
        try:
            if before is not None:
                before()
            return self.run(command)
        finally:
            self._stops = {}

    # ---- what it does ----------------------------------------------------------------------------

    def run(self, command):
        """Do what a command of the shell would do; return what it prints, and its exit status."""
        self.commands.append(command)
        try:
            return self._do(command), 0
        except KernelError as error:
            return f"sh: write error: {WORDS.get(error.name, '')}", 143 if error.name == "EINTR" else 1

    def _do(self, command):
        if written := re.search(r"echo (\w+) > \S+/memory(\d+)/state", command):
            word, block = written[1], int(written[2])
            self.machine.offline(block) if word == "offline" else self.machine.online(block, word)
        elif poisoned := re.search(r"echo (0x\w+) > \S+/hard_offline_page", command):
            self.machine.poison(int(poisoned[1], 16) // 4096)
        elif command.startswith("cd "):
            return self._blocks()
        elif command.startswith("ls "):
            return "virtio2\n"
        elif "unbind" in command:
            self.machine.devices["vm0"].remove()
        elif "mount -t tmpfs" in command:
            zones = {b.block_id: b.zone for b in self.machine.kernel.memory_blocks.values() if b.zone}
            movable = next(block for block, zone in zones.items() if zone.name == "Movable")
            self._pinned = self.machine.pin(movable)
        elif command.startswith("killall"):
            self.machine.unpin(self._pinned)
        elif command.startswith("insmod"):
            self.machine.memremap_pages(PMEM_BLOCK * N, N, "fs_dax")
        return ""

    def _blocks(self):
        lines = [
            f"block {block.block_id} {block.state} {block.zone.name if block.zone else 'Normal Movable'}"
            for block in self.machine.kernel.memory_blocks.values()
            if FIRST_BLOCK <= block.block_id < FIRST_BLOCK + NR_BLOCKS
        ]
        return "\n".join([*lines, "running 1/60"])

    def ask(self, command, **arguments):
        """Do what the monitor of QEMU would do."""
        match command:
            case "object-add":
                self._dimms[arguments["id"].replace("m", "d")] = arguments["size"]
            case "device_add" if arguments["driver"] == "pc-dimm":
                start, size = arguments["addr"] // 4096, self._dimms[arguments["id"]] // 4096
                self._dimms[arguments["id"]] = (start, size)
                self.machine.add_memory(start, size)
            case "device_del":
                start, size = self._dimms[arguments["id"]]
                for block in range(start // N, (start + size) // N):
                    if self.machine.block(block).state == "online":
                        self.machine.offline(block)
                self.machine.remove_memory(start, size)
            case "qom-set":
                self.machine.devices["vm0"].request(arguments["value"] // 4096)
            case "qom-get":
                return self.machine.devices["vm0"].plugged_pages() * 4096
        return None


def layout(release):
    """Return the layout whose actions have the numbers of a release."""
    chosen = RELEASES[release]
    kind = {"inverted-bits": "inverted-bits"}.get(chosen.encoding.name, "byte")
    numbers = {chosen.action_number(name): name for name in chosen.actions if name in ACTIONS}
    values = {"actions": numbers, "type_encoding": kind}
    return LAYOUT.__class__(**{**LAYOUT.__dict__, **values})


def recorded(plan, tmp_path, release="6.12", patch=AFTER, steps=None, kind=ImitatedGuest):
    """Run a script on an imitated guest; return the file and the guest."""
    guest = kind(plan, release, patch)
    where = layout(release)
    session = Session(guest, where, plan, ImitatedMemory(guest.machine, where))
    session.run(steps)
    path = tmp_path / "script.json"
    write(session.document("imitated"), path)
    return path, guest


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_random_script_of_an_imitated_guest_agrees(tmp_path, seed):
    release = ("6.12", "7.3")[seed % 2]
    path, _ = recorded(plan_of(seed, Abilities()), tmp_path, release)
    found = verify(path)
    assert [p for each in found.replays for r in each.results for p in r.problems] == []


def test_the_story_for_a_kernel_of_one_s_own_compares_pages_on_the_way(tmp_path):
    plan, steps = story(Abilities())
    path, _ = recorded(plan, tmp_path, steps=steps)
    found = verify(path)
    assert found.agrees
    assert found.pages > 30 * N
    points = {probe["at"] for probe in json.loads(path.read_text())["probes"]}
    assert {
        "notifier:MEM_PREPARE_ONLINE",
        "notifier:MEM_GOING_ONLINE",
        "notifier:MEM_FINISH_OFFLINE",
        "enter:undo_isolate_page_range",
        "enter:__offline_isolated_pages",
    } <= points


def test_a_guest_without_the_patch_is_told_from_one_with_it(tmp_path):
    """The layout says "after", and the kernel has PG_reserved where Offline should be."""
    plan, steps = story(Abilities())
    path, _ = recorded(plan, tmp_path, patch=BEFORE, steps=steps)
    found = verify(path)
    assert found.differ > 0
    assert {r.at for each in found.replays for r in each.results if r.differ} == {"notifier:MEM_GOING_ONLINE"}


def test_a_block_with_a_pinned_page_is_given_up_after_some_seconds(tmp_path):
    steps = [
        ("add", 33, 1),
        ("online", 33, "online_movable"),
        ("pin",),
        ("offline", 33),
        ("unpin",),
        ("offline", 33),
    ]
    path, guest = recorded(Plan(1, 6, pins=True), tmp_path, steps=steps)
    done = json.loads(path.read_text())["scenario"]["steps"]
    assert done[2:] == [
        {"do": "pin", "block": 33},
        {"do": "offline", "block": 33, "errno": "EINTR"},
        {"do": "unpin"},
        {"do": "offline", "block": 33},
    ]
    assert [c.split()[1] for c in guest.commands if c.startswith("timeout")] == ["120", "6", "120"]
    assert verify(path).agrees


class Busy(ImitatedGuest):
    """A guest whose kernel keeps a page of its own in a block when that first shall go offline."""

    own = ()

    def _do(self, command):
        block = re.search(r"echo offline > \S+/memory(\d+)/state", command)
        if block and self.own:
            self.machine.free(self.own)
        elif block:
            self.own = self.machine.allocate(1, "unmovable", block=int(block[1]))
        return super()._do(command)


def test_an_unmovable_page_of_the_guest_becomes_a_step_before_the_offline_that_it_stops(tmp_path):
    steps = [("add", 33, 1), ("online", 33, "online_kernel"), ("offline", 33), ("offline", 33)]
    path, _ = recorded(Plan(1, 4), tmp_path, steps=steps, kind=Busy)
    done = json.loads(path.read_text())["scenario"]["steps"]
    assert [step["do"] for step in done] == ["add_memory", "online", "allocate", "offline", "free", "offline"]
    assert done[3]["errno"] == "EBUSY"
    assert verify(path).agrees


def test_a_script_ends_when_the_place_of_such_a_page_decides_what_the_device_can_unplug(tmp_path):
    """6.12, seed 7014: the guest let its page go before the next request, and the simulator kept its own."""
    plan = Plan(1, 4, device=VirtioMem(2, 0, 256))
    steps = [("request", 128), ("online", 32, "online_kernel"), ("offline", 32), ("request", 0)]
    path, _ = recorded(plan, tmp_path, steps=steps, kind=Busy)
    done = json.loads(path.read_text())["scenario"]["steps"]
    assert [step["do"] for step in done] == ["virtio_mem_request", "online", "allocate", "offline"]
    assert verify(path).agrees


def test_a_request_that_a_page_of_the_guest_keeps_from_its_end_is_left_out(tmp_path):
    """7.3, seed 7022: a sub-block with an unmovable page stayed plugged, and in the simulator none did."""

    class Holding(ImitatedGuest):
        def ask(self, command, **arguments):
            if command == "qom-set" and arguments["value"] == 0:
                self.machine.allocate(1, "unmovable", block=32)
            return super().ask(command, **arguments)

    plan = Plan(1, 4, device=VirtioMem(2, 0, 256))
    steps = [("request", 128), ("online", 32, "online_kernel"), ("request", 0), ("request", 64)]
    path, _ = recorded(plan, tmp_path, steps=steps, kind=Holding)
    document = json.loads(path.read_text())
    assert [step["do"] for step in document["scenario"]["steps"]] == ["virtio_mem_request", "online"]
    assert max(probe["step"] for probe in document["probes"]) == 1
    assert verify(path).agrees


class Lazy(ImitatedGuest):
    """A guest that uses one page of its device's memory, and whose driver then unplugs nothing at all."""

    def ask(self, command, **arguments):
        if command == "qom-set" and arguments["value"] == 0:
            self.machine.allocate(1, "unmovable", block=32)
            return None
        return super().ask(command, **arguments)


def test_a_driver_that_keeps_memory_that_nobody_uses_is_not_passed_over(tmp_path):
    plan = Plan(1, 3, device=VirtioMem(2, 0, 256))
    steps = [("request", 128), ("online", 32, "online_kernel"), ("request", 0)]
    with pytest.raises(LabError, match=r"keeps 512 pages at pfn 0x100\w+, and nobody uses one of them"):
        recorded(plan, tmp_path, steps=steps, kind=Lazy)


def test_a_request_for_more_is_compared_whatever_the_guest_holds(tmp_path):
    """A page in use keeps nothing from being plugged."""

    class Greedy(ImitatedGuest):
        def ask(self, command, **arguments):
            if command == "qom-set" and arguments["value"] > 64 << 20:
                self.machine.allocate(1, "unmovable", block=32)
                arguments["value"] -= 2 << 20  # a driver that stops short
            return super().ask(command, **arguments)

    plan = Plan(1, 3, device=VirtioMem(2, 0, 256))
    steps = [("request", 64), ("online", 32, "online_kernel"), ("request", 128)]
    path, _ = recorded(plan, tmp_path, steps=steps, kind=Greedy)
    assert [step["do"] for step in json.loads(path.read_text())["scenario"]["steps"]][
        -1
    ] == "virtio_mem_request"
    assert not verify(path).agrees


def test_a_dimm_that_does_not_come_is_an_error_and_no_recording():
    class Deaf(ImitatedGuest):
        def ask(self, command, **arguments):
            return None if command == "device_add" else super().ask(command, **arguments)

    guest = Deaf(Plan(1, 1))
    session = Session(guest, layout("6.12"), Plan(1, 1), ImitatedMemory(guest.machine))
    session.PATIENCE_S = 0
    with pytest.raises(LabError, match="the kernel did not add the DIMM"):
        session.run([("add", 33, 1)])


def test_a_script_ends_where_nothing_is_allowed():
    view = View(dimms={number: (FIRST_BLOCK + 2 * number, 2) for number in range(5)})
    assert choose(Plan(1, 1), 0, view) is None
