"""What one submission may take of the clock and of the processor, over all of its questions.

Each question has limits of its own. Without a sum, a submission could sleep through all of its questions, or
compute without end in each of them, and the others would wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memsim.grading.assignment.assignment import Limits
    from memsim.grading.sandbox.conversation import Conversation, Failure

AFTER_SLEEP = 10.0
"""Seconds on the clock for a question of a submission that has slept the others away, or through one."""
_TIMES_SLOWER = 10
"""Seconds on the clock for each second of processor time: a machine may have so much else to do."""
_AFTER_LOOPS = 16
"""The share of its processor time that every process has, whatever loops have taken before.

Honest answers to our assignments take a hundredth; one in the final project takes a twelfth of a minute."""
_LOOPS = 5
"""How many processes may use up their processor time; then a question that does is not asked again."""

_OTHER_PROBLEMS = "something else than at first: restart the kernel and run all cells to see it"
_LESS = ", of which it had less than others: an answer of this notebook had used up all of its own before"


@dataclass
class Budget:
    """What a submission has taken so far."""

    waited: float = 0.0
    """Seconds on the clock in which answers were waited for."""
    computed: float = 0.0
    """Seconds of processor time of the processes that have ended."""
    slept: bool = False
    """Whether an answer has used up the clock."""
    loops: int = 0
    """How many processes have used up their processor time."""
    looped: float = 0.0
    """Seconds that they had."""
    unreadable: str = ""
    """Why the notebook's cells cannot be read as Python, if they cannot."""
    problems: list[str] | None = None
    """What the first process could not execute, before anything was asked."""

    def limits(self, limits: Limits) -> Limits:
        """Return the limits of the next question or process: sleep and endless loops cost their time once.

        >>> from memsim.grading.assignment.assignment import Limits
        >>> Budget(waited=59, computed=0.1).limits(Limits()).wall_seconds
        10.0
        >>> Budget(waited=59, computed=5.9).limits(Limits()) == Limits()  # a busy machine is no sleep
        True
        >>> Budget(loops=1, looped=2).limits(Limits()).cpu_seconds
        0.125
        """
        whole, cpu = limits.wall_seconds, limits.cpu_seconds
        left = AFTER_SLEEP if self.slept else whole + _TIMES_SLOWER * self.computed - self.waited
        wall = min(whole, max(AFTER_SLEEP, left))
        return replace(limits, wall_seconds=wall, cpu_seconds=max(cpu / _AFTER_LOOPS, cpu - self.looped))

    def note(self, failure: Failure, limits: Limits) -> Failure:
        """Note how an answer has failed within these limits; return that as its student should read it."""
        self.slept |= failure.kind == "time"
        if failure.kind != "cpu":
            return failure
        told = failure.told + (_LESS if self.loops else "")
        self.loops += 1
        self.looped += limits.cpu_seconds
        return replace(failure, told=told)

    def shown(self, problems: list[str]) -> list[str]:
        """Return what a student may read of what a process could not execute.

        A later process can know by the clock what a hidden test has asked before, and say that here.

        >>> budget = Budget()
        >>> budget.shown(["cell 1, line 1: ValueError: 7"])
        ['cell 1, line 1: ValueError: 7']
        >>> budget.shown(["cell 1, line 1: ValueError: 8"])
        ['something else than at first: restart the kernel and run all cells to see it']
        """
        if self.problems is None:
            self.problems = problems
        known = [problem for problem in problems if problem in self.problems]
        return known if len(known) == len(problems) else [*known, _OTHER_PROBLEMS]

    def take(self, conversation: Conversation) -> None:
        """Note what a conversation has taken that has ended."""
        self.waited += conversation.waited
        # Where processes are allowed, many of them compute: that is no sign of a slow machine.
        self.computed += min(conversation.computed, conversation.limits.cpu_seconds)

    @property
    def is_spent(self) -> bool:
        """Whether loops have taken so much that a question with one is not asked again."""
        return self.loops > _LOOPS
