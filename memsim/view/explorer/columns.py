"""Tapes and states as columns of numbers.

For each event of a tape goes out the number of its *site* (kind of event, function, line, depth), and for
each kind of event one column per argument. Columns hold differences between neighbours, which compress to
almost nothing. The state before the first event, and each state that stands in place of events that a tape
left out, goes out as runs of equal struct pages.

Left out: watermarks, which nothing shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.include.mmzone import COUNTERS
from memsim.linux.include.page_flags import PageType
from memsim.scenario.moments import BOOT, last_event
from memsim.state.event import LEFT_OUT
from memsim.view.explorer.words import argument_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from memsim.linux.include.mmzone import Zone
    from memsim.linux.include.page_flags import PageTypeEncoding
    from memsim.state.event import Event
    from memsim.state.section import Pages
    from memsim.state.state import State
    from memsim.state.tape import Tape


def column(numbers: Iterable[int]) -> list[int]:
    """Return a column: the first number, then each one's difference from the one before.

    >>> column([1024, 2048, 2048])
    [1024, 1024, 0]
    """
    values = list(map(int, numbers))
    return [now - before for before, now in zip([0, *values], values, strict=False)]


class Numbered:
    """Things by number, in the order in which they were first asked for."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers: dict[Any, int] = {}

    def __call__(self, thing: Any) -> int:  # noqa: ANN401 (anything that has a hash)
        """Return the number of a thing."""
        return self._numbers.setdefault(thing, len(self._numbers))

    def list(self) -> list[Any]:
        """Return the things by number."""
        return list(self._numbers)


# ---- tapes -----------------------------------------------------------------------------------------


class TapeColumns:
    """The columns of one tape."""

    def __init__(self, tape: Tape, names: Numbered, contents: Contents, encoding: PageTypeEncoding) -> None:
        self._tape, self._names, self._contents, self._encoding = tape, names, contents, encoding
        self._kinds, self._sites = Numbered(), Numbered()
        self._rows: dict[int, list[list[int]]] = {}
        self._states = [state_columns(tape.at(-1), names, contents)]

    def out(self) -> dict[str, Any]:
        """Return them all, with the states that they start from."""
        sites = [self._site(index, event) for index, event in enumerate(self._tape.events)]
        return {
            "site": column(sites),
            "sites": [list(site) for site in self._sites.list()],
            "kinds": [list(kind) for kind in self._kinds.list()],
            "args": [
                [column(values) for values in zip(*self._rows[kind], strict=True)]
                for kind in range(len(self._rows))
            ],
            "steps": [last_event(self._tape, step) for step in range(BOOT, len(self._tape.labels))],
            "states": self._states,
        }

    def _site(self, index: int, event: Event) -> int:
        """Return the number of an event's site, and keep its arguments in the columns of its kind."""
        kind, numbers = self._kind(index, event)
        number = self._kinds(kind)
        self._rows.setdefault(number, []).append(numbers)
        return self._sites((number, self._names(event.function), event.line, event.depth))

    def _kind(self, index: int, event: Event) -> tuple[tuple[str, ...], list[int]]:
        """Return what kind of event this is, and its arguments as numbers.

        A kind is the target and the primitive of a write and how many numbers its arguments are; or what a
        probe point is of and how each argument is to be read, ``n`` as a number, ``s`` as that of a name.
        """
        if event.primitive == LEFT_OUT:
            self._states.append(state_columns(self._tape.at(index), self._names, self._contents))
            return (event.target, LEFT_OUT), [*map(int, event.args), len(self._states) - 1]
        if event.primitive:
            numbers = list(self._numbers(event))
            return (event.target, event.primitive, str(len(numbers))), numbers
        what, _, name = event.point.partition(":")
        plain = [isinstance(argument, int) and not isinstance(argument, bool) for argument in event.args]
        read = "".join("ns"[not number] for number in plain)
        numbers = [
            int(argument) if number else self._names(argument_text(argument))
            for argument, number in zip(event.args, plain, strict=True)
        ]
        return (what, name.rpartition("#")[0], read), numbers

    def _numbers(self, event: Event) -> Iterator[int]:
        for argument in event.args:
            match argument:
                case None:
                    yield -1
                case PageType():
                    yield self._encoding.code(argument)
                case str():
                    yield self._names(argument)
                case range():
                    yield from (argument.start, len(argument), argument.step)
                case tuple():
                    yield from argument
                case _:
                    yield int(argument)


