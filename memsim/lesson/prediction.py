"""Predict, run, explain: the reader commits to a guess before anything is shown.

A guess that turns out wrong is what sticks; so nothing is scored, and the explanation comes only after
the commitment. What the simulator says is found out by running it at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from memsim.errors import MemsimError
from memsim.lesson import store
from memsim.lesson.errors import LessonError
from memsim.lesson.fields import Choice, Field, Number, Value, Words, tell, written
from memsim.lesson.markup import inline
from memsim.lesson.question import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.lesson.live import LiveQuestion
    from memsim.lesson.question import Place

Answer = Value | Callable[[], object]
Explain = str | Mapping[Any, str]  # keys: options, or numbers and None


class Prediction(Question):
    """A question whose answer shows only after a prediction; made by :func:`predict`."""

    kind = "predict"
    lead = "Predict:"
    button = "Commit my prediction"

    def __init__(
        self, question: str, field: Field, answer: Answer, explain: Explain, show: Place | None = None
    ) -> None:
        """Keep the answer, or the function that finds it; nothing is run yet."""
        super().__init__(question, field, show)
        self.answer = answer
        self.explain = explain

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to ask and to explain, but not what happens."""
        texts = self.explain if isinstance(self.explain, Mapping) else {None: self.explain}
        explain = {"" if key is None else written(key): inline(text) for key, text in texts.items()}
        says = "The simulator says:" if callable(self.answer) else "The answer:"
        return super().spec() | {"explain": explain, "says": says}

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what a page without a kernel needs: the simulator is run now."""
        return self.spec() | {"outcome": self.answered()}

    @cached_property
    def widget(self) -> LiveQuestion:
        """The live form, which shows what was predicted on an earlier run, but not what came of it."""
        from memsim.lesson.live import LiveQuestion  # noqa: PLC0415 (terminals do without widgets)

        made = LiveQuestion(self.spec(), self._commit)
        earlier = store.recall(self.question, self.field.options)
        made.earlier = "" if earlier is None else inline(tell(earlier))
        return made

    def outcome(self) -> Value:
        """Return what happens: run the simulator if the answer is a function.

        Raises
        ------
        LessonError
            What happens is nothing that the field could hold, such as none of the options.
        """
        return self.field.parse(self.answer() if callable(self.answer) else self.answer)

    def answered(self) -> dict[str, str]:
        """Return what happens, or why there is no answer, in the form that the browser gets."""
        try:
            outcome = self.outcome()
        except MemsimError as error:
            return {"error": inline(str(error))}
        return {"value": written(outcome), "shown": inline(tell(outcome))}

    def _commit(self, widget: LiveQuestion, commitment: dict[str, Any]) -> None:
        """Keep a prediction, run the simulator, and tell what it says."""
        predicted = self.field.parse(commitment["value"])
        store.remember(self.question, self.field.options, predicted)
        widget.earlier = inline(tell(predicted))
        widget.outcome = self.answered() | {"of": commitment["value"], "number": commitment.get("number", 0)}


def predict(
    question: str,
    options: Sequence[str] | Literal["number", "words"],
    *,
    answer: Answer,
    explain: Explain,
    show: Place | None = None,
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
    show
        Where the explorer on the same page shows it: a step, a point, and a pfn if a page is meant, such as
        ``(1, "return:memmap_init_range", 0x100233)``. A button leads there after an answer.

    Raises
    ------
    LessonError
        An option has no explanation, an explanation no option, or the answer cannot be one.
    """
    field = _field(options)
    _check_explanations(question, field, explain)
    if not callable(answer):
        field.parse(answer)
    return Prediction(question, field, answer, explain, show)


def _field(options: Sequence[str]) -> Field:
    if options == "number":
        return Number()
    if options == "words":
        return Words()
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
