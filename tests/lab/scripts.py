"""Random scripts: what a seed says about the machine, and each step, chosen among what the guest allows.

A script is not fixed beforehand: the next step is drawn from what the guest shows. So two kernels that
behave alike get the same script from the same seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.lab.memory import SECTION_PAGES
from tests.lab.pages import FREE, is_buddy, is_offline_type

if TYPE_CHECKING:
    import numpy.typing as npt

FIRST_BLOCK, NR_BLOCKS = 32, 10
"""Where memory is hot-added: ten blocks from 4 GiB on."""
BLOCK_MIB = 128
DEVICE_BLOCKS_MIB = (2, 2, 4, 8, 16, 32, 64, 128, 256)
MOST_POISONED, MOST_DIMMS = 3, 4
PMEM_BLOCK = 4
"""The section that becomes persistent memory, where the script has some."""
SHORTEST, LONGEST = 5, 12

Step = tuple[Any, ...]
"""The name of a step, then what it takes: ("online", block, type), ("add", block, count), ..."""


@dataclass(frozen=True)
class VirtioMem:
    """A virtio-mem device, in MiB; ``offset`` from the first block."""

    block: int
    offset: int
    region: int


@dataclass(frozen=True)
class Plan:
    """What a seed decides before the first step."""

    seed: int
    steps: int
    default: str = "offline"
    memmap_on_memory: bool = False
    device: VirtioMem | None = None
    pmem: bool = False
    pins: bool = False


@dataclass(frozen=True)
class Abilities:
    """What a kernel can do in this guest; what is missing is said once."""

    virtio_mem: bool = True
    memmap_on_memory: bool = True
    poison: bool = True
    pmem: bool = True
    pins: bool = True

    def missing(self) -> list[str]:
        """Return what scripts leave out, in words."""
        reasons = {
            "virtio_mem": "virtio-mem (no virtio_mem module)",
            "memmap_on_memory": "memmap_on_memory (refused by the kernel)",
            "poison": "hwpoison (no hard_offline_page in sysfs)",
            "pmem": "ZONE_DEVICE (no nd_pmem module)",
            "pins": "pinned pages (tmpfs cannot be bound to a node)",
        }
        return [text for name, text in reasons.items() if not getattr(self, name)]


@dataclass
class View:
    """What the guest shows before a step is chosen."""

    states: dict[int, str] = field(default_factory=dict)
    zones: dict[int, str] = field(default_factory=dict)
    dimms: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By number: first block, blocks."""
    codes: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Of the online blocks whose pages are all known."""
    poisoned: int = 0
    pinned: dict[int, int] = field(default_factory=dict)
    device_bound: bool = False
    pmem_mapped: bool = False


def plan_of(seed: int, can: Abilities) -> Plan:
    """Return what a seed decides.

    Everything is drawn before anything is dropped, so that a seed means the same for every kernel.
    """
    draw = random.Random(f"plan/{seed}")
    plan = Plan(
        seed,
        draw.randint(SHORTEST, LONGEST),
        draw.choice(["offline"] * 6 + ["online", "online_kernel", "online_movable", "online_movable"]),
        memmap_on_memory=draw.random() < 0.3,
        device=_device(draw),
        pmem=draw.random() < 0.15,
        pins=draw.random() < 0.4,
    )
    return replace(
        plan,
        memmap_on_memory=plan.memmap_on_memory and can.memmap_on_memory and not plan.pmem,
        device=plan.device if can.virtio_mem else None,
        pmem=plan.pmem and can.pmem,
        pins=plan.pins and can.pins and plan.device is None,
    )


def _device(draw: random.Random) -> VirtioMem | None:
    block, offset = draw.choice(DEVICE_BLOCKS_MIB), draw.choice([0, 0, 0, 64, 32, 2, 128])
    region, wanted = draw.choice([256, 384, 512, 640, 768]), draw.random() < 0.5
    offset, region = offset - offset % block, max(block, region - region % block)
    return VirtioMem(block, offset, region) if wanted else None


def choose(plan: Plan, number: int, view: View) -> Step | None:
    """Return step ``number`` of a script, or None if the guest allows none."""
    draw = random.Random(f"{plan.seed}/{number}")
    found = candidates(plan, draw, view, last=number == plan.steps - 1)
    if not found:
        return None
    return draw.choices([step for _, step in found], [weight for weight, _ in found])[0]


def candidates(plan: Plan, draw: random.Random, view: View, *, last: bool) -> list[tuple[float, Step]]:
    """Return the steps that make sense now, with their weights."""
    found: list[tuple[float, Step]] = []
    if plan.pmem and not view.pmem_mapped:
        found.append((6, ("map_pmem",)))
    found += _of_blocks(draw, view)
    found += _of_dimms(plan, draw, view)
    if plan.device is not None and view.device_bound:
        blocks = plan.device.region // plan.device.block
        wanted = draw.choice([draw.randint(0, blocks), draw.randint(0, blocks), 0, blocks])
        found.append((7, ("request", wanted * plan.device.block)))
        if last:
            found.append((20, ("unbind",)))
    return found + _of_pages(plan, draw, view)


def _of_blocks(draw: random.Random, view: View) -> list[tuple[float, Step]]:
    offline = [block for block, state in view.states.items() if state == "offline"]
    online = [block for block, state in view.states.items() if state == "online"]
    kind = draw.choice(["online_movable"] * 4 + ["online"] * 3 + ["online_kernel"] * 2)
    found: list[tuple[float, Step]] = []
    if offline:
        found += [(9, ("online", draw.choice(offline), kind)), (0.2, ("offline", draw.choice(offline)))]
    if online:
        found += [(6, ("offline", draw.choice(online))), (0.2, ("online", draw.choice(online), kind))]
    return found


def _of_dimms(plan: Plan, draw: random.Random, view: View) -> list[tuple[float, Step]]:
    taken = {block for first, count in view.dimms.values() for block in range(first, first + count)}
    if plan.device is not None:
        start, end = plan.device.offset, plan.device.offset + plan.device.region
        taken |= set(range(FIRST_BLOCK + start // BLOCK_MIB, FIRST_BLOCK - -end // BLOCK_MIB))
    count = draw.choice([1, 1, 2, 2, 3])
    free = [
        block
        for block in range(FIRST_BLOCK, FIRST_BLOCK + NR_BLOCKS - count + 1)
        if not taken & set(range(block, block + count))
    ]
    found: list[tuple[float, Step]] = []
    if free and len(view.dimms) < MOST_DIMMS:
        eager = len(view.dimms) < 2 and plan.device is None
        found.append((6 if eager else 2, ("add", draw.choice(free), count)))
    for number, (first, blocks) in view.dimms.items():
        states = {block: view.states.get(block) for block in range(first, first + blocks)}
        if all(state == "offline" for state in states.values()):
            found.append((2, ("remove", number)))
        elif not view.poisoned and _can_leave(states, view):
            found.append((1, ("remove", number)))
    return found


def _can_leave(states: dict[int, str | None], view: View) -> bool:
    """Return whether the kernel can take blocks offline by itself, as it does when a DIMM is ejected."""
    return all(
        state == "offline" or (view.zones.get(block) == "Movable" and not view.pinned.get(block))
        for block, state in states.items()
    )


def _of_pages(plan: Plan, draw: random.Random, view: View) -> list[tuple[float, Step]]:
    found: list[tuple[float, Step]] = []
    exact = [block for block in view.codes if view.states.get(block) == "online"]
    if exact and view.poisoned < MOST_POISONED:
        block = draw.choice(exact)
        at = poisonable(draw, view.codes[block])
        if at is not None:
            found.append((1.2, ("poison", block * SECTION_PAGES + at)))
    offline = [block for block, state in view.states.items() if state == "offline"]
    if offline and view.poisoned < MOST_POISONED:
        pfn = draw.choice(offline) * SECTION_PAGES + draw.randrange(SECTION_PAGES)
        found.append((0.3, ("poison", pfn)))
    movable = [block for block, zone in view.zones.items() if zone == "Movable"]
    if plan.pins and movable and not view.pinned:
        found.append((4, ("pin",)))
    if view.pinned:
        found += [(3, ("unpin",)), (5, ("offline", next(iter(view.pinned))))]
    return found


def poisonable(draw: random.Random, codes: npt.NDArray[np.int64]) -> int | None:
    """Return a page to poison: a free one, or now and then one that a driver withholds."""
    withheld = np.flatnonzero(is_offline_type(codes))
    free = np.flatnonzero((codes == FREE) | is_buddy(codes))
    pages = withheld if len(withheld) and draw.random() < 0.35 else free
    return int(draw.choice(pages)) if len(pages) else None


def story(can: Abilities) -> tuple[Plan, list[Step]]:
    """Return the fixed script with which a reader records a kernel of his own."""
    plan = Plan(0, 0, device=VirtioMem(2, 512, 256) if can.virtio_mem else None)
    first = FIRST_BLOCK
    steps: list[Step] = [
        *(("add", first, 2), ("online", first, "online_movable"), ("online", first + 1, "online")),
        *(("offline", first), ("online", first, "online_movable"), ("offline", first)),
    ]
    if can.virtio_mem:
        partly = first + 4
        steps += [("request", 64), ("online", partly, "online_movable"), ("request", 32), ("offline", partly)]
    return plan, steps
