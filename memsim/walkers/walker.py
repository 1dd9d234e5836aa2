"""What a reader of the memmap is: its questions in their order, and what it does on a yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from memsim.walkers.subject import ANY, Question, Subject

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

ALL = ("6.1", "6.11", "6.12", "7.3")
SINCE_6_12 = ("6.11", "6.12", "7.3")
"""Releases after 6.1; 6.11 is modelled like 6.12 but for its page types."""
UNTIL_6_12 = ("6.1", "6.11", "6.12")
"""Releases before 6.17, in which free_pages_prepare() began to reset a type first."""
Group = Literal["review", "missed", "other"]
Result = Literal["confirmed", "refined", "contradicted"]


class Verdict(NamedTuple):
    """What a walker does with a page, and the question that decided."""

    action: str
    why: str
    met: bool
    """False: the walker would do so, but no such page ever comes before it."""


class Step(NamedTuple):
    """One question of a walker and what it does when the answer is yes."""

    question: Question
    action: str
    releases: tuple[str, ...] = ALL


class Finding(NamedTuple):
    """What comes of a claim when it is executed."""

    result: Result
    text: str


@dataclass(frozen=True)
class Walker:
    """A reader of the memmap that trusts PG_reserved or the type Offline."""

    name: str
    file: str
    function: str
    group: Group
    """``review``: in the list of the review thread. ``missed``: not. ``other``: reads no PG_reserved."""
    steps: tuple[Step, ...]
    otherwise: tuple[str, str]
    """(action, why) when the answer is never yes."""
    claim: str
    """What the review says about self-hosted vmemmap and this walker."""
    finding: Finding
    meets: Question = ANY
    """Which pages come before it at all."""
    releases: tuple[str, ...] = ALL

    def decide(self, kernel: Kernel, pfn: int) -> Verdict:
        """Return what this walker does with a page, why, and whether it ever meets such a page."""
        return self.judge(Subject(kernel, pfn))

    def judge(self, subject: Subject) -> Verdict:
        """Ask the questions in their order; the first yes decides."""
        action, why = self.otherwise
        for step in self.steps:
            if subject.kernel.release.name in step.releases and step.question.holds(subject):
                action, why = step.action, step.question.words
                if subject.stale and step.question.reads_page:
                    why += " in a stale struct page (its section is not online)"
                break
        met = self.meets.holds(subject)
        if not met:
            why += f"; but it only meets {self.meets.words}"
        return Verdict(action, f"pfn {subject.pfn:#x}: {why}", met)

    @property
    def actions(self) -> tuple[str, ...]:
        """Every action that this walker knows, in the order of its questions."""
        return tuple(dict.fromkeys([*(step.action for step in self.steps), self.otherwise[0]]))

    def __str__(self) -> str:
        """Show the name."""
        return self.name
