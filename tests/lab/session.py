"""One script on one guest: each step done in the guest, probed on the way, and written down."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.lab.errors import LabError
from tests.lab.memory import SECTION_PAGES, KernelMemory
from tests.lab.pages import FOREIGN, is_offline_type
from tests.lab.recorder import Recorder
from tests.lab.scripts import (
    BLOCK_MIB,
    FIRST_BLOCK,
    NR_BLOCKS,
    PMEM_BLOCK,
    Plan,
    Step,
    View,
    choose,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from tests.lab.guest import Guest
    from tests.lab.layout import Layout

HOT_NODE = 1
"""The hot-added memory is on a node without processor, so that the guest hardly uses it."""
MIB = 1 << 20
PAGES_PER_MIB = 256
SYSFS = "/sys/devices/system/memory"
DRIVER = "/sys/bus/virtio/drivers/virtio_mem"
ERRNO_WORDS = {
    "busy": "EBUSY",
    "hardware error": "EHWPOISON",
    "Invalid argument": "EINVAL",
    "Interrupted": "EINTR",
    "No such device or address": "ENXIO",
    "Cannot allocate": "ENOMEM",
    "Input/output": "EIO",
    "temporarily": "EAGAIN",
    "not supported": "EOPNOTSUPP",
    "exists": "EEXIST",
}
WITHOUT_PAGES = ("MEM_PREPARE_ONLINE", "MEM_FINISH_OFFLINE")
"""Actions of 6.12 before a block's struct pages mean anything, and when they mean nothing any more."""
KILLED = 128 + 15
"""The exit status of what SIGTERM ended."""
METHOD = (
    "QEMU, one CPU; struct pages, zones and sections read from guest memory while the guest stood still at "
    "the named point; unmodified kernel; hot-added memory on a NUMA node of its own (node 1, no CPU), whose "
    "zones are those recorded"
)


def errno_of(said: str, status: int) -> str | None:
    """Return the errno that a failed command printed; None if it succeeded.

    >>> errno_of("sh: write error: Device or resource busy", 1)
    'EBUSY'
    """
    if not status:
        return None
    if status == KILLED:
        return "EINTR"
    for words, name in ERRNO_WORDS.items():
        if words in said:
            return name
    msg = f"a step failed with exit status {status} and said {said.strip()!r}, which names no errno"
    raise LabError(msg)


