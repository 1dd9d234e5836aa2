"""What the steps of a scenario are: their keys, how each is done to a machine, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.machine import Machine


@dataclass(frozen=True)
class Argument:
    """One key of a step: its JSON type and whether it may be missing."""

    name: str
    kind: type
    optional: bool = False


@dataclass(frozen=True)
class StepKind:
    """What a step ``do`` means: its keys, how it is done, and how it is told."""

    arguments: tuple[Argument, ...]
    do: Callable[[Machine, dict[str, Any]], object]
    tell: str


def _outside(machine: Machine, step: dict[str, Any]) -> None:
    """Do nothing: something happened on the recorded machine that is not memory hotplug."""


def _poison(machine: Machine, step: dict[str, Any]) -> None:
    for pfn in step["pfns"]:
        machine.poison(pfn)


STEPS: dict[str, StepKind] = {
    "add_memory": StepKind(
        (Argument("start_pfn", int), Argument("nr_pages", int)),
        lambda m, s: m.add_memory(s["start_pfn"], s["nr_pages"]),
        "add_memory {nr_pages} pages at pfn {start_pfn:#x}",
    ),
    "remove_memory": StepKind(
        (Argument("start_pfn", int), Argument("nr_pages", int)),
        lambda m, s: m.remove_memory(s["start_pfn"], s["nr_pages"]),
        "remove_memory {nr_pages} pages at pfn {start_pfn:#x}",
    ),
    "online": StepKind(
        (Argument("block", int), Argument("type", str, optional=True)),
        lambda m, s: m.online(s["block"], s.get("type", "online")),
        "online block {block} ({type})",
    ),
    "offline": StepKind(
        (Argument("block", int),), lambda m, s: m.offline(s["block"]), "offline block {block}"
    ),
    "allocate": StepKind(
        (
            Argument("block", int, optional=True),
            Argument("nr_pages", int),
            Argument("migratetype", str, optional=True),
        ),
        lambda m, s: m.allocate(s["nr_pages"], s.get("migratetype", "movable"), block=s.get("block")),
        "allocate {nr_pages} {migratetype} pages in block {block}",
    ),
    "poison": StepKind((Argument("pfns", list),), _poison, "poison pages {pfns}"),
    "memremap_pages": StepKind(
        (Argument("start_pfn", int), Argument("nr_pages", int)),
        lambda m, s: m.memremap_pages(s["start_pfn"], s["nr_pages"]),
        "memremap_pages {nr_pages} pages at pfn {start_pfn:#x}",
    ),
    "virtio_mem_request": StepKind(
        (Argument("device", str), Argument("requested_pages", int)),
        lambda m, s: m.devices[s["device"]].request(s["requested_pages"]),
        "virtio_mem_request {requested_pages} pages of {device}",
    ),
    "hv_hot_add": StepKind(
        (Argument("device", str), Argument("start_pfn", int), Argument("nr_pages", int)),
        lambda m, s: m.devices[s["device"]].hot_add(s["start_pfn"], s["nr_pages"]),
        "hv_hot_add {nr_pages} pages at pfn {start_pfn:#x} by {device}",
    ),
    "hv_inflate": StepKind(
        (Argument("device", str), Argument("nr_pages", int)),
        lambda m, s: m.devices[s["device"]].inflate(s["nr_pages"]),
        "hv_inflate {nr_pages} pages by {device}",
    ),
    "hv_deflate": StepKind(
        (Argument("device", str), Argument("nr_pages", int, optional=True)),
        lambda m, s: m.devices[s["device"]].deflate(s.get("nr_pages")),
        "hv_deflate {nr_pages} pages by {device}",
    ),
    "xen_balloon_target": StepKind(
        (Argument("device", str), Argument("target_pages", int)),
        lambda m, s: m.devices[s["device"]].set_target(s["target_pages"]),
        "xen_balloon_target {target_pages} pages for {device}",
    ),
    "host_will": StepKind(
        (Argument("device", str), Argument("answer", str), Argument("times", int)),
        lambda m, s: m.devices[s["device"]].host_will(s["answer"], s["times"]),
        "the host of {device} will answer {answer}, {times} times",
    ),
    "outside": StepKind((Argument("what", str),), _outside, "outside: {what}"),
}
_DEFAULTS = {"type": "online", "migratetype": "movable", "block": "any", "nr_pages": "all"}


def tell_step(step: dict[str, Any]) -> str:
    """Return one line that says what a step does.

    >>> tell_step({"do": "online", "block": 32, "type": "online_movable"})
    'online block 32 (online_movable)'
    """
    return STEPS[step["do"]].tell.format(**{**_DEFAULTS, **step})
