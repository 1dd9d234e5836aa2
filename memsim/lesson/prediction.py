"""Predict, run, explain: the reader commits to a guess before anything is shown.

A guess that turns out wrong is what sticks; so nothing is scored, and the explanation comes only after
the commitment. What the simulator says is found out by running it at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from memsim.errors import MemsimError
from memsim.lesson import store
from memsim.lesson.errors import LessonError
from memsim.lesson.fields import Choice, Field, Number, Unanswered, Value, Words, tell
from memsim.lesson.markup import inline, paragraph
from memsim.lesson.question import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

Answer = Value | Callable[[], object]
Explain = str | Mapping[Any, str]  # keys: options, or numbers and None
_COMMIT = "Commit my prediction"
_AGAIN = "Predict again"


class Prediction(Question):
    """A question whose answer shows only after a prediction; made by :func:`predict`."""

    kind = "predict"
    lead = "Predict:"

    def __init__(self, question: str, field: Field, answer: Answer, explain: Explain) -> None:
        """Show what was predicted on an earlier run, if anything was, but not what came of it."""
        self.answer = answer
        self.explain = explain
        self.committed = False
        super().__init__(question, field, _COMMIT, "Only then the simulator runs and the explanation shows")
        self.button.on_click(lambda _: self.start_again() if self.committed else self.commit())
        self._recall()

    def commit(self) -> None:
        """Keep the prediction, run the simulator, and explain, as a press of the button does."""
        try:
            predicted = self.field.read()
        except Unanswered as reason:
            self.say(paragraph(str(reason)))
            return
        store.remember(self.question, self.field.options, predicted)
        self._set_committed(committed=True)
        try:
            self.say(self._outcome(predicted, self.outcome()))
        except MemsimError as error:
            self.say(paragraph(tell(predicted), "You predicted:") + paragraph(f"⚠ No answer: {error}"))

    def start_again(self) -> None:
        """Hide the explanation and take another prediction."""
        self._set_committed(committed=False)
        self.field.clear()
        self._recall()

    def outcome(self) -> Value:
        """Return what happens: run the simulator if the answer is a function.

        Raises
        ------
        LessonError
            What happens is nothing that the field could hold, such as none of the options.
        """
        return self.field.parse(self.answer() if callable(self.answer) else self.answer)

    def _set_committed(self, *, committed: bool) -> None:
        # The button stays enabled: disabling it would throw the keyboard's focus out of the widget.
        self.committed = committed
        self.field.close(closed=committed)
        self.button.description = _AGAIN if committed else _COMMIT

    def _recall(self) -> None:
        earlier = store.recall(self.question, self.field.options)
        if earlier is None:
            self.feedback.value = ""
        else:
            self.feedback.value = paragraph(tell(earlier), "On an earlier run you predicted:")

    def _outcome(self, predicted: Value, outcome: Value) -> str:
        says = "The simulator says:" if callable(self.answer) else "The answer:"
        parts = [
            paragraph(tell(predicted), "You predicted:"),
            paragraph(tell(outcome), says),
            self._verdict(same=predicted == outcome),
            paragraph(self._explanation(predicted)),
        ]
        if isinstance(self.field, Choice) and predicted != outcome and isinstance(self.explain, Mapping):
            parts.append(paragraph(self._explanation(outcome), f"{tell(outcome)}:"))
        return f'<div class="memsim-outcome">{"".join(parts)}</div>'

    def _verdict(self, *, same: bool) -> str:
        if isinstance(self.field, Words):
            return f"<p>{inline('Compare: which part did you foresee, and which not?')}</p>"
        return paragraph("✓ As you predicted." if same else "≠ Not as you predicted.")

    def _explanation(self, value: Value) -> str:
        if isinstance(self.explain, str):
            return self.explain
        return self.explain[value] if value in self.explain else self.explain[None]


def predict(
    question: str,
    options: Sequence[str] | Literal["number", "words"],
    *,
    answer: Answer,
    explain: Explain,
) -> Prediction:
    """Return a cell that asks for a prediction, then shows what happens, and explains it.

    Parameters
    ----------
    question
        What is asked, in the future tense: nothing has been run yet.
    options
        The options of a choice, or ``"number"``, or ``"words"`` for free text.
    answer
        What happens, or a function that runs the simulator to find out. It runs on each commit and
        never before.
    explain
        One explanation, or one for each option. For a number, or words, one for each answer that has a
        known misconception behind it, and under None one for all others.

    Raises
    ------
    LessonError
        An option has no explanation, an explanation no option, or the answer cannot be one.
    """
    field = _field(options)
    _check_explanations(question, field, explain)
    if not callable(answer):
        field.parse(answer)
    return Prediction(question, field, answer, explain)


def _field(options: Sequence[str]) -> Field:
    label = "Your prediction:"
    if options == "number":
        return Number(label)
    if options == "words":
        return Words(label)
    if isinstance(options, str):
        msg = f"options must be a list of options, 'number' or 'words', not {options!r}"
        raise LessonError(msg)
    return Choice(options)


def _check_explanations(question: str, field: Field, explain: Explain) -> None:
    if isinstance(explain, str):
        return
    given: set[object] = set(explain)
    if not isinstance(field, Choice):
        if None not in given:
            msg = f"{question!r}: explain needs a text under None, for every other answer"
            raise LessonError(msg)
        return
    wanted: set[object] = set(field.options)
    if given != wanted:
        wrong = sorted(map(repr, given ^ wanted))
        msg = f"{question!r}: options and explanations differ in {', '.join(wrong)}"
        raise LessonError(msg)
