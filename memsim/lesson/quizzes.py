"""One question on what was just read, with an explanation for every option; try as often as you like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.lesson.errors import LessonError
from memsim.lesson.fields import Choice, Unanswered
from memsim.lesson.markup import paragraph
from memsim.lesson.question import Question

if TYPE_CHECKING:
    from collections.abc import Mapping


class Quiz(Question):
    """A question with its options; made by :func:`quiz`."""

    kind = "quiz"

    def __init__(self, question: str, explanations: Mapping[str, str], correct: str) -> None:
        """Keep the explanations out of sight until an option is checked."""
        self.explanations = dict(explanations)
        if correct not in self.explanations:
            msg = f"{question!r}: the correct answer {correct!r} is none of the options"
            raise LessonError(msg)
        self.correct = correct
        super().__init__(
            question, Choice(explanations), "Check my answer", "Show the explanation of the chosen option"
        )
        self.button.on_click(lambda _: self.check())

    def check(self) -> None:
        """Explain the chosen option, as a press of the button does."""
        try:
            chosen = str(self.field.read())
        except Unanswered as reason:
            self.say(paragraph(str(reason)))
            return
        right = chosen == self.correct
        verdict = "✓ Yes." if right else "✗ No; choose another option and check again."
        self.say(paragraph(chosen, "You chose:") + paragraph(self.explanations[chosen], verdict))


def quiz(question: str, explanations: Mapping[str, str], *, correct: str) -> Quiz:
    """Return a quiz: one question, an explanation for each option, no points.

    Parameters
    ----------
    question
        What is asked. Here, as in all text of a lesson, `` `name` `` sets a name as code.
    explanations
        For each option why it is right or which misconception it stands for.
    correct
        The option that is right.

    Raises
    ------
    LessonError
        Fewer than two options, or ``correct`` is none of them.
    """
    return Quiz(question, explanations, correct)
