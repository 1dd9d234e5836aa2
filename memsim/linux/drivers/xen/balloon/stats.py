"""What the Xen balloon keeps: ``balloon_stats``, the list of ballooned pages, and the thread's sleep.

``drivers/xen/balloon.c`` keeps it in global variables; here it is one object for each kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

BP_DONE, BP_WAIT, BP_EAGAIN, BP_ECANCELED = "BP_DONE", "BP_WAIT", "BP_EAGAIN", "BP_ECANCELED"
ONE_HOUR, ONE_SECOND = 3600, 1


@dataclass(eq=False)
class BalloonStats:
    """The balloon of one machine, as its driver knows it. All sizes are in pages."""

    kernel: Kernel
    name: str
    hotplug_start_pfn: int
    current_pages: int
    target_pages: int
    total_pages: int
    target_unpopulated: int = 0
    """Pages that are lent."""
    ballooned_pages: list[int] = field(default_factory=list)
    """The right end is the kernel's list head."""
    state: str = BP_DONE
    schedule_delay: int = 1
    max_schedule_delay: int = 32
    retry_count: int = 1
    max_retry_count: int = 4
    clock: int = 0
    """Simulated seconds since boot."""
    wakes_at: int = ONE_HOUR
    woken: bool = False
    credit_asleep: int = 0
    """The credit with which the thread went to sleep."""
    xen_answers: list[str] = field(default_factory=list)

    @property
    def balloon_low(self) -> int:
        """Pages in the balloon."""
        return len(self.ballooned_pages)

    def wake_up(self) -> None:
        """Let the thread see whether it has a reason to get up (``wake_up(&balloon_thread_wq)``)."""
        self.woken = True

    def xenmem_reservation_increase(self, nr_frames: int) -> int:
        """Return how many of the requested frames Xen populates (drivers/xen/mem-reservation.c)."""
        answer = self.xen_answers.pop(0) if self.xen_answers else ""
        return {"REFUSE": 0, "HALF": nr_frames // 2}.get(answer, nr_frames)


def balloon_of(kernel: Kernel) -> BalloonStats:
    """Return the balloon of a kernel."""
    balloon: BalloonStats = kernel.driver_data["xen-balloon"]
    return balloon


def current_credit(kernel: Kernel) -> int:
    """Return the pages missing from the target; negative when there are too many."""
    balloon = balloon_of(kernel)
    return balloon.target_pages - balloon.current_pages
