"""The Xen balloon of a machine: driver and host. Time is simulated: see :meth:`XenBalloon.run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.hosts.answers import answers
from memsim.linux.drivers.xen.balloon.pages import xen_alloc_ballooned_pages, xen_free_ballooned_pages
from memsim.linux.drivers.xen.balloon.stats import (
    BP_EAGAIN,
    BP_WAIT,
    ONE_HOUR,
    ONE_SECOND,
    BalloonStats,
    current_credit,
)
from memsim.linux.drivers.xen.balloon.thread import (
    RETRY_UNLIMITED,
    balloon_init,
    balloon_set_new_target,
    balloon_thread,
    balloon_thread_cond,
)

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel


ANSWERS = ("REFUSE", "HALF")


class XenBalloon(BalloonStats):
    """The balloon of one machine, driver and host.

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
        size = sum(zone.present_pages for zone in kernel.state.zones) - extra_pages
        super().__init__(kernel, name, hotplug_start_pfn, size, size, size)
        balloon_init(self, extra_start_pfn, extra_pages)

    def __repr__(self) -> str:
        """Show the sizes."""
        sizes = f"current {self.current_pages}, target {self.target_pages}, balloon {self.balloon_low}"
        return f"XenBalloon({self.name}: {self.state}, {sizes})"

    # ---- the host's side ---------------------------------------------------------------------

    def set_target(self, target_pages: int) -> None:
        """Set the size that the machine should have, and let the thread work.

        A target that cannot be reached is no error: the thread waits for a block to come online, or
        tries some times and gives up.
        """
        balloon_set_new_target(self.kernel, target_pages)
        self.run()

    def host_will(self, answer: str, times: int) -> None:
        """Let Xen populate nothing (REFUSE) or only half (HALF) of the next ``times`` lists of frames.

        Raises
        ------
        MemsimError
            Xen knows no such answer, or a bad ``times``; see :func:`memsim.hosts.answers.answers`.
        """
        self.xen_answers += answers(self.name, ANSWERS, answer, times)

    def plugged_pages(self) -> int:
        """Return the pages that Xen has given to the machine."""
        return self.current_pages

    # ---- pages on the list -------------------------------------------------------------------

    def lend(self, nr_pages: int) -> list[int]:
        """Lend pages without memory to a driver that maps foreign memory there; return their pfns.

        Raises
        ------
        KernelError
            ENOMEM: the balloon and the buddy together have too few.
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
        return current_credit(self.kernel)

    @property
    def moves_pages(self) -> bool:
        """Whether a round takes pages out of the balloon or puts some in, if Xen and the buddy have them."""
        return self.current_credit < 0 or (self.current_credit > 0 and bool(self.ballooned_pages))

    @property
    def timeout(self) -> int:
        """Seconds for which ``balloon_thread()`` sleeps in its state, unless it is woken with a reason."""
        return {BP_EAGAIN: self.schedule_delay, BP_WAIT: ONE_SECOND}.get(self.state, ONE_HOUR)

    def is_waiting(self) -> bool:
        """Return whether nothing will happen before others act, or before an hour is over.

        With unlimited retries also when the sleeps have become as long as they get.
        """
        if self.woken and balloon_thread_cond(self.kernel):
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
            self.woken = False
            return False
        if not (self.woken and balloon_thread_cond(self.kernel)):
            self.clock = max(self.clock, self.wakes_at)
        self._round()
        return True

    def run(self) -> None:
        """Let the thread work until it is done, has given up, or waits for a block to come online."""
        while self.work():
            pass

    def wait(self, seconds: int) -> None:
        """Let simulated time pass. A thread that gave up tries again after an hour."""
        until = self.clock + seconds
        while self.wakes_at <= until:
            self.clock = max(self.clock, self.wakes_at)
            self._round()
            while balloon_thread_cond(self.kernel):
                self._round()
        self.clock = until

    def _round(self) -> None:
        balloon_thread(self.kernel)
        self.credit_asleep = self.current_credit
        self.wakes_at = self.clock + self.timeout
        self.woken = True  # it looks once more before it sleeps


def make(kernel: Kernel, spec: dict[str, Any]) -> XenBalloon:
    """Return the balloon that a scenario describes."""
    return XenBalloon(
        kernel,
        spec["name"],
        spec["hotplug_start_pfn"],
        spec.get("extra_start_pfn", 0),
        spec.get("extra_pages", 0),
    )
