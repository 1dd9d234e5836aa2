"""A scenario: a machine and what is done to it, step by step (``memsim-scenario/1``, JSON).

It is shared by book, tests, command line and recordings; it is what a student edits. A step may name the
errno it must end with; without one it must succeed. Anything the format does not know is refused with
the number of the step and the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.errors import BadScenario, KernelBug, KernelError, MemsimError, errno_number
from memsim.machine.arguments import (
    WHOLE,
    check_block_pages,
    check_devices,
    check_memory,
    check_online_type,
    is_whole,
    parse_migratetype,
)
from memsim.machine.machine import Machine
from memsim.patch import AFTER, Patch
from memsim.scenario.json_check import Checker, is_bool, is_list_of, is_number, is_pair, is_text, read_json
from memsim.scenario.numbers import COMMENT, plain
from memsim.scenario.steps import STEPS, tell_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.linux.include.tracepoint import Trace
    from memsim.state.tape import Tape

FORMAT = "memsim-scenario/1"
CHECK = Checker(BadScenario)
_TOP = {"format", "title", "machine", "steps"}
_SWITCHES = ("memmap_on_memory", "debug_vm", "check_pages", "boot_reservations")
_BOOT_PAGES = ("crashkernel_pages", "kernelcore_pages", "movablecore_pages")
_MACHINE = {"ram", "reserved", "block_pages", "default_online_type", "devices", *_SWITCHES, *_BOOT_PAGES}


_NOUNS = {
    int: WHOLE,
    str: "a string",
    list: "a list of whole numbers",
}


@dataclass(frozen=True, repr=False)
class Scenario:
    """A checked scenario: ``machine`` and ``steps`` hold what the JSON held, with numbers as numbers."""

    title: str
    machine: dict[str, Any]
    steps: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        """Show title and length; the file or ``steps`` show the rest."""
        return f"Scenario({self.title!r}, {len(self.steps)} steps)"

    @classmethod
    def of(cls, what: ScenarioSource) -> Scenario:
        """Return a scenario as it is, from a file, or from the dict that such a file holds.

        Raises
        ------
        BadScenario
            The file cannot be read, or its content breaks the format; the message names step and rule.

        >>> Scenario.of({"format": "memsim-scenario/2"})
        Traceback (most recent call last):
        memsim.errors.BadScenario: scenario: 'format' is 'memsim-scenario/2', must be 'memsim-scenario/1'
        """
        if isinstance(what, Scenario):
            return what
        return cls.load(what) if isinstance(what, str | Path) else cls.parse(what)

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario file.

        Raises
        ------
        BadScenario
            Unreadable, not JSON, or against the format; the message names file, step and rule.
        """
        return cls.parse(read_json(path, BadScenario), str(path))

    @classmethod
    def parse(cls, document: object, where: str = "scenario") -> Scenario:
        """Check a parsed JSON document, or raise BadScenario; ``where`` is what messages call it."""
        top = {key: part for key, part in CHECK.mapping(document, where).items() if key != COMMENT}
        CHECK.only_keys(top, _TOP, where)
        found = top.get("format")
        CHECK.must(found == FORMAT, where, "format", f"is {found!r}, must be {FORMAT!r}")
        machine = CHECK.mapping(top.get("machine"), f"{where}: machine")
        machine = _check_machine(plain(machine, f"{where}: machine"), where)
        steps = top.get("steps")
        if not isinstance(steps, list):
            CHECK.fail(f"{where}: 'steps'", "must be a list")
        steps = [plain(step, f"{where}: step {number}") for number, step in enumerate(steps)]
        devices = {device["name"]: device["kind"] for device in machine.get("devices", [])}
        for number, step in enumerate(steps):
            _check_step(step, f"{where}: step {number}")
            _check_step_device(step, devices, f"{where}: step {number}")
        title = top.get("title", "")
        CHECK.must(is_text(title), where, "title", "must be a string")
        return cls(title, machine, tuple(steps))

    def boot(
        self,
        patch: Patch | str = AFTER,
        release: str = "6.12",
        *,
        debug_vm: bool | None = None,
        check_pages: bool | None = None,
        boot_reservations: bool | None = None,
        record: bool = False,
    ) -> Machine:
        """Return the scenario's machine, booted and with nothing done to it yet.

        With ``record`` its tape runs, from power-on. ``debug_vm``, ``check_pages`` and ``boot_reservations``
        override what the scenario says; None does not.
        """
        spec = self.machine
        return Machine(
            [tuple(part) for part in spec["ram"]],
            patch,
            release,
            reserved=[tuple(part) for part in spec.get("reserved", ())],
            boot_reservations=(
                spec.get("boot_reservations", False) if boot_reservations is None else boot_reservations
            ),
            **{key: spec.get(key, 0) for key in _BOOT_PAGES},
            block_pages=spec.get("block_pages"),
            default_online_type=spec.get("default_online_type", "offline"),
            memmap_on_memory=spec.get("memmap_on_memory", False),
            devices=spec.get("devices", ()),
            debug_vm=spec.get("debug_vm", False) if debug_vm is None else debug_vm,
            check_pages=spec.get("check_pages", True) if check_pages is None else check_pages,
            record=record,
        )


