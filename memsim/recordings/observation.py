"""Recorded states of real kernels: the file format ``memsim-observation/1``.

An observation holds a scenario and, for named probe points, the state of every page of the hot-added
range, the zone counters and the memory blocks. :mod:`memsim.recordings.replay` judges the simulator by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import BadObservation, BadScenario, MemsimError
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.patch import AFTER, BEFORE, Patch
from memsim.recordings.schema import CHECK, check_hunks, check_probe, check_states, runs_of
from memsim.release import RELEASES, release_named
from memsim.scenario.json_check import is_number, is_text, read_json
from memsim.scenario.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from memsim.linux.include.page_flags import PageTypeEncoding
    from memsim.state.state import State

FORMAT = "memsim-observation/1"
_FLAGS = {
    "reserved": PageFlag.RESERVED,
    "dirty": PageFlag.DIRTY,
    "self_hosted": PageFlag.VMEMMAP_SELF_HOSTED,
    "hwpoison": PageFlag.HWPOISON,
}
FLAG_MASK = sum(_FLAGS.values())
ANY_MANAGED, UNDEFINED = -1, -2
_NOT_COMPARED = {
    ANY_MANAGED: "any page that the buddy manages",
    UNDEFINED: "a page that is not initialised",
}


@dataclass(frozen=True, repr=False)
class Observation:
    """One recording: the kernel it was made on, the scenario, and the probes as the file has them."""

    name: str
    kernel: dict[str, Any]
    scenario: Scenario
    states: dict[str, dict[str, Any]]
    probes: tuple[dict[str, Any], ...]
    ended: str = "works"
    series: dict[str, Any] = field(default_factory=dict)
    hot_added: tuple[int, int] = (0, 0)
    """First pfn and pages of the range that was recorded."""

    def __repr__(self) -> str:
        """Show the recorded kernel, and how much was recorded."""
        kernel, side = self.kernel.get("release", "?"), self.series["series"]
        return f"Observation({self.name!r}, kernel {kernel} ({side}), {len(self.probes)} probes)"

    @classmethod
    def load(cls, path: str | Path) -> Observation:
        """Read an observation file; BadObservation names the file and the rule it breaks."""
        return cls.parse(read_json(path, BadObservation), str(path))

    @classmethod
    def parse(cls, document: object, where: str) -> Observation:
        """Check a parsed JSON document as far as a replay needs it, or raise BadObservation."""
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            msg = f"{where}: is not a {FORMAT} object"
            raise BadObservation(msg)
        for key, kind in (("kernel", dict), ("scenario", dict), ("states", dict), ("probes", list)):
            fits = isinstance(document.get(key), kind)
            CHECK.must(fits, where, key, f"is missing or not a JSON {kind.__name__}")
        try:
            scenario = Scenario.parse(document["scenario"], f"{where}: scenario")
        except BadScenario as problem:
            raise BadObservation(str(problem)) from None
        kernel = document["kernel"]
        series = {
            key: kernel.get(key, document.get(key))
            for key in ("series", "missing", "only", "debug_vm", "check_pages")
        }
        side = series["series"]
        if not is_text(side):
            CHECK.fail(f"{where}: kernel 'series'", f"is {side!r}, must be a string")
        check_hunks(series, where)
        check_states(document["states"], where)
        check_probes(document, len(scenario.steps), where)
        return cls(
            where,
            kernel,
            scenario,
            document["states"],
            tuple(document["probes"]),
            str(document.get("ended", "works")),
            series,
            hot_added_range(document, where),
        )

    @property
    def release(self) -> str:
        """The modelled release that stands for the recorded kernel: its own, or the last one before it."""
        recorded = str(self.kernel.get("release", ""))
        version = re.match(r"(\d+)\.(\d+)", recorded)
        if version is None:
            return release_named(recorded).name
        older = [name for name in RELEASES if _numbers(name) <= _numbers(version[0])]
        return max(older, key=_numbers) if older else release_named(version[0]).name

    @property
    def patch(self) -> Patch:
        """The hunks that the recorded kernel had; BadObservation if the file does not say."""
        kind = self.series["series"]
        if kind in {"before", "after"}:
            return BEFORE if kind == "before" else AFTER
        if kind == "partial":
            only, missing = self.series["only"], self.series["missing"]
            if only is not None:
                return Patch.parse(",".join(only))
            if missing is not None:
                return Patch.without(Patch.parse(",".join(missing)))
        msg = (
            f"{self.name}: kernel 'series' is {kind!r}, must be 'before', 'after', or 'partial' "
            "with 'missing' or 'only'"
        )
        raise BadObservation(msg)

    def probe(self, step: int, at: str) -> dict[str, Any]:
        """Return the first probe of ``step`` with the name ``at``; BadObservation if none was recorded."""
        for probe in self.probes:
            if probe["step"] == step and probe["at"] == at:
                return probe
        msg = f"{self.name}: no probe {at!r} was recorded in step {step}"
        raise BadObservation(msg)

    def page_counts(self, step: int, at: str, block: int) -> dict[str, int]:
        """Return how many pages of a block were in each state of the legend at a probe.

        >>> bundled("6.12base-after-dimm").page_counts(1, "notifier:MEM_GOING_ONLINE", 32)
        {'O/1': 32768}
        """
        return self.page_counts_at(self.probe(step, at), block)

    def page_counts_at(self, probe: Mapping[str, Any], block: int) -> dict[str, int]:
        """Return the same for one of ``probes``: several of a step may have the same name.

        >>> recorded = bundled("7.3-pinned-page")
        >>> probes = [each for each in recorded.probes if each["step"] == 4]
        >>> onlining = [each for each in probes if each["at"] == "notifier:MEM_GOING_ONLINE"]
        >>> len(onlining), recorded.page_counts_at(onlining[2], 38)
        (3, {'O/1': 32768})
        """
        counts: dict[str, int] = {}
        for count, key in runs_of(probe["blocks"][str(block)]["pages"], self.name):
            counts[key] = counts.get(key, 0) + count
        return counts

    @property
    def debug_vm(self) -> bool:
        """Whether the recorded kernel was built with CONFIG_DEBUG_VM."""
        return bool(self.series["debug_vm"])

    @property
    def check_pages(self) -> bool:
        """Whether the recorded kernel checked freed pages.

        A file that does not say so is of a kernel that Debian shipped, which does; a half-patched kernel is
        a private build, which does with CONFIG_DEBUG_VM only.
        """
        told = self.series["check_pages"]
        return bool(told) if told is not None else self.debug_vm or not self.partial

    @property
    def partial(self) -> bool:
        """Whether the recorded kernel had some hunks and not others."""
        return bool(self.series["series"] == "partial")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def check_probes(document: dict[str, Any], nr_steps: int, where: str) -> None:
    """Refuse probes that break the format, and page lists with states that the legend does not have."""
    for number, probe in enumerate(document["probes"]):
        check_probe(probe, number, nr_steps, where)
        for key, count in probe.get("sums", {}).items():
            if key not in document["states"] or not is_number(count):
                msg = f"{where}: probe {number}: sums: {key!r}: {count!r} has no legend or is not a number"
                raise BadObservation(msg)
        for block, seen in probe.get("blocks", {}).items():
            if "pages" not in seen:
                continue
            for _, key in runs_of(seen["pages"], f"{where}: probe {number}: block {block}"):
                if key not in document["states"]:
                    msg = f"{where}: probe {number}: block {block}: state {key!r} has no legend"
                    raise BadObservation(msg)


def hot_added_range(document: dict[str, Any], where: str) -> tuple[int, int]:
    """Return the first pfn and the pages of the recorded range; sums without it are refused."""
    span = document.get("range", {})
    try:
        return int(span["start_pfn"]), int(span["nr_pages"])
    except (TypeError, KeyError, ValueError):
        if any("sums" in probe for probe in document["probes"]):
            msg = f"{where}: 'range' must give start_pfn and nr_pages, for probes have 'sums' over it"
            raise BadObservation(msg) from None
        return 0, 0


# ---- signatures: one number that says all that is compared of a page -------------------------------


def signature(flags: int, stored_type: int, refcount: int, order: int) -> int:
    """Pack what is compared of one page."""
    return (flags & FLAG_MASK) << 32 | stored_type << 24 | order << 16 | refcount & 0xFFFF


def signatures(state: State, pfn: int, nr_pages: int) -> npt.NDArray[np.int64]:
    """Return the signature of every page of a range, whether its section is online or not."""
    parts = []
    for section, at in state.memmap.spans(pfn, nr_pages):
        pages = section.pages
        buddy = state.memmap.encoding.where(pages.type[at], PageType.BUDDY)
        order = np.where(buddy, pages.order[at], 0).astype(np.int64)
        flags = (pages.flags[at] & np.uint32(FLAG_MASK)).astype(np.int64)
        refcount = pages.refcount[at].astype(np.int64) & 0xFFFF
        parts.append(flags << 32 | pages.type[at].astype(np.int64) << 24 | order << 16 | refcount)
    return np.concatenate(parts)


def legend(states: dict[str, dict[str, Any]], encoding: PageTypeEncoding) -> dict[str, int]:
    """Return the signature of each key of an observation's legend."""
    table = {}
    for key, state in states.items():
        if state.get("managed"):
            table[key] = ANY_MANAGED
        elif state.get("undefined"):
            table[key] = UNDEFINED
        else:
            flags = sum(int(_FLAGS[name]) for name in state["flags"])
            code = encoding.code(PageType(state["type"]))
            table[key] = signature(flags, code, state["refcount"], state.get("order", 0))
    return table


