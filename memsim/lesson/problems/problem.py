"""A problem, shown with question marks or with the answers."""

from __future__ import annotations

import importlib.util
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.lesson.markup import box, inline, paragraph, preformatted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memsim.lesson.live import LiveQuestion

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
        What is asked for, one line each.
    facts
        What was drawn, for finding the answer in another way.
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
    draw: Callable[[int], Problem] | None = field(default=None, compare=False)
    """Draws another problem of the kind from a seed."""

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
        text, colon, code = self._end().partition(": ")
        end = f"<p><small>{inline(f'{text}{colon}`{code}`')}</small></p>"
        return box(
            f"memsim-{'problem' if self.solved else 'static'}",
            paragraph("", f"{self._title()}."),
            *given,
            f"<ul>{items}</ul>",
            end,
        )

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to ask; the answers are no part of it."""
        return {
            "kind": "ask",
            "title": self._title(),
            "seed": self.seed,
            "question": inline(self.task.question),
            "table": preformatted(self.task.table) if self.task.table else "",
            "lines": [inline(label) for label in self.task.wanted],
            "rule": inline(self.task.rule),
        }

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what a page without a kernel needs, the answers included."""
        return self.spec() | {"outcome": self.answered()}

    def answered(self) -> dict[str, Any]:
        """Return the answers, or why there are none, in the form that the browser gets."""
        try:
            answers = [
                list(value) if isinstance(value, tuple) else str(value) for value in self.answers().values()
            ]
        except MemsimError as error:
            return {"seed": self.seed, "error": inline(str(error))}
        return {"seed": self.seed, "answers": answers}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        forms = {"text/plain": repr(self), "text/html": self.html()}
        return forms if self.solved else forms | self._live()

    def _live(self) -> dict[str, Any]:
        """Return the live form, where widgets are installed."""
        if importlib.util.find_spec("anywidget") is None:
            return {}
        from memsim.lesson.live import LiveQuestion  # noqa: PLC0415 (terminals do without widgets)

        return LiveQuestion(self.spec(), Asked(self).heard).view

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
        how = f'from memsim.lesson import answer; answer("{self.kind}", seed={self.seed})'
        return f"Solve it on paper first. To check: {how}"


class Asked:
    """The problem that a widget asks now.

    Attributes
    ----------
    now
        The problem.
    """

    def __init__(self, first: Problem) -> None:
        """Begin with one."""
        self.now = first

    def heard(self, widget: LiveQuestion, commitment: dict[str, Any]) -> None:
        """Solve the problem, or draw another one."""
        if "another" in commitment and self.now.draw is not None:
            self.now = self.now.draw(int(commitment["another"]))
            widget.spec = self.now.spec()
        else:
            widget.outcome = self.now.answered() | {"number": commitment.get("number", 0)}


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
