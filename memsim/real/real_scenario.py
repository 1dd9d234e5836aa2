"""A scenario that was made from the files of a real machine, and what is known of how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memsim.scenario.scenario import Scenario


@dataclass
class RealMachine:
    """A scenario made from the files of a real machine, and how it was made."""

    document: dict[str, Any]
    release: str
    taken: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        """The scenario, checked."""
        return Scenario.parse(self.document, "machine")
