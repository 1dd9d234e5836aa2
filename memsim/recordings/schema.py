"""The rules of the observation format, so that a wrong file is answered with one clear line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from memsim.errors import BadObservation
from memsim.linux.include.mmzone import ZONE_NAMES
from memsim.linux.include.page_flags import PageType

if TYPE_CHECKING:
    from collections.abc import Callable

RUN_LENGTH = "must be a run-length list of [count, state]"
MAX_RUN = 1 << 21
"""No memory block, and so no run, is longer (8 GiB)."""
STATE_FLAGS = ("reserved", "dirty", "self_hosted", "hwpoison")
ZONE_KEYS = ("start_pfn", "spanned", "present", "managed", "nr_isolate_pageblock")


def fail(where: str, rule: str) -> NoReturn:
    """Refuse the file."""
    msg = f"{where} {rule}"
    raise BadObservation(msg)


def is_number(value: object) -> bool:
    """Return whether a JSON value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def need(mapping: object, keys: dict[str, Callable[[Any], bool]], where: str) -> None:
    """Refuse what is not an object, or lacks a key, or has a value of another kind there."""
    if not isinstance(mapping, dict):
        fail(where, "must be a JSON object")
    for key, fits in keys.items():
        if key not in mapping or not fits(mapping[key]):
            fail(f"{where}: {key!r}", f"is missing or wrong: {mapping.get(key)!r}")


def is_bool(value: object) -> bool:
    """Return whether a JSON value is true or false."""
    return isinstance(value, bool)


def check_states(states: dict[str, Any], where: str) -> None:
    """Check the legend: each key is managed, undefined, or a type, a refcount and flags."""
    types = [kind.value for kind in PageType]
    rules: dict[str, Callable[[Any], bool]] = {
        "type": lambda value: value in types,
        "refcount": is_number,
        "flags": lambda value: isinstance(value, list) and all(flag in STATE_FLAGS for flag in value),
    }
    for key, state in states.items():
        place = f"{where}: state {key!r}"
        if isinstance(state, dict) and (state.get("managed") is True or state.get("undefined") is True):
            continue
        need(state, rules, place)
        if not is_number(state.get("order", 0)):
            fail(place, f"has the order {state['order']!r}, must be a whole number")


def check_probe(probe: object, number: int, nr_steps: int, where: str) -> None:
    """Check one probe: its step, its name, the zones and blocks it shows."""
    where = f"{where}: probe {number}"
    need(probe, {"at": lambda value: isinstance(value, str), "step": is_number}, where)
    assert isinstance(probe, dict)  # noqa: S101 (need() refused anything else)
    if not -1 <= probe["step"] < nr_steps:
        fail(where, f"names step {probe['step']}; there are {nr_steps} steps")
    for part in ("zones", "blocks", "sums"):
        if not isinstance(probe.get(part, {}), dict):
            fail(f"{where}: {part!r}", "must be a JSON object")
    for name, zone in probe.get("zones", {}).items():
        if name not in ZONE_NAMES.values():
            fail(where, f"names the zone {name!r}; there are {', '.join(ZONE_NAMES.values())}")
        need(zone, dict.fromkeys(ZONE_KEYS, is_number), f"{where}: zone {name}")
    for block, seen in probe.get("blocks", {}).items():
        if not (block.isascii() and block.isdigit()):
            fail(where, f"names the memory block {block!r}, must be a number")
        need(seen, {"present": is_bool, "online": is_bool}, f"{where}: block {block}")


def check_hunks(series: dict[str, Any], where: str) -> None:
    """Check that "missing" and "only" of a partial series are lists of names."""
    for key in ("missing", "only"):
        names = series[key]
        if names is not None and not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            fail(f"{where}: {key!r}", f"is {names!r}, must be a list of hunk names")


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
                fail(f"{where}: 'pages'", RUN_LENGTH)
            runs += inner * count
    return runs


def pairs(pages: object, where: str) -> list[tuple[int, Any]]:
    """Return the [count, what] pairs of one level of a run-length list."""
    if not isinstance(pages, list):
        fail(f"{where}: 'pages'", RUN_LENGTH)
    for pair in pages:
        fits = isinstance(pair, list) and len(pair) == 2  # noqa: PLR2004 (a pair)
        if not fits or not is_number(pair[0]) or not 0 <= pair[0] <= MAX_RUN:
            fail(f"{where}: 'pages'", RUN_LENGTH)
    return [(count, what) for count, what in pages]