class Session:
    """A script that is being recorded."""

    PATIENCE_S = 40
    """Seconds to wait for what the kernel does by itself."""

    def __init__(self, guest: Guest, layout: Layout, plan: Plan, memory: KernelMemory | None = None) -> None:
        """Take the first probe of a guest that has just started; ``memory`` is the guest's if not given."""
        self.guest, self.layout, self.plan = guest, layout, plan
        memory = memory or KernelMemory(guest.read, layout, guest.symbols, HOT_NODE)
        blocks = list(range(FIRST_BLOCK, FIRST_BLOCK + NR_BLOCKS))
        devices = (PMEM_BLOCK,) if plan.pmem else ()
        self.recorder = Recorder(memory, blocks, self_hosting=plan.memmap_on_memory, devices=devices)
        self.steps: list[dict[str, Any]] = []
        self.view = View()
        self._device = ""
        self._dimms = 0
        self._kept: set[int] = set()
        """Blocks of which a step of the script says that the running system keeps a page."""
        self._unclear = False
        """Whether the place of such a page, which no step can name, decides what a device can unplug."""
        self._guest_ok(f"echo {plan.default} > {SYSFS}/auto_online_blocks")
        if plan.device is not None:
            self._plug_device()
        self._done(None)

    # ---- the whole script ------------------------------------------------------------------------

    def run(self, steps: list[Step] | None = None) -> None:
        """Do the steps, or as many random ones as the plan says; end where the outcome is unclear."""
        for number in range(self.plan.steps if steps is None else len(steps)):
            step = choose(self.plan, number, self.view) if steps is None else steps[number]
            if step is not None and not self._unclear:
                getattr(self, f"_{step[0]}")(*step[1:])

    def document(self, title: str) -> dict[str, Any]:
        """Return the recording: ``memsim-observation/1``."""
        release = self.guest.version.split()[2]
        package = re.search(r"Debian (\S+)", self.guest.version.partition("#")[2])
        series = "before" if self.layout.type_encoding == "inverted-bits" else "after"
        kernel = {"release": release, "series": series, "page_type_encoding": self.layout.type_encoding}
        return {
            "format": "memsim-observation/1",
            "title": title,
            "kernel": kernel | ({"package": f"Debian {package[1]}"} if package else {}),
            "method": METHOD,
            "scenario": {
                "format": "memsim-scenario/1",
                "title": title,
                "machine": self._machine(),
                "steps": self.steps,
            },
            "range": {"start_pfn": FIRST_BLOCK * SECTION_PAGES, "nr_pages": NR_BLOCKS * SECTION_PAGES},
            "states": self.recorder.states,
            "probes": self.recorder.probes,
        }

    def _machine(self) -> dict[str, Any]:
        machine: dict[str, Any] = {
            "ram": [[0, 131072]],
            "block_pages": SECTION_PAGES,
            "memmap_on_memory": self.plan.memmap_on_memory,
            "default_online_type": self.plan.default,
            "devices": [],
        }
        device = self.plan.device
        if device is not None:
            machine["devices"].append(
                {
                    "kind": "virtio-mem",
                    "name": "vm0",
                    "start_pfn": FIRST_BLOCK * SECTION_PAGES + device.offset * PAGES_PER_MIB,
                    "region_pages": device.region * PAGES_PER_MIB,
                    "device_block_pages": device.block * PAGES_PER_MIB,
                    "requested_pages": 0,
                }
            )
        return machine

    # ---- around a step ---------------------------------------------------------------------------

    def _guest_ok(self, command: str) -> str:
        said, status = self.guest.run(command)
        if status:
            msg = f"in the guest, {command!r} failed: {said.strip()}"
            raise LabError(msg)
        return said

    def _probe(self, at: str, acting: int | None = None) -> None:
        self.recorder.probe(len(self.steps) - 1, at, acting=acting)

    def _done(self, errno: str | None) -> None:
        """Wait until the guest is at rest, look at its blocks, and take the probe that ends a step."""
        self._settle()
        self._probe_at_rest(errno)

    def _probe_at_rest(self, errno: str | None) -> None:
        if errno:
            self.steps[-1]["errno"] = errno
        with self.guest.paused():
            probe = self.recorder.probe(len(self.steps) - 1, "done", errno=errno)
        if self.plan.device is not None:
            probe["device"] = {"name": "vm0", "plugged_pages": self._plugged() // 4096}
        known = {b: codes for b, codes in self.recorder.codes.items() if b not in self.recorder.used}
        self.view.codes = {block: codes for block, codes in known.items() if block != PMEM_BLOCK}

    def _settle(self, reached: Callable[[], bool] = lambda: True) -> bool:
        """Wait until something is reached, nothing changes and no worker runs; False if it takes too long."""
        end, before, still = time.monotonic() + self.PATIENCE_S, None, 0
        while still < 2:
            now = (self._look(), self._plugged())
            still = still + 1 if now == before and reached() else 0
            before = now
            if time.monotonic() > end:
                return False
            self.guest.run("sleep 0.3")
        return True

    def _look(self) -> int:
        """Read the blocks' states and zones; return how many tasks run in the guest, this one not counted."""
        last = FIRST_BLOCK + NR_BLOCKS - 1
        said, _ = self.guest.run(
            f"cd {SYSFS}; for b in $(seq {FIRST_BLOCK} {last}); do "
            "[ -d memory$b ] && echo block $b $(cat memory$b/state memory$b/valid_zones); done; "
            "echo running $(cut -d' ' -f4 /proc/loadavg)"
        )
        seen = {int(m[1]): m[2].split() for m in re.finditer(r"^block (\d+) (.+)$", said, re.MULTILINE)}
        self.view.states = {block: words[0] for block, words in seen.items()}
        self.view.zones = {
            b: words[1] for b, words in seen.items() if words[0] == "online" and len(words) == 2
        }
        running = re.search(r"^running (\d+)/", said, re.MULTILINE)
        return int(running[1]) - 1 if running else 0

    def _plugged(self) -> int:
        if self.plan.device is None:
            return 0
        size = self.guest.monitor.ask("qom-get", path="/machine/peripheral/vmem", property="size")
        return int(size)

    def _stops(self, block: int | None) -> dict[str, Callable[[dict[str, int]], None]]:
        """Return the places at which probes are taken while blocks come and go; any block if None."""

        def notified(registers: dict[str, int]) -> None:
            if registers["rdi"] != self.guest.symbols["memory_chain"]:
                return
            action = self.layout.actions[registers["rsi"] & 0xFFFFFFFF]
            if action in WITHOUT_PAGES:
                self._probe(f"notifier:{action}")
                return
            pfn = self.guest.read_word(registers["rdx"] + self.layout.notifier_pfn)
            self._probe(f"notifier:{action}", pfn // SECTION_PAGES if block is None else block)

        def entered(name: str) -> Callable[[dict[str, int]], None]:
            def call(registers: dict[str, int]) -> None:
                self._probe(f"enter:{name}", registers["rdi"] // SECTION_PAGES if block is None else block)

            return call

        # Not memory_notify(): drivers/base/memory.c calls its own copy, which the compiler has inlined.
        stops = {
            "blocking_notifier_call_chain": notified,
            "__offline_isolated_pages": entered("__offline_isolated_pages"),
        }
        if block is not None:
            stops |= {"undo_isolate_page_range": entered("undo_isolate_page_range")}
            stops |= {"remove_pfn_range_from_zone": entered("remove_pfn_range_from_zone")}
            if self.plan.memmap_on_memory:
                for name in ("mhp_init_memmap_on_memory", "online_pages"):
                    stops[name] = entered(name)
        return stops

    def _watch(self, action: Callable[[], Any], seconds: float) -> None:
        """Do something to the machine, and take probes of what the guest then does by itself."""
        self.guest.run_stopping(f"sleep {seconds}", self._stops(None), before=action)

    # ---- steps on blocks -------------------------------------------------------------------------

    def _write_state(self, block: int, word: str) -> str | None:
        """Write to a block's state; whoever waits for a pinned page is sent a signal."""
        limit = 6 if self.view.pinned.get(block) else 120
        command = f"timeout {limit} sh -c 'echo {word} > {SYSFS}/memory{block}/state'"
        is_online = self.view.states.get(block) == "online"
        if is_online != (word == "offline"):  # the state that it has: refused before anything happens
            said, status = self.guest.run(command)
        else:
            stops = self._stops(block)
            if word == "offline":
                del stops["undo_isolate_page_range"]  # an offline that fails comes there too
            said, status = self.guest.run_stopping(command, stops)
        return errno_of(said, status)

    def _online(self, block: int, kind: str) -> None:
        self.steps.append({"do": "online", "block": block, "type": kind})
        self._done(self._write_state(block, kind))

    def _offline(self, block: int) -> None:
        at, first = len(self.steps), len(self.recorder.probes)
        zone = self.view.zones.get(block)
        self.steps.append({"do": "offline", "block": block})
        errno = self._write_state(block, "offline")
        self._settle()
        self._probe_at_rest(errno)
        if (
            errno == "EBUSY"
            and zone == "Normal"
            and block not in self._kept
            and self.recorder.unmovable.get(block)
        ):
            # The running system has put a page there that cannot move: the simulator must have one as well.
            self._insert(
                at, first, {"do": "allocate", "block": block, "nr_pages": 1, "migratetype": "unmovable"}
            )
            self._kept.add(block)
            self._unclear = block not in self._of_dimms()
        elif errno is None and block in self._kept:
            self._insert(at, first, {"do": "free", "block": block})
            self._kept.discard(block)

    def _of_dimms(self) -> set[int]:
        """Return the blocks of DIMMs; the others are those of the virtio-mem device."""
        return {block for first, count in self.view.dimms.values() for block in range(first, first + count)}

    def _insert(self, at: int, first: int, step: dict[str, Any]) -> None:
        """Put a step before step ``at``, whose probes begin with number ``first``."""
        self.steps.insert(at, step)
        for probe in self.recorder.probes[first:]:
            probe["step"] += 1

    # ---- DIMMs -----------------------------------------------------------------------------------

    def _add(self, block: int, count: int) -> None:
        self.steps.append(
            {"do": "add_memory", "start_pfn": block * SECTION_PAGES, "nr_pages": count * SECTION_PAGES}
        )
        number, self._dimms = self._dimms, self._dimms + 1
        ask = self.guest.monitor.ask
        ask(
            "object-add",
            **{"qom-type": "memory-backend-ram", "id": f"m{number}", "size": count * BLOCK_MIB * MIB},
        )
        place = {
            "id": f"d{number}",
            "memdev": f"m{number}",
            "addr": block * BLOCK_MIB * MIB,
            "node": HOT_NODE,
        }
        quiet = self.plan.default == "offline"  # no block changes its state
        self._watch(lambda: ask("device_add", driver="pc-dimm", **place), 1 if quiet else 3)
        self.view.dimms[number] = (block, count)
        blocks = set(range(block, block + count))
        if not self._settle(lambda: blocks <= set(self.view.states)):
            msg = f"the kernel did not add the DIMM; it says: {self.guest.run('dmesg | tail -3')[0].strip()}"
            raise LabError(msg)
        self._probe_at_rest(None)

    def _remove(self, number: int) -> None:
        """Eject a DIMM; the kernel takes those of its blocks offline that are online."""
        first, count = self.view.dimms[number]
        blocks = range(first, first + count)
        online = [block for block in blocks if self.view.states.get(block) == "online"]
        self.steps += [{"do": "offline", "block": block} for block in online]
        self.steps.append(
            {"do": "remove_memory", "start_pfn": first * SECTION_PAGES, "nr_pages": count * SECTION_PAGES}
        )
        self.guest.monitor.ask("device_del", id=f"d{number}")
        if not self._settle(lambda: not set(blocks) & set(self.view.states)):
            msg = (
                f"the kernel did not let the DIMM go; it says: {self.guest.run('dmesg | tail -3')[0].strip()}"
            )
            raise LabError(msg)
        self.guest.run("sleep 0.5")
        self.guest.monitor.ask("object-del", id=f"m{number}")
        del self.view.dimms[number]
        self._kept -= set(blocks)
        self._probe_at_rest(None)

    # ---- virtio-mem ------------------------------------------------------------------------------

    def _plug_device(self) -> None:
        device, ask = self.plan.device, self.guest.monitor.ask
        assert device is not None
        ask("object-add", **{"qom-type": "memory-backend-ram", "id": "vm", "size": device.region * MIB})
        address = FIRST_BLOCK * BLOCK_MIB * MIB + device.offset * MIB
        sizes = {"block-size": device.block * MIB, "requested-size": 0, "memaddr": address}
        ask("device_add", driver="virtio-mem-pci", id="vmem", memdev="vm", node=HOT_NODE, **sizes)
        for _ in range(100):
            bound = re.findall(r"virtio\d+", self.guest.run(f"ls {DRIVER}")[0])
            if bound:
                self._device, self.view.device_bound = bound[0], True
                return
            self.guest.run("sleep 0.3")
        msg = "the guest's driver did not take the virtio-mem device"
        raise LabError(msg)

    def _request(self, mib: int) -> None:
        self.steps.append(
            {"do": "virtio_mem_request", "device": "vm0", "requested_pages": mib * PAGES_PER_MIB}
        )
        first, before = len(self.recorder.probes), self._plugged()
        place = {"path": "/machine/peripheral/vmem", "property": "requested-size"}
        self._watch(lambda: self.guest.monitor.ask("qom-set", **place, value=mib * MIB), 3)
        self._done(None)
        unplugs = mib * MIB < before
        if unplugs and self._plugged() != mib * MIB and self._guest_holds_device_memory():
            self._check_what_stays_plugged()
            self.steps.pop()
            del self.recorder.probes[first:]
            self._unclear = True

    def _check_what_stays_plugged(self) -> None:
        """Refuse an unplug that ended early although nothing stood in its way.

        Where the running system has its pages no step of a script can say, so the simulator cannot repeat
        the request. But each part of the device that stayed must have such a page.
        """
        device = self.plan.device
        assert device is not None
        size, start = (
            device.block * PAGES_PER_MIB,
            FIRST_BLOCK * SECTION_PAGES + device.offset * PAGES_PER_MIB,
        )
        for pfn in range(start, start + device.region * PAGES_PER_MIB, size):
            codes = self._codes_of(pfn, size)
            if codes is not None and not (is_offline_type(codes) | (codes == FOREIGN)).any():
                msg = f"the device keeps {size} pages at pfn {pfn:#x}, and nobody uses one of them"
                raise LabError(msg)

    def _codes_of(self, pfn: int, size: int) -> npt.NDArray[np.int64] | None:
        """Return the codes of a range of pages, or None if part of it is not online."""
        blocks = range(pfn // SECTION_PAGES, (pfn + size - 1) // SECTION_PAGES + 1)
        if not all(block in self.recorder.codes for block in blocks):
            return None
        first = pfn - blocks.start * SECTION_PAGES
        whole = np.concatenate([self.recorder.codes[block] for block in blocks])
        return whole[first : first + size]

    def _guest_holds_device_memory(self) -> bool:
        """Return whether the running system has unmovable pages in memory of the device."""
        normal = {block for block, zone in self.view.zones.items() if zone == "Normal"}
        return any(self.recorder.unmovable.get(block) for block in normal - self._of_dimms())

    def _unbind(self) -> None:
        self.steps.append({"do": "virtio_mem_remove", "device": "vm0"})
        said, status = self.guest.run(f"echo {self._device} > {DRIVER}/unbind")
        self.view.device_bound = False
        self._done(errno_of(said, status))

    # ---- single pages ----------------------------------------------------------------------------

    def _poison(self, pfn: int) -> None:
        self.steps.append({"do": "poison", "pfns": [pfn]})
        said, status = self.guest.run(f"sh -c 'echo {pfn * 4096:#x} > {SYSFS}/hard_offline_page'")
        self.view.poisoned += 1
        self._done(errno_of(said, status))

    def _pin(self) -> None:
        """Keep a page of a file in a pipe that nobody reads: it has a reference that nobody gives back.

        busybox's cat does that, for it uses sendfile(). The file's memory is bound to the node of the
        hot-added memory; in which block its page is, is seen afterwards.
        """
        before = dict(self.recorder.pinned)
        self._guest_ok(
            f"mkdir -p /mnt/pin && mount -t tmpfs -o size=1m,mpol=bind:{HOT_NODE} pin /mnt/pin && "
            "dd if=/dev/zero of=/mnt/pin/file bs=4096 count=1 2>/dev/null && mkfifo /tmp/pin && "
            "{ sleep 100000 </tmp/pin & cat /mnt/pin/file >/tmp/pin; }"
        )
        self.steps.append({"do": "pin", "block": -1})
        self._done(None)
        grown = [b for b, count in self.recorder.pinned.items() if count > before.get(b, 0)]
        if len(grown) != 1:
            msg = f"the pinned page is not to be found: more references than before in the blocks {grown}"
            raise LabError(msg)
        self.steps[-1]["block"] = grown[0]
        self.view.pinned[grown[0]] = 1

    def _unpin(self) -> None:
        self._guest_ok("killall sleep; sleep 0.5; rm /tmp/pin /mnt/pin/file; umount /mnt/pin")
        self.view.pinned.clear()
        self.steps.append({"do": "unpin"})
        self._done(None)

    def _map_pmem(self) -> None:
        """Let the drivers of persistent memory take the range that the command line gave them."""
        self.steps.append(
            {
                "do": "memremap_pages",
                "start_pfn": PMEM_BLOCK * SECTION_PAGES,
                "nr_pages": SECTION_PAGES,
            }
        )
        self._guest_ok("insmod /mod/nd_e820.ko")
        self.view.pmem_mapped = True
        self._done(None)


def write(document: dict[str, Any], path: Path) -> None:
    """Write a recording, one line a probe."""
    probes = ",\n".join(json.dumps(probe, separators=(",", ":")) for probe in document["probes"])
    rest = {key: value for key, value in document.items() if key != "probes"}
    head = json.dumps(rest, separators=(",", ":"))[:-1]
    path.write_text(f'{head},\n"probes":[\n{probes}\n]}}\n', encoding="utf-8")
