"""Comparing a simulated state with what a real kernel showed at one probe: every page, every counter.

Not compared, because the recorded system lived in that memory: what ``*`` stands for in blocks that are
not exact (any page the buddy manages), pageblock types of such blocks, and pages not initialised yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import BadObservation
from memsim.linux.include.layout import pfn_to_section_nr, section_nr_to_pfn
from memsim.linux.include.page_flags import LIVE, MANAGED, PageType
from memsim.recordings.observation import (
    ANY_MANAGED,
    FLAG_MASK,
    UNDEFINED,
    Observation,
    describe,
    legend,
    signatures,
)
from memsim.recordings.schema import runs_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.linux.include.page_flags import PageTypeEncoding
    from memsim.state.state import State

_COUNTER_NAMES = {"start_pfn": "zone_start_pfn", "spanned": "spanned_pages"} | {
    "present": "present_pages",
    "managed": "managed_pages",
    "nr_isolate_pageblock": "nr_isolate_pageblock",
}
_TYPE_AND_ORDER = 0xFFFF0000


@dataclass
class ProbeResult:
    """The result of the comparison at one probe."""

    step: int
    at: str
    pages: int = 0
    differ: int = 0
    problems: list[str] = field(default_factory=list)
    not_compared: str = ""
    """One word that says why the places of pages are not compared; empty: they are."""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.problems


@dataclass(frozen=True)
class Comparable:
    """The simulated side of a comparison: a state, and two numbers of its machine."""

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
            expect(result, f"{name}.{counter}", getattr(zones[name], counter), seen[key])
    if "totalram_delta" in probe:
        delta = state.totalram_pages - simulated.boot_totalram_pages
        expect(result, "totalram_delta", delta, probe["totalram_delta"])
    if "sums" in probe:
        _compare_sums(observation, result, state, probe["sums"])
    for block, seen in probe.get("blocks", {}).items():
        _compare_block(observation, result, simulated, int(block), seen)
    return result


def expect(result: ProbeResult, what: str, simulated: object, recorded: object) -> None:
    """Note a problem unless two values are equal."""
    if simulated != recorded:
        result.problems.append(f"{what} is {simulated}, recorded {recorded}")


def _compare_sums(observation: Observation, result: ProbeResult, state: State, sums: dict[str, int]) -> None:
    """Compare how many pages of the recorded range are in each state."""
    table = legend(observation.states, state.memmap.encoding)
    wanted = Counter({table[key]: count for key, count in sums.items()})
    compare_sums(observation, result, state, observation.hot_added, wanted)


def compare_sums(
    observation: Observation,
    result: ProbeResult,
    state: State,
    span: tuple[int, int],
    wanted: Counter[int],
) -> None:
    """Compare how many pages of a range have each signature, wherever they are."""
    encoding = state.memmap.encoding
    names = {value: key for key, value in legend(observation.states, encoding).items()}
    got = signature_sums(state, *span)
    if observation.partial:
        got, wanted = allow_stale_types(got, wanted, encoding.code(PageType.OFFLINE))
    for value in sorted(got | wanted):
        name = names.get(value) or describe(value, encoding)
        expect(result, f"sum of {name}", got[value], wanted[value])
    result.pages += wanted.total()
    result.differ += max((got - wanted).total(), (wanted - got).total())


def compare_without_places(
    observation: Observation, probe: dict[str, Any], simulated: Comparable
) -> ProbeResult:
    """Compare everything but where pages are: of each block only how many are in each state."""
    blocks = {
        block: {key: value for key, value in seen.items() if key not in {"pages", "pageblocks"}}
        for block, seen in probe["blocks"].items()
    }
    result = compare_probe(observation, {**probe, "blocks": blocks}, simulated)
    result.not_compared = "timing"
    table = legend(observation.states, simulated.state.memmap.encoding)
    for block, seen in probe["blocks"].items():
        if "pages" in seen:
            wanted: Counter[int] = Counter()
            for count, key in runs_of(seen["pages"], observation.name):
                free = observation.states[key].get("refcount", 0) == 0
                wanted[ANY_MANAGED if free else table[key]] += count
            span = (int(block) * simulated.block_pages, simulated.block_pages)
            compare_sums(observation, result, simulated.state, span, wanted)
    return result


def signature_sums(state: State, pfn: int, nr_pages: int) -> Counter[int]:
    """Return how many initialised pages of a range have each signature; what is managed counts as one."""
    sums: Counter[int] = Counter()
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages)):
        if nr in state.memmap.sections:
            flags = state.memmap.sections[nr].pages.flags
            found = np.where(
                is_any_managed(flags), ANY_MANAGED, signatures(state, section_nr_to_pfn(nr), len(flags))
            )
            values, counts = np.unique(found[flags & np.uint32(LIVE) != 0], return_counts=True)
            sums.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return sums


def is_any_managed(flags: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Return which pages are what ``*`` stands for: the buddy's, with none of the flags that are compared.

    A page that was leaked with PG_reserved on still counts as managed, and yet no ``*`` may hide it.
    """
    ordinary: npt.NDArray[np.bool_] = flags & np.uint32(MANAGED | FLAG_MASK) == np.uint32(MANAGED)
    return ordinary


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
            folded[-1][ANY_MANAGED if says_nothing else value] += count
    got, wanted = folded
    for value in [value for value in wanted if value >= 0 and value >> 24 & 0xFF == offline]:
        stale = min(max(0, wanted[value] - got[value]), max(0, got[ANY_MANAGED] - wanted[ANY_MANAGED]))
        wanted[value] -= stale
        wanted[ANY_MANAGED] += stale
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
    expect(result, f"block {block} present", section is not None, seen["present"])
    online = section is not None and section.online
    expect(result, f"block {block} online", online, seen["online"])
    if section is None or "pages" not in seen:
        return
    wanted = wanted_signatures(observation, seen, memmap.encoding)
    if len(wanted) != nr_pages:
        msg = f"{observation.name}: block {block}: {len(wanted)} pages, must be {nr_pages}"
        raise BadObservation(msg)
    exact = seen.get("exact", True)
    stale_counts = observation.partial and not exact
    _compare_pages(result, simulated.state, pfn, wanted, stale_counts=stale_counts)
    if exact and "pageblocks" in seen and UNDEFINED not in wanted:
        spans = memmap.spans(pfn, nr_pages)
        types = "".join(str(digit) for part, _ in spans for digit in part.pageblocks)
        expect(result, f"block {block} pageblocks", types, seen["pageblocks"])


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
    managed = np.concatenate([is_any_managed(part.pages.flags[at]) for part, at in spans])
    like_any = wanted == ANY_MANAGED
    if stale_counts:
        like_any |= wanted >> 24 & 0xFF == encoding.code(PageType.OFFLINE)
    agrees = (got == wanted) | (wanted == UNDEFINED) | (like_any & managed)
    if stale_counts:
        says_nothing = wanted & ~_TYPE_AND_ORDER == 0
        agrees |= (got & ~_TYPE_AND_ORDER == 0) & (says_nothing | like_any)
    result.pages += int((wanted != UNDEFINED).sum())
    result.differ += int((~agrees).sum())
    if not agrees.all():
        first = int(agrees.argmin())
        recorded = describe(int(wanted[first]), encoding)
        result.problems.append(
            f"{int((~agrees).sum())} pages differ, first {pfn + first:#x}: "
            f"{describe(int(got[first]), encoding)}; recorded {recorded}"
        )
