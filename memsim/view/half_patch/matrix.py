"""Every hunk alone and every hunk missing, in every story: what happens, in one word.

A story is a scenario in which the hunks matter: a DIMM, a self-hosted block, and three drivers. A hunk that
is missing is compared with the whole patch, one that is alone with no patch. All of it takes seconds, so
``matrix.json`` keeps it; a test runs it again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.scenario.scenario import FORMAT, Scenario, run
from memsim.view.charts.boxes import Signs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.scenario.scenario import Run

# ---- stories ---------------------------------------------------------------------------------------

_P, _N = 0x100000, 32768
_ADD = {"do": "add_memory", "start_pfn": _P, "nr_pages": _N}
_ONLINE = {"do": "online", "block": 32, "type": "online_movable"}
_VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": _P,
    "region_pages": 4 * _N,
    "device_block_pages": 512,
}


def _request(pages: int) -> dict[str, Any]:
    return {"do": "virtio_mem_request", "device": "vm0", "requested_pages": pages}


def _hot_add(start: int, pages: int) -> dict[str, Any]:
    return {"do": "hv_hot_add", "device": "hv0", "start_pfn": _P + start, "nr_pages": pages}


STORIES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "DIMM": ({}, [_ADD, _ONLINE]),
    "self-hosted": ({"memmap_on_memory": True}, [_ADD, _ONLINE]),
    "virtio-mem": (
        {"devices": [_VIRTIO_MEM]},
        [_request(_N // 2), _ONLINE, _request(3 * _N // 4), {"do": "offline", "block": 32}],
    ),
    "Hyper-V": (
        {"devices": [{"kind": "hv-balloon", "name": "hv0"}]},
        [_hot_add(0, 20000), _ONLINE, _hot_add(20000, 5000)],
    ),
    "Xen": (
        {"devices": [{"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 4 * _N}]},
        [
            {"do": "xen_balloon_target", "device": "xen0", "target_pages": 4 * _N + 1000},
            {"do": "online", "block": 4, "type": "online_kernel"},
        ],
    ),
}
"""Name -> what the machine has besides 512 MiB of memory, and the steps."""


def story_scenario(story: str) -> Scenario:
    """Return a story as a scenario."""
    machine, steps = STORIES[story]
    machine = {"ram": [[0, 4 * _N]], "block_pages": _N} | machine
    return Scenario.parse({"format": FORMAT, "title": story, "machine": machine, "steps": steps})


# ---- cells -----------------------------------------------------------------------------------------

STORED = Path(__file__).with_name("matrix.json")
KINDS = ("alone", "missing")


class Effect(Enum):
    """What a half patch does, the worst last: a letter, words, and how a chart shows it."""

    NOTHING = "·", "nothing wrong", "none"
    LOGGED = "L", "logged", "told"
    SILENT = "S", "silently wrong", "odd"
    LOST = "M", "memory lost", "bad"
    DEAD = "D", "kernel stops", "dead"

    @property
    def letter(self) -> str:
        """One letter, which a map shows."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What happens."""
        return self.value[1]

    @property
    def level(self) -> str:
        """Name of the look in :data:`~memsim.view.charts.boxes.LEVELS`."""
        return self.value[2]


@dataclass(frozen=True)
class Cell:
    """What happens with one hunk alone or missing, in one story.

    Attributes
    ----------
    pfn
        The first page that a broken rule or a new line of the log names; None if there is none.
    """

    hunk: Hunk
    story: str
    kind: str
    check_pages: bool
    effect: Effect
    why: str
    pfn: int | None

    @property
    def patch(self) -> Patch:
        """The hunks of the kernel."""
        return Patch({self.hunk}) if self.kind == "alone" else Patch.without({self.hunk})


def cells() -> Iterator[Cell]:
    """Run everything."""
    for check_pages in (False, True):
        for story in STORIES:
            for hunk in Hunk:
                for kind in KINDS:
                    yield cell_of(hunk, story, kind, check_pages=check_pages)


def cell_of(hunk: Hunk, story: str, kind: str, *, check_pages: bool) -> Cell:
    """Run one story on a kernel with one hunk, or with all but one."""
    patch = Patch({hunk}) if kind == "alone" else Patch.without({hunk})
    half = run_story(story, patch, check_pages=check_pages)
    normal = run_story(story, BEFORE if kind == "alone" else AFTER, check_pages=check_pages)
    effect, why, pfn = _judge(half, normal)
    return Cell(hunk, story, kind, check_pages, effect, why, pfn)


