"""A comparison as one compact piece of data, for a page that replays both tapes by itself.

A tape goes out as columns: for each event the number of its *site* (kind of event, function, line, depth),
and for each kind of event one column per argument. Columns hold differences between neighbours, which
compress to almost nothing. The state before the first event, and each state that stands in place of events
that a tape left out, goes out as runs of equal struct pages.

``static/memory.js`` has each primitive of :data:`memsim.state.recording.PRIMITIVES` again.

Left out: watermarks, which nothing shows.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.include.mmzone import COUNTERS, MigrateType, ZoneType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.patch import Hunk
from memsim.scenario.moments import BOOT, last_event
from memsim.scenario.steps import tell_step
from memsim.state.event import LEFT_OUT
from memsim.state.recording import SPANS
from memsim.view.explorer.evidence import evidence
from memsim.view.explorer.listing import code_of
from memsim.view.explorer.words import argument_text, done_text
from memsim.view.model.page_class import LOOKS
from memsim.view.model.side import side_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from memsim.linux.include.mmzone import Zone
    from memsim.linux.include.page_flags import PageTypeEncoding
    from memsim.state.event import Event
    from memsim.state.section import Pages
    from memsim.state.state import State
    from memsim.state.tape import Tape
    from memsim.view.explorer.timeline import Walk

FORMAT = "memsim-explorer/1"


def export(walk: Walk, *, title: str = "", note: str = "", start: int = 0) -> dict[str, Any]:
    """Return everything that an explorer shows of a comparison, as data for JSON.

    Parameters
    ----------
    walk
        The moments, with the recordings that were lined up with them.
    title, note
        What stands above the maps; which events were left out.
    start
        The moment to show first.
    """
    names, contents = Numbered(), Contents()
    encoding = walk.comparison.after.machine.kernel.memmap.encoding
    tapes = [_Columns(tape, names, contents, encoding).out() for tape in walk.tapes.values()]
    moments, steps = walk.moments, walk.comparison.scenario.steps
    functions = {event.function for tape in walk.tapes.values() for event in tape.events if event.function}
    functions |= {m.point.split(":")[1].rpartition("#")[0] for m in moments if m.point.startswith("enter:")}
    return {
        "format": FORMAT,
        "title": title,
        "note": note,
        "start": start,
        "block": walk.block,
        "blockPages": walk.block_pages,
        "blocks": list(walk.blocks),
        "zone": walk.zone_of_block(),
        "steps": [tell_step(step) for step in steps],
        "ends": [
            [done_text(run, step) for run in walk.runs.values()]
            for step in range(max((moment.step for moment in moments), default=BOOT) + 1)
        ],
        "sides": [
            {"name": side, "title": side_title(side), "hunks": [h.name for h in Hunk if h in patch]}
            for side, patch in ((side, run.machine.kernel.patch) for side, run in walk.runs.items())
        ],
        "moments": {
            "step": column(m.step for m in moments),
            "point": column(names(m.point.rpartition("#")[0] or m.point) for m in moments),
            "nth": column(int(m.point.rpartition("#")[2]) if "#" in m.point else 0 for m in moments),
            "before": column(m.before for m in moments),
            "after": column(m.after for m in moments),
        },
        "tapes": tapes,
        "contents": contents.out(),
        "recorded": evidence(walk),
        "code": {function: code_of(function) for function in sorted(functions)},
        "types": {
            "inverted": encoding.inverted,
            "codes": {kind.value: encoding.code(kind) for kind in PageType},
        },
        "spans": {name: span.__name__.removeprefix("_") for name, span in SPANS.items()},
        "flags": {flag.name: int(flag) for flag in PageFlag},
        "zoneTypes": [zone.name for zone in ZoneType],
        "migratetypes": [kind.name.lower() for kind in MigrateType],
        "classes": [[look.letter, look.label, look.colour, look.meaning] for look in LOOKS.values()],
        "hunks": [hunk.name for hunk in Hunk],
        "names": names.list(),
    }


def packed(data: dict[str, Any]) -> bytes:
    """Return exported data as the page wants it: JSON, compressed by zlib.

    >>> zlib.decompress(packed({"title": "four tapes"}))
    b'{"title":"four tapes"}'
    """
    return zlib.compress(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(), 9)


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


class _Columns:
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
    changes = np.zeros(len(pages.flags), bool)
    for part in parts:
        changes[1:] |= part[1:] != part[:-1]
    changes[0] = True
    starts = np.flatnonzero(changes)
    lengths = np.diff(starts, append=len(changes))
    return tuple(map(int, lengths)), *(tuple(part[starts].tolist()) for part in parts)


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
