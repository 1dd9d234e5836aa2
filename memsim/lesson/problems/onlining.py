"""Problems on a block that comes online: its chunks, what is counted, and which kernel it was."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.lesson.problems.machines import BLOCK, SIDES, START, count_type, with_virtio_mem
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.notifier import NOTIFY_BAD, NOTIFY_OK
from memsim.linux.include.page_flags import PageType
from memsim.machine.machine import Machine
from memsim.release import PREPARING_ACTIONS

if TYPE_CHECKING:
    from memsim.lesson.problems.draw import Draw
    from memsim.patch import Patch

_ZONE_OF = {"online_kernel": "Normal", "online_movable": "Movable"}
_HOSTED = "holds its own struct pages (memmap_on_memory), 64 bytes for each page, in its first pages"
_ELSEWHERE = "has its struct pages elsewhere"


def chunks(draw: Draw) -> Task:
    """Ask in which chunks a block goes to the buddy allocator."""
    sections = draw.choice([1, 1, 2, 4])
    size = sections * PAGES_PER_SECTION
    start = draw.between(START // size, START * 4 // size) * size
    hosted = draw.choice([False, True])

    def solve() -> dict[str, Answer]:
        machine = Machine(block_pages=size, memmap_on_memory=hosted)
        machine.add_memory(start, size)
        tape = machine.record()
        machine.online(start // size, "online_movable")
        calls = [e.args for e in tape.events if e.point.startswith("enter:generic_online_page#")]
        orders = [order for _, order in calls]
        return {
            "pfn of the first chunk": hex(calls[0][0]),
            "chunks of order 9": orders.count(9),
            "chunks of order 10": orders.count(10),
        }

    return Task(
        f"A memory block of {sections * 128} MiB starts at pfn {start:#x} and "
        f"{_HOSTED if hosted else _ELSEWHERE}. It comes online with the default callback. Which chunks does "
        "`generic_online_page()` get?",
        ("pfn of the first chunk", "chunks of order 9", "chunks of order 10"),
        {"start": start, "size": size, "hosted": hosted},
        solve,
        "online_pages_range(), mm/memory_hotplug.c",
    )


def counters(draw: Draw) -> Task:
    """Ask what the counters say after some blocks have come and gone."""
    blocks = sorted(draw.sample(range(32, 48), 2))
    types = [draw.choice(list(_ZONE_OF)) for _ in blocks]
    hosted = draw.choice([False, True])
    gone = draw.choice([[], [0], [1]])
    zone = _ZONE_OF[draw.choice(types)]

    def solve() -> dict[str, Answer]:
        machine = Machine(memmap_on_memory=hosted)
        for block in blocks:
            machine.add_memory(block * PAGES_PER_SECTION, PAGES_PER_SECTION)
        for block, online_type in zip(blocks, types, strict=True):
            machine.online(block, online_type)
        for which in gone:
            machine.offline(blocks[which])
        counted = machine.zone(zone)
        return {
            f"{zone}: spanned": counted.spanned_pages,
            f"{zone}: present": counted.present_pages,
            f"{zone}: managed": counted.managed_pages,
            "MemTotal, in pages: change since boot": machine.totalram_pages - machine.boot_totalram_pages,
        }

    steps = [f"memory blocks {blocks[0]} and {blocks[1]} (128 MiB each) are added"]
    steps += [f"block {block} is set {kind}" for block, kind in zip(blocks, types, strict=True)]
    steps += [f"block {blocks[which]} is set offline" for which in gone]
    return Task(
        f"A machine has no pages in zones Normal and Movable. Now {'; '.join(steps)}. Each block "
        f"{_HOSTED if hosted else _ELSEWHERE}. Count in pages.",
        (f"{zone}: spanned", f"{zone}: present", f"{zone}: managed", "MemTotal, in pages: change since boot"),
        {"blocks": blocks, "types": types, "hosted": hosted, "gone": gone, "zone": zone},
        solve,
        "online_pages() and offline_pages(), mm/memory_hotplug.c",
    )


def side(draw: Draw) -> Task:
    """Ask whether this was the kernel before the patch or the one after it."""
    plugged = draw.between(1, 63)
    refused = draw.choice([False, True])
    name = draw.choice(sorted(SIDES))
    trace = managed_while_offlining(SIDES[name], plugged, refused=refused)
    width = max(map(len, trace))
    how = "fails, because a listener refuses it" if refused else "succeeds"

    def solve() -> dict[str, Answer]:
        traces = {each: managed_while_offlining(SIDES[each], plugged, refused=refused) for each in SIDES}
        (found,) = [each for each in SIDES if traces[each] == trace]
        offline = count_type(with_virtio_mem(plugged), PageType.OFFLINE, [BLOCK])
        return {"before or after the patch": found, "pages of the block that are withheld": offline}

    return Task(
        "virtio-mem gives a part of a memory block of 32,768 pages, the only one in zone Movable. An "
        f"administrator sets it offline, which {how}. Managed pages of the zone, in this order:",
        ("before or after the patch", "pages of the block that are withheld"),
        {"trace": trace, "refused": refused},
        solve,
        "virtio_mem_fake_offline_going_offline(), drivers/virtio/virtio_mem.c",
        table="\n".join(f"{when:<{width}}  {managed:>6}" for when, managed in trace.items()),
    )


def managed_while_offlining(patch: Patch, plugged: int, *, refused: bool) -> dict[str, int]:
    """Return the managed pages of zone Movable as its only block, partly plugged, goes offline."""
    machine = with_virtio_mem(plugged, patch)
    managed = {"at first": machine.zone("Movable").managed_pages}

    def listen_last(action: str, _start: int, _nr_pages: int) -> int:
        if action not in PREPARING_ACTIONS:
            managed[f"after the listeners to {action}"] = machine.zone("Movable").managed_pages
        return NOTIFY_BAD if refused else NOTIFY_OK

    machine.register_memory_notifier(listen_last, priority=-1)
    with suppress(KernelError):
        machine.offline(BLOCK)
    return managed | {"in the end": machine.zone("Movable").managed_pages}
