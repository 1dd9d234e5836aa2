"""The Xen balloon: a machine grows and shrinks page by page, towards a target.

Models ``drivers/xen/balloon.c`` with memory hotplug: the list of ballooned pages, sections that are added
when the target is beyond all memory there is, frames given back to Xen and got from it again, and pages
lent to those who map foreign memory. This module has the thread: what wakes it, one round, its next sleep.
The balloon of a machine, driver and host, is :class:`memsim.devices.xen_balloon.XenBalloon`.

``balloon_init()`` comes before all other drivers, so that a callback that is set already is an error here. A
call of ``balloon_append()`` is for a range of pages.

Left out: high memory, the p2m table and page mappings, scrubbing, the wait at boot for the first inflation,
the sysctl hotplug_unpopulated, reclaim, extra regions of a guest that is neither dom0 nor PV (later kernels
subtract those from its size, and do not add them to what there is). As in the kernel, the balloon does not
learn that a block went offline: ``current_pages`` stays, and pages that come back are in the balloon.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.drivers.base.memory.notifier import register_memory_notifier
from memsim.linux.drivers.xen.balloon.pages import (
    balloon_add_regions,
    decrease_reservation,
    increase_reservation,
    reserve_additional_memory,
    xen_online_page,
)
from memsim.linux.drivers.xen.balloon.stats import (
    BP_DONE,
    BP_EAGAIN,
    BP_ECANCELED,
    BP_WAIT,
    BalloonStats,
    balloon_of,
    current_credit,
)
from memsim.linux.include.notifier import NOTIFY_OK
from memsim.linux.mm.memory_hotplug.online import set_online_page_callback
from memsim.linux.mm.page_alloc.watermarks import calculate_totalreserve_pages
from memsim.linux.mm.show_mem import si_mem_available
from memsim.state.trace import kernel_function

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


RETRY_UNLIMITED = 0


@kernel_function("drivers/xen/balloon.c")
def balloon_thread(kernel: Kernel) -> None:
    """Do one round of the thread's loop: at most 512 pages towards the target, or some sections."""
    balloon = balloon_of(kernel)
    credit = current_credit(kernel)
    if credit > 0 and balloon.ballooned_pages:
        balloon.state = increase_reservation(kernel, credit)
    elif credit > 0:
        balloon.state = reserve_additional_memory(kernel)
    elif credit < 0:
        nr_pages = min(-credit, si_mem_available(kernel))
        balloon.state = decrease_reservation(kernel, nr_pages)
        if (
            balloon.state == BP_DONE
            and nr_pages != -credit
            and nr_pages < calculate_totalreserve_pages(kernel)
        ):
            balloon.state = BP_EAGAIN
    update_schedule(balloon)


def update_schedule(balloon: BalloonStats) -> None:
    """Choose the next sleep: after each failure twice as long as before, and after some give up."""
    if balloon.state in {BP_WAIT, BP_ECANCELED}:
        return
    if balloon.state == BP_DONE:
        balloon.schedule_delay = balloon.retry_count = 1
        return
    balloon.retry_count += 1
    if RETRY_UNLIMITED != balloon.max_retry_count < balloon.retry_count:
        balloon.schedule_delay = balloon.retry_count = 1
        balloon.state = BP_ECANCELED
        return
    balloon.schedule_delay = min(2 * balloon.schedule_delay, balloon.max_schedule_delay)


def balloon_thread_cond(kernel: Kernel) -> bool:
    """Return whether a woken thread gets up: credit when all was done, a changed credit otherwise."""
    balloon = balloon_of(kernel)
    credit = 0 if balloon.state == BP_DONE else balloon.credit_asleep
    return current_credit(kernel) != credit


def balloon_set_new_target(kernel: Kernel, target: int) -> None:
    """Set the size that the machine should have, and wake the thread."""
    balloon = balloon_of(kernel)
    balloon.target_pages = target
    balloon.wake_up()


def xen_memory_notifier(kernel: Kernel, action: str, _start_pfn: int, _nr_pages: int) -> int:
    """Wake the thread at MEM_ONLINE.

    A thread that waits for just this block has no reason to get up, for its credit is the same: it finds
    the pages when its second is over.
    """
    if action == "MEM_ONLINE":
        balloon_of(kernel).wake_up()
    return NOTIFY_OK


def balloon_init(balloon: BalloonStats, extra_start_pfn: int, extra_pages: int) -> None:
    """Start the balloon; EINVAL if another driver has the online callback."""
    kernel = balloon.kernel
    if "xen-balloon" in kernel.driver_data:
        msg = f"{balloon.name}: this kernel has a Xen balloon already; there is one for a machine"
        raise MemsimError(msg)
    set_online_page_callback(kernel, xen_online_page)
    register_memory_notifier(kernel, partial(xen_memory_notifier, kernel))
    kernel.driver_data["xen-balloon"] = balloon
    if extra_pages:
        balloon_add_regions(kernel, extra_start_pfn, extra_pages)
