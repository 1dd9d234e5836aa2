"""Results into nbgrader's gradebook, by its own interface, so that its formgrader and exports show them."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.report import tables
from memsim.grading.roster.names import key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from memsim.grading.report.late import Policy
    from memsim.grading.report.marks import Marks
    from memsim.grading.report.results import Result
    from memsim.grading.roster.people import Person
    from memsim.grading.run.judge import QuestionResult


class GradebookError(MemsimError):
    """nbgrader is not installed, or its gradebook cannot be used or does not know the assignment."""


def record(
    results: Sequence[Result],
    url: str,
    policy: Policy | None = None,
    people: Mapping[str, Person] | None = None,
    marks: Marks | None = None,
    keep: Callable[[], None] = lambda: None,
) -> int:
    """Write results into the gradebook at ``url`` (``sqlite:///gradebook.db``); returns how many scores.

    The assignment must have been generated with nbgrader before, which is what tells the gradebook its
    questions. A score takes the place of what nbgrader's own autograder found; a score that a teacher gave
    by hand stays, and so does what is there of a submission that could not be graded now. A question that was
    dropped has neither points nor a maximum there; ``marks`` keep what a teacher gave for it in nbgrader, and
    ``keep`` writes them down before the gradebook loses it.

    Raises
    ------
    GradebookError
        nbgrader is not installed, the gradebook cannot be used, or does not have the assignment or one of
        its questions.
    """

    def write(gradebook: Any) -> int:
        known = {key(student.id): student.id for student in gradebook.students}
        graded = [
            (result, _known_as(result.student, known, people or {}))
            for result in results
            if result.fingerprint
        ]
        if results and marks:
            ours = {student: result.student for result, student in graded}
            _record_dropped(gradebook, results[0], marks, ours, keep)
        return sum(_record_one(gradebook, result, student, policy) for result, student in graded)

    return _used(url, write)


def _record_dropped(
    gradebook: Any, result: Result, marks: Marks, ours: Mapping[str, str], keep: Callable[[], None]
) -> None:
    """Let what was dropped count nothing in the gradebook, and what counts again its points.

    ``result`` is any; ``ours`` has our id of each student of the gradebook.
    """
    name = result.assignment
    notebook = gradebook.find_assignment(name).notebooks[0].name
    for question in result.questions:
        gradebook.find_graded_cell(question.name, notebook, name).max_score = question.max_score
        for student, points in marks.set_aside.get(question.name, {}).items():
            for grade in _grade(gradebook, question.name, notebook, name, student):
                grade.manual_score = points
    for dropped in marks.dropped:
        gradebook.find_graded_cell(dropped, notebook, name).max_score = 0
        for student in [submission.student.id for submission in gradebook.assignment_submissions(name)]:
            given = marks.given.get(ours.get(student, ""), {}).get(dropped)
            for grade in _grade(gradebook, dropped, notebook, name, student):
                if grade.manual_score is not None and (given is None or given.points is None):
                    marks.set_aside.setdefault(dropped, {})[student] = grade.manual_score
                grade.manual_score, grade.auto_score, grade.needs_manual_grade = None, 0, False
    keep()
    gradebook.db.commit()
    for question in result.questions:
        marks.set_aside.pop(question.name, None)


def _grade(gradebook: Any, *place: str) -> list[Any]:
    """Return the grade at a place of the gradebook, if there is one."""
    missing = importlib.import_module("nbgrader.api").MissingEntry
    with contextlib.suppress(missing):
        return [gradebook.find_grade(*place)]
    return []


def check(url: str, assignment: str, questions: Iterable[str]) -> None:
    """Raise GradebookError if scores could not be written: to be known before anything is graded."""

    def look(gradebook: Any) -> int:
        notebook = gradebook.find_assignment(assignment).notebooks[0].name
        return sum(bool(gradebook.find_graded_cell(name, notebook, assignment)) for name in questions)

    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).is_file():  # nbgrader would make an empty one
        msg = f"{url}: there is no such file; run nbgrader generate_assignment first"
        raise GradebookError(msg)
    _used(url, look)


def _used(url: str, do: Callable[[Any], int]) -> int:
    """Return what comes of a gradebook."""
    with warnings.catch_warnings(action="ignore"):  # nbgrader's, about the tables that its import defines
        return _opened(url, do)


def _opened(url: str, do: Callable[[Any], int]) -> int:
    try:
        api, database = importlib.import_module("nbgrader.api"), importlib.import_module("sqlalchemy.exc")
    except ImportError:
        msg = "nbgrader is not installed; it is what has a gradebook: pip install nbgrader"
        raise GradebookError(msg) from None
    try:
        with api.Gradebook(url) as gradebook:
            return do(gradebook)
    except api.MissingEntry as missing:
        msg = f"{url}: {missing}; run nbgrader generate_assignment first"
        raise GradebookError(msg) from None
    except (database.SQLAlchemyError, ImportError) as problem:
        reason = str(problem).partition("\n")[0]
        msg = f"{url}: no gradebook that can be used: {reason}; a URL is such as sqlite:///gradebook.db"
        raise GradebookError(msg) from None


def _known_as(student: str, known: Mapping[str, str], people: Mapping[str, Person]) -> str:
    """Return the name under which the gradebook has a student already, or else the id."""
    names = people[student].names if student in people else set()
    return next((known[name] for name in (key(student), *sorted(names)) if name in known), student)


def _record_one(gradebook: Any, result: Result, student: str, policy: Policy | None) -> int:
    name = result.assignment
    student = student.encode("utf-8", "backslashreplace").decode()  # a file's name may be in no encoding
    gradebook.update_or_create_student(student)
    times = {}
    if policy and result.student in policy.times:
        times["timestamp"] = policy.times[result.student].astimezone(UTC).replace(tzinfo=None)
    submission = gradebook.update_or_create_submission(name, student, **times)
    notebook = submission.notebooks[0].name
    penalty = round(result.score - tables.final_score(result, policy), 2)
    submission.notebooks[0].late_submission_penalty = penalty
    for question in result.questions:
        _record_question(gradebook, question, (question.name, notebook, name, student))
    return len(result.questions)


def _record_question(gradebook: Any, question: QuestionResult, place: tuple[str, ...]) -> None:
    grade = gradebook.find_grade(*place)
    grade.auto_score = question.score
    if question.by_hand is not None:
        grade.manual_score, grade.auto_score = question.by_hand, question.graded
    if question.comment:
        _record_comment(gradebook, question, place)
    grade.needs_manual_grade = any(test.needs_teacher for test in question.tests)
    gradebook.db.commit()


def _record_comment(gradebook: Any, question: QuestionResult, place: tuple[str, ...]) -> None:
    """Write a comment where nbgrader keeps those: at the cell with the answer, or at a test that has one."""
    missing = importlib.import_module("nbgrader.api").MissingEntry
    for name in (f"{question.name}-answer", question.name):
        with contextlib.suppress(missing):
            gradebook.find_comment(name, *place[1:]).manual_comment = question.comment
            gradebook.db.commit()
            return
