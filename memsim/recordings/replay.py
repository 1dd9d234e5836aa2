"""Replaying a recording: the simulator goes through its steps and is compared at every probe.

The thread of the Xen balloon runs beside the steps. How far it had come at a probe inside a step is a matter
of timing; so the simulated one works until MemTotal has the recorded value, and where the recorded one was
under way the places of pages are not compared, only their number (the word is ``timing``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.recordings.compare import Comparable, ProbeResult, compare_probe, compare_without_places, expect
from memsim.scenario.scenario import Run
from memsim.scenario.steps import tell_step
from memsim.state.trace import SHORTCUTS, Probe, matches

if TYPE_CHECKING:
    from memsim.recordings.observation import Observation

HOTPLUG = frozenset(
    {
        "online_pages",
        "mhp_init_memmap_on_memory",
        "move_pfn_range_to_zone",
        "undo_isolate_page_range",
        "offline_pages",
        "__offline_isolated_pages",
        "remove_pfn_range_from_zone",
    }
)
"""Functions that bring whole blocks online or offline. The shortcuts of others call none of these."""


@dataclass
class Replay:
    """A simulated kernel that goes through an observation's steps and is compared on the way."""

    observation: Observation
    run: Run
    shortcuts: bool = False
    results: list[ProbeResult] = field(default_factory=list)
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _delta: int = 0
    _raced: bool = False

    def __post_init__(self) -> None:
        """Watch for probe points."""
        self.probe = Probe(self.at)

    def at(self, point: str) -> None:
        """Compare if ``point`` is the next recorded probe of this step."""
        if self._waiting and matches(point, self._waiting[0]["at"]):
            self.compare(self._waiting.pop(0))
            if self.shortcuts:
                self._watch_less()

    def _watch_less(self) -> None:
        """Leave to shortcuts what no waiting probe looks into."""
        names = {p["at"].rpartition(":")[2] for p in self._waiting if not p["at"].startswith("notifier:")}
        self.probe.unwatched = frozenset(SHORTCUTS) - HOTPLUG if names <= HOTPLUG else frozenset()
        self.run.machine.kernel.put_trace(self.probe if self._waiting else None)

    def step(self, number: int) -> bool:
        """Do one step (-1: nothing, after boot) with its probes; False when the machine died."""
        probes = [p for p in self.observation.probes if p["step"] == number]
        self._waiting = [p for p in probes if p["at"] != "done"]
        if self.shortcuts:
            self._watch_less()
        outcome = self.run.do_step(number) if number >= 0 else None
        for missed in self._waiting:
            problem = "the simulated kernel does not come to this probe"
            self.results.append(ProbeResult(number, missed["at"], problems=[problem]))
        self._waiting = []
        if self.run.died is not None:
            return False
        for probe in (p for p in probes if p["at"] == "done"):
            self.compare(probe)
            got = outcome.errno if outcome is not None else None
            if got != probe.get("errno"):
                problem = f"step ended with {got}, the recorded kernel with {probe.get('errno')}"
                self.results[-1].problems.append(problem)
        return True

    def compare(self, probe: dict[str, Any]) -> None:
        """Compare counters, blocks and pages with one probe."""
        machine = self.run.machine
        timing = self._pace(probe)
        view = Comparable(machine.kernel.state, machine.kernel.block_pages, machine.boot_totalram_pages)
        how = compare_without_places if timing else compare_probe
        result = how(self.observation, probe, view)
        self.results.append(result)
        if "device" in probe:
            plugged = machine.devices[probe["device"]["name"]].plugged_pages()
            expect(result, "plugged_pages", plugged, probe["device"]["plugged_pages"])

    # ---- a driver with a thread of its own ---------------------------------------------------

    def _pace(self, probe: dict[str, Any]) -> bool:
        """Run the driver's thread as far as the recorded one; return whether that was under way then."""
        machine = self.run.machine
        worker = next((device for device in machine.devices.values() if hasattr(device, "work")), None)
        if worker is None:
            return False
        trace = machine.kernel.trace
        machine.kernel.put_trace(None)
        wanted = machine.boot_totalram_pages + probe["totalram_delta"]
        while machine.totalram_pages < wanted and worker.work():
            pass
        self._note_race(probe)
        if probe["at"] == "done" and not self._goes_on(probe):
            worker.run()
            self._raced = False
        machine.kernel.put_trace(trace)
        return self._raced and bool(worker.moves_pages)

    def _note_race(self, probe: dict[str, Any]) -> None:
        """Note whether MemTotal moved between MEM_GOING_ONLINE and the end of the isolation.

        It does if the thread populated pages while the block was still coming online.
        """
        if probe["at"] == "notifier:MEM_GOING_ONLINE":
            self._delta, self._raced = probe["totalram_delta"], False
        elif probe["at"] == "enter:undo_isolate_page_range":
            self._raced = probe["totalram_delta"] != self._delta

    def _goes_on(self, probe: dict[str, Any]) -> bool:
        """Return whether the recorded thread had not finished when this step was over."""
        probes = self.observation.probes
        place = next(index for index, each in enumerate(probes) if each is probe)
        if place + 1 == len(probes) or probes[place + 1]["totalram_delta"] <= probe["totalram_delta"]:
            return False
        follows = probes[place + 1]
        return follows["step"] == probe["step"] or bool(follows["at"].startswith("notifier:MEM_GOING"))


def replay(observation: Observation, *, shortcuts: bool = False) -> Replay:
    """Run an observation's steps on the simulator and compare at every probe.

    With ``shortcuts`` the simulator takes its shortcuts between the probes, as it does where nothing watches;
    without them every model runs.
    """
    machine = observation.scenario.boot(
        observation.patch,
        observation.release,
        debug_vm=observation.debug_vm,
        check_pages=observation.check_pages,
    )
    machine.devices_run = False  # _pace() says how far their threads come
    result = Replay(observation, Run(observation.scenario, machine), shortcuts)
    machine.kernel.put_trace(result.probe)
    for number in range(-1, len(observation.scenario.steps)):
        if number >= 0:
            result.probe.action(tell_step(observation.scenario.steps[number]))
        if not result.step(number):
            break
    machine.stop_recording()
    reached = {(r.step, r.at) for r in result.results}
    for missed in observation.probes:
        if result.run.died is not None and (missed["step"], missed["at"]) not in reached:
            problem = f"the simulated machine died before: {result.run.died}"
            result.results.append(ProbeResult(missed["step"], missed["at"], problems=[problem]))
    return result
