"""One question on what was just read, with an explanation for every option; try as often as you like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.lesson.errors import LessonError
from memsim.lesson.fields import Choice
from memsim.lesson.markup import inline
from memsim.lesson.question import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memsim.lesson.question import Place


class Quiz(Question):
    """A question with its options; made by :func:`quiz`."""

    kind = "quiz"

    def __init__(
        self, question: str, explanations: Mapping[str, str], correct: str, show: Place | None = None
    ) -> None:
        """Keep the explanations out of sight until an option is checked."""
        self.explanations = dict(explanations)
        if correct not in self.explanations:
            msg = f"{question!r}: the correct answer {correct!r} is none of the options"
            raise LessonError(msg)
        self.correct = correct
        super().__init__(question, Choice(explanations), show)

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to ask and to check: no kernel is needed."""
        asked = super().spec()
        for option in asked["options"]:
            option["says"] = inline(self.explanations[option["value"]])
        return asked | {"right": self.correct}


def quiz(question: str, explanations: Mapping[str, str], *, correct: str, show: Place | None = None) -> Quiz:
    """Return a quiz: one question, an explanation for each option, no points.

    Parameters
    ----------
    question
        What is asked. Here, as in all text of a lesson, `` `name` `` sets a name as code and ``*word*``
        stresses a word.
    explanations
        For each option why it is right or which misconception it stands for.
    correct
        The option that is right.
    show
        Where the explorer on the same page shows it: a step, a point, and a pfn if a page is meant, such as
        ``(1, "return:memmap_init_range", 0x100233)``. A button leads there after an answer.

    Raises
    ------
    LessonError
        Fewer than two options, or ``correct`` is none of them.
    """
    return Quiz(question, explanations, correct, show)
