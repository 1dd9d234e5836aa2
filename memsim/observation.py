"""What real kernels showed (``memsim-observation/1``), and the replay that judges the simulator by it.

An observation holds a scenario and, for named probe points, the state of every page of the hot-added
range, the zone counters and the memory blocks. :func:`replay` runs the steps on a simulated kernel of the
same release and side of the patch and compares everything at every probe.

Not compared, because the recorded system lived in that memory: what ``*`` stands for in blocks that are
not exact (any page the buddy manages), pageblock types of such blocks, and pages not initialised yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import BadObservation, BadScenario, MemsimError
from memsim.include.layout import pfn_to_section_nr, section_nr_to_pfn
from memsim.include.mmzone import COUNTERS
from memsim.include.page_flags import LIVE, MANAGED, PageFlag, PageType
from memsim.observation_check import check_hunks, check_probe, check_states, is_number, runs_of
from memsim.patch import AFTER, BEFORE, Patch, release_named
from memsim.scenario import Run, Scenario, read_json, tell_step
from memsim.trace import Probe, matches

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from memsim.include.page_flags import PageTypeEncoding
    from memsim.kernel import State

FORMAT = "memsim-observation/1"
_FLAGS = {
    "reserved": PageFlag.RESERVED,
    "dirty": PageFlag.DIRTY,
    "self_hosted": PageFlag.VMEMMAP_SELF_HOSTED,
    "hwpoison": PageFlag.HWPOISON,
}
_FLAG_MASK = sum(_FLAGS.values())
_COUNTER_NAMES = {"start_pfn": "zone_start_pfn", "spanned": "spanned_pages"} | {
    "present": "present_pages",
    "managed": "managed_pages",
    "nr_isolate_pageblock": "nr_isolate_pageblock",
}
_ANY_MANAGED, _UNDEFINED = -1, -2
_TYPE_AND_ORDER = 0xFFFF0000


@dataclass
class ProbeResult:
    """What the comparison at one probe found."""

    step: int
    at: str
    pages: int = 0
    differ: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.problems


@dataclass(frozen=True)
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

    @classmethod
    def load(cls, path: str | Path) -> Observation:
        """Read an observation file; BadObservation names the file and the rule it breaks."""
        return cls.parse(read_json(path, BadObservation), str(path))

    @classmethod
    def parse(cls, document: object, where: str) -> Observation:
        """Check a parsed JSON document as far as a replay needs it."""
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            msg = f"{where}: is not a {FORMAT} object"
            raise BadObservation(msg)
        for key, kind in (("kernel", dict), ("scenario", dict), ("states", dict), ("probes", list)):
            if not isinstance(document.get(key), kind):
                msg = f"{where}: {key!r} is missing or not a JSON {kind.__name__}"
                raise BadObservation(msg)
        try:
            scenario = Scenario.parse(document["scenario"], f"{where}: scenario")
        except BadScenario as problem:
            raise BadObservation(str(problem)) from None
        kernel = document["kernel"]
        series = {
            key: kernel.get(key, document.get(key)) for key in ("series", "missing", "only", "debug_vm")
        }
        if not isinstance(series["series"], str):
            msg = f"{where}: kernel 'series' is {series['series']!r}, must be a string"
            raise BadObservation(msg)
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
        """The modelled release that stands for the recorded kernel."""
        recorded = str(self.kernel.get("release", ""))
        return "6.12" if recorded.startswith("6.12") else release_named(recorded[:3]).name

    @property
    def patch(self) -> Patch:
        """The hunks that the recorded kernel had."""
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
        counts: dict[str, int] = {}
        for count, key in runs_of(self.probe(step, at)["blocks"][str(block)]["pages"], self.name):
            counts[key] = counts.get(key, 0) + count
        return counts

    @property
    def partial(self) -> bool:
        """Whether the recorded kernel had some hunks and not others."""
        return bool(self.series["series"] == "partial")


def check_probes(document: dict[str, Any], nr_steps: int, where: str) -> None:
    """Refuse probes that break the format, and page lists with states that the legend does not have."""
    for number, probe in enumerate(document["probes"]):
        check_probe(probe, number, nr_steps, where)
        for key, count in probe.get("sums", {}).items():
            if key not in document["states"] or not is_number(count):
                msg = f"{where}: probe {number}: sums: {key!r}: {count!r} has no legend or is no number"
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
    return (flags & _FLAG_MASK) << 32 | stored_type << 24 | order << 16 | refcount & 0xFFFF


def signatures(state: State, pfn: int, nr_pages: int) -> npt.NDArray[np.int64]:
    """Return the signature of every page of a range, whether its section is online or not."""
    parts = []
    for section, at in state.memmap.spans(pfn, nr_pages):
        pages = section.pages
        buddy = state.memmap.encoding.where(pages.type[at], PageType.BUDDY)
        order = np.where(buddy, pages.order[at], 0).astype(np.int64)
        flags = (pages.flags[at] & np.uint32(_FLAG_MASK)).astype(np.int64)
        refcount = pages.refcount[at].astype(np.int64) & 0xFFFF
        parts.append(flags << 32 | pages.type[at].astype(np.int64) << 24 | order << 16 | refcount)
    return np.concatenate(parts)


def legend(states: dict[str, dict[str, Any]], encoding: PageTypeEncoding) -> dict[str, int]:
    """Return the signature of each key of an observation's legend."""
    table = {}
    for key, state in states.items():
        if state.get("managed"):
            table[key] = _ANY_MANAGED
        elif state.get("undefined"):
            table[key] = _UNDEFINED
        else:
            flags = sum(int(_FLAGS[name]) for name in state["flags"])
            code = encoding.code(PageType(state["type"]))
            table[key] = signature(flags, code, state["refcount"], state.get("order", 0))
    return table


