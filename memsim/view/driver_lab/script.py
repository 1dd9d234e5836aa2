"""A machine with one device, before and after the patch, and what is done to both, step by step, with undo.

Steps are those of a scenario (:mod:`memsim.scenario.steps`), so that whatever was done can be saved as one,
run on the command line, and compared with a recording.

Left out: machines with several devices; scenarios can have them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.patch import AFTER, BEFORE
from memsim.scenario.scenario import FORMAT, Run, Scenario
from memsim.scenario.steps import tell_step
from memsim.view.model.text import SIDES, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memsim.machine.machine import Machine

WHERE = "the lab"
FIRST_PFN = 0x100000
PAGES_PER_MIB = 256
RAM_PAGES = 131072
DEVICES: dict[str, dict[str, Any]] = {
    "virtio-mem": {
        "name": "vm0",
        "start_pfn": FIRST_PFN,
        "region_pages": 65536,
        "device_block_pages": 512,
    },
    "hv-balloon": {"name": "hv0"},
    "xen-balloon": {"name": "xen0", "hotplug_start_pfn": FIRST_PFN},
}
"""The device of each kind: two memory blocks for virtio-mem, the others take what they need."""
ANSWERS = {
    "virtio-mem": ("BUSY", "NACK", "ERROR"),
    "hv-balloon": ("BUSY", "ERROR", "REPEAT"),
    "xen-balloon": ("REFUSE", "HALF"),
}
"""The answers that hosts can be made to give."""
TOURS: dict[str, tuple[dict[str, Any], ...]] = {
    "virtio-mem": (
        {"do": "offline", "block": 32},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "allocate", "block": 32, "nr_pages": 16, "migratetype": "movable"},
        {"do": "host_will", "device": "vm0", "answer": "BUSY", "times": 1},
        {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 96 * PAGES_PER_MIB},
        {"do": "wait", "seconds": 60},
        {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 32 * PAGES_PER_MIB},
        {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 0},
    ),
    "hv-balloon": (
        {"do": "offline", "block": 32},
        {"do": "hv_hot_add", "device": "hv0", "start_pfn": FIRST_PFN + 20000, "nr_pages": 5000},
        {"do": "hv_inflate", "device": "hv0", "nr_pages": 1024},
        {"do": "offline", "block": 32},
        {"do": "hv_deflate", "device": "hv0", "nr_pages": 1024},
    ),
    "xen-balloon": (
        {"do": "offline", "block": 32},
        {"do": "host_will", "device": "xen0", "answer": "REFUSE", "times": 1},
        {"do": "xen_balloon_target", "device": "xen0", "target_pages": RAM_PAGES + 42048},
        {"do": "wait", "seconds": 60},
        {"do": "xen_balloon_lend", "device": "xen0", "nr_pages": 8},
        {"do": "xen_balloon_take_back", "device": "xen0", "nr_pages": 8},
    ),
}
"""What a recorded tour does after the steps of the lab."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step on both kernels, in words."""

    step: str
    answers: tuple[str, str]
    failed: bool = False

    @property
    def headline(self) -> str:
        """The step and how it ended: once if it ended the same before and after."""
        before, after = self.answers
        mark = "✗ " if self.failed else ""
        if before == after:
            return f"{mark}{self.step}: {before}"
        return f"{mark}{self.step}: before the patch {before}; after it {after}"


def lab_scenario(kind: str, online_type: str = "online_movable") -> Scenario:
    """Return a scenario without steps: 512 MiB of RAM and one device.

    Raises
    ------
    MemsimError
        There is no such kind or online type.
    """
    if kind not in DEVICES:
        msg = f"kind {kind!r} must be one of {', '.join(DEVICES)}"
        raise MemsimError(msg)
    machine = {
        "ram": [[0, RAM_PAGES]],
        "block_pages": 32768,
        "default_online_type": online_type,
        "devices": [{"kind": kind, **DEVICES[kind]}],
    }
    document = {"format": FORMAT, "title": f"{kind} lab", "machine": machine, "steps": []}
    return Scenario.parse(document, WHERE)