ScenarioSource = Scenario | str | Path | dict[str, Any]
"""A scenario, the path of a scenario file, or the dict that such a file holds."""


def _is_argument(value: Any, kind: type) -> bool:  # noqa: ANN401 (any JSON)
    if kind is list:
        return isinstance(value, list) and all(map(is_whole, value))
    return is_whole(value) if kind is int else isinstance(value, kind)


_is_ranges = is_list_of(lambda part: is_pair(part) and all(map(is_number, part)))


def _check_machine(machine: dict[str, Any], where: str) -> dict[str, Any]:
    where = f"{where}: machine"
    CHECK.only_keys(machine, _MACHINE, where)
    ram, reserved = machine.get("ram", ()), machine.get("reserved", [])
    for key, ranges in (("ram", ram), ("reserved", reserved)):
        CHECK.must(_is_ranges(ranges), where, key, "must be a list of [start_pfn, nr_pages]")
    for key in _BOOT_PAGES:
        CHECK.must(is_whole(machine.get(key, 0)), where, key, f"must be {WHOLE}")
    for key in _SWITCHES:
        CHECK.must(is_bool(machine.get(key, False)), where, key, "must be true or false")
    devices = machine.get("devices", [])
    CHECK.must(isinstance(devices, list), where, "devices", "must be a list")
    try:
        check_memory(sorted(map(tuple, ram)), map(tuple, reserved), check_devices(devices))
        check_block_pages(machine.get("block_pages", 1 << 15))
        check_online_type(machine.get("default_online_type", "offline"))
    except MemsimError as problem:
        msg = f"{where}: {problem}"
        raise BadScenario(msg) from None
    return machine


def _check_step(step: object, where: str) -> None:
    step = CHECK.mapping(step, where)
    kind = STEPS.get(str(step.get("do")))
    if kind is None:
        msg = f"{where}: 'do' is {step.get('do')!r}; known are {', '.join(STEPS)}"
        raise BadScenario(msg)
    CHECK.only_keys(step, {"do", "errno", *(a.name for a in kind.arguments)}, where)
    for argument in kind.arguments:
        if argument.name not in step:
            if argument.optional:
                continue
            msg = f"{where} ({step['do']}): {argument.name!r} is missing"
            raise BadScenario(msg)
        value = step[argument.name]
        if not _is_argument(value, argument.kind):
            noun = _NOUNS[argument.kind]
            msg = f"{where} ({step['do']}): {argument.name!r} is {value!r}, must be {noun}"
            raise BadScenario(msg)
    try:
        if "errno" in step:
            errno_number(str(step["errno"]))
        if step["do"] == "online":
            check_online_type(step.get("type", "online"))
        if step["do"] == "allocate":
            parse_migratetype(step.get("migratetype", "movable"))
    except MemsimError as problem:
        msg = f"{where} ({step['do']}): {problem}"
        raise BadScenario(msg) from None


_DEVICE_OF_STEP = {"virtio_mem": "virtio-mem", "hv": "hv-balloon", "xen_balloon": "xen-balloon"}


