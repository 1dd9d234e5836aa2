"""The steps of a scenario: the keys of each, its effect on a machine, and its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.machine.machine import Machine


@dataclass(frozen=True)
class Argument:
    """One key of a step: its JSON type and whether it may be missing."""

    name: str
    kind: type
    optional: bool = False


@dataclass(frozen=True)
class StepKind:
    """The kind of a step (``do``): its keys, its effect, and its description."""

    arguments: tuple[Argument, ...]
    do: Callable[[Machine, dict[str, Any]], object]
    tell: str


def _allocate(machine: Machine, step: dict[str, Any]) -> None:
    kind = step.get("migratetype", "movable")
    machine.users.allocated.append(machine.allocate(step["nr_pages"], kind, block=step.get("block")))


def _free(machine: Machine, step: dict[str, Any]) -> None:
    """Free pages that ``allocate`` steps took, the newest first; all of them if there are fewer."""
    left = step.get("nr_pages")
    for pfns in reversed(machine.users.allocated):
        inside = [pfn for pfn in pfns if step.get("block") in {None, pfn // machine.kernel.block_pages}]
        chosen = inside if left is None else inside[len(inside) - min(left, len(inside)) :]
        gone = set(chosen)
        pfns[:] = [pfn for pfn in pfns if pfn not in gone]
        left = None if left is None else left - len(chosen)
        machine.free(chosen)


def _lend(machine: Machine, step: dict[str, Any]) -> None:
    machine.users.lent += machine.devices[step["device"]].lend(step["nr_pages"])


def _take_back(machine: Machine, step: dict[str, Any]) -> None:
    """Give the oldest pages back; all of them if there are fewer."""
    pfns = machine.users.lent[: step.get("nr_pages")]
    del machine.users.lent[: len(pfns)]
    machine.devices[step["device"]].take_back(pfns)


def _outside(machine: Machine, step: dict[str, Any]) -> None:
    """Do nothing: something happened on the recorded machine that is not memory hotplug."""


def _poison(machine: Machine, step: dict[str, Any]) -> None:
    for pfn in step["pfns"]:
        machine.poison(pfn)


def _pin(machine: Machine, step: dict[str, Any]) -> None:
    machine.users.pinned.append((step["block"], machine.pin(step["block"])))


def _unpin(machine: Machine, step: dict[str, Any]) -> None:
    """Unpin the pages that ``pin`` steps pinned, those of one block if the step names it."""
    pinned, machine.users.pinned = machine.users.pinned, []
    for block, pfn in pinned:
        if step.get("block") in {None, block}:
            machine.unpin(pfn)
        else:
            machine.users.pinned.append((block, pfn))


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
        _allocate,
        "allocate {nr_pages} {migratetype} pages in block {block}",
    ),
    "free": StepKind(
        (Argument("block", int, optional=True), Argument("nr_pages", int, optional=True)),
        _free,
        "free {nr_pages} pages in block {block}",
    ),
    "wait": StepKind((Argument("seconds", int),), lambda m, s: m.wait(s["seconds"]), "wait {seconds} s"),
    "pin": StepKind((Argument("block", int),), _pin, "pin a page of block {block}"),
    "unpin": StepKind((Argument("block", int, optional=True),), _unpin, "unpin pages of block {block}"),
    "poison": StepKind((Argument("pfns", list),), _poison, "poison pages {pfns}"),
    "memremap_pages": StepKind(
        (Argument("start_pfn", int), Argument("nr_pages", int), Argument("kind", str, optional=True)),
        lambda m, s: m.memremap_pages(s["start_pfn"], s["nr_pages"], s.get("kind", "fs_dax")),
        "memremap_pages {nr_pages} pages at pfn {start_pfn:#x}",
    ),
    "virtio_mem_request": StepKind(
        (Argument("device", str), Argument("requested_pages", int)),
        lambda m, s: m.devices[s["device"]].request(s["requested_pages"]),
        "the host requests {requested_pages} pages of {device}",
    ),
    "virtio_mem_remove": StepKind(
        (Argument("device", str),),
        lambda m, s: m.devices[s["device"]].remove(),
        "the driver of {device} is unbound",
    ),
    "hv_hot_add": StepKind(
        (Argument("device", str), Argument("start_pfn", int), Argument("nr_pages", int)),
        lambda m, s: m.devices[s["device"]].hot_add(s["start_pfn"], s["nr_pages"]),
        "the host of {device} adds {nr_pages} pages at pfn {start_pfn:#x}",
    ),
    "hv_inflate": StepKind(
        (Argument("device", str), Argument("nr_pages", int)),
        lambda m, s: m.devices[s["device"]].inflate(s["nr_pages"]),
        "the host of {device} takes {nr_pages} pages",
    ),
    "hv_deflate": StepKind(
        (Argument("device", str), Argument("nr_pages", int, optional=True)),
        lambda m, s: m.devices[s["device"]].deflate(s.get("nr_pages")),
        "the host of {device} returns {nr_pages} pages",
    ),
    "xen_balloon_target": StepKind(
        (Argument("device", str), Argument("target_pages", int)),
        lambda m, s: m.devices[s["device"]].set_target(s["target_pages"]),
        "the target of {device} becomes {target_pages} pages",
    ),
    "xen_balloon_lend": StepKind(
        (Argument("device", str), Argument("nr_pages", int)),
        _lend,
        "{device} lends {nr_pages} pages",
    ),
    "xen_balloon_take_back": StepKind(
        (Argument("device", str), Argument("nr_pages", int, optional=True)),
        _take_back,
        "{device} takes back {nr_pages} pages",
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
    if "told" in step:  # a step of a driver that a reader wrote; no scenario has it
        return str(step["told"])
    return STEPS[step["do"]].tell.format(**{**_DEFAULTS, **step})
