"""The answer to an exercise, behind a fold: a worked solution, lines that check themselves, and a rubric.

A number in a solution comes from the model, or ``holds`` checks the text that states it, whenever the cell
runs. The solution of a computed exercise has a field for each number: the reader fills them in and presses
*Check* before unfolding the rest.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.errors import MemsimError
from memsim.lesson.errors import LessonError
from memsim.lesson.markup import box, inline, paragraph, plain
from memsim.lesson.problems.problem import Answer, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memsim.lesson.live import LiveQuestion

RUBRIC_POINTS = 3


@dataclass(frozen=True, repr=False)
class Solution:
    """The answer to one exercise of a chapter; made by :func:`solution`.

    Attributes
    ----------
    exercise
        The number of the exercise in its chapter.
    text
        The worked solution; an empty line separates paragraphs.
    lines
        What the model says to each line that the reader fills in.
    rubric
        What earns each of three points, or nothing.
    """

    exercise: int
    text: str
    lines: Mapping[str, Answer] = field(default_factory=dict)
    rubric: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the text form."""
        told = [f"  {plain(label)}: {tell(value)}" for label, value in self.lines.items()]
        points = [f"  Point {number}: {plain(each)}" for number, each in enumerate(self.rubric, 1)]
        texts = [f"  {plain(each)}" for each in self._paragraphs()]
        return "\n".join([f"Solution of exercise {self.exercise}", *told, *texts, *points])

    def html(self) -> str:
        """Return the HTML form: folded until the reader opens it."""
        return box("memsim-solution", self._fold())

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.html()}

    def _paragraphs(self) -> list[str]:
        return [" ".join(each.split()) for each in self.text.split("\n\n") if each.strip()]

    def _fold(self) -> str:
        told = "".join(
            f"<li>{inline(label)}: <strong>{inline(tell(value))}</strong></li>"
            for label, value in self.lines.items()
        )
        points = "".join(f"<li>{inline(each)}</li>" for each in self.rubric)
        parts = [f"<ul>{told}</ul>"] * bool(told) + [paragraph(each) for each in self._paragraphs()]
        parts += [f"<p>One point for each:</p>\n<ol>{points}</ol>"] * bool(points)
        summary = f"<summary>Solution of exercise {self.exercise}</summary>"
        return "\n".join(["<details>", summary, *parts, "</details>"])


class CheckedSolution(Solution):
    """A solution with lines that the reader fills in and has checked before unfolding the rest."""

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to ask for the lines, and the fold to show below them."""
        return {
            "kind": "ask",
            "title": f"Check your answer to exercise {self.exercise}",
            "seed": self.exercise,
            "question": "",
            "lines": [inline(label) for label in self.lines],
            "fold": self._fold(),
        }

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what a page without a kernel needs, the answers included."""
        return self.spec() | {"outcome": self.answered()}

    def answered(self) -> dict[str, Any]:
        """Return the answers in the form that the browser gets."""
        answers = [list(value) if isinstance(value, tuple) else str(value) for value in self.lines.values()]
        return {"seed": self.exercise, "answers": answers}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return super()._repr_mimebundle_() | self._live()

    @cached_property
    def widget(self) -> LiveQuestion:
        """The live form."""
        from memsim.lesson.live import LiveQuestion  # noqa: PLC0415 (terminals do without widgets)

        return LiveQuestion(self.spec(), self._heard)

    def _heard(self, widget: LiveQuestion, commitment: dict[str, Any]) -> None:
        """Give the answers when the reader has asked for a check."""
        widget.outcome = self.answered() | {"number": commitment.get("number", 0)}

    def _live(self) -> dict[str, Any]:
        """Return the live form, where widgets are installed."""
        return self.widget.view if importlib.util.find_spec("anywidget") is not None else {}


def solution(
    exercise: int,
    text: str,
    *,
    lines: Mapping[str, Callable[[], object]] | None = None,
    holds: Callable[[], object] | None = None,
    rubric: tuple[str, ...] = (),
) -> Solution:
    """Return the folded answer to an exercise; run the model for its numbers.

    >>> solution(1, "Two pages make 8 KiB.", lines={"bytes": lambda: 2 * 4096})
    Solution of exercise 1
      bytes: 8,192
      Two pages make 8 KiB.

    Parameters
    ----------
    exercise
        The number of the exercise in its chapter, from 1.
    text
        The worked solution, with the markup of all lesson texts; an empty line begins a new paragraph.
    lines
        For each line that the reader fills in, a function that runs the model: it returns a whole number,
        a word, or a tuple of words.
    holds
        A check of what the text states; must return True.
    rubric
        For an answer in words: what earns each of three points.

    Raises
    ------
    LessonError
        The exercise has no number or no text, the rubric has not three points, a line is no number, word or
        tuple of words, or ``holds`` does not return True.
    """
    if exercise < 1 or not text.strip():
        msg = f"exercise {exercise}: a solution needs the number of its exercise, from 1, and a text"
        raise LessonError(msg)
    if len(rubric) not in {0, RUBRIC_POINTS}:
        msg = f"exercise {exercise}: a rubric has {RUBRIC_POINTS} points, not {len(rubric)}"
        raise LessonError(msg)
    answers = {label: _answer(exercise, label, find) for label, find in (lines or {}).items()}
    if holds is not None and (found := holds()) not in (True, np.True_):
        msg = f"exercise {exercise}: what the solution states does not hold: {found!r}"
        raise LessonError(msg)
    made = CheckedSolution if answers else Solution
    return made(exercise, text, answers, rubric)


def _answer(exercise: int, label: str, find: Callable[[], object]) -> Answer:
    """Return what the model says to a line, in the form that a problem's answers have."""
    try:
        found = find()
    except MemsimError as error:
        msg = f"exercise {exercise}, {label!r}: {error}"
        raise LessonError(msg) from error
    if isinstance(found, str):
        return found
    if hasattr(found, "__index__") and not isinstance(found, (bool, np.bool_)):
        return int(found)
    if isinstance(found, tuple) and all(isinstance(each, str) for each in found):
        return found
    msg = f"exercise {exercise}, {label!r}: {found!r} is no whole number, word or tuple of words"
    raise LessonError(msg)
