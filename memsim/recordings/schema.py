"""The rules of the observation format; a wrong file gets one clear error line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import BadObservation
from memsim.linux.include.mmzone import ZONE_NAMES
from memsim.linux.include.page_flags import PageType
from memsim.scenario.json_check import Checker, is_bool, is_list_of, is_number, is_pair, is_text

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK = Checker(BadObservation)
RUN_LENGTH = "must be a run-length list of [count, state]"
MAX_RUN = 1 << 21
"""No memory block, and so no run, is longer (8 GiB)."""
STATE_FLAGS = ("reserved", "dirty", "self_hosted", "hwpoison")
ZONE_KEYS = ("start_pfn", "spanned", "present", "managed", "nr_isolate_pageblock")


def check_states(states: dict[str, Any], where: str) -> None:
    """Check the legend: each key is managed, undefined, or a type, a refcount and flags."""
    types = [kind.value for kind in PageType]
    rules: dict[str, Callable[[Any], bool]] = {
        "type": lambda value: value in types,
        "refcount": is_number,
        "flags": is_list_of(lambda flag: flag in STATE_FLAGS),
    }
    for key, state in states.items():
        place = f"{where}: state {key!r}"
        if isinstance(state, dict) and (state.get("managed") is True or state.get("undefined") is True):
            continue
        CHECK.need(state, rules, place)
        if not is_number(state.get("order", 0)):
            CHECK.fail(place, f"has the order {state['order']!r}, must be a whole number")


def check_probe(probe: object, number: int, nr_steps: int, where: str) -> None:
    """Check one probe: its step, its name, the zones and blocks it shows."""
    where = f"{where}: probe {number}"
    CHECK.need(probe, {"at": is_text, "step": is_number}, where)
    assert isinstance(probe, dict)  # noqa: S101 (need() refused anything else)
    if not -1 <= probe["step"] < nr_steps:
        CHECK.fail(where, f"names step {probe['step']}; there are {nr_steps} steps")
    for part in ("zones", "blocks", "sums"):
        if not isinstance(probe.get(part, {}), dict):
            CHECK.fail(f"{where}: {part!r}", "must be a JSON object")
    for name, zone in probe.get("zones", {}).items():
        if name not in ZONE_NAMES.values():
            CHECK.fail(where, f"names the zone {name!r}; there are {', '.join(ZONE_NAMES.values())}")
        CHECK.need(zone, dict.fromkeys(ZONE_KEYS, is_number), f"{where}: zone {name}")
    for block, seen in probe.get("blocks", {}).items():
        if not (block.isascii() and block.isdigit()):
            CHECK.fail(where, f"names the memory block {block!r}, must be a number")
        CHECK.need(seen, {"present": is_bool, "online": is_bool}, f"{where}: block {block}")


def check_hunks(series: dict[str, Any], where: str) -> None:
    """Check that "missing" and "only" of a partial series are lists of names."""
    for key in ("missing", "only"):
        names = series[key]
        fits = names is None or is_list_of(is_text)(names)
        CHECK.must(fits, where, key, f"is {names!r}, must be a list of hunk names")


def runs_of(pages: object, where: str) -> list[tuple[int, str]]:
    """Return a run-length list as (count, key) pairs, repeats written out.

    >>> runs_of([[2, [[1, "B9"], [511, "n/0"]]], [31744, "O/1"]], "x")[:3]
    [(1, 'B9'), (511, 'n/0'), (1, 'B9')]
    """
    runs: list[tuple[int, str]] = []
    for count, what in pairs(pages, where):
        if isinstance(what, str):
            runs.append((count, what))
        else:
            inner = pairs(what, where)
            if not all(isinstance(key, str) for _, key in inner):
                CHECK.fail(f"{where}: 'pages'", RUN_LENGTH)
            runs += inner * count
    return runs


def pairs(pages: object, where: str) -> list[tuple[int, Any]]:
    """Return the [count, what] pairs of one level of a run-length list."""
    if not isinstance(pages, list):
        CHECK.fail(f"{where}: 'pages'", RUN_LENGTH)
    for pair in pages:
        if not is_pair(pair) or not is_number(pair[0]) or not 0 <= pair[0] <= MAX_RUN:
            CHECK.fail(f"{where}: 'pages'", RUN_LENGTH)
    return [(count, what) for count, what in pages]
