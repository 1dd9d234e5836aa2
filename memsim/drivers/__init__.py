"""Floor 4: the three drivers that give only part of a memory block to the kernel.

A scenario names them in ``machine.devices``; :data:`DEVICE_KINDS` says what each kind needs and makes it.
Every device has ``host_will(answer, times)``, which makes its host misbehave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.kernel import Kernel


class Device(Protocol):
    """What all devices can do."""

    def host_will(self, answer: str, times: int) -> None:
        """Let the host give ``answer`` to the next ``times`` requests."""

    def plugged_pages(self) -> int:
        """Return how many pages the host gives to the machine through this device."""


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device: the whole numbers that a scenario must and may give, and how it is made."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    make: Callable[[Kernel, dict[str, Any]], Device]


DEVICE_KINDS: dict[str, DeviceKind] = {}
