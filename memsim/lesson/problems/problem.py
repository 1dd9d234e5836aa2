"""What a problem is, and how it is shown: with question marks, or with the answers."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.lesson.markup import box, inline, paragraph, preformatted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Answer = int | str | tuple[str, ...]
"""A number, a word, or a list of words in order."""
_WIDTH = 100


@dataclass(frozen=True)
class Task:
    """What one kind of problem draws.

    Parameters
    ----------
    question
        What is given.
    wanted
        What is asked for, a line each.
    facts
        What was drawn, for whoever wants to find the answer in another way.
    solve
        Runs the simulator and returns the answer to each line.
    rule
        Which kernel function decides, and in which file.
    table
        What is given as a terminal would show it, if anything.
    """

    question: str
    wanted: tuple[str, ...]
    facts: Mapping[str, Any]
    solve: Callable[[], Mapping[str, Answer]] = field(repr=False)
    rule: str
    table: str = ""


@dataclass(frozen=True, repr=False)
class Problem:
    """A problem of some kind, drawn from a seed; shown as it stands, or solved."""

    kind: str
    seed: int
    task: Task
    solved: bool = False

    def answers(self) -> dict[str, Answer]:
        """Return the answer to each line that is asked for, found by running the simulator."""
        found = self.task.solve()
        return {label: found[label] for label in self.task.wanted}

    def __repr__(self) -> str:
        """Return the text form."""
        table = [f"    {line}".rstrip() for line in self.task.table.splitlines()]
        lines = [f"  {label}: {value}" for label, value in self._lines()]
        return "\n".join([self._title(), _wrapped(self.task.question), *table, *lines, self._end()])

    def html(self) -> str:
        """Return the HTML form."""
        items = "".join(
            f"<li>{inline(label)}: <strong>{inline(value)}</strong></li>" for label, value in self._lines()
        )
        given = [paragraph(self.task.question)] + [preformatted(self.task.table)] * bool(self.task.table)
        end = f"<p><small>{inline(self._end())}</small></p>"
        return box("memsim-problem", paragraph("", f"{self._title()}."), *given, f"<ul>{items}</ul>", end)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}

    def _title(self) -> str:
        return f"{'Answer to problem' if self.solved else 'Problem'} {self.kind}, seed {self.seed}"

    def _lines(self) -> list[tuple[str, str]]:
        if not self.solved:
            return [(label, "?") for label in self.task.wanted]
        return [(label, tell(value)) for label, value in self.answers().items()]

    def _end(self) -> str:
        if self.solved:
            again = f'ask("{self.kind}", seed={self.seed + 1})'
            return f"Decided by {self.task.rule}. Another: {again}"
        return f'On paper first. Then: answer("{self.kind}", seed={self.seed})'


def _wrapped(text: str) -> str:
    indent = "  "
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def tell(value: Answer) -> str:
    """Return an answer as it is shown.

    >>> tell(32768), tell("yes"), tell(()), tell(("MEM_GOING_ONLINE", "MEM_ONLINE"))
    ('32,768', 'yes', 'none', 'MEM_GOING_ONLINE, MEM_ONLINE')
    """
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else ", ".join(value) or "none"
