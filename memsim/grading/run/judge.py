"""The hidden tests of a question, put to a worker."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from memsim.grading.assignment.assignment import fresh, title
from memsim.grading.assignment.values import Raised
from memsim.grading.run.budget import Budget
from memsim.grading.run.constant import passes_all
from memsim.grading.run.judging import Judging, JudgingError
from memsim.grading.sandbox.conversation import KILLED, Conversation, Failure
from memsim.grading.sandbox.guest.retry import patiently
from memsim.grading.sandbox.worker import ReadingError, StartError, Submitted, Worker, WorkerError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from memsim.grading.assignment.assignment import Assignment, Dialogue, Question, Test
    from memsim.grading.sandbox.fences import Fence

_CALLS = 10_000
_PROCESSES = 3
"""When this many processes of one question have died, its other tests are not run."""
_TRIES = 2
"""How often a test runs whose answer is killed: the machine may have had no memory left."""
_AT_LEAST, _AT_MOST = 3, 10
"""How often the tests of a function are asked again that has given few different answers."""
_CONSTANT = "It gives the same answer to every call, which is right for some of them only."
_AS_GOOD = "One of its answers, given to every call, passes the same tests: the others are not needed."
_FEW = "It gives only {} different answers to all calls, which are right for some of them only."
_TOO_LONG = "Its answers could not be compared in the time that there is."
_OTHERWISE = "It answers differently when the tests are asked in another order."
_EXCERPT = 1000
_MOST_LETTERS = 4 << 20
"""Of answers that are kept for each test. An honest one has some thousands."""
_LONGEST_MESSAGE = 2000
"""Letters: it may quote an answer, and stands in four files."""


@dataclass
class RuleResult:
    """How one hidden test ended."""

    title: str
    points: int
    passed: bool
    message: str = ""
    needs_teacher: bool = False


@dataclass
class QuestionResult:
    """How one question ended."""

    name: str
    max_score: int
    tests: list[RuleResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What could not be executed in the notebook, in the words of the worker."""
    printed: str = ""
    by_hand: float | None = None
    """The points that a teacher has given instead."""
    comment: str = ""
    """What a teacher says about the answer."""
    answer: str = ""
    """The function as the student wrote it, as far as it can be found."""

    @property
    def graded(self) -> float:
        """The points of all tests that passed."""
        return sum(test.points for test in self.tests if test.passed)

    @property
    def score(self) -> float:
        """The points that count."""
        return self.graded if self.by_hand is None else self.by_hand


class Examiner:
    """Puts the questions of an assignment to one submission."""

    def __init__(self, assignment: Assignment, fence: Fence, key: str) -> None:
        """``key`` makes the fresh numbers of the tests."""
        self.assignment, self.fence, self.key = assignment, fence, key

    def examine(self, submitted: Submitted, student: str | None = None) -> list[QuestionResult]:
        """Return the result of each question.

        ``student`` makes the fresh numbers of the tests. The own numbers, which the student knows, come from
        the name in ``submitted``, which may be another one of the same student.
        """
        with ExitStack() as stack:
            desk = _Desk(self.fence, submitted, stack)
            judging = Judging()
            who = submitted.student if student is None else student
            return [self._question(question, who, desk, judging) for question in self.assignment.questions]

    def _question(self, question: Question, student: str, desk: _Desk, judging: Judging) -> QuestionResult:
        mine = question.variant_of(desk.submitted.student)
        with _Line(desk, question) as line:
            tests = put(question, line.call, self.assignment.name, student, self.key, mine, judging)
            return QuestionResult(question.name, question.points, tests, line.problems, line.printed)