# ---- states ----------------------------------------------------------------------------------------


class Contents:
    """The struct pages of sections: those that look the same once, as runs of equal pages."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers = Numbered()
        self._patterns: dict[Any, int] = {}

    def number(self, pages: Pages) -> int:
        """Return the number of what the pages of a section are."""
        if pages.pattern is None:
            return self._numbers(_runs(pages))
        if pages.pattern not in self._patterns:
            self._patterns[pages.pattern] = self._numbers(_runs(pages))
        return self._patterns[pages.pattern]

    def out(self) -> list[list[list[int]]]:
        """Return the columns of each: lengths of runs, flags, stored types, orders, refcounts."""
        return [[list(part) for part in runs] for runs in self._numbers.list()]


def _runs(pages: Pages) -> tuple[tuple[int, ...], ...]:
    parts = (pages.flags, pages.type, pages.order, pages.refcount)
    starts, lengths = runs_of(np.zeros(len(pages.flags), bool), *parts)
    return tuple(map(int, lengths)), *(tuple(part[starts].tolist()) for part in parts)


def runs_of(begins: npt.NDArray[np.bool_], *columns: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], ...]:
    """Return where runs of equal rows start, and how long they are; one starts wherever ``begins`` says."""
    begins[0] = True
    for column_ in columns:
        begins[1:] |= column_[1:] != column_[:-1]
    starts = np.flatnonzero(begins)
    return starts, np.diff(starts, append=len(begins))


def state_columns(state: State, names: Numbered, contents: Contents) -> dict[str, Any]:
    """Return a state: sections, zones with their free lists, memory blocks, log."""
    sections = sorted(state.memmap.sections.items())
    return {
        "sections": {
            "nr": column(nr for nr, _ in sections),
            "content": column(contents.number(section.pages) for _, section in sections),
            "online": column(section.online for _, section in sections),
            "pageblocks": column(names(section.pageblocks.hex()) for _, section in sections),
        },
        "zones": [_zone(zone) for zone in state.zones],
        "totalram": state.totalram_pages,
        "blocks": {
            "id": column(state.blocks),
            "state": column(names(shown) for shown in state.blocks.values()),
        },
        "log": column(map(names, state.log)),
    }


def _zone(zone: Zone) -> dict[str, Any]:
    free = [
        [order, migratetype, *_list_runs(list(blocks))]
        for order, area in enumerate(zone.free_area)
        for migratetype, blocks in enumerate(area)
        if blocks
    ]
    pcp = [[*key, *_list_runs(list(blocks))] for key, blocks in zone.pcp.items() if blocks]
    counters = {name: getattr(zone, name) for name in COUNTERS}
    return {"name": zone.name, "counters": counters, "free": free, "pcp": pcp}


def _list_runs(pfns: Sequence[int]) -> list[list[int]]:
    """Return a list of pfns as runs of equal steps: first pfns, steps, lengths.

    >>> _list_runs([4096, 5120, 6144, 2048])
    [[4096, 2048], [1024, 0], [3, 1]]
    """
    values = np.array(pfns, np.int64)
    steps = np.diff(values)
    runs, at = [], 0
    while at < len(values):
        step = int(steps[at]) if at < len(steps) else 0
        others = np.flatnonzero(steps[at:] != step)
        length = (int(others[0]) if len(others) else len(steps) - at) + 1
        if length == 1:
            step = 0
        runs.append([int(values[at]), step, length])
        at += length
    return [list(part) for part in zip(*runs, strict=True)]