class DriverScript:
    """Two machines with a device, and the steps that were done to them.

    Parameters
    ----------
    scenario
        The machine and its first steps. Of several devices the first is looked at.
    release
        Of both kernels.

    Raises
    ------
    MemsimError
        The machine has no device, or the release is not modelled.
    """

    def __init__(self, scenario: Scenario, release: str = "6.12") -> None:
        """Boot both, and do the steps that there are."""
        devices = scenario.machine.get("devices")
        if not devices:
            msg = f"{scenario.title or 'the scenario'}: the machine has no device to look at"
            raise MemsimError(msg)
        self.kind: str = devices[0]["kind"]
        self.device: str = devices[0]["name"]
        self.scenario, self.release = scenario, release
        self._replay(scenario.steps)
        self.outcome = Outcome("boot", ("ok", "ok"))

    @property
    def online_type(self) -> str:
        """What happens to memory blocks as they are added."""
        return str(self.scenario.machine.get("default_online_type", "offline"))

    @property
    def machines(self) -> dict[str, Machine]:
        """Both machines."""
        return {side: run.machine for side, run in zip(SIDES, self.runs, strict=True)}

    @property
    def document(self) -> str:
        """The scenario as the text of its file; running it shows the same."""
        scenario = self.scenario
        steps = ",\n".join(f"    {json.dumps(step)}" for step in scenario.steps)
        return (
            f'{{\n  "format": "{FORMAT}",\n  "title": "{scenario.title}",\n'
            f'  "machine": {json.dumps(scenario.machine)},\n  "steps": [\n{steps}\n  ]\n}}'
        )

    # ---- doing -------------------------------------------------------------------------------

    def do(self, step: dict[str, Any]) -> Outcome:
        """Do a step on both machines; a step that makes no sense is answered and not kept.

        What the kernel refuses with an errno is kept: that it was tried may have left traces.
        """
        try:
            self._extend(step)
            answers = [_do_last(run) for run in self.runs]
        except MemsimError as problem:
            self._replay(
                self.scenario.steps[:-1] if step in self.scenario.steps[-1:] else self.scenario.steps
            )
            return self._refuse(_tell(step), str(problem).removeprefix(f"{WHERE}: "))
        failed = any(answer != "ok" for answer in answers)
        self.outcome = Outcome(tell_step(step), (answers[0], answers[1]), failed)
        return self.outcome

    def do_text(self, text: str) -> Outcome:
        """Do a step that is written in JSON."""
        try:
            step = json.loads(text)
        except ValueError as problem:
            return self._refuse(text, f"is not JSON: {problem}")
        if not isinstance(step, dict):
            return self._refuse(text, 'a step is a JSON object, such as {"do": "wait", "seconds": 1}')
        return self.do(step)

    def _refuse(self, step: str, why: str) -> Outcome:
        self.outcome = Outcome(step, (why, why), failed=True)
        return self.outcome

    def _extend(self, step: dict[str, Any]) -> None:
        """Check a step and add it to the scenario of both runs."""
        document = {
            "format": FORMAT,
            "machine": self.scenario.machine,
            "title": self.scenario.title,
            "steps": [*self.scenario.steps, step],
        }
        self.scenario = Scenario.parse(document, WHERE)
        for run in self.runs:
            run.scenario = self.scenario

    def undo(self) -> Outcome:
        """Take the last step back: everything before it is done anew."""
        if not self.scenario.steps:
            return self._refuse("undo", "there is nothing to undo")
        *steps, last = self.scenario.steps
        self._replay(steps)
        self.outcome = Outcome("undo", (f"took back: {tell_step(last)}",) * 2)
        return self.outcome

    def restart(
        self, *, release: str | None = None, online_type: str | None = None, keep: bool = False
    ) -> Outcome:
        """Boot again, perhaps another kernel; with ``keep`` do the same steps there."""
        steps = self.scenario.steps if keep else ()
        self.release = release or self.release
        if online_type is not None:
            machine = {**self.scenario.machine, "default_online_type": online_type}
            self.scenario = replace(self.scenario, machine=machine)
        self._replay(steps)
        again = f"; the same {len(steps)} {plural(len(steps), 'step')} done again" if steps else ""
        text = f"Linux {self.release}, new blocks: {self.online_type}{again}"
        self.outcome = Outcome("start", (text, text))
        return self.outcome

    def _replay(self, steps: Iterable[dict[str, Any]]) -> None:
        """Boot both machines again and do these steps."""
        self.scenario = replace(self.scenario, steps=tuple(steps))
        self.runs = tuple(
            Run(self.scenario, self.scenario.boot(patch, self.release)) for patch in (BEFORE, AFTER)
        )
        for run in self.runs:
            for number in range(len(self.scenario.steps)):
                run.do_step(number)


def _do_last(run: Run) -> str:
    """Do the last step of a run's scenario and say how it ended."""
    if run.died is not None:
        return f"the machine is dead: {run.died}"
    outcome = run.do_step(len(run.scenario.steps) - 1)
    if outcome is None:
        return f"the machine died: {run.died}"
    return outcome.message or "ok"


def _tell(step: dict[str, Any]) -> str:
    """Return a step that may be wrong in a line."""
    try:
        return tell_step(step)
    except (KeyError, ValueError, TypeError, IndexError):
        return json.dumps(step)