def put(
    question: Question,
    call: Callable[[list[Any]], Any],
    assignment: str,
    student: str,
    key: str,
    mine: dict[str, Any] | None = None,
    judging: Judging | None = None,
) -> list[RuleResult]:
    """Put the hidden tests of a question to whatever answers its calls.

    ``call`` takes the arguments of a call and returns what was answered, of the type that the question
    wants, or a :class:`~memsim.grading.sandbox.conversation.Failure`.

    >>> from memsim.grading.assignment.assignment import Question
    >>> def doubles(rng, mine):
    ...     "Any number is doubled."
    ...     number = rng.randrange(1000)
    ...     return None if (yield [number]) == 2 * number else "It is not twice the number."
    >>> question = Question("double", 1, "compute", int, {doubles: 2})
    >>> put(question, lambda arguments: 2 * arguments[0], "numbers", "ada", "a key")
    [RuleResult(title='Any number is doubled.', points=2, passed=True, message='', needs_teacher=False)]
    """
    mine = question.variant_of(student) if mine is None else mine
    judging = judging or Judging()
    results: list[RuleResult] = []
    heard: dict[Test, _Heard] = {}
    before = judging.astray
    message, faulty = "", False
    for test, points in question.tests.items():
        heard[test] = _Heard(call, question.different)
        # The verdict on a value that has used up the time is that on the rest, too.
        if judging.astray == before:
            for _ in range(_TRIES):
                rng = fresh(key, assignment, question.name, test, student)
                message, faulty, killed = _run(test, question.name, heard[test], rng, mine, judging)
                if not killed:
                    break
        results.append(RuleResult(title(test), points, not message, message, faulty))
    passed = {test: result for test, result in zip(question.tests, results, strict=True) if result.passed}
    if 0 < len(passed) < len(results):

        def dialogue(test: Test, key: str) -> Dialogue:
            return test(fresh(key, assignment, question.name, test, student), mine)

        def dialogues(number: int) -> dict[Test, Dialogue]:
            again = [test for test in question.tests if not heard[test].ended]
            return {test: dialogue(test, f"{key}\0{number}") for test in again}

        answers = _Answers(question.different, [partial(dialogue, test, key) for test in passed])
        answers.one_may_do = question.one_may_do
        for test in passed:
            answers.add(heard[test])
        rounds = _AT_MOST if judging.astray == before else 0
        order = fresh(f"{key}\0order", assignment, question.name, next(iter(passed)), student)
        why = _asked_again(
            map(dialogues, range(rounds)), _Heard(call, question.different), (passed, answers), order, judging
        )
        for result in passed.values() if why else ():
            result.passed, result.message = False, why
    return results


def _asked_again(
    rounds: Iterable[dict[Test, Dialogue]],
    heard: _Heard,
    so_far: tuple[Iterable[Test], _Answers],
    order: random.Random,
    judging: Judging,
) -> str:
    """Ask all tests again with other numbers, one call of this and one of that; return what is wrong.

    Only if few different answers were needed. A test ends at the first wrong answer, so a function that tells
    cases apart may have had no occasion to show it. One that counts its calls does not know here whose turn
    it is.
    """
    passed, answers = so_far
    try:
        with judging.bounded():
            if not answers.few():
                return ""
        answers.forget()
        for number, dialogues in enumerate(rounds, 1):
            if set(passed) - _mixed(dialogues, heard, order, judging):
                return _OTHERWISE
            answers.add(heard)
            with judging.bounded():
                if number >= _AT_LEAST and not answers.few():
                    break
        with judging.bounded():
            if not heard.asked_enough or not answers.values or not answers.few():
                return ""
    except JudgingError:
        return _TOO_LONG
    given = len(answers.values)
    return _AS_GOOD if given >= answers.different else _CONSTANT if given == 1 else _FEW.format(given)


