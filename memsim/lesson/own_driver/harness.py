"""Scripts for a driver: steps that a host, an administrator and others do, and what is seen after each.

A script is a list of lists, ``[name, ...]``:

- ``["back", n, ...]``: the host backs these sub-blocks, before their block comes online;
- ``["plug", count]``, ``["unplug", count]``, ``["unload"]``: the driver's own functions;
- ``["online", block]``, ``["offline", block]``: an administrator;
- ``["dimm"]``: memory that is not the driver's is added as block 40;
- ``["use", block, pages]``: programs use pages of a block, which can be migrated;
- ``["pin", block]``, ``["unpin"]``: a device pins the first free page of a block; releases the last one;
- ``["veto", action, first]``: another listener refuses the action once, before the driver hears of it (True)
  or behind it (False);
- ``["other driver"]``: another driver sets its online page callback.

A block that is not there is ENOENT, and a driver that is gone is ENODEV.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import KernelBug, KernelError, MemsimError
from memsim.lesson.own_driver.api import KernelApi
from memsim.lesson.own_driver.calls import CallLog, RecordedApi
from memsim.lesson.own_driver.driver import START, SUB_BLOCK
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.include.page_flags import MANAGED, PageType
from memsim.machine.machine import Machine

if TYPE_CHECKING:
    from memsim.lesson.own_driver.driver import Driver

_DIMM = 40
_PATIENCE = 3


@dataclass
class Drive:
    """A driver on a machine, and what was seen after each step of a script.

    Attributes
    ----------
    machine, driver
        As they are now.
    seen
        A dict for each step: how it ended (``errno``, "" if well), what the driver returned, the counters
        of zone Movable, and each block that is there: its state, and a letter for each of its sub-blocks.
        ``f`` free, ``u`` in use, wholly or in part, ``o`` Offline with a reference, ``x`` Offline without
        one, ``?`` anything else.
    wrong
        What broke: the number of the step, and a sentence.
    """

    machine: Machine
    driver: Driver
    seen: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """The steps, in words."""
    gone: bool = False
    """Whether the driver has left."""
    log: CallLog = field(default_factory=CallLog)
    """What the driver was called for, and what it called."""
    _pins: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the log see the driver."""
        self.log.driver = self.driver

    def tell(self, name: str, *args: Any) -> Any:  # noqa: ANN401 (of a script, and of a driver)
        """Call a function of the driver's."""
        return self.log.enter(name, getattr(self.driver, name), *args)

    def step(self, name: str, *args: Any) -> None:  # noqa: ANN401 (of a script)
        """Do a step, and note what is to be seen."""
        errno, returned = "", None
        self.done.append(words_of_step(name, args))
        try:
            self._check(name, args)
            returned = _STEPS[name](self, *args)
            self.gone |= name == "unload" and returned is True
        except KernelBug as bug:
            self.wrong.append((len(self.seen), f"the kernel stops: {bug}"))
            errno = "BUG"
        except KernelError as error:
            errno = error.name
        except MemsimError as error:
            self.wrong.append((len(self.seen), str(error)))
            errno = "EINVAL"
        self.wrong += [(len(self.seen), sentence) for sentence in self._faults()]
        self.seen.append({"errno": errno, "returned": returned} | self._view())

    def _check(self, name: str, args: tuple[Any, ...]) -> None:
        """Refuse a step that asks a driver that is gone, or a block that is not there."""
        if self.gone and name in {"back", "plug", "unplug", "unload"}:
            raise KernelError("ENODEV", name, "the driver is gone")
        if name in {"online", "offline", "use", "pin"} and args[0] not in self.machine.blocks:
            raise KernelError("ENOENT", name, f"there is no memory block {args[0]}")

    def _view(self) -> dict[str, Any]:
        zone = self.machine.zone("Movable")
        blocks = {
            str(number): f"{block.state} {self.letters(number)}"
            for number, block in sorted(self.machine.blocks.items())
            if number * PAGES_PER_SECTION >= START
        }
        return {"managed": zone.managed_pages, "free": zone.nr_free_pages, "blocks": blocks}

    def letters(self, block: int) -> str:
        """Return a letter for each sub-block of a block that is online; "" for any other."""
        memmap = self.machine.kernel.memmap
        if memmap.pfn_to_online_page(block * PAGES_PER_SECTION) is None:
            return ""
        section = memmap.section(block * PAGES_PER_SECTION)
        offline = memmap.encoding.where(section.pages.type, PageType.OFFLINE).reshape(-1, SUB_BLOCK)
        counts = np.asarray(section.pages.refcount).reshape(-1, SUB_BLOCK)
        managed = (section.pages.flags & np.uint32(MANAGED) != 0).reshape(-1, SUB_BLOCK)
        return "".join(map(_letter, offline, counts, managed))

    def _faults(self) -> list[str]:
        """Return what the kernel complained of since the last step, and which invariants do not hold."""
        log = self.machine.log
        complaints = [line for line in log if line.startswith(("BUG", "WARNING"))]
        found = [*complaints[:1], *map(str, self.machine.check()), *self._not_backed()]
        known = {sentence for _, sentence in self.wrong}
        return [sentence for sentence in found if sentence not in known]

    def _not_backed(self) -> list[str]:
        """Return a sentence if the buddy has a sub-block that the host does not back.

        One that was taken from the buddy and is still counted is what ``offline-managed`` reports.
        """
        driver, memmap, found = self.driver, self.machine.kernel.memmap, []
        for number, plugged in enumerate(driver.plugged):
            pfn = driver.pfn_of(number)
            if not plugged and memmap.pfn_to_online_page(pfn) is not None:
                section, at = next(iter(memmap.spans(pfn, SUB_BLOCK)))
                managed = section.pages.flags[at] & np.uint32(MANAGED) != 0
                offline = memmap.encoding.where(section.pages.type[at], PageType.OFFLINE)
                if (managed & ~offline).any():
                    found.append(number)
        sentence = "the kernel uses sub-blocks that the host does not back, the first is number"
        return [f"{sentence} {found[0]}"] if found else []

    def report(self) -> dict[str, Any]:
        """Return what was seen, what broke and what was called, in values that JSON has."""
        return {"seen": self.seen, "wrong": [list(each) for each in self.wrong], "calls": self.log.events}

    def __str__(self) -> str:
        """Return a line for each step, and what broke below it."""
        lines = []
        for number, seen in enumerate(self.seen):
            blocks = "".join(f"; {block} {_short(state)}" for block, state in seen["blocks"].items())
            ended = f"{self.done[number]}: {seen['errno'] or 'done'}"
            returned = "" if seen["returned"] is None else f", returns {seen['returned']}"
            lines.append(
                f"{number:2} {ended}{returned}; managed {seen['managed']}, free {seen['free']}{blocks}"
            )
            lines += [f"   WRONG: {sentence}" for at, sentence in self.wrong if at == number]
        return "\n".join(lines)


