"""Grade a question that is a test cell of another author's notebook.

The cell is executed in a worker of its own, which never sees the student's code. What it asks of the
student's functions goes through the grader to the student's worker, and comes back as values; see
:mod:`memsim.grading.sandbox.guest.peer`. A test that needs more than values is not judged, and the
report gives the teacher the reason.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from memsim.grading.assignment.assignment import title
from memsim.grading.run.budget import Budget
from memsim.grading.run.judge import QuestionResult, RuleResult
from memsim.grading.sandbox import guest
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.guest.retry import patiently
from memsim.grading.sandbox.worker import ReadingError, StartError, Submitted, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from memsim.grading.assignment.assignment import Limits
    from memsim.grading.assignment.cells import CellQuestion
    from memsim.grading.run.notebook import Sources
    from memsim.grading.sandbox.fences import Fence

_STEP = "memsim_peer_step"
_CELL = f"""
import builtins
memsim_peer_space = {{{{"__name__": "memsim_peer"}}}}
builtins.exec({{text}}, memsim_peer_space)
{_STEP} = memsim_peer_space["Peer"](globals(), judges={{judges}}).step
"""
"""A namespace of its own keeps the names of a notebook and those of the peer apart."""
_FOUND_NOTHING = (
    "It passes with an empty or missing value where the solution gives one; your teacher has been informed."
)
_CHANGED = "It passes because your code changes what it is given; your teacher has been informed."
_TEXT = 500
"""Letters of a message that the teacher's side sends."""
_DEEPEST = 20
_MOST = 20_000


class _ExchangeError(Exception):
    """One of the two sides does not answer any more."""

    def __init__(self, failure: Failure, *, student: bool) -> None:
        super().__init__(failure.hidden or failure.told)
        self.failure, self.student = failure, student


def examine(
    questions: Sequence[CellQuestion], fence: Fence, found: Sources, student: str
) -> list[QuestionResult]:
    """Return the result of each test cell; the clock and the processor are for all of them."""
    budget = Budget()
    with _Teacher(fence, student) as teacher:
        return [_examined(question, teacher, found, student, budget) for question in questions]


def _examined(
    question: CellQuestion, teacher: _Teacher, found: Sources, student: str, budget: Budget
) -> QuestionResult:
    """Return the result of a test cell."""
    (test, points), *_ = question.tests.items()
    made = QuestionResult(question.name, points)
    rule = RuleResult(title(test), points, passed=False)
    made.tests.append(rule)
    if question.unsafe:
        by_hand = not question.code
        rule.message = (
            "Your teacher grades it." if by_hand else f"It cannot be judged safely: {question.unsafe}."
        )
        rule.needs_teacher = True
        return made
    if budget.unreadable:
        rule.message = budget.unreadable
        return made
    cells = [*_before(question, found), _peer(judges=False)]
    limits = budget.limits(question.limits)
    start = partial(_worker, teacher.fence, Submitted(student, cells, list(found.text)))
    ours = teacher.side(question)

    def run(side: _Side, *, restores: bool = True) -> dict[str, Any]:
        with _Side(start, budget.limits(question.limits), budget, student=True) as theirs, side:
            made.problems = budget.shown(theirs.conversation.problems)
            report = _Exchange(theirs, side).test(question, restores=restores)
            made.printed = theirs.conversation.output.decode("utf-8", "replace")[:1000]
        return report

    try:
        report = run(ours)
        _judged(made, rule, _without_values(report, question))
        if rule.passed:
            _doubt(rule, report, question, teacher, lambda: run(teacher.side(question), restores=False))
    except _ExchangeError as ended:
        taken, within = (budget, limits) if ended.student else (teacher.budget, ours.limits)
        failure = taken.note(ended.failure, within)
        told = failure.hidden or failure.told
        rule.passed, rule.message = False, f"{told[:1].upper()}{told[1:]}."
        rule.needs_teacher = not ended.student
        if ended.student and failure.kind == "unreadable":  # for every test cell, and tried once
            budget.unreadable = rule.message
        return made
    except StartError:
        raise
    except WorkerError:
        rule.passed, rule.message = False, "The process that answers was ended from inside."
    return made


def _doubt(
    rule: RuleResult,
    report: dict[str, Any],
    question: CellQuestion,
    teacher: _Teacher,
    without: Callable[[], dict[str, Any]],
) -> None:
    """Leave a test to the teacher that passes for what the solution does not do.

    ``all()`` of nothing is true, and so is ``numpy.allclose()`` of an empty array and whatever has its shape.
    And a function that changes its argument can make it fit the answer; then the test fails ``without``.
    """
    hollow, changed = _count(report, "hollow"), _counts(report, "changed")
    if not hollow and not changed:
        return
    right = _of_solution(question, teacher)
    if _is_emptier(report, right):
        rule.passed, rule.needs_teacher, rule.message = False, True, _FOUND_NOTHING
        return
    usual = _counts(right, "changed")
    is_unusual = any(times > usual.get(argument, 0) for argument, times in changed.items())
    if is_unusual and without().get("passed") is not True:
        rule.passed, rule.needs_teacher, rule.message = False, True, _CHANGED


