"""The writes of a tape in words.

Left out: reads; a tape holds writes and probe points only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.linux.include.mmzone import ZoneType
from memsim.linux.include.page_flags import MANAGED, PRESENT, PageFlag
from memsim.state.event import LEFT_OUT
from memsim.state.recording import PARAMETERS
from memsim.view.model.moments import argument_text
from memsim.view.model.tables import migratetype_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memsim.state.event import Event

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