def _mixed(
    dialogues: dict[Test, Dialogue],
    call: Callable[[list[Any]], Any],
    order: random.Random,
    judging: Judging,
) -> set[Test]:
    """Return which tests are passed when their calls are put in any order."""
    passed: set[Test] = set()
    answers: dict[Test, Any] = dict.fromkeys(dialogues)
    for _ in range(_CALLS):
        if not answers:
            break
        test = order.choice(list(answers))
        answer = answers.pop(test)
        if isinstance(answer, Failure):
            dialogues[test].close()
            continue
        try:
            with judging.bounded():
                arguments = dialogues[test].send(answer)
        except StopIteration as end:
            passed |= set() if end.value else {test}
        except Exception:  # noqa: BLE001, S112 (whatever a test can raise: it is not passed)
            continue
        else:
            answers[test] = call(arguments)
    return passed


class _Heard:
    """Calls of a function: what it was asked, and what it has answered."""

    def __init__(self, call: Callable[[list[Any]], Any], different: int) -> None:
        self.call, self.different = call, different
        self.asked = set[str]()
        self.values: dict[str, Any] = {}
        """The different answers, each under its text."""
        self.letters = 0
        self.ended = False
        """Whether an answer has ended its process."""

    def __call__(self, arguments: list[Any]) -> Any:
        answer = self.call(arguments)
        self.ended |= isinstance(answer, Failure) and answer.ends_it
        raised = isinstance(answer, Raised) or (isinstance(answer, Failure) and answer.kind == "raised")
        if (raised or not isinstance(answer, Failure)) and self.letters < _MOST_LETTERS:
            text = "raised" if raised else json.dumps(answer, sort_keys=True, default=repr)
            if text not in self.values:
                self.values[text] = copy.deepcopy(answer)  # the test may change it
                self.letters += len(text)
        if not self.asked_enough:
            self.asked.add(json.dumps(arguments, sort_keys=True, default=repr))
        return answer

    @property
    def asked_enough(self) -> bool:
        """Whether different things enough were asked."""
        return len(self.asked) == self.different


class _Answers:
    """The answers in which a function may tell cases apart.

    As text, the answers of a constant can differ, in what no test looks at. So one of them at least, given to
    every call, must not pass the tests that were passed.
    """

    def __init__(self, different: int, passed: Sequence[Callable[[], Dialogue]]) -> None:
        """Take what begins each test that was passed once more, with the same numbers."""
        self.different, self.passed = different, passed
        self.values: dict[str, Any] = {}
        self.does = dict[str, bool]()
        """Whether an answer, given to each call, passes these tests."""
        self.any = True
        self.one_may_do = False

    def add(self, heard: _Heard) -> None:
        """Add answers.

        What is answered in a test that is lost anyway proves nothing, unless all were asked in any order.
        """
        self.values |= heard.values

    def few(self) -> bool:
        """Return whether fewer different answers than count were given, or any of them would do."""
        if len(self.values) < self.different or self.one_may_do:
            return 0 < len(self.values) < self.different
        would_do = map(self._would_do, self.values)
        return any(would_do) if self.any else all(would_do)

    def forget(self) -> None:
        """Begin anew with answers that must not all do; until then none must."""
        self.values, self.any = {}, False

    def _would_do(self, text: str) -> bool:
        if text not in self.does:
            self.does[text] = passes_all(self.passed, self.values[text])
        return self.does[text]


class _Desk:
    """The workers of one submission: one without memsim, one with; each is replaced when it breaks."""

    def __init__(self, fence: Fence, submitted: Submitted, stack: ExitStack) -> None:
        self.fence, self.submitted = fence, submitted
        self.workers: dict[bool, Worker] = {}
        self.unreadable: ReadingError | None = None
        self.problems: dict[bool, list[str]] = {}
        self.budget = Budget()
        stack.callback(self.end)

    def worker(self, *, memsim: bool) -> Worker:
        if self.unreadable:
            raise self.unreadable
        if memsim not in self.workers:
            start = partial(Worker, self.fence, self.submitted, memsim=memsim)
            try:
                self.workers[memsim] = patiently(start, StartError)
            except ReadingError as error:  # for every question, and tried once
                self.unreadable = error
                raise
        return self.workers[memsim]

    def problems_of(self, conversation: Conversation, *, memsim: bool) -> list[str]:
        """Return what could not be executed in the notebook, as the first process said.

        A later one can know by the clock what that was asked, and this text goes into the feedback.
        """
        if conversation.failure is None or conversation.problems:
            self.problems.setdefault(memsim, conversation.problems)
        return self.problems.get(memsim, [])

    def replace(self, *, memsim: bool) -> None:
        worker = self.workers.pop(memsim, None)
        if worker:
            worker.end()

    def end(self) -> None:
        for worker in self.workers.values():
            worker.end()