def _is_emptier(mine: dict[str, Any], right: dict[str, Any]) -> bool:
    """Return whether an answer has more empty values than the solution's to the same question, or less in it.

    As often as the solution elsewhere, a function may be empty where the solution is not. What was asked of
    both is compared for each time it was asked: a test may draw its questions. The rest is compared in sum.
    """
    heard, wanted = _counts(mine, "heard"), _counts(right, "heard")
    more, both = _count(mine, "hollow") - _count(right, "hollow"), heard.keys() & wanted.keys()
    for asked in both:
        (hollow, full, times), (least, most, usual) = heard[asked], wanted[asked]
        if hollow and (hollow * usual > least * times or full * usual < most * times):
            return True
        more -= hollow - least
    return more > 0


def _count(report: dict[str, Any], name: str) -> int:
    """Return how many empty values a test was given, and values that are no numbers."""
    number = report.get(name)
    return number if type(number) is int else 0


def _counts(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a report of the teacher's side counts by what was asked."""
    counts = report.get(name)
    return counts if type(counts) is dict else {}


def _of_solution(question: CellQuestion, teacher: _Teacher) -> dict[str, Any]:
    """Return the report of the same test for the solution: what is empty or changed there is right."""
    solved = Submitted(teacher.student, [*question.solved, _peer(judges=False)])
    start = partial(_worker, teacher.fence, solved)
    try:
        with _Side(start, question.limits, Budget()) as theirs, teacher.side(question) as judge:
            return _Exchange(theirs, judge).test(question)
    except StartError:
        raise
    except (_ExchangeError, WorkerError):
        return {}


def _without_values(report: dict[str, Any], question: CellQuestion) -> dict[str, Any]:
    """Return a report whose message stands in the teacher's code as it is.

    What is put together, as by unittest, by numpy or in an f-string, names what was expected, and what the
    student's code has returned, which may be what a hidden test has asked.
    """
    message = report.get("message", "")
    if report.get("computed") is not True or not message:
        return report
    for code in (*question.before, question.code):
        with contextlib.suppress(SyntaxError):
            if any(text[:_TEXT] == message for text in _messages(ast.parse(code))):
                return report
    return report | {"message": ""}


def _messages(tree: ast.AST) -> Iterator[str]:
    """Return the texts that are messages of ``assert`` and ``raise``; others may be what is asked."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(msg=ast.Constant(value=str(text))):
                yield text
            case ast.Raise(exc=ast.Call(args=[ast.Constant(value=str(text))])):
                yield text


def _judged(made: QuestionResult, rule: RuleResult, report: dict[str, Any]) -> QuestionResult:
    """Take what the teacher's side has found."""
    number = report.get("number")
    rule.passed = report.get("passed") is True and not report.get("unsafe")
    rule.message = str(report.get("message", ""))
    if rule.passed and isinstance(number, float) and number != rule.points:
        rule.passed, rule.needs_teacher = False, number != 0
        enters = "; your teacher enters them" if number else ""
        rule.message = f"The cell gives {number:g} of {rule.points:g} points{enters}."
    elif report.get("unsafe"):
        rule.needs_teacher = True
        rule.message = f"It cannot be judged safely: {report['unsafe']}."
    elif not rule.passed:
        rule.message = rule.message or "An assertion of the cell does not hold."
    return made


def _before(question: CellQuestion, found: Sources) -> list[str]:
    """Return the student's cells up to the test, without test cells: those are the teacher's alone."""
    if len(found.grade_ids) != len(found.code):
        return found.code
    cells = list(zip(found.code, found.grade_ids, strict=True))
    # The last copy of the test: students copy cells, and nbgrader's own test stands below the answer.
    place = max((at for at, (_, name) in enumerate(cells) if name == question.name), default=len(cells))
    return [code for code, name in cells[:place] if name not in question.tested]


def _peer(*, judges: bool) -> str:
    text = (Path(guest.__file__).parent / "peer.py").read_text(encoding="utf-8")
    # A worker imports numpy where a cell names it. The peer does, for notebooks that use it.
    return _CELL.format(text=repr(text).replace("numpy", r"num\x70y"), judges=judges)


def _worker(fence: Fence, submitted: Submitted) -> Worker:
    return patiently(partial(Worker, fence, submitted), StartError)


class _Side:
    """A worker and the conversation with the peer in it, which takes from a budget."""

    def __init__(
        self,
        start: Callable[[], AbstractContextManager[Worker]],
        limits: Limits,
        budget: Budget,
        *,
        student: bool = False,
    ) -> None:
        self.start, self.limits, self.budget, self.student = start, limits, budget, student
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            worker = self.stack.enter_context(self.start())
            self.conversation = Conversation(worker, _STEP, self.limits)
            self.stack.callback(self.budget.take, self.conversation)
            self.stack.enter_context(self.conversation)
        except ReadingError as error:
            raise _ExchangeError(Failure("unreadable", str(error)), student=self.student) from None
        except BaseException:
            self.stack.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()


class _Teacher:
    """The teacher's side, whose worker is kept for the next test cell if that has the same code before it.

    It never sees the student's code, and each cell is executed in a process of its own.
    """

    def __init__(self, fence: Fence, student: str) -> None:
        self.fence, self.student = fence, student
        self.before: list[str] = []
        self.worker: Worker | None = None
        self.budget = Budget()
        """A value of the student's can let each test loop without end, as ``range(value)`` does."""

    def side(self, question: CellQuestion) -> _Side:
        start = partial(self._kept, [code for code in question.before if code.strip()])
        return _Side(start, self.budget.limits(question.limits), Budget())

    @contextlib.contextmanager
    def _kept(self, before: list[str]) -> Iterator[Worker]:
        if self.worker is None or before != self.before:
            self.end()
            submitted = Submitted(self.student, [*before, _peer(judges=True)])
            self.before, self.worker = before, _worker(self.fence, submitted)
        try:
            yield self.worker
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        worker, self.worker = self.worker, None
        if worker:
            worker.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class _Exchange:
    """The messages between the two sides."""

    def __init__(self, student: _Side, teacher: _Side) -> None:
        self.student, self.teacher = student, teacher
        self.left = _MOST

    def test(self, question: CellQuestion, *, restores: bool = True) -> dict[str, Any]:
        """Execute the test; returns the report of the teacher's side."""
        asked = {"op": "test", "code": question.code, "names": _names(question), "restores": restores}
        asked |= {"classes": sorted(question.classes), "again": sorted(question.again)}
        answer = self._ask(self.teacher, self.student, {"do": asked}, 0)
        report = answer.get("done")
        if not isinstance(report, dict):
            msg = f"the test failed in the grader: {answer.get('text', '')}"
            raise _ExchangeError(Failure("ended", msg), student=False)
        return report

    def _ask(self, side: _Side, other: _Side, message: dict[str, Any], depth: int) -> dict[str, Any]:
        """Let a side do something; what it asks of the other meanwhile is done."""
        answer = self._say(side, message)
        while "ask" in answer:
            if depth > _DEEPEST:
                raise _ExchangeError(Failure("ended", "calls go back and forth without end"), student=True)
            asked = _call_alone(answer["ask"]) if side is self.student else answer["ask"]
            answer = self._say(side, {"answer": self._ask(other, side, {"do": asked}, depth + 1)})
        return answer

    def _say(self, side: _Side, message: dict[str, Any]) -> dict[str, Any]:
        self.left -= 1
        is_student = side is self.student
        if self.left < 0:
            raise _ExchangeError(Failure("ended", "the test asks without end"), student=False)
        answer = side.conversation.call([message], dict)
        if isinstance(answer, Failure):
            raise _ExchangeError(answer, student=is_student)
        if not answer.keys() & {"ask", "done", "raised"}:
            raise _ExchangeError(Failure("answer", "its answer cannot be read"), student=is_student)
        return answer  # type: ignore[no-any-return]


def _call_alone(asked: Any) -> dict[str, Any]:
    """Return what the student's side asks of the teacher's: a call of what it was given, and nothing else.

    Raises
    ------
    _ExchangeError
        It is no call. The teacher's side does what it is asked, and would execute a test of the student's.
    """
    parts = {"op": str, "object": int, "args": list, "named": dict}
    if type(asked) is dict and asked.get("op") == "call":
        call = {name: asked.get(name) for name in parts}
        if all(type(call[name]) is kind for name, kind in parts.items()):
            return call
    raise _ExchangeError(Failure("answer", "it asks for what is no call of what it was given"), student=True)


def _names(question: CellQuestion) -> list[str]:
    """Return what the test may need of the student: names of the solutions, and undefined ones."""
    used, bound = set[str](), set[str]()
    for code in (*question.before, question.code):
        try:
            nodes = list(ast.walk(ast.parse(code)))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).partition(".")[0])
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
    return sorted((used & question.theirs) | (used - bound - set(dir(builtins))))