def describe(value: int, encoding: PageTypeEncoding) -> str:
    """Return a signature in words."""
    types = "+".join(sorted(t.value for t in encoding.types(value >> 24 & 0xFF))) or "none"
    names = [name for name, flag in _FLAGS.items() if value >> 32 & flag]
    order = f" order {value >> 16 & 0xFF}" if "buddy" in types else ""
    refcount = (value & 0xFFFF) - ((value & 0x8000) << 1)
    return f"{' '.join([*names, f'type {types}'])}{order} refcount {refcount}"


# ---- comparison ------------------------------------------------------------------------------------


@dataclass
class Replay:
    """A simulated kernel that goes through an observation's steps and is compared on the way."""

    observation: Observation
    run: Run
    results: list[ProbeResult] = field(default_factory=list)
    _waiting: list[dict[str, Any]] = field(default_factory=list)

    def at(self, point: str) -> None:
        """Compare if ``point`` is the next recorded probe of this step."""
        if self._waiting and matches(point, self._waiting[0]["at"]):
            self.compare(self._waiting.pop(0))

    def step(self, number: int) -> bool:
        """Do one step (-1: nothing, after boot) with its probes; False when the machine died."""
        probes = [p for p in self.observation.probes if p["step"] == number]
        self._waiting = [p for p in probes if p["at"] != "done"]
        outcome = self.run.do_step(number) if number >= 0 else None
        for missed in self._waiting:
            problem = "the simulated kernel does not come to this probe"
            self.results.append(ProbeResult(number, missed["at"], problems=[problem]))
        self._waiting = []
        if self.run.died is not None:
            return False
        for probe in (p for p in probes if p["at"] == "done"):
            self.compare(probe)
            got = outcome.errno if outcome is not None else None
            if got != probe.get("errno"):
                problem = f"step ended with {got}, the recorded kernel with {probe.get('errno')}"
                self.results[-1].problems.append(problem)
        return True

    def compare(self, probe: dict[str, Any]) -> None:
        """Compare counters, blocks and pages with one probe."""
        machine = self.run.machine
        view = Comparable(machine.kernel.state, machine.kernel.block_pages, machine.boot_totalram_pages)
        result = compare_probe(self.observation, probe, view)
        self.results.append(result)
        if "device" in probe:
            plugged = machine.devices[probe["device"]["name"]].plugged_pages()
            _expect(result, "plugged_pages", plugged, probe["device"]["plugged_pages"])