def describe(value: int, encoding: PageTypeEncoding) -> str:
    """Return a signature in words.

    >>> describe(ANY_MANAGED, release_named("6.12").encoding)
    'any page that the buddy manages'
    """
    if value in _NOT_COMPARED:
        return _NOT_COMPARED[value]
    types = "+".join(sorted(t.value for t in encoding.types(value >> 24 & 0xFF))) or "none"
    names = [name for name, flag in _FLAGS.items() if value >> 32 & flag]
    order = f" order {value >> 16 & 0xFF}" if "buddy" in types else ""
    refcount = (value & 0xFFFF) - ((value & 0x8000) << 1)
    return f"{' '.join([*names, f'type {types}'])}{order} refcount {refcount}"


# ---- the recordings that come with memsim ------------------------------------------------------------


def bundled(name: str) -> Observation:
    """Return one of the recordings that come with memsim, by file name without ``.json``.

    Raises
    ------
    MemsimError
        There is none of this name; the message lists those there are.
    """
    names = bundled_names()
    if name not in names:
        msg = f"there is no bundled recording {name!r}; there are {', '.join(names)}"
        raise MemsimError(msg)
    with resources.as_file(resources.files("memsim") / "recordings" / "data" / f"{name}.json") as path:
        return Observation.load(path)


def bundled_names() -> list[str]:
    """Return the names of the recordings that come with memsim."""
    folder = resources.files("memsim") / "recordings" / "data"
    return sorted(f.name.removesuffix(".json") for f in folder.iterdir() if f.name.endswith(".json"))
