"""A comparison as one compact piece of data, for a page that replays both tapes by itself.

``static/memory.js`` has each primitive of :data:`memsim.state.recording.PRIMITIVES` again. Besides the tapes
go out what recordings of real kernels say at the moments of a walk, and the source of the functions that
appear on a tape.

Left out: docstrings, of which only the first sentence goes out, and annotations.
"""

from __future__ import annotations

import inspect
import json
import zlib
from typing import TYPE_CHECKING, Any

from memsim.linux.include.mmzone import MigrateType, ZoneType
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.patch import Hunk
from memsim.scenario.moments import BOOT
from memsim.scenario.steps import tell_step
from memsim.source.listings import listings
from memsim.state.recording import SPANS
from memsim.state.trace import FUNCTIONS
from memsim.view.explorer.columns import Contents, Numbered, TapeColumns, column, runs_of
from memsim.view.explorer.words import done_text
from memsim.view.model.page_class import CLASSES
from memsim.view.model.text import side_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.source.listings import Listing
    from memsim.view.explorer.timeline import Walk
    from memsim.view.model.text import PageMap

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
    tapes = [TapeColumns(tape, names, contents, encoding).out() for tape in walk.tapes.values()]
    moments, steps = walk.moments, walk.comparison.scenario.steps
    functions = functions_of(walk)
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
        "acting": [hunk.name for hunk in acting(walk)],
        "types": {
            "inverted": encoding.inverted,
            "codes": {kind.value: encoding.code(kind) for kind in PageType},
        },
        "spans": {name: span.__name__.removeprefix("_") for name, span in SPANS.items()},
        "flags": {flag.name: int(flag) for flag in PageFlag},
        "zoneTypes": [zone.name for zone in ZoneType],
        "migratetypes": [kind.name.lower() for kind in MigrateType],
        "classes": [[look.letter, look.label, look.colour, look.meaning] for look in CLASSES],
        "hunks": [hunk.name for hunk in Hunk],
        "names": names.list(),
    }


def packed(data: dict[str, Any]) -> bytes:
    """Return exported data as the page wants it: JSON, compressed by zlib.

    >>> zlib.decompress(packed({"title": "four tapes"}))
    b'{"title":"four tapes"}'
    """
    return zlib.compress(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(), 9)


# ---- what was recorded -----------------------------------------------------------------------------


def evidence(walk: Walk) -> list[dict[str, Any] | None]:
    """Return for each side its recorded kernel and what it says, by moment; None where none was recorded."""
    return [_of_side(walk, side) for side in walk.runs]


def _of_side(walk: Walk, side: str) -> dict[str, Any] | None:
    if side not in walk.recordings:
        return None
    probes = {}
    for index in sorted(walk.probes[side]):
        seen = walk.recorded(index, side)
        probes[index] = {
            "says": seen.says,
            "agrees": seen.agrees,
            "pages": seen.pages,
            "map": None if seen.page_map is None else _runs(seen.page_map),
        }
    return {"kernel": walk.kernel_of(side), "block": walk.block, "probes": probes}


def _runs(page_map: PageMap) -> list[list[int]]:
    """Return a recorded map as runs: pages, class, order of the free block that begins there (-1: none)."""
    classes, heads = page_map.classes, page_map.heads
    starts, lengths = runs_of(heads >= 0, classes)
    return [lengths.tolist(), classes[starts].tolist(), heads[starts].tolist()]


# ---- functions and hunks ---------------------------------------------------------------------------


def functions_of(walk: Walk) -> set[str]:
    """Return the functions that a walk enters or that write in it."""
    writing = {event.function for tape in walk.tapes.values() for event in tape.events if event.function}
    entered = {m.point.split(":")[1].rpartition("#")[0] for m in walk.moments if m.point.startswith("enter:")}
    return writing | entered


def acting(walk: Walk) -> list[Hunk]:
    """Return the hunks of the second kernel that a function of the walk asks for."""
    asked = {hunk for function in functions_of(walk) for part in listings(function) for hunk in part.hunks}
    return [hunk for hunk in Hunk if hunk in asked & walk.comparison.after.machine.kernel.patch]


# ---- source ----------------------------------------------------------------------------------------


def code_of(function: str) -> list[dict[str, Any]]:
    """Return the listing of a kernel function's model, and of its helpers that ask for a hunk.

    ``lines`` are pairs of a line's number in the file and its text; ``marks`` are the branches of the patch:
    hunk, kind, first and last line in the file.

    >>> [part["name"] for part in code_of("memmap_init_range")]
    ['memmap_init_range', 'first_state']
    """
    return [_listing(function, item) for item in listings(function)]


def _listing(function: str, item: Listing) -> dict[str, Any]:
    model = FUNCTIONS[function].__globals__.get(item.name, FUNCTIONS[function])
    model = inspect.unwrap(model)
    shift = item.first_line - 1
    return {
        "name": item.name,
        "file": item.file.removeprefix("memsim/"),
        "doc": first_sentence(inspect.getdoc(model) or ""),
        "lines": list(_lines(item, ", ".join(inspect.signature(model).parameters))),
        "marks": [[b.hunk.name, b.kind, b.first + shift, b.last + shift] for b in item.branches],
    }


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, without the marks of its language.

    >>> first_sentence("Free a page (``__free_page()``). It may wait.")
    'Free a page (__free_page()).'
    """
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("``", "")
    end = first.find(". ")
    return first if end < 0 else first[: end + 1]


def _lines(item: Listing, arguments: str) -> Iterator[list[Any]]:
    """Yield the lines of a listing: the signature in one line, then all but the docstring."""
    if not item.lines:
        return
    signature = next(at for at, line in enumerate(item.lines) if line.rstrip().endswith(":"))
    yield [item.first_line + signature, f"def {item.name}({arguments}):"]
    quoted = False
    for at, line in enumerate(item.lines[signature + 1 :], item.first_line + signature + 1):
        quotes = line.count('"""')
        if not (quoted or quotes) and line.strip():
            yield [at, line]
        quoted ^= quotes == 1
