"""The Xen balloon: a machine grows and shrinks page by page, towards a target.

Models ``drivers/xen/balloon.c`` with memory hotplug: the list of ballooned pages, sections that are added
when the target is beyond all memory there is, frames given back to Xen and got from it again, and pages
lent to those who map foreign memory. Time is simulated: see :meth:`XenBalloon.run`.

``balloon_init()`` is what making a :class:`XenBalloon` does; it comes before all other drivers, so that a
callback that is set already is an error here. Calls of ``balloon_append()`` for neighbouring pages are one.

Left out: high memory, the p2m table and page mappings, scrubbing, the wait at boot for the first inflation,
the sysctl hotplug_unpopulated, reclaim. Nobody tells the balloon that a block went
offline, in the kernel neither: ``current_pages`` stays, and pages that come back are in the balloon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.linux.drivers.base.memory.notifier import register_memory_notifier
from memsim.linux.drivers.host import answers
from memsim.linux.drivers.xen.balloon.pages import (
    _HOUR,
    _SECOND,
    ANSWERS,
    BP_DONE,
    BP_EAGAIN,
    BP_WAIT,
    RETRY_UNLIMITED,
    balloon_add_regions,
    balloon_thread,
    xen_alloc_ballooned_pages,
    xen_free_ballooned_pages,
    xen_online_page,
)
from memsim.linux.include.notifier import NOTIFY_OK
from memsim.linux.mm.memory_hotplug.online import set_online_page_callback

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


class XenBalloon:
    """The balloon of one machine: ``balloon_stats``, the list of ballooned pages, and the thread.

    Parameters
    ----------
    hotplug_start_pfn
        Where the search for room for hot-added memory begins.
    extra_start_pfn, extra_pages
        Boot memory beyond what Xen gave at first (``xen_extra_mem``): the machine must have it in ``ram``
        and in ``reserved``, as ``xen_add_extra_mem()`` tells memblock. It starts its life in the balloon.
    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        hotplug_start_pfn: int,
        extra_start_pfn: int = 0,
        extra_pages: int = 0,
    ) -> None:
        """Start the balloon; EINVAL if another driver has the online callback."""
        self.kernel = kernel
        self.name = name
        self.hotplug_start_pfn = hotplug_start_pfn
        present = sum(zone.present_pages for zone in kernel.state.zones)
        self.current_pages = self.target_pages = self.total_pages = present - extra_pages
        self.target_unpopulated = 0
        """Pages that are lent."""
        self.ballooned_pages: list[int] = []
        """The right end is the kernel's list head."""
        self.state = BP_DONE
        self.schedule_delay, self.max_schedule_delay = 1, 32
        self.retry_count, self.max_retry_count = 1, 4
        self.clock = 0
        """Simulated seconds since boot."""
        self._wakes_at = _HOUR
        self._woken = False
        self._credit_asleep = 0
        self._answers: list[str] = []
        if "xen-balloon" in kernel.driver_data:
            msg = f"{name}: this kernel has a Xen balloon already; there is one for a machine"
            raise MemsimError(msg)
        set_online_page_callback(kernel, xen_online_page)
        register_memory_notifier(kernel, self.xen_memory_notifier)
        kernel.driver_data["xen-balloon"] = self
        if extra_pages:
            balloon_add_regions(kernel, extra_start_pfn, extra_pages)

    def __repr__(self) -> str:
        """Show the sizes."""
        sizes = f"current {self.current_pages}, target {self.target_pages}, balloon {self.balloon_low}"
        return f"XenBalloon({self.name}: {self.state}, {sizes})"

    # ---- the host's side ---------------------------------------------------------------------

    def set_target(self, target_pages: int) -> None:
        """Set the size that the machine should have (``balloon_set_new_target()``), and let the thread work.

        A target that cannot be reached is no error: the thread waits for a block to come online, or
        tries some times and gives up.
        """
        self.target_pages = target_pages
        self.wake_up()
        self.run()

    def host_will(self, answer: str, times: int) -> None:
        """Let Xen populate nothing (REFUSE) or only half (HALF) of the next ``times`` lists of frames.

        Raises
        ------
        MemsimError
            Xen knows no such answer, or not so many; see :func:`memsim.linux.drivers.host.answers`.
        """
        self._answers += answers(self.name, ANSWERS, answer, times)

    def xenmem_reservation_increase(self, nr_frames: int) -> int:
        """Return how many frames Xen populates of those it is asked for (drivers/xen/mem-reservation.c)."""
        answer = self._answers.pop(0) if self._answers else ""
        return {"REFUSE": 0, "HALF": nr_frames // 2}.get(answer, nr_frames)

    def plugged_pages(self) -> int:
        """Return the pages that Xen has given to the machine."""
        return self.current_pages

    # ---- pages on the list -------------------------------------------------------------------

    @property
    def balloon_low(self) -> int:
        """Pages in the balloon."""
        return len(self.ballooned_pages)

    def lend(self, nr_pages: int) -> list[int]:
        """Lend pages without memory to somebody who maps foreign memory there; returns their pfns.

        Raises
        ------
        KernelError
            ENOMEM: neither the balloon nor the buddy has so many.
        """
        try:
            return xen_alloc_ballooned_pages(self.kernel, nr_pages)
        finally:
            self.run()

    def take_back(self, pfns: list[int]) -> None:
        """Take lent pages back; the list is empty afterwards."""
        xen_free_ballooned_pages(self.kernel, pfns)
        self.run()

    # ---- the thread and its sleep ------------------------------------------------------------

    @property
    def current_credit(self) -> int:
        """Pages missing from the target; negative when there are too many."""
        return self.target_pages - self.current_pages

    @property
    def moves_pages(self) -> bool:
        """Whether a round takes pages out of the balloon or puts some in, if Xen and the buddy have them."""
        return self.current_credit < 0 or (self.current_credit > 0 and bool(self.ballooned_pages))

    @property
    def timeout(self) -> int:
        """Seconds for which ``balloon_thread()`` sleeps in its state, if nobody wakes it with a reason."""
        return {BP_EAGAIN: self.schedule_delay, BP_WAIT: _SECOND}.get(self.state, _HOUR)

    def wake_up(self) -> None:
        """Let the thread look whether it has a reason to get up (``wake_up(&balloon_thread_wq)``)."""
        self._woken = True

    def balloon_thread_cond(self) -> bool:
        """Return whether a woken thread gets up: credit when all was done, a changed credit otherwise."""
        credit = 0 if self.state == BP_DONE else self._credit_asleep
        return self.current_credit != credit

    def xen_memory_notifier(self, action: str, _pfn: int, _nr_pages: int) -> int:
        """Wake the thread at MEM_ONLINE.

        A thread that waits for just this block has no reason to get up, for its credit is the same: it finds
        the pages when its second is over.
        """
        if action == "MEM_ONLINE":
            self.wake_up()
        return NOTIFY_OK

    def is_waiting(self) -> bool:
        """Return whether nothing will happen before others act, or before an hour is over.

        With unlimited retries also when the sleeps have become as long as they get.
        """
        if self._woken and self.balloon_thread_cond():
            return False
        if self.state == BP_EAGAIN:
            unlimited = self.max_retry_count == RETRY_UNLIMITED
            return unlimited and self.schedule_delay == self.max_schedule_delay
        if self.state == BP_WAIT and self.current_credit > 0:
            missing = self.target_pages + self.target_unpopulated - self.total_pages
            return missing <= 0 and not self.moves_pages
        return True

    def work(self) -> bool:
        """Let the thread do one round, after its sleep if it is short; False: it is waiting."""
        if self.is_waiting():
            self._woken = False
            return False
        if not (self._woken and self.balloon_thread_cond()):
            self.clock = max(self.clock, self._wakes_at)
        self._round()
        return True

    def run(self) -> None:
        """Let the thread work until it is done, has given up, or waits for a block to come online."""
        while self.work():
            pass

    def wait(self, seconds: int) -> None:
        """Let simulated time pass. A thread that gave up tries again after an hour."""
        until = self.clock + seconds
        while self._wakes_at <= until:
            self.clock = max(self.clock, self._wakes_at)
            self._round()
            while self.balloon_thread_cond():
                self._round()
        self.clock = until

    def _round(self) -> None:
        balloon_thread(self.kernel)
        self._credit_asleep = self.current_credit
        self._wakes_at = self.clock + self.timeout
        self._woken = True  # it looks once more before it sleeps


def make(kernel: Kernel, spec: dict[str, Any]) -> XenBalloon:
    """Return the balloon that a scenario describes."""
    return XenBalloon(
        kernel,
        spec["name"],
        spec["hotplug_start_pfn"],
        spec.get("extra_start_pfn", 0),
        spec.get("extra_pages", 0),
    )