class _Line:
    """Calls of one question; a process that died is followed by another, up to a limit."""

    def __init__(self, desk: _Desk, question: Question) -> None:
        self.desk, self.question = desk, question
        self.now: Conversation | None = None
        self.died = 0
        self.last = Failure("missing", "")
        self.problems: list[str] = []
        self.printed = ""

    def call(self, arguments: list[Any]) -> Any:
        """Return the value of a call, or a Failure."""
        if self.died >= _PROCESSES:
            return self.last
        try:
            if self.now is None:
                worker = self.desk.worker(memsim=self.question.memsim)
                limits = self.desk.budget.limits(self.question.limits)
                self.now = Conversation(worker, self.question.name, limits)
                self.problems = self.desk.problems_of(self.now, memsim=self.question.memsim)
            value = self.now.call(arguments, self.question.returns)
            self.printed = self.now.output[:_EXCERPT].decode("utf-8", "replace")
            if isinstance(value, Failure) and value.ends_it:
                value = self._dead(value)
                self._end()
        except StartError:
            raise  # the machine has no room for it now, which makes no answer wrong
        except ReadingError as error:
            value = Failure("missing", str(error))
            self._dead(value)
        except WorkerError:
            value = Failure(KILLED, "the process that answers was ended from inside")
            self._break()
            self._dead(value)
        return value

    def _dead(self, failure: Failure) -> Failure:
        budget = self.desk.budget
        limits = self.now.limits if self.now else self.question.limits
        self.last = failure = budget.note(failure, limits)
        at_once = failure.kind in ("missing", "time") or (failure.kind == "cpu" and budget.is_spent)
        self.died = _PROCESSES if at_once else self.died + 1
        return failure

    def _end(self) -> None:
        conversation, self.now = self.now, None
        if conversation:
            try:
                conversation.end()
            except WorkerError:
                self.desk.replace(memsim=self.question.memsim)
            self.desk.budget.take(conversation)

    def _break(self) -> None:
        if self.now:
            self.desk.budget.take(self.now)
        self.now = None
        self.desk.replace(memsim=self.question.memsim)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def _sentence(name: str, failure: Failure) -> str:
    """Return a failure as a sentence that names the question."""
    told = failure.hidden or failure.told
    return f"{name}(){told[2:]}" if told.startswith("it ") else f"{told[0].upper()}{told[1:]}"


def _run(
    test: Test,
    name: str,
    call: Callable[[list[Any]], Any],
    rng: Any,
    mine: dict[str, Any],
    judging: Judging,
) -> tuple[str, bool, bool]:
    """Run one test of a question.

    Returns the message ("" is a pass), whether a teacher should look, and whether the answer was killed.
    """
    try:
        dialogue = test(rng, mine)
        with judging.bounded():
            arguments = next(dialogue)
        for _ in range(_CALLS):
            answer = call(arguments)
            if isinstance(answer, Failure):
                dialogue.close()
                return f"{_sentence(name, answer)}.", False, answer.kind == KILLED
            with judging.bounded():
                arguments = dialogue.send(answer)
    except StopIteration as end:
        return str(end.value or "")[:_LONGEST_MESSAGE], False, False
    except StartError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a test can raise)
        return (
            f"The answer could not be judged ({type(error).__name__}); your teacher has been informed.",
            True,
            False,
        )
    return "The test asks without end; your teacher has been informed.", True, False