def _check_step_device(step: dict[str, Any], devices: dict[str, str], where: str) -> None:
    """Refuse a step for a device that the machine does not have, or that is of another kind."""
    if "device" not in step:
        return
    name = step["device"]
    if name not in devices:
        there = ", ".join(devices) or "none"
        msg = f"{where} ({step['do']}): the machine has no device {name!r}; it has {there}"
        raise BadScenario(msg)
    for prefix, kind in _DEVICE_OF_STEP.items():
        if step["do"].startswith(f"{prefix}_") and devices[name] != kind:
            msg = f"{where} ({step['do']}): device {name!r} is of kind {devices[name]!r}, must be {kind!r}"
            raise BadScenario(msg)


@dataclass(frozen=True)
class Outcome:
    """How one step ended: the errno's name or None, and the message of the kernel error."""

    step: int
    errno: str | None
    message: str
    expected: str | None

    @property
    def as_expected(self) -> bool:
        """Whether the step ended as the scenario says it must."""
        return self.errno == self.expected


@dataclass(repr=False)
class Run:
    """A scenario that was run: the machine as it is now, and how each step ended."""

    scenario: Scenario
    machine: Machine
    outcomes: list[Outcome] = field(default_factory=list)
    died: str | None = None
    """The VM_BUG that stopped the machine, or None."""
    tape: Tape | None = None
    again: Callable[[Patch], Run] | None = field(default=None, compare=False)
    """Runs the same on a kernel with other hunks."""

    def __repr__(self) -> str:
        """Show the kernel, and how the run ended."""
        end = f"died: {self.died}" if self.died else f"{len(self.outcomes)} steps done"
        return f"Run({self.scenario.title!r}, {self.machine.kernel.describe()}, {end})"

    @property
    def recording(self) -> Tape:
        """The tape of a run with ``record=True``.

        Raises
        ------
        MemsimError
            It was not.
        """
        if self.tape is None:
            msg = f"{self.scenario.title or 'the scenario'}: this run has no tape; run it with record=True"
            raise MemsimError(msg)
        return self.tape

    @property
    def as_expected(self) -> bool:
        """Whether the machine lives and every step ended as the scenario says it must."""
        return self.died is None and all(outcome.as_expected for outcome in self.outcomes)

    def do_step(self, number: int) -> Outcome | None:
        """Do one step; None when the machine dies of it."""
        step = self.scenario.steps[number]
        errno, message = None, ""
        try:
            STEPS[step["do"]].do(self.machine, step)
        except KernelError as error:
            errno, message = error.name, str(error)
        except KernelBug as bug:
            self.died = str(bug)
            self.machine.kernel.state.printk(f"kernel BUG: {bug}")
            return None
        outcome = Outcome(number, errno, message, step.get("errno"))
        self.outcomes.append(outcome)
        return outcome


def run(
    scenario: ScenarioSource,
    patch: Patch | str = AFTER,
    release: str = "6.12",
    *,
    debug_vm: bool | None = None,
    check_pages: bool | None = None,
    boot_reservations: bool | None = None,
    record: bool = False,
    from_boot: bool = False,
    most_of_step: int | None = None,
    trace: Trace | None = None,
) -> Run:
    """Run a scenario to its end, whatever its steps end with, or until the machine dies.

    With ``record`` the run has a tape that starts after boot, or ``from_boot`` at power-on; one that starts
    after boot can shorten long steps (``most_of_step``, see :class:`~memsim.state.tape.Tape`). ``trace``
    watches instead of a tape. ``scenario`` may be a file or a dict: see :meth:`Scenario.of`. ``debug_vm``,
    ``check_pages`` and ``boot_reservations`` override what the scenario says.
    """
    scenario = Scenario.of(scenario)
    checks: dict[str, Any] = {
        "debug_vm": debug_vm,
        "check_pages": check_pages,
        "boot_reservations": boot_reservations,
    }
    machine = scenario.boot(patch, release, **checks, record=record and from_boot)
    taped: dict[str, Any] = {"record": record, "from_boot": from_boot, "most_of_step": most_of_step}
    result = Run(scenario, machine, again=partial(run, scenario, release=release, **checks, **taped))
    if record:
        result.tape = machine.record(most_of_step) if machine.tape is None else machine.tape
        trace = result.tape
    machine.kernel.put_trace(trace)
    for number, step in enumerate(scenario.steps):
        if trace is not None:
            trace.action(tell_step(step))
        if result.do_step(number) is None:
            break
    machine.stop_recording()
    return result