@cache
def run_story(story: str, patch: Patch, *, check_pages: bool) -> Run:
    """Run a story, once."""
    return run(story_scenario(story), patch, check_pages=check_pages)


def _judge(half: Run, normal: Run) -> tuple[Effect, str, int | None]:
    """Return the worst that can be seen of a run beside one that is as it should be."""
    if half.died is not None:
        return Effect.DEAD, str(half.died), _first_pfn([str(half.died)])
    log = [line for line in half.machine.log if line not in normal.machine.log]
    broken = half.machine.check()
    errors = [outcome.message for outcome in half.outcomes if outcome.errno and outcome.message]
    expected = [outcome.message for outcome in normal.outcomes if outcome.errno and outcome.message]
    pfn = _first_pfn([*map(str, broken), *errors, *log])
    missing = _total(normal, "nr_free_pages") - _total(half, "nr_free_pages")
    # Where pages leak that should have gone with their block, no fewer are free.
    leaked = next((str(each) for each in broken if each.name == "leaked"), "")
    lost = f"{missing:,} pages have no owner" if missing > 0 else leaked
    if lost:
        return Effect.LOST, lost + _and(log), pfn
    if log or errors != expected:
        return Effect.LOGGED, next(iter([*errors, *log])), pfn
    if broken:
        return Effect.SILENT, str(broken[0]), pfn
    managed, right = _total(half, "managed_pages"), _total(normal, "managed_pages")
    if managed != right:
        return Effect.SILENT, f"managed is {managed:,} and must be {right:,}", pfn
    return Effect.NOTHING, "everything is as it should be", pfn


_PFN = re.compile(r"(?:pfn[: ]|page )(?:0x)?([0-9a-f]{4,})")


def _first_pfn(told: list[str]) -> int | None:
    """Return the first page that a message names."""
    found = next(filter(None, map(_PFN.search, told)), None)
    return None if found is None else int(found[1], 16)


def _and(log: list[str]) -> str:
    return f", and the log says: {log[0]}" if log else ", and nothing reports it"


def _total(result: Run, counter: str) -> int:
    """Return a counter of the zones of hotplugged memory."""
    zones = result.machine.kernel.state.zones
    return sum(getattr(zone, counter) for zone in zones if zone.name in {"Normal", "Movable"})


# ---- stored ----------------------------------------------------------------------------------------


def stored_cells() -> list[Cell]:
    """Return what is stored; nothing is run."""
    document = json.loads(STORED.read_text(encoding="utf-8"))
    return [Cell(**one | {"hunk": Hunk[one["hunk"]], "effect": Effect[one["effect"]]}) for one in document]


def document_of(found: list[Cell]) -> str:
    """Return cells as they are stored."""
    rows = [json.dumps(row_of(cell), ensure_ascii=False) for cell in found]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def row_of(cell: Cell) -> dict[str, Any]:
    """Return a cell as JSON."""
    return {
        "hunk": cell.hunk.name,
        "story": cell.story,
        "kind": cell.kind,
        "check_pages": cell.check_pages,
        "effect": cell.effect.name,
        "why": cell.why,
        "pfn": cell.pfn,
    }


def matrix_chart(*, check_pages: bool = True) -> Signs:
    """Return the stored matrix as a chart: a row for each hunk."""
    found = {(c.hunk, c.story, c.kind): c for c in stored_cells() if c.check_pages is check_pages}
    columns = [(story, kind) for kind in KINDS for story in STORIES]
    effects = {cell.effect for cell in found.values()}
    key = ", ".join(f"{effect.letter} {effect.words}" for effect in Effect if effect in effects)
    return Signs(
        "Half a patch",
        tuple(SHORT.get(story, story) for story, _ in columns),
        {
            hunk.name: tuple((found[hunk, *c].effect.letter, found[hunk, *c].effect.level) for c in columns)
            for hunk in Hunk
        },
        groups=("only this hunk", "all hunks but this"),
        key=key,
    )


SHORT = {"self-hosted": "self", "virtio-mem": "virtio"}
"""Names of stories where there is little room."""


if __name__ == "__main__":
    STORED.write_text(document_of(list(cells())), encoding="utf-8", newline="\n")