def words_of_step(name: str, args: tuple[Any, ...]) -> str:
    """Return a step in words.

    >>> words_of_step("back", (0, 1, 2, 3)), words_of_step("use", (32, 100)), words_of_step("dimm", ())
    ('back 4 sub-blocks', 'use 32 100', 'dimm')
    """
    if name == "back":
        return f"back {len(args)} sub-blocks"
    return " ".join(map(str, [name, *args]))


def _letter(offline: Any, counts: Any, managed: Any) -> str:  # noqa: ANN401 (arrays)
    if offline.all():
        return "o" if (counts == 1).all() else "x" if not counts.any() else "?"
    if offline.any() or not managed.all():
        return "?"
    return "u" if counts.any() else "f"


def _short(state: str) -> str:
    """Return the letters of a block as runs.

    >>> _short("online ffffo")
    'online 4f 1o'
    """
    word, _, letters = state.partition(" ")
    runs: list[list[Any]] = []
    for letter in letters:
        if runs and runs[-1][1] == letter:
            runs[-1][0] += 1
        else:
            runs.append([1, letter])
    return " ".join([word, *(f"{count}{letter}" for count, letter in runs)])


# ---- steps -------------------------------------------------------------------------------------------


def _back(drive: Drive, *sub_blocks: int) -> None:
    for number in sub_blocks:
        drive.tell("back", number)


def _dimm(drive: Drive) -> None:
    drive.machine.add_memory(_DIMM * PAGES_PER_SECTION, PAGES_PER_SECTION)


def _use(drive: Drive, block: int, nr_pages: int) -> None:
    drive.machine.allocate(nr_pages, block=block)


def _pin(drive: Drive, block: int) -> None:
    drive._pins.append(drive.machine.pin(block))  # noqa: SLF001 (its own harness)


def _unpin(drive: Drive) -> None:
    if drive._pins:  # noqa: SLF001 (its own harness)
        drive.machine.unpin(drive._pins.pop())  # noqa: SLF001 (its own harness)


def _veto(drive: Drive, action: str, first: bool) -> None:  # noqa: FBT001 (of a script)
    left = [action]

    def refuse(heard: str, _start: int, _nr_pages: int) -> int | None:
        if heard in left:
            left.remove(heard)
            return NOTIFY_BAD
        return None

    drive.machine.register_memory_notifier(refuse, priority=1 if first else -1)


def _other_driver(drive: Drive) -> None:
    KernelApi(drive.machine).set_online_page_callback(lambda _pfn, _order: None)


_STEPS: dict[str, Any] = {
    "back": _back,
    "plug": lambda drive, count: drive.tell("plug", count),
    "unplug": lambda drive, count: drive.tell("unplug", count),
    "unload": lambda drive: drive.tell("unload"),
    "online": lambda drive, block: drive.machine.online(block, "online_movable") and None,
    "offline": lambda drive, block: drive.machine.offline(block, patience=_PATIENCE) and None,
    "dimm": _dimm,
    "use": _use,
    "pin": _pin,
    "unpin": _unpin,
    "veto": _veto,
    "other driver": _other_driver,
}


def drive(driver: type[Driver], script: list[list[Any]], **options: Any) -> Drive:  # noqa: ANN401 (of Machine)
    """Load a driver on a new machine, and play a script.

    >>> from memsim.lesson.own_driver import Driver
    >>> print(drive(Driver, [["back", 0, 1], ["online", 32]]))
     0 back 2 sub-blocks: done; managed 0, free 0; 32 offline
     1 online 32: done; managed 32768, free 32768; 32 online 64f
       WRONG: the kernel uses sub-blocks that the host does not back, the first is number 2

    Raises
    ------
    MemsimError
        There is no such step.
    """
    machine = Machine(**options)
    log = CallLog()
    made = Drive(machine, driver(RecordedApi(machine, log)), log=log)
    made.tell("load")
    for name, *args in script:
        if name not in _STEPS:
            msg = f"there is no step {name!r}; there are {', '.join(_STEPS)}"
            raise MemsimError(msg)
        made.step(name, *args)
    return made
