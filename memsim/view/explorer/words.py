"""What a tape holds, in words: moments, writes, and the functions that are being executed.

Left out: reads; a tape holds writes and probe points only. And single lines of code: a walk goes from one
probe point to the next.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import MANAGED, PRESENT, PageFlag
from memsim.patch import Patch
from memsim.scenario.moments import BOOT, DONE, tapes
from memsim.scenario.steps import tell_step
from memsim.state.event import LEFT_OUT
from memsim.state.recording import PARAMETERS
from memsim.view.model.text import SIDES, migratetype_name, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memsim.scenario.comparison import Comparison, Moment
    from memsim.scenario.scenario import Run
    from memsim.state.event import Event
    from memsim.state.tape import Tape


def side_names(comparison: Comparison) -> tuple[str, str]:
    """Return the names of the two kernels: before and after, or the hunks that one of them has."""
    before, after = (patch_name(run.machine.kernel.patch) for run in (comparison.before, comparison.after))
    return (before, after) if before != after else SIDES


def patch_name(patch: Patch) -> str:
    """Return a short name: of the hunks that are there, or of those that are not."""
    missing = Patch.without(patch)
    return f"without {missing.name}" if patch and missing and len(missing) < len(patch) else patch.name


def shortened(comparison: Comparison) -> str:
    """Return which steps the tapes have only in part or not at all; nothing if they are whole."""
    both = tapes(comparison)
    gaps = [event for tape in both for event in tape.events if event.primitive == LEFT_OUT]
    told = (
        f"Shortened: of {_steps(gaps)} the first {both[0].most_of_step:,} events are shown, then only what "
        "happens for the first time in the step, and its end. The state at each moment shown is whole."
    )
    unseen = [event for event in gaps if event.args[1]]
    told += f" What came last in {_steps(unseen)} was not watched." if unseen else ""
    end = min(len(tape.labels) for tape in both)
    gone = f" The steps from {end} on are left out." * any(tape.has_ended for tape in both)
    return (told if gaps else "") + gone


def _steps(events: Sequence[Event]) -> str:
    numbers = sorted({event.step for event in events})
    return f"{plural(len(numbers), 'step')} {', '.join(map(str, numbers))}"


def call_text(event: Event) -> str:
    """Return a probe point as the call, return or notification that it is."""
    kind, _, rest = event.point.partition(":")
    name = rest.rpartition("#")[0]
    if kind == "enter":
        return f"{name}({', '.join(map(argument_text, event.args))}) is entered"
    chain = "node" if name.startswith("NODE_") else "memory"
    return f"{name}() returns" if kind == "return" else f"the {chain} notifier chain is called: {name}"


def argument_text(argument: object) -> str:
    """Return an argument as a kernel developer writes it: numbers in hexadecimal, objects by name."""
    if isinstance(argument, bool) or argument is None:
        return str(argument).lower()
    if isinstance(argument, int):
        return f"{int(argument):#x}"
    if hasattr(argument, "block_id"):
        return f"memory{argument.block_id}"
    return str(getattr(argument, "name", argument))


def done_text(run: Run, step: int) -> str:
    """Return how a step ended on one kernel."""
    if step < len(run.outcomes):
        return run.outcomes[step].message or "ok"
    return f"the machine died: {run.died}"


def heading(comparison: Comparison, moments: Sequence[Moment], index: int) -> str:
    """Return which moment this is, and the step that it belongs to; both count from 0 to the last."""
    moment = moments[index]
    steps = comparison.scenario.steps
    if moment.step == BOOT:
        where = "after boot, before the first step" if moment.point == DONE else "boot"
    else:
        where = f"step {moment.step} of {len(steps) - 1}: {tell_step(steps[moment.step])}"
    return f"Moment {index} of {len(moments) - 1}, {where}"


def happening(comparison: Comparison, moment: Moment) -> str:
    """Return what happens at a moment in one line."""
    if (moment.step, moment.point) == (BOOT, DONE):
        return "done: both kernels have booted"
    if moment.point == DONE:
        ends = [done_text(run, moment.step) for run in (comparison.before, comparison.after)]
        return f"done: the step has ended: {_of_both(comparison, ends)}"
    calls = [
        call_text(tape.events[at])
        for tape, at in zip(tapes(comparison), (moment.before, moment.after), strict=True)
    ]
    return f"{moment.point}: {_of_both(comparison, calls)}"


def _of_both(comparison: Comparison, told: list[str]) -> str:
    if told[0] == told[1]:
        return told[0]
    return "; ".join(f"{name}: {what}" for name, what in zip(side_names(comparison), told, strict=True))


# ---- writes ----------------------------------------------------------------------------------------

OUTSIDE = "outside any function with a probe point"
"""What stands for the function where none is being executed."""


def write_text(event: Event) -> str:
    """Return a write as a call: flags, orders and migratetypes by name, other numbers in hexadecimal.

    >>> from memsim.state.event import Event
    >>> write_text(Event(0, "", 0, target="memmap", primitive="set_flags", args=(1024, 8, 0x400)))
    'memmap.set_flags(0x400, 0x8, RESERVED)'
    >>> write_text(Event(0, "", 0, target="Normal", primitive="add_to_free_list", args=(1024, 9, 1)))
    'Normal.add_to_free_list(0x400, order 9, movable)'
    """
    if event.primitive == LEFT_OUT:
        return f"left out here: {left_out_text([event])}"
    arguments = (
        _AS_TEXT.get(name, argument_text)(argument)
        for name, argument in zip(PARAMETERS[event.primitive], event.args, strict=False)
    )
    return f"{event.target}.{event.primitive}({', '.join(arguments)})"


def left_out_text(events: Iterable[Event]) -> str:
    """Return how many events a tape left out, or nothing if none.

    >>> from memsim.state.event import Event
    >>> left_out_text([Event(0, "", 0, primitive="left_out", args=(20_000, True))])
    '20,000 events or more'
    """
    gaps = [event.args for event in events if event.primitive == LEFT_OUT]
    number = sum(count for count, _ in gaps)
    told = f"{number:,} event{'s' * (number != 1)}{' or more' * any(more for _, more in gaps)}"
    return told if gaps else ""


def flags_text(mask: int) -> str:
    """Return flags by name, and the two bits that the model adds to count by.

    >>> flags_text(0x400), flags_text(0)
    ('RESERVED', 'no flags')
    """
    names = [str(flag.name) for flag in PageFlag if flag & mask]
    missing = [str(flag.name) for flag in PageFlag if not flag & mask]
    if len(missing) <= 1:
        names = [f"all flags{' but '.join(['', *missing])}"]
    names += [name for bit, name in ((MANAGED, "(managed)"), (PRESENT, "(present)")) if bit & mask]
    return "|".join(names) or "no flags"


_AS_TEXT: dict[str, Callable[[Any], str]] = {
    "mask": flags_text,
    "flags": flags_text,
    "zone": lambda zone: ZoneType(zone).name,
    "stored_type": lambda stored: f"stored type {stored:#x}",
    "order": lambda order: f"order {order}",
    "migratetype": migratetype_name,
}
"""Parameter of a primitive -> how its value is written; others as :func:`argument_text` does."""


# ---- functions -------------------------------------------------------------------------------------


class Calls:
    """Which functions are being executed at each event of a tape."""

    def __init__(self, tape: Tape) -> None:
        """Note for each event where the function was entered that it happens in (-1: in none)."""
        self._events = tape.events
        self._around = array("l")
        entered = {-1: -1}  # depth -> the last event that entered a function there
        for index, event in enumerate(tape.events):
            self._around.append(entered[event.depth - 1])
            if event.point.startswith("enter:"):
                entered[event.depth] = index

    def at(self, index: int, point: str) -> tuple[str, ...]:
        """Return the functions that are being executed after event ``index``, the innermost first."""
        if point == DONE:
            return ()
        event = self._events[index]
        found = [entered_function(event)] if event.point.startswith("enter:") else []
        while event.function:
            found.append(event.function)
            index = self._around[index]
            event = self._events[index]
            if entered_function(event) != found[-1]:
                break  # where this one was entered is left out
        return tuple(found)


def entered_function(event: Event) -> str:
    """Return the name of the function that an event enters."""
    return event.point.removeprefix("enter:").rpartition("#")[0]
