"""The Hyper-V balloon of a machine, driver and host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memsim.errors import KernelError, MemsimError
from memsim.hosts.answers import answers
from memsim.linux.drivers.base.memory.notifier import register_memory_notifier
from memsim.linux.drivers.hv.hv_balloon.ballooning import balloon_down, balloon_up
from memsim.linux.drivers.hv.hv_balloon.hot_add import HotAddResponse, ha_pages_in_chunk, hot_add_req
from memsim.linux.drivers.hv.hv_balloon.region import (
    DRIVER,
    HvDynmemDevice,
    backed_pages,
    hv_memory_notifier,
    hv_online_page,
)
from memsim.linux.mm.memory_hotplug.online import set_online_page_callback

if TYPE_CHECKING:
    from memsim.linux.drivers.hv.hv_balloon.ballooning import Range
    from memsim.state.kernel import Kernel


MAX_PAGE_CNT, MAX_START_PAGE = (1 << 24) - 1, (1 << 40) - 1
"""A range in a message has 24 bits for its size and 40 for its start."""
ANSWERS = ("BUSY", "ERROR", "REPEAT")


class HvBalloon(HvDynmemDevice):
    """The one dynamic memory device of a machine, and the host behind it.

    Another driver that was there first keeps the online page callback: ``callback_set`` is False then. The
    driver does not look at what ``set_online_page_callback()`` returns and goes on. The memory that it adds
    comes online by the other driver's rules, pages that the host does not back included.
    """

    def __init__(self, kernel: Kernel, name: str) -> None:
        """Probe the device (``balloon_probe()``)."""
        if DRIVER in kernel.driver_data:
            msg = f"{name}: a machine has one Hyper-V balloon, and this one has {kernel.driver_data[DRIVER]}"
            raise MemsimError(msg)
        super().__init__(ha_pages_in_chunk(kernel))
        self.kernel = kernel
        self.name = name
        self.responses: list[HotAddResponse] = []
        """The responses to all hot-add requests so far."""
        self.held: list[Range] = []
        """The ranges in the host's balloon, in the order in which they were reported."""
        self._answers: list[str] = []
        self._repeats = 0
        kernel.driver_data[DRIVER] = self
        self.callback_set = True
        try:
            set_online_page_callback(kernel, hv_online_page)
        except KernelError:
            self.callback_set = False
        register_memory_notifier(kernel, self.memory_notifier)

    def __repr__(self) -> str:
        """Show the counters."""
        counters = f"added {self.num_pages_added}, onlined {self.num_pages_onlined}"
        return f"HvBalloon({self.name}: {counters}, ballooned {self.num_pages_ballooned})"

    def memory_notifier(self, action: str, start_pfn: int, nr_pages: int) -> int:
        """Register with the memory notifier chain."""
        return hv_memory_notifier(self.kernel, self, action, start_pfn, nr_pages)

    def hot_add(self, start_pfn: int, nr_pages: int) -> HotAddResponse:
        """Let the host back a range of pages and ask the driver to add them.

        Adding nothing is no error; the response says so. Blocks come online as the machine's
        ``default_online_type`` says.

        Returns
        -------
        HotAddResponse
            Of the first request if the host repeats it; ``responses`` has all of them.

        Raises
        ------
        MemsimError
            A message has no room for such a range.
        """
        if not (0 <= start_pfn <= MAX_START_PAGE and 0 <= nr_pages <= MAX_PAGE_CNT):
            msg = f"{self.name}: a message cannot name {nr_pages} pages at pfn {start_pfn:#x}"
            raise MemsimError(msg)
        first = len(self.responses)
        times = 1 + (self._repeats > 0)
        self._repeats -= times - 1
        for _ in range(times):
            response = hot_add_req(self.kernel, self, start_pfn, nr_pages)
            self.responses.append(replace(response, received=self._send() == "OK"))
        return self.responses[first]

    def inflate(self, nr_pages: int) -> int:
        """Make the host ask for pages; return how many it got."""
        before = self.held_pages()
        balloon_up(self.kernel, self, nr_pages, self._send_ranges)
        return self.held_pages() - before

    def deflate(self, nr_pages: int | None = None) -> int:
        """Make the host give pages back, the oldest first; None: all. Return how many it gave.

        A host that has fewer gives all it has.
        """
        held = self.held_pages()
        left = held if nr_pages is None else min(nr_pages, held)
        given: list[Range] = []
        while left:
            pfn, size = self.held.pop(0)
            given.append((pfn, min(size, left)))
            if size > left:
                self.held.insert(0, (pfn + left, size - left))
            left -= given[-1][1]
        balloon_down(self.kernel, self, given)
        self._send()
        return held - self.held_pages()

    def held_pages(self) -> int:
        """Return how many pages the host has in its balloon."""
        return sum(size for _, size in self.held)

    def host_will(self, answer: str, times: int) -> None:
        """Make the host misbehave.

        ``BUSY``: the channel is full when the driver wants to answer. It sends a balloon response again
        until it gets through; any other response it sends once, and the host never hears of it. ``ERROR``:
        the channel refuses an answer. The driver takes the pages of a balloon response back; any other
        response is lost. ``REPEAT``: the host sends a hot-add request twice, as if the first were lost.

        Raises
        ------
        MemsimError
            None of these, or too often; see :func:`memsim.hosts.answers.answers`.
        """
        said = answers(self.name, ANSWERS, answer, times)
        if answer == "REPEAT":
            self._repeats += times
        else:
            self._answers += said

    def wait(self, seconds: int) -> None:
        """Do nothing: this driver has no timer that acts on memory."""

    def run(self) -> None:
        """Do nothing: the work items have done their work when a request returns."""

    def plugged_pages(self) -> int:
        """Return how many pages the host backs by hot-add."""
        return sum(
            backed_pages(has, has.covered_start_pfn, has.covered_end_pfn) for has in self.ha_region_list
        )

    def _send(self) -> str:
        """Send a response once (``vmbus_sendpacket()``)."""
        return self._answers.pop(0) if self._answers else "OK"

    def _send_ranges(self, ranges: list[Range]) -> bool:
        """Send a balloon response, and repeat it while the channel is full; False: the channel refuses it."""
        answer = self._send()
        while answer == "BUSY":
            answer = self._send()
        if answer == "OK":
            self.held += ranges
        return answer == "OK"


def make(kernel: Kernel, spec: dict[str, Any]) -> HvBalloon:
    """Return the device that a scenario describes."""
    return HvBalloon(kernel, spec["name"])