@dataclass(frozen=True)
class Comparable:
    """What a probe is compared with: a state, and two numbers of its machine."""

    state: State
    block_pages: int
    boot_totalram_pages: int


def compare_probe(observation: Observation, probe: dict[str, Any], simulated: Comparable) -> ProbeResult:
    """Compare a simulated state with one probe: zone counters, memory blocks, every page."""
    result = ProbeResult(probe["step"], probe["at"])
    state = simulated.state
    zones = {zone.name: zone for zone in state.zones}
    for name, seen in probe.get("zones", {}).items():
        for key, counter in _COUNTER_NAMES.items():
            _expect(result, f"{name}.{counter}", getattr(zones[name], counter), seen[key])
    if "totalram_delta" in probe:
        delta = state.totalram_pages - simulated.boot_totalram_pages
        _expect(result, "totalram_delta", delta, probe["totalram_delta"])
    if "sums" in probe:
        _compare_sums(observation, result, state, probe["sums"])
    for block, seen in probe.get("blocks", {}).items():
        _compare_block(observation, result, simulated, int(block), seen)
    return result


def _expect(result: ProbeResult, what: str, simulated: object, recorded: object) -> None:
    if simulated != recorded:
        result.problems.append(f"{what} is {simulated}, recorded {recorded}")


def _compare_sums(observation: Observation, result: ProbeResult, state: State, sums: dict[str, int]) -> None:
    """Compare how many pages of the recorded range are in each state."""
    encoding = state.memmap.encoding
    table = legend(observation.states, encoding)
    names = {value: key for key, value in table.items()}
    got = signature_sums(state, *observation.hot_added)
    wanted = Counter({table[key]: count for key, count in sums.items()})
    if observation.partial:
        got, wanted = allow_stale_types(got, wanted, encoding.code(PageType.OFFLINE))
    for value in sorted(got | wanted):
        name = names.get(value) or describe(value, encoding)
        _expect(result, f"sum of {name}", got[value], wanted[value])
    result.pages += wanted.total()
    result.differ += max((got - wanted).total(), (wanted - got).total())


def signature_sums(state: State, pfn: int, nr_pages: int) -> Counter[int]:
    """Return how many initialised pages of a range have each signature; what is managed counts as one."""
    sums: Counter[int] = Counter()
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages)):
        if nr in state.memmap.sections:
            flags = state.memmap.sections[nr].pages.flags
            managed = flags & np.uint32(MANAGED) != 0
            found = np.where(managed, _ANY_MANAGED, signatures(state, section_nr_to_pfn(nr), len(flags)))
            values, counts = np.unique(found[flags & np.uint32(LIVE) != 0], return_counts=True)
            sums.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return sums


def allow_stale_types(
    got: Counter[int], wanted: Counter[int], offline: int
) -> tuple[Counter[int], Counter[int]]:
    """Return both sums, with pages that may be the buddy's whatever their type says counted as its own.

    The same leniency as for single pages: without reference and flags the type says nothing, and a page
    recorded as Offline may be one that the buddy manages.
    """
    folded: list[Counter[int]] = []
    for sums in (got, wanted):
        folded.append(Counter())
        for value, count in sums.items():
            says_nothing = value >= 0 and value & ~_TYPE_AND_ORDER == 0
            folded[-1][_ANY_MANAGED if says_nothing else value] += count
    got, wanted = folded
    for value in [value for value in wanted if value >= 0 and value >> 24 & 0xFF == offline]:
        stale = min(max(0, wanted[value] - got[value]), max(0, got[_ANY_MANAGED] - wanted[_ANY_MANAGED]))
        wanted[value] -= stale
        wanted[_ANY_MANAGED] += stale
    return got, wanted


