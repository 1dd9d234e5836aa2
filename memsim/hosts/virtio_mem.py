"""The other side of a virtio-mem device: what the hypervisor has plugged, and how it answers.

Models the request and response codes of ``include/uapi/linux/virtio_mem.h``. A host misbehaves on request:
``NACK``, ``BUSY``, ``ERROR`` for the next requests, or ``RESIZE:<pages>``, which changes the requested size
just as a request arrives.

Left out: the virtqueue, ACPI, persistent suspend.
"""

from __future__ import annotations

import numpy as np

from memsim.errors import MemsimError
from memsim.hosts.answers import answers

ANSWERS = ("NACK", "BUSY", "ERROR", "RESIZE:")


class VirtioMemHost:
    """Region, usable region, requested size, and one bit for each device block: plugged or not."""

    def __init__(
        self, name: str, start_pfn: int, region_pages: int, block_pages: int, usable_pages: int
    ) -> None:
        """Offer a region in which nothing is plugged."""
        self.name = name
        self.start_pfn = start_pfn
        self.region_pages = region_pages
        self.block_pages = block_pages
        self.usable_pages = usable_pages
        self.requested_pages = 0
        self.config_changed = False
        """Set by the host when it changes its mind, cleared when the driver reads the configuration."""
        self.plugged = np.zeros(region_pages // block_pages, bool)
        self._answers: list[str] = []

    def leave_plugged(self, nr_pages: int) -> None:
        """Start with memory plugged at the beginning of the region, as an earlier kernel left it.

        Raises
        ------
        MemsimError
            Not a multiple of the device block, or more than the region.
        """
        if nr_pages % self.block_pages or not 0 <= nr_pages <= self.region_pages:
            rule = f"must be a multiple of {self.block_pages}, at most {self.region_pages}"
            msg = f"plugged_pages {nr_pages} {rule}"
            raise MemsimError(msg)
        self.plugged[: nr_pages // self.block_pages] = True

    @property
    def plugged_pages(self) -> int:
        """``plugged_size`` in pages."""
        return int(self.plugged.sum()) * self.block_pages

    def will(self, answer: str, times: int) -> None:
        """Answer the next ``times`` requests with ``answer``.

        Raises
        ------
        MemsimError
            The host knows no such answer, or a bad ``times``; see :func:`memsim.hosts.answers.answers`.
        """
        self._answers += answers(self.name, ANSWERS, answer, times)

    def respond(self) -> str:
        """Return the answer to the next request; the host may change its mind just before it."""
        answer = self._answers.pop(0) if self._answers else "ACK"
        if not answer.startswith("RESIZE:"):
            return answer
        self.requested_pages = int(answer.removeprefix("RESIZE:"))
        self.config_changed = True
        return "ACK"

    def set_plugged(self, pfn: int, nr_pages: int, *, plugged: bool) -> None:
        """Plug or unplug the device blocks of a range."""
        self.plugged[self._blocks(pfn, nr_pages)] = plugged

    def state(self, pfn: int, nr_pages: int) -> str:
        """Request STATE, as a crash dump does: plugged, unplugged or mixed."""
        found = self.plugged[self._blocks(pfn, nr_pages)]
        if found.all():
            return "plugged"
        return "mixed" if found.any() else "unplugged"

    def _blocks(self, pfn: int, nr_pages: int) -> slice:
        first = (pfn - self.start_pfn) // self.block_pages
        return slice(first, first + nr_pages // self.block_pages)
