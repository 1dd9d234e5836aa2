"""Problems on the three drivers that give only a part of a memory block."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.lesson.problems.machines import (
    BLOCK,
    SIDES,
    START,
    SUB_BLOCK,
    added_blocks,
    count_flag,
    count_type,
    free_blocks,
    with_hyper_v,
    with_virtio_mem,
    with_xen,
)
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.drivers.hv.hv_balloon.region import hv_page_online_one
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.page_flags import PageFlag, PageType

if TYPE_CHECKING:
    from memsim.lesson.problems.draw import Draw

_MOST_OF_THE_LAST = 1500
"""At most this many pages of the last block: the Xen balloon hands them out one by one."""
_YES = {True: "yes", False: "no"}


def virtio_mem(draw: Draw) -> Task:
    """Ask what is in a block of which virtio-mem plugged some sub-blocks, and took some back."""
    first = draw.between(2, 63)
    then = draw.between(1, first - 1) if draw.choice([False, True]) else first

    def solve() -> dict[str, Answer]:
        machine = with_virtio_mem(first)
        machine.devices["vm0"].request(then * SUB_BLOCK)
        orders = [order for _, order in free_blocks(machine, START, PAGES_PER_SECTION)]
        zone = machine.zone("Movable")
        return {
            "present": zone.present_pages,
            "managed": zone.managed_pages,
            "pages of type Offline": count_type(machine, PageType.OFFLINE, [BLOCK]),
            "pages with PG_dirty": count_flag(machine, PageFlag.DIRTY, [BLOCK]),
            "free blocks of order 10": orders.count(10),
            "free blocks of order 9": orders.count(9),
        }

    more = (
        ""
        if then == first
        else f" Then the host takes {first - then} of them back; no page of them is in use."
    )
    return Task(
        f"virtio-mem with sub-blocks of 2 MiB has plugged {first} of the 64 sub-blocks of a memory block "
        f"when the block comes online in zone Movable, which has no other memory.{more}",
        (
            *("present", "managed", "pages of type Offline", "pages with PG_dirty"),
            *("free blocks of order 10", "free blocks of order 9"),
        ),
        {"first": first, "then": then},
        solve,
        "virtio_mem_online_page_cb() and virtio_mem_fake_offline(), drivers/virtio/virtio_mem.c",
    )


def hv_balloon(draw: Draw) -> Task:
    """Ask which branch a page of a hot-added block takes."""
    backed = draw.between(1, PAGES_PER_SECTION - 1)
    side = draw.choice(sorted(SIDES))
    page = draw.between(backed, PAGES_PER_SECTION - 1)
    again = draw.below(backed)

    def solve() -> dict[str, Answer]:
        machine = with_hyper_v(backed, SIDES[side])
        withheld = machine.page(START + page)
        answers: dict[str, Answer] = {
            "managed pages of the block": machine.zone("Movable").managed_pages,
            "num_pages_onlined": machine.devices["hv0"].num_pages_onlined,
            f"page +{page}: PG_reserved": _YES[withheld.reserved],
            f"page +{page}: type Offline": _YES[withheld.offline],
            f"page +{page}: refcount": withheld.refcount,
        }
        balloon, tape = machine.devices["hv0"], machine.record()
        with suppress(MemsimError):  # whatever comes of freeing a page twice
            hv_page_online_one(machine.kernel, balloon, balloon.ha_region_list[0], START + again)
        twice = any(event.point.startswith("enter:generic_online_page") for event in tape.events)
        return answers | {f"page +{again}, if hv_page_online_one() gets it again: freed again": _YES[twice]}

    return Task(
        f"Hyper-V added a memory block of 32,768 pages and backs its first {backed:,}. The block is online, "
        f"{side} the patch, in zone Movable, which has no other memory.",
        (
            *("managed pages of the block", "num_pages_onlined"),
            *(f"page +{page}: {what}" for what in ("PG_reserved", "type Offline", "refcount")),
            f"page +{again}, if hv_page_online_one() gets it again: freed again",
        ),
        {"backed": backed, "side": side, "page": page, "again": again},
        solve,
        "hv_page_online_one(), drivers/hv/hv_balloon.c",
    )


def xen_balloon(draw: Draw) -> Task:
    """Ask what is in the Xen balloon."""
    up = draw.choice([0] * 11 + [1]) * PAGES_PER_SECTION + draw.between(1, _MOST_OF_THE_LAST)
    down = draw.between(1, up) if draw.choice([False, True]) else 0
    side = draw.choice(sorted(SIDES))

    def solve() -> dict[str, Answer]:
        machine = with_xen(up, SIDES[side])
        balloon, blocks = machine.devices["xen0"], added_blocks(machine)
        balloon.set_target(balloon.target_pages - down)
        reserved = sum(
            bool(machine.kernel.memmap.flags(pfn) & PageFlag.RESERVED) for pfn in balloon.ballooned_pages
        )
        return {
            "memory blocks added": len(blocks),
            "present pages of zone Movable": machine.zone("Movable").present_pages,
            "MemTotal, in pages: change since boot": machine.totalram_pages - machine.boot_totalram_pages,
            "pages in the balloon": balloon.balloon_low,
            "of these, with PG_reserved": reserved,
        }

    more = f" Then the target falls by {down:,}." if down else ""
    return Task(
        f"A Xen guest has as much memory as its target, and nothing in its balloon. The target rises by "
        f"{up:,} pages, {side} the patch. Memory blocks have 32,768 pages, and what is added comes online in "
        f"zone Movable.{more}",
        (
            *("memory blocks added", "present pages of zone Movable"),
            "MemTotal, in pages: change since boot",
            *("pages in the balloon", "of these, with PG_reserved"),
        ),
        {"up": up, "down": down, "side": side},
        solve,
        "xen_online_page(), increase_reservation() and decrease_reservation(), drivers/xen/balloon.c",
    )