def _compare_block(
    observation: Observation,
    result: ProbeResult,
    simulated: Comparable,
    block: int,
    seen: dict[str, Any],
) -> None:
    memmap, nr_pages = simulated.state.memmap, simulated.block_pages
    pfn = block * nr_pages
    section = memmap.sections.get(pfn_to_section_nr(pfn))
    _expect(result, f"block {block} present", section is not None, seen["present"])
    online = section is not None and section.online
    _expect(result, f"block {block} online", online, seen["online"])
    if section is None or "pages" not in seen:
        return
    wanted = wanted_signatures(observation, seen, memmap.encoding)
    if len(wanted) != nr_pages:
        msg = f"{observation.name}: block {block}: {len(wanted)} pages, must be {nr_pages}"
        raise BadObservation(msg)
    exact = seen.get("exact", True)
    stale_counts = observation.partial and not exact
    _compare_pages(result, simulated.state, pfn, wanted, stale_counts=stale_counts)
    if exact and "pageblocks" in seen and _UNDEFINED not in wanted:
        spans = memmap.spans(pfn, nr_pages)
        types = "".join(str(digit) for part, _ in spans for digit in part.pageblocks)
        _expect(result, f"block {block} pageblocks", types, seen["pageblocks"])


def wanted_signatures(
    observation: Observation, seen: dict[str, Any], encoding: PageTypeEncoding
) -> npt.NDArray[np.int64]:
    """Return the recorded signature of every page of a block (negative: see ``legend``)."""
    table = legend(observation.states, encoding)
    runs = runs_of(seen["pages"], observation.name)
    return np.repeat([table[key] for _, key in runs], [count for count, _ in runs])


def _compare_pages(
    result: ProbeResult,
    state: State,
    pfn: int,
    wanted: npt.NDArray[np.int64],
    *,
    stale_counts: bool,
) -> None:
    """Compare signatures.

    With ``stale_counts`` a page without reference and flags may have kept any type, on either side: which
    pages the running system had used in the meantime decides that.
    """
    encoding = state.memmap.encoding
    got = signatures(state, pfn, len(wanted))
    spans = state.memmap.spans(pfn, len(wanted))
    managed = np.concatenate([part.pages.flags[at] & np.uint32(MANAGED) != 0 for part, at in spans])
    like_any = wanted == _ANY_MANAGED
    if stale_counts:
        like_any |= wanted >> 24 & 0xFF == encoding.code(PageType.OFFLINE)
    agrees = (got == wanted) | (wanted == _UNDEFINED) | (like_any & managed)
    if stale_counts:
        says_nothing = wanted & ~_TYPE_AND_ORDER == 0
        agrees |= (got & ~_TYPE_AND_ORDER == 0) & (says_nothing | like_any)
    result.pages += int((wanted != _UNDEFINED).sum())
    result.differ += int((~agrees).sum())
    if not agrees.all():
        first = int(agrees.argmin())
        any_managed = wanted[first] == _ANY_MANAGED
        recorded = (
            "any page that the buddy manages" if any_managed else describe(int(wanted[first]), encoding)
        )
        result.problems.append(
            f"{int((~agrees).sum())} pages differ, first {pfn + first:#x}: "
            f"{describe(int(got[first]), encoding)}; recorded {recorded}"
        )


def replay(observation: Observation) -> Replay:
    """Run an observation's steps on the simulator and compare at every probe."""
    debug_vm = bool(observation.series["debug_vm"])
    machine = observation.scenario.boot(observation.patch, observation.release, debug_vm=debug_vm)
    result = Replay(observation, Run(observation.scenario, machine))
    probe = Probe(result.at)
    machine.kernel.put_trace(probe)
    for number in range(-1, len(observation.scenario.steps)):
        if number >= 0:
            probe.action(tell_step(observation.scenario.steps[number]))
        if not result.step(number):
            break
    machine.stop_recording()
    reached = {(r.step, r.at) for r in result.results}
    for missed in observation.probes:
        if result.run.died is not None and (missed["step"], missed["at"]) not in reached:
            problem = f"the simulated machine died before: {result.run.died}"
            result.results.append(ProbeResult(missed["step"], missed["at"], problems=[problem]))
    return result


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
    with resources.as_file(resources.files("memsim") / "observed" / f"{name}.json") as path:
        return Observation.load(path)


def bundled_names() -> list[str]:
    """Return the names of the recordings that come with memsim."""
    folder = resources.files("memsim") / "observed"
    return sorted(f.name.removesuffix(".json") for f in folder.iterdir() if f.name.endswith(".json"))


assert set(_COUNTER_NAMES.values()) <= set(COUNTERS)  # noqa: S101 (one table of counters)
